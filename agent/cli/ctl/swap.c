/* SPDX-License-Identifier: ISC */
/*
 * Other lines in the place of some that a profile has. Those stay where they
 * are, as comments that say so: undone, the file is what it was, whatever else
 * was written into it since.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/ctl/edit.h"

#define WAS "#awsenv-was: "
#define PUT "#awsenv-put "

static size_t
count_lines(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

enum aw_err
swap_lines(const struct text *t, const struct swap *s, size_t *changed)
{
	const char *wanted = NULL;
	bool begun = false, over = false;
	struct lines l;

	*changed = 0;
	for (lines_begin(&l, t); lines_next(&l);) {
		if (l.now.kind == LINE_SECTION) {
			begun = false;
			wanted = l.now.of == OF_PROFILE
			    ? s->wanted(s->arg, l.now.name)
			    : NULL;
		}
		if (l.now.kind == LINE_KEY)
			over = wanted && s->replaced(s->arg, &l.now);
		if (wanted && over &&
		    (l.now.kind == LINE_KEY || l.now.kind == LINE_MORE)) {
			if (!begun) {
				text_form(s->out, PUT "%zu\n%s",
				    count_lines(wanted), wanted);
				++*changed;
			}
			begun = true;
			text_put(s->out, WAS, strlen(WAS));
		}
		text_put(s->out, l.now.p, l.now.n);
	}
	return text_end(s->out);
}

enum aw_err
swap_undo(const struct text *t, struct text *out)
{
	unsigned long skip = 0;
	struct lines l;

	for (lines_begin(&l, t); lines_next(&l);) {
		if (skip)
			skip--;
		else if (line_starts(&l.now, PUT))
			skip = strtoul(l.now.p + strlen(PUT), NULL, 10);
		else if (line_starts(&l.now, WAS))
			text_put(
			    out, l.now.p + strlen(WAS), l.now.n - strlen(WAS));
		else
			text_put(out, l.now.p, l.now.n);
	}
	return text_end(out);
}
