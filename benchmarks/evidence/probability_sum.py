"""Claim: does the gradient of the sum of probabilities vanish?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean as mean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import WRONG_START_PROBABILITY
from lossbench.benchmarks.format import magnitude
from lossbench.benchmarks.plots.curves import Axis, CurvePanel, log_odds_ticks
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable, Measure

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, tests_figure, training_curve
from .gradients import (
    FORMULAS,
    SURE,
    SURE_LOG_ODDS,
    concatenate,
    deviation,
    formula_curve,
    recorded,
    slope,
)
from .measures import at_most, table, tests_table, with_interval
from .runs import (
    accuracies,
    accuracy_difference,
    chance_level,
    correct,
    image_quantity,
    tested,
)
from .text import mean_text, signed
from .tuned import RATES, search_table, tuned

SUM, REFERENCE = "probability-sum", "cross-entropy"
IN_P = {SUM: "p (1 - p)", REFERENCE: "1 - p"}
"""|dL/dz| of both losses; p is the probability of the right class."""

# Initial probability of a cat; None: that of the drawn weights.
NORMAL, WRONG = None, WRONG_START_PROBABILITY
STARTS = {NORMAL: "normal", WRONG: "confidently wrong"}
# Largest relative difference of a measured gradient from p (1 - p): the rounding of float32.
ROUNDING = 1e-4
# Where the model is sure, |dL/dz|, which is at most 0.25, has vanished below the first limit. Where
# it is wrong, that of cross-entropy must be above the second.
VANISHED, LARGE = 0.01, 0.9
# Points of test accuracy by which a loss must be ahead.
AHEAD = 5.0

P_EDGES = (0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
LIMIT = 10.0  # of the log-odds drawn


class Cell(NamedTuple):
    """A loss and an initial function, trained with all seeds."""

    loss: str
    start: float | None


CELLS = tuple(Cell(loss, start) for start in STARTS for loss in IN_P)


DESIGN = Design(
    question="Why not maximise the sum of the right classes' probabilities?",
    expects=(
        Expected(f"{SUM}, normal start: test accuracy beyond chance", "above", AHEAD),
        Expected(
            f"{REFERENCE} minus {SUM}, confidently wrong start, test accuracy", "above", AHEAD
        ),
        Expected(
            f"{SUM}: mean |dL/dz| where the right class has p < {SURE:g}", "below", VANISHED, ""
        ),
        Expected(
            f"{SUM}: mean |dL/dz| where the wrong class has p < {SURE:g}", "below", VANISHED, ""
        ),
        Expected(
            f"{REFERENCE}: mean |dL/dz| where the right class has p < {SURE:g}", "above", LARGE, ""
        ),
    ),
    cells={
        cell: tuned(cell.loss, initial_probability=cell.start, record_examples=True)
        for cell in CELLS
    },
    searches={cell: tuned(cell.loss) for cell in CELLS},
    rates=RATES,
)


@dataclass
class ProbabilitySum(Analysis):
    """Runs with the sum of probabilities and with cross-entropy from two starts."""

    def __post_init__(self) -> None:
        self.chance = chance_level(self.runs[CELLS[0]][0].test)
        # Per loss and seed, the examples of both starts.
        self.examples = {
            loss: [
                recorded(runs)
                for runs in zip(*(self.runs[Cell(loss, start)] for start in STARTS), strict=True)
            ]
            for loss in IN_P
        }
        self.accuracies = {cell: accuracies(runs) for cell, runs in self.runs.items()}

    def tests(self) -> list[Tested]:
        """Test accuracies and gradients."""
        hits = correct(self.runs[Cell(SUM, NORMAL)])
        ours, other = (self.runs[Cell(loss, WRONG)] for loss in (SUM, REFERENCE))
        return DESIGN.test(
            [
                image_quantity(100.0 * hits.astype(np.float64) - self.chance),
                accuracy_difference(other, ours),
                mean_gradient([each.sure_wrong for each in self.examples[SUM]]),
                mean_gradient([each.sure_right for each in self.examples[SUM]]),
                mean_gradient([each.sure_wrong for each in self.examples[REFERENCE]]),
            ]
        )

    def measures(self) -> Sequence[Measure]:
        examples = self.examples[SUM]
        losses = [
            each.validation_loss
            for cell, runs in self.runs.items()
            if cell.loss == SUM
            for run in runs
            for each in run.evaluations
        ]
        return (
            *(test.measure for test in self.tests()),
            at_most(
                f"{SUM}: mean loss 1 - p of the validation images outside 0 to 1, by how much",
                [max(-loss, loss - 1, 0.0) for loss in losses],
                0.0,
                len(examples),
            ),
            at_most(
                f"{SUM}: relative difference of measured |dL/dz| from p (1 - p), largest",
                [deviation(SUM, each) for each in examples],
                ROUNDING,
                len(examples),
            ),
        )

    def sentence(self) -> str:
        return (
            "From a confidently wrong start, maximising the sum of probabilities ends "
            f"{with_interval(self.tests()[1])} points of test accuracy below cross-entropy, each "
            "at the learning rate that is best for it from a normal start."
        )

    def figures(self) -> Sequence[PanelFigure]:
        return (
            self._gradient_figure(),
            self._training_figure(),
            tests_figure(self.tests(), [SUM, REFERENCE, SUM, SUM, REFERENCE]),
        )

    def _gradient_figure(self) -> PanelFigure:
        curves, ends = [], []
        for loss, formula in IN_P.items():
            examples = concatenate(self.examples[loss])
            curves.append(formula_curve(loss, examples, f"{loss}\n{formula}", LIMIT, 50, 1))
            wrong = examples.sure_wrong
            ends.append(f"{loss} {magnitude(float(wrong.mean()) if len(wrong) else None)}")
        panel = CurvePanel(
            curves,
            Axis(
                "probability p of the right class\n"
                "← sure of the wrong class            sure of the right class →",
                ticks=log_odds_ticks(TICKS),
                limits=(-LIMIT, LIMIT),
            ),
            Axis("|dL/dz|", limits=(-0.03, 1.04)),
            verticals={SURE_LOG_ODDS: "", -SURE_LOG_ODDS: ""},
        )
        return figure(
            "gradient.png",
            [panel],
            title="Where does the gradient of the logit vanish?",
            caption=(
                "Markers: training examples. Lines: the formulas. Beyond the grey lines the model "
                "is sure of a class."
            ),
            alt=(
                f"Dots are measured gradients, lines the formulas {' and '.join(IN_P.values())}. "
                f"Mean |dL/dz| where the right class has p below {SURE:g}: {', '.join(ends)}."
            ),
        )

    def _training_figure(self) -> PanelFigure:
        panels, results = [], []
        trained = {
            name: [
                training_curve(self.runs[Cell(loss, start)], "validation_accuracy", 100)
                for loss in IN_P
            ]
            for start, name in STARTS.items()
        }
        seeds = np.array([each.seeds for curves in trained.values() for each in curves])
        ends = (float(seeds.min()) - 1, float(seeds.max()) + 1)
        for name, curves in trained.items():
            x, y = Axis("training steps"), Axis("validation accuracy, %", limits=ends)
            panels.append(CurvePanel(curves, x, y, f"{name} start", self.chance))
            results.append(f"{name} start: " + ", ".join(curve.label for curve in curves))
        return figure(
            "training.png",
            panels,
            title="Training from a normal and from a confidently wrong start",
            caption=f"Thin: each of {len(self.runs[CELLS[0]])} seeds; thick: their mean.",
            alt=(
                f"Validation accuracy at the end, %. {'; '.join(results)}; "
                f"chance {self.chance:.1f}."
            ),
        )

    def tables(self) -> Sequence[ClaimTable]:
        names = {Cell(loss, NORMAL): loss for loss in IN_P}
        return (
            tests_table(self.tests()),
            self._gradient_table(),
            self._accuracy_table(),
            search_table(self.searched, names),
        )

    def _gradient_table(self) -> ClaimTable:
        examples = {loss: concatenate(seeds) for loss, seeds in self.examples.items()}
        rows = []
        for low, high in pairwise(P_EDGES):
            cells = [f"{low:g} to {high:g}"]
            for loss in IN_P:
                each = examples[loss]
                inside = (each.p >= low) & ((each.p < high) | (high == 1.0))
                columns = (each.magnitude[inside], FORMULAS[loss].magnitude(each.odds[inside]))
                means = [float(column.mean()) if inside.any() else None for column in columns]
                cells += [f"{inside.sum():,}", *map(magnitude, means)]
            rows.append(tuple(cells))
        fits = "; ".join(
            f"{loss}: slope {np.nanmean([slope(loss, each) for each in seeds]):.6f}, "
            "largest relative difference "
            f"{max(deviation(loss, each) for each in seeds):.1e}"
            for loss, seeds in self.examples.items()
        )
        headings = [
            f"{loss}: {column}"
            for loss in IN_P
            for column in ("examples", "mean |dL/dz|", f"mean {IN_P[loss]}")
        ]
        return ClaimTable(
            "|dL/dz| by the probability of the right class",
            ("p of the right class", *headings),
            tuple(rows),
            (f"Training examples of every seed and both starts. Measured over predicted: {fits}.",),
        )

    def _accuracy_table(self) -> ClaimTable:
        return table(
            "Test accuracy and gradients of training",
            CELLS,
            {
                "loss, start": lambda cell: f"{cell.loss}, {STARTS[cell.start]}",
                "learning rate": lambda cell: f"{self.runs[cell][0].config.learning_rate:g}",
                "test accuracy, %": lambda cell: mean_text(self.accuracies[cell]),
                "recall of cats, %": lambda cell: mean_text(
                    [
                        100 * float(each.predicted[each.labels == 1].mean())
                        for each in tested(self.runs[cell])
                    ]
                ),
                "mean |dL/dz| when wrong, first": lambda cell: self._when_wrong(cell, 0),
                "last": lambda cell: self._when_wrong(cell, -1),
                "distance of the parameters": lambda cell: magnitude(
                    mean(run.parameter_distance for run in self.runs[cell])
                ),
                "seeds": lambda cell: str(len(self.runs[cell])),
            },
            "Mean ± half the 95 % t interval over seeds. Distance: Euclidean, of all parameters "
            f"from their initial values. Chance: {self.chance:.1f} %.",
        )

    def _when_wrong(self, cell: Cell, index: int) -> str:
        return magnitude(mean(run.evaluations[index].logit_when_wrong for run in self.runs[cell]))

    def notes(self) -> Sequence[str]:
        ours, other = (self.runs[Cell(loss, NORMAL)] for loss in (SUM, REFERENCE))
        difference = accuracy_difference(ours, other).interval(0.95)
        return (
            "The article leaves the sum because one does not know how large is large. That has an "
            "answer: of N images it is at most N. 1 - p, the mean of which is minimised here, is "
            "0 where every image is right, and cannot fall below. What ails the sum is its "
            "gradient.",
            f"From the normal start, each at its best rate, {SUM} is "
            f"{signed(difference.mean)} points from {REFERENCE}.",
            "The rate of the normal start is kept for the wrong one, because a user does not know "
            "how a start will be wrong.",
            "Cross-entropy's gradient vanishes at one end only, where the model is right.",
        )


def mean_gradient(seeds: Sequence[NDArray[np.float64]]) -> Quantity:
    """Return the mean |dL/dz| of each seed that has such examples."""
    return Quantity(tuple(float(v.mean()) for v in seeds if v.size and np.isfinite(v).all()))


CLAIM = Claim(
    name="probability-sum",
    claim=(
        "Maximising the sum of probabilities trains from a normal start, but its gradient "
        "p (1 - p) vanishes where the model is sure of the wrong class, and from such a start it "
        "does not train."
    ),
    refuted_by=(
        "Test accuracy is not above chance from a normal start, or from a confidently wrong one "
        "not below that of cross-entropy; a measured gradient is not p (1 - p), or has not "
        "vanished where p is near 0 or near 1; or that of cross-entropy has vanished where the "
        "model is wrong."
    ),
    procedure=(
        f"Networks are trained with {SUM}, which minimises 1 - p, and with cross-entropy, each at "
        "the rate that is best for it from the normal start on validation images; from the normal "
        f"start, and from one that gives every image a probability of {WRONG:g} of being a cat. "
        "The loss must stay within 0, exactly, and 1: how large the sum can become is known. For "
        "training examples recorded all through training, |dL/dz| is compared with p (1 - p), p "
        f"being the probability of the right class: no example may differ by more than "
        f"{ROUNDING:g} of it, the rounding of float32. Where the right class or the wrong one has "
        f"p < {SURE:g}, mean |dL/dz| must have vanished; that of cross-entropy where the right "
        "class has it must not."
    ),
    source="Ghosh et al. 2017, arXiv 1712.09482 (as mean absolute error)",
    design=DESIGN,
    analysis=ProbabilitySum,
)
