/* SPDX-License-Identifier: ISC */
/* The broker's sandbox, asked from inside. */
#include "agent/broker/broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "awsenv/fence.h"
#include "awsenv/harden.h"
#include "confined.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static bool
enter(void)
{
	return strstr(sandbox_enter(), ", seccomp") != NULL;
}

static bool
fence_only(void)
{
	const struct fence nothing = {0};

	return harden_no_new_privs() == 0 && fence_enter(&nothing) > 0;
}

static void
each_thing_that_it_has_no_need_of_ends_it(void **state)
{
	static const struct attempt attempts[] = {
	    {"open a file", attempt_open},
	    {"make a file", attempt_create},
	    {"fork", attempt_fork},
	    {"exec", attempt_exec},
	    {"connect", attempt_connect},
	    {"bind", attempt_bind},
	    ATTEMPTS_OF_NOBODY,
	    {"memory that is code", attempt_code},
	    {"join a session keyring", attempt_join},
	    {"become dumpable", attempt_dumpable},
	};

	(void)state;
	confined_expect(attempts, N(attempts), enter, CONFINED_KILLED);
}

static void
a_socket_is_refused_so_that_syslog_gives_up(void **state)
{
	static const struct attempt attempts[] = {
	    {"a unix socket", attempt_unix},
	    {"a TCP socket", attempt_inet},
	};

	(void)state;
	confined_expect(attempts, N(attempts), enter, CONFINED_REFUSED);
}

/* Memory, and a key of its own. */
static bool
works(void)
{
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED && munmap(p, 1 << 20) == 0 && getpid() > 1 &&
	    attempt_new_key();
}

static void
what_it_is_for_goes_on(void **state)
{
	static const struct attempt attempts[] = {{"work", works}};

	(void)state;
	confined_expect(attempts, N(attempts), enter, CONFINED_LET);
}

/* Where seccomp is not to be had. */
static void
landlock_alone_keeps_files_away(void **state)
{
	static const struct attempt attempts[] = {
	    {"open a file", attempt_open},
	    {"make a file", attempt_create},
	};

	(void)state;
	confined_expect(attempts, N(attempts), fence_only, CONFINED_REFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_thing_that_it_has_no_need_of_ends_it),
	    cmocka_unit_test(a_socket_is_refused_so_that_syslog_gives_up),
	    cmocka_unit_test(what_it_is_for_goes_on),
	    cmocka_unit_test(landlock_alone_keeps_files_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
