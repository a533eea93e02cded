/* SPDX-License-Identifier: ISC */
/* The verb configure, grouped by file. */
#ifndef AWSENV_CTL_CONFIGURE_H
#define AWSENV_CTL_CONFIGURE_H

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/edit.h"

/* What is to be written, by options or by a person's answers. */
struct plan {
	const struct options *options;
	struct options who; /* for the agent: the session alone */
	struct file file;
	char session[128];
	char start_url[2048];
	char sso_region[REGION];
	const char *region;
	const char *names;  /* template */
	const char *awsenv; /* for credential_process */
	bool found;	    /* the file has the session already ... */
	bool elsewhere; /* ... and the session's section is not in our block */
};

/* wanted.c: the body of our block. */

/* "{account_name}-{role}" of that role, in letters that need no quotes. NULL:
 * the template has a placeholder that is none. */
const char *wanted_name(
    const char *names, const char *session, const struct grant_row *);
/*
 * The block's body for these roles, and for what was in it before and is not
 * among them (unless `prune`); how many of them are new, and gone. False: told
 * why not.
 */
struct wanted {
	size_t profiles;
	size_t gone;
};
bool wanted_body(const struct plan *, const struct grant_list *, bool prune,
    struct text *body, struct wanted *);

/* moved.c: profiles that are there already, in another form. */

int moved_verb(const struct options *, const char *from);

/* wizard.c: the same by questions. False: the person gave up. */

bool wizard_login(struct plan *);
bool wizard_roles(struct plan *, struct grant_list *);

/* changed.c: for programs, on standard output. False: told why not. */

bool changes_print(const struct file *, const struct text *new, bool written);

/* configure.c */

/* Write it, or show what would be written; the exit status. */
int configure_finish(const struct options *, const struct file *,
    const struct text *new, const char *done);
/* Where a program finds awsenv. */
const char *configure_awsenv(void);

#endif
