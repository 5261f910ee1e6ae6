"""Calibration of `lossbench speed --against`: how often it is wrong, on this machine as it is.

    uv run python -m lossbench.benchmarks.speed.against_calibration --processes 10 --runs 20

Each run times one row of this revision beside itself: first without a difference (A/A), then with
time wasted on one side. Every process lies elsewhere in memory, so take several.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from . import against


def main() -> int:
    """Print how many runs of each kind were called slower or faster."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--runs", type=int, default=20, help="A/A runs of a process")
    parser.add_argument("--planted", type=int, default=5, help="runs of a process with a slowdown")
    parser.add_argument("--slowdown", type=float, default=0.05)
    parser.add_argument("--seconds", type=float, default=against.SECONDS, help="of a run")
    parser.add_argument("--only", default="float32 bce-with-logits (64)", help="rows, in turns")
    given = parser.parse_args()
    rows = against.select(given.only)
    found: dict[float, Counter[str]] = {0.0: Counter(), given.slowdown: Counter()}
    for number in range(given.processes):
        for slowdown, runs in ((0.0, given.runs), (given.slowdown, given.planted)):
            cases = [rows[index % len(rows)] for index in range(runs)]
            measured = against.compare_rows(
                cases, against.ROOT, given.seconds, lambda _: None, slowdown=slowdown
            )
            for each in measured:
                ((verdict, _),) = against.verdicts([each])  # a row by itself
                found[slowdown][verdict] += 1
                print(f"{slowdown:g} {each.row} {each.ratio:.4f} {verdict}", flush=True)
        print(f"after process {number + 1}: {counts(found)}", flush=True)
    return 0


def counts(found: dict[float, Counter[str]]) -> str:
    """Return how many runs had each verdict, by slowdown."""
    return "; ".join(
        f"slowdown {slowdown:g}: {dict(verdicts)} of {verdicts.total()}"
        for slowdown, verdicts in found.items()
    )


if __name__ == "__main__":
    sys.exit(main())
