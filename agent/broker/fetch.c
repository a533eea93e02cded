/* SPDX-License-Identifier: ISC */
/*
 * How awsenv-fetch is spoken to. It gives the tag of a request back with each
 * answer, and in the tag stands all that is needed to store one: so a broker
 * can take over what another asked for.
 */
#include "broker.h"

#include <stdlib.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

static int32_t skew;
static int32_t lifetime;

struct job *
fetch_start(
    const struct fetch *f, const struct fetch_tag *t, unsigned int tries)
{
	AUTOBUF struct buf tag = {0};
	struct fetch out = *f;

	buf_string(&tag, t->id);
	buf_string(&tag, t->facts);
	buf_u64(&tag, t->tok_expires);
	if (tag.bad && !tag.full)
		fatalx("no memory for what awsenv-fetch is asked");
	if (tag.bad)
		return NULL;
	out.version = MSG_VERSION;
	out.facts = t->facts;
	out.tag = view_of(&tag);
	return job_start(f->what, t->id, MSG_FETCH, &out, tries);
}

bool
fetch_answer(struct job *job, enum msg_kind kind, struct view body,
    struct answer *a, struct fetch_tag *t)
{
	struct view tag;

	if (kind != MSG_ANSWER || !msg_decode(MSG_ANSWER, body, a) ||
	    a->version != MSG_VERSION || a->what != job_what(job))
		return false;
	tag = a->tag;
	if (!view_string(&tag, &t->id) || !view_string(&tag, &t->facts) ||
	    !view_u64(&tag, &t->tok_expires) || tag.n != 0)
		return false;
	/* A fetcher speaks with the network; it answers for its own login. */
	if (t->id.n < LOGIN_ID || !job_is(job, a->what, t->id))
		return false;
	if (a->skew_known)
		skew = (int32_t)a->skew;
	return true;
}

int32_t
fetch_skew(void)
{
	return skew;
}

void
fetch_lifetime(int32_t seconds)
{
	lifetime = seconds > 0 ? seconds : 0;
}

uint64_t
fetch_capped(uint64_t expires, uint64_t from)
{
	uint64_t end = from + (uint64_t)lifetime;

	return lifetime && end < expires ? end : expires;
}

uint64_t
fetch_keep_role(const struct answer *a, struct view id, struct view role)
{
	AUTOFREE char *label = NULL;
	struct record rec = {
	    .id = id,
	    .obtained = loop_time(),
	    .expires = fetch_capped(a->creds_expires, loop_time()),
	    .access_key = a->access_key,
	    .sealed = a->creds,
	};
	struct view name = {id.p + LOGIN_ID, id.n - LOGIN_ID}, own = {0};

	/* account NUL role NUL chain digest; the account may be a name. */
	view_entry(&name, &own);
	view_entry(&name, &own);
	if (!role.n)
		role = own;
	text_set(&label, "%.*s/%.*s", VIEW_ARG(a->account), VIEW_ARG(role));
	rec.label = view_str(label);
	if (store_put(KEY_ROLE, &rec) == AW_DENIED)
		exit(EXIT_RING);
	return rec.expires;
}
