/* SPDX-License-Identifier: ISC */
/* As whom a command would run, by AWS's own word. */
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define WHOAMI_MS 70000

static void
line(struct buf *out, const char *name, struct view value)
{
	if (value.n)
		text_add(out, "%-9s %s\n", name, shown(value));
}

static void
print_text(const struct whoami_rep *w, struct buf *out)
{
	char until[CLOCK_TIME], left[TIME_LEFT];

	line(out, "person", w->person);
	line(out, "account", w->account);
	line(out, "role", w->role);
	line(out, "arn", w->arn);
	line(out, "profile", w->profile);
	line(out, "session", w->session);
	line(out, "region", w->region);
	if (!w->expires)
		return;
	clock_time(until, w->expires);
	time_left(left, w->expires);
	text_add(out, "%-9s %s (%s left)\n", "until", until, left);
}

static void
print_json(const struct whoami_rep *w, struct buf *out)
{
	const struct {
		const char *name;
		struct view value;
	} members[] = {
	    {"profile", w->profile},
	    {"session", w->session},
	    {"account", w->account},
	    {"role", w->role},
	    {"arn", w->arn},
	    {"user_id", w->user_id},
	    {"person", w->person},
	    {"region", w->region},
	};
	size_t i;

	text_add(out, "{");
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		text_add(out, "\"%s\": ", members[i].name);
		json_string(out, members[i].value);
		text_add(out, ", ");
	}
	text_add(out, "\"expires\": ");
	json_time(out, w->expires);
	text_add(out, "}\n");
}

static enum aw_err
ask(struct agent *a, struct question *q, const struct options *o,
    struct whoami_rep *w, struct buf *frame)
{
	struct whoami_req req = {.ask = q->ask};
	enum aw_err r;
	int tries;

	for (tries = 0; tries < 3; tries++) {
		r = agent_ask(a, "whoami@awsenv", MSG_WHOAMI_REQ, &req,
		    MSG_WHOAMI_REP, w, frame, WHOAMI_MS);
		if (r != AW_OK)
			return r;
		if (w->error != AW_LOGIN || !login_wanted(o))
			break;
		if ((r = login_wait(a, q, o, false)) != AW_OK)
			return r;
	}
	return w->error == AW_OK ? AW_OK : complain(q, w->error, w->text);
}

int
whoami_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf frame = {0}, out = {0};
	int usage = verb_alone("whoami", argv);
	struct agent a = {.fd = -1};
	struct whoami_rep w;
	struct question q;
	enum aw_err r;

	if (usage != EXIT_GOOD)
		return usage;
	if ((r = question_begin(&q, o)) == AW_OK)
		r = agent_open(&a, AGENT_START);
	if (r == AW_OK) {
		question_ready(&q);
		r = ask(&a, &q, o, &w, &frame);
	}
	if (r == AW_OK) {
		if (o->given & OPT_JSON)
			print_json(&w, &out);
		else
			print_text(&w, &out);
		r = text_print(&out) ? AW_OK : AW_SYSTEM;
	}
	agent_close(&a);
	question_end(&q);
	return exit_of(r);
}
