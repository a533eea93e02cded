/* SPDX-License-Identifier: ISC */
/* A terminal that gives each key as it is pressed, and shows none. */
#include <termios.h>
#include <unistd.h>

#include "agent/cli/ctl/ctl.h"

bool
keys_begin(struct termios *before)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, before) != 0)
		return false;
	raw = *before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
	raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	return true;
}

void
keys_end(const struct termios *before)
{
	tcsetattr(STDIN_FILENO, TCSADRAIN, before);
}
