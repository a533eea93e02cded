/* SPDX-License-Identifier: ISC */
/*
 * The terminal before which a person sits at login(1): a QR code where the
 * kernel knows that it speaks UTF-8 and is large enough. Over ssh there is none
 * yet when a session is opened.
 */
#include "pam_module/pam_awsenv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "awsenv/own.h"
#include "awsenv/qr.h"

#define AROUND 14 /* lines of the text that the code stands in */

/* Root opens it: a name of login's that leads to no other folder. */
static int
terminal_open(pam_handle_t *pamh)
{
	const char *tty = item_text(pamh, PAM_TTY);
	char path[64];

	if (!tty)
		return -1;
	if (strncmp(tty, "/dev/", 5) == 0)
		tty += 5;
	if (strncmp(tty, "tty", 3) != 0 && strncmp(tty, "pts/", 4) != 0)
		return -1;
	if (strstr(tty, "..") ||
	    !str_join(path, sizeof(path), "/dev/", tty, NULL))
		return -1;
	return open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

/* Ended by NUL, if there is one. */
void
terminal_qr(pam_handle_t *pamh, const struct login_rep *l, struct buf *out)
{
	uint32_t side = qr_side(l->qr_width, l->qr);
	AUTOCLOSE int fd = -1;
	struct winsize size;
	struct termios t;

	if (!side || (fd = terminal_open(pamh)) < 0)
		return;
	if (tcgetattr(fd, &t) != 0 || !(t.c_iflag & IUTF8) ||
	    ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col < side ||
	    size.ws_row < (side + 1) / 2 + AROUND)
		return;
	qr_draw(l->qr_width, l->qr, out);
	buf_put(out, "\n", sizeof("\n"));
}
