/* SPDX-License-Identifier: ISC */
/* The client's side of the agent's socket. No policy, no printing. */
#ifndef AWSENV_CLIENT_H
#define AWSENV_CLIENT_H

#include <sys/types.h>

#include "awsenv/buf.h"
#include "awsenv/err.h"
#include "awsenv/msg.h"

#define CLIENT_PATH 108 /* sun_path, with its NUL */

/*
 * The first directory that is a real one, ours and 0700: $XDG_RUNTIME_DIR/awsenv,
 * /run/user/UID/awsenv, /run/awsenv/UID. With `create`, the first whose parent
 * passes the same test is made. AW_OK; AW_NOAGENT: none; AW_SYSTEM with errno.
 */
enum aw_err client_dir(char dir[static CLIENT_PATH], bool create);

/*
 * $AWSENV_SOCK, else agent.sock in client_dir(). AW_OK; AW_NOAGENT: no such
 * directory; AW_CONFIG: AWSENV_SOCK is too long or not absolute.
 */
enum aw_err client_path(char path[static CLIENT_PATH]);

/*
 * Connect, and see that the socket's owner is this user (or root, whose socket
 * a service manager may have made). *fd does not block and is close-on-exec.
 * AW_OK; AW_NOAGENT: nobody listens; AW_DENIED: somebody else's; AW_BUSY: its
 * backlog is full until the deadline; AW_SYSTEM with errno.
 */
enum aw_err client_connect(const char *path, int *fd, int64_t deadline);
/* The same for root, to another user's: the owner is that user, not root. */
enum aw_err client_connect_to(
    const char *path, uid_t owner, int *fd, int64_t deadline);

/*
 * One request and its reply. `frame` keeps the reply's bytes; views of *rep
 * point into it. AW_OK: a reply of that kind, whose own error field may say
 * no; else as io_get_reply(): AW_GONE is worth a reconnect and another try.
 */
enum aw_err client_ask(int fd, const char *name, enum msg_kind req_kind,
    const void *req, enum msg_kind rep_kind, void *rep, struct buf *frame,
    int64_t deadline);

#endif
