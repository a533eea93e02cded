/* SPDX-License-Identifier: ISC */
/*
 * The fetcher talks to AWS, reads CAs and what the resolver needs, and does
 * nothing else: where the kernel can hold it to that, it does. The network
 * stays open to it, which it is for. Names may be looked up by modules that a
 * site has of its own, so the filter says what is forbidden, not what is
 * allowed. It cannot ask a daemon for names, only the DNS.
 */
#include "fetch.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "awsenv/fence.h"
#include "awsenv/filter.h"
#include "awsenv/harden.h"
#include "awsenv/own.h"

/* CAs, resolver, libraries. Of /proc only what is of no other process: another
 * domain's memory and environment Landlock keeps closed itself. */
static const char *const readable[] = {"/etc", "/usr", "/lib", "/lib64",
    "/lib32", "/opt", "/nix", "/gnu", "/var/lib/ca-certificates",
    "/var/lib/extrausers", "/var/db/nscd", "/run/systemd/resolve",
    "/run/resolvconf", "/run/NetworkManager", "/run/netconfig", "/run/connman",
    "/run/current-system",
    /* where the link leads on systems that keep it elsewhere yet */
    "/etc/resolv.conf", "/mnt/wsl", "/proc", "/dev/null", "/dev/urandom",
    "/dev/random", "/sys/devices/system/cpu", NULL};

static const struct filter_line denied[] = {
    CALLS_IF("socket", 0, FILTER_EQUAL, AF_UNIX),
    /* AF_NETLINK is: getaddrinfo(3) asks which addresses we have */
    CALLS_IF("socket", 0, FILTER_OVER, AF_NETLINK),
    FILTER_END,
};

/*
 * Whoever started us may possess keys, and what we load is not all ours. The
 * spawner's session is empty, and one more would be charged to the user. Where
 * there are no such calls there is nothing to get at.
 */
bool
sandbox_no_keys(void)
{
	char byte[4];
	long n;

	n = syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_SESSION_KEYRING, byte,
	    sizeof(byte));
	if (n == 0 || (n < 0 && errno == ENOSYS))
		return true;
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) > 0;
}

void
sandbox_enter(const char *ca)
{
	const struct rlimit none = {0, 0};
	const struct fence f = {.readable = readable, .file = ca, .tcp = true};

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &none);
	fence_enter(&f);
	filter_deny(denied);
}
