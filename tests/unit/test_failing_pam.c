/* SPDX-License-Identifier: ISC */
/*
 * The PAM module with each allocation, each system call and each keyctl
 * failing once in turn: a session opens whatever happens, a factor lets nobody
 * in whom AWS did not name, and the host program keeps nothing of ours. libpam
 * is here, the agent a child; /run is a file system of the test's own.
 */
#include "pam_module/pam_awsenv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <security/pam_modutil.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"
#include "tests/fuzz/libpam.h"
#include "tests/unit/failing.h"
#include "tests/unit/own_run.h"

#define CODE "ABCD-EFGH"
#define URL "https://device.example/?user_code=" CODE
#define RUNTIME "/run/tester"
#define SOCKET RUNTIME "/awsenv/agent.sock"

/* ---- libpam */

static struct passwd tester, fetcher;
static char sock[128], forward_sock[128], shown[4096];
static unsigned int logged;

static void
pam_begin(void)
{
	sock[0] = forward_sock[0] = shown[0] = '\0';
	logged = 0;
}

static void
on_log(const char *line)
{
	(void)line;
	logged++;
}

static int
on_prompt(int style, const char *text, char **answer)
{
	must(strlen(text) < sizeof(shown));
	memcpy(shown, text, strlen(text) + 1);
	/* The application's own, which it may have no memory for. */
	if (style == PAM_PROMPT_ECHO_ON && !(*answer = strdup("")))
		return PAM_BUF_ERR;
	return PAM_SUCCESS;
}

static bool
on_keep(void)
{
	return true;
}

const char *
pam_getenv(pam_handle_t *h, const char *name)
{
	(void)h;
	return strcmp(name, "XDG_RUNTIME_DIR") == 0 ? RUNTIME : NULL;
}

int
pam_putenv(pam_handle_t *h, const char *setting)
{
	static const char ours[] = "AWSENV_SOCK=";
	static const char far[] = "AWSENV_FORWARD_SOCK=";

	(void)h;
	if (strncmp(setting, ours, strlen(ours)) == 0)
		snprintf(sock, sizeof(sock), "%s", setting + strlen(ours));
	if (strncmp(setting, far, strlen(far)) == 0)
		snprintf(forward_sock, sizeof(forward_sock), "%s",
		    setting + strlen(far));
	return PAM_SUCCESS;
}

int
pam_get_item(const pam_handle_t *h, int which, const void **value)
{
	(void)h;
	*value = which == PAM_SERVICE ? "login"
	    : which == PAM_USER	      ? "tester"
	    : which == PAM_RHOST      ? "192.0.2.1"
				      : NULL;
	return PAM_SUCCESS;
}

struct passwd *
pam_modutil_getpwnam(pam_handle_t *h, const char *name)
{
	(void)h;
	return strcmp(name, "tester") == 0 ? &tester : &fetcher;
}

int
pam_modutil_user_in_group_nam_nam(
    pam_handle_t *h, const char *user, const char *group)
{
	(void)h;
	(void)user;
	(void)group;
	return 0;
}

/* ---- an agent that has a code to show */

static void
serve_one(int fd)
{
	const struct login_rep rep = {.state = LOGIN_PENDING,
	    .url = view_str(URL),
	    .code = view_str(CODE),
	    .host = view_str("here"),
	    .session = view_str("corp"),
	    .until = (uint64_t)time(NULL) + 600};
	AUTOBUF struct buf body = {0}, out = {0};
	char in[4096];

	msg_encode(MSG_LOGIN_REP, &rep, &body);
	buf_u32(&out, 5 + (uint32_t)(strlen("nudge@awsenv") + body.len));
	buf_u8(&out, SSH_AGENT_EXTENSION_RESPONSE);
	buf_string(&out, view_str("nudge@awsenv"));
	buf_put(&out, body.data, body.len);
	/* It comes in one piece: see connect.c. */
	while (read(fd, in, sizeof(in)) > 0) {
		if (write(fd, out.data, out.len) < 0)
			break;
	}
}

