/* SPDX-License-Identifier: ISC */
/*
 * What the PAM module reads: the words of its line in pam.d, lists, and what
 * something in the agent's place answers. The rest of libpam is here. Input:
 * words, a line each, an empty line, then the body of a reply.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "awsenv/msg.h"
#include "awsenv/sound.h"

#include "tests/fuzz/libpam.h"

#include "pam_module/options.c" /* NOLINT: its statics are looked at */
#include "pam_module/text.c"	/* NOLINT */

#define WORDS_MOST 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int said;

const char *
item_text(pam_handle_t *h, int which)
{
	(void)h;
	(void)which;
	return "10.0.0.1";
}

static void
on_log(const char *line)
{
	assert(strlen(line) < 200);
}

static int
on_prompt(int style, const char *text, char **answer)
{
	assert(style == PAM_TEXT_INFO && !answer && is_plain(text));
	said++;
	return PAM_SUCCESS;
}

static bool
on_keep(void)
{
	return true;
}

static void
check_options(int argc, const char **argv)
{
	struct options o;
	bool good = options_parse(handle, argc, argv, &o);
	int i;

	assert(o.wait <= WAIT_MOST || o.wait == UNSET);
	assert(o.mode != MODE_SESSION || o.services);
	if (good)
		assert(o.login <= NUDGE_OFF && o.mode <= MODE_FACTOR &&
		    o.enforce <= 1 && o.agent[0] == '/' && o.fetch[0] == '/');
	for (i = 0; i < argc; i++) {
		list_has(o.services, argv[i]);
		list_has(argv[i], "gdm-password");
		if (*argv[i] && !strpbrk(argv[i], ",*"))
			assert(list_has(argv[i], argv[i]));
	}
}

static void
check_reply(struct view body)
{
	static char name[] = "DOM\\user\033[2J", empty[] = "";
	struct passwd pw = {.pw_name = name, .pw_dir = empty};
	struct person who = {"login", &pw};
	struct login_rep rep;
	bool shown;

	if (!msg_decode(MSG_LOGIN_REP, body, &rep))
		return;
	said = 0;
	shown = text_show(handle, &who, &rep, true);
	assert(shown == text_show(handle, &who, &rep, false));
	assert(said == (shown ? 2 : 0));
	if (shown)
		assert(url_is_sound(rep.url) && rep.state == LOGIN_PENDING);
}

static void
check_table(void)
{
	size_t i;

	for (i = 0; i < NROWS; i++)
		assert(find(rows[i].name) == &rows[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *argv[WORDS_MOST];
	char *copy = malloc(size + 1), *at = copy, *end;
	int argc = 0;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	copy[size] = '\0';
	check_table();
	while (argc < WORDS_MOST && (end = strchr(at, '\n')) && end != at) {
		*end = '\0';
		argv[argc++] = at;
		at = end + 1;
	}
	check_options(argc, argv);
	if (*at == '\n')
		at++;
	check_reply((struct view){
	    data + (at - copy), (uint32_t)(size - (size_t)(at - copy))});
	libpam_end();
	free(copy);
	return 0;
}
