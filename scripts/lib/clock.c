/* Loaded into a program whose clock is to be wrong: the time of day is CLOCK_SHIFT seconds from the machine's, or as many as
 * the file CLOCK_SHIFT_FILE says at the moment, so that a clock can be set while the program runs. With CLOCK_KEPT_FILE
 * not a time daemon but that file, by being there, says that the clock is kept right.
 *
 * `openssl ocsp` and `openssl x509` date what they make by time(), ravelind judges by clock_gettime(CLOCK_REALTIME). What
 * measures how long something takes (CLOCK_MONOTONIC) is left alone, as it is when a machine's clock is set. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
	static int file = -2;
	const char *fixed = getenv("CLOCK_SHIFT"), *name = getenv("CLOCK_SHIFT_FILE");
	char text[32] = "";
	if (!name)
		return fixed ? atol(fixed) : 0;
	if (file == -2)
		file = open(name, O_RDONLY | O_CLOEXEC);
	return pread(file, text, sizeof(text) - 1, 0) > 0 ? atol(text) : 0;
}

time_t time(time_t *told)
{
	time_t now = syscall(SYS_time, 0) + shift();
	if (told)
		*told = now;
	return now;
}

int clock_gettime(clockid_t clock, struct timespec *told)
{
	long failed = syscall(SYS_clock_gettime, clock, told);
	if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		told->tv_sec += shift();
	return failed;
}

int adjtimex(struct timex *told)
{
	const char *name = getenv("CLOCK_KEPT_FILE");
	int state = syscall(SYS_adjtimex, told);
	if (!name)
		return state;
	if (access(name, F_OK)) {
		told->status |= STA_UNSYNC;
		return TIME_ERROR;
	}
	told->status &= ~STA_UNSYNC;
	return TIME_OK;
}
