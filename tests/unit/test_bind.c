/* SPDX-License-Identifier: ISC */
#include "agent/broker/broker.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct binds binds;

static int
setup(void **state)
{
	(void)state;
	binds = (struct binds){0};
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	bind_free(&binds);
	return 0;
}

static void
say(struct view key, struct view id, struct view signature, uint8_t flag,
    const char *more)
{
	struct buf b = {0};

	buf_string(&b, key);
	buf_string(&b, id);
	buf_string(&b, signature);
	buf_u8(&b, flag);
	buf_put(&b, more, strlen(more));
	bind_take(&binds, view_of(&b));
	buf_free(&b);
}

static void
good(const char *key)
{
	say(view_str(key), view_str("id"), view_str("signature"), 1, "");
}

/* printf key | sha256sum, as ssh-keygen -l would have it. */
static void
the_first_is_kept_as_ssh_keygen_shows_it(void **state)
{
	(void)state;
	good("key");
	assert_string_equal(
	    binds.first, "SHA256:LHDhK3oGRvkiefQnx7OOczTY5Tic/xZ6HcMOc/gmtoM");
	assert_int_equal(binds.n, 1);
	assert_int_equal(binds.claims.len, 0);
	assert_false(binds.poisoned || binds.login || binds.counts);
}

static void
what_comes_later_is_a_claim(void **state)
{
	char first[BIND_HOST];

	(void)state;
	good("key");
	memcpy(first, binds.first, BIND_HOST);
	good("other");
	good("key");
	assert_string_equal(binds.first, first);
	assert_int_equal(binds.claims.len, 2 * BIND_HOST);
	assert_string_equal((char *)binds.claims.data + BIND_HOST, first);
}

static void
the_seventeenth_poisons(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < BINDS_MAX; i++) {
		good("key");
		assert_false(binds.poisoned);
	}
	good("key");
	assert_true(binds.poisoned);
	assert_int_equal(binds.n, BINDS_MAX);
}

static void
one_for_a_login_is_noticed_wherever_it_comes(void **state)
{
	(void)state;
	good("key");
	say(view_str("b"), view_str("id"), view_str("signature"), 0, "");
	assert_true(binds.login);
	good("key");
	assert_true(binds.login);
	assert_false(binds.poisoned);
}

static void
what_is_none_poisons(void **state)
{
	static uint8_t bytes[20000];
	const struct view key = view_str("key"), sig = view_str("sig");
	const struct {
		struct view key, id, signature;
		uint8_t flag;
		const char *more;
	} bad[] = {
	    {{0}, sig, sig, 1, ""},
	    {key, {0}, sig, 1, ""},
	    {key, sig, {0}, 1, ""},
	    {key, sig, sig, 2, ""},
	    {key, sig, sig, 1, "more"},
	    {{bytes, sizeof(bytes)}, sig, sig, 1, ""},
	    {key, {bytes, 129}, sig, 1, ""},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		binds = (struct binds){0};
		say(bad[i].key, bad[i].id, bad[i].signature, bad[i].flag,
		    bad[i].more);
		assert_true(binds.poisoned);
		assert_int_equal(binds.n, 0);
	}
	binds = (struct binds){0};
	bind_take(&binds, view_str("junk"));
	assert_true(binds.poisoned);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(the_first_is_kept_as_ssh_keygen_shows_it),
	    T(what_comes_later_is_a_claim),
	    T(the_seventeenth_poisons),
	    T(one_for_a_login_is_noticed_wherever_it_comes),
	    T(what_is_none_poisons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
