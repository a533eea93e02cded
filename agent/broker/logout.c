/* SPDX-License-Identifier: ISC */
/*
 * Logout: everything is forgotten here at once, whatever the client or AWS do
 * then; AWS is told by one-shot programs that have the tokens still.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define LOGOUT_MS 10000

/* What was forgotten in the first round, told in the last. */
struct logout {
	struct buf ids;
	struct buf lines; /* how each line begins, in the order of ids */
	struct buf counts;
	uint32_t logins;
	uint32_t roles;
};

static void
forget_login(struct logout *o, struct view id)
{
	AUTOBUF struct buf b = {0};
	AUTOFREE char *line = NULL;
	struct login *l = login_get(id);
	struct facts facts = {0};
	struct record rec = {0};
	unsigned int roles;

	if (record_get(KEY_REF, id, &b, &rec))
		msg_decode(MSG_FACTS, rec.facts, &facts);
	text_set(&line, "%.*s%s%.*s%s", VIEW_ARG(facts.session),
	    rec.person.n ? " (" : "", VIEW_ARG(rec.person),
	    rec.person.n ? ")" : "");
	if (l) {
		l->told = AW_GONE; /* no token: nothing to tell AWS */
		if (login_sign_out(l))
			l->told = AW_BUSY;
	}
	o->logins += rec.id.n || (l && l->told == AW_BUSY);
	roles = login_forget(id);
	question_forget(id);
	buf_put(&o->ids, id.p, id.n);
	buf_string(&o->lines, view_str(line));
	buf_u32(&o->counts, roles);
	o->roles += roles;
}

static bool
is_among(const struct buf *ids, const struct login *l)
{
	size_t i;

	for (i = 0; i < ids->len; i += LOGIN_ID) {
		if (memcmp(ids->data + i, l->id, LOGIN_ID) == 0)
			return true;
	}
	return false;
}

/* All, whether or not they left a trace in the store yet. */
static void
all_logins(struct buf *ids)
{
	struct login *l;

	report_logins(ids);
	for (l = login_next(NULL); l; l = login_next(l)) {
		if (l->state == LOGIN_STARTING && !is_among(ids, l))
			buf_put(ids, l->id, LOGIN_ID);
	}
}

static struct logout *
begin_logout(struct round *r, uint8_t what)
{
	AUTOBUF struct buf ids = {0};
	struct logout *o;
	struct view v, id;

	if (!(o = calloc(1, sizeof(*o))))
		fatal("logout");
	if (what == LOGOUT_ONE)
		buf_put(&ids, r->target.session.login.p, LOGIN_ID);
	else
		all_logins(&ids);
	if (ids.bad)
		fatalx("no memory for all logins");
	v = view_of(&ids);
	for (; v.n >= LOGIN_ID; v.p += LOGIN_ID, v.n -= LOGIN_ID) {
		id = (struct view){v.p, LOGIN_ID};
		forget_login(o, id);
	}
	return o;
}

static const char *
told_in_words(enum aw_err told)
{
	switch (told) {
	case AW_OK:
	case AW_TOKEN: /* it was over before */
		return "signed out at AWS";
	case AW_GONE:
		return "was not signed in";
	default:
		return "forgotten here, but AWS could not be told";
	}
}

static enum aw_err
tell_logout(struct round *r, struct logout *o)
{
	struct logout_rep *rep = &r->rep.logout;
	struct view ids = view_of(&o->ids), lines = view_of(&o->lines);
	struct view counts = view_of(&o->counts), line;
	struct buf *out = &r->keep[0];
	AUTOFREE char *text = NULL;
	enum aw_err e = AW_OK, told;
	struct login *l;
	uint32_t n = 0;

	for (; ids.n; ids.p += LOGIN_ID, ids.n -= LOGIN_ID) {
		l = login_find((struct view){ids.p, LOGIN_ID});
		told = l ? l->told : AW_GONE;
		view_string(&lines, &line);
		view_u32(&counts, &n);
		text_set(&text, "%.*s: %s, %u role credential%s forgotten",
		    VIEW_ARG(line), told_in_words(told), n, n == 1 ? "" : "s");
		buf_put(out, text, strlen(text) + 1);
		if (told != AW_OK && told != AW_TOKEN && told != AW_GONE) {
			round_say(r, "AWS could not be told of the logout");
			e = AW_NETWORK;
		}
	}
	rep->logins = o->logins;
	rep->roles = o->roles;
	rep->lines = view_of(out);
	return e;
}

/* Is AWS still to say that it knows? */
static struct job *
telling(const struct logout *o)
{
	struct view ids = view_of(&o->ids);
	struct job *job;

	for (; ids.n; ids.p += LOGIN_ID, ids.n -= LOGIN_ID) {
		job = job_find(FETCH_LOGOUT, (struct view){ids.p, LOGIN_ID});
		if (job)
			return job;
	}
	return NULL;
}

enum aw_err
logout_run(struct round *r)
{
	const struct logout_req *req = &r->msg->logout;
	struct progress *p = r->progress;
	struct logout *o = p->logout;
	struct job *job;
	enum aw_err e;

	if (req->what == LOGOUT_CREDS) {
		r->rep.logout.roles =
		    store_drop_all(1u << KEY_ROLE, (struct view){0});
		job_abandon_all(1u << FETCH_ROLE, (struct view){0});
		return AW_OK;
	}
	if (req->what > LOGOUT_CREDS)
		return AW_PROTO;
	if (!o) {
		if (req->what == LOGOUT_ONE &&
		    (e = round_target(r, true)) != AW_OK)
			return e;
		o = p->logout = begin_logout(r, req->what);
		p->deadline = loop_now() + LOGOUT_MS;
	}
	if ((job = telling(o))) {
		p->rounds = 0; /* as many as there are logins */
		e = conn_hold(r->conn, STAGE_LOGOUT, &job->holds, INT64_MAX);
		if (e == REQUEST_HELD)
			return e;
	}
	/* It was done, but what is not known of it cannot be told. */
	if (o->ids.bad || o->lines.bad || o->counts.bad)
		return AW_NOMEM;
	return tell_logout(r, o);
}

void
logout_free(struct logout *o)
{
	if (!o)
		return;
	buf_free(&o->ids);
	buf_free(&o->lines);
	buf_free(&o->counts);
	free(o);
}

void
logout_all(void)
{
	logout_free(begin_logout(NULL, LOGOUT_ALL));
}

unsigned int
logout_drop(void)
{
	struct login *l;
	unsigned int n;

	n = store_drop_all(
	    1u << KEY_ROLE | 1u << KEY_TOK | 1u << KEY_REF, (struct view){0});
	job_abandon_all(
	    1u << FETCH_REFRESH | 1u << FETCH_ROLE | 1u << FETCH_IDENTITY,
	    (struct view){0});
	for (l = login_next(NULL); l; l = login_next(l))
		login_touch(l);
	question_forget((struct view){0});
	return n;
}
