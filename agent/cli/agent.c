/* SPDX-License-Identifier: ISC */
/*
 * The connection to the agent. A broker may die at any time and be replaced:
 * what it had not answered is asked again, on a new connection.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define CONNECT_MS 5000
#define REPEAT_MS 30000
#define LIST_MS 10000
#define FORWARD_MS 15000
#define FORWARD_REPEAT_MS 500
#define REPEATS 3 /* however long each took */
#define PAUSE_MS 20
#define PAUSE_MOST_MS 320
#define STATUS_MS 10000
#define PROFILES_MS 40000

const char *agent_socket;

bool
agent_foreign(void)
{
	return setting("SSH_CONNECTION") && !setting("AWSENV_SOCK") &&
	    !agent_socket;
}

enum aw_err
agent_path(char path[static CLIENT_PATH])
{
	if (!agent_socket)
		return client_path(path);
	return format(path, CLIENT_PATH, "%s", agent_socket) ? AW_OK
							     : AW_CONFIG;
}

const char *
agent_found(const struct agent *a)
{
	static const char words[][10] = {
	    "option", "forwarded", "variable", "usual"};

	return words[a->found];
}

const char *
agent_since(const struct agent *a)
{
	static const char words[][27] = {"since --socket names it",
	    "since ssh forwards it", "since AWSENV_SOCK names it",
	    "the usual place"};

	return words[a->found];
}

const char *
agent_nobody(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno_text();
	return S_ISSOCK(st.st_mode) ? "nobody listens there"
				    : "it is no socket";
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
	const char *path = shown_str(a->path);

	if (a->found == FOUND_OPTION)
		warn("no agent answers on --socket %s: %s", path,
		    agent_nobody(a->path));
	else if (a->found == FOUND_VARIABLE)
		warn("no agent answers on AWSENV_SOCK=%s: %s; start it there, "
		     "or unset the variable",
		    path, agent_nobody(a->path));
	else if (a->passed)
		warn("the agent that ssh forwards %s; see "
		     "awsenv-forwarding(7)",
		    a->passed);
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
		    error_text(r));
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

/* Connect again after the broker went; the supervisor listens on. */
static enum aw_err
reconnect(struct agent *a, int64_t deadline)
{
	agent_close(a);
	return client_connect(a->path, &a->fd, deadline);
}

/* A request on a connection that is there, repeated for so long after it ended
 * while somebody listens. Brokers may end late each: a few times in any case,
 * which is no more than a relay with nobody behind it has in half a second. */
static enum aw_err
ask(struct agent *a, const char *name, enum msg_kind req_kind, const void *req,
    enum msg_kind rep_kind, void *rep, struct buf *frame, int ms, int repeat_ms)
{
	int64_t repeat = 0;
	int pause = PAUSE_MS, more = REPEATS;
	enum aw_err r;

	while ((r = client_ask(a->fd, name, req_kind, req, rep_kind, rep, frame,
		    io_deadline(ms))) == AW_GONE) {
		/* The next broker may not be there yet, or be as short-lived. */
		if (repeat) {
			poll(NULL, 0, pause);
			if (pause < PAUSE_MOST_MS)
				pause *= 2;
		} else {
			repeat = io_deadline(repeat_ms);
		}
		/* Nobody there: not a broker ended, but the agent. */
		if ((--more < 0 && io_deadline(0) >= repeat) ||
		    (r = reconnect(a, repeat)) != AW_OK)
			break;
	}
	a->answered |= r == AW_OK;
	return r;
}

/* Does it say of itself that it understands requests of ours? */
static bool
is_ours(struct agent *a)
{
	AUTOBUF struct buf out = {0}, frame = {0};
	int64_t deadline = io_deadline(CONNECT_MS);
	struct view names = {0}, name;

	io_put_request(&out, "query", names);
	if (out.bad || reconnect(a, deadline) != AW_OK ||
	    io_write(a->fd, view_of(&out), deadline) != AW_OK ||
	    io_get_reply(a->fd, "query", &frame, &names, deadline) != AW_OK)
		return false;
	while (view_string(&names, &name)) {
		if (view_is(name, "status@awsenv"))
			return true;
	}
	return false;
}

