/* Host callbacks: what they are told, every way to answer and not to answer, re-entry into the library, finalizers. */
#include "fixture.h"

#include <pthread.h>

#define PLUGIN S("guest-a")
#define ORG "{\"name\":\"org_id\",\"permission\":\"org\",\"access\":\"read\",\"target\":null}"
#define QUERY "{\"query\":\"SELECT 1 FROM ticket\",\"args\":[]}"

/* One callback with a script: what it does, and what it saw. */
enum act {
    ANSWER,           /* set_result(text), OK */
    SILENT,           /* OK without a result */
    FAIL_TEXT,        /* set_error(text), OK */
    FAIL_STATUS,      /* return status */
    FAIL_BOTH,        /* set_error(text), return status */
    RESULT_THEN_STATUS, /* set_result(text), return status */
    TWICE,            /* two results */
    RESULT_AND_ERROR, /* a result, then an error */
    KEEP,             /* PENDING, and nobody answers */
    LATER,            /* PENDING, a thread answers after delay_ms */
    BEFORE_PENDING,   /* set_result, then PENDING */
    SLOW,             /* sleeps delay_ms, then answers */
    RUN               /* calls run(), then answers text */
};
typedef struct script {
    enum act act;
    const char *text;
    int32_t status;
    int delay_ms;
    void (*run)(struct script *);
    const goatflow_plugin_manager *manager;
    const goatflow_plugin_cancellation *cancellation;
    const goatflow_plugin_operation *operation;
    const goatflow_plugin_subscription *subscription;
    /* seen */
    int calls, inside, finalized, answered;
    int32_t reply_status, second_status;
    uint32_t struct_size, depth;
    char plugin[64], service[64], function[64], arguments[512], chain[256], request_id[160], language[32];
    void *host_context;
    int64_t remaining_ms;
    pthread_t thread;
    const goatflow_plugin_reply *kept;
} script;

#define COPY(field) snprintf(self->field, sizeof self->field, "%.*s", (int)host_call->field##_len, host_call->field == NULL ? "" : (const char *)host_call->field)

static void *answer_later(void *argument) {
    script *self = (script *)argument;
    check_sleep_ms(self->delay_ms);
    self->reply_status = goatflow_plugin_reply_set_result(self->kept, B(self->text), NULL);
    add(&self->answered, 1);
    return NULL;
}

static int32_t on_call(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    script *self = (script *)user_data;
    CHECK_INT(get(&self->finalized), 0);
    add(&self->inside, 1);
    self->struct_size = host_call->struct_size;
    self->depth = host_call->depth;
    COPY(plugin);
    COPY(service);
    COPY(function);
    COPY(arguments);
    COPY(chain);
    COPY(request_id);
    COPY(language);
    /* An empty text is NULL or readable, never a made-up address: bindings build slices from it. */
    CHECK(host_call->request_id == NULL || (uintptr_t)host_call->request_id > 4096);
    CHECK(host_call->language == NULL || (uintptr_t)host_call->language > 4096);
    CHECK(host_call->arguments == NULL || (uintptr_t)host_call->arguments > 4096);
    self->host_context = host_call->host_context;
    self->remaining_ms = host_call->remaining_ms;
    self->kept = reply;
    int32_t status = GOATFLOW_PLUGIN_STATUS_OK;
    switch (self->act) {
    case RUN:
        self->run(self);
        check_error_clear();
        /* fall through */
    case ANSWER:
        self->reply_status = goatflow_plugin_reply_set_result(reply, B(self->text), NULL);
        break;
    case SILENT:
        break;
    case FAIL_TEXT:
        self->reply_status = goatflow_plugin_reply_set_error(reply, S(self->text), NULL);
        break;
    case FAIL_STATUS:
        status = self->status;
        break;
    case FAIL_BOTH:
        self->reply_status = goatflow_plugin_reply_set_error(reply, S(self->text), NULL);
        status = self->status;
        break;
    case RESULT_THEN_STATUS:
        self->reply_status = goatflow_plugin_reply_set_result(reply, B(self->text), NULL);
        status = self->status;
        break;
    case TWICE:
        self->reply_status = goatflow_plugin_reply_set_result(reply, B(self->text), NULL);
        self->second_status = goatflow_plugin_reply_set_result(reply, B("{\"second\":1}"), NULL);
        break;
    case RESULT_AND_ERROR:
        self->reply_status = goatflow_plugin_reply_set_result(reply, B(self->text), NULL);
        self->second_status = goatflow_plugin_reply_set_error(reply, S("second"), NULL);
        break;
    case BEFORE_PENDING:
        self->reply_status = goatflow_plugin_reply_set_result(reply, B(self->text), NULL);
        status = GOATFLOW_PLUGIN_REPLY_PENDING;
        break;
    case KEEP:
        status = GOATFLOW_PLUGIN_REPLY_PENDING;
        break;
    case LATER:
        CHECK(pthread_create(&self->thread, NULL, answer_later, self) == 0);
        status = GOATFLOW_PLUGIN_REPLY_PENDING;
        break;
    case SLOW:
        check_sleep_ms(self->delay_ms);
        self->reply_status = goatflow_plugin_reply_set_result(reply, B(self->text), NULL);
        break;
    }
    add(&self->calls, 1);
    add(&self->inside, -1);
    return status;
}

static void on_finalize(void *user_data) {
    script *self = (script *)user_data;
    CHECK_INT(get(&self->inside), 0); /* never while a callback runs */
    add(&self->finalized, 1);
}

/* A script as the function org_id of a fresh manager with guest-a. */
static script *scripted(enum act act, const char *text) {
    script *self = (script *)calloc(1, sizeof *self);
    self->act = act;
    self->text = text;
    self->reply_status = self->second_status = -1;
    self->manager = manager_ready();
    CHECK_OK(goatflow_plugin_manager_declare(self->manager, S(ORG), on_call, self, on_finalize, ERR));
    return self;
}
static void drop(script *self) {
    goatflow_plugin_manager_free(self->manager);
    CHECK_SOON(get(&self->finalized) == 1);
    check_sleep_ms(5);
    CHECK_INT(get(&self->finalized), 1);
    free(self);
}
/* Asks the host through the plugin; the answer or {"failed":…}. */
#define ASK(self, out, error) call((self)->manager, "guest-a", "h_org_id", "{\"a\":1}", (out), (error))

static void told(void) {
    buffer out = BUFFER_INIT;
    CASE("a callback is told who calls what, and answers");
    script *self = scripted(ANSWER, "42");
    int context = 0;
    goatflow_plugin_call_options options = options_init();
    options.host_context = &context;
    options.timeout_ms = 7000;
    options.request_id = "req-1";
    options.request_id_len = 5;
    options.language = "de";
    options.language_len = 2;
    CHECK_OK(goatflow_plugin_manager_call(self->manager, PLUGIN, S("h_org_id"), B("{\"a\":1}"), &options, &out, ERR));
    CHECK_TEXT(out, "42");
    CHECK_INT(self->reply_status, 0);
    CHECK_INT(self->calls, 1);
    CHECK_INT(self->struct_size, sizeof(goatflow_plugin_host_call));
    CHECK_INT(self->depth, 0);
    CHECK(strcmp(self->plugin, "guest-a") == 0);
    CHECK(strcmp(self->service, "custom") == 0);
    CHECK(strcmp(self->function, "org_id") == 0);
    CHECK(strcmp(self->arguments, "{\"a\":1}") == 0);
    CHECK(strcmp(self->chain, "[\"guest-a\"]") == 0);
    CHECK(strcmp(self->request_id, "req-1") == 0);
    CHECK(strcmp(self->language, "de") == 0);
    CHECK(self->host_context == &context);
    CHECK(self->remaining_ms > 0 && self->remaining_ms <= 7000);

    CASE("a call nested in a call keeps context, request and deadline, and names the chain");
    load(self->manager, guest("guest-b.wasm"));
    CHECK_OK(goatflow_plugin_manager_call(self->manager, PLUGIN, S("h_plugin_call"),
                                          B("{\"plugin\":\"guest-b\",\"function\":\"h_org_id\",\"args\":{\"b\":2}}"), &options, &out, ERR));
    CHECK_TEXT(out, "42");
    CHECK_INT(self->depth, 1);
    CHECK(strcmp(self->plugin, "guest-b") == 0);
    CHECK(strcmp(self->chain, "[\"guest-a\",\"guest-b\"]") == 0);
    CHECK(strcmp(self->arguments, "{\"b\":2}") == 0);
    CHECK(strcmp(self->request_id, "req-1") == 0);
    CHECK(self->host_context == &context);
    CHECK(self->remaining_ms > 0 && self->remaining_ms <= 7000);

    CASE("without options the optional things are empty");
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "42");
    CHECK(self->host_context == NULL);
    CHECK(strcmp(self->language, "") == 0 || strcmp(self->language, "en") == 0);
    drop(self);
}

