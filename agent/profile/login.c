/* SPDX-License-Identifier: ISC */
/*
 * A login, and all that it is bound to: its tokens go nowhere else. Where two
 * profiles differ in any of this, they have two logins, and the screen of the
 * new one says what about it is not AWS's own.
 */
#include <openssl/sha.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#include "profile.h"

#define CA_FILE_MAX (4 * 1024 * 1024)
#define SCOPES_DEFAULT "sso:account:access"

/* spaces of the map `places` */
enum { PLACE_SESSION, PLACE_LEGACY };

/* A CA bundle that has been looked at: one of the two is empty. */
struct bundle {
	struct view digest;
	struct view why;
};

struct view
login_digest(struct arena *a, struct view v)
{
	uint8_t *out = arena_alloc(a, SHA256_DIGEST_LENGTH);

	if (!SHA256(v.p, v.n, out))
		fatalx("SHA-256 failed");
	return (struct view){out, SHA256_DIGEST_LENGTH};
}

/* ---- what a section says */

void
login_session(const struct config *c, const struct section *s, struct sso *sso)
{
	sso->session = s;
	sso->start_url = config_get(c, s, "sso_start_url");
	sso->region = config_get(c, s, "sso_region");
	sso->scopes = config_get(c, s, "sso_registration_scopes");
}

/* The same place, however its URL is written: ".../start", "/start/#/". */
static struct view
place_key(struct arena *a, const struct sso *sso)
{
	struct view url = sso->start_url->value;

	while (url.n && (url.p[url.n - 1] == '/' || url.p[url.n - 1] == '#'))
		url.n--;
	return arena_printf(
	    a, "%.*s\n%.*s", VIEW_ARG(url), VIEW_ARG(sso->region->value));
}

/*
 * The legacy form has no name: it joins the first sso-session of that start
 * URL and region, else all such profiles share one login.
 */
static void
join_session(struct table *t, struct sso *sso)
{
	struct view key = place_key(&t->config.arena, sso);
	const struct section *s = map_get(&t->places, PLACE_SESSION, key);
	void **first;

	if (s && (s->file->admin || !sso->guard)) {
		login_session(&t->config, s, sso);
		return;
	}
	first = map_at(&t->places, PLACE_LEGACY, key);
	if (!*first) {
		struct entry *copy =
		    arena_alloc(&t->config.arena, sizeof(*copy));

		*copy = *sso->start_url;
		*first = copy;
	}
	sso->start_url = *first;
}

static const char *
quoted(struct view v)
{
	return v.n > 1 && (*v.p == '"' || *v.p == '\'') ? ", without quotes"
							: "";
}

/* Where it is, before it becomes a part of a host name. */
static bool
check_place(struct arena *a, const struct section *owner, const struct sso *sso,
    struct view *why)
{
	if (!sso->start_url || !sso->region) {
		const char *key =
		    sso->start_url ? "sso_region" : "sso_start_url";
		const char *like = sso->start_url
		    ? "eu-west-1"
		    : "https://NAME.awsapps.com/start";

		*why = text_make(a,
		    "%s \"%.*s\" at %.*s:%u has no %s: add %s = "
		    "%s",
		    owner->kind == SECTION_SESSION ? "sso-session" : "profile",
		    NAME_ARG(owner->name), AT(owner), key, key, like);
		return false;
	}
	if (!check_start_url(sso->start_url->value)) {
		*why = text_make(a,
		    "%.*s at %.*s:%u is not a start URL: write "
		    "https://NAME.awsapps.com/start%s",
		    NAME_ARG(sso->start_url->key), AT(sso->start_url),
		    quoted(sso->start_url->value));
		return false;
	}
	if (!check_region(sso->region->value)) {
		*why = text_make(a,
		    "%.*s = %.*s at %.*s:%u is not a region: write "
		    "one like eu-west-1%s",
		    NAME_ARG(sso->region->key), NAME_ARG(sso->region->value),
		    AT(sso->region), quoted(sso->region->value));
		return false;
	}
	return true;
}

