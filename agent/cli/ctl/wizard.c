/* SPDX-License-Identifier: ISC */
/* configure's questions. An empty line takes what stands in brackets; the end
 * of input gives up, and nothing was changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/configure.h"

#define ANSWER 2048
#define FEW 12

static bool
question_ask(const char *what, const char *usual, char out[static ANSWER])
{
	char *end;

	say("%s%s%s%s: ", what, *usual ? " [" : "", usual, *usual ? "]" : "");
	if (!fgets(out, ANSWER, stdin)) {
		say("\nawsenv: nothing was changed\n");
		return false;
	}
	end = out + strlen(out);
	while (end > out && strchr(" \t\r\n", end[-1]))
		*--end = '\0';
	if (!*out)
		format(out, ANSWER, "%s", usual);
	return true;
}

/* Until it is good. */
static bool
question_until(const char *what, const char *usual, bool (*good)(struct view),
    char out[static ANSWER])
{
	for (;;) {
		if (!question_ask(what, usual, out))
			return false;
		if (good(view_str(out)))
			return true;
		say("%s is none.\n", *out ? shown_str(out) : "Nothing");
	}
}

bool
wizard_login(struct plan *p)
{
	char answer[ANSWER];

	say("The start URL is the address of your organization's AWS access "
	    "portal.\n");
	if (!p->start_url[0]) {
		if (!question_until("Start URL", "", url_is_sound, answer))
			return false;
		format(p->start_url, sizeof(p->start_url), "%s", answer);
	}
	if (!p->sso_region[0]) {
		if (!question_until(
			"Region of the portal", "us-east-1", is_region, answer))
			return false;
		format(p->sso_region, sizeof(p->sso_region), "%s", answer);
	}
	return true;
}

static bool
matches(const struct grant_row *g, const char *part)
{
	return strcasestr(g->name, part) || strcasestr(g->account, part) ||
	    strcasestr(g->role, part);
}

static size_t
count(const struct grant_list *list, const char *part)
{
	size_t i, n = 0;

	for (i = 0; i < list->n; i++)
		n += matches(&list->row[i], part);
	return n;
}

static void
show(const struct plan *p, const struct grant_list *list, const char *part)
{
	const struct grant_row *g;
	size_t i, n = 0;

	for (i = 0; i < list->n; i++) {
		g = &list->row[i];
		if (!matches(g, part) || ++n > FEW)
			continue;
		say("  %s  %s as %s\n",
		    shown_str(wanted_name(p->names, p->session, g)),
		    shown_str(*g->name ? g->name : g->account),
		    shown_str(g->role));
	}
	if (n > FEW)
		say("  and %u more\n", (unsigned int)(n - FEW));
}

bool
wizard_roles(struct plan *p, struct grant_list *list)
{
	char part[ANSWER], answer[ANSWER];
	size_t i, n = 0;

	grants_sort(list);
	for (;;) {
		say("\n%u roles. Profiles for all of them, or for those with "
		    "this in their name?\n",
		    (unsigned int)list->n);
		if (!question_ask("Part of account or role", "all", part))
			return false;
		if (!strcmp(part, "all"))
			part[0] = '\0';
		if (!count(list, part)) {
			say("There is none with %s.\n", shown_str(part));
			continue;
		}
		show(p, list, part);
		if (!question_ask("Write these", "yes", answer))
			return false;
		if (!strncasecmp(answer, "y", 1))
			break;
	}
	if (!question_until(
		"Region of the profiles", p->region, is_region, answer))
		return false;
	p->region = keep(view_str(answer));
	for (i = 0; i < list->n; i++) {
		if (matches(&list->row[i], part))
			list->row[n++] = list->row[i];
	}
	list->n = n;
	return true;
}
