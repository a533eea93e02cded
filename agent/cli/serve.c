/* SPDX-License-Identifier: ISC */
/*
 * An endpoint for one command, as containers have it: its SDK asks it for
 * credentials whenever those that it has run short. It is a process of its own,
 * in no session nor group of the command's, holds nothing of the command's open
 * and ends with it. It keeps the last credentials, so that it has an answer
 * while the agent is busy getting new ones; to ask the agent it forks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "awsenv/io.h"
#include "awsenv/own.h"
#include "awsenv/peer.h"

#include "agent/cli/cli.h"

#define CLIENTS 16
#define BACKLOG 1024
#define HEAD_MS 2000 /* for a request to be there */
#define AGENT_MS 700 /* SDKs give up after a second or two */
#define TOKEN 32
#define WHO 160

struct client {
	int fd;	    /* -1: free */
	bool waits; /* for the agent; else its request is not whole yet */
	int64_t until;
	uint32_t n;
	uint8_t text[HTTP_MOST];
};

static struct serve {
	const struct options *options;
	int listener;
	int command; /* pidfd */
	char host[24];
	char token[2 * TOKEN + 1];
	char who[WHO];	  /* account and role of the command */
	struct buf creds; /* the answer */
	uint64_t expires;
	int agent; /* what the process that asks it says; -1: none does */
	pid_t asker;
	struct buf said;
	struct client clients[CLIENTS];
} s;

/* ---- the credentials */

static void
keep(struct view answer, uint64_t expires)
{
	buf_reset(&s.creds);
	buf_put(&s.creds, answer.p, answer.n);
	s.expires = s.creds.bad ? 0 : expires;
}

static bool
who(const struct given *g, char out[static WHO])
{
	return format(out, WHO, "account %.*s, role %.*s",
	    VIEW_ARG(g->rep.account), VIEW_ARG(g->rep.role));
}

/* In a process of its own: what it writes is either what a person should know,
 * or the answer, behind which stands when it expires. */
static enum aw_err
ask_agent(void)
{
	AUTOBUF struct buf out = {0};
	char they[WHO];
	struct given g;
	enum aw_err r;

	if ((r = creds_get(s.options, CREDS_AS_IS, &g)) != AW_OK)
		return r;
	/* What was begun in one account must not go on in another. */
	if (!who(&g, they) || strcmp(they, s.who) != 0) {
		warn("the configuration means %s now, and not %s any more; "
		     "start the command again",
		    shown_str(they), shown_str(s.who));
		return AW_CONFIG;
	}
	process_json(&out, &g, true);
	buf_u64(&out, g.creds.expires);
	return out.bad ? AW_NOMEM : io_write(STDOUT_FILENO, view_of(&out), -1);
}

static bool
ask_begin(void)
{
	int pair[2];

	if (s.agent >= 0)
		return true;
	if (syscall(SYS_pipe2, pair, O_CLOEXEC) != 0)
		return false;
	s.asker = child_fork(0);
	if (s.asker == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		dup2(pair[1], STDOUT_FILENO);
		dup2(pair[1], STDERR_FILENO);
		syscall(SYS_close_range, 3, ~0U, 0);
		_exit((int)ask_agent());
	}
	close(pair[1]);
	s.agent = pair[0];
	buf_reset(&s.said);
	return true;
}

/* Without them nothing is given any more: the agent, or AWS, says no. */
static bool
is_final(int status)
{
	return status == AW_DENIED || status == AW_AWS;
}

static void
ask_end(void)
{
	struct view v, tail;
	uint64_t expires = 0;
	int status = 0;
	uint32_t i;

	close(s.agent);
	s.agent = -1;
	while (waitpid(s.asker, &status, __WALL) < 0 && errno == EINTR)
		continue;
	status = WIFEXITED(status) ? WEXITSTATUS(status) : AW_GONE;
	if (is_final(status))
		keep((struct view){0}, 0);
	/* Half an answer is none, nor anything to show: it may be keys. */
	if (s.said.bad)
		buf_reset(&s.said);
	v = view_of(&s.said);
	if (status != AW_OK || v.n < 8)
		return;
	tail = (struct view){v.p + v.n - 8, 8};
	view_u64(&tail, &expires);
	v.n -= 8;
	for (i = v.n; i > 0 && v.p[i - 1] != '\n'; i--)
		continue;
	keep((struct view){v.p + i, v.n - i}, expires);
	buf_reset(&s.said);
}

