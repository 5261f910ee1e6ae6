"""results.csv and warnings.csv: a run's grow by a row at a time, an experiment's are gathered."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossbench.benchmarks.errors import UserError, one_line

from .files import write_atomically

RESULTS, WARNINGS = "results.csv", "warnings.csv"
"""Their names, in the directory of a run and in that of an experiment."""

FAILURE = "failure.txt"
"""In the directory of a run that ended by an error: one line that says which, and where it was."""


def run_directory(directory: Path, loss: str, seed: int) -> Path:
    """The directory of a run of the experiment in `directory`.

    Raises UserError for a name of a loss that leads elsewhere: results.csv may be anybody's.
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


class CsvFile:
    """A CSV file that grows by a row at a time and is made for the first, headings included. What
    has been added is in the file, whatever happens next.

    Args:
        columns: the headings; a row is a dataclass with these fields.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns

    def add(self, row: Any) -> None:
        """Append a row. Raises OSError if it cannot be written."""
        cells = [f"{v:.7g}" if isinstance(v, float) else v for v in dataclasses.astuple(row)]
        rows = [cells] if self.path.exists() else [self.columns, cells]
        # Opened for each row: what has been written is in the file whatever happens next.
        with self.path.open("ab") as file:
            file.write(_text(rows).encode())


def gather_tables(directory: Path, runs: Iterable[Path]) -> None:
    """Write results.csv and warnings.csv of the experiment in `directory` anew, from those of its
    `runs`, in their order. A row that was torn by an interruption is left out, and there is no file
    without a row.

    Raises OSError if one cannot be read or written, UserError if one is damaged.
    """
    runs = list(runs)
    for name in (RESULTS, WARNINGS):
        headings: list[str] = []
        rows: list[list[str]] = []
        for run in runs:
            heading, found = _table(run / name)
            headings = headings or heading
            rows += [row for row in found if heading == headings]
        if rows:
            write_atomically(directory / name, _text([headings, *rows]).encode())
        else:
            (directory / name).unlink(missing_ok=True)


class TableAppender:
    """results.csv and warnings.csv of an experiment while its runs end, one after the other. Each
    run is read once: the hundredth costs no more than the first.

    Args:
        directory: of the experiment.
        runs: the directories of the runs that have ended before.

    Raises OSError and UserError, as `add` does, as `gather_tables`.
    """

    def __init__(self, directory: Path, runs: Iterable[Path]) -> None:
        self.directory = directory
        gather_tables(directory, runs)

    def add(self, run: Path) -> None:
        """Append the rows of a run that has ended."""
        for name in (RESULTS, WARNINGS):
            headings, rows = _table(run / name)
            if rows:
                path = self.directory / name
                text = _text(rows if path.exists() else [headings, *rows])
                with path.open("ab") as file:
                    file.write(text.encode())


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The headings of a run's file and its rows that are whole; none where there is no file."""
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
    """The lines of a file that grows. What an interruption has left behind the last line's end is
    no line: its last number may lack digits.

    Raises OSError if it cannot be read, ValueError if it is no UTF-8.
    """
    return path.read_bytes().rpartition(b"\n")[0].decode().splitlines()


def _text(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
