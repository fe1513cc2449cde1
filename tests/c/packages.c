/* Packages, trust and raw signatures: what holds, and every argument wrong. */
#include <sys/stat.h>

#include "fixture.h"

typedef const goatflow_plugin_manager *manager_t;

static buffer out;
static char place[512];

static manager_t make_manager(void) {
    char config[2048];
    manager_t manager = NULL;
    snprintf(config, sizeof config,
             "{%s\"packages\":{\"directory\":\"%s/plugins\",\"trust_file\":\"%s/trust.json\"}}",
             signals_off() ? "\"signals\":\"off\"," : "", place, place);
    CHECK_OK(goatflow_plugin_manager_new(S(config), &manager, ERR));
    return manager;
}

#define KEY "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static void trust(manager_t m) {
    CASE("keys are trusted once, and revoked");
    CHECK_STATUS(goatflow_plugin_trust_list(m, &out, ERR), SIGNATURE_TRUST_UNREADABLE);
    static const char entry[] = "{\"public_key\":\"" KEY "\",\"label\":\"a\",\"names\":[\"*\"]}";
    CHECK_OK(goatflow_plugin_trust_add(m, S(entry), &out, ERR));
    goatflow_plugin_buffer_free(&out);
    CHECK_STATUS(goatflow_plugin_trust_add(m, S(entry), &out, ERR), SIGNATURE_TRUST_CONFLICT);
    CHECK_STATUS(goatflow_plugin_trust_add(m, S("{}"), &out, ERR), SIGNATURE_TRUST_INVALID);
    CHECK_STATUS(goatflow_plugin_trust_add(m, EMPTY, &out, ERR), SIGNATURE_TRUST_INVALID);
    CHECK_STATUS(goatflow_plugin_trust_revoke(m, S("{}"), &out, ERR), ARGUMENT_INVALID);
    CHECK_STATUS(goatflow_plugin_trust_revoke(m, S("[]"), &out, ERR), ARGUMENT_JSON);
    CHECK_STATUS(goatflow_plugin_trust_revoke(m, S("{\"key\":\"b\"}"), &out, ERR), SIGNATURE_TRUST_CONFLICT);
    CHECK_OK(goatflow_plugin_trust_revoke(m, S("{\"key\":\"a\",\"reason\":\"lost\"}"), &out, ERR));
    CHECK_CONTAINS(out, "\"reason\":\"lost\"");
    goatflow_plugin_buffer_free(&out);
    CHECK_OK(goatflow_plugin_trust_list(m, &out, NULL));
    CHECK_CONTAINS(out, KEY);
    goatflow_plugin_buffer_free(&out);
}

