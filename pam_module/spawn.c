/* SPDX-License-Identifier: ISC */
/*
 * Programs: an agent where no service manager starts one, and a fetcher for a
 * factor. Each as its user and nothing else, in a session of its own, with an
 * environment that is written here. Between fork and exec only what is safe in
 * a process that may have had threads.
 */
#include "pam_module/pam_awsenv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"

#define GROUPS_MOST 65536
#define KEPT_FD LINK_FD
#define STARTER_SECONDS 10 /* one that hangs does not stay for ever */
#define CLOSE_MOST 65536   /* where there is no close_range(2) */

/* All that the child needs, made before the fork. */
struct child {
	const struct passwd *pw;
	const char *program;
	char *path;
	gid_t *groups;
	int ngroups;
	int kept; /* becomes KEPT_FD */
	unsigned int seconds;
	char *env[8];
	int nenv;
	void (*run)(const struct child *);
};

static bool
env_add(struct child *c, const char *name, const char *value)
{
	if (asprintf(&c->env[c->nenv], "%s=%s", name, value) < 0) {
		c->env[c->nenv] = NULL;
		return false;
	}
	c->nenv++;
	return true;
}

static bool
env_build(struct child *c, const struct place *p)
{
	const struct passwd *pw = c->pw;

	return env_add(c, "HOME", pw->pw_dir) &&
	    env_add(c, "USER", pw->pw_name) &&
	    env_add(c, "LOGNAME", pw->pw_name) &&
	    env_add(c, "SHELL", *pw->pw_shell ? pw->pw_shell : "/bin/sh") &&
	    env_add(c, "PATH", "/usr/local/bin:/usr/bin:/bin") &&
	    env_add(c, "LANG", "C.UTF-8") &&
	    (!p->runtime[0] || env_add(c, "XDG_RUNTIME_DIR", p->runtime));
}

static bool
groups_find(struct child *c)
{
	const struct passwd *pw = c->pw;
	gid_t none;
	int n = 0;

	getgrouplist(pw->pw_name, pw->pw_gid, &none, &n); /* how many */
	if (n <= 0 || n > GROUPS_MOST)
		return false;
	if (!(c->groups = calloc((size_t)n, sizeof(gid_t))) ||
	    getgrouplist(pw->pw_name, pw->pw_gid, c->groups, &n) < 0)
		return false;
	c->ngroups = n;
	return true;
}

static void
child_free(struct child *c)
{
	while (c->nenv > 0)
		free(c->env[--c->nenv]);
	free(c->groups);
	free(c->path);
}

/* ---- in the child */

/* For good: root must not come back. In su the real user is the caller. */
static bool
become(const struct child *c)
{
	uid_t uid = c->pw->pw_uid, r, e, s;
	gid_t gid = c->pw->pw_gid;

	if (geteuid() == 0) {
		if (setgroups((size_t)c->ngroups, c->groups) != 0)
			return false;
		if (setresgid(gid, gid, gid) != 0 ||
		    setresuid(uid, uid, uid) != 0)
			return false;
	}
	if (getresuid(&r, &e, &s) != 0 || r != uid || e != uid || s != uid)
		return false;
	return uid == 0 || setresuid(-1U, 0, -1U) != 0;
}

/* Dispositions pass through exec: sshd ignores SIGPIPE, others more. */
static void
signals_reset(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		sigaction(i, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What is left of the host's descriptors would keep its client waiting. */
static bool
descriptors_reset(int kept)
{
	int null = open("/dev/null", O_RDWR), fd;

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0)
		return false;
	if (kept != KEPT_FD && dup2(kept, KEPT_FD) < 0)
		return false;
	if (fcntl(KEPT_FD, F_SETFD, 0) != 0)
		return false;
	if (syscall(SYS_close_range, KEPT_FD + 1, ~0U, 0) != 0) {
		for (fd = KEPT_FD + 1; fd < CLOSE_MOST; fd++)
			close(fd);
	}
	return true;
}

/* It goes to the background by itself, and then its first process ends well:
 * the socket is there. One byte tells how that went. */
static void
run_agent(const struct child *c)
{
	char argv0[] = "awsenv-agent", flag[] = "-a";
	char *argv[] = {argv0, c->path ? flag : NULL, c->path, NULL};
	int status = 0;
	uint8_t told;
	pid_t pid = fork();

	if (pid == 0) {
		close(KEPT_FD);
		alarm(c->seconds); /* passes exec, not fork */
		execve(c->program, argv, c->env);
		_exit(127);
	}
	if (pid < 0)
		_exit(1);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			_exit(1);
	}
	told = WIFEXITED(status) ? (uint8_t)WEXITSTATUS(status) : 128;
	if (write(KEPT_FD, &told, 1) != 1)
		_exit(1);
	_exit(0);
}

