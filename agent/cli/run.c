/* SPDX-License-Identifier: ISC */
/*
 * Running the command. It takes this process over, by exec: its exit status,
 * signals and terminal are its own by construction.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/cli.h"

extern char **environ;

static struct sigaction sigpipe;

void
sigpipe_ignore(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, &sigpipe);
}

void
sigpipe_restore(void)
{
	sigaction(SIGPIPE, &sigpipe, NULL);
}

/* A script without "#!" is the shell's, as execvp(3) and every shell has it. */
static void
exec_file(char *path, char *const *argv, char *const *env)
{
	static char shell[] = "/bin/sh";
	size_t n = 0;

	execve(path, argv, env);
	if (errno != ENOEXEC)
		return;
	while (argv[n])
		n++;
	char **args = calloc(n + 2, sizeof(*args));

	if (!args)
		return;
	args[0] = shell;
	args[1] = path;
	if (n > 1)
		memcpy(args + 2, argv + 1, (n - 1) * sizeof(*args));
	execve(shell, args, env);
	free(args);
}

/* One place of PATH; true: go on looking. */
static bool
exec_in(const char *dir, size_t n, char *const *argv, char *const *env)
{
	char path[PATH_MAX];

	if (!format(path, sizeof(path), "%.*s%s%s", (int)n, dir, n ? "/" : "",
		argv[0])) {
		errno = ENAMETOOLONG;
		return true;
	}
	exec_file(path, argv, env);
	/* A folder that may not be searched says nothing of the command. */
	if (errno == EACCES)
		errno = access(path, F_OK) == 0 ? EACCES : ENOENT;
	return errno == ENOENT || errno == ENOTDIR || errno == EACCES ||
	    errno == ENAMETOOLONG || errno == ELOOP || errno == EIO ||
	    errno == ESTALE;
}

int
exec_search(char *const *argv, char *const *env)
{
	const char *path = getenv("PATH"), *end;
	bool found = false;

	if (strchr(argv[0], '/')) {
		exec_file(argv[0], argv, env);
		return errno == ENOENT || errno == ENOTDIR ? EXIT_NOTFOUND
							   : EXIT_CANNOT;
	}
	if (!path)
		path = "/usr/local/bin:/usr/bin:/bin";
	for (;; path = end + 1) {
		end = strchrnul(path, ':');
		if (!*argv[0])
			errno = ENOENT;
		else if (!exec_in(path, (size_t)(end - path), argv, env))
			return EXIT_CANNOT;
		found |= errno == EACCES;
		if (!*end)
			break;
	}
	errno = found ? EACCES : ENOENT;
	return found ? EXIT_CANNOT : EXIT_NOTFOUND;
}

/*
 * A limit of 1 byte also stops a core_pattern that pipes to a program, which
 * one of 0 does not; the command may raise it again.
 */
