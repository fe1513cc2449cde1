"""Statements of a hostile author: each one would touch `users` or `secret`, or do what no plugin may do."""

import re

READ = {"ticket", "article", "queue", "tag", "doc", "gk_*"}
WRITE = {"ticket", "tag", "gk_*"}

#: Places in a statement where a subquery can hide; {q} is a scalar subquery in parentheses.
PLACES = """
SELECT {q}
SELECT id, {q} AS x FROM ticket
SELECT id FROM ticket WHERE title = {q}
SELECT id FROM ticket WHERE title IN ({q})
SELECT id FROM ticket WHERE title IN {q}
SELECT id FROM ticket WHERE title NOT IN {q}
SELECT id FROM ticket WHERE EXISTS {q}
SELECT id FROM ticket WHERE id = 1 AND NOT EXISTS {q}
SELECT id FROM ticket WHERE title LIKE {q}
SELECT id FROM ticket WHERE title LIKE 'a' ESCAPE {q}
SELECT id FROM ticket WHERE title BETWEEN 'a' AND {q}
SELECT id FROM ticket WHERE title BETWEEN {q} AND 'z'
SELECT id FROM ticket WHERE {q} IS NULL
SELECT id FROM ticket WHERE ({q}) IS NOT NULL
SELECT CASE WHEN {q} = 'a' THEN 1 END FROM ticket
SELECT CASE {q} WHEN 'a' THEN 1 END FROM ticket
SELECT CASE WHEN 1 = 1 THEN {q} END FROM ticket
SELECT CASE WHEN 1 = 2 THEN 1 ELSE {q} END FROM ticket
SELECT COALESCE(NULL, {q}) FROM ticket
SELECT COUNT({q}) FROM ticket
SELECT COUNT(DISTINCT {q}) FROM ticket
SELECT MAX(CASE WHEN 1 = 1 THEN {q} END) FROM ticket
SELECT CAST({q} AS CHAR(20)) FROM ticket
SELECT SUM(id) OVER (PARTITION BY {q}) FROM ticket
SELECT SUM(id) OVER (ORDER BY {q}) FROM ticket
SELECT FIRST_VALUE({q}) OVER (ORDER BY id) FROM ticket
SELECT id FROM ticket GROUP BY id, {q}
SELECT id FROM ticket GROUP BY id HAVING {q} = 'a'
SELECT id FROM ticket ORDER BY {q}
SELECT id FROM ticket ORDER BY id, CASE WHEN {q} = 'a' THEN 1 ELSE 2 END DESC
SELECT id FROM ticket LIMIT {q}
SELECT id FROM ticket LIMIT 1 OFFSET {q}
SELECT t.id FROM ticket t JOIN article a ON a.subject = {q}
SELECT t.id FROM ticket t LEFT JOIN article a ON a.id = t.id AND EXISTS {q}
SELECT * FROM {q} x
SELECT * FROM ticket, {q} x
SELECT * FROM ticket JOIN {q} x ON 1 = 1
SELECT * FROM (SELECT {q} AS pw) x
SELECT * FROM (SELECT id FROM ticket WHERE title = {q}) x
SELECT title FROM ticket UNION SELECT {q}
SELECT title FROM ticket UNION ALL (SELECT title FROM ticket WHERE title = {q})
WITH x AS (SELECT {q} AS a) SELECT a FROM x
WITH x AS (SELECT id FROM ticket) SELECT {q} FROM x
WITH x AS (SELECT id FROM ticket WHERE title = {q}) SELECT id FROM x
WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < (SELECT LENGTH({q}))) SELECT n FROM x
SELECT id, (SELECT (SELECT {q})) FROM ticket
SELECT -{q}, 1 + {q}, {q} || 'a' FROM ticket
SELECT NOT {q} FROM ticket
SELECT (1, {q}) = (1, 'a') FROM ticket
INSERT INTO tag (id, name) VALUES (90, {q})
INSERT INTO tag (id, name) SELECT 90, {q}
INSERT INTO tag (id, name) SELECT id, title FROM ticket WHERE title = {q}
UPDATE ticket SET title = {q}
UPDATE ticket SET title = 'x' WHERE title = {q}
UPDATE ticket SET title = CASE WHEN {q} = 'a' THEN 'x' ELSE 'y' END WHERE id = 1
DELETE FROM ticket WHERE title = {q}
DELETE FROM ticket WHERE EXISTS {q}
SELECT id FROM ticket t WHERE t.id = (SELECT a.id FROM article a WHERE a.subject = {q})
SELECT 1 WHERE {q} = 'a'
SELECT SUM(id) OVER w FROM ticket WINDOW w AS (PARTITION BY {q})
"""

#: Ways to read `users`, as the body of a subquery.
READS = [
    "SELECT pw FROM users LIMIT 1",
    "SELECT u.pw FROM ticket t, users u LIMIT 1",
    "SELECT pw FROM users UNION SELECT 'a' LIMIT 1",
]

#: Whole statements that read `users` for all engines.
COMMON = """
SELECT * FROM users
SELECT pw FROM "users"
SELECT pw FROM USERS
select pw from users u where u.id=1
SELECT users.pw FROM ticket, users
SELECT u.pw FROM ticket t CROSS JOIN users u
SELECT u.pw FROM ticket t NATURAL JOIN users u
SELECT u.pw FROM (ticket t JOIN users u ON u.id = t.owner_id)
SELECT u.pw FROM ticket t LEFT JOIN (article a JOIN users u ON u.id = a.id) ON a.id = t.id
SELECT pw FROM/**/users
SELECT pw FROM(users)
SELECT pw FROM users;
SELECT pw FROM users -- comment
SELECT title FROM ticket UNION SELECT pw FROM users
SELECT title FROM ticket EXCEPT SELECT pw FROM users
(SELECT title FROM ticket) UNION (SELECT pw FROM users)
SELECT title FROM ticket UNION SELECT title FROM ticket UNION SELECT pw FROM users
WITH users AS (SELECT pw FROM users) SELECT pw FROM users
WITH a AS (SELECT pw FROM users), users AS (SELECT 1 AS pw) SELECT pw FROM a
WITH a AS (SELECT 1), b AS (SELECT pw FROM users) SELECT * FROM a, b
SELECT * FROM (WITH users AS (SELECT 1 AS id) SELECT id FROM users) a, users
SELECT (WITH users AS (SELECT 1 AS id) SELECT id FROM users), pw FROM users
SELECT id FROM ticket WHERE id IN (WITH users AS (SELECT 1 AS id) SELECT id FROM users) UNION SELECT id FROM users
(WITH users AS (SELECT 1 AS id) SELECT id FROM users) UNION SELECT id FROM users
WITH "USERS" AS (SELECT 1 AS pw) SELECT pw FROM users
WITH u\u017fers AS (SELECT 1 AS pw) SELECT pw FROM users
WITH "u\u017fers" AS (SELECT 1 AS pw) SELECT pw FROM users
WITH users\u00a0(z) AS (SELECT 1) SELECT * FROM users
WITH users AS (SELECT 1 AS id) DELETE FROM users
WITH users AS (SELECT 1 AS id) UPDATE users SET pw = 'x'
WITH users AS (SELECT 1 AS id) INSERT INTO users (id) SELECT id FROM users
INSERT INTO users (id, login) VALUES (9, 'x')
INSERT INTO users SELECT * FROM users
INSERT INTO article (id, subject) VALUES (9, 'x')
INSERT INTO tag (id, name) SELECT id, pw FROM users
UPDATE users SET pw = 'x'
UPDATE article SET subject = 'x'
DELETE FROM users
DELETE FROM article WHERE id = 1
SELECT title FROM ticket; DELETE FROM users
SELECT title FROM ticket;; SELECT 1
; SELECT pw FROM users
SELECT id FROM ticket WHERE title = 'a' OR pw FROM users
SELECT name FROM setting
DROP TABLE ticket
DROP TABLE users
ALTER TABLE ticket ADD COLUMN x int
CREATE TABLE gk_x (id int)
CREATE TABLE gk_x AS SELECT * FROM users
CREATE VIEW gk_v AS SELECT * FROM users
CREATE INDEX gk_i ON ticket (id)
TRUNCATE TABLE ticket
TRUNCATE ticket
EXPLAIN SELECT pw FROM users
EXPLAIN SELECT id FROM ticket
EXPLAIN ANALYZE DELETE FROM ticket
BEGIN
COMMIT
ROLLBACK
SAVEPOINT a
START TRANSACTION
GRANT SELECT ON users TO plug
REVOKE SELECT ON ticket FROM plug
SET TRANSACTION READ WRITE
CALL x()
EXECUTE p
PREPARE p AS SELECT pw FROM users
DEALLOCATE p
ANALYZE ticket
VACUUM
LOCK TABLE ticket
SELECT title FROM ticket WHERE title = 'a
SELECT title FROM ticket /* open
SELECT "title FROM ticket
SELECT pw FROM no.such.users
SELECT pw FROM a.b.c.users
SELECT pw FROM .users
SELECT 1.FROM users
SELECT 1.e FROM users
SELECT 1e FROM users
SELECT my_function(1)
SELECT no_such_function(title) FROM ticket
SELECT sleep(1)
SELECT title FROM ticket INTO users
SELECT * INTO gk_x FROM users
SELECT * INTO gk_x FROM ticket
SELECT {fn escape}
SELECT title\u00a0FROM users
SELECT title FROM\u3000users
SELECT title FROM ticket\u2003, users
SELECT title FROM ticket\u0085, users
\ufeffSELECT pw FROM users
SELECT id FROM ticket WHERE id = :id
SELECT id FROM ticket WHERE id = @id
SELECT id FROM ticket WHERE id = ? OR id = $1
SELECT id FROM ticket WHERE id = $2
SELECT id FROM ticket WHERE id = $0
SELECT id FROM ticket WHERE id = $99999
SELECT id FROM ticket WHERE id = $99999999999999999999999
"""


