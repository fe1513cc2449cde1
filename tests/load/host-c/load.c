/* The load test through the C API. See ../run.sh; host-go and host-python do the same.
 *
 *   load CONFIG SCENARIO STEADY_SECONDS SWAPPING_SECONDS CALLS SWAPS [SEED]
 *
 * Threads call three plugins for the steady time without exchanges, then with, until the time is up and there were so many
 * calls and exchanges. Prints one line of JSON; the exit code is 0 when every call was answered as it had to be. */
#include <inttypes.h>
#include <pthread.h>
#include <unistd.h>

#include "goatflow_plugin.h"
#include "histogram.h"
#include "history.h"
#include "scenario.h"

#define S(text) (text), strlen(text)
#define BUFFER_INIT {NULL, 0, 0}

enum { CALLERS = 32, PLUGINS = 3, PROTESTS = 20 };
enum runtime { MODULE, PROGRAM, RUNTIMES };

typedef goatflow_plugin_buffer buffer;

typedef struct plugin {
    const char *name;
    history history;
    const goatflow_plugin_function *who;
    int rolled_back; /* events of that kind */
    uint64_t answered, failed; /* calls, those of other plugins included */
} plugin;

static plugin plugins[PLUGINS] = {{.name = "load-module"}, {.name = "load-program"}, {.name = "load-mixed"}};
static const goatflow_plugin_manager *manager;
static int stop, swapping, stop_swapping;
static uint64_t calls, crashed, wrong, swaps, refused, rolled_back, reloaded;

static uint64_t count(uint64_t *counter) { return __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST); }
static uint64_t counted(const uint64_t *counter) { return __atomic_load_n(counter, __ATOMIC_SEQ_CST); }

static unsigned roll(unsigned *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 10;
}

