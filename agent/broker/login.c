/* SPDX-License-Identifier: ISC */
/*
 * Logins: one for each identity that tokens are bound to, however many ask.
 * What lasts is in the store; here is what is under way, and the time at which
 * a token is to be refreshed. A broker that takes over from a dead one knows
 * each login again from its keys.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define LOGINS_MAX 256
#define TOKEN_LEAST 60
#define AHEAD (15 * 60)
#define AHEAD_SPREAD (5 * 60)
#define AGAIN_MS 60000
#define NAME_MS 10000  /* time for the fetcher to say who approved */
#define WATCH_MS 35000 /* a client waits 30 s at a time */
#define POLLS_MAX 20
#define REST_MS 250
#define REST_MAX_MS 30000

static LIST_HEAD(, login) logins = LIST_HEAD_INITIALIZER(logins);
static unsigned int nlogins;
static struct holds watchers = LIST_HEAD_INITIALIZER(watchers);
static uint64_t changes;

static void poll_login(void *arg);
static void on_tokens(
    struct login *, const struct answer *, const struct fetch_tag *);
static void on_person(
    struct login *, const struct answer *, const struct fetch_tag *);
static void refresh_due(void *arg);

struct view
login_id(const struct login *l)
{
	return (struct view){l->id, LOGIN_ID};
}

/* The same for every broker, so a client can go on with the next one. */
uint64_t
login_ticket(const struct login *l)
{
	struct view v = login_id(l);
	uint64_t ticket = 0;

	view_u64(&v, &ticket);
	return ticket;
}

struct login *
login_by_ticket(uint64_t ticket)
{
	struct login *l;

	LIST_FOREACH(l, &logins, entry)
	{
		if (login_ticket(l) == ticket)
			return l;
	}
	return NULL;
}

struct login *
login_find(struct view id)
{
	struct login *l;

	LIST_FOREACH(l, &logins, entry)
	{
		if (view_eq(login_id(l), id))
			return l;
	}
	return NULL;
}

struct login *
login_next(const struct login *l)
{
	return l ? LIST_NEXT(l, entry) : LIST_FIRST(&logins);
}

/* Whoever watches them all is told by and by, the oldest change first. */
void
login_touch(struct login *l)
{
	l->change = ++changes;
	hold_wake(&watchers, AW_OK, NULL);
}

struct login *
login_after(uint64_t seen)
{
	struct login *l, *first = NULL;

	if (seen > changes)
		seen = 0; /* it was told that by another broker */
	LIST_FOREACH(l, &logins, entry)
	{
		if (l->change > seen && (!first || l->change < first->change))
			first = l;
	}
	return first;
}

struct holds *
login_watchers(void)
{
	return &watchers;
}

static struct job *
with_person(const struct login *l)
{
	struct job *job = job_find(FETCH_LOGIN, login_id(l));

	return job ? job : job_find(FETCH_POLL, login_id(l));
}

static void
forget_offer(struct login *l)
{
	free(STEAL(l->text));
	free(STEAL(l->url));
	free(STEAL(l->code));
	free(STEAL(l->session));
	free(STEAL(l->notice));
	free(STEAL(l->expected));
	free(STEAL(l->browser));
	free(STEAL(l->person));
	free(STEAL(l->before));
	buf_free(&l->qr);
	l->qr_width = 0;
	l->until = 0;
	l->error = AW_OK;
}

static void
login_free(struct login *l)
{
	LIST_REMOVE(l, entry);
	nlogins--;
	loop_cancel(&l->step);
	loop_cancel(&l->watch);
	loop_cancel(&l->refresh);
	forget_offer(l);
	free(l->account);
	free(l->role);
	free(l);
}

/* One that has nothing under way gives its place. */
static bool
make_room(void)
{
	struct login *l;

	if (nlogins < LOGINS_MAX)
		return true;
	LIST_FOREACH(l, &logins, entry)
	{
		if (!with_person(l) && !l->step.armed && !l->refresh.armed &&
		    LIST_EMPTY(&l->holds)) {
			login_free(l);
			return true;
		}
	}
	return false;
}

