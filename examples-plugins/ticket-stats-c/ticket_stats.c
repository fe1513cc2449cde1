/*
 * A GoatFlow plugin that counts tickets per queue and per state. Its twin ticket-stats-go is written in Go and gives the
 * same answers, byte by byte.
 */
#include "goatflow_guest.h"

GK_REGISTRATION({
    "name": "ticket-stats-c",
    "version": "1.0.0",
    "description": "Counts tickets per queue and per state",
    "author": "GoatKit",
    "license": "Apache-2.0",
    "homepage": "https://github.com/goatkit/goatflow-plugin",
    "routes": [
        {"method": "GET", "path": "/api/plugins/ticket-stats-c/overview", "handler": "overview",
         "middleware": ["auth"], "description": "Tickets per queue and per state"},
        {"method": "GET", "path": "/api/plugins/ticket-stats-c/tickets/:id", "handler": "ticket",
         "middleware": ["auth"], "description": "One ticket"}
    ],
    "menu_items": [
        {"id": "ticket-stats-c", "label": "Ticket statistics", "icon": "chart-bar",
         "path": "/api/plugins/ticket-stats-c/overview", "location": "agent", "order": 50}
    ],
    "widgets": [
        {"id": "ticket-stats-c", "title": "Ticket statistics", "description": "Tickets per queue", "handler": "widget",
         "location": "dashboard", "size": "medium", "refreshable": true, "refresh_sec": 60}
    ],
    "jobs": [
        {"id": "refresh", "handler": "refresh", "schedule": "*/5 * * * *",
         "description": "Keeps the overview in the cache", "enabled": true, "timeout": "30s"}
    ],
    "i18n": {
        "languages": ["en", "de"],
        "translations": {
            "en": {"title": "Ticket statistics", "tickets": "Tickets"},
            "de": {"title": "Ticketstatistik", "tickets": "Tickets"}
        }
    },
    "error_codes": [
        {"code": "no_such_ticket", "message": "There is no such ticket", "http_status": 404}
    ]
})

/* The most tickets first, equal numbers by name, queues and states without a ticket last. */
#define PER_QUEUE \
    "SELECT q.name AS queue, COUNT(t.id) AS tickets FROM queue q LEFT JOIN ticket t ON t.queue_id = q.id" \
    " GROUP BY q.id, q.name ORDER BY tickets DESC, q.name"
#define PER_STATE \
    "SELECT s.name AS state, COUNT(t.id) AS tickets FROM ticket_state s LEFT JOIN ticket t ON t.ticket_state_id = s.id" \
    " GROUP BY s.id, s.name ORDER BY tickets DESC, s.name"
#define ONE_TICKET \
    "SELECT t.id, t.tn, t.title, q.name AS queue, s.name AS state FROM ticket t" \
    " JOIN queue q ON q.id = t.queue_id JOIN ticket_state s ON s.id = t.ticket_state_id WHERE t.id = ?"

enum { ONE_HOUR = 3600 };

/* What the two counting statements found. */
typedef struct totals {
    int64_t total;
    gk_value by_queue, by_state;
} totals;

static int64_t tickets_of(gk_value row) {
    int64_t tickets = 0;
    gk_whole(gk_get(row, "tickets"), &tickets);
    return tickets;
}

static bool count(totals *totals, gk_error *error) {
    if (!gk_db_query(GK(PER_QUEUE), (gk_str){0}, &totals->by_queue, error)) return false;
    if (!gk_db_query(GK(PER_STATE), (gk_str){0}, &totals->by_state, error)) return false;
    totals->total = 0;
    gk_items rows = gk_each(totals->by_queue);
    for (gk_value row; gk_next(&rows, &row);) totals->total += tickets_of(row);
    return true;
}

static void write_groups(gk_writer *out, const char *key, gk_value groups, const char *name) {
    gk_key(out, key);
    gk_array(out);
    gk_items rows = gk_each(groups);
    for (gk_value row; gk_next(&rows, &row);) {
        gk_object(out);
        gk_key(out, name);
        gk_string(out, gk_text(gk_get(row, name)));
        gk_key(out, "tickets");
        gk_int(out, tickets_of(row));
        gk_object_end(out);
    }
    gk_array_end(out);
}

static gk_str document_of(const totals *totals) {
    gk_writer out = {0};
    gk_object(&out);
    gk_key(&out, "total");
    gk_int(&out, totals->total);
    write_groups(&out, "by_queue", totals->by_queue, "queue");
    write_groups(&out, "by_state", totals->by_state, "state");
    gk_object_end(&out);
    return gk_done(&out);
}

/* overview counts all tickets, per queue and per state. */
static gk_str overview(gk_value args) {
    (void)args;
    totals totals;
    gk_error error;
    return count(&totals, &error) ? document_of(&totals) : gk_fail_with(&error);
}

