/* SPDX-License-Identifier: ISC */
#include "agent/cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

/* Everything that a shell could take for more than it is. */
#define ODD "it's \"a\" $HOME `id` \\ $(id) ; & | é"
#define LIST(text) ((struct view){(const uint8_t *)(text), sizeof(text) - 1})

static struct given
given(void)
{
	return (struct given){
	    .creds = {.access_key = view_str("ASIAEXAMPLE123456789"),
		.secret_key = view_str("a+/=b"),
		.session_token = view_str("token")},
	    .rep = {.profile = view_str(ODD),
		.settings = LIST("AWS_MAX_ATTEMPTS=5\0LD_PRELOAD=/x\0")},
	    .region = "",
	};
}

static void
assert_written(const char *format, const char *expected)
{
	AUTOBUF struct buf out = {0};
	struct given g = given();

	assert_true(export_write(format, &g, &out));
	buf_u8(&out, '\0');
	assert_false(out.bad);
	assert_string_equal((const char *)out.data, expected);
}

static void
a_posix_shell_gets_single_quotes(void **state)
{
	(void)state;
	assert_written("env",
	    "export AWS_ACCESS_KEY_ID='ASIAEXAMPLE123456789'\n"
	    "export AWS_SECRET_ACCESS_KEY='a+/=b'\n"
	    "export AWS_SESSION_TOKEN='token'\n"
	    "export AWSENV_PROFILE='it'\\''s \"a\" $HOME `id` \\ $(id) ; & | é'\n"
	    "export AWS_MAX_ATTEMPTS='5'\n");
}

static void
plain_lines_have_quotes_only_where_they_must(void **state)
{
	(void)state;
	assert_written("env-no-export",
	    "AWS_ACCESS_KEY_ID=ASIAEXAMPLE123456789\n"
	    "AWS_SECRET_ACCESS_KEY=a+/=b\n"
	    "AWS_SESSION_TOKEN=token\n"
	    "AWSENV_PROFILE='it'\\''s \"a\" $HOME `id` \\ $(id) ; & | é'\n"
	    "AWS_MAX_ATTEMPTS=5\n");
}

static void
fish_gets_its_own_escapes(void **state)
{
	(void)state;
	assert_written("fish",
	    "set -gx AWS_ACCESS_KEY_ID 'ASIAEXAMPLE123456789';\n"
	    "set -gx AWS_SECRET_ACCESS_KEY 'a+/=b';\n"
	    "set -gx AWS_SESSION_TOKEN 'token';\n"
	    "set -gx AWSENV_PROFILE 'it\\'s \"a\" $HOME `id` \\\\ $(id) ; & | é';\n"
	    "set -gx AWS_MAX_ATTEMPTS '5';\n");
}

static void
powershell_doubles_its_quotes(void **state)
{
	(void)state;
	assert_written("powershell",
	    "$Env:AWS_ACCESS_KEY_ID='ASIAEXAMPLE123456789'\n"
	    "$Env:AWS_SECRET_ACCESS_KEY='a+/=b'\n"
	    "$Env:AWS_SESSION_TOKEN='token'\n"
	    "$Env:AWSENV_PROFILE='it''s \"a\" $HOME `id` \\ $(id) ; & | é'\n"
	    "$Env:AWS_MAX_ATTEMPTS='5'\n");
}

static void
powershell_has_more_quotes_than_one(void **state)
{
	AUTOBUF struct buf out = {0};
	struct given g = given();

	(void)state;
	g.rep.profile =
	    view_str("a\u2018b\u2019; calc; \u201a\u201b\u2014\u201c");
	assert_true(export_write("powershell", &g, &out));
	buf_u8(&out, '\0');
	assert_non_null(strstr((const char *)out.data,
	    "$Env:AWSENV_PROFILE='a\u2018\u2018b\u2019\u2019; calc; "
	    "\u201a\u201a\u201b\u201b\u2014\u201c'\n"));
}

static void
dotenv_quotes_what_it_would_expand(void **state)
{
	(void)state;
	assert_written("dotenv",
	    "AWS_ACCESS_KEY_ID=ASIAEXAMPLE123456789\n"
	    "AWS_SECRET_ACCESS_KEY=a+/=b\n"
	    "AWS_SESSION_TOKEN=token\n"
	    "AWSENV_PROFILE=\"it's \\\"a\\\" \\$HOME \\`id\\` \\\\ \\$(id) ; & | é\"\n"
	    "AWS_MAX_ATTEMPTS=5\n");
}