static void packages(manager_t m) {
    CASE("what is not installed is told");
    CHECK_OK(goatflow_plugin_package_list(m, &out, ERR));
    CHECK_TEXT(out, "[]");
    CHECK_STATUS(goatflow_plugin_package_load(m, S("none"), ERR), PACKAGE_NOT_INSTALLED);
    CHECK_STATUS(goatflow_plugin_package_load(m, S("../none"), ERR), PACKAGE_NAME_INVALID);
    CHECK_STATUS(goatflow_plugin_package_rollback(m, S("none"), &out, ERR), PACKAGE_NOT_INSTALLED);
    CHECK_STATUS(goatflow_plugin_package_approve(m, S("none"), EMPTY, &out, ERR), PACKAGE_NOT_INSTALLED);
    CHECK_STATUS(goatflow_plugin_package_remove(m, S("none"), EMPTY, &out, ERR), PACKAGE_NOT_INSTALLED);
    CHECK_STATUS(goatflow_plugin_asset_list(m, S("none"), &out, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);
    CHECK_STATUS(goatflow_plugin_asset_read(m, S("none"), S("x"), &out, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);

    CASE("what is no package is refused");
    CHECK_STATUS(goatflow_plugin_package_inspect(m, S("/none.zip"), &out, ERR), PACKAGE_NOT_FOUND);
    CHECK_STATUS(goatflow_plugin_package_install(m, S("/none.zip"), EMPTY, &out, ERR), PACKAGE_NOT_FOUND);
    CHECK_STATUS(goatflow_plugin_package_install(m, S("/none.zip"), S("{\"force\":true}"), &out, ERR), ARGUMENT_JSON);
    CHECK_STATUS(goatflow_plugin_package_inspect(m, S("/dev/zero"), &out, ERR), ENVIRONMENT_IO);
}

static void arguments(manager_t m) {
    CASE("NULL, text that is no text and handles that are none");
    CHECK_STATUS(goatflow_plugin_package_list(NULL, &out, ERR), ARGUMENT_NULL);
    CHECK_STATUS(goatflow_plugin_package_list((manager_t)(uintptr_t)8, &out, ERR), ARGUMENT_HANDLE);
    CHECK_STATUS(goatflow_plugin_package_list(m, NULL, ERR), ARGUMENT_NULL);
#define TEXT_ARGUMENT(F)                                       \
    do {                                                       \
        CHECK_STATUS(F((const char *)NULL, 1), ARGUMENT_NULL); \
        CHECK_STATUS(F("\xff", 1), ARGUMENT_UTF8);             \
        CHECK_STATUS(F("x", SIZE_MAX), ARGUMENT_TOO_LARGE);    \
    } while (0)
#define F(text, len) goatflow_plugin_package_inspect(m, (text), (len), &out, ERR)
    TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_package_install(m, (text), (len), EMPTY, &out, ERR)
    TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_package_install(m, S("x"), (text), (len), &out, ERR)
    TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_package_load(m, (text), (len), ERR)
    TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_package_remove(m, S("x"), (text), (len), &out, ERR)
    TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_asset_read(m, S("x"), (text), (len), &out, ERR)
    TEXT_ARGUMENT(F);
#undef F
#define F(text, len) goatflow_plugin_trust_add(m, (text), (len), &out, ERR)
    TEXT_ARGUMENT(F);
#undef F
}

static void signatures(void) {
    CASE("raw signatures: RFC 8032 test 1, one bit off, S + L, wrong lengths");
    uint8_t key[32], signature[64];
    static const char signature_hex[] =
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    for (int i = 0; i < 32; i++) sscanf(KEY + 2 * i, "%2hhx", &key[i]);
    for (int i = 0; i < 64; i++) sscanf(signature_hex + 2 * i, "%2hhx", &signature[i]);
    int32_t valid = 7;
    CHECK_OK(goatflow_plugin_signature_check(key, 32, NULL, 0, signature, 64, &valid, ERR));
    CHECK_INT(valid, 1);
    CHECK_OK(goatflow_plugin_signature_check(key, 32, (const uint8_t *)"x", 1, signature, 64, &valid, ERR));
    CHECK_INT(valid, 0);
    CHECK_OK(goatflow_plugin_signature_check(key, 31, NULL, 0, signature, 64, &valid, ERR));
    CHECK_INT(valid, 0);
    CHECK_OK(goatflow_plugin_signature_check(key, 32, NULL, 0, signature, 63, &valid, ERR));
    CHECK_INT(valid, 0);
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                      0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    unsigned carry = 0;
    for (int i = 0; i < 32; i++) {
        carry += signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    CHECK_OK(goatflow_plugin_signature_check(key, 32, NULL, 0, signature, 64, &valid, ERR));
    CHECK_INT(valid, 0);
    CHECK_STATUS(goatflow_plugin_signature_check(key, 32, NULL, 0, signature, 64, NULL, ERR), ARGUMENT_NULL);
    CHECK_STATUS(goatflow_plugin_signature_check(NULL, 32, NULL, 0, signature, 64, &valid, ERR), ARGUMENT_NULL);
}

int main(void) {
    snprintf(place, sizeof place, "%s/packages-XXXXXX", fixture_env("GOATFLOW_TEST_GUESTS"));
    if (mkdtemp(place) == NULL) return 2;
    chmod(place, 0755);
    manager_t m = make_manager();
    trust(m);
    packages(m);
    arguments(m);
    signatures();
    goatflow_plugin_manager_free(m);
    check_error_clear();
    return check_done();
}
