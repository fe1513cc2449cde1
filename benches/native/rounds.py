#!/usr/bin/env python3
"""Runs the programs of this directory in turn, round after round, and prints medians, extremes and ratios of each round: they
hold when the machine's speed drifts.

    rounds.py PROGRAMS GRPC_PLUGIN ROUNDS CALLS
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from typing import Dict, List, Optional

CASES = ["64 B", "64 KiB", "64 B, 16 in flight", "64 B, 64 in flight", "64 B, host's CPU"]
BWRAP = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--bind", "/tmp", "/tmp", "--proc", "/proc", "--dev", "/dev"]

Round = Dict[str, Dict[str, float]]


def measure(command: List[str]) -> Dict[str, float]:
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: Dict[str, float] = json.loads(finished.stdout)
    return figures


def commands(programs: str, plugin: str, calls: str) -> Dict[str, List[str]]:
    program = os.path.join(plugin, "contract-suite")
    peer = os.path.join(programs, "peer")
    go = os.path.join(programs, "goplugin")
    rows = {
        "raw Unix socket": [os.path.join(programs, "raw"), calls],
        "plain tonic": [os.path.join(programs, "tonic"), calls],
        "library, gRPC": [os.path.join(programs, "ours"), plugin, calls],
        "go-plugin, gRPC": [go, "grpc", calls, program],
        "library, net/rpc": [os.path.join(programs, "ours"), peer, calls],
        "go-plugin, net/rpc": [go, "netrpc", calls, os.path.join(peer, "peer")],
    }
    if shutil.which("bwrap"):
        rows["go-plugin in bwrap, gRPC"] = [go, "grpc", "64", *BWRAP, program]
    return rows


def spread(values: List[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def of(rounds: List[Round], row: str, case: str, to: Optional[str] = None) -> str:
    """Median and extremes of a row, or of its ratios to another one."""
    values = []
    for each in rounds:
        value, base = each[row].get(case), each[to].get(case) if to else 1.0
        if value is not None and base is not None:
            values.append(value / base)
    return spread(values) if values else "-"


def table(title: str, rounds: List[Round], rows: List[str], cases: List[str], to: Optional[str] = None) -> None:
    print(f"\n{title}\n\n| | {' | '.join(cases)} |\n{'| --- ' * (len(cases) + 1)}|")
    for row in rows:
        print(f"| {row} | {' | '.join(of(rounds, row, case, to) for case in cases)} |")


def main() -> None:
    programs, plugin, count, calls = sys.argv[1:]
    rows = commands(programs, plugin, calls)
    rounds: List[Round] = [{row: measure(command) for row, command in rows.items()} for _ in range(int(count))]
    called = [row for row in rows if "bwrap" not in row]
    print(f"{count} rounds of {calls} calls; jail level {int(rounds[0]['library, gRPC']['jail_level'])}; load {os.getloadavg()}")
    table("us per call, median (extremes)", rounds, called, CASES)
    table("times the raw socket, per round", rounds, called[1:], CASES[:2], "raw Unix socket")
    table("times go-plugin's gRPC, per round", rounds, called, CASES, "go-plugin, gRPC")
    table("times go-plugin's net/rpc, per round", rounds, called, CASES, "go-plugin, net/rpc")
    table("times plain tonic, per round", rounds, called, CASES, "plain tonic")
    starts = [row for row in rows if row not in ("raw Unix socket", "plain tonic")]
    table("start to first answer, ms", rounds, starts, ["start_ms", "start_cpu_ms"])
    table("start, times go-plugin's gRPC without a jail", rounds, starts, ["start_ms", "start_cpu_ms"], "go-plugin, gRPC")


main()
