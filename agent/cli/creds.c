/* SPDX-License-Identifier: ISC */
/*
 * Credentials from the agent, opened and checked: what follows puts them into
 * environments and into text that a shell will evaluate.
 */
#include <stdlib.h>
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define CREDS_MS 70000

bool
made_of(struct view v, const char *alphabet, uint32_t least, uint32_t most)
{
	uint32_t i;

	if (v.n < least || v.n > most)
		return false;
	for (i = 0; i < v.n; i++) {
		if (v.p[i] == '\0' || !strchr(alphabet, v.p[i]))
			return false;
	}
	return true;
}

bool
is_region(struct view v)
{
	return made_of(v, SMALL DIGITS "-", 1, REGION - 1);
}

/* Nothing here that any shell, or JSON, would take for more than itself. */
static bool
creds_are_sound(const struct given *g)
{
	static const char secret[] = LETTERS SMALL DIGITS "+/=_-.:%@~";

	return made_of(g->creds.access_key, LETTERS DIGITS, 16, 128) &&
	    made_of(g->creds.secret_key, secret, 16, 1024) &&
	    made_of(g->creds.session_token, secret, 0, 65536) &&
	    (g->rep.account.n == 0 ||
		made_of(g->rep.account, DIGITS, 12, 12)) &&
	    (g->rep.region.n == 0 || is_region(g->rep.region));
}

static void
region_choose(const struct options *o, struct given *g)
{
	const char *names[] = {"AWS_REGION", "AWS_DEFAULT_REGION"},
		   *v = o->region;
	size_t i;

	for (i = 0; !v && i < 2; i++) {
		v = getenv(names[i]);
		if (v && !is_region(view_str(v)))
			v = NULL;
	}
	if (v)
		format(g->region, sizeof(g->region), "%s", v);
	else
		format(g->region, sizeof(g->region), "%.*s",
		    VIEW_ARG(g->rep.region));
}

static enum aw_err
ask(struct talk *t, const struct options *o, unsigned int how, struct given *g)
{
	struct creds_req req = {
	    .ask = t->question.ask,
	    .seconds = how & CREDS_HALF ? o->seconds : 0,
	    .half = (how & CREDS_HALF) != 0,
	};

	return agent_ask(&t->agent, "creds@awsenv", MSG_CREDS_REQ, &req,
	    MSG_CREDS_REP, &g->rep, &g->frame, CREDS_MS);
}

static enum aw_err
fetch(
    struct talk *t, const struct options *o, unsigned int how, struct given *g)
{
	struct patience w = {0};
	enum aw_err r;

	do {
		if ((r = ask(t, o, how, g)) != AW_OK)
			return r;
	} while (g->rep.error == AW_LOGIN && how & CREDS_LOGIN &&
	    login_wait(&w, t, o, g->rep.text, &r));
	return r == AW_OK ? talk_refused(t, g->rep.error, g->rep.text) : r;
}

static enum aw_err
open_sealed(const struct options *o, const struct question *q, struct given *g)
{
	if (!msg_decode(MSG_CREDS, g->rep.sealed, &g->creds) ||
	    !creds_are_sound(g)) {
		warn(
		    "%s: the agent's answer holds no credentials of AWS's form",
		    question_name(q));
		return AW_PROTO;
	}
	if (g->rep.notice.n)
		warn("%s", shown(g->rep.notice));
	region_choose(o, g);
	return AW_OK;
}

enum aw_err
creds_get(const struct options *o, unsigned int how, struct given *g)
{
	struct talk t;
	enum aw_err r;

	*g = (struct given){0};
	if ((r = talk_begin(&t, o,
		 how & CREDS_AS_IS ? AGENT_AS_IS : AGENT_START)) != AW_OK)
		return r;
	if ((r = fetch(&t, o, how, g)) == AW_OK)
		r = open_sealed(o, &t.question, g);
	talk_end(&t);
	if (r != AW_OK)
		creds_free(g);
	return r;
}

void
creds_free(struct given *g)
{
	buf_free(&g->frame);
	explicit_bzero(g, sizeof(*g));
}
