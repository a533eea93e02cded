/* SPDX-License-Identifier: ISC */
/*
 * The ring with each call failing once in turn: an upgrade takes it for
 * another's only if it is, who is to be without it is or knows that it is not,
 * and at its end no secret can be read, whatever fails of that.
 */
#include "agent/supervisor/supervisor.h"

#include <errno.h>
#include <keyutils.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/failing.h"
#include "tests/unit/room.h"

#define SECRETS 3
#define PERM 0x3f000000u

static struct ring ring;

/* Of this process, which the test has for itself. */
static void
make_one(void)
{
	failing_rest();
	must(room_for_keys());
	ring_make(&ring);
	failing_go();
}

static bool
is_readable(key_serial_t k)
{
	char text[64];

	return keyctl_read(k, text, sizeof(text)) >= 0;
}

/* ---- an upgrade */

static enum aw_err
verify(void)
{
	make_one();
	return ring_verify(&ring) ? AW_OK : AW_DENIED;
}

static enum aw_err
verify_another(void)
{
	make_one();
	ring.session++;
	must(!ring_verify(&ring));
	return AW_OK;
}

static enum aw_err
verify_without_short_memory(void)
{
	must(verify() == AW_OK);
	return AW_OK;
}

static void
a_ring_is_not_anothers_for_want_of_memory(void **state)
{
	(void)state;
	assert_int_equal(
	    each_fails_apart(verify_without_short_memory, ENOMEM, true), 2);
	assert_int_equal(each_fails_apart(verify, EACCES, false), 2);
	assert_int_equal(each_fails_apart(verify, EKEYREVOKED, false), 2);
	assert_true(each_fails_apart(verify_another, EACCES, true) >= 1);
}

/* ---- who is to be without it */

static enum aw_err
leave(void)
{
	bool left;

	make_one();
	left = ring_leave(&ring);
	failing_rest();
	must(!left || !is_readable(ring.serial));
	return left ? AW_OK : AW_DENIED;
}

static void
it_was_left_or_is_known_not_to_be(void **state)
{
	(void)state;
	assert_int_equal(each_fails_apart(leave, ENOMEM, false), 3);
	assert_int_equal(each_fails_apart(leave, EPERM, false), 3);
}

/* ---- its end */

/* As the broker writes them. */
static enum aw_err
end(void)
{
	key_serial_t k[SECRETS + 1];
	char name[16];
	size_t i;

	make_one();
	failing_rest();
	k[SECRETS] =
	    (key_serial_t)keyctl_search(ring.serial, "user", "awsenv:vault", 0);
	for (i = 0; i < SECRETS; i++) {
		snprintf(name, sizeof(name), "secret %zu", i);
		k[i] = add_key("user", name, "secret", 6, ring.serial);
		must(k[i] > 0 && keyctl_setperm(k[i], PERM) == 0);
	}
	for (i = 0; i <= SECRETS; i++)
		must(is_readable(k[i]));
	must(keyctl_link(k[0], KEY_SPEC_PROCESS_KEYRING) == 0);
	failing_go();
	ring_end(&ring);
	failing_rest();
	for (i = 1; i <= SECRETS; i++)
		must(!is_readable(k[i]));
	/* Whoever has it elsewhere, too, cannot: it is revoked. */
	must(!is_readable(k[0]) ||
	    strcmp(failing_name(), "keyctl_revoke") == 0 ||
	    strcmp(failing_name(), "keyctl_read_alloc") == 0);
	/* Nor is there a place for more of them. */
	must(add_key("user", "late", "secret", 6, ring.serial) < 0);
	return AW_OK;
}

static void
whatever_of_its_end_fails_no_secret_is_readable(void **state)
{
	static const int errors[] = {ENOMEM, EIO, EACCES};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_int_equal(each_fails_apart(end, errors[i], true),
		    1 + 2 * (SECRETS + 1) + 3 + 3 + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_ring_is_not_anothers_for_want_of_memory),
	    cmocka_unit_test(it_was_left_or_is_known_not_to_be),
	    cmocka_unit_test(whatever_of_its_end_fails_no_secret_is_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
