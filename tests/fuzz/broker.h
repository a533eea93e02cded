/* SPDX-License-Identifier: ISC */
/*
 * The broker as tests/unit/fake_broker.h has it, for a fuzzer: it says nothing
 * and never sleeps. Included once by a target.
 */
#ifndef FUZZ_BROKER_H
#define FUZZ_BROKER_H

#include "tests/unit/fake_broker.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "awsenv/log.h"

/* In place of log.c: half a million lines are of no use. */
#define SILENT(name)                    \
	void name(const char *fmt, ...) \
	{                               \
		(void)fmt;              \
	}

SILENT(log_debug)
SILENT(log_info)
SILENT(log_warn)
SILENT(log_err)

void
fatal(const char *fmt, ...)
{
	fputs(fmt, stderr);
	abort();
}

void
fatalx(const char *fmt, ...)
{
	fputs(fmt, stderr);
	abort();
}

static uint8_t chance;

/* The same each time that an input is run. */
ssize_t
getrandom(void *p, size_t n, unsigned int flags)
{
	uint8_t *at = p;
	size_t i;

	(void)flags;
	for (i = 0; i < n; i++)
		at[i] = chance++;
	return (ssize_t)n;
}

/* The loop never sleeps, and its clock is the test's: a timer of the kernel's
 * would be set in vain, for a third of all the time. */
static bool idle;

int
epoll_wait(int fd, struct epoll_event *events, int most, int ms)
{
	long n = syscall(SYS_epoll_pwait, fd, events, most, 0, NULL, 0);

	(void)ms;
	idle = n <= 0;
	return (int)n;
}

int
timerfd_settime(
    int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
	(void)fd;
	(void)flags;
	(void)when;
	(void)before;
	return 0;
}

/* Until nothing came twice: a timer may have made something ready. */
static void
serve(void)
{
	int i, rest = 2;

	for (i = 0; i < 8 && rest > 0; i++) {
		loop_once();
		rest = idle ? rest - 1 : 2;
	}
}

#endif
