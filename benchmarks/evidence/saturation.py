"""Claim: which loss recovers from a confidently wrong start, and in how many steps?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, Self

import numpy as np

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import plural
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel, draw_curves
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Measure
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim, ClaimTrainer, Size
from .figures import figure
from .gradients import FORMULAS, Array, concatenate, deviation, error_axis, formula_curve, recorded
from .measures import at_most, table
from .runs import train_cells
from .steps import StepRatio, Steps, count_steps, ratio
from .text import optional

# Both have one output and the same head; bce-with-logits is cross-entropy.
REFERENCE, OTHER = "bce-with-logits", "sigmoid-mse"
IN_F = {REFERENCE: "f - t", OTHER: "(f - t) f (1 - f)"}
# Probability of a dog that the network gives every image at the start.
CONFIDENCES = (0.5, 0.9, 0.99, 0.999, 0.9999)
EVEN, SUREST = CONFIDENCES[0], CONFIDENCES[-1]
# Steps are counted to this validation accuracy, from every start at each of these rates.
ACCURACY = 0.6
PERCENT = f"{100 * ACCURACY:g} %"
RATES = (0.1, 0.5, 3.0)
# The rate of `compare`, at which both are shown beside their fastest.
COMMON = 0.1
# The limits below were chosen on networks with the seeds 0 to 8, so the verdict uses other seeds.
FIRST_SEED = 20
# Cross-entropy recovers if from the surest start it takes less than this many times the steps that
# it takes from the even start.
RECOVERS = 8.0
# sigmoid-mse stalls if from the surest start it takes more than this many times the steps of
# cross-entropy.
STALLS = 2.0
# Both are alike from the even start if neither takes more than this many times the other's steps.
ALIKE = 2.0
# Largest relative rounding error of float32, with a margin.
ROUNDING = 1e-5

LIMIT = 9.6  # of the log-odds drawn


class Cell(NamedTuple):
    """Loss, confidence of the start and learning rate."""

    loss: str
    confidence: float
    rate: float


def fastest_rates(steps: Mapping[Cell, Steps]) -> dict[tuple[str, float], float]:
    """Return the fastest rate for each loss and confidence.

    It is the rate at which most networks reach the accuracy; of ties the one with the fewest steps,
    then the lowest.
    """

    def slowness(cell: Cell) -> tuple[float, ...]:
        return -steps[cell].reached.sum(), steps[cell].value.mean(), cell.rate

    return {
        (loss, confidence): min((Cell(loss, confidence, rate) for rate in RATES), key=slowness).rate
        for loss in IN_F
        for confidence in CONFIDENCES
    }


@dataclass
class Saturation(Analysis):
    """Runs of both losses from all starts at all rates."""

    runs: dict[Cell, list[RunResult]]
    size: Size

    @classmethod
    def train(cls, trainer: ClaimTrainer, size: Size) -> Self:
        trainer.say(f"{len(CONFIDENCES)} starts at {len(RATES)} learning rates, several seeds each")
        cells = {}
        for cell in (Cell(*each) for each in product(IN_F, CONFIDENCES, RATES)):
            seeds = size.seeds if cell.confidence in (EVEN, SUREST) else size.other_seeds
            cells[cell] = [
                RunConfig(
                    cell.loss,
                    FIRST_SEED + k,
                    cell.rate,
                    epochs=size.epochs,
                    evaluations=12,
                    initial_probability=1 - cell.confidence,
                    stop_at_accuracy=ACCURACY,
                    record_examples=True,
                )
                for k in range(seeds)
            ]
        return cls(train_cells(trainer, cells), size)

    def __post_init__(self) -> None:
        steps = {cell: count_steps(runs, ACCURACY) for cell, runs in self.runs.items()}
        self.rates = fastest_rates(steps)
        # Steps by loss and confidence, at the fastest and at the common rate.
        self.best = {key: steps[Cell(*key, rate)] for key, rate in self.rates.items()}
        self.common = {key: steps[Cell(*key, COMMON)] for key in self.rates}
        self.examples = {
            loss: [
                recorded([run])
                for cell, runs in self.runs.items()
                for run in runs
                if cell.loss == loss
            ]
            for loss in IN_F
        }

    def at_fastest(self, confidence: float) -> StepRatio:
        """Return the ratio of sigmoid-mse over cross-entropy, each at its fastest rate.

        If that is the highest rate, a higher one may be faster, and the ratio is a bound.
        """
        counted = ratio(self.best[OTHER, confidence], self.best[REFERENCE, confidence])
        return counted._replace(
            least=counted.least or self.rates[REFERENCE, confidence] == RATES[-1],
            most=counted.most or self.rates[OTHER, confidence] == RATES[-1],
        )

    def measures(self) -> Sequence[Measure]:
        slowed = ratio(self.best[REFERENCE, SUREST], self.best[REFERENCE, EVEN])
        common = ratio(self.common[OTHER, SUREST], self.common[REFERENCE, SUREST])
        over = f"sigmoid-mse over cross-entropy: steps to {PERCENT} from {{:g}}, {{}}, ratio"
        each = "each at its fastest rate"
        return (
            slowed.one_sided(
                "below",
                f"cross-entropy at its fastest rates: steps to {PERCENT} from {SUREST:g} over "
                f"those from {EVEN:g}, ratio",
                RECOVERS,
            ),
            common.one_sided("above", over.format(SUREST, f"both at a rate of {COMMON:g}"), STALLS),
            self.at_fastest(SUREST).one_sided("above", over.format(SUREST, each), STALLS),
            self.at_fastest(EVEN).within(over.format(EVEN, each), ALIKE),
            at_most(
                "measured dL/dz against f - t and (f - t) f (1 - f), largest relative difference "
                "of all examples",
                [deviation(loss, run) for loss, runs in self.examples.items() for run in runs],
                ROUNDING,
                len(self.best[REFERENCE, SUREST].value),
            ),
        )

    def sentence(self) -> str:
        ratios = []
        for confidence in CONFIDENCES:
            each = self.at_fastest(confidence)
            ratios.append(f"{each.bound} {each.interval.mean:.2g} from {confidence:g}".lstrip())
        best, common = (
            {loss: steps[loss, SUREST].in_words() for loss in IN_F}
            for steps in (self.best, self.common)
        )
        return (
            f"From a start that is {100 * SUREST:g} % sure of the wrong class, cross-entropy takes "
            f"{best[REFERENCE]} to {PERCENT} accuracy at its fastest rate "
            f"({self.rates[REFERENCE, SUREST]:g}) and sigmoid-mse {best[OTHER]} "
            f"({self.rates[OTHER, SUREST]:g}); at a rate of {COMMON:g}, {common[REFERENCE]} and "
            f"{common[OTHER]}. Each at its fastest rate, sigmoid-mse takes this many times the "
            f"steps: {', '.join(ratios)}."
        )

    def figures(self) -> Sequence[ClaimFigure]:
        return (self._steps_figure(), self._gradient_figure())

    def _steps_figure(self) -> ClaimFigure:
        curves, ends = [], []
        for shift, loss in zip((-0.05, 0.05), IN_F, strict=True):
            for steps, name in ((self.common, f"rate {COMMON:g}"), (self.best, "fastest")):
                each = [steps[loss, confidence] for confidence in CONFIDENCES]
                x = np.arange(len(each)) + shift
                at = np.repeat(x, [len(s.value) for s in each])
                values = np.concatenate([s.value for s in each])
                reached = np.concatenate([s.reached for s in each])
                fastest = steps is self.best
                curves.append(
                    Curve(
                        loss,
                        x,
                        [s.mean for s in each],
                        f"{loss}, {name}",
                        markers="filled" if fastest else "hollow",
                        points=(at[reached], values[reached]) if fastest else ((), ()),
                        point_marker="_",
                        arrows=list(zip(at[~reached], values[~reached], strict=True)),
                        emphasis=fastest,
                    )
                )
                end = "reached" if each[-1].reached.all() else "not reached by all"
                ends.append(f"{loss} at {name} {each[-1].mean:.0f}, {end}")
        longest = max(s.value.max() for s in (*self.best.values(), *self.common.values()))
        panel = CurvePanel(
            curves,
            Axis(
                "probability of a dog that the network gives every image at the start",
                ticks={i: f"{c:g}" for i, c in enumerate(CONFIDENCES)},
            ),
            Axis("training steps", log=True),
            horizontals={longest: f"end of training: {longest:.0f} steps"},
        )
        return figure(
            "steps.png",
            draw_curves,
            [panel],
            title="How long does it take to recover from a confidently wrong start?",
            caption=(
                f"Training steps to {PERCENT} validation accuracy (chance: 50 %). Tick: a seed; "
                "arrow: not reached when training ended. Thick: each loss at the rate that is "
                f"fastest for it from that start. Thin, hollow: both at a rate of {COMMON:g}. "
                "bce-with-logits is cross-entropy."
            ),
            alt=f"Steps from the surest start: {'; '.join(ends)}.",
        )

    def _gradient_figure(self) -> ClaimFigure:
        curves, ends = [], []
        for loss, formula in IN_F.items():
            label = f"{loss}: {formula}"
            curves.append(
                formula_curve(loss, concatenate(self.examples[loss]), label, -LIMIT, 120, 4)
            )
            sure = float(FORMULAS[loss].magnitude(np.full(1, -np.log(9999.0)))[0])
            ends.append(f"{loss} {sure:.2g}")
        panel = CurvePanel(
            curves,
            error_axis(LIMIT),
            Axis("|dL/dz| of an example", log=True, limits=(2e-5, 3)),
            verticals=(0,),
        )
        return figure(
            "gradients.png",
            draw_curves,
            [panel],
            title="What is left of the gradient where the model is confidently wrong?",
            caption="Ring: a training example of some network. Line: the formula.",
            alt=f"|dL/dz| at an error of 0.9999, by formula: {'; '.join(ends)}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        steps = table(
            f"Steps to {PERCENT} validation accuracy, by how sure the start is of the wrong class",
            CONFIDENCES,
            {
                "sure at the start": lambda c: f"{c:g}",
                "cross-entropy": lambda c: str(self.best[REFERENCE, c]),
                "its fastest rate": lambda c: f"{self.rates[REFERENCE, c]:g}",
                "sigmoid-mse": lambda c: str(self.best[OTHER, c]),
                "fastest rate of sigmoid-mse": lambda c: f"{self.rates[OTHER, c]:g}",
                "ratio": lambda c: str(self.at_fastest(c)),
                "smallest detectable ratio": lambda c: optional(
                    self.at_fastest(c).detectable, ".2g"
                ),
                f"cross-entropy at {COMMON:g}": lambda c: str(self.common[REFERENCE, c]),
                f"sigmoid-mse at {COMMON:g}": lambda c: str(self.common[OTHER, c]),
            },
            "Steps: geometric mean over seeds (least to most); '1 of 3 in 281': one of three runs "
            "reached the accuracy, training ended after 281 steps. Ratio: sigmoid-mse over "
            "cross-entropy, paired by seed, 95 % t interval of its logarithm; a run that did not "
            "reach the accuracy counts with the steps of its training, and the highest rate may "
            "not be the fastest, which makes it a bound (≥, ≤). Smallest detectable: the true "
            "ratio that this many seeds tell from 1 with a power of 80 %.",
        )
        gradients = table(
            "Measured gradients against the formulas",
            [(loss, concatenate(runs)) for loss, runs in self.examples.items()],
            {
                "loss": lambda item: item[0],
                "|dL/dz| by formula, e = |f - t|": lambda item: FORMULAS[item[0]].formula,
                "examples": lambda item: f"{len(item[1].magnitude):,}",
                "relative difference, at most": lambda item: f"{deviation(*item):.0e}",
                "median |dL/dz| where e > 0.999": lambda item: _median(
                    item[1].magnitude[item[1].odds < -math.log(999)]
                ),
            },
        )
        return (steps, gradients)

    def notes(self) -> Sequence[str]:
        notes = [
            f"Fastest rate: of {', '.join(f'{rate:g}' for rate in RATES)}, for each loss and each "
            "start, chosen by the same networks that are shown, which flatters both losses. A rate "
            "of its own for every start is more than sigmoid-mse gets in practice, where the start "
            "is not known to be wrong.",
            "The start is the bias of the last layer: the output is about the same for every "
            "image. A network that has become sure of wrong predictions by training is another "
            "matter.",
            f"The limit of {ALIKE:g} times and the rates were settled after looking at networks "
            f"of seeds below {FIRST_SEED}, which the verdict does not rest on.",
            f"At most {plural(self.size.epochs, 'epoch')} with a one-cycle schedule, whose rate "
            "rises over the first quarter of the steps: with another length of training the number "
            "of steps differs.",
        ]
        for end, which, other in ((RATES[-1], "highest", "higher"), (RATES[0], "lowest", "lower")):
            at_end = [f"{loss} from {c:g}" for (loss, c), rate in self.rates.items() if rate == end]
            if at_end:
                notes.append(
                    f"Fastest at the {which} rate that was tried, so that a {other} one may be "
                    f"faster still: {', '.join(at_end)}."
                )
        return notes


def _median(values: Array) -> str:
    return optional(float(np.median(values)) if len(values) else None, ".1e")


CLAIM = Claim(
    name="saturation",
    question="Which loss recovers from a confidently wrong start?",
    claim=(
        f"Cross-entropy recovers, even from one that is {SUREST:g} sure. sigmoid-mse, whose "
        "gradient (f - t) f (1 - f) vanishes there, stalls, and no learning rate makes up for it."
    ),
    refuted_by=(
        f"From a start that is {SUREST:g} sure cross-entropy needs {RECOVERS:g} times the steps "
        f"that it needs from an even one; or sigmoid-mse no more than {STALLS:g} times those of "
        "cross-entropy, at the same rate or with each at its fastest; or gradients are not f - t "
        "and (f - t) f (1 - f)."
    ),
    procedure=(
        "Cats and dogs; the bias of the last layer makes the network start with a probability of "
        f"about {', '.join(f'{c:g}' for c in CONFIDENCES)} that any image is a dog. Steps to "
        f"{PERCENT} validation accuracy, of cross-entropy (bce-with-logits) and sigmoid-mse, both "
        f"at a rate of {COMMON:g} and each at the rate that is fastest for it from that very "
        "start. Ratios are paired by seed, with the 95 % t interval of their logarithm; a run that "
        "does not reach the accuracy counts with the steps of its training, and beyond the highest "
        "rate a faster one may lie: both make a ratio a bound, and a verdict that could reverse is "
        f"undecided. Cross-entropy from {SUREST:g} over from {EVEN:g}: below {RECOVERS:g} times. "
        f"sigmoid-mse over cross-entropy from {SUREST:g}: above {STALLS:g} times, at the same rate "
        f"and at the fastest ones; from {EVEN:g}: within 1/{ALIKE:g} to {ALIKE:g} times, so that "
        "the start is the cause. No measured dL/dz may differ from its formula by more than "
        f"{ROUNDING:g}, relative. All must hold."
    ),
    source=(
        "Nielsen 2015, Neural Networks and Deep Learning, chapter 3; Glorot and Bengio 2010, "
        "AISTATS (plateaus of squared error)"
    ),
    sizes={
        "quick": Size(epochs=1, seeds=4, other_seeds=1),
        "standard": Size(epochs=4, seeds=8, other_seeds=3),
        "full": Size(epochs=8, seeds=12, other_seeds=6),
    },
    analysis=Saturation,
)
