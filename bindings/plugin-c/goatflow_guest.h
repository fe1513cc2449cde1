/*
 * goatflow_guest.h: write a GoatFlow plugin in C, as a small WebAssembly module without a C library.
 *
 *     #include "goatflow_guest.h"
 *
 *     static gk_str hello(gk_value args) {
 *         gk_writer out = {0};
 *         gk_object(&out);
 *         gk_key(&out, "message");
 *         gk_string(&out, gk_text(gk_get(args, "name")));
 *         gk_object_end(&out);
 *         return gk_done(&out);
 *     }
 *
 *     GK_REGISTRATION({"name": "hello", "version": "1.0.0"})
 *     GK_HANDLERS({"hello", hello})
 *
 * Build it with clang and lld, version 14 or newer:
 *
 *     clang --target=wasm32 -std=c11 -Oz -mbulk-memory -ffreestanding -nostdlib \
 *         -Wl,--no-entry -Wl,--stack-first -Wl,-z,stack-size=65536 -Wl,--strip-all -o hello.wasm hello.c
 *
 * Include this header in one source file of the plugin; that file holds the two macros. `--stack-first` makes a stack
 * overflow trap instead of overwriting data. Define before the include, where needed:
 *
 *     GK_HEAP_MAX        most bytes of heap, default 8 MiB (a sandbox grants 16 MiB in all unless an administrator does)
 *     GK_NO_LAST_ERROR   for hosts without gk.last_error: failed host calls then carry no code and no message
 *
 * Memory. Everything a handler allocates or gets from this header lives until the handler returns and is then released;
 * nothing has to be freed. What must outlive a call: gk_malloc and gk_free, or static variables (the host keeps the
 * instance between calls, but discards it after a trap or a timeout). Running out of memory traps, so that no function
 * here returns NULL, except gk_malloc.
 *
 * Text. A gk_str is pointer and length, not terminated; GK("…") makes one of a literal. Text is UTF-8.
 */
#ifndef GOATFLOW_GUEST_H
#define GOATFLOW_GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef __wasm_bulk_memory__
#error "compile with --target=wasm32 -mbulk-memory: copies become one instruction, no C library is needed for them"
#endif

#ifndef GK_HEAP_MAX
#define GK_HEAP_MAX (8u << 20)
#endif

#define GK_IMPORT(name) __attribute__((import_module("gk"), import_name(#name)))
#define GK_EXPORT(name) __attribute__((used, export_name(#name)))

/* A piece of UTF-8 text or bytes; {0} is empty. */
typedef struct gk_str {
    const char *data;
    size_t len;
} gk_str;

#define GK(literal) ((gk_str){"" literal, sizeof(literal) - 1})

/* Returns a NUL-terminated text as a gk_str. */
static inline gk_str gk_cstr(const char *text) {
    size_t len = 0;
    while (text[len]) len++;
    return (gk_str){text, len};
}

static inline bool gk_equal(gk_str a, gk_str b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (a.data[i] != b.data[i]) return false;
    return true;
}

static inline bool gk_starts_with(gk_str text, gk_str start) {
    return text.len >= start.len && gk_equal((gk_str){text.data, start.len}, start);
}

/* ---- Memory: a first-fit heap whose free blocks are kept in order of address and merged -------------------------- */

typedef struct gk_block {
    uint32_t size;              /* bytes after this header, a multiple of 16 */
    uint32_t state;             /* GK_USED or GK_FREE; anything else means that the heap was overwritten */
    struct gk_block *next;      /* next free block, or next block of the running call */
    struct gk_block *previous;  /* previous block of the running call */
} gk_block;

enum { GK_USED = 0x55534544, GK_FREE = 0x46524545, GK_PAGE = 65536 };

extern unsigned char __heap_base; /* set by the linker: where static data and stack end */

static gk_block *gk_free_blocks;
static gk_block *gk_call_blocks; /* what the running call allocated */
static uint32_t gk_heap_bytes;

static inline bool gk_adjacent(const gk_block *low, const gk_block *high) {
    return (const char *)(low + 1) + low->size == (const char *)high;
}

static inline void gk_release(gk_block *block) {
    gk_block *before = NULL, *after = gk_free_blocks;
    while (after && after < block) {
        before = after;
        after = after->next;
    }
    block->state = GK_FREE;
    block->next = after;
    if (before) before->next = block;
    else gk_free_blocks = block;
    if (after && gk_adjacent(block, after)) {
        block->size += sizeof(gk_block) + after->size;
        block->next = after->next;
    }
    if (before && gk_adjacent(before, block)) {
        before->size += sizeof(gk_block) + block->size;
        before->next = block->next;
    }
}

