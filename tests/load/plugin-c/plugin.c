/* One version of the load test's module. Its name, its version and what becomes of it are set when it is built.
 *
 *   who      says which version answers
 *   pause    the same after the host function load_pause, which gets the arguments
 *   ask      the same, with the answer of `who` of another plugin: {"plugin": NAME} */
#include "goatflow_guest.h"

enum { GOOD, CRASHES, MUTE, SICK, HANGS };

/* Keeps the compiler from deriving that a loop has no end. */
static volatile uint32_t sink;

static gk_writer begin(void) {
    gk_writer out = {0};
    gk_object(&out);
    gk_key(&out, "version");
    gk_string(&out, GK(VERSION));
    return out;
}

static gk_str end(gk_writer *out) {
    gk_object_end(out);
    return gk_done(out);
}

static gk_str failed(const gk_error *error) {
    gk_writer out = begin();
    gk_key(&out, "error");
    gk_string(&out, error->code);
    return end(&out);
}

static gk_str who(gk_value args) {
    (void)args;
    gk_writer out = begin();
    return end(&out);
}

static gk_str health(gk_value args) {
    if (FATE == SICK) __builtin_trap();
    return who(args);
}

static gk_str pause(gk_value args) {
    gk_value reply;
    gk_error error;
    int64_t ms = 0;
    gk_whole(gk_get(args, "ms"), &ms);
    gk_writer request = {0};
    gk_object(&request);
    gk_key(&request, "ms");
    gk_int(&request, ms);
    gk_object_end(&request);
    if (!gk_host("load_pause", gk_done(&request), &reply, &error)) return failed(&error);
    return who(args);
}

static gk_str ask(gk_value args) {
    gk_value reply;
    gk_error error;
    if (!gk_call_plugin(gk_text(gk_get(args, "plugin")), GK("who"), GK("{}"), &reply, &error)) return failed(&error);
    gk_writer out = begin();
    gk_key(&out, "other");
    gk_string(&out, gk_text(gk_get(reply, "version")));
    return end(&out);
}

static const gk_entry handlers[] = {{"__health_ping__", health}, {"who", who}, {"pause", pause}, {"ask", ask}};

GK_EXPORT(gk_register) uint64_t gk_register(void) {
    static const char document[] = "{\"name\":\"" NAME "\",\"version\":\"" VERSION "\"}";
    if (FATE == MUTE) __builtin_trap();
    if (FATE == HANGS)
        for (;;) sink = sink + 1;
    return gk_pack((gk_str){document, sizeof document - 1});
}

GK_EXPORT(gk_call) uint64_t gk_call(const char *function, size_t function_len, const char *args, size_t args_len) {
    gk_str name = {function, function_len};
    if (FATE == CRASHES && !gk_equal(name, GK("__health_ping__"))) __builtin_trap();
    return gk_dispatch(handlers, sizeof handlers / sizeof *handlers, name, (gk_str){args, args_len});
}
