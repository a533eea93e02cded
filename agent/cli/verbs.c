/* SPDX-License-Identifier: ISC */
/* The closed list of verbs. A word that is not on it is a command. */
#include <stddef.h>
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

extern char **environ;

static int help_verb(const struct options *, char **argv);
static int version_verb(const struct options *, char **argv);

/* clang-format off */
static const struct verb verbs[] = {
	{"exec", OPT_RUN, exec_verb,
	    "[PROFILE] [-- COMMAND [ARG...]]\0"
	    "run a command, or a shell, with credentials"},
	{"whoami", OPT_WHO | OPT_WAITING | OPT_JSON, whoami_verb,
	    "\0as whom a command would run"},
	{"export", OPT_WHO | OPT_WAITING | OPT_FORMAT | OPT_UNSET, export_verb,
	    "\0print credentials as variables, for eval"},
	{"process", OPT_WHO | OPT_WAIT | OPT_NO_WAIT, process_verb,
	    "\0print credentials as a credential_process does"},
	{"prompt", OPT_WHO, prompt_verb,
	    "\0one short line for a prompt: the profile, how long it lasts"},
	{"status", OPT_WHO | OPT_JSON, brief_verb,
	    "\0which agent there is, and what may be used"},
	{"help", 0, help_verb, "[VERB]\0this text, or a verb's"},
	{"version", 0, version_verb, "\0print the version"},
};
/* clang-format on */

/* Those of awsenv-ctl, which the first word after options is enough to find.
 * Of status there is a smaller one here, for where that is not. */
const char verbs_apart[][VERB_NAME] = {"login", "agent", "configure", "ls",
    "shell", "console", "status", "logout", "doctor", "completion", "log",
    "confirm", "lock", "unlock", "forward", ""};

#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

const struct verb *
verb_find(const char *name)
{
	size_t i;

	for (i = 0; i < NVERBS; i++) {
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	}
	return NULL;
}

/* The list ends with an empty name. */
static bool
is_in(const char (*names)[VERB_NAME], const char *name)
{
	for (; **names; names++) {
		if (!strcmp(*names, name))
			return true;
	}
	return false;
}

bool
verb_apart(const char *name)
{
	return *name && is_in(verbs_apart, name);
}

static const char run_usage[] =
    "usage: awsenv [-p PROFILE] [OPTION...] [--] COMMAND [ARG...]\n";

int
usage(void)
{
	say("%s       awsenv VERB [OPTION...]    (awsenv help lists them)\n",
	    run_usage);
	return EXIT_USAGE;
}

const struct verb *
verb_at(size_t i)
{
	return i < NVERBS ? &verbs[i] : NULL;
}

void
help_line(struct buf *out, const char *name, const char *text)
{
	text_add(out, "  %-10s %s\n", name, text);
}

void
help_begin(struct buf *out)
{
	size_t i;

	text_add(out,
	    "%sRun a command with AWS credentials, which are never on disk.\n\n",
	    run_usage);
	options_help(OPT_RUN | OPT_HELP | OPT_VERSION, out);
	text_add(out, "\nusage: awsenv VERB [OPTION...]\n\n");
	for (i = 0; i < NVERBS; i++) {
		if (!verb_apart(verbs[i].name))
			help_line(out, verbs[i].name, verb_text(&verbs[i]));
	}
}

int
help_end(struct buf *out)
{
	text_add(out, "\nawsenv help VERB tells more, awsenv(1) everything.\n");
	return text_print(out) ? EXIT_GOOD : EXIT_OTHER;
}

/* awsenv-ctl knows what its verbs do; where it is not, they are named. */
static int
help_all(void)
{
	static char name[] = "awsenv", help[] = "help";
	AUTOBUF struct buf out = {0};
	const struct verb *v;
	size_t i;

	program_exec("awsenv-ctl", (char *[]){name, help, NULL}, environ);
	help_begin(&out);
	for (i = 0; *verbs_apart[i]; i++) {
		v = verb_find(verbs_apart[i]);
		help_line(&out, verbs_apart[i],
		    v ? verb_text(v) : "needs awsenv-ctl");
	}
	return help_end(&out);
}

static void
unknown(const char *name)
{
	const char *near =
	    nearest(name, verbs[0].name, NVERBS, sizeof(verbs[0]));

	if (!near)
		near = nearest(name, verbs_apart[0],
		    sizeof(verbs_apart) / VERB_NAME - 1, VERB_NAME);
	warn("no verb %s; %s%s%s", shown_str(name),
	    near ? "did you mean " : "awsenv help lists them", near ? near : "",
	    near ? "?" : "");
}

static int
help_verb(const struct options *o, char **argv)
{
	const struct verb *v;

	(void)o;
	if (!*argv)
		return help_all();
	if (verb_apart(*argv))
		ctl_exec();
	if ((v = verb_find(*argv)))
		return verb_help(v);
	if (verb_apart(*argv))
		return ctl_missing();
	unknown(*argv);
	return EXIT_USAGE;
}

static int
version_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf out = {0};

	(void)o;
	(void)argv;
	text_add(&out, "awsenv %s\n", AWSENV_VERSION);
	return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
}
