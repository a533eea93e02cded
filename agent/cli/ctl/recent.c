/* SPDX-License-Identifier: ISC */
/*
 * The profiles that were chosen last, newest first, one a line: names alone, no
 * secret. It is a comfort; whatever goes wrong with it is not told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define MOST 4096

/* $XDG_STATE_HOME/awsenv/recent; `create`: the folders, too. */
static bool
recent_path(char path[static PATH_MAX], bool create)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *slash;

	if (state && state[0] == '/')
		format(path, PATH_MAX, "%s/awsenv/recent", state);
	else if (!home || home[0] != '/' ||
	    !format(path, PATH_MAX, "%s/.local/state/awsenv/recent", home))
		return false;
	for (slash = strchr(path + 1, '/'); create && slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	return path[0] == '/';
}

static void
recent_read(struct buf *names)
{
	char path[PATH_MAX], text[MOST];
	AUTOCLOSE int fd = -1;
	ssize_t n;

	if (!recent_path(path, false))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		names->bad = errno != ENOENT;
		return;
	}
	if ((n = read(fd, text, sizeof(text))) > 0)
		buf_put(names, text, (size_t)n);
	names->bad |= n < 0;
}

/* Take a whole line from the front. */
static bool
line_next(struct view *v, struct view *line)
{
	const uint8_t *end = v->n ? memchr(v->p, '\n', v->n) : NULL;

	if (!end)
		return false;
	*line = (struct view){v->p, (uint32_t)(end - v->p)};
	v->n -= line->n + 1;
	v->p = end + 1;
	return true;
}

void
recent_add(const char *name)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	AUTOBUF struct buf old = {0}, all = {0};
	struct view rest, line;
	AUTOCLOSE int fd = -1;

	if (strchr(name, '\n') || !recent_path(path, true) ||
	    !format(fresh, sizeof(fresh), "%s.%d", path, (int)getpid()))
		return;
	recent_read(&old);
	rest = view_of(&old);
	buf_put(&all, name, strlen(name));
	buf_u8(&all, '\n');
	while (line_next(&rest, &line)) {
		if (view_is(line, name) || all.len + line.n + 1 > MOST)
			continue;
		buf_put(&all, line.p, line.n);
		buf_u8(&all, '\n');
	}
	/* Rather the old ones than fewer. */
	if (old.bad || all.bad)
		return;
	fd = open(
	    fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (io_write(fd, view_of(&all), -1) != AW_OK ||
	    rename(fresh, path) != 0)
		unlink(fresh);
}

void
recent_sort(struct profile_list *list)
{
	AUTOBUF struct buf names = {0};
	struct view rest, line;
	struct profile_row row;
	size_t front = 0, i;

	recent_read(&names);
	rest = view_of(&names);
	while (line_next(&rest, &line)) {
		for (i = front; i < list->n; i++) {
			if (!view_is(line, list->row[i].name))
				continue;
			row = list->row[i];
			memmove(&list->row[front + 1], &list->row[front],
			    (i - front) * sizeof(row));
			list->row[front++] = row;
			break;
		}
	}
}
