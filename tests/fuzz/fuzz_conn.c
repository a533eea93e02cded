/* SPDX-License-Identifier: ISC */
/*
 * Bytes of a client through the real connection and request code, with a store
 * and programs of the test's own. An input is
 *
 *	byte 0	who connects, what is in the store, and whether somebody
 *		answers questions
 *	byte 1	how the programs answer, and the user's own ssh-agent
 *	byte 2	where the bytes are cut in two, and what is answered
 *	byte 3	the agent's own settings, and what its spawner is like
 *	byte 4	what the client is like
 *	the rest: what the client sends; in its second part NUMBERS! stands
 *	for the number of a list or change that the first one was told
 *
 * Whatever it is: nothing breaks, every answer is a frame that a client can
 * read, nobody gets credentials but the owner and whom the config or a person
 * lets have them, and what a person may come to see is printable.
 */
#include "tests/fuzz/broker.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* See fake_broker.h for what the names mean. */
static const char *const names[] = {
    "default", "marketing", "no-x", "ask-x", "far-x", NULL};
static const char *const confirmed[] = {"default", "sure-x", NULL};
static enum origin origin;
static bool forward; /* through forward.sock: some is relayed */
static int upstream = -1;
static uint8_t around, peer; /* bytes 3 and 4 */
#define HEAD 5
static uint64_t told; /* the number that a client goes on from */

/* Two bits of `around`, one of `peer`: its 16. */
static const char *const settings[] = {NULL, "awsenv_ssh_relay=all",
    "awsenv_ssh_proxy=true", "awsenv_ssh_agent=none",
    "awsenv_ssh_agent=/run/ssh-agent", "awsenv_lock=hard", "awsenv_lock=none",
    "awsenv_idle=15m"};
#define SETTING ((around & 3) | (peer >> 2 & 4))
#define UPSTREAM_ERROR(bits) ((bits) >> 2 & 7)
#define IN_PIECES 32
#define SLOW 64	  /* the spawner answers when nobody waits any more */
#define SMALL 128 /* buffers are, and the client reads when all is done */
/* Of how the programs answer, whose lower bits are an error. */
#define DIES 16
#define ALONE 32 /* there is no ssh-agent of the user's own */
/* Of byte 0, whose lower two bits say who connects. */
#define LOGGED_IN 4
#define LIVES 8	   /* the login's token */
#define RENEWS 16  /* it is refreshable */
#define HELD 32	   /* a role's credentials are */
#define FORWARD 64 /* another host comes by forward.sock */
#define SEATED 128 /* a person answers, on a terminal of her own */
/* Of `peer`. */
#define UNKNOWN 1    /* it came to agent.sock, and sent no descriptor */
#define PLAIN 2	     /* ... and is seen to be no ssh */
#define DEAF 4	     /* it takes no answer */
#define ONCE 8	     /* there is no table yet */
#define CONFIRMED 32 /* each use of the role is to be */
#define ALLOWED 64   /* a far side may have what the config does not deny */
#define HOST 128     /* ... if it is the one with this key */

/* A host key, as a bind has it, and how the config names it. */
static const char host_key[] = "\0\0\0\x0bssh-ed25519\0\0\0 "
			       "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
static const char host[] = "SHA256:sArVyTbDlP2ByuRNM59Xf/iwOUmdy69sxylyNl3iUQQ";
static bool from_host; /* its key is among the bytes */

#define PERSON 1 /* her process */
static int person = -1;
static uint8_t answers; /* enum answer_what */

static const char *const *
profiles(void)
{
	return peer & CONFIRMED ? confirmed : names;
}

