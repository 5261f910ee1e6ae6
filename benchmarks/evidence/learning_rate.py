"""Claim: does the comparison of two losses depend on the learning rate?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable
from lossbench.benchmarks.stats.intervals import Interval, mean_interval, paired_differences

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, rate_axis, seed_row, tests_figure
from .measures import table, tests_table
from .runs import accuracies, accuracy_difference, chance_level
from .sweep import USABLE, sweep
from .text import mean_text, with_span

REFERENCE, OTHER = "cross-entropy", "sigmoid-mse"
LOSSES = (REFERENCE, OTHER)
# They reach beyond the usable rates of both losses.
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# The rates between which the order of the losses reverses.
LOW, HIGH = 0.01, 3.0
# Points by which a loss must be ahead to be called ahead.
AHEAD = 1.0
# A range of rates is narrower if it is so by more than this, in decades: a step of the grid.
STEP = 0.5
# Accuracies this near, in points, are about the same.
NEAR = 3.0
EPOCHS, IMAGES = 2, 4_000


class Cell(NamedTuple):
    """A loss, and one of the rates of the sweep; None: the rate that was best in the search."""

    loss: str
    rate: float | None


def config_of(loss: str, rate: float) -> RunConfig:
    """Return the run of a loss at a rate."""
    return RunConfig(loss, 0, rate, epochs=EPOCHS, train_images=IMAGES, evaluations=1)


MINUS = f"{OTHER} minus {REFERENCE}"
DESIGN = Design(
    question="Does it depend on the learning rate which loss is ahead?",
    expects=(
        Expected(f"{MINUS} at a learning rate of {LOW:g}, validation accuracy", "below", -AHEAD),
        Expected(f"{MINUS} at a learning rate of {HIGH:g}, validation accuracy", "above", AHEAD),
        Expected(f"{MINUS}, each at its own best rate, test accuracy", "within", NEAR),
        Expected(
            f"usable range of {REFERENCE} minus that of {OTHER}, learning rates",
            "above",
            -STEP,
            "decades",
        ),
    ),
    cells={
        **{Cell(loss, rate): config_of(loss, rate) for loss in LOSSES for rate in RATES},
        **{Cell(loss, None): replace(config_of(loss, LOW), test=True) for loss in LOSSES},
    },
    searches={Cell(loss, None): config_of(loss, LOW) for loss in LOSSES},
    rates=RATES,
    search_seeds=3,
)


@dataclass
class LearningRate(Analysis):
    """Runs of both losses at every rate, and at their own best rates."""

    def __post_init__(self) -> None:
        self.tuned = {loss: self.runs[Cell(loss, None)] for loss in LOSSES}
        self.sweeps = {
            loss: sweep(
                {
                    cell.rate: runs
                    for cell, runs in self.runs.items()
                    if cell.rate and cell.loss == loss
                }
            )
            for loss in LOSSES
        }
        self.chance = chance_level(self.tuned[REFERENCE][0].test)
        self.accuracies = {loss: accuracies(runs) for loss, runs in self.tuned.items()}
        self.best = {loss: runs[0].config.learning_rate for loss, runs in self.tuned.items()}

    def difference_at(self, rate: float) -> Quantity:
        """Return the validation accuracy of sigmoid-mse minus that of cross-entropy at a rate."""
        ours, other = (self.sweeps[loss].at(rate) for loss in (OTHER, REFERENCE))
        return Quantity(tuple(paired_differences(ours, other)))

    def tests(self) -> list[Tested]:
        """Test the differences."""
        ours, other = self.sweeps[REFERENCE], self.sweeps[OTHER]
        return DESIGN.test(
            [
                self.difference_at(LOW),
                self.difference_at(HIGH),
                accuracy_difference(self.tuned[OTHER], self.tuned[REFERENCE]),
                Quantity(
                    tuple(paired_differences(ours.decades, other.decades)),
                    least=ours.is_bound,
                    most=other.is_bound,
                ),
            ]
        )

    def sentence(self) -> str:
        low, high = (self.difference_at(rate).values for rate in (LOW, HIGH))
        level = DESIGN.level(DESIGN.expects[0], DESIGN.error)
        gain = mean_interval(paired_differences(high, low), level)
        return (
            f"From a learning rate of {LOW:g} to one of {HIGH:g} {OTHER} gains {with_span(gain)} "
            f"points of validation accuracy on {REFERENCE}."
        )

    def figures(self) -> Sequence[PanelFigure]:
        return (
            self._rate_figure(),
            tests_figure(self.tests(), [OTHER, OTHER, OTHER, REFERENCE]),
            self._range_figure(),
        )

    def _rate_figure(self) -> PanelFigure:
        curves, best = [], []
        for loss, each in self.sweeps.items():
            shift = {REFERENCE: 1.03, OTHER: 1 / 1.03}[loss]
            intervals = [mean_interval(list(map(float, c))) for c in each.accuracy.T]
            curves.append(
                Curve(
                    loss,
                    [rate * shift for rate in each.rates],
                    each.mean,
                    loss,
                    intervals=intervals,
                    chosen=each.best,
                )
            )
            best.append(f"{loss} {each.mean[each.best]:.1f} at {each.best_rate:g}")
        y = Axis("validation accuracy, %")
        rates = self.sweeps[REFERENCE].rates
        panel = CurvePanel(curves, rate_axis(rates), y, chance=self.chance)
        return figure(
            "curves.png",
            [panel],
            title="Does it depend on the learning rate which loss is ahead?",
            caption="Mean over seeds; bar: its 95 % interval. Star: the best rate.",
            alt=f"Best validation accuracy in %: {'; '.join(best)}.",
        )

    def _range_figure(self) -> PanelFigure:
        ranges, reached, parts = [], [], []
        for loss, found in self.sweeps.items():
            each, best, values = found.range, found.best_rate, self.accuracies[loss]
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
            panels,
            title="Which learning rates suit which loss, and how accurate is it then?",
            caption=(
                "Left, marker: the best rate; bar: the usable rates; arrow: they go on beyond the "
                "rates that were tried. Right, marker: mean over seeds; bar: its 95 % interval; "
                "ticks: the seeds."
            ),
            alt=f"Usable learning rates: {'; '.join(parts)}.",
            columns=2,
        )

    def tables(self) -> Sequence[ClaimTable]:
        best = table(
            "Each loss at its own best learning rate",
            LOSSES,
            {
                "loss": str,
                "rate chosen by the search": lambda loss: f"{self.best[loss]:g}",
                f"usable rates (within {USABLE:g} points)": lambda loss: str(
                    self.sweeps[loss].range
                ),
                "test accuracy, %": lambda loss: mean_text(self.accuracies[loss]),
            },
            "The rate was chosen on validation images and other networks, so it can differ from "
            "the best one in the figures. Mean ± half the 95 % t interval over seeds. Usable: on "
            "the mean curve over seeds; ≤ and ≥: it goes on beyond the rates tried.",
        )
        rates = self.sweeps[REFERENCE].rates
        columns = {
            f"{rate:g}": lambda loss, index=index: f"{self.sweeps[loss].mean[index]:.1f}"
            for index, rate in enumerate(rates)
        }
        by_rate = table(
            "Validation accuracy, %, by learning rate",
            LOSSES,
            {"loss": str, **columns},
            "Means over seeds. A network that diverges is at chance.",
        )
        return (tests_table(self.tests()), best, by_rate)

    def notes(self) -> Sequence[str]:
        notes = [
            f"Trained on {IMAGES:,} images for {EPOCHS} epochs with one-cycle SGD with momentum: "
            "other optimisers, of which some divide by the size of the gradient, have other "
            "ranges.",
        ]
        cut = [
            loss
            for loss, each in self.sweeps.items()
            if each.range.open_low or each.range.open_high
        ]
        if cut:
            notes.append(
                f"Usable beyond the rates tried, so that the range is a bound: {', '.join(cut)}."
            )
        return notes


CLAIM = Claim(
    name="learning-rate",
    claim=(
        f"{REFERENCE} is ahead of {OTHER} at a low learning rate and behind it at a high one, "
        f"within {NEAR:g} points of it when each has its own best rate, and no harder to tune."
    ),
    refuted_by=(
        "The same loss is ahead at both rates, or they differ at their best rates by more than "
        f"{NEAR:g} points, or the usable range of {REFERENCE} is narrower."
    ),
    procedure=(
        f"Both losses are trained at {len(RATES)} rates from {RATES[0]:g} to {RATES[-1]:g}, in "
        "pairs, and evaluated on validation images; and at the rate that was best for each on "
        "validation images with other networks, on test images. Usable are the rates around the "
        f"best at which validation accuracy is no more than {USABLE:g} points lower; a range is "
        f"narrower if it is so by more than {STEP:g} decades, a step of the grid. A range that "
        "goes on beyond the rates tried is a bound: it decides nothing that a wider range would "
        "reverse."
    ),
    source=(
        "Choi et al. 2019, arXiv 1910.05446, and Sivaprasad et al. 2020, arXiv 1910.11758: "
        "comparisons reverse with the effort of tuning"
    ),
    design=DESIGN,
    analysis=LearningRate,
)
