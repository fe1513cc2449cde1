/* The end of things: after shutdown, after manager_free, after fork. */
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#define PLUGIN S("guest-a")

static void event_ignored(void *user_data, const char *event, size_t event_len) { (void)user_data, (void)event, (void)event_len; }
static int finalized;
static void on_finalize(void *user_data) { add((int *)user_data, 1); }
static int32_t answer_one(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    (void)user_data, (void)host_call;
    return goatflow_plugin_reply_set_result(reply, B("1"), NULL);
}

static void shutdown(void) {
    buffer out = BUFFER_INIT;
    CASE("shutdown of an idle manager reports");
    const goatflow_plugin_manager *m = manager_ready();
    const goatflow_plugin_function *function = NULL;
    const goatflow_plugin_queue *queue = NULL;
    CHECK_OK(goatflow_plugin_function_resolve(m, PLUGIN, S("echo"), &function, ERR));
    CHECK_OK(goatflow_plugin_queue_new(&queue, ERR));
    CHECK_OK(goatflow_plugin_manager_shutdown(m, 5000, &out, ERR));
    CHECK(out.len > 0 && out.data[0] == '{');
    goatflow_plugin_buffer_free(&out);

    CASE("after shutdown everything that works on plugins says so");
#define DOWN(call) CHECK_STATUS(call, LIFECYCLE_SHUT_DOWN)
    DOWN(call(m, "guest-a", "echo", "{}", &out, ERR));
    DOWN(goatflow_plugin_manager_load(m, S(guest("guest-b.wasm")), EMPTY, &out, ERR));
    DOWN(goatflow_plugin_manager_enable(m, PLUGIN, ERR));
    DOWN(goatflow_plugin_function_call(function, B("{}"), NULL, &out, ERR));
    const goatflow_plugin_function *none = NULL;
    DOWN(goatflow_plugin_function_resolve(m, PLUGIN, S("echo"), &none, ERR));
    uint8_t room[8];
    size_t len = 0;
    DOWN(goatflow_plugin_manager_call_into(m, PLUGIN, S("echo"), B("{}"), NULL, room, 8, &len, NULL, ERR));
    const goatflow_plugin_operation *operation = NULL;
    int32_t status = goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B("{}"), NULL, NULL, NULL, NULL, &operation, ERR);
    if (status == 0) {
        DOWN(goatflow_plugin_operation_wait(operation, 5000, &out, ERR));
        goatflow_plugin_operation_free(operation);
    } else {
        CHECK_INT(status, GOATFLOW_PLUGIN_STATUS_LIFECYCLE_SHUT_DOWN);
    }
    set(&finalized, 0);
    status = goatflow_plugin_manager_provide(m, S("db"), answer_one, &finalized, on_finalize, ERR);
    if (status != 0) {
        CHECK_INT(status, GOATFLOW_PLUGIN_STATUS_LIFECYCLE_SHUT_DOWN);
        CHECK_INT(get(&finalized), 1);
    }

    CASE("after shutdown the manager can still be asked, and shut down again");
