/* SPDX-License-Identifier: ISC */
/*
 * How often a fetcher asks whether somebody has approved, by a clock of our
 * own: waiting moves it on. AWS and the link are played by the test.
 */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/io.h"

#define EPOCH 1795226400 /* when the clock of a test says 0 */
#define MAX 200

static int64_t now_ms;
static int64_t asked[MAX]; /* seconds at which AWS was asked */
static size_t n_asked;
static int64_t approved_at;	  /* seconds; AWS says pending before */
static enum oidc_error says[MAX]; /* instead of pending, by question */
static enum aw_err fails;	  /* where that is OIDC_NONE */
static struct {
	int64_t at; /* seconds */
	bool waiting;
} hints[4];
static size_t n_hints, next_hint;
static int64_t gone_at;
static int64_t stepped; /* seconds: what somebody does to the clock at 30 */
static struct answer answers[4];
static size_t n_answers;
static enum aw_err proves;

time_t __wrap_time(time_t *);

time_t
__wrap_time(time_t *out)
{
	time_t t = EPOCH + now_ms / 1000;

	if (now_ms >= 30000)
		t += stepped;
	if (out)
		*out = t;
	return t;
}

int64_t
io_deadline(int ms)
{
	return ms < 0 ? -1 : now_ms + ms;
}

/* -------- the link */

enum talk_event
talk_wait(struct talk *t, int64_t deadline)
{
	if (gone_at && deadline >= gone_at * 1000) {
		now_ms = gone_at * 1000;
		return TALK_GONE;
	}
	if (next_hint < n_hints && deadline > hints[next_hint].at * 1000) {
		now_ms = hints[next_hint].at * 1000;
		t->waiting = hints[next_hint++].waiting;
		return TALK_HINT;
	}
	if (deadline > now_ms)
		now_ms = deadline;
	return TALK_TIME;
}

enum aw_err
talk_answer(struct talk *t, struct answer *a)
{
	(void)t;
	assert_true(n_answers < 4);
	answers[n_answers++] = *a;
	return AW_OK;
}

/* -------- AWS */

enum aw_err
oidc_register(struct talk *t, bool desktop, struct buf *ref)
{
	const struct ref r = {.client_expires = EPOCH + 7776000,
	    .client_id = view_str("id"),
	    .client_secret = view_str("s")};

	(void)t;
	assert_false(desktop);
	msg_encode(MSG_REF, &r, ref);
	return AW_OK;
}

enum aw_err
oidc_start(struct talk *t, const struct ref *client, struct buf *dev,
    enum oidc_error *error)
{
	const struct dev d = {.until = EPOCH + 600,
	    .interval = 5,
	    .device_code = view_str("D"),
	    .client_id = client->client_id,
	    .client_secret = client->client_secret,
	    .url = view_str("https://device.example/"),
	    .code = view_str("ABCD-EFGH")};

	(void)t;
	*error = OIDC_NONE;
	msg_encode(MSG_DEV, &d, dev);
	return AW_OK;
}

enum aw_err
oidc_redeem(struct talk *t, const struct dev *d, struct token *k,
    enum oidc_error *error)
{
	(void)d;
	(void)k;
	assert_true(n_asked < MAX);
	asked[n_asked] = now_ms / 1000;
	*error = says[n_asked++];
	if (approved_at && now_ms >= approved_at * 1000) {
		*error = OIDC_NONE;
		return AW_OK;
	}
	if (*error == OIDC_NONE)
		return why_set(&t->why, fails, "no network, or no memory");
	return AW_AWS;
}

enum aw_err
oidc_refresh(struct talk *t, const struct ref *r, struct token *k)
{
	(void)t;
	(void)r;
	(void)k;
	return AW_NETWORK;
}

void
token_free(struct token *k)
{
	(void)k;
}

void
role_name(struct talk *t, struct view tok, struct named *out)
{
	(void)t;
	(void)tok;
	snprintf(out->who.person, sizeof(out->who.person), "ann");
}

