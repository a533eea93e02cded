/* SPDX-License-Identifier: ISC */
#include "tests/unit/broker_case.h"

static const char *const names[] = {"default", "marketing", NULL};
static struct login_rep rep;

static int
setup(void **state)
{
	(void)state;
	case_begin_with(LOCAL);
	return 0;
}

/* With the file read before. */
static void
login_from(bool desktop)
{
	struct login_req req = {
	    .ask.stamp = fake_stamp(1),
	    .ask.profile = view_str("marketing"),
	    .desktop = desktop,
	};

	fake_send(client, "login@awsenv", MSG_LOGIN_REQ, &req);
}

static void
login_again(void)
{
	login_from(false);
}

static void
login(void)
{
	login_again();
	fake_profiles(1, names);
}

static bool
told(void)
{
	return fake_reply(client, "login@awsenv", MSG_LOGIN_REP, &rep, &keep);
}

static void
wait_for(uint8_t seen, uint32_t seconds)
{
	struct wait_req req = {rep.ticket, seen, seconds};

	fake_send(client, "wait@awsenv", MSG_WAIT_REQ, &req);
}

static bool
waited(void)
{
	return fake_reply(client, "wait@awsenv", MSG_LOGIN_REP, &rep, &keep);
}

static void
give_device(int fd, const struct fetch *f)
{
	struct answer a = {
	    .dev = view_str("sealed dev"),
	    .dev_until = fake_seconds + 600,
	    .url = view_str("https://corp.awsapps.com/start/#/device"),
	    .code = view_str("ABCD-EFGH"),
	    .qr_width = 21,
	    .qr = view_str("bits"),
	};

	fake_answer(fd, f, &a);
}

static void
give_token(int fd, const struct fetch *f)
{
	struct answer a = {
	    .tok = view_str("sealed token"),
	    .tok_expires = fake_seconds + 3600,
	    .ref = view_str("sealed ref"),
	    .ref_expires = fake_seconds + 90 * 86400,
	    .refreshable = 1,
	};

	fake_answer(fd, f, &a);
}

static void
give_person(int fd, const struct fetch *f, const char *name)
{
	struct answer a = {.person = view_str(name)};

	fake_done(fd, f, &a);
}

/* A fetcher that has shown URL and code. */
static int
pending(struct fetch *f)
{
	int fd;

	login();
	assert_true(told());
	assert_int_equal(rep.state, LOGIN_STARTING);
	fd = fake_fetcher(f, &order);
	assert_int_equal(f->what, FETCH_LOGIN);
	wait_for(LOGIN_STARTING, 30);
	give_device(fd, f);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_PENDING);
	return fd;
}

static bool
stored(enum store_kind kind, struct record *rec)
{
	return store_get(kind, fake_login_id(), &keep, rec) == AW_OK;
}

static void
a_login_goes_from_code_to_token_to_person(void **state)
{
	struct record rec;
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	assert_true(view_is(rep.code, "ABCD-EFGH"));
	assert_int_equal(rep.qr_width, 21);
	assert_true(stored(KEY_DEV, &rec));
	wait_for(LOGIN_PENDING, 30);
	give_token(fd, &f);
	/* The token is safe, but it is not said yet who approved. */
	assert_true(stored(KEY_TOK, &rec));
	assert_true(stored(KEY_REF, &rec));
	assert_false(stored(KEY_DEV, &rec));
	assert_false(waited());
	give_person(fd, &f, "Jane@example.com");
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_DONE);
	assert_true(view_is(rep.person, "Jane@example.com"));
	assert_int_equal(rep.expires, fake_seconds + 3600);
}

static void
a_person_who_cannot_be_named_is_logged_in_all_the_same(void **state)
{
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	wait_for(LOGIN_PENDING, 30);
	give_token(fd, &f);
	pass(9);
	assert_false(waited());
	pass(2);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_DONE);
	assert_int_equal(rep.person.n, 0);
	close(fd);
}

static void
who_had_it_before_is_told(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(0, false);
	fd = pending(&f);
	assert_true(view_is(f.ref, "sealed ref")); /* its registration */
	give_token(fd, &f);
	give_person(fd, &f, "Bob@example.com");
	wait_for(LOGIN_PENDING, 30);
	assert_true(waited());
	assert_true(view_is(rep.person, "Bob@example.com"));
	assert_true(view_is(rep.before, "Jane@example.com"));
}

static void
who_asks_later_sees_the_same_code(void **state)
{
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	close(client);
	client = fake_client(LOCAL);
	login_again();
	assert_true(told());
	assert_int_equal(rep.state, LOGIN_PENDING);
	assert_true(view_is(rep.code, "ABCD-EFGH"));
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	close(fd);
}

