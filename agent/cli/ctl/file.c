/* SPDX-License-Identifier: ISC */
/*
 * The config file, read whole and replaced whole: by a rename within its
 * folder, so that whoever reads it sees the old one or the new one, also after
 * a power cut. A symbolic link stays one; what it leads to is replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"
#include "agent/cli/ctl/edit.h"

#define MOST (64 << 20)
#define NEW "%s/.awsenv-configure.new"

static bool
cannot(const char *what, const char *path)
{
	warn("cannot %s %s: %s", what, shown_str(path), strerror(errno));
	return false;
}

static void
stamp(const struct stat *st, uint64_t out[static 4])
{
	out[0] = st->st_dev;
	out[1] = st->st_ino;
	out[2] = (uint64_t)st->st_size;
	out[3] = (uint64_t)st->st_mtim.tv_sec * 1000000000u +
	    (uint64_t)st->st_mtim.tv_nsec;
}

/* Where it is, or would be: links of folders are followed too. */
static bool
place(struct file *f, const char *path)
{
	struct stat st;
	char *slash;

	if ((f->path = realpath(path, NULL))) {
		f->there = true;
	} else if (errno != ENOENT) {
		return cannot("find", path);
	} else if (lstat(path, &st) == 0) {
		warn("%s is a link that leads nowhere", shown_str(path));
		return false;
	} else {
		f->path = strdup(path);
	}
	if (!f->path || !(f->folder = strdup(f->path)))
		return cannot("find", path);
	if (!(slash = strrchr(f->folder, '/'))) {
		warn("%s is no absolute path", shown_str(path));
		return false;
	}
	*slash = '\0';
	return true;
}

static bool
read_all(struct file *f, int fd, size_t size)
{
	ssize_t n;

	if (!(f->text.p = malloc(size + 1)))
		return cannot("read", f->path);
	while (f->text.n < size) {
		n = read(fd, f->text.p + f->text.n, size - f->text.n);
		if (n < 0)
			return cannot("read", f->path);
		if (n == 0)
			break;
		f->text.n += (size_t)n;
	}
	f->text.p[f->text.n] = '\0';
	return true;
}

bool
file_load(struct file *f, const char *path)
{
	AUTOCLOSE int fd = -1;
	struct stat st;

	*f = (struct file){.mode = 0600};
	if (!place(f, path))
		return false;
	if (!f->there) {
		return (f->text.p = strdup("")) || cannot("find", path);
	}
	/* Not blocking: a FIFO must not hold us. */
	fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0)
		return cannot("read", path);
	if (!S_ISREG(st.st_mode) || st.st_size > MOST) {
		warn("%s is %s", shown_str(path),
		    S_ISREG(st.st_mode) ? "too large" : "not a file");
		return false;
	}
	f->mode = st.st_mode & 07777;
	f->uid = st.st_uid;
	f->gid = st.st_gid;
	stamp(&st, f->stamp);
	return read_all(f, fd, (size_t)st.st_size);
}

void
file_free(struct file *f)
{
	free(f->path);
	free(f->folder);
	text_free(&f->text);
	*f = (struct file){0};
}

/* Errno stays. */
static int
new_fail(const char *path, int fd)
{
	int saved = errno;

	unlink(path);
	close(fd);
	errno = saved;
	return -1;
}

/* The new file under its name for now, ours alone: another awsenv that waits
 * for it finds that it went away meanwhile. A folder that knows no locks, as
 * some NFS homes, is told. */
static int
new_open(const char *path)
{
	struct stat st, named;
	int fd;

	for (;;) {
		fd =
		    open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -1;
		while (flock(fd, LOCK_EX) != 0) {
			if (errno != EINTR)
				return new_fail(path, fd);
		}
		if (fstat(fd, &st) != 0)
			return new_fail(path, fd);
		if (lstat(path, &named) == 0 && st.st_ino == named.st_ino &&
		    st.st_dev == named.st_dev) {
			/* Left by one that was killed. */
			if (ftruncate(fd, 0) == 0 && fchmod(fd, 0600) == 0)
				return fd;
			return new_fail(path, fd);
		}
		close(fd);
	}
}

static bool
write_all(int fd, const struct text *t)
{
	size_t done = 0;
	ssize_t n;

	while (done < t->n) {
		if ((n = write(fd, t->p + done, t->n - done)) < 0) {
			if (errno == EINTR)
				continue;
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static bool
unchanged(const struct file *f)
{
	uint64_t seen[4];
	struct stat st;

	if (stat(f->path, &st) != 0)
		return errno == ENOENT && !f->there;
	stamp(&st, seen);
	return f->there && !memcmp(seen, f->stamp, sizeof(seen));
}

static bool
folder_make(const struct file *f)
{
	return mkdir(f->folder, 0700) == 0 || errno == EEXIST ||
	    cannot("make", f->folder);
}

static bool
replace(const struct file *f, int fd, const char *new, const struct text *t)
{
	AUTOCLOSE int folder = open(f->folder, O_RDONLY | O_CLOEXEC);

	if (!write_all(fd, t) || fsync(fd) != 0)
		return cannot("write", new);
	/* Root on behalf of somebody; a group that is not ours cannot be had. */
	if (f->there && fchown(fd, f->uid, f->gid) != 0 && f->uid != geteuid())
		return cannot("give away", new);
	if (fchmod(fd, f->mode) != 0)
		return cannot("write", new);
	if (!unchanged(f)) {
		warn(
		    "%s was changed meanwhile, and is left as it is; try again",
		    shown_str(f->path));
		return false;
	}
	if (rename(new, f->path) != 0)
		return cannot("replace", f->path);
	if (folder >= 0)
		fsync(folder);
	return true;
}

bool
file_save(const struct file *f, const struct text *t)
{
	AUTOCLOSE int fd = -1;
	char new[PATH_MAX];
	bool good;

	if (!folder_make(f))
		return false;
	if (!format(new, sizeof(new), NEW, f->folder) ||
	    (fd = new_open(new)) < 0)
		return cannot("write in", f->folder);
	if (!(good = replace(f, fd, new, t)))
		unlink(new);
	return good;
}
