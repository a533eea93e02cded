/* SPDX-License-Identifier: ISC */
/*
 * login --show-pending, for the start of an interactive shell: the login that
 * the login to this machine began, if it still waits for a person. Whatever
 * else there is, or is not, it is silent and a success.
 */
#include <signal.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define CONNECT_MS 200
#define ANSWER_MS 1000 /* on top of what was asked for */

/* A shell whose child dies of SIGINT stops reading its profile. */
static void
on_skip(int sig)
{
	ssize_t n = write(STDERR_FILENO, "\n", 1);

	(void)sig;
	(void)n;
	_exit(EXIT_GOOD);
}

static void
show(const struct login_rep *l)
{
	AUTOBUF struct buf out = {0};
	char until[CLOCK_TIME];
	struct screen screen;

	screen_open(&screen);
	if (!screen_login(&screen, l, &out))
		return;
	clock_time(until, l->until);
	text_add(&out, "  Valid until %s. Later: awsenv login\n", until);
	if (!out.bad && !text_lost)
		io_write(STDERR_FILENO, view_of(&out), -1);
}

int
pending_show(const struct options *o)
{
	int ms = o->wait < 0 ? 0 : o->wait * 1000;
	struct nudge_req req = {.what = NUDGE_LOOK, .ms = (uint32_t)ms};
	AUTOBUF struct buf frame = {0};
	char path[CLIENT_PATH];
	AUTOCLOSE int fd = -1;
	struct login_rep rep;

	signal(SIGINT, on_skip);
	if (agent_path(path) == AW_OK &&
	    client_connect(path, &fd, io_deadline(CONNECT_MS)) == AW_OK &&
	    client_ask(fd, "nudge@awsenv", MSG_NUDGE_REQ, &req, MSG_LOGIN_REP,
		&rep, &frame, io_deadline(ms + ANSWER_MS)) == AW_OK &&
	    rep.error == AW_OK && rep.state == LOGIN_PENDING) {
		if (!(o->given & OPT_JSON))
			show(&rep);
		else if (login_is_sound(&rep) && !login_event(&rep))
			return EXIT_OTHER;
	}
	return EXIT_GOOD;
}
