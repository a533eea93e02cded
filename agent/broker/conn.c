/* SPDX-License-Identifier: ISC */
/*
 * Connections of clients: frames in, frames out, in order. While a request is
 * held, or its answer not yet written, nothing more is read from that client:
 * order and back-pressure come for free. What a frame means is not known here.
 */
#include "broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/log.h"

#define SPARE_FDS 80 /* for listeners, links and jobs */
#define LISTENERS_MAX 24
#define READ_SIZE 4000
#define PATIENCE_MS 30000 /* with half a frame, or an unread answer */
#define LOOK_MS 10000	  /* mostly less than one, but not on a busy machine */
#define ROUNDS_MAX 12

static LIST_HEAD(, conn) conns = LIST_HEAD_INITIALIZER(conns);
static unsigned int nconns;
static unsigned int most = CONN_MAX;
static struct {
	int fd; /* -1: free */
	enum listener at;
	const struct permit *permit;
} listeners[LISTENERS_MAX];
static int nlisteners;
static bool listening;
static bool started;
static struct timer relisten;

static void conn_ready(uint32_t events, void *arg);
static void conn_work(struct conn *c);
static void on_listener(uint32_t events, void *arg);

void
conn_open(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_cur < CONN_MAX + SPARE_FDS)
		most = lim.rlim_cur > 2 * SPARE_FDS
		    ? (unsigned int)lim.rlim_cur - SPARE_FDS
		    : SPARE_FDS;
}

static void
listen_all(bool on)
{
	int i;

	if (listening == on || !started)
		return;
	listening = on;
	for (i = 0; i < nlisteners; i++) {
		if (listeners[i].fd < 0)
			continue;
		loop_fd(listeners[i].fd, on ? EPOLLIN : 0, on_listener,
		    &listeners[i]);
	}
}

void
conn_listen(int fd, enum listener at, const struct permit *permit)
{
	int i = 0;

	while (i < nlisteners && listeners[i].fd >= 0)
		i++;
	if (i == LISTENERS_MAX)
		fatalx("too many sockets");
	if (i == nlisteners)
		nlisteners++;
	listeners[i].fd = fd;
	listeners[i].at = at;
	listeners[i].permit = permit;
	if (listening)
		loop_fd(fd, EPOLLIN, on_listener, &listeners[i]);
}

void
conn_start(void)
{
	started = true;
	listen_all(true);
}

unsigned int
conn_count(void)
{
	return nconns;
}

struct conn *
conn_add(int fd, enum origin origin, pid_t pid)
{
	struct conn *c;

	if (!(c = calloc(1, sizeof(*c))))
		fatal("conn");
	c->fd = fd;
	c->listener = origin == REMOTE ? AT_REMOTE : AT_AGENT;
	c->origin = origin;
	c->pid = pid;
	c->here = true;
	c->events = EPOLLIN;
	LIST_INSERT_HEAD(&conns, c, entry);
	nconns++;
	loop_fd(fd, EPOLLIN, conn_ready, c);
	return c;
}

static void
conn_close(struct conn *c)
{
	hold_off(&c->hold);
	look_off(&c->look);
	look_off(&c->place);
	relay_close(c);
	loop_cancel(&c->timer);
	loop_forget(c->fd);
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	bind_free(&c->binds);
	request_gone(c);
	LIST_REMOVE(c, entry);
	nconns--;
	free(c);
	listen_all(true);
}

/* A process may have as many as there is room left for: one that takes all it
 * can get has half, two a third each, and who comes next finds a place. */
static bool
peer_full(pid_t pid)
{
	unsigned int n = 0, room = most - nconns;
	struct conn *c;

	if (nconns < room)
		return false;
	LIST_FOREACH(c, &conns, entry)
	{
		n += c->pid == pid;
	}
	return n >= room;
}

