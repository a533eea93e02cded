/* SPDX-License-Identifier: ISC */
/*
 * The options that only awsenv-ctl has. One that awsenv has too, but that means
 * something else here, gets a bit of its own, and is found here first.
 */
#include <stddef.h>

#include "agent/cli/ctl/ctl.h"

#define AT(member) offsetof(struct options, member)

/* clang-format off */
static const struct option_row rows[] = {
	{"here", 0, FLAG, 0, OPT_HERE,
	    "\0log in on this host, where root will hold it"},
	{"desktop", 0, FLAG, 0, OPT_DESKTOP,
	    "\0show logins on this desktop until it ends"},
	{"show-pending", 0, FLAG, 0, OPT_PENDING,
	    "\0only show a login that waits already"},
	{"all", 0, FLAG, 0, OPT_ALL,
	    "\0all logins, or all roles"},
	{"all-users", 0, FLAG, 0, OPT_ALL_USERS,
	    "\0as root: of everybody on this machine"},
	{"credentials", 0, FLAG, 0, OPT_CREDENTIALS,
	    "\0role credentials only; logins stay"},
	{"keyring", 0, FLAG, 0, OPT_KEYRING,
	    "\0the kernel's keys: serials, sizes, timeouts"},
	{"check", 0, DURATION, AT(check), OPT_CHECK,
	    "DURATION\0is it good for 90s, 15m, 2h? else exit 3"},
	{"config", 0, FLAG, 0, OPT_CONFIG,
	    "\0check /etc/awsenv before it is rolled out"},
	{"roles", 0, FLAG, 0, OPT_ROLES,
	    "\0all accounts and roles that AWS has for a login"},
	{"csv", 0, FLAG, 0, OPT_CSV,
	    "\0for spreadsheets"},
	{"service", 0, TEXT, AT(service), OPT_SERVICE,
	    "NAME\0the console's page of a service, such as s3"},
	{"path", 0, TEXT, AT(page), OPT_PATH,
	    "PATH\0any page: what follows the host in its address"},
	{"print", 0, FLAG, 0, OPT_PRINT,
	    "\0write the address, a secret for 15 minutes"},
	{"logout", 0, FLAG, 0, OPT_SIGN_OUT,
	    "\0end the session that the browser has"},
	{"start-url", 0, TEXT, AT(start_url), OPT_START_URL,
	    "URL\0of the AWS access portal"},
	{"sso-region", 0, TEXT, AT(sso_region), OPT_SSO_REGION,
	    "REGION\0where the portal is"},
	{"template", 0, TEXT, AT(names), OPT_TEMPLATE,
	    "TEXT\0of names: {account_name}-{role}"},
	{"credential-process", 0, FLAG, 0, OPT_PROCESS,
	    "\0profiles that every SDK can use"},
	{"prune", 0, FLAG, 0, OPT_PRUNE,
	    "\0take away what AWS does not list any more"},
	{"diff", 0, FLAG, 0, OPT_DIFF,
	    "\0show what would change, and change nothing"},
	{"undo", 0, FLAG, 0, OPT_UNDO,
	    "\0take away all that configure ever wrote"},
	{"from", 0, TEXT, AT(from), OPT_FROM,
	    "TOOL\0what granted, aws-vault or aws-sso-cli wrote"},
	{"profile", 'p', TEXTS, AT(profiles), OPT_PROFILE,
	    "PROFILE\0" /* the help is awsenv's */},
	{"host", 0, TEXTS, AT(hosts), OPT_HOST,
	    "NAME\0only from there: of known_hosts, or SHA256:..."},
	{"confirm", 0, FLAG, 0, OPT_CONFIRM,
	    "\0ask me at each use"},
	{"list", 0, FLAG, 0, OPT_LIST,
	    "\0the sockets that there are"},
	{"end", 0, TEXT, AT(end), OPT_END,
	    "SOCKET\0take one away"},
	{"follow", 0, FLAG, 0, OPT_FOLLOW,
	    "\0go on with what comes"},
	{"stdin", 0, FLAG, 0, OPT_STDIN,
	    "\0the passphrase is the first line of standard input"},
	{"once", 0, FLAG, 0, OPT_ONCE,
	    "\0end after one question"},
};
/* clang-format on */

void
ctl_options(void)
{
	options_more = rows;
	options_nmore = sizeof(rows) / sizeof(rows[0]);
}
