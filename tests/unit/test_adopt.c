/* SPDX-License-Identifier: ISC */
#include "tests/unit/broker_case.h"

static const char *const names[] = {"default", NULL};
static struct buf facts;
static struct adopt_req req;
static uint64_t mtime;

static int
setup(void **state)
{
	(void)state;
	case_begin_with(ROOT);
	pass(3600);
	buf_reset(&facts);
	fake_facts(&facts);
	req = (struct adopt_req){
	    .version = MSG_VERSION,
	    .uid = getuid(),
	    .facts = view_of(&facts),
	    .tok = view_str("sealed by a factor"),
	    .tok_expires = loop_time() + 3600,
	    .ref = view_str("sealed with it"),
	    .ref_expires = loop_time() + 90 * 86400,
	    .refreshable = 1,
	    .person = view_str("ann@example.com"),
	};
	return 0;
}

static enum aw_err
hand_over(void)
{
	struct done_rep rep;

	fake_send(client, "adopt@awsenv", MSG_ADOPT_REQ, &req);
	assert_true(
	    fake_reply(client, "adopt@awsenv", MSG_DONE_REP, &rep, &keep));
	return rep.error;
}

/* The token of the session in the config file, if it has one. */
static bool
has_token(const char *sealed)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	return store_get(KEY_TOK, fake_login_id(), &b, &rec) == AW_OK &&
	    view_is(rec.sealed, sealed) && rec.expires == req.tok_expires;
}

static void
nothing_lasts_for_ever(void **state)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	(void)state;
	req.tok_expires = UINT64_MAX / 2;
	req.ref_expires = UINT64_MAX;
	assert_int_equal(hand_over(), AW_OK);
	assert_true(fake_profiles(++mtime, names));
	req.tok_expires = loop_time() + 366 * 86400;
	assert_true(has_token("sealed by a factor"));
	assert_int_equal(store_get(KEY_REF, fake_login_id(), &b, &rec), AW_OK);
	assert_int_equal(rec.expires, req.tok_expires);
}

static void
a_login_that_is_handed_over_is_one_like_any_other(void **state)
{
	AUTOBUF struct buf b = {0};
	struct record rec;
	struct fetch f;
	int fd;

	(void)state;
	assert_int_equal(hand_over(), AW_OK);
	assert_false(has_token("sealed by a factor"));
	assert_true(fake_profiles(++mtime, names));
	assert_true(has_token("sealed by a factor"));
	assert_int_equal(login_state(login_find(fake_login_id())), LOGIN_DONE);
	assert_int_equal(store_get(KEY_REF, fake_login_id(), &b, &rec), AW_OK);
	assert_true(view_is(rec.person, "ann@example.com"));
	assert_true(view_is(rec.label, "corp"));
	assert_true(rec.refreshable && view_eq(rec.facts, view_of(&facts)));
	/* It is refreshed before it ends. */
	pass(3600 - 900);
	fd = fake_fetcher(&f, &order);
	assert_true(fd >= 0);
	assert_int_equal(f.what, FETCH_REFRESH);
	assert_true(view_is(f.ref, "sealed with it"));
	fake_failed(fd, &f, AW_GRANT, "over");
}

static void
the_start_of_the_session_begins_no_other_then(void **state)
{
	struct nudge_req nudge = {.what = NUDGE_LOGIN};
	struct login_rep rep;
	struct fetch f;

	(void)state;
	assert_int_equal(hand_over(), AW_OK);
	fake_send(client, "nudge@awsenv", MSG_NUDGE_REQ, &nudge);
	assert_true(
	    fake_reply(client, "nudge@awsenv", MSG_LOGIN_REP, &rep, &keep));
	assert_true(fake_profiles(++mtime, names));
	assert_true(has_token("sealed by a factor"));
	assert_int_equal(fake_fetcher(&f, &order), -1);
}

