/* SPDX-License-Identifier: ISC */
/* The agent, its socket, its programs, the kernel's keys and the clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"

#include "agent/cli/ctl/doctor.h"

#define CONNECT_MS 3000
#define STATUS_MS 12000 /* it may have to read the config first */
#define RELAY_MS 32000	/* or has to find an ssh-agent */
#define SKEW_MOST 60	/* seconds; AWS refuses signatures that are 300 off */
#define FULL_PERCENT 80

/* ---- the socket */

/* One of ours that is open to others is no place for a socket. */
static bool
is_open_folder(const char *folder)
{
	struct stat st;

	return lstat(folder, &st) == 0 && S_ISDIR(st.st_mode) &&
	    st.st_uid == geteuid() && (st.st_mode & 07777) != 0700;
}

static void
tell_folder(struct doctor *d)
{
	unsigned int uid = (unsigned int)geteuid();
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char folder[PATH_MAX], runtime[32];
	struct finding *f;

	format(runtime, sizeof(runtime), "/run/user/%u", uid);
	if (!xdg || *xdg != '/')
		xdg = runtime;
	if (path_join(folder, xdg, "awsenv") && is_open_folder(folder)) {
		f = find_new(d, GRADE_PROBLEM);
		text_add(&f->text,
		    "%s is not private (mode 0700), so no agent is looked for "
		    "there",
		    folder);
		text_add(&f->cure, "chmod 0700 ");
		add_word(&f->cure, folder);
		return;
	}
	if (is_open_folder(xdg)) {
		f = find_new(d, GRADE_PROBLEM);
		text_add(&f->text, "%s is not private (mode 0700)", xdg);
		text_add(&f->cure, "chmod 0700 ");
		add_word(&f->cure, xdg);
		return;
	}
	if (access(xdg, W_OK) == 0) {
		find_line(
		    d, GRADE_NOTE, "none runs; the first command starts one");
		return;
	}
	f = find_new(d, GRADE_PROBLEM);
	text_add(&f->text,
	    "there is no directory for its socket: neither XDG_RUNTIME_DIR nor "
	    "/run/awsenv/%u",
	    uid);
	text_add(&f->cure,
	    "%sinstall -d -m 0755 /run/awsenv && "
	    "%sinstall -d -m 0700 -o %u -g %u /run/awsenv/%u",
	    d->sudo, d->sudo, uid, (unsigned int)getegid(), uid);
}

static void
tell_unreached(struct doctor *d, const struct agent *a, enum aw_err r)
{
	const char *named = a->found == FOUND_OPTION ? "--socket "
	    : a->found == FOUND_VARIABLE	     ? "AWSENV_SOCK="
						     : "";
	struct finding *f;
	char usual[CLIENT_PATH];

	/* The PAM module names the usual place before anybody listens there. */
	if (r == AW_NOAGENT &&
	    (a->found == FOUND_USUAL ||
		(a->found == FOUND_VARIABLE &&
		    client_dir(usual, false) == AW_OK &&
		    !strncmp(a->path, usual, strlen(usual)) &&
		    !strcmp(a->path + strlen(usual), "/agent.sock")))) {
		find_line(
		    d, GRADE_NOTE, "none runs; the first command starts one");
		return;
	}
	f = find_new(d, GRADE_PROBLEM);
	if (r == AW_NOAGENT)
		text_add(&f->text, "no agent answers on %s%s: %s", named,
		    a->path, agent_nobody(a->path));
	else if (r == AW_DENIED)
		text_add(
		    &f->text, "%s belongs to another user's program", a->path);
	else
		text_add(&f->text, "%s cannot be reached: %s", a->path,
		    error_text(r));
	if (a->found == FOUND_VARIABLE)
		text_add(&f->cure, "unset AWSENV_SOCK");
}

