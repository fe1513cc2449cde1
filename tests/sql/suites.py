#!/usr/bin/env python3
"""Holds the gate against the statements of the databases' own regression suites.

usage: suites.py --dialect D --suite DIR [--files N] [--show N] GATE [ARGS...]

DIR: `src/test/regress` of PostgreSQL, `mysql-test/main` of MariaDB, `test` of SQLite. (Debian: `apt-get source postgresql-15`,
`apt-get source sqlite3`, and the package mariadb-test-data. None of it is part of this repository.)

Every file runs on a private engine, statement by statement. A query or DML statement that the engine executes must get
through the gate: else it is a FALSE REJECT, unless it is beyond what plugins may do (see `beyond`). One that the gate accepts
runs as a role that is granted exactly the facts: when the engine misses a right, it is a FALSE ACCEPT.
Exit status: 0 when there is no false accept.
"""
import argparse
import collections
import ctypes
import glob
import os
import re
import signal
import sqlite3
import sys

import engines
from gate import Gate

QUERY = re.compile(r"\s*(?:\(\s*)*(select|with|values|insert|update|delete|merge|replace|table)\b", re.IGNORECASE)
EXPLAIN = re.compile(r"\s*explain\b", re.IGNORECASE)
#: What the code of a refusal says about it.
BEYOND = {"policy.sql.table_denied": "system catalogue", "policy.sql.statement_denied": "no statement for plugins",
          "policy.sql.too_large": "too large"}


class Refusals(collections.Counter):
    """Refusals by reason, with some statements for each."""

    def __init__(self):
        super().__init__()
        self.examples = collections.defaultdict(list)

    def note(self, reason, sql):
        reason = re.sub(r"\d+ bytes", "N bytes", reason)
        self[reason] += 1
        self.examples[reason].append(" ".join(sql.split()))


class Tally:
    def __init__(self):
        self.executed = self.accepted = self.verified = self.tied = 0
        self.beyond, self.rejects = Refusals(), Refusals()
        self.accepts = []

    def report(self, dialect, show):
        judged = self.executed - sum(self.beyond.values())
        rejects = sum(self.rejects.values())
        print(f"{dialect}: {self.executed} executed, of them {sum(self.beyond.values())} beyond what plugins may do; {judged} judged, "
              f"{rejects} false rejects ({100 * rejects / max(judged, 1):.2f} %), {self.accepted} accepted, "
              f"{self.verified} of them run under exact grants, {self.tied} reach more by the schema's doing, "
              f"{len(self.accepts)} false accepts")
        for title, refusals in (("false reject", self.rejects), ("beyond", self.beyond)):
            for reason, count in refusals.most_common(show):
                print(f"  {title} {count:5} {reason[:150]}")
                for sql in refusals.examples[reason][:4 if refusals is self.rejects else 1]:
                    print(f"          {ascii(sql)[:200]}")
        for sql, message in self.accepts[:show * 4]:
            print(f"  FALSE ACCEPT {message} :: {ascii(sql)[:300]}")


