/* The C API of goatflow-plugin. Generated from src/capi by `make header`: do not edit.
 *
 * Conventions
 * - Inputs are (pointer, length) in bytes; (NULL, 0) is empty. Text is UTF-8 and need not end in NUL.
 * - Functions that can fail return a status, 0 = success, and take `out_error` last, which may be NULL.
 * - Outputs are zeroed first and set on success only, so that releasing them is always right.
 * - Handles are values that the library looks up and never dereferences: a handle that was released, is of another type or
 *   never was one gives GOATFLOW_PLUGIN_STATUS_ARGUMENT_HANDLE. Every handle may be used from any thread.
 * - What the library hands out is released with the function that its documentation names; releasing NULL or twice does no
 *   harm. Objects may be released in any order.
 * - Callbacks run on the thread that made the call, or on a thread of the library; no lock is held while they run, and they
 *   may call the library. They must not unwind (C++ exceptions, longjmp).
 * - After fork(), the child can't use the library: everything gives GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_FORKED.
 * - The library installs handlers for SIGSEGV, SIGILL and SIGFPE when the first plugin is loaded, which pass on what is not
 *   theirs; a program that installs its own handlers later must pass on what is not its own, or configure "signals": "off".
 *   It never changes the signal mask, the locale or the working directory, and stays mapped after dlclose().
 *
 * In short:
 *
 * ```c
 * const goatflow_plugin_manager *manager = NULL;
 * const goatflow_plugin_error *error = NULL;
 * goatflow_plugin_buffer name = {NULL, 0, 0}, answer = {NULL, 0, 0};
 *
 * if (goatflow_plugin_abi_check(GOATFLOW_PLUGIN_ABI_VERSION, &error) == GOATFLOW_PLUGIN_STATUS_OK &&
 *     goatflow_plugin_manager_new(NULL, 0, &manager, &error) == GOATFLOW_PLUGIN_STATUS_OK &&
 *     goatflow_plugin_manager_load(manager, "plugin.wasm", 11, NULL, 0, &name, &error) == GOATFLOW_PLUGIN_STATUS_OK &&
 *     goatflow_plugin_manager_call(manager, (const char *)name.data, name.len, "hello", 5, NULL, 0, NULL, &answer,
 *                                  &error) == GOATFLOW_PLUGIN_STATUS_OK) {
 *     fwrite(answer.data, 1, answer.len, stdout);
 * } else {
 *     fprintf(stderr, "%s: %s\n", goatflow_plugin_error_code(error), goatflow_plugin_error_message(error));
 * }
 * goatflow_plugin_buffer_free(&answer);
 * goatflow_plugin_buffer_free(&name);
 * goatflow_plugin_error_free(error);
 * goatflow_plugin_manager_free(manager);
 * ```
 */

#ifndef GOATFLOW_PLUGIN_H
#define GOATFLOW_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/** Version of the ABI that this header describes; hand it to goatflow_plugin_abi_check. */
#define GOATFLOW_PLUGIN_ABI_VERSION 1
/** Version of the library that this header came with. */
#define GOATFLOW_PLUGIN_VERSION "0.1.0"

/**
 * Status numbers. Never changed, never reused; later versions may add some.
 */
enum goatflow_plugin_status {
    GOATFLOW_PLUGIN_STATUS_OK = 0,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_INVALID = 100,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_NULL = 101,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_UTF8 = 102,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_HANDLE = 103,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_ENUM = 104,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_STRUCT_SIZE = 105,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_UNSUPPORTED_OPTION = 106,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_JSON = 107,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_TOO_LARGE = 108,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_CONFIG = 109,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_BUFFER_TOO_SMALL = 110,
    GOATFLOW_PLUGIN_STATUS_ARGUMENT_ABI = 111,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_NOT_FOUND = 200,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_MANIFEST_MISSING = 201,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_MANIFEST_INVALID = 202,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_MODULE_MISSING = 203,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_MODULE_INVALID = 204,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_MODULE_LIMITS = 205,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_RUNTIME_UNSUPPORTED = 206,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_CONTRACT = 207,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_REGISTRATION_INVALID = 208,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_NAME_INVALID = 209,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_NAME_MISMATCH = 210,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_LAYOUT = 211,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_TRUNCATED = 212,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_PREPENDED = 213,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_TRAILING = 214,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_SEVERAL_ENDS = 215,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_MULTI_DISK = 216,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_ZIP64 = 217,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_HEADER_MISMATCH = 218,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_DESCRIPTOR = 219,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_EXTRA = 220,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_FEATURE = 221,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_ENCRYPTED = 222,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_METHOD = 223,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_NAME = 224,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_TRAVERSAL = 225,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_NAME_ENCODING = 226,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_DUPLICATE = 227,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_COLLISION = 228,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_LINK = 229,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_KIND = 230,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_DEPTH = 231,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_COUNT = 232,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_SIZE = 233,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_RATIO = 234,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_SIZE_MISMATCH = 235,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_CRC = 236,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_CONTENT = 237,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ARCHIVE_SOURCE = 238,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_VERSION_INVALID = 240,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_NOT_INSTALLED = 241,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_NO_PREVIOUS = 242,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_NOTHING_PENDING = 243,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_STATE_INVALID = 244,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_NO_STORE = 245,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_LOCKED = 246,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_CHANGED = 247,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ASSET_NOT_FOUND = 248,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_ASSET_TOO_LARGE = 249,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_UNEXPECTED_CODE = 250,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_TOO_LARGE = 251,
    GOATFLOW_PLUGIN_STATUS_PACKAGE_NOT_APPROVED = 252,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_UNSIGNED = 300,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_UNTRUSTED_KEY = 301,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_BAD_SIGNATURE = 302,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_EXPIRED = 303,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_REVOKED = 304,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_ROLLBACK = 305,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_NAME_MISMATCH = 306,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_MALFORMED = 307,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_HOST_TOO_OLD = 308,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_PERMISSIONS_MISMATCH = 309,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_THRESHOLD = 310,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_FORMAT_DOWNGRADE = 311,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_KEY_INVALID = 320,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_PRIVATE_KEY_INVALID = 321,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_PRIVATE_KEY_EXPOSED = 322,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_TRUST_UNREADABLE = 330,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_TRUST_INVALID = 331,
    GOATFLOW_PLUGIN_STATUS_SIGNATURE_TRUST_CONFLICT = 332,
    GOATFLOW_PLUGIN_STATUS_POLICY_PERMISSION_MISSING = 400,
    GOATFLOW_PLUGIN_STATUS_POLICY_BLOCKED = 401,
    GOATFLOW_PLUGIN_STATUS_POLICY_FUNCTION_UNKNOWN = 402,
    GOATFLOW_PLUGIN_STATUS_POLICY_ARGUMENTS = 403,
    GOATFLOW_PLUGIN_STATUS_POLICY_TARGET_DENIED = 404,
    GOATFLOW_PLUGIN_STATUS_POLICY_SQL_TABLE_DENIED = 410,
    GOATFLOW_PLUGIN_STATUS_POLICY_SQL_STATEMENT_DENIED = 411,
    GOATFLOW_PLUGIN_STATUS_POLICY_SQL_NOT_UNDERSTOOD = 412,
    GOATFLOW_PLUGIN_STATUS_POLICY_SQL_FUNCTION_DENIED = 413,
    GOATFLOW_PLUGIN_STATUS_POLICY_SQL_TOO_LARGE = 414,
    GOATFLOW_PLUGIN_STATUS_POLICY_SQL_ARGUMENTS = 415,
    GOATFLOW_PLUGIN_STATUS_POLICY_EMAIL_RECIPIENT_DENIED = 420,
    GOATFLOW_PLUGIN_STATUS_POLICY_EMAIL_INVALID = 421,
    GOATFLOW_PLUGIN_STATUS_POLICY_EMAIL_TOO_LARGE = 424,
    GOATFLOW_PLUGIN_STATUS_POLICY_HTTP_URL_DENIED = 430,
    GOATFLOW_PLUGIN_STATUS_POLICY_HTTP_ADDRESS_DENIED = 431,
    GOATFLOW_PLUGIN_STATUS_POLICY_HTTP_INVALID = 432,
    GOATFLOW_PLUGIN_STATUS_POLICY_HTTP_TOO_LARGE = 434,
    GOATFLOW_PLUGIN_STATUS_POLICY_OUTBOUND_BUSY = 435,
    GOATFLOW_PLUGIN_STATUS_POLICY_CONFIG_KEY_DENIED = 440,
    GOATFLOW_PLUGIN_STATUS_POLICY_CALLEE_DENIED = 450,
    GOATFLOW_PLUGIN_STATUS_POLICY_CALL_DEPTH = 451,
    GOATFLOW_PLUGIN_STATUS_POLICY_RATE_LIMITED = 460,
    GOATFLOW_PLUGIN_STATUS_POLICY_QUOTA_EXCEEDED = 461,
    GOATFLOW_PLUGIN_STATUS_POLICY_DOCUMENT_INVALID = 470,
    GOATFLOW_PLUGIN_STATUS_POLICY_REVISION_CONFLICT = 471,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_TRAP = 500,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_DEADLINE = 501,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_CANCELLED = 502,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_MEMORY_LIMIT = 503,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_STACK_EXHAUSTED = 504,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_RESULT_TOO_LARGE = 505,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_BAD_POINTER = 506,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_ALLOCATION = 507,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_EXITED = 508,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_FAILED = 509,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_HANDSHAKE = 510,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_PROTOCOL = 511,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_RESTARTING = 512,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_CRASH_LOOP = 513,
    GOATFLOW_PLUGIN_STATUS_PLUGIN_UNHEALTHY = 514,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND = 600,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_ALREADY_LOADED = 601,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_DISABLED = 602,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_SHUT_DOWN = 603,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_REENTRANT = 604,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_DEADLOCK = 605,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_BUSY = 606,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_NOT_READY = 607,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_IN_CALLBACK = 608,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_OVERLOADED = 609,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PENDING = 610,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_TAKEN = 611,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_SWAPPING = 612,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_NO_PREVIOUS = 613,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_STOPPED = 614,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_WATCH_TOO_LARGE = 620,
    GOATFLOW_PLUGIN_STATUS_LIFECYCLE_WATCH_CONFLICT = 621,
    GOATFLOW_PLUGIN_STATUS_HOST_FAILED = 700,
    GOATFLOW_PLUGIN_STATUS_HOST_NO_PROVIDER = 701,
    GOATFLOW_PLUGIN_STATUS_HOST_REPLY_INVALID = 702,
    GOATFLOW_PLUGIN_STATUS_HOST_DATABASE = 703,
    GOATFLOW_PLUGIN_STATUS_HOST_NOT_FOUND = 704,
    GOATFLOW_PLUGIN_STATUS_HOST_NAME_UNRESOLVED = 705,
    GOATFLOW_PLUGIN_STATUS_HOST_CONNECTION = 706,
    GOATFLOW_PLUGIN_STATUS_HOST_TLS = 707,
    GOATFLOW_PLUGIN_STATUS_HOST_TIMEOUT = 708,
    GOATFLOW_PLUGIN_STATUS_HOST_PROTOCOL = 709,
    GOATFLOW_PLUGIN_STATUS_HOST_ANSWER_TOO_LARGE = 710,
    GOATFLOW_PLUGIN_STATUS_HOST_MAIL_REJECTED = 711,
    GOATFLOW_PLUGIN_STATUS_HOST_MAIL_DEFERRED = 712,
    GOATFLOW_PLUGIN_STATUS_HOST_MAIL_AUTH = 713,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_IO = 800,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_FORKED = 801,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_UNSUPPORTED = 802,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_RESOURCES = 803,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_STORE = 810,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_STORE_READ_ONLY = 811,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_JAIL_LAUNCHER = 820,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_JAIL_LEVEL = 821,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_JAIL_STEP = 822,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_JAIL_REQUEST = 823,
    GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_JAIL_PROGRAM = 824,
    GOATFLOW_PLUGIN_STATUS_INTERNAL_BUG = 900,
    GOATFLOW_PLUGIN_STATUS_INTERNAL_PANIC = 999,
};


