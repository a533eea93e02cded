/* SPDX-License-Identifier: ISC */
#include "awsenv/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

#define V(s) view_str(s)

static void
credentials_come_back_as_they_were(void **state)
{
	const struct creds in = {1234567890123, V("AKIA"), V("s"), V("t")};
	AUTOBUF struct buf b = {0};
	struct creds out;

	(void)state;
	msg_encode(MSG_CREDS, &in, &b);
	assert_true(msg_decode(MSG_CREDS, view_of(&b), &out));
	assert_true(out.expires == in.expires);
	assert_true(view_eq(out.access_key, in.access_key));
	assert_true(view_eq(out.secret_key, in.secret_key));
	assert_true(view_eq(out.session_token, in.session_token));
}

/* The wire is frozen: these bytes are what an older client sends. */
static void
a_wait_request_has_these_bytes(void **state)
{
	const uint8_t wire[] = {0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 30};
	const struct wait_req in = {258, 3, 30};
	AUTOBUF struct buf b = {0};

	(void)state;
	msg_encode(MSG_WAIT_REQ, &in, &b);
	assert_int_equal(b.len, sizeof(wire));
	assert_memory_equal(b.data, wire, sizeof(wire));
}

static void
every_cut_and_every_extra_byte_is_refused(void **state)
{
	const struct login_rep in = {
	    .state = LOGIN_PENDING,
	    .ticket = 7,
	    .session = V("corp"),
	    .url = V("https://example.awsapps.com/start"),
	    .code = V("ABCD-EFGH"),
	    .qr_width = 9,
	    .qr = V("0123456789abcdefgh"),
	};
	AUTOBUF struct buf b = {0};
	struct login_rep out;
	uint32_t n;

	(void)state;
	msg_encode(MSG_LOGIN_REP, &in, &b);
	for (n = 0; n < b.len; n++)
		assert_false(
		    msg_decode(MSG_LOGIN_REP, (struct view){b.data, n}, &out));
	assert_true(msg_decode(MSG_LOGIN_REP, view_of(&b), &out));
	buf_u8(&b, 0);
	assert_false(msg_decode(MSG_LOGIN_REP, view_of(&b), &out));
}

static void
a_truth_value_is_0_or_1(void **state)
{
	const uint8_t wire[] = {0, 0, 0, 1, 2};
	struct hint out;

	(void)state;
	assert_false(msg_decode(MSG_HINT, (struct view){wire, 5}, &out));
}

static void
no_field_of_a_request_is_forgotten(void **state)
{
	struct creds_req in = {
	    .ask =
		{
		    V("/c"),
		    {1, 2, 3, 4},
		    V("A=b"),
		    V("p"),
		    V("s"),
		    V("a"),
		    V("r"),
		},
	    .seconds = 5,
	    .half = 1,
	};
	AUTOBUF struct buf b = {0}, again = {0};
	struct creds_req out;

	(void)state;
	msg_encode(MSG_CREDS_REQ, &in, &b);
	assert_true(msg_decode(MSG_CREDS_REQ, view_of(&b), &out));
	assert_true(view_is(out.ask.config, "/c"));
	assert_true(out.ask.stamp.dev == 1 && out.ask.stamp.ino == 2);
	assert_true(out.ask.stamp.size == 3 && out.ask.stamp.mtime == 4);
	assert_true(view_is(out.ask.env, "A=b"));
	assert_true(view_is(out.ask.profile, "p"));
	assert_true(view_is(out.ask.session, "s"));
	assert_true(view_is(out.ask.account, "a"));
	assert_true(view_is(out.ask.role, "r"));
	assert_int_equal(out.seconds, 5);
	assert_int_equal(out.half, 1);
	msg_encode(MSG_CREDS_REQ, &out, &again);
	assert_true(view_eq(view_of(&b), view_of(&again)));
}

/* Numbers are 1, 4 or 8 bytes on the wire, a view 4: the sum over the row
 * must be what the struct's members say. */
