/* SPDX-License-Identifier: ISC */
/*
 * Local time from the zone's file (RFC 8536), as it says for that moment. Rules
 * for what comes after its last transition are not read: where the file does
 * not say, the caller writes UTC. What musl has for this is a tenth of what
 * this program may weigh.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define ZONES "/usr/share/zoneinfo/"
#define FILE_MOST (256 * 1024)

/* The counts of a header, in its order. */
enum { ISUT, ISSTD, LEAP, TIMES, TYPES, CHARS, COUNTS };

static bool
header(struct view *v, uint32_t count[static COUNTS])
{
	size_t i;

	if (v->n < 20 || memcmp(v->p, "TZif", 4) != 0)
		return false;
	v->p += 20;
	v->n -= 20;
	for (i = 0; i < COUNTS; i++) {
		if (!view_u32(v, &count[i]) || count[i] > FILE_MOST / 8)
			return false;
	}
	return true;
}

static bool
skip(struct view *v, uint64_t n)
{
	if (n > v->n)
		return false;
	v->p += n;
	v->n -= (uint32_t)n;
	return true;
}

/* Is there a rule for summer time in the last line? */
static bool
has_rule(struct view v)
{
	uint32_t i = v.n ? v.n - 1 : 0;

	while (i && v.p[i - 1] != '\n') {
		if (v.p[--i] == ',')
			return true;
	}
	return false;
}

/* The second part of the file: times of 64 bits. */
static bool
offset_find(struct view v, uint64_t when, int32_t *offset)
{
	uint32_t count[COUNTS], i, type = 0;
	uint64_t at;
	const uint8_t *types;

	if (!header(&v, count) ||
	    !skip(&v,
		(uint64_t)count[TIMES] * 5 + (uint64_t)count[TYPES] * 6 +
		    count[CHARS] + (uint64_t)count[LEAP] * 8 + count[ISSTD] +
		    count[ISUT]) ||
	    !header(&v, count) || v.n < (uint64_t)count[TIMES] * 9)
		return false;
	types = v.p + (size_t)count[TIMES] * 8;
	for (i = 0; i < count[TIMES] && view_u64(&v, &at); i++) {
		if ((int64_t)at > (int64_t)when)
			break;
		type = types[i];
	}
	if (i == count[TIMES] && has_rule(v))
		return false;
	v = (struct view){
	    types + count[TIMES], v.n - (uint32_t)(types + count[TIMES] - v.p)};
	if (type >= count[TYPES] || !skip(&v, (uint64_t)type * 6) ||
	    !view_u32(&v, &i))
		return false;
	*offset = (int32_t)i;
	return true;
}

static int
zone_open(void)
{
	const char *tz = getenv("TZ");
	char path[PATH_MAX];

	if (!tz)
		return open(
		    "/etc/localtime", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (*tz == ':')
		tz++;
	if (!*tz || strchr(tz, '.') ||
	    !format(path, sizeof(path), "%s%s", *tz == '/' ? "" : ZONES, tz))
		return -1;
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

bool
zone_offset(uint64_t when, int32_t *offset)
{
	AUTOCLOSE int fd = zone_open();
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	bool found;
	void *p;

	if (size <= 0 || size > FILE_MOST)
		return false;
	p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return false;
	found = offset_find((struct view){p, (uint32_t)size}, when, offset);
	munmap(p, (size_t)size);
	return found;
}
