"""Read and check the files of an experiment.

These are experiment.json, results.csv, warnings.csv, and predictions.npz of each run.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lossbench.benchmarks.config import MAX_SEEDS, Start
from lossbench.benchmarks.errors import UserError, one_line

from .files import read_arrays
from .identities import Identity, read_identities, run_keys
from .results import (
    COLUMNS,
    FAILURE,
    RESULTS,
    WARNINGS,
    Evaluation,
    GradientWarning,
    run_directory,
    whole_lines,
)
from .schema import NUMBER, read_json, schema_error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMBERS = tuple(column for column in COLUMNS[4:] if column != "images")
"""Columns of results.csv with measurements."""

EXPERIMENT_FILE = "experiment.json"
# Types of the values of experiment.json that reports show.
DATA: dict[str, Any] = {
    "classes": [str],
    **dict.fromkeys(("train", "validation", "test"), int),
    **{f"{split}_counts": [int] for split in ("train", "validation", "test")},
    "skipped": list,
    "data_directory": str,
    "origins": dict.fromkeys(("train", "validation", "test"), str),
    "left_out": [str],
    "warnings": [str],
    "trained_on": [int],
}
DESCRIPTION: dict[str, Any] = {
    "name": str,
    "learning_rates_from": str,
    "config": {"epochs": int, "losses": [str], "learning_rates": dict, "start": str},
    "data": DATA,
    "model": {"parameters": int},
    "versions": dict,
    "hardware": dict,
}


@dataclass(frozen=True)
class Run:
    """A run as read from results.csv: one loss, one seed.

    Attributes:
        loss, seed: the run.
        rows: its evaluations by rising step.
        finished: whether it reached its last epoch.
        failure: the error that ended it, or None.
    """

    loss: str
    seed: int
    rows: tuple[Evaluation, ...]
    finished: bool
    failure: str | None = None

    @property
    def diverged(self) -> bool:
        """True if the network ended with outputs that are no numbers."""
        return self.finished and self.last("test_accuracy") is None

    @property
    def epoch(self) -> float | None:
        """Last evaluated epoch, or None."""
        return self.rows[-1].epoch if self.rows else None

    def first(self, column: str) -> float | None:
        """Return the earliest measured value of a column."""
        values = (row.measured(column) for row in self.rows)
        return next((value for value in values if value is not None), None)

    def last(self, column: str) -> float | None:
        """Return the value of a column in the last row, never an earlier one."""
        return self.rows[-1].measured(column) if self.rows else None


@dataclass(frozen=True)
class Experiment:
    """An experiment as read from its directory.

    Attributes:
        directory: its directory.
        about: content of experiment.json.
        runs: runs in results.csv and runs still missing.
        warnings: warnings by rising step.
    """

    directory: Path
    about: dict[str, Any]
    runs: tuple[Run, ...]
    warnings: tuple[GradientWarning, ...] = ()

    @property
    def synthetic(self) -> bool:
        """True if the images were drawn by code.

        A file that does not say so counts as synthetic.
        """
        return self.about.get("synthetic") is not False

    @property
    def epochs(self) -> int:
        """Number of epochs of a finished run."""
        return int(self.about["config"]["epochs"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label; empty if the file has none."""
        return tuple(map(str, self.about.get("data", {}).get("classes", [])))

    @property
    def chance(self) -> float | None:
        """Test accuracy of always answering the most frequent class; None if it is not known."""
        counts = self.about.get("data", {}).get("test_counts")
        return float(max(counts) / sum(counts)) if counts and sum(counts) else None

    def test_accuracy(self, run: Run) -> float | None:
        """Return the accuracy of a run on the test images; that of chance if it has diverged."""
        return self.chance if run.diverged else run.last("test_accuracy")

    @cached_property
    def compared(self) -> dict[str, list[Run]]:
        """Finished runs by loss, without those of losses that are a multiple of another."""
        runs: dict[str, list[Run]] = {}
        for run in self.finished:
            if run.loss not in self.identities:
                runs.setdefault(run.loss, []).append(run)
        return runs

    @cached_property
    def identities(self) -> dict[str, Identity]:
        """Losses that are a multiple of another with a finished run, by name.

        They are trained once, with the first seed.
        """
        finished = {run.loss for run in self.finished}
        found = read_identities(self.about)
        return {n: each for n, each in found.items() if {n, each.of} <= finished}

    @property
    def held_out(self) -> bool:
        """True if the curves use validation images, False if they use training images."""
        rows = (row for run in self.finished for row in run.rows)
        return any(row.measured("validation_accuracy") is not None for row in rows)

    @property
    def finished(self) -> tuple[Run, ...]:
        """Runs that reached their last epoch."""
        return tuple(run for run in self.runs if run.finished)


