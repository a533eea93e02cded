/* SPDX-License-Identifier: ISC */
#include "agent/supervisor/supervisor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int pair[2];

static uint32_t
inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static int
setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int
teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void
the_other_end_waits_while_it_blocks(void **state)
{
	(void)state;
	if (!look_waits(getpid(), inode(pair[0])))
		skip(); /* a kernel without unix_diag */
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	assert_false(look_waits(getpid(), inode(pair[0])));
	/* Our own end is not the one that is meant. */
	assert_true(look_waits(getpid(), inode(pair[1])));
}

static void
nobody_else_waits_there(void **state)
{
	(void)state;
	assert_false(look_waits(1, inode(pair[0])));
	assert_false(look_waits(-1, inode(pair[0])));
	assert_false(look_waits(getpid(), 0));
	assert_false(look_waits(getpid(), UINT32_MAX));
}

static void
an_end_that_is_closed_does_not(void **state)
{
	uint32_t ours = inode(pair[0]);

	(void)state;
	close(pair[1]);
	assert_false(look_waits(getpid(), ours));
	close(pair[0]);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(the_other_end_waits_while_it_blocks),
	    T(nobody_else_waits_there),
	    T(an_end_that_is_closed_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