/**
 * What a host callback returns when it answers later, from any thread.
 */
#define GOATFLOW_PLUGIN_REPLY_PENDING 1

/**
 * `expected_revision` of `goatflow_plugin_policy_set` that fits every stored revision.
 */
#define GOATFLOW_PLUGIN_ANY_REVISION UINT64_MAX

/**
 * Flag of a call: where the plugin is a process, so that the calling thread would only wait for it, fail at once with
 * `…_STATUS_LIFECYCLE_PENDING`; nothing was called, and the call can be started asynchronously instead. For hosts whose
 * threads are dear. Without effect on asynchronous calls, and in callbacks, where calls are nested.
 */
#define GOATFLOW_PLUGIN_CALL_NO_WAITING 1

/**
 * A switch that stops the calls that were made with it. Release with `goatflow_plugin_cancellation_free`.
 */
typedef struct goatflow_plugin_cancellation goatflow_plugin_cancellation;

/**
 * What went wrong: status, stable code, message, plugin, JSON detail. Release with `goatflow_plugin_error_free`.
 */
typedef struct goatflow_plugin_error goatflow_plugin_error;

/**
 * A function of a plugin, found once. Release with `goatflow_plugin_function_free`.
 */
typedef struct goatflow_plugin_function goatflow_plugin_function;

/**
 * Runs plugins. Release with `goatflow_plugin_manager_free`.
 */
typedef struct goatflow_plugin_manager goatflow_plugin_manager;

/**
 * A call, or an exchange of versions, that runs on a thread of the library. Release with `goatflow_plugin_operation_free`.
 */
typedef struct goatflow_plugin_operation goatflow_plugin_operation;

/**
 * A completion queue. Release with `goatflow_plugin_queue_free`.
 */
typedef struct goatflow_plugin_queue goatflow_plugin_queue;

/**
 * The answer to one host call. Completed by `goatflow_plugin_reply_set_result` or `goatflow_plugin_reply_set_error`, once;
 * the library releases it.
 */
typedef struct goatflow_plugin_reply goatflow_plugin_reply;

/**
 * A subscription to events. Release with `goatflow_plugin_subscription_free`.
 */
typedef struct goatflow_plugin_subscription goatflow_plugin_subscription;

/**
 * Result bytes owned by the library; release them with `goatflow_plugin_buffer_free`. All zero is the empty buffer.
 *
 * `data` is not NUL-terminated. Copying the struct does not copy the bytes: release one copy only.
 */
typedef struct goatflow_plugin_buffer {
    /**
     * First byte; NULL when empty.
     */
    uint8_t *data;
    /**
     * Number of bytes.
     */
    size_t len;
    /**
     * For the library.
     */
    size_t capacity;
} goatflow_plugin_buffer;

/**
 * How a call is to be made. Set `struct_size` to `sizeof(goatflow_plugin_call_options)` and everything else to zero, then
 * the fields you need.
 */
typedef struct goatflow_plugin_call_options {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * `GOATFLOW_PLUGIN_CALL_…`, or 0.
     */
    uint32_t flags;
    /**
     * Longest time for the call in milliseconds; 0 = the plugin's policy decides. Never longer than the policy's.
     */
    uint64_t timeout_ms;
    /**
     * Stops the call; NULL = nothing does. May be released while the call runs.
     */
    const struct goatflow_plugin_cancellation *cancellation;
    /**
     * Handed to the host's callbacks of this call and of calls nested in it; never touched.
     */
    void *host_context;
    /**
     * UTF-8 text that ties log lines and callbacks to a request; at most 128 bytes; NULL = none.
     */
    const char *request_id;
    /**
     * Length of `request_id` in bytes.
     */
    size_t request_id_len;
    /**
     * Language for `translate`, for example "de"; NULL = the manager's default.
     */
    const char *language;
    /**
     * Length of `language` in bytes.
     */
    size_t language_len;
    /**
     * W3C `traceparent` of the caller, which native plugins are handed; NULL = none. Check what strangers sent: a text that
     * is not one fails the call.
     */
    const char *traceparent;
    /**
     * Length of `traceparent` in bytes.
     */
    size_t traceparent_len;
    /**
     * W3C `tracestate` that belongs to `traceparent`; NULL = none.
     */
    const char *tracestate;
    /**
     * Length of `tracestate` in bytes.
     */
    size_t tracestate_len;
} goatflow_plugin_call_options;

/**
 * Takes the outcome of a call, once. `result` and `error_json` are valid during the callback only; `error_json` is NULL on
 * success.
 *
 * Runs on a thread of the library. May call the library, and wait for other calls. Must not unwind.
 */
typedef void (*goatflow_plugin_completion_fn)(void *user_data,
                                              int32_t status,
                                              const uint8_t *result,
                                              size_t result_len,
                                              const char *error_json,
                                              size_t error_json_len);

/**
 * Releases the `user_data` of a callback.
 *
 * Runs exactly once, after the last callback has returned, also when the registration failed; on any thread.
 */
typedef void (*goatflow_plugin_finalizer_fn)(void *user_data);

/**
 * One call that a plugin makes of the host, after it passed the sandbox. Everything in it is valid during the callback
 * only.
 */
typedef struct goatflow_plugin_host_call {
    /**
     * Size of this struct; later versions may append fields.
     */
    uint32_t struct_size;
    /**
     * Plugin calls that this one is nested in: 0 = the host called the plugin itself.
     */
    uint32_t depth;
    /**
     * Name of the plugin that calls, stamped by the library.
     */
    const char *plugin;
    /**
     * Length of `plugin` in bytes.
     */
    size_t plugin_len;
    /**
     * Service, for example "db", or "custom".
     */
    const char *service;
    /**
     * Length of `service` in bytes.
     */
    size_t service_len;
    /**
     * Function, for example "db_query".
     */
    const char *function;
    /**
     * Length of `function` in bytes.
     */
    size_t function_len;
    /**
     * Arguments as JSON: exactly what the sandbox checked.
     */
    const uint8_t *arguments;
    /**
     * Length of `arguments` in bytes.
     */
    size_t arguments_len;
    /**
     * JSON array of plugin names, outermost caller first, this plugin last.
     */
    const char *chain;
    /**
     * Length of `chain` in bytes.
     */
    size_t chain_len;
    /**
     * Request id from the call's options.
     */
    const char *request_id;
    /**
     * Length of `request_id` in bytes.
     */
    size_t request_id_len;
    /**
     * Language from the call's options.
     */
    const char *language;
    /**
     * Length of `language` in bytes.
     */
    size_t language_len;
    /**
     * Pointer from the call's options.
     */
    void *host_context;
    /**
     * Milliseconds until the deadline of the call.
     */
    int64_t remaining_ms;
} goatflow_plugin_host_call;

/**
 * Serves a host call of a plugin.
 *
 * Returns 0 when `reply` was completed (or the answer is JSON null), `GOATFLOW_PLUGIN_REPLY_PENDING` when it is completed
 * later, any other status when the call failed: the plugin sees a `…_POLICY_…` or `…_HOST_…` status as it is, others as
 * `…_HOST_FAILED`, with the text that `goatflow_plugin_reply_set_error` set. Runs on the thread that called the plugin, or on a thread of the library;
 * several calls may run at once. May call the library. Must not unwind.
 */
typedef int32_t (*goatflow_plugin_host_fn)(void *user_data,
                                           const struct goatflow_plugin_host_call *call,
                                           const struct goatflow_plugin_reply *reply);

/**
 * The outcome of one asynchronous call.
 */
typedef struct goatflow_plugin_completion {
    /**
     * As given to `goatflow_plugin_manager_call_enqueue`.
     */
    uint64_t tag;
    /**
     * Status of the call.
     */
    int32_t status;
    /**
     * 0; for later versions.
     */
    uint32_t reserved;
    /**
     * The answer; release with `goatflow_plugin_buffer_free`.
     */
    struct goatflow_plugin_buffer result;
    /**
     * The error, NULL on success; release with `goatflow_plugin_error_free`.
     */
    const struct goatflow_plugin_error *error;
} goatflow_plugin_completion;

