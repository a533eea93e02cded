/* SPDX-License-Identifier: ISC */
/*
 * How a login looks: what is not AWS first, then the URL exactly as it was
 * given, the code, if there is one, and a QR code where the terminal can show
 * it whole.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "awsenv/qr.h"

#include "agent/cli/ctl/ctl.h"

#define QR_TOLD 80
/* Lines that follow the QR code, with the prompt's. */
#define BELOW 3

static bool
is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *v = NULL;
	size_t i;

	for (i = 0; !v && i < sizeof(names) / sizeof(names[0]); i++) {
		if ((v = getenv(names[i])) && !*v)
			v = NULL;
	}
	return v &&
	    (find(v, "UTF-8") || find(v, "utf8") || find(v, "utf-8") ||
		find(v, "UTF8"));
}

void
screen_open(struct screen *s)
{
	const char *term = getenv("TERM");
	struct winsize w = {0};

	*s = (struct screen){0};
	s->tty = isatty(STDERR_FILENO);
	if (s->tty && ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0) {
		s->rows = w.ws_row;
		s->cols = w.ws_col;
	}
	s->plain = !s->tty || !term || !*term || !strcmp(term, "dumb");
	s->utf8 = is_utf8();
}

static unsigned int
lines_of(const struct buf *text, unsigned int cols)
{
	unsigned int lines = 0, col = 0;
	size_t i;

	for (i = 0; i < text->len; i++) {
		if (text->data[i] == '\n' || ++col > cols) {
			lines++;
			col = text->data[i] != '\n';
		}
	}
	return lines;
}

static void
qr_add(const struct screen *s, const struct login_rep *l, struct buf *out)
{
	uint32_t size = qr_side(l->qr_width, l->qr);
	unsigned int above;

	if (!size || s->plain || !s->utf8)
		return;
	above = lines_of(out, s->cols ? s->cols : 80);
	if (size > s->cols || above + (size + 1) / 2 + BELOW > s->rows) {
		/* A window that nobody has is not asked for. */
		if (size <= QR_TOLD)
			text_add(out,
			    "  (A QR code needs a window of %u columns and %u "
			    "lines.)\n\n",
			    size, above + (size + 1) / 2 + BELOW);
		return;
	}
	qr_draw(l->qr_width, l->qr, out);
	text_add(out, "\n");
}

/*
 * Parts with "; " between them, each on a line of its own. What is not AWS is
 * shouted; a CA bundle or a proxy, which many have, is only said.
 */
static void
notice_add(const struct screen *s, struct view notice, struct buf *out)
{
	const char *loud = s->plain ? "" : "\033[1;7m";
	const char *calm = s->plain ? "" : "\033[0m";
	const char *p = shown(notice), *end;
	int n;

	for (; *p; p += end ? n + 2 : n) {
		end = find(p, "; ");
		n = (int)(end ? end - p : (ptrdiff_t)strlen(p));
		if (strncmp(p, "NOT AWS", 7) != 0)
			text_add(out, "  %.*s\n", n, p);
		else if (s->cols && (unsigned int)n + 8 > s->cols)
			text_add(out, "%s%.*s%s\n", loud, n, p, calm);
		else
			text_add(out, "%s*** %.*s ***%s\n", loud, n, p, calm);
	}
	if (notice.n)
		text_add(out, "\n");
}

bool
login_is_sound(const struct login_rep *l)
{
	return url_is_sound(l->url) && (!l->code.n || code_is_sound(l->code));
}

bool
screen_login(const struct screen *s, const struct login_rep *l, struct buf *out)
{
	const char *bold = s->plain ? "" : "\033[1m";
	const char *calm = s->plain ? "" : "\033[0m";

	if (!login_is_sound(l))
		return false;
	text_add(out, "awsenv: a login is needed: %s", shown(l->session));
	if (l->host.n)
		text_add(out, ", for the agent on %s", shown(l->host));
	text_add(out, "\n\n");
	notice_add(s, l->notice, out);
	if (!l->code.n) {
		text_add(out,
		    "  Your browser opens this page, which is for this machine "
		    "only:\n\n%.*s\n\n"
		    "  For others: awsenv login --use-device-code\n\n",
		    VIEW_ARG(l->url));
		return true;
	}
	text_add(out,
	    "  Open this page in a browser, on any machine:\n\n%.*s\n\n"
	    "  and allow it only if it shows this code:  %s%.*s%s\n\n",
	    VIEW_ARG(l->url), bold, VIEW_ARG(l->code), calm);
	if (l->host.n && getenv("SSH_CONNECTION"))
		text_add(out, "  Root of %s will hold the login.\n\n",
		    shown(l->host));
	qr_add(s, l, out);
	return true;
}
