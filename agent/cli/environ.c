/* SPDX-License-Identifier: ISC */
/*
 * The command's environment: exactly one value of each variable that we set,
 * and none that would make an SDK look elsewhere. SDKs disagree on which of
 * two sources wins, so only one is left.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"

/* Names one after the other, each with its NUL: an array of pointers would cost
 * a relocation for each. */
const char environ_ours[] = "AWS_ACCESS_KEY_ID\0"
			    "AWS_SECRET_ACCESS_KEY\0"
			    "AWS_SESSION_TOKEN\0"
			    "AWS_CREDENTIAL_EXPIRATION\0"
			    "AWS_REGION\0"
			    "AWS_DEFAULT_REGION\0"
			    "AWS_ACCOUNT_ID\0"
			    "AWSENV_PROFILE\0";

/* AWS_SECURITY_TOKEN beats AWS_SESSION_TOKEN in botocore; AMAZON_... are what
 * the CDK falls back to. */
const char environ_conflicts[] = "AWS_PROFILE\0"
				 "AWS_DEFAULT_PROFILE\0"
				 "AWS_SECURITY_TOKEN\0"
				 "AWS_ACCESS_KEY\0"
				 "AWS_SECRET_KEY\0"
				 "AWS_CREDENTIAL_FILE\0"
				 "AWS_CREDENTIAL_SCOPE\0"
				 "AMAZON_ACCESS_KEY_ID\0"
				 "AMAZON_SECRET_ACCESS_KEY\0"
				 "AMAZON_SESSION_TOKEN\0"
				 "AMAZON_REGION\0"
				 "AMAZON_DEFAULT_REGION\0"
				 "AWS_CONTAINER_CREDENTIALS_FULL_URI\0"
				 "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI\0"
				 "AWS_CONTAINER_AUTHORIZATION_TOKEN\0"
				 "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE\0"
				 "AWS_WEB_IDENTITY_TOKEN_FILE\0"
				 "AWS_ROLE_ARN\0"
				 "AWS_ROLE_SESSION_NAME\0";

/* One line of text, and the end of no entry. */
static bool
is_line(const uint8_t *p, size_t n)
{
	while (n--) {
		if (p[n] < 0x20 || p[n] == 0x7f)
			return false;
	}
	return true;
}

static void
set(struct buf *list, const char *name, struct view value)
{
	if (value.n)
		text_add(list, "%s=%.*s%c", name, VIEW_ARG(value), 0);
}

void
environ_set(const struct given *g, bool frozen, struct buf *list)
{
	char until[ISO_TIME];

	if (frozen) {
		iso_time(until, g->creds.expires);
		if (!g->creds.expires)
			until[0] = '\0';
		set(list, "AWS_ACCESS_KEY_ID", g->creds.access_key);
		set(list, "AWS_SECRET_ACCESS_KEY", g->creds.secret_key);
		set(list, "AWS_SESSION_TOKEN", g->creds.session_token);
		set(list, "AWS_CREDENTIAL_EXPIRATION", view_str(until));
	}
	set(list, "AWS_REGION", view_str(g->region));
	set(list, "AWS_DEFAULT_REGION", view_str(g->region));
	set(list, "AWS_ACCOUNT_ID", g->rep.account);
	if (is_line(g->rep.profile.p, g->rep.profile.n))
		set(list, "AWSENV_PROFILE", g->rep.profile);
}

/* How long the name of "NAME=value" is; 0: it has none. */
static size_t
name_length(const char *entry, size_t n)
{
	const char *equals = n ? memchr(entry, '=', n) : NULL;

	return equals ? (size_t)(equals - entry) : 0;
}

static bool
name_in(const char *names, const char *name, size_t n)
{
	for (; *names; names += strlen(names) + 1) {
		if (strlen(names) == n && !memcmp(names, name, n))
			return true;
	}
	return false;
}

/*
 * Settings are AWS's own variables. From whoever poses as an agent we would
 * not take LD_PRELOAD, nor other credentials.
 */
bool
environ_setting(struct view entry)
{
	const char *p = (const char *)entry.p;
	size_t n = name_length(p, entry.n), i;

	if (n < 5 || memcmp(p, "AWS_", 4) != 0 || name_in(environ_ours, p, n) ||
	    name_in(environ_conflicts, p, n))
		return false;
	for (i = 0; i < n; i++) {
		if (!((p[i] >= 'A' && p[i] <= 'Z') || p[i] == '_' ||
			(p[i] >= '0' && p[i] <= '9')))
			return false;
	}
	return is_line(entry.p, entry.n);
}

bool
environ_has(char *const *env, struct view entry)
{
	size_t n = name_length((const char *)entry.p, entry.n);

	for (; *env; env++) {
		if (!strncmp(*env, (const char *)entry.p, n + 1))
			return true;
	}
	return false;
}

static bool
list_has(struct view list, const char *name, size_t n)
{
	struct view e;

	while (view_entry(&list, &e)) {
		if (e.n > n && e.p[n] == '=' && !memcmp(e.p, name, n))
			return true;
	}
	return false;
}

static size_t
entries(struct view list)
{
	struct view e;
	size_t n = 0;

	while (view_entry(&list, &e))
		n++;
	return n;
}

/* An entry ends with its NUL, so it is a string. */
static char *
string_of(struct view entry)
{
	return (char *)(uintptr_t)entry.p;
}

char **
environ_make(char *const *old, struct view ours, struct view settings)
{
	size_t most = entries(ours) + entries(settings) + 1, n = 0;
	struct view e;
	char **env;

	for (; old[n]; n++)
		;
	if (!(env = calloc(n + most, sizeof(*env))))
		return NULL;
	for (n = 0; *old; old++) {
		size_t len = name_length(*old, strlen(*old));

		if (!name_in(environ_ours, *old, len) &&
		    !name_in(environ_conflicts, *old, len) &&
		    !list_has(ours, *old, len))
			env[n++] = *old;
	}
	while (view_entry(&ours, &e))
		env[n++] = string_of(e);
	while (view_entry(&settings, &e)) {
		if (environ_setting(e) && !environ_has(env, e))
			env[n++] = string_of(e);
	}
	return env;
}
