/* SPDX-License-Identifier: ISC */
/*
 * awsenv configure with each of its calls failing once in turn. Somebody's
 * config file is afterwards what it was or all that it was to become, whatever
 * of it awsenv wrote; and nothing else is left behind.
 */
#include "agent/cli/ctl/configure.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/verbs.h"

#define MINE "[profile mine]\nregion = eu-west-1\n"
#define SESSION                                                                \
	"[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\n" \
	"sso_region = eu-central-1\n"                                          \
	"sso_registration_scopes = sso:account:access\n"
#define BEGIN "# >>> awsenv configure corp >>>\n"
#define END "# <<< awsenv configure corp <<<\n"
/* With its session in the block of ours, and a profile that AWS lists no more. */
#define BEFORE                                                              \
	MINE BEGIN "\n" SESSION "\n[profile Old-Dev]\nsso_session = corp\n" \
		   "sso_account_id = 999999999999\nsso_role_name = Dev\n" END
#define GRANTED                                                         \
	MINE "[profile theirs]\n"                                       \
	     "granted_sso_start_url = https://corp.awsapps.com/start\n" \
	     "granted_sso_region = eu-central-1\n"                      \
	     "granted_sso_account_id = 111111111111\n"                  \
	     "granted_sso_role_name = Dev\n"

static char folder[] = "/tmp/awsenv-failing.XXXXXX";
static char runtime[64], aws[64], config[80];

/* Tries, and the agent, are processes of their own. */
static struct {
	char whole[16384]; /* of the try in which nothing fails */
	char read[512];	   /* by the agent, where it is asked for grants */
} * seen;

/* ---- around each try */

static const char *old; /* NULL: there is no file */

static void
put_old(void)
{
	*seen->read = '\0';
	unlink(config);
	if (old)
		text_write(config, old);
}

static void
look(int status)
{
	const char *is = text_of(config);
	bool is_old = old ? !strcmp(is, old) : access(config, F_OK) != 0;

	if (!failing_did())
		snprintf(seen->whole, sizeof(seen->whole), "%s", is);
	if (!is_old && strcmp(is, seen->whole) != 0)
		fprintf(stderr, "%s", is);
	must(is_old || !strcmp(is, seen->whole));
	/* That it was written is never told as a failure, nor the other way
	 * round; but for words that could not be printed. */
	must(status != EXIT_GOOD || !strcmp(is, seen->whole));
	must(files_in(aws) == (is_old && !old ? 0 : 1));
	must(files_in(runtime) == 1); /* the agent's socket */
	must(status != EXIT_GOOD || old || !strcmp(seen->read, SESSION));
}

static void
nothing_changes(int status)
{
	(void)status;
	must(!strcmp(text_of(config), old));
	must(files_in(aws) == 1);
}

/* ---- the tests */

static void
a_block_is_written_whole_or_the_old_one_stays(void **state)
{
	static const struct verb_case c = {.verb = configure_verb,
	    .words = {"--sso-session", "corp", "--all"},
	    .before = put_old,
	    .after = look};

	(void)state;
	old = BEFORE;
	assert_true(verb_fails_in_all_ways(&c) > 40);
	assert_non_null(strstr(seen->whole, SESSION));
	assert_non_null(strstr(seen->whole, "[profile Production-Dev]"));
	assert_non_null(strstr(seen->whole, "[profile Old-Dev]"));
	assert_non_null(
	    strstr(seen->whole, "[profile Twins-Dev-222222222222]"));
}

static void
a_first_config_is_whole_or_there_is_none(void **state)
{
	static const struct verb_case c = {.verb = configure_verb,
	    .words = {"--start-url", "https://corp.awsapps.com/start",
		"--sso-region", "eu-central-1", "--all"},
	    .before = put_old,
	    .after = look};

	(void)state;
	old = NULL;
	assert_true(verb_fails_in_all_ways(&c) > 40);
	assert_non_null(strstr(seen->whole, BEGIN "# "));
	assert_non_null(strstr(seen->whole, SESSION));
}

static void
profiles_of_another_tool_are_moved_all_or_none(void **state)
{
	static const struct verb_case c = {.verb = configure_verb,
	    .words = {"--from", "granted"},
	    .before = put_old,
	    .after = look};
	static const struct verb_case process = {.verb = configure_verb,
	    .words = {"--from", "granted", "--credential-process"},
	    .before = put_old,
	    .after = look};

	(void)state;
	old = GRANTED;
	assert_true(verb_fails_in_all_ways(&c) > 20);
	assert_non_null(
	    strstr(seen->whole, "\nsso_account_id = 111111111111\n"));
	assert_true(verb_fails_in_all_ways(&process) > 20);
	assert_non_null(
	    strstr(seen->whole, " --account 111111111111 --role Dev\n"));
}