bool
agent_forwarded(char path[static CLIENT_PATH])
{
	const char *there = setting("SSH_AUTH_SOCK");

	return there && !agent_socket && setting("SSH_CONNECTION") &&
	    format(path, CLIENT_PATH, "%s", there) &&
	    !is_usual_place(path, "/forward.sock", false);
}

/* Not the agent's fault. */
static bool
is_want(enum aw_err r)
{
	return r == AW_NOMEM ||
	    (r == AW_SYSTEM &&
		(errno == ENOMEM || errno == EMFILE || errno == ENFILE));
}

/*
 * The one that ssh brings along, if it is one of ours and lets something be
 * used. Any other ssh-agent says in one round trip that it is none; one that
 * hangs up instead is not to keep us for long. Neither AW_OK nor AW_NOAGENT: it
 * may be that one, and a command must not have the login of another instead.
 */
static enum aw_err
find_forwarded(struct agent *a)
{
	const struct status_req req = {0};
	AUTOBUF struct buf frame = {0};
	struct status_rep rep;
	enum aw_err r;

	if (!agent_forwarded(a->path))
		return AW_NOAGENT;
	if ((r = reconnect(a, io_deadline(CONNECT_MS))) != AW_OK)
		return is_want(r) ? r : AW_NOAGENT;
	r = ask(a, "status@awsenv", MSG_STATUS_REQ, &req, MSG_STATUS_REP, &rep,
	    &frame, FORWARD_MS, FORWARD_REPEAT_MS);
	if ((r == AW_OK && rep.profiles > 0) || is_want(r))
		return r;
	if (r == AW_OK)
		a->passed = "lets no profile be used from here";
	else if (r == AW_PROTO && is_ours(a))
		a->passed =
		    "is another version of awsenv than this, which is " AWSENV_VERSION
		    "; upgrade the older one";
	agent_close(a);
	return AW_NOAGENT;
}

enum aw_err
agent_find(struct agent *a, bool here)
{
	enum aw_err r;

	*a = (struct agent){.fd = -1, .found = FOUND_FORWARDED};
	if (!here && (r = find_forwarded(a)) != AW_NOAGENT)
		return r;
	*a->path = '\0';
	a->found = agent_socket	     ? FOUND_OPTION
	    : setting("AWSENV_SOCK") ? FOUND_VARIABLE
				     : FOUND_USUAL;
	if ((r = agent_path(a->path)) == AW_OK)
		r = client_connect(a->path, &a->fd, io_deadline(CONNECT_MS));
	return r;
}

static bool
may_start(const struct agent *a, enum agent_start start)
{
	if (start == AGENT_AS_IS ||
	    (start == AGENT_START && *agent_sudo_hint()) ||
	    (start != AGENT_START_HERE && agent_foreign()))
		return false;
	return a->found == FOUND_USUAL ||
	    (a->found == FOUND_VARIABLE &&
		is_usual_place(a->path, "/agent.sock", true));
}

enum aw_err
agent_open(struct agent *a, enum agent_start start)
{
	enum aw_err r = agent_find(a, start == AGENT_START_HERE);

	if (r != AW_NOAGENT)
		return told(a, r);
	return may_start(a, start) ? daemon_start(a) : no_agent(a, start);
}

/* It does not know the request, or answers otherwise than PROTOCOL has it:
 * mostly since one of us is older. */
