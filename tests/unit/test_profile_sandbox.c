/* SPDX-License-Identifier: ISC */
/* The profile reader's sandbox, asked from inside. */
#include "agent/profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "awsenv/fence.h"
#include "awsenv/filter.h"
#include "awsenv/harden.h"
#include "confined.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static bool
with_landlock(void)
{
	if (fence_version() == 0 || harden_no_new_privs() != 0)
		return false;
	sandbox_enter();
	return true;
}

static bool
with_filter(void)
{
	if (!filter_built())
		return false;
	sandbox_enter();
	return true;
}

static void
files_are_only_read(void **state)
{
	static const struct attempt no[] = {
	    {"make a file", attempt_create},
	    {"run a program", attempt_exec},
	};
	static const struct attempt yes[] = {{"read a file", attempt_open}};

	(void)state;
	confined_expect(no, N(no), with_landlock, CONFINED_REFUSED);
	confined_expect(yes, N(yes), with_landlock, CONFINED_LET);
}

static void
it_speaks_to_nobody(void **state)
{
	static const struct attempt attempts[] = {
	    {"exec", attempt_exec},
	    {"a unix socket", attempt_unix},
	    {"a TCP socket", attempt_inet},
	    {"join a session keyring", attempt_join},
	    {"make a key", attempt_new_key},
	    {"become dumpable", attempt_dumpable},
	    {"a signal", attempt_signal},
	    ATTEMPTS_OF_NOBODY,
	};

	(void)state;
	confined_expect(attempts, N(attempts), with_filter, CONFINED_REFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_only_read),
	    cmocka_unit_test(it_speaks_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
