/* SPDX-License-Identifier: ISC */
#include "agent/cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

#define LIST(text) ((struct view){(const uint8_t *)(text), sizeof(text) - 1})

static struct given
given(void)
{
	return (struct given){
	    .creds = {.expires = 1795219200,
		.access_key = view_str("ASIAEXAMPLE123456789"),
		.secret_key = view_str("secret+/="),
		.session_token = view_str("token")},
	    .rep = {.profile = view_str("marketing"),
		.account = view_str("123456789012")},
	    .region = "eu-central-1",
	};
}

/* How many times a variable is there, and its last value. */
static int
times(char **env, const char *name, const char **value)
{
	size_t n = strlen(name);
	int found = 0;

	for (; *env; env++) {
		if (!strncmp(*env, name, n) && (*env)[n] == '=') {
			*value = *env + n + 1;
			found++;
		}
	}
	return found;
}

static void
assert_is(char **env, const char *name, const char *expected)
{
	const char *value = NULL;

	assert_int_equal(times(env, name, &value), expected != NULL);
	if (expected)
		assert_string_equal(value, expected);
}

/* An environment of constants; nothing writes to it. */
static char *const *
given_to(const char *const *env)
{
	return (char *const *)(uintptr_t)env;
}

static char **
make(char *const *old, struct given *g, struct buf *set, struct view settings)
{
	environ_set(g, true, set);
	assert_false(set->bad);
	return environ_make(old, view_of(set), settings);
}

static void
a_command_gets_each_of_our_variables_once(void **state)
{
	static const char *const old[] = {"AWS_ACCESS_KEY_ID=old", "PATH=/bin",
	    "AWS_ACCESS_KEY_ID=older", "AWS_REGION=", "AWS_REGION=x",
	    "AWS_CREDENTIAL_EXPIRATION=yesterday", "AWS_ACCOUNT_ID=1",
	    "AWSENV_PROFILE=other", NULL};
	AUTOBUF struct buf set = {0};
	AUTOFREE char **env = NULL;
	struct given g = given();

	(void)state;
	env = make(given_to(old), &g, &set, (struct view){0});
	assert_is(env, "AWS_ACCESS_KEY_ID", "ASIAEXAMPLE123456789");
	assert_is(env, "AWS_SECRET_ACCESS_KEY", "secret+/=");
	assert_is(env, "AWS_SESSION_TOKEN", "token");
	assert_is(env, "AWS_CREDENTIAL_EXPIRATION", "2026-11-21T00:00:00Z");
	assert_is(env, "AWS_REGION", "eu-central-1");
	assert_is(env, "AWS_DEFAULT_REGION", "eu-central-1");
	assert_is(env, "AWS_ACCOUNT_ID", "123456789012");
	assert_is(env, "AWSENV_PROFILE", "marketing");
	assert_is(env, "PATH", "/bin");
}

static void
what_is_not_known_is_unset_and_never_blank(void **state)
{
	static const char *const old[] = {"AWS_REGION=", "AWS_DEFAULT_REGION=x",
	    "AWSENV_PROFILE=x", "AWS_SESSION_TOKEN=x",
	    "AWS_ACCOUNT_ID=999999999999", "AWS_CREDENTIAL_EXPIRATION=x", NULL};
	AUTOBUF struct buf set = {0};
	AUTOFREE char **env = NULL;
	struct given g = {.creds = {.access_key = view_str("A"),
			      .secret_key = view_str("s")}};

	(void)state;
	env = make(given_to(old), &g, &set, (struct view){0});
	assert_string_equal(env[0], "AWS_ACCESS_KEY_ID=A");
	assert_string_equal(env[1], "AWS_SECRET_ACCESS_KEY=s");
	assert_null(env[2]);
}

