/* SPDX-License-Identifier: ISC */
/*
 * One-shot programs under way. The spawner starts them; here is who waits for
 * which, that none runs twice for one purpose, and that one which dies is
 * begun again. What they say is given to the room that asked, which stores it
 * before it is taken off: a broker killed in between leaves it to the next.
 */
#include "broker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/log.h"
#include "awsenv/own.h"

#define RUNNING_MAX 32
#define REST_MS 100
#define PACKETS_AT_ONCE 256

static LIST_HEAD(, job) jobs = LIST_HEAD_INITIALIZER(jobs);
static const struct job_class *classes[JOB_READ + 1];
static int supervisor = -1;
static pid_t asker;

static void pump(void);
static void spawned(const struct link *);
static void not_spawned(const struct link *);

void
job_open(int supervisor_fd)
{
	supervisor = supervisor_fd;
	spawner_on(LINK_SPAWNED, spawned);
	spawner_on(LINK_FAILED, not_spawned);
	spawner_on_room(pump);
}

void
job_register(uint8_t what, const struct job_class *class)
{
	classes[what] = class;
}

/* 64-bit FNV-1a from one of two starts. Not against forgery: the login's whole
 * digest stands in the key too, and the store compares whole ids. */
static uint64_t
hash(struct view v, uint64_t h)
{
	uint32_t i;

	for (i = 0; i < v.n; i++)
		h = (h ^ v.p[i]) * 0x100000001b3;
	return h;
}

static void
make_key(uint8_t what, struct view id, uint8_t key[static JOB_KEY])
{
	uint64_t h[2] = {hash(id, 0xcbf29ce484222325), hash(id, what)};

	memset(key, 0, JOB_KEY);
	key[0] = what;
	if (id.n)
		memcpy(key + 1, id.p, id.n < LOGIN_ID ? id.n : LOGIN_ID);
	memcpy(key + 1 + LOGIN_ID, h, sizeof(h));
}

bool
job_is(const struct job *job, uint8_t what, struct view id)
{
	uint8_t key[JOB_KEY];

	make_key(what, id, key);
	return memcmp(job->tag, key, JOB_KEY) == 0;
}

uint8_t
job_what(const struct job *job)
{
	return job->tag[0];
}

struct job *
job_find(uint8_t what, struct view id)
{
	uint8_t key[JOB_KEY];
	struct job *job;

	make_key(what, id, key);
	LIST_FOREACH(job, &jobs, entry)
	{
		if (memcmp(job->tag, key, JOB_KEY) == 0)
			return job;
	}
	return NULL;
}

void
job_report(const struct link *l)
{
	enum aw_err r;

	while ((r = link_send(supervisor, l)) == AW_BUSY) {
		if (io_wait(supervisor, POLLOUT, io_deadline(1000)) != AW_OK)
			return;
	}
	/* It would go on with what is over; the next broker tells it anew. */
	if (r != AW_OK && r != AW_GONE)
		fatalx("the supervisor cannot be told: %s", aw_strerror(r));
}

static void
report_over(pid_t pid)
{
	struct link l = {.type = LINK_OVER, .pid = pid};

	if (pid > 0)
		job_report(&l);
}

void
job_asker(pid_t pid)
{
	asker = pid;
}

/*
 * The oldest that may run. For one client may run as many as there is room
 * left for: who wants more than all has half, and whoever comes next a place.
 */
static struct job *
next_job(void)
{
	pid_t busy[RUNNING_MAX];
	unsigned int i, n = 0, his;
	struct job *job, *next = NULL;

	LIST_FOREACH(job, &jobs, entry)
	{
		if (job->state == JOB_QUEUED || job->state == JOB_RESTING)
			continue;
		if (n == RUNNING_MAX)
			return NULL;
		busy[n++] = job->asker;
	}
	/* The list has the newest first. */
	LIST_FOREACH(job, &jobs, entry)
	{
		if (job->state != JOB_QUEUED)
			continue;
		for (i = his = 0; i < n; i++)
			his += busy[i] == job->asker;
		if (his < RUNNING_MAX - n)
			next = job;
	}
	return next;
}