static void
it_takes_the_place_of_one_that_is_pending(void **state)
{
	struct nudge_req nudge = {.what = NUDGE_LOGIN};
	struct answer a = {
	    .dev = view_str("sealed device code"),
	    .dev_until = loop_time() + 600,
	    .url = view_str("https://device.sso/"),
	    .code = view_str("ABCD-EFGH"),
	};
	struct login_rep rep;
	struct record rec;
	struct fetch f;
	int fd;

	(void)state;
	fake_send(client, "nudge@awsenv", MSG_NUDGE_REQ, &nudge);
	assert_true(
	    fake_reply(client, "nudge@awsenv", MSG_LOGIN_REP, &rep, &keep));
	assert_true(fake_profiles(++mtime, names));
	fd = fake_fetcher(&f, &order);
	assert_true(fd >= 0);
	fake_answer(fd, &f, &a);
	assert_int_equal(
	    login_state(login_find(fake_login_id())), LOGIN_PENDING);
	/* The file was read just now. */
	assert_int_equal(hand_over(), AW_OK);
	assert_true(has_token("sealed by a factor"));
	assert_int_equal(login_state(login_find(fake_login_id())), LOGIN_DONE);
	assert_int_equal(
	    store_get(KEY_DEV, fake_login_id(), &keep, &rec), AW_GONE);
	close(fd);
	settle();
}

static void
one_that_is_bound_to_something_else_is_dropped(void **state)
{
	struct facts one = {
	    .start_url = view_str("https://corp.awsapps.com/start"),
	    .region = view_str("eu-central-1"),
	};
	struct view *const parts[] = {&one.start_url, &one.region, &one.scopes,
	    &one.oidc, &one.portal, &one.sts, &one.ca_digest, &one.proxy,
	    &one.no_proxy};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		struct view was = *parts[i];

		*parts[i] = view_str("https://elsewhere.example");
		buf_reset(&facts);
		msg_encode(MSG_FACTS, &one, &facts);
		*parts[i] = was;
		req.facts = view_of(&facts);
		table_forget_all();
		assert_int_equal(hand_over(), AW_OK);
		fake_profiles(++mtime, names);
		assert_false(has_token("sealed by a factor"));
		pass(20);
	}
	/* What it is called, or how its URL ends, is no difference. */
	one.session = view_str("another name");
	one.start_url = view_str("https://corp.awsapps.com/start/#/");
	one.ca_path = view_str("/etc/ca");
	buf_reset(&facts);
	msg_encode(MSG_FACTS, &one, &facts);
	req.facts = view_of(&facts);
	table_forget_all();
	assert_int_equal(hand_over(), AW_OK);
	fake_profiles(++mtime, names);
	assert_true(has_token("sealed by a factor"));
}

static void
only_root_may_and_only_for_this_user(void **state)
{
	static const enum origin others[] = {LOCAL, REMOTE};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		close(client);
		client = fake_client(others[i]);
		assert_int_equal(hand_over(), AW_DENIED);
	}
	close(client);
	client = fake_client(ROOT);
	req.uid++;
	assert_int_equal(hand_over(), AW_DENIED);
	req.uid--;
	req.version++;
	assert_int_equal(hand_over(), AW_PROTO);
	req.version--;
	req.tok.n = 0;
	assert_int_equal(hand_over(), AW_PROTO);
	assert_false(fake_profiles(++mtime, names));
	assert_false(has_token(""));
}

static void
where_the_file_cannot_be_read_it_is_dropped(void **state)
{
	(void)state;
	assert_int_equal(hand_over(), AW_OK);
	fake_reset();
	assert_int_equal(hand_over(), AW_OK);
	pass(120);
	fake_profiles(++mtime, names);
	assert_false(has_token("sealed by a factor"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(nothing_lasts_for_ever),
	    CASE(a_login_that_is_handed_over_is_one_like_any_other),
	    CASE(the_start_of_the_session_begins_no_other_then),
	    CASE(it_takes_the_place_of_one_that_is_pending),
	    CASE(one_that_is_bound_to_something_else_is_dropped),
	    CASE(only_root_may_and_only_for_this_user),
	    CASE(where_the_file_cannot_be_read_it_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
