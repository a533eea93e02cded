/* SPDX-License-Identifier: ISC */
#include "agent/broker/broker.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char order[16];
static struct timer timers[4];

static void
note(void *arg)
{
	order[strlen(order)] = *(char *)arg;
}

static void
noted(uint32_t events, void *arg)
{
	(void)events;
	note(arg);
}

static int
setup(void **state)
{
	(void)state;
	memset(order, 0, sizeof(order));
	return 0;
}

static void
timers_run_in_the_order_of_their_time(void **state)
{
	char a[] = "a", b[] = "b", c[] = "c", d[] = "d";

	(void)state;
	loop_after(&timers[0], 30, note, c);
	loop_after(&timers[1], 10, note, a);
	loop_after(&timers[2], 20, note, b);
	loop_after(&timers[3], 30, note, d);
	while (strlen(order) < 4)
		loop_once();
	assert_string_equal(order, "abcd");
}

static void
a_timer_that_is_set_anew_runs_once(void **state)
{
	char a[] = "a", b[] = "b";

	(void)state;
	loop_after(&timers[0], 5, note, a);
	loop_after(&timers[0], 20, note, a);
	loop_after(&timers[1], 40, note, b);
	while (!strchr(order, 'b'))
		loop_once();
	assert_string_equal(order, "ab");
}

static void
a_cancelled_timer_does_not_run(void **state)
{
	char a[] = "a", b[] = "b";

	(void)state;
	loop_after(&timers[0], 5, note, a);
	loop_after(&timers[1], 15, note, b);
	loop_cancel(&timers[0]);
	loop_cancel(&timers[0]);
	while (!*order)
		loop_once();
	assert_string_equal(order, "b");
	assert_false(timers[1].armed);
}

static int pairs[2][2];

static void
close_other(uint32_t events, void *arg)
{
	int *other = arg;

	(void)events;
	note((char[]){"x"});
	loop_forget(*other);
	close(*other);
	/* The number is used again at once, for something quiet. */
	*other = dup(pairs[0][1]);
}

/* Two descriptors are ready; whoever is served first closes the other. */
static void
an_event_of_a_closed_descriptor_is_not_served(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
		assert_int_equal(write(pairs[i][1], "1", 1), 1);
	}
	loop_fd(pairs[0][0], EPOLLIN, close_other, &pairs[1][0]);
	loop_fd(pairs[1][0], EPOLLIN, close_other, &pairs[0][0]);
	loop_once();
	assert_string_equal(order, "x");
	for (i = 0; i < 2; i++) {
		loop_forget(pairs[i][0]);
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
}

static void
events_can_be_changed_and_forgotten(void **state)
{
	char r[] = "r", w[] = "w", t[] = "t";
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	loop_fd(fd[0], EPOLLIN, noted, r);
	loop_fd(fd[0], EPOLLOUT, noted, w);
	loop_once();
	assert_string_equal(order, "w");
	loop_fd(fd[0], 0, noted, w);
	loop_after(&timers[0], 10, note, t);
	while (!strchr(order, 't'))
		loop_once();
	assert_string_equal(order, "wt");
	loop_forget(fd[0]);
	close(fd[0]);
	close(fd[1]);
}

static void
with_nothing_to_do_it_is_not_woken(void **state)
{
	char a[] = "a";

	(void)state;
	loop_after(&timers[0], 1, note, a);
	while (!*order)
		loop_once();
	loop_after(&timers[0], 300, note, a);
	loop_cancel(&timers[0]);
	loop_after(&timers[1], 400, note, a);
	loop_once(); /* one wake-up for 400 ms, none for the cancelled */
	assert_string_equal(order, "aa");
}

static void
random_numbers_stay_below_their_limit(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_in_range(loop_random(7), 0, 6);
	assert_int_equal(loop_random(0), 0);
}

static void
sigterm_ends_it(void **state)
{
	(void)state;
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(loop_run(), 0);
}

static int
begin(void **state)
{
	(void)state;
	loop_open();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
	    T(timers_run_in_the_order_of_their_time),
	    T(a_timer_that_is_set_anew_runs_once),
	    T(a_cancelled_timer_does_not_run),
	    T(an_event_of_a_closed_descriptor_is_not_served),
	    T(events_can_be_changed_and_forgotten),
	    T(with_nothing_to_do_it_is_not_woken),
	    T(random_numbers_stay_below_their_limit),
	    T(sigterm_ends_it),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
