/* SPDX-License-Identifier: ISC */
#include "agent/profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int
end(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void
only_utf8_is_utf8(void **state)
{
	static const char *const good[] = {
	    "",
	    "a",
	    "\xc3\xa9",
	    "\xe2\x82\xac",
	    "\xf0\x9f\x98\x80",
	    "\xef\xbf\xbf",
	    "\xf4\x8f\xbf\xbf",
	};
	static const char *const bad[] = {
	    "\x80",
	    "\xc3",
	    "\xc0\x80",
	    "\xc1\xbf",
	    "\xe0\x80\x80",
	    "\xed\xa0\x80",
	    "\xf0\x80\x80\x80",
	    "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80",
	    "\xff",
	    "\xe2\x82",
	    "\xe2\x82z",
	    "a\xc3(",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(text_is_utf8(view_str(good[i])));
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(text_is_utf8(view_str(bad[i])));
}

static void
blanks_are_those_of_unicode(void **state)
{
	static const char *const blanks[] = {
	    " ",
	    "\t",
	    "\v",
	    "\f",
	    "\x1c",
	    "\xc2\x85",
	    "\xc2\xa0",
	    "\xe1\x9a\x80",
	    "\xe2\x80\x80",
	    "\xe2\x80\xa9",
	    "\xe2\x80\xaf",
	    "\xe2\x81\x9f",
	    "\xe3\x80\x80",
	};
	char line[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(blanks) / sizeof(*blanks); i++) {
		snprintf(line, sizeof(line), "%s%sx y%s%s", blanks[i],
		    blanks[i], blanks[i], blanks[i]);
		assert_true(view_is(text_strip(view_str(line)), "x y"));
		assert_int_equal(text_indent(view_str(line)), 2);
	}
	assert_int_equal(text_strip(view_str(" \xc2\xa0\t")).n, 0);
	assert_true(
	    view_is(text_strip(view_str("\xe2\x80\x8b")), "\xe2\x80\x8b"));
	assert_true(view_is(text_strip(view_str("a\xa0")), "a\xa0"));
}

static void
assert_words(const char *line, const char *const *wanted)
{
	struct view words[8];
	int i, n = text_words(&arena, view_str(line), words, 8);

	for (i = 0; i < n; i++) {
		assert_non_null(wanted[i]);
		assert_true(view_is(words[i], wanted[i]));
	}
	assert_null(wanted[n]);
}

static void
words_are_those_of_a_shell(void **state)
{
	(void)state;
	assert_words("", (const char *[]){NULL});
	assert_words("  a \t b\n", (const char *[]){"a", "b", NULL});
	assert_words("'a b' \"c d\"", (const char *[]){"a b", "c d", NULL});
	assert_words("a'b'\"c\"d", (const char *[]){"abcd", NULL});
	assert_words("'' \"\"", (const char *[]){"", "", NULL});
	assert_words("a\\ b \\'", (const char *[]){"a b", "'", NULL});
	assert_words("'a\\' b", (const char *[]){"a\\", "b", NULL});
	assert_words(
	    "\"a\\\"b\\\\c\\d\"", (const char *[]){"a\"b\\c\\d", NULL});
}

static void
an_open_quote_and_too_many_words_are_none(void **state)
{
	struct view words[2];

	(void)state;
	assert_int_equal(text_words(&arena, view_str("'a"), words, 2), -1);
	assert_int_equal(text_words(&arena, view_str("a\\"), words, 2), -1);
	assert_int_equal(text_words(&arena, view_str("a b c"), words, 2), -1);
	assert_int_equal(text_words(&arena, view_str("a b "), words, 2), 2);
}

static void
texts_are_short_and_printable_whatever_is_put_in(void **state)
{
	char long_name[2 * TEXT_MAX];
	struct view v;

	(void)state;
	v = text_make(&arena, "a%sb", "\x1b[2J\n\xff\xe2\x80\xae\xc2\x9b");
	assert_true(view_is(v, "a?[2J????b"));
	assert_true(text_is_printable(v));
	memset(long_name, 'x', sizeof(long_name));
	long_name[TEXT_MAX - 1] = '\xc3';
	long_name[TEXT_MAX] = '\xa9';
	long_name[sizeof(long_name) - 1] = '\0';
	v = text_make(&arena, "%s", long_name);
	assert_int_equal(v.n, TEXT_MAX - 1);
	assert_true(text_is_printable(v));
}

static void
every_byte_may_be_cut_anywhere(void **state)
{
	static const char text[] = "\xf0\x9f\x98\x80 \xe3\x80\x80\xc2\xa0";
	uint32_t from, to;

	(void)state;
	for (from = 0; from < sizeof(text); from++) {
		for (to = from; to < sizeof(text); to++) {
			struct view v = {
			    (const uint8_t *)text + from, to - from};

			assert_true(text_strip(v).n <= v.n);
			assert_true(text_indent(v) <= v.n);
			(void)text_is_printable(v);
		}
	}
}

#define T(name) cmocka_unit_test_teardown(name, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(only_utf8_is_utf8),
	    T(blanks_are_those_of_unicode),
	    T(words_are_those_of_a_shell),
	    T(an_open_quote_and_too_many_words_are_none),
	    T(texts_are_short_and_printable_whatever_is_put_in),
	    T(every_byte_may_be_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
