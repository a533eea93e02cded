/* SPDX-License-Identifier: ISC */
#include "awsenv/qr.h"

#include <stdbool.h>
#include <string.h>

#define LEAST 21
#define MOST 177
#define QUIET 4 /* modules around a QR code that must be light */

uint32_t
qr_side(uint32_t width, struct view rows)
{
	if (width < LEAST || width > MOST ||
	    rows.n != width * ((width + 7) / 8))
		return 0;
	return width + 2 * QUIET;
}

/* Outside the code all is light. */
static bool
is_dark(uint32_t w, struct view rows, uint32_t x, uint32_t y)
{
	x -= QUIET;
	y -= QUIET;
	if (x >= w || y >= w)
		return false;
	return rows.p[y * ((w + 7) / 8) + x / 8] >> (7 - x % 8) & 1;
}

static void
put(struct buf *out, const char *s)
{
	buf_put(out, s, strlen(s));
}

/*
 * Two rows of modules in a line. Colours are set, since on a terminal with a
 * light background the blocks would be the dark ones.
 */
void
qr_draw(uint32_t width, struct view rows, struct buf *out)
{
	/* by upper * 2 + lower, where 1 is light */
	static const char *const blocks[] = {" ", "\u2584", "\u2580", "\u2588"};
	uint32_t size = qr_side(width, rows), x, y;

	for (y = 0; y < size; y += 2) {
		put(out, "\033[40;37;1m");
		for (x = 0; x < size; x++)
			put(out,
			    blocks[!is_dark(width, rows, x, y) * 2 +
				!is_dark(width, rows, x, y + 1)]);
		put(out, "\033[0m\n");
	}
}
