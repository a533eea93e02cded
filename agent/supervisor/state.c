/* SPDX-License-Identifier: ISC */
/*
 * What a re-execution hands over, so that an upgrade loses nothing. The two
 * images may be of two versions: each item is u32 tag, u32 length, value, and
 * tags that the reader does not know are skipped. A number is a u64. Tags are
 * never given a new meaning; what cannot be said so is a new STATE_FORMAT.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "awsenv/buf.h"
#include "awsenv/own.h"

#define STATE_FORMAT 1

enum tag {
	TAG_FORMAT = 1,	 /* always the first */
	TAG_VERSION = 2, /* for the log */
	TAG_SESSION = 3,
	TAG_RING = 4,
	TAG_STARTED = 5,
	TAG_RESTARTS = 6,
	TAG_LIFETIME = 7,
	TAG_FOREGROUND = 8,
	TAG_DEBUG = 9,
	TAG_LOCK = 10,	  /* descriptor */
	TAG_COMMAND = 11, /* descriptor */
	TAG_QUICK = 12,
	TAG_TRANSIENT = 15,
	TAG_LOGOUT_LAST = 16,
	TAG_AUDIT = 17, /* descriptor */
	TAG_VAULT = 18, /* descriptor */
	TAG_SSH_AGENT = 30,
	TAG_RUNTIME = 31,
	TAG_LISTENER = 13, /* items: */
	TAG_JOB = 14,	   /* items: */
	/* of a listener or a job */
	TAG_FD = 20,
	TAG_NAME = 21,
	TAG_PATH = 22,
	TAG_DEV = 23,
	TAG_INO = 24,
	TAG_PID = 25,
	TAG_TAG = 26,
};

/* ---- writing ---- */

static void
put_view(struct buf *b, enum tag tag, struct view v)
{
	buf_u32(b, tag);
	buf_string(b, v);
}

static void
put_number(struct buf *b, enum tag tag, uint64_t n)
{
	buf_u32(b, tag);
	buf_u32(b, 8);
	buf_u64(b, n);
}

/* -1 is "none" and not said. */
static void
put_fd(struct buf *b, enum tag tag, int fd)
{
	if (fd >= 0)
		put_number(b, tag, (uint64_t)fd);
}

/* Half of one would be one that is lost. */
static void
put_item(struct buf *b, enum tag tag, const struct buf *item)
{
	put_view(b, tag, view_of(item));
	b->bad |= item->bad;
}

static void
put_listener(struct buf *b, const struct listener *l)
{
	AUTOBUF struct buf item = {0};

	put_fd(&item, TAG_FD, l->fd);
	put_view(&item, TAG_NAME, view_str(l->name));
	put_view(&item, TAG_PATH, view_str(l->path));
	put_number(&item, TAG_DEV, l->dev);
	put_number(&item, TAG_INO, l->ino);
	put_item(b, TAG_LISTENER, &item);
}

static void
put_job(struct buf *b, const struct job *j)
{
	AUTOBUF struct buf item = {0};

	put_fd(&item, TAG_FD, j->fd);
	put_number(&item, TAG_PID, (uint64_t)j->pid);
	put_view(&item, TAG_TAG, (struct view){j->tag, sizeof(j->tag)});
	put_item(b, TAG_JOB, &item);
}

int
state_save(const struct agent *a)
{
	AUTOBUF struct buf b = {0};
	AUTOCLOSE int fd = -1;
	unsigned int i;

	put_number(&b, TAG_FORMAT, STATE_FORMAT);
	put_view(&b, TAG_VERSION, view_str(AWSENV_VERSION));
	put_number(&b, TAG_SESSION, (uint64_t)a->ring.session);
	put_number(&b, TAG_RING, (uint64_t)a->ring.serial);
	put_number(&b, TAG_STARTED, a->started);
	put_number(&b, TAG_RESTARTS, a->restarts);
	put_number(&b, TAG_LIFETIME, a->lifetime);
	put_number(&b, TAG_FOREGROUND, a->foreground);
	put_number(&b, TAG_DEBUG, a->debug);
	put_fd(&b, TAG_LOCK, a->lock);
	put_fd(&b, TAG_COMMAND, a->command);
	put_fd(&b, TAG_AUDIT, a->audit);
	put_fd(&b, TAG_VAULT, a->ring.vault);
	put_number(&b, TAG_QUICK, a->broker.quick);
	put_number(&b, TAG_TRANSIENT, a->transient);
	put_number(&b, TAG_LOGOUT_LAST, a->logout_last);
	put_view(&b, TAG_SSH_AGENT, view_str(a->ssh_agent));
	put_view(&b, TAG_RUNTIME, view_str(a->runtime));
	for (i = 0; i < a->nlisteners; i++)
		put_listener(&b, &a->listeners[i]);
	for (i = 0; i < a->njobs; i++)
		put_job(&b, &a->jobs[i]);
	if (b.bad) {
		errno = ENOMEM;
		return -1;
	}
	fd = memfd_create("awsenv-state", MFD_CLOEXEC);
	if (fd < 0 || write(fd, b.data, b.len) != (ssize_t)b.len)
		return -1;
	return STEAL_FD(fd);
}

