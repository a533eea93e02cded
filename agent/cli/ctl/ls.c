/* SPDX-License-Identifier: ISC */
/*
 * What there is to use: the profiles of the config file, without the network,
 * or with --roles every account and role that AWS has for a login.
 */
#include <stdlib.h>
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define LIVE "\033[32m"
#define BAD "\033[31m"
#define N(array) (sizeof(array) / sizeof(*(array)))

static bool
csv(const struct options *o)
{
	return (o->given & OPT_CSV) != 0;
}

/* "43 min": credentials that are held. "login": AWS would be asked for some. */
static const char *
live(uint64_t expires, bool logged_in)
{
	char left[TIME_LEFT];

	if (expires > now()) {
		time_left(left, expires);
		return shown_str(left);
	}
	return logged_in ? "logged in" : "-";
}

static const char *
iso(uint64_t when)
{
	char text[ISO_TIME];

	if (!when)
		return "";
	iso_time(text, when);
	return shown_str(text);
}

static void
member(struct buf *out, const char *name, const char *value)
{
	json_name(out, name);
	json_string(out, view_str(value));
}

static void
member_time(struct buf *out, const char *name, uint64_t when)
{
	if (when) {
		member(out, name, iso(when));
		return;
	}
	json_name(out, name);
	text_add(out, "null");
}

/* -------- profiles */

static const struct table_column profile_columns[] = {
    {"PROFILE", 0},
    {"ACCOUNT", 2},
    {"ROLE", 1},
    {"SESSION", 3},
    {"REGION", 4},
    {"LIVE", 0},
};

static bool
logged_in(const struct profile_row *p)
{
	return p->login_state == LOGIN_DONE || p->login_expires > now() ||
	    p->refreshable;
}

/* The role that commands get: of a chain, the last one. */
static const char *
last_role(const struct profile_row *p)
{
	const char *slash = strrchr(p->chain, '/');

	return slash ? slash + 1 : p->role;
}

static const char *
last_account(const struct profile_row *p)
{
	const char *at = p->chain;
	int colons = 0;

	for (; *at && colons < 4; at++)
		colons += *at == ':';
	return *at ? keep((struct view){
			 (const uint8_t *)at, (uint32_t)strcspn(at, ":")})
		   : p->account;
}

static void
profile_cells(const struct profile_row *p, const char *cells[])
{
	cells[0] = shown_str(p->name);
	cells[1] = p->error ? "-" : shown_str(last_account(p));
	cells[2] = p->error ? "-" : shown_str(last_role(p));
	cells[3] = *p->session ? shown_str(p->session) : "-";
	cells[4] = *p->region ? shown_str(p->region) : "-";
	cells[5] = p->error ? "cannot be used" : live(p->expires, logged_in(p));
}

static bool
profiles_table(const struct profile_list *list)
{
	AUTOBUF struct buf out = {0};
	const char *cells[TABLE_COLUMNS], *colour;
	struct table t;
	size_t i;

	if (!list->n) {
		warn("the config file has no profile; see awsenv-config(5)");
		return true;
	}
	table_open(&t, profile_columns, N(profile_columns));
	for (i = 0; i < list->n; i++) {
		profile_cells(&list->row[i], cells);
		table_measure(&t, cells);
	}
	table_title(&t, &out);
	for (i = 0; i < list->n; i++) {
		profile_cells(&list->row[i], cells);
		colour = list->row[i].expires > now() ? LIVE : NULL;
		table_row(&t, cells, list->row[i].error ? BAD : colour, &out);
		if (!text_flush(&out, false))
			return false;
	}
	if (!text_flush(&out, true))
		return false;
	for (i = 0; i < list->n; i++) {
		if (list->row[i].error)
			say("%s: %s\n", shown_str(list->row[i].name),
			    shown_str(list->row[i].text));
	}
	return true;
}

static void
profile_json(const struct profile_row *p, struct buf *out)
{
	text_add(out, "{");
	member(out, "profile", p->name);
	member(out, "account", last_account(p));
	member(out, "role", last_role(p));
	member(out, "session", p->session);
	member(out, "start_url", p->start_url);
	member(out, "region", p->region);
	json_name(out, "logged_in");
	text_add(out, logged_in(p) ? "true" : "false");
	member_time(out, "login_expires", p->login_expires);
	member_time(out, "expires", p->expires);
	json_name(out, "error");
	if (p->error)
		json_string(out, view_str(p->text));
	else
		text_add(out, "null");
	text_add(out, "}");
}

static void
profile_csv(const struct profile_row *p, struct buf *out)
{
	csv_add(out, shown_str(p->name), false);
	csv_add(out, shown_str(last_account(p)), false);
	csv_add(out, shown_str(last_role(p)), false);
	csv_add(out, shown_str(p->session), false);
	csv_add(out, shown_str(p->region), false);
	csv_add(out, logged_in(p) ? "true" : "false", false);
	csv_add(out, iso(p->login_expires), false);
	csv_add(out, iso(p->expires), false);
	csv_add(out, p->error ? shown_str(p->text) : "", true);
}

