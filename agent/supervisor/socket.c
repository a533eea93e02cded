/* SPDX-License-Identifier: ISC */
/*
 * The listening sockets. PATH.lock is held as long as the agent lives, so of
 * many that start at once one wins and the others wait for its socket.
 */
#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/log.h"
#include "awsenv/own.h"

#define BACKLOG 1024 /* the kernel cuts it to net.core.somaxconn */
#define WAIT_MS 5000
#define PAUSE_MS 20
#define FIRST_FD 3 /* of a service manager */

/* The winner's pid stands in the file for those who ask. */
static pid_t
lock_owner(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	return (pid_t)strtol(text, NULL, 10);
}

static enum aw_err
lock_open(const char *path, int *fd)
{
	char name[CLIENT_PATH + sizeof(".lock")];
	struct stat st;

	snprintf(name, sizeof(name), "%s.lock", path);
	*fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0 || fstat(*fd, &st) != 0) {
		log_err("%s: %s", name, strerror(errno));
		return AW_SYSTEM;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		log_err("%s: is not a file of this user", name);
		return AW_DENIED;
	}
	return AW_OK;
}

static bool
lock_take(int fd)
{
	char text[16];
	int n;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return false;
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
		log_warn("cannot write the lock file: %s", strerror(errno));
	return true;
}

static bool
answers(const char *path)
{
	AUTOCLOSE int fd = -1;

	return client_connect(path, &fd, io_deadline(200)) == AW_OK;
}

static enum aw_err
listen_at(struct agent *a, const char *name, const char *path)
{
	struct listener *l = &a->listeners[a->nlisteners];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTOCLOSE int fd = -1;
	struct stat st;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path); /* nobody answers there and the lock is ours */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The umask of harden_process() gives it its mode. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		log_err("cannot listen on %s: %s", path, strerror(errno));
		return AW_SYSTEM;
	}
	if (listen(fd, BACKLOG) != 0 || lstat(path, &st) != 0) {
		log_err("cannot listen on %s: %s", path, strerror(errno));
		unlink(path);
		return AW_SYSTEM;
	}
	*l = (struct listener){.dev = st.st_dev, .ino = st.st_ino};
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->path, sizeof(l->path), "%s", path);
	l->fd = STEAL_FD(fd);
	a->nlisteners++;
	return AW_OK;
}

/* "forward-" and eight digits: nothing else is made for a broker. */
static bool
is_further(const char *name)
{
	static const char start[] = "forward-";
	size_t n = sizeof(start) - 1;

	return strncmp(name, start, n) == 0 && strlen(name) == n + 8 &&
	    strspn(name + n, "0123456789abcdef") == 8;
}

/*
 * Beside agent.sock, for ssh's agent forwarding and for other relays: whoever
 * comes through these is on another host. An agent without them still serves
 * this one.
 */
static void
listen_beside(struct agent *a, const char *name, const char *path)
{
	static const char ours[] = "/agent.sock";
	char beside[CLIENT_PATH];
	size_t n = strlen(path), cut = sizeof(ours) - 1;
	int len;

	if (n < cut || strcmp(path + n - cut, ours) != 0)
		return;
	len = snprintf(
	    beside, sizeof(beside), "%.*s/%s.sock", (int)(n - cut), path, name);
	if (len < (int)sizeof(beside))
		listen_at(a, name, beside);
}

/* Those of an agent that was killed. */
static void
sweep(const char *path)
{
	static const char ours[] = "/agent.sock";
	size_t n = strlen(path), cut = sizeof(ours) - 1;
	char name[CLIENT_PATH];
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (n < cut || n >= sizeof(name) || strcmp(path + n - cut, ours) != 0)
		return;
	snprintf(name, sizeof(name), "%.*s", (int)(n - cut), path);
	if (!(d = opendir(name)))
		return;
	while ((e = readdir(d))) {
		snprintf(name, sizeof(name), "%.*s",
		    (int)strcspn(e->d_name, "."), e->d_name);
		if (is_further(name) &&
		    strcmp(e->d_name + strlen(name), ".sock") == 0 &&
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    S_ISSOCK(st.st_mode))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
}

enum aw_err
socket_own(struct agent *a, const char *path, pid_t *pid)
{
	int64_t deadline = io_deadline(WAIT_MS);
	AUTOCLOSE int lock = -1;
	enum aw_err r;

	if ((r = lock_open(path, &lock)) != AW_OK)
		return r;
	*pid = 0;
	while (!lock_take(lock)) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			log_err("%s.lock cannot be locked: %s", path,
			    strerror(errno));
			return AW_SYSTEM;
		}
		if (answers(path)) {
			*pid = lock_owner(lock);
			return AW_BUSY;
		}
		/* It starts, or it ends. */
		if (io_deadline(0) >= deadline) {
			log_err("process %d holds %s.lock and does not answer: "
				"end it and try again",
			    (int)lock_owner(lock), path);
			return AW_TIMEOUT;
		}
		poll(NULL, 0, PAUSE_MS);
	}
	if (answers(path))
		return AW_BUSY; /* a service manager listens there */
	if ((r = listen_at(a, "agent", path)) != AW_OK)
		return r;
	listen_beside(a, "forward", path);
	listen_beside(a, "remote", path);
	sweep(path);
	a->lock = STEAL_FD(lock);
	return AW_OK;
}

