/* SPDX-License-Identifier: ISC */
/*
 * Which agent there is, why this one, and what it lets be used from here: all
 * that an agent on another host tells, and all the status that there is where
 * this program was copied to alone.
 */
#include "awsenv/own.h"

#include "agent/cli/cli.h"

static void
member(struct buf *out, const char *name, struct view value)
{
	json_name(out, name);
	json_string(out, value);
}

static void
put_text(const struct profile_item *p, void *out)
{
	text_add(out, "  %-16s %s%s%s\n", shown(p->name),
	    shown(p->error ? p->text : p->account), p->error ? "" : " ",
	    shown(p->chain.n ? p->chain : p->role));
}

static void
put_json(const struct profile_item *p, void *out)
{
	json_name(out, "");
	text_add(out, "{");
	member(out, "profile", p->name);
	member(out, "account", p->account);
	member(out, "role", p->role);
	member(out, "chain", p->chain);
	member(out, "error", p->text);
	text_add(out, "}");
}

static enum aw_err
text(struct talk *t, const struct status_rep *rep, struct buf *out)
{
	const struct agent *a = &t->agent;

	text_add(out, "agent       awsenv %s%s", shown(rep->version),
	    rep->agent_pid ? "" : ", on another host");
	if (!view_is(rep->version, AWSENV_VERSION))
		text_add(out, "; this is awsenv " AWSENV_VERSION);
	text_add(
	    out, "\nsocket      %s, %s\n", shown_str(a->path), agent_since(a));
	if (a->passed)
		text_add(
		    out, "not used    what ssh forwards: it %s\n", a->passed);
	text_add(out, "profiles    %u to be used from here\n", rep->profiles);
	return talk_profiles(t, put_text, out);
}

static enum aw_err
json(struct talk *t, const struct status_rep *rep, struct buf *out)
{
	enum aw_err r;

	text_add(out, "{");
	member(out, "socket", view_str(t->agent.path));
	member(out, "found", view_str(agent_found(&t->agent)));
	member(out, "awsenv", view_str(AWSENV_VERSION));
	json_name(out, "agent");
	text_add(out, "{");
	member(out, "version", rep->version);
	text_add(out, "}");
	json_name(out, "usable");
	text_add(out, "%u", rep->profiles);
	json_name(out, "profiles");
	text_add(out, "[");
	r = talk_profiles(t, put_json, out);
	text_add(out, "]}\n");
	return r;
}

int
brief_print(
    struct talk *t, const struct options *o, const struct status_rep *rep)
{
	AUTOBUF struct buf out = {0};
	enum aw_err r;

	r = (o->given & OPT_JSON ? json : text)(t, rep, &out);
	if (r == AW_OK && !text_print(&out))
		r = AW_SYSTEM;
	/* A profile that was asked for by name is part of the question. */
	if (r == AW_OK && (o->given & (OPT_PROFILE | OPT_ACCOUNT)) &&
	    rep->profile_error != AW_OK)
		r = complain(
		    &t->question, rep->profile_error, rep->profile_text);
	return exit_of(r);
}

int
brief_verb(const struct options *o, char **argv)
{
	struct status_rep rep;
	struct talk t;
	int status;
	enum aw_err r;

	(void)argv;
	if ((r = talk_begin(&t, o, AGENT_AS_IS)) != AW_OK)
		return exit_of(r);
	r = talk_status(&t, &rep);
	status = r == AW_OK ? brief_print(&t, o, &rep) : exit_of(r);
	talk_end(&t);
	return status;
}