class Runner:
    """Runs the statements of one suite and judges each."""

    def __init__(self, gate, tally):
        self.gate, self.tally = gate, tally

    def judge(self, sql, runs, under_grants):
        """`runs` tells whether the engine executes the statement, `under_grants` what it says with exact grants."""
        verdict = self.gate.ask(self.dialect, sql)
        if not runs():
            return
        self.tally.executed += 1
        if not verdict["accept"]:
            beyond = self.beyond(verdict, sql)
            (self.tally.beyond if beyond else self.tally.rejects).note(beyond or verdict["reason"], sql)
            return
        self.tally.accepted += 1
        outcome = under_grants(verdict)
        self.tally.verified += outcome.kind == "ok"
        if outcome.kind == "denied" and self.is_tied(outcome.message, sql):
            self.tally.tied += 1
        elif outcome.kind == "denied":
            self.tally.accepts.append((sql, outcome.message))

    def beyond(self, verdict, sql):
        """Why the statement is rightly refused, or None: catalogues, functions outside the list, other statements."""
        if verdict["code"] == "policy.sql.function_denied":
            name = re.search(r"`([^`]*)`", verdict["reason"])
            return f"{verdict['reason'].split('`')[0]}{self.origin(name[1] if name else '')}"
        if self.dialect == "mysql" and "unexpected character `@`" in verdict["reason"]:
            return "session variables"
        return BEYOND.get(verdict["code"])

    def is_tied(self, message, sql):
        """True when the engine misses a right on a table that the text does not name: views, triggers, rules and policies of the
        schema's owner reach it, which no text can tell."""
        if re.search(r"^PL/pgSQL function ", message, re.MULTILINE):
            # The body of a trigger; the text calls no function outside the list.
            return True
        missing = re.findall(r"'([^']+)'", message) if message.startswith("touches") else re.findall(
            r"for (?:table|view|relation|function|routine|sequence) [`'\"]?(?:\w+[`']?\.[`']?)?([\w$]+)", message)
        return bool(missing) and not any(re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE) for name in missing)

    def origin(self, name):
        return name


# PostgreSQL


def postgres_statements(text, variables):
    """Statements of a psql script: (sql, data for COPY)."""
    at, start, length = 0, 0, len(text)
    depth = 0
    while at < length:
        rest = text[at:at + 3]
        if rest.startswith("--"):
            at = end_of(text, "\n", at)
        elif rest.startswith("/*"):
            at = end_of(text, "*/", at)
        elif rest[0] in "'\"":
            escapes = rest[0] == "'" and text[at - 1:at] in ("E", "e")
            at += 1
            while at < length and text[at] != rest[0]:
                at += 2 if escapes and text[at] == "\\" else 1
            at += 1
        elif match := re.compile(r"\$[A-Za-z_0-9]*\$").match(text, at) if rest[0] == "$" else None:
            at = end_of(text, match[0], match.end())
        elif rest[0] == "\\":
            line_end = end_of(text, "\n", at)
            command = text[at:line_end].strip()
            if match := re.match(r"\\set\s+(\w+)\s+(.*)", command):
                variables[match[1]] = match[2]
            if command.startswith("\\;"):
                at += 2
                continue
            sql = text[start:at].strip()
            if sql and command.startswith(("\\g", "\\crosstab", "\\watch")):
                yield sql, None
            start = at = line_end
        elif rest[0] == ";" and depth == 0:
            sql = text[start:at].strip()
            at += 1
            start = at
            data = None
            if re.match(r"copy\b.*\bfrom\s+stdin", strip_comments(sql), re.IGNORECASE | re.DOTALL):
                start = at = end_of(text, "\n", at)
                end = text.find("\n\\.\n", at - 1)
                data, start = text[at:end + 1], end + 4
                at = start
            yield sql, data
        else:
            depth += {"(": 1, ")": -1}.get(rest[0], 0)
            at += 1


def end_of(text, mark, at):
    found = text.find(mark, at)
    return len(text) if found < 0 else found + len(mark)


def strip_comments(sql):
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL).strip()


