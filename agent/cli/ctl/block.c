/* SPDX-License-Identifier: ISC */
/*
 * Our block in somebody's file, one for each sso-session, between two lines
 * that say so. Where the file did not end with a line's end, the first of them
 * says that too, so that all can be undone.
 */
#include <stdio.h>
#include <string.h>

#include "agent/cli/ctl/edit.h"

#define BEGIN "# >>> awsenv configure %s >>>"
#define END "# <<< awsenv configure %s <<<\n"
#define JOINED " (the line before had no end)"
#define NAME_MOST 256

/* The line without its end is this. */
static bool
line_is(const struct line *l, const char *text)
{
	size_t n = strlen(text), end = l->n;

	while (end && (l->p[end - 1] == '\n' || l->p[end - 1] == '\r'))
		end--;
	return end == n && !memcmp(l->p, text, n);
}

struct marks {
	const char *begin; /* first byte of the first line */
	const char *body;
	const char *end; /* first byte of the last line */
	const char *after;
	bool joined;
};

static enum aw_err
marks_find(const struct text *t, const char *session, struct marks *m,
    unsigned int *at)
{
	char begin[NAME_MOST + 32], end[NAME_MOST + 32], joined[NAME_MOST + 96];
	unsigned int number = 0;
	struct lines l;

	snprintf(begin, sizeof(begin), BEGIN, session);
	snprintf(joined, sizeof(joined), "%s" JOINED, begin);
	snprintf(end, sizeof(end), END, session);
	end[strlen(end) - 1] = '\0';
	*m = (struct marks){0};
	for (lines_begin(&l, t); lines_next(&l);) {
		number++;
		if (line_is(&l.now, begin) || line_is(&l.now, joined)) {
			*at = number;
			if (m->begin)
				return AW_CONFIG;
			m->begin = l.now.p;
			m->body = l.now.p + l.now.n;
			m->joined = line_is(&l.now, joined);
		} else if (line_is(&l.now, end)) {
			if (!m->begin || m->end)
				*at = number;
			if (!m->begin || m->end)
				return AW_CONFIG;
			m->end = l.now.p;
			m->after = l.now.p + l.now.n;
		}
	}
	if (!m->begin)
		return AW_GONE;
	return m->end ? AW_OK : AW_CONFIG;
}

enum aw_err
block_find(const struct text *t, const char *session, struct text *body,
    unsigned int *line)
{
	struct marks m;
	enum aw_err r = marks_find(t, session, &m, line);

	if (r == AW_OK) {
		body->n = (size_t)(m.end - m.body);
		body->p = t->p + (m.body - t->p);
	}
	return r;
}

enum aw_err
block_put(const struct text *t, const char *session, const struct text *body,
    struct text *out, unsigned int *line)
{
	bool joined = t->n && t->p[t->n - 1] != '\n';
	struct marks m;
	enum aw_err r = marks_find(t, session, &m, line);

	if (r != AW_OK && r != AW_GONE)
		return r;
	if (r == AW_OK) {
		text_put(out, t->p, (size_t)(m.body - t->p));
		text_put(out, body->p, body->n);
		text_put(out, m.end, (size_t)(t->p + t->n - m.end));
	} else {
		text_put(out, t->p, t->n);
		text_form(out, "%s" BEGIN "%s\n", joined ? "\n" : "", session,
		    joined ? JOINED : "");
		text_put(out, body->p, body->n);
		text_form(out, END, session);
	}
	return text_end(out);
}

static enum aw_err
block_drop(const struct text *t, const char *session, struct text *out,
    unsigned int *line)
{
	struct marks m;
	enum aw_err r = marks_find(t, session, &m, line);
	const char *begin;

	if (r != AW_OK)
		return r;
	begin = m.begin;
	if (m.joined && begin > t->p)
		begin--;
	text_put(out, t->p, (size_t)(begin - t->p));
	text_put(out, m.after, (size_t)(t->p + t->n - m.after));
	return text_end(out);
}

/* The session of the first block that there is. */
static bool
block_first(const struct text *t, char name[static NAME_MOST])
{
	static const char head[] = "# >>> awsenv configure ";
	const char *p, *end;
	struct lines l;

	for (lines_begin(&l, t); lines_next(&l);) {
		if (!line_starts(&l.now, head))
			continue;
		p = l.now.p + strlen(head);
		end = memchr(p, ' ', (size_t)(l.now.p + l.now.n - p));
		if (!end || end - p >= NAME_MOST)
			continue;
		memcpy(name, p, (size_t)(end - p));
		name[end - p] = '\0';
		return true;
	}
	return false;
}

enum aw_err
edit_undo(const struct text *t, const char *session, struct text *out,
    unsigned int *line)
{
	char name[NAME_MOST];
	struct text now = {0}, next;
	enum aw_err r;

	if (session)
		return block_drop(t, session, out, line);
	if ((r = swap_undo(t, &now)) != AW_OK)
		return r;
	while (block_first(&now, name)) {
		next = (struct text){0};
		if ((r = block_drop(&now, name, &next, line)) != AW_OK) {
			text_free(&now);
			return r == AW_GONE ? AW_CONFIG : r;
		}
		text_free(&now);
		now = next;
	}
	*out = now;
	return AW_OK;
}
