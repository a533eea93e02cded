/* SPDX-License-Identifier: ISC */
#include "awsenv/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "awsenv/own.h"

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * LINK_FDS)];
};

int
link_pair(int fd[2])
{
	return socketpair(
	    AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd);
}

static enum aw_err
from_errno(void)
{
	switch (errno) {
	case EAGAIN:
	case ENOBUFS:
		return AW_BUSY;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return AW_GONE;
	default:
		return AW_SYSTEM;
	}
}

enum aw_err
link_send(int fd, const struct link *l)
{
	struct link out = *l;
	struct iovec iov = {&out, sizeof(out)};
	union control control = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	out.version = MSG_VERSION;
	if (l->nfds > 0) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)l->nfds);
		c = &control.align;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)l->nfds);
		memcpy(CMSG_DATA(c), l->fds, sizeof(int) * (size_t)l->nfds);
	}
	while (sendmsg(fd, &m, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return from_errno();
	}
	return AW_OK;
}

static void
take_fds(struct msghdr *m, struct link *l)
{
	struct cmsghdr *c;

	l->nfds = 0;
	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		l->nfds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(l->fds, CMSG_DATA(c), sizeof(int) * (size_t)l->nfds);
	}
}

enum aw_err
link_recv(int fd, struct link *l)
{
	/* cppcheck-suppress ctuuninitvar; it is written to, not read */
	struct iovec iov = {l, sizeof(*l)};
	union control control = {0};
	struct msghdr m = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space),
	};
	int claimed;
	ssize_t n;

	while ((n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC)) < 0) {
		if (errno != EINTR)
			return from_errno();
	}
	if (n == 0)
		return AW_GONE;
	claimed = n == sizeof(*l) && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
	    ? l->nfds
	    : -1;
	take_fds(&m, l);
	if (claimed == l->nfds && l->version == MSG_VERSION)
		return AW_OK;
	while (l->nfds > 0)
		close(l->fds[--l->nfds]);
	return AW_PROTO;
}

enum aw_err
link_send_msg(int fd, enum msg_kind kind, const void *msg)
{
	AUTOBUF struct buf b = {0};

	buf_u8(&b, (uint8_t)kind);
	msg_encode(kind, msg, &b);
	if (b.bad || b.len > LINK_MAX)
		return AW_PROTO;
	while (send(fd, b.data, b.len, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return from_errno();
	}
	return AW_OK;
}

enum aw_err
link_peek_msg(
    int fd, struct buf *packet, enum msg_kind *kind, struct view *body)
{
	uint8_t byte;
	ssize_t n;

	buf_reset(packet);
	if (!buf_reserve(packet, LINK_MAX))
		return AW_NOMEM;
	while (
	    (n = recv(fd, packet->data, LINK_MAX, MSG_PEEK | MSG_TRUNC)) < 0) {
		if (errno != EINTR)
			return from_errno();
	}
	if (n == 0)
		return AW_GONE;
	if (n > LINK_MAX)
		return AW_PROTO;
	packet->len = (size_t)n;
	*body = view_of(packet);
	if (!view_u8(body, &byte) || byte >= MSG__MAX)
		return AW_PROTO;
	*kind = byte;
	return AW_OK;
}

enum aw_err
link_drop(int fd)
{
	char byte;

	/* A packet is taken off whole, however little of it is asked for. That
	 * the other end was closed meanwhile is said once, and before it. */
	while (recv(fd, &byte, 1, 0) < 0) {
		if (errno != EINTR && errno != ECONNRESET)
			return from_errno();
	}
	return AW_OK;
}
