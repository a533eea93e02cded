/* SPDX-License-Identifier: ISC */
/*
 * PAM stacks, read as libpam reads them: includes followed, in order. A line of
 * ours in the wrong place is found out by a person who cannot log in.
 */
#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/doctor.h"

#define FILE_MAX (256 * 1024)
#define DEPTH_MOST 16
#define OURS "pam_awsenv.so"

/* What gives a person a shell or a desktop. */
static const char doors[][14] = {"sshd", "login", "remote", "gdm-password",
    "lightdm", "sddm", "cockpit", "xrdp-sesman"};

#define NDOORS (sizeof(doors) / sizeof(doors[0]))

/* One line of a stack, where it stands. */
struct line {
	char file[PATH_MAX];
	char text[512];
	char control[256];
	char module[256];
	unsigned int at; /* counted in the whole stack, from 1 */
};

/* Of one service and type. */
struct stack {
	const char *type;
	unsigned int n;
	unsigned int systemd; /* where pam_systemd is; 0: nowhere */
	struct line ours;     /* .at 0: there is none */
	bool exists;
};

static const char *
base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The next word, a bracketed one whole; what follows it. */
static const char *
take_word(const char *s, char *out, size_t size)
{
	size_t n;

	s += strspn(s, " \t");
	n = *s == '[' ? strcspn(s, "]") + (strchr(s, ']') != NULL)
		      : strcspn(s, " \t");
	format(out, size, "%.*s", (int)(n < size ? n : size - 1), s);
	return s + n;
}

static void walk(struct stack *, const char *name, int depth);

static void
take_line(struct stack *s, const char *file, const char *text, int depth)
{
	char type[32], control[256], module[256], *tab;
	const char *rest = take_word(text, type, sizeof(type));

	if (!strcmp(type, "@include")) {
		take_word(rest, module, sizeof(module));
		walk(s, module, depth + 1);
		return;
	}
	if (strcasecmp(*type == '-' ? type + 1 : type, s->type) != 0)
		return;
	rest = take_word(rest, control, sizeof(control));
	take_word(rest, module, sizeof(module));
	if (!strcmp(control, "include") || !strcmp(control, "substack")) {
		walk(s, module, depth + 1);
		return;
	}
	s->n++;
	if (!strcmp(base_of(module), "pam_systemd.so") ||
	    !strcmp(base_of(module), "pam_elogind.so"))
		s->systemd = s->n;
	if (strcmp(base_of(module), OURS) != 0 || s->ours.at)
		return;
	format(s->ours.file, sizeof(s->ours.file), "%s", file);
	format(s->ours.text, sizeof(s->ours.text), "%s", text);
	/* As a cure may have it: a terminal is shown no tab. */
	for (tab = s->ours.text; (tab = strchr(tab, '\t'));)
		*tab = ' ';
	format(s->ours.control, sizeof(s->ours.control), "%s", control);
	format(s->ours.module, sizeof(s->ours.module), "%s", module);
	s->ours.at = s->n;
}

static bool
open_stack(const char *name, char path[static PATH_MAX], struct buf *text)
{
	if (strchr(name, '/') && *name != '/')
		return false;
	if (*name == '/')
		return format(path, PATH_MAX, "%s", name) &&
		    file_read(path, FILE_MAX, text);
	return (path_join(path, "/etc/pam.d", name) &&
		   file_read(path, FILE_MAX, text)) ||
	    (path_join(path, "/usr/lib/pam.d", name) &&
		file_read(path, FILE_MAX, text));
}

static void
walk(struct stack *s, const char *name, int depth)
{
	AUTOBUF struct buf text = {0};
	char path[PATH_MAX], *line, *rest, *p;

	if (depth > DEPTH_MOST || !open_stack(name, path, &text))
		return;
	s->exists = true;
	rest = (char *)text.data;
	/* A backslash at the end of a line goes on with it. */
	for (p = rest; (p = strstr(p, "\\\n")); p += 2)
		p[0] = p[1] = ' ';
	while ((line = strsep(&rest, "\n"))) {
		line[strcspn(line, "#\r")] = '\0';
		line += strspn(line, " \t");
		if (*line)
			take_line(s, path, line, depth);
	}
}

static struct stack
stack_of(const char *service, const char *type)
{
	struct stack s = {.type = type};

	walk(&s, service, 0);
	return s;
}

bool
pam_has(const char *service, const char *type)
{
	return stack_of(service, type).ours.at != 0;
}

/* ---- what can be wrong with one */

static bool
module_exists(const char *module)
{
	static const char *const folders[] = {"/lib/security/",
	    "/lib64/security/", "/usr/lib/security/", "/usr/lib64/security/",
	    "/lib/*/security/", "/usr/lib/*/security/"};
	char pattern[PATH_MAX];
	bool found = false;
	glob_t g;
	size_t i;

	if (*module == '/')
		return access(module, F_OK) == 0;
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]) && !found; i++) {
		if (format(
			pattern, sizeof(pattern), "%s%s", folders[i], module) &&
		    glob(pattern, GLOB_NOSORT, NULL, &g) == 0) {
			found = g.gl_pathc > 0;
			globfree(&g);
		}
	}
	return found;
}

