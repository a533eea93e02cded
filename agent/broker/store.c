/* SPDX-License-Identifier: ISC */
/*
 * The records that are kept: where each is, how long, and what gives way when
 * there is no room. A key of the ring is the place for a record; role
 * credentials that find no room there, or make some for a login, are in the
 * vault. A table in memory says where things are; what they are is read each
 * time, and its identity and expiry are checked, since a key may vanish or
 * outlive its time. Never knows what is in the sealed part.
 */
#include "agent/broker/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"
#include "store.h"

#define RECORD_VERSION 1
#define GRACE 60		    /* seconds a key outlives what it holds */
#define FOREVER (10u * 365 * 86400) /* a timeout the kernel can add to now */

struct slot {
	enum store_kind kind;
	uint64_t hash;	/* of id */
	struct view id; /* owned */
	int32_t serial; /* 0: not in the ring */
	bool in_vault;
	uint32_t cell; /* where, if it is */
	uint32_t size;
	uint64_t expires; /* of the record; 0: never */
	uint64_t timeout; /* when it goes, whatever it says; 0: never */
};

static const char *const kinds[KEY__MAX] = {
    [KEY_ROLE] = "role",
    [KEY_TOK] = "tok",
    [KEY_REF] = "ref",
    [KEY_DEV] = "dev",
    [KEY_LOCK] = "lock",
    [KEY_PERMIT] = "permit",
};

static struct {
	int32_t ring;
	int key_users;
	bool lost; /* the ring is not ours any more */
	bool told; /* that the quota is full */
	struct slot *slots;
	unsigned int n, cap;
} store = {.key_users = -1};

/* ---- the table ---- */

/* FNV-1a. A collision costs a fetch, not a mix-up: identities are compared. */
static uint64_t
hash(struct view id)
{
	uint64_t h = 0xcbf29ce484222325u;
	uint32_t i;

	for (i = 0; i < id.n; i++)
		h = (h ^ id.p[i]) * 0x100000001b3u;
	return h;
}

static void
describe(char desc[static KEY_DESC], enum store_kind kind, uint64_t h)
{
	snprintf(desc, KEY_DESC, "awsenv:1:%s:%016llx", kinds[kind],
	    (unsigned long long)h);
}

static struct slot *
slot_find(enum store_kind kind, struct view id)
{
	uint64_t h = hash(id);
	unsigned int i;
	struct slot *s;

	for (i = 0; i < store.n; i++) {
		s = &store.slots[i];
		if (s->hash == h && s->kind == kind && view_eq(s->id, id))
			return s;
	}
	return NULL;
}

static struct slot *
slot_new(enum store_kind kind, struct view id)
{
	unsigned int cap = store.cap ? store.cap * 2 : 16;
	struct slot *grown;
	uint8_t *copy;

	if (store.n == store.cap) {
		grown = reallocarray(store.slots, cap, sizeof(*grown));
		if (!grown)
			return NULL;
		store.slots = grown;
		store.cap = cap;
	}
	if (!(copy = malloc(id.n ? id.n : 1)))
		return NULL;
	if (id.n)
		memcpy(copy, id.p, id.n);
	grown = &store.slots[store.n++];
	*grown = (struct slot){.kind = kind, .hash = hash(id)};
	grown->id.p = copy;
	grown->id.n = id.n;
	return grown;
}

/* Give back what the slot holds; the slot itself stays. */
static void
slot_clear(struct slot *s)
{
	if (s->serial)
		key_forget(store.ring, s->serial);
	if (s->in_vault)
		vault_drop(s->cell, s->size);
	s->serial = 0;
	s->in_vault = false;
}

/* The last slot takes its place: walk backwards when dropping. */
static void
slot_drop(struct slot *s)
{
	slot_clear(s);
	free((void *)(uintptr_t)s->id.p);
	*s = store.slots[--store.n];
}

static bool
slot_expired(const struct slot *s, uint64_t now)
{
	return (s->expires && s->expires <= now) ||
	    (s->timeout && s->timeout <= now);
}

static void
drop_expired(void)
{
	uint64_t now = loop_time();
	unsigned int i;

	for (i = store.n; i-- > 0;) {
		if (slot_expired(&store.slots[i], now))
			slot_drop(&store.slots[i]);
	}
}