/* Adds at least `size` bytes to the heap; the first time also what the initial memory leaves. */
static inline bool gk_grow_heap(uint32_t size) {
    uintptr_t start = (uintptr_t)__builtin_wasm_memory_size(0) * GK_PAGE;
    uint32_t pages = (size + sizeof(gk_block) + GK_PAGE - 1) / GK_PAGE;
    if (gk_heap_bytes + pages * GK_PAGE > GK_HEAP_MAX) return false;
    if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) return false;
    uintptr_t end = start + (uintptr_t)pages * GK_PAGE;
    if (gk_heap_bytes == 0) start = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    gk_heap_bytes += end - start;
    gk_block *block = (gk_block *)start;
    block->size = end - start - sizeof(gk_block);
    gk_release(block);
    return true;
}

static inline gk_block *gk_take(uint32_t size) {
    if (size > GK_HEAP_MAX) return NULL;
    size = size ? (size + 15) & ~15u : 16;
    do {
        for (gk_block **link = &gk_free_blocks; *link; link = &(*link)->next) {
            gk_block *block = *link;
            if (block->size < size) continue;
            if (block->size >= size + 2 * sizeof(gk_block)) {
                gk_block *rest = (gk_block *)((char *)(block + 1) + size);
                *rest = (gk_block){block->size - size - sizeof(gk_block), GK_FREE, block->next, NULL};
                block->size = size;
                *link = rest;
            } else {
                *link = block->next;
            }
            block->state = GK_USED;
            return block;
        }
    } while (gk_grow_heap(size));
    return NULL;
}

/* Allocates memory that outlives the running call; NULL when the heap is full. The host calls this too. */
GK_EXPORT(gk_malloc) void *gk_malloc(uint32_t size) {
    gk_block *block = gk_take(size);
    return block ? block + 1 : NULL;
}

/* Releases memory of gk_malloc. NULL and static data are left alone; any other pointer traps. */
GK_EXPORT(gk_free) void gk_free(void *memory) {
    if ((unsigned char *)memory < &__heap_base) return;
    gk_block *block = (gk_block *)memory - 1;
    if (block->state != GK_USED) __builtin_trap();
    gk_release(block);
}

/* Makes memory of gk_malloc part of the running call. */
static inline void *gk_adopt(void *memory) {
    gk_block *block = (gk_block *)memory - 1;
    *block = (gk_block){block->size, GK_USED, gk_call_blocks, NULL};
    if (gk_call_blocks) gk_call_blocks->previous = block;
    gk_call_blocks = block;
    return memory;
}

/* Allocates memory for the running call; it is released when the handler returns. */
static inline void *gk_new(size_t size) {
    void *memory = gk_malloc(size);
    if (!memory) __builtin_trap();
    return gk_adopt(memory);
}

/* Releases memory of gk_new before the call ends. */
static inline void gk_drop(void *memory) {
    gk_block *block = (gk_block *)memory - 1;
    if (block->next) block->next->previous = block->previous;
    if (block->previous) block->previous->next = block->next;
    else gk_call_blocks = block->next;
    gk_release(block);
}

/* ---- Text building and JSON writing ------------------------------------------------------------------------------ */

/* A growing text; start with {0}. The JSON functions set commas by themselves; pairing begin and end is up to you. */
typedef struct gk_writer {
    char *data;
    size_t len, capacity;
    bool comma; /* the next JSON value needs a comma before it */
} gk_writer;

/* Returns what was written, valid until the handler returns. */
static inline gk_str gk_done(const gk_writer *w) { return (gk_str){w->data, w->len}; }

/* Appends text as it is. */
static inline void gk_put(gk_writer *w, gk_str text) {
    if (w->capacity - w->len < text.len) {
        size_t capacity = w->capacity + (text.len > w->capacity ? text.len : w->capacity) + 64;
        char *data = gk_new(capacity);
        if (w->data) {
            __builtin_memcpy(data, w->data, w->len);
            gk_drop(w->data);
        }
        w->data = data;
        w->capacity = capacity;
    }
    if (text.len) __builtin_memcpy(w->data + w->len, text.data, text.len);
    w->len += text.len;
}

/* Appends a whole number in decimal. */
static inline void gk_put_int(gk_writer *w, int64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0) digits[--at] = '-';
    gk_put(w, (gk_str){digits + at, sizeof digits - at});
}

