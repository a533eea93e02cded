/* SPDX-License-Identifier: ISC */
/*
 * A login as one person meets it: show URL and code, wait until it is approved
 * in a browser somewhere. The agent goes on with it when nobody waits.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define LOGIN_MS 40000
#define WAIT_MS 40000
#define WAIT_HOLD 15 /* the time left is written anew that often */

struct waiting {
	struct agent *agent;
	const struct question *question;
	const struct options *options;
	struct screen screen;
	struct login_rep rep;
	struct buf frame;
	uint64_t end;		  /* our own; 0: as long as the code is good */
	bool always;		  /* the verb: show it whatever stderr is */
	bool json;		  /* as events on stdout, for a program */
	bool line;		  /* a line is there that is written over */
	unsigned int anew;	  /* logins that ended under us */
	const char *url;	  /* the one on the screen, */
	char code[CODE_MOST + 1]; /* and its code, if it has one */
};

/* What Ctrl-C leaves behind, ready for a signal handler. */
static char farewell[128];

static void
on_interrupt(int sig)
{
	ssize_t n = write(STDERR_FILENO, farewell, strlen(farewell));

	(void)n;
	signal(sig, SIG_DFL);
	kill(getpid(), sig);
}

/* What a person may still use. */
static const char *
offer(const struct login_rep *l)
{
	return l->code.n ? "code" : "page";
}

static void
farewell_set(const struct login_rep *l)
{
	struct sigaction now_is;
	char until[CLOCK_TIME];

	/* Under nohup, or in the background of a script, it stays ignored. */
	if (sigaction(SIGINT, NULL, &now_is) != 0 ||
	    now_is.sa_handler == SIG_IGN)
		return;
	clock_time(until, l->until);
	/* The handler may come at any time, so not while this is written. */
	signal(SIGINT, SIG_DFL);
	format(farewell, sizeof(farewell),
	    "\nawsenv: the %s stays valid until %s; awsenv login shows it "
	    "again\n",
	    offer(l), until);
	signal(SIGINT, on_interrupt);
}

static void
line_clear(struct waiting *w)
{
	if (w->line)
		say("\r\033[K");
	w->line = false;
}

/* On a terminal one line that is written over, elsewhere told once. */
static void
line_show(struct waiting *w, bool first)
{
	char until[CLOCK_TIME], left[TIME_LEFT];

	if (w->json)
		return;
	clock_time(until, w->rep.until);
	time_left(left, w->rep.until);
	if (w->options->given & OPT_NO_WAIT) {
		say("  Valid until %s (%s left).\n", until, left);
	} else if (w->screen.plain) {
		if (first)
			say("  Valid until %s (%s left); waiting for the "
			    "approval.\n",
			    until, left);
	} else {
		/* Cut where the window ends: what wraps is not written over. */
		say("\r\033[K\033[?7l  Valid until %s (%s left); waiting for the "
		    "approval ... \033[?7h",
		    until, left);
		w->line = true;
	}
}

static enum aw_err
show_screen(struct waiting *w)
{
	AUTOBUF struct buf out = {0};

	if (w->url)
		say("awsenv: that %s is no longer good; here is a new one\n\n",
		    w->code[0] ? "code" : "page");
	screen_login(&w->screen, &w->rep, &out);
	/* A notice that is lost might have said that this is not AWS. */
	if (out.bad || text_lost) {
		warn("%s", aw_strerror(AW_NOMEM));
		return AW_NOMEM;
	}
	io_write(STDERR_FILENO, view_of(&out), -1);
	return AW_OK;
}

static enum aw_err
event(const struct login_rep *l)
{
	return login_event(l) ? AW_OK : AW_SYSTEM;
}

static enum aw_err
show(struct waiting *w)
{
	struct login_rep *l = &w->rep;
	enum aw_err r;

	if (w->url && view_is(l->url, w->url) && view_is(l->code, w->code)) {
		line_show(w, false);
		return AW_OK;
	}
	line_clear(w);
	if (!login_is_sound(l)) {
		warn("%s: the agent gave a sign-in URL or code that is not fit "
		     "to be shown",
		    question_name(w->question));
		return AW_PROTO;
	}
	if ((r = w->json ? event(l) : show_screen(w)) != AW_OK)
		return r;
	w->url = keep(l->url);
	format(w->code, sizeof(w->code), "%.*s", VIEW_ARG(l->code));
	line_show(w, true);
	if (!(w->options->given & OPT_NO_WAIT))
		farewell_set(l);
	/* One page, not forty, where forty commands find it missing. */
	if (browser_there(w->options) &&
	    claim(CLAIM_PAGE, l, l->until,
		w->always ? CLAIM_AGAIN : CLAIM_COMMAND))
		browser_start(l->url, l->browser);
	return AW_OK;
}

/* Somebody else than expected is no error, but must not pass unseen. */
static void
warn_of_person(const struct waiting *w)
{
	const char *person = shown(w->rep.person);
	const char *before = shown(w->rep.before);
	const char *expected = shown(w->rep.expected);

	if (*person && *expected && strcasecmp(person, expected) != 0)
		warn("WARNING: %s expects %s (awsenv_identity), not %s",
		    question_name(w->question), expected, person);
	else if (w->url && *person && *before && strcmp(person, before) != 0)
		warn("WARNING: the last time it was %s who approved", before);
}

