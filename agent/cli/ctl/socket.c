/* SPDX-License-Identifier: ISC */
/*
 * No agent listens: the kernel tells when something changes where its socket
 * would be, so that a desktop costs nothing while there is none.
 */
#include <string.h>
#include <sys/inotify.h>

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/desktop.h"

#define AGAIN_USEC 100000ull
#define TRIES 9 /* each waits twice as long, 50 s in all */

void
wait_end(struct wait *w)
{
	w->folder = sd_event_source_unref(w->folder);
	w->retry = sd_event_source_unref(w->retry);
}

static int
on_folder(sd_event_source *s, const struct inotify_event *e, void *arg)
{
	struct wait *w = arg;

	(void)s;
	(void)e;
	w->tries = 0;
	w->fn(w->arg);
	return 0;
}

static int
on_retry(sd_event_source *s, uint64_t usec, void *arg)
{
	struct wait *w = arg;

	(void)s;
	(void)usec;
	w->fn(w->arg);
	return 0;
}

void
wait_begin(struct wait *w, const char *path)
{
	char folder[CLIENT_PATH];

	if (w->folder ||
	    !format(folder, sizeof(folder), "%.*s",
		(int)(strrchr(path, '/') - path), path))
		return;
	if (sd_event_add_inotify(w->event, &w->folder, folder,
		IN_CREATE | IN_MOVED_TO | IN_ONLYDIR, on_folder, w) < 0)
		warn("cannot watch %s: what the agent begins is not seen",
		    shown_str(folder));
}

/* A socket is there a moment before anybody listens. */
bool
wait_again(struct wait *w)
{
	w->retry = sd_event_source_unref(w->retry);
	return w->tries < TRIES &&
	    sd_event_add_time_relative(w->event, &w->retry, CLOCK_MONOTONIC,
		AGAIN_USEC << w->tries++, 0, on_retry, w) >= 0;
}
