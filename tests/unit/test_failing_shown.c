/* SPDX-License-Identifier: ISC */
/*
 * What awsenv shows of what the agent knows, to people and to programs, with
 * each of its calls failing once in turn: all of it, or a status that says
 * otherwise. Half a table, or a name that became '?', is worse than none.
 */
#include "agent/cli/ctl/ctl.h"

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

#define V(text)                                           \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}
#define FAR_OFF 4102444800 /* 2100: a time that is written in one form today */

static char folder[] = "/tmp/awsenv-failing.XXXXXX";

/* All of one verb: its words, up to NULL, and how many calls may fail. */
static void
check(int (*verb)(const struct options *, char **argv),
    const char *const *words, unsigned int least)
{
	struct verb_case c = {.verb = verb};
	size_t i;

	for (i = 0; words[i]; i++)
		c.words[i] = words[i];
	assert_true(verb_fails_in_all_ways(&c) >= least);
}

#define CHECK(verb, least, ...) \
	check(verb, (const char *const[]){__VA_ARGS__, NULL}, least)
#define CHECK_BARE(verb, least) check(verb, (const char *const[]){NULL}, least)

static void
profiles_are_listed_whole_or_not_as_a_success(void **state)
{
	(void)state;
	CHECK_BARE(ls_verb, 20);
	CHECK(ls_verb, 20, "--json");
	CHECK(ls_verb, 20, "--csv");
}

static void
roles_are_listed_whole_or_not_as_a_success(void **state)
{
	(void)state;
	CHECK(ls_verb, 20, "--roles");
	CHECK(ls_verb, 20, "--roles", "--json");
	CHECK(ls_verb, 20, "--roles", "--csv");
}

static void
a_status_is_whole_or_none(void **state)
{
	(void)state;
	CHECK_BARE(status_verb, 20);
	CHECK(status_verb, 20, "--json", "--keyring");
	CHECK(status_verb, 10, "--check", "1h");
}

static void
a_log_is_whole_or_not_a_success(void **state)
{
	(void)state;
	CHECK_BARE(log_verb, 10);
	CHECK(log_verb, 10, "--json");
}

static void
questions_are_shown_whole_or_none(void **state)
{
	(void)state;
	CHECK(confirm_verb, 10, "--json");
}

static void
sockets_are_listed_whole_or_none(void **state)
{
	(void)state;
	CHECK(forward_verb, 10, "--list");
}

static void
whoever_one_is_is_told_whole(void **state)
{
	(void)state;
	CHECK_BARE(whoami_verb, 10);
	CHECK(whoami_verb, 10, "--json");
}

static void
come_by_ssh(void)
{
	char path[sizeof(folder) + 16];

	snprintf(path, sizeof(path), "%s/agent.sock", folder);
	setenv("SSH_CONNECTION", "192.0.2.1 22 192.0.2.2 22", 1);
	setenv("SSH_AUTH_SOCK", path, 1);
	setenv("AWSENV_SOCK", "/nowhere/agent.sock", 1);
}

/* No other agent for want of memory, with another person's login. */
static void
the_forwarded_agent_is_asked_or_none_is(void **state)
{
	static const struct verb_case c = {
	    .verb = whoami_verb, .words = {NULL}, .before = come_by_ssh};

	(void)state;
	assert_true(verb_fails(&c, ENOMEM) > 10);
	assert_true(verb_fails(&c, EMFILE) > 5);
}

static void
keys_are_printed_whole_or_none_are(void **state)
{
	(void)state;
	CHECK_BARE(export_verb, 10);
	CHECK(export_verb, 10, "--format", "json");
	CHECK(export_verb, 10, "--format", "ini");
	CHECK_BARE(process_verb, 10);
}

/* awsenv-ctl's own stand beside its main(). */
const struct verb *
ctl_verb(const char *name)
{
	return verb_find(name);
}

static void
words_are_completed_from_the_whole_list(void **state)
{
	(void)state;
	CHECK(completion_verb, 5, "words", "--", "e");
}

/* ---- what the agent says */

