/* SPDX-License-Identifier: ISC */
/*
 * awsenv-ctl, grouped by file: the verbs that are not about running a command
 * or showing whose credentials there are. awsenv hands over to it with the same
 * arguments. It may use libraries and libc's stdio; what people read still
 * passes cli's text.c.
 */
#ifndef AWSENV_CTL_H
#define AWSENV_CTL_H

#include "agent/cli/cli.h"

/* options.c: options of these verbs, beside those that awsenv has. */

#define OPT_AGAIN (1ull << 32)
#define OPT_CONFIG (1ull << 33)

/* Before any are taken. */
void ctl_options(void);

/* agent.c, browser.c */

int agent_verb(const struct options *, char **argv);
/* For awsenv, not for people: the login to show comes on standard input. */
int browser_verb(const struct options *, char **argv);

/* doctor.c, see doctor.h */

int doctor_verb(const struct options *, char **argv);

/* users.c: status and logout of every user's agent, for root */

int users_status(const struct options *);
int users_logout_verb(const struct options *, char **argv);

/* status.c asks; report.c writes it for people, report_json.c for programs. */

struct status {
	struct status_rep rep;
	const char *socket;
	struct buf logins; /* lists of messages, as list@awsenv has them */
	struct buf roles;
	struct buf keys;
	struct buf problems;
	bool keyring; /* keys was asked for */
	bool profile; /* one was named */
};

int status_verb(const struct options *, char **argv);
void report_text(const struct status *, struct buf *out);
void report_json(const struct status *, struct buf *out);

#endif
