/* SPDX-License-Identifier: ISC */
/*
 * The broker opens no file and starts no program: where the kernel can hold it
 * to that, it does. Descriptors that are open already, the keyring and unix
 * sockets that were handed over are not touched by Landlock.
 */
#include "broker.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "awsenv/harden.h"
#include "awsenv/log.h"

/* All rights on files that this version of Landlock knows: none is granted. */
static uint64_t
file_rights(long abi)
{
	if (abi >= 5)
		return (1ull << 16) - 1; /* with ioctl on devices */
	if (abi >= 3)
		return (1ull << 15) - 1; /* with truncate */
	if (abi == 2)
		return (1ull << 14) - 1; /* with refer */
	return (1ull << 13) - 1;
}

static bool
no_files(void)
{
	/* The first fields of a struct that grew: filesystem, then TCP. */
	struct {
		uint64_t fs;
		uint64_t net;
	} rules = {0};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    1 /* LANDLOCK_CREATE_RULESET_VERSION */);
	bool done;
	int fd;

	if (abi < 1)
		return false;
	rules.fs = file_rights(abi);
	rules.net = abi >= 4 ? 3 : 0; /* bind and connect */
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules,
	    abi >= 4 ? sizeof(rules) : sizeof(rules.fs), 0);
	if (fd < 0)
		return false;
	done = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	close(fd);
	return done;
}

const char *
sandbox_enter(void)
{
	if (harden_no_new_privs() != 0) {
		log_warn("no_new_privs is not to be had here");
		return "nothing";
	}
	return no_files() ? "no_new_privs, landlock" : "no_new_privs";
}
