/* SPDX-License-Identifier: ISC */
/* What libpam calls, and nothing else: each reads the options and asks. */
#include "pam_module/pam_awsenv.h"

/*
 * Session mode decides nothing. PAM_SUCCESS of an optional module that stands
 * alone would let everybody in, so its answer is always PAM_IGNORE; only an
 * administrator who asked for a mode that is not there must not get silence.
 */
int
pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;
	bool sound = options_parse(pamh, argc, argv, &o);

	switch (o.mode) {
	case MODE_SESSION:
		return PAM_IGNORE;
	case MODE_FACTOR:
		return factor_authenticate(pamh, &o, sound, flags);
	default:
		return PAM_SERVICE_ERR;
	}
}

/* Called twice, once or never, in any process; a locker that was opened calls
 * it with one of two flags. */
int
pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;
	bool sound = options_parse(pamh, argc, argv, &o);

	if (sound && (flags & (PAM_REINITIALIZE_CRED | PAM_REFRESH_CRED)))
		session_unlock(pamh, &o);
	return o.mode == MODE_FACTOR ? factor_setcred(pamh, &o) : PAM_IGNORE;
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
