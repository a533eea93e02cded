/* SPDX-License-Identifier: ISC */
/*
 * Each operation at AWS with each allocation failing once in turn, cJSON's
 * too: what came of it is whole, or it is said that it is not, and nothing is
 * left in memory. A token that is cut short would cost a person's approval.
 */
#include "fake_net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "tests/unit/failing.h"

static const char *body; /* of each answer */

static struct talk
talk(void)
{
	net_reset();
	net_answer(200, "", body);
	return net_talk();
}

/* ---- what is done */

static const struct creds keys = {
    .access_key = {(const uint8_t *)"AKID", 4},
    .secret_key = {(const uint8_t *)"SECRETKEY", 9},
    .session_token = {(const uint8_t *)"SESSION", 7},
};

static const struct ref old = {
    .client_expires = UINT64_MAX,
    .client_id = {(const uint8_t *)"id", 2},
    .client_secret = {(const uint8_t *)"secret", 6},
    .refresh_token = {(const uint8_t *)"refresh", 7},
};

static enum aw_err
whole_creds(enum aw_err r, const struct buf *sealed)
{
	struct creds c;

	if (r == AW_OK)
		must(msg_decode(MSG_CREDS, view_of(sealed), &c) &&
		    view_is(c.access_key, "ASIA") &&
		    view_is(c.secret_key, "s/+") &&
		    view_is(c.session_token, "t=="));
	return r;
}

static enum aw_err
get_role_credentials(void)
{
	AUTOBUF struct buf out = {0};
	struct talk t = talk();

	return whole_creds(portal_creds(&t, view_str("TOKEN"), "012345678901",
			       view_str("Role"), &out),
	    &out);
}

static enum aw_err
assume_role(void)
{
	const struct step step = {
	    .role_arn = view_str("arn:aws:iam::012345678901:role/Deploy"),
	    .sts = view_str("https://sts.example"),
	    .sts_region = view_str("eu-west-1"),
	};
	AUTOBUF struct buf out = {0};
	struct talk t = talk();

	return whole_creds(sts_assume(&t, &step, &keys, "ann", &out), &out);
}

static enum aw_err
get_caller_identity(void)
{
	struct identity who = {0};
	struct talk t = talk();
	enum aw_err r = sts_identity(&t, view_str("https://sts.example"),
	    view_str("eu-west-1"), &keys, &who);

	if (r == AW_OK)
		must(strcmp(who.user_id, "AROA:ann") == 0);
	return r;
}

static enum aw_err
register_client(void)
{
	AUTOBUF struct buf out = {0};
	struct talk t = talk();
	enum aw_err r = oidc_register(&t, false, &out);
	struct ref ref;

	if (r == AW_OK)
		must(msg_decode(MSG_REF, view_of(&out), &ref) &&
		    view_is(ref.client_id, "i") &&
		    view_is(ref.client_secret, "s"));
	return r;
}

static enum aw_err
start_device(void)
{
	AUTOBUF struct buf out = {0};
	enum oidc_error error;
	struct talk t = talk();
	enum aw_err r = oidc_start(&t, &old, &out, &error);
	struct dev d;

	if (r == AW_OK)
		must(msg_decode(MSG_DEV, view_of(&out), &d) &&
		    view_is(d.code, "ABCD-EFGH"));
	return r;
}

static enum aw_err
refresh_token(void)
{
	struct talk t = talk();
	struct token k = {0};
	enum aw_err r = oidc_refresh(&t, &old, &k);
	struct ref ref;
	struct tok tok;

	if (r == AW_OK)
		must(msg_decode(MSG_TOK, view_of(&k.tok), &tok) &&
		    view_is(tok.access_token, "A") &&
		    msg_decode(MSG_REF, view_of(&k.ref), &ref) &&
		    view_is(ref.refresh_token, "R2"));
	token_free(&k);
	return r;
}

static enum aw_err
find_account(void)
{
	char id[ACCOUNT_SIZE];
	struct talk t = talk();
	enum aw_err r =
	    portal_account(&t, view_str("TOKEN"), view_str("marketing"), id);

	if (r == AW_OK)
		must(strcmp(id, "111111111111") == 0);
	return r;
}

/* ---- the test */

static enum aw_err (*operation)(void);

/* A person whose memory is short does not look for a proxy. */
static enum aw_err
whole_or_short(void)
{
	enum aw_err r = operation();

	must(r == AW_OK || r == AW_NOMEM);
	return r;
}

static void
what_aws_gave_is_whole_or_told_to_be_lost(void **state)
{
	static const struct {
		enum aw_err (*what)(void);
		const char *body;
	} rows[] = {
	    {get_role_credentials,
		"{\"roleCredentials\":{\"accessKeyId\":\"ASIA\","
		"\"secretAccessKey\":\"s/+\",\"sessionToken\":\"t==\","
		"\"expiration\":4000000000999}}"},
	    {assume_role,
		"<AssumeRoleResponse><AssumeRoleResult><Credentials>"
		"<SessionToken>t&#61;=</SessionToken>"
		"<AccessKeyId>ASIA</AccessKeyId>"
		"<SecretAccessKey>s/+</SecretAccessKey>"
		"<Expiration>2033-05-18T03:33:20Z</Expiration></Credentials>"
		"<AssumedRoleUser><Arn>x</Arn></AssumedRoleUser>"
		"</AssumeRoleResult></AssumeRoleResponse>"},
	    {get_caller_identity,
		"<GetCallerIdentityResponse><GetCallerIdentityResult>"
		"<Arn>arn:aws:sts::012345678901:assumed-role/R/ann</Arn>"
		"<UserId>AROA:ann</UserId><Account>012345678901</Account>"
		"</GetCallerIdentityResult></GetCallerIdentityResponse>"},
	    {register_client,
		"{\"clientId\":\"i\",\"clientSecret\":\"s\","
		"\"clientSecretExpiresAt\":4000000000}"},
	    {start_device,
		"{\"deviceCode\":\"d\",\"userCode\":\"ABCD-EFGH\","
		"\"verificationUri\":\"https://d.example/\","
		"\"verificationUriComplete\":\"https://d.example/?c=A\","
		"\"expiresIn\":600,\"interval\":1}"},
	    {refresh_token,
		"{\"accessToken\":\"A\",\"expiresIn\":3600,"
		"\"refreshToken\":\"R2\",\"tokenType\":\"Bearer\"}"},
	    {find_account,
		"{\"accountList\":[{\"accountId\":\"111111111111\","
		"\"accountName\":\"marketing\"}]}"},
	};
	cJSON_Hooks hooks = {malloc, free};
	size_t i;

	(void)state;
	cJSON_InitHooks(&hooks);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		body = rows[i].body;
		/* What may be asked twice is. */
		operation = rows[i].what;
		assert_true(each_fails(whole_or_short, ENOMEM, true) > 3);
	}
	cJSON_InitHooks(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_aws_gave_is_whole_or_told_to_be_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
