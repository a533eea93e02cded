/* SPDX-License-Identifier: ISC */
/*
 * For whom anything happens. A line in common-session reaches cron, su, sudo
 * and the user manager, too, so in session mode there is a list of services by
 * default. A factor has none: who is not exempt by its line has to pass.
 */
#include "pam_module/pam_awsenv.h"

#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>
#include <security/pam_modutil.h>

/*
 * Never, whatever the options say: the user manager's stack runs while the
 * login waits for it, so asking for its socket there is waiting for oneself.
 * The others are the greeters' own sessions; some have users of high numbers.
 */
static const char never[] =
    "systemd-user,gdm-launch-environment,lightdm-greeter,sddm-greeter";

const char *
item_text(pam_handle_t *pamh, int which)
{
	const void *value = NULL;

	if (pam_get_item(pamh, which, &value) != PAM_SUCCESS)
		return NULL;
	return value;
}

/* Is the user in one of the groups? By names, through NSS. */
static bool
in_groups(pam_handle_t *pamh, const char *user, const char *list)
{
	char name[256];
	size_t n;

	for (; list && *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n == 0 || n >= sizeof(name))
			continue;
		memcpy(name, list, n);
		name[n] = '\0';
		if (pam_modutil_user_in_group_nam_nam(pamh, user, name))
			return true;
	}
	return false;
}

/* "@name" in exempt= is a group. */
static bool
is_exempt(pam_handle_t *pamh, const char *user, const char *list)
{
	char name[256];
	size_t n;

	if (list_has(list, user))
		return true;
	for (; list && *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n < 2 || n >= sizeof(name) || list[0] != '@')
			continue;
		memcpy(name, list + 1, n - 1);
		name[n - 1] = '\0';
		if (pam_modutil_user_in_group_nam_nam(pamh, user, name))
			return true;
	}
	return false;
}

/* A list that is given names all who are meant; users and groups add up. */
static bool
is_named(pam_handle_t *pamh, const struct options *o, const char *user)
{
	if (!o->users && !o->groups)
		return true;
	return list_has(o->users, user) || in_groups(pamh, user, o->groups);
}

enum scope
scope_of(pam_handle_t *pamh, const struct options *o, struct person *who)
{
	const char *user = item_text(pamh, PAM_USER);
	const struct passwd *pw;

	who->service = item_text(pamh, PAM_SERVICE);
	if (!who->service || !user || !*user || list_has(never, who->service))
		return SCOPE_OUT;
	if (o->services && !list_has(o->services, who->service))
		return SCOPE_EXEMPT;
	/* Whatever was typed, what counts is the entry: "DOM\user" and
	 * "user@dom" are names that NSS knows or does not. */
	if (!(pw = pam_modutil_getpwnam(pamh, user)))
		return SCOPE_UNKNOWN;
	who->pw = pw;
	if (is_exempt(pamh, pw->pw_name, o->exempt))
		return SCOPE_EXEMPT;
	if (pw->pw_uid < o->minimum_uid ||
	    (pw->pw_uid == 0 && !list_has(o->users, pw->pw_name)) ||
	    !is_named(pamh, o, pw->pw_name))
		return SCOPE_OUT;
	return SCOPE_IN;
}

bool
scope_has(pam_handle_t *pamh, const struct options *o, struct person *who)
{
	enum scope s = scope_of(pamh, o, who);

	if (s != SCOPE_IN && o->debug)
		pam_syslog(pamh, LOG_DEBUG, "not for this user or service");
	return s == SCOPE_IN;
}
