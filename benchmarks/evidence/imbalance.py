"""Claim: when cats are rare, does anything beat shifting the threshold after training?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.plots.intervals import SEEDS, IntervalRow, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable
from lossbench.benchmarks.stats.intervals import mean_interval
from lossbench.benchmarks.stats.metrics import area_under_curve
from lossbench.benchmarks.training.result import Predictions, RunResult

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, tests_figure
from .measures import table, tests_table, with_interval
from .runs import image_quantity, is_finite, margins, tested
from .text import mean_text
from .tuned import EPOCHS, RATES, end_notes, search_table, tuned

RATIOS = (10, 50)  # dogs per cat
LOWER_RATES = (0.001, 0.003)
"""Learning rates tried besides: a weight of 25.5 on the gradient of a cat takes a lower one."""
# Points of balanced accuracy that count.
GAIN = 2.0
CHANCE = 50.0  # balanced accuracy of a constant prediction

PLAIN, WEIGHTED, FOCAL, ADJUSTED = "plain", "weighted", "focal", "logit-adjusted"
SHIFTED = "plain, threshold shifted"
LOSSES = {
    PLAIN: "cross-entropy",
    SHIFTED: "cross-entropy",
    WEIGHTED: "cross-entropy",
    ADJUSTED: "logit-adjusted",
    FOCAL: "softmax-focal",
}
TRAINED = (PLAIN, WEIGHTED, ADJUSTED, FOCAL)
VARIANTS = (WEIGHTED, SHIFTED)

Cell = tuple[str, int]  # method and ratio


def loss_arguments(method: str, ratio: int) -> tuple[tuple[str, Any], ...]:
    """Return the loss arguments of a method, for so many dogs per cat: class weights N / (2 n_c),
    or the class frequencies up to a factor."""
    if method == WEIGHTED:
        return (("weight", ((ratio + 1) / (2 * ratio), (ratio + 1) / 2)),)
    if method == ADJUSTED:
        return (("prior", (float(ratio), 1.0)),)
    return ()


CELLS = {
    (method, ratio): tuned(
        LOSSES[method], imbalance=float(ratio), loss_arguments=loss_arguments(method, ratio)
    )
    for ratio in RATIOS
    for method in TRAINED
}
PAIRS = tuple((SHIFTED, PLAIN, ratio) for ratio in RATIOS) + tuple(
    (method, SHIFTED, ratio) for ratio in RATIOS for method in (WEIGHTED, ADJUSTED, FOCAL)
)
DESIGN = Design(
    question="When one class is rare, does it take another loss to find it?",
    expects=tuple(
        Expected(
            f"1:{ratio}  {method} minus {other}, balanced accuracy",
            "above" if method == SHIFTED else "below",
            GAIN,
        )
        for method, other, ratio in PAIRS
    ),
    cells=CELLS,
    searches=CELLS,
    rates=(*LOWER_RATES, *RATES),
)


@dataclass
class Imbalance(Analysis):
    """Runs of every method at both ratios."""

    def __post_init__(self) -> None:
        # By method and ratio: whether each network finds each test image, and balanced accuracy.
        self.hits = {
            cell: np.stack([found(p, *cell) for p in tested(self.runs[source(cell)])])
            for cell in ((method, ratio) for ratio in RATIOS for method in LOSSES)
        }
        labels = tested(self.runs[PLAIN, RATIOS[0]])[0].labels
        self.labels = labels
        weights = len(labels) / (2 * np.bincount(labels, minlength=2)[labels])
        self.weighted = {cell: 100 * weights * hits for cell, hits in self.hits.items()}
        self.accuracies = {
            cell: [float(x) for x in each.mean(1)] for cell, each in self.weighted.items()
        }

    @staticmethod
    def score(run: RunResult) -> float:
        """Return the area under the ROC curve on validation images, in percent: no threshold
        enters. A network that has diverged is at chance."""
        validation = run.validation
        assert validation is not None
        if not is_finite(validation):
            return 50.0
        return 100 * area_under_curve(margins(validation), validation.labels)

    def difference(self, method: str, other: str, ratio: int) -> Quantity:
        """Return the balanced accuracy of a method minus that of another, in points."""
        return image_quantity(self.weighted[method, ratio] - self.weighted[other, ratio])

    def tests(self) -> list[Tested]:
        """Test the differences."""
        return DESIGN.test([self.difference(*pair) for pair in PAIRS])

    def recall(self, cell: Cell, label: int) -> float:
        """Return the mean recall of a class over networks, in percent."""
        return 100 * float(self.hits[cell][:, self.labels == label].mean())

    def sentence(self) -> str:
        return (
            f"With {RATIOS[0]} dogs per cat, shifting the threshold of plain cross-entropy after "
            f"training gains {with_interval(self.tests()[0])} points of balanced accuracy."
        )

    def figures(self) -> Sequence[PanelFigure]:
        losses = [LOSSES[method] for method, _, _ in PAIRS]
        return (self._recall_figure(), tests_figure(self.tests(), losses))

    def _recall_figure(self) -> PanelFigure:
        panels, parts = [], []
        for ratio in RATIOS:
            dogs, cats = self.runs[PLAIN, ratio][0].counts
            rows = []
            for method, loss in LOSSES.items():
                cell = (method, ratio)
                values = self.accuracies[cell]
                rows.append(
                    IntervalRow(
                        method,
                        loss,
                        mean_interval(values),
                        values,
                        text=f"{np.mean(values):.1f}",
                        hollow=method in VARIANTS,
                        ends=((self.recall(cell, 0), "dogs"), (self.recall(cell, 1), "cats")),
                    )
                )
            panels.append(
                RowPanel(
                    rows,
                    "test images classified correctly, %",
                    f"1 cat for {ratio} dogs: {cats:,} cats, {dogs:,} dogs",
                    CHANCE,
                    limits=(-8, 108),
                )
            )
            means = ", ".join(f"{row.label} {row.text}" for row in rows)
            parts.append(f"1:{ratio}: {means}")
        return figure(
            "recall.png",
            panels,
            title="Cats are rare in training: which loss still finds them in the test?",
            caption=(
                f"Balanced accuracy. {SEEDS} The grey line reaches from the recall of cats to that "
                "of dogs; balanced accuracy is its middle."
            ),
            alt=f"Balanced accuracy, %, chance {CHANCE:.0f}. {'; '.join(parts)}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        accuracy = table(
            "Balanced accuracy when cats are rare",
            self.hits,
            {
                "method": name,
                "training images of dogs and cats": lambda cell: " and ".join(
                    f"{count:,}" for count in self.runs[source(cell)][0].counts
                ),
                "learning rate": lambda cell: (
                    f"{self.runs[source(cell)][0].config.learning_rate:g}"
                ),
                "area under the curve, %": lambda cell: mean_text(self.areas(cell)),
                "balanced accuracy, %": lambda cell: mean_text(self.accuracies[cell]),
                "recall of dogs, %": lambda cell: f"{self.recall(cell, 0):.1f}",
                "recall of cats, %": lambda cell: f"{self.recall(cell, 1):.1f}",
            },
            "Mean ± half the 95 % t interval over seeds. Balanced accuracy is the mean of the two "
            f"recalls; chance is {CHANCE:.0f} %, whatever a network always predicts.",
            f"'{SHIFTED}' are the plain networks again; they say 'cat' where the logit of a cat is "
            "above ln of the share of cats over that of dogs in training, instead of above 0.",
        )
        names = {cell: name(cell) for cell in CELLS}
        search = search_table(self.searched, names, "area under the ROC curve")
        return (tests_table(self.tests()), accuracy, search)

    def areas(self, cell: Cell) -> list[float]:
        """Return the area under the ROC curve on test images, in percent."""
        return [
            100 * area_under_curve(margins(p), p.labels) if is_finite(p) else 50.0
            for p in tested(self.runs[source(cell)])
        ]

    def notes(self) -> Sequence[str]:
        dogs, cats = np.bincount(self.labels, minlength=2)
        return (
            f"Cats are removed from the training images only: the test has {dogs:,} dogs and "
            f"{cats:,} cats, and the validation images keep their fraction of cats too.",
            "Learning rates are chosen by the area under the ROC curve, which needs no threshold: "
            "by accuracy, a loss that predicts 'dog' for every image would have no best rate.",
            f"{EPOCHS} epochs. Weights are N / (2 n_c). The effect of a weight is known to fade in "
            "long training of networks that can fit every image (Byrd and Lipton 2019); few epochs "
            "do not test that.",
            *end_notes(self.searched, {cell: name(cell) for cell in CELLS}),
        )


def source(cell: Cell) -> Cell:
    """Return the cell whose networks a method uses; shifted logits use the plain loss's."""
    method, ratio = cell
    return (PLAIN if method == SHIFTED else method), ratio


