"""A claim: a statement, the sizes of its experiment, and the analysis of what was trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.claim import (
    ClaimFigure,
    ClaimTable,
    Finding,
    Measure,
    Statement,
    verdict_of,
)
from lossbench.benchmarks.training.result import RunResult

Budget = Literal["quick", "standard", "full"]


@dataclass(frozen=True, kw_only=True)
class Size:
    """The size of a claim's experiment at one budget.

    Attributes:
        epochs: epochs per run.
        seeds: runs per cell.
        other_seeds: runs of each cell that is reported but does not enter the verdict.
        train_images: upper bound of the number of training images; None: all.
        search_epochs: epochs of the runs that search learning rates.
        search_images: upper bound of the training images of these runs; None: all.
        search_seeds: runs per learning rate, for claims that train their own search.
    """

    epochs: int
    seeds: int
    other_seeds: int = 0
    train_images: int | None = None
    search_epochs: int = 0
    search_images: int | None = None
    search_seeds: int = 0


class ClaimTrainer(Protocol):
    """Interface for training the networks of a claim within a budget."""

    budget: Budget

    def train(self, configs: Sequence[RunConfig]) -> list[RunResult]:
        """Return the results of runs, in their order. A run trained before is not trained again."""
        ...

    def search(self, configs: Sequence[RunConfig]) -> list[list[RunResult]]:
        """Train each run with all learning rates of a grid; return the results per run.

        All losses have the same grid and the same budget. The search has seeds of its own and does
        not use the test images.
        """
        ...

    def say(self, line: str) -> None:
        """Print a line for the user."""
        ...


class Analysis(ABC):
    """The runs of a claim, and what is computed from them."""

    @classmethod
    @abstractmethod
    def train(cls, trainer: ClaimTrainer, size: Any) -> Self:
        """Train the runs of the claim.

        Args:
            trainer: trains them.
            size: the value of `Claim.sizes` for the trainer's budget.
        """

    @abstractmethod
    def measures(self) -> Sequence[Measure]:
        """Return the numbers that the verdict rests on."""

    @abstractmethod
    def sentence(self) -> str:
        """Return the finding in one or two sentences, made from the measured numbers."""

    @abstractmethod
    def figures(self) -> Sequence[ClaimFigure]:
        """Return the figures, the most important one first."""

    @abstractmethod
    def tables(self) -> Sequence[ClaimTable]:
        """Return the tables of the numbers behind the measures."""

    @abstractmethod
    def notes(self) -> Sequence[str]:
        """Return the limits of the experiment, and what was not measured."""


@dataclass(frozen=True)
class Claim(Statement):
    """A statement with the experiment that tests it.

    Attributes:
        sizes: size of the experiment by budget.
        analysis: trains the runs and computes the finding.
    """

    sizes: Mapping[Budget, Any]
    analysis: type[Analysis]

    def examine(self, trainer: ClaimTrainer) -> Finding:
        """Train the runs of the claim within the trainer's budget, and return the finding."""
        analysis = self.analysis.train(trainer, self.sizes[trainer.budget])
        measures = tuple(analysis.measures())
        return Finding(
            verdict=verdict_of(measures),
            sentence=analysis.sentence(),
            measures=measures,
            figures=tuple(analysis.figures()),
            tables=tuple(analysis.tables()),
            notes=tuple(analysis.notes()),
        )
