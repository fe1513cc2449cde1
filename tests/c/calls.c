/* Calls in all their forms: results, caller's buffers, function handles, asynchronous calls, queues, cancellation, deadlines. */
#include "fixture.h"

#include <poll.h>
#include <pthread.h>

static const goatflow_plugin_manager *m;
#define PLUGIN S("guest-a")

static void results(void) {
    buffer out = BUFFER_INIT;
    CASE("a call answers what the plugin answers");
    CHECK_CALL(m, "guest-a", "echo", "{\"a\":[1,2,{\"b\":null}]}", "{\"a\":[1,2,{\"b\":null}]}");
    CHECK_CALL(m, "guest-a", "args_len", "{}", "2");
    CHECK_CALL(m, "guest-a", "unheard-of", "{}", "{\"error\":\"unknown function\"}");

    CASE("an answer of nothing is an empty buffer");
    memset(&out, 0xa5, sizeof out);
    CHECK_OK(call(m, "guest-a", "nothing", "{}", &out, ERR));
    CHECK(out.data == NULL && out.len == 0 && out.capacity == 0);

    CASE("an empty input reaches the plugin as (0, 0)");
    CHECK_OK(goatflow_plugin_manager_call(m, PLUGIN, S("args_len"), EMPTY, NULL, &out, ERR));
    CHECK_TEXT(out, "0");
    CHECK_OK(goatflow_plugin_manager_call(m, PLUGIN, S("args_len"), (const uint8_t *)"", 0, NULL, &out, ERR));
    CHECK_TEXT(out, "0");
    CHECK_OK(goatflow_plugin_manager_call(m, PLUGIN, S("echo"), EMPTY, NULL, &out, ERR));
    CHECK_INT(out.len, 0);

    CASE("results of many sizes arrive whole");
    static const size_t sizes[] = {2, 3, 64, 4096, 65535, 65536, 65537, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "{\"n\":%zu}", sizes[i]);
        CHECK_OK(call(m, "guest-a", "size", arguments, &out, ERR));
        CHECK_INT(out.len, sizes[i]);
        CHECK(out.data[0] == '"' && out.data[sizes[i] - 1] == '"');
        for (size_t at = 1; at + 1 < sizes[i]; at++) CHECK(out.data[at] == 'a');
        goatflow_plugin_buffer_free(&out);
    }
    CASE("a result is the caller's: later calls do not change it");
    buffer first = BUFFER_INIT;
    CHECK_OK(call(m, "guest-a", "echo", "{\"first\":1}", &first, ERR));
    for (int i = 0; i < 100; i++) CHECK_CALL(m, "guest-a", "echo", "{\"later\":22222222222}", "{\"later\":22222222222}");
    CHECK_TEXT(first, "{\"first\":1}");

    CASE("state lives in the instance, and a trap costs the instance, not the plugin");
    CHECK_CALL(m, "guest-a", "count", "{}", "1");
    CHECK_CALL(m, "guest-a", "count", "{}", "2");
    CHECK_STATUS(call(m, "guest-a", "trap", "{}", &out, ERR), PLUGIN_TRAP);
    CHECK(strcmp(goatflow_plugin_error_plugin(check_error), "guest-a") == 0);
    CHECK_CALL(m, "guest-a", "count", "{}", "1");

    CASE("every kind of trap is an error of that call");
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(call(m, "guest-a", "trap", "{}", &out, ERR), PLUGIN_TRAP);
        CHECK_STATUS(call(m, "guest-a", "divide", "{}", &out, ERR), PLUGIN_TRAP);
        CHECK_STATUS(call(m, "guest-a", "wild", "{}", &out, ERR), PLUGIN_TRAP);
        CHECK_STATUS(call(m, "guest-a", "recurse", "{}", &out, ERR), PLUGIN_STACK_EXHAUSTED);
    }
    CHECK_CALL(m, "guest-a", "echo", "{}", "{}");

    CASE("memory has an end");
    CHECK_OK(call(m, "guest-a", "grow", "{}", &out, ERR));
    char pages[32];
    snprintf(pages, sizeof pages, "%.*s", (int)out.len, (const char *)out.data);
    CHECK(atoi(pages) <= 256); /* 16 MiB */
    goatflow_plugin_buffer_free(&out);

    CASE("a timeout ends a call that would never end, and only that call");
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 100;
    int64_t before = check_now_ms();
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("spin"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);
    CHECK(check_now_ms() - before >= 90);
    CHECK(check_now_ms() - before < 5000 * check_slow());
    CHECK_INT(goatflow_plugin_error_retryable(check_error), 1);
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("spam"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);
    CHECK_CALL(m, "guest-a", "echo", "{}", "{}");
    options.timeout_ms = 1;
    for (int i = 0; i < 50; i++)
        CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("spin"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);
}

