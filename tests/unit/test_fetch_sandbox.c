/* SPDX-License-Identifier: ISC */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NO_LANDLOCK = 77 };

static char folder[] = "/tmp/awsenv-sandbox.XXXXXX";

/* What the child is still allowed to do, as bits of its exit status. */
static int
probe(void)
{
	char path[64];
	int allowed = 0, fd;

	snprintf(path, sizeof(path), "%s/new", folder);
	if (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
		allowed |= 1;
	snprintf(path, sizeof(path), "%s/old", folder);
	if (open(path, O_WRONLY) >= 0 || errno != EACCES)
		allowed |= 2;
	if (unlink(path) == 0 || errno != EACCES)
		allowed |= 4;
	if (execl("/bin/true", "true", NULL) == -1 && errno != EACCES)
		allowed |= 8;
	if ((fd = open(path, O_RDONLY)) < 0)
		allowed |= 16;
	if (socket(AF_INET, SOCK_STREAM, 0) < 0)
		allowed |= 32;
	close(fd);
	return allowed;
}

static void
files_are_read_and_not_written_nor_run(void **state)
{
	char path[64];
	int status, fd;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/old", folder);
	assert_true((fd = open(path, O_WRONLY | O_CREAT, 0600)) >= 0);
	close(fd);
	assert_true((pid = fork()) >= 0);
	if (pid == 0)
		_exit(sandbox_read_only() ? probe() : NO_LANDLOCK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(path);
	rmdir(folder);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_LANDLOCK)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_read_and_not_written_nor_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
