/* SPDX-License-Identifier: ISC */
#include "agent/profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void
what_is_put_in_is_found_and_nothing_else(void **state)
{
	static char names[5000][8];
	struct map m = {0};
	int i;

	(void)state;
	assert_null(map_get(&m, 0, view_str("0")));
	for (i = 0; i < 5000; i++) {
		snprintf(names[i], sizeof(names[i]), "%d", i / 2);
		*map_at(&m, (uint32_t)i % 2, view_str(names[i])) = names[i];
	}
	assert_int_equal(m.used, 5000);
	for (i = 0; i < 5000; i++)
		assert_ptr_equal(
		    map_get(&m, (uint32_t)i % 2, view_str(names[i])), names[i]);
	assert_null(map_get(&m, 2, view_str("0")));
	assert_null(map_get(&m, 0, view_str("2500")));
	assert_null(map_get(&m, 0, view_str("")));
	assert_null(map_get(&m, 0, (struct view){0}));
	map_free(&m);
}

static void
a_key_has_one_place(void **state)
{
	struct map m = {0};
	int x;

	(void)state;
	*map_at(&m, 7, view_str("")) = &x;
	assert_ptr_equal(*map_at(&m, 7, view_str("")), &x);
	assert_int_equal(m.used, 1);
	map_free(&m);
	assert_null(map_get(&m, 7, view_str("")));
}

static void
an_arena_gives_zeros_of_any_size(void **state)
{
	static const size_t sizes[] = {
	    0, 1, 15, 16, 17, 4096, 65535, 65536, 65537, 1000000};
	struct arena a = {0};
	uint8_t *p;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		p = arena_alloc(&a, sizes[i]);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (j = 0; j < sizes[i]; j++) {
			assert_int_equal(p[j], 0);
			p[j] = 0xff;
		}
	}
	assert_true(view_is(arena_printf(&a, "%d-%s", 7, "x"), "7-x"));
	arena_free(&a);
	assert_null(a.blocks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_put_in_is_found_and_nothing_else),
	    cmocka_unit_test(a_key_has_one_place),
	    cmocka_unit_test(an_arena_gives_zeros_of_any_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
