"""Saturation's measure in other settings: steps from a wrong start over those from an even one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.intervals import SEEDS, IntervalRow, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable
from lossbench.benchmarks.stats.intervals import Interval, mean_interval
from lossbench.benchmarks.training.rate_search import is_end, is_tie

from .claim import Analysis
from .design import Cells, Quantity
from .figures import figure, tests_figure
from .measures import table, tests_table
from .saturation import ACCURACY, EVEN, OTHER, REFERENCE, SUREST, Saturation, config_of
from .steps import count_steps, in_times, quotient, ratio, search_in_steps, tie_note

RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Learning rates that are tried from the even start."""

OVER = "sigmoid-mse over cross-entropy, steps"
CONTRAST = f"{OVER} from {SUREST:g} over those from {EVEN:g}"


class Cell(NamedTuple):
    """Setting, loss, and whether the network starts out confidently wrong."""

    setting: str
    loss: str
    wrong: bool


class Starts(NamedTuple):
    """Runs of a setting from an even and from a wrong start, with any loss."""

    even: RunConfig
    wrong: RunConfig


def starts_of(**settings: Any) -> Starts:
    """Return the runs of saturation's network, with other settings, from both of its starts."""
    runs = (config_of(REFERENCE, each, 8) for each in (EVEN, SUREST))
    return Starts(*(replace(run, record_examples=False, **settings) for run in runs))


def cells_of(settings: Mapping[str, Starts]) -> Cells:
    """Return the networks of both losses from both starts."""
    return {
        Cell(setting, loss, wrong): replace(starts.wrong if wrong else starts.even, loss=loss)
        for setting, starts in settings.items()
        for loss in (REFERENCE, OTHER)
        for wrong in (False, True)
    }


def searches_of(
    settings: Mapping[str, Starts], epochs: int = 2, from_own_start: bool = False
) -> Cells:
    """Return the networks that choose the rate of each loss.

    Args:
        settings: the settings.
        epochs: length of their training.
        from_own_start: whether a wrong start has the rate that is fastest from there; otherwise
            the rate that is fastest from the even start serves for both.
    """
    return {
        cell: replace(
            settings[cell.setting].wrong
            if cell.wrong and from_own_start
            else settings[cell.setting].even,
            loss=cell.loss,
            epochs=epochs,
        )
        for cell in cells_of(settings)
    }


@dataclass
class Interactions(Analysis):
    """Runs of both losses from both starts, in some settings.

    A subclass says what the settings are, what the wrong start is, and whether it has rates of its
    own, for tables and figures.
    """

    setting_heading: ClassVar[str]
    start: ClassVar[str]
    own_rates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.accuracy = next(iter(self.runs.values()))[0].config.stop_at_accuracy or ACCURACY
        self.steps = {cell: count_steps(runs, self.accuracy) for cell, runs in self.runs.items()}
        self.rates = {cell: runs[0].config.learning_rate for cell, runs in self.runs.items()}
        self.settings = tuple(dict.fromkeys(cell.setting for cell in self.runs))
        self.interactions = {
            setting: quotient(self.over(setting, True), self.over(setting, False))
            for setting in self.settings
        }

    @property
    def percent(self) -> str:
        """The accuracy to which steps are counted, as text."""
        return f"{100 * self.accuracy:g} %"

    score = staticmethod(Saturation.score)

    def over(self, setting: str, wrong: bool) -> Quantity:
        """Return the ratio of the steps of sigmoid-mse over those of cross-entropy."""
        return ratio(*(self.steps[Cell(setting, loss, wrong)] for loss in (OTHER, REFERENCE)))

    def figures(self) -> Sequence[PanelFigure]:
        rows = []
        for setting, quantity in self.interactions.items():
            logs = mean_interval(quantity.values if quantity.is_known else ())
            value, low, high = (
                None if x is None else math.exp(x) for x in (logs.mean, logs.low, logs.high)
            )
            rows.append(
                IntervalRow(
                    setting,
                    OTHER,
                    Interval(value, low, high, logs.n),
                    [math.exp(value) for value in quantity.values] if quantity.is_known else [],
                    in_times(quantity),
                )
            )
        panel = RowPanel(rows, "ratio of ratios of steps", references={1.0: ""}, log=True)
        interactions = figure(
            "interactions.png",
            [panel],
            title="What does sigmoid-mse lose by a confidently wrong start?",
            caption=(
                f"Steps to {self.percent} validation accuracy, sigmoid-mse over cross-entropy, "
                f"from {self.start} over those from an even start. {SEEDS}"
            ),
            alt=f"Mean: {'; '.join(f'{row.label} {row.text}' for row in rows)}.",
        )
        tests = self.tests()
        return (interactions, tests_figure(tests, [OTHER] * len(tests)))

    def tables(self) -> Sequence[ClaimTable]:
        steps = table(
            f"Steps to {self.percent} validation accuracy",
            self.runs,
            {
                self.setting_heading: lambda cell: cell.setting,
                "loss": lambda cell: cell.loss,
                "start": lambda cell: self.start if cell.wrong else f"{EVEN:g}",
                "rate": lambda cell: f"{self.rates[cell]:g}",
                "steps": lambda cell: str(self.steps[cell]),
                "sigmoid-mse over cross-entropy": (
                    lambda cell: in_times(self.over(cell.setting, cell.wrong))
                ),
                "from the wrong start over even": (
                    lambda cell: in_times(self.interactions[cell.setting])
                ),
            },
            "Steps: geometric mean over seeds (least to most); '1 of 3 in 281': one of three runs "
            "reached the accuracy, training ended after 281 steps. Such a run counts with the "
            "steps of its training, which makes a ratio a bound (≥, ≤).",
        )
        search = search_in_steps(
            {
                self._searched_name(cell): scores
                for cell, scores in self.searched.items()
                if self.own_rates or not cell.wrong
            }
        )
        return (steps, tests_table(self.tests()), search)

    def _searched_name(self, cell: Cell) -> str:
        """Return what a rate was chosen for, as text."""
        name = f"{cell.setting}, {cell.loss}"
        return f"{name}, from {self.start}" if self.own_rates and cell.wrong else name

    def notes(self) -> Sequence[str]:
        ends = dict.fromkeys(
            tie_note(self._searched_name(cell), rate)
            if is_tie(self.searched[cell])
            else f"{self._searched_name(cell)}: the fastest rate, {rate:g}, is an end of those "
            "tried; one beyond it may be faster still."
            for cell, rate in self.rates.items()
            if is_end(rate, self.searched[cell])
        )
        fastest = "each start" if self.own_rates else "the even start"
        return (
            f"The learning rate is constant, and the one that is fastest for the loss from "
            f"{fastest}, chosen on other networks.",
            *ends,
        )
