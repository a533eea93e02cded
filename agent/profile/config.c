/* SPDX-License-Identifier: ISC */
/*
 * The administrator's files and the user's, one on top of the other, and what
 * they say of a key. Knows nothing of what keys mean.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#include "profile.h"

/* Keys that this program reads, or that say whose a profile is: a slip in one
 * of these is worth telling, in one of the SDKs' other keys it is not. */
static const char *const known_keys[] = {
    "awsenv_browser",
    "awsenv_confirm",
    "awsenv_enforce",
    "awsenv_forward",
    "awsenv_forward_duration",
    "awsenv_forward_hosts",
    "awsenv_forward_policy",
    "awsenv_identity",
    "awsenv_login",
    "awsenv_serve",
    "aws_access_key_id",
    "ca_bundle",
    "credential_process",
    "credential_source",
    "duration_seconds",
    "endpoint_url",
    "external_id",
    "granted_sso_account_id",
    "granted_sso_region",
    "granted_sso_registration_scopes",
    "granted_sso_role_name",
    "granted_sso_start_url",
    "ignore_configured_endpoint_urls",
    "include_profile",
    "login_session",
    "mfa_serial",
    "parent_profile",
    "region",
    "role_arn",
    "role_session_name",
    "services",
    "source_profile",
    "sso_account_id",
    "sso_region",
    "sso_registration_scopes",
    "sso_role_name",
    "sso_session",
    "sso_start_url",
    "sts_regional_endpoints",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "web_identity_token_file",
};

bool
config_is_known(struct view key)
{
	size_t i;

	for (i = 0; i < sizeof(known_keys) / sizeof(*known_keys); i++) {
		if (view_is(key, known_keys[i]))
			return true;
	}
	return false;
}

void
config_problem(
    struct config *c, struct file *file, uint32_t line, const char *fmt, ...)
{
	struct problem *p;
	va_list ap;

	if (file->problems > CONFIG_PROBLEMS_MAX)
		return;
	p = arena_alloc(&c->arena, sizeof(*p));
	p->file = file;
	p->line = line;
	if (file->problems++ == CONFIG_PROBLEMS_MAX) {
		p->text = view_str("and more of the kind below this line");
	} else {
		va_start(ap, fmt);
		p->text = text_vmake(&c->arena, fmt, ap);
		va_end(ap);
	}
	if (c->last_problem)
		c->last_problem->next = p;
	else
		c->problem = p;
	c->last_problem = p;
}

struct file *
config_file(struct config *c, struct view path, bool admin)
{
	struct file *f = arena_alloc(&c->arena, sizeof(*f));
	struct view home = c->home;

	f->path = arena_copy(&c->arena, path);
	f->shown = f->path;
	f->admin = admin;
	if (home.n > 1 && path.n > home.n && path.p[home.n] == '/' &&
	    memcmp(path.p, home.p, home.n) == 0)
		f->shown = arena_printf(&c->arena, "~%.*s",
		    (int)(path.n - home.n), (const char *)path.p + home.n);
	return f;
}

/* ---- files */

static void
stamp_of(const struct stat *st, struct stamp *stamp)
{
	stamp->dev = st->st_dev;
	stamp->ino = st->st_ino;
	stamp->size = (uint64_t)st->st_size;
	stamp->mtime = (uint64_t)st->st_mtim.tv_sec * 1000000000u +
	    (uint64_t)st->st_mtim.tv_nsec;
}

/* All of fd, however much the file has grown since it was looked at. */
static int
read_all(
    struct config *c, int fd, size_t expected, size_t max, struct view *text)
{
	size_t cap = expected + 1, used = 0;
	uint8_t *p = arena_alloc(&c->arena, cap), *bigger;
	ssize_t n;

	while ((n = read(fd, p + used, cap - used)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if ((used += (size_t)n) > max)
			return EFBIG;
		if (used == cap) {
			bigger = arena_alloc(&c->arena, cap * 2);
			memcpy(bigger, p, used);
			p = bigger;
			cap *= 2;
		}
	}
	*text = (struct view){p, (uint32_t)used};
	return 0;
}

int
config_slurp(struct config *c, const char *path, size_t max, struct view *text,
    struct stamp *stamp)
{
	struct stat st;
	AUTOCLOSE int fd = -1;

