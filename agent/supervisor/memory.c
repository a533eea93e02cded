/* SPDX-License-Identifier: ISC */
#include "supervisor.h"

#include <errno.h>
#include <unistd.h>

#define TRIES 100
#define PAUSE_MS 50

bool
memory_wait(unsigned int *tries)
{
	if (errno != ENOMEM && errno != EAGAIN && errno != ENFILE)
		return false;
	if (++*tries > TRIES)
		return false;
	usleep(PAUSE_MS * 1000);
	return true;
}
