/* SPDX-License-Identifier: ISC */
/*
 * What the supervisor has for others, with each allocation and each system
 * call failing once in turn: what a re-execution hands over is all of it or
 * none, an agent has its socket and lock or neither, a program is started with
 * what it was to be given or not at all, and a line for the journal arrives
 * there, or that one was lost.
 */
#include "agent/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/failing.h"

static struct agent agent, after;

static void
fresh(struct agent *a)
{
	memset(a, 0, sizeof(*a));
	a->lock = a->command = a->audit = a->ring.vault = -1;
}

/* ---- a state */

static enum aw_err
hand_over(void)
{
	static char tag[sizeof(agent.jobs[0].tag)] = "tag";
	unsigned int i;
	int fd;

	fresh(&agent);
	fresh(&after);
	agent.ring = (struct ring){11, 12, 0};
	/* All are this one: what counts here is what is said of them. */
	for (i = 0; i < 3; i++) {
		struct listener *l = &agent.listeners[agent.nlisteners++];

		snprintf(l->path, sizeof(l->path), "/run/%u", i);
	}
	for (i = 0; i < JOBS_MAX; i++)
		memcpy(agent.jobs[agent.njobs++].tag, tag, sizeof(tag));
	if ((fd = state_save(&agent)) < 0)
		return AW_NOMEM;
	failing_heal();
	must(state_load(&after, fd));
	must(after.nlisteners == 3 && after.njobs == JOBS_MAX);
	for (i = 0; i < 3; i++)
		must(strcmp(after.listeners[i].path, agent.listeners[i].path) ==
		    0);
	for (i = 0; i < JOBS_MAX; i++)
		must(memcmp(after.jobs[i].tag, tag, sizeof(tag)) == 0);
	return AW_OK;
}

static void
a_state_is_handed_over_whole_or_not_at_all(void **state)
{
	(void)state;
	assert_true(each_fails(hand_over, ENOMEM, false) > JOBS_MAX);
	assert_true(each_fails(hand_over, EIO, false) >= 2);
}

/* ---- a socket */

static char folder[] = "/tmp/awsenv-failing.XXXXXX";
static char path[CLIENT_PATH];

/* As an agent that was killed leaves it. */
static void
leave_a_stale_one(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	unlink(path);
	must(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	close(fd);
}

static bool
listens_at(const char *file)
{
	unsigned int i;

	for (i = 0; i < agent.nlisteners; i++) {
		if (strcmp(agent.listeners[i].path, file) == 0)
			return true;
	}
	return false;
}

/* Nor is one left that nobody listens at. */
static void
must_listen_beside(void)
{
	static const char *const names[] = {"forward", "remote"};
	char file[CLIENT_PATH];
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(file, sizeof(file), "%s/%s.sock", folder, names[i]);
		must(listens_at(file) == (access(file, F_OK) == 0));
	}
}

static enum aw_err
own(void)
{
	pid_t other;
	enum aw_err r;

	fresh(&agent);
	r = socket_own(&agent, path, &other);
	must_listen_beside();
	if (r != AW_OK) {
		must(agent.nlisteners == 0 && agent.lock < 0);
		return r;
	}
	must(agent.nlisteners >= 1 && agent.lock >= 0);
	must(strcmp(agent.listeners[0].path, path) == 0);
	return AW_OK;
}

static void
disown(void)
{
	socket_end(&agent);
	own_close(&agent.lock);
}

static enum aw_err
own_a_socket(void)
{
	enum aw_err r;

	failing_rest();
	leave_a_stale_one();
	failing_go();
	if ((r = own()) == AW_OK)
		disown();
	/* Whatever came of it, the next start is a good one. */
	failing_rest();
	must(own() == AW_OK && agent.nlisteners == 3);
	disown();
	failing_go();
	return r;
}

static void
an_agent_has_its_socket_or_the_next_has(void **state)
{
	static const int errors[] = {EIO, ENOLCK, EMFILE, ENOSPC};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		/* It does without the sockets beside its own. */
		assert_true(each_fails(own_a_socket, errors[i], true) > 9);
}

