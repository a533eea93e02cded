/* SPDX-License-Identifier: ISC */
#include "supervisor.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/log.h"

/* Beside this program, else where it would be installed. Without symbolic
 * links: what they name must not change after it was looked at. */
static void
find(const struct agent *a, const char *name, char path[static PATH_MAX])
{
	const char *slash = strrchr(a->self, '/');
	char beside[PATH_MAX], installed[PATH_MAX];

	snprintf(beside, sizeof(beside), "%.*s/%s", (int)(slash - a->self),
	    a->self, name);
	snprintf(
	    installed, sizeof(installed), "%s/%s", AWSENV_LIBEXECDIR, name);
	if (access(beside, X_OK) == 0 && realpath(beside, path))
		return;
	if (access(installed, X_OK) == 0 && realpath(installed, path))
		return;
	fatal("%s is neither beside %s nor in %s", name, a->self,
	    AWSENV_LIBEXECDIR);
}

static const char *
home(void)
{
	const char *env = getenv("HOME");
	const struct passwd *pw;

	if (env && env[0] == '/')
		return env;
	pw = getpwuid(geteuid());
	return pw && pw->pw_dir[0] == '/' ? pw->pw_dir : "/";
}

void
program_find_all(struct agent *a)
{
	ssize_t n = readlink("/proc/self/exe", a->self, sizeof(a->self) - 1);

	if (n < 0)
		fatal("cannot find out where this program is: /proc/self/exe");
	a->self[n] = '\0';
	find(a, "awsenv-broker", a->broker_path);
	find(a, "awsenv-profile", a->profile_path);
	find(a, "awsenv-fetch", a->fetch_path);
	snprintf(a->home, sizeof(a->home), "HOME=%s", home());
	a->protected = program_protected(a->self) &&
	    program_protected(a->broker_path) &&
	    program_protected(a->profile_path) &&
	    program_protected(a->fetch_path);
}

/* Cuts "/a/b" to "/a", and "/a" to "/"; false at the root itself. */
static bool
to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (path[1] == '\0')
		return false;
	slash[slash == path] = '\0';
	return true;
}

/*
 * What this user can write can be replaced; what it can read is dumpable from
 * exec on, until the program says otherwise, and that is time enough for a
 * ptrace. In a sticky folder only the owner replaces an entry: that is root.
 */
bool
program_protected(const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	if (!realpath(name, path) || stat(path, &st) != 0)
		return false;
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 ||
	    eaccess(path, W_OK) == 0 || eaccess(path, R_OK) == 0)
		return false;
	while (to_parent(path)) {
		if (stat(path, &st) != 0 || st.st_uid != 0)
			return false;
		if (!(st.st_mode & S_ISVTX) && eaccess(path, W_OK) == 0)
			return false;
	}
	return true;
}
