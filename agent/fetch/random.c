/* SPDX-License-Identifier: ISC */
#include "fetch.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

void
random_base64(struct buf *out, const uint8_t *p, int n)
{
	unsigned char text[4 * (RANDOM_BYTES / 3) + 1];
	int len = EVP_EncodeBlock(text, p, n), i;

	for (i = 0; i < len && text[i] != '='; i++)
		buf_u8(out,
		    text[i] == '+'	 ? '-'
			: text[i] == '/' ? '_'
					 : text[i]);
	OPENSSL_cleanse(text, sizeof(text));
}

bool
random_text(struct buf *out)
{
	uint8_t bytes[RANDOM_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return false;
	random_base64(out, bytes, sizeof(bytes));
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return !out->bad;
}
