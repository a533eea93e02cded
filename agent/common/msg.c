/* SPDX-License-Identifier: ISC */
/*
 * The codec: one row of fields for each message, and two loops. A message is
 * the fields of its row, in order; nothing may follow them.
 */
#include "awsenv/msg.h"

#include <string.h>

#include "awsenv/own.h"

enum type { END, U8, BOOL, U32, U64, VIEW };

struct field {
	uint8_t type; /* enum type; small, since the wrapper carries them all */
	uint16_t offset;
};

#define F(type, msg, member)                       \
	{                                          \
		type, offsetof(struct msg, member) \
	}

#define ASK(msg)                                                     \
	F(VIEW, msg, ask.config), F(U64, msg, ask.stamp.dev),        \
	    F(U64, msg, ask.stamp.ino), F(U64, msg, ask.stamp.size), \
	    F(U64, msg, ask.stamp.mtime), F(VIEW, msg, ask.env),     \
	    F(VIEW, msg, ask.profile), F(VIEW, msg, ask.session),    \
	    F(VIEW, msg, ask.account), F(VIEW, msg, ask.role)

static const struct field empty_fields[] = {{END, 0}};

static const struct field creds_req_fields[] = {
    ASK(creds_req),
    F(U32, creds_req, seconds),
    F(BOOL, creds_req, half),
    {END, 0},
};

static const struct field creds_rep_fields[] = {
    F(U32, creds_rep, error),
    F(VIEW, creds_rep, text),
    F(VIEW, creds_rep, profile),
    F(VIEW, creds_rep, account),
    F(VIEW, creds_rep, role),
    F(VIEW, creds_rep, region),
    F(VIEW, creds_rep, settings),
    F(VIEW, creds_rep, notice),
    F(VIEW, creds_rep, sealed),
    {END, 0},
};

static const struct field creds_fields[] = {
    F(U64, creds, expires),
    F(VIEW, creds, access_key),
    F(VIEW, creds, secret_key),
    F(VIEW, creds, session_token),
    {END, 0},
};

static const struct field login_req_fields[] = {
    ASK(login_req),
    F(BOOL, login_req, desktop),
    {END, 0},
};

static const struct field wait_req_fields[] = {
    F(U64, wait_req, ticket),
    F(U8, wait_req, seen),
    F(U32, wait_req, seconds),
    {END, 0},
};

static const struct field login_rep_fields[] = {
    F(U32, login_rep, error),
    F(VIEW, login_rep, text),
    F(U8, login_rep, state),
    F(U64, login_rep, ticket),
    F(VIEW, login_rep, session),
    F(VIEW, login_rep, url),
    F(VIEW, login_rep, code),
    F(U64, login_rep, until),
    F(U64, login_rep, expires),
    F(VIEW, login_rep, person),
    F(VIEW, login_rep, before),
    F(VIEW, login_rep, expected),
    F(VIEW, login_rep, browser),
    F(VIEW, login_rep, notice),
    F(VIEW, login_rep, host),
    F(U32, login_rep, qr_width),
    F(VIEW, login_rep, qr),
    {END, 0},
};

static const struct field status_req_fields[] = {ASK(status_req), {END, 0}};

static const struct field status_rep_fields[] = {
    F(U32, status_rep, error),
    F(VIEW, status_rep, text),
    F(VIEW, status_rep, version),
    F(U32, status_rep, agent_pid),
    F(U32, status_rep, broker_pid),
    F(U64, status_rep, started),
    F(U32, status_rep, restarts),
    F(BOOL, status_rep, protected_),
    F(VIEW, status_rep, sandbox),
    F(U32, status_rep, keys_used),
    F(U32, status_rep, keys_max),
    F(U32, status_rep, bytes_used),
    F(U32, status_rep, bytes_max),
    F(U32, status_rep, ring),
    F(U32, status_rep, skew),
    F(U32, status_rep, logins),
    F(U32, status_rep, roles),
    F(U32, status_rep, keys),
    F(U32, status_rep, problems),
    F(U32, status_rep, profiles),
    F(BOOL, status_rep, locked),
    F(BOOL, status_rep, screen),
    F(U32, status_rep, profile_error),
    F(VIEW, status_rep, profile_text),
    F(VIEW, status_rep, profile),
    F(VIEW, status_rep, session),
    F(VIEW, status_rep, account),
    F(VIEW, status_rep, role),
    F(U8, status_rep, login_state),
    F(U64, status_rep, login_expires),
    F(BOOL, status_rep, refreshable),
    F(U64, status_rep, role_expires),
    {END, 0},
};

