/* SPDX-License-Identifier: ISC */
/*
 * What completes words in shells. The scripts are a few lines: each asks
 * "awsenv completion words WORD...", which knows the tables of verbs and options
 * and looks into the config file, and leaves the wrapped command to its own
 * completion. No agent is asked or started by pressing a key.
 *
 * The answer's first line is "words", "first" (a command may stand there, too)
 * or "command N": from the Nth word on it is another program's matter. The
 * others are what may stand in the last word's place, each with a tab and what
 * it is.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/ctl.h"

#define NAME_MOST 256

/* clang-format off */
static const struct {
	const char *shell, *script;
} scripts[] = {
	{"bash",
"_awsenv() {\n"
"	local IFS=$'\\n' out how line\n"
"	COMPREPLY=()\n"
"	out=($(awsenv completion words -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" \\\n"
"	    2>/dev/null))\n"
"	how=${out[0]} IFS=$' \\t\\n'\n"
"	if [[ $how == command\\ * ]]; then\n"
"		if declare -F _comp_command_offset >/dev/null; then\n"
"			_comp_command_offset $((${how#command } + 1))\n"
"		elif declare -F _command_offset >/dev/null; then\n"
"			_command_offset $((${how#command } + 1))\n"
"		else\n"
"			compopt -o default\n"
"		fi\n"
"		return\n"
"	fi\n"
"	for line in \"${out[@]:1}\"; do\n"
"		COMPREPLY+=(\"$(printf %q \"${line%%$'\\t'*}\")\")\n"
"	done\n"
"	if [[ $how == first ]]; then\n"
"		COMPREPLY+=($(compgen -c -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
"	fi\n"
"}\n"
"complete -F _awsenv awsenv\n"},
	{"zsh",
"#compdef awsenv\n"
"_awsenv() {\n"
"	local -a out names texts\n"
"	local line n\n"
"	out=(\"${(@f)$(awsenv completion words -- \"${(@)words[2,CURRENT]}\" \\\n"
"	    2>/dev/null)}\")\n"
"	if [[ $out[1] == command\\ * ]]; then\n"
"		n=${out[1]#command }\n"
"		shift $((n + 1)) words\n"
"		((CURRENT -= n + 1))\n"
"		_normal\n"
"		return\n"
"	fi\n"
"	for line in \"${(@)out[2,-1]}\"; do\n"
"		[[ -n $line ]] || continue\n"
"		names+=(\"${line%%$'\\t'*}\")\n"
"		texts+=(\"${line/$'\\t'/  -- }\")\n"
"	done\n"
"	compset -P '--[a-z-]#='\n"
"	((${#names})) && compadd -l -d texts -a names\n"
"	[[ $out[1] == first ]] && _command_names -e\n"
"}\n"
"if [[ ${funcstack[1]} == _awsenv ]]; then _awsenv \"$@\"; else compdef _awsenv awsenv; fi\n"},
	{"fish",
"function __awsenv_complete\n"
"	set -l words (commandline -opc)[2..-1] (commandline -ct)\n"
"	set -l out (awsenv completion words -- $words 2>/dev/null)\n"
"	set -l how (string split ' ' -- $out[1])\n"
"	if test \"$how[1]\" = command\n"
"		set -l rest $words[(math $how[2] + 1)..-1]\n"
"		complete -C (string join ' ' -- (string escape -- $rest[1..-2]) $rest[-1])\n"
"		return\n"
"	end\n"
"	for line in $out[2..-1]\n"
"		set -l eq (string match -r -- '^--[a-z-]+=' (commandline -ct))\n"
"		echo \"$eq$line\"\n"
"	end\n"
"	if test \"$how[1]\" = first\n"
"		complete -C (commandline -ct)\n"
"	end\n"
"end\n"
"complete -c awsenv -f -a '(__awsenv_complete)'\n"},
};
/* clang-format on */

#define NSCRIPTS (sizeof(scripts) / sizeof(scripts[0]))

/* The words of the line, and what is offered for the last. */
struct offer {
	const char *start; /* what the person typed of it */
	struct buf out;
};

static void
put(struct offer *f, const char *word, const char *text)
{
	if (strncmp(word, f->start, strlen(f->start)) != 0 ||
	    strpbrk(word, "\t\r\n"))
		return;
	text_add(&f->out, "%s%s%s\n", shown_str(word), *text ? "\t" : "", text);
}

