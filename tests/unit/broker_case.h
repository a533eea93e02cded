/* SPDX-License-Identifier: ISC */
/* How a case of the broker begins and ends: with one client, or none. */
#ifndef BROKER_CASE_H
#define BROKER_CASE_H

#include "tests/unit/fake_broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int client = -1;
static struct buf keep, order; /* what a reply and an order are views of */

static void
case_begin(void)
{
	fake_begin();
	fake_reset();
}

static UNUSED void
case_begin_with(enum origin origin)
{
	case_begin();
	client = fake_client(origin);
}

static int
teardown(UNUSED void **state)
{
	fake_leave(client);
	client = -1;
	buf_free(&keep);
	buf_free(&order);
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
