/* SPDX-License-Identifier: ISC */
#ifndef OWN_RUN_H
#define OWN_RUN_H

#include <stdbool.h>

/* This process has a /run of its own from here on, with nothing in it. False:
 * this machine does not let us; errno. */
bool own_run(void);
/* The file says that, and no more. */
bool own_file(const char *path, const char *text);

#endif
