/* SPDX-License-Identifier: ISC */
/*
 * Role credentials: sealed by the fetcher, kept by the store, handed out as
 * they are. Here is when they are good enough and when new ones are fetched,
 * also ahead of time for those that somebody used within the last hour.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define ROLES_MAX 1024 /* refreshed ahead; others when asked for */
#define LEAST_LEFT (15 * 60)
#define AHEAD (20 * 60)
#define USED_FOR (60 * 60)
#define AGAIN 60
#define CLOCK_SLACK 60

/* What it takes to fetch once more without a client. */
struct role {
	LIST_ENTRY(role) entry;
	struct buf id;
	struct buf target; /* account, role, chain, sts, sts_region */
	uint64_t used;
	struct timer refresh;
	char *access_key; /* whose identity this is */
	char *arn;
	char *user_id;
	char *person;
};

static LIST_HEAD(, role) roles = LIST_HEAD_INITIALIZER(roles);
static unsigned int nroles;

static void refresh_due(void *arg);

void
role_id(struct buf *id, struct view login, struct view account,
    struct view role, struct view chain_digest)
{
	buf_reset(id);
	buf_put(id, login.p, login.n);
	buf_put(id, account.p, account.n);
	buf_u8(id, 0);
	buf_put(id, role.p, role.n);
	buf_u8(id, 0);
	buf_put(id, chain_digest.p, chain_digest.n);
}

/*
 * SDKs ask again below 15 minutes, so that much is wanted; of credentials that
 * live shorter than 30 minutes half. What can never be had is not asked for:
 * else each request would fetch.
 */
bool
role_good(const struct record *r, uint32_t seconds, bool half)
{
	uint64_t now = loop_time();
	uint64_t left = r->expires > now ? r->expires - now : 0;
	uint64_t life = r->expires > r->obtained ? r->expires - r->obtained : 0;
	uint64_t least = life < 2 * LEAST_LEFT ? life / 2 : LEAST_LEFT;

	if (seconds > least)
		least = seconds < life - life / 10 ? seconds : life - life / 10;
	if (half && least < life / 2)
		least = life / 2;
	/* The clock was set back since: when they end is not known. */
	if (r->obtained > now + CLOCK_SLACK)
		return false;
	return left > 0 && left >= least;
}

static struct role *
role_find(struct view id)
{
	struct role *r;

	LIST_FOREACH(r, &roles, entry)
	{
		if (view_eq(view_of(&r->id), id))
			return r;
	}
	return NULL;
}

static void
role_free(struct role *r)
{
	LIST_REMOVE(r, entry);
	nroles--;
	loop_cancel(&r->refresh);
	buf_free(&r->id);
	buf_free(&r->target);
	free(r->access_key);
	free(r->arn);
	free(r->user_id);
	free(r->person);
	free(r);
}

/* Where there is no room the one that was not used for longest goes. */
static struct role *
role_make(struct view id)
{
	struct role *r, *oldest = LIST_FIRST(&roles);

	if (nroles >= ROLES_MAX) {
		LIST_FOREACH(r, &roles, entry)
		{
			if (r->used < oldest->used)
				oldest = r;
		}
		role_free(oldest);
	}
	if (!(r = calloc(1, sizeof(*r))))
		fatal("role");
	buf_put(&r->id, id.p, id.n);
	LIST_INSERT_HEAD(&roles, r, entry);
	nroles++;
	return r;
}

/* 20 minutes before the end, or at three quarters of a shorter life. With AWS
 * giving the same once more, not again and again. */
static void
schedule(struct role *r, uint64_t obtained, uint64_t expires)
{
	uint64_t now = loop_time(), life, at;

	loop_cancel(&r->refresh);
	if (expires <= now + AGAIN || expires <= obtained)
		return;
	life = expires - obtained;
	at = life > 2 * AHEAD ? expires - AHEAD : obtained + life / 4 * 3;
	if (at < now + AGAIN)
		at = now + 5 * AGAIN;
	if (at < expires)
		loop_after(&r->refresh,
		    (int64_t)(at - now) * 1000 + loop_random(AGAIN * 1000),
		    refresh_due, r);
}

void
role_used(const struct target *t, const struct record *rec)
{
	struct role *r = role_find(view_of(&t->id));

	if (!r) {
		r = role_make(view_of(&t->id));
		buf_string(&r->target, t->account);
		buf_string(&r->target, t->role);
		buf_string(&r->target, t->chain);
		buf_string(&r->target, t->sts);
		buf_string(&r->target, t->sts_region);
		if (r->id.bad || r->target.bad) { /* another time */
			role_free(r);
			return;
		}
	} else if (r != LIST_FIRST(&roles)) {
		LIST_REMOVE(r, entry);
		LIST_INSERT_HEAD(&roles, r, entry);
	}
	r->used = loop_time();
	if (!r->refresh.armed)
		schedule(r, rec->obtained, rec->expires);
}

