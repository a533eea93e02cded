/* SPDX-License-Identifier: ISC */
#include "awsenv/harden.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int
harden_process(void)
{
	const struct rlimit none = {0, 0};

	signal(SIGPIPE, SIG_IGN);
	umask(0177);
	/* RLIMIT_CORE alone does not stop a core_pattern pipe; dumpable does. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return -1;
	return setrlimit(RLIMIT_CORE, &none);
}

int
harden_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int
harden_stdio(void)
{
	int fd;

	do {
		if ((fd = open("/dev/null", O_RDWR)) < 0)
			return -1;
	} while (fd <= 2);
	return close(fd);
}
