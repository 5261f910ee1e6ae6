"""Claim: does saturation hold without batch normalisation, and in a deeper network?"""

from __future__ import annotations

from dataclasses import dataclass

from .claim import Claim
from .design import Design, Expected, Tested
from .interactions import CONTRAST, Interactions, cells_of, searches_of, starts_of
from .measures import with_interval
from .saturation import EVEN, PERCENT, SUREST

PLAIN, DEEP = "plainnet", "resnet9"
# resnet9 is fast with small rates.
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
# Half the width of convnet: eight convolutions at its cost and a half.
WIDTHS = {PLAIN: None, DEEP: 8}


SETTINGS = {
    model: starts_of(model=model, width=width, evaluations=12) for model, width in WIDTHS.items()
}
DESIGN = Design(
    question="Does saturation hold without batch normalisation, and in a deeper network?",
    expects=tuple(Expected(f"{CONTRAST}: {model}", "above", 1.25, "times") for model in SETTINGS),
    cells=cells_of(SETTINGS),
    # With the rate that is fastest from an even start, plainnet comes back from a wrong one with
    # neither loss.
    searches=searches_of(SETTINGS, epochs=4, from_own_start=True),
    rates=RATES,
)


@dataclass
class Depth(Interactions):
    """Runs of both networks."""

    setting_heading = "network"
    start = f"{SUREST:g}"
    own_rates = True

    def tests(self) -> list[Tested]:
        return DESIGN.test([self.interactions[model] for model in SETTINGS])

    def sentence(self) -> str:
        plain, deep = self.tests()
        return (
            f"Relative to an even start, sigmoid-mse takes {with_interval(plain)} times the steps "
            f"of cross-entropy from a start that is {100 * SUREST:g} % sure of the wrong class in "
            f"a network without batch normalisation, and {with_interval(deep)} times in one of "
            "eight convolutions."
        )

    def notes(self) -> list[str]:
        return [
            "plainnet is convnet without batch normalisation; resnet9 has eight convolutions, here "
            f"with {WIDTHS[DEEP]} channels in the first, and batch normalisation.",
            *super().notes(),
        ]


CLAIM = Claim(
    name="depth",
    claim=(
        "Without batch normalisation and in a network of eight convolutions, too, sigmoid-mse "
        "loses on cross-entropy by a confidently wrong start."
    ),
    refuted_by="In one of the two networks it loses no more than from an even start.",
    procedure=(
        f"As in saturation, with plainnet and resnet9 on cats and dogs: steps to {PERCENT} "
        "validation accuracy at a constant rate, which is the fastest for each network, loss and "
        f"start, chosen on other networks of one grid, {RATES[0]:g} to {RATES[-1]:g}. The ratio of "
        f"steps, sigmoid-mse over cross-entropy, from {SUREST:g} over that from {EVEN:g}, paired "
        "by seed."
    ),
    source="He et al. 2016, arXiv 1512.03385 (residual networks); David Page 2018 (ResNet-9)",
    design=DESIGN,
    analysis=Depth,
)
