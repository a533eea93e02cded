/* SPDX-License-Identifier: ISC */
/*
 * What supervisor, spawner and broker say to each other, and how the one-shot
 * programs are spoken to: SOCK_SEQPACKET pairs, so that a message is there
 * whole or not at all, whoever is killed when.
 *
 * The supervisor gives each broker one link on LINK_FD. On it, in this order:
 * LINK_HELLO with a link to the spawner, a LINK_LISTENER for each socket, a
 * LINK_JOB for each one-shot program that outlived the broker before, LINK_START.
 *
 * A broker that needs a one-shot program sends LINK_SPAWN to the spawner. That
 * makes a pair, execs the program with one end on LINK_FD, and sends the other
 * end as LINK_SPAWNED twice: to the supervisor, which keeps it in case the
 * broker dies, and to the broker. An answer is peeked at, stored, and only then
 * taken off. When a job is over the broker sends LINK_OVER to the supervisor.
 */
#ifndef AWSENV_LINK_H
#define AWSENV_LINK_H

#include <sys/types.h>

#include "awsenv/buf.h"
#include "awsenv/err.h"
#include "awsenv/msg.h"

#define LINK_FD 3
#define LINK_TAG 64
#define LINK_FDS 4
#define LINK_PATH 108 /* sun_path, with its NUL */
/* A message through link_send_msg is at most this long (kind byte included):
 * it fits the default socket buffer of every kernel that we run on. */
#define LINK_MAX (128 * 1024)

enum link_type {
	/* supervisor to broker */
	/* fds: spawner, the lines of audit.h, vault, and /proc/key-users if there
	 * is one */
	LINK_HELLO = 1,
	/* text: "agent", "forward", "remote", "forward-..."; fd, or error */
	LINK_LISTENER = 2,
	LINK_JOB = 3, /* tag, pid, fd */
	LINK_START = 4,
	LINK_DROP = 5,	 /* SIGUSR1: drop all credentials */
	LINK_END = 6,	 /* revoke every key and exit 0 */
	LINK_LOGOUT = 7, /* of all logins */
	/* broker to supervisor */
	LINK_OVER = 10, /* pid of a job that is over */
	LINK_STOP = 11, /* somebody asked for the agent's end */
	LINK_LAST = 12, /* log out when no session is left */
	/* text: name of a socket to listen on, LINK_LISTENER comes; to end */
	LINK_OPEN = 13,
	LINK_CLOSE = 14,
	LINK_DID = 15, /* flags: 1 << LINK_DROP or LINK_LOGOUT */
	/* broker to spawner */
	LINK_SPAWN = 20, /* program, tag */
	/* tag, pid, flags: LOOK_..., inode; LINK_SEEN comes */
	LINK_LOOK = 21,
	LINK_AUDIT = 22, /* there are new lines */
	/* tag, path: of which ssh-agent, empty: find one; UPSTREAM_IS comes,
	 * or nothing for as long as a file system hangs */
	LINK_UPSTREAM = 23,
	/* spawner to supervisor and broker */
	LINK_SPAWNED = 30, /* tag, pid, fd */
	LINK_FAILED = 31,  /* tag, error: errno; to the broker only */
	LINK_SEEN = 34,	   /* tag, pid, seen; to the broker only */
	/* tag, path, flags: UPSTREAM_..., fd; or error: an enum aw_err, where
	 * AW_CONFIG is an agent of ours; to the broker only */
	LINK_UPSTREAM_IS = 35,
	/* to the supervisor: the user has no session since a while */
	LINK_ALONE = 32,
	LINK_ALONE_STILL = 33,
	/* supervisor to spawner; LINK_END ends its programs and itself */
	LINK_BROKER = 40, /* fd: the spawner's end of a new broker's link */
};

/* Exit statuses of a broker that mean something to the supervisor. */
#define LINK_EXIT_RING 70    /* the ring is not ours: all of us end */
#define LINK_EXIT_VERSION 71 /* link_recv said AW_PROTO: we are two versions */

