/* SPDX-License-Identifier: ISC */
/* Messages as JSON objects, by tables: a member's name, form and place. */
#include <string.h>

#include "agent/cli/cli.h"

static const char *
state_name(uint8_t state)
{
	switch (state) {
	case LOGIN_STARTING:
		return "starting";
	case LOGIN_PENDING:
		return "pending";
	case LOGIN_DONE:
		return "done";
	case LOGIN_FAILED:
		return "failed";
	default:
		return "none";
	}
}

void
json_string(struct buf *b, struct view v)
{
	struct text_char c;

	buf_u8(b, '"');
	while (text_next(&v, &c)) {
		if (c.code == '"' || c.code == '\\')
			buf_u8(b, '\\');
		if (c.printable)
			buf_put(b, c.p, c.n);
		else
			text_add(
			    b, c.n ? "\\u%04x" : "?", (unsigned int)c.code);
	}
	buf_u8(b, '"');
}

void
json_time(struct buf *b, uint64_t when)
{
	char text[ISO_TIME];

	iso_time(text, when);
	if (when && text[0])
		text_add(b, "\"%s\"", text);
	else
		text_add(b, "null");
}

static void
json_value(struct buf *b, enum json_form form, const void *at)
{
	switch (form) {
	case JSON_TEXT:
		json_string(b, *(const struct view *)at);
		break;
	case JSON_COUNT:
		text_add(b, "%u", *(const uint32_t *)at);
		break;
	case JSON_NUMBER:
		text_add(b, "%d", *(const int32_t *)at);
		break;
	case JSON_BOOL:
		text_add(b, *(const uint8_t *)at ? "true" : "false");
		break;
	case JSON_TIME:
		json_time(b, *(const uint64_t *)at);
		break;
	case JSON_STATE:
		text_add(b, "\"%s\"", state_name(*(const uint8_t *)at));
		break;
	case JSON_END:
		break;
	}
}

void
json_name(struct buf *b, const char *name)
{
	if (b->len && !strchr("{[", b->data[b->len - 1]))
		text_add(b, ", ");
	if (*name)
		text_add(b, "\"%s\": ", name);
}

void
json_members(struct buf *b, const struct json_member *m, const void *msg)
{
	for (; m->form != JSON_END; m++) {
		json_name(b, m->name);
		json_value(
		    b, (enum json_form)m->form, (const char *)msg + m->offset);
	}
}