/* It ends by itself when the other end of its link does, but if it hangs. */
static void
run_fetch(const struct child *c)
{
	char argv0[] = "awsenv-fetch";
	char *argv[] = {argv0, NULL};

	alarm(c->seconds);
	execve(c->program, argv, c->env);
	_exit(127);
}

static void
child(const struct child *c)
{
	pid_t pid;

	if (setsid() < 0 || (pid = fork()) < 0)
		_exit(1);
	if (pid > 0)
		_exit(0);
	signals_reset();
	if (!become(c) || chdir("/") != 0 || !descriptors_reset(c->kept))
		_exit(1);
	umask(077);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	c->run(c);
}

/* ---- in the host */

/* With SIGCHLD ignored the child would be gone before it is waited for; a
 * handler of the host's must not see it. */
static pid_t
fork_twice(const struct child *c)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL}, old;
	int status;
	pid_t pid;

	if (sigaction(SIGCHLD, &dfl, &old) != 0)
		return -1;
	pid = fork();
	if (pid == 0)
		child(c);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGCHLD, &old, NULL);
	return pid;
}

static enum aw_err
report_read(pam_handle_t *pamh, const char *program, int fd, int64_t deadline)
{
	uint8_t told;
	enum aw_err r = io_read(fd, &told, 1, deadline);

	if (r == AW_OK && told == 0)
		return AW_OK;
	if (r == AW_TIMEOUT)
		pam_syslog(pamh, LOG_ERR, "%s does not get ready", program);
	else if (r == AW_OK && told == 127)
		pam_syslog(pamh, LOG_ERR, "%s cannot be run", program);
	else if (r == AW_OK)
		pam_syslog(pamh, LOG_ERR, "%s ended with status %u", program,
		    (unsigned)told);
	else
		pam_syslog(pamh, LOG_ERR, "%s cannot be started", program);
	return r == AW_TIMEOUT ? r : AW_NOAGENT;
}

enum aw_err
agent_spawn(pam_handle_t *pamh, const struct passwd *pw, const struct place *p,
    const char *program, int64_t deadline)
{
	struct child c = {.pw = pw,
	    .program = program,
	    .seconds = STARTER_SECONDS,
	    .run = run_agent};
	AUTOCLOSE int ours = -1, theirs = -1;
	enum aw_err r = AW_NOMEM;
	int fds[2];

	if (geteuid() != 0 && geteuid() != pw->pw_uid)
		return AW_DENIED; /* nor could it be become */
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
		pam_syslog(pamh, LOG_ERR, "pipe: %s", strerror(errno));
		return AW_SYSTEM;
	}
	ours = fds[0];
	theirs = c.kept = fds[1];
	if (!p->runtime[0])
		c.path = strdup(p->path);
	if (groups_find(&c) && env_build(&c, p) && (p->runtime[0] || c.path)) {
		pid_t pid = fork_twice(&c);

		close(STEAL_FD(theirs));
		if (pid < 0)
			pam_syslog(pamh, LOG_ERR, "fork: %s", strerror(errno));
		r = pid < 0 ? AW_SYSTEM
			    : report_read(pamh, program, ours, deadline);
	}
	child_free(&c);
	return r;
}

enum aw_err
fetch_spawn(pam_handle_t *pamh, const struct passwd *pw, const char *program,
    unsigned int seconds, int *link)
{
	struct child c = {
	    .pw = pw, .program = program, .seconds = seconds, .run = run_fetch};
	AUTOCLOSE int ours = -1, theirs = -1;
	pid_t pid = -1;
	int fds[2];

	if (link_pair(fds) != 0) {
		pam_syslog(pamh, LOG_ERR, "socketpair: %s", strerror(errno));
		return AW_SYSTEM;
	}
	ours = fds[0];
	theirs = fds[1];
	c.kept = theirs;
	if (groups_find(&c) && (pid = fork_twice(&c)) < 0)
		pam_syslog(pamh, LOG_ERR, "fork: %s", strerror(errno));
	child_free(&c);
	if (pid < 0)
		return AW_SYSTEM;
	*link = STEAL_FD(ours);
	return AW_OK;
}
