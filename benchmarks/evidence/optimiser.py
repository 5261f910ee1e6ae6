"""Claim: does Adam rescue sigmoid-mse from a confidently wrong start?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lossbench.benchmarks.plots.intervals import RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, seed_row, tests_figure
from .measures import table, tests_table, with_interval
from .saturation import (
    ACCURACY,
    EVEN,
    OTHER,
    PERCENT,
    REFERENCE,
    SUREST,
    Saturation,
    config_of,
)
from .saturation import RATES as SGD_RATES
from .steps import count_steps, in_times, quotient, ratio, search_in_steps

SGD, ADAM = "sgd", "adam"
# A step of Adam is as long as the rate, whatever the size of the gradient.
ADAM_RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
RATES = tuple(sorted({*SGD_RATES, *ADAM_RATES}))


class Cell(NamedTuple):
    """Optimizer, loss, and confidence of the start."""

    optimizer: str
    loss: str
    confidence: float


CELLS = tuple(
    Cell(optimizer, loss, confidence)
    for optimizer in (SGD, ADAM)
    for loss in (REFERENCE, OTHER)
    for confidence in (EVEN, SUREST)
)
OVER = f"sigmoid-mse over cross-entropy, steps from {SUREST:g} over those from {EVEN:g}"
DESIGN = Design(
    question="Does Adam rescue sigmoid-mse from a confidently wrong start?",
    expects=(
        Expected(f"{OVER}: with SGD over with Adam", "above", 1.25, "times"),
        Expected(f"{OVER}: with Adam", "above", 1.25, "times"),
    ),
    cells={cell: config_of(cell.loss, cell.confidence, 8, cell.optimizer) for cell in CELLS},
    searches={cell: config_of(cell.loss, EVEN, 2, cell.optimizer) for cell in CELLS},
    rates=RATES,
    search_seeds=2,
)


@dataclass
class Optimiser(Analysis):
    """Runs of both losses with both optimizers from both starts."""

    def __post_init__(self) -> None:
        self.steps = {cell: count_steps(runs, ACCURACY) for cell, runs in self.runs.items()}
        self.rates = {cell: runs[0].config.learning_rate for cell, runs in self.runs.items()}
        self.interactions = {
            optimizer: quotient(self.over(optimizer, SUREST), self.over(optimizer, EVEN))
            for optimizer in (SGD, ADAM)
        }

    score = staticmethod(Saturation.score)

    def over(self, optimizer: str, confidence: float) -> Quantity:
        """Return the ratio of the steps of sigmoid-mse over those of cross-entropy."""
        return ratio(
            *(self.steps[Cell(optimizer, loss, confidence)] for loss in (OTHER, REFERENCE))
        )

    def tests(self) -> list[Tested]:
        """Test the ratios."""
        sgd, adam = self.interactions[SGD], self.interactions[ADAM]
        return DESIGN.test([quotient(sgd, adam), adam])

    def sentence(self) -> str:
        return (
            "With Adam, sigmoid-mse still takes "
            f"{with_interval(self.tests()[1])} times the steps of cross-entropy from a start that "
            f"is {100 * SUREST:g} % sure of the wrong class, relative to an even start."
        )

    def figures(self) -> Sequence[PanelFigure]:
        panels, parts = [], []
        for optimizer in (SGD, ADAM):
            rows = [
                seed_row(
                    f"{loss}, from {confidence:g}",
                    loss,
                    list(map(float, self.steps[Cell(optimizer, loss, confidence)].value)),
                    "{:.0f}",
                    hollow=confidence == EVEN,
                )
                for confidence in (EVEN, SUREST)
                for loss in (REFERENCE, OTHER)
            ]
            panels.append(RowPanel(rows, f"steps to {PERCENT} accuracy", optimizer))
            parts += [f"{optimizer}, {row.label} {row.text}" for row in rows]
        steps = figure(
            "steps.png",
            panels,
            title="How long does it take to recover from a confidently wrong start?",
            caption=(
                "Marker: mean over seeds; bar: its 95 % interval; ticks: the seeds. Each at the "
                "constant rate that is fastest for it from the even start."
            ),
            alt=f"Mean steps: {'; '.join(parts)}.",
        )
        return (steps, tests_figure(self.tests(), [OTHER, OTHER]))

    def tables(self) -> Sequence[ClaimTable]:
        steps = table(
            f"Steps to {PERCENT} validation accuracy",
            CELLS,
            {
                "optimizer": lambda cell: cell.optimizer,
                "loss": lambda cell: cell.loss,
                "sure at the start": lambda cell: f"{cell.confidence:g}",
                "rate": lambda cell: f"{self.rates[cell]:g}",
                "steps": lambda cell: str(self.steps[cell]),
                "sigmoid-mse over cross-entropy": lambda cell: in_times(
                    self.over(cell.optimizer, cell.confidence)
                ),
            },
            "Steps: geometric mean over seeds (least to most); '1 of 3 in 281': one of three runs "
            "reached the accuracy, training ended after 281 steps. Ratio: sigmoid-mse over "
            "cross-entropy, geometric mean.",
        )
        search = search_in_steps(
            {
                f"{cell.optimizer}, {cell.loss}": scores
                for cell, scores in self.searched.items()
                if cell.confidence == EVEN
            }
        )
        return (steps, tests_table(self.tests()), search)

    def notes(self) -> Sequence[str]:
        return (
            "Adam divides the gradient by a running root mean square of itself. A gradient that is "
            "small for every image is made large again; what remains is that the few images which "
            "are right have even smaller ones, and that the running means lag.",
            "The start is the bias of the last layer. The learning rate is constant.",
        )


CLAIM = Claim(
    name="optimiser",
    claim=(
        "Adam, which divides a gradient by its size, makes up for part of what sigmoid-mse loses "
        "from a confidently wrong start, and not for all of it."
    ),
    refuted_by=(
        "What sigmoid-mse loses on cross-entropy is no smaller with Adam than with SGD; or with "
        "Adam it loses nothing."
    ),
    procedure=(
        f"Cats and dogs; steps to {PERCENT} validation accuracy at a constant rate, from a start "
        f"that is {EVEN:g} and one that is {SUREST:g} sure of a dog for every image, with SGD "
        "(Nesterov momentum 0.9) and with Adam. For each loss and optimizer the rate that is "
        "fastest from the even start, chosen on other networks of the same grid. The ratio of "
        f"steps, sigmoid-mse over cross-entropy, from {SUREST:g} over that from {EVEN:g}, paired "
        "by seed."
    ),
    source="Kingma and Ba 2015, arXiv 1412.6980 (Adam is invariant to the scale of the gradient)",
    design=DESIGN,
    analysis=Optimiser,
)
