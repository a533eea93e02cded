/* SPDX-License-Identifier: ISC */
/*
 * The config reader with each allocation and each read failing once in turn.
 * The table that it hands over is the whole one, or has no end, or says in a
 * problem what it could not read: never fewer profiles as if that were all.
 */
#include "agent/profile/profile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/own.h"
#include "tests/unit/failing.h"

static char folder[] = "/tmp/awsenv-failing.XXXXXX";

static const struct {
	const char *name, *text;
} files[] = {
    {"etc", NULL},
    {"etc/config", "[default]\nregion = eu-west-1\n"},
    {"etc/config.d", NULL},
    {"etc/config.d/a.conf",
	"[sso-session corp]\nawsenv_enforce = true\n"
	"sso_start_url = https://corp.awsapps.com/start\n"
	"sso_region = eu-central-1\n"},
    {"ca.pem", "a bundle"},
    {".aws", NULL},
    {".aws/config",
	"[default]\nsso_session = corp\nsso_account_id = 111111111111\n"
	"sso_role_name = Dev\n"
	"[profile b]\nsso_session = corp\nsso_account_id = 222222222222\n"
	"sso_role_name = Dev\n"
	"[sso-session own]\nsso_start_url = https://own.awsapps.com/start\n"
	"sso_region = eu-central-1\n"
	"[profile own]\nsso_session = own\nsso_account_id = 222222222222\n"
	"sso_role_name = Dev\nca_bundle = ~/ca.pem\n"
	"[profile chain]\nrole_arn = arn:aws:iam::333333333333:role/R\n"
	"source_profile = b\n"},
};

/* What is handed over: rows, among them profiles, of which some only say why
 * they are of no use; an end, and problems. */
struct heap_of {
	struct buf rows;
	unsigned int profiles, useless, problems;
	bool ended;
};

static struct heap_of whole;

static enum aw_err
collect(void *arg, enum msg_kind kind, const void *msg)
{
	struct heap_of *h = arg;

	failing_rest();
	if (kind == MSG_PROBLEM_ITEM)
		h->problems++;
	else if (kind == MSG_TABLE_END)
		h->ended = true;
	else
		msg_encode(kind, msg, &h->rows);
	if (kind == MSG_PROFILE) {
		h->profiles++;
		h->useless += ((const struct profile *)msg)->error != AW_OK;
	}
	failing_go();
	return AW_OK;
}

static void
read_all(struct heap_of *h)
{
	const struct read_req req = {.version = MSG_VERSION};
	struct table table;
	char admin[64];

	snprintf(admin, sizeof(admin), "%s/etc", folder);
	table_read(&table, admin, &req, folder);
	must(table_send(&table, collect, h) == AW_OK);
	table_free(&table);
}

static enum aw_err
read_config(void)
{
	struct heap_of h = {0};
	enum aw_err r;

	read_all(&h);
	failing_rest();
	r = h.ended && view_eq(view_of(&h.rows), view_of(&whole.rows))
	    ? AW_OK
	    : AW_SYSTEM;
	must(r == AW_OK || h.problems > whole.problems ||
	    (h.profiles == whole.profiles && h.useless > whole.useless));
	buf_free(&h.rows);
	failing_go();
	return r;
}

static void
a_table_is_whole_or_says_what_is_missing(void **state)
{
	static const int errors[] = {EIO, EACCES, EMFILE, EINTR, ESTALE};
	size_t i;

	(void)state;
	read_all(&whole);
	failing_rest();
	assert_true(whole.ended && whole.rows.len > 100);
	assert_int_equal(whole.problems, 0);
	/* Short of memory it ends, and nothing but its link knows. */
	assert_true(each_fails_apart(read_config, ENOMEM, false) > 5);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(
		    each_fails_apart(read_config, errors[i], true) > 10);
	buf_free(&whole.rows);
}

static int
begin(void **state)
{
	char path[128];
	size_t i;
	FILE *f;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	for (i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
		if (!files[i].text) {
			if (mkdir(path, 0700) != 0)
				return -1;
			continue;
		}
		if (!(f = fopen(path, "w")) || fputs(files[i].text, f) < 0 ||
		    fclose(f) != 0)
			return -1;
	}
	return 0;
}

static int
end(void **state)
{
	char path[128];
	size_t i;

	(void)state;
	for (i = sizeof(files) / sizeof(*files); i-- > 0;) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
		remove(path);
	}
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_table_is_whole_or_says_what_is_missing),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
