/* SPDX-License-Identifier: ISC */
/*
 * Every account and role that a token may use. There is a call for each
 * account, and a quota on calls: so several threads ask, and one gate lets
 * them. Each account is answered as soon as it is known.
 */
#include "fetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define THREADS 8
#define GRANTS_MS (30 * 60 * 1000)
#define PAGES_MAX 1000
#define ACCOUNTS_MAX 100000
#define TRIES 3

/* The quota as it is known: so many calls in any second. What somebody else
 * of this person uses up AWS says by a 429, and then all wait. */
#define QUOTA 20
#define WINDOW_MS 1020
#define PAUSE_MS 500

struct account {
	char id[ACCOUNT_SIZE];
	char *name;
	char *email;
};

struct work {
	pthread_mutex_t lock;
	pthread_cond_t more; /* another account, or the end */
	struct account *accounts;
	uint32_t n, next;
	bool complete; /* no account is to come */
	bool over;     /* something went wrong: what, in `error` and `why` */
	enum aw_err error;
	struct why why;
	int64_t calls[QUOTA]; /* when the last ones were let through */
	unsigned int at;
	int64_t pause;
};

/* One thread's share: a talk of its own, but for the link and what came. */
struct worker {
	pthread_t thread;
	struct talk talk;
	struct view tok;
	struct work *work;
};

/* -------- the gate */

/* Wait for one's turn; false if nobody wants the answer any more. */
static bool
gate_pass(struct work *w, struct talk *t)
{
	int64_t now = io_deadline(0), at;

	pthread_mutex_lock(&w->lock);
	at = w->calls[w->at] + WINDOW_MS;
	if (at < w->pause)
		at = w->pause;
	if (at < now)
		at = now;
	w->calls[w->at] = at;
	w->at = (w->at + 1) % QUOTA;
	pthread_mutex_unlock(&w->lock);
	return at <= now || talk_sleep(t, (int)(at - now));
}

static void
gate_pause(struct work *w, int ms)
{
	int64_t until = io_deadline(ms);

	pthread_mutex_lock(&w->lock);
	if (w->pause < until)
		w->pause = until;
	pthread_mutex_unlock(&w->lock);
}

/* -------- one page */

static enum aw_err
page_get(struct worker *k, const char *account, struct buf *token,
    struct aws_answer *a)
{
	struct talk *t = &k->talk;
	int tries = 0;
	enum aw_err r;

	for (;;) {
		if (!gate_pass(k->work, t))
			return AW_GONE;
		r = portal_page(t, k->tok, account, token, a);
		if (r != AW_NETWORK || talk_left(t) == 0)
			return r;
		/* That says only when to ask, however often. */
		if (a->http.status != 429 && ++tries == TRIES)
			return r;
		gate_pause(k->work, PAUSE_MS << tries);
	}
}

/* -------- roles of an account */

static void
roles_add(const struct aws_answer *a, const struct account *account,
    struct buf *items)
{
	const struct json *list = json_array(a->json, "roleList");
	const struct json *role;
	struct grant_item item = {
	    .account = view_str(account->id),
	    .name = view_str(account->name),
	    .email = view_str(account->email),
	};

	for (role = NULL; (role = json_each(list, role));) {
		if (json_string(role, "roleName", &item.role) &&
		    text_is_word(item.role, ROLE_SIZE - 1))
			msg_append(MSG_GRANT_ITEM, &item, items);
	}
}

/* An account that is closed between the two calls has no roles. */
static enum aw_err
account_ask(struct worker *k, const struct account *account, uint32_t known)
{
	AUTOBUF struct buf token = {0}, items = {0};
	struct aws_answer a = {0};
	struct answer out;
	enum aw_err r;
	int pages = 0;

	do {
		buf_reset(&items);
		r = page_get(k, account->id, &token, &a);
		if (r == AW_OK)
			roles_add(&a, account, &items);
		else if (r == AW_AWS)
			buf_reset(&token);
		else
			break;
		if (items.bad) {
			r = why_set(&k->talk.why, AW_NOMEM, "out of memory");
			break;
		}
		if (++pages == PAGES_MAX)
			buf_reset(&token);
		out = (struct answer){
		    .grants = view_of(&items),
		    .accounts = known,
		    .done = token.len == 0,
		};
		r = talk_answer(&k->talk, &out);
	} while (r == AW_OK && token.len);
	aws_free(&a);
	return r;
}

/* -------- the threads */

