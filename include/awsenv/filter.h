/* SPDX-License-Identifier: ISC */
/* Which system calls a process may still make: seccomp, by libseccomp. */
#ifndef AWSENV_FILTER_H
#define AWSENV_FILTER_H

#include <stdbool.h>
#include <stdint.h>

/* System calls, separated by blanks, perhaps only with such an argument. What
 * this kernel or this kind of machine has no call for is passed over. */
struct filter_line {
	const char *calls;
	enum filter_if {
		FILTER_ALWAYS,
		FILTER_EQUAL, /* argument == value, as 32 bits */
		FILTER_LACKS, /* none of the bits of value are set in it */
		FILTER_HAS,   /* all of them are */
		FILTER_OVER,  /* argument > value */
	} when;
	unsigned int arg; /* from 0 */
	uint32_t value;
};

#define FILTER_END \
	{          \
		0  \
	}
#define CALLS(calls)                       \
	{                                  \
		calls, FILTER_ALWAYS, 0, 0 \
	}
#define CALLS_IF(calls, arg, when, value) \
	{                                 \
		calls, when, arg, value   \
	}

/*
 * From now on, for good, for all threads and through exec. Sets no_new_privs.
 * False: there is no seccomp, and nothing has changed; or this is a build with
 * sanitizers, whose runtime calls what it likes.
 */
/* What is not on the list kills the process; what is on the second, if there
 * is one, fails with EACCES, for libraries that ask and can do without. */
bool filter_allow(const struct filter_line *, const struct filter_line *fail);
/*
 * For who loads code that is not ours, such as a site's modules for names: what
 * is on the list fails with EPERM, and so does what no such code has a use for:
 * the keyrings, other processes, exec, mounts, the kernel's own languages.
 */
bool filter_deny(const struct filter_line *);
/* For who starts such programs, which inherit it: that, but keyrings, exec,
 * signals and memory with a descriptor are left to it. */
bool filter_never(const struct filter_line *);
/* False: a build with sanitizers. */
bool filter_built(void);

#endif
