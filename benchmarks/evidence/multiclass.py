"""Claim: does it matter how cross-entropy is extended to more than two classes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.intervals import SEEDS, RowPanel, draw_intervals
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Measure
from lossbench.benchmarks.stats.intervals import paired_difference
from lossbench.benchmarks.stats.verdict import verdict_equivalent
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim, ClaimTrainer, Size
from .figures import figure, hypothesis_figure, seed_row
from .measures import Hypothesis, evaluate_hypotheses, hypothesis_table, table
from .runs import accuracies, accuracy_contrast, chance_level, tested, train_seeds, tune
from .text import mean_text, with_span

REFERENCE = "cross-entropy"
LOSSES = {
    REFERENCE: "softmax cross-entropy",
    "bernoulli-sum": "sum of Bernoullis",
    "softmax-mse": "softmax squared error",
    "bce-with-logits": "one against the rest",
}
OTHERS = tuple(LOSSES)[1:]


@dataclass(frozen=True)
class Dataset:
    """Images of several classes.

    Attributes:
        name: name for readers.
        data, image_size, validation: as in `RunConfig`.
        margin: points by which a loss must be ahead of cross-entropy to count as more accurate.
            With fewer test images only larger differences can be detected.
    """

    name: str
    data: str
    image_size: int | None
    validation: float
    margin: float


TEN = Dataset("CIFAR-10", "cifar10-ten", None, 0.04, 1.0)
BREEDS = Dataset("Oxford-IIIT Pet breeds", "oxford-breeds", 64, 0.2, 5.0)
DATASETS = (TEN, BREEDS)


@dataclass
class Multiclass(Analysis):
    """Runs of every loss on both datasets, each with its own learning rate."""

    runs: dict[tuple[str, Dataset], list[RunResult]]
    sizes: Mapping[str, Size]

    @classmethod
    def train(cls, trainer: ClaimTrainer, size: Mapping[str, Size]) -> Self:
        runs: dict[tuple[str, Dataset], list[RunResult]] = {}
        for dataset in DATASETS:
            each = size[dataset.data]
            trainer.say(f"{dataset.name}: learning rates, then {len(LOSSES)} losses")
            configs = {
                (loss, dataset): RunConfig(
                    loss,
                    0,
                    0.1,
                    data=dataset.data,
                    image_size=dataset.image_size,
                    epochs=each.epochs,
                    validation=dataset.validation,
                    train_images=each.train_images,
                    evaluations=0,
                )
                for loss in LOSSES
            }
            tuned = tune(trainer, configs, epochs=each.search_epochs)
            runs |= train_seeds(trainer, tuned, each.seeds)
        return cls(runs, size)

    def __post_init__(self) -> None:
        self.accuracies = {cell: accuracies(runs) for cell, runs in self.runs.items()}
        self.classes = {
            dataset: len(self.runs[REFERENCE, dataset][0].counts) for dataset in DATASETS
        }
        self.contrasts = {
            (loss, dataset): accuracy_contrast(
                self.runs[loss, dataset], self.runs[REFERENCE, dataset]
            )
            for dataset in DATASETS
            for loss in OTHERS
        }
        self.tests = evaluate_hypotheses(
            [
                Hypothesis(self.name(loss, dataset), loss, each, "below", dataset.margin)
                for (loss, dataset), each in self.contrasts.items()
            ]
        )

    def name(self, loss: str, dataset: Dataset) -> str:
        """Return the name of a loss on a dataset."""
        return f"{LOSSES[loss]}, {self.classes[dataset]} classes"

    def measures(self) -> Sequence[Measure]:
        return [test.measure for test in self.tests]

    def sentence(self) -> str:
        parts = []
        for dataset in DATASETS:
            listed = ", ".join(
                f"{LOSSES[loss]} {with_span(self.contrasts[loss, dataset].interval)}"
                for loss in OTHERS
            )
            parts.append(f"{self.classes[dataset]} classes: {listed}")
        return "Points ahead of softmax cross-entropy with " + "; with ".join(parts) + "."

    def figures(self) -> Sequence[ClaimFigure]:
        x_label = "test accuracy minus that of softmax cross-entropy, points"
        return (self._accuracy_figure(), hypothesis_figure(x_label, self.tests))

    def _accuracy_figure(self) -> ClaimFigure:
        panels, parts = [], []
        for dataset in DATASETS:
            reference = self.runs[REFERENCE, dataset]
            chance = chance_level(reference[0].test)
            rows = [
                seed_row(name, loss, self.accuracies[loss, dataset])
                for loss, name in LOSSES.items()
            ]
            heading = (
                f"{dataset.name}: {self.classes[dataset]} classes, "
                f"{sum(reference[0].counts):,} training and "
                f"{len(tested(reference)[0].labels):,} test images"
            )
            panels.append(RowPanel(rows, "test accuracy, %", heading, chance))
            listed = ", ".join(f"{row.label} {row.text}" for row in rows)
            parts.append(f"{dataset.name} (chance {chance:.0f}): {listed}")
        return figure(
            "accuracies.png",
            draw_intervals,
            panels,
            title="More than two classes: which loss is most accurate?",
            caption=SEEDS,
            alt=f"Mean test accuracy, %. {'; '.join(parts)}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        ninety = {
            (loss, dataset): paired_difference(
                self.accuracies[loss, dataset], self.accuracies[REFERENCE, dataset], level=0.9
            )
            for loss, dataset in self.contrasts
        }
        accuracy = table(
            "Accuracy with more than two classes",
            self.runs,
            {
                "loss": lambda cell: self.name(*cell),
                "learning rate": lambda cell: f"{self.runs[cell][0].config.learning_rate:g}",
                "test accuracy, %": lambda cell: mean_text(self.accuracies[cell]),
                "minus cross-entropy (90 %), points": lambda cell: (
                    with_span(ninety[cell]) if cell in ninety else "reference"
                ),
                "equivalent to it?": lambda cell: (
                    f"within ±{cell[1].margin:g}: "
                    f"{verdict_equivalent(ninety[cell], cell[1].margin)}"
                    if cell in ninety
                    else ""
                ),
            },
            "Mean ± half the 95 % t interval over seeds. Equivalent: whether the 90 % interval of "
            "the difference lies within the margin (two one-sided tests); it is not part of the "
            "verdict.",
        )
        title = "Test accuracy minus that of softmax cross-entropy, points"
        return (accuracy, hypothesis_table(title, self.tests))

    def notes(self) -> Sequence[str]:
        counts = self.runs[REFERENCE, BREEDS][0].counts
        ten, breeds = self.sizes[TEN.data], self.sizes[BREEDS.data]
        return (
            f"The breeds are those with enough photographs: {len(counts)} here, {sum(counts):,} "
            f"training images at {BREEDS.image_size} px. Their margin is wider, {BREEDS.margin:g} "
            f"points against {TEN.margin:g}, because fewer test images detect only larger "
            "differences.",
            f"Learning rates are searched with {ten.search_epochs} of {ten.epochs} epochs of "
            f"CIFAR-10 and {breeds.search_epochs} of {breeds.epochs} of the photographs.",
            "One against the rest is binary cross-entropy in one column per class, summed over the "
            "columns; it predicts the class with the largest logit. With two classes the sum of "
            "Bernoullis is exactly twice cross-entropy; with more it is another loss.",
            "Hui and Belkin (2021) scale squared error on raw outputs for many classes; this is "
            "the squared error of softmax probabilities, another loss.",
        )


CLAIM = Claim(
    name="multiclass",
    question="With more than two classes, is softmax cross-entropy the loss to use?",
    claim=(
        "It is: no other way to carry the argument over is more accurate, by more than "
        f"{TEN.margin:g} point with ten classes or {BREEDS.margin:g} with breeds. Not the sum of "
        "Bernoulli cross-entropies of a softmax, nor the squared error of a softmax, nor binary "
        "cross-entropy of each class against the rest."
    ),
    refuted_by=(
        f"One of the three is ahead of softmax cross-entropy by more than {TEN.margin:g} point on "
        f"CIFAR-10's ten classes, or by more than {BREEDS.margin:g} points on photographs of "
        "breeds."
    ),
    procedure=(
        "The ten classes of CIFAR-10, and the breeds of Oxford-IIIT Pet. Every loss gets the "
        "learning rate that is best for it on validation images of the same dataset, from the same "
        "grid. Test accuracy minus that of softmax cross-entropy, paired by seed, must be below "
        f"{TEN.margin:g} point with ten classes and below {BREEDS.margin:g} points with breeds, "
        "for each of the three. An interval is 95 %, for other seeds and other test images "
        "together; the six p-values are corrected by Holm."
    ),
    source=(
        "the softmax read as N Bernoulli distributions, as the article that started lossbench has "
        "it; Rifkin and Klautau 2004, J. Machine Learning Research 5, 101-141 (one against the "
        "rest is as accurate as other ways)"
    ),
    sizes={
        "quick": {
            TEN.data: Size(epochs=2, seeds=4, train_images=6_000, search_epochs=1),
            BREEDS.data: Size(epochs=12, seeds=4, search_epochs=6),
        },
        "standard": {
            TEN.data: Size(epochs=3, seeds=5, train_images=16_000, search_epochs=1),
            BREEDS.data: Size(epochs=24, seeds=6, search_epochs=8),
        },
        "full": {
            TEN.data: Size(epochs=10, seeds=8, search_epochs=2),
            BREEDS.data: Size(epochs=60, seeds=12, search_epochs=20),
        },
    },
    analysis=Multiclass,
)
