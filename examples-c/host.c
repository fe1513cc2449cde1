/* The demo: a host on an embedded ticket database loads plugins, calls them, sees one refused, changes its policy live, and
 * exchanges one for its next version while other threads call it.
 * examples-go and the Python example do the same and print the same, byte for byte.
 *
 *   host DATABASE PLUGIN...        ./host tickets.db ../examples-plugins/ticket-stats-go ../examples-plugins/ticket-stats-c
 *   host DATABASE PLUGIN... -- NEXT            NEXT is a newer version of one of the plugins
 */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "goatflow_plugin.h"

enum { MAX_PLUGINS = 16 };

static const goatflow_plugin_manager *manager;

/* Ends the program when the library did not do what the demo is about. `error` is a pointer because C may read the
 * arguments of one call in any order. */
static void must(int32_t status, const char *what, const goatflow_plugin_error *const *error) {
    if (status == GOATFLOW_PLUGIN_STATUS_OK) return;
    fflush(stdout);
    fprintf(stderr, "%s: %s (%s)\n", what, goatflow_plugin_error_message(*error), goatflow_plugin_error_code(*error));
    exit(1);
}

/* Prints the label, the plugin and an answer; `-` stands for an answer of nothing. Frees the answer. */
static void print_answer(const char *label, const char *plugin, goatflow_plugin_buffer *answer) {
    printf("%s%s%s ", label, plugin[0] == 0 ? "" : " ", plugin);
    if (answer->len == 0)
        puts("-");
    else
        printf("%.*s\n", (int)answer->len, (const char *)answer->data);
    goatflow_plugin_buffer_free(answer);
}

/* Calls and prints the result, or the code of the error when the call failed. */
static void show_call(const char *label, const char *plugin, const char *function, const char *arguments) {
    const goatflow_plugin_error *error = NULL;
    goatflow_plugin_buffer result = {NULL, 0, 0};
    int32_t status = goatflow_plugin_manager_call(manager, plugin, strlen(plugin), function, strlen(function),
                                                  (const uint8_t *)arguments, strlen(arguments), NULL, &result, &error);
    if (status == GOATFLOW_PLUGIN_STATUS_OK) {
        print_answer(label, plugin, &result);
        return;
    }
    printf("%s %s %s\n", label, plugin, goatflow_plugin_error_code(error));
    goatflow_plugin_error_free(error);
}

static void set_policy(const char *plugin, const char *document, const char *done) {
    const goatflow_plugin_error *error = NULL;
    must(goatflow_plugin_policy_set(manager, plugin, strlen(plugin), document, strlen(document), UINT64_MAX, NULL, &error),
         "policy_set", &error);
    printf("policy %s %s\n", plugin, done);
}

/* Text as a JSON string, quotes included. */
static void append_json(char *to, size_t room, const char *text) {
    size_t at = strlen(to);
    if (at + 1 < room) to[at++] = '"';
    for (; *text != 0 && at + 8 < room; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20)
            at += (size_t)snprintf(to + at, room - at, "\\u%04x", byte);
        else {
            if (byte == '"' || byte == '\\') to[at++] = '\\';
            to[at++] = (char)byte;
        }
    }
    to[at++] = '"';
    to[at] = 0;
}

static void demonstrate(const char *plugin) {
    const goatflow_plugin_error *error = NULL;
    goatflow_plugin_buffer document = {NULL, 0, 0};
    must(goatflow_plugin_manager_registration(manager, plugin, strlen(plugin), &document, &error), "registration", &error);
    print_answer("registration", plugin, &document);

    show_call("overview", plugin, "overview", "{}");
    show_call("widget", plugin, "widget", "{}");
    show_call("ticket", plugin, "ticket", "{\"id\":1}");
    show_call("users", plugin, "users", "{}"); /* not granted: the plugin reports the refusal */

    must(goatflow_plugin_policy_get(manager, plugin, strlen(plugin), &document, &error), "policy_get", &error);
    goatflow_plugin_buffer_free(&document);
    set_policy(plugin,
               "{\"version\":1,\"status\":\"approved\",\"permissions\":["
               "{\"type\":\"db\",\"access\":\"read\",\"scope\":[\"ticket\",\"queue\",\"ticket_state\",\"users\"]},"
               "{\"type\":\"cache\",\"access\":\"readwrite\"}]}",
               "changed");
    show_call("users", plugin, "users", "{}");
    set_policy(plugin, "", "removed");
    show_call("users", plugin, "users", "{}");

    goatflow_plugin_buffer ignored = {NULL, 0, 0};
    static const char remember[] = "{\"key\":\"k\",\"value\":\"v\"}";
    must(goatflow_plugin_manager_call(manager, plugin, strlen(plugin), "remember", strlen("remember"),
                                      (const uint8_t *)remember, strlen(remember), NULL, &ignored, &error),
         "remember", &error);
    goatflow_plugin_buffer_free(&ignored);
    show_call("recall", plugin, "recall", "{\"key\":\"k\"}");
    show_call("unknown", plugin, "nope", "{}");
}

