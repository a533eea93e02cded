/* SPDX-License-Identifier: ISC */
#include "tests/unit/failing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#define KEPT 2 /* texts of what went wrong */

static unsigned int countdown; /* the nth call from now fails; 0: none does */
static int error;	       /* ... with this */
static bool counting;

/* Tries are numbered, since what an earlier one left running may fail late. */
static unsigned int try_now;
static struct {
	atomic_uint last; /* the last one in which a call failed, */
	char name[32];	  /* and which call */
} alone, *seen = &alone;  /* by any of the processes that a try consists of */

static void *blocks[1 << 16]; /* allocated while it counted */
static size_t nblocks;

int __real_open(const char *path, int flags, ...);

/* For tests/unit/cover: the place of a call that failed, in a file of its own. */
static void
record(const void *caller)
{
	extern const char __executable_start[];
	const char *path = getenv("FAILED_CALLS");
	int fd;

	if (!path || (fd = __real_open(path, O_WRONLY | O_APPEND)) < 0)
		return;
	dprintf(fd, "%s %#tx\n", program_invocation_name,
	    (const char *)caller - __executable_start);
	close(fd);
}

static void
note(const char *name)
{
	unsigned int last = seen->last;

	snprintf(seen->name, sizeof(seen->name), "%s", name);
	while (last < try_now &&
	    !atomic_compare_exchange_weak(&seen->last, &last, try_now))
		continue;
}

static bool
fails_at(const void *caller, const char *name, bool heap)
{
	/* Memory is short, or it is something else. */
	if (heap && error != ENOMEM)
		return false;
	if (!counting || countdown == 0 || --countdown > 0)
		return false;
	note(name);
	record(caller);
	errno = error;
	return true;
}
#define fails(...) fails_at(__builtin_return_address(0), __VA_ARGS__)

void
failing_rest(void)
{
	counting = false;
}

void
failing_go(void)
{
	counting = true;
}

void
failing_heal(void)
{
	countdown = 0;
}

bool
failing_did(void)
{
	return seen->last == try_now && try_now;
}

const char *
failing_name(void)
{
	return failing_did() ? seen->name : "none";
}

bool
failing_this(const char *name)
{
	return fails(name, false);
}

/* ---- calls of the system's */

#define WRAP(type, name, params, args)                                      \
	type __real_##name params;                                          \
	type __wrap_##name params;                                          \
	type __wrap_##name params                                           \
	{                                                                   \
		return fails(#name, false) ? (type)-1 : __real_##name args; \
	}

WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
WRAP(ssize_t, __read_chk, (int fd, void *p, size_t n, size_t room),
    (fd, p, n, room))
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, __pread_chk, (int fd, void *p, size_t n, off_t at, size_t room),
    (fd, p, n, at, room))
WRAP(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at),
    (fd, p, n, at))
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
WRAP(int, poll, (struct pollfd * p, nfds_t n, int ms), (p, n, ms))
WRAP(int, __poll_chk, (struct pollfd * p, nfds_t n, int ms, size_t room),
    (p, n, ms, room))
WRAP(int, epoll_ctl, (int fd, int what, int at, struct epoll_event *e),
    (fd, what, at, e))
WRAP(
    int, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, getsockopt, (int fd, int level, int name, void *p, socklen_t *n),
    (fd, level, name, p, n))
WRAP(ssize_t, send, (int fd, const void *p, size_t n, int how), (fd, p, n, how))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int how), (fd, m, how))
WRAP(ssize_t, recv, (int fd, void *p, size_t n, int how), (fd, p, n, how))
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *m, int how), (fd, m, how))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(int, chmod, (const char *path, mode_t mode), (path, mode))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, flock, (int fd, int how), (fd, how))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, fstat, (int fd, struct stat *st), (fd, st))
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(int, socketpair, (int domain, int type, int protocol, int fds[2]),
    (domain, type, protocol, fds))
