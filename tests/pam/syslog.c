/* SPDX-License-Identifier: ISC */
/* Preloaded: what would go to syslog goes to the file $PAM_LOG. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void vsyslog(int priority, const char *fmt, va_list ap);
void syslog(int priority, const char *fmt, ...);
void __vsyslog_chk(int priority, int flag, const char *fmt, va_list ap);
void __syslog_chk(int priority, int flag, const char *fmt, ...);

static char path[4096];

/* sshd's process that authenticates has no environment any more. */
static __attribute__((constructor)) void
remember(void)
{
	const char *given = getenv("PAM_LOG");

	if (given && strlen(given) < sizeof(path))
		memcpy(path, given, strlen(given) + 1);
}

void
vsyslog(int priority, const char *fmt, va_list ap)
{
	int fd = *path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	dprintf(fd, "%d ", priority & 7);
	vdprintf(fd, fmt, ap);
	dprintf(fd, "\n");
	close(fd);
}

void
syslog(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsyslog(priority, fmt, ap);
	va_end(ap);
}

void
__vsyslog_chk(int priority, int flag, const char *fmt, va_list ap)
{
	(void)flag;
	vsyslog(priority, fmt, ap);
}

void
__syslog_chk(int priority, int flag, const char *fmt, ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, fmt);
	vsyslog(priority, fmt, ap);
	va_end(ap);
}