/* ---- whoever asks */

static void
client_end(struct client *c)
{
	explicit_bzero(c->text, c->n);
	close(c->fd);
	c->fd = -1;
}

static void
client_answer(struct client *c, unsigned int status, struct view body)
{
	AUTOBUF struct buf out = {0};

	text_add(&out,
	    "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %u\r\nConnection: close\r\n\r\n",
	    status, status == 200 ? "OK" : "Refused", body.n);
	buf_put(&out, body.p, body.n);
	if (!out.bad)
		io_write(c->fd, view_of(&out), io_deadline(0));
	client_end(c);
}

/* SDKs show one pair of these members or the other, or the whole. */
static void
client_refuse(struct client *c, unsigned int status, struct view why)
{
	AUTOBUF struct buf out = {0};

	text_add(&out, "{\"code\": \"awsenv\", \"Code\": \"awsenv\"");
	json_name(&out, "message");
	json_string(&out, why);
	json_name(&out, "Message");
	json_string(&out, why);
	text_add(&out, "}\n");
	client_answer(c, status, view_of(&out));
}

/* What there is: while a person has to log in, or AWS is out of reach, the old
 * ones to their end. */
static void
client_give(struct client *c)
{
	struct view why = view_of(&s.said);

	if (s.expires > now())
		client_answer(c, 200, view_of(&s.creds));
	else if (s.agent >= 0 || !why.n)
		client_refuse(
		    c, 503, view_str("awsenv: no credentials yet; try again"));
	else
		client_refuse(c, 403, (struct view){why.p, why.n - 1});
}

static void
client_read(struct client *c)
{
	ssize_t n = read(c->fd, c->text + c->n, HTTP_MOST - c->n);
	const char *why = "awsenv: this endpoint is for one command";
	unsigned int status;
	uid_t uid;

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			client_end(c);
		return;
	}
	c->n += (uint32_t)n;
	status = http_judge((struct view){c->text, c->n}, s.host, s.token);
	if (status == 200 && !(peer_uid(c->fd, &uid) && uid == geteuid())) {
		status = 403;
		why = "awsenv: this endpoint is for one user; sudo needs "
		      "awsenv --env";
	}
	if (status == 200) {
		c->waits = true;
		c->until = io_deadline(AGENT_MS);
		if (!ask_begin())
			client_give(c);
	} else if (status) {
		client_refuse(c, status, view_str(why));
	}
}

/* A free place, or that of the one that has taken longest to say what it
 * wants. */
static struct client *
client_place(void)
{
	struct client *c, *oldest = NULL;

	for (c = s.clients; c < s.clients + CLIENTS; c++) {
		if (c->fd < 0)
			return c;
		if (!c->waits && (!oldest || c->until < oldest->until))
			oldest = c;
	}
	if (oldest)
		client_end(oldest);
	return oldest;
}

static void
client_accept(void)
{
	struct client *c = client_place();
	int fd;

	fd = accept4(s.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		/* Without a descriptor to be had it would be asked again at once. */
		if (errno != EAGAIN)
			poll(NULL, 0, 100);
		return;
	}
	if (!c) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->waits = false;
	c->until = io_deadline(HEAD_MS);
	c->n = 0;
	/* Mostly it is there by now. */
	client_read(c);
}

/* ---- the process */

enum { COMMAND, LISTENER, ASKER, FIRST, POLLED = FIRST + CLIENTS };

static int
next_deadline(void)
{
	int64_t t = io_deadline(0), least = -1;
	struct client *c;

	for (c = s.clients; c < s.clients + CLIENTS; c++) {
		if (c->fd >= 0 && (least < 0 || c->until < least))
			least = c->until;
	}
	return least < 0 ? -1 : least > t ? (int)(least - t) : 0;
}

static void
clients_serve(const struct pollfd *p)
{
	int64_t t = io_deadline(0);
	struct client *c;

	for (c = s.clients; c < s.clients + CLIENTS; c++, p++) {
		if (c->fd < 0)
			continue;
		if (p->revents && !c->waits)
			client_read(c);
		else if (p->revents)
			client_end(c);
		else if (c->waits && (s.agent < 0 || c->until <= t))
			client_give(c);
		else if (c->until <= t)
			client_end(c);
	}
}

