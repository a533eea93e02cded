/* SPDX-License-Identifier: ISC */
/*
 * STS: who somebody is, and one role on top of another. Requests are forms,
 * signed by our own sigv4 with AWS's time; answers are XML.
 */
#include "fetch.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "awsenv/own.h"

#define FORM "application/x-www-form-urlencoded; charset=utf-8"
#define SESSION_MAX 64
#define HOUR 3600
#define SKEW_MATTERS 60

/* A signed request's parts, which live as long as it does. */
struct signed_request {
	struct http_request http;
	char *url;
	char host[HOST_SIZE];
	char date[20];
	struct buf headers[4]; /* NUL-terminated */
};

static void
signed_free(struct signed_request *q)
{
	size_t i;

	free(q->url);
	for (i = 0; i < 4; i++)
		buf_free(&q->headers[i]);
	*q = (struct signed_request){0};
}

static void
form_add(struct buf *b, const char *name, struct view value)
{
	if (b->len)
		buf_u8(b, '&');
	buf_put(b, name, strlen(name));
	buf_u8(b, '=');
	text_percent(b, value);
}

static void
form_begin(struct buf *b, const char *action)
{
	form_add(b, "Action", view_str(action));
	form_add(b, "Version", view_str("2011-06-15"));
}

static void
header(struct signed_request *q, int n, const char *name, struct view value)
{
	struct buf *b = &q->headers[n];

	buf_put(b, name, strlen(name));
	buf_put(b, ": ", 2);
	buf_put(b, value.p, value.n);
	buf_u8(b, 0);
	q->http.headers[n] = b->bad ? "" : (const char *)b->data;
}

/* The time is AWS's as far as we know it: a wrong local clock signs in vain. */
static bool
sign(struct talk *t, struct view base, struct view region,
    const struct creds *c, const struct buf *body, struct signed_request *q)
{
	struct sigv4_header headers[] = {
	    {"content-type", view_str(FORM)},
	    {"host", {0}},
	    {"x-amz-date", {0}},
	    {"x-amz-security-token", c->session_token},
	};
	AUTOBUF struct buf authorization = {0};
	time_t now = time(NULL) + (time_t)t->skew;
	struct sigv4 s = {.method = "POST",
	    .query = "",
	    .headers = headers,
	    .n_headers = 4,
	    .body = view_of(body),
	    .region = region,
	    .service = "sts"};
	struct tm tm;

	if (!(q->url = aws_url(base, "/")) || !gmtime_r(&now, &tm))
		return false;
	strftime(q->date, sizeof(q->date), "%Y%m%dT%H%M%SZ", &tm);
	url_host(q->url, q->host);
	headers[1].value = view_str(q->host);
	headers[2].value = view_str(q->date);
	s.date = q->date;
	s.path = strstr(q->url, "://") ? strchr(strstr(q->url, "://") + 3, '/')
				       : "/";
	if (!sigv4_authorization(
		&s, c->access_key, c->secret_key, &authorization))
		return false;
	q->http = (struct http_request){
	    .method = "POST", .url = q->url, .body = view_of(body)};
	header(q, 0, "Content-Type", view_str(FORM));
	header(q, 1, "X-Amz-Date", headers[2].value);
	header(q, 2, "X-Amz-Security-Token", c->session_token);
	header(q, 3, "Authorization", view_of(&authorization));
	return !q->headers[2].bad && !q->headers[3].bad;
}

