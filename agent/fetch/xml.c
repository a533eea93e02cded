/* SPDX-License-Identifier: ISC */
/*
 * The little of XML that STS needs: elements, text, the five entities and
 * character references, CDATA, comments, one declaration. No DTD, so nothing
 * expands. Prefixes of names are dropped, attributes skipped. What is not well
 * formed is refused as a whole.
 */
#include "fetch.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32

enum part { OPEN, CLOSE, EMPTY, TEXT, LITERAL, END, BAD };

static bool
starts(struct view v, const char *s)
{
	size_t n = strlen(s);

	return v.n >= n && memcmp(v.p, s, n) == 0;
}

static void
advance(struct view *v, size_t n)
{
	v->p += n;
	v->n -= (uint32_t)n;
}

/* Take what stands before `mark`, and the mark. */
static bool
take_until(struct view *v, const char *mark, struct view *out)
{
	const uint8_t *at = memmem(v->p, v->n, mark, strlen(mark));

	if (!at)
		return false;
	*out = (struct view){v->p, (uint32_t)(at - v->p)};
	advance(v, out->n + strlen(mark));
	return true;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A tag's inside up to its '>', which may stand in a quoted attribute too. */
static bool
take_tag(struct view *v, struct view *out)
{
	uint8_t quote = 0;
	uint32_t i;

	for (i = 0; i < v->n; i++) {
		uint8_t c = v->p[i];

		if (quote) {
			if (c == quote)
				quote = 0;
		} else if (c == '"' || c == '\'') {
			quote = c;
		} else if (c == '<') {
			return false;
		} else if (c == '>') {
			*out = (struct view){v->p, i};
			advance(v, (size_t)i + 1);
			return true;
		}
	}
	return false;
}

/* The name at the front of a tag's inside, without its prefix. */
static bool
tag_name(struct view tag, struct view *name)
{
	uint32_t i, from = 0;

	for (i = 0; i < tag.n && !is_blank(tag.p[i]) && tag.p[i] != '/'; i++) {
		if (strchr("=\"'&!?", tag.p[i]))
			return false;
		if (tag.p[i] == ':')
			from = i + 1;
	}
	*name = (struct view){tag.p + from, i - from};
	return name->n > 0;
}

static enum part
next_tag(struct view *v, struct view *name)
{
	struct view tag;

	advance(v, 1);
	if (!take_tag(v, &tag))
		return BAD;
	if (starts(tag, "/")) {
		advance(&tag, 1);
		return tag_name(tag, name) ? CLOSE : BAD;
	}
	if (!tag_name(tag, name))
		return BAD;
	return tag.p[tag.n - 1] == '/' ? EMPTY : OPEN;
}

/* Comments and declarations are passed over; TEXT may hold entities. */
static enum part
next(struct view *v, struct view *out)
{
	for (;;) {
		if (v->n == 0)
			return END;
		if (starts(*v, "<!--")) {
			advance(v, 4);
			if (!take_until(v, "-->", out))
				return BAD;
		} else if (starts(*v, "<?")) {
			if (!take_until(v, "?>", out))
				return BAD;
		} else if (starts(*v, "<![CDATA[")) {
			advance(v, 9);
			return take_until(v, "]]>", out) ? LITERAL : BAD;
		} else if (v->p[0] == '<') {
			return next_tag(v, out);
		} else {
			*out = *v;
			for (out->n = 0; out->n < v->n && v->p[out->n] != '<';
			     out->n++)
				continue;
			advance(v, out->n);
			return TEXT;
		}
	}
}

static void
put_utf8(struct buf *b, unsigned long c)
{
	if (c < 0x80) {
		buf_u8(b, (uint8_t)c);
		return;
	}
	if (c < 0x800) {
		buf_u8(b, (uint8_t)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_u8(b, (uint8_t)(0xe0 | c >> 12));
		} else {
			buf_u8(b, (uint8_t)(0xf0 | c >> 18));
			buf_u8(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		}
		buf_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
}

/* "#10" or "#xA"; NUL, surrogates and what is no character are refused. */
static bool
put_reference(struct buf *b, struct view v)
{
	bool hex = starts(v, "#x");
	char digits[8] = {0};
	unsigned long c;
	char *end;

	advance(&v, hex ? 2 : 1);
	if (v.n == 0 || v.n >= sizeof(digits) || v.p[0] == '+' ||
	    v.p[0] == '-' || is_blank(v.p[0]))
		return false;
	memcpy(digits, v.p, v.n);
	c = strtoul(digits, &end, hex ? 16 : 10);
	if (end != digits + v.n || c == 0 || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return false;
	put_utf8(b, c);
	return true;
}

static bool
put_entity(struct buf *b, struct view name)
{
	static const struct {
		const char *name;
		char c;
	} entities[] = {
	    {"lt", '<'},
	    {"gt", '>'},
	    {"amp", '&'},
	    {"quot", '"'},
	    {"apos", '\''},
	};
	size_t i;

	if (starts(name, "#"))
		return put_reference(b, name);
	for (i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
		if (view_is(name, entities[i].name)) {
			buf_u8(b, (uint8_t)entities[i].c);
			return true;
		}
	}
	return false;
}

static bool
put_text(struct buf *b, struct view v)
{
	struct view entity;

	while (v.n) {
		if (v.p[0] != '&') {
			buf_u8(b, v.p[0]);
			advance(&v, 1);
			continue;
		}
		advance(&v, 1);
		if (!take_until(&v, ";", &entity) || !put_entity(b, entity))
			return false;
	}
	return true;
}

static bool
only_blanks(struct view v)
{
	while (v.n && is_blank(v.p[0]))
		advance(&v, 1);
	return v.n == 0;
}

bool
xml_valid(struct view v)
{
	struct view stack[DEPTH_MAX], out;
	unsigned depth = 0, roots = 0;
	struct buf scratch = {0};
	enum part what;
	bool good = true;

	while (good && (what = next(&v, &out)) != END) {
		if (depth == 0 && (what == OPEN || what == EMPTY))
			good = ++roots == 1;
		if (what == OPEN && depth < DEPTH_MAX)
			stack[depth++] = out;
		else if (what == CLOSE && depth > 0)
			good = view_eq(stack[--depth], out);
		else if (what == TEXT && depth > 0)
			good = put_text(&scratch, out);
		else if (what == TEXT)
			good = only_blanks(out);
		else if (what == LITERAL)
			good = depth > 0;
		else if (what != EMPTY)
			good = false;
		buf_reset(&scratch);
	}
	buf_free(&scratch);
	return good && depth == 0 && roots == 1;
}

/* Does `name` stand at `index` of "Root/Child/..."? *last: nothing follows. */
static bool
is_step(const char *path, unsigned index, struct view name, bool *last)
{
	size_t n;

	for (; index > 0; index--) {
		if (!(path = strchr(path, '/')))
			return false;
		path++;
	}
	n = strcspn(path, "/");
	*last = path[n] == '\0';
	return name.n == n && memcmp(name.p, path, n) == 0;
}

bool
xml_text(struct view v, const char *path, struct buf *out)
{
	unsigned depth = 0, matched = 0;
	bool last = false, inside = false;
	struct view part;
	enum part what;

	buf_reset(out);
	while ((what = next(&v, &part)) != END && what != BAD) {
		if (what == OPEN || what == EMPTY) {
			if (!inside && matched == depth &&
			    is_step(path, depth, part, &last)) {
				matched++;
				inside = last;
			}
			depth++;
		}
		if (inside && matched == depth && what == TEXT)
			put_text(out, part);
		if (inside && matched == depth && what == LITERAL)
			buf_put(out, part.p, part.n);
		if (what == CLOSE || what == EMPTY) {
			if (inside && matched == depth)
				return !out->bad;
			depth--;
			if (matched > depth)
				matched = depth;
		}
	}
	return false;
}
