/* SPDX-License-Identifier: ISC */
#include "tests/unit/broker_case.h"

#include <stdio.h>

static const char *const names[] = {"marketing", "platform", NULL};
static uint64_t mtime = 1;
static struct creds_rep rep;

static int
setup(void **state)
{
	(void)state;
	case_begin_with(LOCAL);
	mtime++;
	return 0;
}

static struct ask
asking(const char *profile)
{
	return (struct ask){
	    .config = view_str("/home/jane/.aws/config"),
	    .stamp = fake_stamp(mtime),
	    .profile = view_str(profile),
	};
}

static void
ask_creds(const char *profile, uint32_t seconds, bool half)
{
	struct creds_req req = {asking(profile), seconds, half};

	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
}

static bool
replied(void)
{
	return fake_reply(client, "creds@awsenv", MSG_CREDS_REP, &rep, &keep);
}

/* The reader brings its table and the answer is this. */
static void
expect(enum aw_err error, const char *text)
{
	AUTOFREE char *said = NULL;

	fake_profiles(mtime, names);
	assert_true(replied());
	assert_int_equal(rep.error, error);
	said = text_dup(rep.text);
	assert_string_equal(text ? text : "", said);
}

static void
give_role(int fd, const struct fetch *f, uint64_t life, const char *sealed)
{
	struct answer a = {
	    .creds = view_str(sealed),
	    .creds_expires = fake_seconds + life,
	    .access_key = view_str("ASIANEW"),
	    .account = view_str("123456789012"),
	};

	fake_done(fd, f, &a);
}

static void
give_token(int fd, const struct fetch *f, uint64_t life)
{
	struct answer a = {
	    .tok = view_str("sealed new token"),
	    .tok_expires = fake_seconds + life,
	    .ref = view_str("sealed new ref"),
	    .ref_expires = fake_seconds + 90 * 86400,
	    .refreshable = 1,
	};

	fake_done(fd, f, &a);
}

static void
fresh_credentials_are_handed_out_as_they_are(void **state)
{
	(void)state;
	fake_role("Dev", 600, 3000, "sealed credentials");
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
	assert_true(view_is(rep.sealed, "sealed credentials"));
	assert_true(view_is(rep.account, "123456789012"));
	assert_true(view_is(rep.region, "eu-west-1"));
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
}

static void
without_a_token_a_person_is_needed(void **state)
{
	(void)state;
	ask_creds("marketing", 0, false);
	expect(AW_LOGIN,
	    "login needed for corp: awsenv login --profile marketing");
}

static void
stale_credentials_are_fetched_once_for_all(void **state)
{
	struct fetch f;
	int fd, other;

	(void)state;
	fake_token(3600, true);
	fake_role("Dev", 3000, 600, "old");
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_ROLE);
	assert_true(view_is(f.tok, "sealed token"));
	other = client;
	client = fake_client(LOCAL);
	ask_creds("marketing", 0, false);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	assert_false(replied());
	/* AWS may give less than anybody wanted: it is taken all the same. */
	give_role(fd, &f, 700, "new");
	expect(AW_OK, NULL);
	assert_true(view_is(rep.sealed, "new"));
	close(client);
	client = other;
	expect(AW_OK, NULL);
	assert_true(view_is(rep.sealed, "new"));
}

/* By a clock that was wrong they may end at any time. */
static void
a_clock_that_was_set_back_means_new_credentials(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(86400, true);
	fake_role("Dev", 0, 3600, "old");
	fake_seconds -= 7200;
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_ROLE);
	give_role(fd, &f, 3600, "new");
	expect(AW_OK, NULL);
	assert_true(view_is(rep.sealed, "new"));
}

static void
a_refresh_brings_new_ones(void)
{
	struct fetch f;
	int fd;

	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_REFRESH);
	give_token(fd, &f, 3600);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_ROLE);
	give_role(fd, &f, 3600, "new");
	expect(AW_OK, NULL);
	assert_true(view_is(rep.sealed, "new"));
}

/* A day ahead, so that all seems to have ended: AWS knows better. */
static void
a_clock_that_is_set_ahead_costs_a_refresh_and_no_login(void **state)
{
	(void)state;
	fake_token(3600, true);
	fake_role("Dev", 0, 3600, "old");
	fake_seconds += 86400;
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	a_refresh_brings_new_ones();
}