struct login *
login_get(struct view id)
{
	struct login *l = login_find(id);

	if (l)
		return l;
	if (!make_room())
		return NULL;
	if (!(l = calloc(1, sizeof(*l))))
		fatal("login");
	memcpy(l->id, id.p, LOGIN_ID);
	LIST_INIT(&l->holds);
	LIST_INSERT_HEAD(&logins, l, entry);
	nlogins++;
	return l;
}

bool
login_under_way(const struct login *l)
{
	return l->state == LOGIN_STARTING || l->state == LOGIN_PENDING;
}

static void
change(struct login *l, enum login_state state)
{
	if (l->state == state)
		return;
	l->state = state;
	if (!login_under_way(l))
		loop_cancel(&l->watch);
	if (state == LOGIN_DONE)
		idle_touch();
	hold_wake(&l->holds, AW_OK, NULL);
	login_touch(l);
}

enum login_state
login_state(const struct login *l)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	if (login_under_way(l))
		return l->state;
	if (login_token(login_id(l), &b, &rec) == AW_OK)
		return LOGIN_DONE;
	return l->state == LOGIN_DONE ? LOGIN_NONE : l->state;
}

enum aw_err
login_token(struct view id, struct buf *b, struct record *rec)
{
	uint64_t now = loop_time(), life, least = TOKEN_LEAST;

	if (!record_get(KEY_TOK, id, b, rec) || rec->expires <= now)
		return AW_GONE;
	life = rec->expires - rec->obtained;
	if (life < 10 * TOKEN_LEAST) /* awsenv-agent -t may ask for that */
		least = life / 10;
	return rec->expires - now >= least ? AW_OK : AW_GONE;
}

/* ---- silent refresh */

/* 15 to 20 minutes ahead, or at three quarters of a short life: many agents
 * of one office do not come at once. */
static void
schedule(struct login *l, uint64_t obtained, uint64_t expires)
{
	uint64_t now = loop_time(), at;
	uint64_t life = expires > obtained ? expires - obtained : 0;

	loop_cancel(&l->refresh);
	if (expires <= now)
		return;
	if (life >= 2 * AHEAD)
		at = expires - AHEAD - loop_random(AHEAD_SPREAD);
	else
		at = obtained + life / 4 * 3 +
		    loop_random((uint32_t)(life / 16) + 1);
	if (at < now + 1)
		at = now + 1;
	loop_after(&l->refresh, (int64_t)(at - now) * 1000, refresh_due, l);
}

struct job *
login_refresh(struct view id)
{
	AUTOBUF struct buf b = {0};
	struct fetch f = {.what = FETCH_REFRESH};
	struct fetch_tag tag = {.id = id};
	struct job *job = job_find(FETCH_REFRESH, id);
	struct record rec;

	if (job)
		return job;
	if (!record_get(KEY_REF, id, &b, &rec) || !rec.refreshable)
		return NULL;
	f.ref = rec.sealed;
	tag.facts = rec.facts;
	return fetch_start(&f, &tag, 3);
}

static void
refresh_due(void *arg)
{
	struct login *l = arg;

	login_refresh(login_id(l));
}

/* While the token lives, a network that is down is only asked again. */
static void
refresh_failed(struct login *l, enum aw_err error)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	if (error == AW_GRANT && record_get(KEY_REF, login_id(l), &b, &rec)) {
		/* Worthless from now on; what is known of the person stays,
		 * and the registration, which the next login tries. */
		rec.refreshable = 0;
		record_put(KEY_REF, &rec);
		login_touch(l);
		return;
	}
	buf_reset(&b);
	if (record_get(KEY_TOK, login_id(l), &b, &rec))
		loop_after(&l->refresh, AGAIN_MS + loop_random(AGAIN_MS / 2),
		    refresh_due, l);
}

