/* SPDX-License-Identifier: ISC */
/*
 * Is the person there? While the screen is locked, or since the machine was
 * suspended, nothing new is handed out to whoever was left running there.
 * awsenv login --desktop tells it, since it sees the desktop and holds no keys.
 * Its last word counts, and is kept in the ring: neither a killed broker nor
 * the end of that program unlocks.
 *
 * Two kinds of clients are let through. Who logged in by another way, such as
 * ssh, has proved to be there, and his processes are in a session of their own
 * at logind. And an endpoint of --serve goes on: it is known by being older
 * than the lock, and asks by a fork of itself.
 *
 * Where that is wished for, logins are forgotten with the lock.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define FRESH_MS 1000 /* a config file read since then is not read again */
#define LOOK_MS 5000
#define AGAIN_MS 500
#define NAMES 256 /* of locked sessions, as a list of texts */

static bool locked;
static uint64_t since;	    /* loop_now() when it was locked */
static struct buf sessions; /* at logind, whose screens are */
static struct hold reading; /* of the config file, since it was */

static struct view
screen_id(void)
{
	return view_str("screen");
}

/* ---- what the person wishes */

enum mode { OFF, SOFT, HARD };

/* Of a config file that nobody could read yet the usual is assumed. */
static enum mode
mode(void)
{
	const struct table *t = table_peek(&ask_nobody);
	struct view word = {0};

	if (t)
		word = table_setting(t, "awsenv_lock");
	return view_is(word, "off") ? OFF : view_is(word, "hard") ? HARD : SOFT;
}

static void
drop_if_hard(void)
{
	unsigned int n;

	if (mode() == HARD && (n = logout_drop()) > 0)
		log_info(
		    "the screen is locked: dropped all credentials (%u)", n);
}

static void
was_read(void *arg, enum aw_err error, const char *text)
{
	(void)arg;
	(void)error;
	(void)text;
	drop_if_hard();
}

/* What the config file says now counts, also if that is known when whoever
 * locked the screen waits no longer, or has unlocked it again. */
static enum aw_err
read_settings(struct round *r)
{
	struct job *job;

	if (r->progress->waited == STAGE_TABLE ||
	    !(job = table_renew(FRESH_MS)))
		return AW_OK;
	if (r->msg->screen.locked) {
		reading.fn = was_read;
		hold_on(&job->holds, &reading);
	}
	return conn_hold(
	    r->conn, STAGE_TABLE, &job->holds, table_patience(job));
}

/* ---- what is kept */

/* A session that is not among them would be taken for another one. */
static void
whole(void)
{
	if (sessions.bad)
		fatalx("no memory for the session that is locked");
}

static void
keep(void)
{
	AUTOBUF struct buf facts = {0};
	struct record rec = {
	    .obtained = loop_time(),
	    .id = screen_id(),
	    .label = view_str("screen lock"),
	};
	enum aw_err e;

	buf_u64(&facts, since);
	buf_put(&facts, sessions.data, sessions.len);
	rec.facts = view_of(&facts);
	if (facts.bad)
		fatalx("no memory for the lock of the screen");
	if ((e = store_put(KEY_LOCK, &rec)) == AW_DENIED)
		exit(EXIT_RING);
	if (e != AW_OK)
		log_warn("the lock of the screen cannot be kept, and ends with "
			 "this broker: %s",
		    aw_strerror(e));
}

void
presence_open(void)
{
	AUTOBUF struct buf b = {0};
	struct record rec;
	struct view facts;

	locked = record_get(KEY_LOCK, screen_id(), &b, &rec);
	buf_reset(&sessions);
	if (!locked)
		return;
	facts = rec.facts;
	locked = view_u64(&facts, &since);
	buf_put(&sessions, facts.p, facts.n);
	whole();
}

static void
lock_screen(struct view session)
{
	if (!locked) {
		since = (uint64_t)loop_now();
		log_info("the screen is locked");
	}
	locked = true;
	if (session.n && !view_has(view_of(&sessions), session) &&
	    sessions.len + session.n < NAMES) {
		buf_put(&sessions, session.p, session.n);
		buf_u8(&sessions, '\0');
		whole();
	}
	keep();
}

static void
unlock_screen(void)
{
	if (!locked)
		return;
	locked = false;
	buf_reset(&sessions);
	store_drop(KEY_LOCK, screen_id());
	log_info("the screen is unlocked");
}

bool
presence_locked(void)
{
	return locked && mode() != OFF;
}

/* ---- who may ask all the same */

/* He has a session at logind, and no screen that is locked. */
static bool
is_elsewhere(const struct seen *seen)
{
	struct view name = view_str(seen->session);

	return name.n && !view_has(view_of(&sessions), name);
}

/* It was there before, as far as ticks tell: one that was there for less than
 * one may not be refused. Not so if everything was to be dropped. */
static bool
is_older(const struct conn *c, const struct seen *seen)
{
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);

	return c->origin == LOCAL && mode() != HARD && seen->forked &&
	    seen->forked <= since * ticks / 1000;
}

/* Looked up once for a connection. That it takes its time, mostly since the
 * spawner had no room for the question, is no refusal: an endpoint takes one
 * for the last word. */
static enum aw_err
find_place(struct round *r)
{
	struct progress *p = r->progress;
	struct look *place = &r->conn->place;

	if (place->state == LOOK_DONE && !place->seen.flags)
		look_off(place);
	look_at(place, r->conn->pid, LOOK_PLACE);
	if (!place->seen.flags) {
		if (conn_hold(r->conn, STAGE_PRESENCE, &place->holds,
			place->state == LOOK_ASKED ? LOOK_MS : AGAIN_MS) ==
		    REQUEST_HELD)
			return REQUEST_HELD;
		round_say(r,
		    "the screen where the agent runs is locked, and "
		    "it cannot be told just now where you run");
		return AW_BUSY;
	}
	if (p->waited == STAGE_PRESENCE) {
		p->waited = STAGE_NONE;
		p->rounds = 0;
	}
	return AW_OK;
}

enum aw_err
presence_may(struct round *r)
{
	const struct seen *seen = &r->conn->place.seen;
	enum aw_err e;

	if (!presence_locked())
		return AW_OK;
	if ((e = find_place(r)) != AW_OK)
		return e;
	if (is_elsewhere(seen) || is_older(r->conn, seen))
		return AW_OK;
	round_say(r, "the screen where the agent runs is locked; unlock it");
	return AW_DENIED;
}

/* ---- the request */

enum aw_err
screen_run(struct round *r)
{
	const struct screen_req *req = &r->msg->screen;
	enum aw_err e;

	if (req->session.n &&
	    memchr(req->session.p, '\0', req->session.n) != NULL)
		return AW_PROTO;
	if (r->progress->waited == STAGE_NONE) {
		if (req->locked)
			lock_screen(req->session);
		else
			unlock_screen();
	}
	if ((e = read_settings(r)) == REQUEST_HELD)
		return e;
	if (presence_locked())
		drop_if_hard();
	return AW_OK;
}
