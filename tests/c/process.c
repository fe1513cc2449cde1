/* What the library leaves alone: signals, locale, umask, directory, environment, descriptors, output; and how it lives with
 * dlopen, dlclose and exit. */
#include "dynamic.h"

#include <dirent.h>
#include <locale.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

extern char **environ;

typedef struct state {
    struct sigaction signals[65];
    sigset_t mask;
    char locale[256], directory[1024], name[32];
    mode_t umask_bits;
    char **environment;
    size_t environment_len;
    struct rlimit limits[RLIMIT_NLIMITS];
    int dumpable, no_new_privs, keepcaps, nice_value;
    struct itimerval timer;
} state;

static void take(state *self) {
    memset(self, 0, sizeof *self);
    for (int i = 1; i < 65; i++) sigaction(i, NULL, &self->signals[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &self->mask);
    snprintf(self->locale, sizeof self->locale, "%s", setlocale(LC_ALL, NULL));
    CHECK(getcwd(self->directory, sizeof self->directory) != NULL);
    self->umask_bits = umask(0);
    umask(self->umask_bits);
    self->environment = environ;
    for (char **at = environ; *at != NULL; at++) self->environment_len += strlen(*at) + 1;
    for (int i = 0; i < RLIMIT_NLIMITS; i++) getrlimit((__rlimit_resource_t)i, &self->limits[i]);
    self->dumpable = prctl(PR_GET_DUMPABLE);
    self->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    self->keepcaps = prctl(PR_GET_KEEPCAPS);
    prctl(PR_GET_NAME, self->name);
    self->nice_value = getpriority(PRIO_PROCESS, 0);
    getitimer(ITIMER_PROF, &self->timer);
}

static void compare(const state *before, const state *after, int signals_on) {
    for (int i = 1; i < 65; i++) {
        if (signals_on && (i == SIGSEGV || i == SIGILL || i == SIGFPE || i == SIGBUS)) {
            if (after->signals[i].sa_handler != before->signals[i].sa_handler)
                CHECK((after->signals[i].sa_flags & (SA_ONSTACK | SA_SIGINFO)) == (SA_ONSTACK | SA_SIGINFO));
            continue;
        }
        if (after->signals[i].sa_handler != before->signals[i].sa_handler || after->signals[i].sa_flags != before->signals[i].sa_flags)
            CHECK_FAIL("the disposition of signal %d changed", i);
    }
    for (int i = 1; i < 65; i++) CHECK_INT(sigismember(&after->mask, i), sigismember(&before->mask, i));
    CHECK(strcmp(after->locale, before->locale) == 0);
    CHECK(strcmp(after->directory, before->directory) == 0);
    CHECK(strcmp(after->name, before->name) == 0);
    CHECK_INT(after->umask_bits, before->umask_bits);
    CHECK(after->environment == before->environment);
    CHECK_INT(after->environment_len, before->environment_len);
    CHECK(memcmp(after->limits, before->limits, sizeof before->limits) == 0);
    CHECK_INT(after->dumpable, before->dumpable);
    CHECK_INT(after->no_new_privs, before->no_new_privs);
    CHECK_INT(after->keepcaps, before->keepcaps);
    CHECK_INT(after->nice_value, before->nice_value);
    CHECK(memcmp(&after->timer, &before->timer, sizeof before->timer) == 0);
}

static int entries(const char *directory) {
    DIR *list = opendir(directory);
    int count = 0;
    CHECK(list != NULL);
    while (readdir(list) != NULL) count++;
    closedir(list);
    return count;
}
static int descriptors(void) { return entries("/proc/self/fd"); }
static int threads(void) { return entries("/proc/self/task"); }

/* Descriptors of the library that a program started by the host would inherit. */
static char not_ours[1024];
static void check_close_on_exec(void) {
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !(flags & FD_CLOEXEC) && !not_ours[fd]) {
            char link[64], target[256] = "";
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            ssize_t len = readlink(link, target, sizeof target - 1);
            (void)len;
            CHECK_FAIL("descriptor %d (%s) is inherited by programs", fd, target);
        }
    }
}

