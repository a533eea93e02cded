/* SPDX-License-Identifier: ISC */
/*
 * What an SDK's credential_process reads, or its container endpoint: the form
 * that all of them take. Where a person must log in the verb fails at once, in
 * one line: botocore has no timeout and shows nobody what we would write.
 */
#include "awsenv/own.h"

#include "agent/cli/cli.h"

static void
member(struct buf *out, const char *name, struct view value)
{
	if (!value.n)
		return;
	json_name(out, name);
	json_string(out, value);
}

void
process_json(struct buf *out, const struct given *g, bool container)
{
	char until[ISO_TIME];

	text_add(out, "{");
	if (!container)
		text_add(out, "\"Version\": 1");
	member(out, "AccessKeyId", g->creds.access_key);
	member(out, "SecretAccessKey", g->creds.secret_key);
	member(
	    out, container ? "Token" : "SessionToken", g->creds.session_token);
	iso_time(until, g->creds.expires);
	if (g->creds.expires)
		member(out, "Expiration", view_str(until));
	member(out, "AccountId", g->rep.account);
	text_add(out, "}");
}

int
process_verb(const struct options *o, char **argv)
{
	/* Go waits for 60 s in all; without --wait there is no waiting. */
	unsigned int how = o->given & OPT_WAIT ? CREDS_LOGIN : 0;
	AUTOBUF struct buf out = {0};
	struct given g;
	enum aw_err r;

	(void)argv;
	if ((r = creds_get(o, how, &g)) != AW_OK)
		return exit_of(r);
	process_json(&out, &g, false);
	text_add(&out, "\n");
	creds_free(&g);
	return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
}
