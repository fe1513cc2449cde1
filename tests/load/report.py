#!/usr/bin/env python3
"""A table of what the hosts reported, and the verdict: 1 when anything was wrong or nothing was shown."""

import json
import sys

COUNTS = ["calls", "swaps", "overlapped", "reloaded", "rolled_back", "refused", "crashed_calls", "wrong"]


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        reports = [json.loads(line) for line in file]
    print("\n| host | callers | s | " + " | ".join(COUNTS).replace("_", " ") + " |")
    print("| --- " * (len(COUNTS) + 3) + "|")
    for report in reports:
        cells = [report["host"], report["callers"], round(report["seconds"]), *(report[name] for name in COUNTS)]
        print("| " + " | ".join(map(str, cells)) + " |")
    total = {name: sum(report[name] for report in reports) for name in COUNTS}
    print("| all | | | " + " | ".join(str(total[name]) for name in COUNTS) + " |")
    print("\n| host | runtime | calls, steady | p50 us | p99 | p99.9 | calls, swapping | p50 us | p99 | p99.9 | ratios |")
    print("| --- " * 11 + "|")
    for report in reports:
        for runtime, phases in report["latency"].items():
            print("| " + " | ".join(map(str, [report["host"], runtime, *latencies(phases)])) + " |")
    shown = all(total[name] for name in ("overlapped", "rolled_back", "refused", "crashed_calls"))
    if not shown:
        print("something of the scenario never happened", file=sys.stderr)
    return 0 if shown and total["wrong"] == 0 else 1


def latencies(phases: dict) -> list:
    names = ["p50_us", "p99_us", "p999_us"]
    steady, swapping = phases["steady"], phases["swapping"]
    ratios = [f"{swapping[name] / steady[name]:.1f}" if steady[name] else "-" for name in names]
    cells = []
    for phase in (steady, swapping):
        cells += [phase["calls"], *(f"{phase[name]:.0f}" for name in names)]
    return [*cells, " / ".join(ratios)]


sys.exit(main())
