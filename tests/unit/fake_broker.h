/* SPDX-License-Identifier: ISC */
/*
 * The broker with everything around it in the hand of a test: a clock, a store
 * in memory, a spawner and its programs, clients. Included once by a test; its
 * store and clock take the place of the real ones.
 */
#ifndef FAKE_BROKER_H
#define FAKE_BROKER_H

#include "agent/broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define UNUSED __attribute__((unused))

/* ---- the clock: starts in 2026, moves when told */

static uint64_t fake_seconds = 1790000000;
static int64_t fake_ms = 1000;

uint64_t
loop_time(void)
{
	return fake_seconds;
}

int64_t
loop_now(void)
{
	return fake_ms;
}

static void
nothing(UNUSED void *arg)
{
}

#ifndef SETTLE_ROUNDS
#define SETTLE_ROUNDS 40
#endif

/* Serve all that can be served without time going by. */
static UNUSED void
settle(void)
{
	static struct timer t;
	int i;

	for (i = 0; i < SETTLE_ROUNDS; i++) {
		loop_after(&t, 0, nothing, NULL); /* never sleep */
		loop_once();
	}
}

static UNUSED void
pass(uint64_t seconds)
{
	fake_seconds += seconds;
	fake_ms += (int64_t)seconds * 1000;
	settle();
}

/* ---- the store */

#define FAKE_KEYS 64

static struct fake_key {
	enum store_kind kind;
	struct buf bytes;
} fake_keys[FAKE_KEYS];
static enum aw_err fake_store_error;
static bool (*fake_fails)(const char *name); /* failing_this(), or NULL */

/* The real one's word for a call that failed once. */
static UNUSED bool
fake_fault(const char *name, enum aw_err *r)
{
	if (!fake_fails || !fake_fails(name))
		return false;
	*r = errno == ENOMEM ? AW_NOMEM : AW_SYSTEM;
	return true;
}

static struct fake_key *
fake_find(enum store_kind kind, struct view id, struct record *rec)
{
	int i;

	for (i = 0; i < FAKE_KEYS; i++) {
		if (fake_keys[i].bytes.len && fake_keys[i].kind == kind &&
		    msg_decode(MSG_RECORD, view_of(&fake_keys[i].bytes), rec) &&
		    view_eq(rec->id, id))
			return &fake_keys[i];
	}
	return NULL;
}

enum aw_err
store_put(enum store_kind kind, const struct record *rec)
{
	struct buf bytes = {0};
	struct record old, out = *rec;
	struct fake_key *k = fake_find(kind, rec->id, &old);
	enum aw_err r;
	int i;

	if (fake_store_error)
		return fake_store_error;
	if (fake_fault("store_put", &r))
		return AW_NOMEM; /* it says no more */
	out.kind = (uint8_t)kind;
	msg_encode(MSG_RECORD, &out, &bytes);
	if (bytes.bad) {
		buf_free(&bytes);
		return AW_NOMEM;
	}
	for (i = 0; !k && i < FAKE_KEYS; i++) {
		if (!fake_keys[i].bytes.len)
			k = &fake_keys[i];
	}
	assert(k);
	buf_free(&k->bytes);
	k->bytes = bytes;
	k->kind = kind;
	return AW_OK;
}

enum aw_err
store_get(
    enum store_kind kind, struct view id, struct buf *out, struct record *rec)
{
	struct fake_key *k = fake_find(kind, id, rec);
	enum aw_err r = AW_OK;

	if (!k || (rec->expires && rec->expires <= fake_seconds))
		return AW_GONE;
	if (fake_fault("store_get", &r))
		return r;
	buf_reset(out);
	buf_put(out, k->bytes.data, k->bytes.len);
	if (out->bad) {
		buf_reset(out);
		return AW_NOMEM;
	}
	return msg_decode(MSG_RECORD, view_of(out), rec) ? AW_OK : AW_GONE;
}

