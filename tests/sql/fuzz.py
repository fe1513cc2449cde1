#!/usr/bin/env python3
"""Mutates statements and looks for one that the gate lets through and the engine refuses for lack of grants.

usage: fuzz.py --dialect D [--seconds N] [--seed N] GATE [ARGS...]

Seeds are the legitimate and the hostile statements. Everything is granted to the gate, so each statement that it
understands comes back with facts; the engine then runs the canonical text as a role with exactly these grants. When it
misses a grant, the gate has missed a table or a function: a FALSE ACCEPT. Exit status: 0 when there is none.
"""
import argparse
import random
import re
import sys
import time

import engines
import hostile
import legit
from gate import Gate
from verify import attempt, grants

TOKEN = re.compile(r"""\s+|/\*.*?\*/|--[^\n]*|[A-Za-z_][A-Za-z0-9_$]*|'(?:[^'\\]|\\.|'')*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|\d+|::|->>|->|<=|>=|<>|\|\||.""",
                   re.DOTALL)
SPICE = """users secret "users" `users` [users] public.users app.users main.users USERS ONLY LATERAL TABLE users u (SELECT pw FROM users)
    (SELECT v FROM secret) , . ; ( ) * AS FROM JOIN CROSS JOIN NATURAL JOIN UNION SELECT WITH users AS (SELECT 1 AS pw) RECURSIVE RETURNING *
    ON CONFLICT DO NOTHING FOR UPDATE OF t USING ( id ) secret_of('x') .secret_of (t).secret_of x.secret_of unnest(array['a']) x NOT INDEXED INDEXED BY ix
    IN users IN secret IS NOT IS ISNULL /* */ -- ' " ` $$ $a$ E' \\ :: ? $1 ?| @> # ! & | MOD DIV XOR COLLATE PARTITION TABLESAMPLE WINDOW w AS OVER ( )
    VALUES SET INTO users INSERT INTO users DELETE FROM users UPDATE users SET pw = 'x' 'users' ROWS FETCH FIRST 1 ROWS ONLY LIMIT OFFSET EXISTS ALL ANY
    CASE WHEN THEN ELSE END CAST ( AS text ) INTERVAL DAY DISTINCT ON ROW ARRAY [ 1 ] GROUPING SETS ROLLUP FILTER ( WHERE ) WITHIN GROUP ORDER BY NULL TRUE
    DUAL dual IGNORE INDEX FORCE KEY STRAIGHT_JOIN LOW_PRIORITY HIGH_PRIORITY REPLACE DUPLICATE KEY UPDATE MATERIALIZED LEFT RIGHT FULL OUTER INNER"""


def tokens(sql):
    return [part for part in TOKEN.findall(sql) if part]


def spices():
    flat = SPICE.split()
    phrases = [phrase.strip() for phrase in SPICE.split("\n")]
    pairs = [" ".join(flat[index:index + width]) for index in range(len(flat)) for width in (1, 1, 2, 3, 4)]
    return pairs + phrases


class Mutator:
    def __init__(self, dialect, seed):
        self.random = random.Random(seed)
        good = list(dict.fromkeys(legit.ALL[dialect]()))
        bad = [sql for _, sql in dict.fromkeys(hostile.ALL[dialect]())]
        self.seeds = [tokens(sql) for sql in good + bad]
        self.spices = spices()

    def next(self):
        sql = list(self.random.choice(self.seeds))
        for _ in range(self.random.choice((1, 1, 2, 2, 3, 5))):
            self.mutate(sql)
        return "".join(sql)

    def mutate(self, sql):
        at = self.random.randrange(len(sql) + 1)
        kind = self.random.randrange(7)
        if kind == 0 and len(sql) > 1:
            del sql[at:at + self.random.choice((1, 1, 2, 4))]
        elif kind in (1, 2):
            sql.insert(at, f" {self.random.choice(self.spices)} ")
        elif kind == 3 and at < len(sql):
            sql[at] = self.random.choice(self.spices)
        elif kind == 4:
            other = self.random.choice(self.seeds)
            start = self.random.randrange(len(other))
            sql[at:at] = [" ", *other[start:start + self.random.randrange(1, 12)], " "]
        elif kind == 5 and len(sql) > 3:
            first, second = self.random.sample(range(len(sql)), 2)
            sql[first], sql[second] = sql[second], sql[first]
        elif kind == 6:
            # One name becomes another where names stand.
            names = [index for index, part in enumerate(sql) if re.fullmatch(r"[a-z_]+", part)]
            if names:
                sql[self.random.choice(names)] = self.random.choice(("users", "secret", "ticket", "article", "t", "x"))


def absent_function(message, verdict):
    """True if the engine looked for a routine under the name of an allowed function, which this version lacks."""
    routine = re.search(r"for routine 'app\.(\w+)'", message)
    return bool(routine) and routine[1].lower() in verdict["functions"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("gate", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    gate, mutator = Gate(options.gate), Mutator(options.dialect, options.seed)
    tried = understood = ran = 0
    found = []
    slowest = (0.0, "")
    with engines.ENGINES[options.dialect]() as engine:
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            sql = mutator.next()
            started = time.monotonic()
            verdict = gate.ask(options.dialect, sql)
            slowest = max(slowest, (time.monotonic() - started, sql))
            tried += 1
            if not verdict["accept"]:
                continue
            understood += 1
            outcome = attempt(engine, verdict["canonical"], verdict["arguments"], grants(verdict))
            ran += outcome.kind == "ok"
            if outcome.kind == "denied" and not absent_function(outcome.message, verdict):
                found.append((sql, outcome.message))
                print(f"FALSE ACCEPT {outcome.message} :: {ascii(sql)} :: {verdict}", flush=True)
    print(f"{options.dialect}: {tried} statements, {understood} understood, {ran} ran, {len(found)} false accepts, "
          f"slowest verdict {slowest[0] * 1000:.1f} ms {ascii(slowest[1])[:120]}")
    gate.close()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