static void caller_buffers(void) {
    uint8_t room[64];
    size_t len;
    buffer overflow;
#define INTO(size, over) \
    (memset(room, 0x5a, sizeof room), len = 99, \
     goatflow_plugin_manager_call_into(m, PLUGIN, S("echo"), B("{\"abcd\":1}"), NULL, (size) == 0 ? NULL : room, (size), &len, (over), ERR))
    CASE("call_into: exact, roomy, one short, none");
    CHECK_OK(INTO(10, NULL));
    CHECK_INT(len, 10);
    CHECK(memcmp(room, "{\"abcd\":1}", 10) == 0);
    CHECK_INT(room[10], 0x5a); /* not a byte more */
    CHECK_OK(INTO(64, NULL));
    CHECK_INT(len, 10);
    CHECK_INT(room[10], 0x5a);
    CHECK_STATUS(INTO(9, NULL), ARGUMENT_BUFFER_TOO_SMALL);
    CHECK_INT(len, 10);
    CHECK_INT(room[9], 0x5a);
    CHECK_STATUS(INTO(0, NULL), ARGUMENT_BUFFER_TOO_SMALL);
    CHECK_INT(len, 10);

    CASE("call_into: what does not fit goes to the overflow buffer, what fits does not");
    memset(&overflow, 0xa5, sizeof overflow);
    CHECK_OK(INTO(10, &overflow));
    CHECK_INT(len, 10);
    CHECK(overflow.data == NULL && overflow.len == 0);
    CHECK_OK(INTO(9, &overflow));
    CHECK_INT(len, 10);
    CHECK_TEXT(overflow, "{\"abcd\":1}");
    CHECK_OK(INTO(0, &overflow));
    CHECK_INT(len, 10);
    CHECK_TEXT(overflow, "{\"abcd\":1}");

    CASE("call_into: nothing, and failure");
    memset(room, 0x5a, sizeof room);
    CHECK_OK(goatflow_plugin_manager_call_into(m, PLUGIN, S("nothing"), B("{}"), NULL, room, sizeof room, &len, &overflow, ERR));
    CHECK_INT(len, 0);
    CHECK_INT(room[0], 0x5a);
    CHECK_OK(goatflow_plugin_manager_call_into(m, PLUGIN, S("nothing"), B("{}"), NULL, NULL, 0, &len, NULL, ERR));
    CHECK_INT(len, 0);
    len = 99;
    CHECK_STATUS(goatflow_plugin_manager_call_into(m, PLUGIN, S("trap"), B("{}"), NULL, room, sizeof room, &len, &overflow, ERR), PLUGIN_TRAP);
    CHECK_INT(len, 0);
    CHECK(overflow.data == NULL);
}

