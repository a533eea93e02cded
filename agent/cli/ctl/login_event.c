/* SPDX-License-Identifier: ISC */
/* login --json: a login for programs. awsenv(1) lists the members: they stay. */
#include <stddef.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define M(name, form, member)                                         \
	{                                                             \
		name, JSON_##form, offsetof(struct login_rep, member) \
	}

/* clang-format off */
static const struct json_member members[] = {
	M("state", STATE, state),
	M("session", TEXT, session),
	M("url", TEXT, url),
	M("code", TEXT, code),
	M("until", TIME, until),
	M("person", TEXT, person),
	M("expires", TIME, expires),
	M("notice", TEXT, notice),
	M("host", TEXT, host),
	{.form = JSON_END},
};
/* clang-format on */

bool
login_event(const struct login_rep *rep)
{
	AUTOBUF struct buf out = {0};
	struct login_rep l = *rep;

	/* What nobody can use any more is not there to be opened. */
	if (l.error != AW_OK)
		l.state = LOGIN_FAILED;
	if (l.state != LOGIN_PENDING) {
		l.url = l.code = (struct view){0};
		l.until = 0;
	}
	if (l.state != LOGIN_DONE)
		l.expires = 0;
	text_add(&out, "{");
	json_members(&out, members, &l);
	json_name(&out, "error");
	if (l.state != LOGIN_FAILED)
		text_add(&out, "null");
	else if (l.text.n)
		json_string(&out, l.text);
	else
		json_string(&out,
		    view_str(l.error == AW_OK
			    ? "the login failed"
			    : aw_strerror((enum aw_err)l.error)));
	text_add(&out, "}\n");
	return text_print(&out);
}
