/* SPDX-License-Identifier: ISC */
/*
 * awsenv configure: from a start URL to profiles for every account and role,
 * in a block of ~/.aws/config that is written anew each time; the rest of the
 * file is the person's, and stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/configure.h"

#define SESSION_SAFE LETTERS SMALL DIGITS "._-"
#define NAMES "{account_name}-{role}"

int
configure_finish(const struct options *o, const struct file *f,
    const struct text *new, const char *done)
{
	bool json = (o->given & OPT_JSON) != 0, same, write;

	if ((o->given & OPT_DIFF) && !json)
		return diff_print(f->path, &f->text, new) ? EXIT_GOOD
							  : EXIT_OTHER;
	same = f->text.n == new->n && !memcmp(f->text.p, new->p, new->n);
	write = !same && !(o->given & OPT_DIFF);
	if (write && !file_save(f, new))
		return EXIT_OTHER;
	if (json)
		return changes_print(f, new, write) ? EXIT_GOOD : EXIT_OTHER;
	say("awsenv: %s: %s\n", shown_str(f->path),
	    same ? "nothing to change" : done);
	return EXIT_GOOD;
}

const char *
configure_awsenv(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		if ((slash = strrchr(path, '/'))) {
			memcpy(slash + 1, "awsenv", sizeof("awsenv"));
			/* Else the words of the line would not be ours. */
			if (access(path, X_OK) == 0 &&
			    made_of(view_str(path),
				LETTERS SMALL DIGITS "/._-+@,:", 1, PATH_MAX))
				return keep(view_str(path));
		}
	}
	return AWSENV_BINDIR "/awsenv";
}

/* -------- which session */

/* "example" of https://example.awsapps.com/start */
static void
session_name(struct plan *p)
{
	const char *host = find(p->start_url, "//");
	size_t n;

	if (p->session[0])
		return;
	host = host ? host + 2 : p->start_url;
	n = strspn(host, SESSION_SAFE);
	if (memchr(host, '.', n))
		n = (size_t)((const char *)memchr(host, '.', n) - host);
	if (n == 0 ||
	    !format(p->session, sizeof(p->session), "%.*s", (int)n, host))
		format(p->session, sizeof(p->session), "sso");
}

struct section {
	struct view name, url, region;
	bool ours; /* in the block of its name */
};

/* Each sso-session of the file in turn. */
static bool
section_next(struct lines *l, struct section *s)
{
	bool open = l->now.kind == LINE_SECTION && l->now.of == OF_SESSION;

	*s = (struct section){.name = l->now.name};
	while (lines_next(l)) {
		if (l->now.kind == LINE_SECTION) {
			if (open)
				return true;
			open = l->now.of == OF_SESSION;
			*s = (struct section){.name = l->now.name};
		}
		if (open && line_is_key(&l->now, "sso_start_url"))
			s->url = l->now.value;
		if (open && line_is_key(&l->now, "sso_region"))
			s->region = l->now.value;
	}
	return open;
}

static bool
in_block(const struct plan *p, struct view name)
{
	struct text body;
	unsigned int line;

	return name.p &&
	    block_find(&p->file.text, keep(name), &body, &line) == AW_OK &&
	    (const char *)name.p >= body.p &&
	    (const char *)name.p < body.p + body.n;
}

static bool
same_url(struct view v, const char *url)
{
	size_t n = strlen(url);

	while (n && strchr("#/", url[n - 1]))
		n--;
	while (v.n && strchr("#/", v.p[v.n - 1]))
		v.n--;
	return n && v.n == n && !memcmp(v.p, url, n);
}

static bool
take(char *out, size_t size, struct view v)
{
	return *out || format(out, size, "%.*s", VIEW_ARG(v));
}

/* The file may have it: by its name, or else by where it leads. */
static bool
session_find(struct plan *p)
{
	struct section s;
	struct lines l;
	bool named;

	for (lines_begin(&l, &p->file.text); section_next(&l, &s);) {
		named = p->session[0] && view_is(s.name, p->session);
		if (!named &&
		    (p->session[0] || !p->start_url[0] ||
			!same_url(s.url, p->start_url) ||
			(p->sso_region[0] &&
			    !view_is(s.region, p->sso_region))))
			continue;
		if (p->start_url[0] && !same_url(s.url, p->start_url)) {
			warn("sso-session %s has another start URL; choose "
			     "another name with --sso-session",
			    shown(s.name));
			return false;
		}
		take(p->session, sizeof(p->session), s.name);
		take(p->start_url, sizeof(p->start_url), s.url);
		take(p->sso_region, sizeof(p->sso_region), s.region);
		p->found = true;
		p->elsewhere = !in_block(p, s.name);
		return true;
	}
	return true;
}

