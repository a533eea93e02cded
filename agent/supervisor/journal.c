/* SPDX-License-Identifier: ISC */
/*
 * Brings the lines of audit.h to the journal, or where there is none to syslog,
 * from the spawner, without ever waiting for it: a line that is not taken stays
 * where it is until there is room, and the broker does not notice. What was
 * written anew before the journal had it is counted, and that is a line too.
 */
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "awsenv/audit.h"
#include "awsenv/own.h"

#define AGAIN_MS 500
#define FACILITY 10 /* authpriv */
#define INFO 6
#define NOTICE 5
/* For who looks for these lines alone; awsenv-agent(1) has it. */
#define MESSAGE_ID "7f0d4f6a0d5c4f0c9be29dcd4d3f0a51"

#define N(array) (sizeof(array) / sizeof(*(array)))

void
journal_open(struct journal *j, struct audit *lines, const char *native,
    const char *syslog)
{
	*j = (struct journal){
	    .lines = lines,
	    .paths = {native, syslog},
	    .fd = -1,
	};
}

static void
disconnect(struct journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
	j->full = false;
}

static bool
connect_to(struct journal *j, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTOCLOSE int fd =
	    socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		return false;
	j->fd = STEAL_FD(fd);
	return true;
}

/* Or is there none just now, for want of memory or of descriptors? */
static bool
is_nobody(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ECONNREFUSED ||
	    error == EACCES || error == EPERM || error == EPROTOTYPE;
}

/* False with *nobody: nothing collects lines here. */
static bool
connected(struct journal *j, bool *nobody)
{
	size_t i;

	*nobody = true;
	if (j->fd >= 0)
		return true;
	for (i = 0; i < N(j->paths); i++) {
		if (!connect_to(j, j->paths[i])) {
			*nobody &= is_nobody(errno);
			continue;
		}
		j->native = i == 0;
		j->was_there = true;
		return true;
	}
	return false;
}

/* ---- words ---- */

static const char *
or_dash(const char *s)
{
	return *s ? s : "-";
}

static void
sentence(const struct audit_line *l, char out[static 512])
{
	char who[200], what[200];

	snprintf(who, sizeof(who), "%s pid %d (%s)%s%s", or_dash(l->origin),
	    (int)l->pid, or_dash(l->program), *l->host ? ", host " : "",
	    l->host);
	snprintf(what, sizeof(what), "%s (account %s, role %s)",
	    or_dash(l->profile), or_dash(l->account), or_dash(l->role));
	if (l->error == AW_OK)
		snprintf(out, 512, "gave %s of %s to %s", or_dash(l->key), what,
		    who);
	else
		snprintf(out, 512, "refused %s for %s to %s: %s", l->request,
		    what, who, aw_strerror((enum aw_err)l->error));
}

