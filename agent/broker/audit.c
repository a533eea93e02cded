/* SPDX-License-Identifier: ISC */
/*
 * Who was given credentials and who was refused something, noted once the
 * reply is on its way. The broker only writes to memory: the spawner reads it,
 * looks up the peer's program and tells the journal. It is told that there is
 * something at once, but no more often than it is of use.
 */
#include "broker.h"

#include <string.h>

#include "awsenv/audit.h"
#include "awsenv/log.h"
#include "awsenv/own.h"

#define PAUSE_MS 20
#define MANY 256 /* of AUDIT_LINES: then it is told before the pause is over */
#define PAGE (64 * 1024)

static struct audit *lines; /* NULL: none are kept */
static unsigned int untold;
static int64_t told;
static struct timer rest, wake;
static struct holds watchers;

void
audit_open(int fd)
{
	if (!(lines = audit_map(fd)))
		fatalx("awsenv-agent does not speak our language");
}

static void
tell(void *arg)
{
	const struct link l = {.type = LINK_AUDIT};

	(void)arg;
	told = loop_now();
	untold = 0;
	loop_cancel(&rest);
	if (!spawner_send(&l))
		loop_after(&rest, PAUSE_MS, tell, NULL);
}

/* What the broker before this one noted last, the spawner may not know of. */
void
audit_start(void)
{
	if (lines && audit_written(lines) != audit_next(lines))
		tell(NULL);
}

static void
wake_watchers(void *arg)
{
	(void)arg;
	hold_wake(&watchers, AW_OK, NULL);
}

static void
add(const struct audit_line *line)
{
	audit_add(lines, line);
	/* Not here: who asked is in the middle of his request. */
	if (!LIST_EMPTY(&watchers) && !wake.armed)
		loop_after(&wake, 0, wake_watchers, NULL);
	if (++untold == MANY || (!rest.armed && loop_now() - told >= PAUSE_MS))
		tell(NULL);
	else if (!rest.armed)
		loop_after(&rest, PAUSE_MS, tell, NULL);
}

static void
put_hops(char *out, size_t size, const struct binds *b)
{
	AUTOBUF struct buf all = {0};
	struct view list = view_of(&b->claims), hop;

	if (b->n && !b->counts)
		buf_put(&all, b->first, strlen(b->first));
	while (view_entry(&list, &hop)) {
		if (all.len)
			buf_u8(&all, ' ');
		buf_put(&all, hop.p, hop.n);
	}
	audit_text(out, size, view_of(&all));
}

void
audit_note(const struct conn *c, const char *request, enum aw_err e,
    const struct audit_what *w)
{
	const struct binds *b = &c->binds;
	struct audit_line l = {0}; /* what is behind a text is read, too */

	if (!lines)
		return;
	l.time = loop_time();
	l.error = e;
	l.pid = c->pid;
	AUDIT_TEXT(l.request, view_str(request));
	AUDIT_TEXT(l.origin,
	    view_str(c->permit ? c->permit->name : origin_name(c->origin)));
	AUDIT_TEXT(l.profile, w->profile);
	AUDIT_TEXT(l.account, w->account);
	AUDIT_TEXT(l.role, w->role);
	AUDIT_TEXT(l.key, w->access_key);
	/* Where the first is not the word of the user's own ssh, all of them
	 * are claims. */
	AUDIT_TEXT(l.host, view_str(b->counts ? b->first : NULL));
	put_hops(l.hops, sizeof(l.hops), b);
	l.program[0] = '\0';
	add(&l);
}

static void
append(struct buf *items, const struct audit_line *l)
{
	const struct log_item item = {
	    .number = l->number,
	    .time = l->time,
	    .error = l->error,
	    .pid = (uint32_t)l->pid,
	    .request = view_str(l->request),
	    .origin = view_str(l->origin),
	    .profile = view_str(l->profile),
	    .account = view_str(l->account),
	    .role = view_str(l->role),
	    .access_key = view_str(l->key),
	    .host = view_str(l->host),
	    .hops = view_str(l->hops),
	    .program = view_str(l->program),
	};

	msg_append(MSG_LOG_ITEM, &item, items);
}

void
audit_tell(uint64_t from, struct log_rep *rep, struct buf *items)
{
	struct audit_line l;
	uint64_t n = from;

	if (!lines)
		return;
	/* Of a line that is gone the next one is told, not of one to come. */
	if (n < audit_first(lines) || n > audit_next(lines))
		n = audit_first(lines);
	for (; n < audit_next(lines) && items->len < PAGE; n++) {
		if (audit_get(lines, n, &l))
			append(items, &l);
	}
	rep->next = n;
	rep->items = view_of(items);
}

struct holds *
audit_watchers(void)
{
	return &watchers;
}
