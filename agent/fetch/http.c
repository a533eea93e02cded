/* SPDX-License-Identifier: ISC */
/*
 * HTTP over libcurl: one easy handle for the conversation, so that its
 * connection is used again. Nothing here knows AWS. Every failure becomes one
 * sentence that names the host and never the query, which may hold secrets.
 */
#include "fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "awsenv/own.h"

#define CONNECT_MS (10 * 1000)
#define HEAD_MAX (64 * 1024)
#define CA_MAX (4 * 1024 * 1024)
#define AGENT "awsenv/" AWSENV_VERSION

struct http {
	CURL *curl;
	void *ca; /* the bundle's text, or NULL: the system's */
	size_t ca_size;
	uint8_t ca_digest[SHA256_DIGEST_LENGTH];
	char *ca_path;
	char *proxy;
	char *no_proxy;
	CURLcode refused; /* the first option that curl did not take */
	char error[CURL_ERROR_SIZE];
};

/* What the callbacks of one request work on. */
struct transfer {
	struct reply *reply;
	bool too_large;
};

/* -------- opening */

/* The whole of a regular file that is no larger than CA_MAX. */
static bool
read_file(const char *path, void **data, size_t *size)
{
	/* Not blocking: a FIFO must not hold us. */
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTOFREE char *text = NULL;
	struct stat st;
	size_t n = 0;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	errno = EINVAL;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > CA_MAX)
		return false;
	*size = (size_t)st.st_size;
	if (!(text = malloc(*size)))
		return false;
	while (n < *size && (got = read(fd, text + n, *size - n)) > 0)
		n += (size_t)got;
	*data = STEAL(text);
	return n == *size;
}

/*
 * The login is bound to the bundle by its content, and the file may be
 * anybody's to change: what was hashed here is what curl is given.
 */
static enum aw_err
open_ca(struct http *h, const struct http_setup *setup, struct why *why)
{
	uint8_t *hash = h->ca_digest;

	if (!read_file(h->ca_path, &h->ca, &h->ca_size))
		return why_set(why, AW_STALE,
		    "cannot read the CA bundle %s: %s", h->ca_path,
		    strerror(errno));
	if (!EVP_Digest(h->ca, h->ca_size, hash, NULL, EVP_sha256(), NULL))
		return why_set(why, AW_NOMEM, "out of memory");
	if (!setup->ca_any && !view_eq(http_ca_digest(h), setup->ca_digest))
		return why_set(
		    why, AW_STALE, "the CA bundle %s has changed", h->ca_path);
	return AW_OK;
}

struct view
http_ca_digest(const struct http *h)
{
	return (struct view){h->ca_digest, h->ca ? sizeof(h->ca_digest) : 0};
}

static enum aw_err
optional(struct view v, char **out, struct why *why)
{
	if (v.n && memchr(v.p, '\0', v.n))
		return why_set(why, AW_PROTO, "malformed order");
	if (v.n && !(*out = view_dup(v)))
		return why_set(why, AW_NOMEM, "out of memory");
	return AW_OK;
}

enum aw_err
http_open(struct http **out, const struct http_setup *setup, struct why *why)
{
	struct http *h = calloc(1, sizeof(*h));
	enum aw_err r;

	*out = NULL;
	if (!h || !(h->curl = curl_easy_init())) {
		free(h);
		return why_set(why, AW_NOMEM, "out of memory");
	}
	if ((r = optional(setup->ca_path, &h->ca_path, why)) == AW_OK &&
	    (r = optional(setup->proxy, &h->proxy, why)) == AW_OK &&
	    (r = optional(setup->no_proxy, &h->no_proxy, why)) == AW_OK &&
	    h->ca_path)
		r = open_ca(h, setup, why);
	if (r == AW_OK)
		*out = h;
	else
		http_close(h);
	return r;
}

void
http_close(struct http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->curl);
	free(h->ca);
	free(h->ca_path);
	free(h->proxy);
	free(h->no_proxy);
	free(h);
}

/* -------- one request */

/* An interim or proxy answer may come before the one that counts. */
static size_t
on_head(char *p, size_t one, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct buf *head = &t->reply->head;

	(void)one;
	if (n > 5 && memcmp(p, "HTTP/", 5) == 0)
		buf_reset(head);
	t->too_large = n > HEAD_MAX - head->len;
	if (t->too_large)
		return 0;
	buf_put(head, p, n);
	return head->bad ? 0 : n;
}

static size_t
on_body(char *p, size_t one, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct buf *body = &t->reply->body;

	(void)one;
	t->too_large = n > BUF_MAX - body->len;
	if (t->too_large)
		return 0;
	buf_put(body, p, n);
	return body->bad ? 0 : n;
}

/* The connection stands and the request goes out now. */
static int
on_sending(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct transfer *t = arg;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	t->reply->sent = true;
	return CURL_PREREQFUNC_OK;
}

