/* SPDX-License-Identifier: ISC */
/*
 * Opening the sign-in page on a desktop. Whether that works is nobody's
 * business here: the URL stands on the screen.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define WORDS 16

extern char **environ;

/* The word with the URL in the place of %s, in `out`. */
static bool
word_fill(const char *word, const char *url, char *out, size_t size)
{
	const char *mark = find(word, "%s");

	if (!mark)
		return format(out, size, "%s", word);
	return format(
	    out, size, "%.*s%s%s", (int)(mark - word), word, url, mark + 2);
}

/* The next word of a text that is cut up by it; NULL at the end. */
static char *
word_next(char **text, const char *between)
{
	char *word = *text;

	while (*word && strchr(between, *word))
		word++;
	if (!*word)
		return NULL;
	for (*text = word; **text; (*text)++) {
		if (strchr(between, **text)) {
			*(*text)++ = '\0';
			break;
		}
	}
	return word;
}

/* One command of BROWSER, split at blanks as a person would read it; no shell
 * ever sees the URL. Returns if there is no such program. */
static void
browser_try(char *command, char *url)
{
	char filled[4096 + 512], *argv[WORDS + 2], *word;
	bool placed = false;
	size_t n = 0;

	while (n < WORDS && (word = word_next(&command, " \t"))) {
		argv[n++] = word;
		if (placed || !find(word, "%s"))
			continue;
		if (!word_fill(word, url, filled, sizeof(filled)))
			return;
		argv[n - 1] = filled;
		placed = true;
	}
	if (!n)
		return;
	if (!placed)
		argv[n++] = url;
	argv[n] = NULL;
	exec_search(argv, environ);
}

/* What was said to awsenv is all it tries; BROWSER may name what is not here. */
static void
browsers_try(const char *configured, char *url)
{
	static char xdg[] = "xdg-open";
	const char *list = setting("AWSENV_BROWSER");
	bool ours = list || *configured;
	char copy[4096], *rest = copy, *command;

	if (!list)
		list = *configured ? configured : setting("BROWSER");
	if (list && format(copy, sizeof(copy), "%s", list)) {
		while ((command = word_next(&rest, ":")))
			browser_try(command, url);
	}
	if (!ours)
		exec_search((char *[]){xdg, url, NULL}, environ);
}

/* A grandchild in a session of its own, that no job control of ours reaches. */
static void
detach(const char *configured, char *url)
{
	int null;

	if (setsid() < 0 || child_fork(SIGCHLD) != 0)
		_exit(EXIT_GOOD);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(EXIT_OTHER);
	sigpipe_restore();
	browsers_try(configured, url);
	_exit(EXIT_NOTFOUND);
}

bool
browser_there(const struct options *o)
{
	return !(o->given & OPT_NO_BROWSER) &&
	    (setting("DISPLAY") || setting("WAYLAND_DISPLAY")) &&
	    !setting("SSH_CONNECTION") && isatty(STDERR_FILENO);
}

void
browser_start(struct view page, struct view configured)
{
	AUTOFREE char *url = view_dup(page), *with = view_dup(configured);
	pid_t pid;

	if (!url || !with || !url_is_sound(page))
		return;
	if ((pid = child_fork(SIGCHLD)) == 0)
		detach(with, url);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
