/* SPDX-License-Identifier: ISC */
#include "tests/unit/fake_broker.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const uint8_t other_login[LOGIN_ID] = "login of the session named dev!";

static int
setup(void **state)
{
	(void)state;
	fake_begin();
	fake_reset();
	return 0;
}

static struct ask
asking(const char *config, uint64_t mtime)
{
	return (struct ask){
	    .config = view_str(config),
	    .stamp = fake_stamp(mtime),
	};
}

static struct table *
read_names(const char *config, const char *const *names)
{
	struct ask ask = asking(config, 1);
	struct table *t = table_for(&ask);

	assert_non_null(t);
	assert_non_null(table_read(t, &ask));
	assert_true(fake_profiles(1, names));
	return t;
}

static void
a_profile_is_found_by_its_whole_name(void **state)
{
	static const char *const names[] = {
	    "default", "marketing", "marketing-dev", "m", NULL};
	struct table *t = read_names("/a", names);
	struct profile p;
	int i;

	(void)state;
	for (i = 0; names[i]; i++) {
		assert_true(table_profile(t, view_str(names[i]), &p));
		assert_true(view_is(p.name, names[i]));
	}
	assert_false(table_profile(t, view_str("market"), &p));
	assert_false(table_profile(t, view_str("Marketing"), &p));
	assert_false(table_profile(t, view_str(""), &p));
}

/* Of those that can be used, and go no further than that role. */
static void
a_role_is_found_by_the_first_profile_that_leads_to_it(void **state)
{
	struct view account = view_str("123456789012");
	struct ask ask = asking("/roles", 1);
	struct table *t = table_for(&ask);
	struct profile rows[] = {
	    {.name = view_str("broken"), .error = AW_CONFIG},
	    {.name = view_str("chain"), .chain = view_str("steps")},
	    {.name = view_str("dev")},
	    {.name = view_str("again")},
	};
	struct table_end end = {.stamp = fake_stamp(1), .profiles = 4};
	struct profile p;
	int fd, i;

	(void)state;
	table_read(t, &ask);
	fd = fake_spawn(PROGRAM_PROFILE);
	for (i = 0; i < 4; i++) {
		rows[i].account = account;
		rows[i].role = view_str("Dev");
		link_send_msg(fd, MSG_PROFILE, &rows[i]);
	}
	link_send_msg(fd, MSG_TABLE_END, &end);
	settle();
	close(fd);
	settle();
	assert_true(table_role(t, account, view_str("dEV"), &p));
	assert_true(view_is(p.name, "dev"));
	assert_false(table_role(t, account, view_str("Dev "), &p));
	assert_false(table_role(t, account, view_str(""), &p));
	assert_false(
	    table_role(t, view_str("123456789013"), view_str("Dev"), &p));
}

static void
ten_thousand_profiles_are_found(void **state)
{
	enum { N = 10000 };
	static char text[N][16];
	static const char *names[N + 1];
	struct ask ask = asking("/many", 1);
	struct table *t = table_for(&ask);
	struct profile p;
	struct view v;
	int fd, i;

	(void)state;
	/* They come in many packets, which the reader has to wait with. */
	table_read(t, &ask);
	fd = fake_spawn(PROGRAM_PROFILE);
	assert_true(fd >= 0);
	for (i = 0; i < N; i++) {
		snprintf(text[i], sizeof(text[i]), "profile-%05d", i);
		names[i] = text[i];
	}
	{
		AUTOBUF struct buf facts = {0};
		struct session s = {
		    .name = view_str("corp"), .login = fake_login_id()};
		struct profile row = {.account = view_str("1")};
		struct table_end end = {
		    .stamp = fake_stamp(1), .profiles = N, .sessions = 1};

		fake_facts(&facts);
		s.facts = view_of(&facts);
		assert_int_equal(link_send_msg(fd, MSG_SESSION, &s), AW_OK);
		for (i = 0; i < N; i++) {
			row.name = view_str(names[i]);
			while (link_send_msg(fd, MSG_PROFILE, &row) == AW_BUSY)
				loop_once();
		}
		while (link_send_msg(fd, MSG_TABLE_END, &end) == AW_BUSY)
			loop_once();
	}
	close(fd);
	settle();
	assert_string_equal(t->text, "");
	for (i = 0; i < N; i++) {
		v = view_str(names[i]);
		assert_true(table_profile(t, v, &p));
	}
	assert_false(table_profile(t, view_str("profile-10000"), &p));
}

