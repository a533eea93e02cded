/* SPDX-License-Identifier: ISC */
/*
 * What is wrong here, and the command that puts it right. doctor.c has the
 * table of checks and prints; each check is a function that looks, and changes
 * nothing. doctor_X.c are their themes.
 */
#ifndef AWSENV_DOCTOR_H
#define AWSENV_DOCTOR_H

#include "agent/cli/ctl/ctl.h"

enum grade { GRADE_OK, GRADE_NOTE, GRADE_PROBLEM };

struct finding {
	const char *check;
	enum grade grade;
	struct buf text;
	struct buf cure; /* a command for a shell; may be empty */
	struct finding *next;
};

struct doctor {
	const struct options *options;
	const char *check; /* the one that looks */
	const char *sudo;  /* "sudo ", or nothing for root */
	const char *home;  /* may be "" */
	struct finding *first, *last;
	unsigned int problems;
	/* what checks know from those before them */
	bool far;   /* the agent is on another host */
	bool asked; /* the agent; then its answer is here */
	struct status_rep status;
	struct buf frame;
	struct question question;
	bool questioned;
	struct buf sessions; /* list of MSG_SESSION */
};

/* Print what was found, and forget it: the exit status. */
int doctor_tell(struct doctor *, bool admin);
/* A finding of the check that looks; add to its text and its cure. */
struct finding *find_new(struct doctor *, enum grade);
/* The same, with one line of text and no cure. */
void find_line(struct doctor *, enum grade, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* One word of a shell's command, quoted where it must be. */
void add_word(struct buf *, const char *);
bool grade_set(const char *name); /* a variable that is not empty */

/* A file below a folder; "" joins nothing. False: the path is too long. */
bool path_join(char out[static PATH_MAX], const char *folder, const char *name);
/* All of a regular file, at most `max` bytes, and a NUL. */
bool file_read(const char *path, size_t max, struct buf *out);

/* doctor_agent.c */

bool program_find(const char *name, char path[static PATH_MAX]);

void check_agent(struct doctor *);
void check_protection(struct doctor *);
void check_sandbox(struct doctor *);
void check_keyring(struct doctor *);
void check_ssh_agent(struct doctor *);
void check_clock(struct doctor *);

/* doctor_config.c */

void check_config(struct doctor *);
void check_admin(struct doctor *);
void check_portal(struct doctor *);

/* doctor_home.c */

void check_variables(struct doctor *);
void check_plaintext(struct doctor *);

/* doctor_pam.c, doctor_sshd.c, doctor_systemd.c */

void check_pam(struct doctor *);
void check_sshd(struct doctor *);
void check_systemd(struct doctor *);
/* Has the stack of that service a session, or an auth, line of ours? */
bool pam_has(const char *service, const char *type);

#endif
