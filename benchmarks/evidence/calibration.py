"""Claim: are the probabilities of equally accurate losses calibrated?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.claim import ClaimTable, Finding, Measure, verdict_of
from lossbench.benchmarks.stats.intervals import mean_interval, paired_difference
from lossbench.benchmarks.stats.metrics import brier, expected_calibration_error
from lossbench.benchmarks.stats.verdict import verdict_equivalent
from lossbench.benchmarks.training.result import Predictions, RunResult

from .claim import Budget, Claim, Trainer
from .figures.calibration import draw_errors, draw_reliability
from .figures.rows import draw_tests
from .measures.contrasts import (
    Hypothesis,
    HypothesisTest,
    contrast,
    evaluate_hypotheses,
    plus_minus,
    signed,
    table_of,
    with_span,
)
from .measures.networks import accuracies, over_seeds, tuned

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFERENCE = "cross-entropy"
# Losses whose expectation is least where the model says how probable a class is, and others.
PROPER = (REFERENCE, "bce-with-logits", "softmax-mse", "sigmoid-mse", "mse")
IMPROPER = ("softmax-focal", "label-smoothing", "generalized-cross-entropy", "probability-sum")
LOSSES = (*PROPER, *IMPROPER)
# Accuracies this near to cross-entropy's, in points, are equal.
EQUAL = 3.0
# Probabilities can be believed whose calibration error is below this, in points, ...
BELIEVABLE = 5.0
# ... and are worse than others whose error is smaller by more than this.
GAP = 2.0
FLOOR_DRAWS = 50

Found = Mapping[str, Sequence[RunResult]]


class Size(NamedTuple):
    """Epochs and seeds of a budget."""

    epochs: int
    seeds: int
    search_images: int


SIZES: dict[Budget, Size] = {
    "quick": Size(2, 3, 2_000),
    "standard": Size(4, 5, 3_000),
    "full": Size(20, 10, 9_000),
}


def trial_of(loss: str, size: Size) -> RunConfig:
    return RunConfig(loss=loss, seed=0, learning_rate=0.1, epochs=size.epochs, evaluations=0)


def examine(trainer: Trainer) -> Finding:
    size = SIZES[trainer.budget]
    trainer.say(f"choosing a learning rate for each of {len(LOSSES)} losses")
    rates = tuned(
        trainer,
        [trial_of(loss, size) for loss in LOSSES],
        epochs=min(2, size.epochs),
        train_images=size.search_images,
    )
    trainer.say("every loss with its own learning rate")
    results = dict(zip(LOSSES, over_seeds(trainer, rates, size.seeds), strict=True))
    found = {loss: runs for loss, runs in results.items() if all(map(finite, runs))}
    unequal = [loss for loss in found if loss != REFERENCE and not equal(found, loss)]
    findings = [gated(item, unequal) for item in evaluate_hypotheses(demands_of(found))]
    measures = tuple(item.measure for item in findings) + missing(found)
    errors = {loss: calibration_errors(runs) for loss, runs in found.items()}
    floors = {loss: mean_floor(runs) for loss, runs in found.items()}
    return Finding(
        verdict_of(measures),
        sentence_of(found),
        measures,
        (
            draw_reliability({loss: tested(runs) for loss, runs in found.items()}, PROPER),
            draw_errors(errors, floors, PROPER, BELIEVABLE),
            draw_tests(
                "differences.png",
                "calibration error, or its difference to cross-entropy's, points",
                findings,
            ),
        ),
        (
            loss_table(found, floors),
            table_of("Expected calibration error, points", findings),
        ),
        notes_of(size, [loss for loss in LOSSES if loss not in found], unequal),
    )


def finite(result: RunResult) -> bool:
    """Return whether a network has not diverged; only then are its outputs probabilities."""
    return result.test is not None and bool(np.isfinite(result.test.probabilities).all())


def tested(runs: Sequence[RunResult]) -> list[Predictions]:
    return [run.test for run in runs if run.test is not None]


def calibration_errors(runs: Sequence[RunResult]) -> list[float]:
    """Return the expected calibration error of each network, in points."""
    return [100 * expected_calibration_error(p.probabilities, p.labels) for p in tested(runs)]


def briers(runs: Sequence[RunResult]) -> list[float]:
    """Return the Brier score of each network, from 0 to 2."""
    return [brier(p.probabilities, p.labels) for p in tested(runs)]


def mean_floor(runs: Sequence[RunResult]) -> float:
    """Return the calibration error, in points, that correct probabilities would show.

    Labels are drawn from the probabilities themselves, for the same number of test images.
    """
    rng = np.random.default_rng(0)
    errors = []
    for said in tested(runs):
        p = said.probabilities.astype(np.float64)
        edges = np.cumsum(p / p.sum(1, keepdims=True), axis=1)
        for _ in range(FLOOR_DRAWS):
            drawn = (rng.random((len(p), 1)) > edges).sum(1).clip(max=p.shape[1] - 1)
            errors.append(expected_calibration_error(p, drawn))
    return 100 * float(np.mean(errors))


def cooled(run: RunResult) -> float:
    """Return the calibration error on test images, in points, after temperature scaling.

    The temperature maximises the likelihood of the validation images (Guo et al. 2017).
    """
    from scipy.optimize import minimize_scalar

    assert run.test is not None
    if run.validation is None:
        return float("nan")
    seen = run.validation

    def surprise(log_temperature: float) -> float:
        p = at_temperature(seen.probabilities, float(np.exp(log_temperature)))
        return -float(np.log(p[np.arange(len(p)), seen.labels].clip(1e-12)).mean())

    best = minimize_scalar(surprise, bounds=(-3, 5), method="bounded").x
    p = at_temperature(run.test.probabilities, float(np.exp(best)))
    return 100 * expected_calibration_error(p, run.test.labels)


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return softmax(ln p / temperature); a probability of 0 counts as 1e-7."""
    logs = np.log(probabilities.astype(np.float64).clip(1e-7)) / temperature
    likely = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(likely / likely.sum(1, keepdims=True))


