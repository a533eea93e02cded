/* SPDX-License-Identifier: ISC */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

static void
expect(const char *document, const char *path, const char *want)
{
	AUTOBUF struct buf out = {0};
	struct view v = view_str(document);

	if (!xml_valid(v))
		fail_msg("refused: %s", document);
	if (!want) {
		assert_false(xml_text(v, path, &out));
		return;
	}
	assert_true(xml_text(v, path, &out));
	if (!view_is(view_of(&out), want))
		fail_msg("%s: \"%.*s\" instead of \"%s\"", path,
		    VIEW_ARG(view_of(&out)), want);
}

static void
an_element_is_found_by_its_path(void **state)
{
	static const char doc[] =
	    "<?xml version=\"1.0\"?>\n<A xmlns=\"https://x/\">\n <!-- c -->\n"
	    " <B><C>one</C></B>\n <B2><C>two</C></B2><B><D>three</D></B>\n"
	    "</A>\n";

	(void)state;
	expect(doc, "A/B/C", "one");
	expect(doc, "A/B2/C", "two");
	expect(doc, "A/B/D", "three");
	expect(doc, "A/C", NULL);
	expect(doc, "B/C", NULL);
	expect(doc, "A/B/C/D", NULL);
	expect(doc, "C", NULL);
}

static void
the_same_name_deeper_down_is_another_element(void **state)
{
	(void)state;
	expect("<A><X><B>no</B></X><B>yes</B></A>", "A/B", "yes");
	expect("<A><B><A><B>in</B></A></B></A>", "A/B", "");
	expect("<A><B>a<X>no</X>b</B></A>", "A/B", "ab");
}

static void
entities_references_and_cdata_become_text(void **state)
{
	(void)state;
	expect("<A>&lt;&gt;&amp;&quot;&apos;</A>", "A", "<>&\"'");
	expect("<A>&#65;&#x42;&#xe9;&#x20ac;&#x1f600;</A>", "A",
	    "AB\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	expect("<A><![CDATA[<b>&amp;]]>x</A>", "A", "<b>&amp;x");
	expect("<A>a<!-- <B> -->b</A>", "A", "ab");
	expect("<A/>", "A", "");
	expect("<A><B c='>' d=\"</B>\" />t</A>", "A/B", "");
	expect("<n:A xmlns:n='u'><n:B>p</n:B></n:A>", "A/B", "p");
	expect("<A><B >s</B ></A>", "A/B", "s");
}

static void
what_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {"", " ", "text", "<A>", "</A>",
	    "<A></B>", "<A><B></A></B>", "<A></A><B></B>", "<A></A>x", "x<A/>",
	    "<A", "<A>&nbsp;</A>", "<A>&amp</A>", "<A>&#0;</A>",
	    "<A>&#xd800;</A>", "<A>&#x110000;</A>", "<A>&#;</A>", "<A>&#x;</A>",
	    "<A>&#-1;</A>", "<A>&#99999999;</A>", "<A><![CDATA[x</A>",
	    "<A><!-- x</A>", "<>x</>", "<A><B c=\"></B></A>", "< A></A>",
	    "<!DOCTYPE A [<!ENTITY e \"x\">]><A>&e;</A>", "<A><B<C/></A>",
	    "<![CDATA[x]]>", "<?xml <A/>"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (xml_valid(view_str(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	}
}

static void
a_document_that_is_too_deep_is_refused(void **state)
{
	char doc[33 * 7 + 1] = "";
	int i;

	(void)state;
	for (i = 0; i < 32; i++)
		strcat(doc, "<a>");
	for (i = 0; i < 32; i++)
		strcat(doc, "</a>");
	assert_true(xml_valid(view_str(doc)));
	doc[0] = '\0';
	for (i = 0; i < 33; i++)
		strcat(doc, "<a>");
	for (i = 0; i < 33; i++)
		strcat(doc, "</a>");
	assert_false(xml_valid(view_str(doc)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_element_is_found_by_its_path),
	    cmocka_unit_test(the_same_name_deeper_down_is_another_element),
	    cmocka_unit_test(entities_references_and_cdata_become_text),
	    cmocka_unit_test(what_is_not_well_formed_is_refused),
	    cmocka_unit_test(a_document_that_is_too_deep_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
