"""results.csv: one row an evaluation, appended as it is made, so it is readable at any time."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """A row of results.csv.

    Attributes:
        loss, seed: the run. epoch, step: what had been trained when this was measured; epochs
            in parts.
        train_loss, train_accuracy, logit_mean_abs, logit_when_wrong, vanished_fraction,
            parameter_norm: means over the steps since the row before, in the first row those of
            the one step that follows it (benchmarks.training.probes).
        validation_loss, validation_accuracy: on the images held out of training, NaN where none
            are. Accuracies are fractions from 0 to 1.
        test_loss, test_accuracy: on the test images in a run's last row, NaN in all others.
        seconds: of training so far, evaluations excluded. images_per_second: since
            the row before.
        images: the data's name, or SYNTHETIC: such rows are no result.
    """

    loss: str
    seed: int
    epoch: float
    step: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    test_loss: float
    test_accuracy: float
    logit_mean_abs: float
    logit_when_wrong: float
    vanished_fraction: float
    parameter_norm: float
    seconds: float
    images_per_second: float
    images: str


COLUMNS = [field.name for field in dataclasses.fields(Evaluation)]


class Results:
    """Appends to a results.csv, a row at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            self._append(COLUMNS)

    def add(self, row: Evaluation) -> None:
        self._append([f"{v:.7g}" if isinstance(v, float) else v for v in dataclasses.astuple(row)])

    def _append(self, cells: list[Any]) -> None:
        # Opened for each row: what has been written is on disk whatever happens next.
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(cells)
