/* SPDX-License-Identifier: ISC */
/*
 * The agent is told whether the screen is locked: once each time that changes,
 * and again when there is a new broker or agent. A connection for each time,
 * since whoever hangs up says so on the one that watches logins.
 */
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/desktop.h"

#define TRIES 3 /* of an agent that hangs up, or does not know the request */

static void
go_on(struct telling *t)
{
	const struct screen_req req = {
	    .locked = t->locked,
	    .session = view_str(t->session),
	};

	if (t->known && !t->asked && t->tries < TRIES &&
	    !(t->told && t->said == t->locked)) {
		t->tries++;
		t->said = t->locked;
		t->told = false;
		t->asked = line_ask(&t->line, t->event, t->path, &req) == AW_OK;
	}
	if (!t->asked)
		t->settled(t->arg);
}

static void
on_answer(void *arg, const void *rep)
{
	const struct done_rep *done = rep;
	struct telling *t = arg;

	line_close(&t->line);
	t->asked = false;
	t->told = done != NULL;
	if (done && done->error != AW_OK)
		warn("the agent does not lock with the screen: %s",
		    shown(done->text));
	go_on(t);
}

void
telling_set(struct telling *t, const char *session, bool locked)
{
	t->session = session;
	t->locked = locked;
	t->known = true;
	t->tries = 0;
	go_on(t);
}

void
telling_anew(struct telling *t)
{
	t->told = false;
	t->tries = 0;
	go_on(t);
}

void
telling_open(struct telling *t, sd_event *event, const char *path,
    void (*settled)(void *arg), void *arg)
{
	*t = (struct telling){
	    .event = event,
	    .path = path,
	    .line = {.name = "screen@awsenv",
		.kind = MSG_SCREEN_REQ,
		.reply = MSG_DONE_REP,
		.fd = -1,
		.heard = on_answer,
		.arg = t},
	    .settled = settled,
	    .arg = arg,
	};
}

void
telling_close(struct telling *t)
{
	line_close(&t->line);
	buf_free(&t->line.frame);
}
