/* SPDX-License-Identifier: ISC */
/*
 * awsenv-agent's own start and end, as a shell sees them, with each call
 * failing once in turn: what runs is told by its socket and pid, or status 1
 * is, with the reason; and no process is taken for the agent that is not.
 */
int agent_main(int argc, char **argv);
#define main agent_main
#include "agent/supervisor/main.c" /* NOLINT: it is no archive's */
#undef main

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/unit/failing.h"

static char path[] = "/tmp/awsenv-failing-start.sock";
static pid_t *runs; /* shared: the agent that does, or 0 */
static int *untold;
static int end[2];   /* it does until this closes */
static bool its_own; /* its calls fail, and not those of who starts it */

/* ---- what stands in */

void
agent_init(struct agent *a)
{
	a->lock = a->command = -1;
}

enum aw_err
socket_own(struct agent *a, const char *at, pid_t *pid)
{
	(void)a;
	must(strcmp(at, path) == 0);
	*pid = *runs;
	if (its_own)
		failing_go();
	return *runs ? AW_BUSY : AW_OK;
}

int
socket_activated(struct agent *a)
{
	(void)a;
	return 0;
}

pid_t
socket_wait_gone(const char *at)
{
	(void)at;
	return 0;
}

void
agent_start(struct agent *a)
{
	(void)a;
	*runs = getpid();
}

void
agent_resume(struct agent *a, int state)
{
	(void)a;
	(void)state;
}

int
agent_run(struct agent *a)
{
	char c;

	(void)a;
	failing_rest();
	close(end[1]);
	must(read(end[0], &c, 1) == 0);
	return 0;
}

/* ---- what a shell sees */

static int real[2], files[2]; /* stdout and stderr */
static char said[2][4096];

static void
listen_to_it(void)
{
	int i;

	fflush(stdout);
	for (i = 0; i < 2; i++) {
		must((real[i] = dup(i + 1)) >= 0);
		must((files[i] = memfd_create("said", MFD_CLOEXEC)) >= 0);
		must(dup2(files[i], i + 1) == i + 1);
	}
}

static void
hear_it(void)
{
	ssize_t n;
	int i;

	fflush(stdout);
	for (i = 0; i < 2; i++) {
		n = pread(files[i], said[i], sizeof(said[i]) - 1, 0);
		said[i][n > 0 ? n : 0] = '\0';
		dup2(real[i], i + 1);
		close(real[i]);
		close(files[i]);
	}
}

/* ---- start */

static void
must_be_told(pid_t pid)
{
	char number[32];

	snprintf(number, sizeof(number), "echo Agent pid %d;", (int)pid);
	must(strstr(said[0], path) && strstr(said[0], number));
}

static int
start_one(void)
{
	static const struct options o = {.bind = path, .resume = -1};
	int status;

	failing_rest();
	alarm(60);
	agent_init(&agent);
	must(pipe2(end, O_CLOEXEC) == 0);
	listen_to_it();
	if (!its_own)
		failing_go();
	status = start(&o);
	failing_rest();
	hear_it();
	return status;
}

static void
end_it(void)
{
	close(end[0]);
	close(end[1]);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	*runs = 0;
}

static enum aw_err
start_and_see(void)
{
	int status = start_one();

	if (status == 0)
		must_be_told(*runs);
	else
		must(status == 1 && !*said[0] && *said[1]);
	end_it();
	return AW_OK;
}

static enum aw_err
find_one(void)
{
	int status;

	*runs = 4711;
	status = start_one();
	if (status == 0)
		must_be_told(4711);
	else
		must(status == 1 && !*said[0] && *said[1]);
	end_it();
	return AW_OK;
}

/* It goes on: the next start finds it. */
static enum aw_err
start_one_that_cannot_tell(void)
{
	its_own = true;
	if (start_one() == 0) {
		must_be_told(*runs);
		end_it();
		return AW_OK;
	}
	*untold += 1;
	must(!*said[0] && strstr(said[1], "nobody waits"));
	must(*runs > 0 && kill(*runs, 0) == 0);
	end_it();
	return AW_OK;
}

static void
an_agent_is_told_of_or_why_there_is_none(void **state)
{
	static const int errors[] = {ENOMEM, EIO};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		assert_true(
		    each_fails_apart(start_and_see, errors[i], true) >= 3);
		assert_true(each_fails_apart(find_one, errors[i], true) >= 3);
	}
	/* It is another process whose first call fails. */
	each_fails_apart(start_one_that_cannot_tell, EIO, true);
	assert_int_equal(*untold, 1);
}

/* ---- stop */

static pid_t
begin_one(const char *name)
{
	int named[2];
	pid_t pid;
	char c;

	must(pipe2(named, O_CLOEXEC) == 0);
	if ((pid = fork()) == 0) {
		signal(SIGTERM, SIG_DFL);
		prctl(PR_SET_NAME, name);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		must(write(named[1], "", 1) == 1);
		for (;;)
			pause();
	}
	must(pid > 0 && read(named[0], &c, 1) == 1);
	close(named[0]);
	close(named[1]);
	return pid;
}

/* Nobody answers at its socket: what is known of it is a pid. */
static enum aw_err
stop_it(const char *name)
{
	static const struct options o = {.bind = path, .stop = true};
	char number[16];
	int status, how;
	pid_t pid;

	failing_rest();
	alarm(60);
	pid = begin_one(name);
	snprintf(number, sizeof(number), "%d", (int)pid);
	must(setenv("AWSENV_AGENT_PID", number, 1) == 0);
	listen_to_it();
	failing_go();
	status = stop(&o);
	failing_rest();
	hear_it();
	if (status)
		kill(pid, SIGKILL);
	must(waitpid(pid, &how, 0) == pid && WIFSIGNALED(how));
	must(WTERMSIG(how) == (status ? SIGKILL : SIGTERM));
	must(status ? !*said[0] && *said[1] : strstr(said[0], number) != NULL);
	return status ? AW_SYSTEM : AW_OK;
}

static enum aw_err
stop_an_agent(void)
{
	return stop_it("awsenv-agent");
}

static enum aw_err
stop_another(void)
{
	must(stop_it("awsenv-agents") == AW_SYSTEM);
	return AW_OK;
}

static void
what_is_not_known_to_be_an_agent_is_not_ended(void **state)
{
	static const int errors[] = {ENOMEM, EIO};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		assert_true(
		    each_fails_apart(stop_an_agent, errors[i], true) >= 3);
		assert_true(
		    each_fails_apart(stop_another, errors[i], true) >= 3);
	}
}

static int
begin(void **state)
{
	(void)state;
	runs = failing_shared(2 * sizeof(*runs));
	log_open("awsenv-agent", true, false);
	untold = runs + 1;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_agent_is_told_of_or_why_there_is_none),
	    cmocka_unit_test(what_is_not_known_to_be_an_agent_is_not_ended),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
