/* SPDX-License-Identifier: ISC */
/*
 * One address on a port of 127.0.0.1 for one visit of a browser: where it comes
 * back to after its person signed in, or where it is led on from to an address
 * that must not stand in anybody's list of processes. Every user of the machine
 * can knock there, and every page that any browser shows. What is not sent by
 * this user's own browser, to this very address, with the secret that belongs
 * to it, is turned away and changes nothing.
 */
#include "fetch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"
#include "awsenv/peer.h"

#define PATH "/oauth/callback"
#define VISITORS 16 /* browsers connect before they have to say something */
#define VISIT_MS (10 * 1000)
#define REST_MS 1000 /* after a visitor who could not be let in */
#define HEAD_MAX \
	(64 * 1024) /* other servers' cookies for 127.0.0.1 come along */
#define CODE_MAX (16 * 1024)

struct visitor {
	int fd; /* -1: there is none */
	int64_t end;
	struct buf head;
};

struct callback {
	int fd;
	char host[sizeof("127.0.0.1:65535")];
	struct view secret;   /* the state, or the path */
	struct view location; /* to lead on to; empty: it comes back */
	struct visitor visitors[VISITORS];
	int64_t opens;		/* until then nobody is let in */
	struct visitor *bearer; /* of the code; waits to hear how it ends */
};

/* -------- answers */

static void
leave(struct visitor *v)
{
	close(v->fd);
	v->fd = -1;
	buf_free(&v->head);
}

