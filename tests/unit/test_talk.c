/* SPDX-License-Identifier: ISC */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"

static int ends[2]; /* the fetcher's, and the test's */

static int
connect_ends(void **state)
{
	(void)state;
	return link_pair(ends);
}

static int
close_ends(void **state)
{
	(void)state;
	close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	return 0;
}

static struct talk
talk(void)
{
	return (struct talk){.fd = ends[0],
	    .deadline = -1,
	    .fetch = {.what = FETCH_ROLE, .tag = view_str("tag")}};
}

static void
send_hint(uint32_t version, bool waiting)
{
	const struct hint h = {version, waiting};

	assert_int_equal(link_send_msg(ends[1], MSG_HINT, &h), AW_OK);
}

static void
an_order_is_taken_and_opened(void **state)
{
	const struct facts facts = {.region = view_str("eu-west-1")};
	AUTOBUF struct buf sealed = {0};
	struct fetch f = {
	    .version = MSG_VERSION, .what = FETCH_LOGIN, .waiting = true};
	struct talk t = {0};

	(void)state;
	msg_encode(MSG_FACTS, &facts, &sealed);
	f.facts = view_of(&sealed);
	assert_int_equal(link_send_msg(ends[1], MSG_FETCH, &f), AW_OK);
	assert_int_equal(talk_receive(&t, ends[0]), AW_OK);
	assert_int_equal(t.fetch.what, FETCH_LOGIN);
	assert_true(view_is(t.facts.region, "eu-west-1"));
	assert_true(t.waiting);
	assert_int_equal(talk_wait(&t, io_deadline(0)), TALK_TIME);
	buf_free(&t.packet);
}

static void
what_is_no_order_is_refused(void **state)
{
	struct fetch f = {.version = MSG_VERSION + 1, .what = FETCH_LOGIN};
	struct talk t = {0};

	(void)state;
	send_hint(MSG_VERSION, true);
	assert_int_equal(talk_receive(&t, ends[0]), AW_PROTO);
	assert_int_equal(link_send_msg(ends[1], MSG_FETCH, &f), AW_OK);
	assert_int_equal(talk_receive(&t, ends[0]), AW_PROTO);
	assert_int_equal(send(ends[1], "\xff junk", 6, 0), 6);
	assert_int_equal(talk_receive(&t, ends[0]), AW_PROTO);
	buf_free(&t.packet);
}

static void
nobody_there_is_no_order(void **state)
{
	struct talk t = {0};

	(void)state;
	close(ends[1]);
	ends[1] = -1;
	assert_int_equal(talk_receive(&t, ends[0]), AW_GONE);
	buf_free(&t.packet);
}

static void
an_answer_carries_what_all_answers_carry(void **state)
{
	struct talk t = talk();
	AUTOBUF struct buf packet = {0};
	struct answer a = {.last = true, .error = AW_AWS}, got;
	enum msg_kind kind;
	struct view body;

	(void)state;
	t.skew = -5;
	t.skew_known = true;
	why_set(&t.why, AW_AWS, "why");
	assert_int_equal(talk_answer(&t, &a), AW_OK);
	a = (struct answer){.last = true};
	assert_int_equal(talk_answer(&t, &a), AW_OK);
	assert_int_equal(link_peek_msg(ends[1], &packet, &kind, &body), AW_OK);
	assert_int_equal(kind, MSG_ANSWER);
	assert_true(msg_decode(kind, body, &got));
	assert_int_equal(got.version, MSG_VERSION);
	assert_int_equal(got.what, FETCH_ROLE);
	assert_true(view_is(got.tag, "tag") && view_is(got.text, "why"));
	assert_true(got.skew_known && (int32_t)got.skew == -5);
	link_drop(ends[1]);
	/* A success has no text, whatever went wrong on the way to it. */
	assert_int_equal(link_peek_msg(ends[1], &packet, &kind, &body), AW_OK);
	assert_true(msg_decode(kind, body, &got) && got.text.n == 0);
}

/* Take everything off after a while, and count it in the exit status. */
static pid_t
slow_reader(void)
{
	AUTOBUF struct buf packet = {0};
	enum msg_kind kind;
	struct view body;
	int n = 0;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	close(ends[0]);
	usleep(200 * 1000);
	while (io_wait(ends[1], POLLIN, io_deadline(1000)) == AW_OK &&
	    link_peek_msg(ends[1], &packet, &kind, &body) == AW_OK) {
		link_drop(ends[1]);
		n++;
	}
	buf_free(&packet);
	_exit(n);
}

static void
a_link_that_is_full_is_waited_for(void **state)
{
	static uint8_t large[64 * 1024];
	struct talk t = talk();
	struct answer a = {.tok = {large, sizeof(large)}};
	int i, status;
	pid_t pid;

	(void)state;
	assert_true((pid = slow_reader()) > 0);
	for (i = 0; i < 20; i++)
		assert_int_equal(talk_answer(&t, &a), AW_OK);
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 20);
	ends[0] = dup(ends[1]); /* something for the teardown to close */
}

static void
a_hint_wakes_and_anything_else_does_not(void **state)
{
	struct talk t = talk();

	(void)state;
	send_hint(MSG_VERSION, true);
	assert_int_equal(talk_wait(&t, io_deadline(5000)), TALK_HINT);
	assert_true(t.waiting);
	send_hint(MSG_VERSION + 1, false);
	assert_int_equal(send(ends[1], "", 1, 0), 1);
	assert_int_equal(send(ends[1], "\xff", 1, 0), 1);
	assert_int_equal(talk_wait(&t, io_deadline(50)), TALK_TIME);
	assert_true(t.waiting);
	send_hint(MSG_VERSION, false);
	assert_true(talk_sleep(&t, 50));
	assert_false(t.waiting);
}

static void
the_end_of_the_link_ends_each_wait(void **state)
{
	struct talk t = talk();
	struct answer a = {0};

	(void)state;
	close(ends[1]);
	ends[1] = -1;
	assert_int_equal(talk_wait(&t, io_deadline(5000)), TALK_GONE);
	assert_false(talk_sleep(&t, 5000));
	assert_int_equal(talk_answer(&t, &a), AW_GONE);
}

static void
times_of_aws_become_ours(void **state)
{
	struct talk t = talk();

	(void)state;
	t.skew = 100;
	assert_int_equal(talk_local(&t, 1000), 900);
	assert_int_equal(talk_local(&t, 50), 0);
	t.skew = -100;
	assert_int_equal(talk_local(&t, 1000), 1100);
	t.deadline = io_deadline(0) - 1;
	assert_int_equal(talk_left(&t), 0);
	t.deadline = io_deadline(5000);
	assert_in_range(talk_left(&t), 4000, 5000);
	t.deadline = -1;
	assert_true(talk_left(&t) > 3600 * 1000);
}

#define CASE(name) \
	cmocka_unit_test_setup_teardown(name, connect_ends, close_ends)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(an_order_is_taken_and_opened),
	    CASE(what_is_no_order_is_refused),
	    CASE(nobody_there_is_no_order),
	    CASE(an_answer_carries_what_all_answers_carry),
	    CASE(a_link_that_is_full_is_waited_for),
	    CASE(a_hint_wakes_and_anything_else_does_not),
	    CASE(the_end_of_the_link_ends_each_wait),
	    CASE(times_of_aws_become_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
