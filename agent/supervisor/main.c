/* SPDX-License-Identifier: ISC */
/* awsenv-agent: to start, to stop, and what the shell is told of it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awsenv/harden.h"
#include "awsenv/io.h"
#include "awsenv/log.h"
#include "awsenv/own.h"
#include "supervisor.h"

#define ASK_MS 5000

/* Static: the spawner reads it after the fork. */
static struct agent agent;

/*
 * Orphans come to PID 1 and to a subreaper as children, with a child's rights
 * to its parent's keyring. A launcher may have left us the latter mark.
 */
static void
harden(void)
{
	if (harden_process() != 0)
		fatal("cannot harden the process");
	if (prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) != 0)
		fatal("prctl");
	if (getpid() == 1)
		fatalx("the agent must not be process 1: start it below an "
		       "init (docker run --init)");
}

/*
 * What several hosts may have mounted: an agent on another one would hold the
 * lock, or have its socket taken away, and nobody here could ask it.
 */
static bool
is_shared(const char *folder)
{
	static const uint32_t kinds[] = {
	    0x6969,			    /* NFS */
	    0x517b, 0xff534d42, 0xfe534d42, /* SMB, old and new */
	    0x5346414f,			    /* AFS */
	    0x00c36400,			    /* Ceph */
	};
	struct statfs fs;
	size_t i;

	if (statfs(folder, &fs) != 0)
		return false;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if ((uint32_t)fs.f_type == kinds[i])
			return true;
	}
	return false;
}

static void
find_path(const struct options *o, char path[static CLIENT_PATH])
{
	enum aw_err r;

	if (o->bind) {
		snprintf(path, CLIENT_PATH, "%s", o->bind);
		return;
	}
	if ((r = client_dir(path, true)) == AW_SYSTEM)
		fatal("cannot make the directory of the socket");
	if (r != AW_OK)
		fatalx("no runtime directory: XDG_RUNTIME_DIR or /run/user/%lu "
		       "must be a directory of this user with mode 0700; or "
		       "name a socket by -a",
		    (unsigned long)geteuid());
	if (!o->stop && is_shared(path))
		fatalx("%s is on a network file system, which other hosts may "
		       "have, too: set XDG_RUNTIME_DIR to a directory of this "
		       "host alone, or name a socket by -a",
		    path);
	snprintf(
	    path + strlen(path), CLIENT_PATH - strlen(path), "/agent.sock");
}

/* ---- stop ---- */

static enum aw_err
ask_to_stop(const char *path)
{
	AUTOBUF struct buf frame = {0};
	int64_t deadline = io_deadline(ASK_MS);
	AUTOCLOSE int fd = -1;
	struct done_rep rep;
	enum aw_err r;

	if ((r = client_connect(path, &fd, deadline)) != AW_OK)
		return r;
	r = client_ask(fd, "stop@awsenv", MSG_EMPTY, NULL, MSG_DONE_REP, &rep,
	    &frame, deadline);
	/* It may be gone before its answer is. */
	if (r == AW_GONE)
		return AW_OK;
	return r == AW_OK ? (enum aw_err)rep.error : r;
}

/* A pid in the environment may be anybody's by now. */
static bool
is_agent(pid_t pid)
{
	char path[32], name[32] = "";
	AUTOCLOSE int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	return read(fd, name, sizeof(name) - 1) > 0 &&
	    strcmp(name, "awsenv-agent\n") == 0;
}

static int
stop(const struct options *o)
{
	const char *env = getenv("AWSENV_AGENT_PID");
	pid_t pid = env ? (pid_t)strtol(env, NULL, 10) : 0;
	char path[CLIENT_PATH];
	enum aw_err r;

	if (o->bind)
		r = snprintf(path, sizeof(path), "%s", o->bind) > 0 ? AW_OK
								    : AW_CONFIG;
	else
		r = client_path(path);
	if (r == AW_OK && (r = ask_to_stop(path)) == AW_OK) {
		pid = socket_wait_gone(path);
	} else if (pid > 1 && is_agent(pid) && kill(pid, SIGTERM) == 0) {
		r = AW_OK;
	}
	if (r != AW_OK) {
		log_err("cannot stop the agent: %s", aw_strerror(r));
		return 1;
	}
	output_unset(o->csh, pid);
	return 0;
}

/* ---- start ---- */