/* Appends text that comes from outside to an HTML page. */
static inline void gk_put_html(gk_writer *w, gk_str text) {
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '&': gk_put(w, GK("&amp;")); break;
        case '<': gk_put(w, GK("&lt;")); break;
        case '>': gk_put(w, GK("&gt;")); break;
        case '"': gk_put(w, GK("&#34;")); break;
        case '\'': gk_put(w, GK("&#39;")); break;
        default: gk_put(w, (gk_str){text.data + i, 1});
        }
    }
}

/* Appends bytes in base64 with padding. */
static inline void gk_put_base64(gk_writer *w, gk_str bytes) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = (uint32_t)(uint8_t)bytes.data[i] << 16;
        if (left > 1) bits |= (uint32_t)(uint8_t)bytes.data[i + 1] << 8;
        if (left > 2) bits |= (uint8_t)bytes.data[i + 2];
        char quad[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63], alphabet[bits & 63]};
        if (left < 3) quad[3] = '=';
        if (left < 2) quad[2] = '=';
        gk_put(w, (gk_str){quad, 4});
    }
}

/* Returns the length of the UTF-8 character that text starts with; 0 when it is not valid. */
static inline size_t gk_utf8(gk_str text) {
    const uint8_t *c = (const uint8_t *)text.data;
    if (c[0] < 0x80) return 1;
    size_t len = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
    if (c[0] < 0xc2 || c[0] > 0xf4 || text.len < len) return 0;
    for (size_t i = 1; i < len; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    bool overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
    bool surrogate = c[0] == 0xed && c[1] > 0x9f;
    bool too_large = c[0] == 0xf4 && c[1] > 0x8f;
    return overlong || surrogate || too_large ? 0 : len;
}

static inline void gk_put_escape(gk_writer *w, unsigned code) {
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', hex[code >> 12], hex[code >> 8 & 15], hex[code >> 4 & 15], hex[code & 15]};
    gk_put(w, (gk_str){text, 6});
}

/* Appends a JSON string, with HTML characters escaped so that it may stand inside a page. Invalid UTF-8 becomes U+FFFD. */
static inline void gk_put_quoted(gk_writer *w, gk_str text) {
    gk_put(w, GK("\""));
    for (size_t i = 0; i < text.len;) {
        gk_str rest = {text.data + i, text.len - i};
        size_t len = gk_utf8(rest);
        switch (len == 1 ? rest.data[0] : 0x7f) {
        case '"': gk_put(w, GK("\\\"")); break;
        case '\\': gk_put(w, GK("\\\\")); break;
        case '\b': gk_put(w, GK("\\b")); break;
        case '\f': gk_put(w, GK("\\f")); break;
        case '\n': gk_put(w, GK("\\n")); break;
        case '\r': gk_put(w, GK("\\r")); break;
        case '\t': gk_put(w, GK("\\t")); break;
        case '<': case '>': case '&': gk_put_escape(w, (unsigned)rest.data[0]); break;
        default:
            if (len == 0) gk_put_escape(w, 0xfffd);
            else if (len == 1 && rest.data[0] < 0x20) gk_put_escape(w, (unsigned)rest.data[0]);
            else if (gk_starts_with(rest, GK("\u2028"))) gk_put_escape(w, 0x2028);
            else if (gk_starts_with(rest, GK("\u2029"))) gk_put_escape(w, 0x2029);
            else gk_put(w, (gk_str){rest.data, len});
        }
        i += len ? len : 1;
    }
    gk_put(w, GK("\""));
}

static inline void gk_value_begins(gk_writer *w) {
    if (w->comma) gk_put(w, GK(","));
    w->comma = true;
}

static inline void gk_open(gk_writer *w, gk_str bracket) {
    gk_value_begins(w);
    gk_put(w, bracket);
    w->comma = false;
}

static inline void gk_close(gk_writer *w, gk_str bracket) {
    gk_put(w, bracket);
    w->comma = true;
}

/* Writes the beginning and the end of an object or an array. */
static inline void gk_object(gk_writer *w) { gk_open(w, GK("{")); }
static inline void gk_object_end(gk_writer *w) { gk_close(w, GK("}")); }
static inline void gk_array(gk_writer *w) { gk_open(w, GK("[")); }
static inline void gk_array_end(gk_writer *w) { gk_close(w, GK("]")); }

/* Writes the key of the next value in an object. */
static inline void gk_key(gk_writer *w, const char *key) {
    gk_value_begins(w);
    gk_put_quoted(w, gk_cstr(key));
    gk_put(w, GK(":"));
    w->comma = false;
}

/* Writes a value; gk_json takes one that is JSON already, gk_bytes writes base64 as the host expects byte fields. */
static inline void gk_json(gk_writer *w, gk_str json) { gk_value_begins(w); gk_put(w, json); }
static inline void gk_bool(gk_writer *w, bool value) { gk_json(w, value ? GK("true") : GK("false")); }
static inline void gk_int(gk_writer *w, int64_t value) { gk_value_begins(w); gk_put_int(w, value); }
static inline void gk_string(gk_writer *w, gk_str text) { gk_value_begins(w); gk_put_quoted(w, text); }
static inline void gk_bytes(gk_writer *w, gk_str bytes) {
    gk_value_begins(w);
    gk_put(w, GK("\""));
    gk_put_base64(w, bytes);
    gk_put(w, GK("\""));
}

/* ---- JSON reading ------------------------------------------------------------------------------------------------ */

/* One JSON value inside a text that was checked as a whole; {0} is "not there", and every function accepts it. */
typedef struct gk_value {
    gk_str json;
} gk_value;

typedef enum gk_kind { GK_ABSENT, GK_NULL, GK_BOOL, GK_NUMBER, GK_STRING, GK_ARRAY, GK_OBJECT } gk_kind;

enum { GK_JSON_DEPTH = 64 };

typedef struct gk_scan {
    const char *at, *end;
} gk_scan;

static inline void gk_blanks(gk_scan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) s->at++;
}

