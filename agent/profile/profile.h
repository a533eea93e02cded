/* SPDX-License-Identifier: ISC */
/*
 * The profile reader's rooms, grouped by file. main -> table -> {config ->
 * ini, resolve -> {dialect, login -> endpoint}}; arena, map, text and check
 * serve them all. Everything that is read lives in one arena until the
 * process, or the test, ends; views point into it and are never freed.
 */
#ifndef AWSENV_PROFILE_H
#define AWSENV_PROFILE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "awsenv/buf.h"
#include "awsenv/err.h"
#include "awsenv/msg.h"

/* arena.c: memory that is given back all at once. No memory is fatal. */

struct arena {
	struct arena_block *blocks;
};

void *arena_alloc(struct arena *, size_t); /* zeroed */
struct view arena_copy(struct arena *, struct view);
/* One NUL follows the view, so that .p serves as a C string. */
struct view arena_printf(struct arena *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *);

/* map.c: (space, bytes) -> pointer. Keys are borrowed. */

struct map {
	struct map_slot *slots;
	size_t cap;
	size_t used;
};

void *map_get(const struct map *, uint32_t space, struct view key);
/* Where the value of the key is, made NULL if new; good until the next call. */
void **map_at(struct map *, uint32_t space, struct view key);
void map_free(struct map *);

/* text.c: UTF-8, blanks, shell words, and texts for people. */

#define TEXT_MAX 300

/* For "%.*s" in a text for people: a name, but never all of the line. */
#define NAME_ARG(v) (int)((v).n > 60 ? 60 : (v).n), (const char *)(v).p

bool text_is_utf8(struct view);
/* UTF-8 without control characters, and nothing that turns a line around. */
bool text_is_printable(struct view);
bool text_is_ascii(struct view); /* 0x21 to 0x7e */
/* Without the white space of Unicode at both ends, as Python strips it. */
struct view text_strip(struct view);
/* How many characters of white space it begins with. */
uint32_t text_indent(struct view);
/* At the first byte c; false, with *a all of v, if there is none. */
bool text_split(struct view v, char c, struct view *a, struct view *b);
bool text_starts(struct view, const char *);
bool text_ends(struct view, const char *);
/* As Python's shlex.split(): how many words, or -1 if a quote stays open or
 * there are more than max. */