static void
a_good_token_needs_no_login(void **state)
{
	(void)state;
	fake_token(3600, true);
	login();
	assert_true(told());
	assert_int_equal(rep.state, LOGIN_DONE);
	assert_true(view_is(rep.person, "Jane@example.com"));
}

static void
a_refresh_is_tried_before_a_person_is_asked(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(0, true);
	login();
	assert_false(told());
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_REFRESH);
	fake_failed(fd, &f, AW_GRANT, "invalid_grant");
	assert_true(told());
	assert_int_equal(rep.state, LOGIN_STARTING);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_LOGIN);
	close(fd);
}

static void
a_fetcher_that_dies_while_polling_is_replaced(void **state)
{
	struct fetch f;
	int fd = pending(&f), i;

	(void)state;
	for (i = 0; i < 5; i++) {
		close(fd);
		settle();
		assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
		pass(10);
		fd = fake_fetcher(&f, &order);
		assert_true(fd >= 0);
		assert_int_equal(f.what, FETCH_POLL);
		assert_true(view_is(f.dev, "sealed dev"));
		/* It says where the person's name is to be asked. */
		assert_true(view_is(f.account, "123456789012"));
		assert_true(view_is(f.role, "Dev"));
	}
	give_device(fd, &f);
	wait_for(99, 0);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_PENDING);
	close(fd);
}

static void
a_code_that_ran_out_while_the_fetcher_was_dead_fails(void **state)
{
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	close(fd);
	settle();
	pass(601);
	wait_for(LOGIN_PENDING, 30);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_FAILED);
	assert_int_equal(rep.error, AW_LOGIN);
}

static void
failure_stays_until_somebody_asks_anew(void **state)
{
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	fake_failed(fd, &f, AW_AWS, "denied");
	wait_for(LOGIN_PENDING, 30);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_FAILED);
	assert_true(view_is(rep.text, "denied"));
	login_again();
	assert_true(told());
	assert_int_equal(rep.state, LOGIN_STARTING);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_LOGIN);
	close(fd);
}

static void
a_ca_that_changed_is_read_again_by_the_next_login(void **state)
{
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	fake_failed(fd, &f, AW_STALE, "the CA bundle has changed");
	wait_for(LOGIN_PENDING, 30);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_FAILED);
	login_again();
	assert_true(fake_profiles(1, names));
	assert_true(told());
	assert_int_equal(rep.state, LOGIN_STARTING);
	fd = fake_fetcher(&f, &order);
	close(fd);
}

static bool
hinted(int fd, uint8_t waiting)
{
	struct hint hint;

	settle();
	return fake_order(fd, &keep, &hint) == MSG_HINT &&
	    hint.waiting == waiting;
}

static void
the_fetcher_hears_when_nobody_looks_and_when_somebody_does(void **state)
{
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	assert_true(f.waiting);
	pass(40);
	assert_true(hinted(fd, 0));
	wait_for(LOGIN_PENDING, 30);
	assert_true(hinted(fd, 1));
	pass(31);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_PENDING);
	close(fd);
}

static bool
is_watched(void)
{
	return login_find(fake_login_id())->watch.armed;
}

static void
once_it_is_done_no_timer_looks_for_who_looks(void **state)
{
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	assert_true(is_watched());
	give_token(fd, &f);
	pass(11); /* nobody was named, though somebody is still asked */
	assert_false(is_watched());
	wait_for(LOGIN_PENDING, 30);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_DONE);
	assert_false(is_watched());
	close(fd);
}

static void
nor_once_it_failed(void **state)
{
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	fake_failed(fd, &f, AW_AWS, "denied");
	assert_false(is_watched());
}

static void
tokens_are_refreshed_before_they_end(void **state)
{
	struct record rec;
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	give_token(fd, &f);
	give_person(fd, &f, "Jane@example.com");
	pass(39 * 60);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	pass(7 * 60);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_REFRESH);
	/* No network: again after a minute or so, while the token lives. */
	fake_failed(fd, &f, AW_NETWORK, "no route");
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	pass(95);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_REFRESH);
	give_token(fd, &f);
	close(fd);
	settle();
	assert_true(stored(KEY_TOK, &rec));
	assert_int_equal(rec.expires, fake_seconds + 3600);
	assert_true(stored(KEY_REF, &rec));
	assert_true(view_is(rec.person, "Jane@example.com"));
}

static void
the_next_broker_goes_on_with_what_is_stored(void **state)
{
	AUTOBUF struct buf facts = {0};
	struct record rec = {
	    .id = fake_login_id(),
	    .expires = fake_seconds + 500,
	    .person = {(const uint8_t *)"123456789012\0Dev", 17},
	    .sealed = view_str("sealed dev"),
	};
	struct view id = fake_login_id();
	struct fetch f;
	int fd;

	(void)state;
	fake_facts(&facts);
	rec.facts = view_of(&facts);
	store_put(KEY_DEV, &rec);
	login_resume();
	view_u64(&id, &rep.ticket);
	wait_for(LOGIN_PENDING, 30);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_STARTING);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_POLL);
	wait_for(LOGIN_STARTING, 30);
	give_device(fd, &f);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_PENDING);
	give_token(fd, &f);
	give_person(fd, &f, "Jane@example.com");
	wait_for(LOGIN_PENDING, 30);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_DONE);
}