/* ---- reading ---- */

struct item {
	uint32_t tag;
	struct view value;
	uint64_t number; /* 0 if the value is none */
};

/* false: the end; *v is not empty if it was not a good one. */
static bool
next_item(struct view *v, struct item *item)
{
	struct view rest = *v, value;

	if (!view_u32(&rest, &item->tag) || !view_string(&rest, &item->value))
		return false;
	value = item->value;
	item->number = 0;
	if (value.n == 8)
		view_u64(&value, &item->number);
	*v = rest;
	return true;
}

static void
set_text(char *out, size_t size, struct view v)
{
	if (v.n < size)
		snprintf(out, size, "%.*s", VIEW_ARG(v));
}

/* Descriptors came through exec; the next one is not to pass them on. */
static int
adopt_fd(uint64_t n)
{
	if (n > INT_MAX || fcntl((int)n, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	return (int)n;
}

static void
load_listener(struct agent *a, struct view v)
{
	struct listener l = {.fd = -1};
	struct item i;

	while (next_item(&v, &i)) {
		if (i.tag == TAG_FD)
			l.fd = adopt_fd(i.number);
		else if (i.tag == TAG_NAME)
			set_text(l.name, sizeof(l.name), i.value);
		else if (i.tag == TAG_PATH)
			set_text(l.path, sizeof(l.path), i.value);
		else if (i.tag == TAG_DEV)
			l.dev = i.number;
		else if (i.tag == TAG_INO)
			l.ino = i.number;
	}
	if (l.fd >= 0 && a->nlisteners < LISTENERS_MAX)
		a->listeners[a->nlisteners++] = l;
}

static void
load_job(struct agent *a, struct view v)
{
	struct job j = {.fd = -1};
	struct item i;

	while (next_item(&v, &i)) {
		if (i.tag == TAG_FD)
			j.fd = adopt_fd(i.number);
		else if (i.tag == TAG_PID)
			j.pid = (int32_t)i.number;
		else if (i.tag == TAG_TAG && i.value.n <= sizeof(j.tag))
			memcpy(j.tag, i.value.p, i.value.n);
	}
	if (j.fd >= 0 && a->njobs < JOBS_MAX)
		a->jobs[a->njobs++] = j;
}

static void
load_item(struct agent *a, const struct item *i)
{
	switch (i->tag) {
	case TAG_VERSION:
		set_text(a->before, sizeof(a->before), i->value);
		break;
	case TAG_SESSION:
		a->ring.session = (int32_t)i->number;
		break;
	case TAG_RING:
		a->ring.serial = (int32_t)i->number;
		break;
	case TAG_STARTED:
		a->started = i->number;
		break;
	case TAG_RESTARTS:
		a->restarts = (uint32_t)i->number;
		break;
	case TAG_LIFETIME:
		a->lifetime = (uint32_t)i->number;
		break;
	case TAG_FOREGROUND:
		a->foreground = i->number != 0;
		break;
	case TAG_DEBUG:
		a->debug = i->number != 0;
		break;
	case TAG_LOCK:
		a->lock = adopt_fd(i->number);
		break;
	case TAG_COMMAND:
		a->command = adopt_fd(i->number);
		break;
	case TAG_AUDIT:
		a->audit = adopt_fd(i->number);
		break;
	case TAG_VAULT:
		a->ring.vault = adopt_fd(i->number);
		break;
	case TAG_QUICK:
		a->broker.quick = (uint32_t)i->number;
		break;
	case TAG_TRANSIENT:
		a->transient = i->number != 0;
		break;
	case TAG_LOGOUT_LAST:
		a->logout_last = i->number != 0;
		break;
	case TAG_SSH_AGENT:
		set_text(a->ssh_agent, sizeof(a->ssh_agent), i->value);
		break;
	case TAG_RUNTIME:
		set_text(a->runtime, sizeof(a->runtime), i->value);
		break;
	case TAG_LISTENER:
		load_listener(a, i->value);
		break;
	case TAG_JOB:
		load_job(a, i->value);
		break;
	default:
		break; /* of a version that is newer than this one */
	}
}

static bool
read_all(int fd, struct buf *b)
{
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n;

	buf_reset(b);
	errno = 0;
	if (size <= 0 || size > BUF_MAX || !buf_reserve(b, (size_t)size))
		return false;
	if ((n = pread(fd, b->data, (size_t)size, 0)) != size)
		return false;
	b->len = (size_t)n;
	return true;
}

bool
state_load(struct agent *a, int state)
{
	AUTOCLOSE int fd = state;
	AUTOBUF struct buf b = {0};
	unsigned int tries = 0;
	struct view rest;
	struct item i;

	while (!read_all(fd, &b)) {
		if (!memory_wait(&tries))
			return false;
	}
	rest = view_of(&b);
	if (!next_item(&rest, &i) || i.tag != TAG_FORMAT ||
	    i.number != STATE_FORMAT)
		return false;
	while (next_item(&rest, &i))
		load_item(a, &i);
	return rest.n == 0 && a->ring.session > 0 && a->ring.serial > 0 &&
	    a->ring.vault >= 0 && a->nlisteners > 0;
}