static bool
ask(struct doctor *d, int fd)
{
	struct status_req req = {0};
	enum aw_err r;

	if (question_begin(&d->question, d->options) != AW_OK)
		return false;
	question_ready(&d->question);
	d->questioned = true;
	req.ask = d->question.ask;
	r = client_ask(fd, "status@awsenv", MSG_STATUS_REQ, &req,
	    MSG_STATUS_REP, &d->status, &d->frame, io_deadline(STATUS_MS));
	if (r == AW_OK && d->status.error == AW_OK)
		return true;
	find_line(d, GRADE_PROBLEM, "it does not answer as it should: %s",
	    r == AW_OK	       ? shown(d->status.text)
		: r == AW_GONE ? "it hangs up"
			       : aw_strerror(r));
	return false;
}

/* Why not the agent that ssh brings along, where it is not. */
static void
tell_passed(struct doctor *d, const struct agent *a)
{
	if (a->passed)
		find_line(d, GRADE_NOTE,
		    "the agent that ssh forwards %s; see awsenv-forwarding(7)",
		    a->passed);
}

/* Whether that profile is to be had here is all that can be said of it. */
static void
tell_profile(struct doctor *d)
{
	if ((d->options->given & (OPT_PROFILE | OPT_ACCOUNT)) &&
	    d->status.profile_error != AW_OK)
		find_line(
		    d, GRADE_PROBLEM, "%s", shown(d->status.profile_text));
}

/* One on another host tells nothing else, and is upgraded there. */
static void
tell_remote(struct doctor *d, const struct agent *a)
{
	struct finding *f = find_new(d, GRADE_OK);

	text_add(&f->text,
	    "version %s, on another host, by %s, %s; %u profiles to be used "
	    "from here",
	    shown(d->status.version), a->path, agent_since(a),
	    d->status.profiles);
	if (view_is(d->status.version, AWSENV_VERSION))
		return;
	f->grade = GRADE_NOTE;
	text_add(&f->text,
	    "; this is %s: where they do not understand each "
	    "other, upgrade the older",
	    AWSENV_VERSION);
}

static void
tell_local(struct doctor *d, const struct agent *a)
{
	struct finding *f = find_new(d, GRADE_OK);

	text_add(&f->text, "version %s, pid %u, on %s, %s",
	    shown(d->status.version), d->status.agent_pid, a->path,
	    agent_since(a));
	if (view_is(d->status.version, AWSENV_VERSION))
		return;
	f->grade = GRADE_NOTE;
	text_add(&f->text, "; this is %s", AWSENV_VERSION);
	text_add(&f->cure, "kill -HUP %u", d->status.agent_pid);
}

void
check_agent(struct doctor *d)
{
	struct agent a;
	struct finding *f;
	enum aw_err r = agent_find(&a, false);

	tell_passed(d, &a);
	if (r == AW_NOAGENT && !*a.path) {
		tell_folder(d);
	} else if (r == AW_CONFIG) {
		f = find_new(d, GRADE_PROBLEM);
		text_add(&f->text,
		    "AWSENV_SOCK must be an absolute path of less than %d "
		    "bytes",
		    CLIENT_PATH);
		text_add(&f->cure, "unset AWSENV_SOCK");
	} else if (r != AW_OK) {
		tell_unreached(d, &a, r);
	} else if (ask(d, a.fd)) {
		d->asked = d->status.agent_pid != 0;
		d->far = !d->asked;
		(d->asked ? tell_local : tell_remote)(d, &a);
		if (d->far)
			tell_profile(d);
	}
	agent_close(&a);
	if (d->status.screen) {
		f = find_new(d, GRADE_NOTE);
		text_add(&f->text,
		    "the desktop said that the screen is locked, so nothing "
		    "new is handed out");
		text_add(&f->cure, "awsenv unlock");
	}
}

/* ---- its programs */

/* Where the program would be found, as program_exec() looks. */
bool
program_find(const char *name, char path[static PATH_MAX])
{
	static const char *const folders[] = {AWSENV_LIBEXECDIR, AWSENV_BINDIR};
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	bool found = false;
	char *slash;
	size_t i;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		found = slash &&
		    format(slash + 1, PATH_MAX - (size_t)(slash + 1 - path),
			"%s", name) &&
		    access(path, F_OK) == 0;
	}
	for (i = 0; i < 2 && !found; i++)
		found = path_join(path, folders[i], name) &&
		    access(path, F_OK) == 0;
	return found;
}

