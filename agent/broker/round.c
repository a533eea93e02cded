/* SPDX-License-Identifier: ISC */
/*
 * The steps that handlers have in common: from what a client said to a table,
 * a target, a token, role credentials. Each is there, or is waited for, or
 * cannot be had, and then says why.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/own.h"

#define REFRESHES_MAX 2
#define REFUSED_MAX 3
#define LEAST_LEFT 60 /* better than nothing, when AWS is out of reach */

void
round_say(struct round *r, const char *text)
{
	text_set(&r->text, "%s", text ? text : "");
}

/* The error of what this request waited for, if it was that. */
enum aw_err
round_ended(struct round *r, enum stage stage)
{
	struct progress *p = r->progress;

	if (p->waited != stage || p->error == AW_OK)
		return AW_OK;
	round_say(r, p->text);
	return p->error;
}

enum aw_err
round_hold(struct round *r, enum stage stage, struct job *job, int64_t ms)
{
	if (!job) {
		round_say(r, "this profile's settings are too long");
		return AW_CONFIG;
	}
	return conn_hold(r->conn, stage, &job->holds, ms);
}

/* Read the file anew, for as long as this request may wait for it. */
static enum aw_err
read_table(struct round *r, struct table *t, const struct ask *ask)
{
	struct job *job = table_read(t, ask);
	int64_t left;

	if (!job) {
		round_say(r, t->text);
		return t->error;
	}
	if ((left = table_patience(job)) <= 0)
		return AW_TIMEOUT;
	return conn_hold(r->conn, STAGE_TABLE, &job->holds, left);
}

/* The table for what was asked; the last good one if it must be. */
static enum aw_err
find_table(struct round *r, const struct ask *ask)
{
	struct progress *p = r->progress;
	struct table *t = table_for(ask);
	bool far = policy_is_far(r->conn);
	enum aw_err e = AW_OK;

	if (!t) {
		round_say(r, "too many config files are being read at once");
		return AW_BUSY;
	}
	r->table = t;
	/* What a person answered would be lost by another wait; where the file
	 * says another thing since, the question is another, too. */
	if (t->now && p->waited == STAGE_QUESTION)
		return AW_OK;
	/* For who is far away it was young when the request came. */
	if (table_current(t, &ask->stamp) &&
	    (!far || p->waited != STAGE_NONE || !table_old(t, true))) {
		if (table_old(t, false))
			table_read(t, ask);
		return AW_OK;
	}
	if (p->waited == STAGE_TABLE && p->error != AW_OK)
		e = p->error;
	else if (p->reads < 2 && ++p->reads)
		e = read_table(r, t, ask);
	if (e == REQUEST_HELD || t->now)
		return e == REQUEST_HELD ? e : AW_OK;
	if (e == AW_TIMEOUT) {
		text_set(&r->text,
		    "reading %.*s takes too long (does its "
		    "file system hang?)",
		    ask->config.n ? (int)ask->config.n : 13,
		    ask->config.n ? (const char *)ask->config.p
				  : "~/.aws/config");
		return AW_CONFIG;
	}
	round_say(
	    r, t->text && *t->text ? t->text : "the config cannot be read");
	return t->error ? t->error : AW_CONFIG;
}

enum aw_err
round_table(struct round *r)
{
	struct view off;
	enum aw_err e;

	if ((e = find_table(r, &r->msg->ask)) != AW_OK)
		return e;
	if ((off = table_off(r->table)).n) {
		text_set(&r->text, "%.*s", VIEW_ARG(off));
		return AW_DENIED;
	}
	return AW_OK;
}

enum aw_err
round_target(struct round *r, bool login)
{
	enum aw_err e = round_table(r);

	if (e != AW_OK)
		return e;
	e = target_find(r->table, &r->msg->ask, login, &r->target, &r->text);
	return e == AW_OK ? policy_use(r, !login) : e;
}

/* For people: the sso-session, or the start URL of one without a name. */
struct view
round_session(const struct target *t)
{
	struct facts f;

	if (t->session.name.n || !msg_decode(MSG_FACTS, t->session.facts, &f))
		return t->session.name;
	return f.session;
}

/* A person is needed: say how. */
static enum aw_err
login_needed(struct round *r)
{
	struct target *t = &r->target;
	struct view name = round_session(t);

	if (t->profile.n)
		text_set(&r->text,
		    "login needed for %.*s: awsenv login --profile %.*s",
		    VIEW_ARG(name), VIEW_ARG(t->profile));
	else
		text_set(&r->text, "login needed for %.*s: awsenv login%s%.*s",
		    VIEW_ARG(name), t->session.name.n ? " --sso-session " : "",
		    VIEW_ARG(t->session.name));
	return AW_LOGIN;
}

/* What the table says of CA or endpoint is not so any more: once more, from
 * the file. */
