/* SPDX-License-Identifier: ISC */
/*
 * What may be had from another host. Nothing here trusts what that host says:
 * not which file it means, not who it is, and it learns of profiles that it
 * may not have no more than of those that do not exist.
 *
 * The words of the config file have been put together by awsenv-profile, for
 * each profile by all that name its account and role.
 */
#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

/* What is known of whom: the host where a bind counts, and the words. */
struct rule {
	uint8_t word; /* enum forward_word */
	struct view hosts;
	struct view at;
};

bool
policy_is_far(const struct conn *c)
{
	return c->origin == REMOTE;
}

void
policy_ask(struct ask *ask)
{
	struct ask asked = *ask;

	*ask = ask_nobody;
	ask->profile = asked.profile;
	ask->session = asked.session;
	ask->account = asked.account;
	ask->role = asked.role;
}

/* NULL: not known. */
static const char *
host_of(const struct conn *c)
{
	return c->binds.counts ? c->binds.first : NULL;
}

/* No host that is not known is on a list. */
static bool
has_host(const struct conn *c, struct view list)
{
	const char *host = host_of(c);

	return host && view_has(list, view_str(host));
}

/* Why not, for the person whose machine this is; NULL: nothing is against
 * it, `*confirm` aside. */
static const char *
against(const struct conn *c, struct view profile, const struct rule *rule,
    bool *confirm)
{
	const struct permit *permit = c->permit;

	*confirm = rule->word != FORWARD_ALLOW;
	if (rule->word == FORWARD_DENY)
		return "it is denied";
	/* Who made the socket has said yes, but not for what is to be asked. */
	if (permit)
		*confirm =
		    rule->word == FORWARD_CONFIRM || permit->item.confirm;
	if (permit && !permit_covers(permit, profile))
		return "it is not among the profiles of this socket";
	if (permit && !permit_host(permit, host_of(c)))
		return "this socket is for another host";
	if (rule->hosts.n && !has_host(c, rule->hosts))
		return c->binds.counts
		    ? "this host is not in awsenv_forward_hosts"
		    : "awsenv_forward_hosts names hosts, and which one this "
		      "is is not known";
	if (*confirm && !question_can())
		return rule->word == FORWARD_CONFIRM
		    ? "it is to be confirmed, and nobody is there to ask"
		    : "no awsenv_forward allows it";
	return NULL;
}

bool
policy_shows(const struct conn *c, const struct profile *p)
{
	struct rule rule = {p->forward, p->forward_hosts, p->forward_at};
	bool confirm;

	return p->error == AW_OK && !against(c, p->name, &rule, &confirm);
}

void
policy_narrow(const struct conn *c, struct profile *p)
{
	if (!policy_is_far(c) || !p->far_chain.n)
		return;
	p->chain = p->far_chain;
	p->chain_digest = p->far_digest;
}

/* By another digest it is another thing, wherever something is kept by it. */
static void
narrow(struct round *r)
{
	struct target *t = &r->target;
	struct profile p;

	if (!t->profile.n || !table_profile(r->table, t->profile, &p))
		return;
	policy_narrow(r->conn, &p);
	t->chain = p.chain;
	t->chain_digest = p.chain_digest;
	role_id(&t->id, t->session.login, t->account, t->role, t->chain_digest);
}

/* By account and role: as any profile has it that names them, else as the
 * session does. */
static struct rule
rule_of(const struct round *r, struct view *name)
{
	const struct target *t = &r->target;
	struct profile p;

	*name = t->profile;
	if (t->profile.n && table_profile(r->table, t->profile, &p))
		return (struct rule){p.forward, p.forward_hosts, p.forward_at};
	if (table_role(r->table, t->account, t->role, &p)) {
		*name = p.name;
		return (struct rule){p.forward, p.forward_hosts, p.forward_at};
	}
	return (struct rule){t->session.forward, t->session.forward_hosts,
	    t->session.forward_at};
}

