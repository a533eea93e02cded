/* SPDX-License-Identifier: ISC */
#include "agent/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct stamp
look(const char *path)
{
	struct stamp s;
	pid_t looker;
	int fd;

	stamp_begin(path, &fd, &looker, &s);
	stamp_end(fd, looker, &s);
	/* It leaves neither a child nor a descriptor behind. */
	assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	if (fd >= 0)
		assert_int_equal(fcntl(fd, F_GETFD), -1);
	return s;
}

static void
assert_as_stat(const char *path)
{
	struct stamp s = look(path);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(s.dev, st.st_dev);
	assert_int_equal(s.ino, st.st_ino);
	assert_int_equal(s.size, st.st_size);
	assert_int_equal(s.mtime,
	    (uint64_t)st.st_mtim.tv_sec * 1000000000 +
		(uint64_t)st.st_mtim.tv_nsec);
}

/* A folder on the disk or in memory: the two ways to look. */
static void
a_stamp_is_what_stat_says(void **state)
{
	static const char *const folders[] = {
	    "/var/tmp/awsenv-stamp-XXXXXX", "/dev/shm/awsenv-stamp-XXXXXX"};
	char path[64], link[80];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		strcpy(path, folders[i]);
		fd = mkstemp(path);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "x", 1), 1);
		assert_as_stat(path);
		assert_as_stat(path);
		assert_int_equal(write(fd, "y", 1), 1);
		assert_as_stat(path);
		snprintf(link, sizeof(link), "%s-link", path);
		assert_int_equal(symlink(path, link), 0);
		assert_as_stat(link);
		unlink(link);
		unlink(path);
		close(fd);
		assert_int_equal(look(path).mtime, 0);
		assert_int_equal(look(path).ino, 0);
	}
	assert_as_stat("/proc/version");
}

static void
what_cannot_be_looked_at_is_unknown_and_not_missing(void **state)
{
	char path[] = "/var/tmp/awsenv-stamp-XXXXXX", longest[5000];

	(void)state;
	assert_int_equal(look("").mtime, STAMP_UNKNOWN);
	assert_non_null(mkdtemp(path));
	rmdir(path);
	assert_int_equal(symlink(path, path), 0);
	assert_int_equal(look(path).mtime, STAMP_UNKNOWN);
	unlink(path);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(look(longest).mtime, STAMP_UNKNOWN);
	/* A file where a folder should be is a missing file. */
	assert_int_equal(look("/etc/passwd/x").mtime, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stamp_is_what_stat_says),
	    cmocka_unit_test(
		what_cannot_be_looked_at_is_unknown_and_not_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
