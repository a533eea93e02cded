/* SPDX-License-Identifier: ISC */
/* The verb agent: start one, stop it, tell of it and of its sockets. */
#include <stdlib.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"
#include "agent/cli/ctl/ctl.h"

#define STOP_MS 5000
#define RELAY_MS 32000

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

/* In single quotes, as every shell that has "export" reads it. */
static void
add_quoted(struct buf *b, const char *s)
{
	for (buf_u8(b, '\''); *s; s++) {
		if (*s == '\'')
			text_add(b, "'\\''");
		else
			buf_u8(b, (uint8_t)*s);
	}
	buf_u8(b, '\'');
}

/* Beside agent.sock; false: this agent has none. */
static bool
forward_path(const struct agent *a, char path[static CLIENT_PATH])
{
	static const char ours[] = "/agent.sock";
	size_t n = strlen(a->path), cut = sizeof(ours) - 1;

	if (n < cut || strcmp(a->path + n - cut, ours) != 0)
		return false;
	return format(path, CLIENT_PATH, "%.*s/forward.sock", (int)(n - cut),
		   a->path) &&
	    access(path, F_OK) == 0;
}

/* What a shell is to eval. An ssh-agent that was forwarded to here is the
 * person's own, and stays. */
static int
env(void)
{
	AUTOBUF struct buf frame = {0}, out = {0};
	char path[CLIENT_PATH];
	struct relay_rep rep;
	struct agent a;
	enum aw_err r;

	if ((r = agent_open(&a, AGENT_START)) != AW_OK)
		return exit_of(r);
	r = agent_ask(&a, "relay@awsenv", MSG_EMPTY, NULL, MSG_RELAY_REP, &rep,
	    &frame, RELAY_MS);
	if (r == AW_OK && rep.error != AW_OK)
		r = complain(NULL, rep.error, rep.text);
	if (r == AW_OK && rep.proxy && !getenv("SSH_CONNECTION") &&
	    forward_path(&a, path)) {
		text_add(&out, "export SSH_AUTH_SOCK=");
		add_quoted(&out, path);
		text_add(&out, "\n");
	}
	agent_close(&a);
	if (r == AW_OK && !text_print(&out))
		return EXIT_OTHER;
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
	if (!strcmp(word, "env"))
		return env();
	warn("awsenv agent takes one of: start, stop, status, env");
	return EXIT_USAGE;
}
