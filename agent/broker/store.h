/* SPDX-License-Identifier: ISC */
/* What store.c stands on, and nobody else uses. */
#ifndef AWSENV_STORE_H
#define AWSENV_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "awsenv/buf.h"
#include "awsenv/err.h"

/*
 * key.c: one kernel key at a time. Everywhere: AW_GONE: the key is not there,
 * has expired or is revoked; AW_BUSY: no quota or no kernel memory left;
 * AW_DENIED: it is not in our possession; AW_SYSTEM: what cannot happen.
 */
#define KEY_PERM 0x3f000000u /* all for the possessor, nothing for others */
#define KEY_RING "awsenv:v1"
#define KEY_BYTES 32767 /* most bytes of a payload */
#define KEY_DESC 48	/* longest description we make, with its NUL */

/* AW_OK only if our session keyring is `session` and has the ring in it. */
enum aw_err key_claim(int32_t ring, int32_t session);

/* Make or overwrite. seconds: until the kernel drops it; 0: never. */
enum aw_err key_write(int32_t ring, const char *desc, struct view payload,
    uint32_t seconds, int32_t *serial);
/* Give an existing key its timeout and permissions once more. */
enum aw_err key_arm(int32_t serial, uint32_t seconds);
/* Of a ring it gives the serials in it, for key_listed(). */
enum aw_err key_read(int32_t serial, struct buf *out);
int32_t key_listed(const struct buf *list, unsigned int i);
enum aw_err key_find(int32_t ring, const char *desc, int32_t *serial);
/* Its description if it is a key of type "user". AW_PROTO: something else. */
enum aw_err key_name(int32_t serial, char desc[static KEY_DESC]);
/* Revoke, then unlink: only revoking gives the quota back at once. */
void key_forget(int32_t ring, int32_t serial);

/* tier.c: memory that is not swapped, not dumped, and wiped when given back. */
void *tier_new(struct view payload); /* NULL: no memory */
void tier_free(void *, uint32_t size);

/* quota.c: what /proc/key-users says of a user, false if nothing. */
struct store_usage;
bool quota_read(int fd, unsigned int uid, struct store_usage *);

#endif
