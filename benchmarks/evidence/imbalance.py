"""Claim: which loss still finds rare cats?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.intervals import SEEDS, IntervalRow, RowPanel, draw_intervals
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Measure
from lossbench.benchmarks.stats.contrasts import contrast
from lossbench.benchmarks.stats.intervals import mean_interval
from lossbench.benchmarks.stats.metrics import balanced_accuracy
from lossbench.benchmarks.training.result import Predictions, RunResult

from .claim import Analysis, Claim, ClaimTrainer, Size
from .figures import figure, hypothesis_figure
from .measures import Hypothesis, evaluate_hypotheses, hypothesis_table, table
from .runs import tested, train_seeds, tune
from .text import mean_text, signed

RATIOS = (10, 50)
# Points of balanced accuracy that a remedy must gain.
GAIN = 2.0
CHANCE = 50.0  # balanced accuracy of a constant prediction

PLAIN, WEIGHTED, FOCAL, ADJUSTED = "plain", "weighted", "focal", "logit-adjusted"
SHIFTED = "plain shifted afterwards"
LOSSES = {
    PLAIN: "cross-entropy",
    WEIGHTED: "cross-entropy",
    FOCAL: "softmax-focal",
    ADJUSTED: "logit-adjusted",
    SHIFTED: "cross-entropy",
}
TRAINED = (PLAIN, WEIGHTED, FOCAL, ADJUSTED)
VARIANTS = (WEIGHTED, SHIFTED)

Cell = tuple[str, int]  # method and ratio


def loss_arguments(method: str, counts: Sequence[int]) -> tuple[tuple[str, Any], ...]:
    """Return the loss arguments of a method: class weights N / (K n_c), or the counts.

    With these weights every class has the same total weight, and the mean weight of an example is
    1.

    Args:
        method: the method.
        counts: training images per class, n_c.
    """
    if method == WEIGHTED:
        return (("weight", tuple(sum(counts) / (len(counts) * count) for count in counts)),)
    if method == ADJUSTED:
        return (("prior", tuple(float(count) for count in counts)),)
    return ()


def shift_logits(predictions: Predictions, counts: Sequence[int]) -> Predictions:
    """Correct the logit of a trained network for the class frequencies: z - ln(n_1 / n_0).

    Source: Menon et al. 2021.
    """
    z = predictions.outputs[:, 0] - np.float32(np.log(counts[1] / counts[0]))
    p = torch.sigmoid(torch.from_numpy(z)).numpy()
    return Predictions(
        z[:, None], np.stack([1 - p, p], 1), (z > 0).astype(np.int64), predictions.labels
    )


@dataclass
class Imbalance(Analysis):
    """Runs of every method at both ratios.

    Attributes:
        runs: results by method and ratio.
        counts: training images per class, dogs first, by ratio.
        size: the size of the experiment.
    """

    runs: dict[Cell, list[RunResult]]
    counts: Mapping[int, Sequence[int]]
    size: Size

    @classmethod
    def train(cls, trainer: ClaimTrainer, size: Size) -> Self:
        trainer.say("choosing learning rates with 1 cat for 10 and for 50 dogs")
        plain = {
            (PLAIN, ratio): RunConfig(
                LOSSES[PLAIN], 0, 0.1, epochs=size.epochs, imbalance=float(ratio), evaluations=0
            )
            for ratio in RATIOS
        }
        # The number of images per class is known once a network has been trained on them.
        smaller = [replace(config, epochs=size.search_epochs) for config in plain.values()]
        searched = trainer.search(smaller)
        counts = {ratio: runs[0].counts for ratio, runs in zip(RATIOS, searched, strict=True)}
        configs = {
            (method, ratio): replace(
                plain[PLAIN, ratio],
                loss=LOSSES[method],
                loss_arguments=loss_arguments(method, counts[ratio]),
            )
            for ratio in RATIOS
            for method in TRAINED
        }
        tuned = tune(trainer, configs, epochs=size.search_epochs)
        trainer.say("plain, weighted, focal and logit-adjusted")
        return cls(train_seeds(trainer, tuned, size.seeds), counts, size)

    def __post_init__(self) -> None:
        self.predictions = {cell: tested(runs) for cell, runs in self.runs.items()}
        for ratio, counts in self.counts.items():
            plain = self.predictions[PLAIN, ratio]
            self.predictions[SHIFTED, ratio] = [shift_logits(each, counts) for each in plain]
        self.accuracies = {
            cell: [100 * balanced_accuracy(each.predicted, each.labels) for each in predictions]
            for cell, predictions in self.predictions.items()
        }
        pairs = ((WEIGHTED, PLAIN), (ADJUSTED, PLAIN), (ADJUSTED, FOCAL))
        self.tests = evaluate_hypotheses(
            [self.hypothesis(ratio, *pair) for ratio in RATIOS for pair in pairs]
        )

    def hypothesis(self, ratio: int, method: str, other: str) -> Hypothesis:
        """Return the hypothesis that a method gains balanced accuracy over another.

        The difference has an interval over test images only if the test split is balanced, where
        balanced accuracy is accuracy.
        """
        cells = (method, ratio), (other, ratio)
        a, b = (self.predictions[cell] for cell in cells)
        balanced = len(set(np.bincount(a[0].labels))) == 1
        hits = (np.stack([p.correct for p in a]), np.stack([p.correct for p in b]))
        difference = contrast(
            self.accuracies[cells[0]], self.accuracies[cells[1]], hits if balanced else None
        )
        name = f"1:{ratio}  {method} minus {other}"
        return Hypothesis(name, LOSSES[method], difference, "above", GAIN, method in VARIANTS)

    def recall(self, cell: Cell, label: int) -> float:
        """Return the mean recall of a class over networks, in percent."""
        recalls = [(p.predicted == label)[p.labels == label].mean() for p in self.predictions[cell]]
        return 100 * float(np.mean(recalls))

    def measures(self) -> Sequence[Measure]:
        return [test.measure for test in self.tests]

    def sentence(self) -> str:
        parts = []
        for ratio in RATIOS:
            means = ", ".join(
                f"{np.mean(self.accuracies[method, ratio]):.1f} % {method}" for method in LOSSES
            )
            parts.append(
                f"ith {ratio} dogs per cat, plain cross-entropy finds "
                f"{self.recall((PLAIN, ratio), 1):.0f} % of the cats; balanced accuracy is {means}"
            )
        return "W" + "; w".join(parts) + "."

    def figures(self) -> Sequence[ClaimFigure]:
        x_label = "difference in balanced accuracy, points"
        return (self._recall_figure(), hypothesis_figure(x_label, self.tests))

    def _recall_figure(self) -> ClaimFigure:
        panels, parts = [], []
        for ratio in RATIOS:
            dogs, cats = self.counts[ratio]
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
            draw_intervals,
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
            [(method, ratio) for ratio in RATIOS for method in LOSSES],
            {
                "method": lambda cell: f"1:{cell[1]} {cell[0]}",
                "training images of dogs and cats": lambda cell: " and ".join(
                    f"{count:,}" for count in self.counts[cell[1]]
                ),
                "learning rate": lambda cell: f"{self.learning_rate(*cell):g}",
                "balanced accuracy, %": lambda cell: mean_text(self.accuracies[cell]),
                "recall of dogs, %": lambda cell: f"{self.recall(cell, 0):.1f}",
                "recall of cats, %": lambda cell: f"{self.recall(cell, 1):.1f}",
            },
            "Mean ± half the 95 % t interval over seeds. Balanced accuracy is the mean of the two "
            f"recalls; chance is {CHANCE:.0f} %, whatever a network always predicts.",
            f"'{SHIFTED}' are the plain networks again, with ln n_c subtracted from the logit of "
            "each class, which had n_c training images; it is not part of the verdict.",
        )
        differences = hypothesis_table("Differences in balanced accuracy, points", self.tests)
        return (accuracy, differences)

    def learning_rate(self, method: str, ratio: int) -> float:
        """Return the learning rate of a method; shifted logits are those of the plain loss."""
        return self.runs[PLAIN if method == SHIFTED else method, ratio][0].config.learning_rate

    def notes(self) -> Sequence[str]:
        dogs, cats = np.bincount(self.predictions[PLAIN, RATIOS[0]][0].labels, minlength=2)
        return (
            f"Cats are removed from the training images only: the test has {dogs:,} dogs and "
            f"{cats:,} cats, and the validation images, on which learning rates are chosen by "
            "accuracy, keep their fraction of cats too.",
            f"{self.size.epochs} epochs for each network and {self.size.search_epochs} for each of "
            "the search. Where a loss predicts 'dog' for every image at every rate of the search, "
            "no rate is better than another, and the lowest is taken.",
            "Weights are N / (2 n_c). The effect of a weight is known to fade in long training of "
            "networks that can fit every image (Byrd and Lipton 2019); few epochs do not test "
            "that.",
        )


CLAIM = Claim(
    name="imbalance",
    question="When one class is rare, does it matter which loss is trained with?",
    claim=(
        "It does: told how rare the class is, by weights or by logit adjustment, cross-entropy "
        "finds it again, and better than focal loss, which is not told."
    ),
    refuted_by=(
        f"Weights or logit adjustment gain less than {GAIN:g} points of balanced accuracy over "
        f"plain cross-entropy, or logit adjustment less than {GAIN:g} over focal loss, with 10 or "
        "with 50 dogs per cat."
    ),
    procedure=(
        "Cats are removed until there is 1 for 10 dogs and 1 for 50 in training, not in the test. "
        "Plain cross-entropy, cross-entropy with class weights N / (2 n_c), focal loss (gamma = "
        "2) and logit-adjusted cross-entropy, each with the learning rate that is best for it on "
        "validation images with the same imbalance in training, from the same grid. Differences "
        "in balanced accuracy, paired by seed: weighted minus plain, logit-adjusted minus plain "
        f"and logit-adjusted minus focal must each be above {signed(GAIN, None)} points at both "
        "ratios. An interval is 95 %, for other seeds and other test images together; the six "
        "p-values are corrected by Holm."
    ),
    source=(
        "Menon et al. 2021, arXiv 2007.07314 (logit adjustment); Lin et al. 2017, arXiv 1708.02002 "
        "(focal loss); Byrd and Lipton 2019, arXiv 1812.03372 (weights)"
    ),
    sizes={
        "quick": Size(epochs=3, seeds=3, search_epochs=1),
        "standard": Size(epochs=6, seeds=5, search_epochs=2),
        "full": Size(epochs=20, seeds=10, search_epochs=5),
    },
    analysis=Imbalance,
)
