/* SPDX-License-Identifier: ISC */
/* The verb agent: start one, stop it, tell of it. */
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"
#include "agent/cli/ctl/ctl.h"

#define STOP_MS 5000

static int
start(void)
{
	struct agent a;
	enum aw_err r = agent_open(&a, AGENT_START_HERE);

	if (r == AW_OK)
		say("agent on %s\n", shown_str(a.path));
	agent_close(&a);
	return exit_of(r);
}

static int
stop(void)
{
	AUTOBUF struct buf frame = {0};
	struct done_rep rep;
	struct agent a;
	enum aw_err r;
	char byte;

	if ((r = agent_open(&a, AGENT_AS_IS)) != AW_OK)
		return exit_of(r);
	r = agent_ask(&a, "stop@awsenv", MSG_EMPTY, NULL, MSG_DONE_REP, &rep,
	    &frame, STOP_MS);
	if (r == AW_OK && rep.error != AW_OK)
		r = complain(NULL, rep.error, rep.text);
	/* When the connection ends, so has every key. */
	if (r == AW_OK &&
	    io_read(a.fd, &byte, 1, io_deadline(STOP_MS)) == AW_TIMEOUT) {
		warn("the agent was told to stop, but still runs");
		r = AW_TIMEOUT;
	}
	agent_close(&a);
	return exit_of(r);
}

int
agent_verb(const struct options *o, char **argv)
{
	const char *word = *argv && !argv[1] ? *argv : "";

	if (!strcmp(word, "start"))
		return start();
	if (!strcmp(word, "stop"))
		return stop();
	if (!strcmp(word, "status"))
		return status_verb(o, argv + 1);
	warn("awsenv agent takes one of: start, stop, status");
	return EXIT_USAGE;
}
