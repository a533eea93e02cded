/* SPDX-License-Identifier: ISC */
/*
 * Rows for people: aligned, with a title, in colour where they look. What does
 * not fit a narrow terminal loses its least important columns, never the first
 * nor the last.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define GAP 2
#define FLUSH (32 * 1024)

bool
text_flush(struct buf *out, bool all)
{
	if (!out->bad && (out->len == 0 || (!all && out->len < FLUSH)))
		return true;
	if (!text_print(out))
		return false;
	buf_reset(out);
	return true;
}

/* Does a person look at standard output, and in colour? */
static void
look(struct table *t)
{
	const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
	struct winsize w = {0};

	t->tty = isatty(STDOUT_FILENO);
	if (t->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
		t->cols = w.ws_col;
	t->colour = t->tty && term && *term && strcmp(term, "dumb") != 0 &&
	    !(plain && *plain);
}

/* Characters; what a terminal shows as two cells is rare in names. */
static size_t
text_width(const char *s)
{
	struct view v = view_str(s);
	struct text_char c;
	size_t n = 0;

	while (text_next(&v, &c))
		n++;
	return n;
}

void
table_open(struct table *t, const struct table_column *columns, size_t n)
{
	size_t i;

	*t = (struct table){.columns = columns, .n = n};
	look(t);
	for (i = 0; i < n; i++)
		t->width[i] = text_width(columns[i].title);
}

void
table_measure(struct table *t, const char *const *cells)
{
	size_t i, n;

	for (i = 0; i < t->n; i++) {
		if ((n = text_width(cells[i])) > t->width[i])
			t->width[i] = n;
	}
}

/* Take columns away, the least important first, until the rest fits. */
static void
fit(struct table *t)
{
	size_t i, sum, worst;

	for (;;) {
		for (i = sum = 0, worst = t->n; i < t->n; i++) {
			if (t->gone[i])
				continue;
			sum += t->width[i] + (i ? GAP : 0);
			if (t->columns[i].rank &&
			    (worst == t->n ||
				t->columns[i].rank > t->columns[worst].rank))
				worst = i;
		}
		if (!t->cols || sum <= t->cols || worst == t->n)
			return;
		t->gone[worst] = true;
	}
}

static void
put_row(struct table *t, const char *const *cells, const char *colour,
    struct buf *out)
{
	size_t i, pad = 0;

	if (t->colour && colour)
		text_add(out, "%s", colour);
	for (i = 0; i < t->n; i++) {
		if (t->gone[i])
			continue;
		for (; *cells[i] && pad; pad--)
			buf_u8(out, ' ');
		text_add(out, "%s", cells[i]);
		pad += t->width[i] + GAP - text_width(cells[i]);
	}
	text_add(out, t->colour && colour ? "\033[0m\n" : "\n");
}

void
table_title(struct table *t, struct buf *out)
{
	const char *titles[TABLE_COLUMNS];
	size_t i;

	fit(t);
	for (i = 0; i < t->n; i++)
		titles[i] = t->columns[i].title;
	put_row(t, titles, "\033[1m", out);
}

void
table_row(struct table *t, const char *const *cells, const char *colour,
    struct buf *out)
{
	size_t i, n;

	/* One that came after the title may be longer than those before. */
	for (i = 0; i < t->n; i++) {
		if ((n = text_width(cells[i])) > t->width[i])
			t->width[i] = n;
	}
	put_row(t, cells, colour, out);
}

/* RFC 4180, but for the ends of lines. */
void
csv_add(struct buf *out, const char *text, bool last)
{
	const char *s;

	if (!text[strcspn(text, ",\"\r\n")]) {
		text_add(out, "%s", text);
	} else {
		buf_u8(out, '"');
		for (s = text; *s; s++) {
			if (*s == '"')
				buf_u8(out, '"');
			buf_u8(out, (uint8_t)*s);
		}
		buf_u8(out, '"');
	}
	text_add(out, last ? "\n" : ",");
}
