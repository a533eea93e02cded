/* SPDX-License-Identifier: ISC */
/*
 * What logind writes, with each call failing once in turn: a session that cannot
 * be seen just now is not one that has ended, which would end logins, and one
 * that has ended is told to have.
 */
#include "agent/supervisor/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/failing.h"
#include "tests/unit/own_run.h"

#define USERS "/run/systemd/users"
#define LONG_MS 60000

static int64_t ms = 1;

int64_t
child_clock(void)
{
	return ms;
}

static char path[64];

/* As logind has it: by another name first. */
static void
log_in(bool in)
{
	failing_rest();
	if (in)
		must(own_file(USERS "/new", "NAME=ann\nONLINE_SESSIONS=1\n") &&
		    rename(USERS "/new", path) == 0);
	else
		must(unlink(path) == 0);
	failing_go();
}

/* What is there to be heard is heard, as often as the loop is told of it. */
static void
hear(struct sessions *s)
{
	struct pollfd p = {s->fd, POLLIN, 0};
	int n = 0;

	for (;;) {
		failing_rest();
		if (poll(&p, 1, 0) != 1)
			break;
		failing_go();
		sessions_read(s);
		must(++n < 5);
	}
	failing_go();
}

/* The first word that comes within so long. */
static enum sessions_end
word(struct sessions *s)
{
	int64_t until = ms + LONG_MS;
	enum sessions_end e = SESSIONS_GO_ON;
	int left;

	while (e == SESSIONS_GO_ON && (left = sessions_wait_ms(s)) >= 0 &&
	    ms + left < until) {
		ms += left;
		e = sessions_ended(s);
	}
	return e;
}

static enum aw_err
come_and_go(void)
{
	struct sessions s;

	log_in(true);
	sessions_open(&s);
	must(s.fd >= 0);
	must(word(&s) == SESSIONS_GO_ON);
	log_in(true);
	hear(&s);
	must(word(&s) == SESSIONS_GO_ON);
	log_in(false);
	hear(&s);
	must(word(&s) == SESSIONS_NONE);
	must(word(&s) == SESSIONS_OVER);
	close(s.fd);
	return AW_OK;
}

static void
no_session_ends_by_not_being_seen(void **state)
{
	(void)state;
	if (!*path)
		skip();
	assert_true(each_fails(come_and_go, EMFILE, true) >= 6);
}

static int
begin(void **state)
{
	(void)state;
	if (!own_run()) {
		print_message("no /run of our own: %s\n", strerror(errno));
		return 0;
	}
	snprintf(path, sizeof(path), USERS "/%u", geteuid());
	return mkdir("/run/systemd", 0755) || mkdir(USERS, 0755);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_session_ends_by_not_being_seen),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