static void
put(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

/* It fits into an empty socket; who does not take it does without. */
static void
answer_with(struct visitor *v, const char *status, struct view location,
    const char *title, const char *text)
{
	AUTOBUF struct buf page = {0};

	put(&page, "HTTP/1.1 ");
	put(&page, status);
	put(&page, location.n ? "\r\nLocation: " : "");
	buf_put(&page, location.p, location.n);
	put(&page,
	    "\r\nContent-Type: text/html; charset=utf-8\r\n"
	    "Cache-Control: no-store\r\n"
	    "Content-Security-Policy: default-src 'none'\r\n"
	    "Referrer-Policy: no-referrer\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Connection: close\r\n\r\n"
	    "<!DOCTYPE html>\n<html lang=\"en\"><head><title>");
	put(&page, title);
	put(&page, "</title></head><body><h1>");
	put(&page, title);
	put(&page, "</h1><p>");
	put(&page, text);
	put(&page, "</p></body></html>\n");
	if (!page.bad)
		send(v->fd, page.data, page.len, MSG_NOSIGNAL);
	shutdown(v->fd, SHUT_WR);
	leave(v);
}

static void
answer(
    struct visitor *v, const char *status, const char *title, const char *text)
{
	answer_with(v, status, (struct view){0}, title, text);
}

static void
turn_away(struct visitor *v, const char *status)
{
	answer(v, status, "Not for awsenv",
	    "This is not the answer that awsenv waits for.");
}

/* -------- what a visitor says */

struct visit {
	struct view method;
	struct view path;
	struct view query;
	bool ours;    /* it means this very address */
	bool foreign; /* a page of somebody else's made it */
};

/* What stands before the mark, which is taken off with it. */
static struct view
take(struct view *v, const char *mark)
{
	size_t n = strlen(mark);
	const uint8_t *at = v->n ? memmem(v->p, v->n, mark, n) : NULL;
	struct view part = *v;

	if (!at) {
		*v = (struct view){0};
		return part;
	}
	part.n = (uint32_t)(at - v->p);
	v->p = at + n;
	v->n -= part.n + (uint32_t)n;
	return part;
}

static bool
named(struct view name, const char *is)
{
	return name.n == strlen(is) &&
	    strncasecmp((const char *)name.p, is, name.n) == 0;
}

static struct view
trimmed(struct view v)
{
	while (v.n && (v.p[0] == ' ' || v.p[0] == '\t')) {
		v.p++;
		v.n--;
	}
	while (v.n && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
		v.n--;
	return v;
}

static bool
read_visit(struct view head, const char *host, struct visit *out)
{
	struct view line = take(&head, "\r\n"), target, name, value;
	unsigned int hosts = 0;

	*out = (struct visit){0};
	out->method = take(&line, " ");
	target = take(&line, " ");
	if (!view_is(line, "HTTP/1.1") && !view_is(line, "HTTP/1.0"))
		return false;
	out->path = take(&target, "?");
	out->query = target;
	while (head.n) {
		value = take(&head, "\r\n");
		name = take(&value, ":");
		value = trimmed(value);
		if (named(name, "host") && hosts++ == 0)
			out->ours = view_is(value, host);
		else if (named(name, "host"))
			out->ours = false;
		else if (named(name, "origin"))
			out->foreign = true;
	}
	return true;
}

/* False: it is not there, or is there twice, or cannot be read. */
static bool
argument(struct view query, const char *name, struct buf *out)
{
	struct view value;
	bool found = false;

	buf_reset(out);
	while (query.n) {
		value = take(&query, "&");
		if (!view_is(take(&value, "="), name))
			continue;
		if (found || !text_unpercent(out, value))
			return false;
		found = true;
	}
	return found && !out->bad;
}

static bool
is_secret(const struct callback *c, struct view v)
{
	return v.n == c->secret.n && CRYPTO_memcmp(v.p, c->secret.p, v.n) == 0;
}

/* "/SECRET" or PATH. */
static bool
is_path(const struct callback *c, struct view path)
{
	if (!c->location.n)
		return view_is(path, PATH);
	return path.n > 0 && path.p[0] == '/' &&
	    is_secret(c, (struct view){path.p + 1, path.n - 1});
}

static enum callback_event
refused(struct talk *t, struct visitor *v, struct view query)
{
	AUTOBUF struct buf error = {0}, words = {0};
	char why[200], text[100];

	argument(query, "error", &error);
	argument(query, "error_description", &words);
	text_clean(text, sizeof(text), view_of(&error));
	text_clean(why, sizeof(why), view_of(&words));
	why_set(&t->why, AW_AWS,
	    "the login was refused in the browser (%s)%s%s", text,
	    *why ? ": " : "", why);
	answer(v, "200 OK", "Not signed in",
	    "The sign-in was refused. You may close this page.");
	return CALLBACK_REFUSED;
}

/* A whole request. CALLBACK_TIME: it was none of ours. */
static enum callback_event
judge(struct callback *c, struct talk *t, struct visitor *v, struct buf *code)
{
	AUTOBUF struct buf value = {0};
	struct visit visit;

	if (!read_visit(view_of(&v->head), c->host, &visit) || !visit.ours)
		turn_away(v, "400 Bad Request");
	else if (visit.foreign)
		turn_away(v, "403 Forbidden");
	else if (!is_path(c, visit.path))
		turn_away(v, "404 Not Found");
	else if (!view_is(visit.method, "GET"))
		turn_away(v, "405 Method Not Allowed");
	else if (c->location.n) {
		answer_with(v, "302 Found", c->location, "AWS console",
		    "Your browser goes on to AWS.");
		return CALLBACK_CODE;
	} else if (!argument(visit.query, "state", &value) ||
	    !is_secret(c, view_of(&value)))
		turn_away(v, "403 Forbidden");
	else if (argument(visit.query, "error", &value))
		return refused(t, v, visit.query);
	else if (!argument(visit.query, "code", code) ||
	    !text_is_word(view_of(code), CODE_MAX))
		turn_away(v, "400 Bad Request");
	else {
		c->bearer = v;
		return CALLBACK_CODE;
	}
	return CALLBACK_TIME;
}

/* -------- who comes */

static struct visitor *
free_place(struct callback *c)
{
	size_t i;

	for (i = 0; i < VISITORS; i++) {
		if (c->visitors[i].fd < 0)
			return &c->visitors[i];
	}
	return NULL;
}

static void
admit(struct callback *c)
{
	struct visitor *v = free_place(c);
	uid_t uid;
	int fd;

	fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		/* No descriptors or memory: who knocks goes on knocking. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			c->opens = io_deadline(REST_MS);
		return;
	}
	if (!v || !peer_uid(fd, &uid) || uid != getuid()) {
		close(fd);
		return;
	}
	v->fd = fd;
	v->end = io_deadline(VISIT_MS);
}

static enum callback_event
hear(struct callback *c, struct talk *t, struct visitor *v, struct buf *code)
{
	struct view head;
	ssize_t n;

	if (v->head.len >= HEAD_MAX || !buf_reserve(&v->head, 4096)) {
		turn_away(v, "431 Request Header Fields Too Large");
		return CALLBACK_TIME;
	}
	n = recv(v->fd, v->head.data + v->head.len, 4096, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return CALLBACK_TIME;
	if (n <= 0) {
		leave(v);
		return CALLBACK_TIME;
	}
	v->head.len += (size_t)n;
	head = view_of(&v->head);
	if (!memmem(head.p, head.n, "\r\n\r\n", 4))
		return CALLBACK_TIME;
	return judge(c, t, v, code);
}

static bool
is_open(struct callback *c)
{
	return c->opens <= io_deadline(0) && free_place(c);
}

/* Those who say nothing are shown out. The earliest time at which to look. */
static int64_t
show_out(struct callback *c, int64_t until)
{
	int64_t now = io_deadline(0);
	size_t i;

	if (c->opens > now && c->opens < until)
		until = c->opens;
	for (i = 0; i < VISITORS; i++) {
		struct visitor *v = &c->visitors[i];

		if (v->fd >= 0 && v->end <= now)
			leave(v);
		else if (v->fd >= 0 && v->end < until)
			until = v->end;
	}
	return until > now ? until - now : 0;
}

enum callback_event
callback_wait(
    struct callback *c, struct talk *t, int64_t deadline, struct buf *code)
{
	struct pollfd fds[VISITORS + 2];
	enum callback_event e;
	enum talk_event said;
	int64_t ms;
	size_t i;

	while (io_deadline(0) < deadline) {
		ms = show_out(c, deadline);
		for (i = 0; i < VISITORS; i++)
			fds[i] = (struct pollfd){c->visitors[i].fd, POLLIN, 0};
		fds[VISITORS] =
		    (struct pollfd){is_open(c) ? c->fd : -1, POLLIN, 0};
		fds[VISITORS + 1] = (struct pollfd){t->fd, POLLIN, 0};
		if (poll(fds, VISITORS + 2, (int)ms) < 0)
			continue;
		if (fds[VISITORS + 1].revents) {
			said = talk_wait(t, io_deadline(0));
			if (said != TALK_TIME)
				return said == TALK_HINT ? CALLBACK_HINT
							 : CALLBACK_GONE;
		}
		for (i = 0; i < VISITORS; i++) {
			if (!fds[i].revents)
				continue;
			e = hear(c, t, &c->visitors[i], code);
			if (e != CALLBACK_TIME)
				return e;
		}
		if (fds[VISITORS].revents)
			admit(c);
	}
	return CALLBACK_TIME;
}

/* -------- opening and closing */

struct callback *
callback_open(struct view secret, struct view location, struct buf *address)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	AUTOCLOSE int fd =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(a);
	struct callback *c;
	size_t i;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(fd, VISITORS) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) != 0 ||
	    !(c = calloc(1, sizeof(*c))))
		return NULL;
	c->fd = STEAL_FD(fd);
	c->secret = secret;
	c->location = location;
	snprintf(c->host, sizeof(c->host), "127.0.0.1:%d", ntohs(a.sin_port));
	for (i = 0; i < VISITORS; i++)
		c->visitors[i].fd = -1;
	put(address, "http://");
	put(address, c->host);
	put(address, location.n ? "/" : PATH);
	if (location.n)
		buf_put(address, secret.p, secret.n);
	return c;
}

void
callback_close(struct callback *c, bool good)
{
	size_t i;

	if (!c)
		return;
	if (c->bearer && good)
		answer(c->bearer, "200 OK", "Signed in",
		    "awsenv has its login. You may close this page.");
	else if (c->bearer)
		answer(c->bearer, "200 OK", "Not signed in",
		    "The login did not succeed; your terminal says why.");
	for (i = 0; i < VISITORS; i++) {
		if (c->visitors[i].fd >= 0)
			leave(&c->visitors[i]);
	}
	close(c->fd);
	free(c);
}
