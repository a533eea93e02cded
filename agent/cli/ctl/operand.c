/* SPDX-License-Identifier: ISC */
/* "VERB [PROFILE] [OPTION...]": for fingers that do not type -p. */
#include <string.h>

#include "agent/cli/ctl/ctl.h"

bool
profile_operand(
    const char *verb, uint64_t allowed, struct options *o, char **argv)
{
	bool dashes = false;

	if (*argv && strcmp(*argv, "--") != 0) {
		if (o->given & (OPT_PROFILE | OPT_ACCOUNT)) {
			warn("%s %s: the profile is given twice", verb,
			    shown_str(*argv));
			return false;
		}
		o->profile = *argv++;
		o->given |= OPT_PROFILE;
	}
	if (!options_take(o, &argv, &dashes) || !options_fit(o, allowed, verb))
		return false;
	if (*argv) {
		warn(
		    "%s takes one profile, and got %s", verb, shown_str(*argv));
		return false;
	}
	return true;
}
