/* SPDX-License-Identifier: ISC */
/*
 * Blocking input and output with a deadline, for clients and one-shot
 * programs, and the ssh-agent frame (RFC 9987: u32 length, type byte).
 * Deadlines are milliseconds by CLOCK_MONOTONIC from io_deadline(); -1: none.
 */
#ifndef AWSENV_IO_H
#define AWSENV_IO_H

#include <stdint.h>
#include <sys/types.h>

#include "awsenv/buf.h"
#include "awsenv/err.h"

/* Message numbers of RFC 9987 that we speak. */
enum agent_message {
	SSH_AGENT_FAILURE = 5,
	SSH_AGENT_SUCCESS = 6,
	SSH_AGENTC_REQUEST_IDENTITIES = 11,
	SSH_AGENT_IDENTITIES_ANSWER = 12,
	SSH_AGENTC_SIGN_REQUEST = 13,
	SSH_AGENTC_EXTENSION = 27,
	SSH_AGENT_EXTENSION_FAILURE = 28,
	SSH_AGENT_EXTENSION_RESPONSE = 29,
};

int64_t io_deadline(int ms);

/* Wait until fd is ready for `events` of poll(2). AW_OK, AW_TIMEOUT or
 * AW_SYSTEM. */
enum aw_err io_wait(int fd, short events, int64_t deadline);

/* fd must not block. AW_GONE: the other side closed. */
enum aw_err io_write(int fd, struct view, int64_t deadline);
enum aw_err io_read(int fd, void *, size_t, int64_t deadline);

/*
 * The same, with a descriptor that is good for nothing: no relay to another
 * host can pass one on, so it shows an agent that who asks is on its machine.
 * io_send_here() is as send(2).
 */
ssize_t io_send_here(int fd, struct view);
enum aw_err io_write_here(int fd, struct view, int64_t deadline);

/* An extension request: u32 length, byte 27, string name, body. */
void io_put_request(struct buf *, const char *name, struct view body);

/*
 * Read one reply frame into *frame (reset first) and point *body at what
 * follows the name. AW_OK for 29 with that name; AW_DENIED for 5, "no such
 * request here"; AW_PROTO for 28 and everything else; AW_GONE, AW_TIMEOUT.
 */
enum aw_err io_get_reply(int fd, const char *name, struct buf *frame,
    struct view *body, int64_t deadline);

#endif