/* The owner, or root; others should not have come through the directory. */
static void
admit(int fd, enum listener at, const struct permit *permit)
{
	enum origin origin = at == AT_AGENT ? LOCAL : REMOTE;
	static pid_t full; /* is said once */
	struct ucred peer = {0};
	socklen_t n = sizeof(peer);
	struct conn *c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0 ||
	    (peer.uid != getuid() && peer.uid != 0)) {
		log_warn("refused a client of uid %u", (unsigned)peer.uid);
		close(fd);
		return;
	}
	if (peer_full(peer.pid)) {
		if (peer.pid != full)
			log_warn("refused pid %d: too many connections",
			    (int)peer.pid);
		full = peer.pid;
		close(fd);
		return;
	}
	if (origin == LOCAL && peer.uid != getuid())
		origin = ROOT;
	c = conn_add(fd, origin, peer.pid);
	c->listener = at;
	c->here = false;
	c->permit = permit;
}

/* And whoever came through it. */
void
conn_unlisten(const struct permit *permit)
{
	struct conn *c, *next;
	int i;

	for (i = 0; i < nlisteners; i++) {
		if (listeners[i].fd < 0 || listeners[i].permit != permit)
			continue;
		loop_forget(listeners[i].fd);
		close(listeners[i].fd);
		listeners[i].fd = -1;
		listeners[i].permit = NULL;
	}
	for (c = LIST_FIRST(&conns); c; c = next) {
		next = LIST_NEXT(c, entry);
		if (c->permit == permit)
			conn_close(c);
	}
}

static void
listen_again(void *arg)
{
	(void)arg;
	listen_all(true);
}

static void
on_listener(uint32_t events, void *arg)
{
	int i =
	    (int)((char *)arg - (char *)listeners) / (int)sizeof(*listeners);
	int n, fd;

	(void)events;
	for (n = 0; n < 64; n++) {
		if (nconns >= most) {
			listen_all(false); /* until one closes */
			return;
		}
		fd = accept4(
		    listeners[i].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			admit(fd, listeners[i].at, listeners[i].permit);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			/* No descriptors or memory: others must close first. */
			log_warn("accept: %s", strerror(errno));
			listen_all(false);
			loop_after(&relisten, 1000, listen_again, NULL);
			return;
		}
	}
}

static void
flush(struct conn *c)
{
	ssize_t n;

	while (c->out.len) {
		n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
		if (n > 0) {
			buf_eat(&c->out, (size_t)n);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			c->dead = true;
			return;
		}
	}
	buf_free(&c->out);
}

void
conn_send(struct conn *c, uint8_t type, struct view body)
{
	if (body.n > BUF_MAX - 5) {
		type = SSH_AGENT_EXTENSION_FAILURE;
		body.n = 0;
	}
	buf_u32(&c->out, 1 + body.n);
	buf_u8(&c->out, type);
	buf_put(&c->out, body.p, body.n);
	if (c->out.bad)
		fatalx("no memory for an answer");
	flush(c);
}

/* Never more than the rest of a frame, once that is known: what a client
 * sends ahead stays in the kernel. Of a descriptor that it sent, which the
 * kernel closes, that there was one is all we want to know. */
