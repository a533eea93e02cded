/* SPDX-License-Identifier: ISC */
/*
 * Stands in for agent/fetch/http.c and talk.c: answers come from a script, and
 * what was asked is kept. For one test program each.
 */
#ifndef FAKE_NET_H
#define FAKE_NET_H

#include "agent/fetch/fetch.h"

#include <stdio.h>
#include <string.h>

#include "awsenv/own.h"

#define NET_MAX 16
#define NET_DATE "Date: Sat, 21 Nov 2026 02:00:00 GMT\r\n"

struct scripted {
	long status; /* 0: the connection breaks */
	const char *head;
	const char *body;
	bool unsent;	  /* it broke before the request went out */
	const char *part; /* of the URLs that it answers, in any order */
};

struct asked {
	char method[8];
	char url[600];
	char headers[3000]; /* one line each */
	char body[3000];
};

static struct scripted net_script[NET_MAX];
static struct asked net_asked[NET_MAX];
static int net_slept[NET_MAX]; /* milliseconds before question n + 1 */
static size_t net_answers, net_questions;

static inline void
net_reset(void)
{
	net_answers = net_questions = 0;
	memset(net_asked, 0, sizeof(net_asked));
	memset(net_slept, 0, sizeof(net_slept));
}

static inline void
net_answer(long status, const char *head, const char *body)
{
	net_script[net_answers++] =
	    (struct scripted){.status = status, .head = head, .body = body};
}

/* The first of them that fits, however often. */
static inline void
net_answer_to(const char *part, const char *body)
{
	net_script[net_answers++] = (struct scripted){
	    .status = 200, .head = "", .body = body, .part = part};
}

static inline const struct scripted *
net_find(const char *url)
{
	size_t i;

	for (i = 0; i < net_answers; i++) {
		if (net_script[i].part && strstr(url, net_script[i].part))
			return &net_script[i];
	}
	return net_questions < net_answers ? &net_script[net_questions] : NULL;
}

static inline struct talk
net_talk(void)
{
	return (struct talk){
	    .fd = -1,
	    .deadline = -1,
	    .facts =
		{
		    .start_url = view_str("https://example.awsapps.com/start"),
		    .region = view_str("eu-west-1"),
		    .scopes = view_str("sso:account:access"),
		    .oidc = view_str("https://oidc.example"),
		    .portal = view_str("https://portal.example"),
		},
	    .fetch = {.client_name = view_str("awsenv on \"host\"")},
	};
}

enum aw_err
http_do(struct http *h, const struct http_request *q, int ms, struct reply *a,
    struct why *why)
{
	const struct scripted *s = net_find(q->url);
	struct asked *k = &net_asked[net_questions];
	size_t i, n = 0;

	(void)h;
	(void)ms;
	reply_free(a);
	if (!s || net_questions == NET_MAX)
		return why_set(why, AW_PROTO, "asked more often than foreseen");
	net_questions++;
	snprintf(k->method, sizeof(k->method), "%s", q->method);
	snprintf(k->url, sizeof(k->url), "%s", q->url);
	snprintf(k->body, sizeof(k->body), "%.*s", VIEW_ARG(q->body));
	for (i = 0; i < HTTP_HEADERS && q->headers[i]; i++)
		n += (size_t)snprintf(k->headers + n, sizeof(k->headers) - n,
		    "%s\n", q->headers[i]);
	a->status = s->status;
	a->sent = !s->unsent;
	a->again = s->status == 0;
	if (s->status == 0)
		return why_set(why, AW_NETWORK, "the connection broke");
	buf_put(&a->head, s->head, strlen(s->head));
	buf_put(&a->body, s->body, strlen(s->body));
	return a->head.bad || a->body.bad
	    ? why_set(why, AW_NOMEM, "no memory for the answer")
	    : AW_OK;
}

bool
talk_sleep(struct talk *t, int ms)
{
	(void)t;
	net_slept[net_questions] += ms;
	return true;
}

int64_t
talk_left(const struct talk *t)
{
	return t->deadline < 0 ? 60 * 1000 : t->deadline;
}

uint64_t
talk_local(const struct talk *t, int64_t aws)
{
	return (uint64_t)(aws - t->skew);
}

#endif