static int32_t exit_in_callback(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    (void)user_data, (void)host_call, (void)reply;
    exit(0);
}
static void exit_in_completion(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error, size_t error_len) {
    (void)user_data, (void)status, (void)result, (void)result_len, (void)error, (void)error_len;
    exit(0);
}
static void *spin_thread(void *argument) {
    dynamic_call((const goatflow_plugin_manager *)argument, "spin");
    return NULL;
}
static void *call_and_end(void *argument) {
    EXPECT((const goatflow_plugin_manager *)argument, "echo", OK);
    EXPECT((const goatflow_plugin_manager *)argument, "wild", PLUGIN_TRAP);
    return NULL;
}
static const goatflow_plugin_operation *start(const goatflow_plugin_manager *m, const char *function, goatflow_plugin_completion_fn completion) {
    const goatflow_plugin_operation *operation = NULL;
    CHECK_INT(lib.call_async(m, "guest-a", 7, function, strlen(function), (const uint8_t *)"{}", 2, NULL, completion, NULL, NULL, &operation, NULL), 0);
    return operation;
}

/* Worker threads never end; there are as many as ever were busy at once: make some now, so that none comes later. */
static void fill_workers(int off) {
    enum { WORKERS = 8 };
    const goatflow_plugin_manager *managers[WORKERS];
    const goatflow_plugin_operation *operations[WORKERS];
    goatflow_plugin_call_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.timeout_ms = 300;
    for (int i = 0; i < WORKERS; i++) {
        managers[i] = dynamic_manager(off);
        CHECK_INT(lib.call_async(managers[i], "guest-a", 7, "spin", 4, NULL, 0, &options, NULL, NULL, NULL, &operations[i], NULL), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        goatflow_plugin_buffer out = {NULL, 0, 0};
        CHECK_INT(lib.wait(operations[i], UINT64_MAX, &out, NULL), GOATFLOW_PLUGIN_STATUS_PLUGIN_DEADLINE);
        lib.operation_free(operations[i]);
        lib.manager_free(managers[i]);
    }
}

/* The latest moments: a thread's own data is being destroyed, or the process is past exit(). */
static const goatflow_plugin_manager *late_manager;
static pthread_key_t late_key;
static int late_calls;
static void call_late(void *value) {
    EXPECT(late_manager, "echo", OK);
    EXPECT(late_manager, "wild", PLUGIN_TRAP);
    EXPECT(late_manager, "recurse", PLUGIN_STACK_EXHAUSTED);
    EXPECT(late_manager, "echo", OK);
    if (++late_calls < 3) pthread_setspecific(late_key, value); /* and once more, in the next round of destructors */
}
static void *end_late(void *argument) {
    if (argument != NULL) EXPECT(late_manager, "echo", OK);
    pthread_setspecific(late_key, &late_calls);
    return NULL;
}
static void call_at_exit(void) {
    EXPECT(late_manager, "echo", OK);
    EXPECT(late_manager, "wild", PLUGIN_TRAP);
    lib.manager_free(late_manager);
    CHECK_INT(dynamic_call(late_manager, "echo"), GOATFLOW_PLUGIN_STATUS_ARGUMENT_HANDLE);
}

static int run(const char *name) {
    check_case_name = name;
    alarm(60 * (unsigned)check_slow());
#define SCENARIO(text) if (strcmp(name, text) == 0)
    int off = strncmp(name, "off-", 4) == 0;
    if (off) name += 4;
    SCENARIO("unchanged") {
        state before, after;
        signal(SIGPIPE, SIG_DFL);
        signal(SIGCHLD, SIG_DFL);
        setlocale(LC_ALL, "C.UTF-8");
        umask(027);
        CHECK(chdir("/tmp") == 0);
        take(&before);
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        dynamic_traps(m);
        lib.operation_free(start(m, "echo", NULL));
        take(&after);
        compare(&before, &after, !off);
        lib.manager_free(m);
        take(&after);
        compare(&before, &after, !off);
        return 0;
    }
    SCENARIO("unchanged-ignoring") {
        state before, after;
        sigset_t some;
        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_IGN);
        sigemptyset(&some);
        sigaddset(&some, SIGTERM);
        sigaddset(&some, SIGUSR2);
        pthread_sigmask(SIG_SETMASK, &some, NULL);
        take(&before);
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        dynamic_traps(m);
        lib.manager_free(m);
        take(&after);
        compare(&before, &after, !off);
        return 0;
    }
    SCENARIO("silent") { /* a plugin that traps, logs and fails must not make the library print */
        int files[2];
        char text[256];
        CHECK(pipe2(files, O_NONBLOCK) == 0);
        int out = dup(1), error = dup(2);
        dup2(files[1], 1);
        dup2(files[1], 2);
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        dynamic_traps(m);
        EXPECT(m, "log", OK);
        lib.manager_free(m);
        lib.manager_free(m);
        dup2(out, 1);
        dup2(error, 2);
        ssize_t got = read(files[0], text, sizeof text);
        if (got > 0) CHECK_FAIL("the library printed %.*s", (int)got, text);
        return 0;
    }
    SCENARIO("returned") { /* descriptors and threads of a manager go with it */
        for (int fd = 0; fd < 1024; fd++) not_ours[fd] = fcntl(fd, F_GETFD) >= 0;
        dynamic_open();
        fill_workers(off);
        const goatflow_plugin_manager *m = dynamic_manager(off);
        dynamic_traps(m);
        lib.operation_free(start(m, "echo", NULL));
        check_close_on_exec();
        lib.manager_free(m);
        check_sleep_ms(300);
        int descriptors_before = descriptors(), threads_before = threads();
        for (int i = 0; i < 20; i++) {
            const goatflow_plugin_queue *queue = NULL;
            int32_t fd = -1;
            m = dynamic_manager(off);
            dynamic_traps(m);
            const goatflow_plugin_operation *operation = start(m, "echo", NULL);
            goatflow_plugin_buffer result = {NULL, 0, 0};
            CHECK_INT(lib.wait(operation, 20000, &result, NULL), 0);
            lib.buffer_free(&result);
            lib.operation_free(operation);
            CHECK_INT(lib.queue_new(&queue, NULL), 0);
            CHECK_INT(lib.queue_fd(queue, &fd, NULL), 0);
            check_close_on_exec();
            lib.queue_free(queue);
            CHECK(fcntl(fd, F_GETFD) == -1);
            lib.manager_free(m);
        }
        int64_t until = check_now_ms() + 5000;
        while ((descriptors() > descriptors_before || threads() > threads_before) && check_now_ms() < until) check_sleep_ms(10);
        CHECK_INT(descriptors(), descriptors_before);
        CHECK(threads() <= threads_before);
        printf("   %d threads stay when no manager lives\n", threads_before - 3); /* . and .. and this one */
        return 0;
    }
    SCENARIO("dlclose") {
        for (int i = 0; i < 20; i++) {
            dynamic_open();
            const goatflow_plugin_manager *m = dynamic_manager(off);
            dynamic_traps(m);
            if (i % 2) lib.manager_free(m); /* or leave it: the library stays mapped */
            CHECK(dlclose(lib.library) == 0);
        }
        check_sleep_ms(50);
        dynamic_open();
        dynamic_traps(dynamic_manager(off));
        return 0;
    }
    SCENARIO("dlclose-busy") { /* closed while calls run */
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        start(m, "spin", NULL);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, spin_thread, (void *)(uintptr_t)m) == 0);
        check_sleep_ms(30);
        CHECK(dlclose(lib.library) == 0);
        check_sleep_ms(100);
        dynamic_open();
        EXPECT(dynamic_manager(off), "echo", OK);
        return 0;
    }
    SCENARIO("thread-outlives") { /* a thread that called ends after everything was freed and closed */
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, call_and_end, (void *)(uintptr_t)m) == 0);
        check_sleep_ms(100);
        pthread_join(thread, NULL);
        lib.manager_free(m);
        dlclose(lib.library);
        return 0;
    }
    SCENARIO("exit-busy") {
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        start(m, "spin", NULL);
        start(m, "spin", NULL);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, spin_thread, (void *)(uintptr_t)m) == 0);
        check_sleep_ms(30);
        alarm(10 * (unsigned)check_slow()); /* exit waits for nobody */
        exit(0);
    }
    SCENARIO("exit-unfreed") {
        dynamic_open();
        dynamic_traps(dynamic_manager(off));
        exit(0);
    }
    SCENARIO("exit-in-callback") {
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        static const char declaration[] = "{\"name\":\"leave\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}";
        CHECK_INT(lib.declare(m, declaration, strlen(declaration), exit_in_callback, NULL, NULL, NULL), 0);
        dynamic_call(m, "h_leave");
        return 3;
    }
    SCENARIO("exit-in-completion") {
        dynamic_open();
        start(dynamic_manager(off), "echo", exit_in_completion);
        check_sleep_ms(20000);
        return 3;
    }
    SCENARIO("main-thread-ends") {
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        start(m, "echo", exit_in_completion);
        pthread_exit(NULL);
    }
    SCENARIO("thread-destructors") {
        dynamic_open();
        late_manager = dynamic_manager(off);
        CHECK(pthread_key_create(&late_key, call_late) == 0);
        for (int first_call_inside = 0; first_call_inside < 2; first_call_inside++) {
            pthread_t thread;
            late_calls = 0;
            CHECK(pthread_create(&thread, NULL, end_late, first_call_inside ? NULL : &late_key) == 0);
            pthread_join(thread, NULL);
            CHECK_INT(late_calls, 3);
        }
        return 0;
    }
    SCENARIO("atexit") {
        dynamic_open();
        late_manager = dynamic_manager(off);
        EXPECT(late_manager, "echo", OK);
        CHECK(atexit(call_at_exit) == 0);
        exit(0);
    }
    SCENARIO("few-descriptors") { /* no descriptors left: errors, no crash, and all well afterwards */
        dynamic_open();
        const goatflow_plugin_manager *m = dynamic_manager(off);
        int taken[4096], count = 0;
        struct rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_cur < 256 ? limit.rlim_cur : 256;
        setrlimit(RLIMIT_NOFILE, &limit);
        while (count < 4096 && (taken[count] = dup(0)) >= 0) count++;
        const goatflow_plugin_queue *queue = NULL;
        int32_t status = lib.queue_new(&queue, NULL);
        int32_t fd = -1;
        if (status == 0) status = lib.queue_fd(queue, &fd, NULL);
        if (status != 0) CHECK_INT(status, GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_RESOURCES);
        lib.queue_free(queue);
        const goatflow_plugin_manager *other = NULL;
        status = lib.manager_new(NULL, 0, &other, NULL);
        CHECK(status == 0 || (status >= 800 && status < 900));
        lib.manager_free(other);
        dynamic_traps(m);
        while (count > 0) close(taken[--count]);
        dynamic_traps(m);
        dynamic_traps(dynamic_manager(off));
        return 0;
    }
    SCENARIO("few-threads") { /* no threads to be had: errors, no crash */
        if (geteuid() == 0) {
            if (setgid(65534) != 0 || setuid(65534) != 0) return 0; /* limits on threads do not hold for root */
        }
        struct rlimit limit;
        limit.rlim_cur = limit.rlim_max = 1;
        setrlimit(RLIMIT_NPROC, &limit);
        dynamic_open();
        const goatflow_plugin_manager *m = NULL;
        int32_t status = lib.manager_new(NULL, 0, &m, NULL);
        if (status != 0 && (status < 800 || status >= 900)) CHECK_FAIL("manager_new gave %s", lib.slug(status));
        printf("   manager_new without threads: %s\n", lib.slug(status));
        if (status == 0) {
            goatflow_plugin_buffer out = {NULL, 0, 0};
            char path[1024];
            snprintf(path, sizeof path, "%s/guest-a.wasm", getenv("GOATFLOW_TEST_GUESTS"));
            status = lib.load(m, path, strlen(path), NULL, 0, &out, NULL);
            printf("   load without threads: %s\n", lib.slug(status));
            lib.buffer_free(&out);
            const goatflow_plugin_operation *operation = NULL;
            status = lib.call_async(m, "guest-a", 7, "echo", 4, NULL, 0, NULL, NULL, NULL, NULL, &operation, NULL);
            printf("   call_async without threads: %s\n", lib.slug(status));
            if (status == 0) {
                status = lib.wait(operation, 3000, &out, NULL);
                CHECK(status != GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PENDING);
            }
            lib.manager_free(m);
        }
        return 0;
    }
    return 127;
}

