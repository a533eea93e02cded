/* SPDX-License-Identifier: ISC */
/*
 * The configuration, as the agent's own reader sees it, and the portals that it
 * leads to, by the agent's own fetcher: one-shot programs, spoken to as the
 * broker does it. So there is no second opinion, and no agent is needed.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/doctor.h"

#define ADMIN_FOLDER "/etc/awsenv"
#define READ_MS 10000
#define PORTAL_MS 20000
#define PORTALS_MOST 5
#define PROFILES_TOLD 50

static bool
has_found(const struct doctor *d)
{
	return d->last && d->last->check == d->check;
}

/* ---- one-shot programs */

struct helper {
	pid_t pid;
	int fd;
	int64_t deadline;
};

static void
become(const char *name, int fd)
{
	static char program[32];
	char home[PATH_MAX + 8];
	const char *h = getenv("HOME");
	char *env[2] = {NULL, NULL};

	if (h && format(home, sizeof(home), "HOME=%s", h))
		env[0] = home;
	format(program, sizeof(program), "%s", name);
	if (fd == LINK_FD || dup2(fd, LINK_FD) == LINK_FD)
		program_exec(program, (char *[]){program, NULL}, env);
	_exit(EXIT_NOTFOUND);
}

static bool
helper_start(struct helper *h, const char *name, int ms)
{
	int pair[2];

	if (link_pair(pair) != 0)
		return false;
	h->deadline = io_deadline(ms);
	h->fd = pair[0];
	h->pid = child_fork(SIGCHLD);
	if (h->pid == 0) {
		/* Its own end must survive exec, wherever it was opened. */
		if (pair[1] == LINK_FD && (pair[1] = dup(LINK_FD)) < 0)
			_exit(EXIT_OTHER);
		become(name, pair[1]);
	}
	close(pair[1]);
	if (h->pid > 0)
		return true;
	close(h->fd);
	return false;
}

/* The next message; its views point into *packet. */
static enum aw_err
helper_take(struct helper *h, struct buf *packet, enum msg_kind *kind,
    struct view *body)
{
	enum aw_err r;

	do {
		if ((r = io_wait(h->fd, POLLIN, h->deadline)) != AW_OK)
			return r;
	} while ((r = link_peek_msg(h->fd, packet, kind, body)) == AW_BUSY);
	if (r == AW_OK || r == AW_PROTO)
		link_drop(h->fd);
	return r;
}

