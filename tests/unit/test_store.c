/* SPDX-License-Identifier: ISC */
/*
 * The store over the real keyring, in a session of its own. Root becomes an
 * ordinary user first, whose quota is small, and leaves two spies behind: a
 * process of root and one of the same user, which know every serial.
 */
#include "agent/broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <keyutils.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/broker/store.h"
#include "awsenv/own.h"
#include "tests/unit/room.h"

#define UID 61001
#define LIFE 3600

static int32_t session, ring;
static int vault;
static int64_t clock_offset;
static bool was_root;

uint64_t
loop_time(void)
{
	return (uint64_t)((int64_t)time(NULL) + clock_offset);
}

/* ---- calls that fail on demand ---- */

static struct fault {
	int error; /* 0: the real call */
	int skip;  /* so many succeed before */
	int times; /* then so many fail; -1: for ever */
	int calls;
} add_fault, read_fault, search_fault, describe_fault, timeout_fault,
    perm_fault, pread_fault, pwrite_fault, punch_fault;

static unsigned int last_timeout;

static bool
fails(struct fault *f)
{
	f->calls++;
	if (!f->error)
		return false;
	if (f->skip > 0) {
		f->skip--;
		return false;
	}
	if (f->times == 0)
		return false;
	if (f->times > 0)
		f->times--;
	errno = f->error;
	return true;
}

static void
no_faults(void)
{
	struct fault *all[] = {&add_fault, &read_fault, &search_fault,
	    &describe_fault, &timeout_fault, &perm_fault, &pread_fault,
	    &pwrite_fault, &punch_fault};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		*all[i] = (struct fault){0};
}

/* Every serial must be one: -1 would mean "my thread keyring" to the kernel. */
#define FAULTY(type, call, fault, params, args, serial)         \
	type __real_##call params;                              \
	type __wrap_##call params;                              \
	type __wrap_##call params                               \
	{                                                       \
		assert_true((serial) > 0);                      \
		return fails(&fault) ? -1 : __real_##call args; \
	}

FAULTY(key_serial_t, add_key, add_fault,
    (const char *t, const char *d, const void *p, size_t n, key_serial_t r),
    (t, d, p, n, r), r)
FAULTY(long, keyctl_read, read_fault, (key_serial_t k, char *b, size_t n),
    (k, b, n), k)
FAULTY(long, keyctl_search, search_fault,
    (key_serial_t k, const char *t, const char *d, key_serial_t to),
    (k, t, d, to), k)
FAULTY(long, keyctl_describe, describe_fault,
    (key_serial_t k, char *b, size_t n), (k, b, n), k)
FAULTY(
    long, keyctl_setperm, perm_fault, (key_serial_t k, key_perm_t p), (k, p), k)

long __real_keyctl_set_timeout(key_serial_t k, unsigned int s);
long __wrap_keyctl_set_timeout(key_serial_t k, unsigned int s);
long
__wrap_keyctl_set_timeout(key_serial_t k, unsigned int s)
{
	assert_true(k > 0);
	last_timeout = s;
	return fails(&timeout_fault) ? -1 : __real_keyctl_set_timeout(k, s);
}

ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t
__wrap_pread(int fd, void *p, size_t n, off_t at)
{
	return fails(&pread_fault) ? -1 : __real_pread(fd, p, n, at);
}

/* A write that fails has written half. */
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return __real_pwrite(fd, p, fails(&pwrite_fault) ? n / 2 : n, at);
}

int __real_fallocate(int fd, int mode, off_t at, off_t n);
int __wrap_fallocate(int fd, int mode, off_t at, off_t n);
int
__wrap_fallocate(int fd, int mode, off_t at, off_t n)
{
	return fails(&punch_fault) ? -1 : __real_fallocate(fd, mode, at, n);
}

/* ---- spies ---- */

struct spy {
	pid_t pid;
	int ask, answer;
};

static struct spy root_spy, user_spy;

static long
attempt(int what, key_serial_t k)
{
	char text[256];

	switch (what) {
	case 0:
		return keyctl_read(k, text, sizeof(text));
	case 1:
		return __real_keyctl_describe(k, text, sizeof(text));
	case 2:
		return __real_keyctl_setperm(k, 0x3f3f3f3f);
	case 3:
		return keyctl_link(k, KEY_SPEC_SESSION_KEYRING);
	case 4:
		return keyctl_invalidate(k);
	case 5:
		return keyctl_revoke(k);
	case 6:
		return __real_keyctl_set_timeout(k, 1);
	case 7:
		return keyctl_update(k, "x", 1);
	case 8:
		return keyctl_chown(k, 0, -1);
	case 9:
		return keyctl_get_security(k, text, sizeof(text));
	case 10:
		return keyctl_unlink(k, ring);
	case 11:
		return keyctl_clear(k);
	case 12:
		return keyctl_move(k, ring, KEY_SPEC_SESSION_KEYRING, 0);
	default:
		return -2;
	}
}

static void
spy_run(int ask, int answer)
{
	uint32_t done;
	int32_t k[2];
	long r;
	int i;

	keyctl_join_session_keyring(NULL);
	while (read(ask, k, sizeof(k)) == sizeof(k)) {
		ring = k[1];
		done = 0;
		for (i = 0; (r = attempt(i, k[0])) != -2; i++)
			done |= (uint32_t)(r >= 0) << i;
		if (write(answer, &done, sizeof(done)) != sizeof(done))
			break;
	}
	_exit(0);
}

