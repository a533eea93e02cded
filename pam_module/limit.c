/* SPDX-License-Identifier: ISC */
/*
 * How many attempts there may be at once, and in ten minutes, by a user and
 * from a source: somebody with a stolen password must not be able to hold a
 * code ready at any time, nor to tire a person with them.
 *
 * Files below /run/awsenv/factor, root's alone. An open attempt is a lock that
 * the kernel takes back however a process ends. Sources share a fixed number
 * of files, so that there is nothing to clean up.
 */
#include "pam_module/pam_awsenv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define WINDOW 600 /* seconds */
#define USER_MOST 10
#define SOURCE_MOST 30
#define SOURCES 1024
#define OPEN_FLAGS (O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC)

/* Whose attempts are counted: a file of that name has the times of the last
 * ones, NAME.0 and so on are the locks of those that are open. */
struct subject {
	char name[32];
	unsigned int most;
	const char *why;
};

static int
open_dir(void)
{
	AUTOCLOSE int root = place_root(true), fd = -1;
	struct stat st;

	if (root < 0 || (mkdirat(root, "factor", 0700) != 0 && errno != EEXIST))
		return -1;
	fd = openat(
	    root, "factor", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != 0 ||
	    (st.st_mode & 077))
		return -1;
	return STEAL_FD(fd);
}

/* -------- open ones */

/* The descriptor of a lock that was free; -1: there is none, -2: an error. */
static int
take_slot(int dir, const struct subject *s)
{
	char name[sizeof(s->name) + 4];
	unsigned int i;

	for (i = 0; i < LIMIT_OPEN; i++) {
		AUTOCLOSE int fd = -1;

		snprintf(name, sizeof(name), "%.31s.%u", s->name, i);
		if ((fd = openat(dir, name, OPEN_FLAGS, 0600)) < 0)
			return -2;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return STEAL_FD(fd);
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -2;
	}
	return -1;
}

/* -------- times */

static uint64_t
now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec + 1; /* 0 is no time */
}

/* Others hold it for as long as they count. */
static bool
lock_until(int fd, int64_t deadline)
{
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if ((errno != EWOULDBLOCK && errno != EINTR) ||
		    io_deadline(0) >= deadline)
			return false;
		poll(NULL, 0, 2);
	}
	return true;
}

/* One more, in the place of the oldest; unless that is too young. *file is
 * where the times stand. */
static enum aw_err
count(int dir, const struct subject *s, int64_t deadline, int *file)
{
	AUTOCLOSE int fd = openat(dir, s->name, OPEN_FLAGS, 0600);
	uint64_t times[SOURCE_MOST] = {0}, now = now_seconds();
	size_t size = s->most * sizeof(*times);
	unsigned int i, oldest = 0;

	if (fd < 0 || !lock_until(fd, deadline) ||
	    pread(fd, times, size, 0) < 0)
		return AW_SYSTEM;
	for (i = 0; i < s->most; i++) {
		if (times[i] > now) /* of another boot */
			times[i] = 0;
		if (times[i] < times[oldest])
			oldest = i;
	}
	if (times[oldest] && now - times[oldest] < WINDOW)
		return AW_BUSY;
	times[oldest] = now;
	if (pwrite(fd, times, size, 0) != (ssize_t)size ||
	    flock(fd, LOCK_UN) != 0)
		return AW_SYSTEM;
	own_close(file);
	*file = STEAL_FD(fd);
	return AW_OK;
}

/* -------- subjects */

static uint32_t
hash(const uint8_t *p, size_t n)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; n; n--, p++)
		h = (h ^ *p) * 1099511628211u;
	return (uint32_t)(h ^ h >> 32);
}

/* Half of an IPv6 address is one site's to choose. */
static uint32_t
source_of(const char *rhost)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct in6_addr a;

	if (inet_pton(AF_INET6, rhost, &a) != 1)
		return hash((const uint8_t *)rhost, strlen(rhost));
	if (memcmp(&a, mapped, sizeof(mapped)) == 0)
		return hash(a.s6_addr, sizeof(a));
	return hash(a.s6_addr, sizeof(a) / 2);
}

/* How many there are: a console has no source. The user comes last, whose
 * attempts a source that is full does not use up. */
static int
name_subjects(struct subject s[static 2], uid_t uid, const char *rhost)
{
	int n = 0;

	if (rhost && *rhost) {
		s[n] = (struct subject){
		    .most = SOURCE_MOST, .why = "from this source"};
		snprintf(s[n].name, sizeof(s[n].name), "source-%u",
		    source_of(rhost) % SOURCES);
		n++;
	}
	s[n] = (struct subject){.most = USER_MOST, .why = "of this user"};
	snprintf(s[n].name, sizeof(s[n].name), "user-%lu", (unsigned long)uid);
	return n + 1;
}

enum aw_err
limit_enter(struct limit *l, uid_t uid, const char *rhost, int64_t deadline,
    const char **why)
{
	AUTOCLOSE int dir = -1;
	struct subject s[2];
	enum aw_err r = AW_OK;
	int i, n;

	*l = (struct limit){{-1, -1}, -1};
	n = name_subjects(s, uid, rhost);
	if ((dir = open_dir()) < 0)
		return AW_SYSTEM;
	for (i = 0; i < n && r == AW_OK; i++) {
		*why = s[i].why;
		if ((l->held[i] = take_slot(dir, &s[i])) < 0)
			r = l->held[i] == -1 ? AW_BUSY : AW_SYSTEM;
	}
	for (i = 0; i < n && r == AW_OK; i++) {
		*why = s[i].why;
		r = count(dir, &s[i], deadline, &l->times);
	}
	if (r != AW_OK)
		limit_leave(l);
	return r;
}

/* Whoever tries to tire him starts from the beginning, too; but only the
 * person himself can bring that about. */
void
limit_forgive(struct limit *l)
{
	if (l->times >= 0 && ftruncate(l->times, 0) != 0)
		limit_leave(l);
}

void
limit_leave(struct limit *l)
{
	own_close(&l->held[0]);
	own_close(&l->held[1]);
	own_close(&l->times);
	*l = (struct limit){{-1, -1}, -1};
}