static const struct field whoami_req_fields[] = {ASK(whoami_req), {END, 0}};

static const struct field whoami_rep_fields[] = {
    F(U32, whoami_rep, error),
    F(VIEW, whoami_rep, text),
    F(VIEW, whoami_rep, profile),
    F(VIEW, whoami_rep, session),
    F(VIEW, whoami_rep, account),
    F(VIEW, whoami_rep, role),
    F(VIEW, whoami_rep, arn),
    F(VIEW, whoami_rep, user_id),
    F(VIEW, whoami_rep, person),
    F(VIEW, whoami_rep, region),
    F(U64, whoami_rep, expires),
    {END, 0},
};

static const struct field profiles_req_fields[] = {
    ASK(profiles_req),
    F(U32, profiles_req, from),
    {END, 0},
};

static const struct field profiles_rep_fields[] = {
    F(U32, profiles_rep, error),
    F(VIEW, profiles_rep, text),
    F(U32, profiles_rep, next),
    F(VIEW, profiles_rep, items),
    {END, 0},
};

static const struct field profile_item_fields[] = {
    F(VIEW, profile_item, name),
    F(U32, profile_item, line),
    F(U32, profile_item, error),
    F(VIEW, profile_item, text),
    F(VIEW, profile_item, session),
    F(VIEW, profile_item, start_url),
    F(VIEW, profile_item, sso_region),
    F(VIEW, profile_item, account),
    F(VIEW, profile_item, role),
    F(VIEW, profile_item, chain),
    F(VIEW, profile_item, region),
    F(U8, profile_item, login_state),
    F(U64, profile_item, login_expires),
    F(BOOL, profile_item, refreshable),
    F(U64, profile_item, expires),
    F(VIEW, profile_item, browser),
    {END, 0},
};

#ifndef AWSENV_WRAPPER /* which counts bytes: what runs a command alone */
static const struct field list_req_fields[] = {
    F(U8, list_req, what),
    F(U32, list_req, from),
    {END, 0},
};

static const struct field list_rep_fields[] = {
    F(U32, list_rep, error),
    F(VIEW, list_rep, text),
    F(U32, list_rep, next),
    F(VIEW, list_rep, items),
    {END, 0},
};

static const struct field login_item_fields[] = {
    F(VIEW, login_item, session),
    F(VIEW, login_item, start_url),
    F(VIEW, login_item, region),
    F(U8, login_item, state),
    F(U64, login_item, expires),
    F(BOOL, login_item, refreshable),
    F(VIEW, login_item, person),
    F(VIEW, login_item, notice),
    {END, 0},
};

static const struct field role_item_fields[] = {
    F(VIEW, role_item, session),
    F(VIEW, role_item, account),
    F(VIEW, role_item, role),
    F(VIEW, role_item, access_key),
    F(U64, role_item, obtained),
    F(U64, role_item, expires),
    F(BOOL, role_item, in_memory),
    {END, 0},
};

static const struct field key_item_fields[] = {
    F(U32, key_item, serial),
    F(VIEW, key_item, kind),
    F(VIEW, key_item, label),
    F(U32, key_item, size),
    F(U64, key_item, timeout),
    {END, 0},
};

static const struct field problem_item_fields[] = {
    F(VIEW, problem_item, file),
    F(U32, problem_item, line),
    F(VIEW, problem_item, text),
    {END, 0},
};

