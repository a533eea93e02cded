/* SPDX-License-Identifier: ISC */
/*
 * What other tools have people write: granted's keys, and a credential_process
 * of ours, of granted or of aws-sso-cli. These are read, never run.
 */
#include <string.h>

#include "profile.h"

#define WORDS_MAX 32

const struct entry *
dialect_sso(const struct config *c, const struct section *s, const char *key)
{
	const struct entry *e = config_get(c, s, key);
	char granted[64] = "granted_";

	if (e)
		return e;
	memcpy(granted + 8, key, strlen(key) + 1);
	return config_get(c, s, granted);
}

/* The options of all three tools that say what is wanted. */
enum { OPT_NONE, OPT_PROFILE, OPT_SESSION, OPT_ACCOUNT, OPT_ROLE, OPT_ARN };

struct option {
	const char *name;
	int what;
};

static const struct option our_options[] = {
    {"--profile", OPT_PROFILE},
    {"-p", OPT_PROFILE},
    {"--sso-session", OPT_SESSION},
    {"--account", OPT_ACCOUNT},
    {"--role", OPT_ROLE},
    {"--region", OPT_NONE},
    {"--for", OPT_NONE},
    {"--wait", OPT_NONE},
    {NULL, 0},
};

static const struct option granted_options[] = {
    {"--profile", OPT_PROFILE},
    {"--url", OPT_NONE},
    {NULL, 0},
};

static const struct option aws_sso_options[] = {
    {"--sso", OPT_SESSION},
    {"-S", OPT_SESSION},
    {"--arn", OPT_ARN},
    {"-a", OPT_ARN},
    {"--account", OPT_ACCOUNT},
    {"-A", OPT_ACCOUNT},
    {"--role", OPT_ROLE},
    {"-R", OPT_ROLE},
    {"--profile", OPT_PROFILE},
    {"-p", OPT_PROFILE},
    {"--browser", OPT_NONE},
    {"-b", OPT_NONE},
    {"--config", OPT_NONE},
    {"--level", OPT_NONE},
    {"-L", OPT_NONE},
    {"--url-action", OPT_NONE},
    {"-u", OPT_NONE},
    {"--region", OPT_NONE},
    {NULL, 0},
};

static const struct tool {
	const char *program;
	const char *verb;
	const struct option *options;
} tools[] = {
    {"awsenv", "process", our_options},
    {"granted", "credential-process", granted_options},
    {"aws-sso", "process", aws_sso_options},
};

struct command {
	const struct tool *tool;
	struct view profile;
	struct view session;
	struct view account;
	struct view role;
	struct view arn;
	bool has_verb;
};

static struct view
base_name(struct view path)
{
	uint32_t i;

	for (i = path.n; i > 0 && path.p[i - 1] != '/'; i--)
		continue;
	return (struct view){path.p + i, path.n - i};
}

static void
set_option(struct command *cmd, int what, struct view value)
{
	switch (what) {
	case OPT_PROFILE:
		cmd->profile = value;
		break;
	case OPT_SESSION:
		cmd->session = value;
		break;
	case OPT_ACCOUNT:
		cmd->account = value;
		break;
	case OPT_ROLE:
		cmd->role = value;
		break;
	case OPT_ARN:
		cmd->arn = value;
		break;
	default:
		break;
	}
}

/* "--name value" or "--name=value"; how many words it took, 0: not known. */
static int
take_option(struct command *cmd, const struct view *words, int n)
{
	const struct option *o;
	struct view name, value;
	bool joined = text_starts(words[0], "--") &&
	    text_split(words[0], '=', &name, &value);

	if (!joined)
		name = words[0];
	for (o = cmd->tool->options; o->name; o++) {
		if (!view_is(name, o->name))
			continue;
		if (!joined && n < 2)
			return 0;
		set_option(cmd, o->what, joined ? value : words[1]);
		return joined ? 1 : 2;
	}
	return 0;
}

