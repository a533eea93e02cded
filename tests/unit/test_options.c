/* SPDX-License-Identifier: ISC */
#include "agent/cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

#define WORDS 12

/* Parse words that are separated by blanks; what is left begins at *rest. */
static bool
take(struct options *o, const char *line, const char **rest, bool *dashes)
{
	static char copy[256], *words[WORDS + 1];
	char *word, *state = NULL, **argv = words;
	size_t n = 0;
	bool done;

	*o = (struct options){.wait = -1};
	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (word = strtok_r(copy, " ", &state); word && n < WORDS;
	     word = strtok_r(NULL, " ", &state))
		words[n++] = word;
	words[n] = NULL;
	done = options_take(o, &argv, dashes);
	*rest = *argv ? *argv : "";
	return done;
}

static void
options_stop_at_the_first_word(void **state)
{
	struct options o;
	const char *rest;
	bool dashes;

	(void)state;
	assert_true(
	    take(&o, "-p a --region=x aws --profile b", &rest, &dashes));
	assert_string_equal(o.profile, "a");
	assert_string_equal(o.region, "x");
	assert_string_equal(rest, "aws");
	assert_false(dashes);
	assert_int_equal(o.given, OPT_PROFILE | OPT_REGION);
	assert_true(take(&o, "--wait 30 -- -p", &rest, &dashes));
	assert_true(dashes);
	assert_int_equal(o.wait, 30);
	assert_string_equal(rest, "-p");
	/* A lone dash is a word. */
	assert_true(take(&o, "- x", &rest, &dashes));
	assert_string_equal(rest, "-");
}

static void
values_stand_in_the_same_word_or_the_next(void **state)
{
	static const char *const ways[] = {
	    "-p a=b", "-pa=b", "--profile a=b", "--profile=a=b"};
	struct options o;
	const char *rest;
	bool dashes;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		assert_true(take(&o, ways[i], &rest, &dashes));
		assert_string_equal(o.profile, "a=b");
		assert_string_equal(rest, "");
	}
}

static void
what_is_wrong_is_refused(void **state)
{
	static const char *const bad[] = {"--nosuch", "-x", "--profile",
	    "--profile=", "-p", "--env=1", "--wait x", "--wait -1", "--wait 5x",
	    "--wait 99999999999", "--for 5d", "--for 5mm", "--for m",
	    "--serve=1", "--for", "--profil x", "--profilex y", "-hx", "--p x",
	    "-p a -p b", "--json --json"};
	struct options o;
	const char *rest;
	bool dashes;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (take(&o, bad[i], &rest, &dashes))
			fail_msg("%s was taken", bad[i]);
	}
}

static void
options_that_contradict_are_refused(void **state)
{
	static const char *const bad[] = {"--account 1", "--role x",
	    "-p a --account 1 --role x", "--wait 3 --no-wait",
	    "--region Europe", "--region a;b", "--json"};
	static const char *const good[] = {"--account 1 --role x",
	    "--account x --role y --sso-session z --region eu-west-1",
	    "-p a --wait 0", "--core --env --no-browser"};
	struct options o;
	const char *rest;
	bool dashes;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(take(&o, bad[i], &rest, &dashes));
		assert_false(options_fit(&o, OPT_RUN, i & 1 ? "exec" : NULL));
	}
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(take(&o, good[i], &rest, &dashes));
		assert_true(options_fit(&o, OPT_RUN, NULL));
	}
}

static void
durations_have_a_unit_or_are_seconds(void **state)
{
	uint32_t s = 7;

	(void)state;
	assert_true(duration_parse("90", &s) && s == 90);
	assert_true(duration_parse("90s", &s) && s == 90);
	assert_true(duration_parse("15m", &s) && s == 900);
	assert_true(duration_parse("2h", &s) && s == 7200);
	assert_true(duration_parse("0", &s) && s == 0);
	assert_true(duration_parse("168h", &s) && s == 604800);
	assert_false(duration_parse("169h", &s));
	assert_false(duration_parse("4294967297", &s));
	assert_false(duration_parse("1.5h", &s));
	assert_false(duration_parse("", &s));
	assert_false(duration_parse(" 1", &s));
	assert_false(duration_parse("+1", &s));
}

static void
the_nearest_name_is_near(void **state)
{
	static const char names[][8] = {"login", "logout", "status", "export"};
	static const struct {
		const char *word, *near;
	} cases[] = {{"logni", "login"}, {"logut", "logout"},
	    {"stat", "status"}, {"exports", "export"}, {"xyz", NULL},
	    {"", NULL}, {"l", NULL},
	    {"a-word-that-is-longer-than-any-of-ours-is", NULL}};
	const char *near;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		near = nearest(cases[i].word, names[0], 4, sizeof(names[0]));
		if (cases[i].near)
			assert_string_equal(near, cases[i].near);
		else
			assert_null(near);
	}
}

static void
every_help_fits_a_terminal(void **state)
{
	static const char *const words[] = {
	    "exec", "whoami", "export", "process", "help", "version"};
	size_t i, j, col;

	(void)state;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const struct verb *v = verb_find(words[i]);
		AUTOBUF struct buf out = {0};

		assert_non_null(v);
		assert_true(strlen(v->text + strlen(v->text) + 1) < 66);
		options_help(v->options | OPT_HELP, &out);
		for (j = col = 0; j < out.len; j++) {
			col = out.data[j] == '\n' ? 0 : col + 1;
			assert_true(col < 80);
		}
	}
}

static void
verbs_are_a_closed_list(void **state)
{
	(void)state;
	assert_null(verb_find("agent"));
	assert_true(verb_apart("agent"));
	/* Its help is no verb. */
	assert_false(verb_apart("start or stop the agent"));
	assert_false(verb_apart(""));
	assert_null(verb_find("aws"));
	assert_null(verb_find(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(options_stop_at_the_first_word),
	    cmocka_unit_test(values_stand_in_the_same_word_or_the_next),
	    cmocka_unit_test(what_is_wrong_is_refused),
	    cmocka_unit_test(options_that_contradict_are_refused),
	    cmocka_unit_test(durations_have_a_unit_or_are_seconds),
	    cmocka_unit_test(the_nearest_name_is_near),
	    cmocka_unit_test(every_help_fits_a_terminal),
	    cmocka_unit_test(verbs_are_a_closed_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
