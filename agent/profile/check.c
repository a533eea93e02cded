/* SPDX-License-Identifier: ISC */
/* Alphabets. AWS's own where AWS publishes one, else ASCII and strict. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "profile.h"

/* Letters and digits of ASCII, and what else is listed. */
static bool
is_made_of(struct view v, const char *others)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		uint8_t c = v.p[i];

		if (!(c < 0x80 && isalnum(c)) && (!c || !strchr(others, c)))
			return false;
	}
	return true;
}

static bool
is_digits(struct view v)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
	}
	return v.n > 0;
}

bool
check_account(struct view v)
{
	return view_is_digits(v, 12);
}

bool
check_role(struct view v)
{
	return v.n >= 1 && v.n <= 64 && is_made_of(v, "_+=,.@-");
}

/* "us-east-1": it becomes a part of host names, so nothing but such parts. */
bool
check_region(struct view v)
{
	struct view part, rest = v;
	uint32_t i, parts = 0;
	bool more;

	if (v.n < 4 || v.n > 63)
		return false;
	for (i = 0; i < v.n; i++) {
		if (!islower(v.p[i]) && !(v.p[i] >= '0' && v.p[i] <= '9') &&
		    v.p[i] != '-')
			return false;
	}
	do {
		more = text_split(rest, '-', &part, &rest);
		if (part.n < (parts == 0 ? 2 : 1))
			return false;
		for (i = 0; parts == 0 && i < part.n; i++) {
			if (!islower(part.p[i]))
				return false;
		}
		parts++;
	} while (more);
	return parts > 1;
}

/* arn:PARTITION:iam::ACCOUNT:role/PATH/NAME */
bool
check_role_arn(struct view v)
{
	struct view part[5];
	int i;

	if (v.n < 20 || v.n > 2048)
		return false;
	for (i = 0; i < 5; i++) {
		if (!text_split(v, ':', &part[i], &v))
			return false;
	}
	return view_is(part[0], "arn") && text_starts(part[1], "aws") &&
	    is_made_of(part[1], "-") && view_is(part[2], "iam") &&
	    part[3].n == 0 && check_account(part[4]) &&
	    text_starts(v, "role/") && v.n > 5 && is_made_of(v, "/_+=,.@-");
}

bool
check_session_name(struct view v)
{
	return v.n >= 2 && v.n <= 64 && is_made_of(v, "_+=,.@-");
}

bool
check_external_id(struct view v)
{
	return v.n >= 2 && v.n <= 1224 && is_made_of(v, "_+=,.@:/-");
}

bool
check_scopes(struct view v)
{
	return v.n > 0 && v.n <= 2048 && is_made_of(v, ":._/-,");
}

bool
check_loopback(struct view host)
{
	struct view part;
	int dots = 0;

	if ((host.n == 9 &&
		strncasecmp((const char *)host.p, "localhost", 9) == 0) ||
	    view_is(host, "::1"))
		return true;
	if (!text_starts(host, "127."))
		return false;
	/* Four numbers, or it is a name that only begins like an address. */
	while (text_split(host, '.', &part, &host)) {
		if (!is_digits(part) || part.n > 3)
			return false;
		dots++;
	}
	return dots == 3 && is_digits(part) && part.n <= 3;
}

static bool
is_address6(struct view v)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if (!(v.p[i] < 0x80 && isxdigit(v.p[i])) && v.p[i] != ':' &&
		    v.p[i] != '.')
			return false;
	}
	return memchr(v.p, ':', v.n) != NULL;
}

/* The host of "host", "host:port", "[v6]" or "[v6]:port". */
static bool
take_host(struct view v, struct url *u)
{
	bool more = false;

	if (v.n && *v.p == '[') {
		v.p++;
		v.n--;
		if (!text_split(v, ']', &u->host, &v) || !is_address6(u->host))
			return false;
		more = v.n > 0;
		if (more && *v.p != ':')
			return false;
		u->port = more ? (struct view){v.p + 1, v.n - 1} : v;
	} else {
		more = text_split(v, ':', &u->host, &u->port);
		if (!is_made_of(u->host, ".-_"))
			return false;
	}
	return u->host.n > 0 && u->host.n <= 253 &&
	    (!more || (is_digits(u->port) && u->port.n <= 5));
}

bool
check_url(struct view v, struct url *u)
{
	struct view server;
	uint32_t i;

	*u = (struct url){0};
	if (v.n > 2048 || !text_is_ascii(v))
		return false;
	/* Nothing that a shell, a terminal or another parser reads otherwise. */
	for (i = 0; i < v.n; i++) {
		if (strchr("\"'`<>\\^{|}", v.p[i]))
			return false;
	}
	if (!text_split(v, ':', &u->scheme, &v) || !text_starts(v, "//") ||
	    !u->scheme.n || !is_made_of(u->scheme, "+"))
		return false;
	v.p += 2;
	v.n -= 2;
	for (i = 0; i < v.n && !strchr("/?#", v.p[i]); i++)
		continue;
	server = (struct view){v.p, i};
	u->rest = (struct view){v.p + i, v.n - i};
	for (i = server.n; i > 0 && server.p[i - 1] != '@'; i--)
		continue;
	if (i > 0) {
		u->user = (struct view){server.p, i - 1};
		server = (struct view){server.p + i, server.n - i};
	}
	return take_host(server, u);
}

bool
check_start_url(struct view v)
{
	struct url u;

	return check_url(v, &u) && u.user.n == 0 &&
	    (view_is(u.scheme, "https") ||
		(view_is(u.scheme, "http") && check_loopback(u.host)));
}

bool
check_bool(struct view v, bool *yes)
{
	*yes = v.n == 4 && strncasecmp((const char *)v.p, "true", 4) == 0;
	return *yes ||
	    (v.n == 5 && strncasecmp((const char *)v.p, "false", 5) == 0);
}
