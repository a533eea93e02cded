/* SPDX-License-Identifier: ISC */
/*
 * The AWS console in a browser, as the role of a profile. awsenv-fetch talks to
 * AWS; what it gives back is an address on this machine that leads the browser
 * on, or, where it is to be printed, the one that signs in.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "awsenv/io.h"
#include "awsenv/link.h"
#include "awsenv/own.h"
#include "awsenv/partition.h"

#include "agent/cli/ctl/ctl.h"

#define ANSWER_MS 60000
#define VISIT_MS 70000 /* the fetcher ends it before */
#define PAGE_MOST 2000
#define MAIN_REGION "us-east-1"

/* Where the console's address does not have the service's own name. */
/* clang-format off */
static const struct {
	const char *name, *path;
} services[] = {
	{"apigw", "apigateway"},
	{"cfn", "cloudformation"},
	{"cw", "cloudwatch"},
	{"dynamodb", "dynamodbv2"},
	{"eventbridge", "events"},
	{"logs", "cloudwatch"},
	{"sfn", "states"},
	{"ssm", "systems-manager"},
	{"sso", "singlesignon"},
	{"stepfunctions", "states"},
	{"vpc", "vpcconsole"},
};
/* clang-format on */

static const char *
service_path(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		if (!strcmp(services[i].name, name))
			return services[i].path;
	}
	return name;
}

static bool
is_page(const char *path)
{
	const char *p;

	for (p = path; *p > ' ' && *p <= '~'; p++)
		continue;
	return path[0] == '/' && path[1] != '/' && !*p &&
	    strlen(path) <= PAGE_MOST;
}

static bool
fits(const struct options *o)
{
	if ((o->given & OPT_SERVICE) && (o->given & OPT_PATH)) {
		warn("either --service or --path");
		return false;
	}
	if ((o->given & OPT_SERVICE) &&
	    !made_of(view_str(o->service), SMALL DIGITS "-", 1, 64)) {
		warn("%s is no service: the console has names such as s3 or "
		     "cloudformation",
		    shown_str(o->service));
		return false;
	}
	if ((o->given & OPT_PATH) && !is_page(o->page)) {
		warn("--path takes what follows the host in the console's "
		     "address, such as /s3/home");
		return false;
	}
	return true;
}

static void
page_add(const struct options *o, const char *region, struct buf *page)
{
	if (o->given & OPT_PATH)
		text_add(page, "%s", o->page);
	else
		text_add(page, "/%s/home?region=%s",
		    o->given & OPT_SERVICE ? service_path(o->service)
					   : "console",
		    region);
}

/* -------- the fetcher */

struct helper {
	int fd;
	pid_t pid;
	struct buf packet;
	struct answer answer;
};

static bool
helper_start(struct helper *h)
{
	static char name[] = "awsenv-fetch";
	char *const argv[] = {name, NULL}, *const env[] = {NULL};
	int ends[2];

	*h = (struct helper){.fd = -1, .pid = -1};
	if (link_pair(ends) != 0)
		return false;
	if ((h->pid = child_fork(SIGCHLD)) == 0) {
		if (ends[1] == LINK_FD)
			fcntl(LINK_FD, F_SETFD, 0);
		else
			dup2(ends[1], LINK_FD);
		program_exec(name, argv, env);
		_exit(EXIT_NOTFOUND);
	}
	close(ends[1]);
	h->fd = ends[0];
	return h->pid > 0;
}

static void
helper_end(struct helper *h)
{
	if (h->fd >= 0)
		close(h->fd);
	if (h->pid > 0)
		waitpid(h->pid, NULL, 0);
	buf_free(&h->packet);
}

/* Told, if it is not AW_OK. */
static enum aw_err
helper_hear(struct helper *h, const char *who, int ms)
{
	enum msg_kind kind = MSG_EMPTY;
	struct view body = {0};
	enum aw_err r = io_wait(h->fd, POLLIN, io_deadline(ms));

	if (r == AW_OK)
		r = link_peek_msg(h->fd, &h->packet, &kind, &body);
	if (r != AW_OK || kind != MSG_ANSWER ||
	    !msg_decode(MSG_ANSWER, body, &h->answer) ||
	    h->answer.version != MSG_VERSION) {
		warn("%s: awsenv-fetch gave no answer (is it here, and of "
		     "this version?)",
		    who);
		return AW_SYSTEM;
	}
	link_drop(h->fd);
	if (h->answer.error == AW_OK)
		return AW_OK;
	warn("%s: %s", who, shown(h->answer.text));
	return h->answer.error == AW_STALE ? AW_CONFIG
					   : (enum aw_err)h->answer.error;
}

static const char *
either(const char *small, const char *large)
{
	const char *v = getenv(small);

	v = v && *v ? v : getenv(large);
	return v ? v : "";
}

/* What leads to AWS here: as for a login, but of this environment alone. */
static void
facts_add(const struct given *g, struct buf *out)
{
	const char *proxy = either("https_proxy", "HTTPS_PROXY");
	const char *ca = getenv("AWS_CA_BUNDLE");
	AUTOFREE char *path = NULL;
	struct facts f = {
	    .region = view_str(g->region),
	    .no_proxy = view_str(either("no_proxy", "NO_PROXY")),
	};

	f.proxy = view_str(*proxy ? proxy : either("all_proxy", "ALL_PROXY"));
	if (ca && *ca) {
		path = realpath(ca, NULL);
		f.ca_path = view_str(path ? path : ca);
	} else {
		view_find(g->rep.settings, "AWS_CA_BUNDLE", &f.ca_path);
	}
	msg_encode(MSG_FACTS, &f, out);
}