/* -------- names in config files */

/* "[profile NAME]", "[profile 'NAME']", "[default]", "[sso-session NAME]" */
static bool
section_name(const char *line, const char *kind, char name[static NAME_MOST])
{
	const char *p = line + strspn(line, " \t"), *end;
	size_t n = strlen(kind);

	if (*p++ != '[' || !(end = strchr(p, ']')))
		return false;
	if (!strcmp(kind, "profile") && !strncmp(p, "default]", 8))
		return format(name, NAME_MOST, "default");
	if (strncmp(p, kind, n) != 0 || !strchr(" \t", p[n]))
		return false;
	p += n + strspn(p + n, " \t");
	while (end > p && strchr(" \t", end[-1]))
		end--;
	if (end - p > 2 && strchr("'\"", *p) && end[-1] == *p) {
		p++;
		end--;
	}
	return end > p && format(name, NAME_MOST, "%.*s", (int)(end - p), p);
}

static void
put_sections_of(struct offer *f, const char *path, const char *kind)
{
	/* Not blocking: a FIFO must not hold the shell. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char line[1024], name[NAME_MOST];
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (!file) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (fgets(line, sizeof(line), file)) {
		if (section_name(line, kind, name))
			put(f, name, "");
	}
	fclose(file);
}

static void
put_sections(struct offer *f, const char *kind)
{
	const char *named = getenv("AWS_CONFIG_FILE"), *home = getenv("HOME");
	char path[PATH_MAX];
	glob_t more;
	size_t i;

	if (named && *named)
		put_sections_of(f, named, kind);
	else if (home && format(path, sizeof(path), "%s/.aws/config", home))
		put_sections_of(f, path, kind);
	put_sections_of(f, "/etc/awsenv/config", kind);
	if (glob("/etc/awsenv/config.d/*.conf", 0, NULL, &more) != 0)
		return;
	for (i = 0; i < more.gl_pathc; i++)
		put_sections_of(f, more.gl_pathv[i], kind);
	globfree(&more);
}

/* -------- options and their values */

/* "a b c" of the option's own help. */
static void
put_words(struct offer *f, const char *text)
{
	char word[NAME_MOST];
	size_t n;

	for (; *(text += strspn(text, " ")); text += n) {
		n = strcspn(text, " ");
		if (format(word, sizeof(word), "%.*s", (int)n, text))
			put(f, word, "");
	}
}

static void
put_values(struct offer *f, const struct option_row *r)
{
	if (r->bit == OPT_PROFILE)
		put_sections(f, "profile");
	else if (r->bit == OPT_SESSION)
		put_sections(f, "sso-session");
	else if (r->bit == OPT_FORMAT)
		put_words(f, r->text + strlen(r->text) + 1);
}

static void
put_options(struct offer *f, uint64_t allowed)
{
	const struct option_row *r;
	char word[32];
	size_t i;

	for (i = 0; (r = options_at(i)); i++) {
		const char *help = r->text + strlen(r->text) + 1;

		if ((r->bit & allowed) && *help &&
		    format(word, sizeof(word), "--%s", r->name))
			put(f, word, help);
	}
}

/* The option that a word is, with or without a value in the same word. */
static const struct option_row *
option_of(const char *word, const char **value)
{
	size_t n = strcspn(word, "="), i;
	const struct option_row *r;

	*value = word[n] ? word + n + 1 : NULL;
	for (i = 0; (r = options_at(i)); i++) {
		if (!strncmp(word, "--", 2) && n - 2 == strlen(r->name) &&
		    !strncmp(word + 2, r->name, n - 2))
			return r;
		if (word[0] == '-' && r->letter && word[1] == r->letter) {
			*value = word[2] ? word + 2 : NULL;
			return r;
		}
	}
	return NULL;
}

/* -------- verbs and their operands */

static void
put_verbs(struct offer *f)
{
	const struct verb *v;
	size_t i;

	for (i = 0; (v = verb_at(i)); i++) {
		if (!verb_apart(v->name))
			put(f, v->name, verb_text(v));
	}
	for (i = 0; *verbs_apart[i]; i++) {
		if ((v = ctl_verb(verbs_apart[i])))
			put(f, v->name, verb_text(v));
	}
}

static void
put_operands(struct offer *f, const char *verb)
{
	size_t i;

	if (!strcmp(verb, "exec") || !strcmp(verb, "shell") ||
	    !strcmp(verb, "console"))
		put_sections(f, "profile");
	else if (!strcmp(verb, "help"))
		put_verbs(f);
	else if (!strcmp(verb, "agent"))
		put_words(f, "start stop status env");
	for (i = 0; !strcmp(verb, "completion") && i < NSCRIPTS; i++)
		put(f, scripts[i].shell, "");
}

/* -------- the line */

static int
finish(struct offer *f, const char *how, size_t n)
{
	AUTOBUF struct buf out = {0};
	bool good;

	if (n)
		text_add(&out, "%s %u\n", how, (unsigned int)(n - 1));
	else
		text_add(&out, "%s\n", how);
	buf_put(&out, f->out.data, f->out.len);
	out.bad |= f->out.bad;
	good = text_print(&out);
	buf_free(&f->out);
	return good ? EXIT_GOOD : EXIT_OTHER;
}

/* bash makes words of "--profile=x" at the "=", which then stands alone. */
static size_t
join(char **argv)
{
	size_t n = 0, i;

	for (i = 0; argv[i]; i++) {
		if (strcmp(argv[i], "=") != 0 || !n ||
		    strncmp(argv[n - 1], "--", 2) != 0)
			argv[n++] = argv[i];
		else if (!argv[i + 1])
			argv[n++] = argv[i] + 1; /* nothing behind it yet */
	}
	argv[n] = NULL;
	return n;
}

static int
words(char **argv)
{
	uint64_t allowed = OPT_RUN | OPT_HELP | OPT_VERSION;
	size_t before = 0, n, i, operands = 0, lost;
	const struct option_row *r = NULL;
	const struct verb *verb = NULL;
	struct offer f = {.start = ""};
	const char *value = NULL;
	bool dashes = false;

	while (argv[before])
		before++;
	n = join(argv);
	lost = before - n; /* words of the shell's that were joined */
	if (!n)
		return finish(&f, "words", 0);
	for (i = 0; i + 1 < n; i++) {
		const char *w = argv[i];

		if (!dashes && !strcmp(w, "--")) {
			dashes = true;
			if (!verb || !strcmp(verb->name, "exec"))
				return finish(&f, "command", i + 2 + lost);
			continue;
		}
		if (!dashes && w[0] == '-' && w[1]) {
			r = option_of(w, &value);
			if (r && r->shape != FLAG && !value && i + 2 < n)
				i++;
			else if (r && r->shape != FLAG && !value)
				break; /* the last word is its value */
			r = NULL;
			continue;
		}
		if (!verb && !(verb = ctl_verb(w)))
			return finish(&f, "command", i + 1 + lost);
		if (verb->options || operands)
			allowed = verb->options | OPT_HELP;
		if (operands++ > 1 && !strcmp(verb->name, "exec"))
			return finish(&f, "command", i + 1 + lost);
	}
	f.start = argv[n - 1];
	if (r) {
		put_values(&f, r);
		return finish(&f, "words", 0);
	}
	if (!strncmp(f.start, "--", 2) && (r = option_of(f.start, &value)) &&
	    value) {
		f.start = value;
		put_values(&f, r);
		return finish(&f, "words", 0);
	}
	if (f.start[0] == '-') {
		put_options(&f, allowed);
		return finish(&f, "words", 0);
	}
	if (verb && operands == 1)
		put_operands(&f, verb->name);
	else if (!verb)
		put_verbs(&f);
	return finish(&f, verb ? "words" : "first", 0);
}

int
completion_verb(const struct options *o, char **argv)
{
	AUTOBUF struct buf out = {0};
	size_t i;

	(void)o;
	if (*argv && !strcmp(*argv, "words")) {
		argv++;
		return words(*argv && !strcmp(*argv, "--") ? argv + 1 : argv);
	}
	for (i = 0; *argv && i < NSCRIPTS; i++) {
		if (strcmp(*argv, scripts[i].shell) != 0)
			continue;
		if (argv[1])
			break;
		buf_put(&out, scripts[i].script, strlen(scripts[i].script));
		return text_print(&out) ? EXIT_GOOD : EXIT_OTHER;
	}
	warn("completion is for one of bash, zsh and fish: awsenv completion "
	     "bash");
	return EXIT_USAGE;
}
