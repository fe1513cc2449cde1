/* Test harness of one header. A test is a program: CASE("what holds") begins a case, CHECK… states a fact, check_done() ends.
 * One line per case; the first failure prints file:line and ends the program with 1, a hang with 124.
 * Works in C11 and C++17. GOATFLOW_TEST_SLOW=N multiplies every time limit (valgrind: 20). */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "goatflow_plugin.h"

static const char *check_case_name;
static int check_passed;
static pid_t check_pid;

static inline int check_slow(void) {
    const char *text = getenv("GOATFLOW_TEST_SLOW");
    int factor = text == NULL ? 1 : atoi(text);
    return factor < 1 ? 1 : factor;
}

static inline void check_hang(int signal) {
    static const char text[] = "\nHANG: the case below did not end in time\n";
    (void)signal;
    ssize_t ignored = write(STDOUT_FILENO, text, sizeof text - 1);
    if (check_case_name != NULL) ignored = write(STDOUT_FILENO, check_case_name, strlen(check_case_name));
    ignored = write(STDOUT_FILENO, "\n", 1);
    (void)ignored;
    _exit(124);
}

static inline void check_end_case(void) {
    if (check_case_name == NULL) return;
    check_passed++;
    printf("ok %s\n", check_case_name);
    fflush(stdout);
    check_case_name = NULL;
}

static inline void check_begin_case(const char *name, unsigned seconds) {
    check_end_case();
    check_pid = getpid();
    signal(SIGALRM, check_hang);
    alarm(seconds * (unsigned)check_slow());
    check_case_name = name;
}

#define CASE(name) check_begin_case((name), 60)
#define CASE_WITHIN(seconds, name) check_begin_case((name), (seconds))

static inline int check_done(void) {
    check_end_case();
    alarm(0);
    printf("%d passed, 0 failed\n", check_passed);
    return 0;
}

#define CHECK_FAIL(...)                                                                                       \
    do {                                                                                                      \
        fflush(stdout);                                                                                       \
        fprintf(stderr, "%s:%d: in case \"%s\": ", __FILE__, __LINE__, check_case_name ? check_case_name : "?"); \
        fprintf(stderr, __VA_ARGS__);                                                                         \
        fputc('\n', stderr);                                                                                  \
        fflush(stderr);                                                                                       \
        _exit(1);                                                                                             \
    } while (0)

