/* SPDX-License-Identifier: ISC */
#include "fake_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define GRANT "urn:ietf:params:oauth:grant-type:device_code"

static const struct ref client = {
    .client_expires = 4000000000,
    .client_id = {(const uint8_t *)"id", 2},
    .client_secret = {(const uint8_t *)"secret", 6},
};

static enum aw_err
start(struct talk *t, const char *body, struct buf *sealed, struct dev *d)
{
	enum oidc_error error;
	enum aw_err r;

	net_reset();
	net_answer(200, "", body);
	r = oidc_start(t, &client, sealed, &error);
	assert_int_equal(error, OIDC_NONE);
	if (r == AW_OK)
		assert_true(msg_decode(MSG_DEV, view_of(sealed), d));
	return r;
}

static void
registration_asks_for_scopes_and_grants(void **state)
{
	AUTOBUF struct buf sealed = {0};
	struct talk t = net_talk();
	struct ref r;

	(void)state;
	net_reset();
	t.skew = 100;
	net_answer(200, "",
	    "{\"clientId\":\"i\",\"clientSecret\":\"s\","
	    "\"clientSecretExpiresAt\":2000000000,\"tokenEndpoint\":null}");
	assert_int_equal(oidc_register(&t, false, &sealed), AW_OK);
	assert_true(msg_decode(MSG_REF, view_of(&sealed), &r));
	assert_true(view_is(r.client_id, "i") && view_is(r.client_secret, "s"));
	assert_int_equal(r.client_expires, 2000000000 - 100);
	assert_int_equal(r.refresh_token.n, 0);
	assert_string_equal(
	    net_asked[0].url, "https://oidc.example/client/register");
	assert_string_equal(net_asked[0].body,
	    "{\"clientName\":\"awsenv on \\\"host\\\"\","
	    "\"clientType\":\"public\",\"scopes\":[\"sso:account:access\"],"
	    "\"grantTypes\":[\"" GRANT "\",\"refresh_token\"]}");
	assert_non_null(
	    strstr(net_asked[0].headers, "Content-Type: application/json\n"));
}

static void
a_browser_here_has_a_registration_and_a_page_of_its_own(void **state)
{
	AUTOBUF struct buf sealed = {0}, url = {0};
	struct talk t = net_talk();
	struct ref r;

	(void)state;
	net_reset();
	t.facts.scopes = view_str("sso:account:access,x:y");
	net_answer(200, "",
	    "{\"clientId\":\"i/d\",\"clientSecret\":\"s\","
	    "\"clientSecretExpiresAt\":2000000000}");
	assert_int_equal(oidc_register(&t, true, &sealed), AW_OK);
	assert_true(msg_decode(MSG_REF, view_of(&sealed), &r) && r.desktop);
	assert_non_null(strstr(net_asked[0].body,
	    "\"grantTypes\":[\"authorization_code\",\"refresh_token\"],"
	    "\"redirectUris\":[\"http://127.0.0.1/oauth/callback\"],"
	    "\"issuerUrl\":\"https://"));
	assert_int_equal(oidc_page(&t, r.client_id,
			     view_str("http://127.0.0.1:4/oauth/callback"),
			     view_str("s-t"), view_str("c_c"), &url),
	    AW_OK);
	assert_true(view_is(view_of(&url),
	    "https://oidc.example/authorize?response_type=code&client_id=i%2Fd"
	    "&redirect_uri=http%3A%2F%2F127.0.0.1%3A4%2Foauth%2Fcallback"
	    "&state=s-t&code_challenge_method=S256&code_challenge=c_c"
	    "&scopes=sso%3Aaccount%3Aaccess%20x%3Ay"));
	buf_reset(&url);
	t.facts.oidc = view_str("http://oidc.example");
	assert_int_equal(oidc_page(&t, r.client_id, view_str("x"),
			     view_str("s"), view_str("c"), &url),
	    AW_CONFIG);
}

