/* SPDX-License-Identifier: ISC */
#include "awsenv/link.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"

static int ends[2];

static int
begin(void **state)
{
	(void)state;
	return link_pair(ends);
}

static int
end(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static unsigned int
open_files(void)
{
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
a_pair_keeps_packets_apart_does_not_block_and_ends_at_exec(void **state)
{
	char text[8];
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_true(fcntl(ends[i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(ends[i], F_GETFL) & O_NONBLOCK);
	}
	assert_int_equal(send(ends[0], "one", 3, 0), 3);
	assert_int_equal(send(ends[0], "two!", 4, 0), 4);
	assert_int_equal(recv(ends[1], text, sizeof(text), 0), 3);
	assert_int_equal(recv(ends[1], text, sizeof(text), 0), 4);
	assert_int_equal(recv(ends[1], text, sizeof(text), 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
a_link_comes_through_with_its_descriptors(void **state)
{
	struct link in = {.type = LINK_SPAWNED, .pid = 7, .error = -1}, out;
	int pipes[2];
	char byte = 0;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	memset(in.tag, 0xa5, sizeof(in.tag));
	memcpy(in.text, "agent", 6);
	in.fds[0] = pipes[1];
	in.fds[1] = ends[0];
	in.nfds = 2;
	assert_int_equal(link_send(ends[0], &in), AW_OK);
	assert_int_equal(link_recv(ends[1], &out), AW_OK);
	assert_int_equal(out.version, MSG_VERSION);
	assert_int_equal(out.type, LINK_SPAWNED);
	assert_int_equal(out.pid, 7);
	assert_int_equal(out.error, -1);
	assert_memory_equal(out.tag, in.tag, sizeof(in.tag));
	assert_string_equal(out.text, "agent");
	assert_int_equal(out.nfds, 2);
	assert_true(fcntl(out.fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(out.fds[0], "x", 1), 1);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(out.fds[0]);
	close(out.fds[1]);
	close(pipes[0]);
	close(pipes[1]);
}

static void
all_the_descriptors_that_fit_come_through(void **state)
{
	struct link in = {.type = LINK_HELLO, .nfds = LINK_FDS}, out;
	int i;

	(void)state;
	for (i = 0; i < LINK_FDS; i++)
		in.fds[i] = ends[1];
	assert_int_equal(link_send(ends[0], &in), AW_OK);
	assert_int_equal(link_recv(ends[1], &out), AW_OK);
	assert_int_equal(out.nfds, LINK_FDS);
	for (i = 0; i < LINK_FDS; i++)
		assert_int_equal(close(out.fds[i]), 0);
}

/* By hand, since link_send() would put it right. */
static void
send_raw(const void *p, size_t n, int fd)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(ends[0], &m, 0), (ssize_t)n);
}

static void
another_version_is_refused_and_its_descriptors_closed(void **state)
{
	struct link in = {.version = MSG_VERSION + 1, .nfds = 1}, out;
	unsigned int before = open_files();

	(void)state;
	send_raw(&in, sizeof(in), ends[0]);
	assert_int_equal(link_recv(ends[1], &out), AW_PROTO);
	assert_int_equal(open_files(), before);
}

static void
a_count_of_descriptors_that_is_a_lie_is_refused(void **state)
{
	struct link in = {.version = MSG_VERSION, .nfds = 1}, out;
	unsigned int before = open_files();

	(void)state;
	send_raw(&in, sizeof(in), -1);
	assert_int_equal(link_recv(ends[1], &out), AW_PROTO);
	in.nfds = 0;
	send_raw(&in, sizeof(in), ends[0]);
	assert_int_equal(link_recv(ends[1], &out), AW_PROTO);
	in.nfds = -1;
	send_raw(&in, sizeof(in), -1);
	assert_int_equal(link_recv(ends[1], &out), AW_PROTO);
	in.nfds = 1000000;
	send_raw(&in, sizeof(in), ends[0]);
	assert_int_equal(link_recv(ends[1], &out), AW_PROTO);
	assert_int_equal(open_files(), before);
}

static void
a_short_or_long_packet_is_refused_and_its_descriptors_closed(void **state)
{
	struct {
		struct link l;
		char more[8];
	} in = {.l = {.version = MSG_VERSION, .nfds = 1}};
	struct link out = {.nfds = 3};
	unsigned int before = open_files();

	(void)state;
	send_raw(&in, sizeof(in.l) - 8, ends[0]);
	assert_int_equal(link_recv(ends[1], &out), AW_PROTO);
	send_raw(&in, 4, ends[0]);
	assert_int_equal(link_recv(ends[1], &out), AW_PROTO);
	send_raw(&in, sizeof(in), ends[0]);
	assert_int_equal(link_recv(ends[1], &out), AW_PROTO);
	assert_int_equal(open_files(), before);
}

static void
nothing_there_a_full_queue_and_an_end_are_told_apart(void **state)
{
	struct link l = {.type = LINK_OVER};
	enum aw_err r;
	int n;

	(void)state;
	assert_int_equal(link_recv(ends[1], &l), AW_BUSY);
	l = (struct link){.type = LINK_OVER};
	for (n = 0; (r = link_send(ends[0], &l)) == AW_OK; n++)
		assert_true(n < 100000);
	assert_int_equal(r, AW_BUSY);
	/* A broker's greeting with every socket and job must fit. */
	assert_true(n > 8 + 128 + 2);
	while (link_recv(ends[1], &l) == AW_OK)
		n--;
	assert_int_equal(n, 0);
	close(ends[0]);
	assert_int_equal(link_recv(ends[1], &l), AW_GONE);
	assert_int_equal(link_send(ends[1], &l), AW_GONE);
	assert_int_equal(link_send_msg(ends[1], MSG_EMPTY, NULL), AW_GONE);
	ends[0] = dup(ends[1]);
}

static void
a_message_can_be_looked_at_twice_and_taken_once(void **state)
{
	struct hint in = {.version = MSG_VERSION, .waiting = 1}, out;
	AUTOBUF struct buf packet = {0};
	enum msg_kind kind = MSG__MAX;
	struct view body;
	int i;

	(void)state;
	assert_int_equal(link_send_msg(ends[0], MSG_HINT, &in), AW_OK);
	assert_int_equal(link_send_msg(ends[0], MSG_EMPTY, NULL), AW_OK);
	for (i = 0; i < 2; i++) {
		assert_int_equal(
		    link_peek_msg(ends[1], &packet, &kind, &body), AW_OK);
		assert_int_equal(kind, MSG_HINT);
		assert_true(msg_decode(MSG_HINT, body, &out));
		assert_int_equal(out.waiting, 1);
	}
	link_drop(ends[1]);
	assert_int_equal(link_peek_msg(ends[1], &packet, &kind, &body), AW_OK);
	assert_int_equal(kind, MSG_EMPTY);
	assert_int_equal(body.n, 0);
	link_drop(ends[1]);
	assert_int_equal(
	    link_peek_msg(ends[1], &packet, &kind, &body), AW_BUSY);
	close(ends[0]);
	assert_int_equal(
	    link_peek_msg(ends[1], &packet, &kind, &body), AW_GONE);
	ends[0] = dup(ends[1]);
}

/* That is said before the packet that is to be taken. */
static void
a_message_is_taken_once_though_its_sender_left_something_unread(void **state)
{
	AUTOBUF struct buf packet = {0};
	struct hint h = {MSG_VERSION, 1};
	enum msg_kind kind;
	struct view body;

	(void)state;
	assert_int_equal(link_send_msg(ends[1], MSG_HINT, &h), AW_OK);
	assert_int_equal(link_send_msg(ends[0], MSG_HINT, &h), AW_OK);
	assert_int_equal(link_send_msg(ends[0], MSG_EMPTY, NULL), AW_OK);
	assert_int_equal(link_peek_msg(ends[1], &packet, &kind, &body), AW_OK);
	assert_int_equal(kind, MSG_HINT);
	close(ends[0]);
	ends[0] = dup(ends[1]);
	assert_int_equal(link_drop(ends[1]), AW_OK);
	assert_int_equal(link_peek_msg(ends[1], &packet, &kind, &body), AW_OK);
	assert_int_equal(kind, MSG_EMPTY);
	assert_int_equal(link_drop(ends[1]), AW_OK);
	assert_int_equal(
	    link_peek_msg(ends[1], &packet, &kind, &body), AW_GONE);
}

static void
the_largest_message_passes_and_a_larger_one_is_refused(void **state)
{
	static uint8_t bytes[LINK_MAX];
	AUTOBUF struct buf packet = {0};
	struct done_rep rep = {0};
	enum msg_kind kind;
	struct view body;

	(void)state;
	rep.text = (struct view){bytes, LINK_MAX - 1 - 8};
	assert_int_equal(link_send_msg(ends[0], MSG_DONE_REP, &rep), AW_OK);
	assert_int_equal(link_peek_msg(ends[1], &packet, &kind, &body), AW_OK);
	assert_int_equal(packet.len, LINK_MAX);
	assert_true(msg_decode(MSG_DONE_REP, body, &rep));
	link_drop(ends[1]);
	rep.text = (struct view){bytes, LINK_MAX - 1 - 7};
	assert_int_equal(link_send_msg(ends[0], MSG_DONE_REP, &rep), AW_PROTO);
	assert_int_equal(send(ends[0], bytes, LINK_MAX, 0), LINK_MAX);
	link_drop(ends[1]);
}

static void
a_packet_of_no_known_kind_is_refused(void **state)
{
	static uint8_t bytes[LINK_MAX + 1] = {MSG__MAX};
	AUTOBUF struct buf packet = {0};
	enum msg_kind kind;
	struct view body;

	(void)state;
	assert_int_equal(send(ends[0], bytes, 1, 0), 1);
	assert_int_equal(
	    link_peek_msg(ends[1], &packet, &kind, &body), AW_PROTO);
	link_drop(ends[1]);
	bytes[0] = MSG_EMPTY;
	assert_int_equal(send(ends[0], bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(
	    link_peek_msg(ends[1], &packet, &kind, &body), AW_PROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_pair_keeps_packets_apart_does_not_block_and_ends_at_exec),
	    TEST(a_link_comes_through_with_its_descriptors),
	    TEST(all_the_descriptors_that_fit_come_through),
	    TEST(another_version_is_refused_and_its_descriptors_closed),
	    TEST(a_count_of_descriptors_that_is_a_lie_is_refused),
	    TEST(a_short_or_long_packet_is_refused_and_its_descriptors_closed),
	    TEST(nothing_there_a_full_queue_and_an_end_are_told_apart),
	    TEST(a_message_can_be_looked_at_twice_and_taken_once),
	    TEST(
		a_message_is_taken_once_though_its_sender_left_something_unread),
	    TEST(the_largest_message_passes_and_a_larger_one_is_refused),
	    TEST(a_packet_of_no_known_kind_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
