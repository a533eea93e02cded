/* SPDX-License-Identifier: ISC */
/*
 * The user's files without credentials. Whatever stands in them: what is left
 * are whole lines of theirs, no secret among them, and nothing more is left out
 * a second time.
 */
#include "agent/cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *line;
	bool shadows, again;
	size_t n;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	n = view_filter(text, &shadows);
	MUST(n <= size);
	text[n] = '\0';
	for (line = text; *line; line += strcspn(line, "\r\n")) {
		line += strspn(line, "\r\n \t");
		MUST(strncasecmp(line, "aws_secret_access_key", 21) != 0);
		MUST(*line != '#' && *line != ';');
	}
	MUST(view_filter(text, &again) == n && !again);
	free(text);
	return 0;
}
