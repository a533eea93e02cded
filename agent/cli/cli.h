/* SPDX-License-Identifier: ISC */
/*
 * The wrapper, grouped by file. It is a short-lived process of one person: a
 * function that returns enum aw_err and fails has told the person why, unless
 * its comment says otherwise; exit_of() turns the error into the exit status.
 */
#ifndef AWSENV_CLI_H
#define AWSENV_CLI_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "awsenv/buf.h"
#include "awsenv/client.h"
#include "awsenv/err.h"
#include "awsenv/msg.h"
#include "awsenv/sound.h"

/* Exit statuses; awsenv(1) is their specification. */
enum {
	EXIT_GOOD = 0,
	EXIT_OTHER = 1,
	EXIT_USAGE = 2,
	EXIT_LOGIN = 3,
	EXIT_CONFIG = 4,
	EXIT_REFUSED = 5,
	EXIT_AWS = 6,
	EXIT_NOAGENT = 7,
	EXIT_OURS = 125,
	EXIT_CANNOT = 126,
	EXIT_NOTFOUND = 127,
};

/* options.c: one table of options for all verbs. */

enum option_bit {
	OPT_PROFILE = 1 << 0,
	OPT_ACCOUNT = 1 << 1,
	OPT_ROLE = 1 << 2,
	OPT_SESSION = 1 << 3,
	OPT_REGION = 1 << 4,
	OPT_ENV = 1 << 5,
	OPT_WAIT = 1 << 6,
	OPT_NO_WAIT = 1 << 7,
	OPT_CORE = 1 << 8,
	OPT_NO_BROWSER = 1 << 9,
	OPT_HERE = 1 << 10,
	OPT_ALL = 1 << 11,
	OPT_CREDENTIALS = 1 << 12,
	OPT_JSON = 1 << 13,
	OPT_KEYRING = 1 << 14,
	OPT_CHECK = 1 << 15,
	OPT_FORMAT = 1 << 16,
	OPT_UNSET = 1 << 17,
	OPT_HELP = 1 << 18,
	OPT_VERSION = 1 << 19,
	OPT_SERVE = 1 << 20,
	OPT_FOR = 1 << 21,
	OPT_PENDING = 1 << 22,
	OPT_ALL_USERS = 1 << 23,
	OPT_DEVICE_CODE = 1 << 24,
	OPT_DESKTOP = 1 << 25,
	OPT_SOCKET = 1 << 26,
};

/* awsenv-ctl has more of them, 1 << 32 and on; a verb with this one takes more
 * than one profile. */
#define OPT_SEVERAL (1ull << 63)
#define OPT_WHO                                                            \
	(OPT_PROFILE | OPT_ACCOUNT | OPT_ROLE | OPT_SESSION | OPT_REGION | \
	    OPT_SOCKET)
#define OPT_WAITING (OPT_WAIT | OPT_NO_WAIT | OPT_NO_BROWSER | OPT_DEVICE_CODE)
#define OPT_RUN \
	(OPT_WHO | OPT_WAITING | OPT_ENV | OPT_SERVE | OPT_FOR | OPT_CORE)

/* An option that may be given several times, to awsenv-ctl. */
struct texts {
	const char *at[16];
	unsigned int n;
};

struct options {
	uint64_t given; /* option_bit */
	const char *profile;
	const char *account;
	const char *role;
	const char *session;
	const char *region;
	const char *socket;
	const char *format;
	const char *service; /* of the console */
	const char *page;
	int wait;	  /* seconds; -1: not said */
	uint32_t check;	  /* seconds */
	uint32_t seconds; /* the command is to last; 0: not said */
	/* of configure */
	const char *start_url;
	const char *sso_region;
	const char *names;
	const char *from;
	/* of forward */
	struct texts profiles; /* the last is `profile`, too */
	struct texts hosts;
	const char *end;
};

enum shape { FLAG, TEXT, SECONDS, DURATION, TEXTS };

struct option_row {
	char name[19];
	char letter;
	uint8_t shape;
	uint16_t offset;
	uint64_t bit;
	char text[56]; /* "VALUE\0help"; a pointer would cost a relocation */
};

/* Those of awsenv-ctl, which sets them as it starts. */
extern const struct option_row *options_more;
extern size_t options_nmore;

/*
 * Take options from the front of *argv, until a word that is none, or "--",
 * which is taken and reported. False: told the person what is wrong.
 */
