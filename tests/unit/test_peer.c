/* SPDX-License-Identifier: ISC */
#include "awsenv/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "awsenv/own.h"

#define OTHER 62000

/* A listener, and a connection to it by somebody of that family and uid. The
 * end that was accepted; *child lives until its pipe is closed. */
struct meeting {
	int listener;
	int accepted;
	int hold[2];
	pid_t child;
};

static void
visit(int family, uint16_t port, uid_t uid)
{
	struct sockaddr_in v4 = {
	    .sin_family = AF_INET,
	    .sin_port = port,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
	int fd;

	inet_pton(AF_INET6, "::ffff:127.0.0.1", &v6.sin6_addr);
	if (uid != getuid() && setuid(uid) != 0)
		_exit(1);
	fd = socket(family, SOCK_STREAM, 0);
	if (family == AF_INET
		? connect(fd, (struct sockaddr *)&v4, sizeof(v4)) != 0
		: connect(fd, (struct sockaddr *)&v6, sizeof(v6)) != 0)
		_exit(1);
}

static void
meet(struct meeting *m, int family, uid_t uid)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t n = sizeof(a);
	char c;

	m->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    bind(m->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(m->listener, 1), 0);
	getsockname(m->listener, (struct sockaddr *)&a, &n);
	assert_int_equal(pipe(m->hold), 0);
	if ((m->child = fork()) == 0) {
		close(m->hold[1]);
		visit(family, a.sin_port, uid);
		_exit(read(m->hold[0], &c, 1) != 0);
	}
	close(m->hold[0]);
	m->accepted = accept(m->listener, NULL, NULL);
	assert_true(m->accepted >= 0);
}

static void
leave(struct meeting *m)
{
	int status;

	close(m->hold[1]);
	waitpid(m->child, &status, 0);
	assert_int_equal(status, 0);
}

static void
part(struct meeting *m)
{
	close(m->accepted);
	close(m->listener);
}

static void
knows(int family, uid_t uid)
{
	struct meeting m;
	uid_t found = 12345;

	meet(&m, family, uid);
	assert_true(peer_uid(m.accepted, &found));
	assert_int_equal(found, uid);
	leave(&m);
	part(&m);
}

static void
the_user_of_the_other_end_is_known(void **state)
{
	(void)state;
	knows(AF_INET, getuid());
}

static void
also_where_it_came_by_ipv6(void **state)
{
	(void)state;
	knows(AF_INET6, getuid());
}

static void
another_user_is_another(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	knows(AF_INET, OTHER);
	knows(AF_INET6, OTHER);
}

static void
among_many_connections_it_is_found(void **state)
{
	struct meeting m[40];
	uid_t found;
	size_t i;

	(void)state;
	for (i = 0; i < 40; i++)
		meet(&m[i], AF_INET, getuid());
	for (i = 0; i < 40; i++) {
		assert_true(peer_uid(m[i].accepted, &found));
		assert_int_equal(found, getuid());
	}
	/* The last first: the others keep its pipe open. */
	while (i--) {
		leave(&m[i]);
		part(&m[i]);
	}
}

static void
who_is_gone_is_nobody(void **state)
{
	struct meeting m;
	uid_t found;

	(void)state;
	meet(&m, AF_INET, getuid());
	leave(&m);
	assert_false(peer_uid(m.accepted, &found));
	part(&m);
}

static void
what_is_no_such_connection_has_no_user(void **state)
{
	AUTOCLOSE int alone = socket(AF_INET, SOCK_STREAM, 0);
	uid_t found;
	int fd[2];

	(void)state;
	assert_false(peer_uid(alone, &found));
	assert_false(peer_uid(-1, &found));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_false(peer_uid(fd[0], &found));
	close(fd[0]);
	close(fd[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_user_of_the_other_end_is_known),
	    cmocka_unit_test(also_where_it_came_by_ipv6),
	    cmocka_unit_test(another_user_is_another),
	    cmocka_unit_test(among_many_connections_it_is_found),
	    cmocka_unit_test(who_is_gone_is_nobody),
	    cmocka_unit_test(what_is_no_such_connection_has_no_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
