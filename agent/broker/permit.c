/* SPDX-License-Identifier: ISC */
/*
 * Further sockets, each for one purpose: these profiles, perhaps these hosts
 * only, until then. What is permitted stands in the keyring and the supervisor
 * keeps the socket, so that a new broker finds both; one without the other is
 * ended. Whoever comes through such a socket counts as remote, also here.
 */
#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define PERMITS_MAX 16 /* the supervisor has room for as many */
#define OPEN_MS 5000
#define KEEP_MS 30000 /* for whoever keeps one to find the next broker */
#define NAMES_MAX 16

static LIST_HEAD(, permit) permits = LIST_HEAD_INITIALIZER(permits);
static unsigned int npermits;

static void
name_of(uint32_t id, char name[static PERMIT_NAME])
{
	snprintf(name, PERMIT_NAME, "forward-%08x", id);
}

static struct permit *
find(const char *name)
{
	struct permit *p;

	LIST_FOREACH(p, &permits, entry)
	{
		if (strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

static struct permit *
make(const char *name)
{
	struct permit *p;

	if (!(p = calloc(1, sizeof(*p))))
		fatal("permit");
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->fd = -1;
	LIST_INSERT_HEAD(&permits, p, entry);
	npermits++;
	return p;
}

static void
tell_supervisor(enum link_type type, const char *name)
{
	struct link l = {.type = type};

	snprintf(l.text, sizeof(l.text), "%s", name);
	job_report(&l);
}

static void
end(struct permit *p, const char *why)
{
	log_info("%s: %s", p->name, why);
	store_drop(KEY_PERMIT, view_str(p->name));
	tell_supervisor(LINK_CLOSE, p->name);
	if (p->fd >= 0)
		conn_unlisten(p);
	loop_cancel(&p->timer);
	loop_cancel(&p->unkept);
	LIST_REMOVE(p, entry);
	npermits--;
	hold_wake(&p->holds, AW_GONE, "the socket was ended meanwhile");
	buf_free(&p->facts);
	free(p);
}

static void
over(void *arg)
{
	end(arg, "its time is over");
}

static void
abandoned(void *arg)
{
	end(arg, "nobody came back for it");
}

static void
keep(struct permit *p, const struct conn *c)
{
	if (!p->item.bound)
		return;
	p->keeper = c;
	loop_cancel(&p->unkept);
}

void
permit_gone(const struct conn *c)
{
	struct permit *p, *next;

	for (p = LIST_FIRST(&permits); p; p = next) {
		next = LIST_NEXT(p, entry);
		if (p->keeper == c)
			end(p, "its command is over");
	}
}

/* Views into p->facts. */
static bool
understood(struct permit *p)
{
	uint64_t now = loop_time();

	if (!msg_decode(MSG_FORWARD_ITEM, view_of(&p->facts), &p->item) ||
	    (p->item.until && p->item.until <= now))
		return false;
	if (p->item.until)
		loop_after(
		    &p->timer, (int64_t)(p->item.until - now) * 1000, over, p);
	if (p->item.bound && !p->keeper)
		loop_after(&p->unkept, KEEP_MS, abandoned, p);
	return true;
}

/* ---- after a broker that was */

void
permit_listen(const char *name, int fd, int error)
{
	struct permit *p = find(name);
	AUTOBUF struct buf key = {0};
	struct sockaddr_un addr = {0};
	socklen_t n = sizeof(addr) - 1;
	struct record rec;

	if (fd < 0) {
		log_warn("%s: cannot listen: %s", name, strerror(error));
		if (p)
			end(p, "has no socket");
		return;
	}
	if (!p) {
		p = make(name);
		if (record_get(KEY_PERMIT, view_str(name), &key, &rec))
			buf_put(&p->facts, rec.facts.p, rec.facts.n);
		if (p->facts.bad)
			fatalx("no memory for what a socket is for");
	}
	if (p->fd >= 0) {
		close(fd);
		return;
	}
	p->fd = fd;
	getsockname(fd, (struct sockaddr *)&addr, &n);
	snprintf(p->path, sizeof(p->path), "%s", addr.sun_path);
	if (!understood(p)) {
		close(fd);
		p->fd = -1;
		end(p, "what it permitted is over");
		return;
	}
	conn_listen(fd, AT_PERMIT, p);
	hold_wake(&p->holds, AW_OK, NULL);
}

static void
add_orphan(const struct store_entry *e, void *arg)
{
	struct buf *names = arg;
	AUTOFREE char *name = text_dup(e->record.id);

	if (!find(name))
		buf_string(names, e->record.id);
}

/* What is permitted by a socket that never came to be, is not. */
void
permit_start(void)
{
	AUTOBUF struct buf names = {0};
	struct view rest, name;

	record_each(1u << KEY_PERMIT, add_orphan, &names);
	if (names.bad)
		fatalx("no memory for sockets that never came to be");
	for (rest = view_of(&names); view_string(&rest, &name);)
		store_drop(KEY_PERMIT, name);
}

/* ---- what a connection may */

bool
permit_covers(const struct permit *p, struct view profile)
{
	return profile.n && view_has(p->item.profiles, profile);
}

bool
permit_host(const struct permit *p, const char *host)
{
	return !p->item.hosts.n ||
	    (host && view_has(p->item.hosts, view_str(host)));
}

/* ---- forward@awsenv */

static void
append(const struct permit *p, struct buf *items)
{
	struct forward_item item = p->item;

	item.name = view_str(p->name);
	item.path = view_str(p->path);
	msg_append(MSG_FORWARD_ITEM, &item, items);
}

/* 1 to 16 entries, and nothing that could not be shown. */
static bool
is_list(struct view list, bool empty)
{
	struct view entry;
	unsigned int n = 0;
	uint32_t i;

	for (; list.n && view_entry(&list, &entry); n++) {
		if (!entry.n || entry.n > 255)
			return false;
		for (i = 0; i < entry.n; i++) {
			if (entry.p[i] < ' ' || entry.p[i] == 0x7f)
				return false;
		}
	}
	return !list.n && n <= NAMES_MAX && (n > 0 || empty);
}

/* Told now, to who is here, and not to a far side later. */
static enum aw_err
profiles_usable(struct round *r)
{
	struct view list = r->msg->forward.profiles, name;
	struct profile p;

	while (view_entry(&list, &name)) {
		if (!table_profile(r->table, name, &p)) {
			text_set(&r->text, "there is no profile \"%.*s\"",
			    VIEW_ARG(name));
			return AW_NOPROFILE;
		}
		if (p.error != AW_OK) {
			text_set(&r->text, "%.*s", VIEW_ARG(p.text));
			return p.error;
		}
		if (p.forward == FORWARD_DENY) {
			text_set(&r->text,
			    "awsenv_forward denies profile \"%.*s\"%s%.*s",
			    VIEW_ARG(name), p.forward_at.n ? ": " : "",
			    VIEW_ARG(p.forward_at));
			return AW_DENIED;
		}
	}
	return AW_OK;
}

static enum aw_err
permit_new(struct round *r, const char *name)
{
	const struct forward_req *req = &r->msg->forward;
	struct forward_item item = {
	    .profiles = req->profiles,
	    .hosts = req->hosts,
	    .until = req->seconds ? loop_time() + req->seconds : 0,
	    .confirm = req->confirm,
	    .bound = req->bound,
	};
	struct record rec = {
	    .obtained = loop_time(),
	    .expires = item.until,
	    .id = view_str(name),
	    .label = view_str(name),
	};
	struct permit *p;
	enum aw_err e;

	if ((e = profiles_usable(r)) != AW_OK)
		return e;
	if (npermits == PERMITS_MAX) {
		round_say(r,
		    "there are 16 such sockets: awsenv forward --list shows "
		    "them");
		return AW_BUSY;
	}
	p = make(name);
	p->item.bound = item.bound;
	msg_encode(MSG_FORWARD_ITEM, &item, &p->facts);
	rec.facts = view_of(&p->facts);
	/* Before there is a socket: one without it would be ended. */
	if (p->facts.bad || (e = store_put(KEY_PERMIT, &rec)) != AW_OK) {
		end(p, "cannot be remembered");
		return e != AW_OK ? e : AW_NOMEM;
	}
	tell_supervisor(LINK_OPEN, name);
	return AW_OK;
}

static enum aw_err
permit_open(struct round *r)
{
	const struct forward_req *req = &r->msg->forward;
	char name[PERMIT_NAME];
	struct permit *p;
	enum aw_err e;

	if (!is_list(req->profiles, false) || !is_list(req->hosts, true))
		return AW_PROTO;
	if ((e = round_ended(r, STAGE_PERMIT)) != AW_OK ||
	    (e = round_table(r)) != AW_OK)
		return e;
	name_of(req->id, name);
	if (!find(name) && (e = permit_new(r, name)) != AW_OK)
		return e;
	p = find(name);
	keep(p, r->conn);
	if (p->fd < 0)
		return conn_hold(r->conn, STAGE_PERMIT, &p->holds, OPEN_MS);
	append(p, &r->keep[0]);
	return AW_OK;
}

/* End it, or keep it. */
static enum aw_err
permit_change(struct round *r)
{
	char name[PERMIT_NAME];
	struct permit *p;

	name_of(r->msg->forward.id, name);
	if (!(p = find(name))) {
		round_say(r, "there is no such socket");
		return AW_GONE;
	}
	append(p, &r->keep[0]);
	if (r->msg->forward.what == FORWARD_END)
		end(p, "ended as asked");
	else
		keep(p, r->conn);
	return AW_OK;
}

enum aw_err
permit_run(struct round *r)
{
	struct permit *p;
	enum aw_err e = AW_OK;

	switch (r->msg->forward.what) {
	case FORWARD_OPEN:
		e = permit_open(r);
		break;
	case FORWARD_LIST:
		LIST_FOREACH(p, &permits, entry)
		{
			append(p, &r->keep[0]);
		}
		break;
	case FORWARD_END:
	case FORWARD_KEEP:
		e = permit_change(r);
		break;
	default:
		return AW_PROTO;
	}
	r->rep.forward.items = view_of(&r->keep[0]);
	return e;
}
