/* SPDX-License-Identifier: ISC */
/*
 * What a far side of ssh may have of a profile. Decided on account and role
 * and on each role of a chain, by the strictest of all profiles that end in
 * it, so that no other name for the same thing is a way around.
 */
#include <ctype.h>
#include <string.h>

#include "awsenv/own.h"

#include "profile.h"

#define HOST 50 /* "SHA256:" and 43 characters of base64 */
#define HOSTS_MOST 4096
#define SHORTEST 900 /* that AWS gives */

/* What is said of one account and role, or of one ARN; strictest first seen. */
struct rule {
	uint8_t word; /* enum forward_word */
	struct view at;
	bool listed; /* `hosts` counts, also when it is empty */
	struct view hosts;
	struct view hosts_at;
	uint32_t seconds;	    /* at most; 0: nothing is said */
	const struct entry *policy; /* the only one there may be, or NULL */
};

enum { SPACE_ROLE = 1, SPACE_ARN = 2 };

static uint8_t
word_of(struct view v)
{
	if (view_is(v, "allow"))
		return FORWARD_ALLOW;
	if (view_is(v, "confirm"))
		return FORWARD_CONFIRM;
	return FORWARD_DENY;
}

bool
forward_is_word(struct view v)
{
	return word_of(v) != FORWARD_DENY || view_is(v, "deny");
}

static bool
is_base64(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '+' || c == '/';
}

static bool
is_host(struct view v)
{
	uint32_t i = 7;

	while (v.n == HOST && i < HOST && is_base64(v.p[i]))
		i++;
	return i == HOST && text_starts(v, "SHA256:");
}

/* The next word of a value that may have several lines. */
static bool
next_word(struct view *rest, struct view *word)
{
	uint32_t n = 0;

	*rest = text_strip(*rest);
	*word = (struct view){0};
	if (!rest->n)
		return false;
	while (n < rest->n && !strchr(" \t\r\n,", rest->p[n]))
		n++;
	*word = (struct view){rest->p, n};
	while (n < rest->n && strchr(" \t\r\n,", rest->p[n]))
		n++;
	rest->p += n;
	rest->n -= n;
	return word->n > 0;
}

bool
forward_is_hosts(struct view v, struct view *wrong)
{
	while (next_word(&v, wrong)) {
		if (!is_host(*wrong))
			return false;
	}
	return true;
}

static bool
has_host(struct view list, struct view host)
{
	struct view entry;

	while (list.n) {
		text_split(list, '\0', &entry, &list);
		if (view_eq(entry, host))
			return true;
	}
	return false;
}

/* Who stands in both. A word that is no fingerprint is nobody's. */
static void
narrow_hosts(struct arena *a, struct rule *r, struct view words, struct view at)
{
	AUTOBUF struct buf both = {0};
	struct view word;

	if (r->listed && !r->hosts.n)
		return;
	while (next_word(&words, &word)) {
		if (is_host(word) && both.len < HOSTS_MOST &&
		    (!r->listed || has_host(r->hosts, word))) {
			buf_put(&both, word.p, word.n);
			buf_u8(&both, '\0');
		}
	}
	r->listed = true;
	r->hosts = arena_copy(a, view_of(&both));
	r->hosts_at = at;
}

static struct view
place(struct arena *a, const struct entry *e)
{
	return arena_printf(a, "%.*s:%u", AT(e));
}

static void
take(struct config *c, struct rule *r, const struct entry *e)
{
	uint8_t word = word_of(e->value);

	if (word <= r->word)
		return;
	r->word = word;
	r->at = place(&c->arena, e);
}

/*
 * Of the user's own files the nearest counts, as ever; of the administrator's
 * every one that says something, and all that is stricter.
 */
static void
read_key(struct config *c, const struct section *const *places, size_t n,
    const char *key,
    void (*fn)(struct config *, struct rule *, const struct entry *),
    struct rule *r)
{
	const struct section *s, *file;
	bool own = false;
	size_t i;
	int depth;

	for (i = 0; i < n; i++) {
		for (s = places[i], depth = 0; s && depth < 8;
		     depth++, s = s->include) {
			for (file = s; file; file = file->below) {
				const struct entry *e =
				    config_in_file(c, file, key);

				if (!e || (own && !e->file->admin))
					continue;
				own |= !e->file->admin;
				fn(c, r, e);
			}
		}
	}
}

static void
take_hosts(struct config *c, struct rule *r, const struct entry *e)
{
	narrow_hosts(&c->arena, r, e->value, place(&c->arena, e));
}

static void
shorten(struct rule *r, uint32_t seconds)
{
	if (seconds && (!r->seconds || seconds < r->seconds))
		r->seconds = seconds;
}

static void
take_duration(struct config *c, struct rule *r, const struct entry *e)
{
	uint32_t seconds;

	(void)c;
	shorten(r, narrow_is_duration(e->value, &seconds) ? seconds : SHORTEST);
}

static void
deny(struct rule *r, struct view at)
{
	if (r->word == FORWARD_DENY)
		return;
	r->word = FORWARD_DENY;
	r->at = at;
}

/* AWS takes one policy for a role, and which of two is the narrower one is not
 * to be told from their texts. */
static void
add_policy(struct arena *a, struct rule *r, const struct entry *e)
{
	if (e && r->policy && !view_eq(e->value, r->policy->value))
		deny(r,
		    arena_printf(a,
			"%.*s:%u, another awsenv_forward_policy than at "
			"%.*s:%u for the same role",
			AT(e), AT(r->policy)));
	else if (e)
		r->policy = e;
}

static void
take_policy(struct config *c, struct rule *r, const struct entry *e)
{
	struct view compact;

	if (narrow_policy(&c->arena, e->value, &compact))
		deny(r, place(&c->arena, e));
	else
		add_policy(&c->arena, r, e);
}