/* The fields that a reader of the journal can ask for. */
static size_t
native_text(
    const struct audit_line *l, const char *message, char *out, size_t size)
{
	int n = snprintf(out, size,
	    "MESSAGE=%s\nMESSAGE_ID=" MESSAGE_ID "\nPRIORITY=%d\n"
	    "SYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=awsenv\nAWSENV_EVENT=%s\n"
	    "AWSENV_TIME=%llu\nAWSENV_REQUEST=%s\nAWSENV_PROFILE=%s\n"
	    "AWSENV_ACCOUNT=%s\nAWSENV_ROLE=%s\nAWSENV_ACCESS_KEY_ID=%s\n"
	    "AWSENV_ORIGIN=%s\nAWSENV_PID=%d\nAWSENV_PROGRAM=%s\n"
	    "AWSENV_HOST_KEY=%s\nAWSENV_CLAIMED_HOPS=%s\nAWSENV_ERROR=%u\n",
	    message, l->error ? NOTICE : INFO, FACILITY,
	    l->error ? "refused" : "gave", (unsigned long long)l->time,
	    l->request, l->profile, l->account, l->role, l->key, l->origin,
	    (int)l->pid, l->program, l->host, l->hops, l->error);

	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static size_t
syslog_text(int priority, const char *message, char *out, size_t size)
{
	time_t now = time(NULL);
	char stamp[32] = "";
	struct tm tm;
	int n;

	if (localtime_r(&now, &tm))
		strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
	n = snprintf(out, size, "<%d>%s awsenv[%d]: %s",
	    FACILITY * 8 + priority, stamp, (int)getpid(), message);
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* Syslog has no fields: what the sentence does not say follows it. */
static size_t
line_text(
    const struct journal *j, const struct audit_line *l, char *out, size_t size)
{
	char message[512], longer[800];

	sentence(l, message);
	if (j->native)
		return native_text(l, message, out, size);
	snprintf(longer, sizeof(longer), "%s%s%s", message,
	    *l->hops ? "; claimed hops: " : "", l->hops);
	return syslog_text(l->error ? NOTICE : INFO, longer, out, size);
}

static size_t
lost_text(const struct journal *j, char *out, size_t size)
{
	char message[96];
	int n;

	snprintf(message, sizeof(message),
	    "%llu lines lost: the journal did not take them in time",
	    (unsigned long long)j->lost);
	if (!j->native)
		return syslog_text(NOTICE, message, out, size);
	n = snprintf(out, size,
	    "MESSAGE=%s\nMESSAGE_ID=" MESSAGE_ID "\nPRIORITY=%d\n"
	    "SYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=awsenv\n"
	    "AWSENV_EVENT=lost\nAWSENV_LOST=%llu\n",
	    message, NOTICE, FACILITY, (unsigned long long)j->lost);
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* ---- writing ---- */

/* False: not now. One that can never be sent counts as lost. */
static bool
put(struct journal *j, const char *text, size_t n, bool *taken)
{
	*taken = n && send(j->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
	if (*taken || n == 0 || errno == EMSGSIZE)
		return true;
	if (errno == EAGAIN) {
		j->full = true;
		return false;
	}
	if (errno == EINTR || errno == ENOBUFS)
		j->due = child_clock() + AGAIN_MS;
	else
		disconnect(j); /* it ended; another may be there */
	return false;
}

static bool
put_lost(struct journal *j)
{
	char text[512];
	bool taken;

	if (!put(j, text, lost_text(j, text, sizeof(text)), &taken))
		return false;
	j->lost = 0;
	return true;
}

static bool
put_line(struct journal *j, uint64_t number)
{
	struct audit_line l;
	char text[2048];
	bool taken = false;

	if (audit_get(j->lines, number, &l) &&
	    !put(j, text, line_text(j, &l, text, sizeof(text)), &taken))
		return false;
	j->lost += !taken;
	return true;
}

/* At once, whether the journal takes lines or not: programs end. */
static void
look_at_peers(struct journal *j, uint64_t from, uint64_t next)
{
	char program[sizeof(((struct audit_line *)0)->program)];
	struct audit_line l;
	int32_t pid = 0;

	if (j->looked < from)
		j->looked = from;
	for (; j->looked < next; j->looked++) {
		if (!audit_get(j->lines, j->looked, &l) || *l.program ||
		    l.pid <= 0)
			continue;
		/* Many lines in a row are mostly one program's. */
		if (l.pid != pid)
			look_at_program(l.pid, program, sizeof(program));
		pid = l.pid;
		audit_program(j->lines, j->looked, program);
	}
}

/* What the shared memory says is not believed: at most all lines are tried. */
void
journal_write(struct journal *j)
{
	uint64_t next = audit_next(j->lines), n = audit_written(j->lines);
	uint64_t first = next > AUDIT_LINES ? next - AUDIT_LINES : 1;
	bool nobody;

	j->due = 0;
	j->full = false;
	if (n > next)
		n = first;
	if (n < first) {
		j->lost += first - n;
		n = first;
	}
	look_at_peers(j, n, next);
	if (!connected(j, &nobody) && nobody && !j->was_there) {
		n = next;
		j->lost = 0;
	}
	while (j->fd >= 0 && (n < next || j->lost)) {
		if (j->lost) {
			if (!put_lost(j))
				break;
		} else if (put_line(j, n)) {
			n++;
		} else {
			break;
		}
	}
	if (j->fd < 0 && (n < next || j->lost))
		j->due = child_clock() + AGAIN_MS;
	audit_set_written(j->lines, n);
}

int
journal_wait_ms(const struct journal *j)
{
	int64_t wait = j->due - child_clock();

	if (!j->due)
		return -1;
	return wait > 0 ? (int)wait : 0;
}
