/* Many threads at once, and threads with little stack. */
#include "fixture.h"

#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>

enum { THREADS = 16 };
static const goatflow_plugin_manager *m;
static int stop, finalizers_due, finalizers_run;

static unsigned roll(unsigned *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static int32_t on_call(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    (void)host_call;
    CHECK(*(int *)user_data == 77);
    return goatflow_plugin_reply_set_result(reply, B("[{\"n\":1}]"), NULL);
}
static void on_finalize(void *user_data) {
    CHECK(*(int *)user_data == 77);
    *(int *)user_data = 0;
    free(user_data);
    add(&finalizers_run, 1);
}
static int *fresh_data(void) {
    int *data = (int *)malloc(sizeof *data);
    *data = 77;
    add(&finalizers_due, 1);
    return data;
}
static void on_complete(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error, size_t error_len) {
    (void)status, (void)result, (void)result_len, (void)error, (void)error_len;
    CHECK(*(int *)user_data == 77);
}
static void on_event(void *user_data, const char *event, size_t event_len) {
    (void)event, (void)event_len;
    CHECK(*(int *)user_data == 77);
}

/* Does one random thing; any status is right as long as it is one of those that can be. */
static void one_thing(unsigned *seed, const goatflow_plugin_queue *queue) {
    buffer out = BUFFER_INIT;
    const char *plugin = roll(seed) % 2 ? "guest-a" : "guest-b";
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 2000;
    int32_t status = 0;
    switch (roll(seed) % 24) {
    default:
        status = goatflow_plugin_manager_call(m, S(plugin), S("echo"), B("{\"t\":1}"), &options, &out, ERR);
        if (status == 0) CHECK(check_buffer_is(&out, "{\"t\":1}"));
        break;
    case 0:
        status = goatflow_plugin_manager_unload(m, S(plugin), roll(seed) % 50, ERR);
        break;
    case 1:
    case 2:
        status = goatflow_plugin_manager_load(m, S(guest(plugin[6] == 'a' ? "guest-a.wasm" : "guest-b.wasm")), EMPTY, &out, ERR);
        break;
    case 3:
        status = goatflow_plugin_policy_set(m, S(plugin), S(EVERYTHING "}"), ANY_REVISION, NULL, ERR);
        break;
    case 4:
        status = goatflow_plugin_policy_get(m, S(plugin), &out, ERR);
        break;
    case 5:
        status = goatflow_plugin_manager_disable(m, S(plugin), roll(seed) % 20, ERR);
        break;
    case 6:
    case 7:
        status = goatflow_plugin_manager_enable(m, S(plugin), ERR);
        break;
    case 8:
        status = goatflow_plugin_manager_provide(m, S("db"), on_call, fresh_data(), on_finalize, ERR);
        break;
    case 9:
        status = goatflow_plugin_manager_call(m, S(plugin), S("h_db_query"), B("{\"query\":\"SELECT 1 FROM ticket\"}"), &options, &out, ERR);
        break;
    case 10: {
        const goatflow_plugin_subscription *subscription = NULL;
        status = goatflow_plugin_subscription_new(m, EMPTY, on_event, fresh_data(), on_finalize, &subscription, ERR);
        goatflow_plugin_subscription_free(subscription);
        break;
    }
    case 11:
        status = goatflow_plugin_manager_call_async(m, S(plugin), S("echo"), B("{}"), &options, on_complete, fresh_data(), on_finalize, NULL, ERR);
        break;
    case 12: {
        const goatflow_plugin_operation *operation = NULL;
        options.timeout_ms = 20;
        status = goatflow_plugin_manager_call_async(m, S(plugin), S("spin"), B("{}"), &options, NULL, NULL, NULL, &operation, ERR);
        if (roll(seed) % 2 && status == 0) CHECK_OK(goatflow_plugin_operation_cancel(operation, ERR));
        if (roll(seed) % 2 && status == 0) status = goatflow_plugin_operation_wait(operation, roll(seed) % 30, &out, ERR);
        goatflow_plugin_operation_free(operation);
        break;
    }
    case 13:
        status = goatflow_plugin_manager_call_enqueue(m, S(plugin), S("echo"), B("{}"), &options, queue, 1, NULL, ERR);
        break;
    case 14: {
        goatflow_plugin_completion completions[8];
        size_t count = 0;
        status = goatflow_plugin_queue_next(queue, completions, 8, roll(seed) % 3, &count, ERR);
        for (size_t i = 0; i < count; i++) {
            goatflow_plugin_buffer_free(&completions[i].result);
            goatflow_plugin_error_free(completions[i].error);
        }
        break;
    }
    case 15:
        status = goatflow_plugin_manager_call(m, S(plugin), S("trap"), B("{}"), &options, &out, ERR);
        break;
    case 16:
        status = goatflow_plugin_manager_call(m, S(plugin), S("recurse"), B("{}"), &options, &out, ERR);
        break;
    case 17: {
        const goatflow_plugin_function *function = NULL;
        status = goatflow_plugin_function_resolve(m, S(plugin), S("echo"), &function, ERR);
        if (status == 0) status = goatflow_plugin_function_call(function, B("{}"), &options, &out, ERR);
        goatflow_plugin_function_free(function);
        break;
    }
    case 18:
        status = goatflow_plugin_manager_stats(m, EMPTY, &out, ERR);
        break;
    case 19:
        status = goatflow_plugin_manager_logs(m, EMPTY, &out, ERR);
        break;
    case 20:
        status = goatflow_plugin_manager_call(m, S(plugin), S("h_plugin_call"), B(plugin[6] == 'a' ? "{\"plugin\":\"guest-b\",\"function\":\"echo\",\"args\":{}}" : "{\"plugin\":\"guest-a\",\"function\":\"echo\",\"args\":{}}"), &options, &out, ERR);
        break;
    }
    goatflow_plugin_buffer_free(&out);
    switch (status) {
    case GOATFLOW_PLUGIN_STATUS_OK:
    case GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND:
    case GOATFLOW_PLUGIN_STATUS_LIFECYCLE_ALREADY_LOADED:
    case GOATFLOW_PLUGIN_STATUS_LIFECYCLE_DISABLED:
    case GOATFLOW_PLUGIN_STATUS_LIFECYCLE_BUSY:
    case GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PENDING:
    case GOATFLOW_PLUGIN_STATUS_LIFECYCLE_OVERLOADED:
    case GOATFLOW_PLUGIN_STATUS_LIFECYCLE_DEADLOCK:
    case GOATFLOW_PLUGIN_STATUS_PLUGIN_DEADLINE:
    case GOATFLOW_PLUGIN_STATUS_PLUGIN_CANCELLED:
    case GOATFLOW_PLUGIN_STATUS_PLUGIN_TRAP:
    case GOATFLOW_PLUGIN_STATUS_PLUGIN_STACK_EXHAUSTED:
        break;
    default:
        CHECK_FAIL("unexpected %s: %s", goatflow_plugin_status_slug(status), check_error_text());
    }
}

typedef struct worker {
    unsigned seed;
    const goatflow_plugin_queue *queue;
    int done;
} worker;

static void *work(void *argument) {
    worker *self = (worker *)argument;
    while (!get(&stop)) {
        one_thing(&self->seed, self->queue);
        add(&self->done, 1);
    }
    check_error_clear();
    return NULL;
}

static void everything_at_once(void) {
    CASE_WITHIN(120, "16 threads load, unload, call, swap policies and callbacks on one manager");
    m = manager_ready();
    load(m, guest("guest-b.wasm"));
    const goatflow_plugin_queue *queue = NULL;
    CHECK_OK(goatflow_plugin_queue_new(&queue, ERR));
    pthread_t threads[THREADS];
    worker workers[THREADS];
    const char *text = getenv("GOATFLOW_TEST_SEED");
    unsigned seed = text != NULL ? (unsigned)atoi(text) : (unsigned)time(NULL);
    printf("   seed %u\n", seed);
    for (int i = 0; i < THREADS; i++) {
        workers[i].seed = seed + (unsigned)i * 7919u;
        workers[i].queue = queue;
        workers[i].done = 0;
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    check_sleep_ms(8000);
    set(&stop, 1);
    int total = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(get(&workers[i].done) > 0);
        total += get(&workers[i].done);
    }
    printf("   %d operations\n", total);
    /* The plugins are whole afterwards. */
    goatflow_plugin_manager_unload(m, S("guest-a"), 5000, NULL);
    load(m, guest("guest-a.wasm"));
    goatflow_plugin_manager_enable(m, S("guest-a"), ERR);
    CHECK_CALL(m, "guest-a", "echo", "{}", "{}");
    goatflow_plugin_queue_free(queue);
    goatflow_plugin_manager_free(m);
    CHECK_SOON(get(&finalizers_run) == get(&finalizers_due));
    check_sleep_ms(20);
    CHECK_INT(get(&finalizers_run), get(&finalizers_due));
}

/* Managers die under the feet of the threads that use them. */
static void *use_until_dead(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    buffer out = BUFFER_INIT;
    for (;;) {
        const goatflow_plugin_manager *manager = __atomic_load_n(&m, __ATOMIC_SEQ_CST);
        int32_t status;
        switch (roll(&seed) % 4) {
        case 0: status = goatflow_plugin_manager_list(manager, &out, ERR); break;
        case 1: status = goatflow_plugin_manager_stats(manager, EMPTY, &out, ERR); break;
        default: status = call(manager, "guest-a", "echo", "{}", &out, ERR); break;
        }
        goatflow_plugin_buffer_free(&out);
        if (status == GOATFLOW_PLUGIN_STATUS_ARGUMENT_HANDLE || status == GOATFLOW_PLUGIN_STATUS_LIFECYCLE_SHUT_DOWN) break;
        if (status != 0) CHECK_FAIL("%s: %s", goatflow_plugin_status_slug(status), check_error_text());
    }
    check_error_clear();
    return NULL;
}

static void freed_under_use(void) {
    CASE_WITHIN(120, "a manager is freed, or shut down, while 16 threads use it");
    for (int round = 0; round < 30; round++) {
        m = manager_ready();
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, use_until_dead, (void *)(uintptr_t)(round * 100 + i + 1)) == 0);
        check_sleep_ms(round % 7);
        const goatflow_plugin_manager *manager = m;
        if (round % 2) {
            buffer report = BUFFER_INIT;
            CHECK_OK(goatflow_plugin_manager_shutdown(manager, 10000 * (uint64_t)check_slow(), &report, ERR));
            goatflow_plugin_buffer_free(&report);
        }
        goatflow_plugin_manager_free(manager);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    }
}

