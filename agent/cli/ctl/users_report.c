/* SPDX-License-Identifier: ISC */
/* What all the agents told. awsenv(1) lists the members of --json: they stay. */
#include "awsenv/own.h"

#include "agent/cli/ctl/users.h"

struct totals {
	uint32_t agents;
	uint32_t failed;
	uint32_t unprotected;
	uint32_t restarts;
	uint32_t logins, good, pending;
	uint32_t roles;
	uint32_t problems;
	uint32_t untold; /* forgotten, but AWS does not know */
};

#define M(name, form, type, member)                              \
	{                                                        \
		name, JSON_##form, offsetof(struct type, member) \
	}

/* clang-format off */
static const struct json_member status_members[] = {
	M("pid", COUNT, told, pid),
	M("protected", BOOL, told, protected_),
	M("restarts", COUNT, told, restarts),
	M("clock_skew", NUMBER, told, skew),
	M("keys_used", COUNT, told, keys_used),
	M("keys_max", COUNT, told, keys_max),
	M("bytes_used", COUNT, told, bytes_used),
	M("bytes_max", COUNT, told, bytes_max),
	M("logins", COUNT, told, logins),
	M("logins_good", COUNT, told, good),
	M("logins_pending", COUNT, told, pending),
	M("login_expires", TIME, told, expires),
	M("roles", COUNT, told, roles),
	M("problems", COUNT, told, problems),
	{.form = JSON_END},
};

static const struct json_member logout_members[] = {
	M("logins", COUNT, told, logins),
	M("roles", COUNT, told, roles),
	{.form = JSON_END},
};

static const struct json_member status_totals[] = {
	M("agents", COUNT, totals, agents),
	M("failed", COUNT, totals, failed),
	M("unprotected", COUNT, totals, unprotected),
	M("restarts", COUNT, totals, restarts),
	M("logins", COUNT, totals, logins),
	M("logins_good", COUNT, totals, good),
	M("logins_pending", COUNT, totals, pending),
	M("roles", COUNT, totals, roles),
	M("problems", COUNT, totals, problems),
	{.form = JSON_END},
};

static const struct json_member logout_totals[] = {
	M("agents", COUNT, totals, agents),
	M("failed", COUNT, totals, failed),
	M("untold", COUNT, totals, untold),
	M("logins", COUNT, totals, logins),
	M("roles", COUNT, totals, roles),
	{.form = JSON_END},
};
/* clang-format on */

/* Forgotten in any case; what failed is telling AWS. */
static bool
is_untold(const struct told *t, enum users_what what)
{
	return what != USERS_STATUS && t->error == AW_NETWORK;
}

static struct totals
sum(const struct users *all, enum users_what what)
{
	struct totals s = {0};
	size_t i;

	for (i = 0; i < all->n; i++) {
		const struct told *t = &all->user[i].told;

		if (t->error == AW_NOAGENT)
			continue;
		s.agents++;
		s.untold += is_untold(t, what);
		if (t->error != AW_OK && !is_untold(t, what)) {
			s.failed++;
			continue;
		}
		s.unprotected += !t->protected_;
		s.restarts += t->restarts;
		s.logins += t->logins;
		s.good += t->good;
		s.pending += t->pending;
		s.roles += t->roles;
		s.problems += t->problems;
	}
	return s;
}

static void
add_json(struct buf *out, const struct user *u, enum users_what what)
{
	const struct told *t = &u->told;
	char path[CLIENT_PATH] = "";

	users_path(u, path, sizeof(path));
	text_add(out, "{\"user\": ");
	json_string(out, view_str(u->name));
	text_add(out, ", \"uid\": %u, \"socket\": \"%s\", \"error\": ",
	    (unsigned int)u->uid, path);
	if (t->error == AW_OK)
		text_add(out, "null");
	else
		json_string(out, view_str(t->text));
	if (what == USERS_STATUS && t->error == AW_OK) {
		json_name(out, "version");
		json_string(out, view_str(t->version));
	}
	if (t->error == AW_OK || is_untold(t, what))
		json_members(out,
		    what == USERS_STATUS ? status_members : logout_members, t);
	text_add(out, "}");
}

static void
add_text(struct buf *out, const struct user *u, enum users_what what)
{
	const struct told *t = &u->told;
	char until[CLOCK_TIME] = "";

	if (t->error != AW_OK)
		warn("%s (uid %u): %s", shown_str(u->name),
		    (unsigned int)u->uid, shown_str(t->text));
	if (t->error != AW_OK && !is_untold(t, what))
		return;
	text_add(out, "%-16s ", shown_str(u->name));
	if (what != USERS_STATUS) {
		text_add(out, "forgotten: %u login%s, %u role credential%s\n",
		    t->logins, t->logins == 1 ? "" : "s", t->roles,
		    t->roles == 1 ? "" : "s");
		return;
	}
	if (t->good)
		clock_time(until, t->expires);
	text_add(out,
	    "%u login%s%s%s%s, %u role credential%s, %u of %u keys%s\n",
	    t->good, t->good == 1 ? "" : "s", t->good ? " until " : "", until,
	    t->pending ? " (one waits for approval)" : "", t->roles,
	    t->roles == 1 ? "" : "s", t->keys_used, t->keys_max,
	    t->protected_ ? "" : ", same-user protection off");
}

static void
add_totals(struct buf *out, const struct totals *s, enum users_what what)
{
	text_add(out, "%u agent%s, %u login%s, %u role credential%s", s->agents,
	    s->agents == 1 ? "" : "s",
	    what == USERS_STATUS ? s->good : s->logins,
	    (what == USERS_STATUS ? s->good : s->logins) == 1 ? "" : "s",
	    s->roles, s->roles == 1 ? "" : "s");
	if (what != USERS_STATUS)
		text_add(out, " forgotten");
	if (s->failed)
		text_add(out, "; %u did not answer", s->failed);
	text_add(out, "\n");
}

/* Written as it comes: a thousand users are more than one buffer holds. */
static bool
flush(struct buf *out, bool ok)
{
	ok = ok && text_print(out);
	buf_reset(out);
	return ok;
}

int
users_report(const struct users *all, enum users_what what, bool json)
{
	const struct totals s = sum(all, what);
	const char *comma = "";
	AUTOBUF struct buf out = {0};
	bool ok = true;
	size_t i;

	text_add(&out, json ? "{\"users\": [" : "");
	for (i = 0; i < all->n; i++) {
		if (all->user[i].told.error == AW_NOAGENT)
			continue;
		if (json) {
			text_add(&out, "%s", comma);
			add_json(&out, &all->user[i], what);
			comma = ", ";
		} else {
			add_text(&out, &all->user[i], what);
		}
		ok = flush(&out, ok);
	}
	if (json) {
		text_add(&out, "], \"totals\": {");
		json_members(&out,
		    what == USERS_STATUS ? status_totals : logout_totals, &s);
		text_add(&out, "}}\n");
	} else {
		add_totals(&out, &s, what);
	}
	if (!flush(&out, ok) || s.failed)
		return EXIT_OTHER;
	return s.untold ? EXIT_AWS : EXIT_GOOD;
}
