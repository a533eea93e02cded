/* SPDX-License-Identifier: ISC */
/*
 * Which host a connection comes from, by the real code from a client's bytes
 * on: the first bind names it, if it comes before all else and the ssh that
 * sent it waits for the answer; any bind takes rights away, one for a login
 * there or a malformed one all of them. The rules stand here once more, written
 * to be obvious. An input is
 *
 *	byte 0	the socket, and what is seen of the peer (see below)
 *	then, for each frame, two bytes: a bit for a query in the place of a
 *	bind, the length of the bind's body; and that body
 */
#include "tests/fuzz/broker.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

/* The lowest two bits are of enum listener. */
#define SAYS_BINDS 4
#define SAYS_WAITS 8
#define SAYS_NOTHING 16
#define SAYS_IT_LATE 32
#define QUERY 0x8000

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static uint8_t how;
static int client;
static struct conn *conn;

/* ---- the rules */

static struct {
	bool bound, poisoned, login, counts;
	unsigned int frames, n;
	char hosts[BINDS_MAX][BIND_HOST];
} rule;

static uint32_t
number(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Three strings and a byte, and not one more. */
static bool
is_bind(const uint8_t *p, size_t n, const uint8_t **key, uint32_t length[3])
{
	int i;

	for (i = 0; i < 3; i++) {
		if (n < 4 || n - 4 < number(p))
			return false;
		length[i] = number(p);
		if (i == 0)
			*key = p + 4;
		n -= 4 + length[i];
		p += 4 + length[i];
	}
	return n == 1 && *p <= 1 && length[0] >= 1 && length[0] <= 16384 &&
	    length[1] >= 1 && length[1] <= 128 && length[2] >= 1;
}

static void
name_of(const uint8_t *key, uint32_t n, char host[static BIND_HOST])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	char text[64];

	SHA256(key, n, hash);
	EVP_EncodeBlock((uint8_t *)text, hash, sizeof(hash));
	snprintf(host, BIND_HOST, "SHA256:%.43s", text); /* without its "=" */
}

static void
rule_bind(const uint8_t *p, size_t n)
{
	bool first = rule.frames == 0,
	     own = (how & 3) == AT_FORWARD || (how & 3) == AT_PERMIT;
	uint32_t length[3];
	const uint8_t *key;

	rule.bound = true;
	if (!is_bind(p, n, &key, length) || rule.n == 16) {
		rule.poisoned = true;
		return;
	}
	if (p[n - 1] == 0)
		rule.login = true;
	name_of(key, length[0], rule.hosts[rule.n++]);
	if (first && own && !(how & SAYS_NOTHING) && (how & SAYS_BINDS) &&
	    (how & SAYS_WAITS))
		rule.counts = true;
}

static void
compare(void)
{
	const struct binds *b = &conn->binds;
	unsigned int i;

	assert(b->n == rule.n && b->poisoned == rule.poisoned);
	assert(b->login == rule.login && b->counts == rule.counts);
	assert(!rule.bound || conn->origin == REMOTE);
	assert(b->claims.len == (rule.n ? rule.n - 1 : 0) * BIND_HOST);
	if (rule.n)
		assert(strcmp(b->first, rule.hosts[0]) == 0);
	for (i = 1; i < rule.n; i++)
		assert(strcmp((char *)b->claims.data + (i - 1) * BIND_HOST,
			   rule.hosts[i]) == 0);
}

/* ---- the client, and what is said of it */

/* One whole answer, or none. */
static uint8_t
heard(struct buf *in)
{
	struct view v, frame;
	uint8_t type;
	ssize_t n;

	buf_reset(in);
	assert(buf_reserve(in, 4096));
	if ((n = read(client, in->data, 4096)) < 0)
		return 0;
	in->len = (size_t)n;
	v = view_of(in);
	if (!view_string(&v, &frame) || v.n || !view_u8(&frame, &type))
		abort();
	return type;
}

