/* SPDX-License-Identifier: ISC */
/*
 * Which hosts: AWS's partitions, FIPS and dual-stack, and what a person, a
 * laboratory or an attacker puts in their place. Judges URLs, never asks them.
 */
#include <string.h>

#include "awsenv/partition.h"

#include "profile.h"

static const struct {
	const char *name;
	const char *fips;
	const char *variable;
	const char *block; /* in a services section */
} services[] = {
    [SERVICE_OIDC] = {"oidc", "oidc-fips", "AWS_ENDPOINT_URL_SSO_OIDC",
	"sso_oidc"},
    [SERVICE_PORTAL] = {"portal.sso", "portal.sso-fips", "AWS_ENDPOINT_URL_SSO",
	"sso"},
    [SERVICE_STS] = {"sts", "sts-fips", "AWS_ENDPOINT_URL_STS", "sts"},
};

/* Regions whose STS is the global one under sts_regional_endpoints = legacy. */
static const char *const sts_legacy[] = {
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
};

/* AWS's own base URL. */
static struct view
standard_url(struct arena *a, enum service service, struct view region,
    bool fips, bool dualstack)
{
	const struct partition *p = partition_of(region);
	bool plain = !fips || (p->plain_is_fips && !dualstack);

	return arena_printf(a, "https://%s.%.*s.%s",
	    plain ? services[service].name : services[service].fips,
	    VIEW_ARG(region), dualstack ? p->dualstack : p->suffix);
}

/* A variable that leads elsewhere; not where that is not for it to say. */
static bool
find_variable(const struct reach *r, const char *name, struct view *value)
{
	return !r->enforced && view_find(r->env, name, value) && value->n;
}

/* A switch: the environment first, then the profile. */
static bool
is_on(const struct reach *r, const char *variable, const char *key)
{
	struct view value;
	bool yes;

	if (!find_variable(r, variable, &value))
		value = config_value(r->config, r->profile, key);
	check_bool(value, &yes);
	return yes;
}

