/* SPDX-License-Identifier: ISC */
/*
 * What a person may read, and what may go into a URL: AWS's words, or those of
 * whatever answered in its place, pass through here before anybody sees them.
 */
#include "fetch.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum aw_err
why_set(struct why *why, enum aw_err e, const char *fmt, ...)
{
	char line[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text_clean(why->text, sizeof(why->text), view_str(line));
	return e;
}

static bool
printable(uint8_t c)
{
	return c >= ' ' && c <= '~';
}

void
text_clean(char *out, size_t size, struct view v)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < v.n && n < size - 1; i++) {
		/* A character of several bytes is one question mark. */
		if ((v.p[i] & 0xc0) == 0x80)
			continue;
		out[n++] = printable(v.p[i]) ? (char)v.p[i]
		    : isspace(v.p[i])	     ? ' '
					     : '?';
	}
	out[n] = '\0';
}

bool
text_is_word(struct view v, size_t max)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (!printable(v.p[i]) || v.p[i] == ' ')
			return false;
	}
	return v.n > 0 && v.n <= max;
}

bool
text_is_account(struct view v)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
	}
	return v.n == ACCOUNT_SIZE - 1;
}

void
text_percent(struct buf *b, struct view v)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char unreserved[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789-._~";
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (v.p[i] && strchr(unreserved, v.p[i])) {
			buf_u8(b, v.p[i]);
			continue;
		}
		buf_u8(b, '%');
		buf_u8(b, (uint8_t)hex[v.p[i] >> 4]);
		buf_u8(b, (uint8_t)hex[v.p[i] & 15]);
	}
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
text_unpercent(struct buf *b, struct view v)
{
	int high, low;
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (v.p[i] != '%') {
			buf_u8(b, v.p[i]);
			continue;
		}
		if (v.n - i < 3 || (high = hex_digit(v.p[i + 1])) < 0 ||
		    (low = hex_digit(v.p[i + 2])) < 0)
			return false;
		buf_u8(b, (uint8_t)(high << 4 | low));
		i += 2;
	}
	return true;
}

bool
text_time(struct view v, int64_t *out)
{
	struct tm tm = {0};
	char text[40];
	const char *rest;

	if (v.n >= sizeof(text))
		return false;
	text_clean(text, sizeof(text), v);
	if (!(rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm)))
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (*rest && strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0)
		return false;
	*out = timegm(&tm);
	return true;
}