#define CHECK(condition)                                      \
    do {                                                      \
        if (!(condition)) CHECK_FAIL("%s is false", #condition); \
    } while (0)

#define CHECK_INT(actual, expected)                                                                          \
    do {                                                                                                     \
        int64_t check_actual = (int64_t)(actual);                                                            \
        int64_t check_expected = (int64_t)(expected);                                                        \
        if (check_actual != check_expected)                                                                  \
            CHECK_FAIL("%s is %" PRId64 ", expected %" PRId64, #actual, check_actual, check_expected);       \
    } while (0)

/* Repeats until `condition` holds; for what another thread brings about. */
#define CHECK_SOON(condition)                                                          \
    do {                                                                               \
        int64_t check_until = check_now_ms() + 10000 * check_slow();                   \
        while (!(condition)) {                                                         \
            if (check_now_ms() > check_until) CHECK_FAIL("%s never became true", #condition); \
            check_sleep_ms(1);                                                         \
        }                                                                              \
    } while (0)

static inline int64_t check_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void check_sleep_ms(long ms) {
    struct timespec time;
    time.tv_sec = ms / 1000;
    time.tv_nsec = (ms % 1000) * 1000000;
    nanosleep(&time, NULL);
}

/* Error slot of the running thread. ERR frees what the last call left, fills the slot with rubbish and hands it over;
 * CHECK_STATUS then holds the call to its promises: NULL after success, an error with the same status and slug after failure. */
static __thread const goatflow_plugin_error *check_error;
static __thread int check_error_used;
#define CHECK_RUBBISH ((uintptr_t)0xa5a5a5a5a5a5a5a5u)

static inline const goatflow_plugin_error **check_error_slot(void) {
    if (check_error != NULL && (uintptr_t)check_error != CHECK_RUBBISH) goatflow_plugin_error_free(check_error);
    check_error = (const goatflow_plugin_error *)CHECK_RUBBISH;
    check_error_used = 1;
    return &check_error;
}
#define ERR check_error_slot()

static inline void check_error_clear(void) {
    if (check_error != NULL && (uintptr_t)check_error != CHECK_RUBBISH) goatflow_plugin_error_free(check_error);
    check_error = NULL;
}

static inline const char *check_error_text(void) {
    if (!check_error_used || check_error == NULL || (uintptr_t)check_error == CHECK_RUBBISH) return "";
    return goatflow_plugin_error_message(check_error);
}

#define CHECK_STATUS(call, constant) CHECK_STATUS_NUMBER(call, GOATFLOW_PLUGIN_STATUS_##constant, #constant)
#define CHECK_STATUS_NUMBER(call, number, name)                                                                      \
    do {                                                                                                             \
        check_error_used = 0;                                                                                        \
        int32_t check_status = (call);                                                                               \
        if (check_status != (int32_t)(number))                                                                       \
            CHECK_FAIL("%s gave %s (%d), expected %s: %s", #call, goatflow_plugin_status_slug(check_status),         \
                       (int)check_status, name, check_error_text());                                                 \
        if (check_error_used) {                                                                                      \
            if (check_status == 0) {                                                                                 \
                if (check_error != NULL)                                                                             \
                    CHECK_FAIL("%s succeeded, but out_error is %p", #call, (const void *)check_error);               \
            } else {                                                                                                 \
                if (check_error == NULL || (uintptr_t)check_error == CHECK_RUBBISH)                                  \
                    CHECK_FAIL("%s failed with %s, but out_error is %p", #call, name, (const void *)check_error);    \
                if (goatflow_plugin_error_status(check_error) != check_status)                                       \
                    CHECK_FAIL("%s: error_status is %d", #call, (int)goatflow_plugin_error_status(check_error));     \
                if (strcmp(goatflow_plugin_error_code(check_error), goatflow_plugin_status_slug(check_status)) != 0) \
                    CHECK_FAIL("%s: error_code is %s", #call, goatflow_plugin_error_code(check_error));              \
                if (goatflow_plugin_error_message(check_error)[0] == 0) CHECK_FAIL("%s: empty message", #call);      \
                if (goatflow_plugin_error_detail(check_error)[0] != '{')                                             \
                    CHECK_FAIL("%s: detail %s", #call, goatflow_plugin_error_detail(check_error));                   \
            }                                                                                                        \
        }                                                                                                            \
    } while (0)
/* The status is one of two or three: where a race or a choice of the library is allowed. */
#define CHECK_ANY(status, a, b, c)                                                                                            \
    do {                                                                                                                      \
        int32_t check_any = (status);                                                                                         \
        if (check_any != GOATFLOW_PLUGIN_STATUS_##a && check_any != GOATFLOW_PLUGIN_STATUS_##b &&                             \
            check_any != GOATFLOW_PLUGIN_STATUS_##c)                                                                          \
            CHECK_FAIL("%s is %s, expected %s, %s or %s", #status, goatflow_plugin_status_slug(check_any), #a, #b, #c);       \
    } while (0)
#define CHECK_OK(call) CHECK_STATUS(call, OK)

/* Compares a library buffer with literal text and frees it. */
static inline int check_buffer_is(const goatflow_plugin_buffer *buffer, const char *text) {
    size_t len = strlen(text);
    return buffer->len == len && (len == 0 || memcmp(buffer->data, text, len) == 0);
}
#define CHECK_TEXT(buffer, text)                                                                          \
    do {                                                                                                  \
        if (!check_buffer_is(&(buffer), (text)))                                                          \
            CHECK_FAIL("%s is `%.*s`, expected `%s`", #buffer, (int)((buffer).len > 4000 ? 4000 : (buffer).len), \
                       (buffer).data ? (const char *)(buffer).data : "", (text));                         \
        goatflow_plugin_buffer_free(&(buffer));                                                           \
    } while (0)
#define CHECK_CONTAINS(buffer, text)                                                                      \
    do {                                                                                                  \
        if (!check_contains((const char *)(buffer).data, (buffer).len, (text)))                           \
            CHECK_FAIL("%s is `%.*s`, which lacks `%s`", #buffer, (int)((buffer).len > 4000 ? 4000 : (buffer).len), \
                       (buffer).data ? (const char *)(buffer).data : "", (text));                         \
        goatflow_plugin_buffer_free(&(buffer));                                                           \
    } while (0)

static inline int check_contains(const char *text, size_t len, const char *needle) {
    size_t needle_len = strlen(needle);
    for (size_t at = 0; at + needle_len <= len; at++)
        if (memcmp(text + at, needle, needle_len) == 0) return 1;
    return 0;
}

#endif
