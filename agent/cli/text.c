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

bool text_lost;

/* One write, so that the lines of a hundred awsenv do not mix. */
static void
write_stderr(const char *prefix, const char *end, const char *fmt, va_list ap)
{
	AUTOBUF struct buf line = {0};

	buf_put(&line, prefix, strlen(prefix));
	format_put(&line, fmt, ap);
	buf_put(&line, end, strlen(end));
	io_write(STDERR_FILENO,
	    line.bad ? view_str("awsenv: out of memory\n") : view_of(&line),
	    -1);
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

const char *
errno_text(void)
{
	switch (errno) {
	case EACCES:
		return "permission denied";
	case EPERM:
		return "operation not permitted";
	case ENOENT:
		return "no such file or directory";
	case ENOTDIR:
		return "not a directory";
	case ENOEXEC:
		return "not a program for this machine";
	case E2BIG:
		return "arguments and environment are too long";
	case ETXTBSY:
		return "it is being written";
	case ENOMEM:
		return "out of memory";
	case ENOSPC:
		return "no space left";
	case EMFILE:
	case ENFILE:
		return "too many open files";
	case EAGAIN:
		return "too many processes";
	case ELOOP:
		return "too many symbolic links";
	default:
		return "the system refused";
	}
}

const char *
find(const char *text, const char *part)
{
	size_t n = strlen(part);

	for (; strncmp(text, part, n) != 0; text++) {
		if (!*text)
			return NULL;
	}
	return text;
}

const char *
error_text(enum aw_err r)
{
	return r == AW_SYSTEM ? errno_text() : aw_strerror(r);
}

bool
text_print(struct buf *b)
{
	enum aw_err r = AW_NOMEM;

	if (!b->bad && !text_lost)
		r = io_write(STDOUT_FILENO, view_of(b), -1);
	if (r == AW_OK)
		return true;
	warn("cannot write to standard output: %s", error_text(r));
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
	unsigned int i, len = 1;

	if (p[0] >= 0x80)
		len = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len == 0 || len > n || p[0] >= 0xf5)
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

bool
text_next(struct view *v, struct text_char *c)
{
	unsigned int step;

	if (!v->n)
		return false;
	c->p = v->p;
	/* What is none may have begun like one: nor is it that. */
	if (!(c->n = utf8_char(v->p, v->n, &c->code)))
		c->code = 0;
	c->printable = c->n && is_printable(c->code);
	step = c->n ? c->n : 1;
	v->p += step;
	v->n -= step;
	return true;
}

/* Texts that were shown live on, as most programs end soon. */
struct shown {
	struct shown *next;
	char text[];
};

static struct shown *all;

void
shown_forget(void)
{
	struct shown *s;

	while ((s = all)) {
		all = s->next;
		free(s);
	}
	text_lost = false;
}

const char *
shown(struct view v)
{
	struct text_char c;
	struct shown *s;
	char *out;

	if (!(s = malloc(sizeof(*s) + v.n + 1))) {
		text_lost = true;
		return "?";
	}
	s->next = all;
	all = s;
	out = s->text;
	while (text_next(&v, &c)) {
		if (c.printable)
			out = mempcpy(out, c.p, c.n);
		else
			*out++ = '?';
	}
	*out = '\0';
	return s->text;
}

const char *
shown_str(const char *s)
{
	return shown(view_str(s));
}

uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

struct date {
	unsigned int year, month, day, hour, minute, second;
};

/* Days since 1970 to a date, by Howard Hinnant's way of counting from March.
 * The year 9999 ends before LAST, and with it every form below. */
#define LAST 253402300800

static struct date
date_of(uint64_t when)
{
	uint32_t day = (uint32_t)(when / 86400) + 719468;
	uint32_t second = (uint32_t)(when % 86400);
	uint32_t era = day / 146097, doe = day % 146097;
	uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint32_t march = (5 * doy + 2) / 153;

	return (struct date){
	    .year = yoe + era * 400 + (march >= 10),
	    .month = march < 10 ? march + 3 : march - 9,
	    .day = doy - (153 * march + 2) / 5 + 1,
	    .hour = second / 3600,
	    .minute = second / 60 % 60,
	    .second = second % 60,
	};
}

void
iso_time(char out[static ISO_TIME], uint64_t when)
{
	struct date d = date_of(when);

	out[0] = '\0';
	if (when < LAST)
		format(out, ISO_TIME, "%04u-%02u-%02uT%02u:%02u:%02uZ", d.year,
		    d.month, d.day, d.hour, d.minute, d.second);
}

/* Such texts sort as their times do: bit by bit the last that is not later. */
bool
iso_read(const char *text, uint64_t *when)
{
	char as_text[ISO_TIME] = "";
	uint64_t bit, found = 0;

	for (bit = 1ull << 37; bit; bit >>= 1) {
		iso_time(as_text, found | bit);
		if (*as_text && strcmp(as_text, text) <= 0)
			found |= bit;
	}
	iso_time(as_text, found);
	*when = found;
	return !strcmp(as_text, text);
}

void
clock_time(char out[static CLOCK_TIME], uint64_t when)
{
	uint64_t today = now();
	int32_t offset = 0;
	bool known = zone_offset(when, &offset);
	struct date d;

	out[0] = '\0';
	if (when >= LAST)
		return;
	when += (uint64_t)(int64_t)offset;
	today += (uint64_t)(int64_t)offset;
	d = date_of(when);
	if (when / 86400 == today / 86400)
		format(out, CLOCK_TIME, "%02u:%02u%s", d.hour, d.minute,
		    known ? "" : " UTC");
	else
		format(out, CLOCK_TIME, "%04u-%02u-%02u %02u:%02u%s", d.year,
		    d.month, d.day, d.hour, d.minute, known ? "" : " UTC");
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
