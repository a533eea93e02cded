/* SPDX-License-Identifier: ISC */
/*
 * The supervisor's life with each call failing once in turn. Until its ring is
 * made it may end, and says why; from then on nothing that fails once ends it,
 * since that would be the end of all logins. Brokers and spawners come and go,
 * and each broker is given all that there is, or another one is. At the end no
 * key of the ring can be read any more.
 */
#include "agent/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/failing.h"

#define LISTENERS 3
#define JOB_PID 77	    /* what the spawner tells of */
#define BROKER "broker"	    /* HOME of the one that this program is then */
#define NOTES 200	    /* memory that brokers have one after the other: */
enum { WORD, TOLD, SHORT }; /* what happened, and is wished for */

static struct agent agent;
static bool serving; /* nothing may end it */

/* ---- what stands in */

void
program_find_all(struct agent *a)
{
	ssize_t n = readlink("/proc/self/exe", a->broker_path, PATH_MAX - 1);

	must(n > 0);
	a->broker_path[n] = '\0';
	snprintf(a->home, sizeof(a->home), "HOME=" BROKER);
}

bool
program_protected(const char *path)
{
	(void)path;
	return false;
}

void
sandbox_enter(void)
{
}

/* Waits until there is something; *l is that. False: the other end is gone. */
static bool
next(int fd, struct link *l)
{
	struct pollfd p = {fd, POLLIN, 0};
	enum aw_err r;

	while ((r = link_recv(fd, l)) == AW_BUSY)
		poll(&p, 1, -1);
	return r == AW_OK;
}

/* It tells of a program, then gives word to each broker, and ends when one says
 * so. */
_Noreturn void
spawner_run(struct agent *a, int link)
{
	struct link l = {.type = LINK_SPAWNED, .pid = JOB_PID, .nfds = 1};
	struct pollfd p[2] = {{link, POLLIN, 0}, {-1, POLLIN, 0}};
	int job[2];

	failing_rest();
	(void)a;
	/* As the real one; else it would hold the other end of its link. */
	if (dup2(link, LINK_FD) != LINK_FD || dup2(link, 4) != 4)
		_exit(1);
	syscall(SYS_close_range, 5u, ~0u, 0, 0);
	close(4);
	p[0].fd = LINK_FD;
	if (link_pair(job) != 0)
		_exit(1);
	l.fds[0] = job[0];
	link_send(LINK_FD, &l);
	while (poll(p, 2, -1) > 0) {
		if (p[1].revents)
			_exit(0);
		if (!p[0].revents)
			continue;
		if (link_recv(LINK_FD, &l) != AW_OK || l.type == LINK_END)
			_exit(0);
		if (l.type != LINK_BROKER)
			continue;
		close(p[1].fd);
		p[1].fd = l.fds[0];
		l = (struct link){.type = LINK_SEEN};
		link_send(p[1].fd, &l);
	}
	_exit(1);
}

static bool
noted(unsigned int what)
{
	char c = 0;

	return pread(NOTES, &c, 1, (off_t)what) == 1 && c;
}

static void
note_it(unsigned int what)
{
	must(pwrite(NOTES, "1", 1, (off_t)what) == 1);
}

/*
 * One dies once the spawner gave it word, one has the spawner die, and one ends
 * it all, or the first does where it is to be short: each when it has what it is
 * to have. One that has not says that the ring is another's, which ends the
 * agent in another way.
 */
static int
be_broker(void)
{
	unsigned int listeners = 0, jobs = 0;
	struct link hello, l;

	if (!next(LINK_FD, &hello))
		return 0;
	if (hello.type != LINK_HELLO || hello.nfds < 3 || hello.ring <= 0)
		return LINK_EXIT_RING;
	do {
		if (!next(LINK_FD, &l))
			return 0; /* and so another one is told it all */
		listeners += l.type == LINK_LISTENER && l.nfds == 1;
		jobs += l.type == LINK_JOB && l.nfds == 1 && l.pid == JOB_PID;
	} while (l.type != LINK_START);
	if (listeners != LISTENERS || jobs != (noted(WORD) ? 1 : jobs))
		return LINK_EXIT_RING;
	l = (struct link){.type = LINK_STOP};
	if (noted(SHORT) || noted(TOLD)) {
		link_send(LINK_FD, &l);
	} else if (noted(WORD)) {
		note_it(TOLD);
		link_send(hello.fds[0], &l);
	} else {
		/* Before its word the spawner told of the program. */
		if (next(hello.fds[0], &l))
			note_it(WORD);
		return 0;
	}
	while (next(LINK_FD, &l) && l.type != LINK_END)
		continue;
	return 0;
}

/* ---- what is done */

static void
fresh(void)
{
	unsigned int i;

	agent_init(&agent);
	agent.foreground = true;
	for (i = 0; i < LISTENERS; i++) {
		struct listener *l = &agent.listeners[agent.nlisteners++];

		l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		snprintf(l->name, sizeof(l->name), "%u", i);
	}
}

/* By the serials of before. */
static bool
nothing_is_left(const struct ring *r, key_serial_t vault)
{
	char text[64];

	return keyctl_read(vault, text, sizeof(text)) < 0 &&
	    keyctl_read(r->serial, text, sizeof(text)) < 0;
}

