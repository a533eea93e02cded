/* SPDX-License-Identifier: ISC */
/*
 * What the fetcher makes of several calls for one answer, with each allocation
 * failing once in turn: all accounts and roles or an error, and a lack of memory
 * is called one. No thread can be had, so that the calls have an order.
 */
#include "fake_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "awsenv/peer.h"
#include "tests/unit/browser.h"
#include "tests/unit/failing.h"

int
pthread_create(
    pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	(void)t;
	(void)a;
	(void)fn;
	(void)arg;
	return EAGAIN;
}

/* ---- the broker's end */

static unsigned int roles, answers;
static bool named;

enum aw_err
talk_open(struct talk *t)
{
	(void)t;
	return AW_OK;
}

enum talk_event
talk_wait(struct talk *t, int64_t deadline)
{
	(void)t;
	(void)deadline;
	return failing_did() ? TALK_GONE : TALK_TIME;
}

/* In place of peer.c, which reads as many lines as this machine has. */
bool
peer_uid(int fd, uid_t *uid)
{
	(void)fd;
	*uid = getuid();
	return true;
}

void
http_close(struct http *h)
{
	(void)h;
}

enum aw_err
talk_answer(struct talk *t, struct answer *a)
{
	struct view items = a->grants;
	struct grant_item item;

	(void)t;
	while (msg_each(MSG_GRANT_ITEM, &items, &item)) {
		must(view_is(item.name, "marketing") && item.email.n == 0);
		roles++;
	}
	if (a->account.n)
		named = view_is(a->account, "012345678901");
	answers++;
	return AW_OK;
}

static struct buf tok, creds;
static int ended; /* of a pipe, at its end */

/* Not a pointer: http_do() of fake_net.h does without. */
static struct talk
talk(void)
{
	struct talk t = net_talk();

	t.http = (struct http *)(void *)&tok;
	t.fetch.tok = view_of(&tok);
	t.fetch.creds = view_of(&creds);
	t.facts.oidc = view_str("https://oidc.eu-west-1.amazonaws.com");
	net_reset();
	roles = answers = 0;
	named = false;
	return t;
}

/* ---- what is asked */

static enum aw_err
list_all(void)
{
	struct talk t = talk();
	enum aw_err r;

	net_answer_to("/accounts?",
	    "{\"accountList\":[{\"accountId\":\"111111111111\","
	    "\"accountName\":\"marketing\"}]}");
	net_answer_to(
	    "next_token=more", "{\"roleList\":[{\"roleName\":\"B\"}]}");
	net_answer_to("/roles?",
	    "{\"roleList\":[{\"roleName\":\"A\"}],\"nextToken\":\"more\"}");
	r = grants_fetch(&t);
	if (r == AW_OK)
		must(roles == 2 && answers == 3);
	else
		must(r == AW_NOMEM && *t.why.text);
	return r;
}

static enum aw_err
name_the_caller(void)
{
	struct talk t = talk();
	enum aw_err r;

	net_answer_to("sts.eu-west-1",
	    "<GetCallerIdentityResponse><GetCallerIdentityResult>"
	    "<Arn>arn:aws:sts::012345678901:assumed-role/R/ann</Arn>"
	    "<UserId>AROA:ann</UserId><Account>012345678901</Account>"
	    "</GetCallerIdentityResult></GetCallerIdentityResponse>");
	if ((r = role_identity(&t)) == AW_OK)
		must(named);
	else
		must(r == AW_NOMEM && *t.why.text);
	return r;
}

static enum aw_err
have_a_port(void)
{
	AUTOBUF struct buf address = {0};
	struct callback *c =
	    callback_open(view_str("state"), (struct view){0}, &address);

	if (!c)
		return AW_NOMEM;
	callback_close(c, false);
	return address.bad ? AW_NOMEM : AW_OK;
}

/* The broker's end is always to be heard: it goes once a call has failed. */
static enum aw_err
be_visited(void)
{
	AUTOBUF struct buf address = {0}, code = {0};
	AUTOCLOSE int browser = -1;
	struct talk t = {.fd = ended};
	enum callback_event e;
	struct callback *c;

	failing_rest();
	c = callback_open(view_str("state"), (struct view){0}, &address);
	must(c && !address.bad);
	browser = visit(&address);
	failing_go();
	e = callback_wait(c, &t, INT64_MAX, &code);
	if (e == CALLBACK_CODE)
		must(code.bad || view_is(view_of(&code), "CODE"));
	callback_close(c, e == CALLBACK_CODE);
	return e != CALLBACK_CODE ? AW_GONE : code.bad ? AW_NOMEM : AW_OK;
}

/* ---- the tests */

static void
a_list_is_whole_or_told_not_to_be(void **state)
{
	(void)state;
	/* Fewer threads are no fewer roles. */
	assert_true(each_fails(list_all, ENOMEM, true) > 10);
}

static void
a_lack_of_memory_is_no_lack_of_a_host(void **state)
{
	(void)state;
	assert_true(each_fails(name_the_caller, ENOMEM, true) > 3);
}

static void
a_port_is_there_or_is_given_back(void **state)
{
	(void)state;
	assert_true(each_fails(have_a_port, ENOMEM, false) >= 3);
	assert_true(each_fails(have_a_port, EMFILE, false) >= 3);
}

/* Who brought the code gets a page, or does not; it is a code all the same. */
static void
a_code_is_whole_or_not_there(void **state)
{
	(void)state;
	assert_true(each_fails(be_visited, ENOMEM, true) >= 3);
	assert_true(each_fails(be_visited, ECONNRESET, true) >= 3);
}

static int
begin(void **state)
{
	static cJSON_Hooks hooks = {malloc, free};
	const struct tok t = {.access_token = view_str("TOKEN")};
	const struct creds c = {.access_key = view_str("AKID"),
	    .secret_key = view_str("SECRETKEY"),
	    .session_token = view_str("SESSION")};

	int pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	close(pair[1]);
	ended = pair[0];
	cJSON_InitHooks(&hooks);
	msg_encode(MSG_TOK, &t, &tok);
	msg_encode(MSG_CREDS, &c, &creds);
	return tok.bad || creds.bad;
}

static int
end(void **state)
{
	(void)state;
	cJSON_InitHooks(NULL);
	buf_free(&tok);
	buf_free(&creds);
	close(ended);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_list_is_whole_or_told_not_to_be),
	    cmocka_unit_test(a_lack_of_memory_is_no_lack_of_a_host),
	    cmocka_unit_test(a_port_is_there_or_is_given_back),
	    cmocka_unit_test(a_code_is_whole_or_not_there),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
