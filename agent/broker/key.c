/* SPDX-License-Identifier: ISC */
/*
 * One kernel key at a time, by serial, and what each errno of the key calls
 * means to us. Knows nothing of what is in a payload.
 *
 * An unchecked serial of -1 would mean "my thread keyring" to the next call:
 * no result of a call goes into another before it was looked at.
 */
#include "store.h"

#include <errno.h>
#include <keyutils.h>
#include <stdio.h>
#include <string.h>

#include "awsenv/own.h"

static enum aw_err
from_errno(void)
{
	switch (errno) {
	case ENOKEY:
	case EKEYEXPIRED:
	case EKEYREVOKED:
		return AW_GONE;
	case EDQUOT:
	case ENOMEM:
		return AW_BUSY;
	case EACCES:
	case EPERM:
		return AW_DENIED;
	default:
		return AW_SYSTEM;
	}
}

/* "type;uid;gid;perm;description": the description may have ';' in it. */
static enum aw_err
describe(int32_t serial, char type[static 16], unsigned int *uid,
    unsigned int *perm, char desc[static KEY_DESC])
{
	char text[128];
	long n = keyctl_describe(serial, text, sizeof(text));

	if (n < 0)
		return from_errno();
	/* A text that is too long for the buffer was not written at all. */
	if (n > (long)sizeof(text))
		return AW_PROTO;
	if (sscanf(text, "%15[^;];%u;%*u;%x;%47[^\n]", type, uid, perm, desc) !=
	    4)
		return AW_PROTO;
	return AW_OK;
}

/* AW_GONE: it has not. */
static enum aw_err
ring_has(int32_t ring, int32_t serial)
{
	AUTOBUF struct buf list = {0};
	unsigned int i;
	enum aw_err r;

	if ((r = key_read(ring, &list)) != AW_OK)
		return r;
	for (i = 0; i < list.len / sizeof(serial); i++) {
		if (key_listed(&list, i) == serial)
			return AW_OK;
	}
	return AW_GONE;
}

/* A want of memory says nothing about the ring. */
static bool
passes(enum aw_err r)
{
	return r == AW_NOMEM || r == AW_BUSY;
}

enum aw_err
key_claim(int32_t ring, int32_t session)
{
	char type[16], desc[KEY_DESC];
	unsigned int uid, perm;
	key_serial_t own;
	enum aw_err r;

	if (ring <= 0 || session <= 0)
		return AW_DENIED;
	own = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);
	if (own != session)
		return own < 0 && passes(from_errno()) ? AW_NOMEM : AW_DENIED;
	if ((r = ring_has(session, ring)) != AW_OK ||
	    (r = describe(ring, type, &uid, &perm, desc)) != AW_OK)
		return passes(r) ? AW_NOMEM : AW_DENIED;
	if (strcmp(type, "keyring") != 0 || strcmp(desc, KEY_RING) != 0 ||
	    uid != geteuid() || perm != KEY_PERM)
		return AW_DENIED;
	return AW_OK;
}

enum aw_err
key_arm(int32_t serial, uint32_t seconds)
{
	if (keyctl_set_timeout(serial, seconds) != 0)
		return from_errno();
	if (keyctl_setperm(serial, KEY_PERM) != 0)
		return from_errno();
	return AW_OK;
}

/*
 * Overwriting is add_key, too: unlike keyctl_update it takes more than a page.
 * Both take the timeout away, so it is set after every write; a key that
 * cannot have one would outlive what it holds and goes at once.
 */
enum aw_err
key_write(int32_t ring, const char *desc, struct view payload, uint32_t seconds,
    int32_t *serial)
{
	bool again = true;
	enum aw_err r;
	key_serial_t k;

	while ((k = add_key("user", desc, payload.p, payload.n, ring)) < 0) {
		if (errno == EINTR || errno == EAGAIN)
			continue;
		if (errno == ENOMEM && again) {
			again = false;
			continue;
		}
		/* A revoked key is displaced: this is the ring itself. */
		if (errno == EKEYREVOKED || errno == ENOKEY)
			return AW_DENIED;
		return from_errno();
	}
	if ((r = key_arm(k, seconds)) != AW_OK) {
		key_forget(ring, k);
		return r == AW_BUSY ? AW_BUSY : AW_SYSTEM;
	}
	*serial = k;
	return AW_OK;
}

enum aw_err
key_read(int32_t serial, struct buf *out)
{
	long n = 2048, room; /* a multiple of 4, or no ring can be read */

	buf_reset(out);
	do {
		room = n;
		if (!buf_reserve(out, (size_t)room))
			return AW_NOMEM;
		n = keyctl_read(serial, (char *)out->data, (size_t)room);
		if (n < 0)
			return from_errno();
		/* Too small a buffer is left untouched, the size wanted comes
		 * back, and the key may have grown again by the next try. */
	} while (n > room);
	out->len = (size_t)n;
	return AW_OK;
}

enum aw_err
key_find(int32_t ring, const char *desc, int32_t *serial)
{
	long k = keyctl_search(ring, "user", desc, 0);

	if (k < 0)
		return from_errno();
	*serial = (int32_t)k;
	return AW_OK;
}

enum aw_err
key_name(int32_t serial, char desc[static KEY_DESC])
{
	unsigned int uid, perm;
	char type[16];
	enum aw_err r;

	if ((r = describe(serial, type, &uid, &perm, desc)) != AW_OK)
		return r;
	return strcmp(type, "user") == 0 ? AW_OK : AW_PROTO;
}

void
key_forget(int32_t ring, int32_t serial)
{
	/* An expired key cannot be revoked, only unlinked; one that the kernel
	 * was faster with, neither. Both are what we want. */
	keyctl_revoke(serial);
	keyctl_unlink(serial, ring);
}

int32_t
key_listed(const struct buf *list, unsigned int i)
{
	int32_t serial;

	memcpy(&serial, list->data + i * sizeof(serial), sizeof(serial));
	return serial;
}
