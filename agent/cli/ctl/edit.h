/* SPDX-License-Identifier: ISC */
/*
 * ~/.aws/config as text that belongs to somebody: what is not ours stays as it
 * is, byte for byte. Pure, but for file.c.
 */
#ifndef AWSENV_CTL_EDIT_H
#define AWSENV_CTL_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "awsenv/buf.h"
#include "awsenv/err.h"

/* Unlike struct buf without a limit; NUL-terminated, the NUL is not counted. */
struct text {
	char *p;
	size_t n;
	bool bad; /* there was no memory for all of it */
};

void text_free(struct text *);

/* lines.c: a text that grows, and the grammar of botocore's reader, as far as
 * it takes to find one's way. */

/* (A stream in memory would not say that it lost something halfway.) */
void text_put(struct text *, const char *, size_t);
void text_form(struct text *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Whole, or nothing and AW_NOMEM. */
enum aw_err text_end(struct text *);

enum line_kind { LINE_OTHER, LINE_SECTION, LINE_KEY, LINE_MORE };
enum line_of { OF_NOTHING, OF_PROFILE, OF_SESSION, OF_OTHER };

struct line {
	const char *p; /* with its end of line, if it has one */
	size_t n;
	enum line_kind kind;
	enum line_of of;  /* which kind of section it stands in */
	struct view name; /* of that section */
	struct view key;  /* LINE_KEY, as it is written */
	struct view value;
};

struct lines {
	const char *rest, *end;
	struct line now;
	bool has_key;
	size_t indent; /* of the key */
};

void lines_begin(struct lines *, const struct text *);
bool lines_next(struct lines *);			/* fills in ->now */
bool line_is_key(const struct line *, const char *key); /* blind to case */
bool line_starts(const struct line *, const char *);

/* block.c: what stands between two lines of ours. */

/* AW_GONE: there is none. AW_CONFIG: it is damaged, at *line. */
enum aw_err block_find(const struct text *, const char *session,
    struct text *body, unsigned int *line);
/* Put the body there, or at the end of the file. */
enum aw_err block_put(const struct text *, const char *session,
    const struct text *body, struct text *out, unsigned int *line);

/* swap.c: lines of a profile that are put out of use, and others for them. */

struct swap {
	struct text *out;
	/* The lines to have instead, or NULL to leave this profile alone. */
	const char *(*wanted)(void *arg, struct view profile);
	/* Is this one of those they replace? */
	bool (*replaced)(void *arg, const struct line *);
	void *arg;
};

enum aw_err swap_lines(
    const struct text *, const struct swap *, size_t *changed);
enum aw_err swap_undo(const struct text *, struct text *out);
/* All that was ever put in, and back what was put out of use; a session: its
 * block alone. */
enum aw_err edit_undo(const struct text *, const char *session,
    struct text *out, unsigned int *line);

/* file.c: the file itself. */

struct file {
	char *path;   /* of the link's target */
	char *folder; /* the part before the last slash */
	struct text text;
	unsigned int mode;
	bool there;
	uint64_t stamp[4];
	uint32_t uid, gid;
};

/* False: told why. */
bool file_load(struct file *, const char *path);
bool file_save(const struct file *, const struct text *);
void file_free(struct file *);

/* diff.c */

/* What would change, as diff -u has it. */
bool diff_print(const char *path, const struct text *, const struct text *);

#endif