static struct job *
fetch_role(const struct fetch *f, struct view id, struct view facts,
    uint64_t tok_expires)
{
	struct fetch_tag tag = {id, facts, tok_expires};
	struct job *job = job_find(FETCH_ROLE, id);

	return job ? job : fetch_start(f, &tag, 3);
}

struct job *
role_fetch(const struct target *t, struct view tok, uint64_t tok_expires)
{
	struct fetch f = {
	    .what = FETCH_ROLE,
	    .tok = tok,
	    .account = t->account,
	    .role = t->role,
	    .chain = t->chain,
	    .sts = t->sts,
	    .sts_region = t->sts_region,
	};

	return fetch_role(&f, view_of(&t->id), t->session.facts, tok_expires);
}

/* Nobody waits for it: whatever goes wrong, the next request sees to it. */
static void
refresh_due(void *arg)
{
	AUTOBUF struct buf tok_key = {0}, ref_key = {0};
	struct role *r = arg;
	struct view v = view_of(&r->target), id = view_of(&r->id);
	struct view login = {id.p, LOGIN_ID};
	struct fetch f = {.what = FETCH_ROLE};
	struct record tok, ref;

	if (loop_time() > r->used + USED_FOR)
		return;
	if (login_token(login, &tok_key, &tok) != AW_OK ||
	    store_get(KEY_REF, login, &ref_key, &ref) != AW_OK)
		return;
	view_string(&v, &f.account);
	view_string(&v, &f.role);
	view_string(&v, &f.chain);
	view_string(&v, &f.sts);
	view_string(&v, &f.sts_region);
	f.tok = tok.sealed;
	fetch_role(&f, id, ref.facts, tok.expires);
}

/* The name of the role that a chain ends in: what follows the ARN's last '/'. */
static struct view
arn_role(struct view arn)
{
	const uint8_t *slash = arn.n ? memrchr(arn.p, '/', arn.n) : NULL;

	if (!slash)
		return (struct view){0};
	return (struct view){slash + 1, (uint32_t)(arn.p + arn.n - slash - 1)};
}

static void
keep(const struct answer *a, const struct fetch_tag *t, struct role *r)
{
	uint64_t expires = fetch_keep_role(a, t->id, arn_role(a->arn));

	if (r)
		schedule(r, loop_time(), expires);
}

static void
keep_identity(struct role *r, const struct answer *a)
{
	text_set(&r->arn, "%.*s", VIEW_ARG(a->arn));
	text_set(&r->user_id, "%.*s", VIEW_ARG(a->user_id));
	text_set(&r->person, "%.*s", VIEW_ARG(a->person));
}

static bool
role_packet(struct job *job, enum msg_kind kind, struct view body)
{
	struct fetch_tag t;
	struct answer a;
	struct role *r;

	if (!fetch_answer(job, kind, body, &a, &t)) {
		job_outcome(job, AW_PROTO,
		    view_str("awsenv-fetch does not speak our language"));
		return true;
	}
	job_outcome(job, a.error, a.text);
	r = role_find(t.id);
	if (a.error == AW_OK && a.what == FETCH_ROLE)
		keep(&a, &t, r);
	else if (a.error == AW_OK && r)
		keep_identity(r, &a);
	else if (a.error == AW_TOKEN)
		login_refused((struct view){t.id.p, LOGIN_ID}, t.tok_expires);
	else if ((a.error == AW_NETWORK || a.error == AW_NOMEM) && r &&
	    a.what == FETCH_ROLE)
		loop_after(&r->refresh,
		    AGAIN * 1000 + loop_random(AGAIN * 1000), refresh_due, r);
	return true;
}

static const struct job_class role_class = {
    PROGRAM_FETCH,
    role_packet,
    NULL,
};

void
role_open(void)
{
	job_register(FETCH_ROLE, &role_class);
	job_register(FETCH_IDENTITY, &role_class);
}

enum aw_err
role_identity(
    const struct target *t, struct view access_key, struct role_identity *who)
{
	struct role *r = role_find(view_of(&t->id));

	if (!r || !r->arn || !r->access_key ||
	    !view_is(access_key, r->access_key))
		return AW_GONE;
	*who = (struct role_identity){r->arn, r->user_id, r->person};
	return AW_OK;
}

/* role_used() came before, so there is a place for the answer. */
struct job *
role_identify(const struct target *t, const struct record *rec)
{
	struct fetch_tag tag = {view_of(&t->id), t->session.facts, 0};
	struct fetch f = {
	    .what = FETCH_IDENTITY,
	    .creds = rec->sealed,
	    .account = t->account,
	    .role = t->role,
	    .sts = t->sts,
	    .sts_region = t->sts_region,
	};
	struct job *job = job_find(FETCH_IDENTITY, tag.id);
	struct role *r = role_find(tag.id);

	if (job)
		return job;
	if (r) {
		free(STEAL(r->arn));
		text_set(&r->access_key, "%.*s", VIEW_ARG(rec->access_key));
	}
	return fetch_start(&f, &tag, 3);
}
