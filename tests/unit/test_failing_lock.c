/* SPDX-License-Identifier: ISC */
/*
 * The locks, of a passphrase and of the screen, with each call failing once in
 * turn: whatever fails opens none, neither here nor in the broker that comes
 * after, makes no guess free, and lets nobody in who was to stay out.
 */
#define SETTLE_ROUNDS 8 /* it is done some hundred times */
#include "tests/unit/fake_broker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/failing.h"

static bool acting; /* it is not prepared any more */

/* What the broker does counts then, and nothing that the test does. */
void __real_loop_once(void);
void __wrap_loop_once(void);
void
__wrap_loop_once(void)
{
	if (acting)
		failing_go();
	__real_loop_once();
	failing_rest();
}

static const char *const names[] = {"marketing", NULL};
static int client;

static void
send_request(const char *name, enum msg_kind kind, const void *msg)
{
	AUTOBUF struct buf body = {0}, frame = {0};

	msg_encode(kind, msg, &body);
	io_put_request(&frame, name, view_of(&body));
	must(write(client, frame.data, frame.len) == (ssize_t)frame.len);
	settle();
}

/* What it said; AW_GONE: the connection ended. */
static enum aw_err
done(const char *name)
{
	AUTOBUF struct buf keep = {0};
	struct view body;
	uint32_t error;
	enum aw_err r;
	int i;

	for (i = 0; i < 20; i++) {
		r = io_get_reply(client, name, &keep, &body, io_deadline(0));
		if (r != AW_TIMEOUT)
			break;
		pass(10);
	}
	must(r != AW_TIMEOUT);
	if (r != AW_OK)
		return AW_GONE;
	must(view_u32(&body, &error));
	return (enum aw_err)error;
}

static const char *hash; /* of the passphrase, or what it comes to */
static enum aw_err compared;

static void
play(enum link_program program, int fd)
{
	AUTOBUF struct buf order = {0};
	struct answer a = {
	    .version = MSG_VERSION,
	    .what = FETCH_LOCK,
	    .last = 1,
	    .error = compared,
	    .hash = view_str(hash),
	};
	struct fetch f;

	if (program == PROGRAM_PROFILE) {
		fake_table(fd, 1, names);
	} else if (fake_order(fd, &order, &f) == MSG_FETCH) {
		a.tag = f.tag;
		link_send_msg(fd, MSG_ANSWER, &a);
	}
	settle();
}

/* Programs, as often as they are begun, and where the client runs: at the
 * screen that is locked. */
static void
serve(void)
{
	struct link l;
	int fd[2];

	while (link_recv(fake_spawner, &l) == AW_OK) {
		fd[1] = -1;
		if (l.type == LINK_LOOK) {
			l.type = LINK_SEEN;
			l.seen =
			    (struct seen){.flags = SEEN_THERE, .session = "c1"};
		} else {
			must(link_pair(fd) == 0);
			l.type = LINK_SPAWNED;
			l.nfds = 1;
			l.fds[0] = fd[0];
		}
		must(link_send(fake_spawner, &l) == AW_OK);
		settle();
		if (fd[1] < 0)
			continue;
		close(fd[0]);
		play(l.program, fd[1]);
		close(fd[1]);
		settle();
	}
}

static enum aw_err
say(const char *name, const char *passphrase, const char *hashed,
    enum aw_err error)
{
	const struct lock_req req = {view_str(passphrase)};

	hash = hashed;
	compared = error;
	send_request(name, MSG_LOCK_REQ, &req);
	serve();
	return done(name);
}

/* `before` does not fail. */
static void
begin(void (*before)(void))
{
	failing_rest();
	fake_begin();
	fake_fails = failing_this;
	client = fake_client(LOCAL);
	if (before)
		before();
	acting = true;
}

static void
end(void)
{
	acting = false;
	fake_leave(client);
	failing_go();
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

	send_request("screen@awsenv", MSG_SCREEN_REQ, &req);
	serve();
	return done("screen@awsenv");
}

static enum aw_err
ask(void)
{
	const struct creds_req req = {.ask = {
					  .config = view_str("/config"),
					  .stamp = fake_stamp(1),
					  .profile = view_str("marketing"),
				      }};

	send_request("creds@awsenv", MSG_CREDS_REQ, &req);
	serve();
	return done("creds@awsenv");
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

/* Another client: the first may have met an end. */
static enum aw_err
ask_anew(void)
{
	fake_leave(client);
	client = fake_client(LOCAL);
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
	static const struct {
		enum aw_err (*what)(void);
		unsigned int least;
	} rows[] = {
	    {lock, 20},
	    {unlock, 20},
	    {guess, 20},
	    {lock_screen, 20},
	    {ask_while_locked, 10},
	    {unlock_screen, 5},
	};
	static const int errors[] = {ENOMEM, EIO};
	unsigned int n;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (j = 0; j < sizeof(errors) / sizeof(*errors); j++) {
			n = each_fails_apart(rows[i].what, errors[j], true);
			assert_true(errors[j] != ENOMEM || n >= rows[i].least);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fails_opens_no_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
