/* SPDX-License-Identifier: ISC */
/*
 * A connection to the user's own ssh-agent, for the broker, which has no
 * connect. Each is made in a process of its own, since the socket may lie on a
 * file system that hangs, and what listens there may never answer. It is looked
 * at each time whose it is, and that it is none of ours: an agent that relays
 * to itself would do so for ever.
 */
#include "supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define NAMED_MS 5000 /* somebody said that it is there */
#define USUAL_MS 300
#define SEND_MS 1000
#define ALL_S 15

/*
 * In the user's runtime directory: gcr's, gnome-keyring's, the user units of
 * OpenSSH as Arch, Plasma and Fedora, and as Debian have them, and gpg-agent,
 * which systemd starts for whoever knocks. None that asks a person for each
 * program that comes: it would ask about us.
 */
static const char *const usual[] = {
    "gcr/ssh",
    "keyring/ssh",
    "ssh-agent.socket",
    "openssh_agent",
    "gnupg/S.gpg-agent.ssh",
};

static bool
is_own_socket(const struct agent *a, const char *path)
{
	const struct listener *l = a->listeners;
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	for (; l < a->listeners + a->nlisteners; l++) {
		if (l->ino && l->dev == st.st_dev && l->ino == st.st_ino)
			return true;
	}
	return false;
}

/* Does the answer to "query" name a request of ours? */
static bool
names_ours(struct view names)
{
	static const char domain[] = "@awsenv";
	const uint32_t n = sizeof(domain) - 1;
	struct view name;

	while (view_string(&names, &name)) {
		if (name.n > n && memcmp(name.p + name.n - n, domain, n) == 0)
			return true;
	}
	return false;
}

/*
 * On a connection that is not used for anything else: OpenSSH 10.3 sends one
 * message too many after its answer.
 */
static enum aw_err
look(const char *path, int64_t deadline)
{
	AUTOBUF struct buf ask = {0}, frame = {0};
	AUTOCLOSE int fd = -1;
	struct view names;
	enum aw_err r;

	io_put_request(&ask, "query", (struct view){0});
	if ((r = client_connect(path, &fd, deadline)) != AW_OK ||
	    (r = io_write(fd, view_of(&ask), deadline)) != AW_OK)
		return r;
	r = io_get_reply(fd, "query", &frame, &names, deadline);
	if (r == AW_OK && names_ours(names))
		return AW_CONFIG;
	/* Most know of no "query", and say so in one way or another. */
	return r == AW_DENIED || r == AW_PROTO ? AW_OK : r;
}

static enum aw_err
try(const struct agent *a, const char *path, int ms, int *fd)
{
	int64_t deadline = io_deadline(ms);
	enum aw_err r;

	if (is_own_socket(a, path))
		return AW_CONFIG;
	if ((r = look(path, deadline)) != AW_OK)
		return r;
	return client_connect(path, fd, deadline);
}

static void
find(const struct agent *a, const char *named, struct link *l, int *fd)
{
	size_t i;

	snprintf(l->path, sizeof(l->path), "%s", named);
	l->flags = UPSTREAM_NAMED;
	if (*named) {
		l->error = try(a, named, NAMED_MS, fd);
		return;
	}
	snprintf(l->path, sizeof(l->path), "%s", a->ssh_agent);
	l->flags = UPSTREAM_GIVEN;
	l->error = AW_NOAGENT;
	if (a->ssh_agent[0])
		l->error = try(a, a->ssh_agent, NAMED_MS, fd);
	for (i = 0; i < sizeof(usual) / sizeof(usual[0]) && *fd < 0; i++) {
		char path[CLIENT_PATH];
		int n =
		    snprintf(path, sizeof(path), "%s/%s", a->runtime, usual[i]);

		if (n >= (int)sizeof(path) ||
		    try(a, path, USUAL_MS, fd) != AW_OK)
			continue;
		memcpy(l->path, path, sizeof(path));
		l->flags = UPSTREAM_USUAL;
		l->error = AW_OK;
	}
}

static _Noreturn void
run(const struct agent *a, const struct link *asked, int broker)
{
	int64_t deadline = io_deadline(ALL_S * 1000 + SEND_MS);
	struct link l = {.type = LINK_UPSTREAM_IS};
	char named[LINK_PATH];
	sigset_t none;
	int fd = -1;

	prctl(PR_SET_NAME, "awsenv-upstream");
	close_others(broker);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	alarm(ALL_S);
	memcpy(l.tag, asked->tag, sizeof(l.tag));
	snprintf(named, sizeof(named), "%.*s", LINK_PATH - 1, asked->path);
	find(a, named, &l, &fd);
	l.fds[0] = fd;
	l.nfds = fd >= 0;
	while (link_send(broker, &l) == AW_BUSY) {
		if (io_wait(broker, POLLOUT, deadline) != AW_OK)
			break;
	}
	_exit(0);
}

pid_t
upstream_start(const struct agent *a, const struct link *asked, int broker)
{
	pid_t pid = fork();

	if (pid == 0)
		run(a, asked, broker);
	return pid;
}
