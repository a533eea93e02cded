/* SPDX-License-Identifier: ISC */
/*
 * confirm: shows a person what the agent would have answered, one question
 * after the other, and gives the agent the answer. One connection is held for
 * the questions; another, made for each answer, takes it.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define HELD 3600
#define MOMENT_MS 5000
#define LABEL 12
/* What is typed when a question comes was not meant for it. */
#define QUIET_MS 400
#define INTERRUPT '\003'

struct confirm {
	const struct options *options;
	struct screen screen;
	struct agent agent; /* on it the request for questions is held */
	bool asked;
	struct buf frame; /* what views of `rep` point into */
	struct questions_rep rep;
	uint64_t answered; /* the last one; it may still be on the list */
	int64_t end;	   /* when to wait no longer; -1: never */
};

/* ---- how a question looks */

/* A value that is too long for its line goes on in the next. */
static void
row(struct buf *out, unsigned int cols, const char *name, struct view value)
{
	const char *text = shown(value);
	unsigned int at = LABEL;
	struct text_char c;
	struct view rest = view_str(text);

	text_add(out, "  %-10s", name);
	while (text_next(&rest, &c)) {
		if (cols > LABEL + 1 && at == cols - 1) {
			text_add(out, "\n%12s", "");
			at = LABEL;
		}
		buf_put(out, c.p, c.n);
		at++;
	}
	text_add(out, "\n");
}

static void
row_if(struct buf *out, unsigned int cols, const char *name, struct view value)
{
	if (value.n)
		row(out, cols, name, value);
}

/* What is asked, in lines of at most so many characters; 0: as long as it is.
 * What others claim is told apart. */
static void
question_text(const struct question_item *q, unsigned int cols, struct buf *out)
{
	struct view hops = q->hops, hop;

	text_add(out, "AWS credentials are asked for\n");
	if (!q->remote)
		row(out, cols, "by", view_str("a program of this machine"));
	else if (q->host.n)
		row(out, cols, "by", view_str("another host, by ssh"));
	else
		row(out, cols, "by", view_str("a host that is not known"));
	row_if(out, cols, "host key", q->host);
	row_if(out, cols, "profile", q->profile);
	row(out, cols, "account", q->account);
	row(out, cols, "role", q->role);
	row_if(out, cols, "and then", q->chain);
	row_if(out, cols, "session", q->session);
	if (!q->programs.n && !q->folder.n && !hops.n)
		return;
	text_add(out, "It says of itself, true or not:\n");
	row_if(out, cols, "programs", q->programs);
	row_if(out, cols, "folder", q->folder);
	while (view_entry(&hops, &hop))
		row(out, cols, "next host", hop);
}

static const struct {
	char key;
	enum answer_what answer;
	const char *text;
} answers[] = {
    {'y', ANSWER_ONCE, "yes, once"},
    {'c', ANSWER_PEER, "yes, for this ssh connection"},
    {'h', ANSWER_HOUR, "yes, for an hour"},
    {'n', ANSWER_NO, "no"},
};

#define NANSWERS (sizeof(answers) / sizeof(answers[0]))

static bool
offered(const struct question_item *q, enum answer_what a)
{
	return q->answers & 1u << a;
}

/* ---- the agent */

static int
told(uint32_t error, struct view text)
{
	warn("%s", text.n ? shown(text) : aw_strerror((enum aw_err)error));
	return exit_of((enum aw_err)error);
}

/* The questions that there are now. */
static enum aw_err
look(struct confirm *c)
{
	const struct questions_req req = {0};
	enum aw_err r = agent_open(&c->agent, AGENT_AS_IS);

	return r != AW_OK
	    ? r
	    : agent_ask(&c->agent, "questions@awsenv", MSG_QUESTIONS_REQ, &req,
		  MSG_QUESTIONS_REP, &c->rep, &c->frame, MOMENT_MS);
}

/* Have the next list of questions sent. */
static enum aw_err
ask(struct confirm *c)
{
	struct questions_req req = {.seen = c->rep.change, .seconds = HELD};
	AUTOBUF struct buf body = {0}, out = {0};
	enum aw_err r = AW_OK;

	if (c->agent.fd < 0) {
		req.seen = 0; /* another broker counts anew */
		r = agent_open(&c->agent, AGENT_AS_IS);
	}
	if (r != AW_OK)
		return r;
	msg_encode(MSG_QUESTIONS_REQ, &req, &body);
	io_put_request(&out, "questions@awsenv", view_of(&body));
	r = body.bad || out.bad
	    ? AW_NOMEM
	    : io_write_here(c->agent.fd, view_of(&out), io_deadline(MOMENT_MS));
	c->asked = r == AW_OK;
	if (r != AW_OK)
		warn("the agent on %s cannot be asked: %s",
		    shown_str(c->agent.path), error_text(r));
	return r;
}

