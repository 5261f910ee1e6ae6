"""What must hold for every network and not on average, and figures known only from one side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossbench.benchmarks.format import magnitude
from lossbench.benchmarks.records.claim import Measure
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS, Verdict


def at_most(name: str, values: Sequence[float], limit: float, seeds: int) -> Measure:
    """The largest of some networks' values, which no one of them may have above `limit`.

    One that is above, or no number, refutes; with fewer than MINIMUM_SEEDS seeds it is undecided.
    There is no interval: that of a largest value would say nothing.
    """
    wanted = "0, exactly" if limit == 0 else f"at most {limit:g}"
    worst = next((value for value in values if math.isnan(value)), max(values, default=None))
    verdict: Verdict = "holds" if all(value <= limit for value in values) else "does not hold"
    if seeds < MINIMUM_SEEDS:
        verdict = "undecided"
    return Measure(name, worst, None, None, wanted, verdict)


def bounded(
    verdict: Verdict, *, least: bool, most: bool, upward: Verdict, downward: Verdict
) -> Verdict:
    """The verdict of a figure that is only known to be at `least`, or at `most`, what was seen:
    `upward` is the one that a larger figure would confirm, `downward` a smaller one."""
    if (least and verdict != upward) or (most and verdict != downward):
        return "undecided"
    return verdict


def size(value: float | None) -> str:
    """`magnitude`, of what may be no finite number as well."""
    return str(value) if value is not None and not math.isfinite(value) else magnitude(value)