enum link_program {
	PROGRAM_PROFILE = 1,
	PROGRAM_FETCH = 2,
};

/* What a process is, by /proc. A hint: another may have its pid by then, and
 * any process of the user can look like any other. */
struct seen {
	uint32_t flags;	   /* SEEN_..., 0: no such process of ours is seen */
	int32_t terminal;  /* device number of its controlling one; 0: none */
	uint64_t began;	   /* ticks after the boot: tells uses of a pid apart */
	char program[128]; /* path; of a longer one the end */
	char parents[128]; /* names, its own first: "awsenv < make < bash" */
	char folder[128];  /* where it works; of a longer path the end */
	/* asked for by LOOK_PLACE: its session at logind, "3"; "": in none, as
	 * what the user's service manager starts */
	char session[16];
	uint64_t forked; /* ... when the one began that it is a fork of; or 0 */
};

#define SEEN_THERE 1u
#define SEEN_SSH 2u   /* an ssh(1) */
#define SEEN_BINDS 4u /* ... that sends session-bind: OpenSSH 8.9 or later */
/* Asked for by LOOK_TERMINAL: some ssh(1) has that terminal, too, so that what
 * is typed there may come from, or go to, another machine. */
#define SEEN_SSH_BESIDE 8u
#define LOOK_TERMINAL 1u
#define LOOK_PROGRAM 2u /* asks for no more than that */
#define LOOK_PLACE 4u
/* Asked for by the inode of our end of its connection: it waits for an answer
 * there, on a descriptor that blocks. */
#define SEEN_WAITS 16u

/* How the user's ssh-agent was found. */
#define UPSTREAM_NAMED 1u /* by awsenv_ssh_agent */
#define UPSTREAM_GIVEN 2u /* SSH_AUTH_SOCK, as the agent was started */
#define UPSTREAM_USUAL 3u /* in a place where one mostly is */

struct link {
	uint32_t version; /* MSG_VERSION */
	uint32_t type;
	int32_t ring;	  /* HELLO: serial of the ring "awsenv:v1" */
	int32_t session;  /* HELLO: serial of the session keyring */
	uint64_t started; /* HELLO: when the agent began */
	uint32_t restarts;
	uint32_t flags; /* HELLO: LINK_PROTECTED, LINK_FOREGROUND, LINK_DEBUG */
	/* HELLO: ssh-agent's -t, most seconds a key is kept; 0: no limit */
	int32_t lifetime;
	uint32_t program;
	int32_t pid;
	int32_t error;
	uint8_t tag[LINK_TAG]; /* what the job is for; the broker's business */
	char text[32];
	char path[LINK_PATH];
	struct seen seen;
	uint32_t inode; /* LOOK: of a socket, or 0 */
	/* received ones are close-on-exec and the caller's */
	int fds[LINK_FDS];
	int nfds;
};

#define LINK_PROTECTED 1u
#define LINK_FOREGROUND 2u
#define LINK_DEBUG 4u

/* A SOCK_SEQPACKET pair, close-on-exec, not blocking. 0, or -1 with errno. */
int link_pair(int fd[2]);

/* AW_OK; AW_BUSY: it would block; AW_GONE: nobody there; AW_SYSTEM. */
enum aw_err link_send(int fd, const struct link *);
/* As above; AW_PROTO: not a struct link of this version (fds are closed). */
enum aw_err link_recv(int fd, struct link *);

/* A message: kind byte, then the body of msg_encode, as one packet. */
enum aw_err link_send_msg(int fd, enum msg_kind, const void *msg);
/*
 * Look at the next packet without taking it: *packet is reset and filled,
 * *kind read, *body set to the rest. link_drop() takes it off; if it cannot, the
 * packet comes again.
 */
enum aw_err link_peek_msg(
    int fd, struct buf *packet, enum msg_kind *kind, struct view *body);
enum aw_err link_drop(int fd);

#endif
