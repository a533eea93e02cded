/* SPDX-License-Identifier: ISC */
/*
 * Is the person at this desktop, and is there still one? logind says whether
 * the session is locked, or another one has the screen; the session bus, where
 * the desktop keeps that to itself, whether the screensaver is on. Both say it
 * by signals. Where nobody can say, the person is taken to be there.
 *
 * LockedHint is believed and the signals Lock and Unlock are not: those are
 * wishes of others, and whoever unlocks by his password sends none. A suspend
 * is held up for the moment in which the agent hears of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/desktop.h"

#define LOGIND "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define SESSION LOGIND ".Session"
#define ANSWER_USEC 10000000

static const char *const savers[][2] = {
    {"org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"},
    {"org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"},
};

bool
presence_here(const struct presence *p)
{
	return p->known && !p->asked && !p->locked && !p->elsewhere &&
	    !p->blank;
}

static void
changed(struct presence *p)
{
	p->fn(p->arg);
}

/* Nobody can tell more than is known by now. */
static void
settle(struct presence *p)
{
	p->known = true;
	changed(p);
}

/* ---- logind */

static int
on_leader(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	return sd_event_exit(sd_event_source_get_event(s), EXIT_GOOD);
}

/*
 * Who opened the session ends with it. The session itself does not: logind
 * keeps it while a process of it is left, and that could be this one.
 */
static void
leader_watch(struct presence *p, uint32_t pid)
{
	int fd;

	if (p->leader || pid == 0)
		return;
	if ((fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0)) < 0) {
		if (errno == ESRCH)
			sd_event_exit(p->event, EXIT_GOOD);
		return;
	}
	if (sd_event_add_io(p->event, &p->leader, fd, EPOLLIN, on_leader, p) <
	    0)
		close(fd);
	else
		sd_event_source_set_io_fd_own(p->leader, true);
}

static int
property_read(struct presence *p, sd_bus_message *m)
{
	const char *name, *id;
	uint32_t pid;
	int r, on;

	if ((r = sd_bus_message_read(m, "s", &name)) < 0)
		return r;
	if (!strcmp(name, "Leader")) {
		if ((r = sd_bus_message_read(m, "v", "u", &pid)) >= 0)
			leader_watch(p, pid);
	} else if (!strcmp(name, "Id")) {
		if ((r = sd_bus_message_read(m, "v", "s", &id)) >= 0 && !*p->id)
			format(p->id, sizeof(p->id), "%s", id);
	} else if (!strcmp(name, "LockedHint")) {
		if ((r = sd_bus_message_read(m, "v", "b", &on)) >= 0)
			p->locked = on;
	} else if (!strcmp(name, "Active")) {
		if ((r = sd_bus_message_read(m, "v", "b", &on)) >= 0)
			p->elsewhere = !on;
	} else {
		r = sd_bus_message_skip(m, "v");
	}
	return r;
}

static int
on_properties(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct presence *p = arg;

	(void)e;
	if (!sd_bus_message_is_method_error(m, NULL) &&
	    sd_bus_message_enter_container(m, 'a', "{sv}") >= 0) {
		while (sd_bus_message_enter_container(m, 'e', "sv") > 0 &&
		    property_read(p, m) >= 0 &&
		    sd_bus_message_exit_container(m) >= 0)
			;
	}
	if (p->waking)
		p->asleep = p->waking = false;
	settle(p);
	return 0;
}

static void
properties_ask(struct presence *p)
{
	if (sd_bus_call_method_async(p->system, NULL, LOGIND, p->path,
		"org.freedesktop.DBus.Properties", "GetAll", on_properties, p,
		"s", SESSION) < 0)
		settle(p);
}

static int
on_change(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	(void)m;
	(void)e;
	properties_ask(arg);
	return 0;
}

static int
on_delay(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct presence *p = arg;
	int fd;

	(void)e;
	if (p->delay < 0 && !sd_bus_message_is_method_error(m, NULL) &&
	    sd_bus_message_read(m, "h", &fd) >= 0)
		p->delay = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return 0;
}

/* Without it a request may be answered before we run again. */
static void
delay_ask(struct presence *p)
{
	sd_bus_call_method_async(p->system, NULL, LOGIND, LOGIND_PATH,
	    LOGIND ".Manager", "Inhibit", on_delay, p, "ssss", "sleep",
	    "awsenv", "Tell the agent of AWS logins", "delay");
}

void
presence_ready(struct presence *p)
{
	if (p->asleep && p->delay >= 0) {
		close(p->delay);
		p->delay = -1;
	}
}