static void
near_names_are_the_nearest_three(void **state)
{
	static const char *const names[] = {"default", "marketing",
	    "marketing-dev", "markting", "platform", "sandbox", NULL};
	struct table *t = read_names("/a", names);
	char *near;

	(void)state;
	near = table_near(t, view_str("marketting"));
	assert_string_equal(near, "marketing, markting");
	free(near);
	near = table_near(t, view_str("MARKETING-DEV"));
	assert_string_equal(near, "marketing-dev, marketing, markting");
	free(near);
	near = table_near(t, view_str("sand"));
	assert_string_equal(near, "sandbox");
	free(near);
	assert_null(table_near(t, view_str("quite-another")));
}

static void
a_stamp_tells_whether_to_read_again(void **state)
{
	static const char *const names[] = {"default", NULL};
	struct table *t = read_names("/a", names);
	struct stamp seen = fake_stamp(1);

	(void)state;
	assert_true(table_current(t, &seen));
	seen.size++;
	assert_false(table_current(t, &seen));
	seen.mtime = STAMP_UNKNOWN;
	assert_true(table_current(t, &seen));
	assert_false(table_old(t, false));
	pass(301);
	assert_true(table_old(t, false));
}

static void
a_client_that_sees_another_file_costs_one_reading(void **state)
{
	static const char *const names[] = {"default", NULL};
	struct ask ask = asking("/elsewhere", 99);
	struct table *t = table_for(&ask);

	(void)state;
	table_read(t, &ask);
	fake_profiles(1, names); /* the agent sees mtime 1 */
	assert_true(table_current(t, &ask.stamp));
}

static void
the_last_good_table_outlives_a_reader_that_fails(void **state)
{
	static const char *const names[] = {"default", NULL};
	struct table *t = read_names("/a", names);
	struct ask ask = asking("/a", 2);
	struct table_end end = {.stamp = fake_stamp(2), .profiles = 7};
	struct profile p;
	int fd;

	(void)state;
	table_read(t, &ask);
	fd = fake_spawn(PROGRAM_PROFILE);
	link_send_msg(fd, MSG_TABLE_END, &end); /* seven are missing */
	settle();
	assert_int_equal(t->error, AW_CONFIG);
	assert_true(table_profile(t, view_str("default"), &p));
	close(fd);
}

static void
while_it_does_it_is_told_why(void **state)
{
	static const char *const names[] = {"default", NULL};
	struct table *t = read_names("/a", names);
	struct ask ask = asking("/a", 2);
	struct problem_item p = {
	    .file = view_str("/a"), .text = view_str("permission denied")};
	int fd;

	(void)state;
	assert_int_equal(table_problems(t), 0);
	table_read(t, &ask);
	while (t->job) {
		fd = fake_spawn(PROGRAM_PROFILE);
		assert_int_equal(
		    link_send_msg(fd, MSG_PROBLEM_ITEM, &p), AW_OK);
		close(fd);
		settle();
		pass(1);
	}
	assert_int_equal(table_problems(t), 1);
	assert_true(table_problem(t, 0, &p));
	assert_true(view_is(p.file, "/a") && p.line == 0);
	assert_true(view_is(p.text, "permission denied"));
	assert_false(table_problem(t, 1, &p));
	assert_true(table_why(t, view_str("new"), &p));
	read_names("/a", names);
	assert_int_equal(table_problems(t), 0);
	assert_false(table_why(t, view_str("new"), &p));
}

static void
a_failure_without_a_word_is_one_of_the_file(void **state)
{
	static const char *const names[] = {"default", NULL};
	struct table *t = read_names("", names);
	struct ask ask = asking("", 2);
	struct table_end end = {.profiles = 7};
	struct problem_item p;
	int fd;

	(void)state;
	table_read(t, &ask);
	fd = fake_spawn(PROGRAM_PROFILE);
	link_send_msg(fd, MSG_TABLE_END, &end);
	settle();
	close(fd);
	assert_true(table_problem(t, 0, &p));
	assert_true(view_is(p.file, "~/.aws/config"));
	assert_true(view_is(p.text, "awsenv-profile sent half a table"));
}

static void
why_it_is_switched_off_is_kept_until_it_is_on_again(void **state)
{
	static const char *const names[] = {"default", NULL};
	struct table *t = read_names("/off", names);
	struct ask ask = asking("/off", 2);
	struct table_end end = {
	    .stamp = fake_stamp(2), .off = view_str("off, says /etc")};
	int fd;

	(void)state;
	assert_int_equal(table_off(t).n, 0);
	table_read(t, &ask);
	fd = fake_spawn(PROGRAM_PROFILE);
	link_send_msg(fd, MSG_TABLE_END, &end);
	settle();
	close(fd);
	assert_true(view_is(table_off(t), "off, says /etc"));
	read_names("/off", names);
	assert_int_equal(table_off(t).n, 0);
}

