/* SPDX-License-Identifier: ISC */
/*
 * A login by a browser on this machine: the authorization code of RFC 6749
 * with RFC 7636's proof that who redeems it is who asked for it. There is no
 * code that a person could be talked into approving for somebody else. Nothing
 * outlives this process: if it dies the next one begins anew.
 */
#include "fetch.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define LIVES (10 * 60) /* as long as the AWS CLI waits */
#define DIGEST 32

struct page {
	struct buf verifier;
	struct buf state;
	struct buf address; /* to which the browser is sent back */
	struct buf client;  /* sealed MSG_REF */
	struct buf url;
	uint64_t until;
	struct callback *callback;
};

static void
page_free(struct page *p)
{
	callback_close(p->callback, false);
	buf_free(&p->verifier);
	buf_free(&p->state);
	buf_free(&p->address);
	buf_free(&p->client);
	buf_free(&p->url);
}

static bool
put_challenge(struct buf *out, struct view verifier)
{
	uint8_t hash[DIGEST];

	if (!EVP_Digest(verifier.p, verifier.n, hash, NULL, EVP_sha256(), NULL))
		return false;
	random_base64(out, hash, sizeof(hash));
	return !out->bad;
}

/* AW_SYSTEM: this machine cannot; AW_AWS: AWS will not. */
static enum aw_err
page_open(struct talk *t, struct page *p)
{
	AUTOBUF struct buf challenge = {0};
	struct ref client;
	enum aw_err r;

	if (!random_text(&p->verifier) || !random_text(&p->state) ||
	    !put_challenge(&challenge, view_of(&p->verifier)) ||
	    !(p->callback = callback_open(
		  view_of(&p->state), (struct view){0}, &p->address)))
		return AW_SYSTEM;
	if ((r = oidc_register(t, true, &p->client)) != AW_OK)
		return r;
	if (!msg_decode(MSG_REF, view_of(&p->client), &client))
		return AW_NOMEM;
	p->until = (uint64_t)time(NULL) + LIVES;
	return oidc_page(t, client.client_id, view_of(&p->address),
	    view_of(&p->state), view_of(&challenge), &p->url);
}

static enum aw_err
show(struct talk *t, const struct page *p)
{
	struct answer a = {
	    .dev_until = p->until,
	    .url = view_of(&p->url),
	};

	return talk_answer(t, &a);
}

static enum aw_err
wait_for_code(struct talk *t, const struct page *p, struct buf *code)
{
	int64_t end = io_deadline(LIVES * 1000);
	enum aw_err r = show(t, p);

	while (r == AW_OK) {
		switch (callback_wait(p->callback, t, end, code)) {
		case CALLBACK_CODE:
			return AW_OK;
		case CALLBACK_REFUSED:
			return AW_AWS;
		case CALLBACK_GONE:
			return AW_GONE;
		case CALLBACK_TIME:
			return why_set(&t->why, AW_EXPIRED,
			    "nobody signed in within %d minutes; if the browser "
			    "showed an error, is sso_region (%.*s) right? If it "
			    "is on another machine: awsenv login "
			    "--use-device-code",
			    LIVES / 60, VIEW_ARG(t->facts.region));
		case CALLBACK_HINT:
			if (t->again)
				r = show(t, p);
			t->again = false;
			break;
		}
	}
	return r;
}

static enum aw_err
redeem(struct talk *t, struct page *p, struct view code, struct token *k)
{
	enum oidc_error error = OIDC_NONE;
	struct ref client;
	enum aw_err r;

	if (!msg_decode(MSG_REF, view_of(&p->client), &client))
		return AW_NOMEM;
	r = oidc_redeem_code(t, &client, code, view_of(&p->verifier),
	    view_of(&p->address), k, &error);
	if (error == OIDC_GRANT || error == OIDC_EXPIRED)
		r = why_set(&t->why, AW_EXPIRED,
		    "AWS did not take the code that the browser brought: log "
		    "in again");
	callback_close(STEAL(p->callback), r == AW_OK);
	return r;
}

bool
desktop_login(struct talk *t, struct token *k, enum aw_err *r)
{
	AUTOBUF struct buf code = {0};
	struct page p = {0};
	bool offered;

	*r = page_open(t, &p);
	offered = *r != AW_AWS && *r != AW_SYSTEM;
	if (*r == AW_OK)
		*r = wait_for_code(t, &p, &code);
	if (*r == AW_OK) {
		t->deadline = io_deadline(HURRY_MS);
		*r = redeem(t, &p, view_of(&code), k);
		t->deadline = -1;
	}
	page_free(&p);
	return offered;
}
