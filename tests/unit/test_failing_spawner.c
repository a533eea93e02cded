/* SPDX-License-Identifier: ISC */
/*
 * The spawner's life with each call failing once in turn: a broker that asks
 * for a program hears of it, after the supervisor did, or that there is none,
 * or the spawner ends, for another to begin. What has ended it does not keep.
 */
#include "agent/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/failing.h"

#define LINK 3 /* the lowest: the spawner closes what is above */
#define ANOTHERS 200

/* ---- it ends in this process, which is one of its own */

static jmp_buf ended;
static bool running;

_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
_Noreturn void
__wrap__exit(int status)
{
	if (running && status == 0)
		longjmp(ended, 1);
	__real__exit(status);
}

/* ---- who talks to it */

/* Waits for it; *l is that. False: the other end is gone. */
static bool
next(int fd, struct link *l)
{
	struct pollfd p = {fd, POLLIN, 0};
	enum aw_err r;

	while ((r = link_recv(fd, l)) == AW_BUSY)
		poll(&p, 1, -1);
	return r == AW_OK;
}

/* The link of a program that was begun: it closes as that ends. */
static void
wait_for_end(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	while (poll(&p, 1, -1) < 1)
		continue;
	close(fd);
}

static bool *played; /* shared: all was as it is to be */

/* The supervisor and the broker. */
static void
play(int supervisor, int broker, int theirs)
{
	struct link l = {.type = LINK_BROKER, .nfds = 1, .fds = {theirs}};
	struct link told;

	if (!next(supervisor, &told))
		return;
	must(told.type == LINK_START);
	if (link_send(supervisor, &l) != AW_OK)
		return;
	close(theirs);
	l = (struct link){.type = LINK_SPAWN, .program = PROGRAM_PROFILE};
	memcpy(l.tag, "tag", 3);
	link_send(broker, &l);
	if (!next(broker, &l))
		return;
	must(memcmp(l.tag, "tag", 3) == 0);
	if (l.type == LINK_SPAWNED) {
		must(l.nfds == 1);
		must(link_recv(supervisor, &told) == AW_OK);
		must(told.type == LINK_SPAWNED && told.nfds == 1);
		must(told.pid == l.pid);
		close(told.fds[0]);
		wait_for_end(l.fds[0]);
	} else {
		must(l.type == LINK_FAILED && l.error != 0);
	}
	l = (struct link){.type = LINK_END};
	link_send(supervisor, &l);
	while (next(supervisor, &l))
		must(l.type == LINK_OVER || l.type == LINK_SPAWNED);
}

static enum aw_err
live(void)
{
	static struct agent agent;
	int supervisor[2], broker[2];

	failing_rest();
	alarm(60);
	syscall(SYS_close_range, 3u, ~0u, 0, 0);
	agent_init(&agent);
	agent.foreground = true;
	snprintf(agent.profile_path, PATH_MAX, "/bin/true");
	snprintf(agent.home, sizeof(agent.home), "HOME=/");
	must(link_pair(supervisor) == 0 && link_pair(broker) == 0);
	*played = false;
	if (fork() == 0) {
		close(supervisor[0]);
		play(supervisor[1], broker[0], broker[1]);
		*played = true;
		_exit(0);
	}
	close(supervisor[1]);
	close(broker[0]);
	close(broker[1]);
	must(supervisor[0] == LINK);
	must((agent.audit = audit_make()) >= 0);
	must(dup2(agent.audit, ANOTHERS) == ANOTHERS);
	running = true;
	failing_go();
	if (setjmp(ended) == 0)
		spawner_run(&agent, LINK);
	failing_rest();
	running = false;
	must(fcntl(ANOTHERS, F_GETFD) < 0);
	syscall(SYS_close_range, 3u, ~0u, 0, 0);
	/* The spawner may have collected it, too. */
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	must(*played);
	return AW_OK;
}

static void
a_program_is_told_of_or_another_spawner_begins(void **state)
{
	static const int errors[] = {ENOMEM, EIO, EMFILE};
	size_t i;

	(void)state;
	played = failing_shared(sizeof(*played));
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(each_fails_apart(live, errors[i], true) > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_program_is_told_of_or_another_spawner_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