/* Two threads free the same handle: one wins, nothing breaks. */
static const goatflow_plugin_cancellation *contested;
static pthread_barrier_t barrier;
static void *free_contested(void *argument) {
    (void)argument;
    for (int i = 0; i < 5000; i++) {
        pthread_barrier_wait(&barrier);
        goatflow_plugin_cancellation_free(contested);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}
static void freed_twice_at_once(void) {
    CASE_WITHIN(120, "two threads free one handle at the same time");
    pthread_t threads[2];
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, free_contested, NULL) == 0);
    for (int i = 0; i < 5000; i++) {
        CHECK_OK(goatflow_plugin_cancellation_new(&contested, NULL));
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        CHECK_STATUS(goatflow_plugin_cancellation_cancel(contested, NULL), ARGUMENT_HANDLE);
    }
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

/* Little stack */
static const char *recursing_plugin;
static int32_t answer_recursing(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    (void)user_data, (void)host_call;
    buffer out = BUFFER_INIT;
    CHECK_STATUS(call(m, "guest-b", "recurse", "{}", &out, ERR), PLUGIN_STACK_EXHAUSTED);
    check_error_clear();
    return goatflow_plugin_reply_set_result(reply, B("1"), NULL);
}

static void *little_stack(void *argument) {
    (void)argument;
    buffer out = BUFFER_INIT;
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(call(m, recursing_plugin, "recurse", "{}", &out, ERR), PLUGIN_STACK_EXHAUSTED);
        CHECK_STATUS(call(m, recursing_plugin, "trap", "{}", &out, ERR), PLUGIN_TRAP);
        CHECK_CALL(m, recursing_plugin, "echo", "{\"s\":1}", "{\"s\":1}");
    }
    const goatflow_plugin_operation *operation = NULL;
    CHECK_OK(goatflow_plugin_manager_call_async(m, S(recursing_plugin), S("recurse"), B("{}"), NULL, NULL, NULL, NULL, &operation, ERR));
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, UINT64_MAX, &out, ERR), PLUGIN_STACK_EXHAUSTED);
    goatflow_plugin_operation_free(operation);
    /* Deeper: the plugin calls the host, which calls a plugin that recurses. */
    CHECK_CALL(m, "guest-a", "h_deeper", "{}", "1");
    /* What parses and compiles on this thread, or not. */
    const goatflow_plugin_manager *own = manager_ready();
    CHECK_CALL(own, "guest-a", "echo", "{}", "{}");
    /* The SQL parser recurses too; there is no database, so any failure is right. */
    CHECK_OK(call(own, "guest-a", "h_db_query", "{\"query\":\"SELECT t.id FROM ticket t JOIN queue q ON ((((((((((((((((((((t.q = q.id)))))))))))))))))))) WHERE t.id IN (SELECT id FROM ticket)\"}", &out, ERR));
    CHECK_CONTAINS(out, "{\"failed\":{");
    goatflow_plugin_manager_free(own);
    check_error_clear();
    return NULL;
}

