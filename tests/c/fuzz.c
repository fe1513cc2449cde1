/* Random functions with random arguments: live, freed, foreign and wild handles, good and bad texts, from several threads.
 * Nothing may crash or hang, every status must exist, every failure must come with its error.
 *
 *   fuzz [SECONDS] [SEED] [THREADS]      default 10, the time, 4 */
#include "fixture.h"

#include <pthread.h>

enum { HANDLES = 64 };
static const void *handles[HANDLES];
static int stop, finalizers_due, finalizers_run;

static unsigned roll(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)(*state >> 11);
}

typedef struct text {
    const char *data;
    size_t len;
} text;

static text random_text(uint64_t *state) {
    static const char *const words[] = {
        "guest-a", "guest-b", "guest-a", "echo", "count", "trap", "h_org_id", "h_db_query", "nothing", "", "absent", "db", "cache",
        "log", "config", "{}", "[]", "null", "{", "{\"version\":1}", EVERYTHING "}", "{\"query\":\"SELECT 1 FROM ticket\"}",
        "{\"kinds\":[\"log\"]}", "{\"plugin\":\"guest-a\"}", "\xff\xfe", "a\xc3", "{\"name\":\"org_id\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}",
        "{\"version\":1,\"status\":\"blocked\"}", "{\"level\":\"info\",\"limit\":3}", "/nonexistent", "/dev/null",
    };
    text chosen;
    switch (roll(state) % 16) {
    case 0: chosen.data = NULL; chosen.len = 0; return chosen;
    case 1: chosen.data = NULL; chosen.len = roll(state) % 2 ? 1 : SIZE_MAX; return chosen;
    case 2: chosen.data = "x"; chosen.len = SIZE_MAX - roll(state) % 2; return chosen;
    case 3: chosen.data = guest(roll(state) % 2 ? "guest-a.wasm" : "guest-b.wasm"); break;
    default: chosen.data = words[roll(state) % (sizeof words / sizeof words[0])]; break;
    }
    chosen.len = strlen(chosen.data);
    return chosen;
}

static const void *handle_at(unsigned index);
static const void *random_handle(uint64_t *state) {
    switch (roll(state) % 16) {
    case 0: return NULL;
    case 1: return (const void *)(uintptr_t)(roll(state) % 64);
    case 2: return (const void *)(((uintptr_t)roll(state) << 32) ^ roll(state));
    case 3: return (const void *)((uintptr_t)handle_at(roll(state)) ^ ((uintptr_t)1 << roll(state) % 64));
    default: return handle_at(roll(state));
    }
}
static const void *handle_at(unsigned index) { return __atomic_load_n(&handles[index % HANDLES], __ATOMIC_SEQ_CST); }

/* Puts a handle where others find it; what was there goes, as whatever it may be. */
static void keep(unsigned index, const void *handle) {
    if (handle == NULL) return;
    const void *before = __atomic_exchange_n(&handles[index % HANDLES], handle, __ATOMIC_SEQ_CST);
    goatflow_plugin_subscription_free((const goatflow_plugin_subscription *)before);
    goatflow_plugin_function_free((const goatflow_plugin_function *)before);
    goatflow_plugin_operation_free((const goatflow_plugin_operation *)before);
    goatflow_plugin_queue_free((const goatflow_plugin_queue *)before);
    goatflow_plugin_cancellation_free((const goatflow_plugin_cancellation *)before);
    goatflow_plugin_error_free((const goatflow_plugin_error *)before);
    goatflow_plugin_manager_free((const goatflow_plugin_manager *)before);
}

static int32_t on_call(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    (void)user_data, (void)host_call;
    return goatflow_plugin_reply_set_result(reply, B("[1]"), NULL);
}
static void on_event(void *user_data, const char *event, size_t event_len) { (void)user_data, (void)event, (void)event_len; }
static void on_complete(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error, size_t error_len) {
    (void)user_data, (void)status, (void)result, (void)result_len, (void)error, (void)error_len;
}
static void on_finalize(void *user_data) { add((int *)user_data, 1); }

