"""Claim: are the probabilities of equally accurate losses calibrated?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import MISSING
from lossbench.benchmarks.plots.intervals import SEEDS, RowPanel, draw_intervals
from lossbench.benchmarks.plots.reliability import draw_reliability
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Measure
from lossbench.benchmarks.stats.contrasts import contrast
from lossbench.benchmarks.stats.intervals import paired_difference
from lossbench.benchmarks.stats.metrics import brier, expected_calibration_error
from lossbench.benchmarks.stats.verdict import verdict_equivalent
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim, ClaimTrainer, Size
from .figures import figure, hypothesis_figure, seed_row
from .measures import Hypothesis, HypothesisTest, evaluate_hypotheses, hypothesis_table, table
from .runs import Runs, accuracies, tested, train_seeds, tune
from .text import mean_text, signed, with_span

REFERENCE = "cross-entropy"
# Proper losses, whose expectation is least at the true probabilities, and others.
PROPER = (REFERENCE, "bce-with-logits", "softmax-mse", "sigmoid-mse", "mse")
IMPROPER = ("softmax-focal", "label-smoothing", "generalized-cross-entropy", "probability-sum")
LOSSES = (*PROPER, *IMPROPER)
# Accuracies this near to cross-entropy's, in points, are equal.
EQUAL = 3.0
# Probabilities are reliable if their calibration error is below this, in points, ...
RELIABLE = 5.0
# ... and worse than others whose error is smaller by more than this.
MARGIN = 2.0
FLOOR_DRAWS = 50


@dataclass
class Calibration(Analysis):
    """Runs of every loss at its own learning rate; those of a loss that diverged are left out."""

    all_runs: dict[str, list[RunResult]]
    size: Size

    @classmethod
    def train(cls, trainer: ClaimTrainer, size: Size) -> Self:
        trainer.say(f"choosing a learning rate for each of {len(LOSSES)} losses")
        configs = {
            loss: RunConfig(loss, 0, 0.1, epochs=size.epochs, evaluations=0) for loss in LOSSES
        }
        epochs = min(2, size.epochs)
        tuned = tune(trainer, configs, epochs=epochs, train_images=size.search_images)
        trainer.say("every loss with its own learning rate")
        return cls(train_seeds(trainer, tuned, size.seeds), size)

    def __post_init__(self) -> None:
        self.runs = {loss: runs for loss, runs in self.all_runs.items() if all(map(finite, runs))}
        self.diverged = [loss for loss in LOSSES if loss not in self.runs]
        self.accuracies = {loss: accuracies(runs) for loss, runs in self.runs.items()}
        self.errors = {loss: calibration_errors(runs) for loss, runs in self.runs.items()}
        self.floors = {loss: floor(runs) for loss, runs in self.runs.items()}
        self.unequal = [
            loss for loss in self.runs if loss != REFERENCE and not self.as_accurate(loss)
        ]
        self.tests = [self.gate(test) for test in evaluate_hypotheses(self.hypotheses())]

    def as_accurate(self, loss: str) -> bool:
        """Return whether a loss is as accurate as cross-entropy.

        The 90 % interval of the difference must lie within the margin (two one-sided tests).
        """
        if REFERENCE not in self.runs:
            return False
        ours, reference = self.accuracies[loss], self.accuracies[REFERENCE]
        return verdict_equivalent(paired_difference(ours, reference, level=0.9), EQUAL) == "holds"

    def hypotheses(self) -> list[Hypothesis]:
        """Return the hypotheses: proper losses are calibrated, others less than cross-entropy."""
        proper = [
            Hypothesis(loss, loss, contrast(errors, [0.0] * len(errors)), "below", RELIABLE)
            for loss in PROPER
            if (errors := self.errors.get(loss))
        ]
        reference = self.errors.get(REFERENCE)
        improper = [
            Hypothesis(
                f"{loss} minus {REFERENCE}",
                loss,
                contrast(self.errors[loss], reference),
                "above",
                MARGIN,
            )
            for loss in IMPROPER
            if loss in self.errors and reference
        ]
        return proper + improper

    def gate(self, test: HypothesisTest) -> HypothesisTest:
        """Make a test undecided if its loss is not as accurate as cross-entropy."""
        if test.hypothesis.loss not in self.unequal:
            return test
        wanted = f"{test.measure.wanted}, at equal accuracy, which it does not have"
        return test._replace(measure=replace(test.measure, wanted=wanted, verdict="undecided"))

    def measures(self) -> Sequence[Measure]:
        missing = [
            Measure(f"{loss}, points", None, None, None, "probabilities", "undecided")
            for loss in self.diverged
        ]
        return [*(test.measure for test in self.tests), *missing]

    def sentence(self) -> str:
        parts = []
        for group, name in ((PROPER, "proper losses"), (IMPROPER, "the others")):
            listed = ", ".join(
                f"{loss} {float(np.mean(self.errors[loss])):.1f}"
                for loss in group
                if loss in self.errors
            )
            parts.append(f"{name}: {listed}")
        return "Expected calibration error in points, of " + "; of ".join(parts) + "."

    def figures(self) -> Sequence[ClaimFigure]:
        x_label = "calibration error, or its difference from cross-entropy's, points"
        return (
            self._reliability_figure(),
            self._error_figure(),
            hypothesis_figure(x_label, self.tests),
        )

    def _reliability_figure(self) -> ClaimFigure:
        pooled, texts, parts = {}, {}, []
        for loss, runs in self.runs.items():
            probabilities = np.concatenate([each.probabilities for each in tested(runs)])
            pooled[loss] = probabilities, np.concatenate([each.labels for each in tested(runs)])
            # Not of the pooled predictions: seeds that err on opposite sides would cancel out.
            error, accuracy = np.mean(self.errors[loss]), np.mean(self.accuracies[loss])
            texts[loss] = f"{kind(loss)}\ncalibration error {error:.1f}\naccuracy {accuracy:.1f}"
            parts.append(f"{loss} {error:.1f}")
        return figure(
            "reliability.png",
            draw_reliability,
            pooled,
            texts,
            title="Is the accuracy of a network as high as its confidence?",
            caption=(
                "On the dotted line accuracy equals confidence. Below it, the network is "
                "overconfident; above it, underconfident. The larger a marker, the more "
                "predictions it stands for. Points: the predictions of all seeds together; "
                "calibration error and accuracy: mean over seeds."
            ),
            alt=f"Expected calibration error in points, mean over seeds: {'; '.join(parts)}.",
        )

    def _error_figure(self) -> ClaimFigure:
        order = sorted(self.errors, key=lambda loss: (loss in IMPROPER, np.mean(self.errors[loss])))
        rows = [
            seed_row(f"{loss}  ({kind(loss)})", loss, self.errors[loss], floor=self.floors[loss])
            for loss in order
        ]
        panel = RowPanel(
            rows,
            "expected calibration error on test images, points",
            references={RELIABLE: f"reliable below {RELIABLE:g}"},
            limits=(0, None),
        )
        listed = "; ".join(f"{loss} {np.mean(self.errors[loss]):.1f}" for loss in order)
        return figure(
            "errors.png",
            draw_intervals,
            [panel],
            title="How far are probabilities from calibration?",
            caption=(
                f"{SEEDS} Grey: error of as many images if every probability were right, which is "
                "not 0 because bins are finite."
            ),
            alt=f"Expected calibration error in points: {listed}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        losses = table(
            "Accuracy, calibration and Brier score",
            [loss for loss in LOSSES if loss in self.runs],
            {
                "loss": str,
                "kind": kind,
                "learning rate": lambda loss: f"{self.runs[loss][0].config.learning_rate:g}",
                "test accuracy, %": lambda loss: mean_text(self.accuracies[loss]),
                "minus cross-entropy (90 %), points": self._difference,
                "calibration error, points": lambda loss: mean_text(self.errors[loss]),
                "of right probabilities, points": lambda loss: f"{self.floors[loss]:.1f}",
                "confidence minus accuracy, points": lambda loss: signed(
                    float(np.mean(overconfidence(self.runs[loss])))
                ),
                "Brier score": lambda loss: mean_text(
                    [brier(p.probabilities, p.labels) for p in tested(self.runs[loss])], 3
                ),
                "calibration error after temperature scaling, points": lambda loss: (
                    f"{np.mean([scaled_error(run) for run in self.runs[loss]]):.1f}"
                ),
            },
            "Mean ± half the 95 % t interval over seeds. Calibration error: expected calibration "
            "error of 15 bins (Guo et al. 2017). Of right probabilities: the error of as many "
            "images if each probability were right, because bins are finite. Brier score: squared "
            "error summed over the classes, 0 to 2; always predicting 1/2 scores 0.5. Temperature "
            "scaling: one number fitted on validation images after training.",
        )
        return (losses, hypothesis_table("Expected calibration error, points", self.tests))

    def _difference(self, loss: str) -> str:
        if loss == REFERENCE:
            return "reference"
        reference = self.accuracies.get(REFERENCE)
        if reference is None:
            return MISSING
        return with_span(paired_difference(self.accuracies[loss], reference, level=0.9))

    def notes(self) -> Sequence[str]:
        size = self.size
        notes = [
            "Each loss has the learning rate at which it is most accurate on validation images "
            f"(searched on {size.search_images:,} training images for {min(2, size.epochs)} "
            "epochs), so that accuracies are equal. They count as equal if the 90 % interval of "
            f"the difference from cross-entropy lies within ±{EQUAL:g} points.",
            f"{size.epochs} epochs: networks after so few have not memorised their training "
            "images. The overconfidence of cross-entropy that Guo et al. (2017) report belongs to "
            "large networks trained for long, for which Mukhoti et al. (2020, arXiv 2002.09437) "
            "recommend focal loss; that is not tested here.",
            "An output of mse is read as a probability by (z + 1) / 2, cut off at 0 and 1.",
        ]
        if self.unequal:
            notes.append(
                f"Not shown to be as accurate as cross-entropy: {', '.join(self.unequal)}."
            )
        if self.diverged:
            notes.append(f"Diverged with some seed, and left out: {', '.join(self.diverged)}.")
        return notes


def kind(loss: str) -> str:
    """Return 'proper' or 'not proper': whether true probabilities minimise the expected loss."""
    return "proper" if loss in PROPER else "not proper"


def finite(run: RunResult) -> bool:
    """Return whether a network has not diverged; only then are its outputs probabilities."""
    return run.test is not None and bool(np.isfinite(run.test.probabilities).all())


def calibration_errors(runs: Runs) -> list[float]:
    """Return the expected calibration error of each network, in points."""
    return [100 * expected_calibration_error(p.probabilities, p.labels) for p in tested(runs)]


def overconfidence(runs: Runs) -> list[float]:
    """Return the mean confidence minus the accuracy of each network, in points."""
    confidence = [100 * float(p.probabilities.max(1).mean()) for p in tested(runs)]
    return [a - b for a, b in zip(confidence, accuracies(runs), strict=True)]


def floor(runs: Runs) -> float:
    """Return the mean calibration error, in points, that correct probabilities would have.

    Labels are drawn from the probabilities themselves, for the same number of test images.
    """
    rng = np.random.default_rng(0)
    errors = []
    for predictions in tested(runs):
        p = predictions.probabilities.astype(np.float64)
        edges = np.cumsum(p / p.sum(1, keepdims=True), axis=1)
        for _ in range(FLOOR_DRAWS):
            labels = (rng.random((len(p), 1)) > edges).sum(1).clip(max=p.shape[1] - 1)
            errors.append(expected_calibration_error(p, labels))
    return 100 * float(np.mean(errors))


def scaled_error(run: RunResult) -> float:
    """Return the calibration error on test images, in points, after temperature scaling.

    The temperature maximises the likelihood of the validation images (Guo et al. 2017).
    """
    validation, test = run.validation, run.test
    assert test is not None
    if validation is None:
        return math.nan

    def negative_log_likelihood(log_temperature: float) -> float:
        p = at_temperature(validation.probabilities, float(np.exp(log_temperature)))
        return -float(np.log(p[np.arange(len(p)), validation.labels].clip(1e-12)).mean())

    best = minimize_scalar(negative_log_likelihood, bounds=(-3, 5), method="bounded").x
    p = at_temperature(test.probabilities, float(np.exp(best)))
    return 100 * expected_calibration_error(p, test.labels)


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return softmax(ln p / temperature); a probability of 0 counts as 1e-7."""
    logs = np.log(probabilities.astype(np.float64).clip(1e-7)) / temperature
    exponentials = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(1, keepdims=True))