static inline bool gk_accept(gk_scan *s, char c) {
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static inline bool gk_digits(gk_scan *s) {
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') s->at++;
    return s->at > start;
}

static inline bool gk_scan_number(gk_scan *s) {
    gk_accept(s, '-');
    if (!gk_accept(s, '0') && !gk_digits(s)) return false;
    if (gk_accept(s, '.') && !gk_digits(s)) return false;
    if (gk_accept(s, 'e') || gk_accept(s, 'E')) {
        if (!gk_accept(s, '+')) gk_accept(s, '-');
        return gk_digits(s);
    }
    return true;
}

static inline int gk_hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads four hexadecimal digits; -1 when they aren't. */
static inline int gk_scan_hex(gk_scan *s) {
    if (s->end - s->at < 4) return -1;
    int code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = gk_hex_digit(*s->at++);
        if (digit < 0) return -1;
        code = code * 16 + digit;
    }
    return code;
}

static inline bool gk_is_high(int code) { return code >= 0xd800 && code < 0xdc00; }
static inline bool gk_is_low(int code) { return code >= 0xdc00 && code < 0xe000; }

/* Reads what follows a backslash and returns the character; -1 when it is no valid escape. */
static inline int gk_scan_escape(gk_scan *s) {
    if (s->at == s->end) return -1;
    switch (*s->at++) {
    case '"': return '"';
    case '\\': return '\\';
    case '/': return '/';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'u': break;
    default: return -1;
    }
    int code = gk_scan_hex(s);
    if (gk_is_low(code)) return -1;
    if (!gk_is_high(code)) return code;
    if (!gk_accept(s, '\\') || !gk_accept(s, 'u')) return -1;
    int low = gk_scan_hex(s);
    return gk_is_low(low) ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : -1;
}

static inline bool gk_scan_string(gk_scan *s) {
    if (!gk_accept(s, '"')) return false;
    while (s->at < s->end) {
        if (gk_accept(s, '"')) return true;
        if (gk_accept(s, '\\')) {
            if (gk_scan_escape(s) < 0) return false;
            continue;
        }
        size_t len = gk_utf8((gk_str){s->at, (size_t)(s->end - s->at)});
        if (len == 0 || (uint8_t)*s->at < 0x20) return false;
        s->at += len;
    }
    return false;
}

static inline bool gk_scan_word(gk_scan *s, gk_str word) {
    if (!gk_starts_with((gk_str){s->at, (size_t)(s->end - s->at)}, word)) return false;
    s->at += word.len;
    return true;
}

static inline bool gk_scan_value(gk_scan *s, int depth);

static inline bool gk_scan_items(gk_scan *s, char close, int depth) {
    gk_blanks(s);
    if (gk_accept(s, close)) return true;
    do {
        gk_blanks(s);
        if (close == '}') {
            if (!gk_scan_string(s)) return false;
            gk_blanks(s);
            if (!gk_accept(s, ':')) return false;
        }
        if (!gk_scan_value(s, depth)) return false;
        gk_blanks(s);
    } while (gk_accept(s, ','));
    return gk_accept(s, close);
}

