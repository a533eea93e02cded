/* SPDX-License-Identifier: ISC */
/*
 * Questions to the person: may this one have those credentials? They wait here
 * until a client of this machine that a person sits at has shown them, and the
 * answer is there or nobody gave one in time, which is a no.
 *
 * Who may ask at all is not decided here, and nothing is known of screens. What
 * is remembered is in memory alone: with the broker it is gone, and asked anew.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define OPEN_MAX 8	       /* of each kind: local, remote */
#define PEER_MAX 3	       /* of one process far away */
#define QUESTION_MS 50000      /* of the 60 s that a request is held */
#define RATE_MAX 20	       /* new ones of each kind ... */
#define RATE_MS (10 * 60000)   /* ... in that time */
#define NO_MS 60000	       /* a far side that heard no is not to nag */
#define HOUR_MS (60 * 60000)   /* a yes for an hour */
#define PEER_MS (12 * 3600000) /* one for a connection, at most */
#define SAID_MAX 64
#define ITEM_MAX 4096
#define SEAT_MS 60000	    /* for a person to read, before the next request */
#define GRACE_MS 3000	    /* for clients to find this broker ... */
#define GRACE_NEXT_MS 10000 /* ... who may be at a question of the one before */
#define HELD_MAX 3600

#define NONE_TEXT "nobody answered in time"
#define CAN_TEXT                                                         \
	"this needs a person's yes, and nobody can be asked: where the " \
	"agent runs, keep awsenv confirm open on another terminal, or "  \
	"unlock the desktop, where awsenv login --desktop asks"

struct open {
	TAILQ_ENTRY(open) entry;
	uint64_t id;
	struct buf key; /* all that is shown */
	struct buf subject;
	struct buf item; /* as the clients get it */
	uint8_t answers;
	bool remote;
	pid_t pid;
	uint64_t began;
	int64_t until;
	struct holds holds; /* the requests */
};

/* What was said, and of what. */
struct said {
	TAILQ_ENTRY(said) entry;
	struct buf subject;
	bool yes;
	pid_t pid; /* 0: whoever asks */
	uint64_t began;
	int64_t until;
};

static TAILQ_HEAD(, open) opens = TAILQ_HEAD_INITIALIZER(opens);
static TAILQ_HEAD(, said) saids = TAILQ_HEAD_INITIALIZER(saids);
static LIST_HEAD(, conn) seats = LIST_HEAD_INITIALIZER(seats);
static struct holds viewers = LIST_HEAD_INITIALIZER(viewers);
static unsigned int nsaids;
static uint64_t changes;
static int64_t asked_at[2][RATE_MAX]; /* the latest of each kind, in turn */
static unsigned int asked_next[2];
static int64_t grace;

void
question_open(const struct link *hello)
{
	grace = loop_now() + (hello->restarts ? GRACE_NEXT_MS : GRACE_MS);
}

static void
changed(void)
{
	changes++;
	hold_wake(&viewers, AW_OK, NULL);
}

static struct view
host_of(const struct question *q)
{
	return q->remote ? q->host : (struct view){0};
}

/* What a yes is for. The login comes first: see question_forget(). */
static void
subject_put(const struct question *q, struct buf *out)
{
	const struct target *t = q->target;

	buf_put(out, t->id.data, t->id.len);
	buf_u8(out, q->remote);
	buf_string(out, host_of(q));
}

/* All that is shown: of two that look alike one is. */
static void
key_put(const struct question *q, const struct conn *c, struct buf *out)
{
	const struct seen *seen = &c->look.seen;

	subject_put(q, out);
	buf_string(out, q->target->profile);
	buf_string(out, q->hops);
	buf_string(out, view_str(seen->parents));
	buf_string(out, view_str(seen->folder));
	/* Of an unknown host the process that brings it is all that is known:
	 * what one is asked is not the answer for another. */
	buf_u32(out, q->remote && !q->host.n ? (uint32_t)c->pid : 0);
}

/* ---- what was said */

static void
said_free(struct said *s)
{
	TAILQ_REMOVE(&saids, s, entry);
	nsaids--;
	buf_free(&s->subject);
	free(s);
}

static void
remember(struct view subject, bool yes, pid_t pid, uint64_t began, int64_t ms)
{
	struct said *s;

	if (nsaids == SAID_MAX)
		said_free(TAILQ_FIRST(&saids));
	if (!(s = calloc(1, sizeof(*s))))
		fatal("question");
	buf_put(&s->subject, subject.p, subject.n);
	if (s->subject.bad)
		fatalx("no memory for an answer");
	s->yes = yes;
	s->pid = pid;
	s->began = began;
	s->until = loop_now() + ms;
	TAILQ_INSERT_TAIL(&saids, s, entry);
	nsaids++;
}

