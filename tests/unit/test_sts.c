/* SPDX-License-Identifier: ISC */
#include "fake_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define ARN                                       \
	"arn:aws:sts::012345678901:assumed-role/" \
	"AWSReservedSSO_A_0123456789abcdef/ann@example.com"
#define IDENTITY(arn)                                                       \
	"<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/" \
	"2011-06-15/\"><GetCallerIdentityResult><UserId>AROA:ann</UserId>"  \
	"<Account>012345678901</Account><Arn>" arn "</Arn>"                 \
	"</GetCallerIdentityResult></GetCallerIdentityResponse>"
#define ASSUMED                                                       \
	"<AssumeRoleResponse><AssumeRoleResult><Credentials>"         \
	"<SessionToken>t&#61;=</SessionToken><AccessKeyId>ASIA"       \
	"</AccessKeyId><SecretAccessKey>s/+</SecretAccessKey>"        \
	"<Expiration>2033-05-18T03:33:20Z</Expiration></Credentials>" \
	"<AssumedRoleUser><Arn>x</Arn></AssumedRoleUser>"             \
	"</AssumeRoleResult></AssumeRoleResponse>"
#define ERROR(code, message)                                   \
	"<ErrorResponse><Error><Type>Sender</Type><Code>" code \
	"</Code><Message>" message "</Message></Error></ErrorResponse>"

static const struct creds keys = {
    .access_key = {(const uint8_t *)"AKID", 4},
    .secret_key = {(const uint8_t *)"SECRETKEY", 9},
    .session_token = {(const uint8_t *)"SESSION", 7},
};

static struct step
step(void)
{
	return (struct step){
	    .role_arn = view_str("arn:aws:iam::012345678901:role/Deploy"),
	    .sts = view_str("https://sts.example:8443"),
	    .sts_region = view_str("eu-west-1"),
	};
}

static enum aw_err
identity(struct talk *t, const char *body, struct identity *who)
{
	net_reset();
	net_answer(200, "", body);
	return sts_identity(t, view_str("https://sts.example"),
	    view_str("eu-west-1"), &keys, who);
}

static void
an_identity_is_read_and_the_person_named(void **state)
{
	struct talk t = net_talk();
	struct identity who;

	(void)state;
	assert_int_equal(identity(&t, IDENTITY(ARN), &who), AW_OK);
	assert_string_equal(who.arn, ARN);
	assert_string_equal(who.account, "012345678901");
	assert_string_equal(who.user_id, "AROA:ann");
	assert_string_equal(who.person, "ann@example.com");
	assert_string_equal(net_asked[0].url, "https://sts.example/");
	assert_string_equal(
	    net_asked[0].body, "Action=GetCallerIdentity&Version=2011-06-15");
	assert_int_equal(
	    identity(&t, IDENTITY("arn:aws:iam::1:user/bob"), &who), AW_OK);
	assert_string_equal(who.person, "");
}

static void
an_identity_that_is_incomplete_or_odd_is_not_aws(void **state)
{
	static const char *const bodies[] = {"", "{}", "<html></html>",
	    IDENTITY("a b"), IDENTITY("&#27;[31m"), IDENTITY(""),
	    "<GetCallerIdentityResponse/>",
	    "<GetCallerIdentityResponse><GetCallerIdentityResult>"};
	struct talk t = net_talk();
	struct identity who;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		assert_int_equal(identity(&t, bodies[i], &who), AW_NETWORK);
}

static void
a_request_is_signed_with_the_session_token_and_the_port(void **state)
{
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();
	struct step s = step();
	const char *h = net_asked[0].headers;

	(void)state;
	net_reset();
	net_answer(200, "", ASSUMED);
	assert_int_equal(sts_assume(&t, &s, &keys, "ann", &out), AW_OK);
	assert_string_equal(net_asked[0].method, "POST");
	assert_string_equal(net_asked[0].url, "https://sts.example:8443/");
	assert_non_null(strstr(h,
	    "Content-Type: application/x-www-form-urlencoded; "
	    "charset=utf-8\n"));
	assert_non_null(strstr(h, "X-Amz-Security-Token: SESSION\n"));
	assert_non_null(
	    strstr(h, "Authorization: AWS4-HMAC-SHA256 Credential=AKID/"));
	assert_non_null(strstr(h,
	    "/eu-west-1/sts/aws4_request, SignedHeaders="
	    "content-type;host;x-amz-date;"
	    "x-amz-security-token, Signature="));
	assert_null(strstr(h, "SECRETKEY"));
}

