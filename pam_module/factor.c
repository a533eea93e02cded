/* SPDX-License-Identifier: ISC */
/*
 * A login to AWS as proof of who somebody is, behind a first factor. The code
 * is for this attempt alone and nothing comes from the user: what the line in
 * pam.d says is all there is. An awsenv-fetch under an account of its own talks
 * to AWS and says what it heard; here it is decided.
 *
 * An attempt ends in exactly one verdict, and there is one that lets in.
 */
#include "pam_module/pam_awsenv.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_ext.h>
#include <security/pam_modutil.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"
#include "awsenv/partition.h"
#include "awsenv/sound.h"

#define CODE_MS 20000 /* for a code to come */
#define STEP_MS 10000 /* after Enter, for AWS to tell that it was approved */
#define LOCK_MS 1000
#define TIMEOUT 100	 /* seconds: within LoginGraceTime of sshd ... */
#define TIMEOUT_LOGIN 50 /* ... and LOGIN_TIMEOUT of login(1) */
#define TIMEOUT_MOST 3600

enum verdict {
	BROKEN, /* what is not any of the others */
	EXEMPT,
	OUTSIDE,
	UNKNOWN,
	UNSOUND,
	CROWDED,
	OUT_OF_REACH,
	DEAF,
	LATE,
	REFUSED,
	STRANGER,
	APPROVED,
	PENDING, /* no verdict yet */
};

/*
 * PAM_MAXTRIES ends the connection in sshd, where other codes are asked again:
 * whoever was refused is not to be asked a second time. None that an attacker
 * can bring about is PAM_AUTHINFO_UNAVAIL, which some stacks ignore.
 */
/* clang-format off */
static const struct {
	int code, sshd, level;
	const char *words;
	const char *told;	/* to the person, or NULL */
} verdicts[] = {
	[BROKEN] = {PAM_SYSTEM_ERR, PAM_SYSTEM_ERR, LOG_ERR,
	    "failed", "this login failed, tell the administrator"},
	[EXEMPT] = {PAM_IGNORE, PAM_IGNORE, LOG_DEBUG, "exempt", NULL},
	[OUTSIDE] = {PAM_PERM_DENIED, PAM_PERM_DENIED, LOG_WARNING,
	    "not a user whom this line lets in", NULL},
	[UNKNOWN] = {PAM_USER_UNKNOWN, PAM_USER_UNKNOWN, LOG_NOTICE,
	    "no such user", NULL},
	[UNSOUND] = {PAM_SERVICE_ERR, PAM_SERVICE_ERR, LOG_ERR,
	    "the line in pam.d cannot be used",
	    "this login is not set up right, tell the administrator"},
	[CROWDED] = {PAM_MAXTRIES, PAM_MAXTRIES, LOG_WARNING,
	    "too many attempts", "too many attempts, try again in ten minutes"},
	[OUT_OF_REACH] = {PAM_AUTHINFO_UNAVAIL, PAM_AUTHINFO_UNAVAIL, LOG_ERR,
	    "AWS cannot be asked", "AWS cannot be asked just now"},
	[DEAF] = {PAM_CONV_ERR, PAM_CONV_ERR, LOG_WARNING,
	    "nobody can be asked there", NULL},
	[LATE] = {PAM_AUTH_ERR, PAM_AUTH_ERR, LOG_WARNING,
	    "not approved in time", "not approved in time"},
	[REFUSED] = {PAM_AUTH_ERR, PAM_MAXTRIES, LOG_WARNING,
	    "refused", "refused"},
	[STRANGER] = {PAM_PERM_DENIED, PAM_MAXTRIES, LOG_ALERT,
	    "approved by somebody else", "approved by somebody else"},
	[APPROVED] = {PAM_SUCCESS, PAM_SUCCESS, LOG_NOTICE, "approved", NULL},
};
/* clang-format on */

struct attempt {
	pam_handle_t *pamh;
	const struct options *o;
	struct person who;
	char *user; /* PAM_USER as it was */
	const char *rhost;
	int map;
	struct limit limit;
	int link; /* to the fetcher */
	int64_t end;
	struct buf packet; /* what views of its answers point into */
	char why[256];	   /* for the log */
};