class PostgresSuite(Runner):
    dialect = "postgres"

    def files(self, directory):
        groups = re.findall(r"^test:(.*)$", open(os.path.join(directory, "parallel_schedule")).read(), re.MULTILINE)
        self.directory = directory
        for name in " ".join(groups).split():
            yield os.path.join(directory, "sql", f"{name}.sql")

    def __enter__(self):
        self.engine = engines.Postgres(populate=False)
        library = self.engine.library
        for name, arguments in [("PQputCopyData", [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]),
                                ("PQputCopyEnd", [ctypes.c_void_p, ctypes.c_char_p]),
                                ("PQtransactionStatus", [ctypes.c_void_p])]:
            getattr(library, name).argtypes = arguments
        library.PQgetResult.restype, library.PQgetResult.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        self.try_execute("CREATE DATABASE regression TEMPLATE template0")
        library.PQfinish(self.engine.connection)
        self.target = f"host={self.engine.directory} user=postgres dbname=regression".encode()
        self.reconnect()
        # Policies on rows and sequences behind defaults are the schema's doing.
        self.try_execute("ALTER ROLE plug BYPASSRLS")
        return self

    def __exit__(self, *_):
        self.engine.close()

    def reconnect(self):
        library = self.engine.library
        self.engine.connection = library.PQconnectdb(self.target)
        if library.PQstatus(self.engine.connection) != 0:
            raise RuntimeError("PostgreSQL is gone")
        self.prepare()

    def prepare(self):
        for setting in ("SET statement_timeout = 5000", "SET lock_timeout = 2000", "SET client_min_messages = error"):
            self.try_execute(setting)

    def try_execute(self, sql):
        """SQLSTATE, empty on success."""
        if b"\0" in sql.encode():
            return "XX000"
        library, connection = self.engine.library, self.engine.connection
        result = library.PQexec(connection, sql.encode())
        status, state = library.PQresultStatus(result), library.PQresultErrorField(result, ord("C")) or b""
        library.PQclear(result)
        if status == 4:
            library.PQputCopyEnd(connection, b"unexpected")
            self.drain()
        elif status == 3:
            buffer = ctypes.c_char_p()
            while library.PQgetCopyData(ctypes.c_void_p(connection), ctypes.byref(buffer), 0) > 0:
                pass
            self.drain()
        return state.decode() or ("" if status in (0, 1, 2, 3, 4) else "XXXXX")

    def drain(self):
        while result := self.engine.library.PQgetResult(self.engine.connection):
            self.engine.library.PQclear(result)

    def copy(self, sql, data):
        library, connection = self.engine.library, self.engine.connection
        result = library.PQexec(connection, sql.encode())
        status = library.PQresultStatus(result)
        library.PQclear(result)
        if status == 4:
            raw = data.encode()
            library.PQputCopyData(connection, raw, len(raw))
            library.PQputCopyEnd(connection, None)
            self.drain()

    def run_file(self, path):
        variables = {}
        if self.engine.library.PQtransactionStatus(self.engine.connection):
            self.try_execute("ROLLBACK")
        for reset in ("RESET ALL", "RESET SESSION AUTHORIZATION"):
            self.try_execute(reset)
        self.prepare()
        for sql, data in postgres_statements(open(path, encoding="utf-8", errors="replace").read(), variables):
            sql = self.substitute(sql, variables)
            if data is not None:
                self.copy(sql, data)
            elif QUERY.match(strip_comments(sql)):
                self.query(sql)
                self.try_execute(sql)
            elif strip_comments(sql):
                self.try_execute(sql)
            if self.engine.library.PQstatus(self.engine.connection) != 0:
                self.reconnect()

    def substitute(self, sql, variables):
        def value(match):
            text = variables.get(match[1], "")
            return "'" + re.sub(r":abs_srcdir\s*|'", lambda found: self.directory if ":" in found[0] else "", text).replace(" ", "") + "'"
        return re.sub(r":'(\w+)'", value, sql)

    def query(self, sql):
        library, connection = self.engine.library, self.engine.connection
        status = library.PQtransactionStatus(connection)
        if status == 3:
            return
        begin, end = ("BEGIN", "ROLLBACK") if status == 0 else ("SAVEPOINT gk", "ROLLBACK TO gk; RELEASE gk")

        def runs():
            self.try_execute(begin)
            state = self.try_execute(sql)
            self.try_execute(end)
            return not state

        def under_grants(verdict):
            if verdict["arguments"]:
                return engines.Outcome("error", "takes arguments", None)
            self.try_execute(begin)
            self.try_execute("DO $$ DECLARE s text; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' "
                             "LOOP EXECUTE format('GRANT USAGE ON SCHEMA %I TO plug; GRANT ALL ON ALL SEQUENCES IN SCHEMA %I TO plug', s, s); "
                             "END LOOP; END $$")
            grants = [(table, "SELECT") for table in verdict["tables_read"] + verdict["tables_written"]]
            grants += [(table, "INSERT, UPDATE, DELETE") for table in verdict["tables_written"]]
            for table, rights in grants:
                self.try_execute("SAVEPOINT g")
                if self.try_execute(f"GRANT {rights} ON {self.engine.quoted(table)} TO plug"):
                    self.try_execute("ROLLBACK TO g")
            self.try_execute("SET LOCAL ROLE plug")
            state, message, _ = self.engine.parameters(verdict["canonical"], [])
            self.try_execute(end)
            return engines.Outcome({"": "ok", "42501": "denied"}.get(state, "error"), message, None)

        self.judge(sql, runs, under_grants)

    def origin(self, name):
        """A function of the suite, or the name of one that PostgreSQL ships."""
        plain = name.split(".")[-1].replace("'", "''")
        self.try_execute("SAVEPOINT o")
        state, _, row = self.engine.parameters(
            f"SELECT bool_or(oid < 16384) FROM pg_proc WHERE proname = '{plain}'", [])
        self.try_execute("ROLLBACK TO o")
        return f"{name} (shipped)" if not state and row == b"t" else "of the suite"


