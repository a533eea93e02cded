/* SPDX-License-Identifier: ISC */
/* As whom a command would run, by AWS's own word. */
#include <stddef.h>
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define WHOAMI_MS 70000

/* clang-format off */
static const struct json_member members[] = {
	{"person", JSON_TEXT, offsetof(struct whoami_rep, person)},
	{"account", JSON_TEXT, offsetof(struct whoami_rep, account)},
	{"role", JSON_TEXT, offsetof(struct whoami_rep, role)},
	{"arn", JSON_TEXT, offsetof(struct whoami_rep, arn)},
	{"user_id", JSON_TEXT, offsetof(struct whoami_rep, user_id)},
	{"profile", JSON_TEXT, offsetof(struct whoami_rep, profile)},
	{"session", JSON_TEXT, offsetof(struct whoami_rep, session)},
	{"region", JSON_TEXT, offsetof(struct whoami_rep, region)},
	{.form = JSON_END},
};
/* clang-format on */

/* Without json_members(), which this program would have for this alone. */
static void
print_each(const struct whoami_rep *w, bool json, struct buf *out)
{
	const struct json_member *m;
	struct view v;

	for (m = members; m->form == JSON_TEXT; m++) {
		memcpy(&v, (const char *)w + m->offset, sizeof(v));
		if (json) {
			json_name(out, m->name);
			json_string(out, v);
		} else if (v.n) {
			text_add(out, "%-9s %s\n", m->name, shown(v));
		}
	}
}

static void
print_text(const struct whoami_rep *w, struct buf *out)
{
	char until[CLOCK_TIME], left[TIME_LEFT];

	print_each(w, false, out);
	if (!w->expires)
		return;
	clock_time(until, w->expires);
	time_left(left, w->expires);
	text_add(out, "%-9s %s (%s left)\n", "until", until, left);
}

static void
print_json(const struct whoami_rep *w, struct buf *out)
{
	text_add(out, "{");
	print_each(w, true, out);
	json_name(out, "expires");
	json_time(out, w->expires);
	text_add(out, "}\n");
}

static enum aw_err
ask(struct talk *t, const struct options *o, struct whoami_rep *w)
{
	struct whoami_req req = {.ask = t->question.ask};
	struct patience wait = {0};
	enum aw_err r;

	do {
		r = agent_ask(&t->agent, "whoami@awsenv", MSG_WHOAMI_REQ, &req,
		    MSG_WHOAMI_REP, w, &t->frame, WHOAMI_MS);
		if (r != AW_OK)
			return r;
	} while (w->error == AW_LOGIN && login_wait(&wait, t, o, w->text, &r));
	return r == AW_OK ? talk_refused(t, w->error, w->text) : r;
}

int
whoami_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf out = {0};
	struct whoami_rep w;
	struct talk t;
	enum aw_err r;

	(void)argv;
	if ((r = talk_begin(&t, o, AGENT_START)) != AW_OK)
		return exit_of(r);
	if ((r = ask(&t, o, &w)) == AW_OK) {
		if (o->given & OPT_JSON)
			print_json(&w, &out);
		else
			print_text(&w, &out);
		r = text_print(&out) ? AW_OK : AW_SYSTEM;
	}
	talk_end(&t);
	return exit_of(r);
}
