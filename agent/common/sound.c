/* SPDX-License-Identifier: ISC */
#include "awsenv/sound.h"

#include <string.h>

#define URL_MOST 2048

static bool
is_graphic(struct view v, uint32_t most)
{
	uint32_t i;

	if (v.n == 0 || v.n > most)
		return false;
	for (i = 0; i < v.n; i++) {
		if (v.p[i] <= ' ' || v.p[i] > '~')
			return false;
	}
	return true;
}

/* Up to the path: a loopback host, a port perhaps, and nothing else. */
static bool
is_loopback(const char *s, size_t n)
{
	size_t host;

	if (n >= 5 && !memcmp(s, "[::1]", 5))
		host = 5;
	else if (n >= 9 && !memcmp(s, "localhost", 9))
		host = 9;
	else if (n >= 4 && !memcmp(s, "127.", 4))
		for (host = 4; host < n && strchr("0123456789.", s[host]);
		     host++)
			;
	else
		return false;
	if (host < n && s[host] == ':')
		for (host++; host < n && s[host] >= '0' && s[host] <= '9';
		     host++)
			;
	return host == n || strchr("/?#", s[host]);
}

bool
url_is_sound(struct view url)
{
	const char *s = (const char *)url.p;

	if (!is_graphic(url, URL_MOST))
		return false;
	if (url.n > 8 && !memcmp(s, "https://", 8))
		return true;
	return url.n > 7 && !memcmp(s, "http://", 7) &&
	    is_loopback(s + 7, url.n - 7);
}

bool
code_is_sound(struct view code)
{
	return is_graphic(code, CODE_MOST);
}
