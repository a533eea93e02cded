/* SPDX-License-Identifier: ISC */
/* Read everything, then hand it over: sessions, profiles, problems, the end. */
#include <string.h>

#include "profile.h"

static bool
is_switch(struct view key)
{
	static const char *const switches[] = {
	    "awsenv_confirm",
	    "awsenv_enforce",
	    "awsenv_login",
	    "awsenv_serve",
	    "use_dualstack_endpoint",
	    "use_fips_endpoint",
	    "ignore_configured_endpoint_urls",
	};
	size_t i;

	for (i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
		if (view_is(key, switches[i]))
			return true;
	}
	return false;
}

/* Our own keys, misspelt, would be a promise that nobody keeps. */
static void
tell_entry(struct config *c, const struct entry *e)
{
	struct file *f = e->file;
	struct view wrong;
	const char *why;
	uint32_t seconds;
	bool yes;

	if (agent_is_key(e->key))
		config_problem(c, f, e->line,
		    "%.*s counts in the section [awsenv] alone: move it there",
		    NAME_ARG(e->key));
	else if (text_starts(e->key, "awsenv_") && !config_is_known(e->key))
		config_problem(c, f, e->line,
		    "%.*s is no key that this version of awsenv knows: see "
		    "awsenv-config(5)",
		    NAME_ARG(e->key));
	else if (view_is(e->key, "awsenv_enforce") && !f->admin)
		config_problem(c, f, e->line,
		    "awsenv_enforce counts in the "
		    "administrator's files alone: remove it");
	else if (is_switch(e->key) && !check_bool(e->value, &yes))
		config_problem(c, f, e->line,
		    "%.*s is neither true nor false, "
		    "and counts as %s: write one of them",
		    NAME_ARG(e->key),
		    view_is(e->key, "awsenv_enforce") ||
			    view_is(e->key, "awsenv_confirm")
			? "true"
			: "false");
	else if (view_is(e->key, "awsenv_forward") &&
	    !forward_is_word(e->value))
		config_problem(c, f, e->line,
		    "awsenv_forward is neither allow, confirm nor deny, and "
		    "counts as deny: write one of them");
	else if (view_is(e->key, "awsenv_forward_hosts") &&
	    !forward_is_hosts(e->value, &wrong))
		config_problem(c, f, e->line,
		    "%.*s is no fingerprint of a host key: write SHA256:... as "
		    "ssh-keygen -l shows it",
		    NAME_ARG(wrong));
	else if (view_is(e->key, "awsenv_forward_duration") &&
	    !narrow_is_duration(e->value, &seconds))
		config_problem(c, f, e->line,
		    "awsenv_forward_duration counts as 15m: write 900 to "
		    "43200, or 15m to 12h");
	else if (view_is(e->key, "awsenv_forward_policy") &&
	    (why = narrow_policy(&c->arena, e->value, &wrong)))
		config_problem(c, f, e->line,
		    "awsenv_forward_policy %s, and counts as deny: write the "
		    "policy itself, {\"Version\": ..., \"Statement\": ...}",
		    why);
}

/* In [awsenv] there is nothing but ours: one key without the prefix, too. */
static void
tell_agent_entry(struct config *c, const struct entry *e)
{
	struct file *f = e->file;
	bool yes;

	if (agent_is_key(e->key))
		agent_tell_entry(c, e);
	else if (text_starts(e->key, "awsenv_"))
		tell_entry(c, e);
	else if (!view_is(e->key, "enabled"))
		config_problem(c, f, e->line,
		    "%.*s is no key of [awsenv]: see awsenv-config(5)",
		    NAME_ARG(e->key));
	else if (!f->admin)
		config_problem(c, f, e->line,
		    "enabled counts in the administrator's files alone: "
		    "remove it");
	else if (!check_bool(e->value, &yes))
		config_problem(c, f, e->line,
		    "enabled is neither true nor false, and counts as false: "
		    "write one of them");
}

