/* SPDX-License-Identifier: ISC */
/*
 * status and logout of every user's agent, with each of their calls failing
 * once in turn, in the processes that meet the agents, too: one that was not
 * met is told of, and is nobody else's loss.
 */
#include "agent/cli/ctl/users.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/own_run.h"
#include "tests/unit/verbs.h"

#define V(text)                                           \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}
#define UID 4001
#define FIRST "/run/user/4001/awsenv"
#define SECOND "/run/awsenv/4001"

static bool ready; /* there is a /run for the test alone */

static void
only_when_ready(void)
{
	if (ready)
		return;
	print_message("it needs root and a mount namespace of its own\n");
	skip();
}

static void
a_status_leaves_nobody_out_unsaid(void **state)
{
	static const struct verb_case c = {.verb = status_verb,
	    .words = {"--all-users"},
	    .reports = "did not answer",
	    .several = true};

	(void)state;
	only_when_ready();
	assert_true(verb_fails_in_all_ways(&c) > 30);
}

static void
a_logout_leaves_nobody_out_unsaid(void **state)
{
	static const struct verb_case c = {.verb = logout_verb,
	    .words = {"--all-users"},
	    .reports = "did not answer",
	    .several = true};

	(void)state;
	only_when_ready();
	assert_true(verb_fails_in_all_ways(&c) > 20);
}

/* ---- their agents: one, in two places */

static void
place_make(const char *folder)
{
	char path[CLIENT_PATH];
	int fd;

	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(chown(folder, UID, UID), 0);
	snprintf(path, sizeof(path), "%s/agent.sock.lock", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0); /* to the end of the test */
}

static int
begin(void **state)
{
	static const struct status_rep status = {
	    .version = V(AWSENV_VERSION), .agent_pid = 1234, .logins = 1};
	static const struct logout_rep logout = {.logins = 1, .roles = 2};
	static const struct login_item login = {
	    .session = V("corp"), .state = LOGIN_DONE, .expires = 4102444800};
	AUTOBUF struct buf list = {0};
	struct list_rep logins = {0};
	const struct fake_answer answers[] = {
	    {"status@awsenv", MSG_STATUS_REP, &status},
	    {"list@awsenv", MSG_LIST_REP, &logins},
	    {"logout@awsenv", MSG_LOGOUT_REP, &logout},
	    {NULL, MSG_EMPTY, NULL},
	};

	(void)state;
	if (geteuid() != 0 || !own_run())
		return 0;
	ready = true;
	setenv("TZ", "", 1);
	msg_append(MSG_LOGIN_ITEM, &login, &list);
	logins.items = view_of(&list);
	mkdir("/run/user", 0755);
	mkdir("/run/awsenv", 0755);
	mkdir("/run/user/4001", 0700);
	assert_int_equal(chown("/run/user/4001", UID, UID), 0);
	place_make(FIRST);
	place_make(SECOND);
	/* Whose it is, is who listens. */
	assert_int_equal(seteuid(UID), 0);
	fake_agent_begin(FIRST, answers);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(link(FIRST "/agent.sock", SECOND "/agent.sock"), 0);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	if (ready)
		fake_agent_end();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_status_leaves_nobody_out_unsaid),
	    cmocka_unit_test(a_logout_leaves_nobody_out_unsaid),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