static void one(uint64_t *state) {
    buffer out = BUFFER_INIT;
    uint8_t room[32];
    size_t len = 0;
    int32_t fd = -1;
    uint64_t revision = 0;
    const void *made = NULL;
    const void *h = random_handle(state), *h2 = random_handle(state);
    text a = random_text(state), b = random_text(state), c = random_text(state);
    uint64_t ms = roll(state) % 3;
    goatflow_plugin_completion completions[4];
    struct { /* a struct_size may say that there is more */
        goatflow_plugin_call_options known;
        uint8_t more[256];
    } room_for_options;
    memset(&room_for_options, 0, sizeof room_for_options);
    room_for_options.known = options_init();
    if (roll(state) % 16 == 0) room_for_options.more[roll(state) % 200] = 1;
#define options room_for_options.known
    goatflow_plugin_call_options *given = roll(state) % 2 ? &options : NULL;
    options.timeout_ms = 1 + roll(state) % 50;
    if (roll(state) % 8 == 0) options.struct_size = roll(state) % 200;
    if (roll(state) % 16 == 0) options.flags = roll(state);
    if (roll(state) % 4 == 0) options.cancellation = (const goatflow_plugin_cancellation *)random_handle(state);
    if (roll(state) % 8 == 0) options.request_id = a.data, options.request_id_len = a.len;
    if (roll(state) % 8 == 0) options.language = b.data, options.language_len = b.len;
    int32_t status = 0;
#define M ((const goatflow_plugin_manager *)h)
#define Q ((const goatflow_plugin_queue *)h)
#define O ((const goatflow_plugin_operation *)h)
#define FN ((const goatflow_plugin_function *)h)
#define BYTES(text) (const uint8_t *)(text).data, (text).len
#define TEXT(text) (text).data, (text).len
#define MADE(type) ((const type **)&made)
#define FINALIZED &finalizers_run, on_finalize
    unsigned which = roll(state) % 46;
    switch (which) {
    case 0: status = goatflow_plugin_manager_new(TEXT(a), MADE(goatflow_plugin_manager), ERR); break;
    case 1: if (roll(state) % 64 == 0) status = goatflow_plugin_manager_shutdown(M, ms, &out, ERR); else return; break;
    case 2: if (roll(state) % 16 == 0) goatflow_plugin_manager_free(M); return;
    case 3: status = goatflow_plugin_manager_load(M, TEXT(a), roll(state) % 2 ? NULL : b.data, roll(state) % 2 ? 0 : b.len, &out, ERR); break;
    case 4: status = goatflow_plugin_manager_unload(M, TEXT(a), ms, ERR); break;
    case 5: status = goatflow_plugin_manager_list(M, &out, ERR); break;
    case 6: status = goatflow_plugin_manager_registration(M, TEXT(a), &out, ERR); break;
    case 7: status = goatflow_plugin_manager_enable(M, TEXT(a), ERR); break;
    case 8: status = goatflow_plugin_manager_disable(M, TEXT(a), ms, ERR); break;
    case 9: status = goatflow_plugin_manager_stats(M, TEXT(a), &out, ERR); break;
    case 10: status = goatflow_plugin_manager_logs(M, TEXT(a), &out, ERR); break;
    case 11: status = goatflow_plugin_manager_clear_logs(M, ERR); break;
    default:
    case 12: status = goatflow_plugin_manager_call(M, TEXT(a), TEXT(b), BYTES(c), given, &out, ERR); break;
    case 13: status = goatflow_plugin_manager_call_into(M, TEXT(a), TEXT(b), BYTES(c), given, room, roll(state) % sizeof room, &len, roll(state) % 2 ? &out : NULL, ERR); break;
    case 14: add(&finalizers_due, 1);
        status = goatflow_plugin_manager_call_async(M, TEXT(a), TEXT(b), BYTES(c), given, roll(state) % 2 ? on_complete : NULL, FINALIZED, MADE(goatflow_plugin_operation), ERR); break;
    case 15: status = goatflow_plugin_manager_call_enqueue(M, TEXT(a), TEXT(b), BYTES(c), given, (const goatflow_plugin_queue *)h2, 1, MADE(goatflow_plugin_operation), ERR); break;
    case 16: status = goatflow_plugin_operation_wait(O, ms, &out, ERR); break;
    case 17: status = goatflow_plugin_operation_cancel(O, ERR); break;
    case 18: goatflow_plugin_operation_free(O); return;
    case 19: status = goatflow_plugin_queue_new(MADE(goatflow_plugin_queue), ERR); break;
    case 20: status = goatflow_plugin_queue_fd(Q, &fd, ERR); break;
    case 21:
        status = goatflow_plugin_queue_next(Q, completions, roll(state) % 5, ms, &len, ERR);
        for (size_t i = 0; i < len; i++) {
            goatflow_plugin_buffer_free(&completions[i].result);
            goatflow_plugin_error_free(completions[i].error);
        }
        break;
    case 22: goatflow_plugin_queue_free(Q); return;
    case 23: status = goatflow_plugin_cancellation_new(MADE(goatflow_plugin_cancellation), ERR); break;
    case 24: status = goatflow_plugin_cancellation_cancel((const goatflow_plugin_cancellation *)h, ERR); break;
    case 25: goatflow_plugin_cancellation_free((const goatflow_plugin_cancellation *)h); return;
    case 26: status = goatflow_plugin_function_resolve(M, TEXT(a), TEXT(b), MADE(goatflow_plugin_function), ERR); break;
    case 27: status = goatflow_plugin_function_call(FN, BYTES(a), given, &out, ERR); break;
    case 28: status = goatflow_plugin_function_call_into(FN, BYTES(a), given, room, sizeof room, &len, &out, ERR); break;
    case 29: goatflow_plugin_function_free(FN); return;
    case 30: status = goatflow_plugin_policy_get(M, TEXT(a), &out, ERR); break;
    case 31: status = goatflow_plugin_policy_set(M, TEXT(a), TEXT(b), roll(state) % 2 ? ANY_REVISION : roll(state) % 9, roll(state) % 2 ? &revision : NULL, ERR); break;
    case 32: status = goatflow_plugin_policy_validate(TEXT(a), &out, ERR); break;
    case 33: add(&finalizers_due, 1); status = goatflow_plugin_manager_provide(M, TEXT(a), roll(state) % 4 ? on_call : NULL, FINALIZED, ERR); break;
    case 34: add(&finalizers_due, 1); status = goatflow_plugin_manager_declare(M, TEXT(a), on_call, FINALIZED, ERR); break;
    case 35: status = goatflow_plugin_reply_set_result((const goatflow_plugin_reply *)h, BYTES(a), ERR); break;
    case 36: status = goatflow_plugin_reply_set_error((const goatflow_plugin_reply *)h, TEXT(a), ERR); break;
    case 37: add(&finalizers_due, 1); status = goatflow_plugin_subscription_new(M, TEXT(a), on_event, FINALIZED, MADE(goatflow_plugin_subscription), ERR); break;
    case 38: goatflow_plugin_subscription_free((const goatflow_plugin_subscription *)h); return;
    case 39: goatflow_plugin_error_free((const goatflow_plugin_error *)h); return;
    case 40: status = goatflow_plugin_manager_unload(M, TEXT(a), ms, (const goatflow_plugin_error **)&made); break;
    case 41: (void)goatflow_plugin_error_status((const goatflow_plugin_error *)h), (void)goatflow_plugin_status_slug((int32_t)roll(state)); return;
    }
    if (strcmp(goatflow_plugin_status_slug(status), "unknown") == 0) CHECK_FAIL("function %u gave the status %d", which, (int)status);
    if (status >= GOATFLOW_PLUGIN_STATUS_INTERNAL_BUG) CHECK_FAIL("function %u gave %s: %s", which, goatflow_plugin_status_slug(status), check_error_text());
    if (which != 40 && status != 0 && (check_error == NULL || (uintptr_t)check_error == CHECK_RUBBISH)) CHECK_FAIL("function %u gave %s without an error", which, goatflow_plugin_status_slug(status));
    if (which != 40 && status == 0 && check_error != NULL) CHECK_FAIL("function %u succeeded with an error", which);
    if (status != 0 && which != 40) CHECK(made == NULL);
    if (status != 0) CHECK(out.data == NULL);
    keep(roll(state), made);
    goatflow_plugin_buffer_free(&out);
}