enum aw_err
role_prove(struct talk *t, struct view tok, struct named *out)
{
	role_name(t, tok, out);
	return proves;
}

struct view
http_ca_digest(const struct http *h)
{
	(void)h;
	return view_str("digest");
}

static bool offered; /* is a browser on this machine any good? */
static unsigned int desktops;
static enum aw_err desktop_ends;

bool
desktop_login(struct talk *t, struct token *k, enum aw_err *r)
{
	(void)t;
	(void)k;
	desktops++;
	*r = desktop_ends;
	return offered;
}

/* -------- the tests */

static int
reset(void **state)
{
	size_t i;

	(void)state;
	now_ms = approved_at = gone_at = stepped = 0;
	proves = AW_OK;
	fails = AW_NETWORK;
	n_asked = n_hints = next_hint = n_answers = 0;
	for (i = 0; i < MAX; i++)
		says[i] = OIDC_PENDING;
	return 0;
}

static void
hint(int64_t at, bool waiting)
{
	hints[n_hints].at = at;
	hints[n_hints++].waiting = waiting;
}

static enum aw_err
login(bool waiting, struct why *why)
{
	struct talk t = {
	    .waiting = waiting, .facts = {.region = view_str("eu-west-1")}};
	enum aw_err r = login_begin(&t);

	if (why)
		*why = t.why;
	return r;
}

static void
asked_at(const int64_t *want, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i >= n_asked || asked[i] != want[i])
			fail_msg("question %zu: at %ld, not %ld", i,
			    i < n_asked ? (long)asked[i] : -1L, (long)want[i]);
	}
}

#define ASKED_AT(...)                            \
	asked_at((const int64_t[]){__VA_ARGS__}, \
	    sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void
while_somebody_looks_it_asks_at_the_interval(void **state)
{
	(void)state;
	approved_at = 100;
	assert_int_equal(login(true, NULL), AW_OK);
	assert_int_equal(n_asked, 21);
	ASKED_AT(0, 5, 10, 15, 20);
	assert_int_equal(asked[20], 100);
}

static void
when_nobody_looks_it_slows_down_after_a_minute(void **state)
{
	(void)state;
	approved_at = 170;
	assert_int_equal(login(false, NULL), AW_OK);
	ASKED_AT(0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 95, 125,
	    155, 185);
}

static void
somebody_who_comes_to_look_is_served_at_once(void **state)
{
	(void)state;
	approved_at = 120;
	hint(110, true);
	assert_int_equal(login(false, NULL), AW_OK);
	assert_int_equal(asked[14], 95);
	assert_int_equal(asked[15], 110);
	assert_int_equal(asked[16], 115);
	assert_int_equal(asked[17], 120);
}

static void
but_never_before_the_interval_is_over(void **state)
{
	(void)state;
	approved_at = 97;
	hint(96, true);
	assert_int_equal(login(false, NULL), AW_OK);
	assert_int_equal(asked[14], 95);
	assert_int_equal(asked[15], 100);
}

static void
somebody_who_goes_away_slows_it_down(void **state)
{
	(void)state;
	approved_at = 130;
	hint(101, false);
	assert_int_equal(login(true, NULL), AW_OK);
	assert_int_equal(asked[20], 100);
	assert_int_equal(asked[21], 130);
}

static void
slow_down_counts_for_good_and_each_time(void **state)
{
	(void)state;
	says[1] = OIDC_SLOW_DOWN;
	says[3] = OIDC_SLOW_DOWN;
	approved_at = 60;
	assert_int_equal(login(true, NULL), AW_OK);
	ASKED_AT(0, 5, 15, 25, 40, 55, 70);
}

static void
a_network_that_is_down_does_not_end_it(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 8; i++)
		says[i] = OIDC_NONE;
	approved_at = 50;
	assert_int_equal(login(true, NULL), AW_OK);
	assert_int_equal(n_asked, 11);
}

static void
nor_does_a_want_of_memory(void **state)
{
	fails = AW_NOMEM;
	a_network_that_is_down_does_not_end_it(state);
}