/* The role credentials that end first can be had again; nothing else can. */
static struct slot *
first_role(bool in_vault, const struct slot *keep)
{
	struct slot *s, *first = NULL;
	unsigned int i;

	for (i = 0; i < store.n; i++) {
		s = &store.slots[i];
		if (s->kind != KEY_ROLE || s == keep ||
		    !(in_vault ? s->in_vault : s->serial != 0))
			continue;
		if (!first || s->expires < first->expires)
			first = s;
	}
	return first;
}

/* ---- the ring ---- */

/* A ring that is not ours any more may be somebody's trap: forget it all and
 * write nothing again. */
static enum aw_err
ring_lost(void)
{
	if (!store.lost)
		log_err("the keyring is not ours any more");
	store.lost = true;
	store_close();
	return AW_DENIED;
}

/* Seconds until the kernel is to drop a record, 0 for never. */
static uint32_t
seconds_left(const struct record *r, uint64_t now)
{
	uint64_t left = r->expires ? r->expires - now + GRACE : 0;

	return left > FOREVER ? FOREVER : (uint32_t)left;
}

static void
slot_set(struct slot *s, const struct record *r, uint32_t size,
    uint32_t seconds, uint64_t now)
{
	s->size = size;
	s->expires = r->expires;
	s->timeout = seconds ? now + seconds : 0;
}

/* A slot that is given up stays, empty, until the put is over: others are
 * pointed at in the same table. */
static void
slot_void(struct slot *s)
{
	slot_clear(s);
	s->expires = 1;
}

static enum aw_err
put_in_vault(struct slot *s, struct view payload)
{
	struct slot *victim;
	uint32_t cell;
	enum aw_err r;

	while ((r = vault_put(payload, &cell)) == AW_BUSY &&
	    (victim = first_role(true, s)))
		slot_void(victim);
	if (r != AW_OK)
		return r;
	/* Never leave an older one in the ring: a new broker would find it. */
	slot_clear(s);
	s->in_vault = true;
	s->cell = cell;
	s->size = payload.n;
	if (!store.told)
		log_info("half of this user's quota of keys is in use: more "
			 "role credentials are kept sealed in memory");
	store.told = true;
	return AW_OK;
}

/* Until it is written anew there are two of it, and one is as good as the
 * other. */
static void
move_to_vault(struct slot *s)
{
	AUTOBUF struct buf payload = {0};
	int32_t serial = s->serial;

	s->serial = 0;
	if (key_read(serial, &payload) != AW_OK ||
	    put_in_vault(s, view_of(&payload)) != AW_OK)
		slot_void(s);
	key_forget(store.ring, serial);
}

/* The quota is all programs' of this user: role credentials leave half of it
 * to them and to logins. */
static bool
quota_for_role(uint32_t size)
{
	struct store_usage u;

	store_usage(&u);
	return !u.bytes_max ||
	    (u.bytes_used + (uint64_t)size <= u.bytes_max / 2 &&
		u.keys_used < u.keys_max / 2);
}

static enum aw_err
put_in_ring(
    struct slot *s, const char *desc, struct view payload, uint32_t seconds)
{
	struct slot *role;
	enum aw_err r;
	int32_t serial;

	if (payload.n > KEY_BYTES ||
	    (s->kind == KEY_ROLE && !quota_for_role(payload.n)))
		return AW_BUSY;
	while ((r = key_write(store.ring, desc, payload, seconds, &serial)) ==
		AW_BUSY &&
	    s->kind != KEY_ROLE && (role = first_role(false, s)))
		move_to_vault(role);
	if (r != AW_OK)
		return r;
	/* A key that was revoked or collected meanwhile comes back as another
	 * one; the old is not ours to forget twice. */
	if (s->serial && s->serial != serial)
		key_forget(store.ring, s->serial);
	s->serial = 0;
	slot_clear(s);
	s->serial = serial;
	return AW_OK;
}

