"""Claim: does saturation hold for other images than cats and dogs?

The limit is that of saturation; there was no prototype.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .claim import Claim
from .design import Design, Expected, Quantity, Tested
from .interactions import CONTRAST, RATES, Interactions, cells_of, searches_of, starts_of
from .measures import with_interval
from .saturation import EVEN, PERCENT, SUREST

# The other eight classes of CIFAR-10, two by two in their own order.
PAIRS = (("airplane", "automobile"), ("bird", "deer"), ("frog", "horse"), ("ship", "truck"))
# For some pairs cross-entropy is fastest at a lower rate than for cats and dogs.
GRID = (0.01, *RATES)
SETTINGS = {" and ".join(pair): starts_of(data="cifar10-ten", classes=pair) for pair in PAIRS}
DESIGN = Design(
    question="Does saturation hold for other images than cats and dogs?",
    expects=(
        Expected(f"{CONTRAST}: geometric mean of four pairs of classes", "above", 2.0, "times"),
    ),
    cells=cells_of(SETTINGS),
    searches=searches_of(SETTINGS),
    rates=GRID,
    search_seeds=1,
)


@dataclass
class OtherClasses(Interactions):
    """Runs on four pairs of classes."""

    setting_heading = "classes"
    start = f"{SUREST:g}"

    def tests(self) -> list[Tested]:
        each = [self.interactions[pair] for pair in SETTINGS]
        logs = np.mean([quantity.values for quantity in each], axis=0)
        mean = Quantity(
            tuple(map(float, logs)),
            least=any(quantity.least for quantity in each),
            most=any(quantity.most for quantity in each),
        )
        return DESIGN.test([mean])

    def sentence(self) -> str:
        return (
            "For the other eight classes of CIFAR-10, two by two, sigmoid-mse takes "
            f"{with_interval(self.tests()[0])} times the steps of cross-entropy from a start that "
            f"is {100 * SUREST:g} % sure of the wrong class, relative to an even start."
        )

    def notes(self) -> list[str]:
        return [
            "The mean is that of these four pairs; its interval is for other seeds. Oxford-IIIT "
            "Pet has twice as many dogs as cats: a network that is sure of dogs is right for more "
            f"than {PERCENT} of its images.",
            *super().notes(),
        ]


CLAIM = Claim(
    name="other-classes",
    claim=(
        "For the other classes of CIFAR-10, two by two, sigmoid-mse stalls where it starts out "
        "confidently wrong, as it does for cats and dogs."
    ),
    refuted_by=(
        "On the mean of the pairs it loses less than a factor of 2 on cross-entropy by that start."
    ),
    procedure=(
        f"As in saturation, with {'; '.join(SETTINGS)}: steps to {PERCENT} validation accuracy at "
        "a constant rate, which is the fastest from the even start for each pair and loss, chosen "
        f"on other networks of one grid, {GRID[0]:g} to {GRID[-1]:g}. The ratio of steps, "
        f"sigmoid-mse over cross-entropy, from {SUREST:g} over that from {EVEN:g}, paired by seed; "
        "of the four pairs the geometric mean."
    ),
    source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images (CIFAR-10)",
    design=DESIGN,
    analysis=OtherClasses,
)
