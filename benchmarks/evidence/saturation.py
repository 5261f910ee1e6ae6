"""Claim: which loss recovers from a confidently wrong start, and how fast?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import MISSING
from lossbench.benchmarks.records.claim import ClaimTable, Finding, Measure, verdict_of
from lossbench.benchmarks.stats.significance import minimum_detectable_difference
from lossbench.benchmarks.stats.verdict import Verdict, verdict_above, verdict_below, verdict_within
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget, Claim, Trainer
from .figures.saturation import draw_gradients, draw_steps
from .measures.gradient_formulas import GRADIENT_FORMULAS
from .measures.limits import at_most, bounded
from .measures.logit_gradients import LogitGradients, concatenate, deviation, logit_gradients
from .measures.steps import Ratio, Steps, ratio, steps_of

# Both have one output and the same head; bce-with-logits is cross-entropy.
REFERENCE, OTHER = "bce-with-logits", "sigmoid-mse"
LOSSES = (REFERENCE, OTHER)
# How sure the network is at the start that every image is a dog.
CONFIDENCES = (0.5, 0.9, 0.99, 0.999, 0.9999)
EVEN, SUREST = CONFIDENCES[0], CONFIDENCES[-1]
# Steps are counted to this validation accuracy, from every start at each of these rates.
ENOUGH = 0.6
PERCENT = f"{100 * ENOUGH:g} %"
RATES = (0.1, 0.5, 3.0)
# The rate of `compare`, at which both are shown beside their fastest.
COMMON = 0.1
# The limits below were set after looking at networks of the seeds 0 to 8: the verdict is of others.
FIRST_SEED = 20
# Cross-entropy recovers if the surest start costs it less than this many times the steps of the
# even one, ...
RECOVERS = 8.0
# ... sigmoid-mse stalls if it then needs more than this many times the steps of cross-entropy, ...
STALLS = 2.0
# ... and without a wrong start neither is so much slower than the other.
ALIKE = 2.0
# The rounding of float32, relative, with room.
ROUNDING = 1e-5


class Size(NamedTuple):
    """Epochs and seeds of a budget; `seeds` for the two starts of the verdict, `between` for the
    others."""

    epochs: int
    seeds: int
    between: int


SIZES: dict[Budget, Size] = {
    "quick": Size(1, 4, 1),
    "standard": Size(4, 8, 3),
    "full": Size(8, 12, 6),
}


class Start(NamedTuple):
    """Loss, confidence and learning rate of a run."""

    loss: str
    confidence: float
    rate: float


def examine(trainer: Trainer) -> Finding:
    size = SIZES[trainer.budget]
    trainer.say(f"{len(CONFIDENCES)} starts at {len(RATES)} learning rates, with several seeds")
    found = trained(trainer, size)
    steps = {start: steps_of(runs, ENOUGH) for start, runs in found.items()}
    rates = fastest(steps)
    best = {key: steps[Start(*key, rate)] for key, rate in rates.items()}
    plain = {key: steps[Start(*key, COMMON)] for key in rates}
    seen = {loss: pushes_of(loss, found) for loss in LOSSES}
    measures = measures_of(best, plain, rates, seen)
    return Finding(
        verdict_of(measures),
        sentence_of(best, plain, rates),
        measures,
        (
            draw_steps(best, plain, CONFIDENCES, ENOUGH, COMMON),
            draw_gradients({loss: concatenate(runs) for loss, runs in seen.items()}),
        ),
        (table_of_steps(best, plain, rates), table_of_gradients(seen)),
        notes_of(size, rates),
    )


def trial_of(start: Start, size: Size, seed: int) -> RunConfig:
    return RunConfig(
        loss=start.loss,
        seed=seed,
        learning_rate=start.rate,
        epochs=size.epochs,
        evaluations=12,
        initial_probability=1 - start.confidence,
        stop_at_accuracy=ENOUGH,
        record_examples=True,
    )


def seeds_of(start: Start, size: Size) -> int:
    return size.seeds if start.confidence in (EVEN, SUREST) else size.between


def trained(trainer: Trainer, size: Size) -> dict[Start, list[RunResult]]:
    """Train both losses from every start at every rate, with the same seeds."""
    configs = {
        start: [trial_of(start, size, FIRST_SEED + k) for k in range(seeds_of(start, size))]
        for start in (Start(*each) for each in product(LOSSES, CONFIDENCES, RATES))
    }
    flat = [config for each in configs.values() for config in each]
    results = dict(zip(flat, trainer.train(flat), strict=True))
    return {start: [results[config] for config in each] for start, each in configs.items()}


def fastest(steps: Mapping[Start, Steps]) -> dict[tuple[str, float], float]:
    """Return the fastest rate for each loss and confidence.

    It is the rate at which most networks reach the accuracy; of equals the one with the fewest
    steps, then the lowest.
    """

    def slowness(start: Start) -> tuple[float, ...]:
        return -steps[start].reached.sum(), steps[start].value.mean(), start.rate

    return {
        (loss, confidence): min(
            (Start(loss, confidence, rate) for rate in RATES), key=slowness
        ).rate
        for loss in LOSSES
        for confidence in CONFIDENCES
    }


def pushes_of(loss: str, found: Mapping[Start, Sequence[RunResult]]) -> list[LogitGradients]:
    """Return the recorded examples of each network of a loss."""
    runs = [each for start, each in found.items() if start.loss == loss]
    return [logit_gradients([result]) for results in runs for result in results]


Found = Mapping[tuple[str, float], Steps]


def at_fastest(best: Found, rates: Mapping[tuple[str, float], float], confidence: float) -> Ratio:
    """Return the ratio of sigmoid-mse over cross-entropy, each at its fastest rate.

    If that is the highest rate, a higher one may be faster, and the ratio is a bound.
    """
    found = ratio(best[OTHER, confidence], best[REFERENCE, confidence])
    return found._replace(
        least=found.least or rates[REFERENCE, confidence] == RATES[-1],
        most=found.most or rates[OTHER, confidence] == RATES[-1],
    )


def measures_of(
    best: Found,
    plain: Found,
    rates: Mapping[tuple[str, float], float],
    seen: Mapping[str, Sequence[LogitGradients]],
) -> tuple[Measure, ...]:
    slowed = ratio(best[REFERENCE, SUREST], best[REFERENCE, EVEN])
    alike = at_fastest(best, rates, EVEN)
    over = f"sigmoid-mse over cross-entropy: steps to {PERCENT} from {{:g}}, {{}}, ratio"
    apart = [
        (f"both at a rate of {COMMON:g}", ratio(plain[OTHER, SUREST], plain[REFERENCE, SUREST])),
        ("each at its fastest rate", at_fastest(best, rates, SUREST)),
    ]
    return (
        _measure(
            f"cross-entropy at its fastest rates: steps to {PERCENT} from {SUREST:g} over those "
            f"from {EVEN:g}, ratio",
            slowed,
            f"below {RECOVERS:g} times",
            _known(verdict_below(slowed.interval, RECOVERS), slowed, "does not hold", "holds"),
        ),
        *(
            _measure(
                over.format(SUREST, which),
                found,
                f"above {STALLS:g} times",
                _known(verdict_above(found.interval, STALLS), found, "holds", "does not hold"),
            )
            for which, found in apart
        ),
        _measure(
            over.format(EVEN, "each at its fastest rate"),
            alike,
            f"within 1/{ALIKE:g} to {ALIKE:g} times",
            "undecided"
            if alike.least or alike.most
            else verdict_within(alike.interval, 1 / ALIKE, ALIKE),
        ),
        at_most(
            "measured dL/dz against f - t and (f - t) f (1 - f), largest relative difference of "
            "all examples",
            [deviation(loss, each) for loss in LOSSES for each in seen[loss]],
            ROUNDING,
            len(best[REFERENCE, SUREST].value),
        ),
    )


def _known(verdict: Verdict, found: Ratio, upward: Verdict, downward: Verdict) -> Verdict:
    return bounded(verdict, least=found.least, most=found.most, upward=upward, downward=downward)


def _measure(name: str, found: Ratio, wanted: str, verdict: Verdict) -> Measure:
    each = found.interval
    said = f" ({found.bound} that)" if found.bound else ""
    return Measure(name + said, each.mean, each.low, each.high, wanted, verdict)


def taken(steps: Steps) -> str:
    """Format steps: '147 (140 to 163)', or '2 of 3 in 281' if some runs did not get there."""
    if steps.reached.all():
        low, high = steps.value.min(), steps.value.max()
        return f"{math.exp(np.log(steps.value).mean()):.0f} ({low:.0f} to {high:.0f})"
    return f"{steps.reached.sum()} of {len(steps.reached)} in {steps.value.max():.0f}"


def sentence_of(best: Found, plain: Found, rates: Mapping[tuple[str, float], float]) -> str:
    def said(loss: str, steps: Found) -> str:
        there = steps[loss, SUREST]
        if there.reached.all():
            return f"{math.exp(np.log(there.value).mean()):.0f} steps"
        return (
            f"{there.value.max():.0f} steps without getting there in "
            f"{(~there.reached).sum()} of {len(there.reached)} runs"
        )

    ratios = []
    for confidence in CONFIDENCES:
        found = at_fastest(best, rates, confidence)
        ratios.append(f"{found.bound} {found.interval.mean:.2g} from {confidence:g}".lstrip())
    return (
        f"From a start that is {100 * SUREST:g} % sure of the wrong class, cross-entropy takes "
        f"{said(REFERENCE, best)} to {PERCENT} accuracy at the fastest rate found for it "
        f"({rates[REFERENCE, SUREST]:g}) and sigmoid-mse {said(OTHER, best)} "
        f"({rates[OTHER, SUREST]:g}); at a rate of {COMMON:g}, {said(REFERENCE, plain)} and "
        f"{said(OTHER, plain)}. Each at its fastest, sigmoid-mse takes this many times the steps: "
        f"{', '.join(ratios)}."
    )


def table_of_steps(
    best: Found, plain: Found, rates: Mapping[tuple[str, float], float]
) -> ClaimTable:
    rows = []
    for confidence in CONFIDENCES:
        found = at_fastest(best, rates, confidence)
        each = found.interval
        least = minimum_detectable_difference(found.logs)
        bound = {"at least": "≥ ", "at most": "≤ "}.get(found.bound, "")
        text = MISSING if each.mean is None else f"{bound}{each.mean:.2g}"
        if each.low is not None and each.high is not None:
            text += f" ({each.low:.2g} to {each.high:.2g})"
        rows.append(
            (
                f"{confidence:g}",
                *(
                    cell
                    for loss in LOSSES
                    for cell in (taken(best[loss, confidence]), f"{rates[loss, confidence]:g}")
                ),
                text,
                MISSING if least is None else f"{math.exp(least):.2g}",
                *(taken(plain[loss, confidence]) for loss in LOSSES),
            )
        )
    return ClaimTable(
        f"Steps to {PERCENT} validation accuracy, by how sure the start is of the wrong class",
        (
            "sure at the start",
            "cross-entropy",
            "its fastest rate",
            "sigmoid-mse",
            "its fastest rate",
            "ratio",
            "smallest detectable ratio",
            f"cross-entropy at {COMMON:g}",
            f"sigmoid-mse at {COMMON:g}",
        ),
        tuple(rows),
        (
            "Steps: geometric mean over seeds (least to most); '1 of 3 in 281': one of three got "
            "there, training ended after 281 steps. Ratio: sigmoid-mse over cross-entropy, paired "
            "by seed, 95 % t interval of its logarithm; a run that did not get there counts with "
            "the steps it was given, and the highest rate may not be the fastest, which makes it a "
            "bound (≥, ≤). Smallest detectable: the true ratio that this many seeds tell from 1 "
            "with a power of 80 %.",
        ),
    )


def table_of_gradients(seen: Mapping[str, Sequence[LogitGradients]]) -> ClaimTable:
    rows = []
    for loss in LOSSES:
        each = concatenate(seen[loss])
        sure = each.magnitude[each.odds < -math.log(999)]
        rows.append(
            (
                loss,
                GRADIENT_FORMULAS[loss].formula,
                f"{len(each.magnitude):,}",
                f"{deviation(loss, each):.0e}",
                f"{np.median(sure):.1e}" if len(sure) else MISSING,
            )
        )
    return ClaimTable(
        "Measured gradients against the formulas",
        (
            "loss",
            "|dL/dz| by formula, e = |f - t|",
            "examples",
            "relative difference, at most",
            "median |dL/dz| where e > 0.999",
        ),
        tuple(rows),
    )


def notes_of(size: Size, rates: Mapping[tuple[str, float], float]) -> tuple[str, ...]:
    epochs = f"{size.epochs} epoch{'s' * (size.epochs > 1)}"
    notes = [
        f"Fastest rate: of {', '.join(f'{rate:g}' for rate in RATES)}, for each loss and each "
        "start, chosen by the very networks it is shown with, which flatters both losses. A rate "
        "of its own for every start is more than sigmoid-mse gets in practice, where the start is "
        "not known to be wrong.",
        "The start is the bias of the last layer: the network says about the same of every image. "
        "A network that has become sure of wrong answers by training is another matter.",
        f"The limit of {ALIKE:g} times and the rates tried were settled after looking at networks "
        f"of seeds below {FIRST_SEED}, which the verdict does not rest on.",
        f"At most {epochs} with a one-cycle schedule, whose rate rises over the first "
        "quarter of the steps: with another length of training steps are other numbers.",
    ]
    for end, which, other in ((RATES[-1], "highest", "higher"), (RATES[0], "lowest", "lower")):
        if at_end := [f"{loss} from {c:g}" for (loss, c), rate in rates.items() if rate == end]:
            notes.append(
                f"Fastest at the {which} rate that was tried, so that a {other} one may be faster "
                f"still: {', '.join(at_end)}."
            )
    return tuple(notes)


CLAIM = Claim(
    name="saturation",
    question="Which loss recovers from a confidently wrong start?",
    claim=(
        f"Cross-entropy recovers, even from one that is {SUREST:g} sure. sigmoid-mse, whose "
        "gradient (f - t) f (1 - f) dies there, stalls, and no learning rate makes up for it."
    ),
    refuted_by=(
        f"From a start that is {SUREST:g} sure cross-entropy needs {RECOVERS:g} times the steps "
        f"that it needs from an even one; or sigmoid-mse no more than {STALLS:g} times those of "
        "cross-entropy, at the same rate or with each at its fastest; or gradients are not f - t "
        "and (f - t) f (1 - f)."
    ),
    procedure=(
        "Cats and dogs; by the bias of the last layer the network begins with a probability of "
        f"about {', '.join(f'{c:g}' for c in CONFIDENCES)} that any image is a dog. Steps to "
        f"{PERCENT} validation accuracy, of cross-entropy (bce-with-logits) and sigmoid-mse, both "
        f"at a rate of {COMMON:g} and each at the rate that is fastest for it from that very "
        "start. Ratios are paired by seed, with the 95 % t interval of their logarithm; a run that "
        "does not get there counts with the steps it was given, and beyond the highest rate a "
        "faster one may lie: both make a ratio a bound, and a verdict that could turn round is "
        f"undecided. Cross-entropy from {SUREST:g} over from {EVEN:g}: below {RECOVERS:g} times. "
        f"sigmoid-mse over cross-entropy from {SUREST:g}: above {STALLS:g} times, at the same rate "
        f"and at the fastest ones; from {EVEN:g}: within 1/{ALIKE:g} to {ALIKE:g} times, so that "
        "it is the start that does it. No measured dL/dz may differ from its formula by more than "
        f"{ROUNDING:g}, relative. All must hold."
    ),
    source=(
        "Nielsen 2015, Neural Networks and Deep Learning, chapter 3; Glorot and Bengio 2010, "
        "AISTATS (plateaus of squared error)"
    ),
    examine=examine,
)
