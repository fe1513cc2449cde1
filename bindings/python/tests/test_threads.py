"""Many threads, one manager; the GIL while a plugin runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import List

import goatflow_plugin as gp
from support import ROOT, ManagerCase, eventually, run_python


class Threads(ManagerCase):
    def test_concurrent_calls_keep_their_answers_apart(self) -> None:
        self.load("other")

        def work(number: int) -> bool:
            sent = f'{{"n":{number}}}'.encode() * (number % 5 * 200 + 1)
            plugin = ("relay", "other")[number % 2]
            return all(self.manager.call(plugin, "!echo", sent) == sent for _ in range(50))

        with ThreadPoolExecutor(8) as pool:
            self.assertTrue(all(pool.map(work, range(40))))

    def test_a_function_is_shared_by_threads(self) -> None:
        with self.manager.function("relay", "!echo") as echo, ThreadPoolExecutor(8) as pool:
            sent = [str(n).encode() for n in range(400)]
            self.assertEqual(list(pool.map(echo.call, sent)), sent)

    def test_python_runs_while_a_plugin_loops(self) -> None:
        done: List[float] = []

        def loop() -> None:
            with self.assertRaises(gp.PluginDeadline):
                self.manager.call("relay", "!loop", timeout=0.5)
            done.append(time.monotonic())

        thread = self.in_thread(loop)
        turns = 0
        while thread.is_alive():
            turns += 1
            time.sleep(0.001)
        self.assertGreater(turns, 20)

    def test_cancelling_from_another_thread_ends_the_call(self) -> None:
        with gp.Cancellation() as cancellation:
            timer = threading.Timer(0.1, cancellation.cancel)
            timer.start()
            self.addCleanup(timer.join)
            begin = time.monotonic()
            with self.assertRaises(gp.PluginCancelled):
                self.manager.call("relay", "!loop", timeout=20, cancellation=cancellation)
            self.assertLess(time.monotonic() - begin, 10)

    def test_closing_waits_no_longer_than_told_and_running_calls_end_at_their_deadline(self) -> None:
        failures: List[gp.PluginError] = []

        def loop() -> None:
            try:
                self.manager.call("relay", "!loop", timeout=3)
            except gp.PluginError as error:
                failures.append(error)

        thread = self.in_thread(loop)
        self.assertTrue(eventually(lambda: thread.is_alive()))
        time.sleep(0.1)
        begin = time.monotonic()
        try:
            self.manager.close(timeout=0.2)
        except gp.LifecycleBusy:
            pass
        self.assertLess(time.monotonic() - begin, 2)
        thread.join(20)
        self.assertFalse(thread.is_alive())
        self.assertEqual(len(failures), 1)

    def test_closing_while_threads_call_gives_answers_or_errors(self) -> None:
        outcomes: List[object] = []

        def work() -> None:
            try:
                while True:
                    self.assertEqual(self.manager.call("relay", "!echo", b"x"), b"x")
            except (gp.LifecycleShutDown, gp.ArgumentHandle, gp.LifecyclePluginNotFound) as error:
                outcomes.append(error)

        threads = [self.in_thread(work) for _ in range(4)]
        time.sleep(0.1)
        self.manager.close()
        for thread in threads:
            thread.join(10)
        self.assertEqual(len(outcomes), 4)

    def test_threads_with_small_stacks_can_call(self) -> None:
        answers: List[bytes] = []
        previous = threading.stack_size(128 * 1024)
        try:
            thread = threading.Thread(target=lambda: answers.append(self.manager.call("relay", "!echo", b"1")))
            thread.start()
        finally:
            threading.stack_size(previous)
        thread.join(10)
        self.assertEqual(answers, [b"1"])


class Interrupts(ManagerCase):
    def test_ctrl_c_is_raised_when_the_call_ends(self) -> None:
        code = """
import signal, sys, time, goatflow_plugin as gp
# A shell that runs the suite in the background hands the signal on as ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
manager = gp.Manager()
manager.load(sys.argv[1])
print("ready", flush=True)
try:
    manager.call("relay", "!loop", timeout=1.0)
except KeyboardInterrupt:
    print("interrupted")
except gp.PluginDeadline:
    print("deadline")
manager.close()
"""
        arguments = [sys.executable, "-c", code, str(self.directory / "relay.wasm")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        self.assertEqual(child.stdout.readline(), "ready\n")
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        rest, _ = child.communicate(timeout=30)
        self.assertEqual(rest, "interrupted\n")
        self.assertEqual(child.returncode, 0)

    def test_ctrl_c_in_a_host_function_is_raised_by_the_call(self) -> None:
        code = """
import os, signal, sys, goatflow_plugin as gp
signal.signal(signal.SIGINT, signal.default_int_handler)
manager = gp.Manager()
manager.load(sys.argv[1])
manager.set_policy("relay", {"version": 1, "status": "approved",
                             "permissions": [{"type": "config", "access": "read", "scope": ["*"]}]})
def interrupted(call):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10**9):
        pass
manager.provide("config", interrupted)
for call in (manager.call, lambda plugin, function, arguments:
             manager.call_into(plugin, function, bytearray(1000), arguments)):
    try:
        print(call("relay", "config_get", {"key": "app.name"}))
    except KeyboardInterrupt:
        print("interrupted")
print(manager.call("relay", "!echo", b"usable").decode())
manager.close()
"""
        run = run_python(code, str(self.directory / "relay.wasm"))
        self.assertEqual(run.stdout, "interrupted\ninterrupted\nusable\n", run.stderr)