static void stack_of(size_t size, const char *name) {
    CASE(name);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, size) == 0);
    int failed = pthread_create(&thread, &attributes, little_stack, NULL);
    if (failed) CHECK_FAIL("pthread_create: %s", strerror(failed));
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

static void small_stacks(void) {
    CASE("two plugins that recurse");
    m = manager_ready();
    load(m, guest("guest-b.wasm"));
    recursing_plugin = "guest-b";
    CHECK_OK(goatflow_plugin_manager_declare(m, S("{\"name\":\"deeper\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}"), answer_recursing, NULL, NULL, ERR));
    const char *plugins = getenv("GOATFLOW_TEST_PLUGINS");
    if (plugins != NULL && access(plugin_path("reference.wasm"), R_OK) == 0) {
        load(m, plugin_path("reference.wasm"));
        recursing_plugin = "reference";
    }
    stack_of(64 << 10, "a thread of 64 KiB calls a plugin that recurses for ever");
    stack_of(128 << 10, "a thread of 128 KiB calls a plugin that recurses for ever");
    stack_of(256 << 10, "a thread of 256 KiB calls a plugin that recurses for ever");
    stack_of(512 << 10, "a thread of 512 KiB calls a plugin that recurses for ever");
    stack_of(640 << 10, "a thread of 640 KiB calls a plugin that recurses for ever");
    stack_of(1 << 20, "a thread of 1 MiB calls a plugin that recurses for ever");
    stack_of(2 << 20, "a thread of 2 MiB calls a plugin that recurses for ever");
    stack_of(64 << 20, "a thread of 64 MiB calls a plugin that recurses for ever");
    CASE("the main thread calls a plugin that recurses for ever");
    little_stack(NULL);
    goatflow_plugin_manager_free(m);
}

