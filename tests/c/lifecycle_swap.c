/* Versions that replace each other while threads call, and what is told about it. */
#include "fixture.h"

#include <pthread.h>

#define PLUGIN S("guest-a")
enum { THREADS = 8 };
static const goatflow_plugin_manager *m;
static const goatflow_plugin_function *function;
static int stop, calls, failures;

static void *keep_calling(void *unused) {
    (void)unused;
    for (unsigned n = 0; !get(&stop); n++) {
        buffer out = BUFFER_INIT;
        int32_t status = n % 2 ? goatflow_plugin_function_call(function, B("{\"n\":1}"), NULL, &out, NULL)
                               : call(m, "guest-a", "echo", "{\"n\":1}", &out, NULL);
        if (status != 0 || !check_buffer_is(&out, "{\"n\":1}")) add(&failures, 1);
        goatflow_plugin_buffer_free(&out);
        add(&calls, 1);
    }
    return NULL;
}

/* Events, one after the other, separated by newlines. */
static char events[65536];
static int event_count;
static void on_event(void *user_data, const char *event, size_t event_len) {
    (void)user_data;
    size_t at = strlen(events);
    if (at + event_len + 2 < sizeof events) snprintf(events + at, sizeof events - at, "%.*s\n", (int)event_len, event);
    add(&event_count, 1);
}
static int told(const char *needle) { return strstr(events, needle) != NULL; }

static void replace_with(const char *path, buffer *report) {
    CHECK_OK(goatflow_plugin_manager_replace(m, S(path), S("{\"probation_ms\":0}"), report, ERR));
}

static void under_load(void) {
    buffer report = BUFFER_INIT;
    CASE("eight threads call while versions replace each other: no call fails");
    CHECK_OK(goatflow_plugin_function_resolve(m, PLUGIN, S("echo"), &function, ERR));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, keep_calling, NULL) == 0);
    for (int round = 0; round < 4; round++) {
        int before = get(&calls);
        CHECK_SOON(get(&calls) > before + THREADS);
        replace_with(guest(round % 2 ? "guest-a.wasm" : "guest-a-next.wasm"), &report);
        CHECK(check_contains((const char *)report.data, report.len, "\"kind\":\"replaced\""));
        CHECK(check_contains((const char *)report.data, report.len, "\"drained\":true"));
        CHECK_CONTAINS(report, round % 2 ? "\"new_version\":\"1.0.0\"" : "\"new_version\":\"1.1.0\"");
    }
    CHECK_OK(goatflow_plugin_manager_rollback(m, PLUGIN, EMPTY, &report, ERR));
    CHECK(check_contains((const char *)report.data, report.len, "\"kind\":\"rolled_back\""));
    CHECK_CONTAINS(report, "\"new_version\":\"1.1.0\"");
    CHECK_OK(goatflow_plugin_manager_reload(m, PLUGIN, S("{\"drain_ms\":5000,\"probe\":false}"), &report, ERR));
    CHECK_CONTAINS(report, "\"kind\":\"reloaded\"");
    set(&stop, 1);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_INT(get(&failures), 0);
    goatflow_plugin_function_free(function);

    CASE("the registration is the new version's");
    CHECK_OK(goatflow_plugin_manager_registration(m, PLUGIN, &report, ERR));
    CHECK_CONTAINS(report, "/new");
}

static void refused(void) {
    buffer out = BUFFER_INIT;
    CASE("a replace that fails leaves the old version");
    CHECK(goatflow_plugin_manager_replace(m, S(guest("guest-b.wasm")), EMPTY, &out, ERR) ==
          GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND);
    CHECK_STATUS(goatflow_plugin_manager_replace(m, S(guest("absent.wasm")), EMPTY, &out, ERR), PACKAGE_NOT_FOUND);
    CHECK_CALL(m, "guest-a", "echo", "{}", "{}");
    CHECK_STATUS(goatflow_plugin_manager_reload(m, S("absent"), EMPTY, &out, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);
    CHECK_STATUS(goatflow_plugin_manager_reload(m, PLUGIN, S("{\"drain\":1}"), &out, ERR), ARGUMENT_JSON);
    CHECK_STATUS(goatflow_plugin_manager_reload(m, PLUGIN, EMPTY, NULL, ERR), ARGUMENT_NULL);
    const goatflow_plugin_manager *fresh = manager_ready();
    CHECK_STATUS(goatflow_plugin_manager_rollback(fresh, PLUGIN, EMPTY, &out, ERR), LIFECYCLE_NO_PREVIOUS);
    goatflow_plugin_manager_free(fresh);
    CHECK_STATUS(goatflow_plugin_manager_rollback(fresh, PLUGIN, EMPTY, &out, ERR), ARGUMENT_HANDLE);
}

static int completed, released;
static void on_complete(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error,
                        size_t error_len) {
    (void)error_len;
    CHECK(user_data == &completed && status == 0 && error == NULL);
    CHECK(check_contains((const char *)result, result_len, "\"kind\":\"reloaded\""));
    add(&completed, 1);
}
static void on_release(void *user_data) {
    CHECK(user_data == &completed);
    add(&released, 1);
}

static void asynchronous(void) {
    buffer out = BUFFER_INIT;
    const goatflow_plugin_operation *operation = NULL;
    CASE("an exchange on a thread of the library is waited for");
    CHECK_OK(goatflow_plugin_manager_replace_async(m, S(guest("guest-a.wasm")), EMPTY, NULL, NULL, NULL, &operation, ERR));
    CHECK_OK(goatflow_plugin_operation_cancel(operation, ERR)); /* without effect */
    CHECK_OK(goatflow_plugin_operation_wait(operation, 60000 * (uint64_t)check_slow(), &out, ERR));
    CHECK_CONTAINS(out, "\"new_version\":\"1.0.0\"");
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, 0, &out, ERR), LIFECYCLE_TAKEN);
    goatflow_plugin_operation_free(operation);

    CASE("or tells a completion, once, before its finalizer");
    CHECK_OK(goatflow_plugin_manager_reload_async(m, PLUGIN, EMPTY, on_complete, &completed, on_release, NULL, ERR));
    CHECK_SOON(get(&released) == 1);
    CHECK_INT(get(&completed), 1);

    CASE("a failure arrives as the outcome");
    CHECK_OK(goatflow_plugin_manager_rollback_async(m, S("absent"), EMPTY, NULL, NULL, NULL, &operation, ERR));
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, 60000, &out, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);
    goatflow_plugin_operation_free(operation);
    CHECK_STATUS(goatflow_plugin_manager_reload_async(m, PLUGIN, EMPTY, NULL, NULL, NULL, NULL, ERR), ARGUMENT_NULL);
    CHECK_STATUS(goatflow_plugin_manager_reload_async(m, PLUGIN, S("x"), on_complete, &completed, on_release, NULL, ERR),
                 ARGUMENT_JSON);
    CHECK_INT(get(&completed), 1);
    CHECK_INT(get(&released), 2);
}