static void pause_ms(unsigned ms) {
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* Says what went wrong, the first times. */
static void protest(const char *what, const char *plugin, const char *text, size_t len) {
    if (count(&wrong) <= PROTESTS) fprintf(stderr, "WRONG: %s: %s: %.*s\n", plugin, what, (int)len, text);
}

static void must(int32_t status, const goatflow_plugin_error *error, const char *what) {
    if (status == GOATFLOW_PLUGIN_STATUS_OK) return;
    fprintf(stderr, "%s: %s\n", what, goatflow_plugin_error_message(error));
    exit(2);
}

/* --- calls ----------------------------------------------------------------------------------------------------------- */

/* The text behind `"name":"`, in documents whose values have no escapes. */
static const char *field(const buffer *document, const char *name, size_t *len) {
    char key[32];
    int key_len = snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *text = document->len ? (const char *)memmem(document->data, document->len, key, (size_t)key_len) : NULL;
    if (text == NULL) return NULL;
    text += key_len;
    size_t room = document->len - (size_t)(text - (const char *)document->data);
    const char *end = (const char *)memchr(text, '"', room);
    *len = end == NULL ? 0 : (size_t)(end - text);
    return text;
}

/* What one call was: the plugin called, and the one that it asked, if any. */
typedef struct made {
    plugin *called, *asked;
    window window, asked_window;
} made;

static void judge_failure(const made *call, const goatflow_plugin_error *error) {
    count(&call->called->failed);
    if (call->asked != NULL) count(&call->asked->failed); /* or it answered, which nobody will ever know */
    if (window_has_crashing(&call->called->history, &call->window)) {
        count(&crashed);
        return;
    }
    protest(goatflow_plugin_error_code(error), call->called->name, S(goatflow_plugin_error_message(error)));
}

static void judge_answer(const made *call, const buffer *answer) {
    size_t len = 0;
    count(&call->called->answered);
    const char *text = field(answer, "version", &len);
    if (text == NULL || !window_admits(&call->called->history, &call->window, text, len))
        protest("answered, but did not serve", call->called->name, (const char *)answer->data, answer->len);
    text = field(answer, "error", &len);
    if (call->asked == NULL) {
        if (text != NULL) protest("a host call failed", call->called->name, text, len);
        return;
    }
    if (text != NULL) {
        count(&call->asked->failed);
        if (window_has_crashing(&call->asked->history, &call->asked_window)) count(&crashed);
        else protest("another plugin's call failed", call->asked->name, text, len);
        return;
    }
    count(&call->asked->answered);
    text = field(answer, "other", &len);
    if (text == NULL || !window_admits(&call->asked->history, &call->asked_window, text, len))
        protest("answered another plugin, but did not serve", call->asked->name, (const char *)answer->data, answer->len);
}

typedef struct caller {
    pthread_t thread;
    unsigned seed, number;
    histogram steady[RUNTIMES], during[RUNTIMES];
} caller;

/* Versions 1.x are modules, 2.x programs. */
static enum runtime runtime_of(const buffer *answer) {
    size_t len = 0;
    const char *version = field(answer, "version", &len);
    return version != NULL && len > 0 && version[0] == '2' ? PROGRAM : MODULE;
}

/* One call of a random kind. Of a thousand: 700 `who`, 150 host calls that take no time, 100 calls of another plugin, 40 that
 * take up to 10 ms, 10 that take up to 200. */
static void one_call(caller *self) {
    buffer answer = BUFFER_INIT;
    const goatflow_plugin_error *error = NULL;
    unsigned kind = roll(&self->seed) % 1000, which = roll(&self->seed) % PLUGINS;
    made call = {.called = &plugins[which]};
    const char *function = "who";
    char arguments[96] = "{}";
    if (kind >= 700 && kind < 800) {
        call.asked = &plugins[(which + 1) % PLUGINS];
        function = "ask";
        snprintf(arguments, sizeof arguments, "{\"plugin\":\"%s\"}", call.asked->name);
        call.asked_window = window_open(&call.asked->history);
    } else if (kind >= 800) {
        unsigned most = kind < 950 ? 1 : kind < 990 ? 11 : 201;
        function = "pause";
        snprintf(arguments, sizeof arguments, "{\"ms\":%u}", roll(&self->seed) % most);
    }
    int is_steady = !read_int(&swapping);
    call.window = window_open(&call.called->history);
    uint64_t begin = now_ns();
    int32_t status;
    if (kind < 700 && self->number % 2)
        status = goatflow_plugin_function_call(call.called->who, (const uint8_t *)arguments, strlen(arguments), NULL, &answer, &error);
    else
        status = goatflow_plugin_manager_call(manager, S(call.called->name), S(function), (const uint8_t *)arguments,
                                              strlen(arguments), NULL, &answer, &error);
    uint64_t took = now_ns() - begin;
    window_close(&call.called->history, &call.window);
    if (call.asked != NULL) window_close(&call.asked->history, &call.asked_window);
    count(&calls);
    if (status != GOATFLOW_PLUGIN_STATUS_OK) judge_failure(&call, error);
    else judge_answer(&call, &answer);
    if (status == GOATFLOW_PLUGIN_STATUS_OK && kind < 700) {
        enum runtime runtime = runtime_of(&answer);
        if (is_steady) histogram_note(&self->steady[runtime], took);
        else if (call.window.changing) histogram_note(&self->during[runtime], took);
    }
    goatflow_plugin_buffer_free(&answer);
    goatflow_plugin_error_free(error);
}

static void *calling(void *argument) {
    caller *self = (caller *)argument;
    while (!read_int(&stop)) one_call(self);
    return NULL;
}

/* --- exchanges ------------------------------------------------------------------------------------------------------- */

static const version *random_version(const plugin *p, unsigned *seed) {
    for (;;) {
        const version *found = &versions[roll(seed) % (unsigned)version_count];
        if (strcmp(found->plugin, p->name) != 0) continue;
        if (found->fate == GOOD || roll(seed) % 4 == 0) return found;
    }
}

/* The version that serves, from which all but its neighbours differ. */
static const entry *serving(const plugin *p) { return &p->history.entries[p->history.started]; }

static void await_rollback(const plugin *p, int before) {
    for (int waited = 0; read_int(&p->rolled_back) == before; waited++) {
        if (waited == 60000) {
            protest("a version that crashes was not taken back", p->name, "", 0);
            return;
        }
        pause_ms(1);
    }
}

/* A version that crashes: half of them go by themselves, half are taken back. */
static void meet_crashing(plugin *p, const version *next, const char *before, unsigned *seed) {
    buffer report = BUFFER_INIT;
    const goatflow_plugin_error *error = NULL;
    int by_itself = roll(seed) % 2, events = read_int(&p->rolled_back);
    const char *options = by_itself ? "{\"drain_ms\":0,\"probation_ms\":3600000}" : "{\"drain_ms\":0,\"probation_ms\":0}";
    history_start(&p->history, next->name, 1);
    must(goatflow_plugin_manager_replace(manager, S(next->path), S(options), &report, &error), error, next->path);
    goatflow_plugin_buffer_free(&report);
    count(&swaps);
    if (by_itself) {
        await_rollback(p, events);
    } else {
        pause_ms(roll(seed) % 10);
        must(goatflow_plugin_manager_rollback(manager, S(p->name), S("{\"drain_ms\":0,\"probation_ms\":0}"), &report, &error), error, "rollback");
        goatflow_plugin_buffer_free(&report);
    }
    count(&rolled_back);
    history_start(&p->history, before, 0);
    history_settle(&p->history);
}

static void exchange(plugin *p, unsigned *seed) {
    buffer report = BUFFER_INIT;
    const goatflow_plugin_error *error = NULL;
    const version *next = random_version(p, seed);
    const char *before = serving(p)->version;
    const char *options = roll(seed) % 5 ? "{\"drain_ms\":0,\"probation_ms\":0}" : "{\"probation_ms\":2000}";
    if (next->fate == CRASHES) {
        meet_crashing(p, next, before, seed);
    } else if (next->fate == REFUSED) {
        if (goatflow_plugin_manager_replace(manager, S(next->path), S(options), &report, &error) == GOATFLOW_PLUGIN_STATUS_OK)
            protest("a version was not refused", p->name, S(next->path));
        count(&refused);
    } else if (strcmp(next->name, before) == 0) {
        history_start(&p->history, before, 0);
        must(goatflow_plugin_manager_reload(manager, S(p->name), S(options), &report, &error), error, "reload");
        history_settle(&p->history);
        count(&reloaded);
        count(&swaps);
    } else {
        history_start(&p->history, next->name, 0);
        must(goatflow_plugin_manager_replace(manager, S(next->path), S(options), &report, &error), error, next->path);
        history_settle(&p->history);
        count(&swaps);
    }
    goatflow_plugin_buffer_free(&report);
    goatflow_plugin_error_free(error);
}

typedef struct swapper {
    pthread_t thread;
    plugin *of;
    unsigned seed, rest_ms;
} swapper;

static void *exchanging(void *argument) {
    swapper *self = (swapper *)argument;
    while (!read_int(&stop_swapping)) {
        write_int(&self->of->history.changing, 1);
        exchange(self->of, &self->seed);
        write_int(&self->of->history.changing, 0);
        pause_ms(roll(&self->seed) % self->rest_ms);
    }
    return NULL;
}

/* --- the host -------------------------------------------------------------------------------------------------------- */

static int32_t on_pause(void *user_data, const goatflow_plugin_host_call *call, const goatflow_plugin_reply *reply) {
    (void)user_data;
    buffer arguments = {(uint8_t *)(uintptr_t)call->arguments, call->arguments_len, 0};
    const char *text = (const char *)memmem(arguments.data, arguments.len, "\"ms\":", 5);
    unsigned ms = 0;
    for (text = text == NULL ? "" : text + 5; *text >= '0' && *text <= '9'; text++) ms = ms * 10 + (unsigned)(*text - '0');
    if (ms > 0) pause_ms(ms);
    return goatflow_plugin_reply_set_result(reply, (const uint8_t *)"true", 4, NULL);
}

static void on_event(void *user_data, const char *event, size_t len) {
    (void)user_data;
    for (int i = 0; i < PLUGINS; i++) {
        char named[96];
        int named_len = snprintf(named, sizeof named, "\"plugin\":\"%s\"", plugins[i].name);
        if (memmem(event, len, named, (size_t)named_len) != NULL) __atomic_add_fetch(&plugins[i].rolled_back, 1, __ATOMIC_SEQ_CST);
    }
}

static void open_host(const char *config) {
    const goatflow_plugin_error *error = NULL;
    const goatflow_plugin_subscription *subscription = NULL;
    must(goatflow_plugin_manager_new(S(config), &manager, &error), error, "configuration");
    must(goatflow_plugin_manager_declare(manager, S("{\"name\":\"load_pause\",\"permission\":\"org\",\"access\":\"read\"}"),
                                         on_pause, NULL, NULL, &error), error, "load_pause");
    must(goatflow_plugin_subscription_new(manager, S("{\"kinds\":[\"plugin.rolled_back\"]}"), on_event, NULL, NULL,
                                          &subscription, &error), error, "events");
    for (plugin *p = plugins; p < plugins + PLUGINS; p++) {
        const version *first = versions;
        while (strcmp(first->plugin, p->name) != 0) first++;
        history_new(&p->history, first->name);
        must(goatflow_plugin_manager_load(manager, S(first->path), NULL, 0, NULL, &error), error, first->path);
        must(goatflow_plugin_function_resolve(manager, S(p->name), S("who"), &p->who, &error), error, "who");
    }
}

static uint64_t statistic(const plugin *p, const char *name) {
    buffer document = BUFFER_INIT;
    const goatflow_plugin_error *error = NULL;
    char key[32];
    int key_len = snprintf(key, sizeof key, "\"%s\":", name);
    must(goatflow_plugin_manager_stats(manager, S(p->name), &document, &error), error, "stats");
    const char *text = (const char *)memmem(document.data, document.len, key, (size_t)key_len);
    uint64_t value = text == NULL ? UINT64_MAX : strtoull(text + key_len, NULL, 10);
    goatflow_plugin_buffer_free(&document);
    return value;
}

/* The library's own books: every call it served is one that was answered here, and none is under way. */
static void audit(void) {
    for (const plugin *p = plugins; p < plugins + PLUGINS; p++) {
        uint64_t served = statistic(p, "served"), under_way = statistic(p, "in_flight");
        char text[160];
        int len = snprintf(text, sizeof text, "%" PRIu64 " served, %" PRIu64 " under way; %" PRIu64 " answered, %" PRIu64 " failed",
                           served, under_way, p->answered, p->failed);
        if (under_way != 0 || served < p->answered || served > p->answered + p->failed)
            protest("the library counted otherwise", p->name, text, (size_t)len);
    }
}

/* --- the run --------------------------------------------------------------------------------------------------------- */

static void print_latencies(const char *name, const histogram *h) {
    printf("%s\":{\"calls\":%" PRIu64 ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f}", name, h->count, histogram_us(h, 0.5), histogram_us(h, 0.99), histogram_us(h, 0.999));
}

static void report(const caller *callers, double seconds) {
    static const char *const runtimes[RUNTIMES] = {"module", "program"};
    static histogram steady[RUNTIMES], during[RUNTIMES];
    uint64_t overlapped = 0;
    for (int i = 0; i < PLUGINS; i++)
        for (int at = 0; at <= plugins[i].history.started; at++) overlapped += (uint64_t)plugins[i].history.entries[at].overlapped;
    printf("{\"host\":\"c\",\"callers\":%d,\"seconds\":%.1f,\"calls\":%" PRIu64 ",\"swaps\":%" PRIu64 ",\"overlapped\":%" PRIu64
           ",\"reloaded\":%" PRIu64 ",\"rolled_back\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"crashed_calls\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"latency\":{",
           CALLERS, seconds, calls, swaps, overlapped, reloaded, rolled_back, refused, crashed, wrong);
    for (int r = 0; r < RUNTIMES; r++) {
        for (int c = 0; c < CALLERS; c++) {
            histogram_add(&steady[r], &callers[c].steady[r]);
            histogram_add(&during[r], &callers[c].during[r]);
        }
        printf("%s\"%s\":{", r ? "," : "", runtimes[r]);
        print_latencies("\"steady", &steady[r]);
        print_latencies(",\"swapping", &during[r]);
        printf("}");
    }
    printf("}}\n");
}

int main(int argc, char **argv) {
    static caller callers[CALLERS];
    swapper swappers[PLUGINS];
    if (argc < 7) {
        fprintf(stderr, "usage: load CONFIG SCENARIO STEADY_SECONDS SWAPPING_SECONDS CALLS SWAPS [SEED]\n");
        return 2;
    }
    unsigned steady_ms = (unsigned)(atof(argv[3]) * 1000), swapping_ms = (unsigned)(atof(argv[4]) * 1000);
    uint64_t most_calls = strtoull(argv[5], NULL, 10), most_swaps = strtoull(argv[6], NULL, 10);
    unsigned seed = argc > 7 ? (unsigned)atoi(argv[7]) : (unsigned)time(NULL);
    fprintf(stderr, "seed %u\n", seed);
    read_scenario(argv[2]);
    open_host(file_text(argv[1]));
    uint64_t begin = now_ns();
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i].seed = seed + i * 7919, callers[i].number = i;
        pthread_create(&callers[i].thread, NULL, calling, &callers[i]);
    }
    pause_ms(steady_ms);
    write_int(&swapping, 1);
    for (unsigned i = 0; i < PLUGINS; i++) {
        swappers[i].of = &plugins[i], swappers[i].seed = seed + 1000 + i, swappers[i].rest_ms = 100;
        pthread_create(&swappers[i].thread, NULL, exchanging, &swappers[i]);
    }
    uint64_t swapping_since = now_ns();
    while (now_ns() - swapping_since < (uint64_t)swapping_ms * 1000000 || counted(&calls) < most_calls || counted(&swaps) < most_swaps)
        pause_ms(10);
    write_int(&stop_swapping, 1);
    for (int i = 0; i < PLUGINS; i++) pthread_join(swappers[i].thread, NULL);
    write_int(&stop, 1);
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i].thread, NULL);
    audit();
    report(callers, (double)(now_ns() - begin) / 1e9);
    buffer ending = BUFFER_INIT;
    goatflow_plugin_manager_shutdown(manager, 10000, &ending, NULL);
    goatflow_plugin_buffer_free(&ending);
    goatflow_plugin_manager_free(manager);
    return wrong != 0;
}
