/* Loaded into a server whose clock is to be wrong: time() is CLOCK_SHIFT seconds from the machine's.
 *
 * `openssl ocsp` dates its answers by it, so that they are out of date, or from the future, and right in all else. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

time_t time(time_t *told)
{
	const char *shift = getenv("CLOCK_SHIFT");
	time_t now = syscall(SYS_time, 0) + (shift ? atol(shift) : 0);
	if (told)
		*told = now;
	return now;
}
