/* SPDX-License-Identifier: ISC */
/*
 * Verbs of awsenv-ctl, run as its main() would, with each of their calls
 * failing once in turn, and an agent that always says the same. A test that
 * includes this is linked by the options of verbs.ld: exit(3) is caught, too.
 */
#ifndef VERBS_H
#define VERBS_H

#include <stdint.h>

#include "agent/cli/ctl/ctl.h"
#include "tests/unit/failing.h"

/* ---- the agent: a process of its own, until the test ends */

/* Of several answers to one request, each serves once, the last for ever. */
struct fake_answer {
	const char *name;
	enum msg_kind kind;
	const void *rep;
};

/* The folder for its socket, which is where it is looked for; answers up to one
 * without a name. */
void fake_agent_begin(const char *folder, const struct fake_answer *);
void fake_agent_end(void);

/* Called by its process before it answers; to be set before it begins. */
extern void (*fake_agent_hears)(struct view name, struct view body);

/* What it was asked last, as long as it fits. */
struct fake_asked {
	unsigned int n; /* requests since verb_fails() began this try */
	char name[32];
	uint32_t size;
	uint8_t body[4096];
};
const struct fake_asked *fake_agent_asked(void);

/* ---- a verb */

struct verb_case {
	int (*verb)(const struct options *, char **argv);
	/* options, and operands behind "--"; up to NULL */
	const char *words[16];
	/* Around each try, and after the verb ended, well or not: may be NULL. */
	void (*before)(void);
	void (*after)(int status);
	int status;  /* when nothing fails */
	bool silent; /* what fails is nobody's business: it says nothing */
	/* NULL, or what may stand in what it prints where a part of it failed */
	const char *reports;
	bool several; /* processes of it, and each has its own to say */
};

/* What it wrote to stderr, for after(). */
const char *verb_said(void);

/*
 * Where a call failed, it did all the same what it does else, or it failed,
 * said why in one message on stderr, and wrote no more to stdout than the front of
 * what it writes else. Without memory, it says that. How many calls there were.
 */
unsigned int verb_fails(const struct verb_case *, int with);
/* The same with each of the errors that may be met. */
unsigned int verb_fails_in_all_ways(const struct verb_case *);

/* ---- files */

/* What stands in it now; "" where it is not there. Lives until the next. */
const char *text_of(const char *path);
void text_write(const char *path, const char *text);
/* Files in a folder, but for "." and "..". */
unsigned int files_in(const char *folder);

#endif
