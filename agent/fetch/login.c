/* SPDX-License-Identifier: ISC */
/*
 * How a person logs in: by a browser on this machine (see desktop.c), or by a
 * device authorization: register, start, show, poll, name who approved; and the
 * refresh of the token that came of it. Each thing that must outlive this
 * process is answered as soon as it is known, sealed, for the keyring.
 */
#include "fetch.h"

#include <stdio.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define DAY (24 * 60 * 60)
#define SLOW_DOWN 5 /* seconds more, for good: RFC 8628 */
#define IDLE_INTERVAL 30
#define IDLE_AFTER_MS (60 * 1000)

/* -------- the answers of a login */

static enum aw_err
show(struct talk *t, struct view sealed, const struct dev *d)
{
	AUTOFREE char *url = view_dup(d->url);
	AUTOBUF struct buf bits = {0};
	struct answer a = {
	    .dev = sealed,
	    .dev_until = d->until,
	    .url = d->url,
	    .code = d->code,
	};

	if (!url)
		return AW_PROTO;
	a.qr_width = qr_encode(url, &bits);
	if (a.qr_width)
		a.qr = view_of(&bits);
	return talk_answer(t, &a);
}

static void
fill_token(struct answer *a, const struct token *k)
{
	a->tok = view_of(&k->tok);
	a->tok_expires = k->expires;
	a->ref = view_of(&k->ref);
	a->ref_expires = k->ref_expires;
	a->refreshable = k->refreshable;
}

/*
 * The token first: it is what matters, and it is safe before anything else is
 * tried with it. A person who cannot be named is logged in all the same.
 */
static enum aw_err
finish(struct talk *t, const struct token *k)
{
	struct answer first = {0}, last = {.last = true};
	struct named named = {0};
	struct creds creds;
	enum aw_err r;

	fill_token(&first, k);
	if ((r = talk_answer(t, &first)) != AW_OK)
		return r;
	role_name(t, view_of(&k->tok), &named);
	last.person = view_str(named.who.person);
	last.arn = view_str(named.who.arn);
	last.user_id = view_str(named.who.user_id);
	if (named.account[0] && t->fetch.chain.n == 0 &&
	    msg_decode(MSG_CREDS, view_of(&named.creds), &creds)) {
		last.creds = view_of(&named.creds);
		last.creds_expires = creds.expires;
		last.access_key = creds.access_key;
		last.account = view_str(named.account);
	}
	r = talk_answer(t, &last);
	buf_free(&named.creds);
	return r;
}

/* -------- polling */

struct poll {
	const struct dev *dev;
	struct view sealed; /* the same */
	uint32_t interval;  /* seconds */
	int64_t begun;
	int64_t end;	       /* of the code, whatever is done to the clock */
	int64_t asked;	       /* when we asked last */
	enum oidc_error error; /* what AWS said then */
};

/* Nobody looks: after the first minute there is no hurry. */
static int64_t
next_time(const struct talk *t, const struct poll *p)
{
	uint32_t seconds = p->interval;

	if (!t->waiting && io_deadline(0) - p->begun > IDLE_AFTER_MS &&
	    seconds < IDLE_INTERVAL)
		seconds = IDLE_INTERVAL;
	return p->asked + (int64_t)seconds * 1000;
}

/* Until it is time to ask; a hint may move that nearer or further. */
static bool
wait_turn(struct talk *t, const struct poll *p)
{
	int64_t until;
	enum talk_event e;

	do {
		if (t->again && show(t, p->sealed, p->dev) != AW_OK)
			return false;
		t->again = false;
		until = next_time(t, p);
		e = talk_wait(t, until < p->end ? until : p->end);
	} while (e == TALK_HINT);
	return e == TALK_TIME;
}