static bool
start_agent(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = SOCKET};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(listener, 64) != 0 || (pid = fork()) < 0)
		return false;
	if (pid > 0)
		return close(listener) == 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		serve_one(fd);
		close(fd);
	}
	_exit(0);
}

/* ---- sessions */

static bool ready; /* there is a /run for the test alone */

static void
only_when_ready(bool root)
{
	if (!ready)
		skip();
	if (root && geteuid() != 0) {
		print_message("a factor is root's alone\n");
		skip();
	}
}

static struct options options;

static void
set_options(int argc, const char **argv)
{
	assert_true(options_parse(handle, argc, argv, &options));
	options.minimum_uid = 0;
	options.users = "tester"; /* who may be root */
	options.wait = 10;	  /* a machine may be slow */
}

/* The names are whole or not there, what is shown is whole or not there. */
static enum aw_err
what_the_person_has(void)
{
	must(!*sock || strcmp(sock, SOCKET) == 0 || strstr(sock, "/run/"));
	must(!*shown || (strstr(shown, URL) && strstr(shown, CODE)));
	return *shown && strcmp(sock, SOCKET) == 0 &&
		strcmp(forward_sock, RUNTIME "/awsenv/forward.sock") == 0
	    ? AW_OK
	    : AW_SYSTEM;
}

static enum aw_err
open_a_session(void)
{
	enum aw_err r;

	pam_begin();
	must(session_open(handle, &options, 0) == PAM_SUCCESS);
	r = what_the_person_has();
	libpam_end();
	return r;
}

static enum aw_err
close_a_session(void)
{
	pam_begin();
	must(session_close(handle, &options) == PAM_SUCCESS);
	libpam_end();
	return AW_OK;
}

static enum aw_err
unlock_a_session(void)
{
	pam_begin();
	session_unlock(handle, &options);
	libpam_end();
	return AW_OK;
}

/* A program that ends well and listens nowhere: it is told, and that is it. */
static enum aw_err
open_without_an_agent(void)
{
	pam_begin();
	must(session_open(handle, &options, 0) == PAM_SUCCESS);
	libpam_end();
	return !*shown && *sock ? AW_OK : AW_SYSTEM;
}

static void
a_session_opens_whatever_fails(void **state)
{
	static const int errors[] = {ENOMEM, EMFILE, EIO, EINTR};
	const char *argv[] = {"agent=/bin/true"};
	size_t i;

	(void)state;
	only_when_ready(false);
	set_options(1, argv);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		assert_true(each_fails(open_a_session, errors[i], true) > 8);
		assert_true(each_fails(close_a_session, errors[i], true) > 6);
		assert_true(each_fails(unlock_a_session, errors[i], true) > 6);
	}
}

static void
nor_is_it_kept_from_that_by_an_agent_that_does_not_start(void **state)
{
	static const int errors[] = {ENOMEM, EAGAIN};
	const char *argv[] = {"agent=/bin/true"};
	size_t i;

	(void)state;
	only_when_ready(false);
	set_options(1, argv);
	assert_int_equal(rename(SOCKET, SOCKET ".away"), 0);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(
		    each_fails(open_without_an_agent, errors[i], true) > 8);
	assert_int_equal(rename(SOCKET ".away", SOCKET), 0);
}

/*
 * Where there is no runtime directory the agent is told its socket: test(1)
 * ends well if it is, and "-a PATH" is there.
 */
static enum aw_err
start_at_a_socket(void)
{
	const struct place p = {.path = "/", .dir = -1};
	enum aw_err r;

	pam_begin();
	r = agent_spawn(
	    handle, &tester, &p, "/usr/bin/test", io_deadline(60000));
	must(r == AW_OK || r == AW_NOMEM || logged);
	libpam_end();
	return AW_OK;
}

