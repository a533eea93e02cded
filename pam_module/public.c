/* SPDX-License-Identifier: ISC */
/* What libpam calls, and nothing else: each reads the options and asks. */
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "pam_module/pam_awsenv.h"

/*
 * This module decides nothing. PAM_SUCCESS of an optional module that stands
 * alone would let everybody in, so the answer is always PAM_IGNORE; only an
 * administrator who asked for a factor that is not there must not get silence.
 */
int
pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;

	(void)flags;
	options_parse(pamh, argc, argv, &o);
	return strcmp(o.mode, "session") == 0 ? PAM_IGNORE : PAM_SERVICE_ERR;
}

/* Called twice, once or never, in any process; a locker that was opened calls
 * it with one of two flags. */
int
pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;

	if ((flags & (PAM_REINITIALIZE_CRED | PAM_REFRESH_CRED)) &&
	    options_parse(pamh, argc, argv, &o))
		session_unlock(pamh, &o);
	return PAM_IGNORE;
}

int
pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_IGNORE;
}

int
pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;

	if (!options_parse(pamh, argc, argv, &o))
		return PAM_IGNORE;
	return session_open(pamh, &o, flags);
}

int
pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;

	(void)flags;
	if (!options_parse(pamh, argc, argv, &o))
		return PAM_IGNORE;
	return session_close(pamh, &o);
}

int
pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_IGNORE;
}
