"""Repeat the default comparison with other rounding, and tell which verdicts change.

    uv run python -m tests.stress.repeat --times 20
    uv run python -m tests.stress.repeat --count     # counts what is kept again, trains nothing

Each repetition has the same seeds, but initial weights that differ in the last bit, as another
processor would round them. A verdict that depends on rounding changes between repetitions. Two
repetitions of cross-entropy are an A/A comparison: the share of pairs that the test calls different
is the error that it should state. What is trained stays in DIR, so that an interrupted series goes
on. Two tables in Markdown are printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from torch import nn

from lossbench.benchmarks.commands import compare as command
from lossbench.benchmarks.config import ARTICLE_LOSSES, DATA_SOURCE_FIELDS, REFERENCE
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.reading import read_correct
from lossbench.benchmarks.stats.crossed import accuracy_difference
from lossbench.benchmarks.subcommands import CompareCommand
from lossbench.benchmarks.training import train
from lossbench.benchmarks.training.executors.local import run_locally
from lossbench.benchmarks.training.identities import find_identities

SIGNIFICANCE = 0.05
KEPT = Path(__file__).resolve().parents[2] / "runs" / "reference" / "comparison"
"""The comparison whose verdicts must repeat."""
WITHOUT_EFFECT = {*DATA_SOURCE_FIELDS, "name", "runs", "device", "log_every", "checkpoint_every"}
"""Settings in which a comparison may differ from a repetition of it."""

Verdicts = dict[tuple[str, str], str]
"""Verdict by start and loss."""


class Stability(NamedTuple):
    """How a verdict fares when its comparison is repeated.

    Attributes:
        reference: the verdict that should repeat.
        repetitions: number of repetitions.
        same: in how many of them it stays.
        reversed: in how many better becomes worse, or worse better.
        changes: how often it becomes each of the others.
    """

    reference: str
    repetitions: int
    same: int
    reversed: int
    changes: dict[str, int]


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


def verdicts(experiments: dict[str, Path]) -> Verdicts:
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


def settings_of(directory: Path) -> dict[str, Any]:
    """Return what the verdicts of an experiment depend on, but for rounding."""
    about = json.loads((directory / "experiment.json").read_text(encoding="utf-8"))
    kept = {name: v for name, v in about["config"].items() if name not in WITHOUT_EFFECT}
    arms = sorted(set(kept["losses"]) - set(about["identities"]))
    rates = {name: kept["learning_rates"][name] for name in arms}
    return kept | {"losses": arms, "learning_rates": rates, "images": about["data"]["fingerprint"]}


def reference_verdicts(experiments: dict[str, Path], kept: Path = KEPT) -> Verdicts:
    """Return the verdicts of the kept comparison, of the starts with the same settings."""
    same = {
        start: kept / start
        for start, directory in experiments.items()
        if (kept / start / "summary.json").is_file()
        and settings_of(kept / start) == settings_of(directory)
    }
    return verdicts(same)


def stabilities(
    repeated: Sequence[Verdicts], reference: Verdicts
) -> dict[tuple[str, str], Stability]:
    """Compare the verdicts of repetitions with those that should repeat.

    Args:
        repeated: the verdicts of each repetition.
        reference: those that should repeat. One that is missing is the most frequent one.
    """
    found = {}
    for key in dict.fromkeys(key for each in repeated for key in each):
        counter = Counter(each[key] for each in repeated if key in each)
        wanted = reference.get(key) or counter.most_common(1)[0][0]
        opposite = {"better": "worse", "worse": "better"}.get(wanted, "")
        changes = {verdict: n for verdict, n in counter.most_common() if verdict != wanted}
        found[key] = Stability(wanted, counter.total(), counter[wanted], counter[opposite], changes)
    return found


def verdict_lines(found: dict[tuple[str, str], Stability]) -> list[str]:
    """Return the table of the verdicts, in Markdown."""
    columns = ("start", "loss", "verdict", "the same", "reversed", "changes")
    lines = [f"| {' | '.join(columns)} |", "| --- | --- | --- | ---: | ---: | --- |"]
    for (start, loss), each in found.items():
        changes = ", ".join(f"{each.reference} → {other}: {n}" for other, n in each.changes.items())
        cells = (start, loss, each.reference, f"{each.same} of {each.repetitions}")
        lines.append(f"| {' | '.join(cells)} | {each.reversed} | {changes or '–'} |")
    return lines


def control_line(start: str, arrays: Sequence[np.ndarray]) -> str:
    """Return the row of the A/A pairs of a start: how many the test calls different."""
    pairs = [accuracy_difference(a, b).pvalue() for a, b in itertools.combinations(arrays, 2)]
    different = sum(p is not None and p < SIGNIFICANCE for p in pairs)
    share = f"{100 * different / len(pairs):.1f}" if pairs else "–"
    return f"| {start} | {len(pairs)} | {different} | {share} | {100 * SIGNIFICANCE:g} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--times", type=int, default=20, help="repetitions")
    parser.add_argument("--seeds", type=int, default=CompareCommand().seeds)
    parser.add_argument("--epochs", type=int, default=CompareCommand().epochs)
    parser.add_argument("--data", default=None)
    parser.add_argument("--runs", type=Path, default=Path("runs/repeat"), metavar="DIR")
    parser.add_argument("--count", action="store_true", help="count what is in DIR, train nothing")
    options = parser.parse_args()
    experiments = kept_repetitions(options.runs) if options.count else train_repetitions(options)
    if not experiments:
        parser.error(f"no finished repetition in {options.runs}: run this without --count")
    found = stabilities(list(map(verdicts, experiments)), reference_verdicts(experiments[0]))
    print("\n".join(verdict_lines(found)))
    print("\n| start | A/A pairs | called different | in % | stated, % |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for start in experiments[0]:
        seeds = settings_of(experiments[0][start])["seeds"]
        print(control_line(start, [correct(each[start], seeds) for each in experiments]))


def kept_repetitions(runs: Path) -> list[dict[str, Path]]:
    """Return the finished repetitions in a directory, each by start."""
    homes = sorted(each.parent for each in runs.glob("*repetition-*/report.html"))
    found = [{each.name: each for each in command.experiments_in(home)} for home in homes]
    return [
        each for each in found if all((path / "summary.json").is_file() for path in each.values())
    ]


def train_repetitions(options: argparse.Namespace) -> list[dict[str, Path]]:
    """Train the repetitions that are not kept, and return all of them, each by start."""
    settings = {name: getattr(options, name) for name in ("data", "seeds", "epochs", "runs")}
    # A multiple of another loss has no verdict that could change.
    multiples = find_identities(ARTICLE_LOSSES, 2)
    settings["losses"] = tuple(name for name in ARTICLE_LOSSES if name not in multiples)
    repetitions = range(options.times)
    commands = [CompareCommand(**settings, name=f"repetition-{k}") for k in repetitions]
    experiments = []
    # In processes of one thread, as `compare` trains its runs.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as processes:
        for each in processes.map(compare_again, repetitions, commands):
            experiments.append(each)
            print(f"repetition {len(experiments)}/{options.times}", file=sys.stderr, flush=True)
    return experiments


if __name__ == "__main__":
    main()