/**
 * Takes an event: a JSON object with `kind`, `plugin` and further facts, valid during the callback only.
 *
 * Runs on a thread of the library, for one event after the other. May call the library. Must not unwind.
 */
typedef void (*goatflow_plugin_event_fn)(void *user_data, const char *event_json, size_t event_json_len);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Release the bytes of a buffer and make it empty.
 *
 * An empty buffer stays empty, so that releasing twice does no harm.
 *
 * Parameters:
 * - `buffer`: buffer that the library filled, or an empty one; may be NULL.
 *
 * Threads: any; one thread at a time for one buffer.
 * Errors: none.
 * Since: ABI 1.
 *
 * # Safety
 * `buffer` is NULL, or points to a buffer that the library filled and nobody released, or to an empty one.
 */
void goatflow_plugin_buffer_free(struct goatflow_plugin_buffer *buffer);

/**
 * Call a function of a plugin and wait for its answer.
 *
 * Runs on the calling thread (on a thread of the library if that one has less than 1 MiB of stack left, or is ending), and so do host
 * callbacks that the plugin causes.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `function`, `function_len`: name of the function.
 * - `arguments`, `arguments_len`: bytes for the function, JSON by convention; may be empty.
 * - `options`: may be NULL.
 * - `out_result`: the answer, empty when the plugin answers nothing; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; also from host callbacks, where the call is nested in the one that the callback serves: it inherits its
 * deadline and cancellation and counts for its depth. Calls of one plugin are served side by side as far as it has instances.
 * Errors: `…_STATUS_PLUGIN_…` when the plugin fails, is too slow or is cancelled, `…_STATUS_LIFECYCLE_…` when it is not
 * there, disabled, or would wait for itself, `…_STATUS_POLICY_BLOCKED`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_call(const struct goatflow_plugin_manager *manager,
                                     const char *plugin,
                                     size_t plugin_len,
                                     const char *function,
                                     size_t function_len,
                                     const uint8_t *arguments,
                                     size_t arguments_len,
                                     const struct goatflow_plugin_call_options *options,
                                     struct goatflow_plugin_buffer *out_result,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Call a function of a plugin and have its answer written to memory of the caller.
 *
 * As `goatflow_plugin_manager_call`, without an allocation. An answer that does not fit is not lost where `out_overflow`
 * is given.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `function`, `function_len`: name of the function.
 * - `arguments`, `arguments_len`: bytes for the function; may be empty.
 * - `options`: may be NULL.
 * - `destination`, `destination_len`: where the answer goes; may be empty. Must not overlap the inputs.
 * - `out_len`: length of the answer; also set when it did not fit.
 * - `out_overflow`: takes an answer that is longer than `destination_len`; release with `goatflow_plugin_buffer_free`;
 *   may be NULL.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: as `goatflow_plugin_manager_call`.
 * Errors: `…_STATUS_ARGUMENT_BUFFER_TOO_SMALL` when the answer fits nowhere (the call was made); otherwise as
 * `goatflow_plugin_manager_call`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable and `destination` is writable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_call_into(const struct goatflow_plugin_manager *manager,
                                          const char *plugin,
                                          size_t plugin_len,
                                          const char *function,
                                          size_t function_len,
                                          const uint8_t *arguments,
                                          size_t arguments_len,
                                          const struct goatflow_plugin_call_options *options,
                                          uint8_t *destination,
                                          size_t destination_len,
                                          size_t *out_len,
                                          struct goatflow_plugin_buffer *out_overflow,
                                          const struct goatflow_plugin_error **out_error);

/**
 * Make a switch that stops calls.
 *
 * Parameters:
 * - `out_cancellation`: the switch; release with `goatflow_plugin_cancellation_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_cancellation_new(const struct goatflow_plugin_cancellation **out_cancellation,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Stop every call that was made with a switch, now and later. Returns at once.
 *
 * Calls that run end within some milliseconds with `…_STATUS_PLUGIN_CANCELLED`; a host callback that they are in is not
 * interrupted. Cancelling twice does no harm.
 *
 * Parameters:
 * - `cancellation`: the switch.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any, also from callbacks.
 * Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
 * Since: ABI 1.
 *
 * # Safety
 * `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_cancellation_cancel(const struct goatflow_plugin_cancellation *cancellation,
                                            const struct goatflow_plugin_error **out_error);

/**
 * Release a switch. Calls that were made with it go on.
 *
 * Parameters:
 * - `cancellation`: the switch; NULL and released ones are ignored.
 *
 * Threads: any.
 * Errors: none.
 * Since: ABI 1.
 */
void goatflow_plugin_cancellation_free(const struct goatflow_plugin_cancellation *cancellation);

/**
 * Get the status number of an error.
 *
 * Parameters:
 * - `error`: error object; NULL or a released one gives 0.
 *
 * Threads: any.
 * Errors: none.
 * Since: ABI 1.
 */
int32_t goatflow_plugin_error_status(const struct goatflow_plugin_error *error);

/**
 * Get the stable code of an error, for example `policy.sql.table_denied`.
 *
 * Parameters:
 * - `error`: error object; NULL or a released one gives "".
 *
 * Threads: any. The text is static.
 * Errors: none.
 * Since: ABI 1.
 */
const char *goatflow_plugin_error_code(const struct goatflow_plugin_error *error);

/**
 * Get the message of an error: what happened, and where there is one the next step to take.
 *
 * Parameters:
 * - `error`: error object; NULL or a released one gives "".
 *
 * Threads: any. The text, UTF-8, lives until the error is released.
 * Errors: none.
 * Since: ABI 1.
 */
const char *goatflow_plugin_error_message(const struct goatflow_plugin_error *error);

/**
 * Get the name of the plugin that an error is about.
 *
 * Parameters:
 * - `error`: error object; NULL, a released one, or one that is not about a plugin gives "".
 *
 * Threads: any. The text lives until the error is released.
 * Errors: none.
 * Since: ABI 1.
 */
const char *goatflow_plugin_error_plugin(const struct goatflow_plugin_error *error);

/**
 * Get further facts about an error as a JSON object.
 *
 * Parameters:
 * - `error`: error object; NULL or a released one gives "".
 *
 * Threads: any. The text lives until the error is released.
 * Errors: none.
 * Since: ABI 1.
 */
const char *goatflow_plugin_error_detail(const struct goatflow_plugin_error *error);

/**
 * Tell whether the same request may succeed later without any change.
 *
 * Parameters:
 * - `error`: error object; NULL or a released one gives 0.
 *
 * Threads: any.
 * Errors: none. 1 = yes, 0 = no.
 * Since: ABI 1.
 */
int32_t goatflow_plugin_error_retryable(const struct goatflow_plugin_error *error);

/**
 * Release an error object.
 *
 * Parameters:
 * - `error`: error object; NULL and released ones are ignored.
 *
 * Threads: any.
 * Errors: none.
 * Since: ABI 1.
 */
void goatflow_plugin_error_free(const struct goatflow_plugin_error *error);

/**
 * Start `goatflow_plugin_manager_replace` on a thread of the library, and return at once.
 *
 * Cancelling the operation has no effect: an exchange ends by itself, within the times that are configured.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `path`, `path_len`: UTF-8 path; copied.
 * - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`; copied.
 * - `completion`: takes the report, exactly once; may be NULL when `out_operation` is given.
 * - `user_data`: handed to `completion`.
 * - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after `completion`, also when this function fails.
 * - `out_operation`: the exchange; release with `goatflow_plugin_operation_free`; may be NULL when `completion` is given.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any, also from callbacks of the same plugin.
 * Errors: `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_LIFECYCLE_OVERLOADED`, `…_STATUS_ARGUMENT_…`; `completion` is not called
 * then. Everything else is the outcome's.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `completion` and `finalizer` can be called from any thread with `user_data`
 * until the finalizer has run; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_replace_async(const struct goatflow_plugin_manager *manager,
                                              const char *path,
                                              size_t path_len,
                                              const char *options_json,
                                              size_t options_json_len,
                                              goatflow_plugin_completion_fn completion,
                                              void *user_data,
                                              goatflow_plugin_finalizer_fn finalizer,
                                              const struct goatflow_plugin_operation **out_operation,
                                              const struct goatflow_plugin_error **out_error);

/**
 * Start `goatflow_plugin_manager_reload` on a thread of the library, and return at once.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin; copied.
 * - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`; copied.
 * - `completion`, `user_data`, `finalizer`, `out_operation`: as for `goatflow_plugin_manager_replace_async`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: as `goatflow_plugin_manager_replace_async`.
 * Errors: as `goatflow_plugin_manager_replace_async`.
 * Since: ABI 1.
 *
 * # Safety
 * As `goatflow_plugin_manager_replace_async`.
 */
int32_t goatflow_plugin_manager_reload_async(const struct goatflow_plugin_manager *manager,
                                             const char *plugin,
                                             size_t plugin_len,
                                             const char *options_json,
                                             size_t options_json_len,
                                             goatflow_plugin_completion_fn completion,
                                             void *user_data,
                                             goatflow_plugin_finalizer_fn finalizer,
                                             const struct goatflow_plugin_operation **out_operation,
                                             const struct goatflow_plugin_error **out_error);

/**
 * Start `goatflow_plugin_manager_rollback` on a thread of the library, and return at once.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin; copied.
 * - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`; copied.
 * - `completion`, `user_data`, `finalizer`, `out_operation`: as for `goatflow_plugin_manager_replace_async`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: as `goatflow_plugin_manager_replace_async`.
 * Errors: as `goatflow_plugin_manager_replace_async`.
 * Since: ABI 1.
 *
 * # Safety
 * As `goatflow_plugin_manager_replace_async`.
 */
