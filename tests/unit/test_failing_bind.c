/* SPDX-License-Identifier: ISC */
/* What hosts say of themselves, with each allocation failing once in turn. */
#include "agent/broker/broker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/failing.h"

static void
say(struct binds *binds, const char *key)
{
	AUTOBUF struct buf b = {0};

	failing_rest();
	buf_string(&b, view_str(key));
	buf_string(&b, view_str("id"));
	buf_string(&b, view_str("signature"));
	buf_u8(&b, 1);
	must(!b.bad);
	failing_go();
	bind_take(binds, view_of(&b));
}

/* A person is shown each hop, or the connection gets nothing. */
static enum aw_err
come_far(void)
{
	static const char *const keys[] = {"jump", "build", "test"};
	struct binds binds = {0};
	bool whole;
	size_t i;

	for (i = 0; i < 3; i++)
		say(&binds, keys[i]);
	whole = binds.claims.len == 2 * BIND_HOST;
	must(whole || binds.poisoned);
	bind_free(&binds);
	return whole ? AW_OK : AW_NOMEM;
}

static void
no_hop_is_left_out(void **state)
{
	(void)state;
	assert_true(each_fails(come_far, ENOMEM, false) >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_hop_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
