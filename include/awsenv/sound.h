/* SPDX-License-Identifier: ISC */
/* What may be put before a person's eyes, though it came over the network. */
#ifndef AWSENV_SOUND_H
#define AWSENV_SOUND_H

#include <stdbool.h>

#include "awsenv/buf.h"

#define CODE_MOST 64 /* characters of a code */

/* Printable ASCII without blanks, https or http on this machine, no longer
 * than the URLs that AWS gives. */
bool url_is_sound(struct view url);
bool code_is_sound(struct view code);

#endif
