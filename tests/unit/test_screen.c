/* SPDX-License-Identifier: ISC */
#include "agent/cli/ctl/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"

#define URL "https://device.sso.eu-central-1.amazonaws.com/?x=1"

static void
only_https_and_loopback_urls_are_shown(void **state)
{
	static const char *const good[] = {URL, "https://a",
	    "http://localhost/x", "http://127.0.0.1:8080/x?y",
	    "http://[::1]:1/", "http://127.1.2.3", "http://localhost#x"};
	static const char *const bad[] = {"", "https://", "http://a.example/",
	    "http://localhost.evil/", "http://127.0.0.1.evil.com/",
	    "http://127.0.0.1@evil.com/", "http://localhost:1@evil.com/",
	    "http://[::1]evil/", "javascript:alert(1)", "file:///etc/passwd",
	    "HTTPS://a", "https://a b", "https://a\n", "https://a\033[2J",
	    "https://\xc3\xa9", " https://a", "https://a\177"};
	char longest[2049];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(url_is_sound(view_str(good[i])));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (url_is_sound(view_str(bad[i])))
			fail_msg("%s was taken", bad[i]);
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "https://", 8);
	assert_true(url_is_sound((struct view){(uint8_t *)longest, 2048}));
	assert_false(url_is_sound((struct view){(uint8_t *)longest, 2049}));
}

/* Version 1 has 21 modules; here the diagonal is dark. */
#define WIDTH 21
#define STRIDE 3

