/* SPDX-License-Identifier: ISC */
/*
 * The administrator's kill switch, "enabled = false" in [awsenv]: with it not
 * even an agent is started. Reads that and nothing else; who reads all of the
 * file is the agent's own reader, which refuses whatever the module lets pass.
 */
#include "pam_module/pam_awsenv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/own.h"

#define FILE_MAX (1024 * 1024)

static const char *
skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/* "[awsenv]" */
static bool
is_ours(const char *line)
{
	line = skip_blanks(line + 1);
	return strncmp(line, "awsenv", 6) == 0 && *skip_blanks(line + 6) == ']';
}

/* "enabled = false"; what is neither false nor true counts as false. */
static bool
is_off(const char *line)
{
	size_t n;

	if (strncasecmp(line, "enabled", 7) != 0)
		return false;
	line = skip_blanks(line + 7);
	if (*line != '=' && *line != ':')
		return false;
	line = skip_blanks(line + 1);
	n = strcspn(line, " \t\r\n");
	return n != 4 || strncasecmp(line, "true", 4) != 0;
}

static FILE *
open_file(int folder, const char *name)
{
	int fd =
	    openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	FILE *f = NULL;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= FILE_MAX)
		f = fdopen(fd, "re");
	if (!f && fd >= 0)
		close(fd);
	return f;
}

static bool
file_is_off(int folder, const char *name)
{
	FILE *f = open_file(folder, name);
	AUTOFREE char *line = NULL;
	bool ours = false, off = false;
	const char *text;
	size_t room = 0;

	while (f && !off && getline(&line, &room, f) > 0) {
		text = skip_blanks(line);
		if (*text == '[')
			ours = is_ours(text);
		else if (ours)
			off = is_off(text);
	}
	if (f)
		fclose(f);
	return off;
}

static bool
is_piece(const char *name)
{
	size_t n = strlen(name);

	return *name != '.' && n > 5 && strcmp(name + n - 5, ".conf") == 0;
}

bool
off_in(const char *folder)
{
	AUTOCLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int pieces;
	const struct dirent *entry;
	bool off;
	DIR *d;

	if (fd < 0)
		return false;
	off = file_is_off(fd, "config");
	pieces = openat(fd, "config.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pieces < 0)
		return off;
	if (!(d = fdopendir(pieces))) {
		close(pieces);
		return off;
	}
	while (!off && (entry = readdir(d)))
		off = is_piece(entry->d_name) &&
		    file_is_off(pieces, entry->d_name);
	closedir(d);
	return off;
}
