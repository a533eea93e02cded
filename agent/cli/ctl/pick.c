/* SPDX-License-Identifier: ISC */
/*
 * Choosing a profile by typing part of its name: by fzf where it is installed,
 * else in a list of our own. The one that was chosen last comes first.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define LINES 10
#define TYPED 64
#define ESCAPE_MS 50 /* a key's sequence comes at once; Esc alone does not */

extern char **environ;

struct picker {
	const struct profile_list *list;
	struct screen screen;
	char typed[TYPED];
	size_t *match; /* indices into the list */
	size_t n;
	size_t at;    /* the one that is marked */
	size_t drawn; /* lines below the first */
};

/* -------- what matches */

static bool
contains(const char *text, const char *part, size_t n)
{
	for (; *text; text++) {
		if (!strncasecmp(text, part, n))
			return true;
	}
	return n == 0;
}

/* Each word that was typed stands somewhere in name, account or role. */
static bool
row_matches(const struct profile_row *row, const char *typed)
{
	size_t n;

	for (;; typed += n) {
		typed += strspn(typed, " ");
		if (!*typed)
			return true;
		n = strcspn(typed, " ");
		if (!contains(row->name, typed, n) &&
		    !contains(row->account, typed, n) &&
		    !contains(row->role, typed, n))
			return false;
	}
}

static void
match(struct picker *p)
{
	size_t i;

	p->n = 0;
	for (i = 0; i < p->list->n; i++) {
		if (row_matches(&p->list->row[i], p->typed))
			p->match[p->n++] = i;
	}
	if (p->at >= p->n)
		p->at = p->n ? p->n - 1 : 0;
}

/* -------- our own list */

static size_t
lines(const struct picker *p)
{
	size_t most = p->screen.rows > 2 ? p->screen.rows - 2 : 1;

	return most < LINES ? most : LINES;
}

/* All of it at once, the cursor back behind what was typed. Lines are cut, not
 * wrapped, where the window ends. */
static void
draw(struct picker *p)
{
	size_t most = lines(p), from, i;
	AUTOBUF struct buf out = {0};

	from = p->at >= most ? p->at - most + 1 : 0;
	text_add(&out, "\r\033[?7l\033[J");
	for (i = from; i < p->n && i < from + most; i++) {
		const struct profile_row *row = &p->list->row[p->match[i]];

		text_add(&out, "\n\r%s %s%s", i == p->at ? ">\033[1m" : " ",
		    shown_str(row->name), i == p->at ? "\033[0m" : "");
		if (*row->account)
			text_add(&out, "  %s %s", shown_str(row->account),
			    shown_str(row->role));
	}
	p->drawn = i - from;
	if (!p->n) {
		text_add(&out, "\n\r  (no profile matches)");
		p->drawn = 1;
	}
	if (p->drawn)
		text_add(&out, "\033[%uA", (unsigned int)p->drawn);
	text_add(&out, "\rprofile: %s\033[?7h", p->typed);
	io_write(STDERR_FILENO, view_of(&out), -1);
}

static bool
key_waits(void)
{
	struct pollfd fd = {STDIN_FILENO, POLLIN, 0};

	return poll(&fd, 1, ESCAPE_MS) > 0;
}

static char
key(void)
{
	char c;
	ssize_t n;

	while ((n = read(STDIN_FILENO, &c, 1)) < 0 && errno == EINTR)
		continue;
	return n == 1 ? c : '\004';
}

/* An arrow, as up or down; Esc alone gives up. */
static char
escape(void)
{
	char c;

	if (!key_waits())
		return '\003';
	c = key();
	if (c != '[' && c != 'O')
		return '\0';
	do {
		c = key();
	} while (c >= '0' && c <= '?' && c != '\004');
	return c == 'A' ? '\020' : c == 'B' ? '\016' : '\0';
}

static void
erase(char *typed)
{
	size_t n = strlen(typed);

	while (n && (typed[n - 1] & 0xc0) == 0x80)
		n--;
	if (n)
		typed[n - 1] = '\0';
}

/* 0: go on; 1: chosen; -1: given up. */
static int
press(struct picker *p, char c)
{
	size_t n = strlen(p->typed);

	switch (c) {
	case '\003':
	case '\004':
		return -1;
	case '\r':
	case '\n':
		return p->n ? 1 : 0;
	case '\020': /* Ctrl-P */
		p->at -= p->at > 0;
		return 0;
	case '\016': /* Ctrl-N */
		p->at += p->at + 1 < p->n;
		return 0;
	case '\b':
	case '\177':
		erase(p->typed);
		break;
	case '\025': /* Ctrl-U */
		p->typed[0] = '\0';
		break;
	default:
		if ((unsigned char)c < ' ' || n + 1 >= sizeof(p->typed))
			return 0;
		p->typed[n] = c;
		p->typed[n + 1] = '\0';
	}
	p->at = 0;
	match(p);
	return 0;
}

