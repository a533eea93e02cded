/* SPDX-License-Identifier: ISC */
#include "tests/unit/fake_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* In place of request.c: an echo, or held for as long as the test wants. */
static struct holds waiting;
static bool hold_them;
static int served, forgotten;

void
request_run(struct conn *c, struct view frame)
{
	if (hold_them && c->progress.waited == STAGE_NONE) {
		if (conn_hold(c, STAGE_ROLE, &waiting, 5000) == REQUEST_HELD)
			return;
	}
	served++;
	conn_send(c, frame.p[0], (struct view){frame.p + 1, frame.n - 1});
}

void
request_forget(struct progress *p)
{
	forgotten++;
	free(p->text);
	*p = (struct progress){.deadline = fake_ms + 60000};
}

void
request_gone(struct conn *c)
{
	request_forget(&c->progress);
	free(c->progress.text);
}

static int client = -1;

static int
setup(void **state)
{
	(void)state;
	fake_begin();
	hold_them = false;
	served = 0;
	LIST_INIT(&waiting);
	client = fake_client(LOCAL);
	/* What request.c does for a new request. */
	settle();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(client);
	settle();
	assert_int_equal(conn_count(), 0);
	return 0;
}

static void
put(const void *p, size_t n)
{
	assert_int_equal(send(client, p, n, MSG_NOSIGNAL), n);
	settle();
}

static bool
gets(const void *p, size_t n)
{
	uint8_t got[64];
	ssize_t r = recv(client, got, sizeof(got), 0);

	return r == (ssize_t)n && memcmp(got, p, n) == 0;
}

static bool
closed(void)
{
	uint8_t c;

	settle();
	return recv(client, &c, 1, 0) == 0;
}

static void
frames_are_found_however_they_come(void **state)
{
	static const uint8_t two[] = {0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9};
	size_t i;

	(void)state;
	put(two, sizeof(two));
	assert_true(gets(two, sizeof(two)));
	for (i = 0; i < sizeof(two); i++)
		put(two + i, 1);
	assert_true(gets(two, sizeof(two)));
	assert_int_equal(served, 4);
}

static void
impossible_lengths_close(void **state)
{
	(void)state;
	put("\0\0\0\0", 4);
	assert_true(closed());
	close(client);
	client = fake_client(LOCAL);
	put("\0\4\0\1x", 5);
	assert_true(closed());
}

static void
half_a_frame_is_waited_for_but_not_forever(void **state)
{
	(void)state;
	put("\0\0\0\2a", 5);
	pass(29);
	assert_int_equal(conn_count(), 1);
	pass(2);
	assert_true(closed());
}

static void
an_idle_client_may_stay(void **state)
{
	static const uint8_t frame[] = {0, 0, 0, 1, 9};

	(void)state;
	pass(86400);
	put(frame, sizeof(frame));
	assert_true(gets(frame, sizeof(frame)));
	pass(86400);
	assert_int_equal(conn_count(), 1);
}

/* request.c sets the deadline; here it comes from the request before. */
static void
first(void)
{
	put("\0\0\0\1\0", 5);
	assert_true(gets("\0\0\0\1\0", 5));
	hold_them = true;
}

static void
answers_keep_their_order(void **state)
{
	static const uint8_t two[] = {0, 0, 0, 1, 1, 0, 0, 0, 1, 2};
	uint8_t byte;

	(void)state;
	first();
	put(two, sizeof(two));
	assert_int_equal(recv(client, &byte, 1, 0), -1);
	hold_wake(&waiting, AW_OK, NULL);
	settle();
	assert_true(gets(two, 5));
	hold_wake(&waiting, AW_OK, NULL);
	settle();
	assert_true(gets(two + 5, 5));
}

static void
who_wakes_a_request_does_not_serve_the_next(void **state)
{
	static const uint8_t two[] = {0, 0, 0, 1, 1, 0, 0, 0, 1, 2};

	(void)state;
	first();
	put(two, sizeof(two));
	hold_them = false;
	served = 0;
	hold_wake(&waiting, AW_OK, NULL);
	assert_int_equal(served, 1);
	settle();
	assert_int_equal(served, 2);
	assert_true(gets(two, sizeof(two)));
}

static void
a_hold_ends_by_itself(void **state)
{
	(void)state;
	first();
	put("\0\0\0\1\1", 5);
	pass(6);
	assert_true(gets("\0\0\0\1\1", 5));
	assert_true(LIST_EMPTY(&waiting));
}

