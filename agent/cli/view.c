/* SPDX-License-Identifier: ISC */
/*
 * In every SDK what [default] says of credentials goes before an endpoint's. So
 * where it says something, the command is shown the user's files without it:
 * copies in the runtime directory, in which no secret stands either, whatever
 * section it is in. Everything else is there as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define FILE_MOST (64 << 20)

/* What keys that are left out begin with; outside [default], the first only. */
static const char dropped[] = "aws_\0"
			      "sso_\0"
			      "role_\0"
			      "source_profile\0"
			      "credential_\0"
			      "web_identity_\0"
			      "login_session\0";

struct state {
	bool in_default;
	bool dropping; /* a key whose value may go on */
	bool shadows;
};

static bool
begins(const char *p, const char *word)
{
	return strncasecmp(p, word, strlen(word)) == 0;
}

/* Blanks and quotes. */
static bool
is_between(char c)
{
	return c == ' ' || c == '\t' || c == '"' || c == '\'';
}

/* Behind "[": default, in all the forms that one SDK or another takes. */
static bool
is_default(const char *p)
{
	while (is_between(*p))
		p++;
	if (begins(p, "profile"))
		p += 7;
	while (is_between(*p))
		p++;
	return begins(p, "default") && (p[7] == ']' || is_between(p[7]));
}

static bool
is_dropped(const struct state *v, const char *p)
{
	const char *d = dropped;

	do {
		if (begins(p, d))
			return true;
		d += strlen(d) + 1;
	} while (v->in_default && *d);
	return false;
}

static bool
is_kept(struct state *v, const char *line)
{
	const char *p = line;

	/* A byte order mark counts as a blank. */
	while (*p == ' ' || *p == '\t' || (unsigned char)*p >= 0x80)
		p++;
	if (*p == '\r' || *p == '\n')
		return true;
	/* Old keys, often. */
	if (*p == '#' || *p == ';')
		return false;
	if (*p == '[' && (p == line || is_default(p + 1))) {
		v->in_default = is_default(p + 1);
		v->dropping = false;
	} else if (is_dropped(v, p)) {
		v->dropping = true;
		v->shadows |= v->in_default;
	} else if (p == line) {
		v->dropping = false;
	}
	return !v->dropping;
}

size_t
view_filter(char *text, bool *shadows)
{
	char *line = text, *end, *to = text;
	struct state v = {0};

	for (; *line; line = end) {
		for (end = line; *end && *end != '\r' && *end != '\n';)
			end++;
		end += *end != '\0';
		if (!is_kept(&v, line))
			continue;
		memmove(to, line, (size_t)(end - line));
		to += end - line;
	}
	*shadows = v.shadows;
	return (size_t)(to - text);
}

static char dir[CLIENT_PATH]; /* "": no view was needed */

static void
path_of(char out[static PATH_MAX], const char *name)
{
	format(out, PATH_MAX, "%s/%s", dir, name);
}

static bool
place(void)
{
	char runtime[CLIENT_PATH];

	return *dir ||
	    (client_dir(runtime, true) == AW_OK &&
		format(dir, sizeof(dir), "%s/serve.%d", runtime, getpid()) &&
		(mkdir(dir, 0700) == 0 || errno == EEXIST));
}

static bool
put(const char *path, const char *text, size_t n)
{
	AUTOCLOSE int fd = -1;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd >= 0 &&
	    io_write(fd, (struct view){(const uint8_t *)text, (uint32_t)n},
		-1) == AW_OK;
}

/* What is not a file is not read twice. False: it may say something that cannot
 * be seen just now. */
static bool
file_read(const char *path, char **text, size_t *size)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES;
	if (fstat(fd, &st) != 0)
		return false;
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MOST)
		return true;
	*size = (size_t)st.st_size;
	return (*text = calloc(1, *size + 1)) &&
	    io_read(fd, *text, *size, -1) != AW_SYSTEM;
}

static enum aw_err
no_view(const char *path, const char *why)
{
	warn("[default] of %s may have credentials that go before an "
	     "endpoint's, and no view without them can be made: %s;\n"
	     "        --env gives frozen keys",
	    shown_str(path), why);
	return AW_SYSTEM;
}

/* One of the user's two files. */
static enum aw_err
view_file(const char *variable, const char *name, struct buf *environment)
{
	char path[PATH_MAX], copy[PATH_MAX];
	AUTOFREE char *text = NULL;
	const char *why = NULL;
	size_t size = 0, n;
	bool shadows;
	enum aw_err r;

	if ((r = aws_file(variable, name, path)) != AW_OK)
		return r;
	if (!file_read(path, &text, &size))
		return no_view(path, errno_text());
	if (!text)
		return AW_OK;
	n = view_filter(text, &shadows);
	if (shadows && !place()) {
		why = *dir ? errno_text() : "no runtime directory";
	} else if (shadows) {
		path_of(copy, name);
		if (!put(copy, text, n))
			why = errno_text();
		text_add(environment, "%s=%s%c", variable, copy, 0);
		if (!strcmp(name, "config"))
			text_add(
			    environment, "AWSENV_CONFIG_FILE=%s%c", path, 0);
	}
	explicit_bzero(text, size);
	return why ? no_view(path, why) : AW_OK;
}

enum aw_err
view_make(struct buf *environment)
{
	enum aw_err r = view_file(
	    "AWS_SHARED_CREDENTIALS_FILE", "credentials", environment);

	if (r == AW_OK)
		r = view_file("AWS_CONFIG_FILE", "config", environment);
	/* The SDK for JavaScript 2 follows neither variable without. */
	if (*dir)
		text_add(environment, "AWS_SDK_LOAD_CONFIG=1%c", 0);
	return r;
}

void
view_remove(void)
{
	char path[PATH_MAX];

	if (!*dir)
		return;
	path_of(path, "config");
	unlink(path);
	path_of(path, "credentials");
	unlink(path);
	rmdir(dir);
}