static void
it_ends_by_itself_when_the_code_runs_out(void **state)
{
	struct why why;

	(void)state;
	assert_int_equal(login(true, &why), AW_EXPIRED);
	assert_int_equal(now_ms, 600000);
	assert_int_equal(asked[n_asked - 1], 595);
	assert_non_null(strstr(why.text, "ABCD-EFGH"));
	assert_non_null(strstr(why.text, "eu-west-1"));
}

static void
it_ends_when_aws_says_that_the_code_is_spent(void **state)
{
	static const enum oidc_error spent[] = {OIDC_EXPIRED, OIDC_GRANT};
	size_t i;

	for (i = 0; i < 2; i++) {
		reset(state);
		says[2] = spent[i];
		assert_int_equal(login(true, NULL), AW_EXPIRED);
		assert_int_equal(n_asked, 3);
	}
}

static void
it_ends_when_the_person_refuses(void **state)
{
	(void)state;
	says[2] = OIDC_DENIED;
	assert_int_equal(login(true, NULL), AW_AWS);
	assert_int_equal(n_asked, 3);
}

static void
it_ends_when_nobody_wants_it_any_more(void **state)
{
	(void)state;
	gone_at = 12;
	assert_int_equal(login(true, NULL), AW_GONE);
	ASKED_AT(0, 5, 10);
	assert_int_equal(n_asked, 3);
	assert_int_equal(now_ms, 12000);
}

static void
the_token_is_answered_before_the_name(void **state)
{
	(void)state;
	approved_at = 5;
	assert_int_equal(login(true, NULL), AW_OK);
	assert_int_equal(n_answers, 3);
	assert_true(answers[0].code.n > 0 && answers[0].qr_width > 0);
	assert_false(answers[0].last || answers[1].last);
	assert_true(answers[2].last);
}

static void
what_is_approved_beforehand_is_not_shown(void **state)
{
	(void)state;
	approved_at = -1;
	assert_int_equal(login(true, NULL), AW_OK);
	assert_int_equal(n_asked, 1);
	assert_int_equal(n_answers, 2);
	assert_int_equal(answers[0].code.n, 0);
}

static void
a_resumed_login_shows_the_same_code_and_goes_on(void **state)
{
	const struct dev d = {.until = EPOCH + 100,
	    .interval = 7,
	    .device_code = view_str("D"),
	    .url = view_str("https://a/"),
	    .code = view_str("ABCD")};
	struct buf sealed = {0};
	struct talk t = {.waiting = true};

	(void)state;
	msg_encode(MSG_DEV, &d, &sealed);
	t.fetch.dev = view_of(&sealed);
	approved_at = 14;
	assert_int_equal(login_resume(&t), AW_OK);
	ASKED_AT(7, 14);
	assert_true(view_is(answers[0].code, "ABCD"));
	assert_true(view_eq(answers[0].dev, view_of(&sealed)));
	buf_free(&sealed);
	t.fetch.dev = view_str("nonsense");
	assert_int_equal(login_resume(&t), AW_PROTO);
}

static enum aw_err
factor(void)
{
	struct talk t = {.facts = {.region = view_str("eu-west-1")}};

	return login_factor(&t);
}

static void
a_factor_shows_its_code_before_it_asks(void **state)
{
	(void)state;
	approved_at = -1;
	assert_int_equal(factor(), AW_OK);
	ASKED_AT(5);
	assert_int_equal(n_answers, 2);
	assert_int_equal(answers[0].code.n, strlen("ABCD-EFGH"));
	assert_int_equal(answers[0].dev.n, 0);
	assert_int_equal(answers[0].dev_until, EPOCH + 600);
	assert_true(answers[1].last);
}

static void
a_factor_polls_fast_as_somebody_waits(void **state)
{
	(void)state;
	approved_at = 100;
	assert_int_equal(factor(), AW_OK);
	assert_int_equal(n_asked, 20);
}

