/* SPDX-License-Identifier: ISC */
/* Memory for a process that reads, answers and ends. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"

#include "profile.h"

#define BLOCK_SIZE (64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t size;
	max_align_t data[];
};

static struct arena_block *
block_add(struct arena *a, size_t size)
{
	struct arena_block *b;

	if (!(b = calloc(1, sizeof(*b) + size)))
		fatalx("out of memory");
	b->size = size;
	b->next = a->blocks;
	a->blocks = b;
	return b;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->blocks;
	void *p;

	n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) *
	    sizeof(max_align_t);
	if (!b || b->size - b->used < n)
		b = block_add(a, n > BLOCK_SIZE ? n : BLOCK_SIZE);
	p = (char *)b->data + b->used;
	b->used += n;
	return p;
}

struct view
arena_copy(struct arena *a, struct view v)
{
	uint8_t *p = arena_alloc(a, (size_t)v.n + 1);

	if (v.n)
		memcpy(p, v.p, v.n);
	return (struct view){p, v.n};
}

struct view
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	if ((n = vsnprintf(NULL, 0, fmt, ap)) < 0)
		fatal("vsnprintf");
	p = arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return (struct view){(const uint8_t *)p, (uint32_t)n};
}

void
arena_free(struct arena *a)
{
	struct arena_block *b;

	while ((b = a->blocks)) {
		a->blocks = b->next;
		free(b);
	}
}
