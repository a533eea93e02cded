/* SPDX-License-Identifier: ISC */
/*
 * Verbs that change what the agent does, with each of their calls failing once
 * in turn: what it is told is what the person said, or it is told nothing. Half
 * a passphrase would lock out for good, and half a list of hosts lets in all.
 * A login that is shown has everything on its screen that is to be seen there.
 */
#include "agent/cli/ctl/ctl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/verbs.h"

#define V(text)                                           \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}
#define FAR_OFF 4102444800

#define PASSPHRASE "correct horse battery staple"
#define PROFILES "marketing\0chain\0"
#define HOST_1 "SHA256:1111111111111111111111111111111111111111111"
#define HOST_2 "SHA256:2222222222222222222222222222222222222222222"

/* ---- what the agent hears */

static struct heard {
	unsigned int locks, sockets, ends, logouts;
	bool wrong; /* it was other than what was said */
} * heard;

static void
hear(struct view name, struct view body)
{
	struct forward_req forward;
	struct logout_req logout;
	struct lock_req lock;

	if ((view_is(name, "lock@awsenv") || view_is(name, "unlock@awsenv")) &&
	    ++heard->locks)
		heard->wrong |= !msg_decode(MSG_LOCK_REQ, body, &lock) ||
		    !view_is(lock.passphrase, PASSPHRASE);
	if (view_is(name, "logout@awsenv") && ++heard->logouts)
		heard->wrong |= !msg_decode(MSG_LOGOUT_REQ, body, &logout) ||
		    logout.what != LOGOUT_ONE ||
		    !view_is(logout.ask.profile, "marketing");
	if (!view_is(name, "forward@awsenv"))
		return;
	if (!msg_decode(MSG_FORWARD_REQ, body, &forward)) {
		heard->wrong = true;
	} else if (forward.what == FORWARD_OPEN && ++heard->sockets) {
		heard->wrong |=
		    !view_eq(forward.profiles, (struct view)V(PROFILES)) ||
		    !view_eq(forward.hosts,
			(struct view)V(HOST_1 "\0" HOST_2 "\0")) ||
		    forward.seconds != 3600 || !forward.confirm;
	} else {
		heard->ends++;
	}
}

static void
check(const struct verb_case *c, unsigned int least)
{
	*heard = (struct heard){0};
	assert_true(verb_fails_in_all_ways(c) >= least);
	assert_false(heard->wrong);
}

/* ---- locks */

