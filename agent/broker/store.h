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

/* AW_OK only if our session keyring is `session` and has the ring in it.
 * AW_NOMEM: that cannot be seen for now. */
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

/*
 * vault.c: what the ring has no room for, in the supervisor's memfd. AW_GONE:
 * nothing that opens is there; AW_BUSY: no cells are left; others as above.
 */
#define VAULT_NAME "awsenv:vault" /* the key that the supervisor made */
#define VAULT_KEY 32

/* Takes over fd. */
enum aw_err vault_open(int fd, int32_t ring);
void vault_close(void);
/* The serial of its key in the ring. */
int32_t vault_key(void);
enum aw_err vault_put(struct view payload, uint32_t *cell);
enum aw_err vault_get(uint32_t cell, uint32_t size, struct buf *out);
void vault_drop(uint32_t cell, uint32_t size);
/* The first record of an earlier broker in *cell or behind it, once each. What
 * does not open is thrown out. AW_GONE: that was the last. */
enum aw_err vault_next(uint32_t *cell, uint32_t *size, struct buf *out);

/* quota.c: what /proc/key-users says of a user, false if nothing. */
struct store_usage;
bool quota_read(int fd, unsigned int uid, struct store_usage *);

#endif
