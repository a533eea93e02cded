/* SPDX-License-Identifier: ISC */
/*
 * The hash of a passphrase: slow and large, so that guessing is. In a process
 * of its own, since it takes a tenth of a second and 64 MiB that nobody else is
 * to wait for; over libsodium. No network is touched.
 */
#include "fetch.h"

#include <sodium.h>

#include "awsenv/own.h"

enum aw_err
lock_hash(struct talk *t)
{
	struct view p = t->fetch.passphrase;
	char hash[crypto_pwhash_STRBYTES] = "";
	AUTOFREE char *known = NULL;
	struct answer a = {.last = true};

	if (sodium_init() < 0)
		return why_set(&t->why, AW_SYSTEM, "libsodium does not begin");
	if (t->fetch.hash.n) {
		if (!(known = view_dup(t->fetch.hash)))
			return AW_NOMEM;
		if (crypto_pwhash_str_verify(known, (const char *)p.p, p.n) !=
		    0)
			return why_set(&t->why, AW_DENIED, "wrong passphrase");
	} else {
		if (crypto_pwhash_str(hash, (const char *)p.p, p.n,
			crypto_pwhash_OPSLIMIT_INTERACTIVE,
			crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
			return why_set(&t->why, AW_NOMEM,
			    "no memory for the hash of a passphrase");
		a.hash = view_str(hash);
	}
	return talk_answer(t, &a);
}