static enum aw_err
stale(struct round *r)
{
	enum aw_err e;

	if (r->progress->waited == STAGE_NONE || r->progress->reads >= 2)
		return AW_STALE;
	r->progress->waited = STAGE_NONE;
	table_forget_all();
	e = find_table(r, &r->msg->ask);
	return e == AW_OK ? AW_STALE : e;
}

/* A good token, by a refresh if need be; never by a person. */
enum aw_err
round_token(struct round *r, struct buf *b, struct record *tok)
{
	struct progress *p = r->progress;
	struct view login = r->target.session.login;
	struct job *job;
	enum aw_err e;

	if (login_token(login, b, tok) == AW_OK)
		return AW_OK;
	e = round_ended(r, STAGE_TOKEN);
	if (e == AW_STALE)
		return stale(r);
	if (e == AW_GRANT)
		return login_needed(r);
	/* It may have a minute left: enough, if there is no other. */
	if (e != AW_OK)
		return store_get(KEY_TOK, login, b, tok) == AW_OK ? AW_OK : e;
	if (p->refreshes >= REFRESHES_MAX || !(job = login_refresh(login)))
		return login_needed(r);
	p->refreshes++;
	return conn_hold(r->conn, STAGE_TOKEN, &job->holds, INT64_MAX);
}

/* AWS did not give new ones. Those that are there may do for now. */
static enum aw_err
fetch_failed(
    struct round *r, enum aw_err e, bool have, const struct record *rec)
{
	if (e == AW_STALE)
		return stale(r);
	if ((e == AW_NETWORK || e == AW_TIMEOUT || e == AW_NOMEM) && have &&
	    rec->expires >= loop_time() + LEAST_LEFT) {
		text_set(&r->notice,
		    "%s, these credentials end in %u minutes%s%s",
		    e == AW_NOMEM ? "AWS could not be asked"
				  : "AWS is out of reach",
		    (unsigned)((rec->expires - loop_time()) / 60),
		    r->text && *r->text ? ": " : "", r->text ? r->text : "");
		return AW_OK;
	}
	if (e == AW_TIMEOUT)
		round_say(r, "AWS did not answer in time");
	return e;
}

/*
 * Role credentials, from the store while they are good, else fetched. What a
 * fetch has brought is taken as it is: AWS may give the same once more.
 */
enum aw_err
round_creds(struct round *r, struct buf *b, struct record *rec,
    uint32_t seconds, bool half)
{
	AUTOBUF struct buf tok_key = {0};
	struct progress *p = r->progress;
	struct target *t = &r->target;
	struct record tok;
	enum aw_err e;
	bool have;

	e = store_get(KEY_ROLE, view_of(&t->id), b, rec);
	if (e == AW_DENIED)
		exit(EXIT_RING);
	have = e == AW_OK;
	p->fetched |= p->waited == STAGE_ROLE && p->error == AW_OK;
	if (have && (p->fetched || role_good(rec, seconds, half)))
		return AW_OK;
	e = round_ended(r, STAGE_ROLE);
	/* The portal refused the token before its time; it is gone from the
	 * store, and a refresh may bring another. */
	if (e != AW_OK && e != AW_TOKEN)
		return fetch_failed(r, e, have, rec);
	/* Only that says that a person is needed: a fetch may also come to
	 * nothing because somebody drops all credentials meanwhile. */
	if (e == AW_TOKEN && ++p->refused > REFUSED_MAX)
		return login_needed(r);
	if ((e = round_token(r, &tok_key, &tok)) != AW_OK)
		return e == REQUEST_HELD ? e : fetch_failed(r, e, have, rec);
	return round_hold(
	    r, STAGE_ROLE, role_fetch(t, tok.sealed, tok.expires), INT64_MAX);
}

/* What is known of a login, as login@, wait@ and nudge@ tell it. */
enum aw_err
round_tell(struct round *r, const struct login *l)
{
	struct login_rep *rep = &r->rep.login;
	static char host[256];
	struct facts facts;
	struct record rec;

	gethostname(host, sizeof(host) - 1);
	rep->state = login_state(l);
	rep->ticket = login_ticket(l);
	rep->host = view_str(host);
	rep->url = view_str(l->url);
	rep->code = view_str(l->code);
	rep->until = l->until;
	rep->qr_width = l->qr_width;
	rep->qr = view_of(&l->qr);
	rep->before = view_str(l->before);
	rep->session = view_str(l->session);
	rep->notice = view_str(l->notice);
	rep->expected = view_str(l->expected);
	rep->browser = view_str(l->browser);
	if (login_token(login_id(l), &r->keep[0], &rec) == AW_OK)
		rep->expires = rec.expires;
	if (rep->state == LOGIN_DONE &&
	    store_get(KEY_REF, login_id(l), &r->keep[1], &rec) == AW_OK) {
		rep->person = rec.person;
		if (!l->session && msg_decode(MSG_FACTS, rec.facts, &facts))
			rep->session = facts.session;
	}
	if (rep->state == LOGIN_FAILED) {
		round_say(r, l->text);
		return l->error;
	}
	return AW_OK;
}
