"""Repeat the default comparison with other rounding, and list the verdicts that change.

    uv run python -m tests.stress.repeat --times 20

Each repetition has the same seeds, but initial weights that differ in the last bit, as another
processor would round them. A verdict that depends on rounding changes between repetitions. Two
repetitions of cross-entropy are an A/A comparison: the share of pairs that the test calls different
is the error that it should state. What is trained stays in DIR, so that an interrupted series goes
on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn

from lossbench.benchmarks.commands import compare as command
from lossbench.benchmarks.config import REFERENCE
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.reading import read_correct
from lossbench.benchmarks.stats.crossed import accuracy_difference
from lossbench.benchmarks.subcommands import CompareCommand
from lossbench.benchmarks.training import train
from lossbench.benchmarks.training.executors.local import run_locally

SIGNIFICANCE = 0.05


def perturb(model: nn.Module, repetition: int) -> nn.Module:
    """Move every parameter to the next float32 above or below, or leave it, at random."""
    generator = torch.Generator().manual_seed(repetition)
    with torch.no_grad():
        for parameter in model.parameters():
            step = torch.randint(-1, 2, parameter.shape, generator=generator)
            towards = torch.where(step > 0, torch.inf, -torch.inf)
            moved = torch.nextafter(parameter, towards)
            parameter.copy_(torch.where(step == 0, parameter, moved))
    return model


def compare_again(repetition: int, settings: CompareCommand) -> dict[str, Path]:
    """Train and report the comparison with perturbed weights; return its experiments by start."""
    real = train.build_model
    train.build_model = lambda *arguments: perturb(real(*arguments), repetition)  # type: ignore[attr-defined]
    # The name of one on synthetic images is longer.
    home = next(settings.runs.glob(f"*{settings.name}"), None)
    try:
        with open(os.devnull, "w") as nowhere, Reporter(Console(file=nowhere)) as reporter:
            if home is None:
                plans = command.create_plans(*command.starts_of(settings), "", reporter)
                home = plans[0].directory.parent
            else:
                plans = [
                    command.reopen(each, "", reporter, None)
                    for each in command.experiments_in(home)
                ]
            command.train_plans(plans, reporter, run_locally)
    finally:
        train.build_model = real  # type: ignore[attr-defined]
    return {each.name: each for each in command.experiments_in(home)}


def verdicts(experiments: dict[str, Path]) -> dict[tuple[str, str], str]:
    """Return the verdict by start and loss."""
    found = {}
    for start, directory in experiments.items():
        summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        for name, loss in summary["losses"].items():
            if difference := loss["minus_cross_entropy"]:
                found[start, name] = str(difference["verdict"])
    return found


def correct(directory: Path, seeds: int) -> np.ndarray:
    """Return whether cross-entropy is right, (seeds, images)."""
    rows = [read_correct(directory, REFERENCE, seed) for seed in range(seeds)]
    return np.stack([row for row in rows if row is not None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--times", type=int, default=20, help="repetitions")
    parser.add_argument("--seeds", type=int, default=CompareCommand().seeds)
    parser.add_argument("--epochs", type=int, default=CompareCommand().epochs)
    parser.add_argument("--data", default=None)
    parser.add_argument("--runs", type=Path, default=Path("runs/repeat"), metavar="DIR")
    options = parser.parse_args()
    settings = {name: getattr(options, name) for name in ("data", "seeds", "epochs", "runs")}
    repetitions = range(options.times)
    commands = [CompareCommand(**settings, name=f"repetition-{k}") for k in repetitions]
    # In processes of one thread, as `compare` trains its runs.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as processes:
        experiments = []
        for each in processes.map(compare_again, repetitions, commands):
            experiments.append(each)
            print(f"repetition {len(experiments)}/{options.times}", file=sys.stderr, flush=True)

    counts: dict[tuple[str, str], Counter[str]] = {}
    for each in experiments:
        for key, verdict in verdicts(each).items():
            counts.setdefault(key, Counter())[verdict] += 1
    print("| start | loss | verdicts |\n| --- | --- | --- |")
    for (start, name), counter in counts.items():
        said = ", ".join(f"{verdict} {count}" for verdict, count in counter.most_common())
        print(f"| {start} | {name} | {said} |")

    for start in experiments[0]:
        arrays = [correct(each[start], options.seeds) for each in experiments]
        pvalues = [accuracy_difference(a, b).pvalue() for a, b in itertools.combinations(arrays, 2)]
        different = sum(p < SIGNIFICANCE for p in pvalues)
        print(f"\nA/A, {start}: {different} of {len(pvalues)} pairs have p < {SIGNIFICANCE}")


if __name__ == "__main__":
    main()