# MariaDB


def mariadb_statements(text):
    """Statements of a test that need no interpretation: what contains variables or stands in blocks is left out."""
    delimiter, buffer = ";", ""
    for line in text.split("\n"):
        stripped = line.strip()
        if not buffer and (not stripped or stripped.startswith(("#", "--"))):
            if match := re.match(r"--\s*delimiter\s+(\S+)", stripped, re.IGNORECASE):
                delimiter = match[1]
            continue
        if not buffer and (match := re.match(r"delimiter\s+(\S+?)\s*;?\s*$", stripped, re.IGNORECASE)):
            delimiter = match[1] if match[1] != ";;" or delimiter == ";" else ";"
            continue
        buffer += line + "\n"
        while (end := statement_end(buffer, delimiter)) is not None:
            sql, buffer = buffer[:end].strip(), buffer[end + len(delimiter):].lstrip()
            if sql:
                yield sql


def statement_end(text, delimiter):
    quote, at = None, 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\" and quote != "`":
                at += 1
            elif char == quote:
                quote = None
        elif char in "'\"`":
            quote = char
        elif text.startswith("/*", at):
            at = end_of(text, "*/", at)
            continue
        elif char == "#" or text.startswith("-- ", at):
            at = end_of(text, "\n", at)
            continue
        elif text.startswith(delimiter, at):
            return at
        at += 1
    return None


#: Statements that would end the server or the session, or wait.
MARIADB_LEAVES_OUT = re.compile(
    r"\s*(shutdown|kill|connect|connection|disconnect|let|while|if|eval|exec|source|error|send|reap|sleep|flush|install|uninstall|"
    r"change|start slave|stop|purge|reset|lock|backup|die|exit|\}|\{|dec|inc|echo|perl|write_file|remove_file|skip|set\s+(@@)?global|"
    r"create\s+(or\s+replace\s+)?user|grant|revoke|drop\s+user|set\s+password|set\s+names|set\s+character|set\s+.*sql_mode|"
    r"set\s+.*(collation|character_set)|drop\s+database\s+(if\s+exists\s+)?(app|mysql)|use\s+(mysql|information))", re.IGNORECASE)