static void *work(void *argument) {
    uint64_t state = *(uint64_t *)argument;
    while (!get(&stop)) {
        for (int i = 0; i < 100; i++) one(&state);
    }
    check_error_clear();
    return NULL;
}

int main(int argc, char **argv) {
    int seconds = argc > 1 ? atoi(argv[1]) : 10;
    unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL);
    int threads = argc > 3 ? atoi(argv[3]) : 4;
    CASE_WITHIN((unsigned)seconds + 60, "random functions with random arguments");
    printf("   seed %u\n", seed);
    fflush(stdout);
    for (unsigned i = 0; i < 8; i++) keep(i, manager_ready());
    pthread_t thread[64];
    uint64_t states[64];
    for (int i = 0; i < threads; i++) {
        states[i] = (uint64_t)seed * 0x9e3779b97f4a7c15u + (uint64_t)i + 1;
        CHECK(pthread_create(&thread[i], NULL, work, &states[i]) == 0);
    }
    for (int i = 0; i < seconds * 10; i++) {
        check_sleep_ms(100);
        if (i % 5 == 4) keep((unsigned)i, manager_ready()); /* so that there is always something alive */
    }
    set(&stop, 1);
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < HANDLES; i++) keep(i, (const void *)1);
    CHECK_SOON(get(&finalizers_run) == get(&finalizers_due)); /* each, once */
    check_sleep_ms(50);
    CHECK_INT(get(&finalizers_run), get(&finalizers_due));
    printf("   %d finalizers\n", get(&finalizers_run));
    check_error_clear();
    return check_done();
}
