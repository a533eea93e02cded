/* SPDX-License-Identifier: ISC */
/*
 * A login from its code to its end, with each call of the broker failing once
 * in turn. What a person approved is never lost: once its fetcher has said a
 * token, that is kept, or stays with the next broker. What is asked to be
 * forgotten is, and AWS was told of it if that is what is said. What a login may
 * use is listed whole or not at all.
 */
#include "tests/unit/failing_broker.h"

static const struct ask marketing = {
    .stamp.mtime = 1,
    .profile = {(const uint8_t *)"marketing", 9},
};

static unsigned int ordered[32]; /* how often, of enum fetch_what */
static bool given;		 /* a fetcher could say what it had to say */
static bool answered;		 /* ... and what it had of the person */

static bool
kept(enum store_kind kind, const char *sealed)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	return store_get(kind, fake_login_id(), &b, &rec) == AW_OK &&
	    view_is(rec.sealed, sealed);
}

static bool
is_person(const char *name, uint64_t obtained)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	return store_get(KEY_REF, fake_login_id(), &b, &rec) == AW_OK &&
	    view_is(rec.person, name) && rec.obtained == obtained;
}

/* ---- what fetchers do */

static bool
tell(int fd, const struct fetch *f, struct answer a)
{
	a.version = MSG_VERSION;
	a.what = f->what;
	a.tag = f->tag;
	return link_send_msg(fd, MSG_ANSWER, &a) == AW_OK;
}

static struct answer
a_token(void)
{
	return (struct answer){
	    .tok = view_str("token 2"),
	    .tok_expires = fake_seconds + 3600,
	    .ref = view_str("ref 2"),
	    .ref_expires = fake_seconds + 90 * 86400,
	    .refreshable = 1,
	};
}

static void
go_through_it(int fd, const struct fetch *f)
{
	ordered[f->what]++;
	if (f->what == FETCH_LOGIN)
		tell(fd, f,
		    (struct answer){
			.dev = view_str("device"),
			.dev_until = fake_seconds + 600,
			.url = view_str("https://corp.awsapps.com/start"),
			.code = view_str("ABCD-EFGH"),
		    });
	settle();
	given |= tell(fd, f, a_token());
	settle();
	answered |= tell(fd, f,
	    (struct answer){.last = 1, .person = view_str("Jane@example.com")});
	settle();
}

static void
refresh(int fd, const struct fetch *f)
{
	struct answer a = a_token();

	ordered[f->what]++;
	a.last = 1;
	if (f->what == FETCH_REFRESH)
		given |= tell(fd, f, a);
	else
		finish(fd, f,
		    (struct answer){
			.creds = view_str("sealed role"),
			.creds_expires = fake_seconds + 3600,
			.access_key = view_str("ASIANEW"),
			.account = view_str("123456789012"),
		    });
	settle();
}

static void
sign_out(int fd, const struct fetch *f)
{
	ordered[f->what]++;
	must(f->what == FETCH_LOGOUT && view_is(f->tok, "sealed token"));
	given |= tell(fd, f, (struct answer){.last = 1});
	settle();
}

/* ---- a login */

static void
send_login(void)
{
	const struct login_req req = {.ask = marketing};

	send_request("login@awsenv", MSG_LOGIN_REQ, &req);
	serve();
}

static enum aw_err
log_in(void)
{
	AUTOBUF struct buf keep = {0};
	struct login_rep rep;
	enum aw_err r;
	bool named;

	begin(NULL);
	fetcher = go_through_it;
	send_login();
	r = hear("login@awsenv", MSG_LOGIN_REP, &rep, &keep);
	acting = false;
	/* It is said once. */
	must(!given || (kept(KEY_TOK, "token 2") && kept(KEY_REF, "ref 2")));
	must(!given || !kept(KEY_DEV, "device"));
	must(!given || ordered[FETCH_LOGIN] == 1);
	named = answered;
	come_anew();
	send_login();
	must(hear("login@awsenv", MSG_LOGIN_REP, &rep, &keep) == AW_OK);
	must(!named || view_is(rep.person, "Jane@example.com"));
	end();
	return r;
}

/* A code that the broker before this one had, for which somebody looks. */
static void
leave_a_code(void)
{
	AUTOBUF struct buf facts = {0};
	struct record rec = {
	    .obtained = fake_seconds,
	    .expires = fake_seconds + 600,
	    .id = fake_login_id(),
	    .sealed = view_str("device"),
	};

	fake_facts(&facts);
	rec.facts = view_of(&facts);
	must(store_put(KEY_DEV, &rec) == AW_OK);
}

static enum aw_err
go_on_with_it(void)
{
	begin(leave_a_code);
	fetcher = go_through_it;
	failing_go();
	login_resume();
	failing_rest();
	serve_late();
	acting = false;
	must(ordered[FETCH_POLL] >= 1 && ordered[FETCH_LOGIN] == 0);
	must(given && kept(KEY_TOK, "token 2") && kept(KEY_REF, "ref 2"));
	end();
	return AW_OK;
}