static bool
is_guarded(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_uid == 0 && !(st.st_mode & 066);
}

void
check_protection(struct doctor *d)
{
	static const char names[][15] = {
	    "awsenv-agent", "awsenv-broker", "awsenv-fetch"};
	AUTOBUF struct buf open = {0};
	char path[PATH_MAX];
	struct finding *f;
	size_t i;

	if (!d->asked)
		return;
	if (d->status.protected_) {
		find_line(d, GRADE_OK,
		    "no other program of yours can look into the agent");
		return;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!program_find(names[i], path) || is_guarded(path))
			continue;
		text_add(&open, " ");
		add_word(&open, path);
	}
	buf_u8(&open, '\0');
	if (open.bad)
		out_of_memory();
	f = find_new(d, GRADE_PROBLEM);
	text_add(&f->text,
	    "same-user protection is off: other programs of yours can read the "
	    "agent's memory, since you can read or write its programs");
	if (open.len > 1)
		text_add(&f->cure,
		    "%schown root:root%s && %schmod 0711%s && awsenv agent stop",
		    d->sudo, (const char *)open.data, d->sudo,
		    (const char *)open.data);
	else
		text_add(
		    &f->cure, "%smake install && awsenv agent stop", d->sudo);
}

/* ---- what confines them */

/* "no_new_privs, landlock 7, seccomp", as the broker has it. */
void
check_sandbox(struct doctor *d)
{
	static const char landlock[] = "landlock ";
	AUTOBUF struct buf text = {0};
	struct finding *f;
	const char *words, *at;
	int version = 0;

	if (!d->asked)
		return;
	buf_put(&text, d->status.sandbox.p, d->status.sandbox.n);
	buf_u8(&text, '\0');
	if (text.bad)
		out_of_memory();
	words = (const char *)text.data;
	f = find_new(d, GRADE_OK);
	text_add(&f->text, "%s", shown(d->status.sandbox));
	if (!strstr(words, ", seccomp")) {
		f->grade = GRADE_NOTE;
		text_add(&f->text,
		    "; without seccomp the agent's processes may make any "
		    "system call");
	}
	if ((at = strstr(words, landlock)))
		version = (int)strtol(at + sizeof(landlock) - 1, NULL, 10);
	if (version >= 6)
		return;
	f->grade = GRADE_NOTE;
	if (version == 0)
		text_add(&f->text,
		    "; without Landlock (Linux 5.13 and later, unless lsm= "
		    "leaves it out) the program that talks to AWS can read "
		    "what you can");
	else
		text_add(&f->text,
		    "; this Landlock does not know signals and abstract "
		    "sockets%s: Linux 6.12 and later do",
		    version < 4 ? ", nor TCP" : "");
}

/* ---- the kernel's keys */

static bool
read_number(const char *path, unsigned int *n)
{
	AUTOBUF struct buf b = {0};

	return file_read(path, 4096, &b) &&
	    sscanf((const char *)b.data, "%u", n) == 1;
}

static bool
read_use(unsigned int *keys, unsigned int *bytes)
{
	unsigned int uid, all, some, other;
	AUTOBUF struct buf b = {0};
	char *line, *rest;

	if (!file_read("/proc/key-users", 1 << 20, &b))
		return false;
	*keys = *bytes = 0;
	rest = (char *)b.data;
	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, " %u: %u %u/%u %u/%u %u/%u", &uid, &all, &some,
			&other, keys, &all, bytes, &all) == 8 &&
		    uid == geteuid())
			return true;
	}
	*keys = *bytes = 0;
	return true;
}

