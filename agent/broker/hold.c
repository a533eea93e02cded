/* SPDX-License-Identifier: ISC */
#include "broker.h"

void
hold_on(struct holds *list, struct hold *h)
{
	hold_off(h);
	LIST_INSERT_HEAD(list, h, entry);
	h->on = true;
}

void
hold_off(struct hold *h)
{
	if (!h->on)
		return;
	LIST_REMOVE(h, entry);
	h->on = false;
}

void
hold_wake(struct holds *list, enum aw_err error, const char *text)
{
	struct holds now;
	struct hold *h;

	/* Those called may close others of the list: it stays a real one. */
	LIST_INIT(&now);
	if ((now.lh_first = list->lh_first))
		now.lh_first->entry.le_prev = &now.lh_first;
	LIST_INIT(list);
	while ((h = LIST_FIRST(&now))) {
		hold_off(h);
		h->fn(h->arg, error, text);
	}
}
