/* SPDX-License-Identifier: ISC */
/*
 * The spawner: forked from the supervisor before the ring is joined, it has no
 * secret and no filter, and execs awsenv-profile and awsenv-fetch for the
 * broker. Filters pass through exec: the broker could start nothing that may
 * do more than itself. For the same reason it looks into /proc for the broker,
 * and writes to the journal what that noted. Reads nothing but struct link and
 * the lines of audit.h.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/log.h"
#include "awsenv/own.h"

#define PROGRAMS_MAX 64
#define CONNECTS_MAX 64 /* upstream.c */
#define CLOSE_MOST 65536
#define SEND_MS 1000
#define JOURNAL "/run/systemd/journal/socket"

struct started {
	pid_t pid;
	const char *path; /* NULL: of us ourselves, without an exec */
};

static struct {
	struct agent *agent;
	int supervisor;
	int broker;
	struct started programs[PROGRAMS_MAX];
	unsigned int nprograms;
	struct started connects[CONNECTS_MAX]; /* these end by themselves */
	unsigned int nconnects;
	struct sessions sessions;
	struct journal journal;
} spawner;

static void
close_all(unsigned int first, unsigned int last)
{
	unsigned int fd;

	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	/* Filters of containers may not know it. */
	for (fd = first; fd <= last && fd < CLOSE_MOST; fd++)
		close((int)fd);
}

void
close_others(int keep)
{
	close_all(3, (unsigned int)keep - 1);
	close_all((unsigned int)keep + 1, ~0u);
}

static char *
program_path(uint32_t program)
{
	switch (program) {
	case PROGRAM_PROFILE:
		return spawner.agent->profile_path;
	case PROGRAM_FETCH:
		return spawner.agent->fetch_path;
	default:
		return NULL;
	}
}

/* 0, or an errno. *fd is the other end of the program's link. */
static int
start(uint32_t program, int *fd, pid_t *pid)
{
	static char lang[] = "LANG=C", dirs[] = "PATH=/usr/bin:/bin";
	char *env[] = {spawner.agent->home, lang, dirs, NULL};
	char *path = program_path(program);
	int pair[2], error;

	if (!path)
		return EINVAL;
	if (spawner.nprograms == PROGRAMS_MAX)
		return EAGAIN;
	if (link_pair(pair) != 0)
		return errno;
	error = exec_start(path, env, pair[1], false, pid);
	close(pair[1]);
	if (error) {
		close(pair[0]);
		return error;
	}
	spawner.programs[spawner.nprograms++] = (struct started){*pid, path};
	*fd = pair[0];
	return 0;
}

/* What it was; nothing if it is none of these. */
static struct started
forget(struct started *all, unsigned int *n, pid_t pid)
{
	struct started it = {0};
	unsigned int i;

	for (i = 0; i < *n; i++) {
		if (all[i].pid == pid) {
			it = all[i];
			all[i] = all[--*n];
			break;
		}
	}
	return it;
}

static enum aw_err
tell(int fd, const struct link *l)
{
	int64_t deadline = io_deadline(SEND_MS);
	enum aw_err r;

	while ((r = link_send(fd, l)) == AW_BUSY) {
		if (io_wait(fd, POLLOUT, deadline) != AW_OK)
			return AW_BUSY;
	}
	return r;
}

/*
 * The supervisor hears of it first, so that the program's link outlives a
 * broker that dies on the way. A program that no broker knows of would wait
 * for its request for ever.
 */
static void
on_spawn(const struct link *asked)
{
	struct link l = {.type = LINK_SPAWNED, .program = asked->program};
	AUTOCLOSE int fd = -1;
	pid_t pid = 0;

	memcpy(l.tag, asked->tag, sizeof(l.tag));
	l.error = start(asked->program, &fd, &pid);
	if (l.error) {
		log_warn("cannot start program %u: %s", asked->program,
		    strerror(l.error));
		l.type = LINK_FAILED;
		tell(spawner.broker, &l);
		return;
	}
	l.pid = pid;
	l.fds[0] = fd;
	l.nfds = 1;
	if (tell(spawner.supervisor, &l) == AW_OK &&
	    tell(spawner.broker, &l) == AW_OK)
		return;
	kill(pid, SIGKILL);
	forget(spawner.programs, &spawner.nprograms, pid);
	l.type = LINK_OVER;
	l.nfds = 0;
	tell(spawner.supervisor, &l);
	/* A broker that lives, but whose descriptors in flight are used up by
	 * another program of the user, must not wait for this one. */
	l.type = LINK_FAILED;
	l.error = EAGAIN;
	tell(spawner.broker, &l);
}

static void
on_look(const struct link *asked)
{
	struct link l = {.type = LINK_SEEN, .pid = asked->pid};

	memcpy(l.tag, asked->tag, sizeof(l.tag));
	look_at_process(asked->pid, asked->flags, &l.seen);
	if (l.seen.flags & SEEN_BINDS && look_waits(asked->pid, asked->inode))
		l.seen.flags |= SEEN_WAITS;
	tell(spawner.broker, &l);
}

