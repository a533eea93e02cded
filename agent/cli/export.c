/* SPDX-License-Identifier: ISC */
/*
 * Credentials as variables, quoted for whoever will read them. What a command
 * would be given, and nothing that would beat it: in the dialects of shells,
 * conflicting variables that are set here are unset.
 */
#include <stdlib.h>
#include <string.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

extern char **environ;

struct dialect {
	char name[14];
	bool shell; /* variables that would beat ours are unset, too */
	bool json;
	void (*set)(struct buf *, struct view name, struct view value);
	/* NULL: it has no words for that */
	void (*unset)(struct buf *, struct view name);
};

/* In quotes q, with `escape` before each of the special characters. */
static void
quote(struct buf *out, struct view v, char q, const char *special,
    const char *escape)
{
	uint32_t i;

	buf_u8(out, (uint8_t)q);
	for (i = 0; i < v.n; i++) {
		if (strchr(special, v.p[i]))
			buf_put(out, escape, strlen(escape));
		buf_u8(out, v.p[i]);
	}
	buf_u8(out, (uint8_t)q);
}

static void
quote_sh(struct buf *out, struct view v)
{
	quote(out, v, '\'', "'", "'\\'");
}

/* Readers of NAME=value lines that know no quotes are many (env(1) by way of
 * the shell, docker): there are quotes only where they cannot be done without. */
static bool
is_plain(struct view v)
{
	return made_of(v, LETTERS SMALL DIGITS "+/=_-.:%@,", 1, UINT32_MAX);
}

static void
put(struct buf *out, const char *before, struct view name, const char *after)
{
	buf_put(out, before, strlen(before));
	buf_put(out, name.p, name.n);
	buf_put(out, after, strlen(after));
}

static void
set_env(struct buf *out, struct view name, struct view value)
{
	put(out, "export ", name, "=");
	quote_sh(out, value);
	buf_u8(out, '\n');
}

static void
unset_env(struct buf *out, struct view name)
{
	put(out, "unset ", name, "\n");
}

static void
set_plain(struct buf *out, struct view name, struct view value)
{
	put(out, "", name, "=");
	if (is_plain(value))
		buf_put(out, value.p, value.n);
	else
		quote_sh(out, value);
	buf_u8(out, '\n');
}

static void
set_fish(struct buf *out, struct view name, struct view value)
{
	put(out, "set -gx ", name, " ");
	quote(out, value, '\'', "'\\", "\\");
	buf_put(out, ";\n", 2);
}

static void
unset_fish(struct buf *out, struct view name)
{
	put(out, "set -e ", name, ";\n");
}

/* What PowerShell takes for a single quote: typographic ones (U+2018 to
 * U+201B) end a string, too. Bytes of it, 0 for none. */
static uint32_t
powershell_quote(struct view v)
{
	if (v.p[0] == '\'')
		return 1;
	return v.n >= 3 && v.p[0] == 0xe2 && v.p[1] == 0x80 && v.p[2] >= 0x98 &&
		v.p[2] <= 0x9b
	    ? 3
	    : 0;
}

static void
set_powershell(struct buf *out, struct view name, struct view value)
{
	uint32_t n;

	put(out, "$Env:", name, "='");
	while (value.n) {
		n = powershell_quote(value);
		buf_put(out, value.p, n); /* a quote is doubled */
		n = n ? n : 1;
		buf_put(out, value.p, n);
		value = (struct view){value.p + n, value.n - n};
	}
	buf_put(out, "'\n", 2);
}

static void
unset_powershell(struct buf *out, struct view name)
{
	put(out, "Remove-Item -ErrorAction Ignore Env:", name, "\n");
}

static void
set_dotenv(struct buf *out, struct view name, struct view value)
{
	put(out, "", name, "=");
	if (is_plain(value))
		buf_put(out, value.p, value.n);
	else
		quote(out, value, '"', "\"\\$`", "\\");
	buf_u8(out, '\n');
}

static void
set_json(struct buf *out, struct view name, struct view value)
{
	buf_put(out, "  ", 2);
	json_string(out, name);
	buf_put(out, ": ", 2);
	json_string(out, value);
}

/* What no reader of such files takes for the end of the name. */
static void
ini_name(struct buf *out, struct view v)
{
	struct view c;

	for (; v.n; v.p++, v.n--) {
		c = (struct view){v.p, 1};
		buf_u8(out,
		    made_of(c, LETTERS SMALL DIGITS "_.@+:/%", 1, 1) ? *v.p
								     : '-');
	}
}

