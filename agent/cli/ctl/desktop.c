/* SPDX-License-Identifier: ISC */
/*
 * login --desktop, started with a desktop session and gone with it: opens the
 * page of a login that waits for the person, as soon as the person is there to
 * see it, and tells by notifications what became of it and when it ends. What
 * needs the person's yes is asked by them, too.
 *
 * It begins no login. It holds one request at the agent, which is answered when
 * a login changes, and otherwise sleeps.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/desktop.h"

#define HELD 3600      /* seconds, as long as the agent holds a request */
#define APPROVAL 30    /* ... and one that keeps it polling AWS often */
#define FIRST_LOGIN 10 /* for one that the login to the machine begins */
#define AHEAD 900      /* seconds before the end of a login it is told */

/* One login of the agent, as it was told last. */
struct item {
	LIST_ENTRY(item) entry;
	struct desktop *desktop;
	struct buf kept; /* what views of rep point into */
	struct login_rep rep;
	bool refreshable;
	uint64_t offered; /* until when the code was good that was shown */
	uint64_t ending;  /* the end that was, or will be, told */
	bool due;	  /* to be told now */
	sd_event_source *warning;
	struct notice notice;
	struct line waiting;
};

struct desktop {
	const struct options *options;
	char path[CLIENT_PATH];
	sd_event *event;
	sd_bus *bus;
	struct presence presence;
	struct asking asking;
	struct telling telling;
	struct line watch;
	struct wait wait;
	uint64_t seen;
	bool fresh; /* the agent was told what it has to know */
	bool brief; /* it ends with the login: see blind() */
	LIST_HEAD(, item) items;
};

static void reach(void *arg);
static void hold_on(struct item *);

/* ---- what the person is told */

static bool
first(const struct item *it, enum claim kind, uint64_t when)
{
	return claim(kind, &it->rep, when, CLAIM_DESKTOP);
}

static void
tell(struct item *it, enum urgency urgency, struct buf *title, struct buf *text)
{
	buf_u8(title, '\0');
	buf_u8(text, '\0');
	if (!title->bad && !text->bad)
		notify_show(it->desktop->bus, &it->notice, urgency,
		    (const char *)title->data, (const char *)text->data);
}

/*
 * The page is not opened where the words that go with it have no memory: "NOT
 * AWS" may be among them. False: that was so.
 */
static bool
offer(struct item *it)
{
	const struct login_rep *l = &it->rep;
	bool open = !(it->desktop->options->given & OPT_NO_BROWSER);
	const char *notice = shown(l->notice);
	AUTOBUF struct buf title = {0}, text = {0};
	char until[CLOCK_TIME];

	if (!url_is_sound(l->url) || (l->code.n && !code_is_sound(l->code))) {
		warn("the agent gave a sign-in URL or code that is not fit to "
		     "be shown");
		return true;
	}
	clock_time(until, l->until);
	text_add(&title, "AWS login: %s", shown(l->session));
	if (*notice)
		text_add(&text, "%s\n", notice);
	if (l->code.n)
		text_add(&text,
		    "Allow it in the browser only if the page shows this code: "
		    "%s\n",
		    shown(l->code));
	text_add(&text, "Valid until %s.%s", until,
	    open ? "" : " To see the address: awsenv login");
	if (!buf_reserve(&title, 1) || !buf_reserve(&text, 1) || text_lost)
		return false;
	if (!first(it, CLAIM_PAGE, l->until))
		return true;
	if (open)
		browser_start(l->url, l->browser);
	tell(it, find(notice, "NOT AWS") ? URGENCY_CRITICAL : URGENCY_NORMAL,
	    &title, &text);
	hold_on(it);
	return true;
}