static const struct field logout_req_fields[] = {
    ASK(logout_req),
    F(U8, logout_req, what),
    {END, 0},
};

static const struct field logout_rep_fields[] = {
    F(U32, logout_rep, error),
    F(VIEW, logout_rep, text),
    F(U32, logout_rep, logins),
    F(U32, logout_rep, roles),
    F(VIEW, logout_rep, lines),
    {END, 0},
};

static const struct field done_rep_fields[] = {
    F(U32, done_rep, error),
    F(VIEW, done_rep, text),
    {END, 0},
};

static const struct field nudge_req_fields[] = {
    F(U8, nudge_req, what),
    F(U8, nudge_req, start),
    F(U32, nudge_req, ms),
    F(VIEW, nudge_req, service),
    F(VIEW, nudge_req, tty),
    F(VIEW, nudge_req, rhost),
    F(BOOL, nudge_req, last),
    {END, 0},
};

static const struct field lock_req_fields[] = {
    F(VIEW, lock_req, passphrase),
    {END, 0},
};

static const struct field screen_req_fields[] = {
    F(BOOL, screen_req, locked),
    F(VIEW, screen_req, session),
    {END, 0},
};

static const struct field watch_req_fields[] = {
    F(U64, watch_req, seen),
    F(U32, watch_req, seconds),
    {END, 0},
};

static const struct field watch_rep_fields[] = {
    F(U32, watch_rep, error),
    F(VIEW, watch_rep, text),
    F(U64, watch_rep, change),
    F(BOOL, watch_rep, refreshable),
    F(VIEW, watch_rep, login),
    {END, 0},
};

static const struct field grants_req_fields[] = {
    ASK(grants_req),
    F(U64, grants_req, listing),
    F(U32, grants_req, from),
    {END, 0},
};

static const struct field grants_rep_fields[] = {
    F(U32, grants_rep, error),
    F(VIEW, grants_rep, text),
    F(U64, grants_rep, listing),
    F(U32, grants_rep, accounts),
    F(U32, grants_rep, done),
    F(BOOL, grants_rep, complete),
    F(U32, grants_rep, next),
    F(VIEW, grants_rep, items),
    {END, 0},
};

static const struct field grant_item_fields[] = {
    F(VIEW, grant_item, account),
    F(VIEW, grant_item, name),
    F(VIEW, grant_item, email),
    F(VIEW, grant_item, role),
    F(U64, grant_item, expires),
    {END, 0},
};

static const struct field relay_rep_fields[] = {
    F(U32, relay_rep, error),
    F(VIEW, relay_rep, text),
    F(VIEW, relay_rep, path),
    F(U8, relay_rep, how),
    F(VIEW, relay_rep, why),
    F(BOOL, relay_rep, all),
    F(BOOL, relay_rep, proxy),
    {END, 0},
};

static const struct field questions_req_fields[] = {
    F(U64, questions_req, seen),
    F(U32, questions_req, seconds),
    {END, 0},
};

static const struct field questions_rep_fields[] = {
    F(U32, questions_rep, error),
    F(VIEW, questions_rep, text),
    F(U64, questions_rep, change),
    F(VIEW, questions_rep, items),
    {END, 0},
};

static const struct field question_item_fields[] = {
    F(U64, question_item, id),
    F(U64, question_item, until),
    F(U8, question_item, answers),
    F(BOOL, question_item, remote),
    F(VIEW, question_item, profile),
    F(VIEW, question_item, session),
    F(VIEW, question_item, account),
    F(VIEW, question_item, role),
    F(VIEW, question_item, chain),
    F(VIEW, question_item, host),
    F(VIEW, question_item, hops),
    F(VIEW, question_item, programs),
    F(VIEW, question_item, folder),
    {END, 0},
};

static const struct field answer_req_fields[] = {
    F(U64, answer_req, id),
    F(U8, answer_req, answer),
    {END, 0},
};

