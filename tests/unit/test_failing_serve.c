/* SPDX-License-Identifier: ISC */
/*
 * What a command is given by an endpoint, with each call that it takes failing
 * once in turn: what stands in [default] of its user's files does not go before
 * it, and what the endpoint answers is whole, or a refusal.
 */
#include "agent/cli/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "awsenv/io.h"
#include "awsenv/own.h"
#include "tests/unit/failing.h"

#define V(text)                                           \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}

static char folder[] = "/tmp/awsenv-failing.XXXXXX";

/* With what goes before an endpoint, and what the command is to have. */
static const struct {
	const char *name, *variable, *text, *kept;
} files[] = {
    {".aws/config", "AWS_CONFIG_FILE",
	"[default]\nsso_session = corp\noutput = json\n"
	"[profile other]\nregion = eu-west-1\n",
	"[default]\noutput = json\n[profile other]\nregion = eu-west-1\n"},
    {".aws/credentials", "AWS_SHARED_CREDENTIALS_FILE",
	"[default]\naws_access_key_id = AKIAOLD\n"
	"aws_secret_access_key = old\n",
	"[default]\n"},
};

#define NFILES (sizeof(files) / sizeof(*files))

static void
read_file(const char *path, char text[static 4096])
{
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, 4095, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
}

/* Without memory for the list nothing is run at all. */
static void
look_at_the_views(const struct buf *list)
{
	char path[PATH_MAX], text[4096];
	struct view v;
	size_t i;

	for (i = 0; !list->bad && i < NFILES; i++) {
		must(view_find(view_of(list), files[i].variable, &v));
		snprintf(path, sizeof(path), "%.*s", VIEW_ARG(v));
		read_file(path, text);
		must(strcmp(text, files[i].kept) == 0);
	}
}

static void
nothing_is_left(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/awsenv/serve.%d", folder, getpid());
	must(access(path, F_OK) != 0);
}

static enum aw_err
make_views(void)
{
	AUTOBUF struct buf list = {0};
	enum aw_err r = view_make(&list);

	failing_rest();
	if (r == AW_OK)
		look_at_the_views(&list);
	view_remove();
	nothing_is_left();
	r = list.bad ? AW_NOMEM : r;
	failing_go();
	return r;
}

/* ---- an endpoint, and one who asks it */

#define CREDS                                                                \
	"{\"AccessKeyId\": \"ASIAEXAMPLEEXAMPLE00\", "                       \
	"\"SecretAccessKey\": \"secret/secret+secret\", "                    \
	"\"Token\": \"token==\", \"Expiration\": \"2100-01-01T00:00:00Z\", " \
	"\"AccountId\": \"111111111111\"}"

static void
ask_endpoint(const struct buf *list, char answer[static 4096])
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	AUTOCLOSE int fd = socket(AF_INET, SOCK_STREAM, 0);
	unsigned int port;
	struct view uri, token;
	char text[512];
	size_t n = 0;
	ssize_t got;

	must(view_find(
		 view_of(list), "AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri) &&
	    view_find(
		view_of(list), "AWS_CONTAINER_AUTHORIZATION_TOKEN", &token) &&
	    token.n == 64);
	must(sscanf((const char *)uri.p, "http://127.0.0.1:%u/", &port) == 1);
	at.sin_port = htons((uint16_t)port);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*answer = '\0';
	/* One that ended at a call of its own answers nobody. */
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		return;
	snprintf(text, sizeof(text),
	    "GET /credentials HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
	    "Authorization: %.*s\r\n\r\n",
	    port, VIEW_ARG(token));
	if (write(fd, text, strlen(text)) < 0)
		return;
	while (n < 4095 && (got = read(fd, answer + n, 4095 - n)) > 0)
		n += (size_t)got;
	answer[n] = '\0';
}

/* Its own calls fail, too, as those before it was there did. */
static enum aw_err
serve(void)
{
	static const struct options o = {.wait = -1};
	static const struct given g = {
	    .creds = {.expires = 4102444800,
		.access_key = V("ASIAEXAMPLEEXAMPLE00"),
		.secret_key = V("secret/secret+secret"),
		.session_token = V("token==")},
	    .rep = {.account = V("111111111111"), .role = V("Dev")},
	};
	AUTOBUF struct buf list = {0};
	unsigned int first = (unsigned int)dup(STDIN_FILENO);
	char answer[4096];
	enum aw_err r;

	close((int)first);
	r = serve_begin(&o, &g, &list);
	failing_rest();
	/* As an exec would; who listens is the endpoint alone. */
	close_range(first, ~0U, 0);
	if (r == AW_OK && !list.bad) {
		look_at_the_views(&list);
		ask_endpoint(&list, answer);
		must(strstr(answer, "\r\n\r\n" CREDS) ||
		    (!*answer && failing_did()) ||
		    !strncmp(answer, "HTTP/1.1 503 ", 13) ||
		    !strncmp(answer, "HTTP/1.1 403 ", 13));
	} else if (r != AW_OK) {
		nothing_is_left();
	}
	r = list.bad ? AW_NOMEM : r;
	failing_go();
	return r;
}

/* ---- where there is no descriptor for who knocks */

#define REFUSALS 3

/* Shared with the endpoint: when it tried to let somebody in. */
static struct {
	unsigned int n;
	int64_t at[REFUSALS];
} * tries;

int __real_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags);
int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags);

int
__wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	if (!tries || tries->n == REFUSALS)
		return __real_accept4(fd, a, n, flags);
	tries->at[tries->n++] = io_deadline(0);
	errno = ENFILE;
	return -1;
}

static void
it_is_not_asked_for_again_and_again(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	tries = failing_shared(sizeof(*tries));
	if ((pid = fork()) == 0)
		_exit(serve() != AW_OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(tries->n, REFUSALS);
	assert_true(
	    tries->at[REFUSALS - 1] - tries->at[0] >= (REFUSALS - 1) * 100);
	munmap(tries, sizeof(*tries));
	tries = NULL;
}

static void
a_view_is_whole_or_the_endpoint_is_not_used(void **state)
{
	static const int errors[] = {ENOMEM, EIO, EMFILE, ENOSPC, EINTR};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(each_fails_apart(make_views, errors[i], true) > 8);
}

static void
an_endpoint_answers_whole_or_not(void **state)
{
	static const int errors[] = {ENOMEM, EIO, EMFILE};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(each_fails_apart(serve, errors[i], true) > 15);
}

static int
begin(void **state)
{
	char path[128];
	size_t i;
	FILE *f;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	setenv("HOME", folder, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	snprintf(path, sizeof(path), "%s/awsenv", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/.aws", folder);
	mkdir(path, 0700);
	for (i = 0; i < NFILES; i++) {
		unsetenv(files[i].variable);
		snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
		if (!(f = fopen(path, "w")) || fputs(files[i].text, f) < 0 ||
		    fclose(f) != 0)
			return -1;
	}
	unsetenv("AWSENV_CONFIG_FILE");
	return 0;
}

static int
end(void **state)
{
	char path[128];
	size_t i;

	(void)state;
	for (i = 0; i < NFILES; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/.aws", folder);
	rmdir(path);
	/* Endpoints take their views away when they see that nobody is left. */
	snprintf(path, sizeof(path), "%s/awsenv", folder);
	for (i = 0; rmdir(path) != 0 && i < 6000; i++)
		usleep(10000);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_view_is_whole_or_the_endpoint_is_not_used),
	    cmocka_unit_test(an_endpoint_answers_whole_or_not),
	    cmocka_unit_test(it_is_not_asked_for_again_and_again),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
