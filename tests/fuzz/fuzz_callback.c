/* SPDX-License-Identifier: ISC */
/*
 * A request of whoever knocks at the callback's port. Whatever it is, it is
 * answered or believed; believed only with the state, and a code that is fit to
 * be sent on.
 */
#include "agent/fetch/callback.c"

#define STATE "the-state-that-only-aws-was-told"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTOBUF struct buf code = {0};
	struct callback c = {
	    .fd = -1, .host = "127.0.0.1:4242", .secret = view_str(STATE)};
	struct visitor *v = &c.visitors[0];
	struct talk t = {0};
	enum callback_event e;
	int fd[2];

	if (n > HEAD_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0)
		return 0;
	v->fd = fd[0];
	buf_put(&v->head, p, n);
	e = judge(&c, &t, v, &code);
	if (e != CALLBACK_TIME && !memmem(p, n, STATE, strlen(STATE)) &&
	    !memchr(p, '%', n))
		abort();
	if (e == CALLBACK_CODE && !text_is_word(view_of(&code), CODE_MAX))
		abort();
	if ((e == CALLBACK_CODE) != (v->fd >= 0))
		abort();
	if (v->fd >= 0)
		leave(v);
	close(fd[1]);
	return 0;
}
