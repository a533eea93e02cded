/* SPDX-License-Identifier: ISC */
#include "awsenv/filter.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define NAME_MAX_ 40
#define BINARY_TREE 2

/* Of other processes, of the kernel's inside: not for a program of ours. */
static const struct filter_line never[] = {
    CALLS("ptrace process_vm_readv process_vm_writev process_madvise kcmp"),
    CALLS("pidfd_getfd request_key unshare setns"),
    CALLS_IF("clone", 0, FILTER_HAS, CLONE_NEWUSER),
    CALLS("mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick"),
    CALLS("move_mount open_tree mount_setattr open_by_handle_at"),
    CALLS("name_to_handle_at fanotify_init quotactl quotactl_fd acct"),
    CALLS("bpf perf_event_open userfaultfd"),
    CALLS("io_uring_setup io_uring_enter io_uring_register"),
    CALLS("init_module finit_module delete_module kexec_load"),
    CALLS("kexec_file_load reboot swapon swapoff syslog personality"),
    CALLS("shmget shmat msgget semget mq_open"),
    /* a program that is written as it runs */
    CALLS_IF("mmap mmap2", 2, FILTER_HAS, PROT_WRITE | PROT_EXEC),
    CALLS_IF("mprotect pkey_mprotect", 2, FILTER_HAS, PROT_EXEC),
    FILTER_END,
};

/* Besides, of what code that is not ours might do in a program of ours. */
static const struct filter_line foreign[] = {
    CALLS("keyctl add_key execve execveat memfd_create memfd_secret"),
    CALLS("pidfd_send_signal kill tkill rt_sigqueueinfo rt_tgsigqueueinfo"),
    CALLS_IF("prctl", 0, FILTER_EQUAL, PR_SET_DUMPABLE),
    FILTER_END,
};

/* Its flags are out of a filter's sight; a libc then takes clone. */
static const struct filter_line absent[] = {
    CALLS("clone3"),
    FILTER_END,
};

static int
add(scmp_filter_ctx filter, uint32_t action, int call,
    const struct filter_line *l)
{
	/* The kernel looks at 32 bits of an int, so the others are no matter. */
	const uint64_t low = UINT32_MAX;
	struct scmp_arg_cmp only = {l->arg, SCMP_CMP_MASKED_EQ, low, l->value};

	if (l->when == FILTER_ALWAYS)
		return seccomp_rule_add(filter, action, call, 0);
	if (l->when == FILTER_OVER)
		only = (struct scmp_arg_cmp){l->arg, SCMP_CMP_GT, l->value, 0};
	else if (l->when != FILTER_EQUAL)
		only.datum_a = l->value;
	if (l->when == FILTER_LACKS)
		only.datum_b = 0;
	return seccomp_rule_add_array(filter, action, call, 1, &only);
}

/* One of a line's calls, cut off from it. */
static bool
next(const char **calls, char name[static NAME_MAX_])
{
	size_t n;

	*calls += strspn(*calls, " ");
	n = strcspn(*calls, " ");
	if (n == 0 || n >= NAME_MAX_)
		return false;
	memcpy(name, *calls, n);
	name[n] = '\0';
	*calls += n;
	return true;
}

static bool
add_all(scmp_filter_ctx filter, uint32_t action, const struct filter_line *l)
{
	char name[NAME_MAX_];
	const char *calls;
	int call, error;

	for (; l && l->calls; l++) {
		for (calls = l->calls; next(&calls, name);) {
			call = seccomp_syscall_resolve_name(name);
			if (call == __NR_SCMP_ERROR)
				continue; /* younger than the library */
			error = add(filter, action, call, l);
			if (error != 0 && error != -EDOM)
				return false;
		}
	}
	return true;
}

bool
filter_built(void)
{
#ifdef AWSENV_SANITIZED
	return false;
#else
	return true;
#endif
}

static scmp_filter_ctx
begin(uint32_t rest)
{
	return filter_built() ? seccomp_init(rest) : NULL;
}

/* For all threads; and the kernel is to find a call in a few steps. */
static bool
enter(scmp_filter_ctx filter, bool done)
{
	done = done && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0;
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE);
	seccomp_attr_set(
	    filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	done = done && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return done;
}

bool
filter_allow(const struct filter_line *lines, const struct filter_line *fail)
{
	scmp_filter_ctx f = begin(SCMP_ACT_KILL_PROCESS);

	return f &&
	    enter(f,
		add_all(f, SCMP_ACT_ALLOW, lines) &&
		    add_all(f, SCMP_ACT_ERRNO(EACCES), fail));
}

bool
filter_deny(const struct filter_line *lines)
{
	scmp_filter_ctx f = begin(SCMP_ACT_ALLOW);

	return f &&
	    enter(f,
		add_all(f, SCMP_ACT_ERRNO(EPERM), lines) &&
		    add_all(f, SCMP_ACT_ERRNO(EPERM), never) &&
		    add_all(f, SCMP_ACT_ERRNO(EPERM), foreign) &&
		    add_all(f, SCMP_ACT_ERRNO(ENOSYS), absent));
}

bool
filter_never(const struct filter_line *lines)
{
	scmp_filter_ctx f = begin(SCMP_ACT_ALLOW);

	return f &&
	    enter(f,
		add_all(f, SCMP_ACT_ERRNO(EPERM), lines) &&
		    add_all(f, SCMP_ACT_ERRNO(EPERM), never));
}
