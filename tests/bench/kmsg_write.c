/* Plays the kernel's log on a packet pipe: records from a file of texts, numbered, at a rate; one write() is one record.
 * What the pipe does not take waits in a ring. Pipe and ring hold as many records as the smallest ring of a kernel
 * (128 KiB); what they cannot hold was overwritten before it could be read, and its number is skipped. A writer that
 * was not let run writes nothing in that time, and nothing more afterwards: the loss is the reader's alone.
 * kmsg_write PIPE TEXTS RATE COUNT; prints "written dropped microseconds". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_TEXTS 65536
#define RING 1444 /* records; with the 256 of a pipe of 1 MiB: 1,700 */
#define TURN 1000 /* microseconds that a turn may take before it counts as not let run */

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

static int put(int fd, long seq, double start, const char *text)
{
	static char record[8192];
	/* The text brings its own priority: "6;text". */
	int size = snprintf(record, sizeof(record), "%c,%ld,%ld,-%s", text[0], seq, (long)(now() - start), text + 1);

	return write(fd, record, size) == size;
}

int main(int argc, char **argv)
{
	long next = 0, dropped = 0;
	int fd, known;

	if (argc < 5)
		return 2;
	fd = open(argv[1], O_WRONLY);
	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT) < 0)
		return 1;
	known = load(argv[2]);
	if (!known)
		return 1;
	double rate = atof(argv[3]) / 1e6, start = now();
	long count = atol(argv[4]);

	double before = start;

	while (next < count) {
		double at = now();

		if (at - before > TURN)
			start += at - before;
		before = at;
		long said = (at - start) * rate + 1;

		if (said > count)
			said = count;
		if (said - next > RING) {
			dropped += said - RING - next;
			next = said - RING;
		}
		while (next < said && put(fd, next, start, texts[next % known]))
			next++;
		if (next < said && errno != EAGAIN)
			return 1;
		usleep(20);
	}
	printf("%ld %ld %.0f\n", count - dropped, dropped, now() - start);
	return 0;
}
