/* SPDX-License-Identifier: ISC */
/*
 * The PAM module, grouped by file. It is a guest in somebody else's process,
 * mostly root's: no threads, handlers, statics or allocations that outlive a
 * call, nothing from the environment, every step under one deadline. What goes
 * wrong is logged and never keeps anybody from logging in.
 */
#ifndef PAM_AWSENV_H
#define PAM_AWSENV_H

#include <pwd.h>
#include <security/pam_modules.h>
#include <stdbool.h>
#include <stdint.h>

#include "awsenv/buf.h"
#include "awsenv/client.h"
#include "awsenv/msg.h"

/* options.c: the words behind the module's name in pam.d, which are root's. */

struct options {
	const char *mode;
	const char *services; /* lists: a,b,c; borrowed from libpam */
	const char *users;
	const char *groups;
	const char *exempt;
	uint32_t minimum_uid;
	uint32_t login;	   /* enum nudge_start */
	uint32_t wait;	   /* seconds; WAIT_UNSET: by the service */
	const char *agent; /* program to start where nobody listens */
	bool debug;
	bool quiet;
};

#define WAIT_UNSET UINT32_MAX

/* False: one of them has no such value, which is logged: do nothing. */
bool options_parse(
    pam_handle_t *, int argc, const char **argv, struct options *);
/* Does the list have that name? An entry may end in "*". */
bool list_has(const char *list, const char *name);

/* scope.c: for whom anything happens at all. */

struct person {
	const char *service;
	const struct passwd *pw; /* libpam's, until pam_end */
};

bool scope_has(pam_handle_t *, const struct options *, struct person *);

/* off.c: the administrator's kill switch. */

#define OFF_FOLDER "/etc/awsenv"

bool off_in(const char *folder);

/* place.c: where the agent of a user listens. */

struct place {
	int dir;		   /* that of the socket; -1: none yet */
	char runtime[CLIENT_PATH]; /* its parent, if it has one there */
	char path[CLIENT_PATH];	   /* of the socket, for AWSENV_SOCK */
};

/* With `create` the one below /run/awsenv is made where there is no runtime
 * directory. False: there is none. */
bool place_find(
    pam_handle_t *, const struct passwd *, bool create, struct place *);
/* The socket's directory again, after an agent may have made it. */
void place_enter(const struct passwd *, struct place *);
void place_leave(struct place *);

/* connect.c: one request to an agent that may be anything. */

struct answer_text {
	struct login_rep rep; /* views point into frame */
	struct buf frame;
};

/* AW_NOAGENT: nobody listens. AW_DENIED: it is not that user's. */
enum aw_err agent_connect(pam_handle_t *, const struct passwd *,
    const struct place *, int *fd, int64_t deadline);
/* The reply may be missing: AW_TIMEOUT is no failure. */
enum aw_err agent_nudge(
    int fd, const struct nudge_req *, struct answer_text *, int64_t deadline);

/* spawn.c: an agent where no service manager starts one. */

/* AW_OK: it listens. */
enum aw_err agent_spawn(pam_handle_t *, const struct passwd *,
    const struct place *, const char *program, int64_t deadline);

/* session.c */

int session_open(pam_handle_t *, const struct options *, int flags);
int session_close(pam_handle_t *, const struct options *);
void session_unlock(pam_handle_t *, const struct options *);

/* text.c: what a person is shown. */

/* False: there is nothing to show, or nothing that may be; or nobody sees it. */
bool text_show(pam_handle_t *, const struct person *, const struct login_rep *,
    bool whole);

#endif
