/* SPDX-License-Identifier: ISC */
#include "agent/cli/cli.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The same arguments to libc's and to ours. */
#define SAME(...)                                                       \
	do {                                                            \
		char theirs_[256], ours_[256];                          \
		snprintf(theirs_, sizeof(theirs_), __VA_ARGS__);        \
		assert_true(format(ours_, sizeof(ours_), __VA_ARGS__)); \
		assert_string_equal(ours_, theirs_);                    \
	} while (0)

static void
it_writes_what_printf_writes(void **state)
{
	static const unsigned int numbers[] = {
	    0, 1, 9, 10, 59, 1000, 65535, 1u << 31, UINT_MAX};
	size_t i;

	(void)state;
	SAME("%s", "");
	SAME("plain");
	SAME("100%%");
	SAME("%s%s%s", "a", "b", "c");
	SAME("<%.*s>", 3, "abcdef");
	SAME("<%.*s>", 0, "abcdef");
	SAME("<%.*s>", 9, "abc");
	SAME("<%-9s>", "abc");
	SAME("<%9s>", "abc");
	SAME("<%2s>", "abc");
	SAME("%c%c", 'x', ' ');
	SAME("%lld %lld", LLONG_MIN, LLONG_MAX);
	SAME("%llu", ULLONG_MAX);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		SAME("%u %d %x", numbers[i], (int)numbers[i], numbers[i]);
		SAME("%02u|%04u|%6u|%04x", numbers[i], numbers[i], numbers[i],
		    numbers[i]);
	}
}

static void
what_does_not_fit_leaves_an_empty_string(void **state)
{
	char out[4] = "abc";

	(void)state;
	assert_true(format(out, sizeof(out), "%s", "xyz"));
	assert_string_equal(out, "xyz");
	assert_false(format(out, sizeof(out), "%s", "wxyz"));
	assert_string_equal(out, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_writes_what_printf_writes),
	    cmocka_unit_test(what_does_not_fit_leaves_an_empty_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
