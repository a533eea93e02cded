/* SPDX-License-Identifier: ISC */
/*
 * What was handed out and what was refused: the last thousand, in memory that
 * supervisor, broker and spawner share. The broker adds a line after its reply
 * and never waits; the spawner brings it to the journal as fast as that takes
 * it; the supervisor keeps the memory for the next broker. It holds names and
 * access key ids, no secret, and either of the two that write it is taken for
 * hostile by the other.
 */
#ifndef AWSENV_AUDIT_H
#define AWSENV_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "awsenv/buf.h"

#define AUDIT_LINES 1024

/* Texts are printable ASCII and end with a NUL; what is longer is cut. */
struct audit_line {
	uint64_t number; /* counts from 1 */
	uint64_t time;
	uint32_t error; /* enum aw_err; AW_OK: credentials were handed out */
	int32_t pid;	/* of the peer; 0: not of our pid namespace */
	char request[24];
	char origin[24];
	char profile[64];
	char account[16];
	char role[68];
	char key[32];	  /* access key id */
	char host[64];	  /* fingerprint of the first host key */
	char hops[128];	  /* what later binds claim */
	char program[64]; /* the spawner adds it */
};

struct audit;

/* Such memory, as a descriptor; -1 with errno. */
int audit_make(void);
/* Has this version made it? */
bool audit_is(int fd);
/* NULL: no. It stays mapped. */
struct audit *audit_map(int fd);
/* A copy of the text, made printable. */
void audit_text(char *out, size_t size, struct view);
#define AUDIT_TEXT(member, view) audit_text(member, sizeof(member), view)

/* Add a line; its number is set here. */
void audit_add(struct audit *, const struct audit_line *);
/* The numbers of the oldest that is there, and of the next that will be. */
uint64_t audit_first(const struct audit *);
uint64_t audit_next(const struct audit *);
/* False: it is gone, or not there yet. */
bool audit_get(const struct audit *, uint64_t number, struct audit_line *);
/* The spawner's: what program that peer was; how far the journal has come. */
void audit_program(struct audit *, uint64_t number, const char *program);
uint64_t audit_written(const struct audit *);
void audit_set_written(struct audit *, uint64_t next);

#endif
