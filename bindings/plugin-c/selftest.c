/*
 * Tests of goatflow_guest.h as a plugin: call `run` in any host; it answers {"passed":n} or {"error":"line …: …"}.
 * Built like every plugin; the recipe is in the header.
 */
#include "goatflow_guest.h"

GK_REGISTRATION({"name": "selftest", "version": "1.0.0", "description": "Tests of goatflow_guest.h: \"quotes\", true"})

static int64_t passed;
static gk_writer failure;

static bool check(bool ok, int line, gk_str what) {
    if (ok) {
        passed++;
    } else if (failure.len == 0) {
        gk_put(&failure, GK("line "));
        gk_put_int(&failure, line);
        gk_put(&failure, GK(": "));
        gk_put(&failure, what);
    }
    return ok;
}

#define CHECK(condition) check(condition, __LINE__, GK(#condition))

/* Blocks of changing sizes, allocated and freed in changing order, keep their bytes; at the end the heap is one block. */
static void test_heap(void) {
    enum { BLOCKS = 100, STEPS = 20000 };
    static unsigned char *blocks[BLOCKS];
    static uint32_t sizes[BLOCKS];
    uint32_t random = 12345;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t i = (random >> 8) % BLOCKS;
        if (blocks[i]) {
            uint32_t intact = 0;
            while (intact < sizes[i] && blocks[i][intact] == i) intact++;
            if (!CHECK(intact == sizes[i])) return;
            gk_free(blocks[i]);
            blocks[i] = NULL;
        } else {
            sizes[i] = (random >> 16) % 3000;
            blocks[i] = gk_malloc(sizes[i]);
            if (!CHECK(blocks[i] && (uintptr_t)blocks[i] % 16 == 0)) return;
            __builtin_memset(blocks[i], (int)i, sizes[i]);
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        gk_free(blocks[i]);
        blocks[i] = NULL;
    }
    CHECK(gk_free_blocks && !gk_free_blocks->next);
    CHECK(!gk_malloc(GK_HEAP_MAX) && !gk_malloc(UINT32_MAX));
    CHECK(gk_free_blocks && !gk_free_blocks->next);
}

