/* SPDX-License-Identifier: ISC */
/*
 * Does a process wait for our answer on a socket that blocks? By that an ssh's
 * own word is told from one that a far host sends through it: for agent
 * forwarding ssh connects, sends its bind and reads the answer, and only then
 * has the descriptor not block and lets the far host speak. What it connects
 * for RemoteForward never blocks.
 */
#include "supervisor.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "awsenv/own.h"

/* The inode of the other end. 0: the kernel does not say. */
static uint32_t
peer_of(uint32_t inode)
{
	struct {
		struct nlmsghdr head;
		struct unix_diag_req req;
	} ask = {
	    .head =
		{
		    .nlmsg_len = sizeof(ask),
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		    .nlmsg_flags = NLM_F_REQUEST,
		},
	    .req =
		{
		    .sdiag_family = AF_UNIX,
		    .udiag_states = UINT32_MAX,
		    .udiag_ino = inode,
		    .udiag_show = UDIAG_SHOW_PEER,
		    .udiag_cookie = {UINT32_MAX, UINT32_MAX},
		},
	};
	union {
		struct nlmsghdr head;
		char bytes[512];
	} got = {0};
	AUTOCLOSE int fd =
	    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct unix_diag_msg *msg = NLMSG_DATA(&got.head);
	struct rtattr *a = (struct rtattr *)(msg + 1);
	uint32_t peer = 0;
	ssize_t left;

	/* The kernel answers while it takes the question. */
	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) != sizeof(ask))
		return 0;
	left = recv(fd, &got, sizeof(got), MSG_DONTWAIT);
	if (left < (ssize_t)NLMSG_LENGTH(sizeof(*msg)) ||
	    got.head.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    msg->udiag_ino != inode)
		return 0;
	for (left -= (ssize_t)NLMSG_LENGTH(sizeof(*msg)); RTA_OK(a, left);
	     a = RTA_NEXT(a, left)) {
		if (a->rta_type == UNIX_DIAG_PEER &&
		    RTA_PAYLOAD(a) == sizeof(peer))
			memcpy(&peer, RTA_DATA(a), sizeof(peer));
	}
	return peer;
}

static bool
blocks(pid_t pid, const char *fd)
{
	char path[64], text[256], *flags;
	AUTOCLOSE int file = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.10s", (int)pid, fd);
	if ((file = open(path, O_RDONLY | O_CLOEXEC)) < 0 ||
	    (n = read(file, text, sizeof(text) - 1)) <= 0)
		return false;
	text[n] = '\0';
	flags = strstr(text, "flags:");
	return flags && !(strtoul(flags + 6, NULL, 8) & O_NONBLOCK);
}

bool
look_waits(pid_t pid, uint32_t inode)
{
	char path[64], name[32], target[32];
	uint32_t peer = inode ? peer_of(inode) : 0;
	struct dirent *entry;
	bool yes = false;
	ssize_t n;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	if (!peer || !(fds = opendir(path)))
		return false;
	snprintf(name, sizeof(name), "socket:[%u]", peer);
	while (!yes && (entry = readdir(fds))) {
		n = readlinkat(
		    dirfd(fds), entry->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		yes = strcmp(target, name) == 0 && blocks(pid, entry->d_name);
	}
	closedir(fds);
	return yes;
}
