"""Claim: is squared error of raw outputs as accurate as cross-entropy, each at its best rate?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import MISSING
from lossbench.benchmarks.records.claim import ClaimTable, Finding, Measure
from lossbench.benchmarks.stats.intervals import (
    Interval,
    bootstrap_difference,
    mean_interval,
    paired_difference,
)
from lossbench.benchmarks.stats.significance import (
    holm,
    minimum_detectable_difference,
    paired_t_pvalue,
)
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS
from lossbench.benchmarks.training.rate_search import accuracy_by_rate
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget, Claim, Trainer
from .figures.square_loss import draw_gaps, draw_rates, words_of
from .measures.contrasts import plus_minus, signed, span, with_span
from .measures.equivalence import MARGIN, Gap
from .measures.networks import accuracies, chance_of, over_seeds, right

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REFERENCE, CHALLENGER = "cross-entropy", "mse"
# Cross-entropy computed from one output: the same function, so that what is between the two is
# what no difference looks like here. And squared error with a sigmoid in between.
CONTROL, BESIDE = "bce-with-logits", "sigmoid-mse"
LOSSES = (REFERENCE, CHALLENGER, CONTROL, BESIDE)
# Two one-sided tests at 5 % ask for the 90 % interval.
LEVEL = 0.9


class Size(NamedTuple):
    """Epochs and seeds of a budget."""

    epochs: int
    seeds: int


SIZES: dict[Budget, Size] = {"quick": Size(2, 5), "standard": Size(4, 8), "full": Size(12, 16)}

Found = Mapping[str, Sequence[RunResult]]


def examine(trainer: Trainer) -> Finding:
    size = SIZES[trainer.budget]
    searched = [
        RunConfig(loss=loss, seed=0, learning_rate=0.1, epochs=size.epochs, evaluations=1)
        for loss in LOSSES
    ]
    trainer.say(f"choosing a learning rate for each of {len(LOSSES)} losses")
    tried = {
        loss: {rate: 100 * share for rate, share in sorted(accuracy_by_rate(results).items())}
        for loss, results in zip(LOSSES, trainer.searched(searched), strict=True)
    }
    trainer.say(f"{size.seeds} seeds of each loss with its own learning rate")
    configs = trainer.tuned(searched)
    found = dict(zip(LOSSES, over_seeds(trainer, configs, size.seeds), strict=True))
    gaps = {loss: gap_of(loss, found) for loss in LOSSES if loss != REFERENCE}
    chosen = {config.loss: config.learning_rate for config in configs}
    chance = chance_of(found[REFERENCE])
    measure = measure_of(gaps[CHALLENGER])
    return Finding(
        measure.verdict,
        sentence_of(found, gaps, chosen),
        (measure,),
        (
            draw_gaps(
                {loss: accuracies(runs) for loss, runs in found.items()}, gaps, MARGIN, chance
            ),
            draw_rates(tried, chosen, chance),
        ),
        (table_of_losses(found, chosen), table_of_gaps(gaps), table_of_rates(tried)),
        notes_of(size, tried, chosen, gaps),
    )


def gap_of(loss: str, found: Found) -> Gap:
    own, reference = accuracies(found[loss]), accuracies(found[REFERENCE])
    return Gap(
        loss,
        tuple(a - b for a, b in zip(own, reference, strict=True)),
        paired_difference(own, reference, level=LEVEL),
        over_images(right(found[loss]), right(found[REFERENCE]), LEVEL),
    )


def over_images(a: NDArray[np.bool_], b: NDArray[np.bool_], level: float) -> Interval:
    """Return the paired bootstrap interval over test images, in points."""
    drawn = bootstrap_difference(a, b, level=level)
    mean, low, high = (
        None if end is None else 100 * end for end in (drawn.mean, drawn.low, drawn.high)
    )
    return Interval(mean, low, high, drawn.n)


def measure_of(gap: Gap) -> Measure:
    interval = gap.interval
    return Measure(
        f"{gap.loss} minus {REFERENCE}, test accuracy, points (90 % interval)",
        interval.mean,
        interval.low,
        interval.high,
        f"within ±{MARGIN:g} points",
        gap.verdict,
    )


def sentence_of(found: Found, gaps: Mapping[str, Gap], chosen: Mapping[str, float]) -> str:
    gap = gaps[CHALLENGER]
    means = {loss: mean_interval(accuracies(runs)).mean for loss, runs in found.items()}
    says = {
        "holds": f"equal within ±{MARGIN:g} points",
        "does not hold": f"more than {MARGIN:g} points apart",
        "undecided": f"neither shown to be within ±{MARGIN:g} points nor to be outside",
    }[gap.verdict]
    return (
        f"Squared error of raw outputs (rate {chosen[CHALLENGER]:g}) gets "
        f"{means[CHALLENGER]:.1f} % of the test images right and cross-entropy (rate "
        f"{chosen[REFERENCE]:g}) {means[REFERENCE]:.1f} %, a difference of "
        f"{with_span(gap.interval)} points, 90 % interval: {says}. With a sigmoid in between, at "
        f"rate {chosen[BESIDE]:g}, the difference is {with_span(gaps[BESIDE].interval)}."
    )


def table_of_losses(found: Found, chosen: Mapping[str, float]) -> ClaimTable:
    rows = [
        (
            loss,
            f"{chosen[loss]:g}",
            plus_minus(mean_interval(accuracies(found[loss]))),
            "  ".join(f"{value:.1f}" for value in accuracies(found[loss])),
        )
        for loss in LOSSES
    ]
    return ClaimTable(
        "Test accuracy, each loss at the learning rate chosen for it",
        ("loss", "learning rate", "test accuracy, %", "of each seed, %"),
        tuple(rows),
        ("Mean ± half the 95 % t interval over seeds.",),
    )


def table_of_gaps(gaps: Mapping[str, Gap]) -> ClaimTable:
    each = list(gaps.values())
    ps = holm([p_of(gap.differences) for gap in each])
    rows = []
    for gap, p in zip(each, ps, strict=True):
        least = minimum_detectable_difference(gap.differences)
        rows.append(
            (
                f"{gap.loss} minus {REFERENCE}",
                signed(gap.seeds.mean),
                span(gap.seeds),
                span(gap.examples),
                span(mean_interval(gap.differences)),
                f"{p:.3f}" if p >= 0.0005 else "< 0.001",
                MISSING if least is None else f"{least:.1f}",
                str(gap.seeds.n),
                words_of(gap),
            )
        )
    return ClaimTable(
        "Differences in test accuracy, points",
        (
            "difference",
            "mean",
            "90 % over seeds",
            "90 % over test images",
            "95 % over seeds",
            "p (Holm)",
            "smallest detectable",
            "seeds",
            f"equal within ±{MARGIN:g}",
        ),
        tuple(rows),
        (
            "Paired by seed: t interval; over test images: paired bootstrap. Equal: the 90 % "
            "interval of both together, the root of the sum of their squares, lies within the "
            "margin. p: that there is no difference at all, paired t test, corrected by Holm for "
            "the rows. Smallest detectable: the true difference from 0 that this many seeds find "
            "with a power of 80 %. The first row alone decides.",
        ),
    )


def p_of(differences: Sequence[float]) -> float:
    """Return the p-value of no difference; 1 with too few seeds."""
    if len(differences) < MINIMUM_SEEDS:
        return 1.0
    return paired_t_pvalue(differences, [0.0] * len(differences))


def table_of_rates(tried: Mapping[str, Mapping[float, float]]) -> ClaimTable:
    rates = sorted({rate for means in tried.values() for rate in means})
    rows = [
        (loss, *(f"{means[rate]:.1f}" if rate in means else MISSING for rate in rates))
        for loss, means in tried.items()
    ]
    return ClaimTable(
        "The search: validation accuracy, %, by learning rate",
        ("loss", *(f"{rate:g}" for rate in rates)),
        tuple(rows),
        ("Seeds of the search's own; the test images are not looked at. Diverged: 0.",),
    )


def notes_of(
    size: Size,
    tried: Mapping[str, Mapping[float, float]],
    chosen: Mapping[str, float],
    gaps: Mapping[str, Gap],
) -> tuple[str, ...]:
    notes = [
        f"mse fits the raw output to -1 for a dog and +1 for a cat, without a sigmoid or softmax; "
        f"{BESIDE} is the same error behind a sigmoid, where its gradient dies.",
        f"{CONTROL} is the same function as {REFERENCE}, computed from one output and not from "
        "two, of which the head learns twice as fast at the same rate: its row shows how little "
        "that and chance make, tuning included. It comes out as "
        f"{with_span(gaps[CONTROL].interval)}.",
        f"Two classes and a small network trained for {size.epochs} epochs. Hui and Belkin "
        "compare large networks on 28 tasks; with many classes they rescale the loss, which two "
        "classes do not need.",
    ]
    ends = [loss for loss, rate in chosen.items() if rate in (min(tried[loss]), max(tried[loss]))]
    if ends:
        notes.append(
            f"The best rate is at an end of the grid for {', '.join(ends)}: one beyond it may be "
            "better still."
        )
    return tuple(notes)


CLAIM = Claim(
    name="square-loss",
    question="Is squared error without a sigmoid as accurate as cross-entropy?",
    claim="It is: at its own best learning rate it is neither better nor worse by 2 points.",
    refuted_by=f"The accuracies lie more than {MARGIN:g} points apart, the 90 % interval included.",
    procedure=(
        "Cats and dogs. Squared error of the raw output, cross-entropy and two losses beside them "
        "each get the learning rate that is best for them on validation images, from the same "
        "grid and the same number of trials; then they are trained with new seeds, in pairs, and "
        "asked about the test images once. Equal means: the 90 % interval of the difference in "
        f"test accuracy lies within ±{MARGIN:g} points, which is two one-sided tests at 5 % "
        "(Schuirmann 1987); different: it lies wholly outside. The interval allows for other seeds "
        "(paired t) and other test images (paired bootstrap): each side is the root of the sum of "
        "the squares of the two."
    ),
    source="Hui and Belkin 2021, arXiv 2006.07322",
    examine=examine,
)