def read_experiment(directory: Path) -> Experiment:
    """Read experiment.json, results.csv and warnings.csv, if there is one, from `directory`.

    A run is finished if its last row has the configured last epoch.

    Raises:
        UserError: a file is missing or unreadable, or no run has finished.
    """
    about = _description(directory)
    epochs = int(about["config"]["epochs"])
    rows = _read_rows(directory / RESULTS)
    runs = []
    for loss, seed in expected_runs(about, rows):
        by_step = rows.get((loss, seed), {})
        ordered = tuple(by_step[step] for step in sorted(by_step))
        finished = bool(ordered) and ordered[-1].epoch == epochs
        failure = None if finished else read_failure(run_directory(directory, loss, seed))
        runs.append(Run(loss, seed, ordered, finished, failure))
    if not any(run.finished for run in runs):
        raise UserError(
            f"no run has finished in {directory}: there is nothing to report before one loss has "
            f"been trained for all {epochs} epochs"
        )
    return Experiment(directory, about, tuple(runs), _read_warnings(directory / WARNINGS))


def experiments_in(directory: Path) -> list[Path]:
    """Return the directories of the experiments that one command made in a directory."""
    nested = [directory / start for start in get_args(Start)]
    return [each for each in nested if (each / EXPERIMENT_FILE).is_file()] or [directory]


def read_finished_run(directory: Path, epochs: int) -> tuple[float, float] | None:
    """Return test accuracy and training seconds of a finished run, or None.

    The accuracy is NaN if the network has diverged.

    Raises:
        UserError: results.csv cannot be read.
    """
    for rows in _read_rows(directory / RESULTS).values():
        last = rows[max(rows)]
        if last.epoch == epochs:
            return last.test_accuracy, last.measured("seconds") or 0.0
    return None


def read_failure(directory: Path) -> str | None:
    """Return the line that describes the error that ended a run, or None."""
    try:
        return (directory / FAILURE).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, ValueError):
        return None


def read_correct(
    directory: Path, loss: str, seed: int, diverged: bool = False
) -> NDArray[np.bool_] | None:
    """Return whether a run classified each test image correctly, (N,), or None without
    predictions.npz. One that has diverged is taken to answer the most frequent class.

    Raises:
        UserError: the file is unreadable or its arrays have other types or shapes.
    """
    path = run_directory(directory, loss, seed) / "predictions.npz"
    try:
        predicted, labels = read_arrays(path, "predicted", "labels").values()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from None
    if {predicted.dtype.kind, labels.dtype.kind} - set("biuf"):
        raise UserError(f"cannot use {path}: predicted and labels should be numbers")
    if predicted.ndim != 1 or predicted.shape != labels.shape:
        raise UserError(
            f"cannot use {path}: predicted {predicted.shape} and labels {labels.shape} should "
            "both be (N,)"
        )
    if diverged and len(labels):
        predicted[:] = Counter(labels.tolist()).most_common(1)[0][0]
    right: NDArray[np.bool_] = predicted == labels
    return right


def _read_warnings(path: Path) -> tuple[GradientWarning, ...]:
    if not path.exists():
        return ()
    found = {}
    try:
        for line in csv.DictReader(whole_lines(path)):
            warned = GradientWarning(
                line["loss"],
                int(line["seed"]),
                "vanished" if line["kind"] == "vanished" else "exploded",
                line["layer"],
                int(line["step"]),
                _number(line["value"]),
                line["text"],
            )
            found[warned.loss, warned.seed, warned.kind, warned.layer] = warned
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from None
    return tuple(sorted(found.values(), key=lambda warned: warned.step))


