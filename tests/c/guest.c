/* Plugin that the C tests drive. Every behaviour a test needs is one function of it; nothing else is clever.
 * Built by run.sh: clang --target=wasm32 -nostdlib, once per name (guest-a, guest-b).
 *
 *   echo         answers its arguments
 *   nothing      answers nothing
 *   args_len     answers the length of its arguments as a number
 *   size         arguments {"n":N}: answers a JSON string of exactly N bytes, quotes included (N >= 2)
 *   count        answers how often it was called in this instance
 *   spin         never returns
 *   recurse      recurses until something stops it
 *   trap         unreachable
 *   divide       divides by zero
 *   wild         reads far outside its memory
 *   grow         grows its memory until it is refused, then answers the number of pages
 *   log          writes its arguments to the log with level info
 *   spam         asks the host for translations until its deadline
 *   h_NAME       passes its arguments to the host function NAME and answers what came back,
 *                or {"failed":LAST_ERROR} when the host function failed
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef NAME
#define NAME "guest-a"
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif
#ifndef ROUTE
#define ROUTE "/old"
#endif
#define EXPORT(name) __attribute__((export_name(name), used))
#define IMPORT(name) __attribute__((import_module("gk"), import_name(name)))

IMPORT("host_call") u64 host_call(const u8 *function, u32 function_len, const u8 *arguments, u32 arguments_len);
IMPORT("log") void host_log(u32 level, const u8 *message, u32 message_len);
IMPORT("last_error") u64 last_error(void);

/* Bump allocator that starts over when everything was given back: enough for calls that come and go. */
extern u8 __heap_base;
static u32 heap_next, heap_live;

static u8 *take(u32 size) {
    if (heap_live == 0) heap_next = (u32)&__heap_base;
    u32 start = (heap_next + 15u) & ~15u;
    u64 end = (u64)start + size;
    u64 have = (u64)__builtin_wasm_memory_size(0) * 65536u;
    if (end > have) {
        u64 pages = (end - have + 65535u) / 65536u;
        if (pages > 65535u || __builtin_wasm_memory_grow(0, (u32)pages) == (u32)-1) return 0;
    }
    heap_next = (u32)end;
    heap_live++;
    return (u8 *)start;
}

EXPORT("gk_malloc") u8 *gk_malloc(u32 size) { return take(size); }
EXPORT("gk_free") void gk_free(u8 *pointer) {
    if (pointer != 0 && heap_live > 0) heap_live--;
}

static u64 pack(const u8 *pointer, u32 len) { return ((u64)(u32)pointer << 32) | len; }

static void copy(u8 *to, const u8 *from, u32 len) {
    for (u32 i = 0; i < len; i++) to[i] = from[i];
}

static int same(const u8 *text, u32 len, const char *other) {
    u32 i = 0;
    for (; i < len && other[i] != 0; i++)
        if (text[i] != (u8)other[i]) return 0;
    return i == len && other[i] == 0;
}

static u64 answer(const u8 *text, u32 len) {
    if (len == 0) return 0;
    u8 *out = take(len);
    if (out == 0) return 0;
    copy(out, text, len);
    return pack(out, len);
}

static u64 answer_number(u32 value) {
    u8 digits[10];
    u32 at = sizeof digits;
    do {
        digits[--at] = (u8)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return answer(digits + at, (u32)sizeof digits - at);
}

static u32 number_in(const u8 *text, u32 len) {
    u32 value = 0;
    for (u32 i = 0; i < len; i++)
        if (text[i] >= '0' && text[i] <= '9') value = value * 10 + (text[i] - '0');
    return value;
}

static volatile u32 sink;

/* Needs nothing but the engine's own stack, and what follows the inner call keeps it from becoming a loop. */
static __attribute__((noinline)) u32 recurse(u32 depth) {
    if (++sink == 0xffffffffu) return 0; /* the compiler refuses a recursion without an end */
    u32 below = recurse(depth + 1);
    return (below ^ sink) + depth;
}

static u64 ask_host(const u8 *function, u32 function_len, const u8 *arguments, u32 arguments_len) {
    u64 packed = host_call(function, function_len, arguments, arguments_len);
    if (packed != 0) {
        u64 out = answer((const u8 *)(u32)(packed >> 32), (u32)packed);
        gk_free((u8 *)(u32)(packed >> 32));
        return out;
    }
    static const char before[] = "{\"failed\":";
    u64 reason = last_error();
    const u8 *text = (const u8 *)"null";
    u32 len = 4;
    if (reason != 0) {
        text = (const u8 *)(u32)(reason >> 32);
        len = (u32)reason;
    }
    u8 *out = take(len + (u32)sizeof before);
    if (out == 0) return 0;
    copy(out, (const u8 *)before, (u32)sizeof before - 1);
    copy(out + sizeof before - 1, text, len);
    out[sizeof before - 1 + len] = '}';
    if (reason != 0) gk_free((u8 *)(u32)(reason >> 32));
    return pack(out, len + (u32)sizeof before);
}

EXPORT("gk_register") u64 gk_register(void) {
    static const char registration[] = "{\"name\":\"" NAME "\",\"version\":\"" VERSION "\",\"description\":\"driven by the C tests\","
                                       "\"routes\":[{\"method\":\"GET\",\"path\":\"" ROUTE "\",\"handler\":\"echo\"}]}";
    return pack((const u8 *)registration, (u32)sizeof registration - 1);
}

EXPORT("gk_call") u64 gk_call(const u8 *function, u32 function_len, const u8 *arguments, u32 arguments_len) {
    static u32 calls;
    if (same(function, function_len, "echo")) return answer(arguments, arguments_len);
    if (same(function, function_len, "nothing")) return 0;
    if (same(function, function_len, "args_len")) return answer_number(arguments_len);
    if (same(function, function_len, "count")) return answer_number(++calls);
    if (same(function, function_len, "size")) {
        u32 len = number_in(arguments, arguments_len);
        u8 *out = take(len);
        if (out == 0 || len < 2) return 0;
        for (u32 i = 0; i < len; i++) out[i] = 'a';
        out[0] = out[len - 1] = '"';
        return pack(out, len);
    }
    if (same(function, function_len, "spin"))
        for (;;) sink = sink + 1;
    if (same(function, function_len, "recurse")) return answer_number(recurse(0));
    if (same(function, function_len, "trap")) __builtin_trap();
    if (same(function, function_len, "divide")) {
        volatile u32 zero = 0;
        return answer_number(1000u / zero);
    }
    if (same(function, function_len, "wild")) return answer_number(*(volatile u32 *)0xfffffff0u);
    if (same(function, function_len, "grow")) {
        while (__builtin_wasm_memory_grow(0, 16) != (u32)-1) {}
        return answer_number((u32)__builtin_wasm_memory_size(0));
    }
    if (same(function, function_len, "log")) {
        host_log(1, arguments, arguments_len);
        return 0;
    }
    if (same(function, function_len, "spam")) {
        static const char key[] = "{\"key\":\"k\"}";
        for (;;) {
            u64 packed = host_call((const u8 *)"translate", 9, (const u8 *)key, (u32)sizeof key - 1);
            if (packed != 0) gk_free((u8 *)(u32)(packed >> 32));
        }
    }
    if (function_len > 2 && function[0] == 'h' && function[1] == '_')
        return ask_host(function + 2, function_len - 2, arguments, arguments_len);
    static const char unknown[] = "{\"error\":\"unknown function\"}";
    return answer((const u8 *)unknown, (u32)sizeof unknown - 1);
}