/* "a, b" as "a,b"; empty entries are left out. */
static bool
set_scopes(struct arena *a, const struct sso *sso, struct view *scopes,
    struct view *why)
{
	struct view rest, one, list = {0};
	bool more;

	*scopes = view_str(SCOPES_DEFAULT);
	if (!sso->scopes)
		return true;
	rest = sso->scopes->value;
	if (rest.n > 2048)
		rest = view_str("?");
	do {
		more = text_split(rest, ',', &one, &rest);
		one = text_strip(one);
		if (one.n)
			list = arena_printf(a, "%.*s%s%.*s", VIEW_ARG(list),
			    list.n ? "," : "", VIEW_ARG(one));
	} while (more);
	if (!list.n)
		return true;
	if (!check_scopes(list)) {
		*why = text_make(a,
		    "%.*s at %.*s:%u is not a list of scopes: "
		    "write sso:account:access, or remove the line",
		    NAME_ARG(sso->scopes->key), AT(sso->scopes));
		return false;
	}
	*scopes = list;
	return true;
}

/* ---- the way to AWS */

static struct bundle *
bundle_read(struct table *t, struct view path)
{
	struct arena *a = &t->config.arena;
	void **slot = map_at(&t->bundles, 0, path);
	struct bundle *b = *slot;
	struct view text;
	int error;

	if (b)
		return b;
	*slot = b = arena_alloc(a, sizeof(*b));
	error = config_slurp(
	    &t->config, (const char *)path.p, CA_FILE_MAX, &text, NULL);
	if (error)
		b->why = view_str(strerror(error));
	else if (!text.n)
		b->why = view_str("it is empty");
	else
		b->digest = login_digest(a, text);
	return b;
}

/* AWS_CA_BUNDLE of the environment, else the profile's ca_bundle. */
static bool
set_bundle(struct table *t, struct reach *r, struct facts *f)
{
	struct arena *a = &t->config.arena;
	const struct entry *e = NULL;
	struct view value, path, place;
	struct bundle *b;

	if (!r->enforced && view_find(r->env, "AWS_CA_BUNDLE", &value) &&
	    value.n) {
		place = view_str("AWS_CA_BUNDLE in the environment");
	} else {
		e = config_get(r->config, r->profile, "ca_bundle");
		if (!e || !e->value.n)
			return true;
		value = e->value;
		place = arena_printf(a, "ca_bundle at %.*s:%u", AT(e));
	}
	if (!config_path(&t->config, value, &path)) {
		r->why = text_make(a,
		    "%.*s is not an absolute path: write "
		    "/PATH or ~/PATH",
		    VIEW_ARG(place));
		return false;
	}
	f->ca_path = arena_copy(a, path);
	b = bundle_read(t, f->ca_path);
	f->ca_digest = b->digest;
	if (b->why.n)
		r->why = text_make(a,
		    "%.*s: cannot read %.*s (%.*s): correct the "
		    "path, or remove it to trust the system's CAs",
		    VIEW_ARG(place), VIEW_ARG(path), VIEW_ARG(b->why));
	return !b->why.n;
}

/* As botocore: the name in lower case first, even if it is empty. */
static struct view
find_either(struct view env, const char *small, const char *capital)
{
	struct view v;

	if (view_find(env, small, &v) || view_find(env, capital, &v))
		return v;
	return (struct view){0};
}

static bool
proxy_is_usable(struct view proxy, struct url *u)
{
	static const char *const schemes[] = {
	    "http", "https", "socks4", "socks4a", "socks5", "socks5h"};
	size_t i;

	if (!check_url(proxy, u) || (u->rest.n && !view_is(u->rest, "/")))
		return false;
	for (i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		if (view_is(u->scheme, schemes[i]))
			return true;
	}
	return false;
}

