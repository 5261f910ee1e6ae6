"""Steps to an accuracy, and their ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean as mean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.records.claim import ClaimTable

from .design import Quantity
from .measures import rates_table
from .runs import Runs
from .text import optional


class Steps(NamedTuple):
    """Steps to the accuracy, one value per seed.

    `reached` says which runs reached it. The others stopped after `value` steps and need more.
    """

    value: NDArray[np.float64]
    reached: NDArray[np.bool_]

    @property
    def mean(self) -> float:
        """Geometric mean."""
        return math.exp(np.log(self.value).mean())

    def in_words(self) -> str:
        """Return '147 steps', or '281 steps without reaching it in 1 of 3 runs'."""
        if self.reached.all():
            return f"{self.mean:.0f} steps"
        missed = f"{(~self.reached).sum()} of {len(self.reached)} runs"
        return f"{self.value.max():.0f} steps without reaching it in {missed}"

    def __str__(self) -> str:
        """'147 (140 to 163)', or '2 of 3 in 281' if some runs did not reach the accuracy."""
        if self.reached.all():
            return f"{self.mean:.0f} ({self.value.min():.0f} to {self.value.max():.0f})"
        return f"{self.reached.sum()} of {len(self.reached)} in {self.value.max():.0f}"


def count_steps(runs: Runs, accuracy: float) -> Steps:
    """Return the steps to the first evaluation with the accuracy, or all steps of the run."""
    steps, reached = [], []
    for run in runs:
        enough = [e.step for e in run.evaluations if e.validation_accuracy >= accuracy]
        # Enough accuracy before the first step counts as one step: 0 has no logarithm.
        steps.append(max(1, enough[0] if enough else run.evaluations[-1].step))
        reached.append(bool(enough))
    return Steps(np.array(steps, float), np.array(reached))


def ratio(over: Steps, under: Steps) -> Quantity:
    """Return the logarithm of `over` / `under`. Runs that did not reach the accuracy make it a
    bound."""
    logs = np.log(over.value) - np.log(under.value)
    return Quantity(
        tuple(map(float, logs)),
        least=not over.reached.all(),
        most=not under.reached.all(),
    )


def quotient(over: Quantity, under: Quantity) -> Quantity:
    """Return the logarithm of one ratio over another, paired by seed. Bounds stay bounds."""
    return Quantity(
        tuple(a - b for a, b in zip(over.values, under.values, strict=True)),
        least=over.least or under.most,
        most=over.most or under.least,
    )


def in_times(quantity: Quantity) -> str:
    """Format the geometric mean of a ratio, with ≥ or ≤ if it is a bound: '≥ 2.1'.

    Both bounds at once leave it unknown: '?'.
    """
    if not quantity.is_known:
        return "?"
    sign = {(True, False): "≥ ", (False, True): "≤ "}.get((quantity.least, quantity.most), "")
    return sign + f"{math.exp(mean(quantity.values)):.2g}"


def search_in_steps(searched: Mapping[str, Mapping[float, float]]) -> ClaimTable:
    """Return the table of a search whose score is minus the logarithm of the steps.

    Args:
        searched: by row, the mean score of each learning rate.
    """
    return rates_table(
        "The search: steps by learning rate",
        searched,
        {row: row for row in searched},
        lambda score: optional(math.exp(-score), ".0f"),
        "Geometric mean over the networks of the search, which are others than those that are "
        "judged. A network that did not reach the accuracy counts as ten times its training.",
    )


def tie_note(name: str, rate: float) -> str:
    """Return the note on a search in which no rate was faster than another."""
    return (
        f"{name}: no rate was faster than another in the search, whose table is above, and the "
        f"lowest one, {rate:g}, was taken."
    )
