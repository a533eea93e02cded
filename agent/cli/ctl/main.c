/* SPDX-License-Identifier: ISC */
/* awsenv-ctl: awsenv's other verbs. */
#include <string.h>
#include <sys/prctl.h>

#include "awsenv/harden.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

static int help_verb(const struct options *, char **argv);

#define OPT_CONFIGURE                                                 \
	(OPT_WHO | OPT_WAITING | OPT_HERE | OPT_ALL | OPT_START_URL | \
	    OPT_SSO_REGION | OPT_TEMPLATE | OPT_PROCESS | OPT_PRUNE | \
	    OPT_DIFF | OPT_UNDO | OPT_FROM | OPT_JSON)

/* A verb that people type stands in the list of agent/cli/verbs.c too. */
/* clang-format off */
static const struct verb verbs[] = {
	{"login", OPT_WHO | OPT_WAITING | OPT_HERE | OPT_PENDING |
	    OPT_DESKTOP | OPT_JSON, login_verb,
	    "\0show URL and code, wait until a person has approved"},
	{"agent", OPT_SOCKET, agent_verb, "start | stop | status | env\0"
	    "start or stop the agent"},
	{"configure", OPT_CONFIGURE, configure_verb,
	    "\0write profiles for accounts and roles into ~/.aws/config"},
	{"ls", OPT_PROFILE | OPT_SESSION | OPT_SOCKET | OPT_WAITING |
	    OPT_ROLES | OPT_JSON | OPT_CSV, ls_verb,
	    "\0profiles, or all accounts and roles; which are live"},
	{"status",
	    OPT_WHO | OPT_JSON | OPT_KEYRING | OPT_CHECK | OPT_ALL_USERS,
	    status_verb,
	    "\0the agent, its logins, and for how long"},
	{"logout", OPT_LOGOUT, logout_verb,
	    "\0end a login, here and at AWS"},
	{"confirm", OPT_SOCKET | OPT_ONCE | OPT_WAIT | OPT_NO_WAIT |
	    OPT_JSON, confirm_verb,
	    "\0answer what may have credentials only with a yes"},
	{"doctor", OPT_WHO | OPT_JSON | OPT_CONFIG, doctor_verb,
	    "\0what is wrong here, and the command that cures it"},
	{"forward", OPT_PROFILE | OPT_SEVERAL | OPT_HOST | OPT_FOR |
	    OPT_CONFIRM | OPT_LIST | OPT_END | OPT_SOCKET, forward_verb,
	    "[-- COMMAND [ARG...]]\0a socket for some profiles, to forward"},
	{"log", OPT_SOCKET | OPT_PROFILE | OPT_JSON | OPT_FOLLOW, log_verb,
	    "\0who was given credentials, and who was refused"},
	{"lock", OPT_SOCKET | OPT_STDIN, lock_verb,
	    "\0hand out nothing until unlock; logins stay"},
	{"unlock", OPT_SOCKET | OPT_STDIN, unlock_verb,
	    "\0with the passphrase that lock was given"},
	{"shell", OPT_RUN, shell_verb,
	    "[PROFILE]\0a shell with credentials, and a prompt that says so"},
	{"completion", 0, completion_verb,
	    "bash | zsh | fish\0print what completes words in that shell"},
	{"console", OPT_CONSOLE, console_verb,
	    "[PROFILE]\0the AWS console in the browser, as that role"},
	{"approve", OPT_WHO | OPT_WAITING, approve_verb,
	    "\0login, for a command that needs it"},
	{"help", 0, help_verb, "VERB\0a verb's help"},
};
/* clang-format on */

static const struct verb *
own_verb(const char *name)
{
	size_t i;

	for (i = 0; name && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	}
	return NULL;
}

const struct verb *
ctl_verb(const char *name)
{
	return verb_apart(name) ? own_verb(name) : verb_find(name);
}

static const struct verb *
find_verb(const char *name)
{
	const struct verb *v = own_verb(name);

	if (v)
		return v;
	warn("awsenv-ctl has no verb %s; awsenv runs it, and has to be of the "
	     "same version",
	    name ? shown_str(name) : "of no name");
	return NULL;
}

/* What awsenv does itself, and what it hands over, but what is no verb of
 * people's. */
static int
help_all(void)
{
	AUTOBUF struct buf out = {0};
	size_t i;

	help_begin(&out);
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (verb_apart(verbs[i].name))
			help_line(&out, verbs[i].name, verb_text(&verbs[i]));
	}
	return help_end(&out);
}

static int
help_verb(const struct options *o, char **argv)
{
	const struct verb *v;

	(void)o;
	if (!*argv)
		return help_all();
	v = find_verb(*argv);
	return v ? verb_help(v) : EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	struct options o = {.wait = -1};
	const struct verb *v;
	bool dashes = false;

	(void)argc;
	if (harden_stdio() != 0)
		return EXIT_OTHER;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sigpipe_ignore();
	program_argv = argv;
	ctl_options();
	if (*argv)
		argv++;
	if (!options_take(&o, &argv, &dashes))
		return EXIT_USAGE;
	v = find_verb(*argv);
	return v ? verb_run(v, &o, argv + 1) : EXIT_USAGE;
}
