// SPDX-License-Identifier: ISC
/*
 * What the bench needs to do fast: start processes in pairs, ask the agent
 * and a bare echo in turn, ask over many connections. Prints nanoseconds, one
 * measurement on a line, and judges nothing; tests/bench/run makes the table.
 * With pairs and turns the first line is none: cold times; sizes in bytes.
 *
 *	load pairs N PROGRAM... : PROGRAM...
 *	load echo SOCKET plain|poll		(serves until killed)
 *	load turns N SOCKET ECHO CONFIG PROFILE
 *	load twins N SOCKET SOCKET CONFIG PROFILE
 *	load rate SECONDS CONNECTIONS SOCKET CONFIG PROFILE
 *	load burst CLIENTS SOCKET CONFIG PROFILE
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "awsenv/buf.h"
#include "awsenv/client.h"
#include "awsenv/io.h"
#include "awsenv/msg.h"

extern char **environ;

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- processes */

static uint64_t
spawn_ns(char **argv)
{
	posix_spawn_file_actions_t files;
	uint64_t begun;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	begun = now_ns();
	if ((errno = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ)))
		err(1, "%s", argv[0]);
	if (waitpid(pid, &status, 0) == -1)
		err(1, "waitpid");
	begun = now_ns() - begun;
	if (status != 0)
		errx(1, "%s: wait status %d", argv[0], status);
	posix_spawn_file_actions_destroy(&files);
	return begun;
}

/* Each pair in the other order than the one before it. */
static void
run_pairs(long n, char **a)
{
	char **b = a;
	uint64_t x, y;

	while (*b != NULL && strcmp(*b, ":") != 0)
		b++;
	if (*b == NULL || b[1] == NULL)
		errx(2, "pairs: two programs");
	*b++ = NULL;
	x = spawn_ns(a);
	y = spawn_ns(b);
	printf("%llu %llu\n", (unsigned long long)x, (unsigned long long)y);
	for (long i = 0; i < n; i++) {
		if (i % 2 == 0) {
			x = spawn_ns(a);
			y = spawn_ns(b);
		} else {
			y = spawn_ns(b);
			x = spawn_ns(a);
		}
		printf("%llu %llu\n", (unsigned long long)x,
		    (unsigned long long)y);
	}
}

/* ---- frames */

/* What of the environment a login is bound to: what the run has set. */
static struct view
login_environment(void)
{
	static struct buf list;

	buf_reset(&list);
	for (char **e = environ; *e != NULL; e++)
		if (strncmp(*e, "AWS_ENDPOINT_URL", 16) == 0 ||
		    strncmp(*e, "AWS_CA_BUNDLE=", 14) == 0)
			buf_put(&list, *e, strlen(*e) + 1);
	return view_of(&list);
}

static struct view
creds_request(struct buf *b, const char *config, const char *profile)
{
	static struct buf body;
	struct creds_req req = {0};
	struct stat st;

	req.ask.config = view_str(config);
	req.ask.profile = view_str(profile);
	if (stat(config, &st) == -1)
		err(1, "%s", config);
	req.ask.stamp = (struct stamp){.dev = st.st_dev,
	    .ino = st.st_ino,
	    .size = (uint64_t)st.st_size,
	    .mtime = (uint64_t)st.st_mtim.tv_sec * 1000000000u +
		(uint64_t)st.st_mtim.tv_nsec};
	req.ask.env = login_environment();
	buf_reset(&body);
	msg_encode(MSG_CREDS_REQ, &req, &body);
	io_put_request(b, "creds@awsenv", view_of(&body));
	if (body.bad || b->bad)
		errx(1, "no memory");
	return view_of(b);
}

