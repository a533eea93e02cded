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

#define ESTABLISHED "01"
#define HEX_ADDRESS 8
#define MAPPED (3 * HEX_ADDRESS)
#define ENDPOINT (MAPPED + HEX_ADDRESS + sizeof(":FFFF"))

/* Address and port as the kernel prints them: the address as a number of this
 * machine's own byte order. */
static void
endpoint(char out[static ENDPOINT], const struct sockaddr_in *a, bool mapped)
{
	static const char digits[] = "0123456789ABCDEF";
	const uint32_t words[] = {0, 0, htonl(0xffff), a->sin_addr.s_addr};
	uint16_t port = ntohs(a->sin_port);
	size_t i;
	int shift;

	for (i = mapped ? 0 : 3; i < 4; i++) {
		for (shift = 28; shift >= 0; shift -= 4)
			*out++ = digits[words[i] >> shift & 15];
	}
	*out++ = ':';
	for (shift = 12; shift >= 0; shift -= 4)
		*out++ = digits[port >> shift & 15];
	*out = '\0';
}

/* The next word of a line, or "" at its end. */
static char *
word(char **line)
{
	char *start = *line + strspn(*line, " ");

	*line = start + strcspn(start, " ");
	if (**line)
		*(*line)++ = '\0';
	return start;
}

/* number: local remote state queues timer retransmits uid ... */
static bool
line_is(char *line, const char *theirs, const char *ours, uid_t *uid)
{
	const char *p;
	uid_t n = 0;
	int i;

	word(&line);
	if (strcmp(word(&line), theirs) != 0 ||
	    strcmp(word(&line), ours) != 0 ||
	    strcmp(word(&line), ESTABLISHED) != 0)
		return false;
	for (i = 0; i < 3; i++)
		word(&line);
	p = word(&line);
	if (!*p)
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (uid_t)(*p - '0');
	*uid = n;
	return *p == '\0';
}

static bool
look(const char *path, const char *theirs, const char *ours, uid_t *uid)
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
			*end = '\0';
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
	char local[ENDPOINT], remote[ENDPOINT];

	if (getsockname(fd, (struct sockaddr *)&ours, &n) != 0 ||
	    getpeername(fd, (struct sockaddr *)&theirs, &m) != 0 ||
	    ours.sin_family != AF_INET || theirs.sin_family != AF_INET)
		return false;
	endpoint(local, &ours, false);
	endpoint(remote, &theirs, false);
	if (look("/proc/self/net/tcp", remote, local, uid))
		return true;
	endpoint(local, &ours, true);
	endpoint(remote, &theirs, true);
	return look("/proc/self/net/tcp6", remote, local, uid);
}
