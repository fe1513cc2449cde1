// The binding's door to C: a table of the library's functions, filled by dlsym, and one small function per entry.
//
// Two rules shape every declaration here:
// - Handles cross as uintptr_t. They are values the library looks up, not addresses, and Go's garbage collector must
//   never see them as pointers.
// - Outputs land in one struct without pointers, so that it can live in Go memory without being scanned or checked.
#ifndef GOATFLOWPLUGIN_SHIM_H
#define GOATFLOWPLUGIN_SHIM_H

#include <goatflow_plugin.h>

typedef struct gfp_library gfp_library;

// Whatever a library function hands out. `data` is a library-owned buffer, to be moved to Go by gfp_buffer_take.
typedef struct gfp_out {
  uintptr_t error;
  uintptr_t handle;
  uintptr_t data;
  size_t len;
  size_t capacity;
  uint64_t number;
} gfp_out;

// goatflow_plugin_call_options without pointers into Go memory. All zero = no options. The four texts go in one piece beside
// it, one after the other.
typedef struct gfp_options {
  uint64_t timeout_ms;
  uintptr_t cancellation;
  uintptr_t host_context;
  size_t request_id_len;
  size_t language_len;
  size_t traceparent_len;
  size_t tracestate_len;
  uint32_t flags;
} gfp_options;

typedef struct gfp_completion {
  uint64_t tag;
  int32_t status;
  uint32_t reserved;
  gfp_out out;
} gfp_completion;

// Strings live until gfp_error_free.
typedef struct gfp_error_view {
  int32_t status;
  int32_t retryable;
  const char *code;
  const char *message;
  const char *plugin;
  const char *detail;
} gfp_error_view;

// Documents that need no manager.
enum { GFP_STATUS_TABLE, GFP_DOCTOR, GFP_CONFIG_SCHEMA, GFP_POLICY_SCHEMA, GFP_TRUST_SCHEMA, GFP_ISOLATION };

// Documents and actions of one plugin of a manager.
enum {
  GFP_REGISTRATION,
  GFP_STATS,
  GFP_LOGS,
  GFP_POLICY_GET,
  GFP_ENABLE,
  GFP_HEALTH,
  GFP_PROBE,
  GFP_RESET_CRASH_LOOP
};

// Opens a library; NULL and a message to be freed by the caller when it can't be opened or lacks a function.
gfp_library *gfp_open(const char *path, char **out_message);

uint32_t gfp_abi_version(const gfp_library *library);
int32_t gfp_abi_check(const gfp_library *library, uint32_t abi_version, gfp_out *out);
const char *gfp_version(const gfp_library *library);
const char *gfp_status_slug(const gfp_library *library, int32_t status);
int32_t gfp_document(const gfp_library *library, int which, gfp_out *out);

void gfp_error_view_get(const gfp_library *library, uintptr_t error, gfp_error_view *out_view);
void gfp_error_free(const gfp_library *library, uintptr_t error);

// Copies out->len bytes to destination (nothing when destination is NULL), releases the buffer and zeroes *out.
void gfp_buffer_take(const gfp_library *library, gfp_out *out, uint8_t *destination);

int32_t gfp_manager_new(const gfp_library *library, const char *config, size_t config_len, gfp_out *out);
int32_t gfp_manager_shutdown(const gfp_library *library, uintptr_t manager, uint64_t timeout_ms, gfp_out *out);
void gfp_manager_free(const gfp_library *library, uintptr_t manager);
int32_t gfp_manager_load(const gfp_library *library, uintptr_t manager, const char *path, size_t path_len,
                         const char *options, size_t options_len, gfp_out *out);
int32_t gfp_manager_unload(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                           uint64_t timeout_ms, gfp_out *out);
int32_t gfp_manager_disable(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                            uint64_t timeout_ms, gfp_out *out);
int32_t gfp_manager_list(const gfp_library *library, uintptr_t manager, gfp_out *out);
int32_t gfp_manager_text(const gfp_library *library, int which, uintptr_t manager, const char *text, size_t text_len,
                         gfp_out *out);
// Exchanges of versions, and watching; `text` is the path for GFP_REPLACE, a path or name for GFP_WATCH and GFP_UNWATCH,
// otherwise the plugin's name.
enum { GFP_REPLACE, GFP_RELOAD, GFP_ROLLBACK, GFP_WATCH, GFP_UNWATCH, GFP_WATCHES };
int32_t gfp_exchange(const gfp_library *library, int which, uintptr_t manager, const char *text, size_t text_len,
                     const char *options, size_t options_len, gfp_out *out);
int32_t gfp_manager_clear_logs(const gfp_library *library, uintptr_t manager, gfp_out *out);

