/* SPDX-License-Identifier: ISC */
/*
 * What needs the person's yes, as notifications with a button for each answer.
 * The agent takes whoever holds this request for somebody who can be asked, so
 * it is held only while the person is at the desktop and has notifications.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/desktop.h"

#define HELD 3600
#define MOMENT_MS 2000
#define AGAIN_USEC 1000000
#define BUTTONS 4

struct asked {
	LIST_ENTRY(asked) entry;
	uint64_t id;
	bool waits; /* it is on the list that came last */
	struct notice notice;
};

/* In this order; the first is where a hasty click may end. */
static const struct {
	const char *name;
	enum answer_what answer;
	const char *text;
} buttons[BUTTONS] = {
    {"no", ANSWER_NO, "No"},
    {"once", ANSWER_ONCE, "Yes, once"},
    {"connection", ANSWER_PEER, "Yes, this connection"},
    {"hour", ANSWER_HOUR, "Yes, for an hour"},
};

/* ---- how it looks */

static void
text_of(const struct question_item *q, bool can_press, struct buf *out)
{
	struct view hops = q->hops, hop;

	if (!q->remote)
		text_add(out, "A program of this machine");
	else if (q->host.n)
		text_add(out, "The host with the key %s", shown(q->host));
	else
		text_add(out, "A host that is not known");
	text_add(out, " asks for account %s, role %s", shown(q->account),
	    shown(q->role));
	if (q->chain.n)
		text_add(out, ", then %s", shown(q->chain));
	text_add(out, ".\n");
	if (q->programs.n || q->folder.n || hops.n)
		text_add(out, "It says of itself, true or not: %s%s%s",
		    shown(q->programs), q->folder.n ? " in " : "",
		    shown(q->folder));
	while (view_entry(&hops, &hop))
		text_add(out, ", for %s", shown(hop));
	text_add(out, "\n%s",
	    can_press ? "No answer is a no." : "To answer: awsenv confirm");
	buf_u8(out, '\0');
}

/* False: there is no memory for all of it. */
static bool
show(struct asking *a, const struct question_item *q)
{
	const char *actions[2 * BUTTONS + 1] = {NULL};
	AUTOBUF struct buf title = {0}, text = {0};
	struct asked *one;
	size_t i, n = 0;

	shown_forget();
	text_add(&title, "Give AWS credentials? %s",
	    shown(q->profile.n ? q->profile : q->role));
	buf_u8(&title, '\0');
	text_of(q, a->notify.buttons, &text);
	for (i = 0; a->notify.buttons && i < BUTTONS; i++) {
		if (!(q->answers & 1u << buttons[i].answer))
			continue;
		actions[n++] = buttons[i].name;
		actions[n++] = buttons[i].text;
	}
	/* A name that is lost might be why somebody says no. */
	if (title.bad || text.bad || text_lost ||
	    !(one = calloc(1, sizeof(*one))))
		return false;
	one->id = q->id;
	one->waits = true;
	LIST_INSERT_HEAD(&a->shown, one, entry);
	notify_ask(a->notify.bus, &one->notice, URGENCY_CRITICAL,
	    (const char *)title.data, (const char *)text.data, actions);
	return true;
}

/* ---- the agent */

static struct asked *
find_shown(struct asking *a, uint64_t id)
{
	struct asked *one;

	LIST_FOREACH(one, &a->shown, entry)
	{
		if (one->id == id)
			return one;
	}
	return NULL;
}

static void
forget(struct asked *one)
{
	LIST_REMOVE(one, entry);
	free(one);
}

/* Those that do not wait any more: one whose number is not known yet is taken
 * away, and forgotten, later. */
static void
sweep(struct asking *a)
{
	struct asked *one, *next;

	for (one = LIST_FIRST(&a->shown); one; one = next) {
		next = LIST_NEXT(one, entry);
		if (one->waits)
			continue;
		if (!one->notice.unwanted)
			notify_close(a->notify.bus, &one->notice);
		if (one->notice.id)
			forget(one);
	}
}

/* False: not all of it is shown. */
static bool
take_list(struct asking *a, struct view list)
{
	struct question_item q;
	struct asked *one;
	bool all = true;

	LIST_FOREACH(one, &a->shown, entry)
	{
		one->waits = false;
	}
	while (msg_each(MSG_QUESTION_ITEM, &list, &q)) {
		if ((one = find_shown(a, q.id)))
			one->waits = true;
		else
			all = show(a, &q) && all;
	}
	sweep(a);
	return all;
}

