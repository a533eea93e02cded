/* SPDX-License-Identifier: ISC */
/*
 * AWS's answers through the real operations. An input is
 *
 *	OPERATION STATUS [TIMES]\n
 *	header lines, an empty line, the body
 *
 * Whatever it says: nothing breaks, what is sealed can be opened, and what a
 * person may come to see is printable.
 */
#include "agent/fetch/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/own.h"

#define TIMES_MOST 8 /* that the answer is given */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct {
	long status;
	struct view head, body;
	long times;
} answer;

/* In place of http.c: the input answers the first questions, then nobody. */
enum aw_err
http_do(struct http *h, const struct http_request *q, int ms, struct reply *a,
    struct why *why)
{
	(void)h;
	(void)q;
	(void)ms;
	reply_free(a);
	if (answer.times-- <= 0)
		return why_set(why, AW_NETWORK, "the script is over");
	a->status = answer.status;
	a->sent = true;
	buf_put(&a->head, answer.head.p, answer.head.n);
	buf_put(&a->body, answer.body.p, answer.body.n);
	return AW_OK;
}

/* In place of talk.c: no waiting. */
bool
talk_sleep(struct talk *t, int ms)
{
	(void)t;
	(void)ms;
	return true;
}

int64_t
talk_left(const struct talk *t)
{
	(void)t;
	return 60 * 1000;
}

uint64_t
talk_local(const struct talk *t, int64_t aws)
{
	int64_t ours;

	return __builtin_sub_overflow(aws, t->skew, &ours) || ours < 0
	    ? 0
	    : (uint64_t)ours;
}

/* -------- what must hold */

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
must_be_plain(const char *s)
{
	for (; *s; s++)
		must(*s >= ' ' && *s <= '~');
}

static void
must_open(enum msg_kind kind, const struct buf *sealed)
{
	union {
		struct creds creds;
		struct tok tok;
		struct ref ref;
		struct dev dev;
	} m;

	must(!sealed->bad && msg_decode(kind, view_of(sealed), &m));
}

/* -------- the operations */

static const struct creds keys = {
    .access_key = {(const uint8_t *)"ASIA", 4},
    .secret_key = {(const uint8_t *)"secret", 6},
    .session_token = {(const uint8_t *)"session", 7},
};
static const struct view token = {(const uint8_t *)"token", 5};
static const struct view sts_url = {(const uint8_t *)"https://sts", 11};

static enum aw_err
try_register(struct talk *t)
{
	AUTOBUF struct buf b = {0};
	enum aw_err r = oidc_register(t, false, &b);

	if (r == AW_OK)
		must_open(MSG_REF, &b);
	return r;
}

/* For a login in the browser; the other is by a code. */
static enum aw_err
try_register_page(struct talk *t)
{
	AUTOBUF struct buf b = {0};
	enum aw_err r = oidc_register(t, true, &b);

	if (r == AW_OK)
		must_open(MSG_REF, &b);
	return r;
}

static enum aw_err
try_start(struct talk *t)
{
	const struct ref client = {.client_id = token, .client_secret = token};
	AUTOBUF struct buf b = {0};
	enum oidc_error error;
	enum aw_err r = oidc_start(t, &client, &b, &error);
	AUTOFREE char *url = NULL;
	struct dev d;

	if (r == AW_OK) {
		must(msg_decode(MSG_DEV, view_of(&b), &d));
		must((url = view_dup(d.url)) && url_may_visit(url));
		must_be_plain(url);
		must(text_is_word(d.code, 64));
		must(d.interval >= 1 && d.interval <= 60);
		must(d.until <= (uint64_t)time(NULL) + 3600);
	}
	return r;
}

static enum aw_err
try_token(struct talk *t)
{
	const struct ref old = {.client_expires = UINT64_MAX,
	    .client_id = token,
	    .client_secret = token,
	    .refresh_token = token};
	struct token k = {0};
	enum aw_err r = oidc_refresh(t, &old, &k);

	if (r == AW_OK) {
		must_open(MSG_TOK, &k.tok);
		must_open(MSG_REF, &k.ref);
		must(k.refreshable);
	}
	token_free(&k);
	return r;
}

static enum aw_err
try_device(struct talk *t)
{
	const struct dev d = {.client_expires = UINT64_MAX,
	    .client_id = token,
	    .client_secret = token,
	    .device_code = token};
	struct token k = {0};
	enum oidc_error error;
	enum aw_err r = oidc_redeem(t, &d, &k, &error);

	if (r == AW_OK)
		must_open(MSG_TOK, &k.tok);
	token_free(&k);
	return r;
}

static enum aw_err
try_redeem(struct talk *t)
{
	const struct ref client = {.client_expires = UINT64_MAX,
	    .client_id = token,
	    .client_secret = token};
	struct token k = {0};
	enum oidc_error error;
	enum aw_err r = oidc_redeem_code(t, &client, token, token,
	    view_str("http://127.0.0.1/oauth/callback"), &k, &error);

	if (r == AW_OK)
		must_open(MSG_TOK, &k.tok);
	token_free(&k);
	return r;
}