void
store_drop(enum store_kind kind, struct view id)
{
	struct record rec;
	struct fake_key *k = fake_find(kind, id, &rec);

	if (k)
		buf_free(&k->bytes);
}

unsigned int
store_drop_all(unsigned int kinds, struct view prefix)
{
	unsigned int n = 0;
	struct record rec;
	int i;

	for (i = 0; i < FAKE_KEYS; i++) {
		if (!fake_keys[i].bytes.len ||
		    !(kinds & 1u << fake_keys[i].kind) ||
		    !msg_decode(
			MSG_RECORD, view_of(&fake_keys[i].bytes), &rec) ||
		    rec.id.n < prefix.n ||
		    (prefix.n && memcmp(rec.id.p, prefix.p, prefix.n) != 0))
			continue;
		buf_free(&fake_keys[i].bytes);
		n++;
	}
	return n;
}

bool
store_each(unsigned int kinds, void (*fn)(const struct store_entry *, void *),
    void *arg)
{
	struct store_entry e = {0};
	bool whole = true;
	enum aw_err r;
	int i;

	for (i = 0; i < FAKE_KEYS; i++) {
		if (!fake_keys[i].bytes.len ||
		    !(kinds & 1u << fake_keys[i].kind) ||
		    !msg_decode(
			MSG_RECORD, view_of(&fake_keys[i].bytes), &e.record) ||
		    (e.record.expires && e.record.expires <= fake_seconds))
			continue;
		if (fake_fault("store_each", &r)) {
			whole = false;
			continue;
		}
		e.serial = i + 1;
		e.kind = fake_keys[i].kind;
		e.timeout = e.record.expires;
		e.size = (uint32_t)fake_keys[i].bytes.len;
		fn(&e, arg);
	}
	return whole;
}

void
store_usage(struct store_usage *use)
{
	*use = (struct store_usage){1, 200, 1000, 20000};
}

/* ---- supervisor, spawner, programs */

static int fake_spawner = -1; /* our ends */
static int fake_supervisor = -1;
static uint8_t fake_tag[LINK_TAG]; /* of the program that came last */

/* Once in each process. */
static UNUSED void
fake_begin(void)
{
	int spawner[2], supervisor[2];

	if (fake_spawner >= 0)
		return;
	assert(link_pair(spawner) == 0 && link_pair(supervisor) == 0);
	fake_spawner = spawner[1];
	fake_supervisor = supervisor[1];
	loop_open();
	spawner_open(spawner[0]);
	look_open();
	relay_open();
	job_open(supervisor[0]);
	table_open();
	login_open();
	lock_open();
	presence_open();
	role_open();
	grants_open();
}

/* The next program that the broker wants: our end of its link, or -1. */
static UNUSED int
fake_spawn_any(enum link_program *program)
{
	static int32_t pid = 1000;
	struct link l;
	int fd[2];

	settle();
	if (link_recv(fake_spawner, &l) != AW_OK)
		return -1;
	assert(l.type == LINK_SPAWN);
	*program = l.program;
	memcpy(fake_tag, l.tag, LINK_TAG);
	assert(link_pair(fd) == 0);
	l.type = LINK_SPAWNED;
	l.pid = pid++;
	l.nfds = 1;
	l.fds[0] = fd[0];
	assert(link_send(fake_spawner, &l) == AW_OK);
	close(fd[0]);
	settle();
	return fd[1];
}

static UNUSED int
fake_spawn(enum link_program program)
{
	enum link_program wanted = program;
	int fd = fake_spawn_any(&wanted);

	assert(wanted == program);
	return fd;
}

/* What the broker told that program; *keep holds the bytes. */
static UNUSED enum msg_kind
fake_order(int fd, struct buf *keep, void *msg)
{
	enum msg_kind kind;
	struct view body;

	if (link_peek_msg(fd, keep, &kind, &body) != AW_OK)
		return MSG__MAX;
	link_drop(fd);
	assert(msg_decode(kind, body, msg));
	return kind;
}

