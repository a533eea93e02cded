/* SPDX-License-Identifier: ISC */
/* The wrapper's heap, under names of its own beside libc's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

void *heap_malloc(size_t);
void *heap_calloc(size_t, size_t);
void heap_free(void *);

#undef __GLIBC__
#define malloc heap_malloc
#define calloc heap_calloc
#define free heap_free
#include "agent/cli/heap.c"

static uint32_t seed = 1;

static uint32_t
random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void
blocks_do_not_overlap_and_keep_what_is_written(void **state)
{
	struct {
		uint8_t *p;
		size_t n;
		uint8_t mark;
	} held[200] = {{0}};
	size_t i, j, k;

	(void)state;
	for (i = 0; i < 20000; i++) {
		j = random_below(200);
		for (k = 0; k < held[j].n; k++)
			assert_int_equal(held[j].p[k], held[j].mark);
		heap_free(held[j].p);
		held[j].n =
		    random_below(10) ? random_below(300) : random_below(100000);
		held[j].p = heap_malloc(held[j].n);
		assert_non_null(held[j].p);
		assert_int_equal(
		    (uintptr_t)held[j].p % _Alignof(max_align_t), 0);
		held[j].mark = (uint8_t)i;
		memset(held[j].p, held[j].mark, held[j].n);
	}
}

static void
what_was_given_back_is_used_again(void **state)
{
	void *a = heap_malloc(100), *b;

	(void)state;
	heap_free(a);
	b = heap_malloc(100);
	assert_ptr_equal(a, b);
	memset(b, 0xff, 100);
	heap_free(b);
	b = heap_calloc(10, 10);
	assert_ptr_equal(a, b);
	assert_int_equal(((uint8_t *)b)[99], 0);
	heap_free(NULL);
}

static void
too_much_is_refused(void **state)
{
	(void)state;
	assert_null(heap_malloc(SIZE_MAX));
	assert_null(heap_malloc((size_t)1 << 40));
	assert_null(heap_calloc(SIZE_MAX / 2, 3));
	assert_int_equal(errno, ENOMEM);
	assert_non_null(heap_malloc(1 << 20));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(blocks_do_not_overlap_and_keep_what_is_written),
	    cmocka_unit_test(what_was_given_back_is_used_again),
	    cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
