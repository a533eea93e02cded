/* SPDX-License-Identifier: ISC */
/*
 * The PAM module, grouped by file. It is a guest in somebody else's process,
 * mostly root's: no threads, handlers, statics or allocations that outlive a
 * call, nothing from the environment, every step under one deadline. In session
 * mode what goes wrong is logged and never keeps anybody from logging in; as a
 * factor it lets nobody in.
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

enum mode { MODE_SESSION, MODE_FACTOR };

/* Texts are borrowed from libpam; NULL: not given. */
struct options {
	uint32_t mode;
	const char *services; /* lists: a,b,c */
	const char *users;
	const char *groups;
	const char *exempt;
	uint32_t minimum_uid;
	uint32_t login;	   /* enum nudge_start */
	uint32_t wait;	   /* seconds; UNSET: by the service */
	const char *agent; /* program to start where nobody listens */
	bool debug;
	bool logout_last;
	bool quiet;
	/* of a factor */
	const char *start_url;
	const char *region;
	const char *account;
	const char *role;
	const char *domain; /* who approves is called NAME@domain */
	const char *map;    /* or as this file has it */
	const char *user;   /* that awsenv-fetch runs as */
	const char *fetch;  /* the program */
	const char *ca;
	const char *endpoint;
	uint32_t timeout;  /* seconds; UNSET: by the service */
	uint32_t enforce;  /* 0: decide nothing */
	uint32_t handover; /* 0: the agent does not get the login */
};

#define UNSET UINT32_MAX

/* False: one of them has no such value, which is logged: do nothing. */
bool options_parse(
    pam_handle_t *, int argc, const char **argv, struct options *);
/* Does the list have that name? An entry may begin or end in "*". */
bool list_has(const char *list, const char *name);

/* scope.c: for whom anything happens at all. */

struct person {
	const char *service;
	const struct passwd *pw; /* libpam's, until pam_end */
};

enum scope {
	SCOPE_IN,
	SCOPE_OUT,
	SCOPE_EXEMPT,  /* by services= or exempt= */
	SCOPE_UNKNOWN, /* there is no such user */
};

enum scope scope_of(pam_handle_t *, const struct options *, struct person *);
bool scope_has(pam_handle_t *, const struct options *, struct person *);
/* One of libpam's items, or NULL. */
const char *item_text(pam_handle_t *, int which);

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
/* /run/awsenv, root's own, into which nobody else can put anything; -1. */
int place_root(bool create);

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

enum aw_err agent_adopt(int fd, const struct adopt_req *, int64_t deadline);

/* spawn.c: programs as their users and nothing else. */

/* An agent where no service manager starts one. AW_OK: it listens. */
enum aw_err agent_spawn(pam_handle_t *, const struct passwd *,
    const struct place *, const char *program, int64_t deadline);
/* One awsenv-fetch, for so many seconds at most; *link is our end. */
enum aw_err fetch_spawn(pam_handle_t *, const struct passwd *,
    const char *program, unsigned int seconds, int *link);

/* session.c */

int session_open(pam_handle_t *, const struct options *, int flags);
int session_close(pam_handle_t *, const struct options *);
void session_unlock(pam_handle_t *, const struct options *);

/* factor.c: who reaches the line has to prove who he is. */

/* `sound`: all options have values that they may have. */
int factor_authenticate(
    pam_handle_t *, const struct options *, bool sound, int flags);
int factor_setcred(pam_handle_t *, const struct options *);

/* identity.c: is that the person of this name? */

#define PERSON_SIZE 64 /* a longer name may have been cut by AWS */

/* What the rule is read from, before anybody is asked. *map: a descriptor, -1
 * where there is no map. False: it is no rule, which is logged. */
bool identity_open(pam_handle_t *, const struct options *, int *map);
/* The person of an ARN that is of the partition, account and role that the
 * options say, whole; false: it is not. */
bool identity_read(
    const struct options *, struct view arn, char person[static PERSON_SIZE]);
/* May that person be this local user? */
bool identity_is(
    const struct options *, int map, const char *local, const char *person);

/* limit.c: how many attempts there may be. */

#define LIMIT_OPEN 3

struct limit {
	int held[2]; /* locks */
	int times;   /* file of the user's attempts */
};

/* AW_BUSY: there are too many, and *why says of whom. Others: it cannot be
 * known. What is held is given back by limit_leave() or the process's end. */
enum aw_err limit_enter(struct limit *, uid_t, const char *rhost,
    int64_t deadline, const char **why);
void limit_leave(struct limit *);
/* The person was there: his attempts until now do not count. */
void limit_forgive(struct limit *);

/* terminal.c: the one that login(1) has. */

void terminal_qr(pam_handle_t *, const struct login_rep *, struct buf *out);

/* handover.c: the login that a factor brought, for the agent. */

void handover_keep(
    pam_handle_t *, const struct passwd *, const struct answer *);
/* True: there was one; it is not there any more. Views point into the buffer. */
bool handover_claim(const struct passwd *, struct buf *, struct adopt_req *);

/* text.c: what a person is shown. */

struct printable {
	char text[81];
};

/* What is not printable ASCII becomes "?", what is too long is cut. */
struct printable text_printable(struct view);

/* False: there is nothing to show, or nothing that may be; or nobody sees it. */
bool text_show(pam_handle_t *, const struct person *, const struct login_rep *,
    bool whole);

/* A code that somebody is to approve, here and now. */
struct question {
	const char *user;
	const char *rhost; /* or NULL */
	const char *endpoint;
	struct view url;
	struct view code;
	unsigned int seconds; /* that are left */
	bool again;
};

/* PAM_SUCCESS: he says that it is done; else nobody can be asked. */
int text_ask(pam_handle_t *, const struct question *);

#endif
