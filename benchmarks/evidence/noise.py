"""Claim: do losses that are robust to wrong labels gain on cross-entropy as labels get wrong?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean as mean

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import percent
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable
from lossbench.benchmarks.stats.intervals import mean_interval

from .claim import Analysis, Claim
from .design import Design, Expected, Tested
from .figures import figure, search_figure, tests_figure
from .measures import difference_text, table, tests_table, with_interval
from .runs import accuracies, chance_level, correct, image_quantity
from .text import mean_text
from .tuned import end_notes, search_table

REFERENCE = "cross-entropy"
LOSSES = {
    REFERENCE: "cross-entropy",
    "generalized-cross-entropy": "generalised CE",
    "symmetric-cross-entropy": "symmetric CE",
}
ROBUST = tuple(LOSSES)[1:]
FRACTIONS = (0.0, 0.4)
CLEAN, NOISY = FRACTIONS
# Points that a robust loss must gain on cross-entropy. Fewer are no gain worth the name.
GAIN = 0.5
# Many passes over unaugmented images, so that wrong labels can be memorised.
EPOCHS, IMAGES = 10, 5_000

CELLS = {
    (loss, fraction): RunConfig(
        loss,
        0,
        0.1,
        data="cifar10-ten",
        train_images=IMAGES,
        epochs=EPOCHS,
        augmentation="none",
        label_noise=fraction,
        # 1,000 images are enough to choose a rate; more would cost more than the training.
        validation=0.02,
        evaluations=1,
        test=True,
    )
    for loss in LOSSES
    for fraction in FRACTIONS
}
DESIGN = Design(
    question="Do robust losses gain on cross-entropy as training labels get wrong?",
    expects=tuple(
        Expected(
            f"{LOSSES[loss]} minus cross-entropy, test accuracy, with {percent(NOISY, 0)} % wrong "
            "labels minus without",
            "above",
            GAIN,
        )
        for loss in ROBUST
    ),
    cells=CELLS,
    searches=CELLS,
    rates=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    search_seeds=1,
)


@dataclass
class Noise(Analysis):
    """Runs by loss and fraction of wrong labels, each at its own learning rate."""

    def __post_init__(self) -> None:
        self.accuracies = {cell: accuracies(runs) for cell, runs in self.runs.items()}
        self.chance = chance_level(self.runs[REFERENCE, CLEAN][0].test)

    def tests(self) -> list[Tested]:
        """Test what each robust loss gains on cross-entropy."""
        hits = {cell: 100.0 * correct(runs) for cell, runs in self.runs.items()}
        return DESIGN.test(
            [
                image_quantity(
                    (hits[loss, NOISY] - hits[REFERENCE, NOISY])
                    - (hits[loss, CLEAN] - hits[REFERENCE, CLEAN])
                )
                for loss in ROBUST
            ]
        )

    def sentence(self) -> str:
        return (
            f"With {in_percent(NOISY)} wrong labels, generalised cross-entropy gains "
            f"{with_interval(self.tests()[0])} points of test accuracy on cross-entropy, relative "
            "to right labels."
        )

    def figures(self) -> Sequence[PanelFigure]:
        clean, noisy = (
            {loss: self.searched[loss, fraction] for loss in LOSSES} for fraction in FRACTIONS
        )
        search = search_figure(
            f"The search for learning rates, with {in_percent(NOISY)} wrong labels",
            noisy,
            LOSSES,
            self.chance,
        )
        other = search_figure(
            "The search for learning rates, without wrong labels", clean, LOSSES, self.chance
        )
        return (
            self._accuracy_figure(),
            tests_figure(self.tests(), ROBUST),
            search,
            replace(other, name="rates-clean.png"),
        )

    def _accuracy_figure(self) -> PanelFigure:
        curves, parts = [], []
        for place, (loss, label) in enumerate(LOSSES.items()):
            intervals = [mean_interval(self.accuracies[loss, each]) for each in FRACTIONS]
            y = [mean(self.accuracies[loss, each]) for each in FRACTIONS]
            # Beside each other, so that bars do not hide each other.
            x = [100 * fraction + 1.2 * (place - 1) for fraction in FRACTIONS]
            curves.append(
                Curve(loss, x, y, f"{label}  {y[-1]:.1f}", intervals=intervals, markers="filled")
            )
            parts.append(f"{label} " + ", ".join(f"{value:.1f}" for value in y))
        panel = CurvePanel(
            curves,
            Axis(
                "training labels replaced by a wrong one, %",
                ticks={100 * fraction: percent(fraction, 0) for fraction in FRACTIONS},
            ),
            Axis("test accuracy, %", limits=(0, None)),
            chance=self.chance,
        )
        fractions = " and ".join(map(in_percent, FRACTIONS))
        return figure(
            "shares.png",
            [panel],
            title="Do robust losses gain on cross-entropy when training labels are wrong?",
            caption="Mean over seeds; bar: 95 % interval. The test labels are not changed.",
            alt=f"Test accuracy in % with {fractions} wrong labels: {'; '.join(parts)}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        accuracy = table(
            "Accuracy with wrong labels in training",
            self.runs,
            {
                "loss, wrong labels": lambda cell: NAMES[cell],
                "learning rate": lambda cell: f"{self.runs[cell][0].config.learning_rate:g}",
                "test accuracy, %": lambda cell: mean_text(self.accuracies[cell]),
                "minus cross-entropy, points": lambda cell: difference_text(
                    self.runs[cell], self.runs[REFERENCE, cell[1]]
                ),
                "accuracy on the training labels, %": self._training_accuracy,
            },
            "Mean ± half the 95 % t interval over seeds. Accuracy on the training labels: how "
            "often, over the last epoch, the network predicts the label that it is trained on, "
            "right or wrong; where that is more often than labels are right, it has memorised "
            "wrong ones.",
        )
        return (tests_table(self.tests()), accuracy, search_table(self.searched, NAMES))

    def _training_accuracy(self, cell: tuple[str, float]) -> str:
        runs = self.runs[cell]
        return f"{100 * mean(run.evaluations[-1].train_accuracy for run in runs):.0f}"

    def notes(self) -> Sequence[str]:
        return (
            f"Ten classes, {IMAGES:,} training images, {EPOCHS} epochs, no augmentation: few "
            "images and many passes, because wrong labels do harm when they are memorised. Zhang "
            "and Sabuncu train a ResNet-34 for 120 epochs on all of CIFAR-10, far more: the signs "
            "of differences can be compared with theirs, their sizes cannot.",
            "The learning rate of each loss is chosen for each fraction of wrong labels, on as "
            "many training images as are judged and on validation images with right labels. Zhang "
            "and Sabuncu gave all losses one rate.",
            "Test and validation images keep their right labels. A wrong label is another of the "
            "ten classes, drawn uniformly; the wrong labels are the same for every loss.",
            "Settings of the losses: generalised cross-entropy q = 0.7; symmetric cross-entropy "
            "alpha = 0.1, beta = 1, ln 0 read as -4.",
            *end_notes(self.searched, NAMES),
        )


def in_percent(fraction: float) -> str:
    """Format a fraction: 0.4 as 40 %."""
    return f"{percent(fraction, 0)} %"


NAMES = {(loss, each): f"{LOSSES[loss]}, {in_percent(each)} wrong" for loss, each in CELLS}

CLAIM = Claim(
    name="noise",
    claim=(
        f"With {in_percent(NOISY)} wrong labels generalised and symmetric cross-entropy gain on "
        "cross-entropy, relative to training on right labels."
    ),
    refuted_by=f"One of the two gains less than {GAIN:g} points.",
    procedure=(
        f"CIFAR-10's ten classes, with {in_percent(NOISY)} of the training labels replaced by "
        "another class, and without; many epochs and no augmentation, so that labels can be "
        "memorised. Every loss gets the learning rate that is best for it on validation images, "
        "for each fraction of wrong labels, from the same grid. The measure is an interaction: "
        "test accuracy minus that of cross-entropy with wrong labels, less the same without, "
        "paired by seed."
    ),
    source=(
        "Zhang and Sabuncu 2018, arXiv 1805.07836 (generalised cross-entropy, MAE); Wang et al. "
        "2019, arXiv 1908.06112 (symmetric cross-entropy)"
    ),
    design=DESIGN,
    analysis=Noise,
)
