"""Tables that the SQL tests run against, spelled for each engine. `users` and `secret` are never granted."""

COLUMNS = {
    "users": "id {int}, login {text}, pw {text}, email {text}",
    "secret": "id {int}, v {text}",
    "ticket": "id {int}, title {text}, body {text}, state {text}, priority {int}, queue_id {int}, owner_id {int}, "
              "customer_id {int}, created {time}, changed {time}, data {json}, amount {money}",
    "article": "id {int}, ticket_id {int}, subject {text}, body {text}, sender {text}, created {time}, size {int}",
    "queue": "id {int}, name {text}, parent_id {int}, valid {int}",
    "customer": "id {int}, name {text}, email {text}, city {text}, created {time}",
    "tag": "id {int}, name {text}",
    "ticket_tag": "ticket_id {int}, tag_id {int}",
    "ticket_history": "id {int}, ticket_id {int}, kind {text}, msg {text}, created {time}",
    "setting": "name {text}, val {text}, version {int}",
    "gk_note": "id {int}, ticket_id {int}, author {text}, note {text}, created {time}",
}
KEYS = {
    "ticket_tag": "ticket_id, tag_id",
    "setting": "name",
}
UNIQUE = {"tag": "name", "customer": "email"}
TYPES = {
    "postgres": {"int": "integer", "text": "varchar(200)", "time": "timestamp", "json": "jsonb", "money": "numeric(12,2)"},
    "mysql": {"int": "int", "text": "varchar(200)", "time": "datetime", "json": "json", "money": "decimal(12,2)"},
    "sqlite": {"int": "INTEGER", "text": "TEXT", "time": "TEXT", "json": "TEXT", "money": "NUMERIC"},
}
#: Tables only one engine has.
EXTRA = {
    "postgres": [
        "CREATE TABLE doc (id integer PRIMARY KEY, tags text[], m integer[], body tsvector, r int4range, ip inet)",
        "CREATE TABLE child (extra text) INHERITS (gk_note)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.ticket (id integer, title text)",
        "CREATE FUNCTION secret_of(text) RETURNS text LANGUAGE sql SECURITY DEFINER AS "
        "$$ SELECT v FROM secret LIMIT 1 $$",
        "CREATE SEQUENCE seq_1",
        'CREATE TABLE "Mixed" (id integer, "select" text)',
    ],
    "mysql": [
        "CREATE TABLE `order` (id int PRIMARY KEY, `key` varchar(20))",
        "CREATE TABLE doc (id int PRIMARY KEY, body text, FULLTEXT KEY ft (body))",
        "CREATE INDEX ix_state ON ticket (state)",
    ],
    "sqlite": [
        'CREATE TABLE "order" (id INTEGER PRIMARY KEY, "key" TEXT)',
        "CREATE VIRTUAL TABLE doc USING fts5(title, body)",
        "CREATE INDEX ix_state ON ticket (state)",
    ],
}


def statements(dialect):
    """CREATE and INSERT statements of the schema."""
    types = TYPES[dialect]
    for table, columns in COLUMNS.items():
        key = KEYS.get(table, "id")
        unique = f", UNIQUE ({UNIQUE[table]})" if table in UNIQUE else ""
        text = columns.format(**{"int": types["int"], "text": types["text"], "time": types["time"],
                                 "json": types["json"], "money": types["money"]})
        yield f"CREATE TABLE {table} ({text}, PRIMARY KEY ({key}){unique})"
    yield from EXTRA[dialect]
    for n in (1, 2, 3):
        yield (f"INSERT INTO ticket VALUES ({n}, 'title {n}', 'body', 'open', {n}, 1, {n}, 1, '2024-01-0{n} 10:00:00', "
               f"'2024-02-0{n} 10:00:00', '{{\"a\": {{\"b\": {n}}}}}', {n}.5)")
        yield f"INSERT INTO article VALUES ({n}, {n}, 'subject', 'body', 'agent', '2024-01-01 10:00:00', {n})"
        yield f"INSERT INTO users VALUES ({n}, 'root{n}', 'S3CRET', 'r{n}@x')"
    yield "INSERT INTO secret VALUES (1, 'S3CRET')"
    yield "INSERT INTO queue VALUES (1, 'Raw', NULL, 1)"
    yield "INSERT INTO customer VALUES (1, 'Ann', 'ann@x', 'Bonn', '2024-01-01 10:00:00')"
    yield "INSERT INTO tag VALUES (1, 'red')"
    yield "INSERT INTO ticket_tag VALUES (1, 1)"
    yield "INSERT INTO setting VALUES ('a', 'b', 1)"


def tables(dialect):
    """Names of all tables."""
    return {
        "postgres": [*COLUMNS, "doc", "child", "other.ticket", '"Mixed"'],
        "mysql": [*COLUMNS, "`order`", "doc"],
        "sqlite": [*COLUMNS, "order", "doc"],
    }[dialect]
