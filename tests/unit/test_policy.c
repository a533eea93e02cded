/* SPDX-License-Identifier: ISC */
#include "tests/unit/fake_broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *const names[] = {"open", "no-payroll", "ask-prod", NULL};
static uint64_t mtime = 1;
static int client = -1;
static struct buf keep;

static int
setup(void **state)
{
	(void)state;
	fake_begin();
	fake_reset();
	mtime++;
	pass(2); /* what was read for the test before is old */
	fake_forward = FORWARD_ALLOW;
	fake_hosts = (struct view){0};
	fake_role("Dev", 600, 3000, "sealed");
	client = fake_client(REMOTE);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fake_leave(client);
	buf_free(&keep);
	return 0;
}

static void
creds(const struct ask *ask, struct creds_rep *rep)
{
	struct creds_req req = {*ask, 0, false};

	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
	fake_profiles(mtime, names);
	assert_true(
	    fake_reply(client, "creds@awsenv", MSG_CREDS_REP, rep, &keep));
}

static enum aw_err
creds_of(const char *profile)
{
	struct ask ask = {.profile = view_str(profile)};
	struct creds_rep rep;

	creds(&ask, &rep);
	assert_int_equal(rep.error == AW_OK, rep.sealed.n != 0);
	return (enum aw_err)rep.error;
}

static char *
refusal(const struct ask *ask)
{
	struct creds_rep rep;

	creds(ask, &rep);
	assert_int_equal(rep.error, AW_DENIED);
	return text_dup(rep.text);
}

static void
what_is_allowed_is_given(void **state)
{
	(void)state;
	assert_int_equal(creds_of("open"), AW_OK);
}

/* ... of the same account and role: in a real table they would all be denied. */
static void
what_is_denied_is_not(void **state)
{
	(void)state;
	assert_int_equal(creds_of("no-payroll"), AW_DENIED);
	assert_int_equal(creds_of("ask-prod"), AW_DENIED);
}

static void
nothing_said_is_nothing_given(void **state)
{
	(void)state;
	fake_forward = FORWARD_DEFAULT;
	assert_int_equal(creds_of("open"), AW_DENIED);
}

static void
denied_and_unknown_profiles_are_told_alike(void **state)
{
	struct ask denied = {.profile = view_str("no-payroll")};
	struct ask unknown = {.profile = view_str("no-such1st")};
	AUTOFREE char *a = refusal(&denied), *b = refusal(&unknown);
	char *at;

	(void)state;
	while ((at = strstr(a, "no-payroll")))
		memcpy(at, "no-such1st", 10);
	assert_string_equal(a, b);
}

static void
account_and_role_are_as_the_profile_that_names_them(void **state)
{
	struct ask ask = {
	    .account = view_str("123456789012"), .role = view_str("Dev")};
	struct creds_rep rep;

	(void)state;
	creds(&ask, &rep);
	assert_int_equal(rep.error, AW_OK);
	/* AWS would find it by these, too. */
	ask.account = view_str("payroll");
	free(refusal(&ask));
	ask.account = view_str("123456789013");
	free(refusal(&ask));
}

static void
which_file_is_meant_is_not_for_a_far_side_to_say(void **state)
{
	AUTOBUF struct buf order = {0};
	struct creds_req req = {
	    .ask = {.config = view_str("/tmp/evil"),
		.env = {(const uint8_t *)"HTTPS_PROXY=http://evil", 24},
		.profile = view_str("open")},
	};
	struct read_req read;
	int fd;

	(void)state;
	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
	fd = fake_spawn(PROGRAM_PROFILE);
	assert_true(fd >= 0);
	fake_order(fd, &order, &read);
	assert_int_equal(read.config.n, 0);
	assert_int_equal(read.env.n, 0);
	close(fd);
	settle();
	pass(1);
	fake_profiles(mtime, names);
}

static void
the_file_counts_as_it_is_now(void **state)
{
	(void)state;
	assert_int_equal(creds_of("open"), AW_OK);
	fake_forward = FORWARD_DENY;
	pass(2);
	assert_int_equal(creds_of("open"), AW_DENIED);
}