/* Ask the spawner for as many of those that wait as may run. */
static void
pump(void)
{
	struct link l = {.type = LINK_SPAWN};
	struct job *next;

	while ((next = next_job())) {
		l.program = next->class->program;
		memcpy(l.tag, next->tag, LINK_TAG);
		if (!spawner_send(&l))
			return; /* pump() is called when it has room again */
		next->state = JOB_ASKED;
	}
}

static struct job *
job_new(const uint8_t *tag)
{
	struct job *job;

	if (!(job = calloc(1, sizeof(*job))))
		fatal("job");
	memcpy(job->tag, tag, LINK_TAG);
	job->class = classes[tag[0]];
	job->fd = -1;
	job->begun = loop_now();
	job->asker = asker;
	LIST_INSERT_HEAD(&jobs, job, entry);
	return job;
}

struct job *
job_start(uint8_t what, struct view id, enum msg_kind kind, const void *msg,
    unsigned int tries)
{
	AUTOBUF struct buf request = {0};
	uint8_t tag[LINK_TAG] = {0};
	static uint32_t number;
	struct job *job;
	pid_t pid = getpid();

	buf_u8(&request, (uint8_t)kind);
	msg_encode(kind, msg, &request);
	if (request.bad && !request.full)
		fatalx("no memory for what a helper is asked");
	if (request.bad || request.len > LINK_MAX)
		return NULL;
	make_key(what, id, tag);
	/* Unlike any other, though one for the same purpose went before. */
	number++;
	memcpy(tag + JOB_KEY, &pid, sizeof(pid));
	memcpy(tag + JOB_KEY + sizeof(pid), &number, sizeof(number));
	job = job_new(tag);
	job->request = request;
	job->ours = true;
	request = (struct buf){0};
	job->tries = tries;
	pump();
	return job;
}

/* Close its end, which makes the program stop if it still runs. */
static void
let_go(struct job *job)
{
	if (job->fd >= 0) {
		loop_forget(job->fd);
		close(job->fd);
		report_over(job->pid);
	}
	job->fd = -1;
	job->pid = 0;
}

static void
finish(struct job *job, bool early)
{
	LIST_REMOVE(job, entry);
	loop_cancel(&job->rest);
	let_go(job);
	if (job->class->ended)
		job->class->ended(job, job->error, job->text, early);
	hold_wake(&job->holds, job->error, job->text);
	buf_free(&job->request);
	free(job->text);
	free(job);
	pump();
}

static void
drop(struct job *job)
{
	LIST_REMOVE(job, entry);
	loop_cancel(&job->rest);
	let_go(job);
	hold_wake(&job->holds, AW_OK, NULL);
	buf_free(&job->request);
	free(job->text);
	free(job);
}

void
job_abandon(struct job *job)
{
	drop(job);
	pump();
}

void
job_abandon_all(unsigned int mask, struct view login)
{
	struct job *job, *next;

	for (job = LIST_FIRST(&jobs); job; job = next) {
		next = LIST_NEXT(job, entry);
		if (mask & 1u << job_what(job) &&
		    (!login.n || memcmp(job->tag + 1, login.p, login.n) == 0))
			drop(job);
	}
	pump();
}

void
job_outcome(struct job *job, enum aw_err error, struct view text)
{
	job->error = error;
	text_set(&job->text, "%.*s", VIEW_ARG(text));
}

static void
begin_again(void *arg)
{
	struct job *job = arg;

	job->state = JOB_QUEUED;
	pump();
}

void
job_last(struct job *job)
{
	job->tries = 0;
	buf_free(&job->request);
}

/* The program ended without its last answer. */
static void
died(struct job *job)
{
	let_go(job);
	if (job->tries > 0 && job->request.len) {
		job->tries--;
		job->state = JOB_RESTING;
		job->begun = loop_now();
		loop_after(&job->rest, REST_MS + loop_random(REST_MS),
		    begin_again, job);
		pump();
		return;
	}
	/* Of an adopted one nothing is known: whoever waits looks again. */
	if (job->ours)
		job_outcome(job, AW_NETWORK,
		    view_str("a helper ended early, again and again; the "
			     "system log may tell why"));
	finish(job, true);
}

