/* SPDX-License-Identifier: ISC */
/*
 * The locks, of a passphrase and of the screen, with each call failing once in
 * turn: whatever fails opens none, neither here nor in the broker that comes
 * after, makes no guess free, and lets nobody in who was to stay out.
 */
#include "tests/unit/failing_broker.h"

static const char *hash; /* of the passphrase, or what it comes to */
static enum aw_err compared;

static void
hash_it(int fd, const struct fetch *f)
{
	finish(
	    fd, f, (struct answer){.error = compared, .hash = view_str(hash)});
}

static enum aw_err
say(const char *name, const char *passphrase, const char *hashed,
    enum aw_err error)
{
	const struct lock_req req = {view_str(passphrase)};

	fetcher = hash_it;
	hash = hashed;
	compared = error;
	send_request(name, MSG_LOCK_REQ, &req);
	serve();
	return hear_done(name);
}

/* As the next broker finds it, which fails in its turn. */
static void
open_next(void)
{
	failing_go();
	lock_open();
	presence_open();
	failing_rest();
}

/* ---- a passphrase */

static const uint8_t lock_id[LOGIN_ID] = "lock";

/* So often a passphrase was wrong, as it is kept. */
static uint32_t
wrong(void)
{
	AUTOBUF struct buf b = {0};
	struct view v = {lock_id, LOGIN_ID};
	struct record rec;
	uint32_t n = 0;

	must(store_get(KEY_LOCK, v, &b, &rec) == AW_OK);
	v = rec.facts;
	must(view_u32(&v, &n));
	return n;
}

static void
lock_well(void)
{
	must(say("lock@awsenv", "words", "HASH", AW_OK) == AW_OK);
}

static enum aw_err
lock(void)
{
	enum aw_err r;

	begin(NULL);
	r = say("lock@awsenv", "words", "HASH", AW_OK);
	must(r != AW_OK || lock_held());
	open_next();
	must(r != AW_OK || lock_held());
	end();
	return r;
}

static enum aw_err
unlock(void)
{
	enum aw_err r;

	begin(lock_well);
	r = say("unlock@awsenv", "words", NULL, AW_OK);
	must(r != AW_OK || !lock_held());
	open_next();
	must(r != AW_OK || !lock_held());
	end();
	return r;
}

static enum aw_err
guess(void)
{
	enum aw_err r;

	begin(lock_well);
	r = say("unlock@awsenv", "wrong", NULL, AW_DENIED);
	must(r != AW_OK && lock_held());
	must(r != AW_DENIED || wrong() == 1);
	open_next();
	must(lock_held());
	end();
	return r == AW_DENIED ? AW_OK : r;
}

/* ---- a screen */

static enum aw_err
screen(bool locked)
{
	const struct screen_req req = {locked, view_str("c1")};

	/* That is where the client runs. */
	snprintf(seen.session, sizeof(seen.session), "c1");
	send_request("screen@awsenv", MSG_SCREEN_REQ, &req);
	serve();
	return hear_done("screen@awsenv");
}

static enum aw_err
ask(void)
{
	const struct creds_req req = {.ask = {
					  .config = view_str("/config"),
					  .stamp = fake_stamp(1),
					  .profile = view_str("marketing"),
				      }};

	AUTOBUF struct buf keep = {0};
	struct creds_rep rep;

	send_request("creds@awsenv", MSG_CREDS_REQ, &req);
	serve();
	return hear("creds@awsenv", MSG_CREDS_REP, &rep, &keep);
}

static void
have_something(void)
{
	fake_role("Dev", 600, 3000, "sealed credentials");
	must(ask() == AW_OK);
}

static void
lock_well_the_screen(void)
{
	have_something();
	must(screen(true) == AW_OK);
}

static enum aw_err
ask_anew(void)
{
	come_anew();
	return ask();
}

static bool
is_kept(void)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	return store_get(KEY_LOCK, view_str("screen"), &b, &rec) == AW_OK;
}

/* One that could not be kept is one of this broker's only. */
static enum aw_err
lock_screen(void)
{
	enum aw_err r;

	begin(have_something);
	r = screen(true);
	must(r != AW_OK || ask_anew() != AW_OK);
	open_next();
	must(!is_kept() || ask_anew() != AW_OK);
	end();
	return r;
}

static enum aw_err
ask_while_locked(void)
{
	begin(lock_well_the_screen);
	must(ask() != AW_OK);
	open_next();
	must(ask_anew() == AW_DENIED || failing_did());
	end();
	return AW_OK;
}

static enum aw_err
unlock_screen(void)
{
	enum aw_err r;

	begin(lock_well_the_screen);
	r = screen(false);
	acting = false;
	must(r != AW_OK || ask_anew() == AW_OK);
	end();
	return r;
}

/* ---- the test */

static void
what_fails_opens_no_lock(void **state)
{
	static const struct row rows[] = {
	    {lock, 20},
	    {unlock, 20},
	    {guess, 20},
	    {lock_screen, 20},
	    {ask_while_locked, 10},
	    {unlock_screen, 5},
	};

	(void)state;
	fail_each(rows, sizeof(rows) / sizeof(*rows));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fails_opens_no_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
