/* SPDX-License-Identifier: ISC */
/*
 * Starting and stopping the agent. Any number of us may start one at a time:
 * the agent takes a lock, and the one that came too late ends well.
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
#define STOP_MS 5000

extern char **environ;

/* An agent outlives the shell that happened to start it: of its environment
 * it gets what says who and where the person is. */
static const char *const passed[] = {"HOME", "USER", "LOGNAME", "PATH",
    "XDG_RUNTIME_DIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ", NULL};

static void
env_build(char **out)
{
	size_t i, n = 0;
	char **e;

	for (i = 0; passed[i]; i++) {
		for (e = environ; *e; e++) {
			size_t len = strlen(passed[i]);

			if (!strncmp(*e, passed[i], len) && (*e)[len] == '=') {
				out[n++] = *e;
				break;
			}
		}
	}
	out[n] = NULL;
}

/* Beside this program (a build tree, or both in BINDIR), else where it was
 * installed. */
static void
program_exec(char *const *env)
{
	static char name[] = "awsenv-agent";
	char *const argv[] = {name, NULL};
	char path[PATH_MAX];
	ssize_t n =
	    readlink("/proc/self/exe", path, sizeof(path) - sizeof(name));
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		if ((slash = strrchr(path, '/'))) {
			strcpy(slash + 1, name);
			execve(path, argv, env);
		}
	}
#ifdef AWSENV_BINDIR
	execve(AWSENV_BINDIR "/awsenv-agent", argv, env);
#endif
	execve(AWSENV_LIBEXECDIR "/awsenv-agent", argv, env);
	warn("cannot start awsenv-agent: %s", strerror(errno));
	_exit(EXIT_NOTFOUND);
}

static void
child_run(void)
{
	char *env[sizeof(passed) / sizeof(passed[0])];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* It speaks ssh-agent's shell lines on standard output. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0)
		_exit(EXIT_OTHER);
	signal(SIGPIPE, SIG_DFL);
	env_build(env);
	program_exec(env);
}

/* Until the agent has gone into the background, or another one runs. */
static enum aw_err
program_run(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0) {
		warn("cannot start awsenv-agent: %s", strerror(errno));
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
		    r == AW_SYSTEM ? strerror(errno) : aw_strerror(r));
	return r;
}

static int
start(void)
{
	struct agent a;
	enum aw_err r = agent_open(&a, AGENT_START_HERE);

	if (r == AW_OK)
		say("agent on %s\n", shown(view_str(a.path)));
	agent_close(&a);
	return exit_of(r);
}

static int
stop(void)
{
	AUTOBUF struct buf frame = {0};
	struct done_rep rep;
	struct agent a;
	enum aw_err r;
	char byte;

	if ((r = agent_open(&a, AGENT_AS_IS)) == AW_OK)
		r = agent_ask(&a, "stop@awsenv", MSG_EMPTY, NULL, MSG_DONE_REP,
		    &rep, &frame, STOP_MS);
	if (r == AW_OK && rep.error != AW_OK)
		r = complain(NULL, rep.error, rep.text);
	/* When the connection ends, so has every key. */
	if (r == AW_OK &&
	    io_read(a.fd, &byte, 1, io_deadline(STOP_MS)) == AW_TIMEOUT) {
		warn("the agent was told to stop, but still runs");
		r = AW_TIMEOUT;
	}
	agent_close(&a);
	return exit_of(r);
}

static int
is_running(void)
{
	AUTOBUF struct buf frame = {0}, out = {0};
	struct status_req req = {0};
	struct status_rep rep;
	struct agent a;
	enum aw_err r;

	req.ask.stamp.mtime = STAMP_UNKNOWN;
	if ((r = agent_open(&a, AGENT_AS_IS)) == AW_OK)
		r = agent_ask(&a, "status@awsenv", MSG_STATUS_REQ, &req,
		    MSG_STATUS_REP, &rep, &frame, STOP_MS);
	if (r == AW_OK && rep.error != AW_OK)
		r = complain(NULL, rep.error, rep.text);
	if (r == AW_OK) {
		text_add(&out, "awsenv-agent %s, pid %u, on %s\n",
		    shown(rep.version), rep.agent_pid, shown(view_str(a.path)));
		r = text_print(&out) ? AW_OK : AW_SYSTEM;
	}
	agent_close(&a);
	return exit_of(r);
}

int
agent_verb(const struct options *o, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} words[] = {{"start", start}, {"stop", stop}, {"status", is_running}};
	size_t i;

	(void)o;
	for (i = 0; *argv && !argv[1] && i < sizeof(words) / sizeof(words[0]);
	     i++) {
		if (!strcmp(*argv, words[i].name))
			return words[i].run();
	}
	warn("awsenv agent takes one of: start, stop, status");
	return EXIT_USAGE;
}
