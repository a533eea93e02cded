/* SPDX-License-Identifier: ISC */
/* The user units, as they stand in the file system. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/doctor.h"

#define SOCKET "awsenv-agent.socket"
#define SERVICE "awsenv-agent.service"

static const char *const folders[] = {"/etc/systemd/user", "/run/systemd/user",
    "/usr/local/lib/systemd/user", "/usr/lib/systemd/user",
    "/lib/systemd/user"};

static bool
find_in(struct doctor *d, const char *name, char path[static PATH_MAX])
{
	char own[PATH_MAX];
	size_t i;

	if (path_join(own, d->home, ".config/systemd/user") &&
	    path_join(path, own, name) && access(path, R_OK) == 0)
		return true;
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (path_join(path, folders[i], name) &&
		    access(path, R_OK) == 0)
			return true;
	}
	return false;
}

/* A unit that outlived the program it starts. */
static void
check_program(struct doctor *d, const char *unit)
{
	AUTOBUF struct buf text = {0};
	char program[512], ours[PATH_MAX], *line, *rest;
	struct finding *f;

	if (!file_read(unit, 65536, &text))
		return;
	rest = (char *)text.data;
	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, "ExecStart=%511s", program) != 1)
			continue;
		if (access(program, X_OK) == 0 ||
		    !program_find("awsenv-agent", ours))
			return;
		f = find_new(d, GRADE_PROBLEM);
		text_add(&f->text, "%s starts %s, which is not there", unit,
		    shown_str(program));
		text_add(&f->cure,
		    "%ssed -i 's|^ExecStart=[^ ]*|ExecStart=%s|' ", d->sudo,
		    ours);
		add_word(&f->cure, unit);
		return;
	}
}

void
check_systemd(struct doctor *d)
{
	const struct finding *before = d->last;
	char path[PATH_MAX];
	struct finding *f;

	if (!find_in(d, SOCKET, path)) {
		find_line(d, GRADE_NOTE,
		    "no user units: the first command, or PAM, starts the "
		    "agent");
		return;
	}
	if (find_in(d, SERVICE, path))
		check_program(d, path);
	else
		find_line(d, GRADE_PROBLEM,
		    SOCKET " is there, but " SERVICE " is not: install both");
	if (!find_in(d, "sockets.target.wants/" SOCKET, path)) {
		f = find_new(d, GRADE_NOTE);
		text_add(&f->text,
		    SOCKET " is not enabled: systemd does not listen for the "
			   "agent");
		text_add(
		    &f->cure, "%ssystemctl --global enable " SOCKET, d->sudo);
	}
	if (d->last == before)
		find_line(d, GRADE_OK, "its user units are there and enabled");
}
