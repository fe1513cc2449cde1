/* A plugin that behaves badly, or just waits: abuse WHAT. Says "begun" first. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Takes memory for tables of what is not there; runs on when the first thread has ended. */
static void *fill_tables(void *unused) {
    size_t size = 1UL << 40;
    volatile char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) _exit(9);
    madvise((void *)p, size, MADV_NOHUGEPAGE);
    usleep(200000);
    for (size_t at = 0; at < size; at += 2 << 20) (void)p[at];
    _exit(10);
}

/* Fills the socket directory, then listens there for one connection, and calls the host's socket. */
static int use_sockets(const char *directory) {
    static char block[1 << 16];
    struct sockaddr_un own = {.sun_family = AF_UNIX}, host = {.sun_family = AF_UNIX};
    char name[128];
    int files = 0, bytes = 0;
    snprintf(own.sun_path, sizeof own.sun_path, "%s/s", directory);
    snprintf(host.sun_path, sizeof host.sun_path, "%s/host@goatflow", directory);
    int server = socket(AF_UNIX, SOCK_STREAM, 0), caller = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(server, (void *)&own, sizeof own) || listen(server, 1)) return 2;
    for (; files < 5000; files++) {
        snprintf(name, sizeof name, "%s/f%d", directory, files);
        int fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0) break;
        for (ssize_t n; (n = write(fd, block, sizeof block)) > 0 && bytes < 64 << 20;) bytes += n;
        close(fd);
    }
    dprintf(1, "%d files of %d bytes\n", files, bytes);
    int peer = accept(server, NULL, NULL);
    if (peer < 0 || write(peer, "plugin", 6) != 6) return 3;
    if (connect(caller, (void *)&host, sizeof host) || write(caller, "caller", 6) != 6) return 4;
    return 0;
}

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
    if (!strcmp(what, "stop")) { dprintf(1, "stopping\n"); kill(0, SIGSTOP); for (;;) pause(); }
    if (!strcmp(what, "leaderless")) { pthread_t thread; pthread_create(&thread, NULL, fill_tables, NULL); syscall(SYS_exit, 0); }
    if (!strcmp(what, "sockets")) return use_sockets(list[2]);
    if (!strcmp(what, "socket")) {
        struct sockaddr_un own = {.sun_family = AF_UNIX};
        snprintf(own.sun_path, sizeof own.sun_path, "%s/s", list[2]);
        return bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&own, sizeof own) ? 2 : 0;
    }
    if (!strcmp(what, "place")) return sched_getscheduler(0) * 8 + (getpriority(PRIO_PROCESS, 0) < 0);
    if (!strcmp(what, "spin")) for (volatile long n = 0;; n++) {}
    return 64;
}
