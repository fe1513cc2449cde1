"""The library inside a Python process: fork, signals, exit, the example host."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Callable, List

import goatflow_plugin as gp
from support import REPOSITORY, ROOT, ManagerCase, built_plugin, database_config, environment, run_python

IN_CHILD_OK = 42


def in_forked_child(function: Callable[[], None]) -> int:
    """Runs a function in a forked child; returns how the child ended (42 = no exception, -N = signal N)."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            function()
            os._exit(IN_CHILD_OK)
        except BaseException as error:
            os.write(2, f"in the forked child: {error!r}\n".encode())
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


class Fork(ManagerCase):
    def test_a_forked_child_is_refused_everywhere(self) -> None:
        manager = self.manager
        function = manager.function("relay", "!echo")
        cancellation, queue = gp.Cancellation(), gp.CompletionQueue()
        subscription = manager.subscribe(print)
        operation = manager.start("relay", "!echo", b"1")
        for owned in (function, cancellation, queue, subscription, operation):
            self.addCleanup(owned.close)

        def child() -> None:
            calls: List[Callable[[], object]] = [
                manager.list,
                lambda: manager.call("relay", "!echo"),
                lambda: manager.load(self.directory / "relay.wasm"),
                lambda: manager.start("relay", "!echo"),
                lambda: manager.subscribe(print),
                lambda: manager.provide("db", print),
                lambda: manager.set_policy("relay", None),
                manager.shutdown,
                function,
                cancellation.cancel,
                lambda: queue.next(0),
                operation.cancel,
                lambda: operation.wait(0),
                gp.Manager,
                gp.CompletionQueue,
                gp.Cancellation,
            ]
            for number, call in enumerate(calls):
                try:
                    call()
                except gp.EnvironmentForked:
                    continue
                raise AssertionError(f"call {number} was not refused")
            for owned in (function, cancellation, queue, subscription, operation, manager):
                owned.close()

        self.assertEqual(in_forked_child(child), IN_CHILD_OK)
        self.assertEqual(manager.call("relay", "!echo", b"1"), b"1")
        self.assertEqual(operation.wait(10), b"1")

    def test_forking_while_threads_use_the_library_never_hangs_the_child(self) -> None:
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    self.manager.call("absent", "x")  # makes and frees error objects
                except gp.PluginError:
                    self.manager.call("relay", "!echo", b"1")

        def child() -> None:
            try:
                self.manager.list()
            except gp.EnvironmentForked:
                return
            raise AssertionError("the child was not refused")

        for _ in range(3):
            self.in_thread(work)
        try:
            self.assertEqual({in_forked_child(child) for _ in range(100)}, {IN_CHILD_OK})
        finally:
            stop.set()

    def test_a_forked_child_leaves_through_the_interpreter(self) -> None:
        code = """
import os, sys, goatflow_plugin as gp
manager = gp.Manager()
manager.load(sys.argv[1])
child = os.fork()
if child == 0:
    with manager:
        try:
            manager.list()
        except gp.EnvironmentForked:
            print("forked", flush=True)
    sys.exit(3)
_, status = os.waitpid(child, 0)
print(os.WEXITSTATUS(status), manager.call("relay", "!echo", b"parent").decode())
"""
        run = run_python(code, str(self.directory / "relay.wasm"))
        self.assertEqual((run.stdout, run.returncode), ("forked\n3 parent\n", 0), run.stderr)

    def test_a_child_of_a_process_that_only_loaded_the_library_uses_it(self) -> None:
        code = """
import os, sys, goatflow_plugin as gp
from goatflow_plugin import _callbacks
print(gp.abi_version(), flush=True)
child = os.fork()
if child == 0:
    manager = gp.Manager()
    manager.load(sys.argv[1])
    manager.subscribe(lambda event: None)
    print(manager.call("relay", "!echo", b"child").decode(), flush=True)
    import atexit
    atexit.register(print, "leaving", flush=True)
    sys.exit(3)
_, status = os.waitpid(child, 0)
print(os.WEXITSTATUS(status))
"""
        run = run_python(code, str(self.directory / "relay.wasm"))
        self.assertEqual((run.stdout, run.returncode), ("1\nchild\nleaving\n3\n", 0), run.stderr)

    def test_spawned_processes_use_the_library(self) -> None:
        context = multiprocessing.get_context("spawn")
        with context.Pool(2) as pool:
            versions = pool.map(spawned, [str(self.directory / "relay.wasm")] * 4)
        self.assertEqual(versions, [b"spawned"] * 4)


def spawned(path: str) -> bytes:
    with gp.Manager() as manager:
        return manager.call(manager.load(path), "!echo", b"spawned")