static void answers(void) {
    buffer out = BUFFER_INIT;
    CASE("OK without a result is null");
    script *self = scripted(SILENT, "");
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "null");

    CASE("a callback fails with a text");
    self->act = FAIL_TEXT;
    self->text = "the \"org\" is gone";
    CHECK_OK(ASK(self, &out, ERR));
    CHECK(check_contains((const char *)out.data, out.len, "\"host.failed\""));
    CHECK_CONTAINS(out, "the \\\"org\\\" is gone");
    CHECK_INT(self->reply_status, 0);

    CASE("a callback fails with a status: the plugin sees those of policy and host as they are, others as host.failed");
    self->act = FAIL_STATUS;
    static const struct {
        int32_t status;
        const char *code;
    } statuses[] = {
        {GOATFLOW_PLUGIN_STATUS_HOST_NOT_FOUND, "\"host.not_found\""},
        {GOATFLOW_PLUGIN_STATUS_HOST_DATABASE, "\"host.database\""},
        {GOATFLOW_PLUGIN_STATUS_POLICY_TARGET_DENIED, "\"policy.target_denied\""},
        {GOATFLOW_PLUGIN_STATUS_ARGUMENT_INVALID, "\"host.failed\""},
        {GOATFLOW_PLUGIN_STATUS_PLUGIN_CANCELLED, "\"host.failed\""},
        {GOATFLOW_PLUGIN_STATUS_LIFECYCLE_SHUT_DOWN, "\"host.failed\""},
        {GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_FORKED, "\"host.failed\""},
        {GOATFLOW_PLUGIN_STATUS_INTERNAL_PANIC, "\"host.failed\""},
        {-1, "\"host.failed\""},
        {2, "\"host.failed\""},
        {99, "\"host.failed\""},
        {12345, "\"host.failed\""},
        {INT32_MAX, "\"host.failed\""},
        {INT32_MIN, "\"host.failed\""},
    };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        self->status = statuses[i].status;
        CHECK_OK(ASK(self, &out, ERR));
        CHECK_CONTAINS(out, statuses[i].code);
    }

    CASE("a callback fails with a status and a text");
    self->act = FAIL_BOTH;
    self->text = "no such org";
    self->status = GOATFLOW_PLUGIN_STATUS_HOST_NOT_FOUND;
    CHECK_OK(ASK(self, &out, ERR));
    CHECK(check_contains((const char *)out.data, out.len, "\"host.not_found\""));
    CHECK_CONTAINS(out, "no such org");

    CASE("a result does not count when the callback then fails");
    self->act = RESULT_THEN_STATUS;
    self->text = "\"a result\"";
    CHECK_OK(ASK(self, &out, ERR));
    CHECK(!check_contains((const char *)out.data, out.len, "a result"));
    CHECK_CONTAINS(out, "\"host.not_found\"");

    CASE("a callback answers twice: the first counts, the second is refused");
    self->act = TWICE;
    self->text = "{\"first\":1}";
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "{\"first\":1}");
    CHECK_INT(self->reply_status, 0);
    CHECK_INT(self->second_status, GOATFLOW_PLUGIN_STATUS_LIFECYCLE_TAKEN);
    self->act = RESULT_AND_ERROR;
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "{\"first\":1}");
    CHECK_INT(self->second_status, GOATFLOW_PLUGIN_STATUS_LIFECYCLE_TAKEN);

    CASE("a callback answers with what is not JSON");
    self->act = ANSWER;
    static const char *const broken[] = {"", "{", "nul", "{} {}", "\xff\xfe", "{\"a\":01}", "'x'"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        self->text = broken[i];
        CHECK_OK(ASK(self, &out, ERR));
        CHECK_CONTAINS(out, "\"host.reply_invalid\"");
    }
    self->text = "7";
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "7");

    CASE("a reply is dead after its call");
    CHECK_STATUS(goatflow_plugin_reply_set_result(self->kept, B("1"), ERR), ARGUMENT_HANDLE);
    CHECK_STATUS(goatflow_plugin_reply_set_error(self->kept, S("x"), ERR), ARGUMENT_HANDLE);

    CASE("an answer from another thread");
    self->act = LATER;
    self->text = "{\"later\":true}";
    static const int delays[] = {0, 1, 50};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        self->delay_ms = delays[i];
        for (int n = 0; n < (delays[i] == 0 ? 100 : 3); n++) {
            CHECK_OK(ASK(self, &out, ERR));
            CHECK_TEXT(out, "{\"later\":true}");
            pthread_join(self->thread, NULL);
            CHECK_INT(self->reply_status, 0);
        }
    }

    CASE("an answer before PENDING is returned");
    self->act = BEFORE_PENDING;
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "{\"later\":true}");

    CASE("an answer that never comes ends with the deadline");
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 150;
    self->act = KEEP;
    int64_t before = check_now_ms();
    CHECK_STATUS(goatflow_plugin_manager_call(self->manager, PLUGIN, S("h_org_id"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);
    CHECK(check_now_ms() - before >= 140 && check_now_ms() - before < 3000 * check_slow());
    CHECK_CALL(self->manager, "guest-a", "echo", "{}", "{}");

    CASE("an answer after the deadline is refused and harms nobody");
    CHECK_STATUS(goatflow_plugin_reply_set_result(self->kept, B("1"), ERR), ARGUMENT_HANDLE);
    self->act = LATER;
    self->delay_ms = 300;
    CHECK_STATUS(goatflow_plugin_manager_call(self->manager, PLUGIN, S("h_org_id"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);
    CHECK_CALL(self->manager, "guest-a", "echo", "{}", "{}");
    pthread_join(self->thread, NULL);
    CHECK_INT(self->reply_status, GOATFLOW_PLUGIN_STATUS_ARGUMENT_HANDLE);
    self->act = SLOW;
    CHECK_STATUS(goatflow_plugin_manager_call(self->manager, PLUGIN, S("h_org_id"), B("{}"), &options, &out, ERR), PLUGIN_DEADLINE);

    CASE("an answer that never comes ends with cancellation");
    self->act = KEEP;
    const goatflow_plugin_operation *operation = NULL;
    CHECK_OK(goatflow_plugin_manager_call_async(self->manager, PLUGIN, S("h_org_id"), B("{}"), NULL, NULL, NULL, NULL, &operation, ERR));
    check_sleep_ms(30);
    CHECK_OK(goatflow_plugin_operation_cancel(operation, ERR));
    CHECK_STATUS(goatflow_plugin_operation_wait(operation, UINT64_MAX, &out, ERR), PLUGIN_CANCELLED);
    goatflow_plugin_operation_free(operation);

    CASE("a manager freed while an answer is pending: the finalizer waits for the call");
    options.timeout_ms = 200;
    CHECK_OK(goatflow_plugin_manager_call_async(self->manager, PLUGIN, S("h_org_id"), B("{}"), &options, NULL, NULL, NULL, &operation, ERR));
    check_sleep_ms(30);
    goatflow_plugin_manager_free(self->manager);
    int32_t status = goatflow_plugin_operation_wait(operation, UINT64_MAX, &out, ERR);
    CHECK_ANY(status, PLUGIN_DEADLINE, PLUGIN_CANCELLED, LIFECYCLE_SHUT_DOWN);
    goatflow_plugin_operation_free(operation);
    drop(self);
}

static void providers(void) {
    buffer out = BUFFER_INIT;
    CASE("the host provides every service, and gives it back");
    static const struct {
        const char *service, *function, *arguments, *answer, *expected;
    } services[] = {
        {"db", "h_db_query", QUERY, "[{\"n\":1}]", "[{\"n\":1}]"},
        {"db", "h_db_exec", "{\"query\":\"DELETE FROM ticket WHERE id = ?\",\"args\":[1]}", "{\"affected\":3}", "{\"affected\":3}"},
        {"cache", "h_cache_get", "{\"key\":\"k\"}", "{\"found\":false,\"value\":null}", "{\"found\":false,\"value\":null}"},
        {"http", "h_http_request", "{\"method\":\"GET\",\"url\":\"https://example.org/\"}", "{\"body\":null,\"status\":200}", "{\"body\":null,\"status\":200}"},
        {"email", "h_send_email", "{\"to\":\"a@example.org\",\"subject\":\"s\",\"body\":\"b\",\"html\":false}", "{\"ok\":true}", "{\"ok\":true}"},
        {"config", "h_config_get", "{\"key\":\"app.name\"}", "{\"value\":\"v\"}", "{\"value\":\"v\"}"},
        {"translate", "h_translate", "{\"key\":\"k\",\"args\":[]}", "{\"value\":\"t\"}", "{\"value\":\"t\"}"},
        {"log", "h_log", "{\"level\":\"info\",\"message\":\"m\",\"fields\":{}}", "{\"ok\":true}", "{\"ok\":true}"},
        {"event", "h_publish_event", "{\"channel\":\"c\",\"event_type\":\"t\",\"data\":{}}", "{\"status\":\"ok\"}", "{\"status\":\"ok\"}"},
    };
    const goatflow_plugin_manager *manager = manager_ready();
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        script self;
        memset(&self, 0, sizeof self);
        self.act = ANSWER;
        self.text = services[i].answer;
        CHECK_OK(goatflow_plugin_manager_provide(manager, S(services[i].service), on_call, &self, on_finalize, ERR));
        CHECK_OK(call(manager, "guest-a", services[i].function, services[i].arguments, &out, ERR));
        if (!check_buffer_is(&out, services[i].expected))
            CHECK_FAIL("%s answered %.*s", services[i].function, (int)out.len, (const char *)out.data);
        goatflow_plugin_buffer_free(&out);
        CHECK_INT(self.calls, 1);
        CHECK(strcmp(self.service, services[i].service) == 0);
        CHECK(strcmp(self.function, services[i].function + 2) == 0);
        CHECK(strcmp(self.plugin, "guest-a") == 0);
        CHECK_INT(get(&self.finalized), 0);
        CHECK_OK(goatflow_plugin_manager_provide(manager, S(services[i].service), NULL, NULL, NULL, ERR));
        CHECK_SOON(get(&self.finalized) == 1);
        CHECK_OK(call(manager, "guest-a", services[i].function, services[i].arguments, &out, ERR)); /* the built-in provider, or none */
        goatflow_plugin_buffer_free(&out);
        CHECK_INT(self.calls, 1);
        check_sleep_ms(2);
        CHECK_INT(get(&self.finalized), 1);
    }

    CASE("a finalizer given with a NULL callback runs once");
    script nobody;
    memset(&nobody, 0, sizeof nobody);
    CHECK_OK(goatflow_plugin_manager_provide(manager, S("db"), NULL, &nobody, on_finalize, ERR));
    CHECK_SOON(get(&nobody.finalized) == 1);

    CASE("replacing a callback finalizes the one before, once");
    enum { ROUNDS = 50 };
    static script many[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        many[i].act = ANSWER;
        many[i].text = "[{\"n\":1}]";
        CHECK_OK(goatflow_plugin_manager_provide(manager, S("db"), on_call, &many[i], on_finalize, ERR));
        CHECK_CALL(manager, "guest-a", "h_db_query", QUERY, "[{\"n\":1}]");
        if (i > 0) CHECK_SOON(get(&many[i - 1].finalized) == 1);
        CHECK_INT(get(&many[i].finalized), 0);
    }

    CASE("the sandbox stands before the callback");
    CHECK_OK(goatflow_plugin_policy_set(manager, PLUGIN, S("{\"version\":1,\"status\":\"approved\",\"permissions\":[{\"type\":\"db\",\"access\":\"read\",\"scope\":[\"queue\"]}]}"), ANY_REVISION, NULL, ERR));
    int calls = many[ROUNDS - 1].calls;
    CHECK_OK(call(manager, "guest-a", "h_db_query", QUERY, &out, ERR));
    CHECK_CONTAINS(out, "\"policy.sql.table_denied\"");
    CHECK_OK(call(manager, "guest-a", "h_db_exec", "{\"query\":\"DELETE FROM queue\"}", &out, ERR));
    CHECK_CONTAINS(out, "{\"failed\":{");
    CHECK_INT(many[ROUNDS - 1].calls, calls);
    goatflow_plugin_manager_free(manager);
    CHECK_SOON(get(&many[ROUNDS - 1].finalized) == 1);
    for (int i = 0; i < ROUNDS; i++) CHECK_INT(get(&many[i].finalized), 1);
}

static void declarations(void) {
    buffer out = BUFFER_INIT;
    CASE("a function nobody declared is denied");
    const goatflow_plugin_manager *manager = manager_ready();
    CHECK_OK(call(manager, "guest-a", "h_org_id", "{}", &out, ERR));
    CHECK_CONTAINS(out, "\"policy.function_unknown\"");

    CASE("a declared function needs its permission, and its target must be in scope");
    script self;
    memset(&self, 0, sizeof self);
    self.act = ANSWER;
    self.text = "1";
    CHECK_OK(goatflow_plugin_manager_declare(manager, S("{\"name\":\"org_set\",\"permission\":\"org\",\"access\":\"write\",\"target\":\"/org/id\"}"), on_call, &self, on_finalize, ERR));
    CHECK_OK(goatflow_plugin_policy_set(manager, PLUGIN, S("{\"version\":1,\"status\":\"approved\",\"permissions\":[]}"), ANY_REVISION, NULL, ERR));
    CHECK_OK(call(manager, "guest-a", "h_org_set", "{\"org\":{\"id\":\"north\"}}", &out, ERR));
    CHECK_CONTAINS(out, "\"policy.permission_missing\"");
    CHECK_OK(goatflow_plugin_policy_set(manager, PLUGIN, S("{\"version\":1,\"status\":\"approved\",\"permissions\":[{\"type\":\"org\",\"access\":\"read\",\"scope\":[\"*\"]}]}"), ANY_REVISION, NULL, ERR));
    CHECK_OK(call(manager, "guest-a", "h_org_set", "{\"org\":{\"id\":\"north\"}}", &out, ERR));
    CHECK_CONTAINS(out, "\"policy.permission_missing\"");
    CHECK_OK(goatflow_plugin_policy_set(manager, PLUGIN, S("{\"version\":1,\"status\":\"approved\",\"permissions\":[{\"type\":\"org\",\"access\":\"write\",\"scope\":[\"north\"]}]}"), ANY_REVISION, NULL, ERR));
    CHECK_OK(call(manager, "guest-a", "h_org_set", "{\"org\":{\"id\":\"south\"}}", &out, ERR));
    CHECK_CONTAINS(out, "\"policy.target_denied\"");
    static const char *const no_target[] = {"{}", "{\"org\":{}}", "{\"org\":\"north\"}", "{\"org\":{\"id\":[\"north\"]}}", "{\"org\":{\"id\":null}}",
                                            "{\"org\":{\"id\":\"south\"},\"org\":{\"id\":\"north\"}}", "{\"org\":{\"id\":\"north\",\"id\":\"south\"}}", "{\"org/id\":\"north\"}"};
    for (size_t i = 0; i < sizeof no_target / sizeof no_target[0]; i++) {
        CHECK_OK(call(manager, "guest-a", "h_org_set", no_target[i], &out, ERR));
        /* A repeated key must never let one value be checked and another be handed on: refused, or what was checked. */
        if (get(&self.calls) != 0) {
            CHECK(strcmp(self.arguments, "{\"org\":{\"id\":\"north\"}}") == 0);
            set(&self.calls, 0);
        } else {
            CHECK(check_contains((const char *)out.data, out.len, "{\"failed\":{"));
        }
        goatflow_plugin_buffer_free(&out);
    }
    CHECK_INT(self.calls, 0);
    CHECK_CALL(manager, "guest-a", "h_org_set", "{\"org\":{\"id\":\"north\"}}", "1");
    CHECK_INT(self.calls, 1);

    CASE("declaring a name again: refused or replaced, each finalizer once");
    script second;
    memset(&second, 0, sizeof second);
    second.act = ANSWER;
    second.text = "2";
    int32_t status = goatflow_plugin_manager_declare(manager, S("{\"name\":\"org_set\",\"permission\":\"org\",\"access\":\"write\",\"target\":\"/org/id\"}"), on_call, &second, on_finalize, ERR);
    if (status == 0) CHECK_SOON(get(&self.finalized) == 1);
    else CHECK_INT(get(&second.finalized), 1);
    CHECK_CALL(manager, "guest-a", "h_org_set", "{\"org\":{\"id\":\"north\"}}", status == 0 ? "2" : "1");
    goatflow_plugin_manager_free(manager);
    CHECK_SOON(get(&self.finalized) == 1 && get(&second.finalized) == 1);
}

/* What callbacks do to the library while a plugin waits for them. */
static const goatflow_plugin_manager *inner;

static void run_calls(script *self) {
    buffer out = BUFFER_INIT;
    CHECK_STATUS(call(self->manager, "guest-a", "echo", "{}", &out, ERR), LIFECYCLE_REENTRANT);
    CHECK(strstr(goatflow_plugin_error_message(check_error), "guest-a") != NULL);
    CHECK_CALL(self->manager, "guest-b", "echo", "{\"b\":1}", "{\"b\":1}");
    CHECK_CALL(inner, "guest-a", "echo", "{\"c\":1}", "{\"c\":1}");
    const goatflow_plugin_function *function = NULL;
    CHECK_OK(goatflow_plugin_function_resolve(self->manager, S("guest-a"), S("echo"), &function, ERR));
    CHECK_STATUS(goatflow_plugin_function_call(function, B("{}"), NULL, &out, ERR), LIFECYCLE_REENTRANT);
    goatflow_plugin_function_free(function);
}
static void run_async_on_self(script *self) {
    /* Waits for a call that can only begin when this callback has returned: must end by itself, never hang. */
    buffer out = BUFFER_INIT;
    const goatflow_plugin_operation *operation = NULL;
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 200;
    CHECK_OK(goatflow_plugin_manager_call_async(self->manager, S("guest-a"), S("echo"), B("{}"), &options, NULL, NULL, NULL, &operation, ERR));
    int32_t status = goatflow_plugin_operation_wait(operation, 10000, &out, ERR);
    CHECK(status == GOATFLOW_PLUGIN_STATUS_PLUGIN_DEADLINE || status == GOATFLOW_PLUGIN_STATUS_LIFECYCLE_REENTRANT ||
          status == GOATFLOW_PLUGIN_STATUS_LIFECYCLE_DEADLOCK || status == GOATFLOW_PLUGIN_STATUS_LIFECYCLE_BUSY ||
          status == GOATFLOW_PLUGIN_STATUS_LIFECYCLE_IN_CALLBACK);
    goatflow_plugin_operation_free(operation);
    CHECK_OK(goatflow_plugin_manager_call_async(self->manager, S("guest-b"), S("echo"), B("{}"), &options, NULL, NULL, NULL, &operation, ERR));
    CHECK_OK(goatflow_plugin_operation_wait(operation, 10000, &out, ERR));
    CHECK_TEXT(out, "{}");
    goatflow_plugin_operation_free(operation);
}
static void event_ignored(void *user_data, const char *event, size_t event_len) { (void)user_data, (void)event, (void)event_len; }
static void run_administration(script *self) {
    buffer out = BUFFER_INIT;
    CHECK_OK(goatflow_plugin_manager_list(self->manager, &out, ERR));
    CHECK_CONTAINS(out, "guest-a");
    CHECK_OK(goatflow_plugin_manager_stats(self->manager, S("guest-a"), &out, ERR));
    goatflow_plugin_buffer_free(&out);
    CHECK_OK(goatflow_plugin_manager_stats(self->manager, EMPTY, &out, ERR));
    goatflow_plugin_buffer_free(&out);
    CHECK_OK(goatflow_plugin_manager_logs(self->manager, EMPTY, &out, ERR));
    goatflow_plugin_buffer_free(&out);
    CHECK_OK(goatflow_plugin_manager_clear_logs(self->manager, ERR));
    CHECK_OK(goatflow_plugin_manager_registration(self->manager, S("guest-a"), &out, ERR));
    goatflow_plugin_buffer_free(&out);
    CHECK_OK(goatflow_plugin_policy_get(self->manager, S("guest-a"), &out, ERR));
    goatflow_plugin_buffer_free(&out);
    CHECK_OK(goatflow_plugin_policy_set(self->manager, S("guest-a"), S(EVERYTHING "}"), ANY_REVISION, NULL, ERR));
    CHECK_OK(goatflow_plugin_manager_unload(self->manager, S("guest-b"), 5000, ERR));
    load(self->manager, guest("guest-b.wasm"));
    const goatflow_plugin_subscription *subscription = NULL;
    CHECK_OK(goatflow_plugin_subscription_new(self->manager, EMPTY, event_ignored, NULL, NULL, &subscription, ERR));
    goatflow_plugin_subscription_free(subscription);
}
static void run_disable_self(script *self) {
    /* Drains the plugin whose call waits for us: must not wait for ever, nor for a time longer than given. */
    int64_t before = check_now_ms();
    int32_t status = goatflow_plugin_manager_disable(self->manager, S("guest-a"), 50, ERR);
    CHECK_ANY(status, OK, LIFECYCLE_BUSY, LIFECYCLE_IN_CALLBACK);
    CHECK_OK(goatflow_plugin_manager_enable(self->manager, S("guest-a"), ERR));
    status = goatflow_plugin_manager_disable(self->manager, S("guest-a"), UINT64_MAX, ERR);
    CHECK_ANY(status, LIFECYCLE_BUSY, LIFECYCLE_IN_CALLBACK, LIFECYCLE_IN_CALLBACK);
    CHECK(check_now_ms() - before < 5000 * check_slow());
    CHECK_OK(goatflow_plugin_manager_enable(self->manager, S("guest-a"), ERR));
}
static void run_unload_self(script *self) {
    int64_t before = check_now_ms();
    int32_t status = goatflow_plugin_manager_unload(self->manager, S("guest-a"), UINT64_MAX, ERR);
    CHECK_ANY(status, OK, LIFECYCLE_BUSY, LIFECYCLE_IN_CALLBACK);
    CHECK(check_now_ms() - before < 5000 * check_slow());
}
static void run_shutdown(script *self) {
    buffer report = BUFFER_INIT;
    int64_t before = check_now_ms();
    int32_t status = goatflow_plugin_manager_shutdown(self->manager, UINT64_MAX, &report, ERR);
    CHECK_ANY(status, OK, LIFECYCLE_BUSY, LIFECYCLE_IN_CALLBACK);
    CHECK(check_now_ms() - before < 5000 * check_slow());
    goatflow_plugin_buffer_free(&report);
}
static void run_free_manager(script *self) {
    goatflow_plugin_manager_free(self->manager);
    buffer out = BUFFER_INIT;
    CHECK_STATUS(goatflow_plugin_manager_list(self->manager, &out, ERR), ARGUMENT_HANDLE);
    CHECK_STATUS(call(self->manager, "guest-b", "echo", "{}", &out, ERR), ARGUMENT_HANDLE);
}
static script replacement;
static void run_replace_self(script *self) {
    /* The callback that runs is replaced: its finalizer must wait until it has returned. */
    int32_t status = goatflow_plugin_manager_provide(self->manager, S("db"), on_call, &replacement, on_finalize, ERR);
    CHECK_INT(status, 0);
    check_sleep_ms(20);
    CHECK_INT(get(&self->finalized), 0);
}
static void run_cancel_self(script *self) { CHECK_OK(goatflow_plugin_cancellation_cancel(self->cancellation, ERR)); }
static void run_free_cancellation(script *self) { goatflow_plugin_cancellation_free(self->cancellation); }

static void reentry(void) {
    buffer out = BUFFER_INIT;
    CASE("a callback calls back: the plugin that waits is refused, all others answer");
    inner = manager_ready();
    script *self = scripted(RUN, "\"ran\"");
    load(self->manager, guest("guest-b.wasm"));
    self->run = run_calls;
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "\"ran\"");

    CASE("a callback starts asynchronous calls and waits for them");
    self->run = run_async_on_self;
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "\"ran\"");

    CASE("a callback administers: lists, policies, loads and unloads others, subscribes");
    self->run = run_administration;
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "\"ran\"");

    CASE("a callback disables the plugin that waits for it");
    self->run = run_disable_self;
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "\"ran\"");

    CASE("a callback cancels the call it belongs to, or frees its cancellation");
    goatflow_plugin_call_options options = options_init();
    CHECK_OK(goatflow_plugin_cancellation_new(&self->cancellation, ERR));
    options.cancellation = self->cancellation;
    self->run = run_cancel_self;
    CHECK_STATUS(goatflow_plugin_manager_call(self->manager, PLUGIN, S("h_org_id"), B("{}"), &options, &out, ERR), PLUGIN_CANCELLED);
    goatflow_plugin_cancellation_free(self->cancellation);
    CHECK_OK(goatflow_plugin_cancellation_new(&self->cancellation, ERR));
    options.cancellation = self->cancellation;
    self->run = run_free_cancellation;
    CHECK_OK(goatflow_plugin_manager_call(self->manager, PLUGIN, S("h_org_id"), B("{}"), &options, &out, ERR));
    CHECK_TEXT(out, "\"ran\"");

    CASE("a callback unloads the plugin that waits for it: no hang");
    self->run = run_unload_self;
    CHECK_OK(ASK(self, &out, ERR));
    CHECK_TEXT(out, "\"ran\"");
    int32_t status = call(self->manager, "guest-a", "echo", "{}", &out, ERR);
    CHECK_ANY(status, OK, LIFECYCLE_PLUGIN_NOT_FOUND, LIFECYCLE_DISABLED);
    goatflow_plugin_buffer_free(&out);
    drop(self);

    CASE("a callback shuts the manager down: no hang, the call ends");
    self = scripted(RUN, "\"ran\"");
    self->run = run_shutdown;
    status = ASK(self, &out, ERR);
    CHECK_ANY(status, OK, LIFECYCLE_SHUT_DOWN, PLUGIN_CANCELLED);
    goatflow_plugin_buffer_free(&out);
    drop(self);

    CASE("a callback frees the manager: the call ends, the finalizer runs after it");
    self = scripted(RUN, "\"ran\"");
    self->run = run_free_manager;
    status = ASK(self, &out, ERR);
    CHECK_ANY(status, OK, LIFECYCLE_SHUT_DOWN, PLUGIN_CANCELLED);
    goatflow_plugin_buffer_free(&out);
    drop(self);

    CASE("a callback replaces itself: its finalizer waits until it has returned");
    const goatflow_plugin_manager *manager = manager_ready();
    script first;
    memset(&first, 0, sizeof first);
    first.act = RUN;
    first.text = replacement.text = "[{\"n\":1}]";
    first.run = run_replace_self;
    first.manager = manager;
    CHECK_OK(goatflow_plugin_manager_provide(manager, S("db"), on_call, &first, on_finalize, ERR));
    CHECK_CALL(manager, "guest-a", "h_db_query", QUERY, "[{\"n\":1}]");
    CHECK_SOON(get(&first.finalized) == 1);
    CHECK_CALL(manager, "guest-a", "h_db_query", QUERY, "[{\"n\":1}]");
    CHECK_INT(replacement.calls, 1);
    goatflow_plugin_manager_free(manager);
    CHECK_SOON(get(&replacement.finalized) == 1);
    CHECK_INT(get(&first.finalized), 1);
    goatflow_plugin_manager_free(inner);
}