static inline bool gk_scan_value(gk_scan *s, int depth) {
    if (depth == 0) return false;
    gk_blanks(s);
    if (gk_accept(s, '{')) return gk_scan_items(s, '}', depth - 1);
    if (gk_accept(s, '[')) return gk_scan_items(s, ']', depth - 1);
    if (s->at < s->end && *s->at == '"') return gk_scan_string(s);
    return gk_scan_word(s, GK("true")) || gk_scan_word(s, GK("false")) || gk_scan_word(s, GK("null")) || gk_scan_number(s);
}

/* Checks a JSON text, strictly as RFC 8259 with at most 64 levels, and returns its value. Empty text is no value. */
static inline bool gk_parse(gk_str text, gk_value *value) {
    *value = (gk_value){0};
    gk_scan s = {text.data, text.data + text.len};
    gk_blanks(&s);
    const char *start = s.at;
    if (!gk_scan_value(&s, GK_JSON_DEPTH)) return false;
    gk_str json = {start, (size_t)(s.at - start)};
    gk_blanks(&s);
    if (s.at != s.end) return false;
    value->json = json;
    return true;
}

static inline gk_kind gk_kind_of(gk_value value) {
    if (value.json.len == 0) return GK_ABSENT;
    switch (value.json.data[0]) {
    case '{': return GK_OBJECT;
    case '[': return GK_ARRAY;
    case '"': return GK_STRING;
    case 't': case 'f': return GK_BOOL;
    case 'n': return GK_NULL;
    default: return GK_NUMBER;
    }
}

static inline size_t gk_encode_utf8(int code, char *out) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

/* Returns the text of a string, empty for anything else. */
static inline gk_str gk_text(gk_value value) {
    if (gk_kind_of(value) != GK_STRING) return (gk_str){0};
    gk_str raw = {value.json.data + 1, value.json.len - 2};
    size_t plain = 0;
    while (plain < raw.len && raw.data[plain] != '\\') plain++;
    if (plain == raw.len) return raw;
    char *text = gk_new(raw.len); /* no escape is shorter than its character */
    size_t len = 0;
    gk_scan s = {raw.data, raw.data + raw.len};
    while (s.at < s.end) {
        if (gk_accept(&s, '\\')) len += gk_encode_utf8(gk_scan_escape(&s), text + len);
        else text[len++] = *s.at++;
    }
    return (gk_str){text, len};
}

/* Reads a whole number, also one inside a string: path and query parameters of a route arrive as strings. */
static inline bool gk_whole(gk_value value, int64_t *number) {
    gk_str text = gk_kind_of(value) == GK_NUMBER ? value.json : gk_text(value);
    bool negative = text.len && text.data[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == text.len) return false;
    int64_t sum = 0; /* kept negative: there is one more negative number than there are positive ones */
    for (; i < text.len; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9) return false;
        if (sum < (INT64_MIN + digit) / 10) return false;
        sum = sum * 10 - digit;
    }
    if (!negative && sum == INT64_MIN) return false;
    *number = negative ? sum : -sum;
    return true;
}

/* Returns true for `true` only. */
static inline bool gk_true(gk_value value) { return gk_kind_of(value) == GK_BOOL && value.json.data[0] == 't'; }

/* A walk through the items of an array, or the members of an object. */
typedef struct gk_items {
    gk_scan rest;
    gk_value key; /* of the member that gk_next returned last */
} gk_items;

static inline gk_items gk_each(gk_value value) {
    bool nested = gk_kind_of(value) >= GK_ARRAY;
    const char *data = value.json.data;
    return nested ? (gk_items){{data + 1, data + value.json.len - 1}, {{0}}} : (gk_items){0};
}

static inline gk_value gk_scanned(gk_scan *s) {
    gk_blanks(s);
    const char *start = s->at;
    gk_scan_value(s, GK_JSON_DEPTH);
    gk_value value = {{start, (size_t)(s->at - start)}};
    gk_blanks(s);
    return value;
}

/* Moves to the next item; false after the last one. */
static inline bool gk_next(gk_items *items, gk_value *item) {
    gk_blanks(&items->rest);
    if (items->rest.at == items->rest.end) return false;
    *item = gk_scanned(&items->rest);
    if (gk_accept(&items->rest, ':')) {
        items->key = *item;
        *item = gk_scanned(&items->rest);
    }
    gk_accept(&items->rest, ',');
    return true;
}

