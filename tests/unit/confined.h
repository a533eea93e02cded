/* SPDX-License-Identifier: ISC */
/* Does each forbidden thing in a child of its own, from inside of a sandbox. */
#ifndef CONFINED_H
#define CONFINED_H

#include <stdbool.h>

struct attempt {
	const char *what;
	bool (*succeeds)(void);
};

enum confined {
	CONFINED_REFUSED, /* a call failed */
	CONFINED_KILLED,  /* by SIGSYS */
	CONFINED_LET,	  /* it could */
	CONFINED_NOT,	  /* the sandbox was not to be had */
};

/* enter() says whether the sandbox stands. */
enum confined confined_try(const struct attempt *, bool (*enter)(void));

/* Each of them has to end like this; without a sandbox the test is skipped. */
void confined_expect(const struct attempt *, unsigned int n,
    bool (*enter)(void), enum confined end);

/* Attempts that several sandboxes have in common. */
bool attempt_open(void);
bool attempt_create(void);
bool attempt_exec(void);
bool attempt_fork(void);
bool attempt_unix(void);
bool attempt_inet(void);
bool attempt_connect(void);
bool attempt_bind(void);
bool attempt_packet(void);
bool attempt_signal(void);
bool attempt_ptrace(void);
bool attempt_peek(void);
bool attempt_code(void);
bool attempt_join(void);
bool attempt_give_session(void);
bool attempt_link_key(void);
bool attempt_new_key(void);
bool attempt_request_key(void);
bool attempt_uring(void);
bool attempt_bpf(void);
bool attempt_mount(void);
bool attempt_namespace(void);
bool attempt_perf(void);
bool attempt_userfault(void);
bool attempt_dumpable(void);

/* What none of our processes may, whatever its sandbox makes of it. */
/* clang-format off */
#define ATTEMPTS_OF_NOBODY \
	{"trace", attempt_ptrace}, \
	{"read a process", attempt_peek}, \
	{"put a session keyring on the parent", attempt_give_session}, \
	{"link a key", attempt_link_key}, \
	{"request a key", attempt_request_key}, \
	{"io_uring", attempt_uring}, \
	{"bpf", attempt_bpf}, \
	{"mount", attempt_mount}, \
	{"a namespace", attempt_namespace}, \
	{"perf", attempt_perf}, \
	{"userfaultfd", attempt_userfault}
/* clang-format on */

#endif