static void
an_adopted_fetcher_is_asked_to_show_its_code(void **state)
{
	struct link l = {.type = LINK_JOB, .pid = 77, .nfds = 1};
	struct fetch f;
	int fd = pending(&f), pair[2];
	struct hint hint;

	(void)state;
	close(fd);
	/* As if the broker had died and the supervisor kept the link. */
	memcpy(l.tag, fake_tag, LINK_TAG);
	job_abandon_all(1u << FETCH_LOGIN, (struct view){0});
	login_forget(fake_login_id());
	assert_int_equal(link_pair(pair), 0);
	l.fds[0] = pair[0];
	job_adopt(&l);
	login_resume();
	settle();
	assert_int_equal(fake_order(pair[1], &keep, &hint), MSG_HINT);
	assert_true(hint.waiting);
	wait_for(LOGIN_PENDING, 0);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_STARTING);
	close(pair[1]);
}

static void
a_fetcher_may_not_answer_for_another_login(void **state)
{
	AUTOBUF struct buf tag = {0};
	struct record rec;
	struct fetch f;
	int fd;
	struct answer a = {
	    .tok = view_str("planted"),
	    .tok_expires = fake_seconds + 3600,
	};

	(void)state;
	fake_token(0, true);
	login();
	fd = fake_fetcher(&f, &order);
	buf_string(&tag, view_str("another login of 32 bytes length"));
	buf_string(&tag, f.facts);
	buf_u64(&tag, 0);
	f.tag = view_of(&tag);
	fake_done(fd, &f, &a);
	assert_true(told());
	assert_int_equal(rep.error, AW_PROTO);
	assert_int_equal(
	    store_get(KEY_TOK, view_str("another login of 32 bytes length"),
		&keep, &rec),
	    AW_GONE);
}

static void
a_role_that_named_the_person_is_kept(void **state)
{
	struct answer a = {
	    .person = view_str("Jane@example.com"),
	    .creds = view_str("sealed credentials"),
	    .creds_expires = fake_seconds + 3600,
	    .account = view_str("123456789012"),
	};
	AUTOBUF struct buf id = {0};
	struct record rec;
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	give_token(fd, &f);
	fake_done(fd, &f, &a);
	role_id(&id, fake_login_id(), view_str("123456789012"), view_str("Dev"),
	    (struct view){0});
	assert_int_equal(store_get(KEY_ROLE, view_of(&id), &keep, &rec), AW_OK);
	assert_true(view_is(rec.sealed, "sealed credentials"));
	assert_true(view_is(rec.label, "123456789012/Dev"));
}

static void
dropped_with_its_login_it_is_not(void **state)
{
	struct answer a = {
	    .creds = view_str("sealed credentials"),
	    .creds_expires = fake_seconds + 3600,
	    .account = view_str("123456789012"),
	};
	AUTOBUF struct buf id = {0};
	struct record rec;
	struct fetch f;
	int fd = pending(&f);

	(void)state;
	give_token(fd, &f);
	store_drop_all(1u << KEY_TOK | 1u << KEY_REF, (struct view){0});
	fake_done(fd, &f, &a);
	role_id(&id, fake_login_id(), view_str("123456789012"), view_str("Dev"),
	    (struct view){0});
	assert_int_equal(
	    store_get(KEY_ROLE, view_of(&id), &keep, &rec), AW_GONE);
}

static void
a_login_anew_is_not_ended_by_the_one_before(void **state)
{
	struct fetch f;
	int old = pending(&f), fd;
	char byte;

	(void)state;
	give_token(old, &f);
	store_drop_all(1u << KEY_TOK | 1u << KEY_REF, (struct view){0});
	pass(11); /* nobody was named */
	login_again();
	assert_true(told());
	assert_int_equal(rep.state, LOGIN_STARTING);
	fd = fake_fetcher(&f, &order);
	assert_int_equal(f.what, FETCH_LOGIN);
	assert_int_equal(recv(old, &byte, 1, MSG_DONTWAIT), 0);
	close(old);
	give_device(fd, &f);
	pass(11);
	wait_for(LOGIN_STARTING, 30);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_PENDING);
	close(fd);
}

static void
a_token_is_enough_though_its_fetcher_dies(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	login();
	assert_true(told());
	fd = fake_fetcher(&f, &order);
	give_token(fd, &f); /* approved before anything was shown */
	close(fd);
	pass(1);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	wait_for(LOGIN_STARTING, 30);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_DONE);
}