static const struct said *
recall(struct view subject, pid_t pid, uint64_t began)
{
	struct said *s, *next;

	for (s = TAILQ_FIRST(&saids); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->until <= loop_now())
			said_free(s);
		else if (view_eq(view_of(&s->subject), subject) &&
		    (!s->pid || (s->pid == pid && s->began == began)))
			return s;
	}
	return NULL;
}

/* ---- open questions */

/* Off the list, so that none of those it wakes finds it. */
static void
open_end(struct open *o, enum aw_err error, const char *text)
{
	TAILQ_REMOVE(&opens, o, entry);
	hold_wake(&o->holds, error, text);
	buf_free(&o->key);
	buf_free(&o->subject);
	buf_free(&o->item);
	free(o);
	changed();
}

/* Those that nobody waits for any more are not shown any longer. */
static void
reap(void)
{
	struct open *o, *next;

	for (o = TAILQ_FIRST(&opens); o; o = next) {
		next = TAILQ_NEXT(o, entry);
		if (LIST_EMPTY(&o->holds)) {
			open_end(o, AW_OK, NULL);
			next = TAILQ_FIRST(&opens);
		}
	}
}

static struct open *
open_find(struct view key)
{
	struct open *o;

	TAILQ_FOREACH(o, &opens, entry)
	{
		if (view_eq(view_of(&o->key), key))
			return o;
	}
	return NULL;
}

static struct open *
by_id(uint64_t id)
{
	struct open *o;

	TAILQ_FOREACH(o, &opens, entry)
	{
		if (o->id == id)
			return o;
	}
	return NULL;
}

/* The times are of the broker's own clock, which never jumps. */
static bool
too_often(bool remote)
{
	int64_t *at = &asked_at[remote][asked_next[remote]];

	if (*at && loop_now() - *at < RATE_MS)
		return true;
	*at = loop_now();
	asked_next[remote] = (asked_next[remote] + 1) % RATE_MAX;
	return false;
}

/* Nobody is to find a screen full of them. */
static enum aw_err
room_for(struct round *r, const struct question *q)
{
	unsigned int same = 0, peer = 0;
	struct open *o;

	TAILQ_FOREACH(o, &opens, entry)
	{
		same += o->remote == q->remote;
		peer += o->remote && q->remote && o->pid == r->conn->pid;
	}
	if (same >= OPEN_MAX || peer >= PEER_MAX) {
		round_say(r, "too many questions wait for an answer");
		return AW_BUSY;
	}
	if (too_often(q->remote)) {
		round_say(r, "too many questions within ten minutes");
		return AW_BUSY;
	}
	return AW_OK;
}

static uint8_t
answers_for(const struct question *q, uint64_t began)
{
	uint8_t can = 1u << ANSWER_NO | 1u << ANSWER_ONCE;

	if (!q->remote)
		return can | 1u << ANSWER_HOUR;
	if (!q->host.n)
		return can;
	return can | 1u << ANSWER_HOUR | (began ? 1u << ANSWER_PEER : 0);
}

static struct open *
open_new(const struct question *q, struct view key, const struct conn *c)
{
	const struct target *t = q->target;
	const struct seen *seen = &c->look.seen;
	struct question_item item = {
	    .until = loop_time() + QUESTION_MS / 1000,
	    .answers = answers_for(q, seen->began),
	    .remote = q->remote,
	    .profile = t->profile,
	    .session = round_session(t),
	    .account = t->account,
	    .role = t->role,
	    .chain = target_chain_end(t->chain),
	    .host = host_of(q),
	    .hops = q->hops,
	    .programs = view_str(seen->parents),
	    .folder = view_str(seen->folder),
	};
	static uint32_t number;
	struct open *o;

	if (!(o = calloc(1, sizeof(*o))))
		fatal("question");
	/* One that was answered at another broker is none of this one's. */
	o->id = (uint64_t)loop_random(UINT32_MAX) << 32 | ++number;
	item.id = o->id;
	msg_encode(MSG_QUESTION_ITEM, &item, &o->item);
	buf_put(&o->key, key.p, key.n);
	subject_put(q, &o->subject);
	if ((o->item.bad && !o->item.full) || o->key.bad || o->subject.bad)
		fatalx("no memory for a question");
	o->answers = item.answers;
	o->remote = q->remote;
	o->pid = c->pid;
	o->began = seen->began;
	o->until = loop_now() + QUESTION_MS;
	LIST_INIT(&o->holds);
	return o;
}

