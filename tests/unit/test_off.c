/* SPDX-License-Identifier: ISC */
#include "pam_module/off.c" /* the module is no archive to link with */

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char folder[] = "/tmp/awsenv-off.XXXXXX";

static void
put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	if (!text)
		return;
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
setup(void **state)
{
	char path[256];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/config.d", folder);
	return mkdir(path, 0755);
}

static int
teardown(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/config.d", folder);
	rmdir(path);
	return rmdir(folder);
}

static bool
says_off(const char *text)
{
	bool off;

	put("config", text);
	off = off_in(folder);
	put("config", NULL);
	return off;
}

static void
without_files_it_is_on(void **state)
{
	(void)state;
	assert_false(off_in("/nonexistent"));
	assert_false(off_in(folder));
	assert_false(says_off(""));
}

static void
what_is_not_true_is_off(void **state)
{
	(void)state;
	assert_true(says_off("[awsenv]\nenabled = false\n"));
	assert_true(says_off("[awsenv]\r\nEnabled: FALSE\r\n"));
	assert_true(says_off("  [ awsenv ]\n\tenabled=false"));
	assert_true(says_off("[awsenv]\nenabled = flase\n"));
	assert_true(says_off("[awsenv]\nenabled =\n"));
	assert_true(
	    says_off("[awsenv]\nenabled = true\nenabled = false # x\n"));
	assert_false(says_off("[awsenv]\nenabled = true\n"));
	assert_false(says_off("[awsenv]\nenabled = True   # now\n"));
}

static void
other_sections_and_keys_say_nothing(void **state)
{
	(void)state;
	assert_false(says_off("enabled = false\n"));
	assert_false(says_off("[profile awsenv]\nenabled = false\n"));
	assert_false(says_off("[awsenv]\n[default]\nenabled = false\n"));
	assert_false(says_off("[awsenv]\n# enabled = false\n"));
	assert_false(says_off("[awsenv]\nenabled_not = false\nenabled\n"));
}

static void
any_piece_is_enough(void **state)
{
	(void)state;
	put("config", "[awsenv]\nenabled = true\n");
	put("config.d/10.conf", "[awsenv]\nenabled = false\n");
	put("config.d/90.conf", "[awsenv]\nenabled = true\n");
	assert_true(off_in(folder));
	put("config.d/10.conf", NULL);
	put("config.d/10.bak", "[awsenv]\nenabled = false\n");
	put("config.d/.10.conf", "[awsenv]\nenabled = false\n");
	assert_false(off_in(folder));
	put("config.d/10.bak", NULL);
	put("config.d/.10.conf", NULL);
	put("config.d/90.conf", NULL);
	put("config", NULL);
}

static void
what_is_no_file_is_read_over(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/config", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(off_in(folder)); /* and nobody waits for a writer */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_false(off_in(folder));
	assert_int_equal(unlink(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_files_it_is_on),
	    cmocka_unit_test(what_is_not_true_is_off),
	    cmocka_unit_test(other_sections_and_keys_say_nothing),
	    cmocka_unit_test(any_piece_is_enough),
	    cmocka_unit_test(what_is_no_file_is_read_over),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
