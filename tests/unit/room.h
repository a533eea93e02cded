/* SPDX-License-Identifier: ISC */
/* Room in the keyring quota, which is all programs' of a user. */
#ifndef ROOM_H
#define ROOM_H

#include <stdbool.h>

/*
 * Waits until three quarters of this user's quota are free, at most half a
 * minute. The kernel takes away what ended processes had when it comes to it,
 * and counts it as the user's until then (keyrings(7), /proc/key-users). False:
 * others have more than that, or it cannot be told; what they have, on stderr.
 */
bool room_for_keys(void);

#endif
