/* SPDX-License-Identifier: ISC */
/*
 * The connection to the agent. A broker may die at any time and be replaced:
 * what it had not answered is asked again, on a new connection.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define CONNECT_MS 5000
#define REPEAT_MS 30000
#define LIST_MS 10000
#define FORWARD_MS 15000

bool
agent_foreign(void)
{
	return setting("SSH_CONNECTION") && !setting("AWSENV_SOCK");
}

/* Who is root by sudo has root's agent and config, and did not think of it. */
const char *
agent_sudo_hint(void)
{
	return geteuid() == 0 && setting("SUDO_UID")
	    ? "; sudo made this root's: run awsenv ... -- sudo -E ... instead"
	    : "";
}

static enum aw_err
no_agent(const struct agent *a, enum agent_start start)
{
	if (setting("AWSENV_SOCK"))
		warn("no agent answers on AWSENV_SOCK=%s; start it there, or "
		     "unset the variable",
		    shown_str(a->path));
	else if (a->closed)
		warn("the agent that ssh forwards lets no profile be used from "
		     "here; see awsenv-forwarding(7)");
	else if (start != AGENT_AS_IS && agent_foreign())
		warn(
		    "agent not forwarded to this host, see "
		    "awsenv-forwarding(7);\n"
		    "        awsenv login --here logs in here, where root will "
		    "hold that login");
	else
		warn("no agent runs; awsenv login starts one%s",
		    agent_sudo_hint());
	return AW_NOAGENT;
}

static enum aw_err
told(const struct agent *a, enum aw_err r)
{
	switch (r) {
	case AW_OK:
		break;
	case AW_CONFIG:
		warn(
		    "AWSENV_SOCK must be an absolute path of less than %d bytes",
		    CLIENT_PATH);
		break;
	case AW_DENIED:
		warn("the socket %s is not of an agent of yours%s",
		    shown_str(a->path), agent_sudo_hint());
		break;
	case AW_BUSY:
		warn("the agent on %s does not accept connections; try again",
		    shown_str(a->path));
		break;
	default:
		warn("cannot reach the agent on %s: %s", shown_str(a->path),
		    r == AW_SYSTEM ? errno_text() : aw_strerror(r));
		break;
	}
	return r;
}

/* At login the PAM module names the usual place: where nobody listens there
 * any more, one may be started as if it had not. */
static bool
is_usual_place(const char *path, const char *name, bool create)
{
	char usual[CLIENT_PATH];

	return client_dir(usual, create) == AW_OK &&
	    !strncmp(path, usual, strlen(usual)) &&
	    !strcmp(path + strlen(usual), name);
}