/* A day back: the token seems good for 25 hours, until AWS refuses it. */
static void
a_clock_that_is_set_back_a_day_costs_no_login_either(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	fake_role("Dev", 0, 3600, "old");
	fake_seconds -= 86400;
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_ROLE);
	fake_failed(fd, &f, AW_TOKEN, "refused");
	a_refresh_brings_new_ones();
}

/* What is held is held by another clock. */
static void
a_clock_that_is_set_neither_ends_nor_prolongs_a_hold(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(86400, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	fake_seconds += 86400;
	settle();
	assert_false(replied());
	fake_seconds -= 2 * 86400;
	pass(59);
	assert_false(replied());
	pass(2);
	expect(AW_TIMEOUT, "AWS did not answer in time");
	close(fd);
}

static void
credentials_of_a_chain_bear_the_last_role(void **state)
{
	struct answer a = {
	    .creds = view_str("sealed"),
	    .creds_expires = fake_seconds + 3600,
	    .access_key = view_str("ASIANEW"),
	    .account = view_str("210987654321"),
	    .arn = view_str("arn:aws:iam::210987654321:role/team/Deploy"),
	};
	struct list_req req = {LIST_ROLES, 0};
	struct list_rep list;
	struct role_item item;
	struct fetch f;
	int fd;

	(void)state;
	fake_token(86400, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	assert_true(view_is(f.role, "Dev"));
	fake_done(fd, &f, &a);
	expect(AW_OK, NULL);
	assert_true(view_is(rep.account, "210987654321"));
	assert_true(view_is(rep.role, "Deploy"));
	fake_send(client, "list@awsenv", MSG_LIST_REQ, &req);
	assert_true(
	    fake_reply(client, "list@awsenv", MSG_LIST_REP, &list, &keep));
	assert_true(msg_each(MSG_ROLE_ITEM, &list.items, &item));
	assert_true(view_is(item.account, "210987654321"));
	assert_true(view_is(item.role, "Deploy"));
	/* It is found again by what was asked for. */
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
	assert_true(view_is(rep.role, "Deploy"));
}

static void
half_of_the_life_is_wanted_for_frozen_ones(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	fake_role("Dev", 2000, 1600, "old");
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
	ask_creds("marketing", 0, true);
	fd = fake_fetcher(&f, &order);
	assert_true(fd >= 0);
	give_role(fd, &f, 3600, "new");
	expect(AW_OK, NULL);
	assert_true(view_is(rep.sealed, "new"));
}

static void
a_refused_token_is_refreshed_once(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	fake_failed(fd, &f, AW_TOKEN, "refused");
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_REFRESH);
	assert_true(view_is(f.ref, "sealed ref"));
	give_token(fd, &f, 3600);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_ROLE);
	assert_true(view_is(f.tok, "sealed new token"));
	give_role(fd, &f, 3600, "new");
	expect(AW_OK, NULL);
}

