/* SPDX-License-Identifier: ISC */
#include "tests/unit/fake_broker.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/*
 * In place of request.c: a client that sends 'a' and a number asks for what
 * stands in that row, 'q' says what it saw of the questions, 'y' answers one.
 */
static struct row {
	const char *role;
	bool remote;
	const char *host;
} rows[16];
static struct seen seens[4]; /* by pid: the asker, the person, an ssh, others */
static uint64_t seen, chosen;
static uint32_t seconds;
static uint8_t answer;
static struct questions_rep rep;
static struct buf items;

#define PERSON 77 /* pid of who answers */
#define ASKER 1000
#define SSH 22

static struct seen *
seen_of(pid_t pid)
{
	return &seens[pid == ASKER ? 0
		: pid == PERSON	   ? 1
		: pid == SSH	   ? 2
				   : 3];
}

/* In place of look.c: it is seen at once, but of one maybe later. */
static pid_t slow;
static struct look *looking;

void
look_open(void)
{
}

void
look_off(struct look *look)
{
	look->state = LOOK_NONE;
}

void
look_at(struct look *look, pid_t pid, uint32_t flags)
{
	(void)flags;
	if (pid == slow)
		looking = look;
	look->seen = *seen_of(pid);
	look->state = pid == slow ? LOOK_ASKED : LOOK_DONE;
}

static void
see_it(void)
{
	slow = 0;
	looking->state = LOOK_DONE;
	hold_wake(&looking->holds, AW_OK, NULL);
}

static enum aw_err
ask(struct round *r, const struct row *row)
{
	struct target *t = &r->target;
	struct question q = {
	    .target = t,
	    .remote = row->remote,
	    .host = view_str(row->host),
	};

	t->session.name = view_str("corp");
	t->session.login = fake_login_id();
	t->account = view_str("123456789012");
	t->role = view_str(row->role);
	role_id(&t->id, fake_login_id(), t->account, t->role, (struct view){0});
	return question_ask(r, &q);
}

void
request_run(struct conn *c, struct view frame)
{
	union message msg = {0};
	struct round r = {.conn = c, .progress = &c->progress, .msg = &msg};
	enum aw_err e = AW_PROTO;
	uint8_t out[2];

	if (!c->progress.deadline)
		c->progress.deadline =
		    loop_now() + (frame.p[0] == 'q' ? 3600000 : 60000);
	if (frame.p[0] == 'a') {
		e = ask(&r, &rows[frame.p[1]]);
	} else if (frame.p[0] == 'q') {
		msg.questions.seen = seen;
		msg.questions.seconds = seconds;
		e = questions_run(&r);
		if (e == AW_OK) {
			rep = r.rep.questions;
			buf_reset(&items);
			buf_put(&items, rep.items.p, rep.items.n);
			rep.items = view_of(&items);
			seen = rep.change;
		}
	} else if (frame.p[0] == 'y') {
		msg.answer.id = chosen;
		msg.answer.answer = answer;
		e = answer_run(&r);
	}
	buf_free(&r.keep[0]);
	buf_free(&r.target.id);
	free(r.text);
	if (e == REQUEST_HELD)
		return;
	out[0] = (uint8_t)e;
	conn_send(c, 'r', (struct view){out, 1});
}

void
request_forget(struct progress *p)
{
	free(p->text);
	buf_free(&p->asked);
	*p = (struct progress){0};
}

void
request_gone(struct conn *c)
{
	question_gone(c);
	request_forget(&c->progress);
}

static int person = -1;