static bool
is_skew(const struct aws_answer *a)
{
	static const char *const codes[] = {"RequestTimeTooSkewed",
	    "RequestExpired", "RequestInTheFuture", "InvalidSignatureException",
	    "SignatureDoesNotMatch", "AuthFailure"};
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(a->code, codes[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Where the refusal itself told us that our clock is wrong, a request that is
 * signed with the right time may do better.
 */
static enum aw_err
call(struct talk *t, struct view base, struct view region,
    const struct creds *c, const struct buf *body, struct aws_answer *a)
{
	struct signed_request q = {0};
	int64_t signed_with;
	enum aw_err r;
	int n;

	for (n = 0;; n++) {
		signed_with = t->skew;
		if (body->bad || !sign(t, base, region, c, body, &q))
			r = why_set(&t->why, AW_NOMEM, "cannot sign a request");
		else
			r = aws_call(t, &q.http, AWS_RETRY, a);
		signed_free(&q);
		if (n == 1 || r != AW_AWS || !is_skew(a) ||
		    llabs(t->skew - signed_with) < SKEW_MATTERS)
			break;
	}
	if (r == AW_OK && !xml_valid(view_of(&a->http.body)))
		r = aws_strange(t, base);
	if (r == AW_AWS && is_skew(a))
		why_set(&t->why, AW_AWS,
		    "STS refuses the signature (%s)%s%s; "
		    "is this machine's clock right?",
		    a->code, a->message[0] ? ": " : "", a->message);
	return r;
}

static enum aw_err
unread(struct talk *t, struct view base, bool no_memory)
{
	return no_memory ? why_set(&t->why, AW_NOMEM, "out of memory")
			 : aws_strange(t, base);
}

/* -------- GetCallerIdentity */

/* The user's name is the session name: what follows the last slash of an
 * assumed role's ARN. */
static void
find_person(struct identity *who)
{
	const char *slash = strrchr(who->arn, '/');

	who->person[0] = '\0';
	if (slash && strstr(who->arn, ":assumed-role/"))
		text_clean(
		    who->person, sizeof(who->person), view_str(slash + 1));
}

static enum aw_err
read_identity(
    struct talk *t, struct view url, struct view body, struct identity *who)
{
	AUTOBUF struct buf arn = {0}, id = {0}, account = {0};

#define RESULT "GetCallerIdentityResponse/GetCallerIdentityResult/"
	if (!xml_text(body, RESULT "Arn", &arn) ||
	    !xml_text(body, RESULT "UserId", &id) ||
	    !xml_text(body, RESULT "Account", &account) ||
	    !text_is_word(view_of(&arn), sizeof(who->arn) - 1) ||
	    !text_is_word(view_of(&id), sizeof(who->user_id) - 1) ||
	    !text_is_account(view_of(&account)))
		return unread(t, url, arn.bad || id.bad || account.bad);
#undef RESULT
	text_clean(who->arn, sizeof(who->arn), view_of(&arn));
	text_clean(who->user_id, sizeof(who->user_id), view_of(&id));
	text_clean(who->account, sizeof(who->account), view_of(&account));
	find_person(who);
	return AW_OK;
}

enum aw_err
sts_identity(struct talk *t, struct view url, struct view region,
    const struct creds *c, struct identity *who)
{
	AUTOBUF struct buf body = {0};
	struct aws_answer a = {0};
	enum aw_err r;

	form_begin(&body, "GetCallerIdentity");
	r = call(t, url, region, c, &body, &a);
	if (r == AW_OK)
		r = read_identity(t, url, view_of(&a.http.body), who);
	aws_free(&a);
	return r;
}

/* -------- AssumeRole */

/* Two to 64 of [A-Za-z0-9_+=,.@-]; what is none of these becomes '-'. */
static void
session_name(const struct step *step, const char *person,
    char out[static SESSION_MAX + 1])
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789_+=,.@-";
	char *p;

	text_clean(out, SESSION_MAX + 1,
	    step->session_name.n ? step->session_name : view_str(person));
	for (p = out; *p; p++) {
		if (!strchr(allowed, *p))
			*p = '-';
	}
	if (strlen(out) < 2)
		snprintf(out, SESSION_MAX + 1, "awsenv");
}

static enum aw_err
tell_assume(struct talk *t, const struct aws_answer *a, const struct step *step)
{
	const char *colon = a->message[0] ? ": " : "";
	char arn[200];

	text_clean(arn, sizeof(arn), step->role_arn);
	if (is_skew(a))
		return AW_AWS; /* is told already */
	if (strcmp(a->code, "ExpiredToken") == 0 ||
	    strcmp(a->code, "ExpiredTokenException") == 0)
		return why_set(&t->why, AW_AWS,
		    "cannot assume %s: the credentials below it have run out%s%s",
		    arn, colon, a->message);
	if (strcmp(a->code, "AccessDenied") == 0)
		return why_set(&t->why, AW_AWS, "not allowed to assume %s%s%s",
		    arn, colon, a->message);
	if (strcmp(a->code, "RegionDisabledException") == 0)
		return why_set(&t->why, AW_AWS,
		    "cannot assume %s: STS is not active in %.*s, use another "
		    "region%s%s",
		    arn, VIEW_ARG(step->sts_region), colon, a->message);
	if (step->policy.n &&
	    (strcmp(a->code, "MalformedPolicyDocument") == 0 ||
		strcmp(a->code, "PackedPolicyTooLarge") == 0))
		return why_set(&t->why, AW_AWS,
		    "AWS does not take the awsenv_forward_policy of %s (%s)%s%s",
		    arn, a->code, colon, a->message);
	return why_set(&t->why, AW_AWS, "cannot assume %s (%s)%s%s", arn,
	    a->code, colon, a->message);
}

static enum aw_err
read_assumed(struct talk *t, struct view url, struct view body, struct buf *out)
{
	AUTOBUF struct buf id = {0}, secret = {0}, session = {0}, until = {0};
	int64_t expires;

#define RESULT "AssumeRoleResponse/AssumeRoleResult/Credentials/"
	if (xml_text(body, RESULT "AccessKeyId", &id) &&
	    xml_text(body, RESULT "SecretAccessKey", &secret) &&
	    xml_text(body, RESULT "SessionToken", &session) &&
	    xml_text(body, RESULT "Expiration", &until) &&
	    text_time(view_of(&until), &expires) && expires > 0 &&
	    aws_seal_creds(out, talk_local(t, expires), view_of(&id),
		view_of(&secret), view_of(&session)))
		return AW_OK;
	return unread(t, url,
	    id.bad || secret.bad || session.bad || until.bad || out->bad);
#undef RESULT
}

enum aw_err
sts_assume(struct talk *t, const struct step *step, const struct creds *c,
    const char *person, struct buf *out)
{
	AUTOBUF struct buf body = {0};
	struct aws_answer a = {0};
	char name[SESSION_MAX + 1], seconds[12];
	enum aw_err r;

	/* A role on top of a role lasts an hour at most; more is refused. */
	snprintf(seconds, sizeof(seconds), "%u",
	    step->duration && step->duration < HOUR ? step->duration : HOUR);
	session_name(step, person, name);
	form_begin(&body, "AssumeRole");
	form_add(&body, "RoleArn", step->role_arn);
	form_add(&body, "RoleSessionName", view_str(name));
	form_add(&body, "DurationSeconds", view_str(seconds));
	if (step->external_id.n)
		form_add(&body, "ExternalId", step->external_id);
	if (step->policy.n)
		form_add(&body, "Policy", step->policy);
	r = call(t, step->sts, step->sts_region, c, &body, &a);
	if (r == AW_OK)
		r = read_assumed(t, step->sts, view_of(&a.http.body), out);
	if (r == AW_AWS)
		r = tell_assume(t, &a, step);
	aws_free(&a);
	return r;
}