static void
a_token_refused_again_and_again_ends_in_a_login(void **state)
{
	struct fetch f;
	int fd, fetches = 0;

	(void)state;
	fake_token(3600, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	while ((fd = fake_fetcher(&f, &order)) >= 0) {
		assert_true(++fetches < 10);
		if (f.what == FETCH_ROLE)
			fake_failed(fd, &f, AW_TOKEN, "refused");
		else
			give_token(fd, &f, 3600);
	}
	expect(AW_LOGIN,
	    "login needed for corp: awsenv login --profile marketing");
}

static void
a_worthless_refresh_token_means_a_login_and_keeps_the_name(void **state)
{
	struct record rec;
	struct fetch f;
	int fd;

	(void)state;
	fake_token(0, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	fake_failed(fd, &f, AW_GRANT, "invalid_grant");
	expect(AW_LOGIN,
	    "login needed for corp: awsenv login --profile marketing");
	assert_int_equal(
	    store_get(KEY_REF, fake_login_id(), &order, &rec), AW_OK);
	assert_false(rec.refreshable);
	assert_true(view_is(rec.person, "Jane@example.com"));
}

static void
a_missing_assignment_keeps_the_token(void **state)
{
	struct record rec;
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	fake_failed(fd, &f, AW_AWS, "no access");
	expect(AW_AWS, "no access");
	assert_int_equal(
	    store_get(KEY_TOK, fake_login_id(), &order, &rec), AW_OK);
}

static void
while_aws_is_out_of_reach_the_old_ones_serve(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	fake_role("Dev", 3000, 120, "old");
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	fake_failed(fd, &f, AW_NETWORK, "no route");
	expect(AW_OK, NULL);
	assert_true(view_is(rep.sealed, "old"));
	assert_true(view_is(rep.notice,
	    "AWS is out of reach, these credentials end in 2 minutes: "
	    "no route"));
	ask_creds("marketing", 0, false);
	fd = fake_fetcher(&f, &order);
	fake_failed(fd, &f, AW_NOMEM, "out of memory");
	expect(AW_OK, NULL);
	assert_true(view_is(rep.notice,
	    "AWS could not be asked, these credentials end in 2 minutes: "
	    "out of memory"));
	pass(70);
	ask_creds("marketing", 0, false);
	fd = fake_fetcher(&f, &order);
	fake_failed(fd, &f, AW_NETWORK, "no route");
	expect(AW_NETWORK, "no route");
}

static void
a_held_request_ends_after_a_minute(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	pass(59);
	assert_false(replied());
	pass(2);
	expect(AW_TIMEOUT, "AWS did not answer in time");
	/* Its result is not lost: the next request finds it. */
	give_role(fd, &f, 3600, "late");
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
	assert_true(view_is(rep.sealed, "late"));
}

static void
a_stale_ca_has_the_file_read_again(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	fake_failed(fd, &f, AW_STALE, "the CA changed");
	assert_true(fake_profiles(mtime, names));
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_ROLE);
	fake_failed(fd, &f, AW_STALE, "the CA changed");
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	if (fd >= 0)
		fake_failed(fd, &f, AW_STALE, "the CA changed");
	expect(AW_CONFIG, "the CA changed");
}

static void
a_file_that_hangs_is_told_and_the_last_table_serves(void **state)
{
	int fd;

	(void)state;
	fake_role("Dev", 0, 3600, "sealed");
	ask_creds("marketing", 0, false);
	fd = fake_spawn(PROGRAM_PROFILE);
	pass(9);
	assert_false(replied());
	pass(2);
	assert_true(replied());
	assert_int_equal(rep.error, AW_CONFIG);
	assert_non_null(memmem(rep.text.p, rep.text.n, "takes too long", 14));
	/* Who comes now has not to wait in vain again. */
	ask_creds("marketing", 0, false);
	assert_true(replied());
	assert_int_equal(rep.error, AW_CONFIG);
	close(fd);
	settle();
	pass(1);
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
	mtime++;
	ask_creds("marketing", 0, false);
	fd = fake_spawn(PROGRAM_PROFILE);
	assert_false(replied());
	pass(2);
	assert_true(replied());
	assert_int_equal(rep.error, AW_OK);
	close(fd);
}

static void
an_unknown_stamp_uses_what_was_read(void **state)
{
	struct creds_req req = {.ask = asking("marketing")};

	(void)state;
	fake_role("Dev", 0, 3600, "sealed");
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
	req.ask.stamp.mtime = STAMP_UNKNOWN;
	fake_send(client, "creds@awsenv", MSG_CREDS_REQ, &req);
	assert_true(replied());
	assert_int_equal(rep.error, AW_OK);
}

static void
root_gets_no_credentials(void **state)
{
	(void)state;
	fake_role("Dev", 0, 3600, "sealed");
	close(client);
	client = fake_client(ROOT);
	ask_creds("marketing", 0, false);
	assert_true(replied());
	assert_int_equal(rep.error, AW_DENIED);
	assert_int_equal(rep.sealed.n, 0);
}

static void
names_from_clients_are_made_printable(void **state)
{
	(void)state;
	ask_creds("mark\033]0;eting\n", 0, false);
	expect(AW_NOPROFILE,
	    "no profile \"mark?]0;eting?\" in "
	    "/home/jane/.aws/config; did you mean marketing?");
}

static void
a_client_that_goes_leaves_the_work_to_others(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	close(client);
	settle();
	assert_int_equal(conn_count(), 0);
	client = fake_client(LOCAL);
	give_role(fd, &f, 3600, "new");
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
}

static void
used_roles_are_refreshed_before_they_end(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(8 * 3600, false);
	fake_role("Dev", 0, 3600, "first");
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
	pass(39 * 60);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	pass(3 * 60);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_ROLE);
	assert_true(view_is(f.role, "Dev"));
	give_role(fd, &f, 3600, "second");
	/* Nobody asked for more than an hour: it ends in peace. */
	pass(42 * 60);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	pass(3600);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
}

