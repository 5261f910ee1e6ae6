"""A lab that trains nothing, and what its networks say."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.claim import Budget, Claim
from lossbench.benchmarks.records.claim import Finding, verdict_of
from lossbench.benchmarks.records.results import Evaluation
from lossbench.benchmarks.training.result import Predictions, RunResult


@dataclass
class InventedLab:
    """Its outcomes are what `invent` makes of a trial; `least` seeds are trained and no more."""

    budget: Budget
    invent: Callable[[RunConfig], RunResult]
    most: int = 1000
    asked: list[RunConfig] = field(default_factory=list)

    def train(self, trials: Sequence[RunConfig]) -> list[RunResult]:
        self.asked += trials
        return [self.invent(trial) for trial in trials]

    def say(self, line: str) -> None:
        assert "\n" not in line


def point(step: int, accuracy: float, gradient: float) -> Evaluation:
    return Evaluation(
        loss="mse",
        seed=0,
        step=step,
        epoch=step / 100,
        train_loss=0.5,
        train_accuracy=accuracy,
        validation_loss=0.5,
        validation_accuracy=accuracy,
        logit_mean_abs=gradient,
        logit_when_wrong=gradient,
        vanished_fraction=0.0,
        parameter_norm=gradient,
        seconds=1.0,
    )


def said(z: np.ndarray, labels: np.ndarray) -> Predictions:
    """What a network of one logit says."""
    f = 1 / (1 + np.exp(-z.astype(np.float64)))
    return Predictions(
        outputs=z.astype(np.float32)[:, None],
        probabilities=np.stack([1 - f, f], 1).astype(np.float32),
        predicted=(z > 0).astype(np.int64),
        labels=labels.astype(np.int64),
    )


def right_in(share: float, count: int = 1000, size: float = 2.0) -> Predictions:
    """Of `count` images, half of them of each class, this share is right."""
    labels = np.arange(count) % 2
    right = np.arange(count) < round(share * count)
    return said(np.where(right, size, -size) * (2 * labels - 1), labels)


def outcome(trial: RunConfig, **known: Any) -> RunResult:
    """An outcome of which only this is known."""
    blank: dict[str, Any] = {
        "evaluations": (point(0, 0.5, 0.5), point(100, 0.7, 0.3)),
        "parameter_distance": 1.0,
        "parameters": 100,
        "counts": (900, 900),
        "validation": None,
        "test": None,
        "examples": None,
        "seconds": 1.0,
        "test_loss": 0.5,
    }
    return RunResult(config=trial, **{**blank, **known})


def check(claim: Claim, finding: Finding) -> None:
    """What every finding must be, whatever was measured."""
    assert finding.verdict == verdict_of(finding.measures)
    assert finding.sentence.endswith(".")
    assert finding.pictures
    assert finding.tables
    for picture in finding.pictures:
        assert Image.open(io.BytesIO(picture.png)).width == 1600
        assert len(picture.png) < 250_000
        assert picture.alt.endswith(".")
    for table in finding.tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
    # Thresholds stand in the procedure, before anything is measured.
    for measure in finding.measures:
        for number in [w.strip("+,") for w in measure.wanted.split() if any(map(str.isdigit, w))]:
            assert number in claim.procedure, measure
