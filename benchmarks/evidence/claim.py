"""A claim and what trains its networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.claim import Finding, Statement
from lossbench.benchmarks.training.result import RunResult

Budget = Literal["quick", "standard", "full"]


class Trainer(Protocol):
    """Interface for training the networks of a claim within a budget."""

    budget: Budget

    def train(self, configs: Sequence[RunConfig]) -> list[RunResult]:
        """Return the results of runs, in their order. A run trained before is not trained again."""
        ...

    def tuned(self, configs: Sequence[RunConfig]) -> list[RunConfig]:
        """Return each run with the learning rate that is best for its loss on validation images.

        All losses have the same grid of rates and the same budget. The search has seeds of its own.
        """
        ...

    def searched(self, configs: Sequence[RunConfig]) -> list[list[RunResult]]:
        """Return the results of the search behind `tuned`: one list per run, by rate and seed."""
        ...

    def say(self, line: str) -> None:
        """Print a line for the user."""
        ...


@dataclass(frozen=True)
class Claim(Statement):
    """A statement with the experiment that tests it.

    Attributes:
        examine: trains the networks and returns the finding.
    """

    examine: Callable[[Trainer], Finding]
