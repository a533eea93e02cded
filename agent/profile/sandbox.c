/* SPDX-License-Identifier: ISC */
/*
 * The profile reader reads, wherever the person's configuration leads, and
 * that is all: it writes nothing, starts nothing, speaks to nobody but who
 * asked.
 */
#include "profile.h"

#include <signal.h>
#include <sys/resource.h>

#include "awsenv/fence.h"
#include "awsenv/filter.h"

void
sandbox_enter(void)
{
	static const char *const readable[] = {"/", NULL};
	static const struct filter_line denied[] = {
	    CALLS("socket connect bind listen"),
	    FILTER_END,
	};
	const struct fence f = {.readable = readable};
	const struct rlimit none = {0, 0};

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &none);
	fence_enter(&f);
	filter_deny(denied);
}
