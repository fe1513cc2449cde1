#!/usr/bin/env python3
"""A host in Python: loads plugins over a ticket database and shows what they may and may not do.

    host.py DATABASE PLUGIN...
    host.py DATABASE PLUGIN... -- NEXT      NEXT is a newer version of the last plugin

The hosts in examples-c and examples-go print the same, byte for byte.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bindings" / "python"))

import goatflow_plugin as gp  # noqa: E402

WITH_USERS = {
    "version": 1,
    "status": "approved",
    "permissions": [
        {"type": "db", "access": "read", "scope": ["ticket", "queue", "ticket_state", "users"]},
        {"type": "cache", "access": "readwrite"},
    ],
}


def show(label: str, answer: bytes) -> None:
    """Prints an answer as the plugin gave it; `-` when it gave none."""
    print(label, answer.decode() or "-")


def show_plugin(manager: gp.Manager, name: str) -> None:
    """What one plugin registered, answers, and is refused."""

    def call(function: str, arguments: Any) -> bytes:
        return manager.call(name, function, arguments)

    print("registration", name, manager.registration_text(name))
    show(f"overview {name}", call("overview", {}))
    show(f"widget {name}", call("widget", {}))
    show(f"ticket {name}", call("ticket", {"id": 1}))
    show(f"users {name}", call("users", {}))

    manager.policy(name)
    manager.set_policy(name, WITH_USERS)
    print("policy", name, "changed")
    show(f"users {name}", call("users", {}))
    manager.set_policy(name, None)
    print("policy", name, "removed")
    show(f"users {name}", call("users", {}))

    call("remember", {"key": "k", "value": "v"})
    show(f"recall {name}", call("recall", {"key": "k"}))
    try:
        show(f"unknown {name}", call("nope", {}))
    except gp.PluginError as error:
        print("unknown", name, error.code)


def show_handle(manager: gp.Manager, name: str) -> None:
    """Calls one function three times without looking it up again."""
    with manager.function(name, "overview") as overview:
        answers = [overview({}) for _ in range(3)]
    for number, answer in enumerate(answers, start=1):
        if answer == answers[0]:
            print("handle", number, "same")


def show_next(manager: gp.Manager, name: str, path: str) -> None:
    """The next version takes over while others call the plugin, and none of their calls fails."""
    calls = failures = 0
    counting = threading.Lock()
    stop = threading.Event()

    def keep_calling() -> None:
        nonlocal calls, failures
        while not stop.is_set():
            try:
                failed = manager.call(name, "recall", {"key": "k"}) != b'{"found":true,"value":"v"}'
            except gp.PluginError:
                failed = True
            with counting:
                calls, failures = calls + 1, failures + failed

    def await_calls(more: int) -> None:
        before = calls
        while calls < before + more:
            time.sleep(0.001)

    threads = [threading.Thread(target=keep_calling) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        await_calls(50)
        report = manager.replace(path)
        await_calls(50)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    versions = f"{report['old_version']} -> {report['new_version']}"
    print(f"swapped {name} {versions} under load, failed calls: {failures}")
    show(f"ticket {name}", manager.call(name, "ticket", {"id": 1}))
    show(f"users {name}", manager.call(name, "users", {}))  # what is granted belongs to the name


def run(database: str, plugins: List[str], following: Optional[str] = None) -> None:
    """The whole demonstration."""
    print("goatflow-plugin abi", gp.abi_version())
    with gp.Manager({"version": 1, "database": {"sqlite": {"path": database}}}) as manager:
        names = []
        for plugin in plugins:
            names.append(manager.load(plugin))
            print("loaded", names[-1])
        for name in names:
            show_plugin(manager, name)
        try:
            manager.call("absent", "x")
        except gp.PluginError as error:
            print("error", error.code)
        show_handle(manager, names[0])
        show("async", asyncio.run(manager.call_async(names[0], "overview", {})))
        if following is not None:
            show_next(manager, names[-1], following)
        manager.shutdown(timeout=5.0)
    print("shut down")


def main(arguments: List[str]) -> int:
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    following = None
    if len(arguments) > 3 and arguments[-2] == "--":
        following = arguments.pop()
        arguments.pop()
    try:
        run(arguments[0], arguments[1:], following)
    except (gp.PluginError, gp.LibraryNotFound) as error:
        print(f"host.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
