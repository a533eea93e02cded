/* SPDX-License-Identifier: ISC */
/*
 * Somebody logged in to this machine, or came back to it: begin what he would
 * have to begin anyway, so that URL and code are there when he looks.
 *
 * That is each sso-session marked awsenv_login = true; else the one of
 * [default]; else the only one there is; else none, and no word about it. The
 * client is not kept for it: reading the config file goes on by itself.
 *
 * scp and ansible log in, too. So one login that nobody approved is enough for
 * ten minutes, however many sessions begin.
 */
#include "broker.h"

#include <stdlib.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define HELD_MS 10000 /* as the table of requests has it */
#define AGAIN_MS (10 * 60 * 1000)
#define OFFLINE_MS 60000 /* after one for which there was no network */
#define FRESH_MS 10000	 /* a config file read since then is not read again */

static struct hold under_way; /* a reading, or a refresh */
static int64_t quiet;	      /* until then another broker's may be open */

void
nudge_open(const struct link *hello)
{
	if (hello->restarts)
		quiet = loop_now() + AGAIN_MS;
}

/* ---- which logins */

static bool
same_login(const struct session *a, const struct session *b)
{
	if (a->name.n || b->name.n)
		return view_eq(a->name, b->name);
	return view_eq(a->login, b->login);
}

static bool
eligible(const struct table *t, uint32_t i, bool marked, struct session *row)
{
	return table_session(t, i, row) && row->error == AW_OK &&
	    (!marked || row->autostart);
}

/*
 * A session has a row for each endpoint or CA that its profiles bring. The
 * first profile's counts, and the section's own where no profile uses it.
 */
static bool
stands_for_all(const struct table *t, uint32_t i, bool marked)
{
	struct session row, other;
	uint32_t j;

	if (!eligible(t, i, marked, &row))
		return false;
	for (j = 0; table_session(t, j, &other); j++) {
		if (j != i && eligible(t, j, marked, &other) &&
		    same_login(&row, &other) &&
		    (other.bare < row.bare ||
			(other.bare == row.bare && j < i)))
			return false;
	}
	return true;
}

/* As a profile that uses it, since that names an account and a role, and so
 * the person who approves. */
static struct ask
asking_for(const struct table *t, uint32_t i)
{
	struct ask ask = ask_nobody;
	struct session row;
	struct profile p;
	uint32_t n;

	for (n = 0; table_profile_at(t, n, &p); n++) {
		if (p.error == AW_OK && p.session == i) {
			ask.profile = p.name;
			return ask;
		}
	}
	if (table_session(t, i, &row))
		ask.session = row.name;
	return ask;
}

/* ---- beginning them */

static void decide(void);

/* One that failed before there was a code may have met no network: at boot
 * that comes after the login. */
static bool
may_begin(void)
{
	int64_t now = loop_now(), rest;
	struct login *l;

	if (now < quiet)
		return false;
	for (l = login_next(NULL); l; l = login_next(l)) {
		rest = l->state == LOGIN_FAILED && l->error == AW_NETWORK &&
			!l->code
		    ? OFFLINE_MS
		    : AGAIN_MS;
		if (l->nudged && now - l->nudged < rest)
			return false;
	}
	return true;
}

static void
refreshed(void *arg, enum aw_err error, const char *text)
{
	(void)arg;
	(void)text;
	/* Only a person can help; but with no network nobody can. */
	if (error == AW_GRANT)
		decide();
}

static void
begin(const struct table *t, struct ask ask, bool allowed)
{
	struct target target = {0};
	AUTOFREE char *text = NULL;
	AUTOBUF struct buf b = {0};
	struct login *l = NULL;
	struct record tok;
	struct job *job;

	if (target_find(t, &ask, true, &target, &text) == AW_OK)
		l = login_get(target.session.login);
	if (l && !login_under_way(l) &&
	    login_token(login_id(l), &b, &tok) != AW_OK) {
		if ((job = login_refresh(login_id(l)))) {
			under_way.fn = refreshed;
			hold_on(&job->holds, &under_way);
		} else if (allowed) {
			login_begin(l, &target, round_session(&target), false);
			l->nudged = loop_now();
			login_watch(l);
			log_info("a login is begun, since its person logged "
				 "in to this machine");
		}
	}
	buf_free(&target.id);
}

