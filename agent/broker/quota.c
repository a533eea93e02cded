/* SPDX-License-Identifier: ISC */
/*
 * How much of a user's keyring quota is used, by all programs, from an open
 * /proc/key-users: the broker itself may open nothing. A line of it:
 *
 *	 1000:    12 11/11 9/200 5120/20000
 *
 * is uid: references, keys, used/most keys, used/most bytes.
 */
#include "store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/broker/broker.h"

static bool
quota_line(const char *line, unsigned int uid, struct store_usage *u)
{
	unsigned int who;

	return sscanf(line, " %u: %*u %*u/%*u %u/%u %u/%u", &who, &u->keys_used,
		   &u->keys_max, &u->bytes_used, &u->bytes_max) == 5 &&
	    who == uid;
}

bool
quota_read(int fd, unsigned int uid, struct store_usage *u)
{
	char text[4096], *line, *end;
	size_t have = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, text + have, sizeof(text) - 1 - have, at)) > 0) {
		at += n;
		have += (size_t)n;
		text[have] = '\0';
		for (line = text; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			if (quota_line(line, uid, u))
				return true;
		}
		have -= (size_t)(line - text);
		memmove(text, line, have);
	}
	memset(u, 0, sizeof(*u));
	return false;
}
