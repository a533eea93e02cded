/* SPDX-License-Identifier: ISC */
/*
 * What every program is made of, with each allocation and each system call
 * failing once in turn: nothing is leaked, nothing is lost, and whoever asked
 * is told.
 */
#include "awsenv/audit.h"
#include "awsenv/buf.h"
#include "awsenv/client.h"
#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/msg.h"
#include "awsenv/own.h"
#include "awsenv/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/failing.h"

/* ---- what is done */

static enum aw_err
fill_a_buffer(void)
{
	AUTOBUF struct buf b = {0};
	int i;

	for (i = 0; i < 1000; i++)
		buf_u64(&b, (uint64_t)i);
	if (b.bad)
		return AW_NOMEM;
	assert_int_equal(b.len, 8000);
	return AW_OK;
}

static enum aw_err
write_a_list(void)
{
	AUTOBUF struct buf b = {0};
	struct problem_item item = {.text = view_str("a text that is long "
						     "enough to be one")};
	struct view list;
	int i, n = 0;

	for (i = 0; i < 100; i++)
		msg_append(MSG_PROBLEM_ITEM, &item, &b);
	if (b.bad)
		return AW_NOMEM;
	for (list = view_of(&b); msg_each(MSG_PROBLEM_ITEM, &list, &item);)
		n++;
	/* A list that is short of one says so. */
	assert_int_equal(n, 100);
	return AW_OK;
}

static enum aw_err
copy_a_text(void)
{
	AUTOFREE char *s = view_dup(view_str("a text"));

	return s ? AW_OK : AW_NOMEM;
}

static int linked[2] = {-1, -1};

static enum aw_err
talk_on_a_link(void)
{
	AUTOBUF struct buf packet = {0};
	struct hint h = {MSG_VERSION, 1};
	enum msg_kind kind;
	struct view body;
	struct link l;
	enum aw_err r;
	char rest[LINK_MAX];

	if ((r = link_send_msg(linked[0], MSG_HINT, &h)) == AW_OK &&
	    (r = link_peek_msg(linked[1], &packet, &kind, &body)) == AW_OK) {
		assert_int_equal(kind, MSG_HINT);
		link_drop(linked[1]);
		l = (struct link){.type = LINK_START};
		if ((r = link_send(linked[0], &l)) == AW_OK)
			r = link_recv(linked[1], &l);
	}
	/* Whatever is left of it is for nobody. */
	failing_rest();
	while (recv(linked[1], rest, sizeof(rest), 0) > 0)
		continue;
	failing_go();
	return r;
}

static char path[CLIENT_PATH];
static int listener = -1;

/* The connection that came last; one that was given up before waits, too. */
static int
last_visitor(void)
{
	int fd, last = -1;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (last >= 0)
			close(last);
		last = fd;
	}
	return last;
}

/* The answer is there before the question: one process is enough. */
static enum aw_err
ask_an_agent(void)
{
	AUTOBUF struct buf frame = {0}, body = {0}, answer = {0};
	struct done_rep said = {0}, rep = {0};
	int64_t deadline = io_deadline(1000);
	AUTOCLOSE int fd = -1;
	enum aw_err r;
	int peer;

	if ((r = client_connect(path, &fd, deadline)) == AW_OK) {
		failing_rest();
		peer = last_visitor();
		msg_encode(MSG_DONE_REP, &said, &body);
		buf_u32(
		    &answer, 5 + (uint32_t)(strlen("stop@awsenv") + body.len));
		buf_u8(&answer, SSH_AGENT_EXTENSION_RESPONSE);
		buf_string(&answer, view_str("stop@awsenv"));
		buf_put(&answer, body.data, body.len);
		assert_int_equal(
		    write(peer, answer.data, answer.len), answer.len);
		buf_free(&answer);
		buf_free(&body);
		failing_go();
		r = client_ask(fd, "stop@awsenv", MSG_EMPTY, NULL, MSG_DONE_REP,
		    &rep, &frame, deadline);
		failing_rest();
		close(peer);
		failing_go();
	}
	return r;
}

/* So many descriptors are under way that no more can be sent. */
static bool too_many;

ssize_t
sendmsg(int fd, const struct msghdr *m, int how)
{
	struct mmsghdr one = {.msg_hdr = *m};

	if (!too_many || !m->msg_controllen)
		return sendmmsg(fd, &one, 1, how) == 1 ? (ssize_t)one.msg_len
						       : -1;
	errno = ETOOMANYREFS;
	return -1;
}

