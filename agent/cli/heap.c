/* SPDX-License-Identifier: ISC */
/*
 * A heap for a process that lives for a moment: powers of two, each with a list
 * of what was given back, and nothing returned to the system. It stands in for
 * musl's, an eighth of what this program may weigh; where another libc is
 * linked (tests, sanitizers) that one's stays.
 */
#include <errno.h>
#include <features.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef __GLIBC__

#define SMALLEST 5 /* 32 bytes, 16 of them ours */
#define CLASSES 27
#define CHUNK 65536

union head {
	struct {
		union head *next;
		size_t class;
	} h;
	max_align_t align;
};

static union head *spare[CLASSES];
static char *fresh;
static size_t left;

static union head *
carve(size_t size)
{
	size_t chunk = size > CHUNK ? size : CHUNK;
	char *p;

	if (left < size) {
		p = mmap(NULL, chunk, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return NULL;
		fresh = p;
		left = chunk;
	}
	p = fresh;
	fresh += size;
	left -= size;
	return (union head *)(void *)p;
}

void *
malloc(size_t n)
{
	size_t class = 0;
	union head *b;

	while (class < CLASSES &&
	    ((size_t)1 << (class + SMALLEST)) - sizeof(*b) < n)
		class ++;
	if (class == CLASSES) {
		errno = ENOMEM;
		return NULL;
	}
	if ((b = spare[class]))
		spare[class] = b->h.next;
	else if (!(b = carve((size_t)1 << (class + SMALLEST))))
		return NULL;
	b->h.class = class;
	return b + 1;
}

void *
calloc(size_t n, size_t size)
{
	size_t all;
	void *p;

	if (__builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	if ((p = malloc(all)))
		memset(p, 0, all);
	return p;
}

void
free(void *p)
{
	union head *b = p;

	if (!p)
		return;
	b--;
	b->h.next = spare[b->h.class];
	spare[b->h.class] = b;
}

#endif