static void
a_code_is_redeemed_with_its_proof_once(void **state)
{
	struct talk t = net_talk();
	enum oidc_error error;
	struct token k = {0};

	(void)state;
	net_reset();
	net_answer(0, "", "");
	assert_int_equal(
	    oidc_redeem_code(&t, &client, view_str("c"), view_str("v"),
		view_str("http://127.0.0.1:4/oauth/callback"), &k, &error),
	    AW_NETWORK);
	assert_int_equal(net_questions, 1);
	assert_non_null(strstr(net_asked[0].body,
	    "\"grantType\":\"authorization_code\",\"code\":\"c\","
	    "\"codeVerifier\":\"v\","
	    "\"redirectUri\":\"http://127.0.0.1:4/oauth/callback\"}"));
	token_free(&k);
}

static void
a_registration_without_its_parts_is_not_aws(void **state)
{
	static const char *const bodies[] = {"{}", "[]", "<html>",
	    "{\"clientId\":\"i\",\"clientSecret\":\"s\"}",
	    "{\"clientId\":null,\"clientSecret\":\"s\","
	    "\"clientSecretExpiresAt\":2}",
	    "{\"clientId\":\"i\\n\",\"clientSecret\":\"s\","
	    "\"clientSecretExpiresAt\":2}"};
	AUTOBUF struct buf sealed = {0};
	struct talk t = net_talk();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		net_reset();
		net_answer(200, "", bodies[i]);
		assert_int_equal(oidc_register(&t, false, &sealed), AW_NETWORK);
		assert_non_null(strstr(t.why.text, "oidc.example"));
		assert_int_equal(sealed.len, 0);
	}
}

#define DEVICE "{\"deviceCode\":\"D\",\"userCode\":\"ABCD-EFGH\","

static void
the_complete_url_is_preferred_and_numbers_are_clamped(void **state)
{
	static const struct {
		const char *body;
		uint32_t interval, lives;
		const char *url;
	} cases[] = {
	    {DEVICE "\"verificationUri\":\"https://a/\","
		    "\"verificationUriComplete\":\"https://a/?c\","
		    "\"expiresIn\":600,\"interval\":1}",
		1, 600, "https://a/?c"},
	    {DEVICE "\"verificationUri\":\"https://a/\","
		    "\"verificationUriComplete\":null}",
		5, 600, "https://a/"},
	    {DEVICE "\"verificationUri\":\"http://127.0.0.1:1/\","
		    "\"expiresIn\":1795226400,\"interval\":0}",
		5, 600, "http://127.0.0.1:1/"},
	    {DEVICE "\"verificationUri\":\"https://a/\","
		    "\"expiresIn\":86400,\"interval\":3600}",
		60, 3600, "https://a/"},
	    {DEVICE "\"verificationUri\":\"https://a/\","
		    "\"expiresIn\":-5,\"interval\":-5}",
		5, 600, "https://a/"},
	};
	AUTOBUF struct buf sealed = {0};
	struct talk t = net_talk();
	struct dev d;
	uint64_t now;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		now = (uint64_t)time(NULL);
		assert_int_equal(start(&t, cases[i].body, &sealed, &d), AW_OK);
		assert_int_equal(d.interval, cases[i].interval);
		assert_in_range(
		    d.until, now + cases[i].lives, now + cases[i].lives + 2);
		assert_true(view_is(d.url, cases[i].url));
		assert_true(view_is(d.code, "ABCD-EFGH"));
		assert_true(view_is(d.client_secret, "secret"));
	}
	assert_string_equal(net_asked[0].body,
	    "{\"clientId\":\"id\",\"clientSecret\":\"secret\","
	    "\"startUrl\":\"https://example.awsapps.com/start\"}");
}

