/* SPDX-License-Identifier: ISC */
/*
 * The login that a factor brought, from the process that authenticates to the
 * one that opens the session; in sshd those are two, and all that goes between
 * them is variables that the user sees later. So it waits in root's own keyring
 * for a minute, under a name that only the same login knows to look for.
 *
 * A key that is made in the user keyring could not be given its mask: only who
 * possesses it may, and nobody possesses that ring who has not linked it. It is
 * made in the thread's own, and moved.
 */
#include "pam_module/pam_awsenv.h"

#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include <security/pam_ext.h>

#include "awsenv/own.h"

#define MASK 0x003f0000 /* whose it is, but not who happens to possess it */
#define SECONDS 60
#define PAYLOAD_MOST 32767
#define NAME_SIZE 80

/* When the leader of this session began, in the kernel's ticks; 0: unknown. */
static unsigned long long
leader_since(pid_t leader)
{
	char path[32], line[1024], *at;
	unsigned long long ticks = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)leader);
	if (leader <= 0 || !(f = fopen(path, "re")))
		return 0;
	/* Behind the program's name, which may hold anything: field 22. */
	if (fgets(line, sizeof(line), f) && (at = strrchr(line, ')')))
		sscanf(at,
		    ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
		    "%*d %*d %*d %*d %*d %*d %llu",
		    &ticks);
	fclose(f);
	return ticks;
}

/* In su the real user is the caller, and so is the keyring. */
static bool
name_key(const struct passwd *pw, char name[static NAME_SIZE])
{
	pid_t leader = getsid(0);
	unsigned long long since;

	if (getuid() != 0 || geteuid() != 0 || !(since = leader_since(leader)))
		return false;
	snprintf(name, NAME_SIZE, "awsenv:factor:%lu:%d:%llu",
	    (unsigned long)pw->pw_uid, (int)leader, since);
	return true;
}

static long
key_call(int what, long a, long b, long c, long d)
{
	return syscall(SYS_keyctl, what, a, b, c, d);
}

static bool
put(const char *name, const struct buf *b)
{
	long key = syscall(SYS_add_key, "user", name, b->data, b->len,
	    KEY_SPEC_THREAD_KEYRING);
	bool done;

	if (key <= 0)
		return false;
	done = key_call(KEYCTL_SET_TIMEOUT, key, SECONDS, 0, 0) == 0 &&
	    key_call(KEYCTL_SETPERM, key, MASK, 0, 0) == 0 &&
	    key_call(KEYCTL_LINK, key, KEY_SPEC_USER_KEYRING, 0, 0) == 0;
	if (!done)
		key_call(KEYCTL_REVOKE, key, 0, 0, 0);
	key_call(KEYCTL_UNLINK, key, KEY_SPEC_THREAD_KEYRING, 0, 0);
	return done;
}

void
handover_keep(
    pam_handle_t *pamh, const struct passwd *pw, const struct answer *a)
{
	const struct adopt_req req = {
	    .version = MSG_VERSION,
	    .uid = pw->pw_uid,
	    .facts = a->facts,
	    .tok = a->tok,
	    .tok_expires = a->tok_expires,
	    .ref = a->ref,
	    .ref_expires = a->ref_expires,
	    .refreshable = a->refreshable,
	    .person = a->person,
	};
	AUTOBUF struct buf b = {0};
	char name[NAME_SIZE];

	msg_encode(MSG_ADOPT_REQ, &req, &b);
	if (!name_key(pw, name))
		return;
	if (b.bad || b.len > PAYLOAD_MOST || !put(name, &b))
		pam_syslog(pamh, LOG_WARNING,
		    "the login cannot be kept for the agent");
}

/* As it was made: by root, with that mask and name. */
static bool
is_ours(long key, const char *name)
{
	char text[NAME_SIZE + 64], want[NAME_SIZE + 64];
	unsigned int gid;
	long n = key_call(
	    KEYCTL_DESCRIBE, key, (long)(uintptr_t)text, sizeof(text), 0);

	if (n <= 0 || n > (long)sizeof(text) ||
	    sscanf(text, "user;0;%u;", &gid) != 1)
		return false;
	snprintf(want, sizeof(want), "user;0;%u;%08x;%s", gid, MASK, name);
	return strcmp(text, want) == 0;
}

static bool
take(long key, struct buf *out)
{
	long n;

	buf_reset(out);
	if (!buf_reserve(out, PAYLOAD_MOST))
		return false;
	n = key_call(
	    KEYCTL_READ, key, (long)(uintptr_t)out->data, PAYLOAD_MOST, 0);
	if (n <= 0 || n > PAYLOAD_MOST)
		return false;
	out->len = (size_t)n;
	return true;
}

bool
handover_claim(const struct passwd *pw, struct buf *out, struct adopt_req *req)
{
	char name[NAME_SIZE];
	bool good;
	long key;

	if (!name_key(pw, name))
		return false;
	key = key_call(KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING,
	    (long)(uintptr_t) "user", (long)(uintptr_t)name, 0);
	if (key <= 0 || !is_ours(key, name))
		return false;
	good = take(key, out);
	/* Once: whatever becomes of it now. */
	key_call(KEYCTL_REVOKE, key, 0, 0, 0);
	key_call(KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING, 0, 0);
	return good && msg_decode(MSG_ADOPT_REQ, view_of(out), req) &&
	    req->version == MSG_VERSION && req->uid == pw->pw_uid;
}