static void
tell_entries(struct config *c)
{
	const struct section *s;
	const struct entry *e;

	for (s = c->first; s; s = s->next) {
		for (e = s->first; e && s->kind != SECTION_NONE; e = e->next) {
			if (view_is(e->key, "awsenv_confirm") &&
			    (s->kind == SECTION_AWSENV ||
				s->kind == SECTION_SESSION))
				config_problem(c, e->file, e->line,
				    "awsenv_confirm counts in profiles alone: "
				    "write it in each that needs a yes");
			else if (s->kind == SECTION_AWSENV)
				tell_agent_entry(c, e);
			else
				tell_entry(c, e);
		}
	}
}

static void
add_profile(struct table *t, const struct section *s)
{
	struct profile_row *row = arena_alloc(&t->config.arena, sizeof(*row));

	resolve_profile(t, s, row);
	if (t->last_profile)
		t->last_profile->next = row;
	else
		t->profile = row;
	t->last_profile = row;
	t->profiles++;
}

static struct view
config_asked(struct table *t, const struct read_req *req)
{
	struct config *c = &t->config;

	if (req->config.n &&
	    (*req->config.p != '/' ||
		memchr(req->config.p, '\0', req->config.n))) {
		config_problem(c, config_file(c, req->config, false), 0,
		    "it is not an absolute path: point AWS_CONFIG_FILE at one");
		t->broken = true;
		return (struct view){0};
	}
	if (req->config.n)
		return req->config;
	if (c->home.n)
		return arena_printf(
		    &c->arena, "%.*s/.aws/config", VIEW_ARG(c->home));
	config_problem(c, config_file(c, view_str("~/.aws/config"), false), 0,
	    "this user has no home folder: point AWS_CONFIG_FILE at a file");
	return (struct view){0};
}

enum aw_err
table_read(struct table *t, const char *admin, const struct read_req *req,
    const char *home)
{
	const struct section *s;
	struct profile_row *row;
	const struct entry *off;
	struct view path;
	enum aw_err r;

	*t = (struct table){.env = req->env};
	if (home && *home == '/')
		t->config.home = arena_copy(&t->config.arena, view_str(home));
	path = config_asked(t, req);
	r = config_read(&t->config, admin, path, &t->stamp);
	if (r != AW_OK || t->broken) {
		t->broken = true;
		return AW_SYSTEM;
	}
	tell_entries(&t->config);
	if ((off = config_off(&t->config))) {
		t->off = text_make(&t->config.arena,
		    "awsenv is switched off on this machine (enabled = %.*s at "
		    "%.*s:%u); ask its administrator",
		    NAME_ARG(off->value), AT(off));
		return AW_OK;
	}
	agent_settings(&t->config, &t->settings);
	login_bare(t);
	for (s = t->config.first; s; s = s->next) {
		if (s->kind == SECTION_PROFILE && config_is_top(&t->config, s))
			add_profile(t, s);
	}
	for (row = t->profile; row; row = row->next)
		forward_decide(t, &row->msg);
	return AW_OK;
}

enum aw_err
table_send(const struct table *t, table_sink *sink, void *arg)
{
	const struct table_end end = {
	    t->stamp, t->profiles, t->sessions, t->off, view_of(&t->settings)};
	const struct session_row *s;
	const struct profile_row *p;
	const struct problem *b;
	enum aw_err r = AW_OK;

	for (s = t->session; s && r == AW_OK; s = s->next)
		r = sink(arg, MSG_SESSION, &s->msg);
	for (p = t->profile; p && r == AW_OK; p = p->next)
		r = sink(arg, MSG_PROFILE, &p->msg);
	for (b = t->config.problem; b && r == AW_OK; b = b->next) {
		const struct problem_item item = {
		    b->file->path, b->line, b->text};

		r = sink(arg, MSG_PROBLEM_ITEM, &item);
	}
	if (r == AW_OK && !t->broken)
		r = sink(arg, MSG_TABLE_END, &end);
	return r;
}

void
table_free(struct table *t)
{
	map_free(&t->logins);
	map_free(&t->bundles);
	map_free(&t->places);
	map_free(&t->rules);
	config_free(&t->config);
	buf_free(&t->settings);
	*t = (struct table){0};
}
