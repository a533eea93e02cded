/* SPDX-License-Identifier: ISC */
/*
 * awsenv-profile: reads the configuration once, hands over what it found, and
 * ends. A home that hangs hangs this process and nothing else. It has no
 * secret and never the network; it is started by the spawner with one end of
 * a pair as LINK_FD and an environment that holds HOME.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "awsenv/harden.h"
#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/log.h"
#include "awsenv/own.h"

#include "profile.h"

#define ADMIN_FOLDER "/etc/awsenv"
#define REQUEST_MS 2000
#define MEMORY_MAX (768 * 1024 * 1024)
#define SECONDS_MAX 60 /* of processor time, not of waiting */

static enum aw_err
hand_over(void *arg, enum msg_kind kind, const void *msg)
{
	int fd = *(const int *)arg;
	enum aw_err r;

	/* The broker takes its time; if it died, the next one goes on here. */
	while ((r = link_send_msg(fd, kind, msg)) == AW_BUSY) {
		if (io_wait(fd, POLLOUT, -1) != AW_OK)
			return AW_SYSTEM;
	}
	return r;
}

/* The request; its views point into *packet. */
static enum aw_err
take_request(int fd, struct buf *packet, struct read_req *req)
{
	int64_t deadline = io_deadline(REQUEST_MS);
	enum msg_kind kind;
	struct view body;
	enum aw_err r;

	do {
		if ((r = io_wait(fd, POLLIN, deadline)) != AW_OK)
			return r;
	} while ((r = link_peek_msg(fd, packet, &kind, &body)) == AW_BUSY);
	if (r != AW_OK)
		return r;
	link_drop(fd);
	if (kind != MSG_READ || !msg_decode(kind, body, req) ||
	    req->version != MSG_VERSION)
		return AW_PROTO;
	return AW_OK;
}

/*
 * A file of 16 MiB can say something long once and use it in each of 100,000
 * profiles: it shall not have the machine for that. (A sanitizer's own memory
 * is beyond any such limit.)
 */
static int
limit_process(void)
{
	const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
	const struct rlimit seconds = {SECONDS_MAX, SECONDS_MAX};

#ifndef AWSENV_SANITIZED
	if (setrlimit(RLIMIT_AS, &memory) != 0)
		return -1;
#endif
	(void)memory;
	return setrlimit(RLIMIT_CPU, &seconds);
}

int
main(int argc, char **argv)
{
	AUTOBUF struct buf packet = {0};
	struct read_req req;
	struct table table;
	int fd = LINK_FD;
	enum aw_err r;

	(void)argv;
	log_open("awsenv-profile", false, false);
	if (harden_stdio() != 0 || harden_process() != 0 ||
	    harden_no_new_privs() != 0 || limit_process() != 0)
		fatal("cannot harden this process");
	sandbox_enter();
	if (argc != 1)
		fatalx("started by awsenv-agent, not by hand");
	if ((r = take_request(fd, &packet, &req)) != AW_OK)
		fatalx("no request: %s", aw_strerror(r));
	table_read(&table, ADMIN_FOLDER, &req, getenv("HOME"));
	if ((r = table_send(&table, hand_over, &fd)) != AW_OK)
		fatalx("cannot hand over: %s", aw_strerror(r));
	r = table.broken ? AW_SYSTEM : AW_OK;
	table_free(&table);
	return r == AW_OK ? 0 : 1;
}