static void
rows_are_as_long_as_their_structs(void **state)
{
	static const struct {
		enum msg_kind kind;
		size_t wire;
	} rows[] = {
	    {MSG_EMPTY, 0},
	    {MSG_CREDS_REQ, 6 * 4 + 4 * 8 + 4 + 1},
	    {MSG_CREDS_REP, 4 + 8 * 4},
	    {MSG_CREDS, 8 + 3 * 4},
	    {MSG_LOGIN_REQ, 6 * 4 + 4 * 8 + 1},
	    {MSG_WAIT_REQ, 8 + 1 + 4},
	    {MSG_LOGIN_REP, 4 + 1 + 3 * 8 + 11 * 4 + 4},
	    {MSG_STATUS_REQ, 6 * 4 + 4 * 8},
	    {MSG_STATUS_REP, 16 * 4 + 8 * 4 + 3 * 8 + 5},
	    {MSG_LIST_REQ, 1 + 4},
	    {MSG_LIST_REP, 4 * 4},
	    {MSG_LOGIN_ITEM, 5 * 4 + 8 + 2},
	    {MSG_ROLE_ITEM, 4 * 4 + 2 * 8 + 1},
	    {MSG_KEY_ITEM, 4 * 4 + 8},
	    {MSG_PROBLEM_ITEM, 3 * 4},
	    {MSG_LOGOUT_REQ, 6 * 4 + 4 * 8 + 1},
	    {MSG_LOGOUT_REP, 5 * 4},
	    {MSG_WHOAMI_REQ, 6 * 4 + 4 * 8},
	    {MSG_WHOAMI_REP, 10 * 4 + 8},
	    {MSG_DONE_REP, 2 * 4},
	    {MSG_NUDGE_REQ, 2 + 4 * 4 + 1},
	    {MSG_WATCH_REQ, 8 + 4},
	    {MSG_WATCH_REP, 3 * 4 + 8 + 1},
	    {MSG_PROFILES_REQ, 7 * 4 + 4 * 8},
	    {MSG_PROFILES_REP, 4 * 4},
	    {MSG_PROFILE_ITEM, 12 * 4 + 2 + 2 * 8},
	    {MSG_GRANTS_REQ, 7 * 4 + 5 * 8},
	    {MSG_GRANTS_REP, 6 * 4 + 8 + 1},
	    {MSG_GRANT_ITEM, 4 * 4 + 8},
	    {MSG_RELAY_REP, 4 * 4 + 3},
	    {MSG_QUESTIONS_REQ, 8 + 4},
	    {MSG_QUESTIONS_REP, 3 * 4 + 8},
	    {MSG_QUESTION_ITEM, 2 * 8 + 2 + 9 * 4},
	    {MSG_ANSWER_REQ, 8 + 1},
	    {MSG_FORWARD_REQ, 6 * 4 + 4 * 8 + 1 + 4 + 2 * 4 + 4 + 2 * 1},
	    {MSG_FORWARD_REP, 3 * 4},
	    {MSG_FORWARD_ITEM, 4 * 4 + 8 + 2 * 1},
	    {MSG_LOG_REQ, 8 + 4},
	    {MSG_LOG_REP, 3 * 4 + 8},
	    {MSG_LOG_ITEM, 2 * 8 + 11 * 4},
	    {MSG_LOCK_REQ, 4},
	    {MSG_SCREEN_REQ, 1 + 4},
	    {MSG_ADOPT_REQ, 2 * 4 + 4 * 4 + 2 * 8 + 1},
	    {MSG_READ, 3 * 4},
	    {MSG_SESSION, 9 * 4 + 3},
	    {MSG_PROFILE, 20 * 4 + 2},
	    {MSG_TABLE_END, 4 * 8 + 2 * 4 + 4 + 4},
	    {MSG_FACTS, 11 * 4},
	    {MSG_STEP, 7 * 4},
	    {MSG_FETCH, 4 + 1 + 15 * 4 + 1 + 1},
	    {MSG_ANSWER, 6 * 4 + 4 + 4 * 8 + 17 * 4},
	    {MSG_HINT, 4 + 1},
	    {MSG_TOK, 8 + 4},
	    {MSG_REF, 8 + 3 * 4 + 1},
	    {MSG_DEV, 2 * 8 + 4 + 5 * 4},
	    {MSG_RECORD, 3 + 2 * 8 + 6 * 4},
	};
	static const char zero[1024];
	size_t i;

	(void)state;
	assert_int_equal(sizeof(rows) / sizeof(rows[0]), MSG__MAX);
	for (i = 0; i < MSG__MAX; i++) {
		AUTOBUF struct buf b = {0};

		assert_int_equal(rows[i].kind, i);
		msg_encode(rows[i].kind, zero, &b);
		assert_int_equal(b.len, rows[i].wire);
	}
}

static void
lists_end_where_they_end(void **state)
{
	const struct problem_item one = {V("f"), 1, V("x")},
				  two = {V("f"), 2, V("")};
	AUTOBUF struct buf b = {0};
	struct problem_item got;
	struct view list;

	(void)state;
	msg_append(MSG_PROBLEM_ITEM, &one, &b);
	msg_append(MSG_PROBLEM_ITEM, &two, &b);
	list = view_of(&b);
	assert_true(msg_each(MSG_PROBLEM_ITEM, &list, &got));
	assert_int_equal(got.line, 1);
	assert_true(msg_each(MSG_PROBLEM_ITEM, &list, &got));
	assert_int_equal(got.line, 2);
	assert_false(msg_each(MSG_PROBLEM_ITEM, &list, &got));
	assert_int_equal(list.n, 0);

	list = (struct view){b.data, (uint32_t)b.len - 1};
	assert_true(msg_each(MSG_PROBLEM_ITEM, &list, &got));
	assert_false(msg_each(MSG_PROBLEM_ITEM, &list, &got));
	assert_int_not_equal(list.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(credentials_come_back_as_they_were),
	    cmocka_unit_test(a_wait_request_has_these_bytes),
	    cmocka_unit_test(every_cut_and_every_extra_byte_is_refused),
	    cmocka_unit_test(a_truth_value_is_0_or_1),
	    cmocka_unit_test(no_field_of_a_request_is_forgotten),
	    cmocka_unit_test(rows_are_as_long_as_their_structs),
	    cmocka_unit_test(lists_end_where_they_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