/* It is told of the one that answers there, which keeps all that it has. */
static enum aw_err
find_one_there(void)
{
	static struct agent second;
	struct stat before, now;
	pid_t other = -1;
	enum aw_err r;

	failing_rest();
	must(own() == AW_OK && stat(path, &before) == 0);
	failing_go();
	fresh(&second);
	r = socket_own(&second, path, &other);
	failing_rest();
	must(r != AW_OK && second.nlisteners == 0 && second.lock < 0);
	must(r != AW_BUSY || other == getpid() || other == 0);
	must(stat(path, &now) == 0 && now.st_ino == before.st_ino);
	disown();
	failing_go();
	return r == AW_BUSY ? AW_OK : r;
}

static void
an_agent_that_is_there_stays(void **state)
{
	static const int errors[] = {EIO, EMFILE};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(each_fails(find_one_there, errors[i], true) > 5);
}

/* ---- a program */

static enum aw_err
start_a_program(void)
{
	static char program[] = "/bin/true";
	char *const env[] = {NULL};
	pid_t pid = -1;
	int status;

	if (exec_start(program, env, STDERR_FILENO, true, &pid) != 0) {
		must(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
		return AW_SYSTEM;
	}
	must(waitpid(pid, &status, 0) == pid && status == 0);
	return AW_OK;
}

static void
a_program_has_what_it_was_to_be_given_or_is_not_started(void **state)
{
	(void)state;
	assert_int_equal(each_fails(start_a_program, ENOMEM, false), 5);
}

/* ---- the journal */

#define LINES 3

static struct audit *lines;
static int collector = -1;
static char collects[CLIENT_PATH];

/* Those that arrived, and those of which one says that they did not. */
static uint64_t
collected(void)
{
	static const char lost[] = "AWSENV_LOST=";
	char text[4096], *at;
	uint64_t n = 0;
	ssize_t size;

	while ((size = recv(collector, text, sizeof(text) - 1, MSG_DONTWAIT)) >
	    0) {
		text[size] = '\0';
		at = strstr(text, lost);
		n += at ? strtoull(at + strlen(lost), NULL, 10) : 1;
	}
	return n;
}

static enum aw_err
write_lines(void)
{
	const struct audit_line line = {.request = "creds@awsenv"};
	struct journal j;
	int i;

	failing_rest();
	journal_open(&j, lines, collects, "/nowhere");
	for (i = 0; i < LINES; i++)
		audit_add(lines, &line);
	failing_go();
	journal_write(&j);
	failing_rest();
	if (j.due || j.full)
		journal_write(&j);
	must(collected() == LINES && audit_written(lines) == audit_next(lines));
	own_close(&j.fd);
	failing_go();
	return AW_OK;
}

static void
a_line_arrives_or_is_told_to_be_lost(void **state)
{
	static const int errors[] = {ENOMEM, EMFILE, EAGAIN, ENOBUFS, EMSGSIZE};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = audit_make();
	size_t i;

	(void)state;
	lines = audit_map(fd);
	assert_non_null(lines);
	snprintf(collects, sizeof(collects), "%s/journal", folder);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", collects);
	collector = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(
	    bind(collector, (struct sockaddr *)&at, sizeof(at)), 0);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(
		    each_fails(write_lines, errors[i], true) >= 2 + LINES);
	close(collector);
	close(fd);
	unlink(collects);
}

static int
begin(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/agent.sock", folder);
	umask(0177);
	return 0;
}

static int
end(void **state)
{
	char name[CLIENT_PATH + sizeof(".lock")];

	(void)state;
	snprintf(name, sizeof(name), "%s.lock", path);
	unlink(name);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_state_is_handed_over_whole_or_not_at_all),
	    cmocka_unit_test(an_agent_has_its_socket_or_the_next_has),
	    cmocka_unit_test(an_agent_that_is_there_stays),
	    cmocka_unit_test(a_line_arrives_or_is_told_to_be_lost),
	    cmocka_unit_test(
		a_program_has_what_it_was_to_be_given_or_is_not_started),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