static void
spy_start(struct spy *s)
{
	int ask[2], answer[2];

	if (pipe2(ask, O_CLOEXEC) != 0 || pipe2(answer, O_CLOEXEC) != 0)
		abort();
	if ((s->pid = fork()) == 0) {
		close(ask[1]);
		close(answer[0]);
		spy_run(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	s->ask = ask[1];
	s->answer = answer[0];
}

/* Which of the attempts succeeded, as bits. */
static uint32_t
spy_try(const struct spy *s, int32_t serial)
{
	int32_t k[2] = {serial, ring};
	uint32_t done;

	assert_int_equal(write(s->ask, k, sizeof(k)), sizeof(k));
	assert_int_equal(read(s->answer, &done, sizeof(done)), sizeof(done));
	return done;
}

/* ---- helpers ---- */

static int
key_users(void)
{
	return open("/proc/key-users", O_RDONLY | O_CLOEXEC);
}

/* As the next broker, with what the supervisor has kept. */
static enum aw_err
open_store(void)
{
	return store_open(
	    ring, session, key_users(), fcntl(vault, F_DUPFD_CLOEXEC, 0));
}

static int
begin(void **state)
{
	static const uint8_t key[VAULT_KEY] = "a key of the vault";

	(void)state;
	clock_offset = 0;
	no_faults();
	if (!room_for_keys())
		return -1;
	session = keyctl_join_session_keyring(NULL);
	__real_keyctl_setperm(session, KEY_PERM);
	ring = __real_add_key("keyring", KEY_RING, NULL, 0, session);
	__real_keyctl_setperm(ring, KEY_PERM);
	if (__real_add_key("user", VAULT_NAME, key, sizeof(key), ring) < 0)
		return -1;
	vault = memfd_create("vault", MFD_CLOEXEC);
	return open_store() == AW_OK ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	no_faults();
	store_drop_all(~0u, (struct view){0});
	store_close();
	close(vault);
	keyctl_clear(ring);
	keyctl_revoke(session);
	return 0;
}

static struct record
record_of(const char *id, uint64_t ends, const char *sealed)
{
	return (struct record){
	    .obtained = loop_time(),
	    .expires = ends ? loop_time() + ends : 0,
	    .id = view_str(id),
	    .label = view_str("label"),
	    .sealed = view_str(sealed),
	};
}

static enum aw_err
put(enum store_kind kind, const char *id, uint64_t ends, const char *sealed)
{
	struct record r = record_of(id, ends, sealed);

	return store_put(kind, &r);
}

static bool
holds(enum store_kind kind, const char *id, const char *sealed)
{
	AUTOBUF struct buf out = {0};
	struct record r;

	return store_get(kind, view_str(id), &out, &r) == AW_OK &&
	    view_is(r.sealed, sealed);
}

static enum aw_err
get(enum store_kind kind, const char *id)
{
	AUTOBUF struct buf out = {0};
	struct record r;
	enum aw_err e = store_get(kind, view_str(id), &out, &r);

	if (e != AW_OK)
		assert_int_equal(out.len, 0);
	return e;
}

/* A payload of about n bytes as text. */
static const char *
text_of(size_t n)
{
	static char text[200 * 1024];

	memset(text, 'x', n);
	text[n] = '\0';
	return text;
}

static struct store_entry found;
static unsigned int count;

static void
note(const struct store_entry *e, void *arg)
{
	const char *id = arg;

	count++;
	if (!id || view_is(e->record.id, id))
		found = *e;
}

static unsigned int
entries(unsigned int kinds)
{
	count = 0;
	store_each(kinds, note, NULL);
	return count;
}

static int32_t
serial_of(enum store_kind kind, const char *id)
{
	found = (struct store_entry){.serial = -2};
	store_each(1u << kind, note, (void *)(uintptr_t)id);
	return found.serial;
}

static unsigned int
keys_in_ring(void)
{
	char list[1024];
	long n = __real_keyctl_read(ring, list, sizeof(list));

	assert_in_range(n, 0, sizeof(list));
	return (unsigned int)n / sizeof(int32_t) - 1; /* the vault's own */
}

/* How much memory the vault takes. */
static unsigned int
vault_pages(void)
{
	struct stat st;

	assert_int_equal(fstat(vault, &st), 0);
	return (unsigned int)(st.st_blocks / 8);
}

static int32_t
plant(const char *desc, const struct record *r, size_t cut)
{
	AUTOBUF struct buf b = {0};

	msg_encode(MSG_RECORD, r, &b);
	return __real_add_key("user", desc, b.data, b.len - cut, ring);
}

static void
reopen(void)
{
	store_close();
	assert_int_equal(open_store(), AW_OK);
}

/* ---- keeping and finding ---- */

static void
what_is_put_comes_back_whole(void **state)
{
	const uint8_t bytes[] = {0, 1, 0xff, 0, '\n', ';'};
	AUTOBUF struct buf out = {0};
	struct record in = record_of("login|account|role", LIFE, ""), r;

	(void)state;
	in.sealed = (struct view){bytes, sizeof(bytes)};
	in.person = view_str("ann@example.com");
	in.facts = view_str("facts");
	in.access_key = view_str("ASIA");
	in.refreshable = 1;
	assert_int_equal(store_put(KEY_ROLE, &in), AW_OK);
	assert_int_equal(store_get(KEY_ROLE, in.id, &out, &r), AW_OK);
	assert_true(view_eq(r.id, in.id));
	assert_true(view_eq(r.sealed, in.sealed));
	assert_true(view_eq(r.label, in.label));
	assert_true(view_eq(r.person, in.person));
	assert_true(view_eq(r.facts, in.facts));
	assert_true(view_eq(r.access_key, in.access_key));
	assert_int_equal(r.expires, in.expires);
	assert_int_equal(r.obtained, in.obtained);
	assert_int_equal(r.refreshable, 1);
	assert_int_equal(r.kind, KEY_ROLE);
}

static void
a_key_is_for_its_possessor_and_says_nothing(void **state)
{
	unsigned int perm;
	char text[128];
	int32_t k;

	(void)state;
	assert_int_equal(put(KEY_TOK, "marketing", LIFE, "s"), AW_OK);
	k = serial_of(KEY_TOK, "marketing");
	assert_true(k > 0);
	assert_true(keyctl_describe(k, text, sizeof(text)) > 0);
	assert_int_equal(sscanf(text, "user;%*u;%*u;%x;", &perm), 1);
	assert_int_equal(perm, KEY_PERM);
	assert_non_null(strstr(text, ";awsenv:1:tok:"));
	assert_int_equal(strlen(strrchr(text, ':') + 1), 16);
	assert_null(strstr(text, "marketing"));
}

static void
a_second_put_takes_the_place_of_the_first(void **state)
{
	int32_t first;

	(void)state;
	put(KEY_ROLE, "a", LIFE, "old");
	first = serial_of(KEY_ROLE, "a");
	assert_int_equal(put(KEY_ROLE, "a", LIFE, "new, and longer"), AW_OK);
	assert_true(holds(KEY_ROLE, "a", "new, and longer"));
	assert_int_equal(serial_of(KEY_ROLE, "a"), first);
	assert_int_equal(keys_in_ring(), 1);
}

static void
each_write_arms_the_timeout_anew(void **state)
{
	(void)state;
	put(KEY_ROLE, "a", 1000, "x");
	assert_in_range(last_timeout, 1058, 1060);
	put(KEY_ROLE, "a", 2000, "y");
	assert_in_range(last_timeout, 2058, 2060);
	assert_int_equal(timeout_fault.calls, 2);
	put(KEY_LOCK, "lock", 0, "for good");
	assert_int_equal(last_timeout, 0);
	assert_true(holds(KEY_LOCK, "lock", "for good"));
	put(KEY_REF, "r", (uint64_t)1 << 40, "far");
	assert_int_equal(last_timeout, 315360000);
}

static void
kinds_and_ids_are_apart(void **state)
{
	static const enum store_kind kinds[] = {
	    KEY_ROLE, KEY_TOK, KEY_REF, KEY_DEV, KEY_LOCK};
	char text[16];
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "one %zu", i);
		assert_int_equal(put(kinds[i], "one", LIFE, text), AW_OK);
		snprintf(text, sizeof(text), "two %zu", i);
		assert_int_equal(put(kinds[i], "two", LIFE, text), AW_OK);
	}
	for (i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "one %zu", i);
		assert_true(holds(kinds[i], "one", text));
		snprintf(text, sizeof(text), "two %zu", i);
		assert_true(holds(kinds[i], "two", text));
	}
	assert_int_equal(get(KEY_TOK, "on"), AW_GONE);
	assert_int_equal(get(KEY_TOK, "one "), AW_GONE);
	assert_int_equal(get(KEY_TOK, ""), AW_GONE);
}

