/* SPDX-License-Identifier: ISC */
/* What the agent knows, asked for; report.c writes it. */
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

static enum aw_err
lists_get(struct agent *a, struct status *s)
{
	const struct {
		struct buf *items;
		enum list_what what;
		uint32_t count;
	} lists[] = {
	    {&s->logins, LIST_LOGINS, s->rep.logins},
	    {&s->roles, LIST_ROLES, s->rep.roles},
	    {&s->problems, LIST_PROBLEMS, s->rep.problems},
	    {&s->keys, LIST_KEYS, s->keyring ? s->rep.keys : 0},
	};
	enum aw_err r = AW_OK;
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]) && r == AW_OK; i++) {
		if (lists[i].count)
			r = agent_list(a, lists[i].what, lists[i].items);
	}
	return r;
}

static int
print(const struct status *s, bool json)
{
	AUTOBUF struct buf out = {0};

	if (json)
		report_json(s, &out);
	else
		report_text(s, &out);
	if (!text_print(&out))
		return EXIT_OTHER;
	/* A profile that was asked for by name is part of the question. */
	return s->profile ? exit_of((enum aw_err)s->rep.profile_error)
			  : EXIT_GOOD;
}

/* Nothing on standard output: it is asked for by scripts and prompts. */
static int
check(const struct question *q, const struct status_rep *rep, uint32_t seconds)
{
	char left[TIME_LEFT];

	if (rep->profile_error != AW_OK)
		return exit_of(
		    complain(q, rep->profile_error, rep->profile_text));
	if (rep->login_state != LOGIN_DONE) {
		warn("%s: not logged in", question_name(q));
		return EXIT_LOGIN;
	}
	if (rep->refreshable || rep->login_expires >= now() + seconds)
		return EXIT_GOOD;
	time_left(left, rep->login_expires);
	warn("%s: the login ends in %s, and cannot be refreshed silently",
	    question_name(q), left);
	return EXIT_LOGIN;
}

static int
answer(struct talk *t, const struct options *o, struct status *s)
{
	enum aw_err r;

	if ((r = talk_status(t, &s->rep)) != AW_OK)
		return exit_of(r);
	if (o->given & OPT_CHECK)
		return check(&t->question, &s->rep, o->check);
	/* One on another host. */
	if (!s->rep.agent_pid && !(o->given & OPT_JSON))
		return brief_print(t, o, &s->rep);
	if ((r = lists_get(&t->agent, s)) != AW_OK)
		return exit_of(r);
	return print(s, (o->given & OPT_JSON) != 0);
}

int
status_verb(const struct options *o, char **argv)
{
	int status;
	struct talk t;
	struct status s = {
	    .keyring = (o->given & OPT_KEYRING) != 0,
	    .profile = (o->given & (OPT_PROFILE | OPT_ACCOUNT)) != 0,
	};
	enum aw_err r;

	(void)argv;
	if (o->given & OPT_ALL_USERS)
		return users_status(o);
	if ((r = talk_begin(&t, o, AGENT_AS_IS)) != AW_OK)
		return exit_of(r);
	s.agent = &t.agent;
	status = answer(&t, o, &s);
	talk_end(&t);
	buf_free(&s.logins);
	buf_free(&s.roles);
	buf_free(&s.keys);
	buf_free(&s.problems);
	return status;
}
