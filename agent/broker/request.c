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

#define WAIT_MAX 30
#define BIND_MS 50
#define LOCATE_MS 5000
#define AGAIN_MS 20
#define WATCH_MAX 3600 /* of log@ too */

static enum aw_err on_creds(struct round *);
static enum aw_err on_login(struct round *);
static enum aw_err on_wait(struct round *);
static enum aw_err on_status(struct round *);
static enum aw_err on_list(struct round *);
static enum aw_err on_whoami(struct round *);
static enum aw_err on_stop(struct round *);
static enum aw_err on_watch(struct round *);
static enum aw_err on_profiles(struct round *);
static enum aw_err on_grants(struct round *);
static enum aw_err on_log(struct round *);
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
	{"creds@awsenv",   LOCAL | REMOTE | UNLOCKED, MSG_CREDS_REQ,  MSG_CREDS_REP,  true,  60, on_creds},
	{"login@awsenv",   LOCAL | UNLOCKED, MSG_LOGIN_REQ,  MSG_LOGIN_REP,  true,  60, on_login},
	{"wait@awsenv",    LOCAL,        MSG_WAIT_REQ,   MSG_LOGIN_REP,  false, 30, on_wait},
	{"status@awsenv",  LOCAL | ROOT | REMOTE, MSG_STATUS_REQ, MSG_STATUS_REP, true,  30, on_status},
	{"list@awsenv",    LOCAL | ROOT, MSG_LIST_REQ,   MSG_LIST_REP,   false,  0, on_list},
	{"logout@awsenv",  LOCAL | ROOT, MSG_LOGOUT_REQ, MSG_LOGOUT_REP, true,  30, logout_run},
	{"whoami@awsenv",  LOCAL | REMOTE | UNLOCKED, MSG_WHOAMI_REQ, MSG_WHOAMI_REP, true,  60, on_whoami},
	{"stop@awsenv",    LOCAL,        MSG_EMPTY,      MSG_DONE_REP,   false,  0, on_stop},
	{"relay@awsenv",   LOCAL,        MSG_EMPTY,      MSG_RELAY_REP,  false, 30, relay_report},
	{"adopt@awsenv",   ROOT,         MSG_ADOPT_REQ,  MSG_DONE_REP,   false,  0, adopt_run},
	{"nudge@awsenv",   LOCAL | ROOT, MSG_NUDGE_REQ,  MSG_LOGIN_REP,  false, 10, nudge_run},
	{"watch@awsenv",   LOCAL,        MSG_WATCH_REQ,  MSG_WATCH_REP,  false, WATCH_MAX, on_watch},
	{"profiles@awsenv", LOCAL | REMOTE | UNLOCKED, MSG_PROFILES_REQ, MSG_PROFILES_REP, true, 30, on_profiles},
	{"grants@awsenv",  LOCAL | UNLOCKED, MSG_GRANTS_REQ, MSG_GRANTS_REP, true,  30, on_grants},
	{"questions@awsenv", LOCAL,      MSG_QUESTIONS_REQ, MSG_QUESTIONS_REP, false, WATCH_MAX, questions_run},
	{"answer@awsenv",  LOCAL | UNLOCKED, MSG_ANSWER_REQ, MSG_DONE_REP,   false, 30, answer_run},
	{"forward@awsenv", LOCAL,        MSG_FORWARD_REQ, MSG_FORWARD_REP, true, 30, permit_run},
	{"log@awsenv",     LOCAL,        MSG_LOG_REQ,    MSG_LOG_REP,    false, WATCH_MAX, on_log},
	{"lock@awsenv",    LOCAL,        MSG_LOCK_REQ,   MSG_DONE_REP,   false, 60, lock_run},
	{"unlock@awsenv",  LOCAL,        MSG_LOCK_REQ,   MSG_DONE_REP,   false, 60, unlock_run},
	{"screen@awsenv",  LOCAL,        MSG_SCREEN_REQ, MSG_DONE_REP,   false, 30, screen_run},
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

/* "123456789012/Developer": the account as AWS numbers it. */
static struct view
label_account(struct view label)
{
	const uint8_t *slash = label.n ? memchr(label.p, '/', label.n) : NULL;

	if (slash)
		label.n = (uint32_t)(slash - label.p);
	return label;
}

