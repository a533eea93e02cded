/* SPDX-License-Identifier: ISC */
/*
 * awsenv-ctl, grouped by file: the verbs that are not about running a command
 * or showing whose credentials there are. awsenv hands over to it with the same
 * arguments. It may use libraries and libc's stdio; what people read still
 * passes cli's text.c.
 */
#ifndef AWSENV_CTL_H
#define AWSENV_CTL_H

#include "agent/cli/cli.h"

/* options.c: options of these verbs, beside those that awsenv has. */

#define OPT_CONFIG (1ull << 33)
#define OPT_ROLES (1ull << 34)
#define OPT_CSV (1ull << 35)
#define OPT_FOLLOW (1ull << 36)
#define OPT_HOST (1ull << 37)
#define OPT_CONFIRM (1ull << 38)
#define OPT_LIST (1ull << 39)
#define OPT_END (1ull << 40)
#define OPT_START_URL (1ull << 52)
#define OPT_SSO_REGION (1ull << 53)
#define OPT_TEMPLATE (1ull << 54)
#define OPT_PROCESS (1ull << 55)
#define OPT_PRUNE (1ull << 56)
#define OPT_DIFF (1ull << 57)
#define OPT_UNDO (1ull << 58)
#define OPT_FROM (1ull << 59)

#define OPT_ONCE (1ull << 43)

#define OPT_STDIN (1ull << 60)
#define OPT_SERVICE (1ull << 44)
#define OPT_PATH (1ull << 45)
#define OPT_PRINT (1ull << 46)
#define OPT_SIGN_OUT (1ull << 47)

#define OPT_LOGOUT \
	(OPT_WHO | OPT_ALL | OPT_CREDENTIALS | OPT_ALL_USERS | OPT_JSON)

#define OPT_CONSOLE                                                   \
	(OPT_WHO | OPT_WAITING | OPT_SERVICE | OPT_PATH | OPT_PRINT | \
	    OPT_SIGN_OUT)

/* Before any are taken. */
void ctl_options(void);

/* lists.c: what there is to choose from. */

/* Say so, and exit. */
void out_of_memory(void) __attribute__((noreturn));
/* A copy that lives as long as the process; all that was put there. */
const char *keep(struct view);
const char *keep_text(const struct buf *);

struct profile_row {
	const char *name;
	enum aw_err error; /* it cannot be used, for the reason in `text` */
	const char *text;
	const char *session;
	const char *start_url;
	const char *sso_region;
	const char *account;
	const char *role;
	const char *chain; /* ARN of the last role, or "" */
	const char *region;
	uint8_t login_state;
	uint64_t login_expires;
	bool refreshable;
	uint64_t expires;
	const char *browser;
};

struct profile_list {
	struct profile_row *row;
	size_t n;
};

/* Both lists are to be freed in any case: some pages may have come. */
enum aw_err profiles_get(struct talk *, struct profile_list *);
void profiles_free(struct profile_list *);
const struct profile_row *profile_named(
    const struct profile_list *, const char *);

struct grant_row {
	const char *account;
	const char *name;
	const char *email;
	const char *role;
	uint64_t expires;
};

struct grant_list {
	struct grant_row *row;
	size_t n;
	uint32_t accounts; /* so far */
	uint32_t done;
	bool again; /* the agent began anew, and repeats what is here */
};

/* Every account and role of the login that is asked for, after a login where
 * one is needed; `more` is called with each page. */
enum aw_err grants_get(struct talk *, const struct options *,
    struct grant_list *, void (*more)(const struct grant_list *, size_t from));
/* One for `more`: how far it is, where a person looks. */
void grants_progress(const struct grant_list *, size_t from);
void grants_progress_end(void);
void grants_sort(struct grant_list *); /* by names */
void grants_free(struct grant_list *);

/* table.c: rows on standard output. */

#define TABLE_COLUMNS 8

struct table_column {
	const char *title;
	int rank; /* where it is narrow the highest goes first; 0: stays */
};

struct table {
	const struct table_column *columns;
	size_t n;
	size_t width[TABLE_COLUMNS];
	bool gone[TABLE_COLUMNS];
	unsigned int cols; /* 0: as wide as it gets */
	bool tty;
	bool colour;
	bool begun;
};

