#!/usr/bin/env python3
"""Runs statements through the gate and real engines and compares what both say is touched.

usage: verify.py [--dialect D] [--write DIR] GATE [ARGS...]      (GATE: the program with its `check sql` arguments)

Legitimate statements: the gate gives facts; the engine runs the canonical text as a role that is granted exactly the
facts. A refusal by the engine is a FALSE ACCEPT of the gate. Each table is then left out of the grants once: when the
engine does not mind, the gate asks for too much. What runs in the engine but not through the gate is a FALSE REJECT.
Hostile statements: must be refused under their grants.
Exit status: 0 when there is no false accept.
"""
import argparse
import fnmatch
import json
import os
import sys

import engines
import hostile
import legit
import schema
import sessions
from gate import DEFAULT_SCHEMA, Gate

#: What makes the run fail.
FAULTS = ("FALSE ACCEPT", "HOSTILE ACCEPTED", "SESSION TRAP BROKEN")
ARGUMENTS = (b"1", b"2024-01-01 00:00:00", b"{}", b"1 day", b"{1}", None)


def grants(verdict, without=None, weaker=None):
    """What the facts demand: SELECT on what is read and (its own columns) on what is written, writing on the rest."""
    read = set(verdict["tables_read"]) | set(verdict["tables_written"])
    write = set(verdict["tables_written"])
    return engines.Grants(frozenset(read - {without}), frozenset(write - {without, weaker}))


def translate(dialect, sql):
    """The statement as a plugin's author means it, for engines that don't know `?`; None if that is not certain."""
    if dialect != "postgres" or "?" not in sql:
        return (sql, 0) if "$1" not in sql or dialect == "postgres" else None
    return None


def attempt(engine, sql, order, allowed):
    """Outcome with the first kind of argument that the statement takes."""
    outcome = None
    for value in ARGUMENTS:
        outcome = engine.run(sql, [value] * len(order), allowed)
        if outcome.kind in ("ok", "denied") or not order:
            break
    return outcome


def legitimate(engine, gate, tally, lines):
    everything = engines.Grants(frozenset(schema.tables(engine.dialect)), frozenset(schema.tables(engine.dialect)))
    statements = list(dict.fromkeys(legit.ALL[engine.dialect]()))
    for number, sql in enumerate(statements):
        verdict = gate.ask(engine.dialect, sql)
        if not verdict["accept"]:
            original = translate(engine.dialect, sql)
            runs = original and engine.run(original[0], [], everything).kind == "ok"
            tally["false reject" if runs else "refused, and the engine refuses too"].append((sql, verdict["reason"]))
            continue
        outcome = attempt(engine, verdict["canonical"], sorted(set(verdict["arguments"])) if engine.dialect == "postgres"
                          else verdict["arguments"], grants(verdict))
        if outcome.kind == "denied":
            tally["FALSE ACCEPT"].append((sql, outcome.message))
            continue
        if outcome.kind == "error":
            tally["does not run"].append((sql, outcome.message))
            continue
        tally["verified"].append((sql, ""))
        for table in sorted(set(verdict["tables_read"]) | set(verdict["tables_written"])):
            if attempt(engine, verdict["canonical"], verdict["arguments"], grants(verdict, without=table)).kind != "denied":
                tally["asks for too much"].append((sql, table))
        for table in verdict["tables_written"]:
            if attempt(engine, verdict["canonical"], verdict["arguments"], grants(verdict, weaker=table)).kind != "denied":
                tally["asks for too much"].append((sql, f"write on {table}"))
        lines.append(record(engine.dialect, number, sql, verdict))


def record(dialect, number, sql, verdict):
    locked = set(verdict["tables_locked"])
    written = sorted(set(verdict["tables_written"]) - locked)
    self_read = sorted(set(written) & set(verdict["tables_read"]))
    return {"id": f"{dialect}-{number:04}", "dialect": dialect, "sql": sql, "tables_read": verdict["tables_read"],
            "tables_written": written, "tables_locked": sorted(locked), "self_read": self_read, "executes": True,
            "class": "core", "default_schema": DEFAULT_SCHEMA[dialect]}


def attacks(engine, gate, tally, lines):
    """An accepted statement is harmless when the engine runs or refuses it without missing a grant: what is an attack
    on one database has another meaning on the next. Functions and statements beyond tables are always attacks."""
    allowed = engines.Grants(frozenset(granted(engine.dialect, hostile.READ)), frozenset(granted(engine.dialect, hostile.WRITE)))
    for number, (category, sql) in enumerate(dict.fromkeys(hostile.ALL[engine.dialect]())):
        verdict = gate.ask(engine.dialect, sql, hostile.READ, hostile.WRITE)
        tally["hostile"].append((sql, verdict["reason"]))
        if verdict["accept"]:
            outcome = attempt(engine, verdict["canonical"], verdict["arguments"], allowed)
            harmless = category != "function" and outcome.kind != "denied"
            tally["harmless here" if harmless else "HOSTILE ACCEPTED"].append((sql, f"{category} {outcome.kind} {outcome.message}"))
            continue
        lines.append({"id": f"{engine.dialect}-adv-{number:04}", "dialect": engine.dialect, "sql": sql, "category": category,
                      "tier": "touch", "whitelist_read": sorted(hostile.READ), "whitelist_write": sorted(hostile.WRITE),
                      "default_schema": DEFAULT_SCHEMA[engine.dialect]})


def granted(dialect, entries):
    """Tables of the schema that the entries name."""
    return [table for table in schema.tables(dialect) if any(fnmatch.fnmatchcase(table, entry) for entry in entries)]


def report(dialect, tally, show):
    print(f"{dialect}: " + ", ".join(f"{name} {len(found)}" for name, found in sorted(tally.items())))
    for name in (*FAULTS, "false reject", "asks for too much", "does not run", "harmless here",
                 "refused, and the engine refuses too"):
        for sql, note in tally.get(name, [])[:show]:
            print(f"  {name}: {note} :: {ascii(sql)[:220]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect")
    parser.add_argument("--write", help="write what was verified as JSON lines into this directory")
    parser.add_argument("--show", type=int, default=60)
    parser.add_argument("gate", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    gate, failed = Gate(options.gate), False
    for dialect, start in engines.ENGINES.items():
        if options.dialect not in (None, dialect):
            continue
        tally, good, bad = Tally(), [], []
        with start() as engine:
            legitimate(engine, gate, tally, good)
            attacks(engine, gate, tally, bad)
            sessions.check(engine, gate, grants, tally)
        report(dialect, tally, options.show)
        failed |= any(tally.get(fault) for fault in FAULTS)
        if options.write:
            for name, lines in ((f"{dialect}_legit.jsonl", good), (f"{dialect}_hostile.jsonl", bad)):
                with open(os.path.join(options.write, name), "w", encoding="utf8") as file:
                    file.writelines(json.dumps(line) + "\n" for line in lines)
    gate.close()
    return 1 if failed else 0


class Tally(dict):
    def __missing__(self, key):
        self[key] = []
        return self[key]


if __name__ == "__main__":
    sys.exit(main())