static void
four_tables_are_kept_and_the_unused_one_goes(void **state)
{
	static const char *const names[] = {"default", NULL};
	static const char *const files[] = {"/1", "/2", "/3", "/4"};
	struct ask ask;
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		read_names(files[i], names);
	ask = asking("/1", 1);
	assert_non_null(table_for(&ask)->now); /* used again */
	read_names("/5", names);
	assert_non_null(table_for(&ask)->now);
	ask = asking("/2", 1);
	assert_null(table_for(&ask)->now);
}

static void
another_environment_is_another_table(void **state)
{
	static const char *const names[] = {"default", NULL};
	struct table *t = read_names("/a", names);
	struct ask ask = asking("/a", 1);

	(void)state;
	assert_ptr_equal(table_for(&ask), t);
	ask.env = (struct view){(const uint8_t *)"AWS_REGION=x", 13};
	assert_ptr_not_equal(table_for(&ask), t);
}

/* ---- target.c */

/* Sessions corp (as a profile has it, and bare) and dev. */
static struct table *
two_sessions(void)
{
	AUTOBUF struct buf facts = {0};
	struct ask ask = asking("/two", 1);
	struct table *t = table_for(&ask);
	struct session s = {.name = view_str("corp")};
	struct profile p = {
	    .account = view_str("123456789012"),
	    .role = view_str("Dev"),
	    .region = view_str("eu-west-1"),
	    .sts = view_str("https://sts"),
	};
	struct table_end end = {.stamp = fake_stamp(1),
	    .profiles = 2,
	    .sessions = 3,
	    .settings = {(const uint8_t *)"a=1\0awsenv_b=~/x\0", 17}};
	int fd;

	table_read(t, &ask);
	fd = fake_spawn(PROGRAM_PROFILE);
	fake_facts(&facts);
	s.facts = view_of(&facts);
	s.login = (struct view){other_login, LOGIN_ID};
	s.bare = 1;
	link_send_msg(fd, MSG_SESSION, &s);
	s.bare = 0;
	s.index = 1;
	s.login = fake_login_id();
	link_send_msg(fd, MSG_SESSION, &s);
	s.index = 2;
	s.name = view_str("dev");
	s.login = (struct view){other_login, LOGIN_ID};
	link_send_msg(fd, MSG_SESSION, &s);
	p.name = view_str("marketing");
	p.session = 1;
	link_send_msg(fd, MSG_PROFILE, &p);
	p.name = view_str("broken");
	p.error = AW_CONFIG;
	p.text = view_str("/two:7: sso_region is missing");
	link_send_msg(fd, MSG_PROFILE, &p);
	link_send_msg(fd, MSG_TABLE_END, &end);
	settle();
	close(fd);
	return t;
}

static enum aw_err
find(struct ask ask, bool login, struct target *t, const char *text)
{
	char *said = NULL;
	enum aw_err r;

	*t = (struct target){0};
	r = target_find(two_sessions(), &ask, login, t, &said);
	buf_free(&t->id);
	assert_string_equal(said ? said : "", text);
	free(said);
	return r;
}

static void
settings_of_the_agent_come_with_the_table(void **state)
{
	struct table *t = two_sessions();

	(void)state;
	assert_true(view_is(table_setting(t, "awsenv_b"), "~/x"));
	assert_true(view_is(table_setting(t, "a"), "1"));
	assert_int_equal(table_setting(t, "awsenv").n, 0);
}

static void
a_profile_names_account_and_role(void **state)
{
	struct ask ask = {.profile = view_str("marketing")};
	struct target t;

	(void)state;
	assert_int_equal(find(ask, false, &t, ""), AW_OK);
	assert_true(view_is(t.account, "123456789012"));
	assert_true(view_eq(t.session.login, fake_login_id()));
}

static void
an_unusable_profile_says_why(void **state)
{
	struct ask ask = {.profile = view_str("broken")};
	struct target t;

	(void)state;
	assert_int_equal(
	    find(ask, false, &t, "/two:7: sso_region is missing"), AW_CONFIG);
}

