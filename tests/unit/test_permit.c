/* SPDX-License-Identifier: ISC */
/* Sockets that end with the connection of whoever made them. */
#include "tests/unit/fake_broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/un.h>

#include <cmocka.h>

#define NAME "forward-00000007"

static const char *const profiles[] = {"dev", NULL};
static struct buf keep;
static struct forward_rep rep;

static int
setup(void **state)
{
	(void)state;
	fake_begin();
	fake_reset();
	return 0;
}

static int
teardown(void **state)
{
	struct link l;

	(void)state;
	buf_free(&keep);
	while (link_recv(fake_supervisor, &l) == AW_OK)
		continue;
	assert_int_equal(conn_count(), 0);
	return 0;
}

static void
ask(int client, enum forward_what what)
{
	struct forward_req req = {
	    .ask.stamp = fake_stamp(1),
	    .what = (uint8_t)what,
	    .id = 7,
	    .profiles = {(const uint8_t *)"dev", 4},
	    .bound = 1,
	};

	fake_send(client, "forward@awsenv", MSG_FORWARD_REQ, &req);
}

static bool
answered(int client)
{
	return fake_reply(
	    client, "forward@awsenv", MSG_FORWARD_REP, &rep, &keep);
}

/* What the supervisor was told of it last. */
static uint32_t
told(void)
{
	uint32_t type = 0;
	struct link l;

	while (link_recv(fake_supervisor, &l) == AW_OK) {
		if (strcmp(l.text, NAME) == 0)
			type = l.type;
	}
	return type;
}

/* The supervisor's part, for a new one or for a new broker. */
static void
listens(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	permit_listen(NAME, fd, 0);
	settle();
}

static int
client_with_one(void)
{
	int client = fake_client(LOCAL);

	ask(client, FORWARD_OPEN);
	fake_profiles(1, profiles);
	assert_int_equal(told(), LINK_OPEN);
	assert_false(answered(client));
	listens();
	assert_true(answered(client));
	assert_int_equal(rep.error, AW_OK);
	return client;
}

static bool
is_there(void)
{
	int client = fake_client(LOCAL);
	bool some;

	ask(client, FORWARD_LIST);
	assert_true(answered(client));
	some = rep.items.n > 0;
	close(client);
	settle();
	return some;
}

/* As if this process were the next broker, which knows what is stored. */
static void
left_by_another(void)
{
	AUTOBUF struct buf facts = {0};
	struct forward_item item = {
	    .profiles = {(const uint8_t *)"dev", 4},
	    .bound = 1,
	};
	struct record rec = {
	    .obtained = fake_seconds,
	    .id = view_str(NAME),
	    .label = view_str(NAME),
	};

	msg_encode(MSG_FORWARD_ITEM, &item, &facts);
	rec.facts = view_of(&facts);
	assert_int_equal(store_put(KEY_PERMIT, &rec), AW_OK);
	listens();
}

static void
it_ends_with_the_connection(void **state)
{
	int client = client_with_one();

	(void)state;
	pass(86400);
	assert_true(is_there());
	fake_leave(client);
	assert_int_equal(told(), LINK_CLOSE);
	assert_false(is_there());
}

static void
a_client_that_goes_while_it_is_made_leaves_none(void **state)
{
	int client = fake_client(LOCAL);

	(void)state;
	ask(client, FORWARD_OPEN);
	fake_profiles(1, profiles);
	assert_int_equal(told(), LINK_OPEN);
	fake_leave(client);
	assert_int_equal(told(), LINK_CLOSE);
	listens();
	assert_int_equal(told(), LINK_CLOSE);
	assert_false(is_there());
}

static void
a_new_broker_waits_for_whoever_keeps_it(void **state)
{
	int client;

	(void)state;
	left_by_another();
	pass(29);
	assert_true(is_there());
	client = fake_client(LOCAL);
	ask(client, FORWARD_KEEP);
	assert_true(answered(client));
	assert_int_equal(rep.error, AW_OK);
	pass(86400);
	assert_true(is_there());
	fake_leave(client);
	assert_int_equal(told(), LINK_CLOSE);
	assert_false(is_there());
}

static void
a_new_broker_does_not_wait_for_ever(void **state)
{
	int client;

	(void)state;
	left_by_another();
	pass(31);
	assert_int_equal(told(), LINK_CLOSE);
	assert_false(is_there());
	client = fake_client(LOCAL);
	ask(client, FORWARD_KEEP);
	assert_true(answered(client));
	assert_int_equal(rep.error, AW_GONE);
	fake_leave(client);
}

static void
who_asked_again_is_who_keeps_it(void **state)
{
	int first = client_with_one(), second = fake_client(LOCAL);

	(void)state;
	ask(second, FORWARD_OPEN);
	assert_true(answered(second));
	close(first);
	settle();
	assert_true(is_there());
	fake_leave(second);
	assert_false(is_there());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		it_ends_with_the_connection, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_client_that_goes_while_it_is_made_leaves_none, setup,
		teardown),
	    cmocka_unit_test_setup_teardown(
		a_new_broker_waits_for_whoever_keeps_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_new_broker_does_not_wait_for_ever, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		who_asked_again_is_who_keeps_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