int32_t goatflow_plugin_manager_rollback_async(const struct goatflow_plugin_manager *manager,
                                               const char *plugin,
                                               size_t plugin_len,
                                               const char *options_json,
                                               size_t options_json_len,
                                               goatflow_plugin_completion_fn completion,
                                               void *user_data,
                                               goatflow_plugin_finalizer_fn finalizer,
                                               const struct goatflow_plugin_operation **out_operation,
                                               const struct goatflow_plugin_error **out_error);

/**
 * Find a function of a plugin, so that calls need not look it up.
 *
 * The handle stays valid when the plugin is unloaded and loaded again. Whether the plugin knows the function shows when it
 * is called.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `function`, `function_len`: name of the function.
 * - `out_function`: the function; release with `goatflow_plugin_function_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_function_resolve(const struct goatflow_plugin_manager *manager,
                                         const char *plugin,
                                         size_t plugin_len,
                                         const char *function,
                                         size_t function_len,
                                         const struct goatflow_plugin_function **out_function,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Call a function and wait for its answer. See `goatflow_plugin_manager_call`.
 *
 * Parameters:
 * - `function`: the function.
 * - `arguments`, `arguments_len`: bytes for the function, JSON by convention; may be empty.
 * - `options`: may be NULL.
 * - `out_result`: the answer, empty when the plugin answers nothing; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: as `goatflow_plugin_manager_call`.
 * Errors: as `goatflow_plugin_manager_call`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_function_call(const struct goatflow_plugin_function *function,
                                      const uint8_t *arguments,
                                      size_t arguments_len,
                                      const struct goatflow_plugin_call_options *options,
                                      struct goatflow_plugin_buffer *out_result,
                                      const struct goatflow_plugin_error **out_error);

/**
 * Call a function and have its answer written to memory of the caller. See `goatflow_plugin_manager_call_into`.
 *
 * Parameters:
 * - `function`: the function.
 * - `arguments`, `arguments_len`: bytes for the function; may be empty.
 * - `options`: may be NULL.
 * - `destination`, `destination_len`: where the answer goes; may be empty. Must not overlap the inputs.
 * - `out_len`: length of the answer; also set when it did not fit.
 * - `out_overflow`: takes an answer that is longer than `destination_len`; release with `goatflow_plugin_buffer_free`;
 *   may be NULL.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: as `goatflow_plugin_manager_call`.
 * Errors: as `goatflow_plugin_manager_call_into`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable and `destination` is writable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_function_call_into(const struct goatflow_plugin_function *function,
                                           const uint8_t *arguments,
                                           size_t arguments_len,
                                           const struct goatflow_plugin_call_options *options,
                                           uint8_t *destination,
                                           size_t destination_len,
                                           size_t *out_len,
                                           struct goatflow_plugin_buffer *out_overflow,
                                           const struct goatflow_plugin_error **out_error);

/**
 * Release a function.
 *
 * Parameters:
 * - `function`: the function; NULL and released ones are ignored.
 *
 * Threads: any, also while it is being called.
 * Errors: none.
 * Since: ABI 1.
 */
void goatflow_plugin_function_free(const struct goatflow_plugin_function *function);

/**
 * Let the host answer a service itself, in place of the built-in provider.
 *
 * Takes effect for host calls that start from now on.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `service`, `service_len`: "db", "cache", "http", "email", "config", "translate", "log" or "event".
 * - `callback`: serves the calls; NULL = back to the built-in provider.
 * - `user_data`: handed to the callback.
 * - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after the last callback has returned, also when this
 *   function fails.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_INVALID` when there is no such service, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `callback` and `finalizer` can be called from any thread with `user_data`
 * until the finalizer has run; `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_manager_provide(const struct goatflow_plugin_manager *manager,
                                        const char *service,
                                        size_t service_len,
                                        goatflow_plugin_host_fn callback,
                                        void *user_data,
                                        goatflow_plugin_finalizer_fn finalizer,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Offer a function to plugins beyond the built-in ones. A function that is not declared is denied.
 *
 * Declaring a name again replaces the function.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `declaration_json`, `declaration_json_len`: `{"name", "permission", "access": "read|write", "target"}`. Plugins need a
 *   permission of the type `permission` with that access; `target`, a JSON pointer, finds the text in the arguments that the
 *   permission's scope must match; null = no scope.
 * - `callback`: serves the calls.
 * - `user_data`: handed to the callback.
 * - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after the last callback has returned, also when this
 *   function fails.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_JSON` when the declaration is refused, `…_STATUS_ARGUMENT_INVALID` for a built-in or malformed
 * name, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `callback` and `finalizer` can be called from any thread with `user_data`
 * until the finalizer has run; `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_manager_declare(const struct goatflow_plugin_manager *manager,
                                        const char *declaration_json,
                                        size_t declaration_json_len,
                                        goatflow_plugin_host_fn callback,
                                        void *user_data,
                                        goatflow_plugin_finalizer_fn finalizer,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Complete a reply with a result.
 *
 * Parameters:
 * - `reply`: the reply that the callback was given.
 * - `json`, `json_len`: the answer, JSON in the form that docs/contract.md section 2.2 gives for the function; copied.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any, in the callback or later.
 * Errors: `…_STATUS_ARGUMENT_HANDLE` when the call is over (answered, past its deadline, cancelled),
 * `…_STATUS_LIFECYCLE_TAKEN` when the reply was completed already, `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The input is readable for its length; `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_reply_set_result(const struct goatflow_plugin_reply *reply,
                                         const uint8_t *json,
                                         size_t json_len,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Complete a reply with a failure; the plugin sees the message, and `host.failed` unless the callback returns a status of
 * its own.
 *
 * Parameters:
 * - `reply`: the reply that the callback was given.
 * - `message`, `message_len`: what went wrong, UTF-8; must not hold secrets.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any, in the callback or later.
 * Errors: as `goatflow_plugin_reply_set_result`, and `…_STATUS_ARGUMENT_UTF8`.
 * Since: ABI 1.
 *
 * # Safety
 * The input is readable for its length; `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_reply_set_error(const struct goatflow_plugin_reply *reply,
                                        const char *message,
                                        size_t message_len,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Put what is at a path in place of the loaded plugin of the same name, without losing a call.
 *
 * The new version is verified, compiled, started and asked whether it is healthy beside the old one, which serves on
 * meanwhile, and for good when any of that fails. Then new calls go to the new version, and calls of the old one end there.
 * For a while it is held against the old one, and taken back by itself when it is much worse. Functions that were resolved
 * stay valid.
 *
 * ```c
 * const goatflow_plugin_manager *manager = NULL;
 * const goatflow_plugin_error *error = NULL;
 * goatflow_plugin_buffer report = {NULL, 0, 0};
 *
 * if (goatflow_plugin_manager_replace(manager, "stats-2.zip", 11, NULL, 0, &report, &error) == GOATFLOW_PLUGIN_STATUS_OK) {
 *     printf("%.*s\n", (int)report.len, (const char *)report.data);
 * } else {
 *     printf("the old version serves on: %s\n", goatflow_plugin_error_message(error));
 * }
 * goatflow_plugin_buffer_free(&report);
 * goatflow_plugin_error_free(error);
 * ```
 *
 * Parameters:
 * - `manager`: the manager.
 * - `path`, `path_len`: UTF-8 path, as for `goatflow_plugin_manager_load`.
 * - `options_json`, `options_json_len`: JSON object `{"drain_ms": …, "probe": bool, "probation_ms": …}`, each optional: how
 *   long to wait for calls of the old version (absent = the time that its policy gives a call, at most 30 s; 0 = not at all),
 *   whether the new one must show that it is healthy (absent = yes), how long it is held against the old one (absent = what
 *   the policy says; 0 = not at all); `(NULL, 0)` = none of them.
 * - `out_report_json`: JSON object `{"plugin", "kind": "replaced", "old_version", "new_version", "old_generation", "generation",
 *   "enabled", "drained", "calls_running", "probation_ms", "changes", "asks_for_more", "collisions", "warnings"}`; release
 *   with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only, `step` in its detail says how far it came; release with
 *   `goatflow_plugin_error_free`.
 *
 * Threads: any; not from a callback of the same plugin, unless `drain_ms` is 0.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND` when no plugin of that name is loaded, `…_STATUS_LIFECYCLE_SWAPPING` when
 * another exchange of it is under way, `…_STATUS_LIFECYCLE_IN_CALLBACK`, `…_STATUS_PLUGIN_UNHEALTHY`; otherwise as
 * `goatflow_plugin_manager_load`. After an error the old version serves on.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_replace(const struct goatflow_plugin_manager *manager,
                                        const char *path,
                                        size_t path_len,
                                        const char *options_json,
                                        size_t options_json_len,
                                        struct goatflow_plugin_buffer *out_report_json,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Load a plugin again from where it came from, an installed package in its current version, and put that in place of what
 * serves, as `goatflow_plugin_manager_replace`.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`.
 * - `out_report_json`: as for `goatflow_plugin_manager_replace`, with `"kind": "reloaded"`; release with
 *   `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: as `goatflow_plugin_manager_replace`.
 * Errors: as `goatflow_plugin_manager_replace`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_reload(const struct goatflow_plugin_manager *manager,
                                       const char *plugin,
                                       size_t plugin_len,
                                       const char *options_json,
                                       size_t options_json_len,
                                       struct goatflow_plugin_buffer *out_report_json,
                                       const struct goatflow_plugin_error **out_error);

/**
 * Put the version before the one that serves back into service, without losing a call. For an installed package, the record
 * of installed packages says the same afterwards.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`.
 * - `out_report_json`: as for `goatflow_plugin_manager_replace`, with `"kind": "rolled_back"`; release with
 *   `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: as `goatflow_plugin_manager_replace`.
 * Errors: `…_STATUS_LIFECYCLE_NO_PREVIOUS` when there is no version to go back to; otherwise as
 * `goatflow_plugin_manager_replace`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_rollback(const struct goatflow_plugin_manager *manager,
                                         const char *plugin,
                                         size_t plugin_len,
                                         const char *options_json,
                                         size_t options_json_len,
                                         struct goatflow_plugin_buffer *out_report_json,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Get what is known about the health of a plugin; calls nothing.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `out_json`: JSON object `{"plugin", "state": "unknown|healthy|unhealthy|crash_loop", "consecutive_failures", "last_probe",
 *   "recovery"}`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_health(const struct goatflow_plugin_manager *manager,
                                       const char *plugin,
                                       size_t plugin_len,
                                       struct goatflow_plugin_buffer *out_json,
                                       const struct goatflow_plugin_error **out_error);

/**
 * Ask a plugin now whether it is healthy. Blocks at most for the configured time (`health.timeout_ms`).
 *
 * A plugin that is out of service, or is being asked already, is not asked.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `out_json`: as for `goatflow_plugin_manager_health`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`. A plugin that is not
 * healthy is no error here: see the report.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_probe(const struct goatflow_plugin_manager *manager,
                                      const char *plugin,
                                      size_t plugin_len,
                                      struct goatflow_plugin_buffer *out_json,
                                      const struct goatflow_plugin_error **out_error);

/**
 * Forget the failures of a plugin, so that one that failed too often is started again.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `out_json`: as for `goatflow_plugin_manager_health`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_reset_crash_loop(const struct goatflow_plugin_manager *manager,
                                                 const char *plugin,
                                                 size_t plugin_len,
                                                 struct goatflow_plugin_buffer *out_json,
                                                 const struct goatflow_plugin_error **out_error);

/**
 * Make a manager.
 *
 * Parameters:
 * - `config_json`, `config_json_len`: configuration document (see `goatflow_plugin_config_schema`); `(NULL, 0)` = defaults.
 * - `out_manager`: the manager; release with `goatflow_plugin_manager_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_CONFIG` when the document is refused, `…_STATUS_HOST_DATABASE` when the database can't be
 * opened, `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * `config_json` is readable for `config_json_len` bytes; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_new(const char *config_json,
                                    size_t config_json_len,
                                    const struct goatflow_plugin_manager **out_manager,
                                    const struct goatflow_plugin_error **out_error);

/**
 * Refuse everything from now on, wait for calls that run, and stop all plugins.
 *
 * Blocks at most `timeout_ms`. Calls that do not end in that time go on until their own deadlines. Release the manager
 * afterwards.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `timeout_ms`: longest wait in milliseconds.
 * - `out_report_json`: JSON object `{"drained", "plugins": [{"plugin", "outcome": "stopped|killed|still_busy", "drained",
 *   "calls_running", "error"}]}`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; not from a callback, unless `timeout_ms` is 0.
 * Errors: `…_STATUS_LIFECYCLE_SHUT_DOWN` when it was shut down before, `…_STATUS_LIFECYCLE_IN_CALLBACK` when it would wait
 * for the call that this callback serves, `…_STATUS_ARGUMENT_HANDLE`,
 * `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_shutdown(const struct goatflow_plugin_manager *manager,
                                         uint64_t timeout_ms,
                                         struct goatflow_plugin_buffer *out_report_json,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Release a manager: it refuses everything from now on. Waits for nothing.
 *
 * Its memory goes, and the finalizers of its callbacks run, when the last call has ended and the last function of it was
 * released.
 *
 * Parameters:
 * - `manager`: the manager; NULL and released ones are ignored.
 *
 * Threads: any, also from callbacks.
 * Errors: none.
 * Since: ABI 1.
 */