bool options_take(struct options *, char ***argv, bool *dashes);
/* All that this program knows, up to NULL. */
const struct option_row *options_at(size_t);
/* That what was given goes with `allowed` and with itself. */
bool options_fit(const struct options *, uint64_t allowed, const char *verb);
/* The lines of --help on these options. */
void options_help(uint64_t allowed, struct buf *);
/* "90s", "15m", "2h", "90": seconds. */
bool duration_parse(const char *, uint32_t *seconds);
/* The most like the word of `count` names, each `step` bytes on, or NULL. */
const char *nearest(
    const char *word, const char *first, size_t count, size_t step);

/* verb.c */

#define VERB_NAME 11

struct verb {
	char name[VERB_NAME];
	uint64_t options;
	/* operands: argv ends with NULL; returns the exit status */
	int (*run)(const struct options *, char **argv);
	const char *text; /* "usage\0help": one relocation, not two */
};

/* Take the options that follow the verb, and do it. */
int verb_run(const struct verb *, struct options *, char **argv);
int verb_help(const struct verb *);
/* What it does, in a line. */
const char *verb_text(const struct verb *);

/* verbs.c: the table of verbs. */

const struct verb *verb_find(const char *name); /* NULL: none, a command */
/* Those of awsenv-ctl, up to an empty name; is it one? */
extern const char verbs_apart[][VERB_NAME];
bool verb_apart(const char *name);
/* All that awsenv does itself, up to NULL. */
const struct verb *verb_at(size_t);
/* The lines of `awsenv help`; a line more; the end, printed: its status. */
void help_begin(struct buf *);
void help_line(struct buf *, const char *name, const char *text);
int help_end(struct buf *);
int usage(void);

/* program.c: the other programs of ours. */

/* What this one was called with. */
extern char *const *program_argv;

/* Beside this one, else where it was installed. Returns if it is not there. */
void program_exec(const char *name, char *const *argv, char *const *env);
/* Have awsenv-ctl do it all; returns, with errno, where it is not. */
void ctl_exec(void);
/* Say so; returns the exit status. */
int ctl_missing(void);

/* format.c: enough of a printf. */

void format_put(struct buf *, const char *fmt, va_list);
/* False, and an empty string, if it does not fit. Takes no memory; `out` is no
 * argument, too. */