static void
answer_fetch(int fd, const struct fetch *f, uint8_t how)
{
	static const enum aw_err errors[] = {AW_TOKEN, AW_GRANT, AW_STALE,
	    AW_NETWORK, AW_AWS, AW_EXPIRED, AW_TIMEOUT};
	const struct grant_item grant = {
	    .account = view_str("123456789012"), .role = view_str("Dev")};
	AUTOBUF struct buf grants = {0};
	struct answer a = {
	    .version = MSG_VERSION,
	    .what = f->what,
	    .last = (how & 8) == 0,
	    .tag = f->tag,
	};

	if (how & DIES)
		return;
	if (how & 7) {
		a.error = errors[(how & 7) - 1];
		a.text = view_str("an error");
	} else if (f->what == FETCH_ROLE) {
		a.creds = view_str("SEALED");
		a.access_key = view_str(fake_access_key);
		a.creds_expires = fake_seconds + 3600;
		a.account = view_str("123456789012");
	} else if (f->what == FETCH_IDENTITY) {
		a.arn = view_str("arn:aws:sts::123456789012:assumed-role/r/p");
	} else if (f->what == FETCH_GRANTS) {
		msg_append(MSG_GRANT_ITEM, &grant, &grants);
		a.grants = view_of(&grants);
		a.accounts = a.done = 1;
	} else if (f->what == FETCH_LOCK) {
		a.hash = view_str(f->hash.n ? NULL : "hash");
	} else if (f->what != FETCH_LOGOUT) {
		a.tok = view_str("sealed token");
		a.tok_expires = fake_seconds + 3600;
		a.ref = view_str("sealed ref");
		a.ref_expires = fake_seconds + 90 * 86400;
		a.dev = f->what == FETCH_REFRESH ? (struct view){0}
						 : view_str("sealed dev");
		a.dev_until = fake_seconds + 600;
		a.url = view_str("https://example.awsapps.com/start");
		a.code = view_str("ABCD-EFGH");
	}
	link_send_msg(fd, MSG_ANSWER, &a);
}

static void
upstream_says(const char *bytes, size_t n)
{
	if (send(upstream, bytes, n, MSG_NOSIGNAL) > 0 && (around & IN_PIECES))
		serve();
}

/* What came gets as many answers as it may be worth. */
static void
run_upstream(uint8_t how)
{
	uint8_t bytes[512];
	ssize_t n, i;

	while (
	    upstream >= 0 && (n = read(upstream, bytes, sizeof(bytes))) > 0) {
		for (i = 0; i < n; i += 200) {
			upstream_says("\0\0", 2);
			upstream_says("\0\5\x0e", 3);
			upstream_says("da", 2);
			upstream_says("ta", 2);
		}
		if (how & 8)
			upstream_says("\0\0\0\0", 4);
		if (how & 128) {
			close(upstream);
			upstream = -1;
		}
		serve();
	}
}

/* As small as the kernel has them. */
static void
make_small(int fd)
{
	int size = 1;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* True: it was about the ssh-agent. */
static bool
find_upstream(struct link *l, uint8_t how)
{
	static const enum aw_err errors[] = {AW_NOAGENT, AW_DENIED, AW_CONFIG,
	    AW_TIMEOUT, AW_GONE, AW_BUSY, AW_SYSTEM, AW_NOAGENT};
	int fd[2] = {-1, -1};

	if (l->type == LINK_LOOK) {
		l->type = LINK_SEEN;
		l->seen.flags = l->pid == PERSON || (peer & PLAIN) ? SEEN_THERE
		    : how & 64 ? SEEN_THERE | SEEN_SSH | SEEN_BINDS | SEEN_WAITS
			       : 0;
	} else if (l->type == LINK_UPSTREAM) {
		l->type = LINK_UPSTREAM_IS;
		l->error = errors[UPSTREAM_ERROR(around)];
		if (!(how & ALONE) && upstream < 0 &&
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) ==
			0) {
			l->nfds = 1;
			l->fds[0] = fd[0];
			upstream = fd[1];
			if (around & SMALL)
				make_small(fd[0]);
		}
	} else {
		return false;
	}
	link_send(fake_spawner, l);
	if (fd[0] >= 0)
		close(fd[0]);
	serve();
	return true;
}

/* Give the broker whatever program it asks for, a few times; false: it asks
 * for no more. */
