/* SPDX-License-Identifier: ISC */
/*
 * Who is at the other end of a TCP connection over 127.0.0.1. A loopback port
 * is open to every user of the machine; the kernel knows whose socket it is.
 */
#ifndef AWSENV_PEER_H
#define AWSENV_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/* Of an IPv4 connection that was accepted. False: the other end is not on this
 * machine, or not there any more; then it is nobody that anything is for. */
bool peer_uid(int fd, uid_t *);

#endif
