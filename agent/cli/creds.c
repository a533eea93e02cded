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
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define SMALL "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static bool
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
	    made_of(g->rep.region, SMALL DIGITS "-", 0, sizeof(g->region) - 1);
}

static void
region_choose(const struct options *o, struct given *g)
{
	const char *names[] = {"AWS_REGION", "AWS_DEFAULT_REGION"},
		   *v = o->region;
	size_t i;

	for (i = 0; !v && i < 2; i++) {
		v = getenv(names[i]);
		if (v && !made_of(view_str(v), SMALL DIGITS "-", 1, 63))
			v = NULL;
	}
	if (v)
		format(g->region, sizeof(g->region), "%s", v);
	else
		format(g->region, sizeof(g->region), "%.*s",
		    VIEW_ARG(g->rep.region));
}

static enum aw_err
ask(struct agent *a, const struct question *q, unsigned int how,
    struct given *g)
{
	struct creds_req req = {
	    .ask = q->ask,
	    .half = (how & CREDS_HALF) != 0,
	};

	return agent_ask(a, "creds@awsenv", MSG_CREDS_REQ, &req, MSG_CREDS_REP,
	    &g->rep, &g->frame, CREDS_MS);
}

/*
 * A login may end between its approval and our second request (somebody logs
 * out); asking three times is enough to be right and not to go round.
 */
static enum aw_err
fetch(struct agent *a, struct question *q, const struct options *o,
    unsigned int how, struct given *g)
{
	enum aw_err r;
	int tries;

	for (tries = 0; tries < 3; tries++) {
		if ((r = ask(a, q, how, g)) != AW_OK)
			return r;
		if (g->rep.error != AW_LOGIN || !(how & CREDS_LOGIN) ||
		    !login_wanted(o))
			break;
		if ((r = login_wait(a, q, o, false)) != AW_OK)
			return r;
	}
	if (g->rep.error != AW_OK)
		return complain(q, g->rep.error, g->rep.text);
	return AW_OK;
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
	struct agent a = {.fd = -1};
	struct question q;
	enum aw_err r;

	*g = (struct given){0};
	r = question_begin(&q, o);
	if (r == AW_OK)
		r = agent_open(&a, AGENT_START);
	if (r == AW_OK) {
		question_ready(&q);
		r = fetch(&a, &q, o, how, g);
	}
	if (r == AW_OK)
		r = open_sealed(o, &q, g);
	agent_close(&a);
	question_end(&q);
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
