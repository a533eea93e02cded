/* SPDX-License-Identifier: ISC */
/*
 * Every message between programs: one struct here, one row of fields in
 * msg.c. Fields stand on the wire in the order of the struct, without padding:
 *
 *	uint8_t, uint32_t, uint64_t	big endian; a uint8_t in a row marked
 *					BOOL is 0 or 1
 *	struct view			u32 length, then the bytes (RFC 4251 string)
 *
 * A view may hold a list: entries "text\0" one after the other, or messages
 * of one kind, each as u32 length and body (msg_append, msg_each).
 *
 * Part one travels on the agent's socket and is frozen at release: see
 * agent/broker/PROTOCOL, which is its specification. Part two stays between our
 * own processes of one version; its messages begin with MSG_VERSION.
 *
 * Times are seconds since 1970, UTC, by this machine's clock; 0 means "none".
 */
#ifndef AWSENV_MSG_H
#define AWSENV_MSG_H

#include "awsenv/buf.h"
#include "awsenv/err.h"

#define MSG_VERSION 1

enum msg_kind {
	MSG_EMPTY,
	/* part one: client and agent */
	MSG_CREDS_REQ,
	MSG_CREDS_REP,
	MSG_CREDS, /* sealed by the fetcher, opened by the client */
	MSG_LOGIN_REQ,
	MSG_WAIT_REQ,
	MSG_LOGIN_REP,
	MSG_STATUS_REQ,
	MSG_STATUS_REP,
	MSG_LIST_REQ,
	MSG_LIST_REP,
	MSG_LOGIN_ITEM,
	MSG_ROLE_ITEM,
	MSG_KEY_ITEM,
	MSG_PROBLEM_ITEM,
	MSG_LOGOUT_REQ,
	MSG_LOGOUT_REP,
	MSG_WHOAMI_REQ,
	MSG_WHOAMI_REP,
	MSG_DONE_REP,
	MSG_NUDGE_REQ, /* answered by MSG_LOGIN_REP */
	MSG_WATCH_REQ,
	MSG_WATCH_REP,
	MSG_PROFILES_REQ,
	MSG_PROFILES_REP,
	MSG_PROFILE_ITEM,
	MSG_GRANTS_REQ,
	MSG_GRANTS_REP,
	MSG_GRANT_ITEM,
	MSG_RELAY_REP,
	MSG_QUESTIONS_REQ,
	MSG_QUESTIONS_REP,
	MSG_QUESTION_ITEM,
	MSG_ANSWER_REQ, /* answered by MSG_DONE_REP */
	MSG_FORWARD_REQ,
	MSG_FORWARD_REP,
	MSG_FORWARD_ITEM,
	MSG_LOG_REQ,
	MSG_LOG_REP,
	MSG_LOG_ITEM,
	MSG_LOCK_REQ,	/* answered by MSG_DONE_REP */
	MSG_SCREEN_REQ, /* answered by MSG_DONE_REP */
	/* part two: between our own processes */
	MSG_ADOPT_REQ, /* answered by MSG_DONE_REP */
	MSG_READ,
	MSG_SESSION,
	MSG_PROFILE,
	MSG_TABLE_END,
	MSG_FACTS,
	MSG_STEP,
	MSG_FETCH,
	MSG_ANSWER,
	MSG_HINT,
	MSG_TOK,
	MSG_REF,
	MSG_DEV,
	MSG_RECORD,
	MSG__MAX
};

/* Part one: client and agent. */

/*
 * Who is asked for, as the client sees it. A local client says which config
 * file it means and what it saw there; `config` empty means ~/.aws/config of
 * the agent's user. A stamp that is all zero says "no such file", one with
 * mtime STAMP_UNKNOWN "could not look" (its file system hangs): the agent then
 * uses the last table it read. `env` lists the client's variables of
 * agent/broker/PROTOCOL "environment" that are set. Profile, or account and role
 * (with or without session), or nothing: then the profile "default".
 */
#define STAMP_UNKNOWN UINT64_MAX

struct stamp {
	uint64_t dev;
	uint64_t ino;
	uint64_t size;
	uint64_t mtime; /* nanoseconds */
};

