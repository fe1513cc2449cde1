"""Load, call, unload, over and over: memory, descriptors, threads and maps stay."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import Any, Callable, Dict, Optional

import goatflow_plugin as gp
from goatflow_plugin._arguments import contexts
from goatflow_plugin._callbacks import live_registrations
from support import EVERYTHING, ManagerCase, eventually

WARM_UP, CYCLES = 200, 1000
MAX_GROWTH_KIB = 2048
# Worker threads are kept; a busy machine may bring some more. A leak would bring one a cycle.
GROWTH = {"descriptors": 0, "threads": 8}


def resident_kib() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def process() -> Dict[str, int]:
    """Descriptors and threads of this process."""
    return {"descriptors": len(os.listdir("/proc/self/fd")), "threads": len(os.listdir("/proc/self/task"))}


class Leaks(ManagerCase):
    def stays(self, cycle: Callable[[], Any], warm_up: int = WARM_UP, cycles: int = CYCLES) -> None:
        for _ in range(warm_up):
            cycle()
        gc.collect()
        registrations = live_registrations()
        before, memory = process(), resident_kib()
        for _ in range(cycles):
            cycle()
        gc.collect()
        self.assertTrue(eventually(lambda: live_registrations() <= registrations))

        def grown() -> bool:
            return any(now > before[key] + GROWTH[key] for key, now in process().items())

        self.assertTrue(eventually(lambda: not grown()), (before, process()))
        self.assertLessEqual(resident_kib() - memory, MAX_GROWTH_KIB)
        self.assertEqual(contexts._objects, {})

    def test_load_call_unload(self) -> None:
        path = self.directory / "relay.wasm"

        def cycle() -> None:
            self.manager.unload("relay")
            self.manager.load(path)
            self.manager.call("relay", "!echo", b"x" * 100)

        self.stays(cycle)

    def test_calls_of_every_kind(self) -> None:
        large = b"x" * 20000
        cancellation = gp.Cancellation()
        self.addCleanup(cancellation.close)

        def cycle() -> None:
            self.manager.call("relay", "!echo", large, context=self, request_id="r", cancellation=cancellation)
            self.manager.call_into("relay", "!echo", bytearray(64), b"x")
            with self.manager.function("relay", "!echo") as echo:
                echo(b"x")
            with self.manager.start("relay", "!echo", b"x", context=self) as operation:
                operation.wait(10)
            try:
                self.manager.call("absent", "x")
            except gp.PluginError:
                pass
            try:
                self.manager.call_into("relay", "!echo", bytearray(4), large)
            except gp.PluginError:
                pass

        self.stays(cycle)

    def test_host_functions_and_subscriptions(self) -> None:
        def cycle() -> None:
            self.manager.provide("config", lambda call: {"value": call.plugin})
            self.manager.call("relay", "config_get", {"key": "app.name"}, context=self)
            self.manager.provide("config", lambda call: call.defer().complete({"value": "x"}))
            self.manager.call("relay", "config_get", {"key": "app.name"})
            with self.manager.subscribe(lambda event: None):
                pass
            done = threading.Event()
            completion = self.completion(done)
            with self.manager.start("relay", "!echo", b"x", completion=completion, context=self) as operation:
                self.assertTrue(done.wait(10))
                operation.wait(10)

        self.stays(cycle)

    @staticmethod
    def completion(done: threading.Event) -> Callable[[Optional[bytes], Optional[gp.PluginError]], None]:
        return lambda result, error: done.set()

    def test_managers(self) -> None:
        path = self.directory / "relay.wasm"

        def cycle() -> None:
            with gp.Manager() as manager:
                manager.provide("config", lambda call: None)
                manager.load(path)
                manager.set_policy("relay", EVERYTHING)
                manager.call("relay", "config_get", {"key": "app.name"})

        self.stays(cycle, warm_up=60, cycles=200)

    def test_asynchronous_calls(self) -> None:
        async def some() -> None:
            calls = [self.manager.call_async("relay", "!echo", b"x" * 5000, context=self) for _ in range(20)]
            await asyncio.gather(*calls)
            task = asyncio.ensure_future(self.manager.call_async("relay", "!echo", b"x"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.stays(lambda: asyncio.run(some()), warm_up=30, cycles=100)
