/* SPDX-License-Identifier: ISC */
/*
 * Section [awsenv]: what is said to the agent itself, of no profile. A value
 * that cannot be used is told, and counts as the strictest that there is.
 */
#include "profile.h"

/* An absolute path, or ~/x, that a socket can have; or none. */
static bool
socket_path(struct config *c, struct view value, struct view *out)
{
	*out = value;
	return view_is(value, "none") ||
	    (config_path(c, value, out) && out->n < 108);
}

static bool
relayed(struct config *c, struct view value, struct view *out)
{
	(void)c;
	*out = value;
	return view_is(value, "keys") || view_is(value, "all");
}

static bool
lock_word(struct config *c, struct view value, struct view *out)
{
	(void)c;
	*out = value;
	return view_is(value, "off") || view_is(value, "soft") ||
	    view_is(value, "hard");
}

/* In seconds. */
static bool
idle_time(struct config *c, struct view value, struct view *out)
{
	uint32_t seconds = 0;
	bool good = view_is(value, "off") ||
	    narrow_is_time(value, 1, 7 * 24 * 3600, &seconds);

	*out = arena_printf(&c->arena, "%u", seconds);
	return good;
}

static bool
yes_or_no(struct config *c, struct view value, struct view *out)
{
	bool yes, good = check_bool(value, &yes);

	(void)c;
	*out = view_str(yes ? "true" : "false");
	return good;
}

static const struct key {
	const char *name;
	bool (*use)(struct config *, struct view value, struct view *out);
	const char *instead;
	const char *wanted;
} keys[] = {
    {"awsenv_idle", idle_time, "900", "off, or a time such as 90m or 8h"},
    {"awsenv_lock", lock_word, "hard", "off, soft or hard"},
    {"awsenv_ssh_agent", socket_path, "none",
	"an absolute path of at most 107 bytes, or none"},
    {"awsenv_ssh_proxy", yes_or_no, "false", "true or false"},
    {"awsenv_ssh_relay", relayed, "keys", "keys or all"},
};

static const struct key *
key_find(struct view name)
{
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (view_is(name, keys[i].name))
			return &keys[i];
	}
	return NULL;
}

bool
agent_is_key(struct view name)
{
	return key_find(name) != NULL;
}

void
agent_tell_entry(struct config *c, const struct entry *e)
{
	const struct key *k = key_find(e->key);
	struct view value;

	if (k && !k->use(c, e->value, &value))
		config_problem(c, e->file, e->line, "%s counts as %s: write %s",
		    k->name, k->instead, k->wanted);
}

void
agent_settings(struct config *c, struct buf *list)
{
	const struct section *s =
	    config_section(c, SECTION_AWSENV, view_str("awsenv"));
	const struct entry *e;
	struct view value;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (!s || !(e = config_get(c, s, keys[i].name)))
			continue;
		if (!keys[i].use(c, e->value, &value))
			value = view_str(keys[i].instead);
		buf_put(list, keys[i].name, view_str(keys[i].name).n);
		buf_u8(list, '=');
		buf_put(list, value.p, value.n);
		buf_u8(list, '\0');
	}
}