static const struct field forward_req_fields[] = {
    ASK(forward_req),
    F(U8, forward_req, what),
    F(U32, forward_req, id),
    F(VIEW, forward_req, profiles),
    F(VIEW, forward_req, hosts),
    F(U32, forward_req, seconds),
    F(BOOL, forward_req, confirm),
    F(BOOL, forward_req, bound),
    {END, 0},
};

static const struct field forward_rep_fields[] = {
    F(U32, forward_rep, error),
    F(VIEW, forward_rep, text),
    F(VIEW, forward_rep, items),
    {END, 0},
};

static const struct field forward_item_fields[] = {
    F(VIEW, forward_item, name),
    F(VIEW, forward_item, path),
    F(VIEW, forward_item, profiles),
    F(VIEW, forward_item, hosts),
    F(U64, forward_item, until),
    F(BOOL, forward_item, confirm),
    F(BOOL, forward_item, bound),
    {END, 0},
};

static const struct field log_req_fields[] = {
    F(U64, log_req, from),
    F(U32, log_req, seconds),
    {END, 0},
};

static const struct field log_rep_fields[] = {
    F(U32, log_rep, error),
    F(VIEW, log_rep, text),
    F(U64, log_rep, next),
    F(VIEW, log_rep, items),
    {END, 0},
};

static const struct field log_item_fields[] = {
    F(U64, log_item, number),
    F(U64, log_item, time),
    F(U32, log_item, error),
    F(U32, log_item, pid),
    F(VIEW, log_item, request),
    F(VIEW, log_item, origin),
    F(VIEW, log_item, profile),
    F(VIEW, log_item, account),
    F(VIEW, log_item, role),
    F(VIEW, log_item, access_key),
    F(VIEW, log_item, host),
    F(VIEW, log_item, hops),
    F(VIEW, log_item, program),
    {END, 0},
};

static const struct field adopt_req_fields[] = {
    F(U32, adopt_req, version),
    F(U32, adopt_req, uid),
    F(VIEW, adopt_req, facts),
    F(VIEW, adopt_req, tok),
    F(U64, adopt_req, tok_expires),
    F(VIEW, adopt_req, ref),
    F(U64, adopt_req, ref_expires),
    F(BOOL, adopt_req, refreshable),
    F(VIEW, adopt_req, person),
    {END, 0},
};

static const struct field read_fields[] = {
    F(U32, read_req, version),
    F(VIEW, read_req, config),
    F(VIEW, read_req, env),
    {END, 0},
};

static const struct field session_fields[] = {
    F(U32, session, index),
    F(VIEW, session, name),
    F(VIEW, session, login),
    F(VIEW, session, facts),
    F(VIEW, session, notice),
    F(U32, session, error),
    F(VIEW, session, text),
    F(BOOL, session, autostart),
    F(BOOL, session, bare),
    F(U8, session, forward),
    F(VIEW, session, forward_hosts),
    F(VIEW, session, forward_at),
    {END, 0},
};

static const struct field profile_fields[] = {
    F(VIEW, profile, name),
    F(U32, profile, line),
    F(U32, profile, error),
    F(VIEW, profile, text),
    F(U32, profile, session),
    F(VIEW, profile, account),
    F(VIEW, profile, role),
    F(VIEW, profile, chain),
    F(VIEW, profile, chain_digest),
    F(VIEW, profile, region),
    F(VIEW, profile, sts),
    F(VIEW, profile, sts_region),
    F(VIEW, profile, settings),
    F(VIEW, profile, expected),
    F(VIEW, profile, browser),
    F(VIEW, profile, notice),
    F(BOOL, profile, confirm),
    F(U8, profile, forward),
    F(VIEW, profile, forward_hosts),
    F(VIEW, profile, forward_at),
    F(VIEW, profile, far_chain),
    F(VIEW, profile, far_digest),
    {END, 0},
};