def calls(text):
    """Function calls in `text`."""
    return re.findall(r"\S+?\((?:[^()']|'[^']*')*\)", text)


def common():
    for place in PLACES.strip("\n").split("\n"):
        for number, read in enumerate(READS):
            yield f"position-{number}", place.replace("{q}", f"({read})")
    for statement in COMMON.strip("\n").split("\n"):
        yield "statement", statement.encode("ascii", "backslashreplace").decode("unicode_escape")
    for function in ("load_extension('x')", "readfile('/etc/passwd')", "pg_read_file('x')", "load_file('/etc/passwd')"):
        yield "function", f"SELECT {function}"
        yield "function", f"SELECT id FROM ticket WHERE {function} IS NOT NULL"
    for control in "\x00\x01\x08\x0b\x0c\x1b\x7f":
        yield "control", f"SELECT title{control}FROM users"
        yield "control", f"SELECT '{control}' FROM ticket"


def postgres():
    yield from common()
    for function in calls("""
        query_to_xml('SELECT pw FROM users',true,true,'') query_to_xmlschema('SELECT pw FROM users',true,true,'')
        query_to_xml_and_xmlschema('SELECT pw FROM users',true,true,'') table_to_xml('users',true,true,'')
        schema_to_xml('public',true,true,'') database_to_xml(true,true,'') cursor_to_xml('c',1,true,true,'')
        ts_stat('SELECT to_tsvector(pw) FROM users') ts_rewrite('a'::tsquery,'SELECT a,b FROM users') pg_read_file('x')
        pg_read_binary_file('x') pg_ls_dir('.') pg_ls_waldir() pg_stat_file('x') lo_import('/etc/passwd') lo_export(1,'/tmp/x')
        lo_get(1) lo_create(1) lo_from_bytea(0,'x') loread(1,1) nextval('seq_1') setval('seq_1',1) currval('seq_1') lastval()
        set_config('a.b','x',false) current_setting('data_directory') pg_notify('a','b') pg_advisory_lock(1) pg_try_advisory_lock(1)
        pg_advisory_xact_lock(1) pg_sleep(0.1) pg_sleep_for('1s') pg_terminate_backend(1) pg_cancel_backend(1) pg_reload_conf()
        pg_rotate_logfile() pg_switch_wal() pg_create_restore_point('x') pg_relation_size('users') pg_total_relation_size('users')
        pg_table_size('users') pg_indexes_size('users') pg_database_size('postgres') to_regclass('users') to_regproc('secret_of')
        has_table_privilege('users','select') has_column_privilege('users','pw','select') pg_get_viewdef('v') pg_get_functiondef(1)
        pg_get_constraintdef(1) pg_get_indexdef(1) pg_get_expr('x',1) col_description('users'::text::int,1) obj_description(1) version()
        current_database() current_schema() current_schemas(true) inet_server_addr() inet_client_addr() pg_backend_pid()
        pg_postmaster_start_time() pg_conf_load_time() txid_current() pg_current_xact_id() pg_export_snapshot() secret_of('x')
        public.secret_of('x') "secret_of"('x') dblink('x','SELECT 1') dblink_exec('x','y') crosstab('SELECT 1') connectby('a','b','c','d',0)
        xpath_table('a','b','users','x','1=1') get_raw_page('users',0) pgstattuple('users') pg_prewarm('users') pgrowlocks('users')
        pg_logical_emit_message(false,'a','b') pg_stat_get_activity(1) pg_show_all_settings() pg_lock_status() pg_stat_reset()
        brin_summarize_new_values('x') gin_clean_pending_list('x') pg_ls_logdir() pg_ls_tmpdir() pg_file_write('a','b',true)
        pg_current_logfile() pg_get_keywords() pg_cursor() pg_prepared_statement() pg_sequence_last_value('seq_1') pg_column_compression(1)
        regclass('users') regprocin('x') textin('x') int4in('1') array_in('x',1,1) record_in('x',1,1) domain_in('x',1,1)
        pg_input_is_valid('1','users') binary_upgrade_set_next_pg_type_oid(1) pg_import_system_collations('x') pg_stat_get_backend_activity(1)
    """):
        yield "function", f"SELECT {function}"
        yield "function", f"SELECT * FROM {function} AS x"
        yield "function", f"SELECT id FROM ticket WHERE {function}::text IS NOT NULL"
    for place in [
        "SELECT id FROM ticket WHERE id = ANY{q}", "SELECT id FROM ticket WHERE id > ALL{q}", "SELECT array{q} FROM ticket",
        "SELECT array[{q}] FROM ticket", "SELECT (array[1,2])[{q}]", "SELECT count(*) FILTER (WHERE {q} = 'a') FROM ticket",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY {q}) FROM ticket", "SELECT string_agg(title, {q}) FROM ticket",
        "SELECT array_agg(id ORDER BY {q}) FROM ticket", "SELECT DISTINCT ON ({q}) id FROM ticket", "SELECT id FROM ticket FETCH FIRST {q} ROWS ONLY",
        "SELECT id FROM ticket OFFSET {q}", "SELECT id FROM ticket TABLESAMPLE BERNOULLI ({q})", "SELECT row(1, {q}) FROM ticket",
        "SELECT * FROM generate_series(1, {q}) g", "SELECT * FROM unnest(array[{q}]) u", "SELECT * FROM ticket t, LATERAL {q} x",
        "SELECT * FROM ticket t LEFT JOIN LATERAL {q} x ON true", "SELECT * FROM (VALUES (1, {q})) v(a, b)", "VALUES (1, {q})",
        "SELECT id FROM ticket GROUP BY ROLLUP (id, {q})", "SELECT id FROM ticket GROUP BY GROUPING SETS ((id), ({q}))",
        "SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN {q} PRECEDING AND CURRENT ROW) FROM ticket", "SELECT {q}::text", "SELECT {q} COLLATE \"C\"",
        "SELECT now() AT TIME ZONE {q}", "SELECT extract(epoch from {q})", "SELECT substring('abc' from {q})", "SELECT overlay('abc' placing {q} from 1)",
        "SELECT position({q} in 'abc')", "SELECT trim({q} from 'abc')", "SELECT jsonb_build_object('a', {q})", "SELECT json_build_array({q})",
        "SELECT ({q}) IS DISTINCT FROM 'a'", "SELECT 'a' SIMILAR TO {q}", "SELECT 'a' ILIKE {q}", "SELECT 'a' ~ {q}", "SELECT data -> {q} FROM ticket",
        "SELECT data ? {q} FROM ticket", "SELECT concat(VARIADIC array[{q}])", "SELECT make_interval(days => {q})",
        "INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = {q}",
        "INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'x' WHERE {q} = 'a'",
        "INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) WHERE {q} = 'a' DO NOTHING",
        "INSERT INTO tag (id, name) VALUES (1, 'x') RETURNING {q}", "UPDATE tag SET name = 'x' RETURNING {q}", "DELETE FROM tag RETURNING {q}",
        "UPDATE tag SET (name, id) = (SELECT {q}, 1)", "UPDATE tag SET (name, id) = ROW ({q}, 1)", "UPDATE tag SET name = 'x' FROM ticket t WHERE {q} = 'a'",
        "DELETE FROM tag USING ticket t WHERE {q} = 'a'", "WITH x AS (DELETE FROM tag WHERE name = {q} RETURNING id) SELECT id FROM x",
        "MERGE INTO tag t USING ticket s ON {q} = 'a' WHEN MATCHED THEN DELETE", "MERGE INTO tag t USING {q} s ON true WHEN MATCHED THEN DELETE",
        "MERGE INTO tag t USING ticket s ON true WHEN MATCHED AND {q} = 'a' THEN DELETE", "MERGE INTO tag t USING ticket s ON true WHEN MATCHED THEN UPDATE SET name = {q}",
        "MERGE INTO tag t USING ticket s ON true WHEN NOT MATCHED THEN INSERT (id, name) VALUES (1, {q})", "UPDATE doc SET m[{q}] = 1",
    ]:
        for number, read in enumerate(READS[:2]):
            yield f"position-{number}", place.replace("{q}", f"({read})")
    for statement in ATTRIBUTES.strip("\n").split("\n"):
        yield "function", statement
    for statement in POSTGRES.strip("\n").split("\n"):
        yield "statement", statement.encode("ascii", "backslashreplace").decode("unicode_escape")


