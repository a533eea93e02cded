/* SPDX-License-Identifier: ISC */
/*
 * The portal: what an access token may do. The token goes raw in a header of
 * its own; nothing is signed.
 */
#include "fetch.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "awsenv/own.h"

#define TOKEN_HEADER "x-amz-sso_bearer_token: "
#define ACCOUNTS "/assignment/accounts"
#define ROLES "/assignment/roles"
#define PAGES_MAX 200
#define NAMED_MAX 3 /* accounts that an error names */

/* A query under construction: path, then "?name=value&..." */
struct query {
	struct buf text;
	char mark;
};

static void
query_begin(struct query *q, const char *path)
{
	*q = (struct query){.mark = '?'};
	buf_put(&q->text, path, strlen(path));
}

static void
query_add(struct query *q, const char *name, struct view value)
{
	buf_u8(&q->text, (uint8_t)q->mark);
	buf_put(&q->text, name, strlen(name));
	buf_u8(&q->text, '=');
	text_percent(&q->text, value);
	q->mark = '&';
}

static enum aw_err
call(struct talk *t, const char *method, struct buf *path, struct view tok,
    enum aws_repeat repeat, struct aws_answer *a)
{
	AUTOBUF struct buf header = {0};
	AUTOFREE char *url = NULL;
	struct http_request q = {.method = method};

	buf_u8(path, 0);
	buf_put(&header, TOKEN_HEADER, strlen(TOKEN_HEADER));
	buf_put(&header, tok.p, tok.n);
	buf_u8(&header, 0);
	if (path->bad || header.bad ||
	    !(url = aws_url(t->facts.portal, (const char *)path->data)))
		return why_set(&t->why, AW_NOMEM, "out of memory");
	if (!text_is_word(tok, header.len))
		return why_set(&t->why, AW_TOKEN, "there is no access token");
	q.url = url;
	q.headers[0] = (const char *)header.data;
	q.headers[1] = "Accept: application/json";
	return aws_call(t, &q, repeat, a);
}

static enum aw_err
refused_token(struct talk *t)
{
	return why_set(&t->why, AW_TOKEN,
	    "AWS does not accept the access token any more: log in again");
}

/* -------- GetRoleCredentials */

/* No access here says nothing about the token: it is good elsewhere. */
static enum aw_err
tell_creds(struct talk *t, const struct aws_answer *a, const char *account,
    struct view role)
{
	const char *colon = a->message[0] ? ": " : "";
	char name[ROLE_SIZE];

	text_clean(name, sizeof(name), role);
	if (a->http.status == 401)
		return refused_token(t);
	if (a->http.status == 403) /* its message is "No access" */
		return why_set(&t->why, AW_AWS,
		    "no access to role %s in account %s", name, account);
	if (strcmp(a->code, "ResourceNotFoundException") == 0)
		return why_set(&t->why, AW_AWS,
		    "there is no role %s in account %s%s%s", name, account,
		    colon, a->message);
	return why_set(&t->why, AW_AWS,
	    "AWS refuses role %s in account %s (%s)%s%s", name, account,
	    a->code, colon, a->message);
}

static enum aw_err
tell_none(struct talk *t, const char *account)
{
	return why_set(&t->why, AW_NETWORK,
	    "AWS answered without role credentials for account %s, try again",
	    account);
}

static bool
read_creds(struct talk *t, const struct json *j, struct buf *creds)
{
	const struct json *c = json_object(j, "roleCredentials");
	struct view id, secret, session;
	int64_t ms;

	/* "Internal error" has been seen to come with 200 and nothing in it. */
	return json_string(c, "accessKeyId", &id) &&
	    json_string(c, "secretAccessKey", &secret) &&
	    json_string(c, "sessionToken", &session) &&
	    json_number(c, "expiration", &ms) && ms > 0 &&
	    aws_seal_creds(
		creds, talk_local(t, ms / 1000), id, secret, session);
}

enum aw_err
portal_creds(struct talk *t, struct view tok, const char *account,
    struct view role, struct buf *creds)
{
	struct aws_answer a = {0};
	struct query q;
	enum aw_err r;
	int n;

