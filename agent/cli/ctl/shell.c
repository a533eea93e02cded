/* SPDX-License-Identifier: ISC */
/*
 * A shell with credentials whose prompt says so. The marker is the variable
 * AWSENV_SHELL; what shows it is set up anew by each shell, so that one inside
 * another shows its own name and nothing of the outer one's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

/* The name is taken from the variable by the prompt itself: nothing in it is
 * read as a command by any of these shells. */
static const char bash_rc[] = "[ -r ~/.bashrc ] && . ~/.bashrc\n"
			      "PS1='($AWSENV_SHELL) '\"$PS1\"\n";

static char fish_rc[] =
    "functions -q fish_prompt; and functions -c fish_prompt __awsenv_prompt; "
    "function fish_prompt; printf '(%s) ' $AWSENV_SHELL; "
    "functions -q __awsenv_prompt; and __awsenv_prompt; end";

/* zsh has no option for it, but a folder, whose files lead to the user's. */
static const char zsh_env[] =
    "ZDOTDIR=${AWSENV_ZDOTDIR:-$HOME}\n"
    "[[ -r $ZDOTDIR/.zshenv ]] && . $ZDOTDIR/.zshenv\n"
    "AWSENV_ZDOTDIR=$ZDOTDIR\n"
    "ZDOTDIR=${(%):-%x}\n"
    "ZDOTDIR=${ZDOTDIR:h}\n";
static const char zsh_rc[] = "ZDOTDIR=$AWSENV_ZDOTDIR\n"
			     "unset AWSENV_ZDOTDIR\n"
			     "[[ -r $ZDOTDIR/.zshrc ]] && . $ZDOTDIR/.zshrc\n"
			     "psvar[9]=$AWSENV_SHELL\n"
			     "PS1=\"(%9v) $PS1\"\n"
			     "[[ $ZDOTDIR == $HOME ]] && unset ZDOTDIR\n";

/* A file in memory that the shell reads and closes. "": there is none. */
static bool
memory_file(const char *text, char path[static 32])
{
	char last[32];
	AUTOCLOSE int fd = memfd_create("awsenv", 0);

	if (fd < 0 || !format(path, 32, "/proc/self/fd/%d", fd) ||
	    !format(last, sizeof(last), "exec %d<&-\n", fd) ||
	    io_write(fd, view_str(text), -1) != AW_OK ||
	    io_write(fd, view_str(last), -1) != AW_OK)
		return false;
	return STEAL_FD(fd) >= 0; /* it is the shell's */
}

/* Whole or not at all, whoever reads it meanwhile. */
static bool
file_put(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	AUTOCLOSE int fd = -1;

	if (!format(path, sizeof(path), "%s/%s", dir, name) ||
	    !format(fresh, sizeof(fresh), "%s/%s.%d", dir, name, (int)getpid()))
		return false;
	fd = open(
	    fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || io_write(fd, view_str(text), -1) != AW_OK ||
	    rename(fresh, path) != 0) {
		unlink(fresh);
		return false;
	}
	return true;
}

static bool
zsh_prepare(void)
{
	const char *now_is = getenv("ZDOTDIR");
	char dir[CLIENT_PATH], own[CLIENT_PATH + sizeof("/zsh")];

	if (client_dir(dir, true) != AW_OK ||
	    !format(own, sizeof(own), "%s/zsh", dir))
		return false;
	mkdir(own, 0700);
	if (!file_put(own, ".zshenv", zsh_env) ||
	    !file_put(own, ".zshrc", zsh_rc))
		return false;
	if (now_is && *now_is && strcmp(now_is, own) != 0)
		setenv("AWSENV_ZDOTDIR", now_is, 1);
	return setenv("ZDOTDIR", own, 1) == 0;
}

/* A shell that cannot be told has no marker, and works all the same. */
static int
shell_run(const struct options *o)
{
	static char sh[] = "/bin/sh", rcfile[] = "--rcfile", init[] = "-C";
	char *shell = getenv("SHELL"), rc[32], *name;

	if (!shell || !*shell)
		shell = sh;
	name = strrchr(shell, '/') ? strrchr(shell, '/') + 1 : shell;
	if (!strcmp(name, "bash") && memory_file(bash_rc, rc))
		return run(o, (char *[]){shell, rcfile, rc, NULL});
	if (!strcmp(name, "fish"))
		return run(o, (char *[]){shell, init, fish_rc, NULL});
	if (!strcmp(name, "zsh"))
		zsh_prepare();
	else
		setenv("PS1",
		    geteuid() ? "($AWSENV_SHELL) $ " : "($AWSENV_SHELL) # ", 1);
	return run(o, (char *[]){shell, NULL});
}

int
shell_verb(const struct options *given, char **argv)
{
	struct options o = *given;
	char name[512];
	enum aw_err r;

	if (!profile_operand("shell", OPT_RUN, &o, argv))
		return EXIT_USAGE;
	if (!(o.given & (OPT_PROFILE | OPT_ACCOUNT))) {
		if ((r = pick_profile(&o, &o.profile)) != AW_OK)
			return exit_of(r);
		if (!o.profile)
			return EXIT_OTHER;
		o.given |= OPT_PROFILE;
	}
	if (o.given & OPT_PROFILE) {
		recent_add(o.profile);
		format(name, sizeof(name), "%s", shown_str(o.profile));
	} else {
		format(name, sizeof(name), "%s/%s", shown_str(o.account),
		    shown_str(o.role));
	}
	setenv("AWSENV_SHELL", name, 1);
	return shell_run(&o);
}
