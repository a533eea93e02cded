/* SPDX-License-Identifier: ISC */
/*
 * The lines of a config file, told apart as Python's configparser does it: one
 * that is indented deeper than the key above it goes on with that key's value,
 * whatever else it looks like.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/cli/ctl/edit.h"

void
text_free(struct text *t)
{
	free(t->p);
	*t = (struct text){0};
}

void
lines_begin(struct lines *l, const struct text *t)
{
	*l = (struct lines){.rest = t->p, .end = t->p + t->n};
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' ||
	    c == '\v';
}

static struct view
strip(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	return (struct view){(const uint8_t *)p, (uint32_t)(end - p)};
}

/* A view never reaches past four gigabytes, and no line of ours does. */
static struct view
unquote(struct view v)
{
	if (v.n >= 2 && (v.p[0] == '"' || v.p[0] == '\'') &&
	    v.p[v.n - 1] == v.p[0]) {
		v.p++;
		v.n -= 2;
	}
	return v;
}

static void
section_read(struct line *l, struct view v)
{
	static const struct {
		const char *word;
		enum line_of of;
	} kinds[] = {{"profile", OF_PROFILE}, {"sso-session", OF_SESSION}};
	const char *p = (const char *)v.p + 1, *end = p + v.n - 1;
	size_t i, n;

	while (end > p && end[-1] != ']')
		end--;
	v = strip(p, end > p ? end - 1 : end);
	l->of = OF_OTHER;
	l->name = v;
	for (i = 0; i < 2; i++) {
		n = strlen(kinds[i].word);
		if (v.n <= n || memcmp(v.p, kinds[i].word, n) != 0 ||
		    !is_blank((char)v.p[n]))
			continue;
		l->of = kinds[i].of;
		l->name = unquote(
		    strip((const char *)v.p + n, (const char *)v.p + v.n));
	}
	if (view_is(v, "default"))
		l->of = OF_PROFILE;
}

static void
key_read(struct line *l, struct view v)
{
	const char *p = (const char *)v.p, *end = p + v.n, *mark = p;

	while (mark < end && *mark != '=' && *mark != ':')
		mark++;
	l->key = strip(p, mark);
	l->value = strip(mark < end ? mark + 1 : end, end);
}

bool
lines_next(struct lines *l)
{
	struct line *now = &l->now;
	const char *end;
	struct view v;
	size_t indent;

	if (l->rest == l->end)
		return false;
	end = memchr(l->rest, '\n', (size_t)(l->end - l->rest));
	end = end ? end + 1 : l->end;
	now->p = l->rest;
	now->n = (size_t)(end - l->rest);
	now->key = now->value = (struct view){0};
	now->kind = LINE_OTHER;
	l->rest = end;
	v = strip(now->p, end);
	indent = v.n ? (size_t)((const char *)v.p - now->p) : 0;
	if (!v.n || v.p[0] == '#' || v.p[0] == ';')
		return true;
	if (l->has_key && indent > l->indent) {
		now->kind = LINE_MORE;
	} else if (v.p[0] == '[') {
		now->kind = LINE_SECTION;
		section_read(now, v);
		l->has_key = false;
	} else {
		now->kind = LINE_KEY;
		key_read(now, v);
		l->has_key = true;
		l->indent = indent;
	}
	return true;
}

bool
line_is_key(const struct line *l, const char *key)
{
	return l->kind == LINE_KEY && l->key.n == strlen(key) &&
	    !strncasecmp((const char *)l->key.p, key, l->key.n);
}

bool
line_starts(const struct line *l, const char *text)
{
	size_t n = strlen(text);

	return l->n >= n && !memcmp(l->p, text, n);
}
