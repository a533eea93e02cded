/* SPDX-License-Identifier: ISC */
/*
 * A further socket of the agent, for some profiles: to be forwarded to a jump
 * host, or given to a program that is to have no more than that. With a command
 * the socket lives as long as that runs.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define FORWARD_MS 40000

extern char **environ;

static enum aw_err
ask(struct talk *t, const struct forward_req *req, struct forward_rep *rep)
{
	enum aw_err r = agent_ask(&t->agent, "forward@awsenv", MSG_FORWARD_REQ,
	    req, MSG_FORWARD_REP, rep, &t->frame, FORWARD_MS);

	if (r == AW_OK && rep->error != AW_OK)
		r = complain(NULL, rep->error, rep->text);
	return r;
}

static void
add_list(struct buf *out, const char *what, struct view list)
{
	struct view entry;

	while (view_entry(&list, &entry))
		text_add(out, "%s%s", what, shown(entry));
}

static void
add_item(struct buf *out, const struct forward_item *i)
{
	char when[CLOCK_TIME];

	text_add(out, "%s", shown(i->path));
	add_list(out, " --profile ", i->profiles);
	add_list(out, " --host ", i->hosts);
	if (i->confirm)
		text_add(out, " --confirm");
	if (i->until) {
		clock_time(when, i->until);
		text_add(out, ", until %s", when);
	}
	if (i->bound)
		text_add(out, ", while its command runs");
	text_add(out, "\n");
}

static enum aw_err
list(struct talk *t)
{
	struct forward_req req = {.ask = t->question.ask, .what = FORWARD_LIST};
	AUTOBUF struct buf out = {0};
	struct forward_item item;
	struct forward_rep rep;
	enum aw_err r;

	if ((r = ask(t, &req, &rep)) != AW_OK)
		return r;
	while (msg_each(MSG_FORWARD_ITEM, &rep.items, &item))
		add_item(&out, &item);
	return text_print(&out) ? AW_OK : AW_SYSTEM;
}

/* ".../forward-1a2b3c4d.sock", or what of it is enough. */
static bool
id_parse(const char *word, uint32_t *id)
{
	const char *slash = strrchr(word, '/');
	const char *s = slash ? slash + 1 : word;
	unsigned long n;
	char *end;

	if (!strncmp(s, "forward-", 8))
		s += 8;
	if (strspn(s, DIGITS "abcdef") != 8 ||
	    (s[8] && strcmp(s + 8, ".sock") != 0))
		return false;
	n = strtoul(s, &end, 16);
	*id = (uint32_t)n;
	return true;
}

static enum aw_err
end(struct talk *t, uint32_t id)
{
	struct forward_req req = {
	    .ask = t->question.ask, .what = FORWARD_END, .id = id};
	struct forward_rep rep;

	return ask(t, &req, &rep);
}

/* After a broker that was. One that ended meanwhile is none to tell of: the
 * command may be in the middle of a screen. */
static bool
keep_it(struct talk *t, uint32_t id)
{
	struct forward_req req = {
	    .ask = t->question.ask, .what = FORWARD_KEEP, .id = id};
	struct forward_rep rep;

	return agent_ask(&t->agent, "forward@awsenv", MSG_FORWARD_REQ, &req,
		   MSG_FORWARD_REP, &rep, &t->frame, FORWARD_MS) == AW_OK &&
	    rep.error == AW_OK;
}

static void
list_put(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text) + 1);
}

/* The hosts that are meant, as fingerprints of their keys. */
static enum aw_err
hosts_find(const struct options *o, struct buf *hosts)
{
	unsigned int i;
	enum aw_err r;

	for (i = 0; i < o->hosts.n; i++) {
		if (!strncmp(o->hosts.at[i], "SHA256:", 7))
			list_put(hosts, o->hosts.at[i]);
		else if ((r = known_hosts(o->hosts.at[i], hosts)) != AW_OK)
			return r;
	}
	return AW_OK;
}

static enum aw_err
open_socket(struct talk *t, const struct options *o, bool bound, uint32_t *id,
    char path[static CLIENT_PATH])
{
	AUTOBUF struct buf profiles = {0}, hosts = {0};
	struct forward_req req = {.ask = t->question.ask, .what = FORWARD_OPEN};
	struct forward_item item;
	struct forward_rep rep;
	unsigned int i;
	enum aw_err r;

	if ((r = hosts_find(o, &hosts)) != AW_OK)
		return r;
	for (i = 0; i < o->profiles.n; i++)
		list_put(&profiles, o->profiles.at[i]);
	/* Fewer hosts than were named, or none, would be any. */
	if (profiles.bad || hosts.bad)
		out_of_memory();
	while (getrandom(id, sizeof(*id), 0) != sizeof(*id))
		continue;
	req.id = *id;
	req.profiles = view_of(&profiles);
	req.hosts = view_of(&hosts);
	req.seconds = o->seconds;
	req.confirm = (o->given & OPT_CONFIRM) != 0;
	req.bound = bound;
	if ((r = ask(t, &req, &rep)) != AW_OK)
		return r;
	if (!msg_each(MSG_FORWARD_ITEM, &rep.items, &item) ||
	    item.path.n >= CLIENT_PATH) {
		warn("the agent does not say where its socket is");
		return AW_PROTO;
	}
	snprintf(path, CLIENT_PATH, "%.*s", VIEW_ARG(item.path));
	return AW_OK;
}

