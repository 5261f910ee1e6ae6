"""Claim: are the probabilities of equally accurate losses calibrated?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.plots.intervals import SEEDS, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.plots.reliability import reliability_panel
from lossbench.benchmarks.records.claim import ClaimTable
from lossbench.benchmarks.stats.metrics import brier, debiased_calibration_error
from lossbench.benchmarks.training.result import Predictions

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, seed_row, tests_figure
from .links import LINKS
from .measures import difference_text, table, tests_table, with_interval
from .runs import Runs, accuracies, accuracy_difference, is_finite, tested
from .text import mean_text, signed
from .tuned import EPOCHS, RATES, end_notes, search_table, tuned

REFERENCE = "cross-entropy"
# Proper losses, whose expectation is least at the true probabilities, and others.
PROPER = (REFERENCE, "sigmoid-mse", "mse")
IMPROPER = ("softmax-focal", "generalized-cross-entropy", "label-smoothing", "probability-sum")
LOSSES = (*PROPER, *IMPROPER)
# Those that decide. Outputs of mse are cut off at 0 and 1, a tenth of label smoothing moves little,
# and the probability sum has no inverse link: they are measured beside them.
CALIBRATED, BENT = (REFERENCE, "sigmoid-mse"), ("softmax-focal", "generalized-cross-entropy")
# Probabilities are reliable if their calibration error is below this, in points, ...
RELIABLE = 6.0
# ... and worse than others whose error is smaller by more than this.
MARGIN = 2.0
# Accuracies this near to cross-entropy's, in points, are equal.
EQUAL = 3.0
DRAWS = 200

CELLS = {loss: tuned(loss) for loss in LOSSES}
DESIGN = Design(
    question="Of losses that are equally accurate, whose probabilities are reliable?",
    expects=(
        *(Expected(f"{loss}: calibration error", "below", RELIABLE) for loss in CALIBRATED),
        *(
            Expected(f"{loss} minus {REFERENCE}, calibration error", "above", MARGIN)
            for loss in BENT
        ),
        *(
            Expected(f"{loss}, after its inverse link minus before", "below", -MARGIN)
            for loss in BENT
        ),
        *(
            Expected(f"{loss} minus {REFERENCE}, test accuracy", "within", EQUAL)
            for loss in (*CALIBRATED[1:], *BENT)
        ),
    ),
    cells=CELLS,
    searches=CELLS,
    rates=RATES,
)


@dataclass
class Calibration(Analysis):
    """Runs of every loss at its own learning rate."""

    def __post_init__(self) -> None:
        self.accuracies = {loss: accuracies(runs) for loss, runs in self.runs.items()}
        self.errors = {loss: CalibrationErrors.of(runs) for loss, runs in self.runs.items()}
        self.linked = {
            loss: CalibrationErrors.of(self.runs[loss], link) for loss, link in LINKS.items()
        }

    def tests(self) -> list[Tested]:
        """Test calibration errors and accuracies."""
        errors, reference = self.errors, self.runs[REFERENCE]
        return DESIGN.test(
            [
                *(errors[loss].quantity() for loss in CALIBRATED),
                *(errors[loss].quantity(errors[REFERENCE]) for loss in BENT),
                *(self.linked[loss].quantity(errors[loss]) for loss in BENT),
                *(
                    accuracy_difference(self.runs[loss], reference)
                    for loss in (*CALIBRATED[1:], *BENT)
                ),
            ]
        )

    def sentence(self) -> str:
        return (
            "The probabilities of cross-entropy have a calibration error of "
            f"{with_interval(self.tests()[0])} points on test images."
        )

    def figures(self) -> Sequence[PanelFigure]:
        return (
            self._reliability_figure(),
            self._error_figure(),
            tests_figure(self.tests(), [*CALIBRATED, *BENT, *BENT, *CALIBRATED[1:], *BENT]),
        )

    def _reliability_figure(self) -> PanelFigure:
        panels, parts = [], []
        for loss, runs in self.runs.items():
            finite = [each for each in tested(runs) if is_finite(each)]
            if not finite:
                continue
            # Not of the pooled predictions: seeds that err on opposite sides would cancel out.
            error, accuracy = np.mean(self.errors[loss].values), np.mean(self.accuracies[loss])
            panels.append(
                reliability_panel(
                    loss,
                    np.concatenate([each.probabilities for each in finite]),
                    np.concatenate([each.labels for each in finite]),
                    f"{properness(loss)}\ncalibration error {error:.1f}\naccuracy {accuracy:.1f}",
                )
            )
            parts.append(f"{loss} {error:.1f}")
        return figure(
            "reliability.png",
            panels,
            title="Is the accuracy of a network as high as its confidence?",
            columns=3,
            caption=(
                "Accuracy over confidence, %. On the grey line they are equal. Below it, the "
                "network is overconfident; above it, underconfident. The larger a marker, the more "
                "predictions it stands for. Points: the predictions of all seeds together; "
                "calibration error and accuracy: mean over seeds."
            ),
            alt=f"Calibration error in points, mean over seeds: {'; '.join(parts)}.",
        )

    def _error_figure(self) -> PanelFigure:
        order = sorted(LOSSES, key=lambda x: (x in IMPROPER, np.mean(self.errors[x].values)))
        rows = []
        for loss in order:
            rows.append(seed_row(f"{loss}  ({properness(loss)})", loss, self.errors[loss].values))
            if loss in LINKS:
                values = self.linked[loss].values
                rows.append(seed_row("… after its inverse link", loss, values, hollow=True))
        panel = RowPanel(
            rows,
            "calibration error on test images, points",
            references={RELIABLE: f"reliable below {RELIABLE:g}"},
            limits=(0, None),
        )
        listed = "; ".join(f"{row.label} {row.text}" for row in rows)
        return figure(
            "errors.png",
            [panel],
            title="How far are probabilities from calibration?",
            caption=SEEDS,
            alt=f"Calibration error in points: {listed}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        names = {loss: loss for loss in LOSSES}
        losses = table(
            "Accuracy, calibration and Brier score",
            LOSSES,
            {
                "loss": str,
                "kind": properness,
                "learning rate": lambda loss: f"{self.runs[loss][0].config.learning_rate:g}",
                "test accuracy, %": lambda loss: mean_text(self.accuracies[loss]),
                "minus cross-entropy, points": lambda loss: difference_text(
                    self.runs[loss], self.runs[REFERENCE]
                ),
                "calibration error, points": lambda loss: mean_text(self.errors[loss].values),
                "after its inverse link": lambda loss: (
                    mean_text(self.linked[loss].values) if loss in LINKS else "the same"
                ),
                "confidence minus accuracy, points": lambda loss: signed(
                    float(np.mean(overconfidence(self.runs[loss])))
                ),
                "Brier score": lambda loss: mean_text(
                    [brier(*probabilities(p)) for p in tested(self.runs[loss])], 3
                ),
            },
            "Mean ± half the 95 % t interval over seeds. Calibration error: root mean square over "
            "15 bins of confidence of its difference from accuracy, less what chance alone adds "
            "(Kumar et al. 2019). Inverse link: the probability for which the output that the loss "
            "asks for is best; the probability sum asks for certainty, whatever the probability. "
            "Brier score: squared error summed over the classes, 0 to 2; always predicting 1/2 "
            "scores 0.5.",
        )
        return (tests_table(self.tests()), losses, search_table(self.searched, names))

    def notes(self) -> Sequence[str]:
        diverged = [
            loss for loss, runs in self.runs.items() if not all(map(is_finite, tested(runs)))
        ]
        return [
            f"{EPOCHS} epochs: networks after so few have not memorised their training images. The "
            "overconfidence of cross-entropy that Guo et al. (2017) report belongs to large "
            "networks trained for long, for which Mukhoti et al. (2020, arXiv 2002.09437) "
            "recommend focal loss; that is not tested here.",
            "An output of mse is read as a probability by (z + 1) / 2, cut off at 0 and 1.",
            *(
                [f"A network that diverged counts as certain of one class: {', '.join(diverged)}."]
                if diverged
                else []
            ),
            *end_notes(self.searched, {loss: loss for loss in LOSSES}),
        ]


@dataclass(frozen=True)
class CalibrationErrors:
    """Calibration errors in points.

    Attributes:
        values: one per network.
        draws: their mean in each draw of other test images; draws of several losses are paired.
    """

    values: tuple[float, ...]
    draws: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        runs: Runs,
        link: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda p: p,
    ) -> CalibrationErrors:
        """Compute the errors of networks, of the probabilities that `link` makes of theirs."""
        values, draws = [], []
        for predictions in tested(runs):
            p, labels = probabilities(predictions)
            p = link(p)
            values.append(100 * float(debiased_calibration_error(p, labels)))
            weights = bootstrap_weights(len(labels))
            draws.append(100 * debiased_calibration_error(p, labels, weights=weights))
        return cls(tuple(values), np.mean(draws, 0))

    def quantity(self, reference: CalibrationErrors | None = None) -> Quantity:
        """Return the errors, or what they are above those of a reference."""
        if reference is None:
            return Quantity(self.values, float(self.draws.std(ddof=1)))
        pairs = zip(self.values, reference.values, strict=True)
        return Quantity(
            tuple(a - b for a, b in pairs), float((self.draws - reference.draws).std(ddof=1))
        )


@cache
def bootstrap_weights(images: int) -> NDArray[np.float64]:
    """Return how often each image is in each draw of as many with replacement, (DRAWS, images)."""
    even = np.full(images, 1 / images)
    return np.random.default_rng(0).multinomial(images, even, DRAWS).astype(np.float64)


def properness(loss: str) -> str:
    """Return 'proper' or 'not proper': whether true probabilities minimise the expected loss."""
    return "proper" if loss in PROPER else "not proper"


def probabilities(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities and labels. A network that has diverged is certain of class 0."""
    p = predictions.probabilities.astype(np.float64)
    return (p if is_finite(predictions) else np.eye(p.shape[1])[np.zeros(len(p), int)]), (
        predictions.labels
    )


