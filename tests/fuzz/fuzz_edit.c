/* SPDX-License-Identifier: ISC */
/*
 * Changes to somebody's config file: a block of ours, put there twice and taken
 * away, and lines put out of use and back. Whatever stood there stands there
 * after it, byte for byte; where memory is short nothing is there at all.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/cli/ctl/edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(bool good)
{
	if (!good)
		abort();
}

static unsigned int scarce; /* the allocation that fails, and all after it */

void *__real_reallocarray(void *, size_t, size_t);
void *__wrap_reallocarray(void *, size_t, size_t);

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	if (scarce == 1)
		return NULL;
	if (scarce)
		scarce--;
	return __real_reallocarray(p, n, size);
}

static bool
same(const struct text *a, const struct text *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->p, b->p, a->n));
}

static bool
has(const struct text *t, const char *mark)
{
	return t->n && memmem(t->p, t->n, mark, strlen(mark));
}

/* How many of its lines begin a block of that name. */
static unsigned int
beginnings(const struct text *t)
{
	static const char mark[] = "# >>> awsenv configure corp >>>\n";
	const char *p = t->p, *end = t->p + t->n;
	unsigned int n = 0;

	for (; (p = memmem(p, (size_t)(end - p), mark, strlen(mark))); p++)
		n += p == t->p || p[-1] == '\n';
	return n;
}

static void
check_block(const struct text *t)
{
	static char lines[] = "[profile a]\nregion = b\n";
	const struct text body = {lines, sizeof(lines) - 1, false};
	struct text once = {0}, twice = {0}, back = {0}, seen = {0};
	unsigned int line;
	enum aw_err r = block_put(t, "corp", &body, &once, &line);

	if (r != AW_OK) {
		must(r == AW_CONFIG && has(t, "awsenv configure corp"));
		return;
	}
	must(beginnings(t) <= 1);
	must(block_find(&once, "corp", &seen, &line) == AW_OK);
	must(same(&seen, &body));
	must(block_put(&once, "corp", &body, &twice, &line) == AW_OK);
	must(same(&once, &twice));
	if (!has(t, "awsenv configure corp")) {
		must(once.n > t->n && (!t->n || !memcmp(once.p, t->p, t->n)));
		must(edit_undo(&once, "corp", &back, &line) == AW_OK);
		must(same(&back, t));
	}
	text_free(&once);
	text_free(&twice);
	text_free(&back);
}

static const char *
wanted(void *arg, struct view profile)
{
	(void)arg;
	return profile.n % 3 ? "credential_process = x\nregion = y\n" : NULL;
}

static bool
replaced(void *arg, const struct line *l)
{
	(void)arg;
	return l->key.n % 2;
}

static void
check_swap(const struct text *t)
{
	struct text out = {0}, back = {0};
	const struct swap s = {&out, wanted, replaced, NULL};
	size_t n;

	if (has(t, "#awsenv-"))
		return;
	must(swap_lines(t, &s, &n) == AW_OK);
	must(swap_undo(&out, &back) == AW_OK);
	must(same(&back, t));
	text_free(&out);
	text_free(&back);
}

/* What fails must not be taken for a file that is empty, nor for half of it.
 * True: something did. */
static bool
check_scarce(const struct text *t, unsigned int which)
{
	static char lines[] = "[profile a]\nregion = b\n";
	const struct text body = {lines, sizeof(lines) - 1, false};
	struct text put = {0}, swapped = {0};
	const struct swap s = {&swapped, wanted, replaced, NULL};
	enum aw_err first, second;
	unsigned int line;
	size_t n;

	scarce = which;
	first = block_put(t, "corp", &body, &put, &line);
	must(first == AW_OK || !put.p);
	scarce = which;
	second = swap_lines(t, &s, &n);
	must(second == AW_OK || (second == AW_NOMEM && !swapped.p));
	scarce = 0;
	text_free(&put);
	text_free(&swapped);
	return first == AW_NOMEM || second == AW_NOMEM;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text t = {.p = malloc(size + 1), .n = size}, out = {0};
	unsigned int line, which = 1;

	if (!t.p)
		return 0;
	if (size)
		memcpy(t.p, data, size);
	t.p[size] = '\0';
	check_block(&t);
	check_swap(&t);
	while (check_scarce(&t, which))
		which++;
	if (edit_undo(&t, NULL, &out, &line) == AW_OK)
		text_free(&out);
	text_free(&t);
	return 0;
}
