"""Claim: does the comparison of two losses depend on the learning rate?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lossbench.benchmarks.config import ARTICLE_LOSSES, LEARNING_RATES, RunConfig
from lossbench.benchmarks.format import MISSING
from lossbench.benchmarks.records.claim import ClaimTable, Finding, Measure, verdict_of
from lossbench.benchmarks.stats.intervals import Interval, mean_interval, paired_difference
from lossbench.benchmarks.stats.significance import (
    holm,
    minimum_detectable_difference,
    paired_t_pvalue,
)
from lossbench.benchmarks.stats.verdict import (
    MINIMUM_SEEDS,
    verdict_above,
    verdict_below,
    verdict_within,
)
from lossbench.benchmarks.training.rate_search import FIRST_SEARCH_SEED
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget, Claim, Trainer
from .figures.learning_rate import draw_curves, draw_ranges
from .measures.contrasts import Contrast, contrast, plus_minus, signed, with_span
from .measures.limits import bounded
from .measures.networks import accuracies, chance_of, right
from .measures.rates import USABLE, Range, Sweep, usable

REFERENCE, OTHER = "cross-entropy", "sigmoid-mse"
PAIR = (REFERENCE, OTHER)
# The rates between which the order of the pair turns round.
LOW, HIGH = 0.01, 3.0
# A range of rates is narrower if it is so by more than this, in decades: a step of the grid.
STEP = 0.5
# Accuracies this near, in points, are about the same.
NEAR = 3.0


class Size(NamedTuple):
    """Epochs, images and seeds of a budget.

    `seeds` are those of the two losses in the verdict; `others` those of the rest, `tried` of them
    at
    every rate. `train_images` None: all images.
    """

    train_images: int | None
    epochs: int
    seeds: int
    others: int
    tried: int


SIZES: dict[Budget, Size] = {
    "quick": Size(1_500, 2, 5, 3, 1),
    "standard": Size(4_000, 2, 8, 3, 3),
    "full": Size(None, 6, 10, 5, 5),
}


def examine(trainer: Trainer) -> Finding:
    size = SIZES[trainer.budget]
    trainer.say(f"{len(ARTICLE_LOSSES)} losses at {len(LEARNING_RATES)} learning rates")
    sweeps, began = swept(trainer, size)
    chosen = {loss: sweep.rates[sweep.best] for loss, sweep in sweeps.items()}
    trainer.say("every loss at its own best rate, with new seeds")
    found = ranked(trainer, size, chosen)
    ranges = {loss: usable(s.rates, s.mean, s.best) for loss, s in sweeps.items()}
    differences = {
        loss: minus_reference(loss, found) for loss in ARTICLE_LOSSES if loss != REFERENCE
    }
    measures = measures_of(sweeps, differences[OTHER])
    chance = chance_of(found[REFERENCE])
    return Finding(
        verdict_of(measures),
        sentence_of(sweeps, found, chosen),
        measures,
        (
            draw_curves({loss: (s.rates, s.accuracy) for loss, s in sweeps.items()}, PAIR, chance),
            draw_ranges(
                {loss: (each, chosen[loss]) for loss, each in ranges.items() if loss != "zero-one"},
                {loss: accuracies(runs) for loss, runs in found.items()},
                chance,
                USABLE,
            ),
        ),
        (
            table_of_ranks(found, chosen, ranges, differences, began),
            table_of_rates(sweeps),
        ),
        notes_of(size, ranges),
    )


def trial_of(loss: str, size: Size) -> RunConfig:
    return RunConfig(
        loss=loss,
        seed=0,
        learning_rate=LOW,
        epochs=size.epochs,
        train_images=size.train_images,
        evaluations=1,
    )


def swept(trainer: Trainer, size: Size) -> tuple[dict[str, Sweep], dict[str, float]]:
    """Train every loss at every rate; return the validation accuracies and the first mean
    |dL/dz|."""
    cells = {
        loss: [
            replace(trial_of(loss, size), learning_rate=rate, seed=FIRST_SEARCH_SEED + k)
            for k in range(size.seeds if loss in PAIR else size.tried)
            for rate in LEARNING_RATES
        ]
        for loss in ARTICLE_LOSSES
    }
    results = dict(
        zip(
            flat := [t for configs in cells.values() for t in configs],
            trainer.train(flat),
            strict=True,
        )
    )
    sweeps, began = {}, {}
    for loss, configs in cells.items():
        runs = [results[config] for config in configs]
        sweeps[loss] = Sweep(
            LEARNING_RATES,
            np.array([validated(run) for run in runs]).reshape(-1, len(LEARNING_RATES)),
        )
        began[loss] = float(np.mean([run.evaluations[0].logit_mean_abs for run in runs]))
    return sweeps, began


def validated(run: RunResult) -> float:
    """Return the validation accuracy in percent. A diverged network still predicts a class."""
    assert run.validation is not None
    return 100 * float(run.validation.correct.mean())


def ranked(trainer: Trainer, size: Size, chosen: Mapping[str, float]) -> dict[str, list[RunResult]]:
    """Train every loss at its own rate, with new seeds, and evaluate it on test images."""
    configs = [
        replace(trial_of(loss, size), learning_rate=rate, seed=seed, test=True)
        for loss, rate in chosen.items()
        for seed in range(size.seeds if loss in PAIR else size.others)
    ]
    found: dict[str, list[RunResult]] = {loss: [] for loss in chosen}
    for result in trainer.train(configs):
        found[result.config.loss].append(result)
    return found


def minus_reference(loss: str, found: Mapping[str, Sequence[RunResult]]) -> Contrast:
    """Return the test accuracy of a loss minus that of cross-entropy, over their common seeds."""
    runs, others = found[loss], found[REFERENCE][: len(found[loss])]
    name = f"{loss} minus {REFERENCE}"
    return contrast(name, loss, accuracies(runs), accuracies(others), (right(runs), right(others)))


def measures_of(sweeps: Mapping[str, Sweep], difference: Contrast) -> tuple[Measure, ...]:
    ours, other = sweeps[REFERENCE], sweeps[OTHER]
    slow = paired_difference(other.at(LOW), ours.at(LOW))
    fast = paired_difference(other.at(HIGH), ours.at(HIGH))
    wider = paired_difference(decades(ours), decades(other))
    wide_enough = bounded(
        verdict_above(wider, -STEP),
        least=goes_on(ours),
        most=goes_on(other),
        upward="holds",
        downward="does not hold",
    )
    best = difference.interval
    name = f"{OTHER} minus {REFERENCE}"
    return (
        Measure(
            f"{name} at a learning rate of {LOW:g}, validation accuracy, points",
            *ends(slow),
            "below 0 points",
            verdict_below(slow, 0),
        ),
        Measure(
            f"{name} at a learning rate of {HIGH:g}, validation accuracy, points",
            *ends(fast),
            "above 0 points",
            verdict_above(fast, 0),
        ),
        Measure(
            f"{name}, each at its own best rate, test accuracy, points",
            *ends(best),
            f"within ±{NEAR:g} points",
            verdict_within(best, -NEAR, NEAR),
        ),
        Measure(
            f"usable range of {REFERENCE} minus that of {OTHER}, decades of learning rate",
            *ends(wider),
            f"above {signed(-STEP, None)} decades",
            wide_enough,
        ),
    )


def ends(interval: Interval) -> tuple[float | None, float | None, float | None]:
    return interval.mean, interval.low, interval.high


def decades(sweep: Sweep) -> list[float]:
    """Return the width of the usable range of each seed, in decades."""
    return [each.decades for each in ranges_of(sweep)]


def goes_on(sweep: Sweep) -> bool:
    """Return whether the usable range of a seed reaches an end of the grid."""
    return any(each.open_low or each.open_high for each in ranges_of(sweep))


def ranges_of(sweep: Sweep) -> list[Range]:
    """Return the usable range of each seed around the rate that is best over all seeds."""
    return [usable(sweep.rates, row, sweep.best) for row in sweep.accuracy]


def sentence_of(
    sweeps: Mapping[str, Sweep],
    found: Mapping[str, Sequence[RunResult]],
    chosen: Mapping[str, float],
) -> str:
    def gap(rate: float) -> str:
        return signed(paired_difference(sweeps[OTHER].at(rate), sweeps[REFERENCE].at(rate)).mean)

    own = minus_reference(OTHER, found)
    wide = {
        loss: f"{'at least ' * goes_on(sweeps[loss])}{np.mean(decades(sweeps[loss])):.1f}"
        for loss in PAIR
    }
    return (
        f"{OTHER} minus {REFERENCE} is {gap(LOW)} points at a learning rate of {LOW:g} and "
        f"{gap(HIGH)} at {HIGH:g}; each at its own best rate ({chosen[OTHER]:g} and "
        f"{chosen[REFERENCE]:g}) it is {with_span(own.interval)}. Rates within {USABLE:g} points "
        f"of the best span {wide[REFERENCE]} decades for {REFERENCE} and {wide[OTHER]} for {OTHER}."
    )


def table_of_ranks(
    found: Mapping[str, Sequence[RunResult]],
    chosen: Mapping[str, float],
    ranges: Mapping[str, Range],
    differences: Mapping[str, Contrast],
    began: Mapping[str, float],
) -> ClaimTable:
    ps = dict(zip(differences, holm([p_of(each) for each in differences.values()]), strict=True))
    order = sorted(found, key=lambda loss: -float(np.mean(accuracies(found[loss]))))
    rows = []
    for loss in order:
        learns = loss != "zero-one"
        against = differences.get(loss)
        least = None if against is None else minimum_detectable_difference(against.differences)
        rows.append(
            (
                loss,
                f"{chosen[loss]:g}" if learns else "any",
                in_words(ranges[loss]) if learns else MISSING,
                plus_minus(mean_interval(accuracies(found[loss]))),
                "reference" if against is None else with_span(against.interval),
                MISSING if against is None else f"{ps[loss]:.3f}",
                MISSING if least is None else f"{least:.1f}",
                str(len(found[loss])),
                f"{began[loss]:.2g}",
                f"{chosen[loss] * began[loss]:.2g}" if learns else MISSING,
            )
        )
    return ClaimTable(
        "Each loss at its own best learning rate",
        (
            "loss",
            "best rate",
            f"usable rates (within {USABLE:g} points)",
            "test accuracy, %",
            "minus cross-entropy (95 %), points",
            "p (Holm)",
            "smallest detectable, points",
            "seeds",
            "mean |dL/dz| at the start",
            "best rate × |dL/dz|",
        ),
        tuple(rows),
        (
            "The best rate is chosen on validation images; the accuracy is that of other networks, "
            "with new seeds, on test images. Mean ± half the 95 % t interval over seeds. "
            "Differences are paired by seed, and their intervals allow for other seeds and other "
            "test images. p: paired t test against no difference, corrected by Holm for "
            "all rows. Smallest detectable: the true difference that this many seeds find with a "
            "power of 80 %.",
            "Usable: on the mean curve over seeds; ≤ and ≥: it goes on beyond the rates tried. The "
            "last column is how far the best rate goes with the first gradients: as far as it "
            "agrees between losses, what differs between them at one rate is how large their "
            "gradients are.",
        ),
    )


def p_of(drawn: Contrast) -> float:
    """Return the p-value of no difference; 1 with too few seeds."""
    differences = drawn.differences
    if len(differences) < MINIMUM_SEEDS:
        return 1.0
    return paired_t_pvalue(differences, [0.0] * len(differences))


def in_words(each: Range) -> str:
    low = f"≤ {each.low:.2g}" if each.open_low else f"{each.low:.2g}"
    high = f"≥ {each.high:.2g}" if each.open_high else f"{each.high:.2g}"
    return f"{low} to {high} ({each.decades:.1f} decades)"


def table_of_rates(sweeps: Mapping[str, Sweep]) -> ClaimTable:
    rows = [(loss, *(f"{mean:.1f}" for mean in sweep.mean)) for loss, sweep in sweeps.items()]
    return ClaimTable(
        "Validation accuracy, %, by learning rate",
        ("loss", *(f"{rate:g}" for rate in LEARNING_RATES)),
        tuple(rows),
        ("Means over seeds. A network that diverges names one class for every image.",),
    )


def notes_of(size: Size, ranges: Mapping[str, Range]) -> tuple[str, ...]:
    images = "all" if size.train_images is None else f"{size.train_images:,}"
    notes = [
        f"Trained on {images} images for {size.epochs} epochs with one-cycle SGD with momentum: "
        "other optimisers, of which some divide the size of the gradient out, have other ranges.",
        "The verdict is about cross-entropy and sigmoid-mse, which have "
        f"{size.seeds} seeds; the other losses have {size.others}, and {size.tried} at each of the "
        "rates tried.",
        f"The limits, among them the rate of {HIGH:g}, were settled after looking at networks with "
        "seeds of this sweep, trained on fewer images.",
        "bce and bce-with-logits, and nll and cross-entropy, are the same functions: what lies "
        "between them is chance.",
    ]
    cut = [loss for loss, r in ranges.items() if (r.open_low or r.open_high) and loss != "zero-one"]
    if cut:
        notes.append(
            f"Usable beyond the rates tried, so that the range is a bound: {', '.join(cut)}."
        )
    return tuple(notes)


CLAIM = Claim(
    name="learning-rate",
    question="Does it depend on the learning rate which loss is ahead?",
    claim=(
        "It does: cross-entropy is ahead of sigmoid-mse at a low rate and behind it at a high one. "
        "At its own best rate either is about as accurate, and cross-entropy is no harder to tune: "
        "its usable range of rates is no narrower."
    ),
    refuted_by=(
        "The same loss is ahead at both rates, or they differ at their best rates by more than "
        f"{NEAR:g} points, or the usable range of cross-entropy is narrower."
    ),
    procedure=(
        f"Each of the ten losses is trained at {len(LEARNING_RATES)} rates from "
        f"{LEARNING_RATES[0]:g} to {LEARNING_RATES[-1]:g}, in pairs, and judged on validation "
        "images; then at its own best rate, with new seeds, and judged on test images. "
        "sigmoid-mse minus cross-entropy must be below "
        f"0 points at a rate of {LOW:g}, above 0 at {HIGH:g}, and within ±{NEAR:g} at the best "
        f"rates. Usable are the rates around the best at which validation accuracy is no more than "
        f"{USABLE:g} points lower; cross-entropy's range minus sigmoid-mse's must be above "
        f"{signed(-STEP, None)} decades, a step of the grid. 95 % t intervals over paired seeds, "
        "on test images together with a bootstrap over images. A range that goes on beyond the "
        "rates tried is a bound, by which nothing is decided that a wider one would turn round. "
        "All four must "
        "hold, so that nothing is corrected for their number; the nine differences of the ranking "
        "are, by Holm."
    ),
    source=(
        "Choi et al. 2019, arXiv 1910.05446, and Sivaprasad et al. 2020, arXiv 1910.11758: "
        "comparisons turn round with the effort of tuning"
    ),
    examine=examine,
)
