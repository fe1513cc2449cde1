/* Hosts of native plugins that exec, fork, lose threads, are killed, storm with signals or run out of something: no process of
 * the plugin outlives its host by a second, and what lives goes on. Each host is a process of its own. */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PLUGIN S("contract-suite")
static const char policies[] =
    "{\"version\":1,\"health\":{\"interval_ms\":0},\"policies\":{\"contract-suite\":{\"version\":1,\"status\":\"approved\","
    "\"permissions\":[],\"call_timeout\":\"120s\",\"isolation\":{\"minimum\":1}}}}";

/* --- The host's side ------------------------------------------------------------------------------------------------- */

static const goatflow_plugin_manager *m;

static const goatflow_plugin_manager *empty_manager(void) {
    const goatflow_plugin_manager *manager = NULL;
    CHECK_OK(goatflow_plugin_manager_new(S(policies), &manager, ERR));
    return manager;
}
static int32_t try_load(const goatflow_plugin_manager *manager) {
    buffer name = BUFFER_INIT;
    const char *path = plugin_path("contract-go");
    int32_t status = goatflow_plugin_manager_load(manager, S(path), EMPTY, &name, NULL);
    goatflow_plugin_buffer_free(&name);
    return status;
}
static const goatflow_plugin_manager *native_manager(void) {
    const goatflow_plugin_manager *manager = empty_manager();
    load(manager, plugin_path("contract-go"));
    return manager;
}
static int answers(const goatflow_plugin_manager *manager) {
    buffer out = BUFFER_INIT;
    int32_t status = call(manager, "contract-suite", "echo", "1", &out, NULL);
    int is_right = status == 0 && check_buffer_is(&out, "1");
    goatflow_plugin_buffer_free(&out);
    return is_right;
}
static void crash(const goatflow_plugin_manager *manager) {
    buffer out = BUFFER_INIT;
    CHECK_STATUS(call(manager, "contract-suite", "crash", "{}", &out, NULL), PLUGIN_EXITED);
    goatflow_plugin_manager_reset_crash_loop(manager, PLUGIN, &out, NULL);
    goatflow_plugin_buffer_free(&out);
}
static int entries(const char *directory) {
    DIR *list = opendir(directory);
    int count = 0;
    CHECK(list != NULL);
    while (readdir(list) != NULL) count++;
    closedir(list);
    return count;
}

/* Tells the test that the plugin runs, and waits until the test lets this host go on. */
static void ready(void) {
    char go;
    CHECK(write(STDOUT_FILENO, "!", 1) == 1);
    CHECK(read(STDIN_FILENO, &go, 1) == 1);
}
static pid_t pausing_child(void) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, 0);
        for (;;) pause();
    }
    return pid;
}

static void *load_elsewhere(void *unused) {
    (void)unused;
    m = native_manager();
    check_error_clear();
    return NULL;
}
static void *go_on_without_main(void *unused) {
    (void)unused;
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)getpid());
    while (state != 'Z') { /* until the main thread has ended */
        FILE *file = fopen(path, "r");
        CHECK(file != NULL && fscanf(file, "%*d %*s %c", &state) == 1);
        fclose(file);
    }
    CHECK(answers(m));
    crash(m);
    CHECK_SOON(answers(m));
    const goatflow_plugin_manager *other = native_manager();
    CHECK(answers(other));
    goatflow_plugin_manager_free(other);
    ready();
    CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 10000, ERR));
    fflush(stdout);
    _exit(0);
}

static int stop_forking;
static void *fork_all_the_time(void *unused) {
    (void)unused;
    pid_t children[400];
    int count = 0;
    while (!get(&stop_forking) && count < 400) {
        children[count++] = pausing_child();
        check_sleep_ms(1);
    }
    while (!get(&stop_forking)) check_sleep_ms(1);
    while (count > 0) kill(children[--count], SIGKILL);
    return NULL;
}

static int storm_over, taken;
static void take_signal(int signal) {
    (void)signal;
    int before = errno;
    add(&taken, 1);
    while (waitpid(-1, NULL, WNOHANG) > 0) {} /* as many hosts do it */
    errno = before;
}
static void *storm(void *unused) {
    (void)unused;
    static const int signals[] = {SIGCHLD, SIGTERM, SIGUSR1, SIGALRM, SIGPIPE, SIGHUP};
    for (unsigned i = 0; !get(&storm_over); i++) {
        kill(getpid(), signals[i % 6]);
        if (i % 16 == 0) sched_yield();
    }
    return NULL;
}

