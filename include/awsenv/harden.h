/* SPDX-License-Identifier: ISC */
/* What every process of ours does before it touches a secret. */
#ifndef AWSENV_HARDEN_H
#define AWSENV_HARDEN_H

/*
 * Not dumpable, no core file, SIGPIPE ignored, umask 0177. exec makes a process
 * dumpable again, so each program calls this first. Before the call, only an
 * installation whose programs the user cannot read (mode 0711) protects
 * against ptrace. Returns 0, or -1 with errno.
 */
int harden_process(void);

/* Give up gaining privileges by exec, for good. Returns 0, or -1 with errno. */
int harden_no_new_privs(void);

/* Make descriptors 0, 1 and 2 exist (/dev/null), so that no socket of ours
 * ever becomes somebody's stderr. Returns 0, or -1 with errno. */
int harden_stdio(void);

#endif