/* A fetcher; what it is to do is in *f. */
static UNUSED int
fake_fetcher(struct fetch *f, struct buf *keep)
{
	int fd = fake_spawn(PROGRAM_FETCH);

	if (fd >= 0)
		assert(fake_order(fd, keep, f) == MSG_FETCH);
	return fd;
}

static UNUSED void
fake_answer(int fd, const struct fetch *f, struct answer *a)
{
	a->version = MSG_VERSION;
	a->what = f->what;
	a->tag = f->tag;
	assert(link_send_msg(fd, MSG_ANSWER, a) == AW_OK);
	settle();
}

/* The last answer, and the end. */
static UNUSED void
fake_done(int fd, const struct fetch *f, struct answer *a)
{
	a->last = 1;
	fake_answer(fd, f, a);
	close(fd);
	settle();
}

static UNUSED void
fake_failed(int fd, const struct fetch *f, enum aw_err error, const char *text)
{
	struct answer a = {.error = error, .text = view_str(text)};

	fake_done(fd, f, &a);
}

/* ---- a config file of one session and two profiles */

static const uint8_t fake_login[LOGIN_ID] = "login of the session named corp";

static UNUSED struct view
fake_login_id(void)
{
	return (struct view){fake_login, LOGIN_ID};
}

static UNUSED void
fake_facts(struct buf *b)
{
	struct facts f = {
	    .session = view_str("corp"),
	    .start_url = view_str("https://corp.awsapps.com/start"),
	    .region = view_str("eu-central-1"),
	};

	msg_encode(MSG_FACTS, &f, b);
}

static UNUSED struct stamp
fake_stamp(uint64_t mtime)
{
	return (struct stamp){1, 2, 3, mtime};
}

/* What it says of forwarding, for profiles whose names do not begin with "no-"
 * or "ask-". Those of "sure-" are asked for of this machine, too. */
static uint8_t fake_forward;
static struct view fake_hosts;
/* ... and of "far-" ones what another host has in their place. */
static struct view fake_far_chain, fake_far_digest;
static UNUSED const char
    *fake_settings; /* of [awsenv]: "awsenv_x=y", or none */

/* What awsenv-profile sends: these profiles, all in corp. */
static UNUSED void
fake_table(int fd, uint64_t mtime, const char *const *names)
{
	AUTOBUF struct buf facts = {0}, keep = {0};
	struct session s = {
	    .name = view_str("corp"),
	    .login = fake_login_id(),
	    .forward_hosts = fake_hosts,
	};
	struct profile p = {
	    .account = view_str("123456789012"),
	    .role = view_str("Dev"),
	    .region = view_str("eu-west-1"),
	    .sts = view_str("https://sts.eu-west-1.amazonaws.com"),
	};
	struct table_end end = {.stamp = fake_stamp(mtime), .sessions = 1};
	struct read_req order;

	if (fake_settings)
		end.settings = (struct view){(const uint8_t *)fake_settings,
		    (uint32_t)strlen(fake_settings) + 1};
	fake_order(fd, &keep, &order);
	fake_facts(&facts);
	s.facts = view_of(&facts);
	link_send_msg(fd, MSG_SESSION, &s);
	for (; *names; names++, end.profiles++) {
		p.name = view_str(*names);
		p.forward = strncmp(*names, "no-", 3) == 0 ? FORWARD_DENY
		    : strncmp(*names, "ask-", 4) == 0	   ? FORWARD_CONFIRM
							   : fake_forward;
		p.confirm = strncmp(*names, "sure-", 5) == 0;
		p.forward_hosts = fake_hosts;
		if (strncmp(*names, "far-", 4) == 0) {
			p.far_chain = fake_far_chain;
			p.far_digest = fake_far_digest;
		}
		link_send_msg(fd, MSG_PROFILE, &p);
	}
	link_send_msg(fd, MSG_TABLE_END, &end);
}

