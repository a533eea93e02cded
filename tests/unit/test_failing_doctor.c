/* SPDX-License-Identifier: ISC */
/*
 * What doctor finds in a person's environment and files, with each of its calls
 * failing once in turn: what it cannot look at it never calls well.
 */
#include "agent/cli/ctl/doctor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/verbs.h"

static char folder[] = "/tmp/awsenv-failing.XXXXXX";

static int
look(const struct options *o, char **argv)
{
	struct doctor d = {.options = o, .sudo = "", .home = folder};

	(void)argv;
	d.check = "variables";
	check_variables(&d);
	d.check = "plaintext";
	check_plaintext(&d);
	return doctor_tell(&d, false);
}

static void
what_is_found_is_told_whole(void **state)
{
	static const struct verb_case text = {
	    .verb = look, .status = 1, .reports = "out of memory"};
	static const struct verb_case json = {.verb = look,
	    .words = {"--json"},
	    .status = 1,
	    .reports = "out of memory"};

	(void)state;
	assert_true(verb_fails(&text, ENOMEM) > 10);
	assert_true(verb_fails(&json, ENOMEM) > 10);
}

static enum aw_err
look_at_files(void)
{
	static const struct options o = {.wait = -1};
	struct doctor d = {
	    .options = &o, .sudo = "", .home = folder, .check = "plaintext"};
	const struct finding *f;
	bool keys = false, blind = false;
	enum aw_err r;
	int out = dup(STDOUT_FILENO);

	check_plaintext(&d);
	failing_rest();
	for (f = d.first; f; f = f->next) {
		keys |= f->grade == GRADE_PROBLEM;
		blind |= f->grade == GRADE_NOTE;
		must(f->grade != GRADE_OK);
	}
	must(keys || blind);
	r = keys ? AW_OK : AW_SYSTEM;
	must(freopen("/dev/null", "w", stdout) != NULL);
	doctor_tell(&d, false);
	dup2(out, STDOUT_FILENO);
	close(out);
	failing_go();
	return r;
}

static void
what_cannot_be_read_is_not_called_well(void **state)
{
	static const int errors[] = {EIO, EACCES, EMFILE};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(
		    each_fails_apart(look_at_files, errors[i], true) >= 3);
}

static int
begin(void **state)
{
	char path[64];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	unsetenv("AWSENV_PROFILE");
	unsetenv("AWS_CONFIG_FILE");
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE", 1);
	snprintf(path, sizeof(path), "%s/.aws", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/.aws/credentials", folder);
	text_write(path,
	    "[old one]\naws_access_key_id = AKIAOLD\n"
	    "aws_secret_access_key = old\n");
	return 0;
}

static int
end(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/.aws/credentials", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/.aws", folder);
	rmdir(path);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_found_is_told_whole),
	    cmocka_unit_test(what_cannot_be_read_is_not_called_well),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
