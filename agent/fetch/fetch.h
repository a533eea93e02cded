/* SPDX-License-Identifier: ISC */
/*
 * awsenv-fetch: one conversation with AWS, then exit.
 *
 *	main -> {login, role} -> {oidc, portal, sts} -> aws -> {http, json, xml}
 *
 * login (with desktop) and role know the order of steps, oidc, portal and sts one service
 * each, aws what all services have in common; http, url and reply know no AWS,
 * json and xml no HTTP. Whatever holds a secret is a struct buf, or is
 * allocated by wipe.
 */
#ifndef AWSENV_FETCH_H
#define AWSENV_FETCH_H

#include <time.h>

#include "awsenv/buf.h"
#include "awsenv/err.h"
#include "awsenv/msg.h"

struct http;
struct json;

/* -------- wipe.c: free() that wipes, for libraries that see secrets */

/* Keep what may be a secret out of swap, before there is one; false: no memory.
 * A limit that others used up is done without. */
bool wipe_lock(void);
void wipe_install(void); /* before any other use of curl, cJSON, OpenSSL */

/* -------- sandbox.c */

/* No key of whoever started us is in reach; false: one may be. */
bool sandbox_no_keys(void);
/* From here on, as far as this kernel can see to it, files are only read, and
 * few of them: what the network takes, and that CA bundle (or NULL). */
void sandbox_enter(const char *ca);

/* -------- text.c: what a person may read */

#define WHY_MAX 512

/* Why something failed: one line, printable ASCII, no secret. */
struct why {
	char text[WHY_MAX];
};

