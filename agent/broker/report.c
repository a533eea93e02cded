/* SPDX-License-Identifier: ISC */
/* What the agent tells of itself: numbers, lists, no secret. */
#include "broker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define PAGE (64 * 1024)

static struct link agent;
static const char *sandbox_words = "";

void
report_open(const struct link *hello, const char *sandbox)
{
	agent = *hello;
	sandbox_words = sandbox;
}

/* Records of a login: their identities begin with its. */
#define OF_LOGINS \
	(1u << KEY_TOK | 1u << KEY_REF | 1u << KEY_DEV | 1u << KEY_ROLE)

static void
add_id(const struct store_entry *e, void *arg)
{
	struct buf *ids = arg;
	size_t i;

	if (e->record.id.n < LOGIN_ID)
		return;
	for (i = 0; i < ids->len; i += LOGIN_ID) {
		if (memcmp(ids->data + i, e->record.id.p, LOGIN_ID) == 0)
			return;
	}
	buf_put(ids, e->record.id.p, LOGIN_ID);
}

struct tally {
	struct status_rep *rep;
	struct buf ids;
};

/* All at once: a thousand records are opened for it. */
static void
count(const struct store_entry *e, void *arg)
{
	struct tally *t = arg;

	t->rep->keys++;
	t->rep->roles += e->kind == KEY_ROLE;
	if (OF_LOGINS & 1u << e->kind)
		add_id(e, &t->ids);
}

void
report_agent(struct status_rep *rep)
{
	struct tally t = {.rep = rep};
	struct store_usage use = {0};

	store_usage(&use);
	record_each((1u << KEY__MAX) - 1, count, &t);
	if (t.ids.bad)
		fatalx("no memory for the list of logins");
	rep->logins = (uint32_t)(t.ids.len / LOGIN_ID);
	buf_free(&t.ids);
	rep->version = view_str(AWSENV_VERSION);
	rep->agent_pid = (uint32_t)getppid();
	rep->broker_pid = (uint32_t)getpid();
	rep->started = agent.started;
	rep->restarts = agent.restarts;
	rep->protected_ = (agent.flags & LINK_PROTECTED) != 0;
	rep->sandbox = view_str(sandbox_words);
	rep->keys_used = use.keys_used;
	rep->keys_max = use.keys_max;
	rep->bytes_used = use.bytes_used;
	rep->bytes_max = use.bytes_max;
	rep->ring = (uint32_t)agent.ring;
	rep->locked = lock_held();
	rep->screen = presence_locked();
	rep->skew = (uint32_t)fetch_skew();
}

void
report_logins(struct buf *ids)
{
	/* Tokens first, so that the list begins with what is in use. */
	record_each(1u << KEY_TOK, add_id, ids);
	record_each(OF_LOGINS & ~(1u << KEY_TOK), add_id, ids);
	if (ids->bad)
		fatalx("no memory for the list of logins");
}

/* One page of a list: entries from `from` on, as long as there is room. */
struct page {
	struct buf *items;
	uint32_t from;
	uint32_t index;
	uint32_t next;
};

static void
page_add(struct page *p, enum msg_kind kind, const void *item)
{
	if (p->index++ < p->from || p->next)
		return;
	if (p->items->len > PAGE)
		p->next = p->index - 1;
	else
		msg_append(kind, item, p->items);
}

static void
list_login(struct page *p, struct view id)
{
	AUTOBUF struct buf ref_key = {0}, tok_key = {0};
	struct login_item item = {0};
	struct login *l = login_find(id);
	struct facts facts;
	struct record rec;

	if (store_get(KEY_REF, id, &ref_key, &rec) == AW_OK ||
	    store_get(KEY_DEV, id, &ref_key, &rec) == AW_OK) {
		if (msg_decode(MSG_FACTS, rec.facts, &facts)) {
			item.session = facts.session;
			item.start_url = facts.start_url;
			item.region = facts.region;
			if (facts.proxy.n)
				item.notice = view_str("through a proxy");
		}
		if (rec.kind == KEY_REF) {
			item.person = rec.person;
			item.refreshable = rec.refreshable;
		}
	}
	if (store_get(KEY_TOK, id, &tok_key, &rec) == AW_OK)
		item.expires = rec.expires;
	item.state = l ? login_state(l) : LOGIN_NONE;
	page_add(p, MSG_LOGIN_ITEM, &item);
}

static void
list_logins(struct page *p)
{
	AUTOBUF struct buf ids = {0};
	size_t i;

	report_logins(&ids);
	for (i = 0; i < ids.len; i += LOGIN_ID)
		list_login(p, (struct view){ids.data + i, LOGIN_ID});
}

struct role_list {
	struct page *page;
	struct buf ids; /* logins, and their names in the same order */
	struct buf names;
};

static void
add_name(const struct store_entry *e, void *arg)
{
	struct role_list *list = arg;
	struct facts facts;

	if (e->record.id.n == LOGIN_ID &&
	    msg_decode(MSG_FACTS, e->record.facts, &facts)) {
		buf_put(&list->ids, e->record.id.p, LOGIN_ID);
		buf_string(&list->names, facts.session);
	}
}