struct ask {
	struct view config; /* absolute path, <= 4096 bytes */
	struct stamp stamp;
	struct view env; /* list of NAME=value */
	struct view profile;
	struct view session; /* name of an sso-session */
	struct view account; /* 12 digits, or a name as ListAccounts gives it */
	struct view role;
};

struct creds_req {
	struct ask ask;
	/* least time left that is wanted; 0: the agent's rule */
	uint32_t seconds;
	uint8_t half; /* BOOL: at least half of the credentials' life left */
};

struct creds_rep {
	/* enum aw_err; all that follows is empty unless AW_OK */
	uint32_t error;
	struct view text;
	struct view profile;
	struct view account; /* 12 digits */
	struct view role;
	struct view region;   /* of the profile; may be empty */
	struct view settings; /* list of NAME=value for the command */
	struct view notice;   /* one line the person should see; mostly empty */
	struct view sealed;   /* an encoded MSG_CREDS */
};

struct creds {
	uint64_t expires;
	struct view access_key;
	struct view secret_key;
	struct view session_token;
};

struct login_req {
	struct ask ask;
	/* BOOL: a browser on this machine can be opened: sign in by that */
	uint8_t desktop;
};

struct wait_req {
	uint64_t ticket;
	uint8_t seen; /* enum login_state the client has shown */
	/* hold the reply this long, <= 30, while nothing changes */
	uint32_t seconds;
};

enum login_state {
	LOGIN_NONE = 0,	    /* no token, and nobody asked for one */
	LOGIN_STARTING = 1, /* AWS has been asked for a code */
	LOGIN_PENDING = 2,  /* URL and code are known; a person must approve */
	LOGIN_DONE = 3,	    /* a token is there */
	LOGIN_FAILED = 4,   /* see text; a new login@awsenv starts anew */
};

struct login_rep {
	uint32_t error;
	struct view text; /* with LOGIN_FAILED: why */
	uint8_t state;	  /* enum login_state */
	uint64_t ticket;
	/* sso-session, or the start URL of a legacy profile */
	struct view session;
	struct view url; /* verbatim, https or loopback http, printable ASCII */
	struct view code;     /* empty: a browser on this machine needs none */
	uint64_t until;	      /* URL and code are good until then */
	uint64_t expires;     /* LOGIN_DONE: of the access token */
	struct view person;   /* LOGIN_DONE: who approved; empty if unknown */
	struct view before;   /* who it was the last time; empty if unknown */
	struct view expected; /* awsenv_identity of the profile, or empty */
	struct view browser;  /* awsenv_browser: what opens the URL, or empty */
	struct view notice;   /* "NOT AWS: endpoint https://..." or empty */
	struct view host;     /* machine the agent runs on */
	uint32_t qr_width;    /* modules per side, 0: none */
	/* rows of (qr_width + 7) / 8 bytes, 1 = dark, MSB left */
	struct view qr;
};

struct status_req {
	struct ask ask;
};

/* The agent, and what it knows of the profile that was asked for. */
struct status_rep {
	uint32_t error;
	struct view text;
	struct view version;
	uint32_t agent_pid;
	uint32_t broker_pid;
	uint64_t started;
	uint32_t restarts;   /* of the broker */
	uint8_t protected_;  /* BOOL: same-user protection is on */
	struct view sandbox; /* what confines the broker, in words */
	uint32_t keys_used;  /* of this user, by all programs */
	uint32_t keys_max;
	uint32_t bytes_used;
	uint32_t bytes_max;
	uint32_t ring;	 /* serial of our ring */
	uint32_t skew;	 /* seconds, two's complement: AWS's clock minus ours */
	uint32_t logins; /* how many entries list@awsenv has of each */
	uint32_t roles;
	uint32_t keys;
	uint32_t problems;
	uint32_t profiles; /* that this client may use */
	uint8_t locked;	   /* BOOL: by lock@awsenv */
	uint8_t screen;	   /* BOOL: by screen@awsenv */
	/* of the profile; state LOGIN_NONE and zeros if there is no such one */
	uint32_t profile_error; /* enum aw_err */
	struct view profile_text;
	struct view profile;
	struct view session;
	struct view account;
	struct view role;
	uint8_t login_state;
	uint64_t login_expires; /* of the access token */
	uint8_t refreshable;	/* BOOL: a new one comes without a person */
	uint64_t role_expires;
};