	*text = (struct view){0};
	/* A FIFO must not hold us, and a terminal not become ours. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno;
	if (fstat(fd, &st) != 0)
		return errno;
	/* Looked at before it is read: who writes meanwhile makes another
	 * stamp, and is read again. */
	if (stamp)
		stamp_of(&st, stamp);
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (S_ISCHR(st.st_mode)) /* AWS_CONFIG_FILE=/dev/null: "none" */
		return strcmp(path, "/dev/null") == 0 ? 0 : EINVAL;
	if (!S_ISREG(st.st_mode))
		return EINVAL;
	if ((uint64_t)st.st_size > max)
		return EFBIG;
	return read_all(c, fd, (size_t)st.st_size, max, text);
}

static void
tell_unreadable(struct config *c, struct file *f, int error)
{
	switch (error) {
	case EACCES:
		config_problem(c, f, 0,
		    "permission denied: it, and every folder "
		    "above it, must be readable for you (chmod u+r)");
		break;
	case EINVAL:
		config_problem(c, f, 0,
		    "it is not a regular file: point "
		    "AWS_CONFIG_FILE at one");
		break;
	case EFBIG:
		config_problem(c, f, 0,
		    "it is larger than %d MiB: split it, or "
		    "point AWS_CONFIG_FILE at a smaller one",
		    CONFIG_FILE_MAX / 1024 / 1024);
		break;
	default:
		config_problem(
		    c, f, 0, "it cannot be read: %s", strerror(error));
	}
}

static enum aw_err
read_file(struct config *c, struct view path, bool admin, struct stamp *stamp)
{
	struct file *f = config_file(c, path, admin);
	struct stamp none = {0};
	struct view text;
	int error;

	if (stamp)
		*stamp = none;
	error = config_slurp(
	    c, (const char *)f->path.p, CONFIG_FILE_MAX, &text, stamp);
	if (error == ENOENT || error == ENOTDIR)
		return AW_OK;
	if (error) {
		tell_unreadable(c, f, error);
		return AW_SYSTEM;
	}
	ini_parse(c, f, text);
	return AW_OK;
}

static int
is_conf(const struct dirent *d)
{
	return d->d_name[0] != '.' && text_ends(view_str(d->d_name), ".conf");
}

/* Its folder of pieces, in the order of their names. */
static enum aw_err
read_folder(struct config *c, const char *admin)
{
	struct view path = arena_printf(&c->arena, "%s/config.d", admin);
	enum aw_err r = AW_OK;
	struct dirent **list;
	int i, n;

	n = scandir((const char *)path.p, &list, is_conf, alphasort);
	if (n < 0 && (errno == ENOENT || errno == ENOTDIR))
		return AW_OK;
	if (n < 0) {
		tell_unreadable(c, config_file(c, path, true), errno);
		return AW_SYSTEM;
	}
	for (i = 0; i < n; i++) {
		if (r == AW_OK) {
			path = arena_printf(&c->arena, "%s/config.d/%s", admin,
			    list[i]->d_name);
			r = read_file(c, path, true, NULL);
		}
		free(list[i]);
	}
	free(list);
	return r;
}

/* aws-vault: what a profile does not say, the one that it includes does. What
 * the administrator includes is the administrator's. */
static void
link_includes(struct config *c)
{
	struct section *s;
	struct view name;

	for (s = c->first; s; s = s->next) {
		if (s->kind != SECTION_PROFILE ||
		    (!s->file->admin && !config_is_top(c, s)))
			continue;
		name = config_value(c, s, "include_profile");
		if (!name.n)
			name = config_value(c, s, "parent_profile");
		if (name.n)
			s->include = config_named(
			    c, SECTION_PROFILE, name, s->file->admin);
	}
}

static void
find_only_session(struct config *c)
{
	struct section *s;
	int n = 0;

	for (s = c->first; s; s = s->next) {
		if (s->kind != SECTION_SESSION || !config_is_top(c, s))
			continue;
		c->only_session = n++ == 0 ? s : NULL;
	}
}

enum aw_err
config_read(
    struct config *c, const char *admin, struct view path, struct stamp *stamp)
{
	struct view first = arena_printf(&c->arena, "%s/config", admin);
	enum aw_err r;