/* To the log of the person whose machine this is: why, and what to change. */
static void
tell_owner(const struct round *r, const struct rule *rule, struct view name,
    const char *why)
{
	const struct conn *c = r->conn;
	const struct target *t = &r->target;
	AUTOFREE char *cure = NULL;

	if (rule->at.n)
		text_set(&cure, "see %.*s", VIEW_ARG(rule->at));
	else if (name.n)
		text_set(&cure,
		    "to allow it, write awsenv_forward = allow under "
		    "[%s%.*s] in ~/.aws/config",
		    view_is(name, "default") ? "" : "profile ", VIEW_ARG(name));
	else
		text_set(&cure,
		    "to allow it, write a profile for it with "
		    "awsenv_forward = allow");
	log_warn("refused account %.*s role %.*s to another host (%s, by pid "
		 "%d): %s; %s",
	    VIEW_ARG(t->account), VIEW_ARG(t->role),
	    c->binds.counts ? c->binds.first : "which one is not known",
	    (int)c->pid, why, cure);
}

enum aw_err
policy_question(struct round *r)
{
	const struct binds *b = &r->conn->binds;
	const struct question q = {
	    .target = &r->target,
	    .remote = policy_is_far(r->conn),
	    .host = view_str(b->counts ? b->first : NULL),
	    .hops = view_of(&b->claims),
	};

	return question_ask(r, &q);
}

enum aw_err
policy_use(struct round *r, bool ask)
{
	struct view name;
	struct rule rule;
	const char *why;
	bool confirm;

	if (!policy_is_far(r->conn)) {
		r->may_tell = true;
		return AW_OK;
	}
	narrow(r);
	rule = rule_of(r, &name);
	/* Who is to be asked at this machine is so all the more from afar. */
	if (rule.word == FORWARD_ALLOW &&
	    table_confirm(r->table, r->target.account, r->target.role))
		rule.word = FORWARD_CONFIRM;
	/* An account's name is resolved by AWS, after us: it would be a way
	 * around what is said of its number. */
	why = view_is_digits(r->target.account, 12)
	    ? against(r->conn, r->target.profile, &rule, &confirm)
	    : "accounts are named by their numbers from afar";
	if (why) {
		tell_owner(r, &rule, name, why);
		return AW_DENIED;
	}
	r->may_tell = true;
	return confirm && ask ? policy_question(r) : AW_OK;
}

/*
 * The same words for what does not exist, what cannot be used and what may not
 * be had; they are of use to the person whose it is, and tell nobody else
 * anything.
 */
enum aw_err
policy_told(struct round *r, enum aw_err e)
{
	const struct ask *ask = &r->msg->ask;
	struct view name = ask->profile.n ? ask->profile : view_str("default");

	if (e == AW_LOGIN && r->may_tell)
		text_set(&r->text, "where the agent runs: %s",
		    r->text ? r->text : "");
	if (e == AW_OK || e == REQUEST_HELD || e == AW_BUSY || r->may_tell)
		return e;
	if (ask->account.n)
		text_set(&r->text,
		    "account %.*s, role %.*s is not for use from here: where "
		    "the agent runs, a profile that names them has to say "
		    "awsenv_forward = allow",
		    VIEW_ARG(ask->account), VIEW_ARG(ask->role));
	else
		text_set(&r->text,
		    "profile \"%.*s\" is not for use from here: where the "
		    "agent runs, write awsenv_forward = allow under [%s%.*s] in "
		    "~/.aws/config",
		    VIEW_ARG(name), view_is(name, "default") ? "" : "profile ",
		    VIEW_ARG(name));
	return AW_DENIED;
}

uint32_t
policy_count(const struct conn *c, const struct table *t)
{
	struct profile p;
	uint32_t i, n = 0;

	if (!policy_is_far(c))
		return table_profiles(t);
	for (i = 0; table_profile_at(t, i, &p); i++)
		n += policy_shows(c, &p);
	return n;
}