static enum aw_err
tell_expired(struct talk *t, const struct dev *d)
{
	/* With a wrong region everything works but the approval. */
	return why_set(&t->why, AW_EXPIRED,
	    "the code %.*s ran out before it was approved; if the browser "
	    "said \"invalid grant\", sso_region (%.*s) is not the region of "
	    "this Identity Center",
	    VIEW_ARG(d->code), VIEW_ARG(t->facts.region));
}

/*
 * One question. AW_BUSY: not yet. A network that fails, AWS in trouble, or no
 * memory is no reason to give up a code that somebody may be approving just
 * now; if the answer that was lost was the token, the next one says that the
 * code is used.
 */
static enum aw_err
ask(struct talk *t, struct poll *p, struct token *k)
{
	enum aw_err r;

	r = oidc_redeem(t, p->dev, k, &p->error);
	p->asked = io_deadline(0);
	switch (p->error) {
	case OIDC_NONE:
		return r == AW_NETWORK || r == AW_NOMEM ? AW_BUSY : r;
	case OIDC_PENDING:
		return AW_BUSY;
	case OIDC_SLOW_DOWN:
		p->interval += SLOW_DOWN;
		return AW_BUSY;
	case OIDC_EXPIRED:
	case OIDC_GRANT:
		return tell_expired(t, p->dev);
	default:
		return r;
	}
}

static enum aw_err
poll_token(struct talk *t, struct poll *p, struct token *k)
{
	enum aw_err r = AW_BUSY;

	while (r == AW_BUSY) {
		if (!wait_turn(t, p))
			r = AW_GONE;
		else if (p->end <= io_deadline(0))
			r = tell_expired(t, p->dev);
		else
			r = ask(t, p, k);
	}
	return r;
}

static enum aw_err
poll_until_done(struct talk *t, struct poll *p)
{
	struct token k = {0};
	enum aw_err r;

	if ((r = poll_token(t, p, &k)) == AW_OK)
		r = finish(t, &k);
	token_free(&k);
	return r;
}

static struct poll
poll_begin(const struct dev *d, struct view sealed)
{
	uint64_t now = (uint64_t)time(NULL);
	uint64_t left = d->until > now ? d->until - now : 0;

	return (struct poll){
	    .dev = d,
	    .sealed = sealed,
	    .interval = d->interval,
	    .begun = io_deadline(0),
	    .end = io_deadline((int)(left < DAY ? left : DAY) * 1000),
	    .asked = io_deadline(0),
	};
}

/* -------- beginning */

/* Start with the registration that is there, or else with a new one. A cached
 * one that AWS has forgotten is replaced, once. */
static enum aw_err
start(struct talk *t, struct buf *dev)
{
	AUTOBUF struct buf fresh = {0};
	struct ref client = {0};
	enum oidc_error error;
	bool cached;
	enum aw_err r;

	cached = msg_decode(MSG_REF, t->fetch.ref, &client) &&
	    !client.desktop &&
	    client.client_expires > (uint64_t)time(NULL) + DAY;
	for (;;) {
		if (!cached &&
		    ((r = oidc_register(t, false, &fresh)) != AW_OK ||
			!msg_decode(MSG_REF, view_of(&fresh), &client)))
			return r;
		r = oidc_start(t, &client, dev, &error);
		if (!cached ||
		    (error != OIDC_CLIENT && error != OIDC_UNAUTHORIZED))
			return r;
		cached = false;
	}
}

static enum aw_err
device_login(struct talk *t)
{
	AUTOBUF struct buf sealed = {0};
	struct token k = {0};
	struct poll p;
	struct dev d;
	enum aw_err r;

	t->deadline = io_deadline(HURRY_MS);
	if ((r = start(t, &sealed)) != AW_OK)
		return r;
	t->deadline = -1;
	if (!msg_decode(MSG_DEV, view_of(&sealed), &d))
		return AW_PROTO;
	/* A client that is approved beforehand gets its token at once, and
	 * nobody has to be shown anything. */
	p = poll_begin(&d, view_of(&sealed));
	r = ask(t, &p, &k);
	if (r == AW_OK)
		r = finish(t, &k);
	else if (r == AW_BUSY && (r = show(t, view_of(&sealed), &d)) == AW_OK)
		r = poll_until_done(t, &p);
	token_free(&k);
	return r;
}

