/* SPDX-License-Identifier: ISC */
/*
 * Can it last that long? What is known beforehand is when the keys expire and
 * when the login does; where that is renewed silently, AWS does not say how
 * often it will be.
 */
#include "awsenv/own.h"

#include "agent/cli/cli.h"

static bool
refuse(const char *what, uint64_t when, const char *cure)
{
	char clock[CLOCK_TIME], left[TIME_LEFT];

	clock_time(clock, when);
	time_left(left, when);
	warn("the %s until %s (%s left), which is less than --for asks for;\n"
	     "        %s",
	    what, clock, left, cure);
	return false;
}

static enum aw_err
login_ends(const struct options *o, uint64_t *when)
{
	struct status_rep rep;
	struct talk t;
	enum aw_err r;

	if ((r = talk_begin(&t, o, AGENT_AS_IS)) != AW_OK)
		return r;
	if ((r = talk_status(&t, &rep)) == AW_OK)
		*when = rep.refreshable ? UINT64_MAX : rep.login_expires;
	talk_end(&t);
	return r;
}

bool
lasts(const struct options *o, const struct given *g, bool is_endpoint)
{
	uint64_t end = now() + o->seconds, login = 0;

	if (!o->seconds || g->creds.expires >= end)
		return true;
	if (!is_endpoint)
		return refuse("keys are good", g->creds.expires,
		    "with --serve they are renewed while the login lasts");
	if (login_ends(o, &login) != AW_OK)
		return false;
	return login >= end ||
	    refuse("login lasts", login,
		"awsenv logout and awsenv login begin a new one");
}