enum aw_err
store_put(enum store_kind kind, const struct record *given)
{
	AUTOBUF struct buf payload = {0};
	struct record record = *given;
	uint64_t now = loop_time();
	char desc[KEY_DESC];
	struct slot *s;
	uint32_t seconds;
	enum aw_err r;

	if (store.lost)
		return AW_DENIED;
	if (record.expires && record.expires <= now) {
		store_drop(kind, record.id);
		return AW_OK;
	}
	record.version = RECORD_VERSION;
	record.kind = (uint8_t)kind;
	msg_encode(MSG_RECORD, &record, &payload);
	drop_expired();
	s = slot_find(kind, record.id);
	if (payload.bad || (!s && !(s = slot_new(kind, record.id))))
		return AW_NOMEM;
	describe(desc, kind, s->hash);
	seconds = seconds_left(&record, now);
	r = put_in_ring(s, desc, view_of(&payload), seconds);
	if (r == AW_DENIED)
		return ring_lost();
	if (r == AW_SYSTEM)
		log_err("cannot write a key of %zu bytes", payload.len);
	if (r != AW_OK)
		r = put_in_vault(s, view_of(&payload));
	if (r == AW_OK)
		slot_set(s, &record, (uint32_t)payload.len, seconds, now);
	else if (!s->serial && !s->in_vault)
		slot_drop(s); /* else the older one stays */
	drop_expired();
	return r;
}

/* ---- reading ---- */

/* By serial; once more by description if that key is gone or is not ours. */
static enum aw_err
read_key(struct slot *s, struct buf *out)
{
	char desc[KEY_DESC];
	enum aw_err r, found;
	int32_t serial;

	r = key_read(s->serial, out);
	if (r != AW_GONE && r != AW_DENIED)
		return r;
	describe(desc, s->kind, s->hash);
	found = key_find(store.ring, desc, &serial);
	if (found != AW_OK)
		return found;
	if (serial == s->serial)
		return r == AW_DENIED ? AW_DENIED : AW_GONE;
	s->serial = serial;
	return key_read(serial, out);
}

static bool
record_open(const struct slot *s, struct buf *out, struct record *record)
{
	return msg_decode(MSG_RECORD, view_of(out), record) &&
	    record->version == RECORD_VERSION && record->kind == s->kind &&
	    view_eq(record->id, s->id);
}

/* AW_GONE: the slot is worthless and the caller drops it. */
static enum aw_err
slot_read(struct slot *s, struct buf *out, struct record *record)
{
	enum aw_err r;

	buf_reset(out);
	if (slot_expired(s, loop_time()))
		return AW_GONE;
	r = s->in_vault ? vault_get(s->cell, s->size, out) : read_key(s, out);
	if (r != AW_OK)
		return r;
	if (!record_open(s, out, record))
		return AW_GONE;
	return AW_OK;
}

enum aw_err
store_get(enum store_kind kind, struct view id, struct buf *out,
    struct record *record)
{
	struct slot *s;
	enum aw_err r;

	if (store.lost)
		return AW_DENIED;
	if (!(s = slot_find(kind, id)))
		return AW_GONE;
	r = slot_read(s, out, record);
	if (r == AW_DENIED)
		return ring_lost();
	if (r == AW_GONE)
		slot_drop(s);
	if (r != AW_OK)
		buf_reset(out);
	return r;
}

void
store_drop(enum store_kind kind, struct view id)
{
	struct slot *s = slot_find(kind, id);

	if (s)
		slot_drop(s);
}

unsigned int
store_drop_all(unsigned int mask, struct view prefix)
{
	unsigned int i, dropped = 0;
	struct slot *s;

	for (i = store.n; i-- > 0;) {
		s = &store.slots[i];
		if (!(mask & 1u << s->kind) || s->id.n < prefix.n ||
		    !view_eq((struct view){s->id.p, prefix.n}, prefix))
			continue;
		slot_drop(s);
		dropped++;
	}
	return dropped;
}

bool
store_each(unsigned int mask, void (*fn)(const struct store_entry *, void *),
    void *arg)
{
	AUTOBUF struct buf out = {0};
	struct store_entry entry;
	bool whole = true;
	unsigned int i;
	struct slot *s;
	enum aw_err r;

	for (i = store.n; i-- > 0;) {
		s = &store.slots[i];
		if (!(mask & 1u << s->kind))
			continue;
		if ((r = slot_read(s, &out, &entry.record)) != AW_OK) {
			whole &= r == AW_GONE;
			continue;
		}
		entry.serial = s->serial;
		entry.kind = s->kind;
		entry.size = s->size;
		entry.timeout = s->timeout;
		fn(&entry, arg);
	}
	return whole;
}

void
store_usage(struct store_usage *u)
{
	quota_read(store.key_users, geteuid(), u);
}

/* ---- the beginning and the end ---- */

