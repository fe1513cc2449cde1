"""Private database servers for tests: started in a temporary directory, stopped at the end.

Drivers are the C client libraries through ctypes, so that only the servers have to be installed.
Each engine answers `run(statement, arguments, grants)` with an Outcome: what a role sees that is granted exactly `grants`.
"""
import collections
import ctypes
import ctypes.util
import glob
import os
import pwd
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import schema

#: kind: "ok", "denied" (the engine refused for lack of rights), "error" (anything else); touched: engine's own list.
Outcome = collections.namedtuple("Outcome", "kind message touched")
#: read: tables with SELECT; write: tables with INSERT, UPDATE, DELETE (and SELECT: their own columns are readable).
Grants = collections.namedtuple("Grants", "read write")


# Ending a test must end its servers too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
# Servers live where only administrators have their path; what the caller has set for clients is not meant for these.
os.environ["PATH"] += ":/usr/sbin:/sbin"
for name in [name for name in os.environ if name.startswith(("PG", "MYSQL", "MARIADB"))]:
    del os.environ[name]
PR_SET_PDEATHSIG = 1


class Server:
    """A server process in a directory of its own; it ends with this process, however that ends."""

    #: Ends the server at once.
    stop_signal = signal.SIGTERM

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="gk-sql-")
        self.process = None

    def spawn(self, command, **kwargs):
        log = open(os.path.join(self.directory, "server.log"), "ab")
        libc, stop_signal = ctypes.CDLL(None), int(self.stop_signal)
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True,
                                        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, stop_signal), **kwargs)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def demote(name):
    """Servers refuse to run as root."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam(name)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Postgres(Server):
    dialect = "postgres"
    stop_signal = signal.SIGINT

    def __init__(self, populate=True):
        super().__init__()
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.library = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
        self.prepare_library()
        identity = demote("postgres")
        os.chmod(self.directory, 0o755)
        if identity:
            os.chown(self.directory, identity["user"], identity["group"])
        data = os.path.join(self.directory, "data")
        subprocess.run([f"{binaries}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                        "--no-sync"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       cwd="/", **identity)
        self.spawn([f"{binaries}/postgres", "-D", data, "-k", self.directory, "-p", "5432", "-c", "listen_addresses=", "-F",
                    "-c", "max_connections=10"], cwd="/", **identity)
        self.connection = self.connect()
        self.execute("CREATE ROLE plug")
        if populate:
            for statement in schema.statements("postgres"):
                self.execute(statement)
            self.execute("GRANT USAGE ON SCHEMA other TO plug")

    def prepare_library(self):
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        for name, result, arguments in [
            ("PQconnectdb", pointer, [text]), ("PQstatus", ctypes.c_int, [pointer]),
            ("PQexec", pointer, [pointer, text]), ("PQresultStatus", ctypes.c_int, [pointer]),
            ("PQresultErrorField", text, [pointer, ctypes.c_int]), ("PQclear", None, [pointer]),
            ("PQgetvalue", text, [pointer, ctypes.c_int, ctypes.c_int]), ("PQntuples", ctypes.c_int, [pointer]),
            ("PQnfields", ctypes.c_int, [pointer]),
            ("PQfinish", None, [pointer]), ("PQresultErrorMessage", text, [pointer]),
            ("PQexecParams", pointer, [pointer, text, ctypes.c_int, pointer, pointer, pointer, pointer, ctypes.c_int]),
        ]:
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments

    def connect(self):
        target = f"host={self.directory} port=5432 user=postgres dbname=postgres".encode()
        for _ in range(300):
            connection = self.library.PQconnectdb(target)
            if self.library.PQstatus(connection) == 0:
                return connection
            self.library.PQfinish(connection)
            time.sleep(0.1)
        raise RuntimeError(open(os.path.join(self.directory, "server.log")).read()[-2000:])

    def parameters(self, statement, arguments):
        """Runs with the extended protocol, like the providers; gives (SQLSTATE or "", message, first row)."""
        values = (ctypes.c_char_p * max(1, len(arguments)))(*arguments)
        result = self.library.PQexecParams(self.connection, statement.encode(), len(arguments), None,
                                           ctypes.cast(values, ctypes.c_void_p), None, None, 0)
        state = self.library.PQresultErrorField(result, ord("C")) or b""
        message = self.library.PQresultErrorMessage(result) or b""
        filled = self.library.PQntuples(result) and self.library.PQnfields(result)
        row = self.library.PQgetvalue(result, 0, 0) if filled else None
        self.library.PQclear(result)
        return state.decode(), message.decode(errors="replace").strip(), row

    def execute(self, statement):
        state, message, row = self.parameters(statement, [])
        if state:
            raise RuntimeError(f"{statement}: {message}")
        return row

    def run(self, statement, arguments, grants, session=()):
        """`session`: settings of the session as statements."""
        grants = existing(self.dialect, grants)
        self.execute("BEGIN")
        try:
            for table in grants.read | grants.write:
                self.execute(f"GRANT SELECT ON {self.quoted(table)} TO plug")
            for table in grants.write:
                self.execute(f"GRANT INSERT, UPDATE, DELETE ON {self.quoted(table)} TO plug")
            self.execute("SET LOCAL ROLE plug")
            self.execute("SET LOCAL statement_timeout = 5000")
            for setting in session:
                self.execute(setting)
            state, message, _ = self.parameters(statement, arguments)
        finally:
            self.library.PQclear(self.library.PQexec(self.connection, b"ROLLBACK"))
        kind = {"": "ok", "42501": "denied"}.get(state, "error")
        return Outcome(kind, message, None)

    def quoted(self, table):
        return quote_name(table, '"')

    def close(self):
        if getattr(self, "connection", None):
            self.library.PQfinish(self.connection)
        super().close()


class MariaDb(Server):
    dialect = "mysql"
    #: Table, column, database, routine and other rights are missing; file and system variable rights too.
    DENIED = {1044, 1045, 1142, 1143, 1227, 1290, 1370, 1449, 1698}

    def __init__(self, populate=True, options=()):
        super().__init__()
        self.library = ctypes.CDLL(ctypes.util.find_library("mariadb") or "libmariadb.so.3")
        self.prepare_library()
        identity = demote("mysql")
        os.chmod(self.directory, 0o755)
        if identity:
            os.chown(self.directory, identity["user"], identity["group"])
        data = os.path.join(self.directory, "data")
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
                        "--skip-test-db"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **identity)
        self.socket = os.path.join(self.directory, "socket")
        self.spawn(["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.socket}", "--skip-networking",
                    "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--pid-file=pid", *options], **identity)
        self.admin = self.connect(b"root", None)
        self.query(self.admin, "CREATE DATABASE app CHARACTER SET utf8mb4")
        self.query(self.admin, "USE app")
        self.query(self.admin, "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'")
        for statement in schema.statements("mysql") if populate else ():
            self.query(self.admin, statement)
        self.query(self.admin, "CREATE USER plug@localhost")
        # A right on one column of nothing interesting lets the user open the database.
        self.query(self.admin, "CREATE TABLE app.door (id int)")
        self.query(self.admin, "GRANT SELECT ON app.door TO plug@localhost")
        self.plug = self.connect(b"plug", b"app")
        self.query(self.plug, "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', NAMES utf8mb4")
        self.granted = Grants(frozenset(), frozenset())

    def prepare_library(self):
        pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint
        for name, result, arguments in [
            ("mysql_init", pointer, [pointer]),
            ("mysql_real_connect", pointer, [pointer, text, text, text, text, number, text, ctypes.c_ulong]),
            ("mysql_real_query", ctypes.c_int, [pointer, text, ctypes.c_ulong]), ("mysql_errno", number, [pointer]),
            ("mysql_error", text, [pointer]), ("mysql_store_result", pointer, [pointer]),
            ("mysql_free_result", None, [pointer]), ("mysql_close", None, [pointer]),
        ]:
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments

    def connect(self, user, database):
        for _ in range(300):
            connection = self.library.mysql_init(None)
            if self.library.mysql_real_connect(connection, None, user, None, database, 0, self.socket.encode(), 0):
                return connection
            self.library.mysql_close(connection)
            time.sleep(0.1)
        raise RuntimeError(open(os.path.join(self.directory, "server.log")).read()[-2000:])

    def attempt(self, connection, statement):
        """Runs one statement; gives (error number or 0, message)."""
        text = statement.encode()
        if self.library.mysql_real_query(connection, text, len(text)):
            return self.library.mysql_errno(connection), self.library.mysql_error(connection).decode(errors="replace")
        result = self.library.mysql_store_result(connection)
        if result:
            self.library.mysql_free_result(result)
        elif self.library.mysql_errno(connection):
            return self.library.mysql_errno(connection), self.library.mysql_error(connection).decode(errors="replace")
        return 0, ""

    def query(self, connection, statement):
        number, message = self.attempt(connection, statement)
        if number:
            raise RuntimeError(f"{statement}: {message}")

    def grant(self, grants):
        if grants == self.granted:
            return
        for table in self.granted.read | self.granted.write:
            self.query(self.admin, f"REVOKE ALL ON {quote_name(table, '`')} FROM plug@localhost")
        for table in grants.read | grants.write:
            rights = "SELECT, INSERT, UPDATE, DELETE" if table in grants.write else "SELECT"
            self.query(self.admin, f"GRANT {rights} ON {quote_name(table, '`')} TO plug@localhost")
        self.granted = grants

    def run(self, statement, arguments, grants):
        self.grant(existing(self.dialect, grants))
        self.query(self.plug, "START TRANSACTION")
        self.query(self.plug, f"SET @q = CONVERT(0x{statement.encode().hex()} USING utf8mb4)")
        number, message = self.attempt(self.plug, "PREPARE s FROM @q")
        if not number:
            names = []
            for index, argument in enumerate(arguments):
                value = "NULL" if argument is None else f"CONVERT(0x{argument.hex()} USING utf8mb4)"
                self.query(self.plug, f"SET @a{index} = {value}")
                names.append(f"@a{index}")
            using = f" USING {', '.join(names)}" if names else ""
            number, message = self.attempt(self.plug, f"SET STATEMENT max_statement_time = 5 FOR EXECUTE s{using}")
        self.attempt(self.plug, "ROLLBACK")
        missing = re.search(r"for table `app`\.`((?:[^`]|``)*)`", message)
        absent = number == 1142 and missing and missing[1] not in {name.strip("`") for name in schema.tables("mysql")}
        kind = "ok" if not number else "denied" if number in self.DENIED and not absent else "error"
        return Outcome(kind, f"{number} {message}" if number else "", None)

    def run_in(self, session, statement, grants):
        """Runs the text as it is in a session of these settings."""
        self.grant(existing(self.dialect, grants))
        connection = self.connect(b"plug", b"app")
        for setting in session:
            self.query(connection, setting)
        number, message = self.attempt(connection, statement)
        self.library.mysql_close(connection)
        return Outcome("ok" if not number else "denied" if number in self.DENIED else "error", message, None)

    def close(self):
        for name in ("plug", "admin"):
            if getattr(self, name, None):
                self.library.mysql_close(getattr(self, name))
        super().close()


class Sqlite:
    """SQLite in memory; the authorizer tells what a statement touches while it is compiled."""

    dialect = "sqlite"
    WRITES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
    QUIET = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_TRANSACTION}

    def __init__(self, populate=True):
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in schema.statements("sqlite") if populate else ():
            self.connection.execute(statement)
        #: Pseudo tables that the engine reports for table functions.
        self.functions = {"json_each", "json_tree", "generate_series"}
        # The first use of a virtual table declares it, which the authorizer would see.
        self.connection.execute("SELECT * FROM json_each('[]'), json_tree('[]')").fetchall()

    def run(self, statement, arguments, grants):
        read, written, other, unused = set(), set(), set(), set()

        def judge(action, first, second, _database, _trigger):
            table = (first or "").lower()
            if re.fullmatch(r"\(join-\d+\)|\(subquery-\d+\)", table):
                # What the engine calls a join in parentheses; the tables in it come by their own names.
                return sqlite3.SQLITE_OK
            if action == sqlite3.SQLITE_READ and not second:
                # A source of which no column is used: a table, or a WITH item of that name.
                unused.add(table)
            elif action == sqlite3.SQLITE_READ:
                if table and table not in self.functions and not table.startswith("doc_"):
                    read.add(table)
            elif action in self.WRITES:
                if not table.startswith("doc_"):
                    written.add(table)
            elif action not in self.QUIET and (first, second) != ("data_version", None):
                other.add(f"action {action} {first} {second}")
            return sqlite3.SQLITE_OK

        self.connection.execute("BEGIN")
        self.connection.set_authorizer(judge)
        budget = [200]

        def progress():
            budget[0] -= 1
            return budget[0] < 0

        self.connection.set_progress_handler(progress, 10_000)
        try:
            self.connection.execute(statement, [a if a is None else a.decode() for a in arguments]).fetchall()
            kind, message = "ok", ""
        except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
            kind, message = "error", str(error)
        finally:
            self.connection.set_authorizer(None)
            self.connection.set_progress_handler(None, 0)
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        read |= {table for table in unused if self.opens(statement, arguments, table)}
        beyond = (read - grants.read - grants.write) | (written - grants.write) | other
        if beyond:
            return Outcome("denied", f"touches {sorted(beyond)}", (read, written))
        return Outcome(kind, message, (read, written))

    def opens(self, statement, arguments, table):
        """True if the program that the statement compiles to opens the table or one of its indices."""
        if table in self.functions or table.startswith("doc_"):
            return False
        pages = {page for page, in self.connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE lower(tbl_name) = ?", [table])}
        try:
            program = self.connection.execute(f"EXPLAIN {statement}", arguments).fetchall()
        except (sqlite3.Error, sqlite3.Warning):
            return bool(pages)
        return any(step[1] in ("OpenRead", "OpenWrite", "Count") and step[3] in pages for step in program)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


ENGINES = {"postgres": Postgres, "mysql": MariaDb, "sqlite": Sqlite}


def existing(dialect, grants):
    """The grants without tables that don't exist: nothing can be granted on them, and nothing be read from them."""
    known = {table.strip('`"') for table in schema.tables(dialect)}
    return Grants(*(frozenset(table for table in side if table.strip('`"') in known) for side in grants))


def quote_name(table, quote):
    """Catalogue name as SQL."""
    if table.startswith(quote):
        return table
    parts = table.split(".", 1) if re.fullmatch(r"[A-Za-z_]+\.[A-Za-z_]+", table) else [table]
    return ".".join(quote + part.replace(quote, quote * 2) + quote for part in parts)