class Signals(ManagerCase):
    CODE = """
import faulthandler, sys, goatflow_plugin as gp
if sys.argv[2] == "before":
    faulthandler.enable()
with gp.Manager({"version": 1, "signals": sys.argv[3]}) as manager:
    manager.load(sys.argv[1])
    if sys.argv[2] == "after":
        faulthandler.enable()
    for _ in range(3):
        try:
            manager.call("relay", "!trap")
        except gp.PluginTrap:
            print("trap")
"""

    def run_with(self, faulthandler: str, signals: str) -> "subprocess.CompletedProcess[str]":
        return run_python(self.CODE, str(self.directory / "relay.wasm"), faulthandler, signals)

    def test_faulthandler_enabled_before_the_manager_is_harmless(self) -> None:
        run = self.run_with("before", "on")
        self.assertEqual((run.stdout, run.returncode), ("trap\n" * 3, 0), run.stderr)

    def test_without_signal_handlers_the_order_does_not_matter(self) -> None:
        run = self.run_with("after", "off")
        self.assertEqual((run.stdout, run.returncode), ("trap\n" * 3, 0), run.stderr)

    def test_the_doctor_sees_replaced_handlers(self) -> None:
        code = """
import faulthandler, json, goatflow_plugin as gp
with gp.Manager():
    before = gp.doctor()
    faulthandler.enable()
    print(before != gp.doctor())
"""
        run = run_python(code)
        self.assertEqual(run.stdout, "True\n", run.stderr)


class Exit(ManagerCase):
    def exits_cleanly(self, code: str, expected: str, errors: str = "") -> None:
        run = run_python(code, str(self.directory / "relay.wasm"))
        self.assertEqual((run.stdout, run.returncode), (expected, 0), run.stderr)
        self.assertEqual(run.stderr, errors)

    def test_an_open_manager_with_host_functions_is_closed_at_exit(self) -> None:
        code = """
import atexit, sys
def count():
    print(_callbacks.live_registrations())
atexit.register(count)  # runs after what the package registers, which runs after what is registered later
import goatflow_plugin as gp
from goatflow_plugin import _callbacks
atexit.register(count)
manager = gp.Manager()
manager.load(sys.argv[1])
manager.provide("config", lambda call: None)
manager.subscribe(lambda event: None)
queue = gp.CompletionQueue()
"""
        self.exits_cleanly(code, "2\n0\n")

    def test_exit_while_events_and_calls_are_under_way(self) -> None:
        code = """
import sys, goatflow_plugin as gp
manager = gp.Manager()
manager.load(sys.argv[1])
manager.subscribe(lambda event: None)
for _ in range(200):
    manager.start("relay", "!glog", b"line", completion=lambda result, error: None)
print("leaving")
"""
        self.exits_cleanly(code, "leaving\n")

    def test_exit_just_after_a_callback_closed_the_manager(self) -> None:
        code = """
import sys, threading, time, goatflow_plugin as gp
def close(result, error):
    manager.close()
    closed.set()
    time.sleep(0.2)
manager, closed = gp.Manager(), threading.Event()
manager.load(sys.argv[1])
manager.start("relay", "!echo", b"1", completion=close)
print(closed.wait(10))
"""
        self.exits_cleanly(code, "True\n")

    def test_exit_with_daemon_threads_inside_calls(self) -> None:
        code = """
import sys, threading, time, goatflow_plugin as gp
manager = gp.Manager()
manager.load(sys.argv[1])
def work():
    try:
        while True:
            manager.call("relay", "!echo", b"x")
    except gp.PluginError:
        pass
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
print("leaving")
"""
        self.exits_cleanly(code, "leaving\n")


class ExampleHost(unittest.TestCase):
    HOST = REPOSITORY / "examples-python" / "host.py"

    def run_host(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(self.HOST), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def test_prints_the_scenario(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            database = str(Path(directory, "tickets.db"))
            connection = sqlite3.connect(database)
            connection.executescript(Path(environment("GOATFLOW_TEST_SQL")).read_text())
            connection.close()
            names = ("ticket-stats-go", "ticket-stats-c")
            run = self.run_host(database, *(built_plugin(name) for name in names))
        self.assertEqual(run.returncode, 0, run.stderr)
        labels = [line.split(" ")[0] for line in run.stdout.splitlines()]
        per_plugin = ["registration", "overview", "widget", "ticket", "users", "policy", "users", "policy", "users"]
        per_plugin += ["recall", "unknown"]
        tail = ["error", "handle", "handle", "handle", "async", "shut"]
        self.assertEqual(labels, ["goatflow-plugin", "loaded", "loaded", *per_plugin, *per_plugin, *tail], run.stdout)
        self.assertIn("error lifecycle.plugin_not_found\n", run.stdout)

    def test_without_arguments_it_explains_itself(self) -> None:
        run = self.run_host()
        self.assertEqual(run.returncode, 2)
        self.assertIn("host.py DATABASE PLUGIN", run.stderr)

    def test_a_missing_plugin_is_one_line_of_error(self) -> None:
        run = self.run_host(":memory:", "/nowhere")
        self.assertEqual((run.returncode, run.stderr.count("\n")), (1, 1), run.stderr)
        self.assertIn("package.not_found", run.stderr)


class Package(unittest.TestCase):
    def test_only_the_standard_library_is_imported(self) -> None:
        code = "import sys; before = set(sys.modules); import goatflow_plugin; print(*set(sys.modules) - before)"
        run = run_python(code)
        top = {name.split(".")[0] for name in run.stdout.split()} - {"goatflow_plugin"}
        if hasattr(sys, "stdlib_module_names"):
            self.assertEqual({name for name in top if name not in sys.stdlib_module_names}, set())

    def test_the_type_marker_is_there(self) -> None:
        self.assertTrue((ROOT / "goatflow_plugin" / "py.typed").exists())

    def test_the_database_of_the_harness_loads(self) -> None:
        with gp.Manager({"version": 1, "database": database_config()}) as manager:
            self.assertEqual(manager.list(), [])
