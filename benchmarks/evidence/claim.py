"""What a claim is, and what an examination of it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.claim import Finding, Statement
from lossbench.benchmarks.training.result import RunResult

Budget = Literal["quick", "standard", "full"]


class Trainer(Protocol):
    """Where a claim is examined: the budget, and a way to have networks trained."""

    budget: Budget

    def train(self, trials: Sequence[RunConfig]) -> list[RunResult]:
        """The outcomes of the trials, in their order; those had before are not trained again."""
        ...

    def tuned(self, trials: Sequence[RunConfig]) -> list[RunConfig]:
        """Each trial with the learning rate that suits its loss best on validation images: the
        same grid of rates and the same budget for all, seeds of the search's own."""
        ...

    def searched(self, trials: Sequence[RunConfig]) -> list[list[RunResult]]:
        """The outcomes of the search behind `tuned`: a list for each trial, by rate and seed."""
        ...

    def say(self, line: str) -> None:
        """A line for the person who waits."""
        ...


@dataclass(frozen=True)
class Claim(Statement):
    """A statement with the experiment that tests it.

    Attributes:
        examine: trains the networks and returns the finding.
    """

    examine: Callable[[Trainer], Finding]