/* The proxy may hold a password: no text ever shows more than its host. */
static bool
set_proxy(struct reach *r, struct facts *f, struct view *host)
{
	struct arena *a = &r->config->arena;
	struct view v = find_either(r->env, "https_proxy", "HTTPS_PROXY");
	struct url u;
	uint32_t i;

	if (!v.n)
		v = find_either(r->env, "all_proxy", "ALL_PROXY");
	if (!v.n)
		return true;
	for (i = 0; i + 2 < v.n && memcmp(v.p + i, "://", 3) != 0; i++)
		continue;
	if (i + 2 >= v.n)
		v = arena_printf(a, "http://%.*s", VIEW_ARG(v));
	if (!proxy_is_usable(v, &u)) {
		r->why =
		    view_str("the proxy in the environment (HTTPS_PROXY or "
			     "ALL_PROXY) is not a URL that can be used: "
			     "write http://HOST:PORT, or unset it");
		return false;
	}
	*host = u.host;
	f->proxy = v;
	f->no_proxy = find_either(r->env, "no_proxy", "NO_PROXY");
	if (f->no_proxy.n > 4096 || !text_is_printable(f->no_proxy)) {
		r->why = view_str("NO_PROXY in the environment has characters "
				  "that no host name has: correct or unset it");
		return false;
	}
	return true;
}

/* What a person should see before approving. */
static struct view
make_notice(struct arena *a, const struct facts *f, struct view proxy_host)
{
	struct view urls[3] = {f->oidc, f->portal, f->sts}, list = {0};
	struct view notice = {0};
	int i;

	for (i = 0; i < 3; i++) {
		if (!urls[i].n ||
		    endpoint_is_aws(a, (enum service)i, f->region, urls[i]))
			continue;
		if ((i > 0 && view_eq(urls[i], urls[0])) ||
		    (i > 1 && view_eq(urls[i], urls[1])))
			continue;
		list = arena_printf(a, "%.*s%s%.*s", VIEW_ARG(list),
		    list.n ? ", " : "", VIEW_ARG(urls[i]));
	}
	if (list.n)
		notice =
		    arena_printf(a, "NOT AWS: endpoint %.*s", VIEW_ARG(list));
	if (f->ca_path.n)
		notice =
		    arena_printf(a, "%.*s%sCA bundle %.*s", VIEW_ARG(notice),
			notice.n ? "; " : "", VIEW_ARG(f->ca_path));
	if (proxy_host.n)
		notice = arena_printf(a, "%.*s%sthrough proxy %.*s",
		    VIEW_ARG(notice), notice.n ? "; " : "",
		    VIEW_ARG(proxy_host));
	return notice.n ? text_make(a, "%.*s", VIEW_ARG(notice)) : notice;
}

/* ---- rows */

static struct view
encode_facts(struct arena *a, struct view before, const struct facts *f)
{
	AUTOBUF struct buf b = {0};

	buf_string(&b, before);
	msg_encode(MSG_FACTS, f, &b);
	if (b.bad)
		fatalx("facts of a login are too large, or memory is short");
	return arena_copy(a, view_of(&b));
}

/* All that makes it this login and no other; not how it is shown, nor what the
 * file with the CAs is called. */
static struct view
identity_of(struct arena *a, struct view name, const struct facts *f)
{
	struct facts bound = *f;

	bound.session = (struct view){0};
	bound.ca_path = (struct view){0};
	return login_digest(a, encode_facts(a, name, &bound));
}

static struct session_row *
row_for(struct table *t, struct view name, const struct facts *f)
{
	struct arena *a = &t->config.arena;
	struct view login = identity_of(a, name, f);
	void **slot = map_at(&t->logins, 0, login);
	struct session_row *row = *slot;
	struct view facts;

	if (row)
		return row;
	*slot = row = arena_alloc(a, sizeof(*row));
	facts = encode_facts(a, view_str(""), f);
	row->msg.facts = (struct view){facts.p + 4, facts.n - 4};
	row->msg.login = login;
	row->msg.name = name;
	row->msg.index = t->sessions++;
	if (t->last_session)
		t->last_session->next = row;
	else
		t->session = row;
	t->last_session = row;
	return row;
}

/* Everything but the place, which has been checked. An enforced session says
 * how it is reached; STS is the profile's, and so not the session's to say. */
static bool
set_way(struct table *t, struct reach *r, const struct section *guard,
    struct facts *f, struct view *notice)
{
	struct reach sso = *r, *sts = r;
	struct view proxy_host = {0};

