/* SPDX-License-Identifier: ISC */
/*
 * Opening the sign-in page is awsenv-ctl's, told by the agent's own message.
 * Whether that works is nobody's business here: the URL stands on the screen.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

extern char **environ;

bool
browser_there(const struct options *o)
{
	return !(o->given & OPT_NO_BROWSER) &&
	    (setting("DISPLAY") || setting("WAYLAND_DISPLAY")) &&
	    !setting("SSH_CONNECTION") && isatty(STDERR_FILENO);
}

void
browser_open(const struct login_rep *l, bool again)
{
	static char name[] = "awsenv", verb[] = "browser", always[] = "--again";
	char *const argv[] = {name, verb, again ? always : NULL, NULL};
	AUTOBUF struct buf message = {0};
	int ends[2];
	pid_t pid;

	/* It fits a pipe, and so nobody waits for anybody. */
	msg_encode(MSG_LOGIN_REP, l, &message);
	if (message.bad || pipe(ends) != 0)
		return;
	if ((pid = child_fork(SIGCHLD)) == 0) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[1]);
		sigpipe_restore();
		program_exec("awsenv-ctl", argv, environ);
		_exit(EXIT_NOTFOUND);
	}
	close(ends[0]);
	io_write(ends[1], view_of(&message), -1);
	close(ends[1]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
