"""Exact checks, and the tables of what was tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from lossbench.benchmarks.format import MISSING, number
from lossbench.benchmarks.records.claim import ClaimTable, Measure
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS, Verdict

from .design import Tested
from .runs import Runs, accuracy_difference
from .text import optional, with_span

Item = TypeVar("Item")


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


def rates_table(
    title: str,
    searched: Mapping[Any, Mapping[float, float]],
    names: Mapping[Any, str],
    show: Callable[[float], str],
    note: str,
) -> ClaimTable:
    """Return the table of a search for learning rates.

    Args:
        title: title of the table.
        searched: by cell, the score of each rate.
        names: name of each cell that has a row.
        show: formats a score, which is NaN for a rate that was not tried.
        note: how to read the table.
    """
    rates = sorted({rate for scores in searched.values() for rate in scores})
    columns = {
        f"{rate:g}": lambda cell, rate=rate: show(searched[cell].get(rate, math.nan))
        for rate in rates
    }
    return table(title, names, {"networks": names.__getitem__, **columns}, note)


def tests_table(tests: Sequence[Tested], *notes: str) -> ClaimTable:
    """Return the table of what was tested: values, spread, and the smallest detectable size."""
    columns: dict[str, Callable[[Tested], str]] = {
        "quantity": lambda test: test.measure.name,
        "mean": lambda test: number(test.measure.value),
        "interval": _ends,
        "expected": lambda test: test.measure.wanted,
        "smallest detectable": lambda test: optional(test.detectable, ".2g"),
        "seeds": lambda test: str(len(test.quantity.values)),
        "verdict": lambda test: test.measure.verdict,
    }
    reading = (
        "Paired by seed. The interval is a t interval over seeds; where test images are involved, "
        "it allows for other test images too (crossed random effects). It covers the true value "
        "with a probability of 95 % over all looks (90 % where the expectation is 'within'). "
        "Ratios are compared on the logarithmic scale. Smallest detectable: the true distance from "
        "0, or the true ratio, that so many seeds tell at this look with a power of 80 %."
    )
    return table("What was tested", tests, columns, reading, *notes)


def difference_text(runs: Runs, reference: Runs) -> str:
    """Format the test accuracy of some runs minus that of the reference: '+1.2 (+0.1 to +2.3)'."""
    if runs is reference:
        return "reference"
    return with_span(accuracy_difference(runs, reference).interval(0.95))


def with_interval(test: Tested) -> str:
    """Format the value of a measure with its interval: '5.00 (2.90 to 8.60)', a bound as 'at least
    5.00 (2.90 to 8.60)', and one that is not known as 'an unknown number of'."""
    if not test.quantity.is_known:
        return "an unknown number of"
    bound = "at least " if test.quantity.least else "at most " if test.quantity.most else ""
    return f"{bound}{number(test.measure.value)} ({_ends(test)})"


def _ends(test: Tested) -> str:
    low, high = test.measure.low, test.measure.high
    return MISSING if low is None or high is None else f"{number(low)} to {number(high)}"
