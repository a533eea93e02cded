/* SPDX-License-Identifier: ISC */
/* A child process: this program has no threads that fork(3) would care for. */
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/cli/cli.h"

pid_t
child_fork(int exit_signal)
{
	return (pid_t)syscall(
	    SYS_clone, (unsigned long)exit_signal, NULL, NULL, NULL, NULL);
}
