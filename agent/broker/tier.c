/* SPDX-License-Identifier: ISC */
/*
 * Where a secret waits if the keyring has no room for it: pages of its own,
 * locked, not dumped, wiped. They die with the broker. A memory lock that is
 * refused (RLIMIT_MEMLOCK) is said once and done without.
 */
#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "awsenv/log.h"

void *
tier_new(struct view payload)
{
	static bool told;
	void *p;

	p = mmap(NULL, payload.n, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, payload.n, MADV_DONTDUMP);
	if (mlock(p, payload.n) != 0 && !told) {
		told = true;
		log_warn(
		    "memory cannot be locked (%s): what the keyring has no "
		    "room for may be swapped; raise RLIMIT_MEMLOCK",
		    strerror(errno));
	}
	memcpy(p, payload.p, payload.n);
	return p;
}

void
tier_free(void *p, uint32_t size)
{
	if (!p)
		return;
	explicit_bzero(p, size);
	munmap(p, size);
}
