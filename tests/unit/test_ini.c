/* SPDX-License-Identifier: ISC */
#include "agent/profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct config config;
static struct file *files[2];

static int
start(void **state)
{
	(void)state;
	files[0] = config_file(&config, view_str("/etc/awsenv/config"), true);
	files[1] =
	    config_file(&config, view_str("/home/ann/.aws/config"), false);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	config_free(&config);
	return 0;
}

static void
read_user(const char *text)
{
	ini_parse(&config, files[1], view_str(text));
}

static void
read_admin(const char *text)
{
	ini_parse(&config, files[0], view_str(text));
}

static const struct section *
profile(const char *name)
{
	return config_section(&config, SECTION_PROFILE, view_str(name));
}

static void
assert_value(const char *name, const char *key, const char *value)
{
	struct view v = config_value(&config, profile(name), key);

	assert_non_null(profile(name));
	assert_int_equal(v.n, strlen(value));
	assert_memory_equal(v.n ? v.p : (const uint8_t *)"", value, v.n);
}

/* The only problem there is, and where. */
static void
assert_told(uint32_t line, const char *part)
{
	assert_non_null(config.problem);
	assert_null(config.problem->next);
	assert_int_equal(config.problem->line, line);
	assert_non_null(memmem(config.problem->text.p, config.problem->text.n,
	    part, strlen(part)));
}

static void
keys_are_split_at_the_first_equals_or_colon(void **state)
{
	(void)state;
	read_user("[profile a]\nx = 1=2:3\ny:4=5\nz\t=\t6 \n");
	assert_value("a", "x", "1=2:3");
	assert_value("a", "y", "4=5");
	assert_null(config.problem);
}

static void
keys_are_in_lower_case_but_not_in_a_block(void **state)
{
	const struct entry *e;

	(void)state;
	read_user("[profile a]\nS3 =\n  Max = 1\n  max = 2\n");
	e = config_get(&config, profile("a"), "s3");
	assert_non_null(e);
	assert_int_equal(config_nested(&config, e, "Max")->value.p[0], '1');
	assert_int_equal(config_nested(&config, e, "max")->value.p[0], '2');
	assert_null(config_nested(&config, e, "MAX"));
}

static void
an_inline_comment_needs_a_blank_before_it(void **state)
{
	(void)state;
	read_user(
	    "[profile a]\nx = v # c\ny = v#c\nz = v;c ;d\nw = #c\nu =#c\n");
	assert_value("a", "x", "v");
	assert_value("a", "y", "v#c");
	assert_value("a", "z", "v;c");
	assert_value("a", "w", "");
	assert_value("a", "u", "#c");
	assert_null(config.problem);
}

static void
a_comment_behind_a_key_that_counts_is_told(void **state)
{
	(void)state;
	read_user("[profile a]\nregion = eu-west-1 # home\n");
	assert_value("a", "region", "eu-west-1");
	assert_told(2, "the AWS CLI");
}

static void
a_line_indented_deeper_goes_on_with_the_value(void **state)
{
	(void)state;
	read_user("[profile a]\n  x = 1\n   2\n\n  # no\n   3\n  y = 4\n");
	assert_value("a", "x", "1\n   2\n\n  # no\n   3");
	assert_value("a", "y", "4");
}

static void
a_key_that_slipped_to_the_right_is_told(void **state)
{
	(void)state;
	read_user("[profile a]\nx = 1\n region = eu-west-1\n");
	assert_told(3, "remove the blanks in front of region");
}

static void
sections_given_twice_are_one_and_the_last_word_counts(void **state)
{
	(void)state;
	read_user(
	    "[profile a]\nx = 1\ny = 1\n[profile b]\n[profile a]\ny = 2\n");
	assert_value("a", "x", "1");
	assert_value("a", "y", "2");
	assert_int_equal(config.profiles, 2);
}

static void
defaults_count_in_every_section_of_their_file(void **state)
{
	(void)state;
	read_user("[profile a]\nx = 1\n[DEFAULT]\nx = 2\ny = 3\n");
	assert_value("a", "x", "1");
	assert_value("a", "y", "3");
}

static void
profile_default_goes_before_default_wherever_it_stands(void **state)
{
	(void)state;
	read_user("[profile default]\nx = 1\n[default]\nx = 2\ny = 3\n");
	assert_value("default", "x", "1");
	assert_value("default", "y", "");
	assert_told(3, "[profile default]");
	config_free(&config);
	start(state);
	read_user("[default]\nx = 2\ny = 3\n[profile default]\nx = 1\n");
	assert_value("default", "x", "1");
	assert_value("default", "y", "");
	assert_told(4, "[profile default]");
}

