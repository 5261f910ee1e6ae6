"""Paired contrasts, and hypotheses about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from lossbench.benchmarks.format import MINUS, MISSING
from lossbench.benchmarks.records.claim import ClaimTable, Measure
from lossbench.benchmarks.stats.intervals import (
    Interval,
    bootstrap_difference,
    combine_intervals,
    paired_difference,
)
from lossbench.benchmarks.stats.significance import (
    holm,
    minimum_detectable_difference,
    paired_t_pvalue,
)
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS, Verdict, verdict_above, verdict_below

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Contrast:
    """A number of one treatment minus that of another, paired by seed.

    Attributes:
        name: name of the contrast.
        loss: loss whose style it is drawn in.
        differences: one per seed.
        seeds: their mean with its 95 % t interval.
        examples: the same mean with a 95 % bootstrap interval over test images, for accuracies.
        hollow: draw it as a variant of the loss.
    """

    name: str
    loss: str
    differences: tuple[float, ...]
    seeds: Interval
    examples: Interval | None = None
    hollow: bool = False

    @property
    def interval(self) -> Interval:
        """The mean with an interval over seeds and, for accuracies, over test images."""
        if self.examples is None:
            return self.seeds
        return combine_intervals(self.seeds, self.examples)


def contrast(
    name: str,
    loss: str,
    a: Sequence[float],
    b: Sequence[float],
    right: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
    *,
    hollow: bool = False,
) -> Contrast:
    """Return the contrast `a` minus `b`, which have one value per seed.

    Args:
        name: name of the contrast.
        loss: loss whose style it is drawn in.
        a, b: values per seed.
        right: whether each network classified each test image correctly, two (seeds, N), if `a` and
            `b` are their means in percent.
        hollow: draw it as a variant of the loss.
    """
    seeds, examples = paired_difference(a, b), None
    if right is not None:
        drawn = bootstrap_difference(*right)
        if drawn.low is not None and drawn.high is not None:
            examples = replace(seeds, low=100 * drawn.low, high=100 * drawn.high)
    differences = tuple(x - y for x, y in zip(a, b, strict=True))
    return Contrast(name, loss, differences, seeds, examples, hollow)


class Hypothesis(NamedTuple):
    """A contrast and the side of a threshold where the claim expects it."""

    contrast: Contrast
    side: Literal["above", "below"]
    threshold: float

    @property
    def p(self) -> float:
        """P-value that the true difference is the threshold: paired t test, two-sided; 1 with few
        seeds."""
        differences = self.contrast.differences
        if len(differences) < MINIMUM_SEEDS:
            return 1.0
        p = paired_t_pvalue(differences, [self.threshold] * len(differences))
        return 1.0 if math.isnan(p) else p


class HypothesisTest(NamedTuple):
    """A hypothesis, its p-value after Holm's correction over all tests, and its measure."""

    demand: Hypothesis
    p: float
    measure: Measure


def evaluate_hypotheses(
    demands: Sequence[Hypothesis], unit: str = "points"
) -> list[HypothesisTest]:
    """Test hypotheses together.

    The interval decides. The verdict is 'undecided' if the p-value, corrected for all hypotheses,
    is not below 0.05.
    """
    found = []
    for demand, p in zip(demands, holm([demand.p for demand in demands]), strict=True):
        interval = demand.contrast.interval
        said = (verdict_above if demand.side == "above" else verdict_below)(
            interval, demand.threshold
        )
        verdict: Verdict = said if p < SIGNIFICANCE else "undecided"
        measure = Measure(
            f"{demand.contrast.name}, {unit}",
            interval.mean,
            interval.low,
            interval.high,
            f"{demand.side} {signed(demand.threshold, None)} {unit}",
            verdict,
        )
        found.append(HypothesisTest(demand, p, measure))
    return found


def table_of(
    title: str, found: Sequence[HypothesisTest], *, digits: int = 1, notes: Sequence[str] = ()
) -> ClaimTable:
    """Return the table of intervals, p-values and minimum detectable differences."""
    rows = []
    for demand, p, measure in found:
        drawn = demand.contrast
        least = minimum_detectable_difference(drawn.differences)
        rows.append(
            (
                measure.name,
                signed(drawn.seeds.mean, digits),
                span(drawn.seeds, digits),
                MISSING if drawn.examples is None else span(drawn.examples, digits),
                measure.wanted,
                f"{p:.3f}" if p >= 0.0005 else "< 0.001",
                MISSING if least is None else f"{least:.{digits}f}",
                str(drawn.seeds.n),
                measure.verdict,
            )
        )
    columns = (
        "difference",
        "mean",
        "95 % over seeds",
        "95 % over test images",
        "wanted",
        "p (Holm)",
        "smallest detectable",
        "seeds",
        "verdict",
    )
    by_images = (
        "; over test images: paired bootstrap. The verdict uses both together (the root of the sum "
        "of their squares), and"
        if any(demand.contrast.examples for demand, _, _ in found)
        else ". The verdict uses that, and"
    )
    reading = (
        f"Paired by seed: t interval{by_images} a paired t test over seeds against the threshold, "
        "corrected by Holm for all rows of this table. Smallest detectable: the true distance from "
        "the threshold that this many seeds alone find with a power of 80 %, before the correction."
    )
    return ClaimTable(title, columns, tuple(rows), (reading, *notes))


def signed(value: float | None, digits: int | None = 1) -> str:
    """Format with a sign: +1.2, −0.3 or 0.0. `digits` None: all digits."""
    if value is None:
        return MISSING
    text = f"{value:+g}" if digits is None else f"{value:+.{digits}f}"
    if float(text) == 0:
        text = text[1:]
    return text.replace("-", MINUS)


def span(interval: Interval, digits: int = 1) -> str:
    """Format an interval: '+0.1 to +2.3'."""
    if interval.low is None or interval.high is None:
        return MISSING
    return f"{signed(interval.low, digits)} to {signed(interval.high, digits)}"


def with_span(interval: Interval, digits: int = 1) -> str:
    """Format a mean with its interval: '+1.2 (+0.1 to +2.3)'."""
    text = signed(interval.mean, digits)
    return text if interval.low is None else f"{text} ({span(interval, digits)})"


def plus_minus(interval: Interval, digits: int = 1) -> str:
    """Format a mean with half its interval: '74.1 ± 1.3'."""
    if interval.mean is None:
        return MISSING
    text = f"{interval.mean:.{digits}f}"
    if interval.high is None:
        return text
    return f"{text} ± {interval.high - interval.mean:.{digits}f}"
