/* SPDX-License-Identifier: ISC */
/* Which program a process is: what the spawner sees of real ones. */
#include "agent/supervisor/supervisor.h"

#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"

static char top[64], ssh[96];

/* A copy of cat(1) that is called ssh, with that at its end. */
static void
make_ssh(const char *more)
{
	char command[256];

	unlink(ssh);
	snprintf(command, sizeof(command),
	    "cp /bin/cat %s && printf '%%s' '%s' >>%s", ssh, more, ssh);
	assert_int_equal(system(command), 0);
}

static int
begin(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/var/tmp/awsenv-test-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(ssh, sizeof(ssh), "%s/ssh", top);
	return 0;
}

static int
end(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

/* Runs until its standard input closes: *in, or with a terminal of its own. */
static pid_t
run(const char *path, int *in, bool terminal)
{
	struct seen seen;
	int fd[2];
	pid_t pid;

	if (terminal) {
		pid = forkpty(in, NULL, NULL, NULL);
	} else {
		assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
		pid = fork();
		*in = fd[1];
	}
	if (pid == 0) {
		if (!terminal)
			dup2(fd[0], 0);
		execl(path, path, NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	if (!terminal)
		close(fd[0]);
	do
		look_at_process(pid, 0, &seen);
	while (strcmp(seen.program, path) != 0);
	return pid;
}

static void
stop(pid_t pid, int in)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(in);
}

static void
a_process_is_told_by_program_parents_and_folder(void **state)
{
	AUTOFREE char *self = realpath("/proc/self/exe", NULL);
	char folder[4096], name[16];
	struct seen seen;
	size_t n;

	(void)state;
	look_at_process(getpid(), 0, &seen);
	assert_true(seen.flags == SEEN_THERE);
	assert_true(seen.began > 0);
	n = strlen(self) < sizeof(seen.program) ? 0 : strlen(self) - 127;
	assert_string_equal(seen.program, self + n);
	snprintf(name, sizeof(name), "%s", strrchr(self, '/') + 1);
	assert_memory_equal(seen.parents, name, strlen(name));
	assert_non_null(strstr(seen.parents, " < "));
	assert_non_null(getcwd(folder, sizeof(folder)));
	n = strlen(folder) < sizeof(seen.folder) ? 0 : strlen(folder) - 127;
	assert_string_equal(seen.folder, folder + n);
}

static void
what_is_gone_is_not_there(void **state)
{
	struct seen seen;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	look_at_process(pid, LOOK_TERMINAL, &seen);
	assert_int_equal(seen.flags, 0);
	assert_string_equal(seen.program, "");
	look_at_process(0, 0, &seen);
	assert_int_equal(seen.flags, 0);
	look_at_process(-1, 0, &seen);
	assert_int_equal(seen.flags, 0);
}

static void
an_ssh_that_binds_has_the_message_in_it(void **state)
{
	struct seen seen;
	pid_t pid;
	int in;

	(void)state;
	make_ssh("");
	pid = run(ssh, &in, false);
	look_at_process(pid, 0, &seen);
	assert_int_equal(seen.flags, SEEN_THERE | SEEN_SSH);
	stop(pid, in);
	make_ssh("session-bind@openssh.com");
	pid = run(ssh, &in, false);
	look_at_process(pid, 0, &seen);
	assert_int_equal(seen.flags, SEEN_THERE | SEEN_SSH | SEEN_BINDS);
	/* One that was replaced while it runs is still what it was. */
	make_ssh("");
	look_at_process(pid, 0, &seen);
	assert_int_equal(seen.flags, SEEN_THERE | SEEN_SSH | SEEN_BINDS);
	stop(pid, in);
}

static void
the_ssh_of_this_machine_binds(void **state)
{
	struct seen seen;
	pid_t pid;
	int in[2], out[2];

	(void)state;
	if (access("/usr/bin/ssh", X_OK) != 0)
		skip();
	/* One that waits for its proxy to say something, whose end stays. */
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	if ((pid = fork()) == 0) {
		dup2(in[0], 0);
		execl("/usr/bin/ssh", "ssh", "-F", "none", "-o",
		    "ProxyCommand=cat 3>&1 >&2", "nowhere.invalid", NULL);
		_exit(127);
	}
	do
		look_at_process(pid, 0, &seen);
	while (strcmp(seen.program, "/usr/bin/ssh") != 0);
	assert_int_equal(seen.flags, SEEN_THERE | SEEN_SSH | SEEN_BINDS);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
}

static void
an_ssh_on_the_same_terminal_is_seen_if_asked_for(void **state)
{
	struct seen seen;
	pid_t alone, both;
	int in, other;

	(void)state;
	make_ssh("");
	alone = run("/usr/bin/cat", &in, true);
	look_at_process(alone, LOOK_TERMINAL, &seen);
	assert_int_equal(seen.flags, SEEN_THERE);
	assert_int_not_equal(seen.terminal, 0);
	both = run(ssh, &other, true);
	look_at_process(both, LOOK_TERMINAL, &seen);
	assert_int_equal(seen.flags, SEEN_THERE | SEEN_SSH | SEEN_SSH_BESIDE);
	look_at_process(both, 0, &seen);
	assert_int_equal(seen.flags, SEEN_THERE | SEEN_SSH);
	/* That one is on another terminal. */
	look_at_process(alone, LOOK_TERMINAL, &seen);
	assert_int_equal(seen.flags, SEEN_THERE);
	stop(alone, in);
	stop(both, other);
}

static void
names_cannot_write_to_a_terminal(void **state)
{
	char evil[128], command[300];
	struct seen seen;
	pid_t pid;
	int in;

	(void)state;
	snprintf(evil, sizeof(evil), "%s/e\033]0;x\nl (y", top);
	snprintf(command, sizeof(command), "cp /bin/cat '%s'", evil);
	assert_int_equal(system(command), 0);
	in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if ((pid = fork()) == 0) {
		int fd[2];

		if (pipe(fd) == 0)
			dup2(fd[0], 0);
		execl(evil, "cat", NULL);
		_exit(127);
	}
	do
		look_at_process(pid, 0, &seen);
	while (!strstr(seen.program, "l (y"));
	assert_non_null(strstr(seen.program, "/e?]0;x?l (y"));
	assert_memory_equal(seen.parents, "e?]0;x?l (y < ", 14);
	stop(pid, in);
}

static void
a_session_is_the_one_that_logind_made(void **state)
{
	static const struct {
		const char *cgroup; /* %u: the user */
		const char *session;
	} cases[] = {
	    {"0::/user.slice/user-%u.slice/session-3.scope\n", "3"},
	    {"0::/user.slice/user-%u.slice/session-c12.scope/job\n", "c12"},
	    {"1:name=systemd:/user.slice/user-%u.slice/session-4.scope\n0::/\n",
		"4"},
	    {"0::/user.slice/user-%u.slice/user@%u.service/app.slice/x.scope\n",
		""},
	    /* The user's own manager lets him make what he likes. */
	    {"0::/user.slice/user-%u.slice/user@%u.service/user-%u.slice/"
	     "session-3.scope\n",
		""},
	    {"0::/user.slice/user-%u.slice/session-3.service\n", ""},
	    {"0::/user.slice/user-%u.slice/session-../3.scope\n", ""},
	    {"0::/user.slice/user-%u.slice/"
	     "session-0123456789012345678901234567890123456789.scope\n",
		""},
	    {"0::/user.slice/user-1%u.slice/session-3.scope\n", ""},
	    {"0::/\n", ""},
	    {"", ""},
	};
	char text[512], session[32] = "old";
	unsigned int uid = (unsigned int)geteuid();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), cases[i].cgroup, uid, uid, uid);
#pragma GCC diagnostic pop
		look_at_session(text, session, sizeof(session));
		assert_string_equal(session, cases[i].session);
	}
}

