/* SPDX-License-Identifier: ISC */
/* The memory of libraries, with each allocation failing once in turn. */
#include "agent/fetch/fetch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "tests/unit/failing.h"

/* As the parts of a TLS connection do. */
static enum aw_err
grow(void)
{
	static const char text[] = "what was there before";
	char *p = OPENSSL_malloc(sizeof(text)), *grown;
	enum aw_err r = AW_OK;

	if (!p)
		return AW_NOMEM;
	memcpy(p, text, sizeof(text));
	if ((grown = OPENSSL_realloc(p, 4096)))
		p = grown;
	else
		r = AW_NOMEM;
	must(memcmp(p, text, sizeof(text)) == 0);
	OPENSSL_free(p);
	return r;
}

static void
what_cannot_grow_stays(void **state)
{
	(void)state;
	assert_int_equal(each_fails(grow, ENOMEM, false), 2);
}

/* As the fetcher of a user who may lock a little. */
static enum aw_err
lock(void)
{
	struct rlimit little = {1 << 20, 1 << 20};

	must(setrlimit(RLIMIT_MEMLOCK, &little) == 0);
	return wipe_lock() ? AW_OK : AW_NOMEM;
}

static void
where_its_heap_cannot_be_locked_it_does_not_begin(void **state)
{
	(void)state;
	assert_int_equal(each_fails_apart(lock, ENOMEM, false), 1);
}

static int
begin(void **state)
{
	(void)state;
	wipe_install();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_cannot_grow_stays),
	    cmocka_unit_test(where_its_heap_cannot_be_locked_it_does_not_begin),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
