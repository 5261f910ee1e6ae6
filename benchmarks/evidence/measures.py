"""Measures with their verdicts, hypotheses about contrasts, and their tables and figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeVar

from lossbench.benchmarks.format import pvalue
from lossbench.benchmarks.records.claim import ClaimTable, Measure
from lossbench.benchmarks.stats.contrasts import Contrast
from lossbench.benchmarks.stats.intervals import Interval
from lossbench.benchmarks.stats.significance import holm
from lossbench.benchmarks.stats.verdict import (
    MINIMUM_SEEDS,
    Verdict,
    verdict_above,
    verdict_below,
    verdict_within,
)

from .text import optional, signed, span

SIGNIFICANCE = 0.05
Side = Literal["above", "below"]
Item = TypeVar("Item")


def one_sided(
    side: Side,
    name: str,
    interval: Interval,
    limit: float,
    text: str = "",
    *,
    least: bool = False,
    most: bool = False,
) -> Measure:
    """Test whether a mean is above or below a limit, and return the measure.

    Args:
        side: 'above' or 'below', where the claim expects the mean.
        name: what was measured, with its unit.
        interval: the mean with its interval.
        limit: the limit.
        text: the limit with its unit; by default the number.
        least: the true mean may be larger, so that only a verdict for 'above' is certain.
        most: the true mean may be smaller, so that only a verdict for 'below' is certain.
    """
    verdict = (verdict_above if side == "above" else verdict_below)(interval, limit)
    is_above = verdict == ("holds" if side == "above" else "does not hold")
    is_below = verdict == ("holds" if side == "below" else "does not hold")
    if (least and not is_above) or (most and not is_below):
        verdict = "undecided"
    return _measure(name, interval, f"{side} {text or format(limit, 'g')}", verdict)


def above(name: str, interval: Interval, limit: float, text: str = "") -> Measure:
    """Test whether a mean is above a limit; `text` is the limit with its unit."""
    return one_sided("above", name, interval, limit, text)


def below(name: str, interval: Interval, limit: float, text: str = "") -> Measure:
    """Test whether a mean is below a limit; `text` is the limit with its unit."""
    return one_sided("below", name, interval, limit, text)


def within(name: str, interval: Interval, low: float, high: float, text: str) -> Measure:
    """Return the measure of a mean that is expected from `low` to `high`; `text` is that range."""
    return _measure(name, interval, f"within {text}", verdict_within(interval, low, high))


def _measure(name: str, interval: Interval, wanted: str, verdict: Verdict) -> Measure:
    return Measure(name, interval.mean, interval.low, interval.high, wanted, verdict)


def at_most(name: str, values: Sequence[float], limit: float, seeds: int) -> Measure:
    """Test whether the largest of some values is at most `limit`.

    A larger or non-finite value refutes it. Fewer than MINIMUM_SEEDS seeds leave it undecided. A
    largest value has no meaningful interval.
    """
    wanted = "0, exactly" if limit == 0 else f"at most {limit:g}"
    worst = next((value for value in values if math.isnan(value)), max(values, default=None))
    verdict: Verdict = "holds" if all(value <= limit for value in values) else "does not hold"
    if seeds < MINIMUM_SEEDS:
        verdict = "undecided"
    return Measure(name, worst, None, None, wanted, verdict)


class Hypothesis(NamedTuple):
    """A contrast, and the side of a threshold where the claim expects it.

    Attributes:
        name: name of the contrast.
        loss: loss whose style it is drawn in.
        contrast: the contrast.
        side: 'above' or 'below', where the claim expects the contrast.
        threshold: the threshold.
        hollow: draw it as a variant of the loss.
    """

    name: str
    loss: str
    contrast: Contrast
    side: Side
    threshold: float
    hollow: bool = False


class HypothesisTest(NamedTuple):
    """A hypothesis, its p-value after Holm's correction over all tests, and its measure."""

    hypothesis: Hypothesis
    p: float
    measure: Measure


def evaluate_hypotheses(hypotheses: Sequence[Hypothesis]) -> list[HypothesisTest]:
    """Test hypotheses about points together.

    The interval decides. The verdict is 'undecided' if the p-value that the true difference is the
    threshold, corrected for all hypotheses, is not below 0.05.
    """
    ps = holm([each.contrast.pvalue(each.threshold) for each in hypotheses])
    tests = []
    for each, p in zip(hypotheses, ps, strict=True):
        measured = one_sided(
            each.side,
            f"{each.name}, points",
            each.contrast.interval,
            each.threshold,
            f"{signed(each.threshold, None)} points",
        )
        if p >= SIGNIFICANCE:
            measured = replace(measured, verdict="undecided")
        tests.append(HypothesisTest(each, p, measured))
    return tests


def holm_pvalues(contrasts: Mapping[str, Contrast]) -> dict[str, float]:
    """Return p of no difference for each contrast, corrected by Holm for all of them."""
    return dict(zip(contrasts, holm([c.pvalue() for c in contrasts.values()]), strict=True))


def table(
    title: str,
    items: Iterable[Item],
    columns: Mapping[str, Callable[[Item], str]],
    *notes: str,
) -> ClaimTable:
    """Return a table of one row per item.

    Args:
        title: title of the table.
        items: the items.
        columns: heading of each column, and the function that gives the cell of an item.
        notes: how to read the table.
    """
    rows = tuple(tuple(cell(item) for cell in columns.values()) for item in items)
    return ClaimTable(title, tuple(columns), rows, notes)


def hypothesis_table(title: str, tests: Sequence[HypothesisTest], *notes: str) -> ClaimTable:
    """Return the table of intervals, p-values and smallest detectable differences."""
    by_images = (
        "; over test images: paired bootstrap. The verdict uses both together (the root of the sum "
        "of their squares), and"
        if any(test.hypothesis.contrast.examples for test in tests)
        else ". The verdict uses that, and"
    )
    reading = (
        f"Paired by seed: t interval{by_images} a paired t test over seeds against the threshold, "
        "corrected by Holm for all rows of this table. Smallest detectable: the true distance from "
        "the threshold that this many seeds alone find with a power of 80 %, before the correction."
    )
    columns: dict[str, Callable[[HypothesisTest], str]] = {
        "difference": lambda test: test.measure.name,
        "mean": lambda test: signed(test.hypothesis.contrast.seeds.mean),
        "95 % over seeds": lambda test: span(test.hypothesis.contrast.seeds),
        "95 % over test images": lambda test: span(test.hypothesis.contrast.examples),
        "wanted": lambda test: test.measure.wanted,
        "p (Holm)": lambda test: pvalue(test.p),
        "smallest detectable": lambda test: optional(test.hypothesis.contrast.detectable, ".1f"),
        "seeds": lambda test: str(test.hypothesis.contrast.seeds.n),
        "verdict": lambda test: test.measure.verdict,
    }
    return table(title, tests, columns, reading, *notes)