static bool
parse_command(struct arena *a, struct view line, struct command *cmd)
{
	struct view words[WORDS_MAX], program;
	int n = text_words(a, line, words, WORDS_MAX), used;
	size_t i;
	int at;

	*cmd = (struct command){0};
	if (n < 1)
		return false;
	program = base_name(words[0]);
	for (i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
		if (view_is(program, tools[i].program))
			cmd->tool = &tools[i];
	}
	if (!cmd->tool)
		return false;
	for (at = 1; at < n; at += used ? used : 1) {
		used = take_option(cmd, words + at, n - at);
		if (!used && view_is(words[at], cmd->tool->verb))
			cmd->has_verb = true;
	}
	return true;
}

/* A key = value that stands on the command line, for texts and checks. */
static const struct entry *
entry_from(struct config *c, const struct entry *process, const char *key,
    struct view value)
{
	struct entry *e = arena_alloc(&c->arena, sizeof(*e));

	if (!value.n)
		return NULL;
	*e = *process;
	e->key = view_str(key);
	e->value = value;
	return e;
}

/* arn:PARTITION:iam::ACCOUNT:role/NAME, aws-sso-cli's way to say both. */
static void
split_arn(struct command *cmd)
{
	struct view part, rest = cmd->arn;
	int i;

	for (i = 0; i < 4; i++) {
		if (!text_split(rest, ':', &part, &rest))
			return;
	}
	if (text_split(rest, ':', &part, &rest) && text_starts(rest, "role/")) {
		cmd->account = part;
		cmd->role = base_name(rest);
	}
}

static bool
find_session(struct config *c, const struct entry *process, bool admin,
    const struct command *cmd, struct sso *sso, struct view *why)
{
	const struct section *s = NULL;

	if (cmd->session.n)
		s = config_named(c, SECTION_SESSION, cmd->session, admin);
	/* What aws-sso-cli calls its logins is written in a file of its own. */
	if (!s && (!cmd->session.n || cmd->tool->options == aws_sso_options))
		s = c->only_session;
	if (s && admin)
		s = config_named(c, SECTION_SESSION, s->name, admin);
	if (s) {
		login_session(c, s, sso);
		return true;
	}
	if (cmd->session.n)
		*why = text_make(&c->arena,
		    "credential_process at %.*s:%u: there "
		    "is no [sso-session %.*s]; write one with "
		    "sso_start_url and sso_region",
		    AT(process), NAME_ARG(cmd->session));
	else
		*why = text_make(&c->arena,
		    "credential_process at %.*s:%u does "
		    "not say which sso-session: add --sso-session NAME",
		    AT(process));
	return false;
}

bool
dialect_process(struct config *c, const struct entry *process, bool admin,
    const struct section **profile, struct sso *sso, struct view *why)
{
	struct command cmd;

	*profile = NULL;
	*why = (struct view){0};
	if (process->value.n > CONFIG_PATH_MAX ||
	    !parse_command(&c->arena, process->value, &cmd))
		return false;
	if (!cmd.has_verb) {
		*why = text_make(&c->arena,
		    "credential_process at %.*s:%u does not say \"%s\": write "
		    "%s %s --profile NAME",
		    AT(process), cmd.tool->verb, cmd.tool->program,
		    cmd.tool->verb);
		return false;
	}
	if (cmd.arn.n)
		split_arn(&cmd);
	if (cmd.profile.n && !cmd.account.n) {
		*profile = config_named(c, SECTION_PROFILE, cmd.profile, admin);
		if (*profile)
			return true;
		*why = text_make(&c->arena,
		    "credential_process at %.*s:%u names "
		    "profile \"%.*s\", which is not there: correct the name",
		    AT(process), NAME_ARG(cmd.profile));
		return false;
	}
	if (!find_session(c, process, admin, &cmd, sso, why))
		return false;
	sso->account = entry_from(c, process, "--account", cmd.account);
	sso->role = entry_from(c, process, "--role", cmd.role);
	return true;
}
