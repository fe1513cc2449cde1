"""Statements as applications and reporting tools write them. `?` is a placeholder; a tuple gives its own arguments."""
import itertools


def common():
    """Statements that all three engines run."""
    columns = ["id", "title", "state", "priority", "created", "queue_id"]
    filters = [
        "id = ?", "state = 'open'", "state <> 'closed' AND priority > 1", "title LIKE '%x%'", "queue_id IS NULL",
        "owner_id IS NOT NULL", "priority BETWEEN 1 AND 3", "state IN ('open', 'new', 'pending')",
        "NOT (state = 'closed' OR priority < 2)", "(priority = 1 OR priority = 2) AND queue_id = ?",
        "title NOT LIKE 'a%' AND state NOT IN ('x', 'y')", "LOWER(title) = 'abc'", "COALESCE(title, '') = ''",
        "created >= '2024-01-01 00:00:00' AND created < '2025-01-01 00:00:00'", "id IN (SELECT ticket_id FROM article)",
        "EXISTS (SELECT 1 FROM article a WHERE a.ticket_id = ticket.id)",
        "NOT EXISTS (SELECT 1 FROM ticket_tag tt WHERE tt.ticket_id = ticket.id)",
        "queue_id = (SELECT MAX(id) FROM queue)", "id NOT IN (SELECT ticket_id FROM ticket_tag WHERE tag_id = 1)",
        "CASE WHEN priority > 3 THEN 1 ELSE 0 END = 0", "amount * 2 + 1 > 3 AND amount / 2 < 100",
        "LENGTH(title) > 3", "1 = 1", "state = 'it''s' OR state = '--' OR state = '/* x */'",
    ]
    orders = ["", " ORDER BY id", " ORDER BY created DESC, id ASC LIMIT 10", " ORDER BY 1 LIMIT 5 OFFSET 5"]
    for (index, condition), order in zip(enumerate(filters * 2), itertools.cycle(orders)):
        chosen = ", ".join(columns[index % 3:index % 3 + 3])
        yield f"SELECT {chosen} FROM ticket WHERE {condition}{order}"
    for condition in filters[:12]:
        yield f"SELECT COUNT(*) AS n FROM ticket WHERE {condition}"
        yield f"UPDATE ticket SET state = ? WHERE {condition}"
        yield f"DELETE FROM ticket WHERE {condition}"
    for function in ["COUNT", "SUM", "AVG", "MIN", "MAX"]:
        yield f"SELECT state, {function}(priority) FROM ticket GROUP BY state"
        yield f"SELECT queue_id, {function}(DISTINCT priority) AS v FROM ticket GROUP BY queue_id HAVING COUNT(*) > 0 ORDER BY v"
        yield f"SELECT id, {function}(priority) OVER (PARTITION BY state ORDER BY id) FROM ticket"
        yield f"SELECT (SELECT {function}(a.size) FROM article a WHERE a.ticket_id = t.id) AS v FROM ticket t"
    for kind in ["JOIN", "INNER JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "RIGHT JOIN", "CROSS JOIN"]:
        if kind == "RIGHT JOIN":
            continue
        on = "" if kind == "CROSS JOIN" else " ON a.ticket_id = t.id"
        yield f"SELECT t.id, a.subject FROM ticket t {kind} article a{on} ORDER BY t.id"
        yield f"SELECT t.*, a.subject FROM ticket AS t {kind} article AS a{on} WHERE t.state = ?"
        yield f"SELECT COUNT(*) FROM ticket t {kind} article a{on}"
    for operator in ["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]:
        yield f"SELECT title FROM ticket {operator} SELECT subject FROM article"
        yield f"SELECT title FROM ticket WHERE id = ? {operator} SELECT name FROM tag ORDER BY 1"
        yield f"SELECT x FROM (SELECT id AS x FROM ticket {operator} SELECT id FROM tag) u WHERE x > ?"
    for function in ["ROW_NUMBER()", "RANK()", "DENSE_RANK()", "NTILE(4)", "PERCENT_RANK()", "CUME_DIST()",
                     "LAG(id)", "LEAD(id, 1)", "FIRST_VALUE(id)", "LAST_VALUE(id)"]:
        yield f"SELECT id, {function} OVER (ORDER BY created, id) AS w FROM ticket"
        yield f"SELECT id, {function} OVER (PARTITION BY queue_id ORDER BY priority DESC) AS w FROM ticket WHERE state = ?"
    for frame in ["ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                  "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING", "ROWS 2 PRECEDING"]:
        yield f"SELECT id, SUM(priority) OVER (ORDER BY id {frame}) FROM ticket"
    tables = ["ticket", "article", "queue", "customer", "tag", "gk_note", "setting"]
    for table in tables:
        yield f"SELECT * FROM {table}"
        yield f"SELECT {table}.* FROM {table}"
        yield f"SELECT x.* FROM {table} x"
        yield f"SELECT COUNT(*) FROM {table}"
        yield f"select count( * ) from {table} as t0 where 1=1"
        yield f"SELECT * FROM (SELECT * FROM {table}) AS sub"
        yield f"WITH c AS (SELECT * FROM {table}) SELECT COUNT(*) FROM c"
        yield f"WITH a AS (SELECT 1 AS x), b AS (SELECT x FROM a) SELECT b.x FROM b, {table}"
        yield f"DELETE FROM {table}"
        yield f"SELECT DISTINCT t1.* FROM {table} t1"
    yield from COMMON.strip("\n").split("\n")


COMMON = r"""
SELECT 1
SELECT 1 AS one, 'two' AS two, NULL AS nope, 3.5 AS number, 1e3 AS big
SELECT -1, +1, - 1, 2 - -1, 2*3, 7/2, 7%4
SELECT 'a''b', '', '\', 'x'
SELECT 'SELECT * FROM users'
SELECT 'a' AS "users"
SELECT 1 /* FROM users */ + 1 -- FROM users
SELECT/* */id/**/FROM/* c */ticket
SELECT t.id FROM ticket t;
SELECT ( ( ( (1) ) ) )
SELECT CASE WHEN 1 = 1 THEN 'a' ELSE 'b' END
SELECT CASE state WHEN 'open' THEN 1 WHEN 'new' THEN 2 ELSE 3 END AS k FROM ticket
SELECT NULLIF(title, '') FROM ticket
SELECT COALESCE(title, body, 'none') FROM ticket
SELECT UPPER(title), LOWER(body), LENGTH(title), TRIM(title) FROM ticket
SELECT SUBSTR(title, 1, 5), REPLACE(title, 'a', 'b') FROM ticket
SELECT ROUND(amount, 1), ABS(amount) FROM ticket
SELECT CAST(id AS CHAR(10)) FROM ticket
SELECT CAST(amount AS DECIMAL(10,2)) FROM ticket
SELECT CURRENT_TIMESTAMP
SELECT CURRENT_DATE
SELECT id FROM ticket WHERE created > CURRENT_TIMESTAMP
SELECT users.id FROM ticket AS users
SELECT users.n FROM (SELECT id AS n FROM ticket) AS users
WITH users AS (SELECT id FROM ticket) SELECT id FROM users
WITH users AS (SELECT id FROM ticket), secret AS (SELECT id FROM users) SELECT * FROM secret JOIN users ON users.id = secret.id
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n
WITH RECURSIVE q AS (SELECT id, parent_id FROM queue WHERE parent_id IS NULL UNION ALL SELECT c.id, c.parent_id FROM queue c JOIN q ON c.parent_id = q.id) SELECT * FROM q
WITH a AS (SELECT id FROM ticket), b AS (SELECT a.id FROM a JOIN article ON article.ticket_id = a.id) SELECT COUNT(*) FROM b
WITH t1 AS (SELECT queue_id, COUNT(*) AS n FROM ticket GROUP BY queue_id) SELECT queue.name, t1.n FROM queue LEFT JOIN t1 ON t1.queue_id = queue.id
SELECT * FROM (WITH c AS (SELECT id FROM tag) SELECT id FROM c) d
SELECT id FROM ticket WHERE id IN (WITH c AS (SELECT ticket_id FROM ticket_tag) SELECT ticket_id FROM c)
SELECT t.id, q.name, c.name FROM ticket t JOIN queue q ON q.id = t.queue_id JOIN customer c ON c.id = t.customer_id WHERE c.email = ? AND q.name = ?
SELECT t.id FROM ticket t, queue q, customer c WHERE t.queue_id = q.id AND c.id = t.customer_id
SELECT t.id FROM (ticket t JOIN queue q ON q.id = t.queue_id) LEFT JOIN customer c ON c.id = t.customer_id
SELECT a.id FROM ticket a JOIN ticket b ON b.id = a.id
SELECT id FROM ticket NATURAL JOIN setting
SELECT id FROM ticket JOIN article USING (id)
SELECT t.queue_id, COUNT(*) AS cnt, SUM(CASE WHEN t.state = 'open' THEN 1 ELSE 0 END) AS open_cnt, AVG(t.priority) FROM ticket t WHERE t.created BETWEEN '2024-01-01 00:00:00' AND '2024-12-31 00:00:00' GROUP BY t.queue_id HAVING COUNT(*) >= 1 ORDER BY cnt DESC
SELECT q.name, (SELECT COUNT(*) FROM ticket t WHERE t.queue_id = q.id AND t.state = 'open') AS n FROM queue q ORDER BY n DESC, q.name
SELECT x.state, x.n, x.n * 100.0 / y.total FROM (SELECT state, COUNT(*) AS n FROM ticket GROUP BY state) x CROSS JOIN (SELECT COUNT(*) AS total FROM ticket) y
SELECT t.id FROM ticket t WHERE t.priority > (SELECT AVG(priority) FROM ticket)
SELECT t.id FROM ticket t WHERE t.created = (SELECT MAX(t2.created) FROM ticket t2 WHERE t2.queue_id = t.queue_id)
SELECT MIN(id), MAX(id), COUNT(DISTINCT state) FROM ticket
SELECT state AS s, COUNT(*) AS c FROM ticket GROUP BY s ORDER BY c DESC LIMIT 3
SELECT id FROM ticket ORDER BY CASE WHEN state = 'open' THEN 0 ELSE 1 END, id
SELECT id FROM ticket ORDER BY (SELECT COUNT(*) FROM article a WHERE a.ticket_id = ticket.id) DESC
SELECT id FROM ticket WHERE (queue_id, state) = (1, 'open')
SELECT id FROM ticket WHERE (queue_id, state) IN (SELECT id, name FROM queue)
SELECT id FROM ticket LIMIT 10
SELECT id FROM ticket ORDER BY id LIMIT 10 OFFSET 20
SELECT DISTINCT state, priority FROM ticket
SELECT ALL state FROM ticket
SELECT id FROM ticket WHERE title = 'a' AND body = 'b' OR state = 'c' AND NOT priority = 3
SELECT id FROM ticket WHERE title LIKE '100!%' ESCAPE '!'
SELECT id FROM ticket WHERE title IS NULL AND body IS NOT NULL
INSERT INTO queue (id, name, parent_id, valid) VALUES (10, 'x', NULL, 1)
INSERT INTO queue (id, name) VALUES (11, 'x'), (12, 'y'), (13, 'z')
INSERT INTO queue (id, name) VALUES (?, ?)
INSERT INTO queue VALUES (14, 'x', NULL, 1)
INSERT INTO queue (id, name) SELECT id + 100, title FROM ticket
INSERT INTO queue (id, name) SELECT id + 100, name FROM queue
INSERT INTO queue (id, name) SELECT t.id + 200, c.name FROM ticket t JOIN customer c ON c.id = t.customer_id
INSERT INTO queue (id, name) VALUES ((SELECT MAX(id) + 50 FROM tag), 'x')
INSERT INTO gk_note (id, ticket_id, author, note, created) VALUES (1, 1, 'a', 'b', '2024-01-01 00:00:00')
INSERT INTO gk_note (id, ticket_id, note) SELECT id, ticket_id, subject FROM article WHERE sender = 'agent'
INSERT INTO ticket_tag (ticket_id, tag_id) SELECT t.id, g.id FROM ticket t CROSS JOIN tag g WHERE g.name = 'blue'
UPDATE ticket SET state = 'closed'
UPDATE ticket SET state = 'closed', changed = CURRENT_TIMESTAMP WHERE id = 1
UPDATE ticket SET priority = priority + 1 WHERE state = 'open'
UPDATE ticket SET title = UPPER(title), body = NULL WHERE id IN (1, 2, 3)
UPDATE ticket SET queue_id = (SELECT MIN(id) FROM queue) WHERE id = 1
UPDATE ticket SET customer_id = (SELECT c.id FROM customer c WHERE c.email = 'ann@x') WHERE customer_id IS NULL
UPDATE ticket SET state = CASE WHEN priority > 2 THEN 'urgent' ELSE state END
UPDATE ticket SET state = 'x' WHERE id IN (SELECT ticket_id FROM article WHERE subject = 'spam')
UPDATE ticket SET state = 'x' WHERE EXISTS (SELECT 1 FROM article a WHERE a.ticket_id = ticket.id)
DELETE FROM article WHERE ticket_id NOT IN (SELECT id FROM ticket)
DELETE FROM article WHERE created < '2020-01-01 00:00:00'
DELETE FROM ticket_tag WHERE ticket_id = ? AND tag_id = ?
DELETE FROM gk_note WHERE id = 1 OR author = 'x'
SELECT g.name, COUNT(tt.ticket_id) FROM tag g LEFT JOIN ticket_tag tt ON tt.tag_id = g.id GROUP BY g.id, g.name
SELECT t.id, h.kind FROM ticket t LEFT JOIN (SELECT ticket_id, MAX(kind) AS kind FROM ticket_history GROUP BY ticket_id) h ON h.ticket_id = t.id
SELECT id, SUM(priority) OVER w, AVG(priority) OVER w FROM ticket WINDOW w AS (PARTITION BY queue_id ORDER BY id)
SELECT * FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY queue_id ORDER BY created DESC) AS rn FROM ticket) r WHERE r.rn = 1
SELECT EXTRACT_ME FROM (SELECT 1 AS EXTRACT_ME) z
SELECT t0.id AS t0_id, t0.title AS t0_title, t1.id AS t1_id FROM ticket t0 LEFT OUTER JOIN article t1 ON t0.id = t1.ticket_id WHERE t0.id = ? ORDER BY t0.id
SELECT ticket.id AS ticket_id, ticket.title AS ticket_title FROM ticket WHERE ticket.id = ? LIMIT 1
SELECT anon_1.id FROM (SELECT ticket.id AS id FROM ticket WHERE ticket.state = ? LIMIT 20) AS anon_1 LEFT OUTER JOIN article AS article_1 ON anon_1.id = article_1.ticket_id
SELECT COUNT(*) AS "__count" FROM ticket WHERE (ticket.state = ? AND NOT (ticket.priority > 3))
SELECT (1) AS a FROM ticket WHERE ticket.id = ? LIMIT 1
SELECT EXISTS (SELECT 1 FROM ticket WHERE state = 'open')
SELECT val FROM setting WHERE name = ?
SELECT id, title FROM ticket WHERE id IN (?, ?, ?, ?, ?, ?, ?, ?)
SELECT value, date, time, text, type, status, count FROM (SELECT 1 AS value, 2 AS date, 3 AS time, 4 AS text, 5 AS type, 6 AS status, 7 AS count) d
SELECT t.id FROM ticket t WHERE t.title || 'x' = 'ax'
SELECT first.id FROM ticket first JOIN ticket second ON first.id = second.id
SELECT id FROM ticket WHERE title = '日本語' OR title = 'größe'
SELECT id FROM ticket t WHERE EXISTS (SELECT 1 FROM (SELECT a.ticket_id FROM article a WHERE a.size > 1) s WHERE s.ticket_id = t.id)
SELECT m.month_no, COUNT(t.id) FROM (SELECT 1 AS month_no UNION ALL SELECT 2 UNION ALL SELECT 3) m LEFT JOIN ticket t ON t.priority = m.month_no GROUP BY m.month_no
"""


def postgres():
    yield from common()
    for table in ["ticket", "article", "queue"]:
        for lock in ["UPDATE", "SHARE", "NO KEY UPDATE", "KEY SHARE", "UPDATE NOWAIT", "UPDATE SKIP LOCKED"]:
            yield f"SELECT id FROM {table} WHERE id = 1 FOR {lock}"
    for type_name in ["int", "integer", "bigint", "smallint", "text", "varchar", "varchar(10)", "numeric", "numeric(10,2)",
                      "real", "double precision", "float8", "char(3)", "int4", "int8"]:
        yield f"SELECT id::{type_name} FROM ticket"
        yield f"SELECT CAST(id AS {type_name}) FROM ticket"
    for literal in ["date '2024-01-01'", "timestamp '2024-01-01 10:00'", "interval '1 day'", "timestamptz '2024-01-01'",
                    "time '10:00'", "inet '10.0.0.1'", "json '{}'", "jsonb '[]'", "uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
                    "point '(1,2)'", "numeric '1.5'", "bytea '\\x00'", "E'\\n'", "B'101'", "X'1F'", "$$x$$", "$q$a'b$q$",
                    "interval '1' day", "interval '2 hours 3 minutes'", "cidr '10.0.0.0/8'", "int4range '[1,5)'"]:
        yield f"SELECT {literal}"
        yield f"SELECT id, {literal} AS v FROM ticket WHERE id = ?"
    for expression in [
        "data->'a'", "data->>'a'", "data#>'{a,b}'", "data#>>'{a,b}'", "data @> '{\"a\":1}'", "data ? 'a'",
        "data ?| array['a','b']", "data ?& array['a']", "data - 'a'", "data || '{}'::jsonb", "data #- '{a}'",
        "data @? '$.a'", "jsonb_typeof(data)", "jsonb_set(data, '{a}', '1')", "data->'a'->>'b'", "(data->>'a')",
        "title ~ '^a'", "title ~* 'A'", "title !~ 'x'", "title ILIKE 'a%'", "title SIMILAR TO '(a|b)%'", "title ^@ 'ti'",
        "id # 3", "id & 1", "id | 2", "id << 1", "id >> 1", "~id", "@ -5", "2 ^ 3", "|/ 16",
        "created AT TIME ZONE 'UTC'", "extract(epoch from created)", "date_trunc('month', created)",
        "to_char(created, 'YYYY-MM')", "age(created)", "date_part('year', created)", "created + interval '1 day'",
        "created::date", "now() - created", "position('a' in title)", "substring(title from 1 for 3)",
        "substring(title from '[a-z]+')", "overlay(title placing 'x' from 1)", "trim(both ' ' from title)",
        "trim(leading from title)", "concat(title, body)", "concat_ws(',', title, body)", "split_part(title, ' ', 1)",
        "regexp_replace(title, 'a', 'b', 'g')", "left(title, 3)", "right(title, 3)", "format('%s', title)",
        "md5(title)", "greatest(id, priority)", "least(id, 2)", "array[id, priority]", "array[1,2][1]",
        "(array[1,2])[1]", "array(SELECT a.id FROM article a)", "row(id, title)", "coalesce(title, 'x') COLLATE \"C\"",
        "id = ANY(array[1,2])", "id = ANY('{1,2}'::int[])", "id <> ALL(SELECT ticket_id FROM article)", "id IS DISTINCT FROM 1",
        "id IS NOT DISTINCT FROM 1", "(id > 1) IS TRUE", "(id > 1) IS NOT UNKNOWN", "id BETWEEN SYMMETRIC 3 AND 1", "title ISNULL",
        "title NOTNULL", "ticket", "ticket.*", "row_to_json(ticket)", "to_jsonb(ticket.*)", "current_date - 1",
        "width_bucket(id, 1, 10, 5)", "lpad(title, 5, '0')", "initcap(title)", "ceil(amount)", "floor(amount)", "mod(id, 2)",
        "random() > 2", "gen_random_uuid()", "encode(sha256(title::bytea), 'hex')", "string_to_array(title, ' ')",
        "(string_to_array(title, ' '))[1]", "array_length(string_to_array(title, ' '), 1)", "num_nulls(title, body)",
        "make_date(2024, 1, 1)", "(created, changed) OVERLAPS (now(), now())", "title COLLATE \"C\" < 'x'",
        "pg_catalog.lower(title)", "id::text::varchar", "- id", "NOT (id = 1)", "title LIKE ANY (array['a%'])",
        "(SELECT count(*) FILTER (WHERE a.size > 1) FROM article a)", "normalize(title)",
    ]:
        yield f"SELECT {expression} FROM ticket"
        yield f"SELECT id FROM ticket WHERE ({expression}) IS NOT NULL ORDER BY id"
    yield from POSTGRES.strip("\n").split("\n")


POSTGRES = r"""
SELECT id FROM public.ticket
SELECT id FROM "ticket"
SELECT "t"."id" FROM "public"."ticket" AS "t"
SELECT id FROM TICKET
SELECT * FROM "Mixed"
SELECT "Mixed"."select" FROM "Mixed"
SELECT title FROM other.ticket
SELECT a.title FROM other.ticket a JOIN ticket b ON a.id = b.id
SELECT DISTINCT ON (queue_id) queue_id, id FROM ticket ORDER BY queue_id, created DESC
SELECT id FROM ticket FETCH FIRST 5 ROWS ONLY
SELECT id FROM ticket ORDER BY id OFFSET 2 ROWS FETCH NEXT 5 ROWS ONLY
SELECT id FROM ticket ORDER BY id FETCH FIRST ROW WITH TIES
SELECT id FROM ticket LIMIT ALL
SELECT id FROM ONLY gk_note
SELECT id FROM ONLY gk_note WHERE id = 1
TABLE ticket
(TABLE ticket) UNION ALL TABLE ticket
VALUES (1, 'a'), (2, 'b')
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(id, name)
SELECT v.id FROM (VALUES (1), (2)) AS v(id) JOIN ticket USING (id)
SELECT d FROM generate_series(1, 3) AS d
SELECT d::date FROM generate_series('2024-01-01'::date, '2024-01-03'::date, '1 day'::interval) AS d
SELECT g.d, COUNT(t.id) FROM generate_series(1, 5) AS g(d) LEFT JOIN ticket t ON t.priority = g.d GROUP BY g.d
SELECT u.x FROM unnest(array[1,2,3]) AS u(x)
SELECT x, n FROM unnest(array['a','b']) WITH ORDINALITY AS u(x, n)
SELECT t.id, e.key, e.value FROM ticket t, jsonb_each(t.data) AS e
SELECT t.id, e.key FROM ticket t CROSS JOIN LATERAL jsonb_each_text(t.data) AS e(key, value)
SELECT e.value FROM jsonb_array_elements('[1,2]'::jsonb) AS e
SELECT key FROM ticket, jsonb_object_keys(data) AS key
SELECT * FROM jsonb_to_record('{"a":1}') AS x(a int, b text)
SELECT * FROM jsonb_to_recordset('[{"a":1}]') AS (a int, b text)
SELECT t.id, l.subject FROM ticket t LEFT JOIN LATERAL (SELECT subject FROM article a WHERE a.ticket_id = t.id ORDER BY id DESC LIMIT 1) l ON true
SELECT array_agg(id ORDER BY id DESC) FROM ticket
SELECT string_agg(title, ', ' ORDER BY title) FROM ticket
SELECT string_agg(DISTINCT state, ',') FROM ticket GROUP BY queue_id
SELECT json_agg(json_build_object('id', id, 'title', title)) FROM ticket
SELECT jsonb_object_agg(id, title) FROM ticket
SELECT count(*) FILTER (WHERE state = 'open') AS open, count(*) FILTER (WHERE state = 'new') AS fresh FROM ticket
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY priority) FROM ticket
SELECT mode() WITHIN GROUP (ORDER BY state) FROM ticket
SELECT state, queue_id, count(*) FROM ticket GROUP BY ROLLUP (state, queue_id)
SELECT state, queue_id, count(*) FROM ticket GROUP BY CUBE (state, queue_id)
SELECT state, queue_id, grouping(state) FROM ticket GROUP BY GROUPING SETS ((state), (queue_id), ())
SELECT bool_and(priority > 0), every(id > 0), bool_or(id = 1) FROM ticket
SELECT stddev(priority), variance(priority), corr(id, priority) FROM ticket
SELECT id, sum(priority) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM ticket
SELECT id, sum(priority) OVER (ORDER BY id GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM ticket
SELECT nth_value(id, 2) OVER (PARTITION BY state ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM ticket
SELECT id FROM ticket TABLESAMPLE BERNOULLI (10)
SELECT id FROM ticket TABLESAMPLE SYSTEM (10) REPEATABLE (1)
SELECT id FROM ticket ORDER BY created DESC NULLS LAST, id ASC NULLS FIRST
SELECT t.id FROM ticket t FULL OUTER JOIN article a ON a.ticket_id = t.id
SELECT t.id FROM ticket t RIGHT JOIN article a ON a.ticket_id = t.id
SELECT t.id FROM ticket t JOIN article a ON a.ticket_id = t.id FOR UPDATE OF t
SELECT t.id FROM ticket t JOIN queue q ON q.id = t.queue_id WHERE q.name = ? ORDER BY t.id LIMIT 1 FOR UPDATE SKIP LOCKED
WITH moved AS (DELETE FROM gk_note WHERE id = 1 RETURNING *) INSERT INTO gk_note SELECT * FROM moved
WITH upd AS (UPDATE ticket SET state = 'x' WHERE id = 1 RETURNING id) SELECT id FROM upd
WITH ins AS (INSERT INTO tag (id, name) VALUES (50, 'n') RETURNING id) INSERT INTO ticket_tag (ticket_id, tag_id) SELECT 1, id FROM ins
WITH a AS MATERIALIZED (SELECT id FROM ticket) SELECT * FROM a
WITH a AS NOT MATERIALIZED (SELECT id FROM ticket) SELECT * FROM a
WITH c AS (SELECT id FROM ticket) DELETE FROM article USING c WHERE c.id = article.ticket_id
WITH c AS (SELECT id FROM ticket) UPDATE article SET subject = 'x' FROM c WHERE c.id = article.ticket_id
INSERT INTO tag (id, name) VALUES (60, 'x') RETURNING id
INSERT INTO tag (id, name) VALUES (60, 'x') RETURNING *, id AS new_id
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT DO NOTHING
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO NOTHING
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name WHERE tag.name <> EXCLUDED.name
INSERT INTO tag AS t (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = t.name || EXCLUDED.name RETURNING t.id
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT ON CONSTRAINT tag_pkey DO UPDATE SET name = 'y'
INSERT INTO setting (name, val, version) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET val = EXCLUDED.val, version = setting.version + 1
INSERT INTO tag (id, name) OVERRIDING SYSTEM VALUE VALUES (70, 'x')
INSERT INTO tag (id, name) VALUES (71, DEFAULT)
INSERT INTO queue (id, name) TABLE tag
INSERT INTO queue (id) VALUES (DEFAULT), (5) ON CONFLICT DO NOTHING
INSERT INTO doc (id, tags) VALUES (1, array['a','b'])
INSERT INTO doc (id, tags) VALUES (2, '{a,b}'::text[])
UPDATE doc SET m[1] = 5 WHERE id = 1
UPDATE doc SET tags = array_append(tags, 'x'), m = m || 5
SELECT id FROM doc WHERE tags && array['a'] AND tags @> array['b'] AND m[1] = 2 AND m[1:2] = '{1,2}'
SELECT id FROM doc WHERE body @@ to_tsquery('english', 'a & b')
SELECT ts_rank(body, plainto_tsquery('x')) FROM doc
SELECT id FROM doc WHERE r @> 3 AND ip << inet '10.0.0.0/8'
SELECT unnest(tags) FROM doc
SELECT id, t.x FROM doc, unnest(tags) AS t(x)
UPDATE ticket SET (state, priority) = ('x', 2) WHERE id = 1
UPDATE ticket SET (state, priority) = (SELECT name, id FROM queue LIMIT 1) WHERE id = 1
UPDATE ticket SET (state, priority) = ROW ('x', 2)
UPDATE ticket SET priority = DEFAULT WHERE id = 1
UPDATE ticket t SET state = q.name FROM queue q WHERE q.id = t.queue_id
UPDATE ticket AS t SET state = q.name FROM queue AS q JOIN customer c ON c.id = q.id WHERE q.id = t.queue_id
UPDATE ticket SET state = 'x' WHERE id = 1 RETURNING id, state
UPDATE ONLY gk_note SET author = 'x'
UPDATE ticket SET data = jsonb_set(data, '{a}', '5') WHERE data ? 'a'
UPDATE ticket SET data = data || ?::jsonb WHERE id = ?
DELETE FROM article USING ticket t WHERE t.id = article.ticket_id AND t.state = 'x'
DELETE FROM article a USING ticket t, queue q WHERE t.id = a.ticket_id AND q.id = t.queue_id RETURNING a.id
DELETE FROM ONLY gk_note WHERE id = 1
DELETE FROM ticket WHERE ctid IN (SELECT ctid FROM ticket LIMIT 1)
MERGE INTO tag t USING (SELECT 1 AS id, 'x' AS name) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)
MERGE INTO tag t USING queue s ON t.id = s.id WHEN MATCHED AND s.valid = 0 THEN DELETE WHEN MATCHED THEN DO NOTHING
SELECT id FROM ticket WHERE id = $1 AND state = $2 OR id = $1
SELECT id FROM ticket WHERE state = $2 AND id = $1::int
SELECT id FROM ticket WHERE id=? AND priority>=? AND state<>?
SELECT id FROM ticket WHERE id = ANY(?)
SELECT id FROM ticket WHERE data->>'a' = ? AND data ? 'a' AND id = ?
SELECT id FROM ticket WHERE title ILIKE '%' || ? || '%'
SELECT id FROM ticket LIMIT ? OFFSET ?
SELECT ?::int + ?::int
SELECT id FROM ticket WHERE created > now() - ?::interval
SELECT 5#--comment
SELECT make_interval(days => 3)
SELECT concat(VARIADIC array['a','b'])
SELECT localtimestamp, localtime, current_time
SELECT jsonb_path_query(data, '$.a') FROM ticket
SELECT count(*), count(DISTINCT state) FROM ticket HAVING count(*) > 0
SELECT id FROM ticket GROUP BY id HAVING max(priority) > 0
SELECT EXTRACT(DOW FROM created) AS dow, COUNT(*) FROM ticket GROUP BY EXTRACT(DOW FROM created)
SELECT to_timestamp(0), to_date('2024', 'YYYY'), to_number('5', '9')
SELECT regexp_matches(title, 'a', 'g') FROM ticket
SELECT (jsonb_each(data)).key FROM ticket
SELECT (jsonb_each_text(data)).value, (pg_catalog.jsonb_each(data)).key FROM ticket
SELECT (ROW(1, title)).f2 FROM ticket
SELECT e.key, e.value FROM ticket t, jsonb_each(t.data) AS e
SELECT e.k, e.value FROM ticket t, jsonb_each(t.data) AS e(k)
SELECT e.x, e.ordinality FROM doc d, unnest(d.tags) WITH ORDINALITY AS e(x)
SELECT e.e, e.ordinality FROM doc d, unnest(d.tags) WITH ORDINALITY AS e
SELECT n.n FROM generate_series(1, 3) AS n
SELECT generate_series.generate_series FROM generate_series(1, 3)
SELECT json_array_elements.value FROM json_array_elements('[1]')
SELECT x.a FROM json_to_record('{"a":1}') AS x(a int)
SELECT d.tags[1], d.m[1][2] FROM doc d WHERE d.tags[1] = 'a'
SELECT d.tags[d.m[1]], d.m[d.id] FROM doc d WHERE d.tags[d.id] = 'a'
SELECT x.a FROM (SELECT 1 AS a) x, unnest(array[1]) y(a) WHERE x.a = y.a
INSERT INTO tag (id, name) VALUES (80, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE tag.name <> excluded.name
INSERT INTO tag AS g (id, name) VALUES (81, 'x') ON CONFLICT (id) DO UPDATE SET name = g.name RETURNING g.id
UPDATE ticket AS t SET title = t.title WHERE t.id = 1 RETURNING t.id
SELECT j.id FROM (ticket t CROSS JOIN unnest(array[1]) AS n(n)) AS j
SELECT public.ticket.title FROM public.ticket
SELECT t.id, row_number() OVER () FROM ticket t
SELECT id, lag(priority, 1, 0) OVER (PARTITION BY queue_id ORDER BY created) FROM ticket
SELECT * FROM ticket t WHERE t.* IS NOT NULL
SELECT title AS "select", id AS "from" FROM ticket
SELECT title "Quoted Alias" FROM ticket
SELECT id AS user, title AS order FROM ticket
SELECT xmlelement(name a, title) FROM ticket
SELECT title COLLATE "C" FROM ticket ORDER BY title COLLATE "C"
SELECT id, sum(amount) OVER (ORDER BY created RANGE BETWEEN '1 day'::interval PRECEDING AND CURRENT ROW) FROM ticket
SELECT (t).* FROM ticket t
SELECT timezone('UTC', created) FROM ticket
SELECT id FROM ticket WHERE (created, id) < (now(), 5) ORDER BY created DESC, id DESC LIMIT 20
INSERT INTO tag (id, name) VALUES (200, 'y') ON CONFLICT (name) WHERE name IS NOT NULL DO NOTHING
"""


def mysql():
    yield from common()
    for lock in ["FOR UPDATE", "LOCK IN SHARE MODE", "FOR UPDATE NOWAIT", "FOR UPDATE WAIT 1", "FOR UPDATE SKIP LOCKED"]:
        for table in ["ticket", "article", "queue"]:
            yield f"SELECT id FROM {table} WHERE id = 1 {lock}"
    for type_name in ["SIGNED", "UNSIGNED", "CHAR", "CHAR(5)", "DECIMAL(10,2)", "DATE", "DATETIME", "TIME", "BINARY", "SIGNED INTEGER",
                      "CHAR CHARACTER SET utf8mb4", "DOUBLE"]:
        yield f"SELECT CAST(id AS {type_name}) FROM ticket"
        yield f"SELECT CONVERT(title, {type_name}) FROM ticket WHERE id = ?"
    for unit in ["SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "DAY_HOUR", "YEAR_MONTH"]:
        value = "'1 2'" if "_" in unit else "1"
        yield f"SELECT DATE_ADD(created, INTERVAL {value} {unit}) FROM ticket"
        yield f"SELECT created - INTERVAL {value} {unit} FROM ticket WHERE created > NOW() - INTERVAL {value} {unit}"
        if "_" not in unit:
            yield f"SELECT TIMESTAMPDIFF({unit}, created, changed) FROM ticket"
            yield f"SELECT EXTRACT({unit} FROM created) FROM ticket"
    for expression in [
        "IFNULL(title, '')", "IF(id > 1, 'a', 'b')", "CONCAT(title, ' ', body)", "CONCAT_WS(',', title, body)",
        "DATE_FORMAT(created, '%Y-%m-%d')", "UNIX_TIMESTAMP(created)", "FROM_UNIXTIME(0)", "NOW()", "CURDATE()", "CURTIME()",
        "DATE(created)", "YEAR(created)", "MONTH(created)", "DAYOFWEEK(created)", "DATEDIFF(created, changed)", "LEFT(title, 3)",
        "RIGHT(title, 3)", "MID(title, 1, 2)", "SUBSTRING(title, 1, 2)", "SUBSTRING(title FROM 2 FOR 1)", "LOCATE('a', title)",
        "INSTR(title, 'a')", "POSITION('a' IN title)", "LPAD(title, 5, '0')", "REPEAT('a', 3)", "REVERSE(title)", "SPACE(3)",
        "MD5(title)", "SHA1(title)", "SHA2(title, 256)", "HEX(title)", "UNHEX('41')", "CRC32(title)", "UUID()", "RAND()",
        "GREATEST(id, 2)", "LEAST(id, 2)", "MOD(id, 2)", "id MOD 2", "id DIV 2", "id % 2", "id << 1", "id & 1", "id | 1", "id ^ 1",
        "~id", "!id", "NOT id", "id XOR 1", "id <=> NULL", "id && 1", "title REGEXP '^a'", "title RLIKE 'a'", "title NOT REGEXP 'b'",
        "title SOUNDS LIKE 'b'", "BINARY title", "title COLLATE utf8mb4_bin", "_utf8mb4'x'", "N'x'", "_ucs2 0x0041", "_utf32 X'00000041'",
        "_euckr 0xB0A1", "_gbk X'5C27'", "_latin1 b'01000001'", "_ucs2 b'0000000001000001'", "X'41'", "0x41", "b'101'",
        "'a' 'b'", "\"double\"", "'it\\'s'", "\"say \"\"x\"\"\"", "'\\\\'", "FIELD(state, 'a', 'b')", "FIND_IN_SET('a', state)",
        "ELT(1, 'a', 'b')", "INTERVAL(3, 1, 2)", "FORMAT(amount, 2)", "ROUND(amount)", "TRUNCATE(amount, 1)", "CEILING(amount)",
        "JSON_EXTRACT(data, '$.a')", "JSON_UNQUOTE(JSON_EXTRACT(data, '$.a'))", "JSON_CONTAINS(data, '1')", "JSON_OBJECT('a', id)",
        "JSON_ARRAY(1, 2)", "JSON_VALID(data)", "JSON_LENGTH(data)", "STR_TO_DATE('2024', '%Y')", "LAST_DAY(created)", "TIME_TO_SEC('10:00')",
        "id IS TRUE", "id IS NOT FALSE", "ISNULL(title)", "NULLIF(title, 'x')", "COALESCE(title, 'x')", "CHAR_LENGTH(title)", "ASCII(title)",
        "CONVERT(title USING utf8mb4)", "TRIM(LEADING 'x' FROM title)", "TRIM(BOTH FROM title)", "UTC_TIMESTAMP()", "UTC_DATE",
        "INET_ATON('10.0.0.1')", "BIT_COUNT(id)", "CONV('a', 16, 10)", "WEEK(created)", "QUARTER(created)", "SYSDATE()", "STRCMP(title, 'x')",
        "DATE '2024-01-01'", "TIMESTAMP '2024-01-01 00:00:00'", "(SELECT COUNT(*) FROM article)", "ROW(1, 2) = ROW(1, 2)", "DEFAULT(state)",
    ]:
        yield f"SELECT {expression} FROM ticket"
        yield f"SELECT id FROM ticket WHERE ({expression}) IS NOT NULL ORDER BY id"
    yield from MYSQL.strip("\n").split("\n")


MYSQL = r"""
SELECT `id` FROM `ticket`
SELECT `t`.`id` FROM `app`.`ticket` AS `t`
SELECT id FROM app.ticket
SELECT app.ticket.id FROM app.ticket
SELECT `order`.`key` FROM `order`
SELECT o.`key` FROM `order` o WHERE o.id = ?
SELECT COUNT(*), COUNT( DISTINCT state ), MAX( id ) FROM ticket
SELECT id FROM ticket LIMIT 5, 10
SELECT id FROM ticket LIMIT ?, ?
SELECT id FROM ticket # comment
SELECT id -- comment
SELECT id FROM ticket WHERE id = 5--1
SELECT SQL_NO_CACHE id FROM ticket
SELECT SQL_CALC_FOUND_ROWS id FROM ticket LIMIT 1
SELECT HIGH_PRIORITY id FROM ticket
SELECT STRAIGHT_JOIN t.id FROM ticket t JOIN article a ON a.ticket_id = t.id
SELECT DISTINCTROW state FROM ticket
SELECT t.id FROM ticket t STRAIGHT_JOIN article a ON a.ticket_id = t.id
SELECT id FROM ticket USE INDEX (ix_state) WHERE state = 'open'
SELECT id FROM ticket FORCE INDEX (ix_state) WHERE state = 'open'
SELECT id FROM ticket IGNORE INDEX (ix_state, PRIMARY)
SELECT id FROM ticket USE INDEX FOR ORDER BY (ix_state) ORDER BY state
SELECT t.id FROM ticket t FORCE KEY (ix_state) JOIN article a ON a.ticket_id = t.id
SELECT t.id FROM ticket t RIGHT JOIN article a ON a.ticket_id = t.id
SELECT t.id FROM ticket t NATURAL LEFT JOIN setting
SELECT t.id FROM ticket t JOIN (article a, queue q) ON a.ticket_id = t.id AND q.id = t.queue_id
SELECT t.id FROM (ticket t, article a) LEFT JOIN queue q ON q.id = t.queue_id
SELECT t.id FROM ticket t LEFT JOIN (article a JOIN queue q ON q.id = a.id) ON a.ticket_id = t.id
SELECT 1 FROM DUAL
SELECT 1 FROM dual WHERE 1 = 1
SELECT GROUP_CONCAT(title) FROM ticket
SELECT GROUP_CONCAT(DISTINCT title ORDER BY title DESC SEPARATOR '; ') FROM ticket GROUP BY queue_id
SELECT GROUP_CONCAT(id, ':', title SEPARATOR '|') FROM ticket
SELECT state, COUNT(*) FROM ticket GROUP BY state WITH ROLLUP
SELECT state, COUNT(*) c FROM ticket GROUP BY 1 HAVING c > 0 ORDER BY NULL
SELECT COUNT(DISTINCT state, priority) FROM ticket
SELECT BIT_AND(id), BIT_OR(id), BIT_XOR(id), STD(priority), STDDEV_POP(priority), VARIANCE(priority) FROM ticket
SELECT JSON_ARRAYAGG(title), JSON_OBJECTAGG(id, title) FROM ticket
SELECT id FROM doc WHERE MATCH (body) AGAINST ('x')
SELECT id, MATCH (body) AGAINST ('+x -y' IN BOOLEAN MODE) AS score FROM doc
SELECT id FROM doc WHERE MATCH (body) AGAINST (? IN NATURAL LANGUAGE MODE)
SELECT jt.a FROM JSON_TABLE('[{"a":1}]', '$[*]' COLUMNS (a INT PATH '$.a')) AS jt
SELECT t.id, jt.a FROM ticket t, JSON_TABLE(t.data, '$' COLUMNS (n FOR ORDINALITY, a INT PATH '$.a.b' DEFAULT '0' ON EMPTY)) jt
SELECT id FROM ticket WHERE state = "open" AND title = 'x'
SELECT id FROM ticket WHERE title LIKE 'a\_%'
SELECT id FROM ticket WHERE (id, priority) IN ((1, 2), (3, 4))
SELECT id FROM ticket WHERE id > ALL (SELECT ticket_id FROM article)
SELECT id FROM ticket WHERE id = ANY (SELECT ticket_id FROM article)
SELECT id FROM ticket WHERE id = $1 OR owner_id = $1 AND state = $2
SELECT id FROM ticket WHERE state = $2 AND id = $1
SELECT a.id FROM ticket a PROCEDURE
SELECT id FROM ticket WHERE created > DATE_SUB(NOW(), INTERVAL ? DAY)
SELECT id FROM ticket WHERE created BETWEEN '2024-01-01' AND '2024-01-01' + INTERVAL 1 MONTH
SELECT id AS 'alias with quotes', title AS "other" FROM ticket
SELECT id 'alias' FROM ticket
SELECT CASE WHEN id = 1 THEN 'a' END AS `case` FROM ticket
VALUES (1, 2), (3, 4)
INSERT INTO tag (id, name) VALUES (60, 'x') ON DUPLICATE KEY UPDATE name = VALUES(name)
INSERT INTO tag (id, name) VALUES (60, 'x') ON DUPLICATE KEY UPDATE name = CONCAT(name, VALUES(name)), id = id + 1
INSERT INTO tag (id, name) SELECT id, name FROM queue ON DUPLICATE KEY UPDATE name = VALUES(name)
INSERT IGNORE INTO tag (id, name) VALUES (1, 'x')
INSERT INTO tag SET id = 61, name = 'y'
INSERT tag (id, name) VALUES (62, 'x')
INSERT LOW_PRIORITY INTO tag (id, name) VALUES (63, 'x')
INSERT HIGH_PRIORITY IGNORE INTO tag (id, name) VALUES (64, 'x')
INSERT INTO tag VALUES (65, DEFAULT)
INSERT INTO tag VALUES (66, DEFAULT(name))
INSERT INTO tag (id, name) VALUES (67, 'x') RETURNING id
INSERT INTO tag (id, name) VALUE (68, 'x')
INSERT INTO app.tag (id, name) VALUES (69, 'x')
INSERT INTO gk_note (id, note) SELECT id, title FROM ticket LIMIT 2
REPLACE INTO tag (id, name) VALUES (1, 'x')
REPLACE INTO tag (id, name) SELECT id, name FROM queue
REPLACE tag (id, name) VALUES (1, 'x')
REPLACE INTO tag SET id = 1, name = 'x'
UPDATE ticket t JOIN customer c ON c.id = t.customer_id SET t.state = 'x' WHERE c.email = ?
UPDATE ticket t INNER JOIN queue q ON q.id = t.queue_id SET t.state = q.name, t.priority = 1
UPDATE ticket t LEFT JOIN article a ON a.ticket_id = t.id SET t.state = 'x' WHERE a.id IS NULL
UPDATE ticket, queue SET ticket.state = queue.name WHERE queue.id = ticket.queue_id
UPDATE ticket t, queue q SET t.state = q.name WHERE q.id = t.queue_id
UPDATE ticket t JOIN (SELECT ticket_id, COUNT(*) AS n FROM article GROUP BY ticket_id) x ON x.ticket_id = t.id SET t.priority = x.n
UPDATE ticket SET state = 'x' ORDER BY id LIMIT 1
UPDATE IGNORE ticket SET state = 'x'
UPDATE LOW_PRIORITY ticket SET state = 'x'
UPDATE ticket SET priority = priority + 1, changed = NOW() WHERE id = ?
UPDATE ticket SET state = DEFAULT
UPDATE ticket t JOIN article a ON a.ticket_id = t.id SET t.state = 'x', a.subject = 'y'
UPDATE app.ticket SET state = 'x'
UPDATE `ticket` SET `ticket`.`state` = 'x' WHERE `ticket`.`id` = 1
DELETE FROM ticket ORDER BY id LIMIT 1
DELETE QUICK FROM ticket WHERE id = 1
DELETE LOW_PRIORITY IGNORE FROM ticket WHERE id = 1
DELETE t FROM ticket t WHERE t.id = 1
DELETE a FROM article a JOIN ticket t ON t.id = a.ticket_id WHERE t.state = 'x'
DELETE a, t FROM article a JOIN ticket t ON t.id = a.ticket_id
DELETE FROM a USING article a JOIN ticket t ON t.id = a.ticket_id
DELETE article FROM article LEFT JOIN ticket ON ticket.id = article.ticket_id WHERE ticket.id IS NULL
DELETE FROM article WHERE id = 1 RETURNING id
DELETE t1 FROM gk_note t1 JOIN gk_note t2 ON t1.ticket_id = t2.ticket_id AND t1.id > t2.id
SELECT * FROM (SELECT id FROM ticket UNION SELECT id FROM article) x LEFT JOIN tag ON tag.id = x.id
SELECT @@version
SELECT id FROM ticket WHERE id IN (SELECT * FROM (SELECT MAX(id) FROM ticket) z)
SELECT IF(COUNT(*) > 0, 'yes', 'no') FROM ticket
SELECT id, MEDIAN(priority) OVER (PARTITION BY queue_id) FROM ticket
SELECT NTH_VALUE(id, 2) OVER (ORDER BY id) FROM ticket
SELECT YEAR(created) AS y, MONTH(created) AS m, COUNT(*) FROM ticket GROUP BY YEAR(created), MONTH(created) ORDER BY y, m
SELECT COUNT(*) FROM ticket WHERE created >= DATE_FORMAT(NOW(), '%Y-%m-01')
SELECT CAST('2024-01-01' AS DATE) + INTERVAL 1 DAY
SELECT t.id, TIMESTAMPDIFF(MINUTE, t.created, NOW()) AS age_min FROM ticket t WHERE t.state NOT IN ('closed') ORDER BY age_min DESC
SELECT JSON_VALUE(data, '$.a.b') FROM ticket
SELECT NULL, TRUE, FALSE, 0b101, 1e5
SELECT COUNT(*) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE NO OTHERS) FROM ticket
SELECT id FROM ticket WHERE title REGEXP BINARY 'A'
SELECT key_name, rank_no FROM (SELECT name AS key_name, RANK() OVER (ORDER BY id) AS rank_no FROM tag) r
""".replace("SELECT a.id FROM ticket a PROCEDURE\n", "").replace("SELECT @@version\n", "")


def sqlite():
    yield from common()
    for expression in [
        "IFNULL(title, '')", "IIF(id > 1, 'a', 'b')", "title || body", "date(created)", "datetime('now')", "strftime('%Y', created)",
        "julianday(created)", "typeof(id)", "quote(title)", "hex(title)", "instr(title, 'a')", "printf('%d', id)", "format('%s', title)",
        "substr(title, 1, 2)", "ltrim(title)", "rtrim(title, 'x')", "unicode(title)", "char(65, 66)", "random() > 0", "randomblob(4)",
        "zeroblob(3)", "max(id, 2)", "min(id, 2)", "round(amount, 1)", "total(amount)", "group_concat(title)", "group_concat(title, '; ')",
        "json_extract(data, '$.a')", "json(data)", "json_object('a', id)", "json_array(1, 2)", "json_array_length(data)", "json_type(data)",
        "json_valid(data)", "json_set(data, '$.a', 1)", "json_group_array(title)", "json_group_object(id, title)", "data -> 'a'",
        "data ->> '$.a.b'", "json_quote(title)", "json_remove(data, '$.a')", "json_patch(data, '{}')", "title GLOB 'a*'",
        "title NOT GLOB 'a*'", "title LIKE 'a%' ESCAPE '\\'", "title IS NULL", "title IS NOT 'x'", "id IS 1", "id IS NOT NULL", "id IS DISTINCT FROM 1",
        "title ISNULL", "title NOTNULL", "title NOT NULL", "id == 1", "id <> 1", "id != 1", "id << 1", "id >> 1", "id & 1", "id | 1", "~id", "-id", "+id",
        "id % 2", "x'41'", "X'4142'", "0x1F", "1e3", ".5", "5.", "CAST(id AS TEXT)", "CAST(title AS INTEGER)", "CAST(id AS REAL)", "CAST(id AS NUMERIC)",
        "CAST(title AS BLOB)", "title COLLATE NOCASE", "title COLLATE BINARY = 'x'", "id BETWEEN 1 AND 2", "id NOT BETWEEN 1 AND 2", "id IN (1, 2)", "id IN ()",
        "(id, title) = (1, 'x')", "(id, title) IN (VALUES (1, 'a'), (2, 'b'))", "rowid", "ticket.rowid", "oid", "_rowid_", "\"title\"", "[title]", "`title`",
        "EXISTS (SELECT 1 FROM article)", "(SELECT COUNT(*) FROM article)", "NOT id", "id AND 1", "id OR 0", "likely(id)", "coalesce(title, 'x')", "unixepoch()",
        "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP", "CASE id WHEN 1 THEN 2 END", "sign(amount)", "abs(id)", "length(title)", "replace(title, 'a', 'b')",
        "lower(title)", "upper(title)", "trim(title, 'x')", "time('now')", "nullif(title, '')", "count(DISTINCT state)", "sum(amount)", "avg(amount)",
    ]:
        yield f"SELECT {expression} FROM ticket"
        aggregate = any(f in expression for f in ("group_", "total(", "sum(", "avg(", "count("))
        if aggregate:
            yield f"SELECT queue_id, {expression} AS v FROM ticket GROUP BY queue_id HAVING v IS NOT NULL"
        else:
            yield f"SELECT id FROM ticket WHERE ({expression}) IS NOT NULL ORDER BY id"
    for conflict in ["ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"]:
        yield f"INSERT OR {conflict} INTO tag (id, name) VALUES (9, 'x')"
        yield f"UPDATE OR {conflict} tag SET name = 'z' WHERE id = 1"
    for frame in ["EXCLUDE NO OTHERS", "EXCLUDE CURRENT ROW", "EXCLUDE GROUP", "EXCLUDE TIES"]:
        yield f"SELECT id, SUM(priority) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING {frame}) FROM ticket"
    for table in ["ticket", "article", "queue", "customer", "tag"]:
        yield f"SELECT id FROM main.{table}"
        yield f"SELECT id FROM \"{table}\" WHERE \"id\" = ?"
        yield f"SELECT id FROM [{table}]"
        yield f"SELECT id FROM `{table}`"
        yield f"SELECT COUNT(*) FROM {table.upper()}"
        yield f"SELECT * FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id > ?)"
        yield f"DELETE FROM {table} WHERE rowid = ?"
        yield f"SELECT max(rowid) FROM {table}"
    yield from SQLITE.strip("\n").split("\n")


SQLITE = r"""
SELECT "key" FROM "order"
SELECT o.[key] FROM [order] o
SELECT id FROM ticket LIMIT 5, 10
SELECT id FROM ticket LIMIT -1 OFFSET 2
SELECT id FROM ticket INDEXED BY ix_state WHERE state = 'open'
SELECT id FROM ticket NOT INDEXED WHERE state = 'open'
SELECT id FROM ticket AS t INDEXED BY ix_state WHERE t.state = 'open'
DELETE FROM ticket INDEXED BY ix_state WHERE state = 'x'
UPDATE ticket NOT INDEXED SET state = 'x' WHERE state = 'y'
SELECT id FROM ticket WHERE id IN ticket_tag
SELECT id FROM ticket WHERE (ticket_tag.ticket_id, ticket_tag.tag_id) IN ticket_tag
SELECT 1 WHERE 1 IN (SELECT id FROM tag)
SELECT id FROM ticket WHERE id NOT IN tag_ids
WITH tag_ids AS (SELECT id FROM tag) SELECT id FROM ticket WHERE id IN tag_ids
SELECT value FROM json_each('[1,2,3]')
SELECT t.id, e.value FROM ticket t, json_each(t.data) e
SELECT e.key, e.value, e.type FROM ticket, json_tree(ticket.data, '$') AS e
SELECT j.value FROM json_each(?) AS j
SELECT title FROM doc WHERE doc MATCH 'x'
SELECT title FROM doc WHERE doc MATCH ? ORDER BY rank
SELECT highlight(doc, 0, '<b>', '</b>') FROM doc WHERE doc MATCH 'x'
SELECT snippet(doc, 1, '', '', '', 5), bm25(doc) FROM doc WHERE doc MATCH 'x'
INSERT INTO doc (title, body) VALUES ('a', 'b')
VALUES (1, 2), (3, 4)
SELECT * FROM (VALUES (1, 'a'), (2, 'b'))
SELECT column1 FROM (VALUES (1), (2)) WHERE column1 > 1
WITH v(a, b) AS (VALUES (1, 2), (3, 4)) SELECT a + b FROM v
WITH a AS MATERIALIZED (SELECT id FROM ticket) SELECT * FROM a
WITH a AS NOT MATERIALIZED (SELECT id FROM ticket) SELECT * FROM a
WITH b AS (SELECT id FROM a), a AS (SELECT id FROM ticket) SELECT * FROM b
WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 10) SELECT sum(n) FROM c
WITH RECURSIVE tree(id, depth) AS (SELECT id, 0 FROM queue WHERE parent_id IS NULL UNION ALL SELECT q.id, tree.depth + 1 FROM queue q, tree WHERE q.parent_id = tree.id) SELECT * FROM tree
WITH c AS (SELECT id FROM ticket) DELETE FROM article WHERE ticket_id IN (SELECT id FROM c)
WITH c AS (SELECT 1 AS id) INSERT INTO tag (id, name) SELECT id + 100, 'x' FROM c
WITH c AS (SELECT 1 AS id) UPDATE tag SET name = 'x' WHERE id IN (SELECT id FROM c)
INSERT INTO tag DEFAULT VALUES
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT DO NOTHING
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE tag.name <> excluded.name
INSERT INTO tag AS t (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = t.name || excluded.name
INSERT INTO setting (name, val) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET val = excluded.val, version = version + 1
INSERT INTO tag (id, name) VALUES (90, 'x') RETURNING id
INSERT INTO tag (id, name) VALUES (90, 'x') RETURNING *
INSERT INTO main.tag (id, name) VALUES (90, 'x')
REPLACE INTO tag (id, name) VALUES (1, 'x')
REPLACE INTO tag (id, name) SELECT id, name FROM queue
UPDATE tag SET name = 'x' WHERE id = 1 RETURNING id, name
UPDATE ticket SET state = q.name FROM queue q WHERE q.id = ticket.queue_id
UPDATE ticket AS t SET state = q.name FROM queue AS q JOIN customer c ON c.id = q.id WHERE q.id = t.queue_id
UPDATE ticket SET (state, priority) = ('x', 2) WHERE id = 1
UPDATE ticket SET (state, priority) = (SELECT name, id FROM queue LIMIT 1)
UPDATE main.ticket SET state = 'x'
DELETE FROM article WHERE id = 1 RETURNING id
DELETE FROM ticket AS t WHERE t.id = 1
SELECT t.id FROM ticket t CROSS JOIN article a
SELECT t.id FROM ticket t LEFT JOIN article a USING (id)
SELECT t.id FROM ticket t NATURAL LEFT JOIN setting
SELECT t.id FROM (ticket t JOIN article a ON a.ticket_id = t.id)
SELECT group_concat(DISTINCT state) FROM ticket
SELECT count(*) FILTER (WHERE state = 'open') FROM ticket
SELECT id, count(*) FILTER (WHERE state = 'open') OVER (ORDER BY id) FROM ticket
SELECT id, sum(priority) OVER (ORDER BY id GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM ticket
SELECT id FROM ticket ORDER BY created DESC NULLS LAST
SELECT id FROM ticket ORDER BY title COLLATE NOCASE DESC
SELECT id FROM ticket GROUP BY id HAVING max(priority) > 0
SELECT state, count(*) FROM ticket GROUP BY 1 ORDER BY 2 DESC
SELECT id FROM ticket WHERE id = $1 AND state = $2 OR id = $1
SELECT id FROM ticket WHERE state = $2 AND id = $1
SELECT id AS 'quoted alias', title AS [bracket], body AS `tick` FROM ticket
SELECT id alias_without_as FROM ticket
SELECT id FROM ticket WHERE title = "open"
SELECT date(created, 'start of month') AS m, count(*) FROM ticket GROUP BY m
SELECT strftime('%Y-%m', created) AS ym, sum(amount) FROM ticket GROUP BY ym ORDER BY ym
SELECT id FROM ticket WHERE created > datetime('now', '-7 days')
SELECT id FROM ticket WHERE json_extract(data, '$.a.b') = 1
SELECT 1 UNION SELECT 2 UNION ALL SELECT 3 ORDER BY 1 DESC LIMIT 2
SELECT id FROM ticket EXCEPT SELECT ticket_id FROM article INTERSECT SELECT id FROM tag
SELECT a.id, b.id FROM ticket a, ticket b WHERE a.id < b.id
SELECT 5 IS NOT 6, NULL IS NULL, 1 IS TRUE, 0 IS FALSE
SELECT CAST(? AS INTEGER)
SELECT id FROM ticket WHERE id IN (SELECT value FROM json_each(?))
""".replace("SELECT id FROM ticket WHERE (ticket_tag.ticket_id, ticket_tag.tag_id) IN ticket_tag\n", "").replace(
    "SELECT id FROM ticket WHERE id IN ticket_tag\n", "SELECT id FROM ticket WHERE (id, queue_id) IN ticket_tag\n").replace(
    "SELECT id FROM ticket WHERE id NOT IN tag_ids\n", "")

ALL = {"postgres": postgres, "mysql": mysql, "sqlite": sqlite}
