"""Examine claims one after the other, each in its own directory."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from lossbench.benchmarks.config import KERNELS, RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.data.description import describe_data
from lossbench.benchmarks.errors import unknown_name
from lossbench.benchmarks.records import experiment
from lossbench.benchmarks.records.claim import Finding
from lossbench.benchmarks.report.claims import write_finding, write_overview
from lossbench.benchmarks.training.executors.pool import ImageArguments, Pool, image_arguments
from lossbench.benchmarks.training.rate_search import FIRST_SEARCH_SEED, search
from lossbench.benchmarks.training.result import RunResult
from lossbench.losses.kernels import closed_forms_only

from .claim import Budget, Claim

CLAIMS = (
    "zero-one",
    "probability-sum",
    "likelihood",
    "saturation",
    "error-driven",
    "multiclass",
    "square-loss",
    "noise",
    "imbalance",
    "calibration",
    "learning-rate",
)
"""Names of the claims, in the order of the argument."""

GRIDS: dict[Budget, tuple[tuple[float, ...], int]] = {
    "quick": ((0.01, 0.03, 0.1, 0.3, 1.0), 1),
    "standard": ((0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0), 2),
    "full": ((0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0), 3),
}
"""Learning rates and number of seeds of a search, by budget."""


def claim_of(name: str) -> Claim:
    """Return the claim with a name. Raises UserError if it is unknown."""
    if name not in CLAIMS:
        raise unknown_name("claim", name, CLAIMS)
    module = importlib.import_module(f".{name.replace('-', '_')}", __package__)
    claim: Claim = module.CLAIM
    return claim


def claims_of(names: Sequence[str]) -> list[Claim]:
    """Return the claims with these names; `all` means every claim. Raises UserError."""
    return [claim_of(name) for name in (CLAIMS if tuple(names) == ("all",) else names)]


class PoolTrainer:
    """`ClaimTrainer` with a pool of processes.

    Attributes:
        budget: the budget.
        used: the results that a claim requested.
    """

    def __init__(
        self, budget: Budget, pool: Pool, reporter: Reporter, kernels: bool = KERNELS
    ) -> None:
        self.budget: Budget = budget
        self.pool, self.reporter, self.kernels = pool, reporter, kernels
        self.used: dict[RunConfig, RunResult] = {}

    def train(self, configs: Sequence[RunConfig]) -> list[RunResult]:
        results = self.pool.train([replace(config, kernels=self.kernels) for config in configs])
        self.used |= {result.config: result for result in results}
        return results

    def search(self, configs: Sequence[RunConfig]) -> list[list[RunResult]]:
        rates, seeds = GRIDS[self.budget]
        configs = [replace(config, kernels=self.kernels) for config in configs]
        searches = search(self.pool, configs, rates, seeds)
        self.used |= {result.config: result for results in searches for result in results}
        return searches

    def say(self, line: str) -> None:
        self.reporter.say(line)


@dataclass(frozen=True)
class Examined:
    """A claim, its finding, and the directory of its report."""

    claim: Claim
    finding: Finding
    directory: Path


def examine(
    claims: Sequence[Claim],
    budget: Budget,
    runs: Path,
    device: torch.device,
    workers: int | None,
    command: str,
    reporter: Reporter,
    kernels: bool = KERNELS,
) -> list[Examined]:
    """Examine claims and write runs/evidence/<name>/ for each, and the page of all claims.

    A claim that was examined before with the same budget uses the trained networks in runs/trials/.

    Args:
        claims: the claims to examine.
        budget: 'quick', 'standard' or 'full'.
        runs: directory in which evidence/ and trials/ are made.
        device: device to train on.
        workers: networks trained at a time; None: one per core, or what fits on a GPU.
        command: the command line, for the reports.
        reporter: shows the progress.
        kernels: whether the losses are computed by their kernels, where there are any.

    Raises:
        UserError: images are unavailable, a directory cannot be written, or a worker was killed.
    """
    evidence = runs / "evidence"
    experiment.make_runs_directory(evidence)
    done = []
    with reporter, Pool(runs / "trials", device, reporter, workers) as pool:
        for number, claim in enumerate(claims, start=1):
            reporter.say(f"{number}/{len(claims)}  {claim.name}: {claim.question}")
            trainer = PoolTrainer(budget, pool, reporter, kernels)
            start = time.perf_counter()
            with nullcontext() if kernels else closed_forms_only():
                finding = claim.examine(trainer)
            seconds = time.perf_counter() - start
            about = experiment.facts(command, datetime.now().astimezone(), device, kernels)
            about |= {"budget": budget, "seconds": seconds} | facts_of(trainer, pool)
            directory = evidence / claim.name
            write_finding(directory, about, claim, finding)
            write_overview(evidence, CLAIMS)
            reporter.say(f"{claim.name}: {finding.verdict}. {finding.sentence}  ({seconds:.0f} s)")
            done.append(Examined(claim, finding, directory))
    return done


def facts_of(trainer: PoolTrainer, pool: Pool) -> dict[str, object]:
    """Return the images and models of a claim's runs, their seeds, number and training time."""
    sources: dict[ImageArguments, dict[str, Any]] = {}
    trained_on: dict[ImageArguments, set[int]] = {}
    for config, result in trainer.used.items():
        key = image_arguments(config)
        if key not in sources:
            images = pool.image_set(key)
            dataset = prepare(images, torch.device("cpu"), validation=config.validation)
            sources[key] = describe_data(images, dataset)
        trained_on.setdefault(key, set()).add(sum(result.counts))
    for key, numbers in trained_on.items():
        sources[key]["trained_on"] = sorted(numbers)
    seeds = {config.seed for config in trainer.used}
    return {
        "trials": len(trainer.used),
        "seeds": sorted(seed for seed in seeds if seed < FIRST_SEARCH_SEED),
        "search_seeds": sorted(seed for seed in seeds if seed >= FIRST_SEARCH_SEED),
        "training_seconds": sum(result.seconds for result in trainer.used.values()),
        "data": list(sources.values()),
        "models": sorted({config.model for config in trainer.used}),
    }
