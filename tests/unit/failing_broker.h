/* SPDX-License-Identifier: ISC */
/*
 * The fake broker whose calls fail once in turn: while it acts what it does
 * counts, and nothing that the test does. Included once by a test, which is
 * linked with -Wl,--wrap=loop_once besides the options of failing.ld.
 */
#ifndef FAILING_BROKER_H
#define FAILING_BROKER_H

#ifndef SETTLE_ROUNDS
#define SETTLE_ROUNDS 8 /* it is done some hundred times */
#endif
#include "tests/unit/fake_broker.h"

#include <errno.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/failing.h"

static bool acting;

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
static const char *const *profiles = names;
static int client;
static int upstream = -1; /* our end, where an ssh-agent is asked for */

/* `before` does not fail. */
static UNUSED void
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

static UNUSED void
end(void)
{
	acting = false;
	fake_leave(client);
	failing_go();
}

/* Another client: the first may have met an end. */
static UNUSED void
come_anew(void)
{
	fake_leave(client);
	client = fake_client(LOCAL);
}

static UNUSED void
send_request(const char *name, enum msg_kind kind, const void *msg)
{
	AUTOBUF struct buf body = {0}, frame = {0};

	msg_encode(kind, msg, &body);
	io_put_request(&frame, name, view_of(&body));
	/* It may be over. */
	must(send(client, frame.data, frame.len, MSG_NOSIGNAL) ==
		(ssize_t)frame.len ||
	    errno == EPIPE);
	settle();
}

/* The error in its reply; AW_GONE: the connection ended. */
static UNUSED enum aw_err
hear(const char *name, enum msg_kind kind, void *rep, struct buf *keep)
{
	struct view body, head;
	uint32_t error;
	enum aw_err r;
	int i;

	/* What waits for something that does not come has an end, too. */
	for (i = 0; i < 20; i++) {
		r = io_get_reply(client, name, keep, &body, io_deadline(0));
		if (r != AW_TIMEOUT)
			break;
		pass(10);
	}
	must(r != AW_TIMEOUT);
	if (r != AW_OK)
		return AW_GONE;
	head = body;
	must(view_u32(&head, &error) && msg_decode(kind, body, rep));
	return (enum aw_err)error;
}

static UNUSED enum aw_err
hear_done(const char *name)
{
	AUTOBUF struct buf keep = {0};
	struct done_rep rep;

	return hear(name, MSG_DONE_REP, &rep, &keep);
}

static void (*fetcher)(int fd, const struct fetch *);
static struct seen seen = {.flags = SEEN_THERE};

static void
play(enum link_program program, int fd)
{
	AUTOBUF struct buf order = {0};
	struct fetch f;

	if (program == PROGRAM_PROFILE)
		fake_table(fd, 1, profiles);
	else if (fake_order(fd, &order, &f) == MSG_FETCH)
		fetcher(fd, &f);
	settle();
}

/* Programs, as often as they are begun, and what is seen of a client. */
static UNUSED void
serve(void)
{
	struct link l;
	int fd[2];

	while (settle(), link_recv(fake_spawner, &l) == AW_OK) {
		fd[0] = fd[1] = -1;
		if (l.type == LINK_LOOK) {
			l.type = LINK_SEEN;
			l.seen = seen;
		} else if (l.type == LINK_UPSTREAM) {
			must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				 fd) == 0);
			l.type = LINK_UPSTREAM_IS;
			upstream = fd[1];
			fd[1] = -1;
		} else {
			must(l.type == LINK_SPAWN && link_pair(fd) == 0);
			l.type = LINK_SPAWNED;
		}
		l.nfds = fd[0] >= 0;
		l.fds[0] = fd[0];
		must(link_send(fake_spawner, &l) == AW_OK);
		settle();
		if (fd[0] >= 0)
			close(fd[0]);
		if (fd[1] < 0)
			continue;
		play(l.program, fd[1]);
		close(fd[1]);
	}
}

/* Also those that are begun anew after a while, since their order was lost. */
static UNUSED void
serve_late(void)
{
	serve();
	pass(3);
	serve();
}

/* The last answer of that process, or the only one. */
static UNUSED void
finish(int fd, const struct fetch *f, struct answer a)
{
	a.version = MSG_VERSION;
	a.what = f->what;
	a.tag = f->tag;
	a.last = 1;
	link_send_msg(fd, MSG_ANSWER, &a);
	settle();
}

/* So many rows, each with what it is for memory and for the rest. */
struct row {
	enum aw_err (*what)(void);
	unsigned int least; /* calls that it makes */
};

static UNUSED void
fail_each(const struct row *rows, size_t nrows)
{
	static const int errors[] = {ENOMEM, EIO};
	unsigned int n;
	size_t i, j;

	for (i = 0; i < nrows; i++) {
		for (j = 0; j < sizeof(errors) / sizeof(*errors); j++) {
			n = each_fails_apart(rows[i].what, errors[j], true);
			assert_true(errors[j] != ENOMEM || n >= rows[i].least);
		}
	}
}

#endif