static int
choose_drawn(struct picker *p)
{
	struct termios before;
	int r;
	char c;

	if (!keys_begin(&before))
		return -1;
	match(p);
	do {
		draw(p);
		if ((c = key()) == '\033')
			c = escape();
		r = c ? press(p, c) : 0;
	} while (r == 0);
	keys_end(&before);
	say("\r\033[J");
	return r;
}

/* On a terminal that can do nothing but write lines. */
static int
choose_plain(struct picker *p)
{
	size_t i, n;

	match(p);
	for (i = 0; i < p->n; i++)
		say("  %s\n", shown_str(p->list->row[p->match[i]].name));
	say("profile: ");
	for (n = 0; n + 1 < sizeof(p->typed);) {
		char c = key();

		/* What is half typed may be another's name. */
		if (c == '\004')
			return -1;
		if (c == '\n')
			break;
		p->typed[n++] = c;
	}
	p->typed[n] = '\0';
	for (i = 0; i < p->list->n; i++) {
		if (!strcmp(p->list->row[i].name, p->typed)) {
			p->match[0] = i;
			return 1;
		}
	}
	match(p);
	if (n && p->n == 1)
		return 1;
	if (n)
		warn("%s profiles match %s", p->n ? "several" : "no",
		    shown_str(p->typed));
	return -1;
}

/* -------- fzf */

static bool
program_there(const char *name)
{
	const char *path = getenv("PATH"), *end;
	char file[PATH_MAX];

	for (; path && *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		if (format(file, sizeof(file), "%.*s/%s", (int)(end - path),
			path, name) &&
		    access(file, X_OK) == 0)
			return true;
	}
	return false;
}

static void
fzf_exec(int in, int out)
{
	static char fzf[] = "fzf", height[] = "--height=12",
		    layout[] = "--layout=reverse",
		    prompt[] = "--prompt=profile: ",
		    order[] = "--tiebreak=index";

	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(EXIT_NOTFOUND);
	sigpipe_restore();
	exec_search(
	    (char *[]){fzf, height, layout, prompt, order, NULL}, environ);
	_exit(EXIT_NOTFOUND);
}

static void
names_write(const struct profile_list *list, int fd)
{
	AUTOBUF struct buf names = {0};
	size_t i;

	for (i = 0; i < list->n; i++) {
		buf_put(&names, list->row[i].name, strlen(list->row[i].name));
		buf_u8(&names, '\n');
	}
	io_write(fd, view_of(&names), -1);
}

static int
choose_fzf(struct picker *p)
{
	int in[2], out[2], status = 0;
	char name[PATH_MAX];
	size_t n = 0, i;
	ssize_t got;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) != 0)
		return -1;
	if (pipe2(out, O_CLOEXEC) != 0) {
		close(in[0]);
		close(in[1]);
		return -1;
	}
	if ((pid = child_fork(SIGCHLD)) == 0)
		fzf_exec(in[0], out[1]);
	close(in[0]);
	close(out[1]);
	names_write(p->list, in[1]);
	close(in[1]);
	while ((got = read(out[0], name + n, sizeof(name) - 1 - n)) > 0)
		n += (size_t)got;
	close(out[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	name[got < 0 ? 0 : n] = '\0'; /* half a name may be another's */
	name[strcspn(name, "\n")] = '\0';
	for (i = 0; status == 0 && i < p->list->n; i++) {
		if (!strcmp(p->list->row[i].name, name)) {
			p->match[0] = i;
			p->at = 0;
			return 1;
		}
	}
	return -1;
}

/* -------- either way */

/* Those that can be used, and in which order. */
static void
usable(struct profile_list *list)
{
	size_t i, n = 0;

	for (i = 0; i < list->n; i++) {
		if (list->row[i].error == AW_OK)
			list->row[n++] = list->row[i];
	}
	list->n = n;
	recent_sort(list);
}

static const char *
choose(struct profile_list *list)
{
	struct picker p = {.list = list};
	const char *name;
	int r;

	if (!(p.match = calloc(list->n, sizeof(*p.match))))
		out_of_memory();
	screen_open(&p.screen);
	if (p.screen.plain)
		r = choose_plain(&p);
	else if (program_there("fzf"))
		r = choose_fzf(&p);
	else
		r = choose_drawn(&p);
	name = r > 0 ? list->row[p.match[p.at]].name : NULL;
	free(p.match);
	return name;
}

enum aw_err
pick_profile(const struct options *o, const char **name)
{
	struct profile_list list = {0};
	struct talk t;
	enum aw_err r;

	*name = NULL;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		warn("which profile? without a terminal name one: awsenv shell "
		     "PROFILE");
		return AW_NOPROFILE;
	}
	if ((r = talk_begin(&t, o, AGENT_START)) != AW_OK)
		return r;
	if ((r = profiles_get(&t, &list)) == AW_OK) {
		usable(&list);
		if (list.n) {
			*name = choose(&list);
		} else {
			warn("there is no profile to choose: see "
			     "awsenv-config(5) for how to write one");
			r = AW_NOPROFILE;
		}
	}
	profiles_free(&list);
	talk_end(&t);
	return r;
}
