/* SPDX-License-Identifier: ISC */
/* What the agent knows, asked for; report.c writes it. */
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define STATUS_MS 10000

static enum aw_err
lists_get(struct agent *a, struct status *s)
{
	const struct {
		enum list_what what;
		struct buf *items;
		uint32_t count;
	} lists[] = {
	    {LIST_LOGINS, &s->logins, s->rep.logins},
	    {LIST_ROLES, &s->roles, s->rep.roles},
	    {LIST_PROBLEMS, &s->problems, s->rep.problems},
	    {LIST_KEYS, &s->keys, s->keyring ? s->rep.keys : 0},
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

static enum aw_err
ask(struct agent *a, struct question *q, struct status *s, struct buf *frame)
{
	struct status_req req;
	enum aw_err r;

	question_ready(q);
	req.ask = q->ask;
	r = agent_ask(a, "status@awsenv", MSG_STATUS_REQ, &req, MSG_STATUS_REP,
	    &s->rep, frame, STATUS_MS);
	if (r == AW_OK && s->rep.error != AW_OK)
		r = complain(q, s->rep.error, s->rep.text);
	return r;
}

int
status_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf frame = {0};
	int status = verb_alone("status", argv);
	struct agent a = {.fd = -1};
	struct status s = {
	    .socket = a.path,
	    .keyring = (o->given & OPT_KEYRING) != 0,
	    .profile = (o->given & (OPT_PROFILE | OPT_ACCOUNT)) != 0,
	};
	struct question q;
	enum aw_err r;

	if (status != EXIT_GOOD)
		return status;
	if ((r = question_begin(&q, o)) == AW_OK)
		r = agent_open(&a, AGENT_AS_IS);
	if (r == AW_OK)
		r = ask(&a, &q, &s, &frame);
	if (r == AW_OK && !(o->given & OPT_CHECK))
		r = lists_get(&a, &s);
	if (r != AW_OK)
		status = exit_of(r);
	else if (o->given & OPT_CHECK)
		status = check(&q, &s.rep, o->check);
	else
		status = print(&s, (o->given & OPT_JSON) != 0);
	agent_close(&a);
	question_end(&q);
	buf_free(&s.logins);
	buf_free(&s.roles);
	buf_free(&s.keys);
	buf_free(&s.problems);
	return status;
}
