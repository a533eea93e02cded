/* SPDX-License-Identifier: ISC */
/*
 * Which program a process is, by /proc, for the spawner. Nothing here is proof
 * (see struct seen), and all of it is bounded: a process may call itself
 * anything and have any number of parents.
 */
#include "supervisor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/own.h"

#define PARENTS_MAX 8
#define SSH_MAX (64 << 20) /* an ssh is a few MB */
#define BIND "session-bind@openssh.com"

/* Something could not be looked at, for want of memory or descriptors: that is
 * not to be taken for something that is not there. */
static bool blind;

struct status {
	char name[16];
	pid_t parent;
	int32_t terminal;
	uint64_t began;
};

/* What of it is printable; the end, if it is too long. */
static void
keep_end(char *out, size_t size, const char *text)
{
	size_t n = strlen(text), i;

	if (n >= size)
		text += n - size + 1;
	for (i = 0; text[i]; i++)
		out[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
	out[i] = '\0';
}

static bool
read_link(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64], target[4096];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((n = readlink(path, target, sizeof(target) - 1)) < 0)
		return false;
	target[n] = '\0';
	keep_end(out, size, target);
	return true;
}

/* The front of what the kernel says of it there. */
static bool
read_text(pid_t pid, const char *name, char *text, size_t size)
{
	AUTOCLOSE int fd = -1;
	char path[64];
	ssize_t n = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0)
		n = read(fd, text, size - 1);
	/* Of what is gone, or not for us to see, we know all that there is. */
	if (n < 0 && errno != ENOENT && errno != ESRCH && errno != EACCES &&
	    errno != EPERM)
		blind = true;
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* /proc/PID/stat: "PID (NAME) STATE PARENT GROUP SESSION TERMINAL ...", the
 * 22nd word says when it began. */
static bool
read_status(pid_t pid, struct status *s)
{
	char text[512], *open_paren, *close_paren;
	unsigned long long began;
	int parent, terminal;

	if (!read_text(pid, "stat", text, sizeof(text)))
		return false;
	/* A name may have parentheses of its own. */
	open_paren = strchr(text, '(');
	close_paren = strrchr(text, ')');
	if (!open_paren || !close_paren ||
	    sscanf(close_paren + 1,
		" %*c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
		"%*d %*d %*d %*d %llu",
		&parent, &terminal, &began) != 3)
		return false;
	*close_paren = '\0';
	keep_end(s->name, sizeof(s->name), open_paren + 1);
	s->parent = parent;
	s->terminal = terminal;
	s->began = began;
	return true;
}

static void
read_parents(pid_t pid, char *out, size_t size)
{
	struct status s;
	size_t used = 0;
	int i;

	for (i = 0; i < PARENTS_MAX && pid > 1 && read_status(pid, &s); i++) {
		if (used + strlen(s.name) + 4 > size)
			return;
		used += (size_t)snprintf(
		    out + used, size - used, "%s%s", i ? " < " : "", s.name);
		pid = s.parent;
	}
}

/* Its ssh may be any build at any place: one that binds has the name of the
 * message in it. Remembered by file, since that takes a millisecond. */
static bool
binds(pid_t pid)
{
	static struct {
		dev_t dev;
		ino_t ino;
		struct timespec changed;
		bool yes;
	} last;
	char path[64];
	AUTOCLOSE int fd = -1;
	struct stat st;
	void *image;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 ||
	    fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > SSH_MAX)
		return false;
	if (st.st_dev == last.dev && st.st_ino == last.ino &&
	    memcmp(&st.st_ctim, &last.changed, sizeof(last.changed)) == 0)
		return last.yes;
	image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image == MAP_FAILED)
		return false;
	last.yes = memmem(image, (size_t)st.st_size, BIND, strlen(BIND));
	munmap(image, (size_t)st.st_size);
	last.dev = st.st_dev;
	last.ino = st.st_ino;
	last.changed = st.st_ctim;
	return last.yes;
}

