/* SPDX-License-Identifier: ISC */
#include "confined.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOTHING = 0, LET = 1, NO_SANDBOX = 77 };

/* Made before the sandbox, as a broker's descriptors are. */
static int sockets[2];

enum confined
confined_try(const struct attempt *a, bool (*enter)(void))
{
	int status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	assert_true((pid = fork()) >= 0);
	if (pid == 0) {
		if (!enter())
			_exit(NO_SANDBOX);
		_exit(a->succeeds() ? LET : NOTHING);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(sockets[0]);
	close(sockets[1]);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return CONFINED_KILLED;
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_SANDBOX)
		return CONFINED_NOT;
	return WEXITSTATUS(status) == NOTHING ? CONFINED_REFUSED : CONFINED_LET;
}

void
confined_expect(const struct attempt *a, unsigned int n, bool (*enter)(void),
    enum confined end)
{
	enum confined got;
	unsigned int i;

	for (i = 0; i < n; i++) {
		got = confined_try(&a[i], enter);
		if (got == CONFINED_NOT) {
			print_message("there is no such sandbox here\n");
			skip();
		}
		if (got != end)
			fail_msg(
			    "%s: %d, not %d", a[i].what, (int)got, (int)end);
	}
}

bool
attempt_open(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0;
}

bool
attempt_create(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/awsenv-confined.%d", (int)getpid());
	if (open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) < 0)
		return false;
	unlink(path);
	return true;
}

bool
attempt_exec(void)
{
	char name[] = "false", *argv[] = {name, NULL};

	/* That one ends with 1, LET. */
	execv("/bin/false", argv);
	return false;
}

bool
attempt_fork(void)
{
	return fork() >= 0;
}

bool
attempt_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

bool
attempt_inet(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

bool
attempt_connect(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/x"};

	/* Of a pair it would fail anyway, but otherwise. */
	return connect(sockets[0], (struct sockaddr *)&a, sizeof(a)) == 0;
}

bool
attempt_bind(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	return bind(sockets[0], (struct sockaddr *)&a, sizeof(a.sun_family)) ==
	    0;
}

bool
attempt_packet(void)
{
	return socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 ||
	    errno != EPERM;
}

bool
attempt_signal(void)
{
	return kill(getppid(), 0) == 0;
}

bool
attempt_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

bool
attempt_peek(void)
{
	char from = 'x', to = 0;
	struct iovec local = {&to, 1}, remote = {&from, 1};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

bool
attempt_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

bool
attempt_join(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0;
}

bool
attempt_give_session(void)
{
	return syscall(SYS_keyctl, KEYCTL_SESSION_TO_PARENT) >= 0;
}

bool
attempt_link_key(void)
{
	return syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_SESSION_KEYRING,
		   KEY_SPEC_PROCESS_KEYRING) >= 0;
}

bool
attempt_new_key(void)
{
	return syscall(SYS_add_key, "user", "awsenv:attempt", "x", 1,
		   KEY_SPEC_PROCESS_KEYRING) >= 0;
}

bool
attempt_request_key(void)
{
	return syscall(SYS_request_key, "user", "awsenv:attempt", NULL,
		   KEY_SPEC_PROCESS_KEYRING) >= 0;
}

bool
attempt_uring(void)
{
	char params[256] = {0};

	return syscall(SYS_io_uring_setup, 1, params) >= 0;
}

bool
attempt_bpf(void)
{
	char attributes[128] = {0};

	return syscall(SYS_bpf, 0, attributes, sizeof(attributes)) >= 0;
}

bool
attempt_mount(void)
{
	/* There is nothing to mount, but that is not what is to be said. */
	return mount("none", "/awsenv-attempt", "tmpfs", 0, NULL) == 0 ||
	    errno != EPERM;
}

bool
attempt_namespace(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

bool
attempt_perf(void)
{
	char attributes[128] = {0};

	return syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0) >= 0;
}

bool
attempt_userfault(void)
{
	return syscall(SYS_userfaultfd, O_CLOEXEC | 1) >= 0;
}

bool
attempt_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}
