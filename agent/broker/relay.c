/* SPDX-License-Identifier: ISC */
/*
 * The user's own ssh-agent behind forward.sock: frames of its protocol go there
 * and back byte for byte, on one connection for each of the client's, so that
 * what it makes of a client's binds is what it would make of them without us.
 * Knows of keys nothing. The spawner connects; nothing is sent before a client
 * wants something that is not ours, and then its binds come first.
 */
#include "broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/log.h"

#define RELAYS_MAX 256	     /* the ssh-agent has others to serve, too */
#define HELD_MAX (32 * 1024) /* of binds; of 240 bytes mostly, at most 16 */
#define FRESH_MS 2000	     /* a person who changed the file looks now */
#define CONNECT_MS 20000     /* longer than the spawner's process lives */
#define RETRY_MS 20
#define REQUEST_MS (86400 * 1000) /* a person may have to touch a key */

struct relay {
	LIST_ENTRY(relay) entry;
	struct conn *conn;
	uint64_t number; /* for the spawner */
	enum {
		RELAY_NEW,
		RELAY_READING, /* the config */
		RELAY_READ,
		RELAY_CONNECTING,
		RELAY_UP,
		RELAY_NONE, /* there is no upstream for this connection */
		RELAY_GONE, /* there was one */
	} state;
	bool all;	 /* awsenv_ssh_relay */
	bool proxy;	 /* awsenv_ssh_proxy */
	bool report;	 /* nothing is relayed: only to see which it is */
	uint32_t how;	 /* it was found */
	const char *why; /* it is not, or NULL */
	bool bound;	 /* the client said where it comes from ... */
	bool first;	 /* ... before all else ... */
	bool forwarding; /* ... and that that is forwarded */
	bool asking; /* the request at the front of conn->in is under way ... */
	bool answered; /* ... and its answer is in `in` */
	char path[LINK_PATH];
	bool counted; /* in nrelays */
	int fd;
	uint32_t events;
	uint8_t head[4];   /* length of that request */
	size_t sent;	   /* of it, these included */
	struct buf binds;  /* not sent yet */
	unsigned int owed; /* binds that were not answered yet */
	struct buf in;
	uint32_t need;
	struct timer timer;
	struct hold read;
	struct holds holds; /* the client's request, while it waits */
};

static LIST_HEAD(, relay) relays = LIST_HEAD_INITIALIZER(relays);
static unsigned int nrelays;

/*
 * Said first for a client whose binds cannot be believed: bound for forwarding
 * to a host that nobody has the key of. Without a bind ssh-agent takes whoever
 * asks for a program of this machine, and a later one for that machine's own
 * word; yet this is the socket that far hosts come by, some through an ssh that
 * sends no binds, or whose RemoteForward leads here by mistake.
 */