#define FINE(call)                                                                                          \
    do {                                                                                                    \
        status = (call);                                                                                    \
        if (status != GOATFLOW_PLUGIN_STATUS_OK && status != GOATFLOW_PLUGIN_STATUS_LIFECYCLE_SHUT_DOWN)     \
            CHECK_FAIL("%s gave %s", #call, goatflow_plugin_status_slug(status));                           \
        goatflow_plugin_buffer_free(&out);                                                                  \
    } while (0)
    FINE(goatflow_plugin_manager_list(m, &out, ERR));
    FINE(goatflow_plugin_manager_stats(m, EMPTY, &out, ERR));
    FINE(goatflow_plugin_manager_logs(m, EMPTY, &out, ERR));
    FINE(goatflow_plugin_manager_clear_logs(m, ERR));
    FINE(goatflow_plugin_policy_get(m, PLUGIN, &out, ERR));
    FINE(goatflow_plugin_manager_shutdown(m, 0, &out, ERR));
    goatflow_plugin_function_free(function);
    goatflow_plugin_queue_free(queue);
    goatflow_plugin_manager_free(m);
    if (get(&finalized) == 0) CHECK_SOON(get(&finalized) == 1);

    CASE("shutdown within its time although a call never ends");
    m = manager_ready();
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("spin"), B("{}"), NULL, NULL, NULL, NULL, &operation, ERR));
    check_sleep_ms(50);
    int64_t before = check_now_ms();
    status = goatflow_plugin_manager_shutdown(m, 300, &out, ERR);
    CHECK(check_now_ms() - before < 3000 * check_slow());
    CHECK_ANY(status, OK, LIFECYCLE_BUSY, LIFECYCLE_BUSY);
    goatflow_plugin_buffer_free(&out);
    status = goatflow_plugin_operation_wait(operation, 40000, &out, ERR);
    CHECK_ANY(status, PLUGIN_CANCELLED, LIFECYCLE_SHUT_DOWN, PLUGIN_DEADLINE);
    goatflow_plugin_operation_free(operation);
    goatflow_plugin_manager_free(m);

    CASE("shutdown waits for a call that does end");
    m = manager_ready();
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 150;
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("spin"), B("{}"), &options, NULL, NULL, NULL, &operation, ERR));
    check_sleep_ms(30);
    CHECK_OK(goatflow_plugin_manager_shutdown(m, 10000 * (uint64_t)check_slow(), &out, ERR));
    goatflow_plugin_buffer_free(&out);
    /* The call has ended; its outcome is handed over a moment later, by the thread that made it. */
    status = goatflow_plugin_operation_wait(operation, 5000, &out, ERR);
    CHECK(status != GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PENDING);
    goatflow_plugin_operation_free(operation);
    goatflow_plugin_manager_free(m);
}

static void freed(void) {
    buffer out = BUFFER_INIT;
    CASE("after manager_free the handle is dead, what hangs on it fails, and freeing still works");
    const goatflow_plugin_manager *m = manager_ready();
    const goatflow_plugin_function *function = NULL;
    const goatflow_plugin_subscription *subscription = NULL;
    const goatflow_plugin_operation *operation = NULL;
    set(&finalized, 0);
    CHECK_OK(goatflow_plugin_function_resolve(m, PLUGIN, S("echo"), &function, ERR));
    CHECK_OK(goatflow_plugin_subscription_new(m, EMPTY, event_ignored, &finalized, on_finalize, &subscription, ERR));
    CHECK_OK(goatflow_plugin_manager_provide(m, S("db"), answer_one, &finalized, on_finalize, ERR));
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B("{\"x\":1}"), NULL, NULL, NULL, NULL, &operation, ERR));
    goatflow_plugin_manager_free(m);
    goatflow_plugin_manager_free(m);
#define DEAD(call) CHECK_STATUS(call, ARGUMENT_HANDLE)
    DEAD(call(m, "guest-a", "echo", "{}", &out, ERR));
    DEAD(goatflow_plugin_manager_list(m, &out, ERR));
    DEAD(goatflow_plugin_manager_shutdown(m, 0, &out, ERR));
    DEAD(goatflow_plugin_policy_get(m, PLUGIN, &out, ERR));
    CHECK_STATUS(goatflow_plugin_function_call(function, B("{}"), NULL, &out, ERR), LIFECYCLE_SHUT_DOWN);
    goatflow_plugin_subscription_free(subscription);
    goatflow_plugin_function_free(function); /* the last that keeps the manager's memory */
    CHECK_SOON(get(&finalized) == 2);
    goatflow_plugin_operation_free(operation);
    check_sleep_ms(5);
    CHECK_INT(get(&finalized), 2);

    CASE("a manager is freed while a call runs: the call ends by itself");
    m = manager_ready();
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 200;
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("spin"), B("{}"), &options, NULL, NULL, NULL, &operation, ERR));
    check_sleep_ms(30);
    int64_t before = check_now_ms();
    goatflow_plugin_manager_free(m);
    CHECK(check_now_ms() - before < 100 * check_slow());
    int32_t status = goatflow_plugin_operation_wait(operation, 20000, &out, ERR);
    CHECK_ANY(status, PLUGIN_DEADLINE, PLUGIN_CANCELLED, LIFECYCLE_SHUT_DOWN);
    goatflow_plugin_operation_free(operation);

    CASE("managers come and go, many at once, each with its own plugins");
    const goatflow_plugin_manager *many[10];
    for (int i = 0; i < 10; i++) many[i] = manager_ready();
    for (int i = 0; i < 10; i++) CHECK_CALL(many[i], "guest-a", "count", "{}", "1");
    for (int i = 9; i >= 0; i -= 2) goatflow_plugin_manager_free(many[i]);
    for (int i = 0; i < 10; i += 2) {
        CHECK_CALL(many[i], "guest-a", "count", "{}", "2");
        goatflow_plugin_manager_free(many[i]);
    }
}

