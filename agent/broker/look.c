/* SPDX-License-Identifier: ISC */
/*
 * Which program a process is. This one cannot open /proc: the spawner looks,
 * at once, and answers once for each question, unless it has no room for it.
 */
#include "broker.h"

#include <string.h>
#include <sys/stat.h>

static LIST_HEAD(, look) asked = LIST_HEAD_INITIALIZER(asked);

static void
done(struct look *look, const struct seen *seen)
{
	LIST_REMOVE(look, entry);
	look->state = LOOK_DONE;
	look->seen = *seen;
	hold_wake(&look->holds, AW_OK, NULL);
}

static void
seen(const struct link *l)
{
	struct look *look;
	uint64_t number;

	memcpy(&number, l->tag, sizeof(number));
	LIST_FOREACH(look, &asked, entry)
	{
		if (look->number == number) {
			done(look, &l->seen);
			return;
		}
	}
}

void
look_open(void)
{
	spawner_on(LINK_SEEN, seen);
}

static void
ask(struct look *look, struct link *l)
{
	static uint64_t last;

	if (look->state != LOOK_NONE)
		return;
	l->type = LINK_LOOK;
	look->number = ++last;
	memcpy(l->tag, &look->number, sizeof(look->number));
	LIST_INSERT_HEAD(&asked, look, entry);
	look->state = LOOK_ASKED;
	/* Thousands of questions at once: better no answer than a late one. */
	if (!spawner_send(l))
		done(look, &(struct seen){0});
}

void
look_at(struct look *look, pid_t pid, uint32_t flags)
{
	struct link l = {.pid = pid, .flags = flags};

	ask(look, &l);
}

void
look_at_peer(struct look *look, pid_t pid, int fd)
{
	struct link l = {.pid = pid};
	struct stat st;

	if (fstat(fd, &st) == 0)
		l.inode = (uint32_t)st.st_ino;
	ask(look, &l);
}

void
look_off(struct look *look)
{
	if (look->state == LOOK_ASKED)
		LIST_REMOVE(look, entry);
	look->state = LOOK_NONE;
}
