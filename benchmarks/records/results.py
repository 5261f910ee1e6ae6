"""results.csv and warnings.csv of runs, and their collection for an experiment."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lossbench.benchmarks.errors import UserError, one_line

from .files import naming, write_atomically

RESULTS, WARNINGS = "results.csv", "warnings.csv"
"""File names, in the directory of a run and in that of an experiment."""

FAILURE = "failure.txt"
"""File in the directory of a failed run: the error in one line, then its traceback."""


def run_directory(directory: Path, loss: str, seed: int) -> Path:
    """Return the directory of a run of the experiment in `directory`.

    Raises:
        UserError: the name of the loss leads elsewhere; results.csv may come from anyone.
    """
    if Path(loss).is_absolute() or ".." in Path(loss).parts or "\0" in loss:
        raise UserError(f"cannot use {directory}: {loss!r} is no name of a loss")
    return directory / loss / f"seed{seed}"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation of a run, and a row of results.csv. NaN: not measured.

    Attributes:
        loss, seed: the run.
        epoch: epochs trained before, fractional.
        step: steps taken before.
        train_loss, train_accuracy: means over the batches since the last evaluation, before their
            step. The first evaluation has those of the step after it. Accuracies are from 0 to 1.
        validation_loss, validation_accuracy: on the validation images.
        test_loss, test_accuracy: on the test images, in the last row of a run.
        logit_mean_abs, logit_when_wrong, vanished_fraction, parameter_norm: as in
            `GradientStats`, over the same steps as `train_loss`.
        seconds: training time so far, without evaluations and the turns of other runs.
        images_per_second: training speed since the last evaluation.
        images: name of the data, or SYNTHETIC: such rows are not results.
    """

    loss: str
    seed: int
    epoch: float
    step: int
    train_loss: float = math.nan
    train_accuracy: float = math.nan
    validation_loss: float = math.nan
    validation_accuracy: float = math.nan
    test_loss: float = math.nan
    test_accuracy: float = math.nan
    logit_mean_abs: float = math.nan
    logit_when_wrong: float = math.nan
    vanished_fraction: float = math.nan
    parameter_norm: float = math.nan
    seconds: float = math.nan
    images_per_second: float = math.nan
    images: str = ""

    def measured(self, column: str) -> float | None:
        """Return a column's value, None if it was not measured."""
        value = float(getattr(self, column))
        return None if math.isnan(value) else value


GRADIENT_COLUMNS = ("logit_mean_abs", "logit_when_wrong", "vanished_fraction", "parameter_norm")
"""Columns that an evaluation takes from `GradientStats`."""

COLUMNS = [field.name for field in dataclasses.fields(Evaluation)]


WarningKind = Literal["vanished", "exploded"]


@dataclass(frozen=True)
class GradientWarning:
    """A gradient that has vanished or exploded, and a row of warnings.csv.

    Attributes:
        loss, seed: the run.
        kind: 'vanished' or 'exploded'.
        layer: first parameter that is affected, in the order of the model, or 'logit'.
        step: last step of the interval in which it was seen.
        value: mean gradient norm of that layer over the interval. For the logit, mean |dL/dz|: over
            misclassified examples if it has vanished, over all examples if it has exploded.
        text: the warning in one line.
    """

    loss: str
    seed: int
    kind: WarningKind
    layer: str
    step: int
    value: float
    text: str


def append_row(path: Path, row: Evaluation | GradientWarning) -> None:
    """Append a row to a CSV file; its fields are the headings of a new file.

    Raises:
        OSError: it cannot be written.
    """
    cells = [f"{v:.7g}" if isinstance(v, float) else v for v in dataclasses.astuple(row)]
    headings = [field.name for field in dataclasses.fields(row)]
    # Opened for each row, so that written rows survive if the process is killed.
    _append(path, headings, [cells])


def _append(path: Path, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = _csv_text(rows if path.exists() else [headings, *rows])
    with naming(path), path.open("ab") as file:
        file.write(text.encode())


def gather_tables(directory: Path, runs: Iterable[Path]) -> None:
    """Write results.csv and warnings.csv of an experiment from those of its runs, in their order.

    A torn row is left out. A table without rows is not written.

    Raises:
        OSError: a file cannot be read or written.
        UserError: a file is damaged.
    """
    runs = list(runs)
    for name in (RESULTS, WARNINGS):
        headings: list[str] = []
        rows: list[list[str]] = []
        for run in runs:
            heading, found = _read_table(run / name)
            headings = headings or heading
            rows += [row for row in found if heading == headings]
        if rows:
            write_atomically(directory / name, _csv_text([headings, *rows]).encode())
        else:
            (directory / name).unlink(missing_ok=True)


def append_tables(directory: Path, run: Path) -> None:
    """Append the rows of a finished run to results.csv and warnings.csv of an experiment.

    Raises:
        OSError, UserError: as `gather_tables`.
    """
    for name in (RESULTS, WARNINGS):
        headings, rows = _read_table(run / name)
        if rows:
            _append(directory / name, headings, rows)


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the headings of a run's file and its complete rows; empty lists without a file."""
    if not path.exists():
        return [], []
    try:
        headings, *rows = list(csv.reader(whole_lines(path))) or [[]]
    except (ValueError, csv.Error) as error:
        raise UserError(
            f"cannot read {path} ({one_line(error)}): remove the directory of that run, which is "
            "then trained again"
        ) from None
    return headings, [row for row in rows if len(row) == len(headings)]


def whole_lines(path: Path) -> list[str]:
    """Return the complete lines of a growing file. The rest after the last newline may be torn.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8.
    """
    return path.read_bytes().rpartition(b"\n")[0].decode().splitlines()


def _csv_text(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
