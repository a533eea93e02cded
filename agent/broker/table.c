/* SPDX-License-Identifier: ISC */
/*
 * Profiles in memory. awsenv-profile reads a file and sends its rows; they are
 * kept as they came and decoded when asked for, so that ten thousand profiles
 * are one parse and a few megabytes. A table is replaced only by a whole new
 * one: while that is read, or if it cannot be, the last good one serves.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define TABLES_MAX 4
#define CONTENT_MAX (64u << 20)
#define READ_FIRST_MS 10000 /* a config file that was never read */
#define READ_AGAIN_MS 1000  /* one that changed: the old one may serve */
#define OLD_MS (5 * 60 * 1000)
#define OLD_FAR_MS 1000
#define NAME_MAX_NEAR 64

struct chunk {
	struct chunk *next;
	size_t used;
	size_t size;
	uint8_t data[];
};

/* Rows of one kind: views of encoded messages. */
struct rows {
	struct view *row;
	uint32_t n;
	uint32_t cap;
};

struct content {
	struct stamp stamp;
	struct chunk *chunks;
	size_t total;
	struct rows sessions;
	struct rows profiles;
	struct rows problems;
	struct view off;      /* why nothing is given on this machine */
	struct view settings; /* of the agent itself */
	/* hash tables of profile numbers plus one, 0: free; by name, and by the
	 * account and role of those that go no further */
	uint32_t *slots, *roles;
	uint32_t mask;
	uint32_t *confirm; /* numbers of the profiles that ask for a yes */
	uint32_t nconfirm;
	unsigned int tries; /* of the job when the reader began */
};

static TAILQ_HEAD(table_list, table) tables = TAILQ_HEAD_INITIALIZER(tables);
static unsigned int ntables;

static void
content_free(struct content *c)
{
	struct chunk *chunk;

	if (!c)
		return;
	while ((chunk = c->chunks)) {
		c->chunks = chunk->next;
		free(chunk);
	}
	free(c->sessions.row);
	free(c->profiles.row);
	free(c->problems.row);
	free(c->slots);
	free(c->roles);
	free(c->confirm);
	free(c);
}

static uint8_t *
content_room(struct content *c, size_t n)
{
	size_t size = c->chunks ? 64 * 1024 : 4096;
	struct chunk *chunk = c->chunks;

	if (!chunk || chunk->size - chunk->used < n) {
		if (size < n)
			size = n;
		if (!(chunk = malloc(sizeof(*chunk) + size)))
			fatal("table");
		chunk->next = c->chunks;
		chunk->used = 0;
		chunk->size = size;
		c->chunks = chunk;
	}
	chunk->used += n;
	c->total += n;
	return chunk->data + chunk->used - n;
}

static struct view
content_keep(struct content *c, struct view v)
{
	uint8_t *p = content_room(c, v.n);

	if (v.n)
		memcpy(p, v.p, v.n);
	return (struct view){p, v.n};
}

static void
rows_add(struct content *c, struct rows *rows, struct view body)
{
	struct view row = content_keep(c, body);
	uint32_t cap = rows->cap ? rows->cap * 2 : 8;
	struct view *grown;

	if (rows->n == rows->cap) {
		grown = reallocarray(rows->row, cap, sizeof(*grown));
		if (!grown)
			fatal("table");
		rows->row = grown;
		rows->cap = cap;
	}
	rows->row[rows->n++] = row;
}

/* The name is the first field of a profile. */
static struct view
row_name(struct view row)
{
	struct view name = {0};

	view_string(&row, &name);
	return name;
}