static bool
helper_order(struct helper *h, const struct options *o, const struct given *g)
{
	AUTOBUF struct buf facts = {0}, page = {0};
	struct fetch f = {
	    .version = MSG_VERSION,
	    .what = FETCH_CONSOLE,
	    .creds = g->rep.sealed,
	    .sts_region = view_str(g->region),
	    .desktop = !(o->given & OPT_PRINT),
	};

	facts_add(g, &facts);
	page_add(o, g->region, &page);
	f.facts = view_of(&facts);
	f.page = view_of(&page);
	return !facts.bad && !page.bad &&
	    link_send_msg(h->fd, MSG_FETCH, &f) == AW_OK;
}

/* -------- the verb */

static enum aw_err
print(struct view url)
{
	AUTOBUF struct buf out = {0};

	buf_put(&out, url.p, url.n);
	buf_u8(&out, '\n');
	return text_print(&out) ? AW_OK : AW_SYSTEM;
}

/* What the config file says of a profile; its texts live as long as the
 * process. */
static enum aw_err
row_get(const struct options *o, const char *name, struct profile_row *row)
{
	struct profile_list list;
	const struct profile_row *found;
	struct talk t;
	enum aw_err r;

	*row = (struct profile_row){.region = "", .browser = ""};
	if ((r = talk_begin(&t, o, AGENT_START)) != AW_OK)
		return r;
	r = profiles_get(&t, &list);
	if ((found = profile_named(&list, name)))
		*row = *found;
	else if (r == AW_OK)
		r = complain(&t.question, AW_NOPROFILE, (struct view){0});
	profiles_free(&list);
	talk_end(&t);
	return r;
}

static enum aw_err
visit(struct helper *h, const struct options *o, const struct given *g,
    const char *who)
{
	struct profile_row row = {.browser = ""};

	if (g->rep.profile.n)
		row_get(o, keep(g->rep.profile), &row);
	browser_start(h->answer.url, view_str(row.browser));
	return helper_hear(h, who, VISIT_MS);
}

static enum aw_err
sign_in(const struct options *o, const struct given *g)
{
	const char *who =
	    g->rep.profile.n ? shown(g->rep.profile) : shown(g->rep.role);
	struct helper h;
	enum aw_err r;

	if (!g->region[0]) {
		warn("%s: no region is known; say --region", who);
		return AW_CONFIG;
	}
	if (!helper_start(&h) || !helper_order(&h, o, g)) {
		warn("%s: awsenv-fetch cannot be started: %s", who,
		    errno_text());
		r = AW_SYSTEM;
	} else if ((r = helper_hear(&h, who, ANSWER_MS)) == AW_OK) {
		r = o->given & OPT_PRINT ? print(h.answer.url)
					 : visit(&h, o, g, who);
	}
	helper_end(&h);
	return r;
}

/* Nothing secret here: it ends whatever session the browser has. Which
 * partition's is told by the region, and that by the profile, if one is named:
 * where none is, nobody needs to be asked. */
static enum aw_err
sign_out(const struct options *o)
{
	const char *region = o->region ? o->region : getenv("AWS_REGION");
	const char *name = profile_chosen(o);
	struct profile_row row = {.region = "", .browser = ""};
	AUTOBUF struct buf url = {0};
	const struct partition *p;
	enum aw_err r;

	if (name && (r = row_get(o, name, &row)) != AW_OK)
		return r;
	if (!region || !*region)
		region = row.region;
	if (!is_region(view_str(region)))
		region = MAIN_REGION;
	p = partition_of(view_str(region));
	if (!p->signin) {
		warn("the console of partition %s has no address that is known",
		    p->name);
		return AW_CONFIG;
	}
	text_add(&url, "https://%s%s%s/oauth?Action=logout",
	    strcmp(region, p->home) != 0 ? region : "",
	    strcmp(region, p->home) != 0 ? "." : "", p->signin);
	if (o->given & OPT_PRINT)
		return print(view_of(&url));
	browser_start(view_of(&url), view_str(row.browser));
	return AW_OK;
}

int
console_verb(const struct options *given, char **argv)
{
	struct options o = *given;
	struct given g;
	enum aw_err r;

	if (!profile_operand("console", OPT_CONSOLE, &o, argv) || !fits(&o))
		return EXIT_USAGE;
	if (!(o.given & OPT_PRINT) && !browser_there(&o)) {
		warn("no browser can be opened from here; awsenv console "
		     "--print writes the address%s",
		    o.given & OPT_SIGN_OUT ? ""
					   : ", which signs in whoever has it");
		return EXIT_OTHER;
	}
	if (o.given & OPT_SIGN_OUT)
		return exit_of(sign_out(&o));
	if ((r = creds_get(&o, CREDS_LOGIN, &g)) == AW_OK) {
		r = sign_in(&o, &g);
		creds_free(&g);
	}
	return exit_of(r);
}
