/* SPDX-License-Identifier: ISC */
#include "fake_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define ACCOUNT "012345678901"
#define TYPE "com.amazonaws.switchboard.portal#"
#define GOOD                                                    \
	"{\"roleCredentials\":{\"accessKeyId\":\"ASIA\","       \
	"\"secretAccessKey\":\"s/+\",\"sessionToken\":\"t==\"," \
	"\"expiration\":2000000000999}}"

static enum aw_err
creds(struct talk *t, struct buf *out)
{
	return portal_creds(
	    t, view_str("TOKEN"), ACCOUNT, view_str("Role+ A"), out);
}

static void
role_credentials_are_asked_for_with_the_raw_token(void **state)
{
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();
	struct creds c;

	(void)state;
	net_reset();
	t.skew = 600;
	net_answer(200, "", GOOD);
	assert_int_equal(creds(&t, &out), AW_OK);
	assert_string_equal(net_asked[0].method, "GET");
	assert_string_equal(net_asked[0].url,
	    "https://portal.example/federation/credentials"
	    "?role_name=Role%2B%20A&account_id=" ACCOUNT);
	assert_non_null(
	    strstr(net_asked[0].headers, "x-amz-sso_bearer_token: TOKEN\n"));
	assert_true(msg_decode(MSG_CREDS, view_of(&out), &c));
	assert_true(view_is(c.access_key, "ASIA"));
	assert_true(view_is(c.secret_key, "s/+"));
	assert_true(view_is(c.session_token, "t=="));
	/* By the local clock, which is ten minutes behind. */
	assert_int_equal(c.expires, 2000000000 - 600);
}

static void
each_refusal_has_its_own_sentence(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum aw_err is;
		const char *says;
		int questions;
	} cases[] = {
	    {401, "{\"__type\":\"" TYPE "UnauthorizedException\"}", AW_TOKEN,
		"log in again", 1},
	    {403, "{\"__type\":\"" TYPE "ForbiddenException\"}", AW_AWS,
		"no access to role Role+ A in account " ACCOUNT, 2},
	    {404, "{\"__type\":\"" TYPE "ResourceNotFoundException\"}", AW_AWS,
		"there is no role Role+ A", 1},
	    {404, "{\"__type\":\"" TYPE "UnknownOperationException\"}", AW_AWS,
		"(UnknownOperationException)", 1},
	    {400,
		"{\"__type\":\"" TYPE "InvalidRequestException\","
		"\"message\":\"why\\u001b\"}",
		AW_AWS, "InvalidRequestException): why?", 1},
	    {429, "{\"__type\":\"" TYPE "TooManyRequestsException\"}",
		AW_NETWORK, "too often", 3},
	    {500, "{\"message\":\"Internal error\"}", AW_NETWORK,
		"out of order", 3},
	};
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		net_reset();
		for (n = 0; n < cases[i].questions; n++)
			net_answer(cases[i].status, "", cases[i].body);
		assert_int_equal(creds(&t, &out), cases[i].is);
		assert_int_equal(net_questions, cases[i].questions);
		if (!strstr(t.why.text, cases[i].says))
			fail_msg("%s", t.why.text);
		assert_null(strstr(t.why.text, "TOKEN"));
	}
}

static void
an_answer_without_credentials_is_not_taken(void **state)
{
	static const char *const bodies[] = {"{}", "{\"roleCredentials\":null}",
	    "{\"roleCredentials\":{}}",
	    "{\"roleCredentials\":{\"accessKeyId\":\"a\","
	    "\"secretAccessKey\":\"b\",\"sessionToken\":\"c\"}}",
	    "{\"roleCredentials\":{\"accessKeyId\":\"a\","
	    "\"secretAccessKey\":\"b\",\"sessionToken\":\"c\","
	    "\"expiration\":0}}",
	    "{\"roleCredentials\":{\"accessKeyId\":\"a\\nb\","
	    "\"secretAccessKey\":\"b\",\"sessionToken\":\"c\","
	    "\"expiration\":2000000000000}}",
	    "<html>"};
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		net_reset();
		net_answer(200, "", bodies[i]);
		assert_int_equal(creds(&t, &out), AW_NETWORK);
		assert_int_equal(out.len, 0);
	}
}

static void
a_token_that_is_none_is_not_sent(void **state)
{
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();

	(void)state;
	net_reset();
	assert_int_equal(portal_creds(&t, view_str("a\r\nHost: b"), ACCOUNT,
			     view_str("r"), &out),
	    AW_TOKEN);
	assert_int_equal(
	    portal_creds(&t, view_str(""), ACCOUNT, view_str("r"), &out),
	    AW_TOKEN);
	assert_int_equal(net_questions, 0);
}

/* A captive portal answers everything, and well. */
static void
a_sign_in_page_is_told_as_one(void **state)
{
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();

	(void)state;
	net_reset();
	net_answer(200, "", "<html>Welcome to the hotel</html>");
	assert_int_equal(
	    portal_creds(&t, view_str("T"), ACCOUNT, view_str("r"), &out),
	    AW_NETWORK);
	assert_non_null(strstr(t.why.text, "something that is not AWS"));
	net_reset();
	net_answer(200, "", "<html>Welcome to the hotel</html>");
	assert_int_equal(portal_logout(&t, view_str("T")), AW_NETWORK);
	assert_non_null(strstr(t.why.text, "something that is not AWS"));
}

