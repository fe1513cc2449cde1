/* A plugin that behaves badly, or just waits: abuse WHAT. Says "begun" first. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int count, char **list) {
    const char *what = count > 1 ? list[1] : "";
    dprintf(1, "begun\n");
    if (!strcmp(what, "wait")) for (;;) pause();
    if (!strcmp(what, "stubborn")) { signal(SIGTERM, SIG_IGN); dprintf(1, "deaf\n"); for (;;) pause(); }
    if (!strcmp(what, "exit")) return count > 2 ? atoi(list[2]) : 0;
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "input")) { char c; return read(0, &c, 1) == 0 ? 0 : 1; }
    if (!strcmp(what, "forks")) { int n = 0; for (int i = 0; i < 1000; i++) n += fork() >= 0; return n == 0 ? 0 : 1; }
    if (!strcmp(what, "memory")) for (;;) { char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); if (p == MAP_FAILED) return 9; memset(p, 1, 1 << 20); }
    if (!strcmp(what, "file")) {
        /* Until the scratch directory is full, or the largest file is. */
        static char block[1 << 16];
        char name[64];
        long total = 0;
        signal(SIGXFSZ, SIG_IGN);
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "%s/%d", getenv("TMPDIR"), i);
            int fd = open(name, O_WRONLY | O_CREAT, 0600);
            ssize_t n = 0;
            while (fd >= 0 && (n = write(fd, block, sizeof block)) > 0) total += n;
            if (fd < 0 || n <= 0) break;
        }
        dprintf(1, "%ld\n", total);
        return 0;
    }
    if (!strcmp(what, "flood")) { char block[4096]; memset(block, 'x', sizeof block); for (;;) if (write(1, block, sizeof block) < 0) return 3; }
    if (!strcmp(what, "place")) return sched_getscheduler(0) * 8 + (getpriority(PRIO_PROCESS, 0) < 0);
    if (!strcmp(what, "spin")) for (volatile long n = 0;; n++) {}
    return 64;
}
