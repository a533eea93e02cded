/* SPDX-License-Identifier: ISC */
/*
 * From what a person said (a profile, or account and role, or nothing) to the
 * login and the role that it means.
 */
#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/own.h"

struct search {
	const struct table *table;
	const struct ask *ask;
	struct target *target;
	char **text;
};

/* What there is instead: the first few that can be used. */
static void
say_profiles(const struct search *s)
{
	AUTOFREE char *names = NULL;
	struct profile p;
	uint32_t i, n = 0;

	for (i = 0; n < 4 && table_profile_at(s->table, i, &p); i++) {
		if (p.error == AW_OK && ++n < 4)
			text_set(&names, "%s%s%.*s", names ? names : "",
			    names ? ", " : "", VIEW_ARG(p.name));
	}
	if (names)
		text_set(s->text, "%s; there %s %s%s", *s->text,
		    n > 1 ? "are" : "is", names, n > 3 ? " and more" : "");
	else
		text_set(s->text,
		    "%s, nor any other: see awsenv-config(5) for how to write "
		    "one",
		    *s->text);
}

static enum aw_err
missing(const struct search *s, struct view name)
{
	AUTOFREE char *near = table_near(s->table, name);
	struct problem_item why;
	char line[16] = "";

	text_set(s->text, "no profile \"%.*s\" in %.*s", VIEW_ARG(name),
	    s->ask->config.n ? (int)s->ask->config.n : 13,
	    s->ask->config.n ? (const char *)s->ask->config.p
			     : "~/.aws/config");
	if (table_why(s->table, name, &why)) {
		if (why.line)
			snprintf(line, sizeof(line), ":%u", why.line);
		text_set(s->text, "%s; %.*s%s: %.*s", *s->text,
		    VIEW_ARG(why.file), line, VIEW_ARG(why.text));
	} else if (near)
		text_set(s->text, "%s; did you mean %s?", *s->text, near);
	else
		say_profiles(s);
	return AW_NOPROFILE;
}

static enum aw_err
take_session(const struct search *s, uint32_t index)
{
	if (!table_session(s->table, index, &s->target->session)) {
		text_set(s->text, "awsenv-profile named no session");
		return AW_CONFIG;
	}
	if (s->target->session.error != AW_OK) {
		text_set(s->text, "%.*s", VIEW_ARG(s->target->session.text));
		return AW_CONFIG;
	}
	if (s->target->session.login.n != LOGIN_ID) {
		text_set(s->text, "awsenv-profile named no login");
		return AW_CONFIG;
	}
	return AW_OK;
}

static void
take_settings(const struct search *s, const struct profile *p)
{
	s->target->region = p->region;
	s->target->settings = p->settings;
	s->target->sts = p->sts;
	s->target->sts_region = p->sts_region;
	s->target->expected = p->expected;
	s->target->browser = p->browser;
}

static enum aw_err
by_profile(const struct search *s, struct view name)
{
	struct target *t = s->target;
	struct profile p;

	if (!table_profile(s->table, name, &p))
		return missing(s, name);
	if (p.error != AW_OK) {
		text_set(s->text, "%.*s", VIEW_ARG(p.text));
		return AW_CONFIG;
	}
	t->profile = p.name;
	t->account = p.account;
	t->role = p.role;
	t->chain = p.chain;
	t->chain_digest = p.chain_digest;
	t->notice = p.notice;
	take_settings(s, &p);
	return take_session(s, p.session);
}

/* The names that --sso-session could be given, each once. */
static void
say_names(const struct search *s)
{
	AUTOFREE char *names = NULL;
	struct session row, other;
	uint32_t i, j;

	for (i = 0; table_session(s->table, i, &row); i++) {
		for (j = 0; j < i; j++) {
			if (table_session(s->table, j, &other) &&
			    view_eq(row.name, other.name))
				break;
		}
		if (row.name.n && j == i)
			text_set(&names, "%s%s%.*s", names ? names : "",
			    names ? ", " : "", VIEW_ARG(row.name));
	}
	if (names)
		text_set(s->text, "%s%ssay --sso-session, one of %s",
		    *s->text ? *s->text : "", *s->text ? "; " : "", names);
	else if (!*s->text)
		text_set(s->text,
		    "the config file has no sso-session: write one, see "
		    "awsenv-config(5)");
}

/* By name: as the first profile has it that uses the session, since it may
 * bring an endpoint or a CA of its own; else as the section says. */
