/* SPDX-License-Identifier: ISC */
/*
 * The loop. It sleeps until somebody dies, says something or sends a signal;
 * with a broker that runs there is no timer at all.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "awsenv/log.h"

#define BLIND_MS 100
#define CLIENTS 4096 /* descriptors wanted for a broker with many clients */

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};

void
agent_init(struct agent *a)
{
	*a = (struct agent){
	    .lock = -1,
	    .command = -1,
	    .audit = -1,
	    .ring.vault = -1,
	    .signals = -1,
	    .broker.link = -1,
	    .spawner.link = -1,
	};
}

/* Whoever started us may have them ignored (nohup): then none would arrive. */
static void
take_signals(struct agent *a)
{
	unsigned int tries = 0;
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		signal(signals[i], SIG_DFL);
		sigaddset(&set, signals[i]);
	}
	sigprocmask(SIG_SETMASK, &set, NULL);
	while (
	    (a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0) {
		if (!memory_wait(&tries))
			fatal("signalfd");
	}
}

/* A broker's clients are descriptors, and it inherits the limit. */
static void
raise_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= CLIENTS)
		return;
	r.rlim_cur = r.rlim_max < CLIENTS ? r.rlim_max : CLIENTS;
	setrlimit(RLIMIT_NOFILE, &r);
}

/* One that another version made, and that we cannot read, is left. */
static void
audit_ready(struct agent *a)
{
	unsigned int tries = 0;

	do {
		errno = 0;
		if (a->audit >= 0 && audit_is(a->audit))
			return;
	} while (memory_wait(&tries));
	if (a->audit >= 0)
		close(a->audit);
	while ((a->audit = audit_make()) < 0) {
		if (!memory_wait(&tries))
			fatal("memfd_create");
	}
}

void
agent_start(struct agent *a)
{
	a->started = (uint64_t)time(NULL);
	program_find_all(a);
	take_signals(a);
	audit_ready(a);
	child_start_due(a);
	raise_limit();
	ring_guard();
	ring_make(&a->ring);
	sandbox_enter(); /* and it stays through a re-execution */
	child_start_due(a);
}

/* Our session keyring came through exec, and so did every descriptor. */
void
agent_resume(struct agent *a, int state)
{
	take_signals(a);
	if (!state_load(a, state))
		fatalx("what the earlier version left is not understood: "
		       "start the agent again and log in");
	log_open("awsenv-agent", a->foreground, a->debug);
	log_info(
	    "version %s goes on for version %s", AWSENV_VERSION, a->before);
	program_find_all(a);
	audit_ready(a);
	ring_guard();
	if (!ring_verify(&a->ring))
		fatalx("somebody changed the session keyring during the "
		       "upgrade: start the agent again and log in");
}

/* ---- upgrade ---- */

static void
pass_on(int fd, bool pass)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, pass ? 0 : FD_CLOEXEC);
}

static void
pass_all(const struct agent *a, int state, bool pass)
{
	unsigned int i;

	pass_on(state, pass);
	pass_on(a->lock, pass);
	pass_on(a->command, pass);
	pass_on(a->audit, pass);
	pass_on(a->ring.vault, pass);
	for (i = 0; i < a->nlisteners; i++)
		pass_on(a->listeners[i].fd, pass);
	for (i = 0; i < a->njobs; i++)
		pass_on(a->jobs[i].fd, pass);
}

static void
exec_self(struct agent *a, int state)
{
	static char name[] = "awsenv-agent", option[] = "-R", lang[] = "LANG=C";
	char number[16];
	char *argv[] = {name, option, number, NULL};
	char *env[] = {a->home, lang, NULL};

	snprintf(number, sizeof(number), "%d", state);
	pass_all(a, state, true);
	execve(a->self, argv, env);
	pass_all(a, state, false);
	log_err("cannot execute %s: %s", a->self, strerror(errno));
}

/*
 * The broker goes, its state is in the ring; the spawner sees its link close,
 * and leaves its programs alone. Comes back only on failure, and then both are
 * started again by this image.
 */
static void
reexecute(struct agent *a, bool *stop)
{
	int state;

	if (a->broker.pid) {
		child_kill(&a->broker);
		waitpid(a->broker.pid, NULL, 0);
		child_read_broker(a, stop);
		child_forget(&a->broker);
		a->restarts++;
	}
	child_read_spawner(a);
	if ((state = state_save(a)) < 0) {
		log_err("cannot save the state: %s", strerror(errno));
		return;
	}
	exec_self(a, state);
	close(state);
}

/* exec makes a readable program dumpable, and us with all that we possess. */
static bool
may_reexecute(const struct agent *a)
{
	return program_protected(a->self) &&
	    program_protected(a->broker_path) &&
	    program_protected(a->profile_path) &&
	    program_protected(a->fetch_path);
}

static void
on_hangup(struct agent *a, bool *stop)
{
	if (may_reexecute(a)) {
		log_info("re-executing %s", a->self);
		reexecute(a, stop);
		return;
	}
	log_warn("SIGHUP: not re-executing, since this user could read or "
		 "replace our programs (same-user protection is off); "
		 "restarting the broker only");
	child_kill(&a->broker);
}

/* A broker of another version was installed. */
static void
on_stale(struct agent *a, bool *stop)
{
	a->stale = false;
	if (may_reexecute(a)) {
		log_info("the broker is of another version: re-executing");
		reexecute(a, stop);
		return;
	}
	log_err("%s is of another version than this agent, which cannot "
		"re-execute itself here: end it and start it again",
	    a->broker_path);
}

/* ---- the loop ---- */

static void
on_signal(struct agent *a, uint32_t signo, bool *stop)
{
	switch (signo) {
	case SIGTERM:
	case SIGINT:
		*stop = true;
		break;
	case SIGHUP:
		on_hangup(a, stop);
		break;
	case SIGUSR1:
		child_tell(a, LINK_DROP);
		break;
	default:
		break; /* SIGCHLD: the loop looks anyway */
	}
}

static void
read_signals(struct agent *a, bool *stop)
{
	struct signalfd_siginfo info;

	while (read(a->signals, &info, sizeof(info)) == sizeof(info))
		on_signal(a, info.ssi_signo, stop);
}

int
agent_run(struct agent *a)
{
	bool stop = false;
	int code = 0;

	while (!stop && !code) {
		if (a->stale && !a->broker.pid &&
		    a->broker.due <= child_clock())
			on_stale(a, &stop);
		child_start_due(a);
		struct pollfd p[] = {
		    {a->signals, POLLIN, 0},
		    {a->spawner.link, POLLIN, 0},
		    {a->broker.link, POLLIN, 0},
		    {a->command, POLLIN, 0},
		};
		/* With us all logins would end: who cannot be waited for is
		 * looked at now and then. */
		if (poll(p, 4, child_wait_ms(a)) < 0 && errno != EINTR)
			usleep(BLIND_MS * 1000);
		read_signals(a, &stop);
		child_read_broker(a, &stop);
		if (a->alone && a->transient) {
			log_info("the last session has ended");
			stop = true;
		}
		a->alone = false;
		code = child_reap(a, &stop);
		if (a->command >= 0 && p[3].revents)
			stop = true;
	}
	if (code)
		log_err("the broker found a keyring that is not ours: somebody "
			"interferes; ending");
	socket_end(a);
	child_end(a);
	ring_end(&a->ring);
	return code;
}