/* Its file system hangs: the last table serves, and the next request does not
 * wait a second time. */
static void
a_file_that_hangs_does_not_hold_the_far_side(void **state)
{
	struct creds_req req = {.ask = {.profile = view_str("open")}};
	struct creds_rep rep;

	(void)state;
	assert_int_equal(creds_of("open"), AW_OK);
	pass(2);
	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
	assert_false(
	    fake_reply(client, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
	pass(2);
	assert_true(
	    fake_reply(client, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
	assert_int_equal(rep.error, AW_OK);
	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
	assert_true(
	    fake_reply(client, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
	fake_profiles(mtime, names);
}

static void
a_list_of_hosts_shuts_out_the_unknown(void **state)
{
	static const char hosts[] =
	    "SHA256:LHDhK3oGRvkiefQnx7OOczTY5Tic/xZ6HcMOc/gmtoM";

	(void)state;
	fake_hosts = (struct view){(const uint8_t *)hosts, sizeof(hosts)};
	assert_int_equal(creds_of("open"), AW_DENIED);
}

static void
only_what_may_be_used_is_listed(void **state)
{
	struct profiles_req req = {.from = 0};
	struct profiles_rep rep;
	struct profile_item item;

	(void)state;
	fake_send(client, "profiles@awsenv", MSG_PROFILES_REQ, &req);
	fake_profiles(mtime, names);
	assert_true(fake_reply(
	    client, "profiles@awsenv", MSG_PROFILES_REP, &rep, &keep));
	assert_true(msg_each(MSG_PROFILE_ITEM, &rep.items, &item));
	assert_true(view_is(item.name, "open"));
	assert_false(msg_each(MSG_PROFILE_ITEM, &rep.items, &item));
}

static void
status_tells_little(void **state)
{
	struct status_req req = {.ask = {.profile = view_str("no-payroll")}};
	struct status_rep rep;

	(void)state;
	fake_send(client, "status@awsenv", MSG_STATUS_REQ, &req);
	fake_profiles(mtime, names);
	assert_true(
	    fake_reply(client, "status@awsenv", MSG_STATUS_REP, &rep, &keep));
	assert_int_equal(rep.error, AW_OK);
	assert_true(rep.version.n > 0);
	assert_int_equal(rep.profiles, 1);
	assert_int_equal(rep.profile_error, AW_DENIED);
	assert_int_equal(rep.account.n, 0);
	assert_int_equal(rep.agent_pid, 0);
	assert_int_equal(rep.ring, 0);
	assert_int_equal(rep.sandbox.n, 0);
}

static void
logins_and_management_are_refused(void **state)
{
	struct login_req login = {.ask = {.profile = view_str("open")}};
	struct login_rep rep;
	struct done_rep done;

	(void)state;
	fake_send(client, "login@awsenv", MSG_LOGIN_REQ, &login);
	assert_true(
	    fake_reply(client, "login@awsenv", MSG_LOGIN_REP, &rep, &keep));
	assert_int_equal(rep.error, AW_DENIED);
	fake_send(client, "stop@awsenv", MSG_EMPTY, NULL);
	assert_true(
	    fake_reply(client, "stop@awsenv", MSG_DONE_REP, &done, &keep));
	assert_int_equal(done.error, AW_DENIED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(what_is_allowed_is_given),
	    T(what_is_denied_is_not),
	    T(nothing_said_is_nothing_given),
	    T(denied_and_unknown_profiles_are_told_alike),
	    T(account_and_role_are_as_the_profile_that_names_them),
	    T(which_file_is_meant_is_not_for_a_far_side_to_say),
	    T(the_file_counts_as_it_is_now),
	    T(a_file_that_hangs_does_not_hold_the_far_side),
	    T(a_list_of_hosts_shuts_out_the_unknown),
	    T(only_what_may_be_used_is_listed),
	    T(status_tells_little),
	    T(logins_and_management_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
