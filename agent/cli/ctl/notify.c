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
	AUTOBUF struct buf body = {0};
	int r;

	text_escape(text, &body);
	if (!bus || body.bad)
		return;
	r = sd_bus_call_method_async(bus, NULL, NAME, PATH, NAME, "Notify",
	    on_shown, n, "susssasa{sv}i", "awsenv", n->id, "dialog-password",
	    title, (const char *)body.data, 0, 2, "urgency", "y",
	    (uint8_t)urgency, "desktop-entry", "s", "awsenv", -1);
	if (r < 0)
		warn("no notification is shown: %s", strerror(-r));
}