class MariadbSuite(Runner):
    dialect = "mysql"

    def files(self, directory):
        skip = re.compile(r"/(mysql|mysqld|ssl|wl|openssl|grant|plugin|kill|shutdown|connect|restart|bootstrap|big_|max_|backup)[^/]*$")
        return [path for path in sorted(glob.glob(os.path.join(directory, "*.test"))) if not skip.search(path)]

    def __enter__(self):
        self.engine = engines.MariaDb(populate=False, options=["--lower-case-table-names=0", "--max-statement-time=5"])
        self.modes = "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"
        return self

    def __exit__(self, *_):
        self.engine.close()

    def run_file(self, path):
        engine = self.engine
        engine.granted = engines.Grants(frozenset(), frozenset())
        for connection in (engine.admin, engine.plug):
            engine.library.mysql_close(connection)
        engine.admin = engine.connect(b"root", None)
        for sql in ("DROP DATABASE IF EXISTS app", "DROP DATABASE IF EXISTS test", "DROP DATABASE IF EXISTS mysqltest",
                    "CREATE DATABASE app CHARACTER SET latin1", "CREATE DATABASE IF NOT EXISTS mtr", "USE app",
                    f"SET SESSION sql_mode = '{self.modes}'",
                    "CREATE TABLE door (id int)", "REVOKE ALL, GRANT OPTION FROM plug@localhost",
                    "GRANT SELECT ON app.door TO plug@localhost", "GRANT CREATE TEMPORARY TABLES ON app.* TO plug@localhost"):
            engine.attempt(engine.admin, sql)
        engine.plug = engine.connect(b"plug", b"app")
        engine.query(engine.plug, f"SET SESSION sql_mode = '{self.modes}', NAMES utf8mb4, max_statement_time = 5")
        engine.query(engine.admin, "SET NAMES utf8mb4, max_statement_time = 5")
        for sql in mariadb_statements(open(path, encoding="utf-8", errors="replace").read()):
            if "$" in sql or MARIADB_LEAVES_OUT.match(sql):
                continue
            if QUERY.match(strip_comments(sql)):
                self.query(sql)
            else:
                engine.attempt(engine.admin, sql.replace("`test`.", "`app`.").replace("test.", "app."))

    def query(self, sql):
        engine = self.engine

        def runs():
            return not engine.attempt(engine.admin, sql)[0]

        def under_grants(verdict):
            if verdict["arguments"]:
                return engines.Outcome("error", "takes arguments", None)
            for table in verdict["tables_read"] + verdict["tables_written"]:
                rights = "SELECT, INSERT, UPDATE, DELETE" if table in verdict["tables_written"] else "SELECT"
                engine.attempt(engine.admin, f"GRANT {rights} ON {engines.quote_name(table, '`')} TO plug@localhost")
            engine.attempt(engine.plug, "START TRANSACTION")
            number, message = engine.attempt(engine.plug, verdict["canonical"])
            engine.attempt(engine.plug, "ROLLBACK")
            for table in verdict["tables_read"] + verdict["tables_written"]:
                engine.attempt(engine.admin, f"REVOKE ALL ON {engines.quote_name(table, '`')} FROM plug@localhost")
            absent = re.search(r"for routine 'app\.(\w+)'", message)
            absent = bool(absent) and absent[1].lower() in verdict["functions"]
            denied = number in engine.DENIED and not absent and not self.is_own(message, verdict)
            return engines.Outcome("ok" if not number else "denied" if denied else "error", f"{number} {message}", None)

        self.judge(sql, runs, under_grants)

    def is_own(self, message, verdict):
        """True where the role lacks what no grant on tables gives: temporary tables are seen by their session only, views
        need their creator's rights."""
        missing = re.search(r"for table `[^`]*`\.`((?:[^`]|``)*)`", message)
        if not missing:
            return False
        tables = verdict["tables_read"] + verdict["tables_written"]
        return any(table.split(".")[-1].lower() == missing[1].lower() for table in tables)


# SQLite


def sqlite_statements(text):
    """Statements in the braces of `execsql`, `do_execsql_test` and the like that hold no Tcl."""
    pattern = re.compile(r"(?:do_execsql_test\s+\S+|execsql|do_eqp_test\s+\S+|db\s+eval|catchsql|do_catchsql_test\s+\S+)\s*\{")
    for match in pattern.finditer(text):
        at, depth = match.end(), 1
        while at < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        block = text[match.end():at - 1]
        statement = ""
        for part in re.split(r"(;)", block):
            statement += part
            if sqlite3.complete_statement(statement):
                yield statement.strip()
                statement = ""
        if statement.strip():
            yield statement.strip()


