/* SPDX-License-Identifier: ISC */
/*
 * Profiles for roles, as a block of the config file. What AWS calls an account
 * is anybody's to choose: into a file it goes in a safe alphabet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/configure.h"

#define SAFE LETTERS SMALL DIGITS "._-"
#define ROLE_SAFE LETTERS SMALL DIGITS "_+=,.@-"

/* One profile of the block, new or as it stood there. */
struct entry {
	const char *name;
	const char *account;
	const char *role;
	const char *text; /* of one that stays; NULL: a new one */
	size_t size;
};

struct entries {
	struct entry *at;
	size_t n;
};

/* -------- names */

static const char *
placeholder(const char *names, const char *session, const struct grant_row *g,
    size_t *n)
{
	const struct {
		const char *word;
		const char *value;
	} all[] = {
	    {"{account_name}", *g->name ? g->name : g->account},
	    {"{account_id}", g->account},
	    {"{role}", g->role},
	    {"{session}", session},
	};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		*n = strlen(all[i].word);
		if (!strncmp(names, all[i].word, *n))
			return all[i].value;
	}
	return NULL;
}

/* Runs of what is not safe become one dash, and none stands at an end. */
static const char *
safe(const char *raw)
{
	AUTOBUF struct buf out = {0};

	for (; *raw; raw++) {
		if (*raw != '-' && strchr(SAFE, *raw))
			buf_u8(&out, (uint8_t)*raw);
		else if (out.len && out.data[out.len - 1] != '-')
			buf_u8(&out, '-');
	}
	while (out.len && out.data[out.len - 1] == '-')
		out.len--;
	return keep_text(&out);
}

const char *
wanted_name(const char *names, const char *session, const struct grant_row *g)
{
	AUTOBUF struct buf out = {0};
	const char *value;
	size_t n;

	while (*names) {
		if (*names != '{') {
			buf_u8(&out, (uint8_t)*names++);
			continue;
		}
		if (!(value = placeholder(names, session, g, &n)))
			return NULL;
		text_add(&out, "%s", value);
		names += n;
	}
	return safe(keep_text(&out));
}

/* -------- entries */

static void
entry_add(struct entries *all, struct entry e)
{
	struct entry *grown = reallocarray(all->at, all->n + 1, sizeof(*grown));

	if (!grown)
		out_of_memory();
	all->at = grown;
	all->at[all->n++] = e;
}

static int
by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The word behind an option of our credential_process. */
static const char *
word_of(struct view line, const char *option)
{
	const char *text = keep(line), *at = find(text, option);

	if (!at)
		return "";
	at += strlen(option);
	return keep((struct view){
	    (const uint8_t *)at, (uint32_t)strcspn(at, " \t'\"")});
}

static void
fact(struct entry *e, const struct line *l)
{
	if (line_is_key(l, "sso_account_id"))
		e->account = keep(l->value);
	else if (line_is_key(l, "sso_role_name"))
		e->role = keep(l->value);
	if (!line_is_key(l, "credential_process"))
		return;
	e->account = word_of(l->value, "--account ");
	e->role = word_of(l->value, "--role ");
}

static bool
is_empty(const struct line *l)
{
	size_t i;

	for (i = 0; i < l->n && strchr(" \t\r\n", l->p[i]); i++)
		continue;
	return i == l->n;
}

/* What the block had before; its texts are as they stand there. */
static void
entries_before(struct entries *all, const struct text *body)
{
	struct entry e = {0};
	bool open = false;
	struct lines l;

	for (lines_begin(&l, body); lines_next(&l);) {
		if (l.now.kind == LINE_SECTION) {
			if (open)
				entry_add(all, e);
			open = l.now.of == OF_PROFILE;
			e = (struct entry){.name = keep(l.now.name),
			    .account = "",
			    .role = "",
			    .text = l.now.p};
		}
		fact(&e, &l.now);
		/* Up to its last line that says something. */
		if (e.text && !is_empty(&l.now))
			e.size = (size_t)(l.now.p + l.now.n - e.text);
	}
	if (open)
		entry_add(all, e);
}

static bool
is_same(const struct entry *e, const struct entry *f)
{
	return !strcmp(e->account, f->account) && !strcmp(e->role, f->role);
}

static bool
is_among(const struct entries *all, size_t n, const struct entry *e)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (is_same(&all->at[i], e))
			return true;
	}
	return false;
}

static size_t
named(const struct entries *all, const char *name)
{
	size_t i, n = 0;

	for (i = 0; i < all->n; i++)
		n += !strcmp(all->at[i].name, name);
	return n;
}