static void
an_agent_is_told_where_to_listen_or_is_not_started(void **state)
{
	(void)state;
	assert_true(each_fails(start_at_a_socket, ENOMEM, true) > 10);
	assert_true(each_fails(start_at_a_socket, EMFILE, true) > 2);
}

/* ---- a factor */

static const char *approved_by;
static int far; /* the fetcher's end: takes the order and never reads it */

/* What awsenv-fetch would say is there at once. */
enum aw_err __wrap_fetch_spawn(pam_handle_t *, const struct passwd *,
    const char *program, unsigned int seconds, int *link);
enum aw_err
__wrap_fetch_spawn(pam_handle_t *h, const struct passwd *pw,
    const char *program, unsigned int seconds, int *link)
{
	struct answer a = {
	    .version = MSG_VERSION,
	    .what = FETCH_FACTOR,
	    .dev_until = (uint64_t)time(NULL) + 600,
	    .url = view_str(URL),
	    .code = view_str(CODE),
	};
	char arn[200];
	int fds[2];

	(void)h;
	(void)pw;
	(void)program;
	(void)seconds;
	failing_rest();
	own_close(&far);
	must(link_pair(fds) == 0);
	must(link_send_msg(fds[1], MSG_ANSWER, &a) == AW_OK);
	snprintf(arn, sizeof(arn),
	    "arn:aws:sts::012345678901:assumed-role/"
	    "AWSReservedSSO_ReadOnly_0123456789abcdef/%s",
	    approved_by);
	a.last = 1;
	a.arn = view_str(arn);
	must(link_send_msg(fds[1], MSG_ANSWER, &a) == AW_OK);
	far = fds[1];
	*link = fds[0];
	failing_go();
	return AW_OK;
}

static void
forget_attempts(void)
{
	failing_rest();
	must(umount2("/run/awsenv", MNT_DETACH) == 0);
	must(mount("none", "/run/awsenv", "tmpfs", 0, "mode=0755") == 0);
	failing_go();
}

static enum aw_err
prove(const char *person)
{
	int rc;

	approved_by = person;
	forget_attempts();
	pam_begin();
	rc = factor_authenticate(handle, &options, true, 0);
	libpam_end();
	must(rc != PAM_IGNORE);
	must(logged == 1 || rc != PAM_SUCCESS);
	return rc == PAM_SUCCESS ? AW_OK : AW_DENIED;
}

static enum aw_err
let_the_person_in(void)
{
	return prove("tester");
}

static enum aw_err
keep_a_stranger_out(void)
{
	must(prove("mallory") == AW_DENIED);
	return AW_OK;
}

static const char map_text[] = "tester ann@corp.example\n";

static enum aw_err
let_in_by_map(void)
{
	return prove("ann@corp.example");
}

static enum aw_err
keep_out_by_map(void)
{
	must(prove("tester") == AW_DENIED);
	return AW_OK;
}

static void
a_factor_lets_in_whom_aws_names_and_nobody_else(void **state)
{
	static const int errors[] = {ENOMEM, EIO, EINTR};
	const char *argv[] = {"mode=factor", "region=eu-west-1",
	    "start_url=https://a.awsapps.com/start", "account=012345678901",
	    "role=ReadOnly", "handover=no"};
	size_t i;

	(void)state;
	only_when_ready(true);
	set_options(6, argv);
	assert_true((far = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		assert_true(each_fails(let_the_person_in, errors[i], true) > 9);
		assert_true(
		    each_fails(keep_a_stranger_out, errors[i], true) > 9);
	}
	options.map = "/run/map";
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		assert_true(each_fails(let_in_by_map, errors[i], true) > 9);
		assert_true(each_fails(keep_out_by_map, errors[i], true) > 9);
	}
	close(far);
}

/* ---- how many attempts there may be */

static enum aw_err
enter(void)
{
	struct limit l;
	const char *why = NULL;
	enum aw_err r =
	    limit_enter(&l, 4711, "192.0.2.1", io_deadline(1000), &why);

	must(r != AW_BUSY || why);
	limit_leave(&l);
	return r;
}

