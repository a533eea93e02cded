/* SPDX-License-Identifier: ISC */
/*
 * A file where the agent's socket mostly is says what was done for which login, so that
 * two desktops of one person, or forty commands, open one page. Each login has
 * one entry of a kind, its last. Where there can be no such file, all of them
 * do it.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define ENTRIES 64
#define MOMENT 5 /* seconds */

struct entry {
	uint64_t kind;
	uint64_t ticket;
	uint64_t when;
	uint64_t desktop; /* when one claimed it; 0: somebody else did */
};

static int
claims_open(void)
{
	char dir[CLIENT_PATH], name[CLIENT_PATH + sizeof("/desktop")];
	AUTOCLOSE int fd = -1;

	if (client_dir(dir, false) != AW_OK ||
	    !format(name, sizeof(name), "%s/desktop", dir))
		return -1;
	fd = open(
	    name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) != 0)
		return -1;
	return STEAL_FD(fd);
}

bool
claim(enum claim kind, const struct login_rep *l, uint64_t when,
    enum claimant who)
{
	const struct entry mine = {
	    kind, l->ticket, when, who == CLAIM_DESKTOP ? now() : 0};
	struct entry all[ENTRIES];
	AUTOCLOSE int fd = claims_open();
	ssize_t size = fd < 0 ? -1 : pread(fd, all, sizeof(all), 0);
	size_t i, n = size < 0 ? 0 : (size_t)size / sizeof(all[0]);

	if (size < 0)
		return true;
	for (i = 0; i < n; i++) {
		if (all[i].kind == mine.kind && all[i].ticket == mine.ticket)
			break;
	}
	if (i < n && all[i].when == mine.when &&
	    (who != CLAIM_AGAIN || now() - all[i].desktop < MOMENT))
		return false;
	if (i == ENTRIES)
		i = mine.ticket % ENTRIES;
	/* Where it cannot be noted the next one does it, too. */
	size = pwrite(fd, &mine, sizeof(mine), (off_t)(i * sizeof(mine)));
	(void)size;
	return true;
}
