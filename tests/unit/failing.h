/* SPDX-License-Identifier: ISC */
/*
 * Calls of the heap, the system and the keyring that fail when a test wants it.
 * A test that includes this is linked by the options of failing.ld.
 */
#ifndef FAILING_H
#define FAILING_H

#include <stdbool.h>
#include <stddef.h>

#include "awsenv/err.h"

/*
 * Does it all, again and again, with the first, second, ... call failing, until
 * none is left to fail; how many there were. `what` says how it went: never
 * AW_OK if a call failed, unless `again` says that it may do without. What it
 * allocated and opened it has given back.
 */
unsigned int each_fails(enum aw_err (*what)(void), int with, bool again);

/*
 * The same in a process of its own each time, for what may also end the process
 * with a word (fatal(), status 1). It asserts nothing by cmocka: must() instead.
 * What is left allocated and opened is no more than when nothing fails, but
 * for a text or two that say why it did. With FAILING_FEW in the environment one
 * in eight stands for the others beyond the eighth, and a lack of memory for all
 * that may go wrong: a process takes memcheck a quarter of a second.
 */
unsigned int each_fails_apart(enum aw_err (*what)(void), int with, bool again);

/* What the test does for itself in between neither fails nor counts. */
void failing_rest(void);
void failing_go(void);
/* From here on none fails. */
void failing_heal(void);
/* A call did fail by now, here or in a process that was forked since the try
 * began; which one. */
bool failing_did(void);
const char *failing_name(void);
/* Zeroed memory for all of the processes that a test consists of. */
void *failing_shared(size_t size);
/* A stand-in's call, which counts as one and is to fail now. */
bool failing_this(const char *name);

#define must(true_) must_be(true_, #true_, __FILE__, __LINE__)
void must_be(bool true_, const char *what, const char *file, int line);

#endif