#: `x.f` where PostgreSQL finds no column and calls `f(x)`: the rights of the role don't matter, so none may be accepted.
ATTRIBUTES = r"""
SELECT x.secret_of FROM unnest(array['a']) x
SELECT unnest.secret_of FROM unnest(array['a'])
SELECT x.secret_of FROM unnest(array['a']) WITH ORDINALITY x
SELECT x.secret_of FROM jsonb_object_keys('{"a":1}') AS x
SELECT x.pg_read_file FROM unnest(array['PG_VERSION']) x
SELECT ('a'::text).secret_of
SELECT (t.title).secret_of FROM ticket t
SELECT (title).secret_of FROM ticket
SELECT (SELECT 'a'::text).secret_of
SELECT (array['a'])[1].secret_of
SELECT ((array['a'])[1]).secret_of
SELECT (x).secret_of FROM unnest(array['a']) x
SELECT 1 FROM unnest(array['a']) x WHERE x.secret_of = 'x'
SELECT 1 FROM ticket t JOIN unnest(array['a']) x ON x.secret_of = t.title
SELECT (SELECT x.secret_of) FROM unnest(array['a']) x
SELECT "X".secret_of FROM unnest(array['a']) "X"
SELECT lower.secret_of FROM lower('A')
SELECT x.secret_of FROM lower('A') AS x
SELECT x.secret_of FROM pg_catalog.lower('A') AS x
SELECT l.secret_of FROM ticket t, LATERAL lower(t.title) l
SELECT s.a[1].ts_stat FROM (SELECT ARRAY['SELECT to_tsvector(pw) FROM users'] AS a) AS s
SELECT d.tags[1].secret_of FROM doc d
SELECT tags[1].secret_of FROM doc
SELECT tags['1'].secret_of FROM doc
SELECT tags[-1].secret_of FROM doc
SELECT tags[1:2].secret_of FROM doc
SELECT tags[1][2].secret_of FROM doc
SELECT tags[1][m[1]].secret_of FROM doc
SELECT tags[m[1]][1].secret_of FROM doc
SELECT (tags)[1].secret_of FROM doc
SELECT tags[1].key FROM doc
SELECT (tags[1]).key FROM doc
SELECT (SELECT array['a'])[1].secret_of
SELECT ($1).secret_of
SELECT $1.secret_of
SELECT $1[1].secret_of
UPDATE ticket SET title = title[1].secret_of
UPDATE ticket SET title = s.a[1].secret_of FROM (SELECT ARRAY['a'] AS a) s
INSERT INTO tag (id, name) SELECT 90, 'x' RETURNING name[1].secret_of
WITH a AS (SELECT 1 FROM json_to_record('{}') AS x(pg_read_file text)) SELECT x.pg_read_file FROM unnest(ARRAY['/etc/hostname']) AS x
SELECT x.secret_of FROM unnest(array['a']) AS x WHERE EXISTS (SELECT 1 FROM unnest(array['a']) AS x(secret_of))
SELECT (SELECT x.secret_of FROM unnest(array['a']) AS x) FROM unnest(array['a']) AS x(secret_of)
SELECT x.secret_of FROM unnest(array['a']) AS x UNION SELECT x.secret_of FROM unnest(array['a']) AS x(secret_of)
WITH x AS (SELECT 1 AS secret_of) SELECT y.id, (SELECT x.secret_of FROM unnest(array['a']) x) FROM ticket y, x
WITH a AS (SELECT 1 FROM ticket AS x) SELECT x.secret_of FROM unnest(array['a']) AS x
SELECT ts_stat.ts_stat FROM unnest(ARRAY['SELECT to_tsvector(pw) FROM users']) AS ts_stat(y)
SELECT pg_read_file.pg_read_file FROM unnest(ARRAY['/etc/hostname']) pg_read_file(y)
SELECT secret_of.secret_of FROM json_array_elements_text('["a"]') AS secret_of
SELECT secret_of.secret_of FROM jsonb_array_elements_text('["a"]') AS secret_of
SELECT secret_of.secret_of FROM lower('a') AS secret_of(y)
SELECT secret_of.secret_of FROM lower('a') AS secret_of
SELECT x.key FROM unnest(array['a']) AS x
SELECT x.value FROM json_array_elements_text('["a"]') AS x(y)
SELECT x.key FROM json_each_text('{"a":"b"}') AS x(y)
SELECT x.ordinality FROM unnest(array['a']) AS x
SELECT x.lexeme FROM unnest(array['a']) AS x
SELECT (x).key FROM unnest(array['a']) AS x
SELECT (title).value FROM ticket
SELECT (json_each_text('{"a":"b"}')).value.secret_of
SELECT (json_each_text('{"a":"b"}')).secret_of
SELECT (lower('a')).key
SELECT (upper('a')).f1
SELECT btrim.secret_of FROM trim('a')
SELECT trim.secret_of FROM trim('a')
SELECT ltrim.secret_of FROM trim(leading from 'a')
SELECT btrim.secret_of FROM trim(both from 'a')
SELECT btrim.secret_of FROM ticket AS btrim WHERE EXISTS (SELECT btrim.secret_of FROM trim('a'))
SELECT x.secret_of FROM trim('a') AS x
SELECT coalesce.secret_of FROM coalesce('a'::text)
SELECT "coalesce".secret_of FROM coalesce('a'::text)
SELECT x.secret_of FROM coalesce('a'::text) AS x
SELECT "greatest".secret_of FROM greatest('a'::text, 'b')
SELECT "nullif".secret_of FROM nullif('a'::text, 'b')
SELECT x.secret_of FROM cast('a' AS text) AS x
SELECT text.secret_of FROM cast('a' AS text)
SELECT text.secret_of FROM treat('a' AS text)
SELECT x.secret_of FROM substring('abc' FROM 1) AS x
SELECT "substring".secret_of FROM substring('abc' FROM 1)
SELECT "overlay".secret_of FROM overlay('abc' placing 'b' FROM 1)
SELECT "normalize".secret_of FROM normalize('abc')
SELECT "xmlserialize".secret_of FROM xmlserialize(content '<a/>' AS text)
SELECT pg_collation_for.secret_of FROM collation for ('a'::text)
SELECT x.secret_of FROM current_user AS x
SELECT "current_user".secret_of FROM current_user
SELECT "current_schema".secret_of FROM current_schema
SELECT x.secret_of FROM current_schema AS x
SELECT x.secret_of FROM current_catalog AS x
SELECT x.secret_of FROM user AS x
SELECT lower.secret_of FROM pg_catalog.lower('A')
SELECT x.secret_of FROM ROWS FROM (unnest(array['a'])) AS x
SELECT x.x FROM ROWS FROM (json_array_elements_text('["a"]')) AS x
SELECT x.secret_of FROM ROWS FROM (unnest(array['a'])) AS x(y)
SELECT string_to_table.secret_of FROM string_to_table('a', 'b')
SELECT json_to_record.secret_of FROM json_to_record('{}') AS (a int)
SELECT anonymous_columns.secret_of FROM unnest(array['a']) AS anonymous_columns
SELECT unnest.secret_of FROM unnest(array['a']) AS anonymous_columns JOIN unnest(array['a']) ON true
SELECT x.secret_of FROM LATERAL unnest(array['a']) AS x
UPDATE ticket SET title = x.secret_of FROM unnest(array['a']) x
UPDATE ticket SET title = 'a' FROM unnest(array['a']) x RETURNING x.secret_of
DELETE FROM ticket USING unnest(array['a']) x WHERE x.secret_of = 'a'
MERGE INTO ticket USING unnest(array['a']) x ON x.secret_of = ticket.title WHEN MATCHED THEN DELETE
SELECT DISTINCT ON (x.secret_of) 1 FROM unnest(array['a']) x
SELECT count(*) FILTER (WHERE x.secret_of = 'a') FROM unnest(array['a']) x
SELECT 1 FROM unnest(array['a']) x ORDER BY x.secret_of
SELECT 1 FROM unnest(array['a']) x GROUP BY x.secret_of
SELECT count(*) OVER (ORDER BY x.secret_of) FROM unnest(array['a']) x
SELECT (x.*).secret_of FROM unnest(array['a']) x
SELECT (x.x).secret_of FROM unnest(array['a']) x
SELECT ('a'::text COLLATE "C").secret_of
SELECT x.secret_of FROM json_populate_record(NULL::text, '{}') AS x
SELECT "trim"('a').secret_of
"""