static enum aw_err
enter_the_last_time(void)
{
	enum aw_err r;
	int i;

	forget_attempts();
	failing_rest();
	for (i = 0; i < 9; i++)
		must(enter() == AW_OK);
	failing_go();
	r = enter();
	failing_heal();
	/* It counted, or there is still one. */
	if (r == AW_OK)
		must(enter() == AW_BUSY);
	return r;
}

static enum aw_err
enter_once_too_often(void)
{
	int i;

	forget_attempts();
	failing_rest();
	for (i = 0; i < 10; i++)
		must(enter() == AW_OK);
	failing_go();
	must(enter() != AW_OK);
	return AW_OK;
}

static void
an_attempt_that_cannot_be_counted_is_none(void **state)
{
	static const int errors[] = {EIO, ENOSPC, EINTR};
	size_t i;

	(void)state;
	only_when_ready(true);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		assert_true(
		    each_fails(enter_the_last_time, errors[i], true) > 9);
		assert_true(
		    each_fails(enter_once_too_often, errors[i], true) > 9);
	}
}

/* ---- the login that goes on to the agent */

static enum aw_err
hand_a_login_over(void)
{
	const struct answer a = {.tok = view_str("token"),
	    .tok_expires = 4000000000,
	    .facts = view_str("facts"),
	    .person = view_str("ann")};
	AUTOBUF struct buf b = {0}, again = {0};
	struct adopt_req req;
	bool came_over;

	pam_begin();
	handover_keep(handle, &tester, &a);
	came_over = handover_claim(&tester, &b, &req);
	if (came_over)
		must(view_is(req.tok, "token") && view_is(req.facts, "facts"));
	failing_heal();
	/* Once: it is not there any more, unless it could not be seen. */
	if (handover_claim(&tester, &again, &req))
		must(!came_over);
	must(!handover_claim(&tester, &again, &req));
	return came_over ? AW_OK : AW_GONE;
}

static void
a_login_is_handed_over_whole_and_once(void **state)
{
	(void)state;
	only_when_ready(true);
	assert_true(each_fails(hand_a_login_over, ENOMEM, true) > 9);
}

/* ---- /run of our own */

static bool
fill_run(void)
{
	return mkdir(RUNTIME, 0700) == 0 &&
	    mkdir(RUNTIME "/awsenv", 0700) == 0 &&
	    own_file("/run/map", map_text) && mkdir("/run/awsenv", 0755) == 0 &&
	    mount("none", "/run/awsenv", "tmpfs", 0, "mode=0755") == 0;
}

static int
begin(void **state)
{
	static char name[] = "tester", other[] = "awsenv-factor", dir[] = "/";

	(void)state;
	tester = (struct passwd){.pw_name = name,
	    .pw_uid = geteuid(),
	    .pw_gid = getegid(),
	    .pw_dir = dir,
	    .pw_shell = dir};
	fetcher = (struct passwd){.pw_name = other, .pw_uid = 990};
	/* A login is kept for a session's leader, who may be gone where nobody
	 * is at a terminal. Who leads a group cannot, and has one. */
	(void)setsid();
	if (!own_run())
		print_message("no /run of our own: %s\n", strerror(errno));
	else if (fill_run() && start_agent())
		ready = true;
	else
		return -1;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_session_opens_whatever_fails),
	    cmocka_unit_test(
		nor_is_it_kept_from_that_by_an_agent_that_does_not_start),
	    cmocka_unit_test(
		an_agent_is_told_where_to_listen_or_is_not_started),
	    cmocka_unit_test(a_factor_lets_in_whom_aws_names_and_nobody_else),
	    cmocka_unit_test(an_attempt_that_cannot_be_counted_is_none),
	    cmocka_unit_test(a_login_is_handed_over_whole_and_once),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
