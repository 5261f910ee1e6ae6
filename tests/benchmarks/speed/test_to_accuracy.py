"""A time to an accuracy is that of the training up to it, and of both ways to it."""

import math
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report.render import markdown
from lossbench.benchmarks.speed import table, to_accuracy
from lossbench.benchmarks.speed.interleaved import Ratio
from lossbench.benchmarks.speed.row import Row
from lossbench.benchmarks.speed.to_accuracy import Reached, preset, preset_trial, straightforward
from lossbench.benchmarks.speed.usual import image_set
from lossbench.benchmarks.training.result import RunConfig

CPU = torch.device("cpu")
TRIAL = replace(preset_trial(), model="convnet", width=4, epochs=6, batch_size=16)


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    """Bright pictures and dark ones."""
    monkeypatch.setattr(to_accuracy, "MOST_WORKERS", 1)
    monkeypatch.setattr(to_accuracy, "BATCH", 16)
    pictures = np.random.default_rng(0).integers(0, 40, (128, 32, 32, 3), dtype=np.uint8)
    pictures[1::2] += 200
    return image_set(pictures)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One more for each step of an optimiser."""
    taken: list[int] = []
    plain = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *a: (taken.append(1), plain(*a))[1])
    return taken


@pytest.mark.parametrize("way", [preset, straightforward])
def test_it_ends_where_it_is_right_often_enough(way, easy: ImageSet, steps: list[int]) -> None:
    whole = way(easy, TRIAL, CPU, 1.01)
    assert whole.accuracy == 1
    assert len(steps) == TRIAL.epochs * 128 // 16
    steps.clear()
    soon = way(easy, TRIAL, CPU, 0.4)
    assert len(steps) <= (TRIAL.epochs - 1) * 128 // 16
    assert soon.seconds > 0
    assert soon.accuracy >= 0.4


@pytest.mark.parametrize("way", [preset, straightforward])
def test_what_is_not_reached_takes_the_whole_training(
    way, easy: ImageSet, steps: list[int]
) -> None:
    turned = replace(easy, test=replace(easy.test, labels=1 - easy.test.labels))
    found = way(turned, TRIAL, CPU, 0.9)
    assert found.accuracy < 0.5
    assert found.seconds > 0
    assert len(steps) == TRIAL.epochs * 128 // 16


def test_the_preset_s_training_is_the_one_that_compare_makes() -> None:
    trial = preset_trial()
    assert (trial.model, trial.width, trial.epochs) == ("resnet9", 24, 80)
    assert trial.test_time_augmentation == "mirror-shift"
    assert isinstance(trial, RunConfig)


@pytest.mark.parametrize(("accuracy", "times"), [(0.885, 3.0), (0.87, math.nan)])
def test_who_does_not_get_there_has_no_time(
    accuracy: float, times: float, easy: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_accuracy, "open_images", lambda *_, **__: easy)
    monkeypatch.setattr(to_accuracy, "preset", lambda *_: Reached(10.0, accuracy))
    monkeypatch.setattr(to_accuracy, "straightforward", lambda *_: Reached(30.0, 0.86))
    found = to_accuracy.measure(0)
    assert found.median == pytest.approx(times, nan_ok=True)
    assert found.note.endswith("straightforward 86.00 % after 30.0 s")
    row = Row("cuda", "a row", to_accuracy.measure, 1.0, at_least=True)
    assert row.met(found) == (times > 1)


def test_a_row_without_images_is_left_out_and_a_note_is_written(tmp_path) -> None:
    def missing(_seconds: float) -> Ratio:
        raise UserError("no images")

    there = Row("cuda", "there", lambda _: Ratio(1, 1, 1, 2, "a note"), 1.0)
    said: list[str] = []
    found = list(table.measured([Row("cuda", "gone", missing, 1.0), there], 0, said.append))
    assert [each.row.name for each in found] == ["there"]
    assert said == ["1 of 2: gone", "left out: no images", "2 of 2: there"]
    assert "there: a note." in markdown(table.page(found))
    table.write(found, tmp_path, datetime(2026, 1, 2))