static bool
run_programs(uint8_t how)
{
	AUTOBUF struct buf keep = {0};
	struct fetch f;
	struct link l;
	int fd[2], i;

	for (i = 0; i < 8 && link_recv(fake_spawner, &l) == AW_OK; i++) {
		if (around & SLOW) {
			fake_ms += 30000;
			serve();
		}
		if (find_upstream(&l, how)) {
			run_upstream(how);
			continue;
		}
		if (link_pair(fd) != 0)
			abort();
		l.type = LINK_SPAWNED;
		l.pid = 1000;
		l.nfds = 1;
		l.fds[0] = fd[0];
		link_send(fake_spawner, &l);
		close(fd[0]);
		serve();
		if (l.program == PROGRAM_PROFILE)
			fake_table(fd[1], 1, profiles());
		else if (fake_order(fd[1], &keep, &f) == MSG_FETCH)
			answer_fetch(fd[1], &f, how);
		close(fd[1]);
		serve();
	}
	run_upstream(how);
	return i == 8;
}

static void
check_text(struct view text)
{
	uint32_t i;

	for (i = 0; i < text.n; i++) {
		if (text.p[i] < ' ' || text.p[i] == 0x7f)
			abort();
	}
}

static bool
says_yes(void)
{
	return person >= 0 && answers != ANSWER_NO;
}

/* Whoever sits at another host, by the config or because a person says so. */
static bool
is_allowed(void)
{
	return origin == REMOTE && ((peer & ALLOWED) || says_yes()) &&
	    (!(peer & HOST) || from_host);
}

static bool
may_have(const struct creds_rep *creds)
{
	if ((peer & CONFIRMED) && view_is(creds->role, "Dev") && !says_yes())
		return false;
	return origin == LOCAL ||
	    (is_allowed() && !view_is(creds->profile, "no-x") &&
		(!view_is(creds->profile, "ask-x") || says_yes()));
}

static void
check_answer(struct view frame)
{
	struct view name, text, body;
	struct creds_rep creds;
	struct grants_rep grants;
	struct watch_rep watch;
	uint32_t error;
	uint8_t type;

	if (!view_u8(&frame, &type))
		abort();
	if (type == 5 || type == 6 || type == 28) {
		if (frame.n)
			abort();
		return;
	}
	if (forward && (type == 12 || type == 14)) {
		if (frame.n != 4)
			abort();
		return;
	}
	if (type != 29 || !view_string(&frame, &name))
		abort();
	if (view_is(name, "query"))
		return;
	body = frame;
	if (!view_u32(&frame, &error) || !view_string(&frame, &text) ||
	    error >= AW_PRIVATE)
		abort();
	check_text(text);
	/* That there is too much to do just now tells nothing of profiles. */
	if (origin == REMOTE && !is_allowed() && error != AW_DENIED &&
	    error != AW_BUSY && !view_is(name, "status@awsenv") &&
	    !view_is(name, "profiles@awsenv"))
		abort();
	if (view_is(name, "creds@awsenv") &&
	    (!msg_decode(MSG_CREDS_REP, body, &creds) ||
		(creds.sealed.n && !may_have(&creds)) ||
		(creds.error == AW_OK) != (creds.sealed.n != 0)))
		abort();
	if (view_is(name, "grants@awsenv") &&
	    msg_decode(MSG_GRANTS_REP, body, &grants))
		told = grants.listing;
	if (view_is(name, "watch@awsenv") &&
	    msg_decode(MSG_WATCH_REP, body, &watch))
		told = watch.change;
}

/* What is read makes room for more; half an answer is kept. */
static void
check_answers(int fd, struct buf *in)
{
	struct view v, frame;
	ssize_t n;

	while (buf_reserve(in, 4096) &&
	    (n = read(fd, in->data + in->len, 4096)) > 0) {
		in->len += (size_t)n;
		if (around & SMALL)
			serve();
	}
	v = view_of(in);
	while (view_string(&v, &frame))
		check_answer(frame);
	buf_eat(in, in->len - v.n);
}