/* A function handle skips the look-up by name. */
static void demonstrate_handle(const char *plugin) {
    const goatflow_plugin_error *error = NULL;
    const goatflow_plugin_function *function = NULL;
    goatflow_plugin_buffer first = {NULL, 0, 0};
    must(goatflow_plugin_function_resolve(manager, plugin, strlen(plugin), "overview", strlen("overview"), &function, &error),
         "function_resolve", &error);
    for (int n = 1; n <= 3; n++) {
        goatflow_plugin_buffer result = {NULL, 0, 0};
        must(goatflow_plugin_function_call(function, (const uint8_t *)"{}", 2, NULL, &result, &error), "function_call", &error);
        if (n == 1) {
            first = result;
            printf("handle %d same\n", n);
            continue;
        }
        int same = result.len == first.len && (result.len == 0 || memcmp(result.data, first.data, result.len) == 0);
        printf("handle %d %s\n", n, same ? "same" : "different");
        goatflow_plugin_buffer_free(&result);
    }
    goatflow_plugin_buffer_free(&first);
    goatflow_plugin_function_free(function);
}

/* An asynchronous call: this thread sleeps in poll(2), as an event loop would, until the completion queue has something. */
static void demonstrate_async(const char *plugin) {
    const goatflow_plugin_error *error = NULL;
    const goatflow_plugin_queue *queue = NULL;
    struct pollfd wake = {.fd = -1, .events = POLLIN, .revents = 0};
    must(goatflow_plugin_queue_new(&queue, &error), "queue_new", &error);
    must(goatflow_plugin_queue_fd(queue, &wake.fd, &error), "queue_fd", &error);
    must(goatflow_plugin_manager_call_enqueue(manager, plugin, strlen(plugin), "overview", strlen("overview"),
                                              (const uint8_t *)"{}", 2, NULL, queue, 1, NULL, &error),
         "call_enqueue", &error);
    size_t count = 0;
    goatflow_plugin_completion completion;
    memset(&completion, 0, sizeof completion);
    while (count == 0) {
        if (poll(&wake, 1, 30000) <= 0) {
            fprintf(stderr, "the asynchronous call never came back\n");
            exit(1);
        }
        must(goatflow_plugin_queue_next(queue, &completion, 1, 0, &count, &error), "queue_next", &error);
    }
    must(completion.status, "overview", &completion.error);
    print_answer("async", "", &completion.result);
    goatflow_plugin_queue_free(queue);
}

/* A field of a JSON object that holds a plain text. */
static void text_field(const goatflow_plugin_buffer *document, const char *name, char *to, size_t room) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    to[0] = 0;
    for (size_t at = 0; at + strlen(key) < document->len; at++) {
        const char *found = (const char *)document->data + at;
        if (memcmp(found, key, strlen(key)) != 0) continue;
        found += strlen(key);
        const char *end = (const char *)memchr(found, '"', (size_t)((const char *)document->data + document->len - found));
        if (end != NULL && (size_t)(end - found) < room) snprintf(to, room, "%.*s", (int)(end - found), found);
        return;
    }
}

enum { CALLERS = 4 };
typedef struct load {
    const char *plugin;
    int calls, failures, stop; /* read and written by several threads */
} load;