	if (guard) {
		sso.profile = guard;
		sso.enforced = true;
		if (guard->kind == SECTION_PROFILE)
			sts = &sso;
	}
	if (!endpoint_url(&sso, SERVICE_OIDC, f->region, &f->oidc) ||
	    !endpoint_url(&sso, SERVICE_PORTAL, f->region, &f->portal) ||
	    !set_bundle(t, &sso, f) || !set_proxy(&sso, f, &proxy_host)) {
		r->why = sso.why;
		return false;
	}
	if (!endpoint_override(sts, SERVICE_STS, &f->sts)) {
		r->why = sts->why;
		return false;
	}
	*notice = make_notice(&t->config.arena, f, proxy_host);
	return true;
}

/* A CA bundle that is not asked is a connection that fails: say why. */
static void
tell_bundle(struct config *c, const struct section *profile,
    const struct section *guard)
{
	const struct entry *e =
	    profile ? config_get(c, profile, "ca_bundle") : NULL;

	if (e && !e->file->admin)
		config_problem(c, e->file, e->line,
		    "ca_bundle counts for nothing in this login: [sso-session "
		    "%.*s] of %.*s has awsenv_enforce = true; have it written "
		    "there",
		    NAME_ARG(guard->name), NAME_ARG(guard->file->shown));
}

/* The marks of the session and of a profile that uses it. */
static bool
is_autostart(const struct config *c, const struct section *profile,
    const struct section *session)
{
	if (session && config_enforced(c, session) &&
	    config_get(c, session, "awsenv_login"))
		return config_true(c, session, "awsenv_login");
	return config_true(c, profile, "awsenv_login") ||
	    config_true(c, session, "awsenv_login");
}

struct session_row *
login_row(struct table *t, const struct section *profile, const struct sso *sso,
    struct view *why)
{
	struct reach reach = {
	    .config = &t->config, .profile = profile, .env = t->env};
	struct arena *a = &t->config.arena;
	struct sso joined = *sso;
	struct session_row *row;
	struct view notice, name = {0};
	struct facts f = {0};

	if (!check_place(a, sso->session ? sso->session : profile, sso, why))
		return NULL;
	if (!sso->session)
		join_session(t, &joined);
	if (!set_scopes(a, &joined, &f.scopes, why))
		return NULL;
	f.start_url = joined.start_url->value;
	f.region = joined.region->value;
	if (joined.session)
		name = joined.session->name;
	f.session = name.n ? name : f.start_url;
	if (!joined.guard && joined.session &&
	    config_enforced(&t->config, joined.session)) {
		joined.guard = joined.session;
		tell_bundle(&t->config, profile, joined.guard);
	}
	if (!set_way(t, &reach, joined.guard, &f, &notice)) {
		*why = reach.why;
		return NULL;
	}
	row = row_for(t, name, &f);
	row->msg.notice = notice;
	forward_session(&t->config, joined.session, &row->msg);
	if (is_autostart(&t->config, profile, joined.session))
		row->msg.autostart = 1;
	return row;
}

static void
bare_row(struct table *t, const struct section *s)
{
	struct sso sso = {0};
	struct session_row *row;
	struct view why = {0};
	void **place;

	login_session(&t->config, s, &sso);
	if (!(row = login_row(t, NULL, &sso, &why))) {
		struct facts f = {.session = s->name};

		row = row_for(t, s->name, &f);
		row->msg.error = AW_CONFIG;
		row->msg.text = why;
	}
	row->msg.bare = 1;
	if (!check_place(&t->config.arena, s, &sso, &why))
		return;
	place = map_at(
	    &t->places, PLACE_SESSION, place_key(&t->config.arena, &sso));
	if (!*place)
		*place = (void *)(uintptr_t)s;
}

void
login_bare(struct table *t)
{
	const struct section *s;

	for (s = t->config.first; s; s = s->next) {
		if (s->kind == SECTION_SESSION && config_is_top(&t->config, s))
			bare_row(t, s);
	}
}
