"""Differences in test accuracy from cross-entropy, with their uncertainty and verdict."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import REFERENCE
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import MISSING
from lossbench.benchmarks.records.reading import read_correct
from lossbench.benchmarks.stats.crossed import CrossedMean, accuracy_difference
from lossbench.benchmarks.stats.sample_size import images_needed, seeds_needed
from lossbench.benchmarks.stats.significance import holm
from lossbench.benchmarks.stats.verdict import MINIMUM_SEEDS, is_equivalent

SIGNIFICANCE = 0.05
MARGIN = 0.02
"""Largest difference in accuracy that counts as none."""

FROM_PREDICTIONS = (
    *("images", "low", "high", "low_90", "high_90", "image_share", "p", "p_holm"),
    *("seeds_needed", "images_needed"),
)
"""Numbers that are None without predictions.npz."""

Accuracies = dict[int, float]
"""Final test accuracy by seed."""


def minus_cross_entropy(
    directory: Path, accuracies: dict[str, Accuracies], diverged: Collection[tuple[str, int]] = ()
) -> dict[str, dict[str, Any]]:
    """Compare the test accuracy of each loss with that of cross-entropy.

    Args:
        directory: of the experiment.
        accuracies: per loss with a finished run. Without cross-entropy nothing is compared.
        diverged: loss and seed of runs that count as chance.

    Returns:
        Per loss, in fractions, as in summary.json. mean: difference paired by seed and test image.
        n: number of seeds. images: number of test images, None without predictions.npz.
        low, high: ends of the 95 % interval for other seeds and other images, see `stats.crossed`;
        low_90, high_90: of the 90 % interval. Both are None without predictions.npz or with one
        seed. image_share: share of the images in the squared standard error. p: that there is no
        difference; p_holm: corrected for all losses compared. verdict: 'equivalent' if the 90 %
        interval lies within ±MARGIN, else 'better' or 'worse' if p_holm < SIGNIFICANCE, else
        'undecided'; always that with fewer than MINIMUM_SEEDS seeds. seeds_needed: how many would
        decide; images_needed: the same with these seeds, if no number of seeds would. Both are None
        for other verdicts.

    Raises:
        UserError: predictions are unreadable, or of different test images.
    """
    reference = accuracies.get(REFERENCE, {})
    read = cache(lambda loss, seed: read_correct(directory, loss, seed, (loss, seed) in diverged))
    differences: dict[str, dict[str, Any]] = {}
    found: dict[str, CrossedMean] = {}
    for loss, own in accuracies.items():
        seeds = [seed for seed in own if seed in reference]
        if loss == REFERENCE or not seeds:
            continue
        mean = sum(own[seed] - reference[seed] for seed in seeds) / len(seeds)
        unknown = dict.fromkeys(FROM_PREDICTIONS)
        differences[loss] = {"mean": mean, "n": len(seeds), **unknown, "verdict": "undecided"}
        if (correct := _correct(read, loss, seeds)) is not None:
            each = accuracy_difference(*correct)
            differences[loss] |= {"mean": each.mean, "images": each.images}
            if each.error is not None:
                found[loss] = each
    ps = holm([each.pvalue() for each in found.values()])
    for (loss, each), p in zip(found.items(), ps, strict=True):
        differences[loss] |= _compared(each, p, SIGNIFICANCE / len(found))
    return differences


def what_would_decide(difference: dict[str, Any]) -> str:
    """Return '12 seeds', '9,100 test images' or what else would decide an undecided difference."""
    if difference["verdict"] != "undecided":
        return MISSING
    if difference["n"] < MINIMUM_SEEDS:
        return f"{MINIMUM_SEEDS} seeds or more"
    if difference["images"] is None:
        return "predictions.npz"
    if seeds := difference["seeds_needed"]:
        return f"{seeds:,} seeds"
    if images := difference["images_needed"]:
        return f"{float(f'{images:.2g}'):,.0f} test images"
    return "more seeds and more test images"


def compared(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the differences from cross-entropy, of the losses that have one."""
    losses = summary["losses"].items()
    return {n: loss["minus_cross_entropy"] for n, loss in losses if loss["minus_cross_entropy"]}


def verdict_words(difference: dict[str, Any]) -> str:
    """Return the verdict, or what an undecided one would be without the correction.

    That is 'better before correction' or 'worse before correction' if the 95 % interval excludes 0
    and there are enough seeds: the difference would count if no other loss were compared.
    """
    low, high = difference["low"], difference["high"]
    if difference["verdict"] != "undecided" or low is None or high is None or low <= 0 <= high:
        return str(difference["verdict"])
    if difference["n"] < MINIMUM_SEEDS:
        return "undecided"
    return f"{'better' if low > 0 else 'worse'} before correction"


def _compared(found: CrossedMean, p_holm: float, significance: float) -> dict[str, Any]:
    wide, narrow = found.interval(0.95), found.interval(0.9)
    seeds = images = None
    verdict = _verdict(found, p_holm)
    if verdict == "undecided":
        seeds = seeds_needed(found, MARGIN, significance)
        images = images_needed(found, MARGIN, significance) if seeds is None else None
    return {
        "low": wide.low,
        "high": wide.high,
        "low_90": narrow.low,
        "high_90": narrow.high,
        "image_share": found.image_share,
        "p": found.pvalue(),
        "p_holm": p_holm,
        "verdict": verdict,
        "seeds_needed": seeds,
        "images_needed": images,
    }


def _verdict(found: CrossedMean, p_holm: float) -> str:
    if is_equivalent(found.interval(0.9), MARGIN):
        return "equivalent"
    if found.seeds < MINIMUM_SEEDS or p_holm >= SIGNIFICANCE:
        return "undecided"
    return "better" if found.mean > 0 else "worse"


def _correct(
    read: Callable[[str, int], NDArray[np.bool_] | None], loss: str, seeds: list[int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return what a loss and cross-entropy have right, (seeds, images), or None."""
    arrays = [read(name, seed) for name in (loss, REFERENCE) for seed in seeds]
    correct = [each for each in arrays if each is not None]
    if len(correct) < 2 * len(seeds):
        return None
    if len({len(each) for each in correct}) > 1 or not len(correct[0]):
        raise UserError(
            f"cannot compare {loss} with {REFERENCE}: their predictions.npz are of different test "
            "images; train both again in one comparison"
        )
    return np.stack(correct[: len(seeds)]), np.stack(correct[len(seeds) :])
