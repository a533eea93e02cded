/* SPDX-License-Identifier: ISC */
/*
 * What all services have in common: how errors are named, when to ask again
 * ("standard" mode of the SDKs), what the Date header tells of our clock.
 */
#include "fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define REQUEST_MS (30 * 1000)
#define ATTEMPTS 3
#define DELAY_MAX_MS (20 * 1000)
#define NOISE 2 /* seconds of skew that say nothing: Date has whole ones */
#define AGE_MAX_MS (15 * 60 * 1000)

void
aws_free(struct aws_answer *a)
{
	json_free(a->json);
	reply_free(&a->http);
	*a = (struct aws_answer){0};
}

char *
aws_url(struct view base, const char *path)
{
	char *url;

	if (memchr(base.p ? base.p : (const uint8_t *)"", '\0', base.n) ||
	    asprintf(&url, "%.*s%s", VIEW_ARG(base), path) < 0)
		return NULL;
	return url;
}

/* -------- what went wrong */

/* "prefix#Name:url" as headers and __type have it: Name. */
static void
set_code(struct aws_answer *a, struct view v)
{
	const uint8_t *mark;

	if (v.n && (mark = memchr(v.p, ':', v.n)))
		v.n = (uint32_t)(mark - v.p);
	if (v.n && (mark = memrchr(v.p, '#', v.n)))
		v = (struct view){mark + 1, (uint32_t)(v.p + v.n - mark - 1)};
	text_clean(a->code, sizeof(a->code), v);
}

static void
read_json_error(struct aws_answer *a)
{
	static const char *const codes[] = {"code", "Code", "__type", "error"};
	static const char *const words[] = {
	    "message", "Message", "error_description", "errorMessage"};
	struct view v;
	size_t i;

	for (i = 0; i < 4 && !a->code[0]; i++) {
		if (json_string(a->json, codes[i], &v))
			set_code(a, v);
	}
	for (i = 0; i < 4 && !a->message[0]; i++) {
		if (json_string(a->json, words[i], &v))
			text_clean(a->message, sizeof(a->message), v);
	}
}

static void
read_xml_error(struct aws_answer *a)
{
	static const char *const roots[] = {"ErrorResponse/Error",
	    "ErrorResponse/Errors/Error", "Response/Errors/Error"};
	AUTOBUF struct buf text = {0};
	struct view body = view_of(&a->http.body);
	char path[64];
	size_t i;

	if (!xml_valid(body))
		return;
	for (i = 0; i < 3 && !a->code[0]; i++) {
		snprintf(path, sizeof(path), "%s/Code", roots[i]);
		if (xml_text(body, path, &text))
			set_code(a, view_of(&text));
		snprintf(path, sizeof(path), "%s/Message", roots[i]);
		if (xml_text(body, path, &text))
			text_clean(
			    a->message, sizeof(a->message), view_of(&text));
	}
}

/* In the order of the SDKs: the header outranks the body. */
static void
read_error(struct aws_answer *a)
{
	struct view v;

	if (reply_header(&a->http, "x-amzn-errortype", &v))
		set_code(a, v);
	if (a->json)
		read_json_error(a);
	else
		read_xml_error(a);
}

static bool
is_one_of(const char *code, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(code, *list) == 0)
			return true;
	}
	return false;
}

/* SlowDownException is what sso-oidc calls it; loops that poll obey it by
 * themselves, and do not come here to be repeated. */
static bool
is_throttled(const struct aws_answer *a, enum aws_repeat repeat)
{
	static const char *const slow[] = {
	    "SlowDownException", "slow_down", NULL};
	static const char *const codes[] = {"Throttling", "ThrottlingException",
	    "ThrottledException", "RequestThrottled",
	    "RequestThrottledException", "TooManyRequestsException",
	    "ProvisionedThroughputExceededException",
	    "TransactionInProgressException", "RequestLimitExceeded",
	    "BandwidthLimitExceeded", "LimitExceededException", "SlowDown",
	    "EC2ThrottledException", NULL};

	return a->http.status == 429 || is_one_of(a->code, codes) ||
	    (repeat == AWS_RETRY && is_one_of(a->code, slow));
}

static bool
is_transient(const struct aws_answer *a)
{
	static const char *const codes[] = {"RequestTimeout",
	    "RequestTimeoutException", "PriorRequestNotComplete", NULL};

	return a->http.status == 500 || a->http.status == 502 ||
	    a->http.status == 503 || a->http.status == 504 ||
	    is_one_of(a->code, codes);
}

/* What an answer means, whatever was asked. */
static enum aw_err
judge(struct talk *t, const char *url, const struct aws_answer *a,
    enum aws_repeat repeat)
{
	const char *gap = a->code[0] ? " " : "";
	char host[HOST_SIZE];