	*stamp = (struct stamp){0};
	/* Ends at the first that fails, so that its reason is told last. */
	if ((r = read_file(c, first, true, NULL)) != AW_OK ||
	    (r = read_folder(c, admin)) != AW_OK)
		return r;
	if (config_off(c))
		return AW_OK;
	if (path.n && (r = read_file(c, path, false, stamp)) != AW_OK)
		return r;
	link_includes(c);
	find_only_session(c);
	return AW_OK;
}

void
config_free(struct config *c)
{
	map_free(&c->names);
	map_free(&c->keys);
	map_free(&c->urls);
	arena_free(&c->arena);
	*c = (struct config){0};
}

/* ---- asking */

struct section *
config_section(const struct config *c, enum section_kind kind, struct view name)
{
	return map_get(&c->names, kind, name);
}

bool
config_is_top(const struct config *c, const struct section *s)
{
	return config_section(c, s->kind, s->name) == s;
}

/* What one file says, in the section or in its defaults. */
static const struct entry *
get_in_file(const struct config *c, const struct section *s, struct view key)
{
	const struct entry *e = map_get(&c->keys, s->id, key);

	if (!e && s->defaults)
		e = map_get(&c->keys, s->defaults->id, key);
	return e;
}

const struct entry *
config_in_file(const struct config *c, const struct section *s, const char *key)
{
	return get_in_file(c, s, view_str(key));
}

static const struct entry *
get_here(const struct config *c, const struct section *s, struct view key)
{
	const struct entry *e;

	for (; s; s = s->below) {
		if ((e = get_in_file(c, s, key)))
			return e;
	}
	return NULL;
}

const struct entry *
config_get(const struct config *c, const struct section *s, const char *key)
{
	struct view k = view_str(key);
	const struct entry *e;
	int depth;

	/* Who includes himself is told elsewhere; here it just ends. */
	for (depth = 0; s && depth < 8; depth++, s = s->include) {
		if ((e = get_here(c, s, k)))
			return e;
	}
	return NULL;
}

const struct entry *
config_nested(const struct config *c, const struct entry *e, const char *subkey)
{
	if (!e || !e->block)
		return NULL;
	return map_get(&c->keys, e->block, view_str(subkey));
}

struct view
config_value(const struct config *c, const struct section *s, const char *key)
{
	const struct entry *e = config_get(c, s, key);

	return e ? e->value : (struct view){0};
}

bool
config_true(const struct config *c, const struct section *s, const char *key)
{
	bool yes;

	check_bool(config_value(c, s, key), &yes);
	return yes;
}

/* Where several of the administrator's files say it, the strictest counts; and
 * a slip in this one must not open what it was to close. */
bool
config_enforced(const struct config *c, const struct section *s)
{
	const struct entry *e;
	bool yes;

	for (; s; s = s->below) {
		e = get_in_file(c, s, view_str("awsenv_enforce"));
		if (e && e->file->admin && (!check_bool(e->value, &yes) || yes))
			return true;
	}
	return false;
}

/* As above, for what any of the files may ask for and none take back. */
bool
config_strict(const struct config *c, const struct section *s, const char *key)
{
	const struct section *in;
	const struct entry *e;
	bool yes;
	int depth;

	for (depth = 0; s && depth < 8; depth++, s = s->include) {
		for (in = s; in; in = in->below) {
			e = get_in_file(c, in, view_str(key));
			if (e && (!check_bool(e->value, &yes) || yes))
				return true;
		}
	}
	return false;
}

const struct section *
config_named(const struct config *c, enum section_kind kind, struct view name,
    bool admin)
{
	const struct section *s = config_section(c, kind, name);

	while (admin && s && !s->file->admin)
		s = s->below;
	return s;
}

/* As above: one "false" is enough, and so is what is neither. */
const struct entry *
config_off(const struct config *c)
{
	const struct section *s =
	    config_section(c, SECTION_AWSENV, view_str("awsenv"));
	const struct entry *e;
	bool yes;

	for (; s; s = s->below) {
		e = map_get(&c->keys, s->id, view_str("enabled"));
		if (e && e->file->admin &&
		    (!check_bool(e->value, &yes) || !yes))
			return e;
	}
	return NULL;
}

bool
config_path(struct config *c, struct view value, struct view *path)
{
	*path = value;
	if (value.n > CONFIG_PATH_MAX)
		return false;
	if (c->home.n && value.n && *value.p == '~' &&
	    (value.n == 1 || value.p[1] == '/'))
		*path = arena_printf(&c->arena, "%.*s%.*s", VIEW_ARG(c->home),
		    (int)value.n - 1, (const char *)value.p + 1);
	return path->n && *path->p == '/' && text_is_printable(*path);
}
