/* SPDX-License-Identifier: ISC */
/*
 * A hash table with open addressing; nothing is ever taken out. The hash is
 * plain FNV-1a: who writes a config against it slows down his own reader, which
 * has a time limit like every other that hangs.
 */
#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"

#include "profile.h"

struct map_slot {
	struct view key; /* .p is NULL: free */
	uint32_t space;
	uint32_t hash;
	void *value;
};

static uint32_t
map_hash(uint32_t space, struct view key)
{
	uint64_t h = 14695981039346656037u ^ space;
	uint32_t i;

	h *= 1099511628211u;
	for (i = 0; i < key.n; i++)
		h = (h ^ key.p[i]) * 1099511628211u;
	return (uint32_t)(h ^ h >> 32);
}

static struct map_slot *
map_find(const struct map *m, uint32_t hash, uint32_t space, struct view key)
{
	size_t i = hash & (m->cap - 1);
	struct map_slot *s;

	for (;; i = (i + 1) & (m->cap - 1)) {
		s = &m->slots[i];
		if (!s->key.p ||
		    (s->hash == hash && s->space == space &&
			view_eq(s->key, key)))
			return s;
	}
}

static void
map_grow(struct map *m)
{
	struct map old = *m;
	size_t i;

	m->cap = old.cap ? old.cap * 2 : 64;
	if (!(m->slots = calloc(m->cap, sizeof(*m->slots))))
		fatalx("out of memory");
	for (i = 0; i < old.cap; i++) {
		struct map_slot *s = &old.slots[i];

		if (s->key.p)
			*map_find(m, s->hash, s->space, s->key) = *s;
	}
	free(old.slots);
}

void *
map_get(const struct map *m, uint32_t space, struct view key)
{
	struct map_slot *s;

	if (!m->cap || !key.p)
		return NULL;
	s = map_find(m, map_hash(space, key), space, key);
	return s->key.p ? s->value : NULL;
}

void **
map_at(struct map *m, uint32_t space, struct view key)
{
	uint32_t hash = map_hash(space, key);
	struct map_slot *s;

	if (!key.p)
		fatalx("map: no key");
	if (m->used * 2 >= m->cap)
		map_grow(m);
	s = map_find(m, hash, space, key);
	if (!s->key.p) {
		*s = (struct map_slot){key, space, hash, NULL};
		m->used++;
	}
	return &s->value;
}

void
map_free(struct map *m)
{
	free(m->slots);
	*m = (struct map){0};
}
