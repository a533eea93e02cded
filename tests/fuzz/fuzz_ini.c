/* SPDX-License-Identifier: ISC */
/*
 * A config file of any bytes, read by awsenv-profile's code and by a second,
 * slow reader that is written for nothing but to be obvious: they must agree on
 * every profile and key. What is made of it must keep the promises of msg.h;
 * also if the administrator's file says the same, and the environment what
 * stands in the lines that begin with "#env ".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "awsenv/link.h"
#include "awsenv/own.h"

#include "agent/profile/profile.h"

#define INPUT_MAX 8192
#define ROWS_MAX 4096

#define MUST(x)                                          \
	do {                                             \
		if (!(x)) {                              \
			fprintf(stderr, "not %s\n", #x); \
			abort();                         \
		}                                        \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* ---- the second reader: one row for each key of each profile */

struct row {
	char *profile; /* with a NUL at the end, and none within */
	char *key;
	struct view value;
	bool more; /* lines follow, which only ours keeps */
};

static struct row rows[ROWS_MAX];
static size_t nrows;

static void
rows_forget(void)
{
	size_t i;

	for (i = 0; i < nrows; i++) {
		free(rows[i].profile);
		free(rows[i].key);
	}
	nrows = 0;
}

static bool
is_ascii_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' ||
	    (c >= 0x1c && c <= 0x1f);
}

/* Only blanks of ASCII: see plain_enough(). */
static char *
trimmed(const char *s, size_t n)
{
	while (n && is_ascii_blank(*s)) {
		s++;
		n--;
	}
	while (n && is_ascii_blank(s[n - 1]))
		n--;
	return strndup(s, n);
}

static struct row *
row_of(const char *profile, const char *key)
{
	size_t i;

	for (i = 0; i < nrows; i++) {
		if (strcmp(rows[i].profile, profile) == 0 &&
		    strcmp(rows[i].key, key) == 0)
			return &rows[i];
	}
	return NULL;
}

static void
row_drop(const char *profile)
{
	size_t i, kept = 0;

	for (i = 0; i < nrows; i++) {
		if (strcmp(rows[i].profile, profile) == 0) {
			free(rows[i].profile);
			free(rows[i].key);
		} else {
			rows[kept++] = rows[i];
		}
	}
	nrows = kept;
}

/* Words of "profile 'a b'" without the quotes; NULL if there are not two. */
static char *
second_word(const char *text)
{
	char *out = calloc(1, strlen(text) + 1), quote = 0, *word = NULL;
	size_t n = 0, words = 0;
	bool inside = false;

	for (;; text++) {
		char c = *text;

		if (!quote && (c == '\0' || c == ' ' || c == '\t')) {
			if (inside && ++words == 2)
				word = strndup(out, n);
			inside = false;
			if (c == '\0')
				break;
			continue;
		}
		if (c == '\0' || (c == '\\' && quote != '\'' && !text[1])) {
			words = 0;
			break;
		}
		if (!inside)
			n = 0;
		inside = true;
		if (c == quote) {
			quote = 0;
		} else if (!quote && (c == '\'' || c == '"')) {
			quote = c;
		} else if (c == '\\' && quote != '\'') {
			if (quote && text[1] != '"' && text[1] != '\\')
				out[n++] = c;
			out[n++] = *++text;
		} else {
			out[n++] = c;
		}
	}
	free(out);
	if (words == 2)
		return word;
	free(word);
	return NULL;
}

/* The profile that a header opens; NULL: none. */
static char *
header_profile(const char *line, bool *prefixed)
{
	const char *end = strchr(line, ']'), *after;
	char *text, *name = NULL;

	if (!end)
		return NULL;
	for (after = end + 1; is_ascii_blank(*after); after++)
		continue;
	if (*after && *after != '#' && *after != ';')
		end = strrchr(line, ']');
	text = trimmed(line + 1, (size_t)(end - line - 1));
	*prefixed = strcmp(text, "default") != 0;
	if (!*prefixed)
		name = strdup("default");
	else if (strncmp(text, "profile", 7) == 0)
		name = second_word(text);
	free(text);
	if (name &&
	    (!*name || strlen(name) > CONFIG_NAME_MAX ||
		!text_is_printable(view_str(name)))) {
		free(name);
		name = NULL;
	}
	return name;
}