static const struct field table_end_fields[] = {
    F(U64, table_end, stamp.dev),
    F(U64, table_end, stamp.ino),
    F(U64, table_end, stamp.size),
    F(U64, table_end, stamp.mtime),
    F(U32, table_end, profiles),
    F(U32, table_end, sessions),
    F(VIEW, table_end, off),
    F(VIEW, table_end, settings),
    {END, 0},
};

static const struct field facts_fields[] = {
    F(VIEW, facts, session),
    F(VIEW, facts, start_url),
    F(VIEW, facts, region),
    F(VIEW, facts, scopes),
    F(VIEW, facts, oidc),
    F(VIEW, facts, portal),
    F(VIEW, facts, sts),
    F(VIEW, facts, ca_path),
    F(VIEW, facts, ca_digest),
    F(VIEW, facts, proxy),
    F(VIEW, facts, no_proxy),
    {END, 0},
};

static const struct field step_fields[] = {
    F(VIEW, step, role_arn),
    F(VIEW, step, external_id),
    F(VIEW, step, session_name),
    F(U32, step, duration),
    F(VIEW, step, sts),
    F(VIEW, step, sts_region),
    F(VIEW, step, policy),
    {END, 0},
};

static const struct field fetch_fields[] = {
    F(U32, fetch, version),
    F(U8, fetch, what),
    F(VIEW, fetch, tag),
    F(VIEW, fetch, facts),
    F(VIEW, fetch, tok),
    F(VIEW, fetch, ref),
    F(VIEW, fetch, dev),
    F(VIEW, fetch, creds),
    F(VIEW, fetch, account),
    F(VIEW, fetch, role),
    F(VIEW, fetch, chain),
    F(VIEW, fetch, sts),
    F(VIEW, fetch, sts_region),
    F(VIEW, fetch, client_name),
    F(BOOL, fetch, waiting),
    F(BOOL, fetch, desktop),
    F(VIEW, fetch, page),
    F(VIEW, fetch, passphrase),
    F(VIEW, fetch, hash),
    {END, 0},
};

static const struct field answer_fields[] = {
    F(U32, answer, version),
    F(U8, answer, what),
    F(BOOL, answer, last),
    F(VIEW, answer, tag),
    F(U32, answer, error),
    F(VIEW, answer, text),
    F(U32, answer, skew),
    F(BOOL, answer, skew_known),
    F(VIEW, answer, dev),
    F(U64, answer, dev_until),
    F(VIEW, answer, url),
    F(VIEW, answer, code),
    F(U32, answer, qr_width),
    F(VIEW, answer, qr),
    F(VIEW, answer, tok),
    F(U64, answer, tok_expires),
    F(VIEW, answer, ref),
    F(U64, answer, ref_expires),
    F(BOOL, answer, refreshable),
    F(VIEW, answer, creds),
    F(U64, answer, creds_expires),
    F(VIEW, answer, access_key),
    F(VIEW, answer, account),
    F(VIEW, answer, arn),
    F(VIEW, answer, user_id),
    F(VIEW, answer, person),
    F(VIEW, answer, facts),
    F(VIEW, answer, grants),
    F(U32, answer, accounts),
    F(U32, answer, done),
    F(VIEW, answer, hash),
    {END, 0},
};

static const struct field hint_fields[] = {
    F(U32, hint, version),
    F(BOOL, hint, waiting),
    {END, 0},
};

static const struct field tok_fields[] = {
    F(U64, tok, expires),
    F(VIEW, tok, access_token),
    {END, 0},
};

static const struct field ref_fields[] = {
    F(U64, ref, client_expires),
    F(VIEW, ref, client_id),
    F(VIEW, ref, client_secret),
    F(VIEW, ref, refresh_token),
    F(BOOL, ref, desktop),
    {END, 0},
};

static const struct field dev_fields[] = {
    F(U64, dev, until),
    F(U32, dev, interval),
    F(VIEW, dev, device_code),
    F(VIEW, dev, client_id),
    F(VIEW, dev, client_secret),
    F(U64, dev, client_expires),
    F(VIEW, dev, url),
    F(VIEW, dev, code),
    {END, 0},
};