static void
add_role(const struct store_entry *e, void *arg)
{
	struct role_list *list = arg;
	struct view names = view_of(&list->names), name = {0};
	const uint8_t *slash;
	struct role_item item = {
	    .access_key = e->record.access_key,
	    .obtained = e->record.obtained,
	    .expires = e->record.expires,
	    .in_memory = e->serial == 0,
	    .account = e->record.label,
	};
	size_t i;

	for (i = 0; i < list->ids.len && view_string(&names, &name);
	     i += LOGIN_ID) {
		if (memcmp(list->ids.data + i, e->record.id.p, LOGIN_ID) == 0)
			item.session = name;
	}
	slash =
	    item.account.n ? memchr(item.account.p, '/', item.account.n) : NULL;
	if (slash) {
		item.role.p = slash + 1;
		item.role.n =
		    (uint32_t)(item.account.p + item.account.n - item.role.p);
		item.account.n = (uint32_t)(slash - item.account.p);
	}
	page_add(list->page, MSG_ROLE_ITEM, &item);
}

static void
list_roles(struct page *p)
{
	struct role_list list = {.page = p};

	record_each(1u << KEY_REF, add_name, &list);
	record_each(1u << KEY_ROLE, add_role, &list);
	buf_free(&list.ids);
	buf_free(&list.names);
}

static void
add_key(const struct store_entry *e, void *arg)
{
	static const char *const kinds[KEY__MAX] = {
	    [KEY_ROLE] = "role",
	    [KEY_TOK] = "tok",
	    [KEY_REF] = "ref",
	    [KEY_DEV] = "dev",
	    [KEY_LOCK] = "lock",
	    [KEY_PERMIT] = "permit",
	};
	struct key_item item = {
	    .serial = (uint32_t)e->serial,
	    .kind = view_str(kinds[e->kind]),
	    .label = e->record.label,
	    .size = e->size,
	    .timeout = e->timeout,
	};

	page_add(arg, MSG_KEY_ITEM, &item);
}

static void
list_problems(struct page *p)
{
	const struct table *t = table_last();
	struct problem_item item;
	uint32_t i;

	for (i = 0; t && table_problem(t, i, &item); i++)
		page_add(p, MSG_PROBLEM_ITEM, &item);
}

void
report_list(const struct list_req *req, struct list_rep *rep, struct buf *items)
{
	struct page p = {.items = items, .from = req->from};

	switch (req->what) {
	case LIST_LOGINS:
		list_logins(&p);
		break;
	case LIST_ROLES:
		list_roles(&p);
		break;
	case LIST_KEYS:
		record_each((1u << KEY__MAX) - 1, add_key, &p);
		break;
	case LIST_PROBLEMS:
		list_problems(&p);
		break;
	}
	rep->next = p.next;
	rep->items = view_of(items);
}

static void
profile_login(const struct session *s, struct profile_item *item)
{
	AUTOBUF struct buf key = {0};
	struct login *l = login_find(s->login);
	struct facts facts;
	struct record rec;

	item->session = s->name;
	if (msg_decode(MSG_FACTS, s->facts, &facts)) {
		item->start_url = facts.start_url;
		item->sso_region = facts.region;
	}
	if (l)
		item->login_state = login_state(l);
	if (store_get(KEY_TOK, s->login, &key, &rec) == AW_OK)
		item->login_expires = rec.expires;
	if (store_get(KEY_REF, s->login, &key, &rec) == AW_OK)
		item->refreshable = rec.refreshable;
}

static void
list_profile(struct page *page, const struct table *t, const struct profile *p)
{
	AUTOBUF struct buf id = {0}, key = {0};
	struct profile_item item = {
	    .name = p->name,
	    .line = p->line,
	    .error = p->error,
	    .text = p->text,
	};
	struct session s = {0};
	struct record rec;

	if (p->error == AW_OK && table_session(t, p->session, &s)) {
		item.error = s.error;
		item.text = s.text;
	}
	if (item.error == AW_OK) {
		profile_login(&s, &item);
		item.account = p->account;
		item.role = p->role;
		item.chain = target_chain_end(p->chain);
		item.region = p->region;
		item.browser = p->browser;
		role_id(&id, s.login, p->account, p->role, p->chain_digest);
		if (!id.bad &&
		    store_get(KEY_ROLE, view_of(&id), &key, &rec) == AW_OK)
			item.expires = rec.expires;
	}
	page_add(page, MSG_PROFILE_ITEM, &item);
}

void
report_profiles(const struct conn *c, const struct table *t, uint32_t from,
    struct profiles_rep *rep, struct buf *items)
{
	struct page page = {.items = items, .from = from, .index = from};
	struct profile p;
	uint32_t i;

	for (i = from; !page.next && table_profile_at(t, i, &p); i++) {
		policy_narrow(c, &p);
		if (!policy_is_far(c) || policy_shows(c, &p))
			list_profile(&page, t, &p);
		else
			page.index++;
	}
	rep->next = page.next;
	rep->items = view_of(items);
}
