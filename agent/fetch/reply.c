/* SPDX-License-Identifier: ISC */
/* An answer's headers. */
#include "fetch.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

void
reply_free(struct reply *a)
{
	buf_free(&a->head);
	buf_free(&a->body);
	*a = (struct reply){0};
}

bool
reply_header(const struct reply *a, const char *name, struct view *out)
{
	struct view rest = view_of(&a->head), line;
	size_t n = strlen(name);
	const uint8_t *end;

	while (rest.n && (end = memchr(rest.p, '\n', rest.n))) {
		line = (struct view){rest.p, (uint32_t)(end - rest.p)};
		rest = (struct view){end + 1, rest.n - line.n - 1};
		if (line.n <= n || line.p[n] != ':' ||
		    strncasecmp((const char *)line.p, name, n) != 0)
			continue;
		line.p += n + 1;
		line.n -= (uint32_t)n + 1;
		while (line.n && (line.p[0] == ' ' || line.p[0] == '\t')) {
			line.p++;
			line.n--;
		}
		while (line.n && strchr(" \t\r", line.p[line.n - 1]))
			line.n--;
		*out = line;
		return true;
	}
	return false;
}

bool
reply_date(const struct reply *a, time_t *out)
{
	char text[64];
	struct view v;

	if (!reply_header(a, "date", &v) || v.n >= sizeof(text))
		return false;
	text_clean(text, sizeof(text), v);
	*out = curl_getdate(text, NULL);
	return *out > 0;
}
