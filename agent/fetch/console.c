/* SPDX-License-Identifier: ISC */
/*
 * Federated sign-in to the AWS console: role credentials become a token, and
 * that an address which signs whoever opens it in. It is a secret for a quarter
 * of an hour, and so is the query with the credentials: neither may come into a
 * message, and a browser is led there by way of this machine.
 *
 * How long the console lasts is left to AWS: to ask for it fails with roles
 * that were assumed from others.
 */
#include "fetch.h"

#include <stdio.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"
#include "awsenv/partition.h"

#define ISSUER "https://github.com/awsenv"
#define TOKEN_MAX (16 * 1024)
#define PAGE_MAX 2048
#define VISIT_MS (60 * 1000)

/* "https://HOST", with the region before it where the region is not the one
 * that has the partition's plain name. */
static bool
put_host(struct buf *b, const struct partition *p, const char *host,
    struct view region)
{
	static const char scheme[] = "https://";

	buf_put(b, scheme, strlen(scheme));
	if (!view_is(region, p->home)) {
		buf_put(b, region.p, region.n);
		buf_u8(b, '.');
	}
	buf_put(b, host, strlen(host));
	return !b->bad;
}

static void
put_argument(struct buf *b, const char *name, struct view value)
{
	buf_put(b, name, strlen(name));
	text_percent(b, value);
}

static bool
put_session(struct buf *b, const struct creds *c)
{
	AUTOBUF struct buf session = {0};

	json_put(&session, "sessionId", c->access_key);
	json_put(&session, "sessionKey", c->secret_key);
	json_put(&session, "sessionToken", c->session_token);
	json_end(&session);
	put_argument(
	    b, "/federation?Action=getSigninToken&Session=", view_of(&session));
	buf_u8(b, '\0');
	return !session.bad && !b->bad;
}

static enum aw_err
get_token(struct talk *t, struct view base, struct buf *token)
{
	AUTOBUF struct buf url = {0};
	struct http_request q = {
	    .method = "GET", .headers = {"Accept: application/json"}};
	struct aws_answer a = {0};
	struct view value;
	struct creds c;
	enum aw_err r;

	buf_put(&url, base.p, base.n);
	if (!msg_decode(MSG_CREDS, t->fetch.creds, &c) ||
	    !put_session(&url, &c))
		return AW_PROTO;
	q.url = (const char *)url.data;
	r = aws_call(t, &q, AWS_RETRY, &a);
	if (a.http.status >= 400 && a.http.status < 500 && a.http.status != 429)
		r = why_set(&t->why, AW_AWS,
		    "AWS does not let these credentials sign in to the console "
		    "(HTTP %ld)",
		    a.http.status);
	else if (r == AW_OK &&
	    (!a.json || !json_string(a.json, "SigninToken", &value) ||
		!text_is_word(value, TOKEN_MAX)))
		r = aws_strange(t, base);
	else if (r == AW_OK)
		buf_put(token, value.p, value.n);
	aws_free(&a);
	return r;
}

/* The address that signs in and leads to the page. */
static enum aw_err
console_url(struct talk *t, struct buf *url)
{
	struct view region = t->fetch.sts_region, page = t->fetch.page;
	const struct partition *p = partition_of(region);
	AUTOBUF struct buf base = {0}, there = {0}, token = {0};
	enum aw_err r;

	if (!p->signin)
		return why_set(&t->why, AW_CONFIG,
		    "the console of partition %s has no address that is known",
		    p->name);
	if (!region.n || !text_is_word(page, PAGE_MAX) || page.p[0] != '/' ||
	    !put_host(&base, p, p->signin, region) ||
	    !put_host(&there, p, p->console, region))
		return AW_PROTO;
	buf_put(&there, page.p, page.n);
	if ((r = get_token(t, view_of(&base), &token)) != AW_OK)
		return r;
	buf_put(url, base.data, base.len);
	put_argument(url, "/federation?Action=login&Issuer=", view_str(ISSUER));
	put_argument(url, "&Destination=", view_of(&there));
	put_argument(url, "&SigninToken=", view_of(&token));
	return url->bad ? AW_NOMEM : AW_OK;
}

static enum aw_err
answer(struct talk *t, struct view url, bool last)
{
	struct answer a = {.url = url, .last = last};

	return talk_answer(t, &a);
}

static enum aw_err
lead_on(struct talk *t, struct view url)
{
	AUTOBUF struct buf secret = {0}, address = {0}, code = {0};
	int64_t end = io_deadline(VISIT_MS);
	struct callback *c;
	enum callback_event e = CALLBACK_HINT;
	enum aw_err r;

	if (!random_text(&secret) ||
	    !(c = callback_open(view_of(&secret), url, &address)))
		return why_set(&t->why, AW_SYSTEM,
		    "this machine has no port on 127.0.0.1 to lead the browser "
		    "from");
	if ((r = answer(t, view_of(&address), false)) == AW_OK) {
		while (e == CALLBACK_HINT)
			e = callback_wait(c, t, end, &code);
		if (e == CALLBACK_CODE)
			r = answer(t, (struct view){0}, true);
		else
			r = e == CALLBACK_GONE
			    ? AW_GONE
			    : why_set(&t->why, AW_TIMEOUT,
				  "no browser came within %d s",
				  VISIT_MS / 1000);
	}
	callback_close(c, false);
	return r;
}

enum aw_err
console_open(struct talk *t)
{
	AUTOBUF struct buf url = {0};
	enum aw_err r;

	t->deadline = io_deadline(HURRY_MS);
	if ((r = console_url(t, &url)) != AW_OK)
		return r;
	if (t->fetch.desktop)
		return lead_on(t, view_of(&url));
	return answer(t, view_of(&url), true);
}
