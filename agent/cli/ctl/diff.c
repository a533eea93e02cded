/* SPDX-License-Identifier: ISC */
/* What would change, as diff -u has it, in one piece. */
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/edit.h"

#define AROUND 3

/* Lines at the front that both have. */
static void
common(struct lines *a, struct lines *b, struct lines before[AROUND + 1])
{
	struct lines x = *a, y = *b;

	for (;;) {
		memmove(before, before + 1, AROUND * sizeof(*before));
		before[AROUND] = x;
		*a = x;
		*b = y;
		if (!lines_next(&x) || !lines_next(&y) || x.now.n != y.now.n ||
		    memcmp(x.now.p, y.now.p, x.now.n) != 0)
			return;
	}
}

/* Bytes at the end that both have, in whole lines. */
static size_t
tail(const struct lines *a, const struct lines *b)
{
	const char *p = a->end, *q = b->end, *whole = a->end;

	while (p > a->rest && q > b->rest && p[-1] == q[-1]) {
		p--;
		q--;
		if (p == a->rest || p[-1] == '\n')
			whole = p;
	}
	/* At its very front, the line of the other goes on before. */
	if (p == whole && q > b->rest && q[-1] != '\n')
		whole = memchr(p, '\n', (size_t)(a->end - p));
	return whole ? (size_t)(a->end - whole) : 0;
}

static bool
put(struct buf *out, char mark, const struct line *l)
{
	size_t n = l->n;

	while (n && (l->p[n - 1] == '\n' || l->p[n - 1] == '\r'))
		n--;
	text_add(out, "%c%s\n", mark,
	    shown((struct view){(const uint8_t *)l->p, (uint32_t)n}));
	return text_flush(out, false);
}

/* All that there are, or so many. */
static bool
put_lines(struct buf *out, char mark, struct lines *l, size_t most)
{
	while (most-- && lines_next(l)) {
		if (!put(out, mark, &l->now))
			return false;
	}
	return true;
}

bool
diff_print(const char *path, const struct text *old, const struct text *new)
{
	struct lines a, b, before[AROUND + 1] = {0};
	AUTOBUF struct buf out = {0};
	size_t same;
	int i;

	lines_begin(&a, old);
	lines_begin(&b, new);
	common(&a, &b, before);
	same = tail(&a, &b);
	if (a.rest == a.end - same && b.rest == b.end - same)
		return true;
	text_add(
	    &out, "--- %s\n+++ %s\n@@\n", shown_str(path), shown_str(path));
	for (i = 0; i < AROUND; i++) {
		if (before[i].rest && before[i + 1].rest &&
		    before[i + 1].rest != before[i].rest &&
		    !put(&out, ' ', &before[i + 1].now))
			return false;
	}
	a.end -= same;
	b.end -= same;
	if (!put_lines(&out, '-', &a, SIZE_MAX) ||
	    !put_lines(&out, '+', &b, SIZE_MAX))
		return false;
	a.rest = a.end;
	a.end += same;
	return put_lines(&out, ' ', &a, AROUND) && text_flush(&out, true);
}
