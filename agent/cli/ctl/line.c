/* SPDX-License-Identifier: ISC */
/*
 * A connection on which one request after the other is held: the answer comes
 * whole, so that taking it keeps nobody.
 */
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/desktop.h"

#define MOMENT_MS 2000

union rep {
	struct login_rep login;
	struct watch_rep watch;
	struct questions_rep questions;
	struct done_rep done;
};

void
line_close(struct line *l)
{
	l->source = sd_event_source_unref(l->source);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static int
on_answer(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct line *l = arg;
	union rep rep;
	struct view v;

	(void)s;
	(void)events;
	if (io_get_reply(fd, l->name, &l->frame, &v, io_deadline(MOMENT_MS)) !=
		AW_OK ||
	    !msg_decode(l->reply, v, &rep)) {
		line_close(l);
		l->heard(l->arg, NULL);
	} else {
		l->heard(l->arg, &rep);
	}
	return 0;
}

static enum aw_err
line_connect(struct line *l, sd_event *event, const char *path)
{
	enum aw_err r = client_connect(path, &l->fd, io_deadline(MOMENT_MS));

	if (r == AW_OK &&
	    sd_event_add_io(event, &l->source, l->fd, EPOLLIN, on_answer, l) <
		0)
		r = AW_SYSTEM;
	return r;
}

enum aw_err
line_ask(struct line *l, sd_event *event, const char *path, const void *req)
{
	AUTOBUF struct buf body = {0}, out = {0};
	enum aw_err r = AW_OK;

	if (l->fd < 0)
		r = line_connect(l, event, path);
	msg_encode(l->kind, req, &body);
	io_put_request(&out, l->name, view_of(&body));
	if (body.bad || out.bad)
		r = AW_NOMEM;
	if (r == AW_OK)
		r = io_write_here(l->fd, view_of(&out), io_deadline(MOMENT_MS));
	if (r != AW_OK)
		line_close(l);
	return r;
}