	for (n = 0;; n++) {
		query_begin(&q, "/federation/credentials");
		query_add(&q, "role_name", role);
		query_add(&q, "account_id", view_str(account));
		r = call(t, "GET", &q.text, tok, AWS_RETRY, &a);
		buf_free(&q.text);
		/* A fresh assignment is refused now and then. */
		if (r != AW_AWS || a.http.status != 403 || n == 1)
			break;
		if (!talk_sleep(t, 1000)) {
			r = AW_GONE;
			break;
		}
	}
	if (r == AW_OK && !a.json)
		r = aws_strange(t, t->facts.portal);
	if (r == AW_OK && !read_creds(t, a.json, creds))
		r = creds->bad ? why_set(&t->why, AW_NOMEM, "out of memory")
			       : tell_none(t, account);
	if (r == AW_AWS)
		r = tell_creds(t, &a, account, role);
	aws_free(&a);
	return r;
}

/* -------- lists */

/* One page of a list; *token is what the next one is asked with, if any. */
static enum aw_err
list_page(struct talk *t, struct view tok, const char *path,
    const char *account, enum aws_repeat repeat, struct buf *token,
    struct aws_answer *a)
{
	struct view next;
	struct query q;
	enum aw_err r;

	query_begin(&q, path);
	if (account)
		query_add(&q, "account_id", view_str(account));
	query_add(&q, "max_result", view_str("100"));
	if (token->len)
		query_add(&q, "next_token", view_of(token));
	r = call(t, "GET", &q.text, tok, repeat, a);
	buf_free(&q.text);
	if (r == AW_AWS && a->http.status == 401)
		return refused_token(t);
	if (r == AW_OK && !a->json)
		return aws_strange(t, t->facts.portal);
	/* Asked for once more after a failure, it is the same page. */
	if (r != AW_OK)
		return r;
	buf_reset(token);
	if (json_string(a->json, "nextToken", &next))
		buf_put(token, next.p, next.n);
	if (token->bad)
		return why_set(&t->why, AW_NOMEM, "out of memory");
	return r;
}

enum aw_err
portal_page(struct talk *t, struct view tok, const char *account,
    struct buf *token, struct aws_answer *a)
{
	return list_page(
	    t, tok, account ? ROLES : ACCOUNTS, account, AWS_ONCE, token, a);
}

/* What the pages of ListAccounts say about a name. */
struct search {
	struct view wanted;
	char exact[ACCOUNT_SIZE];
	char folded[ACCOUNT_SIZE]; /* but for upper and lower case */
	int n_exact, n_folded, seen;
	char names[200]; /* the first few that match, or that there are */
};

static void
search_name(struct search *s, const char *id, struct view name, bool matches)
{
	size_t n = strlen(s->names);
	char clean[64];

	if (s->seen >= NAMED_MAX && !matches)
		return;
	text_clean(clean, sizeof(clean), name);
	snprintf(s->names + n, sizeof(s->names) - n, "%s%s (%s)", n ? ", " : "",
	    clean, id);
}

static void
search_account(struct search *s, const struct json *account)
{
	char id[ACCOUNT_SIZE];
	struct view v, name;
	bool same;

	if (!json_string(account, "accountId", &v) || !text_is_account(v))
		return;
	text_clean(id, sizeof(id), v);
	if (!json_string(account, "accountName", &name))
		name = v;
	same = name.n == s->wanted.n &&
	    strncasecmp(
		(const char *)name.p, (const char *)s->wanted.p, name.n) == 0;
	if (same && s->n_folded++ == 0) {
		memcpy(s->folded, id, sizeof(id));
		s->names[0] = '\0';
	}
	if (same || s->n_folded == 0)
		search_name(s, id, name, same);
	if (view_eq(name, s->wanted) && s->n_exact++ == 0)
		memcpy(s->exact, id, sizeof(id));
	s->seen++;
}

