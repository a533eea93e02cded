/* SPDX-License-Identifier: ISC */
#include "tests/unit/verbs.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define ROWS 16
#define TEXT_MOST (256 * 1024)

/* ---- the agent */

static struct {
	pid_t pid;
	const char *name[ROWS];
	struct buf body[ROWS];
	size_t n;
	uid_t uid;
	struct state {
		struct fake_asked asked;
		atomic_int open; /* connections */
		bool said[ROWS];
	} * state;
} agent;

void (*fake_agent_hears)(struct view name, struct view body);

/* The next answer to that request. */
static struct view
answer_to(struct view name)
{
	struct view body = {0};
	size_t i;

	for (i = 0; i < agent.n; i++) {
		if (!view_is(name, agent.name[i]))
			continue;
		body = view_of(&agent.body[i]);
		if (!agent.state->said[i])
			break;
	}
	if (i < agent.n)
		agent.state->said[i] = true;
	return body;
}

static void
note(struct view name, struct view body)
{
	struct fake_asked *a = &agent.state->asked;

	snprintf(a->name, sizeof(a->name), "%.*s", VIEW_ARG(name));
	a->size = body.n;
	if (body.n <= sizeof(a->body))
		memcpy(a->body, body.p, body.n);
	a->n++;
}

static bool
answer_one(int fd)
{
	AUTOBUF struct buf in = {0}, out = {0};
	struct view v, name, body;
	uint8_t wire[4], type;
	uint32_t n;

	v = (struct view){wire, sizeof(wire)};
	if (io_read(fd, wire, sizeof(wire), -1) != AW_OK || !view_u32(&v, &n) ||
	    !buf_reserve(&in, n) || io_read(fd, in.data, n, -1) != AW_OK)
		return false;
	in.len = n;
	v = view_of(&in);
	if (!view_u8(&v, &type) || !view_string(&v, &name))
		return false;
	note(name, v);
	if (fake_agent_hears)
		fake_agent_hears(name, v);
	body = answer_to(name);
	if (!body.p) {
		buf_u32(&out, 1);
		buf_u8(&out, SSH_AGENT_FAILURE);
	} else {
		buf_u32(&out, 1 + 4 + name.n + body.n);
		buf_u8(&out, SSH_AGENT_EXTENSION_RESPONSE);
		buf_string(&out, name);
		buf_put(&out, body.p, body.n);
	}
	return io_write(fd, view_of(&out), -1) == AW_OK;
}

/* Nobody waits for anybody: each connection has a process. */
static void
serve(int listener)
{
	int fd;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if ((fd = accept(listener, NULL, NULL)) < 0)
			continue;
		agent.state->open++;
		if (fork() == 0) {
			while (answer_one(fd))
				continue;
			agent.state->open--;
			_exit(0);
		}
		close(fd);
	}
}

void
fake_agent_begin(const char *folder, const struct fake_answer *answers)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	agent.uid = geteuid();
	agent.state = failing_shared(sizeof(*agent.state));
	for (agent.n = 0; answers->name; answers++, agent.n++) {
		assert_true(agent.n < ROWS);
		agent.name[agent.n] = answers->name;
		msg_encode(answers->kind, answers->rep, &agent.body[agent.n]);
		assert_false(agent.body[agent.n].bad);
	}
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/agent.sock", folder);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 64), 0);
	setenv("AWSENV_SOCK", at.sun_path, 1);
	agent.pid = fork();
	assert_true(agent.pid >= 0);
	if (agent.pid == 0)
		serve(listener);
	close(listener);
}

/* Whoever asked before this is gone, and what it asked has been answered. */
static void
settle(void)
{
	AUTOBUF struct buf out = {0};
	int fd = -1;
	char byte;

	io_put_request(&out, "settle", (struct view){0});
	must(client_connect_to(getenv("AWSENV_SOCK"), agent.uid, &fd, -1) ==
	    AW_OK);
	must(io_write(fd, view_of(&out), -1) == AW_OK);
	must(io_read(fd, &byte, 1, -1) == AW_OK);
	close(fd);
	while (agent.state->open)
		usleep(50);
	agent.state->asked.n = 0;
	memset(agent.state->said, 0, sizeof(agent.state->said));
}

void
fake_agent_end(void)
{
	size_t i;

	kill(agent.pid, SIGKILL);
	waitpid(agent.pid, NULL, 0);
	unlink(getenv("AWSENV_SOCK"));
	unsetenv("AWSENV_SOCK");
	for (i = 0; i < agent.n; i++)
		buf_free(&agent.body[i]);
	munmap(agent.state, sizeof(*agent.state));
	agent.state = NULL;
}

const struct fake_asked *
fake_agent_asked(void)
{
	return &agent.state->asked;
}

/* ---- a verb */

static const struct verb_case *now_is;
static bool no_memory; /* is what fails */
static int out_fd = -1, err_fd = -1, our_err = -1;

static struct whole {
	char out[TEXT_MOST], err[TEXT_MOST];
} * whole; /* what it writes when nothing fails */

/* What it wrote there. */
static void
caught(int fd, char text[static TEXT_MOST])
{
	ssize_t n = pread(fd, text, TEXT_MOST - 1, 0);

	must(n >= 0);
	text[n] = '\0';
}

