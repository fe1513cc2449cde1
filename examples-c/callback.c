/* A host that does the work behind the sandbox itself: its database answers from another thread, its log goes to stdout.
 * A plugin can't tell: the library checks every call against the plugin's policy before a callback sees it.
 *
 *   callback PLUGIN FUNCTION [ARGUMENTS]
 */
#include <pthread.h>
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

/* The host's database: one thread that answers one query at a time. */
typedef struct database {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const goatflow_plugin_reply *pending; /* the query being asked, or NULL */
    int is_query;                         /* db_query wants rows, db_exec the number of rows it changed */
    int closed;
    pthread_t thread;
} database;

static void *database_run(void *argument) {
    database *self = (database *)argument;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (self->pending == NULL && !self->closed) pthread_cond_wait(&self->changed, &self->lock);
        if (self->pending == NULL) break;
        const goatflow_plugin_reply *reply = self->pending;
        const char *answer = self->is_query ? "[{\"queue\":\"Raw\",\"state\":\"open\",\"tickets\":3}]" : "{\"affected\":1}";
        self->pending = NULL;
        pthread_cond_signal(&self->changed);
        pthread_mutex_unlock(&self->lock); /* never hold a lock of your own while calling the library */
        const goatflow_plugin_error *error = NULL;
        if (goatflow_plugin_reply_set_result(reply, (const uint8_t *)answer, strlen(answer), &error) != 0) {
            /* The call was cancelled or its deadline passed before we were done: nobody waits any more. */
            fprintf(stderr, "too late: %s\n", goatflow_plugin_error_message(error));
            goatflow_plugin_error_free(error);
        }
        pthread_mutex_lock(&self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* Runs on the thread that called the plugin. Returning PENDING keeps `reply` for later; everything in `call` dies now. */
static int32_t on_database(void *user_data, const goatflow_plugin_host_call *call, const goatflow_plugin_reply *reply) {
    database *self = (database *)user_data;
    printf("%.*s asks the database: %.*s %.*s\n", (int)call->plugin_len, call->plugin, (int)call->function_len,
           call->function, (int)call->arguments_len, (const char *)call->arguments);
    pthread_mutex_lock(&self->lock);
    while (self->pending != NULL) pthread_cond_wait(&self->changed, &self->lock);
    self->pending = reply;
    self->is_query = call->function_len == strlen("db_query") && memcmp(call->function, "db_query", call->function_len) == 0;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    return GOATFLOW_PLUGIN_REPLY_PENDING;
}

/* Runs exactly once, when no callback can arrive any more: the place to let go of what `user_data` points to. */
static void database_close(void *user_data) {
    database *self = (database *)user_data;
    pthread_mutex_lock(&self->lock);
    self->closed = 1;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static int32_t on_log(void *user_data, const goatflow_plugin_host_call *call, const goatflow_plugin_reply *reply) {
    (void)user_data;
    printf("%.*s logs: %.*s\n", (int)call->plugin_len, call->plugin, (int)call->arguments_len, (const char *)call->arguments);
    const goatflow_plugin_error *error = NULL;
    must(goatflow_plugin_reply_set_result(reply, (const uint8_t *)"{\"ok\":true}", 11, &error), "log", &error);
    return GOATFLOW_PLUGIN_STATUS_OK;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s PLUGIN FUNCTION [ARGUMENTS]\n", argv[0]);
        return 2;
    }
    const char *path = argv[1], *function = argv[2], *arguments = argc > 3 ? argv[3] : "{}";
    static const char policy[] =
        "{\"version\":1,\"status\":\"approved\",\"permissions\":["
        "{\"type\":\"db\",\"access\":\"read\",\"scope\":[\"ticket\",\"queue\",\"ticket_state\"]},"
        "{\"type\":\"cache\",\"access\":\"readwrite\"}]}";

    database db;
    memset(&db, 0, sizeof db);
    pthread_mutex_init(&db.lock, NULL);
    pthread_cond_init(&db.changed, NULL);
    if (pthread_create(&db.thread, NULL, database_run, &db) != 0) return 1;

    const goatflow_plugin_error *error = NULL;
    const goatflow_plugin_manager *manager = NULL;
    goatflow_plugin_buffer name = {NULL, 0, 0}, result = {NULL, 0, 0};
    must(goatflow_plugin_manager_new(NULL, 0, &manager, &error), "manager", &error);
    must(goatflow_plugin_manager_provide(manager, "db", 2, on_database, &db, database_close, &error), "database", &error);
    must(goatflow_plugin_manager_provide(manager, "log", 3, on_log, NULL, NULL, &error), "log", &error);
    must(goatflow_plugin_manager_load(manager, path, strlen(path), NULL, 0, &name, &error), "load", &error);
    must(goatflow_plugin_policy_set(manager, (const char *)name.data, name.len, policy, strlen(policy), UINT64_MAX, NULL, &error),
         "policy", &error);

    int32_t status = goatflow_plugin_manager_call(manager, (const char *)name.data, name.len, function, strlen(function),
                                                  (const uint8_t *)arguments, strlen(arguments), NULL, &result, &error);
    if (status == 0)
        printf("result: %.*s\n", (int)result.len, result.data == NULL ? "" : (const char *)result.data);
    else
        fprintf(stderr, "call: %s (%s)\n", goatflow_plugin_error_message(error), goatflow_plugin_error_code(error));

    goatflow_plugin_error_free(error);
    goatflow_plugin_buffer_free(&result);
    goatflow_plugin_buffer_free(&name);
    goatflow_plugin_manager_free(manager); /* lets go of the callbacks, so database_close runs and the thread ends */
    pthread_join(db.thread, NULL);
    pthread_cond_destroy(&db.changed);
    pthread_mutex_destroy(&db.lock);
    return status == 0 ? 0 : 1;
}
