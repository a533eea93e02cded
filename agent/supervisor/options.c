/* SPDX-License-Identifier: ISC */
#include "supervisor.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: awsenv-agent [-c | -s] [-Dd] [-a bind_address] [-t life] "
    "[command [arg ...]]\n"
    "       awsenv-agent [-c | -s] [-a bind_address] -k\n";

/* Time as sshd_config(5) writes it: 90, 15m, 1h30m. */
static bool
parse_life(const char *s, uint32_t *life)
{
	static const char units[] = "smhdw";
	static const uint32_t seconds[] = {1, 60, 3600, 86400, 604800};
	unsigned long long n, sum = 0;
	const char *unit;
	char *end;

	do {
		if (!isdigit((unsigned char)*s))
			return false;
		errno = 0;
		n = strtoull(s, &end, 10);
		unit =
		    *end ? strchr(units, tolower((unsigned char)*end)) : units;
		if (errno || !unit || n > INT32_MAX)
			return false;
		sum += n * seconds[unit - units];
		if (sum > INT32_MAX)
			return false;
		s = *end ? end + 1 : end;
	} while (*s);
	*life = (uint32_t)sum;
	return sum > 0;
}

static bool
is_csh(void)
{
	const char *shell = getenv("SHELL");
	size_t n = shell ? strlen(shell) : 0;

	return n >= 3 && strcmp(shell + n - 3, "csh") == 0;
}

/* A path that a shell, a log and a sockaddr can hold. */
static bool
is_address(const char *path)
{
	const char *c;

	for (c = path; *c; c++) {
		if (iscntrl((unsigned char)*c))
			return false;
	}
	return path[0] == '/' && strlen(path) < CLIENT_PATH;
}

static bool
wrong(const char *why, const char *arg)
{
	fprintf(stderr, "awsenv-agent: %s: %s\n", why, arg);
	return false;
}

static bool
parse_option(int c, struct options *o)
{
	switch (c) {
	case 'a':
		o->bind = optarg;
		return is_address(optarg) ||
		    wrong("not an absolute path of at most 107 bytes", optarg);
	case 'c':
	case 's':
		o->csh = c == 'c';
		return true;
	case 'd':
		o->debug = true;
		o->foreground = true;
		return true;
	case 'D':
		o->foreground = true;
		return true;
	case 'k':
		o->stop = true;
		return true;
	case 't':
		return parse_life(optarg, &o->lifetime) ||
		    wrong("not a life time such as 90, 15m or 1h30m", optarg);
	case 'R':
		o->resume = (int)strtoul(optarg, NULL, 10);
		return true;
	default:
		fputs(usage, stderr);
		return false;
	}
}

bool
options_parse(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){.csh = is_csh(), .resume = -1};
	while ((c = getopt(argc, argv, "+a:cDdkst:R:")) != -1) {
		if (!parse_option(c, o))
			return false;
	}
	if (optind < argc)
		o->command = argv + optind;
	if (o->command && (o->stop || o->foreground)) {
		fputs(usage, stderr);
		return false;
	}
	return true;
}
