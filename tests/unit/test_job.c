/* SPDX-License-Identifier: ISC */
#include "tests/unit/fake_broker.h"

#include <errno.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct buf order;
static int woken, ends;
static enum aw_err outcome;
static bool was_early;

static bool
packet(struct job *job, enum msg_kind kind, struct view body)
{
	struct hint h;

	assert_int_equal(kind, MSG_HINT);
	assert_true(msg_decode(kind, body, &h));
	job_outcome(job, AW_OK, (struct view){0});
	return h.waiting;
}

static void
ended(struct job *job, enum aw_err error, const char *text, bool early)
{
	(void)job;
	(void)text;
	ends++;
	outcome = error;
	was_early = early;
}

static const struct job_class class = {PROGRAM_FETCH, packet, ended};

static void
wake(void *arg, enum aw_err error, const char *text)
{
	(void)arg;
	(void)text;
	woken++;
	outcome = error;
}

static int
setup(void **state)
{
	(void)state;
	fake_begin();
	fake_reset();
	job_register(FETCH_IDENTITY, &class);
	woken = ends = 0;
	was_early = false;
	outcome = AW_BUSY;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_free(&order);
	job_abandon_all(~0u, (struct view){0});
	return 0;
}

static struct job *
start(const char *id, unsigned int tries)
{
	struct hint h = {MSG_VERSION, 0};

	return job_start(FETCH_IDENTITY, view_str(id), MSG_HINT, &h, tries);
}

static void
say(int fd, uint8_t last)
{
	struct hint h = {MSG_VERSION, last};

	assert_int_equal(link_send_msg(fd, MSG_HINT, &h), AW_OK);
	settle();
}

static bool
over(int32_t *pid)
{
	struct link l;

	if (link_recv(fake_supervisor, &l) != AW_OK || l.type != LINK_OVER)
		return false;
	*pid = l.pid;
	return true;
}

static void
a_job_ends_with_its_last_packet(void **state)
{
	struct hold h = {.fn = wake};
	struct job *job = start("x", 0);
	struct hint told;
	int32_t pid;
	int fd;

	(void)state;
	hold_on(&job->holds, &h);
	fd = fake_spawn(PROGRAM_FETCH);
	assert_int_equal(fake_order(fd, &order, &told), MSG_HINT);
	say(fd, 0);
	assert_int_equal(ends, 0);
	assert_ptr_equal(job_find(FETCH_IDENTITY, view_str("x")), job);
	say(fd, 1);
	assert_int_equal(ends, 1);
	assert_int_equal(woken, 1);
	assert_int_equal(outcome, AW_OK);
	assert_null(job_find(FETCH_IDENTITY, view_str("x")));
	assert_true(over(&pid));
	close(fd);
}

static void
what_was_said_counts_though_something_was_not_read(void **state)
{
	struct job *job = start("x", 0);
	struct hint h = {MSG_VERSION, 1};
	int fd = fake_spawn(PROGRAM_FETCH);

	(void)state;
	job_say(job, MSG_HINT, &h);
	assert_int_equal(link_send_msg(fd, MSG_HINT, &h), AW_OK);
	close(fd);
	settle();
	assert_int_equal(ends, 1);
	assert_false(was_early);
	assert_int_equal(outcome, AW_OK);
}

static void
jobs_are_told_apart_by_the_whole_id(void **state)
{
	char id[200];

	(void)state;
	memset(id, 'a', sizeof(id));
	id[199] = '\0';
	start(id, 0);
	id[150] = 'b'; /* behind what stands in the tag as it is */
	assert_null(job_find(FETCH_IDENTITY, view_str(id)));
	id[150] = 'a';
	assert_non_null(job_find(FETCH_IDENTITY, view_str(id)));
	assert_null(job_find(FETCH_ROLE, view_str(id)));
	while (fake_spawn(PROGRAM_FETCH) >= 0)
		continue;
}

static void
a_program_that_dies_is_begun_again_with_the_same_order(void **state)
{
	struct hold h = {.fn = wake};
	struct job *job = start("x", 2);
	struct hint told;
	int i, fd;

	(void)state;
	hold_on(&job->holds, &h);
	for (i = 0; i < 3; i++) {
		fd = fake_spawn(PROGRAM_FETCH);
		assert_true(fd >= 0);
		assert_int_equal(fake_order(fd, &order, &told), MSG_HINT);
		assert_int_equal(woken, 0);
		close(fd);
		settle();
		pass(1);
	}
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	assert_true(was_early);
	assert_int_equal(woken, 1);
	assert_int_equal(outcome, AW_NETWORK);
}

static void
a_spawner_that_cannot_says_why(void **state)
{
	struct link l;

	(void)state;
	start("x", 3);
	settle();
	assert_int_equal(link_recv(fake_spawner, &l), AW_OK);
	l.type = LINK_FAILED;
	l.error = EAGAIN;
	link_send(fake_spawner, &l);
	settle();
	assert_int_equal(outcome, AW_SYSTEM);
	assert_false(was_early);
}