def equal(found: Found, loss: str) -> bool:
    """Return whether a loss is as accurate as cross-entropy.

    The 90 % interval of the difference must lie within the margin (two one-sided tests).
    """
    if REFERENCE not in found:
        return False
    a, b = accuracies(found[loss]), accuracies(found[REFERENCE])
    return verdict_equivalent(paired_difference(a, b, level=0.9), EQUAL) == "holds"


def demands_of(found: Found) -> list[Hypothesis]:
    """Return the hypotheses: proper losses are calibrated, the others less than cross-entropy."""
    demands = []
    for loss in PROPER:
        if loss in found:
            errors = calibration_errors(found[loss])
            against = contrast(loss, loss, errors, [0.0] * len(errors))
            demands.append(Hypothesis(against, "below", BELIEVABLE))
    for loss in IMPROPER:
        if loss in found and REFERENCE in found:
            errors, others = (calibration_errors(found[each]) for each in (loss, REFERENCE))
            against = contrast(f"{loss} minus {REFERENCE}", loss, errors, others)
            demands.append(Hypothesis(against, "above", GAP))
    return demands


def gated(item: HypothesisTest, unequal: Sequence[str]) -> HypothesisTest:
    """Make a test undecided if its loss is not as accurate as cross-entropy."""
    demand, p, measure = item
    if demand.contrast.loss in unequal:
        wanted = f"{measure.wanted}, at equal accuracy, which it has not"
        return HypothesisTest(demand, p, replace(measure, wanted=wanted, verdict="undecided"))
    return item


def missing(found: Found) -> tuple[Measure, ...]:
    """Return an undecided measure for every loss that diverged."""
    return tuple(
        Measure(f"{loss}, points", None, None, None, "probabilities", "undecided")
        for loss in LOSSES
        if loss not in found
    )


def sentence_of(found: Found) -> str:
    means = {loss: float(np.mean(calibration_errors(runs))) for loss, runs in found.items()}
    parts = []
    for group, name in ((PROPER, "proper losses"), (IMPROPER, "the others")):
        listed = ", ".join(f"{loss} {means[loss]:.1f}" for loss in group if loss in means)
        parts.append(f"{name}: {listed}")
    return "Expected calibration error in points, of " + "; of ".join(parts) + "."


