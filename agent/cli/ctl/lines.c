/* SPDX-License-Identifier: ISC */
/*
 * The lines of a config file, told apart as Python's configparser does it: one
 * that is indented deeper than the key above it goes on with that key's value,
 * whatever else it looks like.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/edit.h"

void
text_free(struct text *t)
{
	free(t->p);
	*t = (struct text){0};
}

/* For so many bytes and a NUL; a text has what its length needs. */
static size_t
room(size_t n)
{
	size_t r = 64;

	while (r <= n)
		r *= 2;
	return r;
}

void
text_put(struct text *t, const char *p, size_t n)
{
	char *grown;

	if (t->bad)
		return;
	if (!t->p || room(t->n + n) > room(t->n)) {
		if (!(grown = reallocarray(t->p, room(t->n + n), 1))) {
			t->bad = true;
			return;
		}
		t->p = grown;
	}
	if (n)
		memcpy(t->p + t->n, p, n);
	t->n += n;
	t->p[t->n] = '\0';
}

void
text_form(struct text *t, const char *fmt, ...)
{
	AUTOFREE char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0) {
		s = NULL;
		t->bad = true;
	} else {
		text_put(t, s, (size_t)n);
	}
}

enum aw_err
text_end(struct text *t)
{
	text_put(t, "", 0);
	if (!t->bad)
		return AW_OK;
	text_free(t);
	return AW_NOMEM;
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