/* Without the descriptor then, and once. */
static enum aw_err
say_where_no_more_can_be_sent(void)
{
	enum aw_err r;
	char got[16];
	ssize_t n;

	too_many = true;
	r = io_write_here(linked[0], view_str("a request"), io_deadline(1000));
	too_many = false;
	failing_rest();
	n = recv(linked[1], got, sizeof(got), MSG_DONTWAIT);
	assert_int_equal(n, r == AW_OK ? 9 : -1);
	assert_int_equal(recv(linked[1], got, sizeof(got), MSG_DONTWAIT), -1);
	failing_go();
	return r;
}

/* Ours, or not known: never somebody else's. */
static enum aw_err
look_who_it_is(void)
{
	uid_t uid = (uid_t)-1;

	if (!peer_uid(linked[0], &uid))
		return AW_SYSTEM;
	assert_int_equal(uid, getuid());
	return AW_OK;
}

/* What is in it is not lost where it cannot be taken for one just now. */
static enum aw_err
keep_a_log(void)
{
	struct audit_line line = {.profile = "marketing"};
	AUTOCLOSE int fd = audit_make();
	struct audit *lines;
	enum aw_err r = AW_SYSTEM;

	if (fd >= 0 && (lines = audit_map(fd))) {
		audit_add(lines, &line);
		r = audit_is(fd) ? AW_OK : AW_SYSTEM;
		failing_rest();
		assert_non_null(lines = audit_map(fd));
		assert_true(audit_get(lines, 1, &line));
		assert_string_equal(line.profile, "marketing");
		failing_go();
	}
	return r;
}

static char folder[] = "/tmp/awsenv-failing.XXXXXX";

static enum aw_err
make_the_folder(void)
{
	char dir[CLIENT_PATH];
	enum aw_err r = client_dir(dir, true);

	/* Else the next time has nothing to do. */
	rmdir(dir);
	return r;
}

/* ---- the tests */

static void
memory_that_is_short_is_told(void **state)
{
	(void)state;
	assert_in_range(each_fails(fill_a_buffer, ENOMEM, false), 3, 10);
	assert_in_range(each_fails(write_a_list, ENOMEM, false), 100, 200);
	assert_int_equal(each_fails(copy_a_text, ENOMEM, false), 1);
}

static void
a_link_that_fails_is_told_and_one_interrupted_is_not(void **state)
{
	(void)state;
	assert_int_equal(link_pair(linked), 0);
	assert_in_range(each_fails(talk_on_a_link, EIO, true), 5, 9);
	assert_in_range(each_fails(talk_on_a_link, EINTR, true), 5, 9);
	close(linked[0]);
	close(linked[1]);
}

static void
a_request_is_sent_once_or_not_at_all(void **state)
{
	(void)state;
	assert_int_equal(link_pair(linked), 0);
	assert_in_range(
	    each_fails(say_where_no_more_can_be_sent, EIO, true), 3, 4);
	assert_in_range(
	    each_fails(say_where_no_more_can_be_sent, EINTR, true), 3, 4);
	close(linked[0]);
	close(linked[1]);
}

static void
whoever_it_is_is_known_or_not_known(void **state)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t n = sizeof(at);

	(void)state;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	linked[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, n), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(linked[1], (struct sockaddr *)&at, n), 0);
	linked[0] = accept(listener, NULL, NULL);
	assert_in_range(each_fails(look_who_it_is, ENOMEM, false), 2, 1000);
	close(linked[0]);
	close(linked[1]);
	close(listener);
}

static void
a_log_is_made_or_none_and_one_that_is_there_stays(void **state)
{
	(void)state;
	assert_int_equal(each_fails(keep_a_log, EIO, false), 7);
}

static void
an_agent_that_cannot_be_asked_leaves_nothing_behind(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	(void)state;
	snprintf(path, sizeof(path), "%s/agent.sock", folder);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 64), 0);
	/* It does without the descriptor that says that it is here. */
	assert_in_range(each_fails(ask_an_agent, EIO, true), 6, 20);
	assert_in_range(each_fails(ask_an_agent, EINTR, true), 6, 20);
	close(listener);
	unlink(path);
}

static void
a_folder_that_cannot_be_made_is_told(void **state)
{
	(void)state;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	assert_int_equal(each_fails(make_the_folder, ENOSPC, false), 2);
}

static int
begin(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memory_that_is_short_is_told),
	    cmocka_unit_test(
		a_link_that_fails_is_told_and_one_interrupted_is_not),
	    cmocka_unit_test(a_request_is_sent_once_or_not_at_all),
	    cmocka_unit_test(whoever_it_is_is_known_or_not_known),
	    cmocka_unit_test(a_log_is_made_or_none_and_one_that_is_there_stays),
	    cmocka_unit_test(
		an_agent_that_cannot_be_asked_leaves_nothing_behind),
	    cmocka_unit_test(a_folder_that_cannot_be_made_is_told),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
