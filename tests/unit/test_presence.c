/* SPDX-License-Identifier: ISC */
/* The screen is locked: who has something all the same, and for how long. */
#include "tests/unit/broker_case.h"

#include <stdio.h>

#define LOCKED "the screen where the agent runs is locked; unlock it"

static const char *const names[] = {"default", "marketing", NULL};

static int
setup(void **state)
{
	(void)state;
	case_begin();
	fake_settings = NULL;
	fake_forward = FORWARD_ALLOW;
	presence_open();
	pass(3600); /* what follows is some time after the boot */
	fake_token(7200, true);
	fake_role("Dev", 60, 3000, "sealed role");
	return 0;
}

/* The desktop's program says so, and the config is this. */
static void
screen(bool locked, const char *session, const char *settings)
{
	struct screen_req req = {locked, view_str(session)};
	struct done_rep rep;
	int fd = fake_client(LOCAL);

	fake_settings = settings;
	pass(60); /* a config file read before that is read again */
	fake_send(fd, "screen@awsenv", MSG_SCREEN_REQ, &req);
	assert_true(fake_profiles(1, names));
	assert_true(fake_reply(fd, "screen@awsenv", MSG_DONE_REP, &rep, &keep));
	assert_int_equal(rep.error, AW_OK);
	close(fd);
	settle();
}

/* The spawner is asked where the client runs, and answers so. */
static void
runs(const char *session, int64_t forked_ms)
{
	struct link l;

	settle();
	assert_int_equal(link_recv(fake_spawner, &l), AW_OK);
	assert_int_equal(l.type, LINK_LOOK);
	assert_int_equal(l.flags, LOOK_PLACE);
	l.type = LINK_SEEN;
	l.seen = (struct seen){.flags = SEEN_THERE};
	snprintf(l.seen.session, sizeof(l.seen.session), "%s", session);
	l.seen.forked = (uint64_t)(forked_ms * sysconf(_SC_CLK_TCK) / 1000);
	link_send(fake_spawner, &l);
	settle();
}

static int
ask(enum origin origin)
{
	struct creds_req req = {
	    .ask = {.stamp = fake_stamp(1), .profile = view_str("marketing")}};
	int fd = fake_client(origin);

	fake_send(fd, "creds@awsenv", MSG_CREDS_REQ, &req);
	return fd;
}