/* A section of ~/.aws/credentials, for standard output alone. */
static void
write_ini(const struct given *g, struct buf *out)
{
	char until[ISO_TIME];

	buf_u8(out, '[');
	if (!g->rep.profile.n) {
		ini_name(out, g->rep.account);
		buf_u8(out, '-');
	}
	ini_name(out, g->rep.profile.n ? g->rep.profile : g->rep.role);
	iso_time(until, g->creds.expires);
	text_add(out, "]\n# until %s\n", until);
	put(out, "aws_access_key_id = ", g->creds.access_key, "\n");
	put(out, "aws_secret_access_key = ", g->creds.secret_key, "\n");
	if (g->creds.session_token.n)
		put(out, "aws_session_token = ", g->creds.session_token, "\n");
	if (g->region[0])
		put(out, "region = ", view_str(g->region), "\n");
}

static void
unset_json(struct buf *out, struct view name)
{
	put(out, "  \"", name, "\": null");
}

/* clang-format off */
static const struct dialect dialects[] = {
	{"env", true, false, set_env, unset_env},
	{"env-no-export", false, false, set_plain, unset_env},
	{"fish", true, false, set_fish, unset_fish},
	{"powershell", true, false, set_powershell, unset_powershell},
	{"dotenv", false, false, set_dotenv, NULL},
	{"json", false, true, set_json, unset_json},
	{"ini", false, false, NULL, NULL},
};
/* clang-format on */

#define NDIALECTS (sizeof(dialects) / sizeof(dialects[0]))

static const struct dialect *
dialect_find(const char *name)
{
	const char *near;
	size_t i;

	for (i = 0; i < NDIALECTS; i++) {
		if (!name || !strcmp(name, dialects[i].name))
			return &dialects[i];
	}
	near = nearest(name, dialects[0].name, NDIALECTS, sizeof(dialects[0]));
	warn("no format %s; %s%s%s", shown_str(name),
	    near ? "did you mean " : "see awsenv export --help",
	    near ? near : "", near ? "?" : "");
	return NULL;
}

static void
list_open(const struct dialect *d, struct buf *out)
{
	if (d->json)
		text_add(out, "{\n");
}

static void
list_next(const struct dialect *d, struct buf *out)
{
	if (d->json && out->len > 2)
		text_add(out, ",\n");
}

static void
list_close(const struct dialect *d, struct buf *out)
{
	if (d->json)
		text_add(out, "\n}\n");
}

static void
unset_all(const struct dialect *d, struct buf *out)
{
	const char *name;

	list_open(d, out);
	for (name = environ_ours; *name; name += strlen(name) + 1) {
		list_next(d, out);
		d->unset(out, view_str(name));
	}
	list_close(d, out);
}

static void
set_entry(const struct dialect *d, struct view e, struct buf *out)
{
	const uint8_t *equals = memchr(e.p, '=', e.n);
	struct view name = {e.p, (uint32_t)(equals - e.p)};
	struct view value = {equals + 1, e.n - name.n - 1};

	list_next(d, out);
	d->set(out, name, value);
}

static void
set_all(const struct dialect *d, const struct given *g, struct buf *out)
{
	struct view settings = g->rep.settings, rest, e;
	const char *name = environ_conflicts;
	AUTOBUF struct buf ours = {0};

	environ_set(g, true, &ours);
	out->bad |= ours.bad;
	list_open(d, out);
	for (; d->shell && *name; name += strlen(name) + 1) {
		if (getenv(name))
			d->unset(out, view_str(name));
	}
	rest = view_of(&ours);
	while (view_entry(&rest, &e))
		set_entry(d, e, out);
	while (view_entry(&settings, &e)) {
		if (environ_setting(e) && !environ_has(environ, e))
			set_entry(d, e, out);
	}
	list_close(d, out);
}

bool
export_write(const char *format, const struct given *g, struct buf *out)
{
	const struct dialect *d = dialect_find(format);

	if (!d)
		return false;
	if (g && !d->set) {
		write_ini(g, out);
	} else if (g) {
		set_all(d, g, out);
	} else if (d->unset) {
		unset_all(d, out);
	} else {
		warn("%s has no way to unset a variable", d->name);
		return false;
	}
	return true;
}

int
export_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf out = {0};
	struct given g;
	enum aw_err r;
	bool done;

	(void)argv;
	if (o->given & OPT_UNSET) {
		if (!export_write(o->format, NULL, &out))
			return EXIT_USAGE;
		return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
	}
	if (!dialect_find(o->format))
		return EXIT_USAGE;
	if ((r = creds_get(o, CREDS_HALF | CREDS_LOGIN, &g)) != AW_OK)
		return exit_of(r);
	done = export_write(o->format, &g, &out) && text_print(&out);
	creds_free(&g);
	return done ? EXIT_GOOD : EXIT_OTHER;
}