bool format(char *out, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* text.c: what people and scripts read. */

/* One write to stderr; warn() puts "awsenv: " before and ends the line. That is
 * not the libc's of that name, which the libraries of awsenv-ctl may call. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void warn(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), visibility("hidden")));
/* Append to a text that is written whole; nothing secret may pass by here. */
void text_add(struct buf *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The next character of a text; n is 0 where it is not UTF-8. */
struct text_char {
	const uint8_t *p;
	unsigned int n;
	uint32_t code;
	bool printable;
};

bool text_next(struct view *, struct text_char *);
/*
 * The view as printable UTF-8: what a terminal could take for a command, or a
 * reader for other text, becomes '?'. It lives until shown_forget(), which is
 * for who shows things day after day. Without memory all of it becomes '?', and
 * text_lost says so.
 */
const char *shown(struct view);
const char *shown_str(const char *);
void shown_forget(void);
extern bool text_lost;
/* What errno means, for the few that we meet; libc's words are 2 kB. */
const char *errno_text(void);
const char *error_text(enum aw_err); /* AW_SYSTEM: errno's */
/* strstr(3), whose clever one is 1 kB in musl. */
const char *find(const char *text, const char *part);
/* Write all to standard output; false, and told, if it did not take it or if a
 * text was lost. */
bool text_print(struct buf *);
#define ISO_TIME 24
void iso_time(char out[static ISO_TIME], uint64_t when); /* ...T12:00:00Z */
bool iso_read(const char *, uint64_t *when); /* only what iso_time() writes */
#define CLOCK_TIME 28
/* Local time, "14:05", with the date if that is not today. */
void clock_time(char out[static CLOCK_TIME], uint64_t when);
#define TIME_LEFT 32
void time_left(char out[static TIME_LEFT], uint64_t when); /* "47 minutes" */
uint64_t now(void);

/* json.c: messages as objects. */

enum json_form {
	JSON_END,
	JSON_TEXT,
	JSON_COUNT,
	JSON_NUMBER,
	JSON_BOOL,
	JSON_TIME,
	JSON_STATE,
};

/* Without pointers, each of which would cost a relocation. */
struct json_member {
	char name[15];
	uint8_t form;
	uint16_t offset;
};

void json_string(struct buf *, struct view);
/* The comma that may be needed, and the name if there is one. */
void json_name(struct buf *, const char *name);
void json_time(struct buf *, uint64_t when); /* null: none */
void json_members(struct buf *, const struct json_member *, const void *msg);

/* zone.c: seconds that local time is ahead of UTC; false: not known. */

bool zone_offset(uint64_t when, int32_t *offset);

/* child.c: fork(2); an exit_signal of 0 makes wait(2) blind for it. */

pid_t child_fork(int exit_signal);

/* ask.c: who is asked for, and the errors that an agent answers. */

/* A variable of our environment; an empty one is an unset one. */
const char *setting(const char *name);

struct question {
	struct ask ask;
	const char *profile; /* for messages; NULL: account and role */
	char config[PATH_MAX];
	char stamped[PATH_MAX];
	struct buf env;
	int look; /* stamp.c */
	pid_t looker;
};

/* NULL: none is named. */
const char *profile_chosen(const struct options *);
/* Starts to look at the config file; question_ready() waits for what it saw. */
enum aw_err question_begin(struct question *, const struct options *);
void question_ready(struct question *);
void question_end(struct question *);
/* The absolute path of the variable's file, else of the usual one in ~/.aws;
 * empty where there is no home. */
enum aw_err aws_file(
    const char *variable, const char *usual, char out[static PATH_MAX]);
/* "profile marketing", or "account ... role ..." */
const char *question_name(const struct question *);
/* Tell the person what the agent answered. Returns the error. */
enum aw_err complain(const struct question *, uint32_t error, struct view text);
int exit_of(enum aw_err);

/* stamp.c: a look at a file that cannot keep us, whatever its file system. */

void stamp_begin(const char *path, int *look, pid_t *looker, struct stamp *);
void stamp_end(int look, pid_t looker, struct stamp *);

/* agent.c: the connection. */

struct agent {
	char path[CLIENT_PATH];
	int fd;
	bool answered; /* it did, on some connection */
	uint8_t found;
	const char *passed; /* why not the one that ssh forwards, or NULL */
};

/* How it was found, in the order of the search. */
enum found { FOUND_OPTION, FOUND_FORWARDED, FOUND_VARIABLE, FOUND_USUAL };

enum agent_start { AGENT_AS_IS, AGENT_START, AGENT_LOGIN, AGENT_START_HERE };

/* --socket, or NULL. */
extern const char *agent_socket;

/* Where an agent of this host is looked for; as client_path(). */
enum aw_err agent_path(char path[static CLIENT_PATH]);
/* Where ssh brings one along, if what it brings is one of ours. False: it brings
 * none. */
bool agent_forwarded(char path[static CLIENT_PATH]);
/* Look for one that runs, with `here` none that ssh forwards, and connect; tells
 * nothing, errors are those of client_path() and client_connect(). */
enum aw_err agent_find(struct agent *, bool here);
/* "since ssh forwards it", and one word of it for programs. */
const char *agent_since(const struct agent *);
const char *agent_found(const struct agent *);
/* Why nobody answers on that path. */
const char *agent_nobody(const char *path);
/* In an SSH session with no agent of its own named: what is started here, root
 * here holds. */
bool agent_foreign(void);
/* What to add to a refusal that sudo explains; mostly "". */
const char *agent_sudo_hint(void);
/* AGENT_AS_IS: only one that runs. The others start one where it is proper;
 * root by sudo gets one for a login only. */
enum aw_err agent_open(struct agent *, enum agent_start);
void agent_close(struct agent *);
/*
 * One request, repeated while brokers die, for 30 s. `frame` keeps what the
 * views of *rep point to. AW_OK: see the reply's own error.
 */
enum aw_err agent_ask(struct agent *, const char *name, enum msg_kind req_kind,
    const void *req, enum msg_kind rep_kind, void *rep, struct buf *frame,
    int ms);
/* A list, which comes in pages, as one list of messages. */
enum aw_err agent_list(struct agent *, enum list_what, struct buf *items);

/* A question and the agent that it is for. */
struct talk {
	struct question question;
	struct agent agent;
	struct buf frame;
};

/* Look at the config file and connect, both at once. */
enum aw_err talk_begin(struct talk *, const struct options *, enum agent_start);
void talk_end(struct talk *);

/* The error of an answer, told; not with words for a login that would have to
 * be begun where the agent is. */
enum aw_err talk_refused(const struct talk *, uint32_t error, struct view text);
enum aw_err talk_status(struct talk *, struct status_rep *);
/* For each profile that may be used, or that the config file has. */
enum aw_err talk_profiles(
    struct talk *, void (*each)(const struct profile_item *, void *), void *);

/* daemon.c */

/* Start an agent and connect to it. */
enum aw_err daemon_start(struct agent *);

/* creds.c */

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define SMALL "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define REGION 64

bool made_of(struct view, const char *alphabet, uint32_t least, uint32_t most);
bool is_region(struct view);

struct given {
	struct creds_rep rep;
	struct creds creds;
	char region[REGION]; /* to be set; may be empty */
	struct buf frame;
};

enum creds_how {
	CREDS_HALF = 1,	 /* they will be frozen: half of their life left */
	CREDS_LOGIN = 2, /* show the login where a person looks */
	CREDS_AS_IS = 4, /* of an agent that runs */
};

/* Credentials whose every part has been checked against its alphabet; to be
 * freed if AW_OK. */
enum aw_err creds_get(const struct options *, unsigned int how, struct given *);
void creds_free(struct given *);

/* environ.c: pure. Lists are "NAME=value\0" as in msg.h. */

/* "NAME\0NAME\0": all that we set, and all that would beat or break it. */
extern const char environ_ours[];
extern const char environ_conflicts[];
/* What a command is given, in the order of environ_ours; the credentials
 * themselves only if they are `frozen`. */
void environ_set(const struct given *, bool frozen, struct buf *list);
/* May the profile's settings have this one? */
bool environ_setting(struct view entry);
/* Does the environment have that entry's variable? */
bool environ_has(char *const *env, struct view entry);
/*
 * A new environment: `old` without ours and conflicting variables and those of
 * `set`, then `set`, then those settings whose variable is not there yet.
 * Entries point into the arguments; the array is the caller's to free. NULL: no
 * memory.
 */
char **environ_make(char *const *old, struct view set, struct view settings);

/* run.c */

int run(const struct options *, char **argv);
int exec_verb(const struct options *, char **argv);
/* Replace this process; returns 126 or 127 with errno. */
int exec_search(char *const *argv, char *const *env);
/* What the shell that called us did with SIGPIPE, before main() ignored it. */
void sigpipe_ignore(void);
void sigpipe_restore(void);

/* lasts.c */

/* Do keys, or the login where they are renewed, last as long as the options ask
 * for? False: told how long they do. */
bool lasts(const struct options *, const struct given *, bool is_endpoint);

/* serve.c */

/* Start an endpoint for this process and what it becomes, whose first answer is
 * given; its variables go to the list. */
enum aw_err serve_begin(
    const struct options *, const struct given *, struct buf *list);

/* view.c */

/* Views of the user's files, where they are needed; variables that lead to them
 * go to the list. */
enum aw_err view_make(struct buf *list);
void view_remove(void);
/* What is left of the text, in its place; did [default] have credentials? */
size_t view_filter(char *text, bool *shadows);

/* http.c */

#define HTTP_MOST 4096 /* of a request */
#define HTTP_PATH "/credentials"
/* The status that what came so far of a request deserves; 0: more is to come. */
unsigned int http_judge(struct view text, const char *host, const char *token);

/* login.c */

/* How long one request waits for a login. */
struct patience {
	int times;
	int64_t end; /* where it may only ask again; 0: not begun */
};

/*
 * A request was refused for want of a login, with that text. If a person looks,
 * or one asked to wait: have it shown by awsenv-ctl, and wait until there is a
 * token. true: ask once more. Else *error says what was told of it meanwhile;
 * AW_OK: nothing, the refusal stands.
 */
bool login_wait(struct patience *, const struct talk *, const struct options *,
    struct view text, enum aw_err *error);

/* brief.c: the status of an agent that tells little of itself, and all that
 * there is where awsenv-ctl is not. */

int brief_verb(const struct options *, char **argv);
/* Returns the exit status. */
int brief_print(
    struct talk *, const struct options *, const struct status_rep *);

/* export.c, process.c, prompt.c, whoami.c */

int export_verb(const struct options *, char **argv);
/* What export prints, without `given` for --unset. False: told why not. */
bool export_write(const char *format, const struct given *, struct buf *out);
int process_verb(const struct options *, char **argv);
/* One object: of a container's endpoint, or of a credential_process. */
void process_json(struct buf *, const struct given *, bool container);
int prompt_verb(const struct options *, char **argv);
int whoami_verb(const struct options *, char **argv);

#endif