/* From here on nobody looks at our terminal. */
static void
go_silent(int null)
{
	int fd;

	for (fd = 0; fd <= 2; fd++) {
		if (dup2(null, fd) < 0)
			fatal("/dev/null");
	}
	log_open("awsenv-agent", false, agent.debug);
}

/* To the one who waits for us, or to the terminal. */
static void
report(const struct options *o, const char *path, int ready, pid_t pid)
{
	if (ready < 0)
		output_set(o->csh, path, pid);
	else if (write(ready, &pid, sizeof(pid)) != sizeof(pid))
		log_warn("nobody waits for this agent");
}

static int
serve(const struct options *o, const char *path, int ready)
{
	AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t other;
	enum aw_err r;

	/* Before anybody is told of an agent that would end for that. */
	if (null < 0)
		fatal("/dev/null");
	r = socket_own(&agent, path, &other);
	if (r == AW_BUSY) {
		report(o, path, ready, other);
		return 0;
	}
	if (r != AW_OK)
		return 1;
	agent_start(&agent);
	report(o, path, ready, getpid());
	if (ready >= 0) {
		close(ready);
		go_silent(null);
	}
	own_close(&null);
	return agent_run(&agent);
}

static int
run_command(const struct options *o, const char *path, pid_t pid)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", (int)pid);
	if (setenv("AWSENV_SOCK", path, 1) != 0 ||
	    (pid > 0 && setenv("AWSENV_AGENT_PID", number, 1) != 0))
		fatal("setenv");
	execvp(o->command[0], o->command);
	log_err("%s: %s", o->command[0], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}

/* The command is the parent, as with ssh-agent, so that its exit status and
 * its terminal are its own. Not hardened: that would pass to the command. */
static int
start_daemon(const struct options *o, const char *path)
{
	pid_t pid, served;
	int ready[2];
	ssize_t n;

	if (pipe2(ready, O_CLOEXEC) != 0)
		fatal("pipe");
	if (o->command) {
		agent.command = (int)syscall(SYS_pidfd_open, getpid(), 0);
		if (agent.command < 0)
			fatal("pidfd_open");
	}
	if ((pid = fork()) < 0)
		fatal("fork");
	if (pid == 0) {
		close(ready[0]);
		agent.transient = !o->command;
		if (setsid() < 0 || chdir("/") != 0)
			fatal("cannot leave the terminal");
		harden();
		exit(serve(o, path, ready[1]));
	}
	close(ready[1]);
	if ((n = read(ready[0], &served, sizeof(served))) < 0)
		log_err("cannot hear of the agent: %s", strerror(errno));
	if (n != sizeof(served))
		return 1; /* and if it is nothing, the agent has said why */
	if (served != pid)
		waitpid(pid, NULL, 0); /* there was one already */
	if (o->command)
		return run_command(o, path, served);
	output_set(o->csh, path, served);
	return 0;
}

/* What of our environment counts later, too. */
static void
keep_environment(void)
{
	const char *sock = getenv("SSH_AUTH_SOCK");
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (sock && *sock == '/')
		str_join(agent.ssh_agent, CLIENT_PATH, sock, NULL);
	if (runtime && *runtime == '/')
		str_join(agent.runtime, CLIENT_PATH, runtime, NULL);
	else
		snprintf(agent.runtime, CLIENT_PATH, "/run/user/%lu",
		    (unsigned long)geteuid());
}

static int
start(const struct options *o)
{
	char path[CLIENT_PATH];

	agent.foreground = o->foreground;
	agent.debug = o->debug;
	agent.lifetime = o->lifetime;
	keep_environment();
	switch (socket_activated(&agent)) {
	case 0:
		break;
	case -1:
		fatalx("no socket of the service manager can be used");
	default:
		harden();
		agent.foreground = true;
		agent_start(&agent);
		return agent_run(&agent);
	}
	find_path(o, path);
	if (!o->foreground)
		return start_daemon(o, path);
	harden();
	return serve(o, path, -1);
}

int
main(int argc, char **argv)
{
	struct options o;

	if (harden_stdio() != 0)
		return 1;
	log_open("awsenv-agent", true, false);
	if (!options_parse(argc, argv, &o))
		return 2;
	log_open("awsenv-agent", true, o.debug);
	if (!o.command && harden_process() != 0)
		fatal("cannot harden the process");
	agent_init(&agent);
	if (o.stop)
		return stop(&o);
	if (o.resume < 0)
		return start(&o);
	harden();
	agent_resume(&agent, o.resume);
	return agent_run(&agent);
}