static void
what_must_not_be_shown_is_refused(void **state)
{
	static const char *const bodies[] = {
	    DEVICE "\"verificationUri\":\"http://a/\"}",
	    DEVICE "\"verificationUri\":\"https://a/\\u001b[31m\"}",
	    DEVICE "\"verificationUri\":\"https://a b/\"}",
	    DEVICE "\"verificationUri\":\"javascript:x\"}",
	    ("{\"deviceCode\":\"D\",\"userCode\":\"A\\u0007\","
	     "\"verificationUri\":\"https://a/\"}"),
	};
	AUTOBUF struct buf sealed = {0};
	struct talk t = net_talk();
	struct dev d;
	char longest[2300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(start(&t, bodies[i], &sealed, &d), AW_AWS);
		assert_int_equal(sealed.len, 0);
	}
	snprintf(longest, sizeof(longest),
	    DEVICE "\"verificationUri\":\"https://%02039d/\"}", 0);
	assert_int_equal(start(&t, longest, &sealed, &d), AW_OK);
	snprintf(longest, sizeof(longest),
	    DEVICE "\"verificationUri\":\"https://%02040d/\"}", 0);
	assert_int_equal(start(&t, longest, &sealed, &d), AW_AWS);
}

static void
a_refusal_without_words_asks_about_the_start_url(void **state)
{
	AUTOBUF struct buf sealed = {0};
	struct talk t = net_talk();
	enum oidc_error error;

	(void)state;
	net_reset();
	net_answer(400, "x-amzn-ErrorType: InvalidRequestException:x\r\n",
	    "{\"error\":\"invalid_request\",\"error_description\":null}");
	assert_int_equal(oidc_start(&t, &client, &sealed, &error), AW_AWS);
	assert_int_equal(error, OIDC_OTHER);
	assert_non_null(strstr(t.why.text, "sso_start_url"));
	assert_non_null(
	    strstr(t.why.text, "https://example.awsapps.com/start"));
	assert_non_null(strstr(t.why.text, "eu-west-1"));
}

static void
each_error_of_polling_is_told_apart(void **state)
{
	static const struct {
		const char *head, *body;
		enum oidc_error is;
	} cases[] = {
	    {"", "{\"error\":\"authorization_pending\"}", OIDC_PENDING},
	    {"x-amzn-ErrorType: AuthorizationPendingException:x\r\n", "{}",
		OIDC_PENDING},
	    {"", "{\"error\":\"slow_down\"}", OIDC_SLOW_DOWN},
	    {"", "{\"__type\":\"a#SlowDownException\"}", OIDC_SLOW_DOWN},
	    {"", "{\"error\":\"expired_token\"}", OIDC_EXPIRED},
	    {"", "{\"error\":\"access_denied\"}", OIDC_DENIED},
	    {"", "{\"error\":\"invalid_grant\"}", OIDC_GRANT},
	    {"", "{\"error\":\"invalid_client\"}", OIDC_CLIENT},
	    {"", "{\"error\":\"unauthorized_client\"}", OIDC_UNAUTHORIZED},
	    {"", "{\"error\":\"unsupported_grant_type\"}", OIDC_UNAUTHORIZED},
	    {"", "{\"error\":\"something_new\"}", OIDC_OTHER},
	};
	const struct dev d = {.device_code = view_str("D"),
	    .client_id = view_str("i"),
	    .client_secret = view_str("s")};
	struct talk t = net_talk();
	enum oidc_error error;
	struct token k = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		net_reset();
		net_answer(400, cases[i].head, cases[i].body);
		assert_int_equal(oidc_redeem(&t, &d, &k, &error), AW_AWS);
		assert_int_equal(error, cases[i].is);
	}
	net_reset();
	net_answer(500, "", "{\"error\":\"server_error\"}");
	assert_int_equal(oidc_redeem(&t, &d, &k, &error), AW_NETWORK);
	assert_int_equal(error, OIDC_NONE);
	assert_string_equal(net_asked[0].body,
	    "{\"clientId\":\"i\",\"clientSecret\":\"s\",\"grantType\":\"" GRANT
	    "\",\"deviceCode\":\"D\"}");
}

static struct ref
refreshable(void)
{
	struct ref r = client;

	r.refresh_token = view_str("old");
	return r;
}