static int
dial(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		errx(1, "%s: too long", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if ((fd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1)
		err(1, "socket");
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1)
		if (errno != EAGAIN && errno != EINTR)
			err(1, "%s", path);
	return fd;
}

static void
put(int fd, struct view v)
{
	ssize_t n;

	while (v.n > 0) {
		if ((n = write(fd, v.p, v.n)) <= 0)
			err(1, "write");
		v.p += n;
		v.n -= (uint32_t)n;
	}
}

/* One frame, in as few reads as it comes; false at the end of the stream. */
static bool
get(int fd, struct buf *frame)
{
	struct view v;
	uint32_t want = 4;
	ssize_t n;

	buf_reset(frame);
	while (frame->len < want) {
		if (!buf_reserve(frame, 16384))
			errx(1, "frame too long");
		n = read(fd, frame->data + frame->len, 16384);
		if (n <= 0)
			return false;
		frame->len += (size_t)n;
		v = view_of(frame);
		if (frame->len >= 4 && view_u32(&v, &want))
			want += 4;
	}
	return true;
}

/* A reply must be one with credentials in it, or the figures are of errors. */
static void
check_reply(const struct buf *frame)
{
	struct view v = view_of(frame), name;
	struct creds_rep rep;
	uint32_t len;
	uint8_t type;

	if (!view_u32(&v, &len) || !view_u8(&v, &type) ||
	    type != SSH_AGENT_EXTENSION_RESPONSE || !view_string(&v, &name) ||
	    !msg_decode(MSG_CREDS_REP, v, &rep))
		errx(1, "not a reply to creds@awsenv");
	if (rep.error != AW_OK)
		errx(1, "the agent says: %.*s", VIEW_ARG(rep.text));
}

/* ---- the bare echo: a request names the size of its reply */

static bool
echo_one(int fd, struct buf *b)
{
	static uint8_t reply[BUF_MAX];
	struct view v;
	uint32_t len, size;

	if (!get(fd, b))
		return false;
	v = view_of(b);
	if (!view_u32(&v, &len) || !view_u32(&v, &size) || size > BUF_MAX)
		errx(1, "echo: bad request");
	reply[0] = (uint8_t)((size - 4) >> 24);
	reply[1] = (uint8_t)((size - 4) >> 16);
	reply[2] = (uint8_t)((size - 4) >> 8);
	reply[3] = (uint8_t)(size - 4);
	put(fd, (struct view){reply, size});
	return true;
}

static void
serve_echo(const char *path, bool polls)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct buf b = {0};
	struct pollfd p;
	int fd, l;

	if (strlen(path) >= sizeof(addr.sun_path))
		errx(1, "%s: too long", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if ((l = socket(AF_UNIX, SOCK_STREAM, 0)) == -1 ||
	    bind(l, (struct sockaddr *)&addr, sizeof(addr)) == -1 ||
	    listen(l, 8) == -1)
		err(1, "%s", path);
	for (;;) {
		if ((fd = accept(l, NULL, NULL)) == -1)
			err(1, "accept");
		p = (struct pollfd){.fd = fd, .events = POLLIN};
		do
			if (polls && poll(&p, 1, -1) == -1)
				err(1, "poll");
		while (echo_one(fd, &b));
		close(fd);
	}
}

/* From before the request to the whole reply. */
static uint64_t
turn_ns(int fd, struct view ask, struct buf *frame)
{
	uint64_t begun = now_ns();

	put(fd, ask);
	if (!get(fd, frame))
		errx(1, "it hung up");
	return now_ns() - begun;
}

/*
 * One request to the agent and one of the same sizes to the echo, or to the
 * agent's twin, then both in the other order: what one of them does after its
 * reply is at the other's cost as often. A line is the mean of the two.
 */
static void
run_turns(long n, char **arg, bool twins)
{
	struct buf request = {0}, frame = {0}, same = {0};
	int agent = dial(arg[0]), echo = dial(arg[1]);
	struct view ask = creds_request(&request, arg[2], arg[3]);
	uint64_t ours, theirs;

	turn_ns(agent, ask, &frame);
	check_reply(&frame);
	if (twins) {
		buf_put(&same, ask.p, ask.n);
	} else {
		buf_u32(&same, ask.n - 4);
		buf_u32(&same, (uint32_t)frame.len);
	}
	while (same.len < ask.n)
		buf_u8(&same, 0);
	printf("%u %zu\n", ask.n, frame.len);
	for (long i = 0; i < n; i++) {
		ours = turn_ns(agent, ask, &frame);
		check_reply(&frame);
		theirs = turn_ns(echo, view_of(&same), &frame);
		theirs += turn_ns(echo, view_of(&same), &frame);
		ours += turn_ns(agent, ask, &frame);
		check_reply(&frame);
		printf("%llu %llu\n", (unsigned long long)ours / 2,
		    (unsigned long long)theirs / 2);
	}
}

/* ---- many connections */

static void
run_rate(double seconds, int conns, char **arg)
{
	struct buf request = {0};
	struct view ask = creds_request(&request, arg[1], arg[2]);
	struct pollfd *p = calloc((size_t)conns, sizeof(*p));
	struct buf frame = {0};
	uint64_t begun, end, done = 0;

	if (p == NULL)
		err(1, "calloc");
	for (int i = 0; i < conns; i++) {
		p[i] = (struct pollfd){.fd = dial(arg[0]), .events = POLLIN};
		put(p[i].fd, ask);
	}
	begun = now_ns();
	end = begun + (uint64_t)(seconds * 1e9);
	while (now_ns() < end) {
		if (poll(p, (nfds_t)conns, 1000) <= 0)
			errx(1, "the agent does not answer");
		for (int i = 0; i < conns; i++) {
			if (p[i].revents == 0)
				continue;
			if (!get(p[i].fd, &frame))
				errx(1, "the agent hung up");
			check_reply(&frame);
			put(p[i].fd, ask);
			done++;
		}
	}
	printf("%.0f\n", (double)done * 1e9 / (double)(now_ns() - begun));
}

/* All connect at once and ask once; from before connect to the whole reply. */
static void
run_burst(int clients, char **arg)
{
	struct rlimit lim = {(rlim_t)clients + 64, (rlim_t)clients + 64};
	struct buf request = {0};
	struct view ask = creds_request(&request, arg[1], arg[2]);
	struct pollfd *p = calloc((size_t)clients, sizeof(*p));
	uint64_t *asked = calloc((size_t)clients, sizeof(*asked));
	struct buf frame = {0};
	int left = clients;

	if (p == NULL || asked == NULL)
		err(1, "calloc");
	if (setrlimit(RLIMIT_NOFILE, &lim) == -1)
		err(1, "%d descriptors", clients);
	for (int i = 0; i < clients; i++) {
		asked[i] = now_ns();
		p[i] = (struct pollfd){.fd = dial(arg[0]), .events = POLLIN};
		put(p[i].fd, ask);
	}
	while (left > 0) {
		if (poll(p, (nfds_t)clients, 10000) <= 0)
			errx(1, "%d clients have no answer", left);
		for (int i = 0; i < clients; i++) {
			if (p[i].fd == -1 || p[i].revents == 0)
				continue;
			if (!get(p[i].fd, &frame))
				errx(1, "the agent hung up");
			printf("%llu\n",
			    (unsigned long long)(now_ns() - asked[i]));
			check_reply(&frame);
			close(p[i].fd);
			p[i].fd = -1;
			left--;
		}
	}
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (strcmp(what, "pairs") == 0 && argc > 5)
		run_pairs(strtol(argv[2], NULL, 10), argv + 3);
	else if (strcmp(what, "echo") == 0 && argc == 4)
		serve_echo(argv[2], strcmp(argv[3], "poll") == 0);
	else if (strcmp(what, "turns") == 0 && argc == 7)
		run_turns(strtol(argv[2], NULL, 10), argv + 3, false);
	else if (strcmp(what, "twins") == 0 && argc == 7)
		run_turns(strtol(argv[2], NULL, 10), argv + 3, true);
	else if (strcmp(what, "rate") == 0 && argc == 7)
		run_rate(strtod(argv[2], NULL), (int)strtol(argv[3], NULL, 10),
		    argv + 4);
	else if (strcmp(what, "burst") == 0 && argc == 6)
		run_burst((int)strtol(argv[2], NULL, 10), argv + 3);
	else
		errx(2, "see the top of tests/bench/load.c");
	return 0;
}
