"""Claim: is squared error of raw outputs as accurate as cross-entropy, each at its best rate?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lossbench.benchmarks.plots.intervals import SEEDS, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable

from .claim import Analysis, Claim
from .design import Design, Expected, Tested
from .figures import figure, search_figure, seed_row, tests_figure
from .measures import table, tests_table, with_interval
from .runs import accuracies, accuracy_difference, chance_level
from .text import mean_text, signed
from .tuned import EPOCHS, RATES, end_notes, search_table, tuned

REFERENCE, CHALLENGER, SIGMOID = "cross-entropy", "mse", "sigmoid-mse"
IN_WORDS = {
    REFERENCE: "cross-entropy",
    CHALLENGER: "squared error, no sigmoid",
    SIGMOID: "squared error of a sigmoid",
}
# Accuracies this near to each other, in points, are equal: about the distance of square loss and
# cross-entropy in most of Hui and Belkin's tables.
MARGIN = 2.0
CELLS = {loss: tuned(loss) for loss in IN_WORDS}
DESIGN = Design(
    question="Is squared error without a sigmoid as accurate as cross-entropy?",
    expects=(Expected(f"{CHALLENGER} minus {REFERENCE}, test accuracy", "within", MARGIN),),
    cells=CELLS,
    searches=CELLS,
    rates=RATES,
)


@dataclass
class SquareLoss(Analysis):
    """Runs of every loss at its own learning rate."""

    def __post_init__(self) -> None:
        self.chance = chance_level(self.runs[REFERENCE][0].test)
        self.rates = {loss: runs[0].config.learning_rate for loss, runs in self.runs.items()}
        self.accuracies = {loss: accuracies(runs) for loss, runs in self.runs.items()}

    def tests(self) -> list[Tested]:
        """Test the difference."""
        return DESIGN.test([accuracy_difference(self.runs[CHALLENGER], self.runs[REFERENCE])])

    def sentence(self) -> str:
        return (
            "Squared error of raw outputs is "
            f"{with_interval(self.tests()[0])} points of test accuracy from cross-entropy, each "
            "at its own best learning rate."
        )

    def figures(self) -> Sequence[PanelFigure]:
        rows = [
            seed_row("\n".join(dict.fromkeys((loss, IN_WORDS[loss]))), loss, values, "{:.1f} %")
            for loss, values in self.accuracies.items()
        ]
        listed = "; ".join(f"{row.label.partition(chr(10))[0]} {row.text}" for row in rows)
        accuracy = figure(
            "accuracy.png",
            [RowPanel(rows, "test accuracy, %", chance=self.chance)],
            title="Each loss at its own best learning rate",
            caption=SEEDS,
            alt=f"Test accuracy: {listed}; chance {self.chance:.1f} %.",
        )
        title, names = "The search for learning rates", {loss: loss for loss in IN_WORDS}
        return (
            accuracy,
            tests_figure(self.tests(), [CHALLENGER]),
            search_figure(title, self.searched, names, self.chance),
        )

    def tables(self) -> Sequence[ClaimTable]:
        accuracy = table(
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
        return (accuracy, tests_table(self.tests()), search_table(self.searched, IN_WORDS))

    def notes(self) -> Sequence[str]:
        sigmoid = accuracy_difference(self.runs[SIGMOID], self.runs[REFERENCE])
        return [
            "mse fits the raw output to -1 for a dog and +1 for a cat, without a sigmoid or "
            f"softmax; {SIGMOID} is the same error behind a sigmoid, where its gradient vanishes. "
            f"It is {signed(sigmoid.interval(0.95).mean)} points from cross-entropy.",
            f"Two classes and a small network trained for {EPOCHS} epochs. Hui and Belkin compare "
            "large networks on 28 tasks; with many classes they rescale the loss, which two "
            "classes do not need.",
            *end_notes(self.searched, IN_WORDS),
        ]


CLAIM = Claim(
    name="square-loss",
    claim=(
        "Squared error of raw outputs, at its own best learning rate, is within "
        f"{MARGIN:g} points of the test accuracy of cross-entropy at its own."
    ),
    refuted_by=f"The accuracies lie more than {MARGIN:g} points apart.",
    procedure=(
        "Cats and dogs. Squared error of the raw output, cross-entropy and squared error of a "
        "sigmoid each get the learning rate that is best for them on validation images, from the "
        "same grid and the same number of trials; then they are trained with new seeds, in pairs, "
        "and asked about the test images once. Equal means: two one-sided tests show that the "
        "difference in test accuracy is smaller than the margin (Schuirmann 1987); different: "
        "that it is larger. They allow for other seeds and other test images."
    ),
    source="Hui and Belkin 2021, arXiv 2006.07322",
    design=DESIGN,
    analysis=SquareLoss,
)