enum list_what {
	LIST_LOGINS = 0,
	LIST_ROLES = 1,
	LIST_KEYS = 2,
	LIST_PROBLEMS = 3,
};

struct list_req {
	uint8_t what;
	uint32_t from; /* index of the first entry wanted */
};

struct list_rep {
	uint32_t error;
	struct view text;
	uint32_t next;	   /* index to go on with; 0: that was all */
	struct view items; /* list of messages: MSG_LOGIN_ITEM, ... by `what` */
};

struct login_item {
	struct view session;
	struct view start_url;
	struct view region;
	uint8_t state;
	uint64_t expires; /* access token */
	uint8_t refreshable;
	struct view person;
	struct view notice;
};

struct role_item {
	struct view session;
	struct view account;
	struct view role;
	struct view access_key;
	uint64_t obtained;
	uint64_t expires;
	uint8_t in_memory; /* BOOL: the keyring had no room */
};

struct key_item {
	uint32_t serial;  /* 0: in memory */
	struct view kind; /* "role", "tok", "ref", "dev", "lock" */
	struct view label;
	uint32_t size;	  /* bytes of payload */
	uint64_t timeout; /* when the kernel drops it */
};

struct problem_item {
	struct view file;
	uint32_t line;	  /* 0: the file as a whole */
	struct view text; /* what is wrong and the cure */
};

enum logout_what {
	LOGOUT_ONE = 0,	  /* the login of `ask` and its role credentials */
	LOGOUT_ALL = 1,	  /* all of them */
	LOGOUT_CREDS = 2, /* role credentials only; logins stay */
};

struct logout_req {
	struct ask ask;
	uint8_t what;
};

struct logout_rep {
	uint32_t error; /* AW_NETWORK: forgotten here, but AWS was not told */
	struct view text;
	uint32_t logins; /* how many were forgotten */
	uint32_t roles;
	struct view lines; /* list: one line for each login, for a person */
};

struct whoami_req {
	struct ask ask;
};

struct whoami_rep {
	uint32_t error;
	struct view text;
	struct view profile;
	struct view session;
	struct view account;
	struct view role;
	struct view arn;
	struct view user_id;
	struct view person; /* session name part of the ARN */
	struct view region;
	uint64_t expires; /* role credentials */
};

/* Reply of requests that have nothing to tell: stop@awsenv. */
struct done_rep {
	uint32_t error;
	struct view text;
};

enum nudge_what {
	NUDGE_LOGIN = 0,  /* a session on this machine began */
	NUDGE_UNLOCK = 1, /* somebody is back at it */
	NUDGE_GONE = 2,	  /* one ended; a hint, others may not be told */
	NUDGE_LOOK = 3,	  /* nothing new: is there a code to show? */
};

enum nudge_start {
	NUDGE_EAGER = 0, /* begin the logins that the config file wants */
	NUDGE_LAZY = 1,	 /* none before somebody asks for credentials */
	NUDGE_OFF = 2,
};

/* What the PAM module says. The reply tells the login to be shown, if any. */
struct nudge_req {
	uint8_t what;
	uint8_t start;
	uint32_t ms; /* hold the reply this long, <= 10000, for a code */
	struct view service; /* for the log: of PAM */
	struct view tty;
	struct view rhost;
	uint8_t last; /* BOOL: log out when no session is left */
};

/* What a desktop asks again and again: the login that changed next. */
struct watch_req {
	uint64_t seen;	  /* the last change that was told; 0: none yet */
	uint32_t seconds; /* hold the reply this long, <= 3600 */
};

struct watch_rep {
	uint32_t error;
	struct view text;
	uint64_t change;     /* to be `seen` of the next request */
	uint8_t refreshable; /* BOOL: a new token comes without a person */
	struct view login;   /* an encoded MSG_LOGIN_REP; empty: none changed */
};

/* The profiles of the config file that `ask` names, which says nothing else. */
struct profiles_req {
	struct ask ask;
	uint32_t from; /* index of the first one wanted */
};