static enum aw_err
try_creds(struct talk *t)
{
	AUTOBUF struct buf b = {0};
	enum aw_err r =
	    portal_creds(t, token, "012345678901", view_str("role"), &b);

	if (r == AW_OK)
		must_open(MSG_CREDS, &b);
	return r;
}

static enum aw_err
try_accounts(struct talk *t)
{
	char id[ACCOUNT_SIZE];
	enum aw_err r = portal_account(t, token, view_str("marketing"), id);

	if (r == AW_OK)
		must(text_is_account(view_str(id)));
	return r;
}

static enum aw_err
try_page(struct talk *t)
{
	AUTOBUF struct buf next = {0};
	struct aws_answer a = {0};
	enum aw_err r = portal_page(t, token, NULL, &next, &a);

	must(r != AW_OK || a.json);
	aws_free(&a);
	return r;
}

static enum aw_err
try_roles(struct talk *t)
{
	char id[ACCOUNT_SIZE] = "012345678901", role[ROLE_SIZE] = "";
	enum aw_err r = portal_any(t, token, id, role);

	must_be_plain(role);
	must((r == AW_OK) == (role[0] != '\0'));
	return r;
}

/* The one answer is about accounts; for a role there would be another. */
static enum aw_err
try_any(struct talk *t)
{
	char id[ACCOUNT_SIZE] = "", role[ROLE_SIZE] = "";
	enum aw_err r = portal_any(t, token, id, role);

	must(r != AW_OK && (!id[0] || text_is_account(view_str(id))));
	return r;
}

static enum aw_err
try_logout(struct talk *t)
{
	return portal_logout(t, token);
}

static enum aw_err
try_identity(struct talk *t)
{
	struct identity who = {0};
	enum aw_err r = sts_identity(t, sts_url, view_str("r"), &keys, &who);

	must_be_plain(who.arn);
	must_be_plain(who.user_id);
	must_be_plain(who.person);
	return r;
}

static enum aw_err
assume(struct talk *t, const struct step *step)
{
	AUTOBUF struct buf b = {0};
	enum aw_err r = sts_assume(t, step, &keys, "ann", &b);

	if (r == AW_OK)
		must_open(MSG_CREDS, &b);
	return r;
}

static enum aw_err
try_assume(struct talk *t)
{
	const struct step step = {.role_arn = view_str("arn:aws:iam::1:role/r"),
	    .sts = sts_url,
	    .sts_region = view_str("r")};

	return assume(t, &step);
}

/* ... less than the role may, and with all else that a step may have. */
static enum aw_err
try_assume_less(struct talk *t)
{
	const struct step step = {.role_arn = view_str("arn:aws:iam::1:role/r"),
	    .sts = sts_url,
	    .sts_region = view_str("r"),
	    .external_id = token,
	    .session_name = token,
	    .duration = 900,
	    .policy = view_str("{}")};

	return assume(t, &step);
}

static const struct {
	const char *name;
	enum aw_err (*run)(struct talk *);
} operations[] = {
    {"RegisterClient", try_register},
    {"StartDeviceAuthorization", try_start},
    {"CreateToken", try_token},
    {"GetRoleCredentials", try_creds},
    {"ListAccounts", try_accounts},
    {"ListAccountRoles", try_roles},
    {"Logout", try_logout},
    {"GetCallerIdentity", try_identity},
    {"AssumeRole", try_assume},
    {"AssumeRoleForLess", try_assume_less},
    {"RegisterClientPage", try_register_page},
    {"CreateTokenByDevice", try_device},
    {"CreateTokenByCode", try_redeem},
    {"ListAccountsForAny", try_any},
    {"ListAccountsPage", try_page},
};

/* -------- the input */

static bool
take_line(struct view *v, struct view *line)
{
	const uint8_t *end = v->n ? memchr(v->p, '\n', v->n) : NULL;

	if (!end)
		return false;
	*line = (struct view){v->p, (uint32_t)(end - v->p)};
	*v = (struct view){end + 1, v->n - line->n - 1};
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct talk t = {.fd = -1,
	    .facts = {.oidc = view_str("https://oidc"),
		.portal = view_str("https://portal")}};
	struct view v = {data, (uint32_t)size}, line;
	char first[64], *end;
	size_t i, n;

	if (size > 64 * 1024 || !take_line(&v, &line))
		return 0;
	text_clean(first, sizeof(first), line);
	n = strcspn(first, " ");
	memset(&answer, 0, sizeof(answer));
	answer.status = strtol(first + n, &end, 10);
	answer.times = *end ? strtol(end, NULL, 10) : 1;
	answer.head.p = v.p;
	while (take_line(&v, &line) && line.n && line.p[0] != '\r')
		answer.head.n += line.n + 1;
	answer.body = v;
	if (answer.times > TIMES_MOST)
		return 0;
	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strlen(operations[i].name) != n ||
		    strncmp(first, operations[i].name, n) != 0)
			continue;
		if (operations[i].run(&t) != AW_OK)
			must(t.why.text[0] != '\0');
		must_be_plain(t.why.text);
	}
	return 0;
}
