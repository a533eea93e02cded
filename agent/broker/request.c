/* SPDX-License-Identifier: ISC */
/*
 * What a client may ask, who may ask it, and the answer.
 *
 * A handler reads straight down. Where something has to happen first it holds
 * the connection and returns; when that has happened it is called again, from
 * its beginning, and finds it done. So nothing is kept between but how far the
 * request has come (struct progress), and a handler changes nothing that it
 * could not find changed.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/log.h"
#include "awsenv/own.h"

#define READ_FIRST_MS 10000 /* a config file that was never read */
#define READ_AGAIN_MS 1000  /* one that changed: the old one may serve */
#define WAIT_MAX 30
#define LOGOUT_MS 10000
#define REFRESHES_MAX 2
#define FETCHES_MAX 3
#define LEAST_LEFT 60 /* better than nothing, when AWS is out of reach */

union message {
	struct ask ask; /* most begin with it */
	struct creds_req creds;
	struct login_req login;
	struct wait_req wait;
	struct status_req status;
	struct list_req list;
	struct logout_req logout;
	struct whoami_req whoami;
};

/* All begin with error and text, so that refusing needs no kinds. */
union reply {
	struct done_rep done;
	struct creds_rep creds;
	struct login_rep login;
	struct status_rep status;
	struct list_rep list;
	struct logout_rep logout;
	struct whoami_rep whoami;
};

/* One round of a request: what is asked and what becomes of it. */
struct round {
	struct conn *conn;
	struct progress *progress;
	const union message *msg;
	union reply rep;
	struct target target;
	struct table *table;
	struct buf keep[2]; /* what views of the reply point into */
	char *text;
	char *notice;
};

static enum aw_err on_creds(struct round *);
static enum aw_err on_login(struct round *);
static enum aw_err on_wait(struct round *);
static enum aw_err on_status(struct round *);
static enum aw_err on_list(struct round *);
static enum aw_err on_logout(struct round *);
static enum aw_err on_whoami(struct round *);
static enum aw_err on_stop(struct round *);
static void on_query(struct conn *, struct view body);
static void on_bind(struct conn *, struct view body);

/* clang-format off */
static const struct request {
	const char *name;
	unsigned int who;
	enum msg_kind kind, reply;
	bool ask;
	int seconds;	/* how long it may be held */
	enum aw_err (*fn)(struct round *);
} requests[] = {
	/* extension name  who may ask   request         reply           ask    held handler */
	{"creds@awsenv",   LOCAL,        MSG_CREDS_REQ,  MSG_CREDS_REP,  true,  60, on_creds},
	{"login@awsenv",   LOCAL,        MSG_LOGIN_REQ,  MSG_LOGIN_REP,  true,  60, on_login},
	{"wait@awsenv",    LOCAL,        MSG_WAIT_REQ,   MSG_LOGIN_REP,  false, 30, on_wait},
	{"status@awsenv",  LOCAL | ROOT, MSG_STATUS_REQ, MSG_STATUS_REP, true,  30, on_status},
	{"list@awsenv",    LOCAL | ROOT, MSG_LIST_REQ,   MSG_LIST_REP,   false,  0, on_list},
	{"logout@awsenv",  LOCAL | ROOT, MSG_LOGOUT_REQ, MSG_LOGOUT_REP, true,  30, on_logout},
	{"whoami@awsenv",  LOCAL,        MSG_WHOAMI_REQ, MSG_WHOAMI_REP, true,  60, on_whoami},
	{"stop@awsenv",    LOCAL,        MSG_EMPTY,      MSG_DONE_REP,   false,  0, on_stop},
};

/* What ssh-agents understand; their answers have no form of ours. */
static const struct {
	const char *name;
	void (*fn)(struct conn *, struct view body);
} common_requests[] = {
	{"query",                    on_query},
	{"session-bind@openssh.com", on_bind},
};
/* clang-format on */

#define N(array) (sizeof(array) / sizeof(*(array)))

/* ---- what all have in common */

static void
say(struct round *r, const char *text)
{
	text_set(&r->text, "%s", text ? text : "");
}

/* The error of what this request waited for, if it was that. */
static enum aw_err
ended(struct round *r, enum stage stage)
{
	struct progress *p = r->progress;

	if (p->waited != stage || p->error == AW_OK)
		return AW_OK;
	say(r, p->text);
	return p->error;
}