struct profiles_rep {
	uint32_t error;
	struct view text;
	uint32_t next;	   /* 0: that was all */
	struct view items; /* list of MSG_PROFILE_ITEM */
};

struct profile_item {
	struct view name;
	uint32_t line;	  /* of its section */
	uint32_t error;	  /* it cannot be used ... */
	struct view text; /* ... because; the rest but the name is empty then */
	struct view session; /* empty: it has none of a name */
	struct view start_url;
	struct view sso_region;
	struct view account; /* of a chain, its first role's */
	struct view role;
	struct view chain; /* ARN of the role that a chain ends in, or empty */
	struct view region;
	uint8_t login_state;
	uint64_t login_expires;
	uint8_t refreshable; /* BOOL */
	uint64_t expires;    /* role credentials that are held; 0: none */
	struct view browser; /* awsenv_browser: what opens pages, or empty */
};

/* What a login may use at AWS: every account and role, as they become known. */
struct grants_req {
	struct ask ask;
	uint64_t listing; /* as the reply before had it; 0: a fresh one */
	uint32_t from;	  /* as its `next` */
};

struct grants_rep {
	uint32_t error;
	struct view text;
	/* another than was asked for: it begins anew, with `items` */
	uint64_t listing;
	uint32_t accounts; /* that there are; grows */
	uint32_t done;	   /* those whose roles are known */
	uint8_t complete;  /* BOOL: nothing comes behind `next` */
	uint32_t next;
	struct view items; /* list of MSG_GRANT_ITEM */
};

struct grant_item {
	struct view account; /* 12 digits */
	struct view name;
	struct view email;
	struct view role;
	uint64_t expires; /* role credentials that are held; 0: none */
};

/* What the agent would have the person say. */
struct relay_rep {
	uint32_t error;
	struct view text;
	struct view path; /* of the user's own ssh-agent; empty: none */
	uint8_t how;	  /* UPSTREAM_NAMED, ... of link.h; 0: none */
	struct view why;  /* it is not relayed to; empty: it answers */
	uint8_t all;	  /* BOOL: awsenv_ssh_relay = all */
	uint8_t proxy;	  /* BOOL: awsenv_ssh_proxy = true */
};

struct questions_req {
	uint64_t seen;	  /* `change` of the reply before; 0: none yet */
	uint32_t seconds; /* hold the reply this long, <= 3600 */
};

struct questions_rep {
	uint32_t error;
	struct view text;
	uint64_t change;   /* to be `seen` of the next request */
	struct view items; /* list of MSG_QUESTION_ITEM: all that wait now */
};

enum answer_what {
	ANSWER_NO = 0,
	ANSWER_ONCE = 1, /* this use */
	ANSWER_PEER = 2, /* all of the connection that it came by */
	ANSWER_HOUR = 3, /* all of the same kind for an hour */
};

struct question_item {
	uint64_t id;
	uint64_t until;	     /* then it is a no */
	uint8_t answers;     /* 1 << ANSWER_...: those that may be given */
	uint8_t remote;	     /* BOOL */
	struct view profile; /* empty: account and role were named */
	struct view session;
	struct view account;
	struct view role;
	struct view chain; /* ARN of the role that a chain ends in, or empty */
	struct view host;  /* of the first bind; empty: unknown */
	/* What follows is what others say. */
	struct view hops;     /* list of texts */
	struct view programs; /* "awsenv < make < bash" */
	struct view folder;
};

struct answer_req {
	uint64_t id;
	uint8_t answer; /* enum answer_what */
};

enum forward_what {
	FORWARD_OPEN = 0, /* a further socket, for one purpose */
	FORWARD_LIST = 1,
	FORWARD_END = 2,
	FORWARD_KEEP = 3, /* a bound one, on another connection */
};

struct forward_req {
	struct ask ask; /* which config file; says nothing else */
	uint8_t what;
	/* a number of the client's own, which tells one repeated from a new */
	uint32_t id;
	struct view profiles; /* list of texts, 1 to 16 */
	struct view hosts;    /* list of fingerprints; empty: any */
	uint32_t seconds;     /* until it ends; 0: with the agent */
	uint8_t confirm;      /* BOOL: the person is asked at each use */
	uint8_t bound;	      /* BOOL: it ends with this connection */
};

