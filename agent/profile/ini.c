/* SPDX-License-Identifier: ISC */
/*
 * The grammar of ~/.aws/config: what the SDKs have specified, and in addition
 * what botocore accepts. A bad line costs that line: it is told, with its
 * number and a cure, and reading goes on.
 *
 * Lines are told apart as Python's configparser does it, because that is what
 * people's files were tried with: a line that is indented deeper than the key
 * above it continues that key's value, whatever else it looks like.
 */
#include <string.h>

#include "profile.h"

struct reader {
	struct config *config;
	struct file *file;
	uint32_t line;
	struct section *section;  /* NULL: before the first one */
	struct section *defaults; /* [DEFAULT], wherever it stands */
	struct entry *entry;	  /* what an indented line continues */
	uint32_t indent;	  /* of that entry */
	bool lost; /* a line before the first section has been told */
};

#define TELL(r, ...) \
	config_problem((r)->config, (r)->file, (r)->line, __VA_ARGS__)

/* ---- sections */

static struct section *
section_new(struct reader *r, enum section_kind kind, struct view name)
{
	struct config *c = r->config;
	struct section *s = arena_alloc(&c->arena, sizeof(*s));

	s->kind = kind;
	s->id = ++c->ids;
	s->name = arena_copy(&c->arena, name);
	s->file = r->file;
	s->line = r->line;
	if (c->last)
		c->last->next = s;
	else
		c->first = s;
	c->last = s;
	return s;
}

/* Where keys go that belong to nobody. */
static struct section *
section_void(struct reader *r)
{
	return section_new(r, SECTION_NONE, view_str(""));
}

/*
 * [default] and [profile default] are the same profile, and only one of them
 * counts: the prefixed one, as the SDKs have agreed. (For the CLI it is the one
 * that comes later.)
 */
static bool
default_is_shadowed(struct reader *r, const struct section *old, bool prefixed)
{
	if (old->prefixed == prefixed)
		return false;
	TELL(r,
	    "[default] and [profile default] (also in line %u) are the same "
	    "profile: only [profile default] counts here, for the AWS CLI "
	    "the later one; join them into one",
	    old->line);
	return !prefixed;
}

static struct section *
section_open(
    struct reader *r, enum section_kind kind, struct view name, bool prefixed)
{
	struct config *c = r->config;
	struct section *old = config_section(c, kind, name), *s;
	bool same_file = old && old->file == r->file;

	if (same_file && old->prefixed == prefixed) {
		TELL(r,
		    "this section is also in line %u: both count here, but "
		    "the AWS CLI refuses such a file; join them into one",
		    old->line);
		return old;
	}
	if (same_file && view_is(name, "default") &&
	    default_is_shadowed(r, old, prefixed))
		return section_void(r);
	if (old && !r->file->admin && config_enforced(c, old)) {
		TELL(r,
		    "this section counts for nothing: %.*s has one of that "
		    "name with awsenv_enforce = true",
		    NAME_ARG(old->file->shown));
		return section_void(r);
	}
	if (kind == SECTION_PROFILE && c->profiles >= CONFIG_PROFILES_MAX) {
		TELL(r, "more than %d profiles: this one is left out",
		    CONFIG_PROFILES_MAX);
		return section_void(r);
	}
	s = section_new(r, kind, name);
	s->prefixed = prefixed;
	s->defaults = r->defaults;
	s->below = old && same_file ? old->below : old;
	if (kind == SECTION_PROFILE && !old)
		c->profiles++;
	*map_at(&c->names, kind, s->name) = s;
	return s;
}

/* Where the header's text ends: at the last "]", but not at one in a comment. */
static bool
header_text(struct view line, struct view *text, struct view *rest)
{
	struct view v = {line.p + 1, line.n - 1}, after;
	uint32_t i;

	if (!text_split(v, ']', text, rest))
		return false;
	after = text_strip(*rest);
	if (after.n && *after.p != '#' && *after.p != ';') {
		for (i = v.n; v.p[i - 1] != ']'; i--)
			continue;
		*text = (struct view){v.p, i - 1};
		*rest = (struct view){v.p + i, v.n - i};
	}
	return true;
}