/* clang-format off */
static const uint8_t nobody[] = {
    0x00, 0x00, 0x00, 0xe0, 0x1b, 0x00, 0x00, 0x00, 0x18, 0x73, 0x65, 0x73,
    0x73, 0x69, 0x6f, 0x6e, 0x2d, 0x62, 0x69, 0x6e, 0x64, 0x40, 0x6f, 0x70,
    0x65, 0x6e, 0x73, 0x73, 0x68, 0x2e, 0x63, 0x6f, 0x6d, 0x00, 0x00, 0x00,
    0x33, 0x00, 0x00, 0x00, 0x0b, 0x73, 0x73, 0x68, 0x2d, 0x65, 0x64, 0x32,
    0x35, 0x35, 0x31, 0x39, 0x00, 0x00, 0x00, 0x20, 0xe1, 0xe5, 0x73, 0x6f,
    0xb1, 0x30, 0x30, 0xc0, 0x02, 0xab, 0x9d, 0x11, 0xf2, 0x3b, 0xfc, 0xb4,
    0x27, 0x0e, 0xb7, 0xcc, 0x0d, 0x76, 0x8e, 0x8e, 0xa3, 0x75, 0x61, 0x0e,
    0x7b, 0x04, 0xaf, 0x41, 0x00, 0x00, 0x00, 0x30, 0x61, 0x77, 0x73, 0x65,
    0x6e, 0x76, 0x3a, 0x20, 0x66, 0x72, 0x6f, 0x6d, 0x20, 0x61, 0x20, 0x68,
    0x6f, 0x73, 0x74, 0x20, 0x74, 0x68, 0x61, 0x74, 0x20, 0x64, 0x69, 0x64,
    0x20, 0x6e, 0x6f, 0x74, 0x20, 0x73, 0x61, 0x79, 0x20, 0x77, 0x68, 0x69,
    0x63, 0x68, 0x20, 0x69, 0x74, 0x20, 0x69, 0x73, 0x00, 0x00, 0x00, 0x53,
    0x00, 0x00, 0x00, 0x0b, 0x73, 0x73, 0x68, 0x2d, 0x65, 0x64, 0x32, 0x35,
    0x35, 0x31, 0x39, 0x00, 0x00, 0x00, 0x40, 0xfd, 0x72, 0x31, 0x48, 0x2c,
    0x97, 0x8f, 0x82, 0xcd, 0x09, 0x65, 0x87, 0x15, 0x67, 0x0b, 0x02, 0xa3,
    0xdc, 0x9b, 0x13, 0x47, 0xc1, 0xf8, 0x3d, 0x28, 0x0d, 0xf3, 0xfa, 0xf1,
    0x0e, 0x7c, 0x49, 0xe9, 0xe5, 0x26, 0x76, 0x5a, 0xaa, 0x3d, 0x81, 0x8e,
    0x2c, 0x1a, 0x0e, 0x12, 0xc7, 0x5c, 0xc1, 0x97, 0x52, 0x1a, 0x21, 0x8a,
    0x17, 0x31, 0xd9, 0x2d, 0xaf, 0x92, 0xdb, 0x1c, 0x50, 0x1f, 0x01, 0x01,
};
/* clang-format on */

static void on_upstream(uint32_t events, void *arg);

/* Its request is run again, and may end it all: nothing is touched after. */
static void
wake(struct relay *r)
{
	hold_wake(&r->holds, AW_OK, NULL);
}

static void
disconnect(struct relay *r)
{
	loop_cancel(&r->timer);
	hold_off(&r->read);
	if (r->counted)
		nrelays--;
	r->counted = false;
	if (r->fd < 0)
		return;
	loop_forget(r->fd);
	close(r->fd);
	r->fd = -1;
}

static void
give_up(struct relay *r, const char *why)
{
	if (r->path[0])
		log_info("ssh-agent on %s: %s", r->path, why);
	else
		log_info("no ssh-agent: %s", why);
	disconnect(r);
	r->state = RELAY_NONE;
	r->why = why;
	wake(r);
}

/* Upstream has ended it, so the client sees the same. */
static void
end(struct relay *r)
{
	struct conn *c = r->conn;

	disconnect(r);
	r->state = RELAY_GONE;
	conn_end(c);
}

static struct relay *
relay_of(struct conn *c)
{
	struct relay *r = c->relay;
	static uint64_t last;

	if (r)
		return r;
	if (!(r = calloc(1, sizeof(*r))))
		fatal("relay");
	r->conn = c;
	r->number = ++last;
	r->fd = -1;
	LIST_INIT(&r->holds);
	LIST_INSERT_HEAD(&relays, r, entry);
	return c->relay = r;
}

void
relay_close(struct conn *c)
{
	struct relay *r = c->relay;

	if (!r)
		return;
	disconnect(r);
	LIST_REMOVE(r, entry);
	buf_free(&r->binds);
	buf_free(&r->in);
	free(r);
	c->relay = NULL;
}

/* ---- to and from upstream */

static void
arrange(struct relay *r)
{
	size_t whole = sizeof(r->head) + r->conn->need;
	bool more = r->binds.len || (r->asking && r->sent < whole);
	uint32_t events = more ? EPOLLIN | EPOLLOUT : EPOLLIN;

	if (r->events != events)
		loop_fd(r->fd, events, on_upstream, r);
	r->events = events;
}