static void
dropping_takes_the_key_away(void **state)
{
	char text[16];
	int32_t k;

	(void)state;
	put(KEY_TOK, "a", LIFE, "secret");
	k = serial_of(KEY_TOK, "a");
	store_drop(KEY_TOK, view_str("a"));
	store_drop(KEY_TOK, view_str("a"));
	assert_int_equal(get(KEY_TOK, "a"), AW_GONE);
	assert_int_equal(keys_in_ring(), 0);
	assert_true(keyctl_read(k, text, sizeof(text)) < 0);
	assert_true(errno == EKEYREVOKED || errno == ENOKEY || errno == EACCES);
}

static void
drop_all_goes_by_kind_and_prefix(void **state)
{
	(void)state;
	put(KEY_TOK, "login1", LIFE, "t");
	put(KEY_REF, "login1", LIFE, "r");
	put(KEY_ROLE, "login1/a", LIFE, "1");
	put(KEY_ROLE, "login1/b", LIFE, "2");
	put(KEY_ROLE, "login2/a", LIFE, "3");
	put(KEY_ROLE, "log", LIFE, "4");
	assert_int_equal(store_drop_all(1u << KEY_ROLE, view_str("login1")), 2);
	assert_true(holds(KEY_TOK, "login1", "t"));
	assert_true(holds(KEY_ROLE, "login2/a", "3"));
	assert_int_equal(
	    store_drop_all(1u << KEY_TOK | 1u << KEY_REF, view_str("login1")),
	    2);
	assert_int_equal(store_drop_all(~0u, (struct view){0}), 2);
	assert_int_equal(keys_in_ring(), 0);
}

static void
each_tells_of_every_live_entry(void **state)
{
	(void)state;
	put(KEY_ROLE, "a", 100, "x");
	put(KEY_TOK, "b", 200, "yy");
	assert_int_equal(entries(~0u), 2);
	assert_int_equal(entries(1u << KEY_TOK), 1);
	assert_int_equal(found.kind, KEY_TOK);
	assert_true(found.size > 2);
	assert_in_range(found.timeout, loop_time() + 258, loop_time() + 260);
	clock_offset = 150;
	assert_int_equal(entries(~0u), 1);
}

/* ---- keys that end ---- */

static void
what_has_expired_is_gone_whatever_the_kernel_has(void **state)
{
	(void)state;
	put(KEY_ROLE, "a", 10, "x");
	clock_offset = 9;
	assert_true(holds(KEY_ROLE, "a", "x"));
	clock_offset = 10;
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);
	assert_int_equal(keys_in_ring(), 0);
}

static void
what_is_put_too_late_is_not_kept(void **state)
{
	struct record r = record_of("a", LIFE, "new");

	(void)state;
	put(KEY_ROLE, "a", LIFE, "old");
	r.expires = loop_time();
	assert_int_equal(store_put(KEY_ROLE, &r), AW_OK);
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);
	assert_int_equal(keys_in_ring(), 0);
}

static void
a_key_that_the_kernel_timed_out_is_a_miss_and_unlinked(void **state)
{
	struct timespec later = {.tv_sec = 1, .tv_nsec = 200 * 1000 * 1000};

	(void)state;
	put(KEY_ROLE, "a", LIFE, "x");
	put(KEY_ROLE, "b", LIFE, "y");
	__real_keyctl_set_timeout(serial_of(KEY_ROLE, "a"), 1);
	nanosleep(&later, NULL);
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);
	assert_int_equal(keys_in_ring(), 1);
	assert_int_equal(put(KEY_ROLE, "a", LIFE, "again"), AW_OK);
	assert_true(holds(KEY_ROLE, "a", "again"));
	assert_true(holds(KEY_ROLE, "b", "y"));
}

static void
a_revoked_or_unlinked_key_is_a_miss(void **state)
{
	(void)state;
	put(KEY_ROLE, "a", LIFE, "x");
	put(KEY_ROLE, "b", LIFE, "y");
	put(KEY_ROLE, "c", LIFE, "z");
	keyctl_revoke(serial_of(KEY_ROLE, "a"));
	keyctl_unlink(serial_of(KEY_ROLE, "b"), ring);
	keyctl_invalidate(serial_of(KEY_ROLE, "c"));
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);
	assert_int_equal(get(KEY_ROLE, "b"), AW_GONE);
	assert_int_equal(get(KEY_ROLE, "c"), AW_GONE);
	assert_int_equal(put(KEY_ROLE, "a", LIFE, "again"), AW_OK);
	assert_true(holds(KEY_ROLE, "a", "again"));
}