static void
misunderstood(struct agent *a, const char *name, bool unknown)
{
	const char *what =
	    unknown ? "does not know" : "gave a malformed answer to";
	const struct status_req req = {0};
	AUTOBUF struct buf frame = {0};
	struct status_rep rep;
	bool told_version;

	told_version = reconnect(a, io_deadline(CONNECT_MS)) == AW_OK &&
	    client_ask(a->fd, "status@awsenv", MSG_STATUS_REQ, &req,
		MSG_STATUS_REP, &rep, &frame, io_deadline(STATUS_MS)) == AW_OK;
	if (told_version && view_is(rep.version, AWSENV_VERSION))
		warn("the agent on %s %s %s", shown_str(a->path), what, name);
	else if (told_version || is_ours(a))
		warn("the agent on %s is awsenv %s, and this is " AWSENV_VERSION
		     ": it %s %s; upgrade the older one",
		    shown_str(a->path),
		    told_version ? shown(rep.version) : "of another version",
		    what, name);
	else
		warn("the agent on %s is none of awsenv's: it %s %s",
		    shown_str(a->path), what, name);
}

static enum aw_err
no_answer(struct agent *a, const char *name, enum aw_err r)
{
	const char *path = shown_str(a->path);

	switch (r) {
	case AW_DENIED: /* not by policy */
	case AW_PROTO:
		misunderstood(a, name, r == AW_DENIED);
		return AW_PROTO;
	case AW_TIMEOUT:
		warn("the agent on %s did not answer %s in time", path, name);
		break;
	case AW_GONE:
	case AW_NOAGENT:
		if (a->answered || r == AW_NOAGENT)
			warn("the agent on %s went away", path);
		else
			warn("the agent on %s hangs up, as a relay does that "
			     "has none at its other end",
			    path);
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
	/* ssh listens also where nobody does behind it, and says so to the
	 * person's terminal each time. */
	int repeat = !a->answered && setting("SSH_CONNECTION")
	    ? FORWARD_REPEAT_MS
	    : REPEAT_MS;
	enum aw_err r =
	    ask(a, name, req_kind, req, rep_kind, rep, frame, ms, repeat);

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
talk_refused(const struct talk *t, uint32_t error, struct view text)
{
	bool afar = t->agent.found == FOUND_FORWARDED;

	return error == AW_OK
	    ? AW_OK
	    : complain(afar ? NULL : &t->question, error, text);
}

enum aw_err
talk_status(struct talk *t, struct status_rep *rep)
{
	struct status_req req = {.ask = t->question.ask};
	enum aw_err r;

	r = agent_ask(&t->agent, "status@awsenv", MSG_STATUS_REQ, &req,
	    MSG_STATUS_REP, rep, &t->frame, STATUS_MS);
	return r == AW_OK && rep->error != AW_OK
	    ? complain(&t->question, rep->error, rep->text)
	    : r;
}

enum aw_err
talk_profiles(struct talk *t, void (*each)(const struct profile_item *, void *),
    void *arg)
{
	struct profiles_req req = {.ask = t->question.ask};
	AUTOBUF struct buf frame = {0};
	struct profile_item item;
	struct profiles_rep rep;
	enum aw_err r;

	do {
		r = agent_ask(&t->agent, "profiles@awsenv", MSG_PROFILES_REQ,
		    &req, MSG_PROFILES_REP, &rep, &frame, PROFILES_MS);
		if (r != AW_OK)
			return r;
		if (rep.error != AW_OK)
			return complain(&t->question, rep.error, rep.text);
		while (msg_each(MSG_PROFILE_ITEM, &rep.items, &item))
			each(&item, arg);
		/* One that does not go on would be asked for for ever. */
		if (rep.items.n || (rep.next && rep.next <= req.from))
			return no_answer(
			    &t->agent, "profiles@awsenv", AW_PROTO);
		req.from = rep.next;
	} while (req.from);
	return AW_OK;
}

#ifndef AWSENV_WRAPPER
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
		if (items->bad)
			return no_answer(a, "list@awsenv", AW_NOMEM);
		/* One that does not go on would be asked for for ever. */
		if (rep.next && rep.next <= req.from)
			return no_answer(a, "list@awsenv", AW_PROTO);
		req.from = rep.next;
	} while (req.from);
	return AW_OK;
}
#endif
