/* SPDX-License-Identifier: ISC */
/* What the agent handed out and what it refused, as far as it remembers. */
#include <stddef.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define LOG_MS 10000
#define HOLD 60 /* seconds, while --follow waits */

/* clang-format off */
static const struct json_member members[] = {
	{"time", JSON_TIME, offsetof(struct log_item, time)},
	{"request", JSON_TEXT, offsetof(struct log_item, request)},
	{"profile", JSON_TEXT, offsetof(struct log_item, profile)},
	{"account", JSON_TEXT, offsetof(struct log_item, account)},
	{"role", JSON_TEXT, offsetof(struct log_item, role)},
	{"access_key_id", JSON_TEXT, offsetof(struct log_item, access_key)},
	{"origin", JSON_TEXT, offsetof(struct log_item, origin)},
	{"pid", JSON_COUNT, offsetof(struct log_item, pid)},
	{"program", JSON_TEXT, offsetof(struct log_item, program)},
	{"host_key", JSON_TEXT, offsetof(struct log_item, host)},
	{"claimed_hops", JSON_TEXT, offsetof(struct log_item, hops)},
	{.form = JSON_END},
};
/* clang-format on */

static const char *
or_dash(struct view v)
{
	return v.n ? shown(v) : "-";
}

/* "refused" alone does not tell whether it was us or AWS. */
static const char *
outcome(const struct log_item *i)
{
	return i->error == AW_OK ? shown(i->access_key)
				 : aw_strerror((enum aw_err)i->error);
}

static void
write_text(const struct log_item *i, struct buf *out)
{
	char when[ISO_TIME];

	iso_time(when, i->time);
	text_add(out, "%s %s %s %s %s pid %u %s", when,
	    i->error == AW_OK ? "gave" : "refused", or_dash(i->profile),
	    or_dash(i->account), or_dash(i->role), i->pid, or_dash(i->program));
	text_add(out, ", %s", or_dash(i->origin));
	if (i->host.n)
		text_add(out, " %s", shown(i->host));
	if (i->hops.n)
		text_add(out, " (claims %s)", shown(i->hops));
	text_add(out, ": %s%s%s\n", i->error == AW_OK ? "" : shown(i->request),
	    i->error == AW_OK ? "" : ": ", outcome(i));
}

/* One object a line, so that a reader need not wait for the end. */
static void
write_json(const struct log_item *i, struct buf *out)
{
	AUTOBUF struct buf one = {0};

	text_add(&one, "{");
	json_members(&one, members, i);
	json_name(&one, "error");
	if (i->error == AW_OK)
		text_add(&one, "null");
	else
		json_string(&one, view_str(aw_strerror((enum aw_err)i->error)));
	text_add(&one, "}\n");
	buf_put(out, one.data, one.len);
	out->bad |= one.bad;
}

static bool
wanted(const struct options *o, const struct log_item *i)
{
	return !o->profile || view_is(i->profile, o->profile);
}

static bool
print(struct view items, const struct options *o)
{
	AUTOBUF struct buf out = {0};
	struct log_item i;

	while (msg_each(MSG_LOG_ITEM, &items, &i)) {
		if (!wanted(o, &i))
			continue;
		if (o->given & OPT_JSON)
			write_json(&i, &out);
		else
			write_text(&i, &out);
	}
	return text_flush(&out, true);
}

/* Until there is no more; with --follow until somebody ends us. */
static enum aw_err
pages(struct talk *t, const struct options *o)
{
	bool follow = (o->given & OPT_FOLLOW) != 0;
	struct log_req req = {.from = 0};
	struct log_rep rep;
	enum aw_err r;

	for (;;) {
		r = agent_ask(&t->agent, "log@awsenv", MSG_LOG_REQ, &req,
		    MSG_LOG_REP, &rep, &t->frame,
		    LOG_MS + (int)req.seconds * 1000);
		if (r != AW_OK)
			return r;
		if (rep.error != AW_OK)
			return complain(NULL, rep.error, rep.text);
		if (!print(rep.items, o))
			return AW_SYSTEM;
		if (!rep.items.n && !follow)
			return AW_OK;
		req.from = rep.next;
		if (!rep.items.n)
			req.seconds = HOLD;
	}
}

int
log_verb(const struct options *o, char **argv)
{
	struct talk t;
	enum aw_err r;

	(void)argv;
	if ((r = talk_begin(&t, o, AGENT_AS_IS)) != AW_OK)
		return exit_of(r);
	r = pages(&t, o);
	talk_end(&t);
	return exit_of(r);
}
