/* SPDX-License-Identifier: ISC */
/*
 * A login that was made elsewhere on this machine, as proof of who somebody
 * is: root hands it over, and it becomes an ordinary login of the one session
 * in the user's config file that is bound to just the same. Where there is
 * none, it is dropped.
 *
 * The answer comes at once. The file may have to be read first; for that the
 * login waits in this broker's memory and nowhere else.
 */
#include "broker.h"

#include <unistd.h>

#include "awsenv/log.h"

#define WAITS_MS 60000
#define FRESH_MS 10000 /* a config file read since then is not read again */
#define LIFE_MAX (366 * 86400) /* in seconds; AWS gives 90 days at most */

static struct buf waiting; /* the request; empty: none does */
static int64_t until;	   /* it waits no longer */
static struct hold reading;

/* ".../start", ".../start/" and ".../start#/" are one place. */
static struct view
place(struct view url)
{
	while (url.n && (url.p[url.n - 1] == '/' || url.p[url.n - 1] == '#'))
		url.n--;
	return url;
}

/* All that tokens are bound to; not what a session is called, nor a file. */
static bool
bound_alike(const struct facts *a, const struct facts *b)
{
	return view_eq(place(a->start_url), place(b->start_url)) &&
	    view_eq(a->region, b->region) && view_eq(a->scopes, b->scopes) &&
	    view_eq(a->oidc, b->oidc) && view_eq(a->portal, b->portal) &&
	    view_eq(a->sts, b->sts) && view_eq(a->ca_digest, b->ca_digest) &&
	    view_eq(a->proxy, b->proxy) && view_eq(a->no_proxy, b->no_proxy);
}

/* The session of "default" is wanted first, as when a login is begun. */
static unsigned int
rank(const struct table *t, const struct session *row)
{
	struct profile p;

	if (row->autostart)
		return 3;
	if (table_profile(t, view_str("default"), &p) && p.error == AW_OK &&
	    p.session == row->index)
		return 2;
	return row->bare ? 0 : 1;
}

/* A refresh token must not have two owners: one session gets it. */
static bool
find_session(const struct table *t, struct view sealed, struct session *found)
{
	struct facts want, facts;
	struct session row;
	unsigned int best = 0;
	bool any = false;
	uint32_t i;

	if (!msg_decode(MSG_FACTS, sealed, &want))
		return false;
	for (i = 0; table_session(t, i, &row); i++) {
		if (row.error != AW_OK || row.login.n != LOGIN_ID ||
		    !msg_decode(MSG_FACTS, row.facts, &facts) ||
		    !bound_alike(&want, &facts) ||
		    (any && rank(t, &row) <= best))
			continue;
		*found = row;
		best = rank(t, &row);
		any = true;
	}
	return any;
}

void
adopt_place(const struct table *t)
{
	struct adopt_req req;
	struct session row;
	struct login *l;

	if (!waiting.len || !t || !t->now)
		return;
	if (loop_now() >= until ||
	    !msg_decode(MSG_ADOPT_REQ, view_of(&waiting), &req))
		log_info("the login that was handed over came too late");
	else if (!find_session(t, req.facts, &row) ||
	    !(l = login_get(row.login)))
		log_info("a login was handed over, but no session of the "
			 "config file is bound to the same");
	else
		login_adopt(l, &row, &req);
	buf_reset(&waiting);
}

static void
was_read(void *arg, enum aw_err error, const char *text)
{
	(void)arg;
	(void)error;
	(void)text;
	adopt_place(table_for(&ask_nobody));
	buf_reset(&waiting);
}

static void
shorten(uint64_t *expires)
{
	uint64_t latest = loop_time() + LIFE_MAX;

	if (*expires > latest)
		*expires = latest;
}

enum aw_err
adopt_run(struct round *r)
{
	struct adopt_req req = r->msg->adopt;
	struct job *job;

	if (req.version != MSG_VERSION || !req.tok.n || !req.ref.n) {
		round_say(r, "that login is of another version");
		return AW_PROTO;
	}
	if (req.uid != getuid()) {
		round_say(r, "that login is somebody else's");
		return AW_DENIED;
	}
	shorten(&req.tok_expires);
	shorten(&req.ref_expires);
	buf_reset(&waiting);
	msg_encode(MSG_ADOPT_REQ, &req, &waiting);
	until = loop_now() + WAITS_MS;
	if (waiting.bad) {
		buf_free(&waiting);
		return AW_NOMEM;
	}
	if ((job = table_renew(FRESH_MS))) {
		reading.fn = was_read;
		hold_on(&job->holds, &reading);
		return AW_OK;
	}
	adopt_place(table_peek(&ask_nobody));
	if (!waiting.len)
		return AW_OK;
	buf_reset(&waiting);
	return AW_BUSY;
}