/* Not only as many as a keyring holds: these 300 stay hot, too. */
static void
the_first_of_many_roles_is_refreshed_before_it_ends(void **state)
{
	struct record rec = {
	    .obtained = fake_seconds, .expires = fake_seconds + 3600};
	struct target t = {.account = view_str("123456789012")};
	struct fetch f;
	char name[8];
	int i, fd;

	(void)state;
	fake_token(8 * 3600, false);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "R%d", i);
		t.role = view_str(name);
		role_id(&t.id, fake_login_id(), t.account, t.role,
		    (struct view){0});
		role_used(&t, &rec);
		rec.expires = fake_seconds + 12 * 3600; /* of the others */
	}
	buf_free(&t.id);
	pass(42 * 60);
	fd = fake_fetcher(&f, &order);
	assert_true(fd >= 0);
	assert_true(view_is(f.role, "R0"));
	fake_failed(fd, &f, AW_AWS, "no");
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
}

static void
the_same_credentials_again_do_not_make_it_ask_forever(void **state)
{
	uint64_t end = fake_seconds + 3600;
	struct fetch f;
	int fd, fetches = 0, minute;

	(void)state;
	fake_token(8 * 3600, false);
	fake_role("Dev", 0, 3600, "first");
	ask_creds("marketing", 0, false);
	expect(AW_OK, NULL);
	for (minute = 0; minute < 60; minute++) {
		pass(60);
		while ((fd = fake_fetcher(&f, &order)) >= 0) {
			fetches++;
			give_role(fd, &f, end - fake_seconds, "same");
		}
	}
	assert_in_range(fetches, 1, 6);
}

static void
malformed_and_foreign_messages_are_refused(void **state)
{
	static const uint8_t wire[] = {
	    0, 0, 0, 1, 11, /* 5 */
	    0, 0, 0, 17, 27, 0, 0, 0, 12, 'c', 'r', 'e', 'd', 's', '@', 'a',
	    'w', 's', 'e', 'n', 'v',		  /* 28 */
	    0, 0, 0, 7, 27, 0, 0, 0, 2, 'n', 'o', /* 5 */
	};
	static const uint8_t answers[] = {
	    0, 0, 0, 1, 5, 0, 0, 0, 1, 28, 0, 0, 0, 1, 5};
	uint8_t got[32];

	(void)state;
	assert_int_equal(write(client, wire, sizeof(wire)), sizeof(wire));
	settle();
	assert_int_equal(read(client, got, sizeof(got)), sizeof(answers));
	assert_memory_equal(got, answers, sizeof(answers));
}

static void
whoami_asks_once_for_the_same_credentials(void **state)
{
	struct whoami_req req = {asking("marketing")};
	struct answer a = {
	    .arn = view_str("arn:aws:sts::123456789012:assumed-role/x/Jane"),
	    .person = view_str("Jane"),
	};
	struct whoami_rep who;
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	fake_role("Dev", 0, 3600, "sealed");
	fake_send(client, "whoami@awsenv", MSG_WHOAMI_REQ, &req);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_IDENTITY);
	assert_true(view_is(f.creds, "sealed"));
	fake_done(fd, &f, &a);
	assert_true(
	    fake_reply(client, "whoami@awsenv", MSG_WHOAMI_REP, &who, &keep));
	assert_true(view_is(who.person, "Jane"));
	fake_send(client, "whoami@awsenv", MSG_WHOAMI_REQ, &req);
	assert_true(
	    fake_reply(client, "whoami@awsenv", MSG_WHOAMI_REP, &who, &keep));
	assert_int_equal(who.error, AW_OK);
}

