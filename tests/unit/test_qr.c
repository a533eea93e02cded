/* SPDX-License-Identifier: ISC */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

static int
dark(const struct buf *b, uint32_t width, uint32_t x, uint32_t y)
{
	return b->data[y * ((width + 7) / 8) + x / 8] >> (7 - x % 8) & 1;
}

/* Seven by seven: a dark ring, a light one, a dark heart of three by three. */
static void
check_finder(const struct buf *b, uint32_t width, uint32_t left, uint32_t top)
{
	uint32_t x, y;

	for (y = 0; y < 7; y++) {
		for (x = 0; x < 7; x++) {
			int ring = x == 0 || y == 0 || x == 6 || y == 6;
			int heart = x > 1 && x < 5 && y > 1 && y < 5;

			assert_int_equal(
			    dark(b, width, left + x, top + y), ring || heart);
		}
	}
}

static void
the_finders_stand_in_three_corners(void **state)
{
	AUTOBUF struct buf b = {0};
	uint32_t width, y;

	(void)state;
	width = qr_encode("https://device.sso.eu-west-1.amazonaws.com/", &b);
	assert_true(width >= 21 && width % 4 == 1);
	assert_int_equal(b.len, width * ((width + 7) / 8));
	check_finder(&b, width, 0, 0);
	check_finder(&b, width, width - 7, 0);
	check_finder(&b, width, 0, width - 7);
	for (y = 0; y < width; y++)
		assert_int_equal(b.data[(y + 1) * ((width + 7) / 8) - 1] &
			0x7f >> (width - 1) % 8,
		    0);
}

static void
what_does_not_fit_gives_no_code(void **state)
{
	AUTOBUF struct buf b = {0};
	char text[3001];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[2048] = '\0';
	assert_true(qr_encode(text, &b) > 0);
	buf_reset(&b);
	memset(text, 'x', sizeof(text) - 1);
	text[3000] = '\0';
	assert_int_equal(qr_encode(text, &b), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_finders_stand_in_three_corners),
	    cmocka_unit_test(what_does_not_fit_gives_no_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