static void
fill(struct conn *c)
{
	size_t want = READ_SIZE;
	struct iovec part;
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (c->need)
		want = c->need > c->in.len ? c->need - c->in.len : 0;
	if (want == 0)
		return;
	if (!buf_reserve(&c->in, want)) {
		c->dead = true;
		return;
	}
	part = (struct iovec){c->in.data + c->in.len, want};
	n = recvmsg(c->fd, &m, 0);
	if (n > 0) {
		c->in.len += (size_t)n;
		c->here |= (m.msg_flags & MSG_CTRUNC) != 0;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		c->dead = true;
}

/* Is a whole frame at the front of `in`? Its length is taken off. */
static bool
frame_ready(struct conn *c)
{
	struct view v = view_of(&c->in);

	if (c->need == 0) {
		if (!view_u32(&v, &c->need))
			return false;
		buf_eat(&c->in, 4);
		if (c->need == 0 || c->need > BUF_MAX) {
			c->dead = true;
			return false;
		}
	}
	return c->in.len >= c->need;
}

static void
give_up(void *arg)
{
	struct conn *c = arg;

	log_debug("pid %d neither reads nor writes", (int)c->pid);
	conn_close(c);
}

/* What to wait for next, from the peer. */
static void
arrange(struct conn *c)
{
	uint32_t events = c->held ? 0 : c->out.len ? EPOLLOUT : EPOLLIN;
	bool waiting = c->out.len || c->in.len || c->need;

	if (c->events != events)
		loop_fd(c->fd, events, conn_ready, c);
	c->events = events;
	if (c->held)
		return; /* the timer is the request's */
	if (!waiting) {
		loop_cancel(&c->timer);
		buf_free(&c->in);
	} else if (!c->timer.armed) {
		loop_after(&c->timer, PATIENCE_MS, give_up, c);
	}
}

static void
run(struct conn *c)
{
	request_run(c, (struct view){c->in.data, c->need});
	if (c->held)
		return;
	c->frames++;
	request_forget(&c->progress);
	loop_cancel(&c->timer);
	buf_eat(&c->in, c->need);
	c->need = 0;
}

/* Serve what is there, then see what comes. Frees c at its end. */
static void
conn_work(struct conn *c)
{
	while (!c->dead && !c->held && c->out.len == 0 && frame_ready(c))
		run(c);
	if (c->dead)
		conn_close(c);
	else
		arrange(c);
}

static void
conn_ready(uint32_t events, void *arg)
{
	struct conn *c = arg;

	/* While a request is held nothing is read, so an end is only seen as
	 * one of both directions: a client may close its own and wait. */
	if (c->held) {
		if (events & (EPOLLHUP | EPOLLERR))
			conn_close(c);
		return;
	}
	if (c->out.len)
		flush(c);
	else
		fill(c);
	conn_work(c);
}

static void
go_on(void *arg)
{
	conn_work(arg);
}

void
conn_end(struct conn *c)
{
	c->dead = true;
	hold_off(&c->hold);
	loop_after(&c->timer, 0, go_on, c);
}

/* What the client sent ahead is not served here: who woke us is in the middle
 * of something, such as a job that the next frame could end. */
static void
held_again(struct conn *c, enum aw_err error, const char *text)
{
	c->held = false;
	loop_cancel(&c->timer);
	c->progress.waited = c->stage;
	c->progress.error = error;
	text_set(&c->progress.text, "%s", text ? text : "");
	run(c);
	if (c->dead || c->held || c->out.len || c->in.len == 0)
		conn_work(c);
	else
		loop_after(&c->timer, 0, go_on, c);
}

static void
woken(void *arg, enum aw_err error, const char *text)
{
	held_again(arg, error, text);
}

static void
timed_out(void *arg)
{
	struct conn *c = arg;

	hold_off(&c->hold);
	held_again(c, AW_TIMEOUT, NULL);
}

enum aw_err
conn_hold(struct conn *c, enum stage stage, struct holds *list, int64_t ms)
{
	int64_t left = c->progress.deadline - loop_now();

	if (left <= 0 || ++c->progress.rounds > ROUNDS_MAX)
		return AW_TIMEOUT;
	c->held = true;
	c->stage = stage;
	c->hold.fn = woken;
	c->hold.arg = c;
	hold_on(list, &c->hold);
	loop_after(&c->timer, ms < left ? ms : left, timed_out, c);
	return REQUEST_HELD;
}

enum aw_err
conn_look(struct conn *c, uint32_t flags)
{
	look_at(&c->look, c->pid, flags);
	if (c->look.state == LOOK_DONE || c->progress.waited == STAGE_LOOK ||
	    conn_hold(c, STAGE_LOOK, &c->look.holds, LOOK_MS) != REQUEST_HELD)
		return AW_OK;
	return REQUEST_HELD;
}

const char *
origin_name(enum origin o)
{
	return o == LOCAL ? "local" : o == ROOT ? "root" : "remote";
}