void goatflow_plugin_manager_free(const struct goatflow_plugin_manager *manager);

/**
 * Load a plugin: a package (`.zip`), a `.wasm` file, or a directory with `plugin.yaml` or `manifest.json`.
 *
 * Reads, checks, compiles and starts it, and lets it register. Blocks for as long as that takes, within the configured
 * time. A plugin that fails at any step is not loaded.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `path`, `path_len`: UTF-8 path.
 * - `options_json`, `options_json_len`: for later versions; `(NULL, 0)` or `{}`.
 * - `out_name`: name that the plugin is called by; release with `goatflow_plugin_buffer_free`; may be NULL.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; loads of different plugins run side by side.
 * Errors: `…_STATUS_PACKAGE_…` and `…_STATUS_SIGNATURE_…` when it is refused, `…_STATUS_PLUGIN_…` when its code fails,
 * `…_STATUS_LIFECYCLE_ALREADY_LOADED`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ENVIRONMENT_IO`,
 * `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_load(const struct goatflow_plugin_manager *manager,
                                     const char *path,
                                     size_t path_len,
                                     const char *options_json,
                                     size_t options_json_len,
                                     struct goatflow_plugin_buffer *out_name,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Take a plugin out of service: new calls are refused at once, calls that run get time to end.
 *
 * Blocks at most `timeout_ms`. Its limits and counters stay, should a plugin of that name be loaded again.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `timeout_ms`: longest wait in milliseconds.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; not from a callback of the same plugin, unless `timeout_ms` is 0.
 * Errors: `…_STATUS_LIFECYCLE_IN_CALLBACK` when it would wait for the call that this callback serves (nothing was changed),
 * `…_STATUS_LIFECYCLE_BUSY` when calls did not end in time: the plugin is out of service all the same;
 * `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_manager_unload(const struct goatflow_plugin_manager *manager,
                                       const char *plugin,
                                       size_t plugin_len,
                                       uint64_t timeout_ms,
                                       const struct goatflow_plugin_error **out_error);

/**
 * List the plugins in service.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `out_json`: JSON array of `{"name", "version", "description", "runtime", "enabled", "origin", "policy", "warnings", "state",
 *   "generation", "previous", "probation", …}`, by name; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_list(const struct goatflow_plugin_manager *manager,
                                     struct goatflow_plugin_buffer *out_json,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Get what a plugin said about itself: routes, widgets, menu items, jobs, templates, translations, error codes.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `out_json`: JSON object; text of the plugin's author; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_registration(const struct goatflow_plugin_manager *manager,
                                             const char *plugin,
                                             size_t plugin_len,
                                             struct goatflow_plugin_buffer *out_json,
                                             const struct goatflow_plugin_error **out_error);

/**
 * Let calls into a plugin again.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_manager_enable(const struct goatflow_plugin_manager *manager,
                                       const char *plugin,
                                       size_t plugin_len,
                                       const struct goatflow_plugin_error **out_error);

/**
 * Keep calls out of a plugin, and wait for those that run.
 *
 * Blocks at most `timeout_ms`. The plugin stays loaded.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `timeout_ms`: longest wait in milliseconds.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; not from a callback of the same plugin, unless `timeout_ms` is 0.
 * Errors: `…_STATUS_LIFECYCLE_IN_CALLBACK` when it would wait for the call that this callback serves (nothing was changed),
 * `…_STATUS_LIFECYCLE_BUSY` when calls did not end in time: the plugin is disabled all the same;
 * `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_manager_disable(const struct goatflow_plugin_manager *manager,
                                        const char *plugin,
                                        size_t plugin_len,
                                        uint64_t timeout_ms,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Get what plugins did: calls, host calls, errors, denials with their targets, memory.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin; `(NULL, 0)` = all.
 * - `out_json`: JSON object, or an array of such objects for all; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_stats(const struct goatflow_plugin_manager *manager,
                                      const char *plugin,
                                      size_t plugin_len,
                                      struct goatflow_plugin_buffer *out_json,
                                      const struct goatflow_plugin_error **out_error);

/**
 * Get the newest log lines of plugins.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `filter_json`, `filter_json_len`: `{"plugin": name, "level": "debug|info|warn|error", "limit": count}`, each optional;
 *   `level` is the least important one wanted; `(NULL, 0)` = all.
 * - `out_json`: JSON array of `{"timestamp", "plugin", "level", "message", "fields"}`, newest first; release with
 *   `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_JSON` when the filter is refused, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_logs(const struct goatflow_plugin_manager *manager,
                                     const char *filter_json,
                                     size_t filter_json_len,
                                     struct goatflow_plugin_buffer *out_json,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Forget the log lines that are kept.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
 * Since: ABI 1.
 *
 * # Safety
 * `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_manager_clear_logs(const struct goatflow_plugin_manager *manager,
                                           const struct goatflow_plugin_error **out_error);

/**
 * Start a call and return at once.
 *
 * The call runs on a thread of the library, and so do host callbacks that it causes.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `function`, `function_len`: name of the function.
 * - `arguments`, `arguments_len`: bytes for the function; may be empty; copied.
 * - `options`: may be NULL; copied.
 * - `completion`: takes the outcome, exactly once; may be NULL when `out_operation` is given.
 * - `user_data`: handed to `completion`.
 * - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after `completion`, also when this function fails.
 * - `out_operation`: the call; release with `goatflow_plugin_operation_free`; may be NULL when `completion` is given.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_OVERLOADED` when too many calls wait, `…_STATUS_LIFECYCLE_…`, `…_STATUS_ARGUMENT_…`;
 * `completion` is not called then.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `completion` and `finalizer` can be called from any thread with `user_data`
 * until the finalizer has run; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_call_async(const struct goatflow_plugin_manager *manager,
                                           const char *plugin,
                                           size_t plugin_len,
                                           const char *function,
                                           size_t function_len,
                                           const uint8_t *arguments,
                                           size_t arguments_len,
                                           const struct goatflow_plugin_call_options *options,
                                           goatflow_plugin_completion_fn completion,
                                           void *user_data,
                                           goatflow_plugin_finalizer_fn finalizer,
                                           const struct goatflow_plugin_operation **out_operation,
                                           const struct goatflow_plugin_error **out_error);

/**
 * Start a call whose outcome goes to a completion queue, and return at once.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `function`, `function_len`: name of the function.
 * - `arguments`, `arguments_len`: bytes for the function; may be empty; copied.
 * - `options`: may be NULL; copied.
 * - `queue`: takes the outcome, exactly once; an outcome for a released queue is dropped.
 * - `tag`: comes back with the outcome.
 * - `out_operation`: the call; release with `goatflow_plugin_operation_free`; may be NULL.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: as `goatflow_plugin_manager_call_async`; the queue gets nothing then.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_call_enqueue(const struct goatflow_plugin_manager *manager,
                                             const char *plugin,
                                             size_t plugin_len,
                                             const char *function,
                                             size_t function_len,
                                             const uint8_t *arguments,
                                             size_t arguments_len,
                                             const struct goatflow_plugin_call_options *options,
                                             const struct goatflow_plugin_queue *queue,
                                             uint64_t tag,
                                             const struct goatflow_plugin_operation **out_operation,
                                             const struct goatflow_plugin_error **out_error);

/**
 * Wait for the outcome of a call. It can be taken once.
 *
 * Parameters:
 * - `operation`: what was started by a function whose name ends in `_async`; the answer of an exchange is its report.
 * - `timeout_ms`: longest wait in milliseconds; 0 = only look.
 * - `out_result`: the answer, empty when the plugin answers nothing; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PENDING` when the call has not ended in time, `…_STATUS_LIFECYCLE_TAKEN` when the outcome was
 * taken before or went to a queue, `…_STATUS_ARGUMENT_…`; otherwise the status of the call.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_operation_wait(const struct goatflow_plugin_operation *operation,
                                       uint64_t timeout_ms,
                                       struct goatflow_plugin_buffer *out_result,
                                       const struct goatflow_plugin_error **out_error);

/**
 * Stop a call: one that waits ends at once, one that runs within some milliseconds. Its outcome still arrives.
 *
 * Parameters:
 * - `operation`: the call.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any, also from callbacks. Cancelling twice, or after the end, does no harm. Other calls that were made with the
 * same cancellation go on.
 * Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
 * Since: ABI 1.
 *
 * # Safety
 * `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_operation_cancel(const struct goatflow_plugin_operation *operation,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Release a call. It goes on, and its outcome still arrives at its completion or queue.
 *
 * Parameters:
 * - `operation`: the call; NULL and released ones are ignored.
 *
 * Threads: any.
 * Errors: none.
 * Since: ABI 1.
 */
