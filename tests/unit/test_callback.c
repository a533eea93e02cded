/* SPDX-License-Identifier: ISC */
/* What of the callback is not seen from outside: that no port is to be had. */
#include "agent/fetch/fetch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static bool taken;

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_has_a_port_of_its_own),
	    cmocka_unit_test(where_every_port_is_taken_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
