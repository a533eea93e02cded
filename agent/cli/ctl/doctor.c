/* SPDX-License-Identifier: ISC */
/* awsenv doctor: the table of checks, and how what they found is printed. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/doctor.h"

/* Each is for a person's own session, for the administrator's files, or both;
 * of the first a few are for where the agent is on another host. */
enum { SESSION = 1, ADMIN = 2, AFAR = 4 };

static const struct {
	char name[12];
	uint8_t when;
	void (*look)(struct doctor *);
} checks[] = {
    {"agent", SESSION | AFAR, check_agent},
    {"protection", SESSION, check_protection},
    {"sandbox", SESSION, check_sandbox},
    {"keyring", SESSION, check_keyring},
    {"ssh-agent", SESSION, check_ssh_agent},
    {"clock", SESSION, check_clock},
    {"admin", SESSION | ADMIN, check_admin},
    {"config", SESSION, check_config},
    {"variables", SESSION | AFAR, check_variables},
    {"portal", SESSION, check_portal},
    {"plaintext", SESSION | AFAR, check_plaintext},
    {"pam", SESSION | ADMIN, check_pam},
    {"sshd", SESSION | ADMIN, check_sshd},
    {"systemd", SESSION | ADMIN, check_systemd},
};

static const char grades[][8] = {"ok", "note", "problem"};

/* ---- findings */

struct finding *
find_new(struct doctor *d, enum grade grade)
{
	struct finding *f = calloc(1, sizeof(*f));

	if (!f)
		out_of_memory();
	f->check = d->check;
	f->grade = grade;
	if (d->last)
		d->last->next = f;
	else
		d->first = f;
	d->last = f;
	return f;
}

void
find_line(struct doctor *d, enum grade grade, const char *fmt, ...)
{
	struct finding *f = find_new(d, grade);
	va_list ap;

	va_start(ap, fmt);
	format_put(&f->text, fmt, ap);
	va_end(ap);
}

void
add_word(struct buf *b, const char *word)
{
	size_t plain = strspn(word, LETTERS SMALL DIGITS "/._+-:@%,=");

	if (*word && !word[plain]) {
		text_add(b, "%s", word);
		return;
	}
	buf_u8(b, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			text_add(b, "'\\''");
		else
			buf_u8(b, (uint8_t)*word);
	}
	buf_u8(b, '\'');
}

bool
grade_set(const char *name)
{
	const char *v = getenv(name);

	return v && *v;
}

bool
path_join(char out[static PATH_MAX], const char *folder, const char *name)
{
	return *folder && format(out, PATH_MAX, "%s/%s", folder, name);
}

bool
file_read(const char *path, size_t max, struct buf *out)
{
	AUTOCLOSE int fd =
	    open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char part[4096];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	errno = EINVAL;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		return false;
	while ((n = read(fd, part, sizeof(part))) > 0 && out->len < max)
		buf_put(out, part, (size_t)n);
	explicit_bzero(part, sizeof(part)); /* it may have been keys */
	buf_u8(out, '\0');
	return n >= 0 && !out->bad;
}

/* ---- printing them */

static void
print_json(const struct doctor *d, struct buf *out)
{
	const struct finding *f;

	text_add(out, "{\"version\": \"%s\", \"problems\": %u, \"checks\": [",
	    AWSENV_VERSION, d->problems);
	for (f = d->first; f; f = f->next) {
		json_name(out, "");
		text_add(out,
		    "{\"check\": \"%s\", \"grade\": \"%s\", \"text\": ",
		    f->check, grades[f->grade]);
		json_string(out, view_of(&f->text));
		json_name(out, "cure");
		if (f->cure.len)
			json_string(out, view_of(&f->cure));
		else
			text_add(out, "null");
		text_add(out, "}");
	}
	text_add(out, "]}\n");
}

static void
print_text(const struct doctor *d, struct buf *out)
{
	const struct finding *f;

	for (f = d->first; f; f = f->next) {
		text_add(out, "%-8s %-11s %s\n", grades[f->grade], f->check,
		    shown(view_of(&f->text)));
		if (f->cure.len)
			text_add(out, "         cure: %s\n",
			    shown(view_of(&f->cure)));
	}
	text_add(out, d->problems ? "%u problem%s\n" : "no problem found\n",
	    d->problems, d->problems == 1 ? "" : "s");
}

static void
forget(struct doctor *d)
{
	struct finding *f;

	while ((f = d->first)) {
		d->first = f->next;
		buf_free(&f->text);
		buf_free(&f->cure);
		free(f);
	}
	if (d->questioned)
		question_end(&d->question);
	buf_free(&d->frame);
	buf_free(&d->sessions);
}

int
doctor_tell(struct doctor *d, bool admin)
{
	AUTOBUF struct buf out = {0};
	const struct finding *f;
	int status;

	for (f = d->first; f; f = f->next) {
		d->problems += f->grade == GRADE_PROBLEM;
		out.bad |= f->text.bad || f->cure.bad;
	}
	if (d->options->given & OPT_JSON)
		print_json(d, &out);
	else
		print_text(d, &out);
	status = d->problems ? EXIT_OTHER : EXIT_GOOD;
	if (d->problems && admin)
		status = EXIT_CONFIG;
	forget(d);
	return text_print(&out) ? status : EXIT_OTHER;
}

int
doctor_verb(const struct options *o, char **argv)
{
	unsigned int when = o->given & OPT_CONFIG ? ADMIN : SESSION;
	const char *home = getenv("HOME");
	struct doctor d = {
	    .options = o,
	    .sudo = geteuid() ? "sudo " : "",
	    .home = home && *home == '/' ? home : "",
	};
	size_t i;

	(void)argv;
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (!(checks[i].when & when))
			continue;
		d.check = checks[i].name;
		checks[i].look(&d);
		/* What is set up here is not what counts here. */
		if (d.far)
			when = AFAR;
	}
	return doctor_tell(&d, when == ADMIN);
}