/* Somebody else than expected is no error, but must not pass unseen. */
static void
done(struct item *it)
{
	const struct login_rep *l = &it->rep;
	const char *person = shown(l->person), *before = shown(l->before);
	const char *expected = shown(l->expected);
	bool wrong = *person && *expected && strcasecmp(person, expected) != 0;
	bool other =
	    !wrong && *person && *before && strcmp(person, before) != 0;
	AUTOBUF struct buf title = {0}, text = {0};
	char until[CLOCK_TIME];

	clock_time(until, l->expires);
	text_add(&title, "Logged in to AWS: %s", shown(l->session));
	if (it->refreshable)
		text_add(&text, "Approved%s%s.", *person ? " by " : "", person);
	else
		text_add(&text, "Approved%s%s, until %s.",
		    *person ? " by " : "", person, until);
	if (wrong)
		text_add(
		    &text, "\nWARNING: awsenv_identity expects %s.", expected);
	if (other)
		text_add(&text, "\nWARNING: the last time it was %s.", before);
	tell(it, wrong || other ? URGENCY_CRITICAL : URGENCY_NORMAL, &title,
	    &text);
}

static void
failed(struct item *it)
{
	AUTOBUF struct buf title = {0}, text = {0};

	text_add(&title, "No AWS login: %s", shown(it->rep.session));
	text_add(
	    &text, "%s\nTo begin another: awsenv login", shown(it->rep.text));
	tell(it, URGENCY_NORMAL, &title, &text);
}

static void
ending(struct item *it)
{
	AUTOBUF struct buf title = {0}, text = {0};
	char until[CLOCK_TIME];

	clock_time(until, it->rep.expires);
	text_add(&title, "The AWS login ends at %s: %s", until,
	    shown(it->rep.session));
	text_add(&text,
	    "Commands then need a new approval. To have it: awsenv login");
	tell(it, URGENCY_NORMAL, &title, &text);
}

/* ---- one login */

/* What can be done for it now that it changed, or the person came. False: there
 * is no memory for it. */
static bool
serve(struct item *it)
{
	const struct login_rep *l = &it->rep;

	shown_forget();
	if (!presence_here(&it->desktop->presence))
		return true;
	if (l->state == LOGIN_PENDING && l->until != it->offered &&
	    l->until > now()) {
		if (!offer(it))
			return false;
		it->offered = l->until;
	}
	if (it->due && l->state == LOGIN_DONE && l->expires > now() &&
	    first(it, CLAIM_END, l->expires))
		ending(it);
	it->due = false;
	return true;
}

static int
on_warning(sd_event_source *s, uint64_t usec, void *arg)
{
	struct item *it = arg;

	(void)s;
	(void)usec;
	it->due = true;
	serve(it);
	return 0;
}

/* A token that no other follows: AWS says so by refusing to refresh it, or
 * gave none that could be. */
static void
warning_set(struct item *it)
{
	const struct login_rep *l = &it->rep;
	bool last = l->state == LOGIN_DONE && !it->refreshable;
	uint64_t left = l->expires > now() ? l->expires - now() : 0;
	uint64_t ahead = left / 2 < AHEAD ? left / 2 : AHEAD;

	if (last && it->ending == l->expires)
		return;
	it->ending = last ? l->expires : 0;
	it->due = false;
	it->warning = sd_event_source_unref(it->warning);
	if (last && left)
		sd_event_add_time(it->desktop->event, &it->warning,
		    CLOCK_REALTIME, (l->expires - ahead) * 1000000, 0,
		    on_warning, it);
}

static void
on_waiting(void *arg, const void *rep)
{
	(void)rep; /* the other connection tells what changed */
	hold_on(arg);
}

/* While a request waits for this login, the agent asks AWS every few seconds
 * and not every half minute. */
static void
hold_on(struct item *it)
{
	struct wait_req req = {
	    .ticket = it->rep.ticket,
	    .seen = LOGIN_PENDING,
	    .seconds = APPROVAL,
	};

	if (it->rep.state == LOGIN_PENDING && it->rep.until > now())
		line_ask(
		    &it->waiting, it->desktop->event, it->desktop->path, &req);
	else
		line_close(&it->waiting);
}