static bool
is_ssh(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	/* One that was upgraded meanwhile is "ssh (deleted)". */
	return strcmp(name, "ssh") == 0 || strcmp(name, "ssh (deleted)") == 0;
}

static bool
ssh_beside(int32_t terminal)
{
	struct dirent *entry;
	struct status s;
	DIR *proc;
	bool yes = false;

	if (!terminal)
		return false;
	if (!(proc = opendir("/proc"))) {
		blind = true;
		return false;
	}
	while (!yes && (errno = 0, entry = readdir(proc))) {
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    read_status((pid_t)strtol(entry->d_name, NULL, 10), &s))
			yes = s.terminal == terminal &&
			    strcmp(s.name, "ssh") == 0;
	}
	if (!yes && errno)
		blind = true;
	closedir(proc);
	return yes;
}

/*
 * "0::/user.slice/user-1000.slice/session-3.scope". Only what stands directly
 * below the user's slice is of logind's making: deeper ones the user may make.
 */
void
look_at_session(const char *cgroups, char *out, size_t size)
{
	char slice[64];
	const char *at;
	size_t len;

	*out = '\0';
	snprintf(slice, sizeof(slice), "/user-%u.slice/", (unsigned)geteuid());
	if (!(at = strstr(cgroups, slice)))
		return;
	at += strlen(slice);
	if (strncmp(at, "session-", 8) != 0)
		return;
	at += 8;
	len = strspn(at,
	    "0123456789abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	if (len < size && strncmp(at + len, ".scope", 6) == 0) {
		memcpy(out, at, len);
		out[len] = '\0';
	}
}

/* Of the same name and without another program between: a fork. Both may call
 * themselves anything. */
static uint64_t
forked_of(const struct status *s)
{
	struct status parent;

	return read_status(s->parent, &parent) &&
		strcmp(parent.name, s->name) == 0
	    ? parent.began
	    : 0;
}

void
look_at_program(pid_t pid, char *out, size_t size)
{
	struct status s;

	*out = '\0';
	/* Of a program that its user cannot read, such as an installed awsenv,
	 * only the name is told. */
	if (!read_link(pid, "exe", out, size) && read_status(pid, &s))
		keep_end(out, size, s.name);
}

static void
look(pid_t pid, uint32_t flags, struct seen *seen)
{
	char text[4096];
	struct status s;

	if (flags & LOOK_PROGRAM && pid > 0) {
		look_at_program(pid, seen->program, sizeof(seen->program));
		if (seen->program[0])
			seen->flags = is_ssh(seen->program)
			    ? SEEN_THERE | SEEN_SSH
			    : SEEN_THERE;
		return;
	}
	if (pid <= 0 || !read_status(pid, &s))
		return;
	seen->flags = SEEN_THERE;
	seen->terminal = s.terminal;
	seen->began = s.began;
	look_at_program(pid, seen->program, sizeof(seen->program));
	/* Of one that nobody may read, such as an installed awsenv, the parent
	 * works in the same folder, mostly. */
	if (!read_link(pid, "cwd", seen->folder, sizeof(seen->folder)))
		read_link(s.parent, "cwd", seen->folder, sizeof(seen->folder));
	read_parents(pid, seen->parents, sizeof(seen->parents));
	if (is_ssh(seen->program))
		seen->flags |= SEEN_SSH | (binds(pid) ? SEEN_BINDS : 0);
	if (flags & LOOK_PLACE) {
		read_text(pid, "cgroup", text, sizeof(text));
		look_at_session(text, seen->session, sizeof(seen->session));
		seen->forked = forked_of(&s);
	}
	if (flags & LOOK_TERMINAL && ssh_beside(s.terminal))
		seen->flags |= SEEN_SSH_BESIDE;
}

void
look_at_process(pid_t pid, uint32_t flags, struct seen *seen)
{
	blind = false;
	*seen = (struct seen){0};
	look(pid, flags, seen);
	if (blind)
		*seen = (struct seen){0};
}