static enum aw_err
done(struct waiting *w)
{
	const struct login_rep *l = &w->rep;
	const char *person = shown(l->person);
	char until[CLOCK_TIME];
	enum aw_err r = AW_OK;

	line_clear(w);
	clock_time(until, l->expires);
	if (w->json)
		r = event(l);
	else if (w->url)
		say("awsenv: approved%s%s; logged in to %s until %s\n",
		    *person ? " by " : "", person, shown(l->session), until);
	else if (w->always)
		say("awsenv: logged in to %s%s%s until %s\n", shown(l->session),
		    *person ? " as " : "", person, until);
	warn_of_person(w);
	return r;
}

static enum aw_err
login_ask(struct waiting *w)
{
	struct login_req req = {
	    .ask = w->question->ask,
	    .desktop = browser_there(w->options) &&
		!(w->options->given & OPT_DEVICE_CODE),
	};

	return agent_ask(w->agent, "login@awsenv", MSG_LOGIN_REQ, &req,
	    MSG_LOGIN_REP, &w->rep, &w->frame, LOGIN_MS);
}

static enum aw_err
wait_ask(struct waiting *w)
{
	struct wait_req req = {
	    .ticket = w->rep.ticket,
	    .seen = w->rep.state,
	    .seconds = WAIT_HOLD,
	};
	uint64_t t = now();

	if (w->end && w->end < t + WAIT_HOLD)
		req.seconds = w->end > t ? (uint32_t)(w->end - t) : 0;
	return agent_ask(w->agent, "wait@awsenv", MSG_WAIT_REQ, &req,
	    MSG_LOGIN_REP, &w->rep, &w->frame, WAIT_MS);
}

static enum aw_err
timed_out(struct waiting *w)
{
	char until[CLOCK_TIME];

	line_clear(w);
	clock_time(until, w->rep.until);
	if (w->url)
		warn(
		    "%s: not approved within %d s; the %s stays valid until %s, "
		    "awsenv login shows it again",
		    question_name(w->question), w->options->wait,
		    offer(&w->rep), until);
	else
		warn("%s: AWS gave no code within %d s",
		    question_name(w->question), w->options->wait);
	return AW_LOGIN;
}

/* It ended without a token; why, has not been said yet. */
static enum aw_err
failed(struct waiting *w)
{
	line_clear(w);
	if (w->json)
		event(&w->rep);
	/* "A login is needed" is no answer to one that has just failed. */
	if (w->rep.error != AW_OK &&
	    (w->rep.error != AW_LOGIN || w->rep.text.n == 0))
		return complain(w->question, w->rep.error, w->rep.text);
	warn("%s: %s", question_name(w->question),
	    w->rep.text.n ? shown(w->rep.text) : "the login failed");
	return AW_LOGIN;
}

/* Look at the reply, and get the next. False: it is over, as *r says. */
static bool
step(struct waiting *w, enum aw_err *r)
{
	bool no_wait = (w->options->given & OPT_NO_WAIT) != 0;

	if (w->rep.error == AW_GONE && w->anew++ < 3) {
		*r = login_ask(w);
		return *r == AW_OK;
	}
	if (w->rep.error != AW_OK || w->rep.state == LOGIN_FAILED) {
		*r = failed(w);
		return false;
	}
	if (w->rep.state == LOGIN_DONE) {
		*r = done(w);
		return false;
	}
	if (w->rep.state == LOGIN_PENDING &&
	    ((*r = show(w)) != AW_OK || no_wait))
		return false;
	if (w->end && now() >= w->end) {
		*r = timed_out(w);
		return false;
	}
	*r = wait_ask(w);
	return *r == AW_OK;
}

static enum aw_err
refuse_here(const struct question *q)
{
	warn(
	    "%s: a login is needed, and the agent here is not a forwarded one;\n"
	    "        awsenv login --here logs in on this host, where root will "
	    "hold that login",
	    question_name(q));
	return AW_LOGIN;
}

static enum aw_err
approve(struct talk *t, const struct options *o, bool always)
{
	struct sigaction interrupt;
	struct waiting w = {
	    .agent = &t->agent,
	    .question = &t->question,
	    .options = o,
	    .always = always,
	    .json = (o->given & OPT_JSON) != 0,
	};
	enum aw_err r;

	if (agent_foreign() && !(o->given & OPT_HERE))
		return refuse_here(w.question);
	screen_open(&w.screen);
	sigaction(SIGINT, NULL, &interrupt);
	if (o->given & OPT_WAIT)
		w.end = now() + (uint64_t)o->wait;
	if ((r = login_ask(&w)) == AW_OK) {
		while (step(&w, &r))
			;
	}
	sigaction(SIGINT, &interrupt, NULL);
	buf_free(&w.frame);
	return r;
}

static int
begin(const struct options *o, enum agent_start start, bool always)
{
	struct talk t;
	enum aw_err r;

	if ((r = talk_begin(&t, o, start)) == AW_OK) {
		r = approve(&t, o, always);
		talk_end(&t);
	}
	return exit_of(r);
}

int
login_verb(const struct options *o, char **argv)
{
	bool here = (o->given & OPT_HERE) != 0;

	(void)argv;
	if ((o->given & OPT_DESKTOP) && (o->given & OPT_JSON)) {
		warn("either --json or --desktop");
		return EXIT_USAGE;
	}
	if (o->given & OPT_DESKTOP)
		return desktop_run(o);
	if (o->given & OPT_PENDING)
		return pending_show(o);
	if (here && agent_foreign())
		warn(
		    "logging in on this host: its root will hold the login, until "
		    "awsenv logout");
	return begin(o, here ? AGENT_START_HERE : AGENT_LOGIN, true);
}

int
approve_verb(const struct options *o, char **argv)
{
	(void)argv;
	return begin(o, AGENT_START, false);
}