static int32_t statuses[4];
static int running;
static void *long_call(void *place) {
    buffer out = BUFFER_INIT;
    add(&running, 1);
    *(int32_t *)place = call(m, "contract-suite", "sleep", "{\"ms\":100000}", &out, NULL);
    goatflow_plugin_buffer_free(&out);
    return NULL;
}
static pthread_t callers[4];
static void calls_in_flight(void) {
    m = native_manager();
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&callers[i], NULL, long_call, &statuses[i]) == 0);
    CHECK_SOON(get(&running) == 4);
    for (int seen = 0; !seen;) { /* until all of them are counted */
        buffer out = BUFFER_INIT;
        CHECK_OK(goatflow_plugin_manager_stats(m, PLUGIN, &out, ERR));
        seen = check_contains((const char *)out.data, out.len, "\"in_flight\":4");
        goatflow_plugin_buffer_free(&out);
    }
}
static void calls_ended_with(int32_t status) {
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(callers[i], NULL) == 0);
        CHECK_INT(statuses[i], status);
    }
}

static int host(const char *name) {
    check_case_name = name;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#define HOST(text) if (strcmp(name, text) == 0)
    HOST("waits") {
        m = native_manager();
        ready();
        return 0;
    }
    HOST("exec") {
        m = native_manager();
        ready();
        execl("/bin/sleep", "sleep", "100", (char *)NULL);
    }
    HOST("exec-with-child") { /* a child has copies of all descriptors, and the process keeps its number */
        m = native_manager();
        ready();
        pausing_child();
        execl("/bin/sleep", "sleep", "100", (char *)NULL);
    }
    HOST("with-child") {
        m = native_manager();
        pausing_child();
        ready();
    }
    HOST("loads") {
        load_elsewhere(NULL);
        pause();
    }
    HOST("children-end") {
        m = native_manager();
        for (int how = 0; how < 3; how++) {
            int status = 0;
            pid_t pid = fork();
            if (pid == 0) {
                buffer out = BUFFER_INIT;
                int32_t called = call(m, "contract-suite", "echo", "1", &out, NULL);
                if (called != GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_FORKED) _exit(9);
                if (goatflow_plugin_manager_unload(m, PLUGIN, 10, NULL) != GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_FORKED) _exit(8);
                goatflow_plugin_manager_free(m);
                if (how == 0) _exit(7);
                if (how == 1) exit(7);
                raise(SIGKILL);
            }
            CHECK(waitpid(pid, &status, 0) == pid);
            CHECK(how == 2 ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 7);
            CHECK(answers(m));
        }
        ready();
        return 0;
    }
    HOST("thread-ends") {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, load_elsewhere, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(answers(m));
        crash(m);
        CHECK_SOON(answers(m));
        ready();
        return 0;
    }
    HOST("main-thread-ends") {
        pthread_t thread;
        m = native_manager();
        CHECK(pthread_create(&thread, NULL, go_on_without_main, NULL) == 0);
        pthread_exit(NULL);
    }
    HOST("forks-during-starts") {
        pthread_t thread;
        m = empty_manager();
        CHECK(pthread_create(&thread, NULL, fork_all_the_time, NULL) == 0);
        for (int i = 0; i < 20; i++) {
            load(m, plugin_path("contract-go"));
            CHECK(answers(m));
            if (i % 2) crash(m);
            CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 5000, ERR));
        }
        set(&stop_forking, 1);
        CHECK(pthread_join(thread, NULL) == 0);
        return 0;
    }
    HOST("signal-storm") {
        struct sigaction ours;
        pthread_t thread;
        memset(&ours, 0, sizeof ours);
        ours.sa_handler = take_signal; /* without SA_RESTART: system calls are interrupted */
        for (int i = 1; i < 32; i++)
            if (i != SIGKILL && i != SIGSTOP && i != SIGSEGV && i != SIGBUS && i != SIGILL && i != SIGFPE && i != SIGABRT) sigaction(i, &ours, NULL);
        CHECK(pthread_create(&thread, NULL, storm, NULL) == 0);
        m = native_manager();
        for (int i = 0; i < 10; i++) {
            CHECK(answers(m));
            crash(m);
            CHECK_SOON(answers(m));
        }
        CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 5000, ERR));
        CHECK(get(&taken) > 100);
        set(&storm_over, 1);
        CHECK(pthread_join(thread, NULL) == 0);
        return 0;
    }
    HOST("no-child-wait") {
        struct sigaction ours;
        sigset_t all;
        memset(&ours, 0, sizeof ours);
        ours.sa_handler = SIG_DFL;
        ours.sa_flags = SA_NOCLDWAIT;
        CHECK(sigaction(SIGCHLD, &ours, NULL) == 0);
        sigfillset(&all); /* and nothing gets through to any thread */
        CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
        m = native_manager();
        for (int i = 0; i < 3; i++) {
            crash(m);
            CHECK_SOON(answers(m));
        }
        CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 5000, ERR));
        CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
        return 0;
    }
    HOST("disabled-in-flight") {
        calls_in_flight();
        CHECK_STATUS(goatflow_plugin_manager_disable(m, PLUGIN, 50, ERR), LIFECYCLE_BUSY);
        CHECK(!answers(m));
        CHECK_OK(goatflow_plugin_manager_enable(m, PLUGIN, ERR));
        CHECK(answers(m)); /* beside the calls that go on */
        CHECK_STATUS(goatflow_plugin_manager_unload(m, PLUGIN, 50, ERR), LIFECYCLE_BUSY);
        calls_ended_with(GOATFLOW_PLUGIN_STATUS_PLUGIN_EXITED);
        return 0;
    }
    HOST("shut-down-in-flight") {
        buffer out = BUFFER_INIT;
        calls_in_flight();
        CHECK_OK(goatflow_plugin_manager_shutdown(m, 50, &out, ERR));
        CHECK_CONTAINS(out, "\"drained\":false");
        calls_ended_with(GOATFLOW_PLUGIN_STATUS_PLUGIN_EXITED);
        CHECK_STATUS(call(m, "contract-suite", "echo", "1", &out, ERR), LIFECYCLE_SHUT_DOWN);
        return 0;
    }
    HOST("freed-in-flight") {
        buffer out = BUFFER_INIT;
        calls_in_flight();
        goatflow_plugin_manager_free(m);
        calls_ended_with(GOATFLOW_PLUGIN_STATUS_PLUGIN_EXITED);
        CHECK_STATUS(call(m, "contract-suite", "echo", "1", &out, ERR), ARGUMENT_HANDLE);
        return 0;
    }
    HOST("two-managers") {
        const goatflow_plugin_manager *other = native_manager();
        m = native_manager();
        crash(m);
        CHECK(answers(other));
        CHECK_SOON(answers(m));
        goatflow_plugin_manager_free(m);
        CHECK(answers(other));
        m = native_manager();
        CHECK_OK(goatflow_plugin_manager_unload(other, PLUGIN, 5000, ERR));
        CHECK(answers(m));
        ready();
        return 0;
    }
    HOST("few-descriptors") { /* every number of descriptors up to one that is enough */
        struct rlimit limit;
        m = native_manager();
        CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 5000, ERR));
        CHECK_SOON(waitpid(-1, NULL, WNOHANG) == -1);
        int before = entries("/proc/self/fd"), failures = 0;
        int32_t status = -1;
        getrlimit(RLIMIT_NOFILE, &limit);
        for (rlim_t most = (rlim_t)before - 4; status != 0; most++) {
            CHECK(failures < 200);
            limit.rlim_cur = most;
            CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
            status = try_load(m);
            limit.rlim_cur = limit.rlim_max;
            CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
            if (status == 0) break;
            failures++;
            if (status < 800 || status >= 900) CHECK_FAIL("%d descriptors: %s", (int)most, goatflow_plugin_status_slug(status));
            CHECK_SOON(entries("/proc/self/fd") == before);
        }
        CHECK(failures > 5);
        CHECK(answers(m));
        CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 5000, ERR));
        return 0;
    }
    HOST("few-threads") { /* limits on threads do not hold for root */
        struct rlimit limit;
        if (geteuid() == 0) CHECK(setgid(65534) == 0 && setuid(65534) == 0);
        CHECK(prctl(PR_SET_DUMPABLE, 1) == 0); /* a process that changed its user can't look at itself otherwise */
        m = empty_manager();
        getrlimit(RLIMIT_NPROC, &limit);
        rlim_t most = limit.rlim_cur;
        for (rlim_t few = 1; few < 4; few++) {
            limit.rlim_cur = few;
            CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
            int32_t status = try_load(m);
            if (status < 800 || status >= 900) CHECK_FAIL("%d threads: %s", (int)few, goatflow_plugin_status_slug(status));
        }
        limit.rlim_cur = most;
        CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
        load(m, plugin_path("contract-go")); /* what was missing is not missed for good */
        CHECK(answers(m));
        CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 5000, ERR));
        return 0;
    }
    return 127;
}

