/* SPDX-License-Identifier: ISC */
/*
 * What a command would lose with AWS_PROFILE: the profile's other settings, as
 * the variables that the SDKs read in their place.
 */
#include <string.h>

#include "awsenv/own.h"

#include "profile.h"

static const struct {
	const char *key;
	const char *variable;
} settings[] = {
    {"output", "AWS_DEFAULT_OUTPUT"},
    {"retry_mode", "AWS_RETRY_MODE"},
    {"max_attempts", "AWS_MAX_ATTEMPTS"},
    {"use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT"},
    {"use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT"},
    {"sts_regional_endpoints", "AWS_STS_REGIONAL_ENDPOINTS"},
    {"ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"},
    {"endpoint_url", "AWS_ENDPOINT_URL"},
};

static void
put(struct buf *list, struct view name, struct view value)
{
	if (!value.n || value.n > 4096 || !text_is_printable(value))
		return;
	buf_put(list, name.p, name.n);
	buf_u8(list, '=');
	buf_put(list, value.p, value.n);
	buf_u8(list, '\0');
}

/* AWS_ENDPOINT_URL_ and the block's name in capitals; false: no such name. */
static bool
variable_for(struct view block, char name[static 80])
{
	static const char prefix[] = "AWS_ENDPOINT_URL_";
	size_t n = sizeof(prefix) - 1;
	uint32_t i;

	if (!block.n || block.n > 60)
		return false;
	memcpy(name, prefix, n);
	for (i = 0; i < block.n; i++) {
		uint8_t c = block.p[i];

		if (c >= 'a' && c <= 'z')
			c -= 32;
		if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '_')
			return false;
		name[n++] = (char)c;
	}
	name[n] = '\0';
	return true;
}

/* Only what config_get() would find: a block above hides the one below. */
static void
put_blocks(
    const struct config *c, const struct section *services, struct buf *list)
{
	const struct section *s;
	const struct entry *e, *url;
	char key[64], name[80];

	for (s = services; s; s = s->below) {
		for (e = s->first; e && !list->bad; e = e->next) {
			url = config_nested(c, e, "endpoint_url");
			if (!url || !variable_for(e->key, name))
				continue;
			memcpy(key, e->key.p, e->key.n);
			key[e->key.n] = '\0';
			if (config_get(c, services, key) == e)
				put(list, view_str(name), url->value);
		}
	}
}

/* Made once, however many profiles name the section. */
static void
put_services(struct config *c, const struct section *services, struct buf *list)
{
	void **slot = map_at(&c->urls, services->id, view_str(""));
	AUTOBUF struct buf all = {0};
	struct view *urls = *slot;

	if (!urls) {
		put_blocks(c, services, &all);
		*slot = urls = arena_alloc(&c->arena, sizeof(*urls));
		if (!all.bad)
			*urls = arena_copy(&c->arena, view_of(&all));
	}
	if (urls->p)
		buf_put(list, urls->p, urls->n);
	else
		list->bad = true;
}

void
settings_list(struct reach *r, struct buf *list)
{
	const struct entry *e = config_get(r->config, r->profile, "ca_bundle");
	const struct section *services;
	struct view path;
	bool serve;
	size_t i;

	if (e && config_path(r->config, e->value, &path))
		put(list, view_str("AWS_CA_BUNDLE"), path);
	for (i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		put(list, view_str(settings[i].variable),
		    config_value(r->config, r->profile, settings[i].key));
	/* For awsenv itself, which does not hand it on. */
	e = config_get(r->config, r->profile, "awsenv_serve");
	if (e) {
		check_bool(e->value, &serve);
		put(list, view_str("AWSENV_SERVE"),
		    view_str(serve ? "true" : "false"));
	}
	services = config_named(r->config, SECTION_SERVICES,
	    config_value(r->config, r->profile, "services"),
	    config_enforced(r->config, r->profile));
	/* A URL for all services in the environment goes before those in the
	 * file, but as variables these would go before it. */
	if (view_find(r->env, "AWS_ENDPOINT_URL", &path) && path.n)
		return;
	if (services)
		put_services(r->config, services, list);
}
