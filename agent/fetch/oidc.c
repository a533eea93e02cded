/* SPDX-License-Identifier: ISC */
/*
 * IAM Identity Center OIDC: registration, device authorization, tokens, and
 * the page on which a browser begins. All three calls are POSTs of a JSON object, unsigned; the names of the members
 * are AWS's own and not RFC 6749's.
 */
#include "fetch.h"

#include <stdio.h>
#include <string.h>

#include "awsenv/own.h"

#define WORD_MAX (16 * 1024) /* AWS sets no limit on tokens and secrets */
#define URL_MAX 2048
#define CODE_MAX 64
#define DAY (24 * 60 * 60)
#define DEVICE_GRANT "urn:ietf:params:oauth:grant-type:device_code"
#define CODE_GRANT "authorization_code"
/* The one to come back to, with a port put in: RFC 8252, section 7.3. */
#define REDIRECT "http://127.0.0.1/oauth/callback"

void
token_free(struct token *k)
{
	buf_free(&k->tok);
	buf_free(&k->ref);
	*k = (struct token){0};
}

/* By exception, as the header has it, or by `error`, which survives a proxy. */
static enum oidc_error
error_of(const struct aws_answer *a)
{
	static const struct {
		const char *exception;
		const char *error;
		enum oidc_error is;
	} errors[] = {
	    /* clang-format off */
	    {"AuthorizationPendingException", "authorization_pending", OIDC_PENDING},
	    {"SlowDownException", "slow_down", OIDC_SLOW_DOWN},
	    {"ExpiredTokenException", "expired_token", OIDC_EXPIRED},
	    {"AccessDeniedException", "access_denied", OIDC_DENIED},
	    {"InvalidGrantException", "invalid_grant", OIDC_GRANT},
	    {"InvalidClientException", "invalid_client", OIDC_CLIENT},
	    {"UnauthorizedClientException", "unauthorized_client", OIDC_UNAUTHORIZED},
	    {"UnsupportedGrantTypeException", "unsupported_grant_type", OIDC_UNAUTHORIZED},
	    /* clang-format on */
	};
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (strcmp(a->code, errors[i].exception) == 0 ||
		    strcmp(a->code, errors[i].error) == 0)
			return errors[i].is;
	}
	return OIDC_OTHER;
}

static enum aw_err
call(struct talk *t, const char *path, const struct buf *body,
    enum aws_repeat repeat, struct aws_answer *a, enum oidc_error *error)
{
	AUTOFREE char *url = aws_url(t->facts.oidc, path);
	struct http_request q = {
	    .method = "POST",
	    .url = url,
	    .headers = {"Content-Type: application/json",
		"Accept: application/json"},
	    .body = view_of(body),
	    .fresh = repeat == AWS_UNSENT,
	};
	enum aw_err r;

	*error = OIDC_NONE;
	if (!url || body->bad)
		return why_set(&t->why, AW_NOMEM, "out of memory");
	r = aws_call(t, &q, repeat, a);
	if (r == AW_OK && !a->json)
		return aws_strange(t, t->facts.oidc);
	if (r == AW_AWS)
		*error = error_of(a);
	return r;
}

/* Seconds of validity, however silly the number: examples show an epoch. */
static uint64_t
clamp(int64_t n, int64_t least, int64_t most, int64_t otherwise)
{
	if (n < 0 || n > 100 * (int64_t)DAY)
		return (uint64_t)otherwise;
	return (uint64_t)(n < least ? least : n > most ? most : n);
}

/* All of it, or it is nobody's. */
static enum aw_err
seal(struct talk *t, enum msg_kind kind, const void *msg, struct buf *out)
{
	buf_reset(out);
	msg_encode(kind, msg, out);
	return out->bad ? why_set(&t->why, AW_NOMEM, "out of memory") : AW_OK;
}

/* -------- RegisterClient */

enum aw_err
oidc_register(struct talk *t, bool desktop, struct buf *ref)
{
	AUTOBUF struct buf body = {0};
	struct aws_answer a = {0};
	enum oidc_error error;
	struct ref client = {.desktop = desktop};
	int64_t expires = 0;
	enum aw_err r;

	json_put(&body, "clientName", t->fetch.client_name);
	json_put(&body, "clientType", view_str("public"));
	/* Without scopes there is no refresh token, but a longer-lived one. */
	if (t->facts.scopes.n)
		json_put_list(&body, "scopes", t->facts.scopes);
	/* A client of both grants has been answered with HTTP 500. */
	json_put_list(&body, "grantTypes",
	    view_str(desktop ? CODE_GRANT ",refresh_token"
			     : DEVICE_GRANT ",refresh_token"));
	if (desktop) {
		json_put_list(&body, "redirectUris", view_str(REDIRECT));
		json_put(&body, "issuerUrl", t->facts.start_url);
	}
	json_end(&body);
	r = call(t, "/client/register", &body, AWS_RETRY, &a, &error);
	if (r == AW_OK &&
	    (!json_string(a.json, "clientId", &client.client_id) ||
		!json_string(a.json, "clientSecret", &client.client_secret) ||
		!json_number(a.json, "clientSecretExpiresAt", &expires) ||
		!text_is_word(client.client_id, WORD_MAX) ||
		!text_is_word(client.client_secret, WORD_MAX)))
		r = aws_strange(t, t->facts.oidc);
	if (r == AW_OK) {
		client.client_expires = talk_local(t, expires);
		r = seal(t, MSG_REF, &client, ref);
	}
	aws_free(&a);
	return r;
}