POSTGRES = r"""
SELECT pw FROM public.users
SELECT pw FROM "public"."users"
SELECT pw FROM PUBLIC.USERS
SELECT pw FROM postgres.public.users
SELECT pw FROM ONLY users
SELECT pw FROM ONLY (users)
SELECT pw FROM ONLY(users)
SELECT pw FROM users *
WITH "only" AS (SELECT 1 AS pw) SELECT pw FROM ONLY users
WITH "lateral" AS (SELECT 1 AS pw) SELECT pw FROM LATERAL users
TABLE users
SELECT title FROM ticket UNION ALL TABLE users
INSERT INTO tag TABLE users
INSERT INTO tag (id, name) TABLE users RETURNING name
WITH x AS (TABLE users) SELECT * FROM x
SELECT * FROM (TABLE users) x
SELECT title FROM ticket WHERE title = ANY (TABLE secret)
COPY users TO STDOUT
COPY (SELECT pw FROM users) TO STDOUT
COPY ticket FROM PROGRAM 'id'
DO $$ BEGIN PERFORM 1; END $$
SELECT 3 #--'\n 5, (SELECT pw FROM users LIMIT 1)--'
SELECT 3 |--'\n 5, (SELECT pw FROM users LIMIT 1)--'
SELECT 3 &/*'*/ 5, (SELECT pw FROM users LIMIT 1)--'
SELECT 3 %--'\n 5, (SELECT pw FROM users LIMIT 1)--'
SELECT 3 <--'\n 5, (SELECT pw FROM users LIMIT 1)--'
SELECT 3 >/*'*/ 5, (SELECT pw FROM users LIMIT 1)--'
SELECT 3 @>--'\n 5, (SELECT pw FROM users LIMIT 1)--'
SELECT 1 /* /* */ */, (SELECT pw FROM users LIMIT 1)
SELECT 1 /* /* */, (SELECT pw FROM users LIMIT 1) -- */ */
SELECT E'\\'', (SELECT pw FROM users LIMIT 1), '\\''
SELECT '\\', (SELECT pw FROM users LIMIT 1), '\\'
SELECT E'\\\\', (SELECT pw FROM users LIMIT 1)
SELECT $a$ $b$ $a$, (SELECT pw FROM users LIMIT 1), $b$ $b$
SELECT $a$ $A$, (SELECT pw FROM users LIMIT 1), $A$ $a$, pw FROM users
SELECT a$b$, pw FROM users WHERE 'x' <> $b$x$b$
SELECT U&'\\0027', (SELECT pw FROM users LIMIT 1)
SELECT pw FROM U&"\\0075sers"
SELECT pw FROM U&"users"
SELECT 'a'\n'b', (SELECT pw FROM users LIMIT 1)
SELECT 'a' --\n', (SELECT pw FROM users LIMIT 1), '
SELECT 1 --\r, (SELECT pw FROM users LIMIT 1)
SELECT 1 OPERATOR(pg_catalog.+) 1
SELECT 1 OPERATOR(public.@#@) 1
SELECT 1 @#@ 1
SELECT @#@ 1
SELECT 1 !@ 1
SELECT 'users'::regclass
SELECT 'users'::regclass::oid
SELECT CAST('users' AS regclass)
SELECT regclass 'users'
SELECT 'secret_of'::regproc
SELECT 'a'::users
SELECT '(1,2)'::ticket
SELECT CAST(NULL AS users)
SELECT NULL::public.users
SELECT json_populate_record(NULL::users, '{}')
SELECT rolname FROM pg_roles
SELECT rolpassword FROM pg_authid
SELECT * FROM pg_catalog.pg_class
SELECT * FROM pg_stats
SELECT * FROM PG_STATS
SELECT * FROM "pg_stats"
SELECT * FROM information_schema.tables
SELECT * FROM INFORMATION_SCHEMA.COLUMNS
SELECT * FROM pg_temp.x
SELECT * FROM pg_toast.pg_toast_1
SELECT title FROM other.ticket
SELECT * FROM other.users
SELECT current_user
SELECT session_user
SELECT user
SELECT current_role
SELECT current_catalog
SELECT current_schema
SELECT system_user
SHOW ALL
SHOW data_directory
SET ROLE postgres
SET search_path = other
RESET ALL
LISTEN a
NOTIFY a
DECLARE c CURSOR FOR SELECT pw FROM users
FETCH ALL FROM c
REFRESH MATERIALIZED VIEW x
REINDEX TABLE ticket
CLUSTER ticket
COMMENT ON TABLE ticket IS 'x'
SELECT id FROM article FOR UPDATE
SELECT id FROM article FOR SHARE
SELECT a.id FROM ticket t JOIN article a ON a.id = t.id FOR UPDATE
SELECT a.id FROM ticket t JOIN article a ON a.id = t.id FOR UPDATE OF a
SELECT a.id FROM ticket t JOIN article a ON a.id = t.id FOR UPDATE OF t FOR SHARE OF a
SELECT id FROM (SELECT id FROM article) x FOR UPDATE
SELECT id FROM article FOR NO KEY UPDATE
SELECT id FROM article FOR KEY SHARE
WITH d AS (DELETE FROM users RETURNING *) SELECT 1
WITH d AS (INSERT INTO users (id) VALUES (77)) SELECT 1
WITH d AS (UPDATE users SET pw = 'x') SELECT 1
WITH d AS (DELETE FROM article) SELECT 1
SELECT * FROM ticket WHERE id IN (WITH d AS (DELETE FROM users RETURNING id) SELECT id FROM d)
WITH RECURSIVE a AS (SELECT pw FROM public.users), users AS (SELECT 1 AS pw) SELECT pw FROM a
WITH Users AS (SELECT 1 AS pw) SELECT pw FROM "Users"
WITH "Users" AS (SELECT 1 AS pw) SELECT pw FROM users
WITH users AS (SELECT 1 AS pw) SELECT pw FROM public.users
DELETE FROM tag USING users u WHERE u.id = tag.id
UPDATE tag SET name = u.pw FROM users u WHERE u.id = tag.id
UPDATE users u SET pw = 'x' FROM ticket t WHERE t.id = u.id
DELETE FROM users u USING ticket t
MERGE INTO users t USING ticket s ON t.id = s.id WHEN MATCHED THEN DELETE
MERGE INTO tag t USING users s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.pw
MERGE INTO tag t USING (SELECT * FROM users) s ON t.id = s.id WHEN MATCHED THEN DELETE
MERGE INTO tag t USING ticket JOIN users ON true ON true WHEN MATCHED THEN DELETE
SELECT * FROM ROWS FROM (query_to_xml('SELECT pw FROM users', true, true, ''))
SELECT * FROM ROWS FROM (lower('a'), secret_of('x')) AS x
SELECT * FROM ROWS FROM (secret_of('x')) AS x
SELECT * FROM XMLTABLE('/a' PASSING query_to_xml('SELECT pw FROM users', true, true, '') COLUMNS a text)
SELECT xmlparse(document query_to_xml('SELECT pw FROM users', true, true, ''))
SELECT * FROM ticket ORDER BY id USING OPERATOR(public.@#@)
SELECT * FROM ticket ORDER BY id USING <
SELECT title FROM ticket WHERE title ~ (SELECT pw FROM users LIMIT 1)
SELECT nextval('seq_1'::regclass)
SELECT id FROM ticket t (users)
SELECT setval('seq_1', 1) FROM ticket
CREATE FUNCTION gk_f() RETURNS int LANGUAGE sql AS 'SELECT 1'
SECURITY LABEL ON TABLE ticket IS 'x'
DISCARD ALL
LOAD 'x'
IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z
SELECT pg_read_file ('x')
SELECT pg_catalog.pg_read_file('x')
SELECT "pg_catalog"."pg_read_file"('x')
SELECT pg_catalog . pg_read_file('x')
SELECT id FROM ticket; ; SELECT pw FROM users
CREATE TEMP TABLE ticket AS SELECT * FROM users
SELECT INTO gk_x FROM users
SELECT title INTO TEMP gk_x FROM ticket
INSERT INTO tag (id, name) SELECT id, pw FROM users ON CONFLICT DO NOTHING
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (lower(secret_of('x'))) DO NOTHING
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) WHERE secret_of('x') = 'y' DO NOTHING
EXPLAIN (ANALYZE) SELECT pw FROM users
SELECT * FROM ticket NATURAL JOIN users
SELECT * FROM ticket CROSS JOIN LATERAL (SELECT * FROM users) u
SELECT * FROM ticket LEFT JOIN users ON true
SELECT * FROM ticket AS t(a, b), users
SELECT row_to_json(u) FROM users u
SELECT users FROM users
SELECT users.* FROM users
SELECT count(*) FROM ticket, users
SELECT id FROM ticket WHERE title = (SELECT pw FROM users LIMIT 1)::text
SELECT id FROM ticket WHERE id = (TABLE users)
SELECT pg_typeof((SELECT pw FROM users LIMIT 1))
SELECT pw COLLATE FROM users LIMIT 1
SELECT id FROM ticket WHERE id = 1 UNION SELECT id COLLATE FROM users
SELECT pw COLLATE FROM ONLY users
"""


