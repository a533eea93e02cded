/* SPDX-License-Identifier: ISC */
/*
 * A look at the config file that cannot keep us. A home on a hung NFS or FUSE
 * holds whoever asks for a file's attributes, uninterruptibly; a thread would
 * hold our exec with it, so a child of our own looks and is left behind if it
 * does not come back. It has no exit signal: the command, which inherits it,
 * never hears of it.
 *
 * Mostly no child is needed: openat2 opens what is in the kernel's caches
 * without asking a file system, and a file on a block device cannot hang.
 *
 * The kernel's own headers are used here, which do not go with <fcntl.h> and
 * <sys/stat.h>.
 */
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define LOOK_MS 300

static void
stamp_of(const struct statx *st, struct stamp *out)
{
	out->dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	out->ino = st->stx_ino;
	out->size = st->stx_size;
	out->mtime =
	    (uint64_t)st->stx_mtime.tv_sec * 1000000000 + st->stx_mtime.tv_nsec;
}

/* True: the stamp is known without anybody having been asked. */
static bool
look_cached(const char *path, struct stamp *out)
{
	struct open_how how = {
	    .flags = O_PATH | O_CLOEXEC,
	    .resolve = RESOLVE_CACHED,
	};
	AUTOCLOSE int fd = -1;
	struct statx st;

	fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	if (fd < 0 ||
	    syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		STATX_BASIC_STATS, &st) != 0)
		return false;
	/* Network, FUSE and the like have no major number. */
	if (st.stx_dev_major == 0)
		return false;
	stamp_of(&st, out);
	return true;
}

static void
look(const char *path, struct stamp *out)
{
	struct statx st;

	*out = (struct stamp){0};
	if (syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, &st) == 0)
		stamp_of(&st, out);
	else if (errno != ENOENT && errno != ENOTDIR)
		out->mtime = STAMP_UNKNOWN;
}

void
stamp_begin(const char *path, int *fd, pid_t *looker, struct stamp *out)
{
	struct stamp found;
	int pair[2];

	*fd = -1;
	*looker = -1;
	*out = (struct stamp){.mtime = STAMP_UNKNOWN};
	if (!*path || look_cached(path, out))
		return;
	if (syscall(SYS_pipe2, pair, O_CLOEXEC) != 0)
		return;
	*looker = child_fork(0);
	if (*looker == 0) {
		/* Who reads what we write must not wait for this one. */
		syscall(SYS_close_range, 0, pair[1] - 1, 0);
		syscall(SYS_close_range, pair[1] + 1, ~0U, 0);
		look(path, &found);
		_exit(write(pair[1], &found, sizeof(found)) != sizeof(found));
	}
	close(pair[1]);
	*fd = pair[0];
}

void
stamp_end(int fd, pid_t looker, struct stamp *out)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct stamp found;
	int n;

	if (fd < 0)
		return;
	while ((n = poll(&p, 1, LOOK_MS)) < 0 && errno == EINTR)
		;
	if (n > 0 && read(fd, &found, sizeof(found)) == sizeof(found))
		*out = found;
	close(fd);
	if (n > 0 && looker > 0) {
		while (waitpid(looker, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
}