/* ---- a token that runs short */

static uint64_t began;

static void
have_an_old_token(void)
{
	began = fake_seconds;
	fake_token(3600, true);
	pass(3590);
}

static enum aw_err
renew(void)
{
	const struct creds_req req = {.ask = marketing};
	AUTOBUF struct buf keep = {0};
	struct creds_rep rep;
	enum aw_err r;

	begin(have_an_old_token);
	fetcher = refresh;
	send_request("creds@awsenv", MSG_CREDS_REQ, &req);
	serve();
	r = hear("creds@awsenv", MSG_CREDS_REP, &rep, &keep);
	acting = false;
	must(r != AW_LOGIN);
	must(!given || (kept(KEY_TOK, "token 2") && kept(KEY_REF, "ref 2")));
	/* Who it is, and since when, is what it was. */
	must(is_person("Jane@example.com", began));
	end();
	return r;
}

/* ---- its end */

static void
have_a_token(void)
{
	fake_token(3600, true);
	fake_role("Dev", 600, 3000, "sealed role");
}

static bool
is_forgotten(void)
{
	return !kept(KEY_TOK, "sealed token") && !kept(KEY_REF, "sealed ref") &&
	    store_drop_all(1u << KEY_ROLE, (struct view){0}) == 0;
}

static enum aw_err
log_out(uint8_t what)
{
	const struct logout_req req = {.ask = marketing, .what = what};
	const struct view line =
	    view_str("corp (Jane@example.com): signed out at AWS, 1 role "
		     "credential forgotten");
	AUTOBUF struct buf keep = {0};
	struct logout_rep rep;
	enum aw_err r;

	begin(have_a_token);
	fetcher = sign_out;
	send_request("logout@awsenv", MSG_LOGOUT_REQ, &req);
	serve_late();
	r = hear("logout@awsenv", MSG_LOGOUT_REP, &rep, &keep);
	acting = false;
	if (r == AW_OK)
		must(is_forgotten() && given && rep.logins == 1 &&
		    rep.roles == 1 && view_has(rep.lines, line));
	end();
	return r;
}

static enum aw_err
log_out_one(void)
{
	return log_out(LOGOUT_ONE);
}

static enum aw_err
log_out_all(void)
{
	return log_out(LOGOUT_ALL);
}

/* As the last session ends, and nobody is there to be told. */
static enum aw_err
log_out_at_the_end(void)
{
	begin(have_a_token);
	fetcher = sign_out;
	failing_go();
	logout_all();
	failing_rest();
	serve_late();
	acting = false;
	must(is_forgotten() && given);
	end();
	return AW_OK;
}

/* ---- what it may use */

#define ROLES 2

/* Each in an answer of its own. */
static void
list_roles(int fd, const struct fetch *f)
{
	const struct grant_item item = {
	    .account = view_str("123456789012"),
	    .role = view_str("Dev"),
	};
	AUTOBUF struct buf page = {0};
	int i;

	msg_append(MSG_GRANT_ITEM, &item, &page);
	for (i = 1; i <= ROLES; i++) {
		tell(fd, f,
		    (struct answer){
			.last = i == ROLES,
			.accounts = 1,
			.done = i == ROLES,
			.grants = view_of(&page),
		    });
		settle();
	}
}

static enum aw_err
ask_for_roles(unsigned int *n)
{
	const struct grants_req req = {.ask = marketing};
	AUTOBUF struct buf keep = {0};
	struct grant_item item;
	struct grants_rep rep;
	enum aw_err r;

	send_request("grants@awsenv", MSG_GRANTS_REQ, &req);
	serve_late();
	r = hear("grants@awsenv", MSG_GRANTS_REP, &rep, &keep);
	*n = 0;
	if (r != AW_OK || !rep.complete)
		return r == AW_OK ? AW_BUSY : r;
	while (msg_each(MSG_GRANT_ITEM, &rep.items, &item))
		++*n;
	return AW_OK;
}

static enum aw_err
list(void)
{
	unsigned int n;
	enum aw_err r;

	begin(have_a_token);
	fetcher = list_roles;
	/* It may be told before it is complete. */
	if ((r = ask_for_roles(&n)) == AW_BUSY)
		r = ask_for_roles(&n);
	acting = false;
	must(r != AW_OK || n == ROLES);
	end();
	return r;
}

/* ---- the test */

static void
no_login_is_lost_and_none_is_left(void **state)
{
	static const struct row rows[] = {
	    {log_in, 60},
	    {go_on_with_it, 40},
	    {renew, 40},
	    {log_out_one, 30},
	    {log_out_all, 30},
	    {log_out_at_the_end, 20},
	    {list, 40},
	};

	(void)state;
	fail_each(rows, sizeof(rows) / sizeof(*rows));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_login_is_lost_and_none_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
