/* SPDX-License-Identifier: ISC */
/*
 * What people and scripts read. Whatever came from elsewhere passes shown() or
 * json_string(): an agent, a config file or AWS must not be able to write
 * escape sequences to somebody's terminal.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

/* One write, so that the lines of a hundred awsenv do not mix. */
static void
write_stderr(const char *prefix, const char *end, const char *fmt, va_list ap)
{
	AUTOBUF struct buf line = {0};

	buf_put(&line, prefix, strlen(prefix));
	format_put(&line, fmt, ap);
	buf_put(&line, end, strlen(end));
	io_write(STDERR_FILENO, view_of(&line), -1);
}

void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_stderr("", "", fmt, ap);
	va_end(ap);
}

void
warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_stderr("awsenv: ", "\n", fmt, ap);
	va_end(ap);
}

void
text_add(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format_put(b, fmt, ap);
	va_end(ap);
}

bool
text_print(struct buf *b)
{
	enum aw_err r = AW_NOMEM;

	if (!b->bad)
		r = io_write(STDOUT_FILENO, view_of(b), -1);
	if (r == AW_OK)
		return true;
	warn("cannot write to standard output: %s",
	    r == AW_SYSTEM ? strerror(errno) : aw_strerror(r));
	return false;
}

/*
 * How many bytes the character at p has, or 0 if it is not UTF-8. Overlong
 * forms and surrogates are not.
 */
static unsigned int
utf8_char(const uint8_t *p, uint32_t n, uint32_t *code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned int i, len;

	len = p[0] < 0x80 ? 1
	    : p[0] < 0xc2 ? 0
	    : p[0] < 0xe0 ? 2
	    : p[0] < 0xf0 ? 3
	    : p[0] < 0xf5 ? 4
			  : 0;
	if (len == 0 || len > n)
		return 0;
	*code = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	if (*code < smallest[len] || *code > 0x10ffff ||
	    (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return len;
}

/* Not a control, and none of those that change the order of what is read. */
static bool
is_printable(uint32_t c)
{
	return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa0) &&
	    c != 0x061c && !(c >= 0x200b && c <= 0x200f) &&
	    !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2060 && c <= 0x206f) &&
	    c != 0xfeff;
}

/* Texts that were shown live on, in a list so that none counts as lost. */
struct shown {
	struct shown *next;
	char text[];
};

const char *
shown(struct view v)
{
	static struct shown *all;
	struct shown *s;
	uint32_t code;
	unsigned int n;
	char *out;

	if (!(s = malloc(sizeof(*s) + v.n + 1)))
		return "?";
	s->next = all;
	all = s;
	for (out = s->text; v.n; v.p += n, v.n -= n) {
		n = utf8_char(v.p, v.n, &code);
		if (n && is_printable(code)) {
			memcpy(out, v.p, n);
			out += n;
		} else {
			*out++ = '?';
			n = n ? n : 1;
		}
	}
	*out = '\0';
	return s->text;
}

void
json_string(struct buf *b, struct view v)
{
	uint32_t code;
	unsigned int n;

	buf_u8(b, '"');
	for (; v.n; v.p += n, v.n -= n) {
		n = utf8_char(v.p, v.n, &code);
		if (!n) {
			buf_u8(b, '?');
			n = 1;
		} else if (code == '"' || code == '\\') {
			buf_u8(b, '\\');
			buf_u8(b, (uint8_t)code);
		} else if (is_printable(code)) {
			buf_put(b, v.p, n);
		} else {
			text_add(b, "\\u%04x", (unsigned int)code);
		}
	}
	buf_u8(b, '"');
}

uint64_t
now(void)
{
	return (uint64_t)time(NULL);
}

/* The year 9999 ends then, and with it every form below. */
#define LAST 253402300799

void
iso_time(char out[static ISO_TIME], uint64_t when)
{
	time_t t = (time_t)when;
	struct tm tm;

	out[0] = '\0';
	if (when <= LAST && gmtime_r(&t, &tm))
		format(out, ISO_TIME, "%04d-%02d-%02dT%02d:%02d:%02dZ",
		    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		    tm.tm_min, tm.tm_sec);
}

void
json_time(struct buf *b, uint64_t when)
{
	char text[ISO_TIME];

	iso_time(text, when);
	if (when && text[0])
		text_add(b, "\"%s\"", text);
	else
		text_add(b, "null");
}

void
clock_time(char out[static CLOCK_TIME], uint64_t when)
{
	time_t t = (time_t)when, today = time(NULL);
	struct tm tm, here;

	out[0] = '\0';
	if (when > LAST || !localtime_r(&t, &tm) || !localtime_r(&today, &here))
		return;
	if (tm.tm_yday == here.tm_yday && tm.tm_year == here.tm_year)
		format(out, CLOCK_TIME, "%02d:%02d", tm.tm_hour, tm.tm_min);
	else
		format(out, CLOCK_TIME, "%04d-%02d-%02d %02d:%02d",
		    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		    tm.tm_min);
}

void
time_left(char out[static TIME_LEFT], uint64_t when)
{
	uint64_t t = now(), s = when > t ? when - t : 0;

	if (s < 120)
		format(out, TIME_LEFT, "%u s", (unsigned int)s);
	else if (s < 7200)
		format(out, TIME_LEFT, "%u min", (unsigned int)(s / 60));
	else if (s < 172800)
		format(out, TIME_LEFT, "%u h %02u min",
		    (unsigned int)(s / 3600), (unsigned int)(s / 60 % 60));
	else
		format(out, TIME_LEFT, "%llu days",
		    (unsigned long long)(s / 86400));
}
