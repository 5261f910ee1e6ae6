"""Claim: does the comparison of two losses depend on the learning rate?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from lossbench.benchmarks.config import ARTICLE_LOSSES, LEARNING_RATES, RunConfig
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel, draw_curves
from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel, draw_intervals
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Measure
from lossbench.benchmarks.stats.contrasts import Contrast
from lossbench.benchmarks.stats.intervals import Interval, mean_interval, paired_difference
from lossbench.benchmarks.training.rate_search import FIRST_SEARCH_SEED
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim, ClaimTrainer, Size
from .figures import figure, rate_axis, seed_row
from .measures import above, below, holm_pvalues, one_sided, table, within
from .runs import accuracies, accuracy_contrast, chance_level, train_cells
from .sweep import USABLE, sweep
from .text import mean_text, optional, signed, with_span

REFERENCE, OTHER = "cross-entropy", "sigmoid-mse"
PAIR = (REFERENCE, OTHER)
# The loss without a gradient, for which all rates are the same.
CONSTANT = "zero-one"
# The rates between which the order of the pair reverses.
LOW, HIGH = 0.01, 3.0
# A range of rates is narrower if it is so by more than this, in decades: a step of the grid.
STEP = 0.5
# Accuracies this near, in points, are about the same.
NEAR = 3.0


def config_of(loss: str, size: Size) -> RunConfig:
    """Return the configuration of a run with a loss."""
    images = size.train_images
    return RunConfig(loss, 0, LOW, epochs=size.epochs, train_images=images, evaluations=1)


@dataclass
class LearningRate(Analysis):
    """Runs of every loss at every rate, and at its own best rate with new seeds.

    Attributes:
        swept: results of every loss: per seed, by rate.
        runs: results of every loss at its best rate, on test images.
        size: the size of the experiment.
    """

    swept: dict[str, list[RunResult]]
    runs: dict[str, list[RunResult]]
    size: Size

    @classmethod
    def train(cls, trainer: ClaimTrainer, size: Size) -> Self:
        trainer.say(f"{len(ARTICLE_LOSSES)} losses at {len(LEARNING_RATES)} learning rates")
        cells = {
            loss: [
                replace(config_of(loss, size), learning_rate=rate, seed=FIRST_SEARCH_SEED + k)
                for k in range(size.seeds if loss in PAIR else size.search_seeds)
                for rate in LEARNING_RATES
            ]
            for loss in ARTICLE_LOSSES
        }
        swept = train_cells(trainer, cells)
        trainer.say("every loss at its own best rate, with new seeds")
        ranked = {
            loss: [
                replace(
                    config_of(loss, size), learning_rate=sweep(runs).best_rate, seed=seed, test=True
                )
                for seed in range(size.seeds if loss in PAIR else size.other_seeds)
            ]
            for loss, runs in swept.items()
        }
        return cls(swept, train_cells(trainer, ranked), size)

    def __post_init__(self) -> None:
        self.sweeps = {loss: sweep(runs) for loss, runs in self.swept.items()}
        self.chance = chance_level(self.runs[REFERENCE][0].test)
        self.accuracies = {loss: accuracies(runs) for loss, runs in self.runs.items()}
        self.contrasts = {
            loss: self.minus_reference(loss) for loss in ARTICLE_LOSSES if loss != REFERENCE
        }
        self.gradients = {
            loss: float(np.mean([run.evaluations[0].logit_mean_abs for run in runs]))
            for loss, runs in self.swept.items()
        }

    def minus_reference(self, loss: str) -> Contrast:
        """Return the test accuracy of a loss minus that of cross-entropy, over common seeds."""
        runs = self.runs[loss]
        return accuracy_contrast(runs, self.runs[REFERENCE][: len(runs)])

    def difference_at(self, rate: float) -> Interval:
        """Return the validation accuracy of sigmoid-mse minus that of cross-entropy at a rate."""
        return paired_difference(self.sweeps[OTHER].at(rate), self.sweeps[REFERENCE].at(rate))

    def measures(self) -> Sequence[Measure]:
        ours, other = self.sweeps[REFERENCE], self.sweeps[OTHER]
        name = f"{OTHER} minus {REFERENCE}"
        at_rate = f"{name} at a learning rate of {{:g}}, validation accuracy, points"
        return (
            below(at_rate.format(LOW), self.difference_at(LOW), 0, "0 points"),
            above(at_rate.format(HIGH), self.difference_at(HIGH), 0, "0 points"),
            within(
                f"{name}, each at its own best rate, test accuracy, points",
                self.contrasts[OTHER].interval,
                -NEAR,
                NEAR,
                f"±{NEAR:g} points",
            ),
            one_sided(
                "above",
                f"usable range of {REFERENCE} minus that of {OTHER}, decades of learning rate",
                paired_difference(ours.decades, other.decades),
                -STEP,
                f"{signed(-STEP, None)} decades",
                least=ours.is_bound,
                most=other.is_bound,
            ),
        )

    def sentence(self) -> str:
        rates = {loss: f"{each.best_rate:g}" for loss, each in self.sweeps.items()}
        width = {
            loss: f"{'at least ' * each.is_bound}{np.mean(each.decades):.1f}"
            for loss, each in self.sweeps.items()
        }
        return (
            f"{OTHER} minus {REFERENCE} is {signed(self.difference_at(LOW).mean)} points at a "
            f"learning rate of {LOW:g} and {signed(self.difference_at(HIGH).mean)} at {HIGH:g}; "
            f"each at its own best rate ({rates[OTHER]} and {rates[REFERENCE]}) it is "
            f"{with_span(self.contrasts[OTHER].interval)}. Rates within {USABLE:g} points of the "
            f"best span {width[REFERENCE]} decades for {REFERENCE} and {width[OTHER]} for {OTHER}."
        )

    def figures(self) -> Sequence[ClaimFigure]:
        return (self._rate_figure(), self._range_figure())

    def _rate_figure(self) -> ClaimFigure:
        curves, best = [], []
        for loss, each in self.sweeps.items():
            shift = {REFERENCE: 1.03, OTHER: 1 / 1.03}.get(loss, 1.0)
            intervals = [mean_interval(list(map(float, c))) for c in each.accuracy.T]
            learns, decides = loss != CONSTANT, loss in PAIR
            curves.append(
                Curve(
                    loss,
                    [rate * shift for rate in LEARNING_RATES],
                    each.mean,
                    loss,
                    intervals=intervals if decides else (),
                    chosen=each.best if learns else None,
                    emphasis=decides,
                )
            )
            if learns:
                best.append(f"{loss} {each.mean[each.best]:.1f} at {each.best_rate:g}")
        y = Axis("validation accuracy, %")
        panel = CurvePanel(curves, rate_axis(LEARNING_RATES), y, chance=self.chance)
        return figure(
            "curves.png",
            draw_curves,
            [panel],
            title="Does it depend on the learning rate which loss is ahead?",
            caption=(
                f"Thick: {' and '.join(PAIR)}; bar: 95 % interval over seeds. Star: the best rate."
            ),
            alt=f"Best validation accuracy in %: {'; '.join(best)}.",
            height=4.8,
        )

    def _range_figure(self) -> ClaimFigure:
        order = sorted(
            (loss for loss in self.sweeps if loss != CONSTANT),
            key=lambda loss: self.sweeps[loss].best_rate,
        )
        ranges, reached, parts = [], [], []
        for loss in order:
            each, best, values = (
                self.sweeps[loss].range,
                self.sweeps[loss].best_rate,
                self.accuracies[loss],
            )
            span = Interval(best, each.low, each.high, len(values))
            ranges.append(IntervalRow(loss, loss, span, continues=(each.open_low, each.open_high)))
            reached.append(seed_row(loss, loss, values, "{:.1f} %"))
            parts.append(f"{loss} {each.low:.2g} to {each.high:.2g}, best {best:g}")
        panels = [
            RowPanel(
                ranges,
                "peak learning rate",
                f"Usable: within {USABLE:g} points of its best",
                log=True,
            ),
            RowPanel(reached, "test accuracy, %", "Accuracy at the best rate", self.chance),
        ]
        return figure(
            "ranges.png",
            draw_intervals,
            panels,
            title="Which learning rates suit which loss, and how accurate is it then?",
            caption=(
                "Left, marker: the best rate; bar: the usable rates; arrow: they go on beyond the "
                "rates that were tried. Right, marker: mean over seeds; bar: its 95 % interval; "
                "ticks: the seeds."
            ),
            alt=f"Usable learning rates: {'; '.join(parts)}.",
            side_by_side=True,
        )

    def tables(self) -> Sequence[ClaimTable]:
        return (self._rank_table(), self._rate_table())

    def _rank_table(self) -> ClaimTable:
        each, ps = self.contrasts, holm_pvalues(self.contrasts)
        rates = {loss: s.best_rate for loss, s in self.sweeps.items() if loss != CONSTANT}
        return table(
            "Each loss at its own best learning rate",
            sorted(self.runs, key=lambda loss: -float(np.mean(self.accuracies[loss]))),
            {
                "loss": str,
                "best rate": lambda loss: f"{rates[loss]:g}" if loss in rates else "any",
                f"usable rates (within {USABLE:g} points)": lambda loss: (
                    str(self.sweeps[loss].range) if loss in rates else optional(None, "")
                ),
                "test accuracy, %": lambda loss: mean_text(self.accuracies[loss]),
                "minus cross-entropy (95 %), points": lambda loss: (
                    with_span(each[loss].interval) if loss in each else "reference"
                ),
                "p (Holm)": lambda loss: optional(ps.get(loss), ".3f"),
                "smallest detectable, points": lambda loss: optional(
                    each[loss].detectable if loss in each else None, ".1f"
                ),
                "seeds": lambda loss: str(len(self.runs[loss])),
                "mean |dL/dz| at the start": lambda loss: f"{self.gradients[loss]:.2g}",
                "best rate × |dL/dz|": lambda loss: optional(
                    rates[loss] * self.gradients[loss] if loss in rates else None, ".2g"
                ),
            },
            "The best rate is chosen on validation images; the accuracy is that of other networks, "
            "with new seeds, on test images. Mean ± half the 95 % t interval over seeds. "
            "Differences are paired by seed, and their intervals allow for other seeds and other "
            "test images. p: paired t test against no difference, corrected by Holm for all rows. "
            "Smallest detectable: the true difference that this many seeds find with a power of 80 "
            "%.",
            "Usable: on the mean curve over seeds; ≤ and ≥: it goes on beyond the rates tried. "
            "Where the last column agrees between losses, their difference at one rate is one of "
            "the size of their gradients.",
        )

    def _rate_table(self) -> ClaimTable:
        columns = {
            f"{rate:g}": lambda item, index=index: f"{item[1].mean[index]:.1f}"
            for index, rate in enumerate(LEARNING_RATES)
        }
        return table(
            "Validation accuracy, %, by learning rate",
            self.sweeps.items(),
            {"loss": lambda item: item[0], **columns},
            "Means over seeds. A network that diverges predicts one class for every image.",
        )

    def notes(self) -> Sequence[str]:
        size = self.size
        images = "all" if size.train_images is None else f"{size.train_images:,}"
        notes = [
            f"Trained on {images} images for {size.epochs} epochs with one-cycle SGD with "
            "momentum: other optimisers, of which some divide by the size of the gradient, have "
            "other ranges.",
            f"The verdict is about {REFERENCE} and {OTHER}, which have {size.seeds} seeds; the "
            f"other losses have {size.other_seeds}, and {size.search_seeds} at each of the rates "
            "tried.",
            f"The limits, among them the rate of {HIGH:g}, were settled after looking at networks "
            "with seeds of this sweep, trained on fewer images.",
            "bce and bce-with-logits, and nll and cross-entropy, are the same functions: the "
            "difference between them is chance.",
        ]
        cut = [
            loss
            for loss, each in self.sweeps.items()
            if (each.range.open_low or each.range.open_high) and loss != CONSTANT
        ]
        if cut:
            notes.append(
                f"Usable beyond the rates tried, so that the range is a bound: {', '.join(cut)}."
            )
        return notes


CLAIM = Claim(
    name="learning-rate",
    question="Does it depend on the learning rate which loss is ahead?",
    claim=(
        f"It does: {REFERENCE} is ahead of {OTHER} at a low rate and behind it at a high one. At "
        f"its own best rate each is about as accurate, and {REFERENCE} is no harder to tune: its "
        "usable range of rates is no narrower."
    ),
    refuted_by=(
        "The same loss is ahead at both rates, or they differ at their best rates by more than "
        f"{NEAR:g} points, or the usable range of {REFERENCE} is narrower."
    ),
    procedure=(
        f"Each of the ten losses is trained at {len(LEARNING_RATES)} rates from "
        f"{LEARNING_RATES[0]:g} to {LEARNING_RATES[-1]:g}, in pairs, and evaluated on validation "
        "images; then at its own best rate, with new seeds, on test images. "
        f"{OTHER} minus {REFERENCE} must be below 0 points at a rate of {LOW:g}, above 0 at "
        f"{HIGH:g}, and within ±{NEAR:g} at the best rates. Usable are the rates around the best "
        f"at which validation accuracy is no more than {USABLE:g} points lower; the range of "
        f"{REFERENCE} minus that of {OTHER} must be above {signed(-STEP, None)} decades, a step of "
        "the grid. 95 % t intervals over paired seeds, on test images together with a bootstrap "
        "over images. A range that goes on beyond the rates tried is a bound: it decides nothing "
        "that a wider range would reverse. All four must hold, so that nothing is corrected for "
        "their number; the nine differences of the ranking are, by Holm."
    ),
    source=(
        "Choi et al. 2019, arXiv 1910.05446, and Sivaprasad et al. 2020, arXiv 1910.11758: "
        "comparisons reverse with the effort of tuning"
    ),
    sizes={
        "quick": Size(epochs=2, seeds=5, other_seeds=3, search_seeds=1, train_images=1_500),
        "standard": Size(epochs=2, seeds=8, other_seeds=3, search_seeds=3, train_images=4_000),
        "full": Size(epochs=6, seeds=10, other_seeds=5, search_seeds=5),
    },
    analysis=LearningRate,
)
