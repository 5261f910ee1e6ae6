"""Claim: does the order of the losses change with the fraction of wrong labels?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean as mean
from typing import Self

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import percent
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel, draw_curves
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Measure
from lossbench.benchmarks.stats.intervals import mean_interval
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim, ClaimTrainer, Size
from .figures import figure, hypothesis_figure, search_figure
from .measures import Hypothesis, Side, evaluate_hypotheses, hypothesis_table, table
from .runs import (
    accuracies,
    accuracy_contrast,
    chance_level,
    search_rates,
    train_seeds,
    with_best_rates,
)
from .text import mean_text, signed, with_span

REFERENCE = "cross-entropy"
LOSSES = {
    REFERENCE: "cross-entropy",
    "generalized-cross-entropy": "generalised CE",
    "symmetric-cross-entropy": "symmetric CE",
    "softmax-focal": "focal",
    "softmax-probability-sum": "probability sum",
}
OTHERS = tuple(LOSSES)[1:]
ROBUST = ("generalized-cross-entropy", "symmetric-cross-entropy")
FRACTIONS = (0.0, 0.2, 0.4)
CLEAN, NOISIEST = FRACTIONS[0], FRACTIONS[-1]
TUNED_AT = 0.2
# Points by which a loss must be ahead of cross-entropy without noise to refute the claim.
MARGIN = 1.0


@dataclass
class Noise(Analysis):
    """Runs by loss and fraction of wrong labels, and the search for learning rates.

    Attributes:
        runs: results by loss and fraction.
        searched: mean validation accuracy per loss and rate, a fraction.
        size: the size of the experiment.
    """

    runs: dict[tuple[str, float], list[RunResult]]
    searched: dict[str, dict[float, float]]
    size: Size

    @classmethod
    def train(cls, trainer: ClaimTrainer, size: Size) -> Self:
        # Many passes over few unaugmented images, so that wrong labels can be memorised.
        configs = {
            loss: RunConfig(
                loss,
                0,
                0.1,
                data="cifar10-ten",
                train_images=size.train_images,
                epochs=size.epochs,
                augmentation="none",
                label_noise=TUNED_AT,
                # 1,000 images are enough to choose a rate; more would cost more than the training.
                validation=0.02,
                evaluations=1,
            )
            for loss in LOSSES
        }
        trainer.say(f"choosing learning rates with {in_percent(TUNED_AT)} wrong labels")
        searched = search_rates(trainer, configs, train_images=size.search_images, evaluations=0)
        configs = with_best_rates(configs, searched)
        cells = {
            (loss, fraction): replace(config, label_noise=fraction)
            for loss, config in configs.items()
            for fraction in FRACTIONS
        }
        trainer.say("every loss with 0, 20 and 40 % wrong labels")
        return cls(train_seeds(trainer, cells, size.seeds), searched, size)

    def __post_init__(self) -> None:
        self.accuracies = {cell: accuracies(runs) for cell, runs in self.runs.items()}
        self.chance = chance_level(self.runs[REFERENCE, CLEAN][0].test)
        # On the same wrong labels.
        self.contrasts = {
            (loss, fraction): accuracy_contrast(
                self.runs[loss, fraction], self.runs[REFERENCE, fraction]
            )
            for fraction in FRACTIONS
            for loss in OTHERS
        }
        self.tests = evaluate_hypotheses(
            [self.hypothesis(loss, CLEAN, "below", MARGIN) for loss in OTHERS]
            + [self.hypothesis(loss, NOISIEST, "above", 0.0) for loss in ROBUST]
        )

    def hypothesis(self, loss: str, fraction: float, side: Side, threshold: float) -> Hypothesis:
        """Return the hypothesis about the contrast of a loss at a fraction of wrong labels."""
        difference = self.contrasts[loss, fraction]
        return Hypothesis(name(loss, fraction), loss, difference, side, threshold)

    def measures(self) -> Sequence[Measure]:
        return [test.measure for test in self.tests]

    def sentence(self) -> str:
        clean, noisy = (
            ", ".join(
                f"{LOSSES[loss]} {with_span(self.contrasts[loss, fraction].interval)}"
                for loss in ROBUST
            )
            for fraction in (CLEAN, NOISIEST)
        )
        best_clean, best_noisy = (
            LOSSES[max(LOSSES, key=lambda loss: sum(self.accuracies[loss, fraction]))]
            for fraction in (CLEAN, NOISIEST)
        )
        return (
            f"Points ahead of cross-entropy without wrong labels: {clean}; with "
            f"{in_percent(NOISIEST)} of them: {noisy}. The most accurate loss is {best_clean} "
            f"without and {best_noisy} with them."
        )

    def figures(self) -> Sequence[ClaimFigure]:
        title = f"The search for learning rates, with {in_percent(TUNED_AT)} wrong labels"
        return (
            self._accuracy_figure(),
            hypothesis_figure("test accuracy minus that of cross-entropy, points", self.tests),
            search_figure(title, self.searched, LOSSES, self.chance),
        )

    def _accuracy_figure(self) -> ClaimFigure:
        curves, parts = [], []
        for place, (loss, name) in enumerate(LOSSES.items()):
            intervals = [mean_interval(self.accuracies[loss, each]) for each in FRACTIONS]
            y = [mean(self.accuracies[loss, each]) for each in FRACTIONS]
            # Beside each other, so that bars do not hide each other.
            x = [100 * fraction + 0.45 * (place - 2) for fraction in FRACTIONS]
            label = f"{name}  {y[-1]:.1f}"
            curves.append(Curve(loss, x, y, label, intervals=intervals, markers="filled"))
            parts.append(f"{name} " + ", ".join(f"{value:.1f}" for value in y))
        panel = CurvePanel(
            curves,
            Axis(
                "training labels replaced by a wrong one, %",
                ticks={100 * fraction: percent(fraction, 0) for fraction in FRACTIONS},
            ),
            Axis("test accuracy, %", limits=(0, None)),
            chance=self.chance,
        )
        fractions = ", ".join(map(in_percent, FRACTIONS))
        return figure(
            "shares.png",
            draw_curves,
            [panel],
            title="Does the order of the losses change when training labels are wrong?",
            caption=(
                f"Mean of {self.size.seeds} seeds; bar: 95 % interval. The test labels are not "
                "changed."
            ),
            alt=f"Test accuracy in % with {fractions} wrong labels: {'; '.join(parts)}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        tested = {test.hypothesis.name for test in self.tests}
        others = "; ".join(
            f"{name(*cell)}: {with_span(each.interval)}"
            for cell, each in self.contrasts.items()
            if name(*cell) not in tested
        )
        return (
            self._accuracy_table(),
            hypothesis_table(
                "Test accuracy minus that of cross-entropy, points",
                self.tests,
                f"Not part of the verdict, with 95 % intervals: {others}.",
            ),
        )

    def _accuracy_table(self) -> ClaimTable:
        test = {
            f"test accuracy, {in_percent(f)} wrong, %": lambda loss, f=f: mean_text(
                self.accuracies[loss, f]
            )
            for f in FRACTIONS
        }
        fitted = {
            f"accuracy on the training labels, {in_percent(f)} wrong, %": lambda loss, f=f: (
                self.training_accuracy(loss, f)
            )
            for f in FRACTIONS
        }
        return table(
            "Accuracy with wrong labels in training",
            LOSSES,
            {
                "loss": LOSSES.__getitem__,
                "learning rate": lambda loss: f"{self.runs[loss, CLEAN][0].config.learning_rate:g}",
                **test,
                **fitted,
            },
            "Mean ± half the 95 % t interval over seeds. Accuracy on the training labels: how "
            "often, over the last epoch, the network predicts the label that it is trained on, "
            "right or wrong; where that is more often than labels are right, it has memorised "
            "wrong ones.",
        )

    def training_accuracy(self, loss: str, fraction: float) -> str:
        """Format the mean accuracy on the labels that a network is trained on."""
        runs = self.runs[loss, fraction]
        return f"{100 * sum(run.evaluations[-1].train_accuracy for run in runs) / len(runs):.0f}"

    def notes(self) -> Sequence[str]:
        size = self.size
        return (
            f"Ten classes, {size.train_images:,} training images, {size.epochs} epochs, no "
            "augmentation: few images and many passes, because wrong labels do harm when they are "
            "memorised. Zhang and Sabuncu train a ResNet-34 for 120 epochs on all of CIFAR-10, far "
            "more than this budget allows: the signs of differences can be compared with theirs, "
            "their sizes cannot.",
            f"The learning rate of each loss is chosen with {in_percent(TUNED_AT)} wrong labels, "
            f"on {size.search_images:,} training images and validation images with right labels, "
            "and is the same for every fraction of wrong labels. Zhang and Sabuncu gave all losses "
            "one rate; the figure of the rates shows how much that choice decides.",
            "Test and validation images keep their right labels. A wrong label is another of the "
            "ten classes, drawn uniformly; the wrong labels of 20 % are among those of 40 %, and "
            "they are the same for every loss.",
            "Settings of the losses: generalised cross-entropy q = 0.7; symmetric cross-entropy "
            "alpha = 0.1, beta = 1, ln 0 read as -4; focal gamma = 2.",
        )


def in_percent(fraction: float) -> str:
    """Format a fraction: 0.4 as 40 %."""
    return f"{percent(fraction, 0)} %"


def name(loss: str, fraction: float) -> str:
    """Return the name of a loss with a fraction of wrong labels."""
    return f"{LOSSES[loss]}, {in_percent(fraction)} wrong"


CLAIM = Claim(
    name="noise",
    question="Does the order of the losses change when training labels are wrong?",
    claim=(
        "It crosses over: without wrong labels no loss is ahead of cross-entropy, and with 40 % of "
        "them generalised and symmetric cross-entropy are."
    ),
    refuted_by=(
        f"Without wrong labels a loss is more than {MARGIN:g} point ahead of cross-entropy, or "
        "with 40 % generalised or symmetric cross-entropy is not ahead."
    ),
    procedure=(
        "CIFAR-10's ten classes, with 0, 20 and 40 % of the training labels replaced by another "
        "class; few images, many epochs and no augmentation, so that labels can be memorised. "
        "Every loss gets the learning rate that is best for it on validation images with 20 % "
        "wrong labels, from the same grid. Test accuracy minus that of cross-entropy, paired by "
        f"seed: without wrong labels all four must be below {signed(MARGIN, None)} point, with "
        "40 % generalised and symmetric cross-entropy must be above 0. An interval is 95 %, for "
        "other seeds and other test images together; the six p-values are corrected by Holm. Focal "
        "loss and the probability sum (half the mean absolute error) are measured beside them."
    ),
    source=(
        "Zhang and Sabuncu 2018, arXiv 1805.07836 (generalised cross-entropy, MAE); Wang et al. "
        "2019, arXiv 1908.06112 (symmetric cross-entropy)"
    ),
    sizes={
        "quick": Size(epochs=10, seeds=3, train_images=800, search_images=500),
        "standard": Size(epochs=20, seeds=5, train_images=1_500, search_images=500),
        "full": Size(epochs=40, seeds=8, train_images=5_000, search_images=1_500),
    },
    analysis=Noise,
)
