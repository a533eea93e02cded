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
 * what comes from a key, a pipe or a socket.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "pam_module/pam_awsenv.h" /* and so linked with it */

#include <security/pam_modutil.h>

#include "tests/fuzz/libpam.h"

#define WORDS_MOST 16
#define FDS_MOST 64
#define PIECE 7	      /* bytes that a read gives at most */
#define FD_FIRST 5000 /* the kernel has given none so high */
#define KEY 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the input decides. */
static struct {
	const uint8_t *luck, *luck_end, *bytes, *bytes_end;
	uint8_t flags;
	bool left;  /* a factor left a login */
	bool armed; /* else the calls are the fuzzer's own */
} in;

/* A descriptor: what the module has been told of it. */
struct file {
	bool open;
	bool private; /* a directory of the user's alone */
	bool root;    /* a directory of root's */
	bool his;     /* a socket on which he listens */
};

/* What came of it. */
static struct {
	int64_t clock; /* milliseconds */
	struct file files[FDS_MOST];
	char key[128]; /* its name, and what was done with it */
	bool taken, revoked, unlinked;
	bool sized;    /* the terminal said how large it is */
	uint32_t wait; /* the most that the words allow */
} out;

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

static int
fd_new(void)
{
	int i;

	for (i = 0; i < FDS_MOST; i++) {
		if (!out.files[i].open) {
			out.files[i] = (struct file){.open = true};
			return FD_FIRST + i;
		}
	}
	abort(); /* so many are a leak */
}

/* One that was closed is another's by now. */
static struct file *
file_of(int fd)
{
	assert(fd >= FD_FIRST && fd < FD_FIRST + FDS_MOST);
	assert(out.files[fd - FD_FIRST].open);
	return &out.files[fd - FD_FIRST];
}

int __real_open(const char *, int, ...);
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
	(void)path;
	assert(how & O_CLOEXEC);
	if (at != AT_FDCWD)
		(void)file_of(at);
	return fails(ENOENT) ? -1 : fd_new();
}

WRAP(int, close, (int fd))
{
	if (!in.armed)
		return __real_close(fd);
	file_of(fd)->open = false;
	return 0;
}

WRAP(int, eventfd, (unsigned int value, int flags))
{
	(void)value;
	assert(flags & EFD_CLOEXEC);
	return fails(EMFILE) ? -1 : fd_new();
}

/* A directory of the user or of root, open to others or not. */
WRAP(int, fstat, (int fd, struct stat *st))
{
	struct file *f;
	uint8_t how;

	if (!in.armed)
		return __real_fstat(fd, st);
	f = file_of(fd);
	how = luck();
	memset(st, 0, sizeof(*st));
	st->st_mode = how & 1 ? S_IFDIR : S_IFIFO;
	st->st_mode |= how & 2 ? 0700 : 0777;
	st->st_uid = how & 4 ? 1000 : how & 8 ? 0 : 7;
	f->private = (how & 7) == 7;
	f->root = how && st->st_uid == 0;
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
	assert(file_of(fd)->root && mode == 0700);
	return fails(EPERM) ? -1 : 0;
}

WRAP(int, fchown, (int fd, uid_t uid, gid_t gid))
{
	assert(file_of(fd)->root && uid == 1000 && gid == 1000);
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
	int dir;

	(void)file_of(fd);
	assert(n == sizeof(struct sockaddr_un));
	assert(sscanf(((const struct sockaddr_un *)addr)->sun_path,
		   "/proc/self/fd/%d/agent.sock", &dir) == 1);
	assert(file_of(dir)->private);
	if (how >= sizeof(errors) / sizeof(errors[0]))
		return 0;
	errno = errors[how];
	return -1;
}

WRAP(int, getsockopt,
    (int fd, int level, int what, void *value, socklen_t *size))
{
	struct ucred *peer = value;
	uint8_t how = luck();

	assert(level == SOL_SOCKET && what == SO_PEERCRED);
	assert(*size == sizeof(*peer));
	*peer = (struct ucred){.pid = 1, .uid = how & 1 ? 1000 : 7};
	file_of(fd)->his = how & 1;
	if (!fails(EBADF))
		return 0;
	file_of(fd)->his = false;
	return -1;
}