static bool
is_live(const struct record *r)
{
	uint64_t now = loop_time();

	return r->version == RECORD_VERSION && r->kind < KEY__MAX &&
	    (!r->expires || r->expires > now);
}

/* What an earlier broker left. NULL with *r: AW_GONE: it is not as we write
 * them, or is there twice. */
static struct slot *
adopt(const struct buf *payload, uint32_t *seconds, enum aw_err *r)
{
	uint64_t now = loop_time();
	struct record record;
	struct slot *s;

	*r = AW_GONE;
	if (!msg_decode(MSG_RECORD, view_of(payload), &record) ||
	    !is_live(&record) || slot_find(record.kind, record.id))
		return NULL;
	*r = AW_NOMEM;
	if (!(s = slot_new(record.kind, record.id)))
		return NULL;
	*seconds = seconds_left(&record, now);
	slot_set(s, &record, (uint32_t)payload->len, *seconds, now);
	*r = AW_OK;
	return s;
}

/* A want of memory says nothing about the key: another broker looks again. */
static enum aw_err
gone_unless_it_passes(enum aw_err r)
{
	return r == AW_BUSY || r == AW_NOMEM ? AW_NOMEM : AW_GONE;
}

/*
 * The broker may have died between writing the key and giving it its timeout,
 * so that is done again. AW_GONE: as above, or it vanished as we looked.
 */
static enum aw_err
adopt_key(int32_t serial, struct buf *payload)
{
	char desc[KEY_DESC], want[KEY_DESC];
	uint32_t seconds;
	struct slot *s;
	enum aw_err r;

	if ((r = key_name(serial, desc)) != AW_OK ||
	    (r = key_read(serial, payload)) != AW_OK)
		return gone_unless_it_passes(r);
	if (!(s = adopt(payload, &seconds, &r)))
		return r;
	describe(want, s->kind, s->hash);
	if (strcmp(desc, want) != 0)
		r = AW_GONE;
	else if ((r = key_arm(serial, seconds)) == AW_OK)
		s->serial = serial;
	if (r != AW_OK)
		slot_drop(s);
	return r == AW_OK ? AW_OK : gone_unless_it_passes(r);
}

static enum aw_err
adopt_ring(void)
{
	AUTOBUF struct buf list = {0}, payload = {0};
	unsigned int i;
	int32_t serial;
	enum aw_err r;

	if ((r = key_read(store.ring, &list)) != AW_OK)
		return r == AW_NOMEM || r == AW_BUSY ? AW_NOMEM : AW_DENIED;
	for (i = 0; i < list.len / sizeof(serial); i++) {
		serial = key_listed(&list, i);
		if (serial == vault_key())
			continue;
		if ((r = adopt_key(serial, &payload)) == AW_NOMEM)
			return r;
		if (r != AW_OK)
			key_forget(store.ring, serial);
	}
	return AW_OK;
}

static enum aw_err
adopt_vault(void)
{
	AUTOBUF struct buf payload = {0};
	uint32_t cell = 0, size, seconds;
	struct slot *s;
	enum aw_err r;

	while ((r = vault_next(&cell, &size, &payload)) == AW_OK) {
		if ((s = adopt(&payload, &seconds, &r))) {
			s->in_vault = true;
			s->cell = cell;
		} else if (r == AW_NOMEM) {
			return r;
		} else {
			vault_drop(cell, size);
		}
	}
	return r == AW_GONE ? AW_OK : AW_NOMEM;
}

enum aw_err
store_open(int32_t ring, int32_t session, int key_users, int vault)
{
	enum aw_err r;

	store.key_users = key_users;
	store.ring = ring;
	store.lost = false;
	if ((r = key_claim(ring, session)) != AW_OK) {
		close(vault);
		return r;
	}
	if ((r = vault_open(vault, ring)) == AW_OK &&
	    (r = adopt_ring()) == AW_OK)
		r = adopt_vault();
	return r == AW_BUSY ? AW_NOMEM : r;
}

void
store_close(void)
{
	unsigned int i;

	for (i = 0; i < store.n; i++)
		free((void *)(uintptr_t)store.slots[i].id.p);
	free(store.slots);
	store.slots = NULL;
	store.n = store.cap = 0;
	vault_close();
	if (store.key_users >= 0)
		close(store.key_users);
	store.key_users = -1;
}
