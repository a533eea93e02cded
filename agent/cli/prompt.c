/* SPDX-License-Identifier: ISC */
/*
 * One short line for a prompt: which profile, and how long it lasts. It is
 * asked for each time a shell shows its prompt, so it looks at no file, waits
 * for nobody, and says nothing where there is nothing to say.
 */
#include <stddef.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#include "agent/cli/cli.h"

#define PATIENCE_MS 100
#define FORWARD_MS 300 /* of which ssh takes a good part */

/* "47m", "3h", "2d"; what is left of less than a minute is "1m". */
static void
left_add(struct buf *out, uint64_t until)
{
	uint64_t t = now(), left = until > t ? (until - t + 59) / 60 : 0;
	char unit = 'm';

	if (left >= 48 * 60) {
		left /= 24 * 60;
		unit = 'd';
	} else if (left >= 120) {
		left /= 60;
		unit = 'h';
	}
	text_add(out, " %u%c", (unsigned int)left, unit);
}

/* The keys of this very shell, which no agent makes live any longer. */
static bool
keys_add(struct buf *out)
{
	const char *until = setting("AWS_CREDENTIAL_EXPIRATION");
	const char *name = setting("AWSENV_SHELL");
	uint64_t when;

	name = name ? name : setting("AWSENV_PROFILE");
	if (!name || !until || !setting("AWS_ACCESS_KEY_ID") ||
	    !iso_read(until, &when))
		return false;
	text_add(out, "%s", shown_str(name));
	if (when <= now())
		text_add(out, " expired");
	else
		left_add(out, when);
	return true;
}

static void
status_add(struct buf *out, const struct status_rep *rep)
{
	const char *name = rep->profile.n ? shown(rep->profile)
	    : rep->role.n		  ? shown(rep->role)
					  : shown(rep->session);

	text_add(out, "%s", name);
	if (rep->login_state == LOGIN_PENDING ||
	    rep->login_state == LOGIN_STARTING)
		text_add(out, " approve");
	else if (rep->login_expires <= now() && !rep->refreshable)
		text_add(out, " login");
	else if (!rep->refreshable)
		left_add(out, rep->login_expires);
}

/* Of what the agent read before: the file may be on a file system that hangs. */
static enum aw_err
ask(const struct options *o, const char *path, int ms, struct status_rep *rep,
    struct buf *frame)
{
	int64_t deadline = io_deadline(ms);
	struct status_req req = {0};
	AUTOCLOSE int fd = -1;
	struct question q;
	enum aw_err r;

	if ((r = client_connect(path, &fd, deadline)) != AW_OK ||
	    (r = question_begin(&q, o)) != AW_OK)
		return r;
	req.ask = q.ask;
	req.ask.stamp = (struct stamp){.mtime = STAMP_UNKNOWN};
	r = client_ask(fd, "status@awsenv", MSG_STATUS_REQ, &req,
	    MSG_STATUS_REP, rep, frame, deadline);
	question_end(&q);
	return r;
}

static enum aw_err
agent_add(const struct options *o, struct buf *out)
{
	AUTOBUF struct buf frame = {0};
	struct status_rep rep = {0};
	char path[CLIENT_PATH];
	enum aw_err r = AW_NOAGENT;

	if (agent_forwarded(path))
		r = ask(o, path, FORWARD_MS, &rep, &frame);
	/* One that is slow is used by commands all the same. */
	if (r != AW_TIMEOUT && !rep.profiles && (r = agent_path(path)) == AW_OK)
		r = ask(o, path, PATIENCE_MS, &rep, &frame);
	if (r != AW_OK)
		return AW_NOAGENT;
	if (rep.error != AW_OK || rep.profile_error != AW_OK)
		return rep.error ? (enum aw_err)rep.error
				 : (enum aw_err)rep.profile_error;
	status_add(out, &rep);
	return AW_OK;
}

int
prompt_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf out = {0};
	enum aw_err r = AW_OK;

	(void)argv;
	if ((o->given & OPT_WHO) || !keys_add(&out))
		r = agent_add(o, &out);
	if (r != AW_OK)
		return exit_of(r);
	buf_u8(&out, '\n');
	return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
}