def name(cell: Cell) -> str:
    """Return the name of a method at a ratio."""
    return f"1:{cell[1]} {cell[0]}"


def found(predictions: Predictions, method: str, ratio: int) -> NDArray[np.bool_]:
    """Return whether each image is classified correctly, (N,).

    The shifted threshold of the logit is the logarithm of the odds of a cat in training (Menon et
    al. 2021). A network that has diverged predicts a dog for every image.
    """
    if not is_finite(predictions):
        return np.asarray(predictions.labels == 0)
    threshold = -math.log(ratio) if method == SHIFTED else 0.0
    return np.asarray((margins(predictions) > threshold) == (predictions.labels == 1))


CLAIM = Claim(
    name="imbalance",
    claim=(
        "It takes no other loss: with the threshold of plain cross-entropy shifted after training, "
        "neither class weights nor logit adjustment nor focal loss is ahead of it."
    ),
    refuted_by=(
        f"Shifting the threshold gains less than {GAIN:g} points of balanced accuracy, or one of "
        f"the three is more than {GAIN:g} ahead of it, with 10 or with 50 dogs per cat."
    ),
    procedure=(
        "Cats are removed until there is 1 for 10 dogs and 1 for 50 in training, not in the test. "
        "Plain cross-entropy, cross-entropy with class weights N / (2 n_c), logit-adjusted "
        "cross-entropy and focal loss (gamma = 2), each with the learning rate that is best for it "
        "by the area under the ROC curve of validation images, with the same imbalance in "
        "training, from the same grid. The networks of plain cross-entropy are judged a second "
        "time with the threshold of the logit shifted to ln of the odds of a cat in training. "
        "Differences in balanced accuracy are paired by seed."
    ),
    source=(
        "Menon et al. 2021, arXiv 2007.07314 (logit adjustment, in training and after it); Lin et "
        "al. 2017, arXiv 1708.02002 (focal loss); Byrd and Lipton 2019, arXiv 1812.03372 (weights)"
    ),
    design=DESIGN,
    analysis=Imbalance,
)