static bool
session_check(struct plan *p)
{
	if (!p->start_url[0]) {
		warn("%s%s--start-url and --sso-region are needed, or the name "
		     "of an sso-session that the file has",
		    p->session[0] ? shown_str(p->session) : "",
		    p->session[0] ? ": there is none; " : "");
		return false;
	}
	if (!url_is_sound(view_str(p->start_url))) {
		warn("%s is not a start URL: https://...",
		    shown_str(p->start_url));
		return false;
	}
	if (!is_region(view_str(p->sso_region))) {
		warn("--sso-region: %s is not a region",
		    *p->sso_region ? shown_str(p->sso_region) : "none");
		return false;
	}
	if (!made_of(view_str(p->session), SESSION_SAFE, 1,
		sizeof(p->session) - 1)) {
		warn("--sso-session: a name of letters, digits, '.', '_', '-'");
		return false;
	}
	return true;
}

/* A config file that has only the session, for as long as we run. */
static char scratch[PATH_MAX];

static void
scratch_remove(void)
{
	unlink(scratch);
}

/*
 * The agent knows logins from config files. While the person's has none for
 * this start URL yet, another one says the same: it is the same login.
 */
static bool
scratch_write(const struct plan *p)
{
	char dir[CLIENT_PATH];
	AUTOBUF struct buf out = {0};
	AUTOCLOSE int fd = -1;

	text_add(&out,
	    "[sso-session %s]\nsso_start_url = %s\nsso_region = %s\n"
	    "sso_registration_scopes = sso:account:access\n",
	    p->session, p->start_url, p->sso_region);
	if (client_dir(dir, true) == AW_OK &&
	    format(scratch, sizeof(scratch), "%s/configure.%d", dir,
		(int)getpid()) &&
	    atexit(scratch_remove) == 0)
		fd = open(scratch,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd >= 0 && !out.bad && io_write(fd, view_of(&out), -1) == AW_OK &&
	    setenv("AWSENV_CONFIG_FILE", scratch, 1) == 0)
		return true;
	warn("cannot write beside the agent's socket: %s", strerror(errno));
	return false;
}

/* -------- which roles */

static bool
is_wanted(const struct options *o, const struct grant_row *g)
{
	return !(o->given & OPT_ACCOUNT) ||
	    ((!strcmp(g->account, o->account) ||
		 !strcmp(g->name, o->account)) &&
		!strcmp(g->role, o->role));
}

static enum aw_err
roles_choose(struct plan *p, struct grant_list *list)
{
	const struct options *o = p->options;
	size_t i, n = 0;

	for (i = 0; i < list->n; i++) {
		if (is_wanted(o, &list->row[i]))
			list->row[n++] = list->row[i];
	}
	list->n = n;
	if (n)
		return AW_OK;
	if (o->given & OPT_ACCOUNT)
		warn(
		    "%s: AWS lists no account %s with a role %s for this login",
		    p->session, shown_str(o->account), shown_str(o->role));
	else
		warn("%s: this login may use no role at all", p->session);
	return AW_AWS;
}

static enum aw_err
roles_get(struct plan *p, struct grant_list *list)
{
	struct talk t;
	enum aw_err r;

	p->who = *p->options;
	p->who.account = p->who.role = p->who.profile = p->who.region = NULL;
	p->who.session = p->session;
	p->who.given = (p->who.given & (OPT_WAITING | OPT_HERE)) | OPT_SESSION;
	if ((r = talk_begin(&t, &p->who, AGENT_START)) != AW_OK)
		return r;
	r = grants_get(&t, &p->who, list, grants_progress);
	grants_progress_end();
	talk_end(&t);
	return r;
}

/* -------- the block */

static int
block_write(struct plan *p, struct grant_list *list)
{
	struct text body = {0}, new = {0};
	unsigned int line = 0;
	struct wanted w;
	char done[512];
	enum aw_err r;
	int status;
	/* One role is added to those that are there. */
	bool prune = (p->options->given & OPT_PRUNE) &&
	    !(p->options->given & OPT_ACCOUNT);

	grants_sort(list);
	if (!wanted_body(p, list, prune, &body, &w))
		return EXIT_USAGE;
	r = block_put(&p->file.text, p->session, &body, &new, &line);
	text_free(&body);
	if (r == AW_NOMEM)
		out_of_memory();
	if (r != AW_OK) {
		warn("%s:%u: the block of awsenv configure %s is damaged; "
		     "remove what is left of it",
		    shown_str(p->file.path), line, p->session);
		return exit_of(r);
	}
	format(done, sizeof(done), "%u profile%s of sso-session %s%s",
	    (unsigned int)w.profiles, w.profiles == 1 ? "" : "s", p->session,
	    w.gone ? "; what AWS does not list any more is gone" : "");
	status = configure_finish(p->options, &p->file, &new, done);
	text_free(&new);
	return status;
}