static void
thirty_two_run_at_once_and_the_others_wait(void **state)
{
	char id[8];
	int fd[40], i, n = 0;

	(void)state;
	for (i = 0; i < 40; i++) {
		snprintf(id, sizeof(id), "job %d", i);
		job_asker(i);
		start(id, 0);
	}
	job_asker(0);
	while ((fd[n] = fake_spawn(PROGRAM_FETCH)) >= 0)
		n++;
	assert_int_equal(n, 32);
	say(fd[0], 1);
	say(fd[1], 1);
	while ((fd[n] = fake_spawn(PROGRAM_FETCH)) >= 0)
		n++;
	assert_int_equal(n, 34);
	for (i = 0; i < n; i++)
		close(fd[i]);
	settle();
	while ((fd[0] = fake_spawn(PROGRAM_FETCH)) >= 0)
		close(fd[0]);
}

static void
an_abandoned_job_makes_room_for_one_that_waits(void **state)
{
	char id[8];
	int fd[17], i;

	(void)state;
	for (i = 0; i < 17; i++) {
		snprintf(id, sizeof(id), "job %d", i);
		start(id, 0);
	}
	for (i = 0; i < 16; i++)
		assert_true((fd[i] = fake_spawn(PROGRAM_FETCH)) >= 0);
	assert_int_equal(fake_spawn(PROGRAM_FETCH), -1);
	job_abandon(job_find(FETCH_IDENTITY, view_str("job 7")));
	assert_true((fd[16] = fake_spawn(PROGRAM_FETCH)) >= 0);
	for (i = 0; i < 17; i++)
		close(fd[i]);
	settle();
}

/* Each of the greedy asks for more than there is, and before the others. */
static void
a_greedy_client_leaves_room_for_others(void **state)
{
	static const int has[] = {0, 16, 8, 4, 2, 1, 1, 0};
	struct job *job;
	char id[16];
	int fd[64], who, i, n = 0;

	(void)state;
	for (who = 1; who < 8; who++) {
		job_asker(who);
		for (i = 0; i < 50; i++) {
			snprintf(id, sizeof(id), "job %d of %d", i, who);
			start(id, 0);
		}
		while ((fd[n] = fake_spawn(PROGRAM_FETCH)) >= 0)
			n++;
		for (i = 0; i < 50; i++) {
			snprintf(id, sizeof(id), "job %d of %d", i, who);
			job = job_find(FETCH_IDENTITY, view_str(id));
			assert_int_equal(job->state,
			    i < has[who] ? JOB_RUNNING : JOB_QUEUED);
		}
	}
	job_asker(0);
	assert_int_equal(n, 32);
	/* What ends makes room for who has least, not for who came first. */
	for (i = 0; i < 2; i++)
		say(fd[i], 1);
	job = job_find(FETCH_IDENTITY, view_str("job 0 of 7"));
	assert_true((fd[n] = fake_spawn(PROGRAM_FETCH)) >= 0);
	assert_int_equal(job->state, JOB_RUNNING);
	job_abandon_all(~0u, (struct view){0});
	for (i = 0; i <= n; i++)
		close(fd[i]);
	settle();
}

static void
an_abandoned_program_is_let_go_when_it_comes(void **state)
{
	struct hold h = {.fn = wake};
	struct job *job = start("x", 3);
	struct view body;
	enum msg_kind kind;
	int32_t pid;
	int fd;

	(void)state;
	hold_on(&job->holds, &h);
	job_abandon(job);
	assert_int_equal(woken, 1);
	assert_int_equal(outcome, AW_OK); /* look again */
	fd = fake_spawn(PROGRAM_FETCH);
	assert_true(over(&pid));
	assert_int_equal(link_peek_msg(fd, &order, &kind, &body), AW_GONE);
	assert_int_equal(ends, 0);
	close(fd);
}

static void
an_adopted_job_is_joined_and_ends_in_peace(void **state)
{
	struct link l = {.type = LINK_JOB, .pid = 4711, .nfds = 1};
	struct hold h = {.fn = wake};
	struct job *job = start("x", 0);
	int fd[2];

	(void)state;
	memcpy(l.tag, job->tag, LINK_TAG);
	job_abandon(job);
	assert_int_equal(link_pair(fd), 0);
	l.fds[0] = fd[0];
	job_adopt(&l);
	job = job_find(FETCH_IDENTITY, view_str("x"));
	assert_non_null(job);
	hold_on(&job->holds, &h);
	/* Its order may never have been sent: whoever waits looks again. */
	close(fd[1]);
	settle();
	assert_int_equal(woken, 1);
	assert_int_equal(outcome, AW_OK);
	assert_true(was_early);
	close(fake_spawn(PROGRAM_FETCH));
}

