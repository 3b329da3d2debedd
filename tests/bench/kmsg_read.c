/* Reads records as a reader of /dev/kmsg must, one a read() until there is no more, and does nothing with them: the
 * anchor for reading the kernel's log. Prints "records CPU-microseconds" of the reading alone.
 *
 * kmsg_read follow PIPE LAST: waits for records with poll(); ends with the one numbered LAST.
 * kmsg_read drain TEXTS ROUNDS: fills a packet pipe of its own with 250 records and reads them, so many times. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILL 250
#define MAX_TEXTS 65536

static char record[8192];

static double used(void)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	return cpu.tv_sec * 1e6 + cpu.tv_nsec / 1e3;
}

static int follow(const char *pipe, long last)
{
	struct pollfd readable = { .events = POLLIN };
	long records = 0, seq = -1;

	readable.fd = open(pipe, O_RDONLY | O_NONBLOCK);
	if (readable.fd < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	double start = used();
	while (seq < last && poll(&readable, 1, 3000) > 0) {
		ssize_t size;

		while ((size = read(readable.fd, record, sizeof(record) - 1)) > 0) {
			record[size] = 0;
			seq = atol(strchr(record, ',') + 1);
			records++;
		}
		if (size == 0)
			break;
	}
	printf("%ld %.0f\n", records, used() - start);
	return 0;
}

static int drain(const char *path, int rounds)
{
	static char *texts[MAX_TEXTS];
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;
	double spent = 0;
	long seq = 0, records = 0;
	int known = 0, ends[2];

	while (file && known < MAX_TEXTS && getline(&line, &room, file) > 0)
		texts[known++] = strdup(line);
	if (!known || pipe2(ends, O_DIRECT | O_NONBLOCK) || fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) < 0)
		return 1;
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < FILL; i++, seq++) {
			char *text = texts[seq % known];
			int size = snprintf(record, sizeof(record), "%c,%ld,%ld,-%s", text[0], seq, seq, text + 1);

			if (write(ends[1], record, size) != size)
				return 1;
		}
		double start = used();
		while (read(ends[0], record, sizeof(record)) > 0)
			records++;
		spent += used() - start;
	}
	printf("%ld %.0f\n", records, spent);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "follow"))
		return follow(argv[2], atol(argv[3]));
	if (argc > 3 && !strcmp(argv[1], "drain"))
		return drain(argv[2], atoi(argv[3]));
	return 2;
}
