"""Settings of a session that a host must pin (docs/sql.md): each statement passes the gate and is harmless in a session that is
set as documented; in one that is not, the engine finds another statement in the same text."""

#: As docs/sql.md asks for.
PINNED = {
    "postgres": ["SET LOCAL standard_conforming_strings = on", "SET LOCAL search_path = public",
                 "SET LOCAL client_encoding = 'UTF8'"],
    "mysql": ["SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'", "SET NAMES utf8mb4"],
}
#: (what is set otherwise, statement).
TRAPS = {
    "postgres": [
        ("SET LOCAL standard_conforming_strings = off", "SELECT '\\'', (SELECT pw FROM users LIMIT 1) --'"),
        ("SET LOCAL search_path = other, public", "SELECT title FROM ticket"),
    ],
    "mysql": [
        ("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'", "SELECT 'a\\', (SELECT pw FROM users LIMIT 1) -- '"),
        ("SET SESSION sql_mode = 'ANSI_QUOTES'", 'SELECT "a\\", (SELECT pw FROM users LIMIT 1) -- "'),
        ("SET NAMES gbk", "SELECT '\u20ac\\', (SELECT pw FROM users LIMIT 1) -- '"),
    ],
}


def run(engine, settings, verdict, grants):
    if engine.dialect == "mysql":
        return engine.run_in(settings, verdict["canonical"], grants)
    return engine.run(verdict["canonical"], [], grants, settings)


def check(engine, gate, grants_of, tally):
    """Fills the tally: "session pinned" where the pinned session is harmless and the other one is not."""
    for otherwise, sql in TRAPS.get(engine.dialect, ()):
        verdict = gate.ask(engine.dialect, sql)
        pinned = PINNED[engine.dialect]
        kinds = (run(engine, pinned, verdict, grants_of(verdict)).kind if verdict["accept"] else "refused",
                 run(engine, [*pinned, otherwise], verdict, grants_of(verdict)).kind if verdict["accept"] else "refused")
        expected = kinds == ("ok", "denied")
        tally["session pinned" if expected else "SESSION TRAP BROKEN"].append((sql, f"{otherwise}: {kinds}"))