def overconfidence(runs: Runs) -> list[float]:
    """Return the mean confidence minus the accuracy of each network, in points."""
    confidence = [100 * float(probabilities(p)[0].max(1).mean()) for p in tested(runs)]
    return [a - b for a, b in zip(confidence, accuracies(runs), strict=True)]


CLAIM = Claim(
    name="calibration",
    claim=(
        "Cross-entropy and the squared error of a sigmoid, which are proper, are calibrated; focal "
        "loss and generalised cross-entropy, which are not, are so only after their inverse links."
    ),
    refuted_by=(
        f"A proper loss has a calibration error above {RELIABLE:g} points; or focal loss or "
        "generalised cross-entropy is as well calibrated as cross-entropy, or no better after its "
        f"inverse link; or accuracies differ by more than {EQUAL:g} points."
    ),
    procedure=(
        "Cats and dogs, seven losses, each with the learning rate at which it is most accurate on "
        "validation images, from the same grid. Calibration error on test images: root mean "
        "square over 15 bins, debiased, in points. Differences are paired by seed and by test "
        f"image. Errors count as different by more than {MARGIN:g} points."
    ),
    source=(
        "Gneiting and Raftery 2007, J. American Statistical Association 102, 359-378 (proper "
        "scores); Guo et al. 2017, arXiv 1706.04599 (calibration of networks); Charoenphakdee et "
        "al. 2021, arXiv 2011.09172 (focal loss is not proper)"
    ),
    design=DESIGN,
    analysis=Calibration,
)
