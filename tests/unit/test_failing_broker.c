/* SPDX-License-Identifier: ISC */
/*
 * Requests through the real broker with each of its calls failing once in
 * turn. Short of memory it may end, and another takes its place; otherwise who
 * asked gets what is right, a reason, or an end: nothing wrong, and no silence.
 */
#define SETTLE_ROUNDS 12 /* it is done some hundred times */
#include "tests/unit/fake_broker.h"

#include <errno.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/failing.h"

/* What the broker does counts, and nothing that the test does. */
void __real_loop_once(void);
void __wrap_loop_once(void);
void
__wrap_loop_once(void)
{
	failing_go();
	__real_loop_once();
	failing_rest();
}

static const char *const names[] = {"marketing", NULL};
static int client;

static void
ask(const char *name, enum msg_kind kind, const void *msg)
{
	AUTOBUF struct buf body = {0}, frame = {0};

	msg_encode(kind, msg, &body);
	io_put_request(&frame, name, view_of(&body));
	must(write(client, frame.data, frame.len) == (ssize_t)frame.len);
	settle();
}

static void
ask_creds(void)
{
	const struct creds_req req = {.ask = {
					  .config = view_str("/config"),
					  .stamp = fake_stamp(1),
					  .profile = view_str("marketing"),
				      }};

	ask("creds@awsenv", MSG_CREDS_REQ, &req);
}

/* What has to be asked of AWS, or told by it. */
static void
give_creds(int fd)
{
	struct answer a = {
	    .version = MSG_VERSION,
	    .last = 1,
	    .creds = view_str("sealed new"),
	    .creds_expires = fake_seconds + 3600,
	    .access_key = view_str("ASIANEW"),
	    .account = view_str("123456789012"),
	};
	AUTOBUF struct buf order = {0};
	struct fetch f;

	if (fake_order(fd, &order, &f) != MSG_FETCH)
		return;
	a.what = f.what;
	a.tag = f.tag;
	link_send_msg(fd, MSG_ANSWER, &a);
}

/* However often they are wanted. */
static void
serve_programs(void)
{
	enum link_program program;
	int fd;

	while ((fd = fake_spawn_any(&program)) >= 0) {
		if (program == PROGRAM_PROFILE)
			fake_table(fd, 1, names);
		else
			give_creds(fd);
		settle();
		close(fd);
		settle();
	}
}

/* AW_GONE: the connection ended. */
static enum aw_err
reply(const char *name, enum msg_kind kind, void *rep, struct buf *keep)
{
	struct view body;
	enum aw_err r;
	int i;

	/* What waits for something that does not come has an end, too. */
	for (i = 0; i < 20; i++) {
		r = io_get_reply(client, name, keep, &body, io_deadline(0));
		if (r != AW_TIMEOUT)
			break;
		pass(10);
	}
	must(r != AW_TIMEOUT);
	if (r != AW_OK)
		return AW_GONE;
	must(msg_decode(kind, body, rep));
	return AW_OK;
}

static enum aw_err
creds_are(const char *sealed)
{
	AUTOBUF struct buf keep = {0};
	struct creds_rep rep;
	enum aw_err r = reply("creds@awsenv", MSG_CREDS_REP, &rep, &keep);

	if (r != AW_OK)
		return r;
	if (rep.error == AW_OK)
		must(view_is(rep.sealed, sealed));
	return (enum aw_err)rep.error;
}

/* ---- what is asked for */

static enum aw_err
hand_out(void)
{
	fake_role("Dev", 600, 3000, "sealed credentials");
	ask_creds();
	serve_programs();
	return creds_are("sealed credentials");
}

static enum aw_err
fetch(void)
{
	fake_token(3600, true);
	ask_creds();
	serve_programs();
	return creds_are("sealed new");
}

static enum aw_err
tell(void)
{
	AUTOBUF struct buf keep = {0};
	struct status_rep rep;
	enum aw_err r;

	fake_token(3600, true);
	ask("status@awsenv", MSG_STATUS_REQ, &(struct status_req){0});
	r = reply("status@awsenv", MSG_STATUS_REP, &rep, &keep);
	if (r == AW_OK)
		must(rep.keys == 2 && rep.logins == 1);
	return r;
}

static enum aw_err as_client(enum aw_err (*what)(void))
{
	enum aw_err r;

	client = fake_client(LOCAL);
	r = what();
	fake_leave(client);
	return r;
}

/* Whatever became of the first, the next client is served well. */
static enum aw_err with_another(enum aw_err (*what)(void))
{
	enum aw_err r;

	failing_rest();
	fake_begin();
	login_get(fake_login_id()); /* once made it stays */
	r = as_client(what);
	failing_heal();
	must(as_client(what) == AW_OK);
	failing_go();
	return r;
}

#define WITH_ANOTHER(name)                 \
	static enum aw_err name##_(void)   \
	{                                  \
		return with_another(name); \
	}
WITH_ANOTHER(hand_out)
WITH_ANOTHER(fetch)
WITH_ANOTHER(tell)

/* ---- the test */

static void
who_asks_gets_what_is_right_or_a_reason_or_an_end(void **state)
{
	static const struct {
		enum aw_err (*what)(void);
		unsigned int least;
	} rows[] = {{hand_out_, 20}, {fetch_, 30}, {tell_, 5}};
	static const int errors[] = {ENOMEM, EIO};
	unsigned int n;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (j = 0; j < sizeof(errors) / sizeof(*errors); j++) {
			n = each_fails_apart(rows[i].what, errors[j], true);
			assert_true(errors[j] != ENOMEM || n >= rows[i].least);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_asks_gets_what_is_right_or_a_reason_or_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