static const struct profile_item profiles[] = {
    {.name = V("marketing"),
	.session = V("corp"),
	.start_url = V("https://corp.awsapps.com/start"),
	.sso_region = V("eu-central-1"),
	.account = V("111111111111"),
	.role = V("Dev"),
	.region = V("eu-west-1"),
	.login_state = LOGIN_DONE,
	.login_expires = FAR_OFF},
    {.name = V("chain"),
	.session = V("corp"),
	.account = V("111111111111"),
	.role = V("Dev"),
	.chain = V("arn:aws:iam::222222222222:role/Deploy")},
    {.name = V("broken"), .error = AW_CONFIG, .text = V("broken: it is so")},
};

static const struct grant_item grants[] = {
    {.account = V("111111111111"),
	.name = V("Production, all"),
	.email = V("prod@example.com"),
	.role = V("Dev")},
    {.account = V("222222222222"), .name = V("Test"), .role = V("Admin")},
};

static const struct login_item logins[] = {
    {.session = V("corp"),
	.start_url = V("https://corp.awsapps.com/start"),
	.region = V("eu-central-1"),
	.state = LOGIN_DONE,
	.expires = FAR_OFF,
	.person = V("Jane@example.com")},
};

static const struct log_item log_items[] = {
    {.number = 1,
	.time = 1795219200,
	.pid = 42,
	.request = V("creds@awsenv"),
	.origin = V("local"),
	.profile = V("marketing"),
	.account = V("111111111111"),
	.role = V("Dev"),
	.access_key = V("ASIAEXAMPLEEXAMPLE00"),
	.program = V("aws")},
    {.number = 2,
	.time = 1795219300,
	.error = AW_DENIED,
	.pid = 43,
	.request = V("creds@awsenv"),
	.origin = V("forwarded"),
	.host = V("SHA256:abc")},
};

static const struct question_item questions[] = {
    {.id = 7,
	.until = FAR_OFF,
	.answers = 1 << ANSWER_ONCE,
	.profile = V("marketing"),
	.account = V("111111111111"),
	.role = V("Dev"),
	.programs = V("awsenv < make")},
};

static const struct forward_item sockets[] = {
    {.name = V("forward-1a2b3c4d"),
	.path = V("/run/user/1000/awsenv/forward-1a2b3c4d.sock"),
	.profiles = V("marketing\0chain\0"),
	.until = FAR_OFF},
};

#define LIST(out, kind, items)                                 \
	for (i = 0; i < sizeof(items) / sizeof(*(items)); i++) \
	msg_append(kind, &(items)[i], out)

