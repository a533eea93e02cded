/* SPDX-License-Identifier: ISC */
/*
 * org.freedesktop.Notifications. A title is shown as it is, a text may be read
 * as markup, and both may have names from AWS and config files in them.
 */
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/desktop.h"

#define NAME "org.freedesktop.Notifications"
#define PATH "/org/freedesktop/Notifications"

static int
on_shown(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct notice *n = arg;
	static bool told;

	(void)e;
	if (!sd_bus_message_is_method_error(m, NULL)) {
		sd_bus_message_read(m, "u", &n->id);
		if (n->unwanted)
			notify_close(sd_bus_message_get_bus(m), n);
	} else if (!told) {
		told = true;
		warn("no notification is shown: %s",
		    shown_str(sd_bus_message_get_error(m)->message));
	}
	return 0;
}

/* Nothing in it that a server would take for markup. */
static void
text_escape(const char *text, struct buf *out)
{
	const char *p;

	for (p = text; *p; p++) {
		if (*p == '&')
			text_add(out, "&amp;");
		else if (*p == '<')
			text_add(out, "&lt;");
		else if (*p == '>')
			text_add(out, "&gt;");
		else
			buf_put(out, p, 1);
	}
	buf_u8(out, '\0');
}

void
notify_show(sd_bus *bus, struct notice *n, enum urgency urgency,
    const char *title, const char *text)
{
	static const char *const none[] = {NULL};

	notify_ask(bus, n, urgency, title, text, none);
}

static int
call_notify(sd_bus_message *m, const struct notice *n, enum urgency urgency,
    const char *title, const char *body, const char *const *actions)
{
	int r = sd_bus_message_append(
	    m, "susss", "awsenv", n->id, "dialog-password", title, body);

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "s");
	for (; r >= 0 && *actions; actions++)
		r = sd_bus_message_append(m, "s", *actions);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "a{sv}i", 2, "urgency", "y",
		    (uint8_t)urgency, "desktop-entry", "s", "awsenv", -1);
	return r;
}

void
notify_ask(sd_bus *bus, struct notice *n, enum urgency urgency,
    const char *title, const char *text, const char *const *actions)
{
	AUTOBUF struct buf body = {0};
	sd_bus_message *m = NULL;
	int r;

	text_escape(text, &body);
	if (!bus || body.bad)
		return;
	r = sd_bus_message_new_method_call(bus, &m, NAME, PATH, NAME, "Notify");
	if (r >= 0)
		r = call_notify(
		    m, n, urgency, title, (const char *)body.data, actions);
	if (r >= 0)
		r = sd_bus_call_async(bus, NULL, m, on_shown, n, 0);
	sd_bus_message_unref(m);
	if (r < 0)
		warn("no notification is shown: %s", strerror(-r));
}

static int
on_closed(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	(void)m;
	(void)arg;
	(void)e;
	return 0;
}

/* Before the answer there is no number to say. */
void
notify_close(sd_bus *bus, struct notice *n)
{
	n->unwanted = true;
	if (n->id)
		sd_bus_call_method_async(bus, NULL, NAME, PATH, NAME,
		    "CloseNotification", on_closed, NULL, "u", n->id);
}

static int
on_press(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct notify *y = arg;
	const char *action;
	uint32_t id;

	(void)e;
	if (sd_bus_message_read(m, "us", &id, &action) >= 0)
		y->pressed(y->arg, id, action);
	return 0;
}

static int
on_capabilities(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct notify *y = arg;
	const char *what;

	(void)e;
	y->there = !sd_bus_message_is_method_error(m, NULL);
	y->buttons = false;
	if (y->there && sd_bus_message_enter_container(m, 'a', "s") >= 0) {
		while (sd_bus_message_read(m, "s", &what) > 0)
			y->buttons |= !strcmp(what, "actions");
	}
	y->changed(y->arg);
	return 0;
}

static void
capabilities_ask(struct notify *y)
{
	sd_bus_call_method_async(y->bus, NULL, NAME, PATH, NAME,
	    "GetCapabilities", on_capabilities, y, "");
}

/* A daemon came, went, or was replaced by another kind. */
static int
on_owner(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct notify *y = arg;
	const char *name, *before, *after;

	(void)e;
	if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0)
		return 0;
	if (*after) {
		capabilities_ask(y);
	} else {
		y->there = false;
		y->changed(y->arg);
	}
	return 0;
}

void
notify_open(struct notify *y)
{
	if (!y->bus)
		return;
	/* From that daemon alone: others may send what they like. */
	sd_bus_match_signal_async(
	    y->bus, NULL, NAME, PATH, NAME, "ActionInvoked", on_press, NULL, y);
	sd_bus_add_match_async(y->bus, NULL,
	    "type='signal',sender='org.freedesktop.DBus',"
	    "member='NameOwnerChanged',arg0='" NAME "'",
	    on_owner, NULL, y);
	capabilities_ask(y);
}
