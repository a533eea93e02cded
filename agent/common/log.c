/* SPDX-License-Identifier: ISC */
#include "awsenv/log.h"

#include <errno.h>
#include <paths.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static const char *log_name = "awsenv";
static bool log_foreground = true;
static bool log_verbose;
static bool log_mute;

void
log_open(const char *name, bool foreground, bool debug)
{
	log_name = name;
	log_foreground = foreground;
	log_verbose = debug;
	if (foreground)
		return;
	/* Where nobody collects a log, as in most containers, syslog(3) would
	 * look for a collector at every line. */
	log_mute = access(_PATH_LOG, F_OK) != 0;
	/* Now, since some of us may make no socket later. */
	openlog(name, LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
}

void
log_close(void)
{
	closelog();
}

static void __attribute__((format(printf, 2, 0)))
log_write(int priority, const char *fmt, va_list ap)
{
	char line[1024];

	if (log_mute || (priority == LOG_DEBUG && !log_verbose))
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	if (log_foreground)
		fprintf(stderr, "%s: %s\n", log_name, line);
	else
		syslog(priority, "%s", line);
}

#define LOG_FUNCTION(name, priority)          \
	void name(const char *fmt, ...)       \
	{                                     \
		va_list ap;                   \
                                              \
		va_start(ap, fmt);            \
		log_write(priority, fmt, ap); \
		va_end(ap);                   \
	}

LOG_FUNCTION(log_debug, LOG_DEBUG)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_warn, LOG_WARNING)
LOG_FUNCTION(log_err, LOG_ERR)

void
fatal(const char *fmt, ...)
{
	int saved = errno;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_err("%s: %s", text, strerror(saved));
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write(LOG_ERR, fmt, ap);
	va_end(ap);
	exit(1);
}
