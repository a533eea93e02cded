/* SPDX-License-Identifier: ISC */
/* Which programs their user could meddle with. Root lays them out. */
#include "agent/supervisor/supervisor.h"

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define USER 61003

static char top[64], folder[96], program[128];

static int
begin(void **state)
{
	int fd;

	(void)state;
	if (geteuid() != 0)
		return 0;
	snprintf(top, sizeof(top), "/var/tmp/awsenv-test-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(folder, sizeof(folder), "%s/bin", top);
	snprintf(program, sizeof(program), "%s/awsenv-agent", folder);
	if (chmod(top, 0755) != 0 || mkdir(folder, 0755) != 0 ||
	    (fd = open(program, O_CREAT | O_WRONLY, 0711)) < 0)
		return -1;
	return close(fd);
}

static int
end(void **state)
{
	char command[128];

	(void)state;
	if (geteuid() != 0)
		return 0;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

/* As that user sees it. */
static bool
is_protected(uid_t uid, const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (uid != 0 &&
		    (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 ||
			setresuid(uid, uid, uid) != 0))
			_exit(2);
		_exit(program_protected(path));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status);
}

#define NEEDS_ROOT(state)   \
	(void)(state);      \
	if (geteuid() != 0) \
	skip()

static void
roots_program_that_cannot_be_read_is_protected(void **state)
{
	NEEDS_ROOT(state);
	assert_true(is_protected(USER, program));
	assert_int_equal(chmod(program, 04711), 0);
	assert_true(is_protected(USER, program));
}

static void
root_itself_can_read_and_write_everything(void **state)
{
	NEEDS_ROOT(state);
	assert_false(is_protected(0, program));
}

static void
a_program_that_can_be_read_or_written_is_not(void **state)
{
	NEEDS_ROOT(state);
	assert_int_equal(chmod(program, 0755), 0);
	assert_false(is_protected(USER, program));
	assert_int_equal(chmod(program, 0713), 0);
	assert_false(is_protected(USER, program));
	assert_int_equal(chmod(program, 0751), 0);
	assert_true(is_protected(USER, program));
	assert_int_equal(chown(program, 0, USER), 0);
	assert_false(is_protected(USER, program));
}

static void
a_program_of_the_user_or_of_a_third_one_is_not(void **state)
{
	NEEDS_ROOT(state);
	assert_int_equal(chown(program, USER, 0), 0);
	assert_false(is_protected(USER, program));
	assert_int_equal(chown(program, USER + 1, 0), 0);
	assert_false(is_protected(USER, program));
}

static void
a_program_in_a_folder_that_can_be_written_is_not(void **state)
{
	NEEDS_ROOT(state);
	assert_int_equal(chmod(folder, 0757), 0);
	assert_false(is_protected(USER, program));
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(chown(folder, USER, 0), 0);
	assert_false(is_protected(USER, program));
}

static void
any_folder_above_counts(void **state)
{
	NEEDS_ROOT(state);
	assert_int_equal(chmod(top, 0757), 0);
	assert_false(is_protected(USER, program));
	assert_int_equal(chmod(top, 01757), 0); /* only root renames bin */
	assert_true(is_protected(USER, program));
	assert_int_equal(chown(top, USER + 1, 0), 0);
	assert_false(is_protected(USER, program));
}

static void
a_symbolic_link_stands_for_what_it_names(void **state)
{
	char link[160], elsewhere[160];
	int fd;

	NEEDS_ROOT(state);
	snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(symlink(program, link), 0);
	assert_true(is_protected(USER, link));
	snprintf(elsewhere, sizeof(elsewhere), "%s/loose", top);
	assert_int_equal(mkdir(elsewhere, 0777), 0);
	assert_int_equal(chmod(elsewhere, 0777), 0);
	snprintf(elsewhere, sizeof(elsewhere), "%s/loose/x", top);
	fd = open(elsewhere, O_CREAT | O_WRONLY, 0711);
	close(fd);
	unlink(link);
	assert_int_equal(symlink(elsewhere, link), 0);
	assert_false(is_protected(USER, link));
}

static void
what_is_no_program_is_not(void **state)
{
	NEEDS_ROOT(state);
	assert_false(is_protected(USER, folder));
	assert_false(is_protected(USER, "/nowhere"));
	assert_false(is_protected(USER, ""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(roots_program_that_cannot_be_read_is_protected),
	    TEST(root_itself_can_read_and_write_everything),
	    TEST(a_program_that_can_be_read_or_written_is_not),
	    TEST(a_program_of_the_user_or_of_a_third_one_is_not),
	    TEST(a_program_in_a_folder_that_can_be_written_is_not),
	    TEST(any_folder_above_counts),
	    TEST(a_symbolic_link_stands_for_what_it_names),
	    TEST(what_is_no_program_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
