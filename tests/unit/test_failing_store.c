/* SPDX-License-Identifier: ISC */
/*
 * The store over the real keyring and a vault, with each call of heap, keyring
 * and memfd failing once in turn. What is asked for is there, whole, or its
 * asker is told; and what others put there is there, now or for the next broker.
 */
#include "agent/broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/broker/store.h"
#include "awsenv/own.h"
#include "tests/unit/failing.h"
#include "tests/unit/room.h"

#define LIFE 3600

static int32_t session, ring;
static int vault = -1;
static int with; /* what calls fail with */
static bool no_holes;
static const char
    *now_there; /* sealed of "a": what the next broker is to have */

/* Where it does not fail anyway. */
int
fallocate(int fd, int mode, off_t at, off_t n)
{
	if (!no_holes)
		return fallocate64(fd, mode, at, n);
	errno = EOPNOTSUPP;
	return -1;
}

uint64_t
loop_time(void)
{
	return (uint64_t)time(NULL);
}

static enum aw_err
open_store(void)
{
	return store_open(ring, session,
	    open("/proc/key-users", O_RDONLY | O_CLOEXEC),
	    fcntl(vault, F_DUPFD_CLOEXEC, 0));
}

static enum aw_err
put(enum store_kind kind, const char *id, const char *sealed)
{
	struct record r = {
	    .obtained = loop_time(),
	    .expires = loop_time() + LIFE,
	    .id = view_str(id),
	    .sealed = view_str(sealed),
	};

	return store_put(kind, &r);
}

static enum aw_err
get(enum store_kind kind, const char *id, const char *sealed, const char * or)
{
	AUTOBUF struct buf out = {0};
	struct record r;
	enum aw_err e = store_get(kind, view_str(id), &out, &r);

	/* Whole, or not at all. */
	if (e == AW_OK)
		must(view_is(r.sealed, sealed) || (or &&view_is(r.sealed, or)));
	else
		must(out.len == 0);
	return e;
}

static bool
has(enum store_kind kind, const char *id, const char *sealed)
{
	return get(kind, id, sealed, NULL) == AW_OK;
}

/* More than a key may hold, so it is in the vault, whatever the quota. */
static const char *
large(char c)
{
	static char text[2][KEY_BYTES + 1], other[KEY_BYTES + 1];
	char *p = c == 'o' ? other : text[c == 'b'];

	memset(p, c, KEY_BYTES);
	return p;
}

static int
begin(void **state)
{
	static const uint8_t key[VAULT_KEY] = "a key of the vault";

	(void)state;
	if (!room_for_keys())
		return -1;
	session = keyctl_join_session_keyring(NULL);
	keyctl_setperm(session, KEY_PERM);
	ring = add_key("keyring", KEY_RING, NULL, 0, session);
	keyctl_setperm(ring, KEY_PERM);
	if (add_key("user", VAULT_NAME, key, sizeof(key), ring) < 0)
		return -1;
	vault = memfd_create("vault", MFD_CLOEXEC);
	return vault < 0 ? -1 : 0;
}

static int
end(void **state)
{
	(void)state;
	keyctl_clear(ring);
	keyctl_revoke(session);
	return close(vault);
}

/* ---- what is done, between an opening and a close that do not fail */

static bool
is_as_it_should(enum store_kind kind)
{
	return now_there ? has(kind, "a", now_there)
			 : get(kind, "a", NULL, NULL) == AW_GONE;
}

static enum aw_err with_others(enum aw_err (*what)(void))
{
	enum aw_err r;

	failing_rest();
	must(room_for_keys());
	now_there = NULL;
	must(open_store() == AW_OK);
	must(put(KEY_REF, "login", "other r") == AW_OK);
	must(put(KEY_ROLE, "login/large", large('o')) == AW_OK);
	failing_go();
	r = what();
	failing_rest();
	/* The next broker has what was there, also if this one saw a trap. */
	store_close();
	must(open_store() == AW_OK);
	must(has(KEY_REF, "login", "other r"));
	must(has(KEY_ROLE, "login/large", large('o')));
	must(is_as_it_should(KEY_ROLE));
	store_drop_all(~0u, (struct view){0});
	store_close();
	failing_go();
	return r;
}

/* The new one is there, or the old one still is. */
static enum aw_err
put_over(const char *old, const char *new)
{
	enum aw_err r;

	failing_rest();
	must(!old || put(KEY_ROLE, "a", old) == AW_OK);
	failing_go();
	r = put(KEY_ROLE, "a", new);
	failing_rest();
	now_there = r == AW_OK ? new : old;
	must(r == AW_DENIED || is_as_it_should(KEY_ROLE));
	failing_go();
	return r;
}

