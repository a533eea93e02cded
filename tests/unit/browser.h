/* SPDX-License-Identifier: ISC */
/* A browser that AWS sends to the callback's address; after cmocka.h. */
#ifndef BROWSER_H
#define BROWSER_H

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awsenv/buf.h"

/* On loopback a connection and what it says are there at once. */
static int
visit(const struct buf *address)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	unsigned int port;
	char text[200];

	snprintf(text, sizeof(text), "%.*s", VIEW_ARG(view_of(address)));
	assert_int_equal(sscanf(text, "http://127.0.0.1:%u", &port), 1);
	to.sin_port = htons((uint16_t)port);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	snprintf(text, sizeof(text),
	    "GET /oauth/callback?code=CODE&state=state HTTP/1.1\r\n"
	    "Host: 127.0.0.1:%u\r\n\r\n",
	    port);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

#endif