static void
helper_end(struct helper *h)
{
	close(h->fd);
	kill(h->pid, SIGKILL);
	while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- reading */

/* Which of what is read is told. */
enum { TELL_USER = 1, TELL_ADMIN = 2 };

static bool
is_admin(struct view file)
{
	size_t n = sizeof(ADMIN_FOLDER) - 1;

	return file.n > n && memcmp(file.p, ADMIN_FOLDER, n) == 0;
}

static void
tell_problem(struct doctor *d, const struct problem_item *p, int tell)
{
	if (!(tell & (is_admin(p->file) ? TELL_ADMIN : TELL_USER)))
		return;
	if (p->line)
		find_line(d, GRADE_PROBLEM, "%s:%u: %s", shown(p->file),
		    p->line, shown(p->text));
	else
		find_line(
		    d, GRADE_PROBLEM, "%s: %s", shown(p->file), shown(p->text));
}

struct reading {
	unsigned int profiles, sessions;
	unsigned int broken; /* profiles */
	bool ended;
};

static void
take_row(struct doctor *d, enum msg_kind kind, struct view body, int tell,
    struct reading *r)
{
	struct problem_item problem;
	struct table_end end;
	struct session s;
	struct profile p;

	if (kind == MSG_PROBLEM_ITEM && msg_decode(kind, body, &problem)) {
		tell_problem(d, &problem, tell);
	} else if (kind == MSG_PROFILE && msg_decode(kind, body, &p)) {
		r->profiles++;
		if (p.error != AW_OK && r->broken++ < PROFILES_TOLD)
			find_line(d, GRADE_PROBLEM, "%s", shown(p.text));
	} else if (kind == MSG_SESSION && msg_decode(kind, body, &s)) {
		r->sessions++;
		if (s.error != AW_OK)
			find_line(d, GRADE_PROBLEM, "%s", shown(s.text));
		else if (tell & TELL_USER)
			msg_append(MSG_SESSION, &s, &d->sessions);
	} else if (kind == MSG_TABLE_END && msg_decode(kind, body, &end)) {
		r->ended = true;
		if (end.off.n)
			find_line(d, GRADE_NOTE, "%s", shown(end.off));
	}
}

/* Read as the agent would for this person, or for one without a file. */
static void
read_config(struct doctor *d, struct view config, struct view env, int tell)
{
	struct read_req req = {
	    .version = MSG_VERSION, .config = config, .env = env};
	AUTOBUF struct buf packet = {0};
	struct reading reading = {0};
	enum msg_kind kind;
	struct view body;
	struct helper h;
	enum aw_err r;

	if (!helper_start(&h, "awsenv-profile", READ_MS)) {
		find_line(d, GRADE_PROBLEM,
		    "awsenv-profile cannot be started: "
		    "is awsenv installed whole?");
		return;
	}
	r = link_send_msg(h.fd, MSG_READ, &req);
	while (
	    r == AW_OK && (r = helper_take(&h, &packet, &kind, &body)) == AW_OK)
		take_row(d, kind, body, tell, &reading);
	helper_end(&h);
	if (reading.broken > PROFILES_TOLD)
		find_line(d, GRADE_PROBLEM, "and %u more profiles of the kind",
		    reading.broken - PROFILES_TOLD);
	if (r == AW_TIMEOUT)
		find_line(d, GRADE_PROBLEM,
		    "reading takes too long: does a file system hang?");
	else if (!reading.ended && !has_found(d))
		find_line(d, GRADE_PROBLEM,
		    "awsenv-profile ended early: is "
		    "awsenv installed whole?");
	else if (reading.ended)
		find_line(d, GRADE_OK, "%u profile%s, %u login%s",
		    reading.profiles, reading.profiles == 1 ? "" : "s",
		    reading.sessions, reading.sessions == 1 ? "" : "s");
}

void
check_config(struct doctor *d)
{
	if (!d->questioned) {
		if (question_begin(&d->question, d->options) != AW_OK)
			return;
		question_ready(&d->question);
		d->questioned = true;
	}
	read_config(d, d->question.ask.config, d->question.ask.env, TELL_USER);
}

/* ---- the administrator's files */

/*
 * Each user's agent reads them as that user; and one that somebody else may
 * write is not the administrator's.
 */
static void
check_access(struct doctor *d, const char *path, unsigned int mode)
{
	struct finding *f;
	struct stat st;

	if (stat(path, &st) != 0)
		return;
	if (st.st_uid != 0) {
		f = find_new(d, GRADE_PROBLEM);
		text_add(&f->text, "%s belongs to uid %u, who may change it",
		    shown_str(path), (unsigned int)st.st_uid);
		text_add(&f->cure, "%schown root:root ", d->sudo);
		add_word(&f->cure, path);
	}
	if ((st.st_mode & mode) == mode && !(st.st_mode & 022))
		return;
	f = find_new(d, GRADE_PROBLEM);
	text_add(&f->text,
	    st.st_mode & 022
		? "%s can be written by others than root"
		: "%s is not readable for everybody, so no user's agent gets "
		  "any configuration",
	    shown_str(path));
	text_add(&f->cure, "%schmod %s ", d->sudo,
	    S_ISDIR(st.st_mode) ? "0755" : "0644");
	add_word(&f->cure, path);
}

/* A piece that is not read is a promise that nobody keeps. */
static void
check_piece(struct doctor *d, const char *name)
{
	size_t n = strlen(name);
	char path[PATH_MAX];
	struct finding *f;

	if (*name == '.' || !path_join(path, ADMIN_FOLDER "/config.d", name))
		return;
	if (n > 5 && !strcmp(name + n - 5, ".conf")) {
		check_access(d, path, 0444);
		return;
	}
	f = find_new(d, GRADE_NOTE);
	text_add(&f->text, "%s is not read: its name does not end in .conf",
	    shown_str(path));
}

void
check_admin(struct doctor *d)
{
	bool session = !(d->options->given & OPT_CONFIG);
	const struct dirent *entry;
	struct stat st;
	DIR *folder;

	if (stat(ADMIN_FOLDER, &st) != 0) {
		find_line(d, GRADE_OK, "there is no " ADMIN_FOLDER);
		return;
	}
	check_access(d, ADMIN_FOLDER, 0555);
	check_access(d, ADMIN_FOLDER "/config", 0444);
	check_access(d, ADMIN_FOLDER "/config.d", 0555);
	if ((folder = opendir(ADMIN_FOLDER "/config.d"))) {
		while ((entry = readdir(folder)))
			check_piece(d, entry->d_name);
		closedir(folder);
	}
	/* In a person's session the reading of his own file tells the rest. */
	if (!session)
		read_config(d, view_str("/dev/null"), (struct view){0},
		    TELL_USER | TELL_ADMIN);
	else if (!has_found(d))
		find_line(d, GRADE_OK,
		    "readable for everybody, writable for "
		    "root alone");
}

/* ---- the way to AWS */

/* Signing out what was never signed in changes nothing, and AWS's refusal is
 * an answer all the same. */
static enum aw_err
knock(const struct session *s, struct answer *a, struct buf *packet)
{
	const struct tok nobody = {
	    .expires = now() + 3600, .access_token = view_str("awsenv-doctor")};
	AUTOBUF struct buf tok = {0};
	struct fetch order = {
	    .version = MSG_VERSION,
	    .what = FETCH_LOGOUT,
	    .tag = view_str("doctor"),
	    .facts = s->facts,
	};
	enum msg_kind kind;
	struct view body;
	struct helper h;
	enum aw_err r;

	msg_encode(MSG_TOK, &nobody, &tok);
	order.tok = view_of(&tok);
	if (!helper_start(&h, "awsenv-fetch", PORTAL_MS))
		return AW_SYSTEM;
	r = link_send_msg(h.fd, MSG_FETCH, &order);
	if (r == AW_OK)
		r = helper_take(&h, packet, &kind, &body);
	helper_end(&h);
	if (r == AW_OK && (kind != MSG_ANSWER || !msg_decode(kind, body, a)))
		r = AW_PROTO;
	return r;
}

/* Without the password that may stand in it. */
static void
add_proxy(struct buf *out, struct view proxy)
{
	const char *text = shown(proxy), *at = strrchr(text, '@');
	const char *scheme = find(text, "://");

	if (at)
		text = at + 1;
	else if (scheme)
		text = scheme + 3;
	text_add(out, ", through the proxy %s", text);
}

static void
check_one(struct doctor *d, const struct session *s, const struct facts *facts)
{
	AUTOBUF struct buf packet = {0};
	struct answer a = {0};
	enum aw_err r = knock(s, &a, &packet);
	struct finding *f;

	f = find_new(d, GRADE_OK);
	if (r == AW_OK && a.error == AW_OK) {
		text_add(&f->text, "%s answers", shown(facts->portal));
	} else {
		f->grade = GRADE_PROBLEM;
		text_add(&f->text, "%s: %s", shown(facts->portal),
		    r == AW_OK ? shown(a.text) : aw_strerror(r));
	}
	if (facts->proxy.n)
		add_proxy(&f->text, facts->proxy);
	if (s->notice.n)
		text_add(&f->text, " (%s)", shown(s->notice));
	if (f->grade == GRADE_PROBLEM && facts->proxy.n &&
	    find(shown(a.text), "proxy"))
		text_add(&f->cure,
		    "unset HTTPS_PROXY https_proxy ALL_PROXY all_proxy");
}

static bool
same_way(const struct facts *a, const struct facts *b)
{
	return view_eq(a->portal, b->portal) && view_eq(a->proxy, b->proxy) &&
	    view_eq(a->ca_digest, b->ca_digest);
}

void
check_portal(struct doctor *d)
{
	struct facts seen[PORTALS_MOST], facts;
	struct view rest = view_of(&d->sessions);
	struct session s;
	size_t i, n = 0;

	while (n < PORTALS_MOST && msg_each(MSG_SESSION, &rest, &s)) {
		if (!msg_decode(MSG_FACTS, s.facts, &facts))
			continue;
		for (i = 0; i < n && !same_way(&seen[i], &facts); i++)
			continue;
		if (i < n)
			continue;
		seen[n++] = facts;
		check_one(d, &s, &facts);
	}
	if (!n)
		find_line(d, GRADE_NOTE, "there is no login to try it with");
}