static void function_handles(void) {
    const goatflow_plugin_function *function = NULL, *unknown = NULL, *trap = NULL;
    buffer out = BUFFER_INIT;
    CASE("a function handle calls, and survives unload and load");
    CHECK_OK(goatflow_plugin_function_resolve(m, PLUGIN, S("echo"), &function, ERR));
    CHECK_OK(goatflow_plugin_function_resolve(m, PLUGIN, S("unheard-of"), &unknown, ERR));
    CHECK_OK(goatflow_plugin_function_resolve(m, PLUGIN, S("trap"), &trap, ERR));
    for (int i = 0; i < 100; i++) {
        CHECK_OK(goatflow_plugin_function_call(function, B("{\"x\":1}"), NULL, &out, ERR));
        CHECK_TEXT(out, "{\"x\":1}");
    }
    CHECK_OK(goatflow_plugin_function_call(unknown, B("{}"), NULL, &out, ERR));
    CHECK_TEXT(out, "{\"error\":\"unknown function\"}");
    CHECK_STATUS(goatflow_plugin_function_call(trap, B("{}"), NULL, &out, ERR), PLUGIN_TRAP);
    uint8_t room[8];
    size_t len = 0;
    CHECK_OK(goatflow_plugin_function_call_into(function, B("{\"x\":1}"), NULL, room, 7, &len, NULL, ERR));
    CHECK(len == 7 && memcmp(room, "{\"x\":1}", 7) == 0);
    CHECK_STATUS(goatflow_plugin_function_call_into(function, B("{\"x\":1}"), NULL, room, 6, &len, NULL, ERR), ARGUMENT_BUFFER_TOO_SMALL);
    CHECK_INT(len, 7);
    CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 5000, ERR));
    CHECK_STATUS(goatflow_plugin_function_call(function, B("{}"), NULL, &out, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);
    load(m, guest("guest-a.wasm"));
    CHECK_OK(goatflow_plugin_function_call(function, B("{\"again\":1}"), NULL, &out, ERR));
    CHECK_TEXT(out, "{\"again\":1}");
    CHECK_OK(goatflow_plugin_manager_disable(m, PLUGIN, 5000, ERR));
    CHECK_STATUS(goatflow_plugin_function_call(function, B("{}"), NULL, &out, ERR), LIFECYCLE_DISABLED);
    CHECK_STATUS(call(m, "guest-a", "echo", "{}", &out, ERR), LIFECYCLE_DISABLED);
    CHECK_OK(goatflow_plugin_manager_disable(m, PLUGIN, 5000, ERR)); /* twice is fine */
    CHECK_OK(goatflow_plugin_manager_enable(m, PLUGIN, ERR));
    CHECK_OK(goatflow_plugin_manager_enable(m, PLUGIN, ERR));
    CHECK_OK(goatflow_plugin_function_call(function, B("{}"), NULL, &out, ERR));
    CHECK_TEXT(out, "{}");
    goatflow_plugin_function_free(function);
    goatflow_plugin_function_free(unknown);
    goatflow_plugin_function_free(trap);
}

/* What a completion brought, copied: the callback's pointers die with it. */
typedef struct outcome {
    int completed, finalized;
    int32_t status;
    char result[256], error[2048];
    pthread_t thread;
    const goatflow_plugin_operation *free_inside;
    const goatflow_plugin_manager *call_inside;
    int slow_ms;
} outcome;

static void on_complete(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error, size_t error_len) {
    outcome *self = (outcome *)user_data;
    if (self->slow_ms) check_sleep_ms(self->slow_ms);
    CHECK_INT(get(&self->finalized), 0);
    self->status = status;
    self->thread = pthread_self();
    snprintf(self->result, sizeof self->result, "%.*s", (int)result_len, result == NULL ? "" : (const char *)result);
    snprintf(self->error, sizeof self->error, "%.*s", (int)error_len, error == NULL ? "" : error);
    CHECK((error == NULL) == (status == 0));
    if (status != 0) CHECK(result == NULL && result_len == 0);
    CHECK(result_len != 0 || result == NULL);
    if (self->call_inside != NULL) {
        buffer out = BUFFER_INIT;
        CHECK_OK(call(self->call_inside, "guest-a", "echo", "{\"inside\":1}", &out, ERR));
        CHECK_TEXT(out, "{\"inside\":1}");
        check_error_clear();
    }
    if (self->free_inside != NULL) goatflow_plugin_operation_free(self->free_inside);
    add(&self->completed, 1);
}
static void on_finalize(void *user_data) { add(&((outcome *)user_data)->finalized, 1); }

/* Starts a call of the same plugin from its completion, and waits for it. */
static void on_complete_chained(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error, size_t error_len) {
    outcome *self = (outcome *)user_data;
    const goatflow_plugin_operation *operation = NULL;
    buffer out = BUFFER_INIT;
    (void)result, (void)result_len, (void)error, (void)error_len;
    self->status = status;
    CHECK_OK(goatflow_plugin_manager_call_async(self->call_inside, PLUGIN, S("echo"), B("{}"), NULL, NULL, NULL, NULL, &operation, NULL));
    CHECK_OK(goatflow_plugin_operation_wait(operation, 5000 * (uint64_t)check_slow(), &out, ERR));
    CHECK_TEXT(out, "{}");
    goatflow_plugin_operation_free(operation);
    check_error_clear();
    add(&self->completed, 1);
}

