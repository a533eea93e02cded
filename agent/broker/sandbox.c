/* SPDX-License-Identifier: ISC */
/*
 * The broker opens no file, makes no connection, starts no program and runs no
 * code but its own: where the kernel can hold it to that, it does. What it
 * needs from outside comes as descriptors, from supervisor and spawner; those,
 * and the keyring, stay. A call that is not on the list ends the process, and
 * the next broker finds what this one had.
 */
#include "broker.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "awsenv/fence.h"
#include "awsenv/filter.h"
#include "awsenv/harden.h"
#include "awsenv/log.h"

/* Whoever needs another call adds it with its reason. Never: open, socket,
 * connect, bind, exec, fork, ptrace, prctl, or memory that is code. */
static const struct filter_line allowed[] = {
    /* loop.c: sleep, timers; SIGTERM by a signalfd */
    CALLS("epoll_wait epoll_pwait epoll_ctl timerfd_settime poll ppoll"),
    CALLS("rt_sigreturn rt_sigprocmask restart_syscall"),
    /* conn.c, link.c: clients, and descriptors that others send */
    CALLS("accept4 read write recvmsg sendmsg recvfrom sendto close shutdown"),
    CALLS("getsockopt getsockname getrlimit ugetrlimit setrlimit"),
    CALLS_IF("prlimit64", 0, FILTER_EQUAL, 0), /* its own */
    /* quota.c, vault.c: /proc/key-users and a memfd, open since before */
    CALLS("pread64 pwrite64 fallocate"),
    /* key.c: one key at a time; not to link, to join, nor to the parent */
    CALLS("add_key"),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_READ),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_SEARCH),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_DESCRIBE),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_SETPERM),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_SET_TIMEOUT),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_REVOKE),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_UNLINK),
    /* malloc: memory that is never code */
    CALLS_IF("mmap mmap2 mprotect", 2, FILTER_LACKS, PROT_EXEC),
    CALLS("brk munmap mremap madvise"),
    /* log.c by stdio, and syslog's local time, which was read before */
    CALLS("writev fstat fstat64"),
    CALLS_IF("newfstatat", 3, FILTER_HAS, AT_EMPTY_PATH),
    /* who we are, which host, what time */
    CALLS("getpid getppid gettid getuid geteuid getgid getegid uname sysinfo"),
    CALLS("clock_gettime clock_gettime64 gettimeofday time getrandom"),
    /* the end, and a libc's locks */
    CALLS("exit exit_group futex"),
    FILTER_END,
};

/* A syslog daemon that was started anew is not found again: syslog(3) tries,
 * and does without. */
static const struct filter_line fails[] = {
    CALLS("socket"),
    FILTER_END,
};

const char *
sandbox_enter(void)
{
	static char words[80];
	const struct fence nothing = {0};
	const char *seccomp = "";
	char landlock[32] = "";
	int abi;

	if (harden_no_new_privs() != 0) {
		log_warn("no_new_privs is not to be had here");
		return "nothing";
	}
	if ((abi = fence_enter(&nothing)) > 0)
		snprintf(landlock, sizeof(landlock), ", landlock %d", abi);
	if (filter_allow(allowed, fails))
		seccomp = ", seccomp";
	else if (!filter_built())
		seccomp = "; no seccomp: built with sanitizers";
	else
		log_warn("seccomp is not to be had here");
	snprintf(words, sizeof(words), "no_new_privs%s%s", landlock, seccomp);
	return words;
}