static const struct {
	const char *word;
	enum section_kind kind;
} kinds[] = {
    {"profile", SECTION_PROFILE},
    {"sso-session", SECTION_SESSION},
    {"services", SECTION_SERVICES},
};

/* A section of one word. */
static struct section *
open_single(struct reader *r, struct view name)
{
	static const char *const others[] = {"plugins", "preview", "toolkit"};
	size_t i;

	if (view_is(name, "default"))
		return section_open(r, SECTION_PROFILE, name, false);
	if (view_is(name, "awsenv"))
		return section_open(r, SECTION_AWSENV, name, false);
	if (view_is(name, "DEFAULT"))
		return r->defaults;
	for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
		if (view_is(name, others[i]))
			return section_void(r);
	}
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (view_is(name, kinds[i].word)) {
			TELL(r, "[%s] has no name: write [%s NAME]",
			    kinds[i].word, kinds[i].word);
			return section_void(r);
		}
	}
	TELL(r, "[%.*s] is not a profile in this file: write [profile %.*s]",
	    NAME_ARG(name), NAME_ARG(name));
	return section_void(r);
}

static bool
name_is_usable(struct reader *r, const char *kind, struct view name)
{
	if (name.n == 0)
		TELL(r, "[%s] has an empty name: write [%s NAME]", kind, kind);
	else if (name.n > CONFIG_NAME_MAX)
		TELL(r,
		    "a name is longer than %d bytes: this section is left "
		    "out; give it a shorter one",
		    CONFIG_NAME_MAX);
	else if (!text_is_printable(name))
		TELL(r,
		    "the name \"%.*s\" has characters in it that cannot be "
		    "shown: this section is left out; type the name anew",
		    NAME_ARG(name));
	else
		return true;
	return false;
}

/* [KIND NAME]; the text begins with one of the words that we know. */
static struct section *
open_named(struct reader *r, size_t kind, struct view text)
{
	const char *word = kinds[kind].word;
	struct view words[3];
	int n = text_words(&r->config->arena, text, words, 3);

	if (n == -1 || n == 3) {
		TELL(r,
		    "[%.*s] is no section: write [%s NAME], and quote a name "
		    "with blanks or quotes in it: [%s 'MY NAME']",
		    NAME_ARG(text), word, word);
		return section_void(r);
	}
	if (n == 1)
		return open_single(r, words[0]);
	if (!view_is(words[0], word))
		TELL(r,
		    "[%.*s] is read as [%s %.*s], as the AWS CLI does; "
		    "write it so",
		    NAME_ARG(text), word, NAME_ARG(words[1]));
	if (!name_is_usable(r, word, words[1]))
		return section_void(r);
	return section_open(r, kinds[kind].kind, words[1], true);
}

static struct section *
open_header(struct reader *r, struct view text)
{
	struct view first, rest;
	size_t i;

	text = text_strip(text);
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (text_starts(text, kinds[i].word))
			return open_named(r, i, text);
	}
	if (text.n && !text_split(text, ' ', &first, &rest) &&
	    !text_split(text, '\t', &first, &rest))
		return open_single(r, text);
	TELL(r,
	    "[%.*s] is no section that AWS's tools know: write [profile "
	    "NAME], [sso-session NAME] or [services NAME]",
	    NAME_ARG(text));
	return section_void(r);
}

