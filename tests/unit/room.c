/* SPDX-License-Identifier: ISC */
#include "tests/unit/room.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define TRIES 3000

struct use {
	unsigned int keys, keys_max, bytes, bytes_max;
};

/* Whoever has no line there has no key. False: it cannot be read. */
static bool
use_now(struct use *u)
{
	struct use found;
	unsigned int uid;
	char line[128];
	FILE *f = fopen("/proc/key-users", "re");

	*u = (struct use){0};
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u: %*u %*u/%*u %u/%u %u/%u", &uid,
			&found.keys, &found.keys_max, &found.bytes,
			&found.bytes_max) == 5 &&
		    uid == geteuid())
			*u = found;
	}
	fclose(f);
	return true;
}

bool
room_for_keys(void)
{
	static const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	unsigned int tries;
	struct use u;

	for (tries = 0; use_now(&u) && tries < TRIES; tries++) {
		if (u.keys <= u.keys_max / 4 && u.bytes <= u.bytes_max / 4)
			return true;
		nanosleep(&moment, NULL);
	}
	fprintf(stderr,
	    "# no room for this test: this user has %u of %u keys, "
	    "%u of %u bytes\n",
	    u.keys, u.keys_max, u.bytes, u.bytes_max);
	return false;
}
