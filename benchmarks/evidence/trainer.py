"""Train the networks of claims on real images, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.training.executors.pool import Pool
from lossbench.benchmarks.training.rate_search import best_rate, search
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget

GRIDS: dict[Budget, tuple[tuple[float, ...], int]] = {
    "quick": ((0.01, 0.03, 0.1, 0.3, 1.0), 1),
    "standard": ((0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0), 2),
    "full": ((0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0), 3),
}
"""Learning rates and number of seeds of a search, by budget."""


class PoolTrainer:
    """`Trainer` with a pool of processes. `used` holds the results that a claim requested."""

    def __init__(self, budget: Budget, pool: Pool, reporter: Reporter) -> None:
        self.budget: Budget = budget
        self.pool, self.reporter = pool, reporter
        self.used: dict[RunConfig, RunResult] = {}

    def train(self, configs: Sequence[RunConfig]) -> list[RunResult]:
        return self._noted(self.pool.train(configs))

    def tuned(self, configs: Sequence[RunConfig]) -> list[RunConfig]:
        found = self.searched(configs)
        return [
            replace(config, learning_rate=best_rate(outcomes))
            for config, outcomes in zip(configs, found, strict=True)
        ]

    def searched(self, configs: Sequence[RunConfig]) -> list[list[RunResult]]:
        rates, seeds = GRIDS[self.budget]
        found = search(self.pool, configs, rates, seeds)
        self._noted([result for outcomes in found for result in outcomes])
        return found

    def say(self, line: str) -> None:
        self.reporter.say(line)

    def _noted(self, outcomes: list[RunResult]) -> list[RunResult]:
        self.used |= {result.config: result for result in outcomes}
        return outcomes
