#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Every function of the library that the binding calls.
#define GFP_FUNCTIONS(X)                                                                                               \
  X(abi_version) X(version) X(abi_check) X(status_slug) X(status_table) X(doctor) X(config_schema) X(buffer_free)      \
  X(error_status) X(error_code) X(error_message) X(error_plugin) X(error_detail) X(error_retryable) X(error_free)      \
  X(manager_new) X(manager_shutdown) X(manager_free) X(manager_load) X(manager_unload) X(manager_list)                 \
  X(manager_registration) X(manager_enable) X(manager_disable) X(manager_stats) X(manager_logs) X(manager_clear_logs)  \
  X(manager_call_into) X(manager_call_enqueue) X(operation_cancel) X(operation_free) X(queue_new) X(queue_fd)          \
  X(queue_next) X(queue_free) X(cancellation_new) X(cancellation_cancel) X(cancellation_free) X(function_resolve)      \
  X(function_call_into) X(function_free) X(policy_get) X(policy_set) X(policy_validate) X(policy_schema)               \
  X(policy_suggest) X(policy_apply) X(policy_observe) X(policy_check) X(policy_check_document) X(policy_history)       \
  X(manager_provide) X(manager_declare) X(reply_set_result) X(reply_set_error) X(subscription_new)                     \
  X(subscription_free) X(package_inspect) X(package_install) X(package_list) X(package_load) X(package_rollback)       \
  X(package_approve) X(package_remove) X(asset_list) X(asset_read) X(trust_list) X(trust_add) X(trust_revoke)          \
  X(trust_schema) X(signature_check) X(isolation_report) X(manager_replace) X(manager_reload) X(manager_rollback)      \
  X(manager_health) X(manager_probe) X(manager_reset_crash_loop) X(manager_watch) X(manager_unwatch) X(manager_watches)

struct gfp_library {
#define X(name) __typeof__(&goatflow_plugin_##name) name;
  GFP_FUNCTIONS(X)
#undef X
};

#define HANDLE(type, value) ((const goatflow_plugin_##type *)(value))

// Exported by callbacks.go.
extern int32_t goatflowpluginHostCall(uintptr_t user_data, goatflow_plugin_host_call *call, uintptr_t reply,
                                      uintptr_t host_context);
extern void goatflowpluginEvent(uintptr_t user_data, char *event, size_t event_len);
extern void goatflowpluginFinalize(uintptr_t user_data);

static int32_t on_host_call(void *user_data, const goatflow_plugin_host_call *call, const goatflow_plugin_reply *reply) {
  return goatflowpluginHostCall((uintptr_t)user_data, (goatflow_plugin_host_call *)call, (uintptr_t)reply,
                                (uintptr_t)call->host_context);
}

static void on_event(void *user_data, const char *event, size_t event_len) {
  goatflowpluginEvent((uintptr_t)user_data, (char *)event, event_len);
}

static void on_finalize(void *user_data) {
  if (user_data != NULL) goatflowpluginFinalize((uintptr_t)user_data);
}

// Moves what a library function handed out into *out.
static int32_t finish(int32_t status, const goatflow_plugin_error *error, gfp_out *out) {
  out->error = (uintptr_t)error;
  return status;
}

static int32_t finish_buffer(int32_t status, const goatflow_plugin_buffer *buffer, const goatflow_plugin_error *error,
                             gfp_out *out) {
  out->data = (uintptr_t)buffer->data;
  out->len = buffer->len;
  out->capacity = buffer->capacity;
  return finish(status, error, out);
}

