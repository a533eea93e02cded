/* SPDX-License-Identifier: ISC */
/*
 * What a stranger sends to a command's endpoint. Whatever it is, and in however
 * many pieces it comes, nothing but the one request with the token is taken.
 */
#include "agent/cli/cli.h"

#include <stdlib.h>
#include <string.h>

#define HOST "127.0.0.1:4711"
#define TOKEN "0123456789abcdef"
#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static bool
is_there(struct view v, const char *word)
{
	size_t n = strlen(word);

	for (; v.n >= n; v.p++, v.n--) {
		if (!memcmp(v.p, word, n))
			return true;
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int verdict, at_end;
	struct view v, head;
	uint8_t *copy;

	if (size > HTTP_MOST)
		return 0;
	/* So that reading behind the end is seen. */
	MUST((copy = malloc(size + !size)));
	memcpy(copy, data, size);
	head = v = (struct view){copy, (uint32_t)size};
	at_end = http_judge(v, HOST, TOKEN);
	for (head.n = 0; head.n < v.n; head.n++) {
		if ((verdict = http_judge(head, HOST, TOKEN)) != 0)
			break;
	}
	/* More can only follow; it changes nothing. */
	if (head.n < v.n)
		MUST(verdict == at_end);
	if (at_end == 200) {
		MUST(head.n > 4 && !memcmp(copy + head.n - 4, "\r\n\r\n", 4));
		MUST(!memcmp(copy, "GET " HTTP_PATH " HTTP/1.", 22));
		MUST(is_there(head, HOST) && is_there(head, TOKEN));
		MUST(!is_there(head, "\r\nOrigin:"));
	}
	free(copy);
	return 0;
}
