/* SPDX-License-Identifier: ISC */
/* The test is the client, the spawner and the user's own ssh-agent. */
#include "tests/unit/fake_broker.h"

#include <errno.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define LIST "\x0b"
#define NO_KEYS "\0\0\0\5\x0c\0\0\0"

static const char *const names[] = {NULL};
static int client = -1, upstream = -1;
static uint32_t peer; /* what the spawner says of it */
static int swallowed;

static int
client_new(void)
{
	int fd[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	conn_add(fd[0], REMOTE, getpid())->listener = AT_FORWARD;
	return fd[1];
}

static int
setup(void **state)
{
	(void)state;
	fake_begin();
	peer = SEEN_THERE | SEEN_SSH | SEEN_BINDS | SEEN_WAITS;
	client = client_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(client);
	if (upstream >= 0)
		close(upstream);
	upstream = -1;
	settle();
	assert_int_equal(conn_count(), 0);
	fake_reset();
	return 0;
}

static void
put(int fd, const void *p, size_t n)
{
	AUTOBUF struct buf b = {0};

	buf_string(&b, (struct view){p, (uint32_t)n});
	assert_int_equal(send(fd, b.data, b.len, MSG_NOSIGNAL), b.len);
	settle();
}

static bool
gets(int fd, const void *p, size_t n)
{
	uint8_t got[1024];
	ssize_t r;

	settle();
	r = recv(fd, got, sizeof(got), 0);
	return r == (ssize_t)n && memcmp(got, p, n) == 0;
}

static bool
closed(int fd)
{
	uint8_t c;

	settle();
	return recv(fd, &c, 1, 0) == 0;
}

static bool
silent(int fd)
{
	uint8_t c;

	settle();
	return recv(fd, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* At the first bind the broker wants to know whose it is. */
static void
look(void)
{
	struct link l;

	if (link_recv(fake_spawner, &l) != AW_OK)
		return;
	assert_int_equal(l.type, LINK_LOOK);
	l.type = LINK_SEEN;
	l.seen.flags = peer;
	assert_int_equal(link_send(fake_spawner, &l), AW_OK);
	settle();
}

static void
put_bind_of(struct view signature, uint8_t forwarding)
{
	AUTOBUF struct buf b = {0};

	buf_u8(&b, 27);
	buf_string(&b, view_str("session-bind@openssh.com"));
	buf_string(&b, view_str("key"));
	buf_string(&b, view_str("id"));
	buf_string(&b, signature);
	buf_u8(&b, forwarding);
	put(client, b.data, b.len);
	look();
	assert_true(gets(client, "\0\0\0\1\6", 5));
}

static void
put_bind(uint8_t forwarding)
{
	put_bind_of(view_str("signature"), forwarding);
}

/* The frame that came upstream; "nobody" is a name for the long one. */
static void
comes_bind(bool nobody)
{
	uint8_t frame[300];
	size_t n = nobody ? 228 : 60;

	settle();
	assert_int_equal(recv(upstream, frame, n, 0), n);
	assert_memory_equal(frame + 9, "session-bind@openssh.com", 24);
	assert_int_equal(frame[n - 1], 1);
	assert_int_equal(memmem(frame, n, "from a host", 11) != NULL, nobody);
}

/* Answer what the broker wants of its spawner: the table, who it is, and with
 * `error` no upstream, with AW_BUSY never. False: it wants nothing. */
static bool
spawn(enum aw_err error)
{
	struct link l;
	int fd[2];

	settle();
	if (link_recv(fake_spawner, &l) != AW_OK)
		return false;
	if (l.type == LINK_LOOK) {
		l.type = LINK_SEEN;
		l.seen.flags = peer;
		assert_int_equal(link_send(fake_spawner, &l), AW_OK);
		return true;
	}
	if (l.type == LINK_SPAWN) {
		assert_int_equal(link_pair(fd), 0);
		l.type = LINK_SPAWNED;
		l.pid = 77;
		l.nfds = 1;
		l.fds[0] = fd[0];
		assert_int_equal(link_send(fake_spawner, &l), AW_OK);
		close(fd[0]);
		settle();
		fake_table(fd[1], 1, names);
		settle();
		close(fd[1]);
		return true;
	}
	assert_int_equal(l.type, LINK_UPSTREAM);
	if (error == AW_BUSY) {
		swallowed++;
		return true;
	}
	assert_int_equal(l.path[0], '\0');
	l.type = LINK_UPSTREAM_IS;
	l.error = error;
	snprintf(l.path, sizeof(l.path), "/run/upstream");
	if (!error) {
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
		l.nfds = 1;
		l.fds[0] = fd[0];
		upstream = fd[1];
	}
	assert_int_equal(link_send(fake_spawner, &l), AW_OK);
	if (!error)
		close(fd[0]);
	return true;
}

static void
spawn_all(enum aw_err error)
{
	while (spawn(error))
		continue;
}

static void
a_bind_is_answered_and_goes_nowhere_by_itself(void **state)
{
	struct link l;

	(void)state;
	put_bind(1);
	put_bind(1);
	assert_int_equal(link_recv(fake_spawner, &l), AW_BUSY);
}

static void
what_a_client_wants_waits_for_the_answer_to_its_bind(void **state)
{
	(void)state;
	put_bind(1);
	put(client,
	    "\x0d"
	    "data",
	    5);
	spawn_all(AW_OK);
	comes_bind(false);
	assert_true(silent(upstream));
	assert_true(silent(client));
	put(upstream, "\5", 1); /* yes or no: it has heard of it */
	assert_true(gets(upstream,
	    "\0\0\0\5\x0d"
	    "data",
	    9));
	put(upstream,
	    "\x0e"
	    "signed",
	    7);
	assert_true(gets(client,
	    "\0\0\0\7\x0e"
	    "signed",
	    11));
	put(client, LIST, 1);
	assert_true(gets(upstream, "\0\0\0\1" LIST, 5));
	put(upstream, "\x0c\0\0\0\0", 5);
	assert_true(gets(client, NO_KEYS, 9));
}

static void
binds_that_are_not_ssh_s_own_stand_behind_one_to_nobody(void **state)
{
	(void)state;
	peer = SEEN_THERE | SEEN_SSH; /* one that sends none */
	put_bind(1);
	put(client, LIST, 1);
	spawn_all(AW_OK);
	comes_bind(true);
	comes_bind(false);
	put(upstream, "\6", 1);
	assert_true(silent(upstream));
	put(upstream, "\6", 1);
	assert_true(gets(upstream, "\0\0\0\1" LIST, 5));
}

/* What a RemoteForward of this socket brings, by an ssh that sends binds. */
static void
so_do_those_that_ssh_only_passes_on(void **state)
{
	(void)state;
	peer = SEEN_THERE | SEEN_SSH | SEEN_BINDS;
	put_bind(1);
	put(client, LIST, 1);
	spawn_all(AW_OK);
	comes_bind(true);
	comes_bind(false);
}

static void
a_login_s_bind_stands_behind_one_to_nobody(void **state)
{
	uint8_t frame[60];

	(void)state;
	put_bind(0);
	put(client, LIST, 1);
	spawn_all(AW_OK);
	comes_bind(true);
	assert_int_equal(recv(upstream, frame, 60, 0), 60);
	assert_int_equal(frame[59], 0);
}

static void
so_does_one_that_is_not_the_first_message(void **state)
{
	(void)state;
	put(client, "\x1b\0\0\0\1x", 6);
	assert_true(silent(client));
	spawn_all(AW_OK);
	assert_true(gets(client, "\0\0\0\1\5", 5));
	put_bind(1);
	put(client, LIST, 1);
	spawn_all(AW_OK);
	comes_bind(true);
	comes_bind(false);
}

static void
who_sends_none_is_a_stranger(void **state)
{
	(void)state;
	put(client, LIST, 1);
	spawn_all(AW_OK);
	comes_bind(true);
	put(upstream, "\6", 1);
	assert_true(gets(upstream, "\0\0\0\1" LIST, 5));
	/* What it binds to later comes in its place. */
	put(upstream, "\x0c\0\0\0\0", 5);
	assert_true(gets(client, NO_KEYS, 9));
	put_bind(1);
	comes_bind(false);
	put(client, LIST, 1);
	assert_true(silent(upstream));
	put(upstream, "\6", 1);
	assert_true(gets(upstream, "\0\0\0\1" LIST, 5));
}

static void
what_was_no_bind_ends_all_relaying(void **state)
{
	static const char bad[] = "\x1b\0\0\0\x18session-bind@openssh.com\0";

	(void)state;
	put(client, bad, sizeof(bad) - 1);
	assert_true(gets(client, "\0\0\0\1\6", 5));
	put(client, LIST, 1);
	assert_true(gets(client, "\0\0\0\1\5", 5));
	assert_false(spawn(AW_OK));
}

static void
only_one_socket_relays(void **state)
{
	int other = fake_client(REMOTE), here = fake_client(LOCAL);

	(void)state;
	put(other, LIST, 1);
	put(here, LIST, 1);
	assert_true(gets(other, "\0\0\0\1\5", 5));
	assert_true(gets(here, "\0\0\0\1\5", 5));
	assert_false(spawn(AW_OK));
	close(other);
	close(here);
}

static void
large_ones_go_through_in_pieces(void **state)
{
	enum { N = 250000 };
	static uint8_t big[4 + N], got[4 + N];
	size_t sent = 0, seen = 0;
	int small = 4096;
	ssize_t n;

	(void)state;
	put(client, LIST, 1);
	spawn_all(AW_OK);
	setsockopt(upstream, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	comes_bind(true);
	put(upstream, "\6", 1);
	assert_true(gets(upstream, "\0\0\0\1" LIST, 5));
	put(upstream, "\x0c\0\0\0\0", 5);
	assert_true(gets(client, NO_KEYS, 9));

	memset(big, 7, sizeof(big));
	memcpy(big, "\0\x03\xd0\x90\x0d", 5); /* N */
	while (sent < sizeof(big) || seen < sizeof(got)) {
		n = send(client, big + sent, sizeof(big) - sent, MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		settle();
		n = recv(upstream, got + seen,
		    sizeof(got) - seen < 3000 ? sizeof(got) - seen : 3000, 0);
		seen += n > 0 ? (size_t)n : 0;
	}
	assert_memory_equal(big, got, sizeof(big));
	big[4] = 0x0e;
	for (sent = seen = 0; seen < sizeof(got);) {
		n = send(upstream, big + sent,
		    sizeof(big) - sent < 5000 ? sizeof(big) - sent : 5000,
		    MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		settle();
		n = recv(client, got + seen, sizeof(got) - seen, 0);
		seen += n > 0 ? (size_t)n : 0;
	}
	assert_memory_equal(big, got, sizeof(big));
}

static void
up(void)
{
	put_bind(1);
	put(client, LIST, 1);
	spawn_all(AW_OK);
	comes_bind(false);
	put(upstream, "\6", 1);
	assert_true(gets(upstream, "\0\0\0\1" LIST, 5));
}

static void
answers_that_nobody_asked_for_end_it(void **state)
{
	(void)state;
	up();
	put(upstream, "\x0c\0\0\0\0", 5);
	assert_true(gets(client, NO_KEYS, 9));
	put(upstream, "\6", 1);
	assert_true(closed(client));
	assert_true(closed(upstream));
}

static void
so_do_impossible_ones(void **state)
{
	(void)state;
	up();
	assert_int_equal(send(upstream, "\0\4\0\0", 4, 0), 4);
	assert_true(closed(client));
}

static void
both_ends_go_together(void **state)
{
	(void)state;
	up();
	close(upstream);
	upstream = -1;
	assert_true(closed(client));
	close(client);
	client = client_new();
	up();
	close(client);
	assert_true(closed(upstream));
	client = client_new();
}

static void
without_one_there_are_no_keys(void **state)
{
	(void)state;
	put_bind(1);
	put(client, LIST, 1);
	spawn_all(AW_NOAGENT);
	assert_true(gets(client, NO_KEYS, 9));
	put(client,
	    "\x0d"
	    "data",
	    5);
	assert_true(gets(client, "\0\0\0\1\5", 5));
	put_bind(1);
}

static void
a_spawner_that_never_answers_is_not_waited_for(void **state)
{
	struct link l;

	(void)state;
	put(client, LIST, 1);
	assert_true(spawn(AW_OK)); /* the table */
	assert_true(spawn(AW_OK)); /* who it is */
	settle();
	assert_int_equal(link_recv(fake_spawner, &l), AW_OK);
	assert_int_equal(l.type, LINK_UPSTREAM);
	pass(19);
	assert_true(silent(client));
	pass(2);
	assert_true(gets(client, NO_KEYS, 9));
	/* Then its answer is of no use to anybody. */
	l.type = LINK_UPSTREAM_IS;
	l.nfds = 1;
	l.fds[0] = dup(0);
	assert_int_equal(link_send(fake_spawner, &l), AW_OK);
	close(l.fds[0]);
	settle();
	put(client, LIST, 1);
	assert_true(gets(client, NO_KEYS, 9));
}

static void
a_config_that_cannot_be_read_is_no_permission(void **state)
{
	(void)state;
	put(client, LIST, 1);
	pass(11);
	assert_true(gets(client, NO_KEYS, 9));
}

static void
whoever_comes_while_it_hangs_waits_no_longer_than_the_first(void **state)
{
	int second;

	(void)state;
	put(client, LIST, 1);
	pass(8);
	second = client_new();
	put(second, LIST, 1);
	assert_true(silent(client) && silent(second));
	pass(3);
	assert_true(gets(client, NO_KEYS, 9));
	assert_true(gets(second, NO_KEYS, 9));
	close(second);
	second = client_new();
	put(second, LIST, 1);
	assert_true(gets(second, NO_KEYS, 9));
	close(second);
}

static void
too_large_binds_and_too_many_clients_get_nothing(void **state)
{
	enum { MOST = 256 };
	static const uint8_t large[15000] = {1};
	int i, all[MOST];

	(void)state;
	for (i = 0; i < 3; i++)
		put_bind_of((struct view){large, sizeof(large)}, 1);
	put(client, LIST, 1);
	assert_true(gets(client, NO_KEYS, 9));
	for (i = 0; i < MOST; i++) {
		all[i] = client_new();
		put(all[i], LIST, 1);
		spawn_all(AW_BUSY);
		assert_int_equal(swallowed, i + 1);
		assert_true(silent(all[i]));
	}
	close(client);
	client = client_new();
	put(client, LIST, 1);
	spawn_all(AW_OK);
	assert_true(gets(client, NO_KEYS, 9));
	for (i = 0; i < MOST; i++)
		close(all[i]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_bind_is_answered_and_goes_nowhere_by_itself),
	    T(what_a_client_wants_waits_for_the_answer_to_its_bind),
	    T(binds_that_are_not_ssh_s_own_stand_behind_one_to_nobody),
	    T(so_do_those_that_ssh_only_passes_on),
	    T(a_login_s_bind_stands_behind_one_to_nobody),
	    T(so_does_one_that_is_not_the_first_message),
	    T(who_sends_none_is_a_stranger),
	    T(what_was_no_bind_ends_all_relaying),
	    T(only_one_socket_relays),
	    T(large_ones_go_through_in_pieces),
	    T(answers_that_nobody_asked_for_end_it),
	    T(so_do_impossible_ones),
	    T(both_ends_go_together),
	    T(without_one_there_are_no_keys),
	    T(a_spawner_that_never_answers_is_not_waited_for),
	    T(a_config_that_cannot_be_read_is_no_permission),
	    T(whoever_comes_while_it_hangs_waits_no_longer_than_the_first),
	    T(too_large_binds_and_too_many_clients_get_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
