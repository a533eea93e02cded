/* SPDX-License-Identifier: ISC */
/* What a token, or role credentials, are good for. */
#include "fetch.h"

#include <stdio.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

/* A request is held for 60 s: an answer that comes later helps nobody. */
#define ROLE_MS (48 * 1000)
#define NAME_MS (10 * 1000)

static enum aw_err
open_tok(struct talk *t, struct tok *tok)
{
	if (!msg_decode(MSG_TOK, t->fetch.tok, tok))
		return why_set(&t->why, AW_TOKEN, "there is no access token");
	return AW_OK;
}

/*
 * Names the sessions of a chain that have no name of their own, for the audit
 * trail. STS refuses this call to nobody, but the policy of a VPC endpoint
 * may: then they are named after us.
 */
static enum aw_err
name_sessions(struct talk *t, const struct step *first,
    const struct creds *creds, struct identity *who)
{
	enum aw_err r;

	r = sts_identity(t, first->sts, first->sts_region, creds, who);
	if (r == AW_AWS) {
		snprintf(who->person, sizeof(who->person), "awsenv");
		return AW_OK;
	}
	return r;
}

/* Each step with the credentials of the one before; *sealed is both, *arn the
 * role of the last. */
static enum aw_err
climb(struct talk *t, struct buf *sealed, struct view *arn)
{
	AUTOBUF struct buf above = {0};
	struct identity who = {0};
	struct view chain = t->fetch.chain;
	struct creds creds;
	struct step step;
	enum aw_err r;

	while (msg_each(MSG_STEP, &chain, &step)) {
		if (!msg_decode(MSG_CREDS, view_of(sealed), &creds))
			return AW_PROTO;
		if (!step.session_name.n && !who.person[0] &&
		    (r = name_sessions(t, &step, &creds, &who)) != AW_OK)
			return r;
		r = sts_assume(t, &step, &creds, who.person, &above);
		if (r != AW_OK)
			return r;
		buf_reset(sealed);
		buf_put(sealed, above.data, above.len);
		*arn = step.role_arn;
	}
	return chain.n ? AW_PROTO : AW_OK;
}

/* arn:PARTITION:iam::ACCOUNT:role/NAME, as the profile's reader checked it */
static struct view
arn_account(struct view arn)
{
	struct view v = arn;
	uint8_t c;
	int colons = 0;

	while (colons < 4 && view_u8(&v, &c))
		colons += c == ':';
	v.n = v.n < ACCOUNT_SIZE - 1 ? v.n : ACCOUNT_SIZE - 1;
	return v;
}

enum aw_err
role_fetch(struct talk *t)
{
	AUTOBUF struct buf sealed = {0};
	char account[ACCOUNT_SIZE];
	struct answer a = {.last = true};
	struct view arn = {0};
	struct creds creds;
	struct tok tok;
	enum aw_err r;

	t->deadline = io_deadline(ROLE_MS);
	if ((r = open_tok(t, &tok)) != AW_OK ||
	    (r = portal_account(
		 t, tok.access_token, t->fetch.account, account)) != AW_OK ||
	    (r = portal_creds(t, tok.access_token, account, t->fetch.role,
		 &sealed)) != AW_OK ||
	    (r = climb(t, &sealed, &arn)) != AW_OK)
		return r;
	if (!msg_decode(MSG_CREDS, view_of(&sealed), &creds))
		return AW_PROTO;
	a.creds = view_of(&sealed);
	a.creds_expires = creds.expires;
	a.access_key = creds.access_key;
	a.arn = arn;
	a.account = arn.n ? arn_account(arn) : view_str(account);
	return talk_answer(t, &a);
}

/*
 * The STS to ask for a name: the profile's, the login's own, or the one that
 * lives beside AWS's own OIDC. Beside any other there may be none.
 */