static const struct field record_fields[] = {
    F(U8, record, version),
    F(U8, record, kind),
    F(U64, record, obtained),
    F(U64, record, expires),
    F(VIEW, record, id),
    F(VIEW, record, label),
    F(VIEW, record, person),
    F(VIEW, record, facts),
    F(VIEW, record, access_key),
    F(BOOL, record, refreshable),
    F(VIEW, record, sealed),
    {END, 0},
};
#endif

static const struct {
	const struct field *fields;
	size_t size;
} messages[] = {
    [MSG_EMPTY] = {empty_fields, 0},
    [MSG_CREDS_REQ] = {creds_req_fields, sizeof(struct creds_req)},
    [MSG_CREDS_REP] = {creds_rep_fields, sizeof(struct creds_rep)},
    [MSG_CREDS] = {creds_fields, sizeof(struct creds)},
    [MSG_LOGIN_REQ] = {login_req_fields, sizeof(struct login_req)},
    [MSG_WAIT_REQ] = {wait_req_fields, sizeof(struct wait_req)},
    [MSG_LOGIN_REP] = {login_rep_fields, sizeof(struct login_rep)},
    [MSG_STATUS_REQ] = {status_req_fields, sizeof(struct status_req)},
    [MSG_STATUS_REP] = {status_rep_fields, sizeof(struct status_rep)},
    [MSG_WHOAMI_REQ] = {whoami_req_fields, sizeof(struct whoami_req)},
    [MSG_WHOAMI_REP] = {whoami_rep_fields, sizeof(struct whoami_rep)},
    [MSG_PROFILES_REQ] = {profiles_req_fields, sizeof(struct profiles_req)},
    [MSG_PROFILES_REP] = {profiles_rep_fields, sizeof(struct profiles_rep)},
    [MSG_PROFILE_ITEM] = {profile_item_fields, sizeof(struct profile_item)},
#ifndef AWSENV_WRAPPER
    [MSG_LIST_REQ] = {list_req_fields, sizeof(struct list_req)},
    [MSG_LIST_REP] = {list_rep_fields, sizeof(struct list_rep)},
    [MSG_LOGIN_ITEM] = {login_item_fields, sizeof(struct login_item)},
    [MSG_ROLE_ITEM] = {role_item_fields, sizeof(struct role_item)},
    [MSG_KEY_ITEM] = {key_item_fields, sizeof(struct key_item)},
    [MSG_PROBLEM_ITEM] = {problem_item_fields, sizeof(struct problem_item)},
    [MSG_LOGOUT_REQ] = {logout_req_fields, sizeof(struct logout_req)},
    [MSG_LOGOUT_REP] = {logout_rep_fields, sizeof(struct logout_rep)},
    [MSG_DONE_REP] = {done_rep_fields, sizeof(struct done_rep)},
    [MSG_NUDGE_REQ] = {nudge_req_fields, sizeof(struct nudge_req)},
    [MSG_LOCK_REQ] = {lock_req_fields, sizeof(struct lock_req)},
    [MSG_SCREEN_REQ] = {screen_req_fields, sizeof(struct screen_req)},
    [MSG_WATCH_REQ] = {watch_req_fields, sizeof(struct watch_req)},
    [MSG_WATCH_REP] = {watch_rep_fields, sizeof(struct watch_rep)},
    [MSG_GRANTS_REQ] = {grants_req_fields, sizeof(struct grants_req)},
    [MSG_GRANTS_REP] = {grants_rep_fields, sizeof(struct grants_rep)},
    [MSG_GRANT_ITEM] = {grant_item_fields, sizeof(struct grant_item)},
    [MSG_RELAY_REP] = {relay_rep_fields, sizeof(struct relay_rep)},
    [MSG_QUESTIONS_REQ] = {questions_req_fields, sizeof(struct questions_req)},
    [MSG_QUESTIONS_REP] = {questions_rep_fields, sizeof(struct questions_rep)},
    [MSG_QUESTION_ITEM] = {question_item_fields, sizeof(struct question_item)},
    [MSG_ANSWER_REQ] = {answer_req_fields, sizeof(struct answer_req)},
    [MSG_FORWARD_REQ] = {forward_req_fields, sizeof(struct forward_req)},
    [MSG_FORWARD_REP] = {forward_rep_fields, sizeof(struct forward_rep)},
    [MSG_FORWARD_ITEM] = {forward_item_fields, sizeof(struct forward_item)},
    [MSG_LOG_REQ] = {log_req_fields, sizeof(struct log_req)},
    [MSG_LOG_REP] = {log_rep_fields, sizeof(struct log_rep)},
    [MSG_LOG_ITEM] = {log_item_fields, sizeof(struct log_item)},
    [MSG_ADOPT_REQ] = {adopt_req_fields, sizeof(struct adopt_req)},
    [MSG_READ] = {read_fields, sizeof(struct read_req)},
    [MSG_SESSION] = {session_fields, sizeof(struct session)},
    [MSG_PROFILE] = {profile_fields, sizeof(struct profile)},
    [MSG_TABLE_END] = {table_end_fields, sizeof(struct table_end)},
    [MSG_FACTS] = {facts_fields, sizeof(struct facts)},
    [MSG_STEP] = {step_fields, sizeof(struct step)},
    [MSG_FETCH] = {fetch_fields, sizeof(struct fetch)},
    [MSG_ANSWER] = {answer_fields, sizeof(struct answer)},
    [MSG_HINT] = {hint_fields, sizeof(struct hint)},
    [MSG_TOK] = {tok_fields, sizeof(struct tok)},
    [MSG_REF] = {ref_fields, sizeof(struct ref)},
    [MSG_DEV] = {dev_fields, sizeof(struct dev)},
    [MSG_RECORD] = {record_fields, sizeof(struct record)},
#endif
};