static enum aw_err
heard(struct confirm *c)
{
	struct view body;
	enum aw_err r;

	c->asked = false;
	r = io_get_reply(c->agent.fd, "questions@awsenv", &c->frame, &body,
	    io_deadline(MOMENT_MS));
	if (r == AW_OK && !msg_decode(MSG_QUESTIONS_REP, body, &c->rep))
		r = AW_PROTO;
	if (r != AW_OK) {
		c->rep = (struct questions_rep){0};
		agent_close(&c->agent);
		c->agent.fd = -1;
	}
	return r;
}

/* The oldest that was not answered just now. */
static bool
question_next(const struct confirm *c, struct question_item *q)
{
	struct view list = c->rep.items;

	while (msg_each(MSG_QUESTION_ITEM, &list, q)) {
		if (q->id != c->answered)
			return true;
	}
	return false;
}

static bool
question_waits(const struct confirm *c, uint64_t id)
{
	struct view list = c->rep.items;
	struct question_item q;

	while (msg_each(MSG_QUESTION_ITEM, &list, &q)) {
		if (q.id == id)
			return true;
	}
	return false;
}

/* EXIT_GOOD, or what went wrong has been told. */
static int
answer(uint64_t id, enum answer_what what)
{
	struct questions_req look = {0};
	struct answer_req req = {.id = id, .answer = (uint8_t)what};
	AUTOBUF struct buf frame = {0};
	struct questions_rep list;
	struct done_rep rep = {0};
	struct agent a;
	enum aw_err r;

	if ((r = agent_open(&a, AGENT_AS_IS)) != AW_OK)
		return exit_of(r);
	r = agent_ask(&a, "questions@awsenv", MSG_QUESTIONS_REQ, &look,
	    MSG_QUESTIONS_REP, &list, &frame, MOMENT_MS);
	if (r == AW_OK)
		r = agent_ask(&a, "answer@awsenv", MSG_ANSWER_REQ, &req,
		    MSG_DONE_REP, &rep, &frame, MOMENT_MS);
	if (r == AW_OK && rep.error != AW_OK)
		r = (enum aw_err)rep.error;
	agent_close(&a);
	if (r == AW_OK)
		return EXIT_GOOD;
	return rep.error ? told(rep.error, rep.text) : exit_of(r);
}

/* ---- a terminal */

static bool
key_read(char *key)
{
	ssize_t n;

	while ((n = read(STDIN_FILENO, key, 1)) < 0 && errno == EINTR)
		continue;
	if (n != 1)
		*key = INTERRUPT; /* the terminal is gone */
	return true;
}

/* A key, or what the agent said, or the time is over: false, the last. */
static bool
wait_for(struct confirm *c, char *key)
{
	struct pollfd fd[2] = {
	    {STDIN_FILENO, POLLIN, 0}, {c->agent.fd, POLLIN, 0}};
	int64_t left = c->end < 0 ? -1 : c->end - io_deadline(0);
	int n;

	*key = '\0';
	if (left < 0 && c->end >= 0)
		left = 0;
	n = poll(fd, c->asked ? 2 : 1, (int)left);
	if (n == 0)
		return false;
	if (n > 0 && fd[0].revents)
		key_read(key);
	if (n > 0 && c->asked && fd[1].revents)
		heard(c);
	return true;
}

/* False: not all of it can be shown, which is told. */
static bool
show(struct confirm *c, const struct question_item *q)
{
	uint64_t left = q->until > now() ? q->until - now() : 0;
	AUTOBUF struct buf out = {0};
	size_t i;

	buf_u8(&out, '\n');
	question_text(q, c->screen.cols, &out);
	if (out.bad || text_lost) {
		warn("%s", aw_strerror(AW_NOMEM));
		return false;
	}
	io_write(STDERR_FILENO, view_of(&out), -1);
	poll(NULL, 0, QUIET_MS);
	tcflush(STDIN_FILENO, TCIFLUSH);
	for (i = 0; i < NANSWERS; i++) {
		if (!offered(q, answers[i].answer))
			continue;
		say("  %c  %s", answers[i].key, answers[i].text);
		if (answers[i].answer == ANSWER_NO)
			say(", and so it is in %u seconds", (unsigned int)left);
		say("\n");
	}
	say("answer [n]: ");
	return true;
}

/* What a key means for it; false: nothing. */
static bool
key_means(const struct question_item *q, char key, enum answer_what *what)
{
	size_t i;

	if (key == '\r' || key == '\n' || key == '\033')
		key = 'n';
	for (i = 0; i < NANSWERS; i++) {
		if ((key | ' ') == answers[i].key &&
		    offered(q, answers[i].answer)) {
			*what = answers[i].answer;
			say("%s\n", answers[i].text);
			return true;
		}
	}
	return false;
}

