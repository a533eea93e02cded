/* SPDX-License-Identifier: ISC */
/*
 * Each entry point of the PAM module, whole, with a libpam, a kernel and an
 * agent that are all here: --wrap (fuzz_entry.ld) leads its system calls to
 * functions that fail when the input says so, its clock is turned by waiting,
 * and what it reads is the input's end. Whatever happens it must keep to its
 * return codes, to its time, to printable text, and leave no descriptor open.
 *
 * Input: which entry point, flags, a word of the line in pam.d on each line up
 * to an empty one; one byte n and n bytes of luck, 0 for a failure; the rest is
 * what comes from a pipe or a socket.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pam_module/pam_awsenv.h" /* and so linked with it */

#include <security/pam_ext.h>
#include <security/pam_modutil.h>

#define WORDS_MOST 16
#define FDS_MOST 64
#define DATA_MOST 4
#define PIECE 7 /* bytes that a read gives at most */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the input decides. */
static struct {
	const uint8_t *luck, *luck_end, *bytes, *bytes_end;
	uint8_t flags;
	bool armed; /* else the calls are the fuzzer's own */
} in;

/* What came of it. */
static struct {
	int64_t clock; /* milliseconds */
	int fds[FDS_MOST];
	struct {
		const char *name;
		void *data;
		void (*end)(pam_handle_t *, void *, int);
	} kept[DATA_MOST];
	uint32_t wait; /* the most that the words allow */
} out;

static pam_handle_t *const handle = (pam_handle_t *)&out;

/* One byte of luck; when it is used up all goes well. */
static uint8_t
luck(void)
{
	return in.luck < in.luck_end ? *in.luck++ : 0xff;
}

static bool
fails(int error)
{
	if (!in.armed || luck() != 0)
		return false;
	errno = error;
	return true;
}

/* ---- the kernel */

#define WRAP(type, name, params)                          \
	type __real_##name params; /* NOLINT: its name */ \
	type __wrap_##name params;                        \
	type __wrap_##name params

WRAP(void *, malloc, (size_t n))
{
	return fails(ENOMEM) ? NULL : __real_malloc(n);
}

WRAP(void *, calloc, (size_t n, size_t size))
{
	return fails(ENOMEM) ? NULL : __real_calloc(n, size);
}

WRAP(char *, strdup, (const char *s))
{
	return fails(ENOMEM) ? NULL : __real_strdup(s);
}

int __real_open(const char *, int, ...);

static int
fd_new(void)
{
	int fd = __real_open("/dev/null", O_RDWR | O_CLOEXEC), i;

	for (i = 0; i < FDS_MOST; i++) {
		if (out.fds[i] == 0) {
			out.fds[i] = fd;
			return fd;
		}
	}
	abort(); /* so many are a leak */
}

int __wrap_open(const char *, int, ...);

int
__wrap_open(const char *path, int how, ...)
{
	if (!in.armed)
		return __real_open(path, how, 0600);
	return fails(ENOENT) ? -1 : fd_new();
}

int __wrap_openat(int at, const char *path, int how, ...);

int
__wrap_openat(int at, const char *path, int how, ...)
{
	(void)at;
	(void)path;
	assert(how & O_CLOEXEC);
	return fails(ENOENT) ? -1 : fd_new();
}

WRAP(int, close, (int fd))
{
	int i;

	for (i = 0; in.armed && i < FDS_MOST; i++) {
		if (out.fds[i] == fd)
			out.fds[i] = 0;
	}
	return __real_close(fd);
}

/* A directory of the user or of root, open to others or not. */
WRAP(int, fstat, (int fd, struct stat *st))
{
	uint8_t how;

	if (!in.armed)
		return __real_fstat(fd, st);
	how = luck();
	memset(st, 0, sizeof(*st));
	st->st_mode = how & 1 ? S_IFDIR : S_IFIFO;
	st->st_mode |= how & 2 ? 0700 : 0777;
	st->st_uid = how & 4 ? 1000 : how & 8 ? 0 : 7;
	return how == 0 ? -1 : 0;
}

