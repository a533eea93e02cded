/* SPDX-License-Identifier: ISC */
/*
 * What awsenv makes and changes for its user, with each allocation and each
 * system call failing once in turn: a command's environment is whole or is
 * told not to be, and a file is the old one or the new one.
 */
#include "agent/cli/ctl/edit.h"

#include "agent/cli/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
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
#include "tests/unit/failing.h"

/* What a message shows is kept until the process ends. */
const char *__wrap_shown_str(const char *s);
const char *
__wrap_shown_str(const char *s)
{
	return s;
}

/* ---- an environment */

static enum aw_err
make_an_environment(void)
{
	static char path_is[] = "PATH=/bin", other[] = "AWS_PROFILE=x";
	static char *const old[] = {path_is, other, NULL};
	static const char settings[] = "AWS_CA_BUNDLE=/ca";
	const struct given g = {
	    .creds = {.expires = 1795219200,
		.access_key = view_str("A"),
		.secret_key = view_str("s")},
	    .rep = {.profile = view_str("marketing")},
	    .region = "eu-central-1",
	};
	AUTOBUF struct buf ours = {0};
	AUTOFREE char **env = NULL;
	size_t n = 0;

	environ_set(&g, true, &ours);
	if (ours.bad ||
	    !(env = environ_make(old, view_of(&ours),
		  (struct view){(const uint8_t *)settings, sizeof(settings)})))
		return AW_NOMEM;
	while (env[n])
		n++;
	must(n == 8);
	return AW_OK;
}

static void
a_command_gets_all_of_its_environment_or_is_not_run(void **state)
{
	(void)state;
	assert_true(each_fails(make_an_environment, ENOMEM, false) >= 2);
}

/* ---- a config file */

#define OLD "[profile mine]\nregion = eu-west-1\n"

static char folder[] = "/tmp/awsenv-failing.XXXXXX";
static char path[64];

static void
write_old(void)
{
	FILE *f = fopen(path, "w");

	must(f && fputs(OLD, f) >= 0 && fclose(f) == 0 &&
	    chmod(path, 0640) == 0);
}

/* It is as it was, or as it is to be; and nothing else is there. */
static void
look(bool saved)
{
	char new[96], text[512] = "";
	struct stat st;
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	must(n > 0);
	must(fstat(fileno(f), &st) == 0 && (st.st_mode & 07777) == 0640);
	fclose(f);
	must(strncmp(text, OLD, strlen(OLD)) == 0);
	must((strstr(text, "[profile new]\n") != NULL) == saved);
	must(saved || n == strlen(OLD));
	snprintf(new, sizeof(new), "%s/.awsenv-configure.new", folder);
	must(access(new, F_OK) != 0);
}

static enum aw_err
change_the_config(void)
{
	static char body[] = "[profile new]\nregion = eu-west-1\n";
	struct text block = {0};
	struct text out = {0};
	struct file f = {0};
	unsigned int line;
	bool saved;

	block.p = body;
	block.n = strlen(body);
	failing_rest();
	write_old();
	failing_go();
	saved = file_load(&f, path) &&
	    block_put(&f.text, "corp", &block, &out, &line) == AW_OK &&
	    file_save(&f, &out);
	text_free(&out);
	file_free(&f);
	failing_rest();
	look(saved);
	failing_go();
	return saved ? AW_OK : AW_SYSTEM;
}

/* What was put in is found again and taken out. */
static enum aw_err
undo_the_change(void)
{
	static char before[] =
	    OLD "# >>> awsenv configure corp >>>\n[profile new]\n"
		"# <<< awsenv configure corp <<<\n";
	struct text text = {0};
	struct text out = {0};
	unsigned int line;
	enum aw_err r;

	text.p = before;
	text.n = strlen(before);
	r = edit_undo(&text, "corp", &out, &line);
	if (r == AW_OK)
		must(out.n == strlen(OLD) && !memcmp(out.p, OLD, out.n));
	text_free(&out);
	return r;
}

static void
a_config_is_the_old_one_or_the_new_one(void **state)
{
	static const int errors[] = {EIO, ENOSPC, ENOLCK, ENOMEM, EINTR};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		/* That a folder cannot be synced is done without. */
		assert_true(
		    each_fails(change_the_config, errors[i], true) > 10);
}

static void
an_undo_is_whole_or_none(void **state)
{
	(void)state;
	assert_true(each_fails(undo_the_change, ENOMEM, false) >= 1);
}

/* ---- the profiles that were chosen last */

#define CHOSEN "marketing\nproduction\n"

static enum aw_err
choose_one_more(void)
{
	char recent[96], text[64] = "";
	FILE *f;
	size_t n;

	snprintf(recent, sizeof(recent), "%s/awsenv/recent", folder);
	failing_rest();
	must((f = fopen(recent, "w")) && fputs(CHOSEN, f) >= 0 &&
	    fclose(f) == 0);
	failing_go();
	recent_add("test");
	failing_rest();
	must((f = fopen(recent, "r")) != NULL);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	must(
	    n > 0 && (!strcmp(text, CHOSEN) || !strcmp(text, "test\n" CHOSEN)));
	/* Nothing else is there. */
	unlink(recent);
	*strrchr(recent, '/') = '\0';
	must(rmdir(recent) == 0 && mkdir(recent, 0700) == 0);
	failing_go();
	return AW_OK;
}

static void
what_was_chosen_before_is_not_lost(void **state)
{
	static const int errors[] = {EIO, ENOSPC, ENOMEM, EINTR};
	char own[96];
	size_t i;

	(void)state;
	setenv("XDG_STATE_HOME", folder, 1);
	snprintf(own, sizeof(own), "%s/awsenv", folder);
	assert_int_equal(mkdir(own, 0700), 0);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(each_fails(choose_one_more, errors[i], true) >= 5);
	rmdir(own);
}

/* ---- what is done once for each login */

static enum aw_err
claim_a_page(void)
{
	const struct login_rep l = {.ticket = 7};
	char claims[96];
	bool once;

	snprintf(claims, sizeof(claims), "%s/awsenv/desktop", folder);
	unlink(claims);
	/* Rather two of them than none. */
	must(claim(CLAIM_PAGE, &l, 1, CLAIM_COMMAND));
	once = !claim(CLAIM_PAGE, &l, 1, CLAIM_COMMAND);
	must(once || failing_did());
	/* Another login, or another kind, is none of it. */
	must(claim(CLAIM_PAGE, &l, 2, CLAIM_COMMAND));
	must(claim(CLAIM_DONE, &l, 2, CLAIM_COMMAND));
	unlink(claims);
	return AW_OK;
}

static void
somebody_does_it_whatever_can_be_noted(void **state)
{
	static const int errors[] = {EIO, ENOSPC, EMFILE, ENOLCK};
	char own[96];
	size_t i;

	(void)state;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	snprintf(own, sizeof(own), "%s/awsenv", folder);
	assert_int_equal(mkdir(own, 0700), 0);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(each_fails(claim_a_page, errors[i], true) > 8);
	rmdir(own);
}

static int
begin(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/config", folder);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_command_gets_all_of_its_environment_or_is_not_run),
	    cmocka_unit_test(a_config_is_the_old_one_or_the_new_one),
	    cmocka_unit_test(an_undo_is_whole_or_none),
	    cmocka_unit_test(what_was_chosen_before_is_not_lost),
	    cmocka_unit_test(somebody_does_it_whatever_can_be_noted),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
