#!/usr/bin/env python3
"""Figures about reloading, of both runtimes, with the plugins that build.sh made. PYTHONPATH finds the binding.

    reloads.py PLUGINS save [TIMES]     milliseconds from the moment a file is saved until the new version answers
    reloads.py PLUGINS flat [TIMES]     what the host holds while a plugin is loaded anew so many times; fails when it grows
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple

import goatflow_plugin as gp

POLICY = {"version": 1, "status": "approved", "permissions": [], "max_calls_per_second": 0}


class Kind(NamedTuple):
    """A plugin, its file, and two versions of it."""

    name: str
    runtime: str
    file: str
    versions: List[str]


KINDS = [
    Kind("load-module", "wasm", "plugin.wasm", ["1.1.0", "1.2.0"]),
    Kind("load-program", "grpc", "plugin", ["2.1.0", "2.2.0"]),
]


class Workbench:
    """A directory with a plugin that is worked on, and a host that has it loaded."""

    def __init__(self, kind: Kind, plugins: Path) -> None:
        self.kind = kind
        self.sources = [plugins / kind.name / version / kind.file for version in kind.versions]
        self.directory = tempfile.TemporaryDirectory()
        self.plugin = Path(self.directory.name, "plugin")
        self.sockets = Path(self.directory.name, "s")
        self.plugin.mkdir()
        self.sockets.mkdir()
        entry = "wasm" if kind.runtime == "wasm" else "binary"
        manifest = f"name: {kind.name}\nruntime: {kind.runtime}\n{entry}: {kind.file}\n"
        (self.plugin / "plugin.yaml").write_text(manifest)
        self.save(0)
        policies = {kind.name: POLICY}
        self.manager = gp.Manager({"version": 1, "policies": policies, "native": {"directory": str(self.sockets)}})
        self.manager.load(self.plugin)

    def save(self, which: int) -> None:
        """As editors and linkers do: beside it, then in its place."""
        fresh = self.plugin.parent / "fresh"
        shutil.copy(self.sources[which % 2], fresh)
        os.replace(fresh, self.plugin / self.kind.file)

    def answers(self) -> str:
        return str(self.manager.call_json(self.kind.name, "who")["version"])

    def close(self) -> None:
        self.manager.close(10)
        self.directory.cleanup()


def save(kind: Kind, plugins: Path, times: int) -> None:
    bench = Workbench(kind, plugins)
    bench.manager.watch(kind.name)
    took = []
    for turn in range(1, times + 1):
        begin = time.perf_counter()
        bench.save(turn)
        while bench.answers() != kind.versions[turn % 2]:
            time.sleep(0.0005)
            if time.perf_counter() - begin > 60:
                sys.exit(f"{kind.name}: {json.dumps(bench.manager.watches())}")
        took.append((time.perf_counter() - begin) * 1000)
    bench.close()
    print(f"| {kind.runtime} | {times} | {statistics.median(took):.0f} | {min(took):.0f} | {max(took):.0f} |", flush=True)


def holds(bench: Workbench) -> Dict[str, int]:
    """What this process and its directory have at the moment."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "RSS KiB": int(status["VmRSS"].split()[0]),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "maps": len(Path("/proc/self/maps").read_text().splitlines()),
        "threads": int(status["Threads"]),
        "processes": sum(
            len(task.read_text().split()) for task in Path("/proc/self/task").glob("*/children")
        ),
        "files": sum(len(files) + len(directories) for _, directories, files in os.walk(bench.sockets)),
    }


# Growth that means nothing: allocators keep some, and the previous version ends in its own time.
SLACK = {"RSS KiB": 8192, "descriptors": 12, "maps": 60, "threads": 6, "processes": 3, "files": 12}


def flat(kind: Kind, plugins: Path, times: int) -> bool:
    bench = Workbench(kind, plugins)
    samples = []
    for turn in range(times + 1):
        if turn % (times // 5) == 0:
            bench.manager.reload(kind.name, probation=0.0)
            time.sleep(0.5)
            samples.append(holds(bench))
        else:
            bench.manager.reload(kind.name, drain=0.0, probation=0.0)
        bench.answers()
    bench.close()
    for name in SLACK:
        row = " | ".join(str(sample[name]) for sample in samples)
        print(f"| {kind.runtime} | {name} | {row} |", flush=True)
    # The first sample is from before anything was warm.
    return all(samples[-1][name] - samples[1][name] <= slack for name, slack in SLACK.items())


def main() -> int:
    plugins, what = Path(sys.argv[1]), sys.argv[2]
    if what == "save":
        times = int(sys.argv[3]) if len(sys.argv) > 3 else 50
        print("| runtime | times | median ms | min | max |\n| --- | --- | --- | --- | --- |")
        for kind in KINDS:
            save(kind, plugins, times)
        return 0
    times = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    marks = [times * part // 5 for part in range(6)]
    print(f"| runtime | | {' | '.join(map(str, marks))} |\n{'| --- ' * (len(marks) + 2)}|")
    return 0 if all([flat(kind, plugins, times) for kind in KINDS]) else 1


sys.exit(main())
