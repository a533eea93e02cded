/* SPDX-License-Identifier: ISC */
/*
 * Every account and role, under AWS's quota. Time is a number here: it goes on
 * when all threads wait for it, to the first that somebody waits for. So the
 * figures are those of the code, whatever this machine does meanwhile.
 */
#include "agent/fetch/fetch.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define ACCOUNTS 300
#define ROLES 8
#define PAGE 100
#define QUOTA 20
#define SECOND 1000
#define LATENCY 170
#define CALLS_MAX 4096
#define SLEEPERS 64

int64_t __wrap_io_deadline(int);
int __real_pthread_create(
    pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(
    pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __real_pthread_join(pthread_t, void **);
int __wrap_pthread_join(pthread_t, void **);
int __real_pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *);
int __wrap_pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *);
int __real_pthread_cond_broadcast(pthread_cond_t *);
int __wrap_pthread_cond_broadcast(pthread_cond_t *);

/* -------- time */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int64_t clock_now;
static int running; /* threads that wait for nothing */
static int waiting; /* for each other */
static int64_t sleepers[SLEEPERS];

/* Nobody runs: it is as late as the first sleeper wants, who runs then. */
static void
clock_move(void)
{
	size_t i, first = 0;

	if (running)
		return;
	for (i = 0; i < SLEEPERS; i++) {
		if (sleepers[i] &&
		    (!sleepers[first] || sleepers[i] < sleepers[first]))
			first = i;
	}
	if (!sleepers[first])
		return;
	clock_now = sleepers[first];
	sleepers[first] = 0;
	running++;
	__real_pthread_cond_broadcast(&moved);
}

static void
clock_sleep(int ms)
{
	size_t i = 0;

	pthread_mutex_lock(&lock);
	while (sleepers[i])
		i++;
	assert_true(i < SLEEPERS);
	sleepers[i] = clock_now + ms;
	running--;
	clock_move();
	while (sleepers[i])
		__real_pthread_cond_wait(&moved, &lock);
	pthread_mutex_unlock(&lock);
}

static void
runs(int more)
{
	pthread_mutex_lock(&lock);
	running += more;
	clock_move();
	pthread_mutex_unlock(&lock);
}

int64_t
__wrap_io_deadline(int ms)
{
	int64_t t;

	pthread_mutex_lock(&lock);
	t = clock_now + ms;
	pthread_mutex_unlock(&lock);
	return t;
}

struct start {
	void *(*run)(void *);
	void *arg;
};

static void *
thread_run(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	s.run(s.arg);
	runs(-1);
	return NULL;
}

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
    void *(*run)(void *), void *arg)
{
	struct start *s = malloc(sizeof(*s));

	assert_non_null(s);
	*s = (struct start){run, arg};
	runs(1);
	return __real_pthread_create(thread, attr, thread_run, s);
}

int
__wrap_pthread_join(pthread_t thread, void **value)
{
	int r;

	runs(-1);
	r = __real_pthread_join(thread, value);
	runs(1);
	return r;
}

/* Who is woken runs from then on, not from when the machine comes to it. */
int
__wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	pthread_mutex_lock(&lock);
	waiting++;
	running--;
	clock_move();
	pthread_mutex_unlock(&lock);
	return __real_pthread_cond_wait(c, m);
}

int
__wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	pthread_mutex_lock(&lock);
	running += waiting;
	waiting = 0;
	pthread_mutex_unlock(&lock);
	return __real_pthread_cond_broadcast(c);
}

/* -------- AWS, and who asked */

static struct {
	int64_t calls[CALLS_MAX]; /* when each was made */
	size_t n;
	size_t refuse_after, refused; /* that many calls, then with a 429 */
	int told[ACCOUNTS][ROLES];
	int accounts_done;
	bool last;
	int hang_up_after; /* nobody listens after that many answers */
	int answers;
	enum aw_err fails; /* ListAccountRoles of account 7 */
} aws;