/* May this header be heard, beside the others of the same name? */
static bool
default_counts(const char *name, bool prefixed, bool seen[2])
{
	if (strcmp(name, "default") != 0)
		return true;
	if (prefixed && !seen[1])
		row_drop(name);
	seen[prefixed] = true;
	return prefixed || !seen[1];
}

static struct row *
take_key(const char *profile, const char *line)
{
	const char *mark = line + strcspn(line, "=:"), *hash = mark + 1;
	char *key = trimmed(line, (size_t)(mark - line)), *c;
	struct row *row;

	while (*hash &&
	    !((*hash == '#' || *hash == ';') && hash > mark + 1 &&
		(hash[-1] == ' ' || hash[-1] == '\t')))
		hash++;
	for (c = key; *c; c++)
		*c += *c >= 'A' && *c <= 'Z' ? 32 : 0;
	row = row_of(profile, key);
	if (row || nrows == ROWS_MAX) {
		free(key);
	} else {
		row = &rows[nrows++];
		*row = (struct row){.profile = strdup(profile), .key = key};
	}
	if (row) {
		char *value = trimmed(mark + 1, (size_t)(hash - mark - 1));

		row->more = false;
		row->value.n = (uint32_t)strlen(value);
		row->value.p = (const uint8_t *)mark + 1;
		while (row->value.n && is_ascii_blank((char)*row->value.p))
			row->value.p++;
		free(value);
	}
	return row;
}

static void
second_read(char *text)
{
	bool seen[2] = {false, false}, open = false, has_key = false, prefixed;
	char *line, *profile = NULL, *name;
	size_t indent, key_indent = 0;
	struct row *row = NULL;

	for (; (line = strsep(&text, "\r\n"));) {
		indent = 0;
		while (is_ascii_blank(line[indent]))
			indent++;
		if (!line[indent] || line[indent] == '#' || line[indent] == ';')
			continue;
		if (has_key && indent > key_indent) {
			if (row)
				row->more = true;
			continue;
		}
		key_indent = indent;
		has_key = false;
		row = NULL;
		line += indent;
		if (*line == '[') {
			open = true;
			free(profile);
			profile = NULL;
			name = header_profile(line, &prefixed);
			if (name && default_counts(name, prefixed, seen))
				profile = name;
			else
				free(name);
			continue;
		}
		if (strncmp(line, "//", 2) == 0 || !line[strcspn(line, "=:")] ||
		    line[0] == '=' || line[0] == ':')
			continue;
		has_key = open;
		if (profile)
			row = take_key(profile, line);
	}
	free(profile);
}

/* What the second reader is too simple for: other blanks than ASCII's, NUL, a
 * BOM, defaults and inheritance. */
static bool
plain_enough(const uint8_t *data, size_t n)
{
	static const char *const odd[] = {
	    "DEFAULT", "include_profile", "parent_profile"};
	size_t i;

	for (i = 0; i < n; i++) {
		if (data[i] >= 0x80 || data[i] == 0)
			return false;
	}
	for (i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		if (memmem(data, n, odd[i], strlen(odd[i])))
			return false;
	}
	return true;
}

static void
compare(const struct config *c, const uint8_t *data, size_t n)
{
	AUTOFREE char *text = strndup((const char *)data, n);
	const struct section *s;
	const struct entry *e;
	size_t i, ours = 0;

	MUST(text);
	second_read(text);
	for (i = 0; i < nrows; i++) {
		s = config_section(
		    c, SECTION_PROFILE, view_str(rows[i].profile));
		MUST(s);
		e = config_get(c, s, rows[i].key);
		MUST(e);
		MUST(e->value.n == rows[i].value.n || rows[i].more);
		MUST(e->value.n >= rows[i].value.n);
		MUST(!rows[i].value.n ||
		    memcmp(e->value.p, rows[i].value.p, rows[i].value.n) == 0);
	}
	for (s = c->first; s; s = s->next) {
		if (s->kind != SECTION_PROFILE || !config_is_top(c, s))
			continue;
		for (e = s->first; e; e = e->next)
			ours++;
	}
	MUST(ours == nrows || nrows == ROWS_MAX);
	rows_forget();
}

/* ---- what comes out */

static void
check_text(struct view v)
{
	MUST(v.n <= TEXT_MAX && text_is_printable(v));
}

/* A variable for the command, or the one that is for awsenv. */
static bool
check_setting(struct view entry)
{
	return view_is(entry, "AWSENV_SERVE=true") ||
	    view_is(entry, "AWSENV_SERVE=false") ||
	    (text_is_printable(entry) && text_starts(entry, "AWS_"));
}

