/* SPDX-License-Identifier: ISC */
/*
 * A line's number says whether it is whole: it is 0 while the line is written,
 * and a reader that finds another one after copying has read a torn line. There
 * is one writer. Numbers only grow, also over brokers.
 */
#include "awsenv/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/own.h"

#define LAYOUT 1 /* another number for another struct */

struct audit {
	uint32_t layout;
	uint32_t size; /* of a line */
	uint64_t next;
	uint64_t written;
	struct audit_line lines[AUDIT_LINES];
};

int
audit_make(void)
{
	const struct audit head = {
	    .layout = LAYOUT,
	    .size = sizeof(struct audit_line),
	    .next = 1,
	    .written = 1,
	};
	size_t n = offsetof(struct audit, lines);
	AUTOCLOSE int fd =
	    memfd_create("awsenv-audit", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* Nobody who shares it can cut it short under the others. */
	if (fd < 0 || ftruncate(fd, sizeof(struct audit)) != 0 ||
	    pwrite(fd, &head, n, 0) != (ssize_t)n ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
		0)
		return -1;
	return STEAL_FD(fd);
}

bool
audit_is(int fd)
{
	uint32_t head[2];
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size == sizeof(struct audit) &&
	    pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	    head[0] == LAYOUT && head[1] == sizeof(struct audit_line);
}

struct audit *
audit_map(int fd)
{
	void *p;

	if (!audit_is(fd))
		return NULL;
	p = mmap(NULL, sizeof(struct audit), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

void
audit_text(char *out, size_t size, struct view v)
{
	size_t i;

	for (i = 0; i + 1 < size && i < v.n; i++)
		out[i] = v.p[i] < ' ' || v.p[i] > '~' ? '?' : (char)v.p[i];
	out[i] = '\0';
}

uint64_t
audit_next(const struct audit *a)
{
	return __atomic_load_n(&a->next, __ATOMIC_ACQUIRE);
}

uint64_t
audit_first(const struct audit *a)
{
	uint64_t next = audit_next(a);

	return next > AUDIT_LINES ? next - AUDIT_LINES : 1;
}

void
audit_add(struct audit *a, const struct audit_line *line)
{
	uint64_t number = audit_next(a);
	struct audit_line *l = &a->lines[number % AUDIT_LINES];
	const size_t n = sizeof(l->number);

	__atomic_store_n(&l->number, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy((char *)l + n, (const char *)line + n, sizeof(*l) - n);
	__atomic_store_n(&l->number, number, __ATOMIC_RELEASE);
	__atomic_store_n(&a->next, number + 1, __ATOMIC_RELEASE);
}

static void
end(char *text, size_t size)
{
	audit_text(text, size,
	    (struct view){(uint8_t *)text, (uint32_t)strnlen(text, size)});
}

bool
audit_get(const struct audit *a, uint64_t number, struct audit_line *out)
{
	const struct audit_line *l = &a->lines[number % AUDIT_LINES];

	if (number == 0 ||
	    __atomic_load_n(&l->number, __ATOMIC_ACQUIRE) != number)
		return false;
	memcpy(out, l, sizeof(*out));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&l->number, __ATOMIC_RELAXED) != number)
		return false;
	out->number = number;
	end(out->request, sizeof(out->request));
	end(out->origin, sizeof(out->origin));
	end(out->profile, sizeof(out->profile));
	end(out->account, sizeof(out->account));
	end(out->role, sizeof(out->role));
	end(out->key, sizeof(out->key));
	end(out->host, sizeof(out->host));
	end(out->hops, sizeof(out->hops));
	end(out->program, sizeof(out->program));
	return true;
}

/* A line that is written anew meanwhile gets its own program soon after. */
void
audit_program(struct audit *a, uint64_t number, const char *program)
{
	struct audit_line *l = &a->lines[number % AUDIT_LINES];

	if (__atomic_load_n(&l->number, __ATOMIC_ACQUIRE) == number)
		AUDIT_TEXT(l->program, view_str(program));
}

uint64_t
audit_written(const struct audit *a)
{
	return __atomic_load_n(&a->written, __ATOMIC_ACQUIRE);
}

void
audit_set_written(struct audit *a, uint64_t next)
{
	__atomic_store_n(&a->written, next, __ATOMIC_RELEASE);
}
