/* SPDX-License-Identifier: ISC */
#include "broker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"

/* Control characters, and their second set as UTF-8 has it (C2 80 to C2 9F). */
static void
clean(char *s)
{
	unsigned char *p;

	for (p = (unsigned char *)s; *p; p++) {
		if (*p < ' ' || *p == 0x7f)
			*p = '?';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[0] = p[1] = '?';
	}
}

void
text_set(char **out, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		fatal("text");
	va_end(ap);
	clean(s);
	free(*out); /* last: the arguments may point into it */
	*out = s;
}

char *
text_dup(struct view v)
{
	char *s = strndup(v.n ? (const char *)v.p : "", v.n);

	if (!s)
		fatal("text");
	return s;
}
