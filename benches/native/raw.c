/* The floor: two processes that write and read on a Unix socket.
 *
 *   raw CALLS     prints one line of JSON: microseconds per round trip */
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

static void exactly(int fd, char *buffer, size_t size, int is_write) {
    for (size_t done = 0; done < size;) {
        ssize_t moved = is_write ? write(fd, buffer + done, size - done) : read(fd, buffer + done, size - done);
        if (moved <= 0) _exit(moved == 0 ? 0 : 2);
        done += (size_t)moved;
    }
}

static double per_call(size_t size, int calls) {
    int ends[2];
    char *buffer = json_text(size);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) exit(2);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        for (;;) {
            exactly(ends[1], buffer, size, 0);
            exactly(ends[1], buffer, size, 1);
        }
    }
    close(ends[1]);
    double begin = now_us();
    for (int i = 0; i < calls; i++) {
        exactly(ends[0], buffer, size, 1);
        exactly(ends[0], buffer, size, 0);
    }
    double took = now_us() - begin;
    close(ends[0]);
    waitpid(child, NULL, 0);
    free(buffer);
    return took / calls;
}

int main(int argc, char **argv) {
    int calls = argc > 1 ? atoi(argv[1]) : 1000;
    per_call(64, calls / 10);
    printf("{\"64 B\":%.1f,", per_call(64, calls));
    printf("\"64 KiB\":%.1f}\n", per_call(65536, calls / 4));
    return 0;
}
