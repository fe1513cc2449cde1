/* A native plugin: called, crashed, killed, unloaded; the host's signals and children stay its own. */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define PLUGIN S("contract-suite")
static const goatflow_plugin_manager *m;
static int crashed, restarted;

static void on_event(void *user_data, const char *event, size_t event_len) {
    (void)user_data;
    if (check_contains(event, event_len, "\"kind\":\"plugin.crashed\"")) add(&crashed, 1);
    if (check_contains(event, event_len, "\"kind\":\"plugin.restarted\"")) add(&restarted, 1);
}

static const goatflow_plugin_manager *native_manager(void) {
    char config[1024];
    snprintf(config, sizeof config,
             "{\"version\":1,%s\"policies\":{\"contract-suite\":{\"version\":1,\"status\":\"approved\",\"permissions\":[],"
             "\"call_timeout\":\"60s\"}}}",
             signals_off() ? "\"signals\":\"off\"," : "");
    const goatflow_plugin_manager *manager = NULL;
    CHECK_OK(goatflow_plugin_manager_new(S(config), &manager, ERR));
    load(manager, plugin_path("contract-go"));
    return manager;
}

/* Process of the plugin, from the list. */
static pid_t plugin_pid(void) {
    buffer out = BUFFER_INIT;
    long pid = 0;
    CHECK_OK(goatflow_plugin_manager_list(m, &out, ERR));
    for (size_t at = 0; at + 6 < out.len; at++)
        if (memcmp(out.data + at, "\"pid\":", 6) == 0) pid = strtol((const char *)out.data + at + 6, NULL, 10);
    goatflow_plugin_buffer_free(&out);
    return (pid_t)pid;
}

static int answers(void) {
    buffer out = BUFFER_INIT;
    int32_t status = call(m, "contract-suite", "echo", "1", &out, NULL);
    int is_right = status == 0 && check_buffer_is(&out, "1");
    goatflow_plugin_buffer_free(&out);
    return is_right;
}

static void called(void) {
    buffer out = BUFFER_INIT;
    CASE("calls and their errors");
    CHECK_CALL(m, "contract-suite", "echo", "{\"a\":1}", "{\"a\":1}");
    CHECK_CALL(m, "contract-suite", "nothing", "{}", "");
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 100;
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("sleep"), B("{\"ms\":50000}"), &options, &out, ERR), PLUGIN_DEADLINE);
    options.timeout_ms = 0;

    CASE("a call that must not wait is refused, and can be started");
    options.flags = GOATFLOW_PLUGIN_CALL_NO_WAITING;
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("echo"), B("1"), &options, &out, ERR), LIFECYCLE_PENDING);
    const goatflow_plugin_operation *operation = NULL;
    CHECK_OK(goatflow_plugin_manager_call_async(m, PLUGIN, S("echo"), B("1"), &options, NULL, NULL, NULL, &operation, ERR));
    CHECK_OK(goatflow_plugin_operation_wait(operation, 20000 * (uint64_t)check_slow(), &out, ERR));
    CHECK_TEXT(out, "1");
    goatflow_plugin_operation_free(operation);
    options.flags = 2;
    CHECK_STATUS(goatflow_plugin_manager_call(m, PLUGIN, S("echo"), B("1"), &options, &out, ERR), ARGUMENT_UNSUPPORTED_OPTION);
}

static void ended(void) {
    buffer out = BUFFER_INIT;
    CASE("a crash is an error of the call, and a new process serves");
    CHECK(call(m, "contract-suite", "crash", "{}", &out, ERR) != 0);
    CHECK_SOON(get(&crashed) == 1 && get(&restarted) == 1);
    CHECK_SOON(answers());

    CASE("so is a kill");
    pid_t pid = plugin_pid();
    CHECK(pid > 1);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK_SOON(get(&crashed) == 2 && get(&restarted) == 2);
    CHECK_SOON(answers());
    CHECK(plugin_pid() != pid);
}

static int child_signals;
static void on_child(int signal) {
    (void)signal;
    add(&child_signals, 1);
}

static void undisturbed(void) {
    CASE("the host waits for its own children, and its signals are as it set them");
    struct sigaction ours, now;
    memset(&ours, 0, sizeof ours);
    ours.sa_handler = on_child;
    CHECK(sigaction(SIGCHLD, &ours, NULL) == 0);
    const goatflow_plugin_manager *other = native_manager();
    pid_t pid = fork();
    if (pid == 0) {
        buffer out = BUFFER_INIT;
        int32_t status = call(other, "contract-suite", "echo", "1", &out, NULL);
        _exit(status == GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_FORKED ? 7 : 1);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(answers());
    CHECK(sigaction(SIGCHLD, NULL, &now) == 0);
    CHECK(now.sa_handler == on_child);
    CHECK(waitpid(-1, &status, WNOHANG) <= 0);
    goatflow_plugin_manager_free(other);
    ours.sa_handler = SIG_DFL;
    CHECK(sigaction(SIGCHLD, &ours, NULL) == 0);
}

int main(void) {
    buffer out = BUFFER_INIT;
    m = native_manager();
    const goatflow_plugin_subscription *subscription = NULL;
    CHECK_OK(goatflow_plugin_subscription_new(m, EMPTY, on_event, NULL, NULL, &subscription, ERR));
    called();
    ended();
    undisturbed();

    CASE("unloading ends the process");
    pid_t pid = plugin_pid();
    CHECK_OK(goatflow_plugin_manager_unload(m, PLUGIN, 10000, ERR));
    CHECK_SOON(kill(pid, 0) != 0);
    CHECK_STATUS(call(m, "contract-suite", "echo", "1", &out, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);
    goatflow_plugin_subscription_free(subscription);
    goatflow_plugin_manager_free(m);
    check_error_clear();
    return check_done();
}
