"""A claim: a statement, the design of its examination, and the analysis of what was trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import (
    ClaimTable,
    Finding,
    Measure,
    Statement,
    verdict_of,
)
from lossbench.benchmarks.training.rate_search import best_rate, mean_by_rate, search_configs
from lossbench.benchmarks.training.result import RunResult

from .design import Design, Tested
from .runs import validation_accuracy

Train = Callable[[Sequence[RunConfig]], list[RunResult]]
"""Return the results of runs, in their order. What was trained before is not trained again."""

Searched = Mapping[Any, Mapping[float, float]]
"""By cell, the mean score of each learning rate that was tried, rates ascending."""


@dataclass
class Analysis(ABC):
    """Computation of a finding from the trained networks of a claim.

    Attributes:
        runs: results by cell, in the order of the seeds.
        searched: the search of learning rates.
    """

    runs: Mapping[Any, list[RunResult]]
    searched: Searched

    @staticmethod
    def score(run: RunResult) -> float:
        """Return the number by which learning rates are chosen, the highest mean of which wins."""
        return validation_accuracy(run)

    @abstractmethod
    def tests(self) -> list[Tested]:
        """Test the quantities of the design."""

    def measures(self) -> Sequence[Measure]:
        """Return the numbers that the verdict rests on."""
        return [test.measure for test in self.tests()]

    @abstractmethod
    def sentence(self) -> str:
        """Return the finding in one sentence with one number."""

    @abstractmethod
    def figures(self) -> Sequence[PanelFigure]:
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
        design: what is fixed before anything is trained.
        analysis: computes the finding.
        question: that of the design.
    """

    question: str = field(init=False)
    design: Design
    analysis: type[Analysis]

    def __post_init__(self) -> None:
        object.__setattr__(self, "question", self.design.question)

    def analyse(self, train: Train, seeds: range) -> Analysis:
        """Choose the learning rates, train every cell with the seeds, and return the analysis."""
        searched = {
            cell: mean_by_rate(runs, self.analysis.score)
            for cell, runs in train_each(train, self.search_configs()).items()
        }
        rates = {cell: best_rate(scores) for cell, scores in searched.items()}
        return self.analysis(train_each(train, self.judged_configs(rates, seeds)), searched)

    def examine(self, train: Train, seeds: range) -> Finding:
        """Train the networks of a look, and return the finding."""
        analysis = self.analyse(train, seeds)
        measures = tuple(analysis.measures())
        return Finding(
            verdict=verdict_of(measures),
            sentence=analysis.sentence(),
            measures=measures,
            figures=tuple(analysis.figures()),
            tables=tuple(analysis.tables()),
            notes=tuple(analysis.notes()),
        )

    def search_configs(self) -> dict[Any, list[RunConfig]]:
        """Return the networks of the search, by cell."""
        return {
            cell: search_configs(config, sorted(self.design.rates), self.design.search_seeds)
            for cell, config in self.design.searches.items()
        }

    def judged_configs(
        self, rates: Mapping[Any, float], seeds: range
    ) -> dict[Any, list[RunConfig]]:
        """Return the networks that are judged, by cell, with the chosen learning rates."""
        return {
            cell: [
                replace(config, learning_rate=rates.get(cell, config.learning_rate), seed=seed)
                for seed in seeds
            ]
            for cell, config in self.design.cells.items()
        }


def train_each(
    train: Train, configs: Mapping[Any, Sequence[RunConfig]]
) -> dict[Any, list[RunResult]]:
    """Train the runs of all cells in one go; return their results by cell."""
    flat = [config for each in configs.values() for config in each]
    results = iter(train(flat) if flat else [])
    return {cell: [next(results) for _ in each] for cell, each in configs.items()}