static void
a_key_with_another_serial_is_found_by_its_description(void **state)
{
	struct record r = record_of("a", LIFE, "x");
	char text[128];

	(void)state;
	put(KEY_ROLE, "a", LIFE, "x");
	keyctl_describe(serial_of(KEY_ROLE, "a"), text, sizeof(text));
	keyctl_unlink(serial_of(KEY_ROLE, "a"), ring);
	r.version = 1;
	r.sealed = view_str("second");
	assert_true(plant(strrchr(text, ';') + 1, &r, 0) > 0);
	read_fault = (struct fault){.error = ENOKEY, .times = 1};
	assert_true(holds(KEY_ROLE, "a", "second"));
	read_fault = (struct fault){.error = EACCES, .times = 1};
	assert_int_equal(get(KEY_ROLE, "a"), AW_DENIED);
}

static void
a_payload_of_somebody_else_is_not_believed(void **state)
{
	struct record r = record_of("b", LIFE, "of b");
	char text[128], desc[KEY_DESC];

	(void)state;
	put(KEY_ROLE, "a", LIFE, "x");
	keyctl_describe(serial_of(KEY_ROLE, "a"), text, sizeof(text));
	snprintf(desc, sizeof(desc), "%s", strrchr(text, ';') + 1);
	r.version = 1;
	plant(desc, &r, 0);
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);

	put(KEY_ROLE, "a", LIFE, "x");
	r = record_of("a", LIFE, "cut");
	r.version = 1;
	plant(desc, &r, 1);
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);

	put(KEY_ROLE, "a", LIFE, "x");
	r.version = 2;
	plant(desc, &r, 0);
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);

	put(KEY_ROLE, "a", LIFE, "x");
	r.version = 1;
	r.kind = KEY_TOK;
	plant(desc, &r, 0);
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);
}

/* ---- the next broker ---- */

static void
the_next_broker_finds_everything(void **state)
{
	(void)state;
	put(KEY_TOK, "login", LIFE, "t");
	put(KEY_REF, "login", LIFE, "r");
	put(KEY_ROLE, "login/a", LIFE, "a");
	put(KEY_LOCK, "lock", 0, "l");
	timeout_fault.calls = perm_fault.calls = 0;
	reopen();
	assert_int_equal(timeout_fault.calls, 4);
	assert_int_equal(perm_fault.calls, 4);
	assert_true(holds(KEY_TOK, "login", "t"));
	assert_true(holds(KEY_REF, "login", "r"));
	assert_true(holds(KEY_ROLE, "login/a", "a"));
	assert_true(holds(KEY_LOCK, "lock", "l"));
	assert_int_equal(put(KEY_ROLE, "login/a", LIFE, "b"), AW_OK);
	assert_int_equal(keys_in_ring(), 4);
}

static void
a_key_without_timeout_and_permissions_gets_them(void **state)
{
	struct record r = record_of("a", 100, "x");
	char text[128], desc[KEY_DESC];
	unsigned int perm;
	int32_t k;

	(void)state;
	put(KEY_ROLE, "a", 100, "x");
	keyctl_describe(serial_of(KEY_ROLE, "a"), text, sizeof(text));
	snprintf(desc, sizeof(desc), "%s", strrchr(text, ';') + 1);
	store_drop(KEY_ROLE, view_str("a"));
	r.version = 1;
	k = plant(desc, &r, 0); /* as a broker killed after add_key leaves it */
	reopen();
	assert_int_equal(serial_of(KEY_ROLE, "a"), k);
	assert_in_range(last_timeout, 158, 160);
	keyctl_describe(k, text, sizeof(text));
	assert_int_equal(sscanf(text, "user;%*u;%*u;%x;", &perm), 1);
	assert_int_equal(perm, KEY_PERM);
}

static void
the_next_broker_throws_out_what_is_not_ours(void **state)
{
	struct record r = record_of("a", LIFE, "x");

	(void)state;
	put(KEY_TOK, "login", LIFE, "t");
	r.version = 1;
	__real_add_key(
	    "user", "awsenv:1:tok:0000000000000000", "junk", 4, ring);
	__real_add_key("user", "somebody's", "text", 4, ring);
	__real_add_key("keyring", "another", NULL, 0, ring);
	plant("awsenv:1:role:0000000000000000", &r, 0);
	plant("awsenv:1:tok:a-description-that-is-far-too-long-for-one-of-ours",
	    &r, 0);
	r.expires = 1;
	plant("awsenv:1:role:1111111111111111", &r, 0);
	assert_int_equal(keys_in_ring(), 7);
	reopen();
	assert_int_equal(keys_in_ring(), 1);
	assert_true(holds(KEY_TOK, "login", "t"));
}

static void
keys_that_vanish_during_the_listing_do_not_end_it(void **state)
{
	static const int errors[] = {ENOKEY, EKEYEXPIRED, EKEYREVOKED, EACCES};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		put(KEY_TOK, "a", LIFE, "1");
		put(KEY_TOK, "b", LIFE, "2");
		put(KEY_TOK, "c", LIFE, "3");
		/* The first two are the session's and the ring's listing. */
		read_fault = (struct fault){errors[i], 3, 1, 0};
		reopen();
		assert_int_equal(entries(~0u), 2);
		no_faults();
		put(KEY_TOK, "a", LIFE, "1");
		put(KEY_TOK, "b", LIFE, "2");
		put(KEY_TOK, "c", LIFE, "3");
		/* The first is the ring itself. */
		describe_fault = (struct fault){errors[i], 2, 1, 0};
		reopen();
		assert_int_equal(entries(~0u), 2);
		no_faults();
	}
}

static void
lack_of_kernel_memory_during_the_listing_loses_no_key(void **state)
{
	(void)state;
	put(KEY_TOK, "a", LIFE, "1");
	store_close();
	read_fault = (struct fault){ENOMEM, 2, 1, 0};
	assert_int_equal(open_store(), AW_NOMEM);
	no_faults();
	reopen();
	assert_true(holds(KEY_TOK, "a", "1"));
}

/* ---- a ring that is not ours ---- */

static void
another_session_is_not_taken_over(void **state)
{
	int32_t other;

	(void)state;
	store_close();
	assert_int_equal(store_open(ring, session + 1, -1, -1), AW_DENIED);
	assert_int_equal(store_open(0, session, -1, -1), AW_DENIED);
	assert_int_equal(store_open(-1, -1, -1, -1), AW_DENIED);
	other = __real_add_key("keyring", "x", NULL, 0, session);
	__real_keyctl_setperm(other, KEY_PERM);
	assert_int_equal(store_open(other, session, -1, -1), AW_DENIED);
	assert_int_equal(store_open(session, session, -1, -1), AW_DENIED);
	/* The right name and open to the user: somebody else's work. */
	__real_keyctl_setperm(ring, 0x3f3f0000);
	assert_int_equal(store_open(ring, session, -1, -1), AW_DENIED);
	__real_keyctl_setperm(ring, KEY_PERM);
	/* Ours, but not in the session that we have. */
	other = keyctl_join_session_keyring(NULL);
	assert_int_equal(store_open(ring, session, -1, -1), AW_DENIED);
	assert_int_equal(store_open(ring, other, -1, -1), AW_DENIED);
}

