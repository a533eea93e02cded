/* SPDX-License-Identifier: ISC */
/*
 * What others may use by this machine's leave, with each call of the broker
 * failing once in turn. Nothing is handed out that a person did not say yes to,
 * and a yes that was taken counts. A socket is for what it was opened for, is
 * there or was never, and ends with whoever made it, also after another broker.
 * Between a client and an ssh-agent nothing is left out, doubled or made up.
 */
#include "tests/unit/failing_broker.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#define PERSON 77  /* the pid of who answers */
#define FAR_FD 700 /* further than the loop has watched so far */
#define SOCKET "forward-00000007"

static const struct view marketing = {(const uint8_t *)"marketing", 10};

static int
come(enum origin origin, enum listener at, pid_t pid)
{
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	conn_add(fd[0], origin, pid)->listener = at;
	return fd[1];
}

/* Where what is kept cannot be read. */
static void
give_creds(int fd, const struct fetch *f)
{
	finish(fd, f,
	    (struct answer){
		.creds = view_str("sealed credentials"),
		.creds_expires = fake_seconds + 3600,
		.access_key = view_str("ASIANEW"),
		.account = view_str("123456789012"),
	    });
}

static void
have_a_role(void)
{
	fetcher = give_creds;
	fake_token(3600, true);
	fake_role("Dev", 600, 3000, "sealed credentials");
}

static void
send_creds(const char *profile)
{
	const struct creds_req req = {
	    .ask = {.stamp = fake_stamp(1), .profile = view_str(profile)},
	};

	send_request("creds@awsenv", MSG_CREDS_REQ, &req);
	serve();
}

static enum aw_err
creds_are_given(void)
{
	AUTOBUF struct buf keep = {0};
	struct creds_rep rep;
	enum aw_err r = hear("creds@awsenv", MSG_CREDS_REP, &rep, &keep);

	if (r == AW_OK)
		must(view_is(rep.sealed, "sealed credentials"));
	return r;
}

/* ---- questions */

/* What the person is shown; 0: nothing. */
static uint64_t
shown(void)
{
	const struct questions_req req = {0};
	AUTOBUF struct buf keep = {0};
	struct question_item item;
	struct questions_rep rep;

	send_request("questions@awsenv", MSG_QUESTIONS_REQ, &req);
	serve();
	if (hear("questions@awsenv", MSG_QUESTIONS_REP, &rep, &keep) != AW_OK ||
	    !msg_each(MSG_QUESTION_ITEM, &rep.items, &item))
		return 0;
	must(view_is(item.profile, "sure-thing"));
	must(view_is(item.account, "123456789012"));
	must(view_is(item.role, "Dev"));
	return item.id;
}

static enum aw_err
say(uint64_t id, uint8_t what)
{
	const struct answer_req req = {.id = id, .answer = what};

	send_request("answer@awsenv", MSG_ANSWER_REQ, &req);
	serve();
	return hear_done("answer@awsenv");
}

static enum aw_err
ask_a_person(uint8_t what)
{
	static const char *const sure[] = {"sure-thing", NULL};
	enum aw_err r, said = AW_GONE;
	int asker, person;
	bool yes = false;
	uint64_t id;

	begin(have_a_role);
	profiles = sure;
	asker = client;
	client = person = come(LOCAL, AT_AGENT, PERSON);
	/* Until there is a question it is the same for both. */
	acting = what != ANSWER_NO;
	shown();
	client = asker;
	send_creds("sure-thing");
	acting = true;
	client = person;
	if ((id = shown()) != 0) {
		yes = what != ANSWER_NO;
		said = say(id, what);
	}
	client = asker;
	r = creds_are_given();
	must(r != AW_OK || yes);
	acting = false;
	if (said == AW_OK && what == ANSWER_HOUR) {
		failing_heal();
		close(asker);
		client = asker = come(LOCAL, AT_AGENT, getpid());
		send_creds("sure-thing");
		must(creds_are_given() == AW_OK);
	}
	close(person);
	end();
	return r == AW_DENIED && said == AW_OK && !yes ? AW_OK : r;
}

static enum aw_err
say_yes(void)
{
	return ask_a_person(ANSWER_HOUR);
}

