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
#define NOTICE_MOST 512

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

/*
 * What is other than one would expect, each on a line of its own. What is not
 * AWS is shouted; a proxy or a CA bundle is no alarm.
 */
static void
notice_put(char *out, size_t size, struct view notice)
{
	struct name part;
	uint32_t n;
	size_t len = 0;
	bool loud;

	out[0] = '\0';
	for (; notice.n; notice.p += n, notice.n -= n) {
		for (n = 0; n < notice.n && notice.p[n] != ';'; n++)
			;
		part = printable((struct view){notice.p, n});
		while (
		    n < notice.n && (notice.p[n] == ';' || notice.p[n] == ' '))
			n++;
		loud = strncmp(part.text, "NOT AWS", 7) == 0;
		len += (size_t)snprintf(out + len, size - len, "\n  %s%s%s",
		    loud ? "*** " : "", part.text, loud ? " ***" : "");
		if (len + sizeof("\n") >= size)
			break; /* cut, by snprintf */
	}
	if (len)
		str_join(
		    out + (len < size - 2 ? len : size - 2), 2, "\n", NULL);
}

/* He may not know whose machine this is that asks for his login. */
static bool
is_remote(pam_handle_t *pamh)
{
	const void *host = NULL;

	return pam_get_item(pamh, PAM_RHOST, &host) == PAM_SUCCESS && host &&
	    *(const char *)host;
}

bool
text_show(pam_handle_t *pamh, const struct person *who,
    const struct login_rep *l, bool whole)
{
	struct name user = printable(view_str(who->pw->pw_name));
	struct name session = printable(l->session), host = printable(l->host);
	unsigned int minutes = minutes_left(l->until);
	char notice[NOTICE_MOST], holder[NAME_MOST + 32] = "";
	int rc;

	if (l->error != AW_OK || l->state != LOGIN_PENDING ||
	    !url_is_sound(l->url) || !code_is_sound(l->code))
		return false;
	notice_put(notice, sizeof(notice), l->notice);
	if (is_remote(pamh))
		str_join(holder, sizeof(holder), "root of ", host.text,
		    " will hold it", NULL);
	if (whole)
		rc = pam_info(pamh,
		    "awsenv: AWS login of %s on %s: %s\n%s"
		    "\n  Open this page in a browser, on any machine:\n\n"
		    "%.*s\n\n"
		    "  and allow it only if it shows this code:  %.*s\n"
		    "\n  Valid for %u minutes%s%s. Later: awsenv login\n",
		    user.text, host.text, session.text, notice,
		    VIEW_ARG(l->url), VIEW_ARG(l->code), minutes,
		    *holder ? "; " : "", holder);
	else
		rc = pam_info(pamh,
		    "awsenv: an AWS login waits for approval (code %.*s, %u "
		    "minutes): awsenv login shows its page%s%s",
		    VIEW_ARG(l->code), minutes, *holder ? "; " : "", holder);
	return rc == PAM_SUCCESS;
}
