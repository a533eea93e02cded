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

#include "awsenv/log.h"

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
