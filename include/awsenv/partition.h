/* SPDX-License-Identifier: ISC */
/* AWS's partitions: what a region's name tells of hosts and ARNs. */
#ifndef AWSENV_PARTITION_H
#define AWSENV_PARTITION_H

#include <stdbool.h>

#include "awsenv/buf.h"

struct partition {
	const char *name;      /* as ARNs have it */
	const char *prefix[9]; /* of its regions; the rest are NULL */
	const char *suffix;    /* of its hosts */
	const char *dualstack;
	bool plain_is_fips;
	const char *home;   /* the region whose console goes without its name */
	const char *signin; /* hosts of the console; NULL: none is known */
	const char *console;
};

/* Never NULL: a region of no known form is taken for one of "aws". */
const struct partition *partition_of(struct view region);

#endif
