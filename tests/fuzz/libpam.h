/* SPDX-License-Identifier: ISC */
/*
 * libpam, as far as targets and tests have the same of it: what the module keeps
 * in a handle, and what it tells a log and a person. They say what they make of
 * that. Included once by each.
 */
#ifndef FUZZ_LIBPAM_H
#define FUZZ_LIBPAM_H

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

#define LIBPAM_DATA_MOST 4

/* Their own: a line for the log, a text for the person, and whether
 * there is no memory for what is to be kept. */
static void on_log(const char *line);
static int on_prompt(int style, const char *text, char **answer);
static bool on_keep(void);

static struct {
	const char *name;
	void *data;
	void (*end)(pam_handle_t *, void *, int);
} libpam_data[LIBPAM_DATA_MOST];

/* Nobody looks into it. */
static pam_handle_t *const handle = (pam_handle_t *)libpam_data;

static __attribute__((unused)) bool
is_plain(const char *text)
{
	while (*text == '\n' || (*text >= ' ' && *text <= '~'))
		text++;
	return !*text;
}

int
pam_get_data(const pam_handle_t *h, const char *name, const void **data)
{
	int i;

	assert(h == handle);
	for (i = 0; i < LIBPAM_DATA_MOST; i++) {
		if (libpam_data[i].name &&
		    strcmp(libpam_data[i].name, name) == 0) {
			*data = libpam_data[i].data;
			return PAM_SUCCESS;
		}
	}
	return PAM_NO_MODULE_DATA;
}

int
pam_set_data(pam_handle_t *h, const char *name, void *data,
    void (*end)(pam_handle_t *, void *, int))
{
	int i = 0;

	assert(h == handle);
	if (!on_keep())
		return PAM_BUF_ERR;
	while (libpam_data[i].name && strcmp(libpam_data[i].name, name) != 0) {
		i++;
		assert(i < LIBPAM_DATA_MOST);
	}
	if (libpam_data[i].name && libpam_data[i].end)
		libpam_data[i].end(h, libpam_data[i].data, PAM_DATA_REPLACE);
	libpam_data[i].name = name;
	libpam_data[i].data = data;
	libpam_data[i].end = end;
	return PAM_SUCCESS;
}

/* As pam_end(3) does. */
static void
libpam_end(void)
{
	int i;

	for (i = 0; i < LIBPAM_DATA_MOST; i++) {
		if (libpam_data[i].name && libpam_data[i].end)
			libpam_data[i].end(handle, libpam_data[i].data, 0);
	}
	memset(libpam_data, 0, sizeof(libpam_data));
}

void
pam_syslog(const pam_handle_t *h, int priority, const char *fmt, ...)
{
	char line[4096];
	va_list ap;
	int n;

	(void)priority;
	assert(h == handle);
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert(n > 0 && n < (int)sizeof(line));
	on_log(line);
}

int
pam_prompt(pam_handle_t *h, int style, char **answer, const char *fmt, ...)
{
	static char text[65536];
	va_list ap;
	int n;

	assert(h == handle);
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert(n > 0 && n < (int)sizeof(text));
	return on_prompt(style, text, answer);
}

#endif