void
check_keyring(struct doctor *d)
{
	const char *root = geteuid() ? "" : "root_";
	unsigned int keys, bytes, most_keys, most_bytes;
	char path[64];
	struct finding *f;

	format(path, sizeof(path), "/proc/sys/kernel/keys/%smaxkeys", root);
	if (!read_use(&keys, &bytes) || !read_number(path, &most_keys) ||
	    !format(
		path, sizeof(path), "/proc/sys/kernel/keys/%smaxbytes", root) ||
	    !read_number(path, &most_bytes)) {
		find_line(d, GRADE_NOTE,
		    "the kernel does not say how full it "
		    "is");
		return;
	}
	f = find_new(d, GRADE_OK);
	text_add(&f->text, "%u of %u keys, %u of %u bytes", keys, most_keys,
	    bytes, most_bytes);
	if ((uint64_t)keys * 100 < (uint64_t)most_keys * FULL_PERCENT &&
	    (uint64_t)bytes * 100 < (uint64_t)most_bytes * FULL_PERCENT)
		return;
	f->grade = GRADE_PROBLEM;
	text_add(&f->text,
	    ": almost full, by all programs together; awsenv leaves half of it "
	    "to others. To keep it raised, put this into /etc/sysctl.d");
	text_add(&f->cure,
	    "%ssysctl -w kernel.keys.%smaxkeys=%u "
	    "kernel.keys.%smaxbytes=%u",
	    d->sudo, root, most_keys < 200 ? 2000 : most_keys * 10, root,
	    most_bytes < 20000 ? 200000 : most_bytes * 10);
}

/* ---- the user's own ssh-agent */

static const char *
how_found(uint8_t how)
{
	return how == UPSTREAM_NAMED ? "awsenv_ssh_agent names it"
	    : how == UPSTREAM_GIVEN
	    ? "SSH_AUTH_SOCK was that when the agent was started"
	    : "it answers there";
}

void
check_ssh_agent(struct doctor *d)
{
	AUTOBUF struct buf frame = {0};
	AUTOCLOSE int fd = -1;
	char path[CLIENT_PATH];
	struct relay_rep rep;
	struct finding *f;
	enum aw_err r;

	if (!d->asked || agent_path(path) != AW_OK ||
	    client_connect(path, &fd, io_deadline(CONNECT_MS)) != AW_OK)
		return;
	r = client_ask(fd, "relay@awsenv", MSG_EMPTY, NULL, MSG_RELAY_REP, &rep,
	    &frame, io_deadline(RELAY_MS));
	if (r != AW_OK || rep.error != AW_OK)
		return; /* one of another version */
	f = find_new(d, GRADE_OK);
	if (rep.why.n && rep.how == UPSTREAM_NAMED) {
		f->grade = GRADE_PROBLEM;
		text_add(&f->text, "awsenv_ssh_agent names %s, but %s",
		    shown(rep.path), shown(rep.why));
	} else if (rep.why.n) {
		f->grade = GRADE_NOTE;
		text_add(&f->text,
		    "none to forward keys of: %s; awsenv_ssh_agent in [awsenv] "
		    "of ~/.aws/config names one",
		    shown(rep.why));
	} else {
		text_add(&f->text, "forward.sock relays to %s, since %s",
		    shown(rep.path), how_found(rep.how));
	}
}

/* ---- the clock */

void
check_clock(struct doctor *d)
{
	int skew = (int)(int32_t)d->status.skew;
	struct finding *f;

	if (!d->asked)
		return;
	f = find_new(d, GRADE_OK);
	if (skew < SKEW_MOST && skew > -SKEW_MOST) {
		text_add(&f->text, "within %d seconds of AWS's", SKEW_MOST);
		return;
	}
	f->grade = GRADE_PROBLEM;
	text_add(&f->text,
	    "it is %d seconds %s AWS's: awsenv allows for it, but commands may "
	    "be refused",
	    skew < 0 ? -skew : skew, skew < 0 ? "ahead of" : "behind");
	text_add(&f->cure, "%stimedatectl set-ntp true", d->sudo);
}
