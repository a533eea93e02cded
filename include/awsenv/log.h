/* SPDX-License-Identifier: ISC */
/*
 * The log of the agent's own processes: to stderr in the foreground, else to
 * syslog (LOG_AUTHPRIV). One line each; the broker writes one per request. No
 * format here ever takes a sealed secret. The wrapper and the PAM module do
 * not use this.
 */
#ifndef AWSENV_LOG_H
#define AWSENV_LOG_H

#include <stdbool.h>

/* `name` must outlive the process. */
void log_open(const char *name, bool foreground, bool debug);

/* Let go of the collector's socket, before descriptors are closed wholesale. */
void log_close(void);

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* End the process with status 1; fatal() adds strerror(errno). For broken
 * invariants and lack of memory in our own daemons. */
void fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));
void fatalx(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

#endif