def mysql():
    yield from common()
    for function in calls("""
        LOAD_FILE('/etc/passwd') SLEEP(0.1) BENCHMARK(10,1) GET_LOCK('a',1) RELEASE_LOCK('a') RELEASE_ALL_LOCKS() IS_FREE_LOCK('a')
        IS_USED_LOCK('a') MASTER_POS_WAIT('a',1) MASTER_GTID_WAIT('a') NEXTVAL(s) LASTVAL(s) SETVAL(s,1) LAST_INSERT_ID() LAST_INSERT_ID(5)
        ROW_COUNT() FOUND_ROWS() USER() CURRENT_USER() SESSION_USER() SYSTEM_USER() CURRENT_ROLE() DATABASE() SCHEMA() VERSION()
        CONNECTION_ID() secret_of(1) app.secret_of(1) `secret_of`(1) `count`(1) `concat`(1) app.concat(1) app.count(1) SYS_EXEC('id')
        SYS_EVAL('id') ps_thread_id(1) sys.version_major() sys.eps_connections() ENCRYPT('a') DES_ENCRYPT('a') OLD_PASSWORD('x')
        PASSWORD('x') KDF('a','b') AES_DECRYPT('a','b') WSREP_LAST_SEEN_GTID() BINLOG_GTID_POS('a',1) DECODE_HISTOGRAM('a','b')
        UPDATEXML_X(1) ROWNUM() SPIDER_DIRECT_SQL('a','b','c') SPIDER_COPY_TABLES('a','b','c') INTERNAL_TABLE_ROWS('a')
        STATEMENT_DIGEST('x') GTID_SUBSET('a','b') WAIT_FOR_EXECUTED_GTID_SET('a') ICU_VERSION() ROLES_GRAPHML() NAME_CONST('a',1)
    """):
        yield "function", f"SELECT {function}"
        yield "function", f"SELECT id FROM ticket WHERE {function} IS NOT NULL"
        yield "function", f"UPDATE ticket SET title = {function}"
    for place in [
        "SELECT GROUP_CONCAT({q} SEPARATOR ',') FROM ticket", "SELECT GROUP_CONCAT(title ORDER BY {q}) FROM ticket", "SELECT IF({q} = 'a', 1, 2)",
        "SELECT IFNULL({q}, 'a')", "SELECT CONCAT('a', {q})", "SELECT DATE_ADD(NOW(), INTERVAL {q} DAY)", "SELECT NOW() + INTERVAL {q} DAY",
        "SELECT INTERVAL(1, {q}, 3)", "SELECT {q} REGEXP 'a'", "SELECT 'a' RLIKE {q}", "SELECT {q} SOUNDS LIKE 'a'", "SELECT {q} DIV 2", "SELECT 1 MOD {q}",
        "SELECT !{q}", "SELECT BINARY {q}", "SELECT {q} <=> NULL", "SELECT 1 XOR {q}", "SELECT CONVERT({q} USING utf8mb4)", "SELECT CONVERT({q}, CHAR)",
        "SELECT JSON_EXTRACT({q}, '$.a')", "SELECT * FROM JSON_TABLE({q}, '$' COLUMNS (a INT PATH '$')) x", "SELECT EXTRACT(DAY FROM {q})",
        "SELECT TRIM({q} FROM 'a')", "SELECT SUBSTRING('a' FROM {q})", "SELECT POSITION({q} IN 'a')", "SELECT CHAR({q})", "SELECT ROW(1, {q}) = ROW(1, 2)",
        "INSERT INTO tag (id, name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = {q}", "INSERT INTO tag SET id = 1, name = {q}",
        "REPLACE INTO tag (id, name) VALUES (1, {q})", "REPLACE INTO tag SET name = {q}", "REPLACE INTO tag (id, name) SELECT 1, {q}",
        "UPDATE ticket SET title = 'x' ORDER BY {q} LIMIT 1", "DELETE FROM ticket ORDER BY {q} LIMIT 1", "DELETE FROM tag RETURNING {q}",
        "INSERT INTO tag (id) VALUES (1) RETURNING {q}", "UPDATE ticket t JOIN {q} x SET t.title = 'a'", "UPDATE ticket t JOIN tag g ON g.name = {q} SET t.title = 'a'",
        "UPDATE ticket t, {q} x SET t.title = 'a'", "DELETE t FROM ticket t JOIN {q} x", "DELETE t FROM ticket t JOIN tag g ON g.name = {q}",
        "SELECT id FROM ticket GROUP BY {q} WITH ROLLUP", "VALUES (1, {q})", "SELECT id FROM ticket WHERE id = ANY {q}",
    ]:
        for number, read in enumerate(READS[:2]):
            yield f"position-{number}", place.replace("{q}", f"({read})")
    for statement in MYSQL.strip("\n").split("\n"):
        yield "statement", statement.encode("ascii", "backslashreplace").decode("unicode_escape")


