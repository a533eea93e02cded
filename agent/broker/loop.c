/* SPDX-License-Identifier: ISC */
/*
 * Descriptors, timers and signals. With nothing to do it sleeps without an
 * end: an idle broker costs no wake-up. Timers go by CLOCK_BOOTTIME, so that
 * what fell due while a laptop slept happens when it wakes.
 */
#include "broker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "awsenv/log.h"

struct watch {
	uint32_t round; /* tells a new use of the number from an old event */
	uint32_t events;
	bool known; /* to epoll */
	void (*fn)(uint32_t events, void *arg);
	void *arg;
};

static TAILQ_HEAD(timer_list, timer) timers = TAILQ_HEAD_INITIALIZER(timers);
static struct watch *watches;
static int nwatches;
static int poll_fd = -1;
static int clock_fd = -1;
static int64_t clock_set; /* what clock_fd is set to; 0: nothing */
static int status;
static bool ended;

uint64_t __attribute__((weak)) loop_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

int64_t __attribute__((weak)) loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
on_clock(uint32_t events, void *arg)
{
	uint64_t times;

	(void)events;
	(void)arg;
	/* Only the waking matters: the list knows what is due. */
	while (read(clock_fd, &times, sizeof(times)) < 0 && errno == EINTR)
		continue;
	clock_set = 0;
}

static void
on_signal(uint32_t events, void *arg)
{
	(void)events;
	(void)arg;
	loop_end(0);
}

void
loop_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if ((poll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    (fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		fatal("loop");
	loop_fd(fd, EPOLLIN, on_signal, NULL);
	clock_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (clock_fd < 0)
		fatal("timerfd");
	loop_fd(clock_fd, EPOLLIN, on_clock, NULL);
}

static void
watches_grow(int fd)
{
	int n = fd + 32;
	struct watch *grown;

	if (fd < nwatches)
		return;
	if (!(grown = reallocarray(watches, (size_t)n, sizeof(*grown))))
		fatal("loop");
	memset(grown + nwatches, 0, (size_t)(n - nwatches) * sizeof(*grown));
	watches = grown;
	nwatches = n;
}

void
loop_fd(int fd, uint32_t events, void (*fn)(uint32_t, void *), void *arg)
{
	struct epoll_event e = {.events = events};
	struct watch *w;

	watches_grow(fd);
	w = &watches[fd];
	w->fn = fn;
	w->arg = arg;
	if (w->known && w->events == events)
		return;
	e.data.u64 = (uint64_t)w->round << 32 | (uint32_t)fd;
	if (epoll_ctl(
		poll_fd, w->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) != 0)
		fatal("epoll_ctl");
	w->known = true;
	w->events = events;
}

void
loop_forget(int fd)
{
	if (fd < 0 || fd >= nwatches || !watches[fd].known)
		return;
	epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, NULL);
	watches[fd].known = false;
	watches[fd].round++;
}

void
loop_after(struct timer *t, int64_t ms, void (*fn)(void *), void *arg)
{
	struct timer *before;

	loop_cancel(t);
	t->at = loop_now() + ms;
	t->fn = fn;
	t->arg = arg;
	t->armed = true;
	/* From the end: a thousand requests held for the same time come here
	 * in the order in which they will be due. */
	TAILQ_FOREACH_REVERSE(before, &timers, timer_list, entry)
	{
		if (before->at <= t->at)
			break;
	}
	if (before)
		TAILQ_INSERT_AFTER(&timers, before, t, entry);
	else
		TAILQ_INSERT_HEAD(&timers, t, entry);
}

void
loop_cancel(struct timer *t)
{
	if (!t->armed)
		return;
	TAILQ_REMOVE(&timers, t, entry);
	t->armed = false;
}

static void
run_timers(void)
{
	int64_t now = loop_now();
	struct timer *t;

	while ((t = TAILQ_FIRST(&timers)) && t->at <= now) {
		loop_cancel(t);
		t->fn(t->arg);
	}
}

/* Set the clock to the first timer, if it is not so already. */
static void
set_clock(void)
{
	struct timer *t = TAILQ_FIRST(&timers);
	int64_t now = loop_now(), at = t ? t->at : 0;
	int64_t rest = at > now ? at - now : 0;
	struct itimerspec when = {0};

	if (at == clock_set && (!t || rest > 0))
		return;
	if (t) {
		when.it_value.tv_sec = rest / 1000;
		/* Due already: at once, since zero would mean never. */
		when.it_value.tv_nsec = rest ? rest % 1000 * 1000000 : 1;
	}
	if (timerfd_settime(clock_fd, 0, &when, NULL) != 0)
		fatal("timerfd_settime");
	clock_set = at;
}

void
loop_once(void)
{
	struct epoll_event events[32];
	int i, n, fd;

	set_clock();
	n = epoll_wait(poll_fd, events, 32, -1);
	if (n < 0 && errno != EINTR)
		fatal("epoll_wait");
	for (i = 0; i < n; i++) {
		fd = (int)(uint32_t)events[i].data.u64;
		/* One served before may have closed it, and even used the
		 * number again. */
		if (watches[fd].known &&
		    watches[fd].round == events[i].data.u64 >> 32)
			watches[fd].fn(events[i].events, watches[fd].arg);
	}
	run_timers();
}

int
loop_run(void)
{
	while (!ended)
		loop_once();
	return status;
}

void
loop_end(int how)
{
	ended = true;
	status = how;
}

uint32_t
loop_random(uint32_t n)
{
	uint32_t r = 0;

	while (getrandom(&r, sizeof(r), 0) < 0 && errno == EINTR)
		continue;
	return n ? r % n : 0;
}