static void
put_number(uint8_t *p, size_t n)
{
	static const char mark[] = "NUMBERS!";
	const uint8_t *end = p + n;
	int shift;

	while ((p = memmem(p, (size_t)(end - p), mark, sizeof(told)))) {
		for (shift = 56; shift >= 0; shift -= 8)
			*p++ = (uint8_t)(told >> shift);
	}
}

static void
drain(int fd)
{
	struct link l;

	while (link_recv(fd, &l) == AW_OK) {
		while (l.nfds > 0)
			close(l.fds[--l.nfds]);
	}
}

/* ---- a person */

static void
watch_questions(uint64_t seen)
{
	const struct questions_req req = {.seen = seen, .seconds = 3600};

	fake_send(person, "questions@awsenv", MSG_QUESTIONS_REQ, &req);
	run_programs(ALONE);
}

static void
sit_down(void)
{
	person = fake_client_of(PERSON, LOCAL);
	watch_questions(0);
}

static void
get_up(void)
{
	if (person >= 0)
		close(person);
	person = -1;
	serve();
}

/* Whatever comes gets the same answer. */
static void
answer_all(void)
{
	AUTOBUF struct buf keep = {0}, other = {0};
	struct questions_rep rep;
	struct question_item item;
	struct answer_req answer = {.answer = answers};
	struct done_rep done;
	int i;

	for (i = 0; i < 8 && person >= 0; i++) {
		if (!fake_reply(person, "questions@awsenv", MSG_QUESTIONS_REP,
			&rep, &keep))
			break;
		while (msg_each(MSG_QUESTION_ITEM, &rep.items, &item)) {
			check_text(item.profile);
			check_text(item.host);
			answer.id = item.id;
			fake_send(
			    person, "answer@awsenv", MSG_ANSWER_REQ, &answer);
			run_programs(ALONE);
			fake_reply(person, "answer@awsenv", MSG_DONE_REP, &done,
			    &other);
		}
		watch_questions(rep.change);
	}
}

/* Sockets that were made for others end by request alone. */
static void
end_permits(void)
{
	AUTOBUF struct buf keep = {0};
	struct forward_req req = {.what = FORWARD_LIST};
	struct forward_rep rep;
	struct forward_item item;
	int fd = fake_client(LOCAL);

	fake_send(fd, "forward@awsenv", MSG_FORWARD_REQ, &req);
	run_programs(ALONE);
	if (!fake_reply(fd, "forward@awsenv", MSG_FORWARD_REP, &rep, &keep))
		rep.items = (struct view){0};
	req.what = FORWARD_END;
	while (msg_each(MSG_FORWARD_ITEM, &rep.items, &item)) {
		req.id = (uint32_t)strtoul(
		    (const char *)item.name.p + strlen("forward-"), NULL, 16);
		fake_send(fd, "forward@awsenv", MSG_FORWARD_REQ, &req);
	}
	close(fd);
	serve();
}

/* What an input leaves behind ends here, or by time: else what the next one
 * reaches would be worth nothing without it. */
static void
forget_the_last(void)
{
	const uint64_t days = 3 * 86400;
	struct grants *g;
	int i;

	while (run_programs(DIES | ALONE))
		continue;
	job_abandon_all(
	    ~(1u << JOB_READ | 1u << FETCH_GRANTS), (struct view){0});
	for (i = 0; i < FAKE_KEYS; i++)
		buf_free(&fake_keys[i].bytes);
	lock_open();
	presence_open();
	end_permits();
	login_forget(fake_login_id());
	while ((g = grants_find(fake_login_id(), 0)))
		grants_drop(g);
	table_forget_all();
	fake_ms += (int64_t)days * 1000;
	fake_seconds += days;
	serve();
	fake_seconds -= days;
	while (run_programs(DIES | ALONE))
		continue;
	drain(fake_supervisor);
	chance = 0;
	told = 0;
}

static void
read_table(void)
{
	const struct ask ask = {0};
	struct table *t = table_for(&ask);

	if (t && table_read(t, &ask))
		fake_profiles(1, profiles());
}

