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

/* Before any are taken. */
void ctl_options(void);

/* agent.c, browser.c */

int agent_verb(const struct options *, char **argv);
/* For awsenv, not for people: the login to show comes on standard input. */
int browser_verb(const struct options *, char **argv);

/* report_json.c */

void ctl_report_json(const struct status *, struct buf *out);

#endif
