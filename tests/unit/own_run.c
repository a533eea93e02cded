/* SPDX-License-Identifier: ISC */
#include "tests/unit/own_run.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "awsenv/own.h"

bool
own_file(const char *path, const char *text)
{
	AUTOCLOSE int fd =
	    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Nobody else's, and root of it only who is root. */
static bool
enter_namespaces(void)
{
	unsigned long uid = geteuid(), gid = getegid();
	char users[64], groups[64];

	if (uid == 0)
		return unshare(CLONE_NEWNS) == 0;
	snprintf(users, sizeof(users), "%lu %lu 1", uid, uid);
	snprintf(groups, sizeof(groups), "%lu %lu 1", gid, gid);
	return unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0 &&
	    own_file("/proc/self/setgroups", "deny") &&
	    own_file("/proc/self/uid_map", users) &&
	    own_file("/proc/self/gid_map", groups);
}

bool
own_run(void)
{
	return enter_namespaces() &&
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("none", "/run", "tmpfs", 0, "mode=0755") == 0;
}