/* Act as the reader that the broker waits for. False: it waits for none. */
static UNUSED bool
fake_profiles(uint64_t mtime, const char *const *names)
{
	int fd = fake_spawn(PROGRAM_PROFILE);

	if (fd < 0)
		return false;
	fake_table(fd, mtime, names);
	settle();
	close(fd);
	settle();
	return true;
}

/* ---- what is in the store */

static UNUSED void
fake_token(uint64_t life, bool refreshable)
{
	AUTOBUF struct buf facts = {0};
	struct record rec = {
	    .id = fake_login_id(),
	    .obtained = fake_seconds,
	    .expires = fake_seconds + life,
	    .label = view_str("corp"),
	    .sealed = view_str("sealed token"),
	};

	fake_facts(&facts);
	if (life)
		store_put(KEY_TOK, &rec);
	rec.expires = fake_seconds + 90 * 86400;
	rec.facts = view_of(&facts);
	rec.person = view_str("Jane@example.com");
	rec.refreshable = refreshable;
	rec.sealed = view_str("sealed ref");
	store_put(KEY_REF, &rec);
}

static UNUSED const char *fake_access_key = "ASIAEXAMPLE";

static UNUSED void
fake_role(const char *role, uint64_t ago, uint64_t left, const char *sealed)
{
	AUTOBUF struct buf id = {0};
	struct record rec = {
	    .obtained = fake_seconds - ago,
	    .expires = fake_seconds + left,
	    .label = view_str("123456789012/Dev"),
	    .access_key = view_str(fake_access_key),
	    .sealed = view_str(sealed),
	};

	role_id(&id, fake_login_id(), view_str("123456789012"), view_str(role),
	    (struct view){0});
	rec.id = view_of(&id);
	store_put(KEY_ROLE, &rec);
}

/* ---- clients */

/* A connection of a process to the broker; our end. */
static UNUSED int
fake_client_of(pid_t pid, enum origin origin)
{
	int fd[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	conn_add(fd[0], origin, pid);
	return fd[1];
}

static UNUSED int
fake_client(enum origin origin)
{
	return fake_client_of(getpid(), origin);
}

static UNUSED void
fake_send(int fd, const char *name, enum msg_kind kind, const void *msg)
{
	AUTOBUF struct buf body = {0}, frame = {0};

	msg_encode(kind, msg, &body);
	io_put_request(&frame, name, view_of(&body));
	assert(write(fd, frame.data, frame.len) == (ssize_t)frame.len);
	settle();
}

/* False: there is no answer yet. */
static UNUSED bool
fake_reply(
    int fd, const char *name, enum msg_kind kind, void *rep, struct buf *keep)
{
	struct view body;

	settle();
	if (io_get_reply(fd, name, keep, &body, io_deadline(0)) != AW_OK)
		return false;
	assert(msg_decode(kind, body, rep));
	return true;
}

/* The client goes, and with it all that was kept for it. */
static UNUSED void
fake_leave(int fd)
{
	close(fd);
	settle();
	assert(conn_count() == 0);
}

/* Between tests: nothing is left but the process. A table that waits for its
 * reader sees it die until it gives up. */
static UNUSED void
fake_reset(void)
{
	struct link l;
	int i, fd[2];

	login_forget(fake_login_id());
	job_abandon_all(~(1u << JOB_READ), (struct view){0});
	for (i = 0; i < FAKE_KEYS; i++)
		buf_free(&fake_keys[i].bytes);
	for (i = 0; i < 10; i++) {
		while (link_recv(fake_spawner, &l) == AW_OK) {
			assert(link_pair(fd) == 0);
			close(fd[1]);
			l.type = LINK_SPAWNED;
			l.nfds = 1;
			l.fds[0] = fd[0];
			link_send(fake_spawner, &l);
			close(fd[0]);
		}
		pass(1);
	}
	fake_store_error = AW_OK;
	table_forget_all();
	while (link_recv(fake_supervisor, &l) == AW_OK)
		continue;
}

#endif
