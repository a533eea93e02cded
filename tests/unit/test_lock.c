/* SPDX-License-Identifier: ISC */
/* Lock and unlock, with the process that hashes played here. */
#include "tests/unit/broker_case.h"

#include <stdio.h>

static struct done_rep rep;

static int
setup(void **state)
{
	(void)state;
	case_begin_with(LOCAL);
	lock_open();
	return 0;
}

static const char *request;

static void
ask(const char *name, const char *passphrase)
{
	struct lock_req req = {view_str(passphrase)};

	request = name;
	fake_send(client, name, MSG_LOCK_REQ, &req);
}

static void
expect(enum aw_err error, const char *text)
{
	AUTOFREE char *said = NULL;

	assert_true(fake_reply(client, request, MSG_DONE_REP, &rep, &keep));
	said = text_dup(rep.text);
	assert_string_equal(said, text ? text : "");
	assert_int_equal(rep.error, error);
}

/* The process is asked for that, and answers so. */
static void
hashes(const char *passphrase, const char *known, const char *hash,
    enum aw_err error)
{
	struct answer a = {.hash = view_str(hash)};
	struct fetch f;
	int fd = fake_fetcher(&f, &order);

	assert_int_equal(f.what, FETCH_LOCK);
	assert_true(view_is(f.passphrase, passphrase));
	assert_true(view_is(f.hash, known));
	if (error == AW_OK)
		fake_done(fd, &f, &a);
	else
		fake_failed(fd, &f, error, aw_strerror(error));
}

static void
lock(void)
{
	ask("lock@awsenv", "words");
	hashes("words", "", "HASH", AW_OK);
	expect(AW_OK, NULL);
	assert_true(lock_held());
}

static void
guess_wrong(void)
{
	ask("unlock@awsenv", "wrong");
	hashes("wrong", "HASH", NULL, AW_DENIED);
	expect(AW_DENIED, aw_strerror(AW_DENIED));
	assert_true(lock_held());
}

static void
locked_and_unlocked(void **state)
{
	(void)state;
	assert_false(lock_held());
	lock();
	ask("lock@awsenv", "other");
	expect(AW_DENIED, "the agent is locked already");
	ask("unlock@awsenv", "words");
	hashes("words", "HASH", NULL, AW_OK);
	expect(AW_OK, NULL);
	assert_false(lock_held());
	ask("unlock@awsenv", "words");
	expect(AW_OK, NULL);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
}

static void
each_wrong_one_makes_the_next_wait_longer(void **state)
{
	static const unsigned int waits[] = {1, 2, 4, 8, 16, 32, 64, 64, 64};
	char text[80];
	size_t i;

	(void)state;
	lock();
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		guess_wrong();
		lock_open(); /* as the next broker would */
		snprintf(text, sizeof(text),
		    "wrong %zu times; the next may be tried in %u seconds",
		    i + 1, waits[i]);
		ask("unlock@awsenv", "words");
		expect(AW_BUSY, text);
		fake_seconds += waits[i];
	}
	ask("unlock@awsenv", "words");
	hashes("words", "HASH", NULL, AW_OK);
	expect(AW_OK, NULL);
	lock();
	ask("unlock@awsenv", "words");
	hashes("words", "HASH", NULL, AW_OK);
	expect(AW_OK, NULL);
}

/* A clock that is set back lets nobody in sooner, nor keeps out for ever. */
static void
a_clock_that_is_set_back_begins_the_wait_anew(void **state)
{
	(void)state;
	lock();
	guess_wrong();
	fake_seconds -= 86400;
	ask("unlock@awsenv", "words");
	expect(AW_BUSY, "wrong 1 times; the next may be tried in 1 seconds");
	fake_seconds += 86401;
}

static void
the_second_at_a_time_is_told_so(void **state)
{
	struct answer a = {.hash = view_str("HASH")};
	int first = client, fd;
	struct fetch f;

	(void)state;
	ask("lock@awsenv", "words");
	fd = fake_fetcher(&f, &order);
	client = fake_client(LOCAL);
	ask("lock@awsenv", "other");
	expect(AW_BUSY, "another lock or unlock is under way");
	close(client);
	client = first;
	fake_done(fd, &f, &a);
	expect(AW_OK, NULL);
}

static void
what_cannot_be_kept_locks_nothing(void **state)
{
	(void)state;
	ask("lock@awsenv", "words");
	fake_store_error = AW_NOMEM;
	hashes("words", "", "HASH", AW_OK);
	expect(AW_NOMEM, aw_strerror(AW_NOMEM));
	assert_false(lock_held());
	fake_store_error = AW_OK;
	ask("lock@awsenv", "words");
	hashes("words", "", NULL, AW_NOMEM);
	expect(AW_NOMEM, aw_strerror(AW_NOMEM));
	assert_false(lock_held());
	ask("lock@awsenv", "");
	expect(AW_PROTO, "a passphrase has 1 to 1024 bytes");
}

/* A process that fails is no wrong passphrase, and no right one. */
static void
a_failure_neither_unlocks_nor_counts(void **state)
{
	(void)state;
	lock();
	ask("unlock@awsenv", "words");
	hashes("words", "HASH", NULL, AW_SYSTEM);
	expect(AW_SYSTEM, aw_strerror(AW_SYSTEM));
	assert_true(lock_held());
	ask("unlock@awsenv", "words");
	hashes("words", "HASH", NULL, AW_OK);
	expect(AW_OK, NULL);
}

static void
while_locked_only_what_hands_out_is_refused(void **state)
{
	struct list_req list = {0};
	struct creds_req creds = {0};
	struct creds_rep got;
	struct list_rep listed;

	(void)state;
	lock();
	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &creds);
	assert_true(
	    fake_reply(client, "creds@awsenv", MSG_CREDS_REP, &got, &keep));
	assert_int_equal(got.error, AW_DENIED);
	assert_true(view_is(got.text, "the agent is locked: awsenv unlock"));
	fake_send(client, "list@awsenv", MSG_LIST_REQ, &list);
	assert_true(
	    fake_reply(client, "list@awsenv", MSG_LIST_REP, &listed, &keep));
	assert_int_equal(listed.error, AW_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(locked_and_unlocked),
	    T(each_wrong_one_makes_the_next_wait_longer),
	    T(a_clock_that_is_set_back_begins_the_wait_anew),
	    T(the_second_at_a_time_is_told_so),
	    T(what_cannot_be_kept_locks_nothing),
	    T(a_failure_neither_unlocks_nor_counts),
	    T(while_locked_only_what_hands_out_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
