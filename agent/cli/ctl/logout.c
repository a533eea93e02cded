/* SPDX-License-Identifier: ISC */
/* Ending a login: the agent forgets it and tells AWS. */
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define LOGOUT_MS 70000

static void
report(const struct logout_rep *rep, struct buf *out)
{
	struct view lines = rep->lines, line;

	if (rep->logins == 0 && rep->roles == 0) {
		text_add(out, "nothing to forget\n");
		return;
	}
	while (view_entry(&lines, &line))
		text_add(out, "%s\n", shown(line));
	text_add(out, "forgotten: %u login%s, %u role credential%s\n",
	    rep->logins, rep->logins == 1 ? "" : "s", rep->roles,
	    rep->roles == 1 ? "" : "s");
	if (rep->roles)
		text_add(out,
		    "Commands that were given credentials keep them "
		    "until those expire.\n");
}

static enum aw_err
logout(struct talk *t, enum logout_what what)
{
	struct logout_req req = {.ask = t->question.ask, .what = (uint8_t)what};
	AUTOBUF struct buf out = {0};
	struct logout_rep rep;
	enum aw_err r;

	r = agent_ask(&t->agent, "logout@awsenv", MSG_LOGOUT_REQ, &req,
	    MSG_LOGOUT_REP, &rep, &t->frame, LOGOUT_MS);
	if (r != AW_OK)
		return r;
	/* Forgotten here, but AWS was not told: both are said. */
	if (rep.error == AW_OK || rep.error == AW_NETWORK)
		report(&rep, &out);
	if ((out.len || out.bad) && !text_print(&out))
		return AW_SYSTEM;
	if (rep.error != AW_OK)
		return complain(&t->question, rep.error, rep.text);
	return AW_OK;
}

int
logout_verb(const struct options *o, char **argv)
{
	enum logout_what what = LOGOUT_ONE;
	struct talk t;
	enum aw_err r;

	(void)argv;
	if (o->given & (OPT_ALL_USERS | OPT_JSON))
		return users_logout(o);
	if ((o->given & OPT_ALL) && (o->given & OPT_CREDENTIALS)) {
		warn("either --all, or --credentials, which keeps the logins");
		return EXIT_USAGE;
	}
	if (o->given & OPT_CREDENTIALS)
		what = LOGOUT_CREDS;
	if (o->given & OPT_ALL)
		what = LOGOUT_ALL;
	if ((r = talk_begin(&t, o, AGENT_AS_IS)) == AW_OK) {
		r = logout(&t, what);
		talk_end(&t);
	}
	return exit_of(r);
}
