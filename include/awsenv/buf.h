/* SPDX-License-Identifier: ISC */
/*
 * The one buffer type. It grows by allocate, copy, wipe (never realloc, which
 * would leave a copy behind) and wipes on reset and free, so that there is no
 * second type for secrets to forget. A failed append sets `bad`; check it once
 * at the end. BUF_MAX is ssh-agent's limit on a message.
 *
 * A view points into memory that somebody else owns and dies with it. Print
 * one with "%.*s", VIEW_ARG(v).
 */
#ifndef AWSENV_BUF_H
#define AWSENV_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUF_MAX (256 * 1024)

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	bool bad;   /* an append failed: no memory, or past BUF_MAX ... */
	bool full;  /* ... and it was the latter */
	bool fixed; /* data is somebody else's, cap bytes of it, and stays */
};

struct view {
	const uint8_t *p;
	uint32_t n;
};

#define VIEW_ARG(v) (int)(v).n, (const char *)(v).p

void buf_free(struct buf *);  /* wipes; the struct may be used again */
void buf_reset(struct buf *); /* wipes, keeps the memory */
void buf_put(struct buf *, const void *, size_t);
void buf_u8(struct buf *, uint8_t);
void buf_u32(struct buf *, uint32_t); /* big endian, as in RFC 4251 */
void buf_u64(struct buf *, uint64_t);
void buf_string(struct buf *, struct view); /* u32 length, then the bytes */
void buf_eat(struct buf *, size_t);	    /* drop from the front, wiping */
/* Room for n more bytes at data + len, or false with `bad` set. */
bool buf_reserve(struct buf *, size_t n);

/* Readers: take from the front of *v; false, and *v unchanged, if short. */
bool view_u8(struct view *v, uint8_t *);
bool view_u32(struct view *v, uint32_t *);
bool view_u64(struct view *v, uint64_t *);
bool view_string(struct view *v, struct view *);

struct view view_of(const struct buf *);
struct view view_str(const char *); /* NULL gives the empty view */
bool view_eq(struct view, struct view);
bool view_is(struct view, const char *);
bool view_eq_nocase(struct view, struct view); /* of ASCII's letters */
bool view_is_digits(struct view, uint32_t n);  /* n of them, no more */
/* A NUL-terminated copy that the caller frees; NULL if no memory or if the
 * view has a NUL in it. */
char *view_dup(struct view);
/* Entries of a list "NAME=value\0NAME=value\0": the next one, false at the end.
 * An entry without its NUL ends the list. */
bool view_entry(struct view *list, struct view *entry);
/* Is it one of them, whole? */
bool view_has(struct view list, struct view entry);
/* The value of NAME in such a list; false if it is not there. */
bool view_find(struct view list, const char *name, struct view *value);

/*
 * The strings one after the other, up to a NULL, in dst with its NUL; false,
 * and dst empty, if that is more than `size` bytes. For what would otherwise be
 * a strcpy: snprintf is a fifth of what the wrapper weighs.
 */
bool str_join(char *dst, size_t size, ...) __attribute__((sentinel));

#endif
