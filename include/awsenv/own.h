/* SPDX-License-Identifier: ISC */
/*
 * Release by scope: what a variable owns is given back when it goes out of
 * scope, so that an early return is the normal form. STEAL() hands ownership
 * on. Macros only.
 */
#ifndef AWSENV_OWN_H
#define AWSENV_OWN_H

#include <stdlib.h>
#include <unistd.h>

#define AUTOFREE __attribute__((cleanup(own_free)))
#define AUTOCLOSE __attribute__((cleanup(own_close)))
#define AUTOBUF __attribute__((cleanup(buf_free)))

/* Take the pointer out of a variable that would free it. */
#define STEAL(p)                             \
	__extension__({                      \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

/* The same for a descriptor: the variable is left at -1. */
#define STEAL_FD(fd)                \
	__extension__({             \
		int stolen_ = (fd); \
		(fd) = -1;          \
		stolen_;            \
	})

static inline void
own_free(void *p)
{
	free(*(void **)p);
}

static inline void
own_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#endif