/* True: the command has ended. */
static bool
turn(void)
{
	struct pollfd p[POLLED] = {
	    [COMMAND] = {s.command, POLLIN, 0},
	    [LISTENER] = {s.listener, POLLIN, 0},
	    [ASKER] = {s.agent, POLLIN, 0},
	};
	ssize_t n;
	int i;

	for (i = 0; i < CLIENTS; i++) {
		p[FIRST + i].fd = s.clients[i].fd;
		p[FIRST + i].events = s.clients[i].waits ? 0 : POLLIN;
	}
	/* What the command was given is not taken away before it ends. */
	if (poll(p, POLLED, next_deadline()) < 0)
		return errno != EINTR && poll(p, 1, 100) > 0;
	if (p[COMMAND].revents)
		return true;
	if (p[ASKER].revents) {
		n = buf_reserve(&s.said, 4096)
		    ? read(s.agent, s.said.data + s.said.len, 4096)
		    : -1;
		s.said.bad |= n < 0;
		if (n > 0)
			s.said.len += (size_t)n;
		else
			ask_end();
	}
	clients_serve(p + FIRST);
	if (p[LISTENER].revents)
		client_accept();
	return false;
}

/* The listener is the lower of the two descriptors. */
static void
be_server(void)
{
	int i, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned int low = (unsigned int)s.listener;
	unsigned int high = (unsigned int)s.command;

	for (i = 0; i <= 2; i++)
		dup2(null, i);
	syscall(SYS_close_range, 3, low - 1, 0);
	syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0U, 0);
	prctl(PR_SET_NAME, "awsenv-serve", 0, 0, 0);
	/* Whoever stops all of a service wants the command to end well. */
	signal(SIGTERM, SIG_IGN);
	for (i = 0; i < CLIENTS; i++)
		s.clients[i].fd = -1;
	while (!turn())
		continue;
	view_remove();
}

/* Nobody's child, so that the command's own wait(2) never hears of it. */
static bool
fork_server(void)
{
	pid_t pid = child_fork(0);
	int status = 0;

	if (pid == 0) {
		if (setsid() < 0 || (pid = child_fork(0)) < 0)
			_exit(1);
		if (pid == 0)
			be_server();
		_exit(0);
	}
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, __WALL) < 0) {
		if (errno != EINTR)
			return false;
	}
	return status == 0;
}

static bool
listen_here(void)
{
	struct sockaddr_in here = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(here);

	s.listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s.listener < 0 ||
	    bind(s.listener, (struct sockaddr *)&here, size) != 0 ||
	    listen(s.listener, BACKLOG) != 0 ||
	    getsockname(s.listener, (struct sockaddr *)&here, &size) != 0)
		return false;
	return format(
	    s.host, sizeof(s.host), "127.0.0.1:%u", ntohs(here.sin_port));
}

static bool
token_make(void)
{
	uint8_t random[TOKEN];
	int i;

	if (getrandom(random, TOKEN, 0) != TOKEN)
		return false;
	for (i = 0; i < TOKEN; i++)
		format(s.token + 2 * i, 3, "%02x", random[i]);
	return true;
}

enum aw_err
serve_begin(
    const struct options *o, const struct given *g, struct buf *environment)
{
	AUTOBUF struct buf answer = {0};
	enum aw_err r = view_make(environment);

	if (r != AW_OK) {
		view_remove(); /* of the other file */
		return r;
	}
	s.options = o;
	s.agent = -1;
	process_json(&answer, g, true);
	keep(view_of(&answer), answer.bad ? 0 : g->creds.expires);
	if (!listen_here() || !token_make() || !who(g, s.who) ||
	    access("/proc/net/tcp", R_OK) != 0 ||
	    (s.command = (int)syscall(SYS_pidfd_open, getpid(), 0)) < 0 ||
	    !fork_server()) {
		warn("cannot serve credentials on 127.0.0.1: %s", errno_text());
		view_remove();
		return AW_SYSTEM;
	}
	text_add(environment,
	    "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://%s" HTTP_PATH "%c"
	    "AWS_CONTAINER_AUTHORIZATION_TOKEN=%s%c",
	    s.host, 0, s.token, 0);
	return AW_OK;
}
