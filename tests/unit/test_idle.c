/* SPDX-License-Identifier: ISC */
/* What nobody has asked for in a while is forgotten, where that is wished. */
#include "tests/unit/broker_case.h"

#define LOOK 10 /* seconds after a use the config file is looked at */

static const char *const names[] = {"default", "marketing", NULL};

static int
setup(void **state)
{
	(void)state;
	case_begin();
	/* Whatever the case before left to be looked at ends with it. */
	fake_settings = "awsenv_idle=0";
	pass(604800);
	fake_profiles(1, names);
	fake_settings = NULL;
	fake_forward = FORWARD_ALLOW;
	pass(3600);
	fake_token(30000, true);
	fake_role("Dev", 60, 29000, "sealed role");
	idle_open();
	return 0;
}

/* The config file is looked at, and is this. */
static void
reads(const char *settings)
{
	fake_settings = settings;
	assert_true(fake_profiles(1, names));
}

static void
creds(enum origin origin, enum aw_err error)
{
	struct creds_req req = {
	    .ask = {.stamp = fake_stamp(1), .profile = view_str("marketing")}};
	struct creds_rep rep;
	int fd = fake_client(origin);

	fake_send(fd, "creds@awsenv", MSG_CREDS_REQ, &req);
	if (origin == REMOTE) /* for whom it has to be fresh */
		fake_profiles(1, names);
	assert_true(fake_reply(fd, "creds@awsenv", MSG_CREDS_REP, &rep, &keep));
	assert_int_equal(rep.error, error);
	close(fd);
	settle();
}

static bool
is_kept(enum store_kind kind)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	return store_get(kind, fake_login_id(), &b, &rec) == AW_OK;
}

static void
unused_it_is_forgotten(void **state)
{
	(void)state;
	pass(LOOK);
	reads("awsenv_idle=3600");
	pass(3600 - LOOK - 1);
	assert_int_equal(fake_spawn(PROGRAM_PROFILE), -1);
	assert_true(is_kept(KEY_TOK) && is_kept(KEY_REF));
	pass(1);
	reads("awsenv_idle=3600");
	assert_false(is_kept(KEY_TOK) || is_kept(KEY_REF));
	creds(LOCAL, AW_LOGIN);
}

static void
a_use_is_one_wherever_it_comes_from(void **state)
{
	static const enum origin origins[] = {LOCAL, REMOTE};
	size_t i;

	(void)state;
	pass(LOOK);
	reads("awsenv_idle=3600");
	for (i = 0; i < 2; i++) {
		pass(1800);
		creds(origins[i], AW_OK);
		pass(1800);
		fake_profiles(1, names);
		assert_true(is_kept(KEY_TOK));
	}
	pass(1800);
	fake_profiles(1, names);
	assert_false(is_kept(KEY_TOK));
}

static void
what_was_refused_is_none(void **state)
{
	(void)state;
	fake_forward = FORWARD_DENY;
	pass(LOOK);
	reads("awsenv_idle=3600");
	pass(1800);
	creds(REMOTE, AW_DENIED);
	pass(1800);
	reads("awsenv_idle=3600");
	assert_false(is_kept(KEY_TOK));
}

static void
what_the_file_says_when_it_is_over_counts(void **state)
{
	(void)state;
	pass(LOOK);
	reads("awsenv_idle=3600");
	pass(3600);
	reads("awsenv_idle=7200");
	assert_true(is_kept(KEY_TOK));
	pass(3600);
	reads("awsenv_idle=0");
	assert_true(is_kept(KEY_TOK));
	/* From then on nothing is looked at, and the next use begins anew. */
	pass(100000);
	assert_int_equal(fake_spawn(PROGRAM_PROFILE), -1);
}

static void
a_use_begins_anew(void **state)
{
	(void)state;
	pass(LOOK);
	reads(NULL);
	pass(7200);
	creds(LOCAL, AW_OK);
	reads("awsenv_idle=20"); /* it was read long ago */
	pass(LOOK);
	reads("awsenv_idle=20");
	assert_true(is_kept(KEY_TOK));
	pass(20 - LOOK);
	reads("awsenv_idle=20");
	assert_false(is_kept(KEY_TOK));
}

static void
a_file_that_hangs_counts_as_it_was(void **state)
{
	int reader;

	(void)state;
	pass(LOOK);
	reads("awsenv_idle=3600");
	pass(3600);
	assert_true((reader = fake_spawn(PROGRAM_PROFILE)) >= 0);
	assert_true(is_kept(KEY_TOK));
	pass(1);
	assert_false(is_kept(KEY_TOK));
	/* What it brings at last is for the next time. */
	fake_token(30000, true);
	fake_table(reader, 1, names);
	settle();
	close(reader);
	pass(604800);
	assert_true(is_kept(KEY_TOK) || is_kept(KEY_REF));
	assert_int_equal(fake_spawn(PROGRAM_PROFILE), -1);
}

static void
off_is_not_read_after_each_use(void **state)
{
	(void)state;
	pass(LOOK);
	reads(NULL);
	pass(LOOK);
	creds(LOCAL, AW_OK);
	pass(LOOK);
	assert_int_equal(fake_spawn(PROGRAM_PROFILE), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(unused_it_is_forgotten),
	    T(a_use_is_one_wherever_it_comes_from),
	    T(what_was_refused_is_none),
	    T(what_the_file_says_when_it_is_over_counts),
	    T(a_use_begins_anew),
	    T(a_file_that_hangs_counts_as_it_was),
	    T(off_is_not_read_after_each_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