int32_t gfp_policy_set(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                       const char *policy, size_t policy_len, uint64_t expected_revision, gfp_out *out);
// Questions about the policy of a plugin.
enum { GFP_POLICY_SUGGEST, GFP_POLICY_CHECK };
int32_t gfp_policy_ask(const gfp_library *library, int which, uintptr_t manager, const char *plugin,
                       size_t plugin_len, const char *text, size_t text_len, gfp_out *out);
// out->number = the new revision.
int32_t gfp_policy_apply(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                         const char *suggestion, size_t suggestion_len, gfp_out *out);
int32_t gfp_policy_observe(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                           uint64_t seconds, gfp_out *out);
int32_t gfp_policy_check_document(const gfp_library *library, const char *policy, size_t policy_len,
                                  const char *request, size_t request_len, gfp_out *out);
int32_t gfp_policy_history(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                           size_t limit, gfp_out *out);

// What a manager does with packages, trust and files of plugins; each takes one or two texts.
enum {
  GFP_PACKAGE_INSPECT,
  GFP_PACKAGE_INSTALL,
  GFP_PACKAGE_LIST,
  GFP_PACKAGE_LOAD,
  GFP_PACKAGE_ROLLBACK,
  GFP_PACKAGE_APPROVE,
  GFP_PACKAGE_REMOVE,
  GFP_ASSET_LIST,
  GFP_ASSET_READ,
  GFP_TRUST_LIST,
  GFP_TRUST_ADD,
  GFP_TRUST_REVOKE
};
int32_t gfp_package(const gfp_library *library, int which, uintptr_t manager, const char *text, size_t text_len,
                    const char *more, size_t more_len, gfp_out *out);
// out->number = 1 when the signature is valid.
int32_t gfp_signature_check(const gfp_library *library, const uint8_t *public_key, size_t public_key_len,
                            const uint8_t *message, size_t message_len, const uint8_t *signature,
                            size_t signature_len, gfp_out *out);
int32_t gfp_policy_validate(const gfp_library *library, const char *policy, size_t policy_len, gfp_out *out);

// out->len = length of the result; it is in destination when out->data is 0, otherwise in the buffer.
int32_t gfp_call(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                 const char *name, size_t name_len, const uint8_t *arguments, size_t arguments_len,
                 const gfp_options *options, const char *texts, uint8_t *destination, size_t destination_len, gfp_out *out);
int32_t gfp_function_call(const gfp_library *library, uintptr_t function, const uint8_t *arguments,
                          size_t arguments_len, const gfp_options *options, const char *texts, uint8_t *destination,
                          size_t destination_len, gfp_out *out);
int32_t gfp_function_resolve(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                             const char *name, size_t name_len, gfp_out *out);
void gfp_function_free(const gfp_library *library, uintptr_t function);

int32_t gfp_cancellation_new(const gfp_library *library, gfp_out *out);
int32_t gfp_cancellation_cancel(const gfp_library *library, uintptr_t cancellation);
void gfp_cancellation_free(const gfp_library *library, uintptr_t cancellation);

// out->handle = the operation.
int32_t gfp_call_enqueue(const gfp_library *library, uintptr_t manager, const char *plugin, size_t plugin_len,
                         const char *name, size_t name_len, const uint8_t *arguments, size_t arguments_len,
                         const gfp_options *options, const char *texts, uintptr_t queue, uint64_t tag, gfp_out *out);
int32_t gfp_operation_cancel(const gfp_library *library, uintptr_t operation);
void gfp_operation_free(const gfp_library *library, uintptr_t operation);

// out->handle = the queue, out->number = a duplicate of its descriptor that belongs to the caller.
int32_t gfp_queue_new(const gfp_library *library, gfp_out *out);
// Never waits; out->len = number of completions, at most GFP_BATCH.
enum { GFP_BATCH = 64 };
int32_t gfp_queue_next(const gfp_library *library, uintptr_t queue, gfp_completion *completions, gfp_out *out);
void gfp_queue_free(const gfp_library *library, uintptr_t queue);

// user_data is a cgo.Handle of a HostFunc or an event callback; 0 = back to the built-in provider.
int32_t gfp_provide(const gfp_library *library, uintptr_t manager, const char *service, size_t service_len,
                    uintptr_t user_data, gfp_out *out);
int32_t gfp_declare(const gfp_library *library, uintptr_t manager, const char *declaration, size_t declaration_len,
                    uintptr_t user_data, gfp_out *out);
int32_t gfp_reply_set_result(const gfp_library *library, uintptr_t reply, const uint8_t *json, size_t json_len,
                             gfp_out *out);
int32_t gfp_reply_set_error(const gfp_library *library, uintptr_t reply, const char *message, size_t message_len,
                            gfp_out *out);
int32_t gfp_subscribe(const gfp_library *library, uintptr_t manager, const char *filter, size_t filter_len,
                      uintptr_t user_data, gfp_out *out);
void gfp_subscription_free(const gfp_library *library, uintptr_t subscription);

#endif