/*
 * A program that exits with something of ours unread resets the link: that is
 * said once, before what it sent, which is still there behind it.
 */
static enum aw_err
peek(
    struct job *job, struct buf *packet, enum msg_kind *kind, struct view *body)
{
	enum aw_err r = link_peek_msg(job->fd, packet, kind, body);

	return r == AW_GONE ? link_peek_msg(job->fd, packet, kind, body) : r;
}

static void
on_packet(uint32_t events, void *arg)
{
	AUTOBUF struct buf packet = {0};
	struct job *job = arg;
	enum msg_kind kind;
	struct view body;
	enum aw_err r;
	int i;

	(void)events;
	for (i = 0; i < PACKETS_AT_ONCE; i++) {
		r = peek(job, &packet, &kind, &body);
		if (r == AW_BUSY)
			return;
		if (r == AW_GONE) {
			died(job);
			return;
		}
		/* It may be a token, and is still there for the next broker. */
		if (r == AW_NOMEM || r == AW_SYSTEM)
			fatalx("a helper's answer cannot be read: %s",
			    aw_strerror(r));
		if (r != AW_OK) {
			job_outcome(job, AW_SYSTEM,
			    view_str("a helper's answer is not readable"));
			finish(job, false);
			return;
		}
		if (job->class->packet(job, kind, body)) {
			link_drop(job->fd);
			finish(job, false);
			return;
		}
		/* Here it would be told twice; the next broker asks anew. */
		if ((r = link_drop(job->fd)) != AW_OK)
			fatalx("a helper's answer cannot be taken: %s",
			    aw_strerror(r));
	}
}

static void
spawned(const struct link *l)
{
	struct job *job;

	LIST_FOREACH(job, &jobs, entry)
	{
		if (job->state == JOB_ASKED &&
		    memcmp(job->tag, l->tag, LINK_TAG) == 0)
			break;
	}
	if (!job || l->nfds != 1) {
		if (l->nfds == 1)
			close(l->fds[0]); /* abandoned since */
		report_over(l->pid);
		return;
	}
	job->fd = l->fds[0];
	job->pid = l->pid;
	job->state = JOB_RUNNING;
	job->begun = loop_now();
	/* A fresh pair has room; if its program died at once, so we hear. */
	if (send(job->fd, job->request.data, job->request.len, MSG_NOSIGNAL) <
	    0)
		log_debug("helper %d: %s", (int)job->pid, strerror(errno));
	if (job->tries == 0)
		job_last(job);
	loop_fd(job->fd, EPOLLIN, on_packet, job);
}

static void
not_spawned(const struct link *l)
{
	struct job *job;

	LIST_FOREACH(job, &jobs, entry)
	{
		if (memcmp(job->tag, l->tag, LINK_TAG) == 0)
			break;
	}
	if (!job)
		return;
	job->error = AW_SYSTEM;
	text_set(&job->text, "%s cannot be started: %s",
	    job->class->program == PROGRAM_FETCH ? "awsenv-fetch"
						 : "awsenv-profile",
	    strerror(l->error));
	finish(job, false);
}

void
job_adopt(const struct link *l)
{
	struct job *job;

	if (l->nfds != 1)
		return;
	/* The rest of a table is worth nothing without its beginning. */
	if (l->tag[0] >= JOB_READ || !classes[l->tag[0]]) {
		close(l->fds[0]);
		report_over(l->pid);
		return;
	}
	job = job_new(l->tag);
	job->state = JOB_RUNNING;
	job->fd = l->fds[0];
	job->pid = l->pid;
	loop_fd(job->fd, EPOLLIN, on_packet, job);
}

void
job_each(void (*fn)(struct job *))
{
	struct job *job;

	LIST_FOREACH(job, &jobs, entry)
	{
		fn(job);
	}
}

void
job_say(struct job *job, enum msg_kind kind, const void *msg)
{
	if (job->state == JOB_RUNNING)
		link_send_msg(job->fd, kind, msg);
}
