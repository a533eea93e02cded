/* SPDX-License-Identifier: ISC */
/* Changes to a config file: what is not ours stays as it is. */
#include "agent/cli/ctl/edit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BEGIN "# >>> awsenv configure corp >>>\n"
#define END "# <<< awsenv configure corp <<<\n"

static struct text
text(const char *s)
{
	return (struct text){.p = (char *)(uintptr_t)s, .n = strlen(s)};
}

static void
assert_text(const struct text *t, const char *s)
{
	assert_int_equal(t->n, strlen(s));
	assert_memory_equal(t->p, s, t->n);
}

static void
check_put(const char *before, const char *body, const char *after)
{
	struct text t = text(before), b = text(body), out = {0}, back = {0};
	unsigned int line;

	assert_int_equal(block_put(&t, "corp", &b, &out, &line), AW_OK);
	assert_text(&out, after);
	/* Once more changes nothing. */
	assert_int_equal(block_put(&out, "corp", &b, &back, &line), AW_OK);
	assert_text(&back, after);
	text_free(&back);
	assert_int_equal(edit_undo(&out, "corp", &back, &line), AW_OK);
	assert_text(&back, before);
	text_free(&back);
	assert_int_equal(edit_undo(&out, NULL, &back, &line), AW_OK);
	assert_text(&back, before);
	text_free(&back);
	text_free(&out);
}

static void
a_block_is_put_behind_what_there_is(void **state)
{
	(void)state;
	check_put("", "x\n", BEGIN "x\n" END);
	check_put("[default]\n", "x\n", "[default]\n" BEGIN "x\n" END);
	check_put("[default]\r\nregion = a", "",
	    "[default]\r\nregion = a\n# >>> awsenv configure corp >>> (the "
	    "line before had no end)\n" END);
	check_put("# <<< awsenv configure corp x <<<\n\n", "x\n",
	    "# <<< awsenv configure corp x <<<\n\n" BEGIN "x\n" END);
}

static void
a_block_is_replaced_where_it_stands(void **state)
{
	struct text t = text("a\n" BEGIN "old\n" END "b"), b = text("new\n");
	struct text out = {0}, body = {0};
	unsigned int line;

	(void)state;
	assert_int_equal(block_find(&t, "corp", &body, &line), AW_OK);
	assert_text(&body, "old\n");
	assert_int_equal(block_put(&t, "corp", &b, &out, &line), AW_OK);
	assert_text(&out, "a\n" BEGIN "new\n" END "b");
	text_free(&out);
	assert_int_equal(edit_undo(&t, "other", &out, &line), AW_GONE);
	assert_int_equal(edit_undo(&t, NULL, &out, &line), AW_OK);
	assert_text(&out, "a\nb");
	text_free(&out);
}

static void
a_damaged_block_is_not_touched(void **state)
{
	static const struct {
		const char *text;
		unsigned int line;
	} cases[] = {
	    {"a\n" BEGIN "x\n", 2},
	    {END, 1},
	    {BEGIN "x\n" END END, 4},
	    {BEGIN BEGIN END, 2},
	    {"\n" END BEGIN, 2},
	};
	struct text t, b = text("new\n"), out = {0};
	unsigned int line;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		t = text(cases[i].text);
		line = 0;
		assert_int_equal(
		    block_put(&t, "corp", &b, &out, &line), AW_CONFIG);
		assert_int_equal(line, cases[i].line);
		assert_null(out.p);
	}
}

