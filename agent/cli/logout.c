/* SPDX-License-Identifier: ISC */
/* Ending a login: the agent forgets it and tells AWS. */
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define LOGOUT_MS 70000

static void
report(const struct logout_rep *rep, struct buf *out)
{
	struct view lines = rep->lines, line;

	while (view_entry(&lines, &line))
		text_add(out, "%s\n", shown(line));
	if (rep->logins == 0 && rep->roles == 0)
		text_add(out, "nothing to forget\n");
	else
		text_add(out, "forgotten: %u login%s, %u role credential%s\n",
		    rep->logins, rep->logins == 1 ? "" : "s", rep->roles,
		    rep->roles == 1 ? "" : "s");
	if (rep->roles)
		text_add(out,
		    "Commands that were given credentials keep them "
		    "until those expire.\n");
}

int
logout_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf frame = {0}, out = {0};
	int usage = verb_alone("logout", argv);
	struct agent a = {.fd = -1};
	struct logout_req req = {.what = LOGOUT_ONE};
	struct logout_rep rep;
	struct question q;
	enum aw_err r;

	if (usage != EXIT_GOOD)
		return usage;
	if (o->given & OPT_CREDENTIALS)
		req.what = LOGOUT_CREDS;
	if (o->given & OPT_ALL)
		req.what = LOGOUT_ALL;
	if ((o->given & OPT_ALL) && (o->given & OPT_CREDENTIALS)) {
		warn("either --all, or --credentials, which keeps the logins");
		return EXIT_USAGE;
	}
	if ((r = question_begin(&q, o)) == AW_OK)
		r = agent_open(&a, AGENT_AS_IS);
	if (r == AW_OK) {
		question_ready(&q);
		req.ask = q.ask;
		r = agent_ask(&a, "logout@awsenv", MSG_LOGOUT_REQ, &req,
		    MSG_LOGOUT_REP, &rep, &frame, LOGOUT_MS);
	}
	if (r == AW_OK) {
		/* Forgotten here, but AWS was not told: both are said. */
		if (rep.error == AW_OK || rep.error == AW_NETWORK)
			report(&rep, &out);
		if (out.len && !text_print(&out))
			r = AW_SYSTEM;
		if (rep.error != AW_OK)
			r = complain(&q, rep.error, rep.text);
	}
	agent_close(&a);
	question_end(&q);
	return exit_of(r);
}
