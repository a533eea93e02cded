/* SPDX-License-Identifier: ISC */
/*
 * lock and unlock. The passphrase is asked for on the terminal, without an
 * echo, or is the first line of standard input. What a desktop locked with its
 * screen is unlocked without one.
 */
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define LOCK_MS 70000

/* AW_CONFIG: it is empty or too long. One that was cut is none: nobody would
 * know it. */
static enum aw_err
read_line(int fd, struct buf *line)
{
	enum aw_err r;
	char c;

	buf_reset(line);
	while ((r = io_read(fd, &c, 1, -1)) == AW_OK && c != '\n' &&
	    line->len <= LOCK_MAX)
		buf_u8(line, (uint8_t)c);
	if (line->bad)
		return AW_NOMEM;
	if (r != AW_OK && r != AW_GONE)
		return r;
	return line->len > 0 && line->len <= LOCK_MAX ? AW_OK : AW_CONFIG;
}

/* Signals are off meanwhile: whoever interrupts wants his echo back. */
static enum aw_err
ask_terminal(int tty, const char *prompt, struct buf *line)
{
	struct termios before, quiet;
	enum aw_err r = AW_SYSTEM;

	if (tcgetattr(tty, &before) != 0)
		return r;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	if (tcsetattr(tty, TCSAFLUSH, &quiet) == 0 &&
	    io_write(tty, view_str(prompt), -1) == AW_OK)
		r = read_line(tty, line);
	tcsetattr(tty, TCSAFLUSH, &before);
	return io_write(tty, view_str("\n"), -1) == AW_OK ? r : AW_SYSTEM;
}

static enum aw_err
ask_passphrase(const struct options *o, bool twice, struct buf *line)
{
	AUTOBUF struct buf again = {0};
	AUTOCLOSE int tty = -1;
	enum aw_err r;

	if (o->given & OPT_STDIN) {
		r = read_line(STDIN_FILENO, line);
		if (r == AW_CONFIG)
			warn("no passphrase of 1 to %d bytes on standard input",
			    LOCK_MAX);
		else if (r != AW_OK)
			warn("cannot read standard input: %s", error_text(r));
		return r;
	}
	if ((tty = open("/dev/tty", O_RDWR | O_CLOEXEC)) < 0) {
		warn("no terminal to ask for the passphrase; --stdin takes it "
		     "from standard input");
		return AW_SYSTEM;
	}
	if ((r = ask_terminal(tty, "Passphrase: ", line)) != AW_OK) {
		warn(r == AW_NOMEM ? "out of memory" : "no passphrase");
		return AW_SYSTEM;
	}
	if (!twice)
		return AW_OK;
	if (ask_terminal(tty, "Once more: ", &again) != AW_OK ||
	    !view_eq(view_of(line), view_of(&again))) {
		warn("these were two; the agent is not locked");
		return AW_SYSTEM;
	}
	return AW_OK;
}

static enum aw_err
tell(struct talk *t, const char *name, enum msg_kind kind, const void *req)
{
	struct done_rep rep;
	enum aw_err r;

	r = agent_ask(
	    &t->agent, name, kind, req, MSG_DONE_REP, &rep, &t->frame, LOCK_MS);
	if (r == AW_OK && rep.error != AW_OK)
		r = complain(NULL, rep.error, rep.text);
	return r;
}

static enum aw_err
say_passphrase(
    struct talk *t, const struct options *o, const char *name, bool twice)
{
	AUTOBUF struct buf line = {0};
	struct lock_req req;
	enum aw_err r;

	if ((r = ask_passphrase(o, twice, &line)) != AW_OK)
		return r;
	req.passphrase = view_of(&line);
	return tell(t, name, MSG_LOCK_REQ, &req);
}

static enum aw_err
lock(struct talk *t, const struct options *o)
{
	return say_passphrase(t, o, "lock@awsenv", true);
}

static enum aw_err
unlock(struct talk *t, const struct options *o)
{
	const struct screen_req screen = {0};
	struct status_rep rep;
	enum aw_err r;

	if ((r = talk_status(t, &rep)) != AW_OK)
		return r;
	/* From afar nothing is told, and this is what says why not. */
	if ((rep.screen || !rep.locked) &&
	    (r = tell(t, "screen@awsenv", MSG_SCREEN_REQ, &screen)) != AW_OK)
		return r;
	return rep.locked ? say_passphrase(t, o, "unlock@awsenv", false)
			  : AW_OK;
}

static int
with_agent(const struct options *o,
    enum aw_err (*fn)(struct talk *, const struct options *))
{
	struct talk t;
	enum aw_err r;

	if ((r = talk_begin(&t, o, AGENT_AS_IS)) != AW_OK)
		return exit_of(r);
	r = fn(&t, o);
	talk_end(&t);
	return exit_of(r);
}

int
lock_verb(const struct options *o, char **argv)
{
	(void)argv;
	return with_agent(o, lock);
}

int
unlock_verb(const struct options *o, char **argv)
{
	(void)argv;
	return with_agent(o, unlock);
}
