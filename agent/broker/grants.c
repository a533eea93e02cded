/* SPDX-License-Identifier: ISC */
/*
 * What a login may use at AWS: accounts and roles, as a fetcher brings them,
 * told to whoever asks from the page on that it has not seen. It is kept in
 * memory for a while after it is complete, and is no secret.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define FRESH_MS (30 * 1000)
#define REPLY_MAX (64 * 1024)
#define TOTAL_MAX (32u << 20)
#define TRIES 2

struct grants {
	LIST_ENTRY(grants) entry;
	uint8_t login[LOGIN_ID];
	uint64_t number;
	struct buf *pages; /* lists of MSG_GRANT_ITEM, one for each answer */
	uint32_t n;
	size_t total;
	uint32_t accounts;
	uint32_t done;
	enum aw_err state; /* AW_BUSY: under way */
	char *text;
	struct job *job;
	unsigned int tries; /* of the job, when this began */
	struct holds holds;
	struct timer end;
};

static LIST_HEAD(, grants) all = LIST_HEAD_INITIALIZER(all);

static void
number_new(struct grants *g)
{
	static uint32_t count;

	/* Unlike any of a broker before. */
	g->number = loop_time() << 32 | (loop_random(1u << 16) << 16) |
	    (++count & 0xffff);
}

static void
pages_free(struct grants *g)
{
	while (g->n)
		buf_free(&g->pages[--g->n]);
	free(STEAL(g->pages));
	g->total = 0;
	g->accounts = g->done = 0;
}

static void
grants_free(struct grants *g)
{
	LIST_REMOVE(g, entry);
	loop_cancel(&g->end);
	if (g->job)
		g->job->arg = NULL;
	pages_free(g);
	hold_wake(&g->holds, AW_OK, NULL);
	free(g->text);
	free(g);
}

static void
grants_old(void *arg)
{
	grants_free(arg);
}

void
grants_drop(struct grants *g)
{
	struct job *job = g->job;

	grants_free(g);
	if (job)
		job_abandon(job);
}

static void
page_add(struct grants *g, const struct answer *a)
{
	struct buf *grown;

	g->accounts = a->accounts;
	g->done += a->done;
	if (!a->grants.n)
		return;
	grown = reallocarray(g->pages, g->n + 1, sizeof(*grown));
	if (!grown)
		fatal("grants");
	g->pages = grown;
	grown += g->n++;
	*grown = (struct buf){0};
	buf_put(grown, a->grants.p, a->grants.n);
	if (grown->bad)
		fatalx("no memory for a list of roles");
	g->total += a->grants.n;
}

static bool
grants_packet(struct job *job, enum msg_kind kind, struct view body)
{
	struct grants *g = job->arg;
	struct fetch_tag t;
	struct answer a;

	if (!fetch_answer(job, kind, body, &a, &t)) {
		job_outcome(job, AW_PROTO,
		    view_str("awsenv-fetch does not speak our language"));
		return true;
	}
	/* Begun for another broker, or nobody wants it any more. */
	if (!g)
		return true;
	if (g->tries != job->tries) {
		pages_free(g);
		number_new(g);
		g->tries = job->tries;
	}
	if (a.error == AW_TOKEN)
		login_refused(t.id, t.tok_expires);
	page_add(g, &a);
	if (g->total > TOTAL_MAX) {
		job_outcome(job, AW_AWS,
		    view_str("AWS lists more roles than can be kept"));
		return true;
	}
	job_outcome(job, a.error, a.text);
	hold_wake(&g->holds, AW_OK, NULL);
	return a.last || a.error != AW_OK;
}

static void
grants_ended(struct job *job, enum aw_err error, const char *text, bool early)
{
	struct grants *g = job->arg;

	(void)early;
	if (!g)
		return;
	g->job = NULL;
	g->state = error;
	text_set(&g->text, "%s", text ? text : "");
	loop_after(&g->end, FRESH_MS, grants_old, g);
	hold_wake(&g->holds, AW_OK, NULL);
}

static const struct job_class grants_class = {
    PROGRAM_FETCH,
    grants_packet,
    grants_ended,
};

void
grants_open(void)
{
	job_register(FETCH_GRANTS, &grants_class);
}

/* Who begins takes no failure of others for an answer. */
struct grants *
grants_find(struct view login, uint64_t number)
{
	struct grants *g, *found = NULL;

	LIST_FOREACH(g, &all, entry)
	{
		if (memcmp(g->login, login.p, LOGIN_ID) != 0)
			continue;
		if (g->number == number)
			return g;
		if (g->state == AW_OK || g->state == AW_BUSY)
			found = g;
	}
	return found;
}

struct grants *
grants_start(const struct target *t, struct view tok, uint64_t tok_expires)
{
	struct fetch_tag tag = {
	    t->session.login, t->session.facts, tok_expires};
	struct fetch f = {.what = FETCH_GRANTS, .tok = tok};
	struct job *job = job_find(FETCH_GRANTS, tag.id);
	struct grants *g;

	/* Of one that a broker before this began, the first half is lost. */
	if (job)
		job_abandon(job);
	if (!(job = fetch_start(&f, &tag, TRIES)))
		return NULL;
	if (!(g = calloc(1, sizeof(*g))))
		fatal("grants");
	memcpy(g->login, tag.id.p, LOGIN_ID);
	number_new(g);
	g->state = AW_BUSY;
	g->tries = job->tries;
	g->job = job;
	job->arg = g;
	LIST_INSERT_HEAD(&all, g, entry);
	return g;
}

enum aw_err
grants_state(const struct grants *g, const char **text)
{
	*text = g->text;
	return g->state;
}

struct holds *
grants_holds(struct grants *g)
{
	return &g->holds;
}

/* Which of them there are credentials for is for now to say. */
static void
items_add(const struct grants *g, struct view page, struct buf *items)
{
	AUTOBUF struct buf id = {0}, key = {0};
	struct grant_item item;
	struct record rec;

	while (msg_each(MSG_GRANT_ITEM, &page, &item)) {
		role_id(&id, (struct view){g->login, LOGIN_ID}, item.account,
		    item.role, (struct view){0});
		item.expires = 0;
		if (!id.bad &&
		    store_get(KEY_ROLE, view_of(&id), &key, &rec) == AW_OK)
			item.expires = rec.expires;
		msg_append(MSG_GRANT_ITEM, &item, items);
	}
}

void
grants_tell(const struct grants *g, const struct grants_req *req,
    struct grants_rep *rep, struct buf *items)
{
	uint32_t i = g->number == req->listing ? req->from : 0;

	for (; i < g->n && items->len < REPLY_MAX; i++)
		items_add(g, view_of(&g->pages[i]), items);
	rep->listing = g->number;
	rep->accounts = g->accounts;
	rep->done = g->done;
	rep->next = i;
	rep->complete = g->state != AW_BUSY && i >= g->n;
	rep->items = view_of(items);
}
