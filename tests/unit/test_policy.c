/* SPDX-License-Identifier: ISC */
#include "tests/unit/broker_case.h"

static const char *const names[] = {
    "open", "no-payroll", "ask-prod", "far-deploy", NULL};
static uint64_t mtime = 1;

static int
setup(void **state)
{
	(void)state;
	case_begin_with(REMOTE);
	mtime++;
	pass(2); /* what was read for the test before is old */
	fake_forward = FORWARD_ALLOW;
	fake_hosts = (struct view){0};
	fake_far_chain = fake_far_digest = (struct view){0};
	fake_role("Dev", 600, 3000, "sealed");
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
	assert_true(msg_each(MSG_PROFILE_ITEM, &rep.items, &item));
	assert_true(view_is(item.name, "far-deploy"));
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
	assert_int_equal(rep.profiles, 2);
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

static void
brought(int fd, const struct fetch *f, const char *sealed)
{
	struct answer a = {
	    .creds = view_str(sealed),
	    .creds_expires = fake_seconds + 3600,
	    .access_key = view_str("ASIAFAR"),
	    .account = view_str("123456789012"),
	};

	fake_done(fd, f, &a);
}

/* Neither is the wide one, which is held, given to the far side, nor the
 * narrow one here. */
static void
what_is_narrower_from_afar_is_another_thing(void **state)
{
	static const uint8_t digest[32] = "narrow";
	AUTOBUF struct buf chain = {0};
	struct step step = {.role_arn = view_str("arn:aws:iam::1:role/D"),
	    .policy = view_str("{}")};
	struct creds_req req = {.ask = {.profile = view_str("far-deploy")}};
	struct creds_rep rep;
	struct fetch f;
	int fd, here = fake_client(LOCAL), i;

	(void)state;
	msg_append(MSG_STEP, &step, &chain);
	fake_far_chain = view_of(&chain);
	fake_far_digest = (struct view){digest, 32};
	fake_token(3600, true);
	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	assert_true(fd >= 0);
	assert_true(view_eq(f.chain, view_of(&chain)));
	brought(fd, &f, "narrow");
	for (i = 0; i < 2; i++) {
		if (i)
			fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
		assert_true(fake_reply(
		    client, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
		assert_true(view_is(rep.sealed, "narrow"));
	}
	req.ask.stamp = fake_stamp(mtime);
	fake_send(here, "creds@awsenv", MSG_CREDS_REQ, &req);
	assert_true(
	    fake_reply(here, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
	assert_true(view_is(rep.sealed, "sealed"));
	close(here);
	settle();
}

/* Each of the two may have something that the other may not. */
static void
root_behind_an_ssh_has_nothing(void **state)
{
	AUTOBUF struct buf bind = {0}, frame = {0};
	struct status_req req = {.ask = {.profile = view_str("open")}};
	struct status_rep rep;
	uint8_t said[5];

	(void)state;
	close(client);
	client = fake_client(ROOT);
	fake_send(client, "status@awsenv", MSG_STATUS_REQ, &req);
	fake_profiles(mtime, names);
	assert_true(
	    fake_reply(client, "status@awsenv", MSG_STATUS_REP, &rep, &keep));
	assert_int_equal(rep.error, AW_OK);
	buf_string(&bind, view_str("key"));
	buf_string(&bind, view_str("id"));
	buf_string(&bind, view_str("signature"));
	buf_u8(&bind, 1);
	io_put_request(&frame, "session-bind@openssh.com", view_of(&bind));
	assert_int_equal(write(client, frame.data, frame.len), frame.len);
	settle();
	assert_int_equal(read(client, said, sizeof(said)), sizeof(said));
	assert_int_equal(said[4], 6);
	assert_int_equal(creds_of("open"), AW_DENIED);
	fake_send(client, "status@awsenv", MSG_STATUS_REQ, &req);
	settle();
	assert_true(
	    fake_reply(client, "status@awsenv", MSG_STATUS_REP, &rep, &keep));
	assert_int_equal(rep.error, AW_DENIED);
}

/* It has no say in how long they are to last, as others have. */
static void
a_far_side_gets_the_oldest_that_will_do(void **state)
{
	struct creds_req req = {
	    .ask = {.profile = view_str("open")}, .seconds = 3000, .half = 1};
	struct creds_rep rep;
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	fake_role("Dev", 2700, 900, "old");
	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
	fake_profiles(mtime, names);
	assert_true(
	    fake_reply(client, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
	assert_true(view_is(rep.sealed, "old"));
	/* With less than 15 minutes they are of no use to it. */
	fake_role("Dev", 2701, 899, "older");
	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
	fd = fake_fetcher(&f, &order);
	assert_true(fd >= 0);
	brought(fd, &f, "new");
	assert_true(
	    fake_reply(client, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
	assert_true(view_is(rep.sealed, "new"));
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
	    T(what_is_narrower_from_afar_is_another_thing),
	    T(root_behind_an_ssh_has_nothing),
	    T(a_far_side_gets_the_oldest_that_will_do),
	    T(logins_and_management_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