/* -------- StartDeviceAuthorization */

/* What a person will open, or type: nothing that a terminal would act on. */
static enum aw_err
check_shown(struct talk *t, const struct dev *d)
{
	AUTOFREE char *url = view_dup(d->url);

	if (!url)
		return why_set(&t->why, AW_NOMEM, "out of memory");
	if (!text_is_word(d->url, URL_MAX) || !url_may_visit(url))
		return why_set(&t->why, AW_AWS,
		    "the sign-in address that was sent is no https URL of at "
		    "most %d printable characters",
		    URL_MAX);
	if (!text_is_word(d->code, CODE_MAX))
		return why_set(&t->why, AW_AWS,
		    "the sign-in code that was sent is not one to be shown");
	return AW_OK;
}

static bool
read_dev(const struct json *j, struct dev *d)
{
	int64_t lives = 600, interval = 5;

	if (!json_string(j, "deviceCode", &d->device_code) ||
	    !json_string(j, "userCode", &d->code) ||
	    !text_is_word(d->device_code, WORD_MAX))
		return false;
	if (!json_string(j, "verificationUriComplete", &d->url) &&
	    !json_string(j, "verificationUri", &d->url))
		return false;
	json_number(j, "expiresIn", &lives);
	json_number(j, "interval", &interval);
	d->until = (uint64_t)time(NULL) + clamp(lives, 1, 3600, 600);
	d->interval = (uint32_t)clamp(interval ? interval : 5, 1, 60, 5);
	return true;
}

enum aw_err
oidc_start(struct talk *t, const struct ref *client, struct buf *dev,
    enum oidc_error *error)
{
	AUTOBUF struct buf body = {0};
	struct aws_answer a = {0};
	struct dev d = {
	    .client_id = client->client_id,
	    .client_secret = client->client_secret,
	    .client_expires = client->client_expires,
	};
	enum aw_err r;

	json_put(&body, "clientId", client->client_id);
	json_put(&body, "clientSecret", client->client_secret);
	json_put(&body, "startUrl", t->facts.start_url);
	json_end(&body);
	r = call(t, "/device_authorization", &body, AWS_RETRY, &a, error);
	if (r == AW_OK && !read_dev(a.json, &d))
		r = aws_strange(t, t->facts.oidc);
	if (r == AW_OK && (r = check_shown(t, &d)) == AW_OK)
		r = seal(t, MSG_DEV, &d, dev);
	/* A start URL that AWS does not know is refused without a word. */
	if (r == AW_AWS && *error == OIDC_OTHER && a.message[0] == '\0')
		why_set(&t->why, AW_AWS,
		    "AWS refuses a login at %.*s in %.*s: is sso_start_url "
		    "right? (%s)",
		    VIEW_ARG(t->facts.start_url), VIEW_ARG(t->facts.region),
		    a.code);
	aws_free(&a);
	return r;
}

/* -------- the page of an authorization code, which is no call */

static void
put_argument(struct buf *url, const char *name, struct view value)
{
	buf_put(url, name, strlen(name));
	text_percent(url, value);
}

enum aw_err
oidc_page(struct talk *t, struct view client_id, struct view back,
    struct view state, struct view challenge, struct buf *url)
{
	AUTOFREE char *base = aws_url(t->facts.oidc, "/authorize");
	AUTOFREE char *scopes = view_dup(t->facts.scopes);
	char *comma;

	if (!base || !scopes)
		return why_set(&t->why, AW_NOMEM, "out of memory");
	for (comma = scopes; (comma = strchr(comma, ','));)
		*comma = ' ';
	put_argument(url, base, (struct view){0});
	put_argument(url, "?response_type=code&client_id=", client_id);
	put_argument(url, "&redirect_uri=", back);
	put_argument(url, "&state=", state);
	put_argument(
	    url, "&code_challenge_method=S256&code_challenge=", challenge);
	put_argument(url, "&scopes=", view_str(scopes));
	if (url->bad || !text_is_word(view_of(url), URL_MAX) ||
	    !url_may_visit(base))
		return why_set(&t->why, AW_CONFIG,
		    "the sign-in address is no https URL of at most %d "
		    "characters",
		    URL_MAX);
	return AW_OK;
}

/* -------- CreateToken */