def loss_table(found: Found, floors: Mapping[str, float]) -> ClaimTable:
    rows = []
    for loss in LOSSES:
        if loss not in found:
            continue
        runs = found[loss]
        difference = paired_difference(accuracies(runs), accuracies(found[REFERENCE]), level=0.9)
        sure = [100 * float(p.probabilities.max(1).mean()) for p in tested(runs)]
        over = [a - b for a, b in zip(sure, accuracies(runs), strict=True)]
        rows.append(
            (
                loss,
                "proper" if loss in PROPER else "not proper",
                f"{runs[0].config.learning_rate:g}",
                plus_minus(mean_interval(accuracies(runs))),
                "reference" if loss == REFERENCE else with_span(difference),
                plus_minus(mean_interval(calibration_errors(runs))),
                f"{floors[loss]:.1f}",
                signed(float(np.mean(over))),
                plus_minus(mean_interval(briers(runs)), 3),
                f"{np.mean([cooled(run) for run in runs]):.1f}",
            )
        )
    return ClaimTable(
        "Accuracy, calibration and Brier score",
        (
            "loss",
            "kind",
            "learning rate",
            "test accuracy, %",
            "minus cross-entropy (90 %), points",
            "calibration error, points",
            "of right probabilities, points",
            "confidence minus accuracy, points",
            "Brier score",
            "calibration error after temperature scaling, points",
        ),
        tuple(rows),
        (
            "Mean ± half the 95 % t interval over seeds. Calibration error: expected calibration "
            "error of 15 bins (Guo et al. 2017). Of right probabilities: what would be measured "
            "on so many images if each probability were right, because bins are finite. Brier "
            "score: squared error summed over the classes, 0 to 2; always answering 1/2 scores "
            "0.5. Temperature scaling: one number fitted on validation images after training.",
        ),
    )


def notes_of(size: Size, lost: Sequence[str], unequal: Sequence[str]) -> tuple[str, ...]:
    notes = [
        "Equal accuracy is had by giving each loss the learning rate at which it is most accurate "
        f"on validation images (searched on {size.search_images:,} training images for "
        f"{min(2, size.epochs)} epochs), and is shown by the 90 % interval of its difference to "
        f"cross-entropy lying within ±{EQUAL:g} points.",
        f"{size.epochs} epochs: networks this young have not learnt their training images by "
        "heart. The overconfidence of cross-entropy that Guo et al. (2017) report belongs to large "
        "networks trained for long, for which Mukhoti et al. (2020, arXiv 2002.09437) recommend "
        "focal loss; that is not tested here.",
        "An output of mse is read as a probability by (z + 1) / 2, cut off at 0 and 1.",
    ]
    if unequal:
        notes.append(f"Not shown to be as accurate as cross-entropy: {', '.join(unequal)}.")
    if lost:
        notes.append(f"Diverged with some seed, and left out: {', '.join(lost)}.")
    return tuple(notes)


CLAIM = Claim(
    name="calibration",
    question="Of losses that are equally accurate, whose probabilities can be believed?",
    claim=(
        "Those of proper losses, whose expectation is least where the model says how probable a "
        "class is: cross-entropy and squared errors. Focal loss, label smoothing, generalised "
        "cross-entropy and the probability sum are further off."
    ),
    refuted_by=(
        f"A proper loss has a calibration error above {BELIEVABLE:g} points, or one of the others "
        f"is as accurate as cross-entropy and its error no more than {GAP:g} points larger."
    ),
    procedure=(
        "Cats and dogs, nine losses, each with the learning rate at which it is most accurate on "
        "validation images, from the same grid. A loss is as accurate as cross-entropy if the 90 % "
        f"interval of the difference, paired by seed, lies within ±{EQUAL:g} points; with one that "
        "is not, nothing is decided. Expected calibration error of 15 bins on test images: that of "
        f"the five proper losses must be below {BELIEVABLE:g} points; that of the four others, "
        f"minus cross-entropy's and paired by seed, above {GAP:g}. 95 % t intervals over seeds; "
        "the nine p-values are corrected by Holm. Brier scores stand beside them."
    ),
    source=(
        "Gneiting and Raftery 2007, J. American Statistical Association 102, 359-378 (proper "
        "scores); Guo et al. 2017, arXiv 1706.04599 (calibration of networks); Charoenphakdee et "
        "al. 2021, arXiv 2011.09172 (focal loss is not proper)"
    ),
    examine=examine,
)