static void
lines_are_told_apart_as_configparser_does_it(void **state)
{
	static const struct {
		enum line_kind kind;
		enum line_of of;
		const char *name;
	} wanted[] = {
	    {LINE_OTHER, OF_NOTHING, ""},
	    {LINE_SECTION, OF_PROFILE, "default"},
	    {LINE_KEY, OF_PROFILE, "default"},
	    {LINE_MORE, OF_PROFILE, "default"},
	    {LINE_MORE, OF_PROFILE, "default"},
	    {LINE_OTHER, OF_PROFILE, "default"},
	    {LINE_SECTION, OF_PROFILE, "a b"},
	    {LINE_SECTION, OF_SESSION, "corp"},
	    {LINE_KEY, OF_SESSION, "corp"},
	    {LINE_SECTION, OF_OTHER, "profile"},
	    {LINE_SECTION, OF_OTHER, "services s3"},
	};
	struct text t =
	    text("# first\n[default]\ns3 =\n  [profile no]\n\tx = 1\n"
		 "; done\n[profile \"a b\"]\n[sso-session\tcorp]\n"
		 "KEY : value\n[profile]\n[services s3]");
	struct lines l;
	size_t i = 0;

	(void)state;
	for (lines_begin(&l, &t); lines_next(&l); i++) {
		assert_int_equal(l.now.kind, wanted[i].kind);
		assert_int_equal(l.now.of, wanted[i].of);
		assert_true(view_is(l.now.name, wanted[i].name));
		if (i == 8) {
			assert_true(line_is_key(&l.now, "key"));
			assert_true(view_is(l.now.value, "value"));
		}
	}
	assert_int_equal(i, sizeof(wanted) / sizeof(wanted[0]));
}

static const char *
everything(void *arg, struct view profile)
{
	return view_is(profile, "leave") ? NULL : arg;
}

static bool
sso(void *arg, const struct line *l)
{
	(void)arg;
	return l->key.n > 4 && !memcmp(l->key.p, "sso_", 4);
}

static void
check_swap(const char *before, size_t changed, const char *after)
{
	static char put[] = "credential_process = x\n";
	struct text t = text(before), out = {0}, back = {0};
	const struct swap s = {&out, everything, sso, put};
	unsigned int line;
	size_t n;

	assert_int_equal(swap_lines(&t, &s, &n), AW_OK);
	assert_int_equal(n, changed);
	assert_text(&out, after);
	assert_int_equal(edit_undo(&out, NULL, &back, &line), AW_OK);
	assert_text(&back, before);
	text_free(&out);
	text_free(&back);
}

static void
lines_that_are_put_out_of_use_come_back(void **state)
{
	(void)state;
	check_swap("", 0, "");
	check_swap(
	    "[profile leave]\nsso_a = 1\n", 0, "[profile leave]\nsso_a = 1\n");
	check_swap(
	    "[sso-session s]\nsso_a = 1\n", 0, "[sso-session s]\nsso_a = 1\n");
	check_swap("[profile a]\r\nregion = r\r\nsso_a = 1\r\n  more\r\nx = y\n"
		   "[profile b]\nsso_b=",
	    2,
	    "[profile a]\r\nregion = r\r\n#awsenv-put 1\n"
	    "credential_process = x\n#awsenv-was: sso_a = 1\r\n"
	    "#awsenv-was:   more\r\nx = y\n[profile b]\n#awsenv-put 1\n"
	    "credential_process = x\n#awsenv-was: sso_b=");
}

static void
an_enormous_file_is_no_trouble(void **state)
{
	struct text t = {0}, b = text("x\n"), out = {0}, back = {0};
	FILE *f = open_memstream(&t.p, &t.n);
	unsigned int line;
	size_t i;

	(void)state;
	for (i = 0; i < 200000; i++)
		fprintf(f, "[profile p%zu]\nregion = eu-central-1\n", i);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(block_put(&t, "corp", &b, &out, &line), AW_OK);
	assert_memory_equal(out.p, t.p, t.n);
	assert_int_equal(edit_undo(&out, NULL, &back, &line), AW_OK);
	assert_int_equal(back.n, t.n);
	assert_memory_equal(back.p, t.p, t.n);
	text_free(&t);
	text_free(&out);
	text_free(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_block_is_put_behind_what_there_is),
	    cmocka_unit_test(a_block_is_replaced_where_it_stands),
	    cmocka_unit_test(a_damaged_block_is_not_touched),
	    cmocka_unit_test(lines_are_told_apart_as_configparser_does_it),
	    cmocka_unit_test(lines_that_are_put_out_of_use_come_back),
	    cmocka_unit_test(an_enormous_file_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