/* --- The test's side ------------------------------------------------------------------------------------------------- */

typedef struct process {
    pid_t pid;
    int to, from;
    int family[64]; /* descriptors of the processes that it started */
    int members;
} process;

static process started(const char *name) {
    process self = {0, 0, 0, {0}, 0};
    int in[2], out[2];
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    fflush(stdout);
    self.pid = fork();
    CHECK(self.pid >= 0);
    if (self.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl("/proc/self/exe", "host", name, (char *)NULL);
        _exit(126);
    }
    close(in[0]);
    close(out[1]);
    self.to = in[1];
    self.from = out[0];
    return self;
}

static void collect_family(process *self, pid_t pid) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    CHECK(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, task->d_name);
        FILE *file = fopen(path, "r");
        int child;
        while (file != NULL && fscanf(file, "%d", &child) == 1) {
            int descriptor = (int)syscall(SYS_pidfd_open, child, 0);
            if (descriptor < 0 || self->members == 64) continue;
            self->family[self->members++] = descriptor;
            collect_family(self, child);
        }
        if (file != NULL) fclose(file);
    }
    closedir(tasks);
}

/* Waits until the host's plugin runs. */
static void await_ready(process *self) {
    char byte = 0;
    while (byte != '!') CHECK(read(self->from, &byte, 1) == 1);
    collect_family(self, self->pid);
    CHECK(self->members >= 2);
}
static void let_go_on(const process *self) { CHECK(write(self->to, "!", 1) == 1); }

