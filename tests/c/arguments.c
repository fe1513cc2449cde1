/* Every function of the API with every argument wrong in every way, one wrong at a time: a specific status, an error object,
 * zeroed outputs, and a library that works as before. */
#include "fixture.h"

typedef const goatflow_plugin_manager *manager_t;
typedef const goatflow_plugin_error *error_t_;
typedef const goatflow_plugin_function *function_t;
typedef const goatflow_plugin_cancellation *cancellation_t;
typedef const goatflow_plugin_operation *operation_t;
typedef const goatflow_plugin_queue *queue_t;
typedef const goatflow_plugin_subscription *subscription_t;
typedef const goatflow_plugin_reply *reply_t;

/* One live and one freed handle of each kind; the test of one kind takes all others as foreign. */
enum kind { MANAGER, ERROR, FUNCTION, CANCELLATION, OPERATION, QUEUE, SUBSCRIPTION, KINDS };
static const void *live[KINDS], *freed[KINDS];
static manager_t m;
static function_t function;
static queue_t queue;
static operation_t operation;
static cancellation_t cancellation;

static buffer out;
static uint8_t destination[64];
static size_t out_len;

static buffer *rubbish_out(void) {
    memset(&out, 0xa5, sizeof out);
    return &out;
}
static const void *slot;
static const void *rubbish_slot(void) {
    slot = (const void *)CHECK_RUBBISH;
    return &slot;
}
static size_t *rubbish_len(void) {
    out_len = (size_t)CHECK_RUBBISH;
    return &out_len;
}
#define OUT rubbish_out()
#define SLOT(type) ((type *)rubbish_slot())
#define LEN rubbish_len()

