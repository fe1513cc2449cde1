/* The GoatFlow plugin {{name}}. */
#include "goatflow_guest.h"

GK_REGISTRATION({
    "name": "{{name}}",
    "version": "0.1.0",
    "description": "Greets, and counts tickets",
    "routes": [
        {"method": "GET", "path": "/api/plugins/{{name}}/hello", "handler": "hello", "middleware": ["auth"]},
        {"method": "GET", "path": "/api/plugins/{{name}}/tickets", "handler": "tickets", "middleware": ["auth"]}
    ]
})

/* hello greets {"name": "…"}. */
static gk_str hello(gk_value args) {
    gk_value name = gk_get(args, "name");
    gk_writer message = {0};
    gk_put(&message, GK("Hello, "));
    gk_put(&message, gk_kind_of(name) == GK_STRING ? gk_text(name) : GK("World"));
    gk_put(&message, GK("!"));
    gk_writer out = {0};
    gk_object(&out);
    gk_key(&out, "message");
    gk_string(&out, gk_done(&message));
    gk_object_end(&out);
    return gk_done(&out);
}

/* tickets counts the tickets; plugin.yaml asks for the table. */
static gk_str tickets(gk_value args) {
    (void)args;
    gk_value rows, row = {0};
    gk_error error;
    if (!gk_db_query(GK("SELECT COUNT(*) AS tickets FROM ticket"), (gk_str){0}, &rows, &error))
        return gk_fail_with(&error);
    gk_items walk = gk_each(rows);
    gk_next(&walk, &row);
    return row.json;
}

GK_HANDLERS({"hello", hello}, {"tickets", tickets})