/* widget shows the queues on the dashboard. Names come from people, so they are escaped. */
static gk_str widget(gk_value args) {
    (void)args;
    totals totals;
    gk_error error;
    if (!count(&totals, &error)) return gk_fail_with(&error);
    gk_writer page = {0};
    gk_put(&page, GK("<table class=\"ticket-stats\"><caption>"));
    gk_put_int(&page, totals.total);
    gk_put(&page, GK(" tickets</caption>"));
    gk_items rows = gk_each(totals.by_queue);
    for (gk_value row; gk_next(&rows, &row);) {
        gk_put(&page, GK("<tr><td>"));
        gk_put_html(&page, gk_text(gk_get(row, "queue")));
        gk_put(&page, GK("</td><td>"));
        gk_put_int(&page, tickets_of(row));
        gk_put(&page, GK("</td></tr>"));
    }
    gk_put(&page, GK("</table>"));
    gk_str html = gk_done(&page);
    return gk_string_object("html", &html);
}

/* ticket returns the ticket {"id": n}; as a route it receives the number as text. */
static gk_str ticket(gk_value args) {
    int64_t id;
    if (!gk_whole(gk_get(args, "id"), &id)) return gk_fail(GK("id must be a whole number"));
    gk_value rows, row;
    gk_error error;
    if (!gk_db_query(GK(ONE_TICKET), gk_args("i", id), &rows, &error)) return gk_fail_with(&error);
    gk_items found = gk_each(rows);
    if (!gk_next(&found, &row)) return gk_fail(GK("no such ticket"));
    gk_writer out = {0};
    gk_object(&out);
    gk_key(&out, "id");
    gk_int(&out, id);
    static const char *const columns[] = {"tn", "title", "queue", "state"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        gk_key(&out, columns[i]);
        gk_string(&out, gk_text(gk_get(row, columns[i])));
    }
    gk_object_end(&out);
    return gk_done(&out);
}

/* users tries to read what plugin.yaml does not ask for, and reports how the host answers. */
static gk_str users(gk_value args) {
    (void)args;
    gk_value rows;
    gk_error error;
    gk_writer out = {0};
    gk_object(&out);
    gk_key(&out, "denied");
    if (gk_db_query(GK("SELECT login FROM users ORDER BY login"), (gk_str){0}, &rows, &error)) {
        gk_bool(&out, false);
        gk_key(&out, "users");
        gk_array(&out);
        gk_items logins = gk_each(rows);
        for (gk_value row; gk_next(&logins, &row);) {
            gk_object(&out);
            gk_key(&out, "login");
            gk_string(&out, gk_text(gk_get(row, "login")));
            gk_object_end(&out);
        }
        gk_array_end(&out);
    } else {
        gk_bool(&out, gk_starts_with(error.code, GK("policy.")));
        gk_key(&out, "code");
        gk_string(&out, error.code);
        gk_key(&out, "message");
        gk_string(&out, error.message);
    }
    gk_object_end(&out);
    return gk_done(&out);
}

/* remember keeps the text {"key": "…", "value": "…"} in the cache for an hour. */
static gk_str remember(gk_value args) {
    gk_value value = gk_get(args, "value");
    gk_str key = gk_text(gk_get(args, "key"));
    if (key.len == 0 || (gk_kind_of(value) != GK_STRING && gk_kind_of(value) > GK_NULL))
        return gk_fail(GK("key and value must be text"));
    gk_error error;
    return gk_cache_set(key, gk_text(value), ONE_HOUR, &error) ? GK("{\"ok\":true}") : gk_fail_with(&error);
}

/* recall returns the text kept under {"key": "…"}. */
static gk_str recall(gk_value args) {
    gk_str key = gk_text(gk_get(args, "key")), value;
    bool found;
    gk_error error;
    if (key.len == 0) return gk_fail(GK("key must be text"));
    if (!gk_cache_get(key, &value, &found, &error)) return gk_fail_with(&error);
    gk_writer out = {0};
    gk_object(&out);
    gk_key(&out, "found");
    gk_bool(&out, found);
    gk_key(&out, "value");
    gk_string(&out, value);
    gk_object_end(&out);
    return gk_done(&out);
}

/* refresh is the scheduled job: it keeps the overview in the cache, where recall finds it. */
static gk_str refresh(gk_value args) {
    (void)args;
    totals totals;
    gk_error error;
    bool kept = count(&totals, &error) && gk_cache_set(GK("overview"), document_of(&totals), ONE_HOUR, &error);
    return kept ? (gk_str){0} : gk_fail_with(&error);
}

/* log writes one line at each level. */
static gk_str log_levels(gk_value args) {
    (void)args;
    gk_log(GK_DEBUG, GK("ticket-stats: a debug line"));
    gk_log(GK_INFO, GK("ticket-stats: an info line"));
    gk_log(GK_WARN, GK("ticket-stats: a warning"));
    gk_log(GK_ERROR, GK("ticket-stats: an error line"));
    return GK("{\"logged\":4}");
}

GK_HANDLERS(
    {"overview", overview},
    {"widget", widget},
    {"ticket", ticket},
    {"users", users},
    {"remember", remember},
    {"recall", recall},
    {"refresh", refresh},
    {"log", log_levels},
)
