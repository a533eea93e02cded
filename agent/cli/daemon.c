/* SPDX-License-Identifier: ISC */
/*
 * Starting the agent. Any number of us may start one at a time: the agent takes
 * a lock, and the one that came too late ends well.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define START_MS 5000

extern char **environ;

/* An agent outlives the shell that happened to start it: of its environment
 * it gets what says who and where the person is. */
static const char passed[] =
    "HOME\0USER\0LOGNAME\0PATH\0XDG_RUNTIME_DIR\0SSH_AUTH_SOCK\0LANG\0"
    "LC_ALL\0TZ\0";
#define PASSED_MOST 10

static void
env_build(char **out)
{
	const char *name;
	char **e;

	for (name = passed; *name; name += strlen(name) + 1) {
		size_t len = strlen(name);

		for (e = environ; *e; e++) {
			if (!strncmp(*e, name, len) && (*e)[len] == '=') {
				*out++ = *e;
				break;
			}
		}
	}
	*out = NULL;
}

static void
child_run(void)
{
	static char name[] = "awsenv-agent";
	char *env[PASSED_MOST];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* It speaks ssh-agent's shell lines on standard output. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0)
		_exit(EXIT_OTHER);
	signal(SIGPIPE, SIG_DFL);
	env_build(env);
	program_exec(name, (char *[]){name, NULL}, env);
	warn("cannot start awsenv-agent: %s", errno_text());
	_exit(EXIT_NOTFOUND);
}

/* Until the agent has gone into the background, or another one runs. */
static enum aw_err
program_run(void)
{
	pid_t pid = child_fork(SIGCHLD);
	int status;

	if (pid < 0) {
		warn("cannot start awsenv-agent: %s", errno_text());
		return AW_SYSTEM;
	}
	if (pid == 0)
		child_run();
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return AW_SYSTEM;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return AW_OK;
	if (WIFSIGNALED(status))
		warn("awsenv-agent was killed by signal %d", WTERMSIG(status));
	else
		warn("awsenv-agent did not start");
	return AW_NOAGENT;
}

enum aw_err
daemon_start(struct agent *a)
{
	int64_t deadline = io_deadline(START_MS);
	enum aw_err r;

	if ((r = program_run()) != AW_OK)
		return r == AW_SYSTEM ? r : AW_NOAGENT;
	for (;;) {
		r = client_path(a->path);
		if (r == AW_OK)
			r = client_connect(a->path, &a->fd, deadline);
		if (r != AW_NOAGENT || io_deadline(0) >= deadline)
			break;
		poll(NULL, 0, 10);
	}
	if (r != AW_OK)
		warn("an agent was started, but cannot be reached: %s",
		    error_text(r));
	return r;
}
