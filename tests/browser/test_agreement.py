"""The event files and results.csv hold the same values."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from .conftest import LOSSES, SEEDS

pytestmark = pytest.mark.slow


def read(directory: Path) -> dict[str, dict[int, float]]:
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()
    return {
        tag: {event.step: event.value for event in events.Scalars(tag)}
        for tag in events.Tags()["scalars"]
    }


def rows_of(experiment: Path, loss: str, seed: int) -> list[dict[str, float]]:
    with (experiment / "results.csv").open() as file:
        return [
            {name: float(cell) for name, cell in row.items() if name not in ("loss", "images")}
            for row in csv.DictReader(file)
            if row["loss"] == loss and row["seed"] == f"{seed}"
        ]


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_evaluated_is_in_both(experiment: Path, loss: str, seed: int) -> None:
    events, rows = read(experiment / loss / f"seed{seed}"), rows_of(experiment, loss, seed)
    assert len(rows) > 3
    for tag, column in {
        "accuracy/validation": "validation_accuracy",
        "loss/validation": "validation_loss",
        "accuracy/test": "test_accuracy",
        "loss/test": "test_loss",
        "speed/images_per_second": "images_per_second",
    }.items():
        expected = {int(row["step"]): row[column] for row in rows if not math.isnan(row[column])}
        assert list(events[tag]) == list(expected)
        assert list(events[tag].values()) == pytest.approx(list(expected.values()), rel=1e-6)
    assert list(events["accuracy/test"]) == [rows[-1]["step"]]


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("loss", LOSSES)
def test_a_row_has_the_mean_of_the_windows_since_the_last(experiment, loss, seed) -> None:
    events, rows = read(experiment / loss / f"seed{seed}"), rows_of(experiment, loss, seed)
    # A window reaches from the step after the one before to its own.
    ends = sorted(events["loss/train"])
    steps = dict(zip(ends, np.diff([-1, *ends]), strict=True))
    begin = -1
    for row in rows:
        last = int(row["step"]) == ends[-1] + 1
        end = ends[-1] if last else int(row["step"])
        within = [step for step in ends if begin < step <= end]
        for tag, column in {
            "loss/train": "train_loss",
            "accuracy/train": "train_accuracy",
            "gradient/parameter_norm": "parameter_norm",
            "gradient/logit_mean_abs": "logit_mean_abs",
        }.items():
            # Every batch is full, so that a step's examples weigh as much as any other's.
            mean = np.average([events[tag][s] for s in within], weights=[steps[s] for s in within])
            assert row[column] == pytest.approx(mean, rel=1e-5)
        begin = end


@pytest.mark.parametrize("loss", LOSSES)
def test_the_board_has_the_mean_over_seeds(experiment: Path, loss: str) -> None:
    board = read(experiment / "tensorboard" / loss)
    seeds = [read(experiment / loss / f"seed{seed}") for seed in range(SEEDS)]
    for tag in set().union(*seeds):
        for step, value in board[tag].items():
            # What is measured once is drawn as a level line from the first step on.
            once = [next(iter(seed[tag].values())) for seed in seeds if len(seed[tag]) == 1]
            each = once or [seed[tag][step] for seed in seeds if step in seed[tag]]
            assert value == pytest.approx(np.mean(each), rel=1e-5)
