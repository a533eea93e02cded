/* SPDX-License-Identifier: ISC */
/*
 * What the spawner sees of a process, with each call failing once in turn: it
 * is what it is else, or nothing. An ssh that could not be looked at is not one
 * that is not there, since its far side could then answer questions.
 */
#include "agent/supervisor/supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/failing.h"

static char top[] = "/var/tmp/awsenv-failing.XXXXXX";
static char ssh[64], *cat;
static pid_t pids[2]; /* an ssh, and a program on its terminal */
static int terminal;

/* ---- a /proc with these processes alone, so that each can be failed */

static DIR *proc;

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *
__wrap_opendir(const char *path)
{
	DIR *d = failing_this("opendir") ? NULL : __real_opendir(path);

	proc = strcmp(path, "/proc") == 0 ? d : NULL;
	return d;
}

static bool
is_another(const char *name)
{
	long pid = strtol(name, NULL, 10);

	return pid > 0 && pid != pids[0] && pid != pids[1];
}

struct dirent *__real_readdir(DIR *d);
struct dirent *__wrap_readdir(DIR *d);
struct dirent *
__wrap_readdir(DIR *d)
{
	struct dirent *e;

	if (d == proc && failing_this("readdir"))
		return NULL;
	do
		e = __real_readdir(d);
	while (e && d == proc && is_another(e->d_name));
	return e;
}

/* ---- a process */

/* All of it, or nothing; but an ssh that binds may be taken for one that does
 * not, whose word does not count. */
static enum aw_err
see(uint32_t flags)
{
	static struct seen good, seen;

	failing_rest();
	look_at_process(pids[0], flags, &good);
	must(good.flags & SEEN_SSH);
	failing_go();
	look_at_process(pids[0], flags, &seen);
	if (!seen.flags)
		return AW_GONE;
	must((seen.flags | SEEN_BINDS) == (good.flags | SEEN_BINDS));
	must(seen.terminal == good.terminal && seen.began == good.began);
	must(seen.forked == good.forked);
	must(strcmp(seen.session, good.session) == 0);
	must(strcmp(seen.program, good.program) == 0);
	must(strcmp(seen.parents, good.parents) == 0);
	return AW_OK;
}

static enum aw_err
see_it(void)
{
	return see(0);
}

static enum aw_err
see_its_place(void)
{
	return see(LOOK_PLACE);
}

static enum aw_err
see_who_is_beside(void)
{
	struct seen seen;

	look_at_process(pids[1], LOOK_TERMINAL, &seen);
	must(seen.flags == 0 || seen.flags == (SEEN_THERE | SEEN_SSH_BESIDE));
	return seen.flags ? AW_OK : AW_GONE;
}

static void
a_process_is_seen_as_it_is_or_not_at_all(void **state)
{
	static const int errors[] = {ENOMEM, EMFILE, EIO};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		assert_true(each_fails(see_it, errors[i], true) > 4);
		assert_true(each_fails(see_its_place, errors[i], true) > 8);
		assert_true(
		    each_fails(see_who_is_beside, errors[i], false) > 5);
	}
}

/* ---- who waits */

static uint32_t inodes[2];

static enum aw_err
see_it_wait(void)
{
	return look_waits(getpid(), inodes[0]) ? AW_OK : AW_GONE;
}

static enum aw_err
see_it_not_wait(void)
{
	must(!look_waits(getpid(), inodes[1]));
	return AW_OK;
}

static void
nobody_is_taken_for_one_who_waits(void **state)
{
	static const int errors[] = {ENOMEM, EMFILE, EIO};
	struct stat st;
	int pair[2];
	size_t i;

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	/* One end does not block, and so only the other one waits. */
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(fstat(pair[i], &st), 0);
		inodes[i] = (uint32_t)st.st_ino;
	}
	if (!look_waits(getpid(), inodes[0]))
		skip(); /* a kernel without unix_diag */
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		assert_int_equal(each_fails(see_it_wait, errors[i], false), 6);
		assert_int_equal(
		    each_fails(see_it_not_wait, errors[i], true), 6);
	}
	close(pair[0]);
	close(pair[1]);
}

/* ---- the processes */

static void
wait_for(pid_t pid, const char *program)
{
	struct seen seen;

	do
		look_at_process(pid, LOOK_PROGRAM, &seen);
	while (strcmp(seen.program, program) != 0);
}

/* A copy of cat(1) that is called ssh, and binds; and cat(1) beside it. */
static int
begin(void **state)
{
	char command[256];
	int told[2];

	(void)state;
	if (!mkdtemp(top) || !(cat = realpath("/bin/cat", NULL)))
		return -1;
	snprintf(ssh, sizeof(ssh), "%s/ssh", top);
	snprintf(command, sizeof(command),
	    "cp /bin/cat %s && printf session-bind@openssh.com >>%s", ssh, ssh);
	if (system(command) != 0)
		return -1;
	if (pipe2(told, O_CLOEXEC) != 0 ||
	    (pids[0] = forkpty(&terminal, NULL, NULL, NULL)) < 0)
		return -1;
	if (pids[0] == 0) {
		if ((pids[1] = fork()) == 0)
			execl("/bin/cat", "cat", NULL);
		if (write(told[1], &pids[1], sizeof(pid_t)) > 0)
			execl(ssh, ssh, NULL);
		_exit(127);
	}
	if (read(told[0], &pids[1], sizeof(pid_t)) != sizeof(pid_t))
		return -1;
	close(told[0]);
	close(told[1]);
	wait_for(pids[0], ssh);
	wait_for(pids[1], cat);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	/* Who has the terminal ends with it. */
	close(terminal);
	while (waitpid(pids[0], NULL, 0) < 0 && errno == EINTR)
		continue;
	free(cat);
	unlink(ssh);
	return rmdir(top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_process_is_seen_as_it_is_or_not_at_all),
	    cmocka_unit_test(nobody_is_taken_for_one_who_waits),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