static struct json *
accounts_page(size_t from)
{
	AUTOBUF struct buf b = {0};
	char one[160];
	size_t i;

	buf_put(&b, "{\"accountList\":[", 16);
	for (i = from; i < from + PAGE; i++) {
		snprintf(one, sizeof(one),
		    "%s{\"accountId\":\"%012zu\",\"accountName\":\"a%zu\","
		    "\"emailAddress\":\"a%zu@example.com\"}",
		    i > from ? "," : "", i, i, i);
		buf_put(&b, one, strlen(one));
	}
	buf_put(&b, "]}", 2);
	return json_parse(view_of(&b));
}

static struct json *
roles_page(void)
{
	AUTOBUF struct buf b = {0};
	char one[64];
	int i;

	buf_put(&b, "{\"roleList\":[", 13);
	for (i = 0; i < ROLES; i++) {
		snprintf(one, sizeof(one), "%s{\"roleName\":\"Role%d\"}",
		    i ? "," : "", i);
		buf_put(&b, one, strlen(one));
	}
	buf_put(&b, "]}", 2);
	return json_parse(view_of(&b));
}

void
aws_free(struct aws_answer *a)
{
	json_free(a->json);
	*a = (struct aws_answer){0};
}

static enum aw_err
answer(const char *account, struct buf *token, struct aws_answer *a)
{
	size_t from = token->len ? (size_t)atol((const char *)token->data) : 0;

	buf_reset(token);
	if (account) {
		a->json = roles_page();
		return strcmp(account, "000000000007") != 0 ? AW_OK : aws.fails;
	}
	a->json = accounts_page(from);
	if (from + PAGE < ACCOUNTS) {
		char next[16];

		snprintf(next, sizeof(next), "%zu", from + PAGE);
		buf_put(token, next, strlen(next) + 1);
	}
	return AW_OK;
}

enum aw_err
portal_page(struct talk *t, struct view tok, const char *account,
    struct buf *token, struct aws_answer *a)
{
	bool refused;
	enum aw_err r = AW_NETWORK;

	(void)t;
	assert_true(view_is(tok, "TOKEN"));
	pthread_mutex_lock(&lock);
	assert_true(aws.n < CALLS_MAX);
	refused = aws.refused && aws.n >= aws.refuse_after;
	aws.refused -= refused;
	aws.calls[aws.n++] = clock_now;
	pthread_mutex_unlock(&lock);
	clock_sleep(LATENCY);
	aws_free(a);
	a->http.status = refused ? 429 : 200;
	if (!refused) {
		pthread_mutex_lock(&lock);
		r = answer(account, token, a);
		pthread_mutex_unlock(&lock);
	}
	return r;
}

enum aw_err
talk_open(struct talk *t)
{
	(void)t;
	return AW_OK;
}

void
http_close(struct http *h)
{
	(void)h;
}

int64_t
talk_left(const struct talk *t)
{
	return t->deadline - io_deadline(0);
}

bool
talk_sleep(struct talk *t, int ms)
{
	(void)t;
	clock_sleep(ms);
	return true;
}

enum aw_err
talk_answer(struct talk *t, struct answer *a)
{
	struct view items = a->grants;
	struct grant_item item;

	(void)t;
	pthread_mutex_lock(&lock);
	while (msg_each(MSG_GRANT_ITEM, &items, &item)) {
		long account = strtol((const char *)item.account.p, NULL, 10);

		assert_in_range(account, 0, ACCOUNTS - 1);
		assert_true(item.role.n == 5 && item.role.p[4] >= '0');
		aws.told[account][item.role.p[4] - '0']++;
	}
	aws.accounts_done += a->done;
	aws.last |= a->last;
	aws.answers++;
	pthread_mutex_unlock(&lock);
	return aws.hang_up_after && aws.answers > aws.hang_up_after ? AW_GONE
								    : AW_OK;
}

/* -------- tests */

