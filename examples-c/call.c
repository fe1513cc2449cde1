/* The smallest host: load one plugin, call one function, print what it answers.
 *
 *   call PLUGIN FUNCTION [ARGUMENTS]        ./call ../examples-plugins/ticket-stats-c recall '{"key":"k"}'
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "goatflow_plugin.h"

static int fail(const char *what, const goatflow_plugin_error *error) {
    fprintf(stderr, "%s: %s (%s)\n", what, goatflow_plugin_error_message(error), goatflow_plugin_error_code(error));
    goatflow_plugin_error_free(error);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s PLUGIN FUNCTION [ARGUMENTS]\n", argv[0]);
        return 2;
    }
    const char *path = argv[1], *function = argv[2], *arguments = argc > 3 ? argv[3] : "{}";

    const goatflow_plugin_error *error = NULL;
    if (goatflow_plugin_abi_check(GOATFLOW_PLUGIN_ABI_VERSION, &error) != 0) return fail("wrong library", error);

    /* No configuration: no database, and every plugin gets the locked-down default policy. */
    const goatflow_plugin_manager *manager = NULL;
    if (goatflow_plugin_manager_new(NULL, 0, &manager, &error) != 0) return fail("manager", error);

    goatflow_plugin_buffer name = {NULL, 0, 0}, result = {NULL, 0, 0};
    int exit_code = 0;
    if (goatflow_plugin_manager_load(manager, path, strlen(path), NULL, 0, &name, &error) != 0) {
        exit_code = fail("load", error);
    } else if (goatflow_plugin_manager_call(manager, (const char *)name.data, name.len, function, strlen(function),
                                            (const uint8_t *)arguments, strlen(arguments), NULL, &result, &error) != 0) {
        exit_code = fail("call", error);
    } else {
        printf("%.*s\n", (int)result.len, result.data == NULL ? "" : (const char *)result.data);
    }

    goatflow_plugin_buffer_free(&result);
    goatflow_plugin_buffer_free(&name);
    goatflow_plugin_manager_free(manager);
    return exit_code;
}