static void
lines_end_as_they_do_for_python(void **state)
{
	(void)state;
	read_user("\xef\xbb\xbf[profile a]\r\nx = 1\ry = 2\nz = 3\r\n\r\n");
	assert_value("a", "x", "1");
	assert_value("a", "y", "2");
	assert_value("a", "z", "3");
	assert_null(config.problem);
}

static void
a_bad_line_costs_that_line(void **state)
{
	static const char *const bad[] = {
	    "// a comment",
	    "words",
	    "= v",
	    ": v",
	    "[x",
	    "[profile a b]",
	    "[profile 'x]",
	    "[profile ]",
	    "[]",
	    "[other thing]",
	    "[name]",
	    "[sso-session]",
	    "[profile x\x01]",
	    "\xff = 1",
	};
	char text[256];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		config_free(&config);
		start(state);
		snprintf(text, sizeof(text),
		    "[profile a]\nx = 1\n%s\n[profile z]\ny = 2\n", bad[i]);
		read_user(text);
		assert_value("a", "x", "1");
		assert_value("z", "y", "2");
		assert_told(3, "");
	}
}

static void
keys_below_a_bad_header_belong_to_nobody(void **state)
{
	(void)state;
	read_user("[profile a]\nx = 1\n[profile b\nx = 2\n[c]\nx = 3\n");
	assert_value("a", "x", "1");
	assert_null(profile("b"));
	assert_null(profile("c"));
}

static void
lines_before_the_first_section_are_told_once(void **state)
{
	(void)state;
	read_user("x = 1\ny = 2\n[profile a]\nz = 3\n");
	assert_value("a", "z", "3");
	assert_told(1, "before any section");
}

static void
the_first_hundred_problems_are_told(void **state)
{
	char text[64 + 3 * 500] = "[profile a]\n";
	const struct problem *p;
	int i, n = 0;

	(void)state;
	for (i = 0; i < 500; i++)
		memcpy(text + 12 + 3 * i, "oh\n", 4);
	read_user(text);
	for (p = config.problem; p; p = p->next)
		n++;
	assert_int_equal(n, CONFIG_PROBLEMS_MAX + 1);
}

static void
the_user_stands_on_the_administrator(void **state)
{
	(void)state;
	read_admin("[profile a]\nx = 1\ny = 1\n[DEFAULT]\nz = 1\n");
	read_user("[profile a]\ny = 2\n[DEFAULT]\nw = 2\n");
	assert_value("a", "x", "1");
	assert_value("a", "y", "2");
	assert_value("a", "z", "1");
	assert_value("a", "w", "2");
	assert_null(config.problem);
}

static void
what_is_enforced_is_not_stood_upon(void **state)
{
	(void)state;
	read_admin("[profile a]\nx = 1\nawsenv_enforce = true\n");
	read_user("[profile a]\nx = 2\n[DEFAULT]\ny = 2\n[profile a]\nx = 3\n");
	assert_value("a", "x", "1");
	assert_value("a", "y", "");
}

static void
a_user_cannot_enforce_nor_undo_it(void **state)
{
	(void)state;
	read_admin("[profile a]\nx = 1\n[profile b]\nx = 1\n"
		   "awsenv_enforce = maybe\n");
	read_user("[profile a]\nawsenv_enforce = true\nx = 2\n"
		  "[profile b]\nawsenv_enforce = false\nx = 2\n");
	assert_value("a", "x", "2");
	assert_value("b", "x", "1");
}

static void
an_empty_or_cut_file_is_read(void **state)
{
	static const char text[] = "[profile a]\r\nx = 1\n y =\n z = 1\n";
	size_t i;

	for (i = 0; i <= strlen(text); i++) {
		config_free(&config);
		start(state);
		ini_parse(&config, files[1],
		    (struct view){(const uint8_t *)text, (uint32_t)i});
	}
	assert_value("a", "x", "1\n y =\n z = 1");
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(keys_are_split_at_the_first_equals_or_colon),
	    T(keys_are_in_lower_case_but_not_in_a_block),
	    T(an_inline_comment_needs_a_blank_before_it),
	    T(a_comment_behind_a_key_that_counts_is_told),
	    T(a_line_indented_deeper_goes_on_with_the_value),
	    T(a_key_that_slipped_to_the_right_is_told),
	    T(sections_given_twice_are_one_and_the_last_word_counts),
	    T(defaults_count_in_every_section_of_their_file),
	    T(profile_default_goes_before_default_wherever_it_stands),
	    T(lines_end_as_they_do_for_python),
	    T(a_bad_line_costs_that_line),
	    T(keys_below_a_bad_header_belong_to_nobody),
	    T(lines_before_the_first_section_are_told_once),
	    T(the_first_hundred_problems_are_told),
	    T(the_user_stands_on_the_administrator),
	    T(what_is_enforced_is_not_stood_upon),
	    T(a_user_cannot_enforce_nor_undo_it),
	    T(an_empty_or_cut_file_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
