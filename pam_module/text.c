/* SPDX-License-Identifier: ISC */
/*
 * What a person is shown, in one message. It came from a process of his own,
 * which had it from the network, and libpam's applications pass escape
 * sequences on: only printable ASCII comes through here.
 */
#include "pam_module/pam_awsenv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <security/pam_ext.h>

#include "awsenv/sound.h"

#define NAME_MOST 80

struct name {
	char text[NAME_MOST + 1];
};

static struct name
printable(struct view v)
{
	struct name out;
	uint32_t i;

	for (i = 0; i < v.n && i < NAME_MOST; i++)
		out.text[i] =
		    v.p[i] >= ' ' && v.p[i] <= '~' ? (char)v.p[i] : '?';
	out.text[i] = '\0';
	return out;
}

/* Not a time of day: that would take TZ from the environment, which in su is
 * the caller's. */
static unsigned int
minutes_left(uint64_t until)
{
	uint64_t now = (uint64_t)time(NULL);

	return until > now && until - now < 86400
	    ? (unsigned int)((until - now + 59) / 60)
	    : 0;
}

bool
text_show(pam_handle_t *pamh, const struct person *who,
    const struct login_rep *l, bool whole)
{
	struct name user = printable(view_str(who->pw->pw_name));
	struct name session = printable(l->session);
	struct name notice = printable(l->notice), host = printable(l->host);
	/* A proxy or a CA bundle is no alarm. */
	const char *stars = strncmp(notice.text, "NOT AWS", 7) ? "" : "***";
	unsigned int minutes = minutes_left(l->until);
	int rc;

	if (l->error != AW_OK || l->state != LOGIN_PENDING ||
	    !url_is_sound(l->url) || !code_is_sound(l->code))
		return false;
	if (whole)
		rc = pam_info(pamh,
		    "awsenv: AWS login of %s on %s: %s\n%s%s%s%s%s%s%s"
		    "\n  Open this page in a browser, on any machine:\n\n"
		    "%.*s\n\n"
		    "  and allow it only if it shows this code:  %.*s\n"
		    "\n  Valid for %u minutes. Later: awsenv login\n",
		    user.text, host.text, session.text,
		    notice.text[0] ? "\n  " : "", stars, *stars ? " " : "",
		    notice.text, *stars ? " " : "", stars,
		    notice.text[0] ? "\n" : "", VIEW_ARG(l->url),
		    VIEW_ARG(l->code), minutes);
	else
		rc = pam_info(pamh,
		    "awsenv: an AWS login waits for approval (code %.*s, %u "
		    "minutes): awsenv login shows its page",
		    VIEW_ARG(l->code), minutes);
	return rc == PAM_SUCCESS;
}