/* Set the line and give back the error. */
enum aw_err why_set(struct why *, enum aw_err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Foreign text, reduced to printable ASCII and cut to size - 1 bytes. */
void text_clean(char *out, size_t size, struct view);
/* 1 to max bytes, all of them printable ASCII and no blank. */
bool text_is_word(struct view, size_t max);
bool text_is_account(struct view); /* 12 digits */
/* Percent-encode all but RFC 3986's unreserved characters. */
void text_percent(struct buf *, struct view);
/* The other way round; false if there is half a code in it. */
bool text_unpercent(struct buf *, struct view);
/* YYYY-MM-DDTHH:MM:SS, maybe a fraction, maybe Z or +00:00: since 1970. */
bool text_time(struct view, int64_t *);

/* -------- url.c */

#define HOST_SIZE 300

/* "host" or "host:port", as in a Host header. */
void url_host(const char *url, char host[static HOST_SIZE]);
/* The same of a proxy, which may be written without scheme, with password. */
void url_proxy_host(const char *proxy, char host[static HOST_SIZE]);
/* https to anywhere, or http to this machine itself. */
bool url_may_visit(const char *url);

/* -------- reply.c: an answer of HTTP */

struct reply {
	long status;	 /* 0: there is no answer */
	bool sent;	 /* the other side may have seen the request */
	bool again;	 /* no answer, but another try might bring one */
	struct buf head; /* lines "name: value\r\n" */
	struct buf body;
};

void reply_free(struct reply *); /* it may be used again */
bool reply_header(const struct reply *, const char *name, struct view *);
bool reply_date(const struct reply *, time_t *);

/* -------- http.c: requests, over libcurl */

#define HTTP_HEADERS 8

struct http_setup {
	struct view ca_path; /* empty: the system's CAs */
	struct view ca_digest;
	bool ca_any; /* whatever is in it: its digest is not known yet */
	struct view proxy;
	struct view no_proxy;
};

struct http_request {
	const char *method;
	const char *url;
	const char *headers[HTTP_HEADERS]; /* "name: value", up to a NULL */
	struct view body;		   /* of a POST */
	/* on a connection of its own: over one that has ended meanwhile curl
	 * sends it a second time */
	bool fresh;
};

/* AW_OK; AW_STALE: the CA bundle is not the one that is named. */
enum aw_err http_open(struct http **, const struct http_setup *, struct why *);
void http_close(struct http *);
/* Of the CA bundle that is in use; empty: the system's. */
struct view http_ca_digest(const struct http *);
/* AW_OK: there is an answer, whatever its status; AW_NETWORK: there is none,
 * or one that may not be believed; AW_CONFIG: no URL to send a secret to. */
enum aw_err http_do(struct http *, const struct http_request *, int ms,
    struct reply *, struct why *);

/* -------- json.c: documents, over cJSON */

/* NULL: it is no JSON object, or errno is ENOMEM. */
struct json *json_parse(struct view);
void json_free(struct json *);
/* Members; false where absent, null, or of another type. */
bool json_string(const struct json *, const char *name, struct view *);
bool json_number(const struct json *, const char *name, int64_t *);
const struct json *json_object(const struct json *, const char *name);
const struct json *json_array(const struct json *, const char *name);
/* The first (of NULL) and each next object of an array. */
const struct json *json_each(
    const struct json *array, const struct json *after);

/* Writing: members, then the end. A list is comma-separated in the view. */
void json_put(struct buf *, const char *name, struct view);
void json_put_list(struct buf *, const char *name, struct view list);
void json_end(struct buf *);

/* -------- xml.c: the little of XML that STS needs */

bool xml_valid(struct view);
/* The text of the first element at "Root/Child/..."; *out is reset. The
 * document must be valid. */
bool xml_text(struct view, const char *path, struct buf *out);

/* -------- sigv4.c: AWS Signature Version 4, over OpenSSL */

struct sigv4 {
	const char *method;
	const char *path;  /* canonical, at least "/" */
	const char *query; /* canonical */
	/* sorted; names in lower case, values without outer blanks */
	const struct sigv4_header {
		const char *name;
		struct view value;
	} * headers;
	size_t n_headers;
	struct view body;
	const char *date; /* YYYYMMDDTHHMMSSZ, as in x-amz-date */
	struct view region;
	const char *service;
};

/* Append the value of the Authorization header. */
bool sigv4_authorization(const struct sigv4 *, struct view access_key,
    struct view secret_key, struct buf *);

/* -------- qr.c: a QR code, over libqrencode */

/* Modules per side, and rows of (width + 7) / 8 bytes; 0: it does not fit. */
uint32_t qr_encode(const char *text, struct buf *bits);

/* -------- talk.c: the link to who asked, and what goes with every answer */

struct talk {
	int fd;
	struct buf packet; /* what the views of fetch and facts point into */
	struct fetch fetch;
	struct facts facts;
	struct http *http;
	int64_t deadline; /* of all calls, by io_deadline(); -1: none */
	int64_t skew;	  /* seconds: AWS's clock minus ours */
	bool skew_known;
	bool waiting; /* a person looks at the code */
	bool again;   /* a hint said so: show it once more */
	struct why why;
};

enum talk_event { TALK_TIME, TALK_HINT, TALK_GONE };

/* The order, within 2 s. */
enum aw_err talk_receive(struct talk *, int fd);
/* Its way to AWS: t->http, for http_close(). */
enum aw_err talk_open(struct talk *);
/* Version, kind, tag, text and skew are filled in. AW_GONE: nobody is there. */
enum aw_err talk_answer(struct talk *, struct answer *);
/* Until the time comes, a hint arrives, or nobody wants it any more. */
enum talk_event talk_wait(struct talk *, int64_t deadline);
/* The same through all hints; false if nobody wants it any more. */
bool talk_sleep(struct talk *, int ms);
int64_t talk_left(const struct talk *); /* ms until t->deadline, or a day */
uint64_t talk_local(const struct talk *, int64_t aws); /* AWS's time, ours */

/* -------- aws.c: what all services have in common */

enum aws_repeat {
	AWS_RETRY,  /* by the rules of the SDKs' standard mode */
	AWS_UNSENT, /* only where AWS answered or cannot have seen it */
	AWS_ONCE,
};

struct aws_answer {
	struct reply http;
	struct json *json; /* the body, or NULL: it is no JSON object */
	char code[64];	   /* name of the error, "" if there is none */
	char message[256];
};

void aws_free(struct aws_answer *);
/*
 * AW_OK: 2xx. AW_AWS: AWS said no, see code and message. AW_NETWORK: not
 * reached, 5xx, 429, or answered by something else. AW_NOMEM: whatever was
 * answered, there was no room to read it. Unless AW_OK, t->why is set.
 */
enum aw_err aws_call(struct talk *, const struct http_request *,
    enum aws_repeat, struct aws_answer *);
/* A 2xx that is not what the operation answers. */
enum aw_err aws_strange(struct talk *, struct view base);
/* base and path; the caller frees. */
char *aws_url(struct view base, const char *path);
/* Fill a sealed MSG_CREDS after checking alphabets and sizes. */
bool aws_seal_creds(struct buf *, uint64_t expires, struct view access_key,
    struct view secret_key, struct view session_token);

/* -------- oidc.c: IAM Identity Center OIDC */

enum oidc_error {
	OIDC_NONE,
	OIDC_PENDING,
	OIDC_SLOW_DOWN,
	OIDC_EXPIRED,
	OIDC_DENIED,
	OIDC_GRANT,
	OIDC_CLIENT,	   /* id and secret are worthless */
	OIDC_UNAUTHORIZED, /* the client may not have this grant */
	OIDC_OTHER,
};

struct token {
	struct buf tok; /* sealed MSG_TOK */
	struct buf ref; /* sealed MSG_REF */
	uint64_t expires;
	uint64_t ref_expires;
	bool refreshable;
};

void token_free(struct token *);
/* A new client, of one grant: a browser on this machine, or the device code.
 * *ref is a MSG_REF without a refresh token. */
enum aw_err oidc_register(struct talk *, bool desktop, struct buf *ref);
enum aw_err oidc_start(struct talk *, const struct ref *client, struct buf *dev,
    enum oidc_error *);
enum aw_err oidc_redeem(
    struct talk *, const struct dev *, struct token *, enum oidc_error *);
/* Where that browser is to go first, and to be sent back from. */
enum aw_err oidc_page(struct talk *, struct view client_id, struct view back,
    struct view state, struct view challenge, struct buf *url);
enum aw_err oidc_redeem_code(struct talk *, const struct ref *client,
    struct view code, struct view verifier, struct view back, struct token *,
    enum oidc_error *);
enum aw_err oidc_refresh(struct talk *, const struct ref *, struct token *);

/* -------- portal.c: accounts, roles and role credentials of a token */

#define ACCOUNT_SIZE 13
#define ROLE_SIZE 129

enum aw_err portal_creds(struct talk *, struct view tok, const char *account,
    struct view role, struct buf *creds);
/* The id of the account with that id or name. */
enum aw_err portal_account(struct talk *, struct view tok, struct view wanted,
    char id[static ACCOUNT_SIZE]);
/* Any account (if id is "") and any role in it. */
enum aw_err portal_any(struct talk *, struct view tok,
    char id[static ACCOUNT_SIZE], char role[static ROLE_SIZE]);
enum aw_err portal_logout(struct talk *, struct view tok);
/* One page of all accounts, or of the roles in one (account not NULL), asked
 * for once. *token is the next page's, empty after the last. */
enum aw_err portal_page(struct talk *, struct view tok, const char *account,
    struct buf *token, struct aws_answer *);

/* -------- grants.c: every account and role of a token */

enum aw_err grants_fetch(struct talk *);

/* -------- sts.c */

struct identity {
	char arn[2100];
	char user_id[256];
	char account[ACCOUNT_SIZE];
	char person[256];
};

enum aw_err sts_identity(struct talk *, struct view url, struct view region,
    const struct creds *, struct identity *);
/* *out is a sealed MSG_CREDS. */
enum aw_err sts_assume(struct talk *, const struct step *, const struct creds *,
    const char *person, struct buf *out);

/* -------- callback.c: an address on this machine for one visit of a browser */

enum callback_event {
	CALLBACK_TIME,
	CALLBACK_HINT,
	CALLBACK_GONE,	  /* nobody wants it any more */
	CALLBACK_CODE,	  /* it is in *code; or it was led on */
	CALLBACK_REFUSED, /* t->why is set */
};

struct callback;

/*
 * Listens from here on, and appends the address. Without a location it is where
 * a browser comes back to, and the secret the state that it has to bring; with
 * one it leads on there, and the secret is part of the address. Both are the
 * caller's, who keeps them. NULL: this machine does not let us.
 */
struct callback *callback_open(
    struct view secret, struct view location, struct buf *address);
enum callback_event callback_wait(
    struct callback *, struct talk *, int64_t deadline, struct buf *code);
/* Tells the browser that brought the code what came of it. */
void callback_close(struct callback *, bool good);

/* -------- random.c: what nobody can guess, in letters that URLs take */

bool random_text(struct buf *); /* appends 64 characters */
/* Base64 for URLs, without padding, of up to RANDOM_BYTES bytes. */
#define RANDOM_BYTES 48
void random_base64(struct buf *, const uint8_t *, int n);

/* -------- desktop.c */

/* Somebody waits for the code, or for what a new token is good for. */
#define HURRY_MS (48 * 1000)

/* False: neither this machine nor AWS minds, but it cannot be done by a
 * browser here. */
bool desktop_login(struct talk *, struct token *, enum aw_err *);

/* -------- login.c: how a person logs in, and the refresh of the token
 *
 * These answer by themselves; what is not AW_OK is for the caller to tell. */

enum aw_err login_begin(struct talk *);
enum aw_err login_resume(struct talk *);
enum aw_err login_refresh(struct talk *);
enum aw_err login_factor(struct talk *);

/* -------- console.c: a browser's way into the AWS console */

enum aw_err console_open(struct talk *);

/* -------- lock.c: the slow hash of a passphrase, over libsodium */
enum aw_err lock_hash(struct talk *);

/* -------- role.c: what a token or role credentials are good for */

enum aw_err role_fetch(struct talk *);
enum aw_err role_identity(struct talk *);
enum aw_err role_logout(struct talk *);
/* Who approved that token: fills in person, arn, user_id and, where they were
 * asked for, role credentials of a last answer. It may well stay empty. */
struct named {
	struct identity who;
	struct buf creds;
	char account[ACCOUNT_SIZE];
};
void role_name(struct talk *, struct view tok, struct named *);
/* The same by the role that was asked for and no other, or why not. */
enum aw_err role_prove(struct talk *, struct view tok, struct named *);

#endif
