/* SPDX-License-Identifier: ISC */
#include "agent/cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Each has something: summer time, half hours, the other hemisphere, none. */
static const char *const zones[] = {"Europe/Berlin", "America/New_York",
    "Asia/Kolkata", "Asia/Tokyo", "Australia/Lord_Howe", "America/St_Johns",
    "Pacific/Chatham", "Etc/UTC", ":Europe/Lisbon"};

#define FIRST 1700000000      /* 2023 */
#define LAST_ASKED 2100000000 /* 2036 */

static void
offsets_are_those_of_libc(void **state)
{
	size_t i;
	int64_t t;

	(void)state;
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0)
		skip();
	for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		setenv("TZ", zones[i], 1);
		tzset();
		for (t = FIRST; t < LAST_ASKED; t += 86400 * 9 + 3607) {
			int32_t offset = 0;
			time_t when = t;
			struct tm tm;

			localtime_r(&when, &tm);
			assert_true(zone_offset((uint64_t)t, &offset));
			assert_int_equal(offset, tm.tm_gmtoff);
		}
	}
}

static void
rules_and_nonsense_are_not_guessed_at(void **state)
{
	static const char *const odd[] = {"CET-1CEST,M3.5.0,M10.5.0/3", "",
	    "../../../etc/passwd", "/etc/passwd", "/dev/null", "/etc",
	    "No/Such_Zone", "/dev/zero"};
	int32_t offset = 77;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		setenv("TZ", odd[i], 1);
		assert_false(zone_offset(1795219200, &offset));
	}
	/* After the last transition of the file its rule would have to be read. */
	setenv("TZ", "Europe/Berlin", 1);
	assert_false(zone_offset(4102444800, &offset));
}

static void
a_cut_or_damaged_zone_file_is_no_harm(void **state)
{
	char path[] = "/tmp/awsenv-zone-XXXXXX", data[4096];
	FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "r");
	int fd = mkstemp(path);
	int32_t offset;
	size_t n, cut;

	(void)state;
	if (!f)
		skip();
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	setenv("TZ", path, 1);
	for (cut = 0; cut < n; cut += 7) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, data, cut, 0), (ssize_t)cut);
		zone_offset(1795219200, &offset);
	}
	for (cut = 20; cut < 44; cut++) {
		char was = data[cut];

		data[cut] = (char)0xff;
		assert_int_equal(pwrite(fd, data, n, 0), (ssize_t)n);
		zone_offset(1795219200, &offset);
		data[cut] = was;
	}
	close(fd);
	unlink(path);
}

static void
clock_time_says_utc_where_the_zone_is_not_known(void **state)
{
	char out[CLOCK_TIME];
	uint64_t later = now() / 86400 * 86400 + 86400 * 40 + 3600 * 14 + 300;

	(void)state;
	setenv("TZ", "", 1);
	clock_time(out, later);
	assert_string_equal(out + 10, " 14:05 UTC");
	setenv("TZ", "Asia/Tokyo", 1);
	clock_time(out, later);
	assert_string_equal(out + 10, " 23:05");
	clock_time(out, UINT64_MAX);
	assert_string_equal(out, "");
	clock_time(out, now());
	assert_int_equal(strlen(out), 5);
}

static void
iso_time_is_that_of_libc(void **state)
{
	char ours[ISO_TIME], theirs[32];
	struct tm tm;
	time_t t;

	(void)state;
	for (t = 0; t < 253402300800; t += 86400L * 31 + 12347) {
		gmtime_r(&t, &tm);
		strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%SZ", &tm);
		iso_time(ours, (uint64_t)t);
		assert_string_equal(ours, theirs);
	}
	iso_time(ours, 951782400);
	assert_string_equal(ours, "2000-02-29T00:00:00Z");
	iso_time(ours, 253402300800);
	assert_string_equal(ours, "");
	iso_time(ours, UINT64_MAX);
	assert_string_equal(ours, "");
}

static void
iso_read_takes_back_what_iso_time_writes_and_nothing_else(void **state)
{
	static const char *const bad[] = {"", "Z", "2026-02-30T00:00:00Z",
	    "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z",
	    "2026-01-01T00:00:60Z", "2026-01-01T00:00:00",
	    "2026-01-01T00:00:00Zz", "2026-01-01T00:00:00+00:00",
	    "1969-12-31T23:59:59Z", "99999-01-01T00:00:00Z", "~"};
	char text[ISO_TIME];
	uint64_t t, back;
	size_t i;

	(void)state;
	for (t = 0; t < 253402300800; t += 86400L * 31 + 12347) {
		iso_time(text, t);
		assert_true(iso_read(text, &back));
		assert_int_equal(back, t);
	}
	assert_true(iso_read("9999-12-31T23:59:59Z", &back));
	assert_int_equal(back, 253402300799);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(iso_read(bad[i], &back));
}

static void
time_left_is_said_in_one_unit_or_two(void **state)
{
	char out[TIME_LEFT];

	(void)state;
	time_left(out, 0);
	assert_string_equal(out, "0 s");
	time_left(out, now() + 600 + 30);
	assert_string_equal(out, "10 min");
	time_left(out, now() + 7 * 3600 + 330);
	assert_string_equal(out, "7 h 05 min");
	time_left(out, now() + 90 * 86400 + 30);
	assert_string_equal(out, "90 days");
	time_left(out, UINT64_MAX);
	assert_non_null(strstr(out, " days"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(offsets_are_those_of_libc),
	    cmocka_unit_test(rules_and_nonsense_are_not_guessed_at),
	    cmocka_unit_test(a_cut_or_damaged_zone_file_is_no_harm),
	    cmocka_unit_test(clock_time_says_utc_where_the_zone_is_not_known),
	    cmocka_unit_test(iso_time_is_that_of_libc),
	    cmocka_unit_test(
		iso_read_takes_back_what_iso_time_writes_and_nothing_else),
	    cmocka_unit_test(time_left_is_said_in_one_unit_or_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
