/* SPDX-License-Identifier: ISC */
/*
 * What other tools left: variables that SDKs look at before they look at us,
 * and credentials that lie on the disk in plain text. Nothing is removed here,
 * and nothing of them is printed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/doctor.h"

#define FILE_MAX (1024 * 1024)

/* ---- variables */

static void
unset_these(struct doctor *d, const char *names, const char *why)
{
	struct finding *f;

	f = find_new(d, GRADE_PROBLEM);
	text_add(&f->text, "%s: %s", names, why);
	text_add(&f->cure, "unset %s", names);
}

static bool
is_profile(const char *name)
{
	return !strcmp(name, "AWS_PROFILE") ||
	    !strcmp(name, "AWS_DEFAULT_PROFILE");
}

static void
add_if_set(struct buf *names, const char *name)
{
	if (getenv(name))
		text_add(names, "%s%s", names->len ? " " : "", name);
}

/* Those that hold, or lead to, other credentials. */
static void
check_keys(struct doctor *d)
{
	static const char keys[][26] = {"AWS_ACCESS_KEY_ID",
	    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	    "AWS_CREDENTIAL_EXPIRATION"};
	AUTOBUF struct buf names = {0};
	const char *name;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		add_if_set(&names, keys[i]);
	for (name = environ_conflicts; *name; name += strlen(name) + 1) {
		if (!is_profile(name))
			add_if_set(&names, name);
	}
	if (names.bad)
		out_of_memory();
	if (!names.len)
		return;
	buf_u8(&names, '\0');
	unset_these(d, (const char *)names.data,
	    "tools that are not run by awsenv take these before anything else");
}

/* SDKs disagree on which of the two goes first, and on an empty one. */
static void
check_profiles(struct doctor *d)
{
	const char *one = getenv("AWS_PROFILE");
	const char *two = getenv("AWS_DEFAULT_PROFILE");

	if (one && !*one)
		unset_these(d, "AWS_PROFILE",
		    "it is empty, which the AWS CLI takes for a profile "
		    "without a name");
	if (two && !*two)
		unset_these(d, "AWS_DEFAULT_PROFILE",
		    "it is empty, which boto3 takes for a profile without a "
		    "name");
	else if (one && *one && two && strcmp(one, two) != 0)
		unset_these(d, "AWS_DEFAULT_PROFILE",
		    "it names another profile than AWS_PROFILE, and goes "
		    "before it in boto3");
}

void
check_variables(struct doctor *d)
{
	const struct finding *before = d->last;

	if (grade_set("AWSENV_PROFILE")) {
		find_line(d, GRADE_NOTE,
		    "this runs inside awsenv, which set the credentials here");
		return;
	}
	check_keys(d);
	check_profiles(d);
	if (grade_set("AWS_ENDPOINT_URL"))
		find_line(d, GRADE_NOTE,
		    "AWS_ENDPOINT_URL leads every AWS service elsewhere, "
		    "logins too");
	if (d->last == before)
		find_line(d, GRADE_OK, "none in the way");
}

/* ---- keys in files */

struct keys {
	struct doctor *doctor;
	const char *path;
	char section[128]; /* as its header has it */
	unsigned int line; /* of the first key in it; 0: none yet */
	bool temporary;	   /* there is a session token */
	unsigned int found;
};

/* What such a line begins with, in the words of sed -E. */
#define KEYS                                                  \
	"aws_(access_key_id|secret_access_key|session_token|" \
	"security_token|session_expiration|credential_expiration)"

/* A header for sed's regular expressions: letters and digits as they are. */
static void
add_pattern(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (!strchr(LETTERS SMALL DIGITS "_ -@", *text))
			buf_u8(out, '\\');
		buf_u8(out, (uint8_t)*text);
	}
}

static void
add_removal(struct buf *cure, const struct keys *k)
{
	AUTOBUF struct buf script = {0};

	text_add(&script, "/^[[:space:]]*\\[");
	add_pattern(&script, k->section);
	text_add(&script,
	    "\\]/,/^[[:space:]]*\\[/{/^[[:space:]]*" KEYS
	    "[[:space:]]*[=:]/Id}");
	buf_u8(&script, '\0');
	if (script.bad)
		out_of_memory();
	text_add(cure, "sed -i -E --follow-symlinks ");
	add_word(cure, (const char *)script.data);
	text_add(cure, " ");
	add_word(cure, k->path);
}