/* Two accounts of one name: both get their number. */
static void
entries_part(struct entries *all)
{
	bool *twice = calloc(all->n + 1, sizeof(*twice));
	char name[512];
	size_t i;

	if (!twice)
		out_of_memory();
	for (i = 0; i < all->n; i++)
		twice[i] = !*all->at[i].name ||
		    !strcmp(all->at[i].name, "default") ||
		    named(all, all->at[i].name) > 1;
	for (i = 0; i < all->n; i++) {
		struct entry *e = &all->at[i];

		if (e->text || !twice[i])
			continue;
		format(name, sizeof(name), "%s%s%s", e->name,
		    *e->name ? "-" : "", e->account);
		if (named(all, name))
			format(name, sizeof(name), "%s-%s", e->account,
			    safe(e->role));
		e->name = keep(view_str(name));
	}
	free(twice);
}

/* -------- what stands outside of the block */

static void
entries_outside(
    struct entries *all, const struct text *file, const struct text *body)
{
	struct lines l;

	for (lines_begin(&l, file); lines_next(&l);) {
		if (body->p && l.now.p >= body->p &&
		    l.now.p < body->p + body->n)
			continue;
		if (l.now.kind == LINE_SECTION && l.now.of == OF_PROFILE)
			entry_add(
			    all, (struct entry){.name = keep(l.now.name)});
	}
}

/* -------- writing */

static void
entry_put(const struct plan *p, const struct entry *e, struct text *out)
{
	text_put(out, "\n", 1);
	if (e->text) {
		text_put(out, e->text, e->size);
		return;
	}
	text_form(out, "[profile %s]\n", e->name);
	if (p->options->given & OPT_PROCESS)
		text_form(out,
		    "credential_process = %s process --sso-session %s "
		    "--account %s --role %s\n",
		    p->awsenv, p->session, e->account, e->role);
	else
		text_form(out,
		    "sso_session = %s\nsso_account_id = %s\n"
		    "sso_role_name = %s\n",
		    p->session, e->account, e->role);
	text_form(out, "region = %s\n", p->region);
}

static void
head_put(const struct plan *p, struct text *out)
{
	text_form(out,
	    "# What stands between these lines is written by awsenv configure, "
	    "and\n# changes to it are lost when it runs again.\n");
	if (!p->elsewhere)
		text_form(out,
		    "\n[sso-session %s]\nsso_start_url = %s\nsso_region = %s\n"
		    "sso_registration_scopes = sso:account:access\n",
		    p->session, p->start_url, p->sso_region);
}

/* The ones that AWS lists now, in a form that is fit for a file. */
static bool
entries_new(
    struct entries *all, const struct plan *p, const struct grant_list *list)
{
	const struct grant_row *g;
	const char *name;
	size_t i;

	for (i = 0; i < list->n; i++) {
		g = &list->row[i];
		if (!made_of(view_str(g->account), DIGITS, 12, 12) ||
		    !made_of(view_str(g->role), ROLE_SAFE, 1, 128))
			continue;
		if (!(name = wanted_name(p->names, p->session, g))) {
			warn("--template %s: there are {account_name}, "
			     "{account_id}, {role} and {session}",
			    shown_str(p->names));
			return false;
		}
		entry_add(all,
		    (struct entry){
			.name = name, .account = g->account, .role = g->role});
	}
	return true;
}

bool
wanted_body(const struct plan *p, const struct grant_list *list, bool prune,
    struct text *body, struct wanted *w)
{
	struct entries all = {0}, before = {0}, outside = {0};
	unsigned int line = 0;
	struct text old = {0};
	size_t i, fresh;

	*w = (struct wanted){0};
	if (!entries_new(&all, p, list))
		return false;
	fresh = all.n;
	if (block_find(&p->file.text, p->session, &old, &line) == AW_OK)
		entries_before(&before, &old);
	for (i = 0; i < before.n; i++) {
		if (is_among(&all, fresh, &before.at[i]))
			continue;
		if (prune)
			w->gone++;
		else
			entry_add(&all, before.at[i]);
	}
	entries_part(&all);
	if (all.n)
		qsort(all.at, all.n, sizeof(*all.at), by_name);
	entries_outside(&outside, &p->file.text, &old);
	head_put(p, body);
	for (i = 0; i < all.n; i++) {
		if (named(&outside, all.at[i].name)) {
			say("awsenv: profile %s is there already, and is left "
			    "as it is\n",
			    shown_str(all.at[i].name));
			continue;
		}
		entry_put(p, &all.at[i], body);
		w->profiles++;
	}
	free(all.at);
	free(before.at);
	free(outside.at);
	if (text_end(body) != AW_OK)
		out_of_memory();
	return true;
}
