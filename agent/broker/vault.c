/* SPDX-License-Identifier: ISC */
/*
 * What the ring has no room for: sealed, in a memfd that the supervisor keeps
 * for the next broker. The key is in the ring and read for each use, so it ends
 * with the ring, and without it this is noise, whoever reads it and wherever
 * the kernel swaps it to.
 *
 * The memfd is a row of cells. A record begins with one and takes as many as it
 * needs: u32 length of the payload, nonce, sealed payload; the seal covers
 * length and place, too. It is written at once. What a broker that was killed
 * meanwhile leaves does not open, and the next one throws it out. A cell that
 * is given back becomes a hole. Knows nothing of what is in a payload.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/log.h"
#include "awsenv/own.h"

#define CELL 4096
#define CELLS 4096 /* 16 MiB at most, and never more than is in use */
#define LENGTH 4
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD (LENGTH + NONCE)

static struct {
	int fd;
	int32_t key;
	uint8_t taken[CELLS];
} vault = {.fd = -1};

static uint32_t
cells_for(uint32_t size)
{
	return (uint32_t)((HEAD + size + TAG + CELL - 1) / CELL);
}

static bool
cells_find(uint32_t n, uint32_t *first)
{
	uint32_t i, run = 0;

	for (i = 0; i < CELLS; i++) {
		run = vault.taken[i] ? 0 : run + 1;
		if (run == n) {
			*first = i + 1 - n;
			return true;
		}
	}
	return false;
}

static void
cells_punch(uint32_t first, uint32_t n)
{
	static const uint8_t none[LENGTH];

	if (fallocate(vault.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)first * CELL, (off_t)n * CELL) == 0)
		return;
	/* Sealed it may stay, found it must not be. */
	if (pwrite(vault.fd, none, sizeof(none), (off_t)first * CELL) !=
	    sizeof(none))
		fatal("cannot forget what is sealed");
}

/* What the seal covers besides the payload. */
static void
bind_place(struct buf *b, uint32_t cell, uint32_t size)
{
	buf_u32(b, cell);
	buf_u32(b, size);
}

/* Whatever else keeps us from it passes: nobody's cells are dropped for it. */
static enum aw_err
key_get(struct buf *key)
{
	enum aw_err r = key_read(vault.key, key);

	if (r == AW_OK)
		return key->len == VAULT_KEY ? AW_OK : AW_GONE;
	return r == AW_GONE || r == AW_DENIED ? r : AW_NOMEM;
}

/* AW_GONE: there is not so much. AW_SYSTEM: this page is broken. */
static enum aw_err
cells_read(uint32_t first, void *p, size_t n)
{
	ssize_t got = pread(vault.fd, p, n, (off_t)first * CELL);

	if (got < 0)
		return errno == ENOMEM || errno == EINTR ? AW_NOMEM : AW_SYSTEM;
	return got == (ssize_t)n ? AW_OK : AW_GONE;
}

enum aw_err
vault_put(struct view payload, uint32_t *cell)
{
	AUTOBUF struct buf key = {0}, place = {0}, out = {0};
	uint32_t first, n = cells_for(payload.n);
	uint8_t nonce[NONCE];
	enum aw_err r;

	if (vault.fd < 0 || !cells_find(n, &first))
		return AW_BUSY;
	if ((r = key_get(&key)) != AW_OK)
		return r;
	bind_place(&place, first, payload.n);
	randombytes_buf(nonce, sizeof(nonce));
	buf_u32(&out, payload.n);
	buf_put(&out, nonce, sizeof(nonce));
	if (place.bad || !buf_reserve(&out, payload.n + TAG))
		return AW_NOMEM;
	crypto_aead_xchacha20poly1305_ietf_encrypt(out.data + HEAD, NULL,
	    payload.p, payload.n, place.data, place.len, NULL, nonce, key.data);
	out.len += payload.n + TAG;
	if (pwrite(vault.fd, out.data, out.len, (off_t)first * CELL) !=
	    (ssize_t)out.len) {
		cells_punch(first, n);
		return AW_NOMEM;
	}
	memset(vault.taken + first, true, n);
	*cell = first;
	return AW_OK;
}

enum aw_err
vault_get(uint32_t cell, uint32_t size, struct buf *out)
{
	AUTOBUF struct buf key = {0}, place = {0}, in = {0};
	size_t n = HEAD + size + TAG;
	enum aw_err r;

	buf_reset(out);
	if (!buf_reserve(&in, n) || !buf_reserve(out, size))
		return AW_NOMEM;
	if ((r = key_get(&key)) != AW_OK)
		return r;
	bind_place(&place, cell, size);
	if (place.bad)
		return AW_NOMEM;
	if ((r = cells_read(cell, in.data, n)) != AW_OK)
		return r;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out->data, NULL, NULL,
		in.data + HEAD, size + TAG, place.data, place.len,
		in.data + LENGTH, key.data) != 0)
		return AW_GONE;
	out->len = size;
	return AW_OK;
}

void
vault_drop(uint32_t cell, uint32_t size)
{
	uint32_t n = cells_for(size);

	cells_punch(cell, n);
	memset(vault.taken + cell, false, n);
}

enum aw_err
vault_next(uint32_t *cell, uint32_t *size, struct buf *out)
{
	uint8_t length[LENGTH];
	struct view v;
	uint32_t n = 1;
	enum aw_err r;

	for (; *cell < CELLS; ++*cell) {
		if (vault.taken[*cell])
			continue;
		if ((r = cells_read(*cell, length, LENGTH)) == AW_GONE)
			break;
		v = (struct view){length, LENGTH};
		if (r == AW_OK && (!view_u32(&v, size) || *size == 0))
			continue;
		if (r == AW_OK) {
			n = *size < BUF_MAX ? cells_for(*size) : CELLS;
			r = *cell + n > CELLS ? AW_GONE
					      : vault_get(*cell, *size, out);
		}
		if (r == AW_OK) {
			memset(vault.taken + *cell, true, n);
			return AW_OK;
		}
		if (r != AW_GONE && r != AW_SYSTEM)
			return r;
		cells_punch(*cell, 1);
	}
	return AW_GONE;
}

enum aw_err
vault_open(int fd, int32_t ring)
{
	AUTOBUF struct buf key = {0};
	enum aw_err r;

	vault.fd = fd;
	memset(vault.taken, false, sizeof(vault.taken));
	if (sodium_init() < 0)
		return AW_SYSTEM;
	if ((r = key_find(ring, VAULT_NAME, &vault.key)) == AW_OK)
		r = key_get(&key);
	return r;
}

int32_t
vault_key(void)
{
	return vault.key;
}

void
vault_close(void)
{
	if (vault.fd >= 0)
		close(vault.fd);
	vault.fd = -1;
	vault.key = 0;
}