static enum aw_err
say_no(void)
{
	return ask_a_person(ANSWER_NO);
}

/* ---- sockets */

static bool
is_kept(void)
{
	AUTOBUF struct buf b = {0};
	struct record rec;

	return store_get(KEY_PERMIT, view_str(SOCKET), &b, &rec) == AW_OK;
}

/* What the supervisor heard of it last; 0: nothing. */
static uint32_t
told(void)
{
	static uint32_t type;
	struct link l;

	while (link_recv(fake_supervisor, &l) == AW_OK) {
		if (strcmp(l.text, SOCKET) == 0)
			type = l.type;
	}
	return type;
}

/* The supervisor's part; where it listens is in *at. */
static void
listens(struct sockaddr_un *at, socklen_t *n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	*n = sizeof(*at);
	must(fd >= 0 && dup2(fd, FAR_FD) == FAR_FD);
	close(fd);
	/* The kernel finds a name for it. */
	must(bind(FAR_FD, (struct sockaddr *)at, sizeof(at->sun_family)) == 0);
	must(getsockname(FAR_FD, (struct sockaddr *)at, n) == 0);
	must(listen(FAR_FD, 8) == 0);
	failing_go();
	permit_listen(SOCKET, FAR_FD, 0);
	failing_rest();
	settle();
}

/* Somebody comes by it and asks for that. */
static enum aw_err
ask_by(const struct sockaddr_un *at, socklen_t n, const char *profile)
{
	int before = client;
	enum aw_err r;

	client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	must(client >= 0);
	must(connect(client, (const struct sockaddr *)at, n) == 0);
	settle();
	send_creds(profile);
	r = creds_are_given();
	close(client);
	client = before;
	settle();
	return r;
}

static void
send_forward(uint8_t what)
{
	const struct forward_req req = {
	    .ask.stamp = fake_stamp(1),
	    .what = what,
	    .id = 7,
	    .profiles = marketing,
	    .bound = 1,
	};

	send_request("forward@awsenv", MSG_FORWARD_REQ, &req);
	serve();
}

static enum aw_err
hear_of_it(void)
{
	AUTOBUF struct buf keep = {0};
	struct forward_item item;
	struct forward_rep rep;
	enum aw_err r = hear("forward@awsenv", MSG_FORWARD_REP, &rep, &keep);

	if (r != AW_OK)
		return r;
	must(msg_each(MSG_FORWARD_ITEM, &rep.items, &item));
	must(view_is(item.name, SOCKET) && item.bound);
	must(view_eq(item.profiles, marketing));
	return AW_OK;
}

/* Who made it goes, and it with him. */
static void
end_a_socket(bool listened)
{
	close(client);
	settle();
	acting = false;
	must(!is_kept() && (!listened || told() == LINK_CLOSE));
	client = fake_client(LOCAL);
	end();
}

static void
have_profiles(void)
{
	static const char *const two[] = {"marketing", "no-thing", NULL};

	profiles = two;
	fake_forward = FORWARD_ALLOW;
	have_a_role();
	conn_start();
}

static enum aw_err
use_a_socket(const struct sockaddr_un *at, socklen_t n)
{
	must(is_kept());
	must(ask_by(at, n, "no-thing") != AW_OK);
	return ask_by(at, n, "marketing");
}

static enum aw_err
open_a_socket(void)
{
	struct sockaddr_un at;
	socklen_t n = 0;
	enum aw_err r;

	begin(have_profiles);
	send_forward(FORWARD_OPEN);
	if (told() == LINK_OPEN)
		listens(&at, &n);
	if ((r = hear_of_it()) == AW_OK)
		r = use_a_socket(&at, n);
	end_a_socket(n > 0);
	return r;
}

static void
have_one_of_before(void)
{
	AUTOBUF struct buf facts = {0};
	const struct forward_item item = {.profiles = marketing, .bound = 1};
	struct record rec = {
	    .obtained = fake_seconds,
	    .id = view_str(SOCKET),
	    .label = view_str(SOCKET),
	};

	have_profiles();
	msg_encode(MSG_FORWARD_ITEM, &item, &facts);
	rec.facts = view_of(&facts);
	must(store_put(KEY_PERMIT, &rec) == AW_OK);
}

