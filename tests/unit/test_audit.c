/* SPDX-License-Identifier: ISC */
#include "awsenv/audit.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"

static void
add(struct audit *a, int pid)
{
	struct audit_line l;

	memset(&l, 0, sizeof(l));
	l.pid = pid;
	AUDIT_TEXT(l.profile, view_str("marketing"));
	audit_add(a, &l);
}

static void
lines_are_counted_and_the_last_thousand_stay(void **state)
{
	AUTOCLOSE int fd = audit_make();
	struct audit *a = audit_map(fd);
	struct audit_line l;
	uint64_t i;

	(void)state;
	assert_non_null(a);
	assert_int_equal(audit_first(a), 1);
	assert_int_equal(audit_next(a), 1);
	assert_false(audit_get(a, 1, &l));
	for (i = 1; i <= AUDIT_LINES + 10; i++)
		add(a, (int)i);
	assert_int_equal(audit_first(a), 11);
	assert_false(audit_get(a, 0, &l));
	assert_false(audit_get(a, 10, &l));
	for (i = 11; i < audit_next(a); i++) {
		assert_true(audit_get(a, i, &l));
		assert_int_equal(l.pid, i);
		assert_int_equal(l.number, i);
		assert_string_equal(l.profile, "marketing");
	}
	assert_false(audit_get(a, i, &l));
}

static void
what_is_mapped_again_goes_on_where_it_was(void **state)
{
	AUTOCLOSE int fd = audit_make();
	struct audit *a = audit_map(fd), *b = audit_map(fd);
	struct audit_line l;

	(void)state;
	add(a, 1);
	audit_program(a, 1, "/usr/bin/aws");
	audit_program(a, 2, "of no line");
	audit_set_written(a, 2);
	add(b, 2);
	assert_true(audit_get(b, 1, &l));
	assert_string_equal(l.program, "/usr/bin/aws");
	assert_true(audit_get(a, 2, &l));
	assert_int_equal(l.pid, 2);
	assert_string_equal(l.program, "");
	assert_int_equal(audit_written(b), 2);
}

static void
nobody_can_cut_it_short(void **state)
{
	AUTOCLOSE int fd = audit_make();
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, st.st_size * 2), -1);
}

static void
memory_of_another_form_is_none(void **state)
{
	AUTOCLOSE int other = memfd_create("test", MFD_CLOEXEC);
	AUTOCLOSE int fd = audit_make();
	uint32_t layout = 77;

	(void)state;
	assert_null(audit_map(-1));
	assert_null(audit_map(other));
	assert_true(audit_is(fd));
	assert_int_equal(pwrite(fd, &layout, sizeof(layout), 0), 4);
	assert_false(audit_is(fd));
	assert_null(audit_map(fd));
}

static void
texts_are_printable_whoever_wrote_them(void **state)
{
	AUTOCLOSE int fd = audit_make();
	struct audit *a = audit_map(fd);
	struct audit_line l;
	char out[8];

	(void)state;
	AUDIT_TEXT(out, view_str("a\nb\033[m=long"));
	assert_string_equal(out, "a?b?[m=");
	AUDIT_TEXT(out, ((struct view){0}));
	assert_string_equal(out, "");
	/* As a hostile broker would leave it: no end, and escapes. */
	memset(&l, '\033', sizeof(l));
	audit_add(a, &l);
	assert_true(audit_get(a, 1, &l));
	assert_int_equal(strlen(l.role), sizeof(l.role) - 1);
	assert_int_equal(strspn(l.role, "?"), sizeof(l.role) - 1);
	assert_int_equal(strspn(l.program, "?"), sizeof(l.program) - 1);
}

/* A line is whole or not there, while another process writes. */
static void
no_line_is_torn(void **state)
{
	AUTOCLOSE int fd = audit_make();
	struct audit *a = audit_map(fd);
	struct audit_line l;
	unsigned int seen = 0;
	uint64_t n;
	pid_t pid;
	char c;

	(void)state;
	if ((pid = fork()) == 0) {
		for (n = 0; n < 400000; n++) {
			memset(&l, 'a' + (int)(n % 26), sizeof(l));
			audit_add(a, &l);
		}
		_exit(0);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		n = audit_next(a) - 1;
		if (!audit_get(a, n, &l))
			continue;
		seen++;
		c = l.request[0];
		assert_int_equal(c, l.hops[0]);
		assert_int_equal(c, l.hops[sizeof(l.hops) - 2]);
		assert_int_equal(c, 'a' + (int)((n - 1) % 26));
	}
	assert_true(seen > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_are_counted_and_the_last_thousand_stay),
	    cmocka_unit_test(what_is_mapped_again_goes_on_where_it_was),
	    cmocka_unit_test(nobody_can_cut_it_short),
	    cmocka_unit_test(memory_of_another_form_is_none),
	    cmocka_unit_test(texts_are_printable_whoever_wrote_them),
	    cmocka_unit_test(no_line_is_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
