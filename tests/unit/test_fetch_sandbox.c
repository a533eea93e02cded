/* SPDX-License-Identifier: ISC */
/* The fetcher's sandbox, asked from inside. */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/fence.h"
#include "awsenv/filter.h"
#include "awsenv/harden.h"
#include "awsenv/own.h"
#include "confined.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static char folder[] = "/tmp/awsenv-sandbox.XXXXXX";
static char old[64], ca[64];
static int sandbox_file;

static bool
enter(void)
{
	if (harden_no_new_privs() != 0 || !sandbox_no_keys())
		return false;
	sandbox_enter(ca);
	return true;
}

static bool
with_landlock(void)
{
	return fence_version() > 0 && enter();
}

static bool
with_filter(void)
{
	return filter_built() && enter();
}

static int
make(void **state)
{
	int fd;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(old, sizeof(old), "%s/old", folder);
	snprintf(ca, sizeof(ca), "%s/ca", folder);
	fd = open(old, O_WRONLY | O_CREAT, 0600);
	close(fd);
	close(open(ca, O_WRONLY | O_CREAT, 0600));
	return fd < 0 ? -1 : 0;
}

static int
clean(void **state)
{
	(void)state;
	unlink(old);
	unlink(ca);
	return rmdir(folder);
}

static bool
write_old(void)
{
	return open(old, O_WRONLY | O_CLOEXEC) >= 0;
}

static bool
remove_old(void)
{
	return unlink(old) == 0;
}

static bool
read_old(void)
{
	return open(old, O_RDONLY | O_CLOEXEC) >= 0;
}

static bool
look_around(void)
{
	return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0;
}

/* An environment is the way to what commands were given. Root may look into
 * any process where the kernel lets it watch their performance. */
static bool
read_parent(void)
{
	char path[64];

	if (geteuid() == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)getppid());
	return open(path, O_RDONLY | O_CLOEXEC) >= 0;
}

static void
files_are_neither_written_nor_read_nor_run(void **state)
{
	static const struct attempt attempts[] = {
	    {"make a file", attempt_create},
	    {"write a file", write_old},
	    {"remove a file", remove_old},
	    {"read a file", read_old},
	    {"list a folder", look_around},
	    {"run a program", attempt_exec},
	    {"read another's environment", read_parent},
	};

	(void)state;
	confined_expect(attempts, N(attempts), with_landlock, CONFINED_REFUSED);
}

static void
what_no_module_needs_is_refused(void **state)
{
	static const struct attempt attempts[] = {
	    {"exec", attempt_exec},
	    {"a unix socket", attempt_unix},
	    {"a packet socket", attempt_packet},
	    ATTEMPTS_OF_NOBODY,
	    {"join a session keyring", attempt_join},
	    {"make a key", attempt_new_key},
	    {"become dumpable", attempt_dumpable},
	    {"a signal", attempt_signal},
	};

	(void)state;
	confined_expect(attempts, N(attempts), with_filter, CONFINED_REFUSED);
}

static void *
nothing(void *arg)
{
	return arg;
}

/* What curl does: files, names, threads, sockets; and callback.c. */
static bool
works(void)
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *found;
	struct sockaddr_in a = {.sin_family = AF_INET};
	AUTOCLOSE int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pthread_t t;
	int pair[2];

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return attempt_open() && open(ca, O_RDONLY | O_CLOEXEC) >= 0 &&
	    open("/proc/self/net/tcp", O_RDONLY | O_CLOEXEC) >= 0 &&
	    getaddrinfo("localhost", "443", &want, &found) == 0 &&
	    pthread_create(&t, NULL, nothing, NULL) == 0 &&
	    pthread_join(t, NULL) == 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
	    bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(s, 1) == 0;
}

static void
what_it_is_for_goes_on(void **state)
{
	static const struct attempt attempts[] = {{"work", works}};

	(void)state;
	confined_expect(attempts, N(attempts), enter, CONFINED_LET);
}

/* As RLIMIT_FSIZE has it where there is no Landlock. */
static bool
fill(void)
{
	return write(sandbox_file, "x", 1) == 1;
}

static void
not_even_an_open_file_is_written(void **state)
{
	static const struct attempt attempts[] = {{"write", fill}};

	(void)state;
	sandbox_file = open(old, O_WRONLY | O_CLOEXEC);
	assert_true(sandbox_file >= 0);
	confined_expect(attempts, N(attempts), enter, CONFINED_REFUSED);
	close(sandbox_file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_neither_written_nor_read_nor_run),
	    cmocka_unit_test(what_no_module_needs_is_refused),
	    cmocka_unit_test(what_it_is_for_goes_on),
	    cmocka_unit_test(not_even_an_open_file_is_written),
	};

	return cmocka_run_group_tests(tests, make, clean);
}