/* A broker that does not hear of it waits no longer than it likes to. */
static void
on_upstream(const struct link *asked)
{
	struct link l = {.type = LINK_UPSTREAM_IS, .error = AW_BUSY};
	pid_t pid = -1;

	if (spawner.nconnects < CONNECTS_MAX)
		pid = upstream_start(spawner.agent, asked, spawner.broker);
	if (pid > 0) {
		spawner.connects[spawner.nconnects++] =
		    (struct started){.pid = pid};
		return;
	}
	memcpy(l.tag, asked->tag, sizeof(l.tag));
	tell(spawner.broker, &l);
}

static void
read_broker(void)
{
	bool news = false;
	struct link l;
	enum aw_err r;

	while ((r = link_recv(spawner.broker, &l)) == AW_OK) {
		while (l.nfds > 0)
			close(l.fds[--l.nfds]);
		if (l.type == LINK_SPAWN)
			on_spawn(&l);
		else if (l.type == LINK_LOOK)
			on_look(&l);
		else if (l.type == LINK_AUDIT)
			news = true;
		else if (l.type == LINK_UPSTREAM)
			on_upstream(&l);
	}
	if (news)
		journal_write(&spawner.journal);
	if (r == AW_BUSY)
		return;
	close(spawner.broker);
	spawner.broker = -1;
}

static _Noreturn void
end(void)
{
	unsigned int i;

	for (i = 0; i < spawner.nprograms; i++)
		kill(spawner.programs[i].pid, SIGTERM);
	_exit(0);
}

static void
read_supervisor(void)
{
	struct link l;
	enum aw_err r;

	while ((r = link_recv(spawner.supervisor, &l)) == AW_OK) {
		if (l.type == LINK_END)
			end();
		if (l.type == LINK_BROKER && l.nfds == 1) {
			if (spawner.broker >= 0)
				close(spawner.broker);
			spawner.broker = l.fds[0];
			l.nfds = 0;
		}
		while (l.nfds > 0)
			close(l.fds[--l.nfds]);
	}
	/* It re-executes itself, or it was killed: the programs see the latter
	 * by their links, and go on in the former. */
	if (r != AW_BUSY)
		_exit(0);
}

static void
reap(int signals)
{
	struct signalfd_siginfo info;
	struct started it;
	int status;
	pid_t pid;

	while (read(signals, &info, sizeof(info)) == sizeof(info))
		continue;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		it = forget(spawner.programs, &spawner.nprograms, pid);
		/* The broker starts another one, so nobody else would tell. */
		if (it.path && WIFSIGNALED(status))
			log_warn("%s %d was killed by signal %d", it.path,
			    (int)pid, WTERMSIG(status));
		forget(spawner.connects, &spawner.nconnects, pid);
	}
}

static void
tell_sessions(void)
{
	struct link l = {.type = LINK_ALONE};
	enum sessions_end end = sessions_ended(&spawner.sessions);

	if (end == SESSIONS_GO_ON)
		return;
	if (end == SESSIONS_OVER)
		l.type = LINK_ALONE_STILL;
	tell(spawner.supervisor, &l);
}

static void
to_null(void)
{
	AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fd;

	for (fd = 0; fd <= 2; fd++) {
		if (null < 0 || dup2(null, fd) < 0)
			_exit(1);
	}
}

static int
take_signals(void)
{
	sigset_t chld;

	/* The terminal's are for the supervisor to decide on. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_SETMASK, &chld, NULL);
	return signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int
wait_ms(void)
{
	int a = sessions_wait_ms(&spawner.sessions);
	int b = journal_wait_ms(&spawner.journal);

	return a < 0 || (b >= 0 && b < a) ? b : a;
}

_Noreturn void
spawner_run(struct agent *a, int link)
{
	const struct link ready = {.type = LINK_START};
	struct pollfd p[5] = {{0}};
	struct audit *lines = audit_map(a->audit);
	struct journal *j = &spawner.journal;
	int signals;

	prctl(PR_SET_NAME, "awsenv-spawner");
	if (!lines)
		fatal("mmap");
	log_close(); /* else its descriptor would be taken for another */
	close_others(link);
	if (!a->foreground)
		to_null();
	/* What it starts has no key of the user's either. */
	if (!ring_leave(&a->ring))
		fatal("the spawner cannot have a keyring of its own");
	if ((signals = take_signals()) < 0)
		fatal("signalfd");
	spawner.agent = a;
	spawner.supervisor = link;
	spawner.broker = -1;
	sessions_open(&spawner.sessions);
	journal_open(j, lines, JOURNAL, _PATH_LOG);
	if (tell(link, &ready) != AW_OK)
		fatalx("the supervisor does not hear the spawner");
	for (;;) {
		p[0] = (struct pollfd){spawner.supervisor, POLLIN, 0};
		p[1] = (struct pollfd){signals, POLLIN, 0};
		p[2] = (struct pollfd){spawner.broker, POLLIN, 0};
		p[3] = (struct pollfd){spawner.sessions.fd, POLLIN, 0};
		p[4] = (struct pollfd){j->full ? j->fd : -1, POLLOUT, 0};
		if (poll(p, 5, wait_ms()) < 0 && errno != EINTR)
			fatal("poll");
		reap(signals);
		sessions_read(&spawner.sessions);
		tell_sessions();
		if (spawner.broker >= 0 && p[2].revents)
			read_broker();
		if (p[4].revents || journal_wait_ms(j) == 0)
			journal_write(j);
		read_supervisor();
	}
}
