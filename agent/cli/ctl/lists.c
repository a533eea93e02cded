/* SPDX-License-Identifier: ISC */
/*
 * What there is to choose from: the profiles of the config file, and the
 * accounts and roles that AWS lists for a login. Both come in pages.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/cli/ctl/ctl.h"

#define LIST_MS 40000

void
out_of_memory(void)
{
	warn("%s", aw_strerror(AW_NOMEM));
	exit(EXIT_OTHER);
}

/* A copy that lives as long as the process, in a list so that none counts as
 * lost. */
struct kept {
	struct kept *next;
	char text[];
};

const char *
keep(struct view v)
{
	static struct kept *all;
	struct kept *k;

	if (!v.n)
		return "";
	if (!(k = malloc(sizeof(*k) + v.n + 1)))
		out_of_memory();
	memcpy(k->text, v.p, v.n);
	k->text[v.n] = '\0';
	k->next = all;
	all = k;
	return k->text;
}

const char *
keep_text(const struct buf *b)
{
	if (b->bad)
		out_of_memory();
	return keep(view_of(b));
}

/* -------- profiles */

static void
profile_keep(const struct profile_item *p, void *arg)
{
	struct profile_list *list = arg;
	struct profile_row *row;

	row = reallocarray(list->row, list->n + 1, sizeof(*row));
	if (!row)
		out_of_memory();
	list->row = row;
	list->row[list->n++] = (struct profile_row){
	    .name = keep(p->name),
	    .error = (enum aw_err)p->error,
	    .text = keep(p->text),
	    .session = keep(p->session),
	    .start_url = keep(p->start_url),
	    .sso_region = keep(p->sso_region),
	    .account = keep(p->account),
	    .role = keep(p->role),
	    .chain = keep(p->chain),
	    .region = keep(p->region),
	    .login_state = p->login_state,
	    .login_expires = p->login_expires,
	    .refreshable = p->refreshable,
	    .expires = p->expires,
	    .browser = keep(p->browser),
	};
}

enum aw_err
profiles_get(struct talk *t, struct profile_list *list)
{
	*list = (struct profile_list){0};
	return talk_profiles(t, profile_keep, list);
}

const struct profile_row *
profile_named(const struct profile_list *list, const char *name)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (!strcmp(list->row[i].name, name))
			return &list->row[i];
	}
	return NULL;
}

void
profiles_free(struct profile_list *list)
{
	free(list->row);
	*list = (struct profile_list){0};
}

/* -------- grants */

static bool
grant_is(const struct grant_row *row, const struct grant_item *item)
{
	return view_is(item->account, row->account) &&
	    view_is(item->role, row->role);
}

/* Where the agent had to begin anew, what was seen comes once more. */
static bool
grant_is_known(const struct grant_list *list, const struct grant_item *item)
{
	size_t i;

	for (i = 0; list->again && i < list->n; i++) {
		if (grant_is(&list->row[i], item))
			return true;
	}
	return false;
}

static void
grant_keep(struct grant_list *list, const struct grant_item *g)
{
	struct grant_row *row;

	if (grant_is_known(list, g))
		return;
	row = reallocarray(list->row, list->n + 1, sizeof(*row));
	if (!row)
		out_of_memory();
	list->row = row;
	list->row[list->n++] = (struct grant_row){
	    .account = keep(g->account),
	    .name = keep(g->name),
	    .email = keep(g->email),
	    .role = keep(g->role),
	    .expires = g->expires,
	};
}

static enum aw_err
grants_ask(struct talk *t, const struct options *o, struct grants_req *req,
    struct grants_rep *rep)
{
	struct patience w = {0};
	enum aw_err r;

	do {
		r = agent_ask(&t->agent, "grants@awsenv", MSG_GRANTS_REQ, req,
		    MSG_GRANTS_REP, rep, &t->frame, LIST_MS);
		if (r != AW_OK)
			return r;
	} while (rep->error == AW_LOGIN && login_wait(&w, t, o, rep->text, &r));
	return r == AW_OK ? talk_refused(t, rep->error, rep->text) : r;
}

enum aw_err
grants_get(struct talk *t, const struct options *o, struct grant_list *list,
    void (*more)(const struct grant_list *, size_t from))
{
	struct grants_req req = {.ask = t->question.ask};
	struct grant_item item;
	struct grants_rep rep;
	enum aw_err r;
	size_t before;

	*list = (struct grant_list){0};
	do {
		if ((r = grants_ask(t, o, &req, &rep)) != AW_OK)
			return r;
		list->again |= req.listing && rep.listing != req.listing;
		before = list->n;
		while (msg_each(MSG_GRANT_ITEM, &rep.items, &item))
			grant_keep(list, &item);
		if (rep.items.n) {
			warn("the agent gave a list that is none");
			return AW_PROTO;
		}
		list->accounts = rep.accounts;
		list->done = rep.done;
		req.listing = rep.listing;
		req.from = rep.next;
		if (more)
			more(list, before);
	} while (!rep.complete);
	return AW_OK;
}

static bool progress;

void
grants_progress(const struct grant_list *list, size_t from)
{
	(void)from;
	if (!isatty(STDERR_FILENO))
		return;
	say("\r\033[K%u of %u accounts, %u roles", list->done, list->accounts,
	    (unsigned int)list->n);
	progress = true;
}

void
grants_progress_end(void)
{
	if (progress)
		say("\r\033[K");
	progress = false;
}

static int
by_account(const void *a, const void *b)
{
	const struct grant_row *x = a, *y = b;
	int r = strcasecmp(x->name, y->name);

	if (!r)
		r = strcmp(x->account, y->account);
	return r ? r : strcmp(x->role, y->role);
}

void
grants_sort(struct grant_list *list)
{
	if (list->n)
		qsort(list->row, list->n, sizeof(*list->row), by_account);
}

void
grants_free(struct grant_list *list)
{
	free(list->row);
	*list = (struct grant_list){0};
}
