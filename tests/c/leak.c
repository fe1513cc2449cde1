/* Load, call, unload, many times over: nothing may pile up.
 *
 *   leak [WARM_UP] [MORE]        default 1000 and 9000; a plugin other than guest-a.wasm in GOATFLOW_LEAK_PLUGIN
 *
 * After the warm-up the resident set may grow by 2 MiB; descriptors, mappings and threads not at all. */
#include "fixture.h"

#include <dirent.h>

static long resident_kib(void) {
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0) kib = atol(line + 6);
    if (file != NULL) fclose(file);
    return kib;
}
static int lines(const char *path) {
    FILE *file = fopen(path, "r");
    int count = 0, c;
    while (file != NULL && (c = fgetc(file)) != EOF) count += c == '\n';
    if (file != NULL) fclose(file);
    return count;
}
static int entries(const char *path) {
    DIR *list = opendir(path);
    int count = 0;
    while (list != NULL && readdir(list) != NULL) count++;
    if (list != NULL) closedir(list);
    return count;
}

typedef struct usage {
    long rss;
    int descriptors, maps, threads;
} usage;
static usage measure(void) {
    usage now = {resident_kib(), entries("/proc/self/fd"), lines("/proc/self/maps"), entries("/proc/self/task")};
    return now;
}
static void print(const char *when, long cycles, usage now) {
    printf("   %-8s %6ld cycles: %ld KiB resident, %d descriptors, %d mappings, %d threads\n", when, cycles, now.rss,
           now.descriptors - 2, now.maps, now.threads - 2);
    fflush(stdout);
}

static int finalized;
static void on_finalize(void *user_data) { add((int *)user_data, 1); }
static void on_complete(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error, size_t error_len) {
    (void)user_data, (void)result, (void)result_len, (void)error, (void)error_len;
    CHECK_INT(status, 0);
}
static void on_event(void *user_data, const char *event, size_t event_len) { (void)user_data, (void)event, (void)event_len; }

