"""A lab that trains nothing: its outcomes are what a test says they are."""

import dataclasses
import importlib
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.claim import verdict_of
from lossbench.benchmarks.records.results import Evaluation
from lossbench.benchmarks.training.result import Predictions, RunResult

RATES = (0.01, 0.1)


NUMBERS = {
    field.name: 0.5
    for field in dataclasses.fields(Evaluation)
    if field.name not in ("loss", "seed", "epoch", "step", "images")
}


def predictions(
    trial: RunConfig,
    classes: int,
    recalls: list[float],
    sure: Callable[[np.ndarray], np.ndarray] | None,
    count: int,
) -> Predictions:
    """`count` images of each class, of which the share `recalls[class]` is right, and each seed
    errs on a few others. `sure` makes confidences of who is right; by default 0.8 everywhere."""
    labels = np.arange(classes * count) % classes
    hard = np.random.default_rng(5).permuted(np.arange(count))
    jitter = np.random.default_rng(trial.seed).normal(0, 0.004 * count, count)
    rank = (hard + jitter) / count
    right = rank[np.arange(len(labels)) // classes] < np.array(recalls)[labels]
    predicted = np.where(right, labels, (labels + 1) % classes)
    top = np.full(len(labels), 0.8) if sure is None else sure(right)
    probabilities = np.full((len(labels), classes), 0.0)
    probabilities += ((1 - top) / (classes - 1))[:, None]
    probabilities[np.arange(len(labels)), predicted] = top
    outputs = np.log(np.clip(probabilities, 1e-9, 1))
    return Predictions(
        outputs.astype(np.float32), probabilities.astype(np.float32), predicted, labels
    )


class FakeLab:
    """Outcomes of `recalls(trial)`, the share of each class that is right."""

    def __init__(self, budget, recalls, *, classes=2, sure=None, count=500):
        self.budget, self.recalls, self.classes = budget, recalls, classes
        self.sure, self.count = sure, count
        self.trained: list[RunConfig] = []
        self.searches: list[RunConfig] = []

    def outcome(self, trial: RunConfig) -> RunResult:
        classes = self.classes(trial) if callable(self.classes) else self.classes
        sure = None if self.sure is None else lambda right: self.sure(trial, right)
        said = predictions(trial, classes, list(self.recalls(trial)), sure, self.count)
        end = Evaluation(loss=trial.loss, seed=trial.seed, epoch=0.5, step=1, **NUMBERS)
        counts = [900] * classes
        counts[1] = round(900 / trial.imbalance)
        return RunResult(
            trial, (end,), 1.0, 100, tuple(counts), said, said if trial.test else None, None, 1.0
        )

    def train(self, trials):
        self.trained += trials
        return [self.outcome(trial) for trial in trials]

    def searched(self, trials):
        self.searches += trials
        return [
            [
                self.outcome(dataclasses.replace(trial, learning_rate=rate, seed=1000, test=False))
                for rate in RATES
            ]
            for trial in trials
        ]

    def tuned(self, trials):
        self.searches += trials
        return [dataclasses.replace(trial, learning_rate=0.03) for trial in trials]

    def say(self, line):
        assert "\n" not in line


@pytest.fixture
def fake_lab():
    return FakeLab


DRAWING = ("figures.calibration", "imbalance", "multiclass", "noise", "figures.rows")


@pytest.fixture(autouse=True)
def no_ink(request, monkeypatch):
    """Pictures are laid out and not painted, which takes most of the time, unless they are
    looked at."""
    if "check_finding" not in request.fixturenames:
        for name in DRAWING:
            module = importlib.import_module(f"lossbench.benchmarks.evidence.{name}")
            monkeypatch.setattr(module, "render_png", lambda *_: b"")


@pytest.fixture
def check_finding():
    """What every finding of a claim must be, whatever was measured."""

    def check(claim, finding, lab):
        assert finding.verdict == verdict_of(finding.measures)
        assert finding.sentence.endswith(".")
        assert "nan" not in finding.sentence
        assert len({picture.name for picture in finding.pictures}) == len(finding.pictures) >= 1
        for picture in finding.pictures:
            image = Image.open(io.BytesIO(picture.png))
            assert image.width == 1600
            assert len(picture.png) < 250_000
            assert picture.alt.endswith(".")
            assert "nan" not in picture.alt
        for table in finding.tables:
            assert table.rows
            assert {len(row) for row in table.rows} == {len(table.columns)}
        # The thresholds of the measures stand in the procedure, before anything is measured.
        for measure in finding.measures:
            number = measure.wanted.split()[1].lstrip("+")
            assert number in claim.procedure, measure
        check_fairness(lab)

    return check


def check_fairness(lab):
    """Test images are asked for at the end alone, seeds are paired, rates are those found."""
    assert not any(trial.test for trial in lab.searches)
    tested = [trial for trial in lab.trained if trial.test]
    assert tested == lab.trained
    assert {trial.learning_rate for trial in tested} == {0.03}
    seeds = {}
    for trial in tested:
        treatment = dataclasses.replace(trial, seed=0)
        seeds.setdefault(treatment, []).append(trial.seed)
    assert len({tuple(each) for each in seeds.values()}) <= 2  # a number a data set
    assert all(len(set(each)) >= 3 for each in seeds.values())