static struct item *
item_get(struct desktop *d, uint64_t ticket)
{
	struct item *it;

	LIST_FOREACH(it, &d->items, entry)
	{
		if (it->rep.ticket == ticket)
			return it;
	}
	if (!(it = calloc(1, sizeof(*it))))
		return NULL;
	it->desktop = d;
	it->waiting = (struct line){
	    .name = "wait@awsenv",
	    .kind = MSG_WAIT_REQ,
	    .reply = MSG_LOGIN_REP,
	    .fd = -1,
	    .heard = on_waiting,
	    .arg = it,
	};
	LIST_INSERT_HEAD(&d->items, it, entry);
	return it;
}

static void
item_free(struct item *it)
{
	sd_event_source_unref(it->warning);
	line_close(&it->waiting);
	buf_free(&it->waiting.frame);
	buf_free(&it->kept);
	free(it);
}

/* False: there is no memory for it, so that the agent has to tell it again. */
static bool
login_changed(struct desktop *d, const struct watch_rep *rep)
{
	struct buf kept = {0};
	struct login_rep l;
	struct item *it;
	uint8_t before;

	if (!msg_decode(MSG_LOGIN_REP, rep->login, &l))
		return true;
	buf_put(&kept, rep->login.p, rep->login.n);
	if (kept.bad || !(it = item_get(d, l.ticket))) {
		buf_free(&kept);
		return false;
	}
	before = it->rep.state;
	buf_free(&it->kept);
	it->kept = kept;
	msg_decode(MSG_LOGIN_REP, view_of(&it->kept), &it->rep);
	it->refreshable = rep->refreshable;
	if (it->offered && before != l.state && presence_here(&d->presence)) {
		if (l.state == LOGIN_DONE && first(it, CLAIM_DONE, l.expires))
			done(it);
		if (l.state == LOGIN_FAILED && first(it, CLAIM_DONE, l.until))
			failed(it);
	}
	if (l.state == LOGIN_DONE || l.state == LOGIN_FAILED)
		it->offered = 0;
	warning_set(it);
	return serve(it);
}

/* ---- the agent */

static bool
under_way(const struct desktop *d)
{
	struct item *it;

	LIST_FOREACH(it, &d->items, entry)
	{
		if (it->rep.state == LOGIN_STARTING ||
		    it->rep.state == LOGIN_PENDING)
			return true;
	}
	return false;
}

/* Without session bus and logind nothing would tell us when to end. */
static bool
blind(const struct desktop *d)
{
	return d->presence.known && !d->bus && !d->presence.leader;
}

/* There is no agent, or a new broker, which counts anew. */
static void
later(struct desktop *d)
{
	d->seen = 0;
	d->fresh = false;
	wait_begin(&d->wait, d->path);
	if (!wait_again(&d->wait) && blind(d))
		sd_event_exit(d->event, EXIT_GOOD);
}

static void
on_watch(void *arg, const void *rep)
{
	const struct watch_rep *w = rep;
	struct desktop *d = arg;

	if (!w || w->error != AW_OK || (w->login.n && !login_changed(d, w))) {
		line_close(&d->watch);
		later(d);
		return;
	}
	wait_end(&d->wait);
	d->wait.tries = 0;
	d->seen = w->change;
	if (!w->login.n && blind(d) && !under_way(d))
		sd_event_exit(d->event, EXIT_GOOD);
	else
		reach(d);
}

/* Ask for the next change; where no agent is, wait until one may be. */
static void
reach(void *arg)
{
	struct desktop *d = arg;
	struct watch_req req = {.seen = d->seen, .seconds = HELD};
	bool asked = d->watch.fd >= 0 && d->wait.folder;

	if (asked)
		return;
	if (blind(d) && !under_way(d))
		req.seconds = FIRST_LOGIN;
	if (line_ask(&d->watch, d->event, d->path, &req) == AW_OK) {
		if (!d->fresh)
			telling_anew(&d->telling);
		d->fresh = true;
		asking_reach(&d->asking, presence_here(&d->presence));
		return;
	}
	later(d);
}

