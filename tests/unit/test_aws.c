/* SPDX-License-Identifier: ISC */
#include "fake_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static enum aw_err
call(struct talk *t, enum aws_repeat repeat, struct aws_answer *a)
{
	const struct http_request q = {
	    .method = "GET", .url = "https://host.example/x?secret"};

	aws_free(a);
	return aws_call(t, &q, repeat, a);
}

static void
the_name_of_an_error_is_sought_in_the_order_of_the_sdks(void **state)
{
	static const struct {
		const char *head, *body, *code, *message;
	} cases[] = {
	    {"x-amzn-ErrorType: Header:http://x/#y\r\n",
		"{\"code\":\"Code\",\"__type\":\"Type\"}", "Header", ""},
	    {"x-amzn-ErrorType: a.b#Header\r\n", "<html>", "Header", ""},
	    {"", "{\"__type\":\"a.b#Type\",\"message\":\"m\"}", "Type", "m"},
	    {"", "{\"__type\":\"a#Type\",\"code\":\"a#Code:x\"}", "Code", ""},
	    {"", "{\"error\":\"slow_down\",\"error_description\":\"d\"}",
		"slow_down", "d"},
	    {"", "{\"Message\":\"only words\"}", "", "only words"},
	    {"",
		"<ErrorResponse><Error><Type>Sender</Type><Code>C</Code>"
		"<Message>a &amp; b</Message></Error></ErrorResponse>",
		"C", "a & b"},
	    {"",
		"<Response><Errors><Error><Code>C</Code></Error></Errors>"
		"</Response>",
		"C", ""},
	};
	struct aws_answer a = {0};
	struct talk t = net_talk();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		net_reset();
		net_answer(400, cases[i].head, cases[i].body);
		assert_int_equal(call(&t, AWS_ONCE, &a), AW_AWS);
		assert_string_equal(a.code, cases[i].code);
		assert_string_equal(a.message, cases[i].message);
		assert_null(strstr(t.why.text, "secret"));
	}
	aws_free(&a);
}

static void
a_refusal_without_a_name_is_not_aws(void **state)
{
	static const char *const bodies[] = {
	    "", "{}", "<html><body>hi</html>", "[]", "nothing"};
	struct aws_answer a = {0};
	struct talk t = net_talk();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		net_reset();
		net_answer(403, NET_DATE, bodies[i]);
		assert_int_equal(call(&t, AWS_RETRY, &a), AW_NETWORK);
		assert_non_null(strstr(t.why.text, "not AWS"));
	}
	assert_false(t.skew_known);
	aws_free(&a);
}

static void
trouble_is_asked_again_twice_and_then_told(void **state)
{
	static const long trouble[] = {429, 500, 502, 503, 504, 0};
	struct aws_answer a = {0};
	struct talk t = net_talk();
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < sizeof(trouble) / sizeof(trouble[0]); i++) {
		net_reset();
		for (n = 0; n < 4; n++)
			net_answer(trouble[i], "", "");
		assert_int_equal(call(&t, AWS_RETRY, &a), AW_NETWORK);
		assert_int_equal(net_questions, 3);
		assert_true(net_slept[1] <= 1000 && net_slept[2] <= 2000);
	}
	net_reset();
	net_answer(503, "", "");
	net_answer(200, "", "{}");
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_OK);
	aws_free(&a);
}

static void
slow_down_is_throttling_but_for_loops_that_poll(void **state)
{
	struct aws_answer a = {0};
	struct talk t = net_talk();

	(void)state;
	net_reset();
	net_answer(400, "", "{\"__type\":\"ThrottlingException\"}");
	net_answer(200, "", "{}");
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_OK);
	net_reset();
	net_answer(400, "", "{\"__type\":\"SlowDownException\"}");
	net_answer(200, "", "{}");
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_OK);
	net_reset();
	net_answer(400, "", "{\"error\":\"slow_down\"}");
	assert_int_equal(call(&t, AWS_ONCE, &a), AW_AWS);
	aws_free(&a);
}

