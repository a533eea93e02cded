/* SPDX-License-Identifier: ISC */
/*
 * What a person is shown, in one message. It came from a process of his own,
 * which had it from the network, and libpam's applications pass escape
 * sequences on: only printable ASCII comes through here.
 */
#include "pam_module/pam_awsenv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_ext.h>

#include "awsenv/own.h"
#include "awsenv/sound.h"

#define NOTICE_MOST 512

struct printable
text_printable(struct view v)
{
	struct printable out;
	uint32_t i;

	for (i = 0; i < v.n && i < sizeof(out.text) - 1; i++)
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
	struct printable part;
	uint32_t n;
	size_t len = 0;
	bool loud;

	out[0] = '\0';
	for (; notice.n; notice.p += n, notice.n -= n) {
		for (n = 0; n < notice.n && notice.p[n] != ';'; n++)
			;
		part = text_printable((struct view){notice.p, n});
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
	const char *host = item_text(pamh, PAM_RHOST);

	return host && *host;
}

bool
text_show(pam_handle_t *pamh, const struct person *who,
    const struct login_rep *l, bool whole)
{
	struct printable user = text_printable(view_str(who->pw->pw_name));
	struct printable session = text_printable(l->session),
			 host = text_printable(l->host);
	unsigned int minutes = minutes_left(l->until);
	AUTOBUF struct buf qr = {0};
	char notice[NOTICE_MOST], holder[sizeof(host.text) + 32] = "";
	int rc;

	if (l->error != AW_OK || l->state != LOGIN_PENDING ||
	    !url_is_sound(l->url) || !code_is_sound(l->code))
		return false;
	notice_put(notice, sizeof(notice), l->notice);
	if (is_remote(pamh))
		str_join(holder, sizeof(holder), "root of ", host.text,
		    " will hold it", NULL);
	if (whole)
		terminal_qr(pamh, l, &qr);
	if (whole)
		rc = pam_info(pamh,
		    "awsenv: AWS login of %s on %s: %s\n%s"
		    "\n  Open this page in a browser, on any machine:\n\n"
		    "%.*s\n\n"
		    "  and allow it only if it shows this code:  %.*s\n"
		    "\n%s  Valid for %u minutes%s%s. Later: awsenv login\n",
		    user.text, host.text, session.text, notice,
		    VIEW_ARG(l->url), VIEW_ARG(l->code),
		    qr.len && !qr.bad ? (const char *)qr.data : "", minutes,
		    *holder ? "; " : "", holder);
	else
		rc = pam_info(pamh,
		    "awsenv: an AWS login waits for approval (code %.*s, %u "
		    "minutes): awsenv login shows its page%s%s",
		    VIEW_ARG(l->code), minutes, *holder ? "; " : "", holder);
	return rc == PAM_SUCCESS;
}

/* UTC: a time zone would come from the environment. */
static void
time_of_day(char out[static 16])
{
	time_t now = time(NULL);
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&now, &tm))
		strftime(out, 16, "%H:%M UTC", &tm);
}

static int
prompt_whole(pam_handle_t *pamh, const struct question *q, char **answer)
{
	struct printable user = text_printable(view_str(q->user));
	struct printable rhost = text_printable(view_str(q->rhost));
	struct printable endpoint = text_printable(view_str(q->endpoint));
	struct printable host;
	char name[256] = "", now[16];

	gethostname(name, sizeof(name) - 1);
	host = text_printable(view_str(name));
	time_of_day(now);
	return pam_prompt(pamh, PAM_PROMPT_ECHO_ON, answer,
	    "AWS login of %s on %s, from %s, %s%s%s%s"
	    "\nOpen this page in a browser, on any machine:\n\n%.*s\n\n"
	    "and allow it only if it shows this code:  %.*s\n\n"
	    "Approve only if you started this login yourself, just now."
	    "\nPress Enter when it is approved (%u seconds): ",
	    user.text, host.text, *rhost.text ? rhost.text : "here", now,
	    *endpoint.text ? "\n*** NOT AWS: endpoint " : "", endpoint.text,
	    *endpoint.text ? " ***\n" : "\n", VIEW_ARG(q->url),
	    VIEW_ARG(q->code), q->seconds);
}

/*
 * A prompt that echoes: sshd shows it at once, and an application that cannot
 * ask would answer a hidden one with the person's password. What was typed is
 * nobody's business.
 */
int
text_ask(pam_handle_t *pamh, const struct question *q)
{
	char *answer = NULL;
	int rc;

	if (q->again)
		rc = pam_prompt(pamh, PAM_PROMPT_ECHO_ON, &answer,
		    "Not approved yet: code %.*s. Press Enter when it is "
		    "(%u seconds): ",
		    VIEW_ARG(q->code), q->seconds);
	else
		rc = prompt_whole(pamh, q, &answer);
	if (rc == PAM_SUCCESS && !answer)
		rc = PAM_CONV_ERR;
	if (answer)
		explicit_bzero(answer, strlen(answer));
	free(answer);
	return rc;
}
