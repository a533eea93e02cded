/* SPDX-License-Identifier: ISC */
#include "awsenv/client.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

static char top[64], run[96], sock[CLIENT_PATH];

static int
begin(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/awsenv-test-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(run, sizeof(run), "%s/run", top);
	snprintf(sock, sizeof(sock), "%s/s", run);
	unsetenv("AWSENV_SOCK");
	setenv("XDG_RUNTIME_DIR", run, 1);
	return mkdir(run, 0700);
}

static int
end(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

/* A listening socket; backlog 0 holds one connection. */
static int
listening(int backlog)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", sock);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* Where this user has a runtime directory all the same, "none" cannot be. */
static void
skip_where_another_is(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/run/user/%u", (unsigned int)geteuid());
	if (mode_of(path))
		skip();
	snprintf(path, sizeof(path), "/run/awsenv/%u", (unsigned int)geteuid());
	if (mode_of(path))
		skip();
}

/* ---- the directory ---- */

static void
the_directory_is_made_private_whatever_the_umask(void **state)
{
	char dir[CLIENT_PATH], want[128];
	mode_t before;

	(void)state;
	skip_where_another_is();
	before = umask(0);
	snprintf(want, sizeof(want), "%s/awsenv", run);
	assert_int_equal(client_dir(dir, false), AW_NOAGENT);
	assert_int_equal(mode_of(want), 0);
	assert_int_equal(client_dir(dir, true), AW_OK);
	assert_string_equal(dir, want);
	assert_int_equal(mode_of(want), 0700);
	rmdir(want);
	umask(0777);
	assert_int_equal(client_dir(dir, true), AW_OK);
	assert_int_equal(mode_of(want), 0700);
	assert_int_equal(client_dir(dir, false), AW_OK);
	umask(before);
}

static void
a_directory_that_others_may_enter_is_not_used(void **state)
{
	char dir[CLIENT_PATH], path[128];

	(void)state;
	skip_where_another_is();
	snprintf(path, sizeof(path), "%s/awsenv", run);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0750), 0);
	assert_int_equal(client_dir(dir, false), AW_NOAGENT);
	assert_int_equal(chmod(path, 01700), 0);
	assert_int_equal(client_dir(dir, false), AW_NOAGENT);
	assert_int_equal(chmod(path, 0700), 0);
	assert_int_equal(client_dir(dir, false), AW_OK);
}

static void
a_symbolic_link_is_no_directory(void **state)
{
	char dir[CLIENT_PATH], path[128], real[128];

	(void)state;
	skip_where_another_is();
	snprintf(path, sizeof(path), "%s/awsenv", run);
	snprintf(real, sizeof(real), "%s/real", top);
	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink(real, path), 0);
	assert_int_not_equal(client_dir(dir, false), AW_OK);
	assert_int_not_equal(client_dir(dir, true), AW_OK);
}

static void
nothing_is_made_below_a_parent_that_is_not_private(void **state)
{
	char dir[CLIENT_PATH], path[128];

	(void)state;
	skip_where_another_is();
	snprintf(path, sizeof(path), "%s/awsenv", run);
	assert_int_equal(chmod(run, 0755), 0);
	assert_int_not_equal(client_dir(dir, true), AW_OK);
	assert_int_equal(mode_of(path), 0);
}

static void
a_path_that_no_socket_can_have_is_not_used(void **state)
{
	char dir[CLIENT_PATH], deep[256];

	(void)state;
	skip_where_another_is();
	snprintf(deep, sizeof(deep), "%s/%0100d", run, 0);
	assert_int_equal(mkdir(deep, 0700), 0);
	setenv("XDG_RUNTIME_DIR", deep, 1);
	assert_int_not_equal(client_dir(dir, true), AW_OK);
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	assert_int_not_equal(client_dir(dir, true), AW_OK);
}

static void
the_path_is_the_variables_or_the_usual_one(void **state)
{
	char path[CLIENT_PATH], dir[CLIENT_PATH], want[128];

	(void)state;
	skip_where_another_is();
	assert_int_equal(client_path(path), AW_NOAGENT);
	assert_int_equal(client_dir(dir, true), AW_OK);
	assert_int_equal(client_path(path), AW_OK);
	snprintf(want, sizeof(want), "%s/awsenv/agent.sock", run);
	assert_string_equal(path, want);
	setenv("AWSENV_SOCK", "/elsewhere", 1);
	assert_int_equal(client_path(path), AW_OK);
	assert_string_equal(path, "/elsewhere");
	setenv("AWSENV_SOCK", "elsewhere", 1);
	assert_int_equal(client_path(path), AW_CONFIG);
	snprintf(want, sizeof(want), "/%0107d", 0);
	setenv("AWSENV_SOCK", want, 1);
	assert_int_equal(client_path(path), AW_CONFIG);
	setenv("AWSENV_SOCK", "", 1);
	assert_int_equal(client_path(path), AW_OK);
}

/* ---- connecting ---- */

static void
nobody_there_is_no_agent(void **state)
{
	int fd = -1, s;

	(void)state;
	assert_int_equal(
	    client_connect(sock, &fd, io_deadline(100)), AW_NOAGENT);
	s = listening(1);
	close(s);
	assert_int_equal(
	    client_connect(sock, &fd, io_deadline(100)), AW_NOAGENT);
	assert_int_equal(fd, -1);
}

