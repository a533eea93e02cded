/* SPDX-License-Identifier: ISC */
/*
 * The broker's rooms, grouped by file. main -> conn -> request -> {login,
 * store, job}; the last three never call upwards.
 */
#ifndef AWSENV_BROKER_H
#define AWSENV_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "awsenv/buf.h"
#include "awsenv/client.h"
#include "awsenv/err.h"
#include "awsenv/link.h"
#include "awsenv/msg.h"

/* loop.c: the only place that sleeps, and the only clock. */

struct timer {
	TAILQ_ENTRY(timer) entry;
	int64_t at; /* loop_now() when it is due */
	bool armed;
	void (*fn)(void *arg);
	void *arg;
};

/* Seconds since 1970 by this machine's clock. Tests replace it. */
uint64_t loop_time(void);
/* Milliseconds that never jump and go on while the machine sleeps. */
int64_t loop_now(void);
void loop_open(void);
/* Call fn when one of the epoll(7) events is there; also changes an earlier
 * wish for that descriptor. Forget it before it is closed. */
void loop_fd(
    int fd, uint32_t events, void (*fn)(uint32_t events, void *arg), void *arg);
void loop_forget(int fd);
/* Call fn once, in ms from now; a timer that runs is set anew. */
void loop_after(struct timer *, int64_t ms, void (*fn)(void *arg), void *arg);
void loop_cancel(struct timer *);
/* Wait for and serve what comes next; loop_run() does until loop_end(). */
void loop_once(void);
int loop_run(void);
void loop_end(int status);
/* A number below n, for jitter. */
uint32_t loop_random(uint32_t n);

/* store.c: the kernel keyring, and what it has no room for. With key.c and
 * vault.c below it. */

enum store_kind {
	KEY_ROLE = 0,	/* role credentials */
	KEY_TOK = 1,	/* access token */
	KEY_REF = 2,	/* registration and refresh token */
	KEY_DEV = 3,	/* a device authorization under way */
	KEY_LOCK = 4,	/* the agent is locked, or the screen */
	KEY_PERMIT = 5, /* what a further socket is for */
	KEY__MAX
};

struct store_usage {
	uint32_t keys_used; /* of this user, by all programs */
	uint32_t keys_max;
	uint32_t bytes_used;
	uint32_t bytes_max;
};

struct store_entry {
	int32_t serial; /* 0: in the vault, the keyring had no room */
	enum store_kind kind;
	uint32_t size;	      /* of the payload */
	uint64_t timeout;     /* when the kernel drops it */
	struct record record; /* borrowed; sealed is there, do not keep it */
};

/*
 * Take over the ring that the supervisor made. It is given by serial and never
 * searched for: a child of the supervisor could have planted another session
 * (KEYCTL_SESSION_TO_PARENT). AW_OK; AW_NOMEM: another broker had better try
 * it again; else the session keyring of this process is not `session`, or the
 * ring is not ours: exit with EXIT_RING.
 * `vault` is the supervisor's memfd, `key_users` an open /proc/key-users or -1;
 * the store owns them from here on.
 */
enum aw_err store_open(int32_t ring, int32_t session, int key_users, int vault);

/*
 * Keep a record (kind and version are set here) until it expires; 0: for good.
 * Takes the place of an older one with the same kind and id. When half of the
 * quota is in use, role credentials go to the vault; when all is, those in the
 * ring do, to make room for a login. AW_OK either way. AW_DENIED: the ring is no
 * longer ours, fatal for the caller. Any other error: an older one stays, unless
 * its key took this one and then no timeout.
 */
enum aw_err store_put(enum store_kind, const struct record *);

/* AW_OK: *record's views point into *out. AW_GONE: not there or expired.
 * AW_DENIED as store_put. Others: it could not be read just now. */
enum aw_err store_get(
    enum store_kind, struct view id, struct buf *out, struct record *);

