/* SPDX-License-Identifier: ISC */
/*
 * A printf of what is used here, and no more: %s %.*s %-26s %u %6u %02u %x %d
 * %c %% and ll. musl's brings floating point, wide characters and stdio, a
 * quarter of what this program may weigh.
 */
#include <stdarg.h>
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

struct spec {
	bool left;
	char pad;
	bool is_long;
	unsigned int width;
	int precision; /* -1: none */
};

static void
put_padded(struct buf *b, const struct spec *s, const char *text, size_t n)
{
	size_t pad = s->width > n ? s->width - n : 0;

	if (s->left)
		buf_put(b, text, n);
	while (pad--)
		buf_u8(b, (uint8_t)s->pad);
	if (!s->left)
		buf_put(b, text, n);
}

static void
put_number(struct buf *b, const struct spec *s, unsigned long long v,
    unsigned int base, bool negative)
{
	char text[24], *p = text + sizeof(text);

	do {
		*--p = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (negative)
		*--p = '-';
	put_padded(b, s, p, (size_t)(text + sizeof(text) - p));
}

static void
put_string(struct buf *b, const struct spec *s, const char *text)
{
	size_t n = s->precision < 0 ? strlen(text)
				    : strnlen(text, (size_t)s->precision);

	put_padded(b, s, text, n);
}

/* What stands between '%' and the letter. */
static const char *
spec_read(const char *p, struct spec *s, int star)
{
	*s = (struct spec){.pad = ' ', .precision = -1};
	if (*p == '-') {
		s->left = true;
		p++;
	}
	if (*p == '0')
		s->pad = '0';
	for (; *p >= '0' && *p <= '9'; p++)
		s->width = s->width * 10 + (unsigned int)(*p - '0');
	if (*p == '.') {
		s->precision = star;
		p += 2;
	}
	for (; *p == 'l'; p++)
		s->is_long = true;
	return p;
}

void
format_put(struct buf *b, const char *fmt, va_list ap)
{
	const char *percent;
	struct spec s;
	long long d;

	for (; (percent = strchr(fmt, '%')); fmt++) {
		buf_put(b, fmt, (size_t)(percent - fmt));
		fmt = percent + 1;
		fmt = spec_read(fmt, &s,
		    fmt[0] == '.' && fmt[1] == '*' ? va_arg(ap, int) : -1);
		switch (*fmt) {
		case 's':
			put_string(b, &s, va_arg(ap, const char *));
			break;
		case 'd':
			d = s.is_long ? va_arg(ap, long long) : va_arg(ap, int);
			put_number(b, &s,
			    d < 0 ? 0ull - (unsigned long long)d
				  : (unsigned long long)d,
			    10, d < 0);
			break;
		case 'u':
		case 'x':
			put_number(b, &s,
			    s.is_long ? va_arg(ap, unsigned long long)
				      : va_arg(ap, unsigned int),
			    *fmt == 'u' ? 10 : 16, false);
			break;
		case 'c':
			buf_u8(b, (uint8_t)va_arg(ap, int));
			break;
		default:
			buf_u8(b, (uint8_t)*fmt);
			break;
		}
	}
	buf_put(b, fmt, strlen(fmt));
}

bool
format(char *out, size_t size, const char *fmt, ...)
{
	struct buf b = {.data = (uint8_t *)out, .cap = size, .fixed = true};
	va_list ap;

	va_start(ap, fmt);
	format_put(&b, fmt, ap);
	va_end(ap);
	if (b.len == size)
		b.bad = true;
	out[b.bad ? 0 : b.len] = '\0';
	return !b.bad;
}