static int
client(pid_t pid)
{
	int fd[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	conn_add(fd[0], LOCAL, pid);
	return fd[1];
}

static void
put(int fd, char what, int row)
{
	const uint8_t frame[] = {0, 0, 0, 2, (uint8_t)what, (uint8_t)row};

	assert_int_equal(send(fd, frame, sizeof(frame), MSG_NOSIGNAL), 6);
	settle();
}

/* The answer, or REQUEST_HELD while there is none. */
static enum aw_err
got(int fd)
{
	uint8_t frame[6];

	settle();
	if (recv(fd, frame, sizeof(frame), 0) != sizeof(frame))
		return REQUEST_HELD;
	assert_int_equal(frame[4], 'r');
	return frame[5];
}

/* A client that asks for that row; its answer is to be got. */
static int
asker(pid_t pid, int row)
{
	int fd = client(pid);

	put(fd, 'a', row);
	return fd;
}

/* What the person is shown now. */
static unsigned int
look(struct question_item *item)
{
	struct view list;
	unsigned int n = 0;
	struct question_item one;

	seconds = 0;
	put(person, 'q', 0);
	assert_int_equal(got(person), AW_OK);
	for (list = rep.items; msg_each(MSG_QUESTION_ITEM, &list, &one); n++) {
		if (item && n == 0)
			*item = one;
	}
	assert_int_equal(list.n, 0);
	return n;
}

static enum aw_err
say(const struct question_item *item, enum answer_what what)
{
	chosen = item->id;
	answer = (uint8_t)what;
	put(person, 'y', 0);
	return got(person);
}

static enum aw_err
once(pid_t pid, int row)
{
	int fd = asker(pid, row);
	enum aw_err e = got(fd);

	close(fd);
	settle();
	return e;
}

static int
setup(void **state)
{
	int i;

	(void)state;
	fake_begin();
	fake_reset();
	for (i = 0; i < 16; i++)
		rows[i] = (struct row){.role = "Dev"};
	rows[1] = (struct row){"Dev", true, "SHA256:jump"};
	rows[2] = (struct row){"Dev", true, "SHA256:other"};
	rows[3] = (struct row){"Dev", true, ""};
	rows[4] = (struct row){"Admin", true, "SHA256:jump"};
	for (i = 0; i < 4; i++)
		seens[i] = (struct seen){
		    .flags = SEEN_THERE, .terminal = 0x8800 + i, .began = 5};
	seens[2].flags |= SEEN_SSH;
	question_forget((struct view){0});
	pass(1000); /* as many may be asked as ever */
	person = client(PERSON);
	look(NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(person);
	settle();
	assert_false(question_can());
	assert_int_equal(conn_count(), 0);
	return 0;
}

static void
a_yes_serves_the_request_and_no_other(void **state)
{
	struct question_item item;
	int fd = asker(ASKER, 1);

	(void)state;
	assert_int_equal(got(fd), REQUEST_HELD);
	assert_int_equal(look(&item), 1);
	assert_true(view_is(item.host, "SHA256:jump"));
	assert_true(view_is(item.role, "Dev"));
	assert_true(view_is(item.session, "corp"));
	assert_true(item.remote);
	assert_int_equal(say(&item, ANSWER_ONCE), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	close(fd);
	assert_int_equal(look(NULL), 0);
	assert_int_equal(once(ASKER, 1), REQUEST_HELD);
}

static void
a_no_refuses_and_is_not_asked_again_from_afar(void **state)
{
	struct question_item item;
	int fd = asker(ASKER, 1);

	(void)state;
	look(&item);
	assert_int_equal(say(&item, ANSWER_NO), AW_OK);
	assert_int_equal(got(fd), AW_DENIED);
	close(fd);
	assert_int_equal(once(ASKER, 1), AW_DENIED);
	assert_int_equal(look(NULL), 0);
	pass(61);
	look(NULL);
	assert_int_equal(once(ASKER, 1), REQUEST_HELD);
}

static void
a_person_here_who_said_no_may_change_his_mind(void **state)
{
	struct question_item item;
	int fd = asker(ASKER, 0);

	(void)state;
	look(&item);
	assert_false(item.remote);
	assert_int_equal(say(&item, ANSWER_NO), AW_OK);
	assert_int_equal(got(fd), AW_DENIED);
	close(fd);
	assert_int_equal(once(ASKER, 0), REQUEST_HELD);
}

static void
nobody_answers_and_it_is_a_no(void **state)
{
	int fd = asker(ASKER, 1), i;

	(void)state;
	for (i = 0; i < 49; i++)
		pass(1);
	assert_int_equal(got(fd), REQUEST_HELD);
	pass(2);
	assert_int_equal(got(fd), AW_DENIED);
	assert_int_equal(look(NULL), 0);
	close(fd);
	assert_int_equal(once(ASKER, 1), AW_DENIED);
}

static void
with_nobody_to_ask_it_is_a_no_at_once(void **state)
{
	(void)state;
	assert_true(question_can());
	close(person);
	settle();
	assert_false(question_can());
	assert_int_equal(once(ASKER, 0), AW_DENIED);
	person = client(PERSON);
	look(NULL);
	/* Who was told something is given the time to read it, no more. */
	pass(59);
	assert_true(question_can());
	pass(2);
	assert_false(question_can());
	look(NULL);
}

static void
a_new_broker_waits_a_moment_for_who_can_be_asked(void **state)
{
	const struct link hello = {0};
	struct question_item item;
	int fd;

	(void)state;
	close(person);
	settle();
	question_open(&hello);
	fd = asker(ASKER, 0);
	assert_int_equal(got(fd), REQUEST_HELD);
	pass(4);
	assert_int_equal(got(fd), AW_DENIED);
	close(fd);
	question_open(&hello);
	fd = asker(ASKER, 0);
	pass(1);
	person = client(PERSON);
	assert_int_equal(look(&item), 1);
	pass(4);
	assert_int_equal(got(fd), REQUEST_HELD);
	assert_int_equal(say(&item, ANSWER_ONCE), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	close(fd);
}

/* A machine with much to do may take seconds to say which program that is. */
static void
the_next_broker_waits_until_it_has_seen_who_asks(void **state)
{
	const struct link hello = {.restarts = 1};
	struct question_item item;
	int fd;

	(void)state;
	close(person);
	settle();
	question_open(&hello);
	fd = asker(ASKER, 0);
	person = client(PERSON);
	slow = PERSON;
	put(person, 'q', 0);
	pass(5);
	assert_int_equal(got(person), REQUEST_HELD);
	assert_int_equal(got(fd), REQUEST_HELD);
	see_it();
	assert_int_equal(got(person), AW_OK);
	assert_int_equal(look(&item), 1);
	assert_int_equal(say(&item, ANSWER_ONCE), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	close(fd);
}

/* So that its program stands in the question, and a yes can be for that. */
static void
nobody_is_asked_before_it_is_seen_who_asks(void **state)
{
	struct question_item item;
	int fd;

	(void)state;
	snprintf(seens[0].parents, sizeof(seens[0].parents), "terraform");
	slow = ASKER;
	fd = asker(ASKER, 1);
	pass(5);
	assert_int_equal(look(NULL), 0);
	see_it();
	assert_int_equal(look(&item), 1);
	assert_true(view_is(item.programs, "terraform"));
	assert_true(item.answers & 1u << ANSWER_PEER);
	assert_int_equal(say(&item, ANSWER_ONCE), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	close(fd);
}

static void
an_hour_is_for_that_role_and_that_host(void **state)
{
	struct question_item item;
	int fd = asker(ASKER, 1);

	(void)state;
	look(&item);
	assert_int_equal(say(&item, ANSWER_HOUR), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	close(fd);
	assert_int_equal(once(ASKER, 1), AW_OK);
	assert_int_equal(once(ASKER + 1, 1), AW_OK);
	assert_int_equal(once(ASKER, 2), REQUEST_HELD);
	assert_int_equal(once(ASKER, 4), REQUEST_HELD);
	assert_int_equal(once(ASKER, 0), REQUEST_HELD);
	pass(3599);
	look(NULL);
	assert_int_equal(once(ASKER, 1), AW_OK);
	pass(1);
	assert_int_equal(once(ASKER, 1), REQUEST_HELD);
}

static void
a_connection_is_that_of_one_process(void **state)
{
	struct question_item item;
	int fd = asker(ASKER, 1);

	(void)state;
	look(&item);
	assert_int_equal(say(&item, ANSWER_PEER), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	close(fd);
	assert_int_equal(once(ASKER, 1), AW_OK);
	assert_int_equal(once(ASKER + 1, 1), REQUEST_HELD);
	seen_of(ASKER)->began++; /* the same pid, of another process */
	assert_int_equal(once(ASKER, 1), REQUEST_HELD);
	seen_of(ASKER)->began--;
	assert_int_equal(once(ASKER, 1), AW_OK);
}

static void
a_yes_to_an_unknown_host_is_not_remembered(void **state)
{
	struct question_item item;
	int fd = asker(ASKER, 3);

	(void)state;
	look(&item);
	assert_int_equal(item.answers, 1u << ANSWER_NO | 1u << ANSWER_ONCE);
	assert_int_equal(say(&item, ANSWER_HOUR), AW_PROTO);
	assert_int_equal(say(&item, ANSWER_PEER), AW_PROTO);
	assert_int_equal(got(fd), REQUEST_HELD);
	assert_int_equal(say(&item, ANSWER_ONCE), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	close(fd);
	assert_int_equal(once(ASKER, 3), REQUEST_HELD);
}

static void
forty_that_look_alike_are_one(void **state)
{
	struct question_item item;
	int fd[40], i;

	(void)state;
	for (i = 0; i < 40; i++)
		fd[i] = asker(ASKER, 1);
	assert_int_equal(look(&item), 1);
	assert_int_equal(say(&item, ANSWER_ONCE), AW_OK);
	for (i = 0; i < 40; i++) {
		assert_int_equal(got(fd[i]), AW_OK);
		close(fd[i]);
	}
}

static void
few_are_shown_at_a_time(void **state)
{
	static char role[16][8];
	int fd[16], i;

	(void)state;
	for (i = 0; i < 16; i++) {
		snprintf(role[i], sizeof(role[i]), "r%d", i);
		rows[i] = (struct row){role[i], true, "SHA256:jump"};
	}
	/* Of one process three, of all far ones eight ... */
	for (i = 0; i < 4; i++)
		fd[i] = asker(ASKER, i);
	assert_int_equal(got(fd[3]), AW_BUSY);
	assert_int_equal(look(NULL), 3);
	for (; i < 15; i++)
		fd[i] = asker(ASKER + i, i);
	assert_int_equal(look(NULL), 8);
	/* ... and that does not shut out who is here. */
	rows[15].remote = false;
	fd[15] = asker(ASKER + 20, 15);
	assert_int_equal(look(NULL), 9);
	for (i = 0; i < 16; i++) {
		close(fd[i]);
	}
	assert_int_equal(look(NULL), 0);
}

static void
not_many_are_asked_in_ten_minutes(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 20; i++)
		assert_int_equal(once(ASKER, 1), REQUEST_HELD);
	assert_int_equal(once(ASKER, 1), AW_BUSY);
	assert_int_equal(once(ASKER, 0), REQUEST_HELD);
	pass(601);
	look(NULL);
	assert_int_equal(once(ASKER, 1), REQUEST_HELD);
}

static void
nobody_answers_himself(void **state)
{
	struct question_item item;
	int fd = asker(PERSON, 1), other = asker(ASKER, 1), stranger;

	(void)state;
	assert_int_equal(look(&item), 1);
	assert_int_equal(say(&item, ANSWER_ONCE), AW_DENIED);
	assert_int_equal(got(fd), REQUEST_HELD);
	assert_int_equal(got(other), REQUEST_HELD);
	/* ... nor one that never looked. */
	stranger = client(PERSON + 1);
	put(stranger, 'y', 0);
	assert_int_equal(got(stranger), AW_DENIED);
	close(stranger);
	close(fd);
	close(other);
}

static void
no_answer_comes_from_where_an_ssh_runs(void **state)
{
	struct question_item item;
	int fd = asker(ASKER, 1), ssh = client(SSH);

	(void)state;
	look(&item);
	put(ssh, 'q', 0);
	assert_int_equal(got(ssh), AW_DENIED);
	put(ssh, 'y', 0);
	assert_int_equal(got(ssh), AW_DENIED);
	/* One that was begun there since the questions were shown, ... */
	seen_of(PERSON)->flags |= SEEN_SSH_BESIDE;
	assert_int_equal(say(&item, ANSWER_ONCE), AW_DENIED);
	/* ... a client of which nothing is known, the asker's own terminal. */
	seen_of(PERSON)->flags = 0;
	assert_int_equal(say(&item, ANSWER_ONCE), AW_DENIED);
	seen_of(PERSON)->flags = SEEN_THERE;
	seen_of(PERSON)->terminal = seen_of(ASKER)->terminal;
	assert_int_equal(say(&item, ANSWER_ONCE), AW_DENIED);
	seen_of(PERSON)->terminal = 0;
	assert_int_equal(got(fd), REQUEST_HELD);
	assert_int_equal(say(&item, ANSWER_ONCE), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	close(fd);
	close(ssh);
}

static void
who_shows_them_is_told_at_once_and_of_their_end(void **state)
{
	int fd;

	(void)state;
	seconds = 3600;
	put(person, 'q', 0);
	assert_int_equal(got(person), REQUEST_HELD);
	pass(1800);
	assert_true(question_can());
	fd = asker(ASKER, 1);
	assert_int_equal(got(person), AW_OK);
	assert_true(rep.items.n > 0);
	put(person, 'q', 0);
	assert_int_equal(got(person), REQUEST_HELD);
	/* Who asked has gone: nothing is to be shown any more. */
	close(fd);
	settle();
	assert_int_equal(got(person), AW_OK);
	assert_int_equal(rep.items.n, 0);
	/* Nothing comes, and that is told in the end. */
	seconds = 10;
	put(person, 'q', 0);
	pass(11);
	assert_int_equal(got(person), AW_OK);
	assert_int_equal(rep.items.n, 0);
}

static void
an_end_of_the_login_ends_what_was_said(void **state)
{
	struct question_item item;
	int fd = asker(ASKER, 1), other;

	(void)state;
	look(&item);
	assert_int_equal(say(&item, ANSWER_HOUR), AW_OK);
	assert_int_equal(got(fd), AW_OK);
	other = asker(ASKER, 4);
	question_forget(fake_login_id());
	assert_int_equal(got(other), AW_DENIED);
	assert_int_equal(look(NULL), 0);
	assert_int_equal(once(ASKER, 1), REQUEST_HELD);
	close(fd);
	close(other);
}

static void
what_is_too_long_is_not_asked(void **state)
{
	static char role[5000];

	(void)state;
	memset(role, 'r', sizeof(role) - 1);
	rows[1].role = role;
	assert_int_equal(once(ASKER, 1), AW_DENIED);
	assert_int_equal(look(NULL), 0);
}

static void
an_answer_to_nothing_says_so(void **state)
{
	const struct question_item item = {.id = 4711};

	(void)state;
	assert_int_equal(say(&item, ANSWER_ONCE), AW_GONE);
	assert_int_equal(say(&item, ANSWER_HOUR + 1), AW_PROTO);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_yes_serves_the_request_and_no_other),
	    T(a_no_refuses_and_is_not_asked_again_from_afar),
	    T(a_person_here_who_said_no_may_change_his_mind),
	    T(nobody_answers_and_it_is_a_no),
	    T(with_nobody_to_ask_it_is_a_no_at_once),
	    T(a_new_broker_waits_a_moment_for_who_can_be_asked),
	    T(nobody_is_asked_before_it_is_seen_who_asks),
	    T(the_next_broker_waits_until_it_has_seen_who_asks),
	    T(an_hour_is_for_that_role_and_that_host),
	    T(a_connection_is_that_of_one_process),
	    T(a_yes_to_an_unknown_host_is_not_remembered),
	    T(forty_that_look_alike_are_one),
	    T(few_are_shown_at_a_time),
	    T(not_many_are_asked_in_ten_minutes),
	    T(nobody_answers_himself),
	    T(no_answer_comes_from_where_an_ssh_runs),
	    T(who_shows_them_is_told_at_once_and_of_their_end),
	    T(an_end_of_the_login_ends_what_was_said),
	    T(what_is_too_long_is_not_asked),
	    T(an_answer_to_nothing_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