/* The request stands in the client's buffer until it is answered. */
static ssize_t
send_request(struct relay *r)
{
	struct conn *c = r->conn;
	size_t head = r->sent < sizeof(r->head) ? sizeof(r->head) - r->sent : 0;
	size_t body = r->sent + head - sizeof(r->head);
	struct iovec part[2] = {
	    {r->head + sizeof(r->head) - head, head},
	    {c->in.data + body, c->need - body},
	};
	struct msghdr m = {.msg_iov = part, .msg_iovlen = 2};
	ssize_t n = sendmsg(r->fd, &m, MSG_NOSIGNAL);

	if (n > 0)
		r->sent += (size_t)n;
	return n;
}

static ssize_t
send_binds(struct relay *r)
{
	ssize_t n = send(r->fd, r->binds.data, r->binds.len, MSG_NOSIGNAL);

	if (n > 0)
		buf_eat(&r->binds, (size_t)n);
	return n;
}

/* As much as it takes. False: it is gone. */
static bool
push(struct relay *r)
{
	size_t whole = sizeof(r->head) + r->conn->need;
	ssize_t n;

	while (r->binds.len || (r->asking && r->sent < whole)) {
		n = r->binds.len ? send_binds(r) : send_request(r);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno != EINTR)
			return false;
	}
	arrange(r);
	return true;
}

/* A whole answer is there. False: nobody asked for it. */
static bool
take_answer(struct relay *r)
{
	if (r->owed) {
		/* Good or bad: what it makes of the bind is its affair. */
		buf_eat(&r->in, r->need);
		r->need = 0;
		if (--r->owed == 0)
			wake(r);
		return true;
	}
	if (!r->asking || r->sent < sizeof(r->head) + r->conn->need)
		return false;
	r->answered = true;
	wake(r);
	return true;
}