/* Nearly all of a thread's stack is used up before the call. */
static int32_t deep_in_stack(size_t use, buffer *out) {
    volatile char room[4096];
    room[0] = room[4095] = 1;
    if (use > sizeof room) {
        int32_t status = deep_in_stack(use - sizeof room, out);
        return status + room[0] - room[4095];
    }
    return call(m, "guest-b", "recurse", "{}", out, NULL);
}
static void *used_up(void *argument) {
    buffer out = BUFFER_INIT;
    CHECK_STATUS(deep_in_stack(*(size_t *)argument, &out), PLUGIN_STACK_EXHAUSTED);
    return NULL;
}
static void used_stack(void) {
    CASE("a thread of 2 MiB that has used most of it");
    m = manager_ready();
    load(m, guest("guest-b.wasm"));
    static const size_t used[] = {1 << 20, 1500 << 10, 1700 << 10, 1800 << 10, 1900 << 10, 1960 << 10};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) {
        pthread_attr_t attributes;
        pthread_t thread;
        size_t use = used[i];
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 2 << 20);
        CHECK(pthread_create(&thread, &attributes, used_up, &use) == 0);
        pthread_join(thread, NULL);
        pthread_attr_destroy(&attributes);
    }
    goatflow_plugin_manager_free(m);
}

/* A stack the host made itself (a coroutine): the library must not trust the thread's bounds. */
#include <ucontext.h>
static ucontext_t main_context, coroutine;
static int32_t coroutine_status;
static void coroutine_run(void) {
    buffer out = BUFFER_INIT;
    coroutine_status = call(m, "guest-b", "recurse", "{}", &out, NULL);
    swapcontext(&coroutine, &main_context);
}
static void on_foreign_stack(void) {
    CASE("a coroutine's stack of 64 KiB calls a plugin that recurses for ever");
    m = manager_ready();
    load(m, guest("guest-b.wasm"));
    size_t size = 64 << 10;
    char *stack = (char *)malloc(size);
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = stack;
    coroutine.uc_stack.ss_size = size;
    coroutine.uc_link = &main_context;
    makecontext(&coroutine, coroutine_run, 0);
    swapcontext(&main_context, &coroutine);
    CHECK_INT(coroutine_status, GOATFLOW_PLUGIN_STATUS_PLUGIN_STACK_EXHAUSTED);
    free(stack);
    goatflow_plugin_manager_free(m);
}

int main(int argc, char **argv) {
    const char *only = argc > 1 ? argv[1] : "";
    if (!only[0] || strcmp(only, "stress") == 0) everything_at_once();
    if (!only[0] || strcmp(only, "freed") == 0) freed_under_use();
    if (!only[0] || strcmp(only, "twice") == 0) freed_twice_at_once();
    if (!only[0] || strcmp(only, "stacks") == 0) small_stacks();
    if (!only[0] || strcmp(only, "used") == 0) used_stack();
    if (!only[0] || strcmp(only, "coroutine") == 0) on_foreign_stack();
    check_error_clear();
    return check_done();
}
