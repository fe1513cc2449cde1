/* Calls of a native plugin's `echo` through the library, and the time from its start to its first answer.
 *
 *   ours PLUGIN CALLS     prints one line of JSON: microseconds per call, and milliseconds for the start */
#include <pthread.h>

#include "goatflow_plugin.h"
#include "measure.h"

#define S(text) (text), strlen(text)

typedef struct share {
    pthread_t thread;
    const goatflow_plugin_function *echo;
    const char *text;
    int calls;
} share;

static void must(int32_t status, const goatflow_plugin_error *error) {
    if (status == 0) return;
    fprintf(stderr, "%s\n", goatflow_plugin_error_message(error));
    exit(2);
}

static void *call(void *argument) {
    share *self = (share *)argument;
    size_t len = strlen(self->text);
    for (int i = 0; i < self->calls; i++) {
        goatflow_plugin_buffer answer = {NULL, 0, 0};
        const goatflow_plugin_error *error = NULL;
        must(goatflow_plugin_function_call(self->echo, (const uint8_t *)self->text, len, NULL, &answer, &error), error);
        if (answer.len != len) exit(3);
        goatflow_plugin_buffer_free(&answer);
    }
    return NULL;
}

static double per_call(const goatflow_plugin_function *echo, size_t size, int threads, int calls) {
    share shares[64];
    char *text = json_text(size);
    double begin = now_us();
    for (int i = 0; i < threads; i++) {
        shares[i].echo = echo, shares[i].text = text, shares[i].calls = calls / threads;
        pthread_create(&shares[i].thread, NULL, call, &shares[i]);
    }
    for (int i = 0; i < threads; i++) pthread_join(shares[i].thread, NULL);
    double took = now_us() - begin;
    free(text);
    return took / (calls / threads * threads);
}

static void say_level(const goatflow_plugin_manager *manager) {
    goatflow_plugin_buffer list = {NULL, 0, 0};
    goatflow_plugin_manager_list(manager, &list, NULL);
    const char *level = list.len ? (const char *)memmem(list.data, list.len, "\"level\":", 8) : NULL;
    printf("\"jail_level\":%d,", level == NULL ? -1 : atoi(level + 8));
    goatflow_plugin_buffer_free(&list);
}

int main(int argc, char **argv) {
    const goatflow_plugin_manager *manager = NULL;
    const goatflow_plugin_function *echo = NULL;
    const goatflow_plugin_error *error = NULL;
    goatflow_plugin_buffer name = {NULL, 0, 0};
    static const char policy[] = "{\"version\":1,\"status\":\"approved\",\"permissions\":[],\"max_calls_per_second\":0,\"instances\":64}";
    if (argc < 3) return 2;
    int calls = atoi(argv[2]);
    must(goatflow_plugin_manager_new(S("{\"version\":1}"), &manager, &error), error);
    double begin = now_us(), cpu = cpu_us();
    must(goatflow_plugin_manager_load(manager, S(argv[1]), NULL, 0, &name, &error), error);
    must(goatflow_plugin_function_resolve(manager, (const char *)name.data, name.len, S("echo"), &echo, &error), error);
    per_call(echo, 64, 1, 1);
    double started = (now_us() - begin) / 1000, start_cpu = (cpu_us() - cpu) / 1000;
    must(goatflow_plugin_policy_set(manager, (const char *)name.data, name.len, policy, sizeof policy - 1, UINT64_MAX, NULL, &error), error);
    per_call(echo, 64, 1, calls / 10);
    printf("{");
    say_level(manager);
    cpu = cpu_us();
    printf("\"64 B\":%.1f,", per_call(echo, 64, 1, calls));
    printf("\"64 B, host's CPU\":%.1f,\"start_cpu_ms\":%.2f,", (cpu_us() - cpu) / calls, start_cpu);
    printf("\"64 KiB\":%.1f,", per_call(echo, 65536, 1, calls / 4));
    printf("\"64 B, 16 in flight\":%.1f,", per_call(echo, 64, 16, calls));
    printf("\"64 B, 64 in flight\":%.1f,", per_call(echo, 64, 64, calls));
    printf("\"start_ms\":%.2f}\n", started);
    goatflow_plugin_buffer_free(&name);
    goatflow_plugin_manager_shutdown(manager, 5000, &name, NULL);
    goatflow_plugin_buffer_free(&name);
    goatflow_plugin_manager_free(manager);
    return 0;
}
