/* SPDX-License-Identifier: ISC */
/* The lines of audit.h on their way to a journal that is slow, ends, is not
 * there. */
#include "agent/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"

static char top[64], native[96], syslog_path[96];
static struct audit *lines;
static struct journal j;
static char got[4096];

static int
begin(void **state)
{
	AUTOCLOSE int fd = audit_make();

	(void)state;
	snprintf(top, sizeof(top), "/tmp/awsenv-test-XXXXXX");
	if (!mkdtemp(top) || !(lines = audit_map(fd)))
		return -1;
	snprintf(native, sizeof(native), "%s/socket", top);
	snprintf(syslog_path, sizeof(syslog_path), "%s/log", top);
	journal_open(&j, lines, native, syslog_path);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	if (j.fd >= 0)
		close(j.fd);
	unlink(native);
	unlink(syslog_path);
	return rmdir(top);
}

static int
collect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	unlink(path);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static const char *
next(int fd)
{
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	if (n < 0)
		return NULL;
	got[n] = '\0';
	return got;
}

/* The value of a field, up to the end of its line. */
static const char *
field(const char *name)
{
	static char value[600];
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "\n%s=", name);
	if (!(at = strstr(got, line)))
		return NULL;
	at += strlen(line);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\n"), at);
	return value;
}

static void
add(int pid, enum aw_err error)
{
	struct audit_line l;

	memset(&l, 0, sizeof(l));
	l.time = 1800000000;
	l.pid = pid;
	l.error = error;
	AUDIT_TEXT(l.request, view_str("creds@awsenv"));
	AUDIT_TEXT(l.origin, view_str("local"));
	AUDIT_TEXT(l.profile, view_str("mar\nPRIORITY=0"));
	AUDIT_TEXT(l.account, view_str("123456789012"));
	AUDIT_TEXT(l.role, view_str("Developer"));
	AUDIT_TEXT(l.key, view_str(error ? "" : "ASIAEXAMPLE"));
	audit_add(lines, &l);
}

static void
a_hand_out_is_one_line_with_fields(void **state)
{
	AUTOCLOSE int fd = collect(native);

	(void)state;
	add((int)getpid(), AW_OK);
	journal_write(&j);
	assert_non_null(next(fd));
	assert_string_equal(field("AWSENV_EVENT"), "gave");
	assert_string_equal(field("AWSENV_PROFILE"), "mar?PRIORITY=0");
	assert_string_equal(field("AWSENV_ACCOUNT"), "123456789012");
	assert_string_equal(field("AWSENV_ROLE"), "Developer");
	assert_string_equal(field("AWSENV_ACCESS_KEY_ID"), "ASIAEXAMPLE");
	assert_string_equal(field("AWSENV_ORIGIN"), "local");
	assert_string_equal(field("AWSENV_TIME"), "1800000000");
	assert_string_equal(field("SYSLOG_FACILITY"), "10");
	assert_string_equal(field("PRIORITY"), "6");
	assert_non_null(strstr(field("AWSENV_PROGRAM"), "test_journal"));
	assert_int_equal(atoi(field("AWSENV_PID")), getpid());
	assert_null(next(fd));
	assert_int_equal(audit_written(lines), audit_next(lines));
}

static void
a_refusal_says_why(void **state)
{
	AUTOCLOSE int fd = collect(native);

	(void)state;
	add(0, AW_DENIED);
	journal_write(&j);
	assert_non_null(next(fd));
	assert_string_equal(field("AWSENV_EVENT"), "refused");
	assert_string_equal(field("PRIORITY"), "5");
	assert_string_equal(field("AWSENV_ACCESS_KEY_ID"), "");
	assert_int_equal(atoi(field("AWSENV_ERROR")), AW_DENIED);
	assert_non_null(strstr(got, aw_strerror(AW_DENIED)));
}

static void
without_a_journal_syslog_gets_it(void **state)
{
	AUTOCLOSE int fd = collect(syslog_path);

	(void)state;
	add(1, AW_OK);
	journal_write(&j);
	assert_non_null(next(fd));
	assert_memory_equal(got, "<86>", 4); /* authpriv.info */
	assert_non_null(strstr(got, " awsenv["));
	assert_non_null(strstr(got, "ASIAEXAMPLE"));
	assert_null(strchr(got, '\n'));
}