static void
not_now(void)
{
	must(!serving);
}

static enum aw_err
live(bool starting)
{
	key_serial_t vault;
	int status;

	failing_rest();
	alarm(60);
	must(dup2(memfd_create("notes", 0), NOTES) == NOTES);
	atexit(not_now);
	fresh();
	if (starting) {
		note_it(SHORT);
		failing_go();
	}
	agent_start(&agent);
	failing_rest();
	must(ring_verify(&agent.ring));
	vault = (key_serial_t)keyctl_search(
	    agent.ring.serial, "user", "awsenv:vault", 0);
	must(vault > 0);
	serving = true;
	if (!starting)
		failing_go();
	must(agent_run(&agent) == 0);
	failing_rest();
	serving = false;
	must(nothing_is_left(&agent.ring, vault));
	/* It may have come too late. */
	while (agent.njobs)
		close(agent.jobs[--agent.njobs].fd);
	/* Who is left of those it started ends by itself. */
	while (waitpid(-1, &status, 0) > 0 || errno == EINTR)
		continue;
	return AW_OK;
}

static enum aw_err
start(void)
{
	return live(true);
}

static enum aw_err
run(void)
{
	return live(false);
}

static bool ending; /* the broker is not dead yet when it is looked at */

pid_t __real_waitpid(pid_t pid, int *status, int how);
pid_t __wrap_waitpid(pid_t pid, int *status, int how);
pid_t
__wrap_waitpid(pid_t pid, int *status, int how)
{
	if (ending && how & WNOHANG) {
		ending = false;
		return 0;
	}
	return __real_waitpid(pid, status, how);
}

static enum aw_err
end_children(void)
{
	pid_t spawner;
	int status;

	failing_rest();
	alarm(60);
	must(dup2(memfd_create("notes", 0), NOTES) == NOTES);
	fresh();
	note_it(SHORT);
	agent_start(&agent);
	spawner = agent.spawner.pid;
	ending = true;
	failing_go();
	child_end(&agent);
	failing_rest();
	must(agent.broker.pid == 0 && agent.broker.link < 0);
	own_close(&agent.spawner.link);
	must(waitpid(-1, &status, 0) == spawner && status == 0);
	must(waitpid(-1, &status, 0) < 0 && errno == ECHILD);
	while (agent.njobs)
		close(agent.jobs[--agent.njobs].fd);
	ring_end(&agent.ring);
	return AW_OK;
}

/* As by an exec: with the ring, and what of descriptors is handed over. */
static int
hand_over(void)
{
	int state = state_save(&agent);

	must(state >= 0);
	child_kill(&agent.broker);
	must(waitpid(agent.broker.pid, NULL, 0) == agent.broker.pid);
	child_forget(&agent.broker);
	own_close(&agent.spawner.link);
	must(waitpid(agent.spawner.pid, NULL, 0) == agent.spawner.pid);
	own_close(&agent.signals);
	return state;
}

static enum aw_err
upgrade(void)
{
	struct stat before, now;
	struct ring ring;
	int state;

	failing_rest();
	alarm(60);
	must(dup2(memfd_create("notes", 0), NOTES) == NOTES);
	atexit(not_now);
	fresh();
	note_it(SHORT);
	agent_start(&agent);
	state = hand_over();
	ring = agent.ring;
	must(fstat(agent.audit, &before) == 0);
	agent_init(&agent);
	serving = true;
	failing_go();
	agent_resume(&agent, state);
	failing_rest();
	must(agent.ring.session == ring.session);
	must(agent.ring.serial == ring.serial);
	must(agent.nlisteners == LISTENERS && agent.signals >= 0);
	must(fstat(agent.audit, &now) == 0 && now.st_ino == before.st_ino);
	must(agent_run(&agent) == 0);
	serving = false;
	while (agent.njobs)
		close(agent.jobs[--agent.njobs].fd);
	return AW_OK;
}

/* ---- the tests */

static void
an_agent_starts_well_or_not_at_all(void **state)
{
	static const int errors[] = {ENOMEM, EDQUOT};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(each_fails_apart(start, errors[i], true) > 30);
}

static void
nothing_that_fails_once_ends_an_agent(void **state)
{
	static const int errors[] = {EIO, EAGAIN};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(each_fails_apart(run, errors[i], true) > 60);
}

static void
nor_does_a_want_of_memory_end_one_that_was_upgraded(void **state)
{
	(void)state;
	assert_true(each_fails_apart(upgrade, ENOMEM, true) > 7);
}

static void
its_children_end_with_it(void **state)
{
	static const int errors[] = {ENOMEM, EIO};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(
		    each_fails_apart(end_children, errors[i], true) >= 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_agent_starts_well_or_not_at_all),
	    cmocka_unit_test(nothing_that_fails_once_ends_an_agent),
	    cmocka_unit_test(its_children_end_with_it),
	    cmocka_unit_test(
		nor_does_a_want_of_memory_end_one_that_was_upgraded),
	};

	if (getenv("HOME") && strcmp(getenv("HOME"), BROKER) == 0)
		return be_broker();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
