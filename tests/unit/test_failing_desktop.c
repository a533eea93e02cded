/* SPDX-License-Identifier: ISC */
/*
 * login --desktop with each allocation failing once in turn, in sd-event's own
 * loop; agent, notifications and presence are the test's. What the person was
 * not shown for want of memory is asked for again, and shown once.
 */
#include "agent/cli/ctl/ctl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cli/ctl/desktop.h"
#include "tests/unit/failing.h"

#define FAR_OFF 4102444800 /* 2100 */

static char folder[] = "/tmp/awsenv-failing.XXXXXX";

/* What there is, as the agent sends it. */
static struct login_rep login = {
    .state = LOGIN_PENDING,
    .until = FAR_OFF,
};
static struct buf login_bytes, items;

static struct {
	bool login, questions;	    /* it has them, and waits for others */
	unsigned int logins, asked; /* times that the person was shown one */
	unsigned int lost;
} saw;

/* ---- the agent */

static int
tell_login(sd_event_source *s, void *arg)
{
	const struct watch_rep rep = {
	    .change = 1, .login = view_of(&login_bytes)};
	struct line *l = arg;

	(void)s;
	if (l->fd >= 0)
		l->heard(l->arg, &rep);
	return 0;
}

static int
tell_questions(sd_event_source *s, void *arg)
{
	const struct questions_rep rep = {
	    .change = 1, .items = view_of(&items)};
	struct line *l = arg;

	(void)s;
	if (l->fd >= 0)
		l->heard(l->arg, &rep);
	return 0;
}

enum aw_err
line_ask(struct line *l, sd_event *event, const char *path, const void *req)
{
	const struct questions_req *questions = req;
	const struct watch_req *watch = req;

	(void)path;
	l->fd = 0; /* which nobody reads */
	if (l->kind == MSG_WATCH_REQ) {
		saw.login = watch->seen != 0;
		if (!saw.login)
			must(sd_event_add_defer(event, NULL, tell_login, l) >=
			    0);
	} else if (l->kind == MSG_QUESTIONS_REQ) {
		saw.questions = questions->seen != 0;
		if (!saw.questions)
			must(sd_event_add_defer(
				 event, NULL, tell_questions, l) >= 0);
	}
	if (saw.login && saw.questions)
		sd_event_exit(event, 0);
	return AW_OK;
}

void
line_close(struct line *l)
{
	l->fd = -1;
}

static int
try_again(sd_event_source *s, void *arg)
{
	struct wait *w = arg;

	(void)s;
	w->fn(w->arg);
	return 0;
}

void
wait_begin(struct wait *w, const char *path)
{
	(void)w;
	(void)path;
}

bool
wait_again(struct wait *w)
{
	saw.lost++;
	must(sd_event_add_defer(w->event, NULL, try_again, w) >= 0);
	return true;
}

void
wait_end(struct wait *w)
{
	(void)w;
}

void
telling_open(struct telling *t, sd_event *event, const char *path,
    void (*settled)(void *), void *arg)
{
	*t = (struct telling){
	    .event = event, .path = path, .settled = settled, .arg = arg};
}

void
telling_set(struct telling *t, const char *session, bool locked)
{
	(void)t;
	(void)session;
	(void)locked;
}

void
telling_anew(struct telling *t)
{
	(void)t;
}

void
telling_close(struct telling *t)
{
	(void)t;
}

/* ---- the desktop, with a person */

void
presence_open(struct presence *p)
{
	static char leader;

	p->known = true;
	p->leader = (sd_event_source *)&leader;
}

void
presence_close(struct presence *p)
{
	p->leader = NULL;
}

bool
presence_here(const struct presence *p)
{
	(void)p;
	return true;
}

void
presence_ready(struct presence *p)
{
	(void)p;
}

void
notify_open(struct notify *n)
{
	n->there = n->buttons = true;
}

void
notify_show(sd_bus *bus, struct notice *n, enum urgency urgency,
    const char *title, const char *text)
{
	(void)bus;
	n->id = 1;
	must(urgency == URGENCY_CRITICAL);
	must(!strcmp(title, "AWS login: corp"));
	must(strstr(text, "NOT AWS: endpoint https://sso.example\n"));
	must(strstr(text, "this code: ABCD-EFGH\n"));
	saw.logins++;
}

void
notify_ask(sd_bus *bus, struct notice *n, enum urgency urgency,
    const char *title, const char *text, const char *const *actions)
{
	(void)bus;
	n->id = 2;
	must(urgency == URGENCY_CRITICAL);
	must(!strcmp(title, "Give AWS credentials? marketing"));
	must(strstr(text, " asks for account 111111111111, role Dev.\n"));
	must(actions[0] && !strcmp(actions[0], "no") && actions[2]);
	saw.asked++;
}

void
notify_close(sd_bus *bus, struct notice *n)
{
	(void)bus;
	n->unwanted = true;
}

/* ---- the tests */

static unsigned int lost; /* times that something was asked for again */

static enum aw_err
have_a_desktop(void)
{
	static const struct options o = {.given = OPT_NO_BROWSER, .wait = -1};
	int status;

	failing_rest();
	/* Each has a page of its own to claim. */
	login.ticket++;
	buf_reset(&login_bytes);
	msg_encode(MSG_LOGIN_REP, &login, &login_bytes);
	memset(&saw, 0, sizeof(saw));
	failing_go();
	status = desktop_run(&o);
	shown_forget();
	failing_rest();
	lost += saw.lost;
	must(status != EXIT_GOOD || (saw.logins == 1 && saw.asked == 1));
	failing_go();
	return status == EXIT_GOOD ? AW_OK : AW_SYSTEM;
}

static void
what_was_not_shown_is_asked_for_again(void **state)
{
	(void)state;
	assert_true(each_fails(have_a_desktop, ENOMEM, true) > 8);
	assert_true(lost > 4);
}

static int
begin(void **state)
{
	static const struct question_item question = {
	    .id = 7,
	    .until = FAR_OFF,
	    .answers = 1 << ANSWER_NO | 1 << ANSWER_ONCE,
	};
	struct question_item q = question;

	(void)state;
	q.profile = view_str("marketing");
	q.account = view_str("111111111111");
	q.role = view_str("Dev");
	login.session = view_str("corp");
	login.url = view_str("https://device.sso.example/");
	login.code = view_str("ABCD-EFGH");
	login.notice = view_str("NOT AWS: endpoint https://sso.example");
	msg_append(MSG_QUESTION_ITEM, &q, &items);
	setenv("DISPLAY", ":none", 1);
	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere", 1);
	unsetenv("AWSENV_SOCK");
	if (items.bad || !mkdtemp(folder))
		return -1;
	return setenv("XDG_RUNTIME_DIR", folder, 1);
}

static int
end(void **state)
{
	char path[128];

	(void)state;
	buf_free(&login_bytes);
	buf_free(&items);
	snprintf(path, sizeof(path), "rm -rf %s", folder);
	return system(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_not_shown_is_asked_for_again),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
