/* SPDX-License-Identifier: ISC */
#include "awsenv/partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *
name_of(const char *region)
{
	return partition_of(view_str(region))->name;
}

static void
a_region_names_its_partition(void **state)
{
	(void)state;
	assert_string_equal(name_of("eu-west-1"), "aws");
	assert_string_equal(name_of("mx-central-1"), "aws");
	assert_string_equal(name_of("cn-northwest-1"), "aws-cn");
	assert_string_equal(name_of("us-gov-east-1"), "aws-us-gov");
	assert_string_equal(name_of("eusc-de-east-1"), "aws-eusc");
	assert_string_equal(name_of("us-iso-west-1"), "aws-iso");
	assert_string_equal(name_of("us-isob-east-1"), "aws-iso-b");
	assert_string_equal(name_of("eu-isoe-west-1"), "aws-iso-e");
	assert_string_equal(name_of("us-isof-south-1"), "aws-iso-f");
}

static void
what_is_no_region_is_taken_for_one_of_aws(void **state)
{
	static const char *const names[] = {"", "-", "cn-", "cn-north",
	    "cn-north-", "cn--1", "cn-north-1a", "us-gov-1", "xx-foo-1"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_string_equal(name_of(names[i]), "aws");
	assert_string_equal(partition_of((struct view){0})->name, "aws");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_region_names_its_partition),
	    cmocka_unit_test(what_is_no_region_is_taken_for_one_of_aws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