static void asynchronous(void) {
    const goatflow_plugin_operation *operation = NULL;
    buffer out = BUFFER_INIT;
    CASE("a completion callback comes once, then the finalizer once");
    outcome done;
    memset(&done, 0, sizeof done);
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B("{\"a\":1}"), NULL, on_complete, &done, on_finalize, NULL, ERR));
    CHECK_SOON(get(&done.finalized) == 1);
    CHECK_INT(get(&done.completed), 1);
    CHECK_INT(done.status, 0);
    CHECK(strcmp(done.result, "{\"a\":1}") == 0);
    CHECK(!pthread_equal(done.thread, pthread_self()));

    CASE("a completion callback brings the error as JSON");
    memset(&done, 0, sizeof done);
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("trap"), B("{}"), NULL, on_complete, &done, on_finalize, NULL, ERR));
    CHECK_SOON(get(&done.finalized) == 1);
    CHECK_INT(get(&done.completed), 1);
    CHECK_INT(done.status, GOATFLOW_PLUGIN_STATUS_PLUGIN_TRAP);
    CHECK(strstr(done.error, "\"plugin.trap\"") != NULL && strstr(done.error, "\"guest-a\"") != NULL);

    CASE("a call to a plugin that is not there fails at once or through the completion, never both");
    memset(&done, 0, sizeof done);
    int32_t status = goatflow_plugin_manager_call_async(m, S("absent"), S("x"), B("{}"), NULL, on_complete, &done, on_finalize, NULL, ERR);
    CHECK_SOON(get(&done.finalized) == 1);
    if (status == 0) {
        CHECK_INT(get(&done.completed), 1);
        CHECK_INT(done.status, GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND);
    } else {
        CHECK_INT(status, GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND);
        CHECK_INT(get(&done.completed), 0);
    }
    check_sleep_ms(20);
    CHECK_INT(get(&done.finalized), 1);

    CASE("operation_wait: pending, then the result once, then taken");
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 300;
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("spin"), B("{}"), &options, NULL, NULL, NULL, &operation, ERR));
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, 0, &out, ERR), LIFECYCLE_PENDING);
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, 20, &out, ERR), LIFECYCLE_PENDING);
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, UINT64_MAX, &out, ERR), PLUGIN_DEADLINE);
    goatflow_plugin_operation_free(operation);
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B("{\"b\":2}"), NULL, NULL, NULL, NULL, &operation, ERR));
    CHECK_OK(goatflow_plugin_operation_wait(operation, UINT64_MAX, &out, ERR));
    CHECK_TEXT(out, "{\"b\":2}");
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, UINT64_MAX, &out, ERR), LIFECYCLE_TAKEN);
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, 0, &out, ERR), LIFECYCLE_TAKEN);
    CHECK_OK(goatflow_plugin_operation_cancel(operation, ERR)); /* too late: no effect */
    goatflow_plugin_operation_free(operation);
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, 0, &out, ERR), ARGUMENT_HANDLE);

    CASE("options and inputs of an asynchronous call are copied");
    char *plugin = strdup("guest-a"), *function = strdup("echo"), *arguments = strdup("{\"copied\":true}");
    goatflow_plugin_call_options *heap = (goatflow_plugin_call_options *)malloc(sizeof *heap);
    char *request = strdup("request-1");
    *heap = options_init();
    heap->request_id = request;
    heap->request_id_len = strlen(request);
    CHECK_OK(goatflow_plugin_manager_call_async(m, S(plugin), S(function), B(arguments), heap, NULL, NULL, NULL, &operation, ERR));
    memset(plugin, 'x', strlen(plugin));
    memset(function, 'x', strlen(function));
    memset(arguments, 'x', strlen(arguments));
    memset(request, 0xff, strlen(request));
    memset(heap, 0xff, sizeof *heap);
    free(plugin), free(function), free(arguments), free(heap), free(request);
    CHECK_OK(goatflow_plugin_operation_wait(operation, UINT64_MAX, &out, ERR));
    CHECK_TEXT(out, "{\"copied\":true}");
    goatflow_plugin_operation_free(operation);

    CASE("an operation freed before its completion completes all the same");
    memset(&done, 0, sizeof done);
    options.timeout_ms = 100;
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("spin"), B("{}"), &options, on_complete, &done, on_finalize, &operation, ERR));
    goatflow_plugin_operation_free(operation);
    CHECK_SOON(get(&done.finalized) == 1);
    CHECK_INT(get(&done.completed), 1);
    CHECK_INT(done.status, GOATFLOW_PLUGIN_STATUS_PLUGIN_DEADLINE);

    CASE("an operation without a callback, freed before its completion, leaves nothing");
    for (int i = 0; i < 20; i++) {
        CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B("{}"), NULL, NULL, NULL, NULL, &operation, ERR));
        goatflow_plugin_operation_free(operation);
    }

    CASE("an operation is freed inside its own completion");
    for (int i = 0; i < 50; i++) {
        outcome inside;
        memset(&inside, 0, sizeof inside);
        inside.call_inside = m;
        inside.slow_ms = 2; /* so that out_operation is surely written */
        const goatflow_plugin_operation *own = NULL;
        CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B("{}"), NULL, on_complete, &inside, on_finalize, &own, ERR));
        inside.free_inside = own;
        CHECK_SOON(get(&inside.finalized) == 1);
        CHECK_INT(get(&inside.completed), 1);
        goatflow_plugin_operation_free(own);
    }

    CASE("a completion starts the next call of the same plugin and waits for it");
    memset(&done, 0, sizeof done);
    done.call_inside = m;
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B("{}"), NULL, on_complete_chained, &done, on_finalize, NULL, ERR));
    CHECK_SOON(get(&done.finalized) == 1);
    CHECK_INT(get(&done.completed), 1);

    CASE("operation_cancel ends a running call; the completion says so, once");
    for (int i = 0; i < 20; i++) {
        memset(&done, 0, sizeof done);
        CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("spin"), B("{}"), NULL, on_complete, &done, on_finalize, &operation, ERR));
        if (i % 2) check_sleep_ms(5);
        CHECK_OK(goatflow_plugin_operation_cancel(operation, ERR));
        CHECK_OK(goatflow_plugin_operation_cancel(operation, ERR));
        CHECK_SOON(get(&done.finalized) == 1);
        CHECK_INT(get(&done.completed), 1);
        CHECK_INT(done.status, GOATFLOW_PLUGIN_STATUS_PLUGIN_CANCELLED);
        CHECK_OK(goatflow_plugin_operation_cancel(operation, ERR));
        goatflow_plugin_operation_free(operation);
    }
    CHECK_CALL(m, "guest-a", "echo", "{}", "{}");

    CASE("many operations at once complete once each");
    enum { MANY = 200 };
    static outcome all[MANY];
    memset(all, 0, sizeof all);
    for (int i = 0; i < MANY; i++) {
        char arguments_i[32];
        snprintf(arguments_i, sizeof arguments_i, "{\"i\":%d}", i);
        CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B(arguments_i), NULL, on_complete, &all[i], on_finalize, NULL, ERR));
    }
    for (int i = 0; i < MANY; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "{\"i\":%d}", i);
        CHECK_SOON(get(&all[i].finalized) == 1);
        CHECK_INT(get(&all[i].completed), 1);
        CHECK_INT(all[i].status, 0);
        CHECK(strcmp(all[i].result, expected) == 0);
    }
}

