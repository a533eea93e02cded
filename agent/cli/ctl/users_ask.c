/* SPDX-License-Identifier: ISC */
/*
 * Root meets the agent of one user, in a process of its own: what that user put
 * there may be anything, a file system that hangs included. Nothing is followed
 * out of his directory, nothing is said to a socket that is not his, and what
 * comes back are numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/users.h"

static enum aw_err
refuse(struct told *t, enum aw_err r, const char *text)
{
	t->error = r;
	format(t->text, sizeof(t->text), "%s", text);
	return r;
}

/* A directory of that user, and no link to one; or errno. */
static int
open_folder(int at, const char *name, uid_t uid)
{
	AUTOCLOSE int fd =
	    openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	errno = EPERM;
	if (fstat(fd, &st) != 0 || st.st_uid != uid || (st.st_mode & 077))
		return -1;
	return STEAL_FD(fd);
}

/*
 * An agent holds the lock as long as it lives. To connect where none does would
 * have a service manager start one.
 */
static enum aw_err
look_for_lock(int folder)
{
	AUTOCLOSE int fd = openat(folder, "agent.sock.lock",
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? AW_NOAGENT : AW_SYSTEM;
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return AW_NOAGENT;
	return errno == EWOULDBLOCK ? AW_OK : AW_SYSTEM;
}

/* There is none, or it is nobody's, or that cannot be seen just now. */
static enum aw_err
no_folder(struct told *t)
{
	switch (errno) {
	case ENOENT:
		return refuse(t, AW_NOAGENT, "none runs");
	case EPERM:
	case EACCES:
	case ELOOP:
	case ENOTDIR:
		return refuse(t, AW_DENIED,
		    "the agent's directory is not a private one of that user");
	default:
		return refuse(t, AW_SYSTEM, errno_text());
	}
}

static enum aw_err
meet(const struct user *u, struct told *t, int *fd, int64_t deadline)
{
	AUTOCLOSE int parent = open_folder(AT_FDCWD, u->parent, u->uid);
	AUTOCLOSE int below = -1;
	char path[CLIENT_PATH];
	enum aw_err r;

	if (parent >= 0 && u->below)
		below = open_folder(parent, u->below, u->uid);
	if (parent < 0 || (u->below && below < 0))
		return no_folder(t);
	r = look_for_lock(u->below ? below : parent);
	if (r != AW_OK)
		return refuse(
		    t, r, r == AW_NOAGENT ? "none runs" : errno_text());
	/* In the directory that was looked at, whatever its path says now. */
	format(path, sizeof(path), "/proc/self/fd/%d/agent.sock",
	    u->below ? below : parent);
	r = client_connect_to(path, u->uid, fd, deadline);
	if (r == AW_DENIED)
		return refuse(t, r, "another user's program listens there");
	if (r != AW_OK)
		return refuse(t, r,
		    r == AW_BUSY ? "it accepts no connection"
				 : "it cannot be reached");
	return AW_OK;
}

static enum aw_err
answered(struct told *t, enum aw_err r, uint32_t error, struct view text)
{
	switch (r) {
	case AW_OK:
		break;
	case AW_TIMEOUT:
		return refuse(t, r, "it does not answer");
	case AW_DENIED:
		return refuse(
		    t, AW_PROTO, "it is no awsenv-agent, or an older one");
	case AW_GONE:
		return refuse(t, r, "it went away");
	case AW_NOMEM:
	case AW_SYSTEM:
		return refuse(t, r, aw_strerror(r));
	default:
		return refuse(t, r, "its answer is malformed");
	}
	if (error == AW_OK)
		return AW_OK;
	t->error = error;
	format(t->text, sizeof(t->text), "%.*s",
	    (int)(text.n < 200 ? text.n : 200), (const char *)text.p);
	return (enum aw_err)error;
}

static enum aw_err
count_logins(struct told *t, int fd, int64_t deadline)
{
	struct list_req req = {.what = LIST_LOGINS};
	AUTOBUF struct buf frame = {0};
	struct login_item item;
	struct list_rep rep;
	struct view rest;
	enum aw_err r;

	do {
		r = client_ask(fd, "list@awsenv", MSG_LIST_REQ, &req,
		    MSG_LIST_REP, &rep, &frame, deadline);
		if ((r = answered(t, r, rep.error, rep.text)) != AW_OK)
			return r;
		rest = rep.items;
		while (msg_each(MSG_LOGIN_ITEM, &rest, &item)) {
			t->good += item.state == LOGIN_DONE;
			t->pending += item.state == LOGIN_PENDING;
			if (item.state == LOGIN_DONE &&
			    item.expires > t->expires)
				t->expires = item.expires;
		}
		if (rep.next && rep.next <= req.from)
			return refuse(t, AW_PROTO, "its answer is malformed");
		req.from = rep.next;
	} while (req.from);
	return AW_OK;
}

/* What the agent read of the config serves, however old. */
static const struct ask anybody = {.stamp = {.mtime = STAMP_UNKNOWN}};

static enum aw_err
ask_status(struct told *t, int fd, int64_t deadline)
{
	struct status_req req = {.ask = anybody};
	AUTOBUF struct buf frame = {0};
	struct status_rep rep = {0};
	enum aw_err r;

	r = client_ask(fd, "status@awsenv", MSG_STATUS_REQ, &req,
	    MSG_STATUS_REP, &rep, &frame, deadline);
	if ((r = answered(t, r, rep.error, rep.text)) != AW_OK)
		return r;
	format(t->version, sizeof(t->version), "%.*s",
	    (int)(rep.version.n < 30 ? rep.version.n : 30),
	    (const char *)rep.version.p);
	t->pid = rep.agent_pid;
	t->protected_ = rep.protected_;
	t->restarts = rep.restarts;
	t->skew = (int32_t)rep.skew;
	t->keys_used = rep.keys_used;
	t->keys_max = rep.keys_max;
	t->bytes_used = rep.bytes_used;
	t->bytes_max = rep.bytes_max;
	t->logins = rep.logins;
	t->roles = rep.roles;
	t->problems = rep.problems;
	return rep.logins ? count_logins(t, fd, deadline) : AW_OK;
}

static enum aw_err
ask_logout(struct told *t, enum users_what what, int fd, int64_t deadline)
{
	struct logout_req req = {
	    .ask = anybody,
	    .what = what == USERS_LOGOUT ? LOGOUT_ALL : LOGOUT_CREDS,
	};
	AUTOBUF struct buf frame = {0};
	struct logout_rep rep = {0};
	enum aw_err r;

	r = client_ask(fd, "logout@awsenv", MSG_LOGOUT_REQ, &req,
	    MSG_LOGOUT_REP, &rep, &frame, deadline);
	if (r == AW_OK) { /* forgotten, even where AWS could not be told */
		t->logins = rep.logins;
		t->roles = rep.roles;
	}
	return answered(t, r, rep.error, rep.text);
}

void
users_ask(const struct user *u, enum users_what what, int out, int64_t deadline)
{
	struct told t = {0};
	int fd = -1, tries = 2;
	enum aw_err r;

	/* A broker that is replaced meanwhile has the next answer. */
	do {
		t = (struct told){0};
		if (meet(u, &t, &fd, deadline) != AW_OK)
			break;
		if (what == USERS_STATUS)
			r = ask_status(&t, fd, deadline);
		else
			r = ask_logout(&t, what, fd, deadline);
		close(fd);
	} while (r == AW_GONE && --tries);
	_exit(write(out, &t, sizeof(t)) == sizeof(t) ? 0 : 1);
}
