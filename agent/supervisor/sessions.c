/* SPDX-License-Identifier: ISC */
/*
 * Has the user a session on this machine? logind writes it down in a file for
 * each user, which sd_uid_get_sessions(3) reads as well; the kernel tells when
 * it does. Sessions are never counted by who opens and closes them: a killed
 * sshd closes none, and tmux lives on in one that is closing.
 *
 * Where there is no logind, or it never had a session of this user, nothing is
 * ever said.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "awsenv/own.h"

#define USERS "/run/systemd/users"
#define LINGER "/var/lib/systemd/linger"
#define AGAIN_MS 1000
#define GRACE_MS 10000 /* as systemd's UserStopDelaySec: scp after scp */
#define LOGOUT_MS 5000 /* to tell AWS, before what ends with the session does */

/* The value of a line "NAME=value"; NULL: there is none. */
static const char *
value_of(const char *text, const char *name, size_t *n)
{
	const char *line = text;
	size_t len = strlen(name);

	while (line && strncmp(line, name, len) != 0)
		line = (line = strchr(line, '\n')) ? line + 1 : NULL;
	if (!line)
		return NULL;
	*n = strcspn(line + len, "\n");
	return line + len;
}

static bool
lingers(const char *text)
{
	char path[sizeof(LINGER) + NAME_MAX];
	const char *name;
	size_t n;

	if (!(name = value_of(text, "NAME=", &n)) || n == 0 || n > NAME_MAX ||
	    memchr(name, '/', n))
		return false;
	snprintf(path, sizeof(path), LINGER "/%.*s", (int)n, name);
	return access(path, F_OK) == 0;
}

/* Those that are closing, since something runs on in them, do not count. False:
 * what logind wrote cannot be read just now. */
static bool
find_out(struct sessions *s, bool *there)
{
	AUTOCLOSE int fd = -1;
	char path[64], text[4096];
	const char *online;
	ssize_t got;
	size_t n;

	*there = false;
	snprintf(path, sizeof(path), USERS "/%s", s->uid);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT;
	if ((got = read(fd, text, sizeof(text) - 1)) < 0)
		return false;
	text[got] = '\0';
	s->lingers = lingers(text);
	online = value_of(text, "ONLINE_SESSIONS=", &n);
	*there = online && n > 0;
	return true;
}

/* To take a session for none would end logins. */
static void
look(struct sessions *s)
{
	bool there;

	s->unsure = !find_out(s, &there);
	if (s->unsure) {
		s->due = child_clock() + AGAIN_MS;
	} else if (there) {
		s->seen = true;
		s->due = 0;
	} else if (s->seen && !s->due) {
		s->due = child_clock() + GRACE_MS;
		s->said = false;
	}
}

void
sessions_open(struct sessions *s)
{
	*s = (struct sessions){.fd = -1};
	snprintf(s->uid, sizeof(s->uid), "%lu", (unsigned long)geteuid());
	s->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->fd >= 0 &&
	    inotify_add_watch(s->fd, USERS, IN_MOVED_TO | IN_DELETE) < 0) {
		close(s->fd);
		s->fd = -1;
	}
	if (s->fd >= 0)
		look(s);
}

int
sessions_wait_ms(const struct sessions *s)
{
	int64_t left = s->due - child_clock();

	if (!s->due)
		return -1;
	return left > 0 ? (int)left : 0;
}

/* Of whichever user it was: there are not many changes. */
void
sessions_read(struct sessions *s)
{
	union {
		struct inotify_event align;
		char room[4096];
	} events;

	if (read(s->fd, &events, sizeof(events)) > 0) {
		while (read(s->fd, &events, sizeof(events)) > 0)
			;
		look(s);
	}
}

enum sessions_end
sessions_ended(struct sessions *s)
{
	if (!s->due || s->due > child_clock())
		return SESSIONS_GO_ON;
	if (s->unsure) {
		s->due = 0;
		look(s);
		return SESSIONS_GO_ON;
	}
	if (!s->said) {
		s->said = true;
		s->due = child_clock() + LOGOUT_MS;
		return SESSIONS_NONE;
	}
	s->due = 0;
	s->seen = false;
	return s->lingers ? SESSIONS_GO_ON : SESSIONS_OVER;
}