/* What follows the lines that it writes else, too. */
static const char *
news(const char *err)
{
	const char *same = whole->err, *end;
	size_t n;

	while ((end = strchr(err, '\n'))) {
		n = (size_t)(end + 1 - err);
		if (strncmp(err, same, n) != 0)
			break;
		err += n;
		same += n;
	}
	return err;
}

/* "awsenv: ...", and further lines are indented; a warning goes with any. */
static bool
is_one_message(const char *err)
{
	const char *p = strstr(err, "awsenv: "), *more;
	size_t n = strlen(err);

	more = p ? strstr(p, "\nawsenv: ") : NULL;
	return p && err[n - 1] == '\n' &&
	    (!more || !strncmp(more, "\nawsenv: WARNING", 16));
}

/* What the verb wants done at its end. */
static void (*at_end)(void);

int __wrap_atexit(void (*fn)(void));
int
__wrap_atexit(void (*fn)(void))
{
	must(!at_end);
	at_end = fn;
	return 0;
}

static char out[TEXT_MOST], err[TEXT_MOST];

const char *
verb_said(void)
{
	return err;
}

/* Where a call failed. */
static bool
is_well(int status)
{
	if (now_is->silent)
		return status == now_is->status &&
		    (!*out || !strcmp(out, whole->out)) &&
		    (!*err || !strcmp(err, whole->err));
	/* In words a name may be missing, or they cannot be written. */
	if (status == now_is->status && !strcmp(out, whole->out) &&
	    (*err || !*whole->err || !strcmp(failing_name(), "write")))
		return true;
	if (now_is->reports && strstr(out, now_is->reports))
		return true;
	return status > 0 &&
	    (now_is->several ? *news(err) : is_one_message(news(err))) &&
	    (!no_memory ||
		(strstr(news(err), "memory") &&
		    (status == EXIT_OTHER || status >= EXIT_OURS))) &&
	    strncmp(out, whole->out, strlen(out)) == 0;
}

static void
judge(int status)
{
	bool well;

	failing_rest();
	if (at_end)
		at_end();
	must(dup2(our_err, STDERR_FILENO) == STDERR_FILENO);
	close(our_err);
	caught(out_fd, out);
	caught(err_fd, err);
	close(out_fd);
	close(err_fd);
	well = failing_did() ? is_well(status) : status == now_is->status;
	if (!well)
		fprintf(stderr, "status %d, stdout '%s', stderr '%s'\n", status,
		    out, err);
	must(well);
	if (!failing_did()) {
		memcpy(whole->out, out, sizeof(out));
		memcpy(whole->err, err, sizeof(err));
	}
	if (now_is->after)
		now_is->after(status);
}

/* A verb that ends the process has leaked nothing. */
void __real_exit(int status) __attribute__((noreturn));
void __wrap_exit(int status) __attribute__((noreturn));
void
__wrap_exit(int status)
{
	if (!now_is)
		__real_exit(status);
	judge(status);
	must(status == EXIT_OTHER); /* which failing.c takes for an end */
	_exit(status);
}

static enum aw_err
try_it(void)
{
	static char *words[17]; /* kept: memcheck looks at the end, too */
	char **argv = words;
	struct options o = {.wait = -1};
	bool dashes = false;
	int status;
	size_t i;

	failing_rest();
	for (i = 0; now_is->words[i]; i++)
		words[i] = strdup(now_is->words[i]);
	ctl_options();
	must(options_take(&o, &argv, &dashes));
	agent_socket = o.socket;
	if (agent.state)
		settle();
	if (now_is->before)
		now_is->before();
	our_err = dup(STDERR_FILENO);
	out_fd = memfd_create("stdout", MFD_CLOEXEC);
	err_fd = memfd_create("stderr", MFD_CLOEXEC);
	must(dup2(out_fd, STDOUT_FILENO) == STDOUT_FILENO);
	must(dup2(err_fd, STDERR_FILENO) == STDERR_FILENO);
	failing_go();
	status = now_is->verb(&o, argv);
	judge(status);
	failing_go();
	/* A good one may well have another status. */
	return failing_did() && status != now_is->status ? AW_SYSTEM : AW_OK;
}

unsigned int
verb_fails(const struct verb_case *c, int with)
{
	unsigned int n;

	if (!whole)
		whole = failing_shared(sizeof(*whole));
	now_is = c;
	no_memory = with == ENOMEM;
	n = each_fails_apart(try_it, with, true);
	now_is = NULL;
	return n;
}

unsigned int
verb_fails_in_all_ways(const struct verb_case *c)
{
	static const int errors[] = {EIO, EMFILE, EINTR};
	unsigned int n = verb_fails(c, ENOMEM);
	size_t i;

	if (getenv("FAILING_FEW"))
		return n;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		verb_fails(c, errors[i]);
	return n;
}

/* ---- files */

const char *
text_of(const char *path)
{
	static char text[TEXT_MOST];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

void
text_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	must(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

unsigned int
files_in(const char *folder)
{
	unsigned int n = 0;
	DIR *d = opendir(folder);
	const struct dirent *e;

	must(d != NULL);
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}
