/* SPDX-License-Identifier: ISC */
/*
 * What awsenv does before it becomes another program, beside one, or at Ctrl-C,
 * with each of its calls failing once in turn: a command is run with all that
 * it was to have or not at all, and a login goes on by itself.
 */
#include "agent/cli/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/verbs.h"

#define V(text)                                           \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}
#define FAR_OFF 4102444800 /* 2100: a time that is written in one form today */
#define SOCKET "/run/user/1000/awsenv/forward-1a2b3c4d.sock"

static char folder[] = "/tmp/awsenv-failing.XXXXXX";

/* Tries, and the agent, are processes of their own. */
static struct {
	pid_t verb;
	const char *interrupt; /* the request at which it is interrupted */
	unsigned int opened, ended;
} * seen;

/* In a process that may become another, or be interrupted; its status as a
 * shell has it. */
static int
beside(int (*verb)(const struct options *, char **argv),
    const struct options *o, char **argv)
{
	int status;

	failing_rest();
	if ((seen->verb = fork()) == 0) {
		seen->verb = getpid();
		failing_go();
		_exit(verb(o, argv));
	}
	must(waitpid(seen->verb, &status, 0) == seen->verb);
	failing_go();
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int
exec_beside(const struct options *o, char **argv)
{
	return beside(exec_verb, o, argv);
}

static int
login_beside(const struct options *o, char **argv)
{
	return beside(login_verb, o, argv);
}

/* ---- a command */

static void
a_command_is_run_with_all_it_is_given_or_not(void **state)
{
	/* Neither has a "#!": one is found in PATH, one named. */
	static const struct verb_case found = {.verb = exec_beside,
	    .words = {"marketing", "--", "tell", "a b", "c"}};
	static struct verb_case named = {
	    .verb = exec_beside, .words = {"marketing", "--"}};
	char path[64];

	(void)state;
	assert_true(verb_fails_in_all_ways(&found) > 10);
	snprintf(path, sizeof(path), "%s/tell", folder);
	named.words[2] = path;
	assert_true(verb_fails_in_all_ways(&named) > 10);
}

/* ---- a socket while a command runs */

static void
none_yet(void)
{
	seen->opened = seen->ended = 0;
}

/* Where the agent could not be told it sees that nobody holds it any more. */
static void
it_is_ended(int status)
{
	must(seen->ended == seen->opened || failing_did());
	must(status != EXIT_GOOD || seen->opened == 1);
}

static void
a_socket_is_of_a_command_that_runs(void **state)
{
	static const struct verb_case ssh = {.verb = forward_verb,
	    .words = {"--profile", "marketing", "--host", "SHA256:x", "--",
		"--", "ssh", "-v", "host"},
	    .before = none_yet,
	    .after = it_is_ended};
	static const struct verb_case other = {.verb = forward_verb,
	    .words = {"--profile", "marketing", "--", "--", "show"},
	    .before = none_yet,
	    .after = it_is_ended};

	(void)state;
	assert_true(verb_fails_in_all_ways(&ssh) > 10);
	assert_true(verb_fails_in_all_ways(&other) > 10);
}

/* ---- Ctrl-C */

static void
it_is_interrupted_at(const char *request)
{
	seen->interrupt = request;
}

static void
at_wait(void)
{
	it_is_interrupted_at("wait@awsenv");
}

static void
at_nudge(void)
{
	it_is_interrupted_at("nudge@awsenv");
}

static void
an_interrupt_ends_it_and_says_what_stays(void **state)
{
	static const struct verb_case c = {
	    .verb = login_beside, .before = at_wait, .status = 128 + SIGINT};

	(void)state;
	assert_true(verb_fails_in_all_ways(&c) > 10);
}

/* By no signal, at which a shell would stop reading its profile. */
static void
what_is_skipped_is_a_success(void **state)
{
	static const struct verb_case c = {.verb = login_beside,
	    .words = {"--show-pending"},
	    .before = at_nudge,
	    .status = EXIT_GOOD,
	    .silent = true};

	(void)state;
	assert_true(verb_fails_in_all_ways(&c) > 3);
}

/* ---- a profile that is chosen */

static bool person;	  /* is at a terminal, */
static const char *typed; /* ... and does this there */

int __real_isatty(int fd);
int __wrap_isatty(int fd);
int
__wrap_isatty(int fd)
{
	return person || __real_isatty(fd);
}

int __wrap_tcgetattr(int fd, struct termios *t);
int
__wrap_tcgetattr(int fd, struct termios *t)
{
	(void)fd;
	*t = (struct termios){0};
	return 0;
}

static int
pick(const struct options *o, char **argv)
{
	AUTOBUF struct buf out = {0};
	const char *name;
	enum aw_err r;

	(void)argv;
	if ((r = pick_profile(o, &name)) != AW_OK)
		return exit_of(r);
	failing_rest();
	if (!name) {
		say("awsenv: none was chosen, for want of memory or more\n");
		return EXIT_OTHER;
	}
	text_add(&out, "%s\n", name);
	return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
}

/* What is typed, where there is no more than lines. */
static void
type(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/typed", folder);
	text_write(path, typed);
	must((fd = open(path, O_RDONLY)) >= 0);
	must(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
	close(fd);
	unlink(path);
}

static void
the_one_that_was_chosen_or_none(void **state)
{
	static const struct verb_case c = {.verb = pick, .before = type};

	(void)state;
	person = true;
	typed = "chain\n";
	setenv("TERM", "xterm", 1); /* by fzf */
	assert_true(verb_fails_in_all_ways(&c) > 10);
	setenv("TERM", "dumb", 1);
	assert_true(verb_fails_in_all_ways(&c) > 10);
	person = false;
}

static void
who_cannot_be_heard_waits_for_no_question(void **state)
{
	static const struct verb_case c = {
	    .verb = confirm_verb, .before = type};

	(void)state;
	person = true;
	typed = "q";
	assert_true(verb_fails_in_all_ways(&c) > 10);
	person = false;
}

/* ---- what the agent says, and hears */

static void
hear(struct view name, struct view body)
{
	struct forward_req req;

	if (seen->interrupt && view_is(name, seen->interrupt))
		kill(seen->verb, SIGINT);
	if (!view_is(name, "forward@awsenv") ||
	    !msg_decode(MSG_FORWARD_REQ, body, &req))
		return;
	seen->opened += req.what == FORWARD_OPEN && req.bound;
	seen->ended += req.what == FORWARD_END;
}

static void
program(const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	text_write(path, text);
	must(chmod(path, 0700) == 0);
}

static int
begin(void **state)
{
	static const struct creds creds = {
	    .expires = FAR_OFF,
	    .access_key = V("ASIAEXAMPLEEXAMPLE00"),
	    .secret_key = V("secret/secret+secret"),
	    .session_token = V("token=="),
	};
	static const struct login_rep login = {
	    .state = LOGIN_PENDING,
	    .ticket = 1,
	    .session = V("corp"),
	    .url = V("https://corp.awsapps.com/start/#/device"),
	    .code = V("ABCD-EFGH"),
	    .until = FAR_OFF,
	};
	static const struct forward_item socket = {
	    .name = V("forward-1a2b3c4d"),
	    .path = V(SOCKET),
	    .profiles = V("marketing\0"),
	    .bound = true,
	};
	static const struct questions_rep nothing_asked = {.change = 1};
	static const struct profile_item profiles[] = {
	    {.name = V("chain-of-all")}, {.name = V("chain")}};
	AUTOBUF struct buf sealed = {0}, sockets = {0}, names = {0};
	struct profiles_rep known = {0};
	struct creds_rep given = {
	    .profile = V("marketing"),
	    .account = V("111111111111"),
	    .role = V("Dev"),
	    .region = V("eu-west-1"),
	    .settings = V("AWS_CA_BUNDLE=/ca.pem\0"),
	};
	struct forward_rep open = {0};
	const struct fake_answer answers[] = {
	    {"creds@awsenv", MSG_CREDS_REP, &given},
	    {"forward@awsenv", MSG_FORWARD_REP, &open},
	    {"profiles@awsenv", MSG_PROFILES_REP, &known},
	    {"questions@awsenv", MSG_QUESTIONS_REP, &nothing_asked},
	    {"login@awsenv", MSG_LOGIN_REP, &login},
	    {"wait@awsenv", MSG_LOGIN_REP, &login},
	    {"nudge@awsenv", MSG_LOGIN_REP, &login},
	    {NULL, MSG_EMPTY, NULL},
	};
	char text[64];

	(void)state;
	msg_encode(MSG_CREDS, &creds, &sealed);
	msg_append(MSG_FORWARD_ITEM, &socket, &sockets);
	msg_append(MSG_PROFILE_ITEM, &profiles[0], &names);
	msg_append(MSG_PROFILE_ITEM, &profiles[1], &names);
	given.sealed = view_of(&sealed);
	known.items = view_of(&names);
	open.items = view_of(&sockets);
	seen = failing_shared(sizeof(*seen));
	if (!mkdtemp(folder))
		return -1;
	snprintf(text, sizeof(text), "%s:/usr/bin:/bin", folder);
	setenv("PATH", text, 1);
	setenv("HOME", folder, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	setenv("TZ", "", 1);
	unsetenv("SSH_CONNECTION");
	unsetenv("SSH_AUTH_SOCK");
	unsetenv("DISPLAY");
	unsetenv("WAYLAND_DISPLAY");
	signal(SIGINT, SIG_DFL); /* of a test in the background, too */
	sigpipe_ignore();	 /* as main() does */
	program("tell",
	    "echo \"$#: $2 $1; $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY "
	    "$AWS_SESSION_TOKEN $AWS_REGION $AWS_CA_BUNDLE\"\n");
	program("ssh", "#!/bin/sh\necho \"$@; $SSH_AUTH_SOCK $AWSENV_SOCK\"\n");
	program("fzf", "#!/bin/sh\ngrep -x chain\n");
	program("show", "#!/bin/sh\necho \"$AWSENV_SOCK\"\n");
	fake_agent_hears = hear;
	fake_agent_begin(folder, answers);
	return 0;
}

static int
end(void **state)
{
	static const char *const programs[] = {"tell", "ssh", "show", "fzf"};
	char path[64];
	size_t i;

	(void)state;
	fake_agent_end();
	for (i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, programs[i]);
		unlink(path);
	}
	munmap(seen, sizeof(*seen));
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_command_is_run_with_all_it_is_given_or_not),
	    cmocka_unit_test(a_socket_is_of_a_command_that_runs),
	    cmocka_unit_test(an_interrupt_ends_it_and_says_what_stays),
	    cmocka_unit_test(what_is_skipped_is_a_success),
	    cmocka_unit_test(the_one_that_was_chosen_or_none),
	    cmocka_unit_test(who_cannot_be_heard_waits_for_no_question),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
