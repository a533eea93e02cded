/* SPDX-License-Identifier: ISC */
/*
 * The codec: byte 0 says which message the rest is. What is decoded gives the
 * same bytes when it is encoded; a list never makes an entry out of nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "awsenv/msg.h"
#include "awsenv/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

union any {
	uint64_t align;
	uint8_t room[2048]; /* more than any message */
};

static void
round_trip(enum msg_kind kind, struct view v)
{
	AUTOBUF struct buf b = {0};
	union any msg;

	if (!msg_decode(kind, v, &msg))
		return;
	msg_encode(kind, &msg, &b);
	if (b.bad || !view_eq(view_of(&b), v))
		abort();
}

static void
walk_list(enum msg_kind kind, struct view v)
{
	AUTOBUF struct buf b = {0};
	struct view list = v, walked = v;
	union any msg;

	while (msg_each(kind, &list, &msg))
		msg_append(kind, &msg, &b);
	walked.n = v.n - list.n;
	if (b.bad || !view_eq(view_of(&b), walked))
		abort();
}

static void
walk_texts(struct view v)
{
	struct view list = v, entry, value;

	while (view_entry(&list, &entry)) {
		if (!view_has(v, entry) ||
		    (entry.n && memchr(entry.p, '\0', entry.n)))
			abort();
	}
	if (view_has(v, (struct view){v.p, v.n + 1}))
		abort();
	if (view_find(v, "AWS_REGION", &value) &&
	    (value.p < v.p || value.p + value.n > v.p + v.n))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct view v = {p + 1, (uint32_t)n - 1};

	if (n < 1 || n > BUF_MAX)
		return 0;
	round_trip(p[0] % MSG__MAX, v);
	walk_list(p[0] % MSG__MAX, v);
	walk_texts(v);
	return 0;
}