/* AW_OK: it is on the list. */
static enum aw_err
open_add(struct round *r, const struct question *q, struct view key,
    struct open **out)
{
	struct open *o;
	enum aw_err e;

	if (!question_can() && loop_now() >= grace) {
		round_say(r, CAN_TEXT);
		return AW_DENIED;
	}
	if ((e = room_for(r, q)) != AW_OK)
		return e;
	o = *out = open_new(q, key, r->conn);
	TAILQ_INSERT_TAIL(&opens, o, entry);
	if (o->item.bad || o->item.len > ITEM_MAX) {
		round_say(r, "this is too long for a person to be asked");
		open_end(o, AW_OK, NULL);
		return AW_DENIED;
	}
	return AW_OK;
}

static enum aw_err
wait_for(struct round *r, const struct question *q, struct view subject)
{
	AUTOBUF struct buf key = {0};
	struct progress *p = r->progress;
	struct open *o;
	enum aw_err e = AW_OK;
	bool fresh;

	key_put(q, r->conn, &key);
	if (key.bad)
		return AW_NOMEM;
	/* One that only this request waited for, and goes on to, stays. */
	if (!(o = open_find(view_of(&key))))
		reap();
	fresh = !o;
	if (fresh && (e = open_add(r, q, view_of(&key), &o)) != AW_OK)
		return e;
	buf_reset(&p->asked);
	buf_put(&p->asked, subject.p, subject.n);
	p->question = o->id;
	p->agreed = false;
	e = conn_hold(r->conn, STAGE_QUESTION, &o->holds,
	    (question_can() ? o->until : grace) - loop_now());
	if (e != REQUEST_HELD) {
		round_say(r, NONE_TEXT);
		reap();
		return AW_DENIED;
	}
	if (fresh)
		changed();
	return e;
}

/* A person at this machine may try again at once, a far side not. */
static void
remember_no(const struct open *o)
{
	if (o->remote)
		remember(view_of(&o->subject), false, o->pid, o->began, NO_MS);
}

/* How it ended, for a request that waited. */
static enum aw_err
answered(struct round *r)
{
	struct progress *p = r->progress;
	struct open *o = by_id(p->question);

	if (p->error == AW_OK) {
		p->agreed = true;
		return AW_OK;
	}
	round_say(r,
	    p->error != AW_TIMEOUT ? p->text
		: question_can()   ? NONE_TEXT
				   : CAN_TEXT);
	if (p->error == AW_TIMEOUT && o && o->until <= loop_now()) {
		remember_no(o);
		open_end(o, AW_DENIED, NONE_TEXT);
	}
	reap();
	return AW_DENIED;
}

/* Nobody was there to ask yet, but somebody came. */
static bool
goes_on(const struct progress *p)
{
	struct open *o = by_id(p->question);

	return p->error == AW_TIMEOUT && o && o->until > loop_now() &&
	    question_can();
}

enum aw_err
question_ask(struct round *r, const struct question *q)
{
	AUTOBUF struct buf subject = {0};
	struct progress *p = r->progress;
	const struct said *s;
	enum aw_err e;

	subject_put(q, &subject);
	if (subject.bad)
		fatalx("no memory for a question");
	/* What is asked for may be another thing since: the file changed. */
	if (p->asked.len && view_eq(view_of(&p->asked), view_of(&subject))) {
		if (p->agreed)
			return AW_OK;
		if (p->waited == STAGE_QUESTION && !goes_on(p))
			return answered(r);
	}
	if ((e = conn_look(r->conn, 0)) != AW_OK)
		return e;
	s = recall(view_of(&subject), r->conn->pid, r->conn->look.seen.began);
	if (s && s->yes)
		return AW_OK;
	if (s) {
		round_say(r, "the answer was no, less than a minute ago");
		return AW_DENIED;
	}
	return wait_for(r, q, view_of(&subject));
}

/* ---- who shows them */

bool
question_can(void)
{
	const struct conn *c;

	LIST_FOREACH(c, &seats, seat)
	{
		if (c->seated > loop_now())
			return true;
	}
	return false;
}

static void
seat(struct conn *c, int64_t until)
{
	if (!c->seated)
		LIST_INSERT_HEAD(&seats, c, seat);
	c->seated = until;
}

void
question_gone(struct conn *c)
{
	if (c->seated)
		LIST_REMOVE(c, seat);
	c->seated = 0;
	reap();
}

static bool
begins(const struct buf *b, struct view prefix)
{
	return b->len >= prefix.n &&
	    view_eq((struct view){b->data, prefix.n}, prefix);
}

