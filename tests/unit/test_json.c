/* SPDX-License-Identifier: ISC */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

static struct json *
parse(const char *text)
{
	return json_parse(view_str(text));
}

static void
only_an_object_is_a_document(void **state)
{
	static const char *const bad[] = {"", " ", "[]", "\"a\"", "7", "null",
	    "{", "{\"a\":}", "{\"a\" 1}", "{\"a\":\"\\ud800\"}", "<html>",
	    "{} {}", "{}x", "\xef\xbb\xbf{}", "{\"a\":\"x\\u0000y\"}",
	    "{\"\\u0000\":1}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\xaf\"}",
	    "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}",
	    "{\"a\":\"\xc3\"}", "{\"a\":\"\xe2\x82\"}"};
	struct json *j;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(parse(bad[i]));
	assert_null(json_parse((struct view){(const uint8_t *)"{}\0", 3}));
	assert_non_null(j = parse(" {} \n"));
	json_free(j);
	assert_non_null(j = parse("{\"a\":\"\\\\u0000\"}"));
	json_free(j);
	assert_non_null(j = parse("{\"a\":\"\xc3\xa9\xe2\x82\xac"
				  "\xf0\x9f\x9a\x80\xf4\x8f\xbf\xbf\"}"));
	json_free(j);
}

static void
a_member_of_another_type_is_absent(void **state)
{
	struct json *j = parse(
	    "{\"s\":\"x\",\"n\":5,\"z\":null,\"a\":[],"
	    "\"o\":{},\"f\":1.9,\"big\":1e300,\"d\":\"600\",\"e\":\"\",\"S\":\"y\"}");
	struct view v;
	int64_t n = 7;

	(void)state;
	assert_non_null(j);
	assert_true(json_string(j, "s", &v) && view_is(v, "x"));
	assert_false(json_string(j, "n", &v));
	assert_false(json_string(j, "z", &v));
	assert_false(json_string(j, "none", &v));
	assert_false(json_number(j, "s", &n));
	assert_false(json_number(j, "z", &n));
	assert_false(json_number(j, "big", &n));
	assert_int_equal(n, 7);
	assert_true(json_number(j, "n", &n) && n == 5);
	assert_true(json_number(j, "f", &n) && n == 1);
	assert_true(json_number(j, "d", &n) && n == 600);
	assert_false(json_number(j, "e", &n));
	assert_null(json_object(j, "a"));
	assert_null(json_array(j, "o"));
	assert_non_null(json_object(j, "o"));
	assert_non_null(json_array(j, "a"));
	assert_false(json_string(NULL, "s", &v));
	json_free(j);
}

static void
of_a_member_that_comes_twice_the_last_counts(void **state)
{
	struct json *j = parse("{\"a\":\"x\",\"A\":\"z\",\"a\":\"y\"}");
	struct view v;

	(void)state;
	assert_true(json_string(j, "a", &v) && view_is(v, "y"));
	json_free(j);
}

static void
a_walk_through_an_array_sees_its_objects(void **state)
{
	struct json *j = parse("{\"l\":[{\"n\":1},null,7,{\"n\":2},[]]}");
	const struct json *list = json_array(j, "l"), *item = NULL;
	int64_t n, sum = 0;

	(void)state;
	while ((item = json_each(list, item))) {
		assert_true(json_number(item, "n", &n));
		sum = sum * 10 + n;
	}
	assert_int_equal(sum, 12);
	assert_null(json_each(NULL, NULL));
	json_free(j);
}

static void
deep_nesting_is_refused_and_not_followed(void **state)
{
	enum { DEPTH = 100000 };
	char *text = malloc(2 * DEPTH + 16);
	size_t n = 0;

	(void)state;
	assert_non_null(text);
	n += (size_t)sprintf(text, "{\"a\":");
	memset(text + n, '[', DEPTH);
	memset(text + n + DEPTH, ']', DEPTH);
	text[n + 2 * DEPTH] = '}';
	assert_null(json_parse((struct view){
	    (const uint8_t *)text, (uint32_t)(n + 2 * DEPTH + 1)}));
	free(text);
}

static void
what_is_written_is_read_again(void **state)
{
	static const char value[] = "a\"b\\c\x01\n\xc3\xa9</";
	AUTOBUF struct buf b = {0};
	struct json *j;
	struct view v;

	(void)state;
	json_put(&b, "plain", view_str("x"));
	json_put(&b, "odd", view_str(value));
	json_put(&b, "empty", view_str(NULL));
	json_end(&b);
	assert_non_null(j = json_parse(view_of(&b)));
	assert_true(json_string(j, "plain", &v) && view_is(v, "x"));
	assert_true(json_string(j, "odd", &v) && view_is(v, value));
	assert_true(json_string(j, "empty", &v) && v.n == 0);
	json_free(j);
}

static void
a_list_is_split_at_commas_and_trimmed(void **state)
{
	static const char want[] = "{\"s\":[\"a:b\",\"c\"],\"e\":[]}";
	AUTOBUF struct buf b = {0};

	(void)state;
	json_put_list(&b, "s", view_str(" a:b ,,c, "));
	json_put_list(&b, "e", view_str(""));
	json_end(&b);
	assert_int_equal(b.len, strlen(want));
	assert_memory_equal(b.data, want, b.len);
}

static void
nothing_at_all_is_an_empty_object(void **state)
{
	AUTOBUF struct buf b = {0};

	(void)state;
	json_end(&b);
	assert_true(view_is(view_of(&b), "{}"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_an_object_is_a_document),
	    cmocka_unit_test(a_member_of_another_type_is_absent),
	    cmocka_unit_test(of_a_member_that_comes_twice_the_last_counts),
	    cmocka_unit_test(a_walk_through_an_array_sees_its_objects),
	    cmocka_unit_test(deep_nesting_is_refused_and_not_followed),
	    cmocka_unit_test(what_is_written_is_read_again),
	    cmocka_unit_test(a_list_is_split_at_commas_and_trimmed),
	    cmocka_unit_test(nothing_at_all_is_an_empty_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
