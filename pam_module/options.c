/* SPDX-License-Identifier: ISC */
#include "pam_module/pam_awsenv.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

enum type { FLAG, TEXT, PATH, NUMBER, WORD };

/* Session mode's: who gives a shell or a desktop to a person, and their lockers.
 * Not su, sudo, cron, at: those are the same person, or nobody. */
#define SERVICES                                                          \
	"login,remote,sshd,gdm-*,lightdm,lightdm-autologin,sddm,"         \
	"sddm-autologin,lxdm,xdm,greetd,ly,kde*,cockpit,i3lock,swaylock," \
	"xscreensaver,light-locker,*-screensaver"

/* clang-format off */
static const struct row {
	char name[12];
	uint8_t type;
	uint8_t offset;
	const char *text;	/* default of TEXT and PATH; the words of WORD */
	uint32_t number;	/* default of the others, of WORD by its place */
} rows[] = {	/* sorted: looked up by bsearch(3) */
#define AT(member) offsetof(struct options, member)
	{"account",     TEXT,   AT(account),     NULL,             0},
	{"agent",       PATH,   AT(agent),       AWSENV_BINDIR "/awsenv-agent", 0},
	{"ca",          PATH,   AT(ca),          NULL,             0},
	{"debug",       FLAG,   AT(debug),       NULL,             0},
	{"domain",      TEXT,   AT(domain),      NULL,             0},
	{"endpoint",    TEXT,   AT(endpoint),    NULL,             0},
	{"enforce",     WORD,   AT(enforce),     "no,yes",         1},
	{"exempt",      TEXT,   AT(exempt),      NULL,             0},
	{"fetch",       PATH,   AT(fetch),       AWSENV_LIBEXECDIR "/awsenv-fetch", 0},
	{"groups",      TEXT,   AT(groups),      NULL,             0},
	{"handover",    WORD,   AT(handover),    "no,yes",         1},
	{"login",       WORD,   AT(login),       "eager,lazy,off", NUDGE_EAGER},
	{"logout_last", FLAG,   AT(logout_last), NULL,             0},
	{"map",         PATH,   AT(map),         NULL,             0},
	{"minimum_uid", NUMBER, AT(minimum_uid), NULL,             1000},
	{"mode",        WORD,   AT(mode),        "session,factor", MODE_SESSION},
	{"quiet",       FLAG,   AT(quiet),       NULL,             0},
	{"region",      TEXT,   AT(region),      NULL,             0},
	{"role",        TEXT,   AT(role),        NULL,             0},
	{"services",    TEXT,   AT(services),    NULL,             0},
	{"start_url",   TEXT,   AT(start_url),   NULL,             0},
	{"timeout",     NUMBER, AT(timeout),     NULL,             UNSET},
	{"user",        TEXT,   AT(user),        "awsenv-factor",  0},
	{"users",       TEXT,   AT(users),       NULL,             0},
	{"wait",        NUMBER, AT(wait),        NULL,             UNSET},
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
	case WORD:
		*(uint32_t *)at = r->number;
		break;
	case TEXT:
	case PATH:
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
		if (n >= UNSET)
			return false;
	}
	*at = (uint32_t)n;
	return true;
}

/* The place of the word in a list; UNSET: it is none of them. */
static bool
set_word(uint32_t *at, const char *words, const char *s)
{
	size_t n;

	for (*at = 0; *words; words += n + (words[n] == ','), ++*at) {
		n = strcspn(words, ",");
		if (strlen(s) == n && memcmp(s, words, n) == 0)
			return true;
	}
	*at = UNSET;
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
	case WORD:
		return set_word(at, r->text, value);
	case PATH:
		*(const char **)at = value;
		return value[0] == '/';
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
	if (o->wait != UNSET && o->wait > WAIT_MOST)
		o->wait = WAIT_MOST;
	if (o->mode == MODE_SESSION && !o->services)
		o->services = SERVICES;
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
