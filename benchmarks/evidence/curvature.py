"""Claim: is the gradient of sigmoid-mse noisy where it is confidently wrong, or only short?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean as mean
from typing import NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import magnitude
from lossbench.benchmarks.plots.intervals import RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable
from lossbench.benchmarks.training.curvature import BATCHES, Curvature

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, seed_row, tests_figure
from .measures import table, tests_table, with_interval
from .saturation import EVEN, OTHER, REFERENCE, SUREST
from .text import mean_text


class Cell(NamedTuple):
    """Loss, and confidence of the start."""

    loss: str
    confidence: float


def config_of(loss: str, confidence: float) -> RunConfig:
    """Return a run that ends before its first step: its start is all that is measured."""
    return RunConfig(
        loss,
        0,
        0.1,
        epochs=1,
        evaluations=1,
        initial_probability=1 - confidence,
        stop_at_accuracy=0.0,
        record_curvature=True,
    )


CELLS = tuple(Cell(loss, each) for loss in (REFERENCE, OTHER) for each in (EVEN, SUREST))
DESIGN = Design(
    question=(
        "Where sigmoid-mse is confidently wrong, is its gradient noisy, or only short and growing?"
    ),
    expects=(
        Expected(
            f"signal-to-noise ratio of the gradient from {SUREST:g}, sigmoid-mse over "
            "cross-entropy",
            "within",
            1.5,
            "times",
        ),
        Expected(
            f"signal-to-noise ratio of the gradient of sigmoid-mse, from {SUREST:g} over that from "
            f"{EVEN:g}",
            "above",
            2.0,
            "times",
        ),
        Expected(
            f"growth of the gradient along its descent from {SUREST:g}, sigmoid-mse minus "
            "cross-entropy",
            "above",
            1.0,
            "per unit of distance",
        ),
    ),
    cells={cell: config_of(*cell) for cell in CELLS},
)


@dataclass
class CurvatureAnalysis(Analysis):
    """Starts of both losses."""

    def __post_init__(self) -> None:
        self.curvatures: dict[Cell, list[Curvature]] = {
            cell: [run.curvature for run in runs if run.curvature is not None]
            for cell, runs in self.runs.items()
        }

    def column(self, name: str, loss: str, confidence: float) -> list[float]:
        """Return an attribute of the curvatures of a cell, one value per seed."""
        return [float(getattr(each, name)) for each in self.curvatures[Cell(loss, confidence)]]

    def over(self, over: Cell, under: Cell) -> Quantity:
        """Return the logarithm of a ratio of signal-to-noise ratios."""
        values = zip(
            *(self.column("signal_to_noise", *cell) for cell in (over, under)), strict=True
        )
        return Quantity(tuple(math.log(a / b) for a, b in values))

    def tests(self) -> list[Tested]:
        """Test the ratios, and the difference of the growths."""
        other, reference = Cell(OTHER, SUREST), Cell(REFERENCE, SUREST)
        growths = zip(*(self.column("growth", *cell) for cell in (other, reference)), strict=True)
        return DESIGN.test(
            [
                self.over(other, reference),
                self.over(other, Cell(OTHER, EVEN)),
                Quantity(tuple(a - b for a, b in growths)),
            ]
        )

    def sentence(self) -> str:
        return (
            f"From a start that is {100 * SUREST:g} % sure of the wrong class, the gradient of "
            f"sigmoid-mse has {with_interval(self.tests()[0])} times the signal-to-noise ratio of "
            "cross-entropy's."
        )

    def figures(self) -> Sequence[PanelFigure]:
        panels, parts = [], []
        for name, label in LABELS.items():
            rows = [
                seed_row(
                    f"{cell.loss}, from {cell.confidence:g}",
                    cell.loss,
                    self.column(name, *cell),
                    "{:.3g}",
                    hollow=cell.confidence == EVEN,
                )
                for cell in CELLS
            ]
            panels.append(RowPanel(rows, label, references={0.0: ""}))
            parts += [f"{label}: {row.label} {row.text}" for row in rows]
        starts = figure(
            "starts.png",
            panels,
            title="What is the gradient like at a confidently wrong start?",
            caption=(
                "Marker: mean over seeds; bar: its 95 % interval; ticks: the seeds. Hollow: the "
                "even start."
            ),
            alt=f"Mean: {'; '.join(parts)}.",
        )
        return (starts, tests_figure(self.tests(), [OTHER] * len(DESIGN.expects)))

    def tables(self) -> Sequence[ClaimTable]:
        starts = table(
            "Gradient and curvature of the training loss at the start",
            CELLS,
            {
                "loss": lambda cell: cell.loss,
                "sure at the start": lambda cell: f"{cell.confidence:g}",
                "norm ||g||": lambda cell: magnitude(mean(self.column("norm", *cell))),
                "||g|| over noise of a batch": (
                    lambda cell: mean_text(self.column("signal_to_noise", *cell), 2)
                ),
                "g'Hg / g'g": lambda cell: magnitude(mean(self.column("along", *cell))),
                "growth": lambda cell: mean_text(self.column("growth", *cell), 2),
            },
            "Mean over seeds, ± half the 95 % t interval. g: gradient with respect to all "
            "parameters, in training mode. Noise of a batch: the root of the summed variances of "
            f"its components from batch to batch of 64 images; noise alone would make the ratio "
            f"{1 / math.sqrt(BATCHES):.2f}. H: Hessian of the loss. Growth: relative change of "
            "||g|| per unit of distance along -g, -(g'Hg) / ||g||³, which no factor of the loss "
            "changes; negative: the gradient becomes shorter.",
        )
        return (starts, tests_table(self.tests()))

    def notes(self) -> Sequence[str]:
        return (
            "Where all outputs are about equal and wrong, dL/dz of both losses is about the same "
            "for every image of a class, but for one factor: the two gradients point in about the "
            "same direction, and so do their noises. The measurement shows how far that holds in a "
            "network whose outputs differ from image to image.",
            "Nothing is trained. The curvature is that at the start, along the gradient alone.",
        )


LABELS = {
    "signal_to_noise": "gradient over its noise in a batch",
    "growth": "growth of the gradient along its descent, per unit of distance",
}

CLAIM = Claim(
    name="curvature",
    claim=(
        "Where sigmoid-mse is confidently wrong its gradient is as clear of noise as that of "
        "cross-entropy, only short, and it grows along its descent: the curvature is negative."
    ),
    refuted_by=(
        "The signal-to-noise ratio there is another than cross-entropy's by a factor of 1.5, or "
        "less than twice that of an even start; or the gradient does not grow faster than "
        "cross-entropy's."
    ),
    procedure=(
        f"Cats and dogs, convnet, from a start that is {EVEN:g} and one that is {SUREST:g} sure of "
        f"a dog for every image. Before the first step the gradient of {BATCHES} batches with "
        "respect to all parameters, its variance from batch to batch, and the product of the "
        "Hessian with it, by differentiating network and loss twice."
    ),
    source=(
        "McCandlish et al. 2018, arXiv 1812.06162 (gradient noise scale); Glorot and Bengio 2010, "
        "AISTATS (plateaus of squared error)"
    ),
    design=DESIGN,
    analysis=CurvatureAnalysis,
)
