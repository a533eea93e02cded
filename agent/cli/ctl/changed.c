/* SPDX-License-Identifier: ISC */
/* What configure did to the profiles of a file, for programs. */
#include <stdlib.h>
#include <string.h>

#include "awsenv/own.h"

#include "agent/cli/ctl/configure.h"

/* A profile's section, from its first line to its last key. */
struct part {
	struct view name;
	struct view text;
};

struct parts {
	struct part *part;
	size_t n;
};

static bool
parts_find(const struct text *t, struct parts *all)
{
	struct part *p = NULL;
	struct lines l;

	for (lines_begin(&l, t); lines_next(&l);) {
		if (l.now.kind == LINE_SECTION && l.now.of == OF_PROFILE) {
			p = reallocarray(all->part, all->n + 1, sizeof(*p));
			if (!p)
				return false;
			all->part = p;
			p += all->n++;
			*p = (struct part){l.now.name,
			    {(const uint8_t *)l.now.p, (uint32_t)l.now.n}};
		} else if (l.now.kind == LINE_SECTION) {
			p = NULL;
		} else if (p && l.now.kind != LINE_OTHER) {
			p->text.n = (uint32_t)((const uint8_t *)l.now.p +
			    l.now.n - p->text.p);
		}
	}
	return true;
}

static const struct part *
part_named(const struct parts *all, struct view name)
{
	size_t i;

	for (i = 0; i < all->n; i++) {
		if (view_eq(all->part[i].name, name))
			return &all->part[i];
	}
	return NULL;
}

enum which { MISSING, OTHERWISE };

/* The names of those in `some` that the others do not have, or have otherwise.
 * False: told that they cannot be printed. */
static bool
names_add(struct buf *out, const char *member, const struct parts *some,
    const struct parts *others, enum which which)
{
	const struct part *p, *other;
	const char *comma = "";

	text_add(out, ", \"%s\": [", member);
	for (p = some->part; p < some->part + some->n; p++) {
		other = part_named(others, p->name);
		if (which == MISSING ? !!other
				     : !other || view_eq(p->text, other->text))
			continue;
		text_add(out, "%s", comma);
		json_string(out, p->name);
		comma = ", ";
		/* What was printed before ends with no comma. */
		if (!text_flush(out, false))
			return false;
	}
	buf_u8(out, ']');
	return true;
}

bool
changes_print(const struct file *f, const struct text *new, bool written)
{
	struct parts before = {0}, after = {0};
	AUTOBUF struct buf out = {0};
	bool good = parts_find(&f->text, &before) && parts_find(new, &after);

	if (good) {
		text_add(&out, "{");
		json_name(&out, "file");
		json_string(&out, view_str(f->path));
		json_name(&out, "written");
		text_add(&out, written ? "true" : "false");
		good = names_add(&out, "added", &after, &before, MISSING) &&
		    names_add(&out, "changed", &after, &before, OTHERWISE) &&
		    names_add(&out, "removed", &before, &after, MISSING);
		text_add(&out, "}\n");
		good = good && text_flush(&out, true);
	} else {
		warn("%s", aw_strerror(AW_NOMEM));
	}
	free(before.part);
	free(after.part);
	return good;
}