static void plugins_call_plugins(void) {
    buffer out = BUFFER_INIT;
    CASE("A calls B calls A: an error that names the chain, no deadlock");
    const goatflow_plugin_manager *manager = manager_ready();
    load(manager, guest("guest-b.wasm"));
    CHECK_OK(call(manager, "guest-a", "h_plugin_call",
                  "{\"plugin\":\"guest-b\",\"function\":\"h_plugin_call\",\"args\":{\"plugin\":\"guest-a\",\"function\":\"echo\",\"args\":{}}}", &out, ERR));
    CHECK(check_contains((const char *)out.data, out.len, "lifecycle.reentrant"));
    CHECK_CONTAINS(out, "guest-b");
    CHECK_OK(call(manager, "guest-a", "h_plugin_call", "{\"plugin\":\"guest-a\",\"function\":\"echo\",\"args\":{}}", &out, ERR));
    CHECK_CONTAINS(out, "lifecycle.reentrant");
    CHECK_CALL(manager, "guest-a", "h_plugin_call", "{\"plugin\":\"guest-b\",\"function\":\"echo\",\"args\":{\"x\":1}}", "{\"x\":1}");

    CASE("A calls B while B calls A: neither hangs");
    for (int i = 0; i < 10; i++) {
        const goatflow_plugin_operation *a = NULL, *b = NULL;
        goatflow_plugin_call_options options = options_init();
        options.timeout_ms = 3000;
        CHECK_OK(goatflow_plugin_manager_call_async(manager, S("guest-a"), S("h_plugin_call"), B("{\"plugin\":\"guest-b\",\"function\":\"echo\",\"args\":{}}"), &options, NULL, NULL, NULL, &a, ERR));
        CHECK_OK(goatflow_plugin_manager_call_async(manager, S("guest-b"), S("h_plugin_call"), B("{\"plugin\":\"guest-a\",\"function\":\"echo\",\"args\":{}}"), &options, NULL, NULL, NULL, &b, ERR));
        CHECK(goatflow_plugin_operation_wait(a, 20000, &out, ERR) != GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PENDING);
        goatflow_plugin_buffer_free(&out);
        CHECK(goatflow_plugin_operation_wait(b, 20000, &out, ERR) != GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PENDING);
        goatflow_plugin_buffer_free(&out);
        goatflow_plugin_operation_free(a);
        goatflow_plugin_operation_free(b);
    }
    CHECK_CALL(manager, "guest-a", "echo", "{}", "{}");
    CHECK_CALL(manager, "guest-b", "echo", "{}", "{}");

    CASE("a callee that traps or hangs is an error for the caller plugin, not its end");
    CHECK_OK(call(manager, "guest-a", "h_plugin_call", "{\"plugin\":\"guest-b\",\"function\":\"trap\",\"args\":{}}", &out, ERR));
    CHECK_CONTAINS(out, "plugin.trap");
    CHECK_OK(call(manager, "guest-a", "h_plugin_call", "{\"plugin\":\"guest-b\",\"function\":\"recurse\",\"args\":{}}", &out, ERR));
    CHECK_CONTAINS(out, "plugin.stack_exhausted");
    CHECK_OK(call(manager, "guest-a", "h_plugin_call", "{\"plugin\":\"absent\",\"function\":\"x\",\"args\":{}}", &out, ERR));
    CHECK_CONTAINS(out, "lifecycle.plugin_not_found");
    goatflow_plugin_call_options options = options_init();
    options.timeout_ms = 150;
    CHECK_STATUS(goatflow_plugin_manager_call(manager, PLUGIN, S("h_plugin_call"), B("{\"plugin\":\"guest-b\",\"function\":\"spin\",\"args\":{}}"), &options, &out, ERR), PLUGIN_DEADLINE);
    CHECK_CALL(manager, "guest-a", "echo", "{}", "{}");
    CHECK_CALL(manager, "guest-b", "echo", "{}", "{}");
    goatflow_plugin_manager_free(manager);
}

