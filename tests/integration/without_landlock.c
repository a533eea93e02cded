/* SPDX-License-Identifier: ISC */
/* without_landlock COMMAND...: on a kernel that has none, as far as it can see. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int call;

	if (argc < 2 || !f)
		return 125;
	/* landlock_create_ruleset, _add_rule, _restrict_self: everywhere */
	for (call = 444; call <= 446; call++)
		seccomp_rule_add(f, SCMP_ACT_ERRNO(EOPNOTSUPP), call, 0);
	if (geteuid() == 0)
		seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);
	if (seccomp_load(f) != 0)
		return 125;
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