WRAP(pid_t, fork, (void), ())
WRAP(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, listen, (int fd, int n), (fd, n))
WRAP(int, memfd_create, (const char *name, unsigned int flags), (name, flags))
WRAP(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
WRAP(int, eventfd, (unsigned int n, int flags), (n, flags))
WRAP(ssize_t, getrandom, (void *p, size_t n, unsigned int flags), (p, n, flags))

/* What gives back its error. */
#define WRAP_ERROR(name, params, args)                                   \
	int __real_##name params;                                        \
	int __wrap_##name params;                                        \
	int __wrap_##name params                                         \
	{                                                                \
		return fails(#name, false) ? error : __real_##name args; \
	}

WRAP_ERROR(posix_spawn,
    (pid_t * pid, const char *path, const posix_spawn_file_actions_t *files,
	const posix_spawnattr_t *attr, char *const argv[], char *const env[]),
    (pid, path, files, attr, argv, env))
WRAP_ERROR(posix_spawn_file_actions_addopen,
    (posix_spawn_file_actions_t * files, int fd, const char *path, int flags,
	mode_t mode),
    (files, fd, path, flags, mode))
WRAP_ERROR(pthread_create,
    (pthread_t * t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),
    (t, attr, fn, arg))
WRAP_ERROR(posix_spawn_file_actions_adddup2,
    (posix_spawn_file_actions_t * files, int from, int to), (files, from, to))

/* Whose mode need not be there. */
#define MODE(last)                         \
	mode_t mode = 0;                   \
	va_list ap;                        \
	if (flags & O_CREAT) {             \
		va_start(ap, last);        \
		mode = va_arg(ap, mode_t); \
		va_end(ap);                \
	}

int __wrap_open(const char *path, int flags, ...);
int
__wrap_open(const char *path, int flags, ...)
{
	MODE(flags)
	return fails("open", false) ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int
__wrap_openat(int fd, const char *path, int flags, ...)
{
	MODE(flags)
	return fails("openat", false) ? -1
				      : __real_openat(fd, path, flags, mode);
}

/* Whose caller passes as many as it takes; the others are not looked at. */
WRAP(long, syscall, (long n, long a, long b, long c, long d, long e),
    (n, a, b, c, d, e))

/* ---- the keyring's; -1 would mean "my thread keyring" to the kernel */

#define WRAP_KEY(type, name, params, args, serial)                          \
	type __real_##name params;                                          \
	type __wrap_##name params;                                          \
	type __wrap_##name params                                           \
	{                                                                   \
		must((serial) > 0 || (serial) < -1);                        \
		return fails(#name, false) ? (type)-1 : __real_##name args; \
	}

WRAP_KEY(key_serial_t, add_key,
    (const char *t, const char *d, const void *p, size_t n, key_serial_t k),
    (t, d, p, n, k), k)
WRAP_KEY(long, keyctl_read, (key_serial_t k, char *p, size_t n), (k, p, n), k)
WRAP_KEY(long, keyctl_search,
    (key_serial_t k, const char *t, const char *d, key_serial_t to),
    (k, t, d, to), k)
WRAP_KEY(
    long, keyctl_describe, (key_serial_t k, char *p, size_t n), (k, p, n), k)
WRAP_KEY(long, keyctl_set_timeout, (key_serial_t k, unsigned int s), (k, s), k)
WRAP_KEY(long, keyctl_setperm, (key_serial_t k, key_perm_t p), (k, p), k)
WRAP_KEY(long, keyctl_revoke, (key_serial_t k), (k), k)
WRAP_KEY(long, keyctl_unlink, (key_serial_t k, key_serial_t r), (k, r), k)
WRAP_KEY(long, keyctl_clear, (key_serial_t k), (k), k)
WRAP_KEY(int, keyctl_read_alloc, (key_serial_t k, void **p), (k, p), k)
WRAP_KEY(key_serial_t, keyctl_get_keyring_ID, (key_serial_t k, int make),
    (k, make), k)
WRAP(key_serial_t, keyctl_join_session_keyring, (const char *name), (name))

/* ---- the heap's */

static void *
block_add(void *p)
{
	if (counting && p) {
		must(nblocks < sizeof(blocks) / sizeof(*blocks));
		blocks[nblocks++] = p;
	}
	return p;
}

static void
block_drop(const void *p)
{
	size_t i;

	for (i = nblocks; i-- > 0;) {
		if (blocks[i] == p) {
			blocks[i] = blocks[--nblocks];
			return;
		}
	}
}

#define WRAP_HEAP(name, params, args)                                      \
	void *__real_##name params;                                        \
	void *__wrap_##name params;                                        \
	void *__wrap_##name params                                         \
	{                                                                  \
		return fails(#name, true) ? NULL                           \
					  : block_add(__real_##name args); \
	}

WRAP_HEAP(malloc, (size_t n), (n))
WRAP_HEAP(calloc, (size_t n, size_t size), (n, size))
WRAP_HEAP(strdup, (const char *s), (s))
WRAP_HEAP(strndup, (const char *s, size_t n), (s, n))

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	void *new;

	if (fails("reallocarray", true) ||
	    !(new = __real_reallocarray(p, n, size)))
		return NULL;
	block_drop(p);
	return block_add(new);
}

void __real_free(void *p);
void __wrap_free(void *p);
void
__wrap_free(void *p)
{
	block_drop(p);
	__real_free(p);
}

int __real_vasprintf(char **out, const char *form, va_list ap);

static int
print(const void *caller, char **out, const char *form, va_list ap)
{
	int n;

	if (fails_at(caller, "asprintf", true) ||
	    (n = __real_vasprintf(out, form, ap)) < 0)
		return -1;
	block_add(*out);
	return n;
}
#define PRINT(...) print(__builtin_return_address(0), __VA_ARGS__)

int __wrap_vasprintf(char **out, const char *form, va_list ap);
int
__wrap_vasprintf(char **out, const char *form, va_list ap)
{
	return PRINT(out, form, ap);
}

int __wrap___vasprintf_chk(char **out, int flag, const char *form, va_list ap);
int
__wrap___vasprintf_chk(char **out, int flag, const char *form, va_list ap)
{
	(void)flag;
	return PRINT(out, form, ap);
}

int __wrap_asprintf(char **out, const char *form, ...)
    __attribute__((format(printf, 2, 3)));
int
__wrap_asprintf(char **out, const char *form, ...)
{
	va_list ap;
	int n;

	va_start(ap, form);
	n = PRINT(out, form, ap);
	va_end(ap);
	return n;
}

int __wrap___asprintf_chk(char **out, int flag, const char *form, ...)
    __attribute__((format(printf, 3, 4)));
int
__wrap___asprintf_chk(char **out, int flag, const char *form, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, form);
	n = PRINT(out, form, ap);
	va_end(ap);
	return n;
}

/* ---- again and again */

struct outcome {
	enum aw_err r;
	bool did, ended; /* it came to its end */
	size_t blocks;
	unsigned int files;
	char failed[32];
};

static unsigned int
open_files(void)
{
	unsigned int n = 0;
	DIR *d = opendir("/proc/self/fd");

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void
once(enum aw_err (*what)(void), unsigned int nth, struct outcome *o)
{
	unsigned int before = open_files();

	countdown = nth;
	nblocks = 0;
	counting = true;
	o->r = what();
	counting = false;
	o->did = failing_did();
	o->blocks = nblocks;
	o->files = open_files() - before;
	snprintf(o->failed, sizeof(o->failed), "%s", failing_name());
	o->ended = true;
}

static void
check(const struct outcome *o, unsigned int nth, bool again)
{
	if (o->did && o->r == AW_OK && !again)
		fail_msg("call %u, %s, failed unnoticed", nth, o->failed);
	if (!o->did && o->r != AW_OK)
		fail_msg("nothing failed, and yet: %s", aw_strerror(o->r));
}

void *
failing_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void
begin(int with)
{
	error = with;
	if (seen == &alone)
		seen = failing_shared(sizeof(*seen));
}

unsigned int
each_fails(enum aw_err (*what)(void), int with, bool again)
{
	struct outcome o = {.did = true};
	unsigned int n;

	begin(with);
	for (n = 1; o.did; n++) {
		try_now++;
		once(what, n, &o);
		check(&o, n, again);
		if (o.blocks || o.files)
			fail_msg("call %u, %s: %zu allocations and %u files "
				 "are left",
			    n, o.did ? o.failed : "none", o.blocks, o.files);
	}
	return n - 2;
}

/* cmocka would go on with the next test, in this process. */
static void
crash_for_good(void)
{
	static const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS};
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_DFL);
}

/* Status 1 is fatal()'s, anything else nobody's. */
static bool
apart(enum aw_err (*what)(void), unsigned int nth, struct outcome *o)
{
	pid_t pid;
	int status;

	try_now++;
	o->ended = false;
	o->did = nth != 0;
	if ((pid = fork()) == 0) {
		crash_for_good();
		once(what, nth, o);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != (o->ended ? 0 : 1))
		fail_msg("call %u: status %#x", nth, (unsigned int)status);
	return o->ended;
}

unsigned int
each_fails_apart(enum aw_err (*what)(void), int with, bool again)
{
	struct outcome *o = failing_shared(sizeof(*o));
	const char *few = getenv("FAILING_FEW");
	struct outcome good;
	unsigned int n;

	begin(with);
	assert_true(apart(what, 0, o));
	good = *o;
	for (n = 1; o->did || n == 1; n += few && n > 8 ? 8 : 1) {
		if (!apart(what, n, o))
			continue;
		check(o, n, again);
		if (o->blocks > good.blocks + KEPT || o->files > good.files)
			fail_msg("call %u, %s: %zu allocations and %u files "
				 "are left, else %zu and %u",
			    n, o->failed, o->blocks, o->files, good.blocks,
			    good.files);
	}
	munmap(o, sizeof(*o));
	return few && n > 9 ? n - 9 : n - 2;
}

void
must_be(bool true_, const char *what, const char *file, int line)
{
	if (true_)
		return;
	fprintf(stderr, "%s:%d: not so: %s (failed: %s)\n", file, line, what,
	    failing_name());
	abort();
}
