/* SPDX-License-Identifier: ISC */
/*
 * awsenv: runs a command with credentials that the agent holds, and the verbs
 * around that. The first word that is no option is a verb if it is on the list
 * of verbs.c, else the command; after "--" it is always the command.
 */
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include "awsenv/harden.h"

#include "agent/cli/cli.h"

int
main(int argc, char **argv)
{
	struct options o = {.wait = -1};
	const struct verb *v;
	bool dashes = false;

	(void)argc;
	if (harden_stdio() != 0)
		return EXIT_OURS;
	/* Nobody reads credentials out of us; exec makes the command's process
	 * an ordinary one again. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sigpipe_ignore();
	program_argv = argv;
	if (*argv)
		argv++;
	if (!*argv)
		return usage();
	if (!options_take(&o, &argv, &dashes))
		return EXIT_USAGE;
	if (!dashes && *argv) {
		v = verb_find(*argv);
		if (verb_apart(*argv)) {
			ctl_exec();
			if (!v)
				return ctl_missing();
		}
		if (v)
			return verb_run(v, &o, argv + 1);
	}
	if (o.given & OPT_HELP)
		v = verb_find("help");
	else
		v = o.given & OPT_VERSION ? verb_find("version") : NULL;
	if (v)
		return v->run(&o, (char *[]){NULL});
	if (!options_fit(&o, OPT_RUN, NULL))
		return EXIT_USAGE;
	if (!*argv) {
		warn("no command given");
		return usage();
	}
	agent_socket = o.socket;
	return run(&o, argv);
}