static enum verdict why(struct attempt *, enum verdict, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Some of it comes from far away: what cannot be printed is not logged. */
static enum verdict
why(struct attempt *a, enum verdict v, const char *fmt, ...)
{
	va_list ap;
	char *c;

	va_start(ap, fmt);
	vsnprintf(a->why, sizeof(a->why), fmt, ap);
	va_end(ap);
	for (c = a->why; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return v;
}

/* -------- what the line says */

static bool
is_word(const char *set, const char *s, size_t most)
{
	return s && *s && strlen(s) <= most && s[strspn(s, set)] == '\0';
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool
is_place(const char *url)
{
	return url && url_is_sound(view_str(url)) && !strpbrk(url, "?@");
}

/* The option that is missing, or can be of no use; NULL: all are good. */
static const char *
unsound_option(const struct options *o)
{
	if (!is_place(o->start_url))
		return "start_url";
	if (!is_word(LOWER DIGITS "-", o->region, 32))
		return "region";
	if (!is_word(DIGITS, o->account, 12) || strlen(o->account) != 12)
		return "account";
	if (!is_word(LOWER UPPER DIGITS "_+=,.@-", o->role, 32))
		return "role";
	if (o->domain && !is_word(LOWER UPPER DIGITS "_+=,.-", o->domain, 62))
		return "domain";
	if (o->domain && o->map)
		return "map"; /* two rules are none */
	if (o->endpoint && (!is_place(o->endpoint) || strchr(o->endpoint, '#')))
		return "endpoint";
	if (o->timeout == 0 ||
	    (o->timeout != UNSET && o->timeout > TIMEOUT_MOST))
		return "timeout";
	return NULL;
}

static enum verdict
check_line(struct attempt *a, bool sound)
{
	const char *option = unsound_option(a->o);

	if (!sound)
		return why(a, UNSOUND, "an option has no such value");
	if (option)
		return why(a, UNSOUND,
		    "option %s is missing, has no such value, or is one too "
		    "many",
		    option);
	if (!identity_open(a->pamh, a->o, &a->map))
		return why(a, UNSOUND, "option map");
	return PENDING;
}

static enum verdict
check_scope(struct attempt *a)
{
	switch (scope_of(a->pamh, a->o, &a->who)) {
	case SCOPE_IN:
		return PENDING;
	case SCOPE_EXEMPT:
		return EXEMPT;
	case SCOPE_UNKNOWN:
		return UNKNOWN;
	default:
		return OUTSIDE;
	}
}

static enum verdict
check_limits(struct attempt *a)
{
	const char *whose = "";
	enum aw_err r;

	r = limit_enter(&a->limit, a->who.pw->pw_uid, a->rhost,
	    io_deadline(LOCK_MS), &whose);
	if (r == AW_BUSY)
		return why(a, CROWDED, "%s", whose);
	if (r != AW_OK)
		return why(
		    a, BROKEN, "attempts cannot be counted in /run/awsenv");
	return PENDING;
}

/* -------- the fetcher */

/* Endpoints as a profile without settings has them. */
static bool
set_places(const struct options *o, struct facts *f, char **oidc, char **portal)
{
	const char *suffix = partition_of(view_str(o->region))->suffix;
	struct view base = view_str(o->endpoint);

	if (!base.n) {
		if (asprintf(oidc, "https://oidc.%s.%s", o->region, suffix) < 0)
			*oidc = NULL;
		if (asprintf(portal, "https://portal.sso.%s.%s", o->region,
			suffix) < 0)
			*portal = NULL;
		f->oidc = view_str(*oidc);
		f->portal = view_str(*portal);
		return *oidc && *portal;
	}
	while (base.n && base.p[base.n - 1] == '/')
		base.n--;
	f->oidc = f->portal = f->sts = base;
	return true;
}

/* AWS shows it to whoever is to approve. */
static void
name_client(const struct attempt *a, char *out, size_t size)
{
	struct printable user = text_printable(view_str(a->who.pw->pw_name));
	struct printable rhost = text_printable(view_str(a->rhost));
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	snprintf(out, size, "awsenv on %.64s for %.32s%s%.64s", host, user.text,
	    *rhost.text ? " from " : "", rhost.text);
}

/* It did not answer, or not in our language. */
static enum verdict
lost(struct attempt *a, enum aw_err r)
{
	if (r == AW_NOMEM)
		return why(a, BROKEN, "out of memory");
	return why(a, OUT_OF_REACH, "%s %s", a->o->fetch,
	    r == AW_TIMEOUT    ? "does not answer"
		: r == AW_GONE ? "ended early, or cannot be run"
			       : "does not speak our language");
}

static enum verdict
send_order(struct attempt *a)
{
	AUTOFREE char *oidc = NULL, *portal = NULL;
	AUTOBUF struct buf sealed = {0};
	struct facts facts = {
	    .session = view_str(a->o->start_url),
	    .start_url = view_str(a->o->start_url),
	    .region = view_str(a->o->region),
	    .scopes = view_str("sso:account:access"),
	    .ca_path = view_str(a->o->ca),
	};
	struct fetch f = {
	    .version = MSG_VERSION,
	    .what = FETCH_FACTOR,
	    .account = view_str(a->o->account),
	    .role = view_str(a->o->role),
	    .waiting = 1,
	};
	char client[256];
	enum aw_err r;

	name_client(a, client, sizeof(client));
	f.client_name = view_str(client);
	if (!set_places(a->o, &facts, &oidc, &portal))
		return why(a, BROKEN, "out of memory");
	msg_encode(MSG_FACTS, &facts, &sealed);
	f.facts = view_of(&sealed);
	if (sealed.bad)
		return why(a, BROKEN, "out of memory");
	r = link_send_msg(a->link, MSG_FETCH, &f);
	return r == AW_OK ? PENDING : lost(a, r);
}

static enum verdict
start_fetch(struct attempt *a)
{
	const struct passwd *pw = pam_modutil_getpwnam(a->pamh, a->o->user);
	uint32_t seconds = a->o->timeout;

	if (!pw)
		return why(a, OUT_OF_REACH, "there is no user %s: make one",
		    a->o->user);
	/* Whoever is to be proven must not be able to trace it. */
	if (pw->pw_uid == 0 || pw->pw_uid == a->who.pw->pw_uid)
		return why(a, UNSOUND, "user=%s must be nobody else's account",
		    a->o->user);
	if (seconds == UNSET)
		seconds = strcmp(a->who.service, "login") == 0 ? TIMEOUT_LOGIN
							       : TIMEOUT;
	a->end = io_deadline((int)seconds * 1000);
	if (fetch_spawn(a->pamh, pw, a->o->fetch, seconds + 60, &a->link) !=
	    AW_OK)
		return BROKEN;
	return send_order(a);
}

static enum aw_err
receive(struct attempt *a, int64_t deadline, struct answer *out)
{
	enum msg_kind kind;
	struct view body;
	enum aw_err r;

	if (deadline > a->end)
		deadline = a->end;
	do {
		if ((r = io_wait(a->link, POLLIN, deadline)) == AW_OK)
			r = link_peek_msg(a->link, &a->packet, &kind, &body);
	} while (r == AW_BUSY && io_deadline(0) < deadline);
	if (r != AW_OK)
		return r == AW_BUSY ? AW_TIMEOUT : r;
	link_drop(a->link);
	if (kind != MSG_ANSWER || !msg_decode(kind, body, out) ||
	    out->version != MSG_VERSION || out->what != FETCH_FACTOR)
		return AW_PROTO;
	return AW_OK;
}

/* It answered that there is nothing to come. */
static enum verdict
failed(struct attempt *a, const struct answer *s)
{
	enum verdict v = s->error == AW_DENIED ? REFUSED
	    : s->error == AW_EXPIRED	       ? LATE
					       : OUT_OF_REACH;

	return why(a, v, "%.*s", VIEW_ARG(s->text));
}

/* -------- the person */

/*
 * Who approved, against who wants to log in: by the name of the passwd entry,
 * and only if the host program still means the same.
 */
static enum verdict
judge(struct attempt *a, const struct answer *s)
{
	const char *user = item_text(a->pamh, PAM_USER);
	char person[PERSON_SIZE];

	if (s->error != AW_OK || !s->last)
		return failed(a, s);
	if (!user || strcmp(user, a->user) != 0)
		return why(a, STRANGER, "the user's name has changed since");
	if (!identity_read(a->o, s->arn, person))
		return why(a, STRANGER, "%.*s is not in role %s of account %s",
		    VIEW_ARG(s->arn), a->o->role, a->o->account);
	why(a, STRANGER, "%s", person);
	if (!identity_is(a->o, a->map, a->who.pw->pw_name, person))
		return STRANGER;
	return APPROVED;
}

static enum verdict
ask(struct attempt *a, struct question *q)
{
	int64_t left = a->end - io_deadline(0);

	if (left <= 0)
		return LATE;
	q->seconds = (unsigned int)((left + 999) / 1000);
	if (text_ask(a->pamh, q) != PAM_SUCCESS)
		return DEAF;
	q->again = true;
	return io_deadline(0) < a->end ? PENDING : LATE;
}

/* He says when it is done; AWS takes a moment to know. */
static enum verdict
ask_until_told(struct attempt *a, struct question *q)
{
	enum verdict v = PENDING;
	struct answer s = {0};
	enum aw_err r;

	while (v == PENDING && (v = ask(a, q)) == PENDING) {
		r = receive(a, io_deadline(STEP_MS), &s);
		if (r == AW_OK)
			v = judge(a, &s);
		else if (r != AW_TIMEOUT)
			v = lost(a, r);
	}
	if (v == APPROVED && a->o->handover && s.tok.n)
		handover_keep(a->pamh, a->who.pw, &s);
	return v;
}

static enum verdict
converse(struct attempt *a)
{
	AUTOFREE char *url = NULL, *code = NULL;
	uint64_t now = (uint64_t)time(NULL);
	struct question q = {
	    .user = a->who.pw->pw_name,
	    .rhost = a->rhost,
	    .endpoint = a->o->endpoint,
	};
	struct answer s;
	int64_t lives;
	enum aw_err r;

	if ((r = receive(a, io_deadline(CODE_MS), &s)) != AW_OK)
		return lost(a, r);
	if (s.error != AW_OK || s.last)
		return failed(a, &s);
	if (!url_is_sound(s.url) || !code_is_sound(s.code))
		return why(a, OUT_OF_REACH, "what it sent must not be shown");
	/* The next answer comes into the same packet. */
	if (!(url = view_dup(s.url)) || !(code = view_dup(s.code)))
		return why(a, BROKEN, "out of memory");
	q.url = view_str(url);
	q.code = view_str(code);
	if (s.dev_until < now + TIMEOUT_MOST) {
		lives = s.dev_until > now ? (int64_t)(s.dev_until - now) : 0;
		if (io_deadline((int)lives * 1000) < a->end)
			a->end = io_deadline((int)lives * 1000);
	}
	return ask_until_told(a, &q);
}

/* -------- from the beginning to the end */

static enum verdict
attempt(struct attempt *a, bool sound)
{
	const char *user = item_text(a->pamh, PAM_USER);
	enum verdict v;

	/* A line that cannot be used must not keep out who is exempt. */
	if ((v = check_scope(a)) != PENDING ||
	    (v = check_line(a, sound)) != PENDING)
		return v;
	if (geteuid() != 0)
		return why(a, BROKEN,
		    "only a program of root can have this "
		    "factor");
	if (!(a->user = strdup(user)))
		return why(a, BROKEN, "out of memory");
	if ((v = check_limits(a)) != PENDING || (v = start_fetch(a)) != PENDING)
		return v;
	if ((v = converse(a)) == APPROVED)
		limit_forgive(&a->limit);
	return v;
}

static void
tell(const struct attempt *a, enum verdict v, int flags)
{
	struct printable user =
	    text_printable(view_str(item_text(a->pamh, PAM_USER)));
	struct printable rhost = text_printable(view_str(a->rhost));

	if (v != EXEMPT || a->o->debug)
		pam_syslog(a->pamh, verdicts[v].level,
		    "login of %s from %s: %s%s%s%s", user.text,
		    *rhost.text ? rhost.text : "here", verdicts[v].words,
		    *a->why ? ": " : "", a->why,
		    a->o->enforce || v == EXEMPT
			? ""
			: " (enforce=no: this decides nothing)");
	if (verdicts[v].told && !a->o->quiet && !(flags & PAM_SILENT))
		pam_error(a->pamh, "awsenv: %s%s", verdicts[v].told,
		    a->o->enforce ? "" : " (this is a trial)");
}

int
factor_authenticate(
    pam_handle_t *pamh, const struct options *o, bool sound, int flags)
{
	struct attempt a = {
	    .pamh = pamh,
	    .o = o,
	    .rhost = item_text(pamh, PAM_RHOST),
	    .map = -1,
	    .limit = {{-1, -1}, -1},
	    .link = -1,
	};
	enum verdict v = attempt(&a, sound);

	tell(&a, v, flags);
	own_close(&a.link);
	own_close(&a.map);
	limit_leave(&a.limit);
	buf_free(&a.packet);
	free(a.user);
	if (!o->enforce)
		return PAM_IGNORE;
	return a.who.service && strcmp(a.who.service, "sshd") == 0
	    ? verdicts[v].sshd
	    : verdicts[v].code;
}

/*
 * sshd authenticates in another process: there this code walks the stack by
 * itself, and PAM_IGNORE would throw out somebody who has just been let in.
 */
int
factor_setcred(pam_handle_t *pamh, const struct options *o)
{
	struct person who;

	if (!o->enforce || scope_of(pamh, o, &who) == SCOPE_EXEMPT)
		return PAM_IGNORE;
	return PAM_SUCCESS;
}
