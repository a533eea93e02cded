/* SPDX-License-Identifier: ISC */
/* Who is asked for, as this process sees it; and what the agent answers. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

/* What of our environment counts for a login and for finding AWS: PROTOCOL,
 * "environment". */
static const char counting[] = "HTTPS_PROXY\0"
			       "https_proxy\0"
			       "ALL_PROXY\0"
			       "all_proxy\0"
			       "NO_PROXY\0"
			       "no_proxy\0"
			       "AWS_CA_BUNDLE\0"
			       "AWS_ENDPOINT_URL\0"
			       "AWS_ENDPOINT_URL_SSO\0"
			       "AWS_ENDPOINT_URL_SSO_OIDC\0"
			       "AWS_ENDPOINT_URL_STS\0"
			       "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS\0"
			       "AWS_USE_FIPS_ENDPOINT\0"
			       "AWS_USE_DUALSTACK_ENDPOINT\0"
			       "AWS_STS_REGIONAL_ENDPOINTS\0"
			       "AWS_REGION\0"
			       "AWS_DEFAULT_REGION\0";

const char *
setting(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

const char *
profile_chosen(const struct options *o)
{
	const char *p = o->profile;

	if (o->given & (OPT_ACCOUNT | OPT_SESSION))
		return NULL;
	p = p ? p : setting("AWS_PROFILE");
	p = p ? p : setting("AWS_DEFAULT_PROFILE");
	return p ? p : setting("AWSENV_PROFILE");
}

/* The agent has a working directory and a HOME of its own. */
static bool
path_absolute(const char *path, char out[static PATH_MAX])
{
	const char *home = setting("HOME");
	char here[PATH_MAX];
	ssize_t n;

	if (path[0] == '/')
		return format(out, PATH_MAX, "%s", path);
	if (path[0] == '~' && path[1] == '/' && home)
		return format(out, PATH_MAX, "%s%s", home, path + 1);
	n = readlink("/proc/self/cwd", here, sizeof(here));
	return n > 0 && n < PATH_MAX &&
	    format(out, PATH_MAX, "%.*s/%s", (int)n, here, path);
}

enum aw_err
aws_file(const char *variable, const char *usual, char out[static PATH_MAX])
{
	const char *named = setting(variable), *home = setting("HOME");

	*out = '\0';
	if (named && !path_absolute(named, out)) {
		warn("%s=%s cannot be made an absolute path", variable,
		    shown_str(named));
		return AW_CONFIG;
	}
	if (!named && home)
		format(out, PATH_MAX, "%s/.aws/%s", home, usual);
	return AW_OK;
}

/* A command that is served may be shown a view of the config file; who runs us
 * there means the file itself. */
static enum aw_err
config_find(struct question *q)
{
	const char *variable = setting("AWSENV_CONFIG_FILE")
	    ? "AWSENV_CONFIG_FILE"
	    : "AWS_CONFIG_FILE";
	enum aw_err r = aws_file(variable, "config", q->stamped);

	/* Else it is for the agent to say where it is. */
	if (setting(variable))
		memcpy(q->config, q->stamped, PATH_MAX);
	return r;
}

static void
env_collect(struct buf *env, const char *region)
{
	char path[PATH_MAX];
	const char *name, *v;

	for (name = counting; *name; name += strlen(name) + 1) {
		v = setting(name);
		if (region && !strcmp(name, "AWS_REGION"))
			v = region;
		if (v && !strcmp(name, "AWS_CA_BUNDLE") &&
		    path_absolute(v, path))
			v = path;
		if (v)
			text_add(env, "%s=%s%c", name, v, 0);
	}
}

enum aw_err
question_begin(struct question *q, const struct options *o)
{
	enum aw_err r;

	*q = (struct question){.look = -1, .looker = -1};
	if ((r = config_find(q)) != AW_OK)
		return r;
	stamp_begin(q->stamped, &q->look, &q->looker, &q->ask.stamp);
	env_collect(&q->env, o->region);
	if (q->env.bad) {
		warn("%s", aw_strerror(AW_NOMEM));
		return AW_NOMEM;
	}
	q->profile = profile_chosen(o);
	q->ask.config = view_str(q->config);
	q->ask.env = view_of(&q->env);
	q->ask.profile = view_str(q->profile);
	q->ask.session = view_str(o->session);
	q->ask.account = view_str(o->account);
	q->ask.role = view_str(o->role);
	return AW_OK;
}

void
question_ready(struct question *q)
{
	stamp_end(q->look, q->looker, &q->ask.stamp);
	q->look = -1;
}

void
question_end(struct question *q)
{
	if (q->look >= 0)
		close(q->look);
	buf_free(&q->env);
}

static const char *
subject(const struct question *q)
{
	if (q->ask.account.n)
		return shown(q->ask.account);
	if (q->ask.session.n)
		return shown(q->ask.session);
	return q->profile ? shown(q->ask.profile) : "default";
}

const char *
question_name(const struct question *q)
{
	static char name[512];

	if (q->ask.account.n)
		format(name, sizeof(name), "account %s role %s", subject(q),
		    shown(q->ask.role));
	else
		format(name, sizeof(name), "%s %s",
		    q->ask.session.n ? "sso-session" : "profile", subject(q));
	return name;
}

/* One word of a command line that a person may copy. */
static void
word_add(struct buf *b, const char *option, struct view v)
{
	bool plain = made_of(v, LETTERS SMALL DIGITS "+/=_-.:%@,", 1, 512);

	if (v.n)
		text_add(b, plain ? " %s %s" : " %s '%s'", option, shown(v));
}

/* As a word of its own: "a" and "eu" are in most that is said. */
static bool
names(const char *text, const char *name)
{
	static const char part[] = LETTERS SMALL DIGITS "_-.";
	const char *at, *end;

	for (at = text; *at && (at = find(at, name)); at++) {
		end = at + strlen(name);
		if ((at == text || !strchr(part, at[-1])) &&
		    (!*end || !strchr(part, *end)))
			return true;
	}
	return false;
}

enum aw_err
complain(const struct question *q, uint32_t error, struct view text)
{
	const char *name = q ? question_name(q) : "";
	const char *what = shown(text);
	AUTOBUF struct buf again = {0};

	if (q && error == AW_LOGIN) {
		word_add(&again, "-p", q->ask.profile);
		word_add(&again, "--account", q->ask.account);
		word_add(&again, "--role", q->ask.role);
		word_add(&again, "--sso-session", q->ask.session);
		buf_u8(&again, '\0');
		warn("%s: a login is needed; run: awsenv login%s%s", name,
		    again.bad ? "" : (const char *)again.data,
		    agent_sudo_hint());
		return AW_LOGIN;
	}
	/* The agent's words mostly name it already. */
	if (q && *what && names(what, subject(q)))
		name = "";
	if (!*what)
		what = aw_strerror((enum aw_err)error);
	warn("%s%s%s%s%s", name, *name ? ": " : "", what,
	    q && error == AW_NOPROFILE && !q->profile
		? "; name one with -p, or in AWS_PROFILE"
		: "",
	    error == AW_NOPROFILE ? agent_sudo_hint() : "");
	return (enum aw_err)error;
}

int
exit_of(enum aw_err e)
{
	switch (e) {
	case AW_OK:
		return EXIT_GOOD;
	case AW_LOGIN:
		return EXIT_LOGIN;
	case AW_NOPROFILE:
	case AW_CONFIG:
		return EXIT_CONFIG;
	case AW_DENIED:
	case AW_AWS:
		return EXIT_REFUSED;
	case AW_NETWORK:
	case AW_TIMEOUT:
		return EXIT_AWS;
	case AW_NOAGENT:
		return EXIT_NOAGENT;
	default:
		return EXIT_OTHER;
	}
}