void
login_refused(struct view id, uint64_t tok_expires)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	/* Not if there is another one since. */
	if (record_get(KEY_TOK, id, &b, &rec) && rec.expires == tok_expires)
		store_drop(KEY_TOK, id);
}

/* ---- a login with a person */

static void
client_name(struct buf *b)
{
	char host[256] = "";
	struct view v;

	gethostname(host, sizeof(host) - 1);
	v = view_str("awsenv on ");
	buf_put(b, v.p, v.n);
	v = view_str(*host ? host : "this machine");
	buf_put(b, v.p, v.n);
}

static void
fail(struct login *l, enum aw_err error, const char *text)
{
	store_drop(KEY_DEV, login_id(l));
	loop_cancel(&l->step);
	/* Nobody approved, AWS did not mind: the person may try again. */
	l->error = error == AW_EXPIRED ? AW_LOGIN : error;
	text_set(&l->text, "%s", text && *text ? text : aw_strerror(error));
	change(l, LOGIN_FAILED);
}

void
login_begin(
    struct login *l, const struct target *t, struct view session, bool desktop)
{
	AUTOBUF struct buf b = {0}, name = {0};
	struct fetch_tag tag = {.id = login_id(l), .facts = t->session.facts};
	struct fetch f = {
	    .what = FETCH_LOGIN,
	    .account = t->account,
	    .role = t->role,
	    .chain = t->chain,
	    .sts = t->sts,
	    .sts_region = t->sts_region,
	    .waiting = 1,
	    .desktop = desktop,
	};
	struct record rec;

	/* One that has its token may be asking for the person's name still:
	 * its end would be taken for the end of this one. */
	job_abandon_all(1u << FETCH_LOGIN | 1u << FETCH_POLL, login_id(l));
	loop_cancel(&l->step);
	forget_offer(l);
	l->polls = 0;
	if (record_get(KEY_REF, login_id(l), &b, &rec))
		f.ref = rec.sealed;
	client_name(&name);
	f.client_name = view_of(&name);
	l->session = text_dup(session);
	l->notice = text_dup(t->session.notice);
	l->expected = text_dup(t->expected);
	l->browser = text_dup(t->browser);
	free(l->account);
	free(l->role);
	l->account = text_dup(t->account);
	l->role = text_dup(t->role);
	l->state = LOGIN_STARTING;
	l->desktop = desktop;
	l->watched = true;
	if (!fetch_start(&f, &tag, 3))
		fail(l, AW_CONFIG, "this profile's settings are too long");
}

void
login_adopt(
    struct login *l, const struct session *row, const struct adopt_req *req)
{
	const struct fetch_tag t = {.id = login_id(l), .facts = row->facts};
	const struct answer a = {
	    .what = FETCH_LOGIN,
	    .tok = req->tok,
	    .tok_expires = req->tok_expires,
	    .ref = req->ref,
	    .ref_expires = req->ref_expires,
	    .refreshable = req->refreshable,
	    .person = req->person,
	};

	job_abandon_all(
	    1u << FETCH_LOGIN | 1u << FETCH_POLL | 1u << FETCH_REFRESH,
	    login_id(l));
	forget_offer(l);
	l->session = text_dup(row->name);
	l->notice = text_dup(row->notice);
	on_tokens(l, &a, &t);
	on_person(l, &a, &t);
	loop_cancel(&l->step);
	change(l, LOGIN_DONE);
	log_info("the login of %s was handed over", l->person);
}