static void
a_connection_does_not_block_and_ends_at_exec(void **state)
{
	int fd = -1, s = listening(1);

	(void)state;
	assert_int_equal(client_connect(sock, &fd, io_deadline(100)), AW_OK);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	close(s);
}

static void
a_full_backlog_is_waited_for_until_the_deadline(void **state)
{
	int fd[3] = {-1, -1, -1}, s = listening(0), taken;

	(void)state;
	assert_int_equal(client_connect(sock, &fd[0], io_deadline(50)), AW_OK);
	assert_int_equal(
	    client_connect(sock, &fd[1], io_deadline(50)), AW_BUSY);
	if (fork() == 0) {
		usleep(50 * 1000);
		_exit(accept(s, NULL, NULL) < 0);
	}
	assert_int_equal(
	    client_connect(sock, &fd[2], io_deadline(5000)), AW_OK);
	assert_true(wait(&taken) > 0);
	assert_int_equal(taken, 0);
	close(fd[0]);
	close(fd[2]);
	close(s);
}

/* Root may sit behind a user's socket, a service manager does; no other may. */
static void
a_socket_of_another_user_is_refused(void **state)
{
	int ready[2], fd = -1, status;
	pid_t pid;
	char byte;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(chmod(top, 0777), 0);
	assert_int_equal(chmod(run, 0777), 0);
	if ((pid = fork()) == 0) {
		if (setresuid(61002, 61002, 61002) != 0)
			_exit(1);
		listening(5);
		chmod(sock, 0777);
		_exit(write(ready[1], "x", 1) == 1 ? (pause(), 0) : 1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(
	    client_connect(sock, &fd, io_deadline(100)), AW_DENIED);
	assert_int_equal(fd, -1);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(ready[0]);
}

/* ---- asking ---- */

static pid_t
serve(int s, const void *reply, size_t n)
{
	pid_t pid = fork();
	char request[256];
	int c;

	if (pid != 0)
		return pid;
	c = accept(s, NULL, NULL);
	if (read(c, request, sizeof(request)) <= 0 ||
	    (n && write(c, reply, n) != (ssize_t)n))
		_exit(1);
	_exit(0);
}

static enum aw_err
ask(const void *reply, size_t n, struct done_rep *rep)
{
	AUTOBUF struct buf frame = {0};
	int fd = -1, s = listening(5), status;
	pid_t pid = serve(s, reply, n);
	int64_t deadline = io_deadline(5000);
	enum aw_err r;

	assert_int_equal(client_connect(sock, &fd, deadline), AW_OK);
	r = client_ask(fd, "stop@awsenv", MSG_EMPTY, NULL, MSG_DONE_REP, rep,
	    &frame, deadline);
	rep->text = (struct view){0}; /* it dies with the frame */
	close(fd);
	close(s);
	unlink(sock);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return r;
}

static void
a_reply_is_opened(void **state)
{
	static const uint8_t wire[] = "\0\0\0\x18\x1d\0\0\0\x0bstop@awsenv"
				      "\0\0\0\x07\0\0\0\0";
	struct done_rep rep;

	(void)state;
	assert_int_equal(ask(wire, sizeof(wire) - 1, &rep), AW_OK);
	assert_int_equal(rep.error, 7);
}

static void
replies_that_break_the_protocol_are_told(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum aw_err want;
	} cases[] = {
	    {"\0\0\0\x01\x05", 5, AW_DENIED},
	    {"\0\0\0\x01\x1c", 5, AW_PROTO},
	    {"\0\0\0\0", 4, AW_PROTO},
	    {"\xff\xff\xff\xff", 4, AW_PROTO},
	    {"", 0, AW_GONE},
	    {"\0\0\0", 3, AW_GONE},
	    {"\0\0\0\x18\x1d\0\0\0\x0bstop", 13, AW_GONE},
	    {"\0\0\0\x18\x1d\0\0\0\x0bstop@AWSENV\0\0\0\x07\0\0\0\0", 28,
		AW_PROTO},
	    {"\0\0\0\x19\x1d\0\0\0\x0bstop@awsenv\0\0\0\x07\0\0\0\0x", 29,
		AW_PROTO},
	    {"\0\0\0\x17\x1d\0\0\0\x0bstop@awsenv\0\0\0\x07\0\0\0", 27,
		AW_PROTO},
	};
	struct done_rep rep;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    ask(cases[i].bytes, cases[i].n, &rep), cases[i].want);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_directory_is_made_private_whatever_the_umask),
	    TEST(a_directory_that_others_may_enter_is_not_used),
	    TEST(a_symbolic_link_is_no_directory),
	    TEST(nothing_is_made_below_a_parent_that_is_not_private),
	    TEST(a_path_that_no_socket_can_have_is_not_used),
	    TEST(the_path_is_the_variables_or_the_usual_one),
	    TEST(nobody_there_is_no_agent),
	    TEST(a_connection_does_not_block_and_ends_at_exec),
	    TEST(a_full_backlog_is_waited_for_until_the_deadline),
	    TEST(a_socket_of_another_user_is_refused),
	    TEST(a_reply_is_opened),
	    TEST(replies_that_break_the_protocol_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
