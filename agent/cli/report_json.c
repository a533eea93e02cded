/* SPDX-License-Identifier: ISC */
/* The agent's status for programs. awsenv(1) lists the members: they stay. */
#include <string.h>

#include "agent/cli/cli.h"

static const char *
state_name(uint8_t state)
{
	switch (state) {
	case LOGIN_STARTING:
		return "starting";
	case LOGIN_PENDING:
		return "pending";
	case LOGIN_DONE:
		return "done";
	case LOGIN_FAILED:
		return "failed";
	default:
		return "none";
	}
}

/* Each is a member with the comma before it, unless it is an object's first. */
static void
name(struct buf *out, const char *member)
{
	if (out->len && out->data[out->len - 1] != '{')
		text_add(out, ", ");
	text_add(out, "\"%s\": ", member);
}

static void
string(struct buf *out, const char *member, struct view value)
{
	name(out, member);
	json_string(out, value);
}

static void
number(struct buf *out, const char *member, int64_t value)
{
	name(out, member);
	text_add(out, "%lld", (long long)value);
}

static void
boolean(struct buf *out, const char *member, bool value)
{
	name(out, member);
	text_add(out, value ? "true" : "false");
}

static void
moment(struct buf *out, const char *member, uint64_t when)
{
	name(out, member);
	json_time(out, when);
}

static void
agent(const struct status *s, struct buf *out)
{
	const struct status_rep *r = &s->rep;

	name(out, "agent");
	text_add(out, "{");
	string(out, "version", r->version);
	number(out, "pid", r->agent_pid);
	number(out, "broker_pid", r->broker_pid);
	string(out, "socket", view_str(s->socket));
	moment(out, "started", r->started);
	number(out, "restarts", r->restarts);
	boolean(out, "protected", r->protected_);
	string(out, "sandbox", r->sandbox);
	number(out, "clock_skew", (int32_t)r->skew);
	text_add(out, "}");
	name(out, "quota");
	text_add(out, "{");
	number(out, "keys_used", r->keys_used);
	number(out, "keys_max", r->keys_max);
	number(out, "bytes_used", r->bytes_used);
	number(out, "bytes_max", r->bytes_max);
	text_add(out, "}");
}

static void
profile(const struct status_rep *r, struct buf *out)
{
	name(out, "profile");
	text_add(out, "{");
	string(out, "name", r->profile);
	string(out, "session", r->session);
	string(out, "account", r->account);
	string(out, "role", r->role);
	name(out, "error");
	if (r->profile_error == AW_OK)
		text_add(out, "null");
	else
		json_string(out,
		    r->profile_text.n
			? r->profile_text
			: view_str(aw_strerror((enum aw_err)r->profile_error)));
	string(out, "login", view_str(state_name(r->login_state)));
	moment(out, "login_expires", r->login_expires);
	boolean(out, "refreshable", r->refreshable);
	moment(out, "role_expires", r->role_expires);
	text_add(out, "}");
}

static void
login(const struct login_item *l, struct buf *out)
{
	string(out, "session", l->session);
	string(out, "start_url", l->start_url);
	string(out, "region", l->region);
	string(out, "state", view_str(state_name(l->state)));
	moment(out, "expires", l->expires);
	boolean(out, "refreshable", l->refreshable);
	string(out, "person", l->person);
	string(out, "notice", l->notice);
}

static void
role(const struct role_item *r, struct buf *out)
{
	string(out, "session", r->session);
	string(out, "account", r->account);
	string(out, "role", r->role);
	string(out, "access_key", r->access_key);
	moment(out, "obtained", r->obtained);
	moment(out, "expires", r->expires);
	boolean(out, "in_memory", r->in_memory);
}

static void
key(const struct key_item *k, struct buf *out)
{
	number(out, "serial", k->serial);
	string(out, "kind", k->kind);
	string(out, "label", k->label);
	number(out, "size", k->size);
	moment(out, "timeout", k->timeout);
}

static void
problem(const struct problem_item *p, struct buf *out)
{
	string(out, "file", p->file);
	number(out, "line", p->line);
	string(out, "text", p->text);
}

/* Open the next object of an array, or the array. */
static void
object(struct buf *out)
{
	text_add(out, out->data[out->len - 1] == '[' ? "{" : ", {");
}

#define ARRAY(member, kind, type, fn, items)            \
	do {                                            \
		struct view rest_ = view_of(items);     \
		struct type one_;                       \
                                                        \
		name(out, member);                      \
		text_add(out, "[");                     \
		while (msg_each(kind, &rest_, &one_)) { \
			object(out);                    \
			fn(&one_, out);                 \
			text_add(out, "}");             \
		}                                       \
		text_add(out, "]");                     \
	} while (0)

void
report_json(const struct status *s, struct buf *out)
{
	text_add(out, "{");
	agent(s, out);
	profile(&s->rep, out);
	ARRAY("logins", MSG_LOGIN_ITEM, login_item, login, &s->logins);
	ARRAY("roles", MSG_ROLE_ITEM, role_item, role, &s->roles);
	if (s->keyring) {
		number(out, "ring", s->rep.ring);
		ARRAY("keys", MSG_KEY_ITEM, key_item, key, &s->keys);
	}
	ARRAY(
	    "problems", MSG_PROBLEM_ITEM, problem_item, problem, &s->problems);
	text_add(out, "}\n");
}