/* Go on with a code that a person may be looking at. */
static void
poll_login(void *arg)
{
	AUTOBUF struct buf b = {0}, name = {0};
	struct login *l = arg;
	struct fetch_tag tag = {.id = login_id(l)};
	struct fetch f = {.what = FETCH_POLL, .waiting = l->watched};
	struct record rec;
	struct view role;

	if (with_person(l))
		return;
	if (!record_get(KEY_DEV, login_id(l), &b, &rec)) {
		fail(l, AW_EXPIRED, "nobody approved the login in time");
		return;
	}
	tag.facts = rec.facts;
	f.dev = rec.sealed;
	role = rec.person;
	view_entry(&role, &f.account);
	view_entry(&role, &f.role);
	if (!l->account) {
		l->account = text_dup(f.account);
		l->role = text_dup(f.role);
	}
	client_name(&name);
	f.client_name = view_of(&name);
	if (l->state != LOGIN_PENDING)
		l->state = LOGIN_STARTING;
	if (!fetch_start(&f, &tag, 0))
		fail(l, AW_CONFIG, "this profile's settings are too long");
}

/* Whoever goes on polling finds it there, whatever becomes of this broker. */
static void
keep_device(struct login *l, const struct answer *a, const struct fetch_tag *t)
{
	AUTOBUF struct buf role = {0};
	struct facts facts = {0};
	struct record rec = {
	    .obtained = loop_time(),
	    .expires = a->dev_until,
	    .id = t->id,
	    .facts = t->facts,
	    .sealed = a->dev,
	};

	/* Whoever goes on with it has to ask about the person, too: the place
	 * of the name, which is still unknown, says where. */
	buf_put(&role, l->account, l->account ? strlen(l->account) + 1 : 0);
	buf_put(&role, l->role, l->role ? strlen(l->role) + 1 : 0);
	rec.person = view_of(&role);
	if (msg_decode(MSG_FACTS, t->facts, &facts))
		rec.label = facts.session;
	record_put(KEY_DEV, &rec);
	l->polls = 0;
}

static void
on_offer(struct login *l, const struct answer *a)
{
	bool other = l->url && !view_is(a->url, l->url);

	l->desktop = !a->dev.n;
	text_set(&l->url, "%.*s", VIEW_ARG(a->url));
	text_set(&l->code, "%.*s", VIEW_ARG(a->code));
	l->until = a->dev_until;
	l->qr_width = a->qr_width;
	buf_reset(&l->qr);
	buf_put(&l->qr, a->qr.p, a->qr.n);
	change(l, LOGIN_PENDING);
	/* A fetcher that listened for a browser died, this is its heir's. */
	if (other) {
		hold_wake(&l->holds, AW_OK, NULL);
		login_touch(l);
	}
}

static void
no_name(void *arg)
{
	struct login *l = arg;

	change(l, LOGIN_DONE);
}

/* Tokens, of a login or a refresh. The registration's record outlives the
 * token's, since it says where the login was made. */
static void
on_tokens(struct login *l, const struct answer *a, const struct fetch_tag *t)
{
	AUTOBUF struct buf old_key = {0};
	AUTOFREE char *person = NULL;
	bool refresh = a->what == FETCH_REFRESH;
	uint64_t now = loop_time(), since = now;
	struct facts facts = {0};
	struct record old, rec = {.id = t->id, .obtained = now};

	if (record_get(KEY_REF, t->id, &old_key, &old)) {
		person = text_dup(old.person);
		if (refresh)
			since = old.obtained; /* when the person logged in */
	}
	if (msg_decode(MSG_FACTS, t->facts, &facts))
		rec.label = facts.session;
	rec.expires = fetch_capped(a->tok_expires, since);
	rec.sealed = a->tok;
	record_put(KEY_TOK, &rec);
	schedule(l, now, rec.expires);
	rec.obtained = since;
	rec.expires =
	    a->ref_expires > a->tok_expires ? a->ref_expires : a->tok_expires;
	rec.expires = fetch_capped(rec.expires, since);
	rec.facts = t->facts;
	rec.refreshable = a->refreshable;
	rec.sealed = a->ref;
	if (refresh)
		rec.person = view_str(person);
	else
		text_set(&l->before, "%s", person ? person : "");
	record_put(KEY_REF, &rec);
	if (refresh) {
		login_touch(l);
		return;
	}
	l->nudged = 0;
	store_drop(KEY_DEV, t->id);
	loop_after(&l->step, NAME_MS, no_name, l);
}

