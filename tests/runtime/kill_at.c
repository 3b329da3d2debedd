/*
 * Runs a command and kills it (SIGKILL) at the Nth system call of all its threads: kill_at N COMMAND ARGUMENT...
 *
 * Prints "NUMBER enter", with the number of the system call that was entered, or "return"; or "ended with status S" if it made fewer.
 * A system call is counted twice, when it is entered and when it returns. Processes that the command starts are not
 * followed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/ptrace.h>

static int fail(const char *what)
{
	fprintf(stderr, "kill_at: %s: %s\n", what, strerror(errno));
	return 2;
}

static void report(pid_t thread)
{
	struct ptrace_syscall_info info = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) < 0)
		puts("unknown");
	else if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		printf("%llu enter\n", (unsigned long long)info.entry.nr);
	else
		puts("return");
}

int main(int argc, char **argv)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
	unsigned long long left;
	int status, killed = 0;
	pid_t child;

	if (argc < 3)
		return 2;
	left = strtoull(argv[1], NULL, 10);
	child = fork();
	if (child < 0)
		return fail("fork");
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (waitpid(child, &status, 0) < 0 || ptrace(PTRACE_SETOPTIONS, child, 0, options) < 0)
		return fail("ptrace");
	ptrace(PTRACE_SYSCALL, child, 0, 0);
	for (;;) {
		pid_t thread = waitpid(-1, &status, __WALL);
		int number = 0;

		if (thread < 0)
			break;
		if (!WIFSTOPPED(status)) {
			if (thread == child)
				break; /* status says how */
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (!killed && --left == 0) {
				report(thread);
				fflush(stdout);
				killed = 1;
				kill(child, SIGKILL);
				continue;
			}
		} else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) {
			number = WSTOPSIG(status); /* a signal that is meant for it */
		}
		ptrace(PTRACE_SYSCALL, thread, 0, number);
	}
	if (!killed)
		printf("ended with status %#x\n", status);
	return 0;
}