	url_host(url, host);
	if (a->http.status >= 200 && a->http.status < 300)
		return AW_OK;
	if (is_throttled(a, repeat))
		return why_set(&t->why, AW_NETWORK,
		    "%s is asked too often (HTTP %ld%s%s), try again later",
		    host, a->http.status, gap, a->code);
	if (a->http.status >= 500 || is_transient(a))
		return why_set(&t->why, AW_NETWORK,
		    "%s is out of order (HTTP %ld%s%s), try again later", host,
		    a->http.status, gap, a->code);
	if (!a->code[0] && !a->message[0])
		return why_set(&t->why, AW_NETWORK,
		    "%s is answered by something that is not AWS (HTTP %ld): "
		    "a proxy or a sign-in page of the network?",
		    host, a->http.status);
	return why_set(&t->why, AW_AWS, "%s says no (HTTP %ld%s%s)%s%s", host,
	    a->http.status, gap, a->code, a->message[0] ? ": " : "",
	    a->message);
}

enum aw_err
aws_strange(struct talk *t, struct view base)
{
	AUTOFREE char *url = view_dup(base);
	char host[HOST_SIZE];

	url_host(url ? url : "", host);
	return why_set(&t->why, AW_NETWORK,
	    "%s is answered by something that is not AWS: a proxy or a "
	    "sign-in page of the network?",
	    host);
}

/* -------- the clock */

/* A cached answer's Date is old, and a slow one's was true some time ago. */
static void
learn_skew(struct talk *t, const struct reply *a, int64_t ms)
{
	int64_t skew;
	struct view v;
	time_t date;

	if (ms > AGE_MAX_MS || reply_header(a, "age", &v) ||
	    !reply_date(a, &date))
		return;
	skew = (int64_t)date - (int64_t)time(NULL);
	if (skew < INT32_MIN || skew > INT32_MAX)
		return;
	t->skew = llabs(skew) <= NOISE ? 0 : skew;
	t->skew_known = true;
}

/* -------- asking */

/* A number from 0 to n; jitter needs no more than to differ between us. */
static int
jitter(int n)
{
	uint32_t r = 0;

	RAND_bytes((unsigned char *)&r, sizeof(r));
	return (int)(r % ((uint32_t)n + 1));
}

static int64_t
header_number(const struct reply *a, const char *name)
{
	char text[16], *end;
	struct view v;
	long n;

	if (!reply_header(a, name, &v) || v.n == 0 || v.n >= sizeof(text))
		return -1;
	text_clean(text, sizeof(text), v);
	n = strtol(text, &end, 10);
	return *end == '\0' && n >= 0 ? n : -1;
}

/* Milliseconds before attempt number `next`; what AWS asks for comes first. */
static int64_t
delay_before(int next, const struct aws_answer *a)
{
	int most = 1000 << (next - 2);
	int64_t hint;

	if ((hint = header_number(&a->http, "x-amz-retry-after")) >= 0)
		return hint + jitter(1000);
	if ((hint = header_number(&a->http, "retry-after")) >= 0)
		return hint * 1000 + jitter(1000);
	return jitter(most < DELAY_MAX_MS ? most : DELAY_MAX_MS);
}

static enum aw_err
ask_once(struct talk *t, const struct http_request *q, enum aws_repeat repeat,
    struct aws_answer *a, bool *again)
{
	int64_t left = talk_left(t), begun = io_deadline(0);
	int ms = left < REQUEST_MS ? (int)left : REQUEST_MS;
	enum aw_err r;

	aws_free(a);
	*again = false;
	if (ms == 0)
		return why_set(&t->why, AW_NETWORK, "AWS takes too long");
	if ((r = http_do(t->http, q, ms, &a->http, &t->why)) != AW_OK) {
		*again = a->http.again;
		return r;
	}
	a->json = json_parse(view_of(&a->http.body));
	if (!a->json && errno == ENOMEM)
		return why_set(&t->why, AW_NOMEM, "out of memory");
	if (a->http.status >= 300)
		read_error(a);
	r = judge(t, q->url, a, repeat);
	if (r != AW_NETWORK)
		learn_skew(t, &a->http, io_deadline(0) - begun);
	*again =
	    r == AW_NETWORK && (is_throttled(a, repeat) || is_transient(a));
	return r;
}

enum aw_err
aws_call(struct talk *t, const struct http_request *q, enum aws_repeat repeat,
    struct aws_answer *a)
{
	int64_t delay;
	enum aw_err r;
	bool again;
	int n;

	for (n = 1;; n++) {
		r = ask_once(t, q, repeat, a, &again);
		if (!again || n == ATTEMPTS || repeat == AWS_ONCE ||
		    (repeat == AWS_UNSENT && a->http.status == 0 &&
			a->http.sent))
			return r;
		/* Asking sooner than AWS wants it would make things worse. */
		delay = delay_before(n + 1, a);
		if (delay > DELAY_MAX_MS || delay >= talk_left(t))
			return r;
		if (!talk_sleep(t, (int)delay))
			return AW_GONE;
	}
}

/* -------- credentials */

bool
aws_seal_creds(struct buf *out, uint64_t expires, struct view access_key,
    struct view secret_key, struct view session_token)
{
	const struct creds c = {expires, access_key, secret_key, session_token};

	if (expires == 0 || !text_is_word(access_key, 128) ||
	    !text_is_word(secret_key, 256) ||
	    !text_is_word(session_token, 16 * 1024))
		return false;
	buf_reset(out);
	msg_encode(MSG_CREDS, &c, out);
	return !out->bad;
}
