"""Claim: is the gradient of cross-entropy the error itself, and of which other losses?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lossbench.benchmarks.config import WRONG_START_PROBABILITY, RunConfig
from lossbench.benchmarks.format import MINUS, MISSING
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel, thin
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable, Measure

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure
from .gradients import (
    FORMULAS,
    Array,
    Fit,
    RecordedExamples,
    concatenate,
    error,
    error_axis,
    fit,
    recorded,
)
from .measures import at_most, table, tests_table
from .text import optional

# Losses whose gradient is k |f - t|, and losses whose gradient is not, according to the claim.
PROPORTIONAL = tuple(loss for loss, formula in FORMULAS.items() if formula.factor)
OTHERS = ("probability-sum", "sigmoid-mse", "softmax-mse", "mse")
# Largest rounding error of |f - t| <= 1 in float32, with a margin.
ROUNDING = 1e-5
# A gradient is not proportional to the error if a line through 0 leaves more than 5 % of its
# variation unexplained.
R2_LIMIT = 0.95
STARTS = (None, WRONG_START_PROBABILITY)
RATE = 0.1

LIMIT = 9.0  # of the log-odds drawn
EDGES = np.linspace(-LIMIT, LIMIT, 19)
COLUMNS = 5  # of panels
FEWEST = 20  # examples of a bin whose median is drawn

IN_WORDS = {
    "cross-entropy": "the error itself",
    "nll": "the error itself",
    "bce": "the error itself; computed from f in float32, so that it ends where f rounds to 1",
    "bce-with-logits": "the error itself",
    "bernoulli-sum": "twice the error",
    "probability-sum": "grows with the error up to 0.5 and vanishes beyond",
    "sigmoid-mse": "grows up to an error of 2/3 and vanishes beyond",
    "softmax-mse": "four times that of sigmoid-mse",
    "mse": "proportional to another error, |z - t| of the raw output: 0 at e = 0.27, unbounded",
    "zero-one": "none: there is no gradient",
}


DESIGN = Design(
    question="Is the gradient of an example proportional to the error of the model?",
    expects=tuple(
        Expected(f"{loss}: R² of |dL/dz| on |f - t|, a line through 0", "below", R2_LIMIT, "")
        for loss in OTHERS
    ),
    cells={
        (loss, start): RunConfig(
            loss,
            0,
            RATE,
            epochs=2,
            train_images=3_000,
            initial_probability=start,
            record_examples=True,
        )
        for loss in FORMULAS
        for start in STARTS
    },
    looks=(3,),
)


@dataclass
class ErrorDriven(Analysis):
    """Recorded training examples of each loss, per seed and initial function."""

    def __post_init__(self) -> None:
        # Per loss and seed, the examples of both starts.
        examples = {
            loss: [
                recorded(runs)
                for runs in zip(*(self.runs[loss, start] for start in STARTS), strict=True)
            ]
            for loss in FORMULAS
        }
        self.fits = {loss: [fit(loss, seed) for seed in seeds] for loss, seeds in examples.items()}
        self.mean_fits = {loss: mean_fit(fits) for loss, fits in self.fits.items()}
        self.examples = {loss: concatenate(seeds).finite for loss, seeds in examples.items()}

    def measures(self) -> Sequence[Measure]:
        residuals = [
            each.residual / (FORMULAS[loss].factor or 1)
            for loss in PROPORTIONAL
            for each in self.fits[loss]
        ]
        return (
            at_most(
                f"{', '.join(PROPORTIONAL)}: |dL/dz| / k - |f - t| (k = 2 for bernoulli-sum, else "
                "1), largest of all examples",
                residuals,
                ROUNDING,
                min(len(self.fits[loss]) for loss in PROPORTIONAL),
            ),
            *(test.measure for test in self.tests()),
        )

    def tests(self) -> list[Tested]:
        """Test R² of the other losses. Nothing is decided if a network has diverged."""
        r2 = [[each.r2 for each in self.fits[loss]] for loss in OTHERS]
        return DESIGN.test([Quantity(tuple(x) if np.isfinite(x).all() else ()) for x in r2])

    def sentence(self) -> str:
        examples = sum(len(self.examples[loss].magnitude) for loss in PROPORTIONAL)
        residual = max(self.mean_fits[loss].residual for loss in PROPORTIONAL)
        return (
            f"Over {examples:,} examples in training, |dL/dz| of cross-entropy, in each of its "
            f"forms, differs from (a multiple of) |f - t| by at most {residual:.0e}."
        )

    def figures(self) -> Sequence[PanelFigure]:
        return (self._proportion_figure(), self._formula_figure())

    def _proportion_figure(self) -> PanelFigure:
        panels: list[CurvePanel] = []
        for loss, examples in self.examples.items():
            e, regression = error(examples.odds), self.mean_fits[loss]
            few = thin(e, np.append(np.arange(60) / 60, np.inf), 4)
            points = (e[few], examples.magnitude[few])
            line = Curve(loss, (0, 1), (0, regression.slope), points=points, point_marker="o")
            finite = np.isfinite(regression.r2)
            r2 = f"R² = {regression.r2:.2f}".replace("-", MINUS) if finite else "no gradient"
            top = max(float(examples.magnitude.max(initial=0)), 1e-9) if finite else 1.0
            x = Axis("error |f - t|", ticks={0: "0", 0.5: "0.5", 1: "1"}, limits=(-0.04, 1.04))
            y = Axis("|dL/dz|", limits=(-0.04 * top, 1.28 * top))
            panels.append(CurvePanel([line], x, y, loss, text=r2))
        listed = "; ".join(f"{loss} {r2_text(each.r2)}" for loss, each in self.mean_fits.items())
        return figure(
            "proportion.png",
            panels,
            title="Is the gradient of an example proportional to its error?",
            caption=(
                "|dL/dz| over |f - t|. Ring: a training example. Line: the regression k |f - t|; "
                "R²: the fraction of the variation that it explains. Half of the networks had a "
                "confidently wrong start. Each panel has its own scale."
            ),
            alt=f"R² of a regression through the origin: {listed}.",
            columns=COLUMNS,
        )

    def _formula_figure(self) -> PanelFigure:
        grid, curves, ends = np.linspace(-LIMIT, LIMIT, 361), [], []
        for loss, examples in self.examples.items():
            magnitude = FORMULAS[loss].magnitude
            unit = float(magnitude(np.zeros(1))[0])
            if unit == 0:
                continue
            y = magnitude(-grid) / unit
            odds, medians = bin_medians(examples)
            y = np.where(y > 0, y, np.nan)
            curves.append(Curve(loss, grid, y, loss, points=(odds, medians / unit)))
            wrong = float(magnitude(np.full(1, -np.log(0.999 / 0.001)))[0]) / unit
            ends.append(f"{loss} {wrong:.2g}")
        panel = CurvePanel(
            curves,
            error_axis(LIMIT),
            Axis("|dL/dz|, relative to that at |f - t| = 0.5", log=True, limits=(1.2e-4, 30)),
            verticals={0: ""},
            horizontals={1: ""},
        )
        return figure(
            "pushes.png",
            [panel],
            title="How large is the gradient of a confidently wrong example?",
            caption=(
                "Line: the formula. Marker: median of the measured. 1: as large as for an example "
                "for which the model gives both classes 1/2."
            ),
            alt=f"At an error of 0.999, relative to 0.5, by formula: {'; '.join(ends)}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        fits, examples = self.mean_fits, self.examples
        return (
            tests_table(self.tests()),
            table(
                "|dL/dz| against the error e = |f - t|, over training",
                FORMULAS,
                {
                    "loss": lambda loss: loss,
                    "|dL/dz| by formula": lambda loss: FORMULAS[loss].formula,
                    "slope": lambda loss: optional(fits[loss].slope, ".3f"),
                    "R²": lambda loss: r2_text(fits[loss].r2),
                    "difference from the line, at most": lambda loss: format_deviation(
                        fits[loss].residual
                    ),
                    "difference from the formula, at most": lambda loss: format_deviation(
                        formula_difference(loss, examples[loss])
                    ),
                    "|dL/dz| at e ≈ 0.5": lambda loss: median(examples[loss], 0.45, 0.55),
                    "|dL/dz| at e > 0.99": lambda loss: median(examples[loss], 0.99, 1),
                    "in words": lambda loss: IN_WORDS[loss],
                },
                "f is the sigmoid of the logit z, t is 1 for a "
                "cat. Slope: of the least-squares line through 0, mean over seeds. R²: the "
                "fraction of the variation of |dL/dz| that the line explains; below 0 where a "
                "constant fits better. At e ≈ 0.5 (0.45 to 0.55) and e > 0.99: the median of the "
                "measured. Difference from the formula: relative to the largest |dL/dz|.",
            ),
        )

    def notes(self) -> Sequence[str]:
        return (
            "The formula is algebra; what is measured is that the float32 gradients of real "
            "training follow it, over all outputs that occur.",
            "Half of the networks have a confidently wrong start, a probability of "
            f"{WRONG_START_PROBABILITY:g} of a cat for every image: without them hardly any error "
            "would be near 1, where the losses differ most.",
            "mse is proportional to another error, that of what it fits, which is the raw output. "
            "Such losses are those that fit a distribution's natural parameter: the logit for "
            "cross-entropy, the mean for squared error (McCullagh and Nelder 1989).",
            f"All losses are trained at the same rate, {RATE:g}: it decides which errors occur, "
            "not which gradient an error has.",
        )


def mean_fit(fits: Sequence[Fit]) -> Fit:
    """Return the means over seeds, and the largest residual."""
    slopes, r2, residuals = (np.array(column) for column in zip(*fits, strict=True))
    return Fit(float(slopes.mean()), float(r2.mean()), float(residuals.max()))


def r2_text(r2: float) -> str:
    """Format R²: '0.97', and '1 − 3e-07' within 1e-4 of 1."""
    if not np.isfinite(r2):
        return MISSING
    return f"1 {MINUS} {1 - r2:.0e}" if 0 < 1 - r2 < 1e-4 else f"{r2:.2f}".replace("-", MINUS)


def format_deviation(value: float) -> str:
    """Format a deviation: '0.01', and '2e-05' below 0.001."""
    return optional(value, ".2f" if value == 0 or value >= 1e-3 else ".0e")


def formula_difference(loss: str, examples: RecordedExamples) -> float:
    """Return the largest difference of |dL/dz| from the formula, over the largest |dL/dz|."""
    largest = float(examples.magnitude.max(initial=0.0))
    differences = np.abs(examples.magnitude - FORMULAS[loss].magnitude(examples.odds))
    difference = float(differences.max(initial=0.0))
    return difference / largest if largest > 0 else difference


def median(examples: RecordedExamples, low: float, high: float) -> str:
    """Format the median |dL/dz| of the examples whose error is from `low` to `high`."""
    e = error(examples.odds)
    inside = examples.magnitude[(e >= low) & (e <= high)]
    return f"{np.median(inside):.2g}" if len(inside) else MISSING


def bin_medians(examples: RecordedExamples) -> tuple[Array, Array]:
    """Return two medians per bin with enough examples: log-odds of the error, and |dL/dz|."""
    odds = -examples.odds
    bins = [(odds >= low) & (odds < high) for low, high in pairwise(EDGES)]
    full = [each for each in bins if each.sum() >= FEWEST]
    middles, medians = (
        np.array([float(np.median(values[each])) for each in full])
        for values in (odds, examples.magnitude)
    )
    return middles, medians


CLAIM = Claim(
    name="error-driven",
    claim=(
        "|dL/dz| of an example is the error |f - t|, or twice that, with cross-entropy in each of "
        "its forms, and with no other loss of the argument."
    ),
    refuted_by=(
        "An example whose |dL/dz| is not the error, beyond rounding, or another loss whose |dL/dz| "
        "is about proportional to it."
    ),
    procedure=(
        "Networks are trained with each of the ten losses, from an even and from a confidently "
        "wrong start. All through training z, t and dL/dz of training examples are recorded. "
        "Regression through 0 of |dL/dz| on |f - t|. For "
        f"{', '.join(PROPORTIONAL)} no example may differ by more than {ROUNDING:g} (|dL/dz| "
        f"divided by 2 for bernoulli-sum). For {', '.join(OTHERS)} R² must be below "
        f"{R2_LIMIT:g}. zero-one has no gradient."
    ),
    source=(
        "Bishop 2006, Pattern Recognition and Machine Learning, section 4.3.6 (canonical links); "
        "McCullagh and Nelder 1989, Generalized Linear Models"
    ),
    kind="proved and checked",
    design=DESIGN,
    analysis=ErrorDriven,
)