static void
fail(struct worker *k, enum aw_err r)
{
	struct work *w = k->work;

	pthread_mutex_lock(&w->lock);
	if (!w->over) {
		w->error = r;
		w->why = k->talk.why;
	}
	w->over = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
}

/* The next one that nobody has; false: that was all. */
static bool
account_take(struct work *w, struct account *out, uint32_t *known)
{
	bool taken = false;

	pthread_mutex_lock(&w->lock);
	while (!w->over && !w->complete && w->next == w->n)
		pthread_cond_wait(&w->more, &w->lock);
	if (!w->over && w->next < w->n) {
		*out = w->accounts[w->next++];
		*known = w->n;
		taken = true;
	}
	pthread_mutex_unlock(&w->lock);
	return taken;
}

static void *
worker_run(void *arg)
{
	struct worker *k = arg;
	struct account account;
	uint32_t known;
	enum aw_err r = AW_OK;

	if (!k->talk.http)
		r = talk_open(&k->talk);
	while (r == AW_OK && account_take(k->work, &account, &known))
		r = account_ask(k, &account, known);
	if (r != AW_OK)
		fail(k, r);
	return NULL;
}

/* -------- accounts */

static char *
name_of(const struct json *j, const char *member)
{
	struct view v;

	return json_string(j, member, &v) ? strndup((const char *)v.p, v.n)
					  : strdup("");
}

static bool
accounts_add(struct work *w, const struct aws_answer *a)
{
	const struct json *list = json_array(a->json, "accountList"), *j;
	struct account *grown, one;
	struct view id;

	for (j = NULL; (j = json_each(list, j)) && w->n < ACCOUNTS_MAX;) {
		if (!json_string(j, "accountId", &id) || !text_is_account(id))
			continue;
		grown = reallocarray(w->accounts, w->n + 1, sizeof(*grown));
		if (!grown)
			return false;
		w->accounts = grown;
		text_clean(one.id, sizeof(one.id), id);
		one.name = name_of(j, "accountName");
		one.email = name_of(j, "emailAddress");
		w->accounts[w->n++] = one;
		if (!one.name || !one.email)
			return false;
	}
	return true;
}

static enum aw_err
accounts_ask(struct worker *k)
{
	AUTOBUF struct buf token = {0};
	struct work *w = k->work;
	struct aws_answer a = {0};
	enum aw_err r;
	int pages = 0;

	do {
		r = page_get(k, NULL, &token, &a);
		pthread_mutex_lock(&w->lock);
		if (r == AW_OK && !accounts_add(w, &a))
			r = why_set(&k->talk.why, AW_NOMEM, "out of memory");
		w->complete = r != AW_OK || !token.len || ++pages == PAGES_MAX;
		pthread_cond_broadcast(&w->more);
		pthread_mutex_unlock(&w->lock);
	} while (!w->complete);
	aws_free(&a);
	return r;
}

static void
work_free(struct work *w)
{
	while (w->n) {
		w->n--;
		free(w->accounts[w->n].name);
		free(w->accounts[w->n].email);
	}
	free(w->accounts);
}

enum aw_err
grants_fetch(struct talk *t)
{
	struct work w = {
	    .lock = PTHREAD_MUTEX_INITIALIZER,
	    .more = PTHREAD_COND_INITIALIZER,
	};
	struct worker workers[THREADS];
	struct answer last = {.last = true};
	unsigned int i, n;
	struct tok tok;
	enum aw_err r;

	t->deadline = io_deadline(GRANTS_MS);
	if (!msg_decode(MSG_TOK, t->fetch.tok, &tok))
		return why_set(&t->why, AW_TOKEN, "there is no access token");
	for (i = 0; i < QUOTA; i++)
		w.calls[i] = io_deadline(0) - WINDOW_MS;
	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
		    .talk = *t, .tok = tok.access_token, .work = &w};
		workers[i].talk.packet = (struct buf){0};
		if (i)
			workers[i].talk.http = NULL;
	}
	for (n = 1; n < THREADS; n++) {
		if (pthread_create(
			&workers[n].thread, NULL, worker_run, &workers[n]) != 0)
			break;
	}
	if ((r = accounts_ask(&workers[0])) != AW_OK)
		fail(&workers[0], r);
	worker_run(&workers[0]);
	for (i = 1; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		http_close(workers[i].talk.http);
	}
	last.accounts = w.n;
	work_free(&w);
	t->skew = workers[0].talk.skew;
	t->skew_known = workers[0].talk.skew_known;
	if (w.over) {
		t->why = w.why;
		return w.error;
	}
	return talk_answer(t, &last);
}
