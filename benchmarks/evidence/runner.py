"""Examine claims one after the other, each in its own directory, look by look."""

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
from lossbench.benchmarks.errors import UserError, unknown_name
from lossbench.benchmarks.records import experiment
from lossbench.benchmarks.records.claim import FILE, Finding, read_claim
from lossbench.benchmarks.records.files import ONE_DAY, remove_scratch
from lossbench.benchmarks.report.claims import write_finding, write_overview
from lossbench.benchmarks.training.executors.pool import ImageArguments, Pool, image_arguments
from lossbench.benchmarks.training.rate_search import FIRST_SEARCH_SEED
from lossbench.benchmarks.training.result import RunResult
from lossbench.losses.kernels import closed_forms_only

from .claim import Claim
from .cost import listing
from .design import FIRST_SEED, Design, Quantity

CLAIMS = (
    "zero-one",
    "probability-sum",
    "likelihood",
    "saturation",
    "learned-confidence",
    "depth",
    "other-classes",
    "other-classes-accuracy",
    "curvature",
    "optimiser",
    "error-driven",
    "multiclass",
    "square-loss",
    "noise",
    "imbalance",
    "calibration",
    "learning-rate",
)
"""Names of the claims, in the order of the argument."""


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


@dataclass(frozen=True)
class Examined:
    """A claim, its finding, and the directory of its report."""

    claim: Claim
    finding: Finding
    directory: Path


class Registration:
    """The design of a claim as its report records it, with the seeds that it may use.

    A design that differs from the one in an earlier report of the same directory begins with seeds
    that the earlier one could not have used.

    Args:
        claim: the claim.
        directory: of its report, which may not exist.

    Attributes:
        claim, directory: as given.
        first_seed: the first seed of the claim's networks.
        earlier: earlier designs, with their seeds.
        record: the design, for claim.json.
        is_new: whether no report in the directory is of this design.

    Raises:
        UserError: the earlier report cannot be read, or no seeds are left.
    """

    def __init__(self, claim: Claim, directory: Path) -> None:
        self.claim, self.directory = claim, directory
        design = claim.design
        before = read_claim(directory)["about"] if (directory / FILE).exists() else {}
        known = before.get("design")
        self.is_new = known is None or known["hash"] != design.hash
        earlier = list(known["earlier"]) if known else []
        self.first_seed = known["first_seed"] if known else FIRST_SEED
        if known and self.is_new:
            end = known["first_seed"] + known["looks"][-1]
            earlier.append(f"{known['hash']}, seeds {known['first_seed']} to {end - 1}")
            self.first_seed = end
        if self.first_seed + design.looks[-1] > FIRST_SEARCH_SEED:
            raise UserError(
                f"{directory}: no seeds are left for another design; give another --runs"
            )
        self.earlier = earlier
        self.record = {
            "hash": design.hash,
            "looks": list(design.looks),
            "first_seed": self.first_seed,
            "in_words": design.in_words(),
            "earlier": earlier,
        }


def examine(
    claims: Sequence[Claim],
    runs: Path,
    device: torch.device,
    workers: int | None,
    command: str,
    reporter: Reporter,
    kernels: bool = KERNELS,
    looks: int | None = None,
) -> list[Examined]:
    """Examine claims and write runs/evidence/<name>/ for each, and the page of all claims.

    Each claim is tested at every look of its design until it is decided. Networks that were trained
    before are in runs/trials/, and are not trained again.

    Args:
        claims: the claims to examine.
        runs: directory in which evidence/ and trials/ are made.
        device: device to train on.
        workers: networks trained at a time; None: one per core, or what fits on a GPU.
        command: the command line, for the reports.
        reporter: shows the progress.
        kernels: whether the losses are computed by their kernels, where there are any.
        looks: looks to take at most; None: all.

    Raises:
        UserError: images are unavailable, a directory cannot be written, or a worker was killed.
    """
    evidence = runs / "evidence"
    experiment.make_runs_directory(evidence)
    for directory in (evidence, *(evidence / claim.name for claim in claims)):
        remove_scratch(directory, older_than=ONE_DAY)
    with reporter, Pool(runs / "trials", device, reporter, workers) as pool:
        examination = Examination(evidence, pool, command, reporter, kernels)
        registered = [Registration(claim, evidence / claim.name) for claim in claims]
        # The hash of every design is written before anything is trained.
        for registration in registered:
            if registration.is_new:
                examination.write_design(registration)
        first_seeds = {each.claim.name: each.first_seed for each in registered}
        for line in listing(claims, first_seeds, pool, kernels):
            reporter.say(line)
        done = []
        for number, registration in enumerate(registered, start=1):
            claim = registration.claim
            reporter.say(f"{number}/{len(claims)}  {claim.name}: {claim.question}")
            finding = examination.take_looks(registration, claim.design.looks[:looks])
            done.append(Examined(claim, finding, registration.directory))
    return done