static enum aw_err
hold(struct round *r, enum stage stage, struct job *job, int64_t ms)
{
	if (!job) {
		say(r, "this profile's settings are too long");
		return AW_CONFIG;
	}
	return conn_hold(r->conn, stage, &job->holds, ms);
}

/* Read the file anew, for as long as this request may wait for it. */
static enum aw_err
read_table(struct round *r, struct table *t, const struct ask *ask)
{
	int64_t left = t->now ? READ_AGAIN_MS : READ_FIRST_MS;
	struct job *job = table_read(t, ask);

	if (!job) {
		say(r, t->text);
		return t->error;
	}
	/* Others may have waited for it in vain already. */
	left -= loop_now() - job->begun;
	if (left <= 0)
		return AW_TIMEOUT;
	return conn_hold(r->conn, STAGE_TABLE, &job->holds, left);
}

/* The table for what was asked; the last good one if it must be. */
static enum aw_err
find_table(struct round *r, const struct ask *ask)
{
	struct progress *p = r->progress;
	struct table *t = table_for(ask);
	enum aw_err e = AW_OK;

	if (!t) {
		say(r, "too many config files are being read at once");
		return AW_BUSY;
	}
	r->table = t;
	if (table_current(t, &ask->stamp)) {
		if (table_old(t))
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
	say(r, t->text && *t->text ? t->text : "the config cannot be read");
	return t->error ? t->error : AW_CONFIG;
}

static enum aw_err
find_target(struct round *r, bool login)
{
	enum aw_err e = find_table(r, &r->msg->ask);

	if (e != AW_OK)
		return e;
	return target_find(r->table, &r->msg->ask, login, &r->target, &r->text);
}

/* For people: the sso-session, or the start URL of one without a name. */
static struct view
session_name(const struct target *t)
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
	struct view name = session_name(t);

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
static enum aw_err
find_token(struct round *r, struct buf *b, struct record *tok)
{
	struct progress *p = r->progress;
	struct view login = r->target.session.login;
	struct job *job;
	enum aw_err e;

	if (login_token(login, b, tok) == AW_OK)
		return AW_OK;
	e = ended(r, STAGE_TOKEN);
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
	if ((e == AW_NETWORK || e == AW_TIMEOUT) && have &&
	    rec->expires >= loop_time() + LEAST_LEFT) {
		text_set(&r->notice,
		    "AWS is out of reach, these credentials end in %u minutes"
		    "%s%s",
		    (unsigned)((rec->expires - loop_time()) / 60),
		    r->text && *r->text ? ": " : "", r->text ? r->text : "");
		return AW_OK;
	}
	if (e == AW_TIMEOUT)
		say(r, "AWS did not answer in time");
	return e;
}

/*
 * Role credentials, from the store while they are good, else fetched. What a
 * fetch has brought is taken as it is: AWS may give the same once more.
 */
static enum aw_err
find_creds(struct round *r, struct buf *b, struct record *rec, uint32_t seconds,
    bool half)
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
	e = ended(r, STAGE_ROLE);
	/* The portal refused the token before its time; it is gone from the
	 * store, and a refresh may bring another. */
	if (e != AW_OK && e != AW_TOKEN)
		return fetch_failed(r, e, have, rec);
	if ((e = find_token(r, &tok_key, &tok)) != AW_OK)
		return e == REQUEST_HELD ? e : fetch_failed(r, e, have, rec);
	if (p->fetches++ >= FETCHES_MAX)
		return login_needed(r);
	return hold(
	    r, STAGE_ROLE, role_fetch(t, tok.sealed, tok.expires), INT64_MAX);
}

/* "123456789012/Developer": the account as AWS numbers it. */
static struct view
label_account(struct view label)
{
	const uint8_t *slash = label.n ? memchr(label.p, '/', label.n) : NULL;

	if (slash)
		label.n = (uint32_t)(slash - label.p);
	return label;
}

/* ---- the handlers, in the table's order */

static enum aw_err
on_creds(struct round *r)
{
	const struct creds_req *req = &r->msg->creds;
	struct creds_rep *rep = &r->rep.creds;
	struct target *t = &r->target;
	struct record rec;
	enum aw_err e;

	if ((e = find_target(r, false)) != AW_OK ||
	    (e = find_creds(r, &r->keep[0], &rec, req->seconds, req->half)) !=
		AW_OK)
		return e;
	role_used(t, &rec);
	if (t->notice.n)
		text_set(&r->notice, "%.*s%s%s", VIEW_ARG(t->notice),
		    r->notice ? "; " : "", r->notice ? r->notice : "");
	rep->profile = t->profile;
	rep->account = label_account(rec.label);
	rep->role = t->role;
	rep->region = t->region;
	rep->settings = t->settings;
	rep->notice = view_str(r->notice);
	rep->sealed = rec.sealed;
	return AW_OK;
}