static void
an_assumed_role_comes_with_the_local_time_of_its_end(void **state)
{
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();
	struct step s = step();
	struct creds c;

	(void)state;
	net_reset();
	t.skew = -50;
	net_answer(200, "", ASSUMED);
	assert_int_equal(sts_assume(&t, &s, &keys, "ann", &out), AW_OK);
	assert_true(msg_decode(MSG_CREDS, view_of(&out), &c));
	assert_true(view_is(c.access_key, "ASIA"));
	assert_true(view_is(c.secret_key, "s/+"));
	assert_true(view_is(c.session_token, "t=="));
	assert_int_equal(c.expires, 2000000000 + 50);
}

static void
assume(struct step s, const char *person, const char *want)
{
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();

	net_reset();
	net_answer(200, "", ASSUMED);
	assert_int_equal(sts_assume(&t, &s, &keys, person, &out), AW_OK);
	if (!strstr(net_asked[0].body, want))
		fail_msg("%s in %s", want, net_asked[0].body);
}

static void
parameters_are_cut_to_what_sts_takes(void **state)
{
	struct step s = step();

	(void)state;
	assume(s, "ann@example.com",
	    "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A"
	    "012345678901%3Arole%2FDeploy&RoleSessionName=ann%40example.com"
	    "&DurationSeconds=3600");
	assume(s, "J\xc3\xb6rg M\"", "RoleSessionName=J-rg-M-&");
	assume(s, "", "RoleSessionName=awsenv&");
	s.policy = view_str("{\"Statement\":[]}");
	assume(s, "x", "&Policy=%7B%22Statement%22%3A%5B%5D%7D");
	s.policy = (struct view){0};
	assume(s, "x", "RoleSessionName=awsenv&");
	s.session_name = view_str(
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "too long");
	assume(s, "ann",
	    "RoleSessionName="
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "&");
	s.duration = 43200;
	assume(s, "ann", "&DurationSeconds=3600");
	s.duration = 900;
	s.external_id = view_str("e:/x");
	assume(s, "ann", "&DurationSeconds=900&ExternalId=e%3A%2Fx");
}

static void
each_refusal_to_assume_has_its_own_sentence(void **state)
{
	static const struct {
		long status;
		const char *body, *says;
	} cases[] = {
	    {403, ERROR("AccessDenied", "User a may not"),
		"not allowed to assume arn:aws:iam::012345678901:role/Deploy: "
		"User a may not"},
	    {403, ERROR("ExpiredToken", ""), "have run out"},
	    {400, ERROR("ExpiredTokenException", ""), "have run out"},
	    {403, ERROR("RegionDisabledException", ""), "another region"},
	    {400, ERROR("ValidationError", "1 hour"), "(ValidationError): 1 h"},
	    {403, ERROR("InvalidClientTokenId", ""), "InvalidClientTokenId"},
	    {403, ERROR("SignatureDoesNotMatch", "x"), "clock right"},
	};
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();
	struct step s = step();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		net_reset();
		net_answer(cases[i].status, "", cases[i].body);
		assert_int_equal(
		    sts_assume(&t, &s, &keys, "ann", &out), AW_AWS);
		if (!strstr(t.why.text, cases[i].says))
			fail_msg("%s", t.why.text);
	}
}

static void
a_wrong_clock_is_corrected_and_the_request_signed_anew(void **state)
{
	/* Half past, so that a second more or less is the same hour. */
	time_t there = time(NULL) / 3600 * 3600 + 7200 + 1800;
	AUTOBUF struct buf out = {0};
	struct talk t = net_talk();
	struct step s = step();
	char head[100], hour[32];
	struct tm tm;

	(void)state;
	net_reset();
	strftime(head, sizeof(head), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
	    gmtime_r(&there, &tm));
	strftime(hour, sizeof(hour), "X-Amz-Date: %Y%m%dT%H", &tm);
	net_answer(403, head, ERROR("SignatureDoesNotMatch", "expired"));
	net_answer(200, head, ASSUMED);
	assert_int_equal(sts_assume(&t, &s, &keys, "ann", &out), AW_OK);
	assert_int_equal(net_questions, 2);
	assert_null(strstr(net_asked[0].headers, hour));
	assert_non_null(strstr(net_asked[1].headers, hour));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_identity_is_read_and_the_person_named),
	    cmocka_unit_test(an_identity_that_is_incomplete_or_odd_is_not_aws),
	    cmocka_unit_test(
		a_request_is_signed_with_the_session_token_and_the_port),
	    cmocka_unit_test(
		an_assumed_role_comes_with_the_local_time_of_its_end),
	    cmocka_unit_test(parameters_are_cut_to_what_sts_takes),
	    cmocka_unit_test(each_refusal_to_assume_has_its_own_sentence),
	    cmocka_unit_test(
		a_wrong_clock_is_corrected_and_the_request_signed_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