/* ... and the role, which is the last one of a chain. */
static struct view
label_role(struct view label)
{
	uint32_t n = label_account(label).n;

	if (n == label.n)
		return (struct view){0};
	return (struct view){label.p + n + 1, label.n - n - 1};
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

/* ---- the handlers, in the table's order */

/*
 * Asked when there is something to hand out, since only then is it known which
 * account a name means. Of a chain the first role counts: whoever has its
 * credentials can go on from there.
 */
static enum aw_err
confirmed(struct round *r, const struct record *rec)
{
	const struct target *t = &r->target;
	struct view account = t->account;

	if (!t->chain.n)
		account = label_account(rec->label);
	return table_confirm(r->table, account, t->role) ? policy_question(r)
							 : AW_OK;
}

static enum aw_err
on_creds(struct round *r)
{
	const struct creds_req *req = &r->msg->creds;
	struct creds_rep *rep = &r->rep.creds;
	struct target *t = &r->target;
	bool far = policy_is_far(r->conn);
	struct record rec;
	enum aw_err e;

	/* From afar nobody chooses: the oldest that will do are the ones that
	 * end first. */
	if ((e = round_target(r, false)) != AW_OK ||
	    (e = round_creds(r, &r->keep[0], &rec, far ? 0 : req->seconds,
		 !far && req->half)) != AW_OK)
		return e;
	if ((e = confirmed(r, &rec)) != AW_OK)
		return e;
	role_used(t, &rec);
	if (t->notice.n)
		text_set(&r->notice, "%.*s%s%s", VIEW_ARG(t->notice),
		    r->notice ? "; " : "", r->notice ? r->notice : "");
	rep->profile = t->profile;
	rep->account = label_account(rec.label);
	rep->role = label_role(rec.label);
	rep->region = t->region;
	rep->settings = t->settings;
	rep->notice = view_str(r->notice);
	rep->sealed = rec.sealed;
	r->access_key = rec.access_key;
	return AW_OK;
}

static enum aw_err
on_login(struct round *r)
{
	const struct login_req *req = &r->msg->login;
	AUTOBUF struct buf b = {0};
	struct target *t = &r->target;
	struct record tok;
	struct login *l;
	enum aw_err e;

	if ((e = round_target(r, true)) != AW_OK)
		return e;
	if (!(l = login_get(t->session.login))) {
		round_say(r, "too many logins are under way");
		return AW_BUSY;
	}
	if (!login_under_way(l) || (l->desktop && !req->desktop)) {
		e = round_token(r, &b, &tok);
		if (e == AW_LOGIN)
			login_begin(l, t, round_session(t), req->desktop);
		else if (e != AW_OK)
			return e;
	}
	login_watch(l);
	e = round_tell(r, l);
	r->rep.login.session = round_session(t);
	r->rep.login.notice = t->session.notice;
	r->rep.login.expected = t->expected;
	r->rep.login.browser = t->browser;
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
		round_say(r, "that login has ended; ask for it again");
		return AW_GONE;
	}
	login_watch(l);
	if (state == req->seen && seconds &&
	    r->progress->waited != STAGE_LOGIN && login_under_way(l))
		return conn_hold(
		    r->conn, STAGE_LOGIN, &l->holds, (int64_t)seconds * 1000);
	return round_tell(r, l);
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

	e = round_target(r, true);
	if (e == REQUEST_HELD)
		return e;
	if (policy_is_far(r->conn)) {
		e = policy_told(r, e);
		rep->version = view_str(AWSENV_VERSION);
	} else {
		report_agent(rep);
		rep->problems = r->table ? table_problems(r->table) : 0;
	}
	rep->profiles = r->table ? policy_count(r->conn, r->table) : 0;
	rep->profile_error = e;
	rep->profile_text = view_str(r->text);
	if (e != AW_OK)
		return AW_OK;
	rep->profile = t->profile;
	rep->session = round_session(t);
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

static enum aw_err
on_whoami(struct round *r)
{
	struct whoami_rep *rep = &r->rep.whoami;
	struct target *t = &r->target;
	struct role_identity who;
	struct record rec;
	enum aw_err e;

	if ((e = round_target(r, false)) != AW_OK ||
	    (e = round_creds(r, &r->keep[0], &rec, 0, false)) != AW_OK)
		return e;
	role_used(t, &rec);
	if (role_identity(t, rec.access_key, &who) != AW_OK) {
		if ((e = round_ended(r, STAGE_IDENTITY)) != AW_OK)
			return e;
		return round_hold(
		    r, STAGE_IDENTITY, role_identify(t, &rec), INT64_MAX);
	}
	rep->profile = t->profile;
	rep->session = round_session(t);
	rep->account = label_account(rec.label);
	rep->role = label_role(rec.label);
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

/*
 * Of each login only how it stands now: what came between two requests is of
 * no use to a desktop. None that never had anything to tell is told.
 */
static enum aw_err
on_watch(struct round *r)
{
	const struct watch_req *req = &r->msg->watch;
	uint32_t seconds = req->seconds < WATCH_MAX ? req->seconds : WATCH_MAX;
	struct watch_rep rep = {.change = req->seen};
	struct login *l = login_after(req->seen);
	struct record rec;
	enum aw_err e;

	if (!l && seconds && r->progress->waited != STAGE_CHANGE)
		return conn_hold(r->conn, STAGE_CHANGE, login_watchers(),
		    (int64_t)seconds * 1000);
	if (l) {
		e = round_tell(r, l);
		r->rep.login.error = public_error(e);
		r->rep.login.text = view_str(e == AW_OK ? NULL : r->text);
		msg_encode(MSG_LOGIN_REP, &r->rep.login, &r->keep[2]);
		rep.change = l->change;
		rep.login = view_of(&r->keep[2]);
		buf_reset(&r->keep[0]);
		if (store_get(KEY_REF, login_id(l), &r->keep[0], &rec) == AW_OK)
			rep.refreshable = rec.refreshable;
	}
	r->rep.watch = rep;
	return AW_OK;
}

static enum aw_err
on_profiles(struct round *r)
{
	enum aw_err e = round_table(r);

	if (e == AW_OK)
		report_profiles(r->conn, r->table, r->msg->profiles.from,
		    &r->rep.profiles, &r->keep[0]);
	return e;
}

/* What is known behind `from` is told at once, what comes is waited for. */
static enum aw_err
on_grants(struct round *r)
{
	const struct grants_req *req = &r->msg->grants;
	struct grants_rep *rep = &r->rep.grants;
	struct progress *p = r->progress;
	const char *text = NULL;
	struct record tok;
	struct grants *g;
	enum aw_err e;

	/* What was listed for a login that has ended since is not told. */
	if ((e = round_target(r, true)) != AW_OK ||
	    (e = round_token(r, &r->keep[1], &tok)) != AW_OK)
		return e;
	g = grants_find(r->target.session.login, req->listing);
	if (g && grants_state(g, &text) == AW_TOKEN && p->refused++ < 2) {
		grants_drop(g);
		if ((e = round_token(r, &r->keep[1], &tok)) != AW_OK)
			return e;
		g = NULL;
	}
	if (!g)
		g = grants_start(&r->target, tok.sealed, tok.expires);
	if (!g)
		return round_hold(r, STAGE_GRANTS, NULL, 0);
	grants_tell(g, req, rep, &r->keep[0]);
	e = grants_state(g, &text);
	if (e == AW_BUSY && rep->listing == req->listing && !rep->items.n) {
		e = conn_hold(
		    r->conn, STAGE_GRANTS, grants_holds(g), INT64_MAX);
		/* Nothing came in that time: the client asks on. */
		return e == AW_TIMEOUT ? AW_OK : e;
	}
	if (e == AW_OK || e == AW_BUSY || !rep->complete)
		return AW_OK;
	round_say(r, text);
	return e;
}

static enum aw_err
on_log(struct round *r)
{
	const struct log_req *req = &r->msg->log;
	uint32_t seconds = req->seconds < WATCH_MAX ? req->seconds : WATCH_MAX;

	audit_tell(req->from, &r->rep.log, &r->keep[0]);
	if (r->rep.log.items.n || !seconds || r->progress->waited == STAGE_LOG)
		return AW_OK;
	return conn_hold(
	    r->conn, STAGE_LOG, audit_watchers(), (int64_t)seconds * 1000);
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

/* The first words on ssh's own socket, which may be those of ssh itself. */
static bool
may_count(const struct conn *c)
{
	const struct binds *b = &c->binds;

	return (c->listener == AT_FORWARD || c->listener == AT_PERMIT) &&
	    c->frames == 0 && b->n == 1 && !b->poisoned;
}

/* A client turns out to be another host's: that only takes rights away. */
static void
take_for_far(struct conn *c)
{
	if (c->origin == ROOT)
		c->origin = NOBODY;
	else if (c->origin == LOCAL)
		c->origin = REMOTE;
}

/*
 * Some ssh says whose connection it carries here. By itself a bind only takes
 * rights away. It names the host if the ssh that sent it waits for this answer:
 * a far host that has its words passed on can say anything, also what another
 * host was told. Answered at once, since the person's whole session waits; the
 * look takes less than a millisecond, and without it nothing counts.
 */
static void
on_bind(struct conn *c, struct view body)
{
	const uint32_t word = SEEN_BINDS | SEEN_WAITS;
	struct look *look = &c->look;

	if (c->progress.waited == STAGE_NONE) {
		take_for_far(c);
		bind_take(&c->binds, body);
		relay_bind(c);
		c->progress.deadline = loop_now() + BIND_MS;
		if (may_count(c))
			look_at_peer(look, c->pid, c->fd);
		if (look->state == LOOK_ASKED &&
		    conn_hold(c, STAGE_LOOK, &look->holds, BIND_MS) ==
			REQUEST_HELD)
			return;
	}
	if (look->state == LOOK_ASKED)
		look_off(look);
	c->binds.counts |= may_count(c) && look->state == LOOK_DONE &&
	    (look->seen.flags & word) == word;
	refuse(c, SSH_AGENT_SUCCESS);
}

/*
 * To be noted are credentials that were handed out, and whatever was refused,
 * by us or by AWS. Of a remote client anything that it did not get.
 */
static bool
notable(const struct round *r, const struct request *q, enum aw_err e)
{
	if (e == AW_DENIED)
		return true;
	if (q->fn != on_creds)
		return false;
	return e == AW_OK || e == AW_AWS || r->conn->origin == REMOTE;
}

static void
note(const struct round *r, const struct request *q, enum aw_err e)
{
	const struct creds_rep *given = &r->rep.creds;
	struct audit_what w = {
	    .profile = q->ask ? r->msg->ask.profile : (struct view){0},
	    .account = r->target.account,
	    .role = r->target.role,
	};

	if (e == AW_OK)
		w = (struct audit_what){
		    given->profile, given->account, given->role, r->access_key};
	audit_note(r->conn, q->name, e, &w);
}

static void
answer(struct round *r, const struct request *q, enum aw_err e)
{
	AUTOBUF struct buf out = {0};
	AUTOFREE char *line = NULL;
	struct view profile;

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
	if (notable(r, q, e)) {
		note(r, q, public_error(e));
		return;
	}
	profile = q->ask && r->msg->ask.profile.n ? r->msg->ask.profile
						  : view_str("-");
	text_set(&line, "%.*s", VIEW_ARG(profile));
	log_info("%s %s %s pid %d: %s%s%s", q->name, line,
	    origin_name(r->conn->origin), (int)r->conn->pid,
	    e == AW_OK ? "ok" : aw_strerror(public_error(e)),
	    e == AW_OK ? "" : ": ", e == AW_OK || !r->text ? "" : r->text);
}

static enum aw_err
may_ask(struct round *r, const struct request *q)
{
	if ((q->who & UNLOCKED) && lock_held()) {
		round_say(r, "the agent is locked: awsenv unlock");
		return AW_DENIED;
	}
	if (q->who & r->conn->origin)
		return q->who & UNLOCKED ? presence_may(r) : AW_OK;
	round_say(r,
	    r->conn->origin == ROOT
		? "root may ask another user's agent for status, lists, "
		  "logout, nudge it and hand over a login, not for this"
		: r->conn->origin == LOCAL
		? "only root may hand over a login, to another user's agent"
		: "not from another host; do it where the agent runs");
	return AW_DENIED;
}

/*
 * An ssh may have been given agent.sock in the place of forward.sock, and one
 * that relays it sends no binds. Who sent a descriptor is known to be here, as
 * clients of ours are at no cost; of others the program is looked at, once. Of
 * whom nothing can be said is not.
 */
static enum aw_err
locate(struct conn *c)
{
	struct progress *p = &c->progress;
	struct look *look = &c->look;
	static pid_t told;

	if (c->here || !(c->origin & (LOCAL | ROOT)))
		return AW_OK;
	if (!p->deadline)
		p->deadline = loop_now() + LOCATE_MS;
	/* Mostly the spawner had no room for the question. */
	if (look->state == LOOK_DONE && !look->seen.flags)
		look_off(look);
	look_at(look, c->pid, LOOK_PROGRAM);
	p->rounds = 0;
	if (!look->seen.flags &&
	    conn_hold(c, STAGE_LOOK, &look->holds,
		look->state == LOOK_ASKED ? LOCATE_MS : AGAIN_MS) ==
		REQUEST_HELD)
		return REQUEST_HELD;
	if (look->state == LOOK_DONE && look->seen.flags == SEEN_THERE) {
		c->here = true;
	} else {
		take_for_far(c);
		if (c->pid != told)
			log_warn("pid %d (%s) came to agent.sock and counts as "
				 "another host: forward forward.sock, or give "
				 "remote.sock to RemoteForward",
			    (int)c->pid,
			    look->seen.flags ? look->seen.program : "gone");
		told = c->pid;
	}
	look_off(look);
	request_forget(p);
	return AW_OK;
}

/* A list that is short of something is not told as if it were whole. */
static bool
is_whole(const struct round *r)
{
	return !r->keep[0].bad && !r->keep[1].bad && !r->keep[2].bad;
}

static void
serve(struct conn *c, const struct request *q, struct view body)
{
	union message msg = {0};
	struct round r = {.conn = c, .progress = &c->progress, .msg = &msg};
	enum aw_err e;

	if (locate(c) == REQUEST_HELD)
		return;
	if (!msg_decode(q->kind, body, &msg)) {
		log_info("%s: malformed, pid %d", q->name, (int)c->pid);
		refuse(c, SSH_AGENT_EXTENSION_FAILURE);
		return;
	}
	if (!c->progress.deadline)
		c->progress.deadline = loop_now() + q->seconds * 1000;
	if (q->ask && policy_is_far(c))
		policy_ask(&msg.ask);
	e = may_ask(&r, q);
	if (e == AW_OK) {
		e = q->fn(&r);
		if (e == AW_OK && !is_whole(&r))
			e = AW_NOMEM;
		if (q->ask && policy_is_far(c))
			e = policy_told(&r, e);
		if ((q->who & UNLOCKED) &&
		    (e == AW_OK || (e == REQUEST_HELD && c->origin == LOCAL)))
			idle_touch();
	}
	if (e != REQUEST_HELD)
		answer(&r, q, e);
	buf_free(&r.keep[0]);
	buf_free(&r.keep[1]);
	buf_free(&r.keep[2]);
	buf_free(&r.target.id);
	free(r.text);
	free(r.notice);
}

/* A bind that was none, or one that says that ssh logs in to a host there, and
 * forwards nothing. */
static bool
has_rights(const struct conn *c)
{
	return !c->binds.poisoned && !c->binds.login;
}

static void
dispatch(struct conn *c, struct view frame)
{
	struct view name;
	uint8_t type;
	size_t i;

	if (!view_u8(&frame, &type) || type != SSH_AGENTC_EXTENSION ||
	    !view_string(&frame, &name)) {
		if (!relay_run(c))
			refuse(c, SSH_AGENT_FAILURE);
		return;
	}
	for (i = 0; i < N(common_requests); i++) {
		if (view_is(name, common_requests[i].name)) {
			common_requests[i].fn(c, frame);
			return;
		}
	}
	for (i = 0; i < N(requests) && has_rights(c); i++) {
		if (view_is(name, requests[i].name)) {
			serve(c, &requests[i], frame);
			return;
		}
	}
	if (!relay_run(c))
		refuse(c, SSH_AGENT_FAILURE);
}

void
request_run(struct conn *c, struct view frame)
{
	job_asker(c->pid);
	dispatch(c, frame);
	job_asker(0);
}

void
request_forget(struct progress *p)
{
	logout_free(p->logout);
	free(p->text);
	buf_free(&p->asked);
	*p = (struct progress){0};
}

void
request_gone(struct conn *c)
{
	question_gone(c);
	permit_gone(c);
	request_forget(&c->progress);
}
