/* SPDX-License-Identifier: ISC */
/*
 * A login on the way to something else. The conversation with the person is
 * awsenv-ctl's, as a child; where that is not, the agent's refusal stands.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

extern char **environ;

#define WORDS 18
#define TIMES 3 /* to ask: a login may end between its approval and the next */
#define AFAR_MS 2000

/* Does a person look, or did one ask to wait? */
static bool
is_wanted(const struct options *o)
{
	if (o->given & OPT_NO_WAIT)
		return false;
	if (o->given & OPT_WAIT)
		return o->wait > 0;
	return isatty(STDERR_FILENO);
}

static void
word(struct buf *line, const char *option, const char *value)
{
	if (value)
		text_add(line, "%s%c%s%c", option, 0, value, 0);
}

static _Noreturn void
become(const struct options *o)
{
	char seconds[16], *words[WORDS + 1] = {NULL};
	AUTOBUF struct buf line = {0};
	size_t n, at;

	format(seconds, sizeof(seconds), "%d", o->wait);
	text_add(&line, "awsenv%capprove%c", 0, 0);
	word(&line, "--profile", o->profile);
	word(&line, "--account", o->account);
	word(&line, "--role", o->role);
	word(&line, "--sso-session", o->session);
	word(&line, "--region", o->region);
	word(&line, "--socket", o->socket);
	word(&line, "--wait", o->given & OPT_WAIT ? seconds : NULL);
	if (o->given & OPT_NO_BROWSER)
		text_add(&line, "--no-browser%c", 0);
	if (o->given & OPT_DEVICE_CODE)
		text_add(&line, "--use-device-code%c", 0);
	for (n = at = 0; !line.bad && n < WORDS && at < line.len; n++) {
		words[n] = (char *)line.data + at;
		at += strlen(words[n]) + 1;
	}
	sigpipe_restore();
	if (n)
		program_exec("awsenv-ctl", words, environ);
	_exit(EXIT_NOTFOUND);
}

/* The errors whose statuses exit_of() tells apart. */
static enum aw_err
error_of(int status)
{
	switch (status) {
	case EXIT_GOOD:
		return AW_OK;
	case EXIT_LOGIN:
	case EXIT_NOTFOUND:
		return AW_LOGIN;
	case EXIT_CONFIG:
		return AW_CONFIG;
	case EXIT_REFUSED:
		return AW_DENIED;
	case EXIT_AWS:
		return AW_NETWORK;
	case EXIT_NOAGENT:
		return AW_NOAGENT;
	default:
		return AW_SYSTEM;
	}
}

static enum aw_err
wait_here(const struct talk *t, const struct options *o)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	int status = 0;
	pid_t pid;

	/* Ctrl-C is the child's, which has a last word to say: then this
	 * process ends as it did. */
	sigaction(SIGINT, &ignore, &before);
	if ((pid = child_fork(SIGCHLD)) == 0) {
		sigaction(SIGINT, &before, NULL);
		become(o);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &before, NULL);
	if (pid < 0) {
		warn("cannot start awsenv-ctl: %s", errno_text());
		return AW_SYSTEM;
	}
	if (WIFSIGNALED(status)) {
		raise(WTERMSIG(status));
		return AW_SYSTEM;
	}
	if (WEXITSTATUS(status) == EXIT_NOTFOUND)
		return complain(&t->question, AW_LOGIN, (struct view){0});
	return error_of(WEXITSTATUS(status));
}

/* A person logs in where the agent is, of which one hears by asking again. */
static bool
wait_afar(struct patience *w, const struct options *o, struct view text)
{
	bool begun = w->end != 0;

	if (!(o->given & OPT_WAIT))
		return false;
	if (!begun)
		w->end = io_deadline(o->wait * 1000);
	if (io_deadline(AFAR_MS) >= w->end)
		return false;
	if (!begun)
		warn("waiting %d s: %s", o->wait, shown(text));
	poll(NULL, 0, AFAR_MS);
	return true;
}

bool
login_wait(struct patience *w, const struct talk *t, const struct options *o,
    struct view text, enum aw_err *error)
{
	*error = AW_OK;
	if (!is_wanted(o))
		return false;
	if (t->agent.found == FOUND_FORWARDED)
		return wait_afar(w, o, text);
	if (++w->times == TIMES)
		return false;
	*error = wait_here(t, o);
	return *error == AW_OK;
}