/* What far profiles have in place of others. */
static void
narrow_far(void)
{
	static const uint8_t digest[32] = "narrow";
	static struct buf chain;
	const struct step step = {.role_arn = view_str("arn:aws:iam::1:role/D"),
	    .policy = view_str("{}")};

	if (!chain.len)
		msg_append(MSG_STEP, &step, &chain);
	fake_far_chain = view_of(&chain);
	fake_far_digest = (struct view){digest, sizeof(digest)};
}

/* Who they are for is kept for as long as the keys are the same. */
static void
take_new_keys(void)
{
	static char key[32];
	static unsigned long count;

	snprintf(key, sizeof(key), "ASIA%016lu", ++count);
	fake_access_key = key;
}

static void
begin(uint8_t state)
{
	fake_begin();
	forget_the_last();
	take_new_keys();
	fake_settings = settings[SETTING];
	fake_forward = peer & ALLOWED ? FORWARD_ALLOW : FORWARD_DEFAULT;
	fake_hosts = peer & HOST
	    ? (struct view){(const uint8_t *)host, sizeof(host)}
	    : (struct view){0};
	narrow_far();
	if (!(peer & ONCE))
		read_table();
	origin = (state & 3) == 0 ? ROOT : (state & 3) == 1 ? REMOTE : LOCAL;
	forward = origin == REMOTE && (state & FORWARD);
	if (state & LOGGED_IN)
		fake_token(state & LIVES ? 3600 : 0, state & RENEWS);
	if (state & HELD)
		fake_role("Dev", 600, 3000, "SEALED");
}

static void
connect_client(int fd)
{
	struct conn *c = conn_add(fd, origin, getpid());

	if (forward)
		c->listener = AT_FORWARD;
	if (!(peer & UNKNOWN))
		return;
	c->here = false;
	if (!(peer & PLAIN) || (around & SLOW))
		origin = REMOTE; /* as it is to be taken for */
}

static void
say(int fd, const uint8_t *p, size_t n, uint8_t how)
{
	if (n && send(fd, p, n, MSG_NOSIGNAL) < 0)
		return;
	serve();
	run_programs(how);
	answer_all();
}

/* A login and a question there were before, so that their counts are not those
 * of a broker that just began. */
static void
warm_up(void)
{
	const struct creds_req creds = {.ask = {.profile = view_str("sure-x")}};
	const struct login_req login = {0};
	int fd;

	around = answers = 0;
	peer = CONFIRMED | PLAIN;
	begin(HELD);
	sit_down();
	fd = fake_client(LOCAL);
	fake_send(fd, "creds@awsenv", MSG_CREDS_REQ, &creds);
	run_programs(ALONE);
	answer_all();
	fake_send(fd, "login@awsenv", MSG_LOGIN_REQ, &login);
	run_programs(ALONE);
	close(fd);
	get_up();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static bool warm;
	AUTOBUF struct buf in = {0}, out = {0};
	int fd, pair[2];
	size_t cut;

	if (n < HEAD || n > 100000)
		return 0;
	if (!warm)
		warm_up();
	warm = true;
	around = p[3];
	peer = p[4];
	from_host = memmem(p, n, host_key, sizeof(host_key) - 1) != NULL;
	begin(p[0]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		abort();
	fd = pair[1];
	if (around & SMALL)
		make_small(pair[0]);
	if (p[0] & SEATED)
		sit_down();
	answers = p[2] & 3;
	connect_client(pair[0]);
	if (peer & DEAF)
		shutdown(fd, SHUT_RD);
	cut = (n - HEAD) * p[2] / 255;
	buf_put(&out, p + HEAD, n - HEAD);
	say(fd, out.data, cut, p[1]);
	if (cut < out.len) {
		check_answers(fd, &in);
		put_number(out.data + cut, out.len - cut);
		say(fd, out.data + cut, out.len - cut, p[1]);
	}
	fake_ms += 61000; /* who is held now gets an answer */
	serve();
	check_answers(fd, &in);
	close(fd);
	serve();
	if (upstream >= 0)
		close(upstream);
	upstream = -1;
	get_up();
	if (conn_count() != 0)
		abort();
	return 0;
}