static void
expect(int fd, enum aw_err error, const char *text)
{
	struct creds_rep rep;
	AUTOFREE char *said = NULL;

	assert_true(fake_reply(fd, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
	said = text_dup(rep.text);
	assert_string_equal(said, text);
	assert_int_equal(rep.error, error);
	assert_int_equal(rep.sealed.n != 0, error == AW_OK);
	close(fd);
	settle();
}

static void
while_it_is_locked_nothing_new_is_handed_out(void **state)
{
	static const enum origin origins[] = {LOCAL, REMOTE};
	size_t i;
	int fd;

	(void)state;
	screen(true, "2", NULL);
	assert_true(presence_locked());
	for (i = 0; i < 2; i++) {
		/* Of that desktop, or of what its service manager started. */
		fd = ask(origins[i]);
		runs("2", 0);
		expect(fd, AW_DENIED, LOCKED);
		fd = ask(origins[i]);
		runs("", 0);
		expect(fd, AW_DENIED, LOCKED);
	}
	screen(false, "2", NULL);
	assert_false(presence_locked());
	expect(ask(LOCAL), AW_OK, "");
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
}

static void
who_logged_in_by_another_way_is_there(void **state)
{
	int fd;

	(void)state;
	screen(true, "2", NULL);
	fd = ask(LOCAL);
	runs("7", 0);
	expect(fd, AW_OK, "");
	fd = ask(REMOTE);
	runs("7", 0);
	expect(fd, AW_OK, "");
	/* Two desktops of one person are locked until one is not. */
	screen(true, "7", NULL);
	fd = ask(LOCAL);
	runs("2", 0);
	expect(fd, AW_DENIED, LOCKED);
	fd = ask(LOCAL);
	runs("7", 0);
	expect(fd, AW_DENIED, LOCKED);
	screen(false, "7", NULL);
	expect(ask(LOCAL), AW_OK, "");
}

static void
an_endpoint_that_was_there_before_goes_on(void **state)
{
	int64_t before = fake_ms, locked;
	int fd;

	(void)state;
	screen(true, "2", NULL);
	locked = fake_ms;
	pass(100);
	fd = ask(LOCAL);
	runs("2", before);
	expect(fd, AW_OK, "");
	fd = ask(LOCAL);
	runs("2", locked); /* in the same tick */
	expect(fd, AW_OK, "");
	fd = ask(LOCAL);
	runs("2", locked + 1000);
	expect(fd, AW_DENIED, LOCKED);
	/* Nobody there can know which of its clients an old ssh speaks for. */
	fd = ask(REMOTE);
	runs("2", before);
	expect(fd, AW_DENIED, LOCKED);
	/* That the desktop says it again makes nobody older. */
	screen(true, "2", NULL);
	fd = ask(LOCAL);
	runs("2", locked + 1000);
	expect(fd, AW_DENIED, LOCKED);
	screen(false, "2", NULL);
}

/* The spawner says that it cannot tell. */
static void
unseen(void)
{
	struct link l;

	settle();
	assert_int_equal(link_recv(fake_spawner, &l), AW_OK);
	assert_int_equal(l.flags, LOOK_PLACE);
	l.type = LINK_SEEN;
	l.seen = (struct seen){0};
	link_send(fake_spawner, &l);
	settle();
}

static void
a_late_look_is_no_refusal(void **state)
{
	int64_t before = fake_ms;
	struct link l;
	int fd;

	(void)state;
	screen(true, "2", NULL);
	fd = ask(LOCAL);
	pass(30);
	assert_int_equal(link_recv(fake_spawner, &l), AW_OK);
	l.type = LINK_SEEN;
	l.seen = (struct seen){.flags = SEEN_THERE, .session = "7"};
	link_send(fake_spawner, &l);
	expect(fd, AW_OK, "");
	/* It had no room for the question, or no memory. */
	fd = ask(LOCAL);
	unseen();
	pass(1);
	unseen();
	pass(1);
	runs("2", before);
	expect(fd, AW_OK, "");
	screen(false, "2", NULL);
}

static void
one_that_cannot_be_looked_at_has_nothing(void **state)
{
	static const char text[] =
	    "the screen where the agent runs is locked, and it cannot be told "
	    "just now where you run";
	struct link l;
	int fd;

	(void)state;
	screen(true, "2", NULL);
	fd = ask(LOCAL);
	settle();
	while (link_recv(fake_spawner, &l) == AW_OK) {
		l.type = LINK_SEEN;
		l.seen = (struct seen){0};
		link_send(fake_spawner, &l);
		settle();
		pass(1);
	}
	expect(fd, AW_BUSY, text);
	fd = ask(LOCAL);
	settle();
	pass(60); /* the spawner does not answer */
	expect(fd, AW_BUSY, text);
	while (link_recv(fake_spawner, &l) == AW_OK)
		continue;
	screen(false, "2", NULL);
}

static void
the_next_broker_is_locked_too(void **state)
{
	int64_t before = fake_ms;
	int fd;

	(void)state;
	screen(true, "2", NULL);
	presence_open();
	assert_true(presence_locked());
	fd = ask(LOCAL);
	runs("2", 0);
	expect(fd, AW_DENIED, LOCKED);
	fd = ask(LOCAL);
	runs("7", 0);
	expect(fd, AW_OK, "");
	fd = ask(LOCAL);
	runs("2", before);
	expect(fd, AW_OK, "");
	screen(false, "", NULL);
	presence_open();
	assert_false(presence_locked());
}

static void
what_cannot_be_kept_locks_all_the_same(void **state)
{
	(void)state;
	fake_store_error = AW_NOMEM;
	screen(true, "2", NULL);
	fake_store_error = AW_OK;
	assert_true(presence_locked());
	screen(false, "2", NULL);
}

static void
off_is_off(void **state)
{
	(void)state;
	screen(true, "2", "awsenv_lock=off");
	assert_false(presence_locked());
	expect(ask(LOCAL), AW_OK, "");
	screen(false, "2", "awsenv_lock=off");
}

static void
hard_forgets(void **state)
{
	int64_t before = fake_ms;
	struct record rec;
	int fd;

	(void)state;
	screen(true, "2", "awsenv_lock=hard");
	assert_true(presence_locked());
	assert_int_equal(
	    store_get(KEY_TOK, fake_login_id(), &keep, &rec), AW_GONE);
	assert_int_equal(
	    store_get(KEY_REF, fake_login_id(), &keep, &rec), AW_GONE);
	fd = ask(LOCAL);
	runs("2", before);
	expect(fd, AW_DENIED, LOCKED);
	screen(false, "2", "awsenv_lock=hard");
	expect(ask(LOCAL), AW_LOGIN,
	    "login needed for corp: awsenv login --profile marketing");
}

static void
a_file_that_hangs_counts_as_it_was(void **state)
{
	struct screen_req req = {true, view_str("2")};
	struct record rec;
	struct done_rep rep;
	int fd, reader;

	(void)state;
	screen(false, "2", "awsenv_lock=hard");
	fd = fake_client(LOCAL);
	pass(60);
	fake_send(fd, "screen@awsenv", MSG_SCREEN_REQ, &req);
	assert_true((reader = fake_spawn(PROGRAM_PROFILE)) >= 0);
	assert_int_equal(
	    store_get(KEY_TOK, fake_login_id(), &keep, &rec), AW_OK);
	pass(1);
	assert_true(fake_reply(fd, "screen@awsenv", MSG_DONE_REP, &rep, &keep));
	assert_int_equal(rep.error, AW_OK);
	assert_int_equal(
	    store_get(KEY_TOK, fake_login_id(), &keep, &rec), AW_GONE);
	close(fd);
	fake_table(reader, 1, names);
	settle();
	close(reader);
	screen(false, "2", "awsenv_lock=hard");
}

/* Also for a program that has ended meanwhile, and a screen that is unlocked. */
static void
what_the_file_says_by_then_counts_when_it_is_known(void **state)
{
	struct screen_req req = {true, view_str("2")};
	struct record rec;
	struct done_rep rep;
	int fd, reader;

	(void)state;
	screen(false, "2", NULL);
	fd = fake_client(LOCAL);
	pass(60);
	fake_send(fd, "screen@awsenv", MSG_SCREEN_REQ, &req);
	assert_true((reader = fake_spawn(PROGRAM_PROFILE)) >= 0);
	pass(1);
	assert_true(fake_reply(fd, "screen@awsenv", MSG_DONE_REP, &rep, &keep));
	assert_int_equal(rep.error, AW_OK);
	fake_leave(fd);
	fd = fake_client(LOCAL);
	req.locked = false;
	fake_send(fd, "screen@awsenv", MSG_SCREEN_REQ, &req);
	settle();
	fake_leave(fd);
	assert_false(presence_locked());
	assert_int_equal(
	    store_get(KEY_TOK, fake_login_id(), &keep, &rec), AW_OK);
	fake_settings = "awsenv_lock=hard";
	fake_table(reader, 1, names);
	settle();
	close(reader);
	assert_int_equal(
	    store_get(KEY_TOK, fake_login_id(), &keep, &rec), AW_GONE);
	assert_int_equal(
	    store_get(KEY_REF, fake_login_id(), &keep, &rec), AW_GONE);
}

/* By the words of lock@awsenv it stays locked. */
static void
a_passphrase_is_another_lock(void **state)
{
	struct lock_req req = {view_str("words")};
	struct answer a = {.hash = view_str("HASH")};
	struct fetch f;
	int fd = fake_client(LOCAL), other;

	(void)state;
	fake_send(fd, "lock@awsenv", MSG_LOCK_REQ, &req);
	other = fake_fetcher(&f, &order);
	fake_done(other, &f, &a);
	assert_true(lock_held());
	screen(true, "2", NULL);
	screen(false, "2", NULL);
	expect(ask(LOCAL), AW_DENIED, "the agent is locked: awsenv unlock");
	fake_leave(fd);
	fake_reset();
	lock_open();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(while_it_is_locked_nothing_new_is_handed_out),
	    T(who_logged_in_by_another_way_is_there),
	    T(an_endpoint_that_was_there_before_goes_on),
	    T(a_late_look_is_no_refusal),
	    T(one_that_cannot_be_looked_at_has_nothing),
	    T(the_next_broker_is_locked_too),
	    T(what_cannot_be_kept_locks_all_the_same),
	    T(off_is_off),
	    T(hard_forgets),
	    T(a_file_that_hangs_counts_as_it_was),
	    T(what_the_file_says_by_then_counts_when_it_is_known),
	    T(a_passphrase_is_another_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
