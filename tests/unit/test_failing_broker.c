/* SPDX-License-Identifier: ISC */
/*
 * Requests through the real broker with each of its calls failing once in
 * turn. Short of memory it may end, and another takes its place; otherwise who
 * asked gets what is right, a reason, or an end: nothing wrong, and no silence.
 */
#define SETTLE_ROUNDS 12 /* it is done some hundred times */
#include "tests/unit/failing_broker.h"

static void
ask_creds(void)
{
	const struct creds_req req = {.ask = {
					  .config = view_str("/config"),
					  .stamp = fake_stamp(1),
					  .profile = view_str("marketing"),
				      }};

	send_request("creds@awsenv", MSG_CREDS_REQ, &req);
}

/* What has to be asked of AWS, or told by it. */
static void
give_creds(int fd, const struct fetch *f)
{
	finish(fd, f,
	    (struct answer){
		.creds = view_str("sealed new"),
		.creds_expires = fake_seconds + 3600,
		.access_key = view_str("ASIANEW"),
		.account = view_str("123456789012"),
	    });
}

static enum aw_err
creds_are(const char *sealed)
{
	AUTOBUF struct buf keep = {0};
	struct creds_rep rep;
	enum aw_err r = hear("creds@awsenv", MSG_CREDS_REP, &rep, &keep);

	if (r == AW_OK)
		must(view_is(rep.sealed, sealed));
	return r;
}

/* ---- what is asked for */

static enum aw_err
hand_out(void)
{
	fake_role("Dev", 600, 3000, "sealed credentials");
	ask_creds();
	serve();
	return creds_are("sealed credentials");
}

static enum aw_err
fetch(void)
{
	fake_token(3600, true);
	ask_creds();
	serve();
	return creds_are("sealed new");
}

static enum aw_err
tell(void)
{
	AUTOBUF struct buf keep = {0};
	struct status_rep rep;
	enum aw_err r;

	fake_token(3600, true);
	send_request("status@awsenv", MSG_STATUS_REQ, &(struct status_req){0});
	r = hear("status@awsenv", MSG_STATUS_REP, &rep, &keep);
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
	acting = true;
	fetcher = give_creds;
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
