/* SPDX-License-Identifier: ISC */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

static void
foreign_text_is_made_harmless_and_cut(void **state)
{
	static const char *const cases[][2] = {
	    {"plain ~text", "plain ~text"},
	    {"a\tb\r\nc", "a b  c"},
	    {"\x1b[31mred\x07", "?[31mred?"},
	    {"caf\xc3\xa9", "caf?"},
	    {"\xe2\x80\xae"
	     "drow",
		"?drow"},
	    {"\x7f", "?"},
	};
	struct why why;
	char out[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_clean(out, sizeof(out), view_str(cases[i][0]));
		assert_string_equal(out, cases[i][1]);
	}
	text_clean(out, 4, view_str("abcdef"));
	assert_string_equal(out, "abc");
	assert_int_equal(why_set(&why, AW_AWS, "%0700d\n", 7), AW_AWS);
	assert_int_equal(strlen(why.text), WHY_MAX - 1);
}

static void
a_word_has_no_blank_and_nothing_unprintable(void **state)
{
	(void)state;
	assert_true(text_is_word(view_str("aoa/+=~!"), 8));
	assert_false(text_is_word(view_str("aoa/+=~!"), 7));
	assert_false(text_is_word(view_str(""), 8));
	assert_false(text_is_word(view_str("a b"), 8));
	assert_false(text_is_word(view_str("a\r\nb"), 8));
	assert_false(text_is_word(view_str("\xc3\xa9"), 8));
	assert_true(text_is_account(view_str("012345678901")));
	assert_false(text_is_account(view_str("01234567890")));
	assert_false(text_is_account(view_str("0123456789012")));
	assert_false(text_is_account(view_str("01234567890a")));
}

static void
all_but_the_unreserved_is_percent_encoded(void **state)
{
	AUTOBUF struct buf b = {0};

	(void)state;
	text_percent(&b, view_str("aZ09-._~ +/&=?%\xc3\xa9"));
	assert_true(
	    view_is(view_of(&b), "aZ09-._~%20%2B%2F%26%3D%3F%25%C3%A9"));
	buf_reset(&b);
	text_percent(&b, (struct view){(const uint8_t *)"\0", 1});
	assert_true(view_is(view_of(&b), "%00"));
}

static void
times_of_sts_are_read(void **state)
{
	static const char *const bad[] = {"", "2026-11-21", "yesterday",
	    "2026-11-21T02:00:00+01:00", "2026-11-21T02:00:00Z and more",
	    "2026-13-21T02:00:00Z",
	    "2026-11-21T02:00:00.000000000000000000000000000000Z"};
	int64_t when;
	size_t i;

	(void)state;
	assert_true(text_time(view_str("2026-11-21T02:00:00Z"), &when));
	assert_int_equal(when, 1795226400);
	assert_true(text_time(view_str("2026-11-21T02:00:00.123Z"), &when));
	assert_int_equal(when, 1795226400);
	assert_true(text_time(view_str("2026-11-21T02:00:00+00:00"), &when));
	assert_int_equal(when, 1795226400);
	assert_true(text_time(view_str("2026-11-21T02:00:00"), &when));
	assert_int_equal(when, 1795226400);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (text_time(view_str(bad[i]), &when))
			fail_msg("accepted: %s", bad[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(foreign_text_is_made_harmless_and_cut),
	    cmocka_unit_test(a_word_has_no_blank_and_nothing_unprintable),
	    cmocka_unit_test(all_but_the_unreserved_is_percent_encoded),
	    cmocka_unit_test(times_of_sts_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
