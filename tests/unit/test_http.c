/* SPDX-License-Identifier: ISC */
#include "agent/cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HOST "127.0.0.1:4711"
#define TOKEN "0123456789abcdef"
#define GET "GET " HTTP_PATH " HTTP/1.1\r\n"
#define GOOD "Host: " HOST "\r\nAuthorization: " TOKEN "\r\n"

static unsigned int
judged(const char *request)
{
	return http_judge(view_str(request), HOST, TOKEN);
}

/* As botocore, the SDKs for JavaScript, Go, Rust and Java, and curl ask. */
static void
requests_of_real_clients_are_taken(void **state)
{
	(void)state;
	assert_int_equal(
	    judged(GET "Host: " HOST "\r\nAccept-Encoding: identity"
		       "\r\nAccept: application/json\r\n"
		       "Authorization: " TOKEN "\r\n\r\n"),
	    200);
	assert_int_equal(judged(GET "Authorization: " TOKEN "\r\nHost: " HOST
				    "\r\nConnection: close\r\n\r\n"),
	    200);
	assert_int_equal(judged(GET "host: " HOST "\r\nauthorization: " TOKEN
				    "\r\naccept: */*\r\n\r\n"),
	    200);
	assert_int_equal(
	    judged("GET " HTTP_PATH " HTTP/1.0\r\n" GOOD "\r\n"), 200);
	assert_int_equal(judged(GET "HOST:" HOST "\r\nAUTHORIZATION: \t" TOKEN
				    " \t\r\nX:\r\n\r\n"),
	    200);
}

static void
every_beginning_of_a_request_is_waited_for(void **state)
{
	static const char whole[] = GET GOOD "\r\n";
	struct view v = view_str(whole);

	(void)state;
	for (v.n = 0; v.n < sizeof(whole) - 1; v.n++)
		assert_int_equal(http_judge(v, HOST, TOKEN), 0);
	assert_int_equal(http_judge(v, HOST, TOKEN), 200);
}

static void
without_the_token_nothing_is_told(void **state)
{
	(void)state;
	assert_int_equal(judged(GET "Host: " HOST "\r\n\r\n"), 403);
	assert_int_equal(
	    judged("POST /x HTTP/1.1\r\nHost: " HOST "\r\n\r\n"), 403);
	assert_int_equal(
	    judged(GET "Host: " HOST "\r\nAuthorization:\r\n\r\n"), 403);
	assert_int_equal(
	    judged(GET "Host: " HOST "\r\nAuthorization: " TOKEN "0\r\n\r\n"),
	    403);
	assert_int_equal(judged(GET "Host: " HOST "\r\nAuthorization: "
				    "0123456789abcdeF\r\n\r\n"),
	    403);
	assert_int_equal(
	    judged(GET "Host: " HOST "\r\nAuthorization: Bearer " TOKEN
		       "\r\n\r\n"),
	    403);
	assert_int_equal(
	    judged(GET GOOD "Authorization: " TOKEN "\r\n\r\n"), 403);
	assert_int_equal(judged(GET "Authorization: no\r\n" GOOD "\r\n"), 403);
}

static void
pages_in_browsers_and_other_names_for_loopback_are_refused(void **state)
{
	(void)state;
	assert_int_equal(judged(GET GOOD "Origin: null\r\n\r\n"), 403);
	assert_int_equal(
	    judged(GET GOOD "origin: http://" HOST "\r\n\r\n"), 403);
	assert_int_equal(judged(GET "Authorization: " TOKEN "\r\n\r\n"), 403);
	assert_int_equal(
	    judged(
		GET "Host: localhost:4711\r\nAuthorization: " TOKEN "\r\n\r\n"),
	    403);
	assert_int_equal(
	    judged(GET "Host: 127.0.0.1\r\nAuthorization: " TOKEN "\r\n\r\n"),
	    403);
	assert_int_equal(judged(GET "Host: evil.example\r\n" GOOD "\r\n"), 403);
	assert_int_equal(judged(GET GOOD "Host: " HOST "\r\n\r\n"), 403);
}

static void
another_path_or_method_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(judged("GET / HTTP/1.1\r\n" GOOD "\r\n"), 404);
	assert_int_equal(
	    judged("GET " HTTP_PATH "/ HTTP/1.1\r\n" GOOD "\r\n"), 404);
	assert_int_equal(
	    judged("GET " HTTP_PATH "?x HTTP/1.1\r\n" GOOD "\r\n"), 404);
	assert_int_equal(
	    judged("GET http://" HOST HTTP_PATH " HTTP/1.1\r\n" GOOD "\r\n"),
	    404);
	assert_int_equal(
	    judged("POST " HTTP_PATH " HTTP/1.1\r\n" GOOD "\r\n"), 405);
	assert_int_equal(
	    judged("get " HTTP_PATH " HTTP/1.1\r\n" GOOD "\r\n"), 405);
	assert_int_equal(
	    judged("GET " HTTP_PATH " HTTP/2.0\r\n" GOOD "\r\n"), 400);
	assert_int_equal(
	    judged("GET " HTTP_PATH " HTTP/1.1 \r\n" GOOD "\r\n"), 400);
	assert_int_equal(judged("GET " HTTP_PATH "\r\n" GOOD "\r\n"), 404);
}

static void
what_is_no_header_is_refused_at_once(void **state)
{
	(void)state;
	assert_int_equal(judged("\r\n" GET GOOD "\r\n"), 400);
	assert_int_equal(judged("GET " HTTP_PATH " HTTP/1.1\n"), 400);
	assert_int_equal(judged(GET "Host: " HOST "\n"), 400);
	assert_int_equal(judged(GET " folded\r\n"), 400);
	assert_int_equal(judged(GET "Host : " HOST "\r\n"), 400);
	assert_int_equal(judged(GET ": x\r\n"), 400);
	assert_int_equal(judged(GET "no colon\r\n"), 400);
	assert_int_equal(judged(GET "A: \033[0m\r\n"), 400);
	assert_int_equal(judged(GET "A: x\ry\r\n"), 400);
	assert_int_equal(judged("\026\003\001\002\n"), 400);
	assert_int_equal(
	    http_judge(
		(struct view){(const uint8_t *)"GET\0\r\n", 6}, HOST, TOKEN),
	    400);
}

static void
a_request_that_does_not_end_is_too_large(void **state)
{
	static char text[HTTP_MOST];
	struct view v = {(const uint8_t *)text, HTTP_MOST};

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(http_judge(v, HOST, TOKEN), 431);
	memcpy(text, GET "X: ", sizeof(GET "X: ") - 1);
	assert_int_equal(http_judge(v, HOST, TOKEN), 431);
	v.n--;
	assert_int_equal(http_judge(v, HOST, TOKEN), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_of_real_clients_are_taken),
	    cmocka_unit_test(every_beginning_of_a_request_is_waited_for),
	    cmocka_unit_test(without_the_token_nothing_is_told),
	    cmocka_unit_test(
		pages_in_browsers_and_other_names_for_loopback_are_refused),
	    cmocka_unit_test(another_path_or_method_is_not_there),
	    cmocka_unit_test(what_is_no_header_is_refused_at_once),
	    cmocka_unit_test(a_request_that_does_not_end_is_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
