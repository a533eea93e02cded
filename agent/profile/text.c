/* SPDX-License-Identifier: ISC */
/* Characters: what a config file is made of, and what people are told. */
#include <stdio.h>
#include <string.h>

#include "profile.h"

static bool
rune_is_bad(uint32_t rune, int n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	return rune < least[n] || rune > 0x10ffff ||
	    (rune >= 0xd800 && rune <= 0xdfff);
}

/* One code point from the front of *v; UINT32_MAX for a byte that is none. */
static uint32_t
take_rune(struct view *v)
{
	uint8_t c = v->p[0];
	int i, n;
	uint32_t rune;

	if (c < 0x80) { /* most are */
		v->p++;
		v->n--;
		return c;
	}
	n = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	rune = c & (0xff >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((uint32_t)i >= v->n || (v->p[i] & 0xc0) != 0x80)
			break;
		rune = rune << 6 | (v->p[i] & 0x3f);
	}
	if (n == 0 || i < n || rune_is_bad(rune, n)) {
		rune = UINT32_MAX;
		n = 1;
	}
	v->p += n;
	v->n -= (uint32_t)n;
	return rune;
}

/* As Python's str.isspace(). */
static bool
rune_is_space(uint32_t r)
{
	return (r >= 9 && r <= 13) || (r >= 0x1c && r <= 0x20) || r == 0x85 ||
	    r == 0xa0 || r == 0x1680 || (r >= 0x2000 && r <= 0x200a) ||
	    r == 0x2028 || r == 0x2029 || r == 0x202f || r == 0x205f ||
	    r == 0x3000;
}

/* Controls, line separators, and the marks that turn text around. */
static bool
rune_is_printable(uint32_t r)
{
	if (r < 0xa0)
		return r >= 0x20 && r < 0x7f;
	return r != UINT32_MAX && !(r >= 0x2028 && r <= 0x202e) &&
	    !(r >= 0x2066 && r <= 0x2069) && r != 0x200e && r != 0x200f &&
	    r != 0xfeff;
}

bool
text_is_utf8(struct view v)
{
	while (v.n) {
		if (take_rune(&v) == UINT32_MAX)
			return false;
	}
	return true;
}

bool
text_is_printable(struct view v)
{
	while (v.n) {
		if (!rune_is_printable(take_rune(&v)))
			return false;
	}
	return true;
}

bool
text_is_ascii(struct view v)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (v.p[i] < 0x21 || v.p[i] > 0x7e)
			return false;
	}
	return true;
}

uint32_t
text_indent(struct view v)
{
	uint32_t n = 0;

	while (v.n && rune_is_space(take_rune(&v)))
		n++;
	return n;
}

/* The last character of v, as a view. */
static struct view
last_rune(struct view v)
{
	uint32_t n = 1;

	while (n < v.n && n < 4 && (v.p[v.n - n] & 0xc0) == 0x80)
		n++;
	return (struct view){v.p + v.n - n, n};
}

struct view
text_strip(struct view v)
{
	struct view rest = v, last;
	uint32_t before;

	while (rest.n && rune_is_space(take_rune(&rest)))
		v = rest;
	while (v.n) {
		last = last_rune(v);
		before = v.n - last.n;
		if (!rune_is_space(take_rune(&last)) || last.n)
			break;
		v.n = before;
	}
	return v;
}

bool
text_split(struct view v, char c, struct view *a, struct view *b)
{
	const uint8_t *at = v.n ? memchr(v.p, c, v.n) : NULL;

	if (!at) {
		*a = v;
		*b = (struct view){0};
		return false;
	}
	*a = (struct view){v.p, (uint32_t)(at - v.p)};
	*b = (struct view){at + 1, v.n - a->n - 1};
	return true;
}

bool
text_starts(struct view v, const char *s)
{
	size_t n = strlen(s);

	return v.n >= n && memcmp(v.p, s, n) == 0;
}

bool
text_ends(struct view v, const char *s)
{
	size_t n = strlen(s);

	return v.n >= n && memcmp(v.p + v.n - n, s, n) == 0;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * One word from the front of *v, unquoted into `out`, which has room for all
 * of *v. False: a quote or a backslash has no end.
 */
static bool
take_word(struct view *v, uint8_t *out, uint32_t *n)
{
	uint8_t quote = 0;
	uint8_t c;

	for (*n = 0; v->n && (quote || !is_blank(*v->p)); v->p++, v->n--) {
		c = *v->p;
		if (c == quote && quote) {
			quote = 0;
		} else if (!quote && (c == '"' || c == '\'')) {
			quote = c;
		} else if (c == '\\' && quote != '\'') {
			if (v->n < 2)
				return false;
			/* In double quotes only these two can be escaped. */
			if (quote && v->p[1] != '"' && v->p[1] != '\\')
				out[(*n)++] = c;
			v->p++;
			v->n--;
			out[(*n)++] = *v->p;
		} else {
			out[(*n)++] = c;
		}
	}
	return !quote;
}

int
text_words(struct arena *a, struct view v, struct view *words, int max)
{
	uint8_t *out = arena_alloc(a, (size_t)v.n + 1);
	int n = 0;

	for (;;) {
		while (v.n && is_blank(*v.p)) {
			v.p++;
			v.n--;
		}
		if (!v.n)
			return n;
		if (n == max)
			return -1;
		words[n].p = out;
		if (!take_word(&v, out, &words[n].n))
			return -1;
		out += words[n++].n;
	}
}

struct view
text_vmake(struct arena *a, const char *fmt, va_list ap)
{
	char raw[TEXT_MAX + 8];
	char *out = arena_alloc(a, TEXT_MAX + 1);
	struct view rest, before;
	uint32_t n = 0;
	int len = vsnprintf(raw, sizeof(raw), fmt, ap);

	if (len < 0)
		len = 0;
	if ((size_t)len >= sizeof(raw))
		len = sizeof(raw) - 1;
	rest = (struct view){(uint8_t *)raw, (uint32_t)len};
	while (rest.n) {
		before = rest;
		if (!rune_is_printable(take_rune(&rest))) {
			out[n++] = '?';
		} else {
			before.n -= rest.n;
			if (n + before.n > TEXT_MAX)
				break;
			memcpy(out + n, before.p, before.n);
			n += before.n;
		}
		if (n == TEXT_MAX)
			break;
	}
	return (struct view){(uint8_t *)out, n};
}

struct view
text_make(struct arena *a, const char *fmt, ...)
{
	struct view v;
	va_list ap;

	va_start(ap, fmt);
	v = text_vmake(a, fmt, ap);
	va_end(ap);
	return v;
}
