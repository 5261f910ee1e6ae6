"""Claim: is squared error of raw outputs as accurate as cross-entropy, each at its best rate?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import pvalue
from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel, draw_intervals
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Measure
from lossbench.benchmarks.stats.contrasts import Contrast
from lossbench.benchmarks.stats.intervals import mean_interval
from lossbench.benchmarks.stats.verdict import Verdict, verdict_equivalent
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim, ClaimTrainer, Size
from .figures import figure, search_figure, seed_row
from .measures import holm_pvalues, table, within
from .runs import (
    accuracies,
    accuracy_contrast,
    chance_level,
    search_rates,
    train_seeds,
    with_best_rates,
)
from .text import mean_text, optional, signed, span, with_span

REFERENCE, CHALLENGER = "cross-entropy", "mse"
# Cross-entropy computed from z itself: the same function, so that its difference shows the size
# of chance. And squared error behind a sigmoid.
CONTROL, SIGMOID = "bce-with-logits", "sigmoid-mse"
IN_WORDS = {
    REFERENCE: "of a softmax",
    CHALLENGER: "squared error, no sigmoid",
    CONTROL: "cross-entropy as a binary loss",
    SIGMOID: "squared error of a sigmoid",
}
# Accuracies this near to each other, in points, are equal: about the distance of square loss and
# cross-entropy in most of Hui and Belkin's tables.
MARGIN = 2.0
# Two one-sided tests at 5 % need the 90 % interval.
LEVEL = 0.9


@dataclass
class SquareLoss(Analysis):
    """Runs of every loss at its own learning rate, and the search for it.

    Attributes:
        runs: results per loss.
        searched: mean validation accuracy per loss and rate, a fraction.
        size: the size of the experiment.
    """

    runs: dict[str, list[RunResult]]
    searched: dict[str, dict[float, float]]
    size: Size

    @classmethod
    def train(cls, trainer: ClaimTrainer, size: Size) -> Self:
        configs = {
            loss: RunConfig(loss, 0, 0.1, epochs=size.epochs, evaluations=1) for loss in IN_WORDS
        }
        trainer.say(f"choosing a learning rate for each of {len(configs)} losses")
        searched = search_rates(trainer, configs)
        trainer.say(f"{size.seeds} seeds of each loss with its own learning rate")
        configs = with_best_rates(configs, searched)
        return cls(train_seeds(trainer, configs, size.seeds), searched, size)

    def __post_init__(self) -> None:
        self.chance = chance_level(self.runs[REFERENCE][0].test)
        self.rates = {loss: runs[0].config.learning_rate for loss, runs in self.runs.items()}
        self.accuracies = {loss: accuracies(runs) for loss, runs in self.runs.items()}
        self.contrasts = {
            loss: accuracy_contrast(runs, self.runs[REFERENCE], LEVEL)
            for loss, runs in self.runs.items()
            if loss != REFERENCE
        }

    def measures(self) -> Sequence[Measure]:
        name = f"{CHALLENGER} minus {REFERENCE}, test accuracy, points (90 % interval)"
        interval = self.contrasts[CHALLENGER].interval
        return (within(name, interval, -MARGIN, MARGIN, f"±{MARGIN:g} points"),)

    def sentence(self) -> str:
        difference, sigmoid = self.contrasts[CHALLENGER], self.contrasts[SIGMOID]
        result = {
            "holds": f"equal within ±{MARGIN:g} points",
            "does not hold": f"more than {MARGIN:g} points apart",
            "undecided": f"neither shown to be within ±{MARGIN:g} points nor to be outside",
        }[equivalent(difference)]
        ours, reference = (
            f"(rate {self.rates[loss]:g}) {mean_interval(self.accuracies[loss]).mean:.1f} %"
            for loss in (CHALLENGER, REFERENCE)
        )
        return (
            f"The test accuracy of squared error of raw outputs is {ours} and that of "
            f"cross-entropy {reference}, a difference of {with_span(difference.interval)} points, "
            f"90 % interval: {result}. With a sigmoid in between, at rate "
            f"{self.rates[SIGMOID]:g}, the difference is {with_span(sigmoid.interval)}."
        )

    def figures(self) -> Sequence[ClaimFigure]:
        title, names = "The search for learning rates", {loss: loss for loss in IN_WORDS}
        return (self._difference_figure(), search_figure(title, self.searched, names, self.chance))

    def _difference_figure(self) -> ClaimFigure:
        accuracy = [
            seed_row(f"{loss}\n{IN_WORDS[loss]}", loss, values, "{:.1f} %")
            for loss, values in self.accuracies.items()
        ]
        differences = [
            IntervalRow(
                f"{loss}\n{IN_WORDS[loss]}",
                loss,
                each.interval,
                text=signed(each.interval.mean),
                verdict=in_words(each),
                expected=(-MARGIN, MARGIN),
            )
            for loss, each in self.contrasts.items()
        ]
        listed = "; ".join(
            f"{loss} {signed(each.interval.mean)} ({in_words(each)})"
            for loss, each in self.contrasts.items()
        )
        panels = [
            RowPanel(accuracy, "test accuracy, %", chance=self.chance),
            RowPanel(
                differences,
                "test accuracy minus that of cross-entropy, points (bar: 90 % interval)",
                f"Equal if the bar lies within ±{MARGIN:g} points, green",
                references={0: ""},
            ),
        ]
        return figure(
            "difference.png",
            draw_intervals,
            panels,
            title="Each loss at its own best learning rate",
            caption="Marker: mean over seeds; bar: 95 % interval, in the lower panel 90 %.",
            alt=f"Difference in test accuracy to cross-entropy, points: {listed}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        return (self._accuracy_table(), self._difference_table(), self._search_table())

    def _accuracy_table(self) -> ClaimTable:
        return table(
            "Test accuracy, each loss at the learning rate chosen for it",
            self.runs,
            {
                "loss": str,
                "learning rate": lambda loss: f"{self.rates[loss]:g}",
                "test accuracy, %": lambda loss: mean_text(self.accuracies[loss]),
                "of each seed, %": lambda loss: "  ".join(
                    f"{value:.1f}" for value in self.accuracies[loss]
                ),
            },
            "Mean ± half the 95 % t interval over seeds.",
        )

    def _difference_table(self) -> ClaimTable:
        each, ps = self.contrasts, holm_pvalues(self.contrasts)
        return table(
            "Differences in test accuracy, points",
            each,
            {
                "difference": lambda loss: f"{loss} minus {REFERENCE}",
                "mean": lambda loss: signed(each[loss].seeds.mean),
                "90 % over seeds": lambda loss: span(each[loss].seeds),
                "90 % over test images": lambda loss: span(each[loss].examples),
                "95 % over seeds": lambda loss: span(mean_interval(each[loss].differences)),
                "p (Holm)": lambda loss: pvalue(ps[loss]),
                "smallest detectable": lambda loss: optional(each[loss].detectable, ".1f"),
                "seeds": lambda loss: str(each[loss].seeds.n),
                f"equal within ±{MARGIN:g}": lambda loss: in_words(each[loss]),
            },
            "Paired by seed: t interval; over test images: paired bootstrap. Equal: the 90 % "
            "interval of both together, the root of the sum of their squares, lies within the "
            "margin. p: that there is no difference at all, paired t test, corrected by Holm for "
            "the rows. Smallest detectable: the true difference from 0 that this many seeds find "
            "with a power of 80 %. The first row alone decides.",
        )

    def _search_table(self) -> ClaimTable:
        rates = sorted({rate for each in self.searched.values() for rate in each})
        columns = {
            f"{rate:g}": lambda loss, rate=rate: optional(
                100 * self.searched[loss].get(rate, float("nan")), ".1f"
            )
            for rate in rates
        }
        return table(
            "The search: validation accuracy, %, by learning rate",
            self.searched,
            {"loss": str, **columns},
            "The search has its own seeds and does not use the test images. Diverged: 0.",
        )

    def notes(self) -> Sequence[str]:
        notes = [
            "mse fits the raw output to -1 for a dog and +1 for a cat, without a sigmoid or "
            f"softmax; {SIGMOID} is the same error behind a sigmoid, where its gradient vanishes.",
            f"{CONTROL} is the same function as {REFERENCE}, computed from z instead of "
            "(\N{MINUS SIGN}z/2, z/2): its row shows how much rounding makes, tuning included. Its "
            "difference is "
            f"{with_span(self.contrasts[CONTROL].interval)}.",
            f"Two classes and a small network trained for {self.size.epochs} epochs. Hui and "
            "Belkin compare large networks on 28 tasks; with many classes they rescale the loss, "
            "which two classes do not need.",
        ]
        ends = [
            loss
            for loss, rate in self.rates.items()
            if rate in (min(self.searched[loss]), max(self.searched[loss]))
        ]
        if ends:
            notes.append(
                f"The best rate is at an end of the grid for {', '.join(ends)}: one beyond it may "
                "be better still."
            )
        return notes


def equivalent(difference: Contrast) -> Verdict:
    """Return the verdict on whether two losses are equal within the margin."""
    return verdict_equivalent(difference.interval, MARGIN)


def in_words(difference: Contrast) -> str:
    """Return 'equal', 'different' or 'undecided'."""
    words = {"holds": "equal", "does not hold": "different", "undecided": "undecided"}
    return words[equivalent(difference)]


CLAIM = Claim(
    name="square-loss",
    question="Is squared error without a sigmoid as accurate as cross-entropy?",
    claim="It is: at its own best learning rate it is neither better nor worse by 2 points.",
    refuted_by=f"The accuracies lie more than {MARGIN:g} points apart, the 90 % interval included.",
    procedure=(
        "Cats and dogs. Squared error of the raw output, cross-entropy and two losses beside them "
        "each get the learning rate that is best for them on validation images, from the same "
        "grid and the same number of trials; then they are trained with new seeds, in pairs, and "
        "asked about the test images once. Equal means: the 90 % interval of the difference in "
        f"test accuracy lies within ±{MARGIN:g} points, which is two one-sided tests at 5 % "
        "(Schuirmann 1987); different: it lies wholly outside. The interval allows for other seeds "
        "(paired t) and other test images (paired bootstrap): each side is the root of the sum of "
        "the squares of the two."
    ),
    source="Hui and Belkin 2021, arXiv 2006.07322",
    sizes={
        "quick": Size(epochs=2, seeds=5),
        "standard": Size(epochs=4, seeds=8),
        "full": Size(epochs=12, seeds=16),
    },
    analysis=SquareLoss,
)