static uint32_t
name_hash(struct view name)
{
	uint32_t i, h = 0x811c9dc5;

	for (i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * 0x01000193;
	return h;
}

/* A role's name is the same in any case. */
static uint32_t
role_hash(struct view account, struct view role)
{
	uint32_t i, h = name_hash(account);

	for (i = 0; i < role.n; i++)
		h = (h ^ (role.p[i] | ('a' ^ 'A'))) * 0x01000193;
	return h;
}

/* Where the first profile of that role is, which *p is then, or is to be. */
static uint32_t *
role_slot(const struct content *c, struct view account, struct view role,
    struct profile *p)
{
	uint32_t i, slot = role_hash(account, role) & c->mask;

	for (; (i = c->roles[slot]); slot = (slot + 1) & c->mask) {
		if (msg_decode(MSG_PROFILE, c->profiles.row[i - 1], p) &&
		    view_eq(p->account, account) &&
		    view_eq_nocase(p->role, role))
			break;
	}
	return &c->roles[slot];
}

static void
role_add(struct content *c, const struct profile *p, uint32_t i)
{
	struct profile first;
	uint32_t *slot = role_slot(c, p->account, p->role, &first);

	if (!*slot)
		*slot = i + 1;
}

static void
name_add(struct content *c, uint32_t i)
{
	uint32_t slot = name_hash(row_name(c->profiles.row[i])) & c->mask;

	while (c->slots[slot])
		slot = (slot + 1) & c->mask;
	c->slots[slot] = i + 1;
}

static void
confirm_add(struct content *c, uint32_t i)
{
	c->confirm =
	    reallocarray(c->confirm, c->nconfirm + 1, sizeof(*c->confirm));
	if (!c->confirm)
		fatal("table");
	c->confirm[c->nconfirm++] = i;
}

/* So that a request does not go through all of them. */
static void
content_index(struct content *c)
{
	uint32_t i, size = 16;
	struct profile p;

	while (size < c->profiles.n * 2)
		size *= 2;
	c->slots = calloc(size, sizeof(*c->slots));
	c->roles = calloc(size, sizeof(*c->roles));
	if (!c->slots || !c->roles)
		fatal("table");
	c->mask = size - 1;
	for (i = 0; i < c->profiles.n; i++) {
		name_add(c, i);
		if (!msg_decode(MSG_PROFILE, c->profiles.row[i], &p))
			continue;
		if (p.error == AW_OK && !p.chain.n)
			role_add(c, &p, i);
		if (p.confirm)
			confirm_add(c, i);
	}
}

static bool
content_complete(const struct content *c, const struct table_end *end)
{
	return end->profiles == c->profiles.n && end->sessions == c->sessions.n;
}

static bool
fail(struct job *job, const char *text)
{
	job_outcome(job, AW_CONFIG, view_str(text));
	return true;
}

static bool
end_packet(struct job *job, struct content *c, struct view body)
{
	struct table_end end;

	if (!msg_decode(MSG_TABLE_END, body, &end) ||
	    !content_complete(c, &end))
		return fail(job, "awsenv-profile sent half a table");
	c->stamp = end.stamp;
	c->off = content_keep(c, end.off);
	c->settings = content_keep(c, end.settings);
	if (c->off.n)
		log_warn("%.*s", VIEW_ARG(c->off));
	content_index(c);
	job_outcome(job, AW_OK, (struct view){0});
	return true;
}

static struct content *
content_new(unsigned int tries)
{
	struct content *c = calloc(1, sizeof(*c));

	if (!c)
		fatal("table");
	c->tries = tries;
	return c;
}

static bool
table_packet(struct job *job, enum msg_kind kind, struct view body)
{
	struct table *t = job->arg;
	struct content *c = t->next;

	/* A reader that died left the beginning of what the next one sends. */
	if (c->tries != job->tries) {
		content_free(c);
		c = t->next = content_new(job->tries);
	}
	if (c->total + body.n > CONTENT_MAX)
		return fail(job, "the config file is too large");
	switch (kind) {
	case MSG_SESSION:
		rows_add(c, &c->sessions, body);
		return false;
	case MSG_PROFILE:
		rows_add(c, &c->profiles, body);
		return false;
	case MSG_PROBLEM_ITEM:
		rows_add(c, &c->problems, body);
		return false;
	case MSG_TABLE_END:
		return end_packet(job, c, body);
	default:
		return fail(job, "awsenv-profile does not speak our language");
	}
}

/* A reader that cannot read ends without a table, and has said why. */
static bool
unreadable(struct table *t, const struct content *c)
{
	struct problem_item p;

	if (!c->problems.n ||
	    !msg_decode(
		MSG_PROBLEM_ITEM, c->problems.row[c->problems.n - 1], &p))
		return false;
	t->error = AW_CONFIG;
	text_set(&t->text, "%.*s: %.*s", VIEW_ARG(p.file), VIEW_ARG(p.text));
	msg_encode(MSG_PROBLEM_ITEM, &p, &t->failed);
	return true;
}

static void
failed(struct table *t)
{
	struct view key = view_of(&t->key);
	struct problem_item p = {.text = view_str(t->text)};

	log_warn("config: %s", t->text);
	if (t->failed.len)
		return;
	view_string(&key, &p.file);
	if (!p.file.n)
		p.file = view_str("~/.aws/config");
	msg_encode(MSG_PROBLEM_ITEM, &p, &t->failed);
}

static void
table_ended(struct job *job, enum aw_err error, const char *text, bool early)
{
	struct table *t = job->arg;
	struct content *old = t->next;

	t->job = NULL;
	t->next = NULL;
	t->error = error;
	buf_reset(&t->failed);
	if (early && !unreadable(t, old))
		text_set(&t->text,
		    "awsenv-profile ended early while it read "
		    "the config file");
	else if (!early)
		text_set(&t->text, "%s", text ? text : "");
	if (error == AW_OK) {
		struct content *new = old;

		old = t->now;
		t->now = new;
		t->asked = t->asking;
		t->read = loop_now();
	} else {
		failed(t);
	}
	content_free(old);
}

static const struct job_class table_class = {
    PROGRAM_PROFILE,
    table_packet,
    table_ended,
};

void
table_open(void)
{
	job_register(JOB_READ, &table_class);
}

static void
table_free(struct table *t)
{
	TAILQ_REMOVE(&tables, t, entry);
	ntables--;
	content_free(t->now);
	buf_free(&t->key);
	buf_free(&t->failed);
	free(t->text);
	free(t);
}

/* The one that was not used for longest makes room. */
static bool
make_room(void)
{
	struct table *t;

	if (ntables < TABLES_MAX)
		return true;
	TAILQ_FOREACH_REVERSE(t, &tables, table_list, entry)
	{
		if (!t->job) {
			table_free(t);
			return true;
		}
	}
	return false;
}

static struct table *
table_of(const struct ask *ask, struct buf *key)
{
	struct table *t;

	buf_string(key, ask->config);
	buf_put(key, ask->env.p, ask->env.n);
	if (key->bad) /* half of one would be another's */
		fatalx("no memory for the name of a table");
	TAILQ_FOREACH(t, &tables, entry)
	{
		if (view_eq(view_of(&t->key), view_of(key)))
			break;
	}
	return t;
}

const struct table *
table_peek(const struct ask *ask)
{
	AUTOBUF struct buf key = {0};

	return table_of(ask, &key);
}

struct table *
table_for(const struct ask *ask)
{
	AUTOBUF struct buf key = {0};
	struct table *t = table_of(ask, &key);

	if (!t) {
		if (!make_room())
			return NULL;
		if (!(t = calloc(1, sizeof(*t))))
			fatal("table");
		t->key = key;
		key = (struct buf){0};
		TAILQ_INSERT_HEAD(&tables, t, entry);
		ntables++;
	} else if (t != TAILQ_FIRST(&tables)) {
		TAILQ_REMOVE(&tables, t, entry);
		TAILQ_INSERT_HEAD(&tables, t, entry);
	}
	return t;
}

struct table *
table_last(void)
{
	return TAILQ_FIRST(&tables);
}

static bool
same(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    a->mtime == b->mtime;
}

/* A client that sees the file otherwise than we do (another mount namespace)
 * does not make us read it at each of its requests. */
bool
table_current(const struct table *t, const struct stamp *seen)
{
	return t->now &&
	    (seen->mtime == STAMP_UNKNOWN || same(seen, &t->now->stamp) ||
		same(seen, &t->asked));
}

/* The stamp knows nothing of /etc/awsenv/config and of CA bundles. */
bool
table_old(const struct table *t, bool far)
{
	if (far)
		return loop_now() - t->read > OLD_FAR_MS;
	return !t->job && loop_now() - t->read > OLD_MS;
}

struct job *
table_read(struct table *t, const struct ask *ask)
{
	struct read_req req = {
	    .version = MSG_VERSION,
	    .config = ask->config,
	    .env = ask->env,
	};

	if (t->job)
		return t->job;
	t->job = job_start(JOB_READ, view_of(&t->key), MSG_READ, &req, 2);
	if (!t->job) {
		t->error = AW_PROTO;
		text_set(&t->text, "the environment is too large");
		return NULL;
	}
	t->next = content_new(t->job->tries);
	t->asking = ask->stamp;
	t->job->arg = t;
	return t->job;
}

struct job *
table_renew(int64_t ms)
{
	struct table *t = table_for(&ask_nobody);

	if (!t || (t->now && loop_now() - t->read < ms))
		return NULL;
	return table_read(t, &ask_nobody);
}

/* Others may have waited for it in vain already. */
int64_t
table_patience(const struct job *reading)
{
	const struct table *t = reading->arg;

	return reading->begun + (t->now ? READ_AGAIN_MS : READ_FIRST_MS) -
	    loop_now();
}

void
table_forget_all(void)
{
	struct table *t;

	TAILQ_FOREACH(t, &tables, entry)
	{
		content_free(STEAL(t->now));
	}
}

struct view
table_off(const struct table *t)
{
	return t->now ? t->now->off : (struct view){0};
}

struct view
table_setting(const struct table *t, const char *name)
{
	struct view value = {0};

	if (t->now)
		view_find(t->now->settings, name, &value);
	return value;
}

bool
table_profile_at(const struct table *t, uint32_t i, struct profile *p)
{
	return t->now && i < t->now->profiles.n &&
	    msg_decode(MSG_PROFILE, t->now->profiles.row[i], p);
}

bool
table_profile(const struct table *t, struct view name, struct profile *p)
{
	const struct content *c = t->now;
	uint32_t slot, i;

	if (!c)
		return false;
	slot = name_hash(name) & c->mask;
	while ((i = c->slots[slot])) {
		if (view_eq(row_name(c->profiles.row[i - 1]), name))
			return table_profile_at(t, i - 1, p);
		slot = (slot + 1) & c->mask;
	}
	return false;
}

bool
table_role(const struct table *t, struct view account, struct view role,
    struct profile *p)
{
	return t->now && *role_slot(t->now, account, role, p);
}

/* An account has one IAM Identity Center, so that these two say it all. */
bool
table_confirm(const struct table *t, struct view account, struct view role)
{
	const struct content *c = t->now;
	struct profile p;
	uint32_t i;

	for (i = 0; c && i < c->nconfirm; i++) {
		if (table_profile_at(t, c->confirm[i], &p) &&
		    view_eq(p.account, account) && view_eq_nocase(p.role, role))
			return true;
	}
	return false;
}

bool
table_session(const struct table *t, uint32_t i, struct session *s)
{
	return t->now && i < t->now->sessions.n &&
	    msg_decode(MSG_SESSION, t->now->sessions.row[i], s);
}

/* While an old table serves, whoever changed the file has to hear why. */
static bool
has_failed(const struct table *t)
{
	return t->now && t->failed.len && !t->failed.bad;
}

bool
table_problem(const struct table *t, uint32_t i, struct problem_item *p)
{
	if (has_failed(t) && i-- == 0)
		return msg_decode(MSG_PROBLEM_ITEM, view_of(&t->failed), p);
	return t->now && i < t->now->problems.n &&
	    msg_decode(MSG_PROBLEM_ITEM, t->now->problems.row[i], p);
}

uint32_t
table_profiles(const struct table *t)
{
	return t->now ? t->now->profiles.n : 0;
}

uint32_t
table_problems(const struct table *t)
{
	return t->now ? has_failed(t) + t->now->problems.n : 0;
}

static uint32_t
least(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t m = a < b ? a : b;

	return m < c ? m : c;
}

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 32 : c;
}