static void
a_replaced_session_is_noticed_and_nothing_is_written_to_it(void **state)
{
	int32_t other;
	char list[64];

	(void)state;
	put(KEY_TOK, "a", LIFE, "secret");
	other = keyctl_join_session_keyring(NULL); /* as a child would do it */
	assert_int_equal(get(KEY_TOK, "a"), AW_DENIED);
	assert_int_equal(put(KEY_TOK, "b", LIFE, "secret"), AW_DENIED);
	assert_int_equal(get(KEY_TOK, "a"), AW_DENIED);
	assert_int_equal(keyctl_read(other, list, sizeof(list)), 0);
}

static void
a_revoked_ring_is_noticed(void **state)
{
	(void)state;
	put(KEY_TOK, "a", LIFE, "x");
	keyctl_revoke(ring);
	assert_int_equal(put(KEY_TOK, "b", LIFE, "y"), AW_DENIED);
	assert_int_equal(get(KEY_TOK, "a"), AW_DENIED);
}

static void
nobody_else_gets_at_a_key(void **state)
{
	int32_t all[3];
	size_t i;

	(void)state;
	put(KEY_TOK, "a", LIFE, "secret");
	all[0] = serial_of(KEY_TOK, "a");
	all[1] = ring;
	all[2] = session;
	for (i = 0; i < 3; i++) {
		assert_int_equal(spy_try(&user_spy, all[i]), 0);
		if (was_root)
			assert_int_equal(spy_try(&root_spy, all[i]), 0);
	}
	assert_true(holds(KEY_TOK, "a", "secret"));
	/* They would, if they could. */
	__real_keyctl_setperm(all[0], 0x3f3f0000);
	__real_keyctl_setperm(ring, 0x3f3f0000);
	assert_true(spy_try(&user_spy, all[0]) & 1);
	assert_false(holds(KEY_TOK, "a", "secret"));
}

/* ---- no room ---- */

static void
a_thousand_roles_stay_under_the_default_quota(void **state)
{
	struct store_usage u;
	const char *sealed;
	char id[32];
	int i;

	(void)state;
	sealed = text_of(1400);
	for (i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "login/%d", i);
		assert_int_equal(put(KEY_ROLE, id, LIFE + i, sealed), AW_OK);
	}
	/* The login comes late and finds room all the same. */
	assert_int_equal(put(KEY_TOK, "login", LIFE, text_of(1200)), AW_OK);
	assert_int_equal(put(KEY_REF, "login", LIFE, text_of(1500)), AW_OK);
	assert_true(serial_of(KEY_TOK, "login") > 0);
	assert_true(serial_of(KEY_REF, "login") > 0);
	store_usage(&u);
	assert_true(u.bytes_used <= u.bytes_max);
	reopen();
	assert_int_equal(entries(1u << KEY_ROLE), 1000);
	for (i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "login/%d", i);
		assert_true(holds(KEY_ROLE, id, text_of(1400)));
	}
	assert_true(holds(KEY_TOK, "login", text_of(1200)));
	if (u.bytes_max == 20000) {
		assert_int_equal(serial_of(KEY_ROLE, "login/500"), 0);
		assert_in_range(vault_pages(), 980, 999);
	}
	store_drop_all(1u << KEY_ROLE, (struct view){0});
	assert_int_equal(vault_pages(), 0);
}

static void
a_role_for_which_there_is_no_room_goes_to_the_vault(void **state)
{
	(void)state;
	put(KEY_TOK, "login", LIFE, "t");
	put(KEY_ROLE, "a", 100, "a");
	add_fault = (struct fault){.error = EDQUOT, .times = 1};
	assert_int_equal(put(KEY_ROLE, "b", 50, "b"), AW_OK);
	assert_int_equal(add_fault.calls, 1);
	assert_true(holds(KEY_ROLE, "a", "a"));
	assert_true(holds(KEY_ROLE, "b", "b"));
	assert_true(serial_of(KEY_ROLE, "a") > 0);
	assert_int_equal(serial_of(KEY_ROLE, "b"), 0);
	clock_offset = 50;
	assert_int_equal(get(KEY_ROLE, "b"), AW_GONE);
	assert_int_equal(vault_pages(), 0);
}

static void
roles_make_room_for_a_login_and_are_kept(void **state)
{
	(void)state;
	put(KEY_ROLE, "b", 200, "b");
	put(KEY_ROLE, "a", 100, "a");
	put(KEY_ROLE, "c", 300, "c");
	add_fault = (struct fault){.error = EDQUOT, .times = 2};
	assert_int_equal(put(KEY_TOK, "login", 50, "t"), AW_OK);
	assert_int_equal(add_fault.calls, 3);
	assert_true(serial_of(KEY_TOK, "login") > 0);
	assert_int_equal(serial_of(KEY_ROLE, "a"), 0);
	assert_int_equal(serial_of(KEY_ROLE, "b"), 0);
	assert_true(serial_of(KEY_ROLE, "c") > 0);
	assert_int_equal(keys_in_ring(), 2);
	reopen();
	assert_true(holds(KEY_ROLE, "a", "a"));
	assert_true(holds(KEY_ROLE, "b", "b"));
	assert_true(holds(KEY_ROLE, "c", "c"));
	assert_true(holds(KEY_TOK, "login", "t"));
}

/* A role that cannot be moved is lost: it can be had again. */
static void
a_role_that_cannot_be_moved_makes_room_all_the_same(void **state)
{
	(void)state;
	put(KEY_ROLE, "a", 100, "a");
	add_fault = (struct fault){.error = EDQUOT, .times = 1};
	pwrite_fault = (struct fault){.error = ENOSPC, .times = 1};
	assert_int_equal(put(KEY_TOK, "login", 50, "t"), AW_OK);
	assert_true(serial_of(KEY_TOK, "login") > 0);
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);
	put(KEY_ROLE, "a", 100, "a");
	add_fault = (struct fault){.error = EDQUOT, .times = 1};
	read_fault = (struct fault){.error = EKEYEXPIRED, .times = 1};
	assert_int_equal(put(KEY_REF, "login", 50, "r"), AW_OK);
	assert_true(serial_of(KEY_REF, "login") > 0);
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);
	assert_int_equal(keys_in_ring(), 2);
}