static enum aw_err
named_session(const struct search *s)
{
	struct session row;
	uint32_t i, bare = UINT32_MAX;

	for (i = 0; table_session(s->table, i, &row); i++) {
		if (!view_eq(row.name, s->ask->session))
			continue;
		if (!row.bare && row.error == AW_OK)
			return take_session(s, i);
		if (row.bare || bare == UINT32_MAX)
			bare = i;
	}
	if (bare != UINT32_MAX)
		return take_session(s, bare);
	text_set(s->text, "no sso-session \"%.*s\" in the config file",
	    VIEW_ARG(s->ask->session));
	say_names(s);
	return AW_CONFIG;
}

/* The only login that there is to choose. */
static enum aw_err
only_session(const struct search *s)
{
	uint32_t i, found = UINT32_MAX;
	struct view login = {0};
	struct session row;

	for (i = 0; table_session(s->table, i, &row); i++) {
		if (row.error != AW_OK)
			continue;
		if (found != UINT32_MAX && !view_eq(login, row.login)) {
			say_names(s);
			return AW_CONFIG;
		}
		if (found == UINT32_MAX || !row.bare)
			found = i;
		login = row.login;
	}
	if (found == UINT32_MAX) {
		say_names(s);
		return AW_CONFIG;
	}
	return take_session(s, found);
}

/* Endpoints of a profile are for its own login alone. */
static bool
is_of_login(const struct search *s, const struct profile *p)
{
	struct session row;

	return table_session(s->table, p->session, &row) &&
	    view_eq(row.login, s->target->session.login);
}

/* Region, STS and the like of a profile that uses this login, where the
 * person named none. */
static void
borrow_settings(const struct search *s)
{
	struct profile p;
	uint32_t i;

	for (i = 0; table_profile_at(s->table, i, &p); i++) {
		if (p.error == AW_OK && is_of_login(s, &p)) {
			s->target->sts = p.sts;
			s->target->sts_region = p.sts_region;
			s->target->expected = p.expected;
			s->target->browser = p.browser;
			return;
		}
	}
}

/* Account and role were said, or at least no profile. */
static enum aw_err
by_session(const struct search *s)
{
	struct view name = s->ask->profile;
	struct profile p;
	bool usable;
	enum aw_err r;

	if (name.n && !table_profile(s->table, name, &p))
		return missing(s, name);
	usable =
	    table_profile(s->table, name.n ? name : view_str("default"), &p) &&
	    p.error == AW_OK;
	if (s->ask->session.n)
		r = named_session(s);
	else if (usable)
		r = take_session(s, p.session);
	else
		r = only_session(s);
	if (r != AW_OK)
		return r;
	s->target->account = s->ask->account;
	s->target->role = s->ask->role;
	if (usable && is_of_login(s, &p)) {
		take_settings(s, &p);
		return AW_OK;
	}
	if (usable) {
		s->target->region = p.region;
		s->target->settings = p.settings;
	}
	borrow_settings(s);
	return AW_OK;
}

/* NUL stands between the parts of an id. */
static bool
has_nul(struct view v)
{
	return v.n && memchr(v.p, '\0', v.n);
}

enum aw_err
target_find(const struct table *table, const struct ask *ask, bool login,
    struct target *t, char **text)
{
	struct search s = {table, ask, t, text};
	struct view name = ask->profile;
	struct profile p;
	enum aw_err r;

	*t = (struct target){.id = t->id};
	if (has_nul(ask->account) || has_nul(ask->role)) {
		text_set(text, "no account or role has such a name");
		return AW_CONFIG;
	}
	if (ask->account.n || ask->role.n) {
		if (!ask->account.n || !ask->role.n) {
			text_set(text, "--account and --role go together");
			return AW_CONFIG;
		}
		r = by_session(&s);
	} else if (ask->session.n) {
		if (!login) {
			text_set(text,
			    "--sso-session needs --account and "
			    "--role");
			return AW_CONFIG;
		}
		r = by_session(&s);
	} else if (login && !name.n &&
	    !table_profile(table, view_str("default"), &p)) {
		r = only_session(&s);
		if (r == AW_OK)
			borrow_settings(&s);
	} else {
		r = by_profile(&s, name.n ? name : view_str("default"));
	}
	if (r == AW_OK) {
		role_id(&t->id, t->session.login, t->account, t->role,
		    t->chain_digest);
		/* Half of one would be another's. */
		if (t->id.bad)
			return AW_NOMEM;
	}
	return r;
}

struct view
target_chain_end(struct view chain)
{
	struct step step = {0};

	while (msg_each(MSG_STEP, &chain, &step))
		continue;
	return step.role_arn;
}
