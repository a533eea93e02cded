/* SPDX-License-Identifier: ISC */
/*
 * What is handed to a far side cannot be called back, but of a role on top of
 * others AWS gives less when it is asked to: for a shorter time, and with a
 * policy that leaves only part of what the role may do.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "awsenv/own.h"

#include "profile.h"

#define SECONDS_LEAST 900
#define SECONDS_MOST 43200
#define SECONDS_CHAINED 3600 /* a role on top of a role, whatever it allows */
#define POLICY_MOST 2048     /* as AWS counts it, without white space */
#define POLICY_RAW_MOST (32 * 1024)
#define ROW_MOST (96 * 1024)

/* "900", "900s", "15m" or "1h" */
bool
narrow_is_time(struct view v, uint32_t least, uint32_t most, uint32_t *seconds)
{
	static const char units[] = "smh";
	static const uint32_t each[] = {1, 60, 3600};
	const char *unit = NULL;
	uint32_t i, n = 0;

	for (i = 0; i < v.n && v.p[i] >= '0' && v.p[i] <= '9'; i++) {
		if ((n = n * 10 + v.p[i] - '0') > most)
			return false;
	}
	if (i + 1 == v.n && v.p[i])
		unit = strchr(units, v.p[i]);
	if (i == 0 || (i < v.n && !unit))
		return false;
	*seconds = unit ? n * each[unit - units] : n;
	return *seconds >= least && *seconds <= most;
}

bool
narrow_is_duration(struct view v, uint32_t *seconds)
{
	return narrow_is_time(v, SECONDS_LEAST, SECONDS_MOST, seconds);
}

/* Of what AWS takes in a policy, that which is the same in any encoding. */
static bool
is_plain(struct view v)
{
	uint32_t i;

	for (i = 0; i < v.n; i++) {
		if ((v.p[i] < 0x20 && !strchr("\t\r\n", v.p[i])) || !v.p[i] ||
		    v.p[i] > 0x7e)
			return false;
	}
	return true;
}

const char *
narrow_policy(struct arena *a, struct view v, struct view *compact)
{
	cJSON *json;
	bool object, says;
	char *text;

	if (v.n > POLICY_RAW_MOST || !is_plain(v))
		return "has characters in it that AWS may not take";
	text = (char *)arena_alloc(a, (size_t)v.n + 1);
	if (v.n)
		memcpy(text, v.p, v.n);
	json = cJSON_ParseWithOpts(text, NULL, true);
	object = cJSON_IsObject(json);
	says = cJSON_HasObjectItem(json, "Statement");
	cJSON_Delete(json);
	if (!object)
		return "is no JSON object";
	if (!says)
		return "has no \"Statement\"";
	cJSON_Minify(text);
	*compact = view_str(text);
	return compact->n <= POLICY_MOST
	    ? NULL
	    : "is longer than the 2048 characters that AWS takes";
}

bool
narrow_chain(struct table *t, struct profile *p, uint32_t seconds,
    const struct entry *policy)
{
	AUTOBUF struct buf list = {0};
	struct arena *a = &t->config.arena;
	struct view rest = p->chain;
	struct step step;
	uint32_t life;

	while (msg_each(MSG_STEP, &rest, &step)) {
		life = step.duration ? step.duration : SECONDS_CHAINED;
		if (!rest.n && seconds && seconds < life)
			step.duration = seconds;
		if (!rest.n && policy &&
		    narrow_policy(a, policy->value, &step.policy))
			return false;
		msg_append(MSG_STEP, &step, &list);
	}
	return list.len + p->chain.n + p->settings.n <= ROW_MOST &&
	    resolve_chain(a, &list, p->sts, &p->far_chain, &p->far_digest);
}
