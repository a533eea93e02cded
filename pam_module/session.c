/* SPDX-License-Identifier: ISC */
/*
 * The session phases. scp, git and ansible pass here as people do, so nothing
 * waits for AWS: the agent is told that somebody came, and what it knows by
 * then is shown. Whatever happens, the person logs in.
 */
#include "pam_module/pam_awsenv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "awsenv/io.h"
#include "awsenv/own.h"

#define NUDGE_MS 50
#define SPAWN_MS 950
#define UNLOCK_MS 200
#define CLOSE_MS 100
#define SAME_MS 5000
#define LOGIN_WAIT 3 /* seconds, for login(1): always a person at a terminal */

/* Whoever may not be kept out: the login goes on, as if this were not there. */
static bool
is_off(pam_handle_t *pamh, const struct options *o)
{
	if (!off_in(OFF_FOLDER))
		return false;
	if (o->debug)
		pam_syslog(pamh, LOG_DEBUG,
		    "switched off: enabled = false below " OFF_FOLDER);
	return true;
}

static struct nudge_req
request(pam_handle_t *pamh, const struct options *o, enum nudge_what what)
{
	return (struct nudge_req){
	    .what = (uint8_t)what,
	    .start = (uint8_t)o->login,
	    .service = view_str(item_text(pamh, PAM_SERVICE)),
	    .tty = view_str(item_text(pamh, PAM_TTY)),
	    .rhost = view_str(item_text(pamh, PAM_RHOST)),
	    .last = o->logout_last,
	};
}

/*
 * Lockers and util-linux's login may reinitialize and refresh in a row, the
 * latter after it has opened the session: one who came is one nudge. When that
 * was is kept with the handle.
 */
static bool
just_came(pam_handle_t *pamh)
{
	const void *then;

	return pam_get_data(pamh, "awsenv_came", &then) == PAM_SUCCESS &&
	    io_deadline(0) - *(const int64_t *)then < SAME_MS;
}

static void
forget(pam_handle_t *pamh, void *then, int status)
{
	(void)pamh;
	(void)status;
	free(then);
}

static void
has_come(pam_handle_t *pamh)
{
	AUTOFREE void *then = malloc(sizeof(int64_t));

	if (!then)
		return;
	*(int64_t *)then = io_deadline(0);
	if (pam_set_data(pamh, "awsenv_came", then, forget) == PAM_SUCCESS)
		(void)STEAL(then);
}

/* To an agent that is there; nobody is told how that went. */
static void
hint(pam_handle_t *pamh, const struct options *o, const struct person *who,
    enum nudge_what what, int ms)
{
	struct nudge_req req = request(pamh, o, what);
	int64_t deadline = io_deadline(ms);
	struct answer_text a = {0};
	AUTOCLOSE int fd = -1;
	struct place p;
	bool wanted =
	    o->login == NUDGE_EAGER || (o->logout_last && what == NUDGE_GONE);

	if (!wanted || !place_find(pamh, who->pw, false, &p))
		return;
	if (agent_connect(pamh, who->pw, &p, &fd, deadline) == AW_OK)
		agent_nudge(fd, &req, &a, deadline);
	place_leave(&p);
	buf_free(&a.frame);
}

static uint32_t
seconds_to_wait(const struct options *o, const struct person *who, int flags)
{
	if (o->quiet || (flags & PAM_SILENT))
		return 0;
	if (o->wait != UNSET)
		return o->wait;
	return strcmp(who->service, "login") == 0 ? LOGIN_WAIT : 0;
}

static enum aw_err
reach(pam_handle_t *pamh, const struct options *o, const struct person *who,
    struct place *p, int *fd)
{
	enum aw_err r;

	r = agent_connect(pamh, who->pw, p, fd, io_deadline(NUDGE_MS));
	if (r != AW_NOAGENT)
		return r;
	r = agent_spawn(pamh, who->pw, p, o->agent, io_deadline(SPAWN_MS));
	if (r != AW_OK)
		return r;
	place_enter(who->pw, p);
	return agent_connect(pamh, who->pw, p, fd, io_deadline(NUDGE_MS));
}

/* First, so that the agent begins none where there is one. */
static void
hand_over(pam_handle_t *pamh, const struct options *o,
    const struct adopt_req *req, int fd)
{
	enum aw_err r = agent_adopt(fd, req, io_deadline(NUDGE_MS));

	if (r != AW_OK || o->debug)
		pam_syslog(pamh, r == AW_OK ? LOG_DEBUG : LOG_WARNING,
		    "the login that was asked for is handed to the agent: %s",
		    aw_strerror(r));
}