static bool
wants_fips(const struct reach *r)
{
	return is_on(r, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
}

static bool
wants_dualstack(const struct reach *r)
{
	return is_on(r, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");
}

/* endpoint_url of a block in the profile's services section; false: no such
 * section. */
static bool
find_in_services(struct reach *r, const char *block, const struct entry **found)
{
	const struct entry *named;
	const struct section *s;

	*found = NULL;
	if (!(named = config_get(r->config, r->profile, "services")))
		return true;
	if (!(s = config_named(
		  r->config, SECTION_SERVICES, named->value, r->enforced))) {
		r->why = text_make(&r->config->arena,
		    "services = %.*s at %.*s:%u: there is no [services %.*s]; "
		    "write one, or remove the line",
		    NAME_ARG(named->value), AT(named), NAME_ARG(named->value));
		return false;
	}
	*found = config_nested(
	    r->config, config_get(r->config, s, block), "endpoint_url");
	return true;
}

/* Where an override stands: in a variable, or in a file. */
struct override {
	struct view url;
	const char *variable;
	const struct entry *entry;
};

static bool
find_override(struct reach *r, enum service service, struct override *o)
{
	*o = (struct override){.variable = services[service].variable};
	if (find_variable(r, o->variable, &o->url))
		return true;
	o->variable = "AWS_ENDPOINT_URL";
	if (find_variable(r, o->variable, &o->url))
		return true;
	*o = (struct override){0};
	if (!find_in_services(r, services[service].block, &o->entry))
		return false;
	if (!o->entry)
		o->entry = config_get(r->config, r->profile, "endpoint_url");
	if (o->entry)
		o->url = o->entry->value;
	return true;
}

static struct view
place_of(struct reach *r, const struct override *o)
{
	if (o->variable)
		return arena_printf(
		    &r->config->arena, "%s in the environment", o->variable);
	return arena_printf(
	    &r->config->arena, "endpoint_url at %.*s:%u", AT(o->entry));
}

/* May a token be sent there at all? */
static bool
is_usable(struct reach *r, const struct override *o)
{
	struct view place = place_of(r, o);
	struct arena *a = &r->config->arena;
	struct url u;

	if (!check_url(o->url, &u) || u.user.n ||
	    (u.rest.n && *u.rest.p != '/') || memchr(o->url.p, '?', o->url.n) ||
	    memchr(o->url.p, '#', o->url.n))
		r->why = text_make(a,
		    "%.*s is not a URL that can be used: "
		    "write https://HOST[:PORT][/PATH]",
		    VIEW_ARG(place));
	else if (view_is(u.scheme, "http") && !check_loopback(u.host))
		r->why = text_make(a,
		    "%.*s is http to %.*s, which anybody on the "
		    "way can read: write https (http is for this machine "
		    "alone)",
		    VIEW_ARG(place), NAME_ARG(u.host));
	else if (!view_is(u.scheme, "http") && !view_is(u.scheme, "https"))
		r->why = text_make(a,
		    "%.*s is neither https nor http: write "
		    "https://HOST[:PORT][/PATH]",
		    VIEW_ARG(place));
	else
		return true;
	return false;
}

bool
endpoint_override(struct reach *r, enum service service, struct view *url)
{
	struct override o;

	*url = (struct view){0};
	if (is_on(r, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
		"ignore_configured_endpoint_urls"))
		return true;
	if (!find_override(r, service, &o))
		return false;
	if (!o.url.n)
		return true;
	if (!is_usable(r, &o))
		return false;
	if (wants_fips(r) || wants_dualstack(r)) {
		struct view place = place_of(r, &o);

		r->why = text_make(&r->config->arena,
		    "%.*s does not go together with a FIPS or dual-stack "
		    "endpoint, for any of AWS's tools: remove one of the two",
		    VIEW_ARG(place));
		return false;
	}
	*url = o.url;
	while (url->n && url->p[url->n - 1] == '/')
		url->n--;
	return true;
}

static struct view
standard_for(struct reach *r, enum service service, struct view region)
{
	return standard_url(&r->config->arena, service, region, wants_fips(r),
	    wants_dualstack(r));
}

bool
endpoint_url(
    struct reach *r, enum service service, struct view region, struct view *url)
{
	if (!endpoint_override(r, service, url))
		return false;
	if (!url->n)
		*url = standard_for(r, service, region);
	return true;
}

/* Exact names only: below amazonaws.com everybody can have a host. */
bool
endpoint_is_aws(
    struct arena *a, enum service service, struct view region, struct view url)
{
	int i;

	for (i = 0; i < 4; i++) {
		if (view_eq(
			url, standard_url(a, service, region, i & 1, i & 2)))
			return true;
	}
	return service == SERVICE_STS &&
	    view_is(url, "https://sts.amazonaws.com");
}

bool
endpoint_region(struct reach *r, struct view *region)
{
	const struct entry *e = config_get(r->config, r->profile, "region");

	*region = (struct view){0};
	if (!e)
		return true;
	*region = e->value;
	if (!region->n || check_region(*region))
		return true;
	r->why = text_make(&r->config->arena,
	    "region = %.*s at %.*s:%u is not a region: write one like "
	    "eu-west-1",
	    NAME_ARG(*region), AT(e));
	return false;
}

/* The profile's region, the environment's, else the one of the login. */
static bool
sts_region(struct reach *r, struct view fallback, struct view *region)
{
	static const char *const variables[] = {
	    "AWS_REGION", "AWS_DEFAULT_REGION"};
	size_t i;

	if (!endpoint_region(r, region))
		return false;
	for (i = 0; !region->n && i < 2; i++) {
		if (!view_find(r->env, variables[i], region) || !region->n)
			continue;
		if (check_region(*region))
			return true;
		r->why = text_make(&r->config->arena,
		    "%s in the environment is not a region: unset it, or write "
		    "one like eu-west-1",
		    variables[i]);
		return false;
	}
	if (!region->n)
		*region = fallback;
	return true;
}

static bool
sts_is_global(struct reach *r, struct view region)
{
	struct view mode;
	size_t i;

	if (wants_fips(r) || wants_dualstack(r))
		return false;
	if (view_is(region, "aws-global"))
		return true;
	if (!find_variable(r, "AWS_STS_REGIONAL_ENDPOINTS", &mode))
		mode = config_value(
		    r->config, r->profile, "sts_regional_endpoints");
	if (!view_is(mode, "legacy"))
		return false;
	for (i = 0; i < sizeof(sts_legacy) / sizeof(*sts_legacy); i++) {
		if (view_is(region, sts_legacy[i]))
			return true;
	}
	return false;
}

bool
endpoint_sts(struct reach *r, struct view fallback, struct view *url,
    struct view *region)
{
	if (!sts_region(r, fallback, region) ||
	    !endpoint_override(r, SERVICE_STS, url))
		return false;
	if (!url->n && sts_is_global(r, *region)) {
		*url = view_str("https://sts.amazonaws.com");
		*region = view_str("us-east-1");
	}
	if (view_is(*region, "aws-global"))
		*region = view_str("us-east-1");
	if (!url->n)
		*url = standard_for(r, SERVICE_STS, *region);
	return true;
}
