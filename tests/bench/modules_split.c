/* Reads a module list and splits every line at blanks, N times: the anchor for the steady poll.
 * Prints CPU microseconds a pass. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 24];

int main(int argc, char **argv)
{
	int passes = argc > 2 ? atoi(argv[2]) : 100;
	unsigned long fields = 0;
	struct timespec start, end;

	if (argc < 2)
		return 2;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (int pass = 0; pass < passes; pass++) {
		int fd = open(argv[1], O_RDONLY);
		size_t size = 0;
		ssize_t got;

		if (fd < 0)
			return 1;
		while ((got = read(fd, buffer + size, sizeof(buffer) - 1 - size)) > 0)
			size += got;
		close(fd);
		buffer[size] = 0;
		char *lines = NULL;
		for (char *line = strtok_r(buffer, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
			char *words = NULL;
			for (char *word = strtok_r(line, " ", &words); word; word = strtok_r(NULL, " ", &words))
				fields++;
		}
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	fprintf(stderr, "%lu fields\n", fields / (passes ? passes : 1));
	printf("%.3f\n", ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / 1e3 / passes);
	return 0;
}
