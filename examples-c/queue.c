/* A host with an event loop: starts many calls at once and collects them through one descriptor, as epoll, libuv or
 * asyncio would. No thread of the host ever blocks in a plugin, and no callback arrives on a foreign thread.
 *
 *   queue PLUGIN FUNCTION [COUNT]
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "goatflow_plugin.h"

/* `error` is a pointer because C may evaluate arguments in any order. */
static void must(int32_t status, const char *what, const goatflow_plugin_error *const *error) {
    if (status == 0) return;
    fprintf(stderr, "%s: %s (%s)\n", what, goatflow_plugin_error_message(*error), goatflow_plugin_error_code(*error));
    exit(1);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s PLUGIN FUNCTION [COUNT]\n", argv[0]);
        return 2;
    }
    const char *path = argv[1], *function = argv[2];
    const uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 8;

    const goatflow_plugin_error *error = NULL;
    const goatflow_plugin_manager *manager = NULL;
    const goatflow_plugin_queue *queue = NULL;
    goatflow_plugin_buffer name = {NULL, 0, 0};
    struct pollfd wake = {.fd = -1, .events = POLLIN, .revents = 0};
    must(goatflow_plugin_manager_new(NULL, 0, &manager, &error), "manager", &error);
    must(goatflow_plugin_manager_load(manager, path, strlen(path), NULL, 0, &name, &error), "load", &error);
    must(goatflow_plugin_queue_new(&queue, &error), "queue", &error);
    must(goatflow_plugin_queue_fd(queue, &wake.fd, &error), "queue descriptor", &error);

    /* The tag is ours: it says which of our requests a completion belongs to. */
    for (uint64_t tag = 1; tag <= count; tag++)
        must(goatflow_plugin_manager_call_enqueue(manager, (const char *)name.data, name.len, function, strlen(function),
                                                  (const uint8_t *)"{}", 2, NULL, queue, tag, NULL, &error),
             "enqueue", &error);

    uint64_t done = 0, failed = 0;
    while (done < count) {
        if (poll(&wake, 1, 30000) <= 0) {
            fprintf(stderr, "%" PRIu64 " calls never came back\n", count - done);
            return 1;
        }
        /* Timeout 0: the loop waits in poll, never here. Several completions may be ready at once. */
        goatflow_plugin_completion completions[16];
        size_t ready = 0;
        must(goatflow_plugin_queue_next(queue, completions, 16, 0, &ready, &error), "queue", &error);
        for (size_t i = 0; i < ready; i++) {
            goatflow_plugin_completion *completion = &completions[i];
            done++;
            if (completion->status != 0) {
                failed++;
                fprintf(stderr, "call %" PRIu64 ": %s\n", completion->tag, goatflow_plugin_error_message(completion->error));
            }
            /* Both belong to us now; freeing an empty buffer or no error is allowed. */
            goatflow_plugin_buffer_free(&completion->result);
            goatflow_plugin_error_free(completion->error);
        }
    }
    printf("%" PRIu64 " done, %" PRIu64 " failed\n", done, failed);

    goatflow_plugin_queue_free(queue);
    goatflow_plugin_buffer_free(&name);
    goatflow_plugin_manager_free(manager);
    return failed == 0 ? 0 : 1;
}
