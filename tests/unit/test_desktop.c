/* SPDX-License-Identifier: ISC */
/*
 * The order of a login by a browser on this machine, with the browser and AWS
 * played by the test; the conversation itself is tests/integration's.
 */
#include "agent/fetch/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/io.h"

static bool may_listen;
static enum aw_err registers, redeems;
static enum oidc_error redeem_error;
static enum callback_event comes[4];
static size_t n_comes, next;
static unsigned int shown, closed;
static bool closed_good;
static int64_t now_ms, waited_until;

static struct callback {
	int nothing;
} one;

int64_t
io_deadline(int ms)
{
	return now_ms + ms;
}

struct callback *
callback_open(struct view secret, struct view location, struct buf *address)
{
	assert_int_equal(secret.n, 64);
	assert_int_equal(location.n, 0);
	buf_put(address, "http://127.0.0.1:9/x", 20);
	return may_listen ? &one : NULL;
}

enum callback_event
callback_wait(
    struct callback *c, struct talk *t, int64_t deadline, struct buf *code)
{
	assert_ptr_equal(c, &one);
	waited_until = deadline;
	if (next == n_comes)
		return CALLBACK_TIME;
	if (comes[next] == CALLBACK_CODE)
		buf_put(code, "the code", 8);
	if (comes[next] == CALLBACK_HINT)
		t->again = t->waiting = true;
	if (comes[next] == CALLBACK_REFUSED)
		why_set(&t->why, AW_AWS, "no");
	return comes[next++];
}

void
callback_close(struct callback *c, bool good)
{
	if (!c)
		return;
	closed++;
	closed_good |= good;
}

enum aw_err
oidc_register(struct talk *t, bool desktop, struct buf *ref)
{
	const struct ref r = {.client_id = view_str("id"), .desktop = 1};

	(void)t;
	assert_true(desktop);
	msg_encode(MSG_REF, &r, ref);
	return registers;
}

enum aw_err
oidc_page(struct talk *t, struct view client_id, struct view back,
    struct view state, struct view challenge, struct buf *url)
{
	(void)t;
	assert_true(view_is(client_id, "id"));
	assert_true(view_is(back, "http://127.0.0.1:9/x"));
	assert_int_equal(state.n, 64);
	assert_int_equal(challenge.n, 43);
	buf_put(url, "https://x/", 10);
	return AW_OK;
}

enum aw_err
oidc_redeem_code(struct talk *t, const struct ref *client, struct view code,
    struct view verifier, struct view back, struct token *k,
    enum oidc_error *error)
{
	(void)t;
	(void)client;
	(void)back;
	assert_true(view_is(code, "the code"));
	assert_int_equal(verifier.n, 64);
	*error = redeem_error;
	if (redeems == AW_OK)
		buf_put(&k->tok, "token", 5);
	return redeems;
}

enum aw_err
talk_answer(struct talk *t, struct answer *a)
{
	(void)t;
	assert_true(view_is(a->url, "https://x/"));
	assert_false(a->last || a->dev.n || a->code.n);
	shown++;
	return AW_OK;
}

/* -------- the tests */

static int
reset(void **state)
{
	(void)state;
	may_listen = true;
	registers = redeems = AW_OK;
	redeem_error = OIDC_NONE;
	n_comes = next = shown = closed = 0;
	closed_good = false;
	return 0;
}

static enum aw_err
login(bool *offered, struct why *why, bool *token)
{
	struct talk t = {.facts = {.region = view_str("eu-west-1")}};
	struct token k = {0};
	enum aw_err r = AW_OK;

	*offered = desktop_login(&t, &k, &r);
	*why = t.why;
	*token = k.tok.len > 0;
	buf_free(&k.tok);
	return r;
}

static void
ends(enum aw_err want, bool want_token, const char *words)
{
	bool offered, token;
	struct why why;

	assert_int_equal(login(&offered, &why, &token), want);
	assert_true(offered);
	assert_int_equal(token, want_token);
	assert_non_null(strstr(why.text, words));
	assert_int_equal(closed, 1);
}

static void
a_code_becomes_a_token(void **state)
{
	(void)state;
	comes[n_comes++] = CALLBACK_CODE;
	ends(AW_OK, true, "");
	assert_true(closed_good);
	assert_int_equal(shown, 1);
}

static void
somebody_who_comes_to_look_is_shown_it_again(void **state)
{
	(void)state;
	comes[n_comes++] = CALLBACK_HINT;
	comes[n_comes++] = CALLBACK_HINT;
	comes[n_comes++] = CALLBACK_CODE;
	ends(AW_OK, true, "");
	assert_int_equal(shown, 3);
}

static void
after_ten_minutes_it_ends_and_says_what_else_there_is(void **state)
{
	(void)state;
	ends(AW_EXPIRED, false, "awsenv login --use-device-code");
	assert_int_equal(waited_until, now_ms + 10 * 60 * 1000);
	assert_false(closed_good);
}

static void
a_refusal_ends_it(void **state)
{
	(void)state;
	comes[n_comes++] = CALLBACK_REFUSED;
	ends(AW_AWS, false, "no");
}

static void
it_ends_when_nobody_wants_it(void **state)
{
	(void)state;
	comes[n_comes++] = CALLBACK_GONE;
	ends(AW_GONE, false, "");
}

static void
a_code_that_aws_refuses_is_a_login_anew(void **state)
{
	(void)state;
	comes[n_comes++] = CALLBACK_CODE;
	redeems = AW_AWS;
	redeem_error = OIDC_GRANT;
	ends(AW_EXPIRED, false, "did not take the code");
	assert_false(closed_good);
}

static void
no_network_is_no_network(void **state)
{
	(void)state;
	comes[n_comes++] = CALLBACK_CODE;
	redeems = AW_NETWORK;
	ends(AW_NETWORK, false, "");
	reset(NULL);
	registers = AW_NETWORK;
	ends(AW_NETWORK, false, "");
	assert_int_equal(shown, 0);
}

static void
where_it_cannot_be_it_is_not_offered(void **state)
{
	bool offered, token;
	struct why why;

	(void)state;
	may_listen = false;
	login(&offered, &why, &token);
	assert_false(offered);
	reset(NULL);
	registers = AW_AWS;
	login(&offered, &why, &token);
	assert_false(offered);
	assert_int_equal(closed, 1);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, reset)
	const struct CMUnitTest tests[] = {
	    CASE(a_code_becomes_a_token),
	    CASE(somebody_who_comes_to_look_is_shown_it_again),
	    CASE(after_ten_minutes_it_ends_and_says_what_else_there_is),
	    CASE(a_refusal_ends_it),
	    CASE(it_ends_when_nobody_wants_it),
	    CASE(a_code_that_aws_refuses_is_a_login_anew),
	    CASE(no_network_is_no_network),
	    CASE(where_it_cannot_be_it_is_not_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