static bool
naming_sts(const struct talk *t, struct buf *url, struct view *region)
{
	const struct view oidc = t->facts.oidc,
			  own = t->fetch.sts.n ? t->fetch.sts : t->facts.sts;
	static const char *const plain[] = {
	    "https://oidc.", "https://oidc-fips."};
	static const char *const sts[] = {"https://sts.", "https://sts-fips."};
	size_t i, n;

	*region = t->fetch.sts.n ? t->fetch.sts_region : t->facts.region;
	if (own.n) {
		buf_put(url, own.p, own.n);
		return true;
	}
	for (i = 0; i < 2; i++) {
		n = strlen(plain[i]);
		if (oidc.n > n && memcmp(oidc.p, plain[i], n) == 0) {
			buf_put(url, sts[i], strlen(sts[i]));
			buf_put(url, oidc.p + n, oidc.n - n);
			return true;
		}
	}
	return false;
}

static enum aw_err
caller_identity(struct talk *t, struct view sealed, struct identity *who)
{
	AUTOBUF struct buf url = {0};
	struct view region;
	struct creds creds;

	if (!msg_decode(MSG_CREDS, sealed, &creds))
		return AW_PROTO;
	if (!naming_sts(t, &url, &region))
		return why_set(&t->why, AW_CONFIG,
		    "no STS is known beside %.*s: set AWS_ENDPOINT_URL_STS",
		    VIEW_ARG(t->facts.oidc));
	if (url.bad)
		return why_set(&t->why, AW_NOMEM, "out of memory");
	return sts_identity(t, view_of(&url), region, &creds, who);
}

enum aw_err
role_identity(struct talk *t)
{
	struct answer a = {.last = true};
	struct identity who = {0};
	enum aw_err r;

	t->deadline = io_deadline(ROLE_MS);
	if ((r = caller_identity(t, t->fetch.creds, &who)) != AW_OK)
		return r;
	a.arn = view_str(who.arn);
	a.user_id = view_str(who.user_id);
	a.account = view_str(who.account);
	a.person = view_str(who.person);
	return talk_answer(t, &a);
}

enum aw_err
role_logout(struct talk *t)
{
	struct answer a = {.last = true};
	struct tok tok;
	enum aw_err r;

	t->deadline = io_deadline(ROLE_MS);
	if ((r = open_tok(t, &tok)) != AW_OK ||
	    (r = portal_logout(t, tok.access_token)) != AW_OK)
		return r;
	return talk_answer(t, &a);
}

/* -------- who approved */

/* Credentials of the wanted role, else of any: they bear the same name. */
static enum aw_err
naming_creds(struct talk *t, struct view tok, struct named *out)
{
	char id[ACCOUNT_SIZE] = "", role[ROLE_SIZE] = "";
	enum aw_err r;

	if (t->fetch.account.n && t->fetch.role.n &&
	    portal_account(t, tok, t->fetch.account, id) == AW_OK) {
		r = portal_creds(t, tok, id, t->fetch.role, &out->creds);
		if (r == AW_OK) {
			memcpy(out->account, id, sizeof(id));
			return AW_OK;
		}
		if (r != AW_AWS)
			return r;
	}
	id[0] = '\0';
	if ((r = portal_any(t, tok, id, role)) != AW_OK)
		return r;
	return portal_creds(t, tok, id, view_str(role), &out->creds);
}

void
role_name(struct talk *t, struct view sealed, struct named *out)
{
	struct tok tok;

	t->deadline = io_deadline(NAME_MS);
	if (msg_decode(MSG_TOK, sealed, &tok) &&
	    naming_creds(t, tok.access_token, out) == AW_OK)
		caller_identity(t, view_of(&out->creds), &out->who);
}

enum aw_err
role_prove(struct talk *t, struct view sealed, struct named *out)
{
	struct tok tok;
	enum aw_err r;

	t->deadline = io_deadline(NAME_MS);
	if (!msg_decode(MSG_TOK, sealed, &tok) ||
	    !text_is_account(t->fetch.account) || t->fetch.role.n == 0)
		return AW_PROTO;
	text_clean(out->account, sizeof(out->account), t->fetch.account);
	r = portal_creds(
	    t, tok.access_token, out->account, t->fetch.role, &out->creds);
	return r == AW_OK ? caller_identity(t, view_of(&out->creds), &out->who)
			  : r;
}