static void
an_undo_brings_back_all_or_nothing(void **state)
{
	static const struct verb_case c = {.verb = configure_verb,
	    .words = {"--undo", "--json"},
	    .before = put_old,
	    .after = look};

	(void)state;
	old = BEFORE;
	assert_true(verb_fails_in_all_ways(&c) > 20);
	assert_string_equal(seen->whole, MINE);
}

static void
a_look_at_what_would_change_changes_nothing(void **state)
{
	static const struct verb_case diff = {.verb = configure_verb,
	    .words = {"--sso-session", "corp", "--all", "--diff"},
	    .before = put_old,
	    .after = nothing_changes};
	static const struct verb_case json = {.verb = configure_verb,
	    .words = {"--sso-session", "corp", "--all", "--diff", "--json"},
	    .before = put_old,
	    .after = nothing_changes};

	(void)state;
	old = BEFORE;
	assert_true(verb_fails_in_all_ways(&diff) > 40);
	assert_true(verb_fails_in_all_ways(&json) > 40);
}

/* ---- what the agent says */

#define V(text)                                           \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}

/* The config file that it is to look at. */
static void
read_config(struct view name, struct view body)
{
	struct grants_req req;
	char path[PATH_MAX];

	if (!view_is(name, "grants@awsenv") ||
	    !msg_decode(MSG_GRANTS_REQ, body, &req) || !req.ask.config.n)
		return;
	snprintf(path, sizeof(path), "%.*s", VIEW_ARG(req.ask.config));
	snprintf(seen->read, sizeof(seen->read), "%s", text_of(path));
	if (!*seen->read)
		snprintf(seen->read, sizeof(seen->read), "nothing");
}

static int
begin(void **state)
{
	static const struct grant_item grants[] = {
	    {.account = V("111111111111"),
		.name = V("Production"),
		.role = V("Dev")},
	    {.account = V("222222222222"),
		.name = V("Twins"),
		.role = V("Dev")},
	    {.account = V("333333333333"),
		.name = V("Twins"),
		.role = V("Dev")},
	};
	static const struct profile_item theirs = {
	    .name = V("theirs"),
	    .session = V("corp"),
	    .start_url = V("https://corp.awsapps.com/start"),
	    .sso_region = V("eu-central-1"),
	    .account = V("111111111111"),
	    .role = V("Dev"),
	    .region = V("eu-west-1"),
	};
	AUTOBUF struct buf list = {0}, profiles = {0};
	struct grants_rep listed = {
	    .listing = 1, .accounts = 3, .done = 3, .complete = true};
	struct profiles_rep known = {0};
	const struct fake_answer answers[] = {
	    {"grants@awsenv", MSG_GRANTS_REP, &listed},
	    {"profiles@awsenv", MSG_PROFILES_REP, &known},
	    {NULL, MSG_EMPTY, NULL},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(grants) / sizeof(*grants); i++)
		msg_append(MSG_GRANT_ITEM, &grants[i], &list);
	msg_append(MSG_PROFILE_ITEM, &theirs, &profiles);
	listed.items = view_of(&list);
	known.items = view_of(&profiles);
	seen = failing_shared(sizeof(*seen));
	if (!mkdtemp(folder))
		return -1;
	snprintf(runtime, sizeof(runtime), "%s/awsenv", folder);
	snprintf(aws, sizeof(aws), "%s/.aws", folder);
	snprintf(config, sizeof(config), "%s/config", aws);
	setenv("HOME", folder, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	unsetenv("AWS_CONFIG_FILE");
	unsetenv("SSH_CONNECTION");
	if (mkdir(runtime, 0700) != 0 || mkdir(aws, 0700) != 0)
		return -1;
	fake_agent_hears = read_config;
	fake_agent_begin(runtime, answers);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	fake_agent_end();
	unlink(config);
	rmdir(aws);
	rmdir(runtime);
	munmap(seen, sizeof(*seen));
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_block_is_written_whole_or_the_old_one_stays),
	    cmocka_unit_test(a_first_config_is_whole_or_there_is_none),
	    cmocka_unit_test(profiles_of_another_tool_are_moved_all_or_none),
	    cmocka_unit_test(an_undo_brings_back_all_or_nothing),
	    cmocka_unit_test(a_look_at_what_would_change_changes_nothing),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