/* ---- a service manager's ---- */

static bool
is_listener(int fd)
{
	int domain = 0, type = 0, accepts = 0;
	socklen_t n = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) == 0 &&
	    domain == AF_UNIX && type == SOCK_STREAM && accepts;
}

/* Who comes through a socket of unknown name is taken for a stranger. */
static const char *
known_name(const char *name, size_t n)
{
	static const char *const names[] = {"agent", "forward", "remote"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
			return names[i];
	}
	return "remote";
}

/* So that a start by hand finds us, too. Without it we serve all the same. */
static void
lock_activated(struct agent *a, int fd)
{
	struct sockaddr_un addr = {0};
	socklen_t n = sizeof(addr) - 1;
	AUTOCLOSE int lock = -1;

	if (getsockname(fd, (struct sockaddr *)&addr, &n) != 0 ||
	    addr.sun_path[0] != '/' || strlen(addr.sun_path) >= CLIENT_PATH ||
	    lock_open(addr.sun_path, &lock) != AW_OK)
		return;
	if (lock_take(lock))
		a->lock = STEAL_FD(lock);
	else
		log_warn("process %d is an agent for %s, too",
		    (int)lock_owner(lock), addr.sun_path);
}

/* Of a socket that a service manager made, so that it is known as ours. */
static void
find_inode(struct listener *l)
{
	struct sockaddr_un addr = {0};
	socklen_t n = sizeof(addr) - 1;
	struct stat st;

	if (getsockname(l->fd, (struct sockaddr *)&addr, &n) == 0 &&
	    addr.sun_path[0] == '/' && lstat(addr.sun_path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
}

static void
add_activated(struct agent *a, int fd, const char *name, size_t n)
{
	struct listener *l = &a->listeners[a->nlisteners];
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!is_listener(fd) || flags < 0 || a->nlisteners == LISTENERS_MAX ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		log_warn("descriptor %d of the service manager is not a "
			 "listening stream socket of the Unix family",
		    fd);
		close(fd);
		return;
	}
	*l = (struct listener){.fd = fd};
	snprintf(l->name, sizeof(l->name), "%s", known_name(name, n));
	find_inode(l);
	a->nlisteners++;
	if (a->lock < 0 && strcmp(l->name, "agent") == 0)
		lock_activated(a, fd);
}

int
socket_activated(struct agent *a)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	const char *name = getenv("LISTEN_FDNAMES");
	unsigned long i, n;

	if (!pid || !fds || strtoul(pid, NULL, 10) != (unsigned long)getpid())
		return 0;
	n = strtoul(fds, NULL, 10);
	for (i = 0; i < n && i < 64; i++) {
		size_t len = name ? strcspn(name, ":") : 0;

		add_activated(a, FIRST_FD + (int)i, name ? name : "", len);
		name = name && name[len] ? name + len + 1 : NULL;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return a->nlisteners ? (int)a->nlisteners : -1;
}

int
socket_open(struct agent *a, const char *name, int *fd)
{
	struct sockaddr_un addr = {0};
	socklen_t len = sizeof(addr) - 1;
	char path[CLIENT_PATH];
	unsigned int i;
	char *slash;
	int n;

	for (i = 0; i < a->nlisteners; i++) {
		if (strcmp(a->listeners[i].name, name) == 0) {
			*fd = a->listeners[i].fd;
			return 0;
		}
	}
	if (!is_further(name))
		return EINVAL;
	if (a->nlisteners == LISTENERS_MAX)
		return ENOSPC;
	if (getsockname(a->listeners[0].fd, (struct sockaddr *)&addr, &len) !=
		0 ||
	    !(slash = strrchr(addr.sun_path, '/')))
		return ENOTDIR;
	n = snprintf(path, sizeof(path), "%.*s/%s.sock",
	    (int)(slash - addr.sun_path), addr.sun_path, name);
	if (n >= (int)sizeof(path))
		return ENAMETOOLONG;
	if (listen_at(a, name, path) != AW_OK)
		return EIO;
	*fd = a->listeners[a->nlisteners - 1].fd;
	return 0;
}

static void
listener_end(struct listener *l)
{
	struct stat st;

	if (l->path[0] && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->path);
	close(l->fd);
}

void
socket_close(struct agent *a, const char *name)
{
	unsigned int i;

	for (i = 0; i < a->nlisteners && is_further(name); i++) {
		if (strcmp(a->listeners[i].name, name) != 0)
			continue;
		listener_end(&a->listeners[i]);
		a->listeners[i] = a->listeners[--a->nlisteners];
		return;
	}
}

void
socket_end(struct agent *a)
{
	while (a->nlisteners > 0)
		listener_end(&a->listeners[--a->nlisteners]);
}

pid_t
socket_wait_gone(const char *path)
{
	int64_t deadline = io_deadline(WAIT_MS);
	AUTOCLOSE int lock = -1;
	pid_t pid;

	if (lock_open(path, &lock) != AW_OK)
		return 0;
	pid = lock_owner(lock);
	while (flock(lock, LOCK_SH | LOCK_NB) != 0 && io_deadline(0) < deadline)
		poll(NULL, 0, PAUSE_MS);
	return pid;
}