/* Returns a member of an object; of several with one name, the last. */
static inline gk_value gk_get(gk_value object, const char *name) {
    gk_value found = {0}, item;
    if (gk_kind_of(object) != GK_OBJECT) return found;
    gk_items items = gk_each(object);
    while (gk_next(&items, &item))
        if (gk_equal(gk_text(items.key), gk_cstr(name))) found = item;
    return found;
}

static inline int gk_base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes a base64 string, as the host sends byte fields; false when it is none. */
static inline bool gk_unbase64(gk_value value, gk_str *bytes) {
    gk_str text = gk_text(value);
    if (text.len % 4) return false;
    while (text.len && text.data[text.len - 1] == '=') text.len--;
    char *out = gk_new(text.len);
    size_t len = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int six = gk_base64_digit(text.data[i]);
        if (six < 0) return false;
        bits = bits << 6 | (uint32_t)six;
        if (i % 4 > 0) out[len++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    *bytes = (gk_str){out, len};
    return true;
}

/* ---- Host calls -------------------------------------------------------------------------------------------------- */

GK_IMPORT(host_call)
uint64_t gk_import_host_call(const char *function, size_t function_len, const char *args, size_t args_len);
GK_IMPORT(log) void gk_import_log(int32_t level, const char *message, size_t len);
#ifndef GK_NO_LAST_ERROR
GK_IMPORT(last_error) uint64_t gk_import_last_error(void);
#else
static inline uint64_t gk_import_last_error(void) { return 0; }
#endif

/* Why a host call failed. The code is a stable slug such as "policy.sql.table_denied", empty when the host gave none. */
typedef struct gk_error {
    gk_str function, code, message;
} gk_error;

typedef enum gk_level { GK_DEBUG, GK_INFO, GK_WARN, GK_ERROR } gk_level;

/* Writes a line to the plugin's log. */
static inline void gk_log(gk_level level, gk_str message) { gk_import_log(level, message.data, message.len); }

/* Takes over what the host allocated for the guest; 0 is empty. */
static inline gk_str gk_unpack(uint64_t packed) {
    return packed ? (gk_str){gk_adopt((void *)(uintptr_t)(packed >> 32)), (uint32_t)packed} : (gk_str){0};
}

static inline bool gk_refuse(gk_error *error, const char *function, gk_str code, gk_str message) {
    *error = (gk_error){gk_cstr(function), code, message};
    return false;
}

/* Calls any host function with a JSON object. An empty reply (as plugin_call may give) is an absent value. */
static inline bool gk_host(const char *function, gk_str args, gk_value *reply, gk_error *error) {
    gk_str name = gk_cstr(function);
    gk_str text = gk_unpack(gk_import_host_call(name.data, name.len, args.data, args.len));
    if (text.len)
        return gk_parse(text, reply) || gk_refuse(error, function, GK(""), GK("unexpected reply: not JSON"));
    *reply = (gk_value){0};
    gk_value reason;
    if (!gk_parse(gk_unpack(gk_import_last_error()), &reason)) return true;
    return gk_refuse(error, function, gk_text(gk_get(reason, "code")), gk_text(gk_get(reason, "message")));
}

/* Calls a host function that always replies. */
static inline bool gk_ask(const char *function, gk_str args, gk_value *reply, gk_error *error) {
    if (!gk_host(function, args, reply, error)) return false;
    if (gk_kind_of(*reply) != GK_ABSENT) return true;
    return gk_refuse(error, function, GK(""), GK("the host gave no reply and no reason"));
}

/* Builds a JSON array for gk_db_query: one letter per value, i int64_t, s gk_str, b int as bool, n NULL (no value). */
static inline gk_str gk_args(const char *letters, ...) {
    gk_writer w = {0};
    va_list values;
    va_start(values, letters);
    gk_array(&w);
    for (; *letters; letters++) {
        switch (*letters) {
        case 'i': gk_int(&w, va_arg(values, int64_t)); break;
        case 's': gk_string(&w, va_arg(values, gk_str)); break;
        case 'b': gk_bool(&w, va_arg(values, int)); break;
        case 'n': gk_json(&w, GK("null")); break;
        default: __builtin_trap();
        }
    }
    gk_array_end(&w);
    va_end(values);
    return gk_done(&w);
}

/* Builds a JSON object of string members from name and gk_str pairs; the names in one text, separated by blanks. */
static inline void gk_strings(gk_writer *w, const char *names, const gk_str *values) {
    for (size_t i = 0; *names; i++) {
        gk_str name = {names, 0};
        while (names[name.len] && names[name.len] != ' ') name.len++;
        names += name.len + (names[name.len] == ' ');
        gk_value_begins(w);
        gk_put_quoted(w, name);
        gk_put(w, GK(":"));
        gk_put_quoted(w, values[i]);
    }
}

static inline gk_str gk_string_object(const char *names, const gk_str *values) {
    gk_writer w = {0};
    gk_object(&w);
    gk_strings(&w, names, values);
    gk_object_end(&w);
    return gk_done(&w);
}

static inline gk_str gk_statement(gk_str sql, gk_str args) {
    gk_writer w = {0};
    gk_object(&w);
    gk_key(&w, "query");
    gk_string(&w, sql);
    gk_key(&w, "args");
    gk_json(&w, args.len ? args : GK("[]"));
    gk_object_end(&w);
    return gk_done(&w);
}

/* Runs a reading statement, with ? as placeholder and args from gk_args or {0}. Rows is an array of objects; without any
 * row it is null, which gk_each walks through as well. */
static inline bool gk_db_query(gk_str sql, gk_str args, gk_value *rows, gk_error *error) {
    return gk_ask("db_query", gk_statement(sql, args), rows, error);
}

/* Runs a writing statement. */
static inline bool gk_db_exec(gk_str sql, gk_str args, int64_t *affected, gk_error *error) {
    gk_value reply;
    if (!gk_ask("db_exec", gk_statement(sql, args), &reply, error)) return false;
    return gk_whole(gk_get(reply, "affected"), affected) ||
           gk_refuse(error, "db_exec", GK(""), GK("unexpected reply: no affected"));
}

/* Reads what is kept in the plugin's cache; found tells a missing key from an empty value. */
static inline bool gk_cache_get(gk_str key, gk_str *value, bool *found, gk_error *error) {
    gk_value reply;
    if (!gk_ask("cache_get", gk_string_object("key", &key), &reply, error)) return false;
    *found = gk_true(gk_get(reply, "found"));
    return gk_unbase64(gk_get(reply, "value"), value) ||
           gk_refuse(error, "cache_get", GK(""), GK("unexpected reply: value is not base64"));
}

/* Keeps a value in the plugin's cache; ttl_seconds 0 sets no time limit. */
static inline bool gk_cache_set(gk_str key, gk_str value, int64_t ttl_seconds, gk_error *error) {
    gk_writer w = {0};
    gk_value reply;
    gk_object(&w);
    gk_strings(&w, "key", &key);
    gk_key(&w, "value");
    gk_bytes(&w, value);
    gk_key(&w, "ttl");
    gk_int(&w, ttl_seconds);
    gk_object_end(&w);
    return gk_ask("cache_set", gk_done(&w), &reply, error);
}

static inline bool gk_cache_delete(gk_str key, gk_error *error) {
    gk_value reply;
    return gk_ask("cache_delete", gk_string_object("key", &key), &reply, error);
}

/* Makes an HTTP request without extra headers. A status such as 404 is an answer, not a failure. */
static inline bool gk_http(gk_str method, gk_str url, gk_str body, int64_t *status, gk_str *answer, gk_error *error) {
    gk_writer w = {0};
    gk_value reply;
    gk_object(&w);
    gk_strings(&w, "method url", (gk_str[]){method, url});
    gk_key(&w, "body");
    gk_bytes(&w, body);
    gk_object_end(&w);
    if (!gk_ask("http_request", gk_done(&w), &reply, error)) return false;
    return (gk_whole(gk_get(reply, "status"), status) && gk_unbase64(gk_get(reply, "body"), answer)) ||
           gk_refuse(error, "http_request", GK(""), GK("unexpected reply: no status or body"));
}

/* Sends a mail to one recipient. */
static inline bool gk_send_email(gk_str to, gk_str subject, gk_str body, bool html, gk_error *error) {
    gk_writer w = {0};
    gk_value reply;
    gk_object(&w);
    gk_strings(&w, "to subject body", (gk_str[]){to, subject, body});
    gk_key(&w, "html");
    gk_bool(&w, html);
    gk_object_end(&w);
    return gk_ask("send_email", gk_done(&w), &reply, error);
}

static inline bool gk_config_get(gk_str key, gk_str *value, gk_error *error) {
    gk_value reply;
    if (!gk_ask("config_get", gk_string_object("key", &key), &reply, error)) return false;
    *value = gk_text(gk_get(reply, "value"));
    return true;
}

/* Returns the text of a key in the language of the request, and the key itself where there is none. */
static inline gk_str gk_translate(gk_str key) {
    gk_value reply;
    gk_error error;
    return gk_ask("translate", gk_string_object("key", &key), &reply, &error) ? gk_text(gk_get(reply, "value")) : key;
}

/* Calls a function of another plugin with JSON arguments ({0} for none). Its {"error": "…"} is an answer, not a failure. */
static inline bool gk_call_plugin(gk_str plugin, gk_str function, gk_str args, gk_value *result, gk_error *error) {
    gk_writer w = {0};
    gk_object(&w);
    gk_strings(&w, "plugin function", (gk_str[]){plugin, function});
    gk_key(&w, "args");
    gk_json(&w, args.len ? args : GK("null"));
    gk_object_end(&w);
    return gk_host("plugin_call", gk_done(&w), result, error);
}

/* Sends an event to the host's subscribers of a channel; an empty channel is the host's default one. */
static inline bool gk_publish(gk_str channel, gk_str event, gk_str data, gk_error *error) {
    gk_value reply;
    gk_str args = gk_string_object("channel event_type data", (gk_str[]){channel, event, data});
    return gk_ask("publish_event", args, &reply, error);
}

/* ---- Registration and dispatch ----------------------------------------------------------------------------------- */

/* Answers one call with a JSON document; {0} is an empty result. Args is absent when the caller sent none. */
typedef gk_str (*gk_handler)(gk_value args);

typedef struct gk_entry {
    const char *function;
    gk_handler handler;
} gk_entry;

/* Returns the in-band form of an application error: {"error": "…"}. */
static inline gk_str gk_fail(gk_str message) { return gk_string_object("error", &message); }

/* Returns the in-band form of a failed host call: {"error": "…", "code": "…"}. */
static inline gk_str gk_fail_with(const gk_error *error) {
    gk_writer message = {0};
    gk_put(&message, error->function);
    gk_put(&message, GK(": "));
    gk_put(&message, error->message);
    if (error->code.len == 0) return gk_fail(gk_done(&message));
    return gk_string_object("error code", (gk_str[]){gk_done(&message), error->code});
}

static inline uint64_t gk_pack(gk_str text) { return (uint64_t)(uintptr_t)text.data << 32 | text.len; }

static inline gk_str gk_answer(const gk_entry *entries, size_t count, gk_str function, gk_str args) {
    for (size_t i = 0; i < count; i++) {
        if (!gk_equal(function, gk_cstr(entries[i].function))) continue;
        gk_value value = {0};
        if (args.len && !gk_parse(args, &value)) return gk_fail(GK("arguments: not JSON"));
        return entries[i].handler(value);
    }
    gk_writer message = {0};
    gk_put(&message, GK("unknown function: "));
    gk_put(&message, function);
    return gk_fail(gk_done(&message));
}

/* Runs one call and releases what it allocated. The result is a block of its own, which the host frees. */
static inline uint64_t gk_dispatch(const gk_entry *entries, size_t count, gk_str function, gk_str args) {
    gk_block *outer = gk_call_blocks; /* a host may call again from inside a host call */
    gk_call_blocks = NULL;
    gk_str answer = gk_answer(entries, count, function, args);
    uint64_t packed = 0;
    if (answer.len) {
        char *result = gk_malloc(answer.len);
        if (!result) __builtin_trap();
        __builtin_memcpy(result, answer.data, answer.len);
        packed = gk_pack((gk_str){result, answer.len});
    }
    while (gk_call_blocks) gk_drop(gk_call_blocks + 1);
    gk_call_blocks = outer;
    return packed;
}

/* The registration, written as plain JSON. */
#define GK_REGISTRATION(...) \
    GK_EXPORT(gk_register) uint64_t gk_register(void) { \
        static const char document[] = #__VA_ARGS__; \
        return gk_pack((gk_str){document, sizeof document - 1}); \
    }

/* The handlers: {"function", handler}, … */
#define GK_HANDLERS(...) \
    static const gk_entry gk_entries[] = {__VA_ARGS__}; \
    GK_EXPORT(gk_call) uint64_t gk_call(const char *function, size_t function_len, const char *args, size_t args_len) { \
        return gk_dispatch(gk_entries, sizeof gk_entries / sizeof *gk_entries, (gk_str){function, function_len}, \
                           (gk_str){args, args_len}); \
    }

#endif
