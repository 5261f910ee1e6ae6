"""Limits that every network must keep, and numbers known only from one side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossbench.benchmarks.format import magnitude
from lossbench.benchmarks.records.claim import Measure
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS, Verdict


def at_most(name: str, values: Sequence[float], limit: float, seeds: int) -> Measure:
    """Return the measure that the largest of some values is at most `limit`.

    A larger or non-finite value refutes it. Fewer than MINIMUM_SEEDS seeds leave it undecided. A
    largest value has no meaningful interval.
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
    """Return the verdict for a number of which only a bound is known.

    Args:
        verdict: the verdict for the measured number.
        least: the true number may be larger.
        most: the true number may be smaller.
        upward: the verdict that a larger number would confirm.
        downward: the verdict that a smaller number would confirm.
    """
    if (least and verdict != upward) or (most and verdict != downward):
        return "undecided"
    return verdict


def size(value: float | None) -> str:
    """Format the magnitude of a number that may not be finite."""
    return str(value) if value is not None and not math.isfinite(value) else magnitude(value)