static void
what_has_expired_makes_room_first(void **state)
{
	(void)state;
	put(KEY_ROLE, "a", 100, "a");
	put(KEY_TOK, "old", 10, "t");
	add_fault = (struct fault){.error = EDQUOT, .times = 1};
	put(KEY_ROLE, "in the vault", 10, "v");
	clock_offset = 20;
	assert_int_equal(put(KEY_ROLE, "b", 100, "b"), AW_OK);
	assert_int_equal(keys_in_ring(), 2);
	assert_int_equal(vault_pages(), 0);
	assert_true(holds(KEY_ROLE, "a", "a"));
}

static void
logins_are_never_evicted(void **state)
{
	(void)state;
	put(KEY_TOK, "a", LIFE, "1");
	put(KEY_REF, "a", LIFE, "2");
	put(KEY_DEV, "a", LIFE, "3");
	put(KEY_LOCK, "a", 0, "4");
	/* All of it is somebody else's: a login survives in the vault, too. */
	add_fault = (struct fault){.error = EDQUOT, .times = -1};
	assert_int_equal(put(KEY_ROLE, "r", LIFE, "r"), AW_OK);
	assert_int_equal(put(KEY_TOK, "b", LIFE, "t"), AW_OK);
	assert_int_equal(put(KEY_TOK, "a", LIFE, "1 new"), AW_OK);
	no_faults();
	/* An old token must not come back with the next broker. */
	assert_int_equal(keys_in_ring(), 3);
	reopen();
	assert_true(holds(KEY_TOK, "a", "1 new"));
	assert_true(holds(KEY_REF, "a", "2"));
	assert_true(holds(KEY_DEV, "a", "3"));
	assert_true(holds(KEY_LOCK, "a", "4"));
	assert_true(holds(KEY_ROLE, "r", "r"));
	assert_true(holds(KEY_TOK, "b", "t"));
}

static void
the_vault_gives_way_to_the_ring_when_there_is_room(void **state)
{
	(void)state;
	add_fault = (struct fault){.error = EDQUOT, .times = 1};
	put(KEY_TOK, "a", LIFE, "in the vault");
	assert_int_equal(serial_of(KEY_TOK, "a"), 0);
	put(KEY_TOK, "a", LIFE, "in the ring");
	assert_true(serial_of(KEY_TOK, "a") > 0);
	assert_int_equal(vault_pages(), 0);
	reopen();
	assert_true(holds(KEY_TOK, "a", "in the ring"));
}

static void
what_is_too_large_for_a_key_goes_to_the_vault(void **state)
{
	(void)state;
	put(KEY_TOK, "a", LIFE, "small");
	add_fault.calls = 0;
	assert_int_equal(put(KEY_TOK, "a", LIFE, text_of(40000)), AW_OK);
	assert_int_equal(add_fault.calls, 0);
	reopen();
	assert_true(holds(KEY_TOK, "a", text_of(40000)));
	assert_int_equal(keys_in_ring(), 0);
	assert_int_equal(vault_pages(), 10);
	clock_offset = LIFE;
	assert_int_equal(get(KEY_TOK, "a"), AW_GONE);
	assert_int_equal(vault_pages(), 0);
}

static void
the_vault_has_a_limit_and_keeps_the_logins(void **state)
{
	struct stat st;
	char id[16];
	int i;

	(void)state;
	add_fault = (struct fault){.error = EDQUOT, .times = -1};
	put(KEY_TOK, "login", LIFE, "t");
	for (i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "%d", i);
		assert_int_equal(
		    put(KEY_ROLE, id, LIFE + i, text_of(100000)), AW_OK);
	}
	assert_in_range(entries(1u << KEY_ROLE), 150, 170);
	assert_int_equal(get(KEY_ROLE, "0"), AW_GONE);
	assert_true(holds(KEY_ROLE, "199", text_of(100000)));
	assert_true(holds(KEY_TOK, "login", "t"));
	assert_int_equal(fstat(vault, &st), 0);
	assert_in_range(st.st_size, 1, 16 << 20);
}

/* Of two records with the same beginning nothing looks alike. */
static void
nothing_in_the_vault_can_be_read_without_its_key(void **state)
{
	AUTOFREE char *all = malloc(1 << 20);
	ssize_t n;

	(void)state;
	add_fault = (struct fault){.error = EDQUOT, .times = -1};
	put(KEY_ROLE, "login/a", LIFE, "a secret of AWS");
	n = __real_pread(vault, all, 1 << 20, 0);
	assert_in_range(n, 100, 4096);
	assert_null(memmem(all, (size_t)n, "a secret of AWS", 15));
	assert_null(memmem(all, (size_t)n, "login/a", 7));
	store_drop(KEY_ROLE, view_str("login/a"));
	put(KEY_ROLE, "login/a", LIFE, "a secret of AWS");
	assert_int_equal(__real_pread(vault, all + (1 << 19), (size_t)n, 0), n);
	assert_memory_not_equal(all + 4, all + (1 << 19) + 4, (size_t)n - 4);
	/* The key is the ring's, and ends with it. */
	keyctl_revoke(keyctl_search(ring, "user", VAULT_NAME, 0));
	assert_int_equal(get(KEY_ROLE, "login/a"), AW_GONE);
	store_close();
	assert_int_not_equal(open_store(), AW_OK);
}