static void
on_header(struct reader *r, struct view line)
{
	struct view text, rest;

	r->entry = NULL;
	if (!header_text(line, &text, &rest)) {
		TELL(r,
		    "the section header \"%.*s\" does not end: write %.*s] "
		    "(what follows is left out, to the next header)",
		    NAME_ARG(line), NAME_ARG(line));
		r->section = section_void(r);
		return;
	}
	rest = text_strip(rest);
	if (rest.n && *rest.p != '#' && *rest.p != ';')
		TELL(r,
		    "there is text after the \"]\" of a section header, "
		    "which counts for nothing: put it on a line of its own");
	r->section = open_header(r, text);
}

/* ---- keys */

/* Cut an inline comment, which needs a blank before it, from a raw value. */
static struct view
cut_comment(struct view v, bool *cut)
{
	uint32_t i;

	*cut = false;
	for (i = 1; i < v.n; i++) {
		if ((v.p[i] == '#' || v.p[i] == ';') &&
		    (v.p[i - 1] == ' ' || v.p[i - 1] == '\t')) {
			*cut = true;
			v.n = i;
			break;
		}
	}
	return text_strip(v);
}

static struct view
lower(struct arena *a, struct view v)
{
	struct view out = arena_copy(a, v);
	uint8_t *p = arena_alloc(a, (size_t)v.n + 1);
	uint32_t i;

	for (i = 0; i < v.n; i++)
		p[i] = v.p[i] >= 'A' && v.p[i] <= 'Z' ? v.p[i] + 32 : v.p[i];
	out.p = p;
	return out;
}

/* The section's entry for the key: the one that is there, or a new one. */
static struct entry *
entry_open(struct reader *r, struct view key)
{
	struct config *c = r->config;
	struct section *s = r->section;
	struct entry *e = map_get(&c->keys, s->id, key);

	if (e) {
		if (s->kind != SECTION_NONE)
			TELL(r,
			    "%.*s is also in line %u: the later one counts "
			    "here, but the AWS CLI refuses such a file; "
			    "remove one",
			    NAME_ARG(key), e->line);
		e->block = 0;
	} else {
		e = arena_alloc(&c->arena, sizeof(*e));
		e->key = key;
		*map_at(&c->keys, s->id, key) = e;
		if (s->last)
			s->last->next = e;
		else
			s->first = e;
		s->last = e;
	}
	e->file = r->file;
	e->line = r->line;
	return e;
}

/* The first "=" or ":", whichever comes first. */
static bool
split_key(struct view line, struct view *key, struct view *value)
{
	uint32_t i;

	for (i = 0; i < line.n; i++) {
		if (line.p[i] == '=' || line.p[i] == ':') {
			*key = text_strip((struct view){line.p, i});
			*value = (struct view){line.p + i + 1, line.n - i - 1};
			return true;
		}
	}
	return false;
}

static void
on_key(struct reader *r, struct view line)
{
	struct view key, value;
	bool cut;

	r->entry = NULL;
	if (text_starts(line, "//")) {
		TELL(r,
		    "\"//\" begins no comment in this file: write # instead");
		return;
	}
	if (!split_key(line, &key, &value) || !key.n) {
		TELL(r,
		    "\"%.*s\" is neither a section header nor KEY = VALUE: "
		    "write # in front of a comment",
		    NAME_ARG(line));
		return;
	}
	if (!r->section) {
		if (!r->lost)
			TELL(r,
			    "%.*s stands before any section and counts for "
			    "nothing: write [default] or [profile NAME] above "
			    "it",
			    NAME_ARG(key));
		r->lost = true;
		return;
	}
	key = lower(&r->config->arena, key);
	r->entry = entry_open(r, key);
	r->entry->value = cut_comment(value, &cut);
	if (cut && config_is_known(key) && r->section->kind != SECTION_NONE)
		TELL(r,
		    "what follows # or ; is a comment here, but for the AWS CLI "
		    "a part of the value of %.*s: put it on a line of its own",
		    NAME_ARG(key));
}

/* ---- indented lines */

