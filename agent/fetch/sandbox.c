/* SPDX-License-Identifier: ISC */
/*
 * The fetcher reads the CA bundle and the resolver's files, and that is all it
 * does to a file system: where the kernel can hold it to that, it does. What
 * stays open to it is the network, which it is for.
 */
#include "fetch.h"

#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "awsenv/harden.h"
#include "awsenv/own.h"

/* Added to the header by later kernels. */
#define REFER (1ull << 13)     /* version 2: to link or rename across folders */
#define TRUNCATE (1ull << 14)  /* version 3 */
#define IOCTL_DEV (1ull << 15) /* version 5 */

/* All rights on files but to read files and folders. */
static uint64_t
file_rights(long version)
{
	uint64_t all = (1ull << 13) - 1;

	if (version >= 2)
		all |= REFER;
	if (version >= 3)
		all |= TRUNCATE;
	if (version >= 5)
		all |= IOCTL_DEV;
	return all &
	    ~(uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE |
		LANDLOCK_ACCESS_FS_READ_DIR);
}

bool
sandbox_read_only(void)
{
	struct landlock_ruleset_attr rules = {0};
	AUTOCLOSE int fd = -1;
	long version;

	if (harden_no_new_privs() != 0)
		return false;
	version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1)
		return false;
	rules.handled_access_fs = file_rights(version);
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules,
	    sizeof(rules.handled_access_fs), 0);
	return fd >= 0 && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
}