/* As a broker leaves it that is killed while it writes, and worse. */
static void
a_record_that_is_not_whole_is_lost_alone(void **state)
{
	static const off_t places[] = {0, 4, 27, 28, 100, 4095, 4096, 9000};
	off_t cell;
	uint8_t byte;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		add_fault = (struct fault){.error = EDQUOT, .times = -1};
		put(KEY_ROLE, "a", LIFE, text_of(100));
		put(KEY_ROLE, "b", LIFE, text_of(10000));
		put(KEY_ROLE, "c", LIFE, "c");
		cell = 4096 + places[i];
		assert_int_equal(__real_pread(vault, &byte, 1, cell), 1);
		byte ^= 0xff;
		__real_pwrite(vault, &byte, 1, cell);
		reopen();
		assert_true(holds(KEY_ROLE, "a", text_of(100)));
		assert_int_equal(get(KEY_ROLE, "b"), AW_GONE);
		assert_true(holds(KEY_ROLE, "c", "c"));
		/* Its place is to be had again, and leaves nothing behind. */
		put(KEY_ROLE, "b", LIFE, text_of(10000));
		reopen();
		assert_int_equal(entries(~0u), 3);
		no_faults();
		store_drop_all(~0u, (struct view){0});
		assert_int_equal(vault_pages(), 0);
	}
}

/* A record that is moved within the vault was somebody's who can write it. */
static void
a_record_opens_in_its_place_only(void **state)
{
	char cell[4096];

	(void)state;
	add_fault = (struct fault){.error = EDQUOT, .times = -1};
	put(KEY_ROLE, "a", LIFE, "a");
	put(KEY_ROLE, "b", LIFE, "b");
	assert_true(__real_pread(vault, cell, sizeof(cell), 0) > 0);
	__real_pwrite(vault, cell, sizeof(cell), 4096);
	assert_int_equal(get(KEY_ROLE, "b"), AW_GONE);
	assert_true(holds(KEY_ROLE, "a", "a"));
}

static void
a_dropped_record_stays_away_though_no_hole_can_be_made(void **state)
{
	(void)state;
	add_fault = (struct fault){.error = EDQUOT, .times = -1};
	put(KEY_ROLE, "a", LIFE, "a");
	punch_fault = (struct fault){.error = EOPNOTSUPP, .times = -1};
	store_drop(KEY_ROLE, view_str("a"));
	reopen();
	assert_int_equal(get(KEY_ROLE, "a"), AW_GONE);
	assert_int_equal(entries(~0u), 0);
}

static void
a_vault_that_cannot_be_read_just_now_loses_nothing(void **state)
{
	(void)state;
	add_fault = (struct fault){.error = EDQUOT, .times = -1};
	put(KEY_ROLE, "a", LIFE, "a");
	read_fault = (struct fault){.error = ENOMEM, .times = 1};
	assert_int_equal(get(KEY_ROLE, "a"), AW_NOMEM);
	assert_true(holds(KEY_ROLE, "a", "a"));
	store_close();
	/* The listing of the ring, the vault's key once, and again. */
	read_fault = (struct fault){.error = ENOMEM, .skip = 3, .times = 1};
	assert_int_equal(open_store(), AW_NOMEM);
	no_faults();
	reopen();
	assert_true(holds(KEY_ROLE, "a", "a"));
	pread_fault = (struct fault){.error = EIO, .times = 1};
	assert_int_equal(get(KEY_ROLE, "a"), AW_SYSTEM);
	assert_true(holds(KEY_ROLE, "a", "a"));
}

static void
neither_ring_nor_vault_is_said_and_costs_nothing(void **state)
{
	(void)state;
	put(KEY_TOK, "a", LIFE, "old");
	add_fault = (struct fault){.error = EDQUOT, .times = -1};
	pwrite_fault = (struct fault){.error = ENOSPC, .times = -1};
	assert_int_equal(put(KEY_TOK, "a", LIFE, "new"), AW_NOMEM);
	assert_int_equal(put(KEY_TOK, "b", LIFE, "new"), AW_NOMEM);
	assert_true(holds(KEY_TOK, "a", "old"));
	assert_int_equal(get(KEY_TOK, "b"), AW_GONE);
	assert_int_equal(keys_in_ring(), 1);
	assert_int_equal(vault_pages(), 0);
	reopen();
	assert_true(holds(KEY_TOK, "a", "old"));
}

/* ---- each errno ---- */

static void
a_write_that_fails_does_what_the_errno_asks_for(void **state)
{
	static const struct {
		int error;
		int times;
		enum aw_err result;
		bool in_ring;
		int calls;
	} cases[] = {
	    {EDQUOT, -1, AW_OK, false, 1},
	    {EDQUOT, 1, AW_OK, false, 1},
	    {ENOMEM, 1, AW_OK, true, 2},
	    {ENOMEM, -1, AW_OK, false, 2},
	    {EINTR, 3, AW_OK, true, 4},
	    {EAGAIN, 3, AW_OK, true, 4},
	    {EINVAL, -1, AW_OK, false, 1},
	    {ENODEV, -1, AW_OK, false, 1},
	    {EACCES, 1, AW_DENIED, false, 1},
	    {EPERM, 1, AW_DENIED, false, 1},
	    {EKEYREVOKED, 1, AW_DENIED, false, 1},
	    {ENOKEY, 1, AW_DENIED, false, 1},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		add_fault =
		    (struct fault){cases[i].error, 0, cases[i].times, 0};
		assert_int_equal(put(KEY_TOK, "a", LIFE, "x"), cases[i].result);
		assert_int_equal(add_fault.calls, cases[i].calls);
		no_faults();
		if (cases[i].result == AW_DENIED) {
			assert_int_equal(get(KEY_TOK, "a"), AW_DENIED);
			assert_int_equal(
			    put(KEY_TOK, "a", LIFE, "x"), AW_DENIED);
			reopen();
		} else {
			assert_true(holds(KEY_TOK, "a", "x"));
			assert_int_equal(
			    serial_of(KEY_TOK, "a") > 0, cases[i].in_ring);
		}
		store_drop_all(~0u, (struct view){0});
	}
}

/* A key without its timeout could outlive what it holds. */
static void
a_key_that_cannot_be_armed_does_not_stay(void **state)
{
	(void)state;
	timeout_fault = (struct fault){.error = EACCES, .times = 1};
	assert_int_equal(put(KEY_TOK, "a", LIFE, "x"), AW_OK);
	assert_int_equal(keys_in_ring(), 0);
	assert_true(holds(KEY_TOK, "a", "x"));
	assert_int_equal(serial_of(KEY_TOK, "a"), 0);
	perm_fault = (struct fault){.error = EACCES, .times = 1};
	assert_int_equal(put(KEY_TOK, "b", LIFE, "y"), AW_OK);
	assert_int_equal(keys_in_ring(), 0);
	assert_true(holds(KEY_TOK, "b", "y"));
}

