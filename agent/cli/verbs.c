/* SPDX-License-Identifier: ISC */
/* The closed list of verbs. A word that is not on it is a command. */
#include <stddef.h>
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

static int help_verb(const struct options *, char **argv);
static int version_verb(const struct options *, char **argv);

/* Without a function: reserved, so that no script comes to rely on running a
 * program of that name without "--". */
/* clang-format off */
static const struct verb verbs[] = {
	{"exec", exec_verb, OPT_RUN,
	    "[PROFILE] [-- COMMAND [ARG...]]",
	    "run a command, or a shell, with credentials"},
	{"login", login_verb, OPT_WHO | OPT_WAITING | OPT_HERE, "",
	    "show URL and code, wait until a person has approved"},
	{"logout", logout_verb, OPT_WHO | OPT_ALL | OPT_CREDENTIALS, "",
	    "end a login, here and at AWS"},
	{"status", status_verb, OPT_WHO | OPT_JSON | OPT_KEYRING | OPT_CHECK, "",
	    "the agent, its logins, and for how long"},
	{"whoami", whoami_verb, OPT_WHO | OPT_WAITING | OPT_JSON, "",
	    "as whom a command would run"},
	{"export", export_verb,
	    OPT_WHO | OPT_WAITING | OPT_FORMAT | OPT_UNSET, "",
	    "print credentials as variables, for eval"},
	{"process", process_verb, OPT_WHO | OPT_WAIT | OPT_NO_WAIT, "",
	    "print credentials as a credential_process does"},
	{"agent", agent_verb, 0, "start | stop | status",
	    "start or stop the agent"},
	{"help", help_verb, 0, "[VERB]", "this text, or a verb's"},
	{"version", version_verb, 0, "", "print the version"},
	{"completion", NULL, 0, NULL, NULL},
	{"configure", NULL, 0, NULL, NULL},
	{"confirm", NULL, 0, NULL, NULL},
	{"console", NULL, 0, NULL, NULL},
	{"doctor", NULL, 0, NULL, NULL},
	{"forward", NULL, 0, NULL, NULL},
	{"lock", NULL, 0, NULL, NULL},
	{"log", NULL, 0, NULL, NULL},
	{"ls", NULL, 0, NULL, NULL},
	{"prompt", NULL, 0, NULL, NULL},
	{"shell", NULL, 0, NULL, NULL},
	{"unlock", NULL, 0, NULL, NULL},
};
/* clang-format on */

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

static int
verb_absent(const struct verb *v)
{
	warn(
	    "%s is a verb that is not in this version; a command of that name: "
	    "awsenv -- %s",
	    v->name, v->name);
	return EXIT_USAGE;
}

int
verb_alone(const char *name, char **argv)
{
	if (!*argv)
		return EXIT_GOOD;
	warn("%s takes no operand, and got %s; a profile is given by -p", name,
	    shown(view_str(*argv)));
	return EXIT_USAGE;
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

int
verb_help(const struct verb *v)
{
	AUTOBUF struct buf out = {0};

	if (!v->run)
		return verb_absent(v);
	text_add(&out, "usage: awsenv %s%s%s%s\n%s\n", v->name,
	    v->options ? " [OPTION...]" : "", *v->usage ? " " : "", v->usage,
	    v->help);
	if (v->options)
		text_add(&out, "\n");
	options_help(v->options, &out);
	return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
}

static int
help_all(void)
{
	AUTOBUF struct buf out = {0};
	size_t i;

	text_add(&out,
	    "%sRun a command with AWS credentials, which are never on disk.\n\n",
	    run_usage);
	options_help(OPT_RUN | OPT_HELP | OPT_VERSION, &out);
	text_add(&out, "\nusage: awsenv VERB [OPTION...]\n\n");
	for (i = 0; i < NVERBS && verbs[i].run; i++)
		text_add(&out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
	text_add(
	    &out, "\nawsenv help VERB tells more, awsenv(1) everything.\n");
	return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
}

static void
unknown(const char *name)
{
	const char *names[NVERBS + 1], *near;
	size_t i;

	for (i = 0; i < NVERBS; i++)
		names[i] = verbs[i].run ? verbs[i].name : "";
	names[NVERBS] = NULL;
	near = nearest(name, names);
	if (near && *near)
		warn("no verb %s; did you mean %s?", shown(view_str(name)),
		    near);
	else
		warn("no verb %s; awsenv help lists them",
		    shown(view_str(name)));
}

static int
help_verb(const struct options *o, char **argv)
{
	const struct verb *v;

	(void)o;
	if (!*argv)
		return help_all();
	if (!(v = verb_find(*argv))) {
		unknown(*argv);
		return EXIT_USAGE;
	}
	return verb_help(v);
}

static int
version_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf out = {0};
	int r = verb_alone("version", argv);

	(void)o;
	if (r != EXIT_GOOD)
		return r;
	text_add(&out, "awsenv %s\n", AWSENV_VERSION);
	return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
}