/*
 * Seal what the answer has. A refresh token that does not come back with a
 * refresh is still good: keep the old one.
 */
static bool
read_token(const struct json *j, const struct ref *client, struct token *k)
{
	struct ref ref = *client;
	struct tok tok = {0};
	struct view fresh;
	int64_t lives;

	if (!json_string(j, "accessToken", &tok.access_token) ||
	    !text_is_word(tok.access_token, WORD_MAX) ||
	    !json_number(j, "expiresIn", &lives))
		return false;
	if (json_string(j, "refreshToken", &fresh) && fresh.n > 0) {
		if (!text_is_word(fresh, WORD_MAX))
			return false;
		ref.refresh_token = fresh;
	}
	tok.expires = (uint64_t)time(NULL) + clamp(lives, 0, 90 * DAY, 3600);
	buf_reset(&k->tok);
	buf_reset(&k->ref);
	msg_encode(MSG_TOK, &tok, &k->tok);
	msg_encode(MSG_REF, &ref, &k->ref);
	k->expires = tok.expires;
	k->ref_expires = ref.client_expires;
	k->refreshable = ref.refresh_token.n > 0;
	return true;
}

/* What it is asked for with; the rest of the members are empty. */
struct grant {
	const char *type;
	struct {
		const char *name;
		struct view value;
	} members[3];
};

static enum aw_err
create_token(struct talk *t, const struct ref *client, const struct grant *g,
    enum aws_repeat repeat, struct token *k, enum oidc_error *error)
{
	AUTOBUF struct buf body = {0};
	struct aws_answer a = {0};
	enum aw_err r;
	size_t i;

	json_put(&body, "clientId", client->client_id);
	json_put(&body, "clientSecret", client->client_secret);
	json_put(&body, "grantType", view_str(g->type));
	for (i = 0; i < 3 && g->members[i].name; i++)
		json_put(&body, g->members[i].name, g->members[i].value);
	json_end(&body);
	r = call(t, "/token", &body, repeat, &a, error);
	if (r == AW_OK && !read_token(a.json, client, k))
		r = aws_strange(t, t->facts.oidc);
	if (r == AW_OK && (k->tok.bad || k->ref.bad))
		r = why_set(&t->why, AW_NOMEM, "out of memory");
	if (r == AW_AWS && *error == OIDC_DENIED)
		why_set(&t->why, AW_AWS, "the login was refused%s%s",
		    a.message[0] ? ": " : " in the browser", a.message);
	aws_free(&a);
	return r;
}

/* Once: the caller's loop is what asks again. */
enum aw_err
oidc_redeem(struct talk *t, const struct dev *d, struct token *k,
    enum oidc_error *error)
{
	const struct ref client = {
	    .client_expires = d->client_expires,
	    .client_id = d->client_id,
	    .client_secret = d->client_secret,
	};
	const struct grant grant = {
	    DEVICE_GRANT, {{"deviceCode", d->device_code}}};

	return create_token(t, &client, &grant, AWS_ONCE, k, error);
}

/* The code is good for one answer, which may be lost: only what AWS cannot
 * have seen is sent again. */
enum aw_err
oidc_redeem_code(struct talk *t, const struct ref *client, struct view code,
    struct view verifier, struct view back, struct token *k,
    enum oidc_error *error)
{
	const struct grant grant = {CODE_GRANT,
	    {{"code", code}, {"codeVerifier", verifier},
		{"redirectUri", back}}};

	return create_token(t, client, &grant, AWS_UNSENT, k, error);
}

/*
 * A refresh whose answer was lost is not sent again here: if AWS rotated the
 * token, the second try is refused with invalid_grant and the login is thrown
 * away. Reported as a failure of the network, it is tried again later all the
 * same, but then by somebody who can see that the token still works.
 */
enum aw_err
oidc_refresh(struct talk *t, const struct ref *ref, struct token *k)
{
	const struct grant grant = {
	    "refresh_token", {{"refreshToken", ref->refresh_token}}};
	enum oidc_error error;
	enum aw_err r;
	int n;

	if (ref->refresh_token.n == 0 ||
	    ref->client_expires <= (uint64_t)time(NULL))
		return why_set(&t->why, AW_GRANT,
		    "the login cannot be renewed, its registration has ended");
	for (n = 0;; n++) {
		r = create_token(t, ref, &grant, AWS_UNSENT, k, &error);
		if (error != OIDC_SLOW_DOWN || n == 2)
			break;
		if (!talk_sleep(t, 5000))
			return AW_GONE;
	}
	switch (error) {
	case OIDC_EXPIRED:
	case OIDC_GRANT:
	case OIDC_CLIENT:
	case OIDC_UNAUTHORIZED:
		return why_set(&t->why, AW_GRANT,
		    "the sign-in session has ended: log in again");
	case OIDC_SLOW_DOWN:
		return AW_NETWORK;
	default:
		return r;
	}
}
