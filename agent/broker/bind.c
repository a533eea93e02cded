/* SPDX-License-Identifier: ISC */
/*
 * session-bind@openssh.com: whose connection an ssh says that it carries here.
 * A bind is kept as it was said; whether it counts is for request.c to find
 * out. Signatures are not looked at: any host on the way can have genuine ones
 * of other hosts, and who wrote the first bind is not told by it.
 */
#include "broker.h"

#include <sha256.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 16384 /* as long as OpenSSH takes a certificate to be */
#define ID_MAX 128

/* As ssh-keygen -l shows it: base64 without the "=" at its end. */
static void
fingerprint(struct view key, char out[static BIND_HOST])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t hash[SHA256_DIGEST_LENGTH + 1] = {0};
	unsigned int bit, at, pair;
	SHA2_CTX ctx;
	char *p = out;

	SHA256Init(&ctx);
	SHA256Update(&ctx, key.p, key.n);
	SHA256Final(hash, &ctx);
	memcpy(p, "SHA256:", 7);
	p += 7;
	for (bit = 0; bit < 8 * SHA256_DIGEST_LENGTH; bit += 6) {
		at = bit / 8;
		pair = (unsigned int)hash[at] << 8 | hash[at + 1];
		*p++ = digits[pair >> (10 - bit % 8) & 63];
	}
	*p = '\0';
}

/* What is wrong with one poisons its connection: a bind that fails must not
 * leave more rights than one that is taken. */
static bool
read_bind(struct view body, struct view *key, uint8_t *forwarding)
{
	struct view id, signature;

	return view_string(&body, key) && view_string(&body, &id) &&
	    view_string(&body, &signature) && view_u8(&body, forwarding) &&
	    body.n == 0 && key->n > 0 && key->n <= KEY_MAX && id.n > 0 &&
	    id.n <= ID_MAX && signature.n > 0 && *forwarding <= 1;
}

void
bind_take(struct binds *b, struct view body)
{
	char host[BIND_HOST];
	uint8_t forwarding;
	struct view key;

	if (!read_bind(body, &key, &forwarding) || b->n == BINDS_MAX) {
		b->poisoned = true;
		return;
	}
	if (!forwarding)
		b->login = true;
	fingerprint(key, host);
	if (b->n++ == 0)
		memcpy(b->first, host, BIND_HOST);
	else
		buf_put(&b->claims, host, BIND_HOST);
	if (b->claims.bad)
		b->poisoned = true;
}

void
bind_free(struct binds *b)
{
	buf_free(&b->claims);
}