static enum aw_err
put_new(void)
{
	return put_over(NULL, "new");
}

static enum aw_err
put_second(void)
{
	return put_over("old", "new");
}

static enum aw_err
put_second_large(void)
{
	return put_over(large('a'), large('b'));
}

static enum aw_err
put_large_over_small(void)
{
	return put_over("old", large('b'));
}

static enum aw_err
get_small(void)
{
	return get(KEY_REF, "login", "other r", NULL);
}

static enum aw_err
get_large(void)
{
	return get(KEY_ROLE, "login/large", large('o'), NULL);
}

/* For good, whatever the kernel makes of it. */
static enum aw_err
drop(void)
{
	failing_rest();
	must(put(KEY_ROLE, "a", "old") == AW_OK);
	failing_go();
	store_drop(KEY_ROLE, view_str("a"));
	failing_rest();
	must(is_as_it_should(KEY_ROLE));
	failing_go();
	return AW_OK;
}

/* All of it or nothing. */
static enum aw_err
count(void)
{
	struct store_usage u;

	store_usage(&u);
	must(u.bytes_max ? u.keys_max && u.bytes_used : !u.keys_max);
	return u.bytes_max ? AW_OK : AW_SYSTEM;
}

#define WITH_OTHERS(name)                 \
	static enum aw_err name##_(void)  \
	{                                 \
		return with_others(name); \
	}
WITH_OTHERS(put_new)
WITH_OTHERS(put_second)
WITH_OTHERS(put_second_large)
WITH_OTHERS(put_large_over_small)
WITH_OTHERS(get_small)
WITH_OTHERS(get_large)
WITH_OTHERS(drop)
WITH_OTHERS(count)

/* What cannot be forgotten ends the broker, so that the next one is asked to. */
static enum aw_err
drop_without_holes(void)
{
	failing_rest();
	must(room_for_keys());
	must(open_store() == AW_OK);
	/* Whole, if it was there before this one. */
	get(KEY_ROLE, "a", large('a'), NULL);
	must(put(KEY_ROLE, "a", large('a')) == AW_OK);
	no_holes = true;
	failing_go();
	store_drop(KEY_ROLE, view_str("a"));
	failing_rest();
	store_close();
	must(open_store() == AW_OK);
	must(get(KEY_ROLE, "a", NULL, NULL) == AW_GONE);
	store_close();
	failing_go();
	return AW_OK;
}

/* A broker that cannot read it all ends, and the next one does. */
static enum aw_err
open_again(void)
{
	AUTOCLOSE int users = -1;
	enum aw_err r;

	failing_rest();
	must(room_for_keys());
	must(open_store() == AW_OK);
	must(put(KEY_TOK, "login", "t") == AW_OK);
	must(put(KEY_ROLE, "login/large", large('o')) == AW_OK);
	store_close();
	users = fcntl(vault, F_DUPFD_CLOEXEC, 0);
	failing_go();
	r = store_open(ring, session, -1, STEAL_FD(users));
	failing_rest();
	/* Anything else ends the agent, and the ring with it. */
	if (r != AW_OK && with == ENOMEM)
		must(r == AW_NOMEM);
	store_close();
	must(open_store() == AW_OK);
	/* Of what cannot be read ever again one may be thrown out. */
	must(has(KEY_TOK, "login", "t") +
		has(KEY_ROLE, "login/large", large('o')) >=
	    (with == ENOMEM ? 2 : 1));
	store_drop_all(~0u, (struct view){0});
	store_close();
	failing_go();
	return r;
}

/* ---- the tests */

static void
each_is_told_and_costs_nobody_elses(void **state)
{
	static const struct {
		enum aw_err (*what)(void);
		unsigned int least; /* so many calls it takes */
	} rows[] = {
	    {put_new_, 3},
	    {put_second_, 3},
	    {put_second_large_, 3},
	    {get_small_, 2},
	    {get_large_, 3},
	    {put_large_over_small_, 3},
	    {drop_, 2},
	    {count_, 1},
	    {open_again, 10},
	};
	static const int errors[] = {ENOMEM, EDQUOT, EIO, EACCES};
	unsigned int n;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (j = 0; j < sizeof(errors) / sizeof(*errors); j++) {
			with = errors[j];
			n = each_fails(rows[i].what, with, true);
			assert_true(with != ENOMEM || n >= rows[i].least);
		}
	}
}

static void
what_is_to_be_forgotten_is_or_the_broker_ends(void **state)
{
	(void)state;
	assert_int_equal(each_fails_apart(drop_without_holes, EIO, true), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_told_and_costs_nobody_elses),
	    cmocka_unit_test(what_is_to_be_forgotten_is_or_the_broker_ends),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
