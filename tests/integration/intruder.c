/* SPDX-License-Identifier: ISC */
/*
 * intruder PID KILLS: what a program of the same user can do to the agent
 * with that supervisor. It kills so many brokers and waits each time for the
 * next one to be born, to get in by ptrace, by its memory, or by its descriptors
 * before it has hardened itself; now and then it has the supervisor re-execute
 * itself and tries the same there. Once ptrace let it in, that is enough.
 * Prints kills, tries, and how often each was open.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long kills, tries, traced, memory, files;

/* The children of the supervisor, youngest last. */
static int
children(int supervisor, int *pids, int most)
{
	char path[64], text[256];
	char *p = text, *end;
	int fd, n = 0;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", supervisor,
	    supervisor);
	if ((fd = open(path, O_RDONLY)) < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	while (n < most && (pids[n] = (int)strtol(p, &end, 10)) > 0) {
		p = end;
		n++;
	}
	return n;
}

static void
attach(int pid)
{
	tries++;
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
		traced++;
		ptrace(PTRACE_INTERRUPT, pid, 0, 0);
		waitpid(pid, NULL, __WALL);
		ptrace(PTRACE_DETACH, pid, 0, 0);
	}
}

static void
look(int pid)
{
	char path[64], byte;
	struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	if ((fd = open(path, O_RDONLY)) >= 0) {
		memory++;
		close(fd);
	}
	/* Its address is wrong, so EFAULT, not EPERM, is a way in. */
	if (process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0)
		memory++;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	if ((dir = opendir(path))) {
		files++;
		closedir(dir);
	}
}

int
main(int argc, char **argv)
{
	int supervisor, pids[8], n, i, round, last = 0;
	unsigned long most;

	if (argc != 3)
		return 2;
	supervisor = atoi(argv[1]);
	most = strtoul(argv[2], NULL, 10);
	while (kills < most && !traced) {
		n = children(supervisor, pids, 8);
		for (i = 0; i < n; i++)
			attach(pids[i]);
		if (n < 2 || pids[n - 1] == last)
			continue;
		/* A new one: a thousand tries while it begins, then the next. */
		last = pids[n - 1];
		for (round = 0; round < 1000; round++) {
			attach(last);
			if (round % 10 == 0)
				look(last);
		}
		if (kill(last, SIGKILL) == 0)
			kills++;
		/* An upgrade begins with an exec, too. */
		if (kills % 4 != 0 || kill(supervisor, SIGHUP) != 0)
			continue;
		for (round = 0; round < 1000; round++)
			attach(supervisor);
		look(supervisor);
	}
	printf("%lu %lu %lu %lu %lu\n", kills, tries, traced, memory, files);
	return 0;
}