/* Levenshtein's distance, blind to case. */
static uint32_t
distance(struct view a, struct view b)
{
	uint32_t row[NAME_MAX_NEAR + 1], i, j, corner, up;

	if (a.n > NAME_MAX_NEAR || b.n > NAME_MAX_NEAR)
		return UINT32_MAX;
	for (j = 0; j <= b.n; j++)
		row[j] = j;
	for (i = 1; i <= a.n; i++) {
		corner = row[0];
		row[0] = i;
		for (j = 1; j <= b.n; j++) {
			up = row[j];
			row[j] = least(up + 1, row[j - 1] + 1,
			    corner + (lower(a.p[i - 1]) != lower(b.p[j - 1])));
			corner = up;
		}
	}
	return row[b.n];
}

/* What was typed is the beginning or the end of it, or nearly so. */
static uint32_t
unlike(struct view typed, struct view name)
{
	if (typed.n >= 3 && name.n > typed.n &&
	    memmem(name.p, name.n, typed.p, typed.n))
		return 1;
	return distance(typed, name);
}

char *
table_near(const struct table *t, struct view name)
{
	struct view best[3] = {{0}}, row;
	uint32_t score[3], worst = name.n / 3 + 1, i, s;
	char *text = NULL;
	int at, n = 0, k;

	for (i = 0; t->now && i < t->now->profiles.n; i++) {
		row = row_name(t->now->profiles.row[i]);
		if ((s = unlike(name, row)) > worst)
			continue;
		for (at = n; at > 0 && score[at - 1] > s; at--)
			continue;
		if (at == 3)
			continue;
		for (k = n < 3 ? n : 2; k > at; k--) {
			best[k] = best[k - 1];
			score[k] = score[k - 1];
		}
		best[at] = row;
		score[at] = s;
		n += n < 3;
	}
	for (k = 0; k < n; k++)
		text_set(&text, "%s%s%.*s", text ? text : "", k ? ", " : "",
		    VIEW_ARG(best[k]));
	return text;
}

bool
table_why(const struct table *t, struct view name, struct problem_item *p)
{
	AUTOBUF struct buf header = {0};
	uint32_t i;

	if (has_failed(t))
		return table_problem(t, 0, p);
	/* "[marketing]" as problems quote a section. */
	buf_u8(&header, '[');
	buf_put(&header, name.p, name.n);
	buf_u8(&header, ']');
	for (i = 0; table_problem(t, i, p); i++) {
		if (memmem(p->text.p, p->text.n, header.data, header.len))
			return true;
	}
	return false;
}