MYSQL = r"""
SELECT pw FROM `users`
SELECT pw FROM app.users
SELECT pw FROM `app`.`users`
SELECT pw FROM mysql.user
SELECT pw FROM MySQL.user
SELECT * FROM information_schema.tables
SELECT * FROM INFORMATION_SCHEMA.TABLES
SELECT * FROM Information_Schema.`columns`
SELECT * FROM performance_schema.threads
SELECT * FROM sys.session
SELECT title FROM ticket /*!50000 UNION SELECT pw FROM users */
SELECT title FROM ticket /*! UNION SELECT pw FROM users */
SELECT title FROM ticket /*M! UNION SELECT pw FROM users */
SELECT title FROM ticket /*M!100100 UNION SELECT pw FROM users */
SELECT title FROM ticket /*!99999 */ UNION SELECT pw FROM users
SELECT title /*!99999 FROM ticket */ FROM users
SELECT /* /*! */ pw FROM users
SELECT title FROM ticket /* x /* y */ UNION SELECT pw FROM users -- */
SELECT title FROM ticket WHERE id = 1 # x\n UNION SELECT pw FROM users
SELECT title FROM ticket WHERE id = 1 -- x\n UNION SELECT pw FROM users
SELECT title FROM ticket WHERE id = 1 --x\n UNION SELECT pw FROM users
SELECT 1 #\r, (SELECT pw FROM users LIMIT 1)
SELECT '\\', (SELECT pw FROM users LIMIT 1), '\\'
SELECT 'x\\'', (SELECT pw FROM users LIMIT 1)
SELECT "x\\"", (SELECT pw FROM users LIMIT 1), "
SELECT '\\\\', (SELECT pw FROM users LIMIT 1) -- '
SELECT 'a''', (SELECT pw FROM users LIMIT 1), ''
SELECT "a\x22\x22\x22, (SELECT pw FROM users LIMIT 1)
SELECT 'a' "b", pw FROM users
SELECT `a``b`, pw FROM users
SELECT 1.FROM users WHERE pw LIKE 'S%'
SELECT 1.e1FROM users
SELECT 1eFROM users
SELECT 1e1FROM users
SELECT .1FROM users
SELECT 0x1FROM users
SELECT 0b1FROM users
SELECT 1from users
SELECT @a:=pw FROM users
SELECT @a := 1
SELECT @@version
SELECT @@global.datadir
SELECT @a
SELECT pw INTO @a FROM users
SELECT title INTO OUTFILE '/tmp/x' FROM ticket
SELECT title FROM ticket INTO OUTFILE '/tmp/x'
SELECT title FROM ticket INTO DUMPFILE '/tmp/x'
SELECT title FROM ticket INTO @x
SELECT title FROM ticket PROCEDURE ANALYSE()
SELECT NEXT VALUE FOR s
SELECT PREVIOUS VALUE FOR s
SELECT COUNT (*) FROM users
SELECT app . secret_of (1)
SELECT pw FROM ticket t JOIN .users
SELECT pw FROM app . users
SELECT {d '2024-01-01'}
SELECT {fn NOW()}
SELECT * FROM {OJ ticket LEFT JOIN users ON 1 = 1}
SELECT * FROM (users)
SELECT * FROM (ticket, users)
SELECT * FROM ticket JOIN (users) ON 1 = 1
SELECT * FROM ticket JOIN (article, users) ON 1 = 1
SELECT * FROM ((users))
SELECT * FROM `dual`, users
SELECT * FROM ticket STRAIGHT_JOIN users
SELECT STRAIGHT_JOIN * FROM ticket, users
SELECT * FROM users PARTITION (p0)
SELECT * FROM users USE INDEX (PRIMARY)
SELECT * FROM users FORCE INDEX (PRIMARY)
SELECT * FROM ticket USE INDEX (a), users
SELECT * FROM ticket IGNORE INDEX (a) JOIN users
UPDATE ticket, users SET users.pw = 'x'
UPDATE ticket t, users u SET t.title = u.pw
UPDATE ticket t JOIN users u ON u.id = t.owner_id SET u.pw = 'x'
UPDATE ticket t JOIN users u ON u.id = t.owner_id SET t.title = u.pw
UPDATE ticket t JOIN article a ON a.id = t.id SET a.subject = 'x'
UPDATE ticket t JOIN article a ON a.id = t.id SET A.subject = 'x'
UPDATE ticket t JOIN article a ON a.id = t.id SET subject = 'x'
UPDATE ticket t JOIN article a ON a.id = t.id SET article.subject = 'x'
UPDATE ticket t JOIN article ticket ON ticket.id = t.id SET ticket.subject = 'x'
UPDATE ticket t JOIN article a ON a.id = t.id SET t.title = 'x', a.subject = 'y'
UPDATE (ticket t JOIN article a ON a.id = t.id) SET a.subject = 'x'
UPDATE (users) SET pw = 'x'
UPDATE LOW_PRIORITY users SET pw = 'x'
UPDATE IGNORE users SET pw = 'x'
DELETE u FROM users u
DELETE u FROM ticket t JOIN users u ON u.id = t.owner_id
DELETE users FROM users
DELETE a FROM article a JOIN ticket t ON t.id = a.ticket_id
DELETE t, a FROM ticket t JOIN article a
DELETE FROM a USING article a
DELETE FROM t, a USING ticket t JOIN article a
DELETE FROM users USING users
DELETE t FROM ticket t, users u WHERE u.id = t.id
DELETE QUICK FROM users
DELETE ticket FROM article AS ticket
DELETE a.* FROM article a
DELETE FROM a.* USING article a
REPLACE INTO users (id) VALUES (1)
REPLACE users SET id = 1
REPLACE INTO tag (id, name) SELECT id, pw FROM users
INSERT INTO tag (id, name) SELECT id, pw FROM users ON DUPLICATE KEY UPDATE name = 'x'
INSERT INTO tag TABLE users
INSERT INTO users SET id = 1
INSERT users VALUES (1, 'a', 'b', 'c')
INSERT IGNORE INTO users (id) VALUES (1)
INSERT DELAYED INTO users (id) VALUES (1)
TABLE users
SELECT id FROM article FOR UPDATE
SELECT id FROM article LOCK IN SHARE MODE
SELECT id FROM article FOR SHARE
SELECT a.id FROM ticket t JOIN article a ON a.id = t.id FOR UPDATE
SELECT a.id FROM ticket t JOIN article a ON a.id = t.id FOR UPDATE OF a
SELECT id FROM (SELECT id FROM article) x FOR UPDATE
SHOW TABLES
SHOW COLUMNS FROM users
SHOW CREATE TABLE users
SHOW GRANTS
DESCRIBE users
DESC users pw
HANDLER users OPEN
HANDLER users READ FIRST
LOCK TABLES users READ
LOCK TABLES ticket WRITE
UNLOCK TABLES
RENAME TABLE ticket TO x
LOAD DATA INFILE '/etc/passwd' INTO TABLE ticket
LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE ticket
SET @a = (SELECT pw FROM users)
SET sql_mode = ''
SET NAMES gbk
SET GLOBAL x = 1
DO SLEEP(1)
DO 1
USE mysql
CHECKSUM TABLE users
CHECK TABLE users
OPTIMIZE TABLE ticket
REPAIR TABLE ticket
FLUSH TABLES
KILL 1
PURGE BINARY LOGS TO 'x'
INSTALL SONAME 'x'
CREATE USER x
EXECUTE IMMEDIATE 'SELECT pw FROM users'
PREPARE p FROM 'SELECT pw FROM users'
XA START 'a'
CHANGE MASTER TO x = 1
SHUTDOWN
BINLOG 'x'
CACHE INDEX ticket IN x
SIGNAL SQLSTATE '45000'
GET DIAGNOSTICS @a = NUMBER
WITH users AS (SELECT 1 AS pw) SELECT pw FROM app.users
WITH RECURSIVE a AS (SELECT pw FROM users), users AS (SELECT 1 AS pw) SELECT pw FROM a
WITH \u212aey AS (SELECT 1 AS pw) SELECT pw FROM `\u212aey`, users
SELECT _gbk'\\xbf', pw FROM users
SELECT _gbk 'a'
SELECT N'a', pw FROM users
SELECT ALL pw FROM users
SELECT DISTINCTROW pw FROM users
SELECT HIGH_PRIORITY pw FROM users
SELECT SQL_CACHE pw FROM users
SELECT pw AS `ticket` FROM users
SELECT * FROM ticket FOR SYSTEM_TIME ALL
SELECT * FROM users FOR SYSTEM_TIME ALL
SELECT \\N FROM users
SELECT pw FROM users LIMIT ROWS EXAMINED 10
SELECT t.title FROM ticket t WHERE MATCH (t.title) AGAINST ((SELECT pw FROM users))
ANALYZE SELECT pw FROM users
ANALYZE FORMAT=JSON SELECT pw FROM users
EXPLAIN FOR CONNECTION 1
HELP 'x'
ALTER TABLE ticket RENAME users
SELECT title FROM ticket WHERE title = 'a' UNION DISTINCT SELECT pw FROM users
SELECT title FROM ticket INTERSECT ALL SELECT pw FROM users
SELECT * FROM ticket t1 NATURAL LEFT JOIN users
SELECT * FROM JSON_TABLE((SELECT pw FROM users LIMIT 1), '$' COLUMNS (a INT PATH '$')) x
SELECT * FROM ticket, LATERAL (SELECT * FROM users) x
VALUES ((SELECT pw FROM users LIMIT 1))
SELECT DEFAULT(pw) FROM users
SELECT users.pw FROM users WHERE users.id = 1
"""


