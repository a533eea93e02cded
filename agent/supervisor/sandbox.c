/* SPDX-License-Identifier: ISC */
/*
 * The supervisor's filter. It passes to whatever is forked or executed, and a
 * spawner that died is forked again: so it can only forbid what neither that
 * nor the programs that it starts have any use for. Which programs are executed
 * is a matter of paths, which a filter cannot read: they are found once, before
 * (program.c), and are the broker, the two of the spawner, and this one.
 */
#include "supervisor.h"

#include <linux/keyctl.h>

#include "awsenv/filter.h"
#include "awsenv/harden.h"
#include "awsenv/log.h"

/* Ways on which a key could get to somebody else. Not one by one: a session
 * for the spawner is joined, later than this. */
static const struct filter_line denied[] = {
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_LINK),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_MOVE),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_CHOWN),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_SESSION_TO_PARENT),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_GET_PERSISTENT),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_INSTANTIATE),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_ASSUME_AUTHORITY),
    CALLS_IF("keyctl", 0, FILTER_EQUAL, KEYCTL_SET_REQKEY_KEYRING),
    FILTER_END,
};

void
sandbox_enter(void)
{
	if (harden_no_new_privs() != 0 ||
	    (!filter_never(denied) && filter_built()))
		log_warn("seccomp is not to be had here: the supervisor goes "
			 "on without");
}