void table_open(struct table *, const struct table_column *, size_t n);
/* All cells have passed shown(). */
void table_measure(struct table *, const char *const *cells);
void table_title(struct table *, struct buf *);
void table_row(
    struct table *, const char *const *cells, const char *colour, struct buf *);
void csv_add(struct buf *, const char *, bool last);
/* Print what is there if it is much, or all. False: told why not. */
bool text_flush(struct buf *, bool all);

/* operand.c: options of "VERB [PROFILE] [OPTION...]". False: told why not. */

bool profile_operand(
    const char *verb, uint64_t allowed, struct options *, char **argv);

/* agent.c, log.c, ls.c */

int agent_verb(const struct options *, char **argv);
int ls_verb(const struct options *, char **argv);
int log_verb(const struct options *, char **argv);
int configure_verb(const struct options *, char **argv);

/* shell.c, with recent.c and pick.c */

int shell_verb(const struct options *, char **argv);
/* lock.c */
int lock_verb(const struct options *, char **argv);
int unlock_verb(const struct options *, char **argv);
void recent_add(const char *name);
/* Those that were chosen last come first. */
void recent_sort(struct profile_list *);
/* Lives as long as the process; NULL with AW_OK: the person gave up. */
enum aw_err pick_profile(const struct options *, const char **name);

/* forward.c, hosts.c */

int forward_verb(const struct options *, char **argv);
/* Add the fingerprints that known_hosts files have of it to a list. */
enum aw_err known_hosts(const char *name, struct buf *hosts);

/* completion.c */

int completion_verb(const struct options *, char **argv);
/* The verb of that name, of either program; NULL: there is none. */
const struct verb *ctl_verb(const char *name);

/* console.c */

int console_verb(const struct options *, char **argv);

/* keys.c: standard input, key by key. False: it is no terminal. Signals are off
 * until keys_end(), which takes what keys_begin() left in its argument. */

struct termios;

bool keys_begin(struct termios *);
void keys_end(const struct termios *);

/* confirm.c */

int confirm_verb(const struct options *, char **argv);

/* doctor.c, see doctor.h */

int doctor_verb(const struct options *, char **argv);

/* users.c: status and logout of every user's agent, for root */

int users_status(const struct options *);
int users_logout(const struct options *);

/* logout.c */

int logout_verb(const struct options *, char **argv);

/* status.c asks; report.c writes it for people, report_json.c for programs. */

struct status {
	struct status_rep rep;
	const struct agent *agent;
	struct buf logins; /* lists of messages, as list@awsenv has them */
	struct buf roles;
	struct buf keys;
	struct buf problems;
	bool keyring; /* keys was asked for */
	bool profile; /* one was named */
};

int status_verb(const struct options *, char **argv);
void report_text(const struct status *, struct buf *out);
void report_json(const struct status *, struct buf *out);

/* claim.c: what two desktops of one person, or forty commands, do once. */

enum claim { CLAIM_PAGE = 1, CLAIM_DONE = 2, CLAIM_END = 3 };

enum claimant { CLAIM_COMMAND, CLAIM_AGAIN, CLAIM_DESKTOP };

/*
 * True for the first who asks. `when` tells this occasion from others of that
 * login. CLAIM_AGAIN: true also later, unless
 * a desktop did it a moment ago.
 */
bool claim(enum claim, const struct login_rep *, uint64_t when, enum claimant);

/* browser.c */

/* Is this a desktop, whose browser may be opened? */
bool browser_there(const struct options *);
/* Open a page there. */
void browser_start(struct view url, struct view configured);

/* screen.c: how a login looks. */

struct screen {
	bool tty;
	unsigned int rows;
	unsigned int cols;
	bool utf8;
	bool plain; /* no escape sequences */
};

void screen_open(struct screen *);
/* May its URL and code be shown? */
bool login_is_sound(const struct login_rep *);
/* False: the agent's reply holds something that must not be shown. */
bool screen_login(
    const struct screen *, const struct login_rep *, struct buf *);

/* login.c */

int login_verb(const struct options *, char **argv);
/* For awsenv, not for people: it has something else to do, and says that. */
int approve_verb(const struct options *, char **argv);

/* login_event.c: one line of JSON on stdout. False: told why not. */

bool login_event(const struct login_rep *);

/* pending.c, desktop.c */

int pending_show(const struct options *);
int desktop_run(const struct options *);

#endif