WRAP(int, mkdir, (const char *path, mode_t mode))
{
	(void)path;
	(void)mode;
	return fails(EACCES) ? -1 : 0;
}

WRAP(int, mkdirat, (int at, const char *path, mode_t mode))
{
	(void)at;
	(void)path;
	(void)mode;
	return fails(EEXIST) ? -1 : 0;
}

WRAP(int, chmod, (const char *path, mode_t mode))
{
	(void)path;
	(void)mode;
	return fails(EPERM) ? -1 : 0;
}

WRAP(int, fchmod, (int fd, mode_t mode))
{
	(void)fd;
	(void)mode;
	return fails(EPERM) ? -1 : 0;
}

WRAP(int, fchown, (int fd, uid_t uid, gid_t gid))
{
	(void)fd;
	assert(uid == 1000 && gid == 1000);
	return fails(EPERM) ? -1 : 0;
}

WRAP(int, socket, (int domain, int type, int protocol))
{
	assert(domain == AF_UNIX && !protocol);
	assert((type & SOCK_NONBLOCK) && (type & SOCK_CLOEXEC));
	return fails(EMFILE) ? -1 : fd_new();
}

WRAP(int, connect, (int fd, const struct sockaddr *addr, socklen_t n))
{
	static const int errors[] = {
	    EAGAIN, EINTR, ENOENT, ECONNREFUSED, EACCES};
	uint8_t how = luck();

	(void)fd;
	(void)addr;
	(void)n;
	if (how >= sizeof(errors) / sizeof(errors[0]))
		return 0;
	errno = errors[how];
	return -1;
}

WRAP(int, getsockopt,
    (int fd, int level, int what, void *value, socklen_t *size))
{
	struct ucred *peer = value;

	(void)fd;
	assert(level == SOL_SOCKET && what == SO_PEERCRED);
	assert(*size == sizeof(*peer));
	*peer = (struct ucred){.pid = 1, .uid = luck() & 1 ? 1000 : 7};
	return fails(EBADF) ? -1 : 0;
}

/* As many as there are, in pieces; then the other end is silent or gone. */
WRAP(ssize_t, read, (int fd, void *to, size_t n))
{
	size_t left = (size_t)(in.bytes_end - in.bytes);

	if (!in.armed)
		return __real_read(fd, to, n);
	if (fails(EINTR) || fails(EAGAIN))
		return -1;
	if (left == 0 && (in.flags & 1)) {
		errno = EAGAIN;
		return -1;
	}
	if (n > left)
		n = left;
	if (n > PIECE)
		n = PIECE;
	memcpy(to, in.bytes, n);
	in.bytes += n;
	return (ssize_t)n;
}

WRAP(ssize_t, write, (int fd, const void *from, size_t n))
{
	if (!in.armed)
		return __real_write(fd, from, n);
	return fails(EPIPE) ? -1 : (ssize_t)n;
}

WRAP(ssize_t, send, (int fd, const void *from, size_t n, int flags))
{
	(void)fd;
	(void)from;
	assert(flags & MSG_NOSIGNAL);
	return fails(EPIPE) ? -1 : (ssize_t)n;
}

/* Nobody waits without an end. */
WRAP(int, poll, (struct pollfd * p, nfds_t n, int ms))
{
	if (!in.armed)
		return __real_poll(p, n, ms);
	assert(ms >= 0);
	if (fails(EINTR))
		return -1;
	if (in.bytes < in.bytes_end && n) {
		out.clock++;
		return 1;
	}
	out.clock += ms ? ms : 1;
	return 0;
}

WRAP(int, clock_gettime, (clockid_t which, struct timespec *ts))
{
	if (!in.armed)
		return __real_clock_gettime(which, ts);
	*ts = (struct timespec){
	    .tv_sec = out.clock / 1000, .tv_nsec = out.clock % 1000 * 1000000};
	return 0;
}