static void
add_append(
    struct doctor *d, struct buf *cure, const char *line, const char *door)
{
	text_add(cure, "printf '%%s\\n' ");
	add_word(cure, line);
	text_add(cure, " | %stee -a /etc/pam.d/%s >/dev/null", d->sudo, door);
}

/* Whatever the module does, it must not be what keeps people out. */
static bool
is_strict(const char *control)
{
	return !strcmp(control, "required") || !strcmp(control, "requisite") ||
	    (*control == '[' && (find(control, "bad") || find(control, "die")));
}

static void
check_session(struct doctor *d, const char *door, const struct stack *s)
{
	struct finding *f;

	if (is_strict(s->ours.control)) {
		f = find_new(d, GRADE_PROBLEM);
		text_add(&f->text,
		    "%s: the session line is %s: should it fail, nobody gets "
		    "in; it is meant to be optional",
		    s->ours.file, s->ours.control);
		text_add(&f->cure,
		    "%ssed -i -E 's/^([[:space:]]*-?session[[:space:]]+)"
		    "(required|requisite|\\[[^]]*\\])([[:space:]].*" OURS
		    ")/\\1optional\\3/' ",
		    d->sudo);
		add_word(&f->cure, s->ours.file);
	}
	if (s->systemd > s->ours.at) {
		f = find_new(d, GRADE_PROBLEM);
		text_add(&f->text,
		    "%s: the session line stands before pam_systemd, which "
		    "makes the directory for the agent's socket",
		    s->ours.file);
		text_add(&f->cure,
		    "%ssed -i -E '/^[[:space:]]*-?session[[:space:]].*" OURS
		    "/d' ",
		    d->sudo);
		add_word(&f->cure, s->ours.file);
		text_add(&f->cure, " && ");
		add_append(d, &f->cure, s->ours.text, door);
	}
}

static void
check_module(struct doctor *d, const struct line *l)
{
	struct finding *f;

	if (module_exists(l->module))
		return;
	f = find_new(d, GRADE_PROBLEM);
	text_add(&f->text, "%s names %s, which is not installed", l->file,
	    l->module);
	text_add(&f->cure, "%ssed -i -E '/^[^#]*" OURS "/d' ", d->sudo);
	add_word(&f->cure, l->file);
}

static void
check_absent(struct doctor *d, const char *door)
{
	struct finding *f = find_new(d, GRADE_NOTE);

	text_add(&f->text,
	    "%s has no line of ours: who comes that way finds no login begun",
	    door);
	add_append(d, &f->cure, "session    optional     " OURS, door);
}

/* ---- doors without the factor */

/* The line of one that has it, to be copied to the others. */
static bool
factor_line(char line[static 512])
{
	struct stack s;
	size_t i;

	for (i = 0; i < NDOORS; i++) {
		s = stack_of(doors[i], "auth");
		if (s.ours.at && find(s.ours.text, "mode=factor"))
			return format(line, 512, "%s", s.ours.text);
	}
	return false;
}

static void
check_factor(struct doctor *d)
{
	char line[512];
	struct finding *f;
	struct stack s;
	size_t i;

	if (!factor_line(line))
		return;
	for (i = 0; i < NDOORS; i++) {
		s = stack_of(doors[i], "auth");
		if (s.ours.at)
			check_module(d, &s.ours);
		if (!s.exists || s.ours.at)
			continue;
		f = find_new(d, GRADE_PROBLEM);
		text_add(&f->text,
		    "%s lets people in without the factor that another service "
		    "asks for",
		    doors[i]);
		add_append(d, &f->cure, line, doors[i]);
	}
	if (pam_has("login", "auth"))
		find_line(d, GRADE_NOTE,
		    "login -f (autologin on a console) never asks for a "
		    "factor");
}

void
check_pam(struct doctor *d)
{
	const struct finding *before = d->last;
	struct stack s;
	bool any = false;
	size_t i;

	for (i = 0; i < NDOORS; i++)
		any |= pam_has(doors[i], "session");
	for (i = 0; i < NDOORS && any; i++) {
		s = stack_of(doors[i], "session");
		if (s.ours.at) {
			check_module(d, &s.ours);
			check_session(d, doors[i], &s);
		} else if (s.exists) {
			check_absent(d, doors[i]);
		}
	}
	check_factor(d);
	if (d->last != before)
		return;
	find_line(d, any ? GRADE_OK : GRADE_NOTE,
	    any ? "pam_awsenv stands where it should"
		: "pam_awsenv is not set up: logging in to this machine begins "
		  "no login");
}