static void
readers_and_strangers_are_not_adopted(void **state)
{
	struct link l = {.type = LINK_JOB, .pid = 4711, .nfds = 1};
	int32_t pid = 0;
	int fd[2], i;

	(void)state;
	for (i = 0; i < 2; i++) {
		l.tag[0] = i ? 250 : JOB_READ;
		assert_int_equal(link_pair(fd), 0);
		l.fds[0] = fd[0];
		job_adopt(&l);
		assert_true(over(&pid));
		assert_int_equal(pid, 4711);
		close(fd[1]);
	}
}

static void
nonsense_from_a_program_ends_it(void **state)
{
	int fd;

	(void)state;
	start("x", 3);
	fd = fake_spawn(PROGRAM_FETCH);
	assert_int_equal(send(fd, "\377nonsense", 9, 0), 9);
	settle();
	assert_int_equal(ends, 1);
	assert_int_equal(outcome, AW_SYSTEM);
	close(fd);
}

static struct hold second;

static void
drop_second(void *arg, enum aw_err error, const char *text)
{
	wake(arg, error, text);
	hold_off(&second);
}

static void
who_leaves_while_others_are_called_is_not_called(void **state)
{
	struct holds list = LIST_HEAD_INITIALIZER(list);
	struct hold first = {.fn = drop_second}, third = {.fn = wake};

	(void)state;
	second.fn = wake;
	hold_on(&list, &third);
	hold_on(&list, &second);
	hold_on(&list, &first);
	hold_wake(&list, AW_OK, NULL);
	assert_int_equal(woken, 2);
	assert_true(LIST_EMPTY(&list));
}

static void
a_look_is_asked_for_once_and_answered_once(void **state)
{
	struct look look = {0}, other = {0};
	struct hold h = {.fn = wake};
	struct link l, late;

	(void)state;
	look_at(&look, 4711, LOOK_TERMINAL);
	look_at(&look, 4711, LOOK_TERMINAL);
	look_at(&other, 4711, 0);
	hold_on(&look.holds, &h);
	assert_int_equal(link_recv(fake_spawner, &l), AW_OK);
	assert_int_equal(l.type, LINK_LOOK);
	assert_int_equal(l.pid, 4711);
	assert_int_equal(l.flags, LOOK_TERMINAL);
	assert_int_equal(link_recv(fake_spawner, &late), AW_OK);
	assert_int_equal(late.flags, 0);
	assert_int_equal(link_recv(fake_spawner, &late), AW_BUSY);
	/* Who does not want to know any more is not told. */
	look_off(&other);
	late.type = l.type = LINK_SEEN;
	late.seen = l.seen = (struct seen){.flags = SEEN_THERE};
	assert_int_equal(link_send(fake_spawner, &late), AW_OK);
	assert_int_equal(link_send(fake_spawner, &l), AW_OK);
	assert_int_equal(link_send(fake_spawner, &l), AW_OK);
	settle();
	assert_int_equal(look.state, LOOK_DONE);
	assert_int_equal(look.seen.flags, SEEN_THERE);
	assert_int_equal(other.state, LOOK_NONE);
	assert_int_equal(woken, 1);
	look_off(&look);
}

static void
a_look_that_finds_no_room_is_done_with_nothing(void **state)
{
	static struct look looks[4000];
	struct link l;
	unsigned int i, n = 0;

	(void)state;
	for (i = 0; i < 4000; i++)
		look_at(&looks[i], 1, 0);
	assert_int_equal(looks[3999].state, LOOK_DONE);
	assert_int_equal(looks[3999].seen.flags, 0);
	assert_int_equal(looks[0].state, LOOK_ASKED);
	for (i = 0; i < 4000; i++)
		look_off(&looks[i]);
	while (link_recv(fake_spawner, &l) == AW_OK)
		n++;
	assert_in_range(n, 1, 3999);
	settle();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(a_job_ends_with_its_last_packet),
	    T(what_was_said_counts_though_something_was_not_read),
	    T(jobs_are_told_apart_by_the_whole_id),
	    T(a_program_that_dies_is_begun_again_with_the_same_order),
	    T(a_spawner_that_cannot_says_why),
	    T(thirty_two_run_at_once_and_the_others_wait),
	    T(an_abandoned_job_makes_room_for_one_that_waits),
	    T(a_greedy_client_leaves_room_for_others),
	    T(an_abandoned_program_is_let_go_when_it_comes),
	    T(an_adopted_job_is_joined_and_ends_in_peace),
	    T(readers_and_strangers_are_not_adopted),
	    T(nonsense_from_a_program_ends_it),
	    T(a_look_is_asked_for_once_and_answered_once),
	    T(a_look_that_finds_no_room_is_done_with_nothing),
	    T(who_leaves_while_others_are_called_is_not_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