/* `login`: what a factor brought, or NULL. */
static void
greet(pam_handle_t *pamh, const struct options *o, const struct person *who,
    struct place *p, const struct adopt_req *login, int flags)
{
	struct nudge_req req = request(pamh, o, NUDGE_LOGIN);
	uint32_t wait = seconds_to_wait(o, who, flags);
	struct answer_text a = {0};
	AUTOCLOSE int fd = -1;
	enum aw_err r;
	bool shown;

	r = reach(pamh, o, who, p, &fd);
	if (r == AW_OK && login)
		hand_over(pamh, o, login, fd);
	if (r == AW_OK) {
		req.ms = wait * 1000;
		r = agent_nudge(
		    fd, &req, &a, io_deadline((int)req.ms + NUDGE_MS));
		if (r == AW_PROTO || r == AW_DENIED)
			pam_syslog(pamh, LOG_WARNING,
			    "%s is not an awsenv-agent of this version",
			    p->path);
	}
	if (o->debug)
		pam_syslog(pamh, LOG_DEBUG, "%s: %s, login %u", p->path,
		    aw_strerror(r), r == AW_OK ? a.rep.state : 0U);
	shown = r == AW_OK && !o->quiet && !(flags & PAM_SILENT) &&
	    text_show(pamh, who, &a.rep, wait > 0);
	/* A shell's profile need not show again what stands above it, nor
	 * wait for what was waited for in vain. */
	if (wait > 0)
		pam_putenv(pamh, shown ? "AWSENV_SHOWN=1" : "AWSENV_SHOWN=0");
	buf_free(&a.frame);
}

/* Both are there for a shell, whoever listens later: the names stay. */
static void
set_paths(pam_handle_t *pamh, const struct place *p)
{
	char setting[sizeof("AWSENV_FORWARD_SOCK=") + CLIENT_PATH];
	size_t n = strlen(p->path) - strlen("agent.sock");
	int rc;

	str_join(setting, sizeof(setting), "AWSENV_SOCK=", p->path, NULL);
	rc = pam_putenv(pamh, setting);
	snprintf(setting, sizeof(setting),
	    "AWSENV_FORWARD_SOCK=%.*sforward.sock", (int)n, p->path);
	if (rc != PAM_SUCCESS || pam_putenv(pamh, setting) != PAM_SUCCESS)
		pam_syslog(pamh, LOG_ERR, "AWSENV_SOCK cannot be set");
}

int
session_open(pam_handle_t *pamh, const struct options *o, int flags)
{
	AUTOBUF struct buf kept = {0};
	struct adopt_req login;
	struct person who;
	struct place p;
	bool brought;

	if (!scope_has(pamh, o, &who))
		return PAM_IGNORE;
	brought = handover_claim(who.pw, &kept, &login) && o->handover;
	if (is_off(pamh, o))
		return PAM_SUCCESS;
	if (!place_find(pamh, who.pw, true, &p)) {
		pam_syslog(pamh, LOG_ERR,
		    "no directory for the agent's socket: neither "
		    "/run/user/%lu nor one below /run/awsenv",
		    (unsigned long)who.pw->pw_uid);
		return PAM_SUCCESS;
	}
	set_paths(pamh, &p);
	if (o->login == NUDGE_EAGER) {
		greet(pamh, o, &who, &p, brought ? &login : NULL, flags);
		has_come(pamh);
	}
	place_leave(&p);
	return PAM_SUCCESS;
}

/* A hint: it is missing after kill -9, so the agent counts nothing. */
int
session_close(pam_handle_t *pamh, const struct options *o)
{
	struct person who;

	if (!scope_has(pamh, o, &who))
		return PAM_IGNORE;
	if (is_off(pamh, o))
		return PAM_SUCCESS;
	hint(pamh, o, &who, NUDGE_GONE, CLOSE_MS);
	return PAM_SUCCESS;
}

void
session_unlock(pam_handle_t *pamh, const struct options *o)
{
	struct person who;

	if (!scope_has(pamh, o, &who) || is_off(pamh, o) || just_came(pamh))
		return;
	hint(pamh, o, &who, NUDGE_UNLOCK, UNLOCK_MS);
	has_come(pamh);
}