static void
check_profile(const struct profile *p, const struct table *t)
{
	struct view list = p->settings, entry;
	struct step step;

	MUST(text_is_printable(p->name));
	MUST((p->error == AW_CONFIG) == (p->text.n > 0));
	check_text(p->text);
	check_text(p->notice);
	if (p->error)
		return;
	MUST(p->session < t->sessions);
	MUST(check_account(p->account) && check_role(p->role));
	MUST(!p->region.n || check_region(p->region));
	MUST(check_start_url(p->sts) && check_region(p->sts_region));
	while (view_entry(&list, &entry))
		MUST(check_setting(entry));
	MUST(list.n == 0);
	for (list = p->chain; msg_each(MSG_STEP, &list, &step);)
		MUST(check_role_arn(step.role_arn));
	MUST(list.n == 0 && (p->chain_digest.n == 32) == (p->chain.n > 0));
	for (list = p->far_chain; msg_each(MSG_STEP, &list, &step);)
		MUST(check_role_arn(step.role_arn) && step.policy.n <= 2048);
	MUST(list.n == 0 && (p->far_digest.n == 32) == (p->far_chain.n > 0));
}

static void
check_session(const struct session *s)
{
	struct facts f;

	MUST(s->login.n == 32 && msg_decode(MSG_FACTS, s->facts, &f));
	MUST((s->error == AW_CONFIG) == (s->text.n > 0));
	check_text(s->text);
	check_text(s->notice);
	if (s->error)
		return;
	MUST(check_start_url(f.start_url) && check_region(f.region));
	MUST(check_start_url(f.oidc) && check_start_url(f.portal));
	MUST(check_scopes(f.scopes));
}

static enum aw_err
check_message(void *arg, enum msg_kind kind, const void *msg)
{
	AUTOBUF struct buf b = {0};

	msg_encode(kind, msg, &b);
	MUST(!b.bad && b.len < LINK_MAX);
	if (kind == MSG_PROFILE)
		check_profile(msg, arg);
	else if (kind == MSG_SESSION)
		check_session(msg);
	else if (kind == MSG_PROBLEM_ITEM)
		check_text(((const struct problem_item *)msg)->text);
	return AW_OK;
}

/* ---- the files: there are two, and in both stands the input */

#define ADMIN "/fuzz/admin"
#define USER "/fuzz/user"

static int input = -1;

static void
input_set(const uint8_t *data, size_t n)
{
	if (input < 0)
		input = memfd_create("config", MFD_CLOEXEC);
	MUST(input >= 0 && ftruncate(input, 0) == 0);
	MUST(pwrite(input, data, n, 0) == (ssize_t)n);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int
__wrap_open(const char *path, int flags, ...)
{
	char ours[32];

	if (strcmp(path, ADMIN "/config") != 0 && strcmp(path, USER) != 0)
		return __real_open(path, flags);
	snprintf(ours, sizeof(ours), "/proc/self/fd/%d", input);
	return __real_open(ours, flags);
}

/* What the lines that begin with "#env " have to say. */
static void
take_environment(struct buf *env, const uint8_t *data, size_t n)
{
	static const char mark[] = "#env ";
	const uint8_t *end, *last = data + n;

	for (; data < last; data = end + 1) {
		if (!(end = memchr(data, '\n', (size_t)(last - data))))
			return;
		if ((size_t)(end - data) < sizeof(mark) ||
		    memcmp(data, mark, sizeof(mark) - 1) != 0 ||
		    memchr(data, 0, (size_t)(end - data)))
			continue;
		data += sizeof(mark) - 1;
		buf_put(env, data, (size_t)(end - data));
		buf_u8(env, 0);
	}
}

static void
read_it(struct table *t, const char *admin, const struct buf *env)
{
	const struct read_req req = {.version = MSG_VERSION,
	    .config = view_str(USER),
	    .env = view_of(env)};

	MUST(table_read(t, admin, &req, "/nonexistent") == AW_OK);
	MUST(table_send(t, check_message, t) == AW_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTOBUF struct buf env = {0}, none = {0};
	struct table t;

	if (n > INPUT_MAX)
		return 0;
	input_set(data, n);
	read_it(&t, "/nonexistent", &none);
	if (plain_enough(data, n))
		compare(&t.config, data, n);
	table_free(&t);
	take_environment(&env, data, n);
	read_it(&t, ADMIN, &env);
	table_free(&t);
	return 0;
}
