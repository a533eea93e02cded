/* SPDX-License-Identifier: ISC */
/*
 * Every user's agent, for root. users.c finds and waits, users_ask.c is the
 * child that meets one of them, users_report.c tells.
 */
#ifndef AWSENV_USERS_H
#define AWSENV_USERS_H

#include <sys/types.h>

#include "agent/cli/ctl/ctl.h"

enum users_what { USERS_STATUS, USERS_LOGOUT, USERS_LOGOUT_CREDS };

/* What one agent told, as its child hands it over: fits a pipe at once. */
struct told {
	uint32_t error; /* enum aw_err; AW_NOAGENT: none runs there */
	char text[256]; /* why; whoever prints it knows where it comes from */
	char version[32];
	uint32_t pid;
	uint32_t protected_;
	uint32_t restarts;
	int32_t skew;
	uint32_t keys_used, keys_max;
	uint32_t bytes_used, bytes_max;
	uint32_t logins, good, pending;
	uint32_t roles;
	uint32_t problems;
	uint64_t expires; /* the last good login does */
};

struct user {
	uid_t uid;
	char name[64]; /* or its number */
	/* /run/user/1000, and "awsenv" below it; or /run/awsenv/1000 */
	char parent[32];
	const char *below;
	pid_t pid;
	int fd;
	int64_t deadline;
	struct told told;
};

struct users {
	struct user *user;
	size_t n;
};

/* In a child: never returns. */
_Noreturn void users_ask(
    const struct user *, enum users_what, int fd, int64_t deadline);
/* "/run/user/1000/awsenv/agent.sock" */
bool users_path(const struct user *, char *out, size_t size);

int users_report(const struct users *, enum users_what, bool json);

#endif
