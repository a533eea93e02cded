/* SPDX-License-Identifier: ISC */
#include "awsenv/err.h"

const char *
aw_strerror(enum aw_err e)
{
	switch (e) {
	case AW_OK:
		return "success";
	case AW_NOMEM:
		return "out of memory";
	case AW_SYSTEM:
		return "system error";
	case AW_PROTO:
		return "malformed message";
	case AW_DENIED:
		return "refused by policy";
	case AW_NOPROFILE:
		return "no such profile";
	case AW_CONFIG:
		return "profile cannot be used";
	case AW_LOGIN:
		return "login needed";
	case AW_NETWORK:
		return "AWS cannot be reached";
	case AW_AWS:
		return "refused by AWS";
	case AW_TIMEOUT:
		return "not done in time";
	case AW_GONE:
		return "no such login";
	case AW_BUSY:
		return "too busy";
	case AW_PRIVATE:
		break;
	case AW_TOKEN:
		return "access token refused";
	case AW_GRANT:
		return "sign-in session has ended";
	case AW_STALE:
		return "CA bundle has changed";
	case AW_NOAGENT:
		return "no agent";
	case AW_EXPIRED:
		return "code expired";
	}
	return "unknown error";
}
