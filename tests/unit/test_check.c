/* SPDX-License-Identifier: ISC */
#include "agent/profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What passes, NULL, what does not, NULL. */
static void
assert_all(bool (*check)(struct view), const char *const *list)
{
	bool wanted = true;
	int ends = 0;

	for (; ends < 2; list++) {
		if (!*list) {
			ends++;
			wanted = false;
		} else if (check(view_str(*list)) != wanted) {
			fail_msg("\"%s\" should%s pass", *list,
			    wanted ? "" : " not");
		}
	}
}

static void
accounts_have_twelve_digits(void **state)
{
	(void)state;
	assert_all(check_account,
	    (const char *[]){"000000000000", "012345678901", NULL, "",
		"12345678901", "1234567890123", "12345678901a", "-12345678901",
		"12345678901\n", NULL});
}

static void
regions_can_be_part_of_a_host_name(void **state)
{
	(void)state;
	assert_all(check_region,
	    (const char *[]){"us-east-1", "us-gov-west-1", "eusc-de-east-1",
		"aws-global", "xx-1", NULL, "", "us", "us-", "-east-1", "us--1",
		"us-east-1-", "u-east-1", "u1-east-1", "US-EAST-1",
		"us-east-1.", "us.east.1", "us-east-1/", "us-east-1@x",
		"us-east-1:443", "us-east 1", "us-\xc3\xa9-1", "us_east_1",
		"us-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"a",
		NULL});
}

static void
role_arns_have_all_their_parts(void **state)
{
	(void)state;
	assert_all(check_role_arn,
	    (const char *[]){"arn:aws:iam::123456789012:role/R",
		"arn:aws-us-gov:iam::123456789012:role/path/to/R", NULL, "",
		"arn:aws:iam::123456789012:role/",
		"arn:aws:iam::123456789012:R",
		"arn:aws:iam::12345678901:role/R",
		"arn:aws:iam:x:123456789012:role/R",
		"arn:aws:sts::123456789012:role/R",
		"arn:other:iam::123456789012:role/R",
		"arn:aws:iam::123456789012:role/R&x=y",
		"arn:aws:iam::123456789012:role/R R", NULL});
}

static void
only_this_machine_is_this_machine(void **state)
{
	(void)state;
	assert_all(check_loopback,
	    (const char *[]){"localhost", "LocalHost", "127.0.0.1",
		"127.255.255.254", "::1", NULL, "", "localhost.example",
		"127.0.0.1.example", "127.0.0", "127.0.0.0.1", "127.0.0.x",
		"127.1", "128.0.0.1", "10.0.0.1", "127.0.0.", "::2",
		"127.0.0.1111", NULL});
}

static void
start_urls_are_https_or_this_machine(void **state)
{
	(void)state;
	assert_all(check_start_url,
	    (const char *[]){"https://corp.awsapps.com/start",
		"https://corp.awsapps.com/start#/", "https://x.example",
		"https://x.example:8443/a?b=c", "http://localhost:1/start",
		"http://[::1]:1/", NULL, "", "https://", "https:///x",
		"https:x", "http://corp.awsapps.com/start", "ftp://x.example",
		"HTTPS//x", "https://u@x.example/", "https://u:p@x.example/",
		"https://x.example:port/", "https://x.example:123456/",
		"https://x.example/ y", "https://x.example/\x1b[m",
		"https://x.example/\"", "https://x.example/\\",
		"https://x.ex\xc3\xa4mple/", "https://[::1", "https://[::1]x/",
		"https://[x]/", "http://localhost@evil.example/",
		"http://127.0.0.1.evil.example/", NULL});
}

static void
a_url_is_taken_apart(void **state)
{
	struct url u;

	(void)state;
	assert_true(check_url(
	    view_str("socks5h://us:p@ss@[2001:db8::1]:1080/x?y#z"), &u));
	assert_true(view_is(u.scheme, "socks5h"));
	assert_true(view_is(u.user, "us:p@ss"));
	assert_true(view_is(u.host, "2001:db8::1"));
	assert_true(view_is(u.port, "1080"));
	assert_true(view_is(u.rest, "/x?y#z"));
	assert_true(check_url(view_str("http://h?x@y"), &u));
	assert_true(view_is(u.host, "h"));
	assert_int_equal(u.user.n, 0);
}

static void
other_alphabets_are_those_of_aws(void **state)
{
	(void)state;
	assert_all(check_role,
	    (const char *[]){"A", "_+=,.@-", NULL, "", "a b", "a/b", "a:b",
		"\xc3\xa9", "a\n", NULL});
	assert_all(check_session_name,
	    (const char *[]){"ab", "ann@corp.example", NULL, "a", "a/b", NULL});
	assert_all(check_external_id,
	    (const char *[]){"ab", "a:b/c", NULL, "a", "a b", "a;b", NULL});
	assert_all(check_scopes,
	    (const char *[]){"sso:account:access", "a:b,c:d_e", NULL, "", "a b",
		"a\"", NULL});
}

static void
booleans_are_botocores(void **state)
{
	bool yes;

	(void)state;
	assert_true(check_bool(view_str("TrUe"), &yes) && yes);
	assert_true(check_bool(view_str("false"), &yes) && !yes);
	assert_false(check_bool(view_str("yes"), &yes) || yes);
	assert_false(check_bool(view_str(""), &yes) || yes);
	assert_false(check_bool(view_str("1"), &yes) || yes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accounts_have_twelve_digits),
	    cmocka_unit_test(regions_can_be_part_of_a_host_name),
	    cmocka_unit_test(role_arns_have_all_their_parts),
	    cmocka_unit_test(only_this_machine_is_this_machine),
	    cmocka_unit_test(start_urls_are_https_or_this_machine),
	    cmocka_unit_test(a_url_is_taken_apart),
	    cmocka_unit_test(other_alphabets_are_those_of_aws),
	    cmocka_unit_test(booleans_are_botocores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
