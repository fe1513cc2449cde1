#!/usr/bin/env python3
"""The load test through the Python binding. See ../run.sh; host-c and host-go do the same.

    main.py CONFIG SCENARIO STEADY_SECONDS SWAPPING_SECONDS CALLS SWAPS [SEED]

Threads call three plugins for the steady time without exchanges, then with, until the time is up and there were so many
calls and exchanges. Prints one line of JSON; the exit code is 0 when every call was answered as it had to be.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, NoReturn, Optional

import goatflow_plugin as gp
from history import History, Window

CALLERS = 16
PROTESTS = 20


class Version(NamedTuple):
    """One that build.sh made."""

    plugin: str
    name: str
    fate: str
    path: str


@dataclass
class Loaded:
    """A plugin, whatever its version."""

    name: str
    history: History
    who: gp.Function
    rolled_back: int = 0  # events of that kind
    answered: int = 0  # calls, those of other plugins included
    failed: int = 0


@dataclass
class Made:
    """What one call was: the plugin called, and the one that it asked, if any."""

    called: Loaded
    asked: Optional[Loaded] = None
    window: Window = field(default_factory=Window)
    asked_window: Window = field(default_factory=Window)


class Run:
    """One run of the test."""

    def __init__(self, config: str, scenario: str) -> None:
        self.lock = threading.Lock()
        self.counts = dict.fromkeys(
            ["calls", "swaps", "overlapped", "reloaded", "rolled_back", "refused", "crashed_calls", "wrong"], 0
        )
        self.latencies: Dict[str, Dict[str, List[float]]] = {
            runtime: {"steady": [], "swapping": []} for runtime in ("module", "program")
        }
        self.swapping, self.stop, self.stop_swapping = (threading.Event() for _ in range(3))
        self.broken: Optional[BaseException] = None
        self.versions = [Version(*line.split()) for line in Path(scenario).read_text().splitlines()]
        self.manager = gp.Manager(json.loads(Path(config).read_text()))
        self.manager.declare("load_pause", pause, permission="org", access="read")
        self.plugins: Dict[str, Loaded] = {}
        for version in self.versions:
            if version.plugin not in self.plugins:
                self.manager.load(version.path)
                who = self.manager.function(version.plugin, "who")
                self.plugins[version.plugin] = Loaded(version.plugin, History(version.name), who)
        self.ring = list(self.plugins.values())
        self.manager.subscribe(self.on_rolled_back, kinds=["plugin.rolled_back"])

    def on_rolled_back(self, event: Any) -> None:
        self.plugins[event["plugin"]].rolled_back += 1

    def count(self, name: str) -> int:
        with self.lock:
            self.counts[name] += 1
            return self.counts[name]

    def protest(self, plugin: str, text: str) -> None:
        """Says what went wrong, the first times."""
        if self.count("wrong") <= PROTESTS:
            print(f"WRONG: {plugin}: {text}", file=sys.stderr)

    # --- calls ------------------------------------------------------------------------------------------------------

    def call_until_stopped(self, seed: int) -> None:
        dice = random.Random(seed)
        try:
            while not self.stop.is_set():
                self.call_once(dice, uses_functions=seed % 2 == 1)
        except BaseException as error:
            self.broken = error
            raise

    def call_once(self, dice: random.Random, uses_functions: bool) -> None:
        """One call of a random kind. Of a thousand: 700 `who`, 150 host calls that take no time, 100 calls of another
        plugin, 40 that take up to 10 ms, 10 that take up to 200."""
        kind, which = dice.randrange(1000), dice.randrange(len(self.ring))
        call = Made(self.ring[which])
        function, arguments = "who", b"{}"
        if 700 <= kind < 800:
            call.asked = self.ring[(which + 1) % len(self.ring)]
            function, arguments = "ask", json.dumps({"plugin": call.asked.name}).encode()
            call.asked_window = call.asked.history.open()
        elif kind >= 800:
            most = 1 if kind < 950 else 11 if kind < 990 else 201
            function, arguments = "pause", b'{"ms":%d}' % dice.randrange(most)
        steady = not self.swapping.is_set()
        call.window = call.called.history.open()
        begin = time.perf_counter()
        failure, document = None, b""
        try:
            if function == "who" and uses_functions:
                document = call.called.who.call(arguments)
            else:
                document = self.manager.call(call.called.name, function, arguments)
        except gp.PluginError as error:
            failure = error
        took = time.perf_counter() - begin
        call.called.history.close(call.window)
        if call.asked is not None:
            call.asked.history.close(call.asked_window)
        self.count("calls")
        if failure is not None:
            self.judge_failure(call, failure)
            return
        version = self.judge_answer(call, document)
        if kind < 700 and (steady or call.window.changing):
            runtime = "program" if version.startswith("2") else "module"
            self.latencies[runtime]["steady" if steady else "swapping"].append(took)

    def judge_failure(self, call: Made, error: gp.PluginError) -> None:
        with self.lock:
            call.called.failed += 1
            if call.asked is not None:
                call.asked.failed += 1  # or it answered, which nobody will ever know
        if call.called.history.has_crashing(call.window):
            self.count("crashed_calls")
        else:
            self.protest(call.called.name, f"a call failed: {error}")

    def judge_answer(self, call: Made, document: bytes) -> str:
        answer = json.loads(document)
        with self.lock:
            call.called.answered += 1
        if not call.called.history.admits(call.window, answer["version"]):
            self.protest(call.called.name, f"answered, but did not serve: {document!r}")
        error = answer.get("error")
        if call.asked is None:
            if error:
                self.protest(call.called.name, f"a host call failed: {error}")
        elif error:
            with self.lock:
                call.asked.failed += 1
            if call.asked.history.has_crashing(call.asked_window):
                self.count("crashed_calls")
            else:
                self.protest(call.asked.name, f"another plugin's call failed: {error}")
        else:
            with self.lock:
                call.asked.answered += 1
            if not call.asked.history.admits(call.asked_window, answer["other"]):
                self.protest(call.asked.name, f"answered another plugin, but did not serve: {document!r}")
        return str(answer["version"])

    # --- exchanges --------------------------------------------------------------------------------------------------

    def exchange_until_stopped(self, plugin: Loaded, seed: int) -> None:
        dice = random.Random(seed)
        try:
            while not self.stop_swapping.is_set():
                plugin.history.changing = True
                self.exchange(plugin, dice)
                plugin.history.changing = False
                time.sleep(dice.random() / 10)
        except BaseException as error:
            self.broken = error
            raise

    def random_version(self, plugin: Loaded, dice: random.Random) -> Version:
        while True:
            found = dice.choice(self.versions)
            if found.plugin == plugin.name and (found.fate == "good" or dice.randrange(4) == 0):
                return found

    def exchange(self, plugin: Loaded, dice: random.Random) -> None:
        found, before = self.random_version(plugin, dice), plugin.history.serving()
        options = {"drain": 0.0, "probation": 0.0} if dice.randrange(5) else {"probation": 2.0}
        if found.fate == "crashes":
            self.meet_crashing(plugin, found, before, dice)
            return
        if found.fate != "good":
            try:
                self.manager.replace(found.path, **options)
                self.protest(plugin.name, f"a version was not refused: {found.path}")
            except gp.PluginError:
                self.count("refused")
            return
        plugin.history.start(found.name)
        if found.name == before:
            self.manager.reload(plugin.name, **options)
            self.count("reloaded")
        else:
            self.manager.replace(found.path, **options)
        plugin.history.settle()
        self.count("swaps")

    def meet_crashing(self, plugin: Loaded, version: Version, before: str, dice: random.Random) -> None:
        """Puts a version that crashes into service: half of them go by themselves, half are taken back."""
        events, by_itself = plugin.rolled_back, dice.randrange(2) == 0
        plugin.history.start(version.name, crashes=True)
        self.manager.replace(version.path, drain=0.0, probation=3600.0 if by_itself else 0.0)
        self.count("swaps")
        if by_itself:
            deadline = time.monotonic() + 60
            while plugin.rolled_back == events:
                if time.monotonic() > deadline:
                    self.protest(plugin.name, "a version that crashes was not taken back")
                    break
                time.sleep(0.001)
        else:
            time.sleep(dice.random() / 100)
            self.manager.rollback(plugin.name, drain=0.0, probation=0.0)
        self.count("rolled_back")
        plugin.history.start(before)
        plugin.history.settle()

    # --- the run ----------------------------------------------------------------------------------------------------

    def drive(self, seed: int, steady: float, swapping: float, calls: int, swaps: int) -> None:
        callers = [threading.Thread(target=self.call_until_stopped, args=(seed + i,)) for i in range(CALLERS)]
        swappers = [
            threading.Thread(target=self.exchange_until_stopped, args=(plugin, seed + 1000 + i))
            for i, plugin in enumerate(self.ring)
        ]
        for thread in callers:
            thread.start()
        time.sleep(steady)
        self.swapping.set()
        since = time.monotonic()
        for thread in swappers:
            thread.start()
        while self.broken is None and (
            time.monotonic() - since < swapping or self.counts["calls"] < calls or self.counts["swaps"] < swaps
        ):
            time.sleep(0.01)
        self.stop_swapping.set()
        for thread in swappers:
            thread.join()
        self.stop.set()
        for thread in callers:
            thread.join()
        if self.broken is not None:
            raise self.broken

    def audit(self) -> None:
        """The library's own books: every call it served is one that was answered here, and none is under way."""
        for plugin in self.ring:
            stats = self.manager.stats(plugin.name)
            within = plugin.answered <= stats["served"] <= plugin.answered + plugin.failed
            if stats["in_flight"] != 0 or not within:
                books = f"{stats['served']} served, {stats['in_flight']} under way"
                self.protest(
                    plugin.name,
                    f"the library counted otherwise: {books}; {plugin.answered} answered, {plugin.failed} failed",
                )

    def report(self, seconds: float) -> None:
        self.counts["overlapped"] = sum(plugin.history.overlaps() for plugin in self.ring)
        latency = {
            runtime: {when: percentiles(found) for when, found in phases.items()}
            for runtime, phases in self.latencies.items()
        }
        print(json.dumps({"host": "python", "callers": CALLERS, "seconds": seconds, **self.counts, "latency": latency}))


def percentiles(latencies: List[float]) -> Dict[str, float]:
    latencies.sort()

    def us(share: float) -> float:
        return round(latencies[int(len(latencies) * share)] * 1e6, 1) if latencies else 0.0

    return {"calls": len(latencies), "p50_us": us(0.5), "p99_us": us(0.99), "p999_us": us(0.999)}


def pause(call: gp.HostCall) -> Any:
    time.sleep(call.json()["ms"] / 1000)
    return True


def main() -> NoReturn:
    if len(sys.argv) < 7:
        sys.exit("usage: main.py CONFIG SCENARIO STEADY_SECONDS SWAPPING_SECONDS CALLS SWAPS [SEED]")
    seed = int(sys.argv[7]) if len(sys.argv) > 7 else time.time_ns() % 1_000_000
    print(f"seed {seed}", file=sys.stderr)
    run = Run(sys.argv[1], sys.argv[2])
    begin = time.monotonic()
    run.drive(seed, float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
    run.audit()
    run.report(time.monotonic() - begin)
    run.manager.close(10)
    sys.exit(1 if run.counts["wrong"] else 0)


main()
