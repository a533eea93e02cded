/* SPDX-License-Identifier: ISC */
/*
 * By the system calls themselves: their numbers are the same everywhere, and
 * what later kernels added is not in the headers of the systems we build on.
 */
#include "awsenv/fence.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "awsenv/own.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define ASK_VERSION 1u /* LANDLOCK_CREATE_RULESET_VERSION */
#define PATH_BENEATH 1 /* LANDLOCK_RULE_PATH_BENEATH */

/* Rights on files. */
#define EXECUTE (1ull << 0)
#define READ_FILE (1ull << 2)
#define READ_DIR (1ull << 3)

/* The kernel takes a shorter one for what was there before it grew. */
struct ruleset {
	uint64_t files;
	uint64_t net;	 /* since version 4 */
	uint64_t scoped; /* since version 6 */
};

struct beneath {
	uint64_t allowed;
	int32_t folder;
} __attribute__((packed));

int
fence_version(void)
{
	long v =
	    syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, ASK_VERSION);

	return v > 0 ? (int)v : 0;
}

/* All rights on files that this version knows. */
static uint64_t
file_rights(int version)
{
	if (version >= 5)
		return (1ull << 16) - 1; /* with ioctl on devices */
	if (version >= 3)
		return (1ull << 15) - 1; /* with truncate */
	if (version == 2)
		return (1ull << 14) - 1; /* with refer */
	return (1ull << 13) - 1;
}

static size_t
ruleset_size(int version)
{
	if (version >= 6)
		return sizeof(struct ruleset);
	return version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

/* A rule is the file's, not the path's: links are followed here and now. */
static bool
allow(int rules, const char *path, uint64_t of_file, uint64_t of_folder)
{
	AUTOCLOSE int fd = open(path, O_PATH | O_CLOEXEC);
	struct beneath rule = {of_file, fd};
	struct stat st;

	if (fd < 0)
		return true;
	if (fstat(fd, &st) != 0)
		return false;
	if (S_ISDIR(st.st_mode))
		rule.allowed = of_folder;
	return syscall(SYS_landlock_add_rule, rules, PATH_BENEATH, &rule, 0) ==
	    0;
}

static bool
allow_all(int rules, const char *const *paths, uint64_t of_file, uint64_t more)
{
	for (; paths && *paths; paths++) {
		if (!allow(rules, *paths, of_file, of_file | more))
			return false;
	}
	return true;
}

int
fence_enter(const struct fence *f)
{
	int version = fence_version();
	struct ruleset all = {
	    .files = file_rights(version),
	    .net = f->tcp ? 0 : 3,	  /* bind and connect */
	    .scoped = f->signals ? 1 : 3, /* abstract sockets and signals */
	};
	AUTOCLOSE int rules = -1;

	if (!version)
		return 0;
	rules = (int)syscall(
	    SYS_landlock_create_ruleset, &all, ruleset_size(version), 0);
	if (rules < 0 || !allow_all(rules, f->readable, READ_FILE, READ_DIR) ||
	    !allow_all(rules, f->runnable, EXECUTE | READ_FILE, 0) ||
	    (f->file && !allow(rules, f->file, READ_FILE, READ_DIR)) ||
	    syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		return 0;
	return version;
}