static int readable(int fd, int timeout_ms) {
    struct pollfd wake;
    wake.fd = fd;
    wake.events = POLLIN;
    wake.revents = 0;
    return poll(&wake, 1, timeout_ms) > 0;
}

static void queues(void) {
    const goatflow_plugin_queue *queue = NULL;
    goatflow_plugin_completion completions[64];
    size_t count = 99;
    int32_t fd = -1, again = -1;

    CASE("an empty queue is not readable and times out with none");
    CHECK_OK(goatflow_plugin_queue_new(&queue, ERR));
    CHECK_OK(goatflow_plugin_queue_fd(queue, &fd, ERR));
    CHECK_OK(goatflow_plugin_queue_fd(queue, &again, ERR));
    CHECK_INT(fd, again);
    CHECK(!readable(fd, 0));
    CHECK_OK(goatflow_plugin_queue_next(queue, completions, 64, 0, &count, ERR));
    CHECK_INT(count, 0);
    int64_t before = check_now_ms();
    CHECK_OK(goatflow_plugin_queue_next(queue, completions, 64, 50, &count, ERR));
    CHECK_INT(count, 0);
    CHECK(check_now_ms() - before >= 45);

    CASE("completions carry tag, status, result or error");
    CHECK_OK(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("echo"), B("{\"q\":1}"), NULL, queue, UINT64_MAX, NULL, ERR));
    CHECK(readable(fd, 10000));
    memset(completions, 0xa5, sizeof completions);
    CHECK_OK(goatflow_plugin_queue_next(queue, completions, 64, 0, &count, ERR));
    CHECK_INT(count, 1);
    CHECK(completions[0].tag == UINT64_MAX);
    CHECK_INT(completions[0].status, 0);
    CHECK_INT(completions[0].reserved, 0);
    CHECK(completions[0].error == NULL);
    CHECK_TEXT(completions[0].result, "{\"q\":1}");
    CHECK(!readable(fd, 0));
    CHECK_OK(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("trap"), B("{}"), NULL, queue, 0, NULL, ERR));
    CHECK_OK(goatflow_plugin_queue_next(queue, completions, 64, UINT64_MAX, &count, ERR));
    CHECK_INT(count, 1);
    CHECK_INT(completions[0].tag, 0);
    CHECK_INT(completions[0].status, GOATFLOW_PLUGIN_STATUS_PLUGIN_TRAP);
    CHECK(completions[0].result.data == NULL && completions[0].result.len == 0);
    CHECK_INT(goatflow_plugin_error_status(completions[0].error), GOATFLOW_PLUGIN_STATUS_PLUGIN_TRAP);
    CHECK(strcmp(goatflow_plugin_error_plugin(completions[0].error), "guest-a") == 0);
    goatflow_plugin_error_free(completions[0].error);

    CASE("a queue stays readable until the last completion was taken, and each is delivered once");
    enum { MANY = 100 };
    char seen[MANY];
    memset(seen, 0, sizeof seen);
    for (uint64_t i = 0; i < MANY; i++)
        CHECK_OK(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("echo"), B("{}"), NULL, queue, i, NULL, ERR));
    for (int taken = 0; taken < MANY;) {
        CHECK(readable(fd, 10000));
        CHECK_OK(goatflow_plugin_queue_next(queue, completions, 3, 0, &count, ERR));
        CHECK(count <= 3);
        for (size_t i = 0; i < count; i++, taken++) {
            CHECK(completions[i].tag < MANY && !seen[completions[i].tag]);
            seen[completions[i].tag] = 1;
            CHECK_INT(completions[i].status, 0);
            CHECK_TEXT(completions[i].result, "{}");
        }
    }
    CHECK(!readable(fd, 0));

    CASE("an enqueued call is cancelled through its operation");
    const goatflow_plugin_operation *operation = NULL;
    CHECK_OK(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("spin"), B("{}"), NULL, queue, 5, &operation, ERR));
    check_sleep_ms(5);
    CHECK_OK(goatflow_plugin_operation_cancel(operation, ERR));
    CHECK_OK(goatflow_plugin_queue_next(queue, completions, 64, UINT64_MAX, &count, ERR));
    CHECK_INT(count, 1);
    CHECK_INT(completions[0].status, GOATFLOW_PLUGIN_STATUS_PLUGIN_CANCELLED);
    goatflow_plugin_error_free(completions[0].error);
    buffer out = BUFFER_INIT;
    int32_t status = goatflow_plugin_operation_wait(operation, 0, &out, ERR); /* the queue has the result */
    CHECK(status == GOATFLOW_PLUGIN_STATUS_LIFECYCLE_TAKEN);
    goatflow_plugin_operation_free(operation);

    CASE("a queue is freed with completions waiting and calls in flight");
    for (int i = 0; i < 5; i++)
        CHECK_OK(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("echo"), B("{}"), NULL, queue, 1, NULL, ERR));
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 50;
    CHECK_OK(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("spin"), B("{}"), &options, queue, 2, NULL, ERR));
    goatflow_plugin_queue_free(queue);
    CHECK_STATUS(goatflow_plugin_queue_next(queue, completions, 64, 0, &count, ERR), ARGUMENT_HANDLE);
    CHECK_STATUS(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("echo"), B("{}"), NULL, queue, 2, NULL, ERR), ARGUMENT_HANDLE);
    check_sleep_ms(150);
    CHECK_CALL(m, "guest-a", "echo", "{}", "{}");

    CASE("a manager is freed with enqueued calls in flight: each completion still arrives");
    const goatflow_plugin_manager *other = manager_ready();
    CHECK_OK(goatflow_plugin_queue_new(&queue, ERR));
    options.timeout_ms = 200;
    for (uint64_t i = 0; i < 3; i++)
        CHECK_OK(goatflow_plugin_manager_call_enqueue(other, PLUGIN, S("spin"), B("{}"), &options, queue, i, NULL, ERR));
    goatflow_plugin_manager_free(other);
    for (size_t taken = 0; taken < 3; taken += count) {
        CHECK_OK(goatflow_plugin_queue_next(queue, completions, 64, 20000, &count, ERR));
        CHECK(count > 0);
        for (size_t i = 0; i < count; i++) {
            CHECK_ANY(completions[i].status, PLUGIN_DEADLINE, PLUGIN_CANCELLED, LIFECYCLE_SHUT_DOWN);
            goatflow_plugin_error_free(completions[i].error);
        }
    }
    goatflow_plugin_queue_free(queue);
}