static enum aw_err
search_result(
    struct talk *t, const struct search *s, char id[static ACCOUNT_SIZE])
{
	char wanted[128];

	text_clean(wanted, sizeof(wanted), s->wanted);
	if (s->n_exact == 1 || (s->n_exact == 0 && s->n_folded == 1)) {
		memcpy(id, s->n_exact ? s->exact : s->folded, ACCOUNT_SIZE);
		return AW_OK;
	}
	if (s->n_folded)
		return why_set(&t->why, AW_AWS,
		    "several accounts are called \"%s\": %s; say which by its "
		    "number",
		    wanted, s->names);
	if (s->seen == 0)
		return why_set(&t->why, AW_AWS,
		    "no account \"%s\": this login has no account at all",
		    wanted);
	return why_set(&t->why, AW_AWS,
	    "no account \"%s\"; this login has %s%s", wanted, s->names,
	    s->seen > NAMED_MAX ? ", ..." : "");
}

enum aw_err
portal_account(struct talk *t, struct view tok, struct view wanted,
    char id[static ACCOUNT_SIZE])
{
	AUTOBUF struct buf token = {0};
	struct search s = {.wanted = wanted};
	struct aws_answer a = {0};
	const struct json *list, *account;
	enum aw_err r = AW_OK;
	int page = 0;

	if (text_is_account(wanted)) {
		text_clean(id, ACCOUNT_SIZE, wanted);
		return AW_OK;
	}
	do {
		r = list_page(t, tok, ACCOUNTS, NULL, AWS_RETRY, &token, &a);
		list = json_array(a.json, "accountList");
		for (account = NULL; (account = json_each(list, account));)
			search_account(&s, account);
	} while (r == AW_OK && token.len && ++page < PAGES_MAX);
	aws_free(&a);
	return r == AW_OK ? search_result(t, &s, id) : r;
}

/* The member of the first object in a list's first page. */
static enum aw_err
first_of(struct talk *t, struct view tok, const char *path, const char *account,
    const char *list, const char *member, char *out, size_t size)
{
	AUTOBUF struct buf token = {0};
	struct aws_answer a = {0};
	const struct json *item;
	struct view v;
	enum aw_err r;

	r = list_page(t, tok, path, account, AWS_RETRY, &token, &a);
	if (r == AW_OK) {
		item = json_each(json_array(a.json, list), NULL);
		if (json_string(item, member, &v) && text_is_word(v, size - 1))
			text_clean(out, size, v);
		else
			r = why_set(&t->why, AW_AWS, "this login has no role");
	}
	aws_free(&a);
	return r;
}

enum aw_err
portal_any(struct talk *t, struct view tok, char id[static ACCOUNT_SIZE],
    char role[static ROLE_SIZE])
{
	char first[ACCOUNT_SIZE];
	enum aw_err r = AW_OK;

	if (!id[0]) {
		r = first_of(t, tok, ACCOUNTS, NULL, "accountList", "accountId",
		    first, sizeof(first));
		if (r == AW_OK && !text_is_account(view_str(first)))
			r = aws_strange(t, t->facts.portal);
		if (r == AW_OK)
			memcpy(id, first, sizeof(first));
	}
	if (r == AW_OK)
		r = first_of(
		    t, tok, ROLES, id, "roleList", "roleName", role, ROLE_SIZE);
	return r;
}

/* -------- Logout */

enum aw_err
portal_logout(struct talk *t, struct view tok)
{
	AUTOBUF struct buf path = {0};
	struct aws_answer a = {0};
	enum aw_err r;

	buf_put(&path, "/logout", strlen("/logout"));
	r = call(t, "POST", &path, tok, AWS_RETRY, &a);
	/* A token that AWS does not know has nothing left to revoke. */
	if (r == AW_TOKEN || (r == AW_AWS && a.http.status == 401))
		r = AW_OK;
	/* AWS says nothing more; a sign-in page of the network says a lot. */
	else if (r == AW_OK && a.http.body.len && !a.json)
		r = aws_strange(t, t->facts.portal);
	aws_free(&a);
	return r;
}
