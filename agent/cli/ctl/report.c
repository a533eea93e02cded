/* SPDX-License-Identifier: ISC */
/* The agent's status for people, on 80 columns. */
#include "agent/cli/ctl/ctl.h"

#include <stdio.h>

static const char *
plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

/* "until 17:02 (7 h 10 min left)" */
static void
until(struct buf *out, uint64_t when)
{
	char clock[CLOCK_TIME], left[TIME_LEFT];

	clock_time(clock, when);
	time_left(left, when);
	text_add(out, "until %s (%s left)", clock, left);
}

static void
agent(const struct status *s, struct buf *out)
{
	const struct status_rep *r = &s->rep;
	char since[CLOCK_TIME];
	int32_t skew = (int32_t)r->skew;

	clock_time(since, r->started);
	text_add(out, "agent       awsenv %s, pid %u, since %s\n",
	    shown(r->version), r->agent_pid, since);
	if (r->locked)
		text_add(out, "locked      by a passphrase; awsenv unlock\n");
	if (r->screen)
		text_add(out,
		    "locked      with the screen; unlock that, or awsenv "
		    "unlock\n");
	text_add(out, "socket      %s, %s\n", shown_str(s->agent->path),
	    agent_since(s->agent));
	if (s->agent->passed)
		text_add(out, "not used    what ssh forwards: it %s\n",
		    s->agent->passed);
	text_add(out, "broker      pid %u", r->broker_pid);
	if (r->restarts)
		text_add(out, ", restarted %u time%s", r->restarts,
		    plural(r->restarts));
	if (r->sandbox.n)
		text_add(out, "; %s", shown(r->sandbox));
	text_add(out, "\nprotection  same-user protection: %s\n",
	    r->protected_ ? "on" : "off (not root's installation)");
	text_add(out,
	    "keyring     %u of %u keys, %u of %u bytes in use by this "
	    "user\n",
	    r->keys_used, r->keys_max, r->bytes_used, r->bytes_max);
	if (skew > 1 || skew < -1)
		text_add(out, "clock       AWS is %u s %s of this machine\n",
		    (unsigned int)(skew < 0 ? -(int64_t)skew : skew),
		    skew < 0 ? "behind" : "ahead");
}

static void
profile(const struct status_rep *r, struct buf *out)
{
	if (r->profile_error != AW_OK) {
		if (r->profile_text.n)
			text_add(
			    out, "profile     %s\n", shown(r->profile_text));
		return;
	}
	if (!r->account.n)
		return;
	text_add(out, "profile     %s: %s as %s\n",
	    r->profile.n ? shown(r->profile) : "-", shown(r->account),
	    shown(r->role));
}

static void
login_state(const struct login_item *l, struct buf *out)
{
	switch (l->state) {
	case LOGIN_DONE:
		if (l->person.n)
			text_add(out, "%s, ", shown(l->person));
		until(out, l->expires);
		if (l->refreshable)
			text_add(out, ", then refreshed");
		break;
	case LOGIN_STARTING:
	case LOGIN_PENDING:
		text_add(out, "waits for an approval: awsenv login shows it");
		break;
	case LOGIN_FAILED:
		text_add(out, "failed; awsenv login starts anew");
		break;
	default:
		text_add(out, "not logged in");
		break;
	}
}

static void
logins(struct view items, struct buf *out)
{
	struct login_item l;

	if (!items.n)
		text_add(out, "\nno login\n");
	else
		text_add(out, "\nlogins\n");
	while (msg_each(MSG_LOGIN_ITEM, &items, &l)) {
		text_add(out, "  %s: ", shown(l.session));
		login_state(&l, out);
		text_add(out, "\n");
		if (!view_eq(l.session, l.start_url))
			text_add(out, "    %s (%s)\n", shown(l.start_url),
			    shown(l.region));
		if (l.notice.n)
			text_add(out, "    %s\n", shown(l.notice));
	}
}

static void
roles(struct view items, struct buf *out)
{
	struct role_item r;

	if (items.n)
		text_add(out, "\nrole credentials\n");
	while (msg_each(MSG_ROLE_ITEM, &items, &r)) {
		text_add(out, "  %s %s (%s)%s\n    %s ", shown(r.account),
		    shown(r.role), shown(r.session),
		    r.in_memory ? ", sealed in memory" : "",
		    shown(r.access_key));
		until(out, r.expires);
		text_add(out, "\n");
	}
}

static void
keys(const struct status *s, struct buf *out)
{
	struct view items = view_of(&s->keys);
	char left[TIME_LEFT], serial[16];
	struct key_item k;

	text_add(out,
	    "\nkeys of ring %u (keyctl read SERIAL is refused, to "
	    "root too)\n",
	    s->rep.ring);
	if (items.n)
		text_add(out, "  %10s %-4s %6s %11s  %s\n", "serial", "kind",
		    "bytes", "ends in", "of");
	while (msg_each(MSG_KEY_ITEM, &items, &k)) {
		time_left(left, k.timeout);
		snprintf(serial, sizeof(serial), "%u", k.serial);
		text_add(out, "  %10s %-4s %6u %11s  %s\n",
		    k.serial ? serial : "sealed", shown(k.kind), k.size,
		    k.timeout ? left : "-", shown(k.label));
	}
}

static void
problems(struct view items, struct buf *out)
{
	struct problem_item p;

	if (items.n)
		text_add(out, "\nproblems\n");
	while (msg_each(MSG_PROBLEM_ITEM, &items, &p)) {
		text_add(out, "  %s", shown(p.file));
		if (p.line)
			text_add(out, ":%u", p.line);
		text_add(out, ": %s\n", shown(p.text));
	}
}

void
report_text(const struct status *s, struct buf *out)
{
	agent(s, out);
	profile(&s->rep, out);
	logins(view_of(&s->logins), out);
	roles(view_of(&s->roles), out);
	if (s->keyring)
		keys(s, out);
	problems(view_of(&s->problems), out);
}