/* What this profile says itself. */
static void
own_rule(struct config *c, const struct section *const *places, size_t n,
    struct rule *r)
{
	*r = (struct rule){0};
	read_key(c, places, n, "awsenv_forward", take, r);
	read_key(c, places, n, "awsenv_forward_hosts", take_hosts, r);
	read_key(c, places, n, "awsenv_forward_duration", take_duration, r);
	read_key(c, places, n, "awsenv_forward_policy", take_policy, r);
}

/* It would be a promise that AWS does not let us keep. */
static void
tell_vain(struct config *c, const struct section *s, struct rule *own)
{
	static const char *const keys[] = {
	    "awsenv_forward_duration", "awsenv_forward_policy"};
	const struct entry *e;
	size_t i;

	own->seconds = 0;
	own->policy = NULL;
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (!(e = config_get(c, s, keys[i])))
			continue;
		config_problem(c, e->file, e->line,
		    "%s: AWS lets no permission set's credentials be made "
		    "narrower, only those of a role on top (role_arn), so "
		    "this profile is denied to other hosts; remove it",
		    keys[i]);
		deny(own, place(&c->arena, e));
	}
}

static void
merge(struct arena *a, struct rule *into, const struct rule *r)
{
	struct view list = r->hosts;
	AUTOBUF struct buf words = {0};
	struct view entry;

	if (r->word > into->word) {
		into->word = r->word;
		into->at = r->at;
	}
	shorten(into, r->seconds);
	add_policy(a, into, r->policy);
	if (!r->listed)
		return;
	while (list.n) {
		text_split(list, '\0', &entry, &list);
		buf_put(&words, entry.p, entry.n);
		buf_u8(&words, ' ');
	}
	narrow_hosts(a, into, view_of(&words), r->hosts_at);
}

/* One that nothing was said of has no rule. AWS has no two roles whose names
 * differ in case alone. */
static struct rule *
rule_at(struct table *t, uint32_t space, struct view name, bool make)
{
	uint8_t *p = arena_alloc(&t->config.arena, name.n + 1);
	struct view key = {p, name.n};
	uint32_t i;
	void **at;

	for (i = 0; i < name.n; i++)
		p[i] = (uint8_t)tolower(name.p[i]);
	if (!make)
		return map_get(&t->rules, space, key);
	at = map_at(&t->rules, space, key);
	if (!*at)
		*at = arena_alloc(&t->config.arena, sizeof(struct rule));
	return *at;
}

static struct view
role_key(struct arena *a, const struct profile *p)
{
	return arena_printf(
	    a, "%.*s/%.*s", VIEW_ARG(p->account), VIEW_ARG(p->role));
}

static struct view
last_arn(struct view chain)
{
	struct step step = {0};

	while (msg_each(MSG_STEP, &chain, &step))
		continue;
	return step.role_arn;
}

void
forward_note(struct table *t, const struct section *const *places, size_t n,
    const struct profile *p)
{
	struct arena *a = &t->config.arena;
	struct view arn = last_arn(p->chain);
	struct rule own, *r;

	own_rule(&t->config, places, n, &own);
	if (!arn.n)
		tell_vain(&t->config, places[0], &own);
	if (!own.word && !own.listed && !own.seconds && !own.policy)
		return;
	r = arn.n ? rule_at(t, SPACE_ARN, arn, true)
		  : rule_at(t, SPACE_ROLE, role_key(a, p), true);
	merge(a, r, &own);
}

/* What leads to a role can only make it stricter: who may have the first role
 * of a chain may not have the second for that. What makes that one's keys
 * narrower says nothing of these. */
static void
add_way(struct arena *a, struct rule *all, const struct rule *way)
{
	struct rule stricter;

	if (!way)
		return;
	stricter = *way;
	if (stricter.word == FORWARD_ALLOW)
		stricter.word = FORWARD_DEFAULT;
	stricter.seconds = 0;
	stricter.policy = NULL;
	merge(a, all, &stricter);
}

/* A list on which nobody is left. */
static void
close_empty(struct rule *r)
{
	if (r->listed && !r->hosts.n)
		deny(r, r->hosts_at);
}

void
forward_decide(struct table *t, struct profile *p)
{
	struct arena *a = &t->config.arena;
	struct view chain = p->chain, end = last_arn(p->chain);
	struct rule all = {0}, *own;
	struct step step;

	own = end.n ? rule_at(t, SPACE_ARN, end, false)
		    : rule_at(t, SPACE_ROLE, role_key(a, p), false);
	if (own)
		merge(a, &all, own);
	if (end.n)
		add_way(a, &all, rule_at(t, SPACE_ROLE, role_key(a, p), false));
	while (msg_each(MSG_STEP, &chain, &step)) {
		if (!view_eq(step.role_arn, end))
			add_way(a, &all,
			    rule_at(t, SPACE_ARN, step.role_arn, false));
	}
	close_empty(&all);
	if (end.n && (all.seconds || all.policy) &&
	    !narrow_chain(t, p, all.seconds, all.policy))
		deny(&all,
		    view_str("its chain is too long to be made narrower"));
	p->forward = all.word;
	p->forward_at = all.at;
	p->forward_hosts = all.hosts;
}

void
forward_session(
    struct config *c, const struct section *session, struct session *s)
{
	const struct section *places[2] = {
	    session, config_section(c, SECTION_AWSENV, view_str("awsenv"))};
	struct rule own;

	own_rule(c, places, 2, &own);
	close_empty(&own);
	s->forward = own.word;
	s->forward_at = own.at;
	s->forward_hosts = own.hosts;
}