static void *keep_calling(void *argument) {
    static const char key[] = "{\"key\":\"k\"}", found[] = "{\"found\":true,\"value\":\"v\"}";
    load *self = (load *)argument;
    while (!__atomic_load_n(&self->stop, __ATOMIC_SEQ_CST)) {
        goatflow_plugin_buffer result = {NULL, 0, 0};
        int32_t status = goatflow_plugin_manager_call(manager, self->plugin, strlen(self->plugin), "recall", strlen("recall"),
                                                      (const uint8_t *)key, strlen(key), NULL, &result, NULL);
        int is_right = result.len == strlen(found) && memcmp(result.data, found, result.len) == 0;
        if (status != GOATFLOW_PLUGIN_STATUS_OK || !is_right) __atomic_add_fetch(&self->failures, 1, __ATOMIC_SEQ_CST);
        goatflow_plugin_buffer_free(&result);
        __atomic_add_fetch(&self->calls, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void await_calls(load *self, int more) {
    struct timespec moment = {.tv_sec = 0, .tv_nsec = 1000000};
    int until = __atomic_load_n(&self->calls, __ATOMIC_SEQ_CST) + more;
    while (__atomic_load_n(&self->calls, __ATOMIC_SEQ_CST) < until) nanosleep(&moment, NULL);
}

/* The next version takes over while others call the plugin, and none of their calls fails. */
static void demonstrate_next(const char *plugin, const char *next) {
    load under_load;
    memset(&under_load, 0, sizeof under_load);
    under_load.plugin = plugin;
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        if (pthread_create(&threads[i], NULL, keep_calling, &under_load) != 0) exit(1);
    await_calls(&under_load, 50);

    const goatflow_plugin_error *error = NULL;
    goatflow_plugin_buffer report = {NULL, 0, 0};
    must(goatflow_plugin_manager_replace(manager, next, strlen(next), NULL, 0, &report, &error), "replace", &error);
    await_calls(&under_load, 50);
    __atomic_store_n(&under_load.stop, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);

    char old_version[32], new_version[32];
    text_field(&report, "old_version", old_version, sizeof old_version);
    text_field(&report, "new_version", new_version, sizeof new_version);
    printf("swapped %s %s -> %s under load, failed calls: %d\n", plugin, old_version, new_version,
           __atomic_load_n(&under_load.failures, __ATOMIC_SEQ_CST));
    goatflow_plugin_buffer_free(&report);
    show_call("ticket", plugin, "ticket", "{\"id\":1}");
    show_call("users", plugin, "users", "{}"); /* what is granted belongs to the name */
}

int main(int argc, char **argv) {
    const char *next = argc > 4 && strcmp(argv[argc - 2], "--") == 0 ? argv[argc - 1] : NULL;
    if (next != NULL) argc -= 2;
    if (argc < 3 || argc > 2 + MAX_PLUGINS) {
        fprintf(stderr, "usage: %s DATABASE PLUGIN... (at most %d)\n", argv[0], MAX_PLUGINS);
        return 2;
    }
    const goatflow_plugin_error *error = NULL;
    must(goatflow_plugin_abi_check(GOATFLOW_PLUGIN_ABI_VERSION, &error), "abi_check", &error);
    printf("goatflow-plugin abi %" PRIu32 "\n", goatflow_plugin_abi_version());

    char config[8192] = "{\"version\":1,\"database\":{\"sqlite\":{\"path\":";
    append_json(config, sizeof config - 8, argv[1]);
    strcat(config, "}}}");
    must(goatflow_plugin_manager_new(config, strlen(config), &manager, &error), "manager_new", &error);

    char *plugins[MAX_PLUGINS];
    int count = argc - 2;
    for (int i = 0; i < count; i++) {
        goatflow_plugin_buffer name = {NULL, 0, 0};
        const char *path = argv[2 + i];
        must(goatflow_plugin_manager_load(manager, path, strlen(path), NULL, 0, &name, &error), path, &error);
        printf("loaded %.*s\n", (int)name.len, (const char *)name.data);
        plugins[i] = (char *)calloc(1, name.len + 1);
        if (plugins[i] == NULL) return 1;
        memcpy(plugins[i], name.data, name.len);
        goatflow_plugin_buffer_free(&name);
    }
    for (int i = 0; i < count; i++) demonstrate(plugins[i]);

    goatflow_plugin_buffer nothing = {NULL, 0, 0};
    if (goatflow_plugin_manager_call(manager, "absent", strlen("absent"), "x", 1, NULL, 0, NULL, &nothing, &error) != 0) {
        printf("error %s\n", goatflow_plugin_error_code(error));
        goatflow_plugin_error_free(error);
        error = NULL;
    }
    demonstrate_handle(plugins[0]);
    demonstrate_async(plugins[0]);
    if (next != NULL) demonstrate_next(plugins[count - 1], next);

    goatflow_plugin_buffer report = {NULL, 0, 0};
    must(goatflow_plugin_manager_shutdown(manager, 5000, &report, &error), "shutdown", &error);
    goatflow_plugin_buffer_free(&report);
    puts("shut down");

    goatflow_plugin_manager_free(manager);
    for (int i = 0; i < count; i++) free(plugins[i]);
    return 0;
}
