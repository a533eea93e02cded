/* SPDX-License-Identifier: ISC */
/*
 * The session keyring that only we and the broker possess, and in it the ring
 * for the keys. Both are addressed by serial ever after: "the session keyring"
 * is whatever somebody made it. Beside it the vault, which we hold and never
 * look into.
 */
#include "supervisor.h"

#include <errno.h>
#include <keyutils.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define PERM 0x3f000000u /* all for the possessor, nothing for others */
#define TRIES 200	 /* a dead predecessor is charged for a while */
#define PAUSE_MS 10

static void *
park(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/*
 * The kernel lets a child replace the session keyring of a parent that has one
 * thread. So there are two before the ring is joined: credentials belong to a
 * thread, and the parked one keeps the session that we came with.
 */
void
ring_guard(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	unsigned int tries = 0;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	while ((errno = pthread_create(&thread, &attr, park, NULL)) != 0) {
		if (!memory_wait(&tries))
			fatal("cannot start a thread");
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static _Noreturn void
refuse(const char *what)
{
	switch (errno) {
	case EDQUOT:
		fatalx(
		    "%s: the kernel keyring of this user is full, by all its "
		    "programs together (see /proc/key-users, keyctl show); "
		    "remove keys, or let the administrator raise "
		    "kernel.keys.maxbytes and kernel.keys.maxkeys by sysctl",
		    what);
	case EPERM:
	case ENOSYS:
		fatalx(
		    "%s: %s: a container's system call filter, or a kernel "
		    "without CONFIG_KEYS, forbids the kernel keyring; allow "
		    "add_key, keyctl and request_key in the container's "
		    "seccomp profile, or run the agent on the host and share "
		    "its socket",
		    what, strerror(errno));
	default:
		fatal("%s", what);
	}
}

/* May the call be tried again? Releasing quota takes the kernel a moment. */
static bool
again(int *tries)
{
	if (errno == EINTR || errno == EAGAIN)
		return true;
	if (errno != EDQUOT || ++*tries >= TRIES)
		return false;
	poll(NULL, 0, PAUSE_MS);
	errno = EDQUOT;
	return true;
}

static key_serial_t
join(void)
{
	key_serial_t k;
	int tries = 0;

	do {
		k = keyctl_join_session_keyring(NULL);
	} while (k < 0 && again(&tries));
	return k;
}

static key_serial_t
add(const char *type, const char *name, const void *p, size_t n,
    key_serial_t ring)
{
	key_serial_t k;
	int tries = 0;

	do {
		k = add_key(type, name, p, n, ring);
	} while (k < 0 && again(&tries));
	return k;
}

/* Filters may allow one of the calls and not the other. */
static void
probe(key_serial_t ring)
{
	key_serial_t k = add("user", "awsenv:probe", "probe", 5, ring);
	char text[8];

	if (k < 0)
		refuse("cannot add a key");
	if (keyctl_setperm(k, PERM) != 0 ||
	    keyctl_read(k, text, sizeof(text)) != 5)
		refuse("cannot read a key");
	if (keyctl_revoke(k) != 0 || keyctl_unlink(k, ring) != 0)
		refuse("cannot remove a key");
}

static void
make_vault(struct ring *r)
{
	uint8_t bytes[32];
	key_serial_t k;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		fatal("getrandom");
	k = add("user", "awsenv:vault", bytes, sizeof(bytes), r->serial);
	explicit_bzero(bytes, sizeof(bytes));
	if (k < 0 || keyctl_setperm(k, PERM) != 0)
		refuse("cannot add a key");
	if ((r->vault = memfd_create("awsenv-vault", MFD_CLOEXEC)) < 0)
		fatal("memfd_create");
}

void
ring_make(struct ring *r)
{
	if ((r->session = join()) < 0)
		refuse("cannot make a session keyring");
	if (keyctl_setperm(r->session, PERM) != 0)
		refuse("cannot close the session keyring");
	r->serial = add("keyring", "awsenv:v1", NULL, 0, r->session);
	if (r->serial < 0)
		refuse("cannot make a keyring");
	if (keyctl_setperm(r->serial, PERM) != 0)
		refuse("cannot close the keyring");
	probe(r->serial);
	make_vault(r);
	ring_reserve(r);
}

/*
 * A full quota is an ordinary state, and a spawner that is started then needs
 * a session of its own to leave ours for: room for it is kept here.
 */
void
ring_reserve(const struct ring *r)
{
	key_serial_t k = add_key("user", "awsenv:reserve",
	    "0123456789012345678901234567890", 32, r->session);

	if (k > 0)
		keyctl_setperm(k, PERM);
}

void
ring_release(const struct ring *r)
{
	long k = keyctl_search(r->session, "user", "awsenv:reserve", 0);

	if (k < 0)
		return;
	/* Only revoking gives the bytes back at once. */
	keyctl_revoke((key_serial_t)k);
	keyctl_unlink((key_serial_t)k, r->session);
}

/* A want of memory says nothing about it, and each broker looks, too. */
bool
ring_verify(const struct ring *r)
{
	key_serial_t own;
	char text[64];

	if (r->session <= 0 || r->serial <= 0)
		return false;
	own = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);
	if (own < 0 && errno == ENOMEM)
		own = r->session;
	return own == r->session &&
	    (keyctl_describe(r->serial, text, sizeof(text)) > 0 ||
		errno == ENOMEM);
}

bool
ring_leave(const struct ring *r)
{
	char byte[4];

	if (join() < 0)
		return false;
	if (!r->session)
		return true;
	return keyctl_read(r->serial, byte, sizeof(byte)) < 0 &&
	    errno == EACCES &&
	    keyctl_read(r->session, byte, sizeof(byte)) < 0 && errno == EACCES;
}

void
ring_end(const struct ring *r)
{
	AUTOFREE void *list = NULL;
	const key_serial_t *serials;
	int i, n;

	n = keyctl_read_alloc(r->serial, &list);
	serials = list;
	for (i = 0; i < n / (int)sizeof(*serials); i++) {
		keyctl_revoke(serials[i]);
		keyctl_unlink(serials[i], r->serial);
	}
	keyctl_clear(r->serial);
	keyctl_revoke(r->serial);
	keyctl_unlink(r->serial, r->session);
	ring_release(r);
	keyctl_revoke(r->session);
}