/* Everything a forked child could try. Ends the child with 0 when all of it was refused as it should be. */
static const goatflow_plugin_manager *fork_m;
static const goatflow_plugin_function *fork_function;
static const goatflow_plugin_queue *fork_queue;
static const goatflow_plugin_operation *fork_operation;
static const goatflow_plugin_subscription *fork_subscription;
static const goatflow_plugin_cancellation *fork_cancellation;
static const goatflow_plugin_error *fork_error;
static buffer fork_buffer;

static void child(void) {
    alarm(30 * (unsigned)check_slow());
    buffer out = BUFFER_INIT;
    size_t len = 0;
    uint8_t room[8];
    int32_t fd;
    goatflow_plugin_completion completion;
    const goatflow_plugin_manager *manager = NULL;
    const goatflow_plugin_queue *queue = NULL;
    const goatflow_plugin_operation *operation = NULL;
    const goatflow_plugin_cancellation *cancellation = NULL;
    const goatflow_plugin_function *function = NULL;
    const goatflow_plugin_subscription *subscription = NULL;
    /* Errors of a child are its own: its error objects live, and are freed, as anywhere. */
#define FORKED(call) CHECK_STATUS(call, ENVIRONMENT_FORKED)
    FORKED(call(fork_m, "guest-a", "echo", "{}", &out, ERR));
    FORKED(call(fork_m, "guest-a", "echo", "{}", &out, NULL));
    FORKED(goatflow_plugin_manager_call_into(fork_m, PLUGIN, S("echo"), B("{}"), NULL, room, 8, &len, NULL, ERR));
    FORKED(goatflow_plugin_manager_call_async(fork_m, PLUGIN, S("echo"), B("{}"), NULL, NULL, NULL, NULL, &operation, ERR));
    FORKED(goatflow_plugin_manager_call_enqueue(fork_m, PLUGIN, S("echo"), B("{}"), NULL, fork_queue, 1, NULL, ERR));
    FORKED(goatflow_plugin_function_call(fork_function, B("{}"), NULL, &out, ERR));
    FORKED(goatflow_plugin_function_call_into(fork_function, B("{}"), NULL, room, 8, &len, NULL, ERR));
    FORKED(goatflow_plugin_function_resolve(fork_m, PLUGIN, S("echo"), &function, ERR));
    FORKED(goatflow_plugin_manager_load(fork_m, S(guest("guest-b.wasm")), EMPTY, &out, ERR));
    FORKED(goatflow_plugin_manager_unload(fork_m, PLUGIN, 10, ERR));
    FORKED(goatflow_plugin_manager_list(fork_m, &out, ERR));
    FORKED(goatflow_plugin_manager_registration(fork_m, PLUGIN, &out, ERR));
    FORKED(goatflow_plugin_manager_enable(fork_m, PLUGIN, ERR));
    FORKED(goatflow_plugin_manager_disable(fork_m, PLUGIN, 10, ERR));
    FORKED(goatflow_plugin_manager_stats(fork_m, EMPTY, &out, ERR));
    FORKED(goatflow_plugin_manager_logs(fork_m, EMPTY, &out, ERR));
    FORKED(goatflow_plugin_manager_clear_logs(fork_m, ERR));
    FORKED(goatflow_plugin_manager_shutdown(fork_m, 100, &out, ERR));
    FORKED(goatflow_plugin_policy_get(fork_m, PLUGIN, &out, ERR));
    FORKED(goatflow_plugin_policy_set(fork_m, PLUGIN, EMPTY, ANY_REVISION, NULL, ERR));
    set(&finalized, 0);
    FORKED(goatflow_plugin_manager_provide(fork_m, S("db"), answer_one, &finalized, on_finalize, ERR));
    FORKED(goatflow_plugin_manager_declare(fork_m, S("{\"name\":\"x\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}"), answer_one, &finalized, on_finalize, ERR));
    FORKED(goatflow_plugin_subscription_new(fork_m, EMPTY, event_ignored, &finalized, on_finalize, &subscription, ERR));
    CHECK_INT(get(&finalized), 3);
    FORKED(goatflow_plugin_operation_wait(fork_operation, UINT64_MAX, &out, ERR));
    FORKED(goatflow_plugin_operation_cancel(fork_operation, ERR));
    FORKED(goatflow_plugin_queue_fd(fork_queue, &fd, ERR));
    FORKED(goatflow_plugin_queue_next(fork_queue, &completion, 1, UINT64_MAX, &len, ERR));
    FORKED(goatflow_plugin_cancellation_cancel(fork_cancellation, ERR));
    FORKED(goatflow_plugin_manager_new(EMPTY, &manager, ERR));
    FORKED(goatflow_plugin_queue_new(&queue, ERR));
    FORKED(goatflow_plugin_cancellation_new(&cancellation, ERR));
    /* What needs no state of the library goes on working. */
    CHECK_INT(goatflow_plugin_abi_version(), GOATFLOW_PLUGIN_ABI_VERSION);
    CHECK(strcmp(goatflow_plugin_status_slug(GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_FORKED), "environment.forked") == 0);
    goatflow_plugin_buffer_free(&fork_buffer);
    CHECK(fork_buffer.data == NULL);
    /* Freeing is no work and no harm, in the wrong order as well. */
    goatflow_plugin_manager_free(fork_m);
    goatflow_plugin_manager_free(fork_m);
    goatflow_plugin_subscription_free(fork_subscription);
    goatflow_plugin_function_free(fork_function);
    goatflow_plugin_operation_free(fork_operation);
    goatflow_plugin_queue_free(fork_queue);
    goatflow_plugin_cancellation_free(fork_cancellation);
    goatflow_plugin_error_free(fork_error);
}