/* Until it is answered, here or elsewhere: the exit status, or -1 to go on. */
static int
put(struct confirm *c, struct question_item *q)
{
	AUTOBUF struct buf mine = {0};
	struct view list = {0};
	enum answer_what what;
	char key = '\0';
	int status;

	/* Its views point into what the next list takes the place of. */
	msg_append(MSG_QUESTION_ITEM, q, &mine);
	list = view_of(&mine);
	if (mine.bad || !msg_each(MSG_QUESTION_ITEM, &list, q)) {
		warn("%s", aw_strerror(AW_NOMEM));
		return EXIT_OTHER;
	}
	c->end = -1;
	if (!show(c, q))
		return EXIT_OTHER;
	for (;;) {
		if (!c->asked && ask(c) != AW_OK)
			return EXIT_NOAGENT;
		wait_for(c, &key);
		if (key == INTERRUPT || (key | ' ') == 'q') {
			say("\n");
			return EXIT_OTHER;
		}
		if (key && key_means(q, key, &what))
			break;
		if (c->rep.error != AW_OK || !question_waits(c, q->id)) {
			say("\nthat was answered, or is over\n");
			return -1;
		}
	}
	c->answered = q->id;
	status = answer(q->id, what);
	if (status != EXIT_GOOD || !(c->options->given & OPT_ONCE))
		return status == EXIT_GOOD ? -1 : status;
	return what == ANSWER_NO ? EXIT_REFUSED : EXIT_GOOD;
}

static void
patience(struct confirm *c)
{
	const struct options *o = c->options;

	if (o->given & OPT_NO_WAIT)
		c->end = io_deadline(0);
	else if (o->given & OPT_WAIT)
		c->end = io_deadline(0) + (int64_t)o->wait * 1000;
	else
		c->end = -1;
}

static int
questions(struct confirm *c)
{
	bool once = c->options->given & OPT_ONCE, told_wait = false;
	struct question_item q;
	char key = '\0';
	enum aw_err r;
	int status;

	if ((r = look(c)) != AW_OK)
		return exit_of(r);
	patience(c);
	for (;;) {
		if (c->rep.error != AW_OK)
			return told(c->rep.error, c->rep.text);
		if (question_next(c, &q)) {
			if ((status = put(c, &q)) >= 0)
				return status;
			shown_forget();
			patience(c);
			continue;
		}
		if (!c->asked && (r = ask(c)) != AW_OK)
			return exit_of(r);
		if (c->end < 0 && !told_wait)
			say("waiting for questions; Ctrl-C ends this\n");
		told_wait = true;
		if (!wait_for(c, &key))
			return once ? EXIT_OTHER : EXIT_GOOD;
		if (key == INTERRUPT || (key | ' ') == 'q')
			return once ? EXIT_OTHER : EXIT_GOOD;
	}
}

static int
on_terminal(struct confirm *c)
{
	struct termios before;
	int status;

	if (!keys_begin(&before))
		return EXIT_OTHER;
	status = questions(c);
	keys_end(&before);
	return status;
}

/* ---- no terminal */

#define M(name, form, member)                                             \
	{                                                                 \
		name, JSON_##form, offsetof(struct question_item, member) \
	}

/* clang-format off */
static const struct json_member members[] = {
	M("until", TIME, until),
	M("remote", BOOL, remote),
	M("profile", TEXT, profile),
	M("session", TEXT, session),
	M("account", TEXT, account),
	M("role", TEXT, role),
	M("chain", TEXT, chain),
	M("host_key", TEXT, host),
	M("programs", TEXT, programs),
	M("folder", TEXT, folder),
	{.form = JSON_END},
};
/* clang-format on */

static void
json_question(const struct question_item *q, struct buf *out)
{
	struct view hops = q->hops, hop;

	json_name(out, "");
	text_add(out, "{");
	json_members(out, members, q);
	json_name(out, "next_hosts");
	text_add(out, "[");
	while (view_entry(&hops, &hop)) {
		json_name(out, "");
		json_string(out, hop);
	}
	text_add(out, "]}");
}

static int
list(struct confirm *c)
{
	bool json = c->options->given & OPT_JSON;
	AUTOBUF struct buf out = {0};
	struct question_item q;
	struct view items;
	unsigned int n = 0;
	enum aw_err r;

	if ((r = look(c)) != AW_OK)
		return exit_of(r);
	if (c->rep.error != AW_OK)
		return told(c->rep.error, c->rep.text);
	if (json)
		text_add(&out, "[");
	for (items = c->rep.items; msg_each(MSG_QUESTION_ITEM, &items, &q);
	     n++) {
		if (json)
			json_question(&q, &out);
		else
			question_text(&q, 0, &out);
	}
	if (json)
		text_add(&out, "]\n");
	if (!text_print(&out))
		return EXIT_OTHER;
	if (!json && n)
		warn("to be answered on a terminal, or the desktop");
	return json || !n ? EXIT_GOOD : EXIT_OTHER;
}

int
confirm_verb(const struct options *o, char **argv)
{
	struct confirm c = {.options = o, .agent = {.fd = -1}, .end = -1};
	bool person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	int status;

	(void)argv;
	screen_open(&c.screen);
	status = person && !(o->given & OPT_JSON) ? on_terminal(&c) : list(&c);
	if (c.agent.fd >= 0)
		agent_close(&c.agent);
	buf_free(&c.frame);
	return status;
}