def read_description(directory: Path) -> Any:
    """Read experiment.json of a directory. Raises UserError if it is missing or not JSON."""
    return read_json(
        directory / EXPERIMENT_FILE,
        f"no experiment in {directory}: {EXPERIMENT_FILE} is missing; give a directory that "
        "`lossbench compare` or `lossbench plan` wrote",
    )


def _description(directory: Path) -> dict[str, Any]:
    """Read and check what a report shows of experiment.json. Raises UserError."""
    about, path = read_description(directory), directory / EXPERIMENT_FILE
    config = about.get("config") if isinstance(about, dict) else None
    if not isinstance(config, dict) or not isinstance(config.get("epochs"), int):
        raise UserError(f"cannot use {path}: it says no number of epochs under config.epochs")
    if wrong := schema_error(about, DESCRIPTION) or runs_error(config):
        raise UserError(f"cannot use {path}: {wrong}")
    try:
        read_identities(about)
    except ValueError as error:
        raise UserError(f"cannot use {path}: {error}") from None
    return dict(about)


def runs_error(config: dict[str, Any]) -> str | None:
    """Return what is wrong with the seeds or learning rates of an experiment, or None."""
    seeds, rates = config.get("seeds", 0), list(config.get("learning_rates", {}).values())
    if isinstance(seeds, int) and seeds > MAX_SEEDS:
        return f"config.seeds is more than {MAX_SEEDS:,}"
    wrong = schema_error(seeds, [int] if isinstance(seeds, list) else int, "config.seeds")
    return wrong or schema_error(rates, [NUMBER], "config.learning_rates")


RowsByRun = dict[tuple[str, int], dict[int, Evaluation]]


def _read_rows(path: Path) -> RowsByRun:
    try:
        lines = whole_lines(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    try:
        table = list(csv.reader(lines))
    except csv.Error as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if not table:
        return {}
    header = table[0]
    if missing := [c for c in COLUMNS if c not in header and c != "images"]:
        raise UserError(f"cannot use {path}: it has no column {', '.join(missing)}")
    rows: RowsByRun = {}
    for number, cells in enumerate(table[1:], start=2):
        if len(cells) != len(header):
            # An interruption can tear the last line, and only the last.
            if number == len(table):
                break
            raise UserError(
                f"cannot use {path}: line {number} has {len(cells)} cells, not {len(header)}"
            )
        try:
            named = dict(zip(header, cells, strict=True))
            measured: dict[str, Any] = {name: _number(named[name]) for name in NUMBERS}
            row = Evaluation(
                loss=named["loss"],
                seed=int(named["seed"]),
                epoch=float(named["epoch"]),
                step=int(named["step"]),
                **measured,
                images=named.get("images", ""),
            )
            rows.setdefault((row.loss, row.seed), {})[row.step] = row
        except ValueError as error:
            raise UserError(f"cannot use {path}: line {number}: {error}") from None
    return rows


def _number(cell: str) -> float:
    """Return a cell's value; NaN if it is empty, infinite, or so large that its square is."""
    value = float(cell) if cell else math.nan
    return value if abs(value) < 1e100 else math.nan


def expected_runs(about: dict[str, Any], seen: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return (loss, seed) of every run that was requested or seen, by loss as requested."""
    config, seen = about["config"], set(seen)
    losses = list(dict.fromkeys([*config.get("losses", []), *(loss for loss, _ in sorted(seen))]))
    asked = config.get("seeds", [])
    seeds = {seed for _, seed in seen}
    seeds |= set(asked if isinstance(asked, list) else range(int(asked)))
    keys = seen.union(run_keys(losses, sorted(seeds), read_identities(about)))
    return sorted(keys, key=lambda key: (losses.index(key[0]), key[1]))