/* ---- by a browser on this machine */

static void
give_page(int fd, const struct fetch *f, const char *url)
{
	struct answer a = {
	    .dev_until = fake_seconds + 600,
	    .url = view_str(url),
	};

	fake_answer(fd, f, &a);
}

/* A fetcher that has shown the page. */
static int
at_desk(struct fetch *f)
{
	int fd;

	login_from(true);
	fake_profiles(1, names);
	assert_true(told());
	fd = fake_fetcher(f, &order);
	assert_int_equal(f->what, FETCH_LOGIN);
	assert_true(f->desktop);
	wait_for(LOGIN_STARTING, 30);
	give_page(fd, f, "https://oidc.example/authorize?1");
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_PENDING);
	assert_int_equal(rep.code.n, 0);
	return fd;
}

static void
a_browser_here_needs_no_code_and_leaves_no_key(void **state)
{
	struct record rec;
	struct fetch f;
	int fd;

	(void)state;
	fd = at_desk(&f);
	assert_false(stored(KEY_DEV, &rec));
	wait_for(LOGIN_PENDING, 30);
	give_token(fd, &f);
	give_person(fd, &f, "ann");
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_DONE);
	assert_true(stored(KEY_TOK, &rec));
	close(fd);
}

static void
who_has_a_browser_too_joins_and_who_has_none_takes_over(void **state)
{
	struct fetch f, other;
	int fd, second;

	(void)state;
	fd = at_desk(&f);
	login_from(true);
	assert_true(told());
	assert_true(view_is(rep.url, "https://oidc.example/authorize?1"));
	login_from(false);
	assert_true(told());
	assert_int_equal(rep.state, LOGIN_STARTING);
	second = fake_fetcher(&other, &order);
	assert_false(other.desktop);
	wait_for(LOGIN_STARTING, 30);
	give_device(second, &other);
	assert_true(waited());
	assert_true(view_is(rep.code, "ABCD-EFGH"));
	login_from(true);
	assert_true(told());
	assert_true(view_is(rep.code, "ABCD-EFGH"));
	close(fd);
	close(second);
}

static void
a_listener_that_dies_is_begun_anew_and_told(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fd = at_desk(&f);
	wait_for(LOGIN_PENDING, 30);
	close(fd);
	settle();
	pass(1);
	fd = fake_fetcher(&f, &order);
	assert_true(fd >= 0 && f.desktop);
	give_page(fd, &f, "https://oidc.example/authorize?2");
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_PENDING);
	assert_true(view_is(rep.url, "https://oidc.example/authorize?2"));
	close(fd);
}

static void
what_a_failed_one_leaves_is_no_token(void **state)
{
	struct fetch f;
	int fd;

	(void)state;
	fake_token(3600, false);
	pass(3570); /* no good any more, but there */
	fd = at_desk(&f);
	fake_failed(fd, &f, AW_AWS, "refused");
	wait_for(LOGIN_PENDING, 0);
	assert_true(waited());
	assert_int_equal(rep.state, LOGIN_FAILED);
	assert_int_equal(rep.error, AW_AWS);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(a_login_goes_from_code_to_token_to_person),
	    T(a_person_who_cannot_be_named_is_logged_in_all_the_same),
	    T(who_had_it_before_is_told),
	    T(who_asks_later_sees_the_same_code),
	    T(a_good_token_needs_no_login),
	    T(a_refresh_is_tried_before_a_person_is_asked),
	    T(a_fetcher_that_dies_while_polling_is_replaced),
	    T(a_code_that_ran_out_while_the_fetcher_was_dead_fails),
	    T(failure_stays_until_somebody_asks_anew),
	    T(a_ca_that_changed_is_read_again_by_the_next_login),
	    T(the_fetcher_hears_when_nobody_looks_and_when_somebody_does),
	    T(once_it_is_done_no_timer_looks_for_who_looks),
	    T(nor_once_it_failed),
	    T(tokens_are_refreshed_before_they_end),
	    T(the_next_broker_goes_on_with_what_is_stored),
	    T(an_adopted_fetcher_is_asked_to_show_its_code),
	    T(a_fetcher_may_not_answer_for_another_login),
	    T(a_role_that_named_the_person_is_kept),
	    T(dropped_with_its_login_it_is_not),
	    T(a_login_anew_is_not_ended_by_the_one_before),
	    T(a_token_is_enough_though_its_fetcher_dies),
	    T(a_browser_here_needs_no_code_and_leaves_no_key),
	    T(who_has_a_browser_too_joins_and_who_has_none_takes_over),
	    T(a_listener_that_dies_is_begun_anew_and_told),
	    T(what_a_failed_one_leaves_is_no_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
