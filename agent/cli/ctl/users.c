/* SPDX-License-Identifier: ISC */
/*
 * --all-users: the agents are found where the PAM module and logind have put
 * their directories, and each is met by a child of ours, many at a time. One
 * that hangs costs its own few seconds and nobody else's answer.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/users.h"

#define AT_ONCE 32
#define STATUS_MS 5000
#define LOGOUT_MS 20000 /* the agent gives AWS ten seconds */

bool
users_path(const struct user *u, char *out, size_t size)
{
	return format(out, size, "%s%s%s/agent.sock", u->parent,
	    u->below ? "/" : "", u->below ? u->below : "");
}

/* ---- finding them */

static void
name_set(struct user *u, const char *number)
{
	const struct passwd *pw = getpwuid(u->uid);

	if (!pw || !format(u->name, sizeof(u->name), "%s", pw->pw_name))
		format(u->name, sizeof(u->name), "%s", number);
}

static bool
is_number(const char *s)
{
	return *s >= '1' && *s <= '9' && strlen(s) < 10 &&
	    strspn(s, "0123456789") == strlen(s);
}

static bool
add(struct users *all, const char *folder, const char *name, const char *below)
{
	struct user *grown =
	    reallocarray(all->user, all->n + 1, sizeof(*grown));
	struct user *u;

	if (!grown)
		return false;
	all->user = grown;
	u = &grown[all->n];
	*u = (struct user){
	    .uid = (uid_t)strtoul(name, NULL, 10), .below = below, .fd = -1};
	if (!format(u->parent, sizeof(u->parent), "%s/%s", folder, name))
		return true;
	name_set(u, name);
	all->n++;
	return true;
}

/* It is root's, or nobody's word counts for what is in it: EPERM. */
static DIR *
open_folder(const char *folder)
{
	AUTOCLOSE int fd =
	    open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	DIR *d;

	if (fd < 0 || fstat(fd, &st) != 0)
		return NULL;
	if (st.st_uid != 0 || (st.st_mode & 022)) {
		errno = EPERM;
		return NULL;
	}
	if ((d = fdopendir(fd)))
		STEAL_FD(fd);
	return d;
}

static bool
find_below(struct users *all, const char *folder, const char *below)
{
	DIR *d = open_folder(folder);
	const struct dirent *entry;
	bool ok = d != NULL;

	if (!d && (errno == ENOENT || errno == EPERM))
		return true;
	while (ok && (errno = 0, entry = readdir(d))) {
		if (is_number(entry->d_name))
			ok = add(all, folder, entry->d_name, below);
	}
	if (ok && errno == 0) {
		closedir(d);
		return true;
	}
	/* One that is left out would seem to be no agent. */
	warn("cannot look for agents in %s: %s", folder, errno_text());
	if (d)
		closedir(d);
	return false;
}

static int
by_uid(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return strcmp(x->parent, y->parent);
}

/* ---- meeting them */

static void
fail(struct user *u, enum aw_err r, const char *text)
{
	u->told = (struct told){.error = r};
	format(u->told.text, sizeof(u->told.text), "%s", text);
}

static void
begin(struct user *u, enum users_what what)
{
	int pair[2];

	u->deadline = io_deadline(what == USERS_STATUS ? STATUS_MS : LOGOUT_MS);
	if (pipe2(pair, O_CLOEXEC) != 0) {
		fail(u, AW_SYSTEM, "no process could be made to ask it");
		return;
	}
	if ((u->pid = fork()) < 0) {
		fail(u, AW_SYSTEM, "no process could be made to ask it");
		close(pair[0]);
		close(pair[1]);
		return;
	}
	if (u->pid == 0)
		users_ask(u, what, pair[1], u->deadline);
	close(pair[1]);
	u->fd = pair[0];
}

/* Its child has written, has died, or is out of time. */
static void
end(struct user *u, bool late)
{
	ssize_t n = late ? 0 : read(u->fd, &u->told, sizeof(u->told));

	kill(u->pid, SIGKILL);
	while (waitpid(u->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(u->fd);
	u->fd = -1;
	if (n != (ssize_t)sizeof(u->told))
		fail(u, AW_TIMEOUT, "it does not answer");
}

/* Those that are under way. */
struct going {
	struct user *user[AT_ONCE];
	size_t n;
};

/* Wait for one of them. */
static void
reap(struct going *g)
{
	struct pollfd polls[AT_ONCE];
	int64_t now_ms = io_deadline(0), left = INT64_MAX;
	size_t i, n = 0;

	for (i = 0; i < g->n; i++) {
		polls[i] = (struct pollfd){g->user[i]->fd, POLLIN, 0};
		if (g->user[i]->deadline - now_ms < left)
			left = g->user[i]->deadline - now_ms;
	}
	/* The child has the same deadline, and a moment to say so. */
	poll(polls, g->n, left > 0 ? (int)left + 200 : 200);
	now_ms = io_deadline(0);
	for (i = 0; i < g->n; i++) {
		if (polls[i].revents)
			end(g->user[i], false);
		else if (now_ms > g->user[i]->deadline + 100)
			end(g->user[i], true);
		else
			g->user[n++] = g->user[i];
	}
	g->n = n;
}

static void
ask_all(struct users *all, enum users_what what)
{
	struct going g = {.n = 0};
	size_t i = 0;

	while (i < all->n || g.n) {
		for (; i < all->n && g.n < AT_ONCE; i++) {
			begin(&all->user[i], what);
			if (all->user[i].fd >= 0)
				g.user[g.n++] = &all->user[i];
		}
		if (g.n)
			reap(&g);
	}
}

/* ---- the verbs */

static int
everybody(const struct options *o, enum users_what what)
{
	struct users all = {0};
	int status = EXIT_OTHER;

	if (o->given & (OPT_WHO | OPT_CHECK | OPT_KEYRING)) {
		warn("--all-users is about every login there is: it goes with "
		     "--json, and in logout with --credentials");
		return EXIT_USAGE;
	}
	if (geteuid() != 0) {
		warn("--all-users is for root: sudo awsenv %s --all-users",
		    what == USERS_STATUS ? "status" : "logout");
		return EXIT_REFUSED;
	}
	if (find_below(&all, "/run/user", "awsenv") &&
	    find_below(&all, "/run/awsenv", NULL)) {
		if (all.n)
			qsort(all.user, all.n, sizeof(*all.user), by_uid);
		ask_all(&all, what);
		status = users_report(&all, what, (o->given & OPT_JSON) != 0);
	}
	free(all.user);
	return status;
}

int
users_status(const struct options *o)
{
	return everybody(o, USERS_STATUS);
}

int
users_logout(const struct options *o)
{
	if (!(o->given & OPT_ALL_USERS)) {
		warn("--json goes with --all-users in logout");
		return EXIT_USAGE;
	}
	return everybody(
	    o, o->given & OPT_CREDENTIALS ? USERS_LOGOUT_CREDS : USERS_LOGOUT);
}
