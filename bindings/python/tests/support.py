"""What every test needs: the files of the harness, a manager, plugins assembled on the spot."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import goatflow_plugin as gp
import guest

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = ROOT.parent.parent

Json = Dict[str, Any]

EVERYTHING: Json = {
    "version": 1,
    "status": "approved",
    "permissions": [
        {"type": "db", "access": "readwrite", "scope": ["*"]},
        {"type": "cache", "access": "readwrite"},
        {"type": "config", "access": "read", "scope": ["*"]},
        {"type": "http", "access": "readwrite", "scope": ["*"]},
        {"type": "email", "access": "write", "scope": ["*"]},
        {"type": "plugin_call", "access": "readwrite", "scope": ["*"]},
    ],
}
"""A policy that grants all there is; the tests of the sandbox are elsewhere."""


def environment(name: str) -> str:
    """A variable that the harness exports; without it the tests fail, they are never skipped."""
    value = os.environ.get(name)
    if not value:
        raise AssertionError(f"{name} is not set; run the tests through `make test`, or export it")
    return value


def built_plugin(name: str) -> str:
    """Path of a plugin that the harness built."""
    path = Path(environment("GOATFLOW_TEST_PLUGINS"), name)
    if not path.exists():
        raise AssertionError(f"{path} is missing; it is built before the tests")
    return str(path)


def database_config(path: str = ":memory:") -> Json:
    """The ticket database, filled from the script."""
    return {"sqlite": {"path": path, "init_script": environment("GOATFLOW_TEST_SQL")}}


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """True as soon as `condition` is; False when that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def collect_garbage() -> None:
    for _ in range(3):
        gc.collect()


class ManagerCase(unittest.TestCase):
    """One manager per test, with ``relay`` (see `guest`) loaded and allowed everything."""

    config: Json = {"config": {"values": {"app.name": "GoatFlow"}}}
    manager: gp.Manager

    def setUp(self) -> None:
        environment("GOATFLOW_PLUGIN_LIBRARY")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.manager = gp.Manager({"version": 1, **self.config})
        self.addCleanup(self.manager.close)
        self.relay = self.load("relay")

    def load(self, name: str, manager: Optional[gp.Manager] = None, policy: Optional[Json] = EVERYTHING) -> str:
        """Writes a guest, loads it and sets its policy; returns its name."""
        path = self.directory / f"{name}.wasm"
        path.write_bytes(guest.module(name))
        manager = manager or self.manager
        loaded = manager.load(path)
        if policy is not None:
            manager.set_policy(loaded, policy)
        return loaded

    def grant(self, name: str, *permissions: Json) -> None:
        """Adds permissions to those of `EVERYTHING`."""
        self.manager.set_policy(name, {**EVERYTHING, "permissions": [*EVERYTHING["permissions"], *permissions]})

    def in_thread(self, function: Callable[[], Any]) -> threading.Thread:
        """Runs a function on a thread of its own, joined when the test ends."""
        thread = threading.Thread(target=function)
        thread.start()
        self.addCleanup(thread.join, 30)
        return thread


def run_python(code: str, *arguments: str, **environment_changes: Optional[str]) -> "subprocess.CompletedProcess[str]":
    """Runs code in a fresh interpreter that finds the package; a variable of value `None` is removed."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, value in environment_changes.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=variables,
        cwd="/",  # with -c the current directory comes before PYTHONPATH
        capture_output=True,
        text=True,
        timeout=120,
    )