static void
begin_wanted(const struct table *t, bool allowed)
{
	struct profile p;
	struct session row;
	uint32_t i, n = 0, found = 0;
	bool marked = false;

	for (i = 0; table_session(t, i, &row); i++)
		marked |= row.error == AW_OK && row.autostart;
	if (!marked && table_profile(t, view_str("default"), &p) &&
	    p.error == AW_OK) {
		begin(t, asking_for(t, p.session), allowed);
		return;
	}
	for (i = 0; table_session(t, i, &row); i++) {
		if (!stands_for_all(t, i, marked))
			continue;
		found = i;
		if (marked)
			begin(t, asking_for(t, i), allowed);
		n++;
	}
	if (!marked && n == 1)
		begin(t, asking_for(t, found), allowed);
}

/* Begin what is not there, nor under way; a second call changes nothing. */
static void
decide(void)
{
	struct table *t = table_for(&ask_nobody);

	if (!t || !t->now)
		return;
	adopt_place(t); /* what is there need not be begun */
	begin_wanted(t, may_begin());
}

static void
was_read(void *arg, enum aw_err error, const char *text)
{
	(void)arg;
	(void)error;
	(void)text;
	decide();
}

static void
nudge(void)
{
	struct job *job = table_renew(FRESH_MS);

	if (!job) {
		decide();
		return;
	}
	under_way.fn = was_read;
	hold_on(&job->holds, &under_way);
}

/* ---- the request */

static void
note(const struct nudge_req *req)
{
	static const char *const what[] = {
	    "a session began",
	    "a screen was unlocked",
	    "a session ended",
	    "somebody looks",
	};
	AUTOFREE char *line = NULL;

	/* Names come from outside: text_set() makes them printable. */
	text_set(&line, "%s: %.*s %.*s %.*s", what[req->what],
	    VIEW_ARG(req->service), VIEW_ARG(req->tty), VIEW_ARG(req->rhost));
	log_info("%.300s", line);
}

/* The one whose code is there, else one whose code comes. What a browser on
 * the desktop is about to finish is not for other screens. */
static struct login *
to_show(void)
{
	struct login *l, *found = NULL;

	for (l = login_next(NULL); l; l = login_next(l)) {
		if (l->desktop)
			continue;
		if (l->state == LOGIN_PENDING)
			return l;
		if (l->state == LOGIN_STARTING)
			found = l;
	}
	return found;
}

static enum aw_err
wait_for_code(struct round *r, struct login *l, int64_t left)
{
	struct table *t = table_for(&ask_nobody);

	if (left > 0 && l && l->state == LOGIN_STARTING)
		return conn_hold(r->conn, STAGE_LOGIN, &l->holds, left);
	if (left > 0 && !l && t && t->job && under_way.on)
		return conn_hold(r->conn, STAGE_TABLE, &t->job->holds, left);
	return AW_OK;
}

enum aw_err
nudge_run(struct round *r)
{
	const struct nudge_req *req = &r->msg->nudge;
	int64_t left = req->ms < HELD_MS ? req->ms : HELD_MS;
	struct login *l;
	enum aw_err e;

	if (req->what > NUDGE_LOOK || req->start > NUDGE_OFF)
		return AW_PROTO;
	left -= loop_now() - (r->progress->deadline - HELD_MS);
	if (r->progress->waited == STAGE_NONE) {
		note(req);
		if (req->last)
			job_report(&(struct link){.type = LINK_LAST});
	}
	if (req->start != NUDGE_EAGER || req->what == NUDGE_GONE)
		return AW_OK;
	if (r->progress->waited == STAGE_TABLE)
		decide(); /* this may be called before was_read() */
	else if (r->progress->waited == STAGE_NONE && req->what != NUDGE_LOOK)
		nudge();
	l = to_show();
	if ((e = wait_for_code(r, l, left)) == REQUEST_HELD)
		return e;
	if (!l)
		return AW_OK;
	if (req->what == NUDGE_LOOK && l->state == LOGIN_PENDING)
		login_watch(l);
	return round_tell(r, l);
}
