/* SPDX-License-Identifier: ISC */
/* The agent's status for programs. awsenv(1) lists the members: they stay. */
#include <stddef.h>

#include "agent/cli/ctl/ctl.h"

#define M(name, form, msg, member)                              \
	{                                                       \
		name, JSON_##form, offsetof(struct msg, member) \
	}

/* clang-format off */
static const struct json_member agent[] = {
	M("version", TEXT, status_rep, version),
	M("pid", COUNT, status_rep, agent_pid),
	M("broker_pid", COUNT, status_rep, broker_pid),
	M("started", TIME, status_rep, started),
	M("restarts", COUNT, status_rep, restarts),
	M("protected", BOOL, status_rep, protected_),
	M("sandbox", TEXT, status_rep, sandbox),
	M("locked", BOOL, status_rep, locked),
	M("screen_locked", BOOL, status_rep, screen),
	M("clock_skew", NUMBER, status_rep, skew),
	{.form = JSON_END},
};

static const struct json_member quota[] = {
	M("keys_used", COUNT, status_rep, keys_used),
	M("keys_max", COUNT, status_rep, keys_max),
	M("bytes_used", COUNT, status_rep, bytes_used),
	M("bytes_max", COUNT, status_rep, bytes_max),
	{.form = JSON_END},
};

static const struct json_member profile[] = {
	M("name", TEXT, status_rep, profile),
	M("session", TEXT, status_rep, session),
	M("account", TEXT, status_rep, account),
	M("role", TEXT, status_rep, role),
	M("login", STATE, status_rep, login_state),
	M("login_expires", TIME, status_rep, login_expires),
	M("refreshable", BOOL, status_rep, refreshable),
	M("role_expires", TIME, status_rep, role_expires),
	{.form = JSON_END},
};

static const struct json_member login[] = {
	M("session", TEXT, login_item, session),
	M("start_url", TEXT, login_item, start_url),
	M("region", TEXT, login_item, region),
	M("state", STATE, login_item, state),
	M("expires", TIME, login_item, expires),
	M("refreshable", BOOL, login_item, refreshable),
	M("person", TEXT, login_item, person),
	M("notice", TEXT, login_item, notice),
	{.form = JSON_END},
};

static const struct json_member role[] = {
	M("session", TEXT, role_item, session),
	M("account", TEXT, role_item, account),
	M("role", TEXT, role_item, role),
	M("access_key", TEXT, role_item, access_key),
	M("obtained", TIME, role_item, obtained),
	M("expires", TIME, role_item, expires),
	M("in_memory", BOOL, role_item, in_memory),
	{.form = JSON_END},
};

static const struct json_member key[] = {
	M("serial", COUNT, key_item, serial),
	M("kind", TEXT, key_item, kind),
	M("label", TEXT, key_item, label),
	M("size", COUNT, key_item, size),
	M("timeout", TIME, key_item, timeout),
	{.form = JSON_END},
};

static const struct json_member problem[] = {
	M("file", TEXT, problem_item, file),
	M("line", COUNT, problem_item, line),
	M("text", TEXT, problem_item, text),
	{.form = JSON_END},
};
/* clang-format on */

static void
object(struct buf *out, const char *name, const struct json_member *members,
    const void *msg)
{
	json_name(out, name);
	text_add(out, "{");
	json_members(out, members, msg);
	text_add(out, "}");
}

static void
array(struct buf *out, const char *name, const struct buf *items,
    enum msg_kind kind, const struct json_member *members)
{
	struct view rest = view_of(items);
	union {
		struct login_item login;
		struct role_item role;
		struct key_item key;
		struct problem_item problem;
	} one;

	json_name(out, name);
	text_add(out, "[");
	while (msg_each(kind, &rest, &one))
		object(out, "", members, &one);
	text_add(out, "]");
}

/* What is wrong with the profile that was asked for, or null. */
static void
profile_error(struct buf *out, const struct status_rep *r)
{
	enum aw_err e = (enum aw_err)r->profile_error;

	json_name(out, "error");
	if (e == AW_OK)
		text_add(out, "null");
	else
		json_string(out,
		    r->profile_text.n ? r->profile_text
				      : view_str(aw_strerror(e)));
}

void
report_json(const struct status *s, struct buf *out)
{
	text_add(out, "{\"socket\": ");
	json_string(out, view_str(s->agent->path));
	json_name(out, "found");
	json_string(out, view_str(agent_found(s->agent)));
	json_name(out, "awsenv");
	json_string(out, view_str(AWSENV_VERSION));
	json_name(out, "usable");
	text_add(out, "%u", s->rep.profiles);
	object(out, "agent", agent, &s->rep);
	object(out, "quota", quota, &s->rep);
	json_name(out, "profile");
	text_add(out, "{");
	profile_error(out, &s->rep);
	json_members(out, profile, &s->rep);
	text_add(out, "}");
	array(out, "logins", &s->logins, MSG_LOGIN_ITEM, login);
	array(out, "roles", &s->roles, MSG_ROLE_ITEM, role);
	if (s->keyring) {
		json_name(out, "ring");
		text_add(out, "%u", s->rep.ring);
		array(out, "keys", &s->keys, MSG_KEY_ITEM, key);
	}
	array(out, "problems", &s->problems, MSG_PROBLEM_ITEM, problem);
	text_add(out, "}\n");
}