/* What is known of a login, as login@ and wait@ tell it. */
static enum aw_err
tell_login(struct round *r, const struct login *l)
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
	if (login_token(login_id(l), &r->keep[0], &rec) == AW_OK)
		rep->expires = rec.expires;
	if (rep->state == LOGIN_DONE &&
	    store_get(KEY_REF, login_id(l), &r->keep[1], &rec) == AW_OK) {
		rep->person = rec.person;
		if (!l->session && msg_decode(MSG_FACTS, rec.facts, &facts))
			rep->session = facts.session;
	}
	if (rep->state == LOGIN_FAILED) {
		say(r, l->text);
		return l->error;
	}
	return AW_OK;
}

/* Does the store know of a code that a person may still approve? */
static bool
login_under_way(const struct login *l)
{
	return l->state == LOGIN_STARTING || l->state == LOGIN_PENDING;
}

static enum aw_err
on_login(struct round *r)
{
	AUTOBUF struct buf b = {0};
	struct target *t = &r->target;
	struct record tok;
	struct login *l;
	enum aw_err e;

	if ((e = find_target(r, true)) != AW_OK)
		return e;
	if (!(l = login_get(t->session.login))) {
		say(r, "too many logins are under way");
		return AW_BUSY;
	}
	if (!login_under_way(l)) {
		e = find_token(r, &b, &tok);
		if (e == AW_LOGIN)
			login_begin(l, t, session_name(t));
		else if (e != AW_OK)
			return e;
	}
	login_watch(l);
	e = tell_login(r, l);
	r->rep.login.session = session_name(t);
	r->rep.login.notice = t->session.notice;
	r->rep.login.expected = t->expected;
	return e;
}

static enum aw_err
on_wait(struct round *r)
{
	const struct wait_req *req = &r->msg->wait;
	uint32_t seconds = req->seconds < WAIT_MAX ? req->seconds : WAIT_MAX;
	struct login *l = login_by_ticket(req->ticket);
	enum login_state state = l ? login_state(l) : LOGIN_NONE;

	if (state == LOGIN_NONE) {
		say(r, "that login has ended; ask for it again");
		return AW_GONE;
	}
	login_watch(l);
	if (state == req->seen && seconds &&
	    r->progress->waited != STAGE_LOGIN && login_under_way(l))
		return conn_hold(
		    r->conn, STAGE_LOGIN, &l->holds, (int64_t)seconds * 1000);
	return tell_login(r, l);
}

/* The agent always answers; what is wrong with the profile is one of its
 * answers. */
static enum aw_err
on_status(struct round *r)
{
	struct status_rep *rep = &r->rep.status;
	struct target *t = &r->target;
	struct record rec;
	struct login *l;
	enum aw_err e;

	e = find_target(r, true);
	if (e == REQUEST_HELD)
		return e;
	report_agent(rep);
	rep->problems = r->table ? table_problems(r->table) : 0;
	rep->profile_error = e;
	rep->profile_text = view_str(r->text);
	if (e != AW_OK)
		return AW_OK;
	rep->profile = t->profile;
	rep->session = session_name(t);
	rep->account = t->account;
	rep->role = t->role;
	if ((l = login_find(t->session.login)))
		rep->login_state = login_state(l);
	if (store_get(KEY_TOK, t->session.login, &r->keep[0], &rec) == AW_OK)
		rep->login_expires = rec.expires;
	if (store_get(KEY_REF, t->session.login, &r->keep[0], &rec) == AW_OK)
		rep->refreshable = rec.refreshable;
	if (store_get(KEY_ROLE, view_of(&t->id), &r->keep[0], &rec) == AW_OK)
		rep->role_expires = rec.expires;
	return AW_OK;
}

