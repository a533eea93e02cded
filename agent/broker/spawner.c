/* SPDX-License-Identifier: ISC */
/*
 * The broker's end of its link to the spawner, which starts the one-shot
 * programs and looks at what this process may not see. Its answers go to the
 * room that takes their type.
 */
#include "broker.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "awsenv/log.h"

#define TYPES_MAX 64

static int spawner = -1;
static void (*takers[TYPES_MAX])(const struct link *);
static void (*on_room)(void);

static void
ready(uint32_t events, void *arg)
{
	struct link l;
	enum aw_err r;

	(void)arg;
	if (events & EPOLLOUT) {
		loop_fd(spawner, EPOLLIN, ready, NULL);
		if (on_room)
			on_room();
	}
	while ((r = link_recv(spawner, &l)) == AW_OK) {
		if (l.type < TYPES_MAX && takers[l.type])
			takers[l.type](&l);
		else
			while (l.nfds > 0)
				close(l.fds[--l.nfds]);
	}
	if (r != AW_BUSY)
		fatalx("the spawner is gone");
}

void
spawner_open(int fd)
{
	spawner = fd;
	loop_fd(spawner, EPOLLIN, ready, NULL);
}

bool
spawner_send(const struct link *l)
{
	switch (link_send(spawner, l)) {
	case AW_OK:
		return true;
	case AW_BUSY:
		loop_fd(spawner, EPOLLIN | EPOLLOUT, ready, NULL);
		return false;
	default:
		fatalx("the spawner is gone");
	}
}

void
spawner_on(enum link_type type, void (*fn)(const struct link *))
{
	takers[type] = fn;
}

void
spawner_on_room(void (*fn)(void))
{
	on_room = fn;
}
