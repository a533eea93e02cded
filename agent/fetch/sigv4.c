/* SPDX-License-Identifier: ISC */
/*
 * AWS Signature Version 4. libcurl has one too, but it differs between 7.75
 * and 8.4 and breaks on ports other than the usual.
 */
#include "fetch.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "awsenv/own.h"

#define DAY 8 /* YYYYMMDD */
#define ALGORITHM "AWS4-HMAC-SHA256"

static void
put(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

static void
put_hex(struct buf *b, const uint8_t hash[static SHA256_DIGEST_LENGTH])
{
	char hex[3];
	int i;

	for (i = 0; i < SHA256_DIGEST_LENGTH; i++) {
		snprintf(hex, sizeof(hex), "%02x", hash[i]);
		buf_put(b, hex, 2);
	}
}

static bool
put_hash(struct buf *b, struct view v)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];

	if (!EVP_Digest(v.p, v.n, hash, NULL, EVP_sha256(), NULL))
		return false;
	put_hex(b, hash);
	return true;
}

static void
put_names(struct buf *b, const struct sigv4 *s)
{
	size_t i;

	for (i = 0; i < s->n_headers; i++) {
		put(b, i ? ";" : "");
		put(b, s->headers[i].name);
	}
}

static void
put_scope(struct buf *b, const struct sigv4 *s)
{
	buf_put(b, s->date, DAY);
	put(b, "/");
	buf_put(b, s->region.p, s->region.n);
	put(b, "/");
	put(b, s->service);
	put(b, "/aws4_request");
}

static bool
put_canonical(struct buf *b, const struct sigv4 *s)
{
	size_t i;

	put(b, s->method);
	put(b, "\n");
	put(b, s->path);
	put(b, "\n");
	put(b, s->query);
	put(b, "\n");
	for (i = 0; i < s->n_headers; i++) {
		put(b, s->headers[i].name);
		put(b, ":");
		buf_put(b, s->headers[i].value.p, s->headers[i].value.n);
		put(b, "\n");
	}
	put(b, "\n");
	put_names(b, s);
	put(b, "\n");
	return put_hash(b, s->body) && !b->bad;
}

/* key = HMAC(key, text): a link of the chain from secret to signature. */
static bool
chain(struct buf *key, const void *text, size_t n)
{
	uint8_t mac[SHA256_DIGEST_LENGTH];
	bool good =
	    HMAC(EVP_sha256(), key->data, (int)key->len, text, n, mac, NULL);

	buf_reset(key);
	buf_put(key, mac, sizeof(mac));
	explicit_bzero(mac, sizeof(mac));
	return good && !key->bad;
}

bool
sigv4_authorization(const struct sigv4 *s, struct view access_key,
    struct view secret_key, struct buf *out)
{
	AUTOBUF struct buf canonical = {0}, text = {0}, key = {0};

	if (strlen(s->date) < DAY || !put_canonical(&canonical, s))
		return false;
	put(&text, ALGORITHM "\n");
	put(&text, s->date);
	put(&text, "\n");
	put_scope(&text, s);
	put(&text, "\n");
	put(&key, "AWS4");
	buf_put(&key, secret_key.p, secret_key.n);
	if (!put_hash(&text, view_of(&canonical)) || text.bad || key.bad ||
	    !chain(&key, s->date, DAY) ||
	    !chain(&key, s->region.p, s->region.n) ||
	    !chain(&key, s->service, strlen(s->service)) ||
	    !chain(&key, "aws4_request", strlen("aws4_request")) ||
	    !chain(&key, text.data, text.len))
		return false;
	put(out, ALGORITHM " Credential=");
	buf_put(out, access_key.p, access_key.n);
	put(out, "/");
	put_scope(out, s);
	put(out, ", SignedHeaders=");
	put_names(out, s);
	put(out, ", Signature=");
	put_hex(out, key.data);
	return !out->bad;
}
