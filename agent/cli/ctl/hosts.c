/* SPDX-License-Identifier: ISC */
/*
 * Which keys a host has, by ssh's own word: ssh -G knows what a name of
 * ssh_config means, ssh-keygen finds it in the known_hosts files, hashed or not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define FILES_MAX 8
#define FINGERPRINT 50 /* "SHA256:" and 43 digits of base64 */

/* What it writes, line by line; both as ssh(1) has them. False, with errno: it
 * could not be asked, or not be heard to the end. */
static bool
lines_of(
    const char *const *argv, void (*line)(char *text, void *arg), void *arg)
{
	char text[8192];
	int pair[2], error;
	pid_t pid;
	FILE *f;

	if (pipe(pair) != 0)
		return false;
	if ((pid = fork()) == 0) {
		dup2(pair[1], STDOUT_FILENO);
		close(pair[0]);
		close(pair[1]);
		/* Which changes none of them. */
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		warn("%s: %s", argv[0], errno_text());
		_exit(EXIT_NOTFOUND);
	}
	error = errno;
	close(pair[1]);
	if (pid > 0 && (f = fdopen(pair[0], "r"))) {
		while (fgets(text, sizeof(text), f)) {
			text[strcspn(text, "\n")] = '\0';
			line(text, arg);
		}
		error = ferror(f) ? errno : 0;
		fclose(f);
	} else {
		error = pid > 0 ? errno : error;
		close(pair[0]);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	errno = error;
	return error == 0;
}

struct host {
	const char *name;
	const char *alias;
	const char *port;
	const char *files[FILES_MAX];
	unsigned int nfiles;
};

static const char *
copy(const char *text)
{
	return keep(view_str(text));
}

static void
add_files(struct host *h, char *words)
{
	char *word, *rest = NULL;
	char path[PATH_MAX];

	for (word = strtok_r(words, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		if (!strncmp(word, "~/", 2) && setting("HOME")) {
			format(path, sizeof(path), "%s%s", setting("HOME"),
			    word + 1);
			word = path;
		}
		if (h->nfiles < FILES_MAX && access(word, R_OK) == 0)
			h->files[h->nfiles++] = copy(word);
	}
}

static void
config_line(char *text, void *arg)
{
	struct host *h = arg;
	char *value = strchr(text, ' ');

	if (!value)
		return;
	*value++ = '\0';
	if (!strcmp(text, "hostname"))
		h->name = copy(value);
	else if (!strcmp(text, "hostkeyalias"))
		h->alias = copy(value);
	else if (!strcmp(text, "port"))
		h->port = copy(value);
	else if (!strcmp(text, "userknownhostsfile") ||
	    !strcmp(text, "globalknownhostsfile"))
		add_files(h, value);
}

struct keys {
	struct buf *hosts;
	bool skip; /* of an authority, or revoked */
};

/* "# Host NAME found: line 3", then "NAME ED25519 SHA256:...". */
static void
key_line(char *text, void *arg)
{
	struct keys *k = arg;
	char *at;

	if (*text == '#') {
		k->skip = strstr(text, " CA") || strstr(text, " REVOKED");
		return;
	}
	if (k->skip || !(at = strstr(text, " SHA256:")))
		return;
	at++;
	at[strcspn(at, " ")] = '\0';
	if (strlen(at) == FINGERPRINT)
		buf_put(k->hosts, at, strlen(at) + 1);
}

static enum aw_err
unasked(const char *program, const char *name)
{
	warn("%s cannot be asked for %s: %s", program, shown_str(name),
	    errno_text());
	return AW_SYSTEM;
}

enum aw_err
known_hosts(const char *name, struct buf *hosts)
{
	struct host h = {.name = name, .port = "22"};
	struct keys k = {.hosts = hosts};
	size_t before = hosts->len;
	char place[300];
	unsigned int i;

	/* It would be an option of theirs. */
	if (*name == '-') {
		warn("%s is no name of a host", shown_str(name));
		return AW_CONFIG;
	}
	if (!lines_of((const char *[]){"ssh", "-G", "--", name, NULL},
		config_line, &h))
		return unasked("ssh", name);
	if (h.alias || !strcmp(h.port, "22"))
		format(place, sizeof(place), "%s", h.alias ? h.alias : h.name);
	else
		format(place, sizeof(place), "[%s]:%s", h.name, h.port);
	for (i = 0; i < h.nfiles; i++) {
		if (!lines_of((const char *[]){"ssh-keygen", "-l", "-F", place,
				  "-f", h.files[i], NULL},
			key_line, &k))
			return unasked("ssh-keygen", place);
	}
	if (hosts->len > before || hosts->bad)
		return AW_OK;
	warn("no known_hosts file has a key of %s: log in there once, or say "
	     "--host SHA256:..., as ssh-keygen -lf shows it there",
	    shown_str(place));
	return AW_CONFIG;
}
