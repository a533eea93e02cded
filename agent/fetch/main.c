/* SPDX-License-Identifier: ISC */
/*
 * awsenv-fetch: takes one order from LINK_FD, talks to AWS, answers, exits. It
 * has one login in its memory, and no keyring.
 */
#include "fetch.h"

#include <stdlib.h>
#include <unistd.h>

#include "awsenv/harden.h"
#include "awsenv/link.h"
#include "awsenv/log.h"
#include "awsenv/own.h"

static enum aw_err (*const orders[])(struct talk *) = {
    [FETCH_LOGIN] = login_begin,
    [FETCH_POLL] = login_resume,
    [FETCH_REFRESH] = login_refresh,
    [FETCH_ROLE] = role_fetch,
    [FETCH_IDENTITY] = role_identity,
    [FETCH_LOGOUT] = role_logout,
    [FETCH_FACTOR] = login_factor,
    [FETCH_GRANTS] = grants_fetch,
    [FETCH_CONSOLE] = console_open,
    [FETCH_LOCK] = lock_hash,
};

static enum aw_err
run(struct talk *t)
{
	enum aw_err r;

	if (t->fetch.what >= sizeof(orders) / sizeof(orders[0]) ||
	    !orders[t->fetch.what])
		return why_set(&t->why, AW_PROTO, "malformed order");
	if (t->fetch.what != FETCH_LOCK && (r = talk_open(t)) != AW_OK)
		return r;
	return orders[t->fetch.what](t);
}

/* It has said by now which CA bundle it wants; nothing foreign was read yet. */
static bool
enter(const struct facts *f)
{
	AUTOFREE char *ca = f->ca_path.n ? view_dup(f->ca_path) : NULL;

	if (f->ca_path.n && !ca)
		return false;
	sandbox_enter(ca);
	return true;
}

int
main(void)
{
	struct answer a = {.last = true};
	struct talk t = {0};
	enum aw_err r;

	/* Before anything looks for OPENSSL_CONF, SSLKEYLOGFILE, a proxy. */
	clearenv();
	log_open("awsenv-fetch", true, false);
	if (harden_process() != 0 || harden_no_new_privs() != 0 ||
	    !sandbox_no_keys())
		fatal("cannot protect this process");
	if (!wipe_lock())
		fatal("%s", aw_strerror(AW_NOMEM));
	wipe_install();
	if ((r = talk_receive(&t, LINK_FD)) != AW_OK) {
		log_err(
		    "no order on descriptor %d: %s", LINK_FD, aw_strerror(r));
		return 1;
	}
	if (!enter(&t.facts))
		fatal("cannot protect this process");
	r = run(&t);
	if (r != AW_OK && r != AW_GONE) {
		if (!t.why.text[0])
			why_set(&t.why, r, "%s", aw_strerror(r));
		a.error = r;
		talk_answer(&t, &a);
	}
	http_close(t.http);
	buf_free(&t.packet);
	return r == AW_OK ? 0 : 1;
}