/* Never more than the rest of one answer. */
static bool
pull(struct relay *r)
{
	struct view v;
	size_t want;
	ssize_t n;

	want = r->need ? r->need : sizeof(r->head);
	if (!buf_reserve(&r->in, want - r->in.len))
		return false;
	n = recv(r->fd, r->in.data + r->in.len, want - r->in.len, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		return false;
	if (n < 0)
		return true;
	r->in.len += (size_t)n;
	if (r->in.len < want)
		return true;
	if (r->need)
		return take_answer(r);
	v = view_of(&r->in);
	view_u32(&v, &r->need);
	buf_eat(&r->in, sizeof(r->head));
	/* conn_send() has a byte for the type and four for the length. */
	return r->need > 0 && r->need <= BUF_MAX - 4;
}

static void
on_upstream(uint32_t events, void *arg)
{
	struct relay *r = arg;

	if ((events & EPOLLOUT) && !push(r)) {
		end(r);
		return;
	}
	if ((events & ~(uint32_t)EPOLLOUT) && !pull(r))
		end(r);
}

/* ---- finding it */

static void
too_long(void *arg)
{
	give_up(arg, "it does not answer");
}

static void
find(void *arg)
{
	struct relay *r = arg;
	struct link l = {.type = LINK_UPSTREAM};

	memcpy(l.tag, &r->number, sizeof(r->number));
	memcpy(l.path, r->path, sizeof(l.path));
	if (spawner_send(&l))
		loop_after(&r->timer, CONNECT_MS, too_long, r);
	else
		loop_after(&r->timer, RETRY_MS, find, r);
}

static const char *
why_not(enum aw_err e)
{
	switch (e) {
	case AW_NOAGENT:
		return "nobody listens";
	case AW_DENIED:
		return "it is another user's";
	case AW_CONFIG:
		return "it is an agent of awsenv's own";
	case AW_TIMEOUT:
		return "it does not answer";
	case AW_GONE:
		return "it hangs up";
	case AW_BUSY:
		return "too many connections are being made";
	default:
		return "it cannot be reached";
	}
}

static void
found(const struct link *l)
{
	struct relay *r;
	uint64_t number;

	memcpy(&number, l->tag, sizeof(number));
	LIST_FOREACH(r, &relays, entry)
	{
		if (r->number == number && r->state == RELAY_CONNECTING)
			break;
	}
	if (!r) {
		if (l->nfds)
			close(l->fds[0]);
		return;
	}
	memcpy(r->path, l->path, sizeof(r->path));
	r->how = l->flags;
	if (!l->nfds) {
		give_up(r, why_not((enum aw_err)l->error));
		return;
	}
	loop_cancel(&r->timer);
	r->fd = l->fds[0];
	r->state = RELAY_UP;
	if (r->report || r->owed == 0)
		wake(r);
	else if (!push(r))
		end(r);
}

void
relay_open(void)
{
	spawner_on(LINK_UPSTREAM_IS, found);
}

/* The agent's own settings are read: which one, and what of it? */
static void
settle(struct relay *r)
{
	const struct table *t = table_for(&ask_nobody);
	struct view path;

	loop_cancel(&r->timer);
	hold_off(&r->read);
	r->state = RELAY_READ;
	if (!t || !t->now) {
		give_up(r, "the config cannot be read");
		return;
	}
	path = table_setting(t, "awsenv_ssh_agent");
	r->all = view_is(table_setting(t, "awsenv_ssh_relay"), "all");
	r->proxy = view_is(table_setting(t, "awsenv_ssh_proxy"), "true");
	if (table_off(t).n || view_is(path, "none") ||
	    path.n >= sizeof(r->path)) {
		give_up(r, "the config has none");
		return;
	}
	if (path.n)
		memcpy(r->path, path.p, path.n);
	wake(r);
}

static void
read_late(void *arg)
{
	settle(arg);
}

static void
read_done(void *arg, enum aw_err error, const char *text)
{
	(void)error;
	(void)text;
	settle(arg);
}

/* False: it is known already. */
static bool
read_config(struct relay *r)
{
	struct job *job = table_renew(FRESH_MS);
	int64_t left = job ? table_patience(job) : 0;

	r->state = RELAY_READING;
	if (left <= 0) {
		settle(r);
		return false;
	}
	r->read.fn = read_done;
	r->read.arg = r;
	hold_on(&job->holds, &r->read);
	loop_after(&r->timer, left, read_late, r);
	return true;
}

/* ---- the client's side */

/* Who said something that was no bind may have meant one. */
static bool
may_relay(const struct conn *c)
{
	return c->listener == AT_FORWARD && !c->binds.poisoned;
}

void
relay_bind(struct conn *c)
{
	struct relay *r;

	if (!may_relay(c))
		return;
	r = relay_of(c);
	if (r->state == RELAY_NONE || r->state == RELAY_GONE)
		return;
	r->bound = true;
	if (c->frames == 0) {
		r->first = true;
		r->forwarding = c->in.data[c->need - 1] == 1;
	}
	r->owed++;
	if (c->need > HELD_MAX || r->binds.len > HELD_MAX - c->need) {
		give_up(r, "a client sent too large binds");
		return;
	}
	buf_string(&r->binds, (struct view){c->in.data, c->need});
	if (r->binds.bad)
		fatalx("no memory for a bind");
	if (r->state == RELAY_UP && !push(r))
		end(r);
}

/* Where SSH_AUTH_SOCK leads here, so do this machine's programs. */
static bool
is_tool(const struct relay *r)
{
	const struct look *look = &r->conn->look;

	return r->proxy && !r->bound && look->state == LOOK_DONE &&
	    (look->seen.flags & (SEEN_THERE | SEEN_SSH)) == SEEN_THERE;
}

/* The user's own ssh writes the first bind itself: for forwarding, or to log
 * in, which without the proxy it does elsewhere. */
static bool
is_believed(const struct relay *r)
{
	return r->first && (r->forwarding || r->proxy) && r->conn->binds.counts;
}

static void
put_nobody(struct relay *r)
{
	struct buf binds = {0};

	buf_put(&binds, nobody, sizeof(nobody));
	buf_put(&binds, r->binds.data, r->binds.len);
	if (binds.bad)
		fatalx("no memory for a bind");
	buf_free(&r->binds);
	r->binds = binds;
	r->owed++;
}

static void
connect_it(struct relay *r)
{
	if (nrelays >= RELAYS_MAX) {
		give_up(r, "too many connections are relayed");
		return;
	}
	if (!r->report && !is_believed(r) && !is_tool(r))
		put_nobody(r);
	r->counted = true;
	nrelays++;
	r->state = RELAY_CONNECTING;
	find(r);
}

static void
ask(struct relay *r)
{
	struct conn *c = r->conn;
	uint32_t n = c->need;

	r->head[0] = (uint8_t)(n >> 24);
	r->head[1] = (uint8_t)(n >> 16);
	r->head[2] = (uint8_t)(n >> 8);
	r->head[3] = (uint8_t)n;
	r->sent = 0;
	r->asking = true;
	if (!push(r))
		end(r);
}

static void
answer(struct relay *r)
{
	struct view v = view_of(&r->in);
	uint8_t type = SSH_AGENT_FAILURE;

	view_u8(&v, &type);
	conn_send(r->conn, type, v);
	buf_free(&r->in);
	r->need = 0;
	r->asking = r->answered = false;
}

/* A name of ours that this version does not know is nobody else's. */
static bool
is_ours(struct view frame)
{
	static const char domain[] = "@awsenv";
	const uint32_t n = sizeof(domain) - 1;
	struct view name;
	uint8_t type;

	return view_u8(&frame, &type) && type == SSH_AGENTC_EXTENSION &&
	    view_string(&frame, &name) && name.n >= n &&
	    memcmp(name.p + name.n - n, domain, n) == 0;
}

static bool
wanted(const struct relay *r, uint8_t type)
{
	struct view frame = {r->conn->in.data, r->conn->need};

	return type == SSH_AGENTC_REQUEST_IDENTITIES ||
	    type == SSH_AGENTC_SIGN_REQUEST ||
	    ((r->all || is_tool(r)) && !is_ours(frame));
}

/* As an ssh-agent without a key. */
static bool
have_none(struct conn *c, uint8_t type)
{
	static const uint8_t none[4];

	if (type != SSH_AGENTC_REQUEST_IDENTITIES)
		return false;
	conn_send(
	    c, SSH_AGENT_IDENTITIES_ANSWER, (struct view){none, sizeof(none)});
	return true;
}

bool
relay_run(struct conn *c)
{
	uint8_t type = c->in.data[0];
	struct relay *r;

	if (!may_relay(c))
		return false;
	r = relay_of(c);
	if (!c->progress.deadline)
		c->progress.deadline = loop_now() + REQUEST_MS;
	if (r->state == RELAY_NEW)
		read_config(r);
	if (r->state == RELAY_NONE)
		return have_none(c, type);
	if (r->state == RELAY_READ && conn_look(c, 0) == REQUEST_HELD)
		return true;
	if (r->state >= RELAY_READ && !wanted(r, type))
		return false;
	if (r->state == RELAY_READ)
		connect_it(r);
	else if (r->state == RELAY_UP && r->answered) {
		answer(r);
		return true;
	} else if (r->state == RELAY_UP && !r->owed && !r->asking)
		ask(r);
	if (r->state == RELAY_NONE)
		return have_none(c, type);
	/* Given up here, late, its answer would be taken for another's. */
	if (r->state == RELAY_GONE ||
	    conn_hold(c, STAGE_RELAY, &r->holds, REQUEST_MS) != REQUEST_HELD)
		conn_end(c);
	return true;
}

enum aw_err
relay_report(struct round *round)
{
	struct relay_rep *rep = &round->rep.relay;
	struct conn *c = round->conn;
	struct relay *r = relay_of(c);

	r->report = true;
	if (r->state == RELAY_NEW)
		read_config(r);
	if (r->state == RELAY_READ)
		connect_it(r);
	if (r->state < RELAY_UP &&
	    conn_hold(c, STAGE_RELAY, &r->holds, INT64_MAX) == REQUEST_HELD)
		return REQUEST_HELD;
	buf_put(&round->keep[0], r->path, strlen(r->path));
	rep->path = view_of(&round->keep[0]);
	rep->how = (uint8_t)r->how;
	if (r->state != RELAY_UP)
		rep->why = view_str(r->why ? r->why : why_not(AW_TIMEOUT));
	rep->all = r->all;
	rep->proxy = r->proxy;
	relay_close(c);
	return AW_OK;
}
