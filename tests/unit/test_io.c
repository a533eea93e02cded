/* SPDX-License-Identifier: ISC */
#include "awsenv/io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "awsenv/own.h"

/* What the agent answers with, and what the client makes of it. */
static enum aw_err
reply(const void *wire, size_t n, struct buf *frame, struct view *body)
{
	AUTOCLOSE int ours = -1, theirs = -1;
	int fd[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	ours = fd[0];
	theirs = fd[1];
	assert_int_equal(write(theirs, wire, n), n);
	shutdown(theirs, SHUT_WR);
	return io_get_reply(ours, "x@awsenv", frame, body, io_deadline(1000));
}

static void
a_reply_gives_its_body(void **state)
{
	static const char wire[] = "\0\0\0\x0f\x1d\0\0\0\x08x@awsenvhi";
	AUTOBUF struct buf frame = {0};
	struct view body;

	(void)state;
	assert_int_equal(reply(wire, 19, &frame, &body), AW_OK);
	assert_true(view_is(body, "hi"));
}

static void
a_foreign_agent_says_failure(void **state)
{
	AUTOBUF struct buf frame = {0};
	struct view body;

	(void)state;
	assert_int_equal(reply("\0\0\0\1\5", 5, &frame, &body), AW_DENIED);
}

static void
a_malformed_reply_is_a_protocol_error(void **state)
{
	static const char other[] = "\0\0\0\x0d\x1d\0\0\0\x08y@awsenv";
	AUTOBUF struct buf frame = {0};
	struct view body;

	(void)state;
	assert_int_equal(reply("\0\0\0\0", 4, &frame, &body), AW_PROTO);
	assert_int_equal(reply("\0\4\0\1", 4, &frame, &body), AW_PROTO);
	assert_int_equal(reply("\0\0\0\1\x1c", 5, &frame, &body), AW_PROTO);
	assert_int_equal(reply("\0\0\0\2\x1d\0", 6, &frame, &body), AW_PROTO);
	assert_int_equal(reply(other, 17, &frame, &body), AW_PROTO);
}

static void
a_reply_cut_short_is_a_lost_agent(void **state)
{
	AUTOBUF struct buf frame = {0};
	struct view body;

	(void)state;
	assert_int_equal(reply("", 0, &frame, &body), AW_GONE);
	assert_int_equal(reply("\0\0\0\x0f\x1d", 5, &frame, &body), AW_GONE);
}

static void
a_silent_agent_is_left_at_the_deadline(void **state)
{
	AUTOCLOSE int ours = -1, theirs = -1;
	AUTOBUF struct buf frame = {0};
	struct view body;
	int fd[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	ours = fd[0];
	theirs = fd[1];
	assert_int_equal(
	    io_get_reply(ours, "x", &frame, &body, io_deadline(10)),
	    AW_TIMEOUT);
}

static void
a_request_is_an_extension(void **state)
{
	static const char wire[] = "\0\0\0\x0f\x1b\0\0\0\x08x@awsenvhi";
	AUTOBUF struct buf b = {0};

	(void)state;
	io_put_request(&b, "x@awsenv", view_str("hi"));
	assert_int_equal(b.len, 19);
	assert_memory_equal(b.data, wire, 19);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_reply_gives_its_body),
	    cmocka_unit_test(a_foreign_agent_says_failure),
	    cmocka_unit_test(a_malformed_reply_is_a_protocol_error),
	    cmocka_unit_test(a_reply_cut_short_is_a_lost_agent),
	    cmocka_unit_test(a_silent_agent_is_left_at_the_deadline),
	    cmocka_unit_test(a_request_is_an_extension),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