/*
 * curl copies texts, and without memory it goes on as if they had not been
 * given: with the system's CAs for a bundle, past a proxy. So each is looked at.
 */
#define SET(h, option, value)                                              \
	do {                                                               \
		CURLcode set = curl_easy_setopt((h)->curl, option, value); \
		if ((h)->refused == CURLE_OK)                              \
			(h)->refused = set;                                \
	} while (0)

static void
set_trust(struct http *h)
{
	struct curl_blob blob = {h->ca, h->ca_size, CURL_BLOB_NOCOPY};

	SET(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(h, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(h, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(h, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
	SET(h, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
	if (!h->ca)
		return;
	/* A bundle stands in for the system's CAs, it does not add to them. */
	SET(h, CURLOPT_CAINFO_BLOB, &blob);
	SET(h, CURLOPT_CAPATH, NULL);
	SET(h, CURLOPT_PROXY_CAINFO_BLOB, &blob);
	SET(h, CURLOPT_PROXY_CAPATH, NULL);
}

/*
 * An empty CURLOPT_PROXY keeps curl from looking into the environment. Plain
 * http, which only goes to this machine, is shown to no proxy.
 */
static void
set_route(struct http *h, const char *url)
{
	bool plain = strncasecmp(url, "http:", 5) == 0;

#if LIBCURL_VERSION_NUM >= 0x075500
	SET(h, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
#else
	SET(h, CURLOPT_PROTOCOLS,
	    (long)(plain ? CURLPROTO_HTTP : CURLPROTO_HTTPS));
#endif
	SET(h, CURLOPT_PROXY, h->proxy && !plain ? h->proxy : "");
	SET(h, CURLOPT_NOPROXY, h->no_proxy ? h->no_proxy : "");
	SET(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void
set_request(struct http *h, const struct http_request *q,
    struct curl_slist *headers, struct transfer *t, int ms)
{
	/* Options are dropped, the connection is kept. */
	curl_easy_reset(h->curl);
	h->refused = CURLE_OK;
	set_trust(h);
	set_route(h, q->url);
	SET(h, CURLOPT_URL, q->url);
	SET(h, CURLOPT_USERAGENT, AGENT);
	SET(h, CURLOPT_HTTPHEADER, headers);
	SET(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(h, CURLOPT_FOLLOWLOCATION, 0L);
	SET(h, CURLOPT_NOSIGNAL, 1L);
	SET(h, CURLOPT_FRESH_CONNECT, (long)q->fresh);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* A resolver that hangs must not hold us past the timeout. */
	SET(h, CURLOPT_QUICK_EXIT, 1L);
#endif
	SET(h, CURLOPT_TIMEOUT_MS, (long)ms);
	SET(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(h, CURLOPT_ERRORBUFFER, h->error);
	SET(h, CURLOPT_HEADERFUNCTION, on_head);
	SET(h, CURLOPT_HEADERDATA, t);
	SET(h, CURLOPT_WRITEFUNCTION, on_body);
	SET(h, CURLOPT_WRITEDATA, t);
	SET(h, CURLOPT_PREREQFUNCTION, on_sending);
	SET(h, CURLOPT_PREREQDATA, t);
	if (strcmp(q->method, "POST") == 0) {
		SET(h, CURLOPT_POST, 1L);
		SET(h, CURLOPT_POSTFIELDSIZE, (long)q->body.n);
		SET(h, CURLOPT_POSTFIELDS,
		    q->body.n ? (const char *)q->body.p : "");
	}
}

static enum aw_err
tell_proxy(struct http *h, struct why *why)
{
	char host[HOST_SIZE];
	long status = 0;

	url_proxy_host(h->proxy ? h->proxy : "", host);
	curl_easy_getinfo(h->curl, CURLINFO_HTTP_CONNECTCODE, &status);
	if (status == 407)
		return why_set(why, AW_NETWORK,
		    "the proxy %s wants a user name and password", host);
	if (status >= 300)
		return why_set(why, AW_NETWORK,
		    "the proxy %s refuses (HTTP %ld)", host, status);
	return why_set(
	    why, AW_NETWORK, "the proxy %s does not work: %s", host, h->error);
}

/* Was the proxy on the way? With NO_PROXY only curl's own words tell. */
static bool
by_proxy(const struct http *h, const char *url, char proxy[static HOST_SIZE])
{
	char name[HOST_SIZE], *port;

	if (!h->proxy || strncasecmp(url, "http:", 5) == 0)
		return false;
	url_proxy_host(h->proxy, proxy);
	snprintf(name, sizeof(name), "%s", proxy);
	if ((port = strrchr(name, ':')))
		*port = '\0';
	return !h->no_proxy || strstr(h->error, name);
}

static enum aw_err
tell_unreachable(struct http *h, const char *host, const char *url,
    const char *reason, struct why *why)
{
	char proxy[HOST_SIZE];

	if (by_proxy(h, url, proxy))
		return why_set(why, AW_NETWORK,
		    "cannot connect to %s through the proxy %s: %s", host,
		    proxy, reason);
	return why_set(
	    why, AW_NETWORK, "cannot connect to %s: %s", host, reason);
}

static enum aw_err
tell_certificate(struct http *h, const char *host, struct why *why)
{
	const char *reason = strstr(h->error, ": ");

	if (strstr(h->error, "does not match") ||
	    strstr(h->error, "no alternative certificate"))
		return why_set(why, AW_NETWORK,
		    "the certificate of %s is for another host", host);
	return why_set(why, AW_NETWORK,
	    "the certificate of %s is not trusted (%s); CAs: %s", host,
	    reason ? reason + 2 : h->error,
	    h->ca_path ? h->ca_path : "the system's");
}

/* A connection was lost, or never stood: did it stand, and is there a proxy? */
static enum aw_err
tell_connection(
    struct http *h, const struct transfer *t, const char *host, struct why *why)
{
	long connect = 0;

	curl_easy_getinfo(h->curl, CURLINFO_HTTP_CONNECTCODE, &connect);
	if (!t->reply->sent && connect >= 300)
		return tell_proxy(h, why);
	return why_set(why, AW_NETWORK,
	    "the connection to %s broke off, try again: %s", host, h->error);
}

static enum aw_err
tell(struct http *h, CURLcode code, const struct transfer *t, const char *url,
    int ms, struct why *why)
{
	char host[HOST_SIZE];

	url_host(url, host);
	if (h->refused != CURLE_OK)
		return why_set(why, AW_NETWORK,
		    "curl cannot be told how to reach %s: %s", host, h->error);
	if (t->too_large)
		return why_set(why, AW_NETWORK,
		    "the answer of %s is too large to be AWS's", host);
	t->reply->again = true;
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return why_set(why, AW_NETWORK, "cannot resolve %s", host);
	case CURLE_COULDNT_CONNECT:
		return tell_unreachable(h, host, url, h->error, why);
	case CURLE_OPERATION_TIMEDOUT:
		if (!t->reply->sent)
			return tell_unreachable(h, host, url, "timeout", why);
		return why_set(why, AW_NETWORK,
		    "no answer from %s within %d seconds", host,
		    (ms + 999) / 1000);
	case CURLE_PEER_FAILED_VERIFICATION:
		t->reply->again = false;
		return tell_certificate(h, host, why);
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		t->reply->again = false;
		return why_set(
		    why, AW_NETWORK, "no TLS with %s: %s", host, h->error);
	case CURLE_COULDNT_RESOLVE_PROXY:
#if LIBCURL_VERSION_NUM >= 0x074900
	case CURLE_PROXY:
#endif
		return tell_proxy(h, why);
	default:
		return tell_connection(h, t, host, why);
	}
}

/* Where a redirect leads is never followed: it would take the secrets along. */
static enum aw_err
refuse_redirect(const struct reply *a, const char *url, struct why *why)
{
	char host[HOST_SIZE], to[HOST_SIZE] = "";
	AUTOFREE char *target = NULL;
	struct view location;

	url_host(url, host);
	if (reply_header(a, "location", &location) &&
	    (target = view_dup(location)))
		url_host(target, to);
	return why_set(why, AW_NETWORK,
	    "%s redirects to %s (HTTP %ld), which awsenv does not follow", host,
	    to[0] ? to : "somewhere else", a->status);
}

static struct curl_slist *
header_list(const struct http_request *q)
{
	struct curl_slist *list = NULL, *longer;
	int i;

	for (i = 0; i < HTTP_HEADERS && q->headers[i]; i++) {
		if (!(longer = curl_slist_append(list, q->headers[i]))) {
			curl_slist_free_all(list);
			return NULL;
		}
		list = longer;
	}
	return list;
}

enum aw_err
http_do(struct http *h, const struct http_request *q, int ms, struct reply *a,
    struct why *why)
{
	struct transfer t = {a, false};
	struct curl_slist *headers;
	CURLcode code;

	reply_free(a);
	if (!url_may_visit(q->url)) {
		char host[HOST_SIZE];

		url_host(q->url, host);
		return why_set(why, AW_CONFIG,
		    "%s is no https URL (http is for this machine only)", host);
	}
	if (!(headers = header_list(q)))
		return why_set(why, AW_NOMEM, "out of memory");
	h->error[0] = '\0';
	set_request(h, q, headers, &t, ms);
	code = h->refused == CURLE_OK ? curl_easy_perform(h->curl) : h->refused;
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &a->status);
	if (code != CURLE_OK) {
		if (h->error[0] == '\0')
			snprintf(h->error, sizeof(h->error), "%s",
			    curl_easy_strerror(code));
		a->status = 0;
		tell(h, code, &t, q->url, ms, why);
	}
	curl_easy_reset(h->curl); /* it points to what ends with us */
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return AW_NETWORK;
	if (a->status >= 300 && a->status < 400)
		return refuse_redirect(a, q->url, why);
	return AW_OK;
}
