"""Claim: is the gradient of cross-entropy the error itself, and of which other losses?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lossbench.benchmarks.config import WRONG_START_PROBABILITY, RunConfig
from lossbench.benchmarks.format import MISSING
from lossbench.benchmarks.records.claim import ClaimTable, Finding, Measure, verdict_of
from lossbench.benchmarks.stats.intervals import Interval, mean_interval
from lossbench.benchmarks.stats.verdict import verdict_below

from .claim import Budget, Claim, Trainer
from .figures.error_driven import draw_panels, draw_pushes
from .measures.gradient_formulas import GRADIENT_FORMULAS, error
from .measures.limits import at_most
from .measures.logit_gradients import LogitGradients, concatenate, logit_gradients
from .measures.proportion import Fit, finite, fit, in_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Losses whose gradient is k |f - t|, and those of which the claim says that it is not.
DRIVEN = tuple(loss for loss, law in GRADIENT_FORMULAS.items() if law.share)
BENT = ("probability-sum", "sigmoid-mse", "softmax-mse", "mse")
# The rounding of float32, with room: |f - t| is at most 1.
ROUNDING = 1e-5
# A gradient is not proportional to the error if a line through 0 leaves more than 5 % of its
# variation unexplained.
STRAIGHT = 0.95
STARTS = (None, WRONG_START_PROBABILITY)
RATE = 0.1


class Size(NamedTuple):
    """Epochs, images and seeds of a budget; `train_images` None: all images."""

    epochs: int
    seeds: int
    train_images: int | None


SIZES: dict[Budget, Size] = {
    "quick": Size(2, 3, 6_000),
    "standard": Size(2, 5, None),
    "full": Size(12, 10, None),
}


def examine(trainer: Trainer) -> Finding:
    size = SIZES[trainer.budget]
    configs = {
        (loss, start, seed): RunConfig(
            loss=loss,
            seed=seed,
            learning_rate=RATE,
            epochs=size.epochs,
            train_images=size.train_images,
            initial_probability=start,
            record_examples=True,
        )
        for loss in GRADIENT_FORMULAS
        for start in STARTS
        for seed in range(size.seeds)
    }
    trainer.say(f"{len(configs)} networks, half of them confidently wrong at the start")
    found = dict(zip(configs, trainer.train(list(configs.values())), strict=True))
    # One set of examples a loss and seed, from both starts.
    seen = {
        loss: [
            logit_gradients([found[loss, start, k] for start in STARTS]) for k in range(size.seeds)
        ]
        for loss in GRADIENT_FORMULAS
    }
    fits = {loss: [fit(loss, each) for each in runs] for loss, runs in seen.items()}
    measures = measures_of(fits)
    pooled = {loss: finite(concatenate(runs)) for loss, runs in seen.items()}
    return Finding(
        verdict_of(measures),
        sentence_of(fits, sum(len(pooled[loss].magnitude) for loss in DRIVEN)),
        measures,
        (
            draw_panels(pooled, {loss: middle(fits[loss]) for loss in GRADIENT_FORMULAS}),
            draw_pushes(pooled),
        ),
        (table_of(fits, pooled),),
        NOTES,
    )


def measures_of(fits: Mapping[str, Sequence[Fit]]) -> tuple[Measure, ...]:
    straight = at_most(
        f"{', '.join(DRIVEN)}: |dL/dz| / k - |f - t| (k = 2 for bernoulli-sum, else 1), largest "
        "of all examples",
        [each.off / (GRADIENT_FORMULAS[loss].share or 1) for loss in DRIVEN for each in fits[loss]],
        ROUNDING,
        min(len(fits[loss]) for loss in DRIVEN),
    )
    return (straight, *(bent(loss, fits[loss]) for loss in BENT))


def bent(loss: str, fits: Sequence[Fit]) -> Measure:
    explained = interval_of([each.explained for each in fits])
    return Measure(
        f"{loss}: R² of |dL/dz| on |f - t|, a line through 0",
        explained.mean,
        explained.low,
        explained.high,
        f"below {STRAIGHT:g}",
        verdict_below(explained, STRAIGHT),
    )


def interval_of(values: Sequence[float]) -> Interval:
    """Return the mean with its 95 % t interval; an empty interval if a value is not finite."""
    return mean_interval(values if np.isfinite(values).all() else [])


def middle(fits: Sequence[Fit]) -> Fit:
    """Return the means over seeds and the largest deviation."""
    slopes, explained, offs = (np.array(column) for column in zip(*fits, strict=True))
    return Fit(float(slopes.mean()), float(explained.mean()), float(offs.max()))


def sentence_of(fits: Mapping[str, Sequence[Fit]], examples: int) -> str:
    worst = max(middle(fits[loss]).off for loss in DRIVEN)
    others = ", ".join(f"{loss} {in_words(middle(fits[loss]).explained)}" for loss in BENT)
    return (
        f"Over {examples:,} examples in training |dL/dz| of cross-entropy, in each of its forms, "
        f"is off from (a multiple of) |f - t| by at most {worst:.0e}; for the other losses R² of a "
        f"proportion (below 0: a constant would do better) is: {others}."
    )


RELATIONS = {
    "cross-entropy": "the error itself",
    "nll": "the error itself",
    "bce": "the error itself; from f in float32, so that it ends where f rounds to 1",
    "bce-with-logits": "the error itself",
    "bernoulli-sum": "twice the error",
    "probability-sum": "grows with the error up to 0.5 and dies beyond",
    "sigmoid-mse": "grows up to an error of 2/3 and dies beyond",
    "softmax-mse": "four times that of sigmoid-mse",
    "mse": "proportional to another error, |z - t| of the raw output: 0 at e = 0.27, unbounded",
    "zero-one": "none: there is no gradient",
}


def table_of(fits: Mapping[str, Sequence[Fit]], pooled: Mapping[str, LogitGradients]) -> ClaimTable:
    rows = []
    for loss, law in GRADIENT_FORMULAS.items():
        each = middle(fits[loss])
        seen = pooled[loss]
        rows.append(
            (
                loss,
                law.formula,
                f"{each.slope:.3f}" if np.isfinite(each.slope) else MISSING,
                in_words(each.explained),
                small(each.off),
                small(formula_off(loss, seen)),
                typical(seen, 0.45, 0.55),
                typical(seen, 0.99, 1),
                RELATIONS[loss],
            )
        )
    return ClaimTable(
        "|dL/dz| against the error e = |f - t|, over training",
        (
            "loss",
            "|dL/dz| by formula",
            "slope",
            "R²",
            "off the line, at most",
            "off the formula, at most",
            "|dL/dz| at e ≈ 0.5",
            "|dL/dz| at e > 0.99",
            "in words",
        ),
        tuple(rows),
        (
            "f is the sigmoid of the margin z (the logit; of two logits z1 - z0), t is 1 for a "
            "cat. Slope: of the least-squares line through 0, mean over seeds. R²: what that line "
            "explains of the variation of |dL/dz|; below 0 where it is worse than a constant. At "
            "e ≈ 0.5 (0.45 to 0.55) and e > 0.99: the median of the measured. Off the formula: "
            "relative to the largest |dL/dz|.",
        ),
    )


def small(value: float) -> str:
    """Format a deviation."""
    if not np.isfinite(value):
        return MISSING
    return f"{value:.2f}" if value == 0 or value >= 1e-3 else f"{value:.0e}"


def formula_off(loss: str, seen: LogitGradients) -> float:
    """Return the largest difference of measured |dL/dz| from the formula, over the largest
    |dL/dz|."""
    largest = float(seen.magnitude.max(initial=0.0))
    off = float(
        np.abs(seen.magnitude - GRADIENT_FORMULAS[loss].magnitude(seen.odds)).max(initial=0.0)
    )
    return off / largest if largest > 0 else off


def typical(seen: LogitGradients, low: float, high: float) -> str:
    e: NDArray[np.float64] = error(seen.odds)
    among = seen.magnitude[(e >= low) & (e <= high)]
    return f"{np.median(among):.2g}" if len(among) else MISSING


NOTES = (
    "That the formula says so is algebra; what is measured is that the float32 gradients of real "
    "training obey it, over all that a network comes to say.",
    "Half of the networks begin confidently wrong, giving every image a probability of "
    f"{WRONG_START_PROBABILITY:g} of being a cat: without them hardly any error would be near 1, "
    "where the losses differ most.",
    "mse is proportional to another error, that of what it fits, which is the raw output. Such "
    "losses are those that fit a distribution's natural parameter: the logit for cross-entropy, "
    "the mean for squared error (McCullagh and Nelder 1989).",
    f"All losses are trained at the same rate, {RATE:g}: it decides which errors are seen, not "
    "what the gradient makes of them.",
)

CLAIM = Claim(
    name="error-driven",
    question="Is the push that an example gives proportional to how wrong the model is?",
    claim=(
        "With cross-entropy, in each of its forms, it is: |dL/dz| = |f - t|, or twice that for the "
        "sum of Bernoullis. With no other loss of the argument is it."
    ),
    refuted_by=(
        "An example whose |dL/dz| is not the error, beyond rounding, or another loss whose |dL/dz| "
        "is about proportional to it."
    ),
    procedure=(
        "Networks are trained with each of the ten losses, from an even and from a confidently "
        "wrong start. All along, z, t and dL/dz of training examples are kept. Regression through "
        f"0 of |dL/dz| on |f - t|. For {', '.join(DRIVEN)} no example may be off by more than "
        f"{ROUNDING:g} (|dL/dz| divided by 2 for bernoulli-sum). For {', '.join(BENT)} R² must be "
        f"below {STRAIGHT:g}, its 95 % t interval over seeds included. zero-one has no gradient."
    ),
    source=(
        "Bishop 2006, Pattern Recognition and Machine Learning, section 4.3.6 (canonical links); "
        "McCullagh and Nelder 1989, Generalized Linear Models"
    ),
    examine=examine,
)