/* The last line, without an end. */
static void
type_passphrase(void)
{
	int fd = memfd_create("stdin", 0);

	must(write(fd, PASSPHRASE, strlen(PASSPHRASE)) > 0);
	must(lseek(fd, 0, SEEK_SET) == 0);
	must(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
	close(fd);
}

static void
a_passphrase_is_told_whole_or_not_at_all(void **state)
{
	static const struct verb_case lock = {
	    .verb = lock_verb, .words = {"--stdin"}, .before = type_passphrase};
	static const struct verb_case unlock = {.verb = unlock_verb,
	    .words = {"--stdin"},
	    .before = type_passphrase};

	(void)state;
	check(&lock, strlen(PASSPHRASE));
	assert_true(heard->locks > 0);
	check(&unlock, strlen(PASSPHRASE));
	assert_true(heard->locks > 0);
}

/* ---- a socket to be forwarded */

static void
forget_ends(void)
{
	heard->ends = 0;
}

/* A socket that nobody was told of is taken away again. */
static void
look_for_ends(int status)
{
	(void)status;
	must(!strstr(verb_said(), "standard output") || heard->ends == 1);
}

static void
a_socket_is_for_those_hosts_or_is_not_opened(void **state)
{
	static const struct verb_case c = {.verb = forward_verb,
	    .words = {"--profile", "marketing", "--profile", "chain", "--host",
		HOST_1, "--host", HOST_2, "--for", "1h", "--confirm"},
	    .before = forget_ends,
	    .after = look_for_ends};

	(void)state;
	check(&c, 15);
	assert_true(heard->sockets > 0);
}

/* By the names that ssh's own programs know. */
static void
a_name_is_all_of_its_keys_or_no_socket_is_opened(void **state)
{
	static const struct verb_case c = {.verb = forward_verb,
	    .words = {"--profile", "marketing", "--profile", "chain", "--host",
		"one", "--host", "two", "--for", "1h", "--confirm"},
	    .before = forget_ends,
	    .after = look_for_ends};

	(void)state;
	check(&c, 20);
	assert_true(heard->sockets > 0);
}

/* ---- logins */

static void
a_logout_is_told_and_tells(void **state)
{
	static const struct verb_case c = {
	    .verb = logout_verb, .words = {"--profile", "marketing"}};

	(void)state;
	check(&c, 10);
	assert_true(heard->logouts > 0);
}

/* Who is shown the page is shown that it is not AWS's, and the code. */
static void
look_at_the_screen(int status)
{
	const char *said = verb_said();

	(void)status;
	if (!strstr(said, "https://evil.example/device"))
		return;
	must(strstr(said, "*** NOT AWS: endpoint https://evil.example ***"));
	must(strstr(said, "ABCD-EFGH"));
	must(!strstr(said, "no longer good"));
}

static void
a_login_is_shown_whole_or_not(void **state)
{
	static const struct verb_case login = {.verb = login_verb,
	    .words = {"--profile", "marketing"},
	    .after = look_at_the_screen};
	static const struct verb_case approve = {.verb = approve_verb,
	    .words = {"--profile", "marketing"},
	    .after = look_at_the_screen};
	static const struct verb_case json = {
	    .verb = login_verb, .words = {"--profile", "marketing", "--json"}};

	(void)state;
	check(&login, 40);
	check(&approve, 40);
	check(&json, 40);
}

static void
a_login_that_waits_is_shown_whole_or_silently_not(void **state)
{
	static const struct verb_case c = {.verb = login_verb,
	    .words = {"--show-pending"},
	    .after = look_at_the_screen,
	    .silent = true};

	(void)state;
	check(&c, 10);
}

/* ---- what the agent says */

static char folder[] = "/tmp/awsenv-failing.XXXXXX";

#define PAGE                                                             \
	.ticket = 7, .session = V("corp"),                               \
	.notice = V("NOT AWS: endpoint https://evil.example"),           \
	.url = V("https://evil.example/device"), .code = V("ABCD-EFGH"), \
	.until = FAR_OFF

static void
script(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	must((f = fopen(path, "w")) != NULL);
	must(fprintf(f, "#!/bin/sh\n%s\n", text) > 0 && fclose(f) == 0);
	must(chmod(path, 0700) == 0);
}

static int
begin(void **state)
{
	static const struct login_rep starting = {
	    .state = LOGIN_STARTING, .ticket = 7, .session = V("corp")};
	static const struct login_rep pending = {.state = LOGIN_PENDING, PAGE};
	static const struct login_rep done = {.state = LOGIN_DONE,
	    .ticket = 7,
	    .session = V("corp"),
	    .person = V("Jane@example.com"),
	    .before = V("John@example.com"),
	    .expires = FAR_OFF};
	static const struct logout_rep out = {.logins = 1,
	    .roles = 2,
	    .lines = V("corp: signed out at AWS, too\0")};
	static const struct done_rep good = {0};
	static const struct status_rep status = {
	    .version = V(AWSENV_VERSION), .agent_pid = 1, .locked = true};
	static const struct forward_item socket = {
	    .path = V("/run/user/1000/awsenv/forward-1a2b3c4d.sock")};
	AUTOBUF struct buf items = {0};
	struct forward_rep open = {0};
	const struct fake_answer answers[] = {
	    {"login@awsenv", MSG_LOGIN_REP, &starting},
	    {"wait@awsenv", MSG_LOGIN_REP, &pending},
	    {"wait@awsenv", MSG_LOGIN_REP, &pending},
	    {"wait@awsenv", MSG_LOGIN_REP, &done},
	    {"nudge@awsenv", MSG_LOGIN_REP, &pending},
	    {"logout@awsenv", MSG_LOGOUT_REP, &out},
	    {"status@awsenv", MSG_STATUS_REP, &status},
	    {"lock@awsenv", MSG_DONE_REP, &good},
	    {"unlock@awsenv", MSG_DONE_REP, &good},
	    {"forward@awsenv", MSG_FORWARD_REP, &open},
	    {NULL, MSG_EMPTY, NULL},
	};

	char path[128];

	(void)state;
	msg_append(MSG_FORWARD_ITEM, &socket, &items);
	open.items = view_of(&items);
	heard = failing_shared(sizeof(*heard));
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", folder);
	setenv("HOME", folder, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	setenv("TZ", "", 1);
	unsetenv("SSH_CONNECTION");
	unsetenv("DISPLAY");
	unsetenv("WAYLAND_DISPLAY");
	script("ssh",
	    "echo hostname $3; echo port 22; echo userknownhostsfile $0");
	script("ssh-keygen",
	    "case $3 in one) k=" HOST_1 ";; *) k=" HOST_2 ";; esac\n"
	    "echo \"256 $k $3\"");
	setenv("PATH", path, 1);
	fake_agent_hears = hear;
	fake_agent_begin(folder, answers);
	return 0;
}

static int
end(void **state)
{
	static const char *const scripts[] = {"ssh", "ssh-keygen"};
	char path[128];
	size_t i;

	(void)state;
	fake_agent_end();
	munmap(heard, sizeof(*heard));
	for (i = 0; i < sizeof(scripts) / sizeof(*scripts); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, scripts[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_passphrase_is_told_whole_or_not_at_all),
	    cmocka_unit_test(a_socket_is_for_those_hosts_or_is_not_opened),
	    cmocka_unit_test(a_name_is_all_of_its_keys_or_no_socket_is_opened),
	    cmocka_unit_test(a_logout_is_told_and_tells),
	    cmocka_unit_test(a_login_is_shown_whole_or_not),
	    cmocka_unit_test(a_login_that_waits_is_shown_whole_or_silently_not),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