CLAIM = Claim(
    name="calibration",
    question="Of losses that are equally accurate, whose probabilities are reliable?",
    claim=(
        "Those of proper losses, whose expectation is least where the model says how probable a "
        "class is: cross-entropy and squared errors. Those of focal loss, label smoothing, "
        "generalised cross-entropy and the probability sum are less calibrated."
    ),
    refuted_by=(
        f"A proper loss has a calibration error above {RELIABLE:g} points, or one of the others "
        f"is as accurate as cross-entropy and its error no more than {MARGIN:g} points larger."
    ),
    procedure=(
        "Cats and dogs, nine losses, each with the learning rate at which it is most accurate on "
        "validation images, from the same grid. A loss is as accurate as cross-entropy if the 90 % "
        f"interval of the difference, paired by seed, lies within ±{EQUAL:g} points; with one that "
        "is not, nothing is decided. Expected calibration error of 15 bins on test images: that of "
        f"the five proper losses must be below {RELIABLE:g} points; that of the four others, "
        f"minus cross-entropy's and paired by seed, above {MARGIN:g}. 95 % t intervals over seeds; "
        "the nine p-values are corrected by Holm. Brier scores are measured beside them."
    ),
    source=(
        "Gneiting and Raftery 2007, J. American Statistical Association 102, 359-378 (proper "
        "scores); Guo et al. 2017, arXiv 1706.04599 (calibration of networks); Charoenphakdee et "
        "al. 2021, arXiv 2011.09172 (focal loss is not proper)"
    ),
    sizes={
        "quick": Size(epochs=2, seeds=3, search_images=2_000),
        "standard": Size(epochs=4, seeds=5, search_images=3_000),
        "full": Size(epochs=20, seeds=10, search_images=9_000),
    },
    analysis=Calibration,
)