WRAP(int, pipe2, (int fds[2], int flags))
{
	assert((flags & O_CLOEXEC) && (flags & O_NONBLOCK));
	if (fails(EMFILE))
		return -1;
	fds[0] = fd_new();
	fds[1] = fd_new();
	return 0;
}

/* The child is another test's. */
WRAP(pid_t, fork, (void))
{
	return fails(EAGAIN) ? -1 : 4242;
}

WRAP(pid_t, waitpid, (pid_t pid, int *status, int options))
{
	assert(pid == 4242 && options == 0);
	*status = 0;
	return fails(EINTR) ? -1 : pid;
}

WRAP(uid_t, geteuid, (void))
{
	return in.flags & 2 ? 0 : 1000;
}

WRAP(int, getgrouplist, (const char *user, gid_t gid, gid_t *to, int *n))
{
	(void)user;
	if (fails(0)) {
		*n = 0;
		return -1;
	}
	if (*n < 1) {
		*n = 1;
		return -1;
	}
	to[0] = gid;
	*n = 1;
	return 1;
}

/* ---- libpam */

int
pam_get_item(const pam_handle_t *h, int which, const void **item)
{
	static const char *const services[] = {
	    "sshd", "login", "su", "systemd-user", "gdm-password", "swaylock"};

	(void)h;
	*item = NULL;
	if (which == PAM_USER)
		*item = luck() ? "DOM\\ann" : NULL;
	else if (which == PAM_SERVICE)
		*item = services[(in.flags >> 4) % 6];
	else if (which == PAM_RHOST)
		*item = in.flags & 4 ? "10.0.0.1\033[2J\nforged" : NULL;
	else
		*item = luck() ? "ssh" : NULL;
	return luck() ? PAM_SUCCESS : PAM_BUF_ERR;
}

int
pam_get_data(const pam_handle_t *h, const char *name, const void **data)
{
	int i;

	(void)h;
	for (i = 0; i < DATA_MOST; i++) {
		if (out.kept[i].name && strcmp(out.kept[i].name, name) == 0) {
			*data = out.kept[i].data;
			return PAM_SUCCESS;
		}
	}
	return PAM_NO_MODULE_DATA;
}

int
pam_set_data(pam_handle_t *h, const char *name, void *data,
    void (*end)(pam_handle_t *, void *, int))
{
	int i = 0;

	if (luck() == 0)
		return PAM_BUF_ERR;
	while (out.kept[i].name && strcmp(out.kept[i].name, name) != 0)
		i++;
	assert(i < DATA_MOST);
	if (out.kept[i].name && out.kept[i].end)
		out.kept[i].end(h, out.kept[i].data, PAM_DATA_REPLACE);
	out.kept[i].name = name;
	out.kept[i].data = data;
	out.kept[i].end = end;
	return PAM_SUCCESS;
}

const char *
pam_getenv(pam_handle_t *h, const char *name)
{
	(void)h;
	if (strcmp(name, "XDG_RUNTIME_DIR") != 0)
		return NULL;
	return in.flags & 8 ? "/run/user/1000" : luck() & 1 ? "/run/x\n" : NULL;
}

