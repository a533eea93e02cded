/* SPDX-License-Identifier: ISC */
#include "awsenv/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

/* A directory that nobody else may enter: no symbolic link, ours, 0700. */
static bool
is_private(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
	    st.st_uid == geteuid() && (st.st_mode & 07777) == 0700;
}

static enum aw_err
try_dir(char dir[static CLIENT_PATH], const char *parent, const char *name,
    bool create)
{
	if (!str_join(dir, CLIENT_PATH - sizeof("/forward.sock"), parent, "/",
		name, NULL))
		return AW_NOAGENT;
	if (is_private(dir))
		return AW_OK;
	if (!create || !is_private(parent))
		return AW_NOAGENT;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return AW_SYSTEM;
	/* A umask may have taken bits away; somebody else may have been first. */
	if (chmod(dir, 0700) != 0)
		return AW_SYSTEM;
	return is_private(dir) ? AW_OK : AW_NOAGENT;
}

enum aw_err
client_dir(char dir[static CLIENT_PATH], bool create)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char parent[64], digits[16], *uid = digits + sizeof(digits) - 1;
	unsigned long n = geteuid();
	enum aw_err r = AW_NOAGENT;

	*uid = '\0';
	do {
		*--uid = (char)('0' + n % 10);
	} while (n /= 10);
	str_join(parent, sizeof(parent), "/run/user/", uid, NULL);
	if (xdg && xdg[0] == '/')
		r = try_dir(dir, xdg, "awsenv", create);
	if (r == AW_NOAGENT)
		r = try_dir(dir, parent, "awsenv", create);
	if (r == AW_NOAGENT)
		r = try_dir(dir, "/run/awsenv", uid, false);
	return r;
}

enum aw_err
client_path(char path[static CLIENT_PATH])
{
	const char *named = getenv("AWSENV_SOCK");
	char dir[CLIENT_PATH];
	enum aw_err r;

	if (named && *named) {
		if (named[0] != '/' ||
		    !str_join(path, CLIENT_PATH, named, NULL))
			return AW_CONFIG;
		return AW_OK;
	}
	if ((r = client_dir(dir, false)) != AW_OK)
		return r;
	str_join(path, CLIENT_PATH, dir, "/agent.sock", NULL);
	return AW_OK;
}

static enum aw_err
connect_until(int fd, const struct sockaddr_un *addr, int64_t deadline)
{
	const struct sockaddr *sa = (const struct sockaddr *)addr;

	while (connect(fd, sa, sizeof(*addr)) != 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			/* The backlog is full and there is nothing to poll for. */
			if (io_deadline(0) >= deadline)
				return AW_BUSY;
			poll(NULL, 0, 5);
			continue;
		case ENOENT:
		case ECONNREFUSED:
			return AW_NOAGENT;
		case EACCES:
			return AW_DENIED;
		default:
			return AW_SYSTEM;
		}
	}
	return AW_OK;
}

enum aw_err
client_connect_to(const char *path, uid_t owner, int *fd, int64_t deadline)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTOCLOSE int s = -1;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	enum aw_err r;

	if (!str_join(addr.sun_path, sizeof(addr.sun_path), path, NULL))
		return AW_CONFIG;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return AW_SYSTEM;
	if ((r = connect_until(s, &addr, deadline)) != AW_OK)
		return r;
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return AW_SYSTEM;
	if (peer.uid != owner && (peer.uid != 0 || owner != geteuid()))
		return AW_DENIED;
	*fd = STEAL_FD(s);
	return AW_OK;
}

enum aw_err
client_connect(const char *path, int *fd, int64_t deadline)
{
	return client_connect_to(path, geteuid(), fd, deadline);
}

enum aw_err
client_ask(int fd, const char *name, enum msg_kind req_kind, const void *req,
    enum msg_kind rep_kind, void *rep, struct buf *frame, int64_t deadline)
{
	AUTOBUF struct buf body = {0}, out = {0};
	struct view got;
	enum aw_err r;

	msg_encode(req_kind, req, &body);
	io_put_request(&out, name, view_of(&body));
	if (body.bad || out.bad)
		return AW_NOMEM;
	if ((r = io_write_here(fd, view_of(&out), deadline)) != AW_OK)
		return r;
	r = io_get_reply(fd, name, frame, &got, deadline);
	if (r != AW_OK)
		return r;
	return msg_decode(rep_kind, got, rep) ? AW_OK : AW_PROTO;
}
