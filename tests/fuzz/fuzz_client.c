/* SPDX-License-Identifier: ISC */
/*
 * The wrapper's reading of replies. The first byte of an input chooses a verb,
 * the rest is what the agent sends. Whatever that is: the verb ends with a
 * status of its page, what a terminal is sent is printable, JSON is JSON, and
 * what a shell will evaluate says what it should and no more.
 */
#include "agent/cli/ctl/ctl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define INPUT_MAX 65536

#define MUST(x)                                            \
	do {                                               \
		if (!(x)) {                                \
			dprintf(saved[1], "not %s\n", #x); \
			abort();                           \
		}                                          \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int saved[2] = {-1, 2}; /* standard output and error, as they were */
static int caught[2] = {-1, -1};
static struct view script;

/* In place of client.c: the first connection has the whole script, and there
 * is no second. */
enum aw_err
client_path(char path[static CLIENT_PATH])
{
	strcpy(path, "/fuzz/agent.sock");
	return AW_OK;
}

enum aw_err
client_dir(char dir[static CLIENT_PATH], bool create)
{
	(void)dir;
	(void)create;
	return AW_NOAGENT;
}

enum aw_err
client_connect(const char *path, int *fd, int64_t deadline)
{
	static int agent = -1;
	int pair[2], size = 4 * INPUT_MAX;

	(void)path;
	(void)deadline;
	if (!script.p ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		return AW_NOAGENT;
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	MUST(script.n == 0 ||
	    write(pair[1], script.p, script.n) == (ssize_t)script.n);
	script.p = NULL;
	shutdown(pair[1], SHUT_WR);
	/* The requests have nobody to read them: they fit the buffer. */
	*fd = pair[0];
	if (agent >= 0)
		close(agent);
	agent = pair[1];
	return AW_OK;
}

/* Other users' agents are not asked here. */
enum aw_err
client_connect_to(const char *path, uid_t owner, int *fd, int64_t deadline)
{
	(void)owner;
	return client_connect(path, fd, deadline);
}

enum aw_err
client_ask(int fd, const char *name, enum msg_kind req_kind, const void *req,
    enum msg_kind rep_kind, void *rep, struct buf *frame, int64_t deadline)
{
	AUTOBUF struct buf body = {0}, out = {0};
	struct view got;
	enum aw_err r;

	msg_encode(req_kind, req, &body);
	io_put_request(&out, name, view_of(&body));
	MUST(!out.bad);
	if ((r = io_write(fd, view_of(&out), deadline)) != AW_OK)
		return r;
	if ((r = io_get_reply(fd, name, frame, &got, deadline)) != AW_OK)
		return r;
	return msg_decode(rep_kind, got, rep) ? AW_OK : AW_PROTO;
}

static struct view
text_of(int fd, uint8_t **map)
{
	off_t n = lseek(fd, 0, SEEK_END);

	*map = NULL;
	if (n <= 0)
		return (struct view){0};
	*map = mmap(NULL, (size_t)n, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(*map != MAP_FAILED);
	return (struct view){*map, (uint32_t)n};
}

static bool
taken(struct view *v, const char *word)
{
	size_t n = strlen(word);

	if (v->n < n || memcmp(v->p, word, n) != 0)
		return false;
	v->p += n;
	v->n -= (uint32_t)n;
	return true;
}

static void
must_be_printable(struct view v)
{
	struct text_char c;

	/* A line that is written again, as long as a person waits. */
	while (v.n) {
		if (!taken(&v, "\r\033[K") && text_next(&v, &c))
			MUST(c.printable || c.code == '\n');
	}
}

/* A profile's name is the person's own, whatever its encoding. */
static void
must_be_lines(struct view v)
{
	uint32_t i;

	for (i = 0; i < v.n; i++)
		MUST(v.p[i] == '\n' || (v.p[i] >= ' ' && v.p[i] != 0x7f));
}

/* ---- a reader of JSON that is written to be obvious */

static void
blanks(struct view *v)
{
	while (v->n && strchr(" \n", v->p[0])) {
		v->p++;
		v->n--;
	}
}

static void
json_text(struct view *v)
{
	MUST(taken(v, "\""));
	while (!taken(v, "\"")) {
		MUST(v->n > 1 && v->p[0] >= 0x20);
		if (taken(v, "\\"))
			MUST(v->n && strchr("\"\\u", v->p[0]));
		v->p++;
		v->n--;
	}
}

static void
json_any(struct view *v, int depth)
{
	bool object = v->n && v->p[0] == '{';
	const char *end = object ? "}" : "]";
	uint32_t before = v->n;

	MUST(depth < 5 && v->n);
	if (taken(v, "null") || taken(v, "true") || taken(v, "false"))
		return;
	if (v->p[0] == '"') {
		json_text(v);
		return;
	}
	if (taken(v, "{") || taken(v, "[")) {
		blanks(v);
		if (taken(v, end))
			return;
		do {
			blanks(v);
			if (object) {
				json_text(v);
				MUST(taken(v, ": "));
			}
			json_any(v, depth + 1);
			blanks(v);
		} while (taken(v, ","));
		MUST(taken(v, end));
		return;
	}
	taken(v, "-");
	while (v->n && v->p[0] >= '0' && v->p[0] <= '9') {
		v->p++;
		v->n--;
	}
	MUST(v->n < before);
}

static void
must_be_json(struct view v)
{
	json_any(&v, 0);
	MUST(taken(&v, "\n") && v.n == 0);
}

/* export NAME='...' with nothing within that would end the quotes. */
static void
must_be_shell(struct view v)
{
	while (v.n) {
		MUST(taken(&v, "export AWS"));
		while (v.n && v.p[0] != '=') {
			MUST(strchr(
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", v.p[0]));
			v.p++;
			v.n--;
		}
		MUST(taken(&v, "='"));
		while (!taken(&v, "'\n")) {
			MUST(v.n);
			if (taken(&v, "'\\''"))
				continue;
			MUST(v.p[0] != '\'' && v.p[0] != '\n');
			v.p++;
			v.n--;
		}
	}
}

static int
say_who(const struct options *o, char **argv)
{
	(void)argv;
	return whoami_verb(o, (char *[]){NULL});
}

/* The login's screen as a large terminal has it, QR code and all. */
static int
draw(const struct options *o, char **argv)
{
	const struct screen s = {
	    .tty = true, .rows = 400, .cols = 400, .utf8 = true};
	AUTOBUF struct buf out = {0};
	struct login_rep l;
	size_t i;

	(void)o;
	(void)argv;
	if (!msg_decode(MSG_LOGIN_REP, script, &l) ||
	    !screen_login(&s, &l, &out))
		return EXIT_OTHER;
	for (i = 0; i < out.len; i++) {
		if (out.data[i] == 033)
			MUST(i + 1 < out.len && out.data[i + 1] == '[');
		else
			MUST(out.data[i] >= ' ' || out.data[i] == '\n');
	}
	return EXIT_GOOD;
}

/* clang-format off */
static const struct {
	int (*run)(const struct options *, char **);
	struct options options;
	void (*check)(struct view);
	bool person; /* looks at standard error, and has a region of its own */
} verbs[] = {
	{export_verb, {.wait = -1}, must_be_shell, false},
	{export_verb, {.wait = -1, .format = "json"}, must_be_json, false},
	{export_verb, {.wait = -1, .format = "fish"}, must_be_lines, false},
	{process_verb, {.wait = -1}, must_be_json, false},
	{status_verb, {.wait = -1, .given = OPT_JSON | OPT_KEYRING},
	    must_be_json, false},
	{status_verb, {.wait = -1, .given = OPT_KEYRING},
	    must_be_printable, false},
	{status_verb, {.wait = -1, .given = OPT_CHECK, .check = 60},
	    must_be_printable, false},
	{say_who, {.wait = -1, .given = OPT_JSON}, must_be_json, false},
	{say_who, {.wait = -1}, must_be_printable, false},
	{logout_verb, {.wait = -1}, must_be_printable, false},
	{login_verb, {.wait = -1}, must_be_printable, false},
	{login_verb, {.wait = -1, .given = OPT_NO_WAIT},
	    must_be_printable, false},
	{login_verb, {.wait = 60, .given = OPT_WAIT}, must_be_printable, false},
	{draw, {.wait = -1}, must_be_printable, false},
	{ls_verb, {.wait = -1}, must_be_printable, false},
	{ls_verb, {.wait = -1, .given = OPT_JSON}, must_be_json, false},
	{ls_verb, {.wait = -1, .given = OPT_CSV}, must_be_printable, false},
	{ls_verb, {.wait = -1, .given = OPT_ROLES}, must_be_printable, false},
	{ls_verb, {.wait = -1, .given = OPT_ROLES | OPT_JSON},
	    must_be_json, false},
	{export_verb, {.wait = -1}, must_be_shell, true},
	{say_who, {.wait = -1}, must_be_printable, true},
	{ls_verb, {.wait = -1, .given = OPT_ROLES}, must_be_printable, true},
};
/* clang-format on */

static size_t chosen; /* of verbs */

int
isatty(int fd)
{
	return fd == STDERR_FILENO && verbs[chosen].person;
}

/* In place of login.c: the person approves each that is asked for. */
bool
login_wait(struct patience *w, const struct talk *t, const struct options *o,
    struct view text, enum aw_err *error)
{
	(void)t;
	(void)text;
	*error = AW_OK;
	return isatty(STDERR_FILENO) && !(o->given & OPT_NO_WAIT) &&
	    ++w->times < 3;
}

/* Of two places the first has none that could be one. */
static void
set_region(void)
{
	if (verbs[chosen].person) {
		setenv("AWS_REGION", "no region", 1);
		setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
	} else {
		unsetenv("AWS_REGION");
		unsetenv("AWS_DEFAULT_REGION");
	}
}

static void catch (void)
{
	int i;

	if (saved[0] < 0) {
		saved[0] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
		saved[1] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
		unsetenv("HOME");
		setenv("AWSENV_SOCK", "/fuzz/agent.sock", 1);
		sigpipe_ignore();
	}
	for (i = 0; i < 2; i++) {
		if (caught[i] < 0)
			caught[i] = memfd_create("caught", 0);
		MUST(caught[i] >= 0 && dup2(caught[i], i + 1) == i + 1);
	}
}

static void
check(int i, void (*fn)(struct view))
{
	uint8_t *map;
	struct view v = text_of(caught[i], &map);

	if (v.n)
		fn(v);
	if (map) {
		munmap(map, v.n);
		MUST(ftruncate(caught[i], 0) == 0 &&
		    lseek(caught[i], 0, SEEK_SET) == 0);
	}
	dup2(saved[i], i + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *none[] = {NULL};
	int status;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	chosen = data[0] % (sizeof(verbs) / sizeof(verbs[0]));
	script = (struct view){data + 1, (uint32_t)size - 1};
	set_region();
	catch ();
	status = verbs[chosen].run(&verbs[chosen].options, none);
	MUST(status >= EXIT_GOOD && status <= EXIT_NOAGENT);
	check(0, verbs[chosen].check);
	check(1, must_be_printable);
	shown_forget();
	return 0;
}