static void
a_read_that_fails_does_what_the_errno_asks_for(void **state)
{
	static const struct {
		int error;
		int search; /* errno of the second look, 0: it finds the key */
		enum aw_err result;
	} cases[] = {
	    {ENOKEY, ENOKEY, AW_GONE},
	    {EKEYEXPIRED, EKEYEXPIRED, AW_GONE},
	    {EKEYREVOKED, ENOKEY, AW_GONE},
	    {EACCES, EACCES, AW_DENIED},
	    {EACCES, ENOKEY, AW_GONE},
	    {EACCES, 0, AW_DENIED},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(KEY_TOK, "a", LIFE, "x");
		read_fault = (struct fault){cases[i].error, 0, 1, 0};
		search_fault = (struct fault){cases[i].search, 0, 1, 0};
		assert_int_equal(get(KEY_TOK, "a"), cases[i].result);
		assert_int_equal(search_fault.calls, 1);
		no_faults();
		if (cases[i].result == AW_DENIED)
			reopen();
		store_drop_all(~0u, (struct view){0});
	}
}

static void
a_read_that_may_work_later_loses_nothing(void **state)
{
	static const int errors[] = {ENOMEM, EINVAL, EINTR};
	size_t i;

	(void)state;
	put(KEY_TOK, "a", LIFE, "x");
	for (i = 0; i < 3; i++) {
		read_fault = (struct fault){errors[i], 0, 1, 0};
		assert_int_not_equal(get(KEY_TOK, "a"), AW_GONE);
		assert_true(holds(KEY_TOK, "a", "x"));
	}
}

/* ---- quota ---- */

static void
usage_is_that_of_this_user(void **state)
{
	struct store_usage before, after;

	(void)state;
	store_usage(&before);
	assert_true(before.keys_max >= 200 && before.bytes_max >= 20000);
	put(KEY_TOK, "a", LIFE, text_of(1000));
	store_usage(&after);
	assert_true(after.bytes_used > before.bytes_used + 1000);
	assert_true(after.keys_used > before.keys_used);
}

static void
usage_is_found_among_many_users(void **state)
{
	int fd = memfd_create("key-users", MFD_CLOEXEC);
	struct store_usage u;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2000; i++)
		dprintf(fd, "%5u: %5u %u/%u %u/200 %u/20000\n", i * 3, i, i, i,
		    i, i * 7);
	assert_true(quota_read(fd, 5997, &u));
	assert_int_equal(u.keys_used, 1999);
	assert_int_equal(u.keys_max, 200);
	assert_int_equal(u.bytes_used, 13993);
	assert_int_equal(u.bytes_max, 20000);
	assert_true(quota_read(fd, 0, &u));
	assert_int_equal(u.bytes_used, 0);
	assert_false(quota_read(fd, 5996, &u));
	assert_int_equal(u.keys_max, 0);
	assert_false(quota_read(-1, 0, &u));
	close(fd);
}

static void
become_ordinary(void)
{
	was_root = geteuid() == 0;
	if (!was_root)
		return;
	spy_start(&root_spy);
	if (setgroups(0, NULL) != 0 || setresgid(UID, UID, UID) != 0 ||
	    setresuid(UID, UID, UID) != 0)
		abort();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_put_comes_back_whole),
	    TEST(a_key_is_for_its_possessor_and_says_nothing),
	    TEST(a_second_put_takes_the_place_of_the_first),
	    TEST(each_write_arms_the_timeout_anew),
	    TEST(kinds_and_ids_are_apart),
	    TEST(dropping_takes_the_key_away),
	    TEST(drop_all_goes_by_kind_and_prefix),
	    TEST(each_tells_of_every_live_entry),
	    TEST(what_has_expired_is_gone_whatever_the_kernel_has),
	    TEST(what_is_put_too_late_is_not_kept),
	    TEST(a_key_that_the_kernel_timed_out_is_a_miss_and_unlinked),
	    TEST(a_revoked_or_unlinked_key_is_a_miss),
	    TEST(a_key_with_another_serial_is_found_by_its_description),
	    TEST(a_payload_of_somebody_else_is_not_believed),
	    TEST(the_next_broker_finds_everything),
	    TEST(a_key_without_timeout_and_permissions_gets_them),
	    TEST(the_next_broker_throws_out_what_is_not_ours),
	    TEST(keys_that_vanish_during_the_listing_do_not_end_it),
	    TEST(lack_of_kernel_memory_during_the_listing_loses_no_key),
	    TEST(another_session_is_not_taken_over),
	    TEST(a_replaced_session_is_noticed_and_nothing_is_written_to_it),
	    TEST(a_revoked_ring_is_noticed),
	    TEST(nobody_else_gets_at_a_key),
	    TEST(a_thousand_roles_stay_under_the_default_quota),
	    TEST(a_role_for_which_there_is_no_room_goes_to_the_vault),
	    TEST(roles_make_room_for_a_login_and_are_kept),
	    TEST(a_role_that_cannot_be_moved_makes_room_all_the_same),
	    TEST(what_has_expired_makes_room_first),
	    TEST(logins_are_never_evicted),
	    TEST(the_vault_gives_way_to_the_ring_when_there_is_room),
	    TEST(what_is_too_large_for_a_key_goes_to_the_vault),
	    TEST(the_vault_has_a_limit_and_keeps_the_logins),
	    TEST(nothing_in_the_vault_can_be_read_without_its_key),
	    TEST(a_record_that_is_not_whole_is_lost_alone),
	    TEST(a_record_opens_in_its_place_only),
	    TEST(a_dropped_record_stays_away_though_no_hole_can_be_made),
	    TEST(a_vault_that_cannot_be_read_just_now_loses_nothing),
	    TEST(neither_ring_nor_vault_is_said_and_costs_nothing),
	    TEST(a_write_that_fails_does_what_the_errno_asks_for),
	    TEST(a_key_that_cannot_be_armed_does_not_stay),
	    TEST(a_read_that_fails_does_what_the_errno_asks_for),
	    TEST(a_read_that_may_work_later_loses_nothing),
	    TEST(usage_is_that_of_this_user),
	    TEST(usage_is_found_among_many_users),
	};
	int failed;

	become_ordinary();
	spy_start(&user_spy);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	close(user_spy.ask);
	waitpid(user_spy.pid, NULL, 0);
	if (was_root) {
		close(root_spy.ask);
		waitpid(root_spy.pid, NULL, 0);
	}
	return failed;
}