static void
on_person(struct login *l, const struct answer *a, const struct fetch_tag *t)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	text_set(&l->person, "%.*s", VIEW_ARG(a->person));
	if (!record_get(KEY_REF, t->id, &b, &rec))
		return;
	rec.person = view_str(l->person);
	record_put(KEY_REF, &rec);
}

/* To name the person the role that was asked for was taken: keep it. */
static void
on_role(struct login *l, const struct answer *a)
{
	AUTOBUF struct buf id = {0};

	if (!l->account || !*l->account || !l->role || !*l->role)
		return;
	role_id(&id, login_id(l), view_str(l->account), view_str(l->role),
	    (struct view){0});
	if (!id.bad)
		fetch_keep_role(a, view_of(&id), (struct view){0});
}

static bool
has(enum store_kind kind, const struct login *l)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	return record_get(kind, login_id(l), &b, &rec);
}

static bool
login_packet(struct job *job, enum msg_kind kind, struct view body)
{
	struct fetch_tag t;
	struct answer a;
	struct login *l;

	if (!fetch_answer(job, kind, body, &a, &t) ||
	    !(l = login_get((struct view){t.id.p, LOGIN_ID}))) {
		job_outcome(job, AW_PROTO,
		    view_str("awsenv-fetch does not speak our language"));
		return true;
	}
	/* From here on it is polled, or done, not begun anew. */
	if (a.dev.n || a.tok.n)
		job_last(job);
	if (a.dev.n)
		keep_device(l, &a, &t);
	if (a.url.n)
		on_offer(l, &a);
	if (a.tok.n)
		on_tokens(l, &a, &t);
	if (a.person.n)
		on_person(l, &a, &t);
	/* Somebody may have dropped the token since, to have none left. */
	if (a.creds.n && has(KEY_TOK, l))
		on_role(l, &a);
	if (!a.last)
		return false;
	job_outcome(job, a.error, a.text);
	if (a.what == FETCH_LOGOUT)
		l->told = a.error;
	return true;
}

/* A fetcher that died leaves the code valid: go on polling. */
static void
poll_again(struct login *l)
{
	int64_t rest = REST_MS;
	unsigned int i;

	for (i = 0; i < l->polls && rest < REST_MAX_MS; i++)
		rest *= 2;
	if (++l->polls > POLLS_MAX)
		fail(
		    l, AW_NETWORK, "awsenv-fetch ended early, again and again");
	else
		loop_after(&l->step, rest, poll_login, l);
}

static void
login_ended(struct job *job, enum aw_err error, const char *text, bool early)
{
	struct login *l = login_find((struct view){job->tag + 1, LOGIN_ID});
	AUTOBUF struct buf b = {0};
	struct record rec;

	if (!l)
		return;
	switch (job_what(job)) {
	case FETCH_LOGIN:
	case FETCH_POLL:
		if (login_token(login_id(l), &b, &rec) == AW_OK &&
		    !has(KEY_DEV, l)) {
			loop_cancel(&l->step);
			change(l, LOGIN_DONE);
		} else if (early && has(KEY_DEV, l)) {
			poll_again(l);
		} else if (early && error == AW_OK) {
			/* Of a broker before, and got no further: whoever
			 * waits is told that his ticket is void. */
			change(l, LOGIN_NONE);
		} else if (error == AW_OK) {
			fail(l, AW_NETWORK, "the login ended without a token");
		} else {
			/* What was read of the CA bundle is not so any more:
			 * the next login is to read it again. */
			if (error == AW_STALE)
				table_forget_all();
			fail(l, error, text);
		}
		break;
	case FETCH_REFRESH:
		if (error != AW_OK)
			refresh_failed(l, error);
		break;
	case FETCH_LOGOUT:
		if (error != AW_OK)
			l->told = error;
		break;
	}
}