/* Events */
typedef struct events {
    pthread_mutex_t lock;
    int count, finalized, inside;
    char seen[64][512];
    pthread_t thread;
    void (*run)(struct events *);
    const goatflow_plugin_manager *manager;
    const goatflow_plugin_subscription *subscription;
} events;

static void on_event(void *user_data, const char *event, size_t event_len) {
    events *self = (events *)user_data;
    CHECK_INT(get(&self->finalized), 0);
    CHECK_INT(add(&self->inside, 1), 1); /* one at a time */
    CHECK(event != NULL && event_len > 2 && event[0] == '{' && event[event_len - 1] == '}');
    pthread_mutex_lock(&self->lock);
    if (self->count == 0) self->thread = pthread_self();
    if (self->count < 64) snprintf(self->seen[self->count], sizeof self->seen[0], "%.*s", (int)event_len, event);
    pthread_mutex_unlock(&self->lock);
    if (self->run != NULL) self->run(self);
    add(&self->inside, -1);
    add(&self->count, 1);
}
static void events_finalize(void *user_data) {
    events *self = (events *)user_data;
    CHECK_INT(get(&self->inside), 0);
    add(&self->finalized, 1);
}
static events *listen(const goatflow_plugin_manager *manager, const char *filter, void (*run)(events *)) {
    events *self = (events *)calloc(1, sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    self->run = run;
    self->manager = manager;
    CHECK_OK(goatflow_plugin_subscription_new(manager, S(filter), on_event, self, events_finalize, &self->subscription, ERR));
    return self;
}
static void unlisten(events *self) {
    goatflow_plugin_subscription_free(self->subscription);
    CHECK_SOON(get(&self->finalized) == 1);
    check_sleep_ms(2);
    CHECK_INT(get(&self->finalized), 1);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static void event_reenter(events *self) {
    buffer out = BUFFER_INIT;
    CHECK_OK(goatflow_plugin_manager_list(self->manager, &out, ERR));
    goatflow_plugin_buffer_free(&out);
    if (get(&self->count) == 0) CHECK_CALL(self->manager, "guest-a", "echo", "{\"e\":1}", "{\"e\":1}");
    check_error_clear();
}
static void event_free_self(events *self) { goatflow_plugin_subscription_free(self->subscription); }
static void event_free_manager(events *self) { goatflow_plugin_manager_free(self->manager); }
static void event_shutdown(events *self) {
    buffer report = BUFFER_INIT;
    int32_t status = goatflow_plugin_manager_shutdown(self->manager, 2000, &report, ERR);
    CHECK_ANY(status, OK, LIFECYCLE_IN_CALLBACK, LIFECYCLE_SHUT_DOWN);
    goatflow_plugin_buffer_free(&report);
    check_error_clear();
}
static void event_slow(events *self) {
    (void)self;
    check_sleep_ms(50);
}

static void subscriptions(void) {
    CASE("events arrive in order, one at a time, filtered");
    const goatflow_plugin_manager *manager = manager_with("");
    events *all = listen(manager, "", NULL);
    events *loads = listen(manager, "{\"kinds\":[\"plugin.loaded\"]}", NULL);
    events *only_b = listen(manager, "{\"plugin\":\"guest-b\"}", NULL);
    load(manager, guest("guest-a.wasm"));
    CHECK_OK(goatflow_plugin_manager_disable(manager, PLUGIN, 1000, ERR));
    CHECK_OK(goatflow_plugin_manager_enable(manager, PLUGIN, ERR));
    CHECK_OK(goatflow_plugin_policy_set(manager, PLUGIN, S(EVERYTHING "}"), ANY_REVISION, NULL, ERR));
    CHECK_OK(goatflow_plugin_manager_unload(manager, PLUGIN, 1000, ERR));
    load(manager, guest("guest-b.wasm"));
    CHECK_SOON(get(&all->count) >= 6 && get(&loads->count) == 2 && get(&only_b->count) >= 1);
    static const char *const order[] = {"plugin.loaded", "plugin.disabled", "plugin.enabled", "policy.changed", "plugin.unloaded", "plugin.loaded"};
    for (int i = 0; i < 6; i++)
        if (strstr(all->seen[i], order[i]) == NULL || strstr(all->seen[i], "\"kind\"") == NULL || strstr(all->seen[i], i < 5 ? "guest-a" : "guest-b") == NULL)
            CHECK_FAIL("event %d is %s", i, all->seen[i]);
    for (int i = 0; i < get(&only_b->count); i++) CHECK(strstr(only_b->seen[i], "guest-b") != NULL && strstr(only_b->seen[i], "guest-a") == NULL);

    CASE("what a plugin publishes, logs and is denied reaches the subscriber");
    events *published = listen(manager, "{\"kinds\":[\"published\",\"log\",\"call.denied\"]}", NULL);
    buffer out = BUFFER_INIT;
    CHECK_CALL(manager, "guest-b", "h_publish_event", "{\"channel\":\"c1\",\"event_type\":\"t1\",\"data\":{\"x\":1}}", "{\"status\":\"ok\"}");
    CHECK_SOON(get(&published->count) >= 1);
    CHECK(strstr(published->seen[0], "\"published\"") != NULL && strstr(published->seen[0], "\"c1\"") != NULL &&
          strstr(published->seen[0], "\"t1\"") != NULL && strstr(published->seen[0], "guest-b") != NULL);
    CHECK_OK(call(manager, "guest-b", "log", "hello from the guest", &out, ERR));
    goatflow_plugin_buffer_free(&out);
    CHECK_SOON(get(&published->count) >= 2);
    CHECK(strstr(published->seen[1], "hello from the guest") != NULL);
    CHECK_OK(call(manager, "guest-b", "h_unheard_of", "{}", &out, ERR));
    goatflow_plugin_buffer_free(&out);
    CHECK_SOON(get(&published->count) >= 3);
    unlisten(published);

    CASE("no event after a subscription was freed");
    int before = get(&all->count);
    check_sleep_ms(20);
    before = get(&all->count);
    goatflow_plugin_subscription_free(all->subscription);
    CHECK_SOON(get(&all->finalized) == 1);
    load(manager, guest("guest-a.wasm"));
    check_sleep_ms(30);
    CHECK_INT(get(&all->count), before);
    unlisten(all);
    unlisten(loads);
    unlisten(only_b);

    CASE("a subscriber re-enters the library");
    events *busy = listen(manager, "{\"kinds\":[\"plugin.disabled\",\"plugin.enabled\"]}", NULL);
    busy->run = event_reenter;
    CHECK_OK(goatflow_plugin_manager_disable(manager, S("guest-b"), 1000, ERR));
    CHECK_OK(goatflow_plugin_manager_enable(manager, S("guest-b"), ERR));
    CHECK_SOON(get(&busy->count) == 2);
    unlisten(busy);

    CASE("a subscriber frees its own subscription");
    events *leaving = listen(manager, "{\"kinds\":[\"plugin.disabled\"]}", NULL);
    leaving->run = event_free_self;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(goatflow_plugin_manager_disable(manager, S("guest-b"), 1000, ERR));
        CHECK_OK(goatflow_plugin_manager_enable(manager, S("guest-b"), ERR));
    }
    CHECK_SOON(get(&leaving->finalized) == 1);
    CHECK(get(&leaving->count) >= 1);
    unlisten(leaving);

    CASE("a slow subscriber does not hold up the library");
    events *slow = listen(manager, "", event_slow);
    int64_t start = check_now_ms();
    for (int i = 0; i < 20; i++) {
        CHECK_OK(goatflow_plugin_manager_disable(manager, S("guest-b"), 1000, ERR));
        CHECK_OK(goatflow_plugin_manager_enable(manager, S("guest-b"), ERR));
    }
    CHECK(check_now_ms() - start < 1000 * check_slow());
    unlisten(slow);

    CASE("a subscriber frees the manager");
    events *last = listen(manager, "{\"kinds\":[\"plugin.disabled\"]}", event_free_manager);
    int32_t status = goatflow_plugin_manager_disable(manager, S("guest-b"), 1000, ERR);
    (void)status; /* the event may win the race */
    CHECK_SOON(get(&last->count) == 1);
    CHECK_STATUS(goatflow_plugin_manager_list(manager, &out, ERR), ARGUMENT_HANDLE);
    unlisten(last);

    CASE("a subscriber shuts the manager down");
    manager = manager_ready();
    events *closing = listen(manager, "{\"kinds\":[\"plugin.disabled\"]}", event_shutdown);
    status = goatflow_plugin_manager_disable(manager, PLUGIN, 1000, ERR);
    CHECK_SOON(get(&closing->count) >= 1);
    goatflow_plugin_manager_free(manager);
    unlisten(closing);
}

/* Finalizers that call the library: they run while nothing of it is locked. */
typedef struct reviver {
    const goatflow_plugin_manager *manager;
    const char *service;
    int finalized, generations;
} reviver;
static void revive(void *user_data) {
    reviver *self = (reviver *)user_data;
    buffer out = BUFFER_INIT;
    int32_t status = goatflow_plugin_manager_list(self->manager, &out, NULL);
    CHECK(status == 0 || status == GOATFLOW_PLUGIN_STATUS_ARGUMENT_HANDLE);
    goatflow_plugin_buffer_free(&out);
    status = call(self->manager, "guest-b", "echo", "{}", &out, NULL);
    CHECK_ANY(status, OK, ARGUMENT_HANDLE, LIFECYCLE_SHUT_DOWN);
    goatflow_plugin_buffer_free(&out);
    goatflow_plugin_manager_logs(self->manager, EMPTY, &out, NULL);
    goatflow_plugin_buffer_free(&out);
    if (add(&self->generations, 1) < 5) { /* registers itself again, from within its own finalizer */
        if (self->service != NULL) goatflow_plugin_manager_provide(self->manager, S(self->service), on_call, self, revive, NULL);
    }
    add(&self->finalized, 1);
}
static void complete_and_free_manager(void *user_data, int32_t status, const uint8_t *result, size_t result_len, const char *error, size_t error_len) {
    script *self = (script *)user_data;
    (void)result, (void)result_len, (void)error, (void)error_len;
    CHECK_INT(status, 0);
    buffer report = BUFFER_INIT;
    int64_t before = check_now_ms();
    if (self->delay_ms) goatflow_plugin_manager_shutdown(self->manager, 5000, &report, NULL);
    CHECK(check_now_ms() - before < 4000 * check_slow()); /* the call is over: nothing to wait for */
    goatflow_plugin_buffer_free(&report);
    goatflow_plugin_manager_free(self->manager);
    goatflow_plugin_manager_free(self->manager);
    add(&self->calls, 1);
}

static void finalizers(void) {
    buffer out = BUFFER_INIT;
    CASE("a finalizer calls the library, and registers again");
    const goatflow_plugin_manager *manager = manager_ready();
    load(manager, guest("guest-b.wasm"));
    static const char *const names[] = {"db", "cache", "log", "event", "translate"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        reviver self;
        memset(&self, 0, sizeof self);
        self.manager = manager;
        self.service = names[i];
        CHECK_OK(goatflow_plugin_manager_provide(manager, S(names[i]), on_call, &self, revive, ERR));
        for (int n = 0; n < 5; n++) {
            CHECK_OK(goatflow_plugin_manager_provide(manager, S(names[i]), NULL, NULL, NULL, ERR));
            CHECK_SOON(get(&self.finalized) == n + 1);
        }
        check_sleep_ms(2);
        CHECK_INT(get(&self.finalized), 5);
    }
    const goatflow_plugin_operation *operation = NULL;
    reviver again;
    memset(&again, 0, sizeof again);
    again.manager = manager;
    again.generations = 100;
    CHECK_STATUS(goatflow_plugin_manager_provide(manager, S("nonsense"), on_call, &again, revive, ERR), ARGUMENT_INVALID);
    CHECK_INT(get(&again.finalized), 1);
    CHECK_OK(goatflow_plugin_manager_declare(manager, S(ORG), on_call, &again, revive, ERR));
    CHECK_OK(goatflow_plugin_manager_call_async(manager, S("guest-b"), S("echo"), B("{}"), NULL, NULL, &again, revive, &operation, ERR));
    CHECK_SOON(get(&again.finalized) == 2);
    goatflow_plugin_operation_free(operation);
    goatflow_plugin_manager_free(manager); /* the declared one, with a dead manager in its hands */
    CHECK_SOON(get(&again.finalized) == 3);

    CASE("a completion frees the manager, or shuts it down first");
    for (int with_shutdown = 0; with_shutdown < 2; with_shutdown++) {
        script self;
        memset(&self, 0, sizeof self);
        self.manager = manager_ready();
        self.delay_ms = with_shutdown;
        CHECK_OK(goatflow_plugin_manager_call_async(self.manager, PLUGIN, S("echo"), B("{}"), NULL, complete_and_free_manager, &self, on_finalize, NULL, ERR));
        CHECK_SOON(get(&self.finalized) == 1);
        CHECK_INT(get(&self.calls), 1);
        CHECK_STATUS(goatflow_plugin_manager_list(self.manager, &out, ERR), ARGUMENT_HANDLE);
    }

    CASE("patience without end ends when there is nothing to wait for");
    manager = manager_ready();
    CHECK_OK(goatflow_plugin_manager_disable(manager, PLUGIN, UINT64_MAX, ERR));
    CHECK_OK(goatflow_plugin_manager_enable(manager, PLUGIN, ERR));
    CHECK_OK(goatflow_plugin_manager_unload(manager, PLUGIN, UINT64_MAX, ERR));
    load(manager, guest("guest-a.wasm"));
    CHECK_OK(goatflow_plugin_manager_shutdown(manager, UINT64_MAX, &out, ERR));
    goatflow_plugin_buffer_free(&out);
    goatflow_plugin_manager_free(manager);
}

/* A call chain that goes through the host: guest-a → callback → guest-b → callback → guest-a … */
static int deepest;
static int32_t descend(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    const goatflow_plugin_manager *manager = *(const goatflow_plugin_manager **)user_data;
    buffer out = BUFFER_INIT;
    if (add(&deepest, 1) > 200) CHECK_FAIL("a chain through the host goes on for ever");
    const char *next = host_call->plugin_len == 7 && memcmp(host_call->plugin, "guest-a", 7) == 0 ? "guest-b" : "guest-a";
    int32_t status = call(manager, next, "h_org_id", "{}", &out, NULL);
    int32_t set_status = status == 0 ? goatflow_plugin_reply_set_result(reply, out.data, out.len, NULL)
                                     : goatflow_plugin_reply_set_error(reply, S(goatflow_plugin_status_slug(status)), NULL);
    goatflow_plugin_buffer_free(&out);
    return set_status;
}
static void chains(void) {
    buffer out = BUFFER_INIT;
    CASE("a chain that goes through the host is still a chain: the second visit is refused at once");
    const goatflow_plugin_manager *manager = manager_ready();
    load(manager, guest("guest-b.wasm"));
    CHECK_OK(goatflow_plugin_manager_declare(manager, S(ORG), descend, &manager, NULL, ERR));
    int64_t before = check_now_ms();
    CHECK_OK(call(manager, "guest-a", "h_org_id", "{}", &out, ERR));
    CHECK_CONTAINS(out, "lifecycle.reentrant");
    CHECK(check_now_ms() - before < 5000 * check_slow());
    CHECK_INT(get(&deepest), 2);

    CASE("long and strange names stay out of the way");
    size_t huge = 1 << 20;
    char *name = (char *)malloc(huge);
    memset(name, 'a', huge);
    CHECK_STATUS(goatflow_plugin_manager_unload(manager, name, huge, 0, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);
    CHECK(strlen(goatflow_plugin_error_message(check_error)) < 1000 && strlen(goatflow_plugin_error_detail(check_error)) < 2000);
    CHECK(strlen(goatflow_plugin_error_plugin(check_error)) < 1000);
    int32_t status = goatflow_plugin_manager_provide(manager, name, huge, on_call, NULL, NULL, ERR);
    CHECK_INT(status, GOATFLOW_PLUGIN_STATUS_ARGUMENT_INVALID);
    CHECK(strlen(goatflow_plugin_error_message(check_error)) < 1000);
    status = goatflow_plugin_manager_load(manager, name, huge, EMPTY, &out, ERR);
    CHECK(status != 0 && strlen(goatflow_plugin_error_message(check_error)) < 10000);
    status = goatflow_plugin_manager_call(manager, PLUGIN, name, huge, B("{}"), NULL, &out, ERR);
    CHECK(status == 0 || strlen(goatflow_plugin_error_message(check_error)) < 1000);
    goatflow_plugin_buffer_free(&out);
    free(name);
    CHECK_STATUS(goatflow_plugin_manager_unload(manager, "a\0b\nc\x1b[31m", 10, 0, ERR), LIFECYCLE_PLUGIN_NOT_FOUND);
    CHECK(strchr(goatflow_plugin_error_message(check_error), '\x1b') == NULL); /* terminals would obey it */
    goatflow_plugin_manager_free(manager);
}

/* Many calls wait for answers at once, answered in a wild order by several threads, some twice, some never. */
enum { PENDING = 64 };
static const goatflow_plugin_reply *pending[PENDING];
static int pending_count, pending_stop;
static int32_t keep_reply(void *user_data, const goatflow_plugin_host_call *host_call, const goatflow_plugin_reply *reply) {
    (void)user_data, (void)host_call;
    __atomic_store_n(&pending[add(&pending_count, 1) % PENDING], reply, __ATOMIC_SEQ_CST);
    return GOATFLOW_PLUGIN_REPLY_PENDING;
}
static void *answer_all(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    while (!get(&pending_stop)) {
        seed = seed * 1664525u + 1013904223u;
        const goatflow_plugin_reply *reply = __atomic_load_n(&pending[(seed >> 16) % PENDING], __ATOMIC_SEQ_CST);
        int32_t status = seed & 1 ? goatflow_plugin_reply_set_result(reply, B("\"x\""), NULL) : goatflow_plugin_reply_set_error(reply, S("no"), NULL);
        if (status != 0 && status != GOATFLOW_PLUGIN_STATUS_ARGUMENT_NULL) CHECK_ANY(status, ARGUMENT_HANDLE, LIFECYCLE_TAKEN, LIFECYCLE_TAKEN);
    }
    return NULL;
}
static void *ask_often(void *argument) {
    const goatflow_plugin_manager *manager = (const goatflow_plugin_manager *)argument;
    buffer out = BUFFER_INIT;
    goatflow_plugin_call_options options = options_init();
    for (int i = 0; i < 200; i++) {
        options.timeout_ms = (uint64_t)(1 + i % 20);
        int32_t status = goatflow_plugin_manager_call(manager, S(i % 2 ? "guest-a" : "guest-b"), S("h_org_id"), B("{}"), &options, &out, NULL);
        CHECK_ANY(status, OK, PLUGIN_DEADLINE, PLUGIN_DEADLINE);
        goatflow_plugin_buffer_free(&out);
    }
    return NULL;
}
static void storm(void) {
    CASE("answers race with deadlines and with each other");
    const goatflow_plugin_manager *manager = manager_ready();
    load(manager, guest("guest-b.wasm"));
    CHECK_OK(goatflow_plugin_manager_declare(manager, S(ORG), keep_reply, NULL, NULL, ERR));
    pthread_t answering[3], asking[6];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&answering[i], NULL, answer_all, (void *)(uintptr_t)(i + 1)) == 0);
    for (int i = 0; i < 6; i++) CHECK(pthread_create(&asking[i], NULL, ask_often, (void *)(uintptr_t)manager) == 0);
    for (int i = 0; i < 6; i++) pthread_join(asking[i], NULL);
    set(&pending_stop, 1);
    for (int i = 0; i < 3; i++) pthread_join(answering[i], NULL);
    CHECK(get(&pending_count) > 0);
    CHECK_CALL(manager, "guest-a", "echo", "{}", "{}");
    goatflow_plugin_manager_free(manager);
}

int main(void) {
    told();
    answers();
    providers();
    declarations();
    reentry();
    plugins_call_plugins();
    subscriptions();
    finalizers();
    chains();
    storm();
    check_error_clear();
    return check_done();
}