static void
a_factor_tells_a_refusal_from_a_failure(void **state)
{
	(void)state;
	says[1] = OIDC_DENIED;
	assert_int_equal(factor(), AW_DENIED);
	reset(NULL);
	says[1] = OIDC_OTHER;
	assert_int_equal(factor(), AW_AWS);
	reset(NULL);
	assert_int_equal(factor(), AW_EXPIRED);
	reset(NULL);
	approved_at = 5;
	proves = AW_AWS;
	assert_int_equal(factor(), AW_DENIED);
	assert_int_equal(n_answers, 1);
	reset(NULL);
	approved_at = 5;
	proves = AW_NETWORK;
	assert_int_equal(factor(), AW_NETWORK);
	assert_int_equal(n_answers, 1);
}

static void
a_clock_that_is_set_ends_no_code_and_prolongs_none(void **state)
{
	(void)state;
	stepped = 3600;
	approved_at = 60;
	assert_int_equal(login(true, NULL), AW_OK);
	assert_int_equal(asked[n_asked - 1], 60);
	reset(NULL);
	stepped = -3600;
	assert_int_equal(login(true, NULL), AW_EXPIRED);
	assert_int_equal(now_ms, 600 * 1000);
}

#define CASE(name) cmocka_unit_test_setup(name, reset)

static enum aw_err
login_at_desk(const char *scopes)
{
	struct talk t = {.waiting = true,
	    .fetch = {.desktop = 1},
	    .facts = {
		.region = view_str("eu-west-1"), .scopes = view_str(scopes)}};

	desktops = 0;
	return login_begin(&t);
}

static void
at_a_desk_there_is_no_code_unless_it_takes_one(void **state)
{
	(void)state;
	offered = true;
	desktop_ends = AW_OK;
	assert_int_equal(login_at_desk("s"), AW_OK);
	assert_int_equal(n_asked, 0);
	assert_int_equal(n_answers, 2);
	desktop_ends = AW_EXPIRED;
	assert_int_equal(login_at_desk("s"), AW_EXPIRED);
	assert_int_equal(n_asked, 0);
	assert_int_equal(desktops, 1);
}

static void
where_the_browser_is_no_good_or_there_are_no_scopes_it_takes_a_code(
    void **state)
{
	offered = false;
	desktop_ends = AW_AWS;
	approved_at = 20;
	assert_int_equal(login_at_desk("s"), AW_OK);
	assert_int_equal(desktops, 1);
	assert_int_equal(answers[0].code.n, 9);
	reset(state);
	approved_at = 20;
	offered = true;
	assert_int_equal(login_at_desk(""), AW_OK);
	assert_int_equal(desktops, 0);
	assert_int_equal(answers[0].code.n, 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(while_somebody_looks_it_asks_at_the_interval),
	    CASE(when_nobody_looks_it_slows_down_after_a_minute),
	    CASE(somebody_who_comes_to_look_is_served_at_once),
	    CASE(but_never_before_the_interval_is_over),
	    CASE(somebody_who_goes_away_slows_it_down),
	    CASE(slow_down_counts_for_good_and_each_time),
	    CASE(a_network_that_is_down_does_not_end_it),
	    CASE(nor_does_a_want_of_memory),
	    CASE(it_ends_by_itself_when_the_code_runs_out),
	    CASE(a_clock_that_is_set_ends_no_code_and_prolongs_none),
	    CASE(it_ends_when_aws_says_that_the_code_is_spent),
	    CASE(it_ends_when_the_person_refuses),
	    CASE(it_ends_when_nobody_wants_it_any_more),
	    CASE(the_token_is_answered_before_the_name),
	    CASE(what_is_approved_beforehand_is_not_shown),
	    CASE(a_resumed_login_shows_the_same_code_and_goes_on),
	    CASE(a_factor_shows_its_code_before_it_asks),
	    CASE(a_factor_polls_fast_as_somebody_waits),
	    CASE(a_factor_tells_a_refusal_from_a_failure),
	    CASE(at_a_desk_there_is_no_code_unless_it_takes_one),
	    CASE(
		where_the_browser_is_no_good_or_there_are_no_scopes_it_takes_a_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