static const struct job_class login_class = {
    PROGRAM_FETCH,
    login_packet,
    login_ended,
};

void
login_open(void)
{
	job_register(FETCH_LOGIN, &login_class);
	job_register(FETCH_POLL, &login_class);
	job_register(FETCH_REFRESH, &login_class);
	job_register(FETCH_LOGOUT, &login_class);
}

/* The store must not change while it is walked: only timers are set here. */
static void
resume_one(const struct store_entry *e, void *arg)
{
	struct login *l;

	(void)arg;
	if (e->record.id.n != LOGIN_ID || !(l = login_get(e->record.id)))
		return;
	if (e->kind == KEY_TOK) {
		schedule(l, e->record.obtained, e->record.expires);
		login_touch(l);
	} else if (e->kind == KEY_DEV) {
		l->state = LOGIN_STARTING;
		l->until = e->record.expires;
		if (!with_person(l))
			loop_after(&l->step, 0, poll_login, l);
	}
}

/* URL and code were told to the broker before: have them told again. */
static void
resume_job(struct job *job)
{
	struct view id = {job->tag + 1, LOGIN_ID};
	struct login *l;

	if ((job_what(job) == FETCH_LOGIN || job_what(job) == FETCH_POLL) &&
	    (l = login_get(id))) {
		l->state = LOGIN_STARTING;
		login_watch(l);
	}
}

void
login_resume(void)
{
	job_each(resume_job);
	record_each(
	    1u << KEY_TOK | 1u << KEY_REF | 1u << KEY_DEV, resume_one, NULL);
}

static void
watch_over(void *arg)
{
	struct hint hint = {.version = MSG_VERSION, .waiting = 0};
	struct login *l = arg;
	struct job *job = with_person(l);

	l->watched = false;
	if (job)
		job_say(job, MSG_HINT, &hint);
}

/* Nobody tells when he stops looking; nobody has for a while. */
void
login_watch(struct login *l)
{
	struct hint hint = {.version = MSG_VERSION, .waiting = 1};
	struct job *job = with_person(l);

	if (!job || !login_under_way(l))
		return;
	if (!l->watched)
		job_say(job, MSG_HINT, &hint);
	l->watched = true;
	loop_after(&l->watch, WATCH_MS, watch_over, l);
}

/* ---- the end */

struct job *
login_sign_out(struct login *l)
{
	AUTOBUF struct buf tok_key = {0}, ref_key = {0};
	struct fetch f = {.what = FETCH_LOGOUT};
	struct fetch_tag tag = {.id = login_id(l)};
	struct job *job = job_find(FETCH_LOGOUT, tag.id);
	struct record tok, ref;

	if (job)
		return job;
	if (!record_get(KEY_TOK, tag.id, &tok_key, &tok) ||
	    !record_get(KEY_REF, tag.id, &ref_key, &ref))
		return NULL;
	f.tok = tok.sealed;
	tag.facts = ref.facts;
	return fetch_start(&f, &tag, 3);
}

unsigned int
login_forget(struct view id)
{
	struct login *l = login_find(id);
	unsigned int n = store_drop_all(1u << KEY_ROLE, id);

	store_drop(KEY_TOK, id);
	store_drop(KEY_REF, id);
	store_drop(KEY_DEV, id);
	if (l) {
		loop_cancel(&l->step);
		loop_cancel(&l->refresh);
		loop_cancel(&l->watch);
		l->watched = false;
		forget_offer(l);
		l->state = LOGIN_NONE;
		hold_wake(&l->holds, AW_OK, NULL);
		login_touch(l);
	}
	/* What they bring would outlive the login. */
	job_abandon_all(1u << FETCH_LOGIN | 1u << FETCH_POLL |
		1u << FETCH_REFRESH | 1u << FETCH_ROLE | 1u << FETCH_IDENTITY,
	    id);
	return n;
}
