"""Claim: does the gradient of the sum of probabilities die?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean as mean
from typing import NamedTuple

import numpy as np

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.claim import ClaimTable, Finding, Measure, verdict_of
from lossbench.benchmarks.stats.intervals import Interval, mean_interval
from lossbench.benchmarks.stats.verdict import Verdict, verdict_above, verdict_below, verdict_within
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget, Claim, Trainer
from .figures.probability_sum import draw_gradient, draw_training
from .measures.contrasts import plus_minus, signed
from .measures.gradient_formulas import GRADIENT_FORMULAS
from .measures.limits import at_most, size
from .measures.logit_gradients import (
    END,
    FORMULAS,
    REFERENCE,
    SUM,
    LogitGradients,
    concatenate,
    deviation,
    logit_gradients,
    slope,
)
from .measures.networks import accuracies, chance_of, over_seeds

LOSSES = (SUM, REFERENCE)
# The probability of a cat with which training begins: None is as the weights are drawn.
NORMAL, WRONG = None, 0.0003
STARTS = {NORMAL: "normal", WRONG: "confidently wrong"}
RATE = 0.1
# What a measured gradient may be off p (1 - p), as a share of it: the rounding of float32.
ROUNDING = 1e-4
# Where the model is sure |dL/dz|, whose largest value is 0.25, has died below this; where it is
# wrong that of cross-entropy lives above the other.
DEAD, ALIVE = 0.01, 0.9


class Size(NamedTuple):
    """Epochs and seeds of a budget."""

    epochs: int
    seeds: int


SIZES: dict[Budget, Size] = {"quick": Size(2, 3), "standard": Size(4, 5), "full": Size(15, 10)}


class Cell(NamedTuple):
    """A loss and a start, trained with all seeds."""

    loss: str
    start: float | None


CELLS = tuple(Cell(loss, start) for start in STARTS for loss in LOSSES)

Found = Mapping[Cell, Sequence[RunResult]]


def examine(trainer: Trainer) -> Finding:
    epochs, seeds = SIZES[trainer.budget]
    configs = [
        RunConfig(
            loss=cell.loss,
            seed=0,
            learning_rate=RATE,
            initial_probability=cell.start,
            epochs=epochs,
            evaluations=6,
            record_examples=True,
        )
        for cell in CELLS
    ]
    trainer.say(
        f"the sum of probabilities and cross-entropy from {' and '.join(STARTS.values())} start"
    )
    found = dict(zip(CELLS, over_seeds(trainer, configs, seeds), strict=True))
    measures = measures_of(found)
    return Finding(
        verdict_of(measures),
        sentence_of(found),
        measures,
        (
            draw_gradient({loss: concatenate(by_seed(found, loss)) for loss in LOSSES}),
            draw_training(
                {
                    f"{name} start": {loss: found[Cell(loss, start)] for loss in LOSSES}
                    for start, name in STARTS.items()
                }
            ),
        ),
        (gradient_table(found), accuracy_table(found)),
        notes_of(found),
    )


def by_seed(found: Found, loss: str) -> list[LogitGradients]:
    """Return the examples of a loss, one entry per seed, from both starts."""
    runs = zip(*(found[Cell(loss, start)] for start in STARTS), strict=True)
    return [logit_gradients(results) for results in runs]


def measures_of(found: Found) -> tuple[Measure, ...]:
    """Measure that it trains, that |dL/dz| is p (1 - p), and that it vanishes at both ends of p."""
    tested = found[Cell(SUM, NORMAL)]
    beyond = mean_interval([a - chance_of(tested) for a in accuracies(tested)])
    ours, theirs = by_seed(found, SUM), by_seed(found, REFERENCE)
    slopes = average([slope(SUM, seen) for seen in ours])
    dead = f"below {DEAD:g}"
    return (
        measure(
            "probability-sum, normal start: test accuracy beyond chance, points",
            beyond,
            "above 0 points",
            verdict_above(beyond, 0.0),
        ),
        measure(
            "probability-sum: slope of measured |dL/dz| over p (1 - p)",
            slopes,
            f"within 1 ± {ROUNDING:g}",
            verdict_within(slopes, 1 - ROUNDING, 1 + ROUNDING),
        ),
        at_most(
            "probability-sum: measured |dL/dz| off p (1 - p), as a share of it, largest",
            [deviation(SUM, seen) for seen in ours],
            ROUNDING,
            len(ours),
        ),
        *(
            measure(
                f"probability-sum: mean |dL/dz| where the {side} class has p < {END:g}",
                interval,
                dead,
                verdict_below(interval, DEAD),
            )
            for side, interval in (
                ("right", average([seen.wrong.mean() for seen in ours if seen.wrong.size])),
                ("wrong", average([seen.right.mean() for seen in ours if seen.right.size])),
            )
        ),
        measure(
            f"cross-entropy: mean |dL/dz| where the right class has p < {END:g}",
            alive := average([seen.wrong.mean() for seen in theirs if seen.wrong.size]),
            f"above {ALIVE:g}",
            verdict_above(alive, ALIVE),
        ),
    )


def average(values: Sequence[float]) -> Interval:
    """Return the mean of the finite values, one per seed, with its 95 % t interval."""
    return mean_interval([float(value) for value in values if np.isfinite(value)])


def measure(name: str, interval: Interval, wanted: str, verdict: Verdict) -> Measure:
    return Measure(name, interval.mean, interval.low, interval.high, wanted, verdict)


def sentence_of(found: Found) -> str:
    trained, reference, stuck, freed = (
        average(accuracies(found[Cell(loss, start)])) for start in STARTS for loss in LOSSES
    )
    chance = chance_of(found[Cell(SUM, NORMAL)])
    ours, theirs = (
        average([seen.wrong.mean() for seen in by_seed(found, loss) if seen.wrong.size]).mean
        for loss in LOSSES
    )
    return (
        f"Maximising the sum of probabilities reaches {plus_minus(trained)} % on test images "
        f"(chance {chance:.1f}, cross-entropy {plus_minus(reference)}); where the model is sure of "
        f"the wrong class its gradient is {size(ours)} where that of cross-entropy is "
        f"{size(theirs)}, and from a confidently wrong start it ends at {plus_minus(stuck)} %, "
        f"cross-entropy at {plus_minus(freed)} %."
    )


def gradient_table(found: Found) -> ClaimTable:
    """Return the table of |dL/dz| by the probability of the right class, for both losses."""
    edges = (0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
    runs = {loss: by_seed(found, loss) for loss in LOSSES}
    seen = {loss: concatenate(runs[loss]) for loss in LOSSES}
    rows = []
    for low, high in pairwise(edges):
        cells = []
        for loss in LOSSES:
            p, push = seen[loss].p, seen[loss].magnitude
            here = (p >= low) & ((p < high) | (high == 1.0))
            foreseen = GRADIENT_FORMULAS[loss].magnitude(seen[loss].odds[here])
            means = [float(x.mean()) if here.any() else None for x in (push[here], foreseen)]
            cells += [f"{here.sum():,}", *map(size, means)]
        rows.append((f"{low:g} to {high:g}", *cells))
    fits = "; ".join(
        f"{loss}: slope {average([slope(loss, run) for run in runs[loss]]).mean:.6f}, largest "
        f"relative deviation {max(deviation(loss, run) for run in runs[loss]):.1e}"
        for loss in LOSSES
    )
    return ClaimTable(
        "How hard an example pushes, by how sure the model is of the right class",
        (
            "p of the right class",
            *(
                heading
                for loss in LOSSES
                for heading in (
                    f"{loss}: examples",
                    f"{loss}: mean |dL/dz|",
                    f"{loss}: mean {FORMULAS[loss]}",
                )
            ),
        ),
        tuple(rows),
        (f"Training examples of every seed and both starts. Measured over predicted: {fits}.",),
    )


def accuracy_table(found: Found) -> ClaimTable:
    rows = []
    for cell in CELLS:
        results = found[cell]
        tested = [o.test for o in results if o.test is not None]
        cats = [100 * float(t.predicted[t.labels == 1].mean()) for t in tested]
        rows.append(
            (
                f"{cell.loss}, {STARTS[cell.start]}",
                plus_minus(average(accuracies(results))),
                plus_minus(average(cats)),
                size(mean(o.evaluations[0].logit_when_wrong for o in results)),
                size(mean(o.evaluations[-1].logit_when_wrong for o in results)),
                size(mean(o.parameter_distance for o in results)),
                str(len(results)),
            )
        )
    return ClaimTable(
        "What that does to training",
        (
            "loss, start",
            "test accuracy, %",
            "cats called cats, %",
            "mean |dL/dz| when wrong, first",
            "last",
            "distance moved",
            "seeds",
        ),
        tuple(rows),
        (
            f"Mean ± half the 95 % t interval over seeds. Chance: "
            f"{chance_of(found[CELLS[0]]):.1f} %.",
        ),
    )


def notes_of(found: Found) -> tuple[str, ...]:
    difference = average(
        [
            a - b
            for a, b in zip(
                *(accuracies(found[Cell(loss, NORMAL)]) for loss in LOSSES), strict=True
            )
        ]
    )
    return (
        "The loss is 1 minus the probability of the right class, so that minimising it maximises "
        "their sum; it is half the absolute error of the probabilities of both classes.",
        f"Both losses have a learning rate of {RATE:g}. With it, from the normal start, the sum of "
        f"probabilities is {signed(difference.mean)} points from cross-entropy; that is a fact "
        "about this rate too, since its largest gradient is a quarter of the other's.",
        "Cross-entropy has two outputs, and z is their difference; its gradient dies at one end "
        "alone, where the model is right.",
    )


CLAIM = Claim(
    name="probability-sum",
    question="Why not maximise the sum of the right classes' probabilities?",
    claim=(
        "That trains, but its gradient p (1 - p) dies at both ends: where the model is sure of the "
        "right class, and where it is sure of the wrong one."
    ),
    refuted_by=(
        "Test accuracy is not above chance, a measured gradient is not p (1 - p), or it has not "
        "died where p is near 0 or near 1; or that of cross-entropy has where it is wrong."
    ),
    procedure=(
        "Networks are trained with probability-sum and with cross-entropy, with "
        f"the same seeds and a learning rate of {RATE:g}, from the normal start and from one that "
        f"gives every image a probability of {WRONG:g} of being a cat. Test accuracy from the "
        "normal start must be above chance (beyond it by above 0 points). For training examples of "
        "the whole course, measured |dL/dz| is laid over p (1 - p), p being the probability of the "
        f"right class: the slope of the regression must be within 1 ± {ROUNDING:g} and no example "
        f"may be off by more than {ROUNDING:g} of it, the rounding of float32. Where the right "
        f"class or the wrong one has p < {END:g}, mean |dL/dz| must be below {DEAD:g}; that of "
        f"cross-entropy where the right class has it must be above {ALIVE:g}. Intervals are 95 % t "
        "intervals over seeds."
    ),
    source="Ghosh et al. 2017, arXiv 1712.09482 (as mean absolute error)",
    examine=examine,
)