gfp_library *gfp_open(const char *path, char **out_message) {
  // RTLD_NOW: a library that lacks something fails here. It is linked with -z nodelete, so it is never closed.
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (object == NULL) {
    const char *message = dlerror();
    *out_message = strdup(message != NULL ? message : "dlopen failed");
    return NULL;
  }
  gfp_library *library = calloc(1, sizeof *library);
  if (library == NULL) {
    *out_message = strdup("out of memory");
    return NULL;
  }
#define X(name)                                                                                                        \
  {                                                                                                                    \
    void *symbol = dlsym(object, "goatflow_plugin_" #name);                                                            \
    if (symbol == NULL) {                                                                                              \
      *out_message = strdup("no function goatflow_plugin_" #name);                                                     \
      free(library);                                                                                                   \
      return NULL;                                                                                                     \
    }                                                                                                                  \
    memcpy(&library->name, &symbol, sizeof symbol);                                                                    \
  }
  GFP_FUNCTIONS(X)
#undef X
  return library;
}

uint32_t gfp_abi_version(const gfp_library *library) { return library->abi_version(); }

int32_t gfp_abi_check(const gfp_library *library, uint32_t abi_version, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->abi_check(abi_version, &error);
  return finish(status, error, out);
}

const char *gfp_version(const gfp_library *library) { return library->version(); }

const char *gfp_status_slug(const gfp_library *library, int32_t status) { return library->status_slug(status); }

int32_t gfp_document(const gfp_library *library, int which, gfp_out *out) {
  goatflow_plugin_buffer buffer = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status = which == GFP_STATUS_TABLE    ? library->status_table(&buffer, &error)
                   : which == GFP_DOCTOR        ? library->doctor(&buffer, &error)
                   : which == GFP_CONFIG_SCHEMA ? library->config_schema(&buffer, &error)
                   : which == GFP_TRUST_SCHEMA  ? library->trust_schema(&buffer, &error)
                   : which == GFP_ISOLATION     ? library->isolation_report(&buffer, &error)
                                                : library->policy_schema(&buffer, &error);
  return finish_buffer(status, &buffer, error, out);
}

void gfp_error_view_get(const gfp_library *library, uintptr_t error, gfp_error_view *out_view) {
  const goatflow_plugin_error *handle = HANDLE(error, error);
  out_view->status = library->error_status(handle);
  out_view->retryable = library->error_retryable(handle);
  out_view->code = library->error_code(handle);
  out_view->message = library->error_message(handle);
  out_view->plugin = library->error_plugin(handle);
  out_view->detail = library->error_detail(handle);
}

void gfp_error_free(const gfp_library *library, uintptr_t error) { library->error_free(HANDLE(error, error)); }

void gfp_buffer_take(const gfp_library *library, gfp_out *out, uint8_t *destination) {
  goatflow_plugin_buffer buffer = {(uint8_t *)out->data, out->len, out->capacity};
  if (destination != NULL && buffer.len > 0) memcpy(destination, buffer.data, buffer.len);
  library->buffer_free(&buffer);
  out->data = 0;
  out->len = 0;
  out->capacity = 0;
}

int32_t gfp_manager_new(const gfp_library *library, const char *config, size_t config_len, gfp_out *out) {
  const goatflow_plugin_manager *manager = NULL;
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_new(config, config_len, &manager, &error);
  out->handle = (uintptr_t)manager;
  return finish(status, error, out);
}

int32_t gfp_manager_shutdown(const gfp_library *library, uintptr_t manager, uint64_t timeout_ms, gfp_out *out) {
  goatflow_plugin_buffer report = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_shutdown(HANDLE(manager, manager), timeout_ms, &report, &error);
  return finish_buffer(status, &report, error, out);
}

void gfp_manager_free(const gfp_library *library, uintptr_t manager) {
  library->manager_free(HANDLE(manager, manager));
}

int32_t gfp_manager_load(const gfp_library *library, uintptr_t manager, const char *path, size_t path_len,
                         const char *options, size_t options_len, gfp_out *out) {
  goatflow_plugin_buffer name = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status =
      library->manager_load(HANDLE(manager, manager), path, path_len, options, options_len, &name, &error);
  return finish_buffer(status, &name, error, out);
}

int32_t gfp_manager_unload(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                           uint64_t timeout_ms, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_unload(HANDLE(manager, manager), plugin, plugin_len, timeout_ms, &error);
  return finish(status, error, out);
}

int32_t gfp_manager_disable(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                            uint64_t timeout_ms, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_disable(HANDLE(manager, manager), plugin, plugin_len, timeout_ms, &error);
  return finish(status, error, out);
}

int32_t gfp_manager_list(const gfp_library *library, uintptr_t manager, gfp_out *out) {
  goatflow_plugin_buffer list = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_list(HANDLE(manager, manager), &list, &error);
  return finish_buffer(status, &list, error, out);
}

int32_t gfp_manager_text(const gfp_library *library, int which, uintptr_t manager, const char *text, size_t text_len,
                         gfp_out *out) {
  const goatflow_plugin_manager *handle = HANDLE(manager, manager);
  goatflow_plugin_buffer buffer = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status = which == GFP_REGISTRATION ? library->manager_registration(handle, text, text_len, &buffer, &error)
                   : which == GFP_STATS      ? library->manager_stats(handle, text, text_len, &buffer, &error)
                   : which == GFP_LOGS       ? library->manager_logs(handle, text, text_len, &buffer, &error)
                   : which == GFP_POLICY_GET ? library->policy_get(handle, text, text_len, &buffer, &error)
                   : which == GFP_HEALTH     ? library->manager_health(handle, text, text_len, &buffer, &error)
                   : which == GFP_PROBE      ? library->manager_probe(handle, text, text_len, &buffer, &error)
                   : which == GFP_RESET_CRASH_LOOP
                       ? library->manager_reset_crash_loop(handle, text, text_len, &buffer, &error)
                                             : library->manager_enable(handle, text, text_len, &error);
  return finish_buffer(status, &buffer, error, out);
}

int32_t gfp_exchange(const gfp_library *library, int which, uintptr_t manager, const char *text, size_t text_len,
                     const char *options, size_t options_len, gfp_out *out) {
  const goatflow_plugin_manager *handle = HANDLE(manager, manager);
  goatflow_plugin_buffer report = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status =
      which == GFP_REPLACE  ? library->manager_replace(handle, text, text_len, options, options_len, &report, &error)
      : which == GFP_RELOAD ? library->manager_reload(handle, text, text_len, options, options_len, &report, &error)
      : which == GFP_ROLLBACK
          ? library->manager_rollback(handle, text, text_len, options, options_len, &report, &error)
      : which == GFP_WATCH ? library->manager_watch(handle, text, text_len, options, options_len, &report, &error)
      : which == GFP_UNWATCH ? library->manager_unwatch(handle, text, text_len, &error)
                             : library->manager_watches(handle, &report, &error);
  return finish_buffer(status, &report, error, out);
}

int32_t gfp_manager_clear_logs(const gfp_library *library, uintptr_t manager, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_clear_logs(HANDLE(manager, manager), &error);
  return finish(status, error, out);
}

int32_t gfp_policy_set(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                       const char *policy, size_t policy_len, uint64_t expected_revision, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  uint64_t revision = 0;
  int32_t status = library->policy_set(HANDLE(manager, manager), plugin, plugin_len, policy, policy_len,
                                       expected_revision, &revision, &error);
  out->number = revision;
  return finish(status, error, out);
}

int32_t gfp_package(const gfp_library *library, int which, uintptr_t manager, const char *text, size_t text_len,
                    const char *more, size_t more_len, gfp_out *out) {
  const goatflow_plugin_manager *handle = HANDLE(manager, manager);
  goatflow_plugin_buffer result = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status =
      which == GFP_PACKAGE_INSPECT    ? library->package_inspect(handle, text, text_len, &result, &error)
      : which == GFP_PACKAGE_INSTALL  ? library->package_install(handle, text, text_len, more, more_len, &result, &error)
      : which == GFP_PACKAGE_LIST     ? library->package_list(handle, &result, &error)
      : which == GFP_PACKAGE_LOAD     ? library->package_load(handle, text, text_len, &error)
      : which == GFP_PACKAGE_ROLLBACK ? library->package_rollback(handle, text, text_len, &result, &error)
      : which == GFP_PACKAGE_APPROVE  ? library->package_approve(handle, text, text_len, more, more_len, &result, &error)
      : which == GFP_PACKAGE_REMOVE   ? library->package_remove(handle, text, text_len, more, more_len, &result, &error)
      : which == GFP_ASSET_LIST       ? library->asset_list(handle, text, text_len, &result, &error)
      : which == GFP_ASSET_READ       ? library->asset_read(handle, text, text_len, more, more_len, &result, &error)
      : which == GFP_TRUST_LIST       ? library->trust_list(handle, &result, &error)
      : which == GFP_TRUST_ADD        ? library->trust_add(handle, text, text_len, &result, &error)
                                      : library->trust_revoke(handle, text, text_len, &result, &error);
  return finish_buffer(status, &result, error, out);
}

int32_t gfp_signature_check(const gfp_library *library, const uint8_t *public_key, size_t public_key_len,
                            const uint8_t *message, size_t message_len, const uint8_t *signature,
                            size_t signature_len, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t valid = 0;
  int32_t status = library->signature_check(public_key, public_key_len, message, message_len, signature, signature_len,
                                            &valid, &error);
  out->number = (uint64_t)valid;
  return finish(status, error, out);
}

int32_t gfp_policy_validate(const gfp_library *library, const char *policy, size_t policy_len, gfp_out *out) {
  goatflow_plugin_buffer report = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->policy_validate(policy, policy_len, &report, &error);
  return finish_buffer(status, &report, error, out);
}

int32_t gfp_policy_ask(const gfp_library *library, int which, uintptr_t manager, const char *plugin,
                       size_t plugin_len, const char *text, size_t text_len, gfp_out *out) {
  const goatflow_plugin_manager *handle = HANDLE(manager, manager);
  goatflow_plugin_buffer answer = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status =
      which == GFP_POLICY_SUGGEST ? library->policy_suggest(handle, plugin, plugin_len, text, text_len, &answer, &error)
                                  : library->policy_check(handle, plugin, plugin_len, text, text_len, &answer, &error);
  return finish_buffer(status, &answer, error, out);
}

int32_t gfp_policy_apply(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                         const char *suggestion, size_t suggestion_len, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  uint64_t revision = 0;
  int32_t status = library->policy_apply(HANDLE(manager, manager), plugin, plugin_len, suggestion, suggestion_len,
                                         &revision, &error);
  out->number = revision;
  return finish(status, error, out);
}

int32_t gfp_policy_observe(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                           uint64_t seconds, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  uint64_t revision = 0;
  int32_t status =
      library->policy_observe(HANDLE(manager, manager), plugin, plugin_len, seconds, &revision, &error);
  out->number = revision;
  return finish(status, error, out);
}

int32_t gfp_policy_check_document(const gfp_library *library, const char *policy, size_t policy_len,
                                  const char *request, size_t request_len, gfp_out *out) {
  goatflow_plugin_buffer verdict = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->policy_check_document(policy, policy_len, request, request_len, &verdict, &error);
  return finish_buffer(status, &verdict, error, out);
}

int32_t gfp_policy_history(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                           size_t limit, gfp_out *out) {
  goatflow_plugin_buffer rows = {0};
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->policy_history(HANDLE(manager, manager), plugin, plugin_len, limit, &rows, &error);
  return finish_buffer(status, &rows, error, out);
}

static goatflow_plugin_call_options call_options(const gfp_options *options, const char *texts) {
  goatflow_plugin_call_options full = {0};
  full.struct_size = sizeof full;
  full.flags = options->flags;
  full.timeout_ms = options->timeout_ms;
  full.cancellation = HANDLE(cancellation, options->cancellation);
  full.host_context = (void *)options->host_context;
  full.request_id = texts;
  full.request_id_len = options->request_id_len;
  full.language = (texts += full.request_id_len);
  full.language_len = options->language_len;
  full.traceparent = (texts += full.language_len);
  full.traceparent_len = options->traceparent_len;
  full.tracestate = texts + full.traceparent_len;
  full.tracestate_len = options->tracestate_len;
  return full;
}

static int32_t finish_call(int32_t status, size_t written, const goatflow_plugin_buffer *overflow,
                           const goatflow_plugin_error *error, gfp_out *out) {
  finish_buffer(status, overflow, error, out);
  if (overflow->data == NULL) out->len = written;
  return status;
}

int32_t gfp_call(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                 const char *name, size_t name_len, const uint8_t *arguments, size_t arguments_len,
                 const gfp_options *options, const char *texts, uint8_t *destination, size_t destination_len, gfp_out *out) {
  goatflow_plugin_call_options full = call_options(options, texts);
  goatflow_plugin_buffer overflow = {0};
  const goatflow_plugin_error *error = NULL;
  size_t written = 0;
  int32_t status = library->manager_call_into(HANDLE(manager, manager), plugin, plugin_len, name, name_len, arguments,
                                              arguments_len, &full, destination, destination_len, &written, &overflow,
                                              &error);
  return finish_call(status, written, &overflow, error, out);
}

int32_t gfp_function_call(const gfp_library *library, uintptr_t function, const uint8_t *arguments,
                          size_t arguments_len, const gfp_options *options, const char *texts, uint8_t *destination,
                          size_t destination_len, gfp_out *out) {
  goatflow_plugin_call_options full = call_options(options, texts);
  goatflow_plugin_buffer overflow = {0};
  const goatflow_plugin_error *error = NULL;
  size_t written = 0;
  int32_t status = library->function_call_into(HANDLE(function, function), arguments, arguments_len, &full,
                                               destination, destination_len, &written, &overflow, &error);
  return finish_call(status, written, &overflow, error, out);
}

int32_t gfp_function_resolve(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                             const char *name, size_t name_len, gfp_out *out) {
  const goatflow_plugin_function *function = NULL;
  const goatflow_plugin_error *error = NULL;
  int32_t status =
      library->function_resolve(HANDLE(manager, manager), plugin, plugin_len, name, name_len, &function, &error);
  out->handle = (uintptr_t)function;
  return finish(status, error, out);
}

void gfp_function_free(const gfp_library *library, uintptr_t function) {
  library->function_free(HANDLE(function, function));
}

int32_t gfp_cancellation_new(const gfp_library *library, gfp_out *out) {
  const goatflow_plugin_cancellation *cancellation = NULL;
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->cancellation_new(&cancellation, &error);
  out->handle = (uintptr_t)cancellation;
  return finish(status, error, out);
}

int32_t gfp_cancellation_cancel(const gfp_library *library, uintptr_t cancellation) {
  return library->cancellation_cancel(HANDLE(cancellation, cancellation), NULL);
}

void gfp_cancellation_free(const gfp_library *library, uintptr_t cancellation) {
  library->cancellation_free(HANDLE(cancellation, cancellation));
}

int32_t gfp_call_enqueue(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                         const char *name, size_t name_len, const uint8_t *arguments, size_t arguments_len,
                         const gfp_options *options, const char *texts, uintptr_t queue, uint64_t tag, gfp_out *out) {
  goatflow_plugin_call_options full = call_options(options, texts);
  const goatflow_plugin_operation *operation = NULL;
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_call_enqueue(HANDLE(manager, manager), plugin, plugin_len, name, name_len,
                                                 arguments, arguments_len, &full, HANDLE(queue, queue), tag,
                                                 &operation, &error);
  out->handle = (uintptr_t)operation;
  return finish(status, error, out);
}

int32_t gfp_operation_cancel(const gfp_library *library, uintptr_t operation) {
  return library->operation_cancel(HANDLE(operation, operation), NULL);
}

void gfp_operation_free(const gfp_library *library, uintptr_t operation) {
  library->operation_free(HANDLE(operation, operation));
}

int32_t gfp_queue_new(const gfp_library *library, gfp_out *out) {
  const goatflow_plugin_queue *queue = NULL;
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->queue_new(&queue, &error);
  if (status != 0) return finish(status, error, out);
  int32_t descriptor = -1;
  status = library->queue_fd(queue, &descriptor, &error);
  if (status == 0) {
    // Go closes its descriptor when it likes; the queue keeps its own.
    descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0) status = GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_RESOURCES;
  }
  if (status != 0) {
    library->queue_free(queue);
    return finish(status, error, out);
  }
  out->handle = (uintptr_t)queue;
  out->number = (uint64_t)descriptor;
  return finish(status, error, out);
}

int32_t gfp_queue_next(const gfp_library *library, uintptr_t queue, gfp_completion *completions, gfp_out *out) {
  goatflow_plugin_completion batch[GFP_BATCH];
  const goatflow_plugin_error *error = NULL;
  size_t count = 0;
  int32_t status = library->queue_next(HANDLE(queue, queue), batch, GFP_BATCH, 0, &count, &error);
  if (status != 0) return finish(status, error, out);
  for (size_t i = 0; i < count; i++) {
    completions[i].tag = batch[i].tag;
    completions[i].status = finish_buffer(batch[i].status, &batch[i].result, batch[i].error, &completions[i].out);
  }
  out->len = count;
  return finish(status, error, out);
}

void gfp_queue_free(const gfp_library *library, uintptr_t queue) { library->queue_free(HANDLE(queue, queue)); }

int32_t gfp_provide(const gfp_library *library, uintptr_t manager, const char *service, size_t service_len,
                    uintptr_t user_data, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_provide(HANDLE(manager, manager), service, service_len,
                                            user_data != 0 ? on_host_call : NULL, (void *)user_data, on_finalize,
                                            &error);
  return finish(status, error, out);
}

int32_t gfp_declare(const gfp_library *library, uintptr_t manager, const char *declaration, size_t declaration_len,
                    uintptr_t user_data, gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->manager_declare(HANDLE(manager, manager), declaration, declaration_len,
                                            user_data != 0 ? on_host_call : NULL, (void *)user_data, on_finalize,
                                            &error);
  return finish(status, error, out);
}

int32_t gfp_reply_set_result(const gfp_library *library, uintptr_t reply, const uint8_t *json, size_t json_len,
                             gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->reply_set_result(HANDLE(reply, reply), json, json_len, &error);
  return finish(status, error, out);
}

int32_t gfp_reply_set_error(const gfp_library *library, uintptr_t reply, const char *message, size_t message_len,
                            gfp_out *out) {
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->reply_set_error(HANDLE(reply, reply), message, message_len, &error);
  return finish(status, error, out);
}

int32_t gfp_subscribe(const gfp_library *library, uintptr_t manager, const char *filter, size_t filter_len,
                      uintptr_t user_data, gfp_out *out) {
  const goatflow_plugin_subscription *subscription = NULL;
  const goatflow_plugin_error *error = NULL;
  int32_t status = library->subscription_new(HANDLE(manager, manager), filter, filter_len, on_event,
                                             (void *)user_data, on_finalize, &subscription, &error);
  out->handle = (uintptr_t)subscription;
  return finish(status, error, out);
}

void gfp_subscription_free(const gfp_library *library, uintptr_t subscription) {
  library->subscription_free(HANDLE(subscription, subscription));
}
