/* SPDX-License-Identifier: ISC */
#include "awsenv/io.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "awsenv/own.h"

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
io_deadline(int ms)
{
	return ms < 0 ? -1 : now_ms() + ms;
}

enum aw_err
io_wait(int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left;
	int n;

	for (;;) {
		left = deadline < 0 ? -1 : deadline - now_ms();
		if (deadline >= 0 && left < 0)
			left = 0;
		n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return AW_OK;
		if (n == 0)
			return AW_TIMEOUT;
		if (errno != EINTR)
			return AW_SYSTEM;
	}
}

ssize_t
io_send_here(int fd, struct view v)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {{0}};
	struct iovec part = {(void *)(uintptr_t)v.p, v.n};
	struct msghdr m = {
	    .msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control),
	};
	AUTOCLOSE int idle = eventfd(0, EFD_CLOEXEC);
	ssize_t n;

	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.head), &idle, sizeof(int));
	n = sendmsg(fd, &m, MSG_NOSIGNAL);
	/* Too many are under way, or there is none: then without. */
	if (n < 0 && (errno == ETOOMANYREFS || errno == EBADF))
		n = send(fd, v.p, v.n, MSG_NOSIGNAL);
	return n;
}

static enum aw_err
write_all(int fd, struct view v, int64_t deadline, bool here)
{
	enum aw_err r;
	ssize_t n;

	while (v.n) {
		n = here ? io_send_here(fd, v) : write(fd, v.p, v.n);
		if (n > 0) {
			v.p += n;
			v.n -= (uint32_t)n;
			here = false;
		} else if (errno == EAGAIN) {
			if ((r = io_wait(fd, POLLOUT, deadline)) != AW_OK)
				return r;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return AW_GONE;
		} else if (errno != EINTR) {
			return AW_SYSTEM;
		}
	}
	return AW_OK;
}

enum aw_err
io_write(int fd, struct view v, int64_t deadline)
{
	return write_all(fd, v, deadline, false);
}

enum aw_err
io_write_here(int fd, struct view v, int64_t deadline)
{
	return write_all(fd, v, deadline, true);
}

enum aw_err
io_read(int fd, void *out, size_t size, int64_t deadline)
{
	char *p = out;
	enum aw_err r;
	ssize_t n;

	while (size) {
		n = read(fd, p, size);
		if (n > 0) {
			p += n;
			size -= (size_t)n;
		} else if (n == 0 || errno == ECONNRESET) {
			return AW_GONE;
		} else if (errno == EAGAIN) {
			if ((r = io_wait(fd, POLLIN, deadline)) != AW_OK)
				return r;
		} else if (errno != EINTR) {
			return AW_SYSTEM;
		}
	}
	return AW_OK;
}

void
io_put_request(struct buf *b, const char *name, struct view body)
{
	struct view n = view_str(name);

	buf_u32(b, 1 + 4 + n.n + body.n);
	buf_u8(b, SSH_AGENTC_EXTENSION);
	buf_string(b, n);
	buf_put(b, body.p, body.n);
}

static enum aw_err
read_frame(int fd, struct buf *frame, int64_t deadline)
{
	uint8_t wire[4];
	struct view head = {wire, sizeof(wire)};
	enum aw_err r;
	uint32_t n;

	if ((r = io_read(fd, wire, sizeof(wire), deadline)) != AW_OK)
		return r;
	view_u32(&head, &n);
	if (n == 0 || n > BUF_MAX)
		return AW_PROTO;
	buf_reset(frame);
	if (!buf_reserve(frame, n))
		return AW_NOMEM;
	frame->len = n;
	return io_read(fd, frame->data, n, deadline);
}

enum aw_err
io_get_reply(int fd, const char *name, struct buf *frame, struct view *body,
    int64_t deadline)
{
	struct view got;
	enum aw_err r;
	uint8_t type;

	if ((r = read_frame(fd, frame, deadline)) != AW_OK)
		return r;
	*body = view_of(frame);
	if (!view_u8(body, &type))
		return AW_PROTO;
	if (type == SSH_AGENT_FAILURE)
		return AW_DENIED;
	if (type != SSH_AGENT_EXTENSION_RESPONSE || !view_string(body, &got) ||
	    !view_is(got, name))
		return AW_PROTO;
	return AW_OK;
}
