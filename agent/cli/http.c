/* SPDX-License-Identifier: ISC */
/*
 * Is this the request that the command's SDK makes? One form is right and all
 * else is refused, so nothing here has to be understood: no body, no encoding,
 * no second request. It knows neither sockets nor credentials.
 */
#include <string.h>

#include "agent/cli/cli.h"

/* The next line without its end; one that ends with a bare newline keeps it,
 * which no line may have. False: it is not all there. */
static bool
line_next(struct view *text, struct view *line)
{
	const uint8_t *end = text->n ? memchr(text->p, '\n', text->n) : NULL;

	if (!end)
		return false;
	line->p = text->p;
	line->n = (uint32_t)(end - text->p) + 1;
	text->p += line->n;
	text->n -= line->n;
	if (line->n > 1 && end[-1] == '\r')
		line->n -= 2;
	return true;
}

static bool
is_text(struct view v)
{
	for (; v.n; v.p++, v.n--) {
		if ((*v.p < ' ' && *v.p != '\t') || *v.p >= 0x7f)
			return false;
	}
	return true;
}

static bool
taken(struct view *v, const char *word)
{
	size_t n = strlen(word);

	if (v->n < n || memcmp(v->p, word, n) != 0)
		return false;
	v->p += n;
	v->n -= (uint32_t)n;
	return true;
}

/* The header's value without the blanks around it, if it has that name. */
static bool
value_of(struct view line, const char *name, struct view *value)
{
	for (; *name; name++, line.p++, line.n--) {
		if (!line.n || (*line.p | ('a' ^ 'A')) != *name)
			return false;
	}
	if (!taken(&line, ":"))
		return false;
	while (taken(&line, " ") || taken(&line, "\t"))
		continue;
	while (line.n && strchr(" \t", line.p[line.n - 1]))
		line.n--;
	*value = line;
	return true;
}

/* Takes as long wherever they differ. */
static bool
is_same(struct view v, const char *word)
{
	unsigned char differ = 0;
	uint32_t i;

	if (v.n != strlen(word))
		return false;
	for (i = 0; i < v.n; i++)
		differ |= v.p[i] ^ (unsigned char)word[i];
	return !differ;
}

static bool
is_header(struct view line)
{
	const char *name = LETTERS SMALL DIGITS "-_.!#$%&'*+^`|~";
	uint32_t i;

	for (i = 0; i < line.n && strchr(name, line.p[i]); i++)
		continue;
	return i > 0 && i < line.n && line.p[i] == ':';
}

static unsigned int
first_line(struct view line)
{
	if (!taken(&line, "GET "))
		return 405;
	if (!taken(&line, HTTP_PATH " "))
		return 404;
	return view_is(line, "HTTP/1.1") || view_is(line, "HTTP/1.0") ? 200
								      : 400;
}

unsigned int
http_judge(struct view text, const char *host, const char *token)
{
	unsigned int verdict, hosts = 0, tokens = 0;
	struct view line, v, rest = text;
	bool wrong = false;

	if (!line_next(&rest, &line))
		return text.n < HTTP_MOST ? 0 : 431;
	if (!is_text(line))
		return 400;
	verdict = first_line(line);
	for (;;) {
		if (!line_next(&rest, &line))
			return text.n < HTTP_MOST ? 0 : 431;
		if (!line.n)
			break;
		if (!is_text(line) || !is_header(line))
			return 400;
		if (value_of(line, "host", &v)) {
			hosts++;
			wrong |= !is_same(v, host);
		} else if (value_of(line, "authorization", &v)) {
			tokens++;
			wrong |= !is_same(v, token);
		} else if (value_of(line, "origin", &v)) {
			wrong = true;
		}
	}
	/* A page in a browser knows neither; a name that was made to point here
	 * shows in Host. */
	if (wrong || hosts != 1 || tokens != 1)
		return 403;
	return verdict;
}