static void
whatever_would_beat_our_keys_is_taken_away(void **state)
{
	static const char names[] =
	    "AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SECURITY_TOKEN AWS_ACCESS_KEY "
	    "AWS_SECRET_KEY AWS_CREDENTIAL_FILE AWS_CREDENTIAL_SCOPE "
	    "AMAZON_ACCESS_KEY_ID AMAZON_SECRET_ACCESS_KEY AMAZON_SESSION_TOKEN "
	    "AMAZON_REGION AMAZON_DEFAULT_REGION "
	    "AWS_CONTAINER_CREDENTIALS_FULL_URI "
	    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
	    "AWS_CONTAINER_AUTHORIZATION_TOKEN "
	    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE AWS_WEB_IDENTITY_TOKEN_FILE "
	    "AWS_ROLE_ARN AWS_ROLE_SESSION_NAME ";
	char entries[20][64], *old[64], *word, *rest = NULL;
	char copy[sizeof(names)];
	AUTOBUF struct buf set = {0};
	AUTOFREE char **env = NULL;
	struct given g = given();
	size_t n = 0, i;

	(void)state;
	memcpy(copy, names, sizeof(names));
	for (word = strtok_r(copy, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest), n++) {
		snprintf(entries[n], sizeof(entries[n]), "%s=x", word);
		/* Twice: an environment may have duplicates. */
		old[2 * n] = old[2 * n + 1] = entries[n];
	}
	assert_int_equal(n, 19);
	old[2 * n] = NULL;
	env = make(old, &g, &set, (struct view){0});
	for (i = 0; i < n; i++) {
		*strchr(entries[i], '=') = '\0';
		assert_is(env, entries[i], NULL);
	}
	for (n = 0; env[n]; n++)
		;
	assert_int_equal(n, 8);
}

static void
names_that_only_begin_alike_stay(void **state)
{
	static const char *const old[] = {"AWS_PROFILES=1", "AWS_PROFIL=2",
	    "AWS_PROFILE", "=odd", "", "AWS_CONFIG_FILE=/c", NULL};
	AUTOBUF struct buf set = {0};
	AUTOFREE char **env = NULL;
	struct given g = given();

	(void)state;
	env = make(given_to(old), &g, &set, (struct view){0});
	assert_is(env, "AWS_PROFILES", "1");
	assert_is(env, "AWS_PROFIL", "2");
	assert_is(env, "AWS_CONFIG_FILE", "/c");
	assert_string_equal(env[2], "AWS_PROFILE");
	assert_string_equal(env[3], "=odd");
	assert_string_equal(env[4], "");
}

static void
settings_of_the_profile_yield_to_the_environment(void **state)
{
	static const char *const old[] = {"AWS_DEFAULT_OUTPUT=text", NULL};
	AUTOBUF struct buf set = {0};
	AUTOFREE char **env = NULL;
	struct given g = given();

	(void)state;
	env = make(given_to(old), &g, &set,
	    LIST("AWS_DEFAULT_OUTPUT=json\0AWS_CA_BUNDLE=/a b\0"
		 "AWS_MAX_ATTEMPTS=5\0AWS_MAX_ATTEMPTS=6\0"));
	assert_is(env, "AWS_DEFAULT_OUTPUT", "text");
	assert_is(env, "AWS_CA_BUNDLE", "/a b");
	assert_is(env, "AWS_MAX_ATTEMPTS", "5");
}

static void
settings_are_harmless_variables_of_aws(void **state)
{
	static const char *const bad[] = {"LD_PRELOAD=/x", "PATH=/x", "AWS_",
	    "AWS_=x", "AWS_X", "aws_x=1", "AWS_x=1", "AWS_A B=1",
	    "AWS_ACCESS_KEY_ID=x", "AWS_PROFILE=x", "AWSENV_PROFILE=x",
	    "AWS_CA_BUNDLE=a\nb", "AWS_CA_BUNDLE=a\033b", "AWS_CA_BUNDLE=a\177",
	    "", "="};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(environ_setting(view_str(bad[i])));
	assert_true(environ_setting(view_str("AWS_CA_BUNDLE=/a b")));
	assert_true(environ_setting(view_str("AWS_S3_US_EAST_1=x")));
}

static void
a_profile_name_cannot_bring_another_variable(void **state)
{
	AUTOBUF struct buf set = {0};
	struct given g = given();

	(void)state;
	g.rep.profile = LIST("x\0LD_PRELOAD=/evil");
	environ_set(&g, true, &set);
	assert_null(memmem(set.data, set.len, "LD_PRELOAD", 10));
	assert_null(memmem(set.data, set.len, "AWSENV_PROFILE", 14));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_command_gets_each_of_our_variables_once),
	    cmocka_unit_test(what_is_not_known_is_unset_and_never_blank),
	    cmocka_unit_test(whatever_would_beat_our_keys_is_taken_away),
	    cmocka_unit_test(names_that_only_begin_alike_stay),
	    cmocka_unit_test(settings_of_the_profile_yield_to_the_environment),
	    cmocka_unit_test(settings_are_harmless_variables_of_aws),
	    cmocka_unit_test(a_profile_name_cannot_bring_another_variable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