/* As many as there are, in pieces; then the other end is silent or gone. */
WRAP(ssize_t, read, (int fd, void *to, size_t n))
{
	size_t left = (size_t)(in.bytes_end - in.bytes);

	if (!in.armed)
		return __real_read(fd, to, n);
	(void)file_of(fd);
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

/* Nothing is told to anybody else. */
WRAP(ssize_t, send, (int fd, const void *from, size_t n, int flags))
{
	(void)from;
	assert((flags & MSG_NOSIGNAL) && file_of(fd)->his);
	return fails(EPIPE) ? -1 : (ssize_t)n;
}

WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags))
{
	assert((flags & MSG_NOSIGNAL) && file_of(fd)->his);
	assert(m->msg_iovlen == 1);
	if (fails(ETOOMANYREFS) || fails(EPIPE))
		return -1;
	return (ssize_t)m->msg_iov->iov_len;
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
		out.clock += ms > 0; /* late, what is there is read at once */
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

WRAP(time_t, time, (time_t * to))
{
	(void)to;
	return in.armed ? 1800000000 + out.clock / 1000 : __real_time(to);
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

WRAP(uid_t, getuid, (void))
{
	return in.flags & 2 ? 0 : 1000;
}

WRAP(pid_t, getsid, (pid_t pid))
{
	(void)pid;
	return fails(EPERM) ? -1 : 4242;
}

WRAP(FILE *, fopen, (const char *path, const char *how))
{
	static char leader[] = "4242 (a b) c) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 "
			       "1 1 1 77\n";

	if (!in.armed || strcmp(path, "/proc/4242/stat") != 0)
		return __real_fopen(path, how); /* libFuzzer's, that it died */
	return fails(EACCES) ? NULL : fmemopen(leader, strlen(leader), "r");
}

/* The terminal speaks UTF-8 or not, and is of some size. */
WRAP(int, tcgetattr, (int fd, struct termios *t))
{
	(void)file_of(fd);
	memset(t, 0, sizeof(*t));
	t->c_iflag = luck() & 1 ? IUTF8 : 0;
	return fails(ENOTTY) ? -1 : 0;
}

int __real_ioctl(int, unsigned long, void *);
int __wrap_ioctl(int, unsigned long, void *);

int
__wrap_ioctl(int fd, unsigned long what, void *to)
{
	struct winsize *size = to;

	if (!in.armed)
		return __real_ioctl(fd, what, to);
	(void)file_of(fd);
	assert(what == TIOCGWINSZ);
	*size = (struct winsize){.ws_col = luck(), .ws_row = luck()};
	out.sized = true;
	return fails(ENOTTY) ? -1 : 0;
}

/* ---- the keyring, in which a factor may have left a login */

static long
key_describe(char *to, size_t size)
{
	uint8_t how = luck();
	int n = snprintf(to, size, "user;%d;0;%08x;%s", how & 1 ? 0 : 1000,
	    how & 2 ? 0x003f0000U : 0x3f3f0000U, out.key);

	return how ? n + 1 : -1;
}

/* Two bytes say how long it is. */
static long
key_read(void *to, size_t size)
{
	size_t left = (size_t)(in.bytes_end - in.bytes), n;

	if (left < 2 || luck() == 0)
		return -1;
	n = (size_t)in.bytes[0] << 8 | in.bytes[1];
	if (n > left - 2)
		n = left - 2;
	in.bytes += 2;
	memcpy(to, in.bytes, n < size ? n : size);
	in.bytes += n;
	return (long)n;
}

static long
key_call(int what, long a, long b, long c, long d)
{
	if (what == KEYCTL_SEARCH) {
		assert(a == KEY_SPEC_USER_KEYRING);
		if (!in.left || luck() == 0)
			return -1;
		snprintf(
		    out.key, sizeof(out.key), "%s", (const char *)(uintptr_t)c);
		return KEY;
	}
	(void)d;
	assert(a == KEY);
	switch (what) {
	case KEYCTL_DESCRIBE:
		return key_describe((char *)(uintptr_t)b, (size_t)c);
	case KEYCTL_READ:
		out.taken = true;
		return key_read((void *)(uintptr_t)b, (size_t)c);
	case KEYCTL_REVOKE:
		out.revoked = true;
		return 0;
	case KEYCTL_UNLINK:
		out.unlinked = true;
		return 0;
	default:
		abort();
	}
}

long __real_syscall(long, long, long, long, long, long);
long __wrap_syscall(long, long, long, long, long, long);

long
__wrap_syscall(long number, long a, long b, long c, long d, long e)
{
	if (!in.armed)
		return __real_syscall(number, a, b, c, d, e);
	assert(number == SYS_keyctl);
	return key_call((int)a, b, c, d, e);
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

	static const char *const ttys[] = {
	    NULL, "ssh", ":0", "tty1", "/dev/../x", "tty/../x", "/dev/pts/1"};

	(void)h;
	*item = NULL;
	if (which == PAM_USER)
		*item = luck() ? "DOM\\ann" : NULL;
	else if (which == PAM_SERVICE)
		*item = services[(in.flags >> 4) % 6];
	else if (which == PAM_RHOST)
		*item = in.flags & 4 ? "10.0.0.1\033[2J\nforged" : NULL;
	else
		*item = ttys[luck() % (sizeof(ttys) / sizeof(ttys[0]))];
	return luck() ? PAM_SUCCESS : PAM_BUF_ERR;
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
	assert(!strpbrk(setting, "\n\033"));
	return luck() ? PAM_SUCCESS : PAM_BUF_ERR;
}

/* %.64s of a word of root's may be anything; no more than that. */
static void
on_log(const char *line)
{
	assert(strlen(line) < 400 && !strstr(line, "\nforged"));
}

/* A piece of a QR code, if there may be one; 0: it is none. */
static size_t
piece_of_code(const char *p)
{
	static const char *const pieces[] = {
	    "\033[40;37;1m", "\033[0m\n", "\u2584", "\u2580", "\u2588"};
	size_t i;

	for (i = 0; out.sized && i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (strncmp(p, pieces[i], strlen(pieces[i])) == 0)
			return strlen(pieces[i]);
	}
	return 0;
}

static int
on_prompt(int style, const char *text, char **answer)
{
	assert(style == PAM_TEXT_INFO && !answer);
	while (*text) {
		size_t piece = piece_of_code(text);

		assert(
		    piece || *text == '\n' || (*text >= ' ' && *text <= '~'));
		text += piece ? piece : 1;
	}
	return luck() ? PAM_SUCCESS : PAM_CONV_ERR;
}

static bool
on_keep(void)
{
	return luck() != 0;
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
		assert(!out.files[i].open);
	assert(out.clock <= most);
	assert(!out.taken || (out.revoked && out.unlinked));
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
	libpam_end();
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
	in.left = which & 0x40;
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