typedef struct waiter {
    const goatflow_plugin_queue *queue;
    int entered, left;
    int32_t status;
} waiter;
static void *wait_on_queue(void *argument) {
    waiter *self = (waiter *)argument;
    goatflow_plugin_completion completion;
    size_t count = 0;
    set(&self->entered, 1);
    self->status = goatflow_plugin_queue_next(self->queue, &completion, 1, UINT64_MAX, &count, NULL);
    if (count > 0) goatflow_plugin_buffer_free(&completion.result);
    set(&self->left, 1);
    return NULL;
}

static void queue_with_waiter(void) {
    CASE("freeing a queue wakes a thread that waits on it");
    waiter self;
    memset(&self, 0, sizeof self);
    pthread_t thread;
    CHECK_OK(goatflow_plugin_queue_new(&self.queue, ERR));
    CHECK(pthread_create(&thread, NULL, wait_on_queue, &self) == 0);
    CHECK_SOON(get(&self.entered));
    check_sleep_ms(50);
    goatflow_plugin_queue_free(self.queue);
    CHECK_SOON(get(&self.left));
    pthread_join(thread, NULL);
    CHECK_ANY(self.status, ARGUMENT_HANDLE, OK, LIFECYCLE_SHUT_DOWN);

    CASE("two threads wait on one queue: one completion wakes one of them");
    waiter a, b;
    pthread_t thread_a, thread_b;
    memset(&a, 0, sizeof a);
    CHECK_OK(goatflow_plugin_queue_new(&a.queue, ERR));
    b = a;
    CHECK(pthread_create(&thread_a, NULL, wait_on_queue, &a) == 0 && pthread_create(&thread_b, NULL, wait_on_queue, &b) == 0);
    CHECK_SOON(get(&a.entered) && get(&b.entered));
    check_sleep_ms(20);
    CHECK_OK(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("echo"), B("{}"), NULL, a.queue, 1, NULL, ERR));
    CHECK_SOON(get(&a.left) + get(&b.left) == 1);
    check_sleep_ms(50);
    CHECK_INT(get(&a.left) + get(&b.left), 1);
    CHECK_OK(goatflow_plugin_manager_call_enqueue(m, PLUGIN, S("echo"), B("{}"), NULL, a.queue, 2, NULL, ERR));
    CHECK_SOON(get(&a.left) + get(&b.left) == 2);
    pthread_join(thread_a, NULL);
    pthread_join(thread_b, NULL);
    CHECK(a.status == 0 && b.status == 0);
    goatflow_plugin_queue_free(a.queue);
}

