/* SPDX-License-Identifier: ISC */
#include "agent/supervisor/supervisor.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/buf.h"
#include "awsenv/own.h"

static void
fresh(struct agent *a)
{
	memset(a, 0, sizeof(*a));
	a->lock = a->command = a->audit = a->ring.vault = -1;
}

static int
null(void)
{
	return open("/dev/null", O_RDONLY);
}

/* An agent with something in every field that is handed over. */
static void
fill(struct agent *a)
{
	static const char *const names[] = {"agent", "forward", "remote"};
	unsigned int i;

	fresh(a);
	a->ring = (struct ring){0x7fffffff, 12345, null()};
	a->started = 1800000000;
	a->restarts = 42;
	a->lifetime = 3600;
	a->foreground = true;
	a->debug = true;
	snprintf(a->ssh_agent, sizeof(a->ssh_agent), "/run/agent of mine");
	snprintf(a->runtime, sizeof(a->runtime), "/run/user/1000");
	a->lock = null();
	a->command = null();
	a->audit = null();
	a->broker.quick = 3;
	for (i = 0; i < 3; i++) {
		struct listener *l = &a->listeners[a->nlisteners++];

		snprintf(l->name, sizeof(l->name), "%s", names[i]);
		snprintf(l->path, sizeof(l->path), "/run/it's %u", i);
		l->fd = null();
		l->dev = 77 + i;
		l->ino = UINT64_MAX - i;
	}
	for (i = 0; i < JOBS_MAX; i++) {
		struct job *j = &a->jobs[a->njobs++];

		j->pid = (int32_t)(1000 + i);
		j->fd = null();
		memset(j->tag, (int)i, sizeof(j->tag));
	}
}

static void
drain(struct agent *a)
{
	unsigned int i;

	for (i = 0; i < a->nlisteners; i++)
		close(a->listeners[i].fd);
	for (i = 0; i < a->njobs; i++)
		close(a->jobs[i].fd);
	if (a->lock >= 0)
		close(a->lock);
	if (a->command >= 0)
		close(a->command);
	if (a->audit >= 0)
		close(a->audit);
	if (a->ring.vault >= 0)
		close(a->ring.vault);
}

static struct buf
bytes_of(int fd)
{
	struct buf b = {0};
	size_t n = (size_t)lseek(fd, 0, SEEK_END);

	assert_true(buf_reserve(&b, n));
	assert_int_equal(pread(fd, b.data, n, 0), n);
	b.len = n;
	return b;
}

static bool
load(struct agent *a, const struct buf *b)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	fresh(a);
	assert_int_equal(write(fd, b->data, b->len), b->len);
	return state_load(a, fd);
}