@dataclass(frozen=True)
class Examination:
    """Directory, networks and output that the claims of one command share.

    Attributes:
        directory: of the reports.
        pool: trains the networks.
        command: the command line, for the reports.
        reporter: shows the progress.
        kernels: whether the losses are computed by their kernels, where there are any.
    """

    directory: Path
    pool: Pool
    command: str
    reporter: Reporter
    kernels: bool

    def write_design(self, registration: Registration) -> None:
        """Write the report of a claim whose networks are not trained yet."""
        claim = registration.claim
        for earlier in registration.earlier[-1:]:
            self.reporter.say(
                f"{claim.name}: the design has changed ({earlier}); it starts again with the "
                f"unused seeds from {registration.first_seed} on"
            )
        self._write(registration, not_begun(claim.design), {"trials": 0, "seconds": 0.0})

    def take_looks(self, registration: Registration, looks: Sequence[int]) -> Finding:
        """Train and test a claim look by look, until it is decided; report every look.

        Args:
            registration: the claim and its first seed.
            looks: numbers of seeds, ascending.
        """
        claim, first = registration.claim, registration.first_seed
        start = time.perf_counter()
        for seeds in looks:
            trainer = PoolTrainer(self.pool, self.kernels)
            with nullcontext() if self.kernels else closed_forms_only():
                finding = claim.examine(trainer, range(first, first + seeds))
            seconds = time.perf_counter() - start
            facts = {"seconds": seconds} | facts_of(trainer.used, self.pool)
            self._write(registration, finding, facts)
            write_overview(self.directory, CLAIMS)
            self.reporter.say(
                f"{claim.name}, {seeds} of at most {claim.design.looks[-1]} seeds: "
                f"{finding.verdict}  ({seconds:.0f} s)"
            )
            if finding.verdict != "undecided":
                break
        return finding

    def _write(self, registration: Registration, finding: Finding, facts: dict[str, Any]) -> None:
        """Write the report of a claim, with command, date, hardware and design."""
        now = datetime.now().astimezone()
        about = experiment.facts(self.command, now, self.pool.device, self.kernels)
        about |= {"design": registration.record, **facts}
        write_finding(registration.directory, about, registration.claim, finding)


def not_begun(design: Design) -> Finding:
    """Return the finding of a claim before anything is trained."""
    return Finding(
        verdict="undecided",
        sentence="Nothing is trained yet.",
        measures=tuple(test.measure for test in design.test([Quantity(())] * len(design.expects))),
        figures=(),
        tables=(),
    )


class PoolTrainer:
    """A pool of processes as `Train`, which keeps the results that a claim used."""

    def __init__(self, pool: Pool, kernels: bool) -> None:
        self.pool, self.kernels = pool, kernels
        self.used: dict[RunConfig, RunResult] = {}

    def __call__(self, configs: Sequence[RunConfig]) -> list[RunResult]:
        results = self.pool.train([replace(config, kernels=self.kernels) for config in configs])
        self.used |= {result.config: result for result in results}
        return results


def facts_of(used: dict[RunConfig, RunResult], pool: Pool) -> dict[str, Any]:
    """Return the images and models of a claim's runs, their seeds, number and training time."""
    sources: dict[ImageArguments, dict[str, Any]] = {}
    trained_on: dict[ImageArguments, set[int]] = {}
    for config, result in used.items():
        key = image_arguments(config)
        if key not in sources:
            images = pool.image_set(key)
            dataset = prepare(images, torch.device("cpu"), validation=config.validation)
            sources[key] = describe_data(images, dataset)
        trained_on.setdefault(key, set()).add(sum(result.counts))
    for key, numbers in trained_on.items():
        sources[key]["trained_on"] = sorted(numbers)
    seeds = {config.seed for config in used}
    return {
        "trials": len(used),
        "seeds": sorted(seed for seed in seeds if seed < FIRST_SEARCH_SEED),
        "search_seeds": sorted(seed for seed in seeds if seed >= FIRST_SEARCH_SEED),
        "training_seconds": sum(result.seconds for result in used.values()),
        "data": list(sources.values()),
        "models": sorted({config.model for config in used}),
    }
