/* SPDX-License-Identifier: ISC */
#include "tests/unit/broker_case.h"

static const char *const names[] = {"marketing", NULL};
static struct login_rep rep;
static struct fetch f;

/* What came before in this process is long ago. */
static int
setup(void **state)
{
	(void)state;
	case_begin_with(ROOT);
	pass(3600);
	return 0;
}

static bool
answered(void)
{
	return fake_reply(client, "nudge@awsenv", MSG_LOGIN_REP, &rep, &keep);
}

static void
say(enum nudge_what what, enum nudge_start start, uint32_t ms)
{
	struct nudge_req req = {
	    .what = (uint8_t)what,
	    .start = (uint8_t)start,
	    .ms = ms,
	    .service = view_str("sshd"),
	};

	fake_send(client, "nudge@awsenv", MSG_NUDGE_REQ, &req);
}

/* Somebody logs in; what the fetcher is then asked for, or -1. */
static int
log_in(void)
{
	static uint64_t mtime;

	say(NUDGE_LOGIN, NUDGE_EAGER, 0);
	assert_true(answered());
	assert_int_equal(rep.error, AW_OK);
	fake_profiles(++mtime, names);
	return fake_fetcher(&f, &order);
}

static void
give_code(int fd)
{
	struct answer a = {
	    .dev = view_str("sealed device code"),
	    .dev_until = loop_time() + 600,
	    .url = view_str("https://device.sso/?user_code=ABCD-EFGH"),
	    .code = view_str("ABCD-EFGH"),
	};

	fake_answer(fd, &f, &a);
}

static void
one_that_nobody_approved_is_enough_for_ten_minutes(void **state)
{
	int fd = log_in(), i;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(f.what, FETCH_LOGIN);
	assert_true(view_is(f.account, "123456789012"));
	give_code(fd);
	for (i = 0; i < 30; i++)
		assert_int_equal(log_in(), -1);
	fake_failed(fd, &f, AW_AWS, "denied");
	for (i = 0; i < 9; i++) {
		pass(60);
		assert_int_equal(log_in(), -1);
	}
	pass(61);
	fd = log_in();
	assert_true(fd >= 0);
	fake_failed(fd, &f, AW_AWS, "denied");
}

/* At boot the network comes after the login. */
static void
without_network_it_is_tried_again_after_a_minute(void **state)
{
	int fd = log_in();

	(void)state;
	fake_failed(fd, &f, AW_NETWORK, "no route");
	pass(40);
	assert_int_equal(log_in(), -1);
	pass(21);
	fd = log_in();
	assert_true(fd >= 0);
	give_code(fd);
	fake_failed(fd, &f, AW_NETWORK, "no route any more");
	pass(61);
	assert_int_equal(log_in(), -1);
}

static void
a_broker_that_follows_another_begins_none_for_ten_minutes(void **state)
{
	struct link hello = {.restarts = 1};
	int fd;

	(void)state;
	nudge_open(&hello);
	assert_int_equal(log_in(), -1);
	pass(580);
	assert_int_equal(log_in(), -1);
	pass(21); /* what was read is read again after ten seconds */
	fd = log_in();
	assert_true(fd >= 0);
	fake_failed(fd, &f, AW_AWS, "denied");
}

static void
a_good_token_and_one_that_is_refreshed_need_no_person(void **state)
{
	struct answer a = {.error = AW_OK};
	int fd;

	(void)state;
	fake_token(3600, true);
	assert_int_equal(log_in(), -1);
	pass(20);
	store_drop(KEY_TOK, fake_login_id());
	fd = log_in();
	assert_int_equal(f.what, FETCH_REFRESH);
	a.tok = view_str("new");
	a.tok_expires = loop_time() + 3600;
	a.ref = view_str("ref");
	a.ref_expires = loop_time() + 86400;
	fake_done(fd, &f, &a);
	assert_int_equal(fake_fetcher(&f, &order), -1);
}

static void
where_the_refresh_is_refused_a_person_is_asked(void **state)
{
	int fd;

	(void)state;
	fake_token(0, true);
	fd = log_in();
	assert_int_equal(f.what, FETCH_REFRESH);
	fake_failed(fd, &f, AW_GRANT, "expired");
	fd = fake_fetcher(&f, &order);
	assert_true(fd >= 0);
	assert_int_equal(f.what, FETCH_LOGIN);
	fake_failed(fd, &f, AW_AWS, "denied");
}

static void
without_network_a_refresh_is_not_repeated_at_once(void **state)
{
	int fd;

	(void)state;
	fake_token(0, true);
	fd = log_in();
	fake_failed(fd, &f, AW_NETWORK, "no route");
	assert_int_equal(fake_fetcher(&f, &order), -1);
}

static void
a_client_that_waits_is_told_as_soon_as_there_is_a_code(void **state)
{
	int fd;

	(void)state;
	say(NUDGE_LOGIN, NUDGE_EAGER, 5000);
	fake_profiles(1000, names);
	fd = fake_fetcher(&f, &order);
	pass(2);
	assert_false(answered());
	give_code(fd);
	assert_true(answered());
	assert_int_equal(rep.state, LOGIN_PENDING);
	assert_true(view_is(rep.code, "ABCD-EFGH"));
	fake_failed(fd, &f, AW_AWS, "denied");
}

static void
nobody_is_kept_longer_than_he_said(void **state)
{
	int fd;

	(void)state;
	say(NUDGE_LOGIN, NUDGE_EAGER, 3000);
	fake_profiles(2000, names);
	fd = fake_fetcher(&f, &order);
	pass(2);
	assert_false(answered());
	pass(2);
	assert_true(answered());
	assert_int_equal(rep.error, AW_OK);
	assert_int_equal(rep.state, LOGIN_STARTING);
	fake_failed(fd, &f, AW_AWS, "denied");
}

static void
a_forwarded_client_may_not(void **state)
{
	(void)state;
	close(client);
	client = fake_client(REMOTE);
	say(NUDGE_LOGIN, NUDGE_EAGER, 0);
	assert_true(answered());
	assert_int_equal(rep.error, AW_DENIED);
	assert_false(fake_profiles(3000, names));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(one_that_nobody_approved_is_enough_for_ten_minutes),
	    T(without_network_it_is_tried_again_after_a_minute),
	    T(a_broker_that_follows_another_begins_none_for_ten_minutes),
	    T(a_good_token_and_one_that_is_refreshed_need_no_person),
	    T(where_the_refresh_is_refused_a_person_is_asked),
	    T(without_network_a_refresh_is_not_repeated_at_once),
	    T(a_client_that_waits_is_told_as_soon_as_there_is_a_code),
	    T(nobody_is_kept_longer_than_he_said),
	    T(a_forwarded_client_may_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