void goatflow_plugin_operation_free(const struct goatflow_plugin_operation *operation);

/**
 * Look at a package as installation would: signatures, archive, manifest. Nothing is changed, no code runs.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `path`, `path_len`: UTF-8 path of a package.
 * - `out_json`: JSON object: name, version, runtime, hashes, signature status, what it asks for, entries; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_SIGNATURE_…` and `…_STATUS_PACKAGE_…` when it would be refused, `…_STATUS_ENVIRONMENT_IO`,
 * `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_package_inspect(const struct goatflow_plugin_manager *manager,
                                        const char *path,
                                        size_t path_len,
                                        struct goatflow_plugin_buffer *out_json,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Install a package: verify, inspect, write, record.
 *
 * No code of it runs, and what is loaded stays loaded. A crash at any point leaves the old version or the new one. A version
 * that asks for more than was approved waits for `goatflow_plugin_package_approve`, and the old one stays current.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `path`, `path_len`: UTF-8 path of a package; its signatures are in `<path>.sig` and `<path>.gksig`.
 * - `options_json`, `options_json_len`: JSON object `{"allow_downgrade": bool, "approve": bool}`; `(NULL, 0)` = neither.
 * - `out_json`: JSON object: what was done, versions, `needs_approval`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; changes of installed packages wait for each other, also those of other processes.
 * Errors: `…_STATUS_SIGNATURE_…` and `…_STATUS_PACKAGE_…` when it is refused, `…_STATUS_PACKAGE_NO_STORE`,
 * `…_STATUS_PACKAGE_LOCKED`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_package_install(const struct goatflow_plugin_manager *manager,
                                        const char *path,
                                        size_t path_len,
                                        const char *options_json,
                                        size_t options_json_len,
                                        struct goatflow_plugin_buffer *out_json,
                                        const struct goatflow_plugin_error **out_error);

/**
 * List installed packages with their versions.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `out_json`: JSON array; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_PACKAGE_NO_STORE`, `…_STATUS_PACKAGE_STATE_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_package_list(const struct goatflow_plugin_manager *manager,
                                     struct goatflow_plugin_buffer *out_json,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Load the current version of an installed package.
 *
 * Package, signatures and files are verified again; what was verified is what runs. Blocks as `goatflow_plugin_manager_load`.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `name`, `name_len`: name of the package, by which the plugin is called, too.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; loads of different plugins run side by side.
 * Errors: as `goatflow_plugin_manager_load`, `…_STATUS_PACKAGE_NOT_INSTALLED`, `…_STATUS_PACKAGE_CHANGED`,
 * `…_STATUS_PACKAGE_NO_STORE`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_package_load(const struct goatflow_plugin_manager *manager,
                                     const char *name,
                                     size_t name_len,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Make the previous version of a package the current one. What is loaded stays loaded.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `name`, `name_len`: name of the package.
 * - `out_json`: JSON object: what was done, versions; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; changes of installed packages wait for each other, also those of other processes.
 * Errors: `…_STATUS_PACKAGE_NOT_INSTALLED`, `…_STATUS_PACKAGE_NO_PREVIOUS`,
 * `…_STATUS_PACKAGE_NO_STORE`, `…_STATUS_PACKAGE_STATE_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_package_rollback(const struct goatflow_plugin_manager *manager,
                                         const char *name,
                                         size_t name_len,
                                         struct goatflow_plugin_buffer *out_json,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Approve what the waiting version of a package asks for, and make it the current one. What is loaded stays loaded.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `name`, `name_len`: name of the package.
 * - `version`, `version_len`: version, or key, that was looked at: no other is approved; `(NULL, 0)` = whichever waits.
 * - `out_json`: JSON object: what was done, what was approved, versions; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; changes of installed packages wait for each other, also those of other processes.
 * Errors: `…_STATUS_PACKAGE_NOT_INSTALLED`, `…_STATUS_PACKAGE_NOTHING_PENDING`,
 * `…_STATUS_PACKAGE_NO_STORE`, `…_STATUS_PACKAGE_STATE_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_package_approve(const struct goatflow_plugin_manager *manager,
                                        const char *name,
                                        size_t name_len,
                                        const char *version,
                                        size_t version_len,
                                        struct goatflow_plugin_buffer *out_json,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Remove a package, or one version of it that is not the current one. What is loaded stays loaded, but its files can't be
 * read any more.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `name`, `name_len`: name of the package.
 * - `version`, `version_len`: version to remove; `(NULL, 0)` = all.
 * - `out_json`: JSON object: what was done, versions that are left; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; changes of installed packages wait for each other, also those of other processes.
 * Errors: `…_STATUS_PACKAGE_NOT_INSTALLED`,
 * `…_STATUS_PACKAGE_NO_STORE`, `…_STATUS_PACKAGE_STATE_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_package_remove(const struct goatflow_plugin_manager *manager,
                                       const char *name,
                                       size_t name_len,
                                       const char *version,
                                       size_t version_len,
                                       struct goatflow_plugin_buffer *out_json,
                                       const struct goatflow_plugin_error **out_error);

/**
 * List the files that a loaded plugin brought: assets, templates and translations.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of a loaded plugin.
 * - `out_json`: JSON array of `{"name", "size", "sha256"}`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_asset_list(const struct goatflow_plugin_manager *manager,
                                   const char *plugin,
                                   size_t plugin_len,
                                   struct goatflow_plugin_buffer *out_json,
                                   const struct goatflow_plugin_error **out_error);

/**
 * Read a file that a loaded plugin brought: the bytes that were verified when it was loaded, or an error.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of a loaded plugin.
 * - `name`, `name_len`: name of the file as listed, for example `templates/page.html`.
 * - `out_bytes`: content; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_PACKAGE_ASSET_NOT_FOUND`, `…_STATUS_PACKAGE_ASSET_TOO_LARGE`, `…_STATUS_PACKAGE_CHANGED`,
 * `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_asset_read(const struct goatflow_plugin_manager *manager,
                                   const char *plugin,
                                   size_t plugin_len,
                                   const char *name,
                                   size_t name_len,
                                   struct goatflow_plugin_buffer *out_bytes,
                                   const struct goatflow_plugin_error **out_error);

/**
 * Get the policy of a plugin: what is stored, what is in force, and where each line of it comes from.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of a plugin that is loaded or has a stored policy.
 * - `out_json`: JSON object `{"plugin", "revision", "stored", "effective"}`; `revision` 0 and `stored` null mean that the
 *   default grant is in force; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_get(const struct goatflow_plugin_manager *manager,
                                   const char *plugin,
                                   size_t plugin_len,
                                   struct goatflow_plugin_buffer *out_json,
                                   const struct goatflow_plugin_error **out_error);

/**
 * Store an administrator's policy for a plugin and put it in force, at once and for every host call that starts from now on.
 *
 * ```c
 * const char *policy =
 *     "{\"version\":1,\"status\":\"approved\",\"permissions\":"
 *     "[{\"type\":\"db\",\"access\":\"read\",\"scope\":[\"ticket\"]}]}";
 * uint64_t revision = 0;
 *
 * goatflow_plugin_policy_set(NULL, "stats", 5, policy, strlen(policy), GOATFLOW_PLUGIN_ANY_REVISION, &revision, NULL);
 * ```
 *
 * The document is the whole policy of the plugin. A document that is refused changes nothing. The plugin need not be
 * loaded.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `policy_json`, `policy_json_len`: policy document (see `goatflow_plugin_policy_schema`); `(NULL, 0)` removes the stored
 *   one, so that the default grant is in force again.
 * - `expected_revision`: revision that the change is based on, 0 for none; `GOATFLOW_PLUGIN_ANY_REVISION` = whatever it is.
 * - `out_revision`: the new revision; may be NULL.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; concurrent changes are put in force one after the other.
 * Errors: `…_STATUS_POLICY_DOCUMENT_INVALID` with all problems in the detail, `…_STATUS_POLICY_REVISION_CONFLICT` when
 * somebody else changed it meanwhile, `…_STATUS_PACKAGE_NAME_INVALID`, `…_STATUS_LIFECYCLE_SHUT_DOWN`,
 * `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_set(const struct goatflow_plugin_manager *manager,
                                   const char *plugin,
                                   size_t plugin_len,
                                   const char *policy_json,
                                   size_t policy_json_len,
                                   uint64_t expected_revision,
                                   uint64_t *out_revision,
                                   const struct goatflow_plugin_error **out_error);

/**
 * Check a policy document without putting it in force.
 *
 * Parameters:
 * - `policy_json`, `policy_json_len`: policy document.
 * - `out_report_json`: JSON object `{"valid", "problems": [{"path", "message"}], "warnings": […]}`; release with
 *   `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`. A document that is not valid is no error: the report tells.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_validate(const char *policy_json,
                                        size_t policy_json_len,
                                        struct goatflow_plugin_buffer *out_report_json,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Get the JSON Schema of policy documents.
 *
 * Parameters:
 * - `out_json`: JSON Schema; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_schema(struct goatflow_plugin_buffer *out_json,
                                      const struct goatflow_plugin_error **out_error);

/**
 * Suggest the smallest policy that lets a plugin work, with the evidence for each line.
 *
 * What the plugin was refused, and what it was let do while it was observed, becomes entries; they are added to what is in
 * force now. What it only declares, what is sensitive and what no single entry could name is told and left out. Wildcards
 * are never suggested. Nothing is changed: hand the answer to `goatflow_plugin_policy_apply`.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of a plugin that is loaded, or of which the policy store has evidence.
 * - `options_json`, `options_json_len`: `{"sensitive": bool, "declared": bool}`, each optional: also entries that are
 *   sensitive, also entries that the plugin declares and did not need so far; `(NULL, 0)` = neither.
 * - `out_json`: JSON object `{"plugin", "revision", "changes", "document", "lines": [{"entry", "new", "sensitive",
 *   "evidence"}], "left_out": [{"entry", "reason", "evidence"}]}`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_POLICY_BLOCKED` for a plugin that an administrator blocked,
 * `…_STATUS_POLICY_DOCUMENT_INVALID` when the stored policy can't be read, `…_STATUS_ENVIRONMENT_STORE`,
 * `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_suggest(const struct goatflow_plugin_manager *manager,
                                       const char *plugin,
                                       size_t plugin_len,
                                       const char *options_json,
                                       size_t options_json_len,
                                       struct goatflow_plugin_buffer *out_json,
                                       const struct goatflow_plugin_error **out_error);

/**
 * Accept a suggestion: store its document and put it in force.
 *
 * What is granted is what the suggestion says, whatever the plugin did since.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin.
 * - `suggestion_json`, `suggestion_json_len`: what `goatflow_plugin_policy_suggest` answered.
 * - `out_revision`: the new revision; may be NULL.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; concurrent changes are put in force one after the other.
 * Errors: `…_STATUS_POLICY_REVISION_CONFLICT` when the policy was changed since the suggestion was made,
 * `…_STATUS_POLICY_DOCUMENT_INVALID`, `…_STATUS_ENVIRONMENT_STORE`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_apply(const struct goatflow_plugin_manager *manager,
                                     const char *plugin,
                                     size_t plugin_len,
                                     const char *suggestion_json,
                                     size_t suggestion_json_len,
                                     uint64_t *out_revision,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Observe a plugin for a while: calls that only lack a permission or a scope pass, and are recorded.
 *
 * Never lets through what is not fully understood, sensitive tables, catalogues, secrets of the configuration, addresses
 * that are not public, or anything beyond a limit. The policy shows until when; every call let through is logged.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin, which need not be loaded.
 * - `seconds`: how long from now on, at most 31 days; 0 ends it.
 * - `out_revision`: the policy's new revision; may be NULL.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_INVALID` for more than 31 days, `…_STATUS_POLICY_DOCUMENT_INVALID` when the stored policy
 * can't be read, `…_STATUS_POLICY_REVISION_CONFLICT` when somebody changed it at the same time,
 * `…_STATUS_ENVIRONMENT_STORE`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_observe(const struct goatflow_plugin_manager *manager,
                                       const char *plugin,
                                       size_t plugin_len,
                                       uint64_t seconds,
                                       uint64_t *out_revision,
                                       const struct goatflow_plugin_error **out_error);

/**
 * Tell whether the policy in force of a plugin would allow a host call, and why not. Nothing is called.
 *
 * Asks the gates that plugins pass. Rates, quotas, addresses that names resolve to, and observation are left out.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of a loaded plugin.
 * - `request_json`, `request_json_len`: `{"function": name, "arguments": {…}}`.
 * - `out_json`: JSON object `{"allow", "code", "reason", "rule", "target", "suggestion"}`; `code` is `ok` or a slug, the last
 *   three are there when the call is refused, with `no_suggestion` and its reason in place of a suggestion that no policy
 *   could follow; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`. A refused call is no error: the verdict tells.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_check(const struct goatflow_plugin_manager *manager,
                                     const char *plugin,
                                     size_t plugin_len,
                                     const char *request_json,
                                     size_t request_json_len,
                                     struct goatflow_plugin_buffer *out_json,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Tell whether a policy document would allow a host call, and why not, without a plugin, a manager or a database.
 *
 * Parameters:
 * - `policy_json`, `policy_json_len`: policy document; `(NULL, 0)` = the default grant.
 * - `request_json`, `request_json_len`: `{"function": name, "arguments": {…}}`, and where it matters `"dialect"` (`sqlite`,
 *   `postgres` or `mysql`; absent means the first), `"default_schema"`, and `"resources"`, what the plugin declares.
 * - `out_json`: JSON object `{"allow", "code", "reason", "rule", "target", "suggestion"}`; `code` is `ok` or a slug, the last
 *   three are there when the call is refused, with `no_suggestion` and its reason in place of a suggestion that no policy
 *   could follow; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_POLICY_DOCUMENT_INVALID`, `…_STATUS_ARGUMENT_…`. A refused call is no error: the verdict tells.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_check_document(const char *policy_json,
                                              size_t policy_json_len,
                                              const char *request_json,
                                              size_t request_json_len,
                                              struct goatflow_plugin_buffer *out_json,
                                              const struct goatflow_plugin_error **out_error);

/**
 * Get the changes of a plugin's policy and enablement, newest first.
 *
 * Each row is bound to the one before it by a hash, over all plugins of the policy store.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `plugin`, `plugin_len`: name of the plugin; `(NULL, 0)` = all.
 * - `limit`: most rows; 10,000 at most.
 * - `out_json`: JSON array of `{"seq", "time", "plugin", "action", "actor", "revision", "digest", "document", "hash"}`;
 *   release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ENVIRONMENT_STORE`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_policy_history(const struct goatflow_plugin_manager *manager,
                                       const char *plugin,
                                       size_t plugin_len,
                                       size_t limit,
                                       struct goatflow_plugin_buffer *out_json,
                                       const struct goatflow_plugin_error **out_error);

/**
 * Make a completion queue.
 *
 * Parameters:
 * - `out_queue`: the queue; release with `goatflow_plugin_queue_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ENVIRONMENT_RESOURCES` when the process has no descriptor left, `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_queue_new(const struct goatflow_plugin_queue **out_queue,
                                  const struct goatflow_plugin_error **out_error);

/**
 * Get a descriptor that is readable while outcomes wait, for poll, epoll and event loops.
 *
 * Parameters:
 * - `queue`: the queue, which owns the descriptor: do not read or close it; duplicate it to keep it longer.
 * - `out_fd`: the descriptor.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_queue_fd(const struct goatflow_plugin_queue *queue,
                                 int32_t *out_fd,
                                 const struct goatflow_plugin_error **out_error);

/**
 * Take outcomes from a queue, waiting for a first one.
 *
 * ```c
 * const goatflow_plugin_queue *queue = NULL;
 * goatflow_plugin_completion done[16];
 * size_t count = 0;
 *
 * goatflow_plugin_queue_new(&queue, NULL);
 * goatflow_plugin_manager_call_enqueue(NULL, "stats", 5, "overview", 8, NULL, 0, NULL, queue, 7, NULL, NULL);
 * goatflow_plugin_queue_next(queue, done, 16, 1000, &count, NULL);
 * for (size_t i = 0; i < count; i++) {
 *     printf("%llu: %d\n", (unsigned long long)done[i].tag, (int)done[i].status);
 *     goatflow_plugin_buffer_free(&done[i].result);
 *     goatflow_plugin_error_free(done[i].error);
 * }
 * goatflow_plugin_queue_free(queue);
 * ```
 *
 * Parameters:
 * - `queue`: the queue.
 * - `out_completions`: array that takes the outcomes; their results and errors belong to the caller.
 * - `capacity`: number of elements of `out_completions`.
 * - `timeout_ms`: longest wait in milliseconds; 0 = only look; `UINT64_MAX` = for ever.
 * - `out_count`: number of outcomes taken; 0 when none came in time.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; several may wait.
 * Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`. A call that failed is no error here: see its `status`.
 * Since: ABI 1.
 *
 * # Safety
 * `out_completions` is writable for `capacity` elements; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_queue_next(const struct goatflow_plugin_queue *queue,
                                   struct goatflow_plugin_completion *out_completions,
                                   size_t capacity,
                                   uint64_t timeout_ms,
                                   size_t *out_count,
                                   const struct goatflow_plugin_error **out_error);

/**
 * Release a queue. Calls go on; their outcomes are dropped. Threads that wait for outcomes get
 * `…_STATUS_ARGUMENT_HANDLE`.
 *
 * Parameters:
 * - `queue`: the queue; NULL and released ones are ignored.
 *
 * Threads: any; not while another thread waits for its descriptor.
 * Errors: none.
 * Since: ABI 1.
 */
