/* SPDX-License-Identifier: ISC */
/* The vectors are of AWS's published test suite for Signature Version 4. */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

#define DATE "20150830T123600Z"
#define SCOPE "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
#define TOKEN                                                               \
	"AQoDYXdzEPT//////////"                                             \
	"wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRX" \
	"mxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"                       \
	"kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSX" \
	"Dvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+"                           \
	"xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"                              \
	"scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/"      \
	"oLxBA=="

static void
check(const char *method, const char *query, const char *content_type,
    const char *token, const char *body, const char *names,
    const char *signature)
{
	AUTOBUF struct buf out = {0};
	struct sigv4_header headers[4];
	struct sigv4 s = {
	    .method = method,
	    .path = "/",
	    .query = query,
	    .headers = headers,
	    .body = view_str(body),
	    .date = DATE,
	    .region = view_str("us-east-1"),
	    .service = "service",
	};
	char want[400];

	if (content_type)
		headers[s.n_headers++] = (struct sigv4_header){
		    "content-type", view_str(content_type)};
	headers[s.n_headers++] =
	    (struct sigv4_header){"host", view_str("example.amazonaws.com")};
	headers[s.n_headers++] =
	    (struct sigv4_header){"x-amz-date", view_str(DATE)};
	if (token)
		headers[s.n_headers++] = (struct sigv4_header){
		    "x-amz-security-token", view_str(token)};
	assert_true(sigv4_authorization(&s, view_str("AKIDEXAMPLE"),
	    view_str("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), &out));
	snprintf(want, sizeof(want),
	    "AWS4-HMAC-SHA256 Credential=" SCOPE
	    ", SignedHeaders=%s, Signature=%s",
	    names, signature);
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.data, want, out.len);
}

static void
get_vanilla(void **state)
{
	(void)state;
	check("GET", "", NULL, NULL, "", "host;x-amz-date",
	    "5fa00fa31553b73ebf1942676e86291e"
	    "8372ff2a2260956d9b8aae1d763fbf31");
}

static void
get_vanilla_query_order_key(void **state)
{
	(void)state;
	check("GET", "Param1=value1&Param2=value2", NULL, NULL, "",
	    "host;x-amz-date",
	    "b97d918cfa904a5beff61c982a1b6f45"
	    "8b799221646efd99d3219ec94cdf2500");
}

static void
post_vanilla(void **state)
{
	(void)state;
	check("POST", "", NULL, NULL, "", "host;x-amz-date",
	    "5da7c1a2acd57cee7505fc6676e4e544"
	    "621c30862966e37dddb68e92efbe5d6b");
}

static void
post_x_www_form_urlencoded(void **state)
{
	(void)state;
	check("POST", "", "application/x-www-form-urlencoded", NULL,
	    "Param1=value1", "content-type;host;x-amz-date",
	    "ff11897932ad3f4e8b18135d722051e5"
	    "ac45fc38421b1da7b9d196a0fe09473a");
}

static void
post_sts_header_before(void **state)
{
	(void)state;
	check("POST", "", NULL, TOKEN, "",
	    "host;x-amz-date;x-amz-security-token",
	    "85d96828115b5dc0cfc3bd16ad9e210d"
	    "d772bbebba041836c64533a82be05ead");
}

static void
a_date_that_is_none_is_not_signed(void **state)
{
	struct sigv4 s = {.method = "GET",
	    .path = "/",
	    .query = "",
	    .date = "2015",
	    .service = "sts"};
	AUTOBUF struct buf out = {0};

	(void)state;
	assert_false(
	    sigv4_authorization(&s, view_str("a"), view_str("b"), &out));
	assert_int_equal(out.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(get_vanilla),
	    cmocka_unit_test(get_vanilla_query_order_key),
	    cmocka_unit_test(post_vanilla),
	    cmocka_unit_test(post_x_www_form_urlencoded),
	    cmocka_unit_test(post_sts_header_before),
	    cmocka_unit_test(a_date_that_is_none_is_not_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
