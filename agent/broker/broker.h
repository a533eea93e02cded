/* SPDX-License-Identifier: ISC */
/*
 * The broker's rooms, grouped by file. main -> conn -> request -> {login,
 * store, job}; the last three never call upwards.
 */
#ifndef AWSENV_BROKER_H
#define AWSENV_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "awsenv/buf.h"
#include "awsenv/err.h"
#include "awsenv/msg.h"

/* loop.c: the only place that sleeps, and the only clock. */

/* Seconds since 1970 by this machine's clock. Tests replace it. */
uint64_t loop_time(void);

/* store.c: the kernel keyring, and the only file that says keyctl. */

enum store_kind {
	KEY_ROLE = 0, /* role credentials */
	KEY_TOK = 1,  /* access token */
	KEY_REF = 2,  /* registration and refresh token */
	KEY_DEV = 3,  /* a device authorization under way */
	KEY_LOCK = 4, /* the agent is locked */
	KEY__MAX
};

struct store_usage {
	uint32_t keys_used; /* of this user, by all programs */
	uint32_t keys_max;
	uint32_t bytes_used;
	uint32_t bytes_max;
};

struct store_entry {
	int32_t serial; /* 0: in memory, the keyring had no room */
	enum store_kind kind;
	uint32_t size;	      /* of the payload */
	uint64_t timeout;     /* when the kernel drops it */
	struct record record; /* borrowed; sealed is there, do not keep it */
};

/*
 * Take over the ring that the supervisor made. It is given by serial and never
 * searched for: a child of the supervisor could have planted another session
 * (keyring.md). AW_OK; AW_DENIED: the session keyring of this process is not
 * `session`, or the ring is not ours: exit at once. `key_users` is an open
 * /proc/key-users or -1; the store owns it from here on.
 */
enum aw_err store_open(int32_t ring, int32_t session, int key_users);

/*
 * Keep a record (kind and version are set here) until it expires. Takes the place of an older one with
 * the same kind and id. When the quota is full, expired entries and then the
 * role credentials that end first make room; what still does not fit is kept
 * in memory. AW_OK either way; AW_NOMEM; AW_DENIED: the ring is no longer
 * ours, fatal for the caller.
 */
enum aw_err store_put(enum store_kind, const struct record *);

/* AW_OK: *record's views point into *out. AW_GONE: not there or expired. */
enum aw_err store_get(
    enum store_kind, struct view id, struct buf *out, struct record *);

void store_drop(enum store_kind, struct view id);
/* All entries of the kinds in the mask (1 << KEY_ROLE ...) whose id begins
 * with `prefix` (empty: all). Revoked first, so that nothing lingers. Returns
 * how many. */
unsigned int store_drop_all(unsigned int kinds, struct view prefix);
/* Calls fn for every live entry; fn must not change the store. */
void store_each(unsigned int kinds,
    void (*fn)(const struct store_entry *, void *), void *arg);
void store_usage(struct store_usage *);
/* Wipe what is kept in memory. */
void store_close(void);

#endif
