/* Plays the kernel's log on a packet pipe: records from a file of texts, numbered, at a rate; one write() is one record.
 * When the pipe is full the record is overwritten before it could be read, as in the ring: its number is skipped.
 * kmsg_write PIPE TEXTS RATE COUNT BURST; prints "written dropped microseconds". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_TEXTS 65536

static char *texts[MAX_TEXTS];

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static int load(const char *path)
{
	FILE *file = fopen(path, "r");
	size_t room = 0;
	char *line = NULL;
	int count = 0;

	while (file && count < MAX_TEXTS && getline(&line, &room, file) > 0)
		texts[count++] = strdup(line);
	return count;
}

int main(int argc, char **argv)
{
	static char record[8192];
	long written = 0, dropped = 0;
	int fd, known;

	if (argc < 6)
		return 2;
	fd = open(argv[1], O_WRONLY);
	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT) < 0)
		return 1;
	known = load(argv[2]);
	if (!known)
		return 1;
	double rate = atof(argv[3]) / 1e6, start = now();
	long count = atol(argv[4]), burst = atol(argv[5]);

	for (long seq = 0; seq < count; seq++) {
		if (seq % burst == 0)
			while (now() - start < seq / rate)
				usleep(20);
		/* The text brings its own priority: "6;text". */
		char *text = texts[seq % known];
		int size = snprintf(record, sizeof(record), "%c,%ld,%ld,-%s", text[0], seq, (long)(now() - start), text + 1);

		/* The last one is waited with, so that the reader knows the end and what was lost before it. */
		while (seq == count - 1 && write(fd, record, size) != size)
			usleep(100);
		if (seq == count - 1 || write(fd, record, size) == size)
			written++;
		else if (errno == EAGAIN)
			dropped++;
		else
			return 1;
	}
	printf("%ld %ld %.0f\n", written, dropped, now() - start);
	return 0;
}