enum aw_err
login_begin(struct talk *t)
{
	struct token k = {0};
	enum aw_err r;

	/* Where there are no scopes, the AWS CLI knows the device code only. */
	if (!t->fetch.desktop || !t->facts.scopes.n)
		return device_login(t);
	t->deadline = io_deadline(HURRY_MS);
	if (!desktop_login(t, &k, &r))
		return device_login(t);
	if (r == AW_OK)
		r = finish(t, &k);
	token_free(&k);
	return r;
}

enum aw_err
login_resume(struct talk *t)
{
	struct poll p;
	struct dev d;
	enum aw_err r;

	if (!msg_decode(MSG_DEV, t->fetch.dev, &d))
		return AW_PROTO;
	p = poll_begin(&d, t->fetch.dev);
	if ((r = show(t, t->fetch.dev, &d)) != AW_OK)
		return r;
	return poll_until_done(t, &p);
}

/* -------- as proof of who somebody is */

/* From here on AWS's word counts, and a no of it is one to this person. */
static enum aw_err
prove(struct talk *t, const struct token *k)
{
	AUTOBUF struct buf sealed = {0};
	struct facts facts = t->facts;
	struct answer a = {.last = true};
	struct named named = {0};
	enum aw_err r;

	r = role_prove(t, view_of(&k->tok), &named);
	buf_free(&named.creds);
	if (r != AW_OK)
		return r == AW_AWS || r == AW_TOKEN ? AW_DENIED : r;
	facts.ca_digest = http_ca_digest(t->http);
	msg_encode(MSG_FACTS, &facts, &sealed);
	if (sealed.bad)
		return AW_NOMEM;
	fill_token(&a, k);
	a.facts = view_of(&sealed);
	a.account = view_str(named.who.account);
	a.arn = view_str(named.who.arn);
	a.user_id = view_str(named.who.user_id);
	a.person = view_str(named.who.person);
	return talk_answer(t, &a);
}

/*
 * Nothing is shared with any other login: a registration of its own, and a code
 * that is shown before AWS is asked about it for the first time.
 */
enum aw_err
login_factor(struct talk *t)
{
	AUTOBUF struct buf sealed = {0};
	struct token k = {0};
	struct answer a = {0};
	struct poll p;
	struct dev d;
	enum aw_err r;

	t->fetch.ref = (struct view){0};
	t->waiting = true;
	t->deadline = io_deadline(HURRY_MS);
	if ((r = start(t, &sealed)) != AW_OK)
		return r;
	t->deadline = -1;
	if (!msg_decode(MSG_DEV, view_of(&sealed), &d))
		return AW_PROTO;
	a.url = d.url;
	a.code = d.code;
	a.dev_until = d.until;
	p = poll_begin(&d, view_of(&sealed));
	if ((r = talk_answer(t, &a)) == AW_OK &&
	    (r = poll_token(t, &p, &k)) == AW_OK)
		r = prove(t, &k);
	else if (p.error == OIDC_DENIED)
		r = AW_DENIED;
	token_free(&k);
	return r;
}

/* -------- refresh */

enum aw_err
login_refresh(struct talk *t)
{
	struct answer a = {.last = true};
	struct token k = {0};
	struct ref ref;
	enum aw_err r;

	t->deadline = io_deadline(HURRY_MS);
	if (!msg_decode(MSG_REF, t->fetch.ref, &ref))
		return AW_PROTO;
	if ((r = oidc_refresh(t, &ref, &k)) == AW_OK) {
		fill_token(&a, &k);
		r = talk_answer(t, &a);
	}
	token_free(&k);
	return r;
}