static void
logout_forgets_at_once_and_waits_for_aws(void **state)
{
	struct logout_req req = {asking("marketing"), LOGOUT_ONE};
	struct answer a = {0};
	struct logout_rep out;
	struct record rec;
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	fake_role("Dev", 0, 3600, "sealed");
	fake_send(client, "logout@awsenv", MSG_LOGOUT_REQ, &req);
	fake_profiles(mtime, names);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_LOGOUT);
	assert_true(view_is(f.tok, "sealed token"));
	assert_int_equal(
	    store_get(KEY_TOK, fake_login_id(), &keep, &rec), AW_GONE);
	assert_false(
	    fake_reply(client, "logout@awsenv", MSG_LOGOUT_REP, &out, &keep));
	fake_done(fd, &f, &a);
	assert_true(
	    fake_reply(client, "logout@awsenv", MSG_LOGOUT_REP, &out, &keep));
	assert_int_equal(out.error, AW_OK);
	assert_int_equal(out.logins, 1);
	assert_int_equal(out.roles, 1);
}

static void
logout_ends_what_would_bring_credentials(void **state)
{
	AUTOBUF struct buf sign_out = {0};
	struct logout_req req = {asking("marketing"), LOGOUT_ONE};
	int asker = client, fetcher, fd;
	struct logout_rep out;
	struct answer a = {0};
	struct fetch f, g;
	char byte;

	(void)state;
	fake_token(3600, true);
	ask_creds("marketing", 0, false);
	fake_profiles(mtime, names);
	fetcher = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_ROLE);
	client = fake_client(LOCAL);
	fake_send(client, "logout@awsenv", MSG_LOGOUT_REQ, &req);
	fd = fake_fetcher(&g, &sign_out);
	assert_int_equal(g.what, FETCH_LOGOUT);
	assert_int_equal(recv(fetcher, &byte, 1, MSG_DONTWAIT), 0);
	close(fetcher);
	fake_done(fd, &g, &a);
	assert_true(
	    fake_reply(client, "logout@awsenv", MSG_LOGOUT_REP, &out, &keep));
	close(client);
	client = asker;
	expect(AW_LOGIN,
	    "login needed for corp: awsenv login --profile marketing");
}

static void
logout_does_not_wait_for_aws_forever(void **state)
{
	struct logout_req req = {asking("marketing"), LOGOUT_ALL};
	struct logout_rep out;
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, true);
	fake_send(client, "logout@awsenv", MSG_LOGOUT_REQ, &req);
	fd = fake_fetcher(&f, &order);
	pass(11);
	assert_true(
	    fake_reply(client, "logout@awsenv", MSG_LOGOUT_REP, &out, &keep));
	assert_int_equal(out.error, AW_NETWORK);
	assert_int_equal(out.logins, 1);
	assert_non_null(
	    memmem(out.lines.p, out.lines.n, "AWS could not be told", 21));
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(fresh_credentials_are_handed_out_as_they_are),
	    T(without_a_token_a_person_is_needed),
	    T(stale_credentials_are_fetched_once_for_all),
	    T(a_clock_that_was_set_back_means_new_credentials),
	    T(a_clock_that_is_set_ahead_costs_a_refresh_and_no_login),
	    T(a_clock_that_is_set_back_a_day_costs_no_login_either),
	    T(a_clock_that_is_set_neither_ends_nor_prolongs_a_hold),
	    T(credentials_of_a_chain_bear_the_last_role),
	    T(half_of_the_life_is_wanted_for_frozen_ones),
	    T(a_refused_token_is_refreshed_once),
	    T(a_token_refused_again_and_again_ends_in_a_login),
	    T(a_worthless_refresh_token_means_a_login_and_keeps_the_name),
	    T(a_missing_assignment_keeps_the_token),
	    T(while_aws_is_out_of_reach_the_old_ones_serve),
	    T(a_held_request_ends_after_a_minute),
	    T(a_stale_ca_has_the_file_read_again),
	    T(a_file_that_hangs_is_told_and_the_last_table_serves),
	    T(an_unknown_stamp_uses_what_was_read),
	    T(root_gets_no_credentials),
	    T(names_from_clients_are_made_printable),
	    T(a_client_that_goes_leaves_the_work_to_others),
	    T(used_roles_are_refreshed_before_they_end),
	    T(the_first_of_many_roles_is_refreshed_before_it_ends),
	    T(the_same_credentials_again_do_not_make_it_ask_forever),
	    T(malformed_and_foreign_messages_are_refused),
	    T(whoami_asks_once_for_the_same_credentials),
	    T(logout_forgets_at_once_and_waits_for_aws),
	    T(logout_ends_what_would_bring_credentials),
	    T(logout_does_not_wait_for_aws_forever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