static void
a_token_keeps_the_old_refresh_token_if_none_comes(void **state)
{
	static const char *const bodies[] = {
	    "{\"accessToken\":\"A\",\"expiresIn\":3600}",
	    "{\"accessToken\":\"A\",\"expiresIn\":3600,\"refreshToken\":null}",
	    "{\"accessToken\":\"A\",\"expiresIn\":3600,\"refreshToken\":\"\"}",
	    ("{\"accessToken\":\"A\",\"expiresIn\":3600,"
	     "\"refreshToken\":\"new\"}")};
	const struct ref old = refreshable();
	uint64_t now = (uint64_t)time(NULL);
	struct talk t = net_talk();
	struct token k = {0};
	struct ref ref;
	struct tok tok;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		net_reset();
		net_answer(200, "", bodies[i]);
		assert_int_equal(oidc_refresh(&t, &old, &k), AW_OK);
		assert_true(msg_decode(MSG_TOK, view_of(&k.tok), &tok));
		assert_true(msg_decode(MSG_REF, view_of(&k.ref), &ref));
		assert_true(view_is(tok.access_token, "A"));
		assert_in_range(tok.expires, now + 3600, now + 3605);
		assert_true(view_is(ref.refresh_token, i < 3 ? "old" : "new"));
		assert_true(k.refreshable && k.ref_expires == 4000000000);
		token_free(&k);
	}
}

static void
a_refresh_is_not_sent_again_after_its_answer_was_lost(void **state)
{
	const struct ref old = refreshable();
	struct talk t = net_talk();
	struct token k = {0};

	(void)state;
	net_reset();
	net_answer(0, "", "");
	net_answer(200, "", "{\"accessToken\":\"A\",\"expiresIn\":3600}");
	assert_int_equal(oidc_refresh(&t, &old, &k), AW_NETWORK);
	assert_int_equal(net_questions, 1);
	net_script[0].unsent = true;
	net_questions = 0;
	assert_int_equal(oidc_refresh(&t, &old, &k), AW_OK);
	token_free(&k);
}

static void
a_refresh_that_cannot_work_any_more_ends_the_login(void **state)
{
	static const char *const final[] = {"invalid_grant", "expired_token",
	    "invalid_client", "unauthorized_client"};
	struct ref old = refreshable();
	struct talk t = net_talk();
	struct token k = {0};
	char body[100];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		net_reset();
		snprintf(body, sizeof(body), "{\"error\":\"%s\"}", final[i]);
		net_answer(i == 2 ? 401 : 400, "", body);
		assert_int_equal(oidc_refresh(&t, &old, &k), AW_GRANT);
	}
	net_reset();
	old.client_expires = (uint64_t)time(NULL) - 1;
	assert_int_equal(oidc_refresh(&t, &old, &k), AW_GRANT);
	assert_int_equal(net_questions, 0);
	assert_int_equal(oidc_refresh(&t, &client, &k), AW_GRANT);
	assert_int_equal(net_questions, 0);
}

static void
a_refresh_slows_down_when_it_is_told_to(void **state)
{
	const struct ref old = refreshable();
	struct talk t = net_talk();
	struct token k = {0};

	(void)state;
	net_reset();
	net_answer(400, "", "{\"error\":\"slow_down\"}");
	net_answer(200, "", "{\"accessToken\":\"A\",\"expiresIn\":3600}");
	assert_int_equal(oidc_refresh(&t, &old, &k), AW_OK);
	assert_int_equal(net_slept[1], 5000);
	token_free(&k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(registration_asks_for_scopes_and_grants),
	    cmocka_unit_test(
		a_browser_here_has_a_registration_and_a_page_of_its_own),
	    cmocka_unit_test(a_code_is_redeemed_with_its_proof_once),
	    cmocka_unit_test(a_registration_without_its_parts_is_not_aws),
	    cmocka_unit_test(
		the_complete_url_is_preferred_and_numbers_are_clamped),
	    cmocka_unit_test(what_must_not_be_shown_is_refused),
	    cmocka_unit_test(a_refusal_without_words_asks_about_the_start_url),
	    cmocka_unit_test(each_error_of_polling_is_told_apart),
	    cmocka_unit_test(a_token_keeps_the_old_refresh_token_if_none_comes),
	    cmocka_unit_test(
		a_refresh_is_not_sent_again_after_its_answer_was_lost),
	    cmocka_unit_test(
		a_refresh_that_cannot_work_any_more_ends_the_login),
	    cmocka_unit_test(a_refresh_slows_down_when_it_is_told_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