void goatflow_plugin_queue_free(const struct goatflow_plugin_queue *queue);

/**
 * Subscribe to events of the library and to what plugins publish.
 *
 * Events arrive in the order in which they happened. When callbacks are too slow, at most 10,000 events wait; further ones
 * are dropped.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `filter_json`, `filter_json_len`: `{"kinds": [kind, …], "plugin": name}`, each optional; `(NULL, 0)` = all. `plugin.swapped`
 *   tells what routes, widgets, jobs and so on a new version added, removed and changed. Kinds: "plugin.loaded",
 *   "plugin.swapping", "plugin.swapped", "plugin.drained", "plugin.rolled_back", "plugin.failed", "plugin.unhealthy",
 *   "plugin.crashed", "plugin.restarted", "plugin.crash_loop", "plugin.watching", "plugin.unloaded", "plugin.enabled", "plugin.disabled",
 *   "policy.changed", "policy.observing", "package.installed", "package.pending", "package.approved", "package.rolled_back",
 *   "package.removed", "trust.changed", "call.denied", "call.observed", "log", "published".
 * - `callback`: takes the events.
 * - `user_data`: handed to the callback.
 * - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after the last callback has returned, also when this
 *   function fails.
 * - `out_subscription`: the subscription; release with `goatflow_plugin_subscription_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_JSON` and `…_STATUS_ARGUMENT_INVALID` when the filter is refused,
 * `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `callback` and `finalizer` can be called from any thread with `user_data`
 * until the finalizer has run; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_subscription_new(const struct goatflow_plugin_manager *manager,
                                         const char *filter_json,
                                         size_t filter_json_len,
                                         goatflow_plugin_event_fn callback,
                                         void *user_data,
                                         goatflow_plugin_finalizer_fn finalizer,
                                         const struct goatflow_plugin_subscription **out_subscription,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Release a subscription: no new events arrive. Does not wait for a callback that runs.
 *
 * Parameters:
 * - `subscription`: the subscription; NULL and released ones are ignored.
 *
 * Threads: any, also from its own callback.
 * Errors: none.
 * Since: ABI 1.
 */