void
question_forget(struct view login)
{
	struct said *s, *next_said;
	struct open *o, *next;

	for (s = TAILQ_FIRST(&saids); s; s = next_said) {
		next_said = TAILQ_NEXT(s, entry);
		if (begins(&s->subject, login))
			said_free(s);
	}
	for (o = TAILQ_FIRST(&opens); o; o = next) {
		next = TAILQ_NEXT(o, entry);
		if (begins(&o->subject, login)) {
			open_end(o, AW_DENIED, "the login was ended");
			next = TAILQ_FIRST(&opens);
		}
	}
}

/* All that wait now, the oldest first. */
static void
tell(struct round *r)
{
	struct questions_rep *rep = &r->rep.questions;
	struct open *o;

	TAILQ_FOREACH(o, &opens, entry)
	{
		buf_string(&r->keep[0], view_of(&o->item));
	}
	rep->change = changes;
	rep->items = view_of(&r->keep[0]);
}

/*
 * A far side may type where an ssh runs, and who types there may take this
 * machine for another. What cannot be looked at is not trusted with an answer,
 * and each request is looked at anew: an ssh may have come since.
 */
static enum aw_err
may_answer(struct round *r)
{
	struct look *look = &r->conn->look;
	enum aw_err e;

	if (r->progress->waited == STAGE_NONE)
		look_off(look);
	if ((e = conn_look(r->conn, LOOK_TERMINAL)) != AW_OK)
		return e;
	if (look->state != LOOK_DONE || !(look->seen.flags & SEEN_THERE)) {
		round_say(r, "nothing is known of the program that asks");
		return AW_DENIED;
	}
	if (look->seen.flags & (SEEN_SSH | SEEN_SSH_BESIDE)) {
		round_say(r,
		    "an ssh runs on this terminal: questions are answered on "
		    "another, where nobody from afar can type");
		return AW_DENIED;
	}
	return AW_OK;
}

enum aw_err
questions_run(struct round *r)
{
	const struct questions_req *req = &r->msg->questions;
	uint32_t seconds = req->seconds < HELD_MAX ? req->seconds : HELD_MAX;
	enum aw_err e;

	if ((e = may_answer(r)) != AW_OK)
		return e;
	if (req->seen == changes && seconds &&
	    r->progress->waited != STAGE_QUESTIONS) {
		e = conn_hold(r->conn, STAGE_QUESTIONS, &viewers,
		    (int64_t)seconds * 1000);
		if (e == REQUEST_HELD)
			seat(r->conn, INT64_MAX);
		return e;
	}
	seat(r->conn, loop_now() + SEAT_MS);
	tell(r);
	return AW_OK;
}

/* Whoever asks does not answer himself, nor what runs on the same terminal. */
static bool
asks_itself(const struct open *o, const struct conn *c)
{
	const struct conn *asker;
	const struct hold *h;

	LIST_FOREACH(h, &o->holds, entry)
	{
		asker = h->arg;
		if (asker->pid == c->pid ||
		    (c->look.seen.terminal &&
			c->look.seen.terminal == asker->look.seen.terminal))
			return true;
	}
	return o->pid == c->pid;
}

enum aw_err
answer_run(struct round *r)
{
	const struct answer_req *req = &r->msg->answer;
	struct view subject;
	struct open *o;
	enum aw_err e;

	if (req->answer > ANSWER_HOUR)
		return AW_PROTO;
	if ((e = may_answer(r)) != AW_OK)
		return e;
	o = by_id(req->id);
	if (!o) {
		round_say(r, "that question was answered, or is over");
		return AW_GONE;
	}
	if (!r->conn->seated || asks_itself(o, r->conn)) {
		round_say(
		    r, "who asks cannot answer, nor anybody on its terminal");
		return AW_DENIED;
	}
	if (!(o->answers & 1u << req->answer)) {
		round_say(r, "that answer was not offered");
		return AW_PROTO;
	}
	subject = view_of(&o->subject);
	if (req->answer == ANSWER_HOUR)
		remember(subject, true, 0, 0, HOUR_MS);
	else if (req->answer == ANSWER_PEER)
		remember(subject, true, o->pid, o->began, PEER_MS);
	else if (req->answer == ANSWER_NO)
		remember_no(o);
	log_info("question: answer %u by pid %d", (unsigned)req->answer,
	    (int)r->conn->pid);
	if (req->answer == ANSWER_NO)
		open_end(o, AW_DENIED, "the answer was no");
	else
		open_end(o, AW_OK, NULL);
	return AW_OK;
}
