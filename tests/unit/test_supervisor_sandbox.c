/* SPDX-License-Identifier: ISC */
/* The supervisor's sandbox, asked from inside. */
#include "agent/supervisor/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "awsenv/filter.h"
#include "confined.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static bool
enter(void)
{
	if (!filter_built())
		return false;
	sandbox_enter();
	return true;
}

static void
what_none_of_ours_needs_is_refused(void **state)
{
	static const struct attempt attempts[] = {
	    ATTEMPTS_OF_NOBODY,
	};

	(void)state;
	confined_expect(attempts, N(attempts), enter, CONFINED_REFUSED);
}

/* Whatever it starts may still have to. */
static void
what_its_programs_need_is_not(void **state)
{
	static const struct attempt attempts[] = {
	    {"open a file", attempt_open},
	    {"fork", attempt_fork},
	    {"a TCP socket", attempt_inet},
	    {"make a key", attempt_new_key},
	    {"join a session keyring", attempt_join},
	    {"a signal", attempt_signal},
	};

	(void)state;
	confined_expect(attempts, N(attempts), enter, CONFINED_LET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_none_of_ours_needs_is_refused),
	    cmocka_unit_test(what_its_programs_need_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