/* The status, and that nothing but zeroes was left in the outputs that the call got. */
#define BAD(call, constant)                                                                                      \
    do {                                                                                                         \
        memset(&out, 0, sizeof out);                                                                             \
        slot = NULL;                                                                                             \
        out_len = 0;                                                                                             \
        CHECK_STATUS(call, constant);                                                                            \
        if (out.data != NULL || out.len != 0 || out.capacity != 0) CHECK_FAIL("%s left its output unzeroed", #call); \
        if (slot != NULL) CHECK_FAIL("%s left its output handle at %p", #call, slot);                            \
        if (out_len != 0) CHECK_FAIL("%s left its output length at %zu", #call, out_len);                        \
    } while (0)

/* Same, and without an error slot. */
#define BAD_HANDLE_ARGUMENT(F, type, kind)                                                       \
    do {                                                                                         \
        BAD(F((type)NULL), ARGUMENT_NULL);                                                       \
        for (int bad_i = 0; bad_i < KINDS; bad_i++) {                                            \
            if (bad_i != (kind)) BAD(F((type)live[bad_i]), ARGUMENT_HANDLE);                     \
            BAD(F((type)freed[bad_i]), ARGUMENT_HANDLE);                                         \
        }                                                                                        \
        static const uintptr_t wild[] = {1, 2, 3, 4, 7, 8, 16, 255, 4096, 0xdeadbeef, (uintptr_t)-1, (uintptr_t)-2, \
                                         (uintptr_t)-4096, (uintptr_t)1 << 63, (uintptr_t)1 << 32}; \
        for (size_t bad_i = 0; bad_i < sizeof wild / sizeof wild[0]; bad_i++)                    \
            BAD(F((type)wild[bad_i]), ARGUMENT_HANDLE);                                          \
        BAD(F((type)(const void *)&out), ARGUMENT_HANDLE);                                       \
        BAD(F((type)(const void *)wild), ARGUMENT_HANDLE);                                       \
        for (int bit = 0; bit < 64; bit++)                                                       \
            BAD(F((type)((uintptr_t)live[kind] ^ ((uintptr_t)1 << bit))), ARGUMENT_HANDLE);      \
    } while (0)

#define BAD_TEXT_ARGUMENT(F)                                                   \
    do {                                                                       \
        BAD(F((const char *)NULL, 1), ARGUMENT_NULL);                          \
        BAD(F((const char *)NULL, SIZE_MAX), ARGUMENT_NULL);                   \
        BAD(F("x", SIZE_MAX), ARGUMENT_TOO_LARGE);                             \
        BAD(F("x", SIZE_MAX / 2 + 1), ARGUMENT_TOO_LARGE);                     \
        BAD(F("\xff", 1), ARGUMENT_UTF8);                                      \
        BAD(F("ab\x80" "cd", 5), ARGUMENT_UTF8);      /* lone continuation */  \
        BAD(F("ab\xc3", 3), ARGUMENT_UTF8);           /* cut in the middle */  \
        BAD(F("\xc0\xaf", 2), ARGUMENT_UTF8);         /* overlong */           \
        BAD(F("\xed\xa0\x80", 3), ARGUMENT_UTF8);     /* surrogate */          \
        BAD(F("\xf4\x90\x80\x80", 4), ARGUMENT_UTF8); /* beyond U+10FFFF */    \
    } while (0)

#define BAD_BYTES_ARGUMENT(F)                                                 \
    do {                                                                      \
        BAD(F((const uint8_t *)NULL, 1), ARGUMENT_NULL);                      \
        BAD(F((const uint8_t *)NULL, SIZE_MAX), ARGUMENT_NULL);               \
        BAD(F((const uint8_t *)"x", SIZE_MAX), ARGUMENT_TOO_LARGE);           \
        BAD(F((const uint8_t *)"x", SIZE_MAX / 2 + 1), ARGUMENT_TOO_LARGE);   \
    } while (0)

/* Names of plugins that are not there, or no names at all. */
#define BAD_PLUGIN_ARGUMENT(F)                                     \
    do {                                                           \
        BAD_TEXT_ARGUMENT(F);                                      \
        BAD(F("absent", 6), LIFECYCLE_PLUGIN_NOT_FOUND);           \
        BAD(F("guest-a\0", 8), LIFECYCLE_PLUGIN_NOT_FOUND);        \
        BAD(F("GUEST-A", 7), LIFECYCLE_PLUGIN_NOT_FOUND);          \
        BAD(F("../guest-a", 10), LIFECYCLE_PLUGIN_NOT_FOUND);      \
        BAD(F((const char *)NULL, 0), LIFECYCLE_PLUGIN_NOT_FOUND); \
        BAD(F("", 0), LIFECYCLE_PLUGIN_NOT_FOUND);                 \
    } while (0)

static int finalized;
static void finalizer(void *user_data) {
    CHECK(user_data == &finalized);
    add(&finalized, 1);
}
static int32_t host_callback(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    (void)user_data, (void)host_call, (void)reply;
    return GOATFLOW_PLUGIN_STATUS_OK;
}
static void event_callback(void *user_data, const char *event, size_t event_len) { (void)user_data, (void)event, (void)event_len; }
static void completion_callback(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error,
                                size_t error_len) {
    (void)user_data, (void)status, (void)result, (void)result_len, (void)error, (void)error_len;
}
#define FINALIZED &finalized, finalizer

static void make_handles(void) {
    CASE("handles of every kind are made and freed");
    for (int round = 0; round < 2; round++) {
        manager_t manager = manager_ready();
        error_t_ error = NULL;
        CHECK_STATUS(goatflow_plugin_manager_unload(manager, S("absent"), 0, &error), LIFECYCLE_PLUGIN_NOT_FOUND);
        CHECK_OK(goatflow_plugin_function_resolve(manager, S("guest-a"), S("echo"), &function, ERR));
        CHECK_OK(goatflow_plugin_cancellation_new(&cancellation, ERR));
        CHECK_OK(goatflow_plugin_queue_new(&queue, ERR));
        CHECK_OK(goatflow_plugin_manager_call_async(manager, S("guest-a"), S("echo"), B("{}"), NULL, NULL, NULL, NULL, &operation, ERR));
        subscription_t subscription = NULL;
        CHECK_OK(goatflow_plugin_subscription_new(manager, EMPTY, event_callback, NULL, NULL, &subscription, ERR));
        const void *handles[KINDS] = {manager, error, function, cancellation, operation, queue, subscription};
        memcpy(round == 0 ? freed : live, handles, sizeof handles);
        for (int i = 0; i < KINDS; i++) CHECK(handles[i] != NULL);
        m = manager;
        if (round == 1) break;
        goatflow_plugin_subscription_free(subscription);
        goatflow_plugin_operation_free(operation);
        goatflow_plugin_queue_free(queue);
        goatflow_plugin_cancellation_free(cancellation);
        goatflow_plugin_function_free(function);
        goatflow_plugin_error_free(error);
        goatflow_plugin_manager_free(manager);
    }
    for (int i = 0; i < KINDS; i++)
        for (int j = 0; j < KINDS; j++) {
            CHECK(live[i] != freed[j]);
            if (i != j) CHECK(live[i] != live[j]);
        }
}

static void version_functions(void) {
    CASE("version functions");
    CHECK_INT(goatflow_plugin_abi_version(), GOATFLOW_PLUGIN_ABI_VERSION);
    CHECK(strcmp(goatflow_plugin_version(), GOATFLOW_PLUGIN_VERSION) == 0);
    CHECK_OK(goatflow_plugin_abi_check(GOATFLOW_PLUGIN_ABI_VERSION, ERR));
    CHECK_OK(goatflow_plugin_abi_check(GOATFLOW_PLUGIN_ABI_VERSION, NULL));
    CHECK_STATUS(goatflow_plugin_abi_check(0, ERR), ARGUMENT_ABI);
    CHECK_STATUS(goatflow_plugin_abi_check(GOATFLOW_PLUGIN_ABI_VERSION + 1, ERR), ARGUMENT_ABI);
    CHECK_STATUS(goatflow_plugin_abi_check(UINT32_MAX, ERR), ARGUMENT_ABI);
    CHECK_STATUS(goatflow_plugin_abi_check(UINT32_MAX, NULL), ARGUMENT_ABI);

    CASE("status_slug knows every status and calls the rest unknown");
    CHECK(strcmp(goatflow_plugin_status_slug(GOATFLOW_PLUGIN_STATUS_OK), "ok") == 0);
    CHECK(strcmp(goatflow_plugin_status_slug(GOATFLOW_PLUGIN_STATUS_ARGUMENT_INVALID), "argument.invalid") == 0);
    CHECK(strcmp(goatflow_plugin_status_slug(GOATFLOW_PLUGIN_STATUS_POLICY_SQL_TABLE_DENIED), "policy.sql.table_denied") == 0);
    CHECK(strcmp(goatflow_plugin_status_slug(GOATFLOW_PLUGIN_STATUS_INTERNAL_PANIC), "internal.panic") == 0);
    static const int32_t unknown[] = {-1, 1, 2, 99, 399, 998, 1000, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        CHECK(strcmp(goatflow_plugin_status_slug(unknown[i]), "unknown") == 0);
    int known = 0;
    for (int32_t status = -2000; status < 2000; status++) known += strcmp(goatflow_plugin_status_slug(status), "unknown") != 0;
    CHECK_OK(goatflow_plugin_status_table(OUT, ERR));
    int rows = 0;
    for (size_t at = 0; at + 9 < out.len; at++) rows += memcmp(out.data + at, "\"status\":", 9) == 0;
    CHECK(rows == known || rows == known - 1); /* the table may leave out OK */
    CHECK_CONTAINS(out, "\"argument.invalid\"");

    CASE("documents about the library");
#define DOCUMENT(F)                \
    do {                           \
        BAD(F(NULL, ERR), ARGUMENT_NULL); \
        BAD(F(NULL, NULL), ARGUMENT_NULL); \
        CHECK_OK(F(OUT, NULL));    \
        goatflow_plugin_buffer_free(&out); \
        CHECK_OK(F(OUT, ERR));     \
        CHECK(out.len > 2 && (out.data[0] == '{' || out.data[0] == '[')); \
        goatflow_plugin_buffer_free(&out); \
    } while (0)
    DOCUMENT(goatflow_plugin_status_table);
    DOCUMENT(goatflow_plugin_doctor);
    DOCUMENT(goatflow_plugin_config_schema);
    DOCUMENT(goatflow_plugin_policy_schema);
    DOCUMENT(goatflow_plugin_trust_schema);
}

static void buffer_and_error(void) {
    CASE("buffer_free takes NULL, empty and freed buffers");
    goatflow_plugin_buffer_free(NULL);
    buffer empty = BUFFER_INIT;
    goatflow_plugin_buffer_free(&empty);
    CHECK_OK(goatflow_plugin_manager_list(m, OUT, ERR));
    CHECK(out.data != NULL && out.len > 0 && out.capacity >= out.len);
    for (int i = 0; i < 3; i++) {
        goatflow_plugin_buffer_free(&out);
        CHECK(out.data == NULL && out.len == 0 && out.capacity == 0);
    }

    CASE("error getters answer NULL, dead and foreign handles with their default");
    const void *dead[KINDS * 2 + 5];
    size_t count = 0;
    for (int i = 0; i < KINDS; i++) {
        if (i != ERROR) dead[count++] = live[i];
        dead[count++] = freed[i];
    }
    dead[count++] = NULL;
    dead[count++] = (const void *)1;
    dead[count++] = (const void *)UINTPTR_MAX;
    dead[count++] = (const void *)&out;
    for (size_t i = 0; i < count; i++) {
        error_t_ error = (error_t_)dead[i];
        CHECK_INT(goatflow_plugin_error_status(error), 0);
        CHECK_INT(goatflow_plugin_error_retryable(error), 0);
        CHECK(goatflow_plugin_error_code(error)[0] == 0);
        CHECK(goatflow_plugin_error_message(error)[0] == 0);
        CHECK(goatflow_plugin_error_plugin(error)[0] == 0);
        const char *detail = goatflow_plugin_error_detail(error);
        CHECK(detail[0] == 0 || strcmp(detail, "{}") == 0);
        goatflow_plugin_error_free(error);
    }
    error_t_ error = (error_t_)live[ERROR];
    CHECK_INT(goatflow_plugin_error_status(error), GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND);
    CHECK(strstr(goatflow_plugin_error_message(error), "absent") != NULL);
}

static void manager_functions(void) {
    CASE("manager_new");
#define F(text, len) goatflow_plugin_manager_new((text), (len), SLOT(manager_t), ERR)
    BAD_TEXT_ARGUMENT(F);
    BAD(F("{", 1), ARGUMENT_CONFIG);
    BAD(F("[]", 2), ARGUMENT_CONFIG);
    BAD(F("null", 4), ARGUMENT_CONFIG);
    BAD(F("1", 1), ARGUMENT_CONFIG);
    BAD(F("{} x", 4), ARGUMENT_CONFIG);
    BAD(F("{\"version\":1}\0", 14), ARGUMENT_CONFIG);
#undef F
#define F(text) goatflow_plugin_manager_new(S(text), SLOT(manager_t), ERR)
    static const char *const refused[] = {
        "{\"unknown\":1}",
        "{\"version\":2}",
        "{\"version\":0}",
        "{\"version\":\"1\"}",
        "{\"version\":1,\"version\":1}",
        "{\"version\":1,\"database\":7}",
        "{\"version\":1,\"database\":{\"postgres\":{\"path\":\"x\"}}}",
        "{\"version\":1,\"database\":{\"sqlite\":{}}}",
        "{\"version\":1,\"database\":{\"sqlite\":{\"path\":7}}}",
        "{\"version\":1,\"database\":{\"sqlite\":{\"path\":\":memory:\",\"other\":1}}}",
        "{\"version\":1,\"cache\":{\"max_bytes\":-1}}",
        "{\"version\":1,\"cache\":{\"max_bytes\":1.5}}",
        "{\"version\":1,\"config\":{\"values\":{\"app.name\":7}}}",
        "{\"version\":1,\"translations\":{\"en\":{\"k\":7}}}",
        "{\"version\":1,\"signals\":\"maybe\"}",
        "{\"version\":1,\"signals\":true}",
        "{\"version\":1,\"limits\":{\"nonsense\":1}}",
        "{\"version\":1,\"default_language\":7}",
        "{\"version\":1,\"policies\":[]}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        int32_t status = F(refused[i]);
        if (status != GOATFLOW_PLUGIN_STATUS_ARGUMENT_CONFIG) CHECK_FAIL("%s gave %s", refused[i], goatflow_plugin_status_slug(status));
        CHECK(slot == NULL);
    }
    static const char *const policies[] = {
        "{\"version\":1,\"policies\":{\"p\":{\"nonsense\":1}}}",
        "{\"version\":1,\"policies\":{\"p\":{\"version\":1,\"status\":\"Approved\"}}}",
        "{\"version\":1,\"policies\":{\"p\":{\"version\":1,\"status\":\"blocked\",\"status\":\"approved\"}}}",
        "{\"version\":1,\"policies\":{\"p\":{\"version\":1,\"status\":\"blocked\"},\"p\":{\"version\":1,\"status\":\"approved\"}}}",
    };
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        memset(&slot, 0, sizeof slot);
        int32_t status = F(policies[i]);
        if (status != GOATFLOW_PLUGIN_STATUS_ARGUMENT_CONFIG && status != GOATFLOW_PLUGIN_STATUS_POLICY_DOCUMENT_INVALID)
            CHECK_FAIL("%s gave %s", policies[i], goatflow_plugin_status_slug(status));
        CHECK(slot == NULL);
    }
#undef F
    BAD(goatflow_plugin_manager_new(EMPTY, NULL, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_manager_new(EMPTY, NULL, NULL), ARGUMENT_NULL);
    BAD(goatflow_plugin_manager_new(S("{"), SLOT(manager_t), NULL), ARGUMENT_CONFIG);
    static const char *const accepted[] = {"", "{}", " {\"version\" : 1}\n", "{\"version\":1,\"database\":{\"sqlite\":{\"path\":\":memory:\"}}}"};
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        manager_t other = NULL;
        CHECK_OK(goatflow_plugin_manager_new(S(accepted[i]), &other, ERR));
        CHECK(other != NULL);
        goatflow_plugin_manager_free(other);
    }
    enum { DEEP = 200000 };
    char *deep = (char *)malloc(2 * DEEP);
    memset(deep, '[', DEEP);
    memset(deep + DEEP, ']', DEEP);
    BAD(goatflow_plugin_manager_new(deep, 2 * DEEP, SLOT(manager_t), ERR), ARGUMENT_CONFIG);
    free(deep);

    CASE("manager_shutdown");
#define F(handle) goatflow_plugin_manager_shutdown((handle), 0, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F

    CASE("manager_load");
#define F(handle) goatflow_plugin_manager_load((handle), S("x"), EMPTY, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_load(m, (text), (len), EMPTY, OUT, ERR)
    BAD_TEXT_ARGUMENT(F);
    BAD(F(NULL, 0), PACKAGE_NOT_FOUND);
    BAD(F("", 0), PACKAGE_NOT_FOUND);
    BAD(F("/nonexistent", 12), PACKAGE_NOT_FOUND);
    BAD(F("/dev/null\0", 10), ENVIRONMENT_IO);
    BAD(F("/dev/null", 9), PACKAGE_MODULE_INVALID);
    BAD(F("/", 1), PACKAGE_MANIFEST_MISSING);
#undef F
#define F(text, len) goatflow_plugin_manager_load(m, S(guest("guest-b.wasm")), (text), (len), OUT, ERR)
    BAD_TEXT_ARGUMENT(F);
    BAD(F("{", 1), ARGUMENT_JSON);
    BAD(F("[]", 2), ARGUMENT_JSON);
    BAD(F("{\"unknown\":1}", 13), ARGUMENT_JSON);
#undef F
    CHECK_OK(goatflow_plugin_manager_load(m, S(guest("guest-b.wasm")), S("{}"), NULL, ERR)); /* the name is optional */
    CHECK_OK(goatflow_plugin_manager_unload(m, S("guest-b"), 1000, ERR));
    BAD(goatflow_plugin_manager_load(m, S(guest("guest-a.wasm")), EMPTY, OUT, ERR), LIFECYCLE_ALREADY_LOADED);

    CASE("functions on one plugin");
#define F(handle) goatflow_plugin_manager_unload((handle), S("guest-a"), 0, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_unload(m, (text), (len), 0, ERR)
    BAD_PLUGIN_ARGUMENT(F);
#undef F
#define F(handle) goatflow_plugin_manager_registration((handle), S("guest-a"), OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_registration(m, (text), (len), OUT, ERR)
    BAD_PLUGIN_ARGUMENT(F);
#undef F
    BAD(goatflow_plugin_manager_registration(m, S("guest-a"), NULL, ERR), ARGUMENT_NULL);
#define F(handle) goatflow_plugin_manager_enable((handle), S("guest-a"), ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_enable(m, (text), (len), ERR)
    BAD_PLUGIN_ARGUMENT(F);
#undef F
#define F(handle) goatflow_plugin_manager_disable((handle), S("guest-a"), 0, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_disable(m, (text), (len), 0, ERR)
    BAD_PLUGIN_ARGUMENT(F);
#undef F

    CASE("manager_list, manager_stats, manager_logs, manager_clear_logs");
#define F(handle) goatflow_plugin_manager_list((handle), OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
    BAD(goatflow_plugin_manager_list(m, NULL, ERR), ARGUMENT_NULL);
#define F(handle) goatflow_plugin_manager_stats((handle), EMPTY, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_stats(m, (text), (len), OUT, ERR)
    BAD_TEXT_ARGUMENT(F);
    BAD(F("absent", 6), LIFECYCLE_PLUGIN_NOT_FOUND);
#undef F
    BAD(goatflow_plugin_manager_stats(m, EMPTY, NULL, ERR), ARGUMENT_NULL);
    CHECK_OK(goatflow_plugin_manager_stats(m, EMPTY, OUT, ERR));
    CHECK_CONTAINS(out, "guest-a");
#define F(handle) goatflow_plugin_manager_logs((handle), EMPTY, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_logs(m, (text), (len), OUT, ERR)
    BAD_TEXT_ARGUMENT(F);
    BAD(F("{", 1), ARGUMENT_JSON);
    BAD(F("[]", 2), ARGUMENT_JSON);
#define LOGS(filter) goatflow_plugin_manager_logs(m, S(filter), OUT, ERR)
    BAD(LOGS("{\"unknown\":1}"), ARGUMENT_JSON);
    BAD(LOGS("{\"level\":\"loud\"}"), ARGUMENT_ENUM);
    BAD(LOGS("{\"level\":3}"), ARGUMENT_JSON);
    BAD(LOGS("{\"limit\":-1}"), ARGUMENT_JSON);
    BAD(LOGS("{\"limit\":\"x\"}"), ARGUMENT_JSON);
#undef F
    BAD(goatflow_plugin_manager_logs(m, EMPTY, NULL, ERR), ARGUMENT_NULL);
#define F(handle) goatflow_plugin_manager_clear_logs((handle), ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
}

static void call_functions(void) {
    goatflow_plugin_call_options options = options_init();
#define PLUGIN S("guest-a")
#define ECHO S("echo")
#define ARGS B("{}")

    CASE("manager_call");
#define F(handle) goatflow_plugin_manager_call((handle), PLUGIN, ECHO, ARGS, NULL, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_call(m, (text), (len), ECHO, ARGS, NULL, OUT, ERR)
    BAD_PLUGIN_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_manager_call(m, PLUGIN, (text), (len), ARGS, NULL, OUT, ERR)
    BAD_TEXT_ARGUMENT(F);
    BAD(F(NULL, 0), ARGUMENT_INVALID);
    BAD(F("", 0), ARGUMENT_INVALID);
#undef F
#define F(bytes, len) goatflow_plugin_manager_call(m, PLUGIN, ECHO, (bytes), (len), NULL, OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
#undef F
    BAD(goatflow_plugin_manager_call(m, PLUGIN, ECHO, ARGS, NULL, NULL, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_manager_call(m, PLUGIN, ECHO, ARGS, NULL, NULL, NULL), ARGUMENT_NULL);
    CHECK_OK(goatflow_plugin_manager_call(m, PLUGIN, S("args_len"), EMPTY, NULL, OUT, NULL));
    CHECK_TEXT(out, "0");

    CASE("manager_call_into");
#define F(handle) goatflow_plugin_manager_call_into((handle), PLUGIN, ECHO, ARGS, NULL, destination, sizeof destination, LEN, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_manager_call_into(m, (text), (len), ECHO, ARGS, NULL, destination, sizeof destination, LEN, OUT, ERR)
    BAD_PLUGIN_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_manager_call_into(m, PLUGIN, (text), (len), ARGS, NULL, destination, sizeof destination, LEN, NULL, ERR)
    BAD_TEXT_ARGUMENT(F);
    BAD(F("", 0), ARGUMENT_INVALID);
#undef F
#define F(bytes, len) goatflow_plugin_manager_call_into(m, PLUGIN, ECHO, (bytes), (len), NULL, destination, sizeof destination, LEN, OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
#undef F
    BAD(goatflow_plugin_manager_call_into(m, PLUGIN, ECHO, ARGS, NULL, NULL, 1, LEN, OUT, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_manager_call_into(m, PLUGIN, ECHO, ARGS, NULL, NULL, SIZE_MAX, LEN, OUT, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_manager_call_into(m, PLUGIN, ECHO, ARGS, NULL, destination, SIZE_MAX, LEN, OUT, ERR), ARGUMENT_TOO_LARGE);
    BAD(goatflow_plugin_manager_call_into(m, PLUGIN, ECHO, ARGS, NULL, destination, sizeof destination, NULL, OUT, ERR), ARGUMENT_NULL);

    CASE("manager_call_async");
#define COMPLETION completion_callback, FINALIZED
    set(&finalized, 0);
    int expected = 0;
#define F(handle) (expected++, goatflow_plugin_manager_call_async((handle), PLUGIN, ECHO, ARGS, NULL, COMPLETION, SLOT(operation_t), ERR))
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) (expected++, goatflow_plugin_manager_call_async(m, (text), (len), ECHO, ARGS, NULL, COMPLETION, SLOT(operation_t), ERR))
    BAD_TEXT_ARGUMENT(F);
#undef F
#define F(text, len) (expected++, goatflow_plugin_manager_call_async(m, PLUGIN, (text), (len), ARGS, NULL, COMPLETION, SLOT(operation_t), ERR))
    BAD_TEXT_ARGUMENT(F);
#undef F
#define F(bytes, len) (expected++, goatflow_plugin_manager_call_async(m, PLUGIN, ECHO, (bytes), (len), NULL, COMPLETION, SLOT(operation_t), ERR))
    BAD_BYTES_ARGUMENT(F);
#undef F
    expected++;
    BAD(goatflow_plugin_manager_call_async(m, PLUGIN, ECHO, ARGS, NULL, NULL, FINALIZED, NULL, ERR), ARGUMENT_NULL);
    CHECK_INT(get(&finalized), expected); /* a refused registration finalizes, and at once */

    CASE("manager_call_enqueue");
#define F(handle) goatflow_plugin_manager_call_enqueue((handle), PLUGIN, ECHO, ARGS, NULL, queue, 1, SLOT(operation_t), ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(handle) goatflow_plugin_manager_call_enqueue(m, PLUGIN, ECHO, ARGS, NULL, (handle), 1, SLOT(operation_t), ERR)
    BAD_HANDLE_ARGUMENT(F, queue_t, QUEUE);
#undef F
#define F(text, len) goatflow_plugin_manager_call_enqueue(m, (text), (len), ECHO, ARGS, NULL, queue, 1, SLOT(operation_t), ERR)
    BAD_TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_manager_call_enqueue(m, PLUGIN, (text), (len), ARGS, NULL, queue, 1, SLOT(operation_t), ERR)
    BAD_TEXT_ARGUMENT(F);
#undef F
#define F(bytes, len) goatflow_plugin_manager_call_enqueue(m, PLUGIN, ECHO, (bytes), (len), NULL, queue, 1, SLOT(operation_t), ERR)
    BAD_BYTES_ARGUMENT(F);
#undef F

    CASE("operation functions");
#define F(handle) goatflow_plugin_operation_wait((handle), 0, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, operation_t, OPERATION);
#undef F
    BAD(goatflow_plugin_operation_wait(operation, 0, NULL, ERR), ARGUMENT_NULL);
#define F(handle) goatflow_plugin_operation_cancel((handle), ERR)
    BAD_HANDLE_ARGUMENT(F, operation_t, OPERATION);
#undef F

    CASE("queue functions");
    BAD(goatflow_plugin_queue_new(NULL, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_queue_new(NULL, NULL), ARGUMENT_NULL);
    int32_t fd = 0;
#define F(handle) goatflow_plugin_queue_fd((handle), &fd, ERR)
    BAD_HANDLE_ARGUMENT(F, queue_t, QUEUE);
#undef F
    BAD(goatflow_plugin_queue_fd(queue, NULL, ERR), ARGUMENT_NULL);
    goatflow_plugin_completion completions[2];
#define F(handle) goatflow_plugin_queue_next((handle), completions, 2, 0, LEN, ERR)
    BAD_HANDLE_ARGUMENT(F, queue_t, QUEUE);
#undef F
    BAD(goatflow_plugin_queue_next(queue, NULL, 1, 0, LEN, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_queue_next(queue, completions, 2, 0, NULL, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_queue_next(queue, completions, SIZE_MAX, 0, LEN, ERR), ARGUMENT_TOO_LARGE);
    CHECK_OK(goatflow_plugin_queue_next(queue, NULL, 0, 0, LEN, ERR));
    CHECK_INT(out_len, 0);

    CASE("cancellation functions");
    BAD(goatflow_plugin_cancellation_new(NULL, ERR), ARGUMENT_NULL);
#define F(handle) goatflow_plugin_cancellation_cancel((handle), ERR)
    BAD_HANDLE_ARGUMENT(F, cancellation_t, CANCELLATION);
#undef F

    CASE("function handles");
#define F(handle) goatflow_plugin_function_resolve((handle), PLUGIN, ECHO, SLOT(function_t), ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_function_resolve(m, (text), (len), ECHO, SLOT(function_t), ERR)
    BAD_PLUGIN_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_function_resolve(m, PLUGIN, (text), (len), SLOT(function_t), ERR)
    BAD_TEXT_ARGUMENT(F);
    BAD(F("", 0), ARGUMENT_INVALID);
#undef F
    BAD(goatflow_plugin_function_resolve(m, PLUGIN, ECHO, NULL, ERR), ARGUMENT_NULL);
#define F(handle) goatflow_plugin_function_call((handle), ARGS, NULL, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, function_t, FUNCTION);
#undef F
#define F(bytes, len) goatflow_plugin_function_call(function, (bytes), (len), NULL, OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
#undef F
    BAD(goatflow_plugin_function_call(function, ARGS, NULL, NULL, ERR), ARGUMENT_NULL);
#define F(handle) goatflow_plugin_function_call_into((handle), ARGS, NULL, destination, sizeof destination, LEN, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, function_t, FUNCTION);
#undef F
#define F(bytes, len) goatflow_plugin_function_call_into(function, (bytes), (len), NULL, destination, sizeof destination, LEN, OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
#undef F
    BAD(goatflow_plugin_function_call_into(function, ARGS, NULL, NULL, 1, LEN, OUT, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_function_call_into(function, ARGS, NULL, destination, sizeof destination, NULL, OUT, ERR), ARGUMENT_NULL);

    CASE("call options: every field wrong");
#define WITH(options) goatflow_plugin_manager_call(m, PLUGIN, ECHO, ARGS, (options), OUT, ERR)
    options.flags = GOATFLOW_PLUGIN_CALL_NO_WAITING; /* without effect on a module */
    CHECK_OK(WITH(&options));
    CHECK_TEXT(out, "{}");
    options.flags = 2;
    BAD(WITH(&options), ARGUMENT_UNSUPPORTED_OPTION);
    options.flags = UINT32_MAX;
    BAD(WITH(&options), ARGUMENT_UNSUPPORTED_OPTION);
    options.flags = 0;
#define F(handle) (options.cancellation = (handle), WITH(&options))
    for (int i = 0; i < KINDS; i++) {
        if (i != CANCELLATION) BAD(F((cancellation_t)live[i]), ARGUMENT_HANDLE);
        BAD(F((cancellation_t)freed[i]), ARGUMENT_HANDLE);
    }
    BAD(F((cancellation_t)1), ARGUMENT_HANDLE);
    BAD(F((cancellation_t)UINTPTR_MAX), ARGUMENT_HANDLE);
#undef F
    options.cancellation = NULL;
#define F(text, len) (options.request_id = (text), options.request_id_len = (len), WITH(&options))
    BAD_TEXT_ARGUMENT(F);
    static char long_id[129];
    memset(long_id, 'r', sizeof long_id);
    BAD(F(long_id, 129), ARGUMENT_TOO_LARGE);
    CHECK_OK(F(long_id, 128));
    CHECK_TEXT(out, "{}");
#undef F
    options = options_init();
#define F(text, len) (options.language = (text), options.language_len = (len), WITH(&options))
    BAD_TEXT_ARGUMENT(F);
    CHECK_OK(F("de", 2));
    CHECK_TEXT(out, "{}");
#undef F
    options = options_init();
    options.timeout_ms = UINT64_MAX; /* never longer than the policy's */
    CHECK_OK(WITH(&options));
    CHECK_TEXT(out, "{}");

    CASE("call options: struct_size");
    /* A caller compiled against a later header: its struct is longer. */
    struct later {
        goatflow_plugin_call_options known;
        uint8_t more[4096];
    };
    static struct later later;
    options = options_init();
    static const uint32_t too_small[] = {0, 1, 2, 3};
    for (size_t i = 0; i < sizeof too_small / sizeof too_small[0]; i++) {
        options.struct_size = too_small[i];
        BAD(WITH(&options), ARGUMENT_STRUCT_SIZE);
    }
    options.struct_size = UINT32_MAX;
    BAD(WITH(&options), ARGUMENT_STRUCT_SIZE);
    later.known = options_init();
    for (uint32_t more = 1; more <= 64; more++) { /* zero tail: nothing the library would have to know */
        later.known.struct_size = (uint32_t)sizeof options + more;
        CHECK_OK(WITH(&later.known));
        CHECK_TEXT(out, "{}");
    }
    for (uint32_t at = 0; at < 64; at++) {
        later.known.struct_size = (uint32_t)sizeof options + 64;
        later.more[at] = 1;
        BAD(WITH(&later.known), ARGUMENT_UNSUPPORTED_OPTION);
        later.more[at] = 0;
    }
    later.more[64] = 1; /* behind the end: not looked at */
    CHECK_OK(WITH(&later.known));
    CHECK_TEXT(out, "{}");
    later.more[64] = 0;
    /* A caller compiled against an earlier header, were there one: every prefix is taken or refused, never read beyond. */
    for (uint32_t size = 4; size < sizeof options; size++) {
        uint8_t *exact = (uint8_t *)malloc(size);
        memset(exact, 0, size);
        memcpy(exact, &size, 4);
        int32_t status = WITH((const goatflow_plugin_call_options *)(const void *)exact);
        CHECK(status == GOATFLOW_PLUGIN_STATUS_OK || status == GOATFLOW_PLUGIN_STATUS_ARGUMENT_STRUCT_SIZE);
        goatflow_plugin_buffer_free(&out);
        free(exact);
    }

    CASE("arguments that are refused by size are refused before they are read");
    size_t huge = (size_t)256 << 20;
    uint8_t *large = (uint8_t *)calloc(1, huge);
    BAD(goatflow_plugin_manager_call(m, PLUGIN, ECHO, large, huge, NULL, OUT, ERR), ARGUMENT_TOO_LARGE);
    free(large);
}

static void policy_functions(void) {
    CASE("policy_get");
#define F(handle) goatflow_plugin_policy_get((handle), PLUGIN, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_policy_get(m, (text), (len), OUT, ERR)
    BAD_TEXT_ARGUMENT(F);
#undef F
    BAD(goatflow_plugin_policy_get(m, PLUGIN, NULL, ERR), ARGUMENT_NULL);

    CASE("policy_set");
    buffer before = BUFFER_INIT;
    CHECK_OK(goatflow_plugin_policy_get(m, PLUGIN, &before, ERR));
    uint64_t revision = 7;
#define F(handle) goatflow_plugin_policy_set((handle), PLUGIN, S(EVERYTHING "}"), ANY_REVISION, &revision, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_policy_set(m, (text), (len), S(EVERYTHING "}"), ANY_REVISION, &revision, ERR)
    BAD_TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_policy_set(m, PLUGIN, (const char *)(text), (len), ANY_REVISION, &revision, ERR)
    BAD_BYTES_ARGUMENT(F);
    BAD(F("\xff", 1), POLICY_DOCUMENT_INVALID);
    BAD(F("{\"version\":1,\"status\":\"approved\xc3\"}", 33), POLICY_DOCUMENT_INVALID);
    static const char *const refused[] = {
        "{",
        "[]",
        "null",
        "{\"version\":1,\"status\":\"Approved\"}",
        "{\"version\":1,\"status\":\"approved\",\"unknown\":1}",
        "{\"version\":1,\"status\":\"approved\",\"status\":\"approved\"}",
        "{\"version\":99,\"status\":\"approved\"}",
        "{\"version\":1,\"status\":\"approved\",\"permissions\":{}}",
        "{\"version\":1,\"status\":\"approved\",\"permissions\":[{\"type\":7}]}",
        "{\"version\":1,\"status\":\"approved\",\"permissions\":[{\"type\":\"db\",\"access\":\"sideways\",\"scope\":[\"x\"]}]}",
        "{\"version\":1,\"status\":\"approved\",\"call_timeout\":\"soon\"}",
        "{\"version\":1,\"status\":\"approved\"} x",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        int32_t status = F(refused[i], strlen(refused[i]));
        if (status != GOATFLOW_PLUGIN_STATUS_POLICY_DOCUMENT_INVALID && status != GOATFLOW_PLUGIN_STATUS_ARGUMENT_JSON)
            CHECK_FAIL("%s gave %s", refused[i], goatflow_plugin_status_slug(status));
    }
#undef F
    CHECK_INT(revision, 0);
    BAD(goatflow_plugin_policy_set(m, PLUGIN, S(EVERYTHING "}"), 123456789, NULL, ERR), POLICY_REVISION_CONFLICT);
    CHECK_OK(goatflow_plugin_policy_get(m, PLUGIN, OUT, ERR));
    CHECK(out.len == before.len && memcmp(out.data, before.data, out.len) == 0);
    goatflow_plugin_buffer_free(&out);
    goatflow_plugin_buffer_free(&before);

    CASE("policy_validate");
#define F(text, len) goatflow_plugin_policy_validate((const char *)(text), (len), OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
    CHECK_OK(F("\xff", 1));
    CHECK_CONTAINS(out, "\"valid\":false");
#undef F
    BAD(goatflow_plugin_policy_validate(S("{}"), NULL, ERR), ARGUMENT_NULL);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CHECK_OK(goatflow_plugin_policy_validate(S(refused[i]), OUT, ERR));
        CHECK_CONTAINS(out, "\"valid\":false");
    }
    CHECK_OK(goatflow_plugin_policy_validate(S(EVERYTHING "}"), OUT, ERR));
    CHECK_CONTAINS(out, "\"valid\":true");
}

static void policy_learning_functions(void) {
    uint64_t revision = 7;
    CASE("policy_suggest");
#define F(handle) goatflow_plugin_policy_suggest((handle), PLUGIN, EMPTY, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_policy_suggest(m, (text), (len), EMPTY, OUT, ERR)
    BAD_TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_policy_suggest(m, PLUGIN, (const char *)(text), (len), OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
    BAD(F("{", 1), ARGUMENT_JSON);
    BAD(F("{\"all\":true}", 12), ARGUMENT_JSON);
#undef F
    BAD(goatflow_plugin_policy_suggest(m, PLUGIN, EMPTY, NULL, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_policy_suggest(m, S("nobody"), EMPTY, OUT, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);

    CASE("policy_apply");
#define F(handle) goatflow_plugin_policy_apply((handle), PLUGIN, S("{}"), &revision, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_policy_apply(m, (text), (len), S("{}"), &revision, ERR)
    BAD_TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_policy_apply(m, PLUGIN, (const char *)(text), (len), &revision, ERR)
    BAD_BYTES_ARGUMENT(F);
    BAD(F("", 0), ARGUMENT_JSON);
    BAD(F("[]", 2), ARGUMENT_JSON);
    BAD(F("{}", 2), ARGUMENT_JSON);
#undef F
    CHECK_INT(revision, 0);

    CASE("policy_observe");
#define F(handle) goatflow_plugin_policy_observe((handle), PLUGIN, 60, &revision, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_policy_observe(m, (text), (len), 60, &revision, ERR)
    BAD_TEXT_ARGUMENT(F);
#undef F
    BAD(goatflow_plugin_policy_observe(m, PLUGIN, UINT64_MAX, &revision, ERR), ARGUMENT_INVALID);
    BAD(goatflow_plugin_policy_observe(m, S("../x"), 60, &revision, ERR), PACKAGE_NAME_INVALID);
    CHECK_INT(revision, 0);

    CASE("policy_check");
    static const char asked[] = "{\"function\":\"cache_get\",\"arguments\":{\"key\":\"k\"}}";
#define F(handle) goatflow_plugin_policy_check((handle), PLUGIN, S(asked), OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) goatflow_plugin_policy_check(m, (text), (len), S(asked), OUT, ERR)
    BAD_TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_policy_check(m, PLUGIN, (const char *)(text), (len), OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
    BAD(F("[]", 2), ARGUMENT_JSON);
#undef F
    BAD(goatflow_plugin_policy_check(m, PLUGIN, S(asked), NULL, ERR), ARGUMENT_NULL);
    CHECK_OK(goatflow_plugin_policy_check(m, PLUGIN, S(asked), OUT, ERR));
    CHECK_CONTAINS(out, "\"allow\":true");

    CASE("policy_check_document");
#define F(text, len) goatflow_plugin_policy_check_document((const char *)(text), (len), S(asked), OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
    BAD(F("{", 1), POLICY_DOCUMENT_INVALID);
    CHECK_OK(F(NULL, 0));
    CHECK_CONTAINS(out, "\"allow\":true");
#undef F
#define F(text, len) goatflow_plugin_policy_check_document(EMPTY, (const char *)(text), (len), OUT, ERR)
    BAD_BYTES_ARGUMENT(F);
    BAD(F("", 0), ARGUMENT_JSON);
#undef F
    BAD(goatflow_plugin_policy_check_document(EMPTY, S(asked), NULL, ERR), ARGUMENT_NULL);

    CASE("policy_history");
#define F(handle) goatflow_plugin_policy_history((handle), PLUGIN, 10, OUT, ERR)
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
    BAD(goatflow_plugin_policy_history(m, PLUGIN, 10, NULL, ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_policy_history(m, "\xff", 1, 10, OUT, ERR), ARGUMENT_UTF8);
    CHECK_OK(goatflow_plugin_policy_history(m, EMPTY, SIZE_MAX, OUT, ERR));
    CHECK_CONTAINS(out, "\"hash\"");
}

static void callback_functions(void) {
    CASE("manager_provide");
    set(&finalized, 0);
    int expected = 0;
#define F(handle) (expected++, goatflow_plugin_manager_provide((handle), S("db"), host_callback, FINALIZED, ERR))
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) (expected++, goatflow_plugin_manager_provide(m, (text), (len), host_callback, FINALIZED, ERR))
    BAD_TEXT_ARGUMENT(F);
    BAD(F("", 0), ARGUMENT_INVALID);
    BAD(F("DB", 2), ARGUMENT_INVALID);
    BAD(F("db ", 3), ARGUMENT_INVALID);
    BAD(F("custom", 6), ARGUMENT_INVALID);
    BAD(F("plugin_call", 11), ARGUMENT_INVALID);
    BAD(F("nonsense", 8), ARGUMENT_INVALID);
#undef F
    CHECK_INT(get(&finalized), expected);

    CASE("manager_declare");
#define F(handle) (expected++, goatflow_plugin_manager_declare((handle), S("{\"name\":\"org_id\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}"), host_callback, FINALIZED, ERR))
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) (expected++, goatflow_plugin_manager_declare(m, (text), (len), host_callback, FINALIZED, ERR))
    BAD_TEXT_ARGUMENT(F);
    BAD(F("{", 1), ARGUMENT_JSON);
    static const char *const refused[] = {
        "",
        "[]",
        "null",
        "{}",
        "{\"name\":\"x\"}",
        "{\"name\":\"\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}",
        "{\"name\":\"x\",\"permission\":\"\",\"access\":\"read\",\"target\":null}",
        "{\"name\":\"x\",\"permission\":\"org\",\"access\":\"sideways\",\"target\":null}",
        "{\"name\":\"x\",\"permission\":\"org\",\"access\":7,\"target\":null}",
        "{\"name\":\"x\",\"permission\":\"org\",\"access\":\"read\",\"target\":\"no slash\"}",
        "{\"name\":\"x\",\"permission\":\"org\",\"access\":\"read\",\"target\":7}",
        "{\"name\":\"x\",\"permission\":\"org\",\"access\":\"read\",\"target\":null,\"unknown\":1}",
        "{\"name\":\"db_query\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}", /* would replace a gated function */
        "{\"name\":\"plugin_call\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}",
        "{\"name\":\"log\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        int32_t status = F(refused[i], strlen(refused[i]));
        if (status < 100 || status > 199) CHECK_FAIL("%s gave %s", refused[i], goatflow_plugin_status_slug(status));
    }
#undef F
    expected++;
    BAD(goatflow_plugin_manager_declare(m, S("{\"name\":\"x\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}"), NULL, FINALIZED, ERR),
        ARGUMENT_NULL);
    CHECK_INT(get(&finalized), expected);

    CASE("subscription_new");
#define F(handle) (expected++, goatflow_plugin_subscription_new((handle), EMPTY, event_callback, FINALIZED, SLOT(subscription_t), ERR))
    BAD_HANDLE_ARGUMENT(F, manager_t, MANAGER);
#undef F
#define F(text, len) (expected++, goatflow_plugin_subscription_new(m, (text), (len), event_callback, FINALIZED, SLOT(subscription_t), ERR))
    BAD_TEXT_ARGUMENT(F);
    BAD(F("{", 1), ARGUMENT_JSON);
    static const char *const filters[] = {"[]", "null", "{\"unknown\":1}", "{\"kinds\":\"log\"}", "{\"kinds\":[7]}", "{\"kinds\":[\"nonsense\"]}", "{\"plugin\":7}"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        int32_t status = F(filters[i], strlen(filters[i]));
        if (status != GOATFLOW_PLUGIN_STATUS_ARGUMENT_INVALID && status != GOATFLOW_PLUGIN_STATUS_ARGUMENT_JSON)
            CHECK_FAIL("%s gave %s", filters[i], goatflow_plugin_status_slug(status));
        CHECK(slot == NULL);
    }
#undef F
    expected += 2;
    BAD(goatflow_plugin_subscription_new(m, EMPTY, NULL, FINALIZED, SLOT(subscription_t), ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_subscription_new(m, EMPTY, event_callback, FINALIZED, NULL, ERR), ARGUMENT_NULL);
    CHECK_INT(get(&finalized), expected);

    CASE("reply functions outside a callback");
    for (int i = 0; i < KINDS; i++) {
        BAD(goatflow_plugin_reply_set_result((reply_t)live[i], B("null"), ERR), ARGUMENT_HANDLE);
        BAD(goatflow_plugin_reply_set_error((reply_t)live[i], S("no"), ERR), ARGUMENT_HANDLE);
        BAD(goatflow_plugin_reply_set_result((reply_t)freed[i], B("null"), ERR), ARGUMENT_HANDLE);
        BAD(goatflow_plugin_reply_set_error((reply_t)freed[i], S("no"), ERR), ARGUMENT_HANDLE);
    }
    BAD(goatflow_plugin_reply_set_result(NULL, B("null"), ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_reply_set_error(NULL, S("no"), ERR), ARGUMENT_NULL);
    BAD(goatflow_plugin_reply_set_result((reply_t)3, B("null"), NULL), ARGUMENT_HANDLE);
}

static void free_functions(void) {
    CASE("_free takes NULL, freed, foreign and wild handles and touches nothing");
    static const uintptr_t wild[] = {0, 1, 2, 8, 255, 0xdeadbeef, (uintptr_t)-1, (uintptr_t)1 << 63};
    enum { WILD = sizeof wild / sizeof wild[0] };
    for (int victim = 0; victim < KINDS; victim++) {
        for (int i = 0; i < 2 * KINDS + WILD; i++) {
            const void *handle = i < KINDS ? live[i] : i < 2 * KINDS ? freed[i - KINDS] : (const void *)wild[i - 2 * KINDS];
            if (i == victim) continue;
            if (victim == MANAGER) goatflow_plugin_manager_free((manager_t)handle);
            if (victim == ERROR) goatflow_plugin_error_free((error_t_)handle);
            if (victim == FUNCTION) goatflow_plugin_function_free((function_t)handle);
            if (victim == CANCELLATION) goatflow_plugin_cancellation_free((cancellation_t)handle);
            if (victim == OPERATION) goatflow_plugin_operation_free((operation_t)handle);
            if (victim == QUEUE) goatflow_plugin_queue_free((queue_t)handle);
            if (victim == SUBSCRIPTION) goatflow_plugin_subscription_free((subscription_t)handle);
        }
    }
    CHECK_CALL(m, "guest-a", "echo", "{\"still\":1}", "{\"still\":1}");
    CHECK_OK(goatflow_plugin_function_call(function, B("{}"), NULL, OUT, ERR));
    CHECK_TEXT(out, "{}");
    int32_t fd = -1;
    CHECK_OK(goatflow_plugin_queue_fd(queue, &fd, ERR));
    CHECK(fd >= 0);
    CHECK_INT(goatflow_plugin_error_status((error_t_)live[ERROR]), GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND);
    CHECK_OK(goatflow_plugin_operation_wait(operation, UINT64_MAX, OUT, ERR));
    CHECK_TEXT(out, "{}");

    CASE("handles may be freed in any order, twice");
    for (int twice = 0; twice < 2; twice++) {
        goatflow_plugin_manager_free(m);
        goatflow_plugin_subscription_free((subscription_t)live[SUBSCRIPTION]);
        goatflow_plugin_function_free(function);
        goatflow_plugin_error_free((error_t_)live[ERROR]);
        goatflow_plugin_cancellation_free(cancellation);
        goatflow_plugin_operation_free(operation);
        goatflow_plugin_queue_free(queue);
    }
    CHECK_STATUS(goatflow_plugin_manager_list(m, OUT, ERR), ARGUMENT_HANDLE);
    CHECK_STATUS(goatflow_plugin_function_call(function, B("{}"), NULL, OUT, ERR), ARGUMENT_HANDLE);

    CASE("a freed handle stays dead when its slot is used again");
    for (int round = 0; round < 20000; round++) {
        cancellation_t fresh = NULL;
        CHECK_OK(goatflow_plugin_cancellation_new(&fresh, ERR));
        CHECK(fresh != cancellation);
        if (round % 1000 == 0) CHECK_STATUS(goatflow_plugin_cancellation_cancel(cancellation, ERR), ARGUMENT_HANDLE);
        goatflow_plugin_cancellation_free(fresh);
    }
}

int main(void) {
    make_handles();
    version_functions();
    buffer_and_error();
    manager_functions();
    call_functions();
    policy_functions();
    policy_learning_functions();
    callback_functions();
    free_functions();
    check_error_clear();
    return check_done();
}
