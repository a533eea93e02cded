/* SPDX-License-Identifier: ISC */
/* What of the callback is not seen from outside: that no port is to be had, or
 * no descriptor for who comes. */
#include "agent/fetch/fetch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/browser.h"

static bool taken, full;
static unsigned int refused;
static int64_t now; /* waits take no time, and all of their time */

int __wrap_bind(int, const struct sockaddr *, socklen_t);
int __real_bind(int, const struct sockaddr *, socklen_t);

int
__wrap_bind(int fd, const struct sockaddr *a, socklen_t n)
{
	if (taken) {
		errno = EADDRINUSE;
		return -1;
	}
	return __real_bind(fd, a, n);
}

int __wrap_accept4(int, struct sockaddr *, socklen_t *, int);
int __real_accept4(int, struct sockaddr *, socklen_t *, int);

int
__wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	if (full) {
		refused++;
		now++; /* what never rests comes to its end all the same */
		errno = EMFILE;
		return -1;
	}
	return __real_accept4(fd, a, n, flags);
}

int64_t __wrap_io_deadline(int);

int64_t
__wrap_io_deadline(int ms)
{
	return now + ms;
}

int __wrap_poll(struct pollfd *, nfds_t, int);
int __real_poll(struct pollfd *, nfds_t, int);
int __wrap___poll_chk(struct pollfd *, nfds_t, int, size_t);

int
__wrap_poll(struct pollfd *p, nfds_t n, int ms)
{
	int ready = __real_poll(p, n, 0);

	if (ready == 0)
		now += ms;
	return ready;
}

int
__wrap___poll_chk(struct pollfd *p, nfds_t n, int ms, size_t room)
{
	(void)room;
	return __wrap_poll(p, n, ms);
}

static void
each_has_a_port_of_its_own(void **state)
{
	struct buf a = {0}, b = {0};
	struct callback *one, *two;

	(void)state;
	taken = false;
	one = callback_open(view_str("state"), (struct view){0}, &a);
	two = callback_open(view_str("state"), (struct view){0}, &b);
	assert_true(one && two);
	assert_false(view_eq(view_of(&a), view_of(&b)));
	assert_memory_equal(a.data, "http://127.0.0.1:", 17);
	assert_memory_equal(a.data + a.len - 15, "/oauth/callback", 15);
	callback_close(one, false);
	callback_close(two, true);
	buf_free(&a);
	buf_free(&b);
}

static void
where_every_port_is_taken_there_is_none(void **state)
{
	struct buf a = {0};

	(void)state;
	taken = true;
	assert_null(callback_open(view_str("state"), (struct view){0}, &a));
	assert_int_equal(a.len, 0);
	callback_close(NULL, false);
}

static void
who_cannot_be_let_in_knocks_once_a_second(void **state)
{
	struct buf address = {0}, code = {0};
	struct talk t = {.fd = -1};
	struct callback *c;
	int browser;

	(void)state;
	taken = false;
	c = callback_open(view_str("state"), (struct view){0}, &address);
	assert_non_null(c);
	browser = visit(&address);
	full = true;
	assert_int_equal(
	    callback_wait(c, &t, now + 2500, &code), CALLBACK_TIME);
	assert_int_equal(refused, 3);
	full = false;
	assert_int_equal(
	    callback_wait(c, &t, now + 60000, &code), CALLBACK_CODE);
	assert_true(view_is(view_of(&code), "CODE"));
	callback_close(c, true);
	close(browser);
	buf_free(&address);
	buf_free(&code);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_has_a_port_of_its_own),
	    cmocka_unit_test(where_every_port_is_taken_there_is_none),
	    cmocka_unit_test(who_cannot_be_let_in_knocks_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
