/* SPDX-License-Identifier: ISC */
/*
 * Profiles that are there, in another form: SSO facts moved into a
 * credential_process, which every SDK runs, or out of what another tool wrote.
 * Whose role each is, the agent knows: it reads all those forms.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/configure.h"

struct dialect {
	const char *name;
	const char *prefix; /* of the keys it has */
	const char *key;
	const char *process; /* what its credential_process runs */
};

static const struct dialect dialects[] = {
    {"granted", "granted_sso_", NULL, "granted"},
    {"aws-vault", NULL, "include_profile", NULL},
    {"aws-sso-cli", NULL, NULL, "aws-sso"},
};

struct move {
	const struct options *options;
	const struct dialect *dialect; /* NULL: the SDKs' own keys */
	const struct text *text;
	struct profile_list list;
	const char *awsenv;
};

static const struct dialect *
dialect_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(dialects) / sizeof(*dialects); i++) {
		if (!strcmp(dialects[i].name, name))
			return &dialects[i];
	}
	warn("--from takes one of: granted, aws-vault, aws-sso-cli");
	return NULL;
}

/* "granted" of "/usr/bin/granted credential-process ..." */
static bool
runs(struct view line, const char *program)
{
	const char *text = keep(line), *word = text, *end;

	end = text + strcspn(text, " \t");
	while (end > word && memchr(word, '/', (size_t)(end - word)))
		word++;
	return (size_t)(end - word) == strlen(program) &&
	    !memcmp(word, program, strlen(program));
}

static bool
is_of(const struct dialect *d, const struct line *l)
{
	size_t n = d->prefix ? strlen(d->prefix) : 0;

	if (n && l->key.n > n &&
	    !strncasecmp((const char *)l->key.p, d->prefix, n))
		return true;
	if (d->key && line_is_key(l, d->key))
		return true;
	return d->process && line_is_key(l, "credential_process") &&
	    runs(l->value, d->process);
}

static bool
is_sso(const struct line *l)
{
	static const char *const keys[] = {"sso_session", "sso_start_url",
	    "sso_region", "sso_account_id", "sso_role_name",
	    "sso_registration_scopes"};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (line_is_key(l, keys[i]))
			return true;
	}
	return false;
}

static bool
replaced(void *arg, const struct line *l)
{
	const struct move *m = arg;

	/* SDKs heed no credential_process beside sso_* keys. */
	if ((m->options->given & OPT_PROCESS) && is_sso(l))
		return true;
	return m->dialect && is_of(m->dialect, l);
}

/* What that profile's section has of it: some key, or one of the dialect. */
static bool
section_has(const struct move *m, struct view profile, const char *key)
{
	struct lines l;
	bool in = false;

	for (lines_begin(&l, m->text); lines_next(&l);) {
		if (l.now.kind == LINE_SECTION)
			in = l.now.of == OF_PROFILE &&
			    view_eq(l.now.name, profile);
		if (in && l.now.kind == LINE_KEY &&
		    (key ? line_is_key(&l.now, key)
			 : replaced((void *)(uintptr_t)m, &l.now)))
			return true;
	}
	return false;
}

static const struct profile_row *
row_find(const struct move *m, struct view profile)
{
	size_t i;

	for (i = 0; i < m->list.n; i++) {
		if (view_is(profile, m->list.row[i].name))
			return &m->list.row[i];
	}
	return NULL;
}

static void
put(struct buf *out, const struct move *m, struct view profile, const char *key,
    const char *value)
{
	if (*value && !section_has(m, profile, key))
		text_add(out, "%s = %s\n", key, value);
}

static const char *
left_alone(struct view profile, const char *why)
{
	say("awsenv: profile %s is left as it is: %s\n", shown(profile), why);
	return NULL;
}

/* What goes into a line of a file, and there into a command. */
static bool
is_plain(const char *s)
{
	return made_of(view_str(s), LETTERS SMALL DIGITS "._-+=,@", 1, 256);
}

static const char *
as_process(const struct move *m, const struct profile_row *row,
    struct view profile, struct buf *out)
{
	if (!*row->session)
		return left_alone(profile,
		    "its start URL stands in no sso-session, to be named");
	if (!is_plain(row->session) || !is_plain(row->account) ||
	    !is_plain(row->role))
		return left_alone(profile, "its names need quotes");
	text_add(out,
	    "credential_process = %s process --sso-session %s --account %s "
	    "--role %s\n",
	    m->awsenv, row->session, row->account, row->role);
	return "";
}

static const char *
wanted(void *arg, struct view profile)
{
	const struct move *m = arg;
	const struct profile_row *row = row_find(m, profile);
	AUTOBUF struct buf out = {0};

	if ((m->options->profile && !view_is(profile, m->options->profile)) ||
	    !section_has(m, profile, NULL))
		return NULL;
	if (!row || row->error || !*row->account || !*row->role)
		return left_alone(profile,
		    row && *row->text ? shown_str(row->text)
				      : "it is not of IAM Identity Center");
	if (m->options->given & OPT_PROCESS) {
		if (!as_process(m, row, profile, &out))
			return NULL;
	} else {
		if (*row->session)
			put(&out, m, profile, "sso_session", row->session);
		else
			put(&out, m, profile, "sso_start_url", row->start_url);
		if (!*row->session)
			put(&out, m, profile, "sso_region", row->sso_region);
		put(&out, m, profile, "sso_account_id", row->account);
		put(&out, m, profile, "sso_role_name", row->role);
	}
	if (m->dialect)
		put(&out, m, profile, "region", row->region);
	return keep_text(&out);
}

static int
move(struct move *m, struct file *f)
{
	struct text new = {0};
	char done[128];
	const struct swap s = {&new, wanted, replaced, m};
	size_t n;
	int status;

	m->text = &f->text;
	if (swap_lines(&f->text, &s, &n) != AW_OK)
		out_of_memory();
	format(done, sizeof(done),
	    "%u profile%s changed; awsenv configure --undo brings back what "
	    "was",
	    (unsigned int)n, n == 1 ? "" : "s");
	status = configure_finish(m->options, f, &new, done);
	text_free(&new);
	return status;
}

int
moved_verb(const struct options *o, const char *from)
{
	struct move m = {.options = o, .awsenv = configure_awsenv()};
	struct file f = {0};
	struct talk t;
	enum aw_err r;
	int status;

	if (from && !(m.dialect = dialect_find(from)))
		return EXIT_USAGE;
	r = talk_begin(&t, &(struct options){.wait = -1}, AGENT_START);
	if (r != AW_OK)
		return exit_of(r);
	/* Read first: what the agent reads later is no older. */
	status = EXIT_OTHER;
	if (file_load(&f, t.question.stamped)) {
		r = profiles_get(&t, &m.list);
		status = r == AW_OK ? move(&m, &f) : exit_of(r);
	}
	talk_end(&t);
	profiles_free(&m.list);
	file_free(&f);
	return status;
}