static void
core_limit(void)
{
	struct rlimit lim;

	if (prlimit(0, RLIMIT_CORE, NULL, &lim) != 0)
		return;
	lim.rlim_cur = lim.rlim_max < 1 ? lim.rlim_max : 1;
	prlimit(0, RLIMIT_CORE, &lim, NULL);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* An SDK that is told a profile reads that one's credentials, not ours. */
static void
profile_warn(char *const *argv)
{
	const char *name = base_name(argv[0]);

	for (argv++; *argv && strcmp(*argv, "--") != 0; argv++) {
		if (!strcmp(*argv, "--profile") ||
		    !strncmp(*argv, "--profile=", 10)) {
			warn("--profile among the arguments of %s may beat "
			     "these credentials;\n"
			     "        it belongs before the command: awsenv "
			     "--profile NAME ...",
			    shown_str(name));
			return;
		}
	}
}

/* Programs that take credentials from an endpoint whenever theirs run short:
 * those of awsenv(1), of which make check-clients has shown it, or of the
 * libraries by which they find credentials. */
static const char served[] = "aws\0"
			     "cdk\0"
			     "pulumi\0"
			     "sam\0"
			     "terraform\0"
			     "terragrunt\0"
			     "tofu\0";

/* By an endpoint, or frozen? The profile's wish is among its settings. */
static bool
is_served(const struct options *o, const struct given *g, const char *command)
{
	const char *name = base_name(command), *s;
	struct view wish;

	if (o->given & (OPT_ENV | OPT_SERVE))
		return (o->given & OPT_SERVE) != 0;
	if (view_find(g->rep.settings, "AWSENV_SERVE", &wish))
		return view_is(wish, "true");
	for (s = served; *s; s += strlen(s) + 1) {
		if (!strcmp(s, name))
			return true;
	}
	return false;
}

/* What the command's environment is to have; an exit status. */
static int
fill(const struct options *o, const struct given *g, bool is_endpoint,
    struct buf *set, struct buf *settings)
{
	if (!lasts(o, g, is_endpoint))
		return EXIT_LOGIN;
	if (is_endpoint && serve_begin(o, g, set) != AW_OK) {
		if (o->given & OPT_SERVE)
			return EXIT_OURS;
		warn("the command is given frozen keys");
		buf_reset(set);
		is_endpoint = false;
	}
	environ_set(g, !is_endpoint, set);
	buf_put(settings, g->rep.settings.p, g->rep.settings.n);
	/* A machine's own role is nobody's substitute for this one. */
	if (is_endpoint)
		text_add(settings, "AWS_EC2_METADATA_DISABLED=true%c", 0);
	return EXIT_GOOD;
}

static int
give(const struct options *o, const char *command, struct buf *set,
    struct buf *settings)
{
	unsigned int half = o->given & OPT_SERVE ? 0 : CREDS_HALF;
	struct given g;
	int status;

	if (creds_get(o, half | CREDS_LOGIN, &g) != AW_OK)
		return EXIT_OURS;
	status = fill(o, &g, is_served(o, &g, command), set, settings);
	creds_free(&g);
	return status;
}

int
run(const struct options *o, char **argv)
{
	AUTOFREE char **env = NULL;
	AUTOBUF struct buf set = {0}, settings = {0};
	int status;

	profile_warn(argv);
	if ((status = give(o, argv[0], &set, &settings)) != EXIT_GOOD)
		return status;
	if (!set.bad && !settings.bad)
		env = environ_make(environ, view_of(&set), view_of(&settings));
	if (!env) {
		warn("%s", aw_strerror(AW_NOMEM));
		return EXIT_OURS;
	}
	if (!(o->given & OPT_CORE))
		core_limit();
	sigpipe_restore();
	status = exec_search(argv, env);
	if (status == EXIT_NOTFOUND)
		warn("%s: command not found", shown_str(argv[0]));
	else
		warn("cannot run %s: %s", shown_str(argv[0]), errno_text());
	return status;
}

/* [PROFILE] [OPTION...] [--] [COMMAND [ARG...]] */
int
exec_verb(const struct options *given, char **argv)
{
	struct options o = *given;
	char *shell = getenv("SHELL");
	static char sh[] = "/bin/sh";
	bool dashes = false;

	if (*argv && strcmp(*argv, "--") != 0) {
		if (o.given & (OPT_PROFILE | OPT_ACCOUNT)) {
			warn(
			    "exec %s: the profile is given twice, or \"--\" is "
			    "missing before the command",
			    shown_str(*argv));
			return EXIT_USAGE;
		}
		o.profile = *argv++;
		o.given |= OPT_PROFILE;
	}
	if (!options_take(&o, &argv, &dashes) ||
	    !options_fit(&o, OPT_RUN, "exec"))
		return EXIT_USAGE;
	if (*argv)
		return run(&o, argv);
	return run(&o, (char *[]){shell && *shell ? shell : sh, NULL});
}