/* One more line of a block, "s3 =" and below it "  addressing_style = path". */
static void
on_block_line(struct reader *r, struct view line)
{
	struct config *c = r->config;
	struct entry *e;
	void **slot;
	struct view key, value;
	bool cut;

	if (!text_split(line, '=', &key, &value) || !text_strip(key).n) {
		TELL(r,
		    "\"%.*s\" is not KEY = VALUE, as the lines below %.*s "
		    "must be",
		    NAME_ARG(line), NAME_ARG(r->entry->key));
		return;
	}
	if (!r->entry->block)
		r->entry->block = ++c->ids;
	slot = map_at(&c->keys, r->entry->block, text_strip(key));
	if (!*slot)
		*slot = arena_alloc(&c->arena, sizeof(*e));
	e = *slot;
	e->key = text_strip(key);
	e->value = cut_comment(value, &cut);
	e->file = r->file;
	e->line = r->line;
}

static void
on_continuation(struct reader *r, struct view line)
{
	struct entry *e = r->entry;
	struct view key, value;

	if (!e->value.n) {
		on_block_line(r, line);
		return;
	}
	if (r->section->kind != SECTION_NONE && split_key(line, &key, &value) &&
	    config_is_known(lower(&r->config->arena, key)))
		TELL(r,
		    "this line is indented, so it goes on with the value of "
		    "%.*s: remove the blanks in front of %.*s",
		    NAME_ARG(e->key), NAME_ARG(key));
	else if (r->section->kind != SECTION_NONE && *line.p == '[')
		TELL(r,
		    "this line is indented, so it goes on with the value of "
		    "%.*s: remove the blanks in front of \"[\"",
		    NAME_ARG(e->key));
	/* The lines as they stand in the file: nothing is copied, and white
	 * space is all that such a value may be split at. */
	e->value.n = (uint32_t)(line.p + line.n - e->value.p);
}

/* ---- lines */

static void
on_line(struct reader *r, struct view line)
{
	struct view text = text_strip(line);
	uint32_t indent = text_indent(line);

	if (!text.n || *text.p == '#' || *text.p == ';')
		return;
	if (line.n > CONFIG_LINE_MAX) {
		TELL(r, "a line is longer than %d bytes: it is left out",
		    CONFIG_LINE_MAX);
		return;
	}
	if (!text_is_utf8(text))
		TELL(r,
		    "there are bytes in this line that are not UTF-8: type "
		    "it anew, or save the file as UTF-8");
	if (r->section && r->entry && indent > r->indent) {
		on_continuation(r, text);
		return;
	}
	r->indent = indent;
	if (*text.p == '[')
		on_header(r, text);
	else
		on_key(r, text);
}

/* The next line, ended by LF, CR LF, or CR as Python's text files are. */
static bool
take_line(struct view *text, struct view *line)
{
	uint32_t i;

	if (!text->n)
		return false;
	for (i = 0; i < text->n && text->p[i] != '\n' && text->p[i] != '\r';
	     i++)
		continue;
	*line = (struct view){text->p, i};
	if (i < text->n)
		i += i + 1 < text->n && text->p[i] == '\r' &&
			text->p[i + 1] == '\n'
		    ? 2
		    : 1;
	text->p += i;
	text->n -= i;
	return true;
}

void
ini_parse(struct config *c, struct file *file, struct view text)
{
	struct reader r = {.config = c, .file = file};
	struct view line;

	r.defaults = section_new(&r, SECTION_DEFAULTS, view_str("DEFAULT"));
	if (text.n >= 2 &&
	    ((text.p[0] == 0xff && text.p[1] == 0xfe) ||
		(text.p[0] == 0xfe && text.p[1] == 0xff))) {
		config_problem(
		    c, file, 0, "the file is UTF-16: save it as UTF-8");
		return;
	}
	if (text_starts(text, "\xef\xbb\xbf")) {
		text.p += 3;
		text.n -= 3;
	}
	while (take_line(&text, &line)) {
		r.line++;
		on_line(&r, line);
	}
}
