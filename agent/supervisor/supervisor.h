/* SPDX-License-Identifier: ISC */
/*
 * The supervisor's rooms, grouped by file. main -> agent -> child ->
 * {spawner, ring}; the others stand alone. It possesses the keyring and keeps
 * what must outlive a broker, so it reads nothing from outside but struct link.
 */
#ifndef AWSENV_SUPERVISOR_H
#define AWSENV_SUPERVISOR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "awsenv/audit.h"
#include "awsenv/client.h"
#include "awsenv/err.h"
#include "awsenv/link.h"

#define LISTENERS_MAX 24
#define JOBS_MAX 128

struct listener {
	char name[32]; /* "agent", "forward", "remote", "forward-..." */
	int fd;
	char path[CLIENT_PATH]; /* to unlink at the end; empty: not ours */
	uint64_t dev, ino;	/* of what we bound there */
};

/* A one-shot program's link, kept for the next broker. */
struct job {
	int32_t pid;
	int fd;
	uint8_t tag[LINK_TAG];
};

struct ring {
	int32_t session;
	int32_t serial;
	int vault; /* memfd: what a key in the ring seals, see ring_make() */
};

/* A process of ours that is started again when it ends. */
struct child {
	pid_t pid; /* 0: does not run */
	int link;
	int64_t began;	/* CLOCK_MONOTONIC, milliseconds */
	int64_t due;	/* not to be started before */
	uint32_t quick; /* how often in a row it ended soon after its start */
};

struct agent {
	/* what a re-execution hands over */
	struct listener listeners[LISTENERS_MAX];
	unsigned int nlisteners;
	struct job jobs[JOBS_MAX];
	unsigned int njobs;
	struct ring ring;
	uint64_t started;
	uint32_t restarts;
	uint32_t lifetime;
	/* of the environment that we were started in; both may be empty */
	char ssh_agent[CLIENT_PATH]; /* SSH_AUTH_SOCK */
	char runtime[CLIENT_PATH];   /* XDG_RUNTIME_DIR */
	bool foreground;
	bool debug;
	int lock;
	bool transient;	  /* ends when the user has no session left */
	bool logout_last; /* its logins do */
	int command;	  /* pidfd of the process that we end with, or -1 */
	int audit;	  /* memory of audit.h */
	/* what is found out anew */
	char before[32]; /* version that we were before a re-execution */
	char self[PATH_MAX];
	char broker_path[PATH_MAX];
	char profile_path[PATH_MAX];
	char fetch_path[PATH_MAX];
	char home[PATH_MAX + 8]; /* "HOME=..." */
	bool protected;
	struct child broker;
	struct child spawner;
	bool greeted;  /* the broker has all that it is to have */
	uint32_t owed; /* 1 << LINK_..., what a broker has not done yet */
	bool alone;    /* no session is left */
	bool stale;    /* the broker on disk is of another version than we */
	int signals;
};

/* options.c: the command line, as ssh-agent has it. */
struct options {
	const char *bind;
	bool csh;
	bool foreground;
	bool debug;
	bool stop;
	uint32_t lifetime;
	int resume;	/* descriptor of a state, or -1 */
	char **command; /* NULL: none */
};

/* false: a usage error was printed. */
bool options_parse(int argc, char **argv, struct options *);

/* output.c: what a shell is to eval. pid 0: not known, not said. */
void output_set(bool csh, const char *path, pid_t);
void output_unset(bool csh, pid_t);

/*
 * socket.c: the listening sockets, and that there is one agent. On failure the
 * reason was logged.
 */
/* AW_OK: bound and locked; AW_BUSY: an agent answers there already, *pid is
 * its, or 0; others: failed. */
enum aw_err socket_own(struct agent *, const char *path, pid_t *pid);
/* Sockets that a service manager opened for us; 0: none, -1: none usable. */
int socket_activated(struct agent *);
/* One more, beside the first, that a broker asks for; an errno. */
int socket_open(struct agent *, const char *name, int *fd);
void socket_close(struct agent *, const char *name);
/* Take our own away; nobody can connect any more. */
void socket_end(struct agent *);
/* Until an agent that was told to end has let go of its lock; its pid, or 0. */
pid_t socket_wait_gone(const char *path);

/* program.c: where our programs are, and whether their user could meddle. */
void program_find_all(struct agent *);
/* Root's, unreadable, and no folder above it writable by this user. */
bool program_protected(const char *path);

/* ring.c: the session keyring. */
/* Park a second thread: KEYCTL_SESSION_TO_PARENT then cannot change us. */
void ring_guard(void);
/* Also the vault, for what the quota has no room for, and in the ring the key
 * that its contents are sealed with. Ends the process if it cannot. */