static void
what_aws_asks_us_to_wait_is_waited_or_not_asked_again(void **state)
{
	struct aws_answer a = {0};
	struct talk t = net_talk();

	(void)state;
	net_reset();
	net_answer(429, "Retry-After: 3\r\n", "");
	net_answer(503, "x-amz-retry-after: 1500\r\nRetry-After: 9\r\n", "");
	net_answer(200, "", "{}");
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_OK);
	assert_in_range(net_slept[1], 3000, 4000);
	assert_in_range(net_slept[2], 1500, 2500);
	net_reset();
	net_answer(429, "Retry-After: 60\r\n", "");
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_NETWORK);
	net_reset();
	net_answer(429, "Retry-After: 9\r\n", "");
	t.deadline = 5000;
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_NETWORK);
	aws_free(&a);
}

static void
what_may_have_been_seen_is_not_sent_twice(void **state)
{
	struct aws_answer a = {0};
	struct talk t = net_talk();

	(void)state;
	net_reset();
	net_answer(0, "", "");
	assert_int_equal(call(&t, AWS_UNSENT, &a), AW_NETWORK);
	net_reset();
	net_answer(0, "", "");
	net_script[0].unsent = true;
	net_answer(503, "", "");
	net_answer(200, "", "{}");
	assert_int_equal(call(&t, AWS_UNSENT, &a), AW_OK);
	net_reset();
	net_answer(503, "", "");
	assert_int_equal(call(&t, AWS_ONCE, &a), AW_NETWORK);
	aws_free(&a);
}

static void
dated(char head[static 200], int64_t ahead, const char *more)
{
	time_t when = time(NULL) + (time_t)ahead;
	struct tm tm;
	size_t n;

	n = strftime(head, 200, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
	    gmtime_r(&when, &tm));
	snprintf(head + n, 200 - n, "%s", more);
}

static void
the_clock_is_learnt_from_the_date_of_aws(void **state)
{
	struct aws_answer a = {0};
	struct talk t = net_talk();
	char head[200];

	(void)state;
	net_reset();
	dated(head, 1, "");
	net_answer(200, head, "{}");
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_OK);
	assert_true(t.skew_known && t.skew == 0);
	net_reset();
	dated(head, -600, "");
	net_answer(400, head, "{\"__type\":\"X\"}");
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_AWS);
	assert_in_range(t.skew + 700, 99, 101);
	net_reset();
	dated(head, 900, "Age: 7\r\n");
	net_answer(200, head, "{}");
	assert_int_equal(call(&t, AWS_RETRY, &a), AW_OK);
	assert_true(t.skew < 0);
	aws_free(&a);
}

static void
credentials_of_odd_letters_or_none_are_not_sealed(void **state)
{
	const struct view good = view_str("good"), odd = view_str("a\r\nb");
	AUTOBUF struct buf b = {0};
	struct creds c;

	(void)state;
	assert_false(aws_seal_creds(&b, 0, good, good, good));
	assert_false(aws_seal_creds(&b, 1, odd, good, good));
	assert_false(aws_seal_creds(&b, 1, good, odd, good));
	assert_false(aws_seal_creds(&b, 1, good, good, odd));
	assert_false(aws_seal_creds(&b, 1, good, good, view_str("")));
	assert_true(aws_seal_creds(&b, 1, good, good, good));
	assert_true(msg_decode(MSG_CREDS, view_of(&b), &c));
	assert_true(view_eq(c.session_token, good) && c.expires == 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		the_name_of_an_error_is_sought_in_the_order_of_the_sdks),
	    cmocka_unit_test(a_refusal_without_a_name_is_not_aws),
	    cmocka_unit_test(trouble_is_asked_again_twice_and_then_told),
	    cmocka_unit_test(slow_down_is_throttling_but_for_loops_that_poll),
	    cmocka_unit_test(
		what_aws_asks_us_to_wait_is_waited_or_not_asked_again),
	    cmocka_unit_test(what_may_have_been_seen_is_not_sent_twice),
	    cmocka_unit_test(the_clock_is_learnt_from_the_date_of_aws),
	    cmocka_unit_test(credentials_of_odd_letters_or_none_are_not_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
