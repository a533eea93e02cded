/* SPDX-License-Identifier: ISC */
#include "pam_module/pam_awsenv.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

enum type { FLAG, TEXT, PATH, NUMBER, LOGIN, MODE };

/* Who gives a shell or a desktop to a person, and their lockers. Not su, sudo,
 * cron, at: those are the same person, or nobody. */
#define SERVICES                                                          \
	"login,remote,sshd,gdm-*,lightdm,lightdm-autologin,sddm,"         \
	"sddm-autologin,lxdm,xdm,greetd,ly,kde*,cockpit,i3lock,swaylock," \
	"xscreensaver,light-locker,*-screensaver"

/* clang-format off */
static const struct row {
	char name[12];
	uint8_t type;
	uint8_t offset;
	const char *text;	/* default of TEXT and PATH */
	uint32_t number;	/* of the others */
} rows[] = {	/* sorted: looked up by bsearch(3) */
#define AT(member) offsetof(struct options, member)
	{"agent",       PATH,   AT(agent),       AWSENV_BINDIR "/awsenv-agent", 0},
	{"debug",       FLAG,   AT(debug),       NULL,      0},
	{"exempt",      TEXT,   AT(exempt),      NULL,      0},
	{"groups",      TEXT,   AT(groups),      NULL,      0},
	{"login",       LOGIN,  AT(login),       NULL,      NUDGE_EAGER},
	{"minimum_uid", NUMBER, AT(minimum_uid), NULL,      1000},
	{"mode",        MODE,   AT(mode),        "session", 0},
	{"quiet",       FLAG,   AT(quiet),       NULL,      0},
	{"services",    TEXT,   AT(services),    SERVICES,  0},
	{"users",       TEXT,   AT(users),       NULL,      0},
	{"wait",        NUMBER, AT(wait),        NULL,      WAIT_UNSET},
#undef AT
};
/* clang-format on */

#define NROWS (sizeof(rows) / sizeof(rows[0]))
#define WAIT_MOST 10

static void
set_default(const struct row *r, struct options *o)
{
	void *at = (char *)o + r->offset;

	switch ((enum type)r->type) {
	case FLAG:
		*(bool *)at = r->number;
		break;
	case NUMBER:
	case LOGIN:
		*(uint32_t *)at = r->number;
		break;
	case TEXT:
	case PATH:
	case MODE:
		*(const char **)at = r->text;
		break;
	}
}

static bool
set_number(uint32_t *at, const char *s)
{
	uint64_t n = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
		if (n >= WAIT_UNSET)
			return false;
	}
	*at = (uint32_t)n;
	return true;
}

static bool
set_login(uint32_t *at, const char *s)
{
	static const char *const names[] = {
	    [NUDGE_EAGER] = "eager",
	    [NUDGE_LAZY] = "lazy",
	    [NUDGE_OFF] = "off",
	};
	uint32_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(s, names[i]) == 0) {
			*at = i;
			return true;
		}
	}
	return false;
}

/* `value` is what follows the "="; NULL: there is none. */
static bool
set(const struct row *r, struct options *o, const char *value)
{
	void *at = (char *)o + r->offset;

	if (r->type == FLAG) {
		*(bool *)at = true;
		return value == NULL;
	}
	if (!value)
		return false;
	switch ((enum type)r->type) {
	case NUMBER:
		return set_number(at, value);
	case LOGIN:
		return set_login(at, value);
	case PATH:
		*(const char **)at = value;
		return value[0] == '/';
	case MODE:
		*(const char **)at = value;
		return strcmp(value, "session") == 0;
	case TEXT:
		*(const char **)at = value;
		return true;
	default:
		return false;
	}
}

struct word {
	const char *p;
	size_t n;
};

static int
compare(const void *key, const void *row)
{
	const struct word *w = key;
	const struct row *r = row;
	int c = strncmp(w->p, r->name, w->n);

	return c ? c : r->name[w->n] ? -1 : 0;
}

static const struct row *
find(const char *arg)
{
	struct word w = {arg, strcspn(arg, "=")};

	if (w.n >= sizeof(rows[0].name))
		return NULL;
	return bsearch(&w, rows, NROWS, sizeof(rows[0]), compare);
}

/* The stack calls us four times for a login; it is told once. */
static bool
first_time(pam_handle_t *pamh)
{
	static char told[] = "";
	const void *data;

	if (pam_get_data(pamh, "awsenv_options", &data) == PAM_SUCCESS)
		return false;
	pam_set_data(pamh, "awsenv_options", told, NULL);
	return true;
}

bool
options_parse(
    pam_handle_t *pamh, int argc, const char **argv, struct options *o)
{
	bool tell = first_time(pamh), good = true;
	const struct row *r;
	size_t i;

	memset(o, 0, sizeof(*o));
	for (i = 0; i < NROWS; i++)
		set_default(&rows[i], o);
	for (; argc > 0; argc--, argv++) {
		const char *value = strchr(*argv, '=');

		if (!(r = find(*argv))) {
			if (tell)
				pam_syslog(pamh, LOG_ERR,
				    "unknown option %.64s", *argv);
		} else if (!set(r, o, value ? value + 1 : NULL)) {
			good = false;
			if (tell)
				pam_syslog(pamh, LOG_ERR,
				    "option %.64s: this version has no such "
				    "value; the module does nothing",
				    *argv);
		}
	}
	if (o->wait != WAIT_UNSET && o->wait > WAIT_MOST)
		o->wait = WAIT_MOST;
	return good;
}

static bool
entry_is(const char *entry, size_t n, const char *name)
{
	size_t len = strlen(name);

	if (n && entry[n - 1] == '*')
		return len >= n - 1 && memcmp(entry, name, n - 1) == 0;
	if (n && entry[0] == '*')
		return len >= n - 1 &&
		    memcmp(entry + 1, name + len - (n - 1), n - 1) == 0;
	return len == n && memcmp(entry, name, n) == 0;
}

bool
list_has(const char *list, const char *name)
{
	size_t n;

	while (list && *list) {
		n = strcspn(list, ",");
		if (n && entry_is(list, n, name))
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}
