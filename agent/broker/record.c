/* SPDX-License-Identifier: ISC */
/*
 * Records about which a wrong guess would cost something: a login that is not
 * found would be asked for again, a lock that is not found would be open. What
 * cannot be read, or kept, for want of memory ends this broker, and the next
 * one has more luck: ring and packets stay for it.
 */
#include "broker.h"

#include <stdlib.h>

#include "awsenv/log.h"

bool
record_get(
    enum store_kind kind, struct view id, struct buf *out, struct record *rec)
{
	enum aw_err r = store_get(kind, id, out, rec);

	if (r == AW_DENIED)
		exit(EXIT_RING);
	if (r != AW_OK && r != AW_GONE)
		fatalx("the keyring cannot be read: %s", aw_strerror(r));
	return r == AW_OK;
}

void
record_put(enum store_kind kind, const struct record *rec)
{
	enum aw_err r = store_put(kind, rec);

	if (r == AW_DENIED)
		exit(EXIT_RING);
	if (r == AW_NOMEM)
		fatalx("no memory for the keyring");
	if (r != AW_OK)
		log_err("a login cannot be kept: %s", aw_strerror(r));
}

void
record_each(unsigned int kinds, void (*fn)(const struct store_entry *, void *),
    void *arg)
{
	if (!store_each(kinds, fn, arg))
		fatalx("the keyring cannot be read whole");
}