static void
diagonal(uint8_t qr[static WIDTH * STRIDE])
{
	size_t i;

	memset(qr, 0, WIDTH * STRIDE);
	for (i = 0; i < WIDTH; i++)
		qr[i * STRIDE + i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static struct login_rep
login(const uint8_t *qr)
{
	return (struct login_rep){
	    .session = view_str("corp"),
	    .url = view_str(URL),
	    .code = view_str("ABCD-EFGH"),
	    .host = view_str("desk"),
	    .qr_width = WIDTH,
	    .qr = {qr, WIDTH * STRIDE},
	};
}

static char *
drawn(const struct screen *s, const struct login_rep *l, struct buf *out)
{
	assert_true(screen_login(s, l, out));
	buf_u8(out, '\0');
	assert_false(out->bad);
	return (char *)out->data;
}

static void
url_and_code_are_shown_as_they_are(void **state)
{
	const struct screen plain = {.plain = true};
	AUTOBUF struct buf out = {0};
	struct login_rep l = login(NULL);
	char *text;

	(void)state;
	l.qr_width = 0;
	l.qr.n = 0;
	text = drawn(&plain, &l, &out);
	assert_non_null(strstr(text, "\n" URL "\n"));
	assert_non_null(strstr(text, "ABCD-EFGH"));
	assert_non_null(strstr(text, "corp"));
	assert_non_null(strstr(text, "desk"));
	assert_null(strchr(text, '\033'));
}

static void
what_is_not_aws_stands_before_the_url(void **state)
{
	const struct screen s = {.tty = true, .rows = 24, .cols = 80};
	AUTOBUF struct buf out = {0};
	struct login_rep l = login(NULL);
	char *text, *notice;

	(void)state;
	l.qr_width = 0;
	l.notice = view_str("NOT AWS: endpoint https://x\033[2J");
	text = drawn(&s, &l, &out);
	notice = strstr(text, "NOT AWS: endpoint https://x?[2J");
	assert_non_null(notice);
	assert_true(notice < strstr(text, URL));
}

static void
a_notice_has_a_line_for_each_part(void **state)
{
	const struct screen s = {.plain = true, .tty = true, .cols = 40};
	AUTOBUF struct buf out = {0}, narrow = {0};
	struct login_rep l = login(NULL);

	(void)state;
	l.qr_width = 0;
	l.notice = view_str("NOT AWS: endpoint https://x; CA bundle /a; "
			    "through proxy p");
	assert_non_null(strstr(drawn(&s, &l, &out),
	    "\n\n*** NOT AWS: endpoint https://x ***\n"
	    "  CA bundle /a\n  through proxy p\n\n  Open"));
	l.notice = view_str("NOT AWS: endpoint https://wider.example");
	assert_non_null(strstr(drawn(&s, &l, &narrow),
	    "\n\nNOT AWS: endpoint https://wider.example\n\n  Open"));
}

static void
a_proxy_is_not_shouted(void **state)
{
	const struct screen s = {.tty = true, .rows = 24, .cols = 80};
	AUTOBUF struct buf out = {0};
	struct login_rep l = login(NULL);
	char *text;

	(void)state;
	l.qr_width = 0;
	l.notice = view_str("CA bundle /a; through proxy p");
	text = drawn(&s, &l, &out);
	assert_non_null(
	    strstr(text, "\n\n  CA bundle /a\n  through proxy p\n\n"));
	assert_null(strstr(text, "***"));
	assert_null(strstr(text, "\033[1;7m"));
}

/* The modules of a drawing: what stands between the colours, line by line. */
static void
modules_of(const char *text, uint8_t m[64][64], size_t *rows, size_t *cols)
{
	static const char *const blocks[] = {
	    " ", "\xe2\x96\x84", "\xe2\x96\x80", "\xe2\x96\x88"};
	const char *p = text;
	size_t x, i, n;

	for (*rows = 0; (p = strstr(p, "\033[40;37;1m")); *rows += 2) {
		p += strlen("\033[40;37;1m");
		for (x = 0; *p != '\033'; x++) {
			for (i = 3; i > 0; i--) {
				if (!strncmp(p, blocks[i], strlen(blocks[i])))
					break;
			}
			n = strlen(blocks[i]);
			assert_true(i || *p == ' ');
			m[*rows][x] = !(i >> 1);
			m[*rows + 1][x] = !(i & 1);
			p += n;
		}
		*cols = x;
	}
}

static void
a_qr_code_is_drawn_with_its_quiet_zone(void **state)
{
	const struct screen s = {
	    .tty = true, .rows = 50, .cols = 80, .utf8 = true};
	uint8_t qr[WIDTH * STRIDE] = {0}, m[64][64] = {{0}};
	size_t rows = 0, cols = 0, x, y;
	AUTOBUF struct buf out = {0};
	struct login_rep l = login(qr);

	(void)state;
	diagonal(qr);
	modules_of(drawn(&s, &l, &out), m, &rows, &cols);
	assert_int_equal(cols, WIDTH + 8);
	assert_int_equal(rows, WIDTH + 9);
	for (y = 0; y < rows; y++) {
		for (x = 0; x < cols; x++)
			assert_int_equal(
			    m[y][x], x == y && x >= 4 && x < WIDTH + 4);
	}
}

static void
a_qr_code_that_does_not_fit_is_left_out_and_said(void **state)
{
	struct screen s = {.tty = true, .rows = 24, .cols = 80, .utf8 = true};
	uint8_t qr[WIDTH * STRIDE] = {0};
	struct login_rep l = login(qr);
	unsigned int least;

	(void)state;
	diagonal(qr);
	for (least = 10; least < 60; least++) {
		AUTOBUF struct buf out = {0};
		char *text;
		size_t lines = 0;

		s.rows = least;
		text = drawn(&s, &l, &out);
		if (strstr(text, "\033[40")) {
			for (; *text; text++)
				lines += *text == '\n';
			/* What follows it fits, too. */
			assert_true(lines + 1 <= least);
			break;
		}
		assert_non_null(strstr(text, "A QR code needs a window"));
	}
	assert_true(least < 40);
	s.rows = 60;
	s.cols = WIDTH + 7;
	{
		AUTOBUF struct buf out = {0};

		assert_null(strstr(drawn(&s, &l, &out), "\033[40"));
	}
}

static void
no_window_is_asked_for_that_nobody_has(void **state)
{
	const struct screen s = {
	    .tty = true, .rows = 24, .cols = 80, .utf8 = true};
	static const uint8_t qr[105 * 14];
	AUTOBUF struct buf out = {0};
	struct login_rep l = login(qr);

	(void)state;
	l.qr_width = 105;
	l.qr.n = sizeof(qr);
	assert_null(strstr(drawn(&s, &l, &out), "QR"));
}

static void
bits_that_are_no_qr_code_are_not_drawn(void **state)
{
	const struct screen s = {
	    .tty = true, .rows = 200, .cols = 400, .utf8 = true};
	static const uint32_t widths[] = {1, 20, 22, 178, 0x10000, UINT32_MAX};
	uint8_t qr[WIDTH * STRIDE] = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		AUTOBUF struct buf out = {0};
		struct login_rep l = login(qr);

		l.qr_width = widths[i];
		if (widths[i] == 22)
			l.qr.n--;
		assert_null(strstr(drawn(&s, &l, &out), "\033[40"));
	}
}

static void
a_code_that_is_no_code_is_not_shown(void **state)
{
	static const char *const bad[] = {
	    "A\nB", "\033[31m", "ABCD EFGH", "\xc3\xa9"};
	const struct screen s = {.plain = true};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTOBUF struct buf out = {0};
		struct login_rep l = login(NULL);

		l.code = view_str(bad[i]);
		assert_false(screen_login(&s, &l, &out));
	}
}

