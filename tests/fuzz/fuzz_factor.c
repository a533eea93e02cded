/* SPDX-License-Identifier: ISC */
/*
 * The module as a factor, with a fetcher that says anything, an application
 * that may not be able to ask, and memory and sockets that fail. Whatever comes
 * of it, it lets in only whom an answer names who is allowed to.
 *
 * Input: which allocation fails (0: none), which call on the link fails, bits
 * (see below), then packets, each with a length of two bytes; the first of them
 * is where the person comes from, the second a map. The others are what the
 * fetcher says, answers if they begin with an 'A'.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <security/pam_modutil.h>

#include "awsenv/own.h"

#include "tests/fuzz/libpam.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int alloc_fails, link_fails; /* the nth from now */

static bool
flaky(unsigned int *n)
{
	return *n && --*n == 0;
}

static void *
flaky_malloc(size_t n)
{
	return flaky(&alloc_fails) ? NULL : malloc(n);
}

static char *
flaky_strdup(const char *s)
{
	return flaky(&alloc_fails) ? NULL : strdup(s);
}

static ssize_t
flaky_recv(int fd, void *p, size_t n, int flags)
{
	static const int errors[] = {ECONNRESET, EINTR, EIO, ENOMEM};

	if (!flaky(&link_fails))
		return recv(fd, p, n, flags);
	errno = errors[n % 4];
	return -1;
}

int __real_poll(struct pollfd *, nfds_t, int ms);
int __wrap_poll(struct pollfd *, nfds_t, int ms);

/* A time that went by without an answer; nobody waits for it here. */
int
__wrap_poll(struct pollfd *p, nfds_t n, int ms)
{
	return flaky(&link_fails) ? 0 : __real_poll(p, n, ms);
}

#define malloc flaky_malloc
#define strdup flaky_strdup
#define recv flaky_recv
#include "agent/common/buf.c"	/* NOLINT: its allocations fail */
#include "agent/common/link.c"	/* NOLINT */
#include "pam_module/options.c" /* NOLINT */
#include "pam_module/text.c"	/* NOLINT */
#undef malloc
#undef strdup
#undef recv
/* It would refuse a map that is not a file of root's. */
#define identity_open identity_open_file
bool identity_open_file(pam_handle_t *, const struct options *, int *map);
#include "pam_module/identity.c" /* NOLINT */
#undef identity_open

#define CANNOT_ASK 1
#define NO_ANSWER 2
#define OTHER_USER 4
#define CROWD 8
#define WITH_DOMAIN 16
#define WITH_MAP 32
#define NOT_FORCED 64
#define SSHD 128
#define PACKETS_MOST 8

static uint8_t bits;
static unsigned int prompts;
static const char *remote;
static struct view packets[PACKETS_MOST];
static size_t n_packets;
static int map_file = -1;

/* -------- libpam */

static void
on_log(const char *line)
{
	assert(is_plain(line) && !strchr(line, '\n'));
}

static int
on_prompt(int style, const char *text, char **answer)
{
	assert(is_plain(text));
	if (style != PAM_PROMPT_ECHO_ON)
		return PAM_SUCCESS;
	assert(answer && ++prompts < 1000);
	if (bits & CANNOT_ASK)
		return PAM_CONV_ERR;
	*answer = bits & NO_ANSWER ? NULL : strdup("secret");
	return PAM_SUCCESS;
}

static bool
on_keep(void)
{
	return true;
}

int
pam_get_item(const pam_handle_t *h, int which, const void **value)
{
	(void)h;
	*value = which == PAM_SERVICE ? (bits & SSHD ? "sshd" : "login")
	    : which == PAM_RHOST      ? remote
	    : which == PAM_USER
	    ? (prompts && bits & OTHER_USER ? "root" : "ann")
	    : NULL;
	return PAM_SUCCESS;
}

struct passwd *
pam_modutil_getpwnam(pam_handle_t *h, const char *name)
{
	static char ann[] = "ann", empty[] = "";
	static struct passwd users[] = {
	    {.pw_name = ann, .pw_uid = 1000, .pw_dir = empty},
	    {.pw_name = empty, .pw_uid = 990, .pw_dir = empty}};

	(void)h;
	return &users[strcmp(name, "ann") != 0];
}

int
pam_modutil_user_in_group_nam_nam(
    pam_handle_t *h, const char *user, const char *group)
{
	(void)h;
	(void)user;
	(void)group;
	return 0;
}

/* -------- the rooms around it */

bool
identity_open(pam_handle_t *h, const struct options *o, int *map)
{
	(void)h;
	*map = o->map ? dup(map_file) : -1;
	return !o->map || *map >= 0;
}

uid_t
geteuid(void)
{
	return 0;
}

enum aw_err
limit_enter(struct limit *l, uid_t uid, const char *from, int64_t deadline,
    const char **why)
{
	(void)uid;
	(void)from;
	(void)deadline;
	*l = (struct limit){{-1, -1}, -1};
	*why = "of this user";
	return bits & CROWD ? AW_BUSY : AW_OK;
}

void
handover_keep(pam_handle_t *h, const struct passwd *pw, const struct answer *a)
{
	(void)h;
	assert(pw->pw_uid == 1000 && a->tok.n);
}

void
limit_leave(struct limit *l)
{
	(void)l;
}

