/* SPDX-License-Identifier: ISC */
/*
 * Locked by a passphrase, the agent hands out nothing until that is said again;
 * logins stay, and are kept fresh. The passphrase's slow hash is made, and
 * compared, in a process of its own. What is kept of it is a record of the
 * ring, so that a killed broker comes back locked; with it stands how often
 * somebody was wrong, and when: the next may try after a while that grows.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define WAIT_MAX 64 /* seconds, after seven wrong ones */
#define TRIES 2	    /* of a process that dies */

static const uint8_t id[LOGIN_ID] = "lock";
static bool locked;

static struct view
lock_id(void)
{
	return (struct view){id, sizeof(id)};
}

bool
lock_held(void)
{
	return locked;
}

/* ---- what is kept */

static bool
read_lock(struct buf *b, struct record *rec, uint32_t *wrong)
{
	struct view count;

	if (!record_get(KEY_LOCK, lock_id(), b, rec))
		return false;
	count = rec->facts;
	return view_u32(&count, wrong);
}

static enum aw_err
keep(struct view hash, uint32_t wrong)
{
	AUTOBUF struct buf count = {0};
	struct record rec = {
	    .obtained = loop_time(),
	    .id = lock_id(),
	    .label = view_str("awsenv lock"),
	    .sealed = hash,
	};
	enum aw_err e;

	buf_u32(&count, wrong);
	rec.facts = view_of(&count);
	if (count.bad)
		return AW_NOMEM;
	if ((e = store_put(KEY_LOCK, &rec)) == AW_DENIED)
		exit(EXIT_RING);
	return e;
}

/* Not counted it would be free: the next broker has it to count then. */
static void
count_wrong(void)
{
	AUTOBUF struct buf b = {0};
	struct record rec;
	uint32_t wrong;

	if (read_lock(&b, &rec, &wrong) && keep(rec.sealed, wrong + 1) != AW_OK)
		fatalx("a wrong passphrase cannot be counted");
}

/* Seconds until the next try. A clock that was set back since begins anew. */
static uint64_t
wait_left(const struct record *rec, uint32_t wrong)
{
	uint64_t wait = wrong == 0 ? 0
	    : wrong > 6		   ? WAIT_MAX
				   : 1u << (wrong - 1);
	uint64_t now = loop_time();
	uint64_t gone = now > rec->obtained ? now - rec->obtained : 0;

	return gone < wait ? wait - gone : 0;
}

/* ---- the hash */

static bool
hash_packet(struct job *job, enum msg_kind kind, struct view body)
{
	struct fetch_tag t;
	struct answer a;
	enum aw_err e;

	if (!fetch_answer(job, kind, body, &a, &t)) {
		job_outcome(job, AW_PROTO, view_str("malformed answer"));
		return true;
	}
	e = (enum aw_err)a.error;
	if (e == AW_OK && a.hash.n) {
		e = keep(a.hash, 0);
		locked = e == AW_OK;
		if (locked) {
			question_forget((struct view){0});
			log_info("locked");
		}
	} else if (e == AW_OK) {
		store_drop(KEY_LOCK, lock_id());
		locked = false;
		log_info("unlocked");
	} else if (e == AW_DENIED) {
		count_wrong();
	}
	job_outcome(job, e, a.text);
	return true;
}

static const struct job_class hash_class = {
    .program = PROGRAM_FETCH,
    .packet = hash_packet,
};

static enum aw_err
hash(struct round *r, struct view passphrase, struct view compare)
{
	const struct facts none = {0};
	AUTOBUF struct buf facts = {0};
	struct fetch_tag tag = {.id = lock_id()};
	struct fetch f = {
	    .what = FETCH_LOCK,
	    .passphrase = passphrase,
	    .hash = compare,
	};

	if (job_find(FETCH_LOCK, lock_id())) {
		round_say(r, "another lock or unlock is under way");
		return AW_BUSY;
	}
	msg_encode(MSG_FACTS, &none, &facts);
	tag.facts = view_of(&facts);
	return round_hold(
	    r, STAGE_LOCK, fetch_start(&f, &tag, TRIES), INT64_MAX);
}

void
lock_open(void)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	job_register(FETCH_LOCK, &hash_class);
	locked = record_get(KEY_LOCK, lock_id(), &b, &rec);
}

/* ---- the requests */

enum aw_err
lock_run(struct round *r)
{
	struct view passphrase = r->msg->lock.passphrase;

	if (r->progress->waited == STAGE_LOCK)
		return round_ended(r, STAGE_LOCK);
	if (locked) {
		round_say(r, "the agent is locked already");
		return AW_DENIED;
	}
	if (!passphrase.n || passphrase.n > LOCK_MAX) {
		round_say(r, "a passphrase has 1 to 1024 bytes");
		return AW_PROTO;
	}
	return hash(r, passphrase, (struct view){0});
}

enum aw_err
unlock_run(struct round *r)
{
	AUTOBUF struct buf b = {0};
	struct record rec;
	uint32_t wrong;
	uint64_t wait;

	if (r->progress->waited == STAGE_LOCK)
		return round_ended(r, STAGE_LOCK);
	if (!locked || !read_lock(&b, &rec, &wrong)) {
		locked = false;
		return AW_OK;
	}
	if ((wait = wait_left(&rec, wrong))) {
		text_set(&r->text,
		    "wrong %u times; the next may be tried in %u seconds",
		    (unsigned)wrong, (unsigned)wait);
		return AW_BUSY;
	}
	return hash(r, r->msg->lock.passphrase, rec.sealed);
}