/* One cycle through everything that makes and frees something. */
static void cycle(const goatflow_plugin_manager *m, const goatflow_plugin_queue *queue, const char *path, long n) {
    buffer out = BUFFER_INIT, name = BUFFER_INIT;
    CHECK_OK(goatflow_plugin_manager_load(m, S(path), EMPTY, &name, ERR));
    const char *plugin = (const char *)name.data;
    size_t plugin_len = name.len;
#define CALL(function, arguments) goatflow_plugin_manager_call(m, plugin, plugin_len, S(function), B(arguments), NULL, &out, ERR)
    CHECK_OK(CALL("echo", "{\"n\":1}"));
    goatflow_plugin_buffer_free(&out);
    switch (n % 8) { /* each of these every eighth time */
    case 0:
        CHECK_STATUS(CALL("trap", "{}"), PLUGIN_TRAP);
        break;
    case 1: {
        const goatflow_plugin_function *function = NULL;
        CHECK_OK(goatflow_plugin_function_resolve(m, plugin, plugin_len, S("echo"), &function, ERR));
        CHECK_OK(goatflow_plugin_function_call(function, B("{}"), NULL, &out, ERR));
        goatflow_plugin_function_free(function);
        break;
    }
    case 2: {
        int before = get(&finalized);
        CHECK_OK(goatflow_plugin_manager_call_async(m, plugin, plugin_len, S("echo"), B("{}"), NULL, on_complete, &finalized, on_finalize, NULL, ERR));
        CHECK_SOON(get(&finalized) == before + 1);
        break;
    }
    case 3: {
        goatflow_plugin_completion completion;
        size_t count = 0;
        CHECK_OK(goatflow_plugin_manager_call_enqueue(m, plugin, plugin_len, S("echo"), B("{}"), NULL, queue, 1, NULL, ERR));
        CHECK_OK(goatflow_plugin_queue_next(queue, &completion, 1, 20000, &count, ERR));
        CHECK_INT(count, 1);
        goatflow_plugin_buffer_free(&completion.result);
        break;
    }
    case 4: {
        const goatflow_plugin_subscription *subscription = NULL;
        CHECK_OK(goatflow_plugin_subscription_new(m, EMPTY, on_event, NULL, NULL, &subscription, ERR));
        CHECK_OK(CALL("echo", "{}"));
        goatflow_plugin_subscription_free(subscription);
        break;
    }
    case 5: {
        const goatflow_plugin_cancellation *cancellation = NULL;
        goatflow_plugin_call_options options = options_init();
        CHECK_OK(goatflow_plugin_cancellation_new(&cancellation, ERR));
        CHECK_OK(goatflow_plugin_cancellation_cancel(cancellation, ERR));
        options.cancellation = cancellation;
        CHECK_STATUS(goatflow_plugin_manager_call(m, plugin, plugin_len, S("echo"), B("{}"), &options, &out, ERR), PLUGIN_CANCELLED);
        goatflow_plugin_cancellation_free(cancellation);
        break;
    }
    case 6:
        CHECK_OK(goatflow_plugin_policy_set(m, plugin, plugin_len, S(EVERYTHING "}"), ANY_REVISION, NULL, ERR));
        CHECK_OK(goatflow_plugin_policy_set(m, plugin, plugin_len, EMPTY, ANY_REVISION, NULL, ERR));
        break;
    case 7: {
        goatflow_plugin_call_options options = options_init();
        options.timeout_ms = 1;
        CHECK_STATUS(goatflow_plugin_manager_call(m, plugin, plugin_len, S("spin"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);
        break;
    }
    }
    goatflow_plugin_buffer_free(&out);
    CHECK_OK(goatflow_plugin_manager_unload(m, plugin, plugin_len, 5000, ERR));
    goatflow_plugin_buffer_free(&name);
    check_error_clear();
}

/* The library's worker threads never end, and there are as many as ever were busy at once. Make so many now that no chance meeting
 * of two jobs makes another one later. */
static void fill_workers(const char *path) {
    enum { WORKERS = 8 };
    const goatflow_plugin_manager *managers[WORKERS];
    const goatflow_plugin_operation *operations[WORKERS];
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 300;
    for (int i = 0; i < WORKERS; i++) {
        managers[i] = manager_with("");
        load(managers[i], path);
        CHECK_OK(goatflow_plugin_manager_call_async(managers[i], S("guest-a"), S("spin"), B("{}"), &options, NULL, NULL, NULL, &operations[i], ERR));
    }
    for (int i = 0; i < WORKERS; i++) {
        buffer out = BUFFER_INIT;
        CHECK_STATUS(goatflow_plugin_operation_wait(operations[i], UINT64_MAX, &out, ERR), PLUGIN_DEADLINE);
        goatflow_plugin_operation_free(operations[i]);
        goatflow_plugin_manager_free(managers[i]);
    }
    check_error_clear();
}

int main(int argc, char **argv) {
    long warm_up = argc > 1 ? atol(argv[1]) : 1000, more = argc > 2 ? atol(argv[2]) : 9000;
    const char *path = getenv("GOATFLOW_LEAK_PLUGIN");
    if (path == NULL || path[0] == 0) path = guest("guest-a.wasm");
    CASE_WITHIN(1200, "load, call, unload: nothing piles up");
    const goatflow_plugin_manager *m = manager_with("");
    const goatflow_plugin_queue *queue = NULL;
    CHECK_OK(goatflow_plugin_queue_new(&queue, ERR));
    fill_workers(path);
    int64_t start = check_now_ms();
    for (long n = 0; n < warm_up; n++) cycle(m, queue, path, n);
    usage before = measure();
    print("warm-up", warm_up, before);
    for (long n = 0; n < more; n++) {
        cycle(m, queue, path, n);
        if (n % 3000 == 2999) print("so far", n + 1, measure());
    }
    usage after = measure();
    print("after", more, after);
    printf("   %.2f ms a cycle\n", (double)(check_now_ms() - start) / (double)(warm_up + more));
    CHECK(after.rss - before.rss <= 2048);
    CHECK_INT(after.descriptors, before.descriptors);
    /* The C library may split or add a heap once; what leaks with every thousandth cycle shows. */
    CHECK(after.maps <= before.maps + 4);
    CHECK(after.threads <= before.threads);

    CASE_WITHIN(600, "managers come and go: nothing piles up");
    goatflow_plugin_queue_free(queue);
    goatflow_plugin_manager_free(m);
    long managers = more / 9 > 0 ? more / 9 : 1;
    for (int phase = 0; phase < 2; phase++) {
        for (long n = 0; n < managers; n++) {
            m = manager_with("\"database\":{\"sqlite\":{\"path\":\":memory:\"}}");
            load(m, path);
            buffer out = BUFFER_INIT;
            CHECK_OK(call(m, "guest-a", "echo", "{}", &out, ERR));
            goatflow_plugin_buffer_free(&out);
            goatflow_plugin_manager_free(m);
        }
        check_sleep_ms(500);
        after = measure();
        print(phase == 0 ? "warm-up" : "after", managers, after);
        if (phase == 0) before = after;
    }
    CHECK(after.rss - before.rss <= 2048);
    CHECK_INT(after.descriptors, before.descriptors);
    CHECK(after.maps <= before.maps);
    CHECK(after.threads <= before.threads);
    return check_done();
}