void
limit_forgive(struct limit *l)
{
	(void)l;
}

/* All that it will ever say is there at once. */
enum aw_err
fetch_spawn(pam_handle_t *h, const struct passwd *pw, const char *program,
    unsigned int seconds, int *link)
{
	static int far = -1; /* takes the order and never reads it */
	int fds[2];
	size_t i;

	(void)h;
	(void)program;
	assert(pw->pw_uid == 990 && seconds > 60);
	if (flaky(&link_fails) || link_pair(fds) != 0)
		return AW_SYSTEM;
	for (i = 2; i < n_packets; i++) {
		uint8_t kind =
		    packets[i].n && packets[i].p[0] == 'A' ? MSG_ANSWER : 0;
		struct iovec iov[] = {{&kind, 1},
		    {(void *)(uintptr_t)(packets[i].p + 1), packets[i].n - 1}};
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

		if (packets[i].n)
			sendmsg(fds[1], &m, MSG_NOSIGNAL);
	}
	shutdown(fds[1], SHUT_WR);
	own_close(&far);
	far = fds[1];
	*link = fds[0];
	return AW_OK;
}

#define strdup flaky_strdup
#include "pam_module/factor.c" /* NOLINT */
#undef strdup
#include "pam_module/scope.c" /* NOLINT */

/* -------- the rule once more, written to be obvious */

static bool
names(struct view arn, const char *person)
{
	char want[300];
	const char *dash = "0123456789abcdef";
	uint32_t i;

	snprintf(want, sizeof(want),
	    "arn:aws:sts::012345678901:assumed-role/"
	    "AWSReservedSSO_ReadOnly_0123456789abcdef/%s",
	    person);
	if (arn.n != strlen(want))
		return false;
	for (i = 0; i < arn.n; i++) {
		bool digit = i >= strlen(want) - strlen(person) - 17 &&
		    i < strlen(want) - strlen(person) - 1;

		if (digit ? !memchr(dash, arn.p[i], 16) : arn.p[i] != want[i])
			return false;
	}
	return true;
}

static bool
somebody_may(void)
{
	struct answer a;
	struct view body;
	uint8_t kind;
	size_t i;

	for (i = 2; i < n_packets; i++) {
		body = packets[i];
		if (!view_u8(&body, &kind) || kind != 'A' ||
		    !msg_decode(MSG_ANSWER, body, &a) || a.error || !a.last)
			continue;
		if (bits & WITH_MAP && !(bits & WITH_DOMAIN)) {
			char person[PERSON_SIZE] = "";
			const char *slash =
			    a.arn.n ? memrchr(a.arn.p, '/', a.arn.n) : NULL;
			size_t n = slash ? (size_t)((const char *)a.arn.p +
					       a.arn.n - slash - 1)
					 : 0;

			if (!n || n >= sizeof(person))
				continue;
			memcpy(person, slash + 1, n);
			if (names(a.arn, person) &&
			    map_says(map_file, "ann", person))
				return true;
		} else if (names(a.arn,
			       bits & WITH_DOMAIN ? "ann@a.example" : "ann")) {
			return true;
		}
	}
	return false;
}

static int
map_of(struct view v)
{
	int fd = memfd_create("map", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, v.p, v.n) == (ssize_t)v.n);
	return fd;
}

static void
take_packets(struct view v)
{
	for (n_packets = 0; n_packets < PACKETS_MOST && v.n >= 2; n_packets++) {
		uint32_t n = (uint32_t)v.p[0] << 8 | v.p[1];

		v = (struct view){v.p + 2, v.n - 2};
		n = n < v.n ? n : v.n;
		packets[n_packets] = (struct view){v.p, n};
		v = (struct view){v.p + n, v.n - n};
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *argv[12] = {"mode=factor", "region=eu-west-1",
	    "start_url=https://a.awsapps.com/start", "account=012345678901",
	    "role=ReadOnly", "debug"};
	struct options o;
	int argc = 6, rc;
	char *from;
	bool sound;

	if (size < 3 || size > 32768)
		return 0;
	take_packets((struct view){data + 3, (uint32_t)size - 3});
	from = n_packets ? view_dup(packets[0]) : NULL;
	map_file = map_of(n_packets > 1 ? packets[1] : (struct view){0});
	remote = from;
	bits = data[2];
	prompts = 0;
	if (bits & WITH_DOMAIN)
		argv[argc++] = "domain=a.example";
	if (bits & NOT_FORCED)
		argv[argc++] = "enforce=no";
	sound = options_parse(handle, argc, argv, &o);
	assert(sound);
	if (bits & WITH_MAP && !(bits & WITH_DOMAIN))
		o.map = "/map";
	alloc_fails = data[0];
	link_fails = data[1];
	rc = factor_authenticate(handle, &o, sound, 0);
	alloc_fails = link_fails = 0;
	if (rc == PAM_SUCCESS)
		assert(prompts && !(bits & (NOT_FORCED | OTHER_USER | CROWD)) &&
		    somebody_may());
	assert((rc == PAM_IGNORE) == !!(bits & NOT_FORCED));
	assert(factor_setcred(handle, &o) ==
	    (bits & NOT_FORCED ? PAM_IGNORE : PAM_SUCCESS));
	libpam_end();
	free(from);
	close(map_file);
	return 0;
}
