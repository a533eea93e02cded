/* SPDX-License-Identifier: ISC */
/* Which files a process may still reach: Landlock, as far as the kernel has it. */
#ifndef AWSENV_FENCE_H
#define AWSENV_FENCE_H

#include <stdbool.h>

struct fence {
	const char *const *readable; /* with all below; ends in NULL */
	const char *file;	     /* one more to read, or NULL */
	const char *const *runnable; /* by exec; ends in NULL */
	bool tcp;		     /* stays open */
	bool signals;		     /* to other processes, too */
};

/*
 * From now on, and for good, also through exec: nothing else is opened, nothing
 * is written, made, removed or run; where the kernel knows how, no TCP, and no
 * signal or abstract socket of a process outside. Descriptors that are open
 * stay so. A path that is not there is passed over. Wants no_new_privs.
 * Landlock's version, or 0: it is not to be had, and nothing has changed.
 */
int fence_enter(const struct fence *);

/* Landlock's version on this kernel; 0: it has none, or it is switched off. */
int fence_version(void);

#endif