void
msg_encode(enum msg_kind kind, const void *msg, struct buf *b)
{
	const struct field *f;

	for (f = messages[kind].fields;; f++) {
		const void *at = (const char *)msg + f->offset;

		switch (f->type) {
		case U8:
			buf_u8(b, *(const uint8_t *)at);
			break;
		case BOOL:
			buf_u8(b, *(const uint8_t *)at != 0);
			break;
		case U32:
			buf_u32(b, *(const uint32_t *)at);
			break;
		case U64:
			buf_u64(b, *(const uint64_t *)at);
			break;
		case VIEW:
			buf_string(b, *(const struct view *)at);
			break;
		case END:
			return;
		}
	}
}

bool
msg_decode(enum msg_kind kind, struct view v, void *msg)
{
	const struct field *f;
	bool good = true;

	if (messages[kind].size)
		memset(msg, 0, messages[kind].size);
	for (f = messages[kind].fields; good; f++) {
		void *at = (char *)msg + f->offset;

		switch (f->type) {
		case U8:
			good = view_u8(&v, at);
			break;
		case BOOL:
			good = view_u8(&v, at) && *(uint8_t *)at <= 1;
			break;
		case U32:
			good = view_u32(&v, at);
			break;
		case U64:
			good = view_u64(&v, at);
			break;
		case VIEW:
			good = view_string(&v, at);
			break;
		case END:
			return v.n == 0;
		}
	}
	return false;
}

void
msg_append(enum msg_kind kind, const void *msg, struct buf *list)
{
	AUTOBUF struct buf one = {0};

	msg_encode(kind, msg, &one);
	if (one.bad)
		list->bad = true;
	buf_string(list, view_of(&one));
}

bool
msg_each(enum msg_kind kind, struct view *list, void *msg)
{
	struct view rest = *list, one;

	if (!view_string(&rest, &one) || !msg_decode(kind, one, msg))
		return false;
	*list = rest;
	return true;
}
