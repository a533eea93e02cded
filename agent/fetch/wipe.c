/* SPDX-License-Identifier: ISC */
/*
 * curl, cJSON and OpenSSL copy what they are given: tokens into header lists,
 * answers into trees. They are told to allocate here, where free() wipes.
 */
#include "fetch.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "awsenv/log.h"

#define HEAP (2u * 1024 * 1024)
#define STACK (128u * 1024)

static void
wipe_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

/* Never realloc(3), which may leave the old copy behind. */
static void *
wipe_realloc(void *p, size_t n)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	void *grown = malloc(n ? n : 1);

	if (grown && p) {
		memcpy(grown, p, old < n ? old : n);
		wipe_free(p);
	}
	return grown;
}

static void *
crypto_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n ? malloc(n) : NULL;
}

static void *
crypto_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	if (n == 0) {
		wipe_free(p);
		return NULL;
	}
	return wipe_realloc(p, n);
}

static void
crypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	wipe_free(p);
}

/*
 * Secrets are in the heap and on the stack: those stay out of swap, where the
 * limit is no lower than a heap of ours. All that is mapped, with libraries and
 * the stacks of threads, is more than an ordinary user may lock. One arena, so
 * that threads share it.
 */
bool
wipe_lock(void)
{
	char below[STACK];    /* where later calls have theirs */
	char *volatile grown; /* else a compiler leaves both out */
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct rlimit limit;
	char *top;

	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, HEAP);
	mallopt(M_TOP_PAD, HEAP);
	mallopt(M_TRIM_THRESHOLD, 4 * HEAP);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    limit.rlim_cur == RLIM_INFINITY &&
	    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
		return true;
	if (!(grown = malloc(HEAP / 2))) /* and by what it will need */
		return false;
	free(grown);
	/* Down to where it begins: below there is nothing to lock. */
	for (top = sbrk(0); mlock2(top - page, page, MLOCK_ONFAULT) == 0;)
		top -= page;
	mlock2(below, sizeof(below), MLOCK_ONFAULT);
	return true;
}

void
wipe_install(void)
{
	cJSON_Hooks hooks = {malloc, wipe_free};

	if (!CRYPTO_set_mem_functions(
		crypto_malloc, crypto_realloc, crypto_free))
		fatalx("OpenSSL was used before its memory was ours");
	cJSON_InitHooks(&hooks);
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_free,
		wipe_realloc, strdup, calloc) != 0)
		fatalx("curl cannot be initialised");
}