static bool
profiles_data(const struct profile_list *list, bool as_csv)
{
	AUTOBUF struct buf out = {0};
	size_t i;

	text_add(&out, "%s",
	    as_csv ? "profile,account,role,session,region,logged_in,"
		     "login_expires,expires,error\n"
		   : "[");
	for (i = 0; i < list->n; i++) {
		if (as_csv)
			profile_csv(&list->row[i], &out);
		else
			profile_json(&list->row[i], &out);
		if (i + 1 < list->n && !as_csv)
			text_add(&out, ",\n ");
		if (!text_flush(&out, false))
			return false;
	}
	if (!as_csv)
		text_add(&out, "]\n");
	return text_flush(&out, true);
}

static enum aw_err
profiles(struct talk *t, const struct options *o)
{
	struct profile_list list;
	enum aw_err r;
	bool good;

	if ((r = profiles_get(t, &list)) == AW_OK) {
		if (o->given & (OPT_JSON | OPT_CSV))
			good = profiles_data(&list, csv(o));
		else
			good = profiles_table(&list);
		r = good ? AW_OK : AW_SYSTEM;
	}
	profiles_free(&list);
	return r;
}

/* -------- accounts and roles */

static const struct table_column role_columns[] = {
    {"ACCOUNT", 2},
    {"NAME", 0},
    {"ROLE", 0},
    {"LIVE", 1},
};

/* Names of accounts that come later are not known when the first are shown. */
#define NAME_LEAST "........................"

static struct table roles_shown;

static void
role_cells(const struct grant_row *g, const char *cells[])
{
	cells[0] = shown_str(g->account);
	cells[1] = *g->name ? shown_str(g->name) : "-";
	cells[2] = shown_str(g->role);
	cells[3] = live(g->expires, false);
}

/* On a terminal each page as it comes. */
static void
roles_more(const struct grant_list *list, size_t from)
{
	AUTOBUF struct buf out = {0};
	struct table *t = &roles_shown;
	const char *cells[TABLE_COLUMNS];
	size_t i;

	for (i = from; i < list->n && !t->begun; i++) {
		role_cells(&list->row[i], cells);
		table_measure(t, cells);
	}
	if (from == list->n)
		return;
	if (!t->begun)
		table_title(t, &out);
	t->begun = true;
	for (i = from; i < list->n; i++) {
		role_cells(&list->row[i], cells);
		table_row(
		    t, cells, list->row[i].expires > now() ? LIVE : NULL, &out);
		if (!text_flush(&out, false))
			exit(EXIT_OTHER);
	}
	if (!text_flush(&out, true))
		exit(EXIT_OTHER);
}

static void
role_data(const struct grant_row *g, bool as_csv, struct buf *out)
{
	if (as_csv) {
		csv_add(out, shown_str(g->account), false);
		csv_add(out, shown_str(g->name), false);
		csv_add(out, shown_str(g->email), false);
		csv_add(out, shown_str(g->role), false);
		csv_add(out, iso(g->expires), true);
		return;
	}
	text_add(out, "{");
	member(out, "account", g->account);
	member(out, "name", g->name);
	member(out, "email", g->email);
	member(out, "role", g->role);
	member_time(out, "expires", g->expires);
	text_add(out, "}");
}

static bool
roles_data(const struct grant_list *list, bool as_csv)
{
	AUTOBUF struct buf out = {0};
	size_t i;

	text_add(
	    &out, "%s", as_csv ? "account,name,email,role,expires\n" : "[");
	for (i = 0; i < list->n; i++) {
		role_data(&list->row[i], as_csv, &out);
		if (i + 1 < list->n && !as_csv)
			text_add(&out, ",\n ");
		if (!text_flush(&out, false))
			return false;
	}
	if (!as_csv)
		text_add(&out, "]\n");
	return text_flush(&out, true);
}

static enum aw_err
roles(struct talk *t, const struct options *o)
{
	static const char *const least[] = {"123456789012", NAME_LEAST, "", ""};
	bool data = (o->given & (OPT_JSON | OPT_CSV)) != 0;
	struct table *table = &roles_shown;
	struct grant_list list;
	enum aw_err r;

	table_open(table, role_columns, N(role_columns));
	if (table->tty)
		table_measure(table, least);
	r = grants_get(
	    t, o, &list, data || !table->tty ? grants_progress : roles_more);
	grants_progress_end();
	if (r == AW_OK) {
		grants_sort(&list);
		if (data)
			r = roles_data(&list, csv(o)) ? AW_OK : AW_SYSTEM;
		else if (!list.n)
			warn("this login may use no role at all");
		else if (!table->tty)
			roles_more(&list, 0);
	}
	grants_free(&list);
	return r;
}

int
ls_verb(const struct options *o, char **argv)
{
	bool all = (o->given & OPT_ROLES) != 0;
	struct talk t;
	enum aw_err r;

	(void)argv;
	if ((o->given & OPT_JSON) && (o->given & OPT_CSV)) {
		warn("either --json or --csv");
		return EXIT_USAGE;
	}
	if (!all && (o->given & (OPT_PROFILE | OPT_SESSION | OPT_WAITING))) {
		warn("without --roles ls lists all profiles, and asks nobody");
		return EXIT_USAGE;
	}
	if ((r = talk_begin(&t, o, AGENT_START)) != AW_OK)
		return exit_of(r);
	r = all ? roles(&t, o) : profiles(&t, o);
	talk_end(&t);
	return exit_of(r);
}
