/* SPDX-License-Identifier: ISC */
/*
 * The environment of a command, made of what the agent says and of what was
 * there before. A second, slow maker that is written to be obvious has to come
 * to the same entries in the same order. Input:
 *
 *	byte 0	are the credentials frozen; is an endpoint served
 *	8 bytes	when they expire
 *	seven pieces, each but the last with two bytes for its length: key,
 *	secret, token, region, account, profile, settings, the old environment
 */
#include "agent/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/own.h"

#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

#define INPUT_MAX 16384
#define FROZEN 1
#define SERVED 2

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* ---- the second maker */

static const char *const ours[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_ACCOUNT_ID", "AWSENV_PROFILE", NULL};

static const char *const conflicts[] = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
    "AWS_CREDENTIAL_FILE", "AWS_CREDENTIAL_SCOPE", "AMAZON_ACCESS_KEY_ID",
    "AMAZON_SECRET_ACCESS_KEY", "AMAZON_SESSION_TOKEN", "AMAZON_REGION",
    "AMAZON_DEFAULT_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", NULL};

static const char served[] =
    "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:4711/credentials\0"
    "AWS_CONTAINER_AUTHORIZATION_TOKEN=token\0"
    "AWS_CONFIG_FILE=/run/user/1000/awsenv/view\0";

struct list {
	char **entry;
	size_t n;
};

static void
add(struct list *l, const char *name, const char *value)
{
	MUST(l->entry = realloc(l->entry, (l->n + 1) * sizeof(char *)));
	MUST(asprintf(&l->entry[l->n++], "%s%s%s", name, value ? "=" : "",
		 value ? value : "") >= 0);
}

static void
list_free(struct list *l)
{
	while (l->n > 0)
		free(l->entry[--l->n]);
	free(l->entry);
}

static bool
is_of(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static bool
any_of(const char *entry, const char *const *names)
{
	while (*names && !is_of(entry, *names))
		names++;
	return *names != NULL;
}

static bool
is_there(const struct list *l, const char *entry)
{
	size_t name = strcspn(entry, "=") + 1, i;

	for (i = 0; i < l->n; i++) {
		if (strncmp(l->entry[i], entry, name) == 0)
			return true;
	}
	return false;
}

static bool
is_plain(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	}
	return true;
}

/* AWS_THIS_2=that. */
static bool
is_setting(const char *entry)
{
	size_t n = strspn(entry, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return strncmp(entry, "AWS_", 4) == 0 && n > 4 && entry[n] == '=' &&
	    is_plain(entry) && !any_of(entry, ours) &&
	    !any_of(entry, conflicts);
}

/* ---- the input in pieces; each ends with a NUL that is not counted */

static struct view
piece(struct view *rest, bool last)
{
	uint32_t n = 0;
	uint8_t high, low;
	char *copy;

	if (last)
		n = rest->n;
	else if (view_u8(rest, &high) && view_u8(rest, &low))
		n = (uint32_t)high << 8 | low;
	if (n > rest->n)
		n = rest->n;
	MUST(copy = calloc(n + 1, 1));
	if (n)
		memcpy(copy, rest->p, n);
	*rest = (struct view){rest->p + n, rest->n - n};
	return (struct view){(uint8_t *)copy, n};
}

enum { KEY, SECRET, TOKEN, IN_REGION, ACCOUNT, PROFILE, SETTINGS, OLD, PIECES };

/* creds.c lets nothing through that would end an entry. */
static struct view
no_end(struct view v)
{
	v.n = (uint32_t)strlen((const char *)v.p);
	return v;
}

static void
expect_ours(struct list *l, const struct given *g, uint8_t how)
{
	const char *const *name = ours;
	char until[ISO_TIME];
	const char *values[] = {(const char *)g->creds.access_key.p,
	    (const char *)g->creds.secret_key.p,
	    (const char *)g->creds.session_token.p, until, g->region, g->region,
	    (const char *)g->rep.account.p, (const char *)g->rep.profile.p};
	size_t i;

	iso_time(until, g->creds.expires);
	if (how & SERVED) {
		const char *s = served;

		for (; *s; s += strlen(s) + 1)
			add(l, s, NULL);
	}
	for (i = 0; name[i]; i++) {
		if ((i < 4 && !(how & FROZEN)) || !*values[i] ||
		    (i == 3 && !g->creds.expires) ||
		    (i == 7 &&
			(strlen(values[i]) != g->rep.profile.n ||
			    !is_plain(values[i]))))
			continue;
		add(l, name[i], values[i]);
	}
}

static void
expect(struct list *l, const struct given *g, uint8_t how, char *const *old,
    struct view settings)
{
	struct list set = {0};
	const char *s = (const char *)settings.p;
	size_t i, n;

	expect_ours(&set, g, how);
	for (; *old; old++) {
		if (!any_of(*old, ours) && !any_of(*old, conflicts) &&
		    !(strchr(*old, '=') > *old && is_there(&set, *old)))
			add(l, *old, NULL);
	}
	for (i = 0; i < set.n; i++)
		add(l, set.entry[i], NULL);
	list_free(&set);
	/* What has no end is no entry. */
	for (; (n = strnlen(s, settings.n)) < settings.n; s += n + 1) {
		settings.n -= (uint32_t)n + 1;
		if (is_setting(s) && !is_there(l, s))
			add(l, s, NULL);
	}
}

/* An array like environ; its strings are the piece's. */
static char **
array_of(struct view v)
{
	char **array, *s = (char *)(uintptr_t)v.p, *end = s + v.n;
	size_t n = 0;

	MUST(array = calloc(v.n + 2, sizeof(*array)));
	for (; s < end; s += strlen(s) + 1)
		array[n++] = s;
	return array;
}

static void
compare(char *const *env, const struct list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		MUST(env[i] && strcmp(env[i], l->entry[i]) == 0);
	MUST(!env[l->n]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTOFREE char **old = NULL, **env = NULL;
	AUTOBUF struct buf set = {0};
	struct view rest = {data, (uint32_t)n}, in[PIECES];
	struct given g = {0};
	struct list l = {0};
	uint8_t how = 0;
	int i;

	if (n > INPUT_MAX)
		return 0;
	view_u8(&rest, &how);
	view_u64(&rest, &g.creds.expires);
	for (i = 0; i < PIECES; i++)
		in[i] = piece(&rest, i == OLD);
	g.creds.access_key = no_end(in[KEY]);
	g.creds.secret_key = no_end(in[SECRET]);
	g.creds.session_token = no_end(in[TOKEN]);
	g.rep.account = no_end(in[ACCOUNT]);
	g.rep.profile = in[PROFILE];
	snprintf(
	    g.region, sizeof(g.region), "%s", (const char *)in[IN_REGION].p);
	old = array_of(in[OLD]);

	if (how & SERVED)
		buf_put(&set, served, sizeof(served) - 1);
	environ_set(&g, how & FROZEN, &set);
	MUST(!set.bad);
	MUST(env = environ_make(old, view_of(&set), in[SETTINGS]));
	expect(&l, &g, how, old, in[SETTINGS]);
	compare(env, &l);
	list_free(&l);
	for (i = 0; i < PIECES; i++)
		free((void *)(uintptr_t)in[i].p);
	return 0;
}
