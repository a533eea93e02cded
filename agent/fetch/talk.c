/* SPDX-License-Identifier: ISC */
/*
 * The link to who asked. The end of it means that nobody wants the answer any
 * more, not even the broker's successor: then there is nothing left to do.
 */
#include "fetch.h"

#include <poll.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"

#define RECEIVE_MS 2000
#define SEND_MS (10 * 1000)
#define DAY_MS (24 * 60 * 60 * 1000)

enum aw_err
talk_receive(struct talk *t, int fd)
{
	enum msg_kind kind;
	struct view body;
	enum aw_err r;

	t->fd = fd;
	t->deadline = -1;
	if ((r = io_wait(fd, POLLIN, io_deadline(RECEIVE_MS))) != AW_OK ||
	    (r = link_peek_msg(fd, &t->packet, &kind, &body)) != AW_OK)
		return r;
	link_drop(fd);
	if (kind != MSG_FETCH || !msg_decode(kind, body, &t->fetch) ||
	    t->fetch.version != MSG_VERSION ||
	    !msg_decode(MSG_FACTS, t->fetch.facts, &t->facts))
		return AW_PROTO;
	t->waiting = t->fetch.waiting;
	return AW_OK;
}

enum aw_err
talk_open(struct talk *t)
{
	const struct http_setup setup = {
	    .ca_path = t->facts.ca_path,
	    .ca_digest = t->facts.ca_digest,
	    .ca_any =
		t->fetch.what == FETCH_FACTOR || t->fetch.what == FETCH_CONSOLE,
	    .proxy = t->facts.proxy,
	    .no_proxy = t->facts.no_proxy,
	};

	return http_open(&t->http, &setup, &t->why);
}

enum aw_err
talk_answer(struct talk *t, struct answer *a)
{
	int64_t deadline = io_deadline(SEND_MS);
	enum aw_err r;

	a->version = MSG_VERSION;
	a->what = t->fetch.what;
	a->tag = t->fetch.tag;
	a->text = a->error == AW_OK ? view_str("") : view_str(t->why.text);
	a->skew = (uint32_t)(int32_t)t->skew;
	a->skew_known = t->skew_known;
	while ((r = link_send_msg(t->fd, MSG_ANSWER, a)) == AW_BUSY) {
		if (io_wait(t->fd, POLLOUT, deadline) != AW_OK)
			return AW_GONE;
	}
	return r;
}

enum talk_event
talk_wait(struct talk *t, int64_t deadline)
{
	AUTOBUF struct buf packet = {0};
	struct hint hint;
	enum msg_kind kind;
	struct view body;
	enum aw_err r;

	for (;;) {
		r = io_wait(t->fd, POLLIN, deadline);
		if (r == AW_TIMEOUT)
			return TALK_TIME;
		if (r != AW_OK)
			return TALK_GONE;
		r = link_peek_msg(t->fd, &packet, &kind, &body);
		if (r == AW_BUSY)
			continue;
		if (r != AW_OK && r != AW_PROTO)
			return TALK_GONE;
		link_drop(t->fd);
		if (r == AW_OK && kind == MSG_HINT &&
		    msg_decode(kind, body, &hint) &&
		    hint.version == MSG_VERSION) {
			t->waiting = hint.waiting;
			t->again |= hint.waiting;
			return TALK_HINT;
		}
	}
}

bool
talk_sleep(struct talk *t, int ms)
{
	int64_t deadline = io_deadline(ms);
	enum talk_event e;

	while ((e = talk_wait(t, deadline)) == TALK_HINT)
		continue;
	return e == TALK_TIME;
}

int64_t
talk_left(const struct talk *t)
{
	int64_t left;

	if (t->deadline < 0)
		return DAY_MS;
	left = t->deadline - io_deadline(0);
	return left > 0 ? left : 0;
}

uint64_t
talk_local(const struct talk *t, int64_t aws)
{
	int64_t ours = aws - t->skew;

	return ours > 0 ? (uint64_t)ours : 0;
}