/* ---- with a command ---- */

static bool
is_ssh(const char *name)
{
	const char *slash = strrchr(name, '/');

	return !strcmp(slash ? slash + 1 : name, "ssh");
}

/*
 * ssh forwards that socket instead of the one it takes keys from. Where there
 * is none of the latter it would forward nothing and not say so.
 */
static char **
for_ssh(char **argv, char option[static CLIENT_PATH + 16], const char *path)
{
	static char o[] = "-o";
	size_t n = 0;
	char **out;

	while (argv[n])
		n++;
	if (!(out = calloc(n + 3, sizeof(*out))))
		return NULL;
	snprintf(option, CLIENT_PATH + 16, "ForwardAgent=%s", path);
	out[0] = argv[0];
	out[1] = o;
	out[2] = option;
	memcpy(out + 3, argv + 1, (n - 1) * sizeof(*out));
	if (!setting("SSH_AUTH_SOCK") && setenv("SSH_AUTH_SOCK", path, 1) != 0)
		free(STEAL(out));
	return out;
}

static void
become(char **argv, const char *path)
{
	char option[CLIENT_PATH + 16];

	/* What a handler of ours caught is the command's to catch. */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	sigpipe_restore();
	if (is_ssh(argv[0]))
		argv = for_ssh(argv, option, path);
	else if (setenv("AWSENV_SOCK", path, 1) != 0)
		argv = NULL;
	if (argv)
		execvp(argv[0], argv);
	warn("%s: %s", argv ? shown_str(argv[0]) : "memory", errno_text());
	_exit(errno == ENOENT ? EXIT_NOTFOUND : EXIT_CANNOT);
}

/* To the command's end; our connection is what the agent knows us by. */
static int
wait_for(pid_t pid, struct talk *t, uint32_t id)
{
	AUTOCLOSE int command = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p[] = {{command, POLLIN, 0}, {t->agent.fd, POLLIN, 0}};
	int status;

	while (command >= 0 && !p[0].revents) {
		if (poll(p, 2, -1) > 0 && p[1].revents)
			p[1].fd = keep_it(t, id) ? t->agent.fd : -1;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int
run_with(char **argv, const char *path, struct talk *t, uint32_t id)
{
	pid_t pid;

	/* The terminal's signals are the command's; the socket is to be ended
	 * whatever that makes of them. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	if ((pid = fork()) == 0)
		become(argv, path);
	if (pid < 0) {
		warn("fork: %s", errno_text());
		return EXIT_OURS;
	}
	return wait_for(pid, t, id);
}

static int
open_verb(struct talk *t, const struct options *o, char **argv)
{
	AUTOBUF struct buf out = {0};
	char path[CLIENT_PATH];
	uint32_t id = 0;
	enum aw_err r;
	int status;

	if ((r = open_socket(t, o, *argv, &id, path)) != AW_OK)
		return *argv ? EXIT_OURS : exit_of(r);
	if (!*argv) {
		text_add(&out, "%s\n", shown_str(path));
		if (text_print(&out))
			return EXIT_GOOD;
		/* Nobody knows where it is. */
		end(t, id);
		return EXIT_OTHER;
	}
	status = run_with(argv, path, t, id);
	if (t->agent.fd >= 0)
		end(t, id);
	return status;
}

static bool
fits(const struct options *o, char **argv)
{
	uint64_t how = o->given & (OPT_LIST | OPT_END);
	uint64_t rest =
	    o->given & (OPT_PROFILE | OPT_HOST | OPT_FOR | OPT_CONFIRM);

	if (how && (how == (OPT_LIST | OPT_END) || rest || *argv))
		warn("--list and --end stand alone");
	else if (!how && !o->profiles.n)
		warn("name what is to be had there: awsenv forward --profile "
		     "PROFILE");
	else
		return true;
	return false;
}

int
forward_verb(const struct options *o, char **argv)
{
	bool dashes = *argv && !strcmp(*argv, "--");
	uint32_t id = 0;
	struct talk t;
	enum aw_err r;
	int status;

	if (*argv && !dashes) {
		warn("a command stands behind --: awsenv forward --profile "
		     "PROFILE -- %s",
		    shown_str(*argv));
		return EXIT_USAGE;
	}
	if (!fits(o, argv + dashes))
		return EXIT_USAGE;
	if (o->end && !id_parse(o->end, &id)) {
		warn("%s is no such socket; awsenv forward --list shows them",
		    shown_str(o->end));
		return EXIT_USAGE;
	}
	if ((r = talk_begin(&t, o, AGENT_AS_IS)) != AW_OK)
		return exit_of(r);
	if (o->given & OPT_LIST)
		status = exit_of(list(&t));
	else if (o->end)
		status = exit_of(end(&t, id));
	else
		status = open_verb(&t, o, argv + dashes);
	talk_end(&t);
	return status;
}
