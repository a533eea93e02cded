/* SPDX-License-Identifier: ISC */
/*
 * awsenv-broker: answers clients, keeps logins and role credentials in the
 * kernel keyring, has the one-shot programs do what needs files or the network.
 * Started by awsenv-agent, which holds sockets and ring when this one dies.
 */
#include "broker.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "awsenv/harden.h"
#include "awsenv/log.h"

static bool greeted;

static void
on_hello(const struct link *l)
{
	const char *sandbox;
	int users = l->nfds > 3 ? l->fds[3] : -1;
	enum aw_err r;

	if (greeted || l->nfds < 3)
		fatalx("awsenv-agent does not speak our language");
	greeted = true;
	log_open(
	    "awsenv-broker", l->flags & LINK_FOREGROUND, l->flags & LINK_DEBUG);
	r = store_open(l->ring, l->session, users, l->fds[2]);
	/* The ring stays: the next broker may have more luck. */
	if (r == AW_NOMEM)
		fatalx("no memory to read the keyring");
	if (r != AW_OK) {
		log_err("the keyring is not the one that awsenv-agent made");
		exit(EXIT_RING);
	}
	tzset(); /* syslog's times: files are out of reach below */
	sandbox = sandbox_enter();
	report_open(l, sandbox);
	fetch_lifetime(l->lifetime);
	nudge_open(l);
	spawner_open(l->fds[0]);
	look_open();
	audit_open(l->fds[1]);
	relay_open();
	job_open(LINK_FD);
	table_open();
	login_open();
	lock_open();
	presence_open();
	idle_open();
	role_open();
	grants_open();
	question_open(l);
	conn_open();
}

static void
on_listening(const struct link *l)
{
	enum listener at = AT_REMOTE;

	if (strncmp(l->text, "forward-", 8) == 0) {
		permit_listen(l->text, l->nfds ? l->fds[0] : -1, l->error);
		return;
	}
	if (l->nfds != 1)
		fatalx("a socket is missing");
	if (strncmp(l->text, "agent", sizeof(l->text)) == 0)
		at = AT_AGENT;
	else if (strncmp(l->text, "forward", sizeof(l->text)) == 0)
		at = AT_FORWARD;
	conn_listen(l->fds[0], at, NULL);
}

/* Else the next broker is told to. */
static void
did(const struct link *l)
{
	job_report(&(struct link){.type = LINK_DID, .flags = 1u << l->type});
}

static void
take(const struct link *l)
{
	if (!greeted && l->type != LINK_HELLO)
		fatalx("awsenv-agent does not speak our language");
	switch (l->type) {
	case LINK_HELLO:
		on_hello(l);
		break;
	case LINK_LISTENER:
		on_listening(l);
		break;
	case LINK_JOB:
		job_adopt(l);
		break;
	case LINK_START:
		login_resume();
		audit_start();
		permit_start();
		conn_start();
		break;
	case LINK_DROP: /* SIGUSR1, as ssh-agent has it */
		log_info("dropped all credentials (%u)", logout_drop());
		did(l);
		break;
	case LINK_LOGOUT:
		logout_all();
		did(l);
		break;
	case LINK_END:
		store_drop_all((1u << KEY__MAX) - 1, (struct view){0});
		store_close();
		loop_end(0);
		break;
	default:
		log_warn("awsenv-agent said %u", (unsigned)l->type);
	}
}

static void
on_supervisor(uint32_t events, void *arg)
{
	struct link l;
	enum aw_err r;

	(void)events;
	(void)arg;
	while ((r = link_recv(LINK_FD, &l)) == AW_OK)
		take(&l);
	if (r == AW_PROTO) {
		log_err("awsenv-agent is of another version");
		exit(LINK_EXIT_VERSION); /* it then re-executes itself */
	}
	if (r != AW_BUSY)
		exit(0); /* the agent is gone, and with it the ring */
}

int
main(void)
{
	struct stat st;

	if (fstat(LINK_FD, &st) != 0 || !S_ISSOCK(st.st_mode))
		fatalx("awsenv-broker is started by awsenv-agent");
	if (harden_process() != 0)
		fatal("harden");
	/* One large table or packet must not raise what stays with us. */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	loop_open();
	loop_fd(LINK_FD, EPOLLIN, on_supervisor, NULL);
	return loop_run();
}
