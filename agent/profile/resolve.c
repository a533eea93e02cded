/* SPDX-License-Identifier: ISC */
/*
 * What a profile stands for: from its section, through the roles and the other
 * profiles that it names, to an account and a role of a login. In the order
 * that botocore looks: role_arn, web identity, sso_*, credential_process, keys.
 */
#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#include "profile.h"

#define WALK_MAX 16
#define DURATION_LEAST 900
#define DURATION_MOST 3600 /* role chaining, whatever the role allows */
#define LISTS_MAX (96 * 1024)
#define PLACES 4 /* where a key of ours may stand */

struct walk {
	struct table *table;
	const struct section *asked;
	const struct section *seen[WALK_MAX];
	int nseen;
	const struct section *hop[WALK_MAX]; /* those with a role_arn */
	int nhops;
	const struct section *base;  /* the one that logs in ... */
	const struct entry *process; /* ... by what it would run */
	struct sso sso; /* its guard: the first enforced profile on the way */
	struct view notice;
	struct view why;
};

static bool refuse(struct walk *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
refuse(struct walk *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	w->why = text_vmake(&w->table->config.arena, fmt, ap);
	va_end(ap);
	return false;
}

/* "profile "x" at FILE:LINE", for the texts below */
#define WHO "profile \"%.*s\" at %.*s:%u"
#define WHO_ARG(s) NAME_ARG((s)->name), AT(s)

static const struct entry *
get(const struct walk *w, const struct section *s, const char *key)
{
	return config_get(&w->table->config, s, key);
}

/* What a section names. Once an enforced one was met, a user's file has no say
 * in what follows. */
static const struct section *
named(const struct walk *w, enum section_kind kind, struct view name)
{
	return config_named(&w->table->config, kind, name, w->sso.guard);
}

/* ... and is not there, although it may be in the user's file. */
static const char *
nowhere(const struct walk *w)
{
	return w->sso.guard ? "not in the administrator's files, which alone "
			      "count here"
			    : "not there";
}

/* ---- one section */

/* A role on top of the keys in its own profile; the keys end the walk. */
static bool
is_own_source(const struct walk *w, const struct section *s)
{
	return w->nhops == 1 && w->hop[0] == s && w->nseen == 1 &&
	    get(w, s, "aws_access_key_id");
}

static bool
visit(struct walk *w, const struct section *s)
{
	const struct entry *e;
	int i;

	for (i = 0; i < w->nseen; i++) {
		if (w->seen[i] == s && !is_own_source(w, s))
			return refuse(w,
			    WHO " leads back to itself through "
				"profile \"%.*s\": break the circle with a "
				"profile that has sso_* keys",
			    WHO_ARG(s), NAME_ARG(w->seen[w->nseen - 1]->name));
	}
	if (w->nseen == WALK_MAX)
		return refuse(w,
		    WHO " needs more than %d other profiles: "
			"shorten its chain of source_profile",
		    WHO_ARG(w->asked), WALK_MAX - 1);
	w->seen[w->nseen++] = s;
	if (!w->sso.guard && config_enforced(&w->table->config, s))
		w->sso.guard = s;
	if (!(e = get(w, s, "include_profile")))
		e = get(w, s, "parent_profile");
	if (e && !named(w, SECTION_PROFILE, e->value))
		return refuse(w,
		    "%.*s at %.*s:%u names profile \"%.*s\", which "
		    "is %s: correct the name",
		    NAME_ARG(e->key), AT(e), NAME_ARG(e->value), nowhere(w));
	return true;
}

/* What a role_arn needs, and what of it we cannot give. */
static bool
check_hop(struct walk *w, const struct section *s)
{
	const struct entry *arn = get(w, s, "role_arn");
	const struct entry *e;

	if ((e = get(w, s, "mfa_serial")))
		return refuse(w,
		    "mfa_serial at %.*s:%u: AWS takes the code of an IAM "
		    "user's device, and this chain begins with a role; remove "
		    "it, if the role can be assumed without",
		    AT(e));
	if (!check_role_arn(arn->value))
		return refuse(w,
		    "role_arn at %.*s:%u is not the ARN of a role: "
		    "write arn:aws:iam::ACCOUNT:role/NAME",
		    AT(arn));
	e = get(w, s, "external_id");
	if (e && !check_external_id(e->value))
		return refuse(w,
		    "external_id at %.*s:%u is not one that AWS "
		    "takes: 2 to 1224 letters, digits or _+=,.@:/-",
		    AT(e));
	e = get(w, s, "role_session_name");
	if (e && !check_session_name(e->value))
		return refuse(w,
		    "role_session_name at %.*s:%u is not one that "
		    "AWS takes: 2 to 64 letters, digits or _+=,.@-",
		    AT(e));
	return true;
}

/* From a profile with role_arn to the one whose credentials assume it. */
static bool
follow_role(struct walk *w, const struct section **s)
{
	const struct entry *arn = get(w, *s, "role_arn");
	const struct entry *source = get(w, *s, "source_profile");
	const struct entry *other = get(w, *s, "credential_source");
	const struct section *next;

	if (source && other)
		return refuse(w,
		    WHO " has source_profile and credential_source: "
			"remove one",
		    WHO_ARG(*s));
	if (other)
		return refuse(w,
		    WHO " is none of ours: credential_source at "
			"%.*s:%u takes this machine's own credentials; name an "
			"SSO profile by source_profile instead",
		    WHO_ARG(*s), AT(other));
	if (!source)
		return refuse(w,
		    "role_arn at %.*s:%u has no source_profile: add "
		    "source_profile = PROFILE, one that has sso_* keys",
		    AT(arn));
	next = named(w, SECTION_PROFILE, source->value);
	if (!next)
		return refuse(w,
		    "source_profile at %.*s:%u names profile "
		    "\"%.*s\", which is %s: correct the name",
		    AT(source), NAME_ARG(source->value), nowhere(w));
	if (!check_hop(w, *s))
		return false;
	w->hop[w->nhops++] = *s;
	*s = next;
	return true;
}

static bool
refuse_without_sso(struct walk *w, const struct section *s)
{
	const struct entry *e;

	if (get(w, s, "sso_session") ||
	    dialect_sso(&w->table->config, s, "sso_start_url"))
		return refuse(w,
		    WHO " has neither sso_account_id nor "
			"sso_role_name: add both",
		    WHO_ARG(s));
	if (get(w, s, "login_session"))
		return refuse(w,
		    WHO
		    " is none of ours: login_session belongs to "
		    "\"aws login\"; give it sso_session, sso_account_id and "
		    "sso_role_name instead",
		    WHO_ARG(s));
	if ((e = get(w, s, "aws_access_key_id")))
		return refuse(w,
		    WHO
		    " is none of ours: it has aws_access_key_id "
		    "(line %u); use it without awsenv, or give it sso_session, "
		    "sso_account_id and sso_role_name instead",
		    WHO_ARG(s), e->line);
	return refuse(w,
	    WHO " has no sso_* keys: add sso_session, "
		"sso_account_id and sso_role_name",
	    WHO_ARG(s));
}

static bool
refuse_process(struct walk *w, const struct section *s, const struct entry *e)
{
	return refuse(w,
	    WHO " is none of ours: credential_process at %.*s:%u "
		"runs another program; give it sso_session, sso_account_id and "
		"sso_role_name instead",
	    WHO_ARG(s), AT(e));
}

/* ---- the end of the walk */

static bool
same_in_both(struct walk *w, const struct section *s, const char *key,
    const struct entry *theirs)
{
	const struct entry *ours = get(w, s, key);

	if (!ours || !theirs || view_eq(ours->value, theirs->value))
		return true;
	return refuse(w,
	    "%s at %.*s:%u is not what the sso-session says (at "
	    "%.*s:%u): remove it from the profile",
	    key, AT(ours), AT(theirs));
}

/* sso_session = NAME: where to log in is said there, and nowhere else. */
static bool
take_session(struct walk *w, const struct section *s, const struct entry *name)
{
	const struct config *c = &w->table->config;
	const struct section *session;

	if (!name->value.n)
		return refuse(w,
		    "sso_session at %.*s:%u is empty: write the name "
		    "of an sso-session, or remove it",
		    AT(name));
	session = named(w, SECTION_SESSION, name->value);
	if (!session)
		return refuse(w,
		    "sso_session = %.*s at %.*s:%u: there is no "
		    "[sso-session %.*s]%s; write one with sso_start_url and "
		    "sso_region, or correct the name",
		    NAME_ARG(name->value), AT(name), NAME_ARG(name->value),
		    w->sso.guard ? " in the administrator's files, which alone "
				   "count here"
				 : "");
	login_session(c, session, &w->sso);
	if (!same_in_both(w, s, "sso_start_url", w->sso.start_url) ||
	    !same_in_both(w, s, "sso_region", w->sso.region))
		return false;
	if (!w->sso.start_url && !config_enforced(c, session))
		w->sso.start_url = get(w, s, "sso_start_url");
	if (!w->sso.region && !config_enforced(c, session))
		w->sso.region = get(w, s, "sso_region");
	/* botocore reads these in the session, too. */
	if (!w->sso.account)
		w->sso.account = config_get(c, session, "sso_account_id");
	if (!w->sso.role)
		w->sso.role = config_get(c, session, "sso_role_name");
	return true;
}

static bool
take_sso(struct walk *w, const struct section *s)
{
	const struct config *c = &w->table->config;
	const struct entry *name = get(w, s, "sso_session");

	w->sso.account = dialect_sso(c, s, "sso_account_id");
	w->sso.role = dialect_sso(c, s, "sso_role_name");
	if (name)
		return take_session(w, s, name);
	w->sso.start_url = dialect_sso(c, s, "sso_start_url");
	w->sso.region = dialect_sso(c, s, "sso_region");
	w->sso.scopes = dialect_sso(c, s, "sso_registration_scopes");
	return true;
}

static const char *
cure_account(struct view v)
{
	uint32_t i;

	if (v.n > 1 && (*v.p == '"' || *v.p == '\''))
		return "remove the quotes";
	for (i = 0; i < v.n && v.p[i] >= '0' && v.p[i] <= '9'; i++)
		continue;
	if (i > 0 && i == v.n && i < 12)
		return "write 12 digits, with the leading zeros";
	return "write 12 digits and nothing else";
}

static bool
check_target(struct walk *w, const struct section *s)
{
	const struct entry *account = w->sso.account, *role = w->sso.role;

	if (w->process && (!account || !role))
		return refuse(w,
		    "credential_process at %.*s:%u has no %s: add it",
		    AT(w->process), account ? "--role" : "--account");
	if (!account || !role)
		return refuse(w, WHO " has no %s: add it", WHO_ARG(s),
		    account ? "sso_role_name" : "sso_account_id");
	if (!check_account(account->value))
		return refuse(w,
		    "%.*s = %.*s at %.*s:%u is not an account id: %s",
		    NAME_ARG(account->key), NAME_ARG(account->value),
		    AT(account), cure_account(account->value));
	if (!check_role(role->value))
		return refuse(w,
		    "%.*s at %.*s:%u is not the name of a permission "
		    "set: 1 to 64 letters, digits or _+=,.@-",
		    NAME_ARG(role->key), AT(role));
	return true;
}

/* Follow all references until an account and a role are known. */
static bool
walk(struct walk *w)
{
	struct config *c = &w->table->config;
	const struct section *s = w->asked, *other;
	const struct entry *e;

	for (;;) {
		if (!visit(w, s))
			return false;
		if ((e = get(w, s, "web_identity_token_file")))
			return refuse(w,
			    WHO " is none of ours: "
				"web_identity_token_file at %.*s:%u; use it "
				"without awsenv",
			    WHO_ARG(s), AT(e));
		/* In a source profile, keys go before its own role_arn. */
		if (get(w, s, "role_arn") &&
		    !(w->nhops && get(w, s, "aws_access_key_id"))) {
			if (!follow_role(w, &s))
				return false;
			continue;
		}
		if (dialect_sso(c, s, "sso_account_id") ||
		    dialect_sso(c, s, "sso_role_name")) {
			if (!take_sso(w, s))
				return false;
			break;
		}
		if (!(e = get(w, s, "credential_process")))
			return refuse_without_sso(w, s);
		if (!dialect_process(
			c, e, w->sso.guard, &other, &w->sso, &w->why))
			return w->why.n ? false : refuse_process(w, s, e);
		if (!other) {
			w->process = e;
			break;
		}
		s = other;
	}
	w->base = s;
	return check_target(w, s);
}

/* ---- the row */

static void
add_notice(struct walk *w, const struct entry *e, const char *what)
{
	w->notice = text_make(&w->table->config.arena,
	    "%.*s%sduration_seconds at %.*s:%u %s", VIEW_ARG(w->notice),
	    w->notice.n ? "; " : "", AT(e), what);
}

/* AWS refuses more than an hour for roles on top of roles, and less than 15
 * minutes for all; a person who wrote that wants the role anyway. */
static uint32_t
duration_of(struct walk *w, const struct section *s)
{
	const struct entry *e = get(w, s, "duration_seconds");
	unsigned long seconds = 0;
	uint32_t i;

	if (!e)
		return 0;
	for (i = 0; i < e->value.n && e->value.p[i] >= '0' &&
	     e->value.p[i] <= '9' && seconds < 1000000;
	     i++)
		seconds = seconds * 10 + (unsigned long)(e->value.p[i] - '0');
	if (i == 0 || (i < e->value.n && seconds < 1000000)) {
		add_notice(w, e, "is not a number: 3600 is taken");
		return 0;
	}
	if (seconds > DURATION_MOST) {
		add_notice(w, e, "cut to 3600: role chaining");
		return DURATION_MOST;
	}
	if (seconds < DURATION_LEAST) {
		add_notice(w, e, "raised to 900: AWS gives no less");
		return DURATION_LEAST;
	}
	return (uint32_t)seconds;
}

static struct view
value(const struct walk *w, const struct section *s, const char *key)
{
	return config_value(&w->table->config, s, key);
}

bool
resolve_chain(struct arena *a, const struct buf *steps, struct view sts,
    struct view *chain, struct view *digest)
{
	AUTOBUF struct buf all = {0};

	buf_string(&all, view_of(steps));
	buf_string(&all, sts);
	if (steps->bad || all.bad)
		return false;
	*chain = arena_copy(a, view_of(steps));
	*digest = login_digest(a, view_of(&all));
	return true;
}

/* From the SSO role on, so the profile that was asked for comes last. */
static bool
set_chain(struct walk *w, struct profile *p)
{
	struct arena *a = &w->table->config.arena;
	AUTOBUF struct buf list = {0};
	int i;

	if (!w->nhops)
		return true;
	for (i = w->nhops - 1; i >= 0; i--) {
		const struct section *s = w->hop[i];
		struct step step = {
		    .role_arn = value(w, s, "role_arn"),
		    .external_id = value(w, s, "external_id"),
		    .session_name = value(w, s, "role_session_name"),
		    .duration = duration_of(w, s),
		    .sts = p->sts,
		    .sts_region = p->sts_region,
		};

		msg_append(MSG_STEP, &step, &list);
	}
	if (!resolve_chain(a, &list, p->sts, &p->chain, &p->chain_digest))
		return refuse(
		    w, WHO " has a chain that is too long", WHO_ARG(w->asked));
	return true;
}

/* A key of ours: of the profile, of what it rests on, or of all; but first of
 * those that are enforced. */
static const struct entry *
get_ours(const struct walk *w, const char *key)
{
	const struct config *c = &w->table->config;
	const struct section *places[PLACES] = {w->asked, w->base,
	    w->sso.session,
	    config_section(c, SECTION_AWSENV, view_str("awsenv"))};
	const struct entry *e, *first = NULL;
	size_t i;

	for (i = 0; i < PLACES; i++) {
		if (!places[i] || !(e = get(w, places[i], key)))
			continue;
		if (config_enforced(c, places[i]))
			return e;
		if (!first)
			first = e;
	}
	return first;
}

static bool
set_ours(struct walk *w, struct profile *p)
{
	const struct entry *who = get_ours(w, "awsenv_identity");
	const struct entry *browser = get_ours(w, "awsenv_browser");
	const struct config *c = &w->table->config;
	int i;

	if (who && (who->value.n > 256 || !text_is_printable(who->value)))
		return refuse(w,
		    "awsenv_identity at %.*s:%u is not a user's "
		    "name: write it as IAM Identity Center shows it",
		    AT(who));
	if (browser &&
	    (browser->value.n > 1024 || !text_is_printable(browser->value)))
		return refuse(w,
		    "awsenv_browser at %.*s:%u is not a command: write one "
		    "like firefox, or several with colons between them",
		    AT(browser));
	for (i = 0; i < w->nseen; i++)
		p->confirm |= config_strict(c, w->seen[i], "awsenv_confirm");
	if (who)
		p->expected = who->value;
	if (browser)
		p->browser = browser->value;
	return true;
}

/* A source profile speaks for itself; an alias speaks for what it stands for. */
static void
note_forward(const struct walk *w, const struct profile *p)
{
	struct table *t = w->table;
	const struct section *places[3] = {w->asked, w->sso.session,
	    config_section(&t->config, SECTION_AWSENV, view_str("awsenv"))};

	forward_note(t, places, 3, p);
}

static bool
fill(struct walk *w, struct profile *p)
{
	struct table *t = w->table;
	struct reach reach = {
	    .config = &t->config, .profile = w->asked, .env = t->env};
	struct reach sts = reach;
	AUTOBUF struct buf settings = {0};
	struct session_row *row;

	if (!endpoint_region(&reach, &p->region)) {
		w->why = reach.why;
		return false;
	}
	if (!(row = login_row(t, w->asked, &w->sso, &w->why)))
		return false;
	p->session = row->msg.index;
	p->account = w->sso.account->value;
	p->role = w->sso.role->value;
	if (w->sso.guard) {
		sts.profile = w->sso.guard;
		sts.enforced = true;
	}
	if (!endpoint_sts(
		&sts, w->sso.region->value, &p->sts, &p->sts_region)) {
		w->why = sts.why;
		return false;
	}
	if (!set_chain(w, p) || !set_ours(w, p))
		return false;
	settings_list(&reach, &settings);
	if (settings.bad || settings.len + p->chain.n > LISTS_MAX)
		return refuse(w,
		    WHO " has settings that are too long: shorten "
			"its services section",
		    WHO_ARG(w->asked));
	p->settings = arena_copy(&t->config.arena, view_of(&settings));
	p->notice = w->notice;
	note_forward(w, p);
	return true;
}

void
resolve_profile(
    struct table *t, const struct section *s, struct profile_row *row)
{
	struct walk w = {.table = t, .asked = s};

	row->msg = (struct profile){.name = s->name, .line = s->line};
	if (walk(&w) && fill(&w, &row->msg))
		return;
	row->msg = (struct profile){
	    .name = s->name,
	    .line = s->line,
	    .error = AW_CONFIG,
	    .text = w.why,
	};
}
