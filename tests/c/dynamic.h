/* The library through dlopen, for tests that do something before it is loaded or after it is closed. Such tests are not linked
 * with it. Scenarios run in processes of their own: the program starts itself again with the scenario's name. */
#ifndef DYNAMIC_H
#define DYNAMIC_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"

typedef struct api {
    void *library;
    int32_t (*manager_new)(const char *, size_t, const goatflow_plugin_manager **, const goatflow_plugin_error **);
    void (*manager_free)(const goatflow_plugin_manager *);
    int32_t (*load)(const goatflow_plugin_manager *, const char *, size_t, const char *, size_t, goatflow_plugin_buffer *, const goatflow_plugin_error **);
    int32_t (*unload)(const goatflow_plugin_manager *, const char *, size_t, uint64_t, const goatflow_plugin_error **);
    int32_t (*call)(const goatflow_plugin_manager *, const char *, size_t, const char *, size_t, const uint8_t *, size_t,
                    const goatflow_plugin_call_options *, goatflow_plugin_buffer *, const goatflow_plugin_error **);
    int32_t (*call_async)(const goatflow_plugin_manager *, const char *, size_t, const char *, size_t, const uint8_t *, size_t,
                          const goatflow_plugin_call_options *, goatflow_plugin_completion_fn, void *, goatflow_plugin_finalizer_fn,
                          const goatflow_plugin_operation **, const goatflow_plugin_error **);
    int32_t (*wait)(const goatflow_plugin_operation *, uint64_t, goatflow_plugin_buffer *, const goatflow_plugin_error **);
    void (*operation_free)(const goatflow_plugin_operation *);
    int32_t (*declare)(const goatflow_plugin_manager *, const char *, size_t, goatflow_plugin_host_fn, void *, goatflow_plugin_finalizer_fn,
                       const goatflow_plugin_error **);
    int32_t (*doctor)(goatflow_plugin_buffer *, const goatflow_plugin_error **);
    int32_t (*queue_new)(const goatflow_plugin_queue **, const goatflow_plugin_error **);
    int32_t (*queue_fd)(const goatflow_plugin_queue *, int32_t *, const goatflow_plugin_error **);
    void (*queue_free)(const goatflow_plugin_queue *);
    void (*buffer_free)(goatflow_plugin_buffer *);
    const char *(*slug)(int32_t);
} api;
static api lib;

static inline void dynamic_symbol(void *target, const char *name) {
    void *symbol = dlsym(lib.library, name);
    if (symbol == NULL) CHECK_FAIL("dlsym: %s", dlerror());
    memcpy(target, &symbol, sizeof symbol); /* a data pointer may not be cast to a function's */
}

static inline void dynamic_open(void) {
    const char *path = getenv("GOATFLOW_TEST_LIBRARY");
    CHECK(path != NULL);
    lib.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (lib.library == NULL) CHECK_FAIL("dlopen: %s", dlerror());
    dynamic_symbol(&lib.manager_new, "goatflow_plugin_manager_new");
    dynamic_symbol(&lib.manager_free, "goatflow_plugin_manager_free");
    dynamic_symbol(&lib.load, "goatflow_plugin_manager_load");
    dynamic_symbol(&lib.unload, "goatflow_plugin_manager_unload");
    dynamic_symbol(&lib.call, "goatflow_plugin_manager_call");
    dynamic_symbol(&lib.call_async, "goatflow_plugin_manager_call_async");
    dynamic_symbol(&lib.wait, "goatflow_plugin_operation_wait");
    dynamic_symbol(&lib.operation_free, "goatflow_plugin_operation_free");
    dynamic_symbol(&lib.declare, "goatflow_plugin_manager_declare");
    dynamic_symbol(&lib.doctor, "goatflow_plugin_doctor");
    dynamic_symbol(&lib.queue_new, "goatflow_plugin_queue_new");
    dynamic_symbol(&lib.queue_fd, "goatflow_plugin_queue_fd");
    dynamic_symbol(&lib.queue_free, "goatflow_plugin_queue_free");
    dynamic_symbol(&lib.buffer_free, "goatflow_plugin_buffer_free");
    dynamic_symbol(&lib.slug, "goatflow_plugin_status_slug");
}

/* Manager with guest-a, which may use the permission `org`. */
static inline const goatflow_plugin_manager *dynamic_manager(int signals_off) {
    const char *guests = getenv("GOATFLOW_TEST_GUESTS");
    char config[512], path[1024];
    const goatflow_plugin_manager *manager = NULL;
    goatflow_plugin_buffer name = {NULL, 0, 0};
    snprintf(config, sizeof config,
             "{\"version\":1,\"signals\":\"%s\",\"policies\":{\"guest-a\":{\"version\":1,\"status\":\"approved\",\"permissions\":["
             "{\"type\":\"org\",\"access\":\"read\",\"scope\":[\"*\"]}]}}}", signals_off ? "off" : "on");
    snprintf(path, sizeof path, "%s/guest-a.wasm", guests);
    CHECK_INT(lib.manager_new(config, strlen(config), &manager, NULL), 0);
    CHECK_INT(lib.load(manager, path, strlen(path), NULL, 0, &name, NULL), 0);
    lib.buffer_free(&name);
    return manager;
}

static inline int32_t dynamic_call(const goatflow_plugin_manager *manager, const char *function) {
    goatflow_plugin_buffer out = {NULL, 0, 0};
    int32_t status = lib.call(manager, "guest-a", 7, function, strlen(function), (const uint8_t *)"{}", 2, NULL, &out, NULL);
    lib.buffer_free(&out);
    return status;
}

#define EXPECT(manager, function, constant)                                                                    \
    do {                                                                                                       \
        int32_t expect_status = dynamic_call((manager), (function));                                           \
        if (expect_status != GOATFLOW_PLUGIN_STATUS_##constant)                                                \
            CHECK_FAIL("%s gave %s, expected %s", function, lib.slug(expect_status), #constant);               \
    } while (0)

static inline void dynamic_traps(const goatflow_plugin_manager *manager) {
    for (int i = 0; i < 3; i++) {
        EXPECT(manager, "trap", PLUGIN_TRAP);                 /* SIGILL with signals on */
        EXPECT(manager, "divide", PLUGIN_TRAP);               /* SIGFPE */
        EXPECT(manager, "wild", PLUGIN_TRAP);                 /* SIGSEGV */
        EXPECT(manager, "recurse", PLUGIN_STACK_EXHAUSTED);
        EXPECT(manager, "echo", OK);
    }
}

/* Runs `name` in a process of its own; the wait status. */
static inline int dynamic_scenario(const char *name) {
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a scenario that hangs goes with us */
        execl("/proc/self/exe", "scenario", name, (char *)NULL);
        _exit(126);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}
#define SURVIVES(scenario_name, text)                                                                                        \
    do {                                                                                                                     \
        CASE(text);                                                                                                          \
        int survives_status = dynamic_scenario(scenario_name);                                                               \
        if (!WIFEXITED(survives_status) || WEXITSTATUS(survives_status) != 0)                                                \
            CHECK_FAIL("scenario %s ended with %s %d", scenario_name, WIFEXITED(survives_status) ? "exit code" : "signal",   \
                       WIFEXITED(survives_status) ? WEXITSTATUS(survives_status) : WTERMSIG(survives_status));               \
    } while (0)

#endif
