/* SPDX-License-Identifier: ISC */
#include "agent/cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool shadows;

static char *
filtered(const char *text)
{
	char *copy = strdup(text);

	copy[view_filter(copy, &shadows)] = '\0';
	return copy;
}

static void
assert_view(const char *text, const char *expected)
{
	char *got = filtered(text);

	assert_string_equal(got, expected);
	free(got);
}

static void
a_file_without_credentials_stays_as_it_is(void **state)
{
	static const char *const files[] = {
	    "",
	    "\n",
	    "[default]\nregion = eu-central-1\noutput=json",
	    "[default]\r\nregion = eu-central-1\r\n\r\n[profile x]\r\n"
	    "sso_session = y\r\n",
	    "[profile x]\nrole_arn = a\nsource_profile = default\n"
	    "credential_process = c\n\n[sso-session default-one]\n"
	    "sso_start_url = u\n",
	    "[default]\ns3 =\n  max_concurrent_requests = 20\n"
	    "  addressing_style = path\nretry_mode = standard\n",
	    "nonsense\n[[[\n]\n= x\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_view(files[i], files[i]);
		assert_false(shadows);
	}
}

static void
credentials_of_default_are_left_out_in_every_form(void **state)
{
	static const char *const headers[] = {"[default]", "[profile default]",
	    "[ default ]", "[profile  \t'default']", "[profile \"default\" ]",
	    "[DEFAULT]", "\xef\xbb\xbf[default]", "  [default]",
	    "[default] # x"};
	static const char *const keys[] = {"aws_access_key_id = A",
	    "AWS_SECRET_ACCESS_KEY=B", "aws_session_token: C",
	    "aws_security_token=D", "sso_session = s", "sso_start_url = u",
	    "sso_account_id = 1", "role_arn = r", "source_profile = p",
	    "credential_source = EcsContainer", "credential_process = p",
	    "web_identity_token_file = f", "login_session = l",
	    "\tsso_role_name = r"};
	char text[256], left[256];
	size_t h, k;

	(void)state;
	for (h = 0; h < sizeof(headers) / sizeof(headers[0]); h++) {
		for (k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			format(text, sizeof(text),
			    "%s\nregion = x\n%s\noutput"
			    " = json\n",
			    headers[h], keys[k]);
			format(left, sizeof(left),
			    "%s\nregion = x\noutput = json\n", headers[h]);
			assert_view(text, left);
			assert_true(shadows);
		}
	}
}

static void
a_value_that_goes_on_goes_as_a_whole(void **state)
{
	(void)state;
	assert_view("[default]\ncredential_process = x\n  --more\n\n\t--yet\n"
		    "region = r\n  s\nsso_session = q",
	    "[default]\n\nregion = r\n  s\n");
	/* An indented key is one for some SDKs. */
	assert_view("[default]\nregion = r\n  aws_secret_access_key = x\n",
	    "[default]\nregion = r\n");
	assert_true(shadows);
}

static void
no_secret_of_any_section_is_in_it_and_no_comment(void **state)
{
	(void)state;
	assert_view("# aws_secret_access_key = old\n[other]\n"
		    "aws_access_key_id = A\naws_secret_access_key = B\n"
		    "  ; aws_session_token = C\nregion = r\nsso_session = s\n",
	    "[other]\nregion = r\nsso_session = s\n");
	assert_false(shadows);
}

static void
sections_that_only_resemble_default_are_others(void **state)
{
	(void)state;
	assert_view("[defaults]\nsso_session = s\n[profile default2]\n"
		    "role_arn = r\n[sso-session default]\nsso_region = x\n",
	    "[defaults]\nsso_session = s\n[profile default2]\n"
	    "role_arn = r\n[sso-session default]\nsso_region = x\n");
	assert_false(shadows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_without_credentials_stays_as_it_is),
	    cmocka_unit_test(credentials_of_default_are_left_out_in_every_form),
	    cmocka_unit_test(a_value_that_goes_on_goes_as_a_whole),
	    cmocka_unit_test(no_secret_of_any_section_is_in_it_and_no_comment),
	    cmocka_unit_test(sections_that_only_resemble_default_are_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
