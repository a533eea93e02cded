/* SPDX-License-Identifier: ISC */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
https_may_be_visited_anywhere_and_http_here_only(void **state)
{
	static const char *const good[] = {"https://oidc.eu-west-1.example/",
	    "HTTPS://a", "https://127.0.0.1:8443/x?y=z#f", "http://127.0.0.1/",
	    "http://127.9.8.7:80", "http://localhost:1/", "http://LocalHost",
	    "http://[::1]", "http://[::1]:8080/x"};
	static const char *const bad[] = {"", "a", "//a", "https://",
	    "https:///x", "http://a/", "http://127.0.0.1.evil.example/",
	    "http://localhost.evil.example", "http://127.1/",
	    "http://128.0.0.1/", "http://0x7f.0.0.1", "http://[::2]/",
	    "http://[::1].evil.example/", "http://localhost@evil.example/",
	    "https://user:password@host/", "ftp://a/", "file:///etc/passwd",
	    "https://a b/", "https://a\n/", "https://a/\xc3\xa9",
	    "javascript:alert(1)", "http://?localhost"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!url_may_visit(good[i]))
			fail_msg("refused: %s", good[i]);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (url_may_visit(bad[i]))
			fail_msg("accepted: %s", bad[i]);
	}
}

static void
a_host_is_named_as_a_host_header_does(void **state)
{
	static const char *const cases[][2] = {
	    {"https://a.example/x", "a.example"},
	    {"https://a.example:443/x", "a.example"},
	    {"https://a.example:80/", "a.example:80"},
	    {"http://127.0.0.1:80/", "127.0.0.1"},
	    {"http://127.0.0.1:8080?x", "127.0.0.1:8080"},
	    {"https://[::1]:443", "[::1]"},
	    {"nothing", ""},
	};
	char host[HOST_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		url_host(cases[i][0], host);
		assert_string_equal(host, cases[i][1]);
	}
}

static void
a_proxy_is_named_without_its_password(void **state)
{
	static const char *const cases[][2] = {
	    {"http://proxy.example:3128", "proxy.example:3128"},
	    {"proxy.example:3128", "proxy.example:3128"},
	    {"http://user:pass@proxy.example:3128/", "proxy.example:3128"},
	    {"user:p@ss@proxy.example", "proxy.example"},
	};
	char host[HOST_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		url_proxy_host(cases[i][0], host);
		assert_string_equal(host, cases[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(https_may_be_visited_anywhere_and_http_here_only),
	    cmocka_unit_test(a_host_is_named_as_a_host_header_does),
	    cmocka_unit_test(a_proxy_is_named_without_its_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