static void health(void) {
    buffer out = BUFFER_INIT;
    CASE("health, asked and reset");
    CHECK_OK(goatflow_plugin_manager_health(m, PLUGIN, &out, ERR));
    CHECK_CONTAINS(out, "\"state\":\"unknown\"");
    CHECK_OK(goatflow_plugin_manager_probe(m, PLUGIN, &out, ERR));
    CHECK_CONTAINS(out, "\"state\":\"healthy\"");
    CHECK_OK(goatflow_plugin_manager_reset_crash_loop(m, PLUGIN, &out, ERR));
    CHECK_CONTAINS(out, "\"crash_loop\":false");
    CHECK_STATUS(goatflow_plugin_manager_probe(m, S("absent"), &out, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);

    CASE("watching, by name");
    CHECK_OK(goatflow_plugin_manager_watch(m, PLUGIN, EMPTY, &out, ERR));
    CHECK_CONTAINS(out, "\"plugin\":\"guest-a\"");
    CHECK_STATUS(goatflow_plugin_manager_watch(m, PLUGIN, EMPTY, &out, ERR), LIFECYCLE_WATCH_CONFLICT);
    CHECK_OK(goatflow_plugin_manager_watches(m, &out, ERR));
    CHECK_CONTAINS(out, "guest-a.wasm");
    CHECK_OK(goatflow_plugin_manager_unwatch(m, PLUGIN, ERR));
    CHECK_STATUS(goatflow_plugin_manager_unwatch(m, PLUGIN, ERR), LIFECYCLE_WATCH_CONFLICT);

    CASE("the machine's isolation is reported, or why it is not");
    int32_t status = goatflow_plugin_isolation_report(&out, ERR);
    if (status == 0) CHECK_CONTAINS(out, "\"layers\":[");
}

/* Bytes of an older, shorter struct are all that is read. */
static void traces(void) {
    buffer out = BUFFER_INIT;
    static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    goatflow_plugin_call_options options = options_init();
#define TRACED(p, s)                                                        \
    (options.traceparent = (p), options.traceparent_len = strlen(p),        \
     options.tracestate = (s), options.tracestate_len = strlen(s),          \
     goatflow_plugin_manager_call(m, PLUGIN, S("echo"), B("{}"), &options, &out, ERR))
    CASE("trace context is checked");
    CHECK_OK(TRACED(parent, "a=b"));
    CHECK_TEXT(out, "{}");
    CHECK_STATUS(TRACED("x", ""), ARGUMENT_INVALID);
    CHECK_STATUS(TRACED("", "a=b"), ARGUMENT_INVALID);
    CHECK_STATUS(TRACED(parent, "A=b"), ARGUMENT_INVALID);
    CASE("an older header's struct ends before it");
    options.struct_size = 64;
    CHECK_OK(TRACED("x", ""));
    CHECK_TEXT(out, "{}");
#undef TRACED
}

int main(void) {
    buffer out = BUFFER_INIT;
    m = manager_ready();
    const goatflow_plugin_subscription *subscription = NULL;
    CHECK_OK(goatflow_plugin_subscription_new(m, S("{\"kinds\":[\"plugin.swapped\",\"plugin.failed\",\"plugin.rolled_back\"]}"),
                                              on_event, NULL, NULL, &subscription, ERR));
    under_load();
    refused();

    CASE("events tell what a new version registers differently, and what failed");
    CHECK_SOON(get(&event_count) >= 8);
    CHECK(told("\"added\":[\"GET /new\"]"));
    CHECK(told("\"removed\":[\"GET /old\"]"));
    CHECK(told("\"kind\":\"plugin.failed\""));
    CHECK(told("\"kind\":\"plugin.rolled_back\""));
    goatflow_plugin_subscription_free(subscription);
    asynchronous();
    health();
    traces();

    CASE("shutdown says what became of each plugin");
    CHECK_OK(goatflow_plugin_manager_shutdown(m, 5000, &out, ERR));
    CHECK_CONTAINS(out, "\"outcome\":\"stopped\"");
    CHECK_STATUS(goatflow_plugin_manager_reload(m, PLUGIN, EMPTY, &out, ERR), LIFECYCLE_SHUT_DOWN);
    goatflow_plugin_manager_free(m);
    check_error_clear();
    return check_done();
}