static void
section_over(struct keys *k)
{
	struct finding *f;

	if (!k->line)
		return;
	k->found++;
	f = find_new(k->doctor, GRADE_PROBLEM);
	text_add(&f->text, "%s:%u: [%s] has %s in plain text", k->path, k->line,
	    shown_str(k->section),
	    k->temporary ? "temporary keys (as yawsso and ssocred write them)"
			 : "an access key");
	if (k->section[strcspn(k->section, "/\\'|")] == '\0')
		add_removal(&f->cure, k);
}

static bool
begins(const char *line, const char *key)
{
	size_t n = strlen(key);

	if (strncasecmp(line, key, n) != 0)
		return false;
	line += n + strspn(line + n, " \t");
	return *line == '=' || *line == ':';
}

static void
take_line(struct keys *k, const char *line, unsigned int number)
{
	size_t n;

	line += strspn(line, " \t");
	if (*line == '[') {
		section_over(k);
		n = strcspn(line + 1, "]");
		k->line = 0;
		k->temporary = false;
		format(k->section, sizeof(k->section), "%.*s",
		    (int)(n < 120 ? n : 120), line + 1);
	} else if (begins(line, "aws_secret_access_key") ||
	    begins(line, "aws_access_key_id")) {
		if (!k->line)
			k->line = number;
	} else if (begins(line, "aws_session_token") ||
	    begins(line, "aws_security_token")) {
		k->temporary = true;
		if (!k->line)
			k->line = number;
	}
}

static unsigned int
check_file(struct doctor *d, const char *path)
{
	struct keys k = {.doctor = d, .path = path};
	AUTOBUF struct buf text = {0};
	unsigned int number = 0;
	char *line, *rest;

	if (!file_read(path, FILE_MAX, &text)) {
		if (text.bad)
			out_of_memory();
		if (errno != ENOENT && errno != ENOTDIR && errno != EINVAL)
			find_line(d, GRADE_NOTE, "%s cannot be looked at: %s",
			    path, errno_text());
		return 0;
	}
	rest = (char *)text.data;
	while ((line = strsep(&rest, "\n")))
		take_line(&k, line, ++number);
	section_over(&k);
	return k.found;
}

/* ---- caches */

static unsigned int
count_json(const char *folder)
{
	const struct dirent *entry;
	unsigned int n = 0;
	DIR *d = opendir(folder);
	size_t len;

	while (d && (entry = readdir(d))) {
		len = strlen(entry->d_name);
		n += len > 5 && !strcmp(entry->d_name + len - 5, ".json");
	}
	if (d)
		closedir(d);
	return n;
}

static unsigned int
check_cache(struct doctor *d, const char *name, const char *what)
{
	char folder[PATH_MAX];
	struct finding *f;
	unsigned int n;

	if (!path_join(folder, d->home, name) || !(n = count_json(folder)))
		return 0;
	f = find_new(d, GRADE_PROBLEM);
	text_add(&f->text, "%s holds %u file%s with %s in plain text", folder,
	    n, n == 1 ? "" : "s", what);
	text_add(&f->cure, "rm -f ");
	add_word(&f->cure, folder);
	text_add(&f->cure, "/*.json");
	return n;
}

void
check_plaintext(struct doctor *d)
{
	const char *named = getenv("AWS_SHARED_CREDENTIALS_FILE");
	const struct finding *before = d->last;
	char path[PATH_MAX];
	unsigned int n = 0;

	if (named && *named == '/')
		n += check_file(d, named);
	else if (path_join(path, d->home, ".aws/credentials"))
		n += check_file(d, path);
	named = getenv("AWS_CONFIG_FILE");
	if (named && *named == '/')
		n += check_file(d, named);
	else if (path_join(path, d->home, ".aws/config"))
		n += check_file(d, path);
	n += check_cache(d, ".aws/sso/cache", "logins of the AWS CLI");
	n +=
	    check_cache(d, ".aws/cli/cache", "role credentials of the AWS CLI");
	if (!n && d->last == before)
		find_line(d, GRADE_OK, "no credentials of other tools found");
}