static enum aw_err
keep_a_socket(void)
{
	struct sockaddr_un at;
	socklen_t n;
	enum aw_err r;

	begin(have_one_of_before);
	listens(&at, &n);
	send_forward(FORWARD_KEEP);
	acting = false;
	if ((r = hear_of_it()) == AW_OK)
		must(use_a_socket(&at, n) == AW_OK);
	acting = true;
	/* Whoever keeps it has some time to come again. */
	if (r != AW_OK)
		pass(60);
	end_a_socket(true);
	return r;
}

/* What it was for is not kept. */
static enum aw_err
have_lost_a_socket(void)
{
	begin(have_one_of_before);
	failing_go();
	permit_start();
	failing_rest();
	acting = false;
	must(!is_kept());
	end();
	return AW_OK;
}

/* ---- an ssh-agent */

static const uint8_t bind_frame[] = "\0\0\0\x38\x1b\0\0\0\x18"
				    "session-bind@openssh.com\0\0\0\3key"
				    "\0\0\0\2id\0\0\0\x09signature\1";
#define BIND_N (sizeof(bind_frame) - 1)
#define LIST "\0\0\0\1\x0b"
#define ONE_KEY "\0\0\0\x0b\x0c\0\0\0\1a key."
#define NO_KEYS "\0\0\0\5\x0c\0\0\0\0"
#define GOOD "\0\0\0\1\6"

static void
put(int fd, const void *p, size_t n)
{
	send(fd, p, n, MSG_NOSIGNAL);
	serve();
}

/* The part of the ssh-agent: a bind, and then a request. */
static void
be_ssh_agent(void)
{
	static uint8_t whole[BIND_N + 5], got[sizeof(whole)];
	static size_t n;
	ssize_t more;

	if (upstream < 0)
		return;
	memcpy(whole, bind_frame, BIND_N);
	memcpy(whole + BIND_N, LIST, 5);
	do {
		more = recv(upstream, got + n, sizeof(got) - n, 0);
		if (more <= 0)
			break;
		n += (size_t)more;
		must(memcmp(got, whole, n) == 0);
		/* Nothing follows a bind that has not been answered. */
		if (n == BIND_N)
			put(upstream, GOOD, 5);
		else if (n == sizeof(whole))
			put(upstream, ONE_KEY, 15);
		else
			must(n < BIND_N);
	} while (n < sizeof(whole));
}

/* What is heard of those, in any pieces. */
static enum aw_err
hear_keys(void)
{
	uint8_t got[64];
	size_t n = 0;
	ssize_t more;
	int i;

	for (i = 0; i < 20 && n < 20; i++) {
		serve();
		be_ssh_agent();
		more = recv(client, got + n, sizeof(got) - n, 0);
		if (more == 0 || (more < 0 && errno == ECONNRESET))
			return AW_GONE;
		n += more > 0 ? (size_t)more : 0;
		must(n < 5 || memcmp(got, GOOD, 5) == 0);
		if (n == 5 + 9 && memcmp(got + 5, NO_KEYS, 9) == 0)
			return AW_NOAGENT;
		pass(2);
	}
	must(n == 5 + 15 && memcmp(got + 5, ONE_KEY, 15) == 0);
	return AW_OK;
}

static enum aw_err
relay(void)
{
	enum aw_err r;

	begin(NULL);
	fake_leave(client);
	seen.flags = SEEN_THERE | SEEN_SSH | SEEN_BINDS | SEEN_WAITS;
	client = come(REMOTE, AT_FORWARD, getpid());
	put(client, bind_frame, BIND_N);
	put(client, LIST, 5);
	r = hear_keys();
	acting = false;
	if (upstream >= 0)
		close(upstream);
	end();
	return r;
}

/* ---- the test */

static void
nothing_is_let_out_that_is_not_to_be(void **state)
{
	static const struct row rows[] = {
	    {say_yes, 50},
	    {say_no, 40},
	    {open_a_socket, 60},
	    {keep_a_socket, 30},
	    {have_lost_a_socket, 1},
	    {relay, 30},
	};

	(void)state;
	fail_each(rows, sizeof(rows) / sizeof(*rows));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_let_out_that_is_not_to_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