static void test_strict_reader(void) {
    static const char *const good[] = {
        "null", " true ", "-0", "0.5e-7", "1E+9", "\"\"", "\"\\u00e9\\ud83d\\ude00\\/\"", "[]", "[1, [2], {\"a\":{}}]",
        "{\"a\":1,\"a\":2}", "\t\r\n[ ]\n",
    };
    static const char *const bad[] = {
        "", " ", "nul", "truex", "01", "-", "1.", ".5", "1e", "+1", "0x1", "NaN", "\"", "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"",
        "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\n\"", "\"\x80\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"", "[", "]", "[1,]", "[,1]", "[1 2]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "[1}",
        "1 2", "[] x", "'a'", "/**/1",
    };
    gk_value value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) check(gk_parse(gk_cstr(good[i]), &value), __LINE__, gk_cstr(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(!gk_parse(gk_cstr(bad[i]), &value), __LINE__, gk_cstr(bad[i]));
    char deep[2 * (GK_JSON_DEPTH + 1)];
    __builtin_memset(deep, '[', GK_JSON_DEPTH);
    __builtin_memset(deep + GK_JSON_DEPTH, ']', GK_JSON_DEPTH);
    CHECK(gk_parse((gk_str){deep, 2 * GK_JSON_DEPTH}, &value));
    __builtin_memset(deep, '[', GK_JSON_DEPTH + 1);
    __builtin_memset(deep + GK_JSON_DEPTH + 1, ']', GK_JSON_DEPTH + 1);
    CHECK(!gk_parse((gk_str){deep, sizeof deep}, &value));
}

static bool reads_as(const char *json, int64_t number) {
    gk_value value;
    int64_t read;
    return gk_parse(gk_cstr(json), &value) && gk_whole(value, &read) && read == number;
}

static bool is_no_number(const char *json) {
    gk_value value;
    int64_t read;
    return gk_parse(gk_cstr(json), &value) && !gk_whole(value, &read);
}

static void test_values(void) {
    CHECK(reads_as("0", 0) && reads_as("-7", -7) && reads_as("\"42\"", 42));
    CHECK(reads_as("9223372036854775807", INT64_MAX) && reads_as("-9223372036854775808", INT64_MIN));
    CHECK(is_no_number("9223372036854775808") && is_no_number("-9223372036854775809") && is_no_number("1.0"));
    CHECK(is_no_number("\"\"") && is_no_number("\"-\"") && is_no_number("null") && is_no_number("[1]"));
    gk_value object, item;
    CHECK(gk_parse(GK("{\"a\":1,\"b\\u0022\":[true,\"x\\ty\",{}],\"a\":2}"), &object));
    CHECK(gk_equal(gk_get(object, "a").json, GK("2")));
    CHECK(gk_kind_of(gk_get(object, "c")) == GK_ABSENT && gk_kind_of(gk_get(item = gk_get(object, "a"), "a")) == GK_ABSENT);
    gk_items items = gk_each(gk_get(object, "b\""));
    CHECK(gk_next(&items, &item) && gk_true(item));
    CHECK(gk_next(&items, &item) && gk_equal(gk_text(item), GK("x\ty")));
    CHECK(gk_next(&items, &item) && gk_kind_of(item) == GK_OBJECT);
    CHECK(!gk_next(&items, &item));
    items = gk_each((gk_value){0});
    CHECK(!gk_next(&items, &item));
}

static void test_writer(void) {
    gk_writer w = {0};
    gk_object(&w);
    gk_key(&w, "a");
    gk_array(&w);
    gk_int(&w, INT64_MIN);
    gk_bool(&w, false);
    gk_object(&w);
    gk_object_end(&w);
    gk_array_end(&w);
    gk_key(&w, "b");
    gk_string(&w, (gk_str){"<&>\"\\\n\x01\x7f\xff\u2028\u20ac", 15});
    gk_object_end(&w);
    CHECK(gk_equal(gk_done(&w), GK("{\"a\":[-9223372036854775808,false,{}],\"b\":"
                                   "\"\\u003c\\u0026\\u003e\\\"\\\\\\n\\u0001\x7f\\ufffd\\u2028\u20ac\"}")));
    CHECK(gk_equal(gk_args("isbn", (int64_t)5, GK("x"), 1), GK("[5,\"x\",true,null]")));
    gk_writer page = {0};
    gk_put_html(&page, GK("<a href='x'>\"&"));
    CHECK(gk_equal(gk_done(&page), GK("&lt;a href=&#39;x&#39;&gt;&#34;&amp;")));
}

static void test_base64(void) {
    static const char *const pairs[][2] = {{"", "\"\""}, {"f", "\"Zg==\""}, {"fo", "\"Zm8=\""}, {"foo", "\"Zm9v\""}, {"\xfb\xff\xfe", "\"+//+\""}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        gk_writer w = {0};
        gk_str bytes;
        gk_bytes(&w, gk_cstr(pairs[i][0]));
        CHECK(gk_equal(gk_done(&w), gk_cstr(pairs[i][1])));
        CHECK(gk_unbase64((gk_value){gk_done(&w)}, &bytes) && gk_equal(bytes, gk_cstr(pairs[i][0])));
    }
    gk_str bytes;
    CHECK(!gk_unbase64((gk_value){GK("\"abc\"")}, &bytes) && !gk_unbase64((gk_value){GK("\"ab-_\"")}, &bytes));
}

static gk_str run(gk_value args) {
    (void)args;
    passed = 0;
    failure = (gk_writer){0};
    test_heap();
    test_strict_reader();
    test_values();
    test_writer();
    test_base64();
    if (failure.len) return gk_fail(gk_done(&failure));
    gk_writer out = {0};
    gk_object(&out);
    gk_key(&out, "passed");
    gk_int(&out, passed);
    gk_object_end(&out);
    return gk_done(&out);
}

GK_HANDLERS({"run", run})
