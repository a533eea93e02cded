/* SPDX-License-Identifier: ISC */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include "awsenv/own.h"

/* A process group of its own, since Ctrl-C in our terminal is not meant for
 * it, and signals as a program expects them. */
static void
set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, pipe;

	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &pipe);
	posix_spawnattr_setflags(attr,
	    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
		POSIX_SPAWN_SETSIGDEF);
}

static int
set_files(posix_spawn_file_actions_t *files, int link, bool quiet)
{
	int e = posix_spawn_file_actions_addopen(
	    files, 0, "/dev/null", O_RDONLY, 0);

	if (!e)
		e = posix_spawn_file_actions_addopen(
		    files, 1, "/dev/null", O_WRONLY, 0);
	if (!e && quiet)
		e = posix_spawn_file_actions_adddup2(files, 1, 2);
	return e ? e : posix_spawn_file_actions_adddup2(files, link, LINK_FD);
}

int
exec_start(char *path, char *const env[], int link, bool quiet, pid_t *pid)
{
	char *argv[] = {path, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	/* Were it LINK_FD already, it would stay to be closed by exec. */
	AUTOCLOSE int high = fcntl(link, F_DUPFD_CLOEXEC, 10);
	int error;

	if (high < 0)
		return errno;
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_init(&files);
	set_attributes(&attr);
	if (!(error = set_files(&files, high, quiet)))
		error = posix_spawn(pid, path, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return error;
}