static int
on_retry(sd_event_source *s, uint64_t usec, void *arg)
{
	struct asking *a = arg;

	(void)s;
	(void)usec;
	asking_reach(a, a->here);
	return 0;
}

static void
again_later(struct asking *a)
{
	a->retry = sd_event_source_unref(a->retry);
	sd_event_add_time_relative(
	    a->event, &a->retry, CLOCK_BOOTTIME, AGAIN_USEC, 0, on_retry, a);
}

static void
on_questions(void *arg, const void *rep)
{
	const struct questions_rep *list = rep;
	struct asking *a = arg;

	a->held = false;
	if (!list || list->error != AW_OK) {
		line_close(&a->line);
		a->seen = 0;
		take_list(a, (struct view){0});
		/* A broker that died has an heir; of an agent that ended we
		 * are told otherwise. */
		a->retry = sd_event_source_unref(a->retry);
		if (!list)
			again_later(a);
		return;
	}
	a->seen = list->change;
	if (!take_list(a, list->items)) {
		/* Nobody else is to take us for one who shows it. */
		line_close(&a->line);
		a->seen = 0;
		again_later(a);
		return;
	}
	asking_reach(a, a->here);
}

void
asking_reach(struct asking *a, bool here)
{
	const struct questions_req req = {.seen = a->seen, .seconds = HELD};

	a->here = here;
	/* Not before: who is where is asked first, on the same bus. */
	if (here && !a->open)
		notify_open(&a->notify);
	a->open |= here;
	if (!here || !a->notify.there) {
		line_close(&a->line);
		a->held = false;
		a->seen = 0;
		take_list(a, (struct view){0});
	} else if (!a->held) {
		a->held = line_ask(&a->line, a->event, a->path, &req) == AW_OK;
	}
}

/* By a connection of its own, since on the other a request is held. */
static void
answer(struct asking *a, uint64_t id, enum answer_what what)
{
	const struct questions_req look = {0};
	const struct answer_req req = {id, (uint8_t)what};
	AUTOBUF struct buf frame = {0};
	struct questions_rep list;
	struct done_rep rep;
	AUTOCLOSE int fd = -1;

	if (client_connect(a->path, &fd, io_deadline(MOMENT_MS)) != AW_OK ||
	    client_ask(fd, "questions@awsenv", MSG_QUESTIONS_REQ, &look,
		MSG_QUESTIONS_REP, &list, &frame,
		io_deadline(MOMENT_MS)) != AW_OK ||
	    client_ask(fd, "answer@awsenv", MSG_ANSWER_REQ, &req, MSG_DONE_REP,
		&rep, &frame, io_deadline(MOMENT_MS)) != AW_OK)
		warn("the agent did not take the answer");
	else if (rep.error != AW_OK && rep.error != AW_GONE)
		warn("%s", shown(rep.text));
}

/* ---- the desktop */

static void
on_press(void *arg, uint32_t id, const char *action)
{
	struct asking *a = arg;
	struct asked *one;
	size_t i;

	LIST_FOREACH(one, &a->shown, entry)
	{
		if (one->waits && one->notice.id == id)
			break;
	}
	for (i = 0; one && i < BUTTONS; i++) {
		if (!strcmp(action, buttons[i].name)) {
			answer(a, one->id, buttons[i].answer);
			return;
		}
	}
}

static void
on_notify(void *arg)
{
	struct asking *a = arg;

	asking_reach(a, a->here);
}

void
asking_open(struct asking *a, sd_event *event, sd_bus *bus, const char *path)
{
	*a = (struct asking){
	    .event = event,
	    .path = path,
	    .notify = {.bus = bus,
		.changed = on_notify,
		.pressed = on_press,
		.arg = a},
	    .line = {.name = "questions@awsenv",
		.kind = MSG_QUESTIONS_REQ,
		.reply = MSG_QUESTIONS_REP,
		.fd = -1,
		.heard = on_questions,
		.arg = a},
	};
	LIST_INIT(&a->shown);
}

void
asking_close(struct asking *a)
{
	struct asked *one, *next;

	for (one = LIST_FIRST(&a->shown); one; one = next) {
		next = LIST_NEXT(one, entry);
		if (!one->notice.unwanted)
			notify_close(a->notify.bus, &one->notice);
		forget(one);
	}
	a->retry = sd_event_source_unref(a->retry);
	line_close(&a->line);
	buf_free(&a->line.frame);
}