static void
who_is_gone_is_not_held(void **state)
{
	(void)state;
	first();
	put("\0\0\0\1\1", 5);
	close(client);
	settle();
	assert_int_equal(conn_count(), 0);
	assert_true(LIST_EMPTY(&waiting));
	client = fake_client(LOCAL);
}

static void
who_stops_writing_still_gets_the_answer(void **state)
{
	(void)state;
	first();
	put("\0\0\0\1\1", 5);
	shutdown(client, SHUT_WR);
	settle();
	assert_int_equal(conn_count(), 1);
	hold_wake(&waiting, AW_OK, NULL);
	settle();
	assert_true(gets("\0\0\0\1\1", 5));
	settle();
	assert_int_equal(conn_count(), 0);
}

static void
who_does_not_read_is_not_read(void **state)
{
	uint8_t *frame = calloc(1, 4 + 60000);
	int i, sent = 0;

	(void)state;
	frame[2] = 60000 >> 8;
	frame[3] = 60000 & 0xff;
	for (i = 0; i < 300; i++) {
		if (send(client, frame, 60004, MSG_NOSIGNAL) != 60004)
			break;
		sent++;
		settle();
	}
	free(frame);
	assert_in_range(sent, 1, 30);
	assert_int_equal(conn_count(), 1);
	pass(31);
	assert_int_equal(conn_count(), 0);
}

static void
an_answer_that_is_too_long_becomes_a_failure(void **state)
{
	static uint8_t big[BUF_MAX];
	struct conn *c;
	int fd[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	c = conn_add(fd[0], LOCAL, 1);
	conn_send(c, 29, (struct view){big, sizeof(big)});
	close(client);
	client = fd[1];
	assert_true(gets("\0\0\0\1\34", 5));
}

/* A socket that listens, at an abstract name of the kernel's choice. */
static struct sockaddr_un at;
static socklen_t at_size;

static int
listener(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	at = (struct sockaddr_un){.sun_family = AF_UNIX};
	at_size = sizeof(at);
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&at, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &at_size), 0);
	return fd;
}

static int
visit(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&at, at_size), 0);
	return fd;
}

static void
clients_come_through_the_listener_as_what_they_are(void **state)
{
	int c;

	(void)state;
	conn_listen(listener(), AT_AGENT, NULL);
	c = visit();
	settle();
	assert_int_equal(conn_count(), 1); /* not before conn_start() */
	conn_start();
	settle();
	assert_int_equal(conn_count(), 2);
	close(c);
	settle();
}

/* With room for 160, by the listener of the test before. */
static void
a_process_has_no_more_than_it_leaves_to_others(void **state)
{
	struct rlimit few = {240, 240}, before;
	int fd[100], i, status;
	pid_t child;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	if (setrlimit(RLIMIT_NOFILE, &few) != 0)
		skip(); /* valgrind keeps the limit as it is */
	conn_open();
	for (i = 0; i < 100; i++) {
		fd[i] = visit();
		settle();
	}
	assert_int_equal(conn_count(), 80);
	/* One that comes late is let in. */
	if ((child = fork()) == 0) {
		i = visit();
		pause();
	}
	while (conn_count() < 81)
		loop_once();
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	settle();
	assert_int_equal(conn_count(), 80);
	/* And who closes may come again. */
	for (i = 0; i < 100; i++)
		close(fd[i]);
	settle();
	assert_int_equal(conn_count(), 1);
	fd[0] = visit();
	settle();
	assert_int_equal(conn_count(), 2);
	close(fd[0]);
	settle();
	setrlimit(RLIMIT_NOFILE, &before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(frames_are_found_however_they_come),
	    T(impossible_lengths_close),
	    T(half_a_frame_is_waited_for_but_not_forever),
	    T(an_idle_client_may_stay),
	    T(answers_keep_their_order),
	    T(who_wakes_a_request_does_not_serve_the_next),
	    T(a_hold_ends_by_itself),
	    T(who_is_gone_is_not_held),
	    T(who_stops_writing_still_gets_the_answer),
	    T(who_does_not_read_is_not_read),
	    T(an_answer_that_is_too_long_becomes_a_failure),
	    T(clients_come_through_the_listener_as_what_they_are),
	    T(a_process_has_no_more_than_it_leaves_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
