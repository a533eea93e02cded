/* SPDX-License-Identifier: ISC */
/*
 * One request to whatever listens in the user's directory. It is asked whose
 * it is before a byte is sent, never blocks, and what it says is only looked
 * at: no descriptor, path or number of its answer is used for anything.
 */
#include "pam_module/pam_awsenv.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

static enum aw_err
connect_until(int fd, const struct sockaddr_un *addr, int64_t deadline)
{
	const struct sockaddr *sa = (const struct sockaddr *)addr;

	while (connect(fd, sa, sizeof(*addr)) != 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			/* One that does not accept; there is nothing to poll. */
			if (io_deadline(0) >= deadline)
				return AW_TIMEOUT;
			poll(NULL, 0, 2);
			continue;
		case ENOENT:
		case ECONNREFUSED:
			return AW_NOAGENT;
		default:
			return AW_SYSTEM;
		}
	}
	return AW_OK;
}

enum aw_err
agent_connect(pam_handle_t *pamh, const struct passwd *pw,
    const struct place *p, int *fd, int64_t deadline)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTOCLOSE int s = -1;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	enum aw_err r;

	if (p->dir < 0)
		return AW_NOAGENT;
	/* In the directory that was looked at, whatever its path says now. */
	snprintf(addr.sun_path, sizeof(addr.sun_path),
	    "/proc/self/fd/%d/agent.sock", p->dir);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return AW_SYSTEM;
	r = connect_until(s, &addr, deadline);
	if (r == AW_OK &&
	    (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
		peer.uid != pw->pw_uid)) {
		pam_syslog(pamh, LOG_WARNING,
		    "%s is not a socket of uid %lu: not used", p->path,
		    (unsigned long)pw->pw_uid);
		return AW_DENIED;
	}
	if (r == AW_OK)
		*fd = STEAL_FD(s);
	else if (r != AW_NOAGENT)
		pam_syslog(pamh, LOG_WARNING, "%s: %s", p->path,
		    r == AW_SYSTEM ? strerror(errno)
				   : "the agent does not accept");
	return r;
}

/* `frame` keeps what *got points into. */
static enum aw_err
ask(int fd, const char *name, enum msg_kind kind, const void *req,
    struct buf *frame, struct view *got, int64_t deadline)
{
	AUTOBUF struct buf body = {0}, out = {0};

	msg_encode(kind, req, &body);
	io_put_request(&out, name, view_of(&body));
	if (body.bad || out.bad)
		return AW_NOMEM;
	/* No write(2), which may end a host process by SIGPIPE. It fits into
	 * the buffer of a new socket whole. */
	if (io_send_here(fd, view_of(&out)) != (ssize_t)out.len)
		return AW_GONE;
	return io_get_reply(fd, name, frame, got, deadline);
}

enum aw_err
agent_nudge(int fd, const struct nudge_req *req, struct answer_text *a,
    int64_t deadline)
{
	struct view got;
	enum aw_err r;

	r = ask(
	    fd, "nudge@awsenv", MSG_NUDGE_REQ, req, &a->frame, &got, deadline);
	if (r != AW_OK)
		return r;
	return msg_decode(MSG_LOGIN_REP, got, &a->rep) ? AW_OK : AW_PROTO;
}

enum aw_err
agent_adopt(int fd, const struct adopt_req *req, int64_t deadline)
{
	AUTOBUF struct buf frame = {0};
	struct done_rep rep;
	struct view got;
	enum aw_err r;

	r = ask(fd, "adopt@awsenv", MSG_ADOPT_REQ, req, &frame, &got, deadline);
	if (r != AW_OK)
		return r;
	return msg_decode(MSG_DONE_REP, got, &rep) ? (enum aw_err)rep.error
						   : AW_PROTO;
}
