/* SPDX-License-Identifier: ISC */
#include "awsenv/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

static void
numbers_are_big_endian(void **state)
{
	const uint8_t wire[] = {7, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 2};
	AUTOBUF struct buf b = {0};

	(void)state;
	buf_u8(&b, 7);
	buf_u32(&b, 258);
	buf_u64(&b, (uint64_t)1 << 32 | 2);
	assert_false(b.bad);
	assert_int_equal(b.len, sizeof(wire));
	assert_memory_equal(b.data, wire, sizeof(wire));
}

static void
a_short_view_gives_nothing_and_stays(void **state)
{
	uint8_t wire[] = {0, 0, 0, 4, 'a', 'b', 'c'};
	struct view v = {wire, sizeof(wire)}, s;
	uint64_t big;
	uint32_t n;

	(void)state;
	assert_false(view_string(&v, &s));
	assert_int_equal(v.n, sizeof(wire));
	assert_false(view_u64(&v, &big));
	assert_int_equal(v.n, sizeof(wire));
	assert_true(view_u32(&v, &n));
	assert_int_equal(n, 4);
	assert_int_equal(v.n, 3);
	assert_false(view_u32(&v, &n));
	assert_int_equal(v.n, 3);
}

static void
a_huge_string_length_does_not_wrap(void **state)
{
	uint8_t wire[] = {0xff, 0xff, 0xff, 0xff, 'a'};
	struct view v = {wire, sizeof(wire)}, s;

	(void)state;
	assert_false(view_string(&v, &s));
}

static void
growing_keeps_what_is_there(void **state)
{
	AUTOBUF struct buf b = {0};
	unsigned int i;

	(void)state;
	for (i = 0; i < 50000; i++)
		buf_u32(&b, i);
	assert_false(b.bad);
	assert_int_equal(b.len, 200000);
	for (struct view v = view_of(&b); v.n;) {
		uint32_t got;

		i = (unsigned int)(b.len - v.n) / 4;
		assert_true(view_u32(&v, &got));
		assert_int_equal(got, i);
	}
}

static void
past_the_maximum_is_bad_and_stays_bad(void **state)
{
	static uint8_t much[BUF_MAX];
	AUTOBUF struct buf b = {0};

	(void)state;
	buf_put(&b, much, sizeof(much));
	assert_false(b.bad);
	buf_u8(&b, 1);
	assert_true(b.bad && b.full);
	assert_int_equal(b.len, BUF_MAX);
	buf_put(&b, much, 0);
	assert_true(b.bad);
	buf_reset(&b);
	assert_false(b.bad || b.full);
}

static void
reset_and_eat_leave_no_byte_behind(void **state)
{
	AUTOBUF struct buf b = {0};
	size_t i;

	(void)state;
	buf_put(&b, "secretsecret", 12);
	buf_eat(&b, 6);
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.data, "secret", 6);
	for (i = 6; i < 12; i++)
		assert_int_equal(b.data[i], 0);
	buf_reset(&b);
	for (i = 0; i < 12; i++)
		assert_int_equal(b.data[i], 0);
}

static void
views_compare_by_content(void **state)
{
	(void)state;
	assert_true(view_is(view_str("abc"), "abc"));
	assert_false(view_is(view_str("abc"), "abcd"));
	assert_true(view_eq((struct view){0}, view_str("")));
	assert_true(view_eq(view_str(NULL), (struct view){0}));
}

static void
dup_refuses_an_embedded_nul(void **state)
{
	AUTOFREE char *s = NULL;

	(void)state;
	assert_null(view_dup((struct view){(const uint8_t *)"a\0b", 3}));
	s = view_dup(view_str("ab"));
	assert_string_equal(s, "ab");
}

static void
lists_of_variables_are_searched_by_whole_name(void **state)
{
	static const char text[] = "AB=1\0A=2\0E=\0cut";
	const struct view list = {(const uint8_t *)text, sizeof(text) - 1};
	struct view v;

	(void)state;
	assert_true(view_find(list, "A", &v));
	assert_true(view_is(v, "2"));
	assert_true(view_find(list, "E", &v));
	assert_int_equal(v.n, 0);
	assert_false(view_find(list, "B", &v));
	assert_false(view_find(list, "cut", &v));
}

static void
joined_strings_fit_or_are_empty(void **state)
{
	char dst[6];

	(void)state;
	assert_true(str_join(dst, sizeof(dst), "ab", "", "cde", NULL));
	assert_string_equal(dst, "abcde");
	assert_false(str_join(dst, sizeof(dst), "ab", "cdef", NULL));
	assert_string_equal(dst, "");
	assert_true(str_join(dst, sizeof(dst), NULL));
	assert_string_equal(dst, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_are_big_endian),
	    cmocka_unit_test(a_short_view_gives_nothing_and_stays),
	    cmocka_unit_test(a_huge_string_length_does_not_wrap),
	    cmocka_unit_test(growing_keeps_what_is_there),
	    cmocka_unit_test(past_the_maximum_is_bad_and_stays_bad),
	    cmocka_unit_test(reset_and_eat_leave_no_byte_behind),
	    cmocka_unit_test(views_compare_by_content),
	    cmocka_unit_test(dup_refuses_an_embedded_nul),
	    cmocka_unit_test(lists_of_variables_are_searched_by_whole_name),
	    cmocka_unit_test(joined_strings_fit_or_are_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