static void
everything_comes_back(void **state)
{
	static struct agent in, out;
	unsigned int i;
	int fd;

	(void)state;
	fill(&in);
	fd = state_save(&in);
	assert_true(fd >= 0);
	fresh(&out);
	assert_true(state_load(&out, fd));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(out.ring.session, in.ring.session);
	assert_int_equal(out.ring.serial, in.ring.serial);
	assert_int_equal(out.ring.vault, in.ring.vault);
	assert_true(fcntl(out.ring.vault, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(out.started, in.started);
	assert_int_equal(out.restarts, 42);
	assert_int_equal(out.audit, in.audit);
	assert_int_equal(out.lifetime, 3600);
	assert_true(out.foreground && out.debug);
	assert_string_equal(out.ssh_agent, in.ssh_agent);
	assert_string_equal(out.runtime, in.runtime);
	assert_int_equal(out.lock, in.lock);
	assert_int_equal(out.command, in.command);
	assert_int_equal(out.broker.quick, 3);
	assert_string_equal(out.before, AWSENV_VERSION);
	assert_int_equal(out.nlisteners, 3);
	for (i = 0; i < 3; i++) {
		assert_string_equal(
		    out.listeners[i].name, in.listeners[i].name);
		assert_string_equal(
		    out.listeners[i].path, in.listeners[i].path);
		assert_int_equal(out.listeners[i].fd, in.listeners[i].fd);
		assert_int_equal(out.listeners[i].dev, in.listeners[i].dev);
		assert_int_equal(out.listeners[i].ino, in.listeners[i].ino);
		assert_true(fcntl(out.listeners[i].fd, F_GETFD) & FD_CLOEXEC);
	}
	assert_int_equal(out.njobs, JOBS_MAX);
	assert_memory_equal(out.jobs, in.jobs, sizeof(in.jobs));
	drain(&in);
}

static void
what_is_not_there_stays_none(void **state)
{
	static struct agent in, out;

	(void)state;
	fill(&in);
	drain(&in);
	in.lock = in.command = -1;
	in.ring.vault = null();
	in.njobs = 0;
	in.nlisteners = 1;
	in.listeners[0].fd = null();
	fresh(&out);
	assert_true(state_load(&out, state_save(&in)));
	assert_int_equal(out.lock, -1);
	assert_int_equal(out.command, -1);
	assert_int_equal(out.njobs, 0);
	drain(&in);
}

/* As a later version would add them: at the end, in between, in an item. */
static void
tags_of_a_later_version_are_skipped(void **state)
{
	static struct agent in, out;
	AUTOBUF struct buf b = {0}, more = {0}, item = {0};
	int fd;

	(void)state;
	fill(&in);
	fd = state_save(&in);
	b = bytes_of(fd);
	close(fd);
	buf_put(&more, b.data, 4 + 4 + 8); /* the format comes first */
	buf_u32(&more, 9999);
	buf_string(&more, view_str("from the future"));
	buf_put(&more, b.data + 16, b.len - 16);
	buf_u32(&item, 9998);
	buf_string(&item, view_str(""));
	buf_u32(&item, 20); /* a descriptor */
	buf_u32(&item, 8);
	buf_u64(&item, (uint64_t)in.lock);
	buf_u32(&more, 13); /* of a listener */
	buf_string(&more, view_of(&item));
	assert_true(load(&out, &more));
	assert_int_equal(out.nlisteners, 4);
	assert_int_equal(out.listeners[3].fd, in.lock);
	assert_int_equal(out.njobs, JOBS_MAX);
	drain(&in);
}

static void
a_state_that_cannot_be_understood_is_refused(void **state)
{
	static struct agent in, out;
	AUTOBUF struct buf b = {0};
	size_t whole, n;
	int fd;

	(void)state;
	fill(&in);
	in.njobs = 2;
	fd = state_save(&in);
	b = bytes_of(fd);
	close(fd);
	whole = b.len;
	/* Cut anywhere: never taken for whole, unless between two jobs. */
	for (n = 0; n < whole; n++) {
		b.len = n;
		if (load(&out, &b))
			assert_true(out.nlisteners > 0 && out.ring.serial > 0);
	}
	b.len = whole - 1;
	assert_false(load(&out, &b));
	b.len = whole;
	b.data[15]++; /* of another format */
	assert_false(load(&out, &b));
	b.data[15]--;
	assert_true(load(&out, &b));
	buf_u32(&b, 1); /* a tag without its value */
	assert_false(load(&out, &b));
	fresh(&out);
	assert_false(state_load(&out, -1));
	in.njobs = JOBS_MAX;
	drain(&in);
}

static void
descriptors_that_are_none_are_left_out(void **state)
{
	static struct agent in, out;

	(void)state;
	fill(&in);
	drain(&in);
	in.lock = 5000;
	in.command = 5001;
	in.listeners[1].fd = 5002;
	in.listeners[0].fd = in.listeners[2].fd = null();
	fresh(&out);
	assert_true(state_load(&out, state_save(&in)));
	assert_int_equal(out.lock, -1);
	assert_int_equal(out.command, -1);
	assert_int_equal(out.nlisteners, 2);
	close(in.listeners[0].fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything_comes_back),
	    cmocka_unit_test(what_is_not_there_stays_none),
	    cmocka_unit_test(tags_of_a_later_version_are_skipped),
	    cmocka_unit_test(a_state_that_cannot_be_understood_is_refused),
	    cmocka_unit_test(descriptors_that_are_none_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
