/* SPDX-License-Identifier: ISC */
/*
 * One table of options for all verbs: which of them a verb takes is a column
 * of the verb's row. "--opt=value" and "--opt value" are the same.
 */
#include <stddef.h>
#include <string.h>

#include "agent/cli/cli.h"

#define AT(member) offsetof(struct options, member)

/* clang-format off */
static const struct option_row rows[] = {
	{"profile", 'p', TEXT, AT(profile), OPT_PROFILE,
	    "PROFILE\0of ~/.aws/config; else AWS_PROFILE, ..."},
	{"account", 0, TEXT, AT(account), OPT_ACCOUNT,
	    "ID|NAME\0instead of a profile, with --role"},
	{"role", 0, TEXT, AT(role), OPT_ROLE,
	    "NAME\0the role in that account"},
	{"sso-session", 0, TEXT, AT(session), OPT_SESSION,
	    "NAME\0which login, where there are several"},
	{"region", 0, TEXT, AT(region), OPT_REGION,
	    "REGION\0instead of the profile's"},
	{"socket", 0, TEXT, AT(socket), OPT_SOCKET,
	    "PATH\0the agent's, before any other"},
	{"env", 0, FLAG, 0, OPT_ENV,
	    "\0give frozen keys, in variables"},
	{"serve", 0, FLAG, 0, OPT_SERVE,
	    "\0give an endpoint, which renews the keys"},
	{"for", 0, DURATION, AT(seconds), OPT_FOR,
	    "DURATION\0it has to last so long: 90s, 15m, 2h"},
	{"wait", 0, SECONDS, AT(wait), OPT_WAIT,
	    "SECONDS\0wait that long for a login, terminal or not"},
	{"no-wait", 0, FLAG, 0, OPT_NO_WAIT,
	    "\0do not wait for a login"},
	{"core", 0, FLAG, 0, OPT_CORE,
	    "\0let the command write core files"},
	{"no-browser", 0, FLAG, 0, OPT_NO_BROWSER,
	    "\0do not open a browser"},
	{"use-device-code", 0, FLAG, 0, OPT_DEVICE_CODE,
	    "\0by a code, for a browser on any machine"},
	{"json", 0, FLAG, 0, OPT_JSON,
	    "\0for programs"},
	{"format", 0, TEXT, AT(format), OPT_FORMAT,
	    "NAME\0env env-no-export fish powershell dotenv json ini"},
	{"unset", 0, FLAG, 0, OPT_UNSET,
	    "\0take the variables away again"},
	{"help", 'h', FLAG, 0, OPT_HELP,
	    "\0this text"},
	{"version", 'V', FLAG, 0, OPT_VERSION,
	    "\0print the version"},
};
/* clang-format on */

#define NROWS (sizeof(rows) / sizeof(rows[0]))
#define MOST_SECONDS 604800

const struct option_row *options_more;
size_t options_nmore;

/* awsenv-ctl's own come first, so they may say more of one that both have. */
const struct option_row *
options_at(size_t i)
{
	if (i < options_nmore)
		return &options_more[i];
	i -= options_nmore;
	return i < NROWS ? &rows[i] : NULL;
}

/* Digits and nothing else, at most MOST_SECONDS; p ends up behind them. */
static bool
number_parse(const char **p, uint32_t *out)
{
	const char *s = *p;
	uint32_t n = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		n = n * 10 + (uint32_t)(*s - '0');
		if (n > MOST_SECONDS)
			return false;
	}
	*p = s;
	*out = n;
	return true;
}

bool
duration_parse(const char *s, uint32_t *seconds)
{
	static const char units[] = "smh";
	static const uint32_t each[] = {1, 60, 3600};
	const char *unit;
	uint32_t n;

	if (!number_parse(&s, &n))
		return false;
	if (*s) {
		unit = strchr(units, *s);
		if (!unit || s[1] || n > MOST_SECONDS / each[unit - units])
			return false;
		n *= each[unit - units];
	}
	*seconds = n;
	return true;
}

#define WORD 32