static enum aw_err
fetch(void)
{
	AUTOBUF struct buf tok = {0};
	struct talk t = {0};

	msg_encode(
	    MSG_TOK, &(struct tok){.access_token = view_str("TOKEN")}, &tok);
	t.fetch.tok = view_of(&tok);
	clock_now = 1000000;
	running = 1;
	waiting = 0;
	return grants_fetch(&t);
}

static int
reset(void **state)
{
	(void)state;
	memset(&aws, 0, sizeof(aws));
	return 0;
}

static int
by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
each_role_was_told_once(void)
{
	int a, r;

	for (a = 0; a < ACCOUNTS; a++) {
		for (r = 0; r < ROLES; r++)
			assert_int_equal(aws.told[a][r], 1);
	}
	assert_int_equal(aws.accounts_done, ACCOUNTS);
	assert_true(aws.last);
}

/*
 * AWS's quota is a bucket of 20 calls that fills by 20 in a second. Never more
 * than 20 in one, and never so few that at any time more than a tenth of what
 * could have been asked had not been.
 */
static void
three_hundred_accounts_use_all_of_the_quota_and_no_more(void **state)
{
	const size_t calls = ACCOUNTS + ACCOUNTS / PAGE;
	size_t i;

	(void)state;
	assert_int_equal(fetch(), AW_OK);
	each_role_was_told_once();
	assert_int_equal(aws.n, calls);
	qsort(aws.calls, aws.n, sizeof(aws.calls[0]), by_time);
	for (i = QUOTA; i < aws.n; i++)
		assert_true(aws.calls[i] - aws.calls[i - QUOTA] > SECOND);
	/* The first page tells whom to ask for. */
	for (i = QUOTA; i < aws.n; i++) {
		int64_t could = (int64_t)(i - QUOTA + 1) * SECOND / QUOTA;

		assert_true(aws.calls[i] - aws.calls[0] <=
		    could * 11 / 10 + LATENCY + SECOND);
	}
	assert_true(clock_now - aws.calls[0] <=
	    (int64_t)(calls - QUOTA) * SECOND / QUOTA * 11 / 10 + 2 * LATENCY);
}

static void
who_uses_it_too_slows_this_and_stops_nothing(void **state)
{
	(void)state;
	aws.refuse_after = 50;
	aws.refused = 30;
	assert_int_equal(fetch(), AW_OK);
	each_role_was_told_once();
	assert_int_equal(aws.n, ACCOUNTS + ACCOUNTS / PAGE + 30);
	assert_int_equal(aws.refused, 0);
}

static void
an_account_that_aws_refuses_has_no_roles(void **state)
{
	(void)state;
	aws.fails = AW_AWS;
	assert_int_equal(fetch(), AW_OK);
	assert_int_equal(aws.told[7][0], 0);
	assert_int_equal(aws.told[8][0], 1);
	assert_int_equal(aws.accounts_done, ACCOUNTS);
	assert_true(aws.last);
}

static void
a_token_that_is_refused_ends_all_of_them(void **state)
{
	(void)state;
	aws.fails = AW_TOKEN;
	assert_int_equal(fetch(), AW_TOKEN);
	assert_false(aws.last);
	assert_true(aws.n < 60);
}

static void
nobody_asks_on_for_who_went_away(void **state)
{
	(void)state;
	aws.hang_up_after = 10;
	assert_int_equal(fetch(), AW_GONE);
	assert_true(aws.n < 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(
		three_hundred_accounts_use_all_of_the_quota_and_no_more, reset),
	    cmocka_unit_test_setup(
		who_uses_it_too_slows_this_and_stops_nothing, reset),
	    cmocka_unit_test_setup(
		an_account_that_aws_refuses_has_no_roles, reset),
	    cmocka_unit_test_setup(
		a_token_that_is_refused_ends_all_of_them, reset),
	    cmocka_unit_test_setup(nobody_asks_on_for_who_went_away, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