#define PAGE_ONE                                                           \
	"{\"accountList\":[{\"accountId\":\"111111111111\","               \
	"\"accountName\":\"Marketing\"},{\"accountId\":\"222222222222\"}," \
	"{\"accountId\":\"bad\",\"accountName\":\"marketing\"}],"          \
	"\"nextToken\":\"a/b=\"}"
#define PAGE_TWO                                                     \
	"{\"accountList\":[{\"accountId\":\"333333333333\","         \
	"\"accountName\":\"Sand box\"},{\"accountId\":"              \
	"\"444444444444\",\"accountName\":\"sand Box\"},"            \
	"{\"accountId\":\"555555555555\",\"accountName\":\"twin\"}," \
	"{\"accountId\":\"666666666666\",\"accountName\":\"twin\"}," \
	"{\"accountId\":\"777777777777\",\"accountName\":\"\\u001b[31m\"}]}"

static enum aw_err
find(struct talk *t, const char *name, char id[static ACCOUNT_SIZE])
{
	net_reset();
	net_answer(200, "", PAGE_ONE);
	net_answer(200, "", PAGE_TWO);
	return portal_account(t, view_str("TOKEN"), view_str(name), id);
}

static void
an_account_is_found_by_name_through_all_pages(void **state)
{
	struct talk t = net_talk();
	char id[ACCOUNT_SIZE];

	(void)state;
	assert_int_equal(find(&t, "Sand box", id), AW_OK);
	assert_string_equal(id, "333333333333");
	assert_string_equal(net_asked[0].url,
	    "https://portal.example/assignment/accounts?max_result=100");
	assert_string_equal(net_asked[1].url,
	    "https://portal.example/assignment/accounts?max_result=100"
	    "&next_token=a%2Fb%3D");
	assert_int_equal(find(&t, "MARKETING", id), AW_OK);
	assert_string_equal(id, "111111111111");
	assert_int_equal(find(&t, "222222222222", id), AW_OK);
	assert_string_equal(id, "222222222222");
	assert_int_equal(net_questions, 0);
}

static void
an_unknown_or_ambiguous_name_is_told_with_candidates(void **state)
{
	struct talk t = net_talk();
	char id[ACCOUNT_SIZE];

	(void)state;
	assert_int_equal(find(&t, "twin", id), AW_AWS);
	assert_non_null(
	    strstr(t.why.text, "twin (555555555555), twin (666666666666)"));
	assert_int_equal(find(&t, "SAND BOX", id), AW_AWS);
	assert_non_null(strstr(t.why.text, "several"));
	assert_int_equal(find(&t, "nobody", id), AW_AWS);
	assert_non_null(strstr(t.why.text, "Marketing (111111111111)"));
	assert_non_null(strstr(t.why.text, ", ..."));
	net_reset();
	net_answer(200, "", "{\"accountList\":[]}");
	assert_int_equal(
	    portal_account(&t, view_str("T"), view_str("x"), id), AW_AWS);
	assert_non_null(strstr(t.why.text, "no account at all"));
}

static void
pages_that_never_end_do(void **state)
{
	struct talk t = net_talk();
	char id[ACCOUNT_SIZE];
	int n;

	(void)state;
	net_reset();
	for (n = 0; n < NET_MAX; n++)
		net_answer(200, "", PAGE_ONE);
	/* The script ends before the limit does: the walk reports that. */
	assert_int_equal(
	    portal_account(&t, view_str("T"), view_str("x"), id), AW_PROTO);
	assert_int_equal(net_questions, NET_MAX);
}

static void
any_role_is_the_first_of_the_first(void **state)
{
	char id[ACCOUNT_SIZE] = "", role[ROLE_SIZE] = "";
	struct talk t = net_talk();

	(void)state;
	net_reset();
	net_answer(200, "", PAGE_ONE);
	net_answer(200, "", "{\"roleList\":[{\"roleName\":\"R\"}]}");
	assert_int_equal(portal_any(&t, view_str("T"), id, role), AW_OK);
	assert_string_equal(id, "111111111111");
	assert_string_equal(role, "R");
	assert_string_equal(net_asked[1].url,
	    "https://portal.example/assignment/roles?account_id=111111111111"
	    "&max_result=100");
}

static void
logout_of_an_unknown_token_is_done(void **state)
{
	struct talk t = net_talk();

	(void)state;
	net_reset();
	net_answer(200, "", "");
	assert_int_equal(portal_logout(&t, view_str("T")), AW_OK);
	assert_string_equal(net_asked[0].method, "POST");
	assert_string_equal(net_asked[0].url, "https://portal.example/logout");
	net_reset();
	net_answer(401, "", "{\"__type\":\"x#UnauthorizedException\"}");
	assert_int_equal(portal_logout(&t, view_str("T")), AW_OK);
	net_reset();
	net_answer(400, "", "{\"__type\":\"x#InvalidRequestException\"}");
	assert_int_equal(portal_logout(&t, view_str("T")), AW_AWS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(role_credentials_are_asked_for_with_the_raw_token),
	    cmocka_unit_test(each_refusal_has_its_own_sentence),
	    cmocka_unit_test(an_answer_without_credentials_is_not_taken),
	    cmocka_unit_test(a_sign_in_page_is_told_as_one),
	    cmocka_unit_test(a_token_that_is_none_is_not_sent),
	    cmocka_unit_test(an_account_is_found_by_name_through_all_pages),
	    cmocka_unit_test(
		an_unknown_or_ambiguous_name_is_told_with_candidates),
	    cmocka_unit_test(pages_that_never_end_do),
	    cmocka_unit_test(any_role_is_the_first_of_the_first),
	    cmocka_unit_test(logout_of_an_unknown_token_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