struct forward_rep {
	uint32_t error;
	struct view text;
	struct view items; /* list of MSG_FORWARD_ITEM */
};

struct forward_item {
	struct view name; /* "forward-1a2b3c4d", by its number */
	struct view path;
	struct view profiles;
	struct view hosts;
	uint64_t until; /* 0: ends with the agent */
	uint8_t confirm;
	uint8_t bound; /* BOOL: ends with whoever made it */
};

/* What was handed out and what was refused, as far as the agent remembers. */
struct log_req {
	uint64_t from;	  /* number of the first line wanted; 0: the oldest */
	uint32_t seconds; /* hold the reply this long, <= 3600, for a line */
};

struct log_rep {
	uint32_t error;
	struct view text;
	uint64_t next;	   /* to be `from` of the next request */
	struct view items; /* list of MSG_LOG_ITEM; empty: none is newer */
};

/* Texts are printable ASCII; long ones were cut. */
struct log_item {
	uint64_t number; /* lines are counted */
	uint64_t time;
	uint32_t error; /* AW_OK: credentials were handed out; else refused */
	uint32_t pid;	/* of the peer */
	struct view request;
	struct view origin;
	struct view profile;
	struct view account;
	struct view role;
	struct view access_key;
	struct view host;    /* SHA256:... of its first host key, or empty */
	struct view hops;    /* host keys that later binds claim */
	struct view program; /* of the peer, soon after it asked */
};

#define LOCK_MAX 1024

/* To lock@awsenv and unlock@awsenv. */
struct lock_req {
	struct view passphrase; /* 1 to LOCK_MAX bytes */
};

/* From the desktop. */
struct screen_req {
	uint8_t locked;	     /* BOOL */
	struct view session; /* whose screen, as logind names it, or empty */
};

/* Part two: between our own processes. */

/*
 * From the PAM module to the agent of whom it let in, and before that in a key
 * of root's: the login that FETCH_FACTOR answered.
 */
struct adopt_req {
	uint32_t version;
	uint32_t uid;	   /* whose login it is */
	struct view facts; /* what the token is bound to */
	struct view tok;
	uint64_t tok_expires;
	struct view ref;
	uint64_t ref_expires;
	uint8_t refreshable;
	struct view person;
};

/*
 * To awsenv-profile: which file, as whom. It answers with any number of
 * MSG_SESSION, MSG_PROFILE and MSG_PROBLEM_ITEM, in file order (a session before the
 * profiles that use it), and one MSG_TABLE_END. One packet each; the first
 * byte of a packet is its kind (link_send_msg).
 */
struct read_req {
	uint32_t version;
	struct view config; /* empty: $HOME/.aws/config */
	struct view env;    /* as in struct ask */
};

/* A login that profiles of this table may use, under one environment. */
struct session {
	uint32_t index;	  /* counts from 0 */
	struct view name; /* sso-session; empty for the legacy form */
	/* 32 bytes: SHA-256 over facts, what a token is bound to */
	struct view login;
	struct view facts;  /* an encoded MSG_FACTS */
	struct view notice; /* "NOT AWS: endpoint https://..." or empty */
	uint32_t error;	    /* AW_OK or AW_CONFIG */
	struct view text;
	uint8_t autostart; /* BOOL: awsenv_login = true */
	uint8_t bare; /* BOOL: of a section itself, no profile's settings */
	/* as in a profile, for an account and a role that none names */
	uint8_t forward;
	struct view forward_hosts;
	struct view forward_at;
};