void store_drop(enum store_kind, struct view id);
/* All entries of the kinds in the mask (1 << KEY_ROLE ...) whose id begins
 * with `prefix` (empty: all). Revoked first, so that nothing lingers. Returns
 * how many. */
unsigned int store_drop_all(unsigned int kinds, struct view prefix);
/* Calls fn for every live entry; fn must not change the store. False: one could
 * not be read just now. */
bool store_each(unsigned int kinds,
    void (*fn)(const struct store_entry *, void *), void *arg);
void store_usage(struct store_usage *);
void store_close(void);

/* record.c: the same, of what must not be guessed: the broker ends before it
 * goes on with what it cannot read or keep just now. */

/* False: it is not there, or expired. */
bool record_get(
    enum store_kind, struct view id, struct buf *out, struct record *);
void record_put(enum store_kind, const struct record *);
void record_each(unsigned int kinds,
    void (*fn)(const struct store_entry *, void *), void *arg);

/* hold.c: lists of those who wait for something to end. */

struct hold {
	LIST_ENTRY(hold) entry;
	bool on;
	void (*fn)(void *arg, enum aw_err, const char *text);
	void *arg;
};

LIST_HEAD(holds, hold);

void hold_on(struct holds *, struct hold *);
void hold_off(struct hold *);
/* Take each off the list and call it. One that is put on meanwhile waits for
 * the next time. */
void hold_wake(struct holds *, enum aw_err, const char *text);

/* text.c: sentences. What cannot be printed becomes a question mark, since
 * names in it come from clients and files and it ends on a terminal. */