/* A normal exit with all its clean-up. In a child of valgrind that would be a leak check of threads that are not there: become
 * another program instead. */
static void leave_child(void) {
    if (check_slow() > 1) execl("/bin/true", "true", (char *)NULL);
    exit(0);
}

static void expect_child(pid_t pid) {
    int status = 0;
    CHECK(pid > 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        CHECK_FAIL("the child ended with %s %d", WIFEXITED(status) ? "exit code" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void *call_for_ever(void *argument) {
    int *stop = (int *)argument;
    buffer out = BUFFER_INIT;
    while (!get(stop)) {
        if (call(fork_m, "guest-b", "echo", "{}", &out, NULL) == 0) goatflow_plugin_buffer_free(&out);
        goatflow_plugin_call_options options = options_init();
        options.timeout_ms = 1;
        goatflow_plugin_manager_call(fork_m, S("guest-b"), S("spin"), B("{}"), &options, &out, NULL);
    }
    return NULL;
}

static void forked(void) {
    buffer out = BUFFER_INIT;
    CASE("a forked child is told so by every function, and exits cleanly");
    fork_m = manager_ready();
    load(fork_m, guest("guest-b.wasm"));
    CHECK_OK(goatflow_plugin_function_resolve(fork_m, PLUGIN, S("echo"), &fork_function, ERR));
    CHECK_OK(goatflow_plugin_queue_new(&fork_queue, ERR));
    CHECK_OK(goatflow_plugin_cancellation_new(&fork_cancellation, ERR));
    CHECK_OK(goatflow_plugin_subscription_new(fork_m, EMPTY, event_ignored, NULL, NULL, &fork_subscription, ERR));
    CHECK_OK(goatflow_plugin_manager_call_async(fork_m, PLUGIN, S("echo"), B("{}"), NULL, NULL, NULL, NULL, &fork_operation, ERR));
    CHECK_STATUS(goatflow_plugin_manager_unload(fork_m, S("absent"), 0, &fork_error), LIFECYCLE_PLUGIN_NOT_FOUND);
    CHECK_OK(goatflow_plugin_manager_list(fork_m, &fork_buffer, ERR));
    check_error_clear();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        child();
        leave_child();
    }
    expect_child(pid);

    CASE("the parent did not notice");
    CHECK_CALL(fork_m, "guest-a", "echo", "{\"p\":1}", "{\"p\":1}");
    CHECK_OK(goatflow_plugin_operation_wait(fork_operation, UINT64_MAX, &out, ERR));
    CHECK_TEXT(out, "{}");
    CHECK_OK(goatflow_plugin_manager_call_enqueue(fork_m, PLUGIN, S("echo"), B("{}"), NULL, fork_queue, 1, NULL, ERR));
    goatflow_plugin_completion completion;
    size_t count = 0;
    CHECK_OK(goatflow_plugin_queue_next(fork_queue, &completion, 1, 10000, &count, ERR));
    CHECK_INT(count, 1);
    goatflow_plugin_buffer_free(&completion.result);
    goatflow_plugin_buffer_free(&fork_buffer);

    CASE("fork while other threads are inside the library: the child never hangs");
    enum { THREADS = 4, FORKS = 30 };
    pthread_t threads[THREADS];
    int stop = 0;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, call_for_ever, &stop) == 0);
    for (int i = 0; i < FORKS; i++) {
        check_sleep_ms(i % 5);
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            alarm(30 * (unsigned)check_slow());
            CHECK_STATUS(call(fork_m, "guest-a", "echo", "{}", &out, NULL), ENVIRONMENT_FORKED);
            CHECK_STATUS(goatflow_plugin_manager_list(fork_m, &out, ERR), ENVIRONMENT_FORKED); /* an error object: no lock may be needed */
            goatflow_plugin_manager_free(fork_m);
            goatflow_plugin_queue_free(fork_queue);
            leave_child();
        }
        expect_child(pid);
    }
    set(&stop, 1);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);

    CASE("a grandchild is told as well");
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        pid = fork();
        if (pid == 0) {
            CHECK_STATUS(call(fork_m, "guest-a", "echo", "{}", &out, NULL), ENVIRONMENT_FORKED);
            leave_child();
        }
        expect_child(pid);
        leave_child();
    }
    expect_child(pid);

    CASE("fork and exec: descriptors of the library do not leak into programs");
    int own[2];
    CHECK(pipe(own) == 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        close(own[0]);
        dup2(own[1], 1);
        execl("/bin/sh", "sh", "-c", "ls -l /proc/self/fd", (char *)NULL);
        _exit(127);
    }
    close(own[1]);
    static char listing[8192];
    size_t have = 0;
    ssize_t got;
    while ((got = read(own[0], listing + have, sizeof listing - 1 - have)) > 0) have += (size_t)got;
    close(own[0]);
    expect_child(pid);
    if (strstr(listing, "eventfd") != NULL || strstr(listing, ".wasm") != NULL) CHECK_FAIL("the child has %s", listing);

    goatflow_plugin_subscription_free(fork_subscription);
    goatflow_plugin_function_free(fork_function);
    goatflow_plugin_operation_free(fork_operation);
    goatflow_plugin_queue_free(fork_queue);
    goatflow_plugin_cancellation_free(fork_cancellation);
    goatflow_plugin_error_free(fork_error);
    goatflow_plugin_manager_free(fork_m);
}

/* Before the library was used, a fork costs nothing: this is what pre-forking servers do. */
static void fork_before_use(void) {
    CASE("a child forked before first use may use the library");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        const goatflow_plugin_manager *m = manager_ready();
        CHECK_CALL(m, "guest-a", "echo", "{}", "{}");
        goatflow_plugin_manager_free(m);
        leave_child();
    }
    expect_child(pid);
}

int main(void) {
    fork_before_use();
    shutdown();
    freed();
    forked();
    check_error_clear();
    return check_done();
}