static void
on_presence(void *arg)
{
	struct desktop *d = arg;
	struct item *it;
	bool all = true;

	LIST_FOREACH(it, &d->items, entry)
	{
		all = serve(it) && all;
	}
	if (!all) {
		line_close(&d->watch);
		later(d);
	}
	asking_reach(&d->asking, presence_here(&d->presence));
	if (*d->presence.path && *d->presence.id)
		telling_set(&d->telling, d->presence.id,
		    d->presence.locked || d->presence.asleep);
	if (blind(d) && !d->brief) {
		d->brief = true;
		line_close(&d->watch);
		reach(d);
	}
}

static void
on_told(void *arg)
{
	struct desktop *d = arg;

	presence_ready(&d->presence);
}

/* ---- the verb */

static bool
bus_open(struct desktop *d)
{
	if (sd_bus_open_user(&d->bus) < 0 ||
	    sd_bus_attach_event(d->bus, d->event, SD_EVENT_PRIORITY_NORMAL) <
		0 ||
	    sd_bus_set_exit_on_disconnect(d->bus, true) < 0) {
		d->bus = sd_bus_unref(d->bus);
		return false;
	}
	return true;
}

static enum aw_err
socket_find(struct desktop *d)
{
	char dir[CLIENT_PATH];
	enum aw_err r;

	/* The folder is watched, so it has to be there before the agent is. */
	client_dir(dir, true);
	if ((r = agent_path(d->path)) == AW_CONFIG)
		warn(
		    "AWSENV_SOCK must be an absolute path of less than %d bytes",
		    CLIENT_PATH);
	else if (r != AW_OK)
		warn("no runtime directory of yours: neither XDG_RUNTIME_DIR "
		     "nor /run/user");
	return r;
}

int
desktop_run(const struct options *o)
{
	struct desktop d = {
	    .options = o,
	    .watch = {"watch@awsenv", MSG_WATCH_REQ, MSG_WATCH_REP, -1, NULL,
		{0}, on_watch, &d},
	    .wait = {.fn = reach, .arg = &d},
	    .presence = {.delay = -1, .fn = on_presence, .arg = &d},
	};
	struct item *it, *next;
	enum aw_err r;

	if (!setting("DISPLAY") && !setting("WAYLAND_DISPLAY")) {
		warn(
		    "login --desktop is for a desktop session: neither DISPLAY "
		    "nor WAYLAND_DISPLAY is set");
		return EXIT_OTHER;
	}
	if ((r = socket_find(&d)) != AW_OK)
		return exit_of(r);
	if (sd_event_new(&d.event) < 0) {
		warn("cannot wait for events: %s", errno_text());
		return EXIT_OTHER;
	}
	LIST_INIT(&d.items);
	d.wait.event = d.presence.event = d.event;
	if (!bus_open(&d))
		warn("no session bus, so no notifications");
	d.presence.session = d.bus;
	asking_open(&d.asking, d.event, d.bus, d.path);
	telling_open(&d.telling, d.event, d.path, on_told, &d);
	presence_open(&d.presence);
	reach(&d);
	/* Its status is of no use: buses that end say it by one. */
	sd_event_loop(d.event);
	presence_close(&d.presence);
	for (it = LIST_FIRST(&d.items); it; it = next) {
		next = LIST_NEXT(it, entry);
		item_free(it);
	}
	asking_close(&d.asking);
	telling_close(&d.telling);
	wait_end(&d.wait);
	line_close(&d.watch);
	buf_free(&d.watch.frame);
	d.bus = sd_bus_flush_close_unref(d.bus);
	sd_event_unref(d.event);
	return EXIT_GOOD;
}