struct profile {
	struct view name;
	uint32_t line;	  /* of its section header */
	uint32_t error;	  /* AW_OK, or AW_CONFIG: it cannot be used ... */
	struct view text; /* ... because, with file:line and cure */
	uint32_t session; /* index; meaningless with an error */
	struct view account;
	struct view role;
	/* list of MSG_STEP, from the SSO role on; mostly empty */
	struct view chain;
	struct view chain_digest; /* 32 bytes over chain and sts, or empty */
	struct view region;
	struct view sts;	/* URL of STS for this profile */
	struct view sts_region; /* to sign with */
	struct view settings;	/* for the command: list of NAME=value */
	struct view expected;	/* awsenv_identity */
	struct view browser;	/* awsenv_browser */
	/* e.g. "duration_seconds cut to 3600: role chaining" */
	struct view notice;
	uint8_t confirm; /* BOOL: awsenv_confirm = true, here or in a source */
	/* What a far side may have of its account and role: by all profiles
	 * that name them, and the administrator. */
	uint8_t forward;	   /* enum forward_word */
	struct view forward_hosts; /* list of fingerprints; empty: any host */
	struct view forward_at;	   /* FILE:LINE of what decided; may be empty */
	/* As chain and chain_digest, for that side; empty: the same ones. */
	struct view far_chain;
	struct view far_digest;
};

enum forward_word { /* the stricter the higher */
	FORWARD_DEFAULT = 0,
	FORWARD_ALLOW = 1,
	FORWARD_CONFIRM = 2,
	FORWARD_DENY = 3,
};

struct table_end {
	struct stamp stamp; /* of the file that was read */
	uint32_t profiles;
	uint32_t sessions;
	struct view off;      /* why awsenv is switched off here; else empty */
	struct view settings; /* of [awsenv]: list of NAME=value */
};

/* All that the fetcher needs to know of a login. Opaque to the broker. */
struct facts {
	struct view session; /* for people: sso-session name or start URL */
	struct view start_url;
	struct view region;
	struct view scopes; /* comma-separated; "sso:account:access" */
	struct view oidc;   /* base URL, no slash at the end */
	struct view portal;
	struct view sts;       /* base URL if overridden, else empty */
	struct view ca_path;   /* empty: the system's CAs */
	struct view ca_digest; /* 32 bytes: SHA-256 of that file */
	struct view proxy;     /* as HTTPS_PROXY; empty: none */
	struct view no_proxy;
};

/* One AssumeRole of a role chain. */
struct step {
	struct view role_arn;
	struct view external_id;
	struct view session_name; /* empty: the person's name */
	uint32_t duration;	  /* seconds, 0: 3600 */
	struct view sts;
	struct view sts_region;
	struct view policy; /* that narrows it; empty: none */
};

enum fetch_what {
	FETCH_LOGIN = 1,    /* register, start, poll, name the person */
	FETCH_POLL = 2,	    /* go on with the sealed dev */
	FETCH_REFRESH = 3,  /* ref -> tok and ref */
	FETCH_ROLE = 4,	    /* tok -> creds, through the chain */
	FETCH_IDENTITY = 5, /* creds -> ARN */
	FETCH_LOGOUT = 6,   /* tok -> nothing */
	/* a login of its own, as proof of who somebody is: for the PAM module */
	FETCH_FACTOR = 7,
	FETCH_GRANTS = 8,  /* tok -> every account and role, in many answers */
	FETCH_CONSOLE = 9, /* creds -> a URL: for awsenv-ctl */
	FETCH_LOCK = 10,   /* passphrase -> hash; or with a hash: is it that? */
};

/*
 * To awsenv-fetch, one packet; unused views are empty. It answers with MSG_ANSWER:
 * FETCH_LOGIN and FETCH_POLL several (a device authorization, a token, a
 * person), the others one; the last has `last` set. `tag` comes back in each.
 *
 * FETCH_FACTOR takes no registration and leaves none, its facts may lack the
 * digest of their CA bundle, and the identity comes from the account and role
 * that are named or not at all. Its answers are a code, and one with token,
 * identity and facts; with AW_DENIED the code was refused, or whoever approved
 * it has not got that role.
 *
 * FETCH_CONSOLE's facts may lack that digest too. It answers the URL of a page
 * of the console; with desktop it is one on this machine, which leads a browser
 * there once, and the last answer comes when it did.
 */