def sqlite():
    yield from common()
    for function in calls("""
        load_extension('x') readfile('/etc/passwd') writefile('/tmp/x','y') edit('x') fts3_tokenizer('x') sqlite_version() sqlite_source_id()
        sqlite_compileoption_get(1) sqlite_compileoption_used('x') sqlite_offset(title) last_insert_rowid() changes() total_changes()
        eval('SELECT 1') lsmode('x') zipfile('x') unknown_fn(1) sqlite_log(1,'x') sqlite_rename_column(1) sqlite_rename_table(1)
        sqlite_drop_column(1) sqlite_unsupported_offset(1) shell_add_schema(1) shell_putsnl(1) dbpage('x') sha3_query('SELECT pw FROM users')
        match('a','b') regexp_eval('a') sqlite_crypt('a','b') sqlcipher_export('x') fts5('x') fts5_source_id() rtreedepth(1) rtreenode(1,2)
        offsets(doc) matchinfo(doc) optimize(doc) pragma_table_info('users') "load_extension"('x') [load_extension]('x') `readfile`('x')
        fileio_x(1) lsdir('/') fsdir('/') geopoly_x(1) decimal_x(1) icu_load_collation('a','b') random_uuid_x() define('f','x') system('id')
    """):
        yield "function", f"SELECT {function}"
        yield "function", f"SELECT id FROM ticket WHERE {function} IS NOT NULL"
        yield "function", f"UPDATE ticket SET title = {function}"
    for place in [
        "SELECT id FROM ticket WHERE id IS {q}", "SELECT id FROM ticket WHERE id IS NOT {q}", "SELECT title GLOB {q} FROM ticket",
        "SELECT title NOT GLOB {q} FROM ticket", "SELECT title MATCH {q} FROM ticket", "SELECT title REGEXP {q} FROM ticket", "SELECT data -> {q} FROM ticket",
        "SELECT {q} ISNULL", "SELECT {q} NOTNULL", "SELECT {q} COLLATE NOCASE", "SELECT iif({q} = 'a', 1, 2)", "SELECT * FROM json_each({q})",
        "SELECT * FROM ticket, json_tree({q}) x", "VALUES (1, {q})", "SELECT * FROM (VALUES ({q}))", "SELECT (1, {q}) IN (VALUES (1, 2))",
        "SELECT count(*) FILTER (WHERE {q} = 'a') FROM ticket", "SELECT group_concat(title, {q}) FROM ticket", "SELECT id FROM ticket LIMIT 1, {q}",
        "INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = {q}",
        "INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'x' WHERE {q} = 'a'",
        "INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) WHERE {q} = 'a' DO NOTHING", "INSERT INTO tag (id) VALUES (1) RETURNING {q}",
        "UPDATE tag SET name = 'x' RETURNING {q}", "DELETE FROM tag RETURNING {q}", "UPDATE tag SET (name, id) = (SELECT {q}, 1)",
        "UPDATE tag SET name = 'x' FROM {q} x", "UPDATE tag SET name = 'x' FROM ticket t WHERE {q} = 'a'", "REPLACE INTO tag (id, name) VALUES (1, {q})",
        "INSERT OR IGNORE INTO tag (id, name) VALUES (1, {q})", "UPDATE OR IGNORE tag SET name = {q}", "SELECT id FROM ticket ORDER BY {q} COLLATE NOCASE",
        "SELECT CASE {q} WHEN 1 THEN 2 END", "SELECT {q} == 'a'", "SELECT ~{q}, +{q}",
    ]:
        for number, read in enumerate(READS[:2]):
            yield f"position-{number}", place.replace("{q}", f"({read})")
    for statement in SQLITE.strip("\n").split("\n"):
        yield "statement", statement.encode("ascii", "backslashreplace").decode("unicode_escape")