static void
a_fork_is_as_old_as_what_it_was_forked_from(void **state)
{
	struct seen self, child;
	int in[2];
	pid_t pid;

	(void)state;
	look_at_process(getpid(), LOOK_PLACE, &self);
	assert_int_equal(pipe(in), 0);
	if ((pid = fork()) == 0) {
		close(in[1]);
		_exit((int)read(in[0], &child, 1));
	}
	look_at_process(pid, LOOK_PLACE, &child);
	assert_true(child.forked == self.began && child.forked > 0);
	look_at_process(pid, 0, &child);
	assert_true(child.forked == 0);
	close(in[1]);
	waitpid(pid, NULL, 0);
	close(in[0]);
	/* Another program, in a process of the same parent, is none. */
	make_ssh("");
	pid = run(ssh, &in[1], false);
	look_at_process(pid, LOOK_PLACE, &child);
	assert_true(child.forked == 0);
	stop(pid, in[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
	    T(a_process_is_told_by_program_parents_and_folder),
	    T(what_is_gone_is_not_there),
	    T(an_ssh_that_binds_has_the_message_in_it),
	    T(the_ssh_of_this_machine_binds),
	    T(an_ssh_on_the_same_terminal_is_seen_if_asked_for),
	    T(names_cannot_write_to_a_terminal),
	    T(a_session_is_the_one_that_logind_made),
	    T(a_fork_is_as_old_as_what_it_was_forked_from),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
