/* SPDX-License-Identifier: ISC */
/* Where a URL leads, read as strictly as may be: what is not sure is no. */
#include "fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

/* The authority: what stands between "//" and the next of "/?#". */
static struct view
url_authority(const char *url)
{
	const char *p = strstr(url, "://");

	if (!p)
		return (struct view){0};
	p += 3;
	return (struct view){(const uint8_t *)p, (uint32_t)strcspn(p, "/?#")};
}

void
url_host(const char *url, char host[static HOST_SIZE])
{
	const char *usual = strncasecmp(url, "https:", 6) == 0 ? ":443" : ":80";
	size_t n;

	text_clean(host, HOST_SIZE, url_authority(url));
	n = strlen(host);
	if (n > strlen(usual) && strcmp(host + n - strlen(usual), usual) == 0)
		host[n - strlen(usual)] = '\0';
}

/* localhost, 127.0.0.0/8 in four parts, or [::1]; with a port or without. */
static bool
is_loopback(struct view authority)
{
	char host[64], *colon;
	struct in_addr v4;

	if (authority.n >= sizeof(host))
		return false;
	text_clean(host, sizeof(host), authority);
	if (strcmp(host, "[::1]") == 0 || strncmp(host, "[::1]:", 6) == 0)
		return true;
	if ((colon = strchr(host, ':')))
		*colon = '\0';
	if (strcasecmp(host, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 &&
	    ntohl(v4.s_addr) >> 24 == 127;
}

bool
url_may_visit(const char *url)
{
	struct view authority = url_authority(url);

	/* user:password@host would hide which host it is. */
	if (!text_is_word(view_str(url), 8192) || authority.n == 0 ||
	    memchr(authority.p, '@', authority.n))
		return false;
	return strncasecmp(url, "https://", 8) == 0 ||
	    (strncasecmp(url, "http://", 7) == 0 && is_loopback(authority));
}

/* "host:port" of a proxy, which may be written with scheme and password. */
void
url_proxy_host(const char *proxy, char host[static HOST_SIZE])
{
	struct view v = url_authority(proxy);
	const uint8_t *at;

	if (!v.p)
		v = (struct view){
		    (const uint8_t *)proxy, (uint32_t)strcspn(proxy, "/?#")};
	if ((at = memrchr(v.p, '@', v.n)))
		v = (struct view){at + 1, (uint32_t)(v.p + v.n - at - 1)};
	text_clean(host, HOST_SIZE, v);
}