SQLITE = r"""
SELECT pw FROM [users]
SELECT pw FROM `users`
SELECT pw FROM 'users'
SELECT pw FROM main.users
SELECT pw FROM main.[users]
SELECT pw FROM "main"."users"
SELECT pw FROM 'main'.'users'
SELECT pw FROM temp.users
SELECT pw FROM Users
SELECT sql FROM sqlite_master
SELECT sql FROM sqlite_schema
SELECT sql FROM SQLITE_MASTER
SELECT sql FROM main.sqlite_master
SELECT sql FROM temp.sqlite_temp_master
SELECT sql FROM "sqlite_master"
SELECT sql FROM [sqlite_schema]
SELECT * FROM sqlite_sequence
SELECT * FROM sqlite_stat1
SELECT * FROM pragma_table_info('users')
SELECT * FROM pragma_table_list
SELECT * FROM pragma_database_list
SELECT * FROM pragma_function_list()
SELECT * FROM PRAGMA_TABLE_LIST
SELECT * FROM dbstat
SELECT * FROM dbstat('main')
SELECT * FROM bytecode('SELECT pw FROM users')
SELECT * FROM tables_used('SELECT 1')
SELECT * FROM fsdir('/')
SELECT * FROM fts5vocab
SELECT * FROM doc_data
SELECT * FROM doc_content
SELECT 1 WHERE 1 IN users
SELECT 1 WHERE (1, 2) IN secret
SELECT 1 WHERE 1 IN main.users
SELECT 1 WHERE 1 NOT IN users
SELECT 1 WHERE 1 IN "users"
SELECT 1 WHERE 1 IN [users]
SELECT 1 WHERE 1 IN 'users'
SELECT 1 WHERE 1 IN pragma_table_list
SELECT 1 WHERE 1 IN pragma_table_info('users')
SELECT 1 WHERE 1 IN users AND 2 IN (1)
SELECT id FROM ticket WHERE id IN secret ORDER BY 1
WITH x AS (SELECT 1) SELECT 1 WHERE 1 IN secret
WITH users AS (SELECT 1 AS pw) SELECT pw FROM main.users
PRAGMA table_info('users')
PRAGMA writable_schema = 1
PRAGMA journal_mode
ATTACH DATABASE ':memory:' AS x
ATTACH '/tmp/x' AS x
DETACH x
REINDEX
VACUUM INTO '/tmp/x'
EXPLAIN QUERY PLAN SELECT pw FROM users
CREATE TRIGGER t AFTER INSERT ON ticket BEGIN SELECT 1; END
CREATE VIRTUAL TABLE gk_v USING fts5(a)
SELECT id FROM ticket WHERE id = ?1
SELECT id FROM ticket WHERE id = ?2 OR id = ?1
SELECT id FROM ticket WHERE id = :a
SELECT id FROM ticket WHERE id = $a
SELECT id FROM ticket WHERE id = $a::b(users)
SELECT id FROM ticket WHERE id = @a
SELECT id FROM ticket WHERE id = #1
SELECT RAISE(ABORT, 'x')
REPLACE INTO users (id) VALUES (1)
INSERT OR REPLACE INTO users (id) VALUES (1)
INSERT INTO tag SELECT id, pw FROM users
INSERT INTO tag SELECT * FROM secret
INSERT INTO users DEFAULT VALUES
UPDATE users SET pw = 'x' FROM ticket
UPDATE ticket SET title = u.pw FROM users u WHERE u.id = 1
UPDATE ticket SET title = 'x' FROM ticket t JOIN users u
UPDATE OR REPLACE users SET pw = 'x'
DELETE FROM users INDEXED BY x
DELETE FROM main.users
SELECT pw FROM users INDEXED BY x
SELECT pw FROM users NOT INDEXED
SELECT pw FROM ticket NOT INDEXED, users
SELECT * FROM ticket, users NOT INDEXED
SELECT pw FROM (users)
SELECT pw FROM (ticket, users)
SELECT pw FROM ((users))
SELECT pw FROM ticket, (users)
SELECT pw FROM ticket JOIN users USING (id)
SELECT pw FROM ticket LEFT NATURAL JOIN users
SELECT pw FROM ticket INNER JOIN users
SELECT group_concat(pw) FROM users
SELECT 1 FROM ticket t JOIN users u ON t.id IS u.id
SELECT '\\', (SELECT pw FROM users LIMIT 1), '\\'
SELECT 'a''', (SELECT pw FROM users LIMIT 1), ''
SELECT "a""b", pw FROM users
SELECT [a]]b], pw FROM users
SELECT [a, pw FROM users
SELECT [it's], pw FROM users -- ']
SELECT `it's`, pw FROM users -- '`
SELECT 'a' 'b', pw FROM users
SELECT x'41', pw FROM users
SELECT x'4', pw FROM users
SELECT x'zz', pw FROM users
SELECT 1 /* /* */, pw FROM users -- */
SELECT 1 /* open , pw FROM users
SELECT 1 --\r, pw FROM users
SELECT 1FROM users
SELECT 1.FROM users
SELECT 0x1FROM users
SELECT 1_000, pw FROM users
SELECT pw FROM users WHERE id == 1
WITH a AS (SELECT pw FROM users) SELECT * FROM ticket WHERE id IN a
WITH a AS (SELECT pw FROM main.users), users AS (SELECT 1 AS pw) SELECT * FROM a
WITH a AS MATERIALIZED (SELECT pw FROM users) SELECT * FROM a
SELECT * FROM ticket WHERE id IN (SELECT id FROM (SELECT id FROM users))
INSERT INTO doc (doc) VALUES ('rebuild')
SELECT * FROM json_each((SELECT pw FROM users))
SELECT json_group_array(pw) FROM users
SELECT (SELECT pw FROM users) -> '$'
SELECT likely((SELECT pw FROM users))
VALUES ((SELECT pw FROM users))
SELECT 1 UNION VALUES ((SELECT pw FROM users))
SELECT * FROM ticket ORDER BY (SELECT pw FROM users) NULLS LAST
SELECT * FROM ticket GROUP BY (SELECT pw FROM users)
SELECT count(*) FROM users
SELECT max(pw) FROM users
SELECT rowid FROM users
SELECT users.rowid FROM users
SELECT load_extension ('x')
SELECT * FROM main.pragma_table_list
SELECT * FROM main.pragma_table_info('users')
SELECT name FROM sqlite_temp_schema
SELECT id NOT BETWEEN 1 AND INDEXED BY FROM users
SELECT INDEXED BY FROM users
SELECT 1, INDEXED BY FROM users
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id IN secret) DO NOTHING
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) WHERE id IN secret DO NOTHING
INSERT INTO tag (id, name) VALUES (1, 'x') ON CONFLICT (id) WHERE id NOT IN users DO NOTHING
"""

ALL = {"postgres": postgres, "mysql": mysql, "sqlite": sqlite}