class SqliteSuite(Runner):
    dialect = "sqlite"

    def files(self, directory):
        skip = re.compile(r"/(fuzz|malloc|crash|corrupt|attach|backup|wal|journal|pager|lock|thread|e_wal|speed|sqllimits|oserror|auth|zipfile|io)[^/]*$")
        return [path for path in sorted(glob.glob(os.path.join(directory, "*.test"))) if not skip.search(path)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run_file(self, path):
        self.engine = engines.Sqlite(populate=False)
        self.engine.connection.execute("PRAGMA trusted_schema = ON")
        for sql in sqlite_statements(open(path, encoding="utf-8", errors="replace").read()):
            if re.search(r"\$|\battach\b|\[[a-z ]*\$|writable_schema|hard_heap|load_extension", sql, re.IGNORECASE):
                continue
            if QUERY.match(strip_comments(sql)):
                self.query(sql)
            else:
                self.execute(sql)
        self.engine.close()

    def execute(self, sql):
        budget = [100]

        def progress():
            budget[0] -= 1
            return budget[0] < 0

        self.engine.connection.set_progress_handler(progress, 100_000)
        try:
            self.engine.connection.execute(sql).fetchall()
            return True
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError):
            return False
        finally:
            self.engine.connection.set_progress_handler(None, 0)

    def query(self, sql):
        outcome = []

        def runs():
            # First under the authorizer, which rolls back; then for what comes after.
            verdict = self.gate.ask(self.dialect, sql)
            if verdict["accept"] and not verdict["arguments"] and not self.engine.connection.in_transaction:
                grants = engines.Grants(frozenset(self.reach(verdict["tables_read"])), frozenset(self.reach(verdict["tables_written"])))
                outcome.append(self.engine.run(verdict["canonical"], [], grants))
            return self.execute(sql)

        def under_grants(_verdict):
            return outcome[0] if outcome else engines.Outcome("error", "takes arguments", None)

        self.judge(sql, runs, under_grants)

    def reach(self, tables):
        """The tables with what views, triggers, virtual tables and foreign keys of theirs touch: an administrator who grants a
        view grants what it shows."""
        schema = {name.lower(): (sql or "").lower() for name, sql in
                  self.engine.connection.execute("SELECT tbl_name, group_concat(sql, ' ') FROM sqlite_master GROUP BY 1")}
        found = {table.lower() for table in tables}
        open_ends = list(found)
        while open_ends:
            table = open_ends.pop()
            text = schema.get(table, "")
            if not re.search(r"create\s+(temp\w*\s+)?(view|trigger|virtual)|references", text):
                continue
            for name in schema:
                if name not in found and (name in text or name.startswith(f"{table}_")):
                    found.add(name)
                    open_ends.append(name)
        return found


SUITES = {"postgres": PostgresSuite, "mysql": MariadbSuite, "sqlite": SqliteSuite}


class Stuck(Exception):
    """A file takes too long."""


def stop(*_):
    raise Stuck


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", required=True, choices=SUITES)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--files", type=int, default=10_000, help="at most this many files")
    parser.add_argument("--every", type=int, default=1, help="one file in this many")
    parser.add_argument("--only", default="", help="files with this in their name")
    parser.add_argument("--show", type=int, default=40)
    parser.add_argument("gate", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    gate, tally = Gate(options.gate), Tally()
    signal.signal(signal.SIGALRM, stop)
    with SUITES[options.dialect](gate, tally) as suite:
        files = [path for path in suite.files(os.path.abspath(options.suite)) if options.only in path]
        for path in files[::options.every][:options.files]:
            signal.alarm(120)
            try:
                suite.run_file(path)
            except Stuck:
                print(f"{path} takes too long, left", file=sys.stderr)
                # Its answer to the interrupted question is not read.
                suite.gate = Gate(options.gate)
            finally:
                signal.alarm(0)
    tally.report(options.dialect, options.show)
    gate.close()
    return 1 if tally.accepts else 0


if __name__ == "__main__":
    sys.exit(main())