static int
configure(struct plan *p, bool ask)
{
	struct grant_list list = {0};
	enum aw_err r;
	int status;

	if (ask && !wizard_login(p))
		return EXIT_OTHER;
	if (!session_find(p))
		return EXIT_CONFIG;
	session_name(p);
	if (!session_check(p))
		return EXIT_USAGE;
	if (!p->region)
		p->region = p->sso_region;
	if (!p->found && !scratch_write(p))
		return EXIT_OTHER;
	r = roles_get(p, &list);
	if (r == AW_OK)
		r = roles_choose(p, &list);
	if (r != AW_OK)
		status = exit_of(r);
	else if (ask && !wizard_roles(p, &list))
		status = EXIT_OTHER;
	else
		status = block_write(p, &list);
	grants_free(&list);
	return status;
}

static int
undo(const struct options *o, struct file *f)
{
	struct text new = {0};
	unsigned int line = 0;
	enum aw_err r = edit_undo(&f->text, o->session, &new, &line);
	int status;

	if (r == AW_GONE) {
		warn("%s has no block of sso-session %s", shown_str(f->path),
		    shown_str(o->session));
		return EXIT_CONFIG;
	}
	if (r == AW_NOMEM)
		out_of_memory();
	if (r != AW_OK) {
		warn("%s:%u: a block of awsenv configure is damaged; remove "
		     "what is left of it",
		    shown_str(f->path), line);
		return exit_of(r);
	}
	status = configure_finish(o, f, &new, "it is what it was before");
	text_free(&new);
	return status;
}

/* -------- the verb */

/* Whether there is nobody but a person to say what is wanted. */
static bool
asks(const struct options *o)
{
	return !(o->given & (OPT_ALL | OPT_ACCOUNT));
}

/* Profiles that are there, instead of new ones. */
static bool
moves(const struct options *o)
{
	return (o->given & OPT_FROM) ||
	    ((o->given & OPT_PROCESS) && asks(o) && !o->start_url);
}

static bool
fits(const struct options *o)
{
	uint64_t given =
	    o->given & ~(uint64_t)(OPT_DIFF | OPT_SESSION | OPT_JSON);
	uint64_t moving = given & ~(uint64_t)(OPT_PROCESS | OPT_PROFILE);

	if ((o->given & OPT_UNDO) && given != OPT_UNDO) {
		warn("--undo goes with --diff, --json and --sso-session only");
		return false;
	}
	if ((o->given & OPT_FROM) && moving != OPT_FROM) {
		warn("--from goes with --diff, --json, --profile and "
		     "--credential-process only");
		return false;
	}
	if ((o->given & OPT_PROFILE) && !moves(o)) {
		warn("--profile goes with --from and --credential-process");
		return false;
	}
	if ((o->given & OPT_ALL) && (o->given & OPT_ACCOUNT)) {
		warn("either --all, or --account and --role");
		return false;
	}
	return true;
}

static bool
plan_open(struct plan *p, const struct options *o)
{
	struct question q;
	bool good;

	*p = (struct plan){
	    .options = o,
	    .region = o->region,
	    .names = o->names ? o->names : NAMES,
	    .awsenv = configure_awsenv(),
	};
	good = question_begin(&q, &(struct options){.wait = -1}) == AW_OK;
	question_ready(&q);
	if (good && !q.stamped[0])
		warn("neither HOME nor AWS_CONFIG_FILE says where to write");
	good = good && q.stamped[0] && file_load(&p->file, q.stamped);
	question_end(&q);
	return good &&
	    format(p->session, sizeof(p->session), "%s",
		o->session ? o->session : "") &&
	    format(p->start_url, sizeof(p->start_url), "%s",
		o->start_url ? o->start_url : "") &&
	    format(p->sso_region, sizeof(p->sso_region), "%s",
		o->sso_region ? o->sso_region : "");
}

int
configure_verb(const struct options *o, char **argv)
{
	int status;
	struct plan p;

	(void)argv;
	if (!fits(o))
		return EXIT_USAGE;
	if (moves(o))
		return moved_verb(o, o->from);
	if (!(o->given & OPT_UNDO) && asks(o) &&
	    !(isatty(STDIN_FILENO) && isatty(STDERR_FILENO))) {
		warn("configure asks questions on a terminal; without one say "
		     "--start-url, --sso-region and --all, or --account and "
		     "--role");
		return EXIT_USAGE;
	}
	if (!plan_open(&p, o))
		status = EXIT_OTHER;
	else if (o->given & OPT_UNDO)
		status = undo(o, &p.file);
	else
		status = configure(&p, asks(o));
	file_free(&p.file);
	return status;
}