static void
account_and_role_need_a_session_where_there_are_two(void **state)
{
	struct ask ask = {
	    .account = view_str("1"),
	    .role = view_str("R"),
	};
	struct target t;

	(void)state;
	assert_int_equal(
	    find(ask, false, &t, "say --sso-session, one of corp, dev"),
	    AW_CONFIG);
	ask.session = view_str("dev");
	assert_int_equal(find(ask, false, &t, ""), AW_OK);
	assert_memory_equal(t.session.login.p, other_login, LOGIN_ID);
	/* As the profile that uses it has it, not the bare section. */
	ask.session = view_str("corp");
	assert_int_equal(find(ask, false, &t, ""), AW_OK);
	assert_memory_equal(t.session.login.p, fake_login, LOGIN_ID);
	assert_true(view_is(t.sts, "https://sts"));
	ask.session = view_str("nosuch");
	assert_int_equal(
	    find(ask, false, &t,
		"no sso-session \"nosuch\" in the config file; say "
		"--sso-session, one of corp, dev"),
	    AW_CONFIG);
	/* A profile says which, too. */
	ask.session = (struct view){0};
	ask.profile = view_str("marketing");
	assert_int_equal(find(ask, false, &t, ""), AW_OK);
	assert_memory_equal(t.session.login.p, fake_login, LOGIN_ID);
}

static void
endpoints_of_a_profile_are_for_its_own_login(void **state)
{
	struct ask ask = {
	    .profile = view_str("marketing"),
	    .session = view_str("dev"),
	    .account = view_str("1"),
	    .role = view_str("R"),
	};
	struct target t;

	(void)state;
	assert_int_equal(find(ask, false, &t, ""), AW_OK);
	assert_memory_equal(t.session.login.p, other_login, LOGIN_ID);
	assert_int_equal(t.sts.n, 0);
	assert_true(view_is(t.region, "eu-west-1"));
	ask.session = view_str("corp");
	assert_int_equal(find(ask, false, &t, ""), AW_OK);
	assert_true(view_is(t.sts, "https://sts"));
}

static void
a_missing_profile_is_told_with_what_there_is(void **state)
{
	static const char *const none[] = {NULL};
	static const char *const four[] = {"one", "two", "three", "four", NULL};
	struct ask ask = {.profile = view_str("something-else")};
	AUTOFREE char *text = NULL;
	struct target t = {0};

	(void)state;
	assert_int_equal(
	    find(ask, false, &t,
		"no profile \"something-else\" in ~/.aws/config; there is "
		"marketing"),
	    AW_NOPROFILE);
	target_find(read_names("/four", four), &ask, false, &t, &text);
	assert_string_equal(text,
	    "no profile \"something-else\" in "
	    "~/.aws/config; there are one, two, three "
	    "and more");
	target_find(read_names("/none", none), &ask, false, &t, &text);
	assert_string_equal(text,
	    "no profile \"something-else\" in "
	    "~/.aws/config, nor any other: see "
	    "awsenv-config(5) for how to write one");
	buf_free(&t.id);
}

static void
a_session_alone_is_enough_for_a_login_only(void **state)
{
	struct ask ask = {.session = view_str("dev")};
	struct target t;

	(void)state;
	assert_int_equal(find(ask, true, &t, ""), AW_OK);
	assert_int_equal(
	    find(ask, false, &t, "--sso-session needs --account and --role"),
	    AW_CONFIG);
}

static void
ids_cannot_be_made_to_collide(void **state)
{
	struct ask ask = {
	    .session = view_str("dev"),
	    .account = {(const uint8_t *)"1\0R", 3},
	    .role = view_str("x"),
	};
	struct target t;

	(void)state;
	assert_int_equal(
	    find(ask, false, &t, "no account or role has such a name"),
	    AW_CONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
	    T(a_profile_is_found_by_its_whole_name),
	    T(a_role_is_found_by_the_first_profile_that_leads_to_it),
	    T(ten_thousand_profiles_are_found),
	    T(near_names_are_the_nearest_three),
	    T(a_stamp_tells_whether_to_read_again),
	    T(a_client_that_sees_another_file_costs_one_reading),
	    T(the_last_good_table_outlives_a_reader_that_fails),
	    T(while_it_does_it_is_told_why),
	    T(a_failure_without_a_word_is_one_of_the_file),
	    T(why_it_is_switched_off_is_kept_until_it_is_on_again),
	    T(four_tables_are_kept_and_the_unused_one_goes),
	    T(another_environment_is_another_table),
	    T(settings_of_the_agent_come_with_the_table),
	    T(a_profile_names_account_and_role),
	    T(an_unusable_profile_says_why),
	    T(account_and_role_need_a_session_where_there_are_two),
	    T(endpoints_of_a_profile_are_for_its_own_login),
	    T(a_missing_profile_is_told_with_what_there_is),
	    T(a_session_alone_is_enough_for_a_login_only),
	    T(ids_cannot_be_made_to_collide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
