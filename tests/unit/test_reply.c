/* SPDX-License-Identifier: ISC */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct reply
reply(const char *head)
{
	struct reply r = {.status = 200};

	buf_put(&r.head, head, strlen(head));
	return r;
}

static void
a_header_is_found_whatever_its_case(void **state)
{
	struct reply r = reply("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
			       "X-Amzn-ErrorType:  Name:x \t\r\nEmpty:\r\n"
			       "Age2: 7\r\nlast: no newline");
	struct view v;

	(void)state;
	assert_true(reply_header(&r, "content-type", &v) && view_is(v, "a/b"));
	assert_true(reply_header(&r, "x-amzn-errortype", &v));
	assert_true(view_is(v, "Name:x"));
	assert_true(reply_header(&r, "empty", &v) && v.n == 0);
	assert_false(reply_header(&r, "age", &v));
	assert_false(reply_header(&r, "last", &v));
	assert_false(reply_header(&r, "", &v));
	reply_free(&r);
	assert_false(reply_header(&r, "content-type", &v));
}

static void
a_date_is_read_and_nonsense_is_none(void **state)
{
	struct reply r = reply("Date: Sat, 21 Nov 2026 02:00:00 GMT\r\n");
	time_t when;

	(void)state;
	assert_true(reply_date(&r, &when));
	assert_int_equal(when, 1795226400);
	reply_free(&r);
	r = reply("Date: soon\r\n");
	assert_false(reply_date(&r, &when));
	reply_free(&r);
	assert_false(reply_date(&r, &when));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_header_is_found_whatever_its_case),
	    cmocka_unit_test(a_date_is_read_and_nonsense_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
