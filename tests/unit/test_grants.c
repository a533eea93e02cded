/* SPDX-License-Identifier: ISC */
#include "tests/unit/broker_case.h"

#define ACCOUNT "123456789012"

static const char *const names[] = {"marketing", NULL};
static uint64_t mtime = 1;
static bool known; /* the config file, for this test */
static struct grants_rep rep;
static struct grant_item item;
static struct fetch f;

static int
setup(void **state)
{
	(void)state;
	case_begin_with(LOCAL);
	/* What was listed for the test before is too old now. */
	pass(3600);
	mtime++;
	known = false;
	fake_token(3600, true);
	return 0;
}

static void
ask(uint64_t listing, uint32_t from)
{
	struct grants_req req = {
	    .ask =
		{
		    .config = view_str("/home/jane/.aws/config"),
		    .stamp = fake_stamp(mtime),
		    .profile = view_str("marketing"),
		},
	    .listing = listing,
	    .from = from,
	};

	fake_send(client, "grants@awsenv", MSG_GRANTS_REQ, &req);
	if (!known)
		known = fake_profiles(mtime, names);
}

static bool
replied(void)
{
	return fake_reply(client, "grants@awsenv", MSG_GRANTS_REP, &rep, &keep);
}

/* Of an account: its one role, or none. */
static void
page(int fd, const char *role, uint32_t accounts, bool last)
{
	AUTOBUF struct buf items = {0};
	struct answer a = {.accounts = accounts, .done = *role != '\0'};
	struct grant_item one = {
	    .account = view_str(ACCOUNT),
	    .name = view_str("platform"),
	    .email = view_str("p@example.com"),
	    .role = view_str(role),
	};

	if (*role)
		msg_append(MSG_GRANT_ITEM, &one, &items);
	a.grants = view_of(&items);
	if (last)
		fake_done(fd, &f, &a);
	else
		fake_answer(fd, &f, &a);
}

static int
lister(void)
{
	int fd = fake_fetcher(&f, &order);

	assert_true(fd >= 0);
	assert_int_equal(f.what, FETCH_GRANTS);
	assert_true(view_is(f.tok, "sealed token"));
	return fd;
}

/* The first answer is what to ask on with. */
static int
begin(void)
{
	int fd;

	ask(0, 0);
	fd = lister();
	assert_true(replied());
	assert_int_equal(rep.error, AW_OK);
	assert_int_equal(rep.items.n, 0);
	assert_false(rep.complete);
	ask(rep.listing, rep.next);
	assert_false(replied());
	return fd;
}

static void
is_told(const char *role)
{
	assert_true(msg_each(MSG_GRANT_ITEM, &rep.items, &item));
	assert_true(view_is(item.account, ACCOUNT));
	assert_true(view_is(item.role, role));
}

static void
each_page_is_told_as_soon_as_it_is_there(void **state)
{
	uint64_t listing;
	int fd;

	(void)state;
	fd = begin();
	page(fd, "Dev", 2, false);
	assert_true(replied());
	assert_int_equal(rep.error, AW_OK);
	is_told("Dev");
	assert_int_equal(rep.items.n, 0);
	assert_int_equal(rep.accounts, 2);
	assert_int_equal(rep.done, 1);
	assert_false(rep.complete);
	listing = rep.listing;
	ask(listing, rep.next);
	assert_false(replied());
	page(fd, "Ops", 2, true);
	assert_true(replied());
	is_told("Ops");
	assert_int_equal(rep.listing, listing);
	assert_int_equal(rep.done, 2);
	if (!rep.complete) {
		ask(listing, rep.next);
		assert_true(replied());
	}
	assert_true(rep.complete);
}

static void
it_is_kept_for_half_a_minute_and_no_longer(void **state)
{
	(void)state;
	page(begin(), "Dev", 1, true);
	assert_true(replied());
	pass(25);
	ask(0, 0);
	assert_true(replied());
	is_told("Dev");
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	pass(10);
	page(begin(), "Ops", 1, true);
	assert_true(replied());
	is_told("Ops");
}

static void
what_is_live_is_told_with_it(void **state)
{
	(void)state;
	fake_role("Dev", 60, 3000, "sealed credentials");
	page(begin(), "Dev", 1, true);
	assert_true(replied());
	is_told("Dev");
	assert_int_equal(item.expires, fake_seconds + 3000);
	store_drop_all(1u << KEY_ROLE, (struct view){0});
	ask(0, 0);
	assert_true(replied());
	is_told("Dev");
	assert_int_equal(item.expires, 0);
}

static void
a_failure_is_told_and_is_no_answer_for_the_next(void **state)
{
	(void)state;
	fake_failed(begin(), &f, AW_AWS, "AWS says no");
	assert_true(replied());
	assert_int_equal(rep.error, AW_AWS);
	assert_true(view_is(rep.text, "AWS says no"));
	page(begin(), "Dev", 1, true);
	assert_true(replied());
	assert_int_equal(rep.error, AW_OK);
	is_told("Dev");
}

static void
a_fetcher_that_dies_midway_makes_it_begin_anew(void **state)
{
	uint64_t listing;
	uint32_t next;
	int fd;

	(void)state;
	fd = begin();
	page(fd, "Dev", 2, false);
	assert_true(replied());
	listing = rep.listing;
	next = rep.next;
	close(fd);
	settle();
	pass(1);
	fd = lister();
	page(fd, "Ops", 2, false);
	ask(listing, next);
	assert_true(replied());
	/* From its first page on: what came before may come again. */
	assert_true(rep.listing != listing);
	is_told("Ops");
	page(fd, "Dev", 2, true);
}

static void
two_who_ask_share_one_listing(void **state)
{
	int first = client, second = fake_client(LOCAL), fd;

	(void)state;
	fd = begin();
	client = second;
	ask(0, 0);
	assert_true(replied());
	ask(rep.listing, rep.next);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	page(fd, "Dev", 1, true);
	assert_true(replied());
	is_told("Dev");
	close(second);
	client = first;
	assert_true(replied());
	is_told("Dev");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(each_page_is_told_as_soon_as_it_is_there),
	    T(it_is_kept_for_half_a_minute_and_no_longer),
	    T(what_is_live_is_told_with_it),
	    T(a_failure_is_told_and_is_no_answer_for_the_next),
	    T(a_fetcher_that_dies_midway_makes_it_begin_anew),
	    T(two_who_ask_share_one_listing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
