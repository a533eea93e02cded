/* SPDX-License-Identifier: ISC */
/*
 * Where the agent of a user listens: in his runtime directory, or where there
 * is none in one that root makes for him. As root in directories of users:
 * each is opened without following links, looked at, and used by descriptor.
 */
#include "pam_module/pam_awsenv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "awsenv/own.h"

#define ROOT_DIR "/run/awsenv"
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static bool
is_private(int fd, uid_t uid)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid &&
	    (st.st_mode & 07777) == 0700;
}

/* -1: it is not there, or not his alone. */
static int
open_private(int at, const char *path, uid_t uid)
{
	AUTOCLOSE int fd = openat(at, path, OPEN_DIR);

	if (fd < 0 || !is_private(fd, uid))
		return -1;
	return STEAL_FD(fd);
}

/* What it is called ends in a variable and in a socket's address. */
static bool
is_usable(const char *path)
{
	const char *c;

	for (c = path; *c; c++) {
		if (*c <= ' ' || *c > '~')
			return false;
	}
	return path[0] == '/' &&
	    strlen(path) < CLIENT_PATH - sizeof("/awsenv/forward.sock");
}

static bool
in_runtime(const char *runtime, uid_t uid, struct place *p)
{
	AUTOCLOSE int fd = -1;

	if (!is_usable(runtime) ||
	    (fd = open_private(AT_FDCWD, runtime, uid)) < 0)
		return false;
	str_join(p->runtime, sizeof(p->runtime), runtime, NULL);
	str_join(p->path, sizeof(p->path), runtime, "/awsenv/agent.sock", NULL);
	p->dir = open_private(fd, "awsenv", uid);
	return true;
}

int
place_root(bool create)
{
	AUTOCLOSE int fd = -1;
	struct stat st;

	if (create && mkdir(ROOT_DIR, 0755) == 0 && chmod(ROOT_DIR, 0755) != 0)
		return -1;
	fd = open(ROOT_DIR, OPEN_DIR);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != 0 ||
	    (st.st_mode & 022))
		return -1;
	return STEAL_FD(fd);
}

static bool
in_root_dir(const struct passwd *pw, bool create, struct place *p)
{
	AUTOCLOSE int parent = place_root(create), fd = -1;
	char name[16];
	struct stat st;

	if (parent < 0)
		return false;
	snprintf(name, sizeof(name), "%lu", (unsigned long)pw->pw_uid);
	if (create && mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
		return false;
	fd = openat(parent, name, OPEN_DIR);
	/* Root's still: just made, by us or by a login at the same time. */
	if (fd >= 0 && create && fstat(fd, &st) == 0 && st.st_uid == 0 &&
	    pw->pw_uid != 0 &&
	    (fchmod(fd, 0700) != 0 || fchown(fd, pw->pw_uid, pw->pw_gid) != 0))
		return false;
	if (fd < 0 || !is_private(fd, pw->pw_uid))
		return false;
	p->runtime[0] = '\0';
	str_join(
	    p->path, sizeof(p->path), ROOT_DIR "/", name, "/agent.sock", NULL);
	p->dir = STEAL_FD(fd);
	return true;
}

bool
place_find(
    pam_handle_t *pamh, const struct passwd *pw, bool create, struct place *p)
{
	const char *named = pam_getenv(pamh, "XDG_RUNTIME_DIR");
	char runtime[64];

	*p = (struct place){.dir = -1};
	snprintf(runtime, sizeof(runtime), "/run/user/%lu",
	    (unsigned long)pw->pw_uid);
	return (named && in_runtime(named, pw->pw_uid, p)) ||
	    in_runtime(runtime, pw->pw_uid, p) || in_root_dir(pw, create, p);
}

void
place_enter(const struct passwd *pw, struct place *p)
{
	AUTOCLOSE int fd = -1;

	if (p->dir < 0 && p->runtime[0] &&
	    (fd = open_private(AT_FDCWD, p->runtime, pw->pw_uid)) >= 0)
		p->dir = open_private(fd, "awsenv", pw->pw_uid);
}

void
place_leave(struct place *p)
{
	own_close(&p->dir);
	p->dir = -1;
}
