/* SPDX-License-Identifier: ISC */
/*
 * The two processes that the supervisor keeps alive. A broker is given all
 * that its predecessor had: the ring, the sockets, the jobs under way.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/log.h"
#include "awsenv/own.h"

#define LONG_MS 10000 /* who lived so long did not fail at its start */
#define FREE_TRIES 5  /* so many restarts come at once */
#define STEP_MS 20    /* then each waits so much longer */
#define MOST_MS 1000
#define END_MS 2000

int64_t
child_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
child_kill(struct child *c)
{
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
}

void
child_forget(struct child *c)
{
	int64_t now = child_clock(), wait = 0;

	c->quick = now - c->began >= LONG_MS ? 0 : c->quick + 1;
	if (c->quick > FREE_TRIES)
		wait = (int64_t)(c->quick - FREE_TRIES) * STEP_MS;
	c->due = now + (wait < MOST_MS ? wait : MOST_MS);
	c->pid = 0;
	if (c->link >= 0)
		close(c->link);
	c->link = -1;
}

/* ---- jobs ---- */

static void
job_drop(struct agent *a, int32_t pid)
{
	unsigned int i;

	for (i = 0; i < a->njobs; i++) {
		if (a->jobs[i].pid != pid)
			continue;
		close(a->jobs[i].fd);
		a->jobs[i] = a->jobs[--a->njobs];
		return;
	}
}

static void
job_keep(struct agent *a, const struct link *l)
{
	struct job *j;

	job_drop(a, l->pid); /* a pid that comes again is another process */
	if (a->njobs == JOBS_MAX) {
		log_warn("more than %d jobs: process %d ends with the broker",
		    JOBS_MAX, l->pid);
		close(l->fds[0]);
		return;
	}
	j = &a->jobs[a->njobs++];
	j->pid = l->pid;
	j->fd = l->fds[0];
	memcpy(j->tag, l->tag, sizeof(j->tag));
}

static void
tell(struct agent *a, enum link_type type)
{
	const struct link l = {.type = type};

	if (a->greeted)
		link_send(a->broker.link, &l);
}

/* What it died over is for the next one. */
static void
tell_owed(struct agent *a)
{
	static const enum link_type types[] = {LINK_DROP, LINK_LOGOUT};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (a->owed & 1u << types[i])
			tell(a, types[i]);
	}
}

void
child_tell(struct agent *a, enum link_type type)
{
	a->owed |= 1u << type;
	tell(a, type);
}

static void
end_logins(struct agent *a)
{
	log_info("the last session has ended: logging out");
	child_tell(a, LINK_LOGOUT);
}

void
child_read_spawner(struct agent *a)
{
	enum aw_err r = AW_BUSY;
	struct link l;

	while (a->spawner.link >= 0 &&
	    (r = link_recv(a->spawner.link, &l)) == AW_OK) {
		if (l.type == LINK_SPAWNED && l.nfds == 1) {
			job_keep(a, &l);
			continue;
		}
		if (l.type == LINK_OVER)
			job_drop(a, l.pid);
		else if (l.type == LINK_START && a->ring.session)
			ring_reserve(&a->ring);
		else if (l.type == LINK_ALONE && a->logout_last)
			end_logins(a);
		else if (l.type == LINK_ALONE_STILL)
			a->alone = true;
		while (l.nfds > 0)
			close(l.fds[--l.nfds]);
	}
	if (r != AW_BUSY)
		child_kill(&a->spawner);
}

static void
open_socket(struct agent *a, struct link *asked)
{
	struct link l = {.type = LINK_LISTENER};

	asked->text[sizeof(asked->text) - 1] = '\0';
	memcpy(l.text, asked->text, sizeof(l.text));
	l.error = socket_open(a, l.text, &l.fds[0]);
	l.nfds = l.error == 0;
	/* A broker that does not hear of it is one that ends. */
	if (link_send(a->broker.link, &l) != AW_OK && l.nfds)
		child_kill(&a->broker);
}

void
child_read_broker(struct agent *a, bool *stop)
{
	enum aw_err r = AW_BUSY;
	struct link l;

	child_read_spawner(a);
	while (a->broker.link >= 0 &&
	    (r = link_recv(a->broker.link, &l)) == AW_OK) {
		if (l.type == LINK_OVER)
			job_drop(a, l.pid);
		else if (l.type == LINK_STOP)
			*stop = true;
		else if (l.type == LINK_LAST)
			a->logout_last = true;
		else if (l.type == LINK_DID)
			a->owed &= ~l.flags;
		else if (l.type == LINK_OPEN)
			open_socket(a, &l);
		else if (l.type == LINK_CLOSE &&
		    memchr(l.text, 0, sizeof(l.text)))
			socket_close(a, l.text);
		while (l.nfds > 0)
			close(l.fds[--l.nfds]);
	}
	if (r == AW_PROTO)
		a->stale = true;
	if (r != AW_BUSY)
		child_kill(&a->broker);
}

/* ---- starting ---- */

static void
start_spawner(struct agent *a)
{
	int pair[2];
	pid_t pid;

	a->spawner.began = child_clock();
	if (link_pair(pair) != 0) {
		log_err("socketpair: %s", strerror(errno));
		child_forget(&a->spawner);
		return;
	}
	if (a->ring.session)
		ring_release(&a->ring);
	if ((pid = fork()) == 0)
		spawner_run(a, pair[1]);
	close(pair[1]);
	a->spawner.link = pair[0];
	if (pid < 0) {
		log_err("fork: %s", strerror(errno));
		child_forget(&a->spawner);
		return;
	}
	a->spawner.pid = pid;
}

