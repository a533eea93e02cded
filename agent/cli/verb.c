/* SPDX-License-Identifier: ISC */
/* What every verb does alike. */
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

/* One whose usage shows no operand takes none. */
static bool
operands_fit(const struct verb *v, char **argv)
{
	if (*v->text || !*argv)
		return true;
	warn("%s takes no operand, and got %s; a profile is given by -p",
	    v->name, shown_str(*argv));
	return false;
}

int
verb_run(const struct verb *v, struct options *o, char **argv)
{
	bool dashes = false;

	if (!options_take(o, &argv, &dashes))
		return EXIT_USAGE;
	if (o->given & OPT_HELP)
		return verb_help(v);
	if (!options_fit(o, v->options, v->name))
		return EXIT_USAGE;
	agent_socket = o->socket;
	/* exec tells its PROFILE from its COMMAND by the dashes. */
	if (dashes)
		argv--;
	return operands_fit(v, argv) ? v->run(o, argv) : EXIT_USAGE;
}

const char *
verb_text(const struct verb *v)
{
	return v->text + strlen(v->text) + 1;
}

int
verb_help(const struct verb *v)
{
	AUTOBUF struct buf out = {0};

	text_add(&out, "usage: awsenv %s%s%s%s\n%s\n%s", v->name,
	    v->options ? " [OPTION...]" : "", *v->text ? " " : "", v->text,
	    verb_text(v), v->options ? "\n" : "");
	options_help(v->options, &out);
	return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
}
