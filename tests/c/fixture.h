/* What most tests share: literals as (pointer, length), managers with the guests' policies, paths from the environment.
 *
 *   GOATFLOW_TEST_GUESTS    directory with guest-a.wasm and guest-b.wasm (run.sh builds them from guest.c)
 *   GOATFLOW_TEST_PLUGINS   directory with ticket-stats-go/, ticket-stats-c/ and reference.wasm
 *   GOATFLOW_TEST_SQL       tickets.sql
 *   GOATFLOW_TEST_SIGNALS   "off": managers run without signal handlers (valgrind needs that) */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdarg.h>

#include "check.h"

#define S(text) (text), strlen(text)
#define B(text) (const uint8_t *)(text), strlen(text)
#define EMPTY NULL, (size_t)0
#define ANY_REVISION UINT64_MAX
#define BUFFER_INIT {NULL, 0, 0}

typedef goatflow_plugin_buffer buffer;

#define EVERYTHING                                                                                                    \
    "{\"version\":1,\"status\":\"approved\",\"permissions\":["                                                        \
    "{\"type\":\"db\",\"access\":\"readwrite\",\"scope\":[\"*\"]},{\"type\":\"cache\",\"access\":\"readwrite\"},"       \
    "{\"type\":\"http\",\"access\":\"readwrite\",\"scope\":[\"example.org\"]},"                                       \
    "{\"type\":\"email\",\"access\":\"readwrite\",\"scope\":[\"@example.org\"]},"                                     \
    "{\"type\":\"config\",\"access\":\"read\",\"scope\":[\"*\"]},"                                                    \
    "{\"type\":\"plugin_call\",\"access\":\"readwrite\",\"scope\":[\"*\"]},"                                          \
    "{\"type\":\"org\",\"access\":\"readwrite\",\"scope\":[\"*\"]}]"

static inline const char *fixture_env(const char *name) {
    const char *value = getenv(name);
    if (value == NULL || value[0] == 0) {
        fprintf(stderr, "%s is not set; run tests/c/run.sh\n", name);
        _exit(2);
    }
    return value;
}

/* Path in a ring of static buffers: good until 16 more were made by this thread. */
static inline const char *fixture_path(const char *variable, const char *name) {
    static __thread char paths[16][1024];
    static __thread unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", fixture_env(variable), name);
    return path;
}
static inline const char *guest(const char *name) { return fixture_path("GOATFLOW_TEST_GUESTS", name); }
static inline const char *plugin_path(const char *name) { return fixture_path("GOATFLOW_TEST_PLUGINS", name); }

static inline int signals_off(void) {
    const char *text = getenv("GOATFLOW_TEST_SIGNALS");
    return text != NULL && strcmp(text, "off") == 0;
}

/* Manager whose guests may do everything. `members` is JSON that follows `"version":1,…` in the configuration, or "". */
static inline const goatflow_plugin_manager *manager_with(const char *members) {
    char config[8192];
    snprintf(config, sizeof config,
             "{\"version\":1,%s%s\"policies\":{\"guest-a\":%s},\"guest-b\":%s}}%s%s}", signals_off() ? "\"signals\":\"off\"," : "",
             check_slow() > 1 && strstr(members, "limits") == NULL ? "\"limits\":{\"load_timeout_ms\":300000}," : "", EVERYTHING, EVERYTHING, members[0] ? "," : "", members);
    const goatflow_plugin_manager *manager = NULL;
    CHECK_OK(goatflow_plugin_manager_new(S(config), &manager, ERR));
    CHECK(manager != NULL);
    return manager;
}

static inline void load(const goatflow_plugin_manager *manager, const char *path) {
    buffer name = BUFFER_INIT;
    CHECK_OK(goatflow_plugin_manager_load(manager, S(path), EMPTY, &name, ERR));
    goatflow_plugin_buffer_free(&name);
}

/* Manager with guest-a loaded: what most cases start from. */
static inline const goatflow_plugin_manager *manager_ready(void) {
    const goatflow_plugin_manager *manager = manager_with("");
    load(manager, guest("guest-a.wasm"));
    return manager;
}

static inline int32_t call(const goatflow_plugin_manager *manager, const char *plugin, const char *function,
                           const char *arguments, buffer *result, const goatflow_plugin_error **error) {
    return goatflow_plugin_manager_call(manager, S(plugin), S(function), B(arguments), NULL, result, error);
}

#define CHECK_CALL(manager, plugin, function, arguments, text)                          \
    do {                                                                                \
        buffer check_result = BUFFER_INIT;                                              \
        CHECK_OK(call((manager), (plugin), (function), (arguments), &check_result, ERR)); \
        CHECK_TEXT(check_result, (text));                                               \
    } while (0)

static inline goatflow_plugin_call_options options_init(void) {
    goatflow_plugin_call_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

/* Counters that threads share. */
static inline int get(int *counter) { return __atomic_load_n(counter, __ATOMIC_SEQ_CST); }
static inline void set(int *counter, int value) { __atomic_store_n(counter, value, __ATOMIC_SEQ_CST); }
static inline int add(int *counter, int value) { return __atomic_add_fetch(counter, value, __ATOMIC_SEQ_CST); }

#endif