void text_set(char **, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A copy that the caller frees; "" for an empty view. */
char *text_dup(struct view);

/* spawner.c: what is said to the spawner, and who hears its answers. */

void spawner_open(int fd);
/* False: it has no room just now; see spawner_on_room(). */
bool spawner_send(const struct link *);
/* Who is given what it says of that type; descriptors in it are theirs. */
void spawner_on(enum link_type, void (*fn)(const struct link *));
/* Who is called when there is room again after there was none. */
void spawner_on_room(void (*fn)(void));

/* look.c: which program a process is, as the spawner sees it. */

struct look {
	LIST_ENTRY(look) entry;
	enum { LOOK_NONE, LOOK_ASKED, LOOK_DONE } state;
	uint64_t number;
	struct seen seen; /* with LOOK_DONE; all zero: nothing can be said */
	struct holds holds;
};

void look_open(void);
/* Ask for it, once; `flags` as of LINK_LOOK. Zero the struct before. */
void look_at(struct look *, pid_t, uint32_t flags);
/* The same, and whether it waits for an answer on this connection. */
void look_at_peer(struct look *, pid_t, int fd);
/* Nobody wants to know any more. */
void look_off(struct look *);

/* job.c: one-shot programs under way, at most one for the same purpose. */

#define JOB_READ 16 /* the others are of enum fetch_what */
#define JOB_KEY 49  /* what, login, hash of the id: the first part of a tag */

struct job;

struct job_class {
	enum link_program program;
	/* One packet. True: that was the last, see job_outcome(). What it
	 * brought must be in the store on return: then it is taken off. */
	bool (*packet)(struct job *, enum msg_kind, struct view body);
	/* May be NULL. `early`: the program died, again and again. */
	void (*ended)(struct job *, enum aw_err, const char *text, bool early);
};

struct job {
	LIST_ENTRY(job) entry;
	const struct job_class *class;
	uint8_t tag[LINK_TAG];
	enum { JOB_QUEUED, JOB_ASKED, JOB_RUNNING, JOB_RESTING } state;
	pid_t pid;
	int fd;
	bool ours;	    /* not adopted from an earlier broker */
	struct buf request; /* kept, to begin again; wiped when it may not */
	unsigned int tries; /* how often it may begin again */
	int64_t begun;
	pid_t asker; /* the client that had it begun; 0: none */
	struct timer rest;
	struct holds holds;
	enum aw_err error;
	char *text;
	void *arg; /* of whoever started it; NULL in an adopted one */
};

void job_open(int supervisor);
void job_register(uint8_t what, const struct job_class *);
/* The one under way for this purpose, or NULL. */
struct job *job_find(uint8_t what, struct view id);
/* NULL: the message is too long. */
struct job *job_start(uint8_t what, struct view id, enum msg_kind,
    const void *msg, unsigned int tries);
/* For whom those are that begin from now on. */
void job_asker(pid_t);
/* One that outlived the broker before this one. */
void job_adopt(const struct link *);
void job_each(void (*fn)(struct job *));
bool job_is(const struct job *, uint8_t what, struct view id);
uint8_t job_what(const struct job *);
void job_outcome(struct job *, enum aw_err, struct view text);
void job_say(struct job *, enum msg_kind, const void *msg);
/* It is not begun again: what was asked is wiped. */
void job_last(struct job *);
/* Let go of it: whoever waits looks again. */
void job_abandon(struct job *);
/* The same for all whose bit (1 << what) is in the mask, of one login or, if
 * that is empty, of all. Keys are dropped before: who waits looks at once. */
void job_abandon_all(unsigned int mask, struct view login);
/* Tell the supervisor something. */
void job_report(const struct link *);

/* fetch.c: what is said to awsenv-fetch, and how its answers say where they
 * belong, also to a broker that did not ask. */

struct fetch_tag {
	struct view id; /* in the store */
	struct view facts;
	uint64_t tok_expires; /* of the token that it was given, or 0 */
};

struct job *fetch_start(
    const struct fetch *, const struct fetch_tag *, unsigned int tries);
/* False: not an answer to this job. */
bool fetch_answer(struct job *, enum msg_kind, struct view body,
    struct answer *, struct fetch_tag *);
/* Put role credentials into the store; when they end there. `role`: whose
 * they are, if it is not the one of the id. */
uint64_t fetch_keep_role(
    const struct answer *, struct view id, struct view role);
/* AWS's clock minus ours, in seconds, as last seen. */
int32_t fetch_skew(void);
/* How long (HELLO) any record may live after the person's login, 0: as it
 * says; `from` is when that was. */
void fetch_lifetime(int32_t seconds);
uint64_t fetch_capped(uint64_t expires, uint64_t from);

/* table.c: what awsenv-profile read, one table for each file and environment. */

struct content;

struct table {
	TAILQ_ENTRY(table) entry; /* the last used first */
	struct buf key;
	struct content *now;  /* the last good one, or NULL */
	struct content *next; /* being read */
	struct job *job;
	struct stamp asked; /* the client's stamp that led to `now` */
	struct stamp asking;
	int64_t read;	   /* when `now` came */
	enum aw_err error; /* of the last reading */
	char *text;
	struct buf failed; /* the same as MSG_PROBLEM_ITEM; empty: it did not */
};

void table_open(void);
/* Of this file and environment, perhaps empty. NULL: all are being read. */
struct table *table_for(const struct ask *);
/* The same, but it is neither made nor used by that. NULL: there is none. */
const struct table *table_peek(const struct ask *);
/* The last one used, or NULL. */
struct table *table_last(void);
/* Is what is there what the client saw, or the best there can be? */
bool table_current(const struct table *, const struct stamp *);
/* Old enough to be read again on the quiet, or, `far`, before it is used: what
 * a far side may have is to be as the file says now. */
bool table_old(const struct table *, bool far);
/* Read it, or join the reading under way. NULL with t->error and t->text. */
struct job *table_read(struct table *, const struct ask *);
/* Read that of ask_nobody, unless it was read less than so long ago. NULL: so it
 * was, or it cannot be just now. */
struct job *table_renew(int64_t ms);
/* How long to wait for such a job: soon the last good one has to do. 0 or less:
 * no longer. */
int64_t table_patience(const struct job *reading);
/* Forget what was read: some of it proved wrong. */
void table_forget_all(void);
/* The administrator has switched awsenv off: why, for a person; else empty. */
struct view table_off(const struct table *);
/* What section [awsenv] says to the agent itself; empty: nothing. That of
 * ask_nobody counts, since it is the one that no client chose. */
struct view table_setting(const struct table *, const char *name);
bool table_profile(const struct table *, struct view name, struct profile *);
bool table_profile_at(const struct table *, uint32_t index, struct profile *);
/* The first that can be used and leads to this role, and no further. */
bool table_role(const struct table *, struct view account, struct view role,
    struct profile *);
/* Does any profile that leads through this role have awsenv_confirm = true? */
bool table_confirm(const struct table *, struct view account, struct view role);
bool table_session(const struct table *, uint32_t index, struct session *);
/* Of the last good reading, after that of one that failed since. */
bool table_problem(const struct table *, uint32_t index, struct problem_item *);
uint32_t table_problems(const struct table *);
uint32_t table_profiles(const struct table *); /* how many */
/* Up to three names that look like this one: "a, b, c". Caller frees; NULL:
 * none does. */
char *table_near(const struct table *, struct view name);
/* The problem that tells why there is no such profile, if one does. */
bool table_why(const struct table *, struct view name, struct problem_item *);

/* target.c: what a request is about: a row of a table, found as the person
 * said it. Views point into the table and the request. */

struct target {
	struct session session;
	struct view profile; /* empty: named by account and role */
	struct view account;
	struct view role;
	struct view chain;
	struct view chain_digest;
	struct view region;
	struct view sts;
	struct view sts_region;
	struct view settings;
	struct view expected;
	struct view browser;
	struct view notice;
	struct buf id; /* of its role credentials in the store */
};

/* `login`: account and role may be missing. The text, if any, is for a person
 * and the caller's to free. Free target.id in any case. */
enum aw_err target_find(const struct table *, const struct ask *, bool login,
    struct target *, char **text);
/* The ARN of the last step, or empty. */
struct view target_chain_end(struct view chain);

/* login.c: one for each identity that tokens are bound to. */

#define LOGIN_ID 32

struct login {
	LIST_ENTRY(login) entry;
	uint8_t id[LOGIN_ID];
	enum login_state state;
	enum aw_err error; /* with LOGIN_FAILED */
	char *text;
	char *url;
	char *code;
	uint64_t until;
	struct buf qr;
	uint32_t qr_width;
	char *session; /* as its login@ was told: name, endpoint warning ... */
	char *notice;
	char *expected; /* ... who should approve ... */
	char *browser;	/* ... and where */
	char *person;	/* who did, and who had the time before */
	char *before;
	char *account; /* where to ask who the person is */
	char *role;
	unsigned int polls; /* fetchers that died while polling */
	uint64_t change;    /* counts them, over all logins */
	bool desktop;	    /* by a browser of this machine, without a code */
	int64_t nudged;	    /* loop_now() when nudge.c began it; 0: approved */
	bool watched;
	enum aw_err told;   /* did AWS hear of the logout */
	struct holds holds; /* waiting for another state */
	struct timer step;  /* poll again, or done without the person's name */
	struct timer watch;
	struct timer refresh;
};

void login_open(void);
/* Go on with what the store knows, once the jobs are adopted. */
void login_resume(void);
struct view login_id(const struct login *);
uint64_t login_ticket(const struct login *);
struct login *login_by_ticket(uint64_t);
/* NULL: there is none in memory. */
struct login *login_find(struct view id);
/* All of them, the first after NULL. */
struct login *login_next(const struct login *);
/* The one that changed first since then; NULL: none did. */
struct login *login_after(uint64_t seen);
/* It changed: whoever watches them all is told. */
void login_touch(struct login *);
/* Who waits for the next change of any. */
struct holds *login_watchers(void);
/* Makes it. NULL: too many. */
struct login *login_get(struct view id);
/* Is there a code that a person may still approve, or soon one? */
bool login_under_way(const struct login *);
/* As it stands now: a token may have run out since. */
enum login_state login_state(const struct login *);
/* A token that is good for a while yet; else AW_GONE. */
enum aw_err login_token(struct view id, struct buf *, struct record *);
/* A new token without a person. NULL: impossible. */
struct job *login_refresh(struct view id);
/* With a person; by a browser on this machine, if that is to be. */
void login_begin(
    struct login *, const struct target *, struct view name, bool desktop);
/* One that was made elsewhere, in the place of whatever is there. */
void login_adopt(
    struct login *, const struct session *, const struct adopt_req *);
/* Somebody looks at the code now. */
void login_watch(struct login *);
/* The portal refused the token that expires then. */
void login_refused(struct view id, uint64_t tok_expires);
/* Tell AWS; NULL: there is no token to end. The result: login->told. */
struct job *login_sign_out(struct login *);
/* Every key of it, and what would bring new ones. Returns how many role
 * credentials. */
unsigned int login_forget(struct view id);

/* role.c: role credentials, fetched when asked for and before they end. */

void role_open(void);
void role_id(struct buf *, struct view login, struct view account,
    struct view role, struct view chain_digest);
/* Long enough for who asks? */
bool role_good(const struct record *, uint32_t seconds, bool half);
struct job *role_fetch(
    const struct target *, struct view tok, uint64_t tok_expires);
/* Remember that somebody asked: it is then kept fresh for an hour. */
void role_used(const struct target *, const struct record *);

struct role_identity {
	const char *arn;
	const char *user_id;
	const char *person;
};

/* Who these credentials are. AW_GONE: not known yet. */
enum aw_err role_identity(
    const struct target *, struct view access_key, struct role_identity *);
struct job *role_identify(const struct target *, const struct record *);

/* grants.c: what a login may use at AWS, page by page as it comes. */

struct grants;

void grants_open(void);
/* The one of that number, else the latest that is under way or fresh. NULL:
 * there is none. */
struct grants *grants_find(struct view login, uint64_t number);
struct grants *grants_start(
    const struct target *, struct view tok, uint64_t tok_expires);
void grants_drop(struct grants *);
/* How it ended, or AW_BUSY; why, in *text. */
enum aw_err grants_state(const struct grants *, const char **text);
struct holds *grants_holds(struct grants *);
/* From that page on, into a reply that has room. */
void grants_tell(const struct grants *, const struct grants_req *,
    struct grants_rep *, struct buf *items);

/* bind.c: the hosts that a connection says it comes from. */

#define BIND_HOST 51 /* "SHA256:...", with its NUL */
#define BINDS_MAX 16

struct binds {
	unsigned int n;
	bool poisoned; /* one was none, or there were too many */
	bool login;    /* one was for a login there: nothing is to be had */
	bool counts;   /* ... and is the word of the user's own ssh */
	char first[BIND_HOST];
	struct buf claims; /* the others, one after the other, NUL and all */
};

void bind_take(struct binds *, struct view body);
void bind_free(struct binds *);

/* permit.c: further sockets, each for one purpose. */

#define PERMIT_NAME 32

struct permit {
	LIST_ENTRY(permit) entry;
	char name[PERMIT_NAME];
	char path[CLIENT_PATH];
	int fd; /* -1: the supervisor was asked for it */
	struct buf facts;
	struct forward_item item; /* views into them */
	struct timer timer;
	struct holds holds;	   /* waiting for fd */
	const struct conn *keeper; /* of a bound one: it ends with that */
	struct timer unkept;	   /* since a broker that was */
};

/* conn.c: clients of the sockets. One request at a time: the next is not read
 * before its answer is on its way. */

/* Bits, for the table of requests. */
enum origin {
	NOBODY = 0,   /* root behind an ssh: what both may have is nothing */
	LOCAL = 1,    /* the owner, on this machine */
	ROOT = 2,     /* root, asking somebody else's agent */
	REMOTE = 4,   /* forwarded, or not known to be local */
	UNLOCKED = 8, /* whoever of them it is, not while we are locked */
};

/* Whose socket it came through; one of an unknown name is like AT_REMOTE. */
enum listener {
	AT_AGENT,   /* this machine's */
	AT_FORWARD, /* ssh's, for agent forwarding */
	AT_REMOTE,  /* other relays' */
	AT_PERMIT,  /* one of permit.c */
};

#define CONN_MAX 2400

/* What a held request waits for. */
enum stage {
	STAGE_NONE,
	STAGE_TABLE,
	STAGE_LOOK,
	STAGE_TOKEN,
	STAGE_ROLE,
	STAGE_IDENTITY,
	STAGE_LOGIN,
	STAGE_LOGOUT,
	STAGE_CHANGE,
	STAGE_GRANTS,
	STAGE_QUESTION,
	STAGE_QUESTIONS,
	STAGE_LOG,
	STAGE_LOCK,
	STAGE_PRESENCE,
	STAGE_RELAY,
	STAGE_PERMIT,
};

/* How far a held request has come; all zero for a new one. */
struct progress {
	int64_t deadline;
	enum stage waited;
	enum aw_err error; /* how that ended */
	char *text;
	unsigned int rounds;
	unsigned int reads;
	unsigned int refreshes;
	unsigned int refused;
	bool fetched; /* and it brought something */
	struct logout *logout;
	struct buf asked;  /* of the person: what a yes is for, ... */
	uint64_t question; /* ... which question that was, ... */
	bool agreed;	   /* ... and that the answer was yes */
};

struct conn {
	LIST_ENTRY(conn) entry;
	int fd;
	pid_t pid;
	enum listener listener;
	const struct permit *permit; /* of AT_PERMIT */
	enum origin origin;
	bool here; /* a process of this machine, and no relay of ssh's */
	struct binds binds;
	uint64_t frames; /* that were answered */
	bool held;
	bool dead;
	uint32_t events;
	uint32_t
	    need; /* length of the frame at the front of `in`; 0: unknown */
	struct buf in;
	struct buf out;
	struct timer timer; /* of a held request, else patience with the peer */
	struct hold hold;
	enum stage stage;
	struct progress progress;
	struct look look;      /* at its peer; see conn_look() */
	struct look place;     /* ... and at where that runs; see presence.c */
	struct relay *relay;   /* to the user's own ssh-agent, or NULL */
	LIST_ENTRY(conn) seat; /* of those who can show a question, ... */
	int64_t seated;	       /* ... until then; 0: it is none */
};

/* Not an error: the handler runs again when what it waits for has ended. */
#define REQUEST_HELD AW_PRIVATE

void conn_open(void);
/* Clients are accepted after conn_start(). */
void conn_listen(int fd, enum listener, const struct permit *);
void conn_unlisten(const struct permit *);
void conn_start(void);
/* Takes over fd. */
struct conn *conn_add(int fd, enum origin, pid_t);
unsigned int conn_count(void);
/* One frame: type byte, then the body. */
void conn_send(struct conn *, uint8_t type, struct view body);
/* REQUEST_HELD; AW_TIMEOUT when the request had its time already. */
enum aw_err conn_hold(struct conn *, enum stage, struct holds *, int64_t ms);
/* Wait until c->look is done. AW_OK: as far as it will be; REQUEST_HELD, and
 * not for long: the spawner never waits. */
enum aw_err conn_look(struct conn *, uint32_t flags);
const char *origin_name(enum origin);

/* Close it, once what is being served of it has returned. */
void conn_end(struct conn *);

/* relay.c: the user's own ssh-agent, for who comes through forward.sock. */

void relay_open(void);
/* The frame at the front of c->in is a session-bind: it is to be told, too. */
void relay_bind(struct conn *);
/* It is no request of ours. True: it is answered, or held, or c ends; false:
 * it is to be refused. */
bool relay_run(struct conn *);
void relay_close(struct conn *);

/* Exit status that tells the supervisor: the ring is not ours any more. */
#define EXIT_RING LINK_EXIT_RING

/* request.c: what clients may ask, and the answers. */

/* The frame at the front of c->in. Either the answer is in c->out, or the
 * connection is held and this is called again. */
void request_run(struct conn *, struct view frame);
void request_forget(struct progress *);
/* It is about to be closed, and waits for nothing any more. */
void request_gone(struct conn *);

/* round.c: the steps that handlers have in common. */

union message {
	struct ask ask; /* most begin with it */
	struct creds_req creds;
	struct login_req login;
	struct wait_req wait;
	struct status_req status;
	struct list_req list;
	struct logout_req logout;
	struct whoami_req whoami;
	struct nudge_req nudge;
	struct adopt_req adopt;
	struct watch_req watch;
	struct profiles_req profiles;
	struct grants_req grants;
	struct questions_req questions;
	struct answer_req answer;
	struct log_req log;
	struct lock_req lock;
	struct screen_req screen;
	struct forward_req forward;
};

/* All begin with error and text, so that refusing needs no kinds. */
union reply {
	struct done_rep done;
	struct creds_rep creds;
	struct login_rep login;
	struct status_rep status;
	struct list_rep list;
	struct logout_rep logout;
	struct whoami_rep whoami;
	struct watch_rep watch;
	struct profiles_rep profiles;
	struct grants_rep grants;
	struct relay_rep relay;
	struct questions_rep questions;
	struct log_rep log;
	struct forward_rep forward;
};

/* One round of a request: what is asked and what becomes of it. */
struct round {
	struct conn *conn;
	struct progress *progress;
	const union message *msg;
	union reply rep;
	struct target target;
	struct table *table;
	struct view access_key; /* of the credentials in the reply */
	struct buf keep[3];	/* what views of the reply point into */
	bool may_tell;		/* the client may hear what is wrong with it */
	char *text;
	char *notice;
};

void round_say(struct round *, const char *text);
/* The error of what this request waited for last, if it was that. */
enum aw_err round_ended(struct round *, enum stage);
/* REQUEST_HELD; an error, with its text, if there is no such job. */
enum aw_err round_hold(struct round *, enum stage, struct job *, int64_t ms);
/* These fill r->table, the second r->target too. */
enum aw_err round_table(struct round *);
enum aw_err round_target(struct round *, bool login);
/* For people: the sso-session, or the start URL of one without a name. */
struct view round_session(const struct target *);
/* A good token, by a refresh if need be; AW_LOGIN: only a person can help. */
enum aw_err round_token(struct round *, struct buf *, struct record *tok);
enum aw_err round_creds(
    struct round *, struct buf *, struct record *, uint32_t seconds, bool half);

/* What is known of a login, into r->rep.login. */
enum aw_err round_tell(struct round *, const struct login *);

/* Of the user that the agent belongs to, as a client with no variables set
 * would ask: which file that is, no client tells. */
static const struct ask ask_nobody = {.stamp = {.mtime = STAMP_UNKNOWN}};

/*
 * question.c: what only the person may say. Others show the questions and give
 * the answers; here nobody waits but who asked.
 */

struct question {
	const struct target *target;
	bool remote;
	struct view
	    host; /* the first host's key, "SHA256:..."; empty: unknown */
	struct view hops; /* list of texts: further ones, as they claim */
};

void question_open(const struct link *hello);
/*
 * Which programs ask is taken from a look at the peer. AW_OK: yes. AW_DENIED:
 * no, or nobody answered. AW_BUSY: too many questions.
 * REQUEST_HELD: the handler runs again with the answer, and may ask again then
 * and each time after: the yes lasts as long as the request.
 */
enum aw_err question_ask(struct round *, const struct question *);
/* Is anybody there who can show one? */
bool question_can(void);
/* Every yes that is remembered for that login, or for all if it is empty. What
 * waits for an answer is refused. */
void question_forget(struct view login);
/* A client that may have asked, or could have answered. */
void question_gone(struct conn *);
enum aw_err questions_run(struct round *);
enum aw_err answer_run(struct round *);

/* policy.c: what may be had from another host. */

bool policy_is_far(const struct conn *);
/* Take out what no far side has a say in. */
void policy_ask(struct ask *);
/* May this connection use what r->target is? AW_OK; AW_DENIED; REQUEST_HELD
 * while the person is asked, if that is to be. */
enum aw_err policy_use(struct round *, bool ask);
/* Have the person say whether this client may have r->target. */
enum aw_err policy_question(struct round *);
/* What a far side has of it may be less. */
void policy_narrow(const struct conn *, struct profile *);
/* Is it worth telling this connection of? */
bool policy_shows(const struct conn *, const struct profile *);
/* The error that a far side is told. */
enum aw_err policy_told(struct round *, enum aw_err);
/* How many profiles there are for this connection. */
uint32_t policy_count(const struct conn *, const struct table *);

/* relay@awsenv: which ssh-agent that is, and does it answer? */
enum aw_err relay_report(struct round *);

/* adopt.c: logins that were made elsewhere. */

enum aw_err adopt_run(struct round *);
/* Now that the file is read: make one that waits a login. */
void adopt_place(const struct table *);

/* nudge.c */

/* What the broker before this one began is not known: hello->restarts. */
void nudge_open(const struct link *hello);
enum aw_err nudge_run(struct round *);

/* lock.c: nothing is handed out until the passphrase is said again. */

void lock_open(void);
bool lock_held(void);
enum aw_err lock_run(struct round *);
enum aw_err unlock_run(struct round *);

/* presence.c: is the person there? */

void presence_open(void);
/* The screen is, and that counts. */
bool presence_locked(void);
/* May this client have something while it is? AW_OK; AW_DENIED; REQUEST_HELD
 * while it is looked up where it runs; AW_BUSY: that cannot be told. */
enum aw_err presence_may(struct round *);
enum aw_err screen_run(struct round *);

/* idle.c: what nobody uses is forgotten. */

void idle_open(void);
/* Somebody has just been given something, or waits for it. */
void idle_touch(void);

/* logout.c */

enum aw_err logout_run(struct round *);
/* Of everything, and nobody waits for what AWS says. */
void logout_all(void);
void logout_free(struct logout *);
/* Nothing to hand out is left, nor anything to get it with; AWS is not told.
 * Returns how many keys. */
unsigned int logout_drop(void);

/* report.c: status and lists. */

void report_open(const struct link *hello, const char *sandbox);
void report_agent(struct status_rep *);
void report_list(const struct list_req *, struct list_rep *, struct buf *items);
/* Profiles of a table, and what of each is held. */
void report_profiles(const struct conn *, const struct table *, uint32_t from,
    struct profiles_rep *, struct buf *items);
/* The ids of all logins that left a trace, one after the other. */
void report_logins(struct buf *ids);

/* permit.c, again: what it does. */

/* The socket of that name; fd -1: there is none, for that errno. */
void permit_listen(const char *name, int fd, int error);
void permit_start(void);
/* Those that this client keeps end with it. */
void permit_gone(const struct conn *);
bool permit_covers(const struct permit *, struct view profile);
/* May it be used from there? NULL: the host is not known. */
bool permit_host(const struct permit *, const char *host);
enum aw_err permit_run(struct round *);

/* audit.c: what was handed out, and what was refused. */

struct audit_what {
	struct view profile;
	struct view account;
	struct view role;
	struct view access_key;
};

/* The lines are in that memory; the spawner is told when there are new ones. */
void audit_open(int fd);
void audit_start(void);
/* The reply is on its way: AW_OK, credentials were in it. */
void audit_note(const struct conn *, const char *request, enum aw_err,
    const struct audit_what *);
/* The lines from that number on, a page of them. */
void audit_tell(uint64_t from, struct log_rep *, struct buf *items);
/* Who waits for the next line. */
struct holds *audit_watchers(void);

/* sandbox.c: no files, as far as this kernel can promise it. */

/* In words, what is in force. */
const char *sandbox_enter(void);

#endif
