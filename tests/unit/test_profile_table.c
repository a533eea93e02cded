/* SPDX-License-Identifier: ISC */
/* From files to messages; the cases of tests/data/profile say the rest. */
#include "agent/profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SSO(region)                                        \
	"sso_start_url = https://corp.awsapps.com/start\n" \
	"sso_region = " region "\n"                        \
	"sso_account_id = 111111111111\n"                  \
	"sso_role_name = Dev\n"

static char folder[] = "/tmp/awsenv-test-XXXXXX";
static struct table table;

static int
make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(void **state)
{
	static const char *const names[] = {"etc/config.d/a.conf",
	    "etc/config.d/b.conf", "etc/config.d", "etc/config", "etc",
	    ".aws/config", ".aws", ""};
	char path[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		remove(path);
	}
	return access(folder, F_OK) == 0 ? -1 : 0;
}

static int
forget(void **state)
{
	(void)state;
	table_free(&table);
	return 0;
}

static void
put_file(const char *name, const char *text)
{
	char path[128], *slash;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (slash = path + strlen(folder) + 1; (slash = strchr(slash, '/'));
	     slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	assert_non_null(f = fopen(path, "w"));
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
read_with(struct view env)
{
	struct read_req req = {.version = MSG_VERSION, .env = env};
	char admin[128];

	table_free(&table);
	snprintf(admin, sizeof(admin), "%s/etc", folder);
	assert_int_equal(table_read(&table, admin, &req, folder), AW_OK);
}

static void
read_home(const char *text)
{
	put_file(".aws/config", text);
	read_with((struct view){0});
}

static const struct profile *
profile(const char *name)
{
	const struct profile_row *row;

	for (row = table.profile; row; row = row->next) {
		if (view_is(row->msg.name, name))
			return &row->msg;
	}
	fail_msg("no profile %s", name);
	return NULL;
}

static void
each_step_of_a_chain_and_sts_count_in_its_digest(void **state)
{
	static const char *const ends[] = {
	    "role_arn = arn:aws:iam::222222222222:role/R\n",
	    "role_arn = arn:aws:iam::222222222222:role/S\n",
	    "role_arn = arn:aws:iam::222222222222:role/R\nexternal_id = ab\n",
	    "role_arn = arn:aws:iam::222222222222:role/R\n"
	    "role_session_name = ann\n",
	    "role_arn = arn:aws:iam::222222222222:role/R\n"
	    "duration_seconds = 900\n",
	    "role_arn = arn:aws:iam::222222222222:role/R\nregion = eu-west-2\n",
	};
	uint8_t digests[6][32];
	char text[512];
	int i, j;

	(void)state;
	for (i = 0; i < 6; i++) {
		snprintf(text, sizeof(text),
		    "[profile a]\n" SSO("eu-west-1") "[profile b]\n"
						     "source_profile = a\n%s",
		    ends[i]);
		read_home(text);
		assert_int_equal(profile("b")->error, AW_OK);
		assert_int_equal(profile("b")->chain_digest.n, 32);
		memcpy(digests[i], profile("b")->chain_digest.p, 32);
		for (j = 0; j < i; j++)
			assert_memory_not_equal(digests[i], digests[j], 32);
	}
	read_home(text);
	assert_memory_equal(digests[5], profile("b")->chain_digest.p, 32);
	assert_int_equal(profile("a")->chain_digest.n, 0);
}

static void
a_chain_begins_with_the_role_next_to_the_login(void **state)
{
	struct view chain;
	struct step step;

	(void)state;
	read_home("[profile a]\n" SSO(
	    "eu-west-1") "[profile b]\nsource_profile = a\n"
			 "role_arn = arn:aws:iam::222222222222:role/First\n"
			 "[profile c]\nsource_profile = b\n"
			 "role_arn = arn:aws:iam::333333333333:role/Second\n");
	chain = profile("c")->chain;
	assert_true(msg_each(MSG_STEP, &chain, &step));
	assert_true(text_ends(step.role_arn, "First"));
	assert_true(msg_each(MSG_STEP, &chain, &step));
	assert_true(text_ends(step.role_arn, "Second"));
	assert_false(msg_each(MSG_STEP, &chain, &step));
	assert_int_equal(chain.n, 0);
}

static void
sixteen_profiles_in_a_row_are_the_most(void **state)
{
	char text[4096] = "[profile p0]\n" SSO("eu-west-1"), name[8];
	size_t n = strlen(text);
	int i;

	(void)state;
	for (i = 1; i <= 17; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[profile p%d]\nsource_profile = p%d\n"
		    "role_arn = arn:aws:iam::222222222222:role/R\n",
		    i, i - 1);
	read_home(text);
	for (i = 0; i <= 17; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(
		    profile(name)->error, i < 16 ? AW_OK : AW_CONFIG);
	}
}

static void
pieces_of_the_administrator_are_read_in_their_order(void **state)
{
	(void)state;
	put_file(
	    "etc/config", "[profile a]\n" SSO("eu-west-1") "region = aa-1\n");
	put_file("etc/config.d/b.conf", "[profile a]\nregion = bb-1\n");
	put_file("etc/config.d/a.conf", "[profile a]\nregion = cc-1\n");
	read_home("");
	assert_true(view_is(profile("a")->region, "bb-1"));
	read_home("[profile a]\nregion = dd-1\n");
	assert_true(view_is(profile("a")->region, "dd-1"));
	put_file("etc/config.d/a.conf", "[profile a]\nawsenv_enforce = true\n");
	read_with((struct view){0});
	assert_true(view_is(profile("a")->region, "bb-1"));
	assert_int_equal(table.profiles, 1);
	put_file("etc/config", "");
	put_file("etc/config.d/a.conf", "");
	put_file("etc/config.d/b.conf", "");
}

struct seen {
	unsigned int sessions, profiles, problems, ends;
	unsigned int until; /* then the sink fails */
};

static enum aw_err
count(void *arg, enum msg_kind kind, const void *msg)
{
	struct seen *s = arg;

	if (s->until && --s->until == 0)
		return AW_GONE;
	assert_int_equal(s->ends, 0);
	if (kind == MSG_SESSION) {
		assert_int_equal(
		    ((const struct session *)msg)->index, s->sessions);
		assert_int_equal(s->profiles, 0);
	}
	s->sessions += kind == MSG_SESSION;
	s->profiles += kind == MSG_PROFILE;
	s->problems += kind == MSG_PROBLEM_ITEM;
	s->ends += kind == MSG_TABLE_END;
	return AW_OK;
}

static void
sessions_go_before_profiles_and_the_end_comes_last(void **state)
{
	struct seen seen = {0};

	(void)state;
	read_home("oh\n[profile a]\n" SSO("eu-west-1") "[profile b]\n" SSO(
	    "eu-west-2") "[sso-session c]\n[profile d]\n");
	assert_int_equal(table_send(&table, count, &seen), AW_OK);
	assert_int_equal(seen.sessions, 3);
	assert_int_equal(seen.profiles, 3);
	assert_int_equal(seen.problems, 1);
	assert_int_equal(seen.ends, 1);
}

static void
handing_over_stops_where_nobody_takes(void **state)
{
	unsigned int i;

	(void)state;
	read_home("oh\n[profile a]\n" SSO("eu-west-1"));
	for (i = 1; i <= 4; i++) {
		struct seen seen = {.until = i};

		assert_int_equal(table_send(&table, count, &seen), AW_GONE);
		assert_int_equal(
		    seen.sessions + seen.profiles + seen.problems, i - 1);
	}
}

static void
a_broken_table_tells_why_and_has_no_end(void **state)
{
	struct read_req req = {.config = view_str(folder)};
	struct seen seen = {0};

	(void)state;
	assert_int_equal(
	    table_read(&table, "/nonexistent", &req, folder), AW_SYSTEM);
	assert_int_equal(table_send(&table, count, &seen), AW_OK);
	assert_int_equal(seen.problems, 1);
	assert_int_equal(seen.sessions + seen.profiles + seen.ends, 0);
}

static void
the_environment_counts_for_sessions_too(void **state)
{
	static const char env[] = "AWS_ENDPOINT_URL=https://lab.example\0"
				  "HTTPS_PROXY=http://u:geheim@p.example:1";
	const struct session *s;
	struct facts f;

	(void)state;
	put_file(".aws/config",
	    "[sso-session c]\nsso_region = eu-west-1\n"
	    "sso_start_url = https://corp.awsapps.com/start\n");
	read_with((struct view){(const uint8_t *)env, sizeof(env)});
	assert_int_equal(table.sessions, 1);
	s = &table.session->msg;
	assert_true(view_is(s->notice,
	    "NOT AWS: endpoint https://lab.example; through proxy p.example"));
	assert_true(msg_decode(MSG_FACTS, s->facts, &f));
	assert_true(view_is(f.oidc, "https://lab.example"));
	assert_true(view_is(f.proxy, "http://u:geheim@p.example:1"));
}

static const char *
setting(const char *name)
{
	static char text[200];
	struct view v = {0};

	view_find(view_of(&table.settings), name, &v);
	snprintf(text, sizeof(text), "%.*s", VIEW_ARG(v));
	return text;
}

static void
the_agent_is_told_what_stands_in_its_section(void **state)
{
	char path[160];

	(void)state;
	put_file("etc/config",
	    "[awsenv]\nawsenv_ssh_agent = /etc/sock\n"
	    "awsenv_ssh_relay = all\n");
	read_home("[awsenv]\nawsenv_ssh_agent = ~/my sock\n");
	snprintf(path, sizeof(path), "%s/my sock", folder);
	assert_string_equal(setting("awsenv_ssh_agent"), path);
	assert_string_equal(setting("awsenv_ssh_relay"), "all");
	assert_null(table.config.problem);
	/* What the administrator enforces, a user's section does not undo. */
	put_file("etc/config",
	    "[awsenv]\nawsenv_enforce = true\nawsenv_ssh_relay = keys\n");
	read_home("[awsenv]\nawsenv_ssh_relay = all\n");
	assert_string_equal(setting("awsenv_ssh_relay"), "keys");
	put_file("etc/config", "");
	read_home("");
	assert_string_equal(setting("awsenv_ssh_relay"), "");
}

static void
what_the_agent_cannot_use_counts_as_the_strictest(void **state)
{
	(void)state;
	read_home("[awsenv]\nawsenv_ssh_agent = sock\n"
		  "awsenv_ssh_relay = some\n");
	assert_string_equal(setting("awsenv_ssh_agent"), "none");
	assert_string_equal(setting("awsenv_ssh_relay"), "keys");
	assert_non_null(table.config.problem);
	assert_int_equal(table.config.problem->line, 2);
	assert_non_null(table.config.problem->next);
	read_home("[awsenv]\nawsenv_lock = Soft\n");
	assert_string_equal(setting("awsenv_lock"), "hard");
	read_home("[awsenv]\nawsenv_lock = off\n");
	assert_string_equal(setting("awsenv_lock"), "off");
	assert_null(table.config.problem);
	read_home("[awsenv]\nawsenv_idle = 8 hours\n");
	assert_string_equal(setting("awsenv_idle"), "900");
	assert_non_null(table.config.problem);
	read_home("[awsenv]\nawsenv_idle = 169h\n");
	assert_string_equal(setting("awsenv_idle"), "900");
	read_home("[awsenv]\nawsenv_idle = 0\n");
	assert_string_equal(setting("awsenv_idle"), "900");
	read_home("[awsenv]\nawsenv_idle = 168h\n");
	assert_string_equal(setting("awsenv_idle"), "604800");
	assert_null(table.config.problem);
	read_home("[awsenv]\nawsenv_idle = 1s\n");
	assert_string_equal(setting("awsenv_idle"), "1");
	read_home("[awsenv]\nawsenv_idle = off\n");
	assert_string_equal(setting("awsenv_idle"), "0");
	assert_null(table.config.problem);
	read_home("[profile a]\nawsenv_ssh_agent = /sock\n");
	assert_string_equal(setting("awsenv_ssh_agent"), "");
	assert_non_null(table.config.problem);
}

#define T(name) cmocka_unit_test_teardown(name, forget)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(the_agent_is_told_what_stands_in_its_section),
	    T(what_the_agent_cannot_use_counts_as_the_strictest),
	    T(each_step_of_a_chain_and_sts_count_in_its_digest),
	    T(a_chain_begins_with_the_role_next_to_the_login),
	    T(sixteen_profiles_in_a_row_are_the_most),
	    T(pieces_of_the_administrator_are_read_in_their_order),
	    T(sessions_go_before_profiles_and_the_end_comes_last),
	    T(handing_over_stops_where_nobody_takes),
	    T(a_broken_table_tells_why_and_has_no_end),
	    T(the_environment_counts_for_sessions_too),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