void ring_make(struct ring *);
bool ring_verify(const struct ring *);
/* Room for one more session, taken and given back. */
void ring_reserve(const struct ring *);
void ring_release(const struct ring *);
/* Leave it, or what we came with before it was made, for an empty one; false
 * if something of it can still be reached. */
bool ring_leave(const struct ring *);
/* Revoke all that is in it, so that nothing lingers. */
void ring_end(const struct ring *);

/* exec.c: a program of ours with that environment and `link` on LINK_FD; quiet:
 * with its stderr to /dev/null. 0, or an errno. */
int exec_start(char *path, char *const env[], int link, bool quiet, pid_t *);

/* sessions.c: those that logind knows of this user. */
struct sessions {
	int fd; /* -1: there is no logind */
	char uid[24];
	bool seen; /* there was one */
	bool lingers;
	bool said;
	bool unsure; /* it could not be read */
	int64_t due; /* child_clock(), when there is something to do; or 0 */
};

enum sessions_end {
	SESSIONS_GO_ON,
	SESSIONS_NONE, /* none is left since a while */
	SESSIONS_OVER, /* ... and a while more, and the user does not linger */
};

void sessions_open(struct sessions *);
int sessions_wait_ms(const struct sessions *);
void sessions_read(struct sessions *);
enum sessions_end sessions_ended(struct sessions *);

/* look.c: what that process is, as far as /proc tells; see struct seen. */
void look_at_process(pid_t, uint32_t flags, struct seen *);
/* Whose session that is by what stands in /proc/PID/cgroup; "": none. */
void look_at_session(const char *cgroups, char *out, size_t size);
/* waits.c: does it wait for what our end of a connection, the socket of that
 * inode, sends? */
bool look_waits(pid_t, uint32_t inode);
/* Its path, or its name where that is not to be read; or "". */
void look_at_program(pid_t, char *out, size_t size);

/* journal.c: the lines of audit.h, to whoever collects them. */
struct journal {
	struct audit *lines;
	const char *paths[2]; /* sockets: the journal's own, syslog's */
	int fd;
	bool native; /* it is the first of them */
	bool full;   /* go on when fd can be written to */
	bool was_there;
	int64_t due;	 /* child_clock(), to try again; or 0 */
	uint64_t looked; /* whose programs are known */
	uint64_t lost;
};

void journal_open(
    struct journal *, struct audit *, const char *native, const char *syslog);
/* What is new, as far as it is taken. */
void journal_write(struct journal *);
int journal_wait_ms(const struct journal *); /* -1: for good */

/* spawner.c: the process that execs the one-shot programs. */
_Noreturn void spawner_run(struct agent *, int link);
/* Descriptors of the supervisor's are not for a child to hold open: its lock,
 * and its end of a link, which would never close. Standard ones stay. */
void close_others(int keep);

/* upstream.c: connections to the user's own ssh-agent. */
/* Whose process sends LINK_UPSTREAM_IS to the broker, and ends; or -1. */
pid_t upstream_start(
    const struct agent *, const struct link *asked, int broker);

/* child.c: the broker and the spawner, and what a new broker is given. */
int64_t child_clock(void);
void child_start_due(struct agent *);
int child_wait_ms(const struct agent *); /* until child_start_due; -1: never */
/* The spawner's messages first: a broker says that a job is over only after
 * the spawner told us of it. */
void child_read_spawner(struct agent *);
void child_read_broker(struct agent *, bool *stop);
/* LINK_DROP or LINK_LOGOUT: this broker does it, or the next one. */
void child_tell(struct agent *, enum link_type);
/* Collect the dead. The broker's exit status if it is LINK_EXIT_RING, else 0. */
int child_reap(struct agent *, bool *stop);
void child_kill(struct child *);
/* It is dead and collected; when another may start, by how long it lived. */
void child_forget(struct child *);
/* Both are asked to end, waited for, then made to. */
void child_end(struct agent *);

/* sandbox.c: what neither this process nor any that it starts needs. */
void sandbox_enter(void);

/* memory.c: after an upgrade there is no way back, and with us all logins would
 * end. */
/* May it be there in a moment? By errno; once it was waited for. */
bool memory_wait(unsigned int *tries);

/* state.c: what a re-execution hands over, in words that two versions know. */
int state_save(const struct agent *); /* a memfd, or -1 with errno */
bool state_load(struct agent *, int state);

/* agent.c: the loop. */
void agent_init(struct agent *);
void agent_start(struct agent *); /* spawner, ring, broker, in this order */
void agent_resume(struct agent *, int state);
int agent_run(struct agent *); /* the exit status */

#endif