static enum aw_err
on_list(struct round *r)
{
	if (r->msg->list.what > LIST_PROBLEMS)
		return AW_PROTO;
	report_list(&r->msg->list, &r->rep.list, &r->keep[0]);
	return AW_OK;
}

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

	if (store_get(KEY_REF, id, &b, &rec) == AW_OK)
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
	buf_put(&o->ids, id.p, id.n);
	buf_string(&o->lines, view_str(line));
	buf_u32(&o->counts, roles);
	o->roles += roles;
}

static void
begin_logout(struct round *r, uint8_t what)
{
	AUTOBUF struct buf ids = {0};
	struct logout *o;
	struct view v, id;

	if (!(o = calloc(1, sizeof(*o))))
		fatal("logout");
	r->progress->logout = o;
	if (what == LOGOUT_ONE)
		buf_put(&ids, r->target.session.login.p, LOGIN_ID);
	else
		report_logins(&ids);
	v = view_of(&ids);
	for (; v.n >= LOGIN_ID; v.p += LOGIN_ID, v.n -= LOGIN_ID) {
		id = (struct view){v.p, LOGIN_ID};
		forget_login(o, id);
	}
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
			say(r, "AWS could not be told of the logout");
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

/* Everything is forgotten at once, whatever the client or AWS do then. */
static enum aw_err
on_logout(struct round *r)
{
	const struct logout_req *req = &r->msg->logout;
	struct progress *p = r->progress;
	struct job *job;
	enum aw_err e;

	if (req->what == LOGOUT_CREDS) {
		job_abandon_all(1u << FETCH_ROLE);
		r->rep.logout.roles =
		    store_drop_all(1u << KEY_ROLE, (struct view){0});
		return AW_OK;
	}
	if (req->what > LOGOUT_CREDS)
		return AW_PROTO;
	if (!p->logout) {
		if (req->what == LOGOUT_ONE &&
		    (e = find_target(r, true)) != AW_OK)
			return e;
		begin_logout(r, req->what);
		p->deadline = loop_now() + LOGOUT_MS;
	}
	if ((job = telling(p->logout))) {
		p->rounds = 0; /* as many as there are logins */
		e = conn_hold(r->conn, STAGE_LOGOUT, &job->holds, INT64_MAX);
		if (e == REQUEST_HELD)
			return e;
	}
	return tell_logout(r, p->logout);
}

static enum aw_err
on_whoami(struct round *r)
{
	struct whoami_rep *rep = &r->rep.whoami;
	struct target *t = &r->target;
	struct role_identity who;
	struct record rec;
	enum aw_err e;

	if ((e = find_target(r, false)) != AW_OK ||
	    (e = find_creds(r, &r->keep[0], &rec, 0, false)) != AW_OK)
		return e;
	role_used(t, &rec);
	if (role_identity(t, rec.access_key, &who) != AW_OK) {
		if ((e = ended(r, STAGE_IDENTITY)) != AW_OK)
			return e;
		return hold(
		    r, STAGE_IDENTITY, role_identify(t, &rec), INT64_MAX);
	}
	rep->profile = t->profile;
	rep->session = session_name(t);
	rep->account = label_account(rec.label);
	rep->role = t->role;
	rep->arn = view_str(who.arn);
	rep->user_id = view_str(who.user_id);
	rep->person = view_str(who.person);
	rep->region = t->region;
	rep->expires = rec.expires;
	return AW_OK;
}

static enum aw_err
on_stop(struct round *r)
{
	struct link l = {.type = LINK_STOP};

	(void)r;
	job_report(&l);
	return AW_OK;
}

/* ---- the dispatcher */

static void
refuse(struct conn *c, uint8_t type)
{
	conn_send(c, type, (struct view){0});
}

static void
on_query(struct conn *c, struct view body)
{
	AUTOBUF struct buf out = {0};
	size_t i;

	(void)body;
	buf_string(&out, view_str("query"));
	for (i = 0; i < N(common_requests); i++)
		buf_string(&out, view_str(common_requests[i].name));
	for (i = 0; i < N(requests); i++)
		buf_string(&out, view_str(requests[i].name));
	conn_send(c, SSH_AGENT_EXTENSION_RESPONSE, view_of(&out));
}

/*
 * Some ssh says whose connection it carries here. Answered at once and always,
 * since the person's whole session waits for it. What it says is not believed:
 * any bind only takes rights away.
 */
static void
on_bind(struct conn *c, struct view body)
{
	struct view key, id, signature;
	uint8_t forwarding;

	c->origin = REMOTE;
	if (!view_string(&body, &key) || !view_string(&body, &id) ||
	    !view_string(&body, &signature) || !view_u8(&body, &forwarding) ||
	    body.n)
		c->poisoned = true;
	refuse(c, SSH_AGENT_SUCCESS);
}

/* What stays between our own processes is not for clients. */
static enum aw_err
public_error(enum aw_err e)
{
	switch (e) {
	case AW_TOKEN:
	case AW_GRANT:
	case AW_EXPIRED:
		return AW_LOGIN;
	case AW_STALE:
		return AW_CONFIG;
	default:
		return e < AW_PRIVATE ? e : AW_SYSTEM;
	}
}

static const char *
origin_name(enum origin o)
{
	return o == LOCAL ? "local" : o == ROOT ? "root" : "remote";
}

static void
answer(struct round *r, const struct request *q, enum aw_err e)
{
	AUTOBUF struct buf out = {0};
	AUTOFREE char *line = NULL;
	struct view profile = {0};

	/* A failed login is told with all that is known of it. */
	if (e != AW_OK && q->reply != MSG_LOGIN_REP &&
	    q->reply != MSG_LOGOUT_REP)
		memset(&r->rep, 0, sizeof(r->rep));
	r->rep.done.error = public_error(e);
	if (e != AW_OK)
		r->rep.done.text =
		    view_str(r->text && *r->text ? r->text : aw_strerror(e));
	buf_string(&out, view_str(q->name));
	msg_encode(q->reply, &r->rep, &out);
	if (out.bad)
		refuse(r->conn, SSH_AGENT_EXTENSION_FAILURE);
	else
		conn_send(r->conn, SSH_AGENT_EXTENSION_RESPONSE, view_of(&out));
	if (q->ask)
		profile = r->msg->ask.profile;
	text_set(&line, "%.*s", VIEW_ARG(profile));
	log_info("%s %s %s pid %d: %s%s%s", q->name, *line ? line : "-",
	    origin_name(r->conn->origin), (int)r->conn->pid,
	    e == AW_OK ? "ok" : aw_strerror(public_error(e)),
	    e == AW_OK ? "" : ": ", e == AW_OK || !r->text ? "" : r->text);
}

static enum aw_err
may_ask(struct round *r, const struct request *q)
{
	if (q->who & r->conn->origin)
		return AW_OK;
	say(r,
	    r->conn->origin == REMOTE
		? "forwarded use is not allowed"
		: "root may ask another user's agent for status, lists and "
		  "logout, not for this");
	return AW_DENIED;
}

static void
serve(struct conn *c, const struct request *q, struct view body)
{
	union message msg = {0};
	struct round r = {.conn = c, .progress = &c->progress, .msg = &msg};
	enum aw_err e;

	if (!msg_decode(q->kind, body, &msg)) {
		log_info("%s: malformed, pid %d", q->name, (int)c->pid);
		refuse(c, SSH_AGENT_EXTENSION_FAILURE);
		return;
	}
	if (!c->progress.deadline)
		c->progress.deadline = loop_now() + q->seconds * 1000;
	e = may_ask(&r, q);
	if (e == AW_OK)
		e = q->fn(&r);
	if (e != REQUEST_HELD)
		answer(&r, q, e);
	buf_free(&r.keep[0]);
	buf_free(&r.keep[1]);
	buf_free(&r.target.id);
	free(r.text);
	free(r.notice);
}

void
request_run(struct conn *c, struct view frame)
{
	struct view name;
	uint8_t type;
	size_t i;

	if (!view_u8(&frame, &type) || type != SSH_AGENTC_EXTENSION ||
	    !view_string(&frame, &name)) {
		refuse(c, SSH_AGENT_FAILURE);
		return;
	}
	for (i = 0; i < N(common_requests); i++) {
		if (view_is(name, common_requests[i].name)) {
			common_requests[i].fn(c, frame);
			return;
		}
	}
	for (i = 0; i < N(requests) && !c->poisoned; i++) {
		if (view_is(name, requests[i].name)) {
			serve(c, &requests[i], frame);
			return;
		}
	}
	refuse(c, SSH_AGENT_FAILURE);
}

void
request_forget(struct progress *p)
{
	if (p->logout) {
		buf_free(&p->logout->ids);
		buf_free(&p->logout->lines);
		buf_free(&p->logout->counts);
		free(p->logout);
	}
	free(p->text);
	*p = (struct progress){0};
}