static void
tell(const struct link *asked)
{
	struct link l = *asked;

	l.type = LINK_SEEN;
	l.seen.flags = SEEN_THERE | SEEN_SSH |
	    (how & SAYS_BINDS ? SEEN_BINDS : 0) |
	    (how & SAYS_WAITS ? SEEN_WAITS : 0);
	link_send(fake_spawner, &l);
	serve();
}

/* True: the spawner is asked about the peer. */
static bool
is_asked(struct link *l)
{
	while (link_recv(fake_spawner, l) == AW_OK) {
		if (l->type == LINK_LOOK)
			return true;
	}
	return false;
}

/* At once, whatever it is, or when nothing came of the look. */
static void
hear_success(struct buf *in)
{
	struct link l;
	bool asked = is_asked(&l);

	assert(!asked || (l.inode && rule.frames == 0));
	if (asked) {
		assert(heard(in) == 0);
		if (how & SAYS_NOTHING) {
			fake_ms += 51;
			serve();
		} else {
			tell(&l);
		}
	}
	assert(heard(in) == SSH_AGENT_SUCCESS && in->len == 5);
	if (asked && (how & SAYS_NOTHING) && (how & SAYS_IT_LATE))
		tell(&l);
	assert(heard(in) == 0);
}

static void
say(const char *name, struct view body)
{
	AUTOBUF struct buf frame = {0};

	io_put_request(&frame, name, body);
	assert(send(client, frame.data, frame.len, MSG_NOSIGNAL) ==
	    (ssize_t)frame.len);
	serve();
}

/* What is left of its rights shows by a request that any client may make. */
static void
try_rights(struct buf *in)
{
	AUTOBUF struct buf body = {0};
	const struct list_req req = {.what = LIST_PROBLEMS};
	struct view v, frame, name;
	uint32_t error;
	uint8_t type;

	msg_encode(MSG_LIST_REQ, &req, &body);
	say("list@awsenv", view_of(&body));
	type = heard(in);
	/* Not one of ours any more, so it is passed on to the ssh-agent. */
	if (rule.login && !rule.poisoned && (how & 3) == AT_FORWARD) {
		assert(type == 0 || type == SSH_AGENT_FAILURE);
		return;
	}
	if (rule.poisoned || rule.login) {
		assert(type == SSH_AGENT_FAILURE);
		return;
	}
	assert(type == SSH_AGENT_EXTENSION_RESPONSE);
	v = view_of(in);
	if (!view_string(&v, &frame) || !view_u8(&frame, &type) ||
	    !view_string(&frame, &name) || !view_u32(&frame, &error))
		abort();
	assert(
	    error == (rule.bound || (how & 3) != AT_AGENT ? AW_DENIED : AW_OK));
}

static void
begin(void)
{
	static struct permit permit = {.name = "dev", .fd = -1};
	int pair[2], size = 1 << 20;

	fake_begin();
	memset(&rule, 0, sizeof(rule));
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	client = pair[1];
	conn =
	    conn_add(pair[0], (how & 3) == AT_AGENT ? LOCAL : REMOTE, getpid());
	conn->listener = (enum listener)(how & 3);
	conn->permit = conn->listener == AT_PERMIT ? &permit : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTOBUF struct buf in = {0};
	unsigned int word;
	size_t length;

	if (n < 1 || n > 100000)
		return 0;
	how = *p++;
	n--;
	begin();
	for (; n >= 2; p += length, n -= length) {
		word = (unsigned int)p[0] << 8 | p[1];
		p += 2;
		n -= 2;
		if (word & QUERY) {
			length = 0;
			say("query", (struct view){0});
			assert(heard(&in) == SSH_AGENT_EXTENSION_RESPONSE);
		} else {
			length = word < n ? word : n;
			rule_bind(p, length);
			say("session-bind@openssh.com",
			    (struct view){p, (uint32_t)length});
			hear_success(&in);
		}
		rule.frames++;
		compare();
	}
	try_rights(&in);
	close(client);
	serve();
	assert(conn_count() == 0);
	return 0;
}
