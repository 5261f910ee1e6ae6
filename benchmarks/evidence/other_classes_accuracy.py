"""Claim: do square-loss and probability-sum hold for other images than cats and dogs?

The limits are those of these two claims; there was no prototype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean as mean
from typing import NamedTuple

import numpy as np

from lossbench.benchmarks.plots.intervals import SEEDS, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, seed_row, tests_figure
from .measures import table, tests_table, with_interval
from .other_classes import PAIRS
from .probability_sum import AHEAD, NORMAL, STARTS, SUM, WRONG
from .runs import accuracies, chance_level, correct, image_quantity
from .square_loss import CHALLENGER, MARGIN, REFERENCE
from .text import mean_text
from .tuned import EPOCHS, RATES, end_notes, search_table, tuned


class Cell(NamedTuple):
    """A pair of classes, a loss and an initial function, trained with all seeds."""

    pair: tuple[str, str]
    loss: str
    start: float | None

    @property
    def classes(self) -> str:
        """The two classes as text."""
        return " and ".join(self.pair)


# Each loss with its start; cross-entropy is what the other two are compared with.
COMPARED = ((REFERENCE, NORMAL), (CHALLENGER, NORMAL), (REFERENCE, WRONG), (SUM, WRONG))
CELLS = tuple(Cell(pair, *compared) for compared in COMPARED for pair in PAIRS)
DESIGN = Design(
    question="Do square-loss and probability-sum hold for other images than cats and dogs?",
    expects=(
        Expected(
            f"{CHALLENGER} minus {REFERENCE}, test accuracy: mean of four pairs of classes",
            "within",
            MARGIN,
        ),
        Expected(
            f"{REFERENCE} minus {SUM}, confidently wrong start, test accuracy: mean of four pairs",
            "above",
            AHEAD,
        ),
    ),
    cells={
        cell: tuned(
            cell.loss, data="cifar10-ten", classes=cell.pair, initial_probability=cell.start
        )
        for cell in CELLS
    },
    searches={cell: tuned(cell.loss, data="cifar10-ten", classes=cell.pair) for cell in CELLS},
    rates=RATES,
    search_seeds=1,
)


@dataclass
class OtherClassesAccuracy(Analysis):
    """Runs of three losses on four pairs of classes."""

    def __post_init__(self) -> None:
        self.accuracies = {cell: accuracies(runs) for cell, runs in self.runs.items()}

    def difference(self, loss: str, other: str, start: float | None) -> Quantity:
        """Return the accuracy of a loss minus that of another, on all test images of all pairs.

        Pairs have as many test images, so that this is the mean over pairs.
        """
        hits = [
            100.0 * correct(self.runs[Cell(pair, loss, start)])
            - 100.0 * correct(self.runs[Cell(pair, other, start)])
            for pair in PAIRS
        ]
        return image_quantity(np.concatenate(hits, axis=1))

    def tests(self) -> list[Tested]:
        """Test the differences."""
        return DESIGN.test(
            [
                self.difference(CHALLENGER, REFERENCE, NORMAL),
                self.difference(REFERENCE, SUM, WRONG),
            ]
        )

    def sentence(self) -> str:
        return (
            "For the other eight classes of CIFAR-10, two by two, squared error of raw outputs is "
            f"{with_interval(self.tests()[0])} points of test accuracy from cross-entropy, each at "
            "its own best learning rate."
        )

    def figures(self) -> Sequence[PanelFigure]:
        chance = chance_level(self.runs[CELLS[0]][0].test)
        panels, parts = [], []
        for start, name in STARTS.items():
            rows = [
                seed_row(f"{' and '.join(pair)}\n{loss}", loss, values, "{:.1f} %")
                for pair in PAIRS
                for (at, loss, begun), values in self.accuracies.items()
                if (at, begun) == (pair, start)
            ]
            panels.append(RowPanel(rows, "test accuracy, %", f"{name} start", chance))
            results = (f"{row.label} {row.text}".replace("\n", ", ") for row in rows)
            parts.append(f"{name} start: {', '.join(results)}")
        accuracy = figure(
            "accuracy.png",
            panels,
            title="Pairs of other classes",
            caption=SEEDS,
            alt=f"{'; '.join(parts)}; chance {chance:.0f} %.",
        )
        return (accuracy, tests_figure(self.tests(), [CHALLENGER, SUM]))

    def tables(self) -> Sequence[ClaimTable]:
        accuracy = table(
            "Test accuracy, each loss at the rate that is best for it from the normal start",
            CELLS,
            {
                "classes": lambda cell: cell.classes,
                "loss": lambda cell: cell.loss,
                "start": lambda cell: STARTS[cell.start],
                "learning rate": lambda cell: f"{self.runs[cell][0].config.learning_rate:g}",
                "test accuracy, %": lambda cell: mean_text(self.accuracies[cell]),
            },
            "Mean ± half the 95 % t interval over seeds.",
        )
        return (tests_table(self.tests()), accuracy, search_table(self.searched, self._searches()))

    def notes(self) -> Sequence[str]:
        normal, wrong = (
            mean(
                x
                for cell, values in self.accuracies.items()
                if cell[1:] == (REFERENCE, start)
                for x in values
            )
            for start in (NORMAL, WRONG)
        )
        return [
            "The means are those of these four pairs; their intervals are for other seeds and "
            "other test images.",
            f"From the confidently wrong start {SUM} ends, in the mean of the seeds, at "
            + ", ".join(
                f"{mean(self.accuracies[Cell(pair, SUM, WRONG)]):.1f} % for {' and '.join(pair)}"
                for pair in PAIRS
            )
            + "; chance is 50 %.",
            f"Cross-entropy ends at {normal:.1f} % from the normal start and at {wrong:.1f} % from "
            f"the confidently wrong one, after {EPOCHS} epochs each.",
            *end_notes(self.searched, self._searches()),
        ]

    def _searches(self) -> dict[Cell, str]:
        """Return the name of each search: one for each pair and loss."""
        return {
            cell: f"{cell.classes}, {cell.loss}"
            for cell in CELLS
            if (cell.loss, cell.start) != (REFERENCE, WRONG)
        }


CLAIM = Claim(
    name="other-classes-accuracy",
    claim=(
        "For the other classes of CIFAR-10, two by two, as for cats and dogs, squared error of raw "
        f"outputs is within {MARGIN:g} points of the test accuracy of cross-entropy, and from a "
        "confidently wrong start the sum of probabilities ends far below it."
    ),
    refuted_by=(
        f"On the mean of the pairs the two accuracies lie more than {MARGIN:g} points apart, or "
        f"from that start the sum is less than {AHEAD:g} points below cross-entropy."
    ),
    procedure=(
        f"{'; '.join(' and '.join(pair) for pair in PAIRS)}. As in square-loss, squared error of "
        "raw outputs and cross-entropy from the normal start; as in probability-sum, the sum of "
        "probabilities and cross-entropy from one that gives every image a probability of "
        f"{WRONG:g} of the second class. Each pair and loss has the learning rate that is best for "
        "it from the normal start on validation images, from one grid; networks are paired by "
        "seed. Of the four pairs the mean."
    ),
    source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images (CIFAR-10)",
    design=DESIGN,
    analysis=OtherClassesAccuracy,
)