static void
a_page_for_a_browser_here_has_neither_code_nor_qr(void **state)
{
	const struct screen s = {
	    .tty = true, .rows = 200, .cols = 200, .utf8 = true};
	struct login_rep l = login(NULL);
	AUTOBUF struct buf out = {0};

	(void)state;
	l.code = view_str("");
	assert_true(screen_login(&s, &l, &out));
	buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.data, "for this machine only"));
	assert_non_null(strstr((char *)out.data, "--use-device-code"));
	assert_null(strstr((char *)out.data, "this code"));
	assert_null(strstr((char *)out.data, "\u2588"));
}

static void
foreign_text_is_made_printable(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
	    {"plain", "plain"},
	    {"", ""},
	    {"J\xc3\xa9r\xc3\xb4me", "J\xc3\xa9r\xc3\xb4me"},
	    {"a\033[2Jb\007", "a?[2Jb?"},
	    {"a\nb\tc\r", "a?b?c?"},
	    {"\x7f", "?"},
	    {"\xc2\x9b"
	     "2J",
		"?2J"},
	    {"\xe2\x80\xae"
	     "evil",
		"?evil"},
	    {"\xe2\x81\xa6x", "?x"},
	    {"\xc0\xaf", "??"},
	    {"\xed\xa0\x80", "???"},
	    {"\xff", "?"},
	    {"\xe2\x82", "??"},
	    {"\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91"},
	    {"\xf5\x80\x80\x80", "????"},
	    {"\xf4\x90\x80\x80", "????"},
	    {"\xf0\x80\x80\xaf", "????"},
	    {"\xef\xbb\xbf", "?"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(shown_str(cases[i].from), cases[i].to);
	assert_string_equal(
	    shown((struct view){(const uint8_t *)"a\0b", 3}), "a?b");
}

/* What its bits so far would be is a quote. */
static void
half_a_character_is_no_quote(void **state)
{
	AUTOBUF struct buf b = {0};

	(void)state;
	json_string(&b, view_str("\xe0\xa2x"));
	assert_true(view_is(view_of(&b), "\"??x\""));
}

static void
json_strings_are_json(void **state)
{
	AUTOBUF struct buf out = {0};

	(void)state;
	json_string(&out, view_str("q\"b\\n\n\x01\xc3\xa9\xff\xe2\x80\xae"));
	buf_u8(&out, '\0');
	assert_string_equal(
	    (char *)out.data, "\"q\\\"b\\\\n\\u000a\\u0001\xc3\xa9?\\u202e\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_https_and_loopback_urls_are_shown),
	    cmocka_unit_test(url_and_code_are_shown_as_they_are),
	    cmocka_unit_test(what_is_not_aws_stands_before_the_url),
	    cmocka_unit_test(a_notice_has_a_line_for_each_part),
	    cmocka_unit_test(a_proxy_is_not_shouted),
	    cmocka_unit_test(a_qr_code_is_drawn_with_its_quiet_zone),
	    cmocka_unit_test(a_qr_code_that_does_not_fit_is_left_out_and_said),
	    cmocka_unit_test(no_window_is_asked_for_that_nobody_has),
	    cmocka_unit_test(bits_that_are_no_qr_code_are_not_drawn),
	    cmocka_unit_test(a_code_that_is_no_code_is_not_shown),
	    cmocka_unit_test(a_page_for_a_browser_here_has_neither_code_nor_qr),
	    cmocka_unit_test(foreign_text_is_made_printable),
	    cmocka_unit_test(half_a_character_is_no_quote),
	    cmocka_unit_test(json_strings_are_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
