// SPDX-License-Identifier: ISC
/*
 * A main for a fuzz target: gives it each file of the folders and files named
 * in argv, as libFuzzer would, and prints one line for each. A target says
 * what it found by dying. With no input at all nothing was tested: exit 2.
 */
#include <dirent.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* A heap copy of the exact size, so that a sanitizer sees an overrun. */
static void
replay_file(const char *path)
{
	struct stat st;
	uint8_t *data;
	FILE *f;
	size_t n;

	if ((f = fopen(path, "rb")) == NULL || fstat(fileno(f), &st) == -1)
		err(2, "%s", path);
	n = (size_t)st.st_size;
	if ((data = malloc(n ? n : 1)) == NULL)
		err(2, "malloc");
	if (fread(data, 1, n, f) != n)
		err(2, "%s", path);
	fclose(f);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
}

static unsigned
replay_folder(const char *folder)
{
	struct dirent **list;
	unsigned done = 0;
	char path[4096];
	int i, n;

	if ((n = scandir(folder, &list, NULL, alphasort)) == -1)
		err(2, "%s", folder);
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", folder,
			    list[i]->d_name);
			replay_file(path);
			done++;
		}
		free(list[i]);
	}
	free(list);
	return done;
}

int
main(int argc, char **argv)
{
	unsigned done = 0;
	struct stat st;
	int i;

	for (i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == -1)
			err(2, "%s", argv[i]);
		if (S_ISDIR(st.st_mode)) {
			done += replay_folder(argv[i]);
		} else {
			replay_file(argv[i]);
			done++;
		}
	}
	if (done == 0)
		errx(2, "no input to replay");
	return 0;
}