struct fetch {
	uint32_t version;
	uint8_t what;
	struct view tag;
	struct view facts; /* MSG_FACTS */
	struct view tok;   /* MSG_TOK */
	/* MSG_REF: FETCH_LOGIN takes its registration if good */
	struct view ref;
	struct view dev;   /* MSG_DEV */
	struct view creds; /* MSG_CREDS */
	/* digits or a name; FETCH_LOGIN: to name the person */
	struct view account;
	struct view role;
	struct view chain; /* list of MSG_STEP */
	struct view sts;
	struct view sts_region;
	struct view client_name; /* "awsenv on HOST" */
	uint8_t waiting;	 /* BOOL: somebody looks at the code now */
	uint8_t desktop;  /* BOOL: it is done by a browser on this machine */
	struct view page; /* FETCH_CONSOLE: "/s3/home?..." of the console */
	struct view passphrase; /* FETCH_LOCK, whose facts are empty */
	struct view hash;	/* ... that it is to be compared with */
};

struct answer {
	uint32_t version;
	uint8_t what;
	uint8_t last; /* BOOL */
	struct view tag;
	uint32_t error; /* enum aw_err, private ones too */
	/* one line for a person; no secret, printable ASCII */
	struct view text;
	uint32_t skew; /* seconds, two's complement: AWS's clock minus ours */
	uint8_t skew_known;
	/* a device authorization; or, without dev and code, a page for a
	 * browser on this machine */
	struct view dev;
	uint64_t dev_until;
	struct view url;
	struct view code;
	uint32_t qr_width;
	struct view qr;
	/* a token */
	struct view tok;
	uint64_t tok_expires;
	/* always with a tok; refresh token may be empty in it */
	struct view ref;
	uint64_t ref_expires; /* registration */
	uint8_t refreshable;  /* BOOL: ref holds a refresh token */
	/* role credentials */
	struct view creds;
	uint64_t creds_expires;
	struct view access_key;
	struct view account; /* 12 digits: whose credentials these are */
	/* an identity; with creds, the role that a chain ends in */
	struct view arn;
	struct view user_id;
	struct view person;
	struct view facts; /* FETCH_FACTOR: what the token is bound to */
	/* FETCH_GRANTS: roles of an account, list of MSG_GRANT_ITEM */
	struct view grants;
	uint32_t accounts; /* that are known by now */
	uint32_t done;	   /* accounts whose last roles these are: 0 or 1 */
	struct view hash;  /* FETCH_LOCK */
};

/* To a polling fetcher: does a person look? If so it polls faster, and answers
 * the device authorization once more, for a broker that never saw it. */
struct hint {
	uint32_t version;
	uint8_t waiting;
};

/* Secrets, sealed and opened by the fetcher alone. */
struct tok {
	uint64_t expires;
	struct view access_token;
};

struct ref {
	uint64_t client_expires;
	struct view client_id;
	struct view client_secret;
	struct view refresh_token; /* empty: none, registration only */
	uint8_t desktop; /* BOOL: registered for the authorization code */
};

struct dev {
	uint64_t until;
	uint32_t interval; /* seconds */
	struct view device_code;
	struct view client_id;
	struct view client_secret;
	uint64_t client_expires;
	struct view url;
	struct view code;
};

/*
 * Payload of a kernel key: a header that the broker reads and a sealed part
 * that it does not. `id` says whose it is and is checked on every read.
 */
struct record {
	uint8_t version;
	uint8_t kind; /* enum store_kind */
	uint64_t obtained;
	uint64_t expires;
	/* login: 32 bytes; role: login, account, role, chain digest */
	struct view id;
	struct view label; /* for people: session name; role: "account/role" */
	struct view person;
	struct view facts;	/* ref and dev: MSG_FACTS */
	struct view access_key; /* role */
	uint8_t refreshable;	/* ref: BOOL */
	struct view sealed;
};

/* The codec. */

/* Append the message to *b; check b->bad. */
void msg_encode(enum msg_kind, const void *msg, struct buf *b);
/* All bytes of v must be used, else false. Views point into v. */
bool msg_decode(enum msg_kind, struct view v, void *msg);

/* Lists of messages of one kind. */
void msg_append(enum msg_kind, const void *msg, struct buf *list);
bool msg_each(enum msg_kind, struct view *list, void *msg); /* false: end, or
							      malformed: then
							      list->n != 0 */
#endif
