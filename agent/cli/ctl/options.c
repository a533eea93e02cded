/* SPDX-License-Identifier: ISC */
/*
 * The options that only awsenv-ctl has. One that awsenv has too, but that means
 * something else here, gets a bit of its own, and is found here first.
 */
#include <stddef.h>

#include "agent/cli/ctl/ctl.h"

/* clang-format off */
static const struct option_row rows[] = {
	{"all", 0, FLAG, 0, OPT_ALL,
	    "\0all logins"},
	{"all-users", 0, FLAG, 0, OPT_ALL_USERS,
	    "\0as root: of everybody on this machine"},
	{"credentials", 0, FLAG, 0, OPT_CREDENTIALS,
	    "\0role credentials only; logins stay"},
	{"keyring", 0, FLAG, 0, OPT_KEYRING,
	    "\0the kernel's keys: serials, sizes, timeouts"},
	{"check", 0, DURATION, offsetof(struct options, check), OPT_CHECK,
	    "DURATION\0is it good for 90s, 15m, 2h? else exit 3"},
	{"config", 0, FLAG, 0, OPT_CONFIG,
	    "\0check /etc/awsenv before it is rolled out"},
	{"roles", 0, FLAG, 0, OPT_ROLES,
	    "\0all accounts and roles that AWS has for a login"},
	{"csv", 0, FLAG, 0, OPT_CSV,
	    "\0for spreadsheets"},
	{"service", 0, TEXT, offsetof(struct options, service), OPT_SERVICE,
	    "NAME\0the console's page of a service, such as s3"},
	{"path", 0, TEXT, offsetof(struct options, page), OPT_PATH,
	    "PATH\0any page: what follows the host in its address"},
	{"print", 0, FLAG, 0, OPT_PRINT,
	    "\0write the address, a secret for 15 minutes"},
	{"logout", 0, FLAG, 0, OPT_SIGN_OUT,
	    "\0end the session that the browser has"},
	{"again", 0, FLAG, 0, OPT_AGAIN,
	    "\0even if it was opened before"},
};
/* clang-format on */

void
ctl_options(void)
{
	options_more = rows;
	options_nmore = sizeof(rows) / sizeof(rows[0]);
}