static void
json_is_one_object(void **state)
{
	(void)state;
	assert_written("json",
	    "{\n  \"AWS_ACCESS_KEY_ID\": \"ASIAEXAMPLE123456789\",\n"
	    "  \"AWS_SECRET_ACCESS_KEY\": \"a+/=b\",\n"
	    "  \"AWS_SESSION_TOKEN\": \"token\",\n"
	    "  \"AWSENV_PROFILE\": \"it's \\\"a\\\" $HOME `id` \\\\ $(id) ; & | é\",\n"
	    "  \"AWS_MAX_ATTEMPTS\": \"5\"\n}\n");
}

static void
conflicting_variables_of_a_shell_are_unset(void **state)
{
	AUTOBUF struct buf out = {0};
	struct given g = given();

	(void)state;
	setenv("AWS_PROFILE", "x", 1);
	setenv("AWS_MAX_ATTEMPTS", "9", 1);
	assert_true(export_write(NULL, &g, &out));
	assert_true(
	    out.len > 18 && !memcmp(out.data, "unset AWS_PROFILE\n", 18));
	/* A setting that the environment has is not changed. */
	assert_null(memmem(out.data, out.len, "AWS_MAX_ATTEMPTS", 16));
	unsetenv("AWS_PROFILE");
	unsetenv("AWS_MAX_ATTEMPTS");
}

static void
unset_names_every_variable_that_is_set(void **state)
{
	static const char *const formats[] = {
	    "env", "env-no-export", "fish", "powershell", "json"};
	const char *name;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		AUTOBUF struct buf out = {0};

		assert_true(export_write(formats[i], NULL, &out));
		for (name = environ_ours; *name; name += strlen(name) + 1)
			assert_non_null(
			    memmem(out.data, out.len, name, strlen(name)));
	}
}

static void
ini_is_a_section_with_a_plain_name(void **state)
{
	struct given g = given();
	AUTOBUF struct buf out = {0};

	(void)state;
	g.rep.profile = view_str("it's \"mine\"");
	assert_true(export_write("ini", &g, &out));
	buf_u8(&out, '\0');
	assert_string_equal((const char *)out.data,
	    "[it-s--mine-]\n# until 1970-01-01T00:00:00Z\n"
	    "aws_access_key_id = ASIAEXAMPLE123456789\n"
	    "aws_secret_access_key = a+/=b\n"
	    "aws_session_token = token\n");
	buf_reset(&out);
	g.rep.profile = view_str("");
	g.rep.account = view_str("123456789012");
	g.rep.role = view_str("Dev]\n[x");
	g.creds.session_token = view_str("");
	format(g.region, sizeof(g.region), "eu-west-1");
	assert_true(export_write("ini", &g, &out));
	buf_u8(&out, '\0');
	assert_string_equal((const char *)out.data,
	    "[123456789012-Dev---x]\n# until 1970-01-01T00:00:00Z\n"
	    "aws_access_key_id = ASIAEXAMPLE123456789\n"
	    "aws_secret_access_key = a+/=b\n"
	    "region = eu-west-1\n");
	buf_reset(&out);
	assert_false(export_write("ini", NULL, &out));
}

static void
dotenv_cannot_unset_and_unknown_formats_are_refused(void **state)
{
	AUTOBUF struct buf out = {0};
	struct given g = given();

	(void)state;
	assert_false(export_write("dotenv", NULL, &out));
	assert_false(export_write("windows-cmd", &g, &out));
	assert_int_equal(out.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_posix_shell_gets_single_quotes),
	    cmocka_unit_test(plain_lines_have_quotes_only_where_they_must),
	    cmocka_unit_test(fish_gets_its_own_escapes),
	    cmocka_unit_test(powershell_doubles_its_quotes),
	    cmocka_unit_test(powershell_has_more_quotes_than_one),
	    cmocka_unit_test(dotenv_quotes_what_it_would_expand),
	    cmocka_unit_test(json_is_one_object),
	    cmocka_unit_test(ini_is_a_section_with_a_plain_name),
	    cmocka_unit_test(conflicting_variables_of_a_shell_are_unset),
	    cmocka_unit_test(unset_names_every_variable_that_is_set),
	    cmocka_unit_test(
		dotenv_cannot_unset_and_unknown_formats_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