void
agent_close(struct agent *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/*
 * The one that ssh brings along, if it is one of ours and lets something be
 * used. Any other ssh-agent says in one round trip that it is none.
 */
static bool
agent_forwarded(struct agent *a)
{
	const char *path = setting("SSH_AUTH_SOCK");
	const struct status_req req = {0};
	AUTOBUF struct buf frame = {0};
	struct status_rep rep;
	enum aw_err r = AW_GONE;
	int tries;

	if (!path || !setting("SSH_CONNECTION") ||
	    !format(a->path, CLIENT_PATH, "%s", path) ||
	    is_usual_place(path, "/forward.sock", false))
		return false;
	/* A broker that dies is replaced; an agent of others that hangs up is
	 * not to keep us. */
	for (tries = 0; r == AW_GONE && tries < 10; tries++) {
		if (tries)
			poll(NULL, 0, 50);
		agent_close(a);
		if (client_connect(path, &a->fd, io_deadline(CONNECT_MS)) !=
		    AW_OK)
			return false;
		r = client_ask(a->fd, "status@awsenv", MSG_STATUS_REQ, &req,
		    MSG_STATUS_REP, &rep, &frame, io_deadline(FORWARD_MS));
	}
	a->forwarded = r == AW_OK && rep.profiles > 0;
	a->closed = r == AW_OK && !a->forwarded;
	if (!a->forwarded)
		agent_close(a);
	return a->forwarded;
}

enum aw_err
agent_open(struct agent *a, enum agent_start start)
{
	enum aw_err r;

	*a = (struct agent){.fd = -1};
	if (start != AGENT_START_HERE && agent_forwarded(a))
		return AW_OK;
	r = client_path(a->path);
	if (start == AGENT_START && *agent_sudo_hint())
		start = AGENT_AS_IS;
	a->start = (start == AGENT_START_HERE ||
		       (start != AGENT_AS_IS && !agent_foreign())) &&
	    (!setting("AWSENV_SOCK") ||
		(r == AW_OK && is_usual_place(a->path, "/agent.sock", true)));
	if (r == AW_OK)
		r = client_connect(a->path, &a->fd, io_deadline(CONNECT_MS));
	if (r != AW_NOAGENT)
		return told(a, r);
	return a->start ? daemon_start(a) : no_agent(a, start);
}

/* Connect again after the broker went; the supervisor listens on. */
static enum aw_err
reconnect(struct agent *a, int64_t deadline)
{
	agent_close(a);
	return client_connect(a->path, &a->fd, deadline);
}

static enum aw_err
no_answer(const struct agent *a, const char *name, enum aw_err r)
{
	const char *path = shown_str(a->path);

	switch (r) {
	case AW_DENIED:
		warn("the agent on %s does not know %s; is it an older awsenv, "
		     "or no awsenv?",
		    path, name);
		/* Not a refusal by policy. */
		return AW_PROTO;
	case AW_PROTO:
		warn("the agent on %s gave a malformed answer to %s", path,
		    name);
		break;
	case AW_TIMEOUT:
		warn("the agent on %s did not answer %s in time", path, name);
		break;
	case AW_GONE:
	case AW_NOAGENT:
		warn("the agent on %s went away", path);
		return AW_NOAGENT;
	default:
		return told(a, r);
	}
	return r;
}

enum aw_err
agent_ask(struct agent *a, const char *name, enum msg_kind req_kind,
    const void *req, enum msg_kind rep_kind, void *rep, struct buf *frame,
    int ms)
{
	int64_t repeat = io_deadline(REPEAT_MS);
	unsigned int tries = 0;
	enum aw_err r;

	for (;;) {
		r = client_ask(a->fd, name, req_kind, req, rep_kind, rep, frame,
		    io_deadline(ms));
		if (r != AW_GONE)
			break;
		/* The next broker may not be there yet, or be as short-lived. */
		if (tries++)
			poll(NULL, 0, 20);
		/* Nobody there: not a broker ended, but the agent. */
		if (io_deadline(0) >= repeat ||
		    (r = reconnect(a, repeat)) != AW_OK)
			break;
	}
	return r == AW_OK ? r : no_answer(a, name, r);
}

enum aw_err
talk_begin(struct talk *t, const struct options *o, enum agent_start start)
{
	enum aw_err r;

	*t = (struct talk){.agent.fd = -1};
	if ((r = question_begin(&t->question, o)) == AW_OK)
		r = agent_open(&t->agent, start);
	if (r == AW_OK)
		question_ready(&t->question);
	else
		talk_end(t);
	return r;
}

void
talk_end(struct talk *t)
{
	agent_close(&t->agent);
	question_end(&t->question);
	buf_free(&t->frame);
}

enum aw_err
agent_list(struct agent *a, enum list_what what, struct buf *items)
{
	struct list_req req = {.what = (uint8_t)what};
	AUTOBUF struct buf frame = {0};
	struct list_rep rep;
	enum aw_err r;

	do {
		r = agent_ask(a, "list@awsenv", MSG_LIST_REQ, &req,
		    MSG_LIST_REP, &rep, &frame, LIST_MS);
		if (r != AW_OK)
			return r;
		if (rep.error != AW_OK)
			return complain(NULL, rep.error, rep.text);
		buf_put(items, rep.items.p, rep.items.n);
		/* One that does not go on would be asked for for ever. */
		if (items->bad || (rep.next && rep.next <= req.from))
			return no_answer(a, "list@awsenv", AW_PROTO);
		req.from = rep.next;
	} while (req.from);
	return AW_OK;
}
