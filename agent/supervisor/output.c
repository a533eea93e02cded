/* SPDX-License-Identifier: ISC */
#include "supervisor.h"

#include <stdio.h>

/* In single quotes; csh expands "!" even there. */
static void
put_quoted(bool csh, const char *s)
{
	putchar('\'');
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", stdout);
		else if (csh && *s == '!')
			fputs("\\!", stdout);
		else
			putchar(*s);
	}
	putchar('\'');
}

void
output_set(bool csh, const char *path, pid_t pid)
{
	fputs(csh ? "setenv AWSENV_SOCK " : "AWSENV_SOCK=", stdout);
	put_quoted(csh, path);
	puts(csh ? ";" : "; export AWSENV_SOCK;");
	if (pid > 0 && csh)
		printf("setenv AWSENV_AGENT_PID %d;\n", (int)pid);
	else if (pid > 0)
		printf("AWSENV_AGENT_PID=%d; export AWSENV_AGENT_PID;\n",
		    (int)pid);
	if (pid > 0)
		printf("echo Agent pid %d;\n", (int)pid);
	fflush(stdout);
}

void
output_unset(bool csh, pid_t pid)
{
	const char *word = csh ? "unsetenv" : "unset";

	printf("%s AWSENV_SOCK;\n%s AWSENV_AGENT_PID;\n", word, word);
	if (pid > 0)
		printf("echo Agent pid %d killed;\n", (int)pid);
	else
		puts("echo Agent stopped;");
	fflush(stdout);
}