static int
begin(void **state)
{
	static const struct creds creds = {
	    .expires = FAR_OFF,
	    .access_key = V("ASIAEXAMPLEEXAMPLE00"),
	    .secret_key = V("secret/secret+secret"),
	    .session_token = V("token=="),
	};
	static const struct log_rep no_more = {.next = 2};
	static const struct whoami_rep who = {
	    .profile = V("marketing"),
	    .session = V("corp"),
	    .account = V("111111111111"),
	    .role = V("Dev"),
	    .arn = V("arn:aws:sts::111111111111:assumed-role/Dev/Jane"),
	    .user_id = V("AROA:Jane"),
	    .person = V("Jane"),
	    .expires = FAR_OFF,
	};
	struct buf list[6] = {{0}};
	AUTOBUF struct buf sealed = {0};
	struct profiles_rep known = {0};
	struct grants_rep listed = {
	    .listing = 1, .accounts = 2, .done = 2, .complete = true};
	struct status_rep status = {
	    .version = V(AWSENV_VERSION),
	    .agent_pid = 1234,
	    .broker_pid = 1235,
	    .started = 1795219200,
	    .sandbox = V("no_new_privs"),
	    .logins = 1,
	    .profiles = 2,
	    .profile = V("marketing"),
	    .session = V("corp"),
	    .login_state = LOGIN_DONE,
	    .login_expires = FAR_OFF,
	};
	struct list_rep logged_in = {0};
	struct log_rep log = {.next = 2};
	struct questions_rep asked = {.change = 1};
	struct forward_rep open = {0};
	struct creds_rep given = {
	    .profile = V("marketing"),
	    .account = V("111111111111"),
	    .role = V("Dev"),
	    .region = V("eu-west-1"),
	    .settings = V("AWS_CA_BUNDLE=/ca.pem\0"),
	};
	const struct fake_answer answers[] = {
	    {"profiles@awsenv", MSG_PROFILES_REP, &known},
	    {"grants@awsenv", MSG_GRANTS_REP, &listed},
	    {"status@awsenv", MSG_STATUS_REP, &status},
	    {"list@awsenv", MSG_LIST_REP, &logged_in},
	    {"log@awsenv", MSG_LOG_REP, &log},
	    {"log@awsenv", MSG_LOG_REP, &no_more},
	    {"questions@awsenv", MSG_QUESTIONS_REP, &asked},
	    {"forward@awsenv", MSG_FORWARD_REP, &open},
	    {"whoami@awsenv", MSG_WHOAMI_REP, &who},
	    {"creds@awsenv", MSG_CREDS_REP, &given},
	    {NULL, MSG_EMPTY, NULL},
	};
	size_t i;

	(void)state;
	LIST(&list[0], MSG_PROFILE_ITEM, profiles);
	LIST(&list[1], MSG_GRANT_ITEM, grants);
	LIST(&list[2], MSG_LOGIN_ITEM, logins);
	LIST(&list[3], MSG_LOG_ITEM, log_items);
	LIST(&list[4], MSG_QUESTION_ITEM, questions);
	LIST(&list[5], MSG_FORWARD_ITEM, sockets);
	msg_encode(MSG_CREDS, &creds, &sealed);
	known.items = view_of(&list[0]);
	listed.items = view_of(&list[1]);
	logged_in.items = view_of(&list[2]);
	log.items = view_of(&list[3]);
	asked.items = view_of(&list[4]);
	open.items = view_of(&list[5]);
	given.sealed = view_of(&sealed);
	if (!mkdtemp(folder))
		return -1;
	setenv("HOME", folder, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	setenv("TZ", "", 1);
	unsetenv("SSH_CONNECTION");
	fake_agent_begin(folder, answers);
	for (i = 0; i < 6; i++)
		buf_free(&list[i]);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	fake_agent_end();
	return rmdir(folder);
}

/* More than is written at once. */
static void
a_long_list_is_whole_or_not_a_success(void **state)
{
	static const char *const words[][2] = {
	    {NULL}, {"--json", NULL}, {"--csv", NULL}};
	static struct verb_case c = {.verb = ls_verb};
	struct profiles_rep known = {0};
	const struct fake_answer answers[] = {
	    {"profiles@awsenv", MSG_PROFILES_REP, &known},
	    {NULL, MSG_EMPTY, NULL},
	};
	AUTOBUF struct buf list = {0};
	struct profile_item item = profiles[0];
	char name[128];
	size_t i;

	(void)state;
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "profile-%090zu", i);
		item.name = view_str(name);
		msg_append(MSG_PROFILE_ITEM, &item, &list);
	}
	known.items = view_of(&list);
	fake_agent_end();
	fake_agent_begin(folder, answers);
	for (i = 0; i < 3; i++) {
		c.words[0] = words[i][0];
		assert_true(verb_fails(&c, EIO) > 5);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(profiles_are_listed_whole_or_not_as_a_success),
	    cmocka_unit_test(roles_are_listed_whole_or_not_as_a_success),
	    cmocka_unit_test(a_status_is_whole_or_none),
	    cmocka_unit_test(a_log_is_whole_or_not_a_success),
	    cmocka_unit_test(questions_are_shown_whole_or_none),
	    cmocka_unit_test(sockets_are_listed_whole_or_none),
	    cmocka_unit_test(whoever_one_is_is_told_whole),
	    cmocka_unit_test(the_forwarded_agent_is_asked_or_none_is),
	    cmocka_unit_test(keys_are_printed_whole_or_none_are),
	    cmocka_unit_test(words_are_completed_from_the_whole_list),
	    cmocka_unit_test(a_long_list_is_whole_or_not_a_success),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