static unsigned int
least(unsigned int a, unsigned int b, unsigned int c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

/* Levenshtein's distance; words longer than WORD are far from everything. */
static unsigned int
distance(const char *a, const char *b)
{
	size_t n = strlen(b), i, j;
	unsigned int row[WORD + 1], corner, above;

	if (strlen(a) > WORD || n > WORD)
		return WORD;
	for (j = 0; j <= n; j++)
		row[j] = (unsigned int)j;
	for (i = 0; a[i]; i++) {
		corner = row[0]++;
		for (j = 0; j < n; j++) {
			above = row[j + 1];
			row[j + 1] = least(
			    above + 1, row[j] + 1, corner + (a[i] != b[j]));
			corner = above;
		}
	}
	return row[n];
}

const char *
nearest(const char *word, const char *first, size_t count, size_t step)
{
	unsigned int best = (unsigned int)strlen(word) / 3 + 1, d;
	const char *found = NULL;

	for (; count; count--, first += step) {
		d = distance(word, first);
		/* What somebody began to type is meant, too. */
		if (strlen(word) > 2 && !strncmp(word, first, strlen(word)))
			d = 1;
		if (d <= best && (!found || d < best)) {
			best = d;
			found = first;
		}
	}
	return found;
}

static void
unknown(const char *word)
{
	char plain[WORD + 1] = "";
	const char *near = NULL;

	if (word[1] == '-' &&
	    format(plain, sizeof(plain), "%.*s",
		(int)(strchrnul(word, '=') - word - 2), word + 2))
		near = nearest(plain, rows[0].name, NROWS, sizeof(rows[0]));
	if (!near && options_more)
		near = nearest(plain, options_more[0].name, options_nmore,
		    sizeof(rows[0]));
	warn("unknown option %s%s%s%s", shown_str(word),
	    near ? "; did you mean --" : "; see awsenv --help",
	    near ? near : "", near ? "?" : "");
}

#ifndef AWSENV_WRAPPER
static bool
texts_add(struct texts *t, const struct option_row *r, const char *value)
{
	if (!*value)
		warn("--%s takes a value that is not empty", r->name);
	else if (t->n == sizeof(t->at) / sizeof(t->at[0]))
		warn("--%s is given too often", r->name);
	else
		t->at[t->n++] = value;
	return *value && t->n && t->at[t->n - 1] == value;
}
#endif

static bool
row_set(const struct option_row *r, struct options *o, const char *value)
{
	void *at = (char *)o + r->offset;
	uint32_t n;

	switch ((enum shape)r->shape) {
	case FLAG:
		break;
	case SECONDS:
		if (!number_parse(&value, &n) || *value) {
			warn("--%s takes a number of seconds", r->name);
			return false;
		}
		*(int *)at = (int)n;
		break;
	case DURATION:
		if (!duration_parse(value, at)) {
			warn("--%s takes a duration, such as 90s, 15m or 2h",
			    r->name);
			return false;
		}
		break;
	case TEXT:
		if (!*value) {
			warn("--%s takes a value that is not empty", r->name);
			return false;
		}
		*(const char **)at = value;
		break;
#ifndef AWSENV_WRAPPER
	case TEXTS:
		if (!texts_add(at, r, value))
			return false;
		if (r->bit == OPT_PROFILE)
			o->profile = value;
		o->given |= r->bit;
		return true;
#else
	case TEXTS:
		break;
#endif
	}
	if (o->given & r->bit) {
		warn("--%s is given twice", r->name);
		return false;
	}
	o->given |= r->bit;
	return true;
}

/* The row of an option word, and its value if it stands in the same word. */
static const struct option_row *
row_find(const char *word, const char **value)
{
	size_t i, n = (size_t)(strchrnul(word, '=') - word);
	const struct option_row *r;

	*value = NULL;
	for (i = 0; (r = options_at(i)); i++) {
		if (r->letter && word[1] == r->letter) {
			*value = word[2] ? word + 2 : NULL;
			return r->shape == FLAG && word[2] ? NULL : r;
		}
		if (word[1] == '-' && n == strlen(r->name) + 2 &&
		    !strncmp(word + 2, r->name, n - 2)) {
			*value = word[n] ? word + n + 1 : NULL;
			return r;
		}
	}
	return NULL;
}

bool
options_take(struct options *o, char ***argv, bool *dashes)
{
	const struct option_row *r;
	const char *value;
	char *word;

	*dashes = false;
	while ((word = **argv) && word[0] == '-' && word[1]) {
		(*argv)++;
		if (!strcmp(word, "--")) {
			*dashes = true;
			return true;
		}
		if (!(r = row_find(word, &value))) {
			unknown(word);
			return false;
		}
		if (r->shape == FLAG && value) {
			warn("--%s takes no value", r->name);
			return false;
		}
		if (r->shape != FLAG && !value) {
			if (!(value = **argv)) {
				warn(
				    "--%s needs a value: %s", r->name, r->text);
				return false;
			}
			(*argv)++;
		}
		if (!row_set(r, o, value ? value : ""))
			return false;
	}
	return true;
}

bool
options_fit(const struct options *o, uint64_t allowed, const char *verb)
{
	unsigned int account = OPT_ACCOUNT | OPT_ROLE;
	const struct option_row *r;
	size_t i;

	for (i = 0; (r = options_at(i)); i++) {
		if (!(o->given & r->bit & ~allowed))
			continue;
		if (verb)
			warn("--%s does not go with %s; see awsenv %s --help",
			    r->name, verb, verb);
		else
			warn(
			    "--%s does not go with a command; see awsenv --help",
			    r->name);
		return false;
	}
#ifndef AWSENV_WRAPPER
	if (o->profiles.n > 1 && !(allowed & OPT_SEVERAL)) {
		warn("--profile is given twice");
		return false;
	}
#endif
	if ((o->given & account) && (o->given & account) != account) {
		warn("--account and --role go together");
		return false;
	}
	if ((o->given & account) && (o->given & OPT_PROFILE)) {
		warn("either --profile, or --account and --role");
		return false;
	}
	if ((o->given & OPT_WAIT) && (o->given & OPT_NO_WAIT)) {
		warn("either --wait or --no-wait");
		return false;
	}
	if ((o->given & OPT_ENV) && (o->given & OPT_SERVE)) {
		warn("either --env or --serve");
		return false;
	}
	if (o->socket &&
	    (*o->socket != '/' || strlen(o->socket) >= CLIENT_PATH)) {
		warn("--socket must be an absolute path of less than %d bytes",
		    CLIENT_PATH);
		return false;
	}
	if (o->region && !is_region(view_str(o->region))) {
		warn("%s is not a region", shown_str(o->region));
		return false;
	}
	return true;
}

void
options_help(uint64_t allowed, struct buf *out)
{
	const struct option_row *r;
	const char *help;
	char left[48];
	size_t i;

	for (i = 0; (r = options_at(i)); i++) {
		help = r->text + strlen(r->text) + 1;
		if (!(allowed & r->bit) || !*help)
			continue;
		format(left, sizeof(left), "%c%c%c --%s %s",
		    r->letter ? '-' : ' ', r->letter ? r->letter : ' ',
		    r->letter ? ',' : ' ', r->name, r->text);
		text_add(out, "  %-26s %s\n", left, help);
	}
}