int
pam_putenv(pam_handle_t *h, const char *setting)
{
	(void)h;
	assert(strncmp(setting, "AWSENV_", 7) == 0);
	assert(strspn(setting, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") ==
	    strcspn(setting, "="));
	return luck() ? PAM_SUCCESS : PAM_BUF_ERR;
}

/* %.64s of a word of root's may be anything; no more than that. */
void
pam_syslog(const pam_handle_t *h, int priority, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	(void)h;
	(void)priority;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert(strlen(line) < 400 && !strstr(line, "\nforged"));
}

int
pam_prompt(pam_handle_t *h, int style, char **response, const char *fmt, ...)
{
	char text[8192];
	va_list ap;
	int n, i;

	(void)h;
	assert(style == PAM_TEXT_INFO && !response);
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert(n > 0 && n < (int)sizeof(text));
	for (i = 0; i < n; i++)
		assert(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	return luck() ? PAM_SUCCESS : PAM_CONV_ERR;
}

struct passwd *
pam_modutil_getpwnam(pam_handle_t *h, const char *user)
{
	static char name[] = "DOM\\ann", home[] = "/home/ann", none[] = "";
	static struct passwd pw = {.pw_name = name,
	    .pw_passwd = none,
	    .pw_uid = 1000,
	    .pw_gid = 1000,
	    .pw_gecos = none,
	    .pw_dir = home,
	    .pw_shell = none};

	(void)h;
	(void)user;
	return luck() ? &pw : NULL;
}

int
pam_modutil_user_in_group_nam_nam(
    pam_handle_t *h, const char *user, const char *group)
{
	(void)h;
	(void)user;
	(void)group;
	return luck() & 1;
}

/* ---- one call after another */

static const int phases[] = {PAM_SILENT, 0, PAM_REINITIALIZE_CRED,
    PAM_REFRESH_CRED, PAM_ESTABLISH_CRED, PAM_DELETE_CRED};

/* Nothing but this, for any of them, at any time. */
static void
check(int rc, bool session, int64_t most)
{
	int i;

	assert(rc == PAM_IGNORE || (session && rc == PAM_SUCCESS));
	for (i = 0; i < FDS_MOST; i++)
		assert(out.fds[i] == 0);
	assert(out.clock <= most);
}

static void
call(unsigned int which, int argc, const char **argv)
{
	int flags = phases[which / 4 % (sizeof(phases) / sizeof(phases[0]))];
	int64_t begun = out.clock;

	switch (which % 4) {
	case 0:
		check(pam_sm_authenticate(handle, flags, argc, argv), false,
		    begun);
		check(
		    pam_sm_acct_mgmt(handle, flags, argc, argv), false, begun);
		check(
		    pam_sm_chauthtok(handle, flags, argc, argv), false, begun);
		break;
	case 1:
		check(pam_sm_setcred(handle, flags, argc, argv), false,
		    begun + 210);
		break;
	case 2:
		check(pam_sm_open_session(handle, flags, argc, argv), true,
		    begun + 10000 + 50 + 950 + 50 + 50 + 10);
		break;
	default:
		check(pam_sm_close_session(handle, flags, argc, argv), true,
		    begun + 110);
	}
}

static void
end(void)
{
	int i;

	for (i = 0; i < DATA_MOST; i++) {
		if (out.kept[i].name && out.kept[i].end)
			out.kept[i].end(handle, out.kept[i].data, 0);
	}
	memset(&out, 0, sizeof(out));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *argv[WORDS_MOST];
	char *copy, *at, *eol;
	uint8_t which;
	int argc = 0;
	size_t n;

	if (size < 3 || !(copy = malloc(size + 1)))
		return 0;
	memcpy(copy, data, size);
	copy[size] = '\0';
	at = copy + 2;
	while (argc < WORDS_MOST && (eol = strchr(at, '\n')) && eol != at) {
		*eol = '\0';
		/* The other mode is another target's. */
		if (strncmp(at, "mode", 4) != 0)
			argv[argc++] = at;
		at = eol + 1;
	}
	at += *at == '\n';
	n = (uint8_t)*at;
	at += at < copy + size;
	if (n > (size_t)(copy + size - at))
		n = (size_t)(copy + size - at);
	in.luck = data + (at - copy);
	in.luck_end = in.luck + n;
	in.bytes = in.luck_end;
	in.bytes_end = data + size;
	in.flags = data[1];
	which = data[0];
	/* One alone, or the life of a session. */
	in.armed = true;
	if (which & 0x80) {
		call(0, argc, argv);
		call(2 + 4, argc, argv);
		call(1 + 8, argc, argv);
		call(3, argc, argv);
	} else {
		call(which, argc, argv);
	}
	in.armed = false;
	end();
	free(copy);
	return 0;
}
