/* SPDX-License-Identifier: ISC */
/*
 * Who approved, as AWS names him in the ARN of his role's session, and whether
 * that is the local user. Everything is compared whole: a name that begins the
 * same, another account's or another role's session is somebody else.
 */
#include "pam_module/pam_awsenv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "awsenv/own.h"
#include "awsenv/partition.h"

#define SUFFIX 16 /* hexadecimal digits behind a permission set's name */

static bool
is_of(const char *set, struct view v)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (!v.p[i] || !strchr(set, v.p[i]))
			return false;
	}
	return v.n > 0;
}

static bool
skip(struct view *v, const char *text)
{
	size_t n = strlen(text);

	if (v->n < n || memcmp(v->p, text, n) != 0)
		return false;
	*v = (struct view){v->p + n, v->n - (uint32_t)n};
	return true;
}

/* arn:PARTITION:sts::ACCOUNT:assumed-role/AWSReservedSSO_ROLE_SUFFIX/PERSON */
bool
identity_read(
    const struct options *o, struct view arn, char person[static PERSON_SIZE])
{
	const struct partition *p = partition_of(view_str(o->region));

	if (!skip(&arn, "arn:") || !skip(&arn, p->name) ||
	    !skip(&arn, ":sts::") || !skip(&arn, o->account) ||
	    !skip(&arn, ":assumed-role/AWSReservedSSO_") ||
	    !skip(&arn, o->role) || !skip(&arn, "_") || arn.n <= SUFFIX ||
	    !is_of("0123456789abcdef", (struct view){arn.p, SUFFIX}))
		return false;
	arn = (struct view){arn.p + SUFFIX, arn.n - SUFFIX};
	if (!skip(&arn, "/") || arn.n >= PERSON_SIZE ||
	    !is_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		   "0123456789_+=,.@-",
		arn))
		return false;
	memcpy(person, arn.p, arn.n);
	person[arn.n] = '\0';
	return true;
}

/* -------- the rule */

bool
identity_open(pam_handle_t *pamh, const struct options *o, int *map)
{
	AUTOCLOSE int fd = -1;
	struct stat st;

	*map = -1;
	if (!o->map)
		return true;
	fd = open(o->map, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		pam_syslog(
		    pamh, LOG_ERR, "map=%s: %s", o->map, strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022) ||
	    st.st_size > BUF_MAX) {
		pam_syslog(pamh, LOG_ERR,
		    "map=%s: not a file of root's that only root can write",
		    o->map);
		return false;
	}
	*map = STEAL_FD(fd);
	return true;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* The next word before the end of the line, maybe an empty one. */
static struct view
take_word(struct view *line)
{
	struct view word;

	while (line->n && is_blank(line->p[0]))
		*line = (struct view){line->p + 1, line->n - 1};
	word = (struct view){line->p, 0};
	while (line->n && !is_blank(line->p[0])) {
		*line = (struct view){line->p + 1, line->n - 1};
		word.n++;
	}
	return word;
}

/* LOCAL PERSON, a line for each; "#" begins a comment. */
static bool
line_says(struct view line, const char *local, const char *person)
{
	struct view first = take_word(&line), second = take_word(&line);

	if (first.n && first.p[0] == '#')
		return false;
	return view_is(first, local) && view_is(second, person) &&
	    take_word(&line).n == 0;
}

static bool
map_says(int map, const char *local, const char *person)
{
	AUTOBUF struct buf b = {0};
	struct view rest, line;
	const uint8_t *end;
	ssize_t n;

	do {
		if (!buf_reserve(&b, 4096))
			return false;
		n = pread(map, b.data + b.len, 4096, (off_t)b.len);
		b.len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	for (rest = view_of(&b); n == 0 && rest.n;) {
		end = memchr(rest.p, '\n', rest.n);
		line = (struct view){
		    rest.p, end ? (uint32_t)(end - rest.p) : rest.n};
		if (line_says(line, local, person))
			return true;
		line.n += end != NULL;
		rest = (struct view){rest.p + line.n, rest.n - line.n};
	}
	return false;
}

bool
identity_is(
    const struct options *o, int map, const char *local, const char *person)
{
	struct view v = view_str(person);

	if (!*local || !*person)
		return false;
	if (o->map)
		return map_says(map, local, person);
	if (o->domain)
		return skip(&v, local) && skip(&v, "@") &&
		    view_is(v, o->domain);
	return strcmp(local, person) == 0;
}
