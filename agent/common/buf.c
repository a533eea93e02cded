/* SPDX-License-Identifier: ISC */
#include "awsenv/buf.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
buf_free(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	free(b->data);
	*b = (struct buf){0};
}

void
buf_reset(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->len);
	b->len = 0;
	b->bad = b->full = false;
}

bool
buf_reserve(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 256;
	uint8_t *grown;

	if (b->bad)
		return false;
	if (n > BUF_MAX - b->len) {
		b->bad = b->full = true;
		return false;
	}
	if (b->cap - b->len >= n)
		return true;
	while (cap - b->len < n)
		cap *= 2;
	if (b->fixed || !(grown = malloc(cap))) {
		b->bad = true;
		return false;
	}
	if (b->data) {
		memcpy(grown, b->data, b->len);
		explicit_bzero(b->data, b->cap);
		free(b->data);
	}
	b->data = grown;
	b->cap = cap;
	return true;
}

void
buf_put(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !buf_reserve(b, n))
		return;
	memcpy(b->data + b->len, p, n);
	b->len += n;
}

void
buf_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

void
buf_u32(struct buf *b, uint32_t v)
{
	uint8_t wire[4] = {v >> 24, v >> 16, v >> 8, v};

	buf_put(b, wire, sizeof(wire));
}

void
buf_u64(struct buf *b, uint64_t v)
{
	buf_u32(b, v >> 32);
	buf_u32(b, v);
}

void
buf_string(struct buf *b, struct view v)
{
	buf_u32(b, v.n);
	buf_put(b, v.p, v.n);
}

void
buf_eat(struct buf *b, size_t n)
{
	size_t rest = b->len - n;

	if (n == 0)
		return;
	memmove(b->data, b->data + n, rest);
	explicit_bzero(b->data + rest, n);
	b->len = rest;
}

bool
view_u8(struct view *v, uint8_t *out)
{
	if (v->n < 1)
		return false;
	*out = v->p[0];
	v->p++;
	v->n--;
	return true;
}

bool
view_u32(struct view *v, uint32_t *out)
{
	if (v->n < 4)
		return false;
	*out = (uint32_t)v->p[0] << 24 | (uint32_t)v->p[1] << 16 |
	    (uint32_t)v->p[2] << 8 | v->p[3];
	v->p += 4;
	v->n -= 4;
	return true;
}

bool
view_u64(struct view *v, uint64_t *out)
{
	uint32_t high, low;

	if (v->n < 8 || !view_u32(v, &high) || !view_u32(v, &low))
		return false;
	*out = (uint64_t)high << 32 | low;
	return true;
}

bool
view_string(struct view *v, struct view *out)
{
	struct view rest = *v;
	uint32_t n;

	if (!view_u32(&rest, &n) || n > rest.n)
		return false;
	*out = (struct view){rest.p, n};
	*v = (struct view){rest.p + n, rest.n - n};
	return true;
}

struct view
view_of(const struct buf *b)
{
	return (struct view){b->data, (uint32_t)b->len};
}

struct view
view_str(const char *s)
{
	return (struct view){(const uint8_t *)s, s ? (uint32_t)strlen(s) : 0};
}

bool
view_eq(struct view a, struct view b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
view_is(struct view v, const char *s)
{
	return view_eq(v, view_str(s));
}

bool
view_eq_nocase(struct view a, struct view b)
{
	return a.n == b.n &&
	    (a.n == 0 ||
		strncasecmp((const char *)a.p, (const char *)b.p, a.n) == 0);
}

bool
view_is_digits(struct view v, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
	}
	return v.n == n;
}

char *
view_dup(struct view v)
{
	char *s;

	if (v.n && memchr(v.p, '\0', v.n))
		return NULL;
	if (!(s = malloc((size_t)v.n + 1)))
		return NULL;
	if (v.n)
		memcpy(s, v.p, v.n);
	s[v.n] = '\0';
	return s;
}

bool
view_entry(struct view *list, struct view *entry)
{
	const uint8_t *end;

	if (list->n == 0 || !(end = memchr(list->p, '\0', list->n)))
		return false;
	*entry = (struct view){list->p, (uint32_t)(end - list->p)};
	list->n -= entry->n + 1;
	list->p = end + 1;
	return true;
}

bool
view_has(struct view list, struct view entry)
{
	struct view e;

	while (view_entry(&list, &e)) {
		if (view_eq(e, entry))
			return true;
	}
	return false;
}

bool
view_find(struct view list, const char *name, struct view *value)
{
	uint32_t n = (uint32_t)strlen(name);
	struct view e;

	while (view_entry(&list, &e)) {
		if (e.n > n && e.p[n] == '=' && memcmp(e.p, name, n) == 0) {
			*value = (struct view){e.p + n + 1, e.n - n - 1};
			return true;
		}
	}
	return false;
}

bool
str_join(char *dst, size_t size, ...)
{
	size_t used = 0, n;
	const char *part;
	va_list ap;

	va_start(ap, size);
	while ((part = va_arg(ap, const char *)) != NULL) {
		n = strlen(part);
		if (n >= size - used) {
			used = 0;
			break;
		}
		memcpy(dst + used, part, n);
		used += n;
	}
	va_end(ap);
	dst[used] = '\0';
	return part == NULL;
}