void goatflow_plugin_subscription_free(const struct goatflow_plugin_subscription *subscription);

/**
 * Get everything that is trusted: the trust store's file and the configured keys, as one document.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `out_json`: JSON object (see `goatflow_plugin_trust_schema`); release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_SIGNATURE_TRUST_UNREADABLE`, `…_STATUS_SIGNATURE_TRUST_INVALID`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_trust_list(const struct goatflow_plugin_manager *manager,
                                   struct goatflow_plugin_buffer *out_json,
                                   const struct goatflow_plugin_error **out_error);

/**
 * Trust a further key: it is written to the configured trust store and counts from the next load on.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `key_json`, `key_json_len`: an entry of `keys` of a trust store (see `goatflow_plugin_trust_schema`).
 * - `out_json`: everything that is trusted now, as JSON object; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; changes of installed packages wait for each other, also those of other processes.
 * Errors: `…_STATUS_SIGNATURE_TRUST_UNREADABLE`, `…_STATUS_SIGNATURE_TRUST_INVALID`,
 * `…_STATUS_SIGNATURE_TRUST_CONFLICT`, `…_STATUS_SIGNATURE_KEY_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_trust_add(const struct goatflow_plugin_manager *manager,
                                  const char *key_json,
                                  size_t key_json_len,
                                  struct goatflow_plugin_buffer *out_json,
                                  const struct goatflow_plugin_error **out_error);

/**
 * Trust a key or a file no more: it counts from the next load on. What is loaded stays loaded.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `revocation_json`, `revocation_json_len`: `{"key": label, key id or public key, "reason"}`, or `{"sha256", "reason"}`.
 * - `out_json`: everything that is trusted now, as JSON object; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any; changes of installed packages wait for each other, also those of other processes.
 * Errors: `…_STATUS_SIGNATURE_TRUST_UNREADABLE`, `…_STATUS_SIGNATURE_TRUST_INVALID`,
 * `…_STATUS_SIGNATURE_TRUST_CONFLICT`, `…_STATUS_SIGNATURE_KEY_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_trust_revoke(const struct goatflow_plugin_manager *manager,
                                     const char *revocation_json,
                                     size_t revocation_json_len,
                                     struct goatflow_plugin_buffer *out_json,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Get the JSON Schema of trust stores.
 *
 * Parameters:
 * - `out_json`: JSON Schema; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_trust_schema(struct goatflow_plugin_buffer *out_json,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Check a raw Ed25519 signature, strictly: second spellings, weak keys and keys outside the prime-order group are refused.
 *
 * Parameters:
 * - `public_key`, `public_key_len`: 32 bytes.
 * - `message`, `message_len`: what was signed.
 * - `signature`, `signature_len`: 64 bytes.
 * - `out_valid`: 1 when it is a valid signature, else 0; wrong lengths are not valid.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_signature_check(const uint8_t *public_key,
                                        size_t public_key_len,
                                        const uint8_t *message,
                                        size_t message_len,
                                        const uint8_t *signature,
                                        size_t signature_len,
                                        int32_t *out_valid,
                                        const struct goatflow_plugin_error **out_error);

/**
 * Get the version of the ABI that the library implements.
 *
 * Parameters: none.
 *
 * Threads: any.
 * Errors: none; 0 when the library can't answer.
 * Since: ABI 1.
 */
uint32_t goatflow_plugin_abi_version(void);

/**
 * Get the version of the library, for example "0.1.0".
 *
 * Parameters: none.
 *
 * Threads: any. The text is static.
 * Errors: none; "" when the library can't answer.
 * Since: ABI 1.
 */
const char *goatflow_plugin_version(void);

/**
 * Check that the library implements the ABI that a program was compiled against.
 *
 * Call it once with `GOATFLOW_PLUGIN_ABI_VERSION` before anything else.
 *
 * Parameters:
 * - `header_abi_version`: the macro of the header that the program was compiled with.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_ABI` when the versions do not fit.
 * Since: ABI 1.
 *
 * # Safety
 * `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_abi_check(uint32_t header_abi_version, const struct goatflow_plugin_error **out_error);

/**
 * Get the stable code that belongs to a status number.
 *
 * Parameters:
 * - `status`: status as any function returns it.
 *
 * Threads: any. The text is static.
 * Errors: none; "ok" for 0, "unknown" for numbers that no error has.
 * Since: ABI 1.
 */
const char *goatflow_plugin_status_slug(int32_t status);

/**
 * Get all status numbers with their codes, for bindings.
 *
 * Parameters:
 * - `out_json`: JSON array of `{"status", "code", "constant", "retryable"}`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_status_table(struct goatflow_plugin_buffer *out_json,
                                     const struct goatflow_plugin_error **out_error);

/**
 * Get what this machine and this process offer: versions, CPU count, signal handlers in force, stack sizes.
 *
 * Parameters:
 * - `out_json`: JSON object; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_doctor(struct goatflow_plugin_buffer *out_json, const struct goatflow_plugin_error **out_error);

/**
 * Get how well this machine can isolate native plugins, layer by layer, and what to do about what is missing.
 *
 * Nothing is remembered: each call builds a real jail, runs the library's launcher in it and takes it down again, which costs
 * some milliseconds and processes that end before it returns.
 *
 * Parameters:
 * - `out_json`: JSON object `{"level", "layers": [{"name", "state", …}]}`; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ENVIRONMENT_UNSUPPORTED` where native plugins can't run at all, `…_STATUS_ENVIRONMENT_…` when no jail can
 * be built, `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_isolation_report(struct goatflow_plugin_buffer *out_json,
                                         const struct goatflow_plugin_error **out_error);

/**
 * Get the JSON Schema of the configuration document of a manager.
 *
 * Parameters:
 * - `out_json`: JSON Schema; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_config_schema(struct goatflow_plugin_buffer *out_json,
                                      const struct goatflow_plugin_error **out_error);

/**
 * Watch what a plugin came from: whatever changes there is loaded by itself, through the same gate as everything else, and
 * put in place of what serves. For development.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `target`, `target_len`: name of a loaded plugin, or a UTF-8 path; what is not loaded yet is loaded now, or as soon as it
 *   can be.
 * - `options_json`, `options_json_len`: JSON object `{"mode": "auto"|"polling", "quiet_ms": …, "poll_ms": …}`, each optional;
 *   `(NULL, 0)` = none of them.
 * - `out_json`: JSON object: path, plugin, how it is watched, the error of the last attempt; release with
 *   `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_WATCH_CONFLICT` when it is watched already, `…_STATUS_LIFECYCLE_WATCH_TOO_LARGE`,
 * `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ENVIRONMENT_…`, `…_STATUS_ARGUMENT_…`. A plugin that can't be loaded yet is no
 * error here: see `error` of the result.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; the out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_watch(const struct goatflow_plugin_manager *manager,
                                      const char *target,
                                      size_t target_len,
                                      const char *options_json,
                                      size_t options_json_len,
                                      struct goatflow_plugin_buffer *out_json,
                                      const struct goatflow_plugin_error **out_error);

/**
 * Watch a plugin or path no more. The plugin stays loaded.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `target`, `target_len`: name of the plugin, or the path.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_LIFECYCLE_WATCH_CONFLICT` when it is not watched, `…_STATUS_ARGUMENT_…`.
 * Since: ABI 1.
 *
 * # Safety
 * The inputs are readable for their lengths; `out_error` is NULL or writable.
 */
int32_t goatflow_plugin_manager_unwatch(const struct goatflow_plugin_manager *manager,
                                        const char *target,
                                        size_t target_len,
                                        const struct goatflow_plugin_error **out_error);

/**
 * List everything that is watched: how, what is loaded from it, and why not if it could not be.
 *
 * Parameters:
 * - `manager`: the manager.
 * - `out_json`: JSON array of objects as `goatflow_plugin_manager_watch` gives; release with `goatflow_plugin_buffer_free`.
 * - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
 *
 * Threads: any.
 * Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
 * Since: ABI 1.
 *
 * # Safety
 * The out pointers are NULL or writable.
 */
int32_t goatflow_plugin_manager_watches(const struct goatflow_plugin_manager *manager,
                                        struct goatflow_plugin_buffer *out_json,
                                        const struct goatflow_plugin_error **out_error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GOATFLOW_PLUGIN_H */
