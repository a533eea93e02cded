/* SPDX-License-Identifier: ISC */
/*
 * The fetcher's way to AWS and its link to who asked, with each allocation,
 * curl's too, and each of our own calls failing once in turn: a CA bundle and
 * a proxy are in force or nothing is sent, an answer is whole or there is none.
 */
#include "agent/fetch/fetch.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"
#include "tests/unit/failing.h"

/* ---- what AWS is */

#define ANSWER                                                   \
	"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 02:00:00 GMT" \
	"\r\nContent-Length: 11\r\n\r\n{\"whole\":1}"

static char url[64];
static pid_t server = -1;

static void
serve(int listener)
{
	char in[4096];
	size_t n;
	ssize_t got;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		for (n = 0; n < sizeof(in) - 1; n += (size_t)got) {
			if ((got = read(fd, in + n, sizeof(in) - 1 - n)) <= 0)
				break;
			in[n + (size_t)got] = '\0';
			if (!strstr(in, "\r\n\r\nbody"))
				continue;
			if (write(fd, ANSWER, strlen(ANSWER)) < 0)
				_exit(1);
			break;
		}
		close(fd);
	}
	_exit(0);
}

static void
start_server(void)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	snprintf(
	    url, sizeof(url), "http://127.0.0.1:%d/token", ntohs(at.sin_port));
	assert_true((server = fork()) >= 0);
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(fd);
	}
	close(fd);
}

/* ---- curl, whose allocations are those that fail */

static void *
grow(void *p, size_t n)
{
	return reallocarray(p, n, 1);
}

/* Its own CAs it may forget: then it trusts nobody. */
void __real_curl_easy_reset(CURL *);
void __wrap_curl_easy_reset(CURL *);
void
__wrap_curl_easy_reset(CURL *curl)
{
	failing_rest();
	__real_curl_easy_reset(curl);
	failing_go();
}

/* What could not be told to curl is not done without. */
CURLcode __real_curl_easy_perform(CURL *);
CURLcode __wrap_curl_easy_perform(CURL *);
CURLcode
__wrap_curl_easy_perform(CURL *curl)
{
	must(!failing_did());
	return __real_curl_easy_perform(curl);
}

/* ---- what is done */

static char bundle[] = "/tmp/awsenv-failing.XXXXXX";
static uint8_t digest[SHA256_DIGEST_LENGTH];
static bool with_bundle = true;

static enum aw_err
get_a_token(void)
{
	const struct http_setup setup = {
	    .ca_path = view_str(with_bundle ? bundle : NULL),
	    .ca_digest = {digest, sizeof(digest)},
	    .proxy = view_str("http://127.0.0.1:9"),
	    .no_proxy = view_str("example.com"),
	};
	const struct http_request q = {
	    .method = "POST",
	    .url = url,
	    .headers = {"X-One: 1", "X-Two: 2"},
	    .body = view_str("body"),
	};
	struct reply a = {0};
	struct http *h;
	struct why why = {""};
	enum aw_err r;

	r = http_open(&h, &setup, &why);
	must((r == AW_OK) == (h != NULL));
	must(r != AW_PROTO); /* the order was right */
	if (r == AW_OK)
		r = http_do(h, &q, 30000, &a, &why);
	if (r == AW_OK)
		must(a.status == 200 &&
		    view_is(view_of(&a.body), "{\"whole\":1}") &&
		    view_is((struct view){a.head.data, 15}, "HTTP/1.1 200 OK"));
	/* Who asked is told why, in one line. */
	must((r == AW_OK) == (why.text[0] == '\0'));
	reply_free(&a);
	http_close(h);
	return r;
}

static int ends[2];

static enum aw_err
answer_an_order(void)
{
	const struct facts facts = {.region = view_str("eu-west-1")};
	AUTOBUF struct buf sealed = {0}, packet = {0};
	struct fetch f = {.version = MSG_VERSION, .what = FETCH_LOGIN};
	struct hint hint = {MSG_VERSION, 1};
	struct answer a = {.last = 1, .creds = view_str("sealed")}, got;
	struct talk t = {0};
	enum msg_kind kind;
	struct view body;
	enum aw_err r;

	failing_rest();
	assert_int_equal(link_pair(ends), 0);
	msg_encode(MSG_FACTS, &facts, &sealed);
	f.facts = view_of(&sealed);
	assert_int_equal(link_send_msg(ends[1], MSG_FETCH, &f), AW_OK);
	failing_go();
	r = talk_receive(&t, ends[0]);
	failing_rest();
	if (r == AW_OK) {
		must(view_is(t.facts.region, "eu-west-1"));
		assert_int_equal(
		    link_send_msg(ends[1], MSG_HINT, &hint), AW_OK);
		failing_go();
		if (talk_wait(&t, io_deadline(30000)) != TALK_HINT)
			r = AW_GONE;
		else if ((r = talk_answer(&t, &a)) == AW_OK)
			must(t.waiting && t.again);
		failing_rest();
	}
	/* What was not sent whole was not sent. */
	if (r == AW_OK)
		must(link_peek_msg(ends[1], &packet, &kind, &body) == AW_OK &&
		    kind == MSG_ANSWER && msg_decode(kind, body, &got) &&
		    got.last && view_is(got.creds, "sealed"));
	else
		must(link_peek_msg(ends[1], &packet, &kind, &body) == AW_BUSY);
	buf_free(&packet);
	buf_free(&sealed);
	buf_free(&t.packet);
	close(ends[0]);
	close(ends[1]);
	failing_go();
	return r;
}

/* ---- the tests */

static void
a_request_goes_out_as_it_was_meant_or_not_at_all(void **state)
{
	(void)state;
	assert_int_equal(curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, free,
			     grow, strdup, calloc),
	    0);
	start_server();
	/* Once it is under way curl does without some of what it wants. */
	with_bundle = false;
	assert_true(each_fails(get_a_token, ENOMEM, true) > 40);
	with_bundle = true;
	assert_true(each_fails(get_a_token, ENOMEM, true) > 44);
	curl_global_cleanup();
}

static void
a_bundle_that_cannot_be_read_is_not_done_without(void **state)
{
	(void)state;
	assert_int_equal(each_fails(get_a_token, EIO, false), 3);
}

static void
an_answer_arrives_whole_or_not_at_all(void **state)
{
	(void)state;
	assert_in_range(each_fails(answer_an_order, ENOMEM, true), 5, 30);
	assert_in_range(each_fails(answer_an_order, EIO, true), 5, 12);
	assert_in_range(each_fails(answer_an_order, EINTR, true), 5, 12);
}

static int
begin(void **state)
{
	static const char text[] = "-----BEGIN CERTIFICATE-----\n";
	int fd = mkstemp(bundle);

	(void)state;
	SHA256((const uint8_t *)text, sizeof(text) - 1, digest);
	return fd >= 0 &&
		write(fd, text, sizeof(text) - 1) == sizeof(text) - 1 &&
		close(fd) == 0
	    ? 0
	    : -1;
}

static int
end(void **state)
{
	(void)state;
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	return unlink(bundle);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_goes_out_as_it_was_meant_or_not_at_all),
	    cmocka_unit_test(a_bundle_that_cannot_be_read_is_not_done_without),
	    cmocka_unit_test(an_answer_arrives_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