/* `spared`: processes of the family that are children of the host itself, and go on. */
static void family_ends(process *self, int spared) {
    int64_t until = check_now_ms() + 1000 * check_slow();
    int alive;
    do {
        alive = 0;
        for (int i = 0; i < self->members; i++) {
            struct pollfd one = {self->family[i], POLLIN, 0};
            alive += poll(&one, 1, 0) == 0;
        }
        CHECK(alive >= spared);
        if (check_now_ms() > until) CHECK_FAIL("%d processes live a second longer than their host", alive - spared);
    } while (alive > spared);
}
/* Everything that came of a host is a child of this process by now. */
static void nobody_is_left(int64_t patience_ms) {
    int64_t until = check_now_ms() + patience_ms * check_slow();
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
        if (check_now_ms() > until) CHECK_FAIL("processes are left");
        if (pid == 0) check_sleep_ms(1);
    }
}
static void end(process *self) {
    kill(self->pid, SIGKILL);
    CHECK(waitpid(self->pid, NULL, 0) == self->pid);
    for (int i = 0; i < self->members; i++) {
        syscall(SYS_pidfd_send_signal, self->family[i], SIGKILL, NULL, 0);
        close(self->family[i]);
    }
    close(self->to);
    close(self->from);
    nobody_is_left(1000);
}
/* A host that tells by itself whether all is well. */
static void succeeds(const char *name) {
    process self = started(name);
    int status = 0;
    char byte;
    CHECK(write(self.to, "!", 1) == 1);
    while (read(self.from, &byte, 1) == 1) {}
    CHECK(waitpid(self.pid, &status, 0) == self.pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) CHECK_FAIL("host %s ended with status %d", name, status);
    close(self.to);
    close(self.from);
    nobody_is_left(2000);
}

static void kill_ends(const char *name, int spared) {
    process self = started(name);
    await_ready(&self);
    kill(self.pid, SIGKILL);
    family_ends(&self, spared);
    end(&self);
}
static void exec_ends(const char *name) {
    process self = started(name);
    await_ready(&self);
    let_go_on(&self);
    family_ends(&self, 0);
    collect_family(&self, self.pid);
    end(&self);
}

int main(int argc, char **argv) {
    if (argc > 1) return host(argv[1]);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CASE("a host that is killed takes its plugin along");
    kill_ends("waits", 0);
    CASE("also when a child of it goes on, with copies of its descriptors");
    kill_ends("with-child", 1);
    CASE("so does one that becomes another program");
    exec_ends("exec");
    CASE("also when a child goes on then");
    exec_ends("exec-with-child");
    CASE_WITHIN(120, "a host that is killed at any moment of a start leaves nothing");
    for (long step = 0; step < 80; step++) {
        process self = started("loads");
        struct timespec time = {0, step * 500000};
        nanosleep(&time, NULL);
        kill(self.pid, SIGKILL);
        close(self.to);
        close(self.from);
        nobody_is_left(1000);
    }
    CASE("forked children can't use plugins, and end without harm to them");
    succeeds("children-end");
    CASE("the thread that loaded a plugin ends");
    succeeds("thread-ends");
    CASE("the main thread ends");
    succeeds("main-thread-ends");
    CASE_WITHIN(120, "forks at any moment of a start");
    succeeds("forks-during-starts");
    CASE_WITHIN(120, "a storm of signals, and a handler that waits for every child");
    succeeds("signal-storm");
    CASE("nobody waits for children, and all signals are blocked");
    succeeds("no-child-wait");
    CASE("disabled and unloaded with calls in flight");
    succeeds("disabled-in-flight");
    CASE("shut down with calls in flight");
    succeeds("shut-down-in-flight");
    CASE("released with calls in flight");
    succeeds("freed-in-flight");
    CASE("two managers");
    succeeds("two-managers");
    CASE_WITHIN(120, "too few descriptors, one more each time");
    succeeds("few-descriptors");
    CASE("too few threads");
    succeeds("few-threads");
    check_error_clear();
    return check_done();
}
