/* SPDX-License-Identifier: ISC */
/*
 * Where the person wishes it (awsenv_idle), logins and credentials are
 * forgotten when nobody has asked for any for so long. What is refreshed ahead
 * of time is no use, and a use takes no more than to note when it was: what the
 * config file says is looked at afterwards.
 */
#include "broker.h"

#include "awsenv/log.h"

#define LOOK_MS 10000 /* from a use until that, and again if it cannot be */
#define FRESH_MS 1000 /* a config file read since then is not read again, */
#define OFF_MS 600000 /* nor one of many uses, if nobody wishes it */

static int64_t used; /* loop_now() then */
static bool resting; /* until the next use there is nothing to do */
static struct timer timer;
static struct hold reading;

static void look(void *arg);

/* 0: never. Of a config file that nobody could read yet that is assumed. */
static int64_t
limit_ms(void)
{
	const struct table *t = table_peek(&ask_nobody);
	struct view digits = {0};
	int64_t seconds = 0;

	if (t)
		digits = table_setting(t, "awsenv_idle");
	for (; digits.n && *digits.p >= '0' && *digits.p <= '9'; digits.n--)
		seconds = seconds * 10 + *digits.p++ - '0';
	return seconds * 1000;
}

static void
decide(void)
{
	int64_t limit = limit_ms(), left = used + limit - loop_now();

	if (limit && left > 0) {
		loop_after(&timer, left, look, NULL);
		return;
	}
	resting = true;
	if (limit)
		log_info("nobody asked for anything in %lld s: dropped all "
			 "credentials (%u)",
		    (long long)limit / 1000, logout_drop());
}

static void
was_read(void *arg, enum aw_err error, const char *text)
{
	(void)arg;
	(void)error;
	(void)text;
	loop_cancel(&timer);
	decide();
}

static void
read_late(void *arg)
{
	(void)arg;
	hold_off(&reading);
	decide();
}

/* Nothing is forgotten by what the file no longer says; but by what it said
 * last, should it hang by now. */
static void
look(void *arg)
{
	int64_t limit = limit_ms();
	struct job *job = table_renew(limit ? FRESH_MS : OFF_MS);

	(void)arg;
	if (!job && !table_peek(&ask_nobody)) {
		loop_after(&timer, LOOK_MS, look, NULL);
		return;
	}
	if (!job) {
		decide();
		return;
	}
	reading.fn = was_read;
	hold_on(&job->holds, &reading);
	if (limit)
		loop_after(&timer, table_patience(job), read_late, NULL);
}

void
idle_touch(void)
{
	used = loop_now();
	if (resting)
		loop_after(&timer, LOOK_MS, look, NULL);
	resting = false;
}

void
idle_open(void)
{
	resting = true;
	idle_touch();
}
