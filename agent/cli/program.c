/* SPDX-License-Identifier: ISC */
/* Where the other programs of ours are, and handing over to awsenv-ctl. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"

extern char **environ;

char *const *program_argv;

void
program_exec(const char *name, char *const *argv, char *const *env)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		if ((slash = strrchr(path, '/')) &&
		    format(slash + 1, sizeof(path) - (size_t)(slash + 1 - path),
			"%s", name))
			execve(path, argv, env);
	}
	if (format(path, sizeof(path), AWSENV_LIBEXECDIR "/%s", name))
		execve(path, argv, env);
	if (format(path, sizeof(path), AWSENV_BINDIR "/%s", name))
		execve(path, argv, env);
}

void
ctl_exec(void)
{
	sigpipe_restore();
	program_exec("awsenv-ctl", program_argv, environ);
	sigpipe_ignore();
}

int
ctl_missing(void)
{
	warn("that is done by awsenv-ctl, which is not here: %s\n"
	     "        (looked for beside awsenv and in " AWSENV_LIBEXECDIR ")",
	    errno_text());
	return EXIT_NOTFOUND;
}
