/* SPDX-License-Identifier: ISC */
/*
 * What can go wrong, in the words of somebody who has to act on it. The
 * numbers up to AW_BUSY travel to clients and are frozen (agent/broker/PROTOCOL);
 * the ones after AW_PRIVATE stay between our own processes.
 */
#ifndef AWSENV_ERR_H
#define AWSENV_ERR_H

enum aw_err {
	AW_OK = 0,
	AW_NOMEM = 1,  /* out of memory */
	AW_SYSTEM = 2, /* the operating system refused; errno at the source */
	AW_PROTO = 3,  /* a message that breaks the protocol */
	AW_DENIED = 4, /* policy refuses this peer or this profile */
	AW_NOPROFILE = 5, /* no profile of that name */
	AW_CONFIG = 6,	  /* the profile cannot be used as it is written */
	AW_LOGIN = 7,	  /* a person must log in */
	AW_NETWORK = 8,	  /* AWS could not be reached, or answered 5xx or 429 */
	AW_AWS = 9,	  /* AWS said no */
	AW_TIMEOUT = 10,  /* not done within the time a request may be held */
	AW_GONE = 11,	  /* no such ticket, or its login has ended */
	AW_BUSY = 12,	  /* a limit is reached; try again later */

	AW_PRIVATE = 100,
	AW_TOKEN = 101, /* portal: 401, the access token is refused */
	AW_GRANT = 102, /* oidc: refresh token or registration is worthless */
	AW_STALE = 103, /* the CA bundle is not the one the login is bound to */
	AW_NOAGENT = 104, /* client side: nobody listens on the socket */
	AW_EXPIRED = 105, /* oidc: the device code ran out unapproved */
};

/* A short phrase in lower case, never NULL. */
const char *aw_strerror(enum aw_err);

#endif