int main(int argc, char **argv) {
    if (argc > 1) return run(argv[1]);
    SURVIVES("unchanged", "signals, locale, umask, directory, environment, limits stay as they were");
    SURVIVES("off-unchanged", "the same with signals off, and no handler at all");
    SURVIVES("unchanged-ignoring", "ignored SIGPIPE and SIGCHLD and blocked signals stay so");
    SURVIVES("silent", "the library prints nothing");
    SURVIVES("returned", "descriptors and threads come back, and no descriptor is inherited");
    SURVIVES("dlclose", "dlopen, use, dlclose, twenty times");
    SURVIVES("dlclose-busy", "dlclose while calls run");
    SURVIVES("thread-outlives", "a thread that called ends after dlclose");
    SURVIVES("exit-busy", "exit while calls run");
    SURVIVES("exit-unfreed", "exit with nothing freed");
    SURVIVES("exit-in-callback", "exit inside a host callback");
    SURVIVES("exit-in-completion", "exit inside a completion callback");
    SURVIVES("main-thread-ends", "the main thread ends before the others");
    SURVIVES("few-descriptors", "no descriptors left");
    SURVIVES("few-threads", "no threads to be had");
    SURVIVES("thread-destructors", "calls while a thread's own data is being destroyed");
    SURVIVES("atexit", "calls after exit() was called");
    return check_done();
}