int text_words(struct arena *, struct view, struct view *words, int max);
/* A printable line of at most TEXT_MAX bytes. */
struct view text_make(struct arena *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct view text_vmake(struct arena *, const char *fmt, va_list)
    __attribute__((format(printf, 2, 0)));

/* check.c: alphabets, before anything becomes part of a host name or a request. */

bool check_account(struct view); /* 12 digits */
bool check_role(struct view);	 /* a permission set's name */
bool check_region(struct view);
bool check_role_arn(struct view);
bool check_session_name(struct view); /* of AssumeRole */
bool check_external_id(struct view);
bool check_scopes(struct view);
bool check_loopback(struct view host);
/* https, or http to this machine; printable ASCII. */
bool check_start_url(struct view);

struct url {
	struct view scheme;
	struct view user; /* with the password, without the "@" */
	struct view host; /* without the brackets of IPv6 */
	struct view port;
	struct view rest; /* path and what follows */
};

bool check_url(struct view, struct url *);
/* "true" or "false" in any case, as botocore reads them. */
bool check_bool(struct view, bool *);

/* config.c and ini.c: files, sections, keys. */

#define CONFIG_FILE_MAX (16 * 1024 * 1024)
#define CONFIG_LINE_MAX (64 * 1024)
#define CONFIG_PROFILES_MAX 100000
#define CONFIG_NAME_MAX 256
#define CONFIG_PATH_MAX 4096
#define CONFIG_PROBLEMS_MAX 100 /* for each file */

enum section_kind {
	SECTION_NONE, /* read over: its header, or its kind, means nothing here */
	SECTION_DEFAULTS, /* [DEFAULT] */
	SECTION_PROFILE,
	SECTION_SESSION,
	SECTION_SERVICES,
	SECTION_AWSENV,
};

struct file {
	struct view path;
	struct view shown; /* "~/.aws/config" */
	bool admin;	   /* below /etc/awsenv */
	uint32_t problems;
};

struct entry {
	struct view key;   /* lower case, but not in a block */
	struct view value; /* with all its lines; empty where a block follows */
	struct file *file;
	uint32_t line;
	uint32_t block; /* "s3 =": id of the indented lines below, in keys */
	struct entry *next;
};

/*
 * What one file says under one name. A user's section stands on the
 * administrator's of the same name: what it does not say, `below` does.
 */
struct section {
	enum section_kind kind;
	uint32_t id;
	struct view name;
	bool prefixed; /* [profile default], not [default] */
	const struct file *file;
	uint32_t line;
	struct entry *first;
	struct entry *last;
	const struct section *defaults; /* [DEFAULT] of the same file */
	const struct section *below;
	const struct section *include; /* aws-vault's include_profile */
	struct section *next;	       /* in the order they were read */
};

/* For "%.*s:%u" in a text for people: where a key or a section stands. */
#define AT(e)                                                       \
	(int)((e)->file->shown.n > 100 ? 100 : (e)->file->shown.n), \
	    (const char *)(e)->file->shown.p, (e)->line

struct problem {
	const struct file *file;
	uint32_t line;
	struct view text;
	struct problem *next;
};

struct config {
	struct arena arena;
	struct map names; /* kind, name -> the uppermost section */
	struct map keys;  /* id of a section or a block, key -> entry */
	struct map urls;  /* id of a services section -> its variables */
	struct section *first, *last;
	struct problem *problem, *last_problem;
	struct view home;		    /* empty: unknown */
	const struct section *only_session; /* NULL: none, or several */
	uint32_t ids;
	uint32_t profiles;
};

/* Read the text of one file on top of what is there. */
void ini_parse(struct config *, struct file *, struct view text);

/*
 * Read `admin`/config, `admin`/config.d/ *.conf and, unless these switch awsenv
 * off, the user's file. They may all be absent. AW_SYSTEM: a file is there but cannot be read now, which is
 * told as the last problem: what was read before had better stay.
 */
enum aw_err config_read(
    struct config *, const char *admin, struct view path, struct stamp *);
void config_free(struct config *);
struct file *config_file(struct config *, struct view path, bool admin);
void config_problem(struct config *, struct file *, uint32_t line,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The uppermost section of that name, or NULL. */
struct section *config_section(
    const struct config *, enum section_kind, struct view name);
bool config_is_top(const struct config *, const struct section *);
/* What the section, or what it stands on, says of the key; or NULL. */
const struct entry *config_get(
    const struct config *, const struct section *, const char *key);
/* What its own file alone says of it, in the section or in [DEFAULT]. */
const struct entry *config_in_file(
    const struct config *, const struct section *, const char *key);
/* The same for "KEY =" and an indented line "SUBKEY = value" below it. */
const struct entry *config_nested(
    const struct config *, const struct entry *, const char *subkey);
/* The value; empty also where the section or the key is not there. */
struct view config_value(
    const struct config *, const struct section *, const char *key);
bool config_true(
    const struct config *, const struct section *, const char *key);
/* The administrator's word is all that counts on this section. */
bool config_enforced(const struct config *, const struct section *);
/* Does it say anything but false in one of the files that have the section, or
 * that it includes? */
bool config_strict(
    const struct config *, const struct section *, const char *key);
/* What a section names: with `admin` the administrator's of that name, whatever
 * a user's file has put on top of it. */
const struct section *config_named(
    const struct config *, enum section_kind, struct view name, bool admin);
/* The administrator's "enabled = false" in [awsenv], or NULL. */
const struct entry *config_off(const struct config *);
/* "~" and "~/x" by the home directory; false for a relative path. */
bool config_path(struct config *, struct view value, struct view *path);
/* Read a regular file of at most `max` bytes into the arena. 0 or an errno. */
int config_slurp(struct config *, const char *path, size_t max,
    struct view *text, struct stamp *);
/* Is it a key that awsenv reads, or one of the SDKs that says whose it is? */
bool config_is_known(struct view key);

/* endpoint.c: which hosts. */

/* How a profile, or nobody, reaches AWS. Where a function gives false, `why`
 * says what cannot be used. */
struct reach {
	struct config *config;
	const struct section *profile; /* NULL: the environment alone */
	struct view env;
	struct view why;
	/* `profile` is enforced: no variable that says the same counts */
	bool enforced;
};

enum service { SERVICE_OIDC, SERVICE_PORTAL, SERVICE_STS };

/* What the settings put in its place; *url is empty if nothing. */
bool endpoint_override(struct reach *, enum service, struct view *url);
/* The base URL, all settings counted. */
bool endpoint_url(
    struct reach *, enum service, struct view region, struct view *url);
/* Is it one of AWS's own for this service and region? */
bool endpoint_is_aws(
    struct arena *, enum service, struct view region, struct view url);
/* The profile's own region, which it need not have. */
bool endpoint_region(struct reach *, struct view *region);
/* STS's URL and the region to sign for. `fallback` where none is configured. */
bool endpoint_sts(struct reach *, struct view fallback, struct view *url,
    struct view *region);

/* login.c: sessions, and what a login is bound to. */

struct table;

/* Where a profile logs in, and as what; NULL: not said. */
struct sso {
	const struct section *session; /* NULL: the legacy form */
	/* Enforced, and so all that says where the login is made; or NULL */
	const struct section *guard;
	const struct entry *start_url;
	const struct entry *region;
	const struct entry *scopes;
	const struct entry *account;
	const struct entry *role;
};

struct session_row {
	struct session msg;
	struct session_row *next;
};

/* The row of this login, made if it is the first of its kind; NULL: *why. */
struct session_row *login_row(struct table *, const struct section *profile,
    const struct sso *, struct view *why);
/* The rows of the sections themselves, and what legacy profiles join. */
void login_bare(struct table *);
/* What an sso-session says. */
void login_session(const struct config *, const struct section *, struct sso *);
/* SHA-256 */
struct view login_digest(struct arena *, struct view);

/* dialect.c: what other tools write into a profile. */

/* The value of sso_X, or of granted's granted_sso_X; or NULL. */
const struct entry *dialect_sso(
    const struct config *, const struct section *, const char *key);
/*
 * What a credential_process stands for: another profile, or an account and a
 * role of an sso-session; with `admin`, of the administrator's. False: *why
 * tells; empty: another program's.
 */
bool dialect_process(struct config *, const struct entry *process, bool admin,
    const struct section **profile, struct sso *, struct view *why);

/* resolve.c: one profile. */

struct profile_row {
	struct profile msg;
	struct profile_row *next;
};

void resolve_profile(
    struct table *, const struct section *, struct profile_row *);

/* Keep a chain, and what it and STS are known by. False: too long. */
bool resolve_chain(struct arena *, const struct buf *steps, struct view sts,
    struct view *chain, struct view *digest);

/* forward.c: what a far side of ssh may have. */

bool forward_is_word(struct view);
/* Fingerprints of host keys; false: *wrong is none. */
bool forward_is_hosts(struct view, struct view *wrong);
/* First each profile with the sections that speak for it, the nearest first;
 * then, when all are noted, what became of it. */
void forward_note(struct table *, const struct section *const *places, size_t n,
    const struct profile *);
void forward_decide(struct table *, struct profile *);
/* For an account and a role that no profile names; the section may be NULL. */
void forward_session(struct config *, const struct section *, struct session *);

/* narrow.c: and how little of it. */

/* In seconds or as "90s", "15m", "1h"; most at 7 days. */
bool narrow_is_time(
    struct view, uint32_t least, uint32_t most, uint32_t *seconds);
/* The same, of 15 minutes to 12 hours. */
bool narrow_is_duration(struct view, uint32_t *seconds);
/* A policy as AWS takes it; else why it does not. */
const char *narrow_policy(struct arena *, struct view, struct view *compact);
/* p->far_chain and far_digest, from p->chain; 0 or NULL: nothing is said of
 * that. False: too long. */
bool narrow_chain(struct table *, struct profile *, uint32_t seconds,
    const struct entry *policy);

/* settings.c: what the command would lose with AWS_PROFILE. */

/* A list of NAME=value; only what the config says, the environment is still
 * the command's own. */
void settings_list(struct reach *, struct buf *list);

/* agent.c: section [awsenv], what is said to the agent itself. */

bool agent_is_key(struct view);
/* Tell what cannot be used. */
void agent_tell_entry(struct config *, const struct entry *);
/* A list of NAME=value: what is said, paths resolved, and of the right form. */
void agent_settings(struct config *, struct buf *list);

/* table.c: all of it, and handing it over. */

struct table {
	struct config config;
	struct view env;
	struct map logins;  /* digest -> session_row */
	struct map bundles; /* path -> CA bundle */
	struct map places;  /* start URL, region -> sso-session, or spelling */
	struct map rules;   /* of forwarding: account/role, or an ARN */
	struct session_row *session, *last_session;
	struct profile_row *profile, *last_profile;
	struct stamp stamp;
	struct view off;
	struct buf settings; /* of the agent itself */
	uint32_t sessions;
	uint32_t profiles;
	bool broken; /* a file could not be read: no MSG_TABLE_END */
};

/* AW_OK; AW_SYSTEM: a file is there but cannot be read now: table_send() then
 * has the reasons, and what was read before had better stay. */
enum aw_err table_read(struct table *, const char *admin,
    const struct read_req *, const char *home);
typedef enum aw_err table_sink(void *arg, enum msg_kind, const void *msg);
/* Give each message to `sink`, in order. */
enum aw_err table_send(const struct table *, table_sink *, void *arg);
void table_free(struct table *);

/* sandbox.c: from here on it only reads, as far as this kernel sees to it. */
void sandbox_enter(void);

#endif
