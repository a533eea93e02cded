/* SPDX-License-Identifier: ISC */
/*
 * login --desktop, grouped by file: one process for each desktop session, which
 * sleeps in sd-event until the agent, a bus or a clock has something to say.
 */
#ifndef AWSENV_DESKTOP_H
#define AWSENV_DESKTOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "awsenv/buf.h"
#include "awsenv/msg.h"

/* line.c: one connection to the agent, on which a request is held. */

struct line {
	const char *name; /* of the request */
	enum msg_kind kind, reply;
	int fd; /* -1: none */
	sd_event_source *source;
	struct buf frame; /* what views of a reply point into */
	/* `rep` as `reply` says, or NULL: the agent hung up */
	void (*heard)(void *arg, const void *rep);
	void *arg;
};

/* Connect if need be, and ask. */
enum aw_err line_ask(struct line *, sd_event *, const char *path, const void *);
void line_close(struct line *);

/* socket.c: until an agent listens. */

struct wait {
	sd_event *event;
	sd_event_source *folder;
	sd_event_source *retry;
	unsigned int tries;
	void (*fn)(void *arg);
	void *arg;
};

/* Call fn when something happened where that socket would be. */
void wait_begin(struct wait *, const char *path);
/* Call fn in a moment: it is there, but does not answer. False: often enough. */
bool wait_again(struct wait *);
void wait_end(struct wait *);

/* presence.c: is the person at this desktop, and how long is there one. */

struct presence {
	sd_event *event;
	sd_bus *system;	 /* NULL: none, so no logind */
	sd_bus *session; /* NULL: none; not ours */
	sd_event_source *leader;
	char path[128]; /* of the session at logind; "": not known */
	char id[64];	/* ... and what it is called there */
	int delay;	/* holds up a suspend until the agent knows; or -1 */
	unsigned int asked; /* screensavers that did not answer yet */
	bool known;	    /* what logind tells, or nobody is there to tell */
	bool locked;	    /* LockedHint */
	bool asleep;	    /* suspended, or about to be ... */
	bool waking;	    /* ... until it is known whether that locked */
	bool elsewhere;	    /* another session has the screen */
	bool blank;	    /* the screensaver is on */
	void (*fn)(void *arg);
	void *arg;
};

/* fn is called when presence_here() may have changed. */
void presence_open(struct presence *);
void presence_close(struct presence *);
bool presence_here(const struct presence *);
/* Whoever was to know of the suspend does. */
void presence_ready(struct presence *);

/* notify.c: org.freedesktop.Notifications. */

enum urgency { URGENCY_LOW, URGENCY_NORMAL, URGENCY_CRITICAL };

struct notice {
	uint32_t id; /* of the last one, which the next takes the place of */
	bool unwanted;
};

/* What is not ours in them has passed shown(). */
void notify_show(sd_bus *, struct notice *, enum urgency, const char *title,
    const char *text);
/* With buttons: name and text of each, up to NULL. */
void notify_ask(sd_bus *, struct notice *, enum urgency, const char *title,
    const char *text, const char *const *actions);
/* Take it away again; the struct stays until its number is known. */
void notify_close(sd_bus *, struct notice *);

/* What the desktop's notifications can do, and the buttons pressed in them. */
struct notify {
	sd_bus *bus;
	bool there;
	bool buttons;
	void (*changed)(void *arg);
	void (*pressed)(void *arg, uint32_t id, const char *action);
	void *arg;
};

void notify_open(struct notify *);

/* telling.c: the agent hears of the screen. */

struct telling {
	sd_event *event;
	const char *path; /* of the agent's socket */
	struct line line;
	const char *session; /* at logind */
	unsigned int tries;
	bool known;  /* how it is with the screen: */
	bool locked; /* ... so, */
	bool said;   /* ... and so the agent heard it last, */
	bool told;   /* ... and took it */
	bool asked;  /* it has yet to answer */
	void (*settled)(void *arg);
	void *arg;
};

/* settled is called when the agent knows, or cannot be told just now. */
void telling_open(struct telling *, sd_event *, const char *path,
    void (*settled)(void *arg), void *arg);
void telling_set(struct telling *, const char *session, bool locked);
/* An agent may be there that was told nothing yet. */
void telling_anew(struct telling *);
void telling_close(struct telling *);

/* asking.c: the agent's questions, as notifications with buttons. */

struct asked;

struct asking {
	sd_event *event;
	const char *path; /* of the agent's socket */
	struct notify notify;
	struct line line;
	sd_event_source *retry;
	uint64_t seen;
	bool open; /* notify is */
	bool held; /* the request */
	bool here; /* the person */
	LIST_HEAD(, asked) shown;
};

void asking_open(struct asking *, sd_event *, sd_bus *, const char *path);
/* An agent may be there; is the person? */
void asking_reach(struct asking *, bool here);
void asking_close(struct asking *);

#endif
