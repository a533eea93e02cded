/* SPDX-License-Identifier: ISC */
/* Settings of sshd without which the stack's line does nothing, as sshd -T
 * tells them. Whoever wants a factor wants it at every way in. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/doctor.h"

#define SSHD "/usr/sbin/sshd"

struct settings {
	bool pam;
	bool interactive;
	bool keys;
	char methods[512];
};

static bool
sshd_ask(struct settings *s)
{
	char line[1024], name[64], value[512];
	bool any = false;
	FILE *f;

	/* A fixed line, in which nothing comes from elsewhere. */
	f = popen("exec " SSHD " -T 2>/dev/null", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %511[^\n]", name, value) != 2)
			continue;
		any = true;
		if (!strcmp(name, "usepam"))
			s->pam = !strcmp(value, "yes");
		else if (!strcmp(name, "kbdinteractiveauthentication"))
			s->interactive = !strcmp(value, "yes");
		else if (!strcmp(name, "pubkeyauthentication"))
			s->keys = !strcmp(value, "yes");
		else if (!strcmp(name, "authenticationmethods"))
			format(s->methods, sizeof(s->methods), "%s", value);
	}
	return f && pclose(f) == 0 && any;
}

static void
set_option(struct doctor *d, const char *option, const char *why)
{
	struct finding *f = find_new(d, GRADE_PROBLEM);

	text_add(&f->text, "%s; reload sshd afterwards", why);
	/* Of several, the first counts for sshd. */
	text_add(
	    &f->cure, "%ssed -i '1i %s' /etc/ssh/sshd_config", d->sudo, option);
}

/* Is there a way in that never asks PAM's auth stack? */
static bool
has_way_around(const struct settings *s)
{
	char methods[512], *list, *rest = methods;

	format(methods, sizeof(methods), "%s", s->methods);
	if (!*methods || !strcmp(methods, "any"))
		return s->keys;
	while ((list = strsep(&rest, " "))) {
		if (*list && !find(list, "keyboard-interactive"))
			return true;
	}
	return false;
}

void
check_sshd(struct doctor *d)
{
	bool session = pam_has("sshd", "session");
	bool factor = pam_has("sshd", "auth");
	const struct finding *before = d->last;
	struct settings s = {0};

	if ((!session && !factor) || access(SSHD, X_OK) != 0)
		return;
	if (!sshd_ask(&s)) {
		find_line(d, GRADE_NOTE,
		    "sshd -T tells its settings to root alone%s",
		    geteuid() ? "" : ", and here not even to root");
		return;
	}
	if (!s.pam)
		set_option(d, "UsePAM yes",
		    "UsePAM is off, so /etc/pam.d/sshd counts for nothing");
	if (factor && !s.interactive)
		set_option(d, "KbdInteractiveAuthentication yes",
		    "KbdInteractiveAuthentication is off, so the factor cannot "
		    "ask");
	if (factor && has_way_around(&s))
		set_option(d,
		    "AuthenticationMethods publickey,keyboard-interactive:pam",
		    "a public key alone is let in, without the factor");
	if (d->last == before)
		find_line(
		    d, GRADE_OK, "its settings let the stack do its work");
}
