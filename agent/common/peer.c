/* SPDX-License-Identifier: ISC */
/*
 * By /proc/net/tcp, which every kernel has; sock_diag(7) may be a module that
 * nobody may load. A program that speaks IPv4 through an IPv6 socket, as Java
 * does, stands in tcp6.
 */
#include "awsenv/peer.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "awsenv/own.h"

/* Numbers of a line: sl local:port remote:port state tx:rx tr:when retransmits
 * uid. All but the last are hexadecimal. */
enum { LOCAL = 1, LOCAL_PORT, REMOTE, REMOTE_PORT, STATE, UID = 11, NUMBERS };

#define ESTABLISHED 1

static unsigned int
digit(char c)
{
	return c >= '0' && c <= '9' ? (unsigned int)(c - '0')
	    : c >= 'A' && c <= 'F'  ? (unsigned int)(c - 'A' + 10)
				    : 16;
}

/* An address is printed in words of this machine's own byte order; of a mapped
 * one the last two are the prefix and the address. */
static bool
is_end(const uint64_t v[static 2], const struct sockaddr_in *a)
{
	uint32_t prefix = (uint32_t)(v[0] >> 32);

	return (uint32_t)v[0] == a->sin_addr.s_addr &&
	    (prefix == 0 || prefix == htonl(0xffff)) &&
	    v[1] == ntohs(a->sin_port);
}

static bool
line_is(const char *p, const struct sockaddr_in *theirs,
    const struct sockaddr_in *ours, uid_t *uid)
{
	uint64_t v[NUMBERS] = {0};
	int i;

	for (i = 0; i < NUMBERS; i++) {
		while (*p == ' ' || *p == ':')
			p++;
		/* What is not there is not taken for root. */
		if (digit(*p) == 16)
			return false;
		for (; digit(*p) < 16; p++)
			v[i] = v[i] * (i == UID ? 10 : 16) + digit(*p);
	}
	*uid = (uid_t)v[UID];
	return is_end(v + LOCAL, theirs) && is_end(v + REMOTE, ours) &&
	    v[STATE] == ESTABLISHED;
}

static bool
look(const char *path, const struct sockaddr_in *theirs,
    const struct sockaddr_in *ours, uid_t *uid)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[4096], *line, *end;
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		have += (size_t)n;
		text[have] = '\0';
		for (line = text; (end = strchr(line, '\n')); line = end + 1) {
			if (line_is(line, theirs, ours, uid))
				return true;
		}
		have -= (size_t)(line - text);
		memmove(text, line, have);
	}
	return false;
}

bool
peer_uid(int fd, uid_t *uid)
{
	struct sockaddr_in ours = {0}, theirs = {0};
	socklen_t n = sizeof(ours), m = sizeof(theirs);

	return getsockname(fd, (struct sockaddr *)&ours, &n) == 0 &&
	    getpeername(fd, (struct sockaddr *)&theirs, &m) == 0 &&
	    ours.sin_family == AF_INET && theirs.sin_family == AF_INET &&
	    (look("/proc/self/net/tcp", &theirs, &ours, uid) ||
		look("/proc/self/net/tcp6", &theirs, &ours, uid));
}