static int
on_sleep(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct presence *p = arg;
	int begins;

	(void)e;
	if (sd_bus_message_read(m, "b", &begins) < 0)
		return 0;
	if (begins) {
		p->asleep = true;
		p->waking = false;
		changed(p);
	} else {
		p->waking = true;
		delay_ask(p);
		properties_ask(p);
	}
	return 0;
}

static int
on_session(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct presence *p = arg;
	const char *path;

	(void)e;
	if (sd_bus_message_is_method_error(m, NULL) ||
	    sd_bus_message_read(m, "o", &path) < 0 ||
	    !format(p->path, sizeof(p->path), "%s", path)) {
		settle(p); /* in no session: a desktop of another kind */
		return 0;
	}
	sd_bus_match_signal_async(p->system, NULL, LOGIND, p->path,
	    "org.freedesktop.DBus.Properties", "PropertiesChanged", on_change,
	    NULL, p);
	sd_bus_match_signal_async(p->system, NULL, LOGIND, LOGIND_PATH,
	    LOGIND ".Manager", "PrepareForSleep", on_sleep, NULL, p);
	delay_ask(p);
	properties_ask(p);
	return 0;
}

static int
on_display(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct presence *p = arg;
	const char *id = NULL;

	(void)e;
	if (sd_bus_message_is_method_error(m, NULL) ||
	    sd_bus_message_read(m, "v", "s", &id) < 0 ||
	    sd_bus_call_method_async(p->system, NULL, LOGIND, LOGIND_PATH,
		LOGIND ".Manager", "GetSession", on_session, p, "s", id) < 0)
		settle(p);
	return 0;
}

/* Desktops that start programs below systemd --user take the variable away;
 * "auto" then is the user's session with a display. */
static void
session_find(struct presence *p)
{
	const char *id = getenv("XDG_SESSION_ID");
	int r;

	if (id && *id)
		r = sd_bus_call_method_async(p->system, NULL, LOGIND,
		    LOGIND_PATH, LOGIND ".Manager", "GetSession", on_session, p,
		    "s", id);
	else
		r = sd_bus_call_method_async(p->system, NULL, LOGIND,
		    LOGIND_PATH "/session/auto",
		    "org.freedesktop.DBus.Properties", "Get", on_display, p,
		    "ss", SESSION, "Id");
	if (r < 0)
		settle(p);
}

static int
on_system_gone(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct presence *p = arg;

	(void)m;
	(void)e;
	*p->path = '\0';
	p->locked = p->elsewhere = false;
	settle(p);
	return 0;
}

/* ---- the screensaver */

static int
on_saver(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct presence *p = arg;
	int on;

	(void)e;
	if (!sd_bus_message_is_method_error(m, NULL) &&
	    sd_bus_message_read(m, "b", &on) >= 0) {
		p->blank = on;
		changed(p);
	}
	return 0;
}

/* Until then a screen may be covered: logind, asked too, may answer first. */
static int
on_saver_answer(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct presence *p = arg;

	p->asked--;
	on_saver(m, p, e);
	changed(p);
	return 0;
}

static void
saver_ask(struct presence *p, const char *name, const char *path)
{
	sd_bus_message *m = NULL;

	sd_bus_match_signal_async(p->session, NULL, NULL, NULL, name,
	    "ActiveChanged", on_saver, NULL, p);
	if (sd_bus_message_new_method_call(
		p->session, &m, name, path, name, "GetActive") >= 0 &&
	    sd_bus_message_set_auto_start(m, false) >= 0 &&
	    sd_bus_call_async(
		p->session, NULL, m, on_saver_answer, p, ANSWER_USEC) >= 0)
		p->asked++;
	sd_bus_message_unref(m);
}

void
presence_open(struct presence *p)
{
	size_t i;

	for (i = 0; p->session && i < sizeof(savers) / sizeof(savers[0]); i++)
		saver_ask(p, savers[i][0], savers[i][1]);
	if (sd_bus_open_system(&p->system) < 0 ||
	    sd_bus_attach_event(p->system, p->event, SD_EVENT_PRIORITY_NORMAL) <
		0) {
		p->system = sd_bus_unref(p->system);
		settle(p);
		return;
	}
	sd_bus_set_method_call_timeout(p->system, ANSWER_USEC);
	sd_bus_match_signal_async(p->system, NULL, "org.freedesktop.DBus.Local",
	    "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
	    "Disconnected", on_system_gone, NULL, p);
	session_find(p);
}

void
presence_close(struct presence *p)
{
	sd_event_source_unref(p->leader);
	p->system = sd_bus_flush_close_unref(p->system);
	if (p->delay >= 0)
		close(p->delay);
}