typedef struct canceller {
    const goatflow_plugin_cancellation *cancellation;
    int free_instead;
} canceller;
static void *cancel_soon(void *argument) {
    canceller *self = (canceller *)argument;
    check_sleep_ms(30);
    if (self->free_instead) goatflow_plugin_cancellation_free(self->cancellation);
    else CHECK_OK(goatflow_plugin_cancellation_cancel(self->cancellation, NULL));
    return NULL;
}

static void cancellation(void) {
    buffer out = BUFFER_INIT;
    goatflow_plugin_call_options options = options_init();
    const goatflow_plugin_cancellation *handle = NULL;
    pthread_t thread;

    CASE("cancelled before: no call with it begins");
    CHECK_OK(goatflow_plugin_cancellation_new(&handle, ERR));
    CHECK_OK(goatflow_plugin_cancellation_cancel(handle, ERR));
    CHECK_OK(goatflow_plugin_cancellation_cancel(handle, ERR));
    options.cancellation = handle;
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("spin"), B("{}"), &options, &out, ERR), PLUGIN_CANCELLED);
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("echo"), B("{}"), &options, &out, ERR), PLUGIN_CANCELLED);
    goatflow_plugin_cancellation_free(handle);

    CASE("cancelled during: the call ends, calls without it do not notice");
    CHECK_OK(goatflow_plugin_cancellation_new(&handle, ERR));
    options.cancellation = handle;
    canceller soon = {handle, 0};
    CHECK(pthread_create(&thread, NULL, cancel_soon, &soon) == 0);
    int64_t before = check_now_ms();
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("spin"), B("{}"), &options, &out, ERR), PLUGIN_CANCELLED);
    CHECK(check_now_ms() - before < 5000 * check_slow());
    pthread_join(thread, NULL);
    CHECK_CALL(m, "guest-a", "echo", "{}", "{}");
    goatflow_plugin_cancellation_free(handle);

    CASE("cancelled after: nothing happens");
    CHECK_OK(goatflow_plugin_cancellation_new(&handle, ERR));
    options.cancellation = handle;
    CHECK_OK(goatflow_plugin_manager_call(m, PLUGIN, S("echo"), B("{}"), &options, &out, ERR));
    CHECK_TEXT(out, "{}");
    CHECK_OK(goatflow_plugin_cancellation_cancel(handle, ERR));
    CHECK_CALL(m, "guest-a", "echo", "{}", "{}");
    goatflow_plugin_cancellation_free(handle);

    CASE("one handle cancels several calls, also queued behind each other");
    CHECK_OK(goatflow_plugin_cancellation_new(&handle, ERR));
    options.cancellation = handle;
    const goatflow_plugin_operation *operations[4];
    for (int i = 0; i < 4; i++)
        CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("spin"), B("{}"), &options, NULL, NULL, NULL, &operations[i], ERR));
    check_sleep_ms(20);
    CHECK_OK(goatflow_plugin_cancellation_cancel(handle, ERR));
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(goatflow_plugin_operation_wait(operations[i], UINT64_MAX, &out, ERR), PLUGIN_CANCELLED);
        goatflow_plugin_operation_free(operations[i]);
    }
    goatflow_plugin_cancellation_free(handle);

    CASE("a cancellation is freed while calls use it: they go on to their deadline");
    CHECK_OK(goatflow_plugin_cancellation_new(&handle, ERR));
    options.cancellation = handle;
    options.timeout_ms = 150;
    canceller freeing = {handle, 1};
    CHECK(pthread_create(&thread, NULL, cancel_soon, &freeing) == 0);
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("spin"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);
    pthread_join(thread, NULL);
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("echo"), B("{}"), &options, &out, ERR), ARGUMENT_HANDLE);
    CHECK_STATUS(goatflow_plugin_cancellation_cancel(handle, ERR), ARGUMENT_HANDLE);

    CASE("one plugin's timeouts and cancellations never touch another's call");
    const goatflow_plugin_manager *both = manager_ready();
    load(both, guest("guest-b.wasm"));
    options = options_init();
    options.timeout_ms = 400;
    const goatflow_plugin_operation *long_one = NULL;
    CHECK_OK(goatflow_plugin_manager_call_async(both, S("guest-b"), S("spin"), B("{}"), &options, NULL, NULL, NULL, &long_one, ERR));
    options.timeout_ms = 1;
    before = check_now_ms();
    for (int i = 0; i < 50; i++)
        CHECK_STATUS(goatflow_plugin_manager_call(both, PLUGIN, S("spin"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);
    if (check_now_ms() - before < 300) CHECK_STATUS(goatflow_plugin_operation_wait(long_one, 0, &out, ERR), LIFECYCLE_PENDING);
    CHECK_STATUS(goatflow_plugin_operation_wait(long_one, UINT64_MAX, &out, ERR), PLUGIN_DEADLINE);
    CHECK_CALL(both, "guest-b", "echo", "{}", "{}");
    goatflow_plugin_operation_free(long_one);
    goatflow_plugin_manager_free(both);

    CASE("unload drains: busy within its time, done after the call");
    const goatflow_plugin_manager *draining = manager_ready();
    options = options_init();
    options.timeout_ms = 300;
    const goatflow_plugin_operation *running = NULL;
    CHECK_OK(goatflow_plugin_manager_call_async(draining, PLUGIN, S("spin"), B("{}"), &options, NULL, NULL, NULL, &running, ERR));
    check_sleep_ms(50);
    before = check_now_ms();
    int32_t status = goatflow_plugin_manager_unload(draining, PLUGIN, 10, ERR);
    CHECK_ANY(status, LIFECYCLE_BUSY, OK, OK);
    CHECK(check_now_ms() - before < 250 * check_slow());
    CHECK_STATUS(goatflow_plugin_operation_wait(running, UINT64_MAX, &out, ERR), PLUGIN_DEADLINE);
    goatflow_plugin_operation_free(running);
    goatflow_plugin_manager_free(draining);
}

int main(void) {
    m = manager_ready();
    results();
    caller_buffers();
    function_handles();
    asynchronous();
    queues();
    queue_with_waiter();
    cancellation();
    goatflow_plugin_manager_free(m);
    check_error_clear();
    return check_done();
}