static void
where_nobody_collects_nothing_is_kept_for_later(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < AUDIT_LINES * 2; i++)
		add(1, AW_OK);
	journal_write(&j);
	assert_int_equal(audit_written(lines), audit_next(lines));
	assert_int_equal(j.lost, 0);
	assert_int_equal(journal_wait_ms(&j), -1);
	/* ... and one that comes gets what is new. */
	AUTOCLOSE int fd = collect(native);
	add(4711, AW_OK);
	journal_write(&j);
	assert_non_null(next(fd));
	assert_string_equal(field("AWSENV_PID"), "4711");
	assert_null(next(fd));
}

static int
take_all(int fd, int from)
{
	for (; next(fd); from++)
		assert_int_equal(atoi(field("AWSENV_PID")), from);
	return from;
}

/* A unix socket takes about ten datagrams that nobody reads. */
static void
a_slow_journal_gets_every_line_in_order(void **state)
{
	AUTOCLOSE int fd = collect(native);
	int i, had = 1000000;

	(void)state;
	for (i = 0; i < 600; i++)
		add(1000000 + i, AW_OK);
	journal_write(&j);
	assert_true(j.full);
	assert_int_equal(journal_wait_ms(&j), -1); /* POLLOUT wakes us */
	for (i = 0; had < 1000600; i++) {
		assert_true(i < 1000);
		had = take_all(fd, had);
		journal_write(&j);
	}
	assert_int_equal(j.lost, 0);
	assert_false(j.full);
}

static void
lines_that_a_journal_did_not_take_are_counted(void **state)
{
	AUTOCLOSE int fd = collect(native);
	int i, had, lost = 0, total = AUDIT_LINES * 3;

	(void)state;
	for (i = 0; i < total; i++) {
		add(1000000 + i, AW_OK);
		if (i % 100 == 0)
			journal_write(&j);
	}
	for (had = 0; had + lost < total;) {
		journal_write(&j);
		if (!next(fd))
			continue;
		if (field("AWSENV_LOST"))
			lost += atoi(field("AWSENV_LOST"));
		else
			had++;
	}
	assert_true(lost > 0 && had >= AUDIT_LINES - 1);
	assert_int_equal(had + lost, total);
	journal_write(&j);
	assert_null(next(fd));
}

static void
a_journal_that_was_restarted_gets_the_rest(void **state)
{
	int fd = collect(native);

	(void)state;
	add(1, AW_OK);
	journal_write(&j);
	assert_non_null(next(fd));
	close(fd);
	unlink(native);
	add(4242, AW_OK);
	journal_write(&j);
	assert_true(journal_wait_ms(&j) > 0);
	assert_true(audit_written(lines) < audit_next(lines));
	fd = collect(native);
	journal_write(&j);
	assert_non_null(next(fd));
	assert_string_equal(field("AWSENV_PID"), "4242");
	assert_int_equal(journal_wait_ms(&j), -1);
	close(fd);
}

/* The spawner has no other work to wait for it: any numbers end the loop. */
static void
numbers_that_a_hostile_broker_wrote_do_no_harm(void **state)
{
	AUTOCLOSE int fd = collect(native);

	(void)state;
	add(1, AW_OK);
	assert_true(fd >= 0);
	audit_set_written(lines, UINT64_MAX);
	journal_write(&j);
	audit_set_written(lines, 0);
	journal_write(&j);
	assert_true(audit_written(lines) <= audit_next(lines));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_hand_out_is_one_line_with_fields),
	    TEST(a_refusal_says_why),
	    TEST(without_a_journal_syslog_gets_it),
	    TEST(where_nobody_collects_nothing_is_kept_for_later),
	    TEST(a_slow_journal_gets_every_line_in_order),
	    TEST(lines_that_a_journal_did_not_take_are_counted),
	    TEST(a_journal_that_was_restarted_gets_the_rest),
	    TEST(numbers_that_a_hostile_broker_wrote_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
