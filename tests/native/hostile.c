/* A native plugin that misbehaves. What it does is the name of its file: argv[0]. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char *directory;
static const char *what;

static int is(const char *name) { return !strcmp(what, name); }

static void forever(void) { for (;;) pause(); }

static void say(const char *format, ...) {
    char line[1024];
    va_list list;
    __builtin_va_start(list, format);
    int length = vsnprintf(line, sizeof line, format, list);
    __builtin_va_end(list);
    if (write(1, line, length) != length) _exit(70);
}

static char *place(const char *name) {
    static char path[2][256];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", directory, name);
    return path[turn];
}

static int bound(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address)) _exit(71);
    return fd;
}

static int listening(const char *path, int backlog) {
    int fd = bound(path);
    if (listen(fd, backlog)) _exit(72);
    return fd;
}

static void fill_queue(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (fd < 0) _exit(73);
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) return;
    }
}

/* Introduces itself, and answers the host's connection. */
static int greet(const char *protocol) {
    int fd = listening(place("s"), 8);
    say("1|1|unix|%s|%s|\n", place("s"), protocol);
    /* The first word counts. */
    if (strstr(what, "twice")) say("1|1|unix|/run/docker.sock|%s|\n", protocol);
    return accept(fd, NULL, NULL);
}

static void before_the_line(void) {
    if (is("silent")) forever();
    if (is("closes-output")) { close(1); forever(); }
    if (is("exits")) exit(7);
    if (is("exits-well")) exit(0);
    if (is("aborts")) abort();
    if (is("talks-and-exits")) { dprintf(2, "out of coffee\n"); exit(3); }
    if (is("wrong-line")) { say("hello\n"); forever(); }
    if (is("endless-line")) for (;;) say("xxxxxxxxxxxxxxxx");
    if (is("binary-line")) { write(1, "\xff\xfe\0\x1b[2J\n", 8); forever(); }
    if (is("floods")) { static char block[65536]; memset(block, '\n', sizeof block); for (;;) write(2, block, sizeof block); }
    if (is("core-2")) { say("2|1|unix|%s|grpc|\n", place("s")); forever(); }
    if (is("app-2")) { say("1|2|unix|%s|grpc|\n", place("s")); forever(); }
    if (is("tcp")) { say("1|1|tcp|127.0.0.1:80|grpc|\n"); forever(); }
    if (is("protocol")) { say("1|1|unix|%s|http|\n", place("s")); forever(); }
    if (is("certificate")) { say("1|1|unix|%s|grpc|MIIB\n", place("s")); forever(); }
    if (is("outside")) { say("1|1|unix|/run/docker.sock|grpc|\n"); forever(); }
    if (is("dot-dot")) { say("1|1|unix|%s/../x|grpc|\n", directory); forever(); }
    if (is("no-socket")) { say("1|1|unix|%s|grpc|\n", place("s")); forever(); }
    if (is("hosts-socket")) { say("1|1|unix|%s|grpc|\n", place("host@goatflow")); forever(); }
    if (is("file")) { close(open(place("s"), O_CREAT | O_RDWR, 0666)); say("1|1|unix|%s|grpc|\n", place("s")); forever(); }
    if (is("directory")) { say("1|1|unix|%s|grpc|\n", directory); forever(); }
    if (is("link")) { int failed = symlink(place("host@goatflow"), place("s")); say("1|1|unix|%s|grpc|\n", place("s")); if (failed) exit(0); forever(); }
    if (is("datagrams")) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        strncpy(address.sun_path, place("s"), sizeof address.sun_path - 1);
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address)) _exit(75);
        say("1|1|unix|%s|grpc|\n", place("s"));
        forever();
    }
    if (is("half-a-line")) { say("1|1|unix|%s|gr", place("s")); forever(); }
    if (is("a-byte-at-a-time")) for (;;) { say("1"); usleep(20000); }
    if (is("stops")) { raise(SIGSTOP); forever(); }
    if (is("stops-after-the-line")) { listening(place("s"), 8); say("1|1|unix|%s|grpc|\n", place("s")); raise(SIGSTOP); forever(); }
    if (is("no-output")) { close(0); close(1); close(2); forever(); }
    if (is("deaf")) { bound(place("s")); say("1|1|unix|%s|grpc|\n", place("s")); forever(); }
    if (is("full")) { listening(place("s"), 0); fill_queue(place("s")); say("1|1|unix|%s|grpc|\n", place("s")); forever(); }
}

static void abuse(void) {
    if (is("forks")) { int made = 0; for (int i = 0; i < 100; i++) made += fork() >= 0; say("made %d processes\n", made); exit(0); }
    if (is("executes")) { execl("/proc/self/exe", "exits", NULL); say("execution: %s\n", strerror(errno)); exit(0); }
    if (is("hungry")) for (;;) {
        char *some = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (some == MAP_FAILED) { dprintf(2, "no memory\n"); exit(9); }
        memset(some, 1, 1 << 20);
    }
    if (is("many-files")) {
        char name[64];
        int made = 0;
        for (int i = 0; i < 10000; i++) {
            snprintf(name, sizeof name, "f%d", i);
            int fd = open(place(name), O_CREAT | O_RDWR, 0);
            made += fd >= 0;
            close(fd);
        }
        say("made %d files\n", made);
        exit(0);
    }
    if (is("new-hosts-socket")) {
        int removed = unlink(place("host@goatflow"));
        int linked = symlink("/run/docker.sock", place("host@goatflow"));
        say("removed %d linked %d\n", removed, linked);
        exit(0);
    }
    if (is("stubborn")) { signal(SIGTERM, SIG_IGN); dprintf(2, "deaf\n"); }
}

int main(int count, char **list) {
    what = list[0];
    directory = getenv("PLUGIN_UNIX_SOCKET_DIR");
    before_the_line();
    abuse();
    if (is("exits-after-the-line")) { listening(place("s"), 8); say("1|1|unix|%s|grpc|\n", place("s")); exit(5); }
    const char *protocol = strstr(what, "netrpc") ? "netrpc" : "grpc";
    int host = greet(protocol);
    if (strstr(what, "twice")) forever();
    if (strstr(what, "says-nothing") || is("stubborn")) forever();
    if (strstr(what, "hangs-up")) { close(host); forever(); }
    if (strstr(what, "garbage")) { for (int i = 0; i < 64; i++) write(host, "garbage, garbage", 16); forever(); }
    if (strstr(what, "half")) {
        /* Half of a settings frame; half of a yamux header. */
        if (write(host, strstr(what, "netrpc") ? "\0\1\0\1\0\0" : "\0\0\6\4\0", 5) != 5) exit(74);
        forever();
    }
    if (strstr(what, "exits-in-conversation")) { dprintf(2, "so long\n"); exit(6); }
    if (strstr(what, "killed-in-conversation")) raise(SIGKILL);
    exit(64);
}
