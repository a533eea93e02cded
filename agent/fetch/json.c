/* SPDX-License-Identifier: ISC */
/*
 * JSON documents, over cJSON for reading. Writing is our own: values are views
 * of wiping buffers, and cJSON would want copies with a NUL.
 */
#include "fetch.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* struct json is a cJSON that nobody above has to know. */
static const cJSON *
node(const struct json *j)
{
	return (const void *)j;
}

/* Well-formed UTF-8, without surrogates and overlong forms. */
static bool
is_utf8(struct view v)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	uint32_t i, c, more;

	for (i = 0; i < v.n; i++) {
		c = v.p[i];
		more = c < 0x80 ? 0
		    : c < 0xc0	? 4
		    : c < 0xe0	? 1
		    : c < 0xf0	? 2
				: 3;
		if (more == 4 || c > 0xf4 || more > v.n - i - 1)
			return false;
		c &= more ? 0x3fu >> more : 0x7fu;
		for (uint32_t n = 0; n < more; n++) {
			if ((v.p[++i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (v.p[i] & 0x3f);
		}
		if (c < least[more] || c > 0x10ffff ||
		    (c >= 0xd800 && c < 0xe000))
			return false;
	}
	return true;
}

/* cJSON's strings end at a NUL: one in the middle would cut a secret short. */
static bool
has_nul(struct view v)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (v.p[i] == '\0')
			return true;
		if (v.p[i] != '\\')
			continue;
		if (v.n - i > 5 && memcmp(v.p + i, "\\u0000", 6) == 0)
			return true;
		i++;
	}
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * Stricter than cJSON, which takes a byte order mark, any bytes within a
 * string, and whatever stands behind the document. It says nothing of why it
 * gave up, but an allocation that failed was the last thing it did.
 */
struct json *
json_parse(struct view v)
{
	const char *end, *rest;
	cJSON *j;

	errno = 0;
	while (v.n && is_blank((char)v.p[0])) {
		v.p++;
		v.n--;
	}
	if (v.n == 0 || v.p[0] != '{' || has_nul(v) || !is_utf8(v))
		return NULL;
	end = (const char *)v.p + v.n;
	if (!(j = cJSON_ParseWithLengthOpts(
		  (const char *)v.p, v.n, &rest, false)))
		return NULL;
	while (rest < end && is_blank(*rest))
		rest++;
	if (rest < end || !cJSON_IsObject(j)) {
		cJSON_Delete(j);
		return NULL;
	}
	return (void *)j;
}

void
json_free(struct json *j)
{
	cJSON_Delete((void *)j);
}

/* Of a member that is there twice the last counts, as for other readers. */
static const cJSON *
member(const struct json *j, const char *name)
{
	const cJSON *m, *found = NULL;

	for (m = j ? node(j)->child : NULL; m; m = m->next) {
		if (m->string && strcmp(m->string, name) == 0)
			found = m;
	}
	return found;
}

bool
json_string(const struct json *j, const char *name, struct view *out)
{
	const cJSON *m = member(j, name);

	if (!m || !cJSON_IsString(m) || !m->valuestring)
		return false;
	*out = view_str(m->valuestring);
	return true;
}

/* Digits in quotes are a number too, for other readers of AWS's answers. */
static bool
number_of(const cJSON *m, double *out)
{
	const char *s;
	char *end;

	if (!m)
		return false;
	if (cJSON_IsNumber(m)) {
		*out = m->valuedouble;
		return true;
	}
	if (!cJSON_IsString(m) || !(s = m->valuestring) ||
	    strspn(s, "0123456789") != strlen(s))
		return false;
	*out = strtod(s, &end);
	return end > s;
}

bool
json_number(const struct json *j, const char *name, int64_t *out)
{
	const double exact = 9007199254740992.0; /* 2^53 */
	double d;

	if (!number_of(member(j, name), &d) || !(d >= -exact && d <= exact))
		return false;
	*out = (int64_t)d;
	return true;
}

const struct json *
json_object(const struct json *j, const char *name)
{
	const cJSON *m = member(j, name);

	return cJSON_IsObject(m) ? (const void *)m : NULL;
}

const struct json *
json_array(const struct json *j, const char *name)
{
	const cJSON *m = member(j, name);

	return cJSON_IsArray(m) ? (const void *)m : NULL;
}

const struct json *
json_each(const struct json *array, const struct json *after)
{
	const cJSON *next = after ? node(after)->next
	    : array		  ? node(array)->child
				  : NULL;

	while (next && !cJSON_IsObject(next))
		next = next->next;
	return (const void *)next;
}

static void
put_quoted(struct buf *b, struct view v)
{
	char escape[8];
	uint32_t i;

	buf_u8(b, '"');
	for (i = 0; i < v.n; i++) {
		if (v.p[i] < ' ') {
			snprintf(escape, sizeof(escape), "\\u%04x", v.p[i]);
			buf_put(b, escape, 6);
			continue;
		}
		if (v.p[i] == '"' || v.p[i] == '\\')
			buf_u8(b, '\\');
		buf_u8(b, v.p[i]);
	}
	buf_u8(b, '"');
}

static void
put_name(struct buf *b, const char *name)
{
	buf_u8(b, b->len ? ',' : '{');
	put_quoted(b, view_str(name));
	buf_u8(b, ':');
}

void
json_put(struct buf *b, const char *name, struct view v)
{
	put_name(b, name);
	put_quoted(b, v);
}

/* The next item of "a, b,c", without blanks around it. */
static struct view
next_item(struct view *list)
{
	struct view item = {list->p, 0};

	while (item.n < list->n && list->p[item.n] != ',')
		item.n++;
	list->p += item.n;
	list->n -= item.n;
	if (list->n) {
		list->p++;
		list->n--;
	}
	while (item.n && item.p[0] == ' ') {
		item.p++;
		item.n--;
	}
	while (item.n && item.p[item.n - 1] == ' ')
		item.n--;
	return item;
}

void
json_put_list(struct buf *b, const char *name, struct view list)
{
	struct view item;
	bool first = true;

	put_name(b, name);
	buf_u8(b, '[');
	while (list.n) {
		item = next_item(&list);
		if (item.n == 0)
			continue;
		if (!first)
			buf_u8(b, ',');
		put_quoted(b, item);
		first = false;
	}
	buf_u8(b, ']');
}

void
json_end(struct buf *b)
{
	buf_put(b, b->len ? "}" : "{}", b->len ? 1 : 2);
}