/* LINK_HELLO, with a link of its own between the new broker and the spawner. */
static enum aw_err
send_hello(struct agent *a)
{
	AUTOCLOSE int ours = -1, theirs = -1, users = -1;
	struct link l = {.type = LINK_BROKER, .nfds = 1};
	enum aw_err r;
	int pair[2];

	if (link_pair(pair) != 0)
		return AW_SYSTEM;
	theirs = pair[0];
	ours = pair[1];
	l.fds[0] = theirs;
	if ((r = link_send(a->spawner.link, &l)) != AW_OK)
		return r;
	users = open("/proc/key-users", O_RDONLY | O_CLOEXEC);
	l = (struct link){
	    .type = LINK_HELLO,
	    .ring = a->ring.serial,
	    .session = a->ring.session,
	    .started = a->started,
	    .restarts = a->restarts,
	    .flags = (a->protected ? LINK_PROTECTED : 0) |
		(a->foreground ? LINK_FOREGROUND : 0) |
		(a->debug ? LINK_DEBUG : 0),
	    .lifetime = (int32_t)a->lifetime,
	    .fds = {ours, a->audit, a->ring.vault, users},
	    .nfds = users < 0 ? 3 : 4,
	};
	return link_send(a->broker.link, &l);
}

static enum aw_err
send_rest(struct agent *a)
{
	struct link l;
	enum aw_err r;
	unsigned int i;

	for (i = 0; i < a->nlisteners; i++) {
		l = (struct link){.type = LINK_LISTENER, .nfds = 1};
		l.fds[0] = a->listeners[i].fd;
		memcpy(l.text, a->listeners[i].name, sizeof(l.text));
		if ((r = link_send(a->broker.link, &l)) != AW_OK)
			return r;
	}
	for (i = 0; i < a->njobs; i++) {
		l = (struct link){.type = LINK_JOB, .nfds = 1};
		l.fds[0] = a->jobs[i].fd;
		l.pid = a->jobs[i].pid;
		memcpy(l.tag, a->jobs[i].tag, sizeof(l.tag));
		if ((r = link_send(a->broker.link, &l)) != AW_OK)
			return r;
	}
	l = (struct link){.type = LINK_START};
	return link_send(a->broker.link, &l);
}

static void
start_broker(struct agent *a)
{
	static char lang[] = "LANG=C";
	char *env[] = {a->home, lang, NULL};
	enum aw_err r;
	int pair[2], error;

	a->broker.began = child_clock();
	a->greeted = false;
	if (link_pair(pair) != 0) {
		log_err("socketpair: %s", strerror(errno));
		child_forget(&a->broker);
		return;
	}
	a->broker.link = pair[0];
	error = exec_start(
	    a->broker_path, env, pair[1], !a->foreground, &a->broker.pid);
	close(pair[1]);
	if (error) {
		log_err("%s: %s", a->broker_path, strerror(error));
		child_forget(&a->broker);
		return;
	}
	child_read_spawner(a); /* what it told us of before the last one died */
	if ((r = send_hello(a)) == AW_OK)
		r = send_rest(a);
	if (r != AW_OK) {
		log_err("cannot greet the broker: %s", aw_strerror(r));
		child_kill(&a->broker);
		return;
	}
	a->greeted = true;
	tell_owed(a);
}

void
child_start_due(struct agent *a)
{
	int64_t now = child_clock();

	if (!a->spawner.pid && a->spawner.due <= now)
		start_spawner(a);
	/* Before the ring is made there is nothing for a broker to do. */
	if (a->ring.session && a->spawner.pid && !a->broker.pid &&
	    a->broker.due <= now)
		start_broker(a);
}

int
child_wait_ms(const struct agent *a)
{
	const struct child *c = !a->spawner.pid ? &a->spawner : &a->broker;
	int64_t wait = c->due - child_clock();

	if (c->pid)
		return -1;
	return wait > 0 ? (int)wait : 0;
}

/* ---- ending ---- */

static void
tell_death(const char *name, pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		log_warn("%s %d was killed by signal %d; starting another",
		    name, (int)pid, WTERMSIG(status));
	else
		log_warn("%s %d ended with status %d; starting another", name,
		    (int)pid, WEXITSTATUS(status));
}

static int
on_broker_death(struct agent *a, int status, bool *stop)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	child_read_broker(a, stop); /* its last words */
	if (!*stop)
		tell_death("broker", a->broker.pid, status);
	a->restarts++;
	child_forget(&a->broker);
	if (code == LINK_EXIT_VERSION)
		a->stale = true;
	return code == LINK_EXIT_RING ? code : 0;
}

int
child_reap(struct agent *a, bool *stop)
{
	int status, code = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == a->broker.pid) {
			code = on_broker_death(a, status, stop);
		} else if (pid == a->spawner.pid) {
			child_read_spawner(a);
			tell_death("spawner", pid, status);
			child_forget(&a->spawner);
			/* The next one comes with the next broker. */
			child_kill(&a->broker);
		}
	}
	return code;
}

/*
 * The broker revokes the keys and answers who waits; the spawner ends its
 * programs. A broker that does neither in time is of no use any more.
 */
void
child_end(struct agent *a)
{
	const struct link end = {.type = LINK_END};
	int64_t deadline = io_deadline(END_MS);
	struct signalfd_siginfo info;
	int status;

	if (a->spawner.link >= 0)
		link_send(a->spawner.link, &end);
	if (!a->broker.pid || link_send(a->broker.link, &end) != AW_OK)
		deadline = io_deadline(0);
	while (a->broker.pid &&
	    waitpid(a->broker.pid, &status, WNOHANG) != a->broker.pid) {
		if (io_wait(a->signals, POLLIN, deadline) != AW_OK) {
			child_kill(&a->broker);
			deadline = -1;
		}
		while (read(a->signals, &info, sizeof(info)) > 0)
			continue;
	}
	child_forget(&a->broker);
}
