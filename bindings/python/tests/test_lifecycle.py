"""Versions exchanged while they serve; native plugins; health; development."""

from __future__ import annotations

import asyncio
import threading
import unittest
from typing import Any, List

import goatflow_plugin as gp
import guest
from support import EVERYTHING, ManagerCase, built_plugin, eventually

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Exchanges(ManagerCase):
    def version(self, version: str) -> str:
        """Writes `relay` in another version; returns the path."""
        path = self.directory / f"relay-{version}.wasm"
        path.write_bytes(guest.module("relay", version=version))
        return str(path)

    def test_no_call_is_lost_while_versions_change(self) -> None:
        failures: List[Any] = []
        calls = 0
        stop = threading.Event()

        def work() -> None:
            nonlocal calls
            while not stop.is_set():
                try:
                    if self.manager.call_json("relay", "config_get", {"key": "app.name"}) != {"value": "GoatFlow"}:
                        failures.append("a wrong answer")
                except gp.PluginError as error:
                    failures.append(error)
                calls += 1

        threads = [self.in_thread(work) for _ in range(4)]
        for number in range(1, 4):
            before = calls
            self.assertTrue(eventually(lambda: calls > before))
            report = self.manager.replace(self.version(f"2.0.{number}"), probation=0)
            self.assertEqual((report["kind"], report["new_version"]), ("replaced", f"2.0.{number}"))
            self.assertTrue(report["drained"])
        report = self.manager.rollback("relay")
        self.assertEqual((report["kind"], report["new_version"]), ("rolled_back", "2.0.2"))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_what_fails_leaves_the_old_version(self) -> None:
        broken = self.directory / "broken.wasm"
        broken.write_bytes(b"\0asm\1\0\0\0")
        with self.assertRaises(gp.PluginError) as caught:
            self.manager.replace(broken)
        self.assertIn("step", caught.exception.detail)
        self.assertEqual(self.manager.call_json("relay", "config_get", {"key": "app.name"}), {"value": "GoatFlow"})
        with self.assertRaises(gp.LifecycleNoPrevious):
            self.manager.rollback("relay")
        with self.assertRaises(gp.LifecyclePluginNotFound):
            self.manager.reload("absent")

    def test_the_event_tells_what_changed(self) -> None:
        events: List[Any] = []
        self.manager.subscribe(events.append, kinds=["plugin.swapped"])
        self.manager.replace(self.version("3.0.0"), drain=1.5, probe=False)
        self.assertTrue(eventually(lambda: len(events) == 1))
        self.assertEqual((events[0]["old_version"], events[0]["new_version"]), ("1.0.0", "3.0.0"))
        self.assertEqual(events[0]["registration"]["version"], "3.0.0")

    def test_event_loops_go_on_meanwhile(self) -> None:
        async def exchange() -> List[str]:
            replaced = await self.manager.replace_async(self.version("2.0.0"), probation=0)
            back = await self.manager.rollback_async("relay", probation=0)
            again = await self.manager.reload_async("relay", probation=0)
            return [replaced["new_version"], back["new_version"], again["kind"]]

        self.assertEqual(asyncio.run(exchange()), ["2.0.0", "1.0.0", "reloaded"])

    def test_health_is_told(self) -> None:
        self.assertEqual(self.manager.health("relay")["state"], "unknown")
        health = self.manager.probe("relay")
        self.assertEqual(health["state"], "healthy")
        assert health["last_probe"] is not None
        self.assertTrue(health["last_probe"]["healthy"])
        self.assertFalse(self.manager.reset_crash_loop("relay")["recovery"]["crash_loop"])
        with self.assertRaises(gp.LifecyclePluginNotFound):
            self.manager.health("absent")

    def test_a_watched_plugin_is_exchanged_by_itself(self) -> None:
        self.manager.watch("relay", quiet=0.02)
        self.assertEqual([watched["plugin"] for watched in self.manager.watches()], ["relay"])
        (self.directory / "relay.wasm").write_bytes(guest.module("relay", version="9.0.0"))
        self.assertTrue(eventually(lambda: self.manager.registration("relay")["version"] == "9.0.0"))
        self.manager.unwatch("relay")
        with self.assertRaises(gp.LifecycleWatchConflict):
            self.manager.unwatch("relay")


class Native(ManagerCase):
    def setUp(self) -> None:
        super().setUp()
        policy = {**EVERYTHING, "call_timeout": "30s"}
        self.native = gp.Manager({"version": 1, "policies": {"contract-suite": policy}})
        self.addCleanup(self.native.close)
        self.assertEqual(self.native.load(built_plugin("contract-go")), "contract-suite")

    def test_every_way_of_calling(self) -> None:
        self.assertEqual(self.native.call("contract-suite", "echo", {"a": 1}), b'{"a":1}')
        self.assertEqual(self.native.call("contract-suite", "nothing"), b"")
        with self.native.function("contract-suite", "echo") as echo:
            self.assertEqual(echo([1]), b"[1]")
        answer = asyncio.run(self.native.call_async("contract-suite", "echo", {"a": 1}))
        self.assertEqual(answer, b'{"a":1}')
        with self.assertRaises(gp.PluginDeadline):
            self.native.call("contract-suite", "sleep", {"ms": 50_000}, timeout=0.05)

    def test_a_crash_is_an_error_and_a_new_process_serves(self) -> None:
        events: List[Any] = []
        self.native.subscribe(events.append, kinds=["plugin.crashed", "plugin.restarted"])
        with self.assertRaises(gp.PluginError):
            self.native.call("contract-suite", "crash")
        self.assertTrue(eventually(lambda: len(events) == 2))
        self.assertEqual([event["kind"] for event in events], ["plugin.crashed", "plugin.restarted"])
        self.assertEqual(self.native.call("contract-suite", "echo", 1), b"1")
        self.assertEqual(self.native.health("contract-suite")["recovery"]["restarts"], 1)

    def test_traces_are_checked(self) -> None:
        self.native.call("contract-suite", "echo", trace=TRACE)
        self.native.call("contract-suite", "echo", trace=(TRACE, "a=b"))
        for wrong in ("x", ("", "a=b"), (TRACE, "=")):
            with self.assertRaises(gp.ArgumentInvalid):
                self.native.call("contract-suite", "echo", trace=wrong)

    def test_isolation_is_reported(self) -> None:
        report = gp.isolation_report()
        self.assertIn(report["level"], range(5))
        self.assertTrue(all(layer["state"] in ("ok", "reduced", "missing") for layer in report["layers"]))


if __name__ == "__main__":
    unittest.main()
