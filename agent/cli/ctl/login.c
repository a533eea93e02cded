/* SPDX-License-Identifier: ISC */
/* login, as far as awsenv leaves it to us: to show what others began. */
#include "agent/cli/ctl/ctl.h"

int
login_shown_verb(const struct options *o, char **argv)
{
	int usage = verb_alone("login", argv);

	if (usage != EXIT_GOOD)
		return usage;
	if (o->given & OPT_DESKTOP)
		return desktop_run(o);
	if (o->given & OPT_PENDING)
		return pending_show(o);
	warn("only login --desktop and --show-pending are awsenv-ctl's, and "
	     "awsenv runs it");
	return EXIT_USAGE;
}
